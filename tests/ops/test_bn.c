/* test_bn.c: batch normalisation against the double reference, against the definition in long
 * double, and against differences. The tolerances follow the arithmetic, step by step: u is 2^-24,
 * K the number of elements per channel and group.
 * ctest: tsan */
#include "t_grad.h"

#include <math.h>

typedef struct bn_case {
    fwi_shape x;
    int64_t groups;
    double mean, std; /* of the inputs */
} bn_case;

static const bn_case cases[] = {
    {{2, {3, 7}}, 1, 0, 1},
    {{2, {64, 33}}, 1, 3, 1},
    {{4, {2, 5, 7, 16}}, 1, 0, 2},
    {{4, {2, 5, 7, 16}}, 2, 1, 1},
    {{4, {3, 9, 9, 24}}, 3, 0, 1},
    {{4, {1, 9, 8, 3}}, 1, -5, 0.5},
    {{4, {3, 1, 1, 64}}, 1, 0, 1},
    {{4, {4, 4, 3, 1}}, 2, 0, 1},
    {{4, {2, 32, 32, 7}}, 1, 2, 1},
    {{4, {2, 16, 16, 64}}, 1, 0, 1},
    {{4, {1, 2, 1, 130}}, 1, 0, 1},
    {{2, {1000, 7}}, 1, 40, 1}, /* E[x^2] - E[x]^2 would lose here what two passes keep */
};

#define CASES (T_COUNT(cases) + T_RANDOM(16))

/* Case i; behind the fixed ones a new one with each call, of at least two values per statistic. */
static const bn_case *case_at(int i)
{
    static const double means[] = {0, 1, -4};
    static bn_case drawn;
    if (i < T_COUNT(cases))
        return &cases[i];
    drawn.groups =
        1 + t_below(4); /* one after the other: a seed draws the same with any compiler */
    const int64_t each = 1 + t_below(5), h = 1 + t_below(8), w = 2 + t_below(8);
    drawn.x = fwi_shape4(drawn.groups * each, h, w, 1 + t_below(80));
    drawn.mean = means[t_below(T_COUNT(means))];
    drawn.std = 0.5 * (double)(1 + t_below(4));
    return &drawn;
}

static int64_t cols(const fwi_shape *s)
{
    return s->d[s->rank - 1];
}

static fwi_attr bn_attr(const bn_case *b, double eps)
{
    return (fwi_attr){.bn = {.eps = eps, .groups = b->groups}};
}

static double *input_x(t_case *c, const bn_case *b)
{
    double *x = t_real(c, b->x, T_NORMAL);
    for (int64_t i = 0; i < c->in[c->n_in - 1].n; i++)
        x[i] = (double)(float)(b->mean + b->std * x[i]);
    return x;
}

/* Mean: A14 on the sum, divided by K. Variance: each (x - m)^2 is off by 3 roundings and the sum by
 * A14; a mean that is off by d adds d^2. y: what mean and variance are off by, and the roundings of
 * gamma (x - m) / std + beta; computing it as x scale + (beta - m scale), one product per element,
 * is allowed, which rounds products of the size of x and m. */
static void tol_train(t_case *c, const bn_case *b, double eps)
{
    const int64_t n_c = cols(&b->x), k = fwi_shape_elems(&b->x) / n_c / b->groups;
    const double root = sqrt((double)k);
    const double *x = c->in[0].v, *gamma = c->in[1].v, *beta = c->in[2].v;
    const double *y = c->result[0].want, *mean = c->result[1].want, *var = c->result[2].want;
    double *ty = c->result[0].tol, *tm = c->result[1].tol, *tv = c->result[2].tol;
    for (int64_t g = 0; g < b->groups; g++)
        for (int64_t i = 0; i < n_c; i++) {
            const int64_t s = g * n_c + i;
            double sum_abs = 0;
            for (int64_t r = 0; r < k; r++)
                sum_abs += fabs(x[(g * k + r) * n_c + i]);
            tm[s] = 2 * T_U * root * sum_abs / (double)k + 2 * T_U * fabs(mean[s]);
            tv[s] = (2 * root + 5) * T_U * var[s] + tm[s] * tm[s];
            const double v = var[s] + eps, scale = fabs(gamma[i]) / sqrt(v);
            for (int64_t r = 0; r < k; r++) {
                const int64_t at = (g * k + r) * n_c + i;
                const double z = fabs(x[at] - mean[s]) * scale;
                ty[at] = scale * tm[s] + z * (tv[s] / (2 * v) + 6 * T_U) +
                         3 * T_U * scale * (fabs(x[at]) + fabs(mean[s])) + 2 * T_U * fabs(beta[i]) +
                         T_U * fabs(y[at]);
            }
        }
}

static void test_train(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const bn_case *b = case_at(i);
        const double eps = i % 2 == 0 ? 1e-5 : 1e-3;
        const fwi_attr a = bn_attr(b, eps);
        const fwi_shape ch = fwi_shape1(cols(&b->x));
        t_case c;
        t_begin(&c, FWI_OP_bn_train, &a);
        input_x(&c, b);
        t_real(&c, ch, T_SHIFTED);
        t_real(&c, ch, T_NORMAL);
        t_expect(&c);
        tol_train(&c, b, eps);
        t_check(&c);
    }
}

/* Sums s = sum dy and q = sum dy z, z = (x - m) / std: A14, and four roundings in each z. dx is
 * gamma / std (dy - s / K - z q / K): what s and q are off by, and eight roundings of the terms. */
static void tol_train_grad(t_case *c, const bn_case *b, double eps)
{
    const int64_t n_c = cols(&b->x), k = fwi_shape_elems(&b->x) / n_c / b->groups;
    const double root = sqrt((double)k), n = (double)k;
    const double *dy = c->in[0].v, *x = c->in[1].v, *gamma = c->in[2].v;
    const double *mean = c->in[3].v, *var = c->in[4].v;
    double *tx = c->result[0].tol, *tg = c->result[1].tol, *tb = c->result[2].tol;
    for (int64_t i = 0; i < n_c; i++) {
        tg[i] = T_U * fabs(c->result[1].want[i]);
        tb[i] = T_U * fabs(c->result[2].want[i]);
        for (int64_t g = 0; g < b->groups; g++) {
            const double m = mean[g * n_c + i], inv = 1 / sqrt(var[g * n_c + i] + eps);
            double s = 0, q = 0, s_abs = 0, q_abs = 0;
            for (int64_t r = 0; r < k; r++) {
                const int64_t at = (g * k + r) * n_c + i;
                const double z = (x[at] - m) * inv;
                s += dy[at];
                q += dy[at] * z;
                s_abs += fabs(dy[at]);
                q_abs += fabs(dy[at] * z);
            }
            const double ts = 2 * T_U * root * s_abs, tq = (2 * root + 5) * T_U * q_abs;
            tb[i] += ts + T_U * s_abs;
            tg[i] += tq + T_U * q_abs;
            for (int64_t r = 0; r < k; r++) {
                const int64_t at = (g * k + r) * n_c + i;
                const double z = fabs(x[at] - m) * inv;
                tx[at] =
                    fabs(gamma[i]) * inv *
                    ((ts + z * tq) / n + 8 * T_U * (fabs(dy[at]) + (fabs(s) + z * fabs(q)) / n));
            }
        }
    }
}

static void test_train_grad(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const bn_case *b = case_at(i);
        const double eps = i % 2 == 0 ? 1e-5 : 1e-3;
        const fwi_attr a = bn_attr(b, eps);
        const int64_t n_c = cols(&b->x), k = fwi_shape_elems(&b->x) / n_c / b->groups;
        t_case c;
        t_begin(&c, FWI_OP_bn_train_grad, &a);
        t_real(&c, b->x, i % 2 == 0 ? T_NORMAL : T_SHIFTED);
        const double *x = input_x(&c, b);
        t_real(&c, fwi_shape1(n_c), T_SHIFTED);
        double *mean = t_real(&c, fwi_shape2(b->groups, n_c), T_NORMAL);
        double *var = t_real(&c, fwi_shape2(b->groups, n_c), T_NORMAL);
        for (int64_t s = 0; s < b->groups * n_c; s++) { /* the statistics of x, as floats */
            const double *xs = x + s / n_c * k * n_c + s % n_c;
            double m = 0, v = 0;
            for (int64_t r = 0; r < k; r++)
                m += xs[r * n_c] / (double)k;
            for (int64_t r = 0; r < k; r++)
                v += (xs[r * n_c] - m) * (xs[r * n_c] - m) / (double)k;
            mean[s] = (double)(float)m;
            var[s] = (double)(float)v;
        }
        t_expect(&c);
        tol_train_grad(&c, b, eps);
        t_check(&c);
    }
}

/* rmean and rvar are any numbers here. */
static void input_running(t_case *c, int64_t n_c)
{
    t_real(c, fwi_shape1(n_c), T_NORMAL);
    t_real(c, fwi_shape1(n_c), T_POSITIVE);
}

static void test_eval(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const bn_case *b = case_at(i);
        const double eps = 1e-5;
        const fwi_attr a = bn_attr(b, eps);
        const int64_t n_c = cols(&b->x);
        t_case c;
        t_begin(&c, FWI_OP_bn_eval, &a);
        const double *x = input_x(&c, b);
        const double *gamma = t_real(&c, fwi_shape1(n_c), T_SHIFTED);
        const double *beta = t_real(&c, fwi_shape1(n_c), T_NORMAL);
        input_running(&c, n_c);
        const double *m = c.in[3].v, *v = c.in[4].v;
        t_expect(&c);
        for (int64_t j = 0; j < c.result[0].n; j++) { /* roundings as in tol_train */
            const int64_t ch = j % n_c;
            const double scale = fabs(gamma[ch]) / sqrt(v[ch] + eps);
            c.result[0].tol[j] = 6 * T_U * scale * (fabs(x[j]) + fabs(m[ch])) +
                                 2 * T_U * fabs(beta[ch]) + T_U * fabs(c.result[0].want[j]);
        }
        t_check(&c);
    }
}

static void test_eval_grad(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const bn_case *b = case_at(i);
        const double eps = 1e-3;
        const fwi_attr a = bn_attr(b, eps);
        const int64_t n_c = cols(&b->x), k = fwi_shape_elems(&b->x) / n_c;
        t_case c;
        t_begin(&c, FWI_OP_bn_eval_grad, &a);
        const double *dy = t_real(&c, b->x, T_NORMAL), *x = input_x(&c, b);
        t_real(&c, fwi_shape1(n_c), T_SHIFTED);
        input_running(&c, n_c);
        const double *m = c.in[3].v, *v = c.in[4].v;
        t_expect(&c);
        t_tol_relative(&c, 0, 6, 0);
        for (int64_t ch = 0; ch < n_c; ch++) {
            double s_abs = 0, q_abs = 0;
            for (int64_t r = 0; r < k; r++) {
                const int64_t at = r * n_c + ch;
                s_abs += fabs(dy[at]);
                q_abs += fabs(dy[at] * (x[at] - m[ch])) / sqrt(v[ch] + eps);
            }
            c.result[1].tol[ch] = (2 * sqrt((double)k) + 6) * T_U * q_abs;
            c.result[2].tol[ch] = (2 * sqrt((double)k) + 1) * T_U * s_abs;
        }
        t_check(&c);
    }
}

static void test_update(void **state)
{
    (void)state;
    for (int64_t groups = 1; groups <= 4; groups++)
        for (int64_t n_c = 1; n_c < 70; n_c += 16) {
            t_case c;
            const fwi_attr a = {
                .bn = {.groups = groups, .update = 0.1 * (double)groups, .count = 2 + t_below(50)}};
            t_begin(&c, FWI_OP_bn_update, &a);
            input_running(&c, n_c);
            const double *m = t_real(&c, fwi_shape2(groups, n_c), T_NORMAL);
            const double *v = t_real(&c, fwi_shape2(groups, n_c), T_POSITIVE);
            t_expect(&c);
            const double unbias = (double)a.bn.count / (double)(a.bn.count - 1);
            for (int64_t i = 0; i < n_c; i++) { /* up to 8 roundings of a sum of these sizes */
                double am = 0, av = 0;
                for (int64_t g = 0; g < groups; g++) {
                    am += fabs(m[g * n_c + i]) / (double)groups;
                    av += v[g * n_c + i] / (double)groups * unbias;
                }
                c.result[0].tol[i] = 8 * T_U * (fabs(c.in[0].v[i]) + am);
                c.result[1].tol[i] = 8 * T_U * (c.in[1].v[i] + av);
            }
            t_check(&c);
        }
}

/* The definition, one line per statistic, in long double. */
static void test_formulas(void **state)
{
    (void)state;
    enum { N = 4, C = 2 };
    static const double x[N * C] = {1, 10, 2, -10, 4, 30, 9, 5};
    static const double gamma[C] = {2, -1}, beta[C] = {0.5, 3};
    const double eps = 1e-5;
    double y[N * C], mean[C], var[C], *out[] = {y, mean, var};
    t_case c;
    t_begin(&c, FWI_OP_bn_train, &(fwi_attr){.bn = {.eps = eps, .groups = 1, .count = N}});
    t_values(&c, FW_F32, fwi_shape2(N, C), x);
    t_values(&c, FW_F32, fwi_shape1(C), gamma);
    t_values(&c, FW_F32, fwi_shape1(C), beta);
    t_reference(&c, out);
    t_drop(&c);
    assert_true(mean[0] == 4 && mean[1] == 8.75);
    assert_true(var[0] == (9 + 4 + 0 + 25) / 4.0); /* divides by 4, not by 3 */
    for (int i = 0; i < N * C; i++) {
        const long double z = ((long double)x[i] - (long double)mean[i % C]) /
                              sqrtl((long double)var[i % C] + (long double)eps);
        const long double want = z * (long double)gamma[i % C] + (long double)beta[i % C];
        assert_true(fabsl((long double)y[i] - want) <= 1e-14L);
    }

    /* r = 0.9 r + 0.1 batch, with the variance times 4/3 */
    static const double rmean[C] = {1, 2}, rvar[C] = {3, 4};
    double new_mean[C], new_var[C], *updated[] = {new_mean, new_var};
    t_begin(&c, FWI_OP_bn_update, &(fwi_attr){.bn = {.groups = 1, .update = 0.1, .count = N}});
    t_values(&c, FW_F32, fwi_shape1(C), rmean);
    t_values(&c, FW_F32, fwi_shape1(C), rvar);
    t_values(&c, FW_F32, fwi_shape2(1, C), mean);
    t_values(&c, FW_F32, fwi_shape2(1, C), var);
    const double *v = c.in[3].v; /* as rounded to float */
    t_reference(&c, updated);
    for (int i = 0; i < C; i++) {
        assert_true(fabs(new_mean[i] - (0.9 * rmean[i] + 0.1 * mean[i])) <= 1e-15);
        assert_true(fabs(new_var[i] - (0.9 * rvar[i] + 0.1 * v[i] * 4 / 3)) <= 1e-14);
    }
    t_drop(&c);

    /* evaluation with those statistics is the same line */
    double ye[N * C], *eval[] = {ye};
    t_begin(&c, FWI_OP_bn_eval, &(fwi_attr){.bn = {.eps = eps, .groups = 1}});
    t_values(&c, FW_F32, fwi_shape2(N, C), x);
    t_values(&c, FW_F32, fwi_shape1(C), gamma);
    t_values(&c, FW_F32, fwi_shape1(C), beta);
    t_values(&c, FW_F32, fwi_shape1(C), rmean);
    t_values(&c, FW_F32, fwi_shape1(C), rvar);
    t_reference(&c, eval);
    t_drop(&c);
    for (int i = 0; i < N * C; i++) {
        const double z = (x[i] - rmean[i % C]) / sqrt(rvar[i % C] + eps);
        assert_true(fabs(ye[i] - (z * gamma[i % C] + beta[i % C])) <= 1e-14);
    }
}

/* A channel that is one number throughout: variance 0, y is beta, nothing infinite anywhere. */
static void test_dead_channel(void **state)
{
    (void)state;
    t_case c;
    t_begin(&c, FWI_OP_bn_train, &(fwi_attr){.bn = {.eps = 1e-12, .groups = 1}});
    double *x = t_real(&c, fwi_shape2(9, 20), T_NORMAL);
    for (int i = 0; i < 9 * 20; i += 20)
        x[i] = 7;
    t_real(&c, fwi_shape1(20), T_SHIFTED);
    const double *beta = t_real(&c, fwi_shape1(20), T_NORMAL);
    t_expect(&c);
    assert_true(c.result[1].want[0] == 7 && c.result[2].want[0] == 0);
    assert_true(c.result[0].want[0] == beta[0]);
    const bn_case b = {{2, {9, 20}}, 1, 0, 1};
    tol_train(&c, &b, 1e-12);
    /* 1 / std is 1e6 here, and whole numbers sum exactly: mean and variance must be exact, and of y
     * only what rounding 7 scale - 7 scale leaves in the one-product form */
    c.result[1].tol[0] = c.result[2].tol[0] = 0;
    for (int r = 0; r < 9; r++)
        c.result[0].tol[r * 20] = 4 * T_U * 7 * 1e6 * fabs(c.in[1].v[0]);
    t_check(&c);
}

static fwi_val build(t_net *net, const void *arg)
{
    const bn_case *b = arg;
    const bool train = b->groups > 0;
    fwi_attr a = bn_attr(b, 1e-3);
    if (!train)
        a.bn.groups = 1;
    fwi_val in[5];
    in[0] = t_net_param(net, "x", b->x, T_NORMAL);
    in[1] = t_net_param(net, "gamma", fwi_shape1(cols(&b->x)), T_NORMAL);
    in[2] = t_net_param(net, "beta", fwi_shape1(cols(&b->x)), T_NORMAL);
    if (train)
        return t_net_dot(net, fwi_graph_op(t_net_graph(net), FWI_OP_bn_train, &a, in, 3, NULL));
    in[3] = t_net_real(net, "rmean", fwi_shape1(cols(&b->x)), T_NORMAL);
    in[4] = t_net_real(net, "rvar", fwi_shape1(cols(&b->x)), T_POSITIVE);
    return t_net_dot(net, fwi_graph_op(t_net_graph(net), FWI_OP_bn_eval, &a, in, 5, NULL));
}

static void test_gradient(void **state)
{
    (void)state;
    static const bn_case nets[] = {
        {{2, {7, 3}}, 1, 0, 1}, {{4, {2, 3, 4, 5}}, 1, 0, 1}, {{4, {4, 3, 2, 5}}, 2, 0, 1}};
    for (int i = 0; i < T_COUNT(nets); i++) {
        t_net_check("bn_train", build, &nets[i], 1e-7);
        bn_case eval = nets[i];
        eval.groups = 0;
        t_net_check("bn_eval", build, &eval, 1e-7);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),     cmocka_unit_test(test_train),
        cmocka_unit_test(test_train_grad),   cmocka_unit_test(test_eval),
        cmocka_unit_test(test_eval_grad),    cmocka_unit_test(test_update),
        cmocka_unit_test(test_dead_channel), cmocka_unit_test(test_gradient),
    };
    return t_main(argc, argv, "test_bn", tests, sizeof tests / sizeof *tests);
}
