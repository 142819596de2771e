/* What every network of the recipes costs, as the program counts it, against the published tables:
 * trained parameters, multiply-accumulates of a forward pass, floating-point operations of a
 * training step, each of one image. Sources: docs/recipes.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fenwicks/layers.h>
#include <stdio.h>
#include <string.h>

#include "layer_inner.h"

#define BN     " init=pytorch bn_update=0.1 bn_eps=1e-05"
#define AIR    " pool_first=true act=gelu init=dirac bn_update=0.4 bn_eps=1e-12 bn_fixed_scale=true"
#define WHITEN "whiten eps=0.0005 images=5000 init=pytorch\nactivation gelu\n"
#define HEAD   "global_max_pool\nclassifier 10 weight=0.1111\n"

static const char resnet18[] =
    "conv2d 64 bias=false padding=half init=pytorch\n"
    "preact_blk 64" BN " bn_uniform_scale=true\npreact_blk 64" BN " bn_uniform_scale=true\n"
    "preact_blk 128 stride=2" BN " bn_uniform_scale=true\npreact_blk 128" BN
    " bn_uniform_scale=true\n"
    "preact_blk 256 stride=2" BN " bn_uniform_scale=true\npreact_blk 256" BN
    " bn_uniform_scale=true\n"
    "preact_blk 256 stride=2" BN " bn_uniform_scale=true\npreact_blk 256" BN
    " bn_uniform_scale=true\n"
    "global_pools\nclassifier 10 bias=true init=pytorch\n";

static const char davidnet[] =
    "conv_bn 64" BN "\nconv_res_blk 128" BN "\nconv_blk 256" BN "\nconv_res_blk 512" BN
    "\nglobal_max_pool\nclassifier 10 weight=0.125 init=pytorch\n";
static const char davidnet_whitened[] =
    "whiten kernel=3 negatives=false padding=same bias=false eps=0.01 images=10000\n"
    "conv_bn 64 kernel=1" BN "\nconv_res_blk 128 pool_first=true" BN
    "\nconv_blk 256 pool_first=true" BN "\nconv_res_blk 512 pool_first=true" BN
    "\nglobal_max_pool\nclassifier 10 weight=0.0625 init=pytorch\n";
static const char ghost[] =
    "whiten kernel=3 negatives=false padding=same bias=false eps=0.01 images=10000\n"
    "conv_bn 64 kernel=1 bn_fixed_scale=true bn_groups=16" BN
    "\nconv_res_blk 128 pool_first=true bn_fixed_scale=true bn_groups=16" BN
    "\nconv_blk 256 pool_first=true bn_fixed_scale=true bn_groups=16" BN
    "\nconv_res_blk 512 pool_first=true bn_fixed_scale=true bn_groups=12" BN
    "\nglobal_max_pool\nclassifier 10 weight=0.0625 init=pytorch\n";
static const char airbench94[] = WHITEN "conv_blk 64 convs=2" AIR "\nconv_blk 256 convs=2" AIR
                                        "\nconv_blk 256 convs=2" AIR "\n" HEAD;
static const char airbench94_frozen[] =
    "whiten bias=false\nactivation gelu\nconv_blk 64 convs=2" AIR "\nconv_blk 256 convs=2" AIR
    "\nconv_blk 256 convs=2" AIR "\n" HEAD;
static const char hlb[] =
    "whiten eps=0.01 images=50000 centred=true bias=false\nactivation gelu\nconv_blk 64 convs=2" AIR
    "\nconv_blk 256 convs=2" AIR "\nconv_blk 512 convs=2" AIR "\n" HEAD;
static const char airbench96[] =
    WHITEN "conv_blk 128 convs=3 skip=true" AIR "\nconv_blk 384 convs=3 skip=true" AIR
           "\nconv_blk 512 convs=3 skip=true" AIR "\n" HEAD;
static const char airbench96_proxy[] =
    "whiten bias=false\nactivation gelu\nconv_blk 32 convs=2" AIR "\nconv_blk 64 convs=2" AIR
    "\nconv_blk 64 convs=2" AIR "\n" HEAD;

/* The backward pass counts as twice the forward pass, but for layers whose weights or inputs need
 * no gradient: what they save is given here. */
/* Sums are of filters, head, shifts of norms and the whitening's bias. */
typedef struct cost_row {
    const char *name, *layers;
    int64_t side, params, macs, unneeded; /* multiply-accumulates of the gradients that are not */
} cost_row;

enum {
    WHITEN2_32 = 31 * 31 * 288, /* whiten 2 x 2: no gradient of its filter or input */
    WHITEN2_28 = 27 * 27 * 288,
    WHITEN2_24 = 23 * 23 * 288,
    GROUP1_32 = 31 * 31 * 9 * 24 * 64, /* first convolution behind a whitening without bias */
    GROUP1_28 = 27 * 27 * 9 * 24 * 64,
    GROUP1_24 = 23 * 23 * 9 * 24 * 64,
    PROXY1_32 = 31 * 31 * 9 * 24 * 32,
    PREP = 32 * 32 * 27 * 64 /* first convolution: no input gradient */
};

static const cost_row rows[] = {
    /* convolutions and linear layer 5,200,586; norms: 2 (64 4 + (64 + 128 3) + (128 + 256 3) + 256 4) */
    {"ResNet18 variant", resnet18, 32, 5200586 + 5248, 460002304, PREP},
    {"DavidNet", davidnet, 32, 6573120, 379261952, PREP},
    {"DavidNet whitened", davidnet_whitened, 32, 6573120, 380008448, 2 * 746496 + PREP},
    {"the same, ghost norms, fixed scales", ghost, 32, 6573120 - 2240, 380008448,
     2 * 746496 + PREP},
    {"airbench94", airbench94, 32, 1971352, 118147360, 2 * WHITEN2_32},
    {"airbench94, 28", airbench94, 28, 1971352, 89216032, 2 * WHITEN2_28},
    {"airbench94, 24", airbench94, 24, 1971352, 61621024, 2 * WHITEN2_24},
    {"airbench94, frozen bias", airbench94_frozen, 32, 1971328, 118147360,
     2 * WHITEN2_32 + GROUP1_32},
    {"airbench94, frozen bias, 28", airbench94_frozen, 28, 1971328, 89216032,
     2 * WHITEN2_28 + GROUP1_28},
    {"airbench94, frozen bias, 24", airbench94_frozen, 24, 1971328, 61621024,
     2 * WHITEN2_24 + GROUP1_24},
    /* The published 976.75 MFLOP count the first group's input gradient, which nobody needs: this
     * net's whitening has no bias, so nothing in front of that convolution is trained. */
    {"hlb", hlb, 32, 4326912 + 5120 + 1664, 162976544, 2 * WHITEN2_32 + GROUP1_32},
    {"airbench96", airbench96, 32, 9907200 + 5120 + 3072 + 24, 451967264, 2 * WHITEN2_32},
    {"airbench96, proxy", airbench96_proxy, 32, 145152 + 640 + 320, 17085088,
     2 * WHITEN2_32 + PROXY1_32},
};

static void every_network_costs_what_is_published(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const cost_row *const r = &rows[i];
        fw_layer *l = NULL;
        fw_model_cost c = {0};
        if (fw_layer_parse(&l, r->layers, r->name) != FW_OK)
            fail_msg("%s", fw_last_error());
        if (fw_layer_cost(l, r->side, r->side, 3, &c) != FW_OK)
            fail_msg("%s: %s", r->name, fw_last_error());
        const int64_t flops = 2 * (3 * r->macs - r->unneeded);
        if (c.params != r->params || c.macs != r->macs || c.train_flops != flops) {
            print_message("%s: %lld parameters, %lld MAC, %lld FLOP; expected %lld, %lld, %lld\n",
                          r->name, (long long)c.params, (long long)c.macs, (long long)c.train_flops,
                          (long long)r->params, (long long)r->macs, (long long)flops);
            wrong++;
        }
        assert_int_equal(c.n_classes, 10);
        fw_layer_free(l);
    }
    assert_int_equal(wrong, 0);
}

/* The published figures of training, in MFLOP per image and rounded as they are. */
static void training_costs_what_is_published(void **state)
{
    (void)state;
    static const struct {
        const char *layers;
        int64_t side, kflop; /* thousands, to the published digits */
        int64_t unit;
    } published[] = {
        {resnet18, 32, 2756500, 100},         {davidnet, 32, 2272030, 10},
        {davidnet_whitened, 32, 2273530, 10}, {airbench94, 32, 707780, 10},
        {airbench94_frozen, 32, 681210, 10},  {airbench94_frozen, 28, 514300, 10},
        {airbench94_frozen, 24, 354490, 10},  {airbench96, 32, 2710700, 10},
    };
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        fw_layer *l = NULL;
        fw_model_cost c = {0};
        assert_int_equal(fw_layer_parse(&l, published[i].layers, "net"), FW_OK);
        assert_int_equal(fw_layer_cost(l, published[i].side, published[i].side, 3, &c), FW_OK);
        const int64_t unit = published[i].unit * 1000;
        assert_int_equal((c.train_flops + unit / 2) / unit * unit, published[i].kflop * 1000);
        fw_layer_free(l);
    }
}

/* Layers with different groups share a batch that is counted on; without one they are refused. */
static void groups_decide_on_the_batch(void **state)
{
    (void)state;
    fw_layer *l = NULL;
    int64_t batch = 0;
    fw_model_cost c = {0};
    assert_int_equal(fw_layer_parse(&l, ghost, "ghost"), FW_OK);
    assert_int_equal(fwi_layer_least_batch(l, &batch), FW_OK);
    assert_int_equal(batch, 2 * 48);
    assert_int_equal(fwi_layer_check_batch(l, 480), FW_OK);
    assert_int_equal(fwi_layer_check_batch(l, 512), FW_ESHAPE);
    assert_string_equal(fw_last_error(), "layer 4 (conv_res_blk 512): bn_groups is 12, which does "
                                         "not divide a batch of 512");
    fw_layer_free(l);
    assert_int_equal(
        fw_layer_parse(&l,
                       "flatten\ndense_bn 4 bn_groups=4093\ndense_bn 4 bn_groups=4091\n"
                       "classifier 10\n",
                       "primes"),
        FW_OK);
    assert_int_equal(fw_layer_cost(l, 2, 2, 1, &c), FW_EARG);
    assert_string_equal(fw_last_error(),
                        "no batch of up to 1048576 is a multiple of every layer's bn_groups");
    fw_layer_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network_costs_what_is_published),
        cmocka_unit_test(training_costs_what_is_published),
        cmocka_unit_test(groups_decide_on_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
