/* rows.c: a data set for a device that keeps the images: all records once, in order of rank, and then
 * for each batch no more than which records it has. Neighbours: batches.c, which makes the same
 * batches with images; fetch.c. */
#include "dataset_room.h"
#include "mem.h"

#include <assert.h>
#include <string.h>

enum { JOB_RECORDS = 64, CHOSEN_AT_ONCE = 64 };

uint64_t fwi_dataset_serial(const fw_dataset *ds)
{
    return ds->serial;
}

uint64_t fwi_dataset_seed(const fw_dataset *ds)
{
    return ds->opt.seed;
}

void fwi_dataset_rows_only(fw_dataset *ds, bool yes)
{
    ds->rows_only = yes;
}

fw_status fwi_dataset_keepable(const fw_dataset *ds)
{
    fw_dtype dtype = FW_U8;
    if (ds->origin == FWI_ORIGIN_STREAM || (ds->origin == FWI_ORIGIN_RECORDS && !ds->opt.cache))
        return fwi_fail(FW_EUNAVAILABLE, "its records are read from files as they are wanted, not "
                                         "held in memory");
    dtype = ds->origin == FWI_ORIGIN_ARRAY ? ds->resident.dtype : fwi_fetch_cache_dtype(ds->fetch);
    if (dtype != FW_U8)
        return fwi_fail(FW_EUNAVAILABLE, "its images are %s, not u8", fw_dtype_name(dtype));
    return FW_OK;
}

/* ---- all records ---- */

typedef struct reading {
    fw_dataset *ds;
    int64_t first, n;
    uint8_t *pixels; /* NULL, and labels: wanted in the cache alone */
    int32_t *labels;
    fwi_fetch_scratch *scratch; /* [threads]; of files */
    fwi_error *errors;          /* [jobs] */
} reading;

static fw_status read_one(const reading *r, int64_t i, int slot)
{
    fw_dataset *const ds = r->ds;
    const int64_t rank = r->first + i, record = fwi_selection_record(&ds->selection, rank);
    const size_t bytes = (size_t)ds->n_values;
    fwi_pixels p = {.dtype = FW_U8};
    fw_status st = FW_OK;
    if (ds->origin == FWI_ORIGIN_RECORDS) {
        st = fwi_fetch_get(ds->fetch, &r->scratch[slot], rank, &p);
        if (st != FW_OK)
            return st; /* the message has the place */
    } else {
        const fwi_resident *m = &ds->resident;
        const int64_t at = m->by_rank ? rank : record;
        p.data = m->pixels + (size_t)at * bytes;
        p.label = m->labels != NULL ? m->labels[at] : -1;
    }
    st = p.dtype != FW_U8 && r->pixels != NULL
             ? fwi_fail(FW_EUNAVAILABLE, "the image is f32, not u8")
             : fwi_label_check(p.label, ds->n_classes);
    if (st != FW_OK)
        return fwi_dataset_fail_at(ds, st, rank, record);
    if (r->pixels == NULL)
        return FW_OK;
    memcpy(r->pixels + (size_t)i * bytes, p.data, bytes);
    r->labels[i] = p.label;
    return FW_OK;
}

static void read_some(void *arg, int64_t job, int slot)
{
    const reading *r = arg;
    const int64_t first = job * JOB_RECORDS, left = r->n - first;
    const int64_t n = left < JOB_RECORDS ? left : JOB_RECORDS;
    fw_status st = FW_OK;
    for (int64_t i = first; i < first + n && st == FW_OK; i++)
        st = read_one(r, i, slot);
    if (st != FW_OK)
        fwi_error_save(&r->errors[job], st);
}

static fw_status read_all(reading *r)
{
    fw_dataset *const ds = r->ds;
    const int64_t jobs = (r->n + JOB_RECORDS - 1) / JOB_RECORDS;
    const int threads = fwi_pool_threads(ds->pool);
    fw_status st = FW_OK;
    r->errors = fwi_alloc_array((size_t)jobs, sizeof *r->errors);
    r->scratch = fwi_alloc_array((size_t)threads, sizeof *r->scratch);
    if (r->errors == NULL || r->scratch == NULL)
        st = FW_ENOMEM;
    for (int i = 0; i < threads && st == FW_OK && ds->origin == FWI_ORIGIN_RECORDS; i++)
        st = fwi_fetch_scratch_init(ds->fetch, &r->scratch[i]);
    if (st == FW_OK)
        fwi_pool_for(ds->pool, jobs, read_some, r);
    for (int64_t i = 0; i < jobs && st == FW_OK; i++)
        if (r->errors[i].status != FW_OK)
            st = fwi_error_raise(&r->errors[i]);
    for (int i = 0; r->scratch != NULL && i < threads; i++)
        fwi_fetch_scratch_clear(&r->scratch[i]);
    fwi_free(r->scratch);
    fwi_free(r->errors);
    return st;
}

fw_status fwi_dataset_read(fw_dataset *ds, int64_t first, int64_t n, uint8_t *pixels,
                           int32_t *labels)
{
    assert(first >= 0 && n >= 0 && first + n <= ds->selection.n);
    const fw_status st = fwi_dataset_keepable(ds);
    if (st != FW_OK || n == 0)
        return st;
    reading r = {.ds = ds, .first = first, .n = n};
    r.pixels = pixels;
    r.labels = labels;
    return read_all(&r);
}

fw_status fwi_dataset_fill_cache(fw_dataset *ds)
{
    if (ds->origin != FWI_ORIGIN_RECORDS || !ds->opt.cache)
        return FW_OK;
    reading r = {.ds = ds, .n = ds->selection.n};
    return read_all(&r);
}

/* ---- batches ---- */

fw_status fwi_dataset_next_rows(fw_dataset *ds, int64_t *rows, int64_t *valid)
{
    const int64_t batch = ds->opt.batch;
    if (ds->n_asked > 0)
        return fwi_fail(FW_ESTATE, "rows are asked for while batches are under way");
    int64_t at = ds->position;
    if (!fwi_batches_begin_at(ds, &at))
        return FW_END;
    const int64_t left = ds->end - at, n = left < batch ? left : batch;
    fwi_pool *pool = fwi_batches_threads(ds) > 1 ? ds->pool : NULL;
    for (int64_t i = 0; i < n; i += CHOSEN_AT_ONCE) {
        uint32_t ranks[CHOSEN_AT_ONCE];
        const int64_t some = n - i < CHOSEN_AT_ONCE ? n - i : CHOSEN_AT_ONCE;
        fwi_batches_choose(ds, pool, at + i, some, ranks, rows + batch + i);
        for (int64_t k = i; k < i + some; k++) {
            rows[k] = (int64_t)ranks[k - i];
            rows[2 * batch + k] = (at + k) / ds->per_pass;
        }
    }
    for (int64_t i = n; i < batch; i++) {
        rows[i] = rows[batch + i] = -1;
        rows[2 * batch + i] = 0;
    }
    ds->begun = true;
    ds->position = ds->ask_at = at + n;
    *valid = n;
    return FW_OK;
}
