/* test_far_f16.c: f16 on a device with memory of its own: it trains, resumes, and undoes steps that
 * overflow; and a model's file evaluated there. */
#include "t_fed.h"

#include <fenwicks/model.h>
#include <math.h>
#include <pthread.h>

/* ---- f16 ---- */

/* As f32 but for its roundings; and a run that is stopped and resumed ends with the same bits. */
static void test_f16(void **state)
{
    (void)state;
    t_fed whole, half, straight;
    t_fed_open(&whole, false, FW_TTA_NONE, FW_F32, NULL);
    t_fed_open(&straight, false, FW_TTA_NONE, FW_F16, t_path("straight"));
    t_fed_open(&half, false, FW_TTA_NONE, FW_F16, t_path("half"));
    assert_ok(fw_estimator_train(whole.e, whole.train, STEPS));
    assert_ok(fw_estimator_train(straight.e, straight.train, STEPS));
    assert_ok(fw_estimator_train(half.e, half.train, STEPS / 2));
    fw_estimator_free(half.e);
    half.e = NULL;
    fw_dataset_free(half.train);
    fw_dataset_free(half.test);
    const t_trace first = half.trace;
    t_fed_open(&half, false, FW_TTA_NONE, FW_F16, t_path("half")); /* resumed */
    assert_int_equal(fw_estimator_step(half.e), STEPS / 2);
    assert_ok(fw_estimator_train(half.e, half.train, STEPS));
    for (int i = 0; i < STEPS; i++) {
        const double loss = i < STEPS / 2 ? first.loss[i] : half.trace.loss[i - STEPS / 2];
        assert_true(loss == straight.trace.loss[i] && loss != whole.trace.loss[i]);
        assert_true(fabs(loss - whole.trace.loss[i]) <= (i < 3 ? 2e-3 : 0.1) * whole.trace.loss[i]);
    }
    t_fed_close(&half);
    t_fed_close(&straight);
    t_fed_close(&whole);
    t_assert_same_file(t_path("straight/model.safetensors"), t_path("half/model.safetensors"));
    fw_model *m = NULL; /* its weights are f32, so a CPU reads it */
    assert_ok(fw_model_open(&m, t_path("half/model.safetensors"), NULL));
    fw_model_close(m);
}

static bool count_undone_steps(void *user, const fw_event *ev)
{
    *(int *)user += ev->kind == FW_EVENT_STEP;
    return true;
}

/* A scale under which every gradient overflows: weights stay what they were, statistics too, and after
 * 20 such steps it is no training any more. */
static void test_f16_overflow(void **state)
{
    (void)state;
    t_fed r;
    int steps = 0;
    t_fed_open(&r, false, FW_TTA_NONE, FW_F16, NULL);
    fw_estimator_free(r.e);
    r.e = NULL;
    fw_estimator_opt opt = {.device = "far",
                            .precision = FW_F16,
                            .loss_scale = 1e12,
                            .seed = 5,
                            .work_dir = t_path("over"),
                            .threads = 1,
                            .progress = count_undone_steps,
                            .progress_user = &steps};
    assert_ok(fw_estimator_new(&r.e, t_net(8, 0, CLASSES), t_sgd(0.05), &opt));
    assert_ok(fw_estimator_train(r.e, r.train, 1));
    assert_ok(fw_estimator_save(r.e, t_path("one.safetensors")));
    assert_ok(fw_estimator_train(r.e, r.train, 9));
    assert_ok(fw_estimator_save(r.e, t_path("nine.safetensors")));
    t_assert_same_file(t_path("one.safetensors"), t_path("nine.safetensors"));
    assert_fails(fw_estimator_train(r.e, r.train, 60), FW_ENONFINITE,
                 "steps overflowed in f16 at loss scale 1e+12");
    assert_int_equal(steps, 19); /* the 20th is not told */
    fw_estimator_free(r.e);
    r.e = NULL;
    opt.device = "cpu";
    assert_fails(fw_estimator_new(&r.e, t_net(8, 0, CLASSES), t_sgd(0.05), &opt), FW_EUNAVAILABLE,
                 "precision f16 is for GPUs");
    opt.precision = FW_F32;
    assert_fails(fw_estimator_new(&r.e, t_net(8, 0, CLASSES), t_sgd(0.05), &opt), FW_EARG,
                 "loss_scale is for precision f16");
    opt.loss_scale = 0;
    opt.tf32 = true;
    assert_fails(fw_estimator_new(&r.e, t_net(8, 0, CLASSES), t_sgd(0.05), &opt), FW_EUNAVAILABLE,
                 "precision tf32 is a GPU's");
    opt.precision = FW_BF16;
    assert_fails(fw_estimator_new(&r.e, t_net(8, 0, CLASSES), t_sgd(0.05), &opt), FW_EARG,
                 "tf32 is a rounding of f32");
    t_fed_close(&r);
}

/* ---- a model's file ---- */

typedef struct predicting {
    const fw_model *m;
    float out[N * CLASSES];
    fw_status status;
} predicting;

static void *predict_all(void *arg)
{
    predicting *p = arg;
    void *ws = aligned_alloc(64, (fw_model_workspace(p->m) + 63) / 64 * 64);
    p->status =
        ws == NULL ? FW_ENOMEM
                   : fw_model_predict(p->m, t_fed_images.pixels, t_fed_images.dtype, N, ws, p->out);
    free(ws);
    return NULL;
}

/* A model evaluates and predicts there, also for two threads at once; scratch is not the caller's. */
static void test_model(void **state)
{
    (void)state;
    static predicting one, near, both[2];
    fw_model *far = NULL, *cpu = NULL;
    pthread_t threads[2];
    t_fed r;
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_train(r.e, r.train, STEPS));
    assert_ok(fw_estimator_save(r.e, t_path("m.safetensors")));
    const fw_model_opt there = {.batch = 7, .device = "far", .tta = FW_TTA_MIRROR};
    const fw_model_opt here = {.batch = 7, .tta = FW_TTA_MIRROR};
    assert_ok(fw_model_open(&far, t_path("m.safetensors"), &there));
    assert_ok(fw_model_open(&cpu, t_path("m.safetensors"), &here));
    assert_true(fw_model_workspace(far) < fw_model_workspace(cpu));
    one.m = both[0].m = both[1].m = far;
    near.m = cpu;
    (void)predict_all(&one);
    (void)predict_all(&near);
    assert_ok(one.status);
    assert_ok(near.status);
    for (int i = 0; i < N * CLASSES; i++)
        assert_true(fabsf(one.out[i] - near.out[i]) < 1e-3f);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, predict_all, &both[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_ok(both[i].status);
        assert_memory_equal(both[i].out, one.out, sizeof one.out);
    }
    fw_metrics a, b;
    assert_ok(fw_model_evaluate(far, r.test, &a, NULL));
    assert_ok(fw_model_evaluate(cpu, r.test, &b, NULL));
    assert_true(a.records == N && b.records == N && fabs(a.loss - b.loss) < 1e-3 * b.loss);
    fw_model_close(far);
    fw_model_close(cpu);
    const size_t all = t_far_memory;
    t_far_memory = 1000;
    assert_fails(fw_model_open(&far, t_path("m.safetensors"), &there), FW_ENOMEM,
                 "a smaller batch needs less");
    t_far_memory = all;
    t_fed_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_f16_overflow),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, t_fed_setup, t_fed_teardown);
}
