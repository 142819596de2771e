/* test_steady.c: after the first ten steps no thread allocates: not the kernels, not the input
 * pipeline, not logs, events and checkpoints, nor any library below them. Counted by a malloc of
 * the test's own (t_alloc.c). Prediction allocates nothing at all. */
#include "t_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 150, H = 12, W = 12, C = 3, CLASSES = 5, BATCH = 32, FIRST = 10, STEPS = 64, LAST = 60 };

static fw_images images;

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    images = t_images(N, H, W, C, CLASSES, FW_U8);
    assert_ok(fw_write_tfrecord(t_path("a.tfrec"), &images, NULL));
    assert_ok(fw_write_tfrecord(t_path("s.tfrec"), &images, &(fw_write_opt){.shards = 3}));
    assert_ok(fw_write_tfrecord(t_path("f.tfrec"), &images, &(fw_write_opt){.as_float = true}));
    assert_ok(fw_write_tfrecord(t_path("z.tfrec"), &images,
                                &(fw_write_opt){.compression = FW_GZIP, .shards = 2}));
    return 0;
}

static int drop_data(void **state)
{
    t_images_free(&images);
    return t_teardown(state);
}

static fw_dataset *open_data(const char *pattern, const fw_dataset_opt *opt)
{
    const fw_transform chain[] = {fw_standardize(C, images.mean, images.std), fw_random_pad_crop(2),
                                  fw_random_flip(), fw_cutout(4, 4), FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    if (pattern == NULL)
        assert_ok(fw_array_dataset(&ds, &images, chain, opt));
    else
        assert_ok(fw_tfrecord_dataset(&ds, t_path("%s", pattern), fw_parse_image_array(H, W, C),
                                      chain, opt));
    return ds;
}

/* What was counted at the end of steps FIRST and LAST. */
typedef struct watch {
    long at_first, at_last;
    int64_t checkpoints, epochs, evals; /* between them */
    char line[256];
} watch;

static bool on_event(void *user, const fw_event *ev)
{
    watch *w = user;
    const bool inside = ev->step > FIRST && ev->step <= LAST;
    if (ev->kind == FW_EVENT_STEP && ev->step == FIRST)
        w->at_first = t_alloc_count();
    if (ev->kind == FW_EVENT_STEP &&
        ev->step == LAST + 1) /* all of LAST is over, its checkpoint too */
        w->at_last = t_alloc_count();
    if (inside) {
        w->checkpoints += ev->kind == FW_EVENT_CHECKPOINT;
        w->epochs += ev->kind == FW_EVENT_EPOCH;
        w->evals += ev->kind == FW_EVENT_EVAL;
    }
    snprintf(w->line, sizeof w->line, "step %lld of %lld, loss %g, eta %g", (long long)ev->step,
             (long long)ev->total_steps, ev->loss, ev->seconds_left); /* as a progress line does */
    return true;
}

static void check(const char *name, const char *pattern, int threads, int64_t prefetch, bool cache,
                  bool adam, fw_dtype precision)
{
    watch w = {0};
    fw_dataset *train = open_data(pattern, &(fw_dataset_opt){.batch = BATCH,
                                                             .training = true,
                                                             .prefetch = prefetch,
                                                             .cache = cache,
                                                             .shuffle_buffer = 60});
    fw_dataset *test = NULL;
    assert_ok(fw_array_dataset(&test, &images, NULL, &(fw_dataset_opt){.batch = BATCH}));
    const fw_estimator_opt opt = {.work_dir = t_path("run"),
                                  .fresh = true,
                                  .threads = threads,
                                  .precision = precision,
                                  .checkpoint_every = 7,
                                  .eval_data = test,
                                  .eval_every = 2,
                                  .tta = adam ? FW_TTA_AIRBENCH6 : FW_TTA_NONE,
                                  .progress = on_event,
                                  .progress_user = &w};
    const fw_schedule lr = fw_one_cycle_lr(adam ? 0.01 : 0.1, STEPS, 12, FW_DECAY_LINEAR);
    const fw_optimizer o = adam ? fw_adam(lr, &(fw_adam_opt){.weight_decay = 0.01, .clip_norm = 1})
                                : fw_sgd(lr, 0.9, &(fw_sgd_opt){.weight_decay = 5e-4});
    fw_estimator *e = NULL;
    assert_ok(fw_estimator_new(&e, t_net(8, 0.25F, CLASSES), o, &opt));
    assert_ok(fw_estimator_train(e, train, STEPS));
    /* The window had all of it in it. */
    assert_true(w.checkpoints >= 7);
    assert_true(w.epochs >= 10);
    assert_true(w.evals >= 5);
    if (t_alloc_counts()) {
        assert_true(w.at_first > 100); /* the counter counts */
        if (w.at_last != w.at_first)
            fail_msg("%s: %ld allocations in steps %d to %d", name, w.at_last - w.at_first,
                     FIRST + 1, LAST);
    }
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
}

static void test_training(void **state)
{
    (void)state;
    if (!t_alloc_counts())
        print_message("allocations are not counted in this build: only run\n");
    check("records, 1 thread", "a.tfrec", 1, 0, false, false, FW_F32);
    check("records, 2 threads", "a.tfrec", 2, 0, false, false, FW_F32);
    check("records, 3 threads, 4 ahead", "a.tfrec", 3, 4, false, true, FW_F32);
    check("shards, none ahead", "s.tfrec@3", 2, FW_NONE, false, false, FW_F32);
    check("shards, cached", "s.tfrec@3", 2, 0, true, false, FW_F32);
    check("floats", "f.tfrec", 2, 0, false, false, FW_F32);
    check("gzip", "z.tfrec@2", 2, 3, false, false, FW_F32);
    check("memory, in double", NULL, 2, 0, false, true, FW_F64);
}

static void test_prediction(void **state)
{
    (void)state;
    fw_estimator *e = NULL;
    fw_dataset *train = open_data(NULL, &(fw_dataset_opt){.batch = BATCH, .training = true});
    assert_ok(fw_estimator_new(&e, t_net(8, 0, CLASSES), t_sgd(0.1), NULL));
    assert_ok(fw_estimator_train(e, train, 3));
    assert_ok(fw_estimator_save(e, t_path("m.safetensors")));
    fw_estimator_free(e);
    fw_dataset_free(train);
    for (int threads = 0; threads <= 2; threads++) {
        fw_model *m = NULL;
        assert_ok(fw_model_open(&m, t_path("m.safetensors"),
                                &(fw_model_opt){.batch = 16, .threads = threads}));
        const size_t size = (fw_model_workspace(m) + 63) / 64 * 64;
        void *workspace = aligned_alloc(64, size);
        float *out = calloc(N * CLASSES, sizeof *out);
        assert_non_null(workspace);
        assert_non_null(out);
        const long before = t_alloc_count();
        fw_status st = FW_OK;
        for (int i = 0; i < 5 && st == FW_OK; i++)
            st = fw_model_predict(m, images.pixels, FW_U8, N, workspace, out);
        const long after = t_alloc_count();
        assert_ok(st);
        assert_int_equal(after, before);
        float sum = 0;
        for (int i = 0; i < N * CLASSES; i++)
            sum += out[i];
        assert_true(sum > N - 0.01F && sum < N + 0.01F);
        free(out);
        free(workspace);
        fw_model_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_prediction),
    };
    return cmocka_run_group_tests_name("steady state", tests, make_data, drop_data);
}
