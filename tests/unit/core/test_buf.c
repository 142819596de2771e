/* test_buf.c: growable bytes and text. */
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_append(void **state)
{
    (void)state;
    fwi_buf b = {0};
    assert_int_equal(fwi_buf_append(&b, NULL, 0), FW_OK);
    assert_null(b.data);
    fwi_mem_fail_at(0);
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(fwi_buf_append(&b, &i, sizeof i), FW_OK);
    assert_int_equal(b.size, 40000);
    assert_true(fwi_mem_count() < 15); /* doubles */
    for (uint32_t i = 0; i < 10000; i++)
        assert_memory_equal(b.data + 4 * i, &i, sizeof i);
    fwi_buf_clear(&b);
    assert_null(b.data);
    assert_int_equal(b.size + b.cap, 0);
    fwi_buf_clear(&b);
}

static void test_text(void **state)
{
    (void)state;
    fwi_buf b = {0};
    for (int i = 0; i < 300; i++)
        assert_int_equal(fwi_buf_printf(&b, "%d,", i % 10), FW_OK);
    assert_int_equal(b.size, 600);
    assert_int_equal(strlen((const char *)b.data), 600);
    assert_int_equal(fwi_buf_append(&b, "x", 1), FW_OK);
    assert_int_equal(fwi_buf_printf(&b, "%s", ""), FW_OK);
    assert_string_equal((const char *)b.data + 598, "9,x");
    fwi_buf_clear(&b);
}

static void test_failure_changes_nothing(void **state)
{
    (void)state;
    fwi_buf b = {0};
    assert_int_equal(fwi_buf_printf(&b, "keep"), FW_OK);
    const fwi_buf before = b;
    char more[200];
    memset(more, 'm', sizeof more);
    fwi_mem_fail_at(1);
    assert_int_equal(fwi_buf_append(&b, more, sizeof more), FW_ENOMEM);
    fwi_mem_fail_at(1);
    assert_int_equal(fwi_buf_printf(&b, "%500d", 1), FW_ENOMEM);
    fwi_mem_fail_at(0);
    assert_int_equal(fwi_buf_reserve(&b, SIZE_MAX), FW_ENOMEM);
    assert_int_equal(fwi_buf_append(&b, more, SIZE_MAX - 1), FW_ENOMEM);
    assert_memory_equal(&b, &before, sizeof b);
    assert_string_equal((const char *)b.data, "keep");
    fwi_buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_failure_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
