/* cmd_bench_peak.c: the ceilings of the machine: `fenwicks bench peak`. */
#include "cmd_bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static json_t *reading(double median, double least, double most)
{
    return median > 0 ? json_pack("{s:f, s:f, s:f}", "median", median, "least", least, "most", most)
                      : json_null();
}

static void print_reading(const char *what, const char *unit, double scale, double median,
                          double least, double most)
{
    if (median > 0)
        printf("%-34s %9.1f %-8s (%.1f to %.1f)\n", what, scale * median, unit, scale * least,
               scale * most);
    else
        printf("%-34s %9s\n", what, "none");
}

/* The same keys as of a CPU, which are medians here, and each ceiling's readings. */
static int gpu_peak(const command *self, const bench_args *a)
{
    fw_gpu_peak p;
    const fw_status st = fw_bench_gpu_peak(a->device, a->runs, &p);
    if (st != FW_OK)
        return fail(self->name, st, a->json);
    const fw_peak *const m = &p.median, *const lo = &p.least, *const hi = &p.most;
    const struct {
        const char *key, *what, *unit;
        double scale, median, least, most;
    } rows[] = {
        {"gflops_f32", "fused multiply-adds, f32", "TFLOP/s", 1e-3, m->gflops_f32, lo->gflops_f32,
         hi->gflops_f32},
        {"gflops_tf32", "products on tensor cores, tf32", "TFLOP/s", 1e-3, m->gflops_tf32,
         lo->gflops_tf32, hi->gflops_tf32},
        {"gflops_bf16", "products on tensor cores, bf16", "TFLOP/s", 1e-3, m->gflops_bf16,
         lo->gflops_bf16, hi->gflops_bf16},
        {"gflops_f16", "products on tensor cores, f16", "TFLOP/s", 1e-3, m->gflops_f16,
         lo->gflops_f16, hi->gflops_f16},
        {"gbytes_read", "memory, read", "GB/s", 1, m->gbytes_read, lo->gbytes_read,
         hi->gbytes_read},
        {"gbytes_copy", "memory, copied", "GB/s", 1, m->gbytes_copy, lo->gbytes_copy,
         hi->gbytes_copy},
    };
    enum { N = sizeof rows / sizeof *rows };
    if (a->json) {
        json_t *readings = json_object(), *o = json_object();
        (void)json_object_set_new(o, "device", json_string(p.device));
        for (int i = 0; i < N; i++) {
            (void)json_object_set_new(o, rows[i].key, json_real(rows[i].median));
            (void)json_object_set_new(readings, rows[i].key,
                                      reading(rows[i].median, rows[i].least, rows[i].most));
        }
        (void)json_object_set_new(o, "gbytes_per_second", json_real(m->gbytes_read));
        (void)json_object_set_new(o, "readings", readings);
        (void)json_object_set_new(o, "runs", json_integer((json_int_t)p.runs));
        (void)json_object_set_new(o, "note", json_string(p.note));
        return print_json(o);
    }
    printf("%s, medians of %" PRId64 "\n\n", p.device, p.runs);
    for (int i = 0; i < N; i++)
        print_reading(rows[i].what, rows[i].unit, rows[i].scale, rows[i].median, rows[i].least,
                      rows[i].most);
    if (p.note[0] != 0)
        printf("\n%s\n", p.note);
    return finish_output();
}

int bench_peak(const command *self, const bench_args *a)
{
    if (bench_on_gpu(a))
        return gpu_peak(self, a);
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
