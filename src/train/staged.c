/* staged.c: see staged.h. */
#include "staged.h"

#include <inttypes.h>
#include <string.h>

#include "dataset_inner.h"
#include "fail.h"
#include "mem.h"

static int64_t image_values(const fw_dataset *ds)
{
    int64_t h, w, c;
    fw_dataset_shape(ds, &h, &w, &c);
    return h * w * c;
}

int64_t fwi_staged_bytes(const fw_estimator *e, const fw_dataset *ds)
{
    const fw_filter *const filter = e->opt.filter, *const record = e->opt.record;
    const int64_t label = 2 * (int64_t)sizeof(int32_t);
    if (filter != NULL)
        return fwi_filter_bytes(filter) +
               fwi_filter_keep(filter) * (image_values(ds) * (int64_t)sizeof(float) + label);
    if (record != NULL)
        return fwi_filter_bytes(record) +
               fwi_filter_batch(record) * ((int64_t)sizeof(double) + label);
    return 0;
}

fw_status fwi_staged_check(const fw_estimator *e, const fw_dataset *ds, int64_t until)
{
    const fw_filter *const f = e->opt.filter != NULL ? e->opt.filter : e->opt.record;
    if (f == NULL)
        return FW_OK;
    if (fwi_filter_batch(f) != fwi_dataset_batch(ds))
        return fwi_fail(FW_EARG,
                        "the filter is for batches of %" PRId64 ", the data's are of %" PRId64,
                        fwi_filter_batch(f), fwi_dataset_batch(ds));
    const int64_t steps = e->opt.filter != NULL ? fw_filter_recorded(f) : fwi_filter_steps(f);
    if (steps < until)
        return fwi_fail(FW_EARG,
                        "the filter %s %" PRId64 " steps, training is to go on to step %" PRId64,
                        e->opt.filter != NULL ? "has the rows of" : "has room for", steps, until);
    return FW_OK;
}

fw_status fwi_staged_prepare(fwi_staged *s, const fw_estimator *e, const fw_dataset *ds)
{
    const fw_filter *const filter = e->opt.filter, *const record = e->opt.record;
    if (filter == NULL && record == NULL)
        return FW_OK;
    const size_t rows =
        (size_t)(filter != NULL ? fwi_filter_keep(filter) : fwi_filter_batch(record));
    s->labels = fwi_alloc_array(rows, sizeof *s->labels);
    s->labels2 = fwi_alloc_array(rows, sizeof *s->labels2);
    bool whole = s->labels != NULL && s->labels2 != NULL;
    if (filter != NULL)
        whole = (s->images = fwi_big_alloc(rows * (size_t)image_values(ds) * sizeof *s->images)) !=
                    NULL &&
                whole;
    else
        whole = (s->loss = fwi_alloc_array(rows, sizeof *s->loss)) != NULL && whole;
    s->image_bytes = filter != NULL ? rows * (size_t)image_values(ds) * sizeof *s->images : 0;
    return whole ? FW_OK : FW_ENOMEM;
}

void fwi_staged_clear(fwi_staged *s)
{
    fwi_big_free(s->images, s->image_bytes);
    fwi_free(s->labels);
    fwi_free(s->labels2);
    fwi_free(s->loss);
    *s = (fwi_staged){0};
}

void fwi_staged_gather(fwi_staged *s, const fw_filter *f, int64_t step, const fw_batch *b,
                       fw_batch *out)
{
    const int64_t values = b->h * b->w * b->c;
    int64_t n = 0;
    for (int64_t i = 0; i < b->n; i++) {
        if (!fwi_filter_has(f, step, i))
            continue;
        memcpy(s->images + n * values, b->images + i * values, (size_t)values * sizeof *s->images);
        s->labels[n] = b->labels[i];
        s->labels2[n++] = b->labels2[i];
    }
    *out = *b;
    out->n = out->valid = n;
    out->images = s->images;
    out->labels = s->labels;
    out->labels2 = s->labels2;
}

void fwi_staged_mask(fwi_staged *s, const fw_filter *f, int64_t step, const fw_batch *b,
                     fw_batch *out)
{
    for (int64_t i = 0; i < b->n; i++) {
        const bool kept = fwi_filter_has(f, step, i);
        s->labels[i] = kept ? b->labels[i] : -1;
        s->labels2[i] = kept ? b->labels2[i] : -1;
    }
    *out = *b;
    out->labels = s->labels;
    out->labels2 = s->labels2;
}

fw_status fwi_staged_choose(fwi_staged *s, fw_filter *f, int64_t step, const fwi_network_plan *p,
                            const fwi_binding *b)
{
    const int64_t n = fwi_filter_batch(f);
    fw_dtype dtype = FW_F32;
    (void)fwi_plan_output_shape(p->plan, p->out_rows, &dtype);
    const fw_status st =
        fwi_plan_read(p->plan, b, p->out_rows, s->loss, (size_t)n * fw_dtype_size(dtype));
    if (st != FW_OK)
        return st;
    if (dtype != FW_F64) /* widened in place, from the end */
        for (int64_t i = n - 1; i >= 0; i--) {
            float v;
            memcpy(&v, (const char *)s->loss + (size_t)i * sizeof v, sizeof v);
            s->loss[i] = (double)v;
        }
    fwi_filter_choose(f, step, s->loss);
    return FW_OK;
}
