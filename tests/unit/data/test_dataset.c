/* Data sets over images in memory: which records a batch holds, in which order, and what a caller
 * may rely on. Threads are in test_dataset_threads.c, files in test_dataset_records.c. */
#include "data_support.h"
#include "image_set.h"

#include <malloc.h>

static const float MEAN[3] = {125, 123, 114}, STD[3] = {51, 50, 51};

typedef struct keyed {
    uint64_t key;
    int64_t record;
} keyed;

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->record > y->record) - (x->record < y->record);
}

/* The rule of the header, for all records: the record at position p. */
static int64_t record_at(int64_t n, uint64_t seed, int64_t p)
{
    keyed *all = malloc((size_t)n * sizeof *all);
    assert_non_null(all);
    for (int64_t i = 0; i < n; i++)
        all[i] = (keyed){fwi_rng_u64(seed, FWI_RNG_SHUFFLE, (uint32_t)(p / n), (uint64_t)i), i};
    qsort(all, (size_t)n, sizeof *all, by_key);
    const int64_t record = all[p % n].record;
    free(all);
    return record;
}

/* A row is what fw_transform_apply makes of its record. */
static void check_row(const fw_images *im, const fw_transform *list, uint64_t seed, int64_t pass,
                      const gathered *g, int64_t row)
{
    const int64_t values = im->h * im->w * im->c, record = g->records[row];
    assert_in_range(record, 0, im->n - 1);
    float *want = malloc((size_t)values * sizeof *want);
    const uint8_t *image =
        (const uint8_t *)im->pixels + (size_t)(record * values) * fw_dtype_size(im->dtype);
    assert_ok(fw_transform_apply(list, seed, pass, record, im->dtype, im->h, im->w, im->c, image,
                                 im->labels[record], want));
    assert_memory_equal(want, g->images + row * values, (size_t)values * sizeof *want);
    assert_int_equal(g->labels[row], im->labels[record]);
    free(want);
}

static void test_training_order(void **state)
{
    (void)state;
    const fw_transform list[] = {fw_standardize(3, MEAN, STD), fw_random_pad_crop(2),
                                 fw_random_flip(), fw_cutout(3, 3), FW_TRANSFORM_END};
    const int64_t n = 37, batch = 10; /* straddles; 100 > 37 spans several passes */
    fw_images im = random_images(n, 8, 8, 3, FW_U8);
    for (int64_t b = batch; b <= 100; b += 90) {
        fw_dataset *ds = NULL;
        const fw_dataset_opt opt = {.batch = b, .training = true, .seed = 6, .threads = 1};
        assert_ok(fw_array_dataset(&ds, &im, list, &opt));
        assert_int_equal(fw_dataset_count(ds), n);
        assert_int_equal(fw_dataset_batches(ds), n / b);
        gathered g = gather(ds, 9);
        assert_int_equal(g.n_batches, 9);
        for (int64_t i = 0; i < 9 * b; i++) {
            assert_int_equal(g.records[i], record_at(n, 6, i));
            check_row(&im, list, 6, i / n, &g, i);
        }
        for (int64_t i = 0; i < 9; i++) {
            assert_int_equal(g.position[i], i * b);
            assert_int_equal(g.valid[i], b);
        }
        assert_int_equal(fw_dataset_position(ds), 9 * b);
        free_gathered(&g);
        fw_dataset_free(ds);
    }
    free_images(&im);
}

static void test_seek_is_skipping(void **state)
{
    (void)state;
    const fw_transform list[] = {fw_random_pad_crop(2), fw_random_dihedral(), FW_TRANSFORM_END};
    fw_images im = random_images(23, 6, 6, 1, FW_F32);
    fw_dataset *ds = NULL;
    const fw_dataset_opt opt = {.batch = 5, .training = true, .threads = 2};
    assert_ok(fw_array_dataset(&ds, &im, list, &opt));
    gathered all = gather(ds, 30);
    for (int64_t skip = 28; skip >= 0; skip -= 7) {
        assert_ok(fw_dataset_seek(ds, 5 * skip));
        assert_int_equal(fw_dataset_position(ds), 5 * skip);
        gathered rest = gather(ds, 30 - skip);
        assert_same(&all, skip, &rest);
        free_gathered(&rest);
    }
    /* any position will do */
    assert_ok(fw_dataset_seek(ds, 17));
    gathered odd = gather(ds, 2);
    assert_memory_equal(odd.records, all.records + 17, 10 * sizeof *odd.records);
    free_gathered(&odd);
    assert_fails(fw_dataset_seek(ds, -1), FW_EARG, "position -1");
    assert_fails(fw_dataset_seek(NULL, 0), FW_EARG, "NULL");
    free_gathered(&all);
    fw_dataset_free(ds);
    free_images(&im);
}

static void test_evaluation(void **state)
{
    (void)state;
    const fw_transform list[] = {fw_standardize(3, MEAN, STD), FW_TRANSFORM_END};
    fw_images im = random_images(23, 4, 5, 3, FW_U8);
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &im, list, &(fw_dataset_opt){.batch = 8}));
    assert_int_equal(fw_dataset_batches(ds), 3);
    int64_t h = 0, w = 0, c = 0;
    fw_dataset_shape(ds, &h, &w, &c);
    assert_true(h == 4 && w == 5 && c == 3);
    for (int turn = 0; turn < 2; turn++) { /* the buffers of the second turn are used ones */
        gathered g = gather(ds, 5);
        assert_int_equal(g.n_batches, 3);
        for (int64_t i = 0; i < 23; i++) {
            assert_int_equal(g.records[i], i);
            check_row(&im, list, 0, 0, &g, i);
        }
        assert_int_equal(g.valid[0], 8);
        assert_int_equal(g.valid[2], 7);
        assert_int_equal(g.records[23], -1);
        assert_int_equal(g.labels[23], -1);
        for (int64_t i = 23 * 60; i < 24 * 60; i++)
            assert_true(g.images[i] == 0.0f);
        assert_int_equal(fw_dataset_position(ds), 23);
        fw_batch b;
        assert_int_equal(fw_dataset_next(ds, &b), FW_END);
        assert_int_equal(fw_dataset_next(ds, &b), FW_END);
        assert_ok(fw_dataset_seek(ds, 0));
        free_gathered(&g);
    }
    assert_ok(fw_dataset_seek(ds, 23));
    fw_batch b;
    assert_int_equal(fw_dataset_next(ds, &b), FW_END);
    assert_fails(fw_dataset_seek(ds, 24), FW_EARG, "position 24 of 23");
    fw_dataset_free(ds);

    assert_ok(
        fw_array_dataset(&ds, &im, list, &(fw_dataset_opt){.batch = 8, .drop_remainder = true}));
    assert_int_equal(fw_dataset_batches(ds), 2);
    gathered g = gather(ds, 5);
    assert_int_equal(g.n_batches, 2);
    free_gathered(&g);
    fw_dataset_free(ds);
    free_images(&im);
}

static void test_pass_ends(void **state)
{
    (void)state;
    fw_images im = random_images(23, 2, 2, 1, FW_U8);
    fw_dataset *ds = NULL;
    fw_dataset_opt opt = {.batch = 5, .training = true, .seed = 3, .passes = 2};
    assert_ok(fw_array_dataset(&ds, &im, NULL, &opt));
    gathered g = gather(ds, 100);
    assert_int_equal(g.n_batches, 9); /* 46 records: the partial batch is dropped */
    free_gathered(&g);
    fw_dataset_free(ds);

    opt.drop_pass_end = true;
    assert_ok(fw_array_dataset(&ds, &im, NULL, &opt));
    g = gather(ds, 100);
    assert_int_equal(g.n_batches, 8);
    for (int64_t i = 0; i < 40; i++) /* 20 of each pass's 23 */
        assert_int_equal(g.records[i], record_at(23, 3, i / 20 * 23 + i % 20));
    /* the position counts records that were given; one inside the last batch of a pass moves on */
    assert_int_equal(g.position[4], 20);
    assert_ok(fw_dataset_seek(ds, 17));
    assert_int_equal(fw_dataset_position(ds), 20);
    gathered rest = gather(ds, 100);
    assert_same(&g, 4, &rest);
    free_gathered(&rest);
    free_gathered(&g);
    fw_dataset_free(ds);
    /* without end, but not without bounds */
    opt.passes = 0;
    for (opt.batch = 4; opt.batch < 9; opt.batch++) {
        assert_ok(fw_array_dataset(&ds, &im, NULL, &opt));
        assert_ok(fw_dataset_seek(ds, INT64_MAX));
        assert_int_equal(gather(ds, 1).n_batches, 0);
        assert_ok(fw_dataset_seek(ds, INT64_MAX - 100));
        g = gather(ds, 100);
        assert_true(g.n_batches >= 100 / opt.batch - 5 && g.n_batches <= 100 / opt.batch);
        for (int64_t i = 0; i < g.n_batches * opt.batch; i++)
            assert_true(g.records[i] >= 0 && g.records[i] < 23);
        free_gathered(&g);
        fw_dataset_free(ds);
    }
    opt.batch = 24;
    assert_fails(fw_array_dataset(&ds, &im, NULL, &opt), FW_EARG, "drop_pass_end leaves nothing");
    opt = (fw_dataset_opt){.batch = 10, .training = true, .no_shuffle = true};
    assert_ok(fw_array_dataset(&ds, &im, NULL, &opt));
    g = gather(ds, 5);
    for (int64_t i = 0; i < 50; i++)
        assert_int_equal(g.records[i], i % 23);
    free_gathered(&g);
    fw_dataset_free(ds);
    free_images(&im);
}

static void test_folds_and_shards(void **state)
{
    (void)state;
    enum { N = 29 };
    fw_images im = random_images(N, 2, 2, 1, FW_U8);
    int train_seen[N] = {0}, eval_seen[N] = {0};
    for (int64_t fold = 0; fold < 3; fold++)
        for (int64_t shard = 0; shard < 2; shard++)
            for (int training = 0; training < 2; training++) {
                fw_dataset *ds = NULL;
                const fw_dataset_opt opt = {.batch = 1,
                                            .training = training,
                                            .passes = 1,
                                            .folds = 3,
                                            .fold = fold,
                                            .shards = 2,
                                            .shard = shard};
                assert_ok(fw_array_dataset(&ds, &im, NULL, &opt));
                gathered g = gather(ds, N);
                assert_int_equal(g.n_batches, fw_dataset_count(ds));
                for (int64_t i = 0; i < g.n_batches; i++) {
                    assert_int_equal(g.records[i] % 3 == fold, !training);
                    (training ? train_seen : eval_seen)[g.records[i]]++;
                }
                free_gathered(&g);
                fw_dataset_free(ds);
            }
    for (int i = 0; i < N; i++) {
        assert_int_equal(train_seen[i], 2); /* by two of three folds */
        assert_int_equal(eval_seen[i], 1);
    }
    fw_dataset *ds = NULL;
    const fw_dataset_opt none = {.batch = 1, .shards = 30, .shard = 29};
    assert_fails(fw_array_dataset(&ds, &im, NULL, &none), FW_EARG, "no record left");
    free_images(&im);
}

static fw_status count_down(void *user, fw_sample *s)
{
    int *left = user; /* one thread */
    (void)s;
    return --*left < 0 ? FW_EFORMAT : FW_OK;
}

static void test_failure_leaves_it_usable(void **state)
{
    (void)state;
    fw_images im = random_images(12, 2, 2, 1, FW_U8);
    int left = 6;
    const fw_transform list[] = {fw_user_transform(count_down, &left), FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &im, list, &(fw_dataset_opt){.batch = 4, .threads = 1}));
    fw_batch b;
    assert_ok(fw_dataset_next(ds, &b));
    assert_fails(fw_dataset_next(ds, &b), FW_EFORMAT,
                 "memory: record 6: transform 0, the caller's own, returned FW_EFORMAT");
    assert_int_equal(fw_dataset_position(ds), 4);
    left = 100;
    assert_ok(fw_dataset_next(ds, &b));
    assert_int_equal(b.position, 4);
    assert_int_equal(b.records[0], 4);

    assert_fails(fwi_dataset_expect_classes(ds, 0), FW_EARG, "0 classes");
    assert_ok(fwi_dataset_expect_classes(ds, 9));
    assert_fails(fw_dataset_next(ds, &b), FW_EFORMAT,
                 "memory: record 9: label 9 is outside the 9 classes 0 to 8");
    assert_ok(fwi_dataset_expect_classes(ds, 10));
    assert_ok(fw_dataset_next(ds, &b));
    fw_dataset_free(ds);

    im.source = (char *)"pictures";
    int32_t *labels = im.labels;
    im.labels = NULL;
    assert_ok(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 4}));
    assert_false(fwi_dataset_labelled(ds));
    assert_ok(fw_dataset_next(ds, &b));
    assert_int_equal(b.labels[0], -1);
    assert_ok(fwi_dataset_expect_classes(ds, 10));
    assert_fails(fw_dataset_next(ds, &b), FW_EFORMAT, "pictures: record 4: there is no label");
    fw_dataset_free(ds);
    im.labels = labels;
    free_images(&im);
}

static void test_refusals(void **state)
{
    (void)state;
    fw_images im = random_images(4, 2, 2, 1, FW_U8);
    fw_dataset *ds = NULL;
    assert_fails(fw_array_dataset(&ds, &im, NULL, NULL), FW_EARG, "batch size is required");
    assert_fails(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){0}), FW_EARG, "batch is 0");
    assert_fails(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = -1}), FW_EARG,
                 "batch is -1");
    assert_fails(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 1, .prefetch = -2}),
                 FW_EARG, "prefetch is -2");
    assert_fails(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 1, .passes = -1}),
                 FW_EARG, "passes");
    assert_fails(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 1, .threads = -1}),
                 FW_EARG, "threads");
    assert_fails(fw_array_dataset(NULL, &im, NULL, &(fw_dataset_opt){.batch = 1}), FW_EARG, "NULL");
    assert_fails(fw_array_dataset(&ds, NULL, NULL, &(fw_dataset_opt){.batch = 1}), FW_EARG, "NULL");
    assert_fails(fw_dataset_next(NULL, NULL), FW_EARG, "NULL");
    fw_images bad = im;
    bad.n = 0;
    assert_fails(fw_array_dataset(&ds, &bad, NULL, &(fw_dataset_opt){.batch = 1}), FW_EARG,
                 "no images");
    bad = im;
    bad.dtype = FW_F64;
    assert_fails(fw_array_dataset(&ds, &bad, NULL, &(fw_dataset_opt){.batch = 1}), FW_EARG, "f64");
    bad = im;
    bad.c = 9;
    assert_fails(fw_array_dataset(&ds, &bad, NULL, &(fw_dataset_opt){.batch = 1}), FW_ESHAPE,
                 "channels");
    bad = im;
    bad.pixels = NULL;
    assert_fails(fw_array_dataset(&ds, &bad, NULL, &(fw_dataset_opt){.batch = 1}), FW_EARG, "NULL");
    assert_null(ds);
    fw_dataset_free(NULL);
    free_images(&im);
}

static void test_describe(void **state)
{
    (void)state;
    fw_images im = random_images(9, 4, 4, 3, FW_U8);
    const fw_transform list[] = {fw_standardize(3, MEAN, STD),
                                 fw_random_pad_crop(2),
                                 fw_random_flip(),
                                 fw_cutout(2, 1),
                                 fw_random_dihedral(),
                                 fw_color_jitter(0.125, 0.5),
                                 FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    const fw_dataset_opt opt = {
        .batch = 4, .training = true, .seed = 7, .folds = 3, .fold = 1, .shards = 2, .shard = 1};
    assert_ok(fw_array_dataset(&ds, &im, list, &opt));
    char text[512], want[512], *digest = fwi_images_digest(&im);
    assert_non_null(digest);
    assert_ok(fwi_dataset_describe(ds, text, sizeof text));
    snprintf(want, sizeof want,
             "images=%s records=9 image=4x4x3 batch=4 seed=7 shuffled fold=1/3 "
             "shard=1/2 transforms=standardize(125/51,123/50,114/51),pad_crop(2),"
             "flip,cutout(2x1),dihedral,color_jitter(0.125,0.5)",
             digest);
    assert_string_equal(text, want);
    const size_t n = strlen(text);
    assert_fails(fwi_dataset_describe(ds, text, n), FW_EARG, "there are");
    assert_ok(fwi_dataset_describe(ds, text, n + 1));
    int count = 0;
    const fw_transform *t = fwi_dataset_transforms(ds, &count);
    assert_int_equal(count, 6);
    assert_int_equal(t[3].kind, FW_TRANSFORM_CUTOUT);
    assert_true(fwi_dataset_training(ds));
    assert_true(fwi_dataset_labelled(ds));
    fw_dataset_free(ds);
    assert_ok(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 4}));
    assert_ok(fwi_dataset_describe(ds, text, sizeof text));
    snprintf(want, sizeof want,
             "images=%s records=9 image=4x4x3 batch=4 evaluation transforms=none", digest);
    assert_string_equal(text, want);
    assert_false(fwi_dataset_training(ds));
    fw_dataset_free(ds);
    im.labels[3] ^= 1; /* other labels are other images */
    assert_ok(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 4}));
    assert_ok(fwi_dataset_describe(ds, text, sizeof text));
    assert_string_not_equal(text, want);
    fw_dataset_free(ds);
    im.labels[3] ^= 1;
    const fw_transform flip[] = {fw_alternating_flip(), FW_TRANSFORM_END};
    assert_ok(fw_array_dataset(
        &ds, &im, flip,
        &(fw_dataset_opt){
            .batch = 4, .training = true, .no_shuffle = true, .drop_pass_end = true}));
    assert_ok(fwi_dataset_describe(ds, text, sizeof text));
    snprintf(want, sizeof want,
             "images=%s records=9 image=4x4x3 batch=4 seed=0 unshuffled drop_pass_end "
             "transforms=alternating_flip",
             digest);
    assert_string_equal(text, want);
    fw_dataset_free(ds);
    fwi_free(digest);
    free_images(&im);
}

static void test_pools(void **state)
{
    (void)state;
    fw_images im = random_images(30, 4, 4, 1, FW_U8);
    fwi_pool *one = NULL, *two = NULL;
    assert_ok(fwi_pool_new(&one, 1));
    assert_ok(fwi_pool_new(&two, 2));
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 7, .training = true}));
    gathered want = gather(ds, 12);
    fwi_pool *const pools[] = {NULL, one, two, one, NULL};
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        assert_ok(fw_dataset_seek(ds, 0));
        assert_ok(fwi_dataset_use_pool(ds, pools[i]));
        gathered got = gather(ds, 12);
        assert_same(&want, 0, &got);
        free_gathered(&got);
        assert_fails(fwi_dataset_use_pool(ds, two), FW_ESTATE, "seek");
    }
    /* a pool may go once another has taken its place, with batches under way */
    assert_ok(fw_dataset_seek(ds, 0));
    assert_ok(fwi_dataset_use_pool(ds, two));
    fw_batch b;
    assert_ok(fw_dataset_next(ds, &b));
    assert_ok(fw_dataset_seek(ds, 0));
    assert_ok(fwi_dataset_use_pool(ds, NULL));
    fwi_pool_free(two);
    gathered got = gather(ds, 12);
    assert_same(&want, 0, &got);
    free_gathered(&got);
    fw_dataset_free(ds);
    fwi_pool_free(one);
    free_gathered(&want);
    free_images(&im);
}

/* Of no data set there is nothing. */
static void test_none(void **state)
{
    (void)state;
    int64_t h = 1, w = 1, c = 1;
    fw_dataset_memory m = {.index = 1};
    assert_int_equal(fw_dataset_position(NULL) + fw_dataset_count(NULL) + fw_dataset_batches(NULL),
                     0);
    fw_dataset_shape(NULL, &h, &w, &c);
    assert_int_equal(h + w + c, 0);
    fw_dataset_shape(NULL, NULL, NULL, NULL);
    fw_dataset_memory_get(NULL, &m);
    assert_int_equal(m.index, 0);
    fw_dataset_memory_get(NULL, NULL);
}

/* What the data set says it holds is what the process holds more, within malloc's own overhead. */
static void test_memory(void **state)
{
    (void)state;
    fw_images im = random_images(3000, 16, 16, 3, FW_U8);
    const struct mallinfo2 before = mallinfo2();
    fw_dataset *ds = NULL;
    const fw_dataset_opt opt = {.batch = 64, .training = true, .prefetch = 2, .threads = 2};
    assert_ok(fw_array_dataset(&ds, &im, NULL, &opt));
    fw_dataset_memory m, running;
    fw_dataset_memory_get(ds, &m);
    fw_batch b;
    assert_ok(fw_dataset_next(ds, &b));
    const struct mallinfo2 after = mallinfo2();
    fw_dataset_memory_get(ds, &running);
    assert_memory_equal(&m, &running, sizeof m);
    assert_int_equal(m.cache, 0);
    assert_int_equal(m.shuffle, 0);
    assert_in_range(m.prefetch, 3 * 64 * 768 * 4, 3 * 64 * 768 * 4 + 32 * 1024);
    assert_in_range(m.index, 3000 * 16, 3000 * 17 + 4096);
    const int64_t said = m.index + m.prefetch;
    const int64_t held =
        (int64_t)(after.uordblks + after.hblkhd) - (int64_t)(before.uordblks + before.hblkhd);
    if (held > 0) /* 0 under sanitizers, which bring their own malloc */
        assert_in_range(held, said - 1024, said + 64 * 1024);
    fw_dataset_free(ds);
    free_images(&im);
}

static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    fw_images im = random_images(100, 8, 8, 3, FW_U8);
    const fw_transform list[] = {fw_standardize(3, MEAN, STD), fw_random_pad_crop(2),
                                 fw_random_flip(), fw_cutout(3, 3), FW_TRANSFORM_END};
    for (int threads = 1; threads <= 3; threads++) {
        fw_dataset *ds = NULL;
        const fw_dataset_opt opt = {.batch = 16, .training = true, .threads = threads};
        assert_ok(fw_array_dataset(&ds, &im, list, &opt));
        fw_batch b;
        for (int i = 0; i < 10; i++)
            assert_ok(fw_dataset_next(ds, &b));
        const int64_t count = fwi_mem_count();
        const struct mallinfo2 before = mallinfo2();
        for (int i = 0; i < 40; i++)
            assert_ok(fw_dataset_next(ds, &b));
        const struct mallinfo2 after = mallinfo2();
        assert_int_equal(fwi_mem_count(), count);
        assert_int_equal(before.uordblks, after.uordblks);
        fw_dataset_free(ds);
    }
    free_images(&im);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    fw_images im = random_images(20, 4, 4, 3, FW_U8);
    const fw_transform list[] = {fw_standardize(3, MEAN, STD), FW_TRANSFORM_END};
    const fw_dataset_opt opt = {.batch = 6, .training = true, .threads = 2};
    int64_t n = 1;
    for (;; n++) {
        fw_dataset *ds = NULL;
        fw_batch b;
        fwi_mem_fail_at(n);
        fw_status st = fw_array_dataset(&ds, &im, list, &opt);
        bool made = st == FW_OK;
        if (made && (st = fw_dataset_next(ds, &b)) != FW_OK) {
            assert_int_equal(st, FW_ENOMEM);
            fwi_mem_fail_at(0);
            assert_ok(fw_dataset_next(ds, &b)); /* and goes on when there is memory again */
        }
        fwi_mem_fail_at(0);
        fw_dataset_free(ds);
        if (st == FW_OK)
            break;
        assert_int_equal(st, FW_ENOMEM);
    }
    assert_in_range(n, 20, 100);
    free_images(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_order),
        cmocka_unit_test(test_seek_is_skipping),
        cmocka_unit_test(test_evaluation),
        cmocka_unit_test(test_pass_ends),
        cmocka_unit_test(test_folds_and_shards),
        cmocka_unit_test(test_failure_leaves_it_usable),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("dataset", tests, NULL, NULL);
}
