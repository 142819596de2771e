/* Student's t against printed tables and closed forms, and what is made of it against arithmetic
 * that can be followed by hand: stats.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fenwicks/stats.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define near(got, want, bound)                                                                     \
    do {                                                                                           \
        const double g_ = (got), w_ = (want);                                                      \
        if (!(fabs(g_ - w_) <= (bound)))                                                           \
            fail_msg("%.17g, expected %.17g", g_, w_);                                             \
    } while (0)

/* Percentage points as printed in tables of Student's t. */
static void quantiles_are_those_of_the_tables(void **state)
{
    (void)state;
    static const struct {
        double df, p90, p95, p975, p99, p995;
    } table[] = {
        {1, 3.0777, 6.3138, 12.7062, 31.8205, 63.6567},
        {2, 1.8856, 2.9200, 4.3027, 6.9646, 9.9248},
        {3, 1.6377, 2.3534, 3.1824, 4.5407, 5.8409},
        {4, 1.5332, 2.1318, 2.7764, 3.7469, 4.6041},
        {5, 1.4759, 2.0150, 2.5706, 3.3649, 4.0321},
        {9, 1.3830, 1.8331, 2.2622, 2.8214, 3.2498},
        {10, 1.3722, 1.8125, 2.2281, 2.7638, 3.1693},
        {19, 1.3277, 1.7291, 2.0930, 2.5395, 2.8609},
        {30, 1.3104, 1.6973, 2.0423, 2.4573, 2.7500},
        {120, 1.2886, 1.6577, 1.9799, 2.3578, 2.6174},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const double df = table[i].df;
        near(fw_t_quantile(0.90, df), table[i].p90, 5.1e-5);
        near(fw_t_quantile(0.95, df), table[i].p95, 5.1e-5);
        near(fw_t_quantile(0.975, df), table[i].p975, 5.1e-5);
        near(fw_t_quantile(0.99, df), table[i].p99, 5.1e-5);
        near(fw_t_quantile(0.995, df), table[i].p995, 5.1e-5);
        near(fw_t_quantile(0.025, df), -table[i].p975, 5.1e-5);
    }
    near(fw_t_quantile(0.975, 1e7), 1.959964, 1e-6);    /* the normal distribution's */
    near(fw_t_quantile(0.95, 2.01196), 2.908183, 1e-6); /* by Simpson's rule over the density */
    assert_true(fw_t_quantile(0.5, 3) == 0);
    assert_true(isnan(fw_t_quantile(0, 3)) && isnan(fw_t_quantile(1, 3)));
    assert_true(isnan(fw_t_quantile(0.9, 0)) && isnan(fw_t_quantile(NAN, 3)));
}

/* df 1 is Cauchy's, df 2 and 4 are algebraic. */
static void the_distribution_has_its_closed_forms(void **state)
{
    (void)state;
    for (double t = -40; t <= 40; t += 0.37) {
        near(fw_t_cdf(t, 1), 0.5 + atan(t) / 3.14159265358979323846, 4e-15);
        near(fw_t_cdf(t, 2), 0.5 + t / (2 * sqrt(2 + t * t)), 4e-15);
        const double u = t / sqrt(4 + t * t);
        near(fw_t_cdf(t, 4), 0.5 + 0.25 * u * (3 - u * u), 4e-15);
        near(fw_t_cdf(t, 1e9), 0.5 * erfc(-t / sqrt(2)), 1e-8);
        near(fw_t_cdf(t, 7) + fw_t_cdf(-t, 7), 1, 4e-16);
        for (double df = 0.5; df < 300; df *= 3)
            if (fabs(t) > 0.1 && fabs(t) < 5)
                near(fw_t_quantile(fw_t_cdf(t, df), df), t, 1e-9);
    }
    near(fw_t_cdf(-1e6, 2) / 5e-13, 1, 1e-9); /* far out digits stay: 1/(2 t^2) */
    assert_true(fw_t_cdf(INFINITY, 3) == 1 && fw_t_cdf(-INFINITY, 3) == 0);
    assert_true(isnan(fw_t_cdf(1, -1)) && isnan(fw_t_cdf(NAN, 1)));
}

static void samples(void **state)
{
    (void)state;
    static const double x[] = {0.940, 0.941, 0.939, 0.942};
    fw_summary s;
    assert_int_equal(fw_summary_of(x, 4, &s), FW_OK);
    near(s.mean, 0.9405, 1e-15);
    near(s.std, sqrt(5e-6 / 3), 1e-15);
    near(s.se, sqrt(5e-6 / 12), 1e-15);
    assert_true(s.n == 4 && s.min == 0.939 && s.max == 0.942);
    near(fw_share_at_least(x, 4, 0.940), 0.75, 0); /* at the bound counts */
    assert_true(isnan(fw_share_at_least(x, 0, 0.940)));
    assert_true(isnan(fw_share_at_least(NULL, 4, 0.940)));
    /* t = 0.0005 / 0.000645497 = 0.7746 with 3 degrees: P(T > t) by the closed form of df 3 */
    const double t = 0.0005 / s.se, r3 = sqrt(3);
    near(fw_t_test_above(&s, 0.940),
         0.5 - (atan(t / r3) + t / r3 / (1 + t * t / 3)) / 3.14159265358979323846, 1e-12);
    near(fw_t_test_above(&s, 0.9405), 0.5, 1e-9);
    near(fw_t_test_above(&s, 0.941) + fw_t_test_above(&s, 0.940), 1, 1e-9);
    assert_int_equal(fw_summary_of(x, 1, &s), FW_OK);
    assert_true(s.mean == 0.940 && isnan(s.std) && isnan(s.se));
    assert_true(isnan(fw_t_test_above(&s, 0.9)));
    static const double same[] = {0.5, 0.5};
    assert_int_equal(fw_summary_of(same, 2, &s), FW_OK);
    assert_true(fw_t_test_above(&s, 0.4) == 0 && fw_t_test_above(&s, 0.5) == 1);
    static const double bad[] = {0.5, INFINITY};
    assert_int_equal(fw_summary_of(bad, 2, &s), FW_EARG);
    assert_int_equal(fw_summary_of(x, 0, &s), FW_EARG);
    assert_int_equal(fw_summary_of(NULL, 2, &s), FW_EARG);
}

static void pairs(void **state)
{
    (void)state;
    static const double a[] = {3, 5, 4, 8}, b[] = {1, 4, 4, 5}; /* differences 2 1 0 3 */
    fw_estimate e;
    assert_int_equal(fw_paired(a, b, 4, 0.95, &e), FW_OK);
    near(e.value, 1.5, 1e-15);
    near(e.se, sqrt(5.0 / 12), 1e-15);
    near(e.low, 1.5 - 3.182446 * e.se, 1e-6);
    near(e.high, 1.5 + 3.182446 * e.se, 1e-6);
    near(e.p, 2 * (1 - fw_t_cdf(1.5 / e.se, 3)), 1e-12);
    assert_true(e.n == 4 && e.df == 3);
    assert_int_equal(fw_paired(a, b, 1, 0.95, &e), FW_OK);
    assert_true(e.value == 2 && isnan(e.se) && isnan(e.low) && isnan(e.high) && isnan(e.p));
    assert_int_equal(fw_paired(a, a, 4, 0.95, &e), FW_OK);
    assert_true(e.value == 0 && e.se == 0 && e.low == 0 && e.high == 0 && e.p == 1);
    assert_int_equal(fw_paired(a, b, 0, 0.95, &e), FW_EARG);
    assert_int_equal(fw_paired(a, b, 4, 1, &e), FW_EARG);
    assert_int_equal(fw_paired(a, NULL, 4, 0.9, &e), FW_EARG);
}

static void groups(void **state)
{
    (void)state;
    /* equal spread, three each: df 4, t 2.1318 */
    static const double base[] = {0.940, 0.941, 0.939}, cost[] = {0.9395, 0.9405, 0.9385},
                        five[] = {0.9420, 0.9421, 0.9419, 0.9420, 0.9420};
    fw_summary a, b;
    fw_estimate e;
    assert_int_equal(fw_summary_of(base, 3, &a), FW_OK);
    assert_int_equal(fw_summary_of(cost, 3, &b), FW_OK);
    assert_int_equal(fw_welch(&a, &b, 0.90, &e), FW_OK);
    near(e.value, 0.0005, 1e-15);
    near(e.df, 4, 1e-9);
    near(e.high, 0.0005 + 2.1318468 * 0.001 * sqrt(2.0 / 3), 1e-9);
    assert_int_equal(fw_summary_of(five, 5, &b), FW_OK);
    assert_int_equal(fw_welch(&a, &b, 0.90, &e), FW_OK);
    near(e.df, 2.01196, 1e-4);
    near(e.high, -0.002 + 2.90818 * e.se, 1e-7);
    assert_int_equal(fw_summary_of(five, 1, &b), FW_OK);
    assert_int_equal(fw_welch(&a, &b, 0.90, &e), FW_OK);
    assert_true(isnan(e.se) && isnan(e.high));
    near(e.value, -0.002, 1e-15);
}

/* Accuracy rises by exactly 1 point from 8 to 10 epochs, and the variant is 0.5 points worse: it
 * needs one epoch more. */
static void seconds_at_matched_accuracy(void **state)
{
    (void)state;
    static const double base[] = {0.940, 0.942}, other[] = {0.930, 0.932},
                        variant[] = {0.935, 0.937}, seconds[] = {100, 100};
    fw_matched_opt o = {.base = base,
                        .other = other,
                        .variant = variant,
                        .seconds = seconds,
                        .n = 2,
                        .base_epochs = 10,
                        .other_epochs = 8,
                        .variant_epochs = 10,
                        .confidence = 0.95};
    fw_estimate slope, t;
    assert_int_equal(fw_matched_seconds(&o, &slope, &t), FW_OK);
    near(slope.value, 0.005, 1e-15);
    near(t.value, 110, 1e-9);
    near(t.se, 0, 1e-9);
    /* differences -0.004 and -0.006, slopes 0.0045 and 0.0055: by hand, with d = -0.005 and s =
     * 0.005, per seed 100 - 10 (d_i + s_i - 0) / s: (d_i + s_i) is 0.0005 and -0.0005 */
    static const double other2[] = {0.931, 0.931}, variant2[] = {0.936, 0.936};
    o.other = other2;
    o.variant = variant2;
    /* two slopes of so different size prove nothing at 95 %: t of df 1 is 12.7 */
    assert_int_equal(fw_matched_seconds(&o, &slope, &t), FW_ESTATE);
    near(slope.value, 0.005, 1e-15);
    o.confidence = 0.8;
    assert_int_equal(fw_matched_seconds(&o, &slope, &t), FW_OK);
    near(t.value, 110, 1e-9);
    near(t.se, 1, 1e-9);
    assert_true(t.low < 110 && t.high > 110);
    /* A variant of 5 epochs in 60 and 80 s: one epoch too few takes 14 s. By hand, per seed
     * seconds_i (1 + 1/5) - 14 (d_i + s_i) / s, of which d_i + s_i is as above: 72 - 1.4 and 96 + 1.4. */
    static const double unlike[] = {60, 80};
    o.seconds = unlike;
    o.variant_epochs = 5;
    assert_int_equal(fw_matched_seconds(&o, &slope, &t), FW_OK);
    near(slope.value, 0.005, 1e-15);
    near(t.value, 84, 1e-9);
    near(t.se, 13.4, 1e-9);
    o.seconds = seconds;
    o.other_epochs = 10;
    assert_int_equal(fw_matched_seconds(&o, &slope, &t), FW_EARG);
    o.other_epochs = 12; /* a longer one: its accuracy has to be higher */
    assert_int_equal(fw_matched_seconds(&o, &slope, &t), FW_ESTATE);
    o.n = 1;
    assert_int_equal(fw_matched_seconds(&o, NULL, &t), FW_EARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_those_of_the_tables),
        cmocka_unit_test(the_distribution_has_its_closed_forms),
        cmocka_unit_test(samples),
        cmocka_unit_test(pairs),
        cmocka_unit_test(groups),
        cmocka_unit_test(seconds_at_matched_accuracy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
