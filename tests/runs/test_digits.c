/* test_digits.c: the recipe that needs no data but its own, from beginning to end: at least 97 % of
 * the test records, mean of five seeds, and about as many on every instruction set, in bf16 too. */
#include "t_runs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *precision = "f32";

static fw_run_result run(uint64_t seed, const char *epochs, const char *out)
{
    fw_recipe *r = NULL;
    fw_run_result result;
    assert_ok(fw_recipe_open(&r, "digits"));
    if (epochs != NULL)
        assert_ok(fw_recipe_set(r, "train.epochs", epochs));
    assert_ok(
        fw_recipe_run(r, &(fw_run_opt){.seed = seed, .out = out, .precision = precision}, &result));
    assert_int_equal(result.test.records, 359); /* every fifth of 1797 */
    assert_true(result.test.accuracy >= 0 && result.test.accuracy <= 1);
    assert_true(isfinite(result.test.loss));
    fw_recipe_free(r);
    return result;
}

/* Five seeds at the recipe's own length. */
static double mean_of_five(void)
{
    enum { RUNS = 5 };
    double sum = 0, squares = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        const double a = run(seed, NULL, NULL).test.accuracy;
        sum += a;
        squares += a * a;
    }
    const double mean = sum / RUNS;
    const double sd = sqrt(fmax(0, (squares - sum * mean) / (RUNS - 1)));
    print_message("%.4f, standard deviation %.4f, %d runs\n", mean, sd, RUNS);
    return mean;
}

/* Too slow for whole runs (cmake/avx512.cmake). */
static bool emulated(const char *isa)
{
#ifdef T_EMULATED
    return strncmp(isa, T_EMULATED, strlen(T_EMULATED)) == 0;
#else
    (void)isa;
    return false;
#endif
}

/* All reach the same accuracy. A run deviates by 0.4 points, so the difference of two means of five by
 * 0.25: 0.8 is three times that. */
static void test_every_isa(void **state)
{
    (void)state;
    const char *isas[8];
    const int n = t_isas(isas);
    double first = 0;
    for (int i = 0; i < n; i++) {
        if (strcmp(isas[i], "ref") == 0 && !T_SANITIZED)
            continue; /* the definition, not made to be fast: the sanitizers' one epoch is enough */
        t_use_isa(isas[i]);
        for (int bf16 = 0; bf16 < (strncmp(isas[i], "avx", 3) == 0 ? 2 : 1); bf16++) {
            precision = bf16 ? "bf16" : "f32";
            print_message("%s %s: ", isas[i], precision);
            if (T_SANITIZED || emulated(isas[i])) {
                const double a = run(1, T_SANITIZED ? "0.2" : "2", NULL).test.accuracy;
                print_message("%.4f, shorter than the recipe's own\n", a);
                assert_true(a > (T_SANITIZED ? 0.12 : 0.9));
                continue;
            }
            const double mean = mean_of_five();
            first = first == 0 ? mean : first;
            assert_true(mean >= 0.97);
            assert_true(fabs(mean - first) <= 0.008);
        }
        precision = "f32";
    }
    t_use_isa(NULL);
}

/* The run's folder: a model that evaluates to the same, and a second run that is refused. */
static void test_folder(void **state)
{
    (void)state;
    char out[600];
    snprintf(out, sizeof out, "%s", t_path("digits"));
    const fw_run_result r = run(3, "1", out);
    assert_true(r.run.steps > 10 && r.run.epochs == 1);
    assert_true(r.run.t_train > 0 && r.run.t_total >= r.run.t_train &&
                r.run.t_dawn >= r.run.t_total);
    assert_false(r.stopped_early);
    assert_string_equal(r.model, t_path("digits/model.safetensors"));
    fw_model *m = NULL;
    assert_ok(fw_model_open(&m, r.model, &(fw_model_opt){.batch = 360}));
    fw_images all = t_digits(), train = {0}, test = {0};
    assert_ok(fw_images_split_every(&all, 5, &train, &test));
    fw_dataset *ds = NULL;
    fw_metrics got;
    assert_ok(
        fw_array_dataset(&ds, &test, fw_model_transforms(m), &(fw_dataset_opt){.batch = 100}));
    assert_ok(fw_model_evaluate(m, ds, &got, NULL));
    assert_int_equal(got.records, r.test.records);
    assert_true(got.accuracy == r.test.accuracy);
    assert_true(fabs(got.loss - r.test.loss) <= 1e-4 * r.test.loss);
    fw_dataset_free(ds);
    fw_images_clear(&train);
    fw_images_clear(&test);
    fw_model_close(m);
    fw_recipe *again = NULL;
    fw_run_result none;
    assert_ok(fw_recipe_open(&again, "digits"));
    assert_fails(fw_recipe_run(again, &(fw_run_opt){.out = out}, &none), FW_EEXISTS, out);
    fw_recipe_free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_isa),
        cmocka_unit_test(test_folder),
    };
    return cmocka_run_group_tests_name("digits", tests, t_setup, t_teardown);
}
