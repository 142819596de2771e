/* Each transform against a version that computes one pixel at a time, from docs/augmentation.md. */
#include "data_support.h"

#include <math.h>

static const float MEAN[8] = {125.3f, 122.9f, 113.8f, 0.5f, 1, 2, 3, 4};
static const float STD[8] = {51.5f, 50.9f, 0.0f, 2.0f, 1, 5, 6, 7};

/* ---- the plain versions: x, y [h,w,c], never the same memory ---- */

static int64_t reflect(int64_t i, int64_t n)
{
    return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

static void plain_one(const fw_transform *t, int place, uint64_t seed, int64_t pass, int64_t record,
                      int64_t h, int64_t w, int64_t c, const float *x, float *y)
{
    uint32_t r[4];
    const fwi_purpose purpose = t->kind == FW_TRANSFORM_PAD_CROP ? FWI_RNG_CROP
                                : t->kind == FW_TRANSFORM_FLIP   ? FWI_RNG_FLIP
                                : t->kind == FW_TRANSFORM_CUTOUT ? FWI_RNG_CUTOUT
                                                                 : FWI_RNG_JITTER;
    const bool odd = pass % 2 == 1;
    fwi_rng_block(seed, purpose, t->alternating ? 0 : (uint32_t)pass, (uint64_t)record,
                  (uint32_t)place, r);
    for (int64_t i = 0; i < h; i++)
        for (int64_t j = 0; j < w; j++)
            for (int64_t k = 0; k < c; k++) {
                int64_t si = i, sj = j;
                if (t->kind == FW_TRANSFORM_PAD_CROP) {
                    const uint32_t places = (uint32_t)(2 * t->h + 1);
                    si = reflect(i + (int64_t)fwi_below(r[0], places) - t->h, h);
                    sj = reflect(j + (int64_t)fwi_below(r[1], places) - t->h, w);
                } else if (t->kind == FW_TRANSFORM_FLIP) {
                    if (t->dihedral)
                        for (uint32_t q = fwi_below(r[1], 4); q > 0; q--) {
                            const int64_t turned = w - 1 - si;
                            si = sj;
                            sj = turned;
                        }
                    if ((fwi_below(r[0], 2) == 1) !=
                        (t->alternating && odd)) /* applied first, so undone last */
                        sj = w - 1 - sj;
                }
                float v = x[(si * w + sj) * c + k];
                if (t->kind == FW_TRANSFORM_STANDARDIZE)
                    v = (v - t->mean[k]) / (t->std[k] > 0 ? t->std[k] : 1.0f);
                if (t->kind == FW_TRANSFORM_CUTOUT) {
                    const int64_t top = fwi_below(r[0], (uint32_t)(h - t->h + 1));
                    const int64_t left = fwi_below(r[1], (uint32_t)(w - t->w + 1));
                    if (i >= top && i < top + t->h && j >= left && j < left + t->w)
                        v = 0.0f;
                }
                if (t->kind == FW_TRANSFORM_COLOR_JITTER) {
                    const double u = (double)(r[0] >> 8) / 16777216, v1 = (double)(r[1] >> 8);
                    v = v + (float)(t->brightness * (2 * u - 1));
                    v = v * (float)(1 + t->contrast * (2 * (v1 / 16777216) - 1));
                }
                y[(i * w + j) * c + k] = v;
            }
}

static void plain_chain(const fw_transform *list, uint64_t seed, int64_t pass, int64_t record,
                        fw_dtype dtype, int64_t h, int64_t w, int64_t c, const void *in, float *out)
{
    const int64_t n = h * w * c;
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        out[i] = dtype == FW_U8 ? (float)((const uint8_t *)in)[i] : ((const float *)in)[i];
    for (int place = 0; list[place].kind != FW_TRANSFORM_NONE; place++) {
        memcpy(x, out, (size_t)n * sizeof *x);
        plain_one(&list[place], place, seed, pass, record, h, w, c, x, out);
    }
    free(x);
}

static void compare(const fw_transform *list, int64_t h, int64_t w, int64_t c, int64_t n_records)
{
    for (int kind = 0; kind < 2; kind++) {
        const fw_dtype dtype = kind == 0 ? FW_U8 : FW_F32;
        fw_images im = random_images(1, h, w, c, dtype);
        const size_t bytes = (size_t)(h * w * c) * sizeof(float);
        float *want = malloc(bytes), *got = malloc(bytes);
        for (int64_t record = 0; record < n_records; record++) {
            const uint64_t seed = 77 + ((uint64_t)record << 40);
            plain_chain(list, seed, record % 3, record, dtype, h, w, c, im.pixels, want);
            assert_ok(fw_transform_apply(list, seed, record % 3, record, dtype, h, w, c, im.pixels,
                                         3, got));
            assert_memory_equal(want, got, bytes);
        }
        free(want);
        free(got);
        free_images(&im);
    }
}

static void test_each_alone(void **state)
{
    (void)state;
    const fw_transform one[] = {
        fw_standardize(3, MEAN, STD), fw_random_pad_crop(4), fw_random_flip(),
        fw_alternating_flip(),        fw_cutout(8, 5),       fw_color_jitter(0.1399, 0.1308)};
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
        const fw_transform list[] = {one[i], FW_TRANSFORM_END};
        compare(list, 32, 32, 3, 40);
        compare(list, 9, 17, 3, 40);
    }
    const fw_transform none[] = {FW_TRANSFORM_END};
    compare(none, 5, 4, 2, 1);
    for (int64_t c = 1; c <= 8; c++) {
        const fw_transform list[] = {fw_random_dihedral(), fw_standardize(c, MEAN, STD),
                                     FW_TRANSFORM_END};
        compare(list, 7, 7, c, 40);
    }
}

static void test_chains(void **state)
{
    (void)state;
    const fw_transform usual[] = {fw_standardize(3, MEAN, STD), fw_random_pad_crop(4),
                                  fw_random_flip(), fw_cutout(8, 8), FW_TRANSFORM_END};
    compare(usual, 32, 32, 3, 100);
    const fw_transform airbench[] = {fw_standardize(3, MEAN, STD), fw_alternating_flip(),
                                     fw_random_pad_crop(2), FW_TRANSFORM_END};
    compare(airbench, 32, 32, 3, 100);
    const fw_transform hiverge[] = {fw_standardize(3, MEAN, STD),    fw_alternating_flip(),
                                    fw_random_pad_crop(2),           fw_cutout(4, 4),
                                    fw_color_jitter(0.1399, 0.1308), FW_TRANSFORM_END};
    compare(hiverge, 32, 32, 3, 100);
    /* jittered images that are cut, moved and jittered again */
    const fw_transform jitters[] = {fw_color_jitter(1, 1),   fw_cutout(2, 3),
                                    fw_color_jitter(0, 0.5), fw_random_pad_crop(3),
                                    fw_color_jitter(0.5, 0), FW_TRANSFORM_END};
    compare(jitters, 5, 7, 2, 50);
    /* holes that are moved, reflected, turned and standardised afterwards; two crops in a row */
    const fw_transform odd[] = {fw_random_flip(),
                                fw_cutout(3, 4),
                                fw_random_pad_crop(2),
                                fw_random_dihedral(),
                                fw_standardize(2, MEAN, STD),
                                fw_random_pad_crop(6),
                                fw_standardize(2, STD, MEAN),
                                fw_cutout(1, 11),
                                fw_cutout(11, 1),
                                fw_standardize(2, MEAN, STD),
                                fw_random_dihedral(),
                                FW_TRANSFORM_END};
    compare(odd, 11, 11, 2, 200);
    const fw_transform largest[] = {fw_random_pad_crop(4), fw_cutout(5, 6), FW_TRANSFORM_END};
    compare(largest, 5, 6, 1, 30);
    const fw_transform pixel[] = {fw_random_pad_crop(0), fw_random_dihedral(), FW_TRANSFORM_END};
    compare(pixel, 1, 1, 1, 5);
}

static void test_standardize_values(void **state)
{
    (void)state;
    const float mean[3] = {10, 0, 1}, std[3] = {2, 0, 4};
    const uint8_t in[6] = {10, 7, 255, 0, 0, 3};
    const float want[6] = {0, 7, 63.5f, -5, 0, 0.5f}; /* a std of 0 divides by 1 */
    float got[6];
    const fw_transform list[] = {fw_standardize(3, mean, std), FW_TRANSFORM_END};
    assert_ok(fw_transform_apply(list, 0, 0, 0, FW_U8, 1, 2, 3, in, 0, got));
    assert_memory_equal(want, got, sizeof want);
}

static void test_dihedral_covers_all(void **state)
{
    (void)state;
    const uint8_t in[4] = {0, 1, 2, 3}; /* all 8 symmetries of a 2x2 square differ */
    const fw_transform list[] = {fw_random_dihedral(), FW_TRANSFORM_END};
    int seen[256] = {0}, kinds = 0;
    for (int64_t record = 0; record < 400; record++) {
        float out[4];
        assert_ok(fw_transform_apply(list, 5, 0, record, FW_U8, 2, 2, 1, in, 0, out));
        const int code = (int)(out[0] + 4 * out[1] + 16 * out[2] + 64 * out[3]);
        assert_true(code >= 0 && code < 256);
        assert_int_equal((int)(out[0] + out[3]), 3); /* opposite corners stay opposite */
        kinds += seen[code]++ == 0;
    }
    assert_int_equal(kinds, 8);
    for (int code = 0; code < 256; code++)
        assert_true(seen[code] == 0 || (seen[code] > 25 && seen[code] < 80));
}

static void test_flip_is_fair_and_crops_are_all_there(void **state)
{
    (void)state;
    const uint8_t row[2] = {0, 1};
    const fw_transform flip[] = {fw_random_flip(), FW_TRANSFORM_END};
    int flipped = 0;
    for (int64_t record = 0; record < 1000; record++) {
        float out[2];
        assert_ok(fw_transform_apply(flip, 9, 1, record, FW_U8, 1, 2, 1, row, 0, out));
        flipped += out[0] > out[1];
    }
    assert_in_range(flipped, 430, 570);
    uint8_t image[16 * 16];
    for (int i = 0; i < 256; i++)
        image[i] = (uint8_t)i;
    const fw_transform crop[] = {fw_random_pad_crop(4), FW_TRANSFORM_END};
    int seen[81] = {0}, places = 0;
    for (int64_t record = 0; record < 2000; record++) {
        float out[16 * 16];
        assert_ok(fw_transform_apply(crop, 9, 1, record, FW_U8, 16, 16, 1, image, 0, out));
        const int middle = (int)out[8 * 16 + 8], dy = middle / 16 - 4, dx = middle % 16 - 4;
        places += seen[dy * 9 + dx]++ == 0;
    }
    assert_int_equal(places, 81);
}

/* bit, pass -> mirrored: 0 0 no, 0 1 yes, 1 0 yes, 1 1 no; the bit is the record's for ever. */
static void test_alternating_flip(void **state)
{
    (void)state;
    const uint8_t row[2] = {0, 1};
    const fw_transform list[] = {fw_alternating_flip(), FW_TRANSFORM_END};
    int bits = 0;
    for (int64_t record = 0; record < 1000; record++) {
        uint32_t words[4];
        fwi_rng_block(9, FWI_RNG_FLIP, 0, (uint64_t)record, 0, words);
        const bool bit = words[0] >> 31 == 1;
        bits += bit;
        for (int64_t pass = 0; pass < 5; pass++) {
            float out[2];
            assert_ok(fw_transform_apply(list, 9, pass, record, FW_U8, 1, 2, 1, row, 0, out));
            assert_int_equal(out[0] > out[1], bit ? pass % 2 == 0 : pass % 2 == 1);
        }
    }
    assert_in_range(bits, 430, 570);
}

/* One b and one m for all values of an image, anew in each pass, within their ranges and all over
 * them. */
static void test_color_jitter(void **state)
{
    (void)state;
    const float in[3] = {0, 1, -2};
    const fw_transform list[] = {fw_color_jitter(0.25, 0.5), FW_TRANSFORM_END};
    const fw_transform none[] = {fw_color_jitter(0, 0), FW_TRANSFORM_END};
    double sum_b = 0, sum_m = 0, low_b = 1, high_b = -1, low_m = 9, high_m = 0;
    enum { N = 1000 };
    for (int64_t i = 0; i < N; i++) {
        float out[3], again[3];
        assert_ok(fw_transform_apply(list, 9, i % 7, i, FW_F32, 1, 3, 1, in, 0, out));
        const double m = (double)out[1] - (double)out[0], b = (double)out[0] / m;
        assert_true(fabs((b - 2) * m - (double)out[2]) < 1e-6);
        assert_true(b > -0.250001 && b < 0.250001 && m > 0.499999 && m < 1.500001);
        sum_b += b;
        sum_m += m;
        low_b = fmin(low_b, b);
        high_b = fmax(high_b, b);
        low_m = fmin(low_m, m);
        high_m = fmax(high_m, m);
        assert_ok(fw_transform_apply(list, 9, i % 7 + 1, i, FW_F32, 1, 3, 1, in, 0, again));
        assert_memory_not_equal(out, again, sizeof out);
        assert_ok(fw_transform_apply(none, 9, i % 7, i, FW_F32, 1, 3, 1, in, 0, out));
        assert_memory_equal(out, in, sizeof out);
    }
    /* five standard errors of a uniform number's mean: width / sqrt(12 N) */
    assert_true(fabs(sum_b / N) < 5 * 0.5 / sqrt(12.0 * N));
    assert_true(fabs(sum_m / N - 1) < 5 * 1.0 / sqrt(12.0 * N));
    assert_true(low_b < -0.24 && high_b > 0.24 && low_m < 0.52 && high_m > 1.48);
}

/* ---- the caller's own ---- */

typedef struct seen_sample {
    fw_sample s;
    int calls;
    fw_status answer;
} seen_sample;

static fw_status add_label(void *user, fw_sample *s)
{
    seen_sample *seen = user;
    seen->s = *s;
    seen->calls++;
    for (int64_t i = 0; i < s->h * s->w * s->c; i++)
        s->image[i] += (float)s->label;
    return seen->answer;
}

static void test_user(void **state)
{
    (void)state;
    seen_sample seen = {.answer = FW_OK};
    const uint8_t in[6] = {1, 2, 3, 4, 5, 6};
    float out[6];
    const fw_transform list[] = {fw_cutout(1, 1), fw_user_transform(add_label, &seen),
                                 fw_user_transform(add_label, &seen), FW_TRANSFORM_END};
    assert_ok(fw_transform_apply(list, 11, 4, 9, FW_U8, 2, 3, 1, in, 20, out));
    assert_int_equal(seen.calls, 2);
    assert_int_equal(seen.s.h, 2);
    assert_int_equal(seen.s.w, 3);
    assert_int_equal(seen.s.c, 1);
    assert_int_equal(seen.s.label, 20);
    assert_int_equal(seen.s.record, 9);
    assert_int_equal(seen.s.pass, 4);
    uint32_t want[8];
    fwi_rng_block(11, FWI_RNG_USER, 4, 9, 2, want);
    fwi_rng_block(11, FWI_RNG_USER, 4, 9, 2 + (1 << 23), want + 4);
    assert_memory_equal(want, seen.s.words, sizeof want);
    int holes = 0;
    for (int i = 0; i < 6; i++) {
        holes += out[i] == 40.0f;
        assert_true(out[i] == 40.0f || out[i] == (float)in[i] + 40.0f);
    }
    assert_int_equal(holes, 1);
    seen.answer = FW_EIO;
    assert_fails(fw_transform_apply(list, 11, 4, 9, FW_U8, 2, 3, 1, in, 20, out), FW_EIO,
                 "transform 1, the caller's own, returned FW_EIO");
    seen.answer = FW_END; /* would end the data set */
    float both[12] = {0};
    assert_fails(fw_transform_apply(NULL, 0, 0, 0, FW_F32, 2, 3, 1, both, 0, both + 5), FW_EARG,
                 "in and out overlap");
    assert_ok(fw_transform_apply(NULL, 0, 0, 0, FW_F32, 2, 3, 1, both, 0, both + 6));
    assert_fails(fw_transform_apply(list, 11, 4, 9, FW_U8, 2, 3, 1, in, 20, out), FW_EARG,
                 "FW_END");
}

/* A list that begins with one still converts first. */
static void test_user_first(void **state)
{
    (void)state;
    seen_sample seen = {.answer = FW_OK};
    const uint8_t in[2] = {7, 9};
    float out[2];
    const fw_transform list[] = {fw_user_transform(add_label, &seen), fw_random_pad_crop(0),
                                 FW_TRANSFORM_END};
    assert_ok(fw_transform_apply(list, 0, 0, 0, FW_U8, 1, 2, 1, in, 1, out));
    assert_true(out[0] == 8.0f && out[1] == 10.0f);
}

/* ---- refusals ---- */

static void refuse(fw_transform t, int64_t h, int64_t w, int64_t c, fw_status st, const char *text)
{
    const fw_transform list[] = {fw_random_flip(), t, FW_TRANSFORM_END};
    fw_images im = random_images(1, h, w, c, FW_U8);
    float *out = malloc((size_t)(h * w * c) * sizeof *out);
    assert_fails(fw_transform_apply(list, 0, 0, 0, FW_U8, h, w, c, im.pixels, 0, out), st, text);
    assert_fails(fw_transform_apply(list, 0, 0, 0, FW_U8, h, w, c, im.pixels, 0, out), st,
                 "transform 1");
    fw_dataset *ds = NULL;
    assert_fails(fw_array_dataset(&ds, &im, list, &(fw_dataset_opt){.batch = 1}), st, text);
    assert_null(ds);
    free(out);
    free_images(&im);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse(fw_random_pad_crop(4), 4, 9, 1, FW_ESHAPE, "too small to reflect 4 pixels");
    refuse(fw_random_pad_crop(4), 9, 4, 1, FW_ESHAPE, "too small");
    refuse(fw_random_pad_crop(-1), 9, 9, 1, FW_EARG, "negative");
    refuse(fw_random_pad_crop(INT64_MAX), 9, 9, 1, FW_ESHAPE, "too small");
    refuse((fw_transform){.kind = FW_TRANSFORM_FLIP, .dihedral = true, .alternating = true}, 4, 4,
           1, FW_EARG, "dihedral or alternating");
    refuse(fw_random_dihedral(), 4, 5, 1, FW_ESHAPE, "square");
    refuse(fw_cutout(5, 1), 4, 4, 1, FW_ESHAPE, "5x1 is larger than the image of 4x4");
    refuse(fw_cutout(1, 5), 4, 4, 1, FW_ESHAPE, "larger");
    refuse(fw_cutout(0, 1), 4, 4, 1, FW_EARG, "0x1");
    refuse(fw_color_jitter(-0.1, 0), 4, 4, 1, FW_EARG, "brightness -0.1");
    refuse(fw_color_jitter(NAN, 0), 4, 4, 1, FW_EARG, "brightness");
    refuse(fw_color_jitter(0, 1.5), 4, 4, 1, FW_EARG, "contrast 1.5");
    refuse(fw_standardize(3, MEAN, STD), 4, 4, 1, FW_ESHAPE, "3 channels, images have 1");
    refuse(fw_standardize(3, NULL, STD), 4, 4, 3, FW_EARG, "NULL");
    const float bad[3] = {1, NAN, 1}, negative[3] = {1, 1, -1};
    refuse(fw_standardize(3, bad, STD), 4, 4, 3, FW_EARG, "channel 1");
    refuse(fw_standardize(3, MEAN, negative), 4, 4, 3, FW_EARG, "channel 2");
    refuse(fw_user_transform(NULL, NULL), 4, 4, 3, FW_EARG, "NULL");
    refuse((fw_transform){.kind = (fw_transform_kind)99}, 4, 4, 3, FW_EARG, "kind 99");
    float out[4];
    const uint8_t in[4] = {0};
    assert_fails(fw_transform_apply(NULL, 0, 0, 0, FW_F64, 2, 2, 1, in, 0, out), FW_EARG, "f64");
    assert_fails(fw_transform_apply(NULL, 0, 0, 0, FW_U8, 0, 2, 1, in, 0, out), FW_ESHAPE, "0x2x1");
    assert_fails(fw_transform_apply(NULL, 0, 0, 0, FW_U8, INT64_MAX, 2, 1, in, 0, out), FW_ESHAPE,
                 "images of");
    assert_fails(fw_transform_apply(NULL, 0, 0, 0, FW_U8, 1, 1, 9, in, 0, out), FW_ESHAPE,
                 "channels at most 8");
    assert_fails(fw_transform_apply(NULL, 0, -1, 0, FW_U8, 1, 1, 1, in, 0, out), FW_EARG, "pass");
    assert_fails(fw_transform_apply(NULL, 0, 0, 0, FW_U8, 1, 1, 1, NULL, 0, out), FW_EARG, "NULL");
    fw_transform endless[80];
    for (int i = 0; i < 80; i++)
        endless[i] = fw_random_flip();
    assert_fails(fw_transform_apply(endless, 0, 0, 0, FW_U8, 1, 1, 1, in, 0, out), FW_EARG,
                 "FW_TRANSFORM_END");
}

static void test_out_of_memory(void **state)
{
    (void)state;
    const uint8_t in[3] = {0};
    float out[3];
    const fw_transform list[] = {fw_standardize(3, MEAN, STD), FW_TRANSFORM_END};
    int failures = 0;
    for (int64_t n = 1;; n++) {
        fwi_mem_fail_at(n);
        const fw_status st = fw_transform_apply(list, 0, 0, 0, FW_U8, 1, 1, 3, in, 0, out);
        fwi_mem_fail_at(0);
        if (st == FW_OK)
            break;
        assert_int_equal(st, FW_ENOMEM);
        failures++;
    }
    assert_in_range(failures, 4, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_alone),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_standardize_values),
        cmocka_unit_test(test_dihedral_covers_all),
        cmocka_unit_test(test_flip_is_fair_and_crops_are_all_there),
        cmocka_unit_test(test_alternating_flip),
        cmocka_unit_test(test_color_jitter),
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_user_first),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("transform", tests, NULL, NULL);
}
