/* test_guard.c: steps that a device undoes by itself (guard.h), under emulation: one gradient that is
 * not finite, wherever it lies, puts every word of the state back, clears the gradients and is counted;
 * none, and nothing is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FWI_CUDA_EMULATED
#include "cuda_guard.h"

#include <math.h>
#include <string.h>

enum { MOST = 300000, WORDS = 77 };

static float grads[MOST];
static uint32_t state[WORDS + 1], kept[WORDS + 1], before[WORDS + 1], after[WORDS + 1];
static int32_t counts[FWI_GUARD_WORDS + 1];

/* A step that changes all of the state and leaves these gradients. */
static void step(size_t n, size_t bad_at, float bad)
{
    const fwi_guard g = {.state = state,
                         .kept = kept,
                         .n_bytes = WORDS * sizeof *state,
                         .grads = grads,
                         .n_grads = n,
                         .counts = counts};
    memcpy(before, state, sizeof state);
    assert_int_equal(fwi_cuda_guard_keep(NULL, &g), FW_OK);
    assert_memory_equal(state, before, sizeof state);
    for (int i = 0; i < WORDS; i++)
        state[i] = state[i] * 5 + (uint32_t)i + 1;
    memcpy(after, state, sizeof state);
    for (size_t i = 0; i < n; i++)
        grads[i] = (float)i * 1e30f; /* up to the largest, but finite */
    if (bad_at < n)
        grads[bad_at] = bad;
    assert_int_equal(fwi_cuda_guard_judge(NULL, &g), FW_OK);
    if (bad_at < n) {
        assert_memory_equal(state, before, sizeof state);
        for (size_t i = 0; i < n; i++)
            assert_true(grads[i] == 0);
    } else {
        assert_memory_equal(state, after, sizeof state);
        for (size_t i = 0; i < n; i++)
            assert_true(grads[i] == (float)i * 1e30f);
    }
    assert_int_equal(counts[FWI_GUARD_WORDS], 77); /* nothing behind was written */
}

static void test_undoes(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {1, 255, 1024, 1025, MOST};
    memset(counts, 0, sizeof counts);
    counts[FWI_GUARD_WORDS] = 77;
    int32_t all = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t n = sizes[i];
        step(n, n, 0);
        assert_int_equal(counts[FWI_GUARD_ROW], 0);
        step(n, n - 1, INFINITY);
        step(n, 0, NAN);
        step(n, n / 2, -INFINITY);
        all += 3;
        assert_int_equal(counts[FWI_GUARD_ROW], 3);
        assert_int_equal(counts[FWI_GUARD_BAD], 1);
        assert_int_equal(counts[FWI_GUARD_ALL], all);
    }
    step(4, 4, 0);
    assert_int_equal(counts[FWI_GUARD_ROW], 0);
    assert_int_equal(counts[FWI_GUARD_BAD], 0);
    assert_int_equal(counts[FWI_GUARD_ALL], all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_undoes)};
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
