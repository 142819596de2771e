/* The built-in recipes of published runs: each passes its own check, has as many steps on CIFAR-10
 * as its source, and a network of as many trained parameters and multiply-accumulates. Where the
 * numbers come from is in docs/recipes.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include <recipe_inner.h>

/* Rates by step of the recipe's own schedule, in the units of their source: before the batch
 * divides them. */
typedef struct fact {
    const char *name;
    int64_t steps, params, macs;
    double batch;
    struct {
        double step, rate;
    } at[3];
} fact;

enum { RESNET = 5200586 + 5248, DAVID = 6573120, FIXED = DAVID - 2240, AIR = 1971352 };
#define M_RESNET INT64_C(460002304)
#define M_DAVID  INT64_C(379261952)
#define M_WHITE  INT64_C(380008448)

static const fact facts[] = {
    {"fenwicks", 2328, DAVID, M_DAVID, 512, {{485, 0.4}, {0, 0}, {2328, 0}}},
    {"page-1", 13650, RESNET, M_RESNET, 128, {{15 * 390, 0.1}, {30 * 390, 0.005}, {13650, 0}}},
    {"page-1a", 13650, RESNET, M_RESNET, 128, {{15 * 390, 0.1}, {30 * 390, 0.005}, {13650, 0}}},
    {"page-1b", 13650, RESNET, M_RESNET, 128, {{15 * 390, 0.1}, {30 * 390, 0.005}, {13650, 0}}},
    {"page-1c", 13650, RESNET, M_RESNET, 128, {{15 * 390, 0.1}, {30 * 390, 0.005}, {13650, 0}}},
    {"page-1d", 13650, RESNET, M_RESNET, 128, {{15 * 390, 0.1}, {30 * 390, 0.005}, {13650, 0}}},
    {"page-2", 3395, RESNET, M_RESNET, 512, {{15 * 97, 0.44}, {30 * 97, 0.005}, {3395, 0}}},
    {"page-3", 1950, RESNET, M_RESNET, 768, {{8 * 65, 0.6}, {1950, 0}, {4 * 65, 0.3}}},
    {"page-4", 2328, DAVID, M_DAVID, 512, {{5 * 97, 0.4}, {1, 0.4 / 485}, {2328, 0}}},
    {"page-8.1", 2328, DAVID, M_DAVID, 512, {{5 * 97, 0.4}, {1, 0.4 / 485}, {2328, 0}}},
    {"page-8.2", 2425, DAVID, M_DAVID, 512, {{5 * 97, 0.4}, {2425, 0}, {0, 0}}},
    {"page-8.3", 2231, DAVID, M_DAVID, 512, {{2231 * 0.2, 0.4}, {2231, 0}, {0, 0}}},
    {"page-8.4", 1940, DAVID, M_DAVID, 512, {{388, 0.4}, {1940, 0}, {0, 0}}},
    {"page-8.5", 1746, DAVID, M_DAVID, 512, {{1746 * 0.2, 0.6}, {1746, 0}, {0, 0}}},
    {"page-8.6", 1649, FIXED, M_DAVID, 512, {{1649 * 0.2, 0.6}, {1649, 0}, {0, 0}}},
    {"page-8.7", 1358, FIXED, M_WHITE, 512, {{1358 * 0.2, 1}, {1358, 0}, {0, 0}}},
    {"page-8.8", 1261, FIXED, M_WHITE, 512, {{1261 * 0.2, 1}, {11 * 97, 0.1}, {1261, 0.1}}},
    {"page-8.9", 970, FIXED, M_WHITE, 512, {{194, 1}, {776, 0.1}, {970, 0.1}}},
    {"airbench94", 476, AIR, 118147360, 1024, {{0, 0.3}, {109, 1.5}, {476, 0.105}}},
    {"airbench95",
     720,
     4604440,
     301560864,
     1024,
     {{0, 6.0 / 23}, {165, 30.0 / 23}, {720, 2.1 / 23}}},
    {"airbench96", 2160, 9915416, 451967264, 1024, {{0, 5.4 / 23}, {216, 27.0 / 23}, {2160, 0}}},
    {"airbench96-legacy",
     1776,
     9915416,
     451967264,
     1024,
     {{0, 5.4 / 23}, {177, 27.0 / 23}, {1776, 0}}},
    {"hiverge", 243, AIR, 118147360, 1, {{0, 0.5415}, {243, 0}, {121.5, 0.27075}}},
    {"e1", 284, AIR, 118147360, 1, {{0, 0.5415}, {136, 0.27075}, {272, 0.027075}}},
    {"sprint",
     601,
     AIR,
     118147360,
     1,
     {{0, 0.7}, {601.0 * 136 / 284, 0.35}, {601.0 * 272 / 284, 0.035}}},
    {"sprint-gpu", 284, AIR, 118147360, 1, {{0, 0.5415}, {136, 0.27075}, {272, 0.027075}}},
    {"hlb", 581, 4333696, 162976544, 1024, {{0, 0}, {581 * 0.23, 1.525}, {581, 0.10675}}},
    {"airbench94-muon", 200, AIR, 118147360, 1, {{0, 0.67}, {100, 0.335}, {200, 0}}},
};

static void every_published_recipe_has_its_facts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const fact *const f = &facts[i];
        fw_recipe *r = NULL;
        fw_model_cost cost = {0};
        fw_schedule lr;
        int64_t steps = 0;
        if (fw_recipe_open(&r, f->name) != FW_OK || fw_recipe_check(r, &cost) != FW_OK ||
            fw_recipe_schedule(r, 50000, &lr, &steps) != FW_OK)
            fail_msg("%s: %s", f->name, fw_last_error());
        if (steps != f->steps || cost.params != f->params || cost.macs != f->macs)
            fail_msg("%s: %lld steps, %lld parameters, %lld MAC", f->name, (long long)steps,
                     (long long)cost.params, (long long)cost.macs);
        assert_int_equal(cost.n_classes, 10);
        for (int k = 0; k < 3; k++) {
            const double rate = fw_schedule_at(&lr, f->at[k].step - lr.start) * f->batch;
            if (fabs(rate - f->at[k].rate) > 1e-12)
                fail_msg("%s: the rate at %g is %.15g, expected %.15g", f->name, f->at[k].step,
                         rate, f->at[k].rate);
        }
        fw_recipe_free(r);
    }
}

/* Also those that are no published run: what the program offers can be trained. */
static void every_builtin_recipe_passes_its_check(void **state)
{
    (void)state;
    assert_true(fw_recipe_count() > 10);
    for (int i = 0; i < fw_recipe_count(); i++) {
        const char *const name = fw_recipe_name_at(i);
        fw_recipe *r = NULL;
        if (fw_recipe_open(&r, name) != FW_OK || fw_recipe_check(r, NULL) != FW_OK)
            fail_msg("%s: %s", name, fw_last_error());
        assert_string_equal(fw_recipe_get(r, "recipe.name"), name);
        assert_true(strlen(fw_recipe_about(name)) > 10);
        fw_recipe_free(r);
    }
}

/* Nesterov's form, weight decays and ghost norms of Page's recipes, read back as they are run. */
static void page_decays_as_its_sources(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_optimizer o;
    fw_param_group groups[FW_MAX_GROUPS];
    int32_t n = 0;
    assert_int_equal(fw_recipe_open(&r, "page-8.6"), FW_OK);
    assert_int_equal(fwi_recipe_optimizer(r, 1649, &o), FW_OK);
    assert_int_equal(o.sgd.nesterov, FW_NESTEROV_PAGE);
    assert_true(fabs(o.sgd.weight_decay - 5e-4 * 512) < 1e-12);
    assert_int_equal(fwi_recipe_groups(r, 1649, 97, groups, &n), FW_OK);
    assert_int_equal(n, 1);
    assert_true(fabs(groups[0].optimizer.sgd.weight_decay - 5e-4 * 512 / 64) < 1e-12);
    /* a batch that the 16 groups of its norms do not divide */
    assert_int_equal(fw_recipe_set(r, "train.batch", "500"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_ESHAPE);
    assert_string_equal(fw_last_error(),
                        "page-8.6.recipe: train.batch: layer 0 (conv_bn 64): bn_groups is "
                        "16, which does not divide a batch of 500");
    fw_recipe_free(r);
}

/* Its loader's keys and its name as in page-1, each is page-1. */
static void steps_1a_to_1d_share_their_training(void **state)
{
    (void)state;
    static const char *const steps[] = {"page-1a", "page-1b", "page-1c", "page-1d"};
    static const char *const keys[] = {"recipe.name", "recipe.about", "data.cache",
                                       "data.prefetch"};
    fw_recipe *plain = NULL;
    char *want = NULL;
    assert_int_equal(fw_recipe_open(&plain, "page-1"), FW_OK);
    assert_int_equal(fw_recipe_print(plain, &want), FW_OK);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fw_recipe *r = NULL;
        char *text = NULL;
        assert_int_equal(fw_recipe_open(&r, steps[i]), FW_OK);
        assert_int_equal(fw_recipe_print(r, &text), FW_OK);
        assert_string_not_equal(text, want);
        fw_text_free(text);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            assert_int_equal(fw_recipe_set(r, keys[k], fw_recipe_get(plain, keys[k])), FW_OK);
        assert_int_equal(fw_recipe_print(r, &text), FW_OK);
        assert_string_equal(text, want);
        fw_text_free(text);
        fw_recipe_free(r);
    }
    fw_text_free(want);
    fw_recipe_free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_recipe_has_its_facts),
        cmocka_unit_test(every_builtin_recipe_passes_its_check),
        cmocka_unit_test(page_decays_as_its_sources),
        cmocka_unit_test(steps_1a_to_1d_share_their_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
