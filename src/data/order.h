/* order.h: which records a data set has, and the order in which a pass visits them. */
#ifndef FWI_ORDER_H
#define FWI_ORDER_H

#include "pool.h"

#include <fenwicks/data.h>

/* ---- the records of a fold and a shard ---- */

/* First the fold, then the shard. Of n_source records a fold takes those with index % folds ==
 * fold, or, where `others` is set, all but those; what remains is counted through in order (its
 * rank among them), and a shard takes the ranks with rank % shards == shard. With folds and shards
 * of 1 these are all records. In the room a record is named by its place in the result, its rank.
 */
typedef struct fwi_selection {
    int64_t n_source;
    int64_t n; /* records selected */
    int64_t folds, fold, shards, shard;
    bool others;
} fwi_selection;

/* FW_EARG: a fold or shard that does not exist, nothing left, or more than 2^32 - 1 records. */
fw_status fwi_selection_init(fwi_selection *s, int64_t n_source, const fw_dataset_opt *opt);

/* Index in the data set of the record of rank r, 0 <= r < n. Increases with r. */
static inline int64_t fwi_selection_record(const fwi_selection *s, int64_t r)
{
    const int64_t in_fold = s->shard + s->shards * r;
    if (s->folds == 1)
        return in_fold;
    if (!s->others)
        return s->fold + s->folds * in_fold;
    const int64_t group = in_fold / (s->folds - 1), at = in_fold % (s->folds - 1);
    return group * s->folds + (at < s->fold ? at : at + 1);
}

/* ---- shuffled passes ---- */

/* Keeps the order of one pass, and has the next one made in the background: batches straddle. */
typedef struct fwi_order fwi_order;

/* selection is borrowed. */
fw_status fwi_order_new(fwi_order **out, const fwi_selection *selection, uint64_t seed);
void fwi_order_free(fwi_order *o);                  /* after fwi_order_settle */
void fwi_order_reseed(fwi_order *o, uint64_t seed); /* likewise: as one made with that seed */

/* The ranks of one pass in the order of visit, [selection->n]; valid until the call after the next.
 * pool NULL: nothing is made ahead. ahead: pass + 1 will be wanted. One caller at a time. */
const uint32_t *fwi_order_pass(fwi_order *o, fwi_pool *pool, int64_t pass, bool ahead);

/* Waits for what is being made in the background on pool. */
void fwi_order_settle(fwi_order *o, fwi_pool *pool);

size_t fwi_order_bytes(int64_t n); /* that an order of n records takes */

#endif
