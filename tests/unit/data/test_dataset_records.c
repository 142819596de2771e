/* Data sets over files: plain, cached and compressed ones, and files that are not what they should
 * be. */
#include "data_support.h"

enum { N = 60 };
static fw_images images;

static int make_images(void **state)
{
    (void)state;
    images = random_images(N, 6, 5, 3, FW_U8);
    return 0;
}

static int drop_images(void **state)
{
    free_images(&images);
    return remove_temp_folder(state);
}

static fw_status open_path(fw_dataset **ds, const char *name, const fw_dataset_opt *opt)
{
    char path[128];
    return fw_tfrecord_dataset(ds, temp_path(path, name), fw_parse_image_array(6, 5, 3), NULL, opt);
}

/* Row i of a batch holds record i's pixels. */
static void check_rows(const gathered *g, int64_t first, int64_t n)
{
    for (int64_t i = first; i < first + n; i++) {
        const uint8_t *image = (const uint8_t *)images.pixels + g->records[i] * 90;
        for (int64_t k = 0; k < 90; k++)
            assert_true(g->images[i * 90 + k] == (float)image[k]);
        assert_int_equal(g->labels[i], images.labels[g->records[i]]);
    }
}

static void check_each_once(const gathered *g, int64_t first, int64_t n)
{
    int *seen = calloc((size_t)n, sizeof *seen);
    assert_non_null(seen);
    if (g->records == NULL) {
        free(seen);
        fail_msg("no batch was gathered");
        return;
    }
    for (int64_t i = first; i < first + n; i++) {
        assert_in_range(g->records[i], 0, n - 1);
        assert_int_equal(seen[g->records[i]]++, 0);
    }
    free(seen);
}

/* The same images are the same data, in memory, in records of any form, and wherever these lie; without a
 * sidecar a name and a size have to do. */
static void test_what_they_are_called(void **state)
{
    (void)state;
    static const fw_write_opt forms[] = {{.overwrite = true},
                                         {.overwrite = true, .as_float = true},
                                         {.overwrite = true, .shards = 3},
                                         {.overwrite = true, .compression = FW_GZIP}};
    const fw_dataset_opt opt = {.batch = 8};
    char path[128], text[256], want[256], other[256];
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &images, NULL, &opt));
    assert_ok(fwi_dataset_describe(ds, want, sizeof want));
    fw_dataset_free(ds);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        assert_ok(fw_write_tfrecord(temp_path(path, "named"), &images, &forms[i]));
        assert_ok(open_path(&ds, forms[i].shards > 1 ? "named@3" : "named", &opt));
        assert_ok(fwi_dataset_describe(ds, text, sizeof text));
        fw_dataset_free(ds);
        const size_t n = strcspn(want, " "); /* of compressed ones the order is another */
        assert_memory_equal(text, want, n + 1);
        if (forms[i].compression == FW_PLAIN)
            assert_string_equal(text, want);
    }
    images.labels[5] ^= 1;
    assert_ok(fw_write_tfrecord(temp_path(path, "named"), &images, &forms[0]));
    images.labels[5] ^= 1;
    assert_ok(open_path(&ds, "named", &opt));
    assert_ok(fwi_dataset_describe(ds, other, sizeof other));
    assert_string_not_equal(other, want);
    fw_dataset_free(ds);
    assert_int_equal(unlink(temp_path(path, "named.json")), 0);
    assert_ok(open_path(&ds, "named", &opt));
    assert_ok(fwi_dataset_describe(ds, text, sizeof text));
    assert_memory_equal(text, "source=named bytes=", 19);
    fw_dataset_free(ds);
    /* another record, first, last or in the middle, of the same size */
    const int64_t places[] = {0, images.n / 2, images.n - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        images.labels[5] ^= 1;
        images.labels[places[i]] ^= 1;
        assert_ok(fw_write_tfrecord(temp_path(path, "named"), &images, &forms[0]));
        images.labels[places[i]] ^= 1;
        images.labels[5] ^= 1;
        assert_int_equal(unlink(temp_path(path, "named.json")), 0);
        assert_ok(open_path(&ds, "named", &opt));
        assert_ok(fwi_dataset_describe(ds, other, sizeof other));
        fw_dataset_free(ds);
        const size_t n = (size_t)(strstr(text, " sample=") - text);
        assert_memory_equal(other, text, n);
        assert_memory_not_equal(other, text, n + strlen(" sample=") + 8);
    }
    /* what of a stream decides the order of its records */
    const fw_dataset_opt stream = {
        .batch = 8, .training = true, .shuffle_buffer = 20, .cycle_length = 3};
    assert_ok(fw_write_tfrecord(temp_path(path, "named"), &images, &forms[3]));
    assert_ok(open_path(&ds, "named", &stream));
    assert_ok(fwi_dataset_describe(ds, text, sizeof text));
    fw_dataset_free(ds);
    assert_non_null(strstr(text, " seed=0 shuffled shuffle_buffer=20 cycle_length=3 transforms="));
}

/* The walk-through's float records and the uint8 ones give the same images, mixed ones too, with
 * and without a cache. */
static void test_float_and_bytes(void **state)
{
    (void)state;
    char path[128];
    fw_images floats = images;
    float *values = malloc(N * 90 * sizeof *values);
    for (int i = 0; i < N * 90; i++)
        values[i] = (float)((const uint8_t *)images.pixels)[i];
    floats.pixels = values;
    floats.dtype = FW_F32;
    write_records(temp_path(path, "float"), &floats, 0, N, FW_PLAIN);
    write_records(temp_path(path, "bytes"), &images, 0, N, FW_PLAIN);
    write_records(temp_path(path, "mixed-0"), &images, 0, 20, FW_PLAIN);
    write_records(temp_path(path, "mixed-1"), &floats, 20, N, FW_PLAIN);
    write_records(temp_path(path, "mixed_other-0"), &floats, 0, 20, FW_PLAIN);
    write_records(temp_path(path, "mixed_other-1"), &images, 20, N, FW_PLAIN);
    const char *const names[] = {"bytes", "float", "mixed-*", "mixed_other-*"};
    gathered want = {0};
    for (int i = 0; i < 4; i++)
        for (int cache = 0; cache < 2; cache++) {
            const fw_dataset_opt opt = {.batch = 7, .training = true, .cache = cache, .threads = 2};
            fw_dataset *ds = NULL;
            assert_ok(open_path(&ds, names[i], &opt));
            assert_true(fwi_dataset_labelled(ds));
            gathered got = gather(ds, 30);
            if (want.images == NULL) {
                want = got;
                check_rows(&want, 0, 30 * 7);
                check_each_once(&want, 0, N);
            } else {
                assert_same(&want, 0, &got);
                free_gathered(&got);
            }
            fw_dataset_free(ds);
        }
    free_gathered(&want);
    free(values);
}

static void test_cache_is_used(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "gone"), &images, 0, N, FW_PLAIN);
    const fw_dataset_opt opt = {.batch = 13, .cache = true, .folds = 3, .fold = 1};
    fw_dataset *ds = NULL;
    assert_ok(open_path(&ds, "gone", &opt));
    assert_int_equal(fw_dataset_count(ds), 20);
    fw_dataset_memory m;
    fw_dataset_memory_get(ds, &m);
    assert_int_equal(m.cache, 20 * (90 + 4 + 1)); /* of the fold alone */
    gathered a = gather(ds, 2);
    check_rows(&a, 0, 20);
    assert_int_equal(truncate(path, 0), 0);
    assert_ok(fw_dataset_seek(ds, 0));
    gathered b = gather(ds, 2);
    assert_same(&a, 0, &b);
    free_gathered(&a);
    free_gathered(&b);
    fw_dataset_free(ds);
}

/* Filled at once, before any batch: a damaged record shows there. */
static void test_cache_is_filled(void **state)
{
    (void)state;
    char path[128];
    fw_dataset *ds = NULL;
    fw_dataset_opt opt = {.batch = 13, .cache = true, .threads = 2};
    write_records(temp_path(path, "filled"), &images, 0, N, FW_PLAIN);
    assert_ok(open_path(&ds, "filled", &opt));
    assert_ok(fwi_dataset_fill_cache(ds));
    assert_int_equal(truncate(path, 0), 0);
    gathered a = gather(ds, 2);
    assert_int_equal(a.n_batches, 2);
    check_rows(&a, 0, 26);
    free_gathered(&a);
    fw_dataset_free(ds);
    write_records(path, &images, 0, N, FW_PLAIN);
    assert_ok(open_path(&ds, "filled", &opt));
    assert_ok(fwi_dataset_expect_classes(ds, 3));
    assert_fails(fwi_dataset_fill_cache(ds), FW_EFORMAT, "filled: record 3");
    fw_dataset_free(ds);
    opt.cache = false; /* nothing is to be held */
    assert_ok(open_path(&ds, "filled", &opt));
    assert_ok(fwi_dataset_expect_classes(ds, 3));
    assert_ok(fwi_dataset_fill_cache(ds));
    fw_dataset_free(ds);
}

/* ---- compressed ---- */

/* Folds and caches count the records of several files as they stand in them: what one side evaluates the other
 * does not train on, and a cache is the same one whatever the files are. */
static void test_compressed_in_order(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "o-0.gz"), &images, 0, 25, FW_GZIP);
    write_records(temp_path(path, "o-1.gz"), &images, 25, N, FW_GZIP);
    write_records(temp_path(path, "o-plain"), &images, 0, N, FW_PLAIN);
    for (int64_t cycle = 0; cycle <= 2; cycle++)
        for (int cache = 0; cache < 2; cache++) {
            for (int training = 0; training < 2; training++) {
                fw_dataset *ds = NULL;
                assert_ok(open_path(&ds, "o-?.gz",
                                    &(fw_dataset_opt){.batch = 1,
                                                      .training = training == 1,
                                                      .passes = 1,
                                                      .cycle_length = cycle,
                                                      .cache = cache == 1,
                                                      .folds = 5,
                                                      .fold = 1}));
                gathered g = gather(ds, N);
                assert_int_equal(g.n_batches, fw_dataset_count(ds));
                check_rows(&g, 0, g.n_batches);
                for (int64_t i = 0; i < g.n_batches; i++)
                    assert_int_equal(g.records[i] % 5 == 1, training == 0);
                free_gathered(&g);
                fw_dataset_free(ds);
            }
            if (cache == 0)
                continue;
            fw_dataset *packed = NULL, *plain = NULL;
            const fw_dataset_opt opt = {
                .batch = 12, .training = true, .seed = 5, .cycle_length = cycle, .cache = true};
            assert_ok(open_path(&packed, "o-?.gz", &opt));
            assert_ok(open_path(&plain, "o-plain", &opt));
            gathered a = gather(packed, 20), b = gather(plain, 20);
            assert_same(&a, 0, &b);
            free_gathered(&a);
            free_gathered(&b);
            fw_dataset_free(packed);
            fw_dataset_free(plain);
        }
}

static void test_compressed_passes(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "c-0.gz"), &images, 0, 25, FW_GZIP);
    write_records(temp_path(path, "c-1.gz"), &images, 25, N, FW_ZLIB);
    for (int64_t buffer = 1; buffer <= 100; buffer *= 10)
        for (int64_t cycle = 1; cycle <= 2; cycle++) {
            const fw_dataset_opt opt = {.batch = 12,
                                        .training = true,
                                        .seed = 5,
                                        .shuffle_buffer = buffer,
                                        .cycle_length = cycle,
                                        .threads = 2};
            fw_dataset *ds = NULL;
            assert_ok(open_path(&ds, "c-?.gz", &opt));
            assert_int_equal(fw_dataset_count(ds), N);
            gathered g = gather(ds, 20);
            for (int pass = 0; pass < 4; pass++)
                check_each_once(&g, pass * N, N);
            int64_t in_place = 0;
            for (int64_t i = 0; i < N; i++)
                in_place += g.records[i] == i;
            assert_true(buffer == 1 ? in_place == N : in_place < N / 2);
            if (buffer > 1) /* each pass has an order of its own */
                assert_memory_not_equal(g.records, g.records + N, N * sizeof *g.records);
            if (cycle == 1) { /* numbered as in the files */
                check_rows(&g, 0, 4 * N);
            } else { /* one record of each file in turn, then the rest of the longer */
                for (int64_t i = 0; i < 4 * N; i++) {
                    const int64_t r = g.records[i];
                    const int64_t at = r < 50 ? (r % 2 == 0 ? r / 2 : 25 + r / 2) : r;
                    assert_int_equal(g.labels[i], images.labels[at]);
                    assert_true(g.images[i * 90 + 7] ==
                                (float)((const uint8_t *)images.pixels)[at * 90 + 7]);
                }
            }
            for (int64_t skip = 19; skip > 0; skip -= 6) { /* resume replays */
                assert_ok(fw_dataset_seek(ds, 12 * skip));
                gathered rest = gather(ds, 20 - skip);
                assert_same(&g, skip, &rest);
                free_gathered(&rest);
            }
            free_gathered(&g);
            fw_dataset_free(ds);
        }
}

/* What the records do not say, the parser says: floats have no shape, and here is no sidecar. */
static void test_compressed_without_shape(void **state)
{
    (void)state;
    char path[128];
    fw_images floats = random_images(9, 6, 5, 3, FW_F32);
    write_records(temp_path(path, "bare.zz"), &floats, 0, 9, FW_ZLIB);
    fw_record_info info;
    assert_fails(fw_record_info_read(path, &info), FW_ESHAPE, "say height, width and channels");
    fw_dataset *ds = NULL;
    assert_ok(open_path(&ds, "bare.zz", &(fw_dataset_opt){.batch = 4}));
    assert_int_equal(fw_dataset_count(ds), 9);
    gathered g = gather(ds, 3);
    for (int64_t i = 0; i < 9 * 90; i++)
        assert_true(g.images[i] == ((const float *)floats.pixels)[i]);
    free_gathered(&g);
    fw_dataset_free(ds);
    assert_fails(fw_tfrecord_dataset(&ds, path, fw_parse_image_array(5, 5, 3), NULL,
                                     &(fw_dataset_opt){.batch = 4}),
                 FW_ESHAPE, "bare.zz: record 0 at byte 0");
    free_images(&floats);
}

static void test_shuffle_rule(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "rule.gz"), &images, 0, N, FW_GZIP);
    enum { CAP = 17 };
    const fw_dataset_opt opt = {.batch = N,
                                .training = true,
                                .seed = 99,
                                .shuffle_buffer = CAP,
                                .shards = 2,
                                .shard = 1,
                                .drop_pass_end = false};
    fw_dataset *ds = NULL;
    assert_ok(open_path(&ds, "rule.gz", &opt));
    assert_int_equal(fw_dataset_count(ds), N / 2);
    gathered g = gather(ds, 3);
    for (int64_t pass = 0; pass < 6; pass++) {
        int64_t held[CAP], n_held = 0, next = 0;
        while (n_held < CAP)
            held[n_held++] = 2 * next++ + 1;
        for (int64_t k = 0; k < N / 2; k++) {
            uint32_t words[4];
            fwi_rng_block(99, FWI_RNG_BUFFER, (uint32_t)pass, (uint64_t)k, 0, words);
            const uint32_t at = fwi_below(words[0], (uint32_t)n_held);
            assert_int_equal(g.records[pass * (N / 2) + k], held[at]);
            held[at] = next < N / 2 ? 2 * next++ + 1 : held[--n_held];
        }
    }
    free_gathered(&g);
    fw_dataset_free(ds);
}

static void test_compressed_ends(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "ends.gz"), &images, 0, N, FW_GZIP);
    fw_dataset *ds = NULL;
    assert_ok(open_path(&ds, "ends.gz", &(fw_dataset_opt){.batch = 25})); /* evaluation */
    gathered g = gather(ds, 9);
    assert_int_equal(g.n_batches, 3);
    assert_int_equal(g.valid[2], 10);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(g.records[i], i);
    check_rows(&g, 0, N);
    assert_int_equal(g.labels[N], -1);
    assert_true(g.images[N * 90] == 0.0f);
    free_gathered(&g);
    assert_ok(fw_dataset_seek(ds, 50));
    g = gather(ds, 9);
    assert_int_equal(g.records[0], 50);
    free_gathered(&g);
    fw_dataset_free(ds);

    const fw_dataset_opt drop = {.batch = 25,
                                 .training = true,
                                 .passes = 3,
                                 .drop_pass_end = true,
                                 .shuffle_buffer = 20,
                                 .threads = 2};
    assert_ok(open_path(&ds, "ends.gz", &drop));
    g = gather(ds, 99);
    assert_int_equal(g.n_batches, 6);
    fw_dataset_memory m;
    fw_dataset_memory_get(ds, &m);
    assert_in_range(m.shuffle, 20 * 90, 20 * 90 + 512 * 1024);
    assert_ok(fw_dataset_seek(ds, 50));
    gathered rest = gather(ds, 99);
    assert_same(&g, 2, &rest);
    free_gathered(&rest);
    free_gathered(&g);
    fw_dataset_free(ds);

    /* a cache makes an array of it: the order rule of files that can be sought in */
    fw_dataset_opt cached = {.batch = 25, .training = true, .seed = 8, .cache = true};
    assert_ok(open_path(&ds, "ends.gz", &cached));
    fw_dataset_memory_get(ds, &m);
    assert_int_equal(m.cache, N * (90 + 4));
    assert_int_equal(m.shuffle, 0);
    g = gather(ds, 10);
    fw_dataset_free(ds);
    assert_ok(fw_array_dataset(&ds, &images, NULL, &cached));
    rest = gather(ds, 10);
    assert_same(&g, 0, &rest);
    free_gathered(&rest);
    free_gathered(&g);
    fw_dataset_free(ds);
}

/* ---- what is wrong ---- */

static void flip_byte(const char *name, int64_t at)
{
    char path[128];
    FILE *f = fopen(temp_path(path, name), "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
    const int old = fgetc(f);
    assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(old ^ 0x10, f), old ^ 0x10);
    assert_int_equal(fclose(f), 0);
}

static int64_t record_bytes(const char *name)
{
    char path[128];
    FILE *f = fopen(temp_path(path, name), "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const int64_t n = ftell(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(n % N, 0); /* labels under 128: all records are of one size */
    return n / N;
}

static void test_damaged(void **state)
{
    (void)state;
    char path[128], place[128];
    write_records(temp_path(path, "bad"), &images, 0, N, FW_PLAIN);
    const int64_t bytes = record_bytes("bad");
    flip_byte("bad", 31 * bytes + 60);
    snprintf(place, sizeof place, "bad: record 31 at byte %lld", 31LL * bytes);
    for (int threads = 1; threads < 4; threads++) {
        fw_dataset *ds = NULL;
        assert_ok(open_path(&ds, "bad", &(fw_dataset_opt){.batch = 10, .threads = threads}));
        gathered g = gather(ds, 3);
        fw_batch b;
        for (int turn = 0; turn < 2; turn++) {
            assert_fails(fw_dataset_next(ds, &b), FW_EFORMAT, place);
            assert_fails(fw_dataset_next(ds, &b), FW_EFORMAT, "crc");
            assert_int_equal(fw_dataset_position(ds), 30);
        }
        assert_ok(fw_dataset_seek(ds, 40)); /* past it */
        assert_ok(fw_dataset_next(ds, &b));
        assert_int_equal(b.records[0], 40);
        flip_byte("bad", 31 * bytes + 60); /* repaired under our feet */
        assert_ok(fw_dataset_seek(ds, 30));
        assert_ok(fw_dataset_next(ds, &b));
        flip_byte("bad", 31 * bytes + 60);
        free_gathered(&g);
        fw_dataset_free(ds);
    }
    fw_dataset *ds = NULL;
    flip_byte("bad", 5 * bytes + 3); /* a length */
    assert_fails(open_path(&ds, "bad", &(fw_dataset_opt){.batch = 10}), FW_EFORMAT, "record 5");
    flip_byte("bad", 5 * bytes + 3);
    assert_int_equal(truncate(path, 20 * bytes - 1), 0);
    assert_fails(open_path(&ds, "bad", &(fw_dataset_opt){.batch = 10}), FW_EFORMAT, "record 19");
    assert_int_equal(truncate(path, 0), 0);
    assert_fails(open_path(&ds, "bad", &(fw_dataset_opt){.batch = 10}), FW_EFORMAT, "no records");
    assert_fails(open_path(&ds, "nowhere", &(fw_dataset_opt){.batch = 10}), FW_ENOTFOUND,
                 "nowhere");
    assert_null(ds);
}

static void test_wrong_content(void **state)
{
    (void)state;
    char path[128];
    fw_images wrong = images;
    wrong.h = 5;
    wrong.w = 6;
    write_records(temp_path(path, "w-0"), &images, 0, 9, FW_PLAIN);
    write_records(temp_path(path, "w-1"), &wrong, 9, 12, FW_PLAIN);
    fw_dataset *ds = NULL;
    assert_ok(open_path(&ds, "w-?", &(fw_dataset_opt){.batch = 4}));
    fw_batch b;
    assert_ok(fw_dataset_next(ds, &b));
    assert_ok(fw_dataset_next(ds, &b));
    assert_fails(fw_dataset_next(ds, &b), FW_ESHAPE, "w-1: record 0 at byte 0");
    assert_fails(fw_dataset_next(ds, &b), FW_ESHAPE, "5 x 6 x 3, expected 6 x 5 x 3");
    fw_dataset_free(ds);
    ds = NULL;
    assert_fails(open_path(&ds, "w-1", &(fw_dataset_opt){.batch = 4}), FW_ESHAPE, "record 0");

    int32_t labels[3] = {0, 200, -7};
    wrong = images;
    wrong.labels = labels;
    write_records(temp_path(path, "labels"), &wrong, 0, 3, FW_PLAIN);
    write_records(temp_path(path, "labels.gz"), &wrong, 0, 2, FW_GZIP);
    for (int i = 0; i < 2; i++) {
        const fw_dataset_opt opt = {.batch = 1, .threads = 1 + i};
        assert_ok(open_path(&ds, i == 0 ? "labels" : "labels.gz", &opt));
        assert_ok(fw_dataset_next(ds, &b));
        assert_ok(fwi_dataset_expect_classes(ds, 10));
        assert_fails(fw_dataset_next(ds, &b), FW_EFORMAT, "record 1 at byte ");
        assert_fails(fw_dataset_next(ds, &b), FW_EFORMAT, "label 200 is outside the 10 classes");
        assert_ok(fwi_dataset_expect_classes(ds, 201));
        assert_ok(fw_dataset_next(ds, &b));
        if (i == 0) /* the scan that counts compressed records would have refused it */
            assert_fails(fw_dataset_next(ds, &b), FW_EFORMAT, "label -7 is not between");
        fw_dataset_free(ds);
    }
    ds = NULL;
    fw_parser parser = {.kind = 9, .h = 6, .w = 5, .c = 3};
    assert_fails(fw_tfrecord_dataset(&ds, path, parser, NULL, &(fw_dataset_opt){.batch = 1}),
                 FW_EARG, "kind 9");
    assert_fails(fw_tfrecord_dataset(&ds, path, fw_parse_image_array(6, 5, 0), NULL,
                                     &(fw_dataset_opt){.batch = 1}),
                 FW_ESHAPE, "6x5x0");
    assert_null(ds);
}

/* What is let go says nothing any more: the caller's own message stays, whatever jobs made ahead fail at. */
static void test_message_stays(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "let-go.gz"), &images, 0, N, FW_GZIP);
    const fw_dataset_opt opt = {
        .batch = 5, .training = true, .shuffle_buffer = 5, .prefetch = 64, .threads = 3};
    for (int turn = 0; turn < 20; turn++) {
        fw_dataset *ds = NULL;
        fw_batch b;
        assert_ok(open_path(&ds, "let-go.gz", &opt));
        assert_ok(fw_dataset_next(ds, &b));
        assert_int_equal(truncate(path, 200 + 10 * turn), 0); /* the next pass fails */
        assert_fails(fw_dataset_next(NULL, &b), FW_EARG, "fw_dataset_next: NULL");
        if (turn % 2 == 0)
            assert_ok(fw_dataset_seek(ds, 0));
        else
            fw_dataset_free(ds);
        assert_string_equal(fw_last_error(), "fw_dataset_next: NULL argument");
        if (turn % 2 == 0)
            fw_dataset_free(ds);
        write_records(path, &images, 0, N, FW_GZIP);
    }
}

static void test_damaged_compressed(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "short.gz"), &images, 0, N, FW_GZIP);
    const fw_dataset_opt opt = {.batch = 10, .training = true, .shuffle_buffer = 15};
    fw_dataset *ds = NULL;
    assert_ok(open_path(&ds, "short.gz", &opt));
    fw_batch b;
    assert_ok(fw_dataset_next(ds, &b));
    write_records(path, &images, 0, 41, FW_GZIP); /* another file under the same name */
    assert_ok(fw_dataset_seek(ds, 0));
    fw_status st = FW_OK;
    int batches = 0;
    while ((st = fw_dataset_next(ds, &b)) == FW_OK)
        batches++;
    assert_int_equal(st, FW_EFORMAT);
    assert_non_null(strstr(fw_last_error(), "there are fewer records than the 60"));
    assert_in_range(batches, 1, 4);
    fw_images more = random_images(61, 6, 5, 3, FW_U8);
    write_records(path, &more, 0, 61, FW_GZIP);
    assert_ok(fw_dataset_seek(ds, 0));
    for (batches = 0; (st = fw_dataset_next(ds, &b)) == FW_OK; batches++)
        ;
    assert_int_equal(st, FW_EFORMAT);
    assert_non_null(strstr(fw_last_error(), "there are more records than the 60"));
    assert_in_range(batches, 1, 6);
    write_records(path, &images, 0, N, FW_GZIP); /* and all is well again */
    assert_ok(fw_dataset_seek(ds, 0));
    gathered g = gather(ds, 12);
    check_each_once(&g, 0, N);
    check_each_once(&g, N, N);
    free_gathered(&g);
    fw_dataset_free(ds);

    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    fclose(f);
    assert_int_equal(truncate(path, size / 2), 0);
    ds = NULL;
    assert_int_equal(open_path(&ds, "short.gz", &opt), FW_EFORMAT);
    assert_non_null(strstr(fw_last_error(), "short.gz"));
    assert_null(ds);
    free_images(&more);

    /* one type per compressed source */
    fw_images floats = random_images(4, 6, 5, 3, FW_F32);
    write_records(temp_path(path, "t-0.gz"), &images, 0, 4, FW_GZIP);
    write_records(temp_path(path, "t-1.gz"), &images, 0, 4, FW_GZIP);
    assert_ok(open_path(&ds, "t-?.gz", &(fw_dataset_opt){.batch = 2, .cycle_length = 1}));
    write_records(path, &floats, 0, 4, FW_GZIP); /* behind the scan's back */
    assert_ok(fw_dataset_next(ds, &b));
    assert_ok(fw_dataset_next(ds, &b));
    assert_fails(fw_dataset_next(ds, &b), FW_ESHAPE,
                 "t-1.gz: record 0 at byte 0: the image is float");
    fw_dataset_free(ds);
    free_images(&floats);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    char path[128];
    write_records(temp_path(path, "m.plain"), &images, 0, N, FW_PLAIN);
    write_records(temp_path(path, "m.gz"), &images, 0, N, FW_GZIP);
    const char *const names[] = {"m.plain", "m.gz"};
    for (int kind = 0; kind < 4; kind++) {
        const fw_dataset_opt opt = {
            .batch = 9, .training = true, .cache = kind >= 2, .threads = 1 + kind % 2};
        int64_t n = 1;
        for (;; n++) {
            fw_dataset *ds = NULL;
            fw_batch b;
            fwi_mem_fail_at(n);
            fw_status st = open_path(&ds, names[kind % 2], &opt);
            if (st == FW_OK && (st = fw_dataset_next(ds, &b)) != FW_OK) {
                assert_int_equal(st, FW_ENOMEM);
                fwi_mem_fail_at(0);
                assert_ok(fw_dataset_next(ds, &b));
            }
            fwi_mem_fail_at(0);
            fw_dataset_free(ds);
            if (st == FW_OK)
                break;
            assert_int_equal(st, FW_ENOMEM);
        }
        assert_in_range(n, 20, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_they_are_called),
        cmocka_unit_test(test_float_and_bytes),
        cmocka_unit_test(test_cache_is_used),
        cmocka_unit_test(test_cache_is_filled),
        cmocka_unit_test(test_compressed_passes),
        cmocka_unit_test(test_compressed_in_order),
        cmocka_unit_test(test_shuffle_rule),
        cmocka_unit_test(test_compressed_without_shape),
        cmocka_unit_test(test_compressed_ends),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_wrong_content),
        cmocka_unit_test(test_damaged_compressed),
        cmocka_unit_test(test_message_stays),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("dataset records", tests, make_images, drop_images);
}
