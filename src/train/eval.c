/* eval.c: evaluation and prediction with an estimator (estimator.h). Every record counts once: the
 * rows that fill up the last batch have label -1, which losses and counts pass over. */
#include "estimator.h"

#include <inttypes.h>

#include "clock.h"
#include "dataset_inner.h"
#include "fail.h"
#include "whiten.h"

static fw_status ready(fw_estimator *e, fw_dataset *ds, fwi_network_plan **plan)
{
    if (e->broken)
        return fwi_fail(FW_ESTATE, "training diverged: resume from the last checkpoint");
    if (fwi_dataset_training(ds))
        return fwi_fail(FW_EARG,
                        "a training data set is endless: evaluate on one without .training");
    fw_status st = fwi_estimator_compile(e, ds);
    if (st == FW_OK)
        st = fwi_estimator_eval_plan(e, fwi_dataset_batch(ds), e->step, plan);
    if (st == FW_OK)
        st = fwi_estimator_may_evaluate(e, ds);
    if (st == FW_OK && fwi_network_to_come(&e->network) > 0) /* images make room for plans */
        st = fwi_estimator_choose_data(e, NULL, NULL);
    if (st == FW_OK)
        st = fwi_network_bind(&e->network);
    if (st == FW_OK)
        st = fwi_estimator_fill(e);
    return st == FW_OK && e->step == 0 ? fwi_whiten_check(e->network.store) : st;
}

/* Data that the device is to keep is there; chosen once, then evaluations allocate nothing. n_classes: 0
 * where labels do not matter. */
static fw_status settle(fw_estimator *e, fw_dataset *ds, int64_t n_classes)
{
    fw_status st = FW_OK;
    if (e->eval_data.serial != fwi_dataset_serial(ds))
        st = fwi_estimator_choose_data(e, NULL, ds);
    if (st == FW_OK)
        st = fwi_device_data_load(&e->eval_data, ds, n_classes);
    fwi_dataset_rows_only(ds, e->eval_data.keeps);
    return st;
}

/* A batch through the plan; *b: what it is to be read by. */
static fw_status run_batch(fw_estimator *e, const fwi_network_plan *p, const fw_batch *batch,
                           fwi_binding *b)
{
    const fwi_shown shown = fwi_device_data_shown(&e->eval_data, batch);
    *b = fwi_network_binding(p, e->network.scratch, batch->images, batch->labels, NULL, NULL);
    const fw_status st = fwi_device_data_bind(&shown, p, 0, false, b);
    return st == FW_OK ? fwi_plan_run(p->plan, b) : st;
}

/* The next batch, unless the caller's flag says stop. */
static fw_status next_batch(fw_estimator *e, fw_dataset *ds, const char *doing, fw_batch *batch)
{
    const fw_status st = fwi_stop_check(e->opt.stop, doing);
    return st == FW_OK ? fwi_device_data_next(&e->eval_data, ds, batch) : st;
}

/* By windows of batches. */
fwi_eval_pass fwi_estimator_pass(fw_estimator *e, fw_dataset *ds, fwi_network_plan *p,
                                 fwi_left left)
{
    fwi_eval_pass pass = {.network = &e->network,
                          .plan = p,
                          .kept = &e->eval_data,
                          .ds = ds,
                          .left = left,
                          .smoothing = e->opt.label_smoothing,
                          .stop = e->opt.stop};
    pass.views = fwi_tta_views(e->opt.tta, &pass.n_views);
    return pass;
}

/* Over several views of each image. FW_END: to the end. */
static fw_status tally_views(fw_estimator *e, fw_dataset *ds, fwi_network_plan *p, fwi_tally *tally)
{
    const bool ahead = fwi_eval_can(&e->eval_data), selective = e->opt.tta == FW_TTA_SELECTIVE;
    const fwi_eval_pass pass = fwi_estimator_pass(e, ds, p, FWI_LEFT_VERDICTS);
    fw_batch batch;
    fw_status st = FW_OK;
    if (ahead && selective)
        st = fwi_selective_ahead(&e->selective, &e->eval_ahead, &pass, NULL, tally);
    else if (ahead)
        st = fwi_eval_views(&e->eval_ahead, &pass, NULL, tally);
    else if (selective)
        st = fwi_selective_run(&e->selective, &e->tta, p, e->device->pool, e->network.scratch, ds,
                               &e->eval_data, e->opt.label_smoothing, e->opt.stop, NULL, tally);
    if (ahead || selective)
        return st == FW_OK ? FW_END : st;
    while (st == FW_OK && (st = next_batch(e, ds, "evaluating", &batch)) == FW_OK) {
        const fwi_shown shown = fwi_device_data_shown(&e->eval_data, &batch);
        st = fwi_tta_run(&e->tta, p, e->device->pool, e->network.scratch, &shown);
        if (st == FW_OK)
            st = fwi_tta_count(&e->tta, batch.labels, batch.records, batch.valid,
                               e->opt.label_smoothing, NULL, tally);
        if (st != FW_OK)
            return st;
    }
    return st;
}

static fw_status evaluate_views(fw_estimator *e, fw_dataset *ds, fwi_network_plan *p, fw_metrics *m)
{
    fwi_tally tally = {0};
    const fw_status st = tally_views(e, ds, p, &tally);
    if (st != FW_END)
        return st;
    if (tally.records == 0)
        return fwi_fail(FW_EARG, "the data set has no records to evaluate");
    const double n = (double)tally.records;
    *m = (fw_metrics){.loss = tally.loss / n,
                      .accuracy = (double)tally.correct / n,
                      .accuracy_plain = (double)tally.correct_plain / n,
                      .records = tally.records,
                      .forwards = tally.forwards};
    return FW_OK;
}

/* FW_END: to the end. */
static fw_status add_windows(fw_estimator *e, fw_dataset *ds, fwi_network_plan *p, double *loss,
                             double *correct, int64_t *records)
{
    fwi_eval_ahead *const a = &e->eval_ahead;
    const fwi_eval_pass pass = fwi_estimator_pass(e, ds, p, FWI_LEFT_SUMS);
    fw_status st = fwi_eval_begin(a, &pass);
    while (st == FW_OK && (st = fwi_eval_window(a)) == FW_OK) {
        st = fwi_eval_read_sums(a, loss, correct);
        *records += a->n_rows;
    }
    return st;
}

static fw_status add_batches(fw_estimator *e, fw_dataset *ds, const fwi_network_plan *p,
                             double *loss, double *correct, int64_t *records)
{
    fw_batch batch;
    fw_status st;
    while ((st = next_batch(e, ds, "evaluating", &batch)) == FW_OK) {
        fwi_binding b;
        double l = 0, c = 0;
        st = run_batch(e, p, &batch, &b);
        if (st == FW_OK)
            st = fwi_network_read(p, &b, p->out_loss, &l, 1);
        if (st == FW_OK)
            st = fwi_network_read(p, &b, p->out_correct, &c, 1);
        if (st != FW_OK)
            return st;
        *loss += l;
        *correct += c;
        *records += batch.valid;
    }
    return st;
}

static fw_status evaluate_batches(fw_estimator *e, fw_dataset *ds, fwi_network_plan *p,
                                  fw_metrics *m)
{
    double loss = 0, correct = 0;
    const fw_status st = fwi_eval_can(&e->eval_data)
                             ? add_windows(e, ds, p, &loss, &correct, &m->records)
                             : add_batches(e, ds, p, &loss, &correct, &m->records);
    if (st != FW_END)
        return st;
    if (m->records == 0)
        return fwi_fail(FW_EARG, "the data set has no records to evaluate");
    m->forwards = m->records;
    m->loss = loss / (double)m->records;
    m->accuracy = m->accuracy_plain = correct / (double)m->records;
    return FW_OK;
}

fw_status fwi_estimator_evaluate(fw_estimator *e, fw_dataset *ds, fw_metrics *out)
{
    fwi_network_plan *p = NULL;
    fw_metrics m = {0};
    if (!fwi_dataset_labelled(ds))
        return fwi_fail(FW_EARG, "%s: has no labels to evaluate against%s", fwi_dataset_name(ds),
                        e->opt.tta == FW_TTA_NONE ? "" : ", with one view or with several (tta)");
    fw_status st = ready(e, ds, &p);
    if (st != FW_OK)
        return st;
    const double start = fwi_now();
    st = fwi_estimator_make_views(e, ds);
    if (st == FW_OK)
        st = fwi_estimator_take_data(e, ds, 0);
    if (st == FW_OK)
        st = settle(e, ds, e->network.n_classes);
    if (st == FW_OK)
        st = e->opt.tta == FW_TTA_NONE ? evaluate_batches(e, ds, p, &m)
                                       : evaluate_views(e, ds, p, &m);
    m.seconds = fwi_now() - start;
    if (st == FW_OK)
        *out = m;
    return st;
}

fw_status fw_estimator_evaluate(fw_estimator *e, fw_dataset *ds, fw_metrics *out)
{
    if (e == NULL || ds == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_estimator_evaluate: NULL argument");
    const fw_status st = fwi_estimator_evaluate(e, ds, out);
    fwi_estimator_leave_data(ds);
    return st;
}

/* The valid rows of a batch's probabilities. staging holds a whole batch. */
static fw_status read_rows(const fwi_network_plan *p, const fwi_binding *b, int64_t rows,
                           int64_t n_classes, void *staging, float *out)
{
    fw_dtype dtype = FW_F32;
    const fwi_shape *shape = fwi_plan_output_shape(p->plan, p->out_probs, &dtype);
    const fw_status st = fwi_plan_read(p->plan, b, p->out_probs, staging,
                                       (size_t)fwi_shape_elems(shape) * fw_dtype_size(dtype));
    for (int64_t i = 0; i < rows * n_classes && st == FW_OK; i++)
        out[i] =
            dtype == FW_F64 ? (float)((const double *)staging)[i] : ((const float *)staging)[i];
    return st;
}

/* FW_END: to the end. *done: rows so far. */
static fw_status predict_windows(fw_estimator *e, fw_dataset *ds, fwi_network_plan *p, float *out,
                                 int64_t *done)
{
    fwi_eval_ahead *const a = &e->eval_ahead;
    const fwi_eval_pass pass = fwi_estimator_pass(e, ds, p, FWI_LEFT_PROBABILITIES);
    fw_status st = fwi_eval_begin(a, &pass);
    while (st == FW_OK && (st = fwi_eval_window(a)) == FW_OK) {
        st = fwi_eval_read_probabilities(a, out + *done * e->network.n_classes);
        *done += a->n_rows;
    }
    return st;
}

static fw_status predict_batches(fw_estimator *e, fw_dataset *ds, const fwi_network_plan *p,
                                 float *out, int64_t *done)
{
    const int64_t n_classes = e->network.n_classes;
    void *staging =
        fwi_alloc_array((size_t)fwi_dataset_batch(ds), (size_t)n_classes * sizeof(double));
    fw_batch batch;
    fw_status st = staging == NULL ? FW_ENOMEM : FW_OK;
    while (st == FW_OK && (st = next_batch(e, ds, "predicting", &batch)) == FW_OK) {
        fwi_binding b;
        st = run_batch(e, p, &batch, &b);
        if (st == FW_OK)
            st = read_rows(p, &b, batch.valid, n_classes, staging, out + *done * n_classes);
        *done += batch.valid;
    }
    fwi_free(staging);
    return st;
}

fw_status fw_estimator_predict(fw_estimator *e, fw_dataset *ds, float *probabilities, int64_t cap,
                               int64_t *n_rows)
{
    if (e == NULL || ds == NULL || probabilities == NULL)
        return fwi_fail(FW_EARG, "fw_estimator_predict: NULL argument");
    if (cap < fw_dataset_count(ds))
        return fwi_fail(FW_EARG, "room for %" PRId64 " rows, the data set has %" PRId64, cap,
                        fw_dataset_count(ds));
    fwi_network_plan *p = NULL;
    int64_t done = 0;
    fw_status st = ready(e, ds, &p);
    if (st == FW_OK)
        st = fwi_estimator_lend_threads(e, ds, 0);
    if (st == FW_OK)
        st = settle(e, ds, 0); /* labels, if there are any, do not matter */
    if (st == FW_OK)
        st = fwi_eval_can(&e->eval_data) ? predict_windows(e, ds, p, probabilities, &done)
                                         : predict_batches(e, ds, p, probabilities, &done);
    if (st == FW_END)
        st = FW_OK;
    fwi_estimator_leave_data(ds);
    if (st == FW_OK && n_rows != NULL)
        *n_rows = done;
    return st;
}
