/* test_nets.c: the gradient of whole small nets in double, against differences: how ops, their
 * gradients and the graph's bookkeeping (values used twice, views, masks) work together. And that
 * every test file that ops.def names is there. */
#include "t_grad.h"

#include <stdio.h>

static fwi_val conv_bn(t_net *net, fwi_val x, const char *name, int64_t oc)
{
    fwi_graph *g = t_net_graph(net);
    if (x == FWI_NO_VAL)
        return x;
    const int64_t c = g->tensors[x].shape.d[3];
    char text[32];
    snprintf(text, sizeof text, "%s/w", name);
    const fwi_val w = t_net_param(net, text, fwi_shape4(oc, 3, 3, c), T_NORMAL);
    snprintf(text, sizeof text, "%s/gamma", name);
    const fwi_val gamma = t_net_param(net, text, fwi_shape1(oc), T_SHIFTED);
    snprintf(text, sizeof text, "%s/beta", name);
    const fwi_val beta = t_net_param(net, text, fwi_shape1(oc), T_NORMAL);
    const fwi_val in[] = {fwi_conv2d_same(g, x, w, 1), gamma, beta};
    const fwi_attr bn = {.bn = {.eps = 1e-3, .groups = 2}};
    return fwi_graph_op(g, FWI_OP_bn_train, &bn, in, 3, NULL);
}

static fwi_val head(t_net *net, fwi_val h, bool mean)
{
    fwi_graph *g = t_net_graph(net);
    if (h == FWI_NO_VAL)
        return h;
    const int64_t n = g->tensors[h].shape.d[0], c = g->tensors[h].shape.d[1];
    const fwi_val w = t_net_param(net, "head/w", fwi_shape2(7, c), T_NORMAL);
    const fwi_val y = t_net_ints(net, "labels", FW_I32, fwi_shape1(n), -1, 6);
    const fwi_attr mm = {.matmul = {0, 1}}, eighth = {.scalar = {0.125}};
    const fwi_attr xent = {.xent = {.smoothing = 0.1, .mean = mean}};
    const fwi_val logits = fwi_op1(g, FWI_OP_scale, &eighth, fwi_op2(g, FWI_OP_matmul, &mm, h, w));
    return fwi_op2(g, FWI_OP_softmax_xent, &xent, logits, y);
}

/* The walk-through's net in small: conv-bn-relu, pool, a residual block, a global maximum. */
static fwi_val build_relu(t_net *net, const void *arg)
{
    (void)arg;
    fwi_graph *g = t_net_graph(net);
    const fwi_attr half = {.pool = {.k = 2, .stride = 2}};
    const fwi_val x = t_net_param(net, "x", fwi_shape4(6, 6, 6, 3), T_NORMAL);
    const fwi_val a = conv_bn(net, x, "prep", 5);
    const fwi_val b = fwi_op1(g, FWI_OP_relu, NULL, a);
    const fwi_val pooled = fwi_op1(g, FWI_OP_max_pool, &half, b);
    const fwi_val c = conv_bn(net, pooled, "res", 5);
    const fwi_val sum = fwi_op2(g, FWI_OP_add, NULL, pooled, fwi_op1(g, FWI_OP_relu, NULL, c));
    t_net_away(net, a);
    t_net_apart(net, b, 2, 2);
    t_net_away(net, c);
    t_net_apart(net, sum, 3, 1);
    return head(net, fwi_op1(g, FWI_OP_global_max_pool, NULL, sum), true);
}

/* Its smooth twin, with what the other has not: bias, dropout, two global pools joined, a reshape.
 */
static fwi_val build_smooth(t_net *net, const void *arg)
{
    (void)arg;
    static const double rng[] = {3, 4};
    fwi_graph *g = t_net_graph(net);
    const fwi_attr half = {.pool = {.k = 2, .stride = 2}}, gelu = {.act = {FWI_GELU, 0}};
    const fwi_attr celu = {.act = {FWI_CELU, 0.3}}, drop = {.dropout = {0.25, 0}};
    const fwi_val x = t_net_param(net, "x", fwi_shape4(4, 6, 6, 2), T_NORMAL);
    const fwi_val a = fwi_op1(g, FWI_OP_act, &gelu, conv_bn(net, x, "prep", 4));
    const fwi_val pooled = fwi_op1(g, FWI_OP_avg_pool, &half, a);
    const fwi_val bias = t_net_param(net, "bias", fwi_shape1(4), T_NORMAL);
    const fwi_val b = fwi_op2(g, FWI_OP_bias_add, NULL, pooled, bias);
    const fwi_val c = fwi_op1(g, FWI_OP_act, &celu, b);
    const fwi_val sum = fwi_op2(g, FWI_OP_add, NULL, c, pooled);
    const fwi_val r = t_net_values(net, "rng", FW_I64, fwi_shape1(2), rng);
    const fwi_val d = fwi_op2(g, FWI_OP_dropout, &drop, sum, r);
    const fwi_attr flat = {.shape = {.rank = 2, .d0 = 4, .d1 = 36}};
    const fwi_val both = fwi_op2(g, FWI_OP_concat, NULL, fwi_op1(g, FWI_OP_reshape, &flat, d),
                                 fwi_op1(g, FWI_OP_global_avg_pool, NULL, sum));
    return head(net, both, false);
}

static void test_relu_net(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        t_net_check("small residual net", build_relu, NULL, 1e-7);
}

static void test_smooth_net(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        t_net_check("small smooth net", build_smooth, NULL, 1e-7);
}

static void test_files(void **state)
{
    (void)state;
    for (int i = 0; i < FWI_OP_COUNT; i++) {
        const fwi_op_info *info = fwi_op_info_get((fwi_opkind)i);
        char path[512];
        snprintf(path, sizeof path, "%s/tests/ops/%s.c", FW_SOURCE_DIR, info->test);
        FILE *f = fopen(path, "r");
        if (f == NULL)
            fail_msg("ops.def says that %s.c tests %s; there is no such file", info->test,
                     info->name);
        fclose(f);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_relu_net),
        cmocka_unit_test(test_smooth_net),
    };
    return t_main(argc, argv, "test_nets", tests, sizeof tests / sizeof *tests);
}
