/* test_optim_golden.c: ten steps of every optimiser against PyTorch, through fwi_optim_append, the
 * reference kernels and a plan: so columns, slots, forms and bias correction are held together.
 * Golden values and how they were made: tests/golden/optim.json. Double: 1e-12 of the vector's
 * norm (a few roundings per step); float: 1e-6 per step. Clipping is held to the norm it promises.
 */
#include "t_golden.h"

#include <math.h>
#include <string.h>

enum { N = 37, SEED = 3, START = 199, GRADS = 200 };

static double norm(const double v[N])
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

static fw_optimizer make(const json_t *c)
{
    const fw_schedule lr = t_golden_rate(c);
    if (strcmp(json_string_value(json_object_get(c, "optimizer")), "adam") == 0)
        return fw_adam(lr, &(fw_adam_opt){.beta1 = t_number(c, "beta1"),
                                          .beta2 = t_number(c, "beta2"),
                                          .eps = t_number(c, "epsilon"),
                                          .weight_decay = t_number(c, "weight_decay")});
    const char *const form = json_string_value(json_object_get(c, "form"));
    return fw_sgd(lr, t_number(c, "momentum"),
                  &(fw_sgd_opt){.weight_decay = t_number(c, "weight_decay"),
                                .nesterov = strcmp(form, "page") == 0    ? FW_NESTEROV_PAGE
                                            : strcmp(form, "plain") == 0 ? FW_MOMENTUM_PLAIN
                                                                         : FW_NESTEROV_PYTORCH});
}

static void every_optimiser_is_pytorchs(void **state)
{
    (void)state;
    double start[N];
    t_golden_draw(SEED, START, N, FW_F64, start);
    const json_t *const golden = t_golden("optim");
    for (size_t i = 0; i < 4; i++) /* the draws agree, or nothing below means anything */
        assert_true(start[i] == t_number_at(json_object_get(golden, "start_first"), i));
    const json_t *const cases = json_object_get(golden, "cases");
    assert_true(json_array_size(cases) >= 6);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *const c = json_array_get(cases, i);
        const fwi_optim o = {.rest = make(c)};
        t_golden_steps(c, &o, FW_F64, fwi_shape1(N), SEED, GRADS, 1e-12);
        t_golden_steps(c, &o, FW_F32, fwi_shape1(N), SEED, GRADS, 1e-6);
    }
}

/* Plain steps of rate 1 without momentum move w by the gradient itself. */
static void clipping_keeps_its_norm(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        double grad[N], before[N], after[N], moved[N];
        t_golden_draw(SEED, GRADS, N, FW_F64, grad);
        const double size = norm(grad), limit = i == 0 ? size / 4 : size * 4;
        const fwi_optim o = {.rest =
                                 fw_sgd(fw_constant_lr(1), 0, &(fw_sgd_opt){.clip_norm = limit})};
        t_mover m;
        t_mover_init(&m, NULL, FW_F64, &o, fwi_shape1(N), SEED, START);
        t_mover_read(&m, before);
        t_mover_step(&m, &o, 0, grad);
        t_mover_read(&m, after);
        for (int j = 0; j < N; j++) {
            moved[j] = before[j] - after[j];
            assert_true(fabs(moved[j] - grad[j] * (i == 0 ? 0.25 : 1)) < 1e-14);
        }
        assert_true(fabs(norm(moved) - (i == 0 ? limit : size)) < 1e-13);
        t_mover_clear(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_optimiser_is_pytorchs),
        cmocka_unit_test(clipping_keeps_its_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
