/* test_augment.c: transforms as a GPU does them, under emulation, against the host's: the same bits
 * for every transform, in every order tried, for images of several shapes; and the views of an
 * evaluation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FWI_CUDA_EMULATED
#include "cuda_augment.h"
#include "tta.h"

#include <stdlib.h>
#include <string.h>

enum { N = 9, RECORDS = 5, MOST = 12 * 12 * 3 };

static uint8_t images[RECORDS * MOST];
static float got[N * MOST], want[MOST];
static int32_t got_labels[N + 1];

/* Places, records and passes of a batch; the last row is none. Records are not places: a fold's are
 * not, for one. */
static void rows_of(int64_t rows[3 * N + 1])
{
    rows[3 * N] = 77;
    for (int i = 0; i < N; i++) {
        rows[i] = (i * 3 + 1) % RECORDS;
        rows[N + i] = 2 * rows[i] + 7;
        rows[2 * N + i] = i / 2;
    }
    rows[N - 1] = rows[2 * N - 1] = -1;
}

static void make(const fw_transform *list, int64_t h, int64_t w, int64_t c, const fwi_view *view,
                 int64_t rows[3 * N + 1])
{
    static const int32_t labels[RECORDS] = {3, 1, 4, 0, 5};
    for (int64_t i = 0; i < RECORDS * h * w * c; i++)
        images[i] = (uint8_t)(i * 37 + i / 11);
    memset(got, 0xFF, sizeof got);
    memset(got_labels, 0x55, sizeof got_labels);
    rows_of(rows);
    fwi_augment a;
    assert_int_equal(fwi_augment_make(&a, list, h, w, c), FW_OK);
    if (view != NULL)
        fwi_augment_view(&a, view->shift, view->mirrored);
    const fwi_batch_job job = {.how = &a,
                               .images = images,
                               .labels = labels,
                               .rows = rows,
                               .n = N,
                               .out = got,
                               .out_labels = got_labels};
    assert_int_equal(fwi_cuda_augment(NULL, &job), FW_OK);
    for (int i = 0; i < N; i++)
        assert_int_equal(got_labels[i], rows[i] < 0 ? -1 : labels[rows[i]]);
    assert_int_equal(got_labels[N], 0x55555555);
}

static void check(const fw_transform *list, int64_t h, int64_t w, int64_t c)
{
    const int64_t size = h * w * c;
    int64_t rows[3 * N + 1];
    make(list, h, w, c, NULL, rows);
    for (int i = 0; i < N - 1; i++) {
        assert_int_equal(fw_transform_apply(list, 77, rows[2 * N + i], rows[N + i], FW_U8, h, w, c,
                                            images + rows[i] * size, 0, want),
                         FW_OK);
        if (memcmp(got + i * size, want, (size_t)size * sizeof *want) != 0)
            fail_msg("%d x %d x %d, first transform %d: image %d differs", (int)h, (int)w, (int)c,
                     (int)list[0].kind, i);
    }
    for (int64_t i = 0; i < size; i++) /* a row that is no record */
        assert_true(got[(N - 1) * size + i] == 0);
    for (int64_t i = N * size; i < N * MOST; i++)
        assert_true(got[i] != got[i]); /* nothing behind the batch was written */
}

static void test_views(void **state)
{
    (void)state;
    enum { H = 6, W = 5, C = 3, SIZE = H * W * C };
    static const float mean[] = {120, 60.5f, 7}, std[] = {64, 3.25f, 9};
    static float plain[N * SIZE], shown[N * SIZE];
    const fw_transform list[] = {fw_standardize(C, mean, std), fw_cutout(3, 2), FW_TRANSFORM_END};
    int64_t rows[3 * N + 1];
    int n = 0;
    const fwi_view *views = fwi_tta_views(FW_TTA_AIRBENCH6, &n);
    make(list, H, W, C, NULL, rows);
    memcpy(plain, got, sizeof plain);
    for (int i = 0; i < n; i++) {
        fwi_view_make(&views[i], NULL, N, H, W, C, plain, shown);
        make(list, H, W, C, &views[i], rows);
        assert_memory_equal(got, shown, sizeof shown);
    }
}

static void test_each(void **state)
{
    (void)state;
    static const float mean[] = {120, 60.5f, 7}, std[] = {64, 3.25f, 0};
    const fw_transform one[] = {
        fw_standardize(3, mean, std), fw_random_pad_crop(2), fw_random_flip(),
        fw_alternating_flip(),        fw_cutout(3, 4),       fw_color_jitter(0.1399, 0.1308)};
    for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
        const fw_transform list[] = {one[i], FW_TRANSFORM_END};
        check(list, 12, 11, 3);
        check(list, 5, 7, 3);
    }
    const fw_transform turn[] = {fw_random_dihedral(), FW_TRANSFORM_END};
    check(turn, 12, 12, 3);
    check(turn, 7, 7, 1);
    const fw_transform none[] = {FW_TRANSFORM_END};
    check(none, 4, 6, 2);
}

static void test_lists(void **state)
{
    (void)state;
    static const float mean[] = {120, 60.5f, 7}, std[] = {64, 3.25f, 9};
    const fw_transform usual[] = {fw_standardize(3, mean, std), fw_random_pad_crop(4),
                                  fw_random_flip(), fw_cutout(5, 5), FW_TRANSFORM_END};
    const fw_transform odd[] = {
        fw_cutout(2, 3),       fw_random_dihedral(),         fw_color_jitter(0.5, 0.25),
        fw_random_pad_crop(3), fw_standardize(3, mean, std), fw_alternating_flip(),
        fw_cutout(4, 2),       fw_random_pad_crop(1),        FW_TRANSFORM_END};
    check(usual, 12, 12, 3);
    check(usual, 9, 10, 3);
    check(odd, 11, 11, 3);
}

static fw_status own(void *user, fw_sample *s)
{
    (void)user;
    (void)s;
    return FW_OK;
}

/* Of a table of lines the one whose turn it is. */
static void test_turns(void **state)
{
    (void)state;
    enum { H = 5, W = 4, SIZE = H * W, LINES = 3, NUMBERS = 3 * N + 1 };
    static float alone[N * SIZE];
    static const int32_t labels[RECORDS] = {3, 1, 4, 0, 5};
    const fw_transform list[] = {fw_random_pad_crop(2), fw_alternating_flip(), FW_TRANSFORM_END};
    int64_t lines[LINES * NUMBERS];
    fwi_augment a;
    assert_int_equal(fwi_augment_make(&a, list, H, W, 1), FW_OK);
    for (int i = 0; i < LINES; i++) {
        rows_of(lines + i * NUMBERS);
        for (int k = 0; k < N; k++)
            lines[i * NUMBERS + 2 * N + k] += i; /* later passes */
        lines[i * NUMBERS + 3 * N] += i;         /* and another seed */
    }
    fwi_batch_job job = {.how = &a, .images = images, .labels = labels, .n = N};
    job.out_labels = got_labels;
    for (int32_t turn = 0; turn < LINES; turn++) {
        job.rows = lines + turn * NUMBERS;
        job.turn = NULL;
        job.out = alone;
        assert_int_equal(fwi_cuda_augment(NULL, &job), FW_OK);
        memset(got, 0xFF, sizeof got);
        job.rows = lines;
        job.turn = &turn;
        job.out = got;
        assert_int_equal(fwi_cuda_augment(NULL, &job), FW_OK);
        assert_memory_equal(got, alone, sizeof alone);
        if (turn > 0) { /* it is another batch than the first line's */
            job.turn = NULL;
            assert_int_equal(fwi_cuda_augment(NULL, &job), FW_OK);
            assert_memory_not_equal(got, alone, sizeof alone);
        }
    }
}

static void test_refused(void **state)
{
    (void)state;
    fwi_augment a;
    const fw_transform users[] = {fw_random_flip(), fw_user_transform(own, NULL), FW_TRANSFORM_END};
    assert_int_equal(fwi_augment_make(&a, users, 8, 8, 3), FW_EUNAVAILABLE);
    assert_non_null(strstr(fw_last_error(), "transform 1 is the caller's own"));
    fw_transform many[FWI_AUGMENT_MAX + 2];
    for (int i = 0; i <= FWI_AUGMENT_MAX; i++)
        many[i] = fw_random_flip();
    many[FWI_AUGMENT_MAX + 1] = FW_TRANSFORM_END;
    assert_int_equal(fwi_augment_make(&a, many, 8, 8, 3), FW_EUNAVAILABLE);
    many[FWI_AUGMENT_MAX] = FW_TRANSFORM_END;
    assert_int_equal(fwi_augment_make(&a, many, 8, 8, 3), FW_OK);
}

/* Lists that ask for the same, and one that differs in each thing that a list can say. */
static void test_same(void **state)
{
    (void)state;
    const fw_transform list[] = {fw_random_pad_crop(2), fw_alternating_flip(),
                                 fw_color_jitter(0.1, 0.2), FW_TRANSFORM_END};
    const fw_transform others[][4] = {
        {fw_random_pad_crop(3), fw_alternating_flip(), fw_color_jitter(0.1, 0.2), FW_TRANSFORM_END},
        {fw_random_pad_crop(2), fw_random_flip(), fw_color_jitter(0.1, 0.2), FW_TRANSFORM_END},
        {fw_random_pad_crop(2), fw_alternating_flip(), fw_color_jitter(0.1, 0.3), FW_TRANSFORM_END},
        {fw_random_pad_crop(2), fw_alternating_flip(), FW_TRANSFORM_END, FW_TRANSFORM_END}};
    fwi_augment a, b;
    memset(&a, 0xff, sizeof a); /* what lies between members says nothing */
    memset(&b, 0, sizeof b);
    assert_int_equal(fwi_augment_make(&a, list, 8, 8, 3), FW_OK);
    assert_int_equal(fwi_augment_make(&b, list, 8, 8, 3), FW_OK);
    assert_true(fwi_augment_same(&a, &b));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(fwi_augment_make(&b, others[i], 8, 8, 3), FW_OK);
        assert_false(fwi_augment_same(&a, &b));
    }
    assert_int_equal(fwi_augment_make(&b, list, 8, 9, 3), FW_OK);
    assert_false(fwi_augment_same(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),  cmocka_unit_test(test_each),  cmocka_unit_test(test_lists),
        cmocka_unit_test(test_views), cmocka_unit_test(test_turns), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
