/* recipe_run.c: a recipe run from beginning to end: data, estimator, training, evaluation, and the
 * clock around them (what is counted where: docs/recipes.md). Read before: recipe_data.c. */
#include "recipe_inner.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "clock.h"
#include "cpu.h"
#include "dataset_inner.h"
#include "estimator.h"
#include "fail.h"
#include "file.h"

/* ---- the folder ---- */

/* Whether `out` holds a run, whole or not. */
static fw_status holds_run(const char *out, bool *yes)
{
    static const char *const files[] = {"config.json", "log.jsonl", "model.safetensors",
                                        "proxy/config.json"};
    *yes = false;
    for (size_t i = 0; i < sizeof files / sizeof *files && !*yes; i++) {
        char *path = fwi_path_join(out, files[i]);
        if (path == NULL)
            return FW_ENOMEM;
        *yes = fwi_file_exists(path);
        fwi_free(path);
    }
    int64_t step = -1;
    char path[4096];
    if (*yes || !fwi_is_dir(out))
        return FW_OK;
    const fw_status st = fwi_ckpt_newest(out, &step, path, sizeof path);
    *yes = step >= 0;
    return st;
}

static fw_status check_folder(const fw_run_opt *o)
{
    bool run = false;
    if (o->out == NULL)
        return o->resume ? fwi_fail(FW_EARG, "resume: no run folder is named (out)") : FW_OK;
    fw_status st = fwi_path_check_local(o->out);
    if (st == FW_OK)
        st = holds_run(o->out, &run);
    if (st != FW_OK)
        return st;
    if (run && !o->resume)
        return fwi_fail(FW_EEXISTS,
                        "%s: holds a run already: go on with it (--resume), or name another folder",
                        o->out);
    if (!run && o->resume)
        return fwi_fail(FW_ENOTFOUND, "%s: holds no run to go on with", o->out);
    return FW_OK;
}

/* Cuts the last of path's n bytes' names off, and the slashes in front of it; bytes that are left. */
static size_t to_parent(char *path, size_t n)
{
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 0 && path[n - 1] == '/')
        n--;
    path[n] = 0;
    return n;
}

/* Bytes of the part of path that is there; 0: nothing of it. */
static size_t part_there(const char *path)
{
    size_t n = strlen(path);
    char *const copy = fwi_strdup(path);
    while (copy != NULL && n > 0 && !fwi_is_dir(copy))
        n = to_parent(copy, n);
    fwi_free(copy);
    return n;
}

/* Takes the folders of a run that came to nothing away again, up to the part that was there before
 * it. One that holds anything stays. */
static void remove_empty(const char *path, size_t there)
{
    size_t n = strlen(path);
    char *const copy = fwi_strdup(path);
    while (copy != NULL && n > there && (rmdir(copy) == 0 || errno == ENOENT))
        n = to_parent(copy, n);
    fwi_free(copy);
}

/* ---- what is watched while it trains ---- */

typedef struct watch {
    const fw_run_opt *opt;
    const fw_estimator *e;
    bool reached, user_stopped;
    double eval_seconds, images_per_second;
    double seconds_before; /* of training by the starts before this one, both phases */
    int64_t eval_step;     /* of the latest evaluation; -1: none */
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
    if (ev->kind == FW_EVENT_BEGIN)
        explain(w);
    if (ev->kind == FW_EVENT_EVAL) {
        w->eval = *ev->eval;
        w->eval_step = ev->step;
        w->eval_seconds += ev->eval->seconds;
        w->reached = w->reached ||
                     (w->opt->until_accuracy > 0 && ev->eval->accuracy >= w->opt->until_accuracy);
    }
    if (ev->images_per_second > 0)
        w->images_per_second = ev->images_per_second;
    if (w->opt->progress != NULL && !w->opt->progress(w->opt->progress_user, ev))
        w->user_stopped = true;
    return !w->reached && !w->user_stopped;
}

/* ---- the run ---- */

/* What differs between the network and its proxy. */
typedef struct phase {
    bool proxy;
    const char *folder;
    fw_filter *filter; /* recorded by the proxy, used by the network; NULL: there is no proxy */
} phase;

static fw_status new_estimator(const fw_recipe *r, const fw_run_opt *o, const fw_recipe_data *data,
                               int64_t steps, int64_t steps_per_epoch, watch *w, const char *config,
                               const phase *ph, fw_estimator **out)
{
    fw_layer *net = NULL;
    fw_optimizer optimizer;
    fw_param_group groups[FW_MAX_GROUPS];
    fw_average average;
    fw_resolution resolutions[FW_MAX_RESOLUTIONS];
    int32_t n_groups = 0, n_resolutions = 0;
    fw_dtype precision = FW_F32;
    bool tf32 = false;
    fw_status st = fwi_run_precision(r, o, &precision, &tf32);
    if (st == FW_OK)
        st = fwi_recipe_optimizer(r, steps, &optimizer);
    if (st == FW_OK)
        st = fwi_recipe_resolutions(r, steps, resolutions, &n_resolutions);
    if (st == FW_OK)
        st = fwi_recipe_groups(r, steps, steps_per_epoch, groups, &n_groups);
    if (st == FW_OK)
        st = fwi_recipe_average(r, steps, steps_per_epoch, &average);
    if (st == FW_OK)
        st = ph->proxy ? fwi_recipe_proxy(r, &net) : fwi_recipe_net(r, &net);
    if (st != FW_OK)
        return st;
    int64_t eval_every = o->eval_every;
    if (o->until_accuracy > 0 && eval_every == 0)
        eval_every = 1;
    const fw_estimator_opt opt = {
        .work_dir = ph->folder,
        .device = o->device,
        .precision = precision,
        .tf32 = tf32,
        .threads = o->threads,
        .pin = o->pin,
        .conv = (fw_conv)fwi_recipe_word(r, FWI_KEY_TRAIN_CONV),
        .seed = o->seed,
        .loss_sum = fwi_recipe_word(r, FWI_KEY_TRAIN_LOSS) == 1,
        .label_smoothing = fwi_recipe_number(r, FWI_KEY_TRAIN_SMOOTHING),
        .progress = on_event,
        .progress_user = w,
        .stop = o->stop,
        .steps_per_epoch = steps_per_epoch,
        .checkpoint_every = o->checkpoint_every,
        .keep = o->keep,
        .eval_data = ph->proxy ? NULL : data->test,
        .record = ph->proxy ? ph->filter : NULL,
        .record_every = ph->proxy ? fwi_recipe_int(r, FWI_KEY_PROXY_EVERY) : 0,
        .filter = ph->proxy ? NULL : ph->filter,
        .eval_every = ph->proxy ? 0 : eval_every,
        .tta = (fw_tta)fwi_recipe_word(r, FWI_KEY_EVALUATE_TTA),
        .warm_start = ph->proxy ? NULL : o->warm_start,
        .memory_limit = o->memory_limit,
        .config = config,
        .groups = groups,
        .n_groups = n_groups,
        .average = ph->proxy ? (fw_average){0} : average, /* it is only ever asked for losses */
        .resolutions = resolutions,
        .n_resolutions = n_resolutions,
        .resolution_by = (fw_resolution_by)fwi_recipe_word(r, FWI_KEY_TRAIN_RESOLUTION_BY),
        .class_names = (const char *const *)data->class_names,
        .n_class_names = data->class_names == NULL ? 0 : data->n_classes};
    return fw_estimator_new(out, net, optimizer, &opt); /* takes net */
}

/* Whether the network can be trained once its proxy is done: its plans and their memory, before the
 * first step of either. f: which rows are kept is not known yet, how many is. */
static fw_status plan_network(const fw_recipe *r, const fw_run_opt *o, const fw_recipe_data *data,
                              int64_t steps, int64_t steps_per_epoch, watch *w, fw_filter *f)
{
    fw_estimator *e = NULL;
    fw_budget budget;
    fw_status st =
        new_estimator(r, o, data, steps, steps_per_epoch, w, NULL, &(phase){.filter = f}, &e);
    if (st == FW_OK)
        st = fwi_estimator_plan(e, data->train, data->test, steps, &budget);
    fw_estimator_free(e);
    return st;
}

/* The proxy's run, where the recipe has one: in a folder of its own, so that it is resumed like any
 * other; a finished one only hands over what it has chosen. */
static fw_status run_proxy(const fw_recipe *r, const fw_run_opt *o, const fw_recipe_data *data,
                           int64_t steps, int64_t steps_per_epoch, watch *w, const char *config,
                           fw_filter **out)
{
    fw_estimator *e = NULL;
    char *folder = NULL;
    if (fwi_recipe_lines(r, FWI_KEY_PROXY_LAYER)->n == 0)
        return FW_OK;
    fw_status st = fw_filter_new(out, fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH),
                                 fwi_recipe_int(r, FWI_KEY_PROXY_KEEP), steps);
    if (st == FW_OK)
        st = plan_network(r, o, data, steps, steps_per_epoch, w, *out);
    if (st == FW_OK && o->out != NULL && (folder = fwi_path_join(o->out, "proxy")) == NULL)
        st = FW_ENOMEM;
    const phase ph = {.proxy = true, .folder = folder, .filter = *out};
    if (st == FW_OK)
        st = new_estimator(r, o, data, steps, steps_per_epoch, w, config, &ph, &e);
    w->e = e;
    if (st == FW_OK)
        st = fw_estimator_train(e, data->train, steps);
    if (st == FW_ESTOPPED)
        st = fwi_fail_in(st, "[network proxy]");
    w->e = NULL;
    if (e != NULL)
        w->seconds_before += e->seconds_before;
    fw_estimator_free(e);
    fwi_free(folder);
    return st;
}

/* After a stop on reaching the accuracy: the loop writes the model only when the last step is done.
 */
static fw_status save_model(fw_estimator *e, const char *out)
{
    if (out == NULL)
        return FW_OK;
    char *path = fwi_path_join(out, "model.safetensors");
    const fw_status st = path == NULL ? FW_ENOMEM : fw_estimator_save(e, path);
    fwi_free(path);
    return st;
}

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
    fw_status st = fwi_threads_check(o->threads); /* before data is read */
    if (st == FW_OK)
        st = fwi_run_precision(r, o, &precision, &tf32);
    return st == FW_OK ? check_folder(o) : st;
}

/* A run on its way. */
typedef struct job {
    const fw_recipe *r;
    const fw_run_opt *o;
    fw_recipe_data data;
    fw_filter *filter;
    fw_estimator *e;
    char *config;
    int64_t steps, steps_per_epoch;
    double began, read; /* when it began, and when the data was there */
} job;

static fw_status read_data(job *j)
{
    fw_status st = fw_recipe_print(j->r, &j->config);
    j->began = fwi_now();
    if (st == FW_OK)
        st = fw_recipe_data_open(j->r, j->o->data, j->o->seed, &j->data);
    if (st != FW_OK)
        return st;
    if (!fwi_dataset_labelled(j->data.test))
        return fwi_fail(FW_EARG,
                        "%s: has no labels: the accuracy of a run cannot be told without them%s",
                        fwi_dataset_name(j->data.test),
                        fwi_recipe_word(j->r, FWI_KEY_EVALUATE_TTA) == FW_TTA_NONE
                            ? ""
                            : ", with one view or with several (evaluate.tta)");
    j->read = fwi_now();
    j->steps_per_epoch = fw_dataset_batches(j->data.train);
    return fwi_recipe_steps(j->r, j->steps_per_epoch, &j->steps);
}

/* Both phases. FW_OK too where it stopped because it was good enough. */
static fw_status train(job *j, watch *w, fw_run_result *result)
{
    fw_run_figures *const run = &result->run;
    fw_status st =
        run_proxy(j->r, j->o, &j->data, j->steps, j->steps_per_epoch, w, j->config, &j->filter);
    if (st == FW_OK)
        st = new_estimator(j->r, j->o, &j->data, j->steps, j->steps_per_epoch, w, j->config,
                           &(phase){.folder = j->o->out, .filter = j->filter}, &j->e);
    if (st == FW_OK) {
        w->e = j->e;
        st = fw_estimator_train(j->e, j->data.train, j->steps);
        w->seconds_before += j->e->seconds_before;
        run->steps = fw_estimator_step(j->e);
    }
    run->epochs = (double)run->steps / (double)j->steps_per_epoch;
    run->images_per_second = w->images_per_second;
    run->t_train = w->seconds_before + (fwi_now() - j->read - w->eval_seconds);
    result->stopped_early = w->reached && run->steps < j->steps;
    if (st == FW_ESTOPPED && w->reached && !w->user_stopped)
        st = save_model(j->e, j->o->out);
    return st;
}

static fw_status evaluate(job *j, const watch *w, fw_run_result *result)
{
    fw_run_figures *const run = &result->run;
    fw_status st = FW_OK;
    if (w->eval_step == run->steps)
        result->test = w->eval; /* of these very weights */
    else if ((st = fw_estimator_evaluate(j->e, j->data.test, &result->test)) != FW_OK)
        return st;
    if (!isfinite(result->test.loss)) /* the last update spoilt the weights */
        return fwi_fail(FW_ENONFINITE,
                        "step %" PRId64 ": the loss of the final evaluation is not finite",
                        run->steps);
    run->accuracy = result->test.accuracy;
    run->accuracy_plain = result->test.accuracy_plain;
    run->loss = result->test.loss;
    if (j->o->out != NULL)
        snprintf(result->model, sizeof result->model, "%s/model.safetensors", j->o->out);
    return FW_OK;
}

static fw_status run_job(job *j, fw_run_result *result)
{
    fw_run_figures *const run = &result->run;
    watch w = {.opt = j->o, .eval_step = -1};
    fw_status st = read_data(j);
    if (st == FW_OK)
        st = train(j, &w, result);
    if (st == FW_OK)
        st = evaluate(j, &w, result);
    if (st == FW_ENONFINITE) {
        run->diverged = true;
        run->accuracy = run->accuracy_plain = run->loss = NAN;
        run->epochs = (double)j->steps / (double)j->steps_per_epoch;
    }
    if (st == FW_OK || st == FW_ENONFINITE) {
        run->t_total = run->t_train + result->test.seconds;
        run->t_dawn = run->t_total + (j->read - j->began);
    }
    fw_estimator_free(j->e);
    fw_filter_free(j->filter);
    fw_recipe_data_clear(&j->data);
    fw_text_free(j->config);
    return st;
}

fw_status fw_recipe_run(const fw_recipe *r, const fw_run_opt *opt, fw_run_result *result)
{
    static const fw_run_opt none = {0};
    if (r == NULL || result == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_run: NULL argument");
    *result = (fw_run_result){0};
    job j = {.r = r, .o = opt != NULL ? opt : &none};
    fw_status st = check_options(r, j.o);
    if (st != FW_OK)
        return st;
    char *const proxy = j.o->out == NULL ? NULL : fwi_path_join(j.o->out, "proxy");
    if (j.o->out != NULL && proxy == NULL)
        return FW_ENOMEM;
    const size_t there = proxy == NULL ? 0 : part_there(proxy);
    st = run_job(&j, result);
    if (st != FW_OK && proxy != NULL)
        remove_empty(proxy, there);
    fwi_free(proxy);
    result->run.peak_memory_bytes = fwi_rss_peak_bytes();
    return st;
}
