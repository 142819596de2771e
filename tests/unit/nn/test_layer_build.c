/* From layers to graphs: names, classes, shapes, initial values, places in messages, and what
 * models cost (recipes of the walk-through). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <layer_inner.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct built {
    fwi_graph *g;
    fwi_val x, y;
} built;

/* Takes l. */
static built build(fw_layer *l, fwi_shape x, bool training)
{
    built b = {0};
    assert_int_equal(fwi_graph_new(&b.g, FW_F64), FW_OK);
    b.x = fwi_graph_input(b.g, "x", FW_F64, x);
    b.y = fwi_layer_build(l, b.g, b.x, training);
    fw_layer_free(l);
    return b;
}

static built build_ok(fw_layer *l, fwi_shape x, bool training)
{
    const built b = build(l, x, training);
    if (fwi_graph_status(b.g) != FW_OK)
        fail_msg("%s", fw_last_error());
    assert_int_equal(fwi_graph_verify(b.g), FW_OK);
    assert_null(b.g->where);
    return b;
}

static void assert_refused(fw_layer *l, fwi_shape x, fw_status st, const char *message)
{
    const built b = build(l, x, true);
    assert_int_equal(b.y, FWI_NO_VAL);
    assert_int_equal(fwi_graph_status(b.g), st);
    assert_string_equal(fw_last_error(), message);
    fwi_graph_free(b.g);
}

static const fwi_tensor *find_var(const fwi_graph *g, const char *name)
{
    const fwi_val v = fwi_graph_find(g, name);
    if (v == FWI_NO_VAL)
        fail_msg("no variable %s", name);
    assert_int_equal(g->tensors[v].kind, FWI_VAR);
    return &g->tensors[v];
}

static int count_ops(const fwi_graph *g, fwi_opkind kind)
{
    int n = 0;
    for (int32_t i = 0; i < g->n_ops; i++)
        n += g->ops[i].kind == kind;
    return n;
}

static int count_vars(const fwi_graph *g)
{
    int n = 0;
    for (int32_t i = 0; i < g->n_tensors; i++)
        n += g->tensors[i].kind == FWI_VAR;
    return n;
}

static fw_layer *davidnet(void)
{
    const int64_t c = 64;
    fw_layer *const net = fw_sequential();
    fw_add(net, fw_conv_bn(c, FW_PYTORCH));
    fw_add(net, fw_conv_res_blk(c * 2, 2, FW_PYTORCH));
    fw_add(net, fw_conv_blk(c * 4, FW_PYTORCH));
    fw_add(net, fw_conv_res_blk(c * 8, 2, FW_PYTORCH));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(10, 0.125f, FW_PYTORCH));
    return net;
}

static void the_walk_through_net_costs_what_it_should(void **state)
{
    (void)state;
    fw_layer *const net = davidnet();
    fw_model_cost c = {0};
    assert_int_equal(fw_layer_cost(net, 32, 32, 3, &c), FW_OK);
    assert_int_equal(c.params, 6573120);
    assert_int_equal(c.statistics, 4480);
    assert_int_equal(c.macs, 379261952);
    assert_int_equal(c.train_flops, 2 * (3 * INT64_C(379261952) - 1769472)); /* no gradient of x */
    assert_int_equal(c.n_classes, 10);
    fw_layer_free(net);
}

static void the_walk_through_net_has_its_names(void **state)
{
    (void)state;
    const built b = build_ok(davidnet(), fwi_shape4(4, 32, 32, 3), true);
    static const char *const names[] = {
        "0.conv.weight",   "0.bn.gamma",      "0.bn.beta",           "0.bn.mean",
        "0.bn.var",        "1.0.conv.weight", "1.res.0.conv.weight", "1.res.1.bn.var",
        "2.0.conv.weight", "3.0.bn.gamma",    "3.res.1.conv.weight", "5.dense.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        find_var(b.g, names[i]);
    assert_int_equal(count_vars(b.g), 8 * 5 + 1);
    const fwi_tensor *t = find_var(b.g, "1.res.0.conv.weight");
    const fwi_shape filter = fwi_shape4(128, 3, 3, 128);
    assert_true(fwi_shape_equal(&t->shape, &filter));
    assert_int_equal(t->var_class, FWI_VAR_CONV);
    assert_true(t->trainable);
    t = find_var(b.g, "5.dense.weight");
    assert_int_equal(t->var_class, FWI_VAR_HEAD);
    assert_int_equal(t->init.kind, FWI_INIT_UNIFORM);
    assert_true(t->init.b == 1 / sqrt(512) && t->init.a == -t->init.b);
    t = find_var(b.g, "0.bn.gamma");
    assert_int_equal(t->var_class, FWI_VAR_BN_SCALE);
    assert_true(t->init.kind == FWI_INIT_CONST && t->init.a == 1);
    t = find_var(b.g, "0.bn.var");
    assert_int_equal(t->var_class, FWI_VAR_STAT);
    assert_false(t->trainable);
    assert_true(t->init.a == 1);
    assert_true(find_var(b.g, "0.bn.mean")->init.a == 0);
    const fwi_shape logits = fwi_shape2(4, 10);
    assert_true(fwi_shape_equal(&b.g->tensors[b.y].shape, &logits));
    assert_int_equal(count_ops(b.g, FWI_OP_bn_update), 8);
    for (int32_t i = 0; i < b.g->n_ops; i++)
        if (b.g->ops[i].kind == FWI_OP_bn_update) {
            assert_true(b.g->ops[i].attr.bn.update == 0.1); /* the written number, not 0.1f */
            assert_true(b.g->ops[i].attr.bn.eps == 1e-5);
            assert_int_equal(b.g->ops[i].attr.bn.count, 4 * 32 * 32);
            break;
        }
    fwi_graph_free(b.g);
}

static void evaluation_uses_the_same_variables_and_changes_none(void **state)
{
    (void)state;
    const fwi_shape x = fwi_shape4(3, 8, 8, 3);
    fw_layer *const net = fw_sequential();
    fw_add(net, fw_conv_blk(4, NULL));
    fw_add(net, fw_dropout(0.3f));
    fw_add(net, fw_fastai_head(5, NULL));
    fw_layer *const copy = fwi_layer_copy(net);
    const built t = build_ok(net, x, true), e = build_ok(copy, x, false);
    assert_int_equal(count_vars(t.g), count_vars(e.g));
    for (int32_t i = 0; i < t.g->n_tensors; i++)
        if (t.g->tensors[i].kind == FWI_VAR) {
            const fwi_tensor *const a = &t.g->tensors[i], *const c = find_var(e.g, a->name);
            assert_true(fwi_shape_equal(&a->shape, &c->shape));
            assert_int_equal(a->var_class, c->var_class);
        }
    assert_int_equal(count_ops(t.g, FWI_OP_dropout), 3);
    int64_t ordinal = 0;
    for (int32_t i = 0; i < t.g->n_ops; i++)
        if (t.g->ops[i].kind == FWI_OP_dropout)
            assert_int_equal(t.g->ops[i].attr.dropout.ordinal, ordinal++);
    assert_true(fwi_graph_find(t.g, "rng") != FWI_NO_VAL);
    assert_int_equal(count_ops(e.g, FWI_OP_dropout), 0);
    assert_int_equal(count_ops(e.g, FWI_OP_bn_train), 0);
    assert_int_equal(count_ops(e.g, FWI_OP_bn_update), 0);
    assert_int_equal(count_ops(e.g, FWI_OP_bn_eval), 3);
    assert_int_equal(fwi_graph_find(e.g, "rng"), FWI_NO_VAL);
    fwi_graph_free(t.g);
    fwi_graph_free(e.g);
}

static void initial_values_follow_their_rules(void **state)
{
    (void)state;
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv2d(6, true, &(fw_layer_opt){.kernel = 5, .stride = 2})); /* Glorot */
    fw_add(net, fw_conv2d(4, true, FW_PYTORCH));
    fw_add(net, fw_flatten());
    fw_add(net, fw_dense(7, true, NULL));
    fw_add(net, fw_dense(8, true, FW_PYTORCH));
    const built b = build_ok(net, fwi_shape4(2, 9, 9, 3), true);
    const fwi_tensor *t = find_var(b.g, "0.conv.weight");
    assert_true(fabs(t->init.b - sqrt(6.0 / (25 * 3 + 25 * 6))) < 1e-15);
    t = find_var(b.g, "0.conv.bias");
    assert_true(t->init.kind == FWI_INIT_CONST && t->init.a == 0 && t->var_class == FWI_VAR_BIAS);
    t = find_var(b.g, "1.conv.bias");
    assert_true(t->init.kind == FWI_INIT_UNIFORM && fabs(t->init.b - 1 / sqrt(9 * 6)) < 1e-15);
    t = find_var(b.g, "3.dense.weight"); /* 9 -> 5 with stride 2 SAME, 4 channels */
    const fwi_shape w = fwi_shape2(7, 5 * 5 * 4);
    assert_true(fwi_shape_equal(&t->shape, &w));
    assert_true(fabs(t->init.b - sqrt(6.0 / (100 + 7))) < 1e-15);
    assert_int_equal(t->var_class, FWI_VAR_DENSE);
    t = find_var(b.g, "4.dense.bias");
    assert_true(fabs(t->init.b - 1 / sqrt(7)) < 1e-15);
    fwi_graph_free(b.g);
}

/* What the three options of norms do to their variables: fixed ones are not trained, a uniform scale
 * is drawn from [0, 1). */
static void norms_have_their_options(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool scale_trained, shift_trained, uniform;
    } cases[] = {{"conv_bn 4", true, true, false},
                 {"conv_bn 4 bn_fixed_scale=true", false, true, false},
                 {"conv_bn 4 bn_fixed_shift=true", true, false, false},
                 {"conv_bn 4 bn_uniform_scale=true", true, true, true},
                 {"conv_bn 4 bn_fixed_scale=true bn_fixed_shift=true", false, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fw_layer *l = NULL;
        assert_int_equal(fw_layer_parse(&l, cases[i].line, "norms"), FW_OK);
        const built b = build_ok(l, fwi_shape4(2, 9, 9, 3), true);
        const fwi_tensor *const scale = find_var(b.g, "0.bn.gamma");
        const fwi_tensor *const shift = find_var(b.g, "0.bn.beta");
        assert_int_equal(scale->trainable, cases[i].scale_trained);
        assert_int_equal(shift->trainable, cases[i].shift_trained);
        if (cases[i].uniform)
            assert_true(scale->init.kind == FWI_INIT_UNIFORM && scale->init.a == 0 &&
                        scale->init.b == 1);
        else
            assert_true(scale->init.kind == FWI_INIT_CONST && scale->init.a == 1);
        assert_true(shift->init.kind == FWI_INIT_CONST && shift->init.a == 0);
        fwi_graph_free(b.g);
    }
}

/* The same variables, whether a model was made by calls or read from its text. */
static void text_keeps_names(void **state)
{
    (void)state;
    fw_layer *const par = fw_parallel();
    fw_add(par, fw_conv_bn(2, NULL));
    fw_add(par, fw_sequential());
    char *text = NULL;
    fw_layer *back = NULL;
    assert_int_equal(fw_layer_print(par, &text), FW_OK);
    assert_int_equal(fw_layer_parse(&back, text, "t"), FW_OK);
    const built a = build_ok(par, fwi_shape4(2, 4, 4, 3), true);
    const built b = build_ok(back, fwi_shape4(2, 4, 4, 3), true);
    find_var(a.g, "0.0.0.conv.weight");
    find_var(b.g, "0.0.0.conv.weight");
    assert_int_equal(count_vars(a.g), count_vars(b.g));
    assert_int_equal(a.g->tensors[a.y].shape.d[3], 2 + 3); /* the empty branch passes x on */
    fwi_graph_free(a.g);
    fwi_graph_free(b.g);
    fw_text_free(text);
}

static void every_activation_and_pool_is_built(void **state)
{
    (void)state;
    for (int act = FW_RELU; act <= FW_SOFTPLUS; act++)
        for (int pooling = FW_POOL_MAX; pooling <= FW_POOL_NONE; pooling++) {
            const fw_layer_opt o = {.act = (fw_act)act, .pooling = (fw_pooling)pooling, .convs = 2};
            const built b = build_ok(fw_conv_res_blk(4, 3, &o), fwi_shape4(2, 7, 6, 3), true);
            assert_int_equal(count_ops(b.g, FWI_OP_conv2d), 5);
            assert_int_equal(count_ops(b.g, FWI_OP_relu), act == FW_RELU ? 5 : 0);
            assert_int_equal(count_ops(b.g, FWI_OP_act), act >= FW_CELU ? 5 : 0);
            assert_int_equal(count_ops(b.g, FWI_OP_max_pool), pooling == FW_POOL_MAX);
            assert_int_equal(count_ops(b.g, FWI_OP_avg_pool), pooling == FW_POOL_AVERAGE);
            assert_int_equal(b.g->tensors[b.y].shape.d[1], pooling == FW_POOL_NONE ? 7 : 3);
            fwi_graph_free(b.g);
        }
}

static void mistakes_are_reported_with_their_place(void **state)
{
    (void)state;
    const fwi_shape x = fwi_shape4(2, 8, 8, 3);
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(4, NULL));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_conv_res_blk(128, 2, NULL));
    assert_refused(net, x, FW_ESHAPE,
                   "layer 2 (conv_res_blk 128): its input is [2,4], it takes images [n,h,w,c]");
    assert_refused(
        fw_dense(10, true, NULL), x, FW_ESHAPE,
        "layer 0 (dense 10): its input is [2,8,8,3], it takes a matrix [n,d] (flatten or "
        "a global pool comes before it)");
    net = fw_sequential();
    for (int i = 0; i < 4; i++)
        fw_add(net, fw_max_pool(2, 0));
    const built b = build(net, x, true);
    assert_int_equal(fwi_graph_status(b.g), FW_ESHAPE);
    assert_int_equal(strncmp(fw_last_error(), "layer 3 (max_pool 2): ", 22), 0);
    fwi_graph_free(b.g);
    fw_layer *par = fw_parallel();
    fw_add(par, fw_max_pool(2, 0));
    fw_add(par, fw_conv_bn(-1, NULL));
    net = fw_sequential();
    fw_add(net, fw_flatten());
    fw_add(net, par);
    assert_refused(net, x, FW_EARG,
                   "layer 1.1.0 (conv_bn -1): channels is -1, expected 1 to 1048576");
    assert_refused(fw_conv_blk(4, &(fw_layer_opt){.stride = 2}), x, FW_EARG,
                   "layer 0 (conv_blk 4): conv_blk has no option stride");
    assert_refused(fw_conv_bn(4, &(fw_layer_opt){.act_alpha = 2}), x, FW_EARG,
                   "layer 0 (conv_bn 4): act_alpha is for act celu alone");
    assert_refused(fw_conv_bn(4, &(fw_layer_opt){.bn_eps = NAN}), x, FW_EARG,
                   "layer 0 (conv_bn 4): bn_eps is nan, expected 1e-30 to 1");
    assert_refused(fw_conv_bn(4, &(fw_layer_opt){.act = (fw_act)99}), x, FW_EARG,
                   "layer 0 (conv_bn 4): act is the number 99, which none of its 8 values has");
    assert_refused(fw_conv_bn(INT64_MIN, NULL), x, FW_EARG,
                   "layer 0 (conv_bn -9.223372036854776e+18): channels is "
                   "-9.223372036854776e+18, expected 1 to 1048576");
    assert_refused(fw_dropout(1), x, FW_EARG,
                   "layer 0 (dropout 1): rate is 1, expected 0 to less than 1");
    assert_refused(NULL, x, FW_EARG, "the model is NULL (builders give that when memory is out)");
    assert_refused(fw_sequential(), x, FW_EARG, "the model has no layers");
    assert_refused(fw_parallel(), x, FW_EARG, "the model: has no branches");
}

static void containers_keep_what_is_wrong_with_them(void **state)
{
    (void)state;
    const fwi_shape x = fwi_shape4(2, 8, 8, 3);
    fw_layer *net = fw_sequential();
    fw_add(net, fw_flatten());
    fw_add(net, NULL);
    fw_add(net, fw_flatten());
    assert_refused(net, x, FW_EARG,
                   "the model: child 1 is NULL (builders give that when memory is out)");
    net = fw_sequential();
    fw_layer *const leaf = fw_flatten();
    fw_add(leaf, fw_flatten());
    fw_add(net, leaf);
    assert_refused(net, x, FW_EARG, "layer 0 (flatten): takes no children");
    net = fw_sequential();
    fw_layer *const shared = fw_flatten();
    fw_add(net, shared);
    fw_add(net, shared);
    fw_layer_free(shared); /* net's: nothing happens */
    assert_refused(net, x, FW_EARG, "the model: child 1 is in a model already");
    net = fw_sequential();
    fw_add(net, net);
    assert_refused(net, x, FW_EARG, "the model: child 0 is in a model already");
    net = fw_sequential();
    fw_layer *const below = fw_sequential();
    fw_add(net, below);
    fw_add(below, net);
    assert_refused(net, x, FW_EARG, "layer 0 (sequential): child 0 is in a model already");
    fw_add(NULL, fw_flatten()); /* freed: the leak checker sees to it */
    fw_add(NULL, NULL);
    fw_layer_free(NULL);
    net = fw_sequential(); /* a tree that grows upwards, then one that grows downwards */
    for (int i = 0; i < 100; i++) {
        fw_layer *const up = fw_sequential();
        fw_add(up, net);
        net = up;
    }
    assert_int_equal(fwi_layer_check(net), FW_EARG);
    assert_non_null(strstr(fw_last_error(), "layers lie more than 64 deep"));
    fw_layer_free(net);
    net = fw_sequential();
    fw_layer *at = net;
    for (int i = 0; i < 64 && at->status == FW_OK; i++) {
        fw_layer *const down = fw_sequential();
        fw_add(at, down);
        if (at->status == FW_OK)
            at = down;
    }
    const built b = build(net, x, true);
    assert_int_equal(fwi_graph_status(b.g), FW_EARG);
    assert_non_null(strstr(fw_last_error(), "layers lie more than 64 deep"));
    fwi_graph_free(b.g);
}

static void models_that_grow_without_bound_are_refused(void **state)
{
    (void)state;
    fw_layer *net = fw_sequential();
    for (int i = 0; i < 1000; i++)
        fw_add(net, fw_conv_res_blk(1, 100, &(fw_layer_opt){.pooling = FW_POOL_NONE, .kernel = 1}));
    built b = build(net, fwi_shape4(2, 1, 1, 1), true);
    assert_int_equal(fwi_graph_status(b.g), FW_EARG);
    assert_non_null(strstr(fw_last_error(), "more than 20000 ops"));
    fwi_graph_free(b.g);
    net = fw_sequential();
    for (int i = 0; i < 100; i++) { /* each doubles the channels */
        fw_layer *const par = fw_parallel();
        fw_add(par, fw_sequential());
        fw_add(par, fw_sequential());
        fw_add(net, par);
    }
    b = build(net, fwi_shape4(2, 1, 1, 1), true);
    assert_int_equal(fwi_graph_status(b.g), FW_ESHAPE);
    fwi_graph_free(b.g);
}

static void cost_refuses_what_is_no_classifier(void **state)
{
    (void)state;
    fw_model_cost c = {.params = -1};
    fw_layer *const net = fw_sequential();
    fw_add(net, fw_conv_bn(4, NULL));
    assert_int_equal(fw_layer_cost(net, 8, 8, 3, &c), FW_ESHAPE);
    assert_int_equal(c.params, -1);
    assert_int_equal(fw_layer_cost(net, 0, 8, 3, &c), FW_EARG);
    assert_int_equal(fw_layer_cost(net, 8, INT64_MAX, 3, &c), FW_EARG);
    assert_int_equal(fw_layer_cost(NULL, 8, 8, 3, &c), FW_EARG);
    assert_int_equal(fw_layer_cost(net, 8, 8, 3, NULL), FW_EARG);
    fw_add(net, fw_fastai_head(5, NULL)); /* batch norm of flat values: counted all the same */
    assert_int_equal(fw_layer_cost(net, 8, 8, 3, &c), FW_OK);
    assert_int_equal(c.n_classes, 5);
    assert_int_equal(c.params, 4 * 27 + 8 + 2 * 8 + 512 * 8 + 1024 + 5 * 512);
    assert_int_equal(c.macs, 4 * 27 * 64 + 512 * 8 + 5 * 512);
    assert_int_equal(c.train_flops, 2 * (3 * c.macs - 4 * 27 * 64));
    fw_layer_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_walk_through_net_costs_what_it_should),
        cmocka_unit_test(the_walk_through_net_has_its_names),
        cmocka_unit_test(evaluation_uses_the_same_variables_and_changes_none),
        cmocka_unit_test(initial_values_follow_their_rules),
        cmocka_unit_test(norms_have_their_options),
        cmocka_unit_test(text_keeps_names),
        cmocka_unit_test(every_activation_and_pool_is_built),
        cmocka_unit_test(mistakes_are_reported_with_their_place),
        cmocka_unit_test(containers_keep_what_is_wrong_with_them),
        cmocka_unit_test(models_that_grow_without_bound_are_refused),
        cmocka_unit_test(cost_refuses_what_is_no_classifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
