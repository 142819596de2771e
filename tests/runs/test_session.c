/* test_session.c: several runs of a recipe in one session end with the bits of runs in sessions of
 * their own, in any order, whatever a run leaves behind: averages, slots, statistics, filters of
 * whitening, orders of passes, chosen rows. And what a session does not repeat. */
#include "t_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS                                                                                     \
    "[data]\nbundled = digits\nsplit_every = 5\ncache = true\n[network]\ninput = 8 8 1\n"          \
    "classes = 10\n"

/* Of each recipe: what it has that a run could leave to the next one. */
static const struct {
    const char *name, *text;
} recipes[] = {
    {"muon, lookahead, stages, whitening, dropout, selective",
     DIGITS "layer = whiten eps=5e-4 images=200\nlayer = activation gelu\n"
            "layer = conv_bn 12 act=gelu bn_update=0.4\nlayer = dropout 0.3\n"
            "layer = global_max_pool\nlayer = classifier 10\n"
            "[augment]\ntransform = standardize\ntransform = alternating_flip\n"
            "transform = translate 1\ntransform = color_jitter 0.2 0.1\n"
            "[train]\nepochs = 40/22\nbatch = 64\nlr = 0.05\nlabel_smoothing = 0.1\n"
            "group = conv optimizer=muon lr=0.05 momentum=0.6\n"
            "group = whiten_bias lr=0.02 train_epochs=0.5\n"
            "average = lookahead\naverage_decay = 0.7\naverage_every = 3\n"
            "resolution = 6 8\nresolution_ends = 0.4\npass_end = drop\n"
            "[evaluate]\nbatch = 90\ntta = selective\n"},
    {"ema, adam, cutmix, clipping, in double",
     DIGITS "layer = conv_bn 6 bn_groups=2\nlayer = global_max_pool\nlayer = classifier 10\n"
            "[augment]\ntransform = standardize\ntransform = pad_crop 1\ntransform = cutout 2 2\n"
            "transform = cutmix 3 3 from=0\n"
            "[train]\nepochs = 30/44\nbatch = 32\noptimizer = adam\nlr = 0.01\nclip_norm = 1\n"
            "average = ema\naverage_decay = 0.9\nprecision = f64\n"
            "[evaluate]\ntta = mirror\n"},
    {"a proxy that chooses rows",
     DIGITS "layer = conv_bn 6\nlayer = global_max_pool\nlayer = classifier 10\n"
            "[augment]\ntransform = standardize\ntransform = flip\n"
            "[network proxy]\nlayer = whiten eps=1e-2 images=100 bias=false\n"
            "layer = conv_bn 3\nlayer = global_max_pool\nlayer = classifier 10\n"
            "keep = 20\ntrain_every = 2\n"
            "[train]\nlr = 0.1\nbatch = 64\nepochs = 25/22\n"},
    {"two groups, in bf16",
     DIGITS "layer = conv_blk 6\nlayer = global_max_pool\nlayer = classifier 10\n"
            "[augment]\ntransform = standardize\ntransform = pad_crop 1\n"
            "[train]\nlr = 0.1\nnesterov = page\nbatch = 128\nepochs = 12/11\nprecision = bf16\n"
            "group = conv optimizer=lars lr=0.5\n"}};

static fw_recipe *recipe_of(size_t i)
{
    fw_recipe *r = NULL;
    assert_ok(fw_recipe_parse(&r, recipes[i].text, recipes[i].name));
    assert_ok(fw_recipe_check(r, NULL));
    return r;
}

/* No processor without AVX2 has bf16. */
static bool can_run(const fw_recipe *r)
{
    fw_session *s = NULL;
    assert_ok(fw_session_open(&s, r, NULL));
    const fw_status st = fw_session_build(s);
    fw_session_close(s);
    if (st != FW_EUNAVAILABLE)
        assert_ok(st);
    return st == FW_OK;
}

/* Weights as evaluation uses them, and everything else that training changes. */
static void assert_same_run(const char *a, const char *b, const fw_run_result *x,
                            const fw_run_result *y)
{
    char path[2][1200];
    snprintf(path[0], sizeof path[0], "%s/model.safetensors", a);
    snprintf(path[1], sizeof path[1], "%s/model.safetensors", b);
    t_assert_same_file(path[0], path[1]);
    snprintf(path[0], sizeof path[0], "%s/checkpoint-%08lld.safetensors", a,
             (long long)x->run.steps);
    snprintf(path[1], sizeof path[1], "%s/checkpoint-%08lld.safetensors", b,
             (long long)y->run.steps);
    t_assert_same_file(path[0], path[1]);
    assert_true(x->test.loss == y->test.loss && x->test.accuracy == y->test.accuracy &&
                x->test.accuracy_plain == y->test.accuracy_plain &&
                x->test.forwards == y->test.forwards && x->run.steps == y->run.steps &&
                x->run.epochs == y->run.epochs);
}

static void test_as_the_first(void **state)
{
    (void)state;
    static const uint64_t seeds[] = {7, 3, 7}; /* the same one again, behind another */
    for (size_t i = 0; i < T_COUNT(recipes); i++) {
        fw_recipe *r = recipe_of(i);
        fw_session *s = NULL;
        if (!can_run(r)) {
            fw_recipe_free(r);
            continue;
        }
        assert_ok(fw_session_open(&s, r, &(fw_run_opt){.threads = 2}));
        for (size_t k = 0; k < T_COUNT(seeds); k++) {
            char alone[1024], among[1024];
            fw_run_result a, b;
            snprintf(alone, sizeof alone, "%s", t_path("alone-%d-%d", (int)i, (int)k));
            snprintf(among, sizeof among, "%s", t_path("among-%d-%d", (int)i, (int)k));
            assert_ok(
                fw_recipe_run(r, &(fw_run_opt){.seed = seeds[k], .out = alone, .threads = 2}, &a));
            assert_ok(fw_session_run(s, &(fw_one_run){.seed = seeds[k], .out = among}, &b));
            assert_same_run(alone, among, &a, &b);
            assert_true(a.run.t_build > 0 && (b.run.t_build > 0) == (k == 0));
            assert_true(b.run.t_train > 0 && b.run.t_total >= b.run.t_train &&
                        b.run.t_dawn > b.run.t_total);
        }
        fw_session_close(s);
        fw_recipe_free(r);
    }
}

/* Seeds do differ, and without a folder it is the same run. */
static void test_seeds_differ(void **state)
{
    (void)state;
    fw_recipe *r = recipe_of(0);
    fw_session *s = NULL;
    fw_run_result x[3];
    assert_ok(fw_session_open(&s, r, NULL));
    assert_ok(fw_session_build(s));
    assert_ok(fw_session_run(s, &(fw_one_run){.seed = 1}, &x[0]));
    assert_ok(fw_session_run(s, &(fw_one_run){.seed = 2}, &x[1]));
    assert_ok(fw_session_run(s, &(fw_one_run){.seed = 1, .out = t_path("differ")}, &x[2]));
    assert_true(x[0].test.loss != x[1].test.loss);
    assert_true(x[0].test.loss == x[2].test.loss);
    assert_string_equal(x[0].model, "");
    assert_true(t_exists(x[2].model));
    assert_true(x[0].run.t_build > 0); /* that of fw_session_build */
    fw_session_close(s);
    fw_recipe_free(r);
}

typedef struct stopping {
    int64_t at; /* step of a phase; 0: never */
    int phase, ends;
} stopping;

static bool stop_there(void *user, const fw_event *ev)
{
    stopping *const x = user;
    x->ends += ev->kind == FW_EVENT_END;
    return ev->kind != FW_EVENT_STEP || x->at == 0 || ev->step != x->at || x->ends != x->phase;
}

/* A run that is stopped, another one, then the first again from its checkpoint. */
static void test_stopped_between(void **state)
{
    (void)state;
    for (int phase = 0; phase < 3; phase++) { /* one network; a proxy, and the network behind it */
        fw_recipe *r = recipe_of(phase == 0 ? 0 : 2);
        fw_session *s = NULL;
        fw_run_result a, b;
        char alone[1024], part[1024];
        stopping x = {.phase = phase == 2};
        snprintf(alone, sizeof alone, "%s", t_path("whole-%d", phase));
        snprintf(part, sizeof part, "%s", t_path("part-%d", phase));
        assert_ok(fw_recipe_run(r, &(fw_run_opt){.seed = 5, .out = alone}, &a));
        assert_ok(
            fw_session_open(&s, r, &(fw_run_opt){.progress = stop_there, .progress_user = &x}));
        x.at = 9;
        assert_fails(fw_session_run(s, &(fw_one_run){.seed = 5, .out = part}, &b), FW_ESTOPPED,
                     "stopped after step 9");
        x.at = 0;
        assert_fails(fw_session_run(s, &(fw_one_run){.seed = 5, .out = part}, &b), FW_EEXISTS,
                     "holds a run already");
        assert_ok(fw_session_run(s, &(fw_one_run){.seed = 6}, &b));
        assert_ok(fw_session_run(s, &(fw_one_run){.seed = 5, .out = part, .resume = true}, &b));
        assert_same_run(alone, part, &a, &b);
        assert_fails(fw_session_run(s, &(fw_one_run){.seed = 6, .out = part, .resume = true}, &b),
                     FW_EEXISTS, "seed");
        assert_ok(fw_session_run(s, &(fw_one_run){.seed = 5}, &b));
        assert_true(b.test.loss == a.test.loss);
        fw_session_close(s);
        fw_recipe_free(r);
    }
}

/* A run whose weights are lost is no end of the session. */
static void test_diverged_between(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_session *s = NULL;
    fw_run_result a;
    char out[1024];
    assert_ok(fw_recipe_open(&r, "digits"));
    assert_ok(fw_recipe_set(r, "train.epochs", "0.5"));
    assert_ok(fw_recipe_set(r, "train.lr", "1e6"));
    assert_ok(fw_session_open(&s, r, NULL));
    char said[1024] = "";
    int64_t steps = 0;
    for (int i = 0; i < 2; i++) { /* the second from weights of its own: as far as the first */
        snprintf(out, sizeof out, "%s", t_path("lost-%d", i));
        assert_int_equal(fw_session_run(s, &(fw_one_run){.out = out}, &a), FW_ENONFINITE);
        assert_true(a.run.diverged && a.run.steps > 0);
        assert_non_null(strstr(fw_last_error(), "step"));
        assert_true(i == 0 || a.run.steps == steps);
        assert_true(i == 0 || strcmp(said, fw_last_error()) == 0);
        steps = a.run.steps;
        snprintf(said, sizeof said, "%s", fw_last_error());
    }
    fw_session_close(s);
    fw_recipe_free(r);
}

/* Records in files, plain and compressed, whose order is drawn elsewhere. */
static void test_of_files(void **state)
{
    (void)state;
    static const fw_compression kinds[] = {FW_PLAIN, FW_GZIP};
    fw_images digits = t_digits(), train = {0}, test = {0};
    assert_ok(fw_images_split_every(&digits, 5, &train, &test)); /* takes them */
    for (size_t i = 0; i < T_COUNT(kinds); i++)
        for (int cached = 0; cached < 2; cached++) {
            const fw_write_opt how = {.compression = kinds[i], .overwrite = true};
            char data[1024];
            fw_recipe *r = recipe_of(2);
            fw_session *s = NULL;
            fw_run_result a, b;
            snprintf(data, sizeof data, "%s", t_path("d%d.tfrec", (int)i));
            assert_ok(fw_write_tfrecord(t_path("d%d-train.tfrec", (int)i), &train, &how));
            assert_ok(fw_write_tfrecord(t_path("d%d-test.tfrec", (int)i), &test, &how));
            assert_ok(fw_recipe_set(r, "data.cache", cached ? "true" : "false"));
            assert_ok(fw_recipe_set(r, "data.shuffle_buffer", "300"));
            const fw_run_opt opt = {.data = data, .seed = 11, .threads = 2};
            assert_ok(fw_recipe_run(r, &opt, &a));
            assert_ok(fw_session_open(&s, r, &opt));
            assert_ok(fw_session_run(s, &(fw_one_run){.seed = 12}, &b));
            assert_true(b.test.loss != a.test.loss);
            assert_ok(fw_session_run(s, &(fw_one_run){.seed = 11}, &b));
            assert_true(b.test.loss == a.test.loss);
            fw_session_close(s);
            fw_recipe_free(r);
        }
    fw_images_clear(&train);
    fw_images_clear(&test);
}

/* What is not there is not there the second time; what is refused at once costs nothing. */
static void test_refused(void **state)
{
    (void)state;
    fw_recipe *r = recipe_of(0);
    fw_session *s = NULL;
    fw_run_result x;
    assert_fails(fw_session_open(&s, r, &(fw_run_opt){.eval_every = -1}), FW_EARG, "negative");
    assert_fails(fw_session_open(&s, r, &(fw_run_opt){.until_accuracy = 2}), FW_EARG, "fraction");
    assert_null(s);
    assert_ok(fw_session_open(&s, r, &(fw_run_opt){.data = t_path("nowhere.tfrec")}));
    assert_fails(fw_session_build(s), FW_ENOTFOUND, "nowhere");
    assert_fails(fw_session_run(s, &(fw_one_run){.out = t_path("none")}, &x), FW_ENOTFOUND,
                 "nowhere");
    assert_false(t_exists(t_path("none")));
    assert_fails(fw_session_run(s, &(fw_one_run){.resume = true}, &x), FW_EARG, "resume");
    fw_session_close(s);
    assert_ok(fw_session_open(&s, r, &(fw_run_opt){.memory_limit = 1000}));
    assert_fails(fw_session_run(s, &(fw_one_run){.out = t_path("none")}, &x), FW_ENOMEM,
                 "the limit is");
    assert_false(t_exists(t_path("none")));
    fw_session_close(s);
    fw_session_close(NULL);
    fw_recipe_free(r);
}

/* What a results file holds is not run, nor anything built for it. */
static void test_held(void **state)
{
    (void)state;
    fw_recipe *r = recipe_of(3);
    assert_ok(fw_recipe_set(r, "train.precision", "f32"));
    fw_trials *t = NULL;
    fw_session *s = NULL;
    const fw_trial *trial = NULL;
    fw_run_result x;
    bool held = true;
    const char *path = t_path("held.jsonl");
    assert_ok(fw_trials_open(&t, path, false));
    assert_ok(fw_session_open(&s, r, NULL));
    assert_ok(fw_session_trial(s, &(fw_one_run){.seed = 1}, t, NULL, &trial, &x, &held));
    assert_false(held);
    assert_true(trial->run.t_build > 0 && trial->run.t_build == x.run.t_build);
    assert_ok(fw_session_trial(s, &(fw_one_run){.seed = 2}, t, NULL, &trial, &x, &held));
    assert_true(!held && trial->seed == 2 && trial->run.t_build == 0);
    fw_session_close(s);
    fw_trials_close(t);
    assert_ok(fw_trials_open(&t, path, false));
    assert_ok(fw_session_open(&s, r, &(fw_run_opt){.memory_limit = 1000})); /* not enough */
    assert_ok(fw_session_trial(s, &(fw_one_run){.seed = 2}, t, NULL, &trial, NULL, &held));
    assert_true(held && trial->run.t_build == 0 && trial->run.t_train > 0);
    assert_ok(fw_session_trial(s, &(fw_one_run){.seed = 1}, t, NULL, &trial, NULL, &held));
    assert_true(held && trial->run.t_build > 0);
    assert_fails(fw_session_trial(s, &(fw_one_run){.seed = 3}, t, NULL, &trial, NULL, &held),
                 FW_ENOMEM, "the limit is");
    assert_int_equal(fw_trials_count(t), 2);
    fw_session_close(s);
    fw_trials_close(t);
    fw_recipe_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_the_first),
        cmocka_unit_test(test_seeds_differ),
        cmocka_unit_test(test_stopped_between),
        cmocka_unit_test(test_diverged_between),
        cmocka_unit_test(test_of_files),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_held),
    };
    return cmocka_run_group_tests_name("sessions", tests, t_setup, t_teardown);
}
