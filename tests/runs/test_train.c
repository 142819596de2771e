/* test_train.c: what training does, seen from outside: it learns, tells what happens in order,
 * stops when asked, refuses what it cannot train on, and keeps the last good state when a loss is
 * lost. */
#include "t_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 45, H = 8, W = 8, C = 3, CLASSES = 4 };

static int make_data(void **state)
{
    return t_setup_data(state, N, H, C, CLASSES, FW_U8);
}

/* ---- it learns ---- */

static void test_overfits_one_batch(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        fw_dtype precision;
        bool adam, page;
    } cases[] = {{"sgd", FW_F32, false, false},
                 {"sgd as Page", FW_F32, false, true},
                 {"adam", FW_F32, true, false},
                 {"double", FW_F64, false, false}};
    enum { STEPS = 60 };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        fw_images few = t_data;
        few.n = 16;
        const fw_transform chain[] = {fw_standardize(C, t_data.mean, t_data.std), FW_TRANSFORM_END};
        fw_dataset *ds = NULL, *test = NULL;
        assert_ok(
            fw_array_dataset(&ds, &few, chain, &(fw_dataset_opt){.batch = 16, .training = true}));
        assert_ok(fw_array_dataset(&test, &few, chain, &(fw_dataset_opt){.batch = 16}));
        static t_trace trace;
        trace = (t_trace){0};
        const fw_schedule lr = fw_triangular_lr(cases[i].adam ? 0.05 : 1, STEPS, 15);
        const fw_optimizer o =
            cases[i].adam ? fw_adam(lr, NULL)
                          : fw_sgd(lr, 0.9,
                                   &(fw_sgd_opt){.nesterov = cases[i].page ? FW_NESTEROV_PAGE
                                                                           : FW_NESTEROV_PYTORCH});
        const fw_estimator_opt opt = {
            .precision = cases[i].precision, .progress = t_record, .progress_user = &trace};
        fw_estimator *e = NULL;
        assert_ok(fw_estimator_new(&e, t_net(8, 0, CLASSES), o, &opt));
        assert_ok(fw_estimator_train(e, ds, STEPS));
        assert_int_equal(trace.n, STEPS);
        assert_true(trace.loss[0] > 0.5);
        if (!(trace.loss[STEPS - 1] < 0.02))
            fail_msg("%s: the loss is still %g", cases[i].name, trace.loss[STEPS - 1]);
        fw_metrics m;
        assert_ok(fw_estimator_evaluate(e, test, &m));
        assert_int_equal(m.records, 16);
        assert_true(m.accuracy == 1.0);
        fw_estimator_free(e);
        fw_dataset_free(ds);
        fw_dataset_free(test);
    }
}

/* ---- losses ---- */

/* Losses of 8 steps in double. */
static void losses(bool sum, double lr, double decay, double smoothing, double out[8])
{
    t_trace trace = {0};
    const fw_estimator_opt opt = {.precision = FW_F64,
                                  .loss_sum = sum,
                                  .label_smoothing = smoothing,
                                  .progress = t_record,
                                  .progress_user = &trace};
    fw_dataset *ds = t_data_set(10, true);
    fw_estimator *e = NULL;
    assert_ok(fw_estimator_new(
        &e, t_net(4, 0, CLASSES),
        fw_sgd(fw_constant_lr(lr), 0.9, &(fw_sgd_opt){.weight_decay = decay}), &opt));
    assert_ok(fw_estimator_train(e, ds, 8));
    memcpy(out, trace.loss, 8 * sizeof *out);
    fw_estimator_free(e);
    fw_dataset_free(ds);
}

/* A summed loss with rate / batch and decay * batch is the mean loss with rate and decay. */
static void test_sum_and_mean(void **state)
{
    (void)state;
    double mean[8], sum[8], other[8];
    losses(false, 0.3, 0.01, 0.1, mean);
    losses(true, 0.03, 0.1, 0.1, sum);
    losses(true, 0.03, 0.01, 0.1, other);
    for (int i = 0; i < 8; i++)
        if (!(fabs(mean[i] - sum[i]) <= 1e-9 * fabs(mean[i])))
            fail_msg("step %d: mean %.15g, sum %.15g", i + 1, mean[i], sum[i]);
    assert_true(fabs(mean[7] - other[7]) > 1e-6 * fabs(mean[7])); /* decay is felt */
}

/* The loss of an evaluation is that of its own probabilities, smoothing included. */
static void test_label_smoothing(void **state)
{
    (void)state;
    static const double smoothing[] = {0, 0.1, 0.5};
    for (size_t s = 0; s < T_COUNT(smoothing); s++) {
        fw_dataset *train = t_data_set(15, true), *test = t_data_set(20, false);
        fw_estimator *e = NULL;
        assert_ok(fw_estimator_new(&e, t_net(6, 0, CLASSES), t_sgd(0.3),
                                   &(fw_estimator_opt){.label_smoothing = smoothing[s]}));
        assert_ok(fw_estimator_train(e, train, 12));
        fw_metrics m;
        static float p[N * CLASSES];
        assert_ok(fw_estimator_evaluate(e, test, &m));
        assert_ok(fw_estimator_predict(e, test, p, N, NULL));
        double want = 0;
        for (int i = 0; i < N; i++)
            for (int k = 0; k < CLASSES; k++) {
                const double target =
                    (k == t_data.labels[i] ? 1 - smoothing[s] : 0) + smoothing[s] / CLASSES;
                want -= target * log((double)p[i * CLASSES + k]) / N;
            }
        if (!(fabs(m.loss - want) <= 1e-5 * want))
            fail_msg("smoothing %g: loss %.9g, expected %.9g", smoothing[s], m.loss, want);
        fw_estimator_free(e);
        fw_dataset_free(train);
        fw_dataset_free(test);
    }
}

/* ---- events ---- */

typedef struct story {
    char text[256]; /* a letter per event */
    fw_event last[6];
    double step_loss, step_accuracy; /* sums since the latest epoch */
    int64_t steps;
    double seconds;
} story;

static bool tell(void *user, const fw_event *ev)
{
    story *s = user;
    strncat(s->text, &"BSEVCX\0"[ev->kind], 1);
    s->last[ev->kind] = *ev;
    assert_non_null(ev->budget);
    assert_true(ev->seconds >= s->seconds); /* time does not run backwards */
    s->seconds = ev->seconds;
    if (ev->kind == FW_EVENT_STEP) {
        s->step_loss += ev->loss;
        s->step_accuracy += ev->accuracy;
        s->steps++;
        assert_true(ev->images_per_second > 0 && ev->seconds_left >= 0);
    }
    if (ev->kind == FW_EVENT_EPOCH) {
        assert_true(fabs(ev->loss - s->step_loss / (double)s->steps) < 1e-12);
        assert_true(fabs(ev->accuracy - s->step_accuracy / (double)s->steps) < 1e-12);
        s->step_loss = s->step_accuracy = 0;
        s->steps = 0;
    }
    if (ev->kind == FW_EVENT_EVAL) {
        assert_non_null(ev->eval);
        assert_int_equal(ev->eval->records, N);
        assert_true(ev->eval->accuracy >= 0 && ev->eval->accuracy <= 1);
    }
    if (ev->kind == FW_EVENT_CHECKPOINT) {
        assert_non_null(ev->path);
        assert_true(t_exists(ev->path));
    }
    return true;
}

static void test_events_in_order(void **state)
{
    (void)state;
    static story s;
    s = (story){0};
    fw_dataset *train = t_data_set(9, true), *test = t_data_set(10, false);
    const fw_estimator_opt opt = {.work_dir = t_path("order"),
                                  .steps_per_epoch = 3,
                                  .checkpoint_every = 4,
                                  .eval_data = test,
                                  .eval_every = 2,
                                  .progress = tell,
                                  .progress_user = &s};
    fw_estimator *e = NULL;
    assert_ok(fw_estimator_new(&e, t_net(4, 0.2F, CLASSES),
                               fw_sgd(fw_linear_decay_lr(1, 20), 0, NULL), &opt));
    assert_ok(fw_estimator_train(e, train, 10));
    /* After step 3 an epoch, after 6 an epoch with its evaluation, after 10 the part of one. */
    assert_string_equal(s.text, "B"
                                "SSSE"
                                "SC"
                                "SSEV"
                                "SSCSE"
                                "SEC"
                                "X");
    assert_int_equal(s.last[FW_EVENT_BEGIN].step, 0);
    assert_int_equal(s.last[FW_EVENT_STEP].step, 10);
    assert_int_equal(s.last[FW_EVENT_END].step, 10);
    assert_int_equal(s.last[FW_EVENT_END].total_steps, 10);
    assert_int_equal(s.last[FW_EVENT_STEP].steps_per_epoch, 3);
    assert_true(fabs(s.last[FW_EVENT_STEP].lr - (1 - 9.0 / 20)) < 1e-12);
    /* Without .steps_per_epoch it is what the data has: 45 records in batches of 9. */
    fw_estimator_free(e);
    s = (story){0};
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), fw_adam(fw_constant_lr(0.015625), NULL),
                               &(fw_estimator_opt){.progress = tell, .progress_user = &s}));
    assert_ok(fw_estimator_train(e, train, 6));
    assert_string_equal(s.text, "BSSSSSESEX");
    assert_int_equal(s.last[FW_EVENT_END].steps_per_epoch, 5);
    assert_true(fabs(s.last[FW_EVENT_STEP].lr - 0.015625) < 1e-12);
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
}

static bool stop_at_kind(void *user, const fw_event *ev)
{
    return (int)ev->kind != *(const int *)user;
}

/* Whatever event asks for the stop, the step is finished and a checkpoint left. */
static void test_stop_at_each_kind(void **state)
{
    (void)state;
    static const struct {
        int kind, step;
    } cases[] = {{FW_EVENT_BEGIN, 0},
                 {FW_EVENT_STEP, 1},
                 {FW_EVENT_EPOCH, 3},
                 {FW_EVENT_EVAL, 6},
                 {FW_EVENT_CHECKPOINT, 2}};
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        int kind = cases[i].kind;
        fw_dataset *train = t_data_set(9, true), *test = t_data_set(10, false);
        const fw_estimator_opt opt = {.work_dir = t_path("stop-%d", kind),
                                      .steps_per_epoch = 3,
                                      .checkpoint_every = kind == FW_EVENT_CHECKPOINT ? 2 : 100,
                                      .eval_data = test,
                                      .eval_every = 2,
                                      .progress = stop_at_kind,
                                      .progress_user = &kind};
        fw_estimator *e = NULL;
        assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1), &opt));
        assert_int_equal(fw_estimator_train(e, train, 10), FW_ESTOPPED);
        char name[64];
        snprintf(name, sizeof name, "stop-%d/checkpoint-%08d.safetensors", kind,
                 (int)fw_estimator_step(e));
        assert_true(t_exists(t_path("%s", name)));
        assert_int_equal(fw_estimator_step(e), cases[i].step);
        fw_estimator_free(e);
        fw_dataset_free(train);
        fw_dataset_free(test);
    }
}

/* ---- a loss that is lost ---- */

static void test_not_finite(void **state)
{
    (void)state;
    const double knots[] = {0, 6, 6.001}, rates[] = {0.05, 0.05, 1e300};
    for (int64_t every = 1; every <= 5; every += 4) {
        t_trace trace = {0};
        fw_dataset *ds = t_data_set(9, true);
        char dir[600];
        snprintf(dir, sizeof dir, "%s", t_path("lost%d", (int)every));
        const fw_estimator_opt opt = {.work_dir = dir,
                                      .checkpoint_every = every,
                                      .progress = t_record,
                                      .progress_user = &trace};
        fw_estimator *e = NULL;
        const fw_optimizer o = fw_sgd(fw_piecewise_lr(3, knots, rates), 0.9, NULL);
        assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), o, &opt));
        /* The eighth step is the first with that rate: the weights are lost in its update. */
        const fw_status st = fw_estimator_train(e, ds, 20);
        const char *said = fw_last_error();
        if (st != FW_ENONFINITE || strstr(said, "step ") == NULL ||
            strstr(said, "learning rate 1e+300") == NULL)
            fail_msg("%s: %s", fw_status_name(st), said);
        assert_int_equal(trace.n, 8);
        for (int i = 0; i < trace.n; i++)
            assert_true(isfinite(trace.loss[i])); /* no other was told */
        assert_false(t_exists(t_path("lost%d/model.safetensors", (int)every)));
        /* What is left of this estimator is not used by mistake. */
        assert_fails(fw_estimator_train(e, ds, 20), FW_ESTATE, "diverged");
        fw_metrics m;
        fw_dataset *test = t_data_set(9, false);
        assert_fails(fw_estimator_evaluate(e, test, &m), FW_ESTATE, "diverged");
        fw_estimator_free(e);
        /* The last good checkpoint is there and can be gone on from: with its schedule as far as
         * that went. */
        assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), o, &opt));
        assert_int_equal(fw_estimator_step(e), every == 1 ? 7 : 5);
        assert_ok(fw_estimator_evaluate(e, test, &m));
        assert_true(isfinite(m.loss));
        fw_estimator_free(e);
        fw_dataset_free(ds);
        fw_dataset_free(test);
    }
}

/* Without a folder there is nothing to keep, and the message says so. */
static void test_not_finite_data(void **state)
{
    (void)state;
    fw_images f = t_images(20, 4, 4, 1, 2, FW_F32);
    ((float *)f.pixels)[77] = NAN;
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &f, NULL, &(fw_dataset_opt){.batch = 20, .training = true}));
    fw_estimator *e = NULL;
    fw_layer *net = fw_sequential();
    fw_add(net, fw_flatten());
    fw_add(net, fw_dense(2, true, NULL));
    assert_ok(fw_estimator_new(&e, net, t_sgd(0.25), NULL));
    assert_fails(fw_estimator_train(e, ds, 3), FW_ENONFINITE,
                 "step 0: the loss is not a number at learning rate 0.25");
    fw_estimator_free(e);
    fw_dataset_free(ds);
    t_images_free(&f);
}

/* ---- what cannot be trained on ---- */

static void test_refused(void **state)
{
    (void)state;
    fw_images bare = t_data;
    bare.labels = NULL;
    bare.n_classes = 0;
    fw_dataset *train = t_data_set(9, true), *test = t_data_set(9, false), *unlabelled = NULL,
               *unlabelled_test = NULL, *one_pass = NULL, *large = t_data_set(N + 1, true);
    assert_ok(fw_array_dataset(&unlabelled, &bare, NULL,
                               &(fw_dataset_opt){.batch = 9, .training = true}));
    assert_ok(fw_array_dataset(&unlabelled_test, &bare, NULL, &(fw_dataset_opt){.batch = 9}));
    assert_ok(fw_array_dataset(&one_pass, &t_data, NULL,
                               &(fw_dataset_opt){.batch = 9, .training = true, .passes = 1}));
    fw_estimator *e = NULL;
    fw_metrics m;
    float p[N * CLASSES];
    int64_t rows = 0;
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1), NULL));
    assert_fails(fw_estimator_train(e, unlabelled, 3), FW_EARG, "no labels");
    assert_fails(fw_estimator_train(e, test, 3), FW_EARG, ".training");
    assert_fails(fw_estimator_train(e, large, 3), FW_EARG, "45 records");
    assert_fails(fw_estimator_train(e, NULL, 3), FW_EARG, "NULL");
    assert_fails(fw_estimator_train(e, train, -1), FW_EARG, "negative");
    assert_fails(fw_estimator_save(e, t_path("none")), FW_ESTATE, "there are no weights");
    assert_fails(fw_estimator_train(e, one_pass, 6), FW_EARG, "ended at step 5 of 6");
    assert_int_equal(fw_estimator_step(e), 5);
    assert_fails(fw_estimator_evaluate(e, train, &m), FW_EARG, "without .training");
    assert_fails(fw_estimator_evaluate(e, unlabelled_test, &m), FW_EARG, "no labels");
    assert_fails(fw_estimator_predict(e, test, p, N - 1, NULL), FW_EARG, "45");
    assert_ok(fw_estimator_predict(e, unlabelled_test, p, N, &rows)); /* needs none */
    assert_int_equal(rows, N);
    fw_images small = t_images(10, H - 1, W, C, CLASSES, FW_U8);
    fw_dataset *other = NULL;
    assert_ok(fw_array_dataset(&other, &small, NULL, &(fw_dataset_opt){.batch = 9}));
    assert_fails(fw_estimator_evaluate(e, other, &m), FW_ESHAPE, "7 x 8 x 3");
    fw_dataset_free(other);
    t_images_free(&small);
    fw_estimator_free(e);

    e = NULL;
    assert_fails(fw_estimator_new(&e, NULL, t_sgd(0.1), NULL), FW_EARG, "NULL");
    assert_fails(fw_estimator_new(&e, t_net(-1, 0, CLASSES), t_sgd(0.1), NULL), FW_EARG, "-1");
    assert_int_not_equal(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(NAN), NULL), FW_OK);
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                  &(fw_estimator_opt){.device = "tpu"}),
                 FW_ENOTFOUND, "tpu");
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                  &(fw_estimator_opt){.precision = FW_F16}),
                 FW_EUNAVAILABLE, "f16");
    t_use_isa("portable"); /* as on a processor without bf16 */
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                  &(fw_estimator_opt){.precision = FW_BF16}),
                 FW_EUNAVAILABLE, "AVX2");
    t_use_isa(NULL);
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                  &(fw_estimator_opt){.label_smoothing = 1}),
                 FW_EARG, "smoothing");
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                                  &(fw_estimator_opt){.eval_every = 1}),
                 FW_EARG, "eval_data");
    assert_null(e);
    /* A net without a classifier at its end. */
    fw_layer *flat = fw_sequential();
    fw_add(flat, fw_conv_bn(4, NULL));
    assert_ok(fw_estimator_new(&e, flat, t_sgd(0.1), NULL));
    assert_fails(fw_estimator_train(e, train, 1), FW_ESHAPE, "pool or flatten");
    fw_estimator_free(e);
    /* Fewer classes than labels: the record is named. */
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES - 1), t_sgd(0.1), NULL));
    const fw_status st = fw_estimator_train(e, train, 10);
    assert_true(st != FW_OK);
    assert_non_null(strstr(fw_last_error(), "record "));
    assert_non_null(strstr(fw_last_error(), "label 3"));
    /* Labels that it has not are in nobody's way where none are needed, nor for another network. */
    assert_true(fw_estimator_evaluate(e, test, &m) != FW_OK);
    assert_non_null(strstr(fw_last_error(), "label 3"));
    float few[N * (CLASSES - 1)];
    assert_ok(fw_estimator_predict(e, test, few, N, &rows));
    fw_estimator_free(e);
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1), NULL));
    assert_ok(fw_estimator_train(e, train, 1));
    fw_estimator_free(e);
    /* What would be found late, or never. */
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                               &(fw_estimator_opt){.eval_data = large, .eval_every = 1}));
    assert_fails(fw_estimator_train(e, train, 1), FW_EARG, "has .training set: it is endless");
    fw_estimator_free(e);
    static const char *const names[] = {"one", "too", "few"};
    assert_ok(
        fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1),
                         &(fw_estimator_opt){.class_names = names, .n_class_names = CLASSES - 1}));
    assert_fails(fw_estimator_train(e, train, 1), FW_EARG, "class names, the network has");
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
    fw_dataset_free(unlabelled);
    fw_dataset_free(unlabelled_test);
    fw_dataset_free(one_pass);
    fw_dataset_free(large);
}

/* ---- warm start ---- */

static void test_warm_start(void **state)
{
    (void)state;
    char model[600];
    snprintf(model, sizeof model, "%s", t_path("warm.safetensors"));
    fw_dataset *train = t_data_set(15, true), *test = t_data_set(15, false);
    fw_estimator *e = NULL;
    fw_metrics before, after, cold;
    assert_ok(fw_estimator_new(&e, t_net(6, 0, CLASSES), t_sgd(0.3), NULL));
    assert_ok(fw_estimator_train(e, train, 30));
    assert_ok(fw_estimator_evaluate(e, test, &before));
    assert_ok(fw_estimator_save(e, model));
    fw_estimator_free(e);

    const fw_estimator_opt warm = {.warm_start = model, .seed = 9};
    assert_ok(fw_estimator_new(&e, t_net(6, 0, CLASSES), t_sgd(0.3), &warm));
    assert_ok(fw_estimator_evaluate(e, test, &after));
    assert_true(before.loss == after.loss && before.accuracy == after.accuracy);
    assert_int_equal(fw_estimator_step(e), 0);
    assert_ok(fw_estimator_train(e, train, 1)); /* its optimiser begins anew */
    fw_estimator_free(e);
    assert_ok(
        fw_estimator_new(&e, t_net(6, 0, CLASSES), t_sgd(0.3), &(fw_estimator_opt){.seed = 9}));
    assert_ok(fw_estimator_evaluate(e, test, &cold));
    assert_true(cold.loss != before.loss);
    fw_estimator_free(e);

    /* Another head: the convolutions are taken, the classifier is new. */
    fw_images two = t_data;
    static int32_t labels[N];
    for (int i = 0; i < N; i++)
        labels[i] = t_data.labels[i] % 2;
    two.labels = labels;
    two.n_classes = 2;
    const fw_transform chain[] = {fw_standardize(C, t_data.mean, t_data.std), FW_TRANSFORM_END};
    fw_dataset *halves = NULL;
    assert_ok(
        fw_array_dataset(&halves, &two, chain, &(fw_dataset_opt){.batch = 15, .training = true}));
    assert_ok(fw_estimator_new(&e, t_net(6, 0, 2), t_sgd(0.3), &warm));
    fw_dataset *judged = NULL;
    assert_ok(fw_array_dataset(&judged, &two, chain, &(fw_dataset_opt){.batch = 15}));
    assert_ok(fw_estimator_evaluate(e, judged, &after));
    assert_ok(fw_estimator_save(e, t_path("partly.safetensors")));
    assert_ok(fw_estimator_train(e, halves, 3));
    fw_estimator_free(e);
    assert_ok(fw_estimator_new(&e, t_net(6, 0, 2), t_sgd(0.3), &(fw_estimator_opt){.seed = 9}));
    assert_ok(fw_estimator_evaluate(e, judged, &after));
    assert_ok(fw_estimator_save(e, t_path("new.safetensors")));
    fw_estimator_free(e);
    fw_dataset_free(judged);
    const t_bytes old = t_read(model), partly = t_read(t_path("partly.safetensors")),
                  new = t_read(t_path("new.safetensors"));
    static const char *const tensors[] = {"0.conv.weight",   "0.bn.gamma",  "0.bn.var",
                                          "1.0.conv.weight", "1.0.bn.mean", "3.dense.weight"};
    for (size_t i = 0; i < T_COUNT(tensors); i++) {
        size_t n = 0, m = 0;
        const uint8_t *const a = t_tensor(&partly, tensors[i], &n);
        const uint8_t *const b = t_tensor(i + 1 == T_COUNT(tensors) ? &new : &old, tensors[i], &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
    }
    free(old.data);
    free(partly.data);
    free(new.data);
    /* Nothing agrees: refused. */
    assert_ok(fw_estimator_new(&e, t_net(5, 0, 2), t_sgd(0.3), &warm));
    assert_fails(fw_estimator_train(e, halves, 3), FW_ESHAPE, "no tensor agrees");
    fw_estimator_free(e);
    assert_ok(fw_estimator_new(&e, t_net(5, 0, 2), t_sgd(0.3),
                               &(fw_estimator_opt){.warm_start = t_path("nothing")}));
    assert_fails(fw_estimator_train(e, halves, 3), FW_ENOTFOUND, "nothing");
    fw_estimator_free(e);
    fw_dataset_free(halves);
    fw_dataset_free(train);
    fw_dataset_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overfits_one_batch), cmocka_unit_test(test_sum_and_mean),
        cmocka_unit_test(test_label_smoothing),    cmocka_unit_test(test_events_in_order),
        cmocka_unit_test(test_stop_at_each_kind),  cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_not_finite_data),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_warm_start),
    };
    return cmocka_run_group_tests_name("train", tests, make_data, t_drop_data);
}
