/* test_importers.c: IDX, CIFAR (folder and archive), CSV, and the guess which of them a path is
 * for. */
#include "io_test.h"
#include "t_locale.h"

#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>

/* ---- IDX ---- */

static size_t idx_images(uint8_t *b, uint32_t n, uint32_t h, uint32_t w)
{
    const uint8_t head[16] = {0, 0, 8,          3, 0, 0, (uint8_t)(n >> 8), (uint8_t)n, 0,
                              0, 0, (uint8_t)h, 0, 0, 0, (uint8_t)w};
    memcpy(b, head, 16);
    for (uint32_t i = 0; i < n * h * w; i++)
        b[16 + i] = (uint8_t)(i * 3);
    return 16 + n * h * w;
}

static size_t idx_labels(uint8_t *b, uint32_t n, uint32_t classes)
{
    const uint8_t head[8] = {0, 0, 8, 1, 0, 0, (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(b, head, 8);
    for (uint32_t i = 0; i < n; i++)
        b[8 + i] = (uint8_t)(i % classes);
    return 8 + n;
}

static void write_gz(const char *path, const void *p, size_t n)
{
    gzFile f = gzopen(path, "wb");
    assert_int_equal(gzwrite(f, p, (unsigned)n), n);
    assert_int_equal(gzclose(f), Z_OK);
}

static void mnist(void **state)
{
    (void)state;
    uint8_t b[5000];
    fw_images train = {0}, test = {0};
    write_bytes(in_dir("train-images-idx3-ubyte"), b, idx_images(b, 30, 5, 7));
    write_gz(in_dir("train-labels-idx1-ubyte.gz"), b, idx_labels(b, 30, 4));
    assert_fails(fw_mnist_load(test_dir, &train, &test), FW_ENOTFOUND, "t10k-images-idx3-ubyte");
    assert_ok(fw_mnist_load(test_dir, &train, NULL));
    assert_int_equal(train.n, 30);
    assert_int_equal(train.n_classes, 10);
    fw_images_clear(&train);
    write_gz(in_dir("t10k-images-idx3-ubyte.gz"), b, idx_images(b, 12, 5, 7));
    write_bytes(in_dir("t10k-labels-idx1-ubyte"), b, idx_labels(b, 12, 12));
    assert_ok(fw_mnist_load(test_dir, &train, &test));
    assert_int_equal(train.h * 100 + train.w * 10 + train.c, 571);
    assert_int_equal(((uint8_t *)train.pixels)[70], 210);
    assert_int_equal(train.labels[6], 2);
    assert_int_equal(test.n, 12);
    assert_int_equal(test.n_classes, 12); /* the largest label of both parts, for both */
    assert_int_equal(train.n_classes, 12);
    fw_images_clear(&train);
    fw_images_clear(&test);
    assert_ok(fw_import(test_dir, NULL, &train, &test));
    assert_int_equal(test.n, 12);
    fw_images_clear(&train);
    fw_images_clear(&test);
    assert_fails(fw_import(test_dir, &(fw_import_opt){.split_every = 5}, &train, &test), FW_EARG,
                 "of its own");
    assert_ok(fw_import(in_dir("train-images-idx3-ubyte"), NULL, &train,
                        &test)); /* labels.gz is not beside it */
    assert_null(train.labels);
    assert_int_equal(test.n, 0);
    fw_images_clear(&train);
    write_bytes(in_dir("train-labels-idx1-ubyte"), b, idx_labels(b, 30, 4));
    assert_ok(fw_import(in_dir("train-images-idx3-ubyte"), &(fw_import_opt){.split_every = 5},
                        &train, &test));
    assert_int_equal(train.n, 24);
    assert_int_equal(test.n, 6);
    assert_int_equal(test.labels[0], 0);
    fw_images_clear(&train);
    fw_images_clear(&test);
}

static void damaged_idx(void **state)
{
    (void)state;
    uint8_t b[5000];
    fw_images im = {0};
    const char *x = in_dir("x"), *y = in_dir("y");
    const size_t n = idx_images(b, 4, 3, 3);
    for (size_t k = 0; k < n; k++) {
        write_bytes(x, b, k);
        assert_fails(fw_idx_load(x, NULL, &im), FW_EFORMAT, x, "ends at byte");
    }
    write_bytes(x, b, n + 1);
    assert_fails(fw_idx_load(x, NULL, &im), FW_EFORMAT, x, "goes on behind byte 52");
    const struct {
        int at;
        uint8_t value;
        const char *word;
    } bad[] = {{0, 1, "begins with 01 00"},
               {2, 0x0d, "type at byte 2 is 0d"},
               {3, 1, "1 dimensions"},
               {3, 5, "5 dimensions"},
               {4, 0xff, "ends at byte 52"},
               {7, 0, "no images"},
               {11, 0, "0 x 3"},
               {15, 255, "ends at byte 52"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t copy[100];
        memcpy(copy, b, n);
        copy[bad[i].at] = bad[i].value;
        write_bytes(x, copy, n);
        const fw_status st = fw_idx_load(x, NULL, &im);
        assert_fails(st, st == FW_ESHAPE ? FW_ESHAPE : FW_EFORMAT, x, bad[i].word);
        write_gz(x, copy, n); /* the size is not known beforehand now */
        assert_true(fw_idx_load(x, NULL, &im) == st);
    }
    uint8_t huge[16] = {0,    0,    8,    3,    0xff, 0xff, 0xff, 0xff,
                        0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff};
    write_bytes(x, huge, 16);
    assert_fails(fw_idx_load(x, NULL, &im), FW_ESHAPE, x, "too large");
    write_bytes(x, b, n);
    write_bytes(y, b, idx_labels(b, 3, 2));
    assert_fails(fw_idx_load(x, y, &im), FW_ESHAPE, y, "3 labels for the 4 images");
    write_bytes(y, b, 9);
    assert_fails(fw_idx_load(x, y, &im), FW_EFORMAT, y,
                 "ends at byte 9, inside the labels (3 bytes from byte 8)");
    assert_fails(fw_idx_load(in_dir("none"), y, &im), FW_ENOTFOUND, "none");
    assert_null(im.pixels);
}

/* ---- CIFAR ---- */

enum { IMAGE = 3072 };

/* n records; pixel (row, column, channel) of record i is i + row + 2 * column + 70 * channel. */
static uint8_t *cifar_part(int n, int first, int label_bytes, size_t *size)
{
    *size = (size_t)n * (size_t)(IMAGE + label_bytes);
    uint8_t *b = malloc(*size), *p = b;
    for (int i = first; i < first + n; i++) {
        if (label_bytes == 2)
            *p++ = (uint8_t)(i % 20);
        *p++ = (uint8_t)(i % (label_bytes == 2 ? 100 : 10));
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < 32; y++)
                for (int x = 0; x < 32; x++)
                    *p++ = (uint8_t)(i + y + 2 * x + 70 * c);
    }
    return b;
}

static const char *const parts[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                    "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
static const char meta[] =
    "\xef\xbb\xbf" /* a byte order mark */
    "airplane\n\tautomobile \t\r\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

static void write_cifar10(const char *dir)
{
    char path[700];
    for (int i = 0; i < 6; i++) {
        size_t n = 0;
        uint8_t *p = cifar_part(i + 1, i * 10, 1, &n); /* 1 + 2 + 3 + 4 + 5 and 6 records */
        snprintf(path, sizeof path, "%s/%s", dir, parts[i]);
        write_bytes(path, p, n);
        free(p);
    }
    snprintf(path, sizeof path, "%s/batches.meta.txt", dir);
    write_bytes(path, meta, sizeof meta - 1);
}

static void expect_cifar10(const fw_images *train, const fw_images *test)
{
    assert_int_equal(train->n, 15);
    assert_int_equal(test->n, 6);
    assert_int_equal(train->n_classes, 10);
    assert_string_equal(train->class_names[9], "truck");
    assert_string_equal(train->class_names[0], "airplane");
    assert_string_equal(train->class_names[1], "automobile");
    const uint8_t *px = train->pixels; /* record 4 is the second of part 3, number 21 */
    assert_int_equal(train->labels[4], 1);
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 32; x++)
            for (int c = 0; c < 3; c++)
                assert_int_equal(px[4 * IMAGE + (y * 32 + x) * 3 + c],
                                 (uint8_t)(21 + y + 2 * x + 70 * c));
    assert_int_equal(test->labels[5], 5);
    assert_true(test->std[2] > 1);
    assert_string_equal(train->source, "CIFAR-10 train");
}

static void cifar10(void **state)
{
    (void)state;
    fw_images train = {0}, test = {0};
    assert_fails(fw_cifar10_load(test_dir, &train, &test), FW_ENOTFOUND, test_dir,
                 "data_batch_1.bin");
    assert_ok(fwi_mkdirs(in_dir("cifar-10-batches-bin")));
    write_cifar10(in_dir("cifar-10-batches-bin"));
    const char *const ways[] = {test_dir, in_dir("cifar-10-batches-bin")};
    for (int i = 0; i < 2; i++) {
        assert_ok(fw_cifar10_load(ways[i], &train, &test));
        expect_cifar10(&train, &test);
        fw_images_clear(&train);
        fw_images_clear(&test);
    }
    assert_ok(fw_import(test_dir, NULL, &train, &test));
    expect_cifar10(&train, &test);
    fw_images_clear(&train);
    fw_images_clear(&test);
    assert_ok(fw_cifar10_load(test_dir, NULL, &test));
    assert_int_equal(test.n, 6);
    fw_images_clear(&test);
    assert_int_equal(unlink(in_dir("cifar-10-batches-bin/data_batch_3.bin")), 0);
    assert_fails(fw_cifar10_load(test_dir, &train, &test), FW_ENOTFOUND, "data_batch_3.bin");
    assert_null(test.pixels);
    size_t n = 0;
    uint8_t *p = cifar_part(4, 0, 1, &n);
    p[2 * 3073] = 10;
    write_bytes(in_dir("cifar-10-batches-bin/data_batch_3.bin"), p, n);
    assert_fails(fw_cifar10_load(test_dir, &train, &test), FW_EFORMAT,
                 "data_batch_3.bin: record 2 at byte 6146: label 10, there are 10 classes");
    write_bytes(in_dir("cifar-10-batches-bin/data_batch_3.bin"), p, n - 5);
    assert_fails(fw_cifar10_load(test_dir, &train, &test), FW_EFORMAT,
                 "data_batch_3.bin has 12287 bytes", "no multiple of 3073");
    write_bytes(in_dir("cifar-10-batches-bin/data_batch_3.bin"), p, 0);
    assert_fails(fw_cifar10_load(test_dir, &train, &test), FW_EFORMAT, "has 0 bytes");
    write_bytes(in_dir("cifar-10-batches-bin/data_batch_3.bin"), p, 3073);
    write_bytes(in_dir("cifar-10-batches-bin/batches.meta.txt"), "a\nb\n", 4);
    assert_fails(fw_cifar10_load(test_dir, &train, &test), FW_EFORMAT, "batches.meta.txt",
                 "2 class names, expected 10");
    write_bytes(in_dir("cifar-10-batches-bin/batches.meta.txt"), "a\n\nb\xe9\nc\n", 8);
    assert_fails(fw_cifar10_load(test_dir, &train, &test), FW_EFORMAT,
                 "batches.meta.txt: line 3: the class name is not UTF-8");
    write_bytes(in_dir("cifar-10-batches-bin/batches.meta.txt"), "a\nb\0b\n", 6);
    assert_fails(fw_cifar10_load(test_dir, &train, &test), FW_EFORMAT,
                 "batches.meta.txt: line 2: a zero byte");
    free(p);
}

static void tar_add(struct archive *a, const char *name, const void *p, size_t n)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_size(e, (la_int64_t)n);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, p, n), n);
    archive_entry_free(e);
}

/* In an order of its own, as real archives have it. skip: a part to leave out; twice: one to repeat,
 * 6: the class names. */
static void write_tar(const char *path, bool gzip, int skip, int twice)
{
    struct archive *a = archive_write_new();
    archive_write_set_format_ustar(a);
    if (gzip)
        archive_write_add_filter_gzip(a);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    tar_add(a, "cifar-10-batches-bin/readme.html", "hi", 2);
    for (int times = 0; times < (twice == 6 ? 2 : 1); times++)
        tar_add(a, "cifar-10-batches-bin/batches.meta.txt", meta, sizeof meta - 1);
    for (int k = 5; k >= 0; k--)
        for (int times = 0; times < (k == twice ? 2 : 1) && k != skip; times++) {
            char name[100];
            size_t n = 0;
            uint8_t *p = cifar_part(k + 1, k * 10, 1, &n);
            snprintf(name, sizeof name, "cifar-10-batches-bin/%s", parts[k]);
            tar_add(a, name, p, n);
            free(p);
        }
    archive_write_close(a);
    archive_write_free(a);
}

static void cifar10_archive(void **state)
{
    (void)state;
    fw_images train = {0}, test = {0};
    for (int gz = 0; gz < 2; gz++) {
        const char *path = in_dir(gz ? "cifar-10-binary.tar.gz" : "c.tar");
        write_tar(path, gz, -1, -1);
        assert_ok(fw_cifar10_load(path, &train, &test));
        expect_cifar10(&train, &test);
        fw_images_clear(&train);
        fw_images_clear(&test);
        assert_ok(fw_import(path, NULL, &train, &test));
        expect_cifar10(&train, &test);
        fw_images_clear(&train);
        fw_images_clear(&test);
    }
    assert_ok(fw_cifar10_load(test_dir, &train, NULL)); /* the folder that holds the archive */
    fw_images_clear(&train);
    write_tar(in_dir("c.tar"), false, 3, -1);
    assert_fails(fw_cifar10_load(in_dir("c.tar"), &train, &test), FW_ENOTFOUND, "c.tar",
                 "no data_batch_4.bin");
    assert_fails(fw_import(in_dir("c.tar"), NULL, &train, &test), FW_ENOTFOUND, "c.tar",
                 "no data_batch_4.bin");
    struct archive *other = archive_write_new();
    archive_write_set_format_ustar(other);
    assert_int_equal(archive_write_open_filename(other, in_dir("o.tar")), ARCHIVE_OK);
    tar_add(other, "readme.html", "hi", 2);
    archive_write_close(other);
    archive_write_free(other);
    assert_fails(fw_import(in_dir("o.tar"), NULL, &train, &test), FW_ENOTFOUND, "o.tar", "neither");
    if (geteuid() != 0) { /* whom nothing is denied */
        chmod(in_dir("o.tar"), 0);
        assert_fails(fw_import(in_dir("o.tar"), NULL, &train, &test), FW_EIO, "Permission denied");
    }
    write_tar(in_dir("c.tar"), false, -1, 2);
    assert_fails(fw_cifar10_load(in_dir("c.tar"), &train, &test), FW_EFORMAT,
                 "data_batch_3.bin twice");
    write_tar(in_dir("c.tar"), false, -1, 6);
    assert_fails(fw_cifar10_load(in_dir("c.tar"), &train, &test), FW_EFORMAT,
                 "batches.meta.txt twice");
    size_t n = 0;
    uint8_t *p = read_bytes(in_dir("cifar-10-binary.tar.gz"), &n);
    int refused = 0, same = 0;
    for (size_t keep = 1; keep < n; keep += keep < n - 20 - n / 37 ? n / 37 : 1) {
        write_bytes(in_dir("cut.tar.gz"), p, keep);
        assert_true(fw_cifar10_load(in_dir("cut.tar.gz"), &train, &test) != FW_OK);
        assert_non_null(strstr(fw_last_error(), "cut.tar.gz"));
        refused++;
    }
    assert_true(refused > 30);
    /* zeros behind it are what fills the last block of a tape */
    uint8_t *const padded = calloc(n + 512, 1);
    assert_non_null(padded);
    memcpy(padded, p, n);
    write_bytes(in_dir("padded.tar.gz"), padded, n + 512);
    free(padded);
    assert_ok(fw_cifar10_load(in_dir("padded.tar.gz"), &train, &test));
    expect_cifar10(&train, &test);
    fw_images_clear(&train);
    fw_images_clear(&test);
    /* a bit that is another one: the archive's members have no checksum, the compressed stream has one */
    for (size_t at = 20; at < n; at += at < n - 8 - n / 61 ? n / 61 : 1) {
        p[at] ^= 4;
        write_bytes(in_dir("bit.tar.gz"), p, n);
        const fw_status st = fw_cifar10_load(in_dir("bit.tar.gz"), &train, &test);
        if (st == FW_OK) { /* zeros that are copied from other zeros, or what fills the last byte */
            expect_cifar10(&train, &test);
            fw_images_clear(&train);
            fw_images_clear(&test);
            same++;
        } else {
            assert_fails(st, FW_EFORMAT, "bit.tar.gz");
        }
        p[at] ^= 4;
    }
    assert_in_range(same, 0, 3);
    free(p);
    assert_fails(fw_cifar10_load(in_dir("none.tar.gz"), &train, &test), FW_ENOTFOUND,
                 "none.tar.gz");
    assert_null(train.pixels);
}

static void cifar100(void **state)
{
    (void)state;
    fw_images train = {0}, test = {0};
    for (int i = 0; i < 2; i++) {
        size_t n = 0;
        uint8_t *p = cifar_part(30 - 10 * i, 15, 2, &n);
        write_bytes(in_dir(i == 0 ? "train.bin" : "test.bin"), p, n);
        free(p);
    }
    assert_ok(fw_cifar100_load(test_dir, true, &train, &test));
    assert_int_equal(train.n_classes, 100);
    assert_int_equal(train.labels[10], 25);
    assert_int_equal(((uint8_t *)train.pixels)[10 * IMAGE + 1], 25 + 70);
    assert_int_equal(test.n, 20);
    assert_null(test.class_names);
    fw_images_clear(&train);
    fw_images_clear(&test);
    assert_ok(fw_import(test_dir, &(fw_import_opt){.coarse = true}, &train, &test));
    assert_int_equal(train.n_classes, 20);
    assert_int_equal(train.labels[10], 5);
    fw_images_clear(&train);
    fw_images_clear(&test);
}

/* ---- CSV ---- */

static fw_status csv(const char *text, int64_t h, int64_t w, fw_images *im)
{
    write_bytes(in_dir("t.csv"), text, strlen(text));
    return fw_csv_load(in_dir("t.csv"), &(fw_csv_opt){.h = h, .w = w}, im);
}

static void csv_forms(void **state)
{
    (void)state;
    fw_images im = {0};
    assert_ok(csv("1,2,3,255,1\n\n0,0,0,0,0\r\n\r\n4, 5 ,6,7,2", 0, 0, &im));
    assert_int_equal(im.n, 3);
    assert_int_equal(im.h * 10 + im.w, 22);
    assert_int_equal(im.dtype, FW_U8);
    assert_int_equal(im.n_classes, 3);
    assert_int_equal(((uint8_t *)im.pixels)[3], 255);
    assert_int_equal(((uint8_t *)im.pixels)[9], 5);
    assert_int_equal(im.labels[2], 2);
    fw_images_clear(&im);
    assert_ok(csv("1.5,-2e1,3,0\n1,2,3,1\n", 0, 0, &im));
    assert_int_equal(im.dtype, FW_F32);
    assert_int_equal(im.h * 10 + im.w, 13);
    assert_true(((float *)im.pixels)[1] == -20.0f);
    fw_images_clear(&im);
    assert_ok(csv("1,2,3,4,5,6,0\n", 3, 2, &im));
    assert_int_equal(im.h * 10 + im.w, 32);
    fw_images_clear(&im);
    const struct {
        const char *text, *word;
        fw_status st;
    } bad[] = {
        {"", "holds no records", FW_EFORMAT},
        {"\n\n", "holds no records", FW_EFORMAT},
        {"5\n", "one column", FW_ESHAPE},
        {"1,2,3,4,0\n1,2,3,0\n", "line 2 has fewer values, expected 4", FW_ESHAPE},
        {"1,2,3,4,0\n1,2,3,4,5,0\n", "line 2 has more values, expected 4", FW_ESHAPE},
        {"a,2,3,4,0\n1,2,3,4,0\n", "line 1, value 1: found \"a\"", FW_EFORMAT}, /* no header */
        {"a,b,c,d,y\n", "holds no records", FW_EFORMAT},
        {"a,b,c,d,y\n1,2,3,4,f\n", "line 2, value 5: found \"f\"", FW_EFORMAT},
        {"a,b,c,d,e\n1,2,3,4,0\n", "line 1 is a header without a column named", FW_EFORMAT},
        {",a,b,c,d\n0,1,2,3,4\n", "has to be said", FW_EFORMAT}, /* a data frame's index */
        {"\"1\",\"2\",\"3\",\"4\",\"0\"\n1,2,3,4,0\n", "line 1, value 1: found \"\"1\"\"",
         FW_EFORMAT},
        {"y,b,c,d,Label\n1,2,3,4,0\n", "line 1: columns 1 and 5 are both named", FW_EFORMAT},
        {"1;2;3,5;4;0\n", "line 1, value 1: found \"1;2;3\"", FW_EFORMAT},
        {"1,2,3,4,0,\n", "line 1, value 6: found \"\"", FW_EFORMAT},
        {"1,2,3,4,0\n1,2,,4,0\n", "line 2, value 3: found \"\"", FW_EFORMAT},
        {"1,2,3,0x4,0\n", "found \"0x4\"", FW_EFORMAT},
        {"1,2,nan,4,0\n", "found \"nan\"", FW_EFORMAT},
        {"1,2,1e999,4,0\n", "found \"1e999\"", FW_EFORMAT},
        {"1,2,1e99,4,0\n", "too large for a float", FW_EFORMAT},
        {"1,2,3,4,-1\n", "record 0 (line 1): label -1", FW_EFORMAT},
        {"1,2,3,4,0\n\n1,2,3,4,1.5\n", "record 1 (line 3): label 1.5", FW_EFORMAT},
        {"1,2,3,4,99999999\n", "label 1e+08", FW_EFORMAT},
        {"1,2,3,\x01\x02,0\n", "found \"??\"", FW_EFORMAT},
        {"1,2,3,11111111111111111111111111111111111111111111111111111111111111111,0\n",
         "63 characters", FW_EFORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(csv(bad[i].text, 0, 0, &im), bad[i].st, "t.csv: ", bad[i].word);
    assert_fails(csv("1,2,3,4,0\n", 3, 2, &im), FW_ESHAPE,
                 "4 values and a label, expected 3 x 2 x 1");
    assert_null(im.pixels);
}

static void csv_headers_and_labels(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t column;
    } same[] = {
        {"1,2,3,4,0\n5,6,7,8,1\n", 0},
        {"1;2;3;4;0\n5;6;7;8;1\n", 0},
        {"1\t2\t3\t4\t0\r\n5\t6\t7\t8\t1\r\n", 0},
        {"0,1,2,3,4\n1,5,6,7,8\n", 1},
        {"1,2,0,3,4\n5,6,1,7,8", 3},
        {"a,b,c,d,e\n1,2,3,4,0\n5,6,7,8,1\n", 5},
        {"label,pixel0,pixel1,pixel2,pixel3\n0,1,2,3,4\n1,5,6,7,8\n", 0},
        {"\n0, 1 ,Class,2,3\r\n\n1,2,0,3,4\n5,6,1,7,8\n", 0},
        {"\xef\xbb\xbf\"a\";\"TARGET\";\"c\";\"d\";\"e\"\n1;0;2;3;4\n5;1;6;7;8\n", 0},
        {"y,b,c,d,label\n1,2,3,4,0\n5,6,7,8,1\n", 5},
        {"y,b,c,d,label\n0,1,2,3,4\n1,5,6,7,8\n", 1},
    };
    fw_images im = {0}, test = {0};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        write_bytes(in_dir("t.csv"), same[i].text, strlen(same[i].text));
        assert_ok(fw_csv_load(in_dir("t.csv"), &(fw_csv_opt){.label_column = same[i].column}, &im));
        assert_int_equal(im.n * 100 + im.h * 10 + im.w, 222);
        for (int k = 0; k < 8; k++)
            assert_int_equal(((uint8_t *)im.pixels)[k], k + 1);
        assert_int_equal(im.labels[0] * 10 + im.labels[1], 1);
        fw_images_clear(&im);
    }
    assert_fails(fw_csv_load(in_dir("t.csv"), &(fw_csv_opt){.label_column = 6}, &im), FW_ESHAPE,
                 "asked for in column 6, line 1 has 5 columns");
    assert_fails(fw_csv_load(in_dir("t.csv"), &(fw_csv_opt){.label_column = -1}, &im), FW_EARG,
                 "t.csv", "column is -1");
    assert_ok(fw_import(in_dir("t.csv"), &(fw_import_opt){.label_column = 1}, &im, &test));
    assert_int_equal(im.labels[1], 1);
    fw_images_clear(&im);
    write_bytes(in_dir("t.npy"), "x", 1);
    assert_fails(fw_import(in_dir("t.npy"), &(fw_import_opt){.label_column = 1}, &im, &test),
                 FW_EARG, "t.npy", "no use for a column of labels");
}

static void csv_in_another_locale(void **state)
{
    (void)state;
    if (!t_comma_locale())
        skip();
    fw_images im = {0};
    assert_ok(csv("1.5,2,3,4,1\n", 0, 0, &im));
    assert_true(((float *)im.pixels)[0] == 1.5f);
    fw_images_clear(&im);
    setlocale(LC_ALL, "C");
}

static void bundled_digits(void **state)
{
    (void)state;
    fw_images train = {0}, test = {0};
    assert_ok(fw_import(FW_SOURCE_DIR "/recipes/digits.csv", &(fw_import_opt){.split_every = 5},
                        &train, &test));
    assert_int_equal(train.n + test.n, 1797);
    assert_int_equal(test.n, 359);
    assert_int_equal(train.h * 100 + train.w * 10 + train.c, 881);
    assert_int_equal(train.n_classes, 10);
    assert_int_equal(train.dtype, FW_U8);
    int per_class[10] = {0};
    for (int64_t i = 0; i < train.n; i++) {
        per_class[train.labels[i]]++;
        for (int k = 0; k < 64; k++)
            assert_in_range(((uint8_t *)train.pixels)[i * 64 + k], 0, 16);
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(per_class[i], 120, 170);
    fw_images_clear(&train);
    fw_images_clear(&test);
}

/* What was asked for and cannot be is not passed over. */
static void options_of_other_kinds(void **state)
{
    (void)state;
    fw_images train = {0}, test = {0};
    const char *const digits = FW_SOURCE_DIR "/recipes/digits.csv";
    const fw_import_opt foreign[] = {
        {.labels = "labels.npy"}, {.coarse = true},  {.npy = {.x_key = "x"}},
        {.npy = {.y_key = "y"}},  {.npy = {.h = 8}}, {.npy = {.n_classes = 3}},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_fails(fw_import(digits, &foreign[i], &train, &test), FW_EARG, "digits.csv",
                     "has no use for");
    assert_fails(fw_import(digits, &(fw_import_opt){.h = 4, .w = 8, .c = 1}, &train, &test),
                 FW_ESHAPE, "digits.csv");
    assert_ok(fw_import(digits, &(fw_import_opt){.h = 4, .w = 16}, &train, &test));
    assert_int_equal(train.h * 100 + train.w + train.c, 417);
    fw_images_clear(&train);
    uint8_t b[5000];
    write_bytes(in_dir("t-images-idx3-ubyte"), b, idx_images(b, 30, 5, 7));
    assert_ok(
        fw_import(in_dir("t-images-idx3-ubyte"), &(fw_import_opt){.h = 5, .w = 7}, &train, &test));
    fw_images_clear(&train);
    assert_fails(
        fw_import(in_dir("t-images-idx3-ubyte"), &(fw_import_opt){.h = 7, .w = 5}, &train, &test),
        FW_ESHAPE, "images are 5 x 7 x 1, 7 x 5 x 0 were asked for (0: any)");
    assert_null(train.pixels);
}

static void guesses_that_fail(void **state)
{
    (void)state;
    fw_images train = {0}, test = {0};
    write_bytes(in_dir("x.jpg"), "x", 1);
    assert_fails(fw_import(in_dir("x.jpg"), NULL, &train, &test), FW_ENOTFOUND, "x.jpg",
                 "cannot tell");
    assert_fails(fw_import(in_dir("none"), NULL, &train, &test), FW_ENOTFOUND, "none",
                 "no such file");
    assert_fails(fw_import(test_dir, NULL, &train, &test), FW_ENOTFOUND, test_dir, "neither CIFAR");
    assert_fails(fw_import("gs://b/x.csv", NULL, &train, &test), FW_EUNAVAILABLE, "gs://b/x.csv");
    assert_fails(fw_import(NULL, NULL, &train, &test), FW_EARG, "NULL");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, dir_setup, dir_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mnist),
        TEST(damaged_idx),
        TEST(cifar10),
        TEST(cifar10_archive),
        TEST(cifar100),
        TEST(csv_forms),
        TEST(csv_headers_and_labels),
        TEST(csv_in_another_locale),
        TEST(bundled_digits),
        TEST(options_of_other_kinds),
        TEST(guesses_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
