/* The order of a pass and the records of folds and shards, against plain re-implementations. */
#include "data_support.h"
#include "order.h"

typedef struct keyed {
    uint64_t key;
    int64_t record, rank;
} keyed;

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->record > y->record) - (x->record < y->record);
}

static void check_pass(const fwi_selection *s, uint64_t seed, int64_t pass, const uint32_t *ranks)
{
    keyed *all = malloc((size_t)s->n * sizeof *all);
    assert_non_null(all);
    for (int64_t r = 0; r < s->n; r++) {
        const int64_t record = fwi_selection_record(s, r);
        all[r] = (keyed){fwi_rng_u64(seed, FWI_RNG_SHUFFLE, (uint32_t)pass, (uint64_t)record),
                         record, r};
    }
    qsort(all, (size_t)s->n, sizeof *all, by_key);
    for (int64_t r = 0; r < s->n; r++)
        assert_int_equal(all[r].rank, ranks[r]);
    free(all);
}

static void test_order(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 2, 3, 7, 8, 100, 1001, 30000};
    fwi_pool *pool = NULL;
    assert_ok(fwi_pool_new(&pool, 2));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int with_pool = 0; with_pool < 2; with_pool++) {
            fwi_pool *p = with_pool ? pool : NULL;
            fwi_selection s;
            const fw_dataset_opt opt = {.training = true, .shards = 2, .shard = 1};
            assert_ok(fwi_selection_init(&s, 2 * sizes[i] + 1, &opt));
            assert_int_equal(s.n, sizes[i]);
            fwi_order *o = NULL;
            assert_ok(fwi_order_new(&o, &s, 42));
            /* in turn, over a gap, back, and one that was made ahead but is not wanted */
            const int64_t passes[] = {0, 1, 2, 2, 7, 8, 3, 0, 1};
            for (size_t k = 0; k < sizeof passes / sizeof passes[0]; k++)
                check_pass(&s, 42, passes[k], fwi_order_pass(o, p, passes[k], k % 4 != 3));
            fwi_order_settle(o, p);
            fwi_order_free(o);
        }
    fwi_pool_free(pool);
}

static void test_order_allocates_nothing(void **state)
{
    (void)state;
    fwi_selection s;
    assert_ok(fwi_selection_init(&s, 500, &(fw_dataset_opt){.training = true}));
    fwi_order *o = NULL;
    assert_ok(fwi_order_new(&o, &s, 1));
    const int64_t before = fwi_mem_count();
    for (int64_t pass = 0; pass < 20; pass++)
        check_pass(&s, 1, pass, fwi_order_pass(o, NULL, pass, true));
    assert_int_equal(fwi_mem_count(), before);
    fwi_order_free(o);
    fwi_order_free(NULL);
}

static void check_selection(int64_t n, int64_t folds, int64_t fold, int64_t shards, int64_t shard,
                            bool training)
{
    fwi_selection s;
    const fw_dataset_opt opt = {
        .training = training, .folds = folds, .fold = fold, .shards = shards, .shard = shard};
    int64_t in_fold = 0, n_want = 0;
    int64_t *want = malloc((size_t)(n + 1) * sizeof *want);
    for (int64_t i = 0; i < n; i++) {
        if (folds > 1 && (i % folds == fold) == training)
            continue;
        if (shards <= 1 || in_fold % shards == shard)
            want[n_want++] = i;
        in_fold++;
    }
    if (n_want == 0) {
        assert_fails(fwi_selection_init(&s, n, &opt), FW_EARG, "no record left");
    } else {
        assert_ok(fwi_selection_init(&s, n, &opt));
        assert_int_equal(s.n, n_want);
        for (int64_t r = 0; r < n_want; r++)
            assert_int_equal(fwi_selection_record(&s, r), want[r]);
    }
    free(want);
}

static void test_selection(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 25; n++)
        for (int64_t folds = 0; folds < 5; folds++)
            for (int64_t fold = 0; fold < (folds > 1 ? folds : 1); fold++)
                for (int64_t shards = 0; shards < 4; shards++)
                    for (int64_t shard = 0; shard < (shards > 1 ? shards : 1); shard++)
                        for (int training = 0; training < 2; training++)
                            check_selection(n, folds, fold, shards, shard, training);
    fwi_selection s;
    assert_fails(fwi_selection_init(&s, 9, &(fw_dataset_opt){.folds = 3, .fold = 3}), FW_EARG,
                 "fold 3 of 3");
    assert_fails(fwi_selection_init(&s, 9, &(fw_dataset_opt){.folds = -1}), FW_EARG, "fold");
    assert_fails(fwi_selection_init(&s, 9, &(fw_dataset_opt){.shard = 1}), FW_EARG, "shard 1 of 0");
    assert_fails(fwi_selection_init(&s, 9, &(fw_dataset_opt){.shards = 2, .shard = -1}), FW_EARG,
                 "shard -1");
    assert_fails(fwi_selection_init(&s, (int64_t)1 << 33, &(fw_dataset_opt){0}), FW_EARG,
                 "use shards");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_allocates_nothing),
        cmocka_unit_test(test_selection),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
