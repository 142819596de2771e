/* test_image_set.c: statistics, splitting and the sizes that are refused. */
#include "io_test.h"

#include "image_set.h"

#include <math.h>

static void direct(const fw_images *im, double *mean, double *std)
{
    const int64_t n = im->n * im->h * im->w;
    for (int64_t k = 0; k < im->c; k++) {
        long double sum = 0, m2 = 0;
        for (int64_t i = 0; i < n; i++)
            sum += im->dtype == FW_U8 ? (long double)((uint8_t *)im->pixels)[i * im->c + k]
                                      : (long double)((float *)im->pixels)[i * im->c + k];
        for (int64_t i = 0; i < n; i++) {
            const long double v = im->dtype == FW_U8
                                      ? (long double)((uint8_t *)im->pixels)[i * im->c + k]
                                      : (long double)((float *)im->pixels)[i * im->c + k];
            m2 += (v - sum / n) * (v - sum / n);
        }
        mean[k] = (double)(sum / n);
        std[k] = sqrt((double)(m2 / n));
    }
}

static void statistics(void **state)
{
    (void)state;
    for (int64_t c = 1; c <= FW_MAX_CHANNELS; c++)
        for (int type = 0; type < 2; type++) {
            fw_images im = random_images(13, 5, 7, c, type == 0 ? FW_U8 : FW_F32, 3);
            if (type == 1) /* far from zero, where squares minus squares would lose everything */
                for (int64_t i = 0; i < 13 * 35 * c; i++)
                    ((float *)im.pixels)[i] += 1e6f;
            double mean[FW_MAX_CHANNELS], std[FW_MAX_CHANNELS];
            direct(&im, mean, std);
            assert_ok(fw_images_stats(&im));
            for (int64_t k = 0; k < c; k++) {
                assert_true(std[k] > 1);
                assert_true(fabs((double)im.mean[k] - mean[k]) <= 6e-8 * fabs(mean[k]));
                assert_true(fabs((double)im.std[k] - std[k]) <= 1e-7 * std[k]);
            }
            fw_images_clear(&im);
        }
    fw_images im = {0};
    assert_fails(fw_images_stats(&im), FW_EARG, "no images");
    assert_fails(fw_images_stats(NULL), FW_EARG, "no images");
    im = random_images(2, 2, 2, 9, FW_U8, 0);
    assert_fails(fw_images_stats(&im), FW_EARG, "channels");
    im.c = 1;
    im.dtype = FW_F64;
    assert_fails(fw_images_stats(&im), FW_EARG, "f64");
    fw_images_clear(&im);
    fw_images_clear(&im);
    fw_images_clear(NULL);
}

static void split(void **state)
{
    (void)state;
    for (int64_t k = 2; k <= 6; k++) {
        fw_images im = random_images(11, 2, 3, 1, FW_U8, 4), train = {0}, test = {0};
        const fw_images same = random_images(11, 2, 3, 1, FW_U8, 4);
        assert_ok(fw_images_split_every(&im, k, &train, &test));
        assert_null(im.pixels);
        assert_int_equal(test.n, 11 / k);
        assert_int_equal(train.n, 11 - 11 / k);
        int64_t a = 0, b = 0;
        for (int64_t i = 0; i < 11; i++) {
            const fw_images *to = i % k == k - 1 ? &test : &train;
            const int64_t at = i % k == k - 1 ? b++ : a++;
            assert_memory_equal((uint8_t *)to->pixels + at * 6,
                                (const uint8_t *)same.pixels + i * 6, 6);
            assert_int_equal(to->labels[at], same.labels[i]);
        }
        assert_int_equal(train.n_classes, 4);
        assert_string_not_equal(train.source, test.source);
        assert_true(test.std[0] > 0);
        fw_images_clear(&train);
        fw_images_clear(&test);
        fw_images rest = same;
        fw_images_clear(&rest);
    }
    fw_images im = random_images(3, 2, 2, 1, FW_F32, 0), train = {0}, test = {0};
    assert_fails(fw_images_split_every(&im, 1, &train, &test), FW_EARG,
                 "holds 3 records: every record 1 (split_every) leaves the other part empty");
    assert_fails(fw_images_split_every(&im, 4, &train, &test), FW_EARG,
                 "holds 3 records: every record 4 (split_every) leaves that part empty");
    assert_non_null(im.pixels);
    assert_ok(fw_images_split_every(&im, 3, &train, &test));
    assert_null(train.labels);
    fw_images_clear(&train);
    fw_images_clear(&test);
}

static void take(void **state)
{
    (void)state;
    const fw_dtype types[] = {FW_U8, FW_F32};
    for (int t = 0; t < 2; t++) {
        fw_images im = random_images(11, 2, 3, 1, types[t], 4),
                  whole = random_images(11, 2, 3, 1, types[t], 4);
        const size_t kept = 7 * 6 * fw_dtype_size(types[t]);
        assert_fails(fw_images_take(&im, 0), FW_EARG,
                     "holds 11 records to train on, the first 0 were");
        assert_fails(fw_images_take(&im, 12), FW_EARG,
                     "holds 11 records to train on, the first 12 were");
        assert_int_equal(im.n, 11);
        assert_ok(fw_images_stats(&whole));
        assert_ok(fw_images_take(&im, 11)); /* all: only its name is another */
        assert_memory_equal(im.mean, whole.mean, sizeof im.mean);
        assert_ok(fw_images_take(&im, 7));
        assert_true(im.n == 7 && im.n_classes == 4);
        assert_memory_equal(im.pixels, whole.pixels, kept);
        assert_memory_equal(im.labels, whole.labels, 7 * sizeof *im.labels);
        assert_non_null(strstr(im.source, "the first 7 records"));
        /* what it says of itself is that of these seven */
        whole.n = 7;
        assert_ok(fw_images_stats(&whole));
        assert_memory_equal(im.mean, whole.mean, sizeof im.mean);
        assert_memory_equal(im.std, whole.std, sizeof im.std);
        char *const digest = fwi_images_digest(&whole);
        assert_string_equal(im.digest, digest);
        fwi_free(digest);
        fw_images_clear(&im);
        fw_images_clear(&whole);
    }
}

static void sizes(void **state)
{
    (void)state;
    size_t n = 0;
    assert_ok(fwi_images_check_size("f", 3, 5, 7, 2, &n));
    assert_int_equal(n, 210);
    assert_fails(fwi_images_check_size("f", 0, 5, 7, 2, &n), FW_ESHAPE, "f: holds no images");
    assert_fails(fwi_images_check_size("f", 3, 0, 7, 2, &n), FW_ESHAPE, "0 x 7 x 2");
    assert_fails(fwi_images_check_size("f", 3, 5, -1, 2, &n), FW_ESHAPE, "5 x -1 x 2");
    assert_fails(fwi_images_check_size("f", 3, 5, 7, 9, &n), FW_ESHAPE,
                 "images of 5 x 7 x 9 (height, width, channels): at most 8 channels");
    assert_fails(fwi_images_check_size("f", INT64_MAX, 5, 7, 1, &n), FW_ESHAPE, "too large");
    assert_fails(fwi_images_check_size("f", 1, INT64_MAX, INT64_MAX, 1, &n), FW_ESHAPE,
                 "too large");
}

static void digests(void **state)
{
    (void)state;
    fw_images im = random_images(3, 2, 2, 1, FW_U8, 2);
    char *a = fwi_images_digest(&im);
    im.labels[1] ^= 1;
    char *b = fwi_images_digest(&im);
    im.labels[1] ^= 1;
    ((uint8_t *)im.pixels)[11] ^= 1;
    char *c = fwi_images_digest(&im);
    assert_string_not_equal(a, b);
    assert_string_not_equal(a, c);
    assert_int_equal(strlen(a), 8);
    fwi_free(a);
    fwi_free(b);
    fwi_free(c);
    fw_images_clear(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics), cmocka_unit_test(split),   cmocka_unit_test(take),
        cmocka_unit_test(sizes),      cmocka_unit_test(digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
