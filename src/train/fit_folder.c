/* fit_folder.c: what a run of the training loop leaves in its folder: what it was asked for, what it tells,
 * its model. Checkpoints are checkpoint.c's. Read before: fit.c, runlog.h. */
#include "fit_inner.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines.h"
#include "file.h"
#include "json_read.h"
#include "number.h"
#include "probe.h"
#include "run_folder.h"
#include "utf8.h"

/* ---- the log ---- */

static const char *num(char buf[FWI_NUMBER_CAP], double v)
{
    if (!isfinite(v)) /* JSON has no such numbers */
        return "null";
    if (v == floor(v) && fabs(v) < 1e15) { /* 10, not 1e+01 */
        snprintf(buf, FWI_NUMBER_CAP, "%.0f", v);
        return buf;
    }
    fwi_format_double(buf, v);
    return buf;
}

fw_status fwi_fit_log_epoch(const fit *f, const fw_event *ev)
{
    char a[5][FWI_NUMBER_CAP];
    fwi_runlog *l = f->e->log;
    if (l == NULL)
        return FW_OK;
    fw_status st = fwi_runlog_line(
        l,
        "\"event\":\"epoch\",\"step\":%" PRId64 ",\"epoch\":%s,\"loss\":%s,\"accuracy\":%s,"
        "\"lr\":%s,\"images_per_second\":%s",
        ev->step, num(a[0], (double)ev->step / (double)f->steps_per_epoch), num(a[1], ev->loss),
        num(a[2], ev->accuracy), num(a[3], ev->lr), num(a[4], ev->images_per_second));
    if (st == FW_OK)
        st = fwi_runlog_scalar(l, "train/accuracy", ev->step, ev->accuracy);
    if (st == FW_OK)
        st = fwi_runlog_scalar(l, "train/images_per_second", ev->step, ev->images_per_second);
    return st == FW_OK ? fwi_runlog_flush(l) : st;
}

fw_status fwi_estimator_log_eval(const fw_estimator *e, const fw_metrics *m)
{
    char a[4][FWI_NUMBER_CAP];
    fwi_runlog *const l = e->log;
    if (l == NULL)
        return FW_OK;
    fw_status st =
        fwi_runlog_line(l,
                        "\"event\":\"eval\",\"step\":%" PRId64 ",\"loss\":%s,\"accuracy\":%s,"
                        "\"accuracy_plain\":%s,\"records\":%" PRId64 ",\"seconds\":%s",
                        e->step, num(a[0], m->loss), num(a[1], m->accuracy),
                        num(a[3], m->accuracy_plain), m->records, num(a[2], m->seconds));
    if (st == FW_OK)
        st = fwi_runlog_scalar(l, "test/loss", e->step, m->loss);
    if (st == FW_OK)
        st = fwi_runlog_scalar(l, "test/accuracy", e->step, m->accuracy);
    return st == FW_OK ? fwi_runlog_flush(l) : st;
}

fw_status fwi_fit_log_checkpoint(const fit *f, double seconds)
{
    char a[3][FWI_NUMBER_CAP];
    const fw_estimator *const e = f->e;
    fwi_runlog *l = e->log;
    const fw_status st = fwi_runlog_line(
        l,
        "\"event\":\"checkpoint\",\"step\":%" PRId64 ",\"seconds\":%s,\"epoch_steps\":%" PRId64
        ",\"epoch_loss\":%s,\"epoch_correct\":%s",
        e->step, num(a[0], e->seconds_lost ? NAN : seconds), e->epoch.steps,
        num(a[1], e->epoch.loss), num(a[2], e->epoch.correct));
    return st == FW_OK ? fwi_runlog_flush(l) : st;
}

void fwi_estimator_log_diverged(const fw_estimator *e, double lr)
{
    char text[FWI_NUMBER_CAP];
    fwi_error why; /* what is to be told is that it diverged, not that a disk is full */
    if (e->log == NULL)
        return;
    fwi_error_save(&why, FW_ENONFINITE);
    const fw_status st = fwi_runlog_line(
        e->log, "\"event\":\"diverged\",\"step\":%" PRId64 ",\"lr\":%s", e->step, num(text, lr));
    if (st == FW_OK)
        (void)fwi_runlog_flush(e->log);
    (void)fwi_error_raise(&why);
}

/* ---- files ---- */

/* What was read from the command line, as a path, may be any bytes; JSON holds UTF-8 alone. */
static fw_status set_text(json_t *o, const char *path, const char *key, const char *text)
{
    if (!fwi_utf8_valid(text, strlen(text)))
        return fwi_fail(FW_EARG,
                        "%s: \"%s\" is not UTF-8 text, as of a path in another encoding: %.500s",
                        path, key, text);
    return json_object_set_new(o, key, json_string(text)) == 0
               ? FW_OK
               : fwi_fail(FW_ENOMEM, "%s: out of memory", path);
}

/* Of a device's label, "cpu (avx512, 2 threads)", what computes: what stands behind its first bracket. */
static const char *kernels_of(const char *label, size_t *n)
{
    const char *const open = strchr(label, '(');
    const char *const at = open != NULL ? open + 1 : label;
    *n = strcspn(at, ",)");
    return at;
}

/* What a GPU computes with beside kernels of our own; of another device, nothing. */
static void libraries_of(fwi_device *d, char *text, size_t cap)
{
    const fwi_probe *const p = d->backend->probe;
    text[0] = 0;
    if (p != NULL && p->libraries != NULL)
        p->libraries(d, text, cap);
}

/* A run may go on by other kernels, on another machine, but not to the same bits. libraries: those of now. */
static void tell_other_kernels(const fw_estimator *e, const json_t *was, const char *libraries)
{
    const char *const label = json_string_value(json_object_get(was, "device"));
    size_t n = 0, m = 0;
    const char *const here = kernels_of(e->device->label, &n);
    const char *const there = label != NULL ? kernels_of(label, &m) : here;
    const bool other_kernels = label != NULL && (n != m || memcmp(here, there, n) != 0);
    if (other_kernels)
        fwi_log(1,
                "%s: the run was last on %.100s and goes on on %s: it will end close to what it "
                "would have ended at, but not with the same bits",
                e->opt.work_dir, label, e->device->label);
    const char *const others = json_string_value(json_object_get(was, "libraries"));
    if (!other_kernels && others != NULL && strcmp(others, libraries) != 0)
        fwi_log(1,
                "%s: the run was last with %.200s and goes on with %s: perhaps not with the same "
                "bits",
                e->opt.work_dir, others, libraries);
}

/* What the start before this one wrote; NULL: nothing that can be read. */
static json_t *former_config(const char *path)
{
    fwi_buf text = {0};
    json_error_t why;
    json_t *const was = fwi_read_own_file(path, FWI_CONFIG_BYTES, &text) == FW_OK
                            ? fwi_json_read(text.data, text.size, &why)
                            : NULL;
    fwi_buf_clear(&text);
    return was;
}

/* The model that a run began with, whichever start it was; NULL: none. */
static json_t *warm_start_of(const fw_estimator *e, const json_t *was)
{
    json_t *const kept = json_object_get(was, "warm_start");
    const char *const name = e->opt.warm_start;
    if (e->resume != NULL)
        return json_incref(kept);
    if (name == NULL)
        return NULL;
    return json_string(fwi_utf8_valid(name, strlen(name)) ? name : "(its name is not UTF-8)");
}

/* Everything needed to repeat the run. The same keys as in checkpoints, the recipe's text, and the engines
 * of a GPU; a run that goes on has to have those that it was begun with. */
static fw_status write_config(const fit *f, const fwi_ids *ids)
{
    const fw_estimator *e = f->e;
    char *path = fwi_path_join(e->opt.work_dir, "config.json"), *text = NULL;
    json_t *o = json_object(), *engines = NULL, *was = NULL;
    char libraries[256];
    libraries_of(e->device, libraries, sizeof libraries);
    fw_status st = FW_ENOMEM;
    if (path == NULL || o == NULL)
        goto done;
    st = fwi_engines_of(&e->network, &engines);
    if (st == FW_OK && e->resume != NULL)
        st = fwi_engines_check(engines, path);
    if (st != FW_OK)
        goto done;
    was = e->resume != NULL ? former_config(path) : NULL;
    if (e->resume != NULL && e->step < f->until)
        tell_other_kernels(e, was, libraries);
    int bad = json_object_set_new(o, "fenwicks", json_string(fw_version()));
    for (int i = 0; i < ids->n && st == FW_OK; i++)
        st = set_text(o, path, ids->id[i].key, ids->id[i].text);
    bad |= json_object_set_new(o, "device", json_string(e->device->label));
    if (libraries[0] != 0)
        bad |= json_object_set_new(o, "libraries", json_string(libraries));
    bad |= json_object_set_new(o, "steps_per_epoch", json_integer(f->steps_per_epoch));
    bad |= json_object_set_new(o, "steps", json_integer(f->until));
    if (engines != NULL)
        bad |= json_object_set(o, "engines", engines);
    json_t *const warm = warm_start_of(e, was);
    if (warm != NULL)
        bad |= json_object_set_new(o, "warm_start", warm);
    if (e->opt.config != NULL && st == FW_OK)
        st = set_text(o, path, "recipe", e->opt.config);
    if (st != FW_OK)
        goto done;
    text = json_dumps(o, JSON_INDENT(2));
    st = bad != 0 || text == NULL ? fwi_fail(FW_ENOMEM, "%s: cannot be put together", path)
                                  : fwi_write_file(path, text, strlen(text));
done:
    free(text); /* jansson's */
    json_decref(engines);
    json_decref(was);
    json_decref(o);
    fwi_free(path);
    return st;
}

/* How long the starts before this one trained is in the log, and what its epoch's means are made of: a
 * checkpoint holds nothing that depends on the clock, so that two runs of a seed leave the same bytes. */
static void told_before(fit *f)
{
    fw_estimator *const e = f->e;
    fwi_run_past past;
    const fw_status st = fwi_runlog_past(e->opt.work_dir, e->step, &past);
    if (st == FW_OK && past.epoch_steps <= e->step % f->steps_per_epoch) { /* of this epoch */
        e->epoch.steps = past.epoch_steps;
        e->epoch.loss = past.epoch_loss;
        e->epoch.correct = past.epoch_correct;
    }
    e->seconds_lost = st != FW_OK || past.seconds < 0;
    if (e->seconds_lost)
        fwi_log(1,
                "%s: its log does not say how long the %" PRId64
                " steps before took: that of the run is not known%s%s",
                e->opt.work_dir, e->step, st == FW_OK ? "" : ": ",
                st == FW_OK ? "" : fw_last_error());
    e->seconds_before = e->seconds_lost ? 0 : past.seconds;
}

/* Whoever looked at a folder before he had its lock looks again: another run may have come and gone. */
static fw_status still_as_found(const fw_estimator *e)
{
    int64_t newest = -1;
    if (e->opt.fresh || e->ckpt != NULL)
        return FW_OK;
    const fw_status st = fwi_ckpt_newest_named(e->opt.work_dir, &newest);
    if (st != FW_OK || newest == e->found_step)
        return st;
    return fwi_fail(FW_ESTATE, "%s: another run has trained in it since this one looked",
                    e->opt.work_dir);
}

/* A run that goes on has to have the data that its checkpoint names. One that trained on one set after another
 * is begun again with its first: calls that ended before the checkpoint's step are passed over up to the one that
 * reached it, and those behind it come to data of their own. */
static fw_status check_data(fit *f, const fwi_ids *ids)
{
    fw_estimator *const e = f->e;
    if (e->resume == NULL || e->resumed)
        return FW_OK;
    const fw_status st = fwi_ckpt_check(e->resume, ids->id, ids->n);
    e->resumed = st == FW_OK;
    f->past = st == FW_EEXISTS && e->step > f->until && !e->one_set;
    return f->past ? FW_OK : st;
}

/* Names the data of this call; what it has kept before stays. */
static fw_status renew_checkpoints(fw_estimator *e, const fwi_ids *ids)
{
    fwi_ckpt *c = NULL;
    const fw_status st =
        fwi_ckpt_new(&c, e->network.store, e->opt.work_dir, e->opt.keep, ids->id, ids->n);
    if (st != FW_OK)
        return st;
    fwi_ckpt_free(e->ckpt);
    e->ckpt = c;
    return FW_OK;
}

fw_status fwi_fit_open_folder(fit *f)
{
    fw_estimator *e = f->e;
    if (e->opt.work_dir == NULL)
        return FW_OK;
    fwi_ids ids;
    const bool first = e->log == NULL;
    fw_status st = FW_OK;
    if (!e->folder.held) {
        st = fwi_dir_lock_make(&e->folder, e->opt.work_dir);
        if (st == FW_OK)
            st = still_as_found(e);
    }
    if (st == FW_OK)
        st = fwi_estimator_ids(e, f->ds, &ids);
    if (st == FW_OK)
        st = check_data(f, &ids);
    if (st != FW_OK || f->past)
        return st;
    st = write_config(f, &ids); /* before what was there is given up */
    if (st == FW_OK && e->opt.fresh && e->ckpt == NULL)
        st = fwi_ckpt_remove_all(e->opt.work_dir);
    if (st == FW_OK)
        st = renew_checkpoints(e, &ids);
    if (st == FW_OK && e->log != NULL && fwi_runlog_flush(e->log) != FW_OK) {
        (void)fwi_runlog_close(e->log); /* a disk was full the last time, and its log gave up */
        e->log = NULL;
    }
    if (st == FW_OK && first && e->resume != NULL && e->step > 0)
        told_before(f);
    if (st == FW_OK && e->log == NULL)
        st = fwi_runlog_open(&e->log, e->opt.work_dir);
    if (st == FW_OK)
        st = fwi_runlog_line(e->log,
                             "\"event\":\"begin\",\"step\":%" PRId64 ",\"until\":%" PRId64
                             ",\"budget\":{\"state\":%" PRId64 ",\"scratch\":%" PRId64
                             ",\"shuffle\":%" PRId64 ",\"prefetch\":%" PRId64 ",\"cache\":%" PRId64
                             ",\"device\":%" PRId64 ",\"total\":%" PRId64 "}",
                             e->step, f->until, f->budget.state, f->budget.scratch,
                             f->budget.shuffle, f->budget.prefetch, f->budget.cache,
                             f->budget.device, f->budget.total);
    return st == FW_OK ? fwi_runlog_flush(e->log) : st;
}
