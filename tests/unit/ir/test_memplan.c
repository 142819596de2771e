/* test_memplan.c: plans of random graphs are run in a model of memory: each 64-byte cell remembers
 * which tensor it holds. Every op must find its inputs, and may write over nothing that is still to
 * be read; only where ops.def says so may output 0 stand in input 0's place. */
#include "t_random.h"

enum { CELL = 64, FREE = -1, SCRATCH = -2 };

typedef struct machine {
    const fwi_graph *g;
    const fwi_memplan *m;
    int32_t *cells;
    int64_t n_cells;
    int32_t *last; /* of each root: the last op that reads it; n_ops for outputs */
    int64_t peak;  /* most cells in use at one op */
    int shared;    /* outputs that took their input's place */
} machine;

static int64_t cells_of(const machine *k, fwi_val v)
{
    const fwi_tensor *t = &k->g->tensors[v];
    return ((int64_t)fwi_tensor_bytes(t) + CELL - 1) / CELL;
}

static bool in_scratch(const machine *k, fwi_val v)
{
    const fwi_tensor *t = &k->g->tensors[fwi_graph_root(k->g, v)];
    return t->kind == FWI_TEMP && t->grad_of == FWI_NO_VAL && t->producer >= 0;
}

static void holds(const machine *k, fwi_val v, int32_t op)
{
    const fwi_val root = fwi_graph_root(k->g, v);
    if (!in_scratch(k, v)) {
        assert_int_equal(k->m->offset[v], -1);
        return;
    }
    assert_int_equal(k->m->offset[v], k->m->offset[root]); /* views share */
    for (int64_t i = 0; i < cells_of(k, root); i++)
        if (k->cells[k->m->offset[v] / CELL + i] != root)
            fail_msg("op %d: tensor %d (root %d) was written over by %d", op, v, root,
                     k->cells[k->m->offset[v] / CELL + i]);
}

static bool overlap(int64_t a, int64_t n_a, int64_t b, int64_t n_b)
{
    return a < b + n_b && b < a + n_a;
}

/* Output j of the op over its inputs: only in place of input 0, and no other input there. */
static void check_in_place(machine *k, const fwi_op *op, int j)
{
    const int64_t at = k->m->offset[op->out[j]] / CELL, n = cells_of(k, op->out[j]);
    for (int i = 0; i < op->n_in; i++) {
        const fwi_val root = fwi_graph_root(k->g, op->in[i]);
        if (!in_scratch(k, root) || !overlap(at, n, k->m->offset[root] / CELL, cells_of(k, root)))
            continue;
        assert_int_equal(i, 0);
        assert_int_equal(j, 0);
        assert_true(fwi_op_info_get(op->kind)->flags & FWI_ALIAS);
        assert_int_equal(k->m->offset[op->out[0]], k->m->offset[root]);
        assert_int_equal(cells_of(k, op->out[0]), cells_of(k, root));
        k->shared++;
    }
}

static void put(machine *k, int64_t offset, int64_t n, int32_t what, int32_t op)
{
    assert_true(offset >= 0);
    assert_int_equal(offset % CELL, 0);
    assert_true(offset + n * CELL <= k->m->bytes);
    for (int64_t i = 0; i < n; i++) {
        int32_t *cell = &k->cells[offset / CELL + i];
        if (*cell == SCRATCH || (*cell >= 0 && k->g->tensors[*cell].producer == op))
            fail_msg("op %d: two things that it writes overlap", op);
        *cell = what;
    }
}

static void run_op(machine *k, int32_t i, const size_t *scratch)
{
    const fwi_graph *g = k->g;
    const fwi_op *op = &g->ops[i];
    for (int j = 0; j < op->n_in; j++)
        holds(k, op->in[j], i);
    const bool view = fwi_op_info_get(op->kind)->flags & FWI_VIEW;
    for (int j = 0; j < op->n_out && !view; j++) {
        if (!in_scratch(k, op->out[j])) {
            assert_int_equal(k->m->offset[op->out[j]], -1);
            continue;
        }
        check_in_place(k, op, j);
        put(k, k->m->offset[op->out[j]], cells_of(k, op->out[j]), op->out[j], i);
    }
    const int64_t n_scratch = ((int64_t)scratch[i] + CELL - 1) / CELL;
    if (n_scratch > 0) {
        for (int j = 0; j < op->n_in; j++) {
            const fwi_val root = fwi_graph_root(g, op->in[j]);
            if (in_scratch(k, root))
                assert_false(overlap(k->m->kernel_offset[i] / CELL, n_scratch,
                                     k->m->offset[root] / CELL, cells_of(k, root)));
        }
        put(k, k->m->kernel_offset[i], n_scratch, SCRATCH, i);
    } else
        assert_int_equal(k->m->kernel_offset[i], -1);
    /* what is in use while the op runs; then scratch and what nobody reads any more is gone */
    int64_t used = 0;
    for (int64_t c = 0; c < k->n_cells; c++)
        used += k->cells[c] != FREE;
    if (used > k->peak)
        k->peak = used;
    for (int64_t c = 0; c < k->n_cells; c++)
        if (k->cells[c] == SCRATCH || (k->cells[c] >= 0 && k->last[k->cells[c]] <= i))
            k->cells[c] = FREE;
}

/* Returns how many outputs took their input's place. */
static int simulate(const fwi_graph *g, const size_t *scratch, const fwi_memplan *m)
{
    machine k = {.g = g, .m = m, .n_cells = m->bytes / CELL};
    assert_int_equal(m->bytes % CELL, 0);
    k.cells = fwi_alloc_array((size_t)k.n_cells, sizeof *k.cells);
    k.last = fwi_alloc_array((size_t)g->n_tensors, sizeof *k.last);
    assert_non_null(k.cells);
    assert_non_null(k.last);
    for (int64_t c = 0; c < k.n_cells; c++)
        k.cells[c] = FREE;
    for (int32_t i = 0; i < g->n_ops; i++)
        for (int j = 0; j < g->ops[i].n_in; j++)
            k.last[fwi_graph_root(g, g->ops[i].in[j])] = i;
    for (int32_t i = 0; i < g->n_outputs; i++)
        k.last[fwi_graph_root(g, g->outputs[i].val)] = g->n_ops;
    for (int32_t i = 0; i < g->n_ops; i++)
        run_op(&k, i, scratch);
    for (int32_t i = 0; i < g->n_outputs; i++)
        holds(&k, g->outputs[i].val, g->n_ops);
    assert_int_equal(k.peak * CELL, m->live_peak);
    fwi_free(k.cells);
    fwi_free(k.last);
    return k.shared;
}

static void random_graphs(void **state)
{
    (void)state;
    int64_t bytes = 0, peak = 0;
    int shared = 0, checked = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        fwi_graph *g = t_random_graph(seed, 10 + (int)(seed % 70));
        if (fwi_graph_verify(g) != FW_OK)
            fail_msg("seed %d: %s", (int)seed, fw_last_error());
        t_rand r = {.seed = seed ^ 0xabcdef};
        size_t *scratch = fwi_alloc_array((size_t)g->n_ops, sizeof *scratch);
        assert_non_null(scratch);
        for (int32_t i = 0; i < g->n_ops; i++)
            scratch[i] = t_below(&r, 3) == 0 ? t_below(&r, 3000) : 0;
        fwi_memplan m, again;
        assert_int_equal(fwi_memplan_make(g, scratch, &m), FW_OK);
        assert_int_equal(fwi_memplan_make(g, scratch, &again), FW_OK);
        shared += simulate(g, scratch, &m);
        assert_true(m.bytes >= m.live_peak);
        assert_memory_equal(m.offset, again.offset, (size_t)g->n_tensors * sizeof *m.offset);
        bytes += m.bytes;
        peak += m.live_peak;
        checked++;
        fwi_memplan_clear(&m);
        fwi_memplan_clear(&again);
        fwi_free(scratch);
        fwi_graph_free(g);
    }
    print_message("random graphs: %d, %.3f of the lower bound, %d outputs in place\n", checked,
                  (double)bytes / (double)peak, shared);
    assert_true(shared > 100);
    assert_true((double)bytes < 1.10 * (double)peak);
}

static void training_step(void **state)
{
    (void)state;
    fwi_graph *g = t_training_graph(8, 16, 24);
    if (fwi_graph_verify(g) != FW_OK)
        fail_msg("%s", fw_last_error());
    size_t *scratch = fwi_alloc_array((size_t)g->n_ops, sizeof *scratch);
    assert_non_null(scratch);
    for (int32_t i = 0; i < g->n_ops; i++)
        scratch[i] = fwi_op_macs(g, &g->ops[i]) > 0 ? 50000 : 0;
    fwi_memplan m;
    assert_int_equal(fwi_memplan_make(g, scratch, &m), FW_OK);
    assert_true(simulate(g, scratch, &m) >= 4);
    print_message("training step: %lld bytes, lower bound %lld\n", (long long)m.bytes,
                  (long long)m.live_peak);
    assert_true((double)m.bytes <= 1.05 * (double)m.live_peak);
    int n_grads = 0;
    for (fwi_val v = 0; v < g->n_tensors; v++)
        if (g->tensors[v].grad_of != FWI_NO_VAL) {
            assert_int_equal(m.offset[v], -1);
            n_grads++;
        }
    assert_int_equal(n_grads, 13);
    fwi_memplan_clear(&m);
    fwi_free(scratch);
    fwi_graph_free(g);
}

/* A chain works in one place; what is read again later does not. */
static void in_place(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_attr half = {.scalar = {0.5}}, flat = {.shape = {.rank = 1, .d0 = 100}};
    const fwi_val a = fwi_op1(g, FWI_OP_relu, NULL, t_x(g, T_SHAPE(10, 10)));
    const fwi_val b = fwi_op1(g, FWI_OP_reshape, &flat, a);
    const fwi_val c = fwi_op1(g, FWI_OP_scale, &half, b);
    const fwi_val d = fwi_op1(g, FWI_OP_relu, NULL, c);
    fwi_graph_output(g, "d", d);
    fwi_memplan m;
    assert_int_equal(fwi_memplan_make(g, NULL, &m), FW_OK);
    assert_int_equal(m.bytes, 448);
    assert_int_equal(m.live_peak, 448);
    for (int i = 1; i < 5; i++)
        assert_int_equal(m.offset[i], 0);
    fwi_memplan_clear(&m);
    fwi_graph_output(g, "b", b); /* now a, which b is a view of, lives to the end */
    assert_int_equal(fwi_memplan_make(g, NULL, &m), FW_OK);
    assert_int_equal(m.bytes, 896);
    assert_int_equal(m.offset[b], m.offset[a]);
    assert_int_not_equal(m.offset[c], m.offset[a]);
    assert_int_equal(m.offset[d], m.offset[c]);
    fwi_memplan_clear(&m);
    fwi_graph_free(g);

    g = t_graph(); /* both inputs are one value: kernels need not expect three names for one place
                    */
    const fwi_val x = fwi_op1(g, FWI_OP_relu, NULL, t_x(g, T_SHAPE(16)));
    const fwi_val y = fwi_op2(g, FWI_OP_add, NULL, x, x);
    assert_int_equal(fwi_memplan_make(g, NULL, &m), FW_OK);
    assert_int_not_equal(m.offset[x], m.offset[y]);
    fwi_memplan_clear(&m);
    fwi_graph_free(g);
}

/* A gradient lives in the store, also where ops read it; nothing takes its place. */
static void gradients_are_elsewhere(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val w = t_var(g, T_SHAPE(1));
    const fwi_attr flat = {.shape = {.rank = 2, .d0 = 1, .d1 = 1}};
    fwi_val d = FWI_NO_VAL;
    assert_int_equal(fwi_graph_gradient(g, fwi_op1(g, FWI_OP_relu, NULL, w), &w, 1, &d), FW_OK);
    const fwi_val scaled = fwi_op1(g, FWI_OP_relu, NULL, d);
    const fwi_val view = fwi_op1(g, FWI_OP_reshape, &flat, d);
    const fwi_val of_var = fwi_op1(g, FWI_OP_reshape, &flat, w);
    fwi_memplan m;
    assert_int_equal(fwi_memplan_make(g, NULL, &m), FW_OK);
    assert_int_equal(m.offset[w], -1);
    assert_int_equal(m.offset[d], -1);
    assert_int_equal(m.offset[view], -1);
    assert_int_equal(m.offset[of_var], -1);
    assert_true(m.offset[scaled] >= 0);
    fwi_memplan_clear(&m);
    fwi_graph_free(g);
}

static void corners(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    fwi_memplan m;
    assert_int_equal(fwi_memplan_make(g, NULL, &m), FW_OK); /* nothing at all */
    assert_int_equal(m.bytes, 0);
    assert_int_equal(m.live_peak, 0);
    fwi_memplan_clear(&m);
    fwi_memplan_clear(&m);
    const fwi_val y = fwi_op1(g, FWI_OP_relu, NULL, t_x(g, T_SHAPE(17)));
    const fwi_attr p = {.pool = {.k = 1, .stride = 1}};
    fwi_op1(g, FWI_OP_max_pool, &p, t_x(g, T_SHAPE(1, 1, 1, 3)));
    assert_int_equal(fwi_memplan_make(g, NULL, &m), FW_OK);
    assert_int_equal(m.offset[y], 0); /* unread outputs need memory while their op runs */
    assert_int_not_equal(m.offset[g->ops[1].out[0]], m.offset[g->ops[1].out[1]]);
    fwi_memplan_clear(&m);
    size_t scratch[2] = {SIZE_MAX, 0};
    assert_int_equal(fwi_memplan_make(g, scratch, &m), FW_ESHAPE);
    t_message_has("op 0, relu: its kernel wants");
    scratch[0] = scratch[1] = (size_t)1 << 61;
    assert_int_equal(fwi_memplan_make(g, scratch, &m), FW_ESHAPE);
    t_message_has("more than 2^62 bytes");
    fwi_graph_free(g);
}

static void allocation_failures(void **state)
{
    (void)state;
    fwi_graph *g = t_random_graph(5, 40);
    bool done = false;
    for (int64_t at = 1; !done; at++) {
        fwi_memplan m = {0};
        fwi_mem_fail_at(at);
        const fw_status st = fwi_memplan_make(g, NULL, &m);
        fwi_mem_fail_at(0);
        done = st == FW_OK;
        assert_true(done ? at > 9 : st == FW_ENOMEM && m.offset == NULL);
        fwi_memplan_clear(&m);
    }
    fwi_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs), cmocka_unit_test(training_step),
        cmocka_unit_test(in_place),      cmocka_unit_test(gradients_are_elsewhere),
        cmocka_unit_test(corners),       cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
