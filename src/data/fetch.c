/* fetch.c: records by index, for data sets on plain files.
 *
 * Reading is a call of io's record set. The cache fills itself as records come by: each has a state
 * byte, and who moves it from EMPTY to FILLING copies the record in. A second thread that needs the
 * same record meanwhile (a batch may straddle two passes) reads it from disk, so nobody waits.
 * A float record in a cache of uint8 is not kept, but read again each time: the cache holds records
 * in the type of the first.
 *
 * Neighbour: batches.c, whose jobs call fwi_fetch_get. */
#include "fetch.h"

#include "fail.h"

#include <stdatomic.h>

enum { EMPTY = 0, FILLING, FULL };
enum { ARENA_SPARE = 16 * 1024 }; /* a message's own structs */

struct fwi_fetch {
    fwi_record_set *set;
    const fwi_selection *selection;
    int64_t h, w, c, n_values;
    bool labelled;

    bool cached;
    fw_dtype cache_dtype;
    size_t image_bytes; /* of one record in the cache */
    size_t cache_bytes;
    uint8_t *cache;
    int32_t *labels;
    _Atomic uint8_t *states;
};

static fw_status make_cache(fwi_fetch *f, fw_dtype dtype)
{
    const size_t n = (size_t)f->selection->n;
    f->cache_dtype = dtype;
    f->image_bytes = (size_t)f->n_values * fw_dtype_size(dtype);
    if (!fwi_mul_size(n, f->image_bytes, &f->cache_bytes))
        return fwi_fail(FW_ENOMEM, "a cache of %zu images of %zu bytes", n, f->image_bytes);
    f->cache = fwi_big_alloc(f->cache_bytes);
    f->labels = fwi_alloc_array(n, sizeof *f->labels);
    f->states = fwi_alloc_array(n, sizeof *f->states);
    f->cached = f->cache != NULL && f->labels != NULL && f->states != NULL;
    return f->cached ? FW_OK : FW_ENOMEM;
}

fw_status fwi_fetch_new(fwi_fetch **out, fwi_record_set *set, const fwi_selection *selection,
                        int64_t h, int64_t w, int64_t c, bool cache)
{
    fwi_fetch_scratch scratch = {0};
    fw_status st = FW_OK;
    fwi_fetch *f = fwi_alloc_zero(sizeof *f);
    if (f == NULL) {
        fwi_record_set_close(set);
        return FW_ENOMEM;
    }
    f->set = set;
    f->selection = selection;
    f->h = h;
    f->w = w;
    f->c = c;
    f->n_values = h * w * c;
    fwi_pixels first = {0};
    if ((st = fwi_fetch_scratch_init(f, &scratch)) != FW_OK ||
        (st = fwi_fetch_get(f, &scratch, 0, &first)) != FW_OK)
        goto done;
    f->labelled = first.label >= 0;
    if (cache)
        st = make_cache(f, first.dtype);
done:
    fwi_fetch_scratch_clear(&scratch);
    if (st == FW_OK)
        *out = f;
    else
        fwi_fetch_free(f);
    return st;
}

void fwi_fetch_free(fwi_fetch *f)
{
    if (f == NULL)
        return;
    fwi_record_set_close(f->set);
    fwi_big_free(f->cache, f->cache_bytes);
    fwi_free(f->labels);
    fwi_free((void *)f->states);
    fwi_free(f);
}

/* ---- scratch ---- */

/* A decoded message is hardly larger than its bytes, unless it holds long lists of small integers;
 * such a one makes the arena grow, once. */
static size_t arena_bytes(const fwi_fetch *f)
{
    return 2 * fwi_record_set_max_bytes(f->set) + ARENA_SPARE;
}

fw_status fwi_fetch_scratch_init(const fwi_fetch *f, fwi_fetch_scratch *s)
{
    s->raw_bytes = fwi_record_set_max_bytes(f->set);
    s->raw = fwi_big_alloc(s->raw_bytes);
    if (s->raw == NULL)
        return FW_ENOMEM;
    const fw_status st = fwi_arena_new(&s->arena, arena_bytes(f));
    if (st != FW_OK)
        return st;
    if (fwi_arena_alloc(s->arena, 1) == NULL) /* now, so that no later record is the first to */
        return FW_ENOMEM;
    return FW_OK;
}

void fwi_fetch_scratch_clear(fwi_fetch_scratch *s)
{
    fwi_big_free(s->raw, s->raw_bytes);
    fwi_arena_free(s->arena);
    *s = (fwi_fetch_scratch){0};
}

size_t fwi_fetch_scratch_bytes(const fwi_fetch *f)
{
    return fwi_record_set_max_bytes(f->set) + arena_bytes(f);
}

/* ---- reading ---- */

static fw_status read_record(const fwi_fetch *f, fwi_fetch_scratch *s, int64_t rank,
                             fwi_pixels *out)
{
    const int64_t record = fwi_selection_record(f->selection, rank);
    const uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    fw_status st = fwi_record_set_read(f->set, record, s->raw, s->raw_bytes, &bytes, &n_bytes);
    if (st != FW_OK)
        return st; /* the message has the place */
    st = fwi_pixels_decode(s->arena, bytes, n_bytes, f->h, f->w, f->c, out);
    if (st != FW_OK) {
        char place[512];
        return fwi_fail_in(st, "%s", fwi_record_set_place(f->set, record, place, sizeof place));
    }
    return FW_OK;
}

static void keep(fwi_fetch *f, int64_t rank, const fwi_pixels *p)
{
    if (p->dtype == FW_F32 && f->cache_dtype == FW_U8)
        return;
    uint8_t state = EMPTY;
    if (!atomic_compare_exchange_strong(&f->states[rank], &state, FILLING))
        return;
    fwi_pixels_copy(p, f->n_values, f->cache_dtype, f->cache + (size_t)rank * f->image_bytes);
    f->labels[rank] = p->label;
    atomic_store_explicit(&f->states[rank], FULL, memory_order_release);
}

fw_status fwi_fetch_get(fwi_fetch *f, fwi_fetch_scratch *s, int64_t rank, fwi_pixels *out)
{
    if (f->cached && atomic_load_explicit(&f->states[rank], memory_order_acquire) == FULL) {
        *out = (fwi_pixels){.dtype = f->cache_dtype,
                            .data = f->cache + (size_t)rank * f->image_bytes,
                            .label = f->labels[rank]};
        return FW_OK;
    }
    const fw_status st = read_record(f, s, rank, out);
    if (st == FW_OK && f->cached)
        keep(f, rank, out);
    return st;
}

/* ---- questions ---- */

fw_dtype fwi_fetch_cache_dtype(const fwi_fetch *f)
{
    return f->cache_dtype;
}

bool fwi_fetch_labelled(const fwi_fetch *f)
{
    return f->labelled;
}

size_t fwi_fetch_index_bytes(const fwi_fetch *f)
{
    return sizeof *f + fwi_record_set_memory(f->set);
}

size_t fwi_fetch_cache_bytes(const fwi_fetch *f)
{
    if (!f->cached)
        return 0;
    return f->cache_bytes + (size_t)f->selection->n * (sizeof *f->labels + sizeof *f->states);
}

const char *fwi_fetch_place(const fwi_fetch *f, int64_t rank, char *buf, size_t cap)
{
    return fwi_record_set_place(f->set, fwi_selection_record(f->selection, rank), buf, cap);
}
