/* test_fused.c: what a backend's fusion makes (ops.def, the last part), against the reference in
 * double: each op on its own, over fixed and random shapes, on every instruction set. Whole nets,
 * fused against not fused: test_fused_nets.c.
 *
 * Tolerances follow the arithmetic, u being 2^-24. A norm z = (x - mean) scale + beta is off by a few
 * roundings of its terms; the functions multiply that by at most 1.2 and add 8 u of what they work
 * on (test_act.c); a derivative moves by at most its own largest slope, 2 (CELU: 1/alpha), times
 * that. Sums over K values: 2 u sqrt(K) sum|terms|, and all that the terms are off by. Where a relu
 * might take another side, or a maximum another place, inputs keep away.
 *
 * Functions shortened for bf16 storage are good to 2^-11 of a value and 2^-12 of a slope
 * (tests/unit/cpu_portable/test_fast_math.c), which comes on top there.
 * ctest: tsan */
#include "t_ops.h"

#include <math.h>
#include <stdlib.h>

typedef struct fused_case {
    int64_t n, h, w, c;
    int64_t fn;
    double alpha;
    double mean;    /* of the inputs, in deviations */
    int64_t groups; /* of statistics; 0: one, whose shape may be [c] */
} fused_case;

static const fused_case fixed[] = {
    {3, 4, 4, 16, FWI_FUSED_RELU, 0, 0, 0},
    {2, 5, 7, 3, FWI_GELU, 0, 1, 0},
    {5, 6, 6, 33, FWI_CELU, 0.5, 0, 0},
    {1, 2, 2, 1, FWI_FUSED_IDENTITY, 0, 0, 0},
    {23, 4, 6, 64, FWI_FUSED_RELU, 0, 3, 0},
    {15, 8, 8, 24, FWI_GELU, 0, 0, 0},
    {4, 3, 3, 130, FWI_SILU, 0, 0, 0},
    {7, 2, 9, 7, FWI_TANH, 0, 0, 0},
    {2, 31, 31, 24, FWI_GELU, 0, 0, 0},
    {3, 7, 5, 5, FWI_SIGMOID, 0, 0, 0},
    {14, 2, 2, 100, FWI_SOFTPLUS, 0, 2, 0},
    {11, 3, 2, 48, FWI_FUSED_RELU, 0, 0, 0},
    {29, 2, 2, 512, FWI_FUSED_RELU, 0, 0.5, 0},
    {6, 9, 4, 17, FWI_FUSED_IDENTITY, 0, 20, 0},
    {13, 4, 6, 64, FWI_SILU, 0, 0.5, 0},
    {21, 6, 5, 40, FWI_CELU, 0.6, 0, 0},
    {3, 6, 9, 7, FWI_CELU, 2, 1, 0},
    {8, 5, 4, 24, FWI_SILU, 0, -1, 0},
    {12, 4, 4, 72, FWI_CELU, 0.75, 0, 0},
    /* groups that end where blocks do, within blocks, and several of them in a block */
    {12, 4, 4, 64, FWI_CELU, 0.3, 0, 3},
    {20, 3, 5, 24, FWI_FUSED_RELU, 0, 2, 4},
    {27, 4, 3, 7, FWI_SILU, 0, 1, 3},
    {16, 5, 4, 33, FWI_CELU, 0.5, -3, 16},
    {6, 4, 4, 48, FWI_FUSED_IDENTITY, 0, 0, 2},
    {28, 2, 3, 128, FWI_GELU, 0, 0.5, 2},
    {15, 4, 5, 512, FWI_FUSED_RELU, 0, 0, 3},
    {24, 6, 4, 40, FWI_CELU, 0.3, 5, 8},
};

#define CASES (T_COUNT(fixed) + T_RANDOM(24))

/* The i-th case; behind the fixed ones a new one with each call. */
static const fused_case *case_at(int i)
{
    static const int64_t channels[] = {1, 3, 7, 16, 24, 33, 40, 64, 100};
    static const int64_t fns[] = {FWI_FUSED_RELU, FWI_FUSED_IDENTITY, FWI_GELU,    FWI_CELU,
                                  FWI_SILU,       FWI_TANH,           FWI_SIGMOID, FWI_SOFTPLUS};
    static const double means[] = {0, 0, 1, -2};
    static fused_case drawn;
    fwi_stream_from = i % 2 == 0 ? 0 : FWI_STREAM_FROM; /* as outputs of any size may be written */
    if (i < T_COUNT(fixed))
        return &fixed[i];
    drawn.n = 1 + t_below(40); /* one after the other: a seed draws the same with any compiler */
    drawn.h = 2 + t_below(7);
    drawn.w = 2 + t_below(7);
    drawn.c = channels[t_below(T_COUNT(channels))];
    drawn.fn = fns[t_below(T_COUNT(fns))];
    drawn.mean = means[t_below(T_COUNT(means))];
    drawn.groups = 0;
    drawn.alpha = drawn.fn == FWI_CELU ? 0.25 * (double)(1 + t_below(8)) : 0;
    for (int64_t groups = 2 + t_below(7); groups > 1 && drawn.groups == 0; groups--)
        if (drawn.n % groups == 0)
            drawn.groups = groups;
    return &drawn;
}

static int64_t groups_of(const fused_case *f)
{
    return f->groups > 0 ? f->groups : 1;
}

/* The statistic [group][channel] of element j of a batch of n elements. */
static int64_t stat_of(const fused_case *f, int64_t j, int64_t n)
{
    return j / (n / groups_of(f)) * f->c + j % f->c;
}

/* The norm's parameters as they are in c->in, from input p on: gamma, beta, mean, var. */
typedef struct norm_at {
    double z, scale, tol; /* tol: of z */
} norm_at;

/* i: as stat_of */
static norm_at norm_of(const t_case *c, int p, double eps, double x, int64_t i)
{
    const int64_t channel = i % c->in[p].n;
    const double beta = c->in[p + 1].v[channel], mean = c->in[p + 2].v[i];
    const double scale = c->in[p].v[channel] / sqrt(c->in[p + 3].v[i] + eps);
    const double z = (x - mean) * scale + beta;
    return (norm_at){.z = z,
                     .scale = scale,
                     .tol = 6 * T_U * fabs((x - mean) * scale) +
                            3 * T_U * fabs(scale) * (fabs(x) + fabs(mean)) + 2 * T_U * fabs(beta) +
                            T_U * fabs(z)};
}

static double steepness(const fused_case *f)
{
    return f->fn == FWI_CELU ? 1 / f->alpha : f->fn == FWI_FUSED_RELU ? 0 : 2;
}

/* Tolerance of act(z), given z's. */
static double value_tol(const fused_case *f, const norm_at *n)
{
    return 1.2 * n->tol + (f->fn >= FWI_FUSED_RELU ? 1 : 16) * T_U * (1 + fabs(n->z));
}

/* Tolerance of dy act'(z). */
static double back_tol(const fused_case *f, const norm_at *n, double dy)
{
    return fabs(dy) * (steepness(f) * n->tol + (f->fn >= FWI_FUSED_RELU ? 0 : 8 * T_U) + 2 * T_U);
}

static double short_value(const fused_case *f, double value)
{
    return f->fn >= FWI_FUSED_RELU ? 0 : fabs(value) / 2048 + T_U;
}
static double short_slope(const fused_case *f)
{
    return f->fn >= FWI_FUSED_RELU ? 0 : 1.0 / 4096;
}

static fwi_attr attr_of(const fused_case *f, int i, int64_t k, int64_t ih, int64_t iw)
{
    return (fwi_attr){.bn_act = {.eps = i % 2 == 0 ? 1e-5 : 1e-3,
                                 .fn = f->fn,
                                 .alpha = f->alpha,
                                 .k = k,
                                 .ih = ih,
                                 .iw = iw}};
}

static void input_x(t_case *c, const fused_case *f, fwi_shape s)
{
    double *x = t_real(c, s, T_NORMAL);
    for (int64_t j = 0; j < c->in[c->n_in - 1].n; j++)
        x[j] = (double)(float)(x[j] + f->mean);
}

/* gamma beta mean var, then every x whose norm lies near 0 moved. x is input `at`. Whether of both
 * shapes of statistics, where the case has one group: those of the batch are [1,c], running ones [c]. */
static void input_norm(t_case *c, const fused_case *f, int at, bool running)
{
    const int64_t n = f->c, groups = groups_of(f);
    const fwi_shape stats = running && f->groups == 0 ? fwi_shape1(n) : fwi_shape2(groups, n);
    const int p = c->n_in;
    double *gamma = t_real(c, fwi_shape1(n), T_NORMAL), *beta = t_real(c, fwi_shape1(n), T_NORMAL);
    double *mean = t_real(c, stats, T_NORMAL);
    t_real(c, stats, T_POSITIVE);
    for (int64_t i = 0; i < n; i++) {
        gamma[i] = (double)(float)(1 + 0.2 * gamma[i]);
        beta[i] = (double)(float)(0.5 * beta[i]);
    }
    for (int64_t i = 0; i < groups * n; i++)
        mean[i] = (double)(float)(f->mean + 0.1 * mean[i]);
    t_input *x = &c->in[at];
    for (int64_t j = 0; j < x->n; j++) {
        const norm_at z = norm_of(c, p, 1e-5, x->v[j], stat_of(f, j, x->n));
        if (fabs(z.z) < 0.02)
            x->v[j] = (double)(float)(x->v[j] + 0.1 / z.scale);
    }
}

static void test_sweeps(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++)
        for (int add = 0; add < 2; add++) {
            const fused_case *f = case_at(i);
            const fwi_attr a = attr_of(f, i, 0, 0, 0);
            const fwi_shape s = fwi_shape4(f->n, f->h, f->w, f->c);
            t_case c;
            t_begin(&c, add ? FWI_OP_bn_act_add : FWI_OP_bn_act, &a);
            input_x(&c, f, s);
            input_norm(&c, f, 0, i % 3 == 0);
            if (add)
                t_real(&c, s, T_NORMAL);
            t_expect(&c);
            double *more = t_more(&c, 0);
            for (int64_t j = 0; j < c.result[0].n; j++) {
                const norm_at n =
                    norm_of(&c, 1, a.bn_act.eps, c.in[0].v[j], stat_of(f, j, c.in[0].n));
                const double r = add ? c.in[5].v[j] : 0;
                c.result[0].tol[j] = value_tol(f, &n) + T_U * fabs(c.result[0].want[j]);
                /* 1.01: inputs are rounded first; so the value is this one but for a hundredth */
                more[j] = 1.01 * short_value(f, c.result[0].want[j] - r) + 0.02 * short_slope(f);
            }
            t_check(&c);
        }
}

/* ---- pools ---- */

/* Row of the full image for a place of a window. */
static int64_t row_of(const fwi_bn_act_attr *a, int64_t pooled_row, int64_t place)
{
    const int64_t oh = a->ih / a->k, ow = a->iw / a->k;
    const int64_t x = pooled_row % ow, y = pooled_row / ow % oh, n = pooled_row / ow / oh;
    return (n * a->ih + y * a->k + place / a->k) * a->iw + x * a->k + place % a->k;
}

/* What goes into the pool of the case: bn_act's result on the same inputs. */
static double *activated(const t_case *pooled, const fused_case *f, const fwi_attr *a)
{
    const fwi_attr plain = {
        .bn_act = {.eps = a->bn_act.eps, .fn = a->bn_act.fn, .alpha = a->bn_act.alpha}};
    double *out = calloc((size_t)(f->n * f->h * f->w * f->c), sizeof *out);
    assert_non_null(out);
    t_case c;
    t_begin(&c, FWI_OP_bn_act, &plain);
    for (int i = 0; i < pooled->n_in; i++)
        t_values(&c, FW_F32, pooled->in[i].shape, pooled->in[i].v);
    t_reference(&c, &out);
    t_drop(&c);
    return out;
}

/* Windows of 2 x 2 and 3 x 3, with lines and columns left over where the size does not divide. */
static void test_pooled(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const fused_case *f = case_at(i);
        const int64_t k = f->h >= 3 && f->w >= 3 && i % 3 == 1 ? 3 : 2;
        const fwi_attr a = attr_of(f, i, k, f->h, f->w);
        t_case c;
        t_begin(&c, FWI_OP_bn_act_pool, &a);
        input_x(&c, f, fwi_shape4(f->n, f->h, f->w, f->c));
        input_norm(&c, f, 0, i % 3 == 0);
        t_expect(&c);
        double *more = t_more(&c, 0), *places = t_more(&c, 1);
        double *full = activated(&c, f, &a);
        for (int64_t j = 0; j < c.result[0].n; j++) {
            const double best = c.result[0].want[j];
            more[j] = 1.01 * short_value(f, best) + 0.02 * short_slope(f);
            for (int64_t p = 0; p < k * k; p++) { /* which of two that are near each other wins */
                const double v = full[row_of(&a.bn_act, j / f->c, p) * f->c + j % f->c];
                if (f->fn < FWI_FUSED_RELU && p != (int64_t)c.result[1].want[j] &&
                    best - v < 0.02 * (fabs(best) + 0.1))
                    places[j] = 256;
            }
            const int64_t at =
                row_of(&a.bn_act, j / f->c, (int64_t)c.result[1].want[j]) * f->c + j % f->c;
            const norm_at n =
                norm_of(&c, 1, a.bn_act.eps, c.in[0].v[at], stat_of(f, at, c.in[0].n));
            c.result[0].tol[j] = value_tol(f, &n) + T_U * fabs(c.result[0].want[j]);
        }
        free(full);
        t_check(&c);
    }
}

/* Ties (here all of a relu's zeros) go to the first place; a NaN is larger than any number. */
static void test_pool_edges(void **state)
{
    (void)state;
    const fwi_attr a = {.bn_act = {.eps = 0, .fn = FWI_FUSED_RELU, .k = 2, .ih = 2, .iw = 8}};
    const double x[16] = {-1, -2, 1, 1, 0, 2, -1, 3, -3, -4, 2, 2, 2, 1, NAN, 5};
    const double one = 1, zero = 0, want[4] = {0, 2, 2, NAN}, place[4] = {0, 2, 1, 2};
    t_case c;
    t_begin(&c, FWI_OP_bn_act_pool, &a);
    t_values(&c, FW_F32, fwi_shape4(1, 2, 8, 1), x);
    t_values(&c, FW_F32, fwi_shape1(1), &one);
    t_values(&c, FW_F32, fwi_shape1(1), &zero);
    t_values(&c, FW_F32, fwi_shape2(1, 1), &zero);
    t_values(&c, FW_F32, fwi_shape2(1, 1), &one);
    t_expect(&c);
    for (int j = 0; j < 4; j++) {
        assert_true(c.result[0].want[j] == want[j] ||
                    (isnan(want[j]) && isnan(c.result[0].want[j])));
        assert_true(c.result[1].want[j] == place[j]);
    }
    t_check(&c);
}

/* ---- gradients ---- */

/* Tolerances of a case's gradients: what they are made of. x is input `at`, the norm's parameters
 * follow it. */
typedef struct grad_tols {
    t_case *c;
    const fused_case *f;
    int at;
    double eps;
    const double *
        dy_at; /* [elements of x]: what comes back to the norm's output, by the reference's rules */
    const int64_t *to; /* [rows of x]: its place in dx */
    double *more[3];
} grad_tols;

/* Of channel i in one group: adds its part to dgamma's and dbeta's, and gives dx's. */
static void tol_group(const grad_tols *g, int64_t group, int64_t i)
{
    t_case *c = g->c;
    const int at = g->at;
    const int64_t n_c = g->f->c, rows = c->in[at].n / n_c / groups_of(g->f), s = group * n_c + i;
    const double root = sqrt((double)rows), count = (double)rows;
    const double *x = c->in[at].v;
    const double mean = c->in[at + 3].v[s], inv = 1 / sqrt(c->in[at + 4].v[s] + g->eps);
    double s_abs = 0, q_abs = 0, ts = 0, tq = 0;
    for (int64_t r = group * rows; r < (group + 1) * rows; r++) {
        const int64_t j = r * n_c + i;
        const norm_at n = norm_of(c, at + 1, g->eps, x[j], s);
        const double z = fabs(x[j] - mean) * inv, tol = back_tol(g->f, &n, g->dy_at[j]);
        s_abs += 1.2 * fabs(g->dy_at[j]);
        q_abs += 1.2 * fabs(g->dy_at[j]) * z;
        ts += tol;
        tq += tol * z;
    }
    ts += 2 * T_U * root * s_abs + T_U * s_abs;
    tq += (2 * root + 5) * T_U * q_abs + T_U * q_abs;
    c->result[1].tol[i] += tq;
    c->result[2].tol[i] += ts;
    const double slope = 1.02 * short_slope(g->f); /* of inputs as rounded to bf16 */
    g->more[1][i] += slope * q_abs;
    g->more[2][i] += slope * s_abs;
    for (int64_t r = group * rows; r < (group + 1) * rows; r++) {
        const int64_t j = r * n_c + i;
        const norm_at n = norm_of(c, at + 1, g->eps, x[j], s);
        const double z = fabs(x[j] - mean) * inv;
        c->result[0].tol[g->to[r] * n_c + i] =
            fabs(n.scale) * ((ts + z * tq) / count + back_tol(g->f, &n, g->dy_at[j]) +
                             8 * T_U * (1.2 * fabs(g->dy_at[j]) + (s_abs + z * q_abs) / count));
        g->more[0][g->to[r] * n_c + i] =
            slope * fabs(n.scale) * (fabs(g->dy_at[j]) + (s_abs + z * q_abs) / count);
    }
}

static void tol_grads(t_case *c, const fused_case *f, int at, double eps, const double *dy_at,
                      const int64_t *to)
{
    grad_tols g = {c, f, at, eps, dy_at, to, {NULL}};
    for (int r = 0; r < 3; r++)
        g.more[r] = t_more(c, r);
    for (int64_t j = 0; j < c->result[0].n; j++)
        c->result[0].tol[j] = 0;
    for (int64_t i = 0; i < f->c; i++) {
        c->result[1].tol[i] = T_U * fabs(c->result[1].want[i]);
        c->result[2].tol[i] = T_U * fabs(c->result[2].want[i]);
        for (int64_t group = 0; group < groups_of(f); group++)
            tol_group(&g, group, i);
    }
}

static void test_grad(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const fused_case *f = case_at(i);
        const fwi_attr a = attr_of(f, i, 0, 0, 0);
        const fwi_shape s = fwi_shape4(f->n, f->h, f->w, f->c);
        const int64_t rows = f->n * f->h * f->w;
        int64_t *to = t_must(malloc((size_t)rows * sizeof *to));
        for (int64_t r = 0; r < rows; r++)
            to[r] = r;
        t_case c;
        t_begin(&c, FWI_OP_bn_act_grad, &a);
        t_real(&c, s, i % 2 == 0 ? T_NORMAL : T_SHIFTED);
        input_x(&c, f, s);
        input_norm(&c, f, 1, i % 3 == 0);
        t_expect(&c);
        tol_grads(&c, f, 1, a.bn_act.eps, c.in[0].v, to);
        t_check(&c);
        free(to);
    }
}

/* Pool behind the activation: places that were no maximum, and lines that fill no window, count in
 * the statistics all the same. */
static void test_pool_grad(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const fused_case *f = case_at(i);
        const int64_t k = f->h >= 3 && f->w >= 3 && i % 3 == 1 ? 3 : 2;
        const fwi_attr a = attr_of(f, i, k, f->h, f->w);
        const fwi_shape small = fwi_shape4(f->n, f->h / k, f->w / k, f->c);
        const int64_t rows = f->n * f->h * f->w;
        int64_t *to = t_must(malloc((size_t)rows * sizeof *to));
        double *dy_at = t_must(calloc((size_t)(rows * f->c), sizeof *dy_at));
        for (int64_t r = 0; r < rows; r++)
            to[r] = r;
        t_case c;
        t_begin(&c, FWI_OP_bn_act_pool_grad, &a);
        const double *dy = t_real(&c, small, T_NORMAL);
        const double *idx = t_ints(&c, FW_U8, small, 0, k * k - 1);
        input_x(&c, f, fwi_shape4(f->n, f->h, f->w, f->c));
        input_norm(&c, f, 2, i % 3 == 0);
        t_expect(&c);
        for (int64_t j = 0; j < c.in[0].n; j++)
            dy_at[row_of(&a.bn_act, j / f->c, (int64_t)idx[j]) * f->c + j % f->c] = dy[j];
        tol_grads(&c, f, 2, a.bn_act.eps, dy_at, to);
        t_check(&c);
        free(to);
        free(dy_at);
    }
}

/* Pool in front of the norm. */
static void test_unpool_grad(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const fused_case *f = case_at(i);
        const int64_t k = i % 3 == 1 ? 3 : 2, left_over = i % 4 == 3 ? 1 : 0;
        const fwi_attr a = attr_of(f, i, k, f->h * k + left_over, f->w * k);
        const fwi_shape s = fwi_shape4(f->n, f->h, f->w, f->c);
        t_case c;
        t_begin(&c, FWI_OP_bn_act_unpool_grad, &a);
        t_real(&c, s, T_NORMAL);
        const double *idx = t_ints(&c, FW_U8, s, 0, k * k - 1);
        input_x(&c, f, s);
        input_norm(&c, f, 2, i % 3 == 0);
        t_expect(&c);
        /* by element, as places differ by channel: the tolerance of the pooled dx moves there */
        const int64_t n = c.in[0].n, rows = n / f->c;
        double *full = c.result[0].tol, *pooled = t_must(calloc((size_t)n, sizeof *pooled));
        int64_t *same = t_must(malloc((size_t)rows * sizeof *same));
        for (int64_t r = 0; r < rows; r++)
            same[r] = r;
        const int64_t n_full = c.result[0].n;
        c.result[0].tol = pooled;
        c.result[0].n = n;
        tol_grads(&c, f, 2, a.bn_act.eps, c.in[0].v, same);
        double *more = c.result[0].more;
        c.result[0].tol = full;
        c.result[0].n = n_full;
        double *full_more = t_more(&c, 0);
        for (int64_t j = 0; j < n; j++) {
            const int64_t to = row_of(&a.bn_act, j / f->c, (int64_t)idx[j]) * f->c + j % f->c;
            full[to] = pooled[j];
            full_more[to] = more[j];
        }
        t_check(&c);
        free(same);
        free(pooled);
        free(more);
    }
}

/* ---- statistics ---- */

/* Mean and variance of result `y` as results r and r + 1. y_tol: of y, or NULL where it is exact.
 * As in test_bn.c, what y is off by, and what the variance loses when sums are taken around one of the
 * channel's values in place of its mean. */
static void tol_stats(t_case *c, const double *y, int64_t n, int r, const double *y_tol)
{
    const int64_t groups = c->result[r].shape.d[0], n_c = c->result[r].n / groups;
    const int64_t rows = n / n_c / groups;
    const double root = sqrt((double)rows), count = (double)rows;
    for (int64_t i = 0; i < groups * n_c; i++) {
        const int64_t first = i / n_c * rows * n_c + i % n_c;
        double sum_abs = 0, off = 0, off2 = 0;
        for (int64_t k = first; k < first + rows * n_c; k += n_c) {
            const double t = y_tol != NULL ? y_tol[k] : 0;
            sum_abs += fabs(y[k]);
            off += t / count;
            off2 += t * t / count;
        }
        const double mean = c->result[r].want[i], var = c->result[r + 1].want[i];
        const double tm = off + 2 * T_U * root * sum_abs / count + 2 * T_U * fabs(mean);
        c->result[r].tol[i] = tm;
        const double shift = y[first] - mean;
        c->result[r + 1].tol[i] = (2 * root + 5) * T_U * var + 4 * T_U * shift * shift + tm * tm +
                                  2 * sqrt(var * off2) + off2;
    }
}

static void test_stats(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const fused_case *f = case_at(i);
        t_case c;
        t_begin(&c, FWI_OP_bn_stats, &(fwi_attr){.stats = {.groups = groups_of(f)}});
        input_x(&c, f, fwi_shape4(f->n, f->h, f->w, f->c));
        t_expect(&c);
        tol_stats(&c, c.in[0].v, c.in[0].n, 0, NULL);
        t_check(&c);

        const int64_t k = f->h >= 3 && f->w >= 3 && i % 3 == 1 ? 3 : 2;
        const fwi_attr a = {
            .pool_stats = {.k = k, .stride = i % 4 == 3 ? 1 : k, .groups = groups_of(f)}};
        t_begin(&c, FWI_OP_max_pool_stats, &a);
        input_x(&c, f, fwi_shape4(f->n, f->h, f->w, f->c));
        t_expect(&c);
        tol_stats(&c, c.result[0].want, c.result[0].n, 2, NULL);
        t_check(&c);
    }
}

/* The convolution's epilogue: all of one value (a variance of nothing), means that are large against
 * the deviation, one image, padding images, strides, fewer columns than a tile has. */
static void test_conv_stats(void **state)
{
    (void)state;
    static const struct {
        int64_t n, h, w, c, oc, k, stride, pad;
        double mean; /* of x */
    } shapes[] = {
        {3, 5, 7, 3, 16, 3, 1, 1, 0},    {1, 4, 4, 64, 64, 3, 1, 1, 0},
        {15, 6, 6, 16, 33, 3, 1, 1, 1},  {23, 3, 3, 24, 24, 3, 1, 1, 0},
        {2, 9, 8, 7, 40, 3, 2, 1, 3},    {5, 8, 8, 3, 24, 2, 1, 0, 0},
        {29, 1, 1, 32, 100, 1, 1, 0, 8}, {14, 8, 8, 33, 64, 3, 1, 1, 0},
        {31, 4, 3, 8, 7, 1, 1, 0, 30},   {2, 16, 33, 4, 8, 5, 1, 2, 0},
    };
    for (int i = 0; i < T_COUNT(shapes); i++) {
        const int64_t k = shapes[i].k, p = shapes[i].pad;
        const fwi_attr a = {.conv = {.kh = k,
                                     .kw = k,
                                     .stride = shapes[i].stride,
                                     .pad_t = p,
                                     .pad_l = p,
                                     .pad_b = p,
                                     .pad_r = p,
                                     .ih = shapes[i].h,
                                     .iw = shapes[i].w}};
        t_case c;
        t_begin(&c, FWI_OP_conv2d_stats, &a);
        double *x =
            t_real(&c, fwi_shape4(shapes[i].n, shapes[i].h, shapes[i].w, shapes[i].c), T_NORMAL);
        for (int64_t j = 0; j < c.in[0].n; j++)
            x[j] = (double)(float)(x[j] + shapes[i].mean);
        t_real(&c, fwi_shape4(shapes[i].oc, k, k, shapes[i].c), T_NORMAL);
        t_expect(&c);
        t_tol_linear(&c, k * k * shapes[i].c);
        tol_stats(&c, c.result[0].want, c.result[0].n, 1, c.result[0].tol);
        t_check(&c);
    }
}

/* ---- bias and activation ---- */

/* An op's results: what is of every image, NONE: nothing; and db. */
typedef struct bias_op {
    fwi_opkind kind;
    int images, db;
} bias_op;
enum { NONE = -1 };
static const bias_op bias_ops[] = {{FWI_OP_bias_act, 0, NONE}, {FWI_OP_bias_act_grad, 0, 1}};

/* Tolerances of a case, whose inputs are [dy] x b. */
static void tol_bias(t_case *c, const fused_case *f, const bias_op *op)
{
    const bool grad = op->db != NONE;
    const double *x = c->in[grad].v, *b = c->in[grad + 1].v;
    double s_abs[512] = {0}, *more_db = grad ? t_more(c, op->db) : NULL;
    double *more = op->images != NONE ? t_more(c, op->images) : NULL;
    t_result *const images = &c->result[op->images != NONE ? op->images : 0];
    t_result *const db = &c->result[grad ? op->db : 0];
    for (int64_t j = 0; j < c->in[grad].n; j++) {
        const double z = x[j] + b[j % f->c];
        const norm_at n = {.z = z, .tol = T_U * fabs(z)};
        const double tol = grad ? back_tol(f, &n, c->in[0].v[j]) : value_tol(f, &n);
        const double is_short =
            grad ? 1.01 * short_slope(f) * fabs(c->in[0].v[j])
                 : 1.01 * short_value(f, images->want[j]) + 0.02 * short_slope(f);
        if (more != NULL) {
            images->tol[j] = tol + T_U * fabs(images->want[j]);
            more[j] = is_short;
        }
        if (grad) {
            db->tol[j % f->c] += tol;
            s_abs[j % f->c] += 1.2 * fabs(c->in[0].v[j]);
            more_db[j % f->c] += is_short;
        }
    }
    for (int64_t k = 0; grad && k < f->c; k++)
        db->tol[k] +=
            (2 * sqrt((double)(f->n * f->h * f->w)) + 1) * T_U * s_abs[k] + T_U * fabs(db->want[k]);
}

static void test_bias(void **state)
{
    (void)state;
    for (int i = 0; i < CASES * T_COUNT(bias_ops); i++) {
        const fused_case *f = case_at(i / T_COUNT(bias_ops));
        const bias_op *op = &bias_ops[i % T_COUNT(bias_ops)];
        const bool grad = op->db != NONE;
        const fwi_shape s = fwi_shape4(f->n, f->h, f->w, f->c);
        const fwi_attr a = {.act = {.fn = f->fn, .alpha = f->alpha}};
        t_case c;
        t_begin(&c, op->kind, &a);
        if (grad)
            t_real(&c, s, T_NORMAL);
        double *x = t_real(&c, s, T_AWAY);
        const double *b = t_real(&c, fwi_shape1(f->c), T_NORMAL);
        for (int64_t j = 0; j < c.in[grad].n; j++)
            if (fabs(x[j] + b[j % f->c]) < 0.02)
                x[j] = (double)(float)(x[j] + 0.1);
        t_expect(&c);
        tol_bias(&c, f, op);
        t_check(&c);
    }
}

/* Number j of those that test_numbers goes through: every bf16 from 2^-40 to 2^15 of both signs, then
 * zeros and NaN. */
static double number(int64_t j)
{
    enum { BINADES = 55, STEPS = 128 };
    const int64_t size = j / 2;
    const double sign = j % 2 == 0 ? 1 : -1;
    if (size < (int64_t)BINADES * STEPS)
        return sign * ldexp(1 + (double)(size % STEPS) / STEPS, (int)(size / STEPS) - 40);
    return size % 16 == 0 ? NAN : sign * 0.0;
}

/* Each function at each of those numbers, with a bias of 0. Values are held to what they are off by in
 * proportion, down the lower tails too: to 16 u, gelu there to 2 x^2 u more, by what rounding x and x^2
 * does to its exponential; where they are shortened to 2^-11, gelu to u |x| more. What no normal float
 * can hold may be 0, or x times the smallest one. */
static void test_numbers(void **state)
{
    (void)state;
    static const double alphas[] = {1, 0.3, 0.075, 1e-20}; /* of celu */
    for (int i = 0; i < FWI_ACT_COUNT + T_COUNT(alphas) - 1; i++)
        for (int grad = 0; grad < 2; grad++) {
            const int64_t fn = i < FWI_ACT_COUNT ? i : FWI_CELU;
            const double alpha = alphas[i < FWI_ACT_COUNT ? 0 : i - FWI_ACT_COUNT + 1];
            const fused_case f = {14, 8, 8, 16, fn, alpha, 0, 0};
            const fwi_shape s = fwi_shape4(f.n, f.h, f.w, f.c);
            const fwi_attr a = {.act = {.fn = fn, .alpha = alpha}};
            t_case c;
            t_begin(&c, bias_ops[grad].kind, &a);
            if (grad)
                t_real(&c, s, T_NORMAL);
            double *x = t_real(&c, s, T_NORMAL), *b = t_real(&c, fwi_shape1(f.c), T_NORMAL);
            for (int64_t j = 0; j < c.in[grad].n; j++)
                x[j] = number(j);
            for (int64_t j = 0; j < f.c; j++)
                b[j] = 0;
            t_expect(&c);
            tol_bias(&c, &f, &bias_ops[grad]);
            for (int64_t j = 0; !grad && j < c.result[0].n; j++) {
                const double size = fabs(c.result[0].want[j]);
                const double square = fn == FWI_GELU && x[j] < 0 ? 2 * x[j] * x[j] : 0;
                c.result[0].tol[j] =
                    (16 + square) * T_U * size + ldexp(1, -126) * (1 + fmin(fabs(x[j]), 128));
                c.result[0].more[j] = size / 2048 + (fn == FWI_GELU ? T_U * fabs(x[j]) : 0);
            }
            t_check(&c);
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweeps),     cmocka_unit_test(test_pooled),
        cmocka_unit_test(test_pool_edges), cmocka_unit_test(test_grad),
        cmocka_unit_test(test_pool_grad),  cmocka_unit_test(test_unpool_grad),
        cmocka_unit_test(test_stats),      cmocka_unit_test(test_conv_stats),
        cmocka_unit_test(test_bias),       cmocka_unit_test(test_numbers),
    };
    return t_main(argc, argv, "test_fused", tests, sizeof tests / sizeof *tests);
}
