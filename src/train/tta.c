/* tta.c: see tta.h. Views are made where images are, on the host or by a device that keeps them; the
 * network sees them as it sees any batch, so that every device and precision can do it. Sums are in double, in the order of the
 * views. */
#include "tta.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "fail.h"

/* mirror: logits of x and of its mirror image, a half each. airbench6: half of that, and half of
 * the same over two copies shifted by a pixel along the diagonal (Jordan 2024). */
static const fwi_view mirror[] = {{0.5, 0, false}, {0.5, 0, true}};
static const fwi_view airbench6[] = {{0.25, 0, false},  {0.25, 0, true},   {0.125, -1, false},
                                     {0.125, -1, true}, {0.125, 1, false}, {0.125, 1, true}};

/* the same six, all alike (hiverge 2025) */
#define SIXTH (1.0 / 6)
static const fwi_view sixths[] = {{SIXTH, 0, false}, {SIXTH, 0, true},  {SIXTH, -1, false},
                                  {SIXTH, -1, true}, {SIXTH, 1, false}, {SIXTH, 1, true}};

const fwi_view *fwi_tta_views(fw_tta tta, int *n)
{
    static const fwi_view plain[] = {{1, 0, false}};
    switch (tta) {
    case FW_TTA_NONE:
        *n = 1;
        return plain;
    case FW_TTA_MIRROR:
        *n = 2;
        return mirror;
    case FW_TTA_AIRBENCH6:
        *n = 6;
        return airbench6;
    case FW_TTA_SELECTIVE:
        *n = 6;
        return sixths;
    }
    *n = 0;
    return NULL;
}

/* ---- views ---- */

typedef struct making {
    const fwi_view *v;
    int64_t h, w, c;
    const float *in;
    float *out;
} making;

static int64_t reflected(int64_t i, int64_t n)
{
    return i < 0 ? -i : i < n ? i : 2 * (n - 1) - i;
}

static void make_one(void *arg, int64_t i, int slot)
{
    (void)slot;
    const making *m = arg;
    const int64_t row = m->w * m->c;
    const float *in = m->in + i * m->h * row;
    float *out = m->out + i * m->h * row;
    for (int64_t y = 0; y < m->h; y++) {
        const float *from = in + reflected(y + m->v->shift, m->h) * row;
        for (int64_t x = 0; x < m->w; x++) {
            const int64_t at = m->v->mirrored ? m->w - 1 - x : x;
            memcpy(out + y * row + x * m->c, from + reflected(at + m->v->shift, m->w) * m->c,
                   (size_t)m->c * sizeof *out);
        }
    }
}

void fwi_view_make(const fwi_view *v, fwi_pool *pool, int64_t n, int64_t h, int64_t w, int64_t c,
                   const float *in, float *out)
{
    making m = {.v = v, .h = h, .w = w, .c = c, .in = in};
    m.out = out;
    fwi_pool_for(pool, n, make_one, &m);
}

/* ---- buffers ---- */

int64_t fwi_tta_bytes(fw_tta kind, int64_t batch, int64_t h, int64_t w, int64_t c,
                      int64_t n_classes)
{
    if (kind == FW_TTA_NONE)
        return 0;
    return batch * h * w * c * (int64_t)sizeof(float) +
           3 * batch * n_classes * (int64_t)sizeof(double);
}

void fwi_tta_clear(fwi_tta *t)
{
    fwi_free(t->view);
    fwi_free(t->plain);
    fwi_free(t->sum);
    fwi_free(t->staged);
    *t = (fwi_tta){0};
}

fw_status fwi_tta_check(fw_tta kind, int64_t h, int64_t w)
{
    int n;
    const fwi_view *views = fwi_tta_views(kind, &n);
    if (views == NULL)
        return fwi_fail(FW_EARG, "tta is the number %d, which none of its values has", (int)kind);
    for (int i = 0; i < n; i++)
        if (views[i].shift != 0 && (h < 2 || w < 2))
            return fwi_fail(FW_ESHAPE,
                            "images of %" PRId64 " x %" PRId64 " are too small for a view that is "
                            "shifted by a pixel",
                            h, w);
    return FW_OK;
}

fw_status fwi_tta_prepare(fwi_tta *t, fw_tta kind, int64_t batch, int64_t h, int64_t w, int64_t c,
                          int64_t n_classes)
{
    if (t->plain != NULL && t->kind == kind && t->batch == batch && t->h == h && t->w == w &&
        t->c == c && t->n_classes == n_classes)
        return FW_OK;
    fwi_tta_clear(t);
    const fw_status st = fwi_tta_check(kind, h, w);
    if (st != FW_OK)
        return st;
    const size_t rows = (size_t)batch;
    *t = (fwi_tta){.kind = kind, .batch = batch, .h = h, .w = w, .c = c, .n_classes = n_classes};
    const bool views = kind != FW_TTA_NONE; /* the images themselves are where they are */
    if (views)
        t->view = fwi_alloc_array(rows, (size_t)(h * w * c) * sizeof *t->view);
    t->plain = fwi_alloc_array(rows, (size_t)n_classes * sizeof *t->plain);
    t->sum = fwi_alloc_array(rows, (size_t)n_classes * sizeof *t->sum);
    t->staged = fwi_alloc_array(rows, (size_t)n_classes * sizeof *t->staged);
    if ((views && t->view == NULL) || t->plain == NULL || t->sum == NULL || t->staged == NULL) {
        fwi_tta_clear(t);
        return FW_ENOMEM;
    }
    return FW_OK;
}

/* ---- a batch ---- */

static fw_status run_views(fwi_tta *t, const fwi_view *views, int n, const fwi_network_plan *p,
                           fwi_pool *pool, void *scratch, const fwi_shown *x)
{
    fw_dtype dtype = FW_F32;
    (void)fwi_plan_output_shape(p->plan, p->out_logits, &dtype);
    const int64_t elems = t->batch * t->n_classes;
    fw_status st = FW_OK;
    for (int i = 0; i < n && st == FW_OK; i++) {
        if (i > 0 && x->images != NULL)
            fwi_view_make(&views[i], pool, t->batch, t->h, t->w, t->c, x->images, t->view);
        fwi_binding b =
            fwi_network_binding(p, scratch, i == 0 ? x->images : t->view, x->labels, NULL, NULL);
        st = fwi_device_data_bind(x, p, views[i].shift, views[i].mirrored, &b);
        if (st == FW_OK)
            st = fwi_plan_run(p->plan, &b);
        if (st == FW_OK)
            st = fwi_plan_read(p->plan, &b, p->out_logits, t->staged,
                               (size_t)elems * fw_dtype_size(dtype));
        for (int64_t k = 0; k < elems && st == FW_OK; k++) {
            const double logit =
                dtype == FW_F64 ? t->staged[k] : (double)((const float *)(void *)t->staged)[k];
            if (i == 0)
                t->plain[k] = logit;
            t->sum[k] = (i == 0 ? 0 : t->sum[k]) + views[i].weight * logit;
        }
    }
    return st;
}

fw_status fwi_tta_run(fwi_tta *t, const fwi_network_plan *p, fwi_pool *pool, void *scratch,
                      const fwi_shown *x)
{
    int n = 0;
    const fwi_view *views = fwi_tta_views(t->kind, &n);
    return run_views(t, views, n, p, pool, scratch, x);
}

fw_status fwi_tta_run_plain(fwi_tta *t, const fwi_network_plan *p, fwi_pool *pool, void *scratch,
                            const fwi_shown *x)
{
    int n = 0;
    const fwi_view *views = fwi_tta_views(FW_TTA_NONE, &n);
    return run_views(t, views, n, p, pool, scratch, x);
}

static int64_t first_maximum(const double *x, int64_t k)
{
    int64_t best = 0;
    for (int64_t i = 1; i < k; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* 0 where the label is no class. score.cu has the same, step by step. */
static double cross_entropy(const double *x, int64_t k, int32_t label, double smoothing)
{
    if (label < 0 || label >= k)
        return 0;
    const double max = x[first_maximum(x, k)];
    double sum = 0, others = 0;
    for (int64_t i = 0; i < k; i++)
        sum += exp(x[i] - max);
    const double log_sum = max + log(sum);
    if (smoothing > 0)
        for (int64_t i = 0; i < k; i++)
            others += log_sum - x[i];
    return (1 - smoothing) * (log_sum - x[label]) + smoothing * others / (double)k;
}

fw_status fwi_tally_add(fwi_tally *tally, const fwi_verdict *v, int32_t label, int64_t record,
                        int64_t k, int64_t *confusion)
{
    if (label == -1)
        return fwi_fail(FW_EARG, "record %" PRId64 ": there is no label", record);
    if (label < 0 || label >= k)
        return fwi_fail(FW_EARG, "record %" PRId64 ": label %d, the model has %" PRId64 " classes",
                        record, (int)label, k);
    const bool found =
        !isnan(v->loss); /* logits with a NaN among them have no maximum (op count_correct) */
    tally->loss += v->loss;
    tally->correct += found && v->best == label;
    tally->correct_plain += found && v->plain == label;
    tally->records++;
    if (confusion != NULL && found)
        confusion[label * k + v->best]++;
    return FW_OK;
}

fw_status fwi_tta_count(const fwi_tta *t, const int32_t *labels, const int64_t *records, int64_t n,
                        double smoothing, int64_t *confusion, fwi_tally *tally)
{
    const int64_t k = t->n_classes;
    int views = 0;
    (void)fwi_tta_views(t->kind, &views);
    tally->forwards += n * views;
    for (int64_t i = 0; i < n; i++) {
        const fwi_verdict v = {.loss = cross_entropy(t->sum + i * k, k, labels[i], smoothing),
                               .best = (int32_t)first_maximum(t->sum + i * k, k),
                               .plain = (int32_t)first_maximum(t->plain + i * k, k)};
        const fw_status st = fwi_tally_add(tally, &v, labels[i], records[i], k, confusion);
        if (st != FW_OK)
            return st;
    }
    return FW_OK;
}
