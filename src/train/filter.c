/* filter.c: see filter.h. The file is a tensor of bytes with a checksum, like a checkpoint; a run that
 * goes on from an older checkpoint chooses the same rows for the later steps once more. */
#include "filter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "crc32c.h"
#include "fail.h"
#include "mem.h"
#include "number.h"
#include "safetensors.h"
#include "sort.h"

enum { WRITE_BUFFER = 1 << 16, PATH_CAP = 4096 };
static const char file_name[] = "rows.safetensors", tensor_name[] = "rows";

/* A row on its way to be chosen. */
typedef struct rated {
    double loss;
    int64_t row;
} rated;

struct fw_filter {
    int64_t batch, keep, steps, recorded, stride; /* stride: bytes of a step */
    uint8_t *bits; /* [steps,stride]; row r is bit r % 8 of byte r / 8 */
    rated *rows;   /* [batch], while choosing */
};

fw_status fw_filter_new(fw_filter **out, int64_t batch, int64_t keep, int64_t steps)
{
    if (out == NULL)
        return fwi_fail(FW_EARG, "fw_filter_new: NULL argument");
    if (batch < 1 || batch > INT32_MAX || keep < 1 || keep > batch || steps < 1)
        return fwi_fail(FW_EARG,
                        "a filter that keeps %" PRId64 " of %" PRId64 " rows in each of %" PRId64
                        " steps",
                        keep, batch, steps);
    fw_filter *f = fwi_alloc_zero(sizeof *f);
    if (f == NULL)
        return FW_ENOMEM;
    *f = (fw_filter){.batch = batch, .keep = keep, .steps = steps, .stride = (batch + 7) / 8};
    f->bits = fwi_alloc_array((size_t)steps, (size_t)f->stride);
    f->rows = fwi_alloc_array((size_t)batch, sizeof *f->rows);
    if (f->bits == NULL || f->rows == NULL) {
        fw_filter_free(f);
        return FW_ENOMEM;
    }
    memset(f->bits, 0, (size_t)(steps * f->stride));
    *out = f;
    return FW_OK;
}

void fw_filter_free(fw_filter *f)
{
    if (f == NULL)
        return;
    fwi_free(f->bits);
    fwi_free(f->rows);
    fwi_free(f);
}

int64_t fw_filter_recorded(const fw_filter *f)
{
    return f == NULL ? 0 : f->recorded;
}

int64_t fwi_filter_batch(const fw_filter *f)
{
    return f->batch;
}

int64_t fwi_filter_keep(const fw_filter *f)
{
    return f->keep;
}

int64_t fwi_filter_steps(const fw_filter *f)
{
    return f->steps;
}

int64_t fwi_filter_bytes(const fw_filter *f)
{
    return (int64_t)sizeof *f + f->steps * f->stride + f->batch * (int64_t)sizeof *f->rows;
}

void fwi_filter_restart(fw_filter *f)
{
    f->recorded = 0;
}

uint32_t fwi_filter_crc(const fw_filter *f)
{
    return fwi_crc32c(f->bits, (size_t)(f->recorded * f->stride));
}

bool fwi_filter_has(const fw_filter *f, int64_t step, int64_t row)
{
    return (f->bits[step * f->stride + row / 8] >> (row % 8) & 1) != 0;
}

fw_status fw_filter_rows(const fw_filter *f, int64_t step, int32_t *rows)
{
    if (f == NULL || rows == NULL || step < 0 || step >= f->recorded)
        return fwi_fail(FW_EARG, "fw_filter_rows: NULL argument, or step %" PRId64 " of %" PRId64,
                        step, fw_filter_recorded(f));
    int64_t n = 0;
    for (int64_t i = 0; i < f->batch && n < f->keep; i++)
        if (fwi_filter_has(f, step, i))
            rows[n++] = (int32_t)i;
    return FW_OK;
}

/* ---- choosing ---- */

static int highest_first(const void *a, const void *b)
{
    const rated *x = a, *y = b;
    if (x->loss != y->loss)
        return x->loss > y->loss ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

void fwi_filter_choose(fw_filter *f, int64_t step, const double *loss)
{
    for (int64_t i = 0; i < f->batch; i++)
        f->rows[i] = (rated){.loss = isnan(loss[i]) ? INFINITY : loss[i], .row = i};
    fwi_sort(f->rows, (size_t)f->batch, sizeof *f->rows, highest_first);
    uint8_t *bits = f->bits + step * f->stride;
    memset(bits, 0, (size_t)f->stride);
    for (int64_t i = 0; i < f->keep; i++) {
        const int64_t row = f->rows[i].row;
        bits[row / 8] = (uint8_t)(bits[row / 8] | 1U << (row % 8));
    }
    if (step >= f->recorded)
        f->recorded = step + 1;
}

/* ---- the file ---- */

static fw_status path_of(const char *dir, char path[PATH_CAP])
{
    const int n = snprintf(path, PATH_CAP, "%s/%s", dir, file_name);
    return n > 0 && n < PATH_CAP ? FW_OK : fwi_fail(FW_EARG, "%.200s...: path too long", dir);
}

fw_status fwi_filter_save(fw_filter *f, const char *dir, int64_t step)
{
    char path[PATH_CAP], keep[32];
    fwi_st_layout *layout = NULL;
    fwi_file_writer *w = NULL;
    const fwi_shape shape = fwi_shape2(step, f->stride);
    const void *const data[1] = {f->bits};
    if (step == 0)
        return FW_OK; /* nothing yet */
    snprintf(keep, sizeof keep, "%" PRId64 " of %" PRId64, f->keep, f->batch);
    fw_status st = path_of(dir, path);
    if (st == FW_OK)
        st = fwi_st_layout_new(&layout);
    if (st == FW_OK)
        st = fwi_st_layout_meta(layout, "keep", keep);
    if (st == FW_OK)
        st = fwi_st_layout_add(layout, tensor_name, FW_U8, &shape);
    if (st == FW_OK)
        st = fwi_file_writer_new(&w, WRITE_BUFFER, PATH_CAP);
    if (st == FW_OK)
        st = fwi_st_layout_write(layout, w, path, data);
    fwi_file_writer_free(w);
    fwi_st_layout_free(layout);
    return st;
}

/* How many rows of a batch are marked. */
static int64_t rows_of(const fw_filter *f, const uint8_t *bits)
{
    int64_t n = 0;
    for (int64_t i = 0; i < f->batch; i++)
        n += bits[i / 8] >> (i % 8) & 1;
    return n;
}

fw_status fwi_filter_load(fw_filter *f, const char *dir, int64_t step)
{
    char path[PATH_CAP], keep[32];
    fwi_safetensors *s = NULL;
    fwi_buf host = {0};
    snprintf(keep, sizeof keep, "%" PRId64 " of %" PRId64, f->keep, f->batch);
    fw_status st = path_of(dir, path);
    if (st == FW_OK)
        st = fwi_st_open(&s, path);
    if (st == FW_OK)
        st = fwi_st_verify(s);
    if (st != FW_OK)
        goto done;
    const fwi_st_tensor *t = fwi_st_find(s, tensor_name);
    const char *was = fwi_st_meta(s, "keep");
    if (t == NULL || t->dtype != FW_U8 || t->shape.rank != 2 || t->shape.d[1] != f->stride ||
        t->shape.d[0] < step || t->shape.d[0] > f->steps || was == NULL || strcmp(was, keep) != 0) {
        st = fwi_fail(FW_EFORMAT, "%s: has not the rows of %" PRId64 " steps, %s in each", path,
                      step, keep);
        goto done;
    }
    if ((st = fwi_buf_reserve(&host, (size_t)t->bytes)) != FW_OK ||
        (st = fwi_st_read(s, t, host.data)) != FW_OK)
        goto done;
    for (int64_t i = 0; i < step; i++) /* buffers have room for so many rows */
        if (rows_of(f, (const uint8_t *)host.data + i * f->stride) != f->keep) {
            st = fwi_fail(FW_EFORMAT, "%s: step %" PRId64 " has not %s rows", path, i, keep);
            goto done;
        }
    memcpy(f->bits, host.data, (size_t)(step * f->stride));
    f->recorded = step; /* later ones are chosen again, the same way */
done:
    fwi_buf_clear(&host);
    fwi_st_close(s);
    return st;
}
