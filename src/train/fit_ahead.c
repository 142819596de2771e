/* fit_ahead.c: training steps on a device with a queue: several are enqueued, and while they run the host
 * makes out what the next ones need; only then it waits, and tells what came of them. So the device never
 * waits for the host within such a window, and for moments between two. Read before: fit.c, network.h. */
#include "ahead.h"
#include "fit_inner.h"

#include <math.h>

#include "dataset_inner.h"

/* Who asks a run to stop waits for as long as the steps on their way take: at most so many, and after a
 * first one four times as many each time, until they take about so long. The result does not hang on it. */
enum { GROWTH = 4 };
#define WINDOW_SECONDS 0.5

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Steps from `from` on until the host has to know what came of them. */
static int32_t window(fit *f, int64_t from)
{
    const fw_estimator *e = f->e;
    const double each = fwi_fit_seconds_each(f);
    const double limit = e->window_seconds > 0 ? e->window_seconds : WINDOW_SECONDS;
    f->most = f->most == 0 ? 1 : (int32_t)least(FWI_LINES, GROWTH * (int64_t)f->most);
    if (each * f->most > limit)
        f->most = each < limit ? (int32_t)(limit / each) : 1;
    int64_t end = least(from + f->most, f->until);
    end = least(end, (from / f->steps_per_epoch + 1) * f->steps_per_epoch);
    if (e->opt.checkpoint_every > 0)
        end = least(end, (from / e->opt.checkpoint_every + 1) * e->opt.checkpoint_every);
    return (int32_t)(end - from);
}

static void keep_trouble(fit *f, fw_status st, int64_t step)
{
    fwi_error_save(&f->trouble, fwi_fit_no_batch(f, st, step));
}

/* Lines for the steps from `from` on: behind the steps that are on their way they take the place of
 * theirs. */
static fw_status make_ready(fit *f, int64_t from)
{
    fw_estimator *e = f->e;
    fw_status st = f->asked == from ? FW_OK : fw_dataset_seek(f->ds, from * f->batch);
    f->asked = from;
    f->ready = 0;
    f->device_made = e->train_data.loaded;
    const int32_t n = window(f, from);
    while (f->ready < n && st == FW_OK) {
        st = fwi_ahead_line(e, f->ds, f->ready, from + f->ready);
        f->ready += st == FW_OK;
        f->asked += st == FW_OK && f->device_made;
    }
    if (st != FW_OK)
        keep_trouble(f, st, from + f->ready);
    return f->ready > 0 ? fwi_ahead_send(e, f->ready) : FW_OK;
}

/* The step that comes next on the device. FW_END: there is no batch for it, which is kept. */
static fw_status enqueue(fit *f, int64_t step)
{
    fw_estimator *e = f->e;
    fwi_network_plan *const p = fwi_stage_at(&f->plans, step)->plan;
    if (f->device_made)
        return fwi_ahead_step(e, p, NULL);
    fw_batch batch, kept;
    const fw_status st = fw_dataset_next(f->ds, &batch);
    if (st != FW_OK) {
        keep_trouble(f, st, step);
        return FW_END;
    }
    f->asked++;
    kept = batch;
    if (e->opt.filter != NULL)
        fwi_staged_gather(&f->staged, e->opt.filter, step, &batch, &kept);
    return fwi_ahead_step(e, p, &kept);
}

/* Those that are ready, as long as nobody wants to stop and there is data. */
static fw_status enqueue_all(fit *f, int32_t *n)
{
    fw_status st = FW_OK;
    *n = 0;
    while (st == FW_OK && *n < f->ready && (*n == 0 || !fwi_fit_stop_wanted(f))) {
        st = enqueue(f, f->e->step + *n);
        *n += st == FW_OK;
    }
    f->ready = 0;
    return st == FW_END ? FW_OK : st;
}

/* An error ends the telling; the steps behind it were done all the same. */
static void catch_up(fit *f, const fwi_outcome *out, int64_t first, int32_t n)
{
    fw_estimator *e = f->e;
    for (; e->step < first + n && !e->broken; e->step++)
        if (!isfinite(out[e->step - first].loss))
            e->broken = true;
}

fw_status fwi_fit_steps_ahead(fit *f)
{
    fw_estimator *e = f->e;
    const int64_t first = e->step;
    fwi_outcome out[FWI_LINES];
    int32_t n = 0;
    if (f->ready > 0 && f->device_made != e->train_data.loaded) { /* images had to make room */
        f->ready = 0;
        f->asked = -1;
        f->trouble = (fwi_error){0}; /* behind lines that are made anew */
    }
    fw_status st = FW_OK;
    if (f->ready == 0 && f->trouble.status == FW_OK)
        st = make_ready(f, first);
    if (st == FW_OK && f->ready == 0)
        return fwi_error_raise(&f->trouble);
    if (st == FW_OK)
        st = enqueue_all(f, &n);
    if (st == FW_OK && n == 0)
        return fwi_error_raise(&f->trouble);
    if (st == FW_OK && f->trouble.status == FW_OK && !fwi_fit_stop_wanted(f))
        st = make_ready(f, first + n);
    if (st == FW_OK)
        st = fwi_network_outcomes(&e->network, n, out);
    if (st != FW_OK) {
        e->broken = true; /* some weights may have been updated, some not */
        return st;
    }
    for (int32_t i = 0; i < n && st == FW_OK; i++) {
        fwi_optim_row(&e->optim, e->step, f->row);
        f->loss = out[i].loss;
        f->correct = out[i].correct;
        f->undone = out[i].undone;
        f->untold = n - 1 - i;
        st = fwi_fit_step_done(f, out[i].undone_row);
    }
    f->untold = 0;
    if (st != FW_OK)
        catch_up(f, out, first, n);
    return st;
}
