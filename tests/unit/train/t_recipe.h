/* t_recipe.h: what the tests of recipes share: a small recipe, and what is to be refused with a
 * sentence. */
#ifndef T_RECIPE_H
#define T_RECIPE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <recipe_inner.h>
#include <stdio.h>
#include <string.h>

#define SMALL                                                                                      \
    "[network]\ninput = 8 8 1\nlayer = conv_bn 4\nlayer = global_max_pool\n"                       \
    "layer = classifier 3\n[train]\nlr = 0.1\n"

static inline fw_recipe *parsed(const char *text)
{
    fw_recipe *r = NULL;
    const fw_status st = fw_recipe_parse(&r, text, "x.recipe");
    if (st != FW_OK)
        print_error("%s\n", fw_last_error());
    assert_int_equal(st, FW_OK);
    return r;
}

static inline void refused_by(fw_status st, fw_status want, const char *part)
{
    if (st != want || strstr(fw_last_error(), part) == NULL)
        print_error("%s: %s (looked for \"%s\")\n", fw_status_name(st), fw_last_error(), part);
    assert_int_equal(st, want);
    assert_non_null(strstr(fw_last_error(), part));
}

static inline void refused(const char *text, const char *part)
{
    fw_recipe *r = NULL;
    refused_by(fw_recipe_parse(&r, text, "x.recipe"), FW_EFORMAT, part);
    assert_null(r);
}

/* Its text, parsed, is the same recipe. */
static inline void prints_itself(fw_recipe *r)
{
    char *one = NULL, *two = NULL;
    fw_recipe *again = NULL;
    assert_int_equal(fw_recipe_print(r, &one), FW_OK);
    if (fw_recipe_parse(&again, one, "printed") != FW_OK)
        print_error("%s\n%s\n", fw_last_error(), one);
    assert_non_null(again);
    assert_int_equal(fw_recipe_print(again, &two), FW_OK);
    assert_string_equal(one, two);
    for (int k = 0; k < FWI_KEY_COUNT; k++) {
        char name[64], value[65536];
        snprintf(name, sizeof name, "%s.%s", fwi_keys[k].section, fwi_keys[k].key);
        const char *have = fw_recipe_get(r, name);
        assert_non_null(have);
        snprintf(value, sizeof value, "%s", have);
        assert_string_equal(fw_recipe_get(again, name), value);
    }
    fw_text_free(one);
    fw_text_free(two);
    fw_recipe_free(again);
}

#endif
