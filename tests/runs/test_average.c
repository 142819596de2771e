/* test_average.c: training with an average of the weights: what is evaluated and written is the average
 * of the weights of each step, Lookahead trains on it, and nothing else of a run changes. Which steps
 * average: tests/unit/optim/test_average.c; resume: test_resume.c. */
#include "t_runs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 48, SIDE = 6, C = 1, CLASSES = 3, BATCH = 16, STEPS = 9 };

static const char *const weights[] = {"0.conv.weight", "0.bn.gamma",     "0.bn.beta",
                                      "0.bn.mean",     "3.dense.weight", "0.bn.var"};
static int make_data(void **state)
{
    return t_setup_data(state, N, SIDE, C, CLASSES, FW_U8);
}

/* The model files after 0, 1, ..., STEPS steps of a run. */
typedef struct run {
    t_bytes model[STEPS + 1];
    double loss[STEPS + 1]; /* as the estimator evaluates */
} run;

static void train(run *r, const fw_average *average, const char *warm_start)
{
    const fw_estimator_opt opt = {
        .precision = FW_F64, .average = *average, .warm_start = warm_start, .seed = 3};
    fw_estimator *e = NULL;
    fw_dataset *ds = t_data_set(BATCH, true), *test = t_data_set(BATCH, false);
    fw_metrics m;
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.05), &opt));
    assert_ok(fw_estimator_prepare(e, ds, test, NULL));
    for (int k = 0; k <= STEPS; k++) {
        assert_ok(fw_estimator_train(e, ds, k));
        assert_ok(fw_estimator_evaluate(e, test, &m));
        assert_ok(fw_estimator_save(e, t_path("model")));
        r->loss[k] = m.loss;
        r->model[k] = t_read(t_path("model"));
        fw_model *model = NULL; /* the file is what was evaluated */
        fw_metrics of_file;
        assert_ok(fw_model_open(&model, t_path("model"), NULL));
        assert_ok(fw_model_evaluate(model, test, &of_file, NULL));
        assert_true(fabs(of_file.loss - m.loss) <= 1e-6 * fabs(m.loss)); /* f32 probabilities */
        fw_model_close(model);
    }
    fw_estimator_free(e);
    fw_dataset_free(ds);
    fw_dataset_free(test);
}

static void drop(run *r)
{
    for (int k = 0; k <= STEPS; k++)
        free(r->model[k].data);
}

static bool same(const t_bytes *a, const t_bytes *b)
{
    return a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

static double value(const t_bytes *model, const char *name, size_t i, size_t *n)
{
    double x;
    size_t bytes;
    const uint8_t *const at = t_tensor(model, name, &bytes);
    *n = bytes / sizeof x;
    memcpy(&x, at + i * sizeof x, sizeof x);
    return x;
}

/* Training is what it is without an average; what is written is the average, by its formula. */
static void test_ema(void **state)
{
    (void)state;
    const fw_average cases[] = {
        {.kind = FW_AVERAGE_EMA, .decay = 0.75},
        {.kind = FW_AVERAGE_EMA, .decay = 0.9, .every = 2, .power = 1, .steps = STEPS},
        {.kind = FW_AVERAGE_EMA, .decay = 0.5, .every = 2, .epoch_steps = 3},
        {.kind = FW_AVERAGE_EMA, .decay = 0.5, .every = 2, .start = 3},
    };
    static run plain, r;
    train(&plain, &(fw_average){0}, NULL);
    for (size_t c = 0; c < T_COUNT(cases); c++) {
        int differ = 0;
        train(&r, &cases[c], NULL);
        for (size_t t = 0; t < T_COUNT(weights); t++) {
            size_t n = 1;
            for (size_t i = 0; i < n; i++) {
                double avg = value(&plain.model[0], weights[t], i, &n);
                for (int k = 1; k <= STEPS; k++) {
                    const double w = value(&plain.model[k], weights[t], i, &n);
                    const double d = fw_average_at(&cases[c], k);
                    if (d >= 0)
                        avg = d * avg + (1 - d) * w;
                    const double want = k < cases[c].start + (cases[c].start & 1) ? w : avg;
                    const double is = value(&r.model[k], weights[t], i, &n);
                    assert_true(fabs(is - want) <= 1e-14 * (fabs(want) + 1));
                    differ += is != w;
                }
            }
        }
        assert_true(differ > 100);
        drop(&r);
    }
    drop(&plain);
}

/* Decays whose results are known to the bit. */
static void test_ends(void **state)
{
    (void)state;
    static run plain, r;
    train(&plain, &(fw_average){0}, NULL);
    for (int kind = FW_AVERAGE_EMA; kind <= FW_AVERAGE_LOOKAHEAD; kind++)
        for (int decay = 0; decay < 2; decay++) {
            train(&r, &(fw_average){.kind = (fw_average_kind)kind, .decay = decay, .steps = STEPS},
                  NULL);
            for (int k = 0; k <= STEPS; k++) {
                const int as = decay == 0 ? k : 0; /* 1: what it began with, for ever */
                assert_true(same(&r.model[k], &plain.model[as]));
                assert_true(r.loss[k] == plain.loss[as]);
            }
            drop(&r);
        }
    /* Lookahead evaluates the weights, until the last step ends on the average. */
    const fw_average rare = {
        .kind = FW_AVERAGE_LOOKAHEAD, .decay = 0.5, .every = 2 * STEPS, .steps = STEPS};
    train(&r, &rare, NULL);
    for (int k = 0; k <= STEPS; k++)
        assert_true(same(&r.model[k], &plain.model[k < STEPS ? k : 0]));
    drop(&r);
    drop(&plain);
}

/* Lookahead's first averaging is between the first weights and those of that step; training goes on
 * from there. */
static void test_lookahead(void **state)
{
    (void)state;
    static run plain, r;
    const fw_average a = {.kind = FW_AVERAGE_LOOKAHEAD, .decay = 0.25, .every = 4, .steps = STEPS};
    train(&plain, &(fw_average){0}, NULL);
    train(&r, &a, NULL);
    for (int k = 0; k < 4; k++)
        assert_true(same(&r.model[k], &plain.model[k]));
    for (size_t t = 0; t < T_COUNT(weights); t++) {
        size_t n = 1;
        int differ = 0;
        for (size_t i = 0; i < n; i++) {
            const double want = 0.25 * value(&plain.model[0], weights[t], i, &n) +
                                0.75 * value(&plain.model[4], weights[t], i, &n);
            assert_true(fabs(value(&r.model[4], weights[t], i, &n) - want) <= 1e-14);
            differ +=
                value(&r.model[5], weights[t], i, &n) != value(&plain.model[5], weights[t], i, &n);
            /* step 8 averaged with 4; the last step is back at that average */
            assert_true(value(&r.model[9], weights[t], i, &n) ==
                        value(&r.model[8], weights[t], i, &n));
        }
        assert_true(differ > 0);
    }
    drop(&r);
    drop(&plain);
}

/* With given first weights the average starts at these. */
static void test_warm_start(void **state)
{
    (void)state;
    static run plain, r;
    train(&plain, &(fw_average){0}, NULL);
    t_write(t_path("warm"), plain.model[STEPS].data, plain.model[STEPS].n);
    train(&r, &(fw_average){.kind = FW_AVERAGE_EMA, .decay = 1}, t_path("warm"));
    for (int k = 0; k <= STEPS; k++)
        assert_true(same(&r.model[k], &plain.model[STEPS]));
    drop(&r);
    drop(&plain);
}

static void test_refused(void **state)
{
    (void)state;
    fw_estimator *e = NULL;
    const fw_estimator_opt opt = {.average = {.kind = FW_AVERAGE_LOOKAHEAD, .decay = 0.5}};
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(1), &opt), FW_EARG,
                 "average of weights: lookahead needs steps");
    assert_null(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ema),       cmocka_unit_test(test_ends),
        cmocka_unit_test(test_lookahead), cmocka_unit_test(test_warm_start),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("average", tests, make_data, t_drop_data);
}
