/* test_resolution.c: training on smaller images, made inside the graph: as if the data had been of
 * that size; which step sees which size; what is refused before the first step; and the loss of mixed
 * batches. Exact resume across a switch is in test_resume.c. (ctest: tsan) */
#include "t_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 24, SIDE = 8, SMALL = 4, C = 3, CLASSES = 3, BATCH = 8, STEPS = 6 };

static fw_images images;

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    images = t_images(N, SIDE, SIDE, C, CLASSES, FW_F32);
    return 0;
}

static int drop_data(void **state)
{
    t_images_free(&images);
    return t_teardown(state);
}

/* The images as float, each place made by `at` from SIDE x SIDE. */
static fw_images smaller(bool crop)
{
    fw_images out = t_images(N, SMALL, SMALL, C, CLASSES, FW_F32);
    const float *from = images.pixels;
    float *to = out.pixels;
    for (int64_t i = 0; i < N; i++)
        for (int64_t y = 0; y < SMALL; y++)
            for (int64_t x = 0; x < SMALL; x++)
                for (int64_t c = 0; c < C; c++) {
                    const float *const im = from + i * SIDE * SIDE * C + c;
                    float v = 0;
                    if (crop)
                        v = im[((y + 2) * SIDE + x + 2) * C];
                    else /* half the size: the mean of four */
                        for (int k = 0; k < 4; k++)
                            v += 0.25F * im[((2 * y + k / 2) * SIDE + 2 * x + k % 2) * C];
                    to[((i * SMALL + y) * SMALL + x) * C + c] = v;
                }
    memcpy(out.labels, images.labels, N * sizeof *out.labels);
    return out;
}

/* A run of a size-independent net; gives its losses. */
static void train(const fw_images *im, const fw_resolution *r, int32_t n, fw_resolution_by by,
                  int threads, t_trace *trace)
{
    *trace = (t_trace){0};
    fw_dataset *ds = NULL;
    fw_estimator *e = NULL;
    assert_ok(fw_array_dataset(&ds, im, NULL,
                               &(fw_dataset_opt){.batch = BATCH, .training = true, .seed = 3}));
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.05),
                               &(fw_estimator_opt){.threads = threads,
                                                   .resolutions = r,
                                                   .n_resolutions = n,
                                                   .resolution_by = by,
                                                   .progress = t_record,
                                                   .progress_user = trace}));
    assert_ok(fw_estimator_train(e, ds, STEPS));
    assert_int_equal(trace->n, STEPS);
    fw_estimator_free(e);
    fw_dataset_free(ds);
}

static void small_images_are_those_of_small_data(void **state)
{
    (void)state;
    static t_trace want, got, mixed, full;
    for (int crop = 0; crop < 2; crop++) {
        fw_images small = smaller(crop == 1);
        const fw_resolution_by by = crop == 1 ? FW_BY_CROP : FW_BY_RESIZE;
        train(&small, NULL, 0, FW_BY_RESIZE, 1, &want);
        for (int threads = 1; threads <= 3; threads++) {
            const fw_resolution always[] = {{SMALL, INT64_MAX}};
            train(&images, always, 1, by, threads, &got);
            assert_memory_equal(got.loss, want.loss, STEPS * sizeof *want.loss);
        }
        /* a size that grows: the first steps as above, then another net's */
        const fw_resolution grows[] = {{SMALL, 2}, {6, 4}};
        train(&images, grows, 2, by, 2, &mixed);
        train(&images, NULL, 0, by, 2, &full);
        assert_memory_equal(mixed.loss, want.loss, 2 * sizeof *want.loss);
        for (int i = 2; i < STEPS; i++)
            assert_true(mixed.loss[i] != want.loss[i] && mixed.loss[i] != full.loss[i]);
        /* the data's own size is no resolution */
        const fw_resolution same[] = {{SIDE, 3}};
        train(&images, same, 1, by, 2, &got);
        assert_memory_equal(got.loss, full.loss, STEPS * sizeof *full.loss);
        t_images_free(&small);
    }
}

/* The whitening filter is made from whole images, whatever size they are trained at. */
static void whitened_nets_grow_too(void **state)
{
    (void)state;
    for (int crop = 0; crop < 2; crop++) {
        const fw_resolution grows[] = {{SMALL, 2}, {6, 4}};
        static t_trace trace;
        trace = (t_trace){0};
        fw_layer *net = fw_sequential();
        fw_add(net, fw_whiten(&(fw_whiten_opt){.images = N}));
        fw_add(net, fw_conv_bn(4, FW_PYTORCH));
        fw_add(net, fw_global_max_pool());
        fw_add(net, fw_classifier(CLASSES, 1, FW_PYTORCH));
        fw_dataset *ds = NULL;
        fw_estimator *e = NULL;
        assert_ok(fw_array_dataset(&ds, &images, NULL,
                                   &(fw_dataset_opt){.batch = BATCH, .training = true}));
        assert_ok(fw_estimator_new(
            &e, net, t_sgd(0.05),
            &(fw_estimator_opt){.resolutions = grows,
                                .n_resolutions = 2,
                                .resolution_by = crop == 1 ? FW_BY_CROP : FW_BY_RESIZE,
                                .progress = t_record,
                                .progress_user = &trace}));
        assert_ok(fw_estimator_train(e, ds, STEPS));
        assert_int_equal(trace.n, STEPS);
        fw_estimator_free(e);
        fw_dataset_free(ds);
    }
}

static fw_status prepare(fw_layer *net, const fw_images *im, const fw_resolution *r, int32_t n,
                         fw_budget *budget, char **text)
{
    fw_dataset *ds = NULL;
    fw_estimator *e = NULL;
    assert_ok(fw_array_dataset(&ds, im, NULL, &(fw_dataset_opt){.batch = BATCH, .training = true}));
    fw_status st = fw_estimator_new(&e, net, t_sgd(0.05),
                                    &(fw_estimator_opt){.resolutions = r, .n_resolutions = n});
    if (st == FW_OK)
        st = fw_estimator_prepare(e, ds, NULL, budget);
    if (st == FW_OK && text != NULL)
        st = fw_estimator_explain(e, text);
    fw_estimator_free(e);
    fw_dataset_free(ds);
    return st;
}

static void plans_are_known_before_the_first_step(void **state)
{
    (void)state;
    const fw_resolution r[] = {{SMALL, 2}, {6, 4}};
    fw_budget with, without, alone;
    char *text = NULL;
    assert_ok(prepare(t_net(4, 0, CLASSES), &images, r, 2, &with, &text));
    assert_non_null(strstr(text, "training, batches of 8 at 4 x 4 (resize):"));
    assert_non_null(strstr(text, "training, batches of 8 at 6 x 6 (resize):"));
    assert_non_null(strstr(text, "training, batches of 8:"));
    fw_text_free(text);
    assert_ok(prepare(t_net(4, 0, CLASSES), &images, NULL, 0, &without, NULL));
    assert_int_equal(with.scratch, without.scratch); /* one arena, as large as the largest plan */
    assert_int_equal(with.state, without.state);
    const fw_resolution small[] = {{SMALL, INT64_MAX}};
    assert_ok(prepare(t_net(4, 0, CLASSES), &images, small, 1, &alone, NULL));
    assert_true(alone.scratch < without.scratch);
}

static fw_layer *pooled_by(int64_t k)
{
    fw_layer *l = fw_sequential();
    fw_add(l, fw_conv_bn(4, NULL));
    fw_add(l, fw_max_pool(k, 0));
    fw_add(l, fw_global_max_pool());
    fw_add(l, fw_classifier(CLASSES, 1, NULL));
    return l;
}

static fw_layer *flattened(void)
{
    fw_layer *l = fw_sequential();
    fw_add(l, fw_conv_bn(4, NULL));
    fw_add(l, fw_flatten());
    fw_add(l, fw_classifier(CLASSES, 1, NULL));
    return l;
}

static void bad_ones_are_refused(void **state)
{
    (void)state;
    const fw_resolution large[] = {{SIDE + 1, 5}}, small[] = {{3, 5}}, zero[] = {{0, 5}},
                        back[] = {{4, 5}, {6, 5}}, start[] = {{4, 0}};
    assert_fails(prepare(t_net(4, 0, CLASSES), &images, large, 1, NULL, NULL), FW_ESHAPE,
                 "resolution of 9 is larger than the images of 8 x 8");
    assert_fails(prepare(pooled_by(5), &images, small, 1, NULL, NULL), FW_ESHAPE,
                 "at a resolution of 3 x 3");
    assert_fails(prepare(pooled_by(5), &images, small, 1, NULL, NULL), FW_ESHAPE, "max_pool");
    assert_fails(prepare(flattened(), &images, small, 1, NULL, NULL), FW_ESHAPE,
                 "at a resolution of 3 x 3");
    assert_fails(prepare(t_net(4, 0, CLASSES), &images, zero, 1, NULL, NULL), FW_EARG,
                 "resolution 0: 0 x 0");
    assert_fails(prepare(t_net(4, 0, CLASSES), &images, back, 2, NULL, NULL), FW_EARG,
                 "resolution 1: 6 x 6 until step 5, it begins at step 5");
    assert_fails(prepare(t_net(4, 0, CLASSES), &images, start, 1, NULL, NULL), FW_EARG, "increase");
    assert_fails(prepare(t_net(4, 0, CLASSES), &images, start, 9, NULL, NULL), FW_EARG,
                 "at most 8");
    fw_images wide = t_images(N, 4, 8, C, CLASSES, FW_F32);
    assert_fails(prepare(t_net(4, 0, CLASSES), &wide, small, 1, NULL, NULL), FW_ESHAPE, "squares");
    t_images_free(&wide);
    /* A window has another share of a patch than the whole image. */
    const fw_transform list[] = {fw_cutmix(2, 2, 0), FW_TRANSFORM_END};
    for (int crop = 0; crop < 2; crop++) {
        fw_dataset *ds = NULL;
        fw_estimator *e = NULL;
        assert_ok(fw_array_dataset(&ds, &images, list,
                                   &(fw_dataset_opt){.batch = BATCH, .training = true}));
        assert_ok(fw_estimator_new(
            &e, t_net(4, 0, CLASSES), t_sgd(0.05),
            &(fw_estimator_opt){.resolutions = (fw_resolution[]){{4, 1}},
                                .n_resolutions = 1,
                                .resolution_by = crop == 1 ? FW_BY_CROP : FW_BY_RESIZE}));
        if (crop == 1)
            assert_fails(fw_estimator_train(e, ds, 1), FW_EARG, "cutmix: the other label counts");
        else
            assert_ok(fw_estimator_train(e, ds, 1));
        fw_estimator_free(e);
        fw_dataset_free(ds);
    }
}

/* ---- mixed batches ---- */

/* The loss of one step at rate 0 over im's first batch in order. */
static double loss_of(const fw_images *im, const fw_transform *list, bool sum)
{
    static t_trace trace;
    trace = (t_trace){0};
    fw_dataset *ds = NULL;
    fw_estimator *e = NULL;
    assert_ok(fw_array_dataset(
        &ds, im, list,
        &(fw_dataset_opt){.batch = BATCH, .training = true, .no_shuffle = true, .seed = 3}));
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.05),
                               &(fw_estimator_opt){.seed = 2,
                                                   .loss_sum = sum,
                                                   .label_smoothing = 0.1,
                                                   .progress = t_record,
                                                   .progress_user = &trace}));
    assert_ok(fw_estimator_train(e, ds, 1));
    fw_estimator_free(e);
    fw_dataset_free(ds);
    return trace.loss[0];
}

/* The loss of a mixed batch is that of its images with the first labels and with the second, each
 * with its share. */
static void the_loss_is_shared(void **state)
{
    (void)state;
    const fw_transform mixed[] = {fw_cutmix(5, 6, 0), FW_TRANSFORM_END};
    const fw_transform later[] = {fw_cutmix(5, 6, 1), FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    fw_batch b;
    assert_ok(fw_array_dataset(
        &ds, &images, mixed,
        &(fw_dataset_opt){.batch = BATCH, .training = true, .no_shuffle = true, .seed = 3}));
    assert_ok(fw_dataset_next(ds, &b));
    fw_images seen = t_images(BATCH, SIDE, SIDE, C, CLASSES, FW_F32);
    memcpy(seen.pixels, b.images, sizeof(float) * BATCH * SIDE * SIDE * C);
    const double share = b.share2;
    assert_true(share == 30.0 / 64);
    for (int sum = 0; sum < 2; sum++) {
        memcpy(seen.labels, b.labels, BATCH * sizeof *seen.labels);
        const double first = loss_of(&seen, NULL, sum == 1);
        memcpy(seen.labels, b.labels2, BATCH * sizeof *seen.labels);
        const double second = loss_of(&seen, NULL, sum == 1);
        const double got = loss_of(&images, mixed, sum == 1);
        assert_true(fabs(first - second) > 1e-3);
        assert_true(fabs(got - ((1 - share) * first + share * second)) < 1e-6);
        /* not begun yet: the loss of the images as they are */
        assert_true(fabs(loss_of(&images, later, sum == 1) - loss_of(&images, NULL, sum == 1)) <
                    1e-6);
    }
    fw_dataset_free(ds);
    t_images_free(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_images_are_those_of_small_data),
        cmocka_unit_test(whitened_nets_grow_too),
        cmocka_unit_test(plans_are_known_before_the_first_step),
        cmocka_unit_test(bad_ones_are_refused),
        cmocka_unit_test(the_loss_is_shared),
    };
    return cmocka_run_group_tests(tests, make_data, drop_data);
}
