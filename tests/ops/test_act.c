/* test_act.c: activations and their derivatives against the double reference, against formulas
 * written another way, and against differences.
 * ctest: tsan */
#include "t_grad.h"

#include <float.h>
#include <math.h>

static const fwi_shape shapes[] = {
    {1, {1}}, {2, {3, 7}}, {2, {1, 33}}, {4, {2, 9, 9, 24}}, {4, {3, 5, 7, 16}}, {1, {1027}},
};

#define SHAPES (T_COUNT(shapes) + T_RANDOM(12))

/* Of case i; behind the fixed ones a new one with each call. */
static fwi_shape shape_at(int i)
{
    if (i < T_COUNT(shapes))
        return shapes[i];
    const int64_t n = 1 + t_below(5), h = 1 + t_below(9), w = 1 + t_below(9);
    return fwi_shape4(n, h, w, 1 + t_below(70));
}

static void test_relu(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const fwi_shape shape = shape_at(i);
        t_case c;
        t_begin(&c, FWI_OP_relu, NULL);
        t_real(&c, shape, T_NORMAL)[0] = 1.5; /* so that the case of one element is not 0 */
        t_expect(&c);
        t_check(&c); /* tolerance 0: nothing rounds */

        t_begin(&c, FWI_OP_relu_grad, NULL);
        t_real(&c, shape, T_NORMAL);
        double *y = t_real(&c, shape, T_NORMAL);
        for (int64_t j = 0; j < c.in[1].n; j++)
            y[j] = y[j] < 0 ? 0 : y[j];
        t_expect(&c);
        t_check(&c);
    }
}

/* What relu does at the edges is part of its definition, for every kernel. */
static void test_relu_edges(void **state)
{
    (void)state;
    double x[40], y[40], dy[40];
    for (int i = 0; i < 40; i++) {
        static const double edge[] = {0.0, -0.0, NAN, INFINITY, -INFINITY, -FLT_MIN, FLT_MIN, 1};
        x[i] = edge[i % 8];
        y[i] = x[i] < 0 ? 0 : x[i];
        dy[i] = i + 1;
    }
    t_case c;
    t_begin(&c, FWI_OP_relu, NULL);
    t_values(&c, FW_F32, fwi_shape1(40), x);
    t_expect(&c);
    assert_true(isnan(c.result[0].want[2]) && c.result[0].want[3] == INFINITY);
    assert_true(c.result[0].want[4] == 0 && c.result[0].want[6] > 0);
    t_check(&c);
    t_begin(&c, FWI_OP_relu_grad, NULL);
    t_values(&c, FW_F32, fwi_shape1(40), dy);
    t_values(&c, FW_F32, fwi_shape1(40), y);
    t_expect(&c);
    assert_true(c.result[0].want[0] == 0 && c.result[0].want[2] == 3 && c.result[0].want[3] == 4);
    t_check(&c);
}

static const fwi_act_attr fns[] = {
    {FWI_CELU, 1.0}, {FWI_CELU, 0.075}, {FWI_CELU, 0.3},  {FWI_GELU, 0},
    {FWI_SILU, 0},   {FWI_TANH, 0},     {FWI_SIGMOID, 0}, {FWI_SOFTPLUS, 0},
};

/* 8 units of the value, as for a library function with a good approximation inside; and 8 units of
 * what the function multiplies (x in gelu and silu) or adds up from (alpha (e^z - 1) near 0 may
 * come from 1 - 1), but never more than of |x|: near 0 all of these must follow x. */
static double value_tol(const fwi_act_attr *a, double x, double want)
{
    const double ax = fabs(x);
    const double part = a->fn == FWI_GELU || a->fn == FWI_SILU ? ax : fmin(ax, 1.0);
    return 8 * T_U * (fabs(want) + part);
}

static void test_values(void **state)
{
    (void)state;
    for (int f = 0; f < T_COUNT(fns); f++)
        for (int i = 0; i < SHAPES; i++) {
            const fwi_shape shape = shape_at(i);
            t_case c;
            t_begin(&c, FWI_OP_act, &(fwi_attr){.act = fns[f]});
            double *x = t_real(&c, shape, T_NORMAL);
            for (int64_t j = 0; j < c.in[0].n; j++) /* up to 4, some to 30, some tiny */
                x[j] = (double)(float)(j % 11 == 5 ? 8 * x[j] : j % 13 == 7 ? 1e-4 * x[j] : x[j]);
            t_expect(&c);
            for (int64_t j = 0; j < c.result[0].n; j++)
                c.result[0].tol[j] = value_tol(&fns[f], x[j], c.result[0].want[j]);
            double *more = t_more(&c, 0); /* of images stored as bf16: an eighth of a rounding */
            for (int64_t j = 0; j < c.result[0].n; j++)
                more[j] = fabs(c.result[0].want[j]) / 2048;
            t_check(&c);

            t_begin(&c, FWI_OP_act_grad, &(fwi_attr){.act = fns[f]});
            double *dy = t_real(&c, shape, T_NORMAL);
            x = t_real(&c, shape, T_NORMAL);
            for (int64_t j = 0; j < c.in[1].n; j += 5)
                x[j] = (double)(float)(4 * x[j]);
            t_expect(&c);
            /* slopes lie between -0.2 and 1.2 and are sums of such numbers: 8 units of 1; of
             * images stored as bf16 2^-12 of 1, a sixteenth of a rounding there */
            more = t_more(&c, 0);
            for (int64_t j = 0; j < c.result[0].n; j++) {
                c.result[0].tol[j] = 8 * T_U * fabs(dy[j]) + T_U * fabs(c.result[0].want[j]);
                more[j] = 1.01 * fabs(dy[j]) / 4096; /* dy may yet be rounded */
            }
            t_check(&c);
        }
}

/* Behind the last number: limits, and a NaN stays one. */
static void test_infinities(void **state)
{
    (void)state;
    for (int f = 0; f < T_COUNT(fns); f++) {
        double x[33];
        for (int i = 0; i < 33; i++)
            x[i] = i % 3 == 0 ? -INFINITY : i % 3 == 1 ? INFINITY : i % 2 == 0 ? NAN : 1;
        t_case c;
        t_begin(&c, FWI_OP_act, &(fwi_attr){.act = fns[f]});
        t_values(&c, FW_F32, fwi_shape1(33), x);
        t_expect(&c);
        for (int64_t j = 0; j < c.result[0].n; j++)
            c.result[0].tol[j] = isfinite(c.result[0].want[j])
                                     ? value_tol(&fns[f], fmin(fabs(x[j]), 1), c.result[0].want[j])
                                     : 0;
        t_check(&c);
    }
}

/* The reference against the definitions, in other words, in long double. */
static long double plain(const fwi_act_attr *a, long double x)
{
    switch ((fwi_act_fn)a->fn) {
    case FWI_CELU:
        return fmaxl(0, x) +
               fminl(0, (long double)a->alpha * (expl(x / (long double)a->alpha) - 1));
    case FWI_GELU:
        return x * 0.5L * (1 + erfl(x / sqrtl(2)));
    case FWI_SILU:
        return x / (1 + expl(-x));
    case FWI_TANH:
        return (expl(2 * x) - 1) / (expl(2 * x) + 1);
    case FWI_SIGMOID:
        return 1 / (1 + expl(-x));
    case FWI_SOFTPLUS:
        return logl(1 + expl(x));
    case FWI_ACT_COUNT:
        break;
    }
    return 0;
}

static void test_formulas(void **state)
{
    (void)state;
    static const double x[] = {-6, -2.5, -1, -0.25, -0.001, 0, 0.001, 0.5, 1, 3, 7};
    enum { N = T_COUNT(x) };
    for (int f = 0; f < T_COUNT(fns); f++) {
        double y[N], *out[] = {y};
        t_case c;
        t_begin(&c, FWI_OP_act, &(fwi_attr){.act = fns[f]});
        t_values(&c, FW_F64, fwi_shape1(N), x);
        c.in[0].dtype = FW_F32; /* real; but not rounded */
        t_reference(&c, out);
        for (int i = 0; i < N; i++)
            assert_true(fabsl((long double)y[i] - plain(&fns[f], (long double)x[i])) <= 2e-15L);
        t_drop(&c);

        double dy[N], slope[N];
        double *slopes[] = {slope};
        for (int i = 0; i < N; i++)
            dy[i] = 1;
        t_begin(&c, FWI_OP_act_grad, &(fwi_attr){.act = fns[f]});
        t_values(&c, FW_F32, fwi_shape1(N), dy);
        t_values(&c, FW_F64, fwi_shape1(N), x);
        c.in[1].dtype = FW_F32;
        t_reference(&c, slopes);
        for (int i = 0; i < N; i++) {
            if (x[i] == 0)
                continue; /* CELU's second derivative jumps here */
            const long double h = 1e-6L, at = (long double)x[i];
            const long double d = (plain(&fns[f], at + h) - plain(&fns[f], at - h)) / (2 * h);
            assert_true(fabsl((long double)slope[i] - d) <= 1e-10L);
        }
        t_drop(&c);
    }
}

/* Far out there is nothing but the limits, without overflow on the way. */
static void test_far_out(void **state)
{
    (void)state;
    static const double x[] = {-1e4, 1e4};
    static const double want[][2] = {{-1, 1e4}, {-0.075, 1e4}, {-0.3, 1e4}, {0, 1e4},
                                     {0, 1e4},  {-1, 1},       {0, 1},      {0, 1e4}};
    static const double slope[][2] = {{0, 1}, {0, 1}, {0, 1}, {0, 1},
                                      {0, 1}, {0, 0}, {0, 0}, {0, 1}};
    static const double ones[] = {1, 1};
    for (int f = 0; f < T_COUNT(fns); f++)
        for (int op = 0; op < 2; op++) {
            t_case c;
            t_begin(&c, op == 0 ? FWI_OP_act : FWI_OP_act_grad, &(fwi_attr){.act = fns[f]});
            if (op == 1)
                t_values(&c, FW_F32, fwi_shape1(2), ones);
            t_values(&c, FW_F32, fwi_shape1(2), x);
            t_expect(&c);
            for (int i = 0; i < 2; i++) {
                assert_true(c.result[0].want[i] == (op == 0 ? want : slope)[f][i]);
                c.result[0].tol[i] = 8 * T_U * fabs(c.result[0].want[i]) + 1e-30;
            }
            t_check(&c);
        }
}

static fwi_val build(t_net *net, const void *arg)
{
    const fwi_act_attr *a = arg;
    const fwi_val x = t_net_param(net, "x", fwi_shape2(5, 7), T_AWAY);
    if (a == NULL)
        return t_net_dot(net, fwi_op1(t_net_graph(net), FWI_OP_relu, NULL, x));
    const fwi_attr attr = {.act = *a};
    return t_net_dot(net, fwi_op1(t_net_graph(net), FWI_OP_act, &attr, x));
}

static void test_gradient(void **state)
{
    (void)state;
    t_net_check("relu", build, NULL, 1e-7);
    for (int f = 0; f < T_COUNT(fns); f++)
        t_net_check("act", build, &fns[f], 1e-7);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relu),     cmocka_unit_test(test_relu_edges),
        cmocka_unit_test(test_values),   cmocka_unit_test(test_infinities),
        cmocka_unit_test(test_formulas), cmocka_unit_test(test_far_out),
        cmocka_unit_test(test_gradient),
    };
    return t_main(argc, argv, "test_act", tests, sizeof tests / sizeof *tests);
}
