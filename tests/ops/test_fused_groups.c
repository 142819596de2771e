/* test_fused_groups.c: fused ops with groups of statistics, as the reference defines them: each group is
 * a batch of its own, in every bit; and their gradients are those of the whole chain, statistics included,
 * by central differences in double. That kernels keep to the reference: test_fused.c. */
#include "t_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 6, GROUPS = 3, H = 4, W = 5, C = 3, K = 2 };

static const int64_t OH = H / K, OW = W / K;

/* ---- groups as batches of their own ---- */

/* Operands by letter: X images, Y pooled ones, I places, c a number of a channel, s and v mean and var,
 * d a gradient that groups add to. */
typedef struct group_op {
    fwi_opkind kind;
    const char *in, *out;
    bool pools;
} group_op;

static const group_op group_ops[] = {
    {FWI_OP_bn_stats, "X", "ss", false},
    {FWI_OP_max_pool_stats, "X", "YIss", true},
    {FWI_OP_bn_act, "Xccsv", "X", false},
    {FWI_OP_bn_act_add, "XccsvX", "X", false},
    {FWI_OP_bn_act_pool, "Xccsv", "YI", true},
    {FWI_OP_bn_act_grad, "XXccsv", "Xdd", false},
    {FWI_OP_bn_act_pool_grad, "YIXccsv", "Xdd", true},
    {FWI_OP_bn_act_unpool_grad, "YIYccsv", "Xdd", true},
};

static fwi_attr attr_of(const group_op *op, int64_t groups)
{
    if (op->kind == FWI_OP_bn_stats)
        return (fwi_attr){.stats = {.groups = groups}};
    if (op->kind == FWI_OP_max_pool_stats)
        return (fwi_attr){.pool_stats = {.k = K, .stride = K, .groups = groups}};
    const int64_t k = op->pools ? K : 0;
    return (fwi_attr){
        .bn_act = {.eps = 1e-3, .fn = FWI_GELU, .k = k, .ih = k > 0 ? H : 0, .iw = k > 0 ? W : 0}};
}

static fwi_shape shape_of(char letter, int64_t n, int64_t groups)
{
    if (letter == 'X')
        return fwi_shape4(n, H, W, C);
    if (letter == 'Y' || letter == 'I')
        return fwi_shape4(n, OH, OW, C);
    return letter == 's' || letter == 'v' ? fwi_shape2(groups, C) : fwi_shape1(C);
}

/* Elements of one group's part of such an operand, 0: all groups share it. */
static int64_t part_of(char letter)
{
    if (letter == 'c' || letter == 'd')
        return 0;
    const fwi_shape s = shape_of(letter, N / GROUPS, 1);
    return fwi_shape_elems(&s);
}

static void draw(t_case *c, char letter)
{
    const fwi_shape s = shape_of(letter, N, GROUPS);
    if (letter == 'I')
        t_ints(c, FW_U8, s, 0, K * K - 1);
    else
        t_real(c, s, letter == 'v' ? T_POSITIVE : T_NORMAL);
}

/* Group number g of the case. */
static void take_group(t_case *part, const t_case *c, const group_op *op, int64_t g)
{
    const fwi_attr a = attr_of(op, 1);
    t_begin(part, op->kind, &a);
    for (int i = 0; i < c->n_in; i++)
        t_values(part, c->in[i].dtype, shape_of(op->in[i], N / GROUPS, 1),
                 c->in[i].v + g * part_of(op->in[i]));
}

static void groups_are_batches(void **state)
{
    (void)state;
    for (int k = 0; k < T_COUNT(group_ops); k++) {
        const group_op *op = &group_ops[k];
        const fwi_attr a = attr_of(op, GROUPS);
        const int n_out = (int)strlen(op->out);
        double *sums[T_RESULTS] = {0};
        t_case c, part;
        t_begin(&c, op->kind, &a);
        for (int i = 0; op->in[i] != 0; i++)
            draw(&c, op->in[i]);
        t_expect(&c);
        for (int r = 0; r < n_out; r++)
            sums[r] = t_must(calloc(C, sizeof(double)));
        for (int64_t g = 0; g < GROUPS; g++) {
            take_group(&part, &c, op, g);
            t_expect(&part);
            for (int r = 0; r < n_out; r++)
                for (int64_t j = 0; j < part.result[r].n; j++) {
                    if (op->out[r] == 'd')
                        sums[r][j] += part.result[r].want[j];
                    else
                        assert_true(part.result[r].want[j] ==
                                    c.result[r].want[g * part_of(op->out[r]) + j]);
                }
            t_drop(&part);
        }
        for (int r = 0; r < n_out; r++) {
            for (int64_t j = 0; op->out[r] == 'd' && j < C; j++)
                assert_true(sums[r][j] == c.result[r].want[j]);
            free(sums[r]);
        }
        t_drop(&c);
    }
}

/* ---- gradients against differences ---- */

typedef enum pool_at { PLAIN, POOL_BEHIND, POOL_IN_FRONT } pool_at;

/* What the chain begins with, and what its output is multiplied by to make a loss. */
typedef struct chain {
    pool_at form;
    double x[N * H * W * C], gamma[C], beta[C], dy[N * H * W * C];
    double mean[GROUPS * C], var[GROUPS * C]; /* of the last forward pass */
    double small[N * (H / K) * (W / K) * C];  /* x behind a pool in front */
    double idx[N * (H / K) * (W / K) * C];
} chain;

/* As they are, not rounded to float. */
static void give(t_case *c, fw_dtype dtype, fwi_shape shape, const double *v)
{
    t_values(c, dtype, shape, v);
    memcpy(c->in[c->n_in - 1].v, v, (size_t)c->in[c->n_in - 1].n * sizeof *v);
}

static void give_norm(t_case *c, const chain *p)
{
    give(c, FW_F32, fwi_shape1(C), p->gamma);
    give(c, FW_F32, fwi_shape1(C), p->beta);
    give(c, FW_F32, fwi_shape2(GROUPS, C), p->mean);
    give(c, FW_F32, fwi_shape2(GROUPS, C), p->var);
}

static fwi_attr chain_attr(const chain *p)
{
    const bool behind = p->form == POOL_BEHIND;
    return (fwi_attr){.bn_act = {.eps = 1e-3,
                                 .fn = FWI_SILU,
                                 .k = behind ? K : 0,
                                 .ih = behind ? H : 0,
                                 .iw = behind ? W : 0}};
}

static double loss_of(chain *p)
{
    static double y[N * H * W * C];
    const fwi_shape full = fwi_shape4(N, H, W, C), small = fwi_shape4(N, OH, OW, C);
    const bool front = p->form == POOL_IN_FRONT;
    const fwi_attr a = chain_attr(p), stats = {.stats = {.groups = GROUPS}};
    const fwi_attr pool = {.pool_stats = {.k = K, .stride = K, .groups = GROUPS}};
    double *to_stats[] = {p->mean, p->var}, *pooled[] = {p->small, p->idx, p->mean, p->var};
    double *out[] = {y, p->idx};
    t_case c;
    t_begin(&c, front ? FWI_OP_max_pool_stats : FWI_OP_bn_stats, front ? &pool : &stats);
    give(&c, FW_F32, full, p->x);
    t_reference(&c, front ? pooled : to_stats);
    t_drop(&c);
    t_begin(&c, p->form == POOL_BEHIND ? FWI_OP_bn_act_pool : FWI_OP_bn_act, &a);
    give(&c, FW_F32, front ? small : full, front ? p->small : p->x);
    give_norm(&c, p);
    t_reference(&c, out);
    t_drop(&c);
    const fwi_shape *s = p->form == PLAIN ? &full : &small;
    double loss = 0;
    for (int64_t i = 0; i < fwi_shape_elems(s); i++)
        loss += p->dy[i] * y[i];
    return loss;
}

/* At the point of the last loss. */
static void gradients_of(chain *p, double *dx, double *dgamma, double *dbeta)
{
    const fwi_shape full = fwi_shape4(N, H, W, C), small = fwi_shape4(N, OH, OW, C);
    const bool pool = p->form != PLAIN, front = p->form == POOL_IN_FRONT;
    fwi_attr a = chain_attr(p);
    if (front) {
        a.bn_act.k = K;
        a.bn_act.ih = H;
        a.bn_act.iw = W;
    }
    double *out[] = {dx, dgamma, dbeta};
    t_case c;
    t_begin(&c,
            front  ? FWI_OP_bn_act_unpool_grad
            : pool ? FWI_OP_bn_act_pool_grad
                   : FWI_OP_bn_act_grad,
            &a);
    give(&c, FW_F32, pool ? small : full, p->dy);
    if (pool)
        give(&c, FW_U8, small, p->idx);
    give(&c, FW_F32, front ? small : full, front ? p->small : p->x);
    give_norm(&c, p);
    t_reference(&c, out);
    t_drop(&c);
}

/* The loss's slope along direction v of n parameters at w, against the gradient. */
static void check_slope(chain *p, double *w, int64_t n, const double *grad)
{
    const double h = 1e-5;
    double at[N * H * W * C], v[N * H * W * C], f[2], dot = 0, g2 = 0, v2 = 0;
    memcpy(at, w, (size_t)n * sizeof *w);
    for (int64_t i = 0; i < n; i++) {
        v[i] = t_normal();
        dot += grad[i] * v[i];
        g2 += grad[i] * grad[i];
        v2 += v[i] * v[i];
    }
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++)
            w[i] = at[i] + (side == 0 ? -h : h) * v[i];
        f[side] = loss_of(p);
    }
    memcpy(w, at, (size_t)n * sizeof *w);
    const double size = fmax(fabs(dot), sqrt(g2 * v2 / (double)n));
    assert_true(size > 0);
    assert_true(fabs((f[1] - f[0]) / (2 * h) - dot) <= 1e-7 * size);
}

static void fill(double *v, int64_t n, double mean)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = mean + t_normal();
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    for (int i = PLAIN; i <= POOL_IN_FRONT; i++) {
        static chain p;
        double dx[N * H * W * C], dgamma[C], dbeta[C];
        p.form = (pool_at)i;
        fill(p.x, N * H * W * C, 1);
        fill(p.gamma, C, 3);
        fill(p.beta, C, 0);
        fill(p.dy, N * H * W * C, 0);
        assert_true(isfinite(loss_of(&p)));
        gradients_of(&p, dx, dgamma, dbeta);
        check_slope(&p, p.x, N * H * W * C, dx);
        check_slope(&p, p.gamma, C, dgamma);
        check_slope(&p, p.beta, C, dbeta);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_batches),
        cmocka_unit_test(gradients_are_slopes),
    };
    return t_main(argc, argv, "test_fused_groups", tests, sizeof tests / sizeof *tests);
}
