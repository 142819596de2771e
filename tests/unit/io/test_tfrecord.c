/* test_tfrecord.c: framing. Known bytes, round trips in every compression, and damage of every
 * kind. */
#include "io_test.h"

#include "bytes.h"
#include "crc32c.h"
#include "record_set.h"
#include "tfrecord.h"

#include <zlib.h>

static const uint8_t hello[] = {5,    0,   0,   0,   0,   0,   0,    0,    0xea, 0xb2, 0x04,
                                0x3e, 'h', 'e', 'l', 'l', 'o', 0xbb, 0x1f, 0x1c, 0x19};

static void known_bytes(void **state)
{
    (void)state;
    fw_tfrecord_writer *w = NULL;
    assert_ok(fw_tfrecord_create(&w, in_dir("hello"), FW_PLAIN, 0));
    assert_ok(fw_tfrecord_put(w, "hello", 5));
    assert_ok(fw_tfrecord_commit(w));
    size_t n = 0;
    uint8_t *p = read_bytes(in_dir("hello"), &n);
    assert_int_equal(n, sizeof hello);
    assert_memory_equal(p, hello, n);
    free(p);
    fw_tfrecord *r = NULL;
    const uint8_t *data = NULL;
    assert_ok(fw_tfrecord_open(&r, in_dir("hello")));
    assert_ok(fw_tfrecord_next(r, &data, &n));
    assert_int_equal(n, 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(fw_tfrecord_next(r, &data, &n), FW_END);
    assert_int_equal(fw_tfrecord_next(r, &data, &n), FW_END);
    fw_tfrecord_close(r);
    fw_tfrecord_close(NULL);
}

static size_t record_size(int64_t i)
{
    return i % 7 == 0 ? 0 : i == 40 ? 300001 : random_word((uint64_t)i) % 5000;
}

static void fill(uint8_t *p, int64_t i)
{
    for (size_t k = 0; k < record_size(i); k++)
        p[k] = (uint8_t)(i * 31 + (int64_t)(k * k >> 3));
}

static void write_many(const char *path, fw_compression z, int level, int64_t first, int64_t count)
{
    uint8_t *p = malloc(300001);
    fw_tfrecord_writer *w = NULL;
    assert_ok(fw_tfrecord_create(&w, path, z, level));
    for (int64_t i = first; i < first + count; i++) {
        fill(p, i);
        assert_ok(fw_tfrecord_put(w, p, record_size(i)));
    }
    assert_ok(fw_tfrecord_commit(w));
    free(p);
}

static void expect_many(fw_tfrecord *r, int64_t first, int64_t count)
{
    uint8_t *p = malloc(300001);
    const uint8_t *data = NULL;
    size_t n = 0;
    for (int64_t i = first; i < first + count; i++) {
        assert_ok(fw_tfrecord_next(r, &data, &n));
        fill(p, i);
        assert_int_equal(n, record_size(i));
        assert_memory_equal(data, p, n);
    }
    assert_int_equal(fw_tfrecord_next(r, &data, &n), FW_END);
    free(p);
}

static void round_trips(void **state)
{
    (void)state;
    const int64_t counts[] = {0, 1, 7, 100};
    for (int z = FW_PLAIN; z <= FW_ZLIB; z++)
        for (int level = 0; level <= 9; level += 3)
            for (size_t k = 0; k < 4; k++) {
                write_many(in_dir("trip"), (fw_compression)z, level, 0, counts[k]);
                fw_tfrecord *r = NULL;
                assert_ok(fw_tfrecord_open(&r, in_dir("trip")));
                expect_many(r, 0, counts[k]);
                if (counts[k] > 0)
                    assert_int_equal(fwi_tfrecord_compression(r), z);
                fw_tfrecord_close(r);
            }
}

/* gzip members one after the other, as `cat a b > c` makes them. */
static void concatenated(void **state)
{
    (void)state;
    for (int z = FW_GZIP; z <= FW_ZLIB; z++) {
        write_many(in_dir("m0"), (fw_compression)z, 0, 0, 30);
        write_many(in_dir("m1"), (fw_compression)z, 0, 30, 25);
        size_t a = 0, b = 0;
        uint8_t *p = read_bytes(in_dir("m0"), &a), *q = read_bytes(in_dir("m1"), &b);
        p = realloc(p, a + b);
        memcpy(p + a, q, b);
        write_bytes(in_dir("both"), p, a + b);
        fw_tfrecord *r = NULL;
        assert_ok(fw_tfrecord_open(&r, in_dir("both")));
        expect_many(r, 0, 55);
        fw_tfrecord_close(r);
        p[a] ^= 0xff; /* something behind the first member that is no member */
        write_bytes(in_dir("both"), p, a + b);
        assert_ok(fw_tfrecord_open(&r, in_dir("both")));
        const uint8_t *data = NULL;
        size_t n = 0;
        fw_status st;
        while ((st = fw_tfrecord_next(r, &data, &n)) == FW_OK)
            ;
        assert_fails(st, FW_EFORMAT, "both", "record 30", "damaged");
        fw_tfrecord_close(r);
        free(p);
        free(q);
    }
}

/* Reads to the end or to an error; both ways of reading must agree on the status. */
static fw_status read_all(const char *path, int64_t *count)
{
    fw_tfrecord *r = NULL;
    const uint8_t *data = NULL;
    size_t n = 0;
    *count = 0;
    fw_status st = fw_tfrecord_open(&r, path);
    while (st == FW_OK && (st = fw_tfrecord_next(r, &data, &n)) == FW_OK)
        ++*count;
    fw_tfrecord_close(r);
    return st;
}

static fw_status read_all_indexed(const char *path)
{
    fwi_record_set *s = NULL;
    fw_status st = fwi_record_set_open(&s, path);
    if (st != FW_OK)
        return st;
    const size_t cap = fwi_record_set_max_bytes(s);
    uint8_t *buf = malloc(cap + 1);
    for (int64_t i = 0; st == FW_OK && i < fwi_record_set_count(s); i++) {
        const uint8_t *data = NULL;
        size_t n = 0;
        st = fwi_record_set_read(s, i, buf, cap, &data, &n);
    }
    free(buf);
    fwi_record_set_close(s);
    return st == FW_OK ? FW_END : st;
}

static void every_flipped_bit(void **state)
{
    (void)state;
    uint8_t three[3 * sizeof hello];
    for (int i = 0; i < 3; i++)
        memcpy(three + i * (int)sizeof hello, hello, sizeof hello);
    int refused = 0;
    for (size_t bit = 0; bit < 8 * sizeof three; bit++) {
        three[bit / 8] ^= (uint8_t)(1u << bit % 8);
        write_bytes(in_dir("flip"), three, sizeof three);
        int64_t count = 0;
        const size_t record = bit / 8 / sizeof hello;
        char place[64];
        snprintf(place, sizeof place, ": record %zu at byte %zu: ", record, record * sizeof hello);
        const bool in_length = bit / 8 % sizeof hello < 12;
        /* a first byte changed to a gzip or zlib mark would be another story; none of these is one
         */
        assert_fails(read_all(in_dir("flip"), &count), FW_EFORMAT, "flip: ", place,
                     in_length ? "length crc is" : "data crc is", "file says");
        assert_int_equal(count, record);
        assert_fails(read_all_indexed(in_dir("flip")), FW_EFORMAT, place);
        three[bit / 8] ^= (uint8_t)(1u << bit % 8);
        refused++;
    }
    assert_int_equal(refused, 8 * sizeof three);
}

/* What is no TFRecord file at all is said to be none, and what it looks like. */
static void other_files(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *looks;
    } files[] = {
        {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, "but a PNG image: "},
        {"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1", 13, "but a JPEG image: "},
        {"\x93NUMPY\1\0\x76\0{'descr'", 17, "but a NumPy array: "},
        {"PK\3\4\x14\0\0\0\0\0\0\0\0", 13, "but a zip archive: "},
        {"\x40\0\0\0\0\0\0\0{\"__metadata__\":", 24, "but a safetensors file: "},
        {"label,0,1,2,3\n5,0,0,1,2\n", 24, "but text: "},
        {"5,0\n", 4, "but text: "},
        {"\x13\x88\xc2\x77\x80\x91\xa2\xb3\xc4\xd5\xe6\xf7", 12, ", or its beginning is damaged: "},
    };
    int64_t count = 0;
    for (int i = 0; i < (int)(sizeof files / sizeof *files); i++) {
        write_bytes(in_dir("other"), files[i].bytes, files[i].n);
        assert_fails(read_all(in_dir("other"), &count), FW_EFORMAT, "other: is no TFRecord file",
                     files[i].looks, "record 0 at byte 0: ");
        assert_fails(read_all_indexed(in_dir("other")), FW_EFORMAT, "other: is no TFRecord file",
                     files[i].looks, "record 0 at byte 0: ");
    }
    gzFile z = gzopen(in_dir("packed"), "wb");
    assert_int_equal(gzwrite(z, "some text, and not a record", 27), 27);
    assert_int_equal(gzclose(z), Z_OK);
    assert_fails(read_all(in_dir("packed"), &count), FW_EFORMAT,
                 "packed: is no TFRecord file but text, compressed by gzip: record 0 at byte 0: ");
}

static void every_truncation(void **state)
{
    (void)state;
    uint8_t two[2 * sizeof hello];
    memcpy(two, hello, sizeof hello);
    memcpy(two + sizeof hello, hello, sizeof hello);
    for (size_t n = 0; n <= sizeof two; n++) {
        write_bytes(in_dir("cut"), two, n);
        int64_t count = 0;
        const fw_status st = read_all(in_dir("cut"), &count);
        assert_int_equal(count, n / sizeof hello);
        if (n % sizeof hello == 0) {
            assert_int_equal(st, FW_END);
            assert_int_equal(read_all_indexed(in_dir("cut")), FW_END);
        } else {
            char place[64];
            snprintf(place, sizeof place, "cut: record %zu at byte %zu: ", n / sizeof hello,
                     n / sizeof hello * sizeof hello);
            assert_fails(st, FW_EFORMAT, place, n % sizeof hello < 12 ? "cut off" : "are left");
            assert_fails(read_all_indexed(in_dir("cut")), FW_EFORMAT, place);
        }
    }
}

static void compressed_damage(void **state)
{
    (void)state;
    for (int z = FW_GZIP; z <= FW_ZLIB; z++) {
        write_many(in_dir("z"), (fw_compression)z, 0, 0, 20);
        size_t n = 0;
        uint8_t *p = read_bytes(in_dir("z"), &n);
        int refused = 0;
        for (size_t keep = 2; keep < n; keep += 1 + n / 97) {
            write_bytes(in_dir("zcut"), p, keep);
            int64_t count = 0;
            assert_fails(read_all(in_dir("zcut"), &count), FW_EFORMAT, "zcut", "record ",
                         "at byte ", "ends too early");
            refused++;
        }
        for (size_t at = 20; at < n; at += 1 + n / 53) {
            p[at] ^= 0x55;
            write_bytes(in_dir("zflip"), p, n);
            int64_t count = 0;
            assert_fails(read_all(in_dir("zflip"), &count), FW_EFORMAT, "zflip", "record ",
                         "at byte ");
            p[at] ^= 0x55;
            refused++;
        }
        assert_true(refused > 100);
        free(p);
    }
}

static void hostile_lengths(void **state)
{
    (void)state;
    const uint64_t lengths[] = {(uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 3,
                                (uint64_t)1 << 40, 0x7fffffff, 1000};
    for (int z = FW_PLAIN; z <= FW_GZIP; z++)
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            uint8_t b[sizeof hello + 12 + 40] = {0};
            memcpy(b, hello, sizeof hello);
            fwi_put_le64(b + sizeof hello, lengths[k]);
            fwi_put_le32(b + sizeof hello + 8, fwi_crc32c_masked(b + sizeof hello, 8));
            char length[40];
            snprintf(length, sizeof length, "%llu", (unsigned long long)lengths[k]);
            if (z == FW_PLAIN) {
                write_bytes(in_dir("long"), b, sizeof b);
            } else {
                gzFile f = gzopen(in_dir("long"), "wb");
                assert_int_equal(gzwrite(f, b, sizeof b), sizeof b);
                gzclose(f);
            }
            int64_t count = 0;
            const fw_status st = read_all(in_dir("long"), &count);
            if (z == FW_PLAIN) {
                assert_fails(st, FW_EFORMAT, "long: record 1 at byte 21: length is ", length,
                             "only 40 bytes are left");
                assert_fails(read_all_indexed(in_dir("long")), FW_EFORMAT,
                             "long: record 1 at byte 21: length is ", length);
            } else if (lengths[k] > INT32_MAX) {
                assert_fails(st, FW_EFORMAT, "long: record 1 at byte 21: length is ", length,
                             "at most 2147483647 are read");
            } else {
                assert_fails(st, FW_EFORMAT, "long: record 1 at byte 21: ends after 40 of");
            }
            assert_int_equal(count, 1);
        }
}

static void stays_failed(void **state)
{
    (void)state;
    uint8_t b[2 * sizeof hello];
    memcpy(b, hello, sizeof hello);
    memcpy(b + sizeof hello, hello, sizeof hello);
    b[13] ^= 1;
    write_bytes(in_dir("bad"), b, sizeof b);
    fw_tfrecord *r = NULL;
    const uint8_t *data = NULL;
    size_t n = 0;
    assert_ok(fw_tfrecord_open(&r, in_dir("bad")));
    assert_fails(fw_tfrecord_next(r, &data, &n), FW_EFORMAT, "record 0 at byte 0");
    assert_fails(fw_tfrecord_next(r, &data, &n), FW_EFORMAT, "stopped at record 0");
    fw_tfrecord_close(r);
}

static void wrong_calls(void **state)
{
    (void)state;
    fw_tfrecord *r = NULL;
    fw_tfrecord_writer *w = NULL;
    assert_fails(fw_tfrecord_open(NULL, "x"), FW_EARG, "NULL");
    assert_fails(fw_tfrecord_open(&r, NULL), FW_EARG, "NULL");
    assert_fails(fw_tfrecord_open(&r, in_dir("none")), FW_ENOTFOUND, "none");
    assert_fails(fw_tfrecord_open(&r, test_dir), FW_EIO, "folder");
    assert_fails(fw_tfrecord_create(&w, in_dir("x"), (fw_compression)7, 0), FW_EARG,
                 "compression 7");
    assert_fails(fw_tfrecord_create(&w, in_dir("x"), FW_GZIP, 10), FW_EARG, "level 10");
    assert_fails(fw_tfrecord_create(&w, in_dir("no/x"), FW_GZIP, 1), FW_EIO, "no/x");
    assert_null(r);
    assert_null(w);
    fw_tfrecord_discard(NULL);
    assert_ok(fw_tfrecord_create(&w, in_dir("gone"), FW_GZIP, 1));
    assert_ok(fw_tfrecord_put(w, "abc", 3));
    fw_tfrecord_discard(w);
    assert_int_equal(count_files(test_dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(known_bytes, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(round_trips, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(concatenated, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(every_flipped_bit, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(every_truncation, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(other_files, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(compressed_damage, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(hostile_lengths, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(stays_failed, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(wrong_calls, dir_setup, dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
