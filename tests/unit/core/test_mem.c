/* test_mem.c: allocations: alignment, zeroing, overflow, counting, and failing on purpose. */
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_plain(void **state)
{
    (void)state;
    void *none = fwi_alloc(0);
    assert_non_null(none);
    fwi_free(none);
    fwi_free(NULL);
    uint8_t *zeros = fwi_alloc_zero(1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(zeros[i], 0);
    zeros[999] = 7;
    zeros = fwi_realloc(zeros, 100000);
    assert_non_null(zeros);
    assert_int_equal(zeros[999], 7);
    fwi_free(zeros);
    int64_t *array = fwi_alloc_array(13, sizeof *array);
    for (int i = 0; i < 13; i++)
        assert_int_equal(array[i], 0);
    fwi_free(array);
}

static void test_text(void **state)
{
    (void)state;
    char *copy = fwi_strdup("fenwicks");
    assert_string_equal(copy, "fenwicks");
    fwi_free(copy);
    char *text = fwi_sprintf("%s-%05d-of-%05d", "train", 3, 16);
    assert_string_equal(text, "train-00003-of-00016");
    fwi_free(text);
    char *empty = fwi_sprintf("%s", "");
    assert_string_equal(empty, "");
    fwi_free(empty);
}

static void test_overflow(void **state)
{
    (void)state;
    size_t out = 5;
    assert_false(fwi_mul_size(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(fwi_mul_size(2, SIZE_MAX / 2 + 1, &out));
    assert_false(fwi_add_size(SIZE_MAX, 1, &out));
    assert_int_equal(out, 5);
    assert_true(fwi_mul_size(SIZE_MAX, 0, &out));
    assert_int_equal(out, 0);
    assert_true(fwi_mul_size(SIZE_MAX / 2, 2, &out));
    assert_true(out == SIZE_MAX - 1);
    assert_true(fwi_add_size(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_null(fwi_alloc_array(SIZE_MAX / 4 + 1, 4));
    assert_non_null(strstr(fw_last_error(), "elements of 4 bytes"));
    assert_null(fwi_big_alloc(SIZE_MAX - 4096));
    assert_non_null(strstr(fw_last_error(), "out of memory"));
}

static void test_big(void **state)
{
    (void)state;
    const size_t sizes[] = {
        0, 1, 63, 65, 4096, (4u << 20) - 1, 4u << 20, (4u << 20) + 1, (9u << 20) + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t n = sizes[i];
        uint8_t *p = fwi_big_alloc(n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (n >= 4u << 20 ? 2u << 20 : 64), 0);
        uint8_t any = 0;
        for (size_t at = 0; at < n; at++)
            any |= p[at];
        assert_int_equal(any, 0);
        if (n > 0) {
            p[0] = 1;
            p[n - 1] = 1;
        }
        fwi_big_free(p, n);
    }
    fwi_big_free(NULL, 100);
}

static void test_failing(void **state)
{
    (void)state;
    fwi_mem_fail_at(2);
    void *p = fwi_alloc(10);
    assert_non_null(p);
    assert_null(fwi_realloc(p, 20));
    assert_non_null(strstr(fw_last_error(), "20 bytes"));
    p = fwi_realloc(p, 30); /* one only */
    assert_non_null(p);
    assert_int_equal(fwi_mem_count(), 3);
    fwi_free(p);
    void *(*const calls[])(size_t) = {fwi_alloc, fwi_alloc_zero, fwi_big_alloc};
    for (int i = 0; i < 3; i++) {
        fwi_mem_fail_at(1);
        assert_null(calls[i](8));
    }
    fwi_mem_fail_at(1);
    assert_null(fwi_strdup("x"));
    fwi_mem_fail_at(1);
    assert_null(fwi_sprintf("x"));
    fwi_mem_fail_at(0);
    assert_int_equal(fwi_mem_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),    cmocka_unit_test(test_text),
        cmocka_unit_test(test_overflow), cmocka_unit_test(test_big),
        cmocka_unit_test(test_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
