/* cmd_train.c: training runs: one seed or several, resumable, interruptible, as folders, as lines of
 * a results file or both. Comparing variants: cmd_ablate.c. */
#include "compare.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OUT_CAP = 4096, /* bytes of a results folder's path */ MOST_RUNS = 100000 };

typedef struct train_args {
    const char *data, *out, *log, *label, *device, *precision, *warm_start, *epochs, *batch;
    uint64_t seed;
    int64_t threads, runs, eval_every, checkpoint_every, keep, memory_limit;
    double until, target;
    bool resume, json, quiet, explain, pin, same_commit;
    arg_list set;
} train_args;

/* ---- a run, and what several come to ---- */

typedef struct run_row {
    uint64_t seed;
    fw_run_figures run;
    double since_start;       /* of the process; 0: not known, a row of the results file */
    bool stopped_early, held; /* held: the results file had it */
    char model[FW_MODEL_PATH_CAP];
} run_row;

static json_t *run_json(const run_row *r)
{
    const fw_run_figures *const f = &r->run;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:f, s:o, s:o, s:o, s:f, s:o, s:f, s:f, s:o, "
                     "s:b, s:b, s:b, s:o}",
                     "seed", seed_json(r->seed), "accuracy", number_or_null(f->accuracy),
                     "accuracy_plain", number_or_null(f->accuracy_plain), "forwards",
                     f->forwards > 0 ? json_integer(f->forwards) : json_null(), "loss",
                     number_or_null(f->loss), "steps", (json_int_t)f->steps, "epochs", f->epochs,
                     "t_train", known_or_null(f->t_train), "t_total", known_or_null(f->t_total),
                     "t_dawn", known_or_null(f->t_dawn), "t_build", f->t_build, "images_per_second",
                     known_or_null(f->images_per_second), "train_flops", f->train_flops,
                     "eval_flops", f->eval_flops, "since_start", known_or_null(r->since_start),
                     "stopped_early", r->stopped_early, "held", r->held, "diverged", f->diverged,
                     "model", text_json(r->model));
}

typedef struct summary {
    int64_t n, diverged; /* runs in these figures; others, which are in `above` alone */
    const run_row *last; /* of the n */
    fw_summary accuracy, plain, loss, t_train, t_total, t_dawn, images_per_second;
    double above; /* share of all runs that is at or above the target */
    double p;     /* of a mean above it; NaN where not all runs have an accuracy to be in it */
    double later; /* mean of t_train without the first run */
    double build; /* seconds before the clocks of these runs, all together */
    int64_t peak;
    bool stopped_early;
} summary;

/* A column of the rows that did not diverge: `at` is the offset of a double. known: leaves out the zeros, times
 * of runs that were resumed without their log. */
static void column(const run_row *rows, int64_t n, size_t at, bool known, double *x,
                   fw_summary *out)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        memcpy(&x[k], (const char *)&rows[i].run + at, sizeof *x);
        k += !rows[i].run.diverged && (!known || x[k] > 0);
    }
    *out = (fw_summary){.mean = NAN, .min = NAN, .max = NAN, .std = NAN, .se = NAN};
    if (k > 0)
        (void)fw_summary_of(x, k, out); /* of finite values */
}

/* x has room for n values. At least one run has not diverged. */
static void summarise(const run_row *rows, int64_t n, double target, double *x, summary *s)
{
    fw_summary later = {.mean = NAN};
    column(rows, n, offsetof(fw_run_figures, accuracy_plain), false, x, &s->plain);
    column(rows, n, offsetof(fw_run_figures, loss), false, x, &s->loss);
    column(rows, n, offsetof(fw_run_figures, t_total), true, x, &s->t_total);
    column(rows, n, offsetof(fw_run_figures, t_dawn), true, x, &s->t_dawn);
    column(rows, n, offsetof(fw_run_figures, images_per_second), true, x, &s->images_per_second);
    if (n > 1)
        column(rows + 1, n - 1, offsetof(fw_run_figures, t_train), true, x, &later);
    column(rows, n, offsetof(fw_run_figures, t_train), true, x, &s->t_train);
    s->later = later.mean;
    column(rows, n, offsetof(fw_run_figures, accuracy), false, x, &s->accuracy);
    s->n = s->accuracy.n;
    s->diverged = n - s->n;
    s->above = fw_share_at_least(x, s->n, target) * (double)s->n / (double)n;
    s->p = s->diverged > 0 ? NAN : fw_t_test_above(&s->accuracy, target);
    for (int64_t i = 0; i < n; i++) {
        if (!rows[i].held)
            s->build += rows[i].run.t_build;
        if (rows[i].run.diverged)
            continue;
        const int64_t peak = rows[i].run.peak_memory_bytes;
        s->peak = peak > s->peak ? peak : s->peak;
        s->stopped_early = rows[i].stopped_early;
        s->last = &rows[i];
    }
}

/* The keys of accuracy have had a 0 for the spread of a single run ever since. */
static double or_zero(double v)
{
    return isnan(v) ? 0 : v;
}

static int print_summary_json(const train_args *a, fw_recipe *recipe, const summary *s,
                              const run_row *rows, int64_t n)
{
    json_t *runs = json_array();
    for (int64_t i = 0; i < n; i++)
        (void)json_array_append_new(runs, run_json(&rows[i]));
    const run_row *const last = s->last;
    json_t *o = json_pack(
        "{s:s, s:f, s:f, s:f, s:I, s:o, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:s, s:b, s:I, "
        "s:o}",
        "recipe", fw_recipe_name(recipe), "accuracy", s->accuracy.mean, "loss", s->loss.mean,
        "epochs", last->run.epochs, "steps", (json_int_t)last->run.steps, "runs", runs,
        "accuracy_mean", s->accuracy.mean, "accuracy_std", or_zero(s->accuracy.std), "accuracy_se",
        or_zero(s->accuracy.se), "accuracy_plain", s->plain.mean, "t_train",
        number_or_null(s->t_train.mean), "t_total", number_or_null(s->t_total.mean), "t_dawn",
        number_or_null(s->t_dawn.mean), "images_per_second",
        number_or_null(s->images_per_second.mean), "tta", fw_recipe_get(recipe, "evaluate.tta"),
        "stopped_early", s->stopped_early, "peak_memory_bytes", (json_int_t)s->peak, "model",
        text_json(last->model));
    json_t *more = json_pack(
        "{s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:s, s:s}", "t_build", s->build,
        "accuracy_min", s->accuracy.min, "target", a->target, "target_share", s->above, "target_p",
        number_or_null(s->p), "t_train_std", number_or_null(s->t_train.std), "t_total_std",
        number_or_null(s->t_total.std), "t_dawn_std", number_or_null(s->t_dawn.std), "t_train_min",
        number_or_null(s->t_train.min), "t_train_without_first", number_or_null(s->later),
        "diverged", (json_int_t)s->diverged, "version", fw_version(), "commit", fw_commit());
    if (o != NULL && more != NULL)
        (void)json_object_update(o, more);
    json_decref(more);
    return print_json(o);
}

static int print_summary(const train_args *a, fw_recipe *recipe, const summary *s,
                         const run_row *rows, int64_t n)
{
    const char *const tta = fw_recipe_get(recipe, "evaluate.tta");
    if (a->json)
        return print_summary_json(a, recipe, s, rows, n);
    if (s->n > 1) {
        printf("accuracy %.2f %% (mean of %" PRId64 " runs, standard deviation %.2f), loss %.4f\n",
               100 * s->accuracy.mean, s->n, 100 * s->accuracy.std, s->loss.mean);
        printf("         standard error %.3f, least %.2f %%; at or above %.2f %%: %.0f of %" PRId64
               " runs",
               100 * s->accuracy.se, 100 * s->accuracy.min, 100 * a->target, s->above * (double)n,
               n);
        if (!isnan(s->p))
            printf("; p = %.3g that the true mean is no higher than that", s->p);
        putchar('\n');
    } else {
        printf("accuracy %.2f %%, loss %.4f\n", 100 * s->accuracy.mean, s->loss.mean);
    }
    if (s->diverged > 0)
        printf("         %" PRId64 " of %" PRId64
               " runs diverged: below the target, and in none of the other figures\n",
               s->diverged, n);
    if (s->stopped_early)
        printf("         stopped after step %" PRId64
               ", epoch %.4g: --until-accuracy was reached\n",
               s->last->run.steps, s->last->run.epochs);
    if (strcmp(tta, "none") != 0)
        printf("         %.2f %% without the other views of %s\n", 100 * s->plain.mean, tta);
    if (strcmp(tta, "none") != 0 && s->last->run.forwards > 0)
        printf("         %" PRId64 " images went through the network in the last evaluation\n",
               s->last->run.forwards);
    if (s->t_train.n < s->n)
        printf("time     of %" PRId64 " of %" PRId64 " runs not known: resumed without their log\n",
               s->n - s->t_train.n, s->n);
    if (s->t_train.n > 0)
        printf("time     %.1f s to train, %.1f s with the final evaluation, %.0f images/s\n",
               s->t_train.mean, s->t_total.mean, s->images_per_second.mean);
    if (s->build >= 0.05)
        printf("         %.1f s before that, once: data, memory, plans\n", s->build);
    if (s->t_train.n > 1)
        printf(
            "         %.1f s with reading the data; standard deviations of these %.2f, %.2f, %.2f; "
            "to train at least %.1f, without the first run %.1f s\n",
            s->t_dawn.mean, s->t_train.std, s->t_total.std, s->t_dawn.std, s->t_train.min,
            s->later);
    const fw_run_figures *const f = &s->last->run;
    if (f->train_flops > 0 && f->t_train > 0)
        printf("compute  %.4g TFLOP to train, %.0f GFLOP/s; %.3g TFLOP to evaluate\n",
               f->train_flops * 1e-12, f->train_flops * 1e-9 / f->t_train, f->eval_flops * 1e-12);
    printf("memory   %.0f MiB at most\n", (double)s->peak / 1048576);
    if (s->last->model[0] != 0)
        printf("model    %s\n", s->last->model);
    return finish_output();
}

/* ---- the runs ---- */

/* Where a run's results go when nobody says: runs/RECIPE-DATE-TIME, or with -2, -3 ... behind it
 * where another run has that name. Made here: of runs that begin in the same second, mkdir gives the
 * name to one. Where no folder can be made at all, making it again says why. Returns whether the folder
 * runs was made too. */
static bool default_out(char *buf, size_t cap, const char *recipe)
{
    char when[32] = "";
    const time_t now = time(NULL);
    struct tm t;
    if (localtime_r(&now, &t) != NULL)
        (void)strftime(when, sizeof when, "%Y%m%d-%H%M%S", &t);
    const bool made = mkdir("runs", 0777) == 0;
    const int n = snprintf(buf, cap, "runs/%s-%s", recipe, when);
    for (char *at = buf + strlen("runs/"); *at != 0; at++) /* a name is no path */
        if (*at == '/' || (*at == '.' && at[-1] == '/'))
            *at = '-';
    for (int i = 2; n > 0 && (size_t)n < cap && mkdir(buf, 0777) != 0 && errno == EEXIST; i++)
        snprintf(buf + n, cap - (size_t)n, "-%d", i);
    return made;
}

/* Of several seeds the first ones were begun when the command was stopped: those go on, and the
 * others begin. */
static bool begun(const char *run_out)
{
    static const char *const files[] = {"config.json", "proxy/config.json"}; /* of either phase */
    char path[OUT_CAP + 128];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", run_out, files[i]);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* Says what a run is where it begins, when nothing of it was refused. */
typedef struct teller {
    const train_args *a;
    const char *recipe, *out; /* out: where its results go */
    uint64_t seed;
    bool resume, told;
} teller;

static bool on_event(void *user, const fw_event *ev)
{
    teller *const t = user;
    if (ev->kind == FW_EVENT_BEGIN && !t->told)
        fprintf(stderr, "fenwicks %s, recipe %s, seed %" PRIu64 ", results in %s\n", fw_version(),
                t->recipe, t->seed, t->out);
    if (ev->kind == FW_EVENT_BEGIN && ev->step > 0 && ev->step < ev->total_steps)
        fprintf(stderr, "goes on from step %" PRId64 " of %" PRId64 "\n", ev->step,
                ev->total_steps);
    else if (ev->kind == FW_EVENT_BEGIN && t->resume && !t->told && ev->step == 0)
        fprintf(stderr, "no checkpoint in %s: it begins at step 0\n", t->out);
    t->told = true;
    return t->a->quiet || fw_progress_stderr(NULL, ev);
}

/* One seed: run, or taken from the results file. One that diverges is a row like others: FW_OK. */
static fw_status one_run(const train_args *a, fw_session *session, const fw_one_run *run,
                         fw_trials *log, const char *changes, origins *from, run_row *row)
{
    fw_run_result result = {0};
    const fw_trial *trial = NULL;
    const fw_trial_opt how = {
        .variant = a->label, .changes = changes, .same_commit = a->same_commit};
    fw_status st = log == NULL
                       ? fw_session_run(session, run, &result)
                       : fw_session_trial(session, run, log, &how, &trial, &result, &row->held);
    if (st == FW_ENONFINITE && result.run.diverged)
        st = FW_OK;
    if (st != FW_OK)
        return st;
    row->run = trial != NULL ? trial->run : result.run;
    if (trial != NULL)
        origins_add(from, trial, row->held);
    row->stopped_early = result.stopped_early;
    row->since_start = result.since_start;
    snprintf(row->model, sizeof row->model, "%s", result.model);
    if (row->run.diverged && a->runs == 1)
        return FW_OK; /* said in the end, as what the command came to */
    clear_line();
    if (row->run.diverged)
        fprintf(stderr, "seed %" PRIu64 ": diverged: %s\n", row->seed,
                row->held ? "done before" : fw_last_error());
    else if (row->held || a->runs > 1)
        fprintf(stderr, "seed %" PRIu64 ": accuracy %.2f %%%s\n", row->seed,
                100 * row->run.accuracy, row->held ? ", done before" : "");
    return FW_OK;
}

/* The folder of one seed of the command; out: that of all. */
static void seed_folder(const train_args *a, const char *out, uint64_t seed, char *text, size_t cap)
{
    snprintf(text, cap, a->runs == 1 ? "%s" : "%s/seed-%" PRIu64, out, seed);
}

/* Whether a seed's folder holds a run already: its name in `text`. The library says so too, but of a
 * later seed only after hours of work on the first ones. */
static bool folder_taken(const train_args *a, const char *out, char *text, size_t cap)
{
    if (a->runs > 1) { /* a run beside whose files those of other seeds would be */
        snprintf(text, cap, "%s", out);
        if (begun(text))
            return true;
    }
    for (int64_t i = 0; i < a->runs; i++) {
        seed_folder(a, out, a->seed + (uint64_t)i, text, cap);
        if (begun(text))
            return true;
    }
    return false;
}

/* Every seed, into rows [runs], in one session. out: the folder of all of them; NULL: there are none. */
static fw_status run_seeds(const command *self, const train_args *a, const fw_recipe *recipe,
                           const fw_run_opt *opt, fw_trials *log, const char *out, run_row *rows)
{
    char run_out[OUT_CAP + 64];
    fw_session *session = NULL;
    origins from = {0};
    char *const changes = changes_text(a->epochs, a->batch, &a->set, NULL);
    if (changes == NULL)
        return FW_ENOMEM;
    fw_status st = fw_session_open(&session, recipe, opt);
    for (int64_t i = 0; i < a->runs && st == FW_OK; i++) {
        fw_one_run run = {.seed = a->seed + (uint64_t)i, .out = out != NULL ? run_out : NULL};
        if (out != NULL)
            seed_folder(a, out, run.seed, run_out, sizeof run_out);
        run.resume = a->resume && out != NULL && ((i == 0 && log == NULL) || begun(run_out));
        rows[i].seed = run.seed;
        *(teller *)opt->progress_user = (teller){.a = a,
                                                 .recipe = fw_recipe_name(recipe),
                                                 .out = out != NULL ? run_out : a->log,
                                                 .seed = run.seed,
                                                 .resume = run.resume};
        st = one_run(a, session, &run, log, changes, &from, &rows[i]);
        if (st == FW_OK && rows[i].held && out != NULL && !begun(run_out))
            fprintf(stderr,
                    "fenwicks train: %s is not made: %s has this run already; without --log it is "
                    "run\n",
                    run_out, a->log);
    }
    fw_session_close(session);
    free(changes);
    if (st == FW_OK)
        origins_warn(&from, self);
    return st;
}

/* What the command says in the end where all has been run. */
static int conclude(const command *self, const train_args *a, fw_recipe *recipe,
                    const run_row *rows)
{
    const int64_t n = a->runs;
    summary s = {0};
    int64_t diverged = 0;
    char why[80];
    for (int64_t i = 0; i < n; i++)
        diverged += rows[i].run.diverged;
    if (diverged >= n) {
        if (n > 1)
            snprintf(why, sizeof why, "all %" PRId64 " runs diverged", n);
        else
            snprintf(why, sizeof why, "seed %" PRIu64 " diverged when it was run", rows[0].seed);
        return fail_with(self->name, FW_ENONFINITE, n == 1 && !rows[0].held ? fw_last_error() : why,
                         a->json);
    }
    double *const scratch = calloc((size_t)n, sizeof *scratch);
    if (scratch == NULL)
        return fail_with(self->name, FW_ENOMEM, "no memory for so many runs", a->json);
    summarise(rows, n, a->target, scratch, &s);
    free(scratch);
    return print_summary(a, recipe, &s, rows, n);
}

static int train_runs(const command *self, const train_args *a, fw_recipe *recipe, fw_run_opt *opt)
{
    char out[OUT_CAP] = "", taken[OUT_CAP + 64], why[OUT_CAP + 160];
    const bool folders = a->out != NULL || a->log == NULL;
    bool made_runs = false;
    fw_trials *log = NULL;
    fw_status st = FW_OK;
    int code;
    run_row *rows = calloc((size_t)a->runs, sizeof *rows);
    if (rows == NULL)
        return fail_with(self->name, FW_ENOMEM, "no memory for so many runs", a->json);
    if (a->log != NULL)
        st = fw_trials_open(&log, a->log, false);
    if (a->out != NULL)
        snprintf(out, sizeof out, "%s", a->out);
    else if (st == FW_OK && folders)
        made_runs = default_out(out, sizeof out, fw_recipe_name(recipe));
    if (st == FW_OK && a->runs > 1 && a->out != NULL && a->log == NULL && !a->resume &&
        folder_taken(a, out, taken, sizeof taken)) {
        snprintf(why, sizeof why,
                 "%s: holds a run already: go on with it (--resume), or name another folder",
                 taken);
        code = fail_with(self->name, FW_EEXISTS, why, a->json);
        goto done;
    }
    if (st == FW_OK)
        st = run_seeds(self, a, recipe, opt, log, folders ? out : NULL, rows);
    if (st == FW_OK) {
        code = conclude(self, a, recipe, rows);
        goto done;
    }
    if (a->out == NULL && out[0] != 0 && rmdir(out) == 0 && made_runs)
        (void)rmdir("runs"); /* only if no run came to write anything */
    code = fail(self->name, st, a->json);
    if (st == FW_ESTOPPED && folders)
        fprintf(stderr, "to go on: the same command with --out %s --resume\n", out);
    else if (st == FW_ESTOPPED)
        fprintf(stderr, "to go on: the same command; runs that are done are in %s\n", a->log);
done:
    fw_trials_close(log);
    free(rows);
    return code;
}

/* ---- arguments ---- */

/* What is wrong with them; EXIT_DONE: nothing. n: those without dashes. */
static int check_args(const command *self, const train_args *a, int n)
{
    if (n != 1)
        return usage_error(self, "needs a recipe's name or file");
    if (a->out != NULL && strlen(a->out) >= OUT_CAP)
        return usage_error(self, "--out: a path of %zu bytes, at most %d are possible",
                           strlen(a->out), OUT_CAP - 1);
    if (a->runs > MOST_RUNS)
        return usage_error(self, "--runs: at most %d", (int)MOST_RUNS);
    const int seeds = check_seeds(self, a->seed, a->runs, a->log != NULL);
    if (seeds != EXIT_DONE)
        return seeds;
    if (!(a->target > 0 && a->target <= 1))
        return usage_error(self, "--target: %g is no fraction above 0", a->target);
    if (a->log != NULL && (a->until != 0 || a->warm_start != NULL))
        return usage_error(self, "%s does not go with --log: such a run is no repetition of others",
                           a->until != 0 ? "--until-accuracy" : "--warm-start");
    if ((a->same_commit || a->label != NULL) && a->log == NULL)
        return usage_error(self, "%s needs --log", a->same_commit ? "--same-commit" : "--label");
    if (a->log != NULL && a->out == NULL && (a->keep != 0 || a->checkpoint_every != 0))
        return usage_error(self, "%s needs --out: without it --log keeps no checkpoints",
                           a->keep != 0 ? "--keep" : "--checkpoint-every");
    if (a->until != 0 && a->runs > 1)
        return usage_error(self, "--until-accuracy does not go with --runs: runs that stop when "
                                 "they are good do not make a mean");
    if (a->until < 0 || a->until > 1)
        return usage_error(self, "--until-accuracy: %g is no fraction", a->until);
    if (a->resume && a->out == NULL)
        return usage_error(self, "--resume needs --out");
    return check_precision(self, a->precision);
}

static int train(const command *self, const train_args *a, const char *name)
{
    char path[MODEL_PATH_CAP] = "", why[WHY_CAP];
    const char *start = a->warm_start == NULL ? NULL : model_path(a->warm_start, path, why);
    if (start == NULL && a->warm_start != NULL && !a->resume)
        return fail_with(self->name, FW_ENOTFOUND, why, a->json);
    if (start == NULL && a->warm_start != NULL)
        start = path; /* missed where it is read, which a run that goes on does not */
    fw_recipe *recipe = NULL;
    teller told = {.a = a};
    fw_status st = recipe_open_with(&recipe, name, a->epochs, a->batch, &a->set);
    if (st == FW_OK)
        st = fw_recipe_check(recipe, NULL);
    if (st != FW_OK) {
        fw_recipe_free(recipe);
        return fail(self->name, st, a->json);
    }
    fw_run_opt opt = {.data = a->data,
                      .device = a->device,
                      .precision = a->precision,
                      .threads = (int)a->threads,
                      .pin = a->pin,
                      .resume = a->resume,
                      .eval_every = a->eval_every,
                      .checkpoint_every = a->checkpoint_every,
                      .keep = a->keep,
                      .until_accuracy = a->until,
                      .memory_limit = a->memory_limit,
                      .warm_start = start,
                      .progress = on_event,
                      .progress_user = &told,
                      .explain = a->explain ? print_explanation : NULL,
                      .stop = &stop_asked};
    catch_interrupts();
    const int result = train_runs(self, a, recipe, &opt);
    fw_recipe_free(recipe);
    return result;
}

static int run_train(const command *self, int argc, char **argv)
{
    const char *pos[1];
    train_args a = {.runs = 1, .target = 0.94};
    int n;
    const arg_option options[] = {
        {"--data", "PATH",
         "records (X for X-train.tfrec and X-test.tfrec, or their folder), or an importable data "
         "set",
         ARG_TEXT, &a.data},
        {"-o,--out", "FOLDER", "where results go (default runs/RECIPE-DATE-TIME)", ARG_TEXT,
         &a.out},
        {"--epochs", "N",
         "length of the run; the schedule stretches with it (default: the recipe's)", ARG_TEXT,
         &a.epochs},
        {"--batch", "N", "images per step (default: the recipe's)", ARG_TEXT, &a.batch},
        {"--seed", "N", "of weights, order and augmentation (default 0)", ARG_SEED, &a.seed},
        {"--runs", "N", "train N seeds, from --seed on (default 1)", ARG_COUNT, &a.runs},
        {"--target", "A",
         "of several runs: count those at or above it, test the mean (a fraction; default 0.94)",
         ARG_REAL, &a.target},
        {"--log", "FILE",
         "a line of JSON per run; what it holds is not run again; no folders without --out",
         ARG_TEXT, &a.log},
        {"--label", "NAME",
         "of --log: what ablate --compare calls these runs (default: their changes)", ARG_TEXT,
         &a.label},
        {"--same-commit", NULL, "of --log: only lines of this very commit count as done", ARG_FLAG,
         &a.same_commit},
        {"--device", "NAME", DEVICES, ARG_TEXT, &a.device},
        {"--precision", "TYPE", PRECISIONS " (default: the recipe's)", ARG_TEXT, &a.precision},
        {"--threads", "N", "at most, and by default, as many as this process may use", ARG_THREADS,
         &a.threads},
        {"--pin", NULL, "bind each thread to a CPU of its own", ARG_FLAG, &a.pin},
        {"--set", "KEY=VALUE", "change a key of the recipe (may be repeated)", ARG_LIST, &a.set},
        {"--eval-every", "N",
         "epochs between evaluations (default: only at the end; --until-accuracy: each)", ARG_COUNT,
         &a.eval_every},
        {"--until-accuracy", "A", "stop when an evaluation reaches it, a fraction (0.94)", ARG_REAL,
         &a.until},
        {"--checkpoint-every", "N", "steps between checkpoints (default: only at the end)",
         ARG_COUNT, &a.checkpoint_every},
        {"--keep", "N", "checkpoints kept (default 2)", ARG_COUNT, &a.keep},
        {"--resume", NULL, "go on with the run in --out", ARG_FLAG, &a.resume},
        {"--warm-start", "MODEL", "begin with this model's weights where they fit", ARG_TEXT,
         &a.warm_start},
        {"--memory-limit", "BYTES", "refuse a larger plan (512M, 2G; default none)", ARG_SIZE,
         &a.memory_limit},
        {"--explain", NULL, "say what was chosen: kernels, layout, memory; then train", ARG_FLAG,
         &a.explain},
        {"--quiet", NULL, "no progress", ARG_FLAG, &a.quiet},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &a.json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, 1, &n);
    if (code >= 0)
        return code;
    const int wrong = check_args(self, &a, n);
    return wrong != EXIT_DONE ? wrong : train(self, &a, pos[0]);
}

const command command_train = {"train", "train RECIPE|FILE [options]",
                               "train a recipe and evaluate it", run_train};
