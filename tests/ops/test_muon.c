/* test_muon.c: Muon's update against the double reference, and the reference against what is known
 * of it: the map of singular values on diagonal matrices, gradients of zeros, and ten steps of
 * PyTorch (tests/golden/muon.json, by scripts/golden/muon_golden.py) through fwi_optim_append.
 * ctest: tsan */
#include "t_golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worse.h"

enum { LR, WD, RN, XN, COLUMNS = XN + 2 };
#define AIRBENCH_XN 1, 1e-7 /* u / (norm(u) + 1e-7) */
static const fwi_attr airbench = {.muon = {.momentum = 0.6,
                                           .a = 3.4445,
                                           .b = -4.7750,
                                           .c = 2.0315,
                                           .steps = 3,
                                           .lr_col = LR,
                                           .wd_col = WD,
                                           .rn_col = RN,
                                           .xn_col = XN}};

/* Tolerances of a case with expected results. v: three roundings. w: a few of the weight, and the
 * rate times the error of X, which has m singular values near 1: its m n elements are about
 * 1/sqrt(n) each, n >= m, and sums of n products make their roundings sqrt(n) times as large. A step
 * adds the three terms of its polynomial, and the steps after it pass the sum's roundings on as they
 * do singular values: at most 4-fold each (f' is 3.4 at 0 and under 4.6 up to 1.25). 2: style A14;
 * and twice that, as the
 * reference that doubles are held to rounds as they do. */
static void tolerate(t_case *c, const double *row)
{
    const fwi_muon_attr *const a = &c->attr.muon;
    const int64_t n = c->in[0].n, rows = c->in[0].shape.d[0];
    double ww = 0;
    for (int64_t i = 0; i < n; i++)
        ww += c->in[0].v[i] * c->in[0].v[i];
    const double renorm = row[RN] != 0 && ww > 0 ? sqrt((double)rows / ww) : 1;
    const double terms = fabs(a->a) + fabs(a->b) + fabs(a->c);
    const double x = 4 * T_U * terms * pow(4, (double)a->steps - 1);
    for (int64_t i = 0; i < n; i++) {
        c->result[0].tol[i] = 4 * T_U * fabs(renorm * c->in[0].v[i]) + row[LR] * x;
        c->result[1].tol[i] = 4 * T_U * (fabs(a->momentum * c->in[1].v[i]) + fabs(c->in[2].v[i]));
    }
}

static void test_shapes(void **state)
{
    (void)state;
    const struct {
        int32_t rank;
        int64_t d[4];
    } shapes[] = {{2, {1, 1}},        {2, {1, 7}},        {2, {7, 1}},    {2, {2, 2}},
                  {2, {5, 33}},       {2, {33, 5}},       {2, {37, 37}},  {4, {6, 3, 3, 5}},
                  {4, {64, 3, 3, 3}}, {4, {24, 2, 2, 3}}, {2, {70, 700}}, {2, {700, 70}},
                  {4, {1, 5, 5, 2}},  {4, {9, 1, 1, 40}}};
    for (int i = 0; i < T_COUNT(shapes); i++)
        for (int k = 0; k < 3; k++) {
            const double row[COLUMNS] = {0.24, k == 1 ? 0.05 : 0, k != 1, k == 2 ? 1.5 : 1,
                                         k == 2 ? 0.125 : 1e-7};
            fwi_attr a = airbench;
            if (k == 2)
                a.muon =
                    (fwi_muon_attr){0, 3.4576, -4.7391, 2.0843, 1e-7, 1 + i % 3, LR, WD, RN, XN, 0};
            fwi_shape s = {.rank = shapes[i].rank};
            memcpy(s.d, shapes[i].d, sizeof shapes[i].d);
            t_case c;
            t_begin(&c, FWI_OP_muon, &a);
            t_real(&c, s, T_NORMAL);
            t_real(&c, s, T_NORMAL);
            t_real(&c, s, T_NORMAL);
            t_values(&c, FW_F64, fwi_shape1(COLUMNS), row);
            t_expect(&c);
            tolerate(&c, row);
            t_check(&c);
        }
}

/* A case of given numbers. w NULL: zeros. v is zeros, so that with momentum 0 u is g. */
static void begin_given(t_case *c, const fwi_attr *a, fwi_shape s, const double *w, const double *g,
                        const double *row)
{
    const int64_t n = fwi_shape_elems(&s);
    double *zeros = calloc((size_t)n, sizeof *zeros);
    assert_non_null(zeros);
    t_begin(c, FWI_OP_muon, a);
    t_values(c, FW_F32, s, w != NULL ? w : zeros);
    t_values(c, FW_F32, s, zeros);
    t_values(c, FW_F32, s, g);
    t_values(c, FW_F64, fwi_shape1(COLUMNS), row);
    t_expect(c);
    tolerate(c, row);
    free(zeros);
}

/* A gradient of rank 3, as of a layer that is wider than its batch: what rounding leaves where singular values are 0
 * grows from step to step, and with many steps must still end as a singular value does, not without end. */
static void test_singular(void **state)
{
    (void)state;
    /* with many steps the bound of tolerate is above any singular value; what there is of them is below 1.3 */
    static const struct {
        int64_t steps;
        bool ends;
    } cases[] = {{5, false},  {6, false}, {8, false}, {9, false}, {10, false},
                 {17, false}, {12, true}, {20, true}, {100, true}};
    static const int64_t sides[][2] = {{24, 70}, {70, 24}};
    enum { RANK = 3, SIZE = 24 * 70 };
    const double row[COLUMNS] = {0.24, 0, 0, AIRBENCH_XN};
    for (int i = 0; i < T_COUNT(cases) * 2; i++) {
        const int64_t rows = sides[i % 2][0], cols = sides[i % 2][1];
        double g[SIZE] = {0}, w[SIZE];
        for (int64_t k = 0; k < SIZE; k++)
            w[k] = t_normal();
        for (int64_t r = 0; r < RANK; r++)
            for (int64_t k = 0; k < SIZE; k++) /* whole numbers: the rank is exact */
                g[k] += (double)((k / cols * (5 + 2 * r) + r) % 7 - 3) *
                        (double)((k % cols * (3 + 4 * r) + 2 * r) % 11 - 5);
        fwi_attr a = airbench;
        a.muon.steps = cases[i / 2].steps;
        t_case c;
        begin_given(&c, &a, fwi_shape2(rows, cols), w, g, row);
        c.float_only = cases[i / 2].ends;
        for (int64_t k = 0; k < SIZE; k++) {
            assert_true(fabs(c.result[0].want[k] - w[k]) < row[LR] * 1.3);
            if (cases[i / 2].ends)
                c.result[0].tol[k] = row[LR] * 2 * 1.3;
        }
        t_check(&c);
    }
}

/* Each number of a diagonal goes through f(x) = a x + b x^3 + c x^5 three times; the other elements
 * stay 0. */
static void test_scalar_map(void **state)
{
    (void)state;
    static const double x[] = {0.001, 0.01, 0.05, 0.1, 0.5, 1};
    static const double maps[][6] = {{0.04086, 0.40006, 1.20164, 0.70708, 0.82437, 0.72071},
                                     {0.04133, 0.40462, 1.21847, 0.80253, 0.97125, 0.79889}};
    enum { N = 6, MORE = 9 };
    const double row[COLUMNS] = {1, 0, 1, AIRBENCH_XN};
    fwi_attr a = airbench;
    a.muon.momentum = 0;
    for (int shape = 0; shape < 6; shape++)
        for (int alone = 0; alone < 2; alone++) {    /* the last one is 1 only by itself */
            const double *const f = maps[shape / 3]; /* airbench's, hiverge's */
            if (shape == 3) {
                a.muon.a = 3.4576;
                a.muon.b = -4.7391;
                a.muon.c = 2.0843;
            }
            const int64_t rows = shape % 3 == 1 ? MORE : N, cols = shape % 3 == 2 ? MORE : N;
            double g[MORE * MORE] = {0}, rest = 1;
            for (int i = 0; i < N - 1 && !alone; i++) {
                g[i * cols + i] = x[i];
                rest -= x[i] * x[i];
            }
            g[(N - 1) * cols + N - 1] = sqrt(rest); /* so that the norm is 1 */
            t_case c;
            begin_given(&c, &a, fwi_shape2(rows, cols), NULL, g, row);
            const double *const w = c.result[0].want;
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < cols; j++) {
                    const double is = -w[i * cols + j];
                    if (i != j)
                        assert_true(fabs(is) < 1e-12);
                    else if (alone ? i == N - 1 : i < N - 1)
                        assert_true(fabs(is - f[i]) < 2e-5);
                }
            t_check(&c);
        }
}

/* Where all singular values of 0.05 and more end, by the published polynomials: two on a diagonal whose
 * squares add up to 1, over a grid of them. The ends are reached, so the ranges are no wider. */
static void test_scalar_map_ranges(void **state)
{
    (void)state;
    static const double range[][2] = {{0.682, 1.202}, {0.799, 1.360}};
    enum { GRID = 400 };
    const double row[COLUMNS] = {1, 0, 1, AIRBENCH_XN}, below = 0.05;
    for (int poly = 0; poly < 2; poly++) {
        fwi_attr a = airbench;
        double least = 9, most = 0;
        a.muon.momentum = 0;
        if (poly == 1) {
            a.muon.a = 3.4576;
            a.muon.b = -4.7391;
            a.muon.c = 2.0843;
        }
        for (int i = 0; i <= GRID; i++) {
            const double x = below + (1 - below) * i / GRID, rest = 1 - x * x;
            const double g[4] = {x, 0, 0, rest > 0 ? sqrt(rest) : 0};
            t_case c;
            begin_given(&c, &a, fwi_shape2(2, 2), NULL, g, row);
            for (int k = 0; k < 4; k += 3)
                if (g[k] >= below) {
                    least = fmin(least, -c.result[0].want[k]);
                    most = fmax(most, -c.result[0].want[k]);
                }
            t_drop(&c);
        }
        if (fabs(least - range[poly][0]) > 6e-4 || fabs(most - range[poly][1]) > 6e-4)
            fail_msg("polynomial %d: [%.5f, %.5f]", poly, least, most);
    }
}

/* No gradient: no step, only norm and decay. */
static void test_no_gradient(void **state)
{
    (void)state;
    const fwi_shape s = fwi_shape4(4, 3, 3, 2);
    for (int k = 0; k < 4; k++) {
        const double row[COLUMNS] = {0.5, k == 1 ? 0.5 : 0, k != 2, AIRBENCH_XN};
        double g[72] = {0}, w[72] = {0}, ww = 0;
        for (int i = 0; i < 72 && k < 3; i++) {
            w[i] = t_normal();
            ww += w[i] * w[i];
        }
        t_case c;
        begin_given(&c, &airbench, s, w, g, row);
        const double renorm = k == 2 ? 1 : sqrt(4 / ww);
        for (int i = 0; i < 72; i++) {
            const double want = k == 3 ? 0 : w[i] * renorm * (k == 1 ? 0.75 : 1);
            assert_true(fabs(c.result[0].want[i] - want) < 1e-6);
            assert_true(c.result[1].want[i] == 0);
        }
        t_check(&c);
    }
}

/* A rate of 0: momentum goes on, the weight stays as it is, bit for bit. */
static void test_no_rate(void **state)
{
    (void)state;
    const double row[COLUMNS] = {0, 0.5, 1, AIRBENCH_XN};
    t_case c;
    t_begin(&c, FWI_OP_muon, &airbench);
    const double *const w = t_real(&c, fwi_shape2(5, 7), T_NORMAL);
    const double *const v = t_real(&c, fwi_shape2(5, 7), T_NORMAL);
    const double *const g = t_real(&c, fwi_shape2(5, 7), T_NORMAL);
    t_values(&c, FW_F64, fwi_shape1(COLUMNS), row);
    t_expect(&c);
    for (int i = 0; i < 35; i++) {
        assert_true(c.result[0].want[i] == w[i]);
        assert_true(fabs(c.result[1].want[i] - (0.6 * v[i] + g[i])) < 1e-15);
        c.result[1].tol[i] = 4 * T_U * (fabs(0.6 * v[i]) + fabs(g[i]));
    }
    t_check(&c);
}

/* A gradient that is not a number is not hidden. */
static void test_nan(void **state)
{
    (void)state;
    const double row[COLUMNS] = {0.1, 0, 1, AIRBENCH_XN};
    double g[12] = {1, 2, NAN}, w[12] = {1};
    t_case c;
    begin_given(&c, &airbench, fwi_shape2(3, 4), w, g, row);
    for (int i = 0; i < 12; i++)
        assert_true(isnan(c.result[0].want[i]));
    t_check(&c);
}

/* ---- ten steps of PyTorch ---- */

static fw_optimizer make(const json_t *c)
{
    const json_t *const abc = json_object_get(c, "abc");
    const bool renorm = json_is_true(json_object_get(c, "renorm"));
    return fw_muon(t_golden_rate(c), t_number(c, "momentum"),
                   &(fw_muon_opt){.steps = (int32_t)t_number(c, "steps"),
                                  .a = t_number_at(abc, 0),
                                  .b = t_number_at(abc, 1),
                                  .c = t_number_at(abc, 2),
                                  .weight_decay = t_number(c, "weight_decay"),
                                  .renorm = renorm ? FW_RENORM_EVERY_STEP : FW_RENORM_NONE});
}

static void test_golden(void **state)
{
    (void)state;
    const json_t *const cases = json_object_get(t_golden("muon"), "cases");
    assert_int_equal(json_array_size(cases), 4);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *const c = json_array_get(cases, i), *const shape =
                                                              json_object_get(c, "shape");
        fwi_shape s = {.rank = (int32_t)json_array_size(shape)};
        for (int32_t k = 0; k < s.rank; k++)
            s.d[k] = (int64_t)t_number_at(shape, (size_t)k);
        const fwi_optim o = {.rest = make(c)};
        assert_int_equal(fwi_optim_columns(&o), COLUMNS);
        t_golden_steps(c, &o, FW_F64, s, 5, 300, 1e-12);
        t_golden_steps(c, &o, FW_F32, s, 5, 300, 1e-5);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar_map),  cmocka_unit_test(test_scalar_map_ranges),
        cmocka_unit_test(test_no_gradient), cmocka_unit_test(test_no_rate),
        cmocka_unit_test(test_nan),         cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_golden),      cmocka_unit_test(test_singular),
    };
    return t_main(argc, argv, "test_muon", tests, sizeof tests / sizeof *tests);
}
