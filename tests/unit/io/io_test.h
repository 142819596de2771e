/* io_test.h: what the tests of this room share: a folder that goes away, files made of bytes, and a
 * check of a status together with words of its message. */
#ifndef IO_TEST_H
#define IO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "file.h"
#include "mem.h"
#include "rng.h"
#include <dirent.h>
#include <fenwicks/record.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char test_dir[256]; /* made by dir_setup, removed by dir_teardown */

static inline int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline int dir_setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(test_dir, sizeof test_dir, "%s/fenwicks-io-XXXXXX", tmp != NULL ? tmp : "/tmp");
    return mkdtemp(test_dir) == NULL ? -1 : 0;
}

static inline int dir_teardown(void **state)
{
    (void)state;
    return nftw(test_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* test_dir/NAME; one of 8 rotating buffers. */
static inline const char *in_dir(const char *name)
{
    static char buf[8][512];
    static unsigned at;
    at = (at + 1) % 8;
    snprintf(buf[at], sizeof buf[at], "%s/%s", test_dir, name);
    return buf[at];
}

static inline int count_files(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    if (d != NULL)
        closedir(d);
    return n;
}

static inline void write_bytes(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The file's bytes and a 0 behind them, so that text can be searched. Caller frees. */
static inline uint8_t *read_bytes(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *p = malloc(*n + 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, *n, f), *n);
    p[*n] = 0;
    fclose(f);
    return p;
}

/* st, and every word (up to NULL) in the message. */
static inline void check_message(fw_status st, fw_status want, const char *const *words,
                                 const char *file, int line)
{
    if (st != want)
        print_error("%s: \"%s\"\n", fw_status_name(st), fw_last_error());
    _assert_int_equal((unsigned long)st, (unsigned long)want, file, line);
    for (; *words != NULL; words++)
        if (strstr(fw_last_error(), *words) == NULL) {
            print_error("message \"%s\" lacks \"%s\"\n", fw_last_error(), *words);
            _fail(file, line);
        }
}
#define assert_fails(call, want, ...)                                                              \
    check_message((call), (want), (const char *const[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)
static inline void check_ok(fw_status st, const char *file, int line)
{
    if (st != FW_OK)
        print_error("%s: \"%s\"\n", fw_status_name(st), fw_last_error());
    _assert_int_equal((unsigned long)st, FW_OK, file, line);
}
#define assert_ok(call) check_ok((call), __FILE__, __LINE__)

static inline uint32_t random_word(uint64_t i)
{
    return (uint32_t)fwi_rng_u64(20240601, FWI_RNG_TEST, 0, i);
}

/* Images of random values; u8 as bytes, f32 as quarters, with labels i * 7 % n_classes. */
static inline fw_images random_images(int64_t n, int64_t h, int64_t w, int64_t c, fw_dtype dtype,
                                      int64_t n_classes)
{
    fw_images im = {.n = n, .h = h, .w = w, .c = c, .dtype = dtype, .n_classes = n_classes};
    const size_t values = (size_t)(n * h * w * c);
    im.pixels = fwi_alloc(values * fw_dtype_size(dtype));
    im.labels = n_classes > 0 ? fwi_alloc((size_t)n * sizeof *im.labels) : NULL;
    im.source = fwi_strdup("random test images");
    assert_non_null(im.pixels);
    for (size_t i = 0; i < values; i++) {
        const uint32_t r = random_word(i);
        if (dtype == FW_U8)
            ((uint8_t *)im.pixels)[i] = (uint8_t)r;
        else
            ((float *)im.pixels)[i] = (float)(int32_t)r * 0x1p-20f;
    }
    for (int64_t i = 0; im.labels != NULL && i < n; i++)
        im.labels[i] = (int32_t)(i * 7 % n_classes);
    return im;
}

#endif
