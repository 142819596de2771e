/* Numbers as text: number.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <number.h>
#include <stdio.h>
#include <string.h>

#include "t_locale.h"

static void check_text(double v, const char *want)
{
    char text[FWI_NUMBER_CAP];
    fwi_format_double(text, v);
    assert_string_equal(text, want);
}

static void prints_the_shortest(void **state)
{
    (void)state;
    check_text(0.1, "0.1");
    check_text(1e-5, "1e-05");
    check_text(0, "0");
    check_text(-0.0, "-0");
    check_text(64, "64");
    check_text(1.0 / 3.0, "0.3333333333333333");
    check_text((double)NAN, "nan");
    check_text(-(double)INFINITY, "-inf");
}

static void every_double_reads_back(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u; /* xorshift64 (Marsaglia 2003) over bit patterns */
    int seen = 0;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double v, back = 0;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        char text[FWI_NUMBER_CAP];
        fwi_format_double(text, v);
        assert_true(fwi_parse_double(text, &back));
        assert_memory_equal(&v, &back, sizeof v);
        seen++;
    }
    assert_true(seen > 15000);
    double back = 0;
    char text[FWI_NUMBER_CAP];
    fwi_format_double(text, -DBL_TRUE_MIN);
    assert_true(fwi_parse_double(text, &back) && back == -DBL_TRUE_MIN);
    fwi_format_double(text, DBL_MAX);
    assert_true(fwi_parse_double(text, &back) && back == DBL_MAX);
}

static void refuses_other_text(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    " 1", "1 ", "0x10", "nan", "inf", "1e999", "1.2.3",
                                      "1,5", "e5", "-",  "--1",  "1e",  "+-1", ".",     "1f"};
    double d = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(fwi_parse_double(bad[i], &d));
    assert_true(d == 7);
    static const char *const bad_int[] = {"",    "-",  "+",   "1.0",
                                          "1e3", " 1", "0x1", "9223372036854775808"};
    int64_t n = 7;
    for (size_t i = 0; i < sizeof bad_int / sizeof *bad_int; i++)
        assert_false(fwi_parse_int64(bad_int[i], &n));
    assert_int_equal(n, 7);
    assert_true(fwi_parse_int64("-9223372036854775808", &n));
    assert_true(n == INT64_MIN);
    assert_true(fwi_parse_int64("+12", &n));
    assert_int_equal(n, 12);
}

static void floats_mean_what_was_written(void **state)
{
    (void)state;
    assert_true(fwi_widen(0.1f) == 0.1);
    assert_true(fwi_widen(1e-5f) == 1e-5);
    assert_true(fwi_widen(0.125f) == 0.125);
    assert_true(fwi_widen(-3e38f) == -3e38);
    assert_true((float)fwi_widen(1.0f / 3.0f) == 1.0f / 3.0f);
    assert_true(isnan(fwi_widen(NAN)));
}

static void format(char *out, size_t cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    assert_int_equal(fwi_vformat(out, cap, fmt, args), 8);
    va_end(args);
}

/* A program that speaks German still reads and writes points. */
static void commas_of_a_locale_change_nothing(void **state)
{
    (void)state;
    if (!t_comma_locale())
        skip();
    double v = 0;
    char text[16];
    check_text(0.5, "0.5");
    assert_true(fwi_parse_double("0.25", &v) && v == 0.25);
    format(text, sizeof text, "%.9g/%d", 1.25, 100);
    assert_string_equal(text, "1.25/100");
    snprintf(text, sizeof text, "%.2f", 1.25);
    assert_string_equal(text, "1,25"); /* such a program it is */
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_the_shortest),
        cmocka_unit_test(every_double_reads_back),
        cmocka_unit_test(refuses_other_text),
        cmocka_unit_test(floats_mean_what_was_written),
        cmocka_unit_test(commas_of_a_locale_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
