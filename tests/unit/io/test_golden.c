/* test_golden.c: tests/golden/good must load, tests/golden/bad must be refused with the expected
 * words. The files come from scripts/make-golden. */
#include "io_test.h"

static const char *ending(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL ? "" : dot;
}

static fw_status load(const char *path, fw_images *im)
{
    const char *kind = ending(path);
    if (strcmp(kind, ".tfrec") == 0)
        return fw_read_tfrecord(path, im);
    if (strcmp(kind, ".npy") == 0)
        return fw_npy_load(path, NULL, NULL, im);
    assert_string_equal(kind, ".idx");
    return fw_idx_load(path, NULL, im);
}

typedef void (*visit)(const char *path, const char *name);

static int each(const char *folder, visit fn)
{
    int n = 0;
    char path[1024];
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        const char *kind = ending(e->d_name);
        if (e->d_name[0] == '.' || strcmp(kind, ".json") == 0 || strcmp(kind, ".expect") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        fn(path, e->d_name);
        n++;
    }
    closedir(d);
    return n;
}

static void expect_good(const char *path, const char *name)
{
    fw_images im = {0};
    const fw_status st = load(path, &im);
    if (st != FW_OK)
        print_error("%s: %s\n", name, fw_last_error());
    assert_int_equal(st, FW_OK);
    fw_images_clear(&im);
}

static void expect_bad(const char *path, const char *name)
{
    char expect[1024];
    size_t n = 0;
    snprintf(expect, sizeof expect, "%s.expect", path);
    char *words = (char *)read_bytes(expect, &n);
    assert_true(n > 1 && words[n - 1] == '\n');
    words[n - 1] = '\0';
    fw_images im = {0};
    const fw_status st = load(path, &im);
    if (st == FW_OK || strstr(fw_last_error(), words) == NULL ||
        strstr(fw_last_error(), name) == NULL) {
        print_error("%s: %s \"%s\", expected \"%s\"\n", name, fw_status_name(st), fw_last_error(),
                    words);
        fail();
    }
    assert_null(im.pixels);
    free(words);
}

static void good(void **state)
{
    (void)state;
    assert_int_equal(each(FW_SOURCE_DIR "/tests/golden/good", expect_good), 10);
}

static void bad(void **state)
{
    (void)state;
    assert_int_equal(each(FW_SOURCE_DIR "/tests/golden/bad", expect_bad), 23);
}

/* The same four records in three wrappings; and values that were written down by hand. */
static void contents(void **state)
{
    (void)state;
    const char *const names[] = {"plain", "gzip", "zlib"};
    fw_images im = {0};
    for (int k = 0; k < 3; k++) {
        char path[1024];
        snprintf(path, sizeof path, FW_SOURCE_DIR "/tests/golden/good/%s.tfrec", names[k]);
        assert_ok(fw_read_tfrecord(path, &im));
        assert_int_equal(im.n * 1000 + im.h * 100 + im.w * 10 + im.c, 4223);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(im.labels[i], i % 3);
            for (int v = 0; v < 12; v++)
                assert_int_equal(((uint8_t *)im.pixels)[i * 12 + v], (i * 40 + 7 * v) % 256);
        }
        fw_images_clear(&im);
    }
    assert_ok(fw_read_tfrecord(FW_SOURCE_DIR "/tests/golden/good/order.tfrec", &im));
    const float want[4] = {0.5f, -1.25f, 3e7f, 0.0f};
    assert_int_equal(im.n, 2);
    assert_memory_equal(im.pixels, want, sizeof want);
    assert_memory_equal((float *)im.pixels + 4, want, sizeof want);
    assert_int_equal(im.labels[0] * 10 + im.labels[1], 10);
    fw_images_clear(&im);
    assert_ok(fw_read_tfrecord(FW_SOURCE_DIR "/tests/golden/good/bare.tfrec", &im));
    assert_string_equal(im.class_names[1], "yes");
    assert_int_equal(im.h * 10 + im.w, 22);
    fw_images_clear(&im);
    assert_ok(fw_npy_load(FW_SOURCE_DIR "/tests/golden/good/f4-fortran.npy", NULL, NULL, &im));
    for (int i = 0; i < 6; i++)
        assert_true(((float *)im.pixels)[i] == (float)i);
    fw_images_clear(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad),
                                       cmocka_unit_test(contents)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
