/* bench_ops.c: how fast the sweeps between convolutions are: normalisation, activations, pools,
 * sums, and the fused ones that stand for several; conversions, sizes of images and updates too. They do little arithmetic, so what counts is
 * bytes per second beside what the memory can do (bench_peak.c). Images have the shapes that the
 * convolutions of bench/shapes.txt give, cold, in the layout of training. This is for CPUs; next:
 * bench_gpu_ops.c. Read before: bench_operand.c, bench_sweeps.h. */
#include "bench_sweeps.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "fail.h"
#include "mem.h"

typedef struct bench_ops {
    const fw_bench_ops_opt *opt;
    const fwi_op_table *table;
    fwi_pool *pool;
    fw_peak peak;
    int64_t runs, rows;
    double *seconds; /* [runs] */
    fw_bench_ops_fn fn;
    void *arg;
    fw_conv_shape s; /* whose n, oh, ow, oc are the images' */
    fwi_call calls[FWI_COLD_SETS];
} bench_ops;

/* A row of the table, but none of the reference's unless that is forced. */
static const fwi_kernel *find(const bench_ops *b, const fwi_call *c)
{
    const fwi_op_table *from = NULL;
    const fwi_kernel *const k = fwi_table_find(b->table, c, &from);
    return k == NULL || (from->base == NULL && from != b->table) ? NULL : k;
}

static bool over_itself(const bench_ops *b, const fwi_sweep *w)
{
    return b->opt->in_place && fwi_sweep_over_itself(w);
}

static void clear(bench_ops *b, const fwi_sweep *w, int sets)
{
    for (int i = 0; i < sets; i++) {
        fwi_call *const c = &b->calls[i];
        for (int k = 0; w->out[k] != 0; k++)
            if (k > 0 || c->out[0].data != c->in[0].data)
                fwi_operand_free(&c->out[k]);
        for (int k = 0; w->in[k] != 0; k++)
            fwi_operand_free(&c->in[k]);
    }
}

static fw_status fill(bench_ops *b, const fwi_sweep *w, fwi_call *c, uint32_t seed)
{
    for (int k = 0; w->in[k] != 0; k++) {
        double lo, hi;
        fwi_sweep_range(w, k, &b->s, &lo, &hi);
        if (!fwi_operand_alloc(&c->in[k]))
            return FW_ENOMEM;
        fwi_operand_fill(b->pool, &c->in[k], lo, hi, seed + (uint32_t)k);
    }
    for (int k = 0; w->out[k] != 0; k++) {
        if (k == 0 && over_itself(b, w)) {
            c->out[0].data = c->in[0].data;
            continue;
        }
        if (!fwi_operand_alloc(&c->out[k]))
            return FW_ENOMEM;
        fwi_operand_fill(b->pool, &c->out[k], 0, 1, seed);
    }
    return FW_OK;
}

/* ---- one row ---- */

static double largest(double a, double b, double c)
{
    return fmax(a, fmax(b, c));
}

static fw_status time_calls(bench_ops *b, const fwi_kernel *k, int sets, void *scratch)
{
    fw_status st = FW_OK;
    for (int64_t i = -1; i < b->runs && st == FW_OK; i++) {
        fwi_call *const c = &b->calls[(i + sets) % sets];
        c->scratch = scratch;
        const double start = fwi_now();
        st = k->run(c);
        if (i >= 0)
            b->seconds[i] = fwi_now() - start;
    }
    return st;
}

static fw_status measure(bench_ops *b, const fwi_sweep *w, const fwi_kernel *k,
                         const fwi_call *shapes, bool blocked)
{
    const size_t scratch_bytes = k->scratch != NULL ? k->scratch(shapes) : 0;
    const size_t bytes = fwi_sweep_bytes(w, shapes);
    const int sets = fwi_cold_sets(bytes);
    fw_status st = fwi_operands_fit(&b->s, bytes * (size_t)sets);
    void *const scratch = st == FW_OK ? fwi_big_alloc(scratch_bytes) : NULL;
    if (st == FW_OK && scratch == NULL)
        st = FW_ENOMEM;
    for (int i = 0; i < sets; i++)
        b->calls[i] = *shapes;
    for (int i = 0; i < sets && st == FW_OK; i++)
        st = fill(b, w, &b->calls[i], 16 * (uint32_t)i);
    if (st == FW_OK)
        st = time_calls(b, k, sets, scratch);
    clear(b, w, sets);
    if (scratch != NULL)
        fwi_big_free(scratch, scratch_bytes);
    if (st != FW_OK)
        return st;
    fw_bench_ops_row row = {.op = fwi_op_info_get(w->op)->name,
                            .kernel = k->name,
                            .layout = blocked ? "blocked" : "nhwc",
                            .in_place = over_itself(b, w),
                            .bytes = (int64_t)bytes,
                            .peak = &b->peak,
                            .runs = b->runs};
    fw_conv_shape images;
    fwi_sweep_describe(b->opt, &b->s, w, &images, &row);
    row.seconds = fwi_median(b->seconds, b->runs); /* sorts */
    row.seconds_min = b->seconds[0];
    row.seconds_max = b->seconds[b->runs - 1];
    row.gbytes_per_second = (double)bytes / row.seconds / 1e9;
    row.share_of_peak = row.gbytes_per_second /
                        largest(b->peak.gbytes_read, b->peak.gbytes_copy, b->peak.gbytes_stream);
    b->rows++;
    return b->fn(b->arg, &row);
}

static fw_status measure_sweep(void *user, const fw_conv_shape *s, const fwi_sweep *w)
{
    bench_ops *const b = user;
    b->s = *s;
    for (int i = 0; i < 2; i++) {
        const bool blocked = i == 0;
        if (b->opt->layout != NULL && strcmp(b->opt->layout, blocked ? "blocked" : "nhwc") != 0)
            continue;
        const int32_t nb = blocked ? fwi_cpu_block_of(b->s.n) : 0;
        const fwi_attr attr = fwi_sweep_attr(b->opt, &b->s, w, nb);
        fwi_call c = fwi_sweep_call(&b->s, w, &attr, b->opt->precision, nb);
        c.pool = b->pool;
        const fwi_kernel *const k = blocked == fwi_call_blocked(&c) ? find(b, &c) : NULL;
        if (k != NULL)
            return measure(b, w, k, &c, blocked);
    }
    return FW_OK;
}

/* ---- all rows ---- */

static fw_status check_opt(const fw_bench_ops_opt *o)
{
    const fw_status st = fwi_bench_counts("fw_bench_ops", o->threads, o->runs, o->batch);
    if (st != FW_OK)
        return st;
    if (o->precision != FW_F32 && o->precision != FW_F64 && o->precision != FW_BF16)
        return fwi_fail(FW_EARG, "bench ops: precision %s: only f32, f64 and bf16 are computed in",
                        fw_dtype_name(o->precision));
    if (o->layout != NULL && strcmp(o->layout, "blocked") != 0 && strcmp(o->layout, "nhwc") != 0)
        return fwi_fail(FW_ENOTFOUND, "no layout \"%s\"; there are blocked, nhwc", o->layout);
    return fwi_sweep_check(o);
}

static fw_status measure_all(bench_ops *b)
{
    const fw_bench_ops_opt *const o = b->opt;
    const fw_status st = fwi_sweep_each(o, measure_sweep, b);
    if (st == FW_OK && b->rows == 0)
        return fwi_fail(FW_ENOTFOUND,
                        "no kernel of the instruction set %s does what is asked (precision %s%s%s)",
                        b->table->name, fw_dtype_name(o->precision),
                        o->layout != NULL ? ", layout " : "", o->layout != NULL ? o->layout : "");
    return st;
}

fw_status fw_bench_ops(const fw_bench_ops_opt *opt, fw_bench_ops_fn fn, void *arg)
{
    if (opt == NULL || fn == NULL)
        return fwi_fail(FW_EARG, "fw_bench_ops: NULL argument");
    fwi_isa isa = FWI_ISA_REF;
    if (fwi_names_gpu(opt->device))
        return fwi_bench_gpu_ops(opt, fn, arg);
    fw_status st = check_opt(opt);
    if (st != FW_OK)
        return st;
    bench_ops *b = fwi_alloc_zero(sizeof *b);
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
        st = fwi_cpu_table_choose(&b->table, &isa);
    if (st == FW_OK)
        st = fwi_pool_new(&b->pool, opt->threads);
    b->peak.threads = fwi_pool_threads(b->pool);
    if (st == FW_OK)
        st = fwi_memory_peak(b->pool, &b->peak);
    if (st == FW_OK)
        st = measure_all(b);
    fwi_pool_free(b->pool);
    fwi_free(b->seconds);
    fwi_free(b);
    return st;
}
