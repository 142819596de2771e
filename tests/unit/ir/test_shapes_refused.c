/* test_shapes_refused.c: what the shape rules refuse, and that the message says why: inputs of the
 * wrong shape or type, attributes out of range. */
#include "t_graph.h"

#include <math.h>

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
        {T_SHAPE(2, 8, 8, 3), T_SHAPE(4, 3, 3, 3), offsetof(fwi_conv_attr, algo), -1, "algo is -1"},
        {T_SHAPE(2, 8, 8, 3), T_SHAPE(4, 3, 3, 3), offsetof(fwi_conv_attr, algo), FWI_CONV_ALGOS,
         "algo is"},
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
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why, NULL);
    }
    fwi_graph *g = t_graph();
    const fwi_attr a = {.conv = good};
    fwi_op2(g, FWI_OP_conv2d_dx, &a, t_x(g, T_SHAPE(2, 6, 5, 4)), t_x(g, T_SHAPE(4, 3, 3, 3)));
    t_refused(g, FW_ESHAPE, "dy is 6x5, the attributes give 6x6", NULL);
    g = t_graph();
    fwi_op2(g, FWI_OP_conv2d_dx, &a, t_x(g, T_SHAPE(2, 6, 6, 5)), t_x(g, T_SHAPE(4, 3, 3, 3)));
    t_refused(g, FW_ESHAPE, "dy has 5 channels, w gives 4", NULL);
    g = t_graph();
    fwi_op2(g, FWI_OP_conv2d_dw, &a, t_x(g, T_SHAPE(3, 8, 8, 3)), t_x(g, T_SHAPE(2, 6, 6, 4)));
    t_refused(g, FW_ESHAPE, "x has 3 images, dy 2", NULL);
    g = t_graph();
    fwi_op2(g, FWI_OP_conv2d, NULL, t_x(g, T_SHAPE(3, 8, 8, 3)), t_x(g, T_SHAPE(2, 3, 3, 3)));
    t_refused(g, FW_EARG, "conv2d: attributes are missing", NULL);
    /* padding makes the output larger than any tensor may be, without an overflow on the way */
    g = t_graph();
    const fwi_attr wide = {.conv = {1, 1, 1, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 8, 8, 0}};
    fwi_op2(g, FWI_OP_conv2d, &wide, t_x(g, T_SHAPE(2, 8, 8, 3)), t_x(g, T_SHAPE(4, 1, 1, 3)));
    t_refused(g, FW_ESHAPE, "output 0 would be", "more than 2^40 elements");
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
        {FWI_OP_resize, {.image = {0, 3, 0, 0}}, T_SHAPE(1, 4, 6, 2), none, "h is 0"},
        {FWI_OP_resize, {.image = {3, 3, 0, 5}}, T_SHAPE(1, 4, 6, 2), none, "say ih=0 iw=5"},
        {FWI_OP_resize, {.image = {3, 3, 0, 0}}, T_SHAPE(4, 6), none, "x has 2 dimensions"},
        {FWI_OP_resize_grad, {.image = {4, 6, 0, 5}}, T_SHAPE(1, 4, 6, 2), none, "ih is 0"},
        {FWI_OP_resize_grad, {.image = {4, 5, 9, 9}}, T_SHAPE(1, 4, 6, 2), none, "say h=4 w=5"},
        {FWI_OP_crop,
         {.image = {5, 6, 0, 0}},
         T_SHAPE(1, 4, 6, 2),
         none,
         "the crop of 5x6 is larger than the image of 4x6"},
        {FWI_OP_crop_grad, {.image = {4, 6, 4, 5}}, T_SHAPE(1, 4, 6, 2), none, "larger"},
        {FWI_OP_crop_grad, {.image = {4, 6, 1 << 30, -1}}, T_SHAPE(1, 4, 6, 2), none, "iw is -1"},
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
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why,
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
        t_refused(g, i < 2 ? FW_ESHAPE : FW_EARG, cases[i].why, "softmax_xent");
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
        t_op3(g, FWI_OP_bn_train, &a, t_x(g, cases[i].x), c, c, NULL);
        const fw_status st = fwi_graph_status(g);
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why, "bn_train(");
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
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, updates[i].why, "bn_update(");
    }
}

/* Fused norms: how many groups there are the statistics say. */
static void fused_group_refusals(void **state)
{
    (void)state;
    const struct {
        fwi_shape mean, var;
        const char *why;
    } cases[] = {
        {T_SHAPE(4, 3), T_SHAPE(4, 3), "a batch of 6 does not split into 4 groups"},
        {T_SHAPE(7, 3), T_SHAPE(7, 3), "groups is 7, expected 1 to 6"},
        {T_SHAPE(2, 3), T_SHAPE(3, 3), "var is f32[3,3], expected f32[2,3]"},
        {T_SHAPE(2, 3), T_SHAPE(3), "var is f32[3], expected f32[2,3]"},
        {T_SHAPE(2, 4), T_SHAPE(2, 4), "mean is f32[2,4], expected f32[2,3]"},
    };
    for (int i = 0; i < T_COUNT(cases); i++) {
        fwi_graph *g = t_graph();
        const fwi_attr a = {.bn_act = {.fn = FWI_FUSED_RELU}};
        const fwi_val c = t_x(g, T_SHAPE(3));
        const fwi_val in[] = {t_x(g, T_SHAPE(6, 2, 2, 3)), c, c, t_x(g, cases[i].mean),
                              t_x(g, cases[i].var)};
        fwi_graph_op(g, FWI_OP_bn_act, &a, in, 5, NULL);
        const fw_status st = fwi_graph_status(g);
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why, "bn_act(");
    }
    for (int64_t groups = 0; groups < 8; groups += 4) { /* none, and what 6 does not divide by */
        fwi_graph *g = t_graph();
        const fwi_attr a = {.stats = {.groups = groups}};
        const fwi_val x = t_x(g, T_SHAPE(6, 2, 2, 3));
        fwi_graph_op(g, FWI_OP_bn_stats, &a, &x, 1, NULL);
        t_refused(g, groups == 0 ? FW_EARG : FW_ESHAPE,
                  groups == 0 ? "groups is 0" : "a batch of 6 does not split into 4 groups",
                  "bn_stats(");
        g = t_graph();
        const fwi_attr pool = {.pool_stats = {.k = 2, .stride = 2, .groups = groups}};
        const fwi_val larger = t_x(g, T_SHAPE(6, 4, 4, 3));
        fwi_graph_op(g, FWI_OP_max_pool_stats, &pool, &larger, 1, NULL);
        t_refused(g, groups == 0 ? FW_EARG : FW_ESHAPE,
                  groups == 0 ? "groups is 0" : "a batch of 6 does not split into 4 groups",
                  "max_pool_stats(");
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
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why, "sgd(");
    }
    fwi_graph *g = t_graph(); /* one variable twice */
    const fwi_val w = t_var(g, s), h = t_in(g, FW_F64, T_SHAPE(2));
    const fwi_attr a = {.optim = {0}};
    const fwi_val same[] = {w, w, t_x(g, s), h};
    fwi_graph_op(g, FWI_OP_sgd, &a, same, 4, NULL);
    t_refused(g, FW_EARG, "inputs 0 and 1 are the same variable", NULL);
    g = t_graph(); /* Adam's two columns for the bias correction */
    const fwi_attr adam = {.optim = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .bc_col = 3}};
    const fwi_val in[] = {t_var(g, s), t_stat(g, s), t_stat(g, s), t_x(g, s),
                          t_in(g, FW_F64, T_SHAPE(4))};
    fwi_graph_op(g, FWI_OP_adam, &adam, in, 5, NULL);
    t_refused(g, FW_EARG, "bc_col is 3, expected 0 to 2", "adam(");
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
        {4, {.steps = 3, .xn_col = 3}, "xn_col is 3, expected 0 to 2"}, /* two columns */
        {4, {.steps = 3, .renorm_eps = -1}, "renorm_eps is -1"},
    };
    for (int i = 0; i < T_COUNT(muons); i++) {
        const fwi_attr m = {.muon = muons[i].attr};
        const fwi_shape ms = {.rank = muons[i].rank, .d = {2, 3, 4, 5}};
        g = t_graph();
        const fwi_val mi[] = {t_var(g, ms), t_stat(g, ms), t_x(g, ms), t_in(g, FW_F64, T_SHAPE(4))};
        fwi_graph_op(g, FWI_OP_muon, &m, mi, 4, NULL);
        const fw_status st = fwi_graph_status(g);
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, muons[i].why, "muon(");
    }
    const struct {
        int32_t rank;
        fwi_optim_attr attr;
        const char *why;
    } lars[] = {{2, {.eps = 0.01}, "w has 2 dimensions, expected 4 (filters)"},
                {4, {.eps = 0}, "eps is 0"},
                {4, {.eps = 0.01, .momentum = 1}, "momentum is 1"},
                {4, {.eps = 0.01, .wd_col = 4}, "wd_col is 4, expected 0 to 3"}};
    for (int i = 0; i < T_COUNT(lars); i++) {
        const fwi_attr l = {.optim = lars[i].attr};
        const fwi_shape ls = {.rank = lars[i].rank, .d = {2, 3, 4, 5}};
        g = t_graph();
        const fwi_val li[] = {t_var(g, ls), t_stat(g, ls), t_x(g, ls), t_in(g, FW_F64, T_SHAPE(4))};
        fwi_graph_op(g, FWI_OP_lars, &l, li, 4, NULL);
        const fw_status st = fwi_graph_status(g);
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, lars[i].why, "lars(");
    }
    const struct {
        fwi_average_attr attr;
        fwi_shape w;
        const char *why;
    } averages[] = {{{.on_col = 4}, s, "on_col is 4, expected 0 to 3"},
                    {{.decay_col = -1}, s, "decay_col is -1"},
                    {{.copy_back = 2}, s, "copy_back is 2, expected 0 to 1"},
                    {{0}, T_SHAPE(7), "w is "}};
    for (int i = 0; i < T_COUNT(averages); i++) {
        const fwi_attr v = {.average = averages[i].attr};
        g = t_graph();
        const fwi_val vi[] = {t_stat(g, s), t_var(g, averages[i].w), t_in(g, FW_F64, T_SHAPE(4))};
        fwi_graph_op(g, FWI_OP_average, &v, vi, 3, NULL);
        const fw_status st = fwi_graph_status(g);
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, averages[i].why, "average(");
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
        t_refused(g, st == FW_EARG ? FW_EARG : FW_ESHAPE, cases[i].why, "fill(");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_refusals),
        cmocka_unit_test(pair_refusals),
        cmocka_unit_test(label_and_smoothing_refusals),
        cmocka_unit_test(bn_refusals),
        cmocka_unit_test(fused_group_refusals),
        cmocka_unit_test(update_refusals),
        cmocka_unit_test(fill_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
