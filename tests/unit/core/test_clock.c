/* test_clock.c: time goes forward; resident memory follows what is touched. */
#include "clock.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_time(void **state)
{
    (void)state;
    const double from = fwi_now();
    double last = from;
    for (int i = 0; i < 1000; i++) {
        const double t = fwi_now();
        assert_true(t >= last);
        last = t;
    }
    assert_true(last > from && last - from < 60.0);
    const double wall = (double)time(NULL);
    assert_true(fwi_wall() >= wall - 1.0 && fwi_wall() < wall + 60.0);
}

static void test_memory(void **state)
{
    (void)state;
    enum { MIB = 1 << 20, SIZE = 64 * MIB };
    const int64_t before = fwi_rss_bytes();
    if (before < 0) /* no /proc: then both say so */
        assert_int_equal(fwi_rss_peak_bytes(), -1);
    else {
        uint8_t *p = fwi_big_alloc(SIZE);
        assert_non_null(p);
        assert_true(fwi_rss_bytes() < before + SIZE / 2); /* untouched memory is not resident */
        memset(p, 1, SIZE);
        const int64_t during = fwi_rss_bytes();
        assert_true(during > before + SIZE - 8 * MIB);
        fwi_big_free(p, SIZE);
        assert_true(fwi_rss_bytes() < during - SIZE + 8 * MIB);
        assert_true(fwi_rss_peak_bytes() >= during - 8 * MIB);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_time), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
