/* bench_ops.c: how fast the sweeps between convolutions are: normalisation, activations, pools,
 * sums, and the fused ones that stand for several. They do little arithmetic, so what counts is
 * bytes per second beside what the memory can do (bench_peak.c). Images have the shapes that the
 * convolutions of bench/shapes.txt give, cold, in the layout of training. Read before:
 * bench_operand.c. */
#include "bench_inner.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "fail.h"
#include "mem.h"

enum { DEFAULT_RUNS = 7, MAX_RUNS = 1000, MAX_BATCH = 1 << 20, MAX_SHAPES = 128 };

/* An op and its operands, a letter each: X images, P images behind a 2x2 pool, I a pool's places, G
 * what a global pool leaves of them, J its places, c a number per channel, s a statistic of the
 * batch, v a variance. */
typedef struct sweep {
    fwi_opkind op;
    const char *in, *out;
} sweep;
static const sweep sweeps[] = {
    {FWI_OP_bn_train, "Xcc", "Xss"},
    {FWI_OP_bn_train_grad, "XXcsv", "Xcc"},
    {FWI_OP_relu, "X", "X"},
    {FWI_OP_relu_grad, "XX", "X"},
    {FWI_OP_act, "X", "X"},
    {FWI_OP_act_grad, "XX", "X"},
    {FWI_OP_bias_add, "Xc", "X"},
    {FWI_OP_sum_rows, "X", "c"},
    {FWI_OP_add, "XX", "X"},
    {FWI_OP_max_pool, "X", "PI"},
    {FWI_OP_max_pool_grad, "PI", "X"},
    {FWI_OP_global_max_pool, "X", "GJ"},
    {FWI_OP_global_max_pool_grad, "GJ", "X"},
    {FWI_OP_bn_stats, "X", "ss"},
    {FWI_OP_max_pool_stats, "X", "PIss"},
    {FWI_OP_bn_act, "Xccsv", "X"},
    {FWI_OP_bn_act_add, "XccsvX", "X"},
    {FWI_OP_bn_act_pool, "Xccsv", "PI"},
    {FWI_OP_bn_act_grad, "XXccsv", "Xcc"},
    {FWI_OP_bn_act_pool_grad, "PIXccsv", "Xcc"},
    {FWI_OP_bn_act_unpool_grad, "PIPccsv", "Xcc"},
    {FWI_OP_bias_act, "Xc", "X"},
    {FWI_OP_bias_act_grad, "XXc", "Xc"},
};
enum { N_SWEEPS = sizeof sweeps / sizeof *sweeps };

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

/* ---- one call ---- */

/* The activation of the net that the shape is from. */
static fwi_attr attributes(const fw_conv_shape *s, const sweep *w)
{
    const bool gelu = strncmp(s->net, "airbench", 8) == 0,
               pools = strpbrk(w->in, "I") != NULL || strpbrk(w->out, "I") != NULL;
    const int64_t fn = gelu ? FWI_GELU : FWI_FUSED_RELU;
    const fwi_op_info *info = fwi_op_info_get(w->op);
    if (strcmp(info->attr, "bn") == 0)
        return (fwi_attr){.bn = {.eps = 1e-5, .groups = 1}};
    if (strcmp(info->attr, "bn_act") == 0)
        return (fwi_attr){.bn_act = {.eps = 1e-5,
                                     .fn = fn,
                                     .k = pools ? 2 : 0,
                                     .ih = pools ? s->oh : 0,
                                     .iw = pools ? s->ow : 0}};
    if (strcmp(info->attr, "act") == 0) /* act itself has no ReLU */
        return (fwi_attr){
            .act = {.fn = w->op == FWI_OP_act || w->op == FWI_OP_act_grad ? FWI_GELU : fn}};
    return (fwi_attr){.pool = {.k = 2, .stride = 2, .ih = s->oh, .iw = s->ow}};
}

static fwi_arg operand(const bench_ops *b, char letter, bool blocked)
{
    const fw_conv_shape *const s = &b->s;
    const fw_dtype real = b->opt->precision == FW_F64 ? FW_F64 : FW_F32;
    fwi_arg a = {.dtype = real, .shape = fwi_shape1(s->oc)};
    switch (letter) {
    case 'X':
        a.shape = fwi_shape4(s->n, s->oh, s->ow, s->oc);
        break;
    case 'P':
    case 'I':
        a.shape = fwi_shape4(s->n, s->oh / 2, s->ow / 2, s->oc);
        break;
    case 'G':
    case 'J':
        a.shape = fwi_shape2(s->n, s->oc);
        break;
    case 's':
    case 'v':
        a.shape = fwi_shape2(1, s->oc);
        break;
    default:
        break;
    }
    if (letter == 'I')
        a.dtype = FW_U8;
    if (letter == 'J')
        a.dtype = FW_I32;
    if (blocked) {
        a.nb = fwi_cpu_block_of(s->n);
        if (letter != 'I')
            a.dtype = b->opt->precision;
    }
    return a;
}

static fwi_call describe(const bench_ops *b, const sweep *w, const fwi_attr *attr, bool blocked)
{
    const fwi_layout layout = blocked ? fwi_op_layout(w->op) : (fwi_layout){0};
    fwi_call c = {.kind = w->op, .attr = attr, .pool = b->pool};
    for (int i = 0; w->in[i] != 0; i++)
        c.in[i] = operand(b, w->in[i], layout.in >> i & 1);
    for (int i = 0; w->out[i] != 0; i++)
        c.out[i] = operand(b, w->out[i], layout.out >> i & 1);
    return c;
}

/* A row of the table, but none of the reference's unless that is forced. */
static const fwi_kernel *find(const bench_ops *b, const fwi_call *c)
{
    const fwi_op_table *from = NULL;
    const fwi_kernel *const k = fwi_table_find(b->table, c, &from);
    return k == NULL || (from->base == NULL && from != b->table) ? NULL : k;
}

static bool over_itself(const bench_ops *b, const sweep *w)
{
    return b->opt->in_place && (fwi_op_info_get(w->op)->flags & FWI_ALIAS) != 0;
}

static void clear(bench_ops *b, const sweep *w, int sets)
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

static fw_status fill(bench_ops *b, const sweep *w, fwi_call *c, uint32_t seed)
{
    for (int k = 0; w->in[k] != 0; k++) {
        const char letter = w->in[k];
        const double places = letter == 'I' ? 4 : (double)(b->s.oh * b->s.ow);
        if (!fwi_operand_alloc(&c->in[k]))
            return FW_ENOMEM;
        if (letter == 'I' || letter == 'J')
            fwi_operand_fill(b->pool, &c->in[k], 0, places, seed + (uint32_t)k);
        else
            fwi_operand_fill(b->pool, &c->in[k], letter == 'v' ? 0.5 : -1, letter == 'v' ? 1.5 : 1,
                             seed + (uint32_t)k);
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

static fw_status measure(bench_ops *b, const sweep *w, const fwi_kernel *k, const fwi_call *shapes,
                         bool blocked)
{
    const size_t scratch_bytes = k->scratch != NULL ? k->scratch(shapes) : 0;
    size_t bytes = 0;
    for (int i = 0; w->in[i] != 0; i++)
        bytes += fwi_operand_bytes(&shapes->in[i]);
    for (int i = 0; w->out[i] != 0; i++)
        bytes += fwi_operand_bytes(&shapes->out[i]);
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
                            .shape = &b->s,
                            .in_place = over_itself(b, w),
                            .bytes = (int64_t)bytes,
                            .peak = &b->peak,
                            .runs = b->runs};
    row.seconds = fwi_median(b->seconds, b->runs); /* sorts */
    row.seconds_min = b->seconds[0];
    row.seconds_max = b->seconds[b->runs - 1];
    row.gbytes_per_second = (double)bytes / row.seconds / 1e9;
    row.share_of_peak = row.gbytes_per_second /
                        largest(b->peak.gbytes_read, b->peak.gbytes_copy, b->peak.gbytes_stream);
    b->rows++;
    return b->fn(b->arg, &row);
}

static fw_status measure_sweep(bench_ops *b, const sweep *w)
{
    const fwi_attr attr = attributes(&b->s, w);
    const bool pools = strpbrk(w->in, "PI") != NULL || strpbrk(w->out, "PI") != NULL;
    if (pools && (b->s.oh < 2 || b->s.ow < 2))
        return FW_OK;
    for (int blocked = 1; blocked >= 0; blocked--) {
        if (b->opt->layout != NULL && strcmp(b->opt->layout, blocked ? "blocked" : "nhwc") != 0)
            continue;
        const fwi_call c = describe(b, w, &attr, blocked);
        const fwi_kernel *const k = find(b, &c);
        if (k != NULL)
            return measure(b, w, k, &c, blocked);
    }
    return FW_OK;
}

/* ---- all rows ---- */

static fw_status unknown_op(const char *word)
{
    fwi_buf names = {0};
    fw_status st = FW_OK;
    for (int i = 0; i < N_SWEEPS && st == FW_OK; i++)
        st =
            fwi_buf_printf(&names, "%s%s", i == 0 ? "" : ", ", fwi_op_info_get(sweeps[i].op)->name);
    if (st == FW_OK)
        st = fwi_fail(FW_ENOTFOUND, "no op \"%s\" here; there are %s", word,
                      (const char *)names.data);
    fwi_buf_clear(&names);
    return st;
}

static fw_status check_opt(const fw_bench_ops_opt *o)
{
    if (o->threads < 0 || o->runs < 0 || o->runs > MAX_RUNS || o->batch < 0 || o->batch > MAX_BATCH)
        return fwi_fail(FW_EARG,
                        "fw_bench_ops: negative threads, or not 0 to %d runs of a batch of 0 to %d",
                        (int)MAX_RUNS, (int)MAX_BATCH);
    if (o->precision != FW_F32 && o->precision != FW_F64 && o->precision != FW_BF16)
        return fwi_fail(FW_EARG, "bench ops: precision %s: only f32, f64 and bf16 are computed in",
                        fw_dtype_name(o->precision));
    if (o->layout != NULL && strcmp(o->layout, "blocked") != 0 && strcmp(o->layout, "nhwc") != 0)
        return fwi_fail(FW_ENOTFOUND, "no layout \"%s\"; there are blocked, nhwc", o->layout);
    for (int i = 0; o->op != NULL; i++) {
        if (i == N_SWEEPS)
            return unknown_op(o->op);
        if (strcmp(fwi_op_info_get(sweeps[i].op)->name, o->op) == 0)
            break;
    }
    return FW_OK;
}

/* Without a word: the nets that the recipes train. */
static bool wanted(const fw_conv_shape *s, const char *word)
{
    if (word != NULL)
        return fwi_conv_shape_named(s, word);
    return strcmp(s->net, "davidnet") == 0 || strcmp(s->net, "airbench94") == 0;
}

static fw_status measure_all(bench_ops *b)
{
    fw_conv_shape all[MAX_SHAPES];
    const int n = fw_conv_shapes(all, MAX_SHAPES);
    const fw_bench_ops_opt *const o = b->opt;
    bool known = false;
    fw_status st = FW_OK;
    for (int i = 0; i < n && i < MAX_SHAPES && st == FW_OK; i++) {
        if (!wanted(&all[i], o->shape))
            continue;
        known = true;
        b->s = all[i];
        if (o->batch > 0)
            b->s.n = o->batch;
        for (int k = 0; k < N_SWEEPS && st == FW_OK; k++)
            if (o->op == NULL || strcmp(fwi_op_info_get(sweeps[k].op)->name, o->op) == 0)
                st = measure_sweep(b, &sweeps[k]);
    }
    if (st == FW_OK && !known)
        return fwi_conv_shape_unknown(o->shape);
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
    fw_status st = check_opt(opt);
    if (st != FW_OK)
        return st;
    bench_ops *b = fwi_alloc_zero(sizeof *b);
    if (b == NULL)
        return FW_ENOMEM;
    b->opt = opt;
    b->fn = fn;
    b->arg = arg;
    b->runs = opt->runs > 0 ? opt->runs : DEFAULT_RUNS;
    b->seconds = fwi_alloc_array((size_t)b->runs, sizeof *b->seconds);
    if (b->seconds == NULL)
        st = FW_ENOMEM;
    if (st == FW_OK)
        st = fwi_isa_choose(&isa);
    if (st == FW_OK)
        st = fwi_pool_new(&b->pool, opt->threads);
    b->peak.threads = fwi_pool_threads(b->pool);
    if (st == FW_OK)
        st = fwi_memory_peak(b->pool, &b->peak);
    if (st == FW_OK) {
        b->table = fwi_cpu_table(isa);
        st = measure_all(b);
    }
    fwi_pool_free(b->pool);
    fwi_free(b->seconds);
    fwi_free(b);
    return st;
}
