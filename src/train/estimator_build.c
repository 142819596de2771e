/* estimator_build.c: all that is made before a run's clock starts, once for several runs of one estimator:
 * plans, memory, images on the device, and recordings of the steps and of the evaluation. No recording is
 * made in a run then, and what a device does the first time it is asked (loading a kernel, building a
 * recording) is done. Read before: estimator.h; how a run begins: fwi_estimator_restart, estimator.c. */
#include "ahead.h"

#include <string.h>

#include "clock.h"
#include "dataset_inner.h"
#include "fail.h"
#include "mem.h"

/* A batch in which no row is a record: images of zeros, labels of none. It costs what others do, and
 * nothing of the data is in what it leaves. */
typedef struct nothing {
    int64_t rows;
    float *images; /* [rows,h,w,c]; NULL: the device makes them */
    size_t image_bytes;
    int32_t *labels; /* [rows] */
} nothing;

static void nothing_clear(nothing *x)
{
    fwi_big_free(x->images, x->image_bytes);
    fwi_free(x->labels);
    *x = (nothing){0};
}

static fw_status nothing_make(nothing *x, const fwi_network_spec *s, int64_t rows,
                              fwi_device_data *kept)
{
    *x = (nothing){.rows = rows};
    x->labels = fwi_alloc_array((size_t)rows, sizeof *x->labels);
    if (x->labels == NULL)
        return FW_ENOMEM;
    for (int64_t i = 0; i < rows; i++)
        x->labels[i] = -1;
    if (kept->loaded) { /* rows behind the data's end, as fwi_device_data_next gives them */
        for (int64_t i = 0; i < fwi_batch_row_numbers(rows); i++)
            kept->rows[i] = i < 2 * rows ? -1 : 0;
        return FW_OK;
    }
    x->image_bytes = (size_t)(rows * s->h * s->w * s->c) * sizeof *x->images;
    x->images = fwi_big_alloc(x->image_bytes);
    return x->images == NULL ? FW_ENOMEM : FW_OK;
}

static fw_status bind_nothing(fw_estimator *e, const nothing *x, fwi_device_data *kept,
                              const double *row, const int64_t rng[2], const fwi_network_plan *p,
                              fwi_binding *b)
{
    const fwi_shown shown = {
        .images = x->images, .labels = x->labels, .kept = kept, .rows = kept->rows};
    *b = fwi_network_binding(p, e->network.scratch, x->images, x->labels, row, rng);
    fwi_network_bind_labels2(p, b, x->labels);
    return fwi_device_data_bind(&shown, p, 0, false, b);
}

static fw_status step_alone(fw_estimator *e, const nothing *x, fwi_network_plan *p,
                            const double *row, const int64_t rng[2])
{
    fwi_binding b;
    const fw_status st = bind_nothing(e, x, &e->train_data, row, rng, p, &b);
    return st == FW_OK ? fwi_network_update(&e->network, p, &b) : st;
}

/* As training has them (fit_ahead.c), a line of its own each. */
static fw_status step_ahead(fw_estimator *e, const nothing *x, fwi_network_plan *p,
                            const double *row, const int64_t rng[2])
{
    const fw_batch batch = {.images = x->images, .labels = x->labels, .labels2 = x->labels};
    fwi_network_line(&e->network, 0, row, rng);
    const fw_status st = fwi_ahead_send(e, 1);
    return st == FW_OK ? fwi_ahead_step(e, p, e->train_data.loaded ? NULL : &batch) : st;
}

/* Twice: the first run is recorded, the second is the recording's own first one. */
static fw_status warm_step(fw_estimator *e, const nothing *x, fwi_network_plan *p)
{
    const bool ahead = fwi_network_ahead(&e->network) && e->opt.record == NULL;
    double row[FWI_MAX_COLUMNS];
    const int64_t rng[2] = {0};
    fw_status st = FW_OK;
    fwi_optim_row(&e->optim, 0, row);
    for (int i = 0; i < 2 && st == FW_OK && p != NULL; i++)
        st = (ahead ? step_ahead : step_alone)(e, x, p, row, rng);
    return st;
}

static fw_status warm_training(fw_estimator *e, const fw_dataset *train,
                               const fwi_training_plans *plans)
{
    nothing x = {0};
    fw_status st = nothing_make(&x, &e->network.spec, fwi_estimator_rows(e, train), &e->train_data);
    for (int32_t i = 0; i < plans->n && st == FW_OK; i++) {
        st = warm_step(e, &x, plans->stage[i].plan);
        if (st == FW_OK)
            st = warm_step(e, &x, plans->stage[i].rows);
    }
    nothing_clear(&x);
    return st;
}

/* One pass of an evaluation by windows, twice as well. */
static fw_status warm_pass(fw_estimator *e, fw_dataset *eval, fwi_network_plan *p, fw_tta views)
{
    fwi_eval_pass pass = fwi_estimator_pass(
        e, eval, p, e->opt.tta == FW_TTA_NONE ? FWI_LEFT_SUMS : FWI_LEFT_VERDICTS);
    pass.views = fwi_tta_views(views, &pass.n_views);
    const fw_status st = fwi_eval_kept(&e->eval_ahead, &pass, 0);
    return st == FW_OK ? fwi_eval_kept(&e->eval_ahead, &pass, 0) : st;
}

static fw_status warm_windows(fw_estimator *e, fw_dataset *eval, int64_t until)
{
    fw_status st = FW_OK;
    for (int i = 0; i < 2 && st == FW_OK; i++) {
        fwi_network_plan *p = NULL;
        st = fwi_estimator_eval_plan(e, fwi_dataset_batch(eval), i == 0 ? 0 : until, &p);
        if (st == FW_OK && e->opt.tta == FW_TTA_SELECTIVE) /* by themselves first */
            st = warm_pass(e, eval, p, FW_TTA_NONE);
        if (st == FW_OK)
            st = warm_pass(e, eval, p, e->opt.tta);
    }
    return st;
}

static fw_status warm_evaluation(fw_estimator *e, fw_dataset *eval, int64_t until)
{
    nothing x = {0};
    if (fwi_eval_can(&e->eval_data))
        return warm_windows(e, eval, until);
    fw_status st = nothing_make(&x, &e->network.spec, fwi_dataset_batch(eval), &e->eval_data);
    for (int i = 0; i < 2 && st == FW_OK; i++) { /* with the weights, and with their averages */
        fwi_network_plan *p = NULL;
        fwi_binding b;
        st = fwi_estimator_eval_plan(e, x.rows, i == 0 ? 0 : until, &p);
        if (st == FW_OK)
            st = bind_nothing(e, &x, &e->eval_data, NULL, NULL, p, &b);
        if (st == FW_OK)
            st = fwi_plan_run(p->plan, &b);
    }
    nothing_clear(&x);
    return st;
}

/* Where batches come from the host no run is to allocate them, or to read what will be in memory. */
static fw_status make_batches_ready(fwi_device_data *kept, fw_dataset *ds)
{
    if (kept->keeps)
        return FW_OK;
    const double began = fwi_now();
    fw_status st = fwi_dataset_ready(ds);
    if (st == FW_OK)
        st = fwi_dataset_fill_cache(ds);
    kept->seconds = fwi_now() - began;
    return st;
}

fw_status fwi_estimator_build(fw_estimator *e, fw_dataset *train, fw_dataset *eval, int64_t until)
{
    const fwi_backend *const b = e->device->backend;
    fwi_training_plans plans;
    e->keeps_data = e->one_set = true;
    fw_status st = fwi_estimator_plan(e, train, eval, until, &e->budget);
    if (st == FW_OK)
        st = fwi_estimator_training_plans(e, train, &plans); /* the same again */
    if (st == FW_OK)
        st = fwi_estimator_take_data(e, train, 0);
    if (st == FW_OK && eval != NULL)
        st = fwi_estimator_take_data(e, eval, 0);
    if (st == FW_OK)
        st = fwi_estimator_settle_data(e, train, eval, true, &e->budget);
    if (st == FW_OK)
        st = make_batches_ready(&e->train_data, train);
    if (st == FW_OK && eval != NULL)
        st = make_batches_ready(&e->eval_data, eval);
    if (st == FW_OK && eval != NULL)
        st = fwi_estimator_make_views(e, eval);
    if (st != FW_OK || b->record_begin == NULL)
        return st;
    e->filled = false; /* steps of nothing are steps */
    st = warm_training(e, train, &plans);
    if (st == FW_OK && eval != NULL)
        st = warm_evaluation(e, eval, until);
    const fw_status done = b->sync(e->device);
    return st == FW_OK ? done : st;
}
