/* test_shapes.c: the type and shape that each op gives, and the limits that hostile sizes must not
 * pass. What rules refuse: test_shapes_refused.c. */
#include "t_graph.h"

/* ---- shapes themselves ---- */

static void shape_elements(void **state)
{
    (void)state;
    const fwi_shape scalar = {0}, s = fwi_shape4(2, 3, 5, 7), one = fwi_shape1(11),
                    two = fwi_shape2(3, 4);
    assert_int_equal(fwi_shape_elems(&scalar), 1);
    assert_int_equal(fwi_shape_elems(&s), 210);
    assert_int_equal(fwi_shape_elems(&one), 11);
    assert_int_equal(fwi_shape_elems(&two), 12);
    const fwi_shape most = fwi_shape2((int64_t)1 << 20, (int64_t)1 << 20);
    assert_int_equal(fwi_shape_elems(&most), FWI_MAX_ELEMS);
    const fwi_shape bad[] = {
        fwi_shape1(0),
        fwi_shape1(-3),
        fwi_shape1(FWI_MAX_ELEMS + 1),
        fwi_shape1(INT64_MAX),
        fwi_shape2((int64_t)1 << 20, ((int64_t)1 << 20) + 1),
        fwi_shape4((int64_t)1 << 32, (int64_t)1 << 32, 1, 1), /* the product wraps to 0 */
        {.rank = 5},
        {.rank = -1},
    };
    for (int i = 0; i < T_COUNT(bad); i++)
        assert_int_equal(fwi_shape_elems(&bad[i]), -1);
    assert_true(fwi_shape_equal(&s, &(fwi_shape){4, {2, 3, 5, 7}}));
    assert_false(fwi_shape_equal(&s, &two));
    assert_true(fwi_shape_equal(&one, &(fwi_shape){1, {11, 99}})); /* beyond the rank: nothing */
}

/* ---- each op, once as it should be ---- */

static void linear_ops(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val x = t_x(g, T_SHAPE(2, 9, 7, 3)), w = t_var(g, T_SHAPE(5, 3, 2, 3));
    const fwi_attr a = {.conv = {.kh = 3,
                                 .kw = 2,
                                 .stride = 2,
                                 .pad_t = 1,
                                 .pad_l = 0,
                                 .pad_b = 2,
                                 .pad_r = 1,
                                 .ih = 9,
                                 .iw = 7}};
    const fwi_val y = fwi_op2(g, FWI_OP_conv2d, &a, x, w); /* (12-3)/2+1, (8-2)/2+1 */
    t_is_shape(g, y, FW_F32, T_SHAPE(2, 5, 4, 5));
    t_is_shape(g, fwi_op2(g, FWI_OP_conv2d_dx, &a, y, w), FW_F32, T_SHAPE(2, 9, 7, 3));
    t_is_shape(g, fwi_op2(g, FWI_OP_conv2d_dw, &a, x, y), FW_F32, T_SHAPE(5, 3, 2, 3));
    t_is_shape(g, fwi_op2(g, FWI_OP_bias_add, NULL, y, t_var(g, T_SHAPE(5))), FW_F32,
               T_SHAPE(2, 5, 4, 5));
    t_is_shape(g, fwi_op1(g, FWI_OP_sum_rows, NULL, y), FW_F32, T_SHAPE(5));
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++) {
            const fwi_attr t = {.matmul = {ta, tb}};
            const fwi_val c =
                fwi_op2(g, FWI_OP_matmul, &t, t_x(g, ta ? T_SHAPE(4, 3) : T_SHAPE(3, 4)),
                        t_x(g, tb ? T_SHAPE(6, 4) : T_SHAPE(4, 6)));
            t_is_shape(g, c, FW_F32, T_SHAPE(3, 6));
        }
    fwi_graph_free(g);
}

static void bn_ops(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val c = t_var(g, T_SHAPE(3)), r = t_stat(g, T_SHAPE(3));
    const fwi_val r2 = t_stat(g, T_SHAPE(3));
    const fwi_shape shapes[] = {T_SHAPE(6, 3), T_SHAPE(6, 5, 3), T_SHAPE(6, 4, 5, 3)};
    for (int i = 0; i < T_COUNT(shapes); i++) {
        const fwi_val x = t_x(g, shapes[i]);
        const fwi_attr a = {.bn = {.eps = 1e-5, .groups = 2}};
        fwi_val y[3], d[3];
        t_op3(g, FWI_OP_bn_train, &a, x, c, c, y);
        t_is_shape(g, y[0], FW_F32, shapes[i]);
        t_is_shape(g, y[1], FW_F32, T_SHAPE(2, 3));
        t_is_shape(g, y[2], FW_F32, T_SHAPE(2, 3));
        const fwi_val in[] = {y[0], x, c, y[1], y[2]}, eval[] = {x, c, c, r, r2},
                      back[] = {x, x, c, r, r2};
        fwi_graph_op(g, FWI_OP_bn_train_grad, &a, in, 5, d);
        t_is_shape(g, d[0], FW_F32, shapes[i]);
        t_is_shape(g, d[1], FW_F32, T_SHAPE(3));
        t_is_shape(g, d[2], FW_F32, T_SHAPE(3));
        t_is_shape(g, fwi_graph_op(g, FWI_OP_bn_eval, &a, eval, 5, NULL), FW_F32, shapes[i]);
        fwi_graph_op(g, FWI_OP_bn_eval_grad, &a, back, 5, d);
        t_is_shape(g, d[0], FW_F32, shapes[i]);
        t_is_shape(g, d[2], FW_F32, T_SHAPE(3));
        const fwi_attr u = {.bn = {.groups = 2, .update = 0.1, .count = 60}};
        const fwi_val update[] = {t_stat(g, T_SHAPE(3)), t_stat(g, T_SHAPE(3)), y[1], y[2]};
        assert_int_equal(fwi_graph_op(g, FWI_OP_bn_update, &u, update, 4, NULL), FWI_NO_VAL);
        t_ok(g);
    }
    fwi_graph_free(g);
}

/* Statistics of groups, and what takes them. */
static void fused_bn_ops(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val c = t_var(g, T_SHAPE(3)), x = t_x(g, T_SHAPE(6, 4, 5, 3));
    const fwi_attr stats = {.stats = {.groups = 3}};
    const fwi_attr pool = {.pool_stats = {.k = 2, .stride = 2, .groups = 2}};
    const fwi_attr plain = {.bn_act = {.fn = FWI_FUSED_RELU}};
    const fwi_attr pooled = {.bn_act = {.fn = FWI_FUSED_RELU, .k = 2, .ih = 4, .iw = 5}};
    fwi_val s[2], y[4], z[2], d[3];
    fwi_graph_op(g, FWI_OP_bn_stats, &stats, &x, 1, s);
    t_is_shape(g, s[0], FW_F32, T_SHAPE(3, 3));
    t_is_shape(g, s[1], FW_F32, T_SHAPE(3, 3));
    fwi_graph_op(g, FWI_OP_max_pool_stats, &pool, &x, 1, y);
    t_is_shape(g, y[0], FW_F32, T_SHAPE(6, 2, 2, 3));
    t_is_shape(g, y[2], FW_F32, T_SHAPE(2, 3));
    t_is_shape(g, y[3], FW_F32, T_SHAPE(2, 3));
    const fwi_val norm[] = {x, c, c, s[0], s[1]}, small[] = {y[0], c, c, y[2], y[3]};
    t_is_shape(g, fwi_graph_op(g, FWI_OP_bn_act, &plain, norm, 5, NULL), FW_F32,
               T_SHAPE(6, 4, 5, 3));
    t_is_shape(g, fwi_graph_op(g, FWI_OP_bn_act, &plain, small, 5, NULL), FW_F32,
               T_SHAPE(6, 2, 2, 3));
    fwi_graph_op(g, FWI_OP_bn_act_pool, &pooled, norm, 5, z);
    t_is_shape(g, z[0], FW_F32, T_SHAPE(6, 2, 2, 3));
    const fwi_val back[] = {z[0], z[1], x, c, c, s[0], s[1]};
    fwi_graph_op(g, FWI_OP_bn_act_pool_grad, &pooled, back, 7, d);
    t_is_shape(g, d[0], FW_F32, T_SHAPE(6, 4, 5, 3));
    t_is_shape(g, d[1], FW_F32, T_SHAPE(3));
    const fwi_val unpool[] = {y[0], y[1], y[0], c, c, y[2], y[3]};
    fwi_graph_op(g, FWI_OP_bn_act_unpool_grad, &pooled, unpool, 7, d);
    t_is_shape(g, d[0], FW_F32, T_SHAPE(6, 4, 5, 3));
    t_is_shape(g, d[2], FW_F32, T_SHAPE(3));
    t_ok(g);
    fwi_graph_free(g);
}

static void pool_ops(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val x = t_x(g, T_SHAPE(2, 7, 9, 3));
    const fwi_attr p = {.pool = {.k = 3, .stride = 2}};
    const fwi_attr back = {.pool = {.k = 3, .stride = 2, .ih = 7, .iw = 9}};
    const fwi_attr size = {.pool = {.ih = 7, .iw = 9}};
    fwi_val y[2];
    fwi_graph_op(g, FWI_OP_max_pool, &p, &x, 1, y);
    t_is_shape(g, y[0], FW_F32, T_SHAPE(2, 3, 4, 3));
    t_is_shape(g, y[1], FW_U8, T_SHAPE(2, 3, 4, 3));
    t_is_shape(g, fwi_op2(g, FWI_OP_max_pool_grad, &back, y[0], y[1]), FW_F32, T_SHAPE(2, 7, 9, 3));
    t_is_shape(g, fwi_op1(g, FWI_OP_avg_pool, &p, x), FW_F32, T_SHAPE(2, 3, 4, 3));
    t_is_shape(g, fwi_op1(g, FWI_OP_avg_pool_grad, &back, y[0]), FW_F32, T_SHAPE(2, 7, 9, 3));
    const fwi_attr image = {.image = {3, 4, 7, 9}};
    t_is_shape(g, fwi_op1(g, FWI_OP_resize, &image, x), FW_F32, T_SHAPE(2, 3, 4, 3));
    t_is_shape(g, fwi_op1(g, FWI_OP_crop, &image, x), FW_F32, T_SHAPE(2, 3, 4, 3));
    t_is_shape(g, fwi_op1(g, FWI_OP_resize_grad, &image, y[0]), FW_F32, T_SHAPE(2, 7, 9, 3));
    t_is_shape(g, fwi_op1(g, FWI_OP_crop_grad, &image, y[0]), FW_F32, T_SHAPE(2, 7, 9, 3));
    fwi_graph_op(g, FWI_OP_global_max_pool, NULL, &x, 1, y);
    t_is_shape(g, y[0], FW_F32, T_SHAPE(2, 3));
    t_is_shape(g, y[1], FW_I32, T_SHAPE(2, 3));
    t_is_shape(g, fwi_op2(g, FWI_OP_global_max_pool_grad, &size, y[0], y[1]), FW_F32,
               T_SHAPE(2, 7, 9, 3));
    t_is_shape(g, fwi_op1(g, FWI_OP_global_avg_pool, NULL, x), FW_F32, T_SHAPE(2, 3));
    t_is_shape(g, fwi_op1(g, FWI_OP_global_avg_pool_grad, &size, y[0]), FW_F32,
               T_SHAPE(2, 7, 9, 3));
    fwi_graph_free(g);
}

static void elementwise_ops(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val x = t_x(g, T_SHAPE(2, 5, 3)), y = t_x(g, T_SHAPE(2, 5, 4));
    const fwi_val rng = t_in(g, FW_I64, T_SHAPE(2)), one = t_x(g, T_SHAPE(1));
    const fwi_attr act = {.act = {.fn = FWI_GELU}}, half = {.scalar = {0.5}};
    const fwi_attr drop = {.dropout = {.p = 0.5, .ordinal = UINT32_MAX}};
    const fwi_attr slice = {.slice = {.begin = 1, .len = 2}};
    const fwi_attr shape = {.shape = {.rank = 2, .d0 = 6, .d1 = 5}}, bytes = {.cast = {FW_U8}};
    const fwi_attr fill = {
        .fill = {.rank = 3, .d0 = 2, .d1 = 1, .d2 = 4, .dtype = FW_I32, .value = -7}};
    const fwi_attr point = {.fill = {.dtype = FW_F64, .value = 0.5}};
    const fwi_val like_x[] = {
        fwi_op1(g, FWI_OP_relu, NULL, x),          fwi_op2(g, FWI_OP_relu_grad, NULL, x, x),
        fwi_op1(g, FWI_OP_act, &act, x),           fwi_op2(g, FWI_OP_act_grad, &act, x, x),
        fwi_op2(g, FWI_OP_add, NULL, x, x),        fwi_op1(g, FWI_OP_scale, &half, x),
        fwi_op2(g, FWI_OP_scale_by, NULL, x, one), fwi_op2(g, FWI_OP_dropout, &drop, x, rng),
    };
    for (int i = 0; i < T_COUNT(like_x); i++)
        t_is_shape(g, like_x[i], FW_F32, T_SHAPE(2, 5, 3));
    t_is_shape(g, fwi_op2(g, FWI_OP_concat, NULL, x, y), FW_F32, T_SHAPE(2, 5, 7));
    t_is_shape(g, fwi_op1(g, FWI_OP_slice, &slice, x), FW_F32, T_SHAPE(2, 5, 2));
    t_is_shape(g, fwi_op1(g, FWI_OP_reshape, &shape, x), FW_F32, T_SHAPE(6, 5));
    t_is_shape(g, fwi_op1(g, FWI_OP_cast, &bytes, x), FW_U8, T_SHAPE(2, 5, 3));
    t_is_shape(g, fwi_graph_op(g, FWI_OP_fill, &fill, NULL, 0, NULL), FW_I32, T_SHAPE(2, 1, 4));
    t_is_shape(g, fwi_graph_op(g, FWI_OP_fill, &point, NULL, 0, NULL), FW_F64, (fwi_shape){0});
    fwi_graph_free(g);
}

static void head_and_updates(void **state)
{
    (void)state;
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F64), FW_OK);
    const fwi_val logits = t_x(g, T_SHAPE(4, 10)), labels = t_in(g, FW_I32, T_SHAPE(4));
    const fwi_attr xent = {.xent = {.smoothing = 0.2, .mean = 1}}, clip = {.scalar = {1.0}};
    fwi_val y[2];
    const fwi_val in[] = {logits, labels};
    fwi_graph_op(g, FWI_OP_softmax_xent, &xent, in, 2, y);
    t_is_shape(g, y[0], FW_F64, T_SHAPE(1));
    t_is_shape(g, y[1], FW_F64, T_SHAPE(4));
    t_is_shape(g, t_op3(g, FWI_OP_softmax_xent_grad, &xent, logits, labels, y[0], NULL), FW_F64,
               T_SHAPE(4, 10));
    t_is_shape(g, fwi_op1(g, FWI_OP_softmax, NULL, logits), FW_F64, T_SHAPE(4, 10));
    t_is_shape(g, fwi_op2(g, FWI_OP_count_correct, NULL, logits, labels), FW_F64, T_SHAPE(1));
    const fwi_val ss = fwi_op2(g, FWI_OP_sum_squares, NULL, logits, t_x(g, T_SHAPE(1)));
    t_is_shape(g, ss, FW_F64, T_SHAPE(1));
    t_is_shape(g, fwi_op1(g, FWI_OP_clip_factor, &clip, ss), FW_F64, T_SHAPE(1));

    const fwi_shape s = T_SHAPE(4, 10);
    const fwi_val hyper = t_in(g, FW_F64, T_SHAPE(4));
    const fwi_val sgd_in[] = {t_var(g, s), t_stat(g, s), logits, hyper};
    const fwi_val adam_in[] = {t_var(g, s), t_stat(g, s), t_stat(g, s), logits, hyper};
    const fwi_attr sgd = {.optim = {.momentum = 0.9, .form = FWI_NESTEROV_PAGE, .wd_col = 3}};
    const fwi_attr adam = {
        .optim = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .wd_col = 1, .bc_col = 2}};
    assert_int_equal(fwi_graph_op(g, FWI_OP_sgd, &sgd, sgd_in, 4, NULL), FWI_NO_VAL);
    assert_int_equal(fwi_graph_op(g, FWI_OP_adam, &adam, adam_in, 5, NULL), FWI_NO_VAL);
    t_ok(g);
    assert_int_equal(fwi_op_mutates(FWI_OP_sgd), 2);
    assert_int_equal(fwi_op_mutates(FWI_OP_adam), 3);
    assert_int_equal(fwi_op_mutates(FWI_OP_add), 0);
    fwi_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_elements),   cmocka_unit_test(linear_ops),
        cmocka_unit_test(bn_ops),           cmocka_unit_test(fused_bn_ops),
        cmocka_unit_test(pool_ops),         cmocka_unit_test(elementwise_ops),
        cmocka_unit_test(head_and_updates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
