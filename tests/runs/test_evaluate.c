/* test_evaluate.c: evaluation as a caller meets it: a model file judges as the estimator did that wrote it,
 * whatever chain of transforms stood before the network; a stop flag ends it between batches; a pass that
 * was left half-way does not make the next one shorter. */
#include "t_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N = 83, SIDE = 8, C = 3, CLASSES = 5, BATCH = 16, STEPS = 12 };

static int setup(void **state)
{
    return t_setup_data(state, N, SIDE, C, CLASSES, FW_U8);
}

static fw_dataset *data_of(const fw_transform *chain, bool training)
{
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &t_data, chain,
                               &(fw_dataset_opt){.batch = BATCH, .training = training}));
    return ds;
}

/* To [0, 1], then to mean 0 and deviation 1, as much code does; one channel without a deviation. */
static void test_two_standardizations(void **state)
{
    (void)state;
    float none[C] = {0}, whole[C], mean[C], std[C];
    for (int k = 0; k < C; k++) {
        whole[k] = 255;
        mean[k] = t_data.mean[k] / 255;
        std[k] = t_data.std[k] / 255;
    }
    std[1] = 0; /* divides by 1 */
    const fw_transform chain[] = {fw_standardize(C, none, whole), fw_standardize(C, mean, std),
                                  FW_TRANSFORM_END};
    fw_dataset *train = data_of(chain, true), *test = data_of(chain, false);
    fw_estimator *e = NULL;
    fw_metrics mine, its;
    assert_ok(
        fw_estimator_new(&e, t_net(6, 0, CLASSES), t_sgd(0.3), &(fw_estimator_opt){.threads = 1}));
    assert_ok(fw_estimator_train(e, train, STEPS));
    assert_ok(fw_estimator_evaluate(e, test, &mine));
    assert_ok(fw_estimator_save(e, t_path("two.safetensors")));
    fw_model *m = NULL;
    assert_ok(fw_model_open(&m, t_path("two.safetensors"), &(fw_model_opt){.batch = BATCH}));
    const fw_transform *one = fw_model_transforms(m);
    assert_int_equal(one[0].kind, FW_TRANSFORM_STANDARDIZE);
    assert_int_equal(one[1].kind, FW_TRANSFORM_NONE);
    assert_true(fabsf(one->mean[0] - t_data.mean[0]) < 1e-4F && one->std[1] == 255);
    fw_dataset *as_it_says = data_of(one, false);
    assert_ok(fw_model_evaluate(m, as_it_says, &its, NULL));
    /* one division in place of two: a rounding of each pixel */
    assert_true(fabs(its.loss - mine.loss) <= 1e-4 * mine.loss);
    assert_true(mine.accuracy > 0.4 && fabs(its.accuracy - mine.accuracy) < 1.5 / N);
    fw_model_close(m);
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
    fw_dataset_free(as_it_says);
}

/* Sure of itself and wrong: losses that a probability, as a float, could not give. */
static void test_large_losses(void **state)
{
    (void)state;
    static const fw_tta views[] = {FW_TTA_NONE, FW_TTA_MIRROR};
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(8, FW_PYTORCH));
    fw_add(net, fw_global_average_pool());
    fw_add(net, fw_dense(CLASSES, true, FW_PYTORCH));
    fw_add(net, fw_scaling(1000));
    fw_dataset *train = t_data_set(BATCH, true), *test = t_data_set(BATCH, false);
    fw_estimator *e = NULL;
    fw_metrics mine, its;
    int64_t confusion[CLASSES * CLASSES], sum = 0;
    assert_ok(fw_estimator_new(&e, net, t_sgd(1e-9), &(fw_estimator_opt){.threads = 1}));
    assert_ok(fw_estimator_train(e, train, 1));
    assert_ok(fw_estimator_evaluate(e, test, &mine));
    assert_true(mine.loss > 110);
    assert_ok(fw_estimator_save(e, t_path("large.safetensors")));
    for (size_t i = 0; i < T_COUNT(views); i++) {
        fw_model *m = NULL;
        assert_ok(fw_model_open(&m, t_path("large.safetensors"),
                                &(fw_model_opt){.batch = 10, .tta = views[i]}));
        assert_ok(fw_model_evaluate(m, test, &its, confusion));
        if (views[i] == FW_TTA_NONE)
            assert_true(fabs(its.loss - mine.loss) <= 1e-5 * mine.loss);
        assert_true(its.loss > 100 && its.accuracy_plain == mine.accuracy);
        assert_int_equal(its.forwards, N * (int64_t)(i + 1));
        fw_model_close(m);
    }
    for (int i = 0; i < CLASSES * CLASSES; i++)
        sum += confusion[i];
    assert_int_equal(sum, N);
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
}

/* Together they are no float: no file that nobody could open. */
static void test_standardizations_that_overflow(void **state)
{
    (void)state;
    static const float ends[] = {1e30F, 1e-30F};
    for (int i = 0; i < 2; i++) {
        const float none[C] = {0}, std[C] = {1, ends[i], 1};
        const fw_transform chain[] = {fw_standardize(C, none, std), fw_standardize(C, none, std),
                                      FW_TRANSFORM_END};
        fw_dataset *train = data_of(chain, true);
        fw_estimator *e = NULL;
        assert_ok(fw_estimator_new(&e, t_net(6, 0, CLASSES), t_sgd(0), NULL));
        const fw_status st = fw_estimator_train(e, train, 1);
        if (st == FW_OK)
            assert_fails(fw_estimator_save(e, t_path("over.safetensors")), FW_ENONFINITE,
                         "in channel 1");
        else
            assert_int_equal(st, FW_ENONFINITE); /* the images themselves overflow */
        assert_false(t_exists(t_path("over.safetensors")));
        fw_estimator_free(e);
        fw_dataset_free(train);
    }
}

static int logged;

static fw_status halve(void *user, fw_sample *s)
{
    (void)user;
    for (int64_t i = 0; i < s->h * s->w * s->c; i++)
        s->image[i] /= 2;
    return FW_OK;
}

static void count_log(void *user, int level, const char *text)
{
    (void)user;
    logged += level == 1 && strstr(text, "caller's own transform") != NULL;
}

/* What no file can hold is said; there is no model before there are weights. */
static void test_save(void **state)
{
    (void)state;
    const fw_transform chain[] = {fw_standardize(C, t_data.mean, t_data.std),
                                  fw_user_transform(halve, NULL), FW_TRANSFORM_END};
    for (int own = 0; own < 2; own++) {
        const fw_transform plain[] = {chain[0], FW_TRANSFORM_END};
        fw_dataset *train = data_of(own ? chain : plain, true);
        fw_estimator *e = NULL;
        fw_budget budget;
        assert_ok(fw_estimator_new(
            &e, t_net(6, 0, CLASSES), t_sgd(0.1),
            &(fw_estimator_opt){.threads = 1, .work_dir = t_path("none-%d", own)}));
        assert_fails(fw_estimator_save(e, t_path("m")), FW_ESTATE, "it has met no data");
        assert_ok(fw_estimator_prepare(e, train, NULL, &budget));
        assert_ok(fw_estimator_save(e, t_path("first-%d", own))); /* what training begins with */
        assert_ok(fw_estimator_train(e, train, 0));
        t_assert_same_file(t_path("first-%d", own), t_path("none-%d/model.safetensors", own));
        assert_fails(fw_estimator_prepare(e, NULL, train, &budget), FW_EARG, ".training");
        assert_ok(fw_estimator_train(e, train, 1));
        logged = 0;
        fw_log_set(count_log, NULL);
        assert_ok(fw_estimator_save(e, t_path("m")));
        fw_log_set(NULL, NULL);
        assert_int_equal(logged, own);
        fw_estimator_free(e);
        fw_dataset_free(train);
    }
}

/* The flag goes up while a batch is read. */
typedef struct counter {
    int64_t seen, stop_at;
    volatile sig_atomic_t flag;
} counter;

static fw_status count(void *user, fw_sample *s)
{
    (void)s;
    counter *n = user;
    if (++n->seen == n->stop_at)
        n->flag = 1;
    return FW_OK;
}

static void test_stop(void **state)
{
    (void)state;
    static const fw_tta views[] = {FW_TTA_NONE, FW_TTA_MIRROR, FW_TTA_SELECTIVE};
    for (size_t i = 0; i < T_COUNT(views); i++) {
        counter n = {0};
        const fw_transform chain[] = {fw_standardize(C, t_data.mean, t_data.std),
                                      fw_user_transform(count, &n), FW_TRANSFORM_END};
        fw_dataset *test = NULL, *train = t_data_set(BATCH, true);
        assert_ok(fw_array_dataset(&test, &t_data, chain,
                                   &(fw_dataset_opt){.batch = 4, .prefetch = FW_NONE}));
        t_trace trace = {0};
        fw_estimator *e = NULL;
        fw_metrics whole, m = {.records = -1};
        const fw_estimator_opt opt = {.threads = 1,
                                      .tta = views[i],
                                      .stop = &n.flag,
                                      .eval_data = test,
                                      .eval_every = 1,
                                      .progress = t_record,
                                      .progress_user = &trace,
                                      .work_dir = t_path("stop-%d", (int)i)};
        assert_ok(fw_estimator_new(&e, t_net(6, 0, CLASSES), t_sgd(0.1), &opt));
        /* in the evaluation behind the first epoch */
        n.stop_at = 9;
        assert_fails(fw_estimator_train(e, train, STEPS), FW_ESTOPPED, "a checkpoint is in");
        assert_true(n.seen < N);
        assert_int_equal(trace.evals, 0);
        assert_int_equal(trace.checkpoints, 1);
        assert_int_equal(fw_estimator_step(e), N / BATCH);
        /* asked for with the flag up; then half-way; then all of it, and not the rest alone */
        assert_fails(fw_estimator_evaluate(e, test, &m), FW_ESTOPPED, "stopped while evaluating");
        n.flag = 0;
        n.stop_at = n.seen + 17;
        assert_fails(fw_estimator_evaluate(e, test, &m), FW_ESTOPPED, "stopped while evaluating");
        assert_int_equal(m.records, -1);
        n.flag = 0;
        const int64_t before = n.seen;
        assert_ok(fw_estimator_evaluate(e, test, &whole));
        const int64_t each = n.seen - before; /* those that get all views are read again */
        assert_int_equal(whole.records, N);
        float probabilities[N * CLASSES];
        int64_t rows = -1;
        n.stop_at = n.seen + 17;
        assert_fails(fw_estimator_predict(e, test, probabilities, N, &rows), FW_ESTOPPED,
                     "stopped while predicting");
        n.flag = 0;
        assert_ok(fw_estimator_predict(e, test, probabilities, N, &rows));
        assert_int_equal(rows, N);
        assert_ok(fw_estimator_evaluate(e, test, &m));
        assert_true(m.loss == whole.loss && m.accuracy == whole.accuracy);
        /* going on begins with the evaluation that was stopped; the next one is stopped behind the last step: the
         * training is whole, without its evaluation */
        const int64_t end = 2 * (N / BATCH);
        trace = (t_trace){0};
        n.stop_at = n.seen + each + 9;
        assert_ok(fw_estimator_train(e, train, end));
        assert_int_equal(n.flag, 1);
        assert_int_equal(trace.evals, 1);
        assert_int_equal(fw_estimator_step(e), end);
        assert_true(t_exists(t_path("stop-%d/model.safetensors", (int)i)));
        fw_estimator_free(e);
        fw_dataset_free(train);
        fw_dataset_free(test);
    }
}

typedef struct nap {
    struct timespec each;
    double slept; /* in all, at least */
    int64_t step; /* the last one that was told */
} nap;

static fw_status take_a_nap(void *user, fw_sample *sample)
{
    (void)sample;
    nap *const n = user;
    while (nanosleep(&n->each, NULL) != 0)
        ;
    n->slept += 1e-9 * (double)n->each.tv_nsec;
    return FW_OK;
}

/* What had been slept is in the time since the start and not in that of training. */
static bool evaluations_are_taken_out(void *user, const fw_event *ev)
{
    nap *const n = user;
    if (ev->kind == FW_EVENT_STEP) {
        const double training = (double)(ev->step * BATCH) / ev->images_per_second;
        assert_true(ev->seconds - training >= n->slept - 1e-6);
        n->step = ev->step;
    }
    return true;
}

/* The seconds of a run are those of training: its evaluations do not count, the last one neither. */
static void test_seconds(void **state)
{
    (void)state;
    nap n = {.each = {.tv_nsec = 2000000}};
    const fw_transform chain[] = {fw_standardize(C, t_data.mean, t_data.std),
                                  fw_user_transform(take_a_nap, &n), FW_TRANSFORM_END};
    fw_dataset *test = NULL, *train = t_data_set(BATCH, true);
    assert_ok(fw_array_dataset(&test, &t_data, chain,
                               &(fw_dataset_opt){.batch = BATCH, .prefetch = FW_NONE}));
    const fw_estimator_opt opt = {.threads = 1,
                                  .eval_data = test,
                                  .eval_every = 1,
                                  .progress = evaluations_are_taken_out,
                                  .progress_user = &n,
                                  .work_dir = t_path("seconds")};
    fw_estimator *e = NULL;
    struct timespec a, b;
    assert_ok(fw_estimator_new(&e, t_net(6, 0, CLASSES), t_sgd(0.1), &opt));
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &a), 0);
    assert_ok(fw_estimator_train(e, train, 3 * (N / BATCH)));
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &b), 0);
    const double whole = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
    assert_int_equal(n.step, 3 * (N / BATCH));
    assert_true(n.slept > 2.9 * N * 1e-9 * (double)n.each.tv_nsec); /* three evaluations */
    t_bytes log = t_read(t_path("seconds/log.jsonl"));
    const char *line = NULL;
    for (const char *at = (char *)log.data; (at = strstr(at, "\"event\":\"checkpoint\"")) != NULL;
         at++)
        line = at;
    static const char key[] = "\"seconds\":";
    assert_non_null(line);
    const char *const at = strstr(line, key);
    assert_non_null(at);
    const double seconds = strtod(at + sizeof key - 1, NULL);
    assert_true(seconds > 0 && seconds <= whole - n.slept);
    free(log.data);
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_standardizations),
        cmocka_unit_test(test_standardizations_that_overflow),
        cmocka_unit_test(test_large_losses),
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_seconds),
    };
    return cmocka_run_group_tests(tests, setup, t_drop_data);
}
