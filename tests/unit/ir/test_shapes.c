/* test_shapes.c: the type and shape that each op gives, and what it refuses; the builder's error
 * that sticks; limits that hostile sizes must not pass. */
#include "t_graph.h"

#include <math.h>

/* Expects that the builder refused, with each of the words in its message. */
static void refused(fwi_graph *g, fw_status st, const char *a, const char *b)
{
    const fw_status got = fwi_graph_status(g);
    if (got != st)
        fail_msg("status %s (%s), expected %s with \"%s\"", fw_status_name(got),
                 got == FW_OK ? "" : fw_last_error(), fw_status_name(st), a);
    t_message_has(a);
    if (b != NULL)
        t_message_has(b);
    fwi_graph_free(g);
}

static fwi_val op3(fwi_graph *g, fwi_opkind kind, const fwi_attr *a, fwi_val x, fwi_val y,
                   fwi_val z, fwi_val *outs)
{
    const fwi_val in[] = {x, y, z};
    return fwi_graph_op(g, kind, a, in, 3, outs);
}

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
        op3(g, FWI_OP_bn_train, &a, x, c, c, y);
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
    t_is_shape(g, op3(g, FWI_OP_softmax_xent_grad, &xent, logits, labels, y[0], NULL), FW_F64,
               T_SHAPE(4, 10));
    t_is_shape(g, fwi_op1(g, FWI_OP_softmax, NULL, logits), FW_F64, T_SHAPE(4, 10));
    t_is_shape(g, fwi_op2(g, FWI_OP_count_correct, NULL, logits, labels), FW_F64, T_SHAPE(1));
    const fwi_val ss = fwi_op1(g, FWI_OP_sum_squares, NULL, logits);
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

/* ---- what is refused ---- */

static void conv_refusals(void **state)
{
    (void)state;
    const fwi_conv_attr good = {.kh = 3, .kw = 3, .stride = 1, .ih = 8, .iw = 8};
    const struct {
        fwi_shape x, w;
        size_t field; /* set to value; 0 sets kh */
        int64_t value;
        const char *why;
    } cases[] = {
        {T_SHAPE(2, 8, 8, 3), T_SHAPE(4, 3, 3, 5), 0, 3, "x has 3 channels, w is for 5"},
        {T_SHAPE(2, 8, 8), T_SHAPE(4, 3, 3, 3), 0, 3, "x has 3 dimensions, expected 4"},
        {T_SHAPE(2, 8, 8, 3), T_SHAPE(4, 27), 0, 3, "w has 2 dimensions, expected 4"},
        {T_SHAPE(2, 7, 8, 3), T_SHAPE(4, 3, 3, 3), 0, 3, "x is 7x8, the attributes say ih=8 iw=8"},
        {T_SHAPE(2, 8, 8, 3), T_SHAPE(4, 3, 5, 3), 0, 3, "w is 3x5, the attributes say kh=3 kw=3"},
        {T_SHAPE(2, 8, 8, 3), T_SHAPE(4, 3, 3, 3), offsetof(fwi_conv_attr, stride), 0,
         "stride is 0"},
        {T_SHAPE(2, 8, 8, 3), T_SHAPE(4, 3, 3, 3), offsetof(fwi_conv_attr, pad_r), -1,
         "pad_r is -1"},
        {T_SHAPE(2, 8, 8, 3), T_SHAPE(4, 3, 3, 3), offsetof(fwi_conv_attr, pad_t), INT64_MAX,
         "pad_t is"},
        {T_SHAPE(2, 8, 8, 3), T_SHAPE(4, 9, 3, 3), 0, 9,
         "the filter of 9x3 is larger than the padded input of 8x8"},
    };
    for (int i = 0; i < T_COUNT(cases); i++) {
        fwi_graph *g = t_graph();
        fwi_attr a = {.conv = good};
        memcpy((char *)&a.conv + cases[i].field, &cases[i].value, sizeof cases[i].value);
        g->where = "prep";
        assert_int_equal(fwi_op2(g, FWI_OP_conv2d, &a, t_x(g, cases[i].x), t_x(g, cases[i].w)),
                         FWI_NO_VAL);
        const fw_status st = fwi_graph_status(g);
        t_message_has("prep: conv2d(f32["); /* layer, op, shapes */
        refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why, NULL);
    }
    fwi_graph *g = t_graph();
    const fwi_attr a = {.conv = good};
    fwi_op2(g, FWI_OP_conv2d_dx, &a, t_x(g, T_SHAPE(2, 6, 5, 4)), t_x(g, T_SHAPE(4, 3, 3, 3)));
    refused(g, FW_ESHAPE, "dy is 6x5, the attributes give 6x6", NULL);
    g = t_graph();
    fwi_op2(g, FWI_OP_conv2d_dx, &a, t_x(g, T_SHAPE(2, 6, 6, 5)), t_x(g, T_SHAPE(4, 3, 3, 3)));
    refused(g, FW_ESHAPE, "dy has 5 channels, w gives 4", NULL);
    g = t_graph();
    fwi_op2(g, FWI_OP_conv2d_dw, &a, t_x(g, T_SHAPE(3, 8, 8, 3)), t_x(g, T_SHAPE(2, 6, 6, 4)));
    refused(g, FW_ESHAPE, "x has 3 images, dy 2", NULL);
    g = t_graph();
    fwi_op2(g, FWI_OP_conv2d, NULL, t_x(g, T_SHAPE(3, 8, 8, 3)), t_x(g, T_SHAPE(2, 3, 3, 3)));
    refused(g, FW_EARG, "conv2d: attributes are missing", NULL);
    /* padding makes the output larger than any tensor may be, without an overflow on the way */
    g = t_graph();
    const fwi_attr wide = {.conv = {1, 1, 1, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 8, 8, 0}};
    fwi_op2(g, FWI_OP_conv2d, &wide, t_x(g, T_SHAPE(2, 8, 8, 3)), t_x(g, T_SHAPE(4, 1, 1, 3)));
    refused(g, FW_ESHAPE, "output 0 would be", "more than 2^40 elements");
}

/* One op on one or two real inputs of the given shapes. */
typedef struct pair {
    fwi_opkind kind;
    fwi_attr attr;
    fwi_shape a, b; /* b of rank 0: no second input */
    const char *why;
} pair;

static void pair_refusals(void **state)
{
    (void)state;
    const fwi_shape none = {0};
    const pair cases[] = {
        {FWI_OP_matmul,
         {.matmul = {0, 0}},
         T_SHAPE(3, 4),
         T_SHAPE(5, 6),
         "a has 4 columns, b has 5"},
        {FWI_OP_matmul, {.matmul = {1, 1}}, T_SHAPE(3, 4), T_SHAPE(5, 6), "transposed a has 3"},
        {FWI_OP_matmul, {.matmul = {2, 0}}, T_SHAPE(3, 4), T_SHAPE(4, 6), "ta is 2"},
        {FWI_OP_matmul, {.matmul = {0, 0}}, T_SHAPE(3, 4, 1), T_SHAPE(4, 6), "a has 3 dimensions"},
        {FWI_OP_bias_add, {{0}}, T_SHAPE(3, 4), T_SHAPE(3), "b is f32[3], expected f32[4]"},
        {FWI_OP_add, {{0}}, T_SHAPE(3, 4), T_SHAPE(4, 3), "input 1 is f32[4,3], expected f32[3,4]"},
        {FWI_OP_relu_grad, {{0}}, T_SHAPE(3, 4), T_SHAPE(12), "input 1 is f32[12]"},
        {FWI_OP_act, {.act = {FWI_ACT_COUNT, 1}}, T_SHAPE(2), none, "fn is 6"},
        {FWI_OP_act, {.act = {-1, 1}}, T_SHAPE(2), none, "fn is -1"},
        {FWI_OP_act, {.act = {FWI_CELU, 0}}, T_SHAPE(2), none, "alpha is 0"},
        {FWI_OP_act_grad, {.act = {FWI_TANH, NAN}}, T_SHAPE(2), T_SHAPE(2), "alpha is nan"},
        {FWI_OP_scale, {.scalar = {INFINITY}}, T_SHAPE(2), none, "value is inf"},
        {FWI_OP_scale_by, {{0}}, T_SHAPE(2), T_SHAPE(2), "s is f32[2], expected f32[1]"},
        {FWI_OP_concat, {{0}}, T_SHAPE(2, 3), T_SHAPE(3, 3), "all dimensions but the last"},
        {FWI_OP_concat, {{0}}, T_SHAPE(2, 3), T_SHAPE(3), "all dimensions but the last"},
        {FWI_OP_slice, {.slice = {0, 4}}, T_SHAPE(2, 3), none, "len is 4, expected 1 to 3"},
        {FWI_OP_slice, {.slice = {3, 1}}, T_SHAPE(2, 3), none, "begin is 3"},
        {FWI_OP_slice, {.slice = {-1, 1}}, T_SHAPE(2, 3), none, "begin is -1"},
        {FWI_OP_slice, {.slice = {1, INT64_MAX}}, T_SHAPE(2, 3), none, "len is"},
        {FWI_OP_reshape, {.shape = {2, 5, 1, 0, 0}}, T_SHAPE(2, 3), none, "x has 6 elements"},
        {FWI_OP_reshape, {.shape = {5, 6, 1, 1, 1}}, T_SHAPE(2, 3), none, "rank is 5"},
        {FWI_OP_reshape, {.shape = {1, 6, 1, 0, 0}}, T_SHAPE(2, 3), none, "d1 is 1"},
        {FWI_OP_reshape, {.shape = {2, -6, -1, 0, 0}}, T_SHAPE(2, 3), none, "d0 is -6"},
        {FWI_OP_cast, {.cast = {7}}, T_SHAPE(2), none, "dtype is 7"},
        {FWI_OP_max_pool,
         {.pool = {5, 1, 0, 0}},
         T_SHAPE(1, 4, 6, 2),
         none,
         "window of 5x5 is larger than the input of 4x6"},
        {FWI_OP_max_pool, {.pool = {0, 1, 0, 0}}, T_SHAPE(1, 4, 6, 2), none, "k is 0"},
        {FWI_OP_max_pool, {.pool = {17, 1, 0, 0}}, T_SHAPE(1, 20, 20, 2), none, "at most 16x16"},
        {FWI_OP_avg_pool, {.pool = {2, 0, 0, 0}}, T_SHAPE(1, 4, 6, 2), none, "stride is 0"},
        {FWI_OP_avg_pool, {.pool = {2, 2, 4, 5}}, T_SHAPE(1, 4, 6, 2), none, "say ih=4 iw=5"},
        {FWI_OP_avg_pool_grad,
         {.pool = {2, 2, 4, 8}},
         T_SHAPE(1, 2, 3, 2),
         none,
         "the attributes give 2x4"},
        {FWI_OP_avg_pool_grad, {.pool = {2, 2, 0, 0}}, T_SHAPE(1, 2, 3, 2), none, "ih is 0"},
        {FWI_OP_max_pool_grad,
         {.pool = {2, 2, 4, 6}},
         T_SHAPE(1, 2, 3, 2),
         T_SHAPE(1, 2, 3, 2),
         "idx is f32[1,2,3,2], expected u8"},
        {FWI_OP_global_max_pool_grad,
         {.pool = {0, 0, 4, 6}},
         T_SHAPE(1, 2),
         T_SHAPE(1, 2),
         "idx is f32[1,2], expected i32"},
        {FWI_OP_global_avg_pool_grad, {.pool = {0, 0, 4, 0}}, T_SHAPE(1, 2), none, "iw is 0"},
        {FWI_OP_global_avg_pool, {{0}}, T_SHAPE(1, 2), none, "x has 2 dimensions"},
        {FWI_OP_global_max_pool,
         {{0}},
         T_SHAPE(1, 1 << 16, 1 << 16, 1),
         none,
         "more than 2^31-1 places"},
        {FWI_OP_dropout,
         {.dropout = {0.5, 0}},
         T_SHAPE(2),
         T_SHAPE(2),
         "rng is f32[2], expected i64[2]"},
        {FWI_OP_dropout, {.dropout = {1.0, 0}}, T_SHAPE(2), T_SHAPE(2), "p is 1,"},
        {FWI_OP_dropout, {.dropout = {0.5, -1}}, T_SHAPE(2), T_SHAPE(2), "ordinal is -1"},
        {FWI_OP_softmax_xent,
         {.xent = {0, 1}},
         T_SHAPE(2, 3),
         T_SHAPE(2),
         "labels is f32[2], expected i32[2]"},
        {FWI_OP_count_correct, {{0}}, T_SHAPE(2), T_SHAPE(2), "logits has 1 dimensions"},
        {FWI_OP_clip_factor, {.scalar = {0}}, T_SHAPE(1), none, "value is 0"},
        {FWI_OP_clip_factor, {.scalar = {1}}, T_SHAPE(2), none, "ss is f32[2]"},
    };
    for (int i = 0; i < T_COUNT(cases); i++) {
        fwi_graph *g = t_graph();
        const int n_in = cases[i].b.rank > 0 ? 2 : 1;
        const fwi_val in[2] = {t_x(g, cases[i].a), n_in == 2 ? t_x(g, cases[i].b) : FWI_NO_VAL};
        t_ok(g);
        assert_int_equal(fwi_graph_op(g, cases[i].kind, &cases[i].attr, in, n_in, NULL),
                         FWI_NO_VAL);
        assert_int_equal(g->n_ops, 0);
        const fw_status st = fwi_graph_status(g);
        refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why,
                fwi_op_info_get(cases[i].kind)->name);
    }
}

static void label_and_smoothing_refusals(void **state)
{
    (void)state;
    const struct {
        fwi_shape labels;
        fwi_xent_attr attr;
        const char *why;
    } cases[] = {
        {T_SHAPE(5), {0, 1}, "labels is i32[5], expected i32[4]"},
        {T_SHAPE(4, 1), {0, 1}, "labels is i32[4,1], expected i32[4]"},
        {T_SHAPE(4), {1.0, 1}, "smoothing is 1"},
        {T_SHAPE(4), {-0.1, 1}, "smoothing is -0.1"},
        {T_SHAPE(4), {NAN, 1}, "smoothing is nan"},
        {T_SHAPE(4), {0, 2}, "mean is 2"},
    };
    for (int i = 0; i < T_COUNT(cases); i++) {
        fwi_graph *g = t_graph();
        const fwi_attr a = {.xent = cases[i].attr};
        fwi_op2(g, FWI_OP_softmax_xent, &a, t_x(g, T_SHAPE(4, 10)),
                t_in(g, FW_I32, cases[i].labels));
        refused(g, i < 2 ? FW_ESHAPE : FW_EARG, cases[i].why, "softmax_xent");
    }
}

static void bn_refusals(void **state)
{
    (void)state;
    const struct {
        fwi_shape x, c;
        fwi_bn_attr attr;
        const char *why;
    } cases[] = {
        {T_SHAPE(6, 3), T_SHAPE(4), {.groups = 1}, "gamma is f32[4], expected f32[3]"},
        {T_SHAPE(6, 3), T_SHAPE(3), {.groups = 0}, "groups is 0"},
        {T_SHAPE(6, 3), T_SHAPE(3), {.groups = 7}, "groups is 7, expected 1 to 6"},
        {T_SHAPE(6, 3), T_SHAPE(3), {.groups = 4}, "a batch of 6 does not split into 4 groups"},
        {T_SHAPE(6, 3), T_SHAPE(3), {.groups = 1, .eps = -1e-5}, "eps is -1e-05"},
        {T_SHAPE(6, 3),
         T_SHAPE(3),
         {.groups = 2, .count = 6},
         "count is 6, each channel and group has 3 elements"},
        {T_SHAPE(6), T_SHAPE(6), {.groups = 1}, "x has 1 dimensions, expected 2 to 4"},
    };
    for (int i = 0; i < T_COUNT(cases); i++) {
        fwi_graph *g = t_graph();
        const fwi_attr a = {.bn = cases[i].attr};
        const fwi_val c = t_x(g, cases[i].c);
        op3(g, FWI_OP_bn_train, &a, t_x(g, cases[i].x), c, c, NULL);
        const fw_status st = fwi_graph_status(g);
        refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why, "bn_train(");
    }
    const struct {
        fwi_bn_attr attr;
        const char *why;
    } updates[] = {
        {{.groups = 2, .update = 1.5, .count = 4}, "update is 1.5"},
        {{.groups = 2, .update = NAN, .count = 4}, "update is nan"},
        {{.groups = 2, .update = 0.1, .count = 1}, "at least 2 elements"},
        {{.groups = 1, .update = 0.1, .count = 4}, "mean is f32[2,3], expected f32[1,3]"},
    };
    for (int i = 0; i < T_COUNT(updates); i++) {
        fwi_graph *g = t_graph();
        const fwi_attr a = {.bn = updates[i].attr};
        const fwi_val stats = t_x(g, T_SHAPE(2, 3));
        const fwi_val in[] = {t_stat(g, T_SHAPE(3)), t_stat(g, T_SHAPE(3)), stats, stats};
        fwi_graph_op(g, FWI_OP_bn_update, &a, in, 4, NULL);
        const fw_status st = fwi_graph_status(g);
        refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, updates[i].why, "bn_update(");
    }
}

static void update_refusals(void **state)
{
    (void)state;
    const fwi_shape s = T_SHAPE(4, 3);
    enum { OK_W = 1, OK_V = 2, OK_G = 4, OK_H = 8, ALL = 15 };
    const struct {
        int good; /* which inputs are as they should be */
        fwi_optim_attr attr;
        const char *why;
    } cases[] = {
        {ALL & ~OK_W, {.form = 0}, "input 0 is not a variable"},
        {ALL & ~OK_V, {.form = 0}, "v is f32[3,4], expected f32[4,3]"},
        {ALL & ~OK_G, {.form = 0}, "g is f32[5], expected f32[4,3]"},
        {ALL & ~OK_H, {.form = 0}, "hyper is f32, expected f64"},
        {ALL, {.lr_col = 2}, "lr_col is 2, expected 0 to 1"},
        {ALL, {.wd_col = -1}, "wd_col is -1"},
        {ALL, {.momentum = 1.0}, "momentum is 1"},
        {ALL, {.form = 3}, "form is 3"},
    };
    for (int i = 0; i < T_COUNT(cases); i++) {
        fwi_graph *g = t_graph();
        const int good = cases[i].good;
        const fwi_attr a = {.optim = cases[i].attr};
        const fwi_val in[] = {good & OK_W ? t_var(g, s) : t_x(g, s),
                              t_stat(g, good & OK_V ? s : T_SHAPE(3, 4)),
                              t_x(g, good & OK_G ? s : T_SHAPE(5)),
                              t_in(g, good & OK_H ? FW_F64 : FW_F32, T_SHAPE(2))};
        fwi_graph_op(g, FWI_OP_sgd, &a, in, 4, NULL);
        const fw_status st = fwi_graph_status(g);
        refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why, "sgd(");
    }
    fwi_graph *g = t_graph(); /* one variable twice */
    const fwi_val w = t_var(g, s), h = t_in(g, FW_F64, T_SHAPE(2));
    const fwi_attr a = {.optim = {0}};
    const fwi_val same[] = {w, w, t_x(g, s), h};
    fwi_graph_op(g, FWI_OP_sgd, &a, same, 4, NULL);
    refused(g, FW_EARG, "inputs 0 and 1 are the same variable", NULL);
    g = t_graph(); /* Adam's two columns for the bias correction */
    const fwi_attr adam = {.optim = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .bc_col = 3}};
    const fwi_val in[] = {t_var(g, s), t_stat(g, s), t_stat(g, s), t_x(g, s),
                          t_in(g, FW_F64, T_SHAPE(4))};
    fwi_graph_op(g, FWI_OP_adam, &adam, in, 5, NULL);
    refused(g, FW_EARG, "bc_col is 3, expected 0 to 2", "adam(");
    const struct {
        int32_t rank;
        fwi_muon_attr attr;
        const char *why;
    } muons[] = {
        {3, {.steps = 3}, "w has 3 dimensions, expected 2 (a matrix) or 4 (filters)"},
        {1, {.steps = 3}, "w has 1 dimensions"},
        {2, {.steps = 0}, "steps is 0, expected 1 to 100"},
        {2, {.steps = 101}, "steps is 101"},
        {2, {.steps = 3, .rn_col = 4}, "rn_col is 4, expected 0 to 3"},
        {4, {.steps = 3, .lr_col = -1}, "lr_col is -1"},
        {4, {.steps = 3, .momentum = 1}, "momentum is 1"},
        {4, {.steps = 3, .c = INFINITY}, "c is inf"},
    };
    for (int i = 0; i < T_COUNT(muons); i++) {
        const fwi_attr m = {.muon = muons[i].attr};
        const fwi_shape ms = {.rank = muons[i].rank, .d = {2, 3, 4, 5}};
        g = t_graph();
        const fwi_val mi[] = {t_var(g, ms), t_stat(g, ms), t_x(g, ms), t_in(g, FW_F64, T_SHAPE(4))};
        fwi_graph_op(g, FWI_OP_muon, &m, mi, 4, NULL);
        const fw_status st = fwi_graph_status(g);
        refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, muons[i].why, "muon(");
    }
}

static void fill_refusals(void **state)
{
    (void)state;
    const struct {
        fwi_fill_attr attr;
        const char *why;
    } cases[] = {
        {{.rank = 1, .d0 = 2, .dtype = 9}, "dtype is 9"},
        {{.rank = 1, .d0 = 2, .dtype = FW_F32, .value = NAN}, "value is nan"},
        {{.rank = 1, .d0 = 2, .dtype = FW_U8, .value = 256}, "256 is not a value of type u8"},
        {{.rank = 1, .d0 = 2, .dtype = FW_I32, .value = 0.5}, "0.5 is not a value of type i32"},
        {{.rank = 1, .d0 = 2, .dtype = FW_I64, .value = 1e300},
         "1e+300 is not a value of type i64"},
        {{.rank = 1, .d0 = 0, .dtype = FW_F32}, "d0 is 0"},
        {{.rank = 0, .d0 = 1, .dtype = FW_F32}, "d0 is 1"},
        {{.rank = 4, .d0 = 1 << 20, .d1 = 1 << 20, .d2 = 2, .d3 = 1, .dtype = FW_F32},
         "more than 2^40 elements"},
    };
    for (int i = 0; i < T_COUNT(cases); i++) {
        fwi_graph *g = t_graph();
        const fwi_attr a = {.fill = cases[i].attr};
        fwi_graph_op(g, FWI_OP_fill, &a, NULL, 0, NULL);
        const fw_status st = fwi_graph_status(g);
        refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why, "fill(");
    }
}

/* ---- the builder ---- */

static void builder_keeps_first_error(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val x = t_x(g, T_SHAPE(2, 3));
    fwi_val outs[3] = {9, 9, 9};
    assert_int_equal(fwi_graph_op(g, FWI_OP_max_pool, NULL, &x, 1, outs), FWI_NO_VAL);
    assert_int_equal(outs[0], FWI_NO_VAL);
    assert_int_equal(outs[1], FWI_NO_VAL);
    assert_int_equal(outs[2], 9); /* max_pool has two */
    const int32_t n = g->n_tensors;
    assert_int_equal(fwi_op1(g, FWI_OP_relu, NULL, FWI_NO_VAL), FWI_NO_VAL);
    assert_int_equal(fwi_op1(g, FWI_OP_relu, NULL, x), FWI_NO_VAL); /* right, but too late */
    assert_int_equal(t_x(g, T_SHAPE(1)), FWI_NO_VAL);
    assert_int_equal(t_var(g, T_SHAPE(1)), FWI_NO_VAL);
    assert_int_equal(fwi_conv2d_same(g, x, x, 1), FWI_NO_VAL);
    fwi_graph_output(g, "y", x);
    assert_int_equal(g->n_tensors, n);
    assert_int_equal(g->n_outputs, 0);
    fwi_fail(FW_EIO, "something else happened on this thread");
    assert_int_equal(fwi_graph_verify(g), FW_EARG);
    t_message_has("max_pool: attributes are missing");
    fwi_buf text = {0};
    assert_int_equal(fwi_graph_print(g, &text), FW_EARG);
    fwi_graph *copy = NULL;
    assert_int_equal(fwi_graph_copy(&copy, g), FW_EARG);
    fwi_memplan m;
    assert_int_equal(fwi_memplan_make(g, NULL, &m), FW_EARG);
    assert_int_equal(fwi_pass_dead_code(g), FW_EARG);
    assert_int_equal(fwi_pass_constants(g), FW_EARG);
    refused(g, FW_EARG, "max_pool: attributes are missing", NULL);
}

static void wrong_calls(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    fwi_op1(g, FWI_OP_relu, NULL, 5);
    refused(g, FW_EARG, "relu: input 0 is 5, which is no tensor of this graph", NULL);
    g = t_graph();
    fwi_op2(g, FWI_OP_relu, NULL, t_x(g, T_SHAPE(1)), 0);
    refused(g, FW_EARG, "relu: 2 inputs given, expected 1", NULL);
    g = t_graph();
    fwi_op1(g, FWI_OP_COUNT, NULL, t_x(g, T_SHAPE(1)));
    refused(g, FW_EARG, "is no op", NULL);
    g = t_graph();
    fwi_op1(g, FWI_OP_relu, NULL, t_in(g, FW_I32, T_SHAPE(2)));
    refused(g, FW_ESHAPE, "relu(i32[2]): x is i32, expected f32", NULL);
    g = t_graph();
    fwi_op1(g, FWI_OP_relu, NULL, t_in(g, FW_F64, T_SHAPE(2)));
    refused(g, FW_ESHAPE, "relu(f64[2]): x is f64, expected f32", NULL);
    fwi_graph *none = NULL;
    assert_int_equal(fwi_graph_new(&none, FW_U8), FW_EARG);
    assert_null(none);
    fwi_graph_free(NULL);
    assert_null(fwi_op_info_get(FWI_OP_COUNT));
}

static void names(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_init uniform = {FWI_INIT_UNIFORM, -0.5, 0.5};
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, T_SHAPE(2, 3));
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_CONV, true, T_SHAPE(4), uniform);
    assert_int_equal(fwi_graph_input(g, "x", FW_F32, T_SHAPE(2, 3)), x);
    assert_int_equal(fwi_graph_var(g, "w", FWI_VAR_CONV, true, T_SHAPE(4), uniform), w);
    const fwi_val y = fwi_op1(g, FWI_OP_relu, NULL, x);
    fwi_graph_output(g, "y", y);
    fwi_graph_output(g, "y", y);
    fwi_graph_output(g, "x", x);
    t_ok(g);
    assert_int_equal(g->n_outputs, 2);
    assert_int_equal(fwi_graph_find(g, "x"), x);
    assert_int_equal(fwi_graph_find(g, "w"), w);
    assert_int_equal(fwi_graph_find(g, "y"), y);
    assert_int_equal(fwi_graph_find(g, "z"), FWI_NO_VAL);
    fwi_graph *copies[6];
    for (int i = 0; i < 6; i++)
        assert_int_equal(fwi_graph_copy(&copies[i], g), FW_OK);
    fwi_graph_free(g);
    assert_int_equal(fwi_graph_verify(copies[0]), FW_OK); /* owns its names */
    assert_int_equal(fwi_graph_find(copies[0], "y"), y);
    fwi_graph_input(copies[0], "w", FW_F32, T_SHAPE(4));
    refused(copies[0], FW_EARG, "\"w\" is the name of a variable already", NULL);
    fwi_graph_var(copies[1], "w", FWI_VAR_CONV, true, T_SHAPE(5), uniform);
    refused(copies[1], FW_ESHAPE, "\"w\" was declared as f32[4], now as f32[5]", NULL);
    fwi_graph_var(copies[2], "w", FWI_VAR_STAT, false, T_SHAPE(4), uniform);
    refused(copies[2], FW_EARG, "a trainable conv, now as a fixed stat", NULL);
    fwi_graph_output(copies[3], "y", w);
    refused(copies[3], FW_EARG, "output \"y\" is another tensor already", NULL);
    /* outputs have names of their own; fwi_graph_find gives the input or variable */
    const fwi_val late = fwi_graph_input(copies[4], "y", FW_F32, T_SHAPE(4));
    fwi_graph_output(copies[4], "w", y);
    t_ok(copies[4]);
    assert_int_equal(fwi_graph_find(copies[4], "y"), late);
    assert_int_equal(fwi_graph_find(copies[4], "w"), w);
    assert_int_equal(fwi_graph_verify(copies[4]), FW_OK);
    fwi_graph_free(copies[4]);
    fwi_graph_output(copies[5], "z", 40);
    refused(copies[5], FW_EARG, "output \"z\" is 40", NULL);

    char long_name[300];
    memset(long_name, 'n', sizeof long_name);
    long_name[256] = 0;
    g = t_graph();
    fwi_graph_input(g, long_name, FW_F32, T_SHAPE(1));
    refused(g, FW_EARG, "has 256 bytes, expected 1 to 255", NULL);
    g = t_graph();
    fwi_graph_input(g, "", FW_F32, T_SHAPE(1));
    refused(g, FW_EARG, "has 0 bytes", NULL);
    g = t_graph();
    fwi_graph_input(g, "x", FW_F32, T_SHAPE(INT64_MAX, 2));
    refused(g, FW_ESHAPE, "at most 2^40 elements", NULL);
    g = t_graph();
    fwi_graph_input(g, "x", FW_F32, (fwi_shape){.rank = 5});
    refused(g, FW_ESHAPE, "5 dimensions", NULL);
    g = t_graph();
    fwi_graph_input(g, "x", (fw_dtype)42, T_SHAPE(1));
    refused(g, FW_EARG, "42 is no element type", NULL);
    g = t_graph();
    fwi_graph_var(g, "w", FWI_VAR_STAT, true, T_SHAPE(1), uniform);
    refused(g, FW_EARG, "of class stat, which cannot be trained", NULL);
    g = t_graph();
    fwi_graph_var(g, "w", FWI_VAR_CONV, true, T_SHAPE(1), (fwi_init){FWI_INIT_CONST, NAN, 0});
    refused(g, FW_EARG, "initialiser", NULL);
}

/* ---- convolutions with their attributes filled in ---- */

static void conv_helpers(void **state)
{
    (void)state;
    /* input, filter, stride -> top, bottom as TensorFlow's SAME has them */
    const int64_t cases[][5] = {{32, 3, 1, 1, 1}, {32, 3, 2, 0, 1}, {5, 3, 2, 1, 1},
                                {7, 1, 2, 0, 0},  {6, 2, 1, 0, 1},  {9, 5, 3, 1, 1},
                                {2, 5, 1, 2, 2},  {8, 2, 4, 0, 0}};
    for (int i = 0; i < T_COUNT(cases); i++) {
        const int64_t ih = cases[i][0], k = cases[i][1], s = cases[i][2];
        fwi_graph *g = t_graph();
        const fwi_val y =
            fwi_conv2d_same(g, t_x(g, T_SHAPE(1, ih, 11, 2)), t_x(g, T_SHAPE(3, k, 1, 2)), s);
        t_is_shape(g, y, FW_F32, T_SHAPE(1, (ih + s - 1) / s, (11 + s - 1) / s, 3));
        const fwi_conv_attr *a = &g->ops[0].attr.conv;
        assert_int_equal(a->pad_t, cases[i][3]);
        assert_int_equal(a->pad_b, cases[i][4]);
        assert_int_equal(a->pad_l, 0);
        assert_int_equal(a->kh, k);
        assert_int_equal(a->kw, 1);
        assert_int_equal(a->iw, 11);
        fwi_graph_free(g);
    }
    fwi_graph *g = t_graph();
    t_is_shape(g, fwi_conv2d_pad(g, t_x(g, T_SHAPE(1, 8, 9, 2)), t_x(g, T_SHAPE(3, 5, 3, 2)), 2, 1),
               FW_F32, T_SHAPE(1, 3, 5, 3));
    assert_int_equal(g->ops[0].attr.conv.pad_b, 1);
    fwi_graph_free(g);
    g = t_graph();
    fwi_conv2d_same(g, t_x(g, T_SHAPE(1, 8, 9)), t_x(g, T_SHAPE(3, 5, 3, 2)), 1);
    refused(g, FW_ESHAPE, "x has 3 dimensions", NULL);
    g = t_graph();
    fwi_conv2d_same(g, t_x(g, T_SHAPE(1, 8, 9, 2)), t_x(g, T_SHAPE(3, 5, 3, 2)), 0);
    refused(g, FW_EARG, "stride is 0", NULL);
    g = t_graph();
    fwi_conv2d_pad(g, t_x(g, T_SHAPE(1, 8, 9, 2)), t_x(g, T_SHAPE(3, 5, 3, 2)), 1, -2);
    refused(g, FW_EARG, "pad_t is -2", NULL);
    g = t_graph();
    fwi_conv2d_same(g, FWI_NO_VAL, 99, 1);
    refused(g, FW_EARG, "no tensor of this graph", NULL);
}

/* ---- cost ---- DavidNet, the figure of the walk-through: 379,261,952 per image */

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

static void copy_allocation_failures(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    fwi_val h = t_x(g, T_SHAPE(2, 3));
    for (int i = 0; i < 100; i++)
        h = fwi_op2(g, FWI_OP_add, NULL, h, t_var(g, T_SHAPE(2, 3)));
    fwi_graph_output(g, "y", h);
    t_ok(g);
    bool done = false;
    for (int64_t at = 1; !done; at++) {
        fwi_graph *copy = NULL;
        fwi_mem_fail_at(at);
        const fw_status st = fwi_graph_copy(&copy, g);
        fwi_mem_fail_at(0);
        done = st == FW_OK;
        assert_true(done ? at > 5 : st == FW_ENOMEM && copy == NULL);
        if (done)
            assert_int_equal(fwi_graph_verify(copy), FW_OK);
        fwi_graph_free(copy);
    }
    fwi_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_elements),
        cmocka_unit_test(linear_ops),
        cmocka_unit_test(bn_ops),
        cmocka_unit_test(pool_ops),
        cmocka_unit_test(elementwise_ops),
        cmocka_unit_test(head_and_updates),
        cmocka_unit_test(conv_refusals),
        cmocka_unit_test(pair_refusals),
        cmocka_unit_test(label_and_smoothing_refusals),
        cmocka_unit_test(bn_refusals),
        cmocka_unit_test(update_refusals),
        cmocka_unit_test(fill_refusals),
        cmocka_unit_test(builder_keeps_first_error),
        cmocka_unit_test(wrong_calls),
        cmocka_unit_test(names),
        cmocka_unit_test(conv_helpers),
        cmocka_unit_test(davidnet_macs),
        cmocka_unit_test(macs_saturate),
        cmocka_unit_test(copy_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
