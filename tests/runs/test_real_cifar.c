/* test_real_cifar.c: a few steps of the walk-through's recipe on real images, and its loss falls.
 * Skipped where CIFAR-10 is missing: it is looked for in $FENWICKS_DATA, then beside the source. */
#include "t_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *find_cifar10(void)
{
    static char path[1200];
    const char *data = getenv("FENWICKS_DATA");
    const char *const places[] = {data != NULL ? data : "", FW_SOURCE_DIR "/../shared/cifar10",
                                  FW_SOURCE_DIR "/data/cifar10-source"};
    static const char *const below[] = {"", "/cifar-10-batches-bin", "/cifar10"};
    for (size_t i = 0; i < T_COUNT(places); i++)
        for (size_t k = 0; k < T_COUNT(below) && places[i][0] != 0; k++) {
            char file[1300];
            snprintf(path, sizeof path, "%s%s", places[i], below[k]);
            snprintf(file, sizeof file, "%s/test_batch.bin", path);
            if (t_exists(file))
                return path;
        }
    return NULL;
}

static void test_loss_falls(void **state)
{
    const char *const path = *state;
    enum { STEPS = 16, BATCH = 64, KEPT = 2048 };
    fw_images test = {0};
    assert_ok(fw_cifar10_load(path, NULL, &test));
    assert_int_equal(test.n, 10000);
    assert_int_equal(test.h * 10000 + test.w * 100 + test.c, 323203);
    fw_images few = test;
    few.n = KEPT;
    fw_write_opt write = {0};
    assert_ok(fw_write_tfrecord(t_path("few.tfrec"), &few, &write));
    const fw_transform chain[] = {fw_standardize(3, test.mean, test.std), fw_random_pad_crop(4),
                                  fw_random_flip(), fw_cutout(8, 8), FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    assert_ok(fw_tfrecord_dataset(&ds, t_path("few.tfrec"), fw_parse_image_array(32, 32, 3), chain,
                                  &(fw_dataset_opt){.batch = BATCH, .training = true}));
    /* The walk-through's net at half its width, to take seconds and not minutes. */
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(32, FW_PYTORCH));
    fw_add(net, fw_conv_res_blk(64, 2, FW_PYTORCH));
    fw_add(net, fw_conv_blk(128, FW_PYTORCH));
    fw_add(net, fw_conv_res_blk(256, 2, FW_PYTORCH));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(10, 0.125F, FW_PYTORCH));
    t_trace trace = {0};
    fw_estimator *e = NULL;
    assert_ok(fw_estimator_new(&e, net,
                               fw_sgd(fw_triangular_lr(0.1, 2 * STEPS, STEPS / 2), 0.9,
                                      &(fw_sgd_opt){.weight_decay = 5e-4}),
                               &(fw_estimator_opt){.progress = t_record, .progress_user = &trace}));
    assert_ok(fw_estimator_train(e, ds, STEPS));
    double early = 0, late = 0;
    for (int i = 0; i < 4; i++) {
        early += trace.loss[i] / 4;
        late += trace.loss[STEPS - 1 - i] / 4;
    }
    print_message("loss of the first four steps %.3f, of the last four %.3f\n", early, late);
    assert_true(fabs(trace.loss[0] - log(10)) < 0.5); /* it knows nothing yet */
    assert_true(late < early - 0.1);
    fw_estimator_free(e);
    fw_dataset_free(ds);
    fw_images_clear(&test);
}

int main(void)
{
    const char *path = find_cifar10();
    if (path == NULL) {
        puts("skipped: no CIFAR-10 (the .bin files) in $FENWICKS_DATA, ../shared/cifar10 or "
             "data/cifar10-source");
        return 77;
    }
    if (T_SANITIZED) {
        puts("skipped: too slow under a sanitizer");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_loss_falls, (void *)(uintptr_t)path)};
    return cmocka_run_group_tests_name("CIFAR-10", tests, t_setup, t_teardown);
}
