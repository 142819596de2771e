/* test_crc32c.c: known values, and the table against the instructions at every length and
 * alignment. */
#include "io_test.h"

#include "crc32c.h"

static void known_values(void **state)
{
    (void)state;
    assert_int_equal(fwi_crc32c("123456789", 9), 0xE3069283u);
    assert_int_equal(fwi_crc32c_masked("123456789", 9), 0xC78AB0E5u);
    assert_int_equal(fwi_crc32c("", 0), 0);
    assert_int_equal(fwi_crc32c_masked("", 0), 0xA282EAD8u);
    /* RFC 3720, B.4: 32 bytes of zeros, of ones, and 0 to 31 */
    uint8_t b[32] = {0};
    assert_int_equal(fwi_crc32c(b, 32), 0x8A9136AAu);
    memset(b, 0xff, 32);
    assert_int_equal(fwi_crc32c(b, 32), 0x62A8AB43u);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)i;
    assert_int_equal(fwi_crc32c(b, 32), 0x46DD794Eu);
}

static uint32_t by_bits(uint32_t crc, const uint8_t *p, size_t n)
{
    uint32_t r = ~crc;
    for (; n > 0; n--) {
        r ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            r = (r & 1) != 0 ? (r >> 1) ^ 0x82F63B78u : r >> 1;
    }
    return ~r;
}

static void all_ways_agree(void **state)
{
    (void)state;
    enum { N = 9000 };
    uint8_t *p = malloc(N);
    assert_non_null(p);
    for (size_t i = 0; i < N; i++)
        p[i] = (uint8_t)random_word(i);
    int cases = 0;
    for (size_t k = 0; k < 400; k++) {
        const size_t at = random_word(2 * k) % 17;
        const size_t n =
            k < 130 ? k * 3 : random_word(2 * k + 1) % (N - 17); /* lanes of 128 and 1024 */
        const uint32_t before = k % 3 == 0 ? 0 : random_word(k);
        const uint32_t want = by_bits(before, p + at, n);
        assert_int_equal(fwi_crc32c_update_table(before, p + at, n), want);
        assert_int_equal(fwi_crc32c_update(before, p + at, n), want);
        if (fwi_crc32c_has_hw())
            assert_int_equal(fwi_crc32c_update_hw(before, p + at, n), want);
        const size_t cut = n == 0 ? 0 : random_word(k + 5) % n;
        assert_int_equal(
            fwi_crc32c_update(fwi_crc32c_update(before, p + at, cut), p + at + cut, n - cut), want);
        cases++;
    }
    assert_int_equal(cases, 400);
    if (!fwi_crc32c_has_hw())
        print_message("no CRC-32C instructions here: only the table was tested\n");
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_values),
                                       cmocka_unit_test(all_ways_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
