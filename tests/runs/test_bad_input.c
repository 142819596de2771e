/* test_bad_input.c: what is wrong with a file, a folder or a recipe is said with file, place and
 * reason, by the call that met it; nothing half-written stays behind. Model files: test_bad_model.c. */
#include "t_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N = 20, H = 5, W = 5, C = 1, CLASSES = 4 };

static fw_images images;

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    images = t_images(N, H, W, C, CLASSES, FW_U8);
    assert_ok(fw_write_tfrecord(t_path("good.tfrec"), &images, NULL));
    return 0;
}

static int drop_data(void **state)
{
    t_images_free(&images);
    return t_teardown(state);
}

/* CRC-32C bit by bit, masked as TFRecord files have it: not the library's own. */
static uint32_t masked_crc(const uint8_t *p, size_t n)
{
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

/* Where the records of a whole file begin; offsets[n] is its size. */
static int record_offsets(const t_bytes *b, size_t *offsets)
{
    int n = 0;
    size_t at = 0;
    while (at < b->n) {
        offsets[n++] = at;
        at += 16 + (size_t)(b->data[at] | b->data[at + 1] << 8);
    }
    assert_int_equal(at, b->n);
    offsets[n] = at;
    return n;
}

static const char *place_of(int record, size_t offset)
{
    static char text[64];
    snprintf(text, sizeof text, "record %d at byte %zu", record, offset);
    return text;
}

/* Reads all of a file as evaluation does, or as training does for a pass and a bit. */
static fw_status read_all(const char *path, bool training, bool cache)
{
    fw_dataset *ds = NULL;
    fw_batch b;
    fw_status st = fw_tfrecord_dataset(
        &ds, path, fw_parse_image_array(H, W, C), NULL,
        &(fw_dataset_opt){.batch = 3, .training = training, .cache = cache, .threads = 2});
    for (int i = 0; st == FW_OK && i < 10; i++)
        st = fw_dataset_next(ds, &b);
    fw_dataset_free(ds);
    return st == FW_END ? FW_OK : st;
}

/* ---- records ---- */

static void test_truncated_records(void **state)
{
    (void)state;
    const t_bytes b = t_read(t_path("good.tfrec"));
    size_t offsets[N + 1];
    assert_int_equal(record_offsets(&b, offsets), N);
    const char *path = t_path("cut.tfrec");
    for (size_t n = 1; n<b.n; n += n> offsets[2] && n + 7 < offsets[N - 1] ? 7 : 1) {
        t_write(path, b.data, n);
        int record = 0;
        while (offsets[record + 1] <= n)
            record++;
        for (int how = 0; how < 3; how++) {
            if (offsets[record] == n) { /* cut between records: a whole file of fewer */
                assert_ok(read_all(path, how == 1, how == 2));
                continue;
            }
            assert_bad(read_all(path, how == 1, how == 2), FW_EFORMAT, path,
                       place_of(record, offsets[record]), "bytes");
        }
    }
    free(b.data);
}

static void test_flipped_bits(void **state)
{
    (void)state;
    const t_bytes b = t_read(t_path("good.tfrec"));
    size_t offsets[N + 1];
    record_offsets(&b, offsets);
    const char *path = t_path("flipped.tfrec");
    for (size_t bit = 0; bit < 8 * b.n; bit += T_SANITIZED ? 151 : 37) {
        const size_t at = bit / 8;
        b.data[at] ^= (uint8_t)(1 << bit % 8);
        t_write(path, b.data, b.n);
        b.data[at] ^= (uint8_t)(1 << bit % 8);
        int record = 0;
        while (offsets[record + 1] <= at)
            record++;
        for (int how = 0; how < 3; how++)
            assert_bad(read_all(path, how == 1, how == 2), FW_EFORMAT, path,
                       place_of(record, offsets[record]), "crc");
    }
    free(b.data);
}

static void test_huge_lengths(void **state)
{
    (void)state;
    const t_bytes b = t_read(t_path("good.tfrec"));
    size_t offsets[N + 1];
    record_offsets(&b, offsets);
    const uint64_t lengths[] = {(uint64_t)1 << 63, ((uint64_t)1 << 63) - 1, UINT64_MAX,
                                UINT64_MAX - 15,   (uint64_t)1 << 40,       b.n};
    const char *path = t_path("huge.tfrec");
    for (size_t i = 0; i < T_COUNT(lengths); i++)
        for (int record = 0; record < N; record += N - 1) {
            uint8_t head[12], kept[12];
            memcpy(kept, b.data + offsets[record], sizeof kept);
            t_put_u64(head, lengths[i]);
            const uint32_t crc = masked_crc(head, 8); /* the right one: only the length is absurd */
            for (int k = 0; k < 4; k++)
                head[8 + k] = (uint8_t)(crc >> 8 * k);
            memcpy(b.data + offsets[record], head, sizeof head);
            t_write(path, b.data, b.n);
            memcpy(b.data + offsets[record], kept, sizeof kept);
            for (int how = 0; how < 3; how++)
                assert_bad(read_all(path, how == 1, how == 2), FW_EFORMAT, path,
                           place_of(record, offsets[record]), "");
            fw_record_summary s;
            assert_bad(fw_record_inspect(path, i % 2 == 0, &s), FW_EFORMAT, path,
                       place_of(record, offsets[record]), "");
        }
    free(b.data);
}

/* A compressed file says what zlib or the framing behind it found. */
static void test_damaged_gzip(void **state)
{
    (void)state;
    const char *path = t_path("z.tfrec");
    assert_ok(fw_write_tfrecord(path, &images, &(fw_write_opt){.compression = FW_GZIP}));
    assert_ok(read_all(path, true, false));
    const t_bytes b = t_read(path);
    for (size_t n = 20; n < b.n; n += 31) {
        t_write(path, b.data, n);
        assert_bad(read_all(path, false, false), FW_EFORMAT, path, NULL, "");
        assert_bad(read_all(path, true, false), FW_EFORMAT, path, NULL, "");
    }
    for (size_t at = 20; at < b.n; at += 31) {
        b.data[at] ^= 16;
        t_write(path, b.data, b.n);
        b.data[at] ^= 16;
        assert_bad(read_all(path, false, false), FW_EFORMAT, path, NULL, "");
    }
    free(b.data);
}

/* The records of a file, then one record of another. */
static void splice(const char *to, const char *most, const char *last)
{
    fw_tfrecord_writer *w = NULL;
    fw_tfrecord *r = NULL;
    const uint8_t *data = NULL;
    size_t n = 0;
    assert_ok(fw_tfrecord_create(&w, to, FW_PLAIN, 0));
    assert_ok(fw_tfrecord_open(&r, most));
    while (fw_tfrecord_next(r, &data, &n) == FW_OK)
        assert_ok(fw_tfrecord_put(w, data, n));
    fw_tfrecord_close(r);
    assert_ok(fw_tfrecord_open(&r, last));
    assert_ok(fw_tfrecord_next(r, &data, &n));
    assert_ok(fw_tfrecord_put(w, data, n));
    fw_tfrecord_close(r);
    assert_ok(fw_tfrecord_commit(w));
}

static void test_images_of_another_size(void **state)
{
    (void)state;
    fw_images other = t_images(1, H + 1, W, C, CLASSES, FW_U8);
    for (int as_float = 0; as_float < 2; as_float++) {
        char good[600], odd[600], path[600];
        snprintf(good, sizeof good, "%s", t_path("all-%d.tfrec", as_float));
        snprintf(odd, sizeof odd, "%s", t_path("odd-%d.tfrec", as_float));
        snprintf(path, sizeof path, "%s", t_path("mixed-%d.tfrec", as_float));
        const fw_write_opt opt = {.as_float = as_float != 0};
        assert_ok(fw_write_tfrecord(good, &images, &opt));
        assert_ok(fw_write_tfrecord(odd, &other, &opt));
        splice(path, good, odd);
        assert_bad(read_all(odd, false, false), FW_ESHAPE, odd, "record 0", "5 x 5 x 1");
        for (int how = 0; how < 3; how++)
            assert_bad(read_all(path, how == 1, how == 2), FW_ESHAPE, path, "record 20",
                       "5 x 5 x 1");
    }
    t_images_free(&other);
    /* What is no Example at all. */
    fw_tfrecord_writer *w = NULL;
    const char *path = t_path("text.tfrec");
    assert_ok(fw_tfrecord_create(&w, path, FW_PLAIN, 0));
    assert_ok(fw_tfrecord_put(w, "not an example", 14));
    assert_ok(fw_tfrecord_commit(w));
    assert_bad(read_all(path, false, false), FW_EFORMAT, path, "record 0", "");
}

static void test_labels_outside_the_classes(void **state)
{
    (void)state;
    fw_images odd = t_images(N, H, W, C, CLASSES + 3, FW_U8);
    for (int i = 0; i < N; i++)
        odd.labels[i] = i == 13 ? 6 : i % CLASSES;
    const char *path = t_path("labels.tfrec");
    assert_ok(fw_write_tfrecord(path, &odd, NULL));
    fw_dataset *train = NULL, *test = NULL, *memory = NULL;
    const fw_parser parser = fw_parse_image_array(H, W, C);
    const fw_dataset_opt training = {.batch = 5, .training = true};
    assert_ok(fw_tfrecord_dataset(&train, path, parser, NULL, &training));
    assert_ok(fw_tfrecord_dataset(&test, path, parser, NULL, &(fw_dataset_opt){.batch = 6}));
    assert_ok(fw_array_dataset(&memory, &odd, NULL, &training));
    for (int i = 0; i < 2; i++) {
        fw_estimator *e = NULL;
        fw_metrics m;
        assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                   &(fw_estimator_opt){.work_dir = t_path("labels-%d", i)}));
        if (i == 0)
            assert_bad(fw_estimator_train(e, train, 4), FW_EFORMAT, path, "record 13",
                       "label 6 is outside the 4 classes");
        else
            assert_bad(fw_estimator_train(e, memory, 4), FW_EFORMAT, "memory", "record 13",
                       "label 6 is outside the 4 classes");
        assert_bad(fw_estimator_evaluate(e, test, &m), FW_EFORMAT, path, "record 13", "label 6");
        assert_false(t_exists(t_path("labels-%d/model.safetensors", i)));
        fw_estimator_free(e);
    }
    fw_dataset_free(train);
    fw_dataset_free(test);
    fw_dataset_free(memory);
    t_images_free(&odd);
}

/* In the middle of a run: the steps before are kept, and the message reaches the caller. */
static void test_damage_met_while_training(void **state)
{
    (void)state;
    const t_bytes b = t_read(t_path("good.tfrec"));
    size_t offsets[N + 1];
    record_offsets(&b, offsets);
    const char *path = t_path("later.tfrec"), *dir = t_path("later");
    b.data[offsets[18] + 30] ^= 1;
    t_write(path, b.data, b.n);
    free(b.data);
    fw_dataset *ds = NULL;
    assert_ok(
        fw_tfrecord_dataset(&ds, path, fw_parse_image_array(H, W, C), NULL,
                            &(fw_dataset_opt){.batch = 2, .training = true, .no_shuffle = true}));
    for (int threads = 1; threads <= 2; threads++) {
        t_trace trace = {0};
        fw_estimator *e = NULL;
        assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                   &(fw_estimator_opt){.work_dir = dir,
                                                       .threads = threads,
                                                       .checkpoint_every = 1,
                                                       .keep = 1,
                                                       .fresh = threads == 1,
                                                       .progress = t_record,
                                                       .progress_user = &trace}));
        assert_bad(fw_estimator_train(e, ds, 15), FW_EFORMAT, path, place_of(18, offsets[18]),
                   "data crc");
        assert_int_equal(fw_estimator_step(e), 9);
        assert_int_equal(trace.n, threads == 1 ? 9 : 0); /* the second resumed at the damage */
        fw_estimator_free(e);
        assert_true(t_exists(t_path("later/checkpoint-00000009.safetensors")));
        assert_false(t_exists(t_path("later/model.safetensors")));
    }
    fw_dataset_free(ds);
}

/* What the files of a run would have to say, and JSON cannot: refused before the first step. */
static void test_text_that_is_not_utf8(void **state)
{
    (void)state;
    static const char *const names[CLASSES] = {"a", "b\xE9", "c", "d"}, *const gap[CLASSES] = {
                                                                            "a", "b", NULL, "d"};
    fw_estimator *e = NULL;
    assert_bad(
        fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                         &(fw_estimator_opt){.class_names = names, .n_class_names = CLASSES}),
        FW_EARG, "class name 1", "not UTF-8", "");
    assert_null(e);
    assert_bad(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                &(fw_estimator_opt){.class_names = gap, .n_class_names = CLASSES}),
               FW_EARG, "class name 2", "NULL", "");
    const char *path = t_path("r\xE9"
                              "cords.tfrec");
    char sidecar[1024];
    assert_ok(fw_write_tfrecord(path, &images, NULL));
    snprintf(sidecar, sizeof sidecar, "%s.json", path);
    assert_int_equal(unlink(sidecar),
                     0); /* it would say what the images are, whatever their file is called */
    fw_dataset *ds = NULL;
    const fw_dataset_opt training = {.batch = 5, .training = true};
    assert_ok(fw_tfrecord_dataset(&ds, path, fw_parse_image_array(H, W, C), NULL, &training));
    t_trace trace = {0};
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                               &(fw_estimator_opt){.work_dir = t_path("utf8"),
                                                   .progress = t_record,
                                                   .progress_user = &trace}));
    assert_bad(fw_estimator_train(e, ds, 4), FW_EARG, "config.json", "\"data\" is not UTF-8",
               "cords.tfrec");
    assert_int_equal(trace.n, 0);
    fw_estimator_free(e);
    fw_dataset_free(ds);
}

/* ---- .npy ---- */

static void test_npy_headers(void **state)
{
    (void)state;
#define HEAD        "\x93NUMPY\1\0"
#define SAYS(shape) "{'descr': '|u1', 'fortran_order': False, 'shape': " shape ", }"
    static const struct {
        const char *start;
        const char *dict;
        size_t data;
        const char *reason;
    } cases[] = {
        {"\x93NUMPX\1\0", SAYS("(2, 3, 3)"), 18, "no .npy"},
        {"\x93NUMPY\7\0", SAYS("(2, 3, 3)"), 18, "version 7.0"},
        {HEAD, "{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3, 3), }", 144, "<c8"},
        {HEAD, "{'descr': '|u1', 'fortran_order': maybe, 'shape': (2, 3, 3), }", 18, "expected"},
        {HEAD, "{'descr': '|u1', 'fortran_order': False, }", 18, "no shape"},
        {HEAD, "{'fortran_order': False, 'shape': (2, 3, 3), }", 18, "no descr"},
        {HEAD, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 3", 18, "expected"},
        {HEAD, SAYS("(2, -3, 3)"), 18, "header, byte"},
        {HEAD, SAYS("(0, 3, 3)"), 0, "empty"},
        {HEAD, SAYS("(4611686018427387904, 4611686018427387904, 3)"), 18, "more bytes"},
        {HEAD, SAYS("(99999999999999999999, 3, 3)"), 18, ""},
        {HEAD, SAYS("(2, 3, 3)"), 17, ""}, /* cut off */
        {HEAD, SAYS("(2000000, 300, 300)"), 17, ""},
        {HEAD, "import os", 18, "expected"},
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        uint8_t file[512] = {0};
        const char *path = t_path("bad-%d.npy", (int)i);
        const size_t n = strlen(cases[i].dict) + 1;
        memcpy(file, cases[i].start, 8);
        file[8] = (uint8_t)n;
        memcpy(file + 10, cases[i].dict, n - 1);
        file[10 + n - 1] = '\n';
        t_write(path, file, 10 + n + cases[i].data);
        fw_images im = {0}, none = {0};
        fw_status st = fw_npy_load(path, NULL, NULL, &im);
        for (int way = 0; way < 2; way++) {
            if ((st != FW_EFORMAT && st != FW_ESHAPE) || strstr(fw_last_error(), path) == NULL ||
                strstr(fw_last_error(), cases[i].reason) == NULL)
                fail_msg("case %zu: %s: %s", i, fw_status_name(st), fw_last_error());
            assert_int_equal(im.n, 0);
            st = fw_import(path, NULL, &im, &none);
            if (st == FW_ENOTFOUND && i == 0)
                break; /* by its first bytes it is nothing that is known */
        }
    }
    /* A header that is cut off at any place. */
    const char *dict = SAYS("(1, 2, 2)"), *path = t_path("short.npy");
    uint8_t file[256] = HEAD;
    const size_t n = strlen(dict);
    file[8] = (uint8_t)n;
    memcpy(file + 10, dict, n);
    for (size_t cut = 0; cut < 10 + n + 4; cut++) {
        t_write(path, file, cut);
        fw_images im = {0};
        const fw_status st = fw_npy_load(path, NULL, NULL, &im);
        if (st != FW_EFORMAT || strstr(fw_last_error(), path) == NULL)
            fail_msg("cut at %zu: %s: %s", cut, fw_status_name(st), fw_last_error());
    }
}

/* ---- what is not there, and what cannot be written ---- */

static void test_missing_files(void **state)
{
    (void)state;
    const char *none = t_path("no-such-thing");
    fw_images a = {0}, b = {0};
    fw_dataset *ds = NULL;
    fw_model *m = NULL;
    fw_recipe *r = NULL;
    fw_tfrecord *t = NULL;
    fw_record_info info;
    char *text = NULL;
    assert_bad(read_all(none, true, false), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_tfrecord_dataset(&ds, t_path("no-*.tfrec"), fw_parse_image_array(H, W, C), NULL,
                                   &(fw_dataset_opt){.batch = 1}),
               FW_ENOTFOUND, "no-*.tfrec", NULL, "");
    assert_bad(fw_tfrecord_dataset(&ds, t_path("good.tfrec@3"), fw_parse_image_array(H, W, C), NULL,
                                   &(fw_dataset_opt){.batch = 1}),
               FW_ENOTFOUND, "good.tfrec-0000", NULL, "");
    assert_bad(fw_tfrecord_open(&t, none), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_record_info_read(none, &info), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_npy_load(none, NULL, NULL, &a), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_csv_load(none, NULL, &a), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_idx_load(none, NULL, &a), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_cifar10_load(none, &a, &b), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_import(none, NULL, &a, &b), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_model_open(&m, none, NULL), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_safetensors_inspect(none, false, &text), FW_ENOTFOUND, none, NULL, "");
    assert_bad(fw_recipe_open(&r, t_path("no.recipe")), FW_ENOTFOUND, "no.recipe", NULL, "");
    assert_bad(fw_recipe_open(&r, "digit"), FW_ENOTFOUND, "digit", NULL, "digits");
    assert_null(ds);
    assert_null(m);
    assert_null(r);
    assert_null(t);
}

/* Each way to write into `dir` fails with FW_EIO, naming it; what is there stays as it is. */
static void assert_nothing_can_be_written(const char *dir)
{
    char path[1200];
    fw_tfrecord_writer *w = NULL;
    snprintf(path, sizeof path, "%s/new.tfrec", dir);
    assert_bad(fw_write_tfrecord(path, &images, NULL), FW_EIO, dir, NULL, "");
    assert_bad(fw_write_tfrecord(path, &images, &(fw_write_opt){.shards = 3}), FW_EIO, dir, NULL,
               "");
    assert_bad(fw_tfrecord_create(&w, path, FW_PLAIN, 0), FW_EIO, dir, NULL, "");
    fw_dataset *ds = NULL;
    fw_estimator *e = NULL;
    assert_ok(
        fw_array_dataset(&ds, &images, NULL, &(fw_dataset_opt){.batch = 5, .training = true}));
    fw_status st = fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                    &(fw_estimator_opt){.work_dir = dir});
    if (st == FW_OK)
        st = fw_estimator_train(e, ds, 2);
    assert_bad(st, FW_EIO, dir, NULL, "");
    fw_estimator_free(e);
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1), NULL));
    assert_ok(fw_estimator_train(e, ds, 2));
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_bad(fw_estimator_save(e, path), FW_EIO, dir, NULL, "");
    fw_estimator_free(e);
    fw_dataset_free(ds);
}

static void test_unwritable_folder(void **state)
{
    (void)state;
    char *before = t_listing(t_path("."));
    assert_nothing_can_be_written(t_path("good.tfrec")); /* a file where a folder should be */
    assert_nothing_can_be_written("/proc/self");         /* nobody may, not even root */
    const char *locked = t_path("locked");
    if (geteuid() != 0) {
        assert_int_equal(mkdir(locked, 0500), 0);
        assert_nothing_can_be_written(locked);
        assert_int_equal(rmdir(locked), 0); /* it is empty */
    }
    char *after = t_listing(t_path("."));
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* ---- recipes ---- */

static void test_recipe_keys(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    static const struct {
        const char *text, *line, *nearest;
    } cases[] = {
        {"[train]\nepochs = 3\n\nepoch = 4\n", "line 4", "epochs"},
        {"[train]\nweight_deccay = 4\n", "line 2", "weight_decay"},
        {"[trian]\nepochs = 3\n", "", "train"},
        {"[network]\nlayer = conv_bm 32\n", "line 2", "conv_bn"},
        {"[augment]\ntransform = cutuot 8 8\n", "line 2", "cutout"},
        {"[train]\noptimizer = sdg\n", "line 2", "sgd"},
        {"[train]\nepochs = many\n", "line 2", "many"},
        {"[train]\nepochs = -1\n", "line 2", "-1"},
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        fw_status st = fw_recipe_parse(&r, cases[i].text, "my.recipe");
        if (st == FW_OK) /* a layer's or transform's own words are read when they are needed */
            st = fw_recipe_check(r, NULL);
        if (st == FW_OK || strstr(fw_last_error(), "my.recipe") == NULL ||
            strstr(fw_last_error(), cases[i].line) == NULL ||
            strstr(fw_last_error(), cases[i].nearest) == NULL)
            fail_msg("case %zu: %s: %s", i, fw_status_name(st), fw_last_error());
        fw_recipe_free(r);
        r = NULL;
    }
    assert_ok(fw_recipe_open(&r, "digits"));
    assert_fails(fw_recipe_set(r, "train.epoch", "3"), FW_ENOTFOUND, "train.epochs");
    assert_fails(fw_recipe_set(r, "momentun", "3"), FW_ENOTFOUND, "momentum");
    assert_null(fw_recipe_get(r, "nothing.like.it"));
    char *before = t_listing(t_path("."));
    fw_run_result result;
    assert_int_not_equal(
        fw_recipe_run(r, &(fw_run_opt){.data = t_path("nowhere"), .out = t_path("out")}, &result),
        FW_OK);
    assert_non_null(strstr(fw_last_error(), "nowhere"));
    char *after = t_listing(t_path("."));
    assert_string_equal(before, after);
    free(before);
    free(after);
    fw_recipe_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated_records),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_huge_lengths),
        cmocka_unit_test(test_damaged_gzip),
        cmocka_unit_test(test_images_of_another_size),
        cmocka_unit_test(test_labels_outside_the_classes),
        cmocka_unit_test(test_damage_met_while_training),
        cmocka_unit_test(test_text_that_is_not_utf8),
        cmocka_unit_test(test_npy_headers),
        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_unwritable_folder),
        cmocka_unit_test(test_recipe_keys),
    };
    return cmocka_run_group_tests_name("bad input", tests, make_data, drop_data);
}
