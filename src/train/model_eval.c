/* model_eval.c: a trained model on a labelled data set: by windows of batches where the device keeps the
 * images (eval_ahead.h), else batch by batch; by logits in double either way, as training evaluates.
 * Read before: model_inner.h. */
#include "model_inner.h"

#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "dataset_inner.h"
#include "fail.h"
#include "tta_select.h"

/* What an evaluation allocates. */
typedef struct evaluation {
    char *ws; /* a workspace */
    fwi_tta tta;
    fwi_selective selective;
    int64_t *confusion; /* the caller's */
    fwi_tally tally;
} evaluation;

/* Rows [first, first + rows) of a batch, at most as many as the model takes at a time. */
static fw_status evaluate_rows(const fw_model *m, evaluation *e, const fw_batch *b, int64_t first,
                               int64_t rows)
{
    const int64_t values = b->h * b->w * b->c;
    /* Rows behind the last one read stale images: their results are not looked at. */
    float *x = (float *)(void *)(e->ws + m->at_images);
    memcpy(x, b->images + first * values, (size_t)(rows * values) * sizeof *x);
    const int32_t *labels = (const int32_t *)(const void *)(e->ws + m->at_labels);
    const fwi_shown shown = {.images = x, .labels = labels};
    const fw_status st =
        fwi_tta_run(&e->tta, m->plan, m->device->pool, fwi_model_take(m, e->ws), &shown);
    fwi_model_give(m);
    return st == FW_OK ? fwi_tta_count(&e->tta, b->labels + first, b->records + first, rows, 0,
                                       e->confusion, &e->tally)
                       : st;
}

/* ---- ahead of the host ---- */

/* The images go to the device as they are, if they are such that it can make batches of them. */
static fw_status keep(const fw_model *m, fw_dataset *ds, fwi_device_data *kept)
{
    fwi_device_data_want want = {.why_not = NULL};
    size_t spare = 0;
    fwi_eval_want(m->device, fw_dataset_count(ds), m->batch, m->network.n_classes, &want);
    fw_status st = fwi_model_spare(m, &spare);
    if (st == FW_OK)
        st = fwi_device_data_choose(kept, m->device, ds, &want, spare);
    /* labels are looked at row by row */
    return st == FW_OK ? fwi_device_data_load(kept, ds, 0) : st;
}

static fw_status count_kept(const fw_model *m, fwi_eval_ahead *a, fwi_device_data *kept,
                            fw_dataset *ds, evaluation *e)
{
    fwi_eval_pass pass = fwi_model_pass(m, kept, FWI_LEFT_VERDICTS);
    pass.ds = ds;
    return m->tta == FW_TTA_SELECTIVE
               ? fwi_selective_ahead(&e->selective, a, &pass, e->confusion, &e->tally)
               : fwi_eval_views(a, &pass, e->confusion, &e->tally);
}

/* FW_END: all of ds was evaluated; FW_OK: nothing was, its batches are the host's. */
static fw_status evaluate_ahead(const fw_model *m, evaluation *e, fw_dataset *ds)
{
    fwi_device_data kept = {0};
    if (m->device->host_memory)
        return FW_OK;
    fwi_eval_ahead *a = fwi_alloc_zero(sizeof *a);
    if (a == NULL)
        return FW_ENOMEM;
    (void)fwi_model_take(m, e->ws);
    fw_status st = keep(m, ds, &kept);
    if (st == FW_OK && fwi_eval_can(&kept)) {
        st = count_kept(m, a, &kept, ds, e);
        if (st == FW_OK)
            st = FW_END;
    }
    fwi_eval_ahead_clear(a);
    fwi_device_data_clear(&kept);
    fwi_model_give(m);
    fwi_free(a);
    return st;
}

/* ---- both ways ---- */

/* FW_END: to the end. */
static fw_status evaluate_batches(const fw_model *m, evaluation *e, fw_dataset *ds)
{
    fw_batch batch;
    fw_status st = FW_OK;
    if (m->tta == FW_TTA_SELECTIVE) {
        st =
            fwi_selective_run(&e->selective, &e->tta, m->plan, m->device->pool,
                              fwi_model_take(m, e->ws), ds, NULL, 0, NULL, e->confusion, &e->tally);
        fwi_model_give(m);
        return st == FW_OK ? FW_END : st;
    }
    while (st == FW_OK && (st = fw_dataset_next(ds, &batch)) == FW_OK)
        for (int64_t i = 0; i < batch.valid && st == FW_OK; i += m->batch)
            st = evaluate_rows(m, e, &batch, i,
                               batch.valid - i < m->batch ? batch.valid - i : m->batch);
    return st;
}

fw_status fw_model_evaluate(const fw_model *m, fw_dataset *ds, fw_metrics *out, int64_t *confusion)
{
    if (m == NULL || ds == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_model_evaluate: NULL argument");
    int64_t h, w, c;
    fw_dataset_shape(ds, &h, &w, &c);
    if (h != m->meta.h || w != m->meta.w || c != m->meta.c)
        return fwi_fail(FW_ESHAPE,
                        "%s: images of %" PRId64 " x %" PRId64 " x %" PRId64
                        ", the model takes %" PRId64 " x %" PRId64 " x %" PRId64,
                        fwi_dataset_name(ds), h, w, c, m->meta.h, m->meta.w, m->meta.c);
    if (fwi_dataset_training(ds))
        return fwi_fail(FW_EARG, "evaluation needs a data set without .training");
    if (!fwi_dataset_labelled(ds))
        return fwi_fail(FW_EARG, "%s: has no labels to evaluate against%s", fwi_dataset_name(ds),
                        m->tta == FW_TTA_NONE ? "" : ", with one view or with several (tta)");
    const int64_t k = m->network.n_classes;
    const double start = fwi_now();
    evaluation e = {.ws = fwi_big_alloc(m->workspace), .confusion = confusion};
    fw_status st = e.ws == NULL ? FW_ENOMEM : fw_dataset_seek(ds, 0);
    if (st == FW_OK)
        st = fwi_dataset_expect_classes(ds, k);
    if (st == FW_OK)
        st = fwi_tta_prepare(&e.tta, m->tta, m->batch, h, w, c, k);
    if (st == FW_OK && m->tta == FW_TTA_SELECTIVE)
        st = fwi_selective_prepare(&e.selective, fw_dataset_count(ds), m->batch, h, w, c, k);
    if (confusion != NULL)
        memset(confusion, 0, (size_t)(k * k) * sizeof *confusion);
    if (st == FW_OK)
        st = evaluate_ahead(m, &e, ds);
    if (st == FW_OK)
        st = evaluate_batches(m, &e, ds);
    const double n = (double)e.tally.records;
    if (st == FW_END)
        st = n > 0 ? FW_OK : fwi_fail(FW_EARG, "the data set has no records to evaluate");
    if (st == FW_OK)
        *out = (fw_metrics){.loss = e.tally.loss / n,
                            .accuracy = (double)e.tally.correct / n,
                            .accuracy_plain = (double)e.tally.correct_plain / n,
                            .records = e.tally.records,
                            .forwards = e.tally.forwards,
                            .seconds = fwi_now() - start};
    fwi_tta_clear(&e.tta);
    fwi_selective_clear(&e.selective);
    /* Drops what was made ahead for k classes. */
    (void)fw_dataset_seek(ds, fw_dataset_position(ds));
    fwi_dataset_expect_any_class(ds);
    if (e.ws != NULL)
        fwi_big_free(e.ws, m->workspace);
    return st;
}
