/* test_far_images.c: images that stay on a device (device_data.h): the same training bit for bit as with
 * batches from the host, little to upload, and what happens where they cannot stay. */
#include "t_fed.h"

static fw_status leave_it(void *user, fw_sample *s)
{
    (void)user;
    (void)s;
    return FW_OK;
}

static void test_stays(void **state)
{
    (void)state;
    static const fw_tta ttas[] = {FW_TTA_NONE, FW_TTA_AIRBENCH6, FW_TTA_SELECTIVE};
    for (size_t i = 0; i < sizeof ttas / sizeof *ttas; i++) {
        const int steps = ttas[i] == FW_TTA_NONE && !T_SANITIZED ? STEPS : 4;
        if (ttas[i] == FW_TTA_AIRBENCH6 && T_SANITIZED)
            continue; /* minutes */
        t_fed host, kept;
        fw_metrics a, b;
        const int64_t none = t_far_batches();
        t_fed_open(&host, true, ttas[i], FW_F32, t_path("fed"));
        assert_ok(fw_estimator_train(host.e, host.train, steps));
        assert_ok(fw_estimator_evaluate(host.e, host.test, &a));
        assert_int_equal(t_far_batches(), none);
        t_fed_open(&kept, false, ttas[i], FW_F32, t_path("kept"));
        assert_ok(fw_estimator_train(kept.e, kept.train, steps));
        assert_true(t_far_batches() >= none + steps);
        assert_ok(fw_estimator_evaluate(kept.e, kept.test, &b));
        for (int s = 0; s < steps; s++)
            assert_true(host.trace.loss[s] == kept.trace.loss[s]);
        assert_true(a.loss == b.loss && a.accuracy == b.accuracy && a.records == b.records &&
                    a.accuracy_plain == b.accuracy_plain && a.forwards == b.forwards);
        t_assert_same_file(t_path("fed/model.safetensors"), t_path("kept/model.safetensors"));
        t_fed_close(&host);
        t_fed_close(&kept);
        t_remove_tree(t_path("fed"));
        t_remove_tree(t_path("kept"));
    }
}

/* A step uploads its rows' numbers and rates, not images. */
static void test_uploads_little(void **state)
{
    (void)state;
    t_fed r;
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_train(r.e, r.train, 2));
    const int64_t before = t_far_uploaded();
    assert_ok(fw_estimator_train(r.e, r.train, 4)); /* the images are there already */
    assert_true(t_far_uploaded() - before < 2 * BATCH * VALUES);
    t_fed_close(&r);
}

/* Where the device cannot make a batch the host does, and it is said why. */
static void test_host_way(void **state)
{
    (void)state;
    const fw_transform own[] = {fw_standardize(C, t_fed_images.mean, t_fed_images.std),
                                fw_user_transform(leave_it, NULL), FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    t_fed r;
    const int64_t none = t_far_batches();
    t_fed_open(&r, true, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_train(r.e, r.train, 1));
    t_fed_explained(r.e, "batches for training: made on the host: that was asked for");
    t_fed_close(&r);
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(
        fw_array_dataset(&ds, &t_fed_images, own, &(fw_dataset_opt){.batch = 8, .training = true}));
    assert_ok(fw_estimator_train(r.e, ds, 1));
    t_fed_explained(r.e, "batches for training: made on the host: transform 1 is the caller's own");
    assert_int_equal(t_far_batches(), none);
    assert_ok(fw_estimator_train(r.e, r.train, 2)); /* of another data set, now from the device */
    t_fed_explained(r.e, "batches for training: made on the device, of 36 images that stay there");
    t_fed_explained(r.e,
                    "batches for evaluation: made on the device, of 45 images that stay there");
    assert_int_equal(t_far_batches(), none + 1 + 3); /* a step, an evaluation */
    fw_dataset_free(ds);
    t_fed_close(&r);
    fw_images floats = t_images(N, SIDE, SIDE, C, CLASSES, FW_F32);
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_array_dataset(&ds, &floats, (const fw_transform[]){own[0], FW_TRANSFORM_END},
                               &(fw_dataset_opt){.batch = 8, .training = true}));
    assert_ok(fw_estimator_train(r.e, ds, 1));
    t_fed_explained(r.e, "batches for training: made on the host: its images are f32, not u8");
    fw_dataset_free(ds);
    t_fed_close(&r);
    t_images_free(&floats);
}

/* Files that are held in memory are uploaded like an array; files that are not stay the host's. */
static void test_files(void **state)
{
    (void)state;
    assert_ok(fw_write_tfrecord(t_path("a.tfrec"), &t_fed_images, NULL));
    const fw_transform list[] = {fw_standardize(C, t_fed_images.mean, t_fed_images.std),
                                 fw_random_flip(), FW_TRANSFORM_END};
    double loss[2];
    for (int cached = 0; cached < 2; cached++) {
        fw_dataset *ds = NULL;
        t_fed r;
        t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
        assert_ok(fw_tfrecord_dataset(
            &ds, t_path("a.tfrec"), fw_parse_image_array(SIDE, SIDE, C), list,
            &(fw_dataset_opt){.batch = BATCH, .training = true, .seed = 9, .cache = cached == 1}));
        const int64_t none = t_far_batches();
        assert_ok(fw_estimator_train(r.e, ds, STEPS));
        assert_int_equal(t_far_batches() - none, /* 6 evaluations of 3 batches, then steps */
                         6 * 3 + (cached ? STEPS : 0));
        if (!cached)
            t_fed_explained(r.e, "made on the host: its records are read from files");
        loss[cached] = r.trace.loss[STEPS - 1];
        t_fed_close(&r);
        fw_dataset_free(ds);
    }
    assert_true(loss[0] == loss[1]);
}

/* Images for which there is no room beside the plan stay on the host. */
static void test_images_memory(void **state)
{
    (void)state;
    t_fed r;
    fw_budget budget;
    const size_t all = t_far_memory;
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_prepare(r.e, r.train, NULL, &budget));
    t_fed_close(&r);
    assert_true(budget.device >= 36 * VALUES);
    /* the labels do not fit any more */
    t_far_memory = (size_t)(budget.state + budget.scratch) + 36 * VALUES;
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    const int64_t none = t_far_batches();
    assert_ok(fw_estimator_train(r.e, r.train, 1));
    t_fed_explained(r.e, "batches for training: made on the host: the device has");
    assert_int_equal(t_far_batches(), none);
    t_fed_close(&r);
    t_far_memory = all;
}

/* Images that are there make room for a plan that comes later, which then trains as it would have. */
static void test_images_make_room(void **state)
{
    (void)state;
    t_fed r;
    fw_budget budget;
    fw_metrics m;
    const size_t all = t_far_memory;
    t_fed_open(&r, true, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_prepare(r.e, r.train, r.test, &budget));
    assert_ok(fw_estimator_train(r.e, r.train, 2));
    const double want = r.trace.loss[1];
    t_fed_close(&r);
    /* all plans and a reserve, but not the images of the evaluation too */
    t_far_memory = (size_t)(budget.state + budget.scratch) * 33 / 32 + N * VALUES / 2;
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_evaluate(r.e, r.test, &m)); /* its plan is smaller: there is room */
    t_fed_explained(r.e, "batches for evaluation: made on the device");
    assert_ok(fw_estimator_train(r.e, r.train, 2));
    t_fed_explained(r.e, "batches for evaluation: made on the host: the device has");
    assert_true(r.trace.loss[1] == want);
    assert_ok(fw_estimator_evaluate(r.e, r.test, &m));
    t_fed_close(&r);
    t_far_memory = all;
}

/* A limit on all memory that has no room for images has room for the run. */
static void test_images_limited(void **state)
{
    (void)state;
    t_fed r;
    fw_budget budget;
    t_fed_open(&r, true, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fw_estimator_prepare(r.e, r.train, NULL, &budget));
    t_fed_close(&r);
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    fw_estimator_free(r.e);
    const fw_estimator_opt opt = {
        .device = "far", .seed = 5, .threads = 1, .memory_limit = budget.total + 100};
    assert_ok(fw_estimator_new(&r.e, t_net(8, 0.25f, CLASSES), t_sgd(0.05), &opt));
    assert_ok(fw_estimator_train(r.e, r.train, 2));
    t_fed_explained(r.e, "batches for training: made on the host: the device has");
    t_fed_close(&r);
}

/* Whichever block the device has not: an error, or images stay with the host. */
static void test_blocks_refused(void **state)
{
    (void)state;
    int refused = 0, host = 0;
    for (int n = 1; n < 20; n++) {
        t_fed r;
        t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
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
        t_fed_close(&r);
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
    t_fed r;
    int32_t *const labels = (int32_t *)(uintptr_t)t_fed_images.labels;
    const int32_t was = labels[9];
    labels[9] = CLASSES;
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_fails(fw_estimator_train(r.e, r.train, 1), FW_EFORMAT, "record 9");
    labels[9] = was;
    t_fed_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays),          cmocka_unit_test(test_uploads_little),
        cmocka_unit_test(test_host_way),       cmocka_unit_test(test_files),
        cmocka_unit_test(test_images_memory),  cmocka_unit_test(test_images_make_room),
        cmocka_unit_test(test_images_limited), cmocka_unit_test(test_blocks_refused),
        cmocka_unit_test(test_bad_label),
    };
    return cmocka_run_group_tests(tests, t_fed_setup, t_fed_teardown);
}
