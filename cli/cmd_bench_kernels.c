/* cmd_bench_kernels.c: single kernels, a row each: `fenwicks bench conv` and `bench ops`. */
#include "cmd_bench.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct conv_output {
    const bench_args *a;
    int64_t rows, slow, wrong;
    bool unrecorded; /* no best peak to hold the machine's against */
    bool unwritten;  /* nobody can read on: there is nothing to measure for */
} conv_output;

/* What a row's function returns that printed it with this exit code. */
static fw_status row_done(conv_output *o, int code)
{
    o->unwritten = code != EXIT_DONE;
    return o->unwritten ? FW_EIO : FW_OK;
}

/* A GPU's row: what a CPU's has, without what is of CPUs alone, and the engine. */
static json_t *gpu_conv_json(const fw_bench_conv_row *r)
{
    const fw_conv_shape *s = r->shape;
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:b, s:I, s:I}",
        "device", r->device, "precision", r->precision, "net", s->net, "name", s->name, "pass",
        r->pass, "algo", r->algo, "chosen", (int)r->chosen, "kernel", r->kernel, "engine",
        r->engine, "layout", r->layout, "n", (json_int_t)s->n, "h", (json_int_t)s->h, "w",
        (json_int_t)s->w, "c", (json_int_t)s->c, "oc", (json_int_t)s->oc, "k", (json_int_t)s->k,
        "stride", (json_int_t)s->stride, "pad", (json_int_t)s->pad, "seconds", r->seconds,
        "seconds_min", r->seconds_min, "seconds_max", r->seconds_max, "gflops", r->gflops,
        "executed", r->executed, "peak_before", r->peak_before, "peak_after", r->peak_after,
        "share_of_peak", r->share_of_peak, "error", number_or_null(r->error), "wrong",
        (int)r->wrong, "scratch_bytes", (json_int_t)r->scratch_bytes, "runs", (json_int_t)r->runs);
    if (o != NULL && r->choices != NULL) {
        json_t *t = json_pack("{s:I, s:I, s:f, s:o}", "engines", (json_int_t)r->engines,
                              "engines_wrong", (json_int_t)r->engines_wrong, "seconds_before",
                              r->seconds_before, "file", text_json(r->choices));
        (void)json_object_set_new(o, "tuned", t);
    }
    return o;
}

static void print_gpu_conv(conv_output *o, const fw_bench_conv_row *r)
{
    const fw_conv_shape *s = r->shape;
    char name[40], geometry[64], share[24], algo[24];
    if (o->rows++ == 0)
        printf("%s, %s\n\n%-24s %-28s %-4s %-6s %9s %8s %7s %7s %9s  %s\n", r->device, r->precision,
               "layer", "n hxw c > oc, k stride", "pass", "of", "us", "TFLOP/s", "of peak", "peak",
               "error", "kernel");
    snprintf(name, sizeof name, "%s/%s", s->net, s->name);
    snprintf(geometry, sizeof geometry,
             "%" PRId64 " %" PRId64 "x%" PRId64 " %" PRId64 " > %" PRId64 ", %" PRId64 " %" PRId64,
             s->n, s->h, s->w, s->c, s->oc, s->k, s->stride);
    const double peak = r->peak_before > r->peak_after ? r->peak_before : r->peak_after;
    snprintf(algo, sizeof algo, "%s%s", r->algo, r->chosen ? "*" : "");
    snprintf(share, sizeof share, "%.1f%%", 100 * r->share_of_peak);
    printf("%-24s %-28s %-4s %-6s %9.1f %8.1f %7s %7.1f %9.2e  %s%s%s\n", name, geometry, r->pass,
           algo, 1e6 * r->seconds, r->gflops / 1e3,
           r->wrong    ? "WRONG"
           : peak <= 0 ? "?"
                       : share,
           peak / 1e3, r->error, r->kernel, r->engine[0] != 0 ? ": " : "", r->engine);
    if (r->choices != NULL)
        printf("%56s of %" PRId64 " engines, %" PRId64 " of them wrong; %.1f us by the heuristic's "
               "first; kept in %s\n",
               "", r->engines, r->engines_wrong, 1e6 * r->seconds_before, r->choices);
}

static fw_status gpu_conv_row(conv_output *o, const fw_bench_conv_row *r)
{
    o->wrong += r->wrong;
    if (o->a->json)
        return row_done(o, print_json(gpu_conv_json(r)));
    print_gpu_conv(o, r);
    return row_done(o, finish_output());
}

static fw_status conv_row(void *arg, const fw_bench_conv_row *r)
{
    conv_output *o = arg;
    const fw_conv_shape *s = r->shape;
    if (r->device != NULL)
        return gpu_conv_row(o, r);
    const bool refused = r->slow && !o->a->accept_slow;
    char name[40], geometry[64];
    o->slow += refused;
    o->wrong += r->wrong;
    o->unrecorded = o->unrecorded || r->peak_best <= 0;
    if (o->a->json) {
        json_t *const row = json_pack(
            "{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, "
            "s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:o, s:b, s:I, s:I}",
            "net", s->net, "name", s->name, "pass", r->pass, "algo", r->algo, "chosen",
            (int)r->chosen, "kernel", r->kernel, "layout", r->layout, "n", (json_int_t)s->n, "h",
            (json_int_t)s->h, "w", (json_int_t)s->w, "c", (json_int_t)s->c, "oc", (json_int_t)s->oc,
            "k", (json_int_t)s->k, "stride", (json_int_t)s->stride, "pad", (json_int_t)s->pad,
            "seconds", r->seconds, "seconds_min", r->seconds_min, "seconds_max", r->seconds_max,
            "gflops", r->gflops, "executed", r->executed, "peak_before", r->peak_before,
            "peak_after", r->peak_after, "peak_best", r->peak_best, "share_of_peak",
            r->share_of_peak, "refused", (int)refused, "error", number_or_null(r->error), "wrong",
            (int)r->wrong, "scratch_bytes", (json_int_t)r->scratch_bytes, "runs",
            (json_int_t)r->runs);
        return row_done(o, print_json(row));
    }
    if (o->rows++ == 0)
        printf("%-24s %-28s %-4s %-9s  %9s %8s %7s %7s %7s %9s  %s\n", "layer",
               "n hxw c > oc, k stride", "pass", "algorithm", "ms", "GFLOP/s", "taps", "of peak",
               "peak", "error", "kernel");
    snprintf(name, sizeof name, "%s/%s", s->net, s->name);
    snprintf(geometry, sizeof geometry,
             "%" PRId64 " %" PRId64 "x%" PRId64 " %" PRId64 " > %" PRId64 ", %" PRId64 " %" PRId64,
             s->n, s->h, s->w, s->c, s->oc, s->k, s->stride);
    printf("%-24s %-28s %-4s %-9s%c %9.3f %8.1f %6.1f%% ", name, geometry, r->pass, r->algo,
           r->chosen ? '*' : ' ', 1e3 * r->seconds, r->gflops, 100 * r->executed);
    const double peak = r->peak_before > r->peak_after ? r->peak_before : r->peak_after;
    if (r->wrong)
        printf("%7s ", "WRONG");
    else
        printf("%6.1f%%%c", 100 * r->share_of_peak, refused ? '!' : ' ');
    printf("%7.1f %9.2e  %s\n", peak, r->error, r->kernel);
    return row_done(o, finish_output());
}

int bench_conv(const command *self, const fw_recipe *r, const bench_args *a)
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
                                   .results = a->results,
                                   .device = a->device,
                                   .recipe = r,
                                   .tf32 = a->tf32,
                                   .tune = a->tune};
    const fw_status st = fw_bench_conv(&opt, conv_row, &o);
    if (o.unwritten)
        return EXIT_FAILED;
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

static json_t *ops_json(const fw_bench_ops_row *r)
{
    const fw_conv_shape *s = r->shape;
    json_t *const o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:I, s:f, s:f, s:f, s:f, s:f, s:f, "
        "s:f, s:I}",
        "op", r->op, "kernel", r->kernel, "layout", r->layout, "net", s->net, "name", s->name, "n",
        (json_int_t)s->n, "h", (json_int_t)s->oh, "w", (json_int_t)s->ow, "c", (json_int_t)s->oc,
        "in_place", (int)r->in_place, "bytes", (json_int_t)r->bytes, "seconds", r->seconds,
        "seconds_min", r->seconds_min, "seconds_max", r->seconds_max, "gbytes_per_second",
        r->gbytes_per_second, "share_of_peak", r->share_of_peak, "gbytes_read",
        r->peak->gbytes_read, "gbytes_copy", r->peak->gbytes_copy, "runs", (json_int_t)r->runs);
    if (o == NULL)
        return NULL;
    if (r->device != NULL)
        (void)json_object_set_new(o, "device", json_string(r->device));
    else
        (void)json_object_set_new(o, "gbytes_stream", json_real(r->peak->gbytes_stream));
    if (r->act != NULL)
        (void)json_object_set_new(o, "act", json_string(r->act));
    if (r->to_h > 0) {
        (void)json_object_set_new(o, "to_h", json_integer((json_int_t)r->to_h));
        (void)json_object_set_new(o, "to_w", json_integer((json_int_t)r->to_w));
    }
    return o;
}

static fw_status ops_row(void *arg, const fw_bench_ops_row *r)
{
    conv_output *o = arg;
    const fw_conv_shape *s = r->shape;
    if (o->a->json)
        return row_done(o, print_json(ops_json(r)));
    if (o->rows++ == 0) {
        if (r->device != NULL)
            printf("%s: memory: %.1f GB/s read, %.1f copied\n\n", r->device, r->peak->gbytes_read,
                   r->peak->gbytes_copy);
        else
            printf("memory: %.1f GB/s read, %.1f copied, %.1f copied past caches\n\n",
                   r->peak->gbytes_read, r->peak->gbytes_copy, r->peak->gbytes_stream);
        printf("%-28s %-20s %-22s %9s %8s %7s %8s  %s\n", "op", "of", "n h w c", "ms", "MB", "GB/s",
               "of peak", "kernel");
    }
    char op[48], name[40], geometry[64], to[48] = "";
    snprintf(op, sizeof op, "%s%s%s", r->op, r->act != NULL ? " " : "",
             r->act != NULL ? r->act : "");
    snprintf(name, sizeof name, "%s/%s", s->net, s->name);
    if (r->to_h > 0)
        snprintf(to, sizeof to, " > %" PRId64 "x%" PRId64, r->to_h, r->to_w);
    snprintf(geometry, sizeof geometry, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "%s", s->n,
             s->oh, s->ow, s->oc, to);
    printf("%-28s %-20s %-22s %9.3f %8.1f %7.1f %7.1f%%  %s\n", op, name, geometry,
           1e3 * r->seconds, (double)r->bytes / 1e6, r->gbytes_per_second, 100 * r->share_of_peak,
           r->kernel);
    return row_done(o, finish_output());
}

int bench_ops(const command *self, const bench_args *a)
{
    conv_output o = {.a = a};
    const fw_bench_ops_opt opt = {.op = a->op,
                                  .act = a->act,
                                  .shape = a->shape,
                                  .layout = a->layout,
                                  .precision = a->precision,
                                  .threads = (int)a->threads,
                                  .runs = a->runs,
                                  .batch = a->images,
                                  .in_place = a->in_place,
                                  .device = a->device};
    const fw_status st = fw_bench_ops(&opt, ops_row, &o);
    if (o.unwritten)
        return EXIT_FAILED;
    return st != FW_OK ? fail(self->name, st, a->json) : finish_output();
}
