/* bench_gpu_conv.c: how fast a GPU's rows for convolutions are on the shapes of real networks, below
 * graph and plan as bench_conv.c has it for CPUs: cuDNN's and our own, on images n h w c that are cold,
 * with filters in f32 as a plan hands them over. The ceiling is read right before and after each row.
 * Next: bench_gpu_tune.c. */
#include "bench_gpu_conv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "mem.h"

enum { PEAK_READINGS = 2, MAX_ALGOS = 8, ALGO_CAP = 24, TEXT_CAP = 512 };

/* Whose it is: a part of its name, as in "conv2d_bf16_nhwc_cudnn". */
static const char *const algo_names[] = {"auto", "cudnn", "wgmma", "narrow", "cuda", "all"};
enum { N_ALGOS = sizeof algo_names / sizeof *algo_names };

static const char *algo_of(const fwi_kernel *k)
{
    for (int i = 1; i < N_ALGOS - 1; i++)
        if (strstr(k->name, algo_names[i]) != NULL)
            return algo_names[i];
    return k->name;
}

/* ---- operands ---- */

fwi_call fwi_gpu_conv_call(const fwi_gpu_conv *b, int64_t i)
{
    const fw_conv_shape *const s = &b->s;
    const fw_dtype type = b->opt->precision;
    fwi_arg x = {.dtype = type, .nb = 1, .shape = fwi_shape4(s->n, s->h, s->w, s->c)};
    fwi_arg w = {.dtype = FW_F32, .shape = fwi_shape4(s->oc, s->k, s->k, s->c)};
    fwi_arg y = {.dtype = type, .nb = 1, .shape = fwi_shape4(s->n, s->oh, s->ow, s->oc)};
    if (b->block != NULL) {
        x.data = (char *)b->block + (size_t)(i % b->n_sets) * b->set_bytes;
        w.data = (char *)x.data + fwi_gpu_round(fwi_operand_bytes(&x));
        y.data = (char *)w.data + fwi_gpu_round(fwi_operand_bytes(&w));
    }
    const fwi_opkind op = fwi_conv_pass_ops[b->pass];
    fwi_call c = {.kind = op, .attr = &b->attr, .stream = b->g.d->stream};
    c.in[0] = op == FWI_OP_conv2d_dx ? y : x;
    c.in[1] = op == FWI_OP_conv2d_dw ? y : w;
    c.out[0] = op == FWI_OP_conv2d ? y : op == FWI_OP_conv2d_dx ? x : w;
    return c;
}

static void clear_operands(fwi_gpu_conv *b)
{
    if (b->block != NULL)
        b->g.d->backend->release(b->g.d, b->block, b->block_bytes);
    b->block = NULL;
}

static fw_status make_operands(fwi_gpu_conv *b)
{
    const fwi_call c = fwi_gpu_conv_call(b, 0);
    b->set_bytes = fwi_gpu_round(fwi_operand_bytes(&c.in[0])) +
                   fwi_gpu_round(fwi_operand_bytes(&c.in[1])) +
                   fwi_gpu_round(fwi_operand_bytes(&c.out[0]));
    fw_status st = fwi_gpu_cold_sets(&b->g, &b->s, b->set_bytes, &b->n_sets);
    b->block_bytes = b->set_bytes * (size_t)b->n_sets;
    if (st == FW_OK)
        st = b->g.d->backend->alloc(b->g.d, b->block_bytes, &b->block);
    return st;
}

/* Inputs of the pass, anew: what the last one left in them would sum to more than numbers of strangers. */
static fw_status fill_inputs(fwi_gpu_conv *b)
{
    const double scale = 1 / sqrt((double)(b->s.k * b->s.k * b->s.c));
    fw_status st = FW_OK;
    for (int i = 0; i < b->n_sets && st == FW_OK; i++) {
        const fwi_call c = fwi_gpu_conv_call(b, i);
        const double hi = c.kind == FWI_OP_conv2d_dw ? 1 : scale; /* of a filter */
        st = fwi_gpu_fill(&b->g, &c.in[0], -1, 1, 1 + 2 * (uint32_t)i);
        if (st == FW_OK)
            st = fwi_gpu_fill(&b->g, &c.in[1], -hi, hi, 2 + 2 * (uint32_t)i);
    }
    return st;
}

/* ---- one way of doing it ---- */

static fw_status run_way(void *user, int64_t i)
{
    const fwi_gpu_way *const w = user;
    fwi_call c = fwi_gpu_conv_call(w->b, i);
    c.scratch = w->scratch;
    return w->kernel != NULL ? w->kernel->run(&c)
                             : w->b->g.probe->engine_run(w->b->g.d, w->engine, &c);
}

fw_status fwi_gpu_way_open(fwi_gpu_way *w)
{
    fwi_device *const d = w->b->g.d;
    fwi_call c = fwi_gpu_conv_call(w->b, 0);
    c.in[0].data = c.in[1].data = c.out[0].data = NULL; /* as scratch is asked for */
    w->scratch_bytes = w->kernel == NULL            ? w->engine->scratch
                       : w->kernel->scratch != NULL ? w->kernel->scratch(&c)
                                                    : 0;
    w->scratch = NULL;
    return d->backend->alloc(d, w->scratch_bytes, &w->scratch);
}

void fwi_gpu_way_close(fwi_gpu_way *w)
{
    if (w->scratch != NULL)
        w->b->g.d->backend->release(w->b->g.d, w->scratch, w->scratch_bytes);
    w->scratch = NULL;
}

fw_status fwi_gpu_way_time(fwi_gpu_way *w)
{
    fwi_gpu_conv *const b = w->b;
    fw_status st = run_way(w, b->n_sets - 1);
    if (st == FW_OK)
        st = b->g.d->backend->sync(b->g.d);
    if (st == FW_OK)
        st = fwi_gpu_time(&b->g, b->runs, run_way, w, b->seconds);
    if (st == FW_OK)
        (void)fwi_median(b->seconds, b->runs); /* sorts */
    return st;
}

fw_status fwi_gpu_way_error(fwi_gpu_way *w, double *error)
{
    fwi_gpu_conv *const b = w->b;
    fwi_device *const d = b->g.d;
    const fwi_call c = fwi_gpu_conv_call(b, 0);
    fwi_call host = c;
    fwi_arg *const args[] = {&host.in[0], &host.in[1], &host.out[0]};
    fw_status st =
        fwi_gpu_fill(&b->g, &c.out[0], 0, 0, 0); /* NaN: another's result is not its own */
    if (st == FW_OK)
        st = run_way(w, 0);
    for (int i = 0; i < 3; i++)
        args[i]->data = NULL;
    for (int i = 0; i < 3 && st == FW_OK; i++) {
        const void *const from = i < 2 ? c.in[i].data : c.out[0].data;
        st = !fwi_operand_alloc(args[i])
                 ? FW_ENOMEM
                 : d->backend->download(d, args[i]->data, from, fwi_operand_bytes(args[i]));
    }
    for (int i = 0; i < 3; i++)
        args[i]->nb = 0; /* blocks of one image are n h w c */
    if (st == FW_OK)
        *error = fwi_conv_error(&b->s, &host, d->pool);
    for (int i = 0; i < 3; i++)
        if (args[i]->data != NULL)
            fwi_operand_free(args[i]);
    return st;
}

/* ---- one row ---- */

static fw_status read_ceiling(fwi_gpu_conv *b, double *out)
{
    double values[PEAK_READINGS];
    *out = 0;
    if (b->ceiling.times == 0)
        return FW_OK;
    const fw_status st = fwi_gpu_load_read(&b->g, &b->ceiling, PEAK_READINGS, values);
    for (int i = 0; i < PEAK_READINGS && st == FW_OK; i++)
        *out = fmax(*out, values[i]);
    return st;
}

static fw_status measure(fwi_gpu_conv *b, const fwi_kernel *k, const char *algo,
                         fw_bench_conv_row *row)
{
    char text[TEXT_CAP] = "";
    fwi_gpu_way w = {.b = b, .kernel = k};
    fw_status st = fwi_gpu_way_open(&w);
    if (st == FW_OK)
        st = read_ceiling(b, &row->peak_before);
    if (st == FW_OK)
        st = fwi_gpu_way_time(&w);
    if (st == FW_OK)
        st = read_ceiling(b, &row->peak_after);
    if (st == FW_OK)
        st = fwi_gpu_way_error(&w, &row->error);
    fwi_gpu_way_close(&w);
    if (st != FW_OK)
        return st;
    const fw_conv_shape *const s = &b->s;
    const double flop =
        2.0 * (double)(s->n * s->oh * s->ow) * (double)(s->oc * s->c) * (double)(s->k * s->k);
    const double peak = fmax(row->peak_before, row->peak_after);
    const fwi_call c = fwi_gpu_conv_call(b, 0);
    if (strcmp(algo, "cuda") != 0 && b->g.probe->row_text != NULL)
        b->g.probe->row_text(b->g.d, &c, k, text, sizeof text);
    row->algo = algo;
    row->kernel = k->name;
    row->engine = text;
    row->scratch_bytes = (int64_t)w.scratch_bytes;
    row->seconds = fwi_median(b->seconds, b->runs);
    row->seconds_min = b->seconds[0];
    row->seconds_max = b->seconds[b->runs - 1];
    row->gflops = row->seconds > 0 ? flop / row->seconds / 1e9 : 0;
    row->executed = fwi_conv_executed(s);
    row->share_of_peak = peak > 0 ? row->gflops / peak : 0;
    row->wrong = !(row->error <= b->bound);
    b->rows++;
    return b->fn(b->arg, row);
}

/* ---- all rows ---- */

static bool takes(const fwi_kernel *k, const fwi_call *c)
{
    return k->op == c->kind && k->dtype == c->in[0].dtype && k->blocked &&
           (k->accepts == NULL || k->accepts(c));
}

/* The first row of each kind; the first of all is the one that training takes. */
static fw_status measure_rows(fwi_gpu_conv *b, const fw_bench_conv_row *common)
{
    const char *seen[MAX_ALGOS];
    int n = 0;
    fw_status st = FW_OK;
    const char *const want = b->opt->tune ? "auto" : b->opt->algo;
    const fwi_call c = fwi_gpu_conv_call(b, 0);
    for (const fwi_op_table *t = b->g.d->table; t != NULL; t = t->base)
        for (const fwi_kernel *k = t->rows; k->run != NULL && st == FW_OK; k++) {
            const char *const algo = algo_of(k);
            bool known = n == MAX_ALGOS || (n > 0 && want != NULL && strcmp(want, "auto") == 0);
            for (int i = 0; i < n; i++)
                known = known || strcmp(seen[i], algo) == 0;
            if (known || !takes(k, &c))
                continue;
            seen[n++] = algo;
            fw_bench_conv_row row = *common;
            row.chosen = n == 1;
            if (want == NULL || strcmp(want, "all") == 0 || strcmp(want, algo) == 0 ||
                (strcmp(want, "auto") == 0 && row.chosen))
                st = measure(b, k, algo, &row);
        }
    return st;
}

static fw_status measure_shape(void *user, const fw_conv_shape *s)
{
    fwi_gpu_conv *const b = user;
    fw_status st = FW_OK;
    b->s = *s;
    b->attr = fwi_conv_attr_of(&b->s, FWI_CONV_ANY);
    for (int pass = 0; pass < 3 && st == FW_OK; pass++) {
        fw_bench_conv_row row = {.shape = &b->s,
                                 .pass = fwi_conv_passes[pass],
                                 .layout = "nhwc",
                                 .runs = b->runs,
                                 .device = b->g.d->label,
                                 .precision = fw_precision_name(b->opt->precision, b->opt->tf32)};
        char path[1024] = "";
        if (!fwi_conv_wants_pass(b->opt, &b->s, pass))
            continue;
        b->pass = pass;
        if (b->block == NULL)
            st = make_operands(b);
        if (st == FW_OK)
            st = fill_inputs(b);
        if (st == FW_OK && b->opt->tune) {
            row.choices = path;
            st = fwi_gpu_tune(b, &row);
            if (st == FW_OK)
                st = b->g.probe->engines_keep(b->g.d, path, sizeof path);
        }
        if (st == FW_OK)
            st = measure_rows(b, &row);
    }
    clear_operands(b);
    return st;
}

static fw_status check_opt(const fw_bench_conv_opt *o)
{
    fw_status st = fwi_bench_counts("fw_bench_conv", o->threads, o->runs, o->batch);
    if (st != FW_OK)
        return st;
    if ((o->precision != FW_F32 && o->precision != FW_BF16 && o->precision != FW_F16) ||
        (o->tf32 && o->precision != FW_F32))
        return fwi_fail(FW_EARG,
                        "bench conv: precision %s: a GPU computes in f32, tf32, bf16 and f16",
                        fw_dtype_name(o->precision));
    if (o->results != NULL)
        return fwi_fail(FW_EARG, "bench conv: recorded peaks are those of CPUs");
    if (o->pass != NULL)
        st = fwi_bench_word("pass", o->pass, fwi_conv_passes, 3, "fwd, dx, dw");
    if (st == FW_OK && o->algo != NULL)
        st = fwi_bench_word("algorithm", o->algo, algo_names, N_ALGOS,
                            "auto, cudnn, wgmma, narrow, cuda, all on a GPU");
    if (st == FW_OK && o->layout != NULL && strcmp(o->layout, "nhwc") != 0)
        st = fwi_fail(FW_ENOTFOUND, "no layout \"%s\" on a GPU; there is nhwc", o->layout);
    if (st == FW_OK && o->tune && o->algo != NULL && strcmp(o->algo, "auto") != 0)
        st = fwi_fail(FW_EARG, "bench conv: what is tuned is auto, not %s", o->algo);
    return st;
}

static fw_status walk_recipe(const fwi_shape_walk *w, const fw_recipe *r)
{
    fw_conv_shape all[FWI_BENCH_SHAPES];
    int n = 0;
    bool known = false;
    fw_status st = fw_recipe_conv_shapes(r, all, FWI_BENCH_SHAPES, &n);
    if (st == FW_OK && n > FWI_BENCH_SHAPES)
        st = fwi_fail(FW_EARG, "bench conv: %d convolutions, at most %d are measured", n,
                      (int)FWI_BENCH_SHAPES);
    if (st == FW_OK)
        st = fwi_walk_shapes(w, all, n, &known);
    if (st == FW_OK && !known)
        st = fwi_fail(FW_ENOTFOUND, "%s has %d convolutions, named conv1 to conv%d%s%s",
                      fw_recipe_name(r), n, n, w->word != NULL ? ", and none is " : "",
                      w->word != NULL ? w->word : "");
    return st;
}

static fw_status measure_all(fwi_gpu_conv *b)
{
    const fw_bench_conv_opt *const o = b->opt;
    const fwi_shape_walk w = {.word = o->shape,
                              .wants = fwi_conv_shape_named,
                              .batch = o->batch,
                              .each = measure_shape,
                              .user = b};
    const fw_status st = o->recipe != NULL ? walk_recipe(&w, o->recipe) : fwi_walk_known_shapes(&w);
    if (st == FW_OK && b->rows == 0)
        return fwi_fail(FW_ENOTFOUND, "%s has no kernel that does what is asked (precision %s%s%s)",
                        b->g.d->label, fw_precision_name(o->precision, o->tf32),
                        o->algo != NULL ? ", algorithm " : "", o->algo != NULL ? o->algo : "");
    return st;
}

fw_status fwi_bench_gpu_conv(const fw_bench_conv_opt *opt, fw_bench_conv_fn fn, void *arg)
{
    fw_status st = check_opt(opt);
    if (st != FW_OK)
        return st;
    fwi_gpu_conv *b = fwi_alloc_zero(sizeof *b);
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
        st = fwi_gpu_open(&b->g, opt->device, opt->threads, opt->tf32);
    if (st != FW_OK)
        goto done;
    const fwi_call typed = {.in[0].dtype = opt->precision};
    /* tf32 has the fraction of f16, and its products round both operands, not the result */
    b->bound = opt->tf32 ? 4e-3 : fwi_conv_error_bound(&typed, FWI_CONV_DIRECT);
    if (opt->tune)
        st = fwi_gpu_tune_begin(b);
    if (st == FW_OK)
        st = fwi_gpu_load_open(&b->g, fwi_gpu_load_for(opt->precision, opt->tf32), &b->ceiling);
    if (st == FW_EUNAVAILABLE && !opt->tune) /* rows without a share */
        st = FW_OK;
    if (st == FW_OK)
        st = measure_all(b);
done:
    if (b->g.d != NULL)
        fwi_gpu_load_close(&b->g, &b->ceiling);
    fwi_gpu_close(&b->g);
    fwi_free(b->seconds);
    fwi_free(b);
    return st;
}
