/* Views of evaluation, one pixel at a time, and what is counted from their logits. (ctest: tsan) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "mem.h"
#include "tta_select.h"

/* The image with a border of one pixel, reflected: [h+2,w+2]. */
static void pad_by_one(int64_t h, int64_t w, const float *in, float *out)
{
    for (int64_t y = -1; y <= h; y++)
        for (int64_t x = -1; x <= w; x++) {
            const int64_t sy = y < 0 ? 1 : y == h ? h - 2 : y;
            const int64_t sx = x < 0 ? 1 : x == w ? w - 2 : x;
            out[(y + 1) * (w + 2) + x + 1] = in[sy * w + sx];
        }
}

/* Crops at (0,0), (1,1) and (2,2) of the padded image, then their mirror images. */
static void views_are_crops_of_the_padded_image(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{2, 2}, {5, 4}, {8, 9}};
    fwi_pool *pool = NULL;
    assert_int_equal(fwi_pool_new(&pool, 3), FW_OK);
    int n = 0;
    const fwi_view *views = fwi_tta_views(FW_TTA_AIRBENCH6, &n);
    assert_int_equal(n, 6);
    for (size_t s = 0; s < 3; s++) {
        enum { IMAGES = 3 };
        const int64_t h = sizes[s][0], w = sizes[s][1];
        float in[IMAGES * 72], two[2 * IMAGES * 72], out[2 * IMAGES * 72], padded[110];
        for (int64_t i = 0; i < IMAGES * h * w; i++) {
            in[i] = (float)i;
            two[2 * i] = (float)i; /* the same with a second channel */
            two[2 * i + 1] = -(float)i;
        }
        for (int v = 0; v < n; v++)
            for (int64_t c = 1; c <= 2; c++) {
                fwi_view_make(&views[v], c == 1 ? NULL : pool, IMAGES, h, w, c, c == 1 ? in : two,
                              out);
                for (int64_t i = 0; i < IMAGES; i++) {
                    pad_by_one(h, w, in + i * h * w, padded);
                    for (int64_t y = 0; y < h; y++)
                        for (int64_t x = 0; x < w; x++) {
                            const int64_t at = views[v].mirrored ? w - 1 - x : x;
                            const int64_t crop = views[v].shift + 1;
                            const float want = padded[(y + crop) * (w + 2) + at + crop];
                            const float *got = out + ((i * h + y) * w + x) * c;
                            assert_true(got[0] == want && (c == 1 || got[1] == -want));
                        }
                }
            }
    }
    fwi_pool_free(pool);
}

static void weights_are_those_of_the_kinds(void **state)
{
    (void)state;
    static const struct {
        fw_tta kind;
        int n;
    } kinds[] = {
        {FW_TTA_NONE, 1}, {FW_TTA_MIRROR, 2}, {FW_TTA_AIRBENCH6, 6}, {FW_TTA_SELECTIVE, 6}};
    for (size_t i = 0; i < 4; i++) {
        int n = 0;
        const fwi_view *v = fwi_tta_views(kinds[i].kind, &n);
        assert_int_equal(n, kinds[i].n);
        assert_true(n <= FWI_TTA_MAX_VIEWS);
        assert_true(v[0].shift == 0 && !v[0].mirrored);
        double sum = 0, mirrored = 0, shifted = 0;
        for (int k = 0; k < n; k++) {
            sum += v[k].weight;
            mirrored += v[k].mirrored ? v[k].weight : 0;
            shifted += v[k].shift * v[k].weight;
        }
        assert_true(fabs(sum - 1) < 1e-15 && fabs(shifted) < 1e-15);
        assert_true(fabs(mirrored - (n == 1 ? 0 : 0.5)) < 1e-15);
    }
    int n = 7;
    assert_null(fwi_tta_views((fw_tta)4, &n));
    assert_int_equal(n, 0);
    /* the same views as airbench6's, in its order, all alike */
    int m = 0;
    const fwi_view *six = fwi_tta_views(FW_TTA_AIRBENCH6, &n);
    const fwi_view *same = fwi_tta_views(FW_TTA_SELECTIVE, &m);
    assert_int_equal(n, m);
    for (int k = 0; k < n; k++) {
        assert_true(same[k].weight == 1.0 / 6);
        assert_true(same[k].shift == six[k].shift && same[k].mirrored == six[k].mirrored);
    }
}

static void rows_are_counted(void **state)
{
    (void)state;
    double sum[9] = {1, 2, 3, 5, 5, 1, 1000, 0, -1000}, plain[9] = {9, 2, 3, 1, 5, 1, 0, 0, 1};
    const fwi_tta t = {
        .kind = FW_TTA_MIRROR, .batch = 3, .n_classes = 3, .sum = sum, .plain = plain};
    const int32_t labels[3] = {2, 0, 2};
    const int64_t records[3] = {10, 11, 12};
    int64_t confusion[9] = {0};
    fwi_tally tally = {0};
    assert_int_equal(fwi_tta_count(&t, labels, records, 3, 0, confusion, &tally), FW_OK);
    assert_int_equal(tally.correct, 2); /* the first of equals counts */
    assert_int_equal(tally.correct_plain, 1);
    assert_int_equal(tally.records, 3);
    assert_int_equal(tally.forwards, 6);
    const double one = -log(exp(3) / (exp(1) + exp(2) + exp(3)));
    const double two = -log(exp(5) / (2 * exp(5) + exp(1)));
    assert_true(fabs(tally.loss - (one + two + 2000)) < 1e-9);
    assert_true(confusion[2 * 3 + 2] == 1 && confusion[0] == 1 && confusion[2 * 3] == 1);
    /* smoothing: a share e of the loss is the mean over all classes */
    fwi_tally smooth = {0};
    assert_int_equal(fwi_tta_count(&t, labels, records, 1, 0.3, NULL, &smooth), FW_OK);
    assert_true(fabs(smooth.loss - (0.7 * one + 0.3 * (one + (one + 1) + (one + 2)) / 3)) < 1e-12);
    /* a NaN among the logits: no class, not even the first */
    double odd[3] = {1, NAN, 0};
    const fwi_tta with_nan = {
        .kind = FW_TTA_MIRROR, .batch = 1, .n_classes = 3, .sum = odd, .plain = odd};
    const int32_t first[1] = {0};
    int64_t untouched[9] = {0};
    fwi_tally none_right = {0};
    assert_int_equal(fwi_tta_count(&with_nan, first, records, 1, 0, untouched, &none_right), FW_OK);
    assert_true(isnan(none_right.loss));
    assert_int_equal(none_right.correct + none_right.correct_plain, 0);
    assert_int_equal(none_right.records, 1);
    assert_int_equal(untouched[0], 0);
    const int32_t bad[2] = {0, 3};
    assert_int_equal(fwi_tta_count(&t, bad, records, 2, 0, NULL, &smooth), FW_EARG);
    assert_string_equal(fw_last_error(), "record 11: label 3, the model has 3 classes");
    const int32_t none[1] = {-1};
    assert_int_equal(fwi_tta_count(&t, none, records, 1, 0, NULL, &smooth), FW_EARG);
}

/* The quarter, rounded down, with the lowest confidence; of equals the smaller record, wherever it
 * stands; what is no number first of all. */
static void the_least_certain_are_chosen(void **state)
{
    (void)state;
    enum { MOST = 13 };
    fwi_selective s = {0};
    assert_int_equal(fwi_selective_prepare(&s, MOST, 4, 2, 2, 1, 3), FW_OK);
    static const double confidence[MOST] = {0.9, 0.5, 0.5, 0.7, 0.5,  0.5, 0.8,
                                            1.0, 0.4, 0.9, 0.6, 0.95, 0.5};
    static const int64_t record[MOST] = {0, 12, 2, 3, 4, 1, 6, 7, 8, 9, 10, 11, 5};
    static const struct {
        int64_t n, chosen, rows[3];
    } cases[] = {{0, 0, {0}}, {3, 0, {0}}, {4, 1, {2}}, {8, 2, {5, 2}}, {13, 3, {8, 5, 2}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        s.n = cases[i].n;
        for (int64_t k = 0; k < s.n; k++)
            s.candidates[k] =
                (fwi_candidate){.confidence = confidence[k], .record = record[k], .row = k};
        assert_int_equal(fwi_selective_choose(&s), cases[i].chosen);
        int64_t marked = 0;
        for (int64_t k = 0; k < s.n; k++)
            marked += s.chosen[k];
        assert_int_equal(marked, cases[i].chosen);
        for (int64_t k = 0; k < cases[i].chosen; k++)
            assert_int_equal(s.chosen[cases[i].rows[k]], 1);
    }
    s.n = 4;
    for (int64_t k = 0; k < 4; k++)
        s.candidates[k] = (fwi_candidate){.confidence = k == 3 ? NAN : 0.5, .record = k, .row = k};
    assert_int_equal(fwi_selective_choose(&s), 1);
    assert_int_equal(s.chosen[3], 1);
    /* room: the same again is nothing new; what fails leaves nothing */
    const float *images = s.images;
    assert_int_equal(fwi_selective_prepare(&s, MOST, 4, 2, 2, 1, 3), FW_OK);
    assert_ptr_equal(s.images, images);
    for (int64_t n = 1; n <= 11; n++) {
        fwi_mem_fail_at(n);
        assert_int_equal(fwi_selective_prepare(&s, MOST, 5, 2, 2, 1, 3), FW_ENOMEM);
        fwi_mem_fail_at(0);
        assert_null(s.images);
    }
    assert_int_equal(
        fwi_selective_bytes(10, 4, 2, 2, 1, 3),
        10 * (2 * 3 * 8 + (int64_t)(sizeof(fwi_candidate) + sizeof(fwi_verdict)) + 13) +
            4 * (16 + 36) + 8);
    fwi_selective_clear(&s);
}

static void room_is_made_and_refused(void **state)
{
    (void)state;
    fwi_tta t = {0};
    assert_int_equal(fwi_tta_prepare(&t, FW_TTA_AIRBENCH6, 3, 1, 8, 3, 10), FW_ESHAPE);
    assert_non_null(strstr(fw_last_error(), "images of 1 x 8 are too small"));
    assert_null(t.view);
    assert_int_equal(fwi_tta_prepare(&t, (fw_tta)9, 3, 8, 8, 3, 10), FW_EARG);
    assert_int_equal(fwi_tta_prepare(&t, FW_TTA_MIRROR, 3, 1, 8, 3, 10), FW_OK);
    const float *view = t.view;
    assert_int_equal(fwi_tta_prepare(&t, FW_TTA_MIRROR, 3, 1, 8, 3, 10), FW_OK);
    assert_ptr_equal(t.view, view); /* there is room already */
    assert_int_equal(fwi_tta_prepare(&t, FW_TTA_MIRROR, 4, 1, 8, 3, 10), FW_OK);
    assert_int_equal(t.batch, 4);
    assert_int_equal(fwi_tta_bytes(FW_TTA_MIRROR, 4, 1, 8, 3, 10), 4 * 24 * 4 + 3 * 4 * 10 * 8);
    assert_int_equal(fwi_tta_bytes(FW_TTA_NONE, 4, 1, 8, 3, 10), 0);
    for (int64_t n = 1; n <= 4; n++) {
        fwi_mem_fail_at(n);
        assert_int_equal(fwi_tta_prepare(&t, FW_TTA_MIRROR, 5, 1, 8, 3, 10), FW_ENOMEM);
        fwi_mem_fail_at(0);
        assert_null(t.view);
    }
    fwi_tta_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_are_crops_of_the_padded_image),
        cmocka_unit_test(weights_are_those_of_the_kinds),
        cmocka_unit_test(rows_are_counted),
        cmocka_unit_test(the_least_certain_are_chosen),
        cmocka_unit_test(room_is_made_and_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
