/* test_utf8.c: every code point, every pair of bytes, and the known wrong forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "utf8.h"

#include <string.h>

/* By the definition: the number's bits, spread over as few bytes as hold them. */
static size_t encode(uint32_t c, uint8_t out[4])
{
    static const uint8_t head[] = {0, 0, 0xC0, 0xE0, 0xF0};
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3F));
    out[0] = (uint8_t)(head[n] | c);
    return n;
}

static void every_character(void **state)
{
    (void)state;
    uint8_t b[6] = {'a'};
    for (uint32_t c = 0; c < 0x120000; c++) {
        const size_t n = encode(c, b + 1);
        b[1 + n] = 'z';
        const bool is = c < 0xD800 || (c > 0xDFFF && c < 0x110000);
        if (fwi_utf8_valid(b, n + 2) != is)
            fail_msg("U+%X", (unsigned)c);
        for (size_t cut = 1; cut < n;
             cut++) /* its first bytes alone, at the end or before another */
            if (fwi_utf8_valid(b, 1 + cut) || fwi_utf8_valid(b + 1 + cut, n - cut))
                fail_msg("U+%X cut to %d bytes", (unsigned)c, (int)cut);
    }
}

static void wrong_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xFE",
                                      "\xFF",
                                      "caf\xE9",
                                      "\xE2\x28\xA1",
                                      "\xE2\x82\x28"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (fwi_utf8_valid(bad[i], strlen(bad[i])))
            fail_msg("text %d", (int)i);
    assert_true(fwi_utf8_valid("", 0));
    assert_true(fwi_utf8_valid(NULL, 0));
    assert_true(fwi_utf8_valid("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\x88", 14));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_character),
                                       cmocka_unit_test(wrong_forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
