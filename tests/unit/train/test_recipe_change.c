/* Variants of a recipe: changes, tricks, identity: recipe_change.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <recipe_inner.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT                                                                                       \
    "[recipe]\ntrick = smoothing label_smoothing=0\n"                                              \
    "trick = relu layer:*.act=, lr=0.2\ntrick = cut transform:cutout=\n"                           \
    "[augment]\ntransform = standardize\ntransform = flip\ntransform = cutout 2 2\n"               \
    "[network]\ninput = 8 8 1\nlayer = conv_bn 4 act=gelu\nlayer = conv_blk 8 bn_eps=1e-5\n"       \
    "layer = global_max_pool\nlayer = classifier 3\n"                                              \
    "[train]\nlr = 0.1\nlabel_smoothing = 0.2\n"

static fw_recipe *parsed(const char *text)
{
    fw_recipe *r = NULL;
    if (fw_recipe_parse(&r, text, "x.recipe") != FW_OK)
        fail_msg("%s", fw_last_error());
    return r;
}

static void changed(const char *changes, const char *key, const char *want)
{
    fw_recipe *r = parsed(TEXT);
    if (fw_recipe_change(r, changes) != FW_OK)
        fail_msg("%s: %s", changes, fw_last_error());
    assert_string_equal(fw_recipe_get(r, key), want);
    fw_recipe_free(r);
}

static void refused(const char *changes, fw_status want, const char *part)
{
    fw_recipe *r = parsed(TEXT);
    const fw_status st = fw_recipe_change(r, changes);
    if (st != want || strstr(fw_last_error(), part) == NULL)
        fail_msg("%s: %s: %s", changes, fw_status_name(st), fw_last_error());
    fw_recipe_free(r);
}

static void keys_change(void **state)
{
    (void)state;
    changed("lr=0.2", "lr", "0.2");
    changed("train.lr= 0.2 ", "lr", "0.2");
    changed("label_smoothing=", "label_smoothing", "0");
}

static void commas_separate_changes(void **state)
{
    (void)state;
    changed("lr=0.2,momentum=0.8", "momentum", "0.8");
    changed("lr=0.2, momentum=0.8", "lr", "0.2");
    changed("label_smoothing=, lr=0.3", "label_smoothing", "0");
    changed("transform=standardize, flip", "transform", "standardize\nflip");
    changed("transform=standardize, flip, lr=0.3", "transform", "standardize\nflip");
    changed("transform=standardize, flip, lr=0.3", "lr", "0.3");
    changed("layer=conv_bn 4 act=relu, flatten, classifier 3", "layer",
            "conv_bn 4 act=relu\nflatten\nclassifier 3");
    changed("", "lr", "0.1");
}

static void lines_change_by_their_word(void **state)
{
    (void)state;
    changed("transform:cutout=", "transform", "standardize\nflip");
    changed("augment.transform:cutout=cutout 3 3", "transform", "standardize\nflip\ncutout 3 3");
    changed(
        "layer:conv_blk.act=celu0.3", "layer",
        "conv_bn 4 act=gelu\nconv_blk 8 bn_eps=1e-5 act=celu0.3\nglobal_max_pool\nclassifier 3");
    changed("layer:conv_bn.act=relu", "layer",
            "conv_bn 4 act=relu\nconv_blk 8 bn_eps=1e-5\nglobal_max_pool\nclassifier 3");
    changed("layer:*.act=", "layer",
            "conv_bn 4\nconv_blk 8 bn_eps=1e-5\nglobal_max_pool\nclassifier 3");
    changed("layer:*.bn_eps=1e-3, layer:*.act=silu", "layer",
            "conv_bn 4 act=silu\nconv_blk 8 bn_eps=1e-3\nglobal_max_pool\nclassifier 3");
}

#define PROXY                                                                                      \
    "[recipe]\ntrick = keep network proxy.keep=16, network proxy.layer:conv_blk.act=relu\n"        \
    "[network]\ninput = 8 8 1\nlayer = conv_blk 8\nlayer = global_max_pool\n"                      \
    "layer = classifier 3\n[network proxy]\nlayer = conv_blk 4\nlayer = global_max_pool\n"         \
    "layer = classifier 3\nkeep = 8\n[train]\nlr = 0.1\nbatch = 32\n"

static void proxy_changed(const char *changes, const char *key, const char *want)
{
    fw_recipe *r = parsed(PROXY);
    if (fw_recipe_change(r, changes) != FW_OK || fw_recipe_check(r, NULL) != FW_OK)
        fail_msg("%s: %s", changes, fw_last_error());
    assert_string_equal(fw_recipe_get(r, key), want);
    fw_recipe_free(r);
}

/* The one section whose name has a blank: alone, behind other changes, before them. */
static void the_proxy_changes(void **state)
{
    (void)state;
    proxy_changed("network proxy.keep=4", "network proxy.keep", "4");
    proxy_changed("network proxy.train_every=2,network proxy.keep=4", "network proxy.keep", "4");
    proxy_changed("lr=0.2, network proxy.keep=4, momentum=0.8", "network proxy.keep", "4");
    proxy_changed("lr=0.2, network proxy.keep=4, momentum=0.8", "momentum", "0.8");
    proxy_changed("lr=0.2, network proxy.keep=4, momentum=0.8", "lr", "0.2");
    proxy_changed("layer=conv_bn 8 act=relu, global_max_pool, classifier 3, network proxy.keep=4",
                  "network proxy.keep", "4");
    proxy_changed("network proxy.layer=conv_bn 2, global_max_pool, classifier 3, lr=0.2",
                  "network proxy.layer", "conv_bn 2\nglobal_max_pool\nclassifier 3");
    proxy_changed("network proxy.layer:conv_blk.act=relu", "network proxy.layer",
                  "conv_blk 4 act=relu\nglobal_max_pool\nclassifier 3");
    proxy_changed("network proxy.layer:conv_blk.act=relu", "network.layer",
                  "conv_blk 8\nglobal_max_pool\nclassifier 3");
    proxy_changed("network proxy.layer:conv_blk=conv_bn 4, lr=0.3", "network proxy.layer",
                  "conv_bn 4\nglobal_max_pool\nclassifier 3");
    fw_recipe *r = parsed(PROXY);
    char *changes = NULL;
    assert_int_equal(fw_recipe_without(r, "keep", &changes), FW_OK);
    proxy_changed(changes, "network proxy.keep", "16");
    proxy_changed(changes, "network proxy.layer",
                  "conv_blk 4 act=relu\nglobal_max_pool\nclassifier 3");
    fw_text_free(changes);
    assert_int_equal(fw_recipe_without(r, "network proxy.train_every", &changes), FW_OK);
    assert_string_equal(changes, "network proxy.train_every=");
    fw_text_free(changes);
    fw_recipe_free(r);
    refused("network proxy.kep=4", FW_ENOTFOUND, "network proxy.keep");
    refused("network proxi.keep=4", FW_EARG, "is no change");
}

static void what_means_nothing_is_refused(void **state)
{
    (void)state;
    char *const endless =
        malloc((2u << 20) + 1); /* a name alone that is longer than a recipe may be */
    assert_non_null(endless);
    memset(endless, 'a', 2u << 20);
    memcpy(endless + (2u << 20) - 2, "=1", 3);
    refused(endless, FW_EARG, "a change of 2097152 bytes");
    free(endless);
    refused("lr", FW_EARG, "\"lr\" is no change: expected KEY=VALUE");
    refused("lr=0.2, momentum", FW_EARG, "train.lr"); /* part of the value, which is no number */
    refused("=3", FW_EARG, "is no change");
    refused("lrr=0.2", FW_ENOTFOUND, "the nearest valid one is train.lr");
    refused("transform:cutuot=", FW_ENOTFOUND, "no line of augment.transform begins with cutuot");
    refused("layer:*.groups=2", FW_ENOTFOUND, "no line of network.layer has the option groups");
    refused("layer:*=flatten", FW_EARG, "needs an option");
    refused("lr:conv=3", FW_EARG, "train.lr has no lines to change");
    refused("trick:cut=", FW_EARG, "has no lines");
    assert_int_equal(fw_recipe_change(NULL, ""), FW_EARG);
    /* a trick that is set without its changes is found when the recipe is checked, not when what it
     * printed is read again */
    fw_recipe *r = parsed(TEXT);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fw_recipe_set(r, "recipe.trick", "smoothing"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_EFORMAT);
    assert_non_null(
        strstr(fw_last_error(), "recipe.trick: line 1: trick \"smoothing\" is not followed"));
    fw_recipe_free(r);
}

static void without(const char *what, const char *want)
{
    fw_recipe *r = parsed(TEXT);
    char *changes = NULL;
    if (fw_recipe_without(r, what, &changes) != FW_OK)
        fail_msg("%s: %s", what, fw_last_error());
    assert_string_equal(changes, want);
    fw_text_free(changes);
    fw_recipe_free(r);
}

static void tricks_are_left_out(void **state)
{
    (void)state;
    fw_recipe *r = parsed(TEXT);
    char *text = NULL;
    assert_int_equal(fw_recipe_tricks(r, &text), FW_OK);
    assert_string_equal(text, "smoothing relu cut");
    fw_text_free(text);
    assert_int_equal(fw_recipe_without(r, "smoohting", &text), FW_ENOTFOUND);
    assert_string_equal(fw_last_error(),
                        "recipe x has no trick, key, transform or option of layers "
                        "\"smoohting\", the nearest is smoothing");
    assert_int_equal(fw_recipe_without(r, "cuotut", &text), FW_ENOTFOUND);
    assert_non_null(strstr(fw_last_error(), "the nearest is cut"));
    assert_int_equal(fw_recipe_change(r, "about=aboutt"),
                     FW_OK); /* of [recipe]: nothing to leave out */
    assert_int_equal(fw_recipe_without(r, "about", &text), FW_ENOTFOUND);
    assert_null(strstr(fw_last_error(), "the nearest is about"));
    fw_recipe_free(r);
    without("smoothing", "label_smoothing=0");
    without("relu", "layer:*.act=, lr=0.2");
    without("cut", "transform:cutout=");
    without("label_smoothing", "label_smoothing=");
    without("train.lr", "train.lr=");
    without("flip", "augment.transform:flip=");
    without("bn_eps", "network.layer:*.bn_eps=");
    r = parsed("");
    assert_int_equal(fw_recipe_tricks(r, &text), FW_OK);
    assert_string_equal(text, "");
    fw_text_free(text);
    assert_int_equal(fw_recipe_without(r, "x", &text), FW_ENOTFOUND);
    fw_recipe_free(r);
}

static void wrong_tricks_are_found_in_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } bad[] = {{"all lr=1", "x.recipe: line 2: trick \"all\" stands for all tricks"},
               {"a", "is not followed by its changes"},
               {"a b", "is not followed by its changes"},
               {"lr=2", "is not followed by its changes"},
               {"a lr=1\ntrick = a lr=2", "line 3: trick \"a\" is there already"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        fw_recipe *r = NULL;
        (void)snprintf(text, sizeof text, "[recipe]\ntrick = %s\n", bad[i].line);
        assert_int_equal(fw_recipe_parse(&r, text, "x.recipe"), FW_EFORMAT);
        if (strstr(fw_last_error(), bad[i].why) == NULL)
            fail_msg("%s", fw_last_error());
    }
}

static void id_of(const char *text, const char *changes, char id[FW_RECIPE_ID_CAP])
{
    fw_recipe *r = parsed(text);
    assert_int_equal(fw_recipe_change(r, changes), FW_OK);
    assert_int_equal(fw_recipe_id(r, id), FW_OK);
    fw_recipe_free(r);
}

static void the_id_tells_recipes_apart(void **state)
{
    (void)state;
    char base[FW_RECIPE_ID_CAP], other[FW_RECIPE_ID_CAP];
    id_of(TEXT, "", base);
    assert_int_equal(strlen(base), 16);
    static const char *const same[] = {"name=y",       "about=z",   "lr=0.1",
                                       "momentum=0.9", "epochs=10", "layer:conv_bn.act=gelu"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        id_of(TEXT, same[i], other);
        assert_string_equal(base, other);
    }
    static const char *const differs[] = {"lr=0.2", "momentum=0.8",
                                          "transform:flip=", "layer:*.act=", "train.batch=64"};
    for (size_t i = 0; i < sizeof differs / sizeof *differs; i++) {
        id_of(TEXT, differs[i], other);
        assert_string_not_equal(base, other);
    }
    fw_recipe *r = parsed(TEXT), *copy = NULL; /* printed whole, with every default */
    char *text = NULL;
    assert_int_equal(fw_recipe_print(r, &text), FW_OK);
    assert_int_equal(fw_recipe_parse(&copy, text, "copy"), FW_OK);
    assert_int_equal(fw_recipe_id(copy, other), FW_OK);
    assert_string_equal(base, other);
    assert_non_null(strstr(text, "\ntrick = relu layer:*.act=, lr=0.2\n"));
    fw_text_free(text);
    fw_recipe_free(r);
    fw_recipe_free(copy);
}

/* Every trick of every recipe in the program can be left out, and that changes something. */
static void tricks_of_the_recipes_mean_something(void **state)
{
    (void)state;
    for (int i = 0; i < fw_recipe_count(); i++) {
        fw_recipe *r = NULL;
        char *names = NULL, word[64], base[FW_RECIPE_ID_CAP], id[FW_RECIPE_ID_CAP];
        assert_int_equal(fw_recipe_open(&r, fw_recipe_name_at(i)), FW_OK);
        assert_int_equal(fw_recipe_tricks(r, &names), FW_OK);
        assert_int_equal(fw_recipe_id(r, base), FW_OK);
        fw_recipe_free(r);
        for (const char *at = names; fwi_next_word(&at, word, sizeof word);) {
            char *changes = NULL;
            assert_int_equal(fw_recipe_open(&r, fw_recipe_name_at(i)), FW_OK);
            if (fw_recipe_without(r, word, &changes) != FW_OK ||
                fw_recipe_change(r, changes) != FW_OK || fw_recipe_check(r, NULL) != FW_OK)
                fail_msg("%s without %s: %s", fw_recipe_name_at(i), word, fw_last_error());
            assert_int_equal(fw_recipe_id(r, id), FW_OK);
            assert_string_not_equal(id, base);
            fw_text_free(changes);
            fw_recipe_free(r);
        }
        fw_text_free(names);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_change),
        cmocka_unit_test(commas_separate_changes),
        cmocka_unit_test(lines_change_by_their_word),
        cmocka_unit_test(the_proxy_changes),
        cmocka_unit_test(what_means_nothing_is_refused),
        cmocka_unit_test(tricks_are_left_out),
        cmocka_unit_test(wrong_tricks_are_found_in_the_file),
        cmocka_unit_test(the_id_tells_recipes_apart),
        cmocka_unit_test(tricks_of_the_recipes_mean_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
