/* test_score.c: verdicts on logits (score.h), under emulation: bit by bit what train/tta.c says of the same
 * views; each in the line whose turn it is, and nothing else is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FWI_CUDA_EMULATED
#include "cuda_score.h"
#include "rng.h"
#include "tta.h"

#include <math.h>
#include <string.h>

enum { ROWS = 300, VIEWS = 6, LINES = 3, MOST = 3000 };

static float logits[VIEWS][MOST];
static int32_t labels[ROWS];
static double sum[MOST + 1], plain[MOST], want_sum[MOST];
static fwi_verdict left[LINES * ROWS];

static uint64_t draws;
static uint32_t draw(uint32_t n)
{
    return (uint32_t)(fwi_rng_u64(5, FWI_RNG_TEST, 0, draws++) % n);
}

/* Few values, so that several classes are the largest; some are no number, or infinite. */
static void fill(int64_t n, int64_t k, int n_views)
{
    for (int v = 0; v < n_views; v++)
        for (int64_t i = 0; i < n * k; i++)
            logits[v][i] = (float)draw(64) / 8 - 4;
    for (int64_t r = 0; r < n; r++)
        labels[r] = (int32_t)draw((uint32_t)k);
    if (n > 4) {
        labels[1] = -1;
        logits[0][2 * k] = NAN;
        logits[n_views - 1][3 * k] = -INFINITY;
        logits[0][4 * k] = INFINITY;
    }
}

/* The sums of one row as tta.c makes them, what it counts, and the largest probability. */
static void assert_row(int64_t r, int64_t k, const fwi_view *views, int n_views, double smoothing,
                       const fwi_verdict *got)
{
    for (int v = 0; v < n_views; v++)
        for (int64_t i = r * k; i < (r + 1) * k; i++) {
            const double logit = (double)logits[v][i];
            if (v == 0)
                plain[i] = logit;
            want_sum[i] = (v == 0 ? 0 : want_sum[i]) + views[v].weight * logit;
        }
    for (int64_t i = r * k; i < (r + 1) * k; i++)
        assert_true(sum[i] == want_sum[i] || (isnan(sum[i]) && isnan(want_sum[i])));
    const fwi_tta t = {.n_classes = k, .plain = plain + r * k, .sum = want_sum + r * k};
    fwi_tally tally = {0};
    const int64_t record = 7;
    if (labels[r] < 0) {
        assert_true(got->loss == 0);
        return;
    }
    assert_int_equal(fwi_tta_count(&t, &labels[r], &record, 1, smoothing, NULL, &tally), FW_OK);
    assert_true(got->loss == tally.loss || (isnan(got->loss) && isnan(tally.loss)));
    const bool found = !isnan(got->loss); /* else there is no maximum, whatever place is left */
    assert_int_equal(found && got->best == labels[r], tally.correct);
    assert_int_equal(found && got->plain == labels[r], tally.correct_plain);
    double max = want_sum[r * k], exps = 0;
    for (int64_t i = r * k; i < (r + 1) * k; i++)
        max = want_sum[i] > max ? want_sum[i] : max;
    for (int64_t i = r * k; i < (r + 1) * k; i++)
        exps += exp(want_sum[i] - max);
    assert_true(got->confidence == (isnan(exps) ? -1 : 1 / exps));
    const double *const row = want_sum + r * k;
    for (int64_t i = 0; i < k; i++)
        assert_false(i < got->best ? row[i] >= row[got->best] : row[i] > row[got->best]);
}

static void check(int64_t n, int64_t k, fw_tta tta, double smoothing)
{
    const int32_t turn = 1;
    int n_views = 0;
    const fwi_view *const views = fwi_tta_views(tta, &n_views);
    assert_true(n <= ROWS && n * k <= MOST && n_views <= VIEWS);
    fill(n, k, n_views);
    memset(left, 0xA5, sizeof left);
    memset(sum, 0xA5, sizeof sum);
    for (int v = 0; v < n_views; v++) {
        const fwi_score_job job = {.logits = logits[v],
                                   .labels = labels,
                                   .weight = views[v].weight,
                                   .smoothing = smoothing,
                                   .first = v == 0,
                                   .last = v == n_views - 1,
                                   .n = n,
                                   .k = k,
                                   .sum = sum,
                                   .left = left,
                                   .turn = &turn};
        assert_int_equal(fwi_cuda_score(NULL, &job), FW_OK);
    }
    for (int64_t r = 0; r < n; r++)
        assert_row(r, k, views, n_views, smoothing, &left[n + r]);
    const uint8_t *const bytes = (const uint8_t *)left;
    const uint8_t *const beyond = (const uint8_t *)&sum[n * k];
    for (size_t i = 0; i < sizeof left; i++)
        if (i < (size_t)n * sizeof *left || i >= 2 * (size_t)n * sizeof *left)
            assert_int_equal(bytes[i], 0xA5);
    for (size_t i = 0; i < sizeof *sum; i++)
        assert_int_equal(beyond[i], 0xA5);
}

static void test_as_on_the_host(void **state)
{
    (void)state;
    static const fw_tta ttas[] = {FW_TTA_NONE, FW_TTA_MIRROR, FW_TTA_AIRBENCH6, FW_TTA_SELECTIVE};
    static const int64_t sizes[][2] = {{1, 1}, {5, 3}, {300, 10}, {3, 1000}};
    for (size_t i = 0; i < sizeof ttas / sizeof *ttas; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int smooth = 0; smooth < 2; smooth++)
                check(sizes[s][0], sizes[s][1], ttas[i], smooth ? 0.2 : 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_on_the_host)};
    return cmocka_run_group_tests_name("score", tests, NULL, NULL);
}
