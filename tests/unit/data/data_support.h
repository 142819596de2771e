/* data_support.h: what the tests of the data room share: small image sets, records of them on disk,
 * and a data set's batches gathered for comparison. */
#ifndef DATA_SUPPORT_H
#define DATA_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataset_inner.h"
#include "example.h"
#include "mem.h"
#include "rng.h"

#include <fenwicks/data.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        const fw_status st_ = (call);                                                              \
        if (st_ != FW_OK)                                                                          \
            fail_msg("%s: %s: %s", #call, fw_status_name(st_), fw_last_error());                   \
    } while (0)

#define assert_fails(call, status, text)                                                           \
    do {                                                                                           \
        const fw_status st_ = (call);                                                              \
        if (st_ != (status) || strstr(fw_last_error(), (text)) == NULL)                            \
            fail_msg("%s: %s: \"%s\", expected %s with \"%s\"", #call, fw_status_name(st_),        \
                     fw_last_error(), fw_status_name(status), (text));                             \
    } while (0)

/* n random images with labels i % 10; a caller's own images, freed by free_images. */
static inline fw_images random_images(int64_t n, int64_t h, int64_t w, int64_t c, fw_dtype dtype)
{
    fw_images im = {.n = n, .h = h, .w = w, .c = c, .dtype = dtype, .n_classes = 10};
    const int64_t values = n * h * w * c;
    im.pixels = malloc((size_t)values * fw_dtype_size(dtype));
    im.labels = malloc((size_t)n * sizeof *im.labels);
    assert_non_null(im.pixels);
    assert_non_null(im.labels);
    for (int64_t i = 0; i < values; i++) {
        uint32_t words[4];
        fwi_rng_block(1, FWI_RNG_TEST, 0, (uint64_t)i, 0, words);
        if (dtype == FW_U8)
            ((uint8_t *)im.pixels)[i] = (uint8_t)words[0];
        else
            ((float *)im.pixels)[i] = (float)(fwi_unit(words[0]) * 4.0 - 2.0);
    }
    for (int64_t i = 0; i < n; i++)
        im.labels[i] = (int32_t)(i % 10);
    return im;
}

static inline void free_images(fw_images *im)
{
    free(im->pixels);
    free(im->labels);
    *im = (fw_images){0};
}

static inline const char *temp_folder(void)
{
    static char folder[64];
    if (folder[0] == 0) {
        strcpy(folder, "/tmp/fw_data_XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    return folder;
}

static inline const char *temp_path(char buf[128], const char *name)
{
    snprintf(buf, 128, "%s/%s", temp_folder(), name);
    return buf;
}

static inline int remove_temp_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", temp_folder());
    return system(command);
}

/* Images [first, end) as records of one file. */
static inline void write_records(const char *path, const fw_images *im, int64_t first, int64_t end,
                                 fw_compression z)
{
    fw_tfrecord_writer *w = NULL;
    fwi_buf buf = {0};
    assert_ok(fw_tfrecord_create(&w, path, z, 0));
    const int64_t values = im->h * im->w * im->c;
    for (int64_t i = first; i < end; i++) {
        fwi_example_image e = {.n_values = values,
                               .h = im->h,
                               .w = im->w,
                               .c = im->c,
                               .has_shape = im->dtype == FW_U8,
                               .has_label = im->labels != NULL};
        if (im->dtype == FW_U8)
            e.u8 = (const uint8_t *)im->pixels + i * values;
        else
            e.f32 = (const float *)im->pixels + i * values;
        if (im->labels != NULL)
            e.label = im->labels[i];
        buf.size = 0;
        assert_ok(fwi_example_image_encode(&e, &buf));
        assert_ok(fw_tfrecord_put(w, buf.data, buf.size));
    }
    fwi_buf_clear(&buf);
    assert_ok(fw_tfrecord_commit(w));
}

/* Batches one after the other, copied out. */
typedef struct gathered {
    int64_t n_batches, rows, values;
    int64_t *position, *valid;
    int64_t *records;
    int32_t *labels;
    float *images;
} gathered;

/* Up to n_batches from where the data set stands. */
static inline gathered gather(fw_dataset *ds, int64_t n_batches)
{
    gathered g = {0};
    fw_batch b;
    while (g.n_batches < n_batches) {
        const fw_status st = fw_dataset_next(ds, &b);
        if (st == FW_END)
            break;
        assert_ok(st);
        if (g.images == NULL) {
            g.rows = b.n;
            g.values = b.h * b.w * b.c;
            const size_t rows = (size_t)(n_batches * b.n);
            g.position = malloc((size_t)n_batches * sizeof *g.position);
            g.valid = malloc((size_t)n_batches * sizeof *g.valid);
            g.records = malloc(rows * sizeof *g.records);
            g.labels = malloc(rows * sizeof *g.labels);
            g.images = malloc(rows * (size_t)g.values * sizeof *g.images);
        }
        assert_int_equal((uintptr_t)b.images % 64, 0);
        const int64_t at = g.n_batches++;
        g.position[at] = b.position;
        g.valid[at] = b.valid;
        memcpy(g.records + at * b.n, b.records, (size_t)b.n * sizeof *g.records);
        memcpy(g.labels + at * b.n, b.labels, (size_t)b.n * sizeof *g.labels);
        memcpy(g.images + at * b.n * g.values, b.images,
               (size_t)(b.n * g.values) * sizeof *g.images);
    }
    return g;
}

static inline void free_gathered(gathered *g)
{
    free(g->position);
    free(g->valid);
    free(g->records);
    free(g->labels);
    free(g->images);
    *g = (gathered){0};
}

/* Bit for bit, from batch `skip` of a on. */
static inline void assert_same(const gathered *a, int64_t skip, const gathered *b)
{
    assert_int_equal(a->n_batches - skip, b->n_batches);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->values, b->values);
    const size_t n = (size_t)b->n_batches, rows = n * (size_t)b->rows;
    const int64_t row = skip * a->rows;
    assert_memory_equal(a->position + skip, b->position, n * sizeof *b->position);
    assert_memory_equal(a->valid + skip, b->valid, n * sizeof *b->valid);
    assert_memory_equal(a->records + row, b->records, rows * sizeof *b->records);
    assert_memory_equal(a->labels + row, b->labels, rows * sizeof *b->labels);
    assert_memory_equal(a->images + row * a->values, b->images,
                        rows * (size_t)b->values * sizeof *b->images);
}

#endif
