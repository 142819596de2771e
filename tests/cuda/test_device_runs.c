/* test_device_runs.c: whole trainings of recipes on the device that FW_TEST_DEVICE names, by default on the
 * one that stands for a GPU: the same seed gives the same bits twice, in every precision, and the losses of
 * the first steps are those of the CPU: the first 5 within 1 %, the first 20 within 5 % (one batch's
 * rounding is far less; what grows with the steps is the difference of the weights).
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_losses),
        cmocka_unit_test(test_same_bits),
    };
    fwi_device_offer(&t_far_backend);
    return cmocka_run_group_tests_name("runs on a device", tests, t_setup, t_teardown);
}
