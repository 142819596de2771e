/* The airbench94 net and its parts: whitening, pools before norms, frozen scales, partial Dirac, a
 * head of unit deviation; counts against the published table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <layer_inner.h>
#include <math.h>
#include <string.h>

static const fw_layer_opt group = {.init = FW_INIT_DIRAC,
                                   .bn_update = 0.4f,
                                   .bn_eps = 1e-12f,
                                   .bn_fixed_scale = true,
                                   .act = FW_GELU,
                                   .convs = 2,
                                   .pool_first = true};

static fw_layer *airbench(void)
{
    fw_layer *const net = fw_sequential();
    fw_add(net, fw_whiten(&(fw_whiten_opt){.init = FW_INIT_PYTORCH}));
    fw_add(net, fw_activation(FW_GELU, 0));
    fw_add(net, fw_conv_blk(64, &group));
    fw_add(net, fw_conv_blk(256, &group));
    fw_add(net, fw_conv_blk(256, &group));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(10, 1.0f / 256, &(fw_layer_opt){.init = FW_INIT_UNIT_STD}));
    return net;
}

static const char airbench_text[] =
    "whiten init=pytorch\n"
    "activation gelu\n"
    "conv_blk 64 convs=2 pool_first=true act=gelu init=dirac bn_update=0.4 bn_eps=1e-12 "
    "bn_fixed_scale=true\n"
    "conv_blk 256 convs=2 pool_first=true act=gelu init=dirac bn_update=0.4 bn_eps=1e-12 "
    "bn_fixed_scale=true\n"
    "conv_blk 256 convs=2 pool_first=true act=gelu init=dirac bn_update=0.4 bn_eps=1e-12 "
    "bn_fixed_scale=true\n"
    "global_max_pool\n"
    "classifier 10 weight=0.00390625 init=unit_std\n";

static void the_net_costs_what_it_should(void **state)
{
    (void)state;
    static const struct {
        int64_t side, macs;
    } sizes[] = {{32, 118147360}, {28, 89216032}, {24, 61621024}};
    fw_layer *const net = airbench();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t side = sizes[i].side, whiten = (side - 1) * (side - 1) * 288;
        fw_model_cost c = {0};
        assert_int_equal(fw_layer_cost(net, side, side, 3, &c), FW_OK);
        assert_int_equal(c.params, 1967616 + 2560 + 1152 + 24);
        assert_int_equal(c.frozen, 288 + 1152);
        assert_int_equal(c.statistics, 2 * 1152);
        assert_int_equal(c.macs, sizes[i].macs);
        /* the whitening filter has no gradient, and neither have the images */
        assert_int_equal(c.train_flops, 2 * (3 * c.macs - 2 * whiten));
        assert_int_equal(c.n_classes, 10);
    }
    fw_layer_free(net);
}

static void the_net_is_its_text(void **state)
{
    (void)state;
    fw_layer *const net = airbench();
    fw_layer *back = NULL;
    char *text = NULL, *again = NULL;
    assert_int_equal(fw_layer_print(net, &text), FW_OK);
    assert_string_equal(text, airbench_text);
    assert_int_equal(fw_layer_parse(&back, text, "airbench"), FW_OK);
    assert_int_equal(fw_layer_print(back, &again), FW_OK);
    assert_string_equal(again, airbench_text);
    fw_text_free(text);
    fw_text_free(again);
    fw_layer_free(back);
    fw_layer_free(net);
}

typedef struct built {
    fwi_graph *g;
    fwi_val y;
} built;

/* Takes l. */
static built build(fw_layer *l, fwi_shape shape, bool training)
{
    built b = {0};
    assert_int_equal(fwi_graph_new(&b.g, FW_F32), FW_OK);
    const fwi_val x = fwi_graph_input(b.g, "x", FW_F32, shape);
    b.y = fwi_layer_build(l, b.g, x, training);
    fw_layer_free(l);
    return b;
}

static const fwi_tensor *find_var(const fwi_graph *g, const char *name)
{
    const fwi_val v = fwi_graph_find(g, name);
    if (v == FWI_NO_VAL)
        fail_msg("no variable %s", name);
    return &g->tensors[v];
}

static void assert_image(const built *b, int64_t h, int64_t w, int64_t c)
{
    if (fwi_graph_status(b->g) != FW_OK)
        fail_msg("%s", fw_last_error());
    const fwi_shape want = fwi_shape4(2, h, w, c);
    assert_true(fwi_shape_equal(&b->g->tensors[b->y].shape, &want));
}

static void variables_have_their_class_and_start(void **state)
{
    (void)state;
    const built b = build(airbench(), fwi_shape4(2, 32, 32, 3), true);
    assert_int_equal(fwi_graph_status(b.g), FW_OK);
    assert_int_equal(fwi_graph_verify(b.g), FW_OK);
    const fwi_tensor *t = find_var(b.g, "0.whiten.weight");
    const fwi_shape filter = fwi_shape4(24, 2, 2, 3);
    assert_true(fwi_shape_equal(&t->shape, &filter));
    assert_int_equal(t->var_class, FWI_VAR_WHITEN);
    assert_false(t->trainable);
    assert_true(t->init.kind == FWI_INIT_DATA && t->init.a == 5e-4 && t->init.b == 5000);
    t = find_var(b.g, "0.whiten.bias");
    assert_int_equal(t->var_class, FWI_VAR_WHITEN_BIAS);
    assert_true(t->trainable);
    assert_true(t->init.kind == FWI_INIT_UNIFORM && t->init.b == 1 / sqrt(12));
    t = find_var(b.g, "2.0.conv.weight");
    assert_true(t->init.kind == FWI_INIT_DIRAC && t->init.b == 1 / sqrt(9 * 24));
    t = find_var(b.g, "3.1.bn.gamma");
    assert_int_equal(t->var_class, FWI_VAR_BN_SCALE);
    assert_false(t->trainable);
    assert_true(t->init.kind == FWI_INIT_CONST && t->init.a == 1);
    assert_true(find_var(b.g, "3.1.bn.beta")->trainable);
    t = find_var(b.g, "6.dense.weight");
    assert_int_equal(t->var_class, FWI_VAR_HEAD);
    assert_true(t->init.kind == FWI_INIT_UNIT_STD && t->init.b == 1 / sqrt(256));
    fwi_graph_free(b.g);
}

/* What stands between the convolutions of a group: conv pool bn act, conv bn act. */
static void a_group_pools_before_it_normalises(void **state)
{
    (void)state;
    static const fwi_opkind order[] = {FWI_OP_conv2d, FWI_OP_max_pool, FWI_OP_bn_eval, FWI_OP_act,
                                       FWI_OP_conv2d, FWI_OP_bn_eval,  FWI_OP_act};
    const built b = build(fw_conv_blk(8, &group), fwi_shape4(2, 15, 13, 3), false);
    assert_image(&b, 7, 6, 8);
    assert_int_equal(b.g->n_ops, sizeof order / sizeof *order);
    for (int i = 0; i < b.g->n_ops; i++)
        assert_int_equal(b.g->ops[i].kind, order[i]);
    fwi_graph_free(b.g);
    /* and of a block with a residual, whose own convolutions have no pool */
    const fw_layer_opt o = {.pool_first = true, .pooling = FW_POOL_AVERAGE};
    const built r = build(fw_conv_res_blk(8, 2, &o), fwi_shape4(2, 8, 8, 3), false);
    assert_image(&r, 4, 4, 8);
    int pools = 0;
    for (int i = 0; i < r.g->n_ops; i++)
        pools += r.g->ops[i].kind == FWI_OP_avg_pool;
    assert_int_equal(pools, 1);
    assert_int_equal(r.g->ops[1].kind, FWI_OP_avg_pool);
    fwi_graph_free(r.g);
}

static void padding_decides_on_the_size(void **state)
{
    (void)state;
    built b = build(fw_conv2d(5, false, &(fw_layer_opt){.kernel = 2, .padding = FW_VALID}),
                    fwi_shape4(2, 9, 7, 3), true);
    assert_image(&b, 8, 6, 5);
    fwi_graph_free(b.g);
    b = build(fw_conv2d(5, true, &(fw_layer_opt){.kernel = 3, .stride = 2, .padding = FW_VALID}),
              fwi_shape4(2, 9, 8, 3), true);
    assert_image(&b, 4, 3, 5);
    fwi_graph_free(b.g);
    b = build(fw_whiten(&(fw_whiten_opt){
                  .kernel = 3, .no_negatives = true, .same_padding = true, .no_bias = true}),
              fwi_shape4(2, 9, 7, 3), true);
    assert_image(&b, 9, 7, 27);
    assert_int_equal(fwi_graph_find(b.g, "0.whiten.bias"), FWI_NO_VAL);
    assert_int_equal(fwi_graph_params(b.g, NULL, 0), 0);
    fwi_graph_free(b.g);
    b = build(fw_whiten(NULL), fwi_shape4(2, 2, 3, 2), true);
    assert_image(&b, 1, 2, 16);
    assert_true(find_var(b.g, "0.whiten.bias")->init.kind == FWI_INIT_CONST);
    fwi_graph_free(b.g);
}

static void refused(fw_layer *l, fwi_shape x, fw_status st, const char *message)
{
    const built b = build(l, x, true);
    assert_int_equal(b.y, FWI_NO_VAL);
    assert_int_equal(fwi_graph_status(b.g), st);
    assert_string_equal(fw_last_error(), message);
    fwi_graph_free(b.g);
}

static void mistakes(void **state)
{
    (void)state;
    const fwi_shape x = fwi_shape4(2, 8, 8, 3);
    fw_layer *net = fw_sequential();
    fw_add(net, fw_activation(FW_RELU, 0));
    fw_add(net, fw_whiten(NULL));
    refused(net, x, FW_EARG,
            "layer 1 (whiten): its filter is made from the images: it can only be the first layer");
    refused(fw_whiten(&(fw_whiten_opt){.kernel = 7}), x, FW_ESHAPE,
            "layer 0 (whiten): patches of 7x7x3 have 147 values, at most 128 are allowed");
    refused(fw_whiten(&(fw_whiten_opt){.kernel = 3}), fwi_shape4(2, 8, 2, 3), FW_ESHAPE,
            "layer 0 (whiten): images of 8x2 have no 3x3 patch");
    refused(fw_whiten(&(fw_whiten_opt){.eps = -1}), x, FW_EARG,
            "layer 0 (whiten): eps is -1, expected more than 0 to 1e+06");
    refused(fw_whiten(&(fw_whiten_opt){.images = -5}), x, FW_EARG,
            "layer 0 (whiten): images is -5, expected 1 to 1000000000");
    refused(fw_conv_blk(4, &(fw_layer_opt){.pool_first = true, .pooling = FW_POOL_NONE}), x,
            FW_EARG, "layer 0 (conv_blk 4): pool_first is for blocks with a pool, pooling is none");
    refused(fw_conv_bn(4, &(fw_layer_opt){.pool_first = true}), x, FW_EARG,
            "layer 0 (conv_bn 4): conv_bn has no option pool_first");
    refused(fw_conv_bn(4, &(fw_layer_opt){.padding = FW_VALID}), x, FW_EARG,
            "layer 0 (conv_bn 4): conv_bn has no option padding");
    /* a style that others pass over */
    const built b = build(fw_conv2d(4, true, &(fw_layer_opt){.bn_fixed_scale = true}), x, true);
    assert_image(&b, 8, 8, 4);
    fwi_graph_free(b.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_net_costs_what_it_should),
        cmocka_unit_test(the_net_is_its_text),
        cmocka_unit_test(variables_have_their_class_and_start),
        cmocka_unit_test(a_group_pools_before_it_normalises),
        cmocka_unit_test(padding_decides_on_the_size),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
