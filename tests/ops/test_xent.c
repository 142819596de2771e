/* test_xent.c: softmax, cross-entropy and accuracy against the double reference, against the
 * formula in long double, at their edges, and against differences. Below, lse is log sum exp of a
 * row. */
#include "t_grad.h"

#include <math.h>

static const int64_t sizes[][2] = {{1, 1},    {1, 2},    {3, 10},  {64, 10}, {7, 33},
                                   {2, 1000}, {512, 10}, {3, 512}, {900, 11}};

#define SIZES (T_COUNT(sizes) + T_RANDOM(8))

/* Rows and classes of case s; behind the fixed ones new ones with each call. */
static const int64_t *size_at(int s)
{
    static int64_t drawn[2];
    if (s < T_COUNT(sizes))
        return sizes[s];
    drawn[0] = 1 + t_below(200);
    drawn[1] = 1 + t_below(150);
    return drawn;
}

/* e^-87: below it, about where a float's normal range ends, a room's exp may be 0. */
static const double EXP_END = 1.65e-38;

static double row_max_abs(const double *row, int64_t k)
{
    double m = 0;
    for (int64_t i = 0; i < k; i++)
        m = fmax(m, fabs(row[i]));
    return m;
}

/* x - max rounds to within u |x - max|, which exp hands on as a relative error; 8 units for exp and
 * log themselves, A14 for the sum of k exponentials, and one unit each of lse and the label's
 * logit. */
static double tol_exp(const double *row, int64_t k)
{
    return T_U * (2 * row_max_abs(row, k) + 8 + 2 * sqrt((double)k));
}

static double *logits(t_case *c, int64_t n, int64_t k, double spread)
{
    double *x = t_real(c, fwi_shape2(n, k), T_NORMAL);
    for (int64_t i = 0; i < n * k; i++)
        x[i] = (double)(float)(spread * x[i]);
    return x;
}

static void labels(t_case *c, int64_t n, int64_t k, bool masked)
{
    t_ints(c, FW_I32, fwi_shape1(n), masked ? -1 : 0, k - 1);
}

static fwi_attr attr(int i)
{
    return (fwi_attr){.xent = {.smoothing = i % 3 == 0   ? 0
                                            : i % 3 == 1 ? 0.2
                                                         : 0.9,
                               .mean = i & 1}};
}

static double weight(const t_case *c)
{
    double counted = 0;
    for (int64_t r = 0; r < c->in[1].n; r++)
        counted += c->in[1].v[r] >= 0;
    return counted == 0 ? 0 : c->attr.xent.mean ? 1 / counted : 1;
}

static void test_loss(void **state)
{
    (void)state;
    for (int s = 0; s < SIZES; s++)
        for (int i = 0; i < 6; i++) {
            const int64_t *const d = size_at(s), n = d[0], k = d[1];
            const fwi_attr a = attr(i);
            t_case c;
            t_begin(&c, FWI_OP_softmax_xent, &a);
            const double *x = logits(&c, n, k, i < 3 ? 1 : 20);
            labels(&c, n, k, i > 1);
            t_expect(&c);
            double total = 0;
            for (int64_t r = 0; r < n;
                 r++) { /* rows may come with lse rounded before x leaves it */
                const double m = row_max_abs(x + r * k, k);
                const double want = fabs(c.result[1].want[r]);
                /* smoothed, the loss is a sum over classes too: A14 */
                const double along = a.xent.smoothing > 0 ? 2 * sqrt((double)k) : 0;
                const double t = c.in[1].v[r] < 0
                                     ? 0
                                     : tol_exp(x + r * k, k) + T_U * (4 * m + (1 + along) * want);
                c.result[1].tol[r] = t;
                total += t + 2 * T_U * sqrt((double)n) * want;
            }
            c.result[0].tol[0] = total * weight(&c) + 2 * T_U * fabs(c.result[0].want[0]);
            t_check(&c);
        }
}

static void test_loss_grad(void **state)
{
    (void)state;
    for (int s = 0; s < SIZES; s++)
        for (int i = 0; i < 6; i++) {
            const int64_t *const d = size_at(s), n = d[0], k = d[1];
            const fwi_attr a = attr(i);
            t_case c;
            t_begin(&c, FWI_OP_softmax_xent_grad, &a);
            const double *x = logits(&c, n, k, i < 3 ? 1 : 20);
            labels(&c, n, k, i > 1);
            const double g = fabs(t_real(&c, fwi_shape1(1), T_SHIFTED)[0]) * weight(&c);
            t_expect(&c);
            for (int64_t r = 0; r < n; r++)
                for (int64_t j = 0; j < k; j++) { /* p - target: p's error, and one unit of 1 */
                    const double target =
                        j == (int64_t)c.in[1].v[r] ? 1 : a.xent.smoothing / (double)k;
                    const double p =
                        fmin(1, fabs(c.result[0].want[r * k + j]) / fmax(g, 1e-30) + target);
                    c.result[0].tol[r * k + j] =
                        c.in[1].v[r] < 0
                            ? 0
                            : g * (p * tol_exp(x + r * k, k) + 3 * T_U * (p + target) + EXP_END);
                }
            t_check(&c);
        }
}

static void test_softmax(void **state)
{
    (void)state;
    for (int s = 0; s < SIZES; s++)
        for (int i = 0; i < 2; i++) {
            const int64_t *const d = size_at(s), n = d[0], k = d[1];
            t_case c;
            t_begin(&c, FWI_OP_softmax, NULL);
            const double *x = logits(&c, n, k, i == 0 ? 1 : 15);
            t_expect(&c);
            for (int64_t j = 0; j < n * k; j++)
                c.result[0].tol[j] =
                    c.result[0].want[j] * (tol_exp(x + j / k * k, k) + 2 * T_U) + EXP_END;
            t_check(&c);
        }
}

static void test_count(void **state)
{
    (void)state;
    for (int s = 0; s < SIZES; s++)
        for (int fill = 0; fill < 2; fill++) { /* whole numbers tie: the first maximum counts */
            const int64_t *const d = size_at(s), n = d[0], k = d[1] > 100 ? 2 : d[1];
            t_case c;
            t_begin(&c, FWI_OP_count_correct, NULL);
            t_real(&c, fwi_shape2(n, k), fill == 0 ? T_INTS : T_NORMAL);
            t_ints(&c, FW_I32, fwi_shape1(n), n > 3 ? -1 : 0, k - 1);
            t_expect(&c);
            t_check(&c);
        }
}

/* -log p with p by division, in long double; label smoothing in both of its published forms: the
 * cross-entropy with mixed targets (Szegedy et al. 2016, PyTorch), and the mixture of the cross-entropy and
 * the mean of -log p over all classes (Page 2019). */
static void test_formulas(void **state)
{
    (void)state;
    enum { N = 3, K = 4 };
    static const double x[N * K] = {1, 2, 3, 4, -1, 0, 0.5, 0.25, 3, 3, -3, 1}, y[N] = {2, -1, 0};
    const double e = 0.2, one = 1;
    for (int mean = 0; mean < 2; mean++) {
        const fwi_attr a = {.xent = {.smoothing = e, .mean = mean}};
        double loss, rows[N], d[N * K], p[N * K], count;
        t_case c;
        t_begin(&c, FWI_OP_softmax_xent, &a);
        t_values(&c, FW_F32, fwi_shape2(N, K), x);
        t_values(&c, FW_I32, fwi_shape1(N), y);
        t_reference(&c, (double *[]){&loss, rows});
        t_drop(&c);
        t_begin(&c, FWI_OP_softmax_xent_grad, &a);
        t_values(&c, FW_F32, fwi_shape2(N, K), x);
        t_values(&c, FW_I32, fwi_shape1(N), y);
        t_values(&c, FW_F32, fwi_shape1(1), &one);
        t_reference(&c, (double *[]){d});
        t_drop(&c);
        t_begin(&c, FWI_OP_softmax, NULL);
        t_values(&c, FW_F32, fwi_shape2(N, K), x);
        t_reference(&c, (double *[]){p});
        t_drop(&c);
        t_begin(&c, FWI_OP_count_correct, NULL);
        t_values(&c, FW_F32, fwi_shape2(N, K), x);
        t_values(&c, FW_I32, fwi_shape1(N), y);
        t_reference(&c, (double *[]){&count});
        t_drop(&c);

        long double total = 0;
        for (int r = 0; r < N; r++) {
            long double sum = 0, mixed = 0, sharp = 0, even = 0;
            for (int k = 0; k < K; k++)
                sum += expl((long double)x[r * K + k]);
            for (int k = 0; k < K; k++) {
                const long double q = expl((long double)x[r * K + k]) / sum;
                const long double target = (k == (int)y[r] ? 0.8L : 0) + 0.2L / K;
                assert_true(fabsl((long double)p[r * K + k] - q) <= 1e-15L);
                mixed -= target * logl(q);
                sharp -= k == (int)y[r] ? logl(q) : 0;
                even -= logl(q) / K;
                const long double want = y[r] < 0 ? 0 : (q - target) / (mean ? 2 : 1);
                assert_true(fabsl((long double)d[r * K + k] - want) <= 1e-15L);
            }
            const long double mixture = (1 - (long double)e) * sharp + (long double)e * even;
            if (y[r] < 0)
                mixed = 0;
            else
                assert_true(fabsl((long double)rows[r] - mixture) <= 4e-15L);
            assert_true(fabsl((long double)rows[r] - mixed) <= 4e-15L);
            total += mixed;
        }
        assert_true(fabsl((long double)loss - total / (mean ? 2 : 1)) <= 1e-14L);
        assert_true(count == 1); /* row 2: two maxima, the label is the first */
    }
}

/* Rows whose label is all but certain: what is left of it, 1 - p, comes to its own digits and not to those of 1. */
static void test_confident(void **state)
{
    (void)state;
    enum { ROWS = 5, CLASSES = 3 };
    static const double first[ROWS] = {4, 10, 13.8, 16.1, 18.4}, dloss = 0.002;
    static const double labels[ROWS] = {0, 0, 0, 0, 0};
    double x[ROWS * CLASSES] = {0};
    for (int r = 0; r < ROWS; r++)
        x[r * CLASSES] = (double)(float)first[r];
    t_case c;
    t_begin(&c, FWI_OP_softmax_xent_grad, &(fwi_attr){.xent = {.smoothing = 0, .mean = 0}});
    t_values(&c, FW_F32, fwi_shape2(ROWS, CLASSES), x);
    t_values(&c, FW_I32, fwi_shape1(ROWS), labels);
    t_values(&c, FW_F32, fwi_shape1(1), &dloss);
    c.float_only = true; /* 1 - p, of the reference too, has 2^-53 of 1 */
    t_expect(&c);
    for (int i = 0; i < ROWS * CLASSES; i++)
        c.result[0].tol[i] =
            (tol_exp(x + i / CLASSES * CLASSES, CLASSES) + 4 * T_U) * fabs(c.result[0].want[i]);
    t_check(&c);
}

/* Nothing counted: loss 0. Large logits: no overflow. A label that is no class: NaN, nowhere else.
 */
static void test_edges(void **state)
{
    (void)state;
    static const double x[] = {1000, -1000, 0, -1e30, -1e30, 1e30}, one = 1;
    static const double masked[] = {-1, -1}, good[] = {0, 2}, bad[] = {0, 3}, far[] = {-2, 2};
    static const struct {
        const double *labels;
        double loss[2];
    } cases[] = {{masked, {0, 0}}, {good, {0, 0}}, {bad, {0, NAN}}, {far, {NAN, 0}}};
    for (int i = 0; i < T_COUNT(cases); i++) {
        const fwi_attr a = {.xent = {.smoothing = 0, .mean = 1}};
        t_case c;
        t_begin(&c, FWI_OP_softmax_xent, &a);
        t_values(&c, FW_F32, fwi_shape2(2, 3), x);
        t_values(&c, FW_I32, fwi_shape1(2), cases[i].labels);
        t_expect(&c);
        const double sum = cases[i].loss[0] + cases[i].loss[1];
        for (int r = 0; r < 2; r++)
            assert_true(isnan(cases[i].loss[r]) ? isnan(c.result[1].want[r])
                                                : c.result[1].want[r] == cases[i].loss[r]);
        assert_true(isnan(sum) ? isnan(c.result[0].want[0]) : c.result[0].want[0] == 0);
        t_check(&c);

        t_begin(&c, FWI_OP_softmax_xent_grad, &a);
        t_values(&c, FW_F32, fwi_shape2(2, 3), x);
        t_values(&c, FW_I32, fwi_shape1(2), cases[i].labels);
        t_values(&c, FW_F32, fwi_shape1(1), &one);
        t_expect(&c);
        for (int j = 0; j < 6; j++)
            assert_true(isnan(cases[i].loss[j / 3]) == isnan(c.result[0].want[j]));
        t_check(&c);
    }
    static const double with_nan[] = {0, NAN, 1, 0, 2, 1};
    static const double label[] = {2, 1};
    t_case c;
    t_begin(&c, FWI_OP_count_correct, NULL);
    t_values(&c, FW_F32, fwi_shape2(2, 3), with_nan);
    t_values(&c, FW_I32, fwi_shape1(2), label);
    t_expect(&c);
    assert_true(c.result[0].want[0] == 1);
    t_check(&c);
}

static fwi_val build(t_net *net, const void *arg)
{
    const fwi_attr *a = arg;
    const fwi_val x = t_net_param(net, "x", fwi_shape2(5, 6), T_NORMAL);
    const fwi_val y = t_net_ints(net, "labels", FW_I32, fwi_shape1(5), -1, 5);
    return fwi_op2(t_net_graph(net), FWI_OP_softmax_xent, a, x, y);
}

static void test_gradient(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        const fwi_attr a = attr(i);
        t_net_check("softmax_xent", build, &a, 1e-7);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),  cmocka_unit_test(test_loss),
        cmocka_unit_test(test_loss_grad), cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_count),     cmocka_unit_test(test_edges),
        cmocka_unit_test(test_gradient),  cmocka_unit_test(test_confident),
    };
    return t_main(argc, argv, "test_xent", tests, sizeof tests / sizeof *tests);
}
