/* shuffle.h: records of files that cannot be sought in, shuffled through a buffer. */
#ifndef FWI_SHUFFLE_H
#define FWI_SHUFFLE_H

#include "order.h"
#include "pixels.h"

#include <stdatomic.h>

/* Each pass over the files is shuffled by itself: the buffer is filled with the first records; then
 * draw number k of pass e takes place below(word0 of block (seed, BUFFER, e, k), records held) of
 * the buffer, and the next record of the files goes there; when there are none left, the buffer's
 * last record does, and the buffer shrinks. So a pass visits each record once, and is a fair
 * permutation where the buffer holds them all. Records are numbered as they come from the files in
 * turn (fwi_record_stream). */
typedef struct fwi_shuffle fwi_shuffle;

typedef struct fwi_shuffle_opt {
    int64_t h, w, c;
    int64_t cycle_length;
    int64_t capacity; /* records; 0: not shuffled */
    int64_t passes;   /* 0: endless; read-ahead stops at the last one */
    uint64_t seed;
} fwi_shuffle_opt;

/* selection is borrowed, pattern too. Reads the first record, for its type. The files must hold
 * selection->n_source records, which shows while reading. The buffer is made by the first draw. */
fw_status fwi_shuffle_open(fwi_shuffle **out, const char *pattern, const fwi_selection *selection,
                           const fwi_shuffle_opt *opt);
void fwi_shuffle_close(fwi_shuffle *s);

/* Draw number `place` of a pass. Draws go forward; anything else replays the pass from its start.
 *   cell    [h,w,c] in fwi_shuffle_dtype, filled
 *   stop    looked at between records: FW_ESTOPPED soon after it is set
 * After a failure the same draw may be asked for again (and replays). One caller at a time. */
fw_status fwi_shuffle_draw(fwi_shuffle *s, int64_t pass, int64_t place, void *cell, int32_t *label,
                           int64_t *record, const atomic_bool *stop);

/* From the next draw on, labels are held against this. Forgets the records held. */
void fwi_shuffle_expect_classes(fwi_shuffle *s, int64_t n_classes);

/* As one opened with that seed: the next draw replays. No draw is under way. */
void fwi_shuffle_reseed(fwi_shuffle *s, uint64_t seed);

fw_dtype fwi_shuffle_dtype(const fwi_shuffle *s);
bool fwi_shuffle_labelled(const fwi_shuffle *s);
size_t fwi_shuffle_bytes(const fwi_shuffle *s); /* buffer and decompressors */

#endif
