/* fit_ahead.c: training steps on a device with a queue: several are enqueued, and while they run the host
 * makes out what the next ones need; only then it waits, and tells what came of them. So the device never
 * waits for the host within such a window, and for moments between two. Read before: fit.c, network.h. */
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
    f->most = f->most == 0 ? 1 : (int32_t)least(FWI_LINES, GROWTH * (int64_t)f->most);
    if (each * f->most > WINDOW_SECONDS)
        f->most = each < WINDOW_SECONDS ? (int32_t)(WINDOW_SECONDS / each) : 1;
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

/* Lines for the steps from `from` on, on the host. */
static void make_ready(fit *f, int64_t from)
{
    fw_estimator *e = f->e;
    fw_status st = f->asked == from ? FW_OK : fw_dataset_seek(f->ds, from * f->batch);
    f->asked = from;
    f->ready = 0;
    f->device_made = e->train_data.loaded;
    const int32_t n = window(f, from);
    while (f->ready < n && st == FW_OK) {
        const int64_t step = from + f->ready;
        double row[FWI_MAX_COLUMNS];
        const int64_t rng[2] = {(int64_t)e->opt.seed, step};
        if (f->device_made && (st = fwi_device_data_line(&e->train_data, f->ds, f->ready)) == FW_OK)
            f->asked++;
        if (st != FW_OK)
            break;
        fwi_optim_row(&e->optim, step, row);
        fwi_network_line(&e->network, f->ready++, row, rng);
    }
    if (st != FW_OK)
        keep_trouble(f, st, from + f->ready);
}

/* The step that comes next on the device; *fed: there was a batch for it. */
static fw_status enqueue(fit *f, int64_t step, bool *fed)
{
    fw_estimator *e = f->e;
    fwi_network_plan *const p = fwi_stage_at(&f->plans, step)->plan;
    fw_batch batch = {0}, kept;
    fwi_batch_job job;
    fw_status st = FW_OK;
    *fed = f->device_made;
    if (!f->device_made) {
        st = fw_dataset_next(f->ds, &batch);
        if (st != FW_OK) {
            keep_trouble(f, st, step);
            return FW_OK;
        }
        f->asked++;
        *fed = true;
    }
    kept = batch;
    if (e->opt.filter != NULL)
        fwi_staged_gather(&f->staged, e->opt.filter, step, &batch, &kept);
    fwi_binding b =
        fwi_network_binding(p, e->network.scratch, kept.images, kept.labels, NULL, NULL);
    fwi_network_bind_labels2(p, &b, kept.labels2);
    fwi_network_bind_line(p, &b);
    if (f->device_made)
        st = fwi_device_data_job(&e->train_data, p, fwi_network_turn(&e->network), &b, &job);
    return st == FW_OK ? fwi_network_step_ahead(&e->network, p, &b, f->device_made ? &job : NULL)
                       : st;
}

/* Those that are ready, as long as nobody wants to stop and there is data. */
static fw_status enqueue_all(fit *f, int32_t *n)
{
    fw_estimator *e = f->e;
    bool fed = true;
    *n = 0;
    fw_status st = fwi_network_send(&e->network, f->ready);
    if (st == FW_OK && f->device_made)
        st = fwi_device_data_send(&e->train_data, f->ready);
    while (st == FW_OK && *n < f->ready && (*n == 0 || !fwi_fit_stop_wanted(f))) {
        st = enqueue(f, e->step + *n, &fed);
        if (!fed)
            break;
        *n += st == FW_OK;
    }
    f->ready = 0;
    return st;
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
    }
    if (f->ready == 0 && f->trouble.status == FW_OK)
        make_ready(f, first);
    if (f->ready == 0)
        return fwi_error_raise(&f->trouble);
    fw_status st = enqueue_all(f, &n);
    if (st == FW_OK && n == 0)
        return fwi_error_raise(&f->trouble);
    if (st == FW_OK && f->trouble.status == FW_OK && !fwi_fit_stop_wanted(f))
        make_ready(f, first + n);
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
