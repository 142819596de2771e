/* test_far_session.c: several runs of one session on a device with memory of its own: steps are
 * recorded before the first run's clock starts, of batches without images; what a run begins with is
 * what it would begin with alone. (ctest: once) */
#include "t_fed.h"

#include "backends.h"
#include "estimator.h"

enum { RUN_STEPS = 6, EVAL_BATCHES = 4 };

/* Images that stay on the device, or come from the host: a proxy's do. */
static const char text_of_kept[] =
    "[data]\nbundled = digits\nsplit_every = 5\n[augment]\ntransform = standardize\n"
    "transform = alternating_flip\ntransform = translate 1\ntransform = color_jitter 0.2 0.1\n"
    "[network]\ninput = 8 8 1\nlayer = whiten eps=5e-4 images=100\nlayer = activation gelu\n"
    "layer = conv_bn 6\nlayer = dropout 0.25\nlayer = global_max_pool\nlayer = classifier 10\n"
    "[train]\nlr = 0.05\nbatch = 32\nepochs = 6/44\n"
    "group = conv optimizer=muon lr=0.05 momentum=0.6\n"
    "group = whiten_bias lr=0.02 train_epochs=4/44\n"
    "average = lookahead\naverage_decay = 0.7\naverage_every = 2\n"
    "resolution = 6 8\nresolution_ends = 0.5\n[evaluate]\nbatch = 90\n";
static const char text_of_fed[] =
    "[data]\nbundled = digits\nsplit_every = 5\n[augment]\ntransform = standardize\n"
    "[network]\ninput = 8 8 1\nlayer = conv_bn 6\nlayer = global_max_pool\nlayer = classifier 10\n"
    "[network proxy]\nlayer = conv_bn 3\nlayer = global_max_pool\nlayer = classifier 10\n"
    "keep = 12\ntrain_every = 2\n[train]\nlr = 0.1\nbatch = 32\nepochs = 6/44\n"
    "[evaluate]\nbatch = 90\ntta = mirror\n";

static const char *const words[] = {"f32", "f16"};

static void check(const char *text, const char *precision, int64_t replays)
{
    static const uint64_t seeds[] = {4, 2, 4};
    fw_recipe *r = NULL;
    fw_session *s = NULL;
    fw_run_result a, b;
    int64_t uploaded[2] = {0};
    const fw_run_opt opt = {.device = "far", .threads = 1, .precision = precision};
    assert_ok(fw_recipe_parse(&r, text, "far.recipe"));
    assert_ok(fw_session_open(&s, r, &opt));
    assert_ok(fw_session_build(s));
    for (size_t i = 0; i < T_COUNT(seeds); i++) {
        fw_run_opt one = opt;
        one.seed = seeds[i];
        one.out = t_path("alone");
        assert_ok(fw_recipe_run(r, &one, &a));
        const int64_t before = t_far_replays(), bytes = t_far_uploaded();
        assert_ok(fw_session_run(s, &(fw_one_run){.seed = seeds[i], .out = t_path("among")}, &b));
        assert_int_equal(t_far_replays() - before,
                         replays); /* no step of it ran kernel by kernel */
        uploaded[i > 0] = t_far_uploaded() - bytes;
        if (i > 0)
            assert_int_equal(uploaded[1], uploaded[0]);
        assert_int_equal(b.run.steps, RUN_STEPS);
        assert_true(a.test.loss == b.test.loss && a.test.accuracy == b.test.accuracy);
        t_assert_same_file(t_path("alone/model.safetensors"), t_path("among/model.safetensors"));
        t_assert_same_file(t_path("alone/checkpoint-00000006.safetensors"),
                           t_path("among/checkpoint-00000006.safetensors"));
        t_remove_tree(t_path("alone"));
        t_remove_tree(t_path("among"));
    }
    fw_session_close(s);
    fw_recipe_free(r);
}

static void test_as_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < T_COUNT(words); i++) {
        check(text_of_kept, words[i], RUN_STEPS + EVAL_BATCHES);
        /* the proxy's losses and every second update, then the network's steps, and both views */
        check(text_of_fed, words[i], RUN_STEPS + RUN_STEPS / 2 + RUN_STEPS + 2 * EVAL_BATCHES);
    }
}

/* A device that keeps no recording says so once per plan, and runs are the same. */
static void test_unrecorded(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_run_result kept, plain;
    const fw_run_opt opt = {.device = "far", .threads = 1};
    assert_ok(fw_recipe_parse(&r, text_of_kept, "far.recipe"));
    assert_ok(fw_recipe_run(r, &opt, &kept));
    const int64_t before = t_far_replays();
    t_far_refuses = true;
    const fw_status st = fw_recipe_run(r, &opt, &plain);
    t_far_refuses = false;
    assert_ok(st);
    assert_int_equal(t_far_replays(), before);
    assert_true(kept.test.loss == plain.test.loss);
    fw_recipe_free(r);
}

/* How many updates in a row were undone is counted from the beginning of each run. */
static void test_undone_counts(void **state)
{
    (void)state;
    t_fed r;
    t_fed_open(&r, false, FW_TTA_NONE, FW_F16, NULL);
    fw_estimator_free(r.e);
    const fw_estimator_opt opt = {
        .device = "far", .precision = FW_F16, .loss_scale = 1e12, .seed = 5, .threads = 1};
    assert_ok(fw_estimator_new(&r.e, t_net(8, 0, CLASSES), t_sgd(0.05), &opt));
    assert_ok(fwi_estimator_build(r.e, r.train, r.test, 15));
    for (int i = 0; i < 3; i++) { /* 20 in a row would be too many */
        int64_t row = -1, all = -1;
        assert_ok(fwi_estimator_restart(r.e, 5, NULL));
        assert_ok(fw_estimator_train(r.e, r.train, 15));
        assert_ok(fwi_network_undone(&r.e->network, &row, &all));
        assert_true(row == 15 && all == 15);
    }
    fw_dataset_free(r.train);
    fw_dataset_free(r.test);
    fw_estimator_free(r.e);
}

/* Gradients of the run before are gone, though no step of the next one may write all of them. */
static void test_gradients_are_gone(void **state)
{
    (void)state;
    t_fed r;
    t_fed_open(&r, false, FW_TTA_NONE, FW_F32, NULL);
    assert_ok(fwi_estimator_build(r.e, r.train, r.test, 4));
    assert_ok(fwi_estimator_restart(r.e, 5, NULL));
    assert_ok(fw_estimator_train(r.e, r.train, 4));
    const fwi_store *const store = r.e->network.store;
    float *const grads = calloc(store->grad_bytes / sizeof *grads, sizeof *grads);
    assert_non_null(grads);
    for (int after = 0; after < 2; after++) {
        double sum = 0;
        assert_ok(
            r.e->device->backend->download(r.e->device, grads, store->grads, store->grad_bytes));
        for (size_t i = 0; i < store->grad_bytes / sizeof *grads; i++)
            sum += grads[i] < 0 ? -grads[i] : grads[i];
        assert_true(after == 0 ? sum > 0 : sum == 0);
        assert_ok(fwi_estimator_restart(r.e, 6, NULL));
        assert_ok(fwi_estimator_fill(r.e));
    }
    free(grads);
    fw_dataset_free(r.train);
    fw_dataset_free(r.test);
    fw_estimator_free(r.e);
}

/* Whichever block the device has not, building says so and leaves nothing behind, or images stay with
 * the host; what was refused once may be had later. */
static void test_blocks_refused(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_session *s = NULL;
    fw_run_result want, got;
    int refused = 0, host = 0;
    bool all_given = false;
    const fw_run_opt opt = {.device = "far", .threads = 1};
    assert_ok(fw_recipe_parse(&r, text_of_fed, "far.recipe"));
    assert_ok(fw_recipe_run(r, &opt, &want));
    for (int n = 1; !all_given; n++) {
        assert_ok(fw_session_open(&s, r, &opt));
        t_far_refuses_block = n;
        const fw_status st = fw_session_build(s);
        all_given = t_far_refuses_block > 0;
        t_far_refuses_block = 0;
        if (st == FW_OK) {
            host += !all_given;
        } else {
            assert_int_equal(st, FW_ENOMEM);
            assert_non_null(strstr(fw_last_error(), "this block is refused"));
            refused++;
        }
        if (n == 1 || n == 5 || n == 6) { /* of the network, of its images, of the proxy */
            assert_ok(fw_session_run(s, &(fw_one_run){.seed = 0}, &got));
            assert_true(got.test.loss == want.test.loss);
        }
        fw_session_close(s);
    }
    assert_int_equal(refused, 4 + 4); /* state, gradients, scratch and tables of both */
    assert_int_equal(host, 1);
    fw_recipe_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_alone),       cmocka_unit_test(test_unrecorded),
        cmocka_unit_test(test_undone_counts),  cmocka_unit_test(test_gradients_are_gone),
        cmocka_unit_test(test_blocks_refused),
    };
    return cmocka_run_group_tests(tests, t_fed_setup, t_fed_teardown);
}
