/* test_stages.c: where a run's stages begin, and what share of its time each takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "estimator.h"

static void where_they_begin(void **state)
{
    (void)state;
    const fw_resolution sizes[] = {{.size = 24, .until = 40}, {.size = 32, .until = 100}};
    const fwi_optim optim = {.n_groups = 1, .group = {{.train_steps = 15}}};
    const fwi_stages s = {.optim = &optim, .resolution = sizes, .n_resolutions = 2};
    fwi_network_use use = {.batch = 8};
    assert_int_equal(fwi_stage_of(&s, 0, &use), 15);
    assert_int_equal(use.size, 24);
    assert_int_equal(fwi_stage_of(&s, 15, &use), 40);
    assert_int_equal(use.size, 24);
    assert_int_equal(fwi_stage_of(&s, 40, &use), 100);
    assert_int_equal(use.size, 32);
    assert_true(fwi_stage_of(&s, 100, &use) == INT64_MAX);
    assert_int_equal(use.size, 0);
    assert_int_equal(use.batch, 8);
}

static void what_their_steps_cost(void **state)
{
    (void)state;
    enum { FULL = 100, SMALL = 3 };
    fwi_network_plan small = {.use = {.size = SMALL}}, full = {.use = {.size = 0}};
    const fwi_training_plans p = {.n = 3,
                                  .stage = {{.until = 10, .plan = &small},
                                            {.until = 12, .plan = &full},
                                            {.until = INT64_MAX, .plan = &small}}};
    for (int64_t first = 0; first <= 20; first++) {
        double sum = 0;
        for (int64_t last = first; last <= 20; last++) {
            assert_true(fwi_stages_pixels(&p, FULL, first, last) == sum);
            sum += last >= 10 && last < 12 ? FULL : SMALL * SMALL;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_they_begin),
        cmocka_unit_test(what_their_steps_cost),
    };
    return cmocka_run_group_tests_name("stages", tests, NULL, NULL);
}
