/* test_rng.c: Philox against the known answers of its authors (Random123, kat_vectors), the naming
 * of draws, and the distributions made from them. */
#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t got[4];
        fwi_philox4x32(cases[i].key, cases[i].counter, got);
        assert_memory_equal(got, cases[i].want, sizeof got);
    }
}

static void test_naming(void **state)
{
    (void)state;
    /* the third known answer, spelled as a draw: purpose 3 and block 0x707344 share a word */
    uint32_t got[4];
    fwi_rng_block(0x299f31d0a4093822, FWI_RNG_CROP, 0x13198a2e, 0x85a308d3243f6a88, 0x707344, got);
    const uint32_t want[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    assert_memory_equal(got, want, sizeof got);

    fwi_rng_block(42, FWI_RNG_SHUFFLE, 7, 1000, 0, got);
    assert_true(fwi_rng_u64(42, FWI_RNG_SHUFFLE, 7, 1000) == ((uint64_t)got[1] << 32 | got[0]));
    assert_true(fwi_rng_u64(43, FWI_RNG_SHUFFLE, 7, 1000) != ((uint64_t)got[1] << 32 | got[0]));
    assert_int_equal(fwi_fnv1a(""), 0x811c9dc5);
    assert_int_equal(fwi_fnv1a("a"), 0xe40c292c);
    assert_int_equal(fwi_fnv1a("foobar"), 0xbf9cf968);
}

static void test_ranges(void **state)
{
    (void)state;
    assert_true(fwi_unit(0) == 0.0);
    assert_true(fwi_unit(0xffffffff) < 1.0);
    assert_true((float)fwi_unit(0xffffffff) < 1.0f);
    assert_true(fwi_unit(0x80000000) == 0.5);
    assert_int_equal(fwi_below(0, 10), 0);
    assert_int_equal(fwi_below(0xffffffff, 10), 9);
    int64_t seen[10] = {0};
    for (uint64_t i = 0; i < 100000; i++) {
        uint32_t w[4];
        fwi_rng_block(1, FWI_RNG_TEST, 0, i, 0, w);
        for (int k = 0; k < 4; k++)
            seen[fwi_below(w[k], 10)]++;
    }
    for (int k = 0; k < 10; k++) /* 40000 +- 5 sigma (sigma = 190) */
        assert_in_range(seen[k], 39050, 40950);
}

static void test_normal(void **state)
{
    (void)state;
    /* by hand: u = (2^31 + .5) / 2^32, a quarter turn */
    const uint32_t half[4] = {0x80000000, 0x40000000, 0x80000000, 0};
    double z[4];
    fwi_normal4(half, z);
    const double radius = sqrt(-2.0 * log((2147483648.0 + 0.5) / 4294967296.0));
    assert_true(fabs(z[0]) < 1e-15);
    assert_true(fabs(z[1] - radius) < 1e-15);
    assert_true(fabs(z[2] - radius) < 1e-15);
    assert_true(z[3] == 0.0);
    const uint32_t least[4] = {0, 0, 0xffffffff, 0xffffffff};
    fwi_normal4(least, z);
    for (int k = 0; k < 4; k++)
        assert_true(isfinite(z[k]) && fabs(z[k]) < 6.8);

    enum { N = 50000 };
    double sum = 0.0, squares = 0.0, fourth = 0.0;
    for (uint64_t i = 0; i < N; i++) {
        uint32_t w[4];
        fwi_rng_block(2, FWI_RNG_TEST, 0, i, 0, w);
        fwi_normal4(w, z);
        for (int k = 0; k < 4; k++) {
            sum += z[k];
            squares += z[k] * z[k];
            fourth += z[k] * z[k] * z[k] * z[k];
        }
    }
    const double n = 4.0 * N; /* bounds of 5 standard errors: 1, sqrt(2), sqrt(96) over sqrt(n) */
    assert_true(fabs(sum / n) < 5.0 / sqrt(n));
    assert_true(fabs(squares / n - 1.0) < 5.0 * sqrt(2.0 / n));
    assert_true(fabs(fourth / n - 3.0) < 5.0 * sqrt(96.0 / n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_naming),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
