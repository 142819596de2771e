/* estimator.c: an estimator's life: options, what must agree on resume, saving.
 * Compilation is in estimator_plans.c, memory in estimator_memory.c, training in fit.c, evaluation and
 * prediction in eval.c. */
#include "estimator.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends.h"
#include "dataset_inner.h"
#include "explain.h"
#include "fail.h"
#include "nn.h"
#include "number.h"
#include "staged.h"
#include "utf8.h"
#include "whiten.h"

/* ---- options ---- */

static fw_status copy_text(const char **text)
{
    if (*text == NULL)
        return FW_OK;
    *text = fwi_strdup(*text);
    return *text == NULL ? FW_ENOMEM : FW_OK;
}

static fw_status copy_class_names(fw_estimator *e, const fw_estimator_opt *opt)
{
    if (opt->class_names == NULL || opt->n_class_names == 0)
        return FW_OK;
    e->class_names = fwi_alloc_array((size_t)opt->n_class_names, sizeof *e->class_names);
    if (e->class_names == NULL)
        return FW_ENOMEM;
    for (int64_t i = 0; i < opt->n_class_names; i++) {
        const char *name = opt->class_names[i];
        if (name == NULL || !fwi_utf8_valid(name, strlen(name))) /* not when training has ended */
            return fwi_fail(FW_EARG, "class name %" PRId64 " is %s", i,
                            name == NULL ? "NULL" : "not UTF-8 text");
        if ((e->class_names[i] = fwi_strdup(name)) == NULL)
            return FW_ENOMEM;
    }
    return FW_OK;
}

static fw_status check_options(const fw_estimator_opt *o)
{
    if (o->precision != FW_F32 && o->precision != FW_F64 && o->precision != FW_BF16 &&
        o->precision != FW_F16)
        return fwi_fail(FW_EUNAVAILABLE, "precision %s: training is in f32, tf32, bf16, f16 or f64",
                        fw_dtype_name(o->precision));
    if (o->tf32 && o->precision != FW_F32)
        return fwi_fail(FW_EARG, "tf32 is a rounding of f32, precision is %s",
                        fw_dtype_name(o->precision));
    if (o->loss_scale != 0 && o->precision != FW_F16)
        return fwi_fail(FW_EARG, "loss_scale is for precision f16, precision is %s",
                        fw_dtype_name(o->precision));
    if (!(o->loss_scale >= 0 && o->loss_scale <= 1e12))
        return fwi_fail(FW_EARG, "loss_scale %g is not in [0, 1e12]", o->loss_scale);
    if (!(o->label_smoothing >= 0 && o->label_smoothing < 1))
        return fwi_fail(FW_EARG, "label smoothing %g is not in [0, 1)", o->label_smoothing);
    int views;
    if (fwi_tta_views(o->tta, &views) == NULL)
        return fwi_fail(FW_EARG, "tta is the number %d, which none of its values has", (int)o->tta);
    if ((unsigned)o->conv > FW_CONV_WINOGRAD7)
        return fwi_fail(FW_EARG, "conv is the number %d, which none of its values has",
                        (int)o->conv);
    if (o->record_every < 0 || (o->record_every > 0 && o->record == NULL))
        return fwi_fail(FW_EARG, "record_every is %" PRId64 "%s", o->record_every,
                        o->record == NULL ? ", but nothing is recorded" : "");
    if (o->record != NULL && o->filter != NULL)
        return fwi_fail(FW_EARG, "an estimator records a filter or is trained by one");
    if ((unsigned)o->resolution_by > FW_BY_CROP)
        return fwi_fail(FW_EARG, "resolution_by is the number %d, which none of its values has",
                        (int)o->resolution_by);
    if (o->threads < 0 || o->steps_per_epoch < 0 || o->checkpoint_every < 0 || o->keep < 0 ||
        o->eval_every < 0 || o->memory_limit < 0 || o->n_class_names < 0)
        return fwi_fail(FW_EARG, "an option of the estimator is negative");
    if (o->eval_every > 0 && o->eval_data == NULL)
        return fwi_fail(FW_EARG, "eval_every is %" PRId64 ", but there is no eval_data",
                        o->eval_every);
    return FW_OK;
}

static fw_status copy_groups(fw_estimator *e, const fw_estimator_opt *opt)
{
    if (opt->n_groups < 0 || opt->n_groups > FW_MAX_GROUPS ||
        (opt->n_groups > 0 && opt->groups == NULL))
        return fwi_fail(FW_EARG, "%d parameter groups%s, at most %d are allowed",
                        (int)opt->n_groups, opt->groups == NULL ? " at NULL" : "",
                        (int)FW_MAX_GROUPS);
    for (int32_t i = 0; i < opt->n_groups; i++)
        e->optim.group[i] = opt->groups[i];
    e->optim.n_groups = opt->n_groups;
    e->opt.groups = NULL; /* the caller's */
    return FW_OK;
}

static fw_status copy_resolutions(fw_estimator *e, const fw_estimator_opt *opt)
{
    const int32_t n = opt->n_resolutions;
    if (n < 0 || n > FW_MAX_RESOLUTIONS || (n > 0 && opt->resolutions == NULL))
        return fwi_fail(FW_EARG, "%d resolutions%s, at most %d are allowed", (int)n,
                        opt->resolutions == NULL ? " at NULL" : "", (int)FW_MAX_RESOLUTIONS);
    for (int32_t i = 0; i < n; i++) {
        const fw_resolution *r = &opt->resolutions[i];
        const int64_t from = i == 0 ? 0 : opt->resolutions[i - 1].until;
        if (r->size < 1 || r->until <= from)
            return fwi_fail(FW_EARG,
                            "resolution %d: %" PRId64 " x %" PRId64 " until step %" PRId64
                            ", it begins at step %" PRId64 ": sizes are positive, steps increase",
                            (int)i, r->size, r->size, r->until, from);
        e->resolutions[i] = *r;
    }
    e->opt.resolutions = NULL; /* the caller's */
    return FW_OK;
}

static fw_status copy_options(fw_estimator *e, const fw_estimator_opt *opt)
{
    e->opt = *opt;
    if (e->opt.keep == 0)
        e->opt.keep = 2;
    /* From here on the texts are ours (or NULL), also when a copy fails. */
    const char **texts[] = {&e->opt.work_dir, &e->opt.device, &e->opt.warm_start, &e->opt.config};
    const size_t n = sizeof texts / sizeof *texts;
    for (size_t i = 0; i < n; i++)
        if (copy_text(texts[i]) != FW_OK) {
            for (; i < n; i++)
                *texts[i] = NULL;
            return FW_ENOMEM;
        }
    return copy_class_names(e, opt);
}

static fw_status describe_parts(fw_estimator *e)
{
    char *text = NULL;
    fw_status st = fw_layer_print(e->net, &text);
    if (st == FW_OK && (e->layers_text = fwi_strdup(text)) == NULL)
        st = FW_ENOMEM;
    fw_text_free(text);
    return st == FW_OK ? fwi_optim_describe(&e->optim, &e->optimizer_text) : st;
}

/* Makes the run's folder, if there is one, and finds what it was stopped at. */
static fw_status find_resume(fw_estimator *e)
{
    if (e->opt.work_dir == NULL)
        return FW_OK;
    int64_t step = -1;
    fw_status st = fwi_path_check_local(e->opt.work_dir);
    if (st == FW_OK)
        st = fwi_mkdirs(e->opt.work_dir);
    if (st != FW_OK || e->opt.fresh)
        return st;
    st = fwi_ckpt_newest_named(e->opt.work_dir, &e->found_step);
    if (st == FW_OK)
        st = fwi_ckpt_open(e->opt.work_dir, &step, &e->resume);
    if (st != FW_OK || step < 0)
        return st;
    fwi_ids ids;
    st = fwi_estimator_ids(e, NULL, &ids);
    if (st == FW_OK)
        st = fwi_ckpt_check(e->resume, ids.id, ids.n);
    e->step = e->saved_step = step;
    return st;
}

/* ---- life ---- */

static fw_status open_device(fw_estimator *e, fwi_device *lent)
{
    e->device = lent;
    e->device_lent = lent != NULL;
    fw_status st = FW_OK;
    if (lent == NULL)
        st = fwi_device_open(
            &e->device, e->opt.device,
            &(fwi_device_opt){.threads = e->opt.threads, .pin = e->opt.pin, .tf32 = e->opt.tf32});
    return st == FW_OK ? fwi_device_check_precision(e->device, e->opt.precision) : st;
}

fw_status fwi_estimator_new_on(fw_estimator **out, fwi_device *device, fw_layer *net,
                               fw_optimizer optimizer, const fw_estimator_opt *opt)
{
    static const fw_estimator_opt defaults = {0};
    if (opt == NULL)
        opt = &defaults;
    fw_estimator *e = fwi_alloc_zero(sizeof *e);
    if (e == NULL) {
        fw_layer_free(net);
        return FW_ENOMEM;
    }
    e->net = net;
    e->optim.rest = optimizer;
    e->optim.average = opt->average;
    e->optim.every = opt->record_every;
    e->optim.follows = opt->precision == FW_F16 ? FWI_GUARD_MOST : 0;
    e->transforms[0] = e->transforms[1] = fw_transform_end();
    fw_status st = check_options(opt);
    if (st == FW_OK)
        st = copy_options(e, opt);
    if (st == FW_OK)
        st = copy_groups(e, opt);
    if (st == FW_OK)
        st = copy_resolutions(e, opt);
    if (st == FW_OK && (out == NULL || net == NULL))
        st = fwi_fail(FW_EARG, "fw_estimator_new: NULL argument");
    if (st == FW_OK)
        st = fwi_layer_check(net);
    if (st == FW_OK)
        st = fwi_optim_check(&e->optim);
    if (st == FW_OK)
        st = describe_parts(e);
    if (st == FW_OK)
        st = open_device(e, device);
    if (st == FW_OK)
        st = find_resume(e);
    if (st != FW_OK) {
        fw_estimator_free(e);
        return st;
    }
    *out = e;
    return FW_OK;
}

fw_status fw_estimator_new(fw_estimator **out, fw_layer *net, fw_optimizer optimizer,
                           const fw_estimator_opt *opt)
{
    return fwi_estimator_new_on(out, NULL, net, optimizer, opt);
}

fw_status fwi_estimator_close_folder(fw_estimator *e)
{
    fwi_ckpt_free(e->ckpt);
    fwi_st_close(e->resume);
    const fw_status st = fwi_runlog_close(e->log);
    e->ckpt = NULL;
    e->resume = NULL;
    e->resumed = false;
    e->log = NULL;
    fwi_file_lock_leave(&e->folder);
    return st;
}

fw_status fwi_estimator_restart(fw_estimator *e, uint64_t seed, const char *work_dir)
{
    if (copy_text(&work_dir) != FW_OK)
        return FW_ENOMEM;
    fw_status st = fwi_estimator_close_folder(e);
    fwi_free((void *)e->opt.work_dir);
    e->opt.work_dir = work_dir;
    e->opt.seed = seed;
    e->step = e->saved_step = e->evaluated_step = 0;
    e->epoch.steps = 0;
    e->epoch.loss = e->epoch.correct = 0;
    e->recording = false;
    e->filled = e->broken = false;
    e->seconds_before = e->seconds_here = 0;
    e->seconds_lost = false;
    if (st == FW_OK && e->compiled)
        st = fwi_network_forget(&e->network);
    return st == FW_OK ? find_resume(e) : st;
}

void fw_estimator_free(fw_estimator *e)
{
    if (e == NULL)
        return;
    (void)fwi_estimator_close_folder(e); /* what mattered was flushed when training ended */
    fwi_eval_ahead_clear(&e->eval_ahead);
    fwi_tta_clear(&e->tta);
    fwi_selective_clear(&e->selective);
    fwi_device_data_clear(&e->train_data);
    fwi_device_data_clear(&e->eval_data);
    if (e->compiled)
        fwi_network_clear(&e->network);
    if (!e->device_lent)
        fwi_device_close(e->device);
    fw_layer_free(e->net);
    fwi_free(e->layers_text);
    fwi_free(e->optimizer_text);
    for (int64_t i = 0; i < e->opt.n_class_names && e->class_names != NULL; i++)
        fwi_free(e->class_names[i]);
    fwi_free(e->class_names);
    fwi_free((void *)e->opt.work_dir);
    fwi_free((void *)e->opt.device);
    fwi_free((void *)e->opt.warm_start);
    fwi_free((void *)e->opt.config);
    fwi_free(e);
}

int64_t fw_estimator_step(const fw_estimator *e)
{
    return e == NULL ? 0 : e->step;
}

int64_t fw_estimator_classes(const fw_estimator *e)
{
    return e == NULL || !e->compiled ? 0 : e->network.n_classes;
}

/* ---- what must agree ---- */

static void describe_resolutions(const fw_estimator *e, char *buf, size_t cap)
{
    int n = snprintf(buf, cap, "%s",
                     e->opt.n_resolutions == 0            ? "full"
                     : e->opt.resolution_by == FW_BY_CROP ? "crop"
                                                          : "resize");
    for (int32_t i = 0; i < e->opt.n_resolutions; i++) /* 48 characters at most, each */
        n += snprintf(buf + n, cap - (size_t)n, " %" PRId64 "<%" PRId64, e->resolutions[i].size,
                      e->resolutions[i].until);
}

fw_status fwi_estimator_ids(const fw_estimator *e, const fw_dataset *data, fwi_ids *out)
{
    out->n = 0;
    snprintf(out->seed, sizeof out->seed, "%" PRIu64, e->opt.seed);
    char smoothing[FWI_NUMBER_CAP];
    fwi_format_double(smoothing, e->opt.label_smoothing);
    char scale[FWI_NUMBER_CAP] = "";
    if (e->opt.loss_scale != 0)
        fwi_format_double(scale, e->opt.loss_scale);
    snprintf(out->loss, sizeof out->loss, "%s smoothing=%s%s%s", e->opt.loss_sum ? "sum" : "mean",
             smoothing, scale[0] == 0 ? "" : " scale=", scale);
    out->id[out->n++] = (fwi_identity){"layers", e->layers_text};
    out->id[out->n++] = (fwi_identity){"optimizer", e->optimizer_text};
    out->id[out->n++] = (fwi_identity){"seed", out->seed};
    out->id[out->n++] =
        (fwi_identity){"precision", fw_precision_name(e->opt.precision, e->opt.tf32)};
    out->id[out->n++] = (fwi_identity){"conv", fwi_conv_algo_name((fwi_conv_algo)e->opt.conv)};
    out->id[out->n++] = (fwi_identity){"loss", out->loss};
    describe_resolutions(e, out->resolution, sizeof out->resolution);
    out->id[out->n++] = (fwi_identity){"resolution", out->resolution};
    const fw_filter *const record = e->opt.record, *const filter = e->opt.filter;
    if (record != NULL)
        snprintf(out->rows, sizeof out->rows, "record %" PRId64 " of %" PRId64 " every %" PRId64,
                 fwi_filter_keep(record), fwi_filter_batch(record), fwi_estimator_record_every(e));
    else if (filter != NULL)
        snprintf(out->rows, sizeof out->rows, "filter %" PRId64 " of %" PRId64 " crc32c %08" PRIx32,
                 fwi_filter_keep(filter), fwi_filter_batch(filter), fwi_filter_crc(filter));
    else
        snprintf(out->rows, sizeof out->rows, "all");
    out->id[out->n++] = (fwi_identity){"rows", out->rows};
    if (data == NULL)
        return FW_OK;
    int64_t h, w, c;
    fw_dataset_shape(data, &h, &w, &c);
    snprintf(out->input, sizeof out->input, "%" PRId64 " %" PRId64 " %" PRId64, h, w, c);
    out->id[out->n++] = (fwi_identity){"input", out->input};
    out->id[out->n++] = (fwi_identity){"data", out->data};
    return fwi_dataset_describe(data, out->data, sizeof out->data);
}

fw_status fw_estimator_save(fw_estimator *e, const char *path)
{
    if (e == NULL || path == NULL)
        return fwi_fail(FW_EARG, "fw_estimator_save: NULL argument");
    if (!e->filled)
        return fwi_fail(FW_ESTATE,
                        "fw_estimator_save: there are no weights yet: it has met no data");
    const fw_status made = fwi_whiten_check(e->network.store);
    if (made != FW_OK)
        return fwi_fail_in(made, "%s", path);
    const fw_transform *const t = &e->transforms[0];
    for (int64_t k = 0; t->kind == FW_TRANSFORM_STANDARDIZE && k < t->c; k++)
        if (!isfinite(t->mean[k]) || !isfinite(t->std[k]))
            return fwi_fail(
                FW_ENONFINITE,
                "%s: the data's standardisations together are no float in channel %" PRId64, path,
                k);
    if (e->own_transforms)
        fwi_log(1,
                "%s: the caller's own transform of the data is not in the file: the model wants "
                "its images as that leaves them",
                path);
    const fwi_network_spec *s = &e->network.spec;
    const fwi_model_meta meta = {.layers = e->layers_text,
                                 .h = s->h,
                                 .w = s->w,
                                 .c = s->c,
                                 /* the weights are f32: a CPU has no f16 */
                                 .precision = s->real == FW_F16 ? FW_F32 : s->real,
                                 .transforms = {e->transforms[0], e->transforms[1]},
                                 .class_names = e->class_names,
                                 .n_class_names =
                                     e->class_names == NULL ? 0 : e->opt.n_class_names};
    return fwi_model_save(path, e->network.store, fwi_average_evaluates(&e->optim.average, e->step),
                          &meta);
}

fw_status fwi_estimator_save_model(fw_estimator *e)
{
    if (e->opt.work_dir == NULL)
        return FW_OK;
    char *path = fwi_path_join(e->opt.work_dir, "model.safetensors");
    const fw_status st = path == NULL ? FW_ENOMEM : fw_estimator_save(e, path);
    fwi_free(path);
    return st;
}
