/* describe.c: a data set as one line of text, for config.json and for the check on resume.
 *
 * In the line is what decides which numbers a batch holds; how they are made (threads, prefetch,
 * cache of plain files) and where the files are is not, so that a run may be resumed on another machine. */
#include "dataset_room.h"

#include "file.h"
#include "image_set.h"
#include "number.h"

#include <stdarg.h>
#include <stdio.h>

/* Text that is cut at its end, and knows how long it would have been. */
typedef struct line {
    char *buf;
    size_t cap, n;
} line;

static void put(line *l, const char *fmt, ...) FWI_PRINTF(2, 3);

static void put(line *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const size_t left = l->n < l->cap ? l->cap - l->n : 0;
    const int n = fwi_vformat(left > 0 ? l->buf + l->n : NULL, left, fmt, args);
    va_end(args);
    if (n > 0)
        l->n += (size_t)n;
}

static void put_transform(line *l, const fw_transform *t)
{
    switch (t->kind) {
    case FW_TRANSFORM_STANDARDIZE:
        put(l, "standardize(");
        for (int64_t i = 0; i < t->c; i++)
            put(l, "%s%.9g/%.9g", i > 0 ? "," : "", (double)t->mean[i], (double)t->std[i]);
        put(l, ")");
        break;
    case FW_TRANSFORM_PAD_CROP:
        put(l, "pad_crop(%lld)", (long long)t->h);
        break;
    case FW_TRANSFORM_FLIP:
        put(l, t->dihedral ? "dihedral" : t->alternating ? "alternating_flip" : "flip");
        break;
    case FW_TRANSFORM_CUTOUT:
        put(l, "cutout(%lldx%lld)", (long long)t->h, (long long)t->w);
        break;
    case FW_TRANSFORM_COLOR_JITTER:
        put(l, "color_jitter(%.17g,%.17g)", t->brightness, t->contrast);
        break;
    case FW_TRANSFORM_CUTMIX:
        put(l, "cutmix(%lldx%lld,from=%lld)", (long long)t->h, (long long)t->w, (long long)t->from);
        break;
    case FW_TRANSFORM_USER:
        put(l, "user");
        break;
    case FW_TRANSFORM_NONE:
        break;
    }
}

/* The images by their contents: the same in memory and in records that were made of them. Records
 * without a sidecar go by their name, their size and a sample of them. */
static fw_status put_source(line *l, const fw_dataset *ds)
{
    const fwi_resident *const r = &ds->resident;
    if (ds->origin != FWI_ORIGIN_ARRAY || r->own_pixels != NULL) {
        if (ds->digest[0] != 0)
            put(l, "images=%s", ds->digest);
        else
            put(l, "source=%s bytes=%lld sample=%08x", fwi_path_base(ds->name),
                (long long)ds->file_bytes, (unsigned)ds->sample);
        return FW_OK;
    }
    const fw_images all = {.n = ds->selection.n_source,
                           .h = ds->h,
                           .w = ds->w,
                           .c = ds->c,
                           .dtype = r->dtype,
                           .pixels = (void *)r->pixels,
                           .labels = (int32_t *)r->labels};
    char *const digest = fwi_images_digest(&all);
    if (digest == NULL)
        return FW_ENOMEM;
    put(l, "images=%s", digest);
    fwi_free(digest);
    return FW_OK;
}

fw_status fwi_dataset_describe(const fw_dataset *ds, char *buf, size_t cap)
{
    line l = {.cap = cap};
    l.buf = buf;
    const fw_dataset_opt *o = &ds->opt;
    const fw_status st = put_source(&l, ds);
    if (st != FW_OK)
        return st;
    put(&l, " records=%lld image=%lldx%lldx%lld batch=%lld", (long long)ds->selection.n_source,
        (long long)ds->h, (long long)ds->w, (long long)ds->c, (long long)o->batch);
    if (o->training)
        put(&l, " seed=%llu %s%s", (unsigned long long)o->seed,
            o->no_shuffle ? "unshuffled" : "shuffled", o->drop_pass_end ? " drop_pass_end" : "");
    else
        put(&l, " evaluation%s", o->drop_remainder ? " drop_remainder" : "");
    if (ds->selection.folds > 1)
        put(&l, " fold=%lld/%lld", (long long)o->fold, (long long)o->folds);
    if (ds->selection.shards > 1)
        put(&l, " shard=%lld/%lld", (long long)o->shard, (long long)o->shards);
    if (ds->origin == FWI_ORIGIN_STREAM)
        put(&l, " shuffle_buffer=%lld cycle_length=%lld", (long long)o->shuffle_buffer,
            (long long)o->cycle_length);
    put(&l, " transforms=");
    int n = 0;
    const fw_transform *t = fwi_chain_list(ds->chain, &n);
    for (int i = 0; i < n; i++) {
        put(&l, "%s", i > 0 ? "," : "");
        put_transform(&l, &t[i]);
    }
    if (n == 0)
        put(&l, "none");
    if (l.n >= cap)
        return fwi_fail(FW_EARG, "the data set's description needs %zu bytes, there are %zu",
                        l.n + 1, cap);
    return FW_OK;
}
