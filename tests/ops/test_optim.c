/* test_optim.c: updates and gradient clipping against the double reference, and the reference
 * against the published formulas, over several steps with a changing rate.
 * ctest: tsan */
#include "t_ops.h"

#include <math.h>

static const int64_t sizes[] = {1, 7, 33, 64, 1027, 50000};

static void test_sum_squares(void **state)
{
    (void)state;
    for (int i = 0; i < T_COUNT(sizes); i++)
        for (int exact = 0; exact < 2; exact++) {
            t_case c;
            t_begin(&c, FWI_OP_sum_squares, NULL);
            t_real(&c, fwi_shape1(sizes[i]), exact ? T_INTS : T_AWAY)[0] = 2;
            t_real(&c, fwi_shape1(1), T_INTS)[0] = i % 2 == 0 ? 0 : 3;
            t_expect(&c);
            if (!exact)
                t_tol_relative(&c, 0, 2 * sqrt((double)sizes[i]) + 1, 0);
            t_check(&c);
        }
}

static void test_clip_factor(void **state)
{
    (void)state;
    static const double ss[] = {0, 1e-30, 0.5, 1, 4, 1e10, INFINITY, NAN};
    static const double want[] = {1, 1, 1, 1, 0.5, 1e-5, NAN, NAN};
    for (int i = 0; i < T_COUNT(ss); i++) {
        t_case c;
        t_begin(&c, FWI_OP_clip_factor, &(fwi_attr){.scalar = {1.0}});
        t_values(&c, FW_F32, fwi_shape1(1), &ss[i]);
        t_expect(&c);
        const double got = c.result[0].want[0];
        assert_true(isnan(want[i]) ? isnan(got) : fabs(got - want[i]) <= 1e-9 * want[i]);
        t_tol_relative(&c, 0, 4, 0);
        t_check(&c);
    }
}

static const double hyper[] = {9, 0.1, 5e-4, 9, 1 - 0.9 * 0.9, 1 - 0.999 * 0.999};

static void test_sgd(void **state)
{
    (void)state;
    for (int i = 0; i < T_COUNT(sizes); i++)
        for (int form = 0; form < 3; form++) {
            const double mom = form == 0 && i % 2 == 0 ? 0 : 0.9;
            const fwi_attr a = {.optim = {.momentum = mom, .form = form, .lr_col = 1, .wd_col = 2}};
            t_case c;
            t_begin(&c, FWI_OP_sgd, &a);
            const double *w = t_real(&c, fwi_shape1(sizes[i]), T_NORMAL);
            const double *v = t_real(&c, fwi_shape1(sizes[i]), T_NORMAL);
            const double *g = t_real(&c, fwi_shape1(sizes[i]), T_NORMAL);
            t_values(&c, FW_F64, fwi_shape1(6), hyper);
            t_expect(&c);
            /* rates round to float, then at most 8 roundings of sums of these terms */
            const double lr = hyper[1], wd = hyper[2], in = form == FWI_NESTEROV_PAGE ? lr : 1;
            for (int64_t j = 0; j < sizes[i]; j++) {
                const double vs = mom * fabs(v[j]) + in * (fabs(g[j]) + wd * fabs(w[j]));
                const double out = form == FWI_NESTEROV_PAGE ? 1 : lr;
                c.result[0].tol[j] = 2 * T_U * fabs(w[j]) + 8 * T_U * out * (1 + mom) * vs;
                c.result[1].tol[j] = 6 * T_U * vs;
            }
            t_check(&c);
        }
}

static void test_adam(void **state)
{
    (void)state;
    for (int i = 0; i < T_COUNT(sizes); i++) {
        const fwi_attr a = {
            .optim = {
                .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .lr_col = 1, .wd_col = 2, .bc_col = 4}};
        t_case c;
        t_begin(&c, FWI_OP_adam, &a);
        const double *w = t_real(&c, fwi_shape1(sizes[i]), T_NORMAL);
        const double *m = t_real(&c, fwi_shape1(sizes[i]), T_NORMAL);
        t_real(&c, fwi_shape1(sizes[i]), T_POSITIVE);
        const double *g = t_real(&c, fwi_shape1(sizes[i]), T_NORMAL);
        t_values(&c, FW_F64, fwi_shape1(6), hyper);
        t_expect(&c);
        for (int64_t j = 0; j < sizes[i]; j++) {
            const double ms = 0.9 * fabs(m[j]) + 0.1 * fabs(g[j]), vj = c.result[2].want[j];
            const double down = sqrt(vj) / sqrt(hyper[5]) + 1e-8;
            /* the step: m, v under a root, the rate, a quotient: 16 roundings of its terms */
            c.result[0].tol[j] = 3 * T_U * fabs(w[j]) + 16 * T_U * hyper[1] / hyper[4] * ms / down;
            c.result[1].tol[j] = 5 * T_U * ms;
            c.result[2].tol[j] = 6 * T_U * vj;
        }
        t_check(&c);
    }
}

/* Sums of squares are in double: the rate of a filter rounds once, then SGD's bound holds. */
static void test_lars(void **state)
{
    (void)state;
    static const int64_t shapes[][4] = {
        {1, 1, 1, 1}, {3, 1, 1, 7}, {5, 3, 3, 3}, {64, 3, 3, 24}, {2, 5, 5, 900}};
    for (int i = 0; i < T_COUNT(shapes); i++) {
        const double mom = i % 2 == 0 ? 0.9 : 0;
        const fwi_attr a = {.optim = {.momentum = mom, .eps = 0.01, .lr_col = 1, .wd_col = 2}};
        const int64_t *const d = shapes[i], cols = d[1] * d[2] * d[3];
        const fwi_shape s = fwi_shape4(d[0], d[1], d[2], d[3]);
        t_case c;
        t_begin(&c, FWI_OP_lars, &a);
        const double *w = t_real(&c, s, T_NORMAL);
        const double *v = t_real(&c, s, T_NORMAL);
        const double *g = t_real(&c, s, T_NORMAL);
        t_values(&c, FW_F64, fwi_shape1(6), hyper);
        t_expect(&c);
        for (int64_t r = 0; r < d[0]; r++) {
            double ww = 0, gg = 0;
            for (int64_t j = r * cols; j < (r + 1) * cols; j++) {
                ww += w[j] * w[j];
                gg += g[j] * g[j];
            }
            const double rate = hyper[1] * sqrt(ww) / (sqrt(gg) + 0.01);
            for (int64_t j = r * cols; j < (r + 1) * cols; j++) {
                const double vs = mom * fabs(v[j]) + rate * (fabs(g[j]) + hyper[2] * fabs(w[j]));
                c.result[0].tol[j] = 2 * T_U * fabs(w[j]) + 8 * T_U * (1 + mom) * vs;
                c.result[1].tol[j] = 7 * T_U * vs;
            }
        }
        t_check(&c);
    }
}

/* Two filters by hand: their rates are 0.5 * 5 / (2 + 0.5) = 1 and 0.5 * 2 / (0 + 0.5) = 2. */
static void test_lars_filters(void **state)
{
    (void)state;
    static const double w[] = {3, 4, 0, 2}, g[] = {0, 2, 0, 0}, v[] = {1, 0, 0, 2};
    static const double row[] = {0.5, 0.25};
    const fwi_attr a = {.optim = {.momentum = 0.5, .eps = 0.5, .lr_col = 0, .wd_col = 1}};
    static const double want_v[] = {0.5 - 0.75, -3, 0, 0}, want_w[] = {2.125, -0.5, 0, 1};
    t_case c;
    t_begin(&c, FWI_OP_lars, &a);
    t_values(&c, FW_F32, fwi_shape4(2, 1, 1, 2), w);
    t_values(&c, FW_F32, fwi_shape4(2, 1, 1, 2), v);
    t_values(&c, FW_F32, fwi_shape4(2, 1, 1, 2), g);
    t_values(&c, FW_F64, fwi_shape1(2), row);
    t_expect(&c);
    for (int i = 0; i < 4; i++) {
        assert_true(c.result[0].want[i] == want_w[i] && c.result[1].want[i] == want_v[i]);
        c.result[0].tol[i] = c.result[1].tol[i] = 0; /* every number here is exact */
    }
    t_check(&c);
}

static void test_average(void **state)
{
    (void)state;
    for (int i = 0; i < T_COUNT(sizes); i++)
        for (int k = 0; k < 8; k++) {
            static const double decays[] = {0.7, 0, 1, 0.25};
            const double row[] = {decays[k % 4], 9, i != 1};
            const fwi_attr a = {.average = {.on_col = 2, .decay_col = 0, .copy_back = k / 4}};
            t_case c;
            t_begin(&c, FWI_OP_average, &a);
            const double *avg = t_real(&c, fwi_shape1(sizes[i]), T_NORMAL);
            const double *w = t_real(&c, fwi_shape1(sizes[i]), T_NORMAL);
            t_values(&c, FW_F64, fwi_shape1(3), row);
            t_expect(&c);
            for (int64_t j = 0; j < sizes[i]; j++) {
                const double is = row[2] == 0 ? avg[j] : row[0] * avg[j] + (1 - row[0]) * w[j];
                const double sum = row[0] * fabs(avg[j]) + (1 - row[0]) * fabs(w[j]);
                assert_true(fabs(c.result[0].want[j] - is) <= 1e-15 * sum);
                assert_true(c.result[1].want[j] ==
                            (k / 4 == 1 && row[2] != 0 ? c.result[0].want[j] : w[j]));
                /* the decay, its complement and two products and a sum round; copies do not */
                c.result[0].tol[j] = k % 4 == 0 && row[2] != 0   ? 4 * T_U * sum
                                     : k % 4 == 3 && row[2] != 0 ? 2 * T_U * sum
                                                                 : 0;
                c.result[1].tol[j] = k / 4 == 1 ? c.result[0].tol[j] : 0;
            }
            t_check(&c);
        }
}

/* What has arrived stays: two shares of it that do not add up to 1 would carry it away, step after step. */
static void test_average_at_rest(void **state)
{
    (void)state;
    static const double decays[] = {0.1, 0.5, 0.9, 0.999, 0.9999, 0.99999};
    for (int i = 0; i < T_COUNT(decays); i++) {
        const double row[] = {decays[i], 1};
        double w[100];
        for (int j = 0; j < T_COUNT(w); j++)
            w[j] = t_normal();
        t_case c;
        t_begin(&c, FWI_OP_average,
                &(fwi_attr){.average = {.on_col = 1, .decay_col = 0, .copy_back = 0}});
        for (int k = 0; k < 2; k++)
            t_values(&c, FW_F32, fwi_shape1(T_COUNT(w)), w);
        t_values(&c, FW_F64, fwi_shape1(2), row);
        t_expect(&c);
        t_check(&c); /* with no tolerance */
    }
}

/* A copy takes the weight even where the average is lost, and an average that is put back does not
 * look at the weight. */
static void test_average_copies(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const double avg[] = {k == 0 ? NAN : 3}, w[] = {k == 0 ? 3 : NAN}, row[] = {k, 1};
        const fwi_attr a = {.average = {.on_col = 1, .decay_col = 0, .copy_back = 1}};
        t_case c;
        t_begin(&c, FWI_OP_average, &a);
        t_values(&c, FW_F32, fwi_shape1(1), avg);
        t_values(&c, FW_F32, fwi_shape1(1), w);
        t_values(&c, FW_F64, fwi_shape1(2), row);
        t_expect(&c);
        assert_true(c.result[0].want[0] == 3 && c.result[1].want[0] == 3);
        t_check(&c);
    }
}

/* One weight, several steps, by the formulas of the papers and of PyTorch's documentation. */
static void step(fwi_opkind op, const fwi_attr *a, double *const *state, int n_state, double g,
                 const double *row)
{
    double *out[4];
    t_case c;
    t_begin(&c, op, a);
    for (int i = 0; i < n_state; i++) {
        t_values(&c, FW_F64, fwi_shape1(1), state[i]);
        c.in[i].dtype = FW_F32; /* real, but not rounded between the steps */
        out[i] = state[i];
    }
    t_values(&c, FW_F32, fwi_shape1(1), &g);
    t_values(&c, FW_F64, fwi_shape1(4), row);
    t_reference(&c, out);
    t_drop(&c);
}

static const double rates[] = {0.1, 0.2, 0.05}, grads[] = {1, -0.5, 2};

static void test_sgd_formulas(void **state)
{
    (void)state;
    const double mom = 0.9, wd = 0.01;
    for (int form = 0; form < 3; form++) {
        const fwi_attr a = {.optim = {.momentum = mom, .form = form, .lr_col = 0, .wd_col = 1}};
        double w = 3, v = 0, w2 = 3, v2 = 0;
        for (int t = 0; t < 3; t++) {
            const double row[] = {rates[t], wd, 0, 0}, lr = rates[t], g = grads[t];
            step(FWI_OP_sgd, &a, (double *[]){&w, &v}, 2, g, row);
            if (form == FWI_NESTEROV_PAGE) { /* the rate is inside v */
                v2 = mom * v2 - lr * (g + wd * w2);
                w2 = w2 + mom * v2 - lr * (g + wd * w2);
            } else {
                const double d = g + wd * w2;
                v2 = mom * v2 + d;
                w2 -= lr * (form == FWI_NESTEROV_PYTORCH ? d + mom * v2 : v2);
            }
            assert_true(fabs(w - w2) <= 1e-14 && fabs(v - v2) <= 1e-14);
        }
        assert_true(fabs(w - 3) > 0.1);
    }
}

static void test_adam_formulas(void **state)
{
    (void)state;
    const double b1 = 0.9, b2 = 0.99, eps = 0.1, wd = 0.01;
    const fwi_attr a = {
        .optim = {.beta1 = b1, .beta2 = b2, .eps = eps, .lr_col = 0, .wd_col = 1, .bc_col = 2}};
    double w = 3, m = 0, v = 0, w2 = 3, m2 = 0, v2 = 0;
    for (int t = 1; t <= 3; t++) {
        const double lr = rates[t - 1], g = grads[t - 1];
        const double row[] = {lr, wd, 1 - pow(b1, t), 1 - pow(b2, t)};
        step(FWI_OP_adam, &a, (double *[]){&w, &m, &v}, 3, g, row);
        w2 *= 1 - lr * wd;
        m2 = b1 * m2 + (1 - b1) * g;
        v2 = b2 * v2 + (1 - b2) * g * g;
        const double m_hat = m2 / (1 - pow(b1, t)), v_hat = v2 / (1 - pow(b2, t));
        w2 -= lr * m_hat / (sqrt(v_hat) + eps);
        assert_true(fabs(w - w2) <= 1e-14 && fabs(m - m2) <= 1e-14 && fabs(v - v2) <= 1e-14);
        if (t == 1) /* the first step's length is lr g / (|g| + eps), whatever g */
            assert_true(fabs(w - (3 * (1 - lr * wd) - lr * g / (fabs(g) + eps))) <= 1e-14);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sgd_formulas),
        cmocka_unit_test(test_adam_formulas),
        cmocka_unit_test(test_sum_squares),
        cmocka_unit_test(test_clip_factor),
        cmocka_unit_test(test_sgd),
        cmocka_unit_test(test_adam),
        cmocka_unit_test(test_lars),
        cmocka_unit_test(test_lars_filters),
        cmocka_unit_test(test_average),
        cmocka_unit_test(test_average_at_rest),
        cmocka_unit_test(test_average_copies),
    };
    return t_main(argc, argv, "test_optim", tests, sizeof tests / sizeof *tests);
}
