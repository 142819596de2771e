/* fit.c: the training loop. A step is: take a batch, fill the row of numbers that change, run the
 * plan, read loss and hits; on a device with a queue several are enqueued and read at once (fit_ahead.c).
 * Everything it needs was allocated before the first step; what follows from the step number (rates, data
 * position, random numbers) is never stored. What a run leaves behind: fit_folder.c. Read
 * before: fit_inner.h. */
#include "fit_inner.h"

#include <inttypes.h>
#include <math.h>

#include "clock.h"
#include "dataset_inner.h"

/* ---- telling ---- */

/* Of this call so far: without evaluations, and what is written before the first step and behind the
 * last. */
static double seconds_of(const fit *f)
{
    return (f->ended > 0 ? f->ended : fwi_now()) - f->started - f->eval_seconds - f->once_seconds;
}

double fwi_fit_seconds_each(const fit *f)
{
    return f->steps_here > 0
               ? (fwi_now() - f->loop_started - f->eval_seconds) / (double)f->steps_here
               : 0;
}

static fw_event event_of(const fit *f, fw_event_kind kind)
{
    const fw_estimator *e = f->e;
    const double seconds = fwi_now() - f->started;
    const double training = seconds_of(f);
    fw_event ev = {.kind = kind,
                   .step = e->step,
                   .total_steps = f->until,
                   .steps_per_epoch = f->steps_per_epoch,
                   .lr = f->row[0],
                   .seconds = seconds,
                   .budget = &f->budget};
    const int64_t done = f->steps_here + f->untold;
    if (done > 0 && training > 0) {
        ev.images_per_second = (double)(done * f->batch) / training;
        /* evaluations so far included, and nothing that was done once */
        const fwi_network_spec *const s = &e->network.spec;
        const int64_t next = e->step + f->untold;
        ev.seconds_left = (fwi_now() - f->loop_started) *
                          fwi_stages_pixels(&f->plans, s->h * s->w, next, f->until) /
                          fwi_stages_pixels(&f->plans, s->h * s->w, next - done, next);
    }
    return ev;
}

/* false: the caller wants to stop. */
static bool tell(const fit *f, const fw_event *ev)
{
    const fw_estimator_opt *o = &f->e->opt;
    return o->progress == NULL || o->progress(o->progress_user, ev);
}

static fw_status save_checkpoint(fit *f)
{
    fw_estimator *e = f->e;
    const char *path = NULL;
    if (e->ckpt == NULL)
        return FW_OK;
    fw_status st = FW_OK;
    if (e->opt.record != NULL) /* first: a checkpoint finds the rows of all steps before it */
        st = fwi_filter_save(e->opt.record, e->opt.work_dir, e->step);
    if (st == FW_OK)
        st = fwi_ckpt_save(e->ckpt, e->step, &path);
    if (st == FW_ENONFINITE) { /* the loss was still finite, the update behind it was not */
        e->broken = true;
        return fwi_fail_in(st, "step %" PRId64 ", learning rate %g", e->step, f->row[0]);
    }
    if (st != FW_OK)
        return st;
    e->saved_step = e->step;
    fw_event ev = event_of(f, FW_EVENT_CHECKPOINT);
    ev.path = path;
    if (!tell(f, &ev))
        f->stop_asked = true;
    return fwi_fit_log_checkpoint(f, e->seconds_before + e->seconds_here + seconds_of(f));
}

/* ---- steps ---- */

/* Runs one of the plans of this step; p is read where told is set. */
static fw_status run_plan(fit *f, fwi_network_plan *p, const fw_batch *batch, bool told,
                          fwi_binding *b)
{
    *b =
        fwi_network_binding(p, f->e->network.scratch, batch->images, batch->labels, f->row, f->rng);
    fwi_network_bind_labels2(p, b, batch->labels2);
    const fwi_shown shown = fwi_device_data_shown(&f->e->train_data, batch);
    fw_status st = fwi_device_data_bind(&shown, p, 0, false, b);
    if (st == FW_OK)
        st = fwi_network_update(&f->e->network, p, b);
    if (st == FW_OK && told)
        st = fwi_network_read(p, b, p->out_loss, &f->loss, 1);
    if (st == FW_OK && told)
        st = fwi_network_read(p, b, p->out_correct, &f->correct, 1);
    return st;
}

static fw_status update(fit *f, const fw_batch *batch)
{
    const fw_estimator *e = f->e;
    fwi_network_plan *const p = fwi_stage_at(&f->plans, e->step)->plan;
    fw_batch kept = *batch;
    fwi_binding b;
    if (e->opt.filter != NULL)
        fwi_staged_gather(&f->staged, e->opt.filter, e->step, batch, &kept);
    return run_plan(f, p, &kept, true, &b);
}

/* The loss of each row first, without an update; then, in some steps, the update of those chosen.
 * The network runs forward twice there, since choosing needs the losses on the host; its running
 * statistics move the first time only, once per step, as where one pass gives losses and gradient. */
static fw_status record_and_update(fit *f, const fw_batch *batch)
{
    const fw_estimator *e = f->e;
    const fwi_stage *const s = fwi_stage_at(&f->plans, e->step);
    const int64_t every = fwi_estimator_record_every(e);
    fwi_binding b;
    fw_status st = run_plan(f, s->rows, batch, true, &b);
    if (st == FW_OK)
        st = fwi_staged_choose(&f->staged, e->opt.record, e->step, s->rows, &b);
    if (st != FW_OK || e->step % every != 0)
        return st;
    fw_batch masked;
    fwi_staged_mask(&f->staged, e->opt.record, e->step, batch, &masked);
    return run_plan(f, s->plan, &masked, false, &b);
}

/* Updates that are undone in f16, one after the other, are no training. */
static fw_status check_undone(const fit *f, int64_t row)
{
    const fw_estimator *e = f->e;
    if (row < FWI_GUARD_MOST)
        return FW_OK;
    return fwi_fail(FW_ENONFINITE,
                    "step %" PRId64 ": the gradients of the last %" PRId64
                    " steps overflowed in f16 at loss scale %g: a smaller one (loss_scale), or "
                    "precision bf16",
                    e->step, row, fwi_network_loss_scale(&e->network.spec, f->counted));
}

fw_status fwi_fit_no_batch(const fit *f, fw_status st, int64_t step)
{
    return st != FW_END ? st
                        : fwi_fail(FW_EARG,
                                   "the training data ended at step %" PRId64 " of %" PRId64
                                   ": leave .passes 0, or train fewer steps",
                                   step, f->until);
}

static fw_status one_step(fit *f)
{
    fw_estimator *e = f->e;
    fw_batch batch;
    fw_status st = fwi_device_data_next(&e->train_data, f->ds, &batch);
    if (st != FW_OK)
        return fwi_fit_no_batch(f, st, e->step);
    fwi_optim_row(&e->optim, e->step, f->row);
    f->rng[0] = (int64_t)e->opt.seed;
    f->rng[1] = e->step;
    st = e->opt.record != NULL ? record_and_update(f, &batch) : update(f, &batch);
    if (st != FW_OK) {
        e->broken = true; /* some weights may have been updated, some not */
        return st;
    }
    int64_t row = 0;
    st = fwi_network_undone(&e->network, &row, &f->undone);
    return st == FW_OK ? fwi_fit_step_done(f, row) : st;
}

static fw_status after_step(fit *f)
{
    fw_estimator *e = f->e;
    fw_event ev = event_of(f, FW_EVENT_STEP);
    ev.loss = f->loss;
    ev.accuracy = f->correct / (double)f->counted;
    if (!tell(f, &ev))
        f->stop_asked = true;
    if (e->log == NULL)
        return FW_OK;
    const fw_status st = fwi_runlog_scalar(e->log, "train/loss", e->step, f->loss);
    return st == FW_OK ? fwi_runlog_scalar(e->log, "train/lr", e->step, f->row[0]) : st;
}

fw_status fwi_fit_step_done(fit *f, int64_t undone_row)
{
    fw_estimator *e = f->e;
    if (e->opt.loss_sum)
        f->loss /= (double)f->counted;
    if (!isfinite(f->loss)) {
        int64_t kept = -1;
        char path[4096];
        e->broken = true;
        if (e->ckpt == NULL || fwi_ckpt_newest(e->opt.work_dir, &kept, path, sizeof path) != FW_OK)
            kept = -1;
        return fwi_fail(FW_ENONFINITE, "step %" PRId64 ": the loss is %s at learning rate %g; %s",
                        e->step, isnan(f->loss) ? "not a number" : "infinite", f->row[0],
                        kept < 0 ? "no checkpoint was kept" : "the last good checkpoint is kept");
    }
    e->step++;
    f->steps_here++;
    e->epoch.steps++;
    e->epoch.loss += f->loss;
    e->epoch.correct += f->correct;
    const fw_status st = check_undone(f, undone_row);
    return st == FW_OK ? after_step(f) : st;
}

/* Some updates that were undone are no harm. */
static void tell_undone(fit *f)
{
    if (f->undone > f->undone_told)
        fwi_log(1,
                "step %" PRId64 ": %" PRId64
                " updates were undone since the last word of it, their gradients overflowed in f16",
                f->e->step, f->undone - f->undone_told);
    f->undone_told = f->undone;
}

static fw_status after_epoch(fit *f)
{
    fw_estimator *const e = f->e;
    tell_undone(f);
    fw_event ev = event_of(f, FW_EVENT_EPOCH);
    ev.loss = e->epoch.loss / (double)e->epoch.steps;
    ev.accuracy = e->epoch.correct / (double)(e->epoch.steps * f->counted);
    if (e->step % f->steps_per_epoch == 0) { /* a call may end before its epoch does */
        e->epoch.loss = e->epoch.correct = 0;
        e->epoch.steps = 0;
    }
    if (!tell(f, &ev))
        f->stop_asked = true;
    return fwi_fit_log_epoch(f, &ev);
}

static fw_status evaluate_now(fit *f)
{
    fw_estimator *e = f->e;
    fw_metrics m;
    const double began = fwi_now();
    const fw_status st = fwi_estimator_evaluate(e, e->opt.eval_data, &m);
    f->eval_seconds += fwi_now() - began;
    /* One that was stopped leaves nothing; the loop stops next, and the next start makes it. */
    if (st != FW_OK)
        return st == FW_ESTOPPED && fwi_fit_stop_wanted(f) ? FW_OK : st;
    e->evaluated_step = e->step;
    fw_event ev = event_of(f, FW_EVENT_EVAL);
    ev.eval = &m;
    if (!tell(f, &ev))
        f->stop_asked = true;
    return fwi_estimator_log_eval(f->e, ev.eval);
}

bool fwi_fit_stop_wanted(const fit *f)
{
    return f->stop_asked || fwi_stop_asked(f->e->opt.stop);
}

static fw_status stopped(const fit *f)
{
    const fw_estimator *e = f->e;
    return fwi_fail(FW_ESTOPPED, "stopped after step %" PRId64 " of %" PRId64 "%s%s", e->step,
                    f->until, e->opt.work_dir == NULL ? "" : "; a checkpoint is in ",
                    e->opt.work_dir == NULL ? "" : e->opt.work_dir);
}

/* The device may still be at work on the last one. */
static fw_status end_steps(fit *f)
{
    const fw_status st = f->e->device->backend->sync(f->e->device);
    f->ended = fwi_now();
    return st;
}

/* Data, an evaluation or the log failed, and no weight was touched: the steps of this call are not lost with
 * it. Where steps are on their way when something fails, the estimator is broken; f16 that undoes all of them
 * leaves nothing worth keeping. */
static fw_status fail_behind(fit *f, fw_status st)
{
    fwi_error why;
    if (f->e->broken || f->steps_here == 0 || st == FW_ENONFINITE)
        return st;
    fwi_error_save(&why, st);
    (void)save_checkpoint(f); /* where that fails too, the first failure is the one to tell */
    return fwi_error_raise(&why);
}

/* An evaluation on the way belongs to the step that was reached. */
static bool evaluation_due(const fit *f)
{
    const fw_estimator *const e = f->e;
    return e->opt.eval_every > 0 && e->step % f->steps_per_epoch == 0 &&
           e->step / f->steps_per_epoch % e->opt.eval_every == 0;
}

static fw_status loop(fit *f)
{
    fw_estimator *e = f->e;
    /* A run that is gone on with may have been stopped in this one; and whether it trains on may hang on it. */
    if (e->step > 0 && e->step < f->until && e->evaluated_step != e->step && evaluation_due(f)) {
        const fw_status st = evaluate_now(f);
        f->once_seconds += f->eval_seconds;
        f->eval_seconds = 0;
        f->loop_started = fwi_now();
        if (st != FW_OK)
            return st;
    }
    if (e->step < f->until && fwi_fit_stop_wanted(f)) { /* before the first step already */
        /* a checkpoint of this step is of the call that reached it, with other data perhaps */
        const fw_status st = e->step == 0 || e->saved_step != e->step ? save_checkpoint(f) : FW_OK;
        return st == FW_OK ? stopped(f) : st;
    }
    while (e->step < f->until) {
        fw_status st = f->ahead ? fwi_fit_steps_ahead(f) : one_step(f);
        const bool epoch_end = e->step % f->steps_per_epoch == 0;
        if (st == FW_OK && (epoch_end || e->step == f->until))
            st = after_epoch(f);
        if (st == FW_OK && evaluation_due(f))
            st = evaluate_now(f);
        if (st != FW_OK)
            return fail_behind(f, st);
        bool stop = fwi_fit_stop_wanted(f);
        const bool due = e->opt.checkpoint_every > 0 && e->step % e->opt.checkpoint_every == 0;
        const bool saves = due || stop || e->step == f->until;
        if (stop || e->step == f->until)
            st = end_steps(f);
        if (st == FW_OK && saves)
            st = save_checkpoint(f);
        if (st == FW_OK && saves && !stop && fwi_fit_stop_wanted(f)) { /* asked meanwhile */
            stop = true;
            st = end_steps(f);
        }
        if (st != FW_OK)
            return st;
        if (stop && e->step < f->until) {
            tell_undone(f);
            return stopped(f);
        }
    }
    /* One that failed in an earlier call is written now. */
    return e->step > 0 && e->saved_step != e->step ? save_checkpoint(f) : FW_OK;
}

/* ---- */

static void leave_data(fit *f)
{
    if (f->ahead && f->asked != f->e->step) /* batches that no step was made of */
        (void)fw_dataset_seek(f->ds, f->e->step * f->batch);
    if (f->e->keeps_data) { /* but not what was made ahead: evaluation comes next */
        (void)fw_dataset_seek(f->ds, fw_dataset_position(f->ds));
        return;
    }
    fwi_estimator_leave_data(f->ds);
    if (f->e->opt.eval_data != NULL)
        fwi_estimator_leave_data(f->e->opt.eval_data);
}

/* Both data sets on the estimator's threads: only then they know how much memory they need. */
static fw_status take_data(fit *f)
{
    fw_estimator *e = f->e;
    fw_dataset *const eval = e->opt.eval_data;
    fw_status st = fwi_estimator_take_data(e, f->ds, e->step * f->batch);
    if (st == FW_OK && eval != NULL)
        st = fwi_estimator_take_data(e, eval, 0);
    if (st == FW_OK)
        st = fwi_estimator_settle_data(e, f->ds, eval, e->opt.eval_every > 0, &f->budget);
    int64_t row;
    if (st == FW_OK)
        st = fwi_estimator_fill(e);
    if (st == FW_OK) /* of earlier calls */
        st = fwi_network_undone(&e->network, &row, &f->undone_told);
    if (st == FW_OK && eval != NULL && e->opt.eval_every > 0)
        st = fwi_estimator_make_views(e, eval);
    if (st == FW_OK && eval != NULL && e->opt.eval_every > 0 && !e->eval_data.keeps)
        st = fwi_dataset_ready(eval); /* an evaluation may come late, when nobody allocates */
    return st;
}

/* A run that goes on knows what was chosen in the steps before: from the file beside its checkpoint,
 * unless this estimator chose it. What the filter holds at first may be another run's. */
static fw_status recorded_before(fit *f)
{
    fw_estimator *const e = f->e;
    if (e->opt.record == NULL)
        return FW_OK;
    if (!e->recording && (e->step == 0 || e->opt.work_dir != NULL))
        fwi_filter_restart(e->opt.record);
    e->recording = true;
    if (fw_filter_recorded(e->opt.record) >= e->step)
        return FW_OK;
    if (e->opt.work_dir == NULL)
        return fwi_fail(FW_EARG,
                        "the filter has the rows of %" PRId64 " steps, %" PRId64 " were done",
                        fw_filter_recorded(e->opt.record), e->step);
    return fwi_filter_load(e->opt.record, e->opt.work_dir, e->step);
}

static fw_status prepare(fit *f)
{
    fw_estimator *e = f->e;
    fw_dataset *const eval = e->opt.eval_data;
    fwi_network_plan *eval_plan;
    if (!fwi_dataset_training(f->ds))
        return fwi_fail(FW_EARG, "training needs a data set with .training set");
    if (!fwi_dataset_labelled(f->ds))
        return fwi_fail(FW_EARG, "%s: the training data has no labels", fwi_dataset_name(f->ds));
    if (eval != NULL && e->opt.eval_every > 0 && !fwi_dataset_labelled(eval))
        return fwi_fail(FW_EARG, "%s: has no labels to evaluate against", fwi_dataset_name(eval));
    if (eval != NULL && e->opt.eval_every > 0 && fwi_dataset_training(eval))
        return fwi_fail(FW_EARG, "eval_data, %s, has .training set: it is endless",
                        fwi_dataset_name(eval));
    if (e->broken)
        return fwi_fail(FW_ESTATE, "training diverged: resume from the last checkpoint");
    f->batch = fwi_dataset_batch(f->ds);
    f->steps_per_epoch =
        e->opt.steps_per_epoch > 0 ? e->opt.steps_per_epoch : fw_dataset_batches(f->ds);
    f->counted = fwi_estimator_rows(e, f->ds);
    if (f->steps_per_epoch < 1)
        return fwi_fail(FW_EARG, "a batch of %" PRId64 " is more than the %" PRId64 " records",
                        f->batch, fw_dataset_count(f->ds));
    if (e->epoch.per != f->steps_per_epoch || e->epoch.counted != f->counted) {
        e->epoch.steps = 0; /* of other data: its epochs are others */
        e->epoch.loss = e->epoch.correct = 0;
        e->epoch.per = f->steps_per_epoch;
        e->epoch.counted = f->counted;
    }
    fw_status st = fwi_staged_check(e, f->ds, f->until);
    if (st == FW_OK)
        st = fwi_estimator_compile(e, f->ds);
    if (st == FW_OK) /* whatever it was compiled for first */
        fwi_estimator_standardize_as(e, f->ds);
    if (st == FW_OK && eval != NULL)
        st = fwi_estimator_compile(e, eval);
    if (st == FW_OK && eval != NULL) /* of now, and of the end if that is another */
        st = fwi_estimator_eval_plan(e, fwi_dataset_batch(eval), e->step, &eval_plan);
    if (st == FW_OK && eval != NULL)
        st = fwi_estimator_eval_plan(e, fwi_dataset_batch(eval), f->until, &eval_plan);
    if (st == FW_OK)
        st = fwi_estimator_training_plans(e, f->ds, &f->plans);
    if (st != FW_OK) {
        fwi_network_want_no_more(&e->network);
        return st;
    }
    st = take_data(f);
    if (st == FW_OK)
        st = fwi_staged_prepare(&f->staged, e, f->ds);
    if (st == FW_OK)
        st = recorded_before(f);
    f->ahead = fwi_network_ahead(&e->network) && e->opt.record == NULL;
    f->asked = e->step;
    if (st == FW_OK)
        st = fwi_estimator_whiten(e, f->ds);
    const double began = fwi_now();
    if (st == FW_OK)
        st = fwi_fit_open_folder(f);
    f->once_seconds = fwi_now() - began;
    if (st != FW_OK)
        leave_data(f); /* data sets may outlive the estimator and its threads */
    return st;
}

fw_status fw_estimator_train(fw_estimator *e, fw_dataset *ds, int64_t until)
{
    if (e == NULL || ds == NULL || until < 0)
        return fwi_fail(FW_EARG, "fw_estimator_train: NULL argument, or a negative step");
    fit f = {.e = e, .ds = ds, .until = until, .started = fwi_now()};
    fw_status st = prepare(&f);
    if (st != FW_OK) {
        fwi_staged_clear(&f.staged);
        return st;
    }
    fw_event ev = event_of(&f, FW_EVENT_BEGIN);
    if (!tell(&f, &ev))
        f.stop_asked = true;
    f.loop_started = fwi_now();
    st = loop(&f);
    if (f.ended == 0)
        f.ended = fwi_now();
    e->seconds_here += seconds_of(&f);
    leave_data(&f);
    fwi_staged_clear(&f.staged);
    if (st == FW_OK && !f.past)
        st = fwi_estimator_save_model(e);
    if (st == FW_ENONFINITE)
        fwi_estimator_log_diverged(e, f.row[0]);
    if (st != FW_OK)
        return st;
    ev = event_of(&f, FW_EVENT_END);
    (void)tell(&f, &ev);
    return FW_OK;
}
