/* bench_conv.c: how fast the convolution kernels are on the shapes of real networks
 * (bench/shapes.txt), below graph and plan, so that one shape, pass and algorithm can be worked on
 * alone. Operands are as in training: batch-blocked where a table has rows for that, and cold,
 * because what a layer reads was written a whole network ago. Ceilings are read right before and
 * after, since a machine's clock and neighbours change within seconds. This is for CPUs. Next:
 * bench_conv_check.c, bench_gpu_conv.c. */
#include "bench_conv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "fail.h"
#include "mem.h"
#include "recipe_inner.h"

enum { PEAK_READINGS = 6, ATTEMPTS = 3 };
#define LOWEST_PEAK 0.95 /* of the best recorded */

const char *const fwi_conv_passes[] = {"fwd", "dx", "dw"};
const fwi_opkind fwi_conv_pass_ops[] = {FWI_OP_conv2d, FWI_OP_conv2d_dx, FWI_OP_conv2d_dw};
enum { N_PASSES = 3 };

/* ---- operands ---- */

/* One set of operands: image, filter and result, or their gradients. */
typedef struct operands {
    fwi_arg x, w, y;
} operands;

typedef struct bench_conv {
    const fw_bench_conv_opt *opt;
    fwi_isa isa;
    const fwi_op_table *table;
    fwi_pool *pool;
    fwi_ceiling ceiling;
    double peak_best;
    int64_t runs;
    double *seconds; /* [runs] */
    fw_bench_conv_fn fn;
    void *arg;
    int64_t rows;
    /* of the shape in hand */
    fw_conv_shape s;
    int32_t nb;
    operands set[FWI_COLD_SETS];
    int n_sets;
} bench_conv;

static void clear_operands(bench_conv *b)
{
    for (int i = 0; i < b->n_sets; i++) {
        fwi_operand_free(&b->set[i].x);
        fwi_operand_free(&b->set[i].w);
        fwi_operand_free(&b->set[i].y);
    }
    b->n_sets = 0;
}

static operands describe(const bench_conv *b, int32_t nb)
{
    const fw_conv_shape *const s = &b->s;
    const fw_dtype type = b->opt->precision;
    return (operands){
        .x = {.dtype = type, .nb = nb, .shape = fwi_shape4(s->n, s->h, s->w, s->c)},
        .w = {.dtype = type == FW_BF16 ? FW_F32 : type,
              .shape = fwi_shape4(s->oc, s->k, s->k, s->c)},
        .y = {.dtype = type, .nb = nb, .shape = fwi_shape4(s->n, s->oh, s->ow, s->oc)}};
}

/* As many sets as it takes to push each other out of the last-level cache. */
static fw_status make_operands(bench_conv *b)
{
    const operands o = describe(b, b->nb);
    const size_t bytes =
        fwi_operand_bytes(&o.x) + fwi_operand_bytes(&o.w) + fwi_operand_bytes(&o.y);
    const int sets = fwi_cold_sets(bytes);
    const fw_status st = fwi_operands_fit(&b->s, bytes * (size_t)sets);
    if (st != FW_OK)
        return st;
    do { /* there is at least one */
        operands *const p = &b->set[b->n_sets++];
        *p = o;
        if (!fwi_operand_alloc(&p->x) || !fwi_operand_alloc(&p->w) || !fwi_operand_alloc(&p->y))
            return FW_ENOMEM;
    } while (b->n_sets < sets);
    return FW_OK;
}

/* Anew for each pass: x as the last pass made it would be made of y, and their products would sum to
 * more than those of strangers. */
static void fill_operands(bench_conv *b)
{
    const float scale = 1 / sqrtf((float)(b->s.k * b->s.k * b->s.c));
    for (int i = 0; i < b->n_sets; i++) {
        const operands *const p = &b->set[i];
        fwi_operand_fill(b->pool, &p->x, -1, 1, 1 + 3 * (uint32_t)i);
        fwi_operand_fill(b->pool, &p->w, -scale, scale, 2 + 3 * (uint32_t)i);
        fwi_operand_fill(b->pool, &p->y, -1, 1, 3 + 3 * (uint32_t)i);
    }
}

static fwi_call call_of(fwi_opkind op, const operands *o, const fwi_attr *attr, fwi_pool *pool)
{
    fwi_call c = {.kind = op, .attr = attr, .pool = pool};
    c.in[0] = op == FWI_OP_conv2d_dx ? o->y : o->x;
    c.in[1] = op == FWI_OP_conv2d_dw ? o->y : o->w;
    c.out[0] = op == FWI_OP_conv2d ? o->y : op == FWI_OP_conv2d_dx ? o->x : o->w;
    return c;
}

/* ---- one row ---- */

fwi_attr fwi_conv_attr_of(const fw_conv_shape *s, fwi_conv_algo algo)
{
    return (fwi_attr){.conv = {.kh = s->k,
                               .kw = s->k,
                               .stride = s->stride,
                               .pad_t = s->pad,
                               .pad_l = s->pad,
                               .pad_b = s->pad,
                               .pad_r = s->pad,
                               .ih = s->h,
                               .iw = s->w,
                               .algo = algo}};
}

/* The row for this algorithm and no other, and none of the reference's unless that is forced. Rows
 * of direct kernels take every call, so a Winograd row is one that an ANY call does not get. */
static const fwi_kernel *find(const bench_conv *b, fwi_opkind op, fwi_conv_algo algo, int32_t nb)
{
    const operands o = describe(b, nb);
    const fwi_op_table *from = NULL;
    const fwi_attr attr = fwi_conv_attr_of(&b->s, algo),
                   any = fwi_conv_attr_of(&b->s, FWI_CONV_DIRECT);
    const fwi_call c = call_of(op, &o, &attr, b->pool), d = call_of(op, &o, &any, b->pool);
    const fwi_kernel *const k = fwi_table_find(b->table, &c, &from);
    if (k == NULL || (from->base == NULL && from != b->table))
        return NULL;
    if (algo != FWI_CONV_ANY && algo != FWI_CONV_DIRECT && k == fwi_table_find(b->table, &d, NULL))
        return NULL;
    return k;
}

/* What the lowering picks for this call: asked as it is asked in training, of a graph of one op. */
static fw_status choose(const bench_conv *b, fwi_opkind op, int32_t nb, fwi_conv_algo *out)
{
    const operands o = describe(b, nb);
    const fwi_attr attr = fwi_conv_attr_of(&b->s, FWI_CONV_ANY);
    const fwi_call c = call_of(op, &o, &attr, b->pool);
    const fw_dtype real = b->opt->precision == FW_F64 ? FW_F64 : FW_F32;
    fwi_graph *g = NULL;
    fw_status st = fwi_graph_new(&g, real);
    if (st != FW_OK)
        return st;
    const fwi_val in[] = {fwi_graph_input(g, "first", real, c.in[0].shape),
                          fwi_graph_input(g, "second", real, c.in[1].shape)};
    const fwi_val y = fwi_graph_op(g, op, &attr, in, 2, NULL);
    if ((st = fwi_graph_status(g)) == FW_OK) {
        const fwi_val v[] = {in[0], in[1], y};
        const fwi_arg *const a[] = {&c.in[0], &c.in[1], &c.out[0]};
        g->storage = b->opt->precision;
        for (int i = 0; i < 3; i++) {
            g->tensors[v[i]].dtype = a[i]->dtype;
            g->tensors[v[i]].nb = a[i]->nb;
        }
        st = fwi_cpu_choose_conv(g, b->table);
        *out = (fwi_conv_algo)g->ops[0].attr.conv.algo;
    }
    fwi_graph_free(g);
    return st;
}

static void time_row(bench_conv *b, const fwi_kernel *k, fwi_opkind op, const fwi_attr *attr,
                     void *scratch, fw_status *st)
{
    for (int64_t i = -1; i < b->runs && *st == FW_OK; i++) {
        fwi_call c = call_of(op, &b->set[(i + b->n_sets) % b->n_sets], attr, b->pool);
        c.scratch = scratch;
        const double start = fwi_now();
        *st = k->run(&c);
        if (i >= 0)
            b->seconds[i] = fwi_now() - start;
    }
}

static fw_status measure(bench_conv *b, int pass, fwi_conv_algo algo, bool chosen,
                         const fwi_kernel *k)
{
    const fwi_attr attr = fwi_conv_attr_of(&b->s, algo);
    const operands *const last = &b->set[(b->runs - 1) % b->n_sets];
    fwi_call c = call_of(fwi_conv_pass_ops[pass], last, &attr, b->pool);
    fw_bench_conv_row row = {.shape = &b->s,
                             .pass = fwi_conv_passes[pass],
                             .algo = fwi_conv_algo_names[algo],
                             .chosen = chosen,
                             .kernel = k->name,
                             .layout = b->nb > 0 ? "blocked" : "nhwc",
                             .peak_best = b->peak_best,
                             .runs = b->runs};
    fwi_call shapes = c; /* as scratch is asked for: without data */
    for (int i = 0; i < 2; i++)
        shapes.in[i].data = NULL;
    shapes.out[0].data = NULL;
    const size_t bytes = k->scratch != NULL ? k->scratch(&shapes) : 0;
    void *const scratch = fwi_big_alloc(bytes);
    fw_status st = scratch == NULL ? FW_ENOMEM : FW_OK;
    if (st == FW_OK)
        memset(c.out[0].data, 0xFF,
               fwi_operand_bytes(&c.out[0])); /* NaN: another's result is not its own */
    for (int attempt = 0; attempt < ATTEMPTS && st == FW_OK; attempt++) {
        row.peak_before = fwi_ceiling_read(&b->ceiling, PEAK_READINGS);
        time_row(b, k, c.kind, &attr, scratch, &st);
        row.peak_after = fwi_ceiling_read(&b->ceiling, PEAK_READINGS);
        row.slow = fmax(row.peak_before, row.peak_after) < LOWEST_PEAK * b->peak_best;
        if (!row.slow)
            break;
    }
    if (scratch != NULL)
        fwi_big_free(scratch, bytes);
    if (st != FW_OK)
        return st;
    const fw_conv_shape *const s = &b->s;
    const double flop =
        2.0 * (double)(s->n * s->oh * s->ow) * (double)(s->oc * s->c) * (double)(s->k * s->k);
    const bool winograd = algo >= FWI_CONV_WINO2;
    row.scratch_bytes = (int64_t)bytes;
    row.seconds = fwi_median(b->seconds, b->runs); /* sorts */
    row.seconds_min = b->seconds[0];
    row.seconds_max = b->seconds[b->runs - 1];
    row.gflops = flop / row.seconds / 1e9;
    row.executed = fwi_conv_executed(s);
    row.share_of_peak =
        row.gflops * (winograd ? 1 : row.executed) / fmax(row.peak_before, row.peak_after);
    row.error = fwi_conv_error(s, &c, b->pool);
    row.wrong = !(row.error <= fwi_conv_error_bound(&c, algo));
    b->rows++;
    return b->fn(b->arg, &row);
}

/* ---- all rows ---- */

/* chosen: training takes it. */
static bool wants_algo(const fw_bench_conv_opt *o, fwi_conv_algo algo, bool chosen)
{
    return o->algo == NULL || strcmp(o->algo, "all") == 0 ||
           strcmp(o->algo, fwi_conv_algo_names[algo]) == 0 ||
           (chosen && strcmp(o->algo, fwi_conv_algo_names[FWI_CONV_ANY]) == 0);
}

static bool wants_layout(const fw_bench_conv_opt *o, bool blocked)
{
    return o->layout == NULL || strcmp(o->layout, blocked ? "blocked" : "nhwc") == 0;
}

/* No gradient is wanted of what a network was given. */
bool fwi_conv_wants_pass(const fw_bench_conv_opt *o, const fw_conv_shape *s, int pass)
{
    return o->pass != NULL ? strcmp(o->pass, fwi_conv_passes[pass]) == 0
                           : fwi_conv_pass_ops[pass] != FWI_OP_conv2d_dx || s->c > 3;
}

/* The rows of one layout. Those that another layout has too are left out if skip says so. */
static fw_status measure_pass(bench_conv *b, int pass, int32_t nb, bool skip, bool *filled)
{
    const fwi_opkind op = fwi_conv_pass_ops[pass];
    const int32_t block = fwi_cpu_block_of(b->s.n);
    /* as the lowering decides it: blocked if there is a row for that without further wishes */
    const bool trains = nb == (find(b, op, FWI_CONV_ANY, block) != NULL ? block : 0);
    fwi_conv_algo chosen = FWI_CONV_DIRECT;
    fw_status st = choose(b, op, nb, &chosen);
    for (int i = FWI_CONV_DIRECT; i < FWI_CONV_ALGOS && st == FW_OK; i++) {
        const fwi_conv_algo algo = (fwi_conv_algo)i;
        const bool star = trains && algo == chosen;
        if (!wants_algo(b->opt, algo, star))
            continue;
        const fwi_kernel *const k = find(b, op, algo, nb);
        if (k == NULL || (skip && find(b, op, algo, block) != NULL))
            continue;
        if (b->n_sets > 0 && b->nb != nb)
            clear_operands(b);
        b->nb = nb;
        if (b->n_sets == 0)
            st = make_operands(b);
        if (st == FW_OK && !*filled)
            fill_operands(b);
        *filled = true;
        if (st == FW_OK)
            st = measure(b, pass, algo, star, k);
    }
    return st;
}

static fw_status measure_shape(void *user, const fw_conv_shape *s)
{
    bench_conv *const b = user;
    const bool both = wants_layout(b->opt, true) && wants_layout(b->opt, false);
    fw_status st = FW_OK;
    b->s = *s;
    for (int pass = 0; pass < N_PASSES && st == FW_OK; pass++) {
        bool blocked = false, flat = false;
        if (!fwi_conv_wants_pass(b->opt, &b->s, pass))
            continue;
        if (wants_layout(b->opt, true))
            st = measure_pass(b, pass, fwi_cpu_block_of(b->s.n), false, &blocked);
        if (st == FW_OK && wants_layout(b->opt, false))
            st = measure_pass(b, pass, 0, both, &flat);
    }
    clear_operands(b);
    return st;
}

fw_status fwi_bench_word(const char *what, const char *word, const char *const *names, int n,
                         const char *list)
{
    for (int i = 0; i < n; i++)
        if (strcmp(word, names[i]) == 0)
            return FW_OK;
    return fwi_fail(FW_ENOTFOUND, "no %s \"%s\"; there are %s", what, word, list);
}

static fw_status check_opt(const fw_bench_conv_opt *o)
{
    static const char *const layouts[] = {"blocked", "nhwc"};
    fw_status st = fwi_bench_counts("fw_bench_conv", o->threads, o->runs, o->batch);
    if (st != FW_OK)
        return st;
    if (o->recipe != NULL)
        return fwi_fail(FW_EARG, "bench conv: the convolutions of a recipe are for a GPU");
    if (o->tune)
        return fwi_fail(FW_EARG, "bench conv: engines are a GPU's: tuning needs one as its device");
    if (o->tf32 || (o->precision != FW_F32 && o->precision != FW_F64 && o->precision != FW_BF16))
        return fwi_fail(FW_EARG, "bench conv: precision %s: only f32, f64 and bf16 are computed in",
                        fw_precision_name(o->precision, o->tf32));
    if (o->pass != NULL)
        st = fwi_bench_word("pass", o->pass, fwi_conv_passes, N_PASSES, "fwd, dx, dw");
    if (st == FW_OK && o->algo != NULL && strcmp(o->algo, "all") != 0)
        st = fwi_bench_word("algorithm", o->algo, fwi_conv_algo_names, FWI_CONV_ALGOS,
                            "auto, direct, winograd2 to winograd7, all");
    if (st == FW_OK && o->layout != NULL)
        st = fwi_bench_word("layout", o->layout, layouts, 2, "blocked, nhwc");
    return st;
}

static fw_status measure_all(bench_conv *b)
{
    const fw_status st = fwi_walk_known_shapes(&(fwi_shape_walk){.word = b->opt->shape,
                                                                 .wants = fwi_conv_shape_named,
                                                                 .batch = b->opt->batch,
                                                                 .each = measure_shape,
                                                                 .user = b});
    if (st == FW_OK && b->rows == 0)
        return fwi_fail(FW_ENOTFOUND,
                        "no kernel of the instruction set %s does what is asked (precision %s%s%s"
                        "%s%s)",
                        fwi_isa_name(b->isa), fw_dtype_name(b->opt->precision),
                        b->opt->algo != NULL ? ", algorithm " : "",
                        b->opt->algo != NULL ? b->opt->algo : "",
                        b->opt->layout != NULL ? ", layout " : "",
                        b->opt->layout != NULL ? b->opt->layout : "");
    return st;
}

fw_status fw_bench_conv(const fw_bench_conv_opt *opt, fw_bench_conv_fn fn, void *arg)
{
    if (opt == NULL || fn == NULL)
        return fwi_fail(FW_EARG, "fw_bench_conv: NULL argument");
    if (fwi_names_gpu(opt->device))
        return fwi_bench_gpu_conv(opt, fn, arg);
    fw_status st = check_opt(opt);
    if (st != FW_OK)
        return st;
    bench_conv *b = fwi_alloc_zero(sizeof *b);
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
        st = fwi_cpu_table_choose(&b->table, &b->isa);
    if (st == FW_OK)
        st = fwi_pool_new(&b->pool, opt->threads);
    if (st != FW_OK)
        goto done;
    fw_peak best = {0};
    st = fw_peak_recorded(opt->results, fwi_pool_threads(b->pool), &best);
    if (st == FW_OK)
        b->peak_best = fwi_peak_for(&best, opt->precision);
    else if (opt->results == NULL && st == FW_ENOTFOUND) /* a new machine */
        st = FW_OK;
    if (st == FW_OK)
        st = fwi_ceiling_init(&b->ceiling, b->pool, b->isa, opt->precision);
    if (st == FW_OK)
        st = measure_all(b);
done:
    fwi_ceiling_clear(&b->ceiling);
    fwi_pool_free(b->pool);
    fwi_free(b->seconds);
    fwi_free(b);
    return st;
}
