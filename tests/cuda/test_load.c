/* test_load.c: the loads that reach a GPU's ceilings (load.cu), emulated: that they do what is counted, to
 * the last byte, and nothing else. How fast is for `fenwicks bench peak` to say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FWI_CUDA_EMULATED
#include "cuda_load.h"
#include "mem.h"

#include <math.h>
#include <string.h>

enum { GUARD = 64 };

static fwi_load opened(fwi_load_kind kind, int64_t size)
{
    fwi_load l = {.kind = kind, .size = size};
    assert_int_equal(fwi_cuda_load_plan(NULL, &l), FW_OK);
    assert_true(l.bytes > 0 && l.work > 0);
    l.memory = fwi_big_alloc(l.bytes + GUARD);
    assert_non_null(l.memory);
    memset(l.memory, 0x5A, l.bytes + GUARD);
    return l;
}

static void closed(fwi_load *l)
{
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(((uint8_t *)l->memory)[l->bytes + i], 0x5A);
    fwi_big_free(l->memory, l->bytes + GUARD);
}

/* Work grows with the rounds; each thread's chains have all come to 1. */
static void test_fma(void **state)
{
    (void)state;
    fwi_load a = opened(FWI_LOAD_F32, 64), b = {.kind = FWI_LOAD_F32, .size = 128};
    assert_int_equal(fwi_cuda_load_plan(NULL, &b), FW_OK);
    assert_true(b.work == 2 * a.work && b.bytes == a.bytes);
    assert_int_equal(fwi_cuda_load_run(NULL, &a), FW_OK);
    const float *const x = a.memory;
    const size_t threads = a.bytes / sizeof *x;
    assert_true(a.work == 2.0 * 8 * 64 * (double)threads);
    for (size_t i = 0; i < threads; i++)
        assert_true(fabsf(x[i] - 8.0f) < 1e-4f);
    closed(&a);
}

static void test_read(void **state)
{
    (void)state;
    enum { BYTES = 3 * 65536 + 16 }; /* not even for the threads */
    fwi_load l = opened(FWI_LOAD_READ, BYTES);
    uint32_t want = 0, got = 0;
    uint32_t *const words = l.memory;
    for (uint32_t i = 0; i < BYTES / 4; i++)
        want += words[i] = i * 2654435761u;
    assert_true(l.work == BYTES);
    assert_int_equal(fwi_cuda_load_run(NULL, &l), FW_OK);
    for (size_t i = BYTES / 4; i < l.bytes / 4; i++)
        got += words[i];
    assert_true(got == want);
    closed(&l);
}

static void test_copy(void **state)
{
    (void)state;
    enum { BYTES = 5 * 32768 + 48 };
    fwi_load l = opened(FWI_LOAD_COPY, BYTES);
    uint8_t *const at = l.memory;
    for (size_t i = 0; i < BYTES; i++)
        at[i] = (uint8_t)(i * 7 + i / 256);
    assert_true(l.work == 2.0 * BYTES && l.bytes == 2 * (size_t)BYTES);
    assert_int_equal(fwi_cuda_load_run(NULL, &l), FW_OK);
    assert_memory_equal(at, at + BYTES, BYTES);
    closed(&l);
}

static void test_noise(void **state)
{
    (void)state;
    enum { N = 5000 };
    float x[N + 1];
    double sum = 0, squares = 0;
    x[N] = 9;
    assert_int_equal(fwi_cuda_load_noise(NULL, x, FW_F32, N), FW_OK);
    for (int i = 0; i < N; i++) {
        assert_true(x[i] >= -1 && x[i] < 1);
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    assert_true(x[N] == 9);
    assert_true(fabs(sum / N) < 0.05 && fabs(squares / N - 1.0 / 3) < 0.03);
    uint16_t h[N + 1];
    h[N] = 9;
    static const fw_dtype types[] = {FW_BF16, FW_F16};
    for (int t = 0; t < 2; t++) {
        assert_int_equal(fwi_cuda_load_noise(NULL, h, types[t], N), FW_OK);
        const uint16_t one = types[t] == FW_BF16 ? 0x3F80 : 0x3C00;
        for (int i = 0; i < N; i++)
            assert_true((h[i] & 0x7FFF) <= one);
        assert_int_equal(h[N], 9);
    }
}

/* Kinds that need a library say so; a hold ends. */
static void test_others(void **state)
{
    (void)state;
    for (int kind = FWI_LOAD_TF32; kind <= FWI_LOAD_F16; kind++) {
        fwi_load l = {.kind = (fwi_load_kind)kind, .size = 128};
        assert_int_equal(fwi_cuda_load_plan(NULL, &l), FW_EUNAVAILABLE);
    }
    float room = 9;
    assert_int_equal(fwi_cuda_load_hold(NULL, 100, &room), FW_OK);
    assert_true(fabsf(room - 1) < 1e-4f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fma),   cmocka_unit_test(test_read),   cmocka_unit_test(test_copy),
        cmocka_unit_test(test_noise), cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
