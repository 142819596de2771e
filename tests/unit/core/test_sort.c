/* test_sort.c: sorting in place against qsort, with many equal elements and few. */
#include "sort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rng.h"

typedef struct pair {
    int64_t key;
    int32_t row;
} pair;

static int by_key(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void sorts(void **state)
{
    (void)state;
    enum { MOST = 3000 };
    static pair ours[MOST], libc[MOST];
    static const int sizes[] = {0, 1, 2, 3, 4, 7, 8, 100, 1023, MOST};
    static const uint32_t keys[] = {1, 3, 1U << 20};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            memset(ours, 0, sizeof ours); /* padding is compared too */
            for (int i = 0; i < sizes[s]; i++) {
                uint32_t words[4];
                fwi_rng_block(7, FWI_RNG_SHUFFLE, 0, (uint64_t)i, (uint32_t)k, words);
                ours[i].key = fwi_below(words[0], keys[k]);
                ours[i].row = i;
            }
            memcpy(libc, ours, sizeof libc);
            fwi_sort(ours, (size_t)sizes[s], sizeof *ours, by_key);
            qsort(libc, (size_t)sizes[s], sizeof *libc, by_key);
            assert_memory_equal(ours, libc, sizeof libc);
            for (int i = 1; i < sizes[s]; i++)
                assert_true(by_key(&ours[i - 1], &ours[i]) < 0);
            fwi_sort(ours, (size_t)sizes[s], sizeof *ours, by_key); /* of what is sorted already */
            assert_memory_equal(ours, libc, sizeof libc);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sorts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
