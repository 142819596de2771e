/* cmd_bench.c: measurements of this machine: a training step, convolutions alone, the input
 * pipeline, the ceilings. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench_args {
    const char *data, *device;
    int64_t threads, runs, memory_limit;
    bool explain, pin;
    arg_list set, with;
    const char *batch, *precision_word;
    const char *shape, *pass, *algo, *layout, *results, *record, *op;
    fw_dtype precision;
    bool tf32;
    int64_t images; /* --batch */
    bool json, accept_slow, in_place;
} bench_args;

static int bench_peak(const command *self, const bench_args *a)
{
    fw_peak p;
    fw_status st = fw_bench_peak((int)a->threads, &p);
    if (st == FW_OK && a->record != NULL)
        st = fw_peak_record(a->record, &p);
    if (st != FW_OK)
        return fail(self->name, st, a->json);
    if (a->json)
        return print_json(json_pack(
            "{s:f, s:f, s:f, s:f, s:f, s:f, s:i}", "gflops_f32", p.gflops_f32, "gflops_bf16",
            p.gflops_bf16, "gbytes_per_second", p.gbytes_read, "gbytes_read", p.gbytes_read,
            "gbytes_copy", p.gbytes_copy, "gbytes_stream", p.gbytes_stream, "threads", p.threads));
    printf("fused multiply-adds, f32   %8.1f GFLOP/s on %d threads\n", p.gflops_f32, p.threads);
    if (p.gflops_bf16 > 0)
        printf("products of bf16 pairs     %8.1f GFLOP/s\n", p.gflops_bf16);
    printf("memory, read               %8.1f GB/s\nmemory, copied             %8.1f GB/s\n",
           p.gbytes_read, p.gbytes_copy);
    if (p.gbytes_stream > 0)
        printf("memory, copied past caches %8.1f GB/s\n", p.gbytes_stream);
    return finish_output();
}

/* ---- conv ---- */

typedef struct conv_output {
    const bench_args *a;
    int64_t rows, slow, wrong;
    bool unrecorded; /* no best peak to hold the machine's against */
} conv_output;

static fw_status conv_row(void *arg, const fw_bench_conv_row *r)
{
    conv_output *o = arg;
    const fw_conv_shape *s = r->shape;
    const bool refused = r->slow && !o->a->accept_slow;
    char name[40], geometry[64];
    o->slow += refused;
    o->wrong += r->wrong;
    o->unrecorded = o->unrecorded || r->peak_best <= 0;
    if (o->a->json) {
        (void)print_json(json_pack(
            "{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, "
            "s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:o, s:b, s:I, s:I}",
            "net", s->net, "name", s->name, "pass", r->pass, "algo", r->algo, "chosen",
            (int)r->chosen, "kernel", r->kernel, "layout", r->layout, "n", (json_int_t)s->n, "h",
            (json_int_t)s->h, "w", (json_int_t)s->w, "c", (json_int_t)s->c, "oc", (json_int_t)s->oc,
            "k", (json_int_t)s->k, "stride", (json_int_t)s->stride, "pad", (json_int_t)s->pad,
            "seconds", r->seconds, "seconds_min", r->seconds_min, "seconds_max", r->seconds_max,
            "gflops", r->gflops, "executed", r->executed, "peak_before", r->peak_before,
            "peak_after", r->peak_after, "peak_best", r->peak_best, "share_of_peak",
            r->share_of_peak, "refused", (int)refused, "error",
            isfinite(r->error) ? json_real(r->error) : json_null(), "wrong", (int)r->wrong,
            "scratch_bytes", (json_int_t)r->scratch_bytes, "runs", (json_int_t)r->runs));
        return FW_OK;
    }
    if (o->rows++ == 0)
        printf("%-22s %-28s %-4s %-9s  %9s %8s %7s %7s %7s %9s  %s\n", "layer",
               "n hxw c > oc, k stride", "pass", "algorithm", "ms", "GFLOP/s", "taps", "of peak",
               "peak", "error", "kernel");
    snprintf(name, sizeof name, "%s/%s", s->net, s->name);
    snprintf(geometry, sizeof geometry,
             "%" PRId64 " %" PRId64 "x%" PRId64 " %" PRId64 " > %" PRId64 ", %" PRId64 " %" PRId64,
             s->n, s->h, s->w, s->c, s->oc, s->k, s->stride);
    printf("%-22s %-28s %-4s %-9s%c %9.3f %8.1f %6.1f%% ", name, geometry, r->pass, r->algo,
           r->chosen ? '*' : ' ', 1e3 * r->seconds, r->gflops, 100 * r->executed);
    const double peak = r->peak_before > r->peak_after ? r->peak_before : r->peak_after;
    if (r->wrong)
        printf("%7s ", "WRONG");
    else
        printf("%6.1f%%%c", 100 * r->share_of_peak, refused ? '!' : ' ');
    printf("%7.1f %9.2e  %s\n", peak, r->error, r->kernel);
    (void)fflush(stdout);
    return FW_OK;
}

static int bench_conv(const command *self, const bench_args *a)
{
    conv_output o = {.a = a};
    const fw_bench_conv_opt opt = {.shape = a->shape,
                                   .pass = a->pass,
                                   .algo = a->algo,
                                   .layout = a->layout,
                                   .precision = a->precision,
                                   .threads = (int)a->threads,
                                   .runs = a->runs,
                                   .batch = a->images,
                                   .results = a->results};
    const fw_status st = fw_bench_conv(&opt, conv_row, &o);
    if (st != FW_OK)
        return fail(self->name, st, a->json);
    if (o.slow > 0)
        fprintf(stderr,
                "fenwicks bench: %" PRId64
                " %s refused (marked !), so this has failed: the machine's own "
                "peak was under 95 %% of the best recorded, so something else uses it; measure "
                "again, or --accept-slow\n",
                o.slow, o.slow == 1 ? "row was" : "rows were");
    if (o.unrecorded && !a->accept_slow)
        fprintf(stderr,
                "fenwicks bench: no peak is recorded for this processor, instruction set and "
                "number of threads, so no share was refused; bench peak --record DIR, then "
                "--results DIR\n");
    const int code = finish_output();
    if (o.wrong > 0)
        fprintf(stderr, "fenwicks bench: %" PRId64 " results are wrong\n", o.wrong);
    return o.wrong > 0 || o.slow > 0 ? EXIT_FAILED : code;
}

/* ---- ops ---- */

static fw_status ops_row(void *arg, const fw_bench_ops_row *r)
{
    conv_output *o = arg;
    const fw_conv_shape *s = r->shape;
    if (o->a->json) {
        (void)print_json(json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:I, s:f, s:f, s:f, s:f, "
            "s:f, s:f, s:f, s:f, s:I}",
            "op", r->op, "kernel", r->kernel, "layout", r->layout, "net", s->net, "name", s->name,
            "n", (json_int_t)s->n, "h", (json_int_t)s->oh, "w", (json_int_t)s->ow, "c",
            (json_int_t)s->oc, "in_place", (int)r->in_place, "bytes", (json_int_t)r->bytes,
            "seconds", r->seconds, "seconds_min", r->seconds_min, "seconds_max", r->seconds_max,
            "gbytes_per_second", r->gbytes_per_second, "share_of_peak", r->share_of_peak,
            "gbytes_read", r->peak->gbytes_read, "gbytes_copy", r->peak->gbytes_copy,
            "gbytes_stream", r->peak->gbytes_stream, "runs", (json_int_t)r->runs));
        return FW_OK;
    }
    if (o->rows++ == 0)
        printf("memory: %.1f GB/s read, %.1f copied, %.1f copied past caches\n\n"
               "%-22s %-20s %-22s %9s %8s %7s %8s  %s\n",
               r->peak->gbytes_read, r->peak->gbytes_copy, r->peak->gbytes_stream, "op",
               "images of", "n h w c", "ms", "MB", "GB/s", "of peak", "kernel");
    char name[40], geometry[64];
    snprintf(name, sizeof name, "%s/%s", s->net, s->name);
    snprintf(geometry, sizeof geometry, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64, s->n, s->oh,
             s->ow, s->oc);
    printf("%-22s %-20s %-22s %9.3f %8.1f %7.1f %7.1f%%  %s\n", r->op, name, geometry,
           1e3 * r->seconds, (double)r->bytes / 1e6, r->gbytes_per_second, 100 * r->share_of_peak,
           r->kernel);
    (void)fflush(stdout);
    return FW_OK;
}

static int bench_ops(const command *self, const bench_args *a)
{
    conv_output o = {.a = a};
    const fw_bench_ops_opt opt = {.op = a->op,
                                  .shape = a->shape,
                                  .layout = a->layout,
                                  .precision = a->precision,
                                  .threads = (int)a->threads,
                                  .runs = a->runs,
                                  .batch = a->images,
                                  .in_place = a->in_place};
    const fw_status st = fw_bench_ops(&opt, ops_row, &o);
    return st != FW_OK ? fail(self->name, st, a->json) : finish_output();
}

/* ---- the input pipeline, of one recipe or several variants ---- */

typedef struct data_row {
    char name[160];
    fw_bench_data_result r;
    double ms_per_batch;
} data_row;

enum { MOST_RECIPES = 16, MOST_ROWS = MOST_RECIPES + 64 };

/* A recipe with the options of the command and `changes` (NULL: none). */
static fw_status data_row_measure(const bench_args *a, const char *recipe, const char *changes,
                                  data_row *row)
{
    fw_recipe *r = NULL;
    fw_status st = recipe_open_with(&r, recipe, NULL, a->batch, &a->set);
    if (st == FW_OK && changes != NULL)
        st = fw_recipe_change(r, changes);
    if (st == FW_OK)
        st = fw_bench_data(r, a->data, (int)a->threads, a->runs, &row->r);
    if (st == FW_OK) {
        snprintf(row->name, sizeof row->name, "%s%s%s", fw_recipe_name(r),
                 changes == NULL ? "" : " ", changes == NULL ? "" : changes);
        row->ms_per_batch =
            1e3 * strtod(fw_recipe_get(r, "train.batch"), NULL) / row->r.images_per_second_median;
    }
    fw_recipe_free(r);
    return st;
}

static json_t *data_json(const data_row *row)
{
    const fw_bench_data_result *const d = &row->r;
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:i, s:I, s:I}", "name", row->name,
                     "images_per_second", d->images_per_second_median, "images_per_second_min",
                     d->images_per_second_min, "images_per_second_max", d->images_per_second_max,
                     "ms_per_batch", row->ms_per_batch, "gbytes_per_second", d->gbytes_per_second,
                     "threads", d->threads, "images", (json_int_t)d->images, "runs",
                     (json_int_t)d->runs);
}

static int print_data(const bench_args *a, const data_row *rows, int n)
{
    if (a->json) {
        json_t *o = data_json(&rows[0]);
        json_t *list = n > 1 ? json_array() : NULL;
        for (int i = 0; i < n && list != NULL; i++)
            (void)json_array_append_new(list, data_json(&rows[i]));
        if (list != NULL)
            (void)json_object_set_new(o, "variants", list);
        return print_json(o);
    }
    const fw_bench_data_result *const d = &rows[0].r;
    if (n == 1) {
        printf("input pipeline of %s on %d thread%s: %.0f images/s (median of %" PRId64
               " passes over %" PRId64
               " images; %.0f to %.0f), %.2f ms per batch, %.2f GB/s of records\n",
               rows[0].name, d->threads, d->threads == 1 ? "" : "s", d->images_per_second_median,
               d->runs, d->images, d->images_per_second_min, d->images_per_second_max,
               rows[0].ms_per_batch, d->gbytes_per_second);
        return finish_output();
    }
    printf("input pipelines on %d thread%s, medians of %" PRId64 " passes\n\n%-40s %10s %10s %10s "
           "%12s %8s\n",
           d->threads, d->threads == 1 ? "" : "s", d->runs, "recipe", "images/s", "least", "most",
           "ms per batch", "GB/s");
    for (int i = 0; i < n; i++)
        printf("%-40s %10.0f %10.0f %10.0f %12.3f %8.2f\n", rows[i].name,
               rows[i].r.images_per_second_median, rows[i].r.images_per_second_min,
               rows[i].r.images_per_second_max, rows[i].ms_per_batch, rows[i].r.gbytes_per_second);
    return finish_output();
}

/* Each recipe, then the first one with each change. */
static int bench_data(const command *self, const char *const *recipes, int n_recipes,
                      const bench_args *a)
{
    data_row *rows = calloc(MOST_ROWS, sizeof *rows);
    fw_status st = FW_OK;
    int n = 0, code;
    if (rows == NULL)
        return fail_with(self->name, FW_ENOMEM, "no memory", a->json);
    for (int i = 0; i < n_recipes && st == FW_OK; i++)
        st = data_row_measure(a, recipes[i], NULL, &rows[n++]);
    for (int i = 0; i < a->with.n && st == FW_OK; i++)
        st = data_row_measure(a, recipes[0], a->with.items[i], &rows[n++]);
    code = st != FW_OK ? fail(self->name, st, a->json) : print_data(a, rows, n);
    free(rows);
    return code;
}

static json_t *ops_json(const fw_bench_step_result *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->n_ops; i++) {
        const fw_bench_op *o = &s->ops[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:f}", "op", o->op, "kernel",
                            o->kernel, "shape", o->shape, "calls", (json_int_t)o->calls, "seconds",
                            o->seconds, "gflops", o->gflops, "gbytes_per_second",
                            o->gbytes_per_second, "share", o->share));
    }
    return list;
}

static json_t *parts_json(const fw_bench_step_result *s)
{
    json_t *parts = json_object();
    for (int i = 0; i < FW_PART_COUNT; i++)
        (void)json_object_set_new(parts, fw_step_part_name((fw_step_part)i),
                                  json_real(s->part_seconds[i]));
    return parts;
}

/* Convolution and everything else, as shares of the time of all parts. */
static void print_parts(const fw_bench_step_result *s)
{
    double all = 0;
    for (int i = 0; i < FW_PART_COUNT; i++)
        all += s->part_seconds[i];
    const double conv = s->part_seconds[FW_PART_CONV];
    printf("\n%-28s %9s %6s\n", "", "ms", "share");
    printf("%-28s %9.2f %5.1f%%\n", fw_step_part_name(FW_PART_CONV), 1e3 * conv, 100 * conv / all);
    printf("%-28s %9.2f %5.1f%%\n", "everything else", 1e3 * (all - conv),
           100 * (all - conv) / all);
    for (int i = FW_PART_CONV + 1; i < FW_PART_COUNT; i++)
        printf("  %-26s %9.2f %5.1f%%\n", fw_step_part_name((fw_step_part)i),
               1e3 * s->part_seconds[i], 100 * s->part_seconds[i] / all);
}

static int bench_step(const command *self, const fw_recipe *r, const bench_args *a)
{
    const fw_run_opt opt = {.data = a->data,
                            .device = a->device,
                            .threads = (int)a->threads,
                            .pin = a->pin,
                            .precision = a->precision_word,
                            .memory_limit = a->memory_limit,
                            .explain = a->explain ? print_explanation : NULL};
    fw_bench_step_result s = {0};
    const fw_status st = fw_bench_step(r, &opt, a->runs, &s);
    if (st != FW_OK)
        return fail(self->name, st, a->json);
    int code;
    if (a->json) {
        code = print_json(json_pack(
            "{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:o, s:o}",
            "recipe", fw_recipe_name(r), "precision", fw_precision_name(s.precision, s.tf32),
            "peak_gflops", s.peak_gflops, "images_per_second", s.images_per_second, "seconds",
            s.seconds_median, "seconds_min", s.seconds_min, "seconds_max", s.seconds_max, "gflops",
            s.gflops, "share_of_peak", s.share_of_peak, "epoch_seconds", s.epoch_seconds,
            "start_seconds", s.start_seconds, "batch", (json_int_t)s.batch, "runs",
            (json_int_t)s.runs, "budget_bytes", (json_int_t)s.budget.total, "peak_memory_bytes",
            (json_int_t)s.peak_memory_bytes, "parts", parts_json(&s), "ops", ops_json(&s)));
    } else {
        printf("%-22s %-30s %-26s %5s %9s %6s %9s %7s\n", "op", "kernel", "shape", "calls", "ms",
               "share", "GFLOP/s", "GB/s");
        for (int i = 0; i < s.n_ops; i++) {
            const fw_bench_op *o = &s.ops[i];
            printf("%-22s %-30s %-26s %5" PRId64 " %9.2f %5.1f%% %9.1f %7.1f\n", o->op, o->kernel,
                   o->shape, o->calls, 1e3 * o->seconds, 100 * o->share, o->gflops,
                   o->gbytes_per_second);
        }
        print_parts(&s);
        printf("\nstep of %" PRId64 " images   %.1f ms (median of %" PRId64 "; %.1f to %.1f)\n",
               s.batch, 1e3 * s.seconds_median, s.runs, 1e3 * s.seconds_min, 1e3 * s.seconds_max);
        printf("images/s             %.1f\n", s.images_per_second);
        printf("GFLOP/s              %.1f", s.gflops);
        if (s.peak_gflops > 0)
            printf(", %.1f %% of this machine's %.1f in %s", 100 * s.share_of_peak, s.peak_gflops,
                   fw_dtype_name(s.precision));
        putchar('\n');
        printf("an epoch             %.1f s\n", s.epoch_seconds);
        printf("start to first step  %.2f s\n", s.start_seconds);
        printf("memory               %.1f MiB planned, %.1f MiB at most resident\n",
               (double)s.budget.total / 1048576, (double)s.peak_memory_bytes / 1048576);
        code = finish_output();
    }
    fw_bench_step_clear(&s);
    return code;
}

/* ---- what is measured ---- */

enum { STEP = 1, CONV = 2, OPS = 4, DATA = 8, PEAK = 16 };

enum { SUBJECTS = 5 };
static const char *const subject_names[SUBJECTS] = {"step", "conv", "ops", "data", "peak"};

static unsigned subject_of(const char *word)
{
    for (unsigned i = 0; i < SUBJECTS; i++)
        if (strcmp(word, subject_names[i]) == 0)
            return 1U << i; /* STEP, CONV, ... */
    return 0;
}

/* The first option given that says nothing of the subject; NULL: there is none. */
static const char *misplaced(const bench_args *a, unsigned subject)
{
    const struct {
        const char *name;
        bool given;
        unsigned of;
    } options[] = {{"--data", a->data != NULL, STEP | DATA},
                   {"--runs", a->runs > 0, STEP | CONV | OPS | DATA},
                   {"--batch", a->batch != NULL, STEP | CONV | OPS | DATA},
                   {"--precision", a->precision_word != NULL, STEP | CONV | OPS},
                   {"--memory-limit", a->memory_limit > 0, STEP},
                   {"--device", a->device != NULL, STEP},
                   {"--pin", a->pin, STEP},
                   {"--explain", a->explain, STEP},
                   {"--set", a->set.n > 0, STEP | DATA},
                   {"--with", a->with.n > 0, DATA},
                   {"--shape", a->shape != NULL, CONV | OPS},
                   {"--pass", a->pass != NULL, CONV},
                   {"--algo", a->algo != NULL, CONV},
                   {"--layout", a->layout != NULL, CONV | OPS},
                   {"--op", a->op != NULL, OPS},
                   {"--in-place", a->in_place, OPS},
                   {"--accept-slow", a->accept_slow, CONV},
                   {"--results", a->results != NULL, CONV},
                   {"--record", a->record != NULL, PEAK}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].given && (options[i].of & subject) == 0)
            return options[i].name;
    return NULL;
}

/* --batch as a number; a recipe reads it as text, with its own message. */
static bool batch_read(bench_args *a)
{
    enum { MOST = 1 << 20 };
    char *end = NULL;
    if (a->batch == NULL)
        return true;
    a->images = strtoll(a->batch, &end, 10);
    return end != a->batch && *end == 0 && a->images > 0 && a->images <= MOST;
}

static int bench_recipe(const command *self, const char *name, const bench_args *a)
{
    fw_recipe *r = NULL;
    fw_status st = fw_recipe_open(&r, name);
    if (st == FW_OK && a->batch != NULL)
        st = fw_recipe_set(r, "train.batch", a->batch);
    if (st == FW_OK)
        st = recipe_set_all(r, &a->set);
    const int code = st != FW_OK ? fail(self->name, st, a->json) : bench_step(self, r, a);
    fw_recipe_free(r);
    return code;
}

/* pos: the subject and, of some, a recipe. */
static int measure(const command *self, bench_args *a, const char *const *pos, int n)
{
    static const char *const walkthrough = "fenwicks";
    if (n == 0)
        return usage_error(self, "needs what to measure: step, conv, ops, data or peak");
    const unsigned subject = subject_of(pos[0]);
    if (subject == 0)
        return usage_error(self, "\"%s\" is none of step, conv, ops, data, peak; the nearest is %s",
                           pos[0], fw_nearest(pos[0], subject_names, SUBJECTS));
    if (n > 1 && subject != STEP && subject != DATA)
        return usage_error(self, "%s takes no recipe, here \"%s\"%s", pos[0], pos[1],
                           subject == PEAK ? "" : "; --shape names layers");
    if (n > 2 && subject != DATA)
        return usage_error(self, "%s takes one recipe", pos[0]);
    const char *const option = misplaced(a, subject);
    if (option != NULL)
        return usage_error(self, "%s says nothing of %s", option, pos[0]);
    const int wrong = check_precision(self, a->precision_word);
    if (wrong != EXIT_DONE)
        return wrong;
    a->precision = FW_F32;
    if (a->precision_word != NULL)
        (void)fw_precision_read(a->precision_word, a->device, &a->precision, &a->tf32);
    if (a->tf32 && subject != STEP)
        return usage_error(self, "--precision: tf32 is for step");
    if ((subject == CONV || subject == OPS) && !batch_read(a))
        return usage_error(self, "--batch: \"%s\", expected a whole number from 1 to 1048576",
                           a->batch);
    return subject == PEAK   ? bench_peak(self, a)
           : subject == CONV ? bench_conv(self, a)
           : subject == OPS  ? bench_ops(self, a)
           : subject == DATA
               ? bench_data(self, n > 1 ? pos + 1 : &walkthrough, n > 1 ? n - 1 : 1, a)
               : bench_recipe(self, n > 1 ? pos[1] : walkthrough, a);
}

static int run_bench(const command *self, int argc, char **argv)
{
    const char *pos[1 + MOST_RECIPES];
    bench_args a = {0};
    int n;
    const arg_option options[] = {
        {"--data", "PATH", "records to read (default: synthetic images)", ARG_TEXT, &a.data},
        {"--device", "NAME", "of step: " DEVICES, ARG_TEXT, &a.device},
        {"--threads", "N", "default: step and peak as many as allowed, data 1", ARG_THREADS,
         &a.threads},
        {"--runs", "N", "measurements, of which the median counts (default 7)", ARG_COUNT, &a.runs},
        {"--batch", "N", "images per step (default: the recipe's, or the shape's)", ARG_TEXT,
         &a.batch},
        {"--precision", "TYPE",
         "of step (default: the recipe's), conv, ops (f32): f32, f64, bf16, auto; of a GPU's step "
         "also tf32, f16",
         ARG_TEXT, &a.precision_word},
        {"--memory-limit", "BYTES", "refuse a step that needs more (512M, 2G; default none)",
         ARG_SIZE, &a.memory_limit},
        {"--pin", NULL, "of a step: bind each thread to a CPU of its own", ARG_FLAG, &a.pin},
        {"--explain", NULL, "of a step: say what was chosen: kernels, layout, memory", ARG_FLAG,
         &a.explain},
        {"--set", "KEY=VALUE", "change a key of the recipe (may be repeated)", ARG_LIST, &a.set},
        {"--with", "CHANGES", "data: another row, the first recipe so changed (may be repeated)",
         ARG_LIST, &a.with},
        {"--shape", "NAME", "conv, ops: a net, a layer, or net/layer (default: all)", ARG_TEXT,
         &a.shape},
        {"--pass", "PASS", "conv: fwd, dx or dw (default: those that training needs)", ARG_TEXT,
         &a.pass},
        {"--algo", "NAME", "conv: auto, direct, winograd2, winograd4 (default: all but auto)",
         ARG_TEXT, &a.algo},
        {"--layout", "NAME", "conv, ops: blocked or nhwc (default: what training uses)", ARG_TEXT,
         &a.layout},
        {"--op", "NAME", "ops: one of them (default: all)", ARG_TEXT, &a.op},
        {"--in-place", NULL, "ops: over their first input, where they may", ARG_FLAG, &a.in_place},
        {"--accept-slow", NULL, "conv: take shares though the peak is under the recorded", ARG_FLAG,
         &a.accept_slow},
        {"--results", "DIR", "conv: recorded peaks (default: those inside the command)", ARG_TEXT,
         &a.results},
        {"--record", "DIR", "peak: put higher readings into DIR/<processor>.json", ARG_TEXT,
         &a.record},
        {"--json", NULL, "JSON on standard output; conv, ops: a line per row", ARG_FLAG, &a.json}};
    const int code = args_read(self, argc, argv, options, sizeof options / sizeof *options, pos,
                               1 + MOST_RECIPES, &n);
    if (code >= 0)
        return code;
    return measure(self, &a, pos, n);
}

const command command_bench = {
    "bench", "bench step|conv|ops|data|peak [RECIPE...] [options]",
    "measure a training step, single kernels, the input pipeline, or the machine", run_bench};
