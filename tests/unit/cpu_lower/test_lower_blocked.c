/* test_lower_blocked.c: which ops become blocked, where conversions stand, and what must stay as it
 * was, on tables made up here. That a lowered graph computes the same is shown by tests/ops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_lower.h"

static fw_status never(const fwi_call *c)
{
    (void)c;
    return fwi_fail(FW_EINTERNAL, "a plan's business");
}

#define ROW(kind, type)                                                                            \
    {                                                                                              \
        .op = FWI_OP_##kind, .dtype = type, .run = never, .name = #kind, .blocked = true           \
    }
#define ROWS(type)                                                                                 \
    ROW(conv2d, type), ROW(conv2d_dx, type), ROW(conv2d_dw, type), ROW(bn_train, type),            \
        ROW(bn_train_grad, type), ROW(relu, type), ROW(relu_grad, type), ROW(max_pool, type),      \
        ROW(max_pool_grad, type), ROW(global_max_pool, type)
static const fwi_kernel rows[] = {
    ROWS(FW_F32), ROWS(FW_BF16), ROW(global_max_pool_grad, FW_F32), {.run = NULL}};
static const fwi_op_table full = {.name = "full", .rows = rows};
static const fwi_op_table empty = {.name = "empty", .rows = &rows[sizeof rows / sizeof *rows - 1]};

static fwi_val var(fwi_graph *g, const char *name, fwi_shape s)
{
    return fwi_graph_var(g, name, FWI_VAR_CONV, true, s, (fwi_init){0});
}

/* conv, bn, relu, pool, dropout, conv, global pool, dense, loss; and every gradient. */
static fwi_graph *net(fw_dtype storage, bool output_inside)
{
    fwi_graph *g = NULL;
    fwi_val outs[3], params[8], grads[8];
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    g->storage = storage;
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, fwi_shape4(25, 8, 8, 3));
    const fwi_val labels = fwi_graph_input(g, "labels", FW_I32, fwi_shape1(25));
    const fwi_val rng = fwi_graph_input(g, "rng", FW_I64, fwi_shape1(2));
    fwi_val v = fwi_conv2d_same(g, x, var(g, "w0", fwi_shape4(16, 3, 3, 3)), 1);
    const fwi_val bn_in[] = {v, var(g, "gamma", fwi_shape1(16)), var(g, "beta", fwi_shape1(16))};
    v = fwi_graph_op(g, FWI_OP_bn_train, &(fwi_attr){.bn = {.eps = 1e-5, .groups = 1}}, bn_in, 3,
                     outs);
    v = fwi_op1(g, FWI_OP_relu, NULL, v);
    if (output_inside)
        fwi_graph_output(g, "inside", v);
    v = fwi_graph_op(g, FWI_OP_max_pool, &(fwi_attr){.pool = {.k = 2, .stride = 2}}, &v, 1, outs);
    v = fwi_op2(g, FWI_OP_dropout, &(fwi_attr){.dropout = {.p = 0.5}}, v, rng);
    v = fwi_conv2d_same(g, v, var(g, "w1", fwi_shape4(8, 3, 3, 16)), 1);
    v = fwi_graph_op(g, FWI_OP_global_max_pool, NULL, &v, 1, outs);
    v = fwi_op2(g, FWI_OP_matmul, &(fwi_attr){.matmul = {.tb = 1}}, v,
                var(g, "head", fwi_shape2(10, 8)));
    v = fwi_op2(g, FWI_OP_softmax_xent, &(fwi_attr){.xent = {.mean = 1}}, v, labels);
    fwi_graph_output(g, "loss", v);
    const int n = fwi_graph_params(g, params, 8);
    assert_int_equal(fwi_graph_gradient(g, v, params, n, grads), FW_OK);
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    return g;
}

static int count(const fwi_graph *g, fwi_opkind kind)
{
    int n = 0;
    for (int32_t i = 0; i < g->n_ops; i++)
        n += g->ops[i].kind == kind;
    return n;
}

static void test_net(void **state)
{
    (void)state;
    static const fw_dtype storages[] = {FW_F32, FW_BF16};
    for (int s = 0; s < 2; s++) {
        fwi_graph *g = net(storages[s], true);
        const int32_t before = g->n_ops;
        assert_int_equal(fwi_lower_blocked(g, &full), FW_OK);
        assert_int_equal(fwi_graph_verify(g), FW_OK);
        /* in: x, dropout's result, its gradient's result. out: the output, what dropout and its
         * gradient read. */
        assert_int_equal(count(g, FWI_OP_to_blocked), 3);
        assert_int_equal(count(g, FWI_OP_from_blocked), 3);
        assert_int_equal(g->n_ops, before + 6);
        for (int32_t i = 0; i < g->n_ops; i++) {
            const fwi_op *op = &g->ops[i];
            const fwi_layout layout = fwi_op_layout(op->kind);
            for (int k = 0; k < op->n_in; k++) {
                const fwi_tensor *t = &g->tensors[op->in[k]];
                assert_int_equal(t->nb, layout.in >> k & 1 ? fwi_block_of(25) : 0);
                assert_int_equal(t->dtype == FW_BF16, t->nb > 0 && t->dtype != FW_U8 && s == 1);
            }
        }
        for (int32_t i = 0; i < g->n_outputs; i++)
            assert_true(g->tensors[g->outputs[i].val].nb == 0 &&
                        g->tensors[g->outputs[i].val].dtype == FW_F32);
        /* as text and back: the same bytes */
        fwi_buf text = {0}, again = {0};
        fwi_graph *copy = NULL;
        assert_int_equal(fwi_graph_print(g, &text), FW_OK);
        assert_int_equal(fwi_graph_parse(&copy, (const char *)text.data), FW_OK);
        assert_int_equal(copy->storage, storages[s]);
        assert_int_equal(fwi_graph_print(copy, &again), FW_OK);
        assert_string_equal((const char *)text.data, (const char *)again.data);
        /* padding is paid for: 25 images take whole blocks */
        fwi_memplan m;
        assert_int_equal(fwi_memplan_make(g, NULL, &m), FW_OK);
        const int64_t nb = fwi_block_of(25), images = (25 + nb - 1) / nb * nb;
        const int64_t first = images * 8 * 8 * 16 * (int64_t)fw_dtype_size(storages[s]); /* of w0 */
        int n_first = 0;
        for (int32_t i = 0; i < g->n_ops; i++)
            if (g->ops[i].kind == FWI_OP_conv2d && g->tensors[g->ops[i].out[0]].shape.d[1] == 8) {
                const fwi_val v = g->ops[i].out[0];
                assert_int_equal(fwi_tensor_bytes(&g->tensors[v]), first);
                assert_true(m.offset[v] + first <= m.bytes);
                n_first++;
            }
        assert_int_equal(n_first, 1);
        assert_true(m.bytes >= m.live_peak &&
                    m.live_peak >= 2 * first); /* its norm reads and writes */
        fwi_memplan_clear(&m);
        fwi_buf_clear(&text);
        fwi_buf_clear(&again);
        fwi_graph_free(copy);
        fwi_graph_free(g);
    }
}

/* Filters and their gradients are no images: what is computed of them stays as it is, also where two
 * convolutions share a filter, whose gradient is then a sum, and where the loss is scaled. */
static void test_filters_stay(void **state)
{
    (void)state;
    static const fwi_kernel more[] = {ROWS(FW_F32),      ROWS(FW_BF16),      ROW(add, FW_F32),
                                      ROW(add, FW_BF16), ROW(scale, FW_F32), ROW(scale, FW_BF16),
                                      {.run = NULL}};
    static const fwi_op_table table = {.name = "more", .rows = more};
    for (int uses = 1; uses <= 3; uses++) {
        fwi_graph *g = NULL;
        fwi_val grad = FWI_NO_VAL;
        assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
        g->storage = FW_BF16;
        const fwi_val w = var(g, "w", fwi_shape4(16, 3, 3, 16));
        fwi_val v = fwi_graph_input(g, "x", FW_F32, fwi_shape4(25, 8, 8, 16));
        const fwi_val x = v;
        for (int i = 0; i < uses; i++)
            v = fwi_conv2d_same(g, v, w, 1);
        v = fwi_op2(g, FWI_OP_add, NULL, v, x); /* images, which are blocked */
        v = fwi_graph_op(g, FWI_OP_global_max_pool, NULL, &v, 1, (fwi_val[3]){0});
        v = fwi_op2(g, FWI_OP_softmax_xent, &(fwi_attr){.xent = {.mean = 1}}, v,
                    fwi_graph_input(g, "labels", FW_I32, fwi_shape1(25)));
        fwi_graph_output(g, "loss", v);
        assert_int_equal(fwi_graph_gradient(g, v, &w, 1, &grad), FW_OK);
        fwi_graph_output(g, "part", fwi_op1(g, FWI_OP_scale, &(fwi_attr){.scalar = {0.25}}, grad));
        assert_int_equal(fwi_graph_verify(g), FW_OK);
        assert_int_equal(fwi_lower_blocked(g, &table), FW_OK);
        if (fwi_graph_verify(g) != FW_OK)
            fail_msg("%s", fw_last_error());
        int sums = 0;
        for (int32_t i = 0; i < g->n_ops; i++) {
            const fwi_tensor *t = &g->tensors[g->ops[i].out[0]];
            const bool filter = t->shape.d[0] == 16 && t->shape.rank == 4;
            if (filter) /* neither blocked nor in 16 bits */
                assert_true(t->nb == 0 && t->dtype == FW_F32);
            else if (g->ops[i].kind == FWI_OP_add)
                assert_int_equal(t->nb, fwi_block_of(25));
            sums += filter && g->ops[i].kind == FWI_OP_add;
        }
        assert_int_equal(sums, uses - 1);
        fwi_graph_free(g);
    }
}

static void test_no_rows(void **state)
{
    (void)state;
    fwi_graph *g = net(FW_F32, false);
    fwi_buf before = {0}, after = {0};
    assert_int_equal(fwi_graph_print(g, &before), FW_OK);
    assert_int_equal(fwi_lower_blocked(g, &empty), FW_OK);
    assert_int_equal(fwi_graph_print(g, &after), FW_OK);
    assert_string_equal((const char *)before.data, (const char *)after.data);
    fwi_buf_clear(&before);
    fwi_buf_clear(&after);
    fwi_graph_free(g);
}

/* Tables that have some of the rows: whatever is missing, the result verifies. */
static void test_some_rows(void **state)
{
    (void)state;
    for (unsigned mask = 0; mask < 256; mask++) {
        fwi_kernel some[16];
        int n = 0;
        for (int i = 0; i < 10; i++) {
            const bool pool = rows[i].op == FWI_OP_max_pool || rows[i].op == FWI_OP_max_pool_grad;
            if (pool ? mask & 1 : mask >> (1 + i % 7) & 1) /* a pool and its gradient together */
                some[n++] = rows[i];
        }
        some[n] = (fwi_kernel){.run = NULL};
        const fwi_op_table table = {.name = "some", .rows = some};
        fwi_graph *g = net(FW_F32, mask % 3 == 0);
        assert_int_equal(fwi_lower_blocked(g, &table), FW_OK);
        if (fwi_graph_verify(g) != FW_OK)
            fail_msg("mask %u: %s", mask, fw_last_error());
        fwi_graph_free(g);
    }
}

static void test_block_sizes(void **state)
{
    (void)state;
    static const int64_t cases[][2] = {{1, 1},    {7, 7},     {13, 13},   {14, 14},  {20, 10},
                                       {500, 10}, {1000, 10}, {2000, 10}, {512, 12}, {504, 14}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(fwi_block_of(cases[i][0]), cases[i][1]);
    for (int64_t n = 1; n < 3000; n++) {
        const int32_t nb = fwi_block_of(n);
        assert_true(nb >= 1 && nb <= 14 && nb <= n);
    }
}

static void test_allocation_failures(void **state)
{
    (void)state;
    fw_status st = FW_ENOMEM;
    for (int64_t n = 1; st != FW_OK; n++) {
        fwi_graph *g = net(FW_BF16, true);
        fwi_mem_fail_at(n);
        st = fwi_lower_blocked(g, &full);
        fwi_mem_fail_at(0);
        assert_true(st == FW_OK || st == FW_ENOMEM);
        fwi_graph_free(g);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_net),         cmocka_unit_test(test_filters_stay),
        cmocka_unit_test(test_no_rows),     cmocka_unit_test(test_some_rows),
        cmocka_unit_test(test_block_sizes), cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests_name("lower_blocked", tests, NULL, NULL);
}
