/* Cutmix against docs/augmentation.md: which row gives to which, where, and from which batch on; the
 * same on any number of threads and after a seek. (ctest: tsan) */
#include "data_support.h"

#include <cutmix.h>

enum { N = 23, H = 7, W = 9, C = 2, VALUES = H * W * C, BATCH = 8, PH = 3, PW = 2, SEED = 5 };

typedef struct key {
    uint64_t key;
    int64_t row;
} key;

static int by_key(const void *a, const void *b)
{
    const key *x = a, *y = b;
    return x->key != y->key ? (x->key < y->key ? -1 : 1) : (x->row > y->row) - (x->row < y->row);
}

/* Batch k of `plain`, mixed one pixel at a time. place: of the cutmix in its list. */
static void mix(const gathered *plain, int64_t k, uint32_t place, float *images, int32_t *labels2)
{
    const float *in = plain->images + k * BATCH * VALUES;
    uint32_t words[BATCH][4];
    key order[BATCH];
    for (int64_t i = 0; i < BATCH; i++) {
        fwi_rng_block(SEED, FWI_RNG_CUTMIX, 0, (uint64_t)(plain->position[k] + i), place, words[i]);
        order[i] = (key){(uint64_t)words[i][1] << 32 | words[i][0], i};
    }
    qsort(order, BATCH, sizeof *order, by_key);
    for (int64_t i = 0; i < BATCH; i++) {
        const int64_t giver = order[i].row;
        const int64_t y0 = fwi_below(words[i][2], H - PH + 1),
                      x0 = fwi_below(words[i][3], W - PW + 1);
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++) {
                const bool inside = y >= y0 && y < y0 + PH && x >= x0 && x < x0 + PW;
                for (int64_t c = 0; c < C; c++) {
                    const int64_t at = (y * W + x) * C + c;
                    images[i * VALUES + at] = in[(inside ? giver : i) * VALUES + at];
                }
            }
        labels2[i] = plain->labels[k * BATCH + giver];
    }
}

static fw_dataset *open_set(const fw_images *im, const fw_transform *last, int threads)
{
    const fw_transform chain[] = {fw_random_pad_crop(2), fw_random_flip(), *last, FW_TRANSFORM_END};
    const fw_dataset_opt opt = {.batch = BATCH, .training = true, .seed = SEED, .threads = threads};
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, im, chain, &opt));
    return ds;
}

static void rows_are_mixed_as_documented(void **state)
{
    (void)state;
    enum { BATCHES = 7, FROM = 2 * BATCH + 1 }; /* batches 0, 1 and 2 begin before it */
    fw_images im = random_images(N, H, W, C, FW_F32);
    const fw_transform none = fw_transform_end(), some = fw_cutmix(PH, PW, FROM);
    fw_dataset *ds = open_set(&im, &none, 1);
    gathered plain = gather(ds, BATCHES);
    fw_batch b;
    assert_ok(fw_dataset_next(ds, &b));
    assert_ptr_equal(b.labels2, b.labels);
    assert_true(b.share2 == 0);
    fw_dataset_free(ds);
    for (int threads = 1; threads <= 5; threads += 2)
        for (int64_t first = 0; first < BATCHES; first += 3) {
            ds = open_set(&im, &some, threads);
            assert_ok(fw_dataset_seek(ds, first * BATCH));
            int64_t moved = 0, others = 0;
            for (int64_t k = first; k < BATCHES; k++) {
                float want[BATCH * VALUES];
                int32_t labels2[BATCH];
                assert_ok(fw_dataset_next(ds, &b));
                assert_true(b.share2 == 6.0 / 63);
                assert_int_equal(b.position, plain.position[k]);
                assert_memory_equal(b.labels, plain.labels + k * BATCH, sizeof labels2);
                assert_memory_equal(b.records, plain.records + k * BATCH,
                                    BATCH * sizeof *b.records);
                if (k < 3) {
                    memcpy(want, plain.images + k * BATCH * VALUES, sizeof want);
                    memcpy(labels2, plain.labels + k * BATCH, sizeof labels2);
                } else {
                    mix(&plain, k, 2, want, labels2);
                    moved += memcmp(want, plain.images + k * BATCH * VALUES, sizeof want) != 0;
                    for (int i = 0; i < BATCH; i++)
                        others += labels2[i] != b.labels[i];
                }
                assert_memory_equal(b.images, want, sizeof want);
                assert_memory_equal(b.labels2, labels2, sizeof labels2);
            }
            assert_int_equal(moved, first < 3 ? BATCHES - 3 : BATCHES - first);
            assert_true(others > 0);
            fw_dataset_free(ds);
        }
    free_gathered(&plain);
    free_images(&im);
}

/* A batch of one, and a patch of the whole image: the giver's image takes the place of each. */
static void smallest_and_largest(void **state)
{
    (void)state;
    const float in[3] = {1, 2, 3};
    float out[3];
    const fw_transform list[] = {fw_cutmix(1, 2, 0), FW_TRANSFORM_END};
    assert_ok(fw_transform_apply(list, 1, 0, 0, FW_F32, 1, 3, 1, in, 0, out));
    assert_memory_equal(in, out, sizeof in);
    fw_images im = random_images(N, H, W, C, FW_U8);
    const fw_transform whole = fw_cutmix(H, W, 0), none = fw_transform_end();
    fw_dataset *a = open_set(&im, &none, 1), *b = open_set(&im, &whole, 1);
    fw_batch x, y;
    assert_ok(fw_dataset_next(a, &x));
    assert_ok(fw_dataset_next(b, &y));
    assert_true(y.share2 == 1);
    int seen[BATCH] = {0};
    for (int64_t i = 0; i < BATCH; i++)
        for (int64_t j = 0; j < BATCH; j++)
            if (memcmp(x.images + j * VALUES, y.images + i * VALUES, VALUES * sizeof(float)) == 0) {
                seen[j]++;
                assert_int_equal(y.labels2[i], x.labels[j]);
            }
    for (int i = 0; i < BATCH; i++)
        assert_int_equal(seen[i], 1); /* a permutation */
    fw_dataset_free(a);
    fw_dataset_free(b);
    free_images(&im);
}

static void bad_ones_are_refused(void **state)
{
    (void)state;
    fw_images im = random_images(N, H, W, C, FW_U8);
    static const struct {
        int64_t h, w, from;
        fw_status st;
        const char *text;
    } cases[] = {{0, 1, 0, FW_EARG, "a patch of 0x1"},
                 {1, 1, -1, FW_EARG, "from position -1"},
                 {H + 1, 1, 0, FW_ESHAPE, "patch of 8x1 is larger than the image of 7x9"},
                 {1, INT64_MAX, 0, FW_ESHAPE, "larger"}};
    fw_dataset *ds = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fw_transform list[] = {fw_cutmix(cases[i].h, cases[i].w, cases[i].from),
                                     FW_TRANSFORM_END};
        assert_fails(
            fw_array_dataset(&ds, &im, list, &(fw_dataset_opt){.batch = 4, .training = true}),
            cases[i].st, cases[i].text);
    }
    const fw_transform early[] = {fw_cutmix(1, 1, 0), fw_random_flip(), FW_TRANSFORM_END};
    assert_fails(fw_array_dataset(&ds, &im, early, &(fw_dataset_opt){.batch = 4, .training = true}),
                 FW_EARG, "transform 0, cutmix: it mixes finished images");
    const fw_transform last[] = {fw_random_flip(), fw_cutmix(1, 1, 9), FW_TRANSFORM_END};
    assert_fails(fw_array_dataset(&ds, &im, last, &(fw_dataset_opt){.batch = 4}), FW_EARG,
                 "not for evaluation");
    assert_ok(fw_array_dataset(&ds, &im, last, &(fw_dataset_opt){.batch = 4, .training = true}));
    char text[512];
    assert_ok(fwi_dataset_describe(ds, text, sizeof text));
    assert_non_null(strstr(text, "transforms=flip,cutmix(1x1,from=9)"));
    fw_dataset_free(ds);
    free_images(&im);
}

/* Memory is counted, and an allocation that fails leaves nothing behind. */
static void memory(void **state)
{
    (void)state;
    fw_images im = random_images(N, H, W, C, FW_U8);
    const fw_transform none = fw_transform_end(), some = fw_cutmix(PH, PW, 0);
    fw_dataset *a = open_set(&im, &none, 1), *b = open_set(&im, &some, 1);
    fw_dataset_memory x, y;
    fw_dataset_memory_get(a, &x);
    fw_dataset_memory_get(b, &y);
    assert_int_equal(y.prefetch - x.prefetch,
                     (int64_t)fwi_cutmix_bytes(&some, BATCH, C) + BATCH * (int64_t)sizeof(int32_t));
    fw_dataset_free(a);
    fw_dataset_free(b);
    int failures = 0;
    for (int64_t n = 1;; n++) {
        b = open_set(&im, &some, 1);
        fw_batch batch;
        fwi_mem_fail_at(n);
        const fw_status st = fw_dataset_next(b, &batch);
        fwi_mem_fail_at(0);
        fw_dataset_free(b);
        if (st == FW_OK)
            break;
        assert_int_equal(st, FW_ENOMEM);
        failures++;
    }
    assert_in_range(failures, 8, 40);
    free_images(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_mixed_as_documented),
        cmocka_unit_test(smallest_and_largest),
        cmocka_unit_test(bad_ones_are_refused),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests_name("cutmix", tests, NULL, NULL);
}
