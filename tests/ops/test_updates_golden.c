/* test_updates_golden.c: ten steps of updates that PyTorch has no optimiser for, against their published
 * formulas in NumPy: LARS, hiverge's Muon, and the averages of David Page, airbench94 and E1. Golden
 * values and formulas: tests/golden/updates.json, by scripts/golden/updates_golden.py. PyTorch's own:
 * test_optim_golden.c. Double: 1e-12 of w's norm; float: 1e-6 as there, 1e-5 for Muon's matrices. */
#include "t_golden.h"

#include <math.h>
#include <string.h>

enum { STEPS = 10, SEED = 9, GRADS = 400 };

static fw_average make_average(const char *name)
{
    if (strcmp(name, "page_ema") == 0)
        return (fw_average){
            .kind = FW_AVERAGE_EMA, .decay = pow(0.99, 5), .every = 5, .epoch_steps = 7};
    if (strcmp(name, "airbench94") == 0)
        return (fw_average){.kind = FW_AVERAGE_LOOKAHEAD,
                            .decay = pow(0.95, 5),
                            .power = 3,
                            .every = 3,
                            .steps = STEPS};
    if (strcmp(name, "e1") == 0)
        return (fw_average){
            .kind = FW_AVERAGE_LOOKAHEAD, .decay = 0.7, .every = 2, .start = 4, .steps = STEPS};
    return (fw_average){0};
}

static fw_optimizer make(const json_t *c)
{
    const fw_schedule lr = t_golden_rate(c);
    const double momentum = t_number(c, "momentum"), decay = t_number(c, "weight_decay");
    const char *const kind = json_string_value(json_object_get(c, "optimizer"));
    if (strcmp(kind, "lars") == 0)
        return fw_lars(lr, momentum, &(fw_lars_opt){.weight_decay = decay});
    if (strcmp(kind, "sgd") == 0)
        return fw_sgd(lr, momentum, &(fw_sgd_opt){.weight_decay = decay});
    return fw_muon(lr, momentum,
                   &(fw_muon_opt){.a = 3.4576,
                                  .b = -4.7391,
                                  .c = 2.0843,
                                  .weight_decay = decay,
                                  .renorm = FW_RENORM_SPACED,
                                  .target = {0.5012, 0.0786},
                                  .total_steps = t_number(c, "total_steps")});
}

static void every_update_is_as_published(void **state)
{
    (void)state;
    const json_t *const cases = json_object_get(t_golden("updates"), "cases");
    assert_int_equal(json_array_size(cases), 7);
    int averages = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *const c = json_array_get(cases, i);
        const fwi_optim o = {.rest = make(c),
                             .average =
                                 make_average(json_string_value(json_object_get(c, "name")))};
        const fwi_shape shape = fwi_shape4(4, 3, 3, 2);
        assert_true((o.average.kind != FW_AVERAGE_NONE) == (json_object_get(c, "average") != NULL));
        averages += o.average.kind != FW_AVERAGE_NONE;
        t_golden_steps(c, &o, FW_F64, shape, SEED, GRADS, 1e-12);
        t_golden_steps(c, &o, FW_F32, shape, SEED, GRADS, o.rest.kind == FW_MUON ? 1e-5 : 1e-6);
    }
    assert_int_equal(averages, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_update_is_as_published)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
