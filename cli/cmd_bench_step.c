/* cmd_bench_step.c: a training step, op by op: `fenwicks bench step`. */
#include "cmd_bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static json_t *ops_json(const fw_bench_step_result *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->n_ops; i++) {
        const fw_bench_op *o = &s->ops[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:s?, s:f}", "op", o->op, "kernel",
                      o->kernel, "shape", o->shape, "calls", (json_int_t)o->calls, "seconds",
                      o->seconds, "gflops", o->gflops, "gbytes_per_second", o->gbytes_per_second,
                      "share", o->share, "ceiling", o->ceiling, "share_of_peak", o->share_of_peak));
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

/* A GPU's ops take microseconds and do TFLOP/s. */
static void print_ops(const fw_bench_step_result *s, bool gpu)
{
    const double time = gpu ? 1e6 : 1e3, rate = gpu ? 1e-3 : 1;
    int wide = 30; /* the longest name of a kernel */
    for (int i = 0; i < s->n_ops; i++)
        if ((int)strlen(s->ops[i].kernel) > wide)
            wide = (int)strlen(s->ops[i].kernel);
    if (gpu)
        printf("%s\n\n", s->device);
    printf("%-22s %-*s %-26s %5s %9s %6s %9s %8s %8s %s\n", "op", wide, "kernel", "shape", "calls",
           gpu ? "us" : "ms", "share", gpu ? "TFLOP/s" : "GFLOP/s", "GB/s", "of peak", "ceiling");
    for (int i = 0; i < s->n_ops; i++) {
        const fw_bench_op *o = &s->ops[i];
        printf("%-22s %-*s %-26s %5" PRId64 " %9.*f %5.1f%% %9.*f %8.1f", o->op, wide, o->kernel,
               o->shape, o->calls, gpu ? 1 : 2, time * o->seconds, 100 * o->share, gpu ? 2 : 1,
               rate * o->gflops, o->gbytes_per_second);
        if (o->share_of_peak > 0)
            printf(" %7.1f%% %s\n", 100 * o->share_of_peak, o->ceiling);
        else
            printf(" %8s\n", "-");
    }
}

/* What a GPU's step has beyond a CPU's: its ceilings, the recorded step, what was allocated. */
static void add_gpu_json(json_t *o, const fw_bench_step_result *s)
{
    (void)json_object_set_new(o, "device", json_string(s->device));
    (void)json_object_set_new(o, "peak",
                              json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "gflops_f32",
                                        s->peak.gflops_f32, "gflops_tf32", s->peak.gflops_tf32,
                                        "gflops_bf16", s->peak.gflops_bf16, "gflops_f16",
                                        s->peak.gflops_f16, "gbytes_read", s->peak.gbytes_read,
                                        "gbytes_copy", s->peak.gbytes_copy));
    (void)json_object_set_new(o, "kernels_seconds", json_real(s->kernels_seconds));
    (void)json_object_set_new(o, "graph_seconds",
                              s->graph_seconds > 0 ? json_real(s->graph_seconds) : json_null());
    (void)json_object_set_new(o, "graph_to_kernels",
                              s->graph_seconds > 0 && s->kernels_seconds > 0
                                  ? json_real(s->graph_seconds / s->kernels_seconds)
                                  : json_null());
    (void)json_object_set_new(o, "allocations", json_integer((json_int_t)s->allocations));
    (void)json_object_set_new(o, "host_allocations", json_integer((json_int_t)s->host_allocations));
    (void)json_object_set_new(o, "memory_taken_bytes",
                              json_integer((json_int_t)s->memory_taken_bytes));
}

static void print_gpu_step(const fw_bench_step_result *s)
{
    printf("its kernels          %.1f us, each alone\n", 1e6 * s->kernels_seconds);
    if (s->graph_seconds > 0)
        printf("recorded             %.1f us, %.3f times its kernels\n", 1e6 * s->graph_seconds,
               s->graph_seconds / s->kernels_seconds);
    else
        printf("recorded             no: steps run kernel by kernel\n");
    printf("after the first step %" PRId64 " blocks of device memory allocated, %" PRId64
           " of the host's; free device memory less by %.1f MiB\n",
           s->allocations, s->host_allocations, (double)s->memory_taken_bytes / 1048576);
}

int bench_step(const command *self, const fw_recipe *r, const bench_args *a)
{
    const fw_run_opt opt = {.data = a->data,
                            .device = a->device,
                            .threads = (int)a->threads,
                            .pin = a->pin,
                            .precision = a->precision_word,
                            .memory_limit = a->memory_limit,
                            .explain = a->explain ? print_explanation : NULL};
    fw_bench_step_result s = {0};
    const fw_status st = fw_bench_step(r, &opt, a->at, a->runs, &s);
    if (st != FW_OK)
        return fail(self->name, st, a->json);
    const bool gpu = bench_on_gpu(a);
    int code;
    if (a->json) {
        json_t *o = json_pack(
            "{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:o, s:o}",
            "recipe", fw_recipe_name(r), "precision", fw_precision_name(s.precision, s.tf32),
            "peak_gflops", s.peak_gflops, "images_per_second", s.images_per_second, "seconds",
            s.seconds_median, "seconds_min", s.seconds_min, "seconds_max", s.seconds_max, "gflops",
            s.gflops, "share_of_peak", s.share_of_peak, "epoch_seconds", s.epoch_seconds,
            "start_seconds", s.start_seconds, "batch", (json_int_t)s.batch, "runs",
            (json_int_t)s.runs, "budget_bytes", (json_int_t)s.budget.total, "peak_memory_bytes",
            (json_int_t)s.peak_memory_bytes, "parts", parts_json(&s), "ops", ops_json(&s));
        if (gpu)
            add_gpu_json(o, &s);
        code = print_json(o);
    } else {
        print_ops(&s, gpu);
        print_parts(&s);
        printf("\nstep of %" PRId64 " images   %.1f ms (median of %" PRId64 "; %.1f to %.1f)\n",
               s.batch, 1e3 * s.seconds_median, s.runs, 1e3 * s.seconds_min, 1e3 * s.seconds_max);
        printf("images/s             %.1f\n", s.images_per_second);
        printf("GFLOP/s              %.1f", s.gflops);
        if (s.peak_gflops > 0)
            printf(", %.1f %% of this machine's %.1f in %s", 100 * s.share_of_peak, s.peak_gflops,
                   fw_precision_name(s.precision, s.tf32));
        putchar('\n');
        if (gpu)
            print_gpu_step(&s);
        printf("an epoch             %.1f s\n", s.epoch_seconds);
        printf("start to first step  %.2f s\n", s.start_seconds);
        printf("memory               %.1f MiB planned, %.1f MiB at most resident\n",
               (double)s.budget.total / 1048576, (double)s.peak_memory_bytes / 1048576);
        code = finish_output();
    }
    fw_bench_step_clear(&s);
    return code;
}
