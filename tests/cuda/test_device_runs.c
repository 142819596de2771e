/* test_device_runs.c: whole trainings of recipes on the device that FW_TEST_DEVICE names, by default on the
 * one that stands for a GPU: the same seed gives the same bits twice, in every precision, and the losses of
 * the first steps are those of the CPU: the first 5 within 1 %, the first 20 within 5 % (one batch's
 * rounding is far less; what grows with the steps is the difference of the weights). What is evaluated and
 * predicted is the same whether images stay on the device or come from the host.
 *
 * FW_TEST_RECIPE: whose losses are compared (default digits), in bf16 on the device, on the CPU in bf16
 * where it multiplies in that, else in f32. FENWICKS_DATA: its data, where it brings none. (ctest: once) */
#include "t_fed.h"

#include "backends.h"
#include "t_far.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 5, STEPS_COMPARED = 20 };

static const char *asked(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && *value != 0 ? value : otherwise;
}

static const char *device(void)
{
    return asked("FW_TEST_DEVICE", "far");
}

static bool is_a_gpu(void)
{
    return strncmp(device(), "cuda", 4) == 0;
}

/* Where a GPU is emulated, batches are small, and the records that are evaluated few. */
static fw_recipe *open_recipe(const char *name)
{
    fw_recipe *r = NULL;
    assert_ok(fw_recipe_open(&r, name));
    if (!is_a_gpu()) {
        assert_ok(fw_recipe_set(r, "train.batch", "16"));
        assert_ok(fw_recipe_set(r, "data.split_every", "60"));
        assert_ok(fw_recipe_set(r, "evaluate.batch", "10"));
    }
    return r;
}

/* ---- the same bits ---- */

static double train(const char *precision, const char *out)
{
    fw_recipe *const r = open_recipe("digits");
    fw_run_result result;
    assert_ok(fw_recipe_set(r, "train.epochs", is_a_gpu() ? "3" : "0.05"));
    assert_ok(fw_recipe_run(
        r, &(fw_run_opt){.seed = 7, .out = out, .device = device(), .precision = precision},
        &result));
    fw_recipe_free(r);
    return result.test.loss;
}

static void test_same_bits(void **state)
{
    (void)state;
    static const char *const precisions[] = {"f32", "bf16", "f16", "tf32"};
    const int n = is_a_gpu() ? 4 : 3; /* others have no tf32 */
    for (int i = 0; i < n; i++) {
        const char *const once = t_path("%s-once", precisions[i]);
        const char *const twice = t_path("%s-twice", precisions[i]);
        const double loss = train(precisions[i], once);
        assert_true(isfinite(loss));
        assert_true(train(precisions[i], twice) == loss);
        t_assert_same_file(t_path("%s-once/model.safetensors", precisions[i]),
                           t_path("%s-twice/model.safetensors", precisions[i]));
    }
}

/* ---- the first losses ---- */

static void first_losses(const char *where, const char *precision, t_trace *trace)
{
    fw_recipe *const r = open_recipe(asked("FW_TEST_RECIPE", "digits"));
    fw_run_result result;
    *trace = (t_trace){.stop_at = STEPS_COMPARED};
    const bool brings_data = getenv("FW_TEST_RECIPE") == NULL; /* digits does */
    const fw_run_opt opt = {.data = brings_data ? NULL : asked("FENWICKS_DATA", NULL),
                            .device = where,
                            .precision = precision,
                            .progress = t_record,
                            .progress_user = trace};
    const fw_status st = fw_recipe_run(r, &opt, &result);
    if (st != FW_ESTOPPED)
        fail_msg("%s in %s: %s: %s", where, precision, fw_status_name(st), fw_last_error());
    assert_true(trace->n >= STEPS_COMPARED); /* steps on their way are told too */
    fw_recipe_free(r);
}

static void test_first_losses(void **state)
{
    (void)state;
    t_trace cpu, there;
    first_losses("cpu", "auto", &cpu);
    first_losses(device(), "bf16", &there);
    double worst = 0;
    for (int i = 0; i < STEPS_COMPARED; i++) {
        const double off = fabs(there.loss[i] - cpu.loss[i]) / cpu.loss[i];
        print_message("step %2d: loss %.5f on the CPU, %.5f on %s, %.3f %% off\n", i + 1,
                      cpu.loss[i], there.loss[i], device(), 100 * off);
        worst = fmax(worst, off * (i < FIRST ? 5 : 1));
    }
    print_message("worst: %.3f of what is allowed\n", worst / 0.05);
    assert_true(worst <= 0.05); /* a NaN is not */
    /* it is learning: losses that stand still agree with everything */
    assert_true(fabs(cpu.loss[STEPS_COMPARED - 1] - cpu.loss[0]) > 0.01 * cpu.loss[0]);
}

/* ---- evaluations ---- */

/* A few steps in bf16, then an evaluation, and predictions of the estimator and of its file. */
static void evaluate(const fw_images *images, fw_tta tta, bool fed, fw_metrics *m,
                     float *of_estimator, float *of_model)
{
    enum { BATCH_OF_BOTH = 16 };
    const fw_transform list[] = {fw_standardize(images->c, images->mean, images->std),
                                 FW_TRANSFORM_END};
    fw_dataset *train = NULL, *test = NULL;
    fw_estimator *e = NULL;
    fw_model *model = NULL;
    void *ws = NULL;
    assert_ok(
        fw_array_dataset(&train, images, list,
                         &(fw_dataset_opt){.batch = BATCH_OF_BOTH, .training = true, .seed = 3}));
    assert_ok(fw_array_dataset(&test, images, list, &(fw_dataset_opt){.batch = BATCH_OF_BOTH}));
    assert_ok(fw_estimator_new(
        &e, t_net(8, 0, 10), t_sgd(0.05),
        &(fw_estimator_opt){
            .device = device(), .precision = FW_BF16, .seed = 5, .tta = tta, .host_batches = fed}));
    assert_ok(fw_estimator_train(e, train, 4));
    assert_ok(fw_estimator_evaluate(e, test, m));
    assert_ok(fw_estimator_evaluate(e, test, m)); /* now of recordings, where there are any */
    assert_ok(fw_estimator_predict(e, test, of_estimator, images->n, NULL));
    assert_ok(fw_estimator_save(e, t_path("evaluated.safetensors")));
    assert_ok(fw_model_open(&model, t_path("evaluated.safetensors"),
                            &(fw_model_opt){.device = device(), .batch = BATCH_OF_BOTH}));
    assert_int_equal(posix_memalign(&ws, 64, fw_model_workspace(model)), 0);
    assert_ok(fw_model_predict(model, images->pixels, FW_U8, images->n, ws, of_model));
    free(ws);
    fw_model_close(model);
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
}

/* A loss over views is summed in double on either side: its last bits are those of exp and log there. */
static void test_evaluation(void **state)
{
    (void)state;
    enum { FEW = 70, KINDS = 10 };
    static const fw_tta ttas[] = {FW_TTA_NONE, FW_TTA_AIRBENCH6, FW_TTA_SELECTIVE};
    static float rows[2][FEW * KINDS], of_model[FEW * KINDS];
    fw_images all = t_digits(), some = all;
    some.n = FEW;
    for (size_t i = 0; i < T_COUNT(ttas); i++) {
        fw_metrics m[2];
        for (int fed = 0; fed < 2; fed++) {
            evaluate(&some, ttas[i], fed == 1, &m[fed], rows[fed], of_model);
            assert_memory_equal(of_model, rows[fed], sizeof of_model);
        }
        assert_int_equal(m[0].records, FEW);
        assert_true(m[0].accuracy == m[1].accuracy && m[0].accuracy_plain == m[1].accuracy_plain);
        assert_true(fabs(m[0].loss - m[1].loss) <= 1e-12 * m[1].loss);
        assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
    }
    fw_images_clear(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_losses),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_evaluation),
    };
    fwi_device_offer(&t_far_backend);
    return cmocka_run_group_tests_name("runs on a device", tests, t_setup, t_teardown);
}
