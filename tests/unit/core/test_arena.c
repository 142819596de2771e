/* test_arena.c: pieces that stay where they are, and a loop over reset that stops allocating. */
#include "mem.h"

#ifdef __linux__
#include <malloc.h>
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_pieces(void **state)
{
    (void)state;
    enum { N = 500 };
    fwi_arena *a = NULL;
    assert_int_equal(fwi_arena_new(&a, 256), FW_OK);
    uint8_t *piece[N];
    for (size_t i = 0; i < N; i++) { /* sizes below, at and above the block's */
        piece[i] = fwi_arena_alloc(a, i);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        memset(piece[i], (int)(i & 0xFF), i);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t at = 0; at < i; at++)
            assert_int_equal(piece[i][at], i & 0xFF);
    assert_string_equal(fwi_arena_strdup(a, "conv_1"), "conv_1");
    fwi_arena_free(a);
    fwi_arena_free(NULL);
}

static void one_turn(fwi_arena *a, int turn)
{
    for (size_t i = 0; i < 40; i++)
        assert_non_null(fwi_arena_alloc(a, 8 * (1 + (i * 37 + (size_t)turn) % 90)));
}

static void test_reset(void **state)
{
    (void)state;
    fwi_arena *a = NULL;
    assert_int_equal(fwi_arena_new(&a, 1024), FW_OK);
    one_turn(a, 0);
    fwi_arena_reset(a);
    fwi_mem_fail_at(0);
    for (int turn = 0; turn < 50; turn++) {
        one_turn(a, 0);
        fwi_arena_reset(a);
    }
    assert_int_equal(fwi_mem_count(), 0);
    fwi_arena_free(a);
}

/* Bytes that malloc has given out; 0 where it does not count. */
static size_t held(void)
{
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 33)
    return mallinfo2().uordblks;
#endif
#endif
    return 0;
}

/* Ever larger pieces take the place of smaller ones: in memory for one turn, whatever the turns before asked for. */
static void test_growth(void **state)
{
    (void)state;
    enum { TURNS = 200, LEAST = 5000, STEP = 100 };
    fwi_arena *a = NULL;
    const size_t before = held();
    assert_int_equal(fwi_arena_new(&a, 1024), FW_OK);
    for (size_t turn = 0; turn < TURNS; turn++) {
        fwi_arena_reset(a);
        for (size_t i = 0; i < 3; i++) {
            uint8_t *const p = fwi_arena_alloc(a, LEAST + turn * STEP);
            assert_non_null(p);
            memset(p, 7, LEAST + turn * STEP);
        }
    }
    assert_in_range(held() - before, 0, 5 * (LEAST + TURNS * STEP));
    fwi_mem_fail_at(0);
    fwi_arena_reset(a);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(fwi_arena_alloc(a, LEAST));
    assert_int_equal(fwi_mem_count(), 0);
    fwi_arena_free(a);
}

static void test_hostile(void **state)
{
    (void)state;
    fwi_arena *a = NULL;
    fwi_mem_fail_at(1);
    assert_int_equal(fwi_arena_new(&a, 0), FW_ENOMEM);
    assert_null(a);
    assert_int_equal(fwi_arena_new(&a, 0), FW_OK);
    assert_null(fwi_arena_alloc(a, SIZE_MAX));
    assert_null(fwi_arena_alloc(a, SIZE_MAX - 20));
    assert_non_null(strstr(fw_last_error(), "out of memory"));
    fwi_mem_fail_at(1);
    assert_null(fwi_arena_alloc(a, 5)); /* the first block */
    void *p = fwi_arena_alloc(a, 5);    /* usable after a failure */
    assert_non_null(p);
    fwi_mem_fail_at(1);
    assert_null(fwi_arena_alloc(a, 70000));
    fwi_mem_fail_at(0);
    fwi_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
