/* order.c: records of a fold and a shard, and the order of a pass.
 *
 * Pass e visits the records sorted by (philox64(seed, SHUFFLE, e, i), i). The keys are uniform, so
 * their upper bits sort them nearly: one counting pass puts records into about n / 4 buckets, and
 * an insertion sort finishes within the buckets, whose expected work is linear in n. The keys are
 * drawn twice instead of kept, which is faster than writing and reading them. Records go into
 * buckets in rising order and the insertion sort is stable, so equal keys stay in the order of i.
 *
 * Neighbour: batches.c, which copies the ranks of a batch out of here before its jobs start. */
#include "order.h"

#include "fail.h"
#include "mem.h"
#include "rng.h"

#include <string.h>

/* ---- selection ---- */

static fw_status check_part(const char *what, int64_t parts, int64_t part)
{
    if (parts < 0 || part < 0 || part >= (parts > 1 ? parts : 1))
        return fwi_fail(FW_EARG, "%s %lld of %lld does not exist", what, (long long)part,
                        (long long)parts);
    return FW_OK;
}

/* How many of 0 .. n-1 leave the remainder `part` when divided by `parts`. */
static int64_t count_part(int64_t n, int64_t parts, int64_t part)
{
    return n > part ? (n - part - 1) / parts + 1 : 0;
}

fw_status fwi_selection_init(fwi_selection *s, int64_t n_source, const fw_dataset_opt *opt)
{
    fw_status st = check_part("fold", opt->folds, opt->fold);
    if (st == FW_OK)
        st = check_part("shard", opt->shards, opt->shard);
    if (st != FW_OK)
        return st;
    *s = (fwi_selection){.n_source = n_source,
                         .folds = opt->folds > 1 ? opt->folds : 1,
                         .fold = opt->fold,
                         .shards = opt->shards > 1 ? opt->shards : 1,
                         .shard = opt->shard,
                         .others = opt->training};
    int64_t n = n_source;
    if (s->folds > 1) {
        n = count_part(n_source, s->folds, s->fold);
        if (s->others)
            n = n_source - n;
    }
    s->n = count_part(n, s->shards, s->shard);
    if (s->n == 0)
        return fwi_fail(FW_EARG,
                        "no record left: %lld records, fold %lld of %lld, shard %lld of %lld",
                        (long long)n_source, (long long)s->fold, (long long)s->folds,
                        (long long)s->shard, (long long)s->shards);
    if (s->n > (int64_t)UINT32_MAX)
        return fwi_fail(FW_EARG, "%lld records: at most %lld are possible; use shards",
                        (long long)s->n, (long long)UINT32_MAX);
    return FW_OK;
}

/* ---- order ---- */

struct fwi_order {
    const fwi_selection *selection;
    uint64_t seed;
    uint32_t *ranks[2];
    int64_t pass[2]; /* that ranks[i] holds; -1: none */
    int current;
    uint64_t *keys;
    uint32_t *ends; /* [2^bits + 1] */
    int bits;
    fwi_job job; /* makes job_pass in ranks[1 - current] */
    bool pending;
    int64_t job_pass;
};

static int bucket_bits(int64_t n)
{
    int bits = 1;
    while (bits < 30 && ((int64_t)1 << bits) < n / 4)
        bits++;
    return bits;
}

static size_t n_ends(int bits)
{
    return ((size_t)1 << bits) + 1;
}

size_t fwi_order_bytes(int64_t n)
{
    return sizeof(fwi_order) + (size_t)n * (2 * sizeof(uint32_t) + sizeof(uint64_t)) +
           n_ends(bucket_bits(n)) * sizeof(uint32_t);
}

fw_status fwi_order_new(fwi_order **out, const fwi_selection *selection, uint64_t seed)
{
    const size_t n = (size_t)selection->n;
    fwi_order *o = fwi_alloc_zero(sizeof *o);
    if (o == NULL)
        return FW_ENOMEM;
    o->selection = selection;
    o->seed = seed;
    o->bits = bucket_bits(selection->n);
    o->pass[0] = o->pass[1] = -1;
    o->ranks[0] = fwi_alloc_array(n, sizeof *o->ranks[0]);
    o->ranks[1] = fwi_alloc_array(n, sizeof *o->ranks[1]);
    o->keys = fwi_alloc_array(n, sizeof *o->keys);
    o->ends = fwi_alloc_array(n_ends(o->bits), sizeof *o->ends);
    if (o->ranks[0] == NULL || o->ranks[1] == NULL || o->keys == NULL || o->ends == NULL) {
        fwi_order_free(o);
        return FW_ENOMEM;
    }
    *out = o;
    return FW_OK;
}

void fwi_order_free(fwi_order *o)
{
    if (o == NULL)
        return;
    fwi_free(o->ranks[0]);
    fwi_free(o->ranks[1]);
    fwi_free(o->keys);
    fwi_free(o->ends);
    fwi_free(o);
}

void fwi_order_reseed(fwi_order *o, uint64_t seed)
{
    o->seed = seed;
    o->pass[0] = o->pass[1] = -1;
}

static uint64_t key_of(const fwi_order *o, int64_t pass, int64_t rank)
{
    return fwi_rng_u64(o->seed, FWI_RNG_SHUFFLE, (uint32_t)pass,
                       (uint64_t)fwi_selection_record(o->selection, rank));
}

static void sort_pass(fwi_order *o, int64_t pass, uint32_t *ranks)
{
    const int64_t n = o->selection->n;
    const int shift = 64 - o->bits;
    uint64_t *keys = o->keys;
    uint32_t *ends = o->ends;
    memset(ends, 0, n_ends(o->bits) * sizeof *ends);
    for (int64_t r = 0; r < n; r++)
        ends[(key_of(o, pass, r) >> shift) + 1]++;
    for (size_t b = 1; b < n_ends(o->bits); b++)
        ends[b] += ends[b - 1];
    for (int64_t r = 0; r < n; r++) { /* ends[b] is bucket b's start, and moves to its end */
        const uint64_t key = key_of(o, pass, r);
        const uint32_t at = ends[key >> shift]++;
        keys[at] = key;
        ranks[at] = (uint32_t)r;
    }
    for (int64_t i = 1; i < n; i++) { /* moves nothing beyond its bucket */
        const uint64_t key = keys[i];
        const uint32_t rank = ranks[i];
        int64_t at = i;
        for (; at > 0 && keys[at - 1] > key; at--) {
            keys[at] = keys[at - 1];
            ranks[at] = ranks[at - 1];
        }
        keys[at] = key;
        ranks[at] = rank;
    }
}

static void make_ahead(void *arg)
{
    fwi_order *o = arg;
    sort_pass(o, o->job_pass, o->ranks[1 - o->current]);
}

void fwi_order_settle(fwi_order *o, fwi_pool *pool)
{
    if (o == NULL || !o->pending)
        return;
    fwi_job_wait(pool, &o->job);
    o->pending = false;
    o->pass[1 - o->current] = o->job_pass;
}

const uint32_t *fwi_order_pass(fwi_order *o, fwi_pool *pool, int64_t pass, bool ahead)
{
    if (o->pass[o->current] == pass)
        return o->ranks[o->current];
    fwi_order_settle(o, pool);
    const int other = 1 - o->current;
    if (o->pass[other] != pass) {
        sort_pass(o, pass, o->ranks[other]);
        o->pass[other] = pass;
    }
    o->current = other;
    if (ahead && pool != NULL) {
        o->pass[1 - other] = -1;
        o->job_pass = pass + 1;
        o->job.fn = make_ahead;
        o->job.arg = o;
        o->pending = true;
        fwi_pool_submit(pool, &o->job);
    }
    return o->ranks[o->current];
}
