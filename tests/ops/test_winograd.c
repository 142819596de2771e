/* test_winograd.c: convolution and its input's gradient by Winograd's algorithms, every instruction
 * set, against the double reference on random shapes. The filter's gradient: test_winograd_dw.c.
 *
 * The measure is |got - want| over |terms|, both 2-norms over the whole output, where |terms| is the
 * root of the sum of the squares of all products that were added: what the output would be if signs
 * were drawn by lot. An element has no bound of its own: its error is that of the sums of its whole
 * square of outputs, which the last transform takes apart, and those may be far larger than it is.
 *   f32: F2 1e-6, F3 2e-6, F4 3e-6, F5 6e-6, F6 1.2e-5: some units of 2^-24, the more the farther
 *   apart in size the transformed numbers are.
 *   bf16 with products of f32: 5e-3, filter and output rounded, nothing between them; F7 is for
 *   these alone.
 *   bf16 with products of bf16: F2 1.5e-2, F3 and F4 3e-2: both factors rounded by up to 2^-9 of
 *   themselves after a transform whose numbers are larger than what they come to in the end, and the
 *   output rounded. On the layers of a network, where sums are long, test_layers holds them to 5e-3,
 *   8e-3 and 1.5e-2.
 * Inputs are normal, or such with the negative ones set to 0, as behind a ReLU. With small whole
 * numbers F2 has nothing to round: every output must be exact, in bf16 up to its last rounding. Where
 * F7's should be under 4 they are off by less than 0.02, twice bf16's step there: so its own error shows,
 * of 1e-5 of |terms|, which the rounding of normal numbers to bf16 hides.
 * conv2d_stats: mean and variance of what was stored, in bf16 of what was about to be.
 * ctest: tsan */
#include "t_wino.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a case: one op, its inputs, what should come out ---- */
typedef struct wino_case {
    t_wino_shape s;
    fwi_opkind op; /* conv2d, conv2d_stats or conv2d_dx */
    fw_dtype dtype;
    bool exact;
    fwi_shape in, w, out;
    double *x, *f; /* images and filter, n h w c; images exact in dtype */
    double *want;
    double terms; /* |terms| of the measure */
} wino_case;

/* The reference on these values; gives output 0. */
static double *by_definition(const wino_case *t, const double *x, const double *f)
{
    const fwi_attr a = t_wino_attr(&t->s, FWI_CONV_ANY);
    double *const out = t_must(malloc((size_t)fwi_shape_elems(&t->out) * sizeof *out)),
                  *outs[] = {out};
    t_case c;
    t_begin(&c, t->op == FWI_OP_conv2d_dx ? FWI_OP_conv2d_dx : FWI_OP_conv2d, &a);
    t_values(&c, FW_F32, t->in, x);
    t_values(&c, FW_F32, t->w, f);
    t_reference(&c, outs);
    t_drop(&c);
    return out;
}

static double *squares(const double *v, int64_t n)
{
    double *const s = t_must(malloc((size_t)n * sizeof *s));
    for (int64_t i = 0; i < n; i++)
        s[i] = v[i] * v[i];
    return s;
}

/* What the definition makes of the case's numbers, and the root of the sum of squares of all terms. */
static void set_want(wino_case *t)
{
    double *const x2 = squares(t->x, fwi_shape_elems(&t->in));
    double *const f2 = squares(t->f, fwi_shape_elems(&t->w));
    double *const terms = by_definition(t, x2, f2);
    free(t->want);
    t->want = by_definition(t, t->x, t->f);
    t->terms = 0;
    for (int64_t i = 0; i < fwi_shape_elems(&t->out); i++)
        t->terms += terms[i];
    t->terms = sqrt(t->terms);
    free(x2);
    free(f2);
    free(terms);
}

static wino_case case_of(const t_wino_shape *s, fwi_opkind op, fw_dtype dtype, t_fill fill)
{
    const fwi_shape x = fwi_shape4(s->n, s->h, s->w, s->c),
                    y = fwi_shape4(s->n, s->oh, s->ow, s->oc);
    const bool dx = op == FWI_OP_conv2d_dx;
    wino_case t = {.s = *s,
                   .op = op,
                   .dtype = dtype,
                   .exact = fill == T_INTS,
                   .in = dx ? y : x,
                   .out = dx ? x : y,
                   .w = fwi_shape4(s->oc, 3, 3, s->c)};
    t.x = t_wino_numbers(fwi_shape_elems(&t.in), dtype, fill);
    t.f = t_wino_numbers(fwi_shape_elems(&t.w), FW_F32, fill == T_INTS ? T_INTS : T_NORMAL);
    set_want(&t);
    return t;
}

static void drop(wino_case *t)
{
    free(t->x);
    free(t->f);
    free(t->want);
}

/* ---- running ---- */
typedef struct wino_got {
    float *y, *mean, *var; /* y: n h w c; mean and var of conv2d_stats */
} wino_got;

static void got_free(wino_got *g)
{
    free(g->y);
    free(g->mean);
    free(g->var);
}

static fwi_call call_of(const wino_case *t, const fwi_attr *attr)
{
    const fwi_shape stats = fwi_shape2(1, t->s.oc);
    return (fwi_call){.kind = t->op,
                      .attr = attr,
                      .in = {{.dtype = t->dtype, .shape = t->in, .nb = t->s.nb},
                             {.dtype = FW_F32, .shape = t->w}},
                      .out = {{.dtype = t->dtype, .shape = t->out, .nb = t->s.nb},
                              {.dtype = FW_F32, .shape = stats},
                              {.dtype = FW_F32, .shape = stats}}};
}

static wino_got run(const wino_case *t, const fwi_kernel *k, fwi_call call, int way)
{
    const bool odd = way == 2;
    const size_t f_bytes = t_stored_bytes(&call.in[1]);
    const int n_out = t->op == FWI_OP_conv2d_stats ? 3 : 1;
    call.pool = t_wino_pool(way);
    call.in[0].data = t_wino_images(t->x, &call.in[0], odd);
    float *const f = (float *)(void *)t_guarded(f_bytes, sizeof(float), odd);
    for (int64_t i = 0; i < fwi_shape_elems(&t->w); i++)
        f[i] = (float)t->f[i];
    call.in[1].data = f;
    for (int i = 0; i < n_out; i++)
        call.out[i].data =
            t_guarded(t_stored_bytes(&call.out[i]), fw_dtype_size(call.out[i].dtype), odd);
    const size_t scratch = k->scratch(&call);
    call.scratch = t_guarded(scratch, 64, false);
    assert_int_equal(k->run(&call), FW_OK);
    const int64_t n = fwi_shape_elems(&t->out);
    wino_got g = {.y = t_must(malloc((size_t)n * sizeof *g.y))};
    for (int64_t j = 0; j < n; j++) {
        const int64_t at = t_stored_at(&call.out[0], j);
        g.y[j] = t->dtype == FW_BF16 ? (float)t_from_bf16(((uint16_t *)call.out[0].data)[at])
                                     : ((float *)call.out[0].data)[at];
    }
    float **const stats[] = {NULL, &g.mean, &g.var};
    for (int i = 1; i < n_out; i++) {
        *stats[i] = t_must(malloc(t_stored_bytes(&call.out[i])));
        memcpy(*stats[i], call.out[i].data, t_stored_bytes(&call.out[i]));
    }
    t_check_guards(call.scratch, scratch);
    for (int i = 0; i < n_out; i++)
        t_check_guards(call.out[i].data, t_stored_bytes(&call.out[i]));
    t_check_guards(call.in[0].data, t_stored_bytes(&call.in[0]));
    t_check_guards(call.in[1].data, f_bytes);
    return g;
}

/* ---- verdicts ---- */
static double bar(fw_dtype dtype, int algo)
{
    if (dtype == FW_BF16)
        return algo == FWI_CONV_WINO2 ? 1.5e-2 : algo <= FWI_CONV_WINO4 ? 3e-2 : 5e-3;
    static const double f32[FWI_CONV_ALGOS] = {[FWI_CONV_WINO2] = 1e-6,
                                               [FWI_CONV_WINO3] = 2e-6,
                                               [FWI_CONV_WINO4] = 3e-6,
                                               [FWI_CONV_WINO5] = 6e-6,
                                               [FWI_CONV_WINO6] = 1.2e-5};
    return f32[algo];
}

static double error_of(const wino_case *t, int algo, const wino_got *g, const char *text)
{
    double off = 0;
    for (int64_t i = 0; i < fwi_shape_elems(&t->out); i++) {
        const double d = (double)g->y[i] - t->want[i];
        const double near = t->dtype == FW_BF16 ? t_from_bf16(t_to_bf16(t->want[i])) : t->want[i];
        const double most = algo == FWI_CONV_WINO7 && fabs(near) < 4 ? 0.02 : 0;
        if (t->exact && (algo == FWI_CONV_WINO2 || most > 0) &&
            !(fabs((double)g->y[i] - near) <= most))
            fail_msg("%s: [%lld] is %g, expected %g", text, (long long)i, (double)g->y[i], near);
        off += d * d;
    }
    return t->terms > 0 ? sqrt(off) / t->terms : sqrt(off);
}

/* What came out, per channel, against its own mean and variance in double. Sums of the first group
 * of units run around its first value, some deviations away: an error of up to 32 u of the deviation. What
 * a bf16 was before it was rounded moves the mean by less than 2^-8 of that; and of a channel that is constant, of
 * which the rounding is all that a norm sees, no more than a deviation. */
static void check_stats(const wino_case *t, const wino_got *g, const char *text)
{
    const int64_t c = t->out.d[3], n = fwi_shape_elems(&t->out) / c;
    for (int64_t k = 0; k < c; k++) {
        double mean = 0, var = 0, square = 0;
        for (int64_t i = 0; i < n; i++)
            mean += (double)g->y[i * c + k] / (double)n;
        for (int64_t i = 0; i < n; i++) {
            const double v = (double)g->y[i * c + k];
            var += (v - mean) * (v - mean) / (double)n;
            square += v * v / (double)n;
        }
        const double u = t->dtype == FW_BF16 ? 0x1p-8 : 32 * T_U;
        const double off = fabs((double)g->mean[k] - mean), dev = sqrt(square);
        if (!(off <= u * dev) || !(fabs((double)g->var[k] - var) <= 4 * u * (var + u * square)))
            fail_msg("%s: channel %lld: mean %g, variance %g; expected %g, %g", text, (long long)k,
                     (double)g->mean[k], (double)g->var[k], mean, var);
        if (var == 0 && !(fabs((double)g->y[k] - (double)g->mean[k]) <= sqrt((double)g->var[k])))
            fail_msg("%s: channel %lld is %g, its mean %.9g, its variance %g", text, (long long)k,
                     (double)g->y[k], (double)g->mean[k], (double)g->var[k]);
    }
}

static bool same(const wino_case *t, const wino_got *a, const wino_got *b)
{
    const size_t c = (size_t)t->out.d[3] * sizeof(float);
    return memcmp(a->y, b->y, (size_t)fwi_shape_elems(&t->out) * sizeof(float)) == 0 &&
           (a->mean == NULL ||
            (memcmp(a->mean, b->mean, c) == 0 && memcmp(a->var, b->var, c) == 0));
}

/* Every instruction set that has a Winograd row of its own for the case. Returns how many. */
static int check(const wino_case *t, int algo, double most)
{
    const fwi_attr attr = t_wino_attr(&t->s, algo);
    const fwi_call call = call_of(t, &attr);
    int rows = 0;
    for (int isa = FWI_ISA_PORTABLE; isa < FWI_ISA_COUNT; isa++) {
        const fwi_kernel *const k = t_wino_row((fwi_isa)isa, &call);
        if (k == NULL)
            continue;
        rows++;
        char text[256];
        t_wino_say(&t->s, algo, k->name, text, sizeof text);
        wino_got got = run(t, k, call, 0);
        const double error = error_of(t, algo, &got, text);
        const bool widened = t->dtype == FW_BF16 && isa != FWI_ISA_AVX512_BF16;
        if (!(error <= (widened ? 5e-3 : most)))
            fail_msg("%s: error %.3g", text, error);
        t_wino_note(k->name, algo, error);
        if (t->op == FWI_OP_conv2d_stats)
            check_stats(t, &got, text);
        for (int way = 1; way < T_WINO_WAYS; way++) {
            wino_got again = run(t, k, call, way);
            if (!same(t, &got, &again))
                fail_msg("%s: other bits %s", text,
                         way == 1 ? "with 2 threads" : "with 9 threads on odd addresses");
            got_free(&again);
        }
        got_free(&got);
    }
    return rows;
}

static const fwi_opkind ops[] = {FWI_OP_conv2d, FWI_OP_conv2d_dx, FWI_OP_conv2d_stats};
static const fw_dtype types[] = {FW_F32, FW_BF16};
static const int algos[] = {FWI_CONV_WINO2, FWI_CONV_WINO3, FWI_CONV_WINO4,
                            FWI_CONV_WINO5, FWI_CONV_WINO6, FWI_CONV_WINO7};

/* All ops, types and algorithms on one shape. */
static void check_shape(const t_wino_shape *s, t_fill fill)
{
    for (int o = 0; o < T_COUNT(ops); o++)
        for (int d = 0; d < T_COUNT(types); d++) {
            wino_case t = case_of(s, ops[o], types[d], fill);
            for (int a = 0; a < T_COUNT(algos); a++)
                (void)check(&t, algos[a], bar(types[d], algos[a]));
            drop(&t);
        }
}

static void test_shapes(void **state)
{
    (void)state;
    const t_wino_shape shapes[] = {
        t_wino_same(40, 7, 1, 1, 1, 16),   t_wino_same(3, 2, 2, 2, 3, 5),
        t_wino_same(15, 14, 4, 4, 64, 33), t_wino_same(29, 14, 3, 3, 31, 64),
        t_wino_same(20, 10, 15, 7, 24, 7), t_wino_same(5, 14, 8, 8, 27, 32),
        t_wino_same(2, 1, 9, 16, 130, 24), t_wino_same(3, 5, 7, 5, 48, 100),
        t_wino_same(2, 2, 5, 30, 5, 3),    t_wino_same(1, 40, 6, 6, 40, 40),
    };
    for (int i = 0; i < T_COUNT(shapes); i++) {
        check_shape(&shapes[i], T_NORMAL);
        if (T_THREADS_BUILD) /* other numbers are no other threads */
            continue;
        check_shape(&shapes[i], T_POSITIVE);
        check_shape(&shapes[i], T_INTS);
    }
    /* One number of one product: |terms| says nothing of the other eight taps' rounding, but F2 is exact. */
    const t_wino_shape one = t_wino_same(1, 1, 1, 1, 1, 1);
    for (int o = 0; o < T_COUNT(ops); o++)
        for (int d = 0; d < T_COUNT(types); d++) {
            wino_case t = case_of(&one, ops[o], types[d], T_INTS);
            assert_int_equal(check(&t, FWI_CONV_WINO2, bar(types[d], FWI_CONV_WINO2)),
                             t_wino_rows(types[d], FWI_CONV_WINO2));
            drop(&t);
        }
}

/* More groups than runs, and than runs of 9 threads: 144 of 24 rows or more. */
static void test_many_groups(void **state)
{
    (void)state;
    const t_wino_shape s = t_wino_same(888, 12, 12, 12, 1, 2);
    if (T_SLOW_BUILD) /* 128,000 pixels for each op, type and algorithm */
        skip();
    check_shape(&s, T_NORMAL);
}

static void test_constant_channels(void **state)
{
    (void)state;
    const t_wino_shape s = t_wino_same(40, 7, 1, 1, 1, 16);
    for (int d = 0; d < T_COUNT(types); d++) {
        wino_case t = case_of(&s, FWI_OP_conv2d_stats, types[d], T_POSITIVE);
        for (int64_t i = 1; i < fwi_shape_elems(&t.in); i++)
            t.x[i] = t.x[0];
        set_want(&t);
        for (int a = 0; a < T_COUNT(algos); a++)
            (void)check(&t, algos[a], bar(types[d], algos[a]));
        drop(&t);
    }
}

static void test_random_shapes(void **state)
{
    (void)state;
    static const int32_t blocks[] = {1, 2, 3, 5, 10, 12, 14};
    static const int64_t channels[] = {3, 7, 16, 24, 27, 33, 64, 70};
    for (int i = 0; i < T_RANDOM(40); i++) {
        t_wino_shape s = {.n = 1 + t_below(20),
                          .h = 1 + t_below(10),
                          .w = 1 + t_below(10),
                          .c = channels[t_below(T_COUNT(channels))],
                          .oc = channels[t_below(T_COUNT(channels))],
                          .pt = t_below(3),
                          .pl = t_below(3),
                          .nb = blocks[t_below(T_COUNT(blocks))]};
        s.oh = s.h + s.pt + t_below(3) - 2; /* 0 to 2 lines of padding below */
        s.ow = s.w + s.pl + t_below(3) - 2;
        if (s.oh < 1 || s.ow < 1)
            continue;
        check_shape(&s, i % 4 == 0 ? T_INTS : i % 2 == 0 ? T_NORMAL : T_POSITIVE);
    }
}

/* As long as sums of a network's layers are: the errors that docs/numerics.md states. */
static void test_layers(void **state)
{
    (void)state;
    static const double most[2][6] = {{1e-6, 1.5e-6, 2e-6, 5e-6, 8e-6, 0},     /* f32 */
                                      {5e-3, 8e-3, 1.5e-2, 5e-3, 5e-3, 5e-3}}; /* bf16 */
    const t_wino_shape shapes[] = {t_wino_same(14, 14, 8, 8, 128, 64),
                                   t_wino_same(20, 10, 4, 4, 512, 96)};
    if (T_THREADS_BUILD) /* how sums round is no matter of threads */
        skip();
    for (int i = 0; i < T_COUNT(shapes); i++)
        for (int o = 0; o < 2; o++)
            for (int d = 0; d < T_COUNT(types); d++) {
                wino_case t = case_of(&shapes[i], ops[o], types[d], i == 0 ? T_NORMAL : T_POSITIVE);
                for (int a = 0; a < T_COUNT(algos); a++)
                    (void)check(&t, algos[a], most[d][a]);
                drop(&t);
            }
}

/* Who asks for another algorithm, or for Winograd's where it cannot be, gets a direct kernel. */
static void test_choice(void **state)
{
    (void)state;
    const t_wino_shape s = t_wino_same(4, 4, 8, 8, 16, 16);
    for (int o = 0; o < T_COUNT(ops); o++) {
        wino_case t = case_of(&s, ops[o], FW_F32, T_NORMAL);
        for (int isa = FWI_ISA_PORTABLE; isa < FWI_ISA_COUNT; isa++)
            for (int algo = 0; algo < FWI_CONV_ALGOS; algo++) {
                const fwi_op_table *const table = fwi_cpu_table((fwi_isa)isa);
                if (table == NULL)
                    continue;
                fwi_attr attr = t_wino_attr(&s, algo);
                const fwi_call call = call_of(&t, &attr);
                const fwi_kernel *k = fwi_table_find(table, &call, NULL);
                const bool winograd = t_wino_side(algo) > 0 && t_wino_rows(FW_F32, algo) > 0;
                assert_non_null(k);
                assert_int_equal(strstr(k->name, "winograd") != NULL, winograd);
                attr.conv.stride = 2;
                k = fwi_table_find(table, &call, NULL);
                assert_true(k == NULL || strstr(k->name, "winograd") == NULL);
            }
        for (int a = 0; a < T_COUNT(algos); a++)
            assert_int_equal(check(&t, algos[a], bar(FW_F32, algos[a])),
                             t_wino_rows(FW_F32, algos[a]));
        drop(&t);
        t = case_of(&s, ops[o], FW_BF16, T_NORMAL);
        for (int a = 0; a < T_COUNT(algos); a++)
            assert_int_equal(check(&t, algos[a], bar(FW_BF16, algos[a])),
                             t_wino_rows(FW_BF16, algos[a]));
        drop(&t);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),        cmocka_unit_test(test_constant_channels),
        cmocka_unit_test(test_random_shapes), cmocka_unit_test(test_layers),
        cmocka_unit_test(test_choice),        cmocka_unit_test(test_many_groups),
    };
    return t_wino_main(argc, argv, "test_winograd", tests, sizeof tests / sizeof *tests);
}
