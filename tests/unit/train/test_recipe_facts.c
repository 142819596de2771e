/* What the recipes of published runs hold besides rates, steps and sizes (test_builtin_recipes.c,
 * test_recipe_optim.c): Page's nine tricks, each as the change that it is, and what the sources of
 * the others say about norms, labels, augmentation and averages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fenwicks/layers.h>
#include <recipe_inner.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_CAP = 1 << 16 };

static fw_recipe *opened(const char *name)
{
    fw_recipe *r = NULL;
    if (fw_recipe_open(&r, name) != FW_OK)
        fail_msg("%s: %s", name, fw_last_error());
    return r;
}

/* The recipe as text, its layers with their options in one order, without its name. */
static void canonical(fw_recipe *r, char text[TEXT_CAP])
{
    static const char layer[] = "layer = ";
    char *printed = NULL;
    size_t at = 0;
    assert_int_equal(fw_recipe_set(r, "recipe.name", "x"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "recipe.about", "x"), FW_OK);
    assert_int_equal(fw_recipe_print(r, &printed), FW_OK);
    for (char *line = strtok(printed, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        fw_layer *l = NULL;
        char *again = NULL;
        if (strncmp(line, layer, sizeof layer - 1) == 0 &&
            fw_layer_parse(&l, line + sizeof layer - 1, "x") != FW_OK)
            fail_msg("%s: %s", line, fw_last_error());
        if (l != NULL)
            assert_int_equal(fw_layer_print(l, &again), FW_OK);
        at += (size_t)snprintf(text + at, TEXT_CAP - at, "%s\n", again != NULL ? again : line);
        assert_true(at < TEXT_CAP);
        fw_text_free(again);
        fw_layer_free(l);
    }
    fw_text_free(printed);
}

#define CELU                                                                                       \
    " act=celu act_alpha=0.3 init=pytorch bn_update=0.1 bn_eps=1e-5 bn_groups=16 "                 \
    "bn_fixed_scale=true"

/* Myrtle.ai's post 8 and its notebooks: what each trick adds to the one before it. */
static void pages_tricks_change_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *changes;
    } tricks[] = {
        {"page-4", "page-8.1", "data.cache=true"},
        {"page-8.1", "page-8.2",
         "epochs=25, lr_knots=0 5/25 1, layer:conv_res_blk.pool_first=true, "
         "layer:conv_blk.pool_first=true"},
        {"page-8.2", "page-8.3", "epochs=23, lr_knots=0 0.2 1, label_smoothing=0.2"},
        {"page-8.3", "page-8.4",
         "epochs=20, layer:conv_bn.act=celu, layer:conv_res_blk.act=celu, layer:conv_blk.act=celu, "
         "layer:conv_bn.act_alpha=0.075, layer:conv_res_blk.act_alpha=0.075, "
         "layer:conv_blk.act_alpha=0.075"},
        {"page-8.4", "page-8.5",
         "epochs=18, lr_values=0 0.6/batch 0, layer:conv_bn.bn_groups=16, "
         "layer:conv_res_blk.bn_groups=16, layer:conv_blk.bn_groups=16"},
        {"page-8.5", "page-8.6",
         "epochs=17, layer:conv_bn.bn_fixed_scale=true, layer:conv_res_blk.bn_fixed_scale=true, "
         "layer:conv_blk.bn_fixed_scale=true, layer:conv_bn.act_alpha=0.3, "
         "layer:conv_res_blk.act_alpha=0.3, layer:conv_blk.act_alpha=0.3, "
         "layer:classifier.weight=0.0625, group=bias lr_scale=64 weight_decay=5e-4/64*batch"},
        {"page-8.6", "page-8.7",
         "epochs=14, lr_values=0 1/batch 0, transform:cutout=cutout 5 5, "
         "layer=whiten kernel=3 negatives=false padding=same bias=false eps=1e-2 images=10000, "
         "conv_bn 64 kernel=1" CELU ", "
         "conv_res_blk 128 pool_first=true" CELU ", "
         "conv_blk 256 pool_first=true" CELU ", "
         "conv_res_blk 512 pool_first=true" CELU ", "
         "global_max_pool, "
         "classifier 10 weight=0.0625 init=pytorch"},
        {"page-8.7", "page-8.8",
         "epochs=13, lr_knots=0 0.2 11/13, lr_values=0 1/batch 0.1/batch, average=ema, "
         "average_decay=0.99^5, average_decay_steps=1261, average_every=5, average_count=epoch"},
        {"page-8.8", "page-8.9",
         "epochs=10, lr_knots=0 0.2 0.8, average_decay_steps=970, transform:cutout=, tta=mirror"}};
    static char got[TEXT_CAP], want[TEXT_CAP];
    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
        fw_recipe *const r = opened(tricks[i].from), *const next = opened(tricks[i].to);
        if (fw_recipe_change(r, tricks[i].changes) != FW_OK)
            fail_msg("%s: %s", tricks[i].to, fw_last_error());
        canonical(r, got);
        canonical(next, want);
        if (strcmp(got, want) != 0)
            fail_msg("%s is not %s with %s:\n%s\n--- but ---\n%s", tricks[i].to, tricks[i].from,
                     tricks[i].changes, want, got);
        fw_recipe_free(next);
        fw_recipe_free(r);
    }
}

#define PREACT " init=pytorch bn_update=0.1 bn_eps=1e-5 bn_uniform_scale=true\n"
#define DAVID  " init=pytorch bn_update=0.1 bn_eps=1e-5\n"
#define NINTH  "global_max_pool\nclassifier 10 weight=0.1111111111111111 init=pytorch"
#define PROXY                                                                                      \
    " convs=2 pool_first=true act=gelu init=dirac bn_update=0.1 bn_eps=1e-12 "                     \
    "bn_fixed_scale=true\n"
#define UNIT "global_max_pool\nclassifier 10 weight=0.00390625 init=unit_std"

/* Sources: shared facts of docs/recipes.md, each recipe's section. A value that is a line, or a part
 * of one, of a key that holds lines. */
static const struct {
    const char *recipe, *key, *holds;
} facts[] = {
    {"page-1", "train.label_smoothing", "0"},
    {"page-1", "augment.transform", "standardize\npad_crop 4\nflip"},
    {"page-1", "network.layer",
     "conv2d 64 bias=false padding=half init=pytorch\n"
     "preact_blk 64" PREACT "preact_blk 64" PREACT "preact_blk 128 stride=2" PREACT
     "preact_blk 128" PREACT "preact_blk 256 stride=2" PREACT "preact_blk 256" PREACT
     "preact_blk 256 stride=2" PREACT "preact_blk 256" PREACT
     "global_pools\nclassifier 10 bias=true init=pytorch"},
    {"page-2", "augment.transform", "standardize\npad_crop 4\nflip"},
    {"page-2", "train.label_smoothing", "0"},
    {"page-3", "augment.transform", "standardize\npad_crop 4\nflip\ncutout 8 8"},
    {"page-3", "train.label_smoothing", "0"},
    {"page-4", "augment.transform", "standardize\npad_crop 4\nflip\ncutout 8 8"},
    {"page-4", "network.layer",
     "conv_bn 64" DAVID "conv_res_blk 128" DAVID "conv_blk 256" DAVID "conv_res_blk 512" DAVID
     "global_max_pool\nclassifier 10 weight=0.125 init=pytorch"},
    {"airbench94", "train.label_smoothing", "0.2"},
    {"airbench94", "train.loss", "sum"},
    {"airbench94", "train.pass_end", "drop"},
    {"airbench94", "augment.transform", "standardize\nalternating_flip\ntranslate 2"},
    {"airbench94", "network.layer", "whiten eps=5e-4 images=5000\nactivation gelu\nconv_blk 64 "},
    {"airbench94", "network.layer",
     "act=gelu init=dirac bn_update=0.4 bn_eps=1e-12 bn_fixed_scale=true\nconv_blk 256 "},
    {"airbench94", "network.layer", NINTH},
    {"airbench94", "train.group", "whiten_bias train_epochs=3"},
    {"airbench94", "train.average", "lookahead"},
    {"airbench94", "train.average_every", "5"},
    {"airbench94", "train.average_power", "3"},
    {"airbench94", "evaluate.tta", "airbench6"},
    {"airbench94-muon", "train.label_smoothing", "0.2"},
    {"airbench94-muon", "augment.transform", "standardize\nalternating_flip\ntranslate 2"},
    {"airbench94-muon", "network.layer",
     "whiten kernel=2 eps=5e-4 images=5000 init=pytorch\nactivation gelu"},
    {"airbench94-muon", "network.layer", UNIT},
    {"airbench94-muon", "train.pass_end", "drop"},
    {"airbench94-muon", "train.group", "lr_epochs=3 train_epochs=3"},
    {"airbench94-muon", "train.average", "none"},
    {"airbench94-muon", "evaluate.tta", "airbench6"},
    {"airbench95", "train.label_smoothing", "0.2"},
    {"airbench95", "augment.transform", "standardize\nalternating_flip\ntranslate 2"},
    {"airbench95", "network.layer",
     "conv_blk 128 convs=2 pool_first=true act=gelu init=dirac bn_update=0.4 "},
    {"airbench95", "network.layer", "whiten eps=5e-4 images=5000\nactivation gelu\nconv_blk 128 "},
    {"airbench95", "network.layer", NINTH},
    {"airbench95", "train.group", "whiten_bias train_epochs=3"},
    {"airbench95", "train.pass_end", "drop"},
    {"airbench95", "evaluate.tta", "airbench6"},
    {"airbench96", "train.label_smoothing", "0.2"},
    {"airbench96", "augment.transform", "alternating_flip\ntranslate 4\ncutout 12 12"},
    {"airbench96", "network.layer",
     "conv_blk 512 convs=3 skip=true pool_first=true act=gelu init=dirac bn_update=0.1 "},
    {"airbench96", "network.layer", "whiten eps=5e-4 images=5000\nactivation gelu\nconv_blk 128 "},
    {"airbench96", "network.layer", NINTH},
    {"airbench96", "train.pass_end", "straddle"}, /* batches go on across the ends of passes */
    {"airbench96", "train.epochs", "45"},
    {"airbench96", "evaluate.tta", "airbench6"},
    {"airbench96", "network proxy.layer",
     "whiten eps=5e-4 images=5000 bias=false\nactivation gelu\nconv_blk 32" PROXY
     "conv_blk 64" PROXY "conv_blk 64" PROXY NINTH},
    {"airbench96-legacy", "train.label_smoothing", "0.2"},
    {"airbench96-legacy", "augment.transform", "alternating_flip\ntranslate 4\ncutout 12 12"},
    {"airbench96-legacy", "network.layer",
     "whiten eps=5e-4 images=5000\nactivation gelu\nconv_blk 128 convs=3 skip=true "
     "pool_first=true act=gelu init=dirac bn_update=0.1 bn_eps=1e-12 bn_fixed_scale=true\n"},
    {"airbench96-legacy", "network.layer", NINTH},
    {"airbench96-legacy", "network proxy.layer", ""},
    {"airbench96-legacy", "train.pass_end", "drop"},
    {"airbench96-legacy", "train.group", "whiten_bias train_epochs=3"},
    {"airbench96-legacy", "evaluate.tta", "airbench6"},
    {"airbench96", "network proxy.keep", "512"},
    {"airbench96", "network proxy.train_every", "4"},
    {"hiverge", "train.label_smoothing", "0.09"},
    {"hiverge", "augment.transform", "alternating_flip\ntranslate 2\ncolor_jitter 0.1399 0.1308"},
    {"hiverge", "network.layer", "whiten eps=5e-4 images=960 init=pytorch\nactivation gelu"},
    {"hiverge", "network.layer",
     "act=silu init=dirac bn_update=0.4434 bn_eps=1e-12 bn_fixed_scale=true"},
    {"hiverge", "network.layer", UNIT},
    {"hiverge", "train.pass_end", "drop"},
    {"hiverge", "train.renorm", "spaced"},
    {"hiverge", "train.ns_target", "0.5012 0.0786"},
    {"hiverge", "train.group", "train_epochs=7/32"},
    {"hiverge", "train.average", "none"},
    {"hiverge", "evaluate.tta", "selective"},
    {"e1", "train.label_smoothing", "0.09"},
    {"e1", "augment.transform", "alternating_flip\ntranslate 2\ncolor_jitter 0.1399 0.1308"},
    {"e1", "network.layer", "whiten eps=5e-4 images=5000 init=pytorch\nactivation gelu"},
    {"e1", "network.layer",
     "act=silu init=dirac bn_update=0.4434 bn_eps=1e-12 bn_fixed_scale=true"},
    {"e1", "network.layer", UNIT},
    {"e1", "train.pass_end", "drop"},
    {"e1", "train.average", "lookahead"},
    {"e1", "train.average_decay", "0.7"},
    {"e1", "train.average_every", "4"},
    {"e1", "train.average_start", "264/284"},
    {"e1", "train.resolution", "24 28 32"},
    {"e1", "train.resolution_ends", "96/284 192/284"},
    {"e1", "train.resolution_by", "resize"},
    {"e1", "evaluate.tta", "airbench6"},
    {"hlb", "train.label_smoothing", "0.2"},
    {"hlb", "augment.transform", "pad_crop 2\nflip\ncutmix 3 3 from=7/12.1"},
    {"hlb", "network.layer",
     "whiten eps=1e-2 images=50000 centred=true bias=false\nactivation gelu"},
    {"hlb", "network.layer",
     "init=dirac_added bn_update=0.4 bn_eps=1e-12 bn_fixed_scale=true\nconv_bn 64 act=gelu "
     "init=identity"},
    {"hlb", "network.layer", NINTH},
    {"hlb", "train.pass_end", "drop"},
    {"hlb", "train.average_start", "2/12.1"},
    {"hlb", "evaluate.tta", "mirror"},
};

/* All of them sum their losses over the batch; Page writes Nesterov's momentum in his own form. */
static void losses_are_summed_and_momentum_is_nesterovs(void **state)
{
    (void)state;
    static const char *const page[] = {"page-1",   "page-2",   "page-3",   "page-4",   "page-8.1",
                                       "page-8.2", "page-8.3", "page-8.4", "page-8.5", "page-8.6",
                                       "page-8.7", "page-8.8", "page-8.9"};
    static const char *const others[] = {"airbench94",
                                         "airbench94-muon",
                                         "airbench95",
                                         "airbench96",
                                         "airbench96-legacy",
                                         "hiverge",
                                         "e1",
                                         "hlb",
                                         "sprint",
                                         "sprint-gpu"};
    const size_t n_page = sizeof page / sizeof *page, n_others = sizeof others / sizeof *others;
    for (size_t i = 0; i < n_page + n_others; i++) {
        const bool of_page = i < n_page;
        fw_recipe *const r = opened(of_page ? page[i] : others[i - n_page]);
        fw_optimizer o;
        assert_int_equal(fwi_recipe_optimizer(r, 970, &o), FW_OK);
        if (strcmp(fw_recipe_get(r, "train.loss"), "sum") != 0 ||
            o.sgd.nesterov != (of_page ? FW_NESTEROV_PAGE : FW_NESTEROV_PYTORCH))
            fail_msg("%s: loss %s, nesterov %s", fw_recipe_name(r), fw_recipe_get(r, "train.loss"),
                     fw_recipe_get(r, "train.nesterov"));
        /* the form of groups too */
        fw_param_group groups[FW_MAX_GROUPS];
        int32_t n = 0;
        assert_int_equal(fwi_recipe_groups(r, 970, 97, groups, &n), FW_OK);
        for (int32_t k = 0; k < n; k++)
            if (groups[k].optimizer.kind == FW_SGD)
                assert_int_equal(groups[k].optimizer.sgd.nesterov, o.sgd.nesterov);
        if (of_page) {
            assert_true(o.momentum == 0.9);
            assert_true(o.lr.start == 1); /* steps count from 1 */
            const double batch = (double)fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH);
            assert_true(o.sgd.weight_decay > 5e-4 * batch * (1 - 1e-12) &&
                        o.sgd.weight_decay < 5e-4 * batch * (1 + 1e-12));
            assert_string_equal(fw_recipe_get(r, "train.pass_end"), "drop");
        }
        fw_recipe_free(r);
    }
}

static void recipes_hold_what_their_sources_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        fw_recipe *const r = opened(facts[i].recipe);
        const char *const value = fw_recipe_get(r, facts[i].key);
        assert_non_null(value);
        const bool lines = strstr(facts[i].key, "layer") != NULL ||
                           strstr(facts[i].key, "transform") != NULL ||
                           strstr(facts[i].key, "group") != NULL;
        if (lines ? strstr(value, facts[i].holds) == NULL : strcmp(value, facts[i].holds) != 0)
            fail_msg("%s: %s is \"%s\", expected \"%s\"", facts[i].recipe, facts[i].key, value,
                     facts[i].holds);
        fw_recipe_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_tricks_change_what_they_say),
        cmocka_unit_test(losses_are_summed_and_momentum_is_nesterovs),
        cmocka_unit_test(recipes_hold_what_their_sources_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
