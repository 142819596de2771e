/* test_far_ahead.c: steps that run ahead of the host (fit_ahead.c) against the same steps one by one, on a
 * device with memory of its own: the same bits, the same things told in the same order, through stages,
 * undone steps, a loss that is lost, stops and resumes; and how little the host has to do for them. */
#include "estimator.h"
#include "t_fed.h"

enum {
    MOST_EVENTS = 256,
    ROWS = 6,
    EPOCH = 7
}; /* rows of a batch; steps, no divisor of anything */

typedef struct told {
    fw_event_kind kind;
    int64_t step;
    double loss, accuracy, lr;
} told;

typedef struct run {
    fw_dataset *train, *test;
    fw_estimator *e;
    told what[MOST_EVENTS];
    int n, steps;
    int64_t stop_at; /* say stop there; 0: never */
    volatile sig_atomic_t flag;
    bool by_flag;      /* by that, not by the callback's answer */
    int samples, last; /* that a transform has seen; at the last it sets the flag, 0: never */
    int bad;           /* at this one it fails */
} run;

static bool note(void *user, const fw_event *ev)
{
    run *const r = user;
    assert_true(r->n < MOST_EVENTS);
    r->what[r->n++] = (told){ev->kind, ev->step, ev->eval != NULL ? ev->eval->loss : ev->loss,
                             ev->eval != NULL ? ev->eval->accuracy : ev->accuracy, ev->lr};
    r->steps += ev->kind == FW_EVENT_STEP;
    const bool here = ev->kind == FW_EVENT_STEP && ev->step == r->stop_at;
    if (here && r->by_flag)
        r->flag = 1;
    return !here || r->by_flag;
}

/* What a run is like; zero is plain f32 with images on the device. */
typedef struct how {
    bool fed, single; /* batches from the host; step after step */
    fw_dtype precision;
    double loss_scale;
    const fw_schedule *lr;
    int64_t epoch, passes, checkpoint_every;
    bool stages, evaluates, mixed, tiny; /* mixed: images of two records, by the host */
    fw_filter *record, *filter;
    bool watched; /* by a transform, so batches are the host's */
} how;

static fw_status watch(void *user, fw_sample *s)
{
    run *const r = user;
    (void)s;
    if (++r->samples == r->last)
        r->flag = 1;
    return r->samples == r->bad ? FW_EIO : FW_OK;
}

/* Of steps so short that time does not limit a window, sanitizers or not. */
static fw_layer *tiny_net(void)
{
    fw_layer *net = fw_sequential();
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(CLASSES, 0.125f, FW_PYTORCH));
    return net;
}

static void run_open(run *r, const how *h, const char *dir)
{
    const fw_transform list[] = {fw_standardize(C, t_fed_images.mean, t_fed_images.std),
                                 fw_random_pad_crop(2), fw_alternating_flip(),
                                 h->mixed ? fw_cutmix(2, 3, 2 * ROWS) : fw_transform_end(),
                                 FW_TRANSFORM_END};
    const fw_transform watching[] = {list[0], fw_user_transform(watch, r), FW_TRANSFORM_END};
    const fw_transform plain[] = {list[0], FW_TRANSFORM_END};
    const fw_resolution grows[] = {{6, 5}, {7, 16}};
    *r = (run){0};
    assert_ok(fw_array_dataset(
        &r->train, &t_fed_images, h->watched ? watching : list,
        &(fw_dataset_opt){
            .batch = ROWS, .training = true, .seed = 3, .passes = h->passes, .threads = 1}));
    assert_ok(fw_array_dataset(&r->test, &t_fed_images, plain, &(fw_dataset_opt){.batch = ROWS}));
    const fw_estimator_opt opt = {.device = "far",
                                  .precision = h->precision,
                                  .loss_scale = h->loss_scale,
                                  .seed = 5,
                                  .work_dir = dir,
                                  .threads = 1,
                                  .eval_data = h->evaluates ? r->test : NULL,
                                  .eval_every = h->evaluates ? 2 : 0,
                                  .steps_per_epoch = h->epoch,
                                  .checkpoint_every = h->checkpoint_every,
                                  .groups = h->stages ? t_groups(0.02) : NULL,
                                  .n_groups = h->stages ? T_GROUPS : 0,
                                  .resolutions = h->stages ? grows : NULL,
                                  .n_resolutions = h->stages ? 2 : 0,
                                  .host_batches = h->fed,
                                  .record = h->record,
                                  .filter = h->filter,
                                  .stop = &r->flag,
                                  .progress = note,
                                  .progress_user = r};
    const fw_optimizer sgd = h->lr != NULL ? fw_sgd(*h->lr, 0.9, NULL) : t_sgd(0.05);
    t_far_one_by_one = h->single;
    const fw_status st =
        fw_estimator_new(&r->e, h->tiny ? tiny_net() : t_net(4, 0.25f, CLASSES), sgd, &opt);
    t_far_one_by_one = false;
    assert_ok(st);
}

static void run_close(run *r)
{
    fw_estimator_free(r->e);
    fw_dataset_free(r->train);
    fw_dataset_free(r->test);
}

static void assert_same_told(const run *a, const run *b)
{
    assert_int_equal(a->n, b->n);
    for (int i = 0; i < a->n; i++) {
        const told *x = &a->what[i], *y = &b->what[i];
        if (x->kind != y->kind || x->step != y->step || x->loss != y->loss ||
            x->accuracy != y->accuracy || x->lr != y->lr)
            fail_msg(
                "event %d: kind %d, step %d, loss %.17g; one by one: kind %d, step %d, loss %.17g",
                i, (int)x->kind, (int)x->step, x->loss, (int)y->kind, (int)y->step, y->loss);
    }
}

/* Both ways, to the end. */
static void compare(how h, int64_t steps)
{
    static run ahead, single;
    run_open(&ahead, &h, t_path("ahead"));
    assert_ok(fw_estimator_train(ahead.e, ahead.train, steps));
    h.single = true;
    run_open(&single, &h, t_path("single"));
    assert_ok(fw_estimator_train(single.e, single.train, steps));
    assert_int_equal(ahead.steps, steps);
    assert_same_told(&ahead, &single);
    assert_int_equal(fw_dataset_position(ahead.train), fw_dataset_position(single.train));
    run_close(&ahead);
    run_close(&single);
    t_assert_same_file(t_path("ahead/model.safetensors"), t_path("single/model.safetensors"));
    t_assert_same_file(t_path("ahead/config.json"), t_path("single/config.json"));
    t_remove_tree(t_path("ahead"));
    t_remove_tree(t_path("single"));
}

/* Stages, groups whose training is over, evaluations and checkpoints in between; dropout too. */
static void test_same_bits(void **state)
{
    (void)state;
    const fw_schedule falls = fw_linear_decay_lr(0.05, 30);
    for (int fed = 0; fed < 2; fed++) {
        compare((how){.fed = fed == 1,
                      .lr = &falls,
                      .epoch = EPOCH,
                      .evaluates = true,
                      .checkpoint_every = 5},
                23);
        compare((how){.fed = fed == 1, .epoch = 1000, .stages = true}, 24);
    }
    compare((how){.precision = FW_F16, .epoch = 1000, .checkpoint_every = 9}, 20);
    compare((how){.precision = FW_BF16, .epoch = 1}, 4);
}

/* Rows that another network chose, which has to go step by step itself; images of two records. */
static void test_chosen_rows(void **state)
{
    (void)state;
    enum { STEPS_OF_IT = 12 };
    static run r;
    fw_filter *f = NULL;
    assert_ok(fw_filter_new(&f, ROWS, ROWS / 2, STEPS_OF_IT));
    run_open(&r, &(how){.record = f, .epoch = 1000}, NULL);
    const int64_t replays = t_far_replays();
    assert_ok(fw_estimator_train(r.e, r.train, STEPS_OF_IT));
    assert_int_equal(t_far_replays() - replays, 2 * (STEPS_OF_IT - 1)); /* two plans a step */
    run_close(&r);
    compare((how){.filter = f, .epoch = 1000}, STEPS_OF_IT);
    fw_filter_free(f);
    compare((how){.mixed = true, .epoch = 1000}, STEPS_OF_IT);
}

/* Copies between host and device, and what is recorded: per window, not per step. */
static void test_few_copies(void **state)
{
    (void)state;
    enum { FIRST = 5, LATER = 40 };
    static run r;
    run_open(&r, &(how){.precision = FW_F16, .epoch = 1000, .tiny = true}, NULL);
    r.e->window_seconds = 1e6; /* windows do not hang on how fast this machine is */
    assert_ok(fw_estimator_train(r.e, r.train, FIRST));
    const int64_t copies = t_far_copies(), replays = t_far_replays(), made = t_far_batches();
    assert_ok(fw_estimator_train(r.e, r.train, FIRST + LATER));
    assert_int_equal(t_far_replays() - replays, LATER);
    assert_int_equal(t_far_batches() - made, LATER);
    /* Windows of 1, 4, 16 and 19 steps, with two copies up and one down for each; one more where the
     * call begins and ends. One by one it would be six a step. */
    assert_in_range(t_far_copies() - copies, 12, 16);
    assert_int_equal(r.steps, FIRST + LATER);
    run_close(&r);
}

/* Steps that are undone one after the other end the training at the same step, with the same words. */
static void test_undone(void **state)
{
    (void)state;
    static run ahead, single;
    char words[512];
    how h = {.precision = FW_F16, .loss_scale = 1e12, .epoch = 1000};
    run_open(&ahead, &h, NULL);
    assert_fails(fw_estimator_train(ahead.e, ahead.train, 70), FW_ENONFINITE, "step 20: ");
    snprintf(words, sizeof words, "%s", fw_last_error());
    assert_true(fw_estimator_step(ahead.e) >= 20); /* some of those behind it had begun */
    h.single = true;
    run_open(&single, &h, NULL);
    assert_fails(fw_estimator_train(single.e, single.train, 70), FW_ENONFINITE, words);
    assert_int_equal(ahead.steps, 19);
    assert_same_told(&ahead, &single);
    run_close(&ahead);
    run_close(&single);
}

/* A rate that loses the weights in the middle of a window: found at the step, and told up to there. */
static void test_lost(void **state)
{
    (void)state;
    static run ahead, single;
    char words[512];
    const double knots[] = {0, 11, 12, 100}, rates[] = {0.05, 0.05, 1e38, 1e38};
    const fw_schedule lr = fw_piecewise_lr(4, knots, rates);
    for (int fed = 0; fed < 2; fed++) {
        how h = {.fed = fed == 1, .lr = &lr, .epoch = 1000, .checkpoint_every = 8};
        run_open(&ahead, &h, t_path("lost"));
        assert_fails(fw_estimator_train(ahead.e, ahead.train, 60), FW_ENONFINITE,
                     "the last good checkpoint is kept");
        snprintf(words, sizeof words, "%s", fw_last_error());
        assert_fails(fw_estimator_train(ahead.e, ahead.train, 60), FW_ESTATE, "training diverged");
        h.single = true;
        run_open(&single, &h, t_path("lost-single"));
        assert_fails(fw_estimator_train(single.e, single.train, 60), FW_ENONFINITE, words);
        assert_same_told(&ahead, &single);
        assert_int_equal(fw_estimator_step(ahead.e), fw_estimator_step(single.e));
        assert_true(ahead.steps > 11 && ahead.steps < 15);
        run_close(&ahead);
        run_close(&single);
        t_remove_tree(t_path("lost"));
        t_remove_tree(t_path("lost-single"));
    }
}

/* Whoever stops has what was on its way done, told and in the checkpoint; what comes later is as if
 * nobody had stopped. */
static void test_stop(void **state)
{
    (void)state;
    enum { ALL = 40, AT = 9 };
    static run whole, cut;
    for (int by_flag = 0; by_flag < 2; by_flag++) {
        const how h = {.fed = by_flag == 1, .epoch = 1000};
        how plain = h;
        plain.single = true;
        run_open(&whole, &plain, t_path("whole"));
        assert_ok(fw_estimator_train(whole.e, whole.train, ALL));
        run_open(&cut, &h, t_path("cut"));
        cut.stop_at = AT;
        cut.by_flag = by_flag == 1;
        assert_fails(fw_estimator_train(cut.e, cut.train, ALL), FW_ESTOPPED, "stopped after step");
        const int64_t at = fw_estimator_step(cut.e);
        assert_true(at >= AT && at <= AT + 64 && at == cut.steps);
        run_close(&cut);
        run_open(&cut, &h, t_path("cut"));
        assert_int_equal(fw_estimator_step(cut.e), at);
        assert_ok(fw_estimator_train(cut.e, cut.train, ALL));
        run_close(&whole);
        run_close(&cut);
        t_assert_same_file(t_path("whole/model.safetensors"), t_path("cut/model.safetensors"));
        t_remove_tree(t_path("whole"));
        t_remove_tree(t_path("cut"));
    }
}

/* The run in "cut" goes on from step `at`, and ends as one that went step by step and was never stopped. */
static void check_rest(how h, int64_t at, int64_t all)
{
    static run whole, cut;
    run_open(&cut, &h, t_path("cut"));
    assert_int_equal(fw_estimator_step(cut.e), at);
    assert_ok(fw_estimator_train(cut.e, cut.train, all));
    assert_int_equal(cut.steps, all - at);
    run_close(&cut);
    h.single = true;
    run_open(&whole, &h, t_path("whole"));
    assert_ok(fw_estimator_train(whole.e, whole.train, all));
    run_close(&whole);
    t_assert_same_file(t_path("whole/model.safetensors"), t_path("cut/model.safetensors"));
    t_remove_tree(t_path("whole"));
    t_remove_tree(t_path("cut"));
}

/* A flag that is set while steps are being enqueued ends the window there. */
static void test_stop_at_once(void **state)
{
    (void)state;
    enum { ALL = 100, AT = 30 };
    static run cut;
    const how h = {.watched = true, .tiny = true, .epoch = 1000};
    run_open(&cut, &h, t_path("cut"));
    cut.last = AT * ROWS;
    assert_fails(fw_estimator_train(cut.e, cut.train, ALL), FW_ESTOPPED, "stopped after step");
    const int64_t at = fw_estimator_step(cut.e);
    assert_true(at > 0 && at <= AT + 1 && at == cut.steps);
    run_close(&cut);
    check_rest(h, at, ALL);
}

/* Data that ends says so at its step, behind all steps that it was enough for. */
static void test_data_ends(void **state)
{
    (void)state;
    static run ahead, single;
    for (int fed = 0; fed < 2; fed++) {
        how h = {.fed = fed == 1, .passes = 4, .epoch = 1000};
        char words[512];
        run_open(&ahead, &h, NULL);
        assert_fails(fw_estimator_train(ahead.e, ahead.train, 60), FW_EARG, "training data ended");
        snprintf(words, sizeof words, "%s", fw_last_error());
        h.single = true;
        run_open(&single, &h, NULL);
        assert_fails(fw_estimator_train(single.e, single.train, 60), FW_EARG, words);
        assert_same_told(&ahead, &single);
        assert_int_equal(fw_estimator_step(ahead.e), fw_estimator_step(single.e));
        assert_ok(fw_estimator_save(ahead.e, t_path("a.safetensors")));
        assert_ok(fw_estimator_save(single.e, t_path("b.safetensors")));
        t_assert_same_file(t_path("a.safetensors"), t_path("b.safetensors"));
        run_close(&ahead);
        run_close(&single);
    }
}

/* Data that fails half-way: the steps before it are in a checkpoint, and a run that goes on ends as one that
 * nothing happened to. */
static void test_data_fails(void **state)
{
    (void)state;
    enum { ALL = 60, AT = 30 };
    static run cut;
    const how h = {.watched = true, .tiny = true, .epoch = 1000};
    run_open(&cut, &h, t_path("cut"));
    cut.bad = AT * ROWS + 3;
    assert_fails(fw_estimator_train(cut.e, cut.train, ALL), FW_EIO, "the caller's own");
    const int64_t at = fw_estimator_step(cut.e);
    assert_true(at > 0 && at <= AT);
    assert_true(t_exists(t_path("cut/checkpoint-%08d.safetensors", (int)at)));
    run_close(&cut);
    check_rest(h, at, ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),  cmocka_unit_test(test_chosen_rows),
        cmocka_unit_test(test_few_copies), cmocka_unit_test(test_undone),
        cmocka_unit_test(test_lost),       cmocka_unit_test(test_stop),
        cmocka_unit_test(test_data_ends),  cmocka_unit_test(test_stop_at_once),
        cmocka_unit_test(test_data_fails),
    };
    return cmocka_run_group_tests(tests, t_fed_setup, t_fed_teardown);
}
