/* fetch.h: records of plain files by index, from disk or from a cache in memory. */
#ifndef FWI_FETCH_H
#define FWI_FETCH_H

#include "order.h"
#include "pixels.h"
#include "record_set.h"

typedef struct fwi_fetch fwi_fetch;

/* What one record at a time needs while it is read and decoded. */
typedef struct fwi_fetch_scratch {
    fwi_arena *arena;
    uint8_t *raw;
    size_t raw_bytes;
} fwi_fetch_scratch;

/* set is taken (closed also on failure). selection is borrowed. Reads the first record selected, so
 * that a size that is wrong everywhere shows at once. cache: makes room for all records selected,
 * in the first one's type. */
fw_status fwi_fetch_new(fwi_fetch **out, fwi_record_set *set, const fwi_selection *selection,
                        int64_t h, int64_t w, int64_t c, bool cache);
void fwi_fetch_free(fwi_fetch *f);

fw_status fwi_fetch_scratch_init(const fwi_fetch *f, fwi_fetch_scratch *s);
void fwi_fetch_scratch_clear(fwi_fetch_scratch *s);
size_t fwi_fetch_scratch_bytes(const fwi_fetch *f);

/* The record of a rank; out's data is in scratch or in the cache. Thread-safe with a scratch per
 * thread; allocates nothing once scratch has seen the largest record. Errors name file, record and
 * byte. */
fw_status fwi_fetch_get(fwi_fetch *f, fwi_fetch_scratch *s, int64_t rank, fwi_pixels *out);

fw_dtype fwi_fetch_cache_dtype(const fwi_fetch *f); /* of its cache, if it has one */
bool fwi_fetch_labelled(const fwi_fetch *f);        /* its first record is */
size_t fwi_fetch_index_bytes(const fwi_fetch *f);
size_t fwi_fetch_cache_bytes(const fwi_fetch *f);
const char *fwi_fetch_place(const fwi_fetch *f, int64_t rank, char *buf, size_t cap);

#endif
