/* Whitening filters: the sums over patches, what a filter does to the patches it was made from, and
 * which images an estimator makes it from. (ctest: tsan) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "estimator.h"
#include "fail.h"
#include "rng.h"
#include "whiten.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        const fw_status st_ = (call);                                                              \
        if (st_ != FW_OK)                                                                          \
            fail_msg("%s: %s", #call, fw_last_error());                                            \
    } while (0)

enum { N = 21, H = 7, W = 6, C = 3, VALUES = H * W * C };
static uint8_t pixels[N * VALUES];
static int32_t labels[N];
static float standardized[N * VALUES];
static const float mean[C] = {100, 110, 90}, std[C] = {60, 50, 70};

static int make_images(void **state)
{
    (void)state;
    for (int i = 0; i < N * VALUES; i++) {
        uint32_t words[4];
        fwi_rng_block(3, FWI_RNG_TEST, 0, (uint64_t)i, 0, words);
        const int own = (int)fwi_below(words[0], 100), left = i >= C ? pixels[i - C] : 128;
        pixels[i] = (uint8_t)(left / 2 + own); /* neighbours are alike, as in photographs */
        standardized[i] = ((float)pixels[i] - mean[i % C]) / std[i % C];
    }
    for (int i = 0; i < N; i++)
        labels[i] = i % 4;
    return 0;
}

static fw_images all_images(void)
{
    return (fw_images){.n = N,
                       .h = H,
                       .w = W,
                       .c = C,
                       .dtype = FW_U8,
                       .pixels = pixels,
                       .labels = labels,
                       .n_classes = 4,
                       .mean = {100, 110, 90},
                       .std = {60, 50, 70}};
}

/* X^T X / rows of the first n images, straight from its definition; centred: the covariance. */
static bool centred_moments = false;
static void plain_moments(int64_t n, int64_t k, double *sum)
{
    const int64_t d = k * k * C, rows = n * (H - k + 1) * (W - k + 1);
    memset(sum, 0, (size_t)(d * d) * sizeof *sum);
    for (int64_t p = 0; p < d; p++)
        for (int64_t q = 0; q < d; q++) {
            for (int64_t i = 0; i < n; i++)
                for (int64_t y = 0; y + k <= H; y++)
                    for (int64_t x = 0; x + k <= W; x++) {
                        const float *at = standardized + i * VALUES;
                        const int64_t py = p / (k * C), px = p / C % k, qy = q / (k * C),
                                      qx = q / C % k;
                        sum[p * d + q] += (double)at[((y + py) * W + x + px) * C + p % C] *
                                          (double)at[((y + qy) * W + x + qx) * C + q % C];
                    }
            sum[p * d + q] /= (double)rows;
        }
    if (!centred_moments)
        return;
    double *const mean_patch = calloc((size_t)d, sizeof *mean_patch);
    assert_non_null(mean_patch);
    for (int64_t p = 0; p < d; p++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t y = 0; y + k <= H; y++)
                for (int64_t x = 0; x + k <= W; x++)
                    mean_patch[p] +=
                        (double)standardized[i * VALUES +
                                             ((y + p / (k * C)) * W + x + p / C % k) * C + p % C] /
                        (double)rows;
    for (int64_t p = 0; p < d; p++)
        for (int64_t q = 0; q < d; q++)
            sum[p * d + q] = (sum[p * d + q] - mean_patch[p] * mean_patch[q]) * (double)rows /
                             (double)(rows - 1);
    free(mean_patch);
}

static void sums_over_patches(void **state)
{
    (void)state;
    enum { K = 3, D = K * K * C };
    static double partial[N * (D + 1) * D], one[(D + 1) * D], two[(D + 1) * D], want[D * D];
    fwi_pool *pool = NULL;
    assert_ok(fwi_pool_new(&pool, 3));
    fwi_whiten_moments(NULL, standardized, N, H, W, C, K, partial, one);
    fwi_whiten_moments(pool, standardized, 10, H, W, C, K, partial, two);
    fwi_whiten_moments(pool, standardized + 10 * VALUES, N - 10, H, W, C, K, partial, two);
    assert_memory_equal(one, two, sizeof one); /* however it is cut */
    plain_moments(N, K, want);
    const double rows = N * (H - K + 1) * (W - K + 1);
    for (int i = 0; i < D; i++)
        for (int j = i; j < D; j++)
            assert_true(fabs(one[i * D + j] / rows - want[i * D + j]) < 1e-12);
    for (int j = 0; j < D; j++) { /* and the patches themselves */
        double sum = 0;
        for (int64_t i = 0; i < N; i++)
            for (int64_t y = 0; y + K <= H; y++)
                for (int64_t x = 0; x + K <= W; x++)
                    sum +=
                        (double)standardized[i * VALUES +
                                             ((y + j / (K * C)) * W + x + j / C % K) * C + j % C];
        assert_true(fabs(one[D * D + j] - sum) < 1e-9);
    }
    fwi_pool_free(pool);
}

/* Of three patches of two values, by hand: (1,2), (3,2), (5,8). */
static void the_covariance_of_three_patches(void **state)
{
    (void)state;
    static const double sums[6] = {35, 48, -1, 72, 9, 12};
    double plain[6], centred[6];
    memcpy(plain, sums, sizeof sums);
    memcpy(centred, sums, sizeof sums);
    fwi_whiten_covariance(2, 3, false, plain);
    fwi_whiten_covariance(2, 3, true, centred);
    assert_true(plain[0] == 35.0 / 3 && plain[1] == 16 && plain[3] == 24);
    assert_true(centred[0] == 4 && centred[1] == 6 && centred[3] == 12);
}

/* filter [channels,d] is as it should be for the first n images: its outputs over their patches are
 * uncorrelated, with the power l / (l + eps), largest first; its second half is the negative. */
static void check_filter(const double *filter, int64_t n, int64_t k, int64_t channels, double eps)
{
    const int64_t d = k * k * C;
    double *cov = malloc((size_t)(d * d) * sizeof *cov);
    assert_non_null(cov);
    plain_moments(n, k, cov);
    double last = 1;
    for (int64_t i = 0; i < d; i++) {
        const double *f = filter + i * d;
        double length = 0, largest = 0;
        for (int64_t j = 0; j < d; j++) {
            length += f[j] * f[j];
            largest = fabs(f[j]) > fabs(largest) ? f[j] : largest;
            if (channels > d)
                assert_true(filter[(d + i) * d + j] == -f[j]);
        }
        assert_true(largest > 0);
        const double l = 1 / length - eps; /* |f|^2 = 1 / (l + eps) */
        for (int64_t m = 0; m < d; m++) {
            double power = 0;
            for (int64_t p = 0; p < d; p++)
                for (int64_t q = 0; q < d; q++)
                    power += f[p] * cov[p * d + q] * filter[m * d + q];
            assert_true(fabs(power - (m == i ? l / (l + eps) : 0)) < 1e-5);
            if (m == i) {
                assert_true(power <= last + 1e-6);
                last = power;
            }
        }
    }
    free(cov);
}

static void a_filter_whitens(void **state)
{
    (void)state;
    enum { K = 2, D = K * K * C };
    static const double epsilons[] = {1e-6, 5e-4, 0.3};
    for (size_t i = 0; i < 3; i++) {
        double cov[D * D], wide[2 * D * D];
        float filter[2 * D * D], half[D * D];
        plain_moments(N, K, cov);
        assert_ok(fwi_whiten_filter(D, 2 * D, epsilons[i], cov, filter));
        for (int j = 0; j < 2 * D * D; j++)
            wide[j] = (double)filter[j];
        check_filter(wide, N, K, 2 * D, epsilons[i]);
        plain_moments(N, K, cov);
        assert_ok(fwi_whiten_filter(D, D, epsilons[i], cov, half));
        assert_memory_equal(half, filter, sizeof half);
    }
    double cov[1] = {0};
    float one[2];
    assert_ok(fwi_whiten_filter(1, 2, 4, cov, one)); /* nothing in the images: not infinite */
    assert_true(one[0] == 0.5f && one[1] == -0.5f);
}

/* ---- with an estimator ---- */

typedef struct way {
    const char *file; /* NULL: memory */
    bool cache, folds;
    int threads;
    fw_dtype precision;
    const char *warm_start;
} way;

static fw_dataset *open_data(const way *v, bool training)
{
    const fw_transform chain[] = {fw_alternating_flip(), fw_standardize(C, mean, std),
                                  fw_random_pad_crop(2), FW_TRANSFORM_END};
    const fw_transform plain[] = {fw_standardize(C, mean, std), FW_TRANSFORM_END};
    fw_dataset_opt opt = {.batch = 4, .training = training, .cache = v->cache};
    if (v->folds) {
        opt.folds = 2;
        opt.fold = 1;
    }
    static fw_images images;
    images = all_images();
    fw_dataset *ds = NULL;
    if (v->file == NULL)
        assert_ok(fw_array_dataset(&ds, &images, training ? chain : plain, &opt));
    else
        assert_ok(fw_tfrecord_dataset(&ds, v->file, fw_parse_image_array(H, W, C),
                                      training ? chain : plain, &opt));
    return ds;
}

static fw_estimator *new_estimator(const way *v, const fw_whiten_opt *opt)
{
    fw_layer *net = fw_sequential();
    fw_add(net, fw_whiten(opt));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(4, 1, NULL));
    fw_estimator *e = NULL;
    const fw_optimizer sgd = fw_sgd(fw_constant_lr(0.01), 0.9, NULL);
    assert_ok(fw_estimator_new(&e, net, sgd,
                               &(fw_estimator_opt){.threads = v->threads,
                                                   .precision = v->precision,
                                                   .warm_start = v->warm_start}));
    return e;
}

/* The filter as doubles; returns how many. */
static int64_t read_filter(const fw_estimator *e, double *out)
{
    static float f[4096];
    const fwi_var *v = fwi_store_find(e->network.store, "0.whiten.weight");
    assert_non_null(v);
    const int64_t n = fwi_shape_elems(&v->shape);
    assert_ok(fwi_store_read(e->network.store, v, v->dtype == FW_F64 ? (void *)out : (void *)f));
    for (int64_t i = 0; i < n && v->dtype == FW_F32; i++)
        out[i] = (double)f[i];
    return n;
}

static void an_estimator_takes_the_first_training_images(void **state)
{
    (void)state;
    fw_images images = all_images();
    assert_ok(fw_write_tfrecord("plain.tfrec", &images, &(fw_write_opt){.overwrite = true}));
    assert_ok(fw_write_tfrecord("gz.tfrec", &images,
                                &(fw_write_opt){.overwrite = true, .compression = FW_GZIP}));
    static const way ways[] = {{.threads = 1},
                               {.threads = 3},
                               {.precision = FW_F64},
                               {.file = "plain.tfrec"},
                               {.file = "plain.tfrec", .cache = true},
                               {.file = "gz.tfrec"},
                               {.file = "gz.tfrec", .cache = true}};
    double first[4096], filter[4096];
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        fw_estimator *e = new_estimator(&ways[i], &(fw_whiten_opt){.images = 10});
        fw_dataset *ds = open_data(&ways[i], true);
        fw_budget budget;
        assert_ok(fw_estimator_prepare(e, ds, NULL, &budget));
        assert_int_equal(fw_dataset_position(ds), 0);
        const int64_t n = read_filter(e, i == 0 ? first : filter);
        assert_int_equal(n, 2 * 12 * 12);
        if (i == 0)
            check_filter(first, 10, 2, 24, 5e-4);
        else
            assert_memory_equal(first, filter, (size_t)n * sizeof *first);
        fw_dataset_free(ds);
        fw_estimator_free(e);
    }
    const struct {
        fw_whiten_opt opt;
        int64_t images, channels;
    } others[] = {{{.images = 1000}, N, 24}, /* more than there are */
                  {{.images = 1}, 1, 24},
                  {{.kernel = 3, .no_negatives = true, .eps = 0.01f}, N, 27},
                  {{.centred = true, .eps = 0.01f}, N, 24}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const way v = {0};
        fw_estimator *e = new_estimator(&v, &others[i].opt);
        fw_dataset *ds = open_data(&v, true);
        assert_ok(fw_estimator_prepare(e, ds, NULL, NULL));
        read_filter(e, filter);
        centred_moments = others[i].opt.centred;
        check_filter(filter, others[i].images, others[i].opt.kernel == 3 ? 3 : 2,
                     others[i].channels, others[i].opt.eps > 0 ? 0.01 : 5e-4);
        centred_moments = false;
        fw_dataset_free(ds);
        fw_estimator_free(e);
    }
    /* a fold's training records are others */
    const way fold = {.folds = true};
    fw_estimator *e = new_estimator(&fold, &(fw_whiten_opt){.images = 10});
    fw_dataset *ds = open_data(&fold, true);
    assert_ok(fw_estimator_prepare(e, ds, NULL, NULL));
    read_filter(e, filter);
    assert_true(memcmp(first, filter, 288 * sizeof *first) != 0);
    fw_dataset_free(ds);
    fw_estimator_free(e);
}

static void the_filter_is_made_once(void **state)
{
    (void)state;
    const way v = {0};
    double first[4096], now[4096];
    fw_estimator *e = new_estimator(&v, &(fw_whiten_opt){.images = 10});
    fw_dataset *train = open_data(&v, true), *test = open_data(&v, false);
    fw_metrics m;
    assert_int_equal(fw_estimator_evaluate(e, test, &m), FW_ESTATE); /* no training data yet */
    for (int64_t i = read_filter(e, now); i > 0; i--)
        assert_true(now[i - 1] == 0);
    assert_ok(fw_estimator_train(e, train, 3));
    const size_t bytes = (size_t)read_filter(e, first) * sizeof *first;
    check_filter(first, 10, 2, 24, 5e-4);
    assert_ok(fw_estimator_train(e, train, 6));
    read_filter(e, now);
    assert_memory_equal(first, now, bytes); /* it is not trained */
    assert_ok(fw_estimator_save(e, "whitened.safetensors"));
    fw_dataset_free(train);
    fw_estimator_free(e);
    /* a warm start brings another's along */
    const way warm = {.warm_start = "whitened.safetensors", .folds = true};
    e = new_estimator(&warm, &(fw_whiten_opt){.images = 3});
    train = open_data(&warm, true);
    assert_ok(fw_estimator_train(e, train, 2));
    read_filter(e, now);
    assert_memory_equal(first, now, bytes);
    fw_dataset_free(train);
    fw_dataset_free(test);
    fw_estimator_free(e);
}

/* Images that cannot be read are an error of the run, by the layer's name. */
static void a_damaged_file_is_named(void **state)
{
    (void)state;
    fw_images images = all_images();
    assert_ok(fw_write_tfrecord("bad.tfrec", &images, &(fw_write_opt){.overwrite = true}));
    FILE *f = fopen("bad.tfrec", "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, 1000, SEEK_SET), 0);
    assert_int_equal(fputc(0x5a, f), 0x5a);
    assert_int_equal(fclose(f), 0);
    const way v = {.file = "bad.tfrec"};
    fw_estimator *e = new_estimator(&v, NULL);
    fw_dataset *ds = open_data(&v, true);
    assert_int_equal(fw_estimator_prepare(e, ds, NULL, NULL), FW_EFORMAT);
    assert_non_null(strstr(fw_last_error(), "0.whiten.weight from the training images"));
    assert_non_null(strstr(fw_last_error(), "bad.tfrec"));
    fw_dataset_free(ds);
    fw_estimator_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_over_patches),
        cmocka_unit_test(the_covariance_of_three_patches),
        cmocka_unit_test(a_filter_whitens),
        cmocka_unit_test(an_estimator_takes_the_first_training_images),
        cmocka_unit_test(the_filter_is_made_once),
        cmocka_unit_test(a_damaged_file_is_named),
    };
    return cmocka_run_group_tests(tests, make_images, NULL);
}
