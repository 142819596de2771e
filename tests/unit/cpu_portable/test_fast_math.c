/* test_fast_math.c: the vector-friendly exp, expm1, log1p and activations against the C library's
 * in double, over the floats' range, in units of the result's last place. */
#include "fast_math_short.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "worse.h"

/* Both steps of a short form at once. */
#define SHORT(fn)                                                                                  \
    static float fn##_short(float x, float alpha)                                                  \
    {                                                                                              \
        return fn##_from(x, fn##_e(x, alpha), alpha);                                              \
    }                                                                                              \
    static float fn##_slope_short(float x, float alpha)                                            \
    {                                                                                              \
        return fn##_slope_from(x, fn##_e(x, alpha), alpha);                                        \
    }
SHORT(celu)
SHORT(gelu)
SHORT(silu)
SHORT(tanh)
SHORT(sigmoid)
SHORT(softplus)

typedef struct worst {
    double ulp, at;
} worst;

/* Half-way rounding of the expected value itself is at most half a unit; results that are no normal
 * floats may be 0. */
static void note(worst *w, double x, float got, double want)
{
    if (fabs(want) < 1.2e-38 && fabsf(got) < 1.3e-38f)
        return;
    const double unit = ldexp(1.0, ilogb(want) - 23);
    const double ulp = fabs((double)got - want) / unit;
    if (!isnan(w->ulp) && !(ulp <= w->ulp)) { /* a NaN stays */
        w->ulp = ulp;
        w->at = x;
    }
}

static void report(const char *name, const worst *w, double limit)
{
    print_message("%-14s worst error %.2f ulp, at %.9g (limit %g)\n", name, w->ulp, w->at, limit);
    assert_true(w->ulp <= limit);
}

static void exp_and_log(void **state)
{
    (void)state;
    worst e = {0}, m = {0}, l = {0};
    for (int i = 0; i <= 870000; i++) {
        const float x = -1e-4f * (float)i;
        note(&e, (double)x, exp_neg(x), exp((double)x));
        note(&m, (double)x, expm1_neg(x), expm1((double)x));
    }
    for (int i = 0; i < 4000; i++) { /* near 0, where expm1 and log1p must not lose digits */
        const float x = ldexpf(1.0f + (float)(i % 97) / 97.0f, -(i % 100));
        note(&m, (double)x, expm1_neg(-x), expm1(-(double)x));
        if (x <= 1.0f)
            note(&l, (double)x, log1p_unit(x), log1p((double)x));
    }
    for (int i = 0; i <= 100000; i++)
        note(&l, 1e-5 * i, log1p_unit(1e-5f * (float)i), log1p((double)(1e-5f * (float)i)));
    report("exp", &e, 2);
    report("expm1", &m, 2);
    report("log1p", &l, 2);
    assert_true(exp_neg(-100.0f) == 0.0f);
    assert_true(exp_neg(-INFINITY) == 0.0f);
    assert_true(exp_neg(0.0f) == 1.0f);
    assert_true(expm1_neg(-INFINITY) == -1.0f);
}

static void activations(void **state)
{
    (void)state;
    worst cdf = {0}, sig = {0}, tan_h = {0}, plus = {0}, ce = {0};
    for (int i = -130000; i <= 130000; i++) {
        const float x = 1e-4f * (float)i;
        const double d = (double)x;
        float bell;
        note(&cdf, d, normal_cdf_f32(x, &bell), normal_cdf_f64(d));
        note(&sig, d, sigmoid_f32(x, 0), sigmoid_f64(d, 0));
        note(&tan_h, d, tanh_f32(x, 0), tanh(d));
        note(&plus, d, softplus_f32(x, 0), softplus_f64(d, 0));
        note(&ce, d, celu_f32(x, 0.75f), celu_f64(d, 0.75));
    }
    report("normal cdf", &cdf, 6);
    report("sigmoid", &sig, 4);
    report("tanh", &tan_h, 4);
    report("softplus", &plus, 4);
    report("celu", &ce, 5);
}

/* Slopes pass through zero, so their error is measured against the slope's own scale, 1. */
static void slopes(void **state)
{
    (void)state;
    double worst_error = 0;
    for (int i = -150000; i <= 150000; i++) {
        const float x = 1e-4f * (float)i;
        const double d = (double)x;
        const double error[] = {(double)gelu_slope_f32(x, 0) - gelu_slope_f64(d, 0),
                                (double)silu_slope_f32(x, 0) - silu_slope_f64(d, 0),
                                (double)tanh_slope_f32(x, 0) - tanh_slope_f64(d, 0),
                                (double)sigmoid_slope_f32(x, 0) - sigmoid_slope_f64(d, 0),
                                (double)softplus_slope_f32(x, 0) - softplus_slope_f64(d, 0),
                                (double)celu_slope_f32(x, 0.75f) - celu_slope_f64(d, 0.75)};
        for (size_t k = 0; k < sizeof error / sizeof *error; k++)
            worst_error = t_worse(worst_error, fabs(error[k]));
    }
    print_message("slopes: worst error %.3g (limit %.3g)\n", worst_error, 5 * 0x1p-24);
    assert_true(worst_error <= 5 * 0x1p-24);
}

/* What serves bf16 storage: values to 2^-11 of themselves (and gelu to 2^-24 |x| where the normal
 * distribution is smaller than that), slopes to 2^-12. */
static void short_forms(void **state)
{
    (void)state;
    static const char *const names[] = {"gelu", "silu", "tanh", "sigmoid", "softplus", "celu"};
    double value[6] = {0}, slope[6] = {0};
    for (int i = -150000; i <= 150000; i++) {
        const float x = 1e-4f * (float)i;
        const double d = (double)x;
        const double v[6][2] = {{(double)gelu_short(x, 0), gelu_f64(d, 0)},
                                {(double)silu_short(x, 0), silu_f64(d, 0)},
                                {(double)tanh_short(x, 0), tanh(d)},
                                {(double)sigmoid_short(x, 0), sigmoid_f64(d, 0)},
                                {(double)softplus_short(x, 0), softplus_f64(d, 0)},
                                {(double)celu_short(x, 0.75f), celu_f64(d, 0.75)}};
        const double s[6][2] = {{(double)gelu_slope_short(x, 0), gelu_slope_f64(d, 0)},
                                {(double)silu_slope_short(x, 0), silu_slope_f64(d, 0)},
                                {(double)tanh_slope_short(x, 0), tanh_slope_f64(d, 0)},
                                {(double)sigmoid_slope_short(x, 0), sigmoid_slope_f64(d, 0)},
                                {(double)softplus_slope_short(x, 0), softplus_slope_f64(d, 0)},
                                {(double)celu_slope_short(x, 0.75f), celu_slope_f64(d, 0.75)}};
        for (int k = 0; k < 6; k++) {
            const double floor = k == 0 ? 0x1p-24 * fabs(d) : 0;
            const double off = fabs(v[k][0] - v[k][1]) - floor;
            if (!(off <= 0))
                value[k] = t_worse(value[k], off / fabs(v[k][1]));
            slope[k] = t_worse(slope[k], fabs(s[k][0] - s[k][1]));
        }
    }
    for (int k = 0; k < 6; k++) {
        print_message("short %-9s values to %.2g of themselves (limit %.2g), slopes to %.2g (limit "
                      "%.2g)\n",
                      names[k], value[k], 0x1p-11, slope[k], 0x1p-12);
        assert_true(value[k] <= 0x1p-11);
        assert_true(slope[k] <= 0x1p-12);
    }
}

/* The doubles that the floats above are measured by, against their definitions. */
static void doubles(void **state)
{
    (void)state;
    for (double x = -6; x <= 6; x += 0.37) {
        const double h = 1e-5;
        assert_true(fabs(sigmoid_f64(x, 0) - 1 / (1 + exp(-x))) < 1e-15);
        assert_true(fabs(normal_cdf_f64(x) - 0.5 * (1 + erf(x / sqrt(2)))) < 1e-15);
#define SLOPE(fn, alpha)                                                                           \
    fabs((fn##_f64(x + h, alpha) - fn##_f64(x - h, alpha)) / (2 * h) - fn##_slope_f64(x, alpha))
        assert_true(SLOPE(gelu, 0) < 1e-9);
        assert_true(SLOPE(silu, 0) < 1e-9);
        assert_true(SLOPE(tanh, 0) < 1e-9);
        assert_true(SLOPE(sigmoid, 0) < 1e-9);
        assert_true(SLOPE(softplus, 0) < 1e-9);
        assert_true(SLOPE(celu, 0.75) < 1e-9);
#undef SLOPE
    }
}

static void ends_of_the_range(void **state)
{
    (void)state;
    assert_true(gelu_f32(100.0f, 0) == 100.0f);
    assert_true(gelu_f32(-100.0f, 0) == 0.0f);
    assert_true(silu_f32(200.0f, 0) == 200.0f);
    assert_true(sigmoid_f32(INFINITY, 0) == 1.0f);
    assert_true(sigmoid_f32(-INFINITY, 0) == 0.0f);
    assert_true(tanh_f32(INFINITY, 0) == 1.0f);
    assert_true(tanh_f32(-INFINITY, 0) == -1.0f);
    assert_true(softplus_f32(300.0f, 0) == 300.0f);
    assert_true(celu_f32(1e30f, 0.5f) == 1e30f);
    assert_true(celu_f32(-1e30f, 0.5f) == -0.5f);
    assert_true(gelu_short(INFINITY, 0) == INFINITY && gelu_short(-1e30f, 0) == 0.0f);
    assert_true(gelu_slope_short(1e30f, 0) < 1.001f && fabsf(gelu_slope_short(-1e30f, 0)) < 1e-6f);
    assert_true(silu_short(1e30f, 0) == 1e30f && fabsf(silu_short(-1e30f, 0)) < 1e-35f);
    assert_true(silu_slope_short(1e30f, 0) == 1.0f && fabsf(silu_slope_short(-1e30f, 0)) < 1e-35f);
    assert_true(tanh_short(-INFINITY, 0) == -1.0f && sigmoid_short(INFINITY, 0) == 1.0f);
    assert_true(softplus_short(300.0f, 0) == 300.0f && celu_short(-1e30f, 0.5f) == -0.5f);
    float (*const all[])(float, float) = {celu_f32,
                                          gelu_f32,
                                          silu_f32,
                                          tanh_f32,
                                          sigmoid_f32,
                                          softplus_f32,
                                          celu_slope_f32,
                                          gelu_slope_f32,
                                          silu_slope_f32,
                                          tanh_slope_f32,
                                          sigmoid_slope_f32,
                                          softplus_slope_f32,
                                          celu_short,
                                          gelu_short,
                                          silu_short,
                                          tanh_short,
                                          sigmoid_short,
                                          softplus_short,
                                          celu_slope_short,
                                          gelu_slope_short,
                                          silu_slope_short,
                                          tanh_slope_short,
                                          sigmoid_slope_short,
                                          softplus_slope_short};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_true(isnan(all[i](NAN, 1.0f)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_and_log), cmocka_unit_test(activations),
        cmocka_unit_test(slopes),      cmocka_unit_test(short_forms),
        cmocka_unit_test(doubles),     cmocka_unit_test(ends_of_the_range)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
