/* test_far.c: training on a device whose memory is not the host's (t_far.h), through the public
 * interface: what the host prepares is uploaded, what it wants to know is downloaded, a step is
 * recorded once and replayed, and the result is what the CPU computes but for rounding. */
#include "t_far.h"
#include "t_runs.h"

#include "backends.h"

#include <fenwicks/model.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOINT = 2 }; /* kernels of a step that do several calls: running statistics, SGD */
enum { N = 45, SIDE = 8, C = 3, CLASSES = 4, BATCH = 16, STEPS = 12 };

static fw_images images;

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    images = t_images(N, SIDE, SIDE, C, CLASSES, FW_U8);
    fwi_device_offer(&t_far_backend);
    return 0;
}

static int drop_data(void **state)
{
    fwi_device_offer(NULL);
    t_images_free(&images);
    return t_teardown(state);
}

typedef struct run {
    fw_estimator *e;
    fw_dataset *train, *test;
    t_trace trace;
} run;

static fw_dataset *data_of(bool training)
{
    const fw_transform chain[] = {fw_standardize(C, images.mean, images.std), FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &images, chain,
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

/* ---- images that stay on the device ---- */

enum { VALUES = SIDE * SIDE * C };

static fw_status leave_it(void *user, fw_sample *s)
{
    (void)user;
    (void)s;
    return FW_OK;
}

/* A training with everything that a device can do to an image, on a fold, and an evaluation with views
 * every pass. fed: batches come from the host all the same. */
typedef struct fed_run {
    fw_dataset *train, *test;
    fw_estimator *e;
    t_trace trace;
} fed_run;

static void fed_open(fed_run *r, bool fed, fw_tta tta, fw_dtype precision, const char *dir)
{
    const fw_transform list[] = {fw_standardize(C, images.mean, images.std),
                                 fw_random_pad_crop(2),
                                 fw_alternating_flip(),
                                 fw_cutout(3, 2),
                                 fw_color_jitter(0.2, 0.1),
                                 FW_TRANSFORM_END};
    const fw_transform plain[] = {list[0], FW_TRANSFORM_END};
    memset(r, 0, sizeof *r);
    assert_ok(fw_array_dataset(
        &r->train, &images, list,
        &(fw_dataset_opt){.batch = BATCH, .training = true, .seed = 3, .folds = 5, .fold = 2}));
    assert_ok(fw_array_dataset(&r->test, &images, plain, &(fw_dataset_opt){.batch = BATCH}));
    const fw_estimator_opt opt = {.device = "far",
                                  .precision = precision,
                                  .seed = 5,
                                  .work_dir = dir,
                                  .threads = 1,
                                  .tta = tta,
                                  .eval_data = r->test,
                                  .eval_every = 1,
                                  .host_batches = fed,
                                  .progress = t_record,
                                  .progress_user = &r->trace};
    assert_ok(fw_estimator_new(&r->e, t_net(8, 0.25f, CLASSES), t_sgd(0.05), &opt));
}

static void fed_close(fed_run *r)
{
    fw_estimator_free(r->e);
    fw_dataset_free(r->train);
    fw_dataset_free(r->test);
}

static void test_stays(void **state)
{
    (void)state;
    static const fw_tta ttas[] = {FW_TTA_NONE, FW_TTA_AIRBENCH6, FW_TTA_SELECTIVE};
    for (size_t i = 0; i < sizeof ttas / sizeof *ttas; i++) {
        const int steps = ttas[i] == FW_TTA_NONE ? STEPS : 4;
        fed_run host, kept;
        fw_metrics a, b;
        const int64_t none = t_far_batches();
        fed_open(&host, true, ttas[i], FW_F32, t_path("fed"));
        assert_ok(fw_estimator_train(host.e, host.train, steps));
        assert_ok(fw_estimator_evaluate(host.e, host.test, &a));
        assert_int_equal(t_far_batches(), none);
        fed_open(&kept, false, ttas[i], FW_F32, t_path("kept"));
        assert_ok(fw_estimator_train(kept.e, kept.train, steps));
        assert_true(t_far_batches() >= none + steps);
        assert_ok(fw_estimator_evaluate(kept.e, kept.test, &b));
        for (int s = 0; s < steps; s++)
            assert_true(host.trace.loss[s] == kept.trace.loss[s]);
        assert_true(a.loss == b.loss && a.accuracy == b.accuracy && a.records == b.records &&
                    a.accuracy_plain == b.accuracy_plain && a.forwards == b.forwards);
        t_assert_same_file(t_path("fed/model.safetensors"), t_path("kept/model.safetensors"));
        fed_close(&host);
        fed_close(&kept);
        t_remove_tree(t_path("fed"));
        t_remove_tree(t_path("kept"));
    }
}

/* A step uploads its rows' numbers and rates, not images. */
static void test_uploads_little(void **state)
{
    (void)state;
    fed_run r;
    fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_train(r.e, r.train, 2));
    const int64_t before = t_far_uploaded();
    assert_ok(fw_estimator_train(r.e, r.train, 4)); /* the images are there already */
    assert_true(t_far_uploaded() - before < 2 * BATCH * VALUES);
    fed_close(&r);
}

static void explained(fw_estimator *e, const char *sentence)
{
    char *text = NULL;
    assert_ok(fw_estimator_explain(e, &text));
    if (strstr(text, sentence) == NULL)
        fail_msg("no \"%s\" in:\n%s", sentence, text);
    fw_text_free(text);
}

/* Where the device cannot make a batch the host does, and it is said why. */
static void test_host_way(void **state)
{
    (void)state;
    const fw_transform own[] = {fw_standardize(C, images.mean, images.std),
                                fw_user_transform(leave_it, NULL), FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    fed_run r;
    const int64_t none = t_far_batches();
    fed_open(&r, true, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_train(r.e, r.train, 1));
    explained(r.e, "batches for training: made on the host: that was asked for");
    fed_close(&r);
    fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_array_dataset(&ds, &images, own, &(fw_dataset_opt){.batch = 8, .training = true}));
    assert_ok(fw_estimator_train(r.e, ds, 1));
    explained(r.e, "batches for training: made on the host: transform 1 is the caller's own");
    assert_int_equal(t_far_batches(), none);
    assert_ok(fw_estimator_train(r.e, r.train, 2)); /* of another data set, now from the device */
    explained(r.e, "batches for training: made on the device, of 36 images that stay there");
    explained(r.e, "batches for evaluation: made on the device, of 45 images that stay there");
    assert_int_equal(t_far_batches(), none + 1 + 3); /* a step, an evaluation */
    fw_dataset_free(ds);
    fed_close(&r);
    fw_images floats = t_images(N, SIDE, SIDE, C, CLASSES, FW_F32);
    fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_array_dataset(&ds, &floats, (const fw_transform[]){own[0], FW_TRANSFORM_END},
                               &(fw_dataset_opt){.batch = 8, .training = true}));
    assert_ok(fw_estimator_train(r.e, ds, 1));
    explained(r.e, "batches for training: made on the host: its images are f32, not u8");
    fw_dataset_free(ds);
    fed_close(&r);
    t_images_free(&floats);
}

/* Files that are held in memory are uploaded like an array; files that are not stay the host's. */
static void test_files(void **state)
{
    (void)state;
    assert_ok(fw_write_tfrecord(t_path("a.tfrec"), &images, NULL));
    const fw_transform list[] = {fw_standardize(C, images.mean, images.std), fw_random_flip(),
                                 FW_TRANSFORM_END};
    double loss[2];
    for (int cached = 0; cached < 2; cached++) {
        fw_dataset *ds = NULL;
        fed_run r;
        fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
        assert_ok(fw_tfrecord_dataset(
            &ds, t_path("a.tfrec"), fw_parse_image_array(SIDE, SIDE, C), list,
            &(fw_dataset_opt){.batch = BATCH, .training = true, .seed = 9, .cache = cached == 1}));
        const int64_t none = t_far_batches();
        assert_ok(fw_estimator_train(r.e, ds, STEPS));
        assert_int_equal(t_far_batches() - none, /* 6 evaluations of 3 batches, then steps */
                         6 * 3 + (cached ? STEPS : 0));
        if (!cached)
            explained(r.e, "made on the host: its records are read from files");
        loss[cached] = r.trace.loss[STEPS - 1];
        fed_close(&r);
        fw_dataset_free(ds);
    }
    assert_true(loss[0] == loss[1]);
}

/* Images for which there is no room beside the plan stay on the host. */
static void test_images_memory(void **state)
{
    (void)state;
    fed_run r;
    fw_budget budget;
    const size_t all = t_far_memory;
    fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_prepare(r.e, r.train, NULL, &budget));
    fed_close(&r);
    assert_true(budget.device >= 36 * VALUES);
    /* the labels do not fit any more */
    t_far_memory = (size_t)(budget.state + budget.scratch) + 36 * VALUES;
    fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    const int64_t none = t_far_batches();
    assert_ok(fw_estimator_train(r.e, r.train, 1));
    explained(r.e, "batches for training: made on the host: the device has");
    assert_int_equal(t_far_batches(), none);
    fed_close(&r);
    t_far_memory = all;
}

/* Images that are there make room for a plan that comes later, which then trains as it would have. */
static void test_images_make_room(void **state)
{
    (void)state;
    fed_run r;
    fw_budget budget;
    fw_metrics m;
    const size_t all = t_far_memory;
    fed_open(&r, true, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_prepare(r.e, r.train, r.test, &budget));
    assert_ok(fw_estimator_train(r.e, r.train, 2));
    const double want = r.trace.loss[1];
    fed_close(&r);
    /* all plans and a reserve, but not the images of the evaluation too */
    t_far_memory = (size_t)(budget.state + budget.scratch) * 33 / 32 + N * VALUES / 2;
    fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_evaluate(r.e, r.test, &m)); /* its plan is smaller: there is room */
    explained(r.e, "batches for evaluation: made on the device");
    assert_ok(fw_estimator_train(r.e, r.train, 2));
    explained(r.e, "batches for evaluation: made on the host: the device has");
    assert_true(r.trace.loss[1] == want);
    assert_ok(fw_estimator_evaluate(r.e, r.test, &m));
    fed_close(&r);
    t_far_memory = all;
}

/* A limit on all memory that has no room for images has room for the run. */
static void test_images_limited(void **state)
{
    (void)state;
    fed_run r;
    fw_budget budget;
    fed_open(&r, true, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_prepare(r.e, r.train, NULL, &budget));
    fed_close(&r);
    fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    fw_estimator_free(r.e);
    const fw_estimator_opt opt = {
        .device = "far", .seed = 5, .threads = 1, .memory_limit = budget.total + 100};
    assert_ok(fw_estimator_new(&r.e, t_net(8, 0.25f, CLASSES), t_sgd(0.05), &opt));
    assert_ok(fw_estimator_train(r.e, r.train, 2));
    explained(r.e, "batches for training: made on the host: the device has");
    fed_close(&r);
}

/* Whichever block the device has not: an error, or images stay with the host. */
static void test_blocks_refused(void **state)
{
    (void)state;
    int refused = 0, host = 0;
    for (int n = 1; n < 20; n++) {
        fed_run r;
        fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
        t_far_refuses_block = n;
        const fw_status st = fw_estimator_train(r.e, r.train, 1);
        const bool all_given = t_far_refuses_block > 0;
        t_far_refuses_block = 0;
        if (st != FW_OK) {
            assert_int_equal(st, FW_ENOMEM);
            assert_non_null(strstr(fw_last_error(), "this block is refused"));
            refused++;
        } else if (!all_given) {
            char *text = NULL;
            assert_ok(fw_estimator_explain(r.e, &text));
            assert_non_null(strstr(text, "made on the host: memory for images: far: this block"));
            fw_text_free(text);
            host++;
        }
        fed_close(&r);
        if (all_given)
            break;
    }
    assert_true(refused > 0);
    assert_int_equal(host, 2); /* images to train on, and to evaluate with */
}

/* A label that is no class is found when images are uploaded, by its record. */
static void test_bad_label(void **state)
{
    (void)state;
    fed_run r;
    int32_t *const labels = (int32_t *)(uintptr_t)images.labels;
    const int32_t was = labels[9];
    labels[9] = CLASSES;
    fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_fails(fw_estimator_train(r.e, r.train, 1), FW_EFORMAT, "record 9");
    labels[9] = was;
    fed_close(&r);
}

/* ---- f16 ---- */

static void test_f16(void **state)
{
    (void)state;
    fed_run whole, half;
    fed_open(&whole, false, FW_TTA_NONE, FW_F32, NULL);
    fed_open(&half, false, FW_TTA_NONE, FW_F16, t_path("half"));
    assert_ok(fw_estimator_train(whole.e, whole.train, STEPS));
    assert_ok(fw_estimator_train(half.e, half.train, STEPS / 2));
    fw_estimator_free(half.e);
    half.e = NULL;
    fw_dataset_free(half.train);
    fw_dataset_free(half.test);
    const t_trace first = half.trace;
    fed_open(&half, false, FW_TTA_NONE, FW_F16, t_path("half")); /* resumed */
    assert_int_equal(fw_estimator_step(half.e), STEPS / 2);
    assert_ok(fw_estimator_train(half.e, half.train, STEPS));
    for (int i = 0; i < STEPS; i++) {
        const double loss = i < STEPS / 2 ? first.loss[i] : half.trace.loss[i - STEPS / 2];
        assert_true(loss != whole.trace.loss[i]);
        assert_true(fabs(loss - whole.trace.loss[i]) <= (i < 3 ? 2e-3 : 0.1) * whole.trace.loss[i]);
    }
    fed_close(&half);
    fed_close(&whole);
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
    fed_run r;
    int steps = 0;
    fed_open(&r, false, FW_TTA_NONE, FW_F16, NULL);
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
    fed_close(&r);
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
        ws == NULL ? FW_ENOMEM : fw_model_predict(p->m, images.pixels, images.dtype, N, ws, p->out);
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
    fed_run r;
    fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
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
    fed_close(&r);
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
        cmocka_unit_test(test_as_the_cpu),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_unrecorded),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_stays),
        cmocka_unit_test(test_uploads_little),
        cmocka_unit_test(test_host_way),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_images_memory),
        cmocka_unit_test(test_images_make_room),
        cmocka_unit_test(test_images_limited),
        cmocka_unit_test(test_blocks_refused),
        cmocka_unit_test(test_bad_label),
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_f16_overflow),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests_name("far", tests, make_data, drop_data);
}
