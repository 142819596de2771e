/* bench_gpu_ops.c: how fast a GPU's sweeps between convolutions are, as bench_ops.c has it for CPUs: our
 * own kernels, fused and not, on images n h w c that are cold. What counts is bytes per second beside what
 * the memory can do. Read before: bench_sweeps.h, bench_gpu.h. */
#include "bench_gpu.h"
#include "bench_sweeps.h"

#include <math.h>
#include <string.h>

#include "fail.h"
#include "mem.h"

typedef struct bench_gpu_ops {
    const fw_bench_ops_opt *opt;
    fwi_gpu g;
    fw_gpu_peak peak;
    int64_t runs, rows;
    double *seconds; /* [runs] */
    fw_bench_ops_fn fn;
    void *arg;
    fw_conv_shape s; /* whose n, oh, ow, oc are the images' */
    /* of the sweep in hand */
    const fwi_sweep *w;
    const fwi_kernel *kernel;
    fwi_call call; /* without data */
    char *block;   /* of the device: the operands of all sets */
    size_t set_bytes;
    void *scratch;
    int sets;
} bench_gpu_ops;

static bool over_itself(const bench_gpu_ops *b)
{
    return b->opt->in_place && fwi_sweep_over_itself(b->w);
}

/* The operands of a set, one behind the other; outputs that are made over an input have no place. */
static fwi_call call_on(const bench_gpu_ops *b, int64_t set, size_t *bytes)
{
    fwi_call c = b->call;
    size_t at = 0;
    char *const base = b->block != NULL ? b->block + (size_t)set * b->set_bytes : NULL;
    for (int out = 0; out < 2; out++)
        for (int k = 0; (out ? b->w->out : b->w->in)[k] != 0; k++) {
            fwi_arg *const a = out ? &c.out[k] : &c.in[k];
            if (out && k == 0 && over_itself(b)) {
                a->data = c.in[0].data;
                continue;
            }
            a->data = base != NULL ? base + at : NULL;
            at += fwi_gpu_round(fwi_operand_bytes(a));
        }
    c.scratch = b->scratch;
    *bytes = at;
    return c;
}

static fw_status run_one(void *user, int64_t i)
{
    const bench_gpu_ops *const b = user;
    size_t bytes;
    const fwi_call c = call_on(b, i % b->sets, &bytes);
    return b->kernel->run(&c);
}

static fw_status fill(const bench_gpu_ops *b)
{
    fw_status st = FW_OK;
    for (int i = 0; i < b->sets && st == FW_OK; i++) {
        size_t bytes;
        const fwi_call c = call_on(b, i, &bytes);
        for (int k = 0; b->w->in[k] != 0 && st == FW_OK; k++) {
            double lo, hi;
            fwi_sweep_range(b->w, k, &b->s, &lo, &hi);
            st = fwi_gpu_fill(&b->g, &c.in[k], lo, hi, 16 * (uint32_t)i + (uint32_t)k);
        }
    }
    return st;
}

static fw_status time_sweep(bench_gpu_ops *b, size_t scratch_bytes)
{
    fwi_device *const d = b->g.d;
    void *block = NULL;
    (void)call_on(b, 0, &b->set_bytes);
    fw_status st = fwi_gpu_cold_sets(&b->g, &b->s, b->set_bytes, &b->sets);
    if (st == FW_OK)
        st = d->backend->alloc(d, scratch_bytes, &b->scratch);
    if (st == FW_OK)
        st = d->backend->alloc(d, b->set_bytes * (size_t)b->sets, &block);
    b->block = block;
    if (st == FW_OK)
        st = fill(b);
    if (st == FW_OK)
        st = run_one(b, b->sets - 1);
    if (st == FW_OK)
        st = d->backend->sync(d);
    if (st == FW_OK)
        st = fwi_gpu_time(&b->g, b->runs, run_one, b, b->seconds);
    if (block != NULL)
        d->backend->release(d, block, b->set_bytes * (size_t)b->sets);
    if (b->scratch != NULL)
        d->backend->release(d, b->scratch, scratch_bytes);
    b->block = NULL;
    b->scratch = NULL;
    return st;
}

static fw_status measure(bench_gpu_ops *b)
{
    const size_t bytes = fwi_sweep_bytes(b->w, &b->call);
    const size_t scratch = b->kernel->scratch != NULL ? b->kernel->scratch(&b->call) : 0;
    const fw_status st = time_sweep(b, scratch);
    if (st != FW_OK)
        return st;
    fw_bench_ops_row row = {.op = fwi_op_info_get(b->w->op)->name,
                            .kernel = b->kernel->name,
                            .layout = "nhwc",
                            .in_place = over_itself(b),
                            .bytes = (int64_t)bytes,
                            .peak = &b->peak.median,
                            .runs = b->runs,
                            .device = b->g.d->label};
    fw_conv_shape images;
    fwi_sweep_describe(b->opt, &b->s, b->w, &images, &row);
    row.seconds = fwi_median(b->seconds, b->runs); /* sorts */
    row.seconds_min = b->seconds[0];
    row.seconds_max = b->seconds[b->runs - 1];
    const double peak = fmax(b->peak.median.gbytes_read, b->peak.median.gbytes_copy);
    row.gbytes_per_second = row.seconds > 0 ? (double)bytes / row.seconds / 1e9 : 0;
    row.share_of_peak = peak > 0 ? row.gbytes_per_second / peak : 0;
    b->rows++;
    return b->fn(b->arg, &row);
}

/* In the layout of training: blocks of one image, where the op has a row for them. */
static fw_status measure_sweep(void *user, const fw_conv_shape *s, const fwi_sweep *w)
{
    bench_gpu_ops *const b = user;
    b->s = *s;
    const fwi_attr attr = fwi_sweep_attr(b->opt, &b->s, w, 1);
    b->w = w;
    b->call = fwi_sweep_call(&b->s, w, &attr, b->opt->precision, 1);
    b->call.stream = b->g.d->stream;
    b->kernel = fwi_table_find(b->g.d->table, &b->call, NULL);
    return b->kernel != NULL ? measure(b) : FW_OK;
}

static fw_status check_opt(const fw_bench_ops_opt *o)
{
    const fw_status st = fwi_bench_counts("fw_bench_ops", o->threads, o->runs, o->batch);
    if (st != FW_OK)
        return st;
    if (o->precision != FW_F32 && o->precision != FW_BF16 && o->precision != FW_F16)
        return fwi_fail(FW_EARG, "bench ops: precision %s: a GPU computes in f32, bf16 and f16",
                        fw_dtype_name(o->precision));
    if (o->layout != NULL && strcmp(o->layout, "nhwc") != 0)
        return fwi_fail(FW_ENOTFOUND, "no layout \"%s\" on a GPU; there is nhwc", o->layout);
    return fwi_sweep_check(o);
}

static fw_status measure_all(bench_gpu_ops *b)
{
    const fw_bench_ops_opt *const o = b->opt;
    const fw_status st = fwi_sweep_each(o, measure_sweep, b);
    if (st == FW_OK && b->rows == 0)
        return fwi_fail(FW_ENOTFOUND, "%s has no kernel that does what is asked (precision %s)",
                        b->g.d->label, fw_dtype_name(o->precision));
    return st;
}

fw_status fwi_bench_gpu_ops(const fw_bench_ops_opt *opt, fw_bench_ops_fn fn, void *arg)
{
    fw_status st = check_opt(opt);
    if (st != FW_OK)
        return st;
    bench_gpu_ops *b = fwi_alloc_zero(sizeof *b);
    if (b == NULL)
        return FW_ENOMEM;
    b->opt = opt;
    b->fn = fn;
    b->arg = arg;
    b->runs = opt->runs > 0 ? opt->runs : FWI_BENCH_RUNS;
    b->seconds = fwi_alloc_array((size_t)b->runs, sizeof *b->seconds);
    if (b->seconds == NULL)
        st = FW_ENOMEM;
    if (st == FW_OK)
        st = fwi_gpu_open(&b->g, opt->device, opt->threads, false);
    if (st == FW_OK)
        st = fwi_gpu_peak(&b->g, 0, FWI_MEMORY_LOADS, &b->peak);
    if (st == FW_OK)
        st = measure_all(b);
    fwi_gpu_close(&b->g);
    fwi_free(b->seconds);
    fwi_free(b);
    return st;
}
