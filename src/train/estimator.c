/* estimator.c: an estimator's life: options, compilation for a data set, what must agree on resume.
 * Training is in fit.c, evaluation and prediction in eval.c. */
#include "estimator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backends.h"
#include "dataset_inner.h"
#include "explain.h"
#include "fail.h"
#include "nn.h"
#include "number.h"
#include "staged.h"
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
    for (int64_t i = 0; i < opt->n_class_names; i++)
        if ((e->class_names[i] = fwi_strdup(opt->class_names[i])) == NULL)
            return FW_ENOMEM;
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
    if ((unsigned)o->conv > FW_CONV_WINOGRAD4)
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
    st = fwi_ckpt_open(e->opt.work_dir, &step, &e->resume);
    if (st != FW_OK || step < 0)
        return st;
    fwi_ids ids;
    st = fwi_estimator_ids(e, NULL, &ids);
    if (st == FW_OK)
        st = fwi_ckpt_check(e->resume, ids.id, ids.n);
    e->step = step;
    return st;
}

/* ---- life ---- */

fw_status fw_estimator_new(fw_estimator **out, fw_layer *net, fw_optimizer optimizer,
                           const fw_estimator_opt *opt)
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
        st = fwi_device_open(
            &e->device, e->opt.device,
            &(fwi_device_opt){.threads = e->opt.threads, .pin = e->opt.pin, .tf32 = e->opt.tf32});
    if (st == FW_OK && e->opt.precision == FW_F16 && !e->device->has_f16)
        st =
            fwi_fail(FW_EUNAVAILABLE,
                     "precision f16 is for GPUs: device %s does not have it; f32, bf16 and f64 run "
                     "here",
                     e->device->label);
    if (st == FW_OK && e->opt.precision == FW_BF16 && !e->device->has_bf16)
        st =
            fwi_fail(FW_EUNAVAILABLE,
                     "precision bf16 needs a processor with AVX2, which device %s does not have or "
                     "does not use; f32 runs here",
                     e->device->label);
    if (st == FW_OK)
        st = find_resume(e);
    if (st != FW_OK) {
        fw_estimator_free(e);
        return st;
    }
    *out = e;
    return FW_OK;
}

void fw_estimator_free(fw_estimator *e)
{
    if (e == NULL)
        return;
    fwi_ckpt_free(e->ckpt);
    fwi_st_close(e->resume);
    fwi_tta_clear(&e->tta);
    fwi_selective_clear(&e->selective);
    fwi_device_data_clear(&e->train_data);
    fwi_device_data_clear(&e->eval_data);
    (void)fwi_runlog_close(e->log); /* what mattered was flushed when training ended */
    if (e->compiled)
        fwi_network_clear(&e->network);
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
        (fwi_identity){"precision", e->opt.tf32 ? "tf32" : fw_dtype_name(e->opt.precision)};
    out->id[out->n++] = (fwi_identity){"conv", fwi_conv_algo_name((fwi_conv_algo)e->opt.conv)};
    out->id[out->n++] = (fwi_identity){"loss", out->loss};
    describe_resolutions(e, out->resolution, sizeof out->resolution);
    out->id[out->n++] = (fwi_identity){"resolution", out->resolution};
    const fw_filter *const record = e->opt.record, *const filter = e->opt.filter;
    if (record != NULL)
        snprintf(out->rows, sizeof out->rows, "record %" PRId64 " of %" PRId64 " every %" PRId64,
                 fwi_filter_keep(record), fwi_filter_batch(record), e->opt.record_every);
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

/* ---- compilation ---- */

static fw_status fill_store(fw_estimator *e)
{
    fw_status st;
    if (e->resume != NULL) {
        st = fwi_ckpt_load(e->network.store, e->resume);
        fwi_st_drop(e->resume); /* what it says of its run is still asked for */
        return st;
    }
    st = fwi_store_init(e->network.store, e->opt.seed);
    if (st != FW_OK || e->opt.warm_start == NULL)
        return st;
    const fw_status warm = fwi_model_warm_start(e->network.store, e->opt.warm_start);
    return warm == FW_OK ? fwi_store_init_copies(e->network.store) : warm;
}

fw_status fwi_estimator_eval_plan(fw_estimator *e, int64_t batch, int64_t step,
                                  fwi_network_plan **out)
{
    const bool averages = fwi_average_evaluates(&e->optim.average, step);
    return fwi_network_plan_get(&e->network, averages ? FWI_EVALUATE_AVERAGE : FWI_EVALUATE, batch,
                                out);
}

fw_status fwi_estimator_compile(fw_estimator *e, const fw_dataset *ds)
{
    int64_t h, w, c;
    fw_dataset_shape(ds, &h, &w, &c);
    if (e->compiled) {
        const fwi_network_spec *s = &e->network.spec;
        if (s->h == h && s->w == w && s->c == c)
            return FW_OK;
        return fwi_fail(FW_ESHAPE,
                        "images of %" PRId64 " x %" PRId64 " x %" PRId64
                        ", the estimator was compiled for %" PRId64 " x %" PRId64 " x %" PRId64,
                        h, w, c, s->h, s->w, s->c);
    }
    const fwi_network_spec spec = {.net = e->net,
                                   .optim = &e->optim,
                                   .real = e->opt.precision,
                                   .tf32 = e->opt.tf32,
                                   .h = h,
                                   .w = w,
                                   .c = c,
                                   .label_smoothing = e->opt.label_smoothing,
                                   .loss_sum = e->opt.loss_sum,
                                   .loss_scale = e->opt.loss_scale,
                                   .conv = e->opt.conv};
    fw_status st = fwi_network_init(&e->network, e->device, &spec);
    if (st != FW_OK)
        return st;
    st = fill_store(e);
    if (st != FW_OK) {
        fwi_network_clear(&e->network);
        return st;
    }
    int n = 0;
    const fw_transform *list = fwi_dataset_transforms(ds, &n);
    for (int i = 0; i < n; i++)
        if (list[i].kind == FW_TRANSFORM_STANDARDIZE)
            e->transforms[0] = list[i];
    e->compiled = true;
    return FW_OK;
}

/* The first step of the stage behind that of `step`; INT64_MAX: there is none. */
static int64_t stage_end(const fw_estimator *e, int64_t step)
{
    int64_t end = INT64_MAX;
    for (int32_t i = 0; i < e->opt.n_resolutions; i++)
        if (e->resolutions[i].until > step && e->resolutions[i].until < end)
            end = e->resolutions[i].until;
    for (int32_t i = 0; i < e->optim.n_groups; i++)
        if (e->optim.group[i].train_steps > step && e->optim.group[i].train_steps < end)
            end = e->optim.group[i].train_steps;
    return end;
}

fw_status fwi_estimator_training_plans(fw_estimator *e, const fw_dataset *ds,
                                       fwi_training_plans *out)
{
    *out = (fwi_training_plans){.n = 0};
    fw_status st = FW_OK;
    int64_t step = 0;
    do {
        fwi_stage *const s = &out->stage[out->n++];
        int32_t i = 0;
        while (i < e->opt.n_resolutions && step >= e->resolutions[i].until)
            i++;
        fwi_network_use use = {.kind = FWI_TRAIN,
                               .batch = fwi_estimator_rows(e, ds),
                               .size = i < e->opt.n_resolutions ? e->resolutions[i].size : 0,
                               .by = e->opt.resolution_by,
                               .share2 = fwi_dataset_share2(ds),
                               .still = e->opt.record != NULL,
                               .over = fwi_optim_over(&e->optim, step)};
        st = fwi_network_plan_for(&e->network, &use, &s->plan);
        use.rows = true; /* of each step, also where an update follows */
        use.still = false;
        use.over = 0;
        if (st == FW_OK && e->opt.record != NULL)
            st = fwi_network_plan_for(&e->network, &use, &s->rows);
        s->until = step = stage_end(e, step);
    } while (st == FW_OK && step != INT64_MAX);
    return st;
}

const fwi_stage *fwi_stage_at(const fwi_training_plans *p, int64_t step)
{
    const fwi_stage *s = p->stage;
    while (step >= s->until)
        s++;
    return s;
}

int64_t fwi_estimator_rows(const fw_estimator *e, const fw_dataset *ds)
{
    return e->opt.filter != NULL ? fwi_filter_keep(e->opt.filter) : fwi_dataset_batch(ds);
}

fw_status fwi_estimator_whiten(fw_estimator *e, const fw_dataset *ds)
{
    return fwi_whiten(e->network.store, e->device->pool, ds);
}

fw_status fwi_estimator_make_views(fw_estimator *e, const fw_dataset *ds)
{
    const fwi_network_spec *s = &e->network.spec;
    if (e->opt.tta == FW_TTA_NONE)
        return FW_OK;
    fw_status st = FW_OK;
    if (e->opt.tta == FW_TTA_SELECTIVE)
        st = fwi_selective_prepare(&e->selective, fw_dataset_count(ds), fwi_dataset_batch(ds), s->h,
                                   s->w, s->c, e->network.n_classes);
    return st == FW_OK ? fwi_tta_prepare(&e->tta, e->opt.tta, fwi_dataset_batch(ds), s->h, s->w,
                                         s->c, e->network.n_classes)
                       : st;
}

fw_status fwi_estimator_lend_threads(fw_estimator *e, fw_dataset *ds, int64_t position)
{
    const fw_status st = fw_dataset_seek(ds, position);
    return st == FW_OK ? fwi_dataset_use_pool(ds, e->device->pool) : st;
}

fw_status fwi_estimator_take_data(fw_estimator *e, fw_dataset *ds, int64_t position)
{
    const fw_status st = fwi_estimator_lend_threads(e, ds, position);
    return st == FW_OK ? fwi_dataset_expect_classes(ds, e->network.n_classes) : st;
}

void fwi_estimator_leave_data(fw_dataset *ds)
{
    fwi_dataset_rows_only(ds, false);
    /* Drops batches made ahead on the estimator's threads, which may end before the data set does.
     */
    (void)fw_dataset_seek(ds, fw_dataset_position(ds));
    (void)fwi_dataset_use_own_pool(ds);
}

/* ---- memory ---- */

static double mib(int64_t n_bytes)
{
    return (double)n_bytes / 1048576;
}

enum { KEPT_CAP = 64 };

/* What stays on a device, where there is such a thing. */
static const char *kept_text(const fw_budget *b, char text[KEPT_CAP])
{
    text[0] = 0;
    if (b->device > 0)
        snprintf(text, KEPT_CAP, ", images on the device %.1f", mib(b->device));
    return text;
}

fw_status fwi_estimator_choose_data(fw_estimator *e, fw_dataset *train, fw_dataset *eval)
{
    const char *const asked = e->opt.host_batches ? "that was asked for (host_batches)" : NULL;
    const bool chooses = e->opt.filter != NULL || e->opt.record != NULL;
    size_t free_bytes = SIZE_MAX, all_bytes = 0;
    fw_status st = FW_OK;
    if (e->device->backend->memory != NULL && e->device->backend->make_batch != NULL)
        st = e->device->backend->memory(e->device, &free_bytes, &all_bytes);
    size_t spare = free_bytes - fwi_network_to_come(&e->network);
    if (spare > free_bytes)
        spare = 0;
    if (st == FW_OK && train != NULL)
        st = fwi_device_data_choose(&e->train_data, e->device, train,
                                    asked != NULL ? asked
                                    : chooses     ? "which rows are trained on is chosen there"
                                                  : NULL,
                                    spare);
    if (st == FW_OK && train != NULL)
        fwi_dataset_rows_only(train, e->train_data.keeps);
    if (st == FW_OK && eval != NULL)
        st = fwi_device_data_choose(&e->eval_data, e->device, eval, asked,
                                    spare - fwi_device_data_wanted(&e->train_data));
    if (st == FW_OK && eval != NULL)
        fwi_dataset_rows_only(eval, e->eval_data.keeps);
    return st;
}

fw_status fwi_estimator_settle_data(fw_estimator *e, fw_dataset *train, fw_dataset *eval,
                                    bool load_eval, fw_budget *out)
{
    fw_status st = fwi_estimator_choose_data(e, train, eval);
    if (st == FW_OK)
        st = fwi_estimator_budget(e, train, eval, out);
    if (st == FW_OK)
        st = fwi_network_bind(&e->network);
    const bool kept[2] = {e->train_data.keeps, e->eval_data.keeps};
    if (st == FW_OK && train != NULL)
        st = fwi_device_data_load(&e->train_data, train, e->network.n_classes);
    if (st == FW_OK && eval != NULL && load_eval)
        st = fwi_device_data_load(&e->eval_data, eval, e->network.n_classes);
    if (st != FW_OK || (kept[0] == e->train_data.keeps && kept[1] == e->eval_data.keeps))
        return st;
    if (train != NULL)
        fwi_dataset_rows_only(train, e->train_data.keeps);
    if (eval != NULL)
        fwi_dataset_rows_only(eval, e->eval_data.keeps);
    return fwi_estimator_budget(e, train, eval, out); /* the host makes them after all */
}

fw_status fwi_estimator_budget(fw_estimator *e, fw_dataset *train, fw_dataset *eval, fw_budget *out)
{
    fw_dataset *const sets[2] = {train, eval};
    fw_budget b = {.state = fwi_network_state_bytes(&e->network),
                   .scratch =
                       (int64_t)(e->network.scratch_wanted + fwi_network_guard_bytes(&e->network))};
    const fwi_network_spec *s = &e->network.spec;
    if (eval != NULL)
        b.scratch += fwi_tta_bytes(e->opt.tta, fwi_dataset_batch(eval), s->h, s->w, s->c,
                                   e->network.n_classes);
    if (eval != NULL && e->opt.tta == FW_TTA_SELECTIVE)
        b.scratch += fwi_selective_bytes(fw_dataset_count(eval), fwi_dataset_batch(eval), s->h,
                                         s->w, s->c, e->network.n_classes);
    if (train != NULL)
        b.scratch += fwi_staged_bytes(e, train);
    for (int i = 0; i < 2; i++) {
        if (sets[i] == NULL)
            continue;
        fw_dataset_memory m;
        fw_dataset_memory_get(sets[i], &m);
        b.shuffle += m.shuffle + m.index;
        b.prefetch += m.prefetch;
        b.cache += m.cache;
    }
    if (train != NULL && e->train_data.keeps)
        b.device += (int64_t)e->train_data.bytes;
    if (eval != NULL && e->eval_data.keeps)
        b.device += (int64_t)e->eval_data.bytes;
    b.total = b.state + b.scratch + b.shuffle + b.prefetch + b.cache + b.device;
    *out = e->budget = b;
    if (e->opt.memory_limit > 0 && b.total > e->opt.memory_limit) {
        char kept[KEPT_CAP];
        return fwi_fail(FW_ENOMEM,
                        "needs %.1f MiB (state %.1f, scratch %.1f, shuffle %.1f, prefetch %.1f, "
                        "cache %.1f%s), the limit is %.6g MiB: a smaller batch needs less",
                        mib(b.total), mib(b.state), mib(b.scratch), mib(b.shuffle), mib(b.prefetch),
                        mib(b.cache), kept_text(&b, kept), mib(e->opt.memory_limit));
    }
    return fwi_network_fits(&e->network, fwi_device_data_wanted(&e->train_data) +
                                             fwi_device_data_wanted(&e->eval_data));
}

fw_status fwi_estimator_plan(fw_estimator *e, fw_dataset *train, fw_dataset *eval, int64_t until,
                             fw_budget *out)
{
    fw_dataset *const sets[2] = {train, eval};
    fwi_network_plan *p;
    fwi_training_plans plans;
    fw_status st = FW_OK;
    for (int i = 0; i < 2 && st == FW_OK; i++) {
        if (sets[i] == NULL)
            continue;
        st = fwi_estimator_compile(e, sets[i]);
        if (st == FW_OK && i == 0)
            st = fwi_estimator_training_plans(e, train, &plans);
        if (st == FW_OK && i == 1)
            st = fwi_estimator_eval_plan(e, fwi_dataset_batch(eval), e->step, &p);
        if (st == FW_OK && i == 1)
            st = fwi_estimator_eval_plan(e, fwi_dataset_batch(eval), until, &p);
    }
    if (st != FW_OK)
        return st;
    for (int i = 0; i < 2 && st == FW_OK; i++) /* batches made ahead depend on the threads */
        if (sets[i] != NULL)
            st = fwi_estimator_lend_threads(e, sets[i], fw_dataset_position(sets[i]));
    if (st == FW_OK)
        st = fwi_estimator_choose_data(e, train, eval);
    if (st == FW_OK)
        st = fwi_estimator_budget(e, train, eval, out);
    for (int i = 0; i < 2; i++)
        if (sets[i] != NULL)
            fwi_estimator_leave_data(sets[i]);
    return st;
}

fw_status fw_estimator_prepare(fw_estimator *e, fw_dataset *train, fw_dataset *eval, fw_budget *out)
{
    if (e == NULL || (train == NULL && eval == NULL))
        return fwi_fail(FW_EARG, "fw_estimator_prepare: NULL argument");
    fw_budget budget;
    fw_status st = fwi_estimator_plan(e, train, eval, e->step, out == NULL ? &budget : out);
    if (st == FW_OK)
        st = fwi_network_bind(&e->network);
    if (st == FW_OK && train != NULL) {
        st = fwi_estimator_take_data(e, train, fw_dataset_position(train));
        if (st == FW_OK)
            st = fwi_device_data_load(&e->train_data, train, e->network.n_classes);
        fwi_estimator_leave_data(train);
    }
    return st == FW_OK && train != NULL ? fwi_estimator_whiten(e, train) : st;
}

/* Who makes the batches; on a device with the host's memory it goes without saying. */
static fw_status explain_data(const fwi_device_data *k, const char *use, fwi_buf *out)
{
    if (k->serial == 0 || k->device->host_memory)
        return FW_OK;
    return k->keeps ? fwi_buf_printf(out,
                                     "batches for %s: made on the device, of %" PRId64
                                     " images that stay there\n",
                                     use, k->n)
                    : fwi_buf_printf(out, "batches for %s: made on the host: %s\n", use, k->why);
}

fw_status fw_estimator_explain(const fw_estimator *e, char **text)
{
    if (e == NULL || text == NULL)
        return fwi_fail(FW_EARG, "fw_estimator_explain: NULL argument");
    if (!e->compiled)
        return fwi_fail(FW_ESTATE, "fw_estimator_explain: nothing was prepared yet");
    const fw_budget *const b = &e->budget;
    char kept[KEPT_CAP];
    fwi_buf out = {0};
    fw_status st = fwi_network_explain(&e->network, &out);
    if (st == FW_OK && b->total > 0)
        st = fwi_buf_printf(&out,
                            "memory: %.1f MiB: state %.1f, scratch %.1f, shuffle %.1f, prefetch "
                            "%.1f, cache %.1f%s\n",
                            mib(b->total), mib(b->state), mib(b->scratch), mib(b->shuffle),
                            mib(b->prefetch), mib(b->cache), kept_text(b, kept));
    if (st == FW_OK)
        st = explain_data(&e->train_data, "training", &out);
    if (st == FW_OK)
        st = explain_data(&e->eval_data, "evaluation", &out);
    if (st == FW_OK && (*text = fwi_strdup((const char *)out.data)) == NULL)
        st = FW_ENOMEM;
    fwi_buf_clear(&out);
    return st;
}

fw_status fw_estimator_save(fw_estimator *e, const char *path)
{
    if (e == NULL || path == NULL)
        return fwi_fail(FW_EARG, "fw_estimator_save: NULL argument");
    if (!e->compiled)
        return fwi_fail(FW_ESTATE, "fw_estimator_save: nothing was trained yet");
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
