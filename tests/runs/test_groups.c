/* test_groups.c: training with parameter groups: it learns, a group whose steps are over stands
 * still, and groups that cannot be are refused before the first step. Resume and determinism with
 * groups: test_resume.c and test_determinism.c. */
#include "t_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 48, SIDE = 6, C = 1, CLASSES = 3, BATCH = 16 };

static int make_data(void **state)
{
    return t_setup_data(state, N, SIDE, C, CLASSES, FW_U8);
}

static void test_learns(void **state)
{
    (void)state;
    enum { STEPS = 60 };
    for (int k = 0; k < 3; k++) {
        static t_trace trace;
        trace = (t_trace){0};
        const fw_estimator_opt opt = {.precision = k == 1 ? FW_F64 : FW_F32,
                                      .loss_sum = k == 2,
                                      .groups = t_groups(0.1),
                                      .n_groups = T_GROUPS,
                                      .progress = t_record,
                                      .progress_user = &trace};
        fw_estimator *e = NULL;
        fw_dataset *ds = t_data_set(BATCH, true);
        assert_ok(fw_estimator_new(&e, t_net(8, 0, CLASSES), t_sgd(0.02), &opt));
        assert_ok(fw_estimator_train(e, ds, STEPS));
        assert_int_equal(trace.n, STEPS);
        if (!(trace.loss[0] > 0.5 && trace.loss[STEPS - 1] < 0.1))
            fail_msg("case %d: the loss went from %g to %g", k, trace.loss[0],
                     trace.loss[STEPS - 1]);
        fw_dataset_free(ds);
        fw_estimator_free(e);
    }
}

static bool same_tensor(const t_bytes *a, const t_bytes *b, const char *name)
{
    size_t n = 0, m = 0;
    const uint8_t *x = t_tensor(a, name, &n), *y = t_tensor(b, name, &m);
    assert_int_equal(n, m);
    return memcmp(x, y, n) == 0;
}

/* Biases are trained for 4 steps: what they are then they stay, with any momentum. The others go on. */
static void check_train_steps(fw_nesterov form)
{
    enum { LATER = 9 };
    static const struct {
        const char *name;
        bool stays;
    } weights[] = {{"0.bn.beta", true},
                   {"1.0.bn.beta", true},
                   {"0.conv.weight", false},
                   {"0.bn.gamma", false},
                   {"3.dense.weight", false}};
    t_bytes model[LATER + 1] = {{0}};
    fw_param_group g[T_GROUPS];
    memcpy(g, t_groups(0.05), sizeof g);
    g[T_GROUPS - 1].optimizer =
        fw_sgd(fw_constant_lr(0.05), 0.9, &(fw_sgd_opt){.weight_decay = 0.01, .nesterov = form});
    const fw_estimator_opt opt = {.groups = g, .n_groups = T_GROUPS};
    fw_estimator *e = NULL;
    fw_dataset *ds = t_data_set(BATCH, true);
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.02), &opt));
    static const int at[] = {3, 4, 5, LATER};
    for (size_t i = 0; i < T_COUNT(at); i++) {
        assert_ok(fw_estimator_train(e, ds, at[i]));
        assert_ok(fw_estimator_save(e, t_path("model")));
        model[at[i]] = t_read(t_path("model"));
    }
    for (size_t i = 0; i < T_COUNT(weights); i++) {
        assert_false(same_tensor(&model[3], &model[4], weights[i].name));
        assert_true(same_tensor(&model[4], &model[5], weights[i].name) == weights[i].stays);
        assert_true(same_tensor(&model[4], &model[LATER], weights[i].name) == weights[i].stays);
    }
    for (size_t i = 0; i < T_COUNT(at); i++)
        free(model[at[i]].data);
    fw_dataset_free(ds);
    fw_estimator_free(e);
}

static void test_train_steps(void **state)
{
    (void)state;
    check_train_steps(FW_NESTEROV_PYTORCH);
    check_train_steps(FW_NESTEROV_PAGE);
    check_train_steps(FW_MOMENTUM_PLAIN);
}

static void test_refused(void **state)
{
    (void)state;
    const fw_optimizer muon = fw_muon(fw_constant_lr(0.1), 0.6, NULL);
    fw_param_group g[FW_MAX_GROUPS + 1] = {{.classes = FW_PARAM_CONV, .optimizer = muon}};
    fw_estimator *e = NULL;
    fw_estimator_opt opt = {.groups = g, .n_groups = FW_MAX_GROUPS + 1};
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(1), &opt), FW_EARG,
                 "9 parameter groups, at most 8");
    opt.n_groups = -1;
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(1), &opt), FW_EARG,
                 "-1 parameter groups");
    opt = (fw_estimator_opt){.n_groups = 1};
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(1), &opt), FW_EARG,
                 "1 parameter groups at NULL");
    opt = (fw_estimator_opt){.groups = g, .n_groups = 2};
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(1), &opt), FW_EARG,
                 "parameter group 2: it has no classes");
    assert_null(e);

    /* What needs the model is found when it is compiled, before a step or a file. */
    const struct {
        fw_optimizer rest;
        uint32_t classes;
        const char *message;
    } cases[] = {
        {t_sgd(0.1), FW_PARAM_DENSE, "parameter group 1 has no parameter"},
        {t_sgd(0.1), FW_PARAM_WHITEN_BIAS, "parameter group 1 has no parameter"},
        {t_sgd(0.1), FW_PARAM_BIAS, "muon: 0.bn.beta has 1 dimension: Muon is for matrices"},
        {muon, FW_PARAM_CONV, "muon: 0.bn.gamma has 1 dimension"},
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        g[0].classes = cases[i].classes;
        opt = (fw_estimator_opt){.groups = g, .n_groups = 1, .work_dir = t_path("refused")};
        fw_dataset *ds = t_data_set(BATCH, true);
        assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), cases[i].rest, &opt));
        assert_fails(fw_estimator_train(e, ds, 5), FW_EARG, cases[i].message);
        assert_int_equal(fw_estimator_step(e), 0);
        assert_false(t_exists(t_path("refused/config.json")));
        fw_dataset_free(ds);
        fw_estimator_free(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_train_steps),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("groups", tests, make_data, t_drop_data);
}
