/* test_far.c: training on a device whose memory is not the host's (t_far.h), through the public
 * interface: what the host prepares is uploaded, what it wants to know is downloaded, a step is
 * recorded once and replayed, and the result is what the CPU computes but for rounding. */
#include "t_fed.h"

#include <math.h>

enum { JOINT = 2 }; /* kernels of a step that do several calls: running statistics, SGD */

typedef struct run {
    fw_estimator *e;
    fw_dataset *train, *test;
    t_trace trace;
} run;

static fw_dataset *data_of(bool training)
{
    const fw_transform chain[] = {fw_standardize(C, t_fed_images.mean, t_fed_images.std),
                                  FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &t_fed_images, chain,
                               &(fw_dataset_opt){.batch = BATCH, .training = training, .seed = 3}));
    return ds;
}

static void run_open(run *r, const char *device, fw_dtype precision, const char *dir)
{
    *r = (run){0};
    const fw_estimator_opt opt = {.device = device,
                                  .precision = precision,
                                  .seed = 5,
                                  .threads = 1,
                                  .work_dir = dir,
                                  .progress = t_record,
                                  .progress_user = &r->trace};
    r->train = data_of(true);
    r->test = data_of(false);
    assert_ok(fw_estimator_new(&r->e, t_net(8, 0.25f, CLASSES), t_sgd(0.05), &opt));
}

static void run_close(run *r)
{
    fw_estimator_free(r->e);
    fw_dataset_free(r->train);
    fw_dataset_free(r->test);
}

/* With a norm that gradients are brought down to: one more of these kernels a step, and the CPU's figures. */
static void test_clipped(void **state)
{
    (void)state;
    enum { FEW = 3 };
    t_trace trace[2];
    for (int far = 0; far < 2; far++) {
        fw_dataset *ds = data_of(true);
        fw_estimator *e = NULL;
        trace[far] = (t_trace){0};
        assert_ok(
            fw_estimator_new(&e, t_net(8, 0, CLASSES),
                             fw_sgd(fw_constant_lr(0.05), 0.9, &(fw_sgd_opt){.clip_norm = 0.125}),
                             &(fw_estimator_opt){.device = far ? "far" : "cpu",
                                                 .seed = 5,
                                                 .threads = 1,
                                                 .progress = t_record,
                                                 .progress_user = &trace[far]}));
        const int64_t joint = t_far_joint_calls();
        assert_ok(fw_estimator_train(e, ds, FEW));
        assert_int_equal(t_far_joint_calls() - joint, far ? (JOINT + 1) * FEW : 0);
        fw_estimator_free(e);
        fw_dataset_free(ds);
    }
    for (int i = 0; i < FEW; i++)
        assert_true(fabs(trace[1].loss[i] - trace[0].loss[i]) <= 1e-5 * trace[0].loss[i]);
}

/* Dropout drops the same elements there, the order of images is the same, so losses differ by
 * rounding alone: little at first, more with every step that builds on the last. */
static void test_as_the_cpu(void **state)
{
    (void)state;
    run far, near;
    run_open(&near, "cpu", FW_F32, NULL);
    run_open(&far, "far", FW_F32, NULL);
    const int64_t before = t_far_replays(), joint = t_far_joint_calls();
    assert_ok(fw_estimator_train(near.e, near.train, STEPS));
    assert_ok(fw_estimator_train(far.e, far.train, STEPS));
    assert_int_equal(far.trace.n, STEPS);
    assert_int_equal(t_far_replays() - before, STEPS - 1); /* the first step ran kernel by kernel */
    assert_int_equal(t_far_joint_calls() - joint, JOINT * STEPS);
    for (int i = 0; i < STEPS; i++)
        if (!(fabs(far.trace.loss[i] - near.trace.loss[i]) <=
              (i < 3 ? 1e-5 : 1e-2) * near.trace.loss[i]))
            fail_msg("step %d: loss %.9g, the CPU's is %.9g", i, far.trace.loss[i],
                     near.trace.loss[i]);
    fw_metrics a, b;
    assert_ok(fw_estimator_evaluate(near.e, near.test, &a));
    assert_ok(fw_estimator_evaluate(far.e, far.test, &b));
    assert_int_equal(b.records, N);
    assert_true(fabs(a.loss - b.loss) <= 0.02 * a.loss);
    static float p[N * CLASSES], q[N * CLASSES];
    int64_t rows = 0;
    assert_ok(fw_estimator_predict(near.e, near.test, p, N, &rows));
    assert_ok(fw_estimator_predict(far.e, far.test, q, N, &rows));
    assert_int_equal(rows, N);
    for (int i = 0; i < N * CLASSES; i++)
        assert_true(fabsf(p[i] - q[i]) < 0.05f);
    run_close(&near);
    run_close(&far);
}

/* In bf16 the first loss is off by its rounding, and it learns all the same. */
static void test_bf16(void **state)
{
    (void)state;
    run whole, half;
    run_open(&whole, "far", FW_F32, NULL);
    run_open(&half, "far", FW_BF16, NULL);
    assert_ok(fw_estimator_train(whole.e, whole.train, STEPS));
    assert_ok(fw_estimator_train(half.e, half.train, STEPS));
    assert_true(whole.trace.loss[0] != half.trace.loss[0]);
    for (int i = 0; i < STEPS; i++)
        assert_true(fabs(half.trace.loss[i] - whole.trace.loss[i]) <=
                    (i < 3 ? 0.01 : 0.15) * whole.trace.loss[i]);
    run_close(&whole);
    run_close(&half);
}

/* Weights and optimiser state travel from the device into checkpoints and back. */
static void test_resume(void **state)
{
    (void)state;
    run r;
    run_open(&r, "far", FW_F32, t_path("straight"));
    assert_ok(fw_estimator_train(r.e, r.train, STEPS));
    run_close(&r);
    run_open(&r, "far", FW_F32, t_path("stopped"));
    assert_ok(fw_estimator_train(r.e, r.train, STEPS / 2));
    run_close(&r);
    run_open(&r, "far", FW_F32, t_path("stopped"));
    assert_int_equal(fw_estimator_step(r.e), STEPS / 2);
    assert_ok(fw_estimator_train(r.e, r.train, STEPS));
    run_close(&r);
    t_assert_same_file(t_path("straight/model.safetensors"), t_path("stopped/model.safetensors"));
}

static void count_line(void *user, int level, const char *line)
{
    int *const n = user;
    (void)level;
    *n += strstr(line, "steps are not recorded") != NULL && strstr(line, "far: keeps no") != NULL;
}

/* A step that cannot be recorded was done all the same: training goes on as if nothing kept them. */
static void test_unrecorded(void **state)
{
    (void)state;
    run kept, plain;
    int lines = 0;
    run_open(&kept, "far", FW_F32, NULL);
    assert_ok(fw_estimator_train(kept.e, kept.train, STEPS));
    run_open(&plain, "far", FW_F32, NULL);
    const int64_t before = t_far_replays();
    fw_log_set(count_line, &lines);
    t_far_refuses = true;
    const fw_status st = fw_estimator_train(plain.e, plain.train, STEPS);
    t_far_refuses = false;
    fw_log_set(NULL, NULL);
    assert_ok(st);
    assert_int_equal(t_far_replays(), before);
    assert_int_equal(lines, 1);
    assert_int_equal(plain.trace.n, STEPS);
    assert_memory_equal(plain.trace.loss, kept.trace.loss, STEPS * sizeof *kept.trace.loss);
    run_close(&kept);
    run_close(&plain);
}

/* What does not fit is refused before it is allocated. */
static void test_memory(void **state)
{
    (void)state;
    run r;
    run_open(&r, "far", FW_F32, NULL);
    const size_t all = t_far_memory;
    t_far_memory = 4096;
    assert_fails(fw_estimator_train(r.e, r.train, 1), FW_ENOMEM, "a smaller batch needs less");
    t_far_memory = all;
    assert_int_equal(r.trace.n, 0);
    assert_ok(fw_estimator_train(r.e, r.train, 1));
    run_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_the_cpu), cmocka_unit_test(test_clipped),
        cmocka_unit_test(test_bf16),       cmocka_unit_test(test_resume),
        cmocka_unit_test(test_unrecorded), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, t_fed_setup, t_fed_teardown);
}
