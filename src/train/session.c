/* session.c: runs of one recipe from beginning to end, and the clock around them (what is counted
 * where: docs/recipes.md). What no run decides is built once: data in memory, device, plans and
 * recordings (estimator_build.c); then each run starts from its seed alone. Read before:
 * recipe_data.c, run_folder.h. */
#include "recipe_inner.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends.h"
#include "clock.h"
#include "cpu.h"
#include "dataset_inner.h"
#include "estimator.h"
#include "fail.h"
#include "file.h"
#include "run_folder.h"
#include "utf8.h"

/* ---- what is watched while it trains ---- */

/* Of one run. */
typedef struct watch {
    const fw_run_opt *opt;
    const fw_estimator *e; /* that is being trained */
    bool reached, user_stopped;
    bool seconds_lost; /* of earlier starts: what it took is not known */
    double images_per_second;
    double seconds;    /* of training, by all starts, in the phases that are over */
    int64_t eval_step; /* of the latest evaluation; -1: none */
    fw_metrics eval;
} watch;

/* Before the first step, when all is chosen. Where there is no memory for the text the run goes on
 * without it. */
static void explain(const watch *w)
{
    char *text = NULL;
    if (w->opt->explain != NULL && fw_estimator_explain(w->e, &text) == FW_OK)
        w->opt->explain(w->opt->explain_user, text);
    fw_text_free(text);
}

static bool on_event(void *user, const fw_event *ev)
{
    watch *w = user;
    if (ev->kind == FW_EVENT_EVAL) {
        w->eval = *ev->eval;
        w->eval_step = ev->step;
        w->reached = w->reached ||
                     (w->opt->until_accuracy > 0 && ev->eval->accuracy >= w->opt->until_accuracy);
    }
    if (ev->images_per_second > 0)
        w->images_per_second = ev->images_per_second;
    if (w->opt->progress != NULL && !w->opt->progress(w->opt->progress_user, ev))
        w->user_stopped = true;
    if (ev->kind == FW_EVENT_BEGIN)
        explain(w);
    return !w->reached && !w->user_stopped;
}

/* ---- the session ---- */

struct fw_session {
    const fw_recipe *r;
    fw_run_opt opt; /* but for what each run has of its own */
    watch watch;
    /* from here on it is built, or empty */
    bool built;
    char *config;
    fw_dtype precision;
    bool tf32;
    fwi_device *device; /* of both networks */
    fw_recipe_data data;
    int64_t steps, steps_per_epoch;
    fw_filter *filter; /* recorded by the proxy, used by the network; NULL: there is no proxy */
    fw_estimator *net;
    fw_estimator *proxy;
    double t_data;  /* seconds of reading, decoding and uploading images */
    double t_build; /* of all of it, while no run has told them */
};

/* ---- what every run of it shares ---- */

static fw_status new_estimator(fw_session *s, bool proxy, fw_estimator **out)
{
    const fw_recipe *const r = s->r;
    const fw_run_opt *const o = &s->opt;
    fw_layer *net = NULL;
    fwi_optim optim;
    fw_average average;
    fw_resolution resolutions[FW_MAX_RESOLUTIONS];
    int32_t n_resolutions = 0;
    fw_status st = fwi_recipe_optim(r, s->steps, s->steps_per_epoch, &optim);
    if (st == FW_OK)
        st = fwi_recipe_resolutions(r, s->steps, resolutions, &n_resolutions);
    if (st == FW_OK)
        st = fwi_recipe_average(r, s->steps, s->steps_per_epoch, &average);
    if (st == FW_OK)
        st = proxy ? fwi_recipe_proxy(r, &net) : fwi_recipe_net(r, &net);
    if (st != FW_OK)
        return st;
    int64_t eval_every = o->eval_every;
    if (o->until_accuracy > 0 && eval_every == 0)
        eval_every = 1;
    const fw_estimator_opt opt = {
        .precision = s->precision,
        .tf32 = s->tf32,
        .conv = (fw_conv)fwi_recipe_word(r, FWI_KEY_TRAIN_CONV),
        .loss_sum = fwi_recipe_word(r, FWI_KEY_TRAIN_LOSS) == 1,
        .label_smoothing = fwi_recipe_number(r, FWI_KEY_TRAIN_SMOOTHING),
        .progress = on_event,
        .progress_user = &s->watch,
        .stop = o->stop,
        .steps_per_epoch = s->steps_per_epoch,
        .checkpoint_every = o->checkpoint_every,
        .keep = o->keep,
        .eval_data = proxy ? NULL : s->data.test,
        .record = proxy ? s->filter : NULL,
        .record_every = proxy ? fwi_recipe_int(r, FWI_KEY_PROXY_EVERY) : 0,
        .filter = proxy ? NULL : s->filter,
        .eval_every = proxy ? 0 : eval_every,
        .tta = (fw_tta)fwi_recipe_word(r, FWI_KEY_EVALUATE_TTA),
        .warm_start = proxy ? NULL : o->warm_start,
        .memory_limit = o->memory_limit,
        .config = s->config,
        .groups = optim.group,
        .n_groups = optim.n_groups,
        .average = proxy ? (fw_average){0} : average, /* it is only ever asked for losses */
        .resolutions = resolutions,
        .n_resolutions = n_resolutions,
        .resolution_by = (fw_resolution_by)fwi_recipe_word(r, FWI_KEY_TRAIN_RESOLUTION_BY),
        .class_names = (const char *const *)s->data.class_names,
        .n_class_names = s->data.class_names == NULL ? 0 : s->data.n_classes};
    return fwi_estimator_new_on(out, s->device, net, optim.rest, &opt); /* takes net */
}

/* First of all: a device that cannot be had is told before data is read, which may take long. */
static fw_status open_device(fw_session *s)
{
    const fw_run_opt *const o = &s->opt;
    fw_status st = fwi_run_precision(s->r, o, &s->precision, &s->tf32);
    if (st == FW_OK)
        st = fwi_device_open(
            &s->device, o->device,
            &(fwi_device_opt){.threads = o->threads, .pin = o->pin, .tf32 = s->tf32});
    return st == FW_OK ? fwi_device_check_precision(s->device, s->precision) : st;
}

static fw_status read_data(fw_session *s)
{
    const double began = fwi_now();
    fw_status st = fwi_recipe_data_open(s->r, s->opt.data, 0, /* runs have the seeds */
                                        &(fwi_data_opt){.labels = true}, &s->data);
    if (st != FW_OK)
        return st;
    s->t_data = fwi_now() - began;
    s->steps_per_epoch = fw_dataset_batches(s->data.train);
    return fwi_recipe_steps(s->r, s->steps_per_epoch, &s->steps);
}

/* The network first: what it needs of memory and layers is refused before its proxy is thought of. */
static fw_status build_network(fw_session *s)
{
    fw_status st = FW_OK;
    if (fwi_recipe_lines(s->r, FWI_KEY_PROXY_LAYER)->n > 0)
        st = fw_filter_new(&s->filter, fwi_recipe_int(s->r, FWI_KEY_TRAIN_BATCH),
                           fwi_recipe_int(s->r, FWI_KEY_PROXY_KEEP), s->steps);
    if (st == FW_OK)
        st = new_estimator(s, false, &s->net);
    return st == FW_OK ? fwi_estimator_build(s->net, s->data.train, s->data.test, s->steps) : st;
}

/* Both stay in memory for the whole of a run, so each is counted in the other's budget. */
static fw_status build_proxy(fw_session *s)
{
    fw_budget budget;
    if (s->filter == NULL)
        return FW_OK;
    fw_status st = new_estimator(s, true, &s->proxy);
    if (st != FW_OK)
        return st;
    s->proxy->beside = s->net;
    if ((st = fwi_estimator_build(s->proxy, s->data.train, NULL, s->steps)) != FW_OK)
        return st;
    s->net->beside = s->proxy;
    return fwi_estimator_budget(s->net, s->data.train, s->data.test, &budget);
}

static void clear(fw_session *s)
{
    fw_recipe_data_clear(&s->data); /* on the threads of the device, which goes after it */
    fw_estimator_free(s->proxy);
    fw_estimator_free(s->net);
    fw_filter_free(s->filter);
    fwi_device_close(s->device);
    fw_text_free(s->config);
    *s = (fw_session){.r = s->r, .opt = s->opt};
}

static fw_status build(fw_session *s)
{
    const double began = fwi_now();
    fw_status st = fw_recipe_print(s->r, &s->config);
    if (st == FW_OK)
        st = open_device(s);
    if (st == FW_OK)
        st = read_data(s);
    if (st == FW_OK)
        st = build_network(s);
    if (st == FW_OK)
        st = build_proxy(s);
    if (st != FW_OK) {
        clear(s);
        return st;
    }
    s->t_data += s->net->train_data.seconds + s->net->eval_data.seconds;
    s->t_build = fwi_now() - began;
    s->built = true;
    return FW_OK;
}

/* ---- a run ---- */

/* One network from its seed, or its folder's checkpoint, to the last step. */
static fw_status train_one(fw_session *s, fw_estimator *e, uint64_t seed, const char *folder)
{
    watch *const w = &s->watch;
    const double began = fwi_now();
    w->e = e;
    fw_status st = fwi_estimator_restart(e, seed, folder);
    w->seconds += fwi_now() - began;
    if (st == FW_OK)
        st = fw_estimator_train(e, s->data.train, s->steps);
    w->seconds += e->seconds_before + e->seconds_here;
    w->seconds_lost = w->seconds_lost || e->seconds_lost;
    return st;
}

/* The proxy's phase, where the recipe has one: in a folder of its own, so that it is resumed like any
 * other; a finished one only hands over what it has chosen. */
static fw_status train_proxy(fw_session *s, uint64_t seed, const char *out)
{
    char *folder = NULL;
    if (s->proxy == NULL)
        return FW_OK;
    if (out != NULL && (folder = fwi_path_join(out, "proxy")) == NULL)
        return FW_ENOMEM;
    fwi_filter_restart(s->filter);
    const fw_status st = train_one(s, s->proxy, seed, folder);
    fwi_free(folder);
    return st == FW_ESTOPPED ? fwi_fail_in(st, "[network proxy]") : st;
}

/* Both phases. FW_OK too where it stopped because it was good enough. */
static fw_status train(fw_session *s, const fw_one_run *run, fw_run_result *result)
{
    fw_run_figures *const f = &result->run;
    watch *const w = &s->watch;
    fwi_dataset_reseed(s->data.train, run->seed);
    fwi_dataset_reseed(s->data.test, run->seed);
    fw_status st = train_proxy(s, run->seed, run->out);
    if (st == FW_OK) {
        st = train_one(s, s->net, run->seed, run->out);
        f->steps = fw_estimator_step(s->net);
    }
    f->epochs = (double)f->steps / (double)s->steps_per_epoch;
    f->t_train = w->seconds;
    f->images_per_second = w->images_per_second;
    if (f->images_per_second == 0 && f->t_train > 0 &&
        !w->seconds_lost) /* earlier starts took all the steps */
        f->images_per_second =
            (double)(f->steps * fwi_recipe_int(s->r, FWI_KEY_TRAIN_BATCH)) / f->t_train;
    result->stopped_early = w->reached && f->steps < s->steps;
    if (st == FW_ESTOPPED && w->reached &&
        !w->user_stopped) /* the loop writes it at the end alone */
        st = fwi_estimator_save_model(s->net);
    return st;
}

/* What it computed: a time says little without it. */
static fw_status count(const fw_session *s, fw_run_figures *f)
{
    fw_run_cost cost;
    const int64_t proxy_steps = s->proxy == NULL ? 0 : fw_estimator_step(s->proxy);
    const fw_status st =
        fwi_recipe_cost_until(s->r, fw_dataset_count(s->data.train), fw_dataset_count(s->data.test),
                              f->steps, proxy_steps, &cost);
    f->train_flops = cost.train_flops + cost.update_flops + cost.proxy_flops;
    f->eval_flops = cost.eval_flops;
    return st;
}

static fw_status evaluate(fw_session *s, const fw_one_run *run, fw_run_result *result)
{
    fw_run_figures *const f = &result->run;
    fw_status st = FW_OK;
    const bool done = s->watch.eval_step == f->steps; /* of these very weights */
    if (done)
        result->test = s->watch.eval;
    else if ((st = fwi_estimator_evaluate(s->net, s->data.test, &result->test)) != FW_OK)
        return st;
    if (!isfinite(result->test.loss)) { /* the last update spoilt the weights */
        if (!done)
            (void)fwi_estimator_log_eval(s->net, &result->test);
        st = fwi_fail(FW_ENONFINITE,
                      "step %" PRId64 ": the loss of the final evaluation is not finite", f->steps);
        fwi_estimator_log_diverged(s->net, NAN);
        return st;
    }
    f->accuracy = result->test.accuracy;
    f->accuracy_plain = result->test.accuracy_plain;
    f->loss = result->test.loss;
    f->forwards = result->test.forwards;
    if (run->out != NULL)
        snprintf(result->model, sizeof result->model, "%s/model.safetensors", run->out);
    return done ? FW_OK : fwi_estimator_log_eval(s->net, &result->test);
}

static fw_status close_folders(fw_session *s)
{
    const fw_status proxy = s->proxy != NULL ? fwi_estimator_close_folder(s->proxy) : FW_OK;
    const fw_status net = fwi_estimator_close_folder(s->net);
    return proxy != FW_OK ? proxy : net;
}

static fw_status run_built(fw_session *s, const fw_one_run *run, fw_run_result *result)
{
    fw_run_figures *const f = &result->run;
    s->watch = (watch){.opt = &s->opt, .eval_step = -1};
    fw_status st = train(s, run, result);
    if (st == FW_OK)
        st = evaluate(s, run, result);
    if (st == FW_ENONFINITE) {
        f->diverged = true;
        f->accuracy = f->accuracy_plain = f->loss = NAN;
        f->epochs = (double)s->steps / (double)s->steps_per_epoch;
    }
    if (s->watch.seconds_lost)
        f->t_train = 0;
    const bool a_result = st == FW_OK || st == FW_ENONFINITE || f->forwards > 0;
    if (a_result) {
        f->t_total = s->watch.seconds_lost ? 0 : f->t_train + result->test.seconds;
        f->t_dawn = s->watch.seconds_lost ? 0 : f->t_total + s->t_data;
        f->t_build = s->t_build;
        s->t_build = 0; /* told */
    }
    fwi_error message; /* what follows may have one of its own */
    fwi_error_save(&message, st);
    const fw_status counted = a_result ? count(s, f) : FW_OK;
    const fw_status closed = close_folders(s);
    if (st != FW_OK)
        return fwi_error_raise(&message);
    return counted != FW_OK ? counted : closed;
}

/* ---- for everyone ---- */

static fw_status check_options(const fw_recipe *r, const fw_run_opt *o)
{
    fw_dtype precision;
    bool tf32;
    if (!(o->until_accuracy >= 0 && o->until_accuracy <= 1))
        return fwi_fail(FW_EARG, "until_accuracy is %g, expected a fraction from 0 to 1",
                        o->until_accuracy);
    if (o->eval_every < 0 || o->checkpoint_every < 0 || o->keep < 0 || o->threads < 0 ||
        o->memory_limit < 0)
        return fwi_fail(FW_EARG, "an option of the run is negative");
    const fw_status st = fwi_threads_check(o->threads); /* before data is read */
    return st == FW_OK ? fwi_run_precision(r, o, &precision, &tf32) : st;
}

fw_status fw_session_open(fw_session **out, const fw_recipe *r, const fw_run_opt *opt)
{
    static const fw_run_opt none = {0};
    if (out == NULL || r == NULL)
        return fwi_fail(FW_EARG, "fw_session_open: NULL argument");
    *out = NULL;
    const fw_status st = check_options(r, opt != NULL ? opt : &none);
    if (st != FW_OK)
        return st;
    fw_session *const s = fwi_alloc_zero(sizeof *s);
    if (s == NULL)
        return FW_ENOMEM;
    *s = (fw_session){.r = r, .opt = opt != NULL ? *opt : none};
    *out = s;
    return FW_OK;
}

fw_status fw_session_build(fw_session *s)
{
    if (s == NULL)
        return fwi_fail(FW_EARG, "fw_session_build: NULL argument");
    return s->built ? FW_OK : build(s);
}

fw_status fw_session_run(fw_session *s, const fw_one_run *run, fw_run_result *result)
{
    if (s == NULL || run == NULL || result == NULL)
        return fwi_fail(FW_EARG, "fw_session_run: NULL argument");
    *result = (fw_run_result){0};
    fw_status st = fwi_run_folder_check(run->out, run->resume); /* before data is read */
    const char *data = s->opt.data;
    if (st == FW_OK && run->out != NULL && data != NULL && !fwi_utf8_valid(data, strlen(data)))
        st =
            fwi_fail(FW_EARG,
                     "%s: the path of the data is not UTF-8 text, so the run's files (config.json) "
                     "cannot name it: call it otherwise, as by a link",
                     data);
    if (st != FW_OK)
        return st;
    char *const proxy = run->out == NULL ? NULL : fwi_path_join(run->out, "proxy");
    if (run->out != NULL && proxy == NULL)
        return FW_ENOMEM;
    const size_t there = proxy == NULL ? 0 : fwi_run_folder_there(proxy);
    st = s->built ? FW_OK : build(s);
    /* read behind the proxy's phase; a run that goes on may have it behind itself */
    if (st == FW_OK && s->proxy != NULL && s->opt.warm_start != NULL && !run->resume)
        st = fwi_model_warm_check(s->net->network.store, s->opt.warm_start);
    if (st == FW_OK)
        st = run_built(s, run, result);
    if (st != FW_OK && proxy != NULL)
        fwi_run_folder_remove_empty(proxy, there);
    fwi_free(proxy);
    result->run.peak_memory_bytes = fwi_rss_peak_bytes();
    result->since_start = fwi_seconds_since_start();
    return st;
}

void fw_session_close(fw_session *s)
{
    if (s == NULL)
        return;
    clear(s);
    fwi_free(s);
}

const fw_recipe *fwi_session_recipe(const fw_session *s)
{
    return s->r;
}

const fw_run_opt *fwi_session_opt(const fw_session *s)
{
    return &s->opt;
}

fw_status fw_recipe_run(const fw_recipe *r, const fw_run_opt *opt, fw_run_result *result)
{
    static const fw_run_opt none = {0};
    fw_session *s = NULL;
    if (r == NULL || result == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_run: NULL argument");
    if (opt == NULL)
        opt = &none;
    *result = (fw_run_result){0};
    fw_status st = fw_session_open(&s, r, opt);
    if (st == FW_OK)
        st = fw_session_run(
            s, &(fw_one_run){.seed = opt->seed, .out = opt->out, .resume = opt->resume}, result);
    fw_session_close(s);
    return st;
}
