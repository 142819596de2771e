/* test_recipe.c: recipes as text: parsing, keys, printing, hostile input, memory that runs out: recipe.c,
 * recipe_text.c, recipe_values.c. */
#include "t_recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <file.h>
#include <number.h>

static void reads_what_is_written(void **state)
{
    (void)state;
    fw_recipe *r =
        parsed("\xef\xbb\xbf# a comment\n; and one\n\n[recipe]\nabout = some words here\n"
               "[augment]\r\ntransform = standardize\r\n\ttransform = pad_crop 2, flip\n"
               "[network]\ninput: 8 8 1\n  layer = conv_bn 4\n  layer = flatten\n"
               "layer = classifier 3 ; a comment behind it\n"
               "[train]\nlr=0.5/batch\nbatch = 32\nepochs = 2.5");
    assert_string_equal(fw_recipe_name(r), "x");
    assert_string_equal(fw_recipe_get(r, "about"), "some words here");
    assert_string_equal(fw_recipe_get(r, "transform"), "standardize\npad_crop 2\nflip");
    assert_string_equal(fw_recipe_get(r, "network.layer"), "conv_bn 4\nflatten\nclassifier 3");
    assert_string_equal(fw_recipe_get(r, "network.input"), "8 8 1");
    assert_string_equal(fw_recipe_get(r, "train.batch"), "32");
    assert_string_equal(fw_recipe_get(r, "evaluate.batch"), "500");
    assert_string_equal(fw_recipe_get(r, "schedule"), "one_cycle"); /* a default */
    assert_null(fw_recipe_get(r, "batch"));                         /* of two sections */
    assert_null(fw_recipe_get(r, "nothing"));
    assert_true(fwi_recipe_number(r, FWI_KEY_TRAIN_LR) == 0.5 / 32);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    fw_recipe_free(r);
}

static void names_file_line_and_nearest(void **state)
{
    (void)state;
    refused("[train]\nepohcs = 3\n", "x.recipe: line 2: unknown key \"epohcs\" in [train], the "
                                     "nearest valid one is epochs");
    refused("[trian]\nepochs = 3\n", "line 2: unknown section [trian], the nearest valid one is "
                                     "[train]");
    refused("epochs = 3\n", "line 1: \"epochs\" stands before the first [section]");
    refused("[train]\n\n# x\nbatch = 0\n", "line 4: train.batch: \"0\", expected a whole number");
    refused("[train]\nbatch = 1e2\n", "line 2: train.batch");
    refused("[recipe]\nabout = x\nname = \xe9t\xe9\n", "line 3: recipe.name: is not UTF-8 text");
    refused("[train]\nbatch = 8 8\n", "line 2: train.batch: 2 values, expected 1");
    refused("[train]\nloss = summ\n", "(the nearest is sum)");
    refused("[train]\nlr = fast\n", "line 2: train.lr: \"fast\", expected a number, as in 0.4");
    refused("[train]\nlr = 1/0\n", "train.lr");
    refused("[train]\nlr = -1\n", "train.lr: -1 is not in 0 to 1e+06");
    refused("[train]\nlr = nan\n", "train.lr");
    refused("[train]\nmomentum = 0.9*batch\n", "does not scale with the batch");
    refused("[train]\nepochs = 3\nlr = 1\nepochs = 4\n",
            "line 4: train.epochs was given in line 2 already");
    refused("[network]\ninput = 8 8\n", "2 values, expected 3");
    refused("[network]\nwhat is this\n", "line 2: expected [section], key = value");
    refused("[network\n", "line 1: expected");
    refused("[network]\nlayer = conv_bn 4\nlayer = conv_bm 4\n", "x.recipe: line 3: unknown layer");
    refused("[augment]\ntransform = flip\ntransform = cutuot 8 8\n",
            "x.recipe: line 3: unknown transform \"cutuot\", the nearest valid one is cutout");
    refused("[augment]\ntransform = cutout 8\n", "line 2: cutout: 1 numbers, expected 2");
    refused("[augment]\ntransform = color_jitter 0.1\n",
            "line 2: color_jitter: 1 numbers, expected 2");
    refused("[augment]\ntransform = pad_crop 1.5\n", "line 2: pad_crop: 1.5");
    refused("[network]\ninput = 8 8 3\n[augment]\ntransform = standardize 1 2\n",
            "line 4: standardize: 2 numbers, expected none (the data's own) or 6");
}

static void hostile_text(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    char *big = malloc((1 << 20) + 100);
    assert_non_null(big);
    memset(big, '\n', (1 << 20) + 99);
    big[(1 << 20) + 99] = 0;
    refused_by(fw_recipe_parse(&r, big, "big"), FW_EFORMAT, "big: 1048675 bytes");
    memcpy(big, "[train]\n", 8);
    memset(big + 8, 'x', 5000);
    big[5008] = 0;
    refused(big, "line 2: 5000 characters, at most");
    memcpy(big, "[train]\n#", 9); /* comments may be long */
    assert_int_equal(fw_recipe_parse(&r, big, "x"), FW_OK);
    fw_recipe_free(r);
    r = NULL;
    strcpy(big, "[network]\n");
    for (int i = 0; i < 4097; i++)
        strcat(big + (size_t)i * 8, "layer=x\n");
    refused(big, "line 4098: network.layer: more than 4096 lines");
    free(big);
    refused("[train]\n\x1b[31m = 3\n", "unknown key \"?[31m\""); /* no escape to the terminal */
    refused("[train]\nloss = \x1b[31m\n", "control character");
    refused("[train]\nlr = 1e999\n", "train.lr");
    refused("[train]\nlr = 0.1/batch/batch\n", "train.lr");
    refused("[train]\nlr_knots = 0 .1 .2 .3 .4 .5 .6 .7 .8 .9 .91 .92 .93 .94 .95 .96 .97 .971 "
            ".972 .973 "
            ".974 .975 .976 .977 .978 .979 .98 .981 .982 .983 .984 .985 .986\n",
            "33 values, expected at most 32");
    assert_int_equal(fw_recipe_parse(&r, NULL, NULL), FW_EARG);
    assert_int_equal(fw_recipe_parse(&r, "", NULL), FW_OK); /* to be completed by fw_recipe_set */
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "network.input is missing");
    fw_recipe_free(r);
}

static void sets_by_name(void **state)
{
    (void)state;
    fw_recipe *r = parsed(SMALL);
    assert_int_equal(fw_recipe_set(r, "train.epochs", " 3/2 "), FW_OK);
    assert_string_equal(fw_recipe_get(r, "epochs"), "3/2");
    assert_int_equal(fw_recipe_set(r, "epochs", ""), FW_OK); /* back to the default */
    assert_string_equal(fw_recipe_get(r, "epochs"), "10");
    refused_by(fw_recipe_set(r, "train.epoch", "3"), FW_ENOTFOUND,
               "no recipe key \"train.epoch\", the nearest valid one is train.epochs");
    refused_by(fw_recipe_set(r, "epoch", "3"), FW_ENOTFOUND, "is train.epochs");
    refused_by(fw_recipe_set(r, "batch", "3"), FW_EARG, "may be train.batch or evaluate.batch");
    refused_by(fw_recipe_set(r, "epochs", "-1"), FW_EARG, "train.epochs: -1");
    refused_by(fw_recipe_set(r, "about", "a ; b"), FW_EARG, "semicolon");
    refused_by(fw_recipe_set(r, "about", "a\nb"), FW_EARG, "control character");
    assert_string_equal(fw_recipe_get(r, "epochs"), "10");

    assert_int_equal(fw_recipe_set(r, "transform", "standardize, flip"), FW_OK);
    assert_string_equal(fw_recipe_get(r, "transform"), "standardize\nflip");
    assert_int_equal(fw_recipe_set(r, "layer", "conv_bn 4\nflatten, classifire 3"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EFORMAT, "network.layer: line 3: unknown layer");
    assert_int_equal(fw_recipe_set(r, "layer", "flatten, classifier 5"), FW_OK);
    fw_model_cost cost;
    assert_int_equal(fw_recipe_check(r, &cost), FW_OK);
    assert_int_equal(cost.n_classes, 5);
    assert_int_equal(cost.params, 64 * 5);
    assert_int_equal(fw_recipe_set(r, "transform", ""), FW_OK);
    assert_string_equal(fw_recipe_get(r, "transform"), "");
    fw_recipe_free(r);
}

static void print_then_parse_is_the_identity(void **state)
{
    (void)state;
    assert_true(fw_recipe_count() >= 3);
    for (int i = 0; i < fw_recipe_count(); i++) {
        fw_recipe *r = NULL;
        assert_int_equal(fw_recipe_open(&r, fw_recipe_name_at(i)), FW_OK);
        assert_string_equal(fw_recipe_name(r), fw_recipe_name_at(i));
        assert_string_equal(fw_recipe_get(r, "recipe.about"),
                            fw_recipe_about(fw_recipe_name_at(i)));
        assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
        prints_itself(r);
        fw_recipe_free(r);
    }
    assert_null(fw_recipe_name_at(fw_recipe_count()));
    assert_null(fw_recipe_name_at(-1));
    assert_null(fw_recipe_about("none"));
    /* The longest values there may be. */
    fw_recipe *r = parsed(SMALL);
    char value[FWI_RECIPE_VALUE + 2];
    memset(value, 'a', sizeof value);
    value[FWI_RECIPE_VALUE] = 0;
    assert_int_equal(fw_recipe_set(r, "about", value), FW_OK);
    assert_int_equal(fw_recipe_set(r, "lr_knots", "0 1/3 1"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "lr_values", "0 0.25/batch 1e-3*batch"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "group", "conv optimizer=muon lr_scale=2, bias lr_scale=64"),
                     FW_OK);
    prints_itself(r);
    value[FWI_RECIPE_VALUE] = 'a';
    value[FWI_RECIPE_VALUE + 1] = 0;
    assert_int_equal(fw_recipe_set(r, "about", value), FW_EARG);
    fw_recipe_free(r);
}

static void every_default_is_valid(void **state)
{
    (void)state;
    for (int k = 0; k < FWI_KEY_COUNT; k++)
        assert_int_equal(fwi_key_check((fwi_key)k, fwi_keys[k].def), FW_OK);
}

static const char *with_backticks(char *out, size_t cap, const char *words)
{
    size_t n = 0;
    char word[64];
    out[0] = 0;
    while (fwi_next_word(&words, word, sizeof word))
        n += (size_t)snprintf(out + n, cap - n, "%s`%s`", n > 0 ? " " : "", word);
    return out;
}

/* docs/formats/recipe.md has a row for each key, with its range, its default and the same words. */
static void documented(void **state)
{
    (void)state;
    static const char *const types[] = {[FWI_KEY_TEXT] = "text",
                                        [FWI_KEY_INT] = "whole number",
                                        [FWI_KEY_SIZE] = "three whole numbers",
                                        [FWI_KEY_NUMBER] = "number",
                                        [FWI_KEY_RATE] = "rate",
                                        [FWI_KEY_NUMBERS] = "up to 32 numbers",
                                        [FWI_KEY_RATES] = "up to 32 rates",
                                        [FWI_KEY_LINES] = "lines"};
    fwi_buf doc = {0};
    assert_int_equal(fwi_read_file(FW_SOURCE_DIR "/docs/formats/recipe.md", 1 << 20, &doc), FW_OK);
    for (int k = 0; k < FWI_KEY_COUNT; k++) {
        const fwi_key_info *i = &fwi_keys[k];
        char low[FWI_NUMBER_CAP], high[FWI_NUMBER_CAP], value[256], head[64], row[1024], def[256];
        fwi_format_double(low, i->low);
        fwi_format_double(high, i->high);
        if (i->type == FWI_KEY_WORD || i->type == FWI_KEY_BOOL) {
            with_backticks(value, sizeof value, i->type == FWI_KEY_BOOL ? "false true" : i->words);
        } else {
            if (i->type == FWI_KEY_TEXT || i->type == FWI_KEY_LINES)
                snprintf(value, sizeof value, "%s", types[i->type]);
            else
                snprintf(value, sizeof value, "%s, %s to %s", types[i->type], low, high);
        }
        const char *tick = *i->def != 0 ? "`" : "";
        snprintf(def, sizeof def, "%s%s%s", tick, *i->def != 0 ? i->def : "none", tick);
        snprintf(head, sizeof head, "### [%s]\n", i->section);
        snprintf(row, sizeof row, "| `%s` | %s | %s | %s |\n", i->key, value, def, i->doc);
        const char *section = strstr((const char *)doc.data, head);
        assert_non_null(section);
        const char *at = strstr(section, row), *next = strstr(section + 4, "\n### [");
        if (at == NULL || (next != NULL && at > next))
            print_error("%s is not in docs/formats/recipe.md as\n%s", head, row);
        assert_true(at != NULL && (next == NULL || at < next));
    }
    fwi_buf_clear(&doc);
}

static void opens_by_name_or_path(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    refused_by(fw_recipe_open(&r, "fenwikcs"), FW_ENOTFOUND, "the nearest one is fenwicks");
    refused_by(fw_recipe_open(&r, "./none.recipe"), FW_ENOTFOUND, "none.recipe");
    assert_int_equal(fwi_write_file("mine.recipe", SMALL, sizeof SMALL - 1), FW_OK);
    assert_int_equal(fw_recipe_open(&r, "mine.recipe"), FW_OK);
    assert_string_equal(fw_recipe_name(r), "mine");
    fw_recipe_free(r);
    r = NULL;
    assert_int_equal(fwi_write_file("mine.recipe", "[train]\0x", 9), FW_OK);
    refused_by(fw_recipe_open(&r, "./mine.recipe"), FW_EFORMAT, "0 byte");
    assert_int_equal(fwi_write_file("mine.recipe", "", 0), FW_OK);
    assert_int_equal(fw_recipe_open(&r, "mine.recipe"), FW_OK);
    fw_recipe_free(r);
    unlink("mine.recipe");
}

static void out_of_memory(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_status st = FW_ENOMEM;
    int64_t n = 1;
    for (; st != FW_OK && n < 1000; n++) {
        fwi_mem_fail_at(n);
        st = fw_recipe_parse(&r, "[augment]\ntransform = flip\n" SMALL, "x");
        if (st == FW_OK)
            st = fw_recipe_set(r, "layer", "flatten, classifier 3");
        if (st != FW_OK) {
            assert_int_equal(st, FW_ENOMEM);
            fw_recipe_free(r);
            r = NULL;
        }
    }
    fwi_mem_fail_at(0);
    assert_true(n > 5);
    assert_int_equal(st, FW_OK);
    fw_recipe_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_written),
        cmocka_unit_test(names_file_line_and_nearest),
        cmocka_unit_test(hostile_text),
        cmocka_unit_test(sets_by_name),
        cmocka_unit_test(print_then_parse_is_the_identity),
        cmocka_unit_test(every_default_is_valid),
        cmocka_unit_test(documented),
        cmocka_unit_test(opens_by_name_or_path),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
