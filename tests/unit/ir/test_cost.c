/* test_cost.c: multiply-adds of a graph: DavidNet's, the figure of the walk-through (379,261,952 per
 * image), and sizes that only a forged graph has. */
#include "t_graph.h"

static fwi_val davidnet_conv(fwi_graph *g, fwi_val x, int64_t c_in, int64_t c_out, bool pool)
{
    const fwi_attr two = {.pool = {.k = 2, .stride = 2}};
    fwi_val y = fwi_conv2d_same(g, x, t_var(g, T_SHAPE(c_out, 3, 3, c_in)), 1);
    y = fwi_op1(g, FWI_OP_relu, NULL, y);
    return pool ? fwi_op1(g, FWI_OP_max_pool, &two, y) : y;
}

static fwi_val davidnet_residual(fwi_graph *g, fwi_val x, int64_t c)
{
    const fwi_val y = davidnet_conv(g, davidnet_conv(g, x, c, c, false), c, c, false);
    return fwi_op2(g, FWI_OP_add, NULL, x, y);
}

static int64_t sum_macs(const fwi_graph *g, int32_t first)
{
    int64_t macs = 0;
    for (int32_t i = first; i < g->n_ops; i++)
        macs += fwi_op_macs(g, &g->ops[i]);
    return macs;
}

static void davidnet_macs(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_attr tb = {.matmul = {.tb = 1}};
    fwi_val h = davidnet_conv(g, t_x(g, T_SHAPE(1, 32, 32, 3)), 3, 64, false);
    h = davidnet_residual(g, davidnet_conv(g, h, 64, 128, true), 128);
    h = davidnet_conv(g, h, 128, 256, true);
    h = davidnet_residual(g, davidnet_conv(g, h, 256, 512, true), 512);
    h = fwi_op1(g, FWI_OP_global_max_pool, NULL, h);
    h = fwi_op2(g, FWI_OP_matmul, &tb, h, t_var(g, T_SHAPE(10, 512)));
    t_is_shape(g, h, FW_F32, T_SHAPE(1, 10));
    const int64_t forward = sum_macs(g, 0);
    assert_int_equal(forward, 379261952);
    const int32_t n = g->n_ops;
    const fwi_attr xent = {.xent = {.mean = 0}};
    const fwi_val loss = fwi_op2(g, FWI_OP_softmax_xent, &xent, h, t_in(g, FW_I32, T_SHAPE(1)));
    fwi_val params[9], d[9];
    assert_int_equal(fwi_graph_params(g, params, 9), 9);
    assert_int_equal(fwi_graph_gradient(g, loss, params, 9, d), FW_OK);
    /* backward: twice the forward pass, but for the first layer's input gradient */
    assert_int_equal(sum_macs(g, n), 2 * forward - 1769472);
    fwi_graph_free(g);
}

static void macs_saturate(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_attr plain = {.matmul = {0, 0}};
    const int64_t big = (int64_t)1 << 20;
    fwi_op2(g, FWI_OP_matmul, &plain, t_x(g, T_SHAPE(big, big)), t_x(g, T_SHAPE(big, big)));
    t_ok(g);
    assert_int_equal(fwi_op_macs(g, &g->ops[0]), (int64_t)1 << 60);
    fwi_op op = g->ops[0]; /* sizes that only a forged graph has */
    g->tensors[op.out[0]].shape = T_SHAPE((int64_t)1 << 39, (int64_t)1 << 39);
    assert_int_equal(fwi_op_macs(g, &op), INT64_MAX);
    fwi_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(davidnet_macs),
        cmocka_unit_test(macs_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
