/* test_passes.c: what the neutral passes drop and what they must keep. That they change no result
 * is shown on random graphs by comparing names of values: a value's name is a hash of its op,
 * attributes and inputs' names, in which the identities that the pass may use (x + 0, 1 x, ...) are
 * undone. */
#include "t_random.h"

#include "ir_rules.h"

/* ---- names of values ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

static uint64_t op_name(const fwi_op *op, const uint64_t *in)
{
    int n = 0;
    const fwi_attr_field *fields = fwi_attr_fields(op->kind, &n);
    uint64_t h = mix(1, (uint64_t)op->kind);
    for (int i = 0; i < n; i++)
        h = mix(h, (uint64_t)fwi_attr_int(&op->attr, &fields[i])); /* a double's bits, too */
    for (int i = 0; i < op->n_in; i++)
        h = mix(h, in[i]);
    return h;
}

static bool is_zeros(const fwi_graph *g, fwi_val v)
{
    while (g->tensors[v].producer >= 0) { /* through identities, as the pass may have gone */
        const fwi_op *op = t_producer(g, v);
        if (op->kind == FWI_OP_fill)
            return op->attr.fill.value == 0.0;
        if (op->kind == FWI_OP_add && is_zeros(g, op->in[0]))
            v = op->in[1];
        else if ((op->kind == FWI_OP_scale && op->attr.scalar.value == 1.0) ||
                 (op->kind == FWI_OP_cast && g->tensors[op->in[0]].dtype == g->tensors[v].dtype) ||
                 (op->kind == FWI_OP_add && is_zeros(g, op->in[1])) ||
                 (op->kind == FWI_OP_reshape &&
                  fwi_shape_equal(&g->tensors[op->in[0]].shape, &g->tensors[v].shape)))
            v = op->in[0];
        else
            break;
    }
    return false;
}

static uint64_t value_name(const fwi_graph *g, const fwi_op *op, int k, const uint64_t *names)
{
    uint64_t in[FWI_MAX_IN];
    for (int i = 0; i < op->n_in; i++)
        in[i] = names[op->in[i]];
    const fwi_tensor *y = &g->tensors[op->out[k]],
                     *x = op->n_in > 0 ? &g->tensors[op->in[0]] : NULL;
    if (op->kind == FWI_OP_add && is_zeros(g, op->in[1]))
        return in[0];
    if (op->kind == FWI_OP_add && is_zeros(g, op->in[0]))
        return in[1];
    if ((op->kind == FWI_OP_scale && op->attr.scalar.value == 1.0) ||
        (op->kind == FWI_OP_cast && y->dtype == x->dtype) ||
        (op->kind == FWI_OP_reshape && fwi_shape_equal(&y->shape, &x->shape)))
        return in[0];
    return mix(op_name(op, in), (uint64_t)k);
}

/* The names of all that a run leaves behind, summed: outputs, gradients, changes of variables. */
static uint64_t effect(const fwi_graph *g)
{
    uint64_t *names = fwi_alloc_array((size_t)g->n_tensors, sizeof *names);
    assert_non_null(names);
    uint64_t sum = 0;
    for (fwi_val v = 0; v < g->n_tensors; v++)
        names[v] = g->tensors[v].name != NULL ? fwi_fnv1a(g->tensors[v].name) : 0;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const fwi_op *op = &g->ops[i];
        for (int k = 0; k < op->n_out; k++) {
            names[op->out[k]] = value_name(g, op, k, names);
            if (g->tensors[op->out[k]].grad_of != FWI_NO_VAL)
                sum += mix(names[op->out[k]], (uint64_t)g->tensors[op->out[k]].grad_of);
        }
        if (fwi_op_mutates(op->kind) > 0) {
            uint64_t in[FWI_MAX_IN];
            for (int k = 0; k < op->n_in; k++)
                in[k] = names[op->in[k]];
            sum += op_name(op, in);
        }
    }
    for (int32_t i = 0; i < g->n_outputs; i++)
        sum += mix(names[g->outputs[i].val], fwi_fnv1a(g->outputs[i].name));
    fwi_free(names);
    return sum;
}

static void run(fwi_graph *g, fw_status (*pass)(fwi_graph *g))
{
    if (pass(g) != FW_OK || fwi_graph_verify(g) != FW_OK)
        fail_msg("%s", fw_last_error());
}

/* ---- tests ---- */

static void random_graphs_keep_their_meaning(void **state)
{
    (void)state;
    int dropped = 0, merged = 0;
    for (uint64_t seed = 1000; seed < 1150; seed++) {
        fwi_graph *g = t_random_graph(seed, 60);
        const uint64_t before = effect(g);
        const int32_t n0 = g->n_ops;
        run(g, fwi_pass_constants);
        const int32_t n1 = g->n_ops;
        if (effect(g) != before)
            fail_msg("constants: seed %d", (int)seed);
        run(g, fwi_pass_dead_code);
        if (effect(g) != before)
            fail_msg("dead code: seed %d", (int)seed);
        merged += n0 - n1;
        dropped += n1 - g->n_ops;
        const int32_t n2 = g->n_ops;
        run(g, fwi_pass_dead_code); /* nothing is left to do */
        assert_int_equal(g->n_ops, n2);
        run(g, fwi_pass_updates_last);
        if (effect(g) != before)
            fail_msg("updates last: seed %d", (int)seed);
        fwi_graph_free(g);
    }
    assert_true(merged > 500);
    assert_true(dropped > 500);
}

static void training_graph_keeps_its_meaning(void **state)
{
    (void)state;
    fwi_graph *g = t_training_graph(4, 8, 6);
    const uint64_t before = effect(g);
    const int32_t n = g->n_ops;
    run(g, fwi_pass_constants);
    run(g, fwi_pass_dead_code);
    assert_true(effect(g) == before);
    assert_int_equal(g->n_ops, n); /* nothing superfluous was built */
    assert_int_equal(t_count(g, FWI_OP_bn_update), 4);
    assert_int_equal(t_count(g, FWI_OP_sgd), 13);
    fwi_graph_free(g);
}

/* Behind everything else, kinds side by side, and of equal rows those with fewer elements first. */
static void updates_come_last(void **state)
{
    (void)state;
    fwi_graph *g = t_training_graph(4, 8, 6);
    const uint64_t before = effect(g);
    const int32_t n = g->n_ops, updates = 4 + 13;
    bool mixed = false;
    for (int32_t i = 0; i < n - updates; i++)
        mixed = mixed || fwi_op_mutates(g->ops[i].kind) > 0;
    assert_true(mixed); /* as it is built, running statistics are updated on the way */
    run(g, fwi_pass_updates_last);
    assert_true(effect(g) == before);
    assert_int_equal(g->n_ops, n);
    for (int32_t i = 0; i < n; i++) {
        const fwi_op *op = &g->ops[i], *last = i > 0 ? op - 1 : op;
        assert_true((fwi_op_mutates(op->kind) > 0) == (i >= n - updates));
        if (i <= n - updates)
            continue;
        assert_true(op->kind >= last->kind);
        const fwi_shape *a = &g->tensors[last->in[0]].shape, *b = &g->tensors[op->in[0]].shape;
        if (op->kind == last->kind)
            assert_true(a->d[0] < b->d[0] ||
                        (a->d[0] == b->d[0] && fwi_shape_elems(a) <= fwi_shape_elems(b)));
    }
    fwi_graph_free(g);
}

static void dead_code(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val x = t_x(g, T_SHAPE(4, 3)), w = t_var(g, T_SHAPE(3));
    const fwi_val dead = fwi_op1(g, FWI_OP_relu, NULL, fwi_op1(g, FWI_OP_softmax, NULL, x));
    const fwi_val live = fwi_op2(g, FWI_OP_bias_add, NULL, x, w);
    const fwi_val y = fwi_op1(g, FWI_OP_relu, NULL, live);
    fwi_graph_output(g, "y", y);
    run(g, fwi_pass_dead_code);
    assert_int_equal(g->n_ops, 2);
    assert_int_equal(g->tensors[dead].producer, -1);
    assert_int_equal(g->tensors[live].producer, 0); /* tensors keep their numbers, ops move up */
    assert_int_equal(g->tensors[y].producer, 1);
    assert_int_equal(fwi_graph_find(g, "y"), y);
    assert_int_equal(g->tensors[w].kind, FWI_VAR);
    fwi_op1(g, FWI_OP_relu, NULL, dead); /* what was dropped cannot be used again */
    assert_int_equal(fwi_graph_verify(g), FW_EARG);
    t_message_has("not made before it");
    fwi_graph_free(g);

    g = t_graph(); /* gradients and changes of variables are results */
    const fwi_val p = t_var(g, T_SHAPE(1)), rmean = t_stat(g, T_SHAPE(3)),
                  rvar = t_stat(g, T_SHAPE(3)), stats = t_x(g, T_SHAPE(1, 3));
    const fwi_attr update = {.bn = {.groups = 1, .update = 0.1, .count = 4}};
    const fwi_val in[] = {rmean, rvar, fwi_op1(g, FWI_OP_relu, NULL, stats), stats};
    fwi_graph_op(g, FWI_OP_bn_update, &update, in, 4, NULL);
    fwi_val d = FWI_NO_VAL;
    assert_int_equal(fwi_graph_gradient(g, fwi_op1(g, FWI_OP_relu, NULL, p), &p, 1, &d), FW_OK);
    const int32_t n = g->n_ops;
    run(g, fwi_pass_dead_code);
    assert_int_equal(g->n_ops, n);
    fwi_graph_free(g);
}

static fwi_val fill(fwi_graph *g, double value, int64_t n)
{
    const fwi_attr a = {.fill = {.rank = 1, .d0 = n, .dtype = FW_F32, .value = value}};
    return fwi_graph_op(g, FWI_OP_fill, &a, NULL, 0, NULL);
}

static void identities(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_attr one = {.scalar = {1.0}}, two = {.scalar = {2.0}}, same = {.cast = {FW_F32}};
    const fwi_attr flat = {.shape = {.rank = 1, .d0 = 6}};
    const fwi_val x = fwi_op1(g, FWI_OP_relu, NULL, t_x(g, T_SHAPE(6)));
    fwi_val h = fwi_op2(g, FWI_OP_add, NULL, x, fill(g, 0.0, 6));
    h = fwi_op1(g, FWI_OP_scale, &one, h);
    h = fwi_op1(g, FWI_OP_reshape, &flat, h);
    h = fwi_op2(g, FWI_OP_add, NULL, fill(g, 0.0, 6), h);
    h = fwi_op1(g, FWI_OP_cast, &same, h);
    fwi_graph_output(g, "x", h); /* now x itself */
    const fwi_val y = fwi_op1(g, FWI_OP_scale, &two, h);
    fwi_graph_output(g, "y", fwi_op2(g, FWI_OP_add, NULL, y, fill(g, 3.0, 6)));
    run(g, fwi_pass_constants);
    run(g, fwi_pass_dead_code);
    assert_int_equal(g->n_ops, 4); /* relu scale fill add */
    assert_int_equal(fwi_graph_find(g, "x"), x);
    assert_int_equal(t_producer(g, y)->in[0], x);
    fwi_graph_free(g);
}

static void equal_fills(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val a = fill(g, 2.0, 6), b = fill(g, 2.0, 6), c = fill(g, 2.0, 5),
                  d = fill(g, 3.0, 6);
    fwi_graph_output(g, "ab", fwi_op2(g, FWI_OP_add, NULL, a, b));
    fwi_graph_output(g, "c", c);
    fwi_graph_output(g, "d", d);
    fwi_graph_output(g, "b", b);
    run(g, fwi_pass_constants);
    assert_int_equal(t_count(g, FWI_OP_fill), 3);
    assert_int_equal(fwi_graph_find(g, "b"), a);
    assert_int_equal(t_producer(g, fwi_graph_find(g, "ab"))->in[1], a);
    fwi_graph_free(g);
}

/* Where a copy is not superfluous. */
static void copies_that_stay(void **state)
{
    (void)state;
    const fwi_attr one = {.scalar = {1.0}};
    fwi_graph *g = t_graph(); /* gradients: each zero gradient needs its own place */
    const fwi_val params[3] = {t_var(g, T_SHAPE(1)), t_var(g, T_SHAPE(1)), t_var(g, T_SHAPE(1))};
    fwi_val d[3];
    const fwi_val loss = fwi_op2(g, FWI_OP_add, NULL, params[0], params[0]);
    assert_int_equal(fwi_graph_gradient(g, loss, params, 3, d), FW_OK);
    const int32_t n = g->n_ops;
    run(g, fwi_pass_constants);
    run(g, fwi_pass_dead_code);
    assert_int_equal(t_count(g, FWI_OP_fill), 3); /* 1, 0, 0 */
    assert_true(g->n_ops >= n - 1);               /* the loss itself is not asked for */
    for (int i = 0; i < 3; i++)
        assert_int_equal(g->tensors[d[i]].grad_of, params[i]);
    fwi_graph_free(g);

    g = t_graph(); /* an output that copies a variable from before its change */
    const fwi_val w = t_var(g, T_SHAPE(2)), v = t_stat(g, T_SHAPE(2));
    const fwi_val old = fwi_op1(g, FWI_OP_scale, &one, w);
    const fwi_attr sgd = {.optim = {.momentum = 0.9}};
    const fwi_val in[] = {w, v, t_x(g, T_SHAPE(2)), t_in(g, FW_F64, T_SHAPE(1))};
    fwi_graph_op(g, FWI_OP_sgd, &sgd, in, 4, NULL);
    const fwi_val y = fwi_op1(g, FWI_OP_relu, NULL, old);
    fwi_graph_output(g, "y", y);
    run(g, fwi_pass_constants);
    assert_int_equal(t_producer(g, y)->in[0], old);
    assert_int_equal(g->n_ops, 3);
    fwi_graph_free(g);

    g = t_graph(); /* an output stays something that an op makes */
    const fwi_val x = t_x(g, T_SHAPE(2)), copy = fwi_op1(g, FWI_OP_scale, &one, x);
    fwi_graph_output(g, "y", copy);
    run(g, fwi_pass_constants);
    assert_int_equal(fwi_graph_find(g, "y"), copy);
    fwi_graph_free(g);
}

static void allocation_failures(void **state)
{
    (void)state;
    fw_status (*const passes[])(fwi_graph *) = {fwi_pass_dead_code, fwi_pass_constants,
                                                fwi_pass_updates_last};
    for (int i = 0; i < 3; i++) {
        bool done = false;
        for (int64_t at = 1; !done; at++) {
            fwi_graph *g = t_random_graph(9, 40);
            const uint64_t before = effect(g);
            fwi_mem_fail_at(at);
            const fw_status st = passes[i](g);
            fwi_mem_fail_at(0);
            done = st == FW_OK;
            assert_true(done ? at > 1 : st == FW_ENOMEM);
            assert_int_equal(fwi_graph_verify(g), FW_OK); /* a pass that failed did nothing */
            assert_true(effect(g) == before);
            fwi_graph_free(g);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_keep_their_meaning),
        cmocka_unit_test(training_graph_keeps_its_meaning),
        cmocka_unit_test(updates_come_last),
        cmocka_unit_test(dead_code),
        cmocka_unit_test(identities),
        cmocka_unit_test(equal_fills),
        cmocka_unit_test(copies_that_stay),
        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
