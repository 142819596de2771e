/* test_record_set.c: numbered access, interleaved streams, places in messages, and what they
 * allocate. */
#include "io_test.h"

#include "record_set.h"

#include <pthread.h>
#include <sys/resource.h>

/* count records "<tag>:<i>" padded to odd sizes. */
static void write_tagged(const char *path, char tag, int count, fw_compression z)
{
    fw_tfrecord_writer *w = NULL;
    assert_ok(fw_tfrecord_create(&w, path, z, 0));
    for (int i = 0; i < count; i++) {
        char text[64];
        memset(text, '.', sizeof text);
        snprintf(text, sizeof text, "%c:%d", tag, i);
        assert_ok(fw_tfrecord_put(w, text, 8 + (size_t)i % 40));
    }
    assert_ok(fw_tfrecord_commit(w));
}

static void numbered(void **state)
{
    (void)state;
    /* empty files at the start, in the middle and at the end */
    const int counts[] = {0, 3, 0, 0, 5, 1, 0};
    for (int f = 0; f < 7; f++) {
        char name[32];
        snprintf(name, sizeof name, "s-%05d-of-00007", f);
        write_tagged(in_dir(name), (char)('a' + f), counts[f], FW_PLAIN);
    }
    fwi_record_set *s = NULL;
    assert_ok(fwi_record_set_open(&s, in_dir("s@7")));
    assert_true(fwi_record_set_seekable(s));
    assert_int_equal(fwi_record_set_count(s), 9);
    assert_int_equal(fwi_record_set_files(s), 7);
    assert_true(fwi_record_set_memory(s) >= 9 * 8);
    const char *const want[] = {"b:0", "b:1", "b:2", "e:0", "e:1", "e:2", "e:3", "e:4", "f:0"};
    const size_t cap = fwi_record_set_max_bytes(s);
    assert_int_equal(cap, 8 + 4 + 4); /* record 4 of the longest file has 12 bytes, then its crc */
    uint8_t buf[64];
    const int64_t before = fwi_mem_count();
    for (int64_t i = 8; i >= 0; i--) {
        const uint8_t *data = NULL;
        size_t n = 0;
        assert_ok(fwi_record_set_read(s, i, buf, cap, &data, &n));
        assert_string_equal((const char *)data, want[i]);
    }
    assert_int_equal(fwi_mem_count(), before);
    char place[600];
    assert_non_null(strstr(fwi_record_set_place(s, 4, place, sizeof place),
                           "s-00004-of-00007: record 1 at byte 24"));
    assert_string_equal(fwi_record_set_place(s, 4, place, 5), place);
    assert_int_equal(strlen(place), 4);
    const uint8_t *data = NULL;
    size_t n = 0;
    assert_fails(fwi_record_set_read(s, 9, buf, cap, &data, &n), FW_EARG, "there are 9");
    assert_fails(fwi_record_set_read(s, -1, buf, cap, &data, &n), FW_EARG, "-1");
    assert_fails(fwi_record_set_read(s, 4, buf, 3, &data, &n), FW_EARG, "needs a buffer of 13");
    /* the file changes under the index */
    assert_int_equal(truncate(in_dir("s-00004-of-00007"), 30), 0);
    assert_fails(fwi_record_set_read(s, 4, buf, cap, &data, &n), FW_EFORMAT,
                 "s-00004-of-00007: record 1 at byte 24", "became shorter");
    fwi_record_set_close(s);
    fwi_record_set_close(NULL);
    unlink(in_dir("s-00003-of-00007"));
    assert_fails(fwi_record_set_open(&s, in_dir("s@7")), FW_ENOTFOUND, "s-00003-of-00007");
    assert_fails(fwi_record_set_open(&s, in_dir("none*")), FW_ENOTFOUND, "none*");
}

static void large_records_are_hopped_over(void **state)
{
    (void)state;
    fw_tfrecord_writer *w = NULL;
    uint8_t *big = calloc(1, 200000);
    assert_ok(fw_tfrecord_create(&w, in_dir("big"), FW_PLAIN, 0));
    for (int i = 0; i < 60; i++) /* long runs of both kinds, so that the scan changes its way */
        assert_ok(fw_tfrecord_put(w, big, i % 20 < 10 ? 200000 : (size_t)i));
    assert_ok(fw_tfrecord_commit(w));
    free(big);
    fwi_record_set *s = NULL;
    assert_ok(fwi_record_set_open(&s, in_dir("big")));
    assert_int_equal(fwi_record_set_count(s), 60);
    assert_int_equal(fwi_record_set_max_bytes(s), 200004);
    uint8_t *buf = malloc(200004);
    for (int64_t i = 0; i < 60; i++) {
        const uint8_t *data = NULL;
        size_t n = 0;
        assert_ok(fwi_record_set_read(s, i, buf, 200004, &data, &n));
        assert_int_equal(n, i % 20 < 10 ? 200000 : i);
    }
    free(buf);
    fwi_record_set_close(s);
}

/* More shards than the process may have descriptors. */
static void many_files(void **state)
{
    (void)state;
    enum { N = 300, FEW = 280 };
    fw_images im = random_images(N, 2, 2, 1, FW_U8, 5);
    struct rlimit all, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    few = all;
    few.rlim_cur = FEW;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_ok(fw_write_tfrecord(in_dir("many"), &im, &(fw_write_opt){.shards = N}));
    fwi_record_set *s = NULL;
    assert_ok(fwi_record_set_open(&s, in_dir("many@300")));
    assert_int_equal(fwi_record_set_count(s), N);
    const size_t cap = fwi_record_set_max_bytes(s);
    uint8_t *buf = malloc(cap);
    const uint8_t *data = NULL;
    size_t n = 0;
    const int64_t before = fwi_mem_count();
    for (int round = 0; round < 3; round++) /* what is opened for a read is closed after it */
        for (int64_t i = 0; i < N; i++) {
            assert_ok(fwi_record_set_read(s, i, buf, cap, &data, &n));
            assert_non_null(memmem(data, n, (const uint8_t *)im.pixels + 4 * i, 4));
        }
    assert_int_equal(fwi_mem_count(), before);
    assert_fails(fwi_record_set_read(s, N - 1, buf, 3, &data, &n), FW_EARG, "needs a buffer of");
    /* As good a file, with the same places and right crcs, is not the one that was counted. */
    assert_int_equal(rename(in_dir("many-00298-of-00300"), in_dir("many-00299-of-00300")), 0);
    assert_fails(fwi_record_set_read(s, N - 1, buf, cap, &data, &n), FW_EFORMAT,
                 "many-00299-of-00300: is no longer the file");
    assert_int_equal(unlink(in_dir("many-00299-of-00300")), 0);
    assert_fails(fwi_record_set_read(s, N - 1, buf, cap, &data, &n), FW_ENOTFOUND,
                 "many-00299-of-00300: cannot open");
    free(buf);
    fwi_record_set_close(s);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    fw_images_clear(&im);
}

typedef struct reader {
    const fwi_record_set *set;
    int64_t first;
    int bad;
} reader;

static void *read_part(void *arg)
{
    reader *r = arg;
    for (int round = 0; round < 20; round++)
        for (int64_t i = r->first; i < 300; i += 4) {
            uint8_t buf[64];
            char want[16];
            const uint8_t *data = NULL;
            size_t n = 0;
            snprintf(want, sizeof want, "a:%d", (int)i);
            if (fwi_record_set_read(r->set, i, buf, sizeof buf, &data, &n) != FW_OK ||
                strcmp((const char *)data, want) != 0)
                r->bad++;
        }
    return NULL;
}

static void several_threads(void **state)
{
    (void)state;
    write_tagged(in_dir("t"), 'a', 300, FW_PLAIN);
    fwi_record_set *s = NULL;
    assert_ok(fwi_record_set_open(&s, in_dir("t")));
    pthread_t threads[4];
    reader readers[4];
    for (int i = 0; i < 4; i++) {
        readers[i] = (reader){.set = s, .first = i};
        assert_int_equal(pthread_create(&threads[i], NULL, read_part, &readers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].bad, 0);
    }
    fwi_record_set_close(s);
}

static void expect_stream(fwi_record_stream *s, const char *const *want)
{
    const uint8_t *data = NULL;
    size_t n = 0;
    for (; *want != NULL; want++) {
        assert_ok(fwi_record_stream_next(s, &data, &n));
        assert_string_equal((const char *)data, *want);
    }
    assert_int_equal(fwi_record_stream_next(s, &data, &n), FW_END);
    assert_int_equal(fwi_record_stream_next(s, &data, &n), FW_END);
}

static void interleaved(void **state)
{
    (void)state;
    const fw_compression kinds[] = {FW_GZIP, FW_PLAIN, FW_ZLIB, FW_GZIP};
    const int counts[] = {4, 1, 0, 3};
    for (int f = 0; f < 4; f++) {
        char name[32];
        snprintf(name, sizeof name, "f%d", f);
        write_tagged(in_dir(name), (char)('a' + f), counts[f], kinds[f]);
    }
    const char *const one[] = {"a:0", "a:1", "a:2", "a:3", "b:0", "d:0", "d:1", "d:2", NULL};
    const char *const two[] = {"a:0", "b:0", "a:1", "d:0", "a:2", "d:1", "a:3", "d:2", NULL};
    const char *const all[] = {"a:0", "b:0", "d:0", "a:1", "d:1", "a:2", "d:2", "a:3", NULL};
    const struct {
        int64_t cycle;
        const char *const *want;
    } cases[] = {{0, one}, {1, one}, {2, two}, {4, all}, {9, all}};
    for (size_t k = 0; k < 5; k++) {
        fwi_record_stream *s = NULL;
        assert_ok(fwi_record_stream_open(&s, in_dir("f?"), cases[k].cycle));
        char place[600];
        assert_string_equal(fwi_record_stream_place(s, place, sizeof place), "");
        expect_stream(s, cases[k].want);
        assert_non_null(strstr(fwi_record_stream_place(s, place, sizeof place), ": record "));
        const int64_t before = fwi_mem_count();
        for (int pass = 0; pass < 3; pass++) {
            assert_ok(fwi_record_stream_rewind(s));
            expect_stream(s, cases[k].want);
        }
        assert_int_equal(fwi_mem_count(), before);
        /* in the middle of a pass too */
        const uint8_t *data = NULL;
        size_t n = 0;
        assert_ok(fwi_record_stream_rewind(s));
        assert_ok(fwi_record_stream_next(s, &data, &n));
        assert_ok(fwi_record_stream_next(s, &data, &n));
        assert_ok(fwi_record_stream_rewind(s));
        expect_stream(s, cases[k].want);
        assert_true(fwi_record_stream_memory(s) > 256 << 10);
        fwi_record_stream_close(s);
    }
    fwi_record_set *set = NULL;
    assert_ok(fwi_record_set_open(&set, in_dir("f?")));
    assert_false(fwi_record_set_seekable(set));
    assert_int_equal(fwi_record_set_count(set), -1);
    assert_int_equal(fwi_record_set_compression(set, 2), FW_ZLIB);
    uint8_t buf[64];
    const uint8_t *data = NULL;
    size_t n = 0;
    assert_fails(fwi_record_set_read(set, 0, buf, 64, &data, &n), FW_ESTATE, "by number");
    fwi_record_set_close(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbered, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(large_records_are_hopped_over, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(many_files, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(several_threads, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(interleaved, dir_setup, dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
