/* records.c: the C side of `make interop`: what libfenwicks reads from a record file, as raw
 * arrays.
 *
 *     records read  PATTERN OUT          whole file into memory, in the type it is stored in
 *     records batch PATTERN OUT H W C    through the input pipeline: float, in record order
 *
 * Writes OUT.x (pixels, host byte order) and OUT.y (int32 labels; none if unlabelled) and prints
 * "n h w c type". scripts/interop.py compares them, bit for bit, with what TensorFlow wrote. Public
 * headers only; scripts/interop compiles this against the built library. */
#include <errno.h>
#include <fenwicks/data.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 7 }; /* odd, so that the last batch is a partial one */

static FILE *open_part(const char *out, const char *ending)
{
    char path[4096];
    const int len = snprintf(path, sizeof path, "%s%s", out, ending);
    if (len < 0 || (size_t)len >= sizeof path) {
        fprintf(stderr, "records: the path %s%s is too long\n", out, ending);
        return NULL;
    }
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        fprintf(stderr, "records: %s: %s\n", path, strerror(errno));
    return f;
}

static int put(FILE *f, const void *data, size_t size, size_t n)
{
    if (fwrite(data, size, n, f) == n)
        return 0;
    fprintf(stderr, "records: cannot write: %s\n", strerror(errno));
    return 1;
}

static int close_parts(FILE *x, FILE *y)
{
    int rc = 0;
    if (x != NULL && fclose(x) != 0)
        rc = 1;
    if (y != NULL && fclose(y) != 0)
        rc = 1;
    if (rc != 0)
        fprintf(stderr, "records: cannot write: %s\n", strerror(errno));
    return rc;
}

static int library_error(void)
{
    fprintf(stderr, "records: %s\n", fw_last_error());
    return 1;
}

static int read_all(const char *pattern, const char *out)
{
    fw_images im = {0};
    FILE *x = NULL, *y = NULL;
    int rc = 1;
    if (fw_read_tfrecord(pattern, &im) != FW_OK) {
        library_error();
        goto done;
    }
    if ((x = open_part(out, ".x")) == NULL || (y = open_part(out, ".y")) == NULL)
        goto done;
    const size_t n = (size_t)im.n;
    const size_t values = n * (size_t)im.h * (size_t)im.w * (size_t)im.c;
    if (put(x, im.pixels, fw_dtype_size(im.dtype), values) != 0)
        goto done;
    if (im.labels != NULL && put(y, im.labels, sizeof *im.labels, n) != 0)
        goto done;
    printf("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s\n", im.n, im.h, im.w, im.c,
           fw_dtype_name(im.dtype));
    rc = 0;
done:
    if (close_parts(x, y) != 0)
        rc = 1;
    fw_images_clear(&im);
    return rc;
}

static int read_batches(const char *pattern, const char *out, int64_t h, int64_t w, int64_t c)
{
    fw_dataset *ds = NULL;
    FILE *x = NULL, *y = NULL;
    int64_t n = 0;
    int rc = 1;
    if (fw_tfrecord_dataset(&ds, pattern, fw_parse_image_array(h, w, c), NULL,
                            &(fw_dataset_opt){.batch = BATCH, .cycle_length = 1, .threads = 2}) !=
        FW_OK) {
        library_error();
        goto done;
    }
    if ((x = open_part(out, ".x")) == NULL || (y = open_part(out, ".y")) == NULL)
        goto done;
    for (;;) {
        fw_batch b;
        const fw_status st = fw_dataset_next(ds, &b);
        if (st == FW_END)
            break;
        if (st != FW_OK) {
            library_error();
            goto done;
        }
        for (int64_t i = 0; i < b.valid; i++) {
            if (b.records[i] != n + i) {
                fprintf(stderr, "records: row %" PRId64 " of the pass is record %" PRId64 "\n",
                        n + i, b.records[i]);
                goto done;
            }
        }
        if (put(x, b.images, sizeof *b.images, (size_t)(b.valid * h * w * c)) != 0 ||
            put(y, b.labels, sizeof *b.labels, (size_t)b.valid) != 0)
            goto done;
        n += b.valid;
    }
    printf("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " f32\n", n, h, w, c);
    rc = 0;
done:
    if (close_parts(x, y) != 0)
        rc = 1;
    fw_dataset_free(ds);
    return rc;
}

static int64_t number(const char *s)
{
    char *end = NULL;
    errno = 0;
    const long long v = strtoll(s, &end, 10);
    return errno != 0 || end == s || *end != '\0' || v < 1 || v > 65536 ? -1 : (int64_t)v;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "read") == 0)
        return read_all(argv[2], argv[3]);
    if (argc == 7 && strcmp(argv[1], "batch") == 0) {
        const int64_t h = number(argv[4]), w = number(argv[5]), c = number(argv[6]);
        if (h > 0 && w > 0 && c > 0)
            return read_batches(argv[2], argv[3], h, w, c);
    }
    fprintf(stderr, "usage: records read PATTERN OUT | records batch PATTERN OUT H W C\n");
    return 2;
}
