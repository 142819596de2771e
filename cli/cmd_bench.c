/* cmd_bench.c: measurements of this machine: a training step, the input pipeline, the ceilings. */
#include "cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct bench_args {
    const char *data;
    int64_t threads, runs;
    arg_list set;
    const char *batch, *precision_word;
    fw_dtype precision;
    bool json;
} bench_args;

static int bench_peak(const command *self, const bench_args *a)
{
    fw_peak p;
    const fw_status st = fw_bench_peak((int)a->threads, &p);
    if (st != FW_OK)
        return fail(self->name, st, a->json);
    if (a->json)
        return print_json(json_pack("{s:f, s:f, s:i}", "gflops_f32", p.gflops_f32,
                                    "gbytes_per_second", p.gbytes_read, "threads", p.threads));
    printf("fused multiply-adds, f32   %8.1f GFLOP/s on %d threads\nmemory, read               "
           "%8.1f GB/s\n",
           p.gflops_f32, p.threads, p.gbytes_read);
    return finish_output();
}

static int bench_data(const command *self, const fw_recipe *r, const bench_args *a)
{
    fw_bench_data_result d;
    const fw_status st = fw_bench_data(r, a->data, (int)a->threads, a->runs, &d);
    if (st != FW_OK)
        return fail(self->name, st, a->json);
    if (a->json)
        return print_json(json_pack(
            "{s:f, s:f, s:f, s:f, s:i, s:I, s:I}", "images_per_second", d.images_per_second_median,
            "images_per_second_min", d.images_per_second_min, "images_per_second_max",
            d.images_per_second_max, "gbytes_per_second", d.gbytes_per_second, "threads", d.threads,
            "images", (json_int_t)d.images, "runs", (json_int_t)d.runs));
    printf("input pipeline of %s on %d thread%s: %.0f images/s (median of %" PRId64
           " passes over %" PRId64 " images; %.0f to %.0f), %.2f GB/s of records\n",
           fw_recipe_name(r), d.threads, d.threads == 1 ? "" : "s", d.images_per_second_median,
           d.runs, d.images, d.images_per_second_min, d.images_per_second_max, d.gbytes_per_second);
    return finish_output();
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

static int bench_step(const command *self, const fw_recipe *r, const bench_args *a)
{
    const fw_run_opt opt = {.data = a->data, .threads = (int)a->threads, .precision = a->precision};
    fw_bench_step_result s = {0};
    const fw_status st = fw_bench_step(r, &opt, a->runs, &s);
    if (st != FW_OK)
        return fail(self->name, st, a->json);
    int code;
    if (a->json) {
        code = print_json(json_pack(
            "{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:o}", "recipe",
            fw_recipe_name(r), "images_per_second", s.images_per_second, "seconds",
            s.seconds_median, "seconds_min", s.seconds_min, "seconds_max", s.seconds_max, "gflops",
            s.gflops, "share_of_peak", s.share_of_peak, "epoch_seconds", s.epoch_seconds,
            "start_seconds", s.start_seconds, "batch", (json_int_t)s.batch, "runs",
            (json_int_t)s.runs, "budget_bytes", (json_int_t)s.budget.total, "peak_memory_bytes",
            (json_int_t)s.peak_memory_bytes, "ops", ops_json(&s)));
    } else {
        printf("%-22s %-30s %-26s %5s %9s %6s %9s %7s\n", "op", "kernel", "shape", "calls", "ms",
               "share", "GFLOP/s", "GB/s");
        for (int i = 0; i < s.n_ops; i++) {
            const fw_bench_op *o = &s.ops[i];
            printf("%-22s %-30s %-26s %5" PRId64 " %9.2f %5.1f%% %9.1f %7.1f\n", o->op, o->kernel,
                   o->shape, o->calls, 1e3 * o->seconds, 100 * o->share, o->gflops,
                   o->gbytes_per_second);
        }
        printf("\nstep of %" PRId64 " images   %.1f ms (median of %" PRId64 "; %.1f to %.1f)\n",
               s.batch, 1e3 * s.seconds_median, s.runs, 1e3 * s.seconds_min, 1e3 * s.seconds_max);
        printf("images/s             %.1f\n", s.images_per_second);
        printf("GFLOP/s              %.1f, %.1f %% of this machine's %.1f\n", s.gflops,
               100 * s.share_of_peak, s.peak.gflops_f32);
        printf("an epoch             %.1f s\n", s.epoch_seconds);
        printf("start to first step  %.2f s\n", s.start_seconds);
        printf("memory               %.1f MiB planned, %.1f MiB at most resident\n",
               (double)s.budget.total / 1048576, (double)s.peak_memory_bytes / 1048576);
        code = finish_output();
    }
    fw_bench_step_clear(&s);
    return code;
}

static int run_bench(const command *self, int argc, char **argv)
{
    const char *pos[2];
    bench_args a = {0};
    int n;
    const arg_option options[] = {
        {"--data", "PATH", "records to read (default: synthetic images)", ARG_TEXT, &a.data},
        {"--threads", "N", "default: step and peak as many as allowed, data 1", ARG_THREADS,
         &a.threads},
        {"--runs", "N", "measurements, of which the median counts (default 7)", ARG_COUNT, &a.runs},
        {"--batch", "N", "images per step (default: the recipe's)", ARG_TEXT, &a.batch},
        {"--precision", "TYPE", "of a step: f32, f64 or bf16 (default f32)", ARG_TEXT,
         &a.precision_word},
        {"--set", "KEY=VALUE", "change a key of the recipe (may be repeated)", ARG_LIST, &a.set},
        {"--json", NULL, "one JSON object on standard output", ARG_FLAG, &a.json}};
    const int code =
        args_read(self, argc, argv, options, sizeof options / sizeof *options, pos, 2, &n);
    if (code >= 0)
        return code;
    if (n == 0)
        return usage_error(self, "needs what to measure: step, data or peak");
    if (strcmp(pos[0], "peak") == 0)
        return bench_peak(self, &a);
    const bool step = strcmp(pos[0], "step") == 0;
    if (!step && strcmp(pos[0], "data") != 0)
        return usage_error(self, "\"%s\" is none of step, data, peak", pos[0]);
    a.precision = FW_F32;
    if (a.precision_word != NULL && !precision_read(a.precision_word, &a.precision))
        return usage_error(self, "--precision: \"%s\" is none of f32, f64, bf16, f16",
                           a.precision_word);
    fw_recipe *r = NULL;
    fw_status st = fw_recipe_open(&r, n > 1 ? pos[1] : "fenwicks");
    if (st == FW_OK && a.batch != NULL)
        st = fw_recipe_set(r, "train.batch", a.batch);
    if (st == FW_OK)
        st = recipe_set_all(r, &a.set);
    const int result = st != FW_OK ? fail(self->name, st, a.json)
                       : step      ? bench_step(self, r, &a)
                                   : bench_data(self, r, &a);
    fw_recipe_free(r);
    return result;
}

const command command_bench = {"bench", "bench step|data|peak [RECIPE] [options]",
                               "measure a training step, the input pipeline, or the machine",
                               run_bench};
