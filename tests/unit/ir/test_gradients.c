/* test_gradients.c: which ops a gradient consists of. Whether their numbers are right is checked in
 * tests/ops, against central differences. */
#include "t_graph.h"

static fwi_val xent(fwi_graph *g, fwi_val logits, fwi_val labels)
{
    const fwi_attr a = {.xent = {.smoothing = 0.1, .mean = 1}};
    return fwi_op2(g, FWI_OP_softmax_xent, &a, logits, labels);
}

/* A loss of one element out of anything: reshape, then a product with a fixed column, and a row. */
static fwi_val total(fwi_graph *g, fwi_val v)
{
    const int64_t n = fwi_shape_elems(&g->tensors[v].shape);
    const fwi_attr row = {.shape = {.rank = 2, .d0 = 1, .d1 = n}};
    const fwi_attr plain = {.matmul = {0}};
    return fwi_op2(g, FWI_OP_matmul, &plain, fwi_op1(g, FWI_OP_reshape, &row, v),
                   t_x(g, T_SHAPE(n, 1)));
}

static fwi_val gradient1(fwi_graph *g, fwi_val loss, fwi_val param)
{
    fwi_val d = FWI_NO_VAL;
    if (fwi_graph_gradient(g, loss, &param, 1, &d) != FW_OK)
        fail_msg("%s", fw_last_error());
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    assert_int_equal(g->tensors[d].grad_of, param);
    t_is_shape(g, d, g->real, g->tensors[param].shape);
    return d;
}

static void small_net(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val x = t_x(g, T_SHAPE(4, 9, 9, 3)), labels = t_in(g, FW_I32, T_SHAPE(4));
    const fwi_val w1 = t_var(g, T_SHAPE(8, 3, 3, 3)), w2 = t_var(g, T_SHAPE(8, 3, 3, 8));
    const fwi_val gamma = t_var(g, T_SHAPE(8)), beta = t_var(g, T_SHAPE(8));
    const fwi_val dense = t_var(g, T_SHAPE(10, 8)), bias = t_var(g, T_SHAPE(10));
    const fwi_attr bn = {.bn = {.eps = 1e-5, .groups = 2}};
    const fwi_attr pool = {.pool = {.k = 2, .stride = 2}}, tb = {.matmul = {.tb = 1}};
    const fwi_val h1 = fwi_conv2d_same(g, x, w1, 1);
    const fwi_val in[] = {h1, gamma, beta};
    fwi_val bn_out[3];
    fwi_graph_op(g, FWI_OP_bn_train, &bn, in, 3, bn_out);
    const fwi_val a1 = fwi_op1(g, FWI_OP_relu, NULL, bn_out[0]);
    const fwi_val p = fwi_op1(g, FWI_OP_max_pool, &pool, a1);
    const fwi_val h2 = fwi_op2(g, FWI_OP_add, NULL, p, fwi_conv2d_pad(g, p, w2, 1, 1));
    const fwi_val f = fwi_op1(g, FWI_OP_global_max_pool, NULL, h2);
    const fwi_val logits =
        fwi_op2(g, FWI_OP_bias_add, NULL, fwi_op2(g, FWI_OP_matmul, &tb, f, dense), bias);
    const fwi_val loss = xent(g, logits, labels);
    t_ok(g);
    const int32_t n_forward = g->n_ops;

    fwi_val params[8], d[8];
    const int n = fwi_graph_params(g, params, 8);
    assert_int_equal(n, 6);
    assert_int_equal(params[0], w1);
    assert_int_equal(params[5], bias);
    if (fwi_graph_gradient(g, loss, params, n, d) != FW_OK)
        fail_msg("%s", fw_last_error());
    if (fwi_graph_verify(g) != FW_OK)
        fail_msg("%s", fw_last_error());
    for (int i = 0; i < n; i++) {
        assert_int_equal(g->tensors[d[i]].grad_of, params[i]);
        t_is_shape(g, d[i], FW_F32, g->tensors[params[i]].shape);
    }
    assert_int_equal(t_count(g, FWI_OP_conv2d_dx), 1); /* none for the first layer */
    assert_int_equal(t_count(g, FWI_OP_conv2d_dw), 2);
    assert_int_equal(t_count(g, FWI_OP_bn_train_grad), 1);
    assert_int_equal(t_count(g, FWI_OP_matmul), 3);
    assert_int_equal(t_count(g, FWI_OP_sum_rows), 1);
    assert_int_equal(t_count(g, FWI_OP_add), 2); /* forward, and the two ways out of the pool */
    assert_int_equal(t_count(g, FWI_OP_fill), 1);
    assert_int_equal(g->n_ops - n_forward, 13);

    const fwi_op *dw1 = t_producer(g, d[0]);
    assert_int_equal(dw1->kind, FWI_OP_conv2d_dw);
    assert_int_equal(dw1->in[0], x);
    assert_int_equal(dw1->attr.conv.ih, 9);
    const fwi_op *grad = t_producer(g, d[2]);
    assert_int_equal(grad->kind, FWI_OP_bn_train_grad);
    assert_int_equal(grad->in[1], h1);
    assert_int_equal(grad->in[3], bn_out[1]);
    assert_int_equal(grad->out[1], d[2]);
    assert_int_equal(grad->out[2], d[3]);
    assert_int_equal(grad->attr.bn.groups, 2);
    const fwi_op *dpool = t_producer(g, t_producer(g, grad->in[0])->in[0]);
    assert_int_equal(dpool->kind, FWI_OP_max_pool_grad);
    assert_int_equal(dpool->attr.pool.ih, 9);
    assert_int_equal(dpool->attr.pool.iw, 9);
    assert_int_equal(dpool->attr.pool.k, 2);
    fwi_graph_free(g);
}

static void matmul_transposes(void **state)
{
    (void)state;
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++) {
            fwi_graph *g = t_graph();
            const fwi_val a = t_var(g, ta ? T_SHAPE(5, 3) : T_SHAPE(3, 5));
            const fwi_val b = t_var(g, tb ? T_SHAPE(7, 5) : T_SHAPE(5, 7));
            const fwi_attr t = {.matmul = {.ta = ta, .tb = tb}};
            const fwi_val c = fwi_op2(g, FWI_OP_matmul, &t, a, b);
            t_is_shape(g, c, FW_F32, T_SHAPE(3, 7));
            const fwi_val params[2] = {a, b}, loss = total(g, c);
            fwi_val d[2];
            assert_int_equal(fwi_graph_gradient(g, loss, params, 2, d), FW_OK);
            assert_int_equal(fwi_graph_verify(g), FW_OK); /* the shapes leave one formula each */
            const fwi_op *da = t_producer(g, d[0]), *db = t_producer(g, d[1]);
            assert_int_equal(da->kind, FWI_OP_matmul);
            assert_int_equal(da->in[ta ? 0 : 1], b);
            assert_int_equal(db->kind, FWI_OP_matmul);
            assert_int_equal(db->in[tb ? 1 : 0], a);
            fwi_graph_free(g);
        }
}

static void contributions_are_summed(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val w = t_var(g, T_SHAPE(2, 3));
    const fwi_val twice = fwi_op2(g, FWI_OP_add, NULL, w, w);
    const fwi_val thrice = fwi_op2(g, FWI_OP_add, NULL, twice, w);
    const fwi_val d = gradient1(g, total(g, thrice), w);
    assert_int_equal(t_producer(g, d)->kind, FWI_OP_add); /* the last sum is what is marked */
    assert_int_equal(t_count(g, FWI_OP_add), 4);
    fwi_graph_free(g);
}

/* Both variables of a sum have the same gradient: each gets a place of its own. */
static void shared_gradient_is_copied(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val a = t_var(g, T_SHAPE(1)), b = t_var(g, T_SHAPE(1));
    const fwi_val params[2] = {a, b}, loss = fwi_op2(g, FWI_OP_add, NULL, a, b);
    fwi_val d[2];
    assert_int_equal(fwi_graph_gradient(g, loss, params, 2, d), FW_OK);
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    assert_int_not_equal(d[0], d[1]);
    assert_int_equal(t_producer(g, d[0])->kind, FWI_OP_fill);
    assert_int_equal(t_producer(g, d[1])->kind, FWI_OP_scale);
    assert_int_equal(t_producer(g, d[1])->in[0], d[0]);
    assert_true(t_producer(g, d[1])->attr.scalar.value == 1.0);
    fwi_graph_free(g);
}

/* A gradient that would be a view is copied: a view has no memory of its own. */
static void view_gradient_is_copied(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val w = t_var(g, T_SHAPE(2, 3));
    const fwi_val d = gradient1(g, total(g, w), w); /* total reshapes w */
    assert_int_equal(t_producer(g, d)->kind, FWI_OP_scale);
    assert_int_equal(t_count(g, FWI_OP_reshape), 2);
    fwi_graph_free(g);
}

static void independent_parameter_gets_zeros(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val used = t_var(g, T_SHAPE(1)), unused = t_var(g, T_SHAPE(2, 5));
    const fwi_val loss = fwi_op1(g, FWI_OP_relu, NULL, used);
    const fwi_val params[2] = {unused, used};
    fwi_val d[2];
    assert_int_equal(fwi_graph_gradient(g, loss, params, 2, d), FW_OK);
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    const fwi_op *zeros = t_producer(g, d[0]);
    assert_int_equal(zeros->kind, FWI_OP_fill);
    assert_true(zeros->attr.fill.value == 0.0);
    assert_int_equal(g->tensors[d[0]].grad_of, unused);
    t_is_shape(g, d[0], FW_F32, T_SHAPE(2, 5));
    assert_int_equal(t_producer(g, d[1])->kind, FWI_OP_relu_grad);
    fwi_graph_free(g);
}

/* A loss of inputs alone: every gradient is zeros. */
static void loss_without_parameters(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val loss = fwi_op1(g, FWI_OP_relu, NULL, t_x(g, T_SHAPE(1)));
    const fwi_val w = t_var(g, T_SHAPE(3));
    assert_int_equal(t_producer(g, gradient1(g, loss, w))->kind, FWI_OP_fill);
    assert_int_equal(g->n_ops, 2);
    fwi_graph_free(g);
}

static void movement_and_pools(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val w = t_var(g, T_SHAPE(2, 5, 4, 3)), v = t_var(g, T_SHAPE(2, 5, 4, 2));
    const fwi_val rng = t_in(g, FW_I64, T_SHAPE(2));
    const fwi_attr act = {.act = {.fn = FWI_CELU, .alpha = 0.3}}, half = {.scalar = {0.5}};
    const fwi_attr drop = {.dropout = {.p = 0.25, .ordinal = 7}};
    const fwi_attr pool = {.pool = {.k = 2, .stride = 1}}, same = {.cast = {FW_F32}};
    fwi_val h = fwi_op2(g, FWI_OP_concat, NULL, w, v);
    h = fwi_op1(g, FWI_OP_act, &act, h);
    h = fwi_op1(g, FWI_OP_scale, &half, h);
    h = fwi_op2(g, FWI_OP_dropout, &drop, h, rng);
    h = fwi_op1(g, FWI_OP_cast, &same, h);
    h = fwi_op1(g, FWI_OP_avg_pool, &pool, h);
    t_is_shape(g, h, FW_F32, T_SHAPE(2, 4, 3, 5));
    h = fwi_op1(g, FWI_OP_global_avg_pool, NULL, h);
    const fwi_val params[2] = {w, v}, loss = total(g, h);
    fwi_val d[2];
    if (fwi_graph_gradient(g, loss, params, 2, d) != FW_OK)
        fail_msg("%s", fw_last_error());
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    for (int i = 0; i < 2; i++) { /* back through the chain, from the end that is the variable's */
        static const fwi_opkind chain[] = {FWI_OP_slice,
                                           FWI_OP_act_grad,
                                           FWI_OP_scale,
                                           FWI_OP_dropout,
                                           FWI_OP_cast,
                                           FWI_OP_avg_pool_grad,
                                           FWI_OP_global_avg_pool_grad,
                                           FWI_OP_reshape,
                                           FWI_OP_matmul,
                                           FWI_OP_fill};
        fwi_val at = d[i];
        for (int k = 0; k < T_COUNT(chain); k++) {
            const fwi_op *op = t_producer(g, at);
            assert_int_equal(op->kind, chain[k]);
            at = op->in[0];
        }
    }
    const fwi_op *slice = t_producer(g, d[1]), *again = NULL;
    assert_int_equal(slice->attr.slice.begin, 3);
    assert_int_equal(slice->attr.slice.len, 2);
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (g->ops[i].kind == FWI_OP_dropout)
            again = &g->ops[i];
        if (g->ops[i].kind == FWI_OP_global_avg_pool_grad)
            assert_int_equal(g->ops[i].attr.pool.ih, 4);
        if (g->ops[i].kind == FWI_OP_avg_pool_grad)
            assert_int_equal(g->ops[i].attr.pool.iw, 4);
    }
    assert_int_equal(again->attr.dropout.ordinal, 7); /* the same mask */
    assert_int_equal(again->in[1], rng);
    fwi_graph_free(g);
}

static void bn_eval_gradient(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val x = t_x(g, T_SHAPE(4, 3)), gamma = t_var(g, T_SHAPE(3)),
                  beta = t_var(g, T_SHAPE(3));
    const fwi_val rmean = t_stat(g, T_SHAPE(3)), rvar = t_stat(g, T_SHAPE(3));
    const fwi_attr bn = {.bn = {.eps = 1e-5}};
    const fwi_val in[] = {x, gamma, beta, rmean, rvar};
    const fwi_val y = fwi_graph_op(g, FWI_OP_bn_eval, &bn, in, 5, NULL);
    const fwi_op *op = t_producer(g, gradient1(g, total(g, y), gamma));
    assert_int_equal(op->kind, FWI_OP_bn_eval_grad);
    assert_int_equal(op->in[3], rmean);
    assert_int_equal(op->in[4], rvar);
    fwi_graph_free(g);
}

static void infos_say_who_has_a_rule(void **state)
{
    (void)state;
    int n = 0;
    for (int k = 0; k < FWI_OP_COUNT; k++)
        n += fwi_op_info_get((fwi_opkind)k)->has_grad;
    assert_int_equal(n, 20);
    assert_true(fwi_op_info_get(FWI_OP_conv2d)->has_grad);
    assert_false(fwi_op_info_get(FWI_OP_conv2d_dx)->has_grad);
    assert_string_equal(fwi_op_info_get(FWI_OP_sgd)->name, "sgd");
    assert_string_equal(fwi_op_info_get(FWI_OP_sgd)->attr, "optim");
    assert_string_equal(fwi_op_info_get(FWI_OP_sgd)->test, "test_optim");
}

static void refused(fwi_graph *g, fwi_val loss, fwi_val param, const char *why)
{
    fwi_val d = 77;
    assert_int_not_equal(fwi_graph_gradient(g, loss, &param, 1, &d), FW_OK);
    t_message_has(why);
    assert_int_equal(d, FWI_NO_VAL);
    assert_int_not_equal(fwi_graph_status(g), FW_OK); /* it sticks */
    fwi_graph_free(g);
}

static void refusals(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    fwi_val w = t_var(g, T_SHAPE(2, 3));
    refused(g, w, w, "expected one element of type f32");

    g = t_graph();
    refused(g, 5, t_var(g, T_SHAPE(1)), "no tensor of this graph");

    g = t_graph();
    w = t_var(g, T_SHAPE(1));
    refused(g, w, t_x(g, T_SHAPE(1)), "no trainable variable");

    g = t_graph();
    w = t_stat(g, T_SHAPE(1));
    refused(g, w, w, "no trainable variable");

    g = t_graph(); /* no rule: the message names the op */
    w = t_var(g, T_SHAPE(1));
    refused(g, fwi_op2(g, FWI_OP_sum_squares, NULL, w, w), w,
            "sum_squares: the op has no gradient");

    g = t_graph(); /* rows of the loss */
    w = t_var(g, T_SHAPE(1, 3));
    const fwi_val labels = t_in(g, FW_I32, T_SHAPE(1)), in[] = {w, labels};
    const fwi_attr a = {.xent = {.mean = 1}};
    fwi_val outs[3];
    fwi_graph_op(g, FWI_OP_softmax_xent, &a, in, 2, outs);
    refused(g, outs[1], w, "not the rows");

    g = t_graph(); /* the statistics of a batch */
    w = t_var(g, T_SHAPE(4, 1));
    const fwi_attr bn = {.bn = {.eps = 1e-5, .groups = 1}};
    const fwi_val bn_in[] = {w, t_var(g, T_SHAPE(1)), t_var(g, T_SHAPE(1))};
    fwi_graph_op(g, FWI_OP_bn_train, &bn, bn_in, 3, outs);
    refused(g, outs[1], w, "statistics");

    g = t_graph(); /* twice */
    w = t_var(g, T_SHAPE(1));
    const fwi_val loss = fwi_op1(g, FWI_OP_relu, NULL, w);
    gradient1(g, loss, w);
    refused(g, loss, w, "has a gradient already");

    g = t_graph();
    const fwi_val both[] = {t_var(g, T_SHAPE(1)), 0};
    fwi_val d[2];
    assert_int_equal(fwi_graph_gradient(g, 0, both, 2, d), FW_EARG);
    t_message_has("named twice");
    fwi_graph_free(g);
}

/* Every allocation fails once; after the error nothing is lost and nothing leaks. */
static void allocation_failures(void **state)
{
    (void)state;
    bool done = false;
    for (int64_t at = 1; !done; at++) {
        assert_true(at < 100);
        fwi_graph *g = NULL;
        fwi_mem_fail_at(at);
        fw_status st = fwi_graph_new(&g, FW_F32);
        if (st == FW_OK) {
            fwi_val h = t_x(g, T_SHAPE(2, 8, 8, 3));
            for (int i = 0; i < 30; i++) {
                const fwi_val w = t_var(g, T_SHAPE(3, 3, 3, 3));
                h = fwi_op1(g, FWI_OP_relu, NULL, fwi_conv2d_same(g, h, w, 1));
            }
            fwi_val params[30], d[30];
            const fwi_val loss = g->status == FW_OK ? total(g, h) : 0;
            const int n = fwi_graph_params(g, params, 30);
            st = fwi_graph_gradient(g, loss, params, n, d);
            done = st == FW_OK;
        }
        fwi_mem_fail_at(0);
        if (!done) {
            assert_int_equal(st, FW_ENOMEM);
            t_message_has("out of memory");
        }
        fwi_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_net),
        cmocka_unit_test(matmul_transposes),
        cmocka_unit_test(contributions_are_summed),
        cmocka_unit_test(shared_gradient_is_copied),
        cmocka_unit_test(view_gradient_is_copied),
        cmocka_unit_test(independent_parameter_gets_zeros),
        cmocka_unit_test(loss_without_parameters),
        cmocka_unit_test(movement_and_pools),
        cmocka_unit_test(bn_eval_gradient),
        cmocka_unit_test(infos_say_who_has_a_rule),
        cmocka_unit_test(refusals),
        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
