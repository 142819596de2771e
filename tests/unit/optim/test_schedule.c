/* Learning rates: values from the walk-through, every kind at its knots, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fenwicks/optim.h>
#include <fenwicks/plot.h>
#include <math.h>
#include <string.h>

static void assert_near(double is, double want)
{
    if (!(fabs(is - want) <= 1e-12 * fabs(want)))
        fail_msg("is %.17g, expected %.17g", is, want);
}

static void the_walk_through_triangle(void **state)
{
    (void)state;
    const fw_schedule s = fw_triangular_lr(0.4 / 512, 2328, 485);
    assert_int_equal(fw_schedule_check(&s), FW_OK);
    assert_true(fw_schedule_at(&s, 0) == 0); /* the first update moves nothing */
    assert_true(fw_schedule_at(&s, 485) == 7.8125e-4);
    assert_near(fw_schedule_at(&s, 97), 7.8125e-4 / 5);
    assert_near(fw_schedule_at(&s, 2327), 7.8125e-4 / 1843);
    assert_true(fabs(fw_schedule_at(&s, 2327) - 4.2390e-7) < 5e-12);
    assert_true(fw_schedule_at(&s, 2328) == 0);
    assert_true(fw_schedule_at(&s, 1e9) == 0);
    fw_schedule page = s; /* counts from 1 */
    page.start = 1;
    assert_near(fw_schedule_at(&page, 0), 7.8125e-4 / 485);
    assert_true(fw_schedule_at(&page, 484) == 7.8125e-4);
    assert_true(fw_schedule_at(&page, 2327) == 0);
}

static void one_cycle_decays(void **state)
{
    (void)state;
    fw_schedule s = fw_one_cycle_lr(2, 110, 10, FW_DECAY_COSINE);
    assert_near(fw_schedule_at(&s, 5), 1);
    assert_near(fw_schedule_at(&s, 10), 2);
    assert_near(fw_schedule_at(&s, 60), 1);
    assert_near(fw_schedule_at(&s, 10 + 100.0 / 3), 1.5);
    assert_true(fabs(fw_schedule_at(&s, 110)) < 1e-15);
    assert_true(fabs(fw_schedule_at(&s, 500)) < 1e-15);
    s = fw_one_cycle_lr(2, 110, 10, FW_DECAY_EXPONENTIAL);
    assert_near(fw_schedule_at(&s, 10), 2);
    assert_near(fw_schedule_at(&s, 110), 2 * exp(-1));
    s = fw_one_cycle_lr(2, 100, 0, FW_DECAY_LINEAR);
    assert_near(fw_schedule_at(&s, 0), 2);
    assert_near(fw_schedule_at(&s, 25), 1.5);
    const fw_schedule l = fw_linear_decay_lr(2, 100);
    for (int i = 0; i <= 120; i++)
        assert_true(fw_schedule_at(&l, i) == fw_schedule_at(&s, i));
}

static void the_other_kinds(void **state)
{
    (void)state;
    fw_schedule s = fw_constant_lr(0.25);
    assert_true(fw_schedule_at(&s, 12345) == 0.25);
    s = fw_exp_decay_lr(0.5, 100, 0.125, 0);
    assert_near(fw_schedule_at(&s, 0), 0.625);
    assert_near(fw_schedule_at(&s, 100), 0.125 + 0.5 * exp(-1));
    s = fw_exp_decay_lr(0.5, 100, 0, 0.25);
    assert_near(fw_schedule_at(&s, 50), 0.25); /* continuous, not in stairs */
    const double knots[] = {0, 10, 30, 31.5}, values[] = {0, 0.4, 0.1, 0};
    s = fw_piecewise_lr(4, knots, values);
    assert_int_equal(fw_schedule_check(&s), FW_OK);
    assert_true(fw_schedule_at(&s, -5) == 0);
    assert_near(fw_schedule_at(&s, 5), 0.2);
    assert_true(fw_schedule_at(&s, 10) == 0.4);
    assert_near(fw_schedule_at(&s, 20), 0.25);
    assert_near(fw_schedule_at(&s, 30), 0.1);
    assert_near(fw_schedule_at(&s, 30.75), 0.05);
    assert_true(fw_schedule_at(&s, 99) == 0);
    s = fw_piecewise_lr(1, knots + 1, values + 1);
    assert_true(fw_schedule_at(&s, 0) == 0.4 && fw_schedule_at(&s, 99) == 0.4);
}

static void assert_refused(fw_schedule s, const char *message)
{
    assert_int_equal(fw_schedule_check(&s), FW_EARG);
    if (strstr(fw_last_error(), message) == NULL)
        fail_msg("said: %s\nexpected: %s", fw_last_error(), message);
    assert_true(isnan(fw_schedule_at(&s, 1)));
    double out = 3;
    assert_int_equal(fw_simulate_lr(&s, 1, &out), FW_EARG);
    assert_true(out == 3);
}

static void mistakes_are_refused(void **state)
{
    (void)state;
    const double inf = (double)INFINITY, nan = (double)NAN;
    assert_refused(fw_triangular_lr(1, 100, 100), "knots do not increase");
    assert_refused(fw_triangular_lr(1, 100, 200), "knots do not increase");
    assert_refused(fw_triangular_lr(1, 100, -1), "knots do not increase");
    assert_refused(fw_triangular_lr(1, 100, nan), "knots do not increase");
    assert_refused(fw_triangular_lr(1, 0, 0), "not a positive number");
    assert_refused(fw_triangular_lr(1, inf, 0), "not a positive number");
    assert_refused(fw_triangular_lr(-1, 100, 0), "negative or not finite");
    assert_refused(fw_one_cycle_lr(1, 100, 10, (fw_decay)7), "no such decay");
    assert_refused(fw_constant_lr(nan), "negative or not finite");
    assert_refused(fw_constant_lr(-0.1), "negative or not finite");
    assert_refused(fw_exp_decay_lr(1, 0, 0, 0), "not a positive number");
    assert_refused(fw_exp_decay_lr(1, 10, 0, -0.5), "not a positive number");
    assert_refused(fw_exp_decay_lr(1, 10, nan, 0), "negative or not finite");
    const double flat[] = {0, 10, 10}, down[] = {0, 10, 5}, ok[] = {0, 1, 2}, bad[] = {0, nan, 1};
    assert_refused(fw_piecewise_lr(3, flat, ok), "knots do not increase");
    assert_refused(fw_piecewise_lr(3, down, ok), "knots do not increase");
    assert_refused(fw_piecewise_lr(3, bad, ok), "not finite");
    assert_refused(fw_piecewise_lr(3, ok, bad), "not finite");
    assert_refused(fw_piecewise_lr(0, ok, ok), "no knots, or more than 32");
    assert_refused(fw_piecewise_lr(33, ok, ok), "no knots, or more than 32");
    assert_refused(fw_piecewise_lr(INT32_MIN, NULL, NULL), "no knots, or more than 32");
    assert_refused(fw_piecewise_lr(2, NULL, ok), "NULL");
    fw_schedule changed = fw_constant_lr(1);
    changed.start = 2;
    assert_refused(changed, "start is neither 0 nor 1");
    changed = fw_constant_lr(1);
    changed.kind = (fw_schedule_kind)9;
    assert_refused(changed, "no such kind");
    assert_int_equal(fw_schedule_check(NULL), FW_EARG);
    assert_true(isnan(fw_schedule_at(NULL, 0)));
}

static void a_simulation_is_the_schedule(void **state)
{
    (void)state;
    const fw_schedule s = fw_triangular_lr(0.4, 50, 7);
    double out[50];
    assert_int_equal(fw_simulate_lr(&s, 50, out), FW_OK);
    for (int i = 0; i < 50; i++)
        assert_true(out[i] == fw_schedule_at(&s, i));
    assert_int_equal(fw_simulate_lr(&s, 0, out), FW_EARG);
    assert_int_equal(fw_simulate_lr(&s, -1, out), FW_EARG);
    assert_int_equal(fw_simulate_lr(&s, 1, NULL), FW_EARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_walk_through_triangle),
        cmocka_unit_test(one_cycle_decays),
        cmocka_unit_test(the_other_kinds),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(a_simulation_is_the_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
