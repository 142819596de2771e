/* cmd_train.c: training runs: one seed or several, resumable, interruptible. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OUT_CAP = 4096 }; /* bytes of a results folder's path */

typedef struct train_args {
    const char *data, *out, *device, *precision, *warm_start, *epochs, *batch;
    uint64_t seed;
    int64_t threads, runs, eval_every, checkpoint_every, keep, memory_limit;
    double until;
    bool resume, json, quiet, explain, pin;
    arg_list set;
} train_args;

static volatile sig_atomic_t stop_asked;

static void on_interrupt(int number)
{
    stop_asked = 1;
    (void)signal(number, SIG_DFL); /* a second one ends the program at once */
}

bool precision_read(const char *text, fw_dtype *out)
{
    static const fw_dtype known[] = {FW_F32, FW_F64, FW_BF16, FW_F16};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, fw_dtype_name(known[i])) == 0) {
            *out = known[i];
            return true;
        }
    return false;
}

fw_status recipe_set_all(fw_recipe *r, const arg_list *set)
{
    fw_status st = FW_OK;
    for (int i = 0; i < set->n && st == FW_OK; i++) {
        char key[128];
        const char *equals = strchr(set->items[i], '='); /* args_read saw to it */
        snprintf(key, sizeof key, "%.*s", (int)(equals - set->items[i]), set->items[i]);
        st = fw_recipe_set(r, key, equals + 1);
    }
    return st;
}

static json_t *run_json(uint64_t seed, const fw_run_result *r)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:b, s:s}", "seed",
                     (json_int_t)seed, "accuracy", r->test.accuracy, "accuracy_plain",
                     r->test.accuracy_plain, "loss", r->test.loss, "steps", (json_int_t)r->steps,
                     "epochs", r->epochs, "t_train", r->t_train, "t_total", r->t_total, "t_dawn",
                     r->t_dawn, "images_per_second", r->images_per_second, "stopped_early",
                     r->stopped_early, "model", r->model);
}

typedef struct summary {
    int64_t n;
    double mean, m2; /* of accuracies: Welford */
    double plain;    /* accuracy without other views */
    double loss, t_train, t_total, t_dawn, images_per_second;
    int64_t peak;
} summary;

static void add_run(summary *s, const fw_run_result *r)
{
    s->n++;
    const double d = r->test.accuracy - s->mean, k = 1.0 / (double)s->n;
    s->mean += d * k;
    s->m2 += d * (r->test.accuracy - s->mean);
    s->plain += (r->test.accuracy_plain - s->plain) * k;
    s->loss += (r->test.loss - s->loss) * k;
    s->t_train += (r->t_train - s->t_train) * k;
    s->t_total += (r->t_total - s->t_total) * k;
    s->t_dawn += (r->t_dawn - s->t_dawn) * k;
    s->images_per_second += (r->images_per_second - s->images_per_second) * k;
    if (r->peak_memory_bytes > s->peak)
        s->peak = r->peak_memory_bytes;
}

static int print_summary(const train_args *a, fw_recipe *recipe, const summary *s,
                         const fw_run_result *last, json_t *runs)
{
    const char *const tta = fw_recipe_get(recipe, "evaluate.tta");
    const double std = s->n > 1 ? sqrt(s->m2 / (double)(s->n - 1)) : 0,
                 se = std / sqrt((double)s->n);
    if (a->json)
        return print_json(json_pack(
            "{s:s, s:f, s:f, s:f, s:I, s:O, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:b, s:I, "
            "s:s}",
            "recipe", fw_recipe_name(recipe), "accuracy", s->mean, "loss", s->loss, "epochs",
            last->epochs, "steps", (json_int_t)last->steps, "runs", runs, "accuracy_mean", s->mean,
            "accuracy_std", std, "accuracy_se", se, "accuracy_plain", s->plain, "t_train",
            s->t_train, "t_total", s->t_total, "t_dawn", s->t_dawn, "images_per_second",
            s->images_per_second, "tta", tta, "stopped_early", last->stopped_early,
            "peak_memory_bytes", (json_int_t)s->peak, "model", last->model));
    if (s->n > 1)
        printf("accuracy %.2f %% (mean of %" PRId64 " runs, standard deviation %.2f), loss %.4f\n",
               100 * s->mean, s->n, 100 * std, s->loss);
    else
        printf("accuracy %.2f %%, loss %.4f\n", 100 * s->mean, s->loss);
    if (strcmp(tta, "none") != 0)
        printf("         %.2f %% without the other views of %s\n", 100 * s->plain, tta);
    printf("time     %.1f s to train, %.1f s with the final evaluation, %.0f images/s\n",
           s->t_train, s->t_total, s->images_per_second);
    printf("memory   %.0f MiB at most\n", (double)s->peak / 1048576);
    if (last->model[0] != 0)
        printf("model    %s\n", last->model);
    return finish_output();
}

/* Where a run's results go when nobody says: runs/RECIPE-DATE-TIME, or with -2, -3 ... behind it
 * where another run has that name. Made here: of runs that begin in the same second, mkdir gives the
 * name to one. Where no folder can be made at all, making it again says why. */
static void default_out(char *buf, size_t cap, const char *recipe)
{
    char when[32] = "";
    const time_t now = time(NULL);
    struct tm t;
    if (localtime_r(&now, &t) != NULL)
        (void)strftime(when, sizeof when, "%Y%m%d-%H%M%S", &t);
    (void)mkdir("runs", 0777);
    const int n = snprintf(buf, cap, "runs/%s-%s", recipe, when);
    for (int i = 2; n > 0 && (size_t)n < cap && mkdir(buf, 0777) != 0 && errno == EEXIST; i++)
        snprintf(buf + n, cap - (size_t)n, "-%d", i);
}

/* Of several seeds the first ones were begun when the command was stopped: those go on, and the
 * others begin. */
static bool begun(const char *run_out)
{
    char path[OUT_CAP + 128];
    snprintf(path, sizeof path, "%s/config.json", run_out);
    return access(path, F_OK) == 0;
}

static int train_runs(const command *self, const train_args *a, fw_recipe *recipe, fw_run_opt *opt)
{
    char out[OUT_CAP], run_out[OUT_CAP + 64];
    if (a->out != NULL)
        snprintf(out, sizeof out, "%s", a->out);
    else
        default_out(out, sizeof out, fw_recipe_name(recipe));
    summary s = {0};
    fw_run_result result = {0};
    json_t *runs = json_array();
    const int64_t n = a->runs;
    for (int64_t i = 0; i < n; i++) {
        snprintf(run_out, sizeof run_out, n == 1 ? "%s" : "%s/seed-%" PRIu64, out,
                 a->seed + (uint64_t)i);
        opt->seed = a->seed + (uint64_t)i;
        opt->out = run_out;
        opt->resume = a->resume && (i == 0 || begun(run_out));
        fprintf(stderr, "fenwicks %s, recipe %s, seed %" PRIu64 ", results in %s\n", fw_version(),
                fw_recipe_name(recipe), opt->seed, run_out);
        const fw_status st = fw_recipe_run(recipe, opt, &result);
        if (st != FW_OK) {
            json_decref(runs);
            if (a->out == NULL)
                (void)rmdir(out); /* only if the run did not come to write anything */
            const int code = fail(self->name, st, a->json);
            if (st == FW_ESTOPPED)
                fprintf(stderr, "to go on: the same command with --out %s --resume\n", out);
            return code;
        }
        add_run(&s, &result);
        (void)json_array_append_new(runs, run_json(opt->seed, &result));
        if (n > 1)
            fprintf(stderr, "seed %" PRIu64 ": accuracy %.2f %%\n", opt->seed,
                    100 * result.test.accuracy);
    }
    const int code = print_summary(a, recipe, &s, &result, runs);
    json_decref(runs);
    return code;
}

static int run_train(const command *self, int argc, char **argv)
{
    const char *pos[1];
    train_args a = {.runs = 1};
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
        {"--device", "NAME", "cpu (default cpu)", ARG_TEXT, &a.device},
        {"--precision", "TYPE", "f32, f64 or bf16 (default f32)", ARG_TEXT, &a.precision},
        {"--threads", "N", "at most, and by default, as many as this process may use", ARG_THREADS,
         &a.threads},
        {"--pin", NULL, "bind each thread to a CPU of its own", ARG_FLAG, &a.pin},
        {"--set", "KEY=VALUE", "change a key of the recipe (may be repeated)", ARG_LIST, &a.set},
        {"--eval-every", "N", "epochs between evaluations (default: only at the end)", ARG_COUNT,
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
    if (n != 1)
        return usage_error(self, "needs a recipe's name or file");
    if (a.runs < 1)
        return usage_error(self, "--runs: at least 1");
    if (a.out != NULL && strlen(a.out) >= OUT_CAP)
        return usage_error(self, "--out: a path of %zu bytes, at most %d are possible",
                           strlen(a.out), OUT_CAP - 1);
    if (a.until != 0 && a.runs > 1)
        return usage_error(self, "--until-accuracy does not go with --runs: runs that stop when "
                                 "they are good do not make a mean");
    if (a.until < 0 || a.until > 1)
        return usage_error(self, "--until-accuracy: %g is no fraction", a.until);
    if (a.resume && a.out == NULL)
        return usage_error(self, "--resume needs --out");
    fw_dtype precision = FW_F32;
    if (a.precision != NULL && !precision_read(a.precision, &precision))
        return usage_error(self, "--precision: \"%s\" is none of f32, f64, bf16, f16", a.precision);

    fw_recipe *recipe = NULL;
    fw_status st = fw_recipe_open(&recipe, pos[0]);
    if (st == FW_OK && a.epochs != NULL)
        st = fw_recipe_set(recipe, "train.epochs", a.epochs);
    if (st == FW_OK && a.batch != NULL)
        st = fw_recipe_set(recipe, "train.batch", a.batch);
    if (st == FW_OK)
        st = recipe_set_all(recipe, &a.set);
    if (st == FW_OK)
        st = fw_recipe_check(recipe, NULL);
    if (st != FW_OK) {
        fw_recipe_free(recipe);
        return fail(self->name, st, a.json);
    }
    fw_run_opt opt = {.data = a.data,
                      .device = a.device,
                      .precision = precision,
                      .threads = (int)a.threads,
                      .pin = a.pin,
                      .resume = a.resume,
                      .eval_every = a.eval_every,
                      .checkpoint_every = a.checkpoint_every,
                      .keep = a.keep,
                      .until_accuracy = a.until,
                      .memory_limit = a.memory_limit,
                      .warm_start = a.warm_start,
                      .progress = a.quiet ? NULL : fw_progress_stderr,
                      .explain = a.explain ? print_explanation : NULL,
                      .stop = &stop_asked};
    (void)signal(SIGINT, on_interrupt);
    (void)signal(SIGTERM, on_interrupt);
    const int result = train_runs(self, &a, recipe, &opt);
    fw_recipe_free(recipe);
    return result;
}

const command command_train = {"train", "train RECIPE|FILE [options]",
                               "train a recipe and evaluate it", run_train};
