/* test_trials.c: runs as lines of a file: each once, whole lines only, and no run that knows which
 * came before it. */
#include "t_runs.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static fw_recipe *short_digits(void)
{
    fw_recipe *r = NULL;
    assert_ok(fw_recipe_open(&r, "digits"));
    assert_ok(fw_recipe_set(r, "train.epochs", "0.2"));
    return r;
}

/* Seeds in one order and in the other, in one process: the same model files, bit for bit. */
static void test_order(void **state)
{
    (void)state;
    enum { SEEDS = 3 };
    fw_recipe *r = short_digits();
    fw_run_result result[2][SEEDS];
    for (int order = 0; order < 2; order++)
        for (int i = 0; i < SEEDS; i++) {
            const int seed = order == 0 ? i : SEEDS - 1 - i;
            const fw_run_opt opt = {.out = t_path("order%d-%d", order, seed),
                                    .seed = (uint64_t)seed};
            assert_ok(fw_recipe_run(r, &opt, &result[order][seed]));
        }
    for (int i = 0; i < SEEDS; i++) {
        assert_true(result[0][i].test.loss == result[1][i].test.loss);
        t_assert_same_file(result[0][i].model, result[1][i].model);
    }
    const t_bytes a = t_read(result[0][0].model), b = t_read(result[0][1].model);
    assert_true(a.n != b.n || memcmp(a.data, b.data, a.n) != 0); /* seeds do differ */
    free(a.data);
    free(b.data);
    fw_recipe_free(r);
}

/* A list that is read alone takes no run, and none is made for it. */
static void test_read_only(void **state)
{
    (void)state;
    const char *path = t_path("read.jsonl");
    fw_recipe *r = short_digits();
    fw_trials *t = NULL;
    const fw_trial *trial = NULL;
    bool held = true;
    t_trace trace = {0};
    t_write(path, "", 0);
    assert_ok(fw_trials_open(&t, path, true));
    assert_fails(fw_trial_run(t, r, &(fw_run_opt){.progress = t_record, .progress_user = &trace},
                              NULL, &trial, NULL, &held),
                 FW_ESTATE, "read.jsonl: was opened to be read");
    assert_int_equal(trace.n, 0);
    assert_null(trial);
    assert_false(held);
    fw_trials_close(t);
    fw_recipe_free(r);
}

static void test_once(void **state)
{
    (void)state;
    const char *path = t_path("once.jsonl");
    fw_recipe *r = short_digits();
    fw_trials *t = NULL;
    const fw_trial *trial = NULL;
    fw_run_result result;
    bool held = true;
    fw_run_opt opt = {.seed = 4};
    const fw_trial_opt how = {.variant = "base", .changes = "train.epochs=0.2"};
    assert_ok(fw_trials_open(&t, path, false));
    assert_ok(fw_trial_run(t, r, &opt, &how, &trial, &result, &held));
    assert_false(held);
    assert_true(trial->run.accuracy == result.test.accuracy &&
                trial->run.steps == result.run.steps);
    fw_trials_close(t);

    assert_ok(fw_trials_open(&t, path, false));
    assert_int_equal(fw_trials_count(t), 1);
    assert_ok(fw_trial_run(t, r, &opt, &how, &trial, &result, &held));
    assert_true(held);
    assert_true(trial->seed == 4 && trial->run.steps == 4 && trial->run.t_train > 0);
    assert_true(trial->run.t_total >= trial->run.t_train &&
                trial->run.t_dawn >= trial->run.t_total);
    assert_string_equal(trial->variant, "base");
    assert_string_equal(trial->changes, "train.epochs=0.2");
    assert_string_equal(trial->recipe, "digits");
    assert_string_equal(trial->version, fw_version());
    assert_string_equal(trial->commit, fw_commit());
    assert_string_equal(trial->precision, "f32");
    assert_true(trial->threads > 0 && *trial->cpu != 0 && *trial->isa != 0);
    /* what makes another run of it */
    fw_trial like = *trial;
    assert_ptr_equal(fw_trials_find(t, &like, false), trial);
    like.commit = "another";
    assert_ptr_equal(fw_trials_find(t, &like, false), trial);
    assert_null(fw_trials_find(t, &like, true));
    like = *trial;
    like.seed = 5;
    assert_null(fw_trials_find(t, &like, false));
    like = *trial;
    like.data = "other.tfrec";
    assert_null(fw_trials_find(t, &like, false));
    like = *trial;
    like.precision = "f64";
    assert_null(fw_trials_find(t, &like, false));
    like = *trial;
    like.version = "0.0.9";
    assert_null(fw_trials_find(t, &like, false));
    assert_ok(fw_recipe_set(r, "lr", "0.1"));
    assert_ok(fw_trial_run(t, r, &opt, NULL, &trial, NULL, &held));
    assert_false(held);
    opt.until_accuracy = 0.5;
    assert_fails(fw_trial_run(t, r, &opt, NULL, &trial, NULL, &held), FW_EARG, "does not go");
    fw_trials_close(t);
    assert_ok(fw_trials_open(&t, path, true));
    assert_int_equal(fw_trials_count(t), 2);
    assert_fails(fw_trials_add(t, fw_trials_get(t, 0)), FW_ESTATE, "once.jsonl");
    assert_null(fw_trials_get(t, 2));
    fw_trials_close(t);
    fw_recipe_free(r);
}

/* The recipe's precision is a run's, unless its option says another. */
static void test_precision(void **state)
{
    (void)state;
    fw_recipe *r = short_digits();
    fw_trials *t = NULL;
    const fw_trial *trial = NULL;
    fw_dtype type = FW_I32;
    bool held, tf32 = true;
    static const struct {
        const char *key, *option, *got;
    } cases[] = {{"f64", NULL, "f64"},
                 {"f64", "f32", "f32"},
                 {"f32", "f64", "f64"},
                 {"auto", NULL, NULL},
                 {"f64", "auto", NULL}};
    assert_ok(fw_precision_read("auto", NULL, &type, &tf32));
    assert_true((type == FW_F32 || type == FW_BF16) && !tf32);
    assert_ok(fw_trials_open(&t, t_path("precision.jsonl"), false));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(fw_recipe_set(r, "train.precision", cases[i].key));
        const fw_run_opt opt = {.precision = cases[i].option};
        assert_ok(fw_trial_run(t, r, &opt, NULL, &trial, NULL, &held));
        assert_string_equal(trial->precision,
                            cases[i].got != NULL ? cases[i].got : fw_dtype_name(type));
    }
    fw_trials_close(t);
    assert_fails(fw_recipe_run(r, &(fw_run_opt){.precision = "f8"}, NULL), FW_EARG, "NULL");
    fw_run_result result;
    assert_fails(fw_recipe_run(r, &(fw_run_opt){.precision = "f8"}, &result), FW_EARG, "\"f8\"");
    assert_fails(fw_recipe_set(r, "train.precision", "f8"), FW_EARG, "bf16");
    fw_recipe_free(r);
}

static void test_precision_words(void **state)
{
    (void)state;
    fw_dtype type = FW_I32;
    bool tf32 = false;
    static const struct {
        const char *word;
        fw_dtype type;
        bool tf32;
    } cases[] = {{"f32", FW_F32, false}, {"tf32", FW_F32, true},  {"bf16", FW_BF16, false},
                 {"f16", FW_F16, false}, {"fp16", FW_F16, false}, {"f64", FW_F64, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(fw_precision_read(cases[i].word, "cuda", &type, &tf32));
        assert_true(type == cases[i].type && tf32 == cases[i].tf32);
    }
    assert_ok(fw_precision_read("auto", "cuda:3", &type, &tf32));
    assert_true(type == FW_BF16 && !tf32);
    const char *const isa = getenv("FENWICKS_ISA");
    char before[32];
    snprintf(before, sizeof before, "%s", isa != NULL ? isa : "");
    fw_machine machine;
    assert_ok(fw_machine_get(&machine));
    static const char *const isas[] = {"portable", "avx2", "avx512", "avx512_bf16"};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) { /* bf16 from AVX-512 on */
        if (strstr(machine.isas, isas[i]) == NULL)
            continue;
        assert_int_equal(setenv("FENWICKS_ISA", isas[i], 1), 0);
        assert_ok(fw_precision_read("auto", "cpu", &type, &tf32));
        assert_int_equal(type, i >= 2 ? FW_BF16 : FW_F32);
    }
    assert_int_equal(*before != 0 ? setenv("FENWICKS_ISA", before, 1) : unsetenv("FENWICKS_ISA"),
                     0);
    assert_fails(fw_precision_read("", NULL, &type, &tf32), FW_EARG, "is none of f32, tf32, bf16");
    assert_string_equal(fw_precision_name(FW_F32, true), "tf32");
    assert_string_equal(fw_precision_name(FW_BF16, false), "bf16");
}

/* A run that diverges is a line too, and is not done again; numbers come back as they were. */
static void test_diverged(void **state)
{
    (void)state;
    const char *path = t_path("diverged.jsonl");
    fw_recipe *r = short_digits();
    fw_trials *t = NULL;
    const fw_trial *trial = NULL;
    fw_run_result result;
    bool held = true;
    assert_ok(fw_recipe_set(r, "train.schedule", "constant"));
    assert_ok(fw_recipe_set(r, "train.lr", "1e6"));
    assert_ok(fw_recipe_set(r, "train.epochs", "0.5"));
    assert_int_equal(fw_recipe_run(r, NULL, &result), FW_ENONFINITE);
    assert_true(result.run.diverged && isnan(result.run.accuracy) && result.run.epochs == 0.5);
    assert_true(result.run.steps < 11 && result.run.t_train > 0);
    assert_ok(fw_trials_open(&t, path, false));
    assert_ok(fw_trial_run(t, r, &(fw_run_opt){.seed = 1}, NULL, &trial, NULL, &held));
    assert_true(trial->run.diverged && !held);
    assert_non_null(strstr(fw_last_error(), "learning rate 1e+06"));
    const fw_trial odd = {.id = "x",
                          .seed = 3,
                          .run = {.epochs = 0.1 + 0.2, .accuracy = 1.0 / 3, .t_train = 1e-7 / 3}};
    assert_ok(fw_trials_add(t, &odd));
    assert_fails(fw_trials_add(t, &(fw_trial){.run = {.epochs = 1, .accuracy = NAN}}), FW_EARG,
                 "no fraction");
    fw_trials_close(t);
    assert_ok(fw_trials_open(&t, path, false));
    assert_int_equal(fw_trials_count(t), 2);
    assert_ok(fw_trial_run(t, r, &(fw_run_opt){.seed = 1}, NULL, &trial, NULL, &held));
    assert_true(trial->run.diverged && held && isnan(trial->run.accuracy));
    assert_true(trial->run.epochs == 0.5 && trial->run.steps < 11);
    const fw_run_figures *const f = &fw_trials_get(t, 1)->run;
    assert_true(f->epochs == odd.run.epochs && f->accuracy == odd.run.accuracy &&
                f->t_train == odd.run.t_train && !f->diverged);
    fw_trials_close(t);
    fw_recipe_free(r);
}

static const char good[] = "{\"arm\": \"a\", \"seed\": 1, \"epochs\": 4, \"accuracy\": 0.9}";

static void opens(const char *text, int64_t lines, const char *after)
{
    const char *path = t_path("lines.jsonl");
    fw_trials *t = NULL;
    t_write(path, text, strlen(text));
    assert_ok(fw_trials_open(&t, path, true)); /* reading leaves it as it is */
    assert_int_equal(fw_trials_count(t), lines);
    fw_trials_close(t);
    t_bytes b = t_read(path);
    assert_string_equal((const char *)b.data, text);
    free(b.data);
    assert_ok(fw_trials_open(&t, path, false));
    assert_int_equal(fw_trials_count(t), lines);
    fw_trials_close(t);
    b = t_read(path);
    assert_string_equal((const char *)b.data, after);
    free(b.data);
}

/* Only what a commit holds is known to be the same. */
static void test_commits(void **state)
{
    (void)state;
    static const struct {
        const char *commit;
        bool known;
    } cases[] = {{"4f2c1ab09d", true}, {"4f2c1ab09d-changed", false}, {"", false}};
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        fw_trials *t = NULL;
        fw_trial trial = {.id = "0123456789abcdef",
                          .seed = 1,
                          .commit = cases[i].commit,
                          .run = {.epochs = 1, .accuracy = 0.5}};
        assert_ok(fw_trials_open(&t, NULL, false));
        assert_ok(fw_trials_add(t, &trial));
        assert_non_null(fw_trials_find(t, &trial, false));
        assert_int_equal(fw_trials_find(t, &trial, true) != NULL, cases[i].known);
        fw_trials_close(t);
    }
}

static void keep_line(void *user, int level, const char *line)
{
    (void)level;
    if (line[0] == '{')
        snprintf(user, 4096, "%s", line);
}

/* A disk that is full when the line is to be added: the line is told, whole, and the result is there. */
static void test_no_room(void **state)
{
    (void)state;
    static char line[4096];
    char path[600];
    snprintf(path, sizeof path, "%s", t_path("full.jsonl"));
    fw_recipe *r = short_digits();
    fw_trials *t = NULL, *again = NULL;
    const fw_trial *trial = NULL;
    fw_run_result result = {0};
    struct rlimit before, none;
    bool held = true;
    assert_ok(fw_trials_open(&t, path, false));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    signal(SIGXFSZ, SIG_IGN);
    fw_log_set(keep_line, line);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    const fw_status st = fw_trial_run(t, r, &(fw_run_opt){.seed = 3}, NULL, &trial, &result, &held);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    fw_log_set(NULL, NULL);
    assert_int_equal(st, FW_EIO);
    assert_non_null(strstr(fw_last_error(), "full.jsonl: cannot write"));
    assert_true(!held && trial == NULL && result.run.forwards > 0 && result.run.accuracy > 0.1);
    fw_trials_close(t);
    t_write(path, line, strlen(line)); /* as a user would add it */
    assert_ok(fw_trials_open(&again, path, true));
    assert_int_equal(fw_trials_count(again), 1);
    assert_true(fw_trials_get(again, 0)->run.accuracy == result.run.accuracy);
    fw_trials_close(again);
    fw_recipe_free(r);
}

/* Figures that would spoil every mean are not taken, from a file or from a program. */
static void test_figures(void **state)
{
    (void)state;
    static const struct {
        const char *figures, *why;
        fw_run_figures run;
    } bad[] = {
        {"\"epochs\": 1, \"accuracy\": 94.1",
         "an accuracy that is no fraction",
         {.epochs = 1, .accuracy = 94.1}},
        {"\"epochs\": 1, \"accuracy\": -0.5",
         "an accuracy that is no fraction",
         {.epochs = 1, .accuracy = -0.5}},
        {"\"epochs\": 1, \"accuracy\": 0.5, \"accuracy_plain\": 2",
         "an accuracy that is no fraction",
         {.epochs = 1, .accuracy = 0.5, .accuracy_plain = 2}},
        {"\"epochs\": 0, \"accuracy\": 0.5",
         "an epochs that is no number above 0",
         {.accuracy = 0.5}},
        {"\"epochs\": 1, \"accuracy\": 0.5, \"t_train\": -5",
         "a time that is no number of seconds",
         {.epochs = 1, .accuracy = 0.5, .t_train = -5}},
        {"\"epochs\": 1, \"accuracy\": 0.5, \"t_total\": 1e308",
         "a time that is no number of seconds",
         {.epochs = 1, .accuracy = 0.5, .t_total = 1e308}},
        {"\"epochs\": 1, \"diverged\": true, \"seconds\": 1e300",
         "a time that is no number of seconds",
         {.epochs = 1, .accuracy = NAN, .diverged = true, .t_train = 1e300}},
    };
    char line[256];
    fw_trials *t = NULL;
    for (size_t i = 0; i < T_COUNT(bad); i++) {
        const int n = snprintf(line, sizeof line, "%s\n{\"seed\": 1, %s}\n", good, bad[i].figures);
        t_write(t_path("figures.jsonl"), line, (size_t)n);
        assert_fails(fw_trials_open(&t, t_path("figures.jsonl"), true), FW_EFORMAT, bad[i].why);
        assert_non_null(strstr(fw_last_error(), "figures.jsonl: line 2: "));
        assert_ok(fw_trials_open(&t, NULL, false));
        assert_fails(fw_trials_add(t, &(fw_trial){.seed = 1, .run = bad[i].run}), FW_EARG,
                     bad[i].why);
        assert_int_equal(fw_trials_count(t), 0);
        fw_trials_close(t);
    }
}

/* A run whose line cannot be written is not in the list either. */
static void test_not_written(void **state)
{
    (void)state;
    fw_trials *t = NULL;
    const fw_trial odd = {.seed = 1, .variant = "K\xe4se", .run = {.epochs = 1, .accuracy = 0.5}};
    assert_ok(fw_trials_open(&t, t_path("odd.jsonl"), false));
    assert_fails(fw_trials_add(t, &odd), FW_EARG, "not UTF-8");
    assert_int_equal(fw_trials_count(t), 0);
    assert_null(fw_trials_get(t, 0));
    fw_trials_close(t);
}

/* Another command that holds the file is waited for: here one that ends a line it has begun. */
static void *end_line(void *arg)
{
    const int fd = *(const int *)arg;
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    (void)!write(fd, good + 9, strlen(good) - 9);
    (void)!write(fd, "\n", 1);
    close(fd);
    return NULL;
}

static void test_turns(void **state)
{
    (void)state;
    fw_trials *t = NULL;
    pthread_t other;
    char *const path = strdup(t_path("turns.jsonl"));
    t_write(path, good, 9);
    static int fd; /* a thread's that may outlive a failed test */
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    assert_int_equal(pthread_create(&other, NULL, end_line, &fd), 0);
    assert_ok(fw_trials_open(&t, path, false));
    assert_int_equal(fw_trials_count(t), 1);
    fw_trials_close(t);
    pthread_join(other, NULL);
    free(path);
}

/* A line is not put behind one that another command could not end: that one is taken off. */
static void test_cut_between(void **state)
{
    (void)state;
    fw_trials *t = NULL;
    const fw_trial trial = {.id = "x", .seed = 7, .run = {.epochs = 1, .accuracy = 0.5}};
    char *const path = strdup(t_path("between.jsonl"));
    assert_non_null(path);
    assert_ok(fw_trials_open(&t, path, false));
    t_write(path, "{\"recipe\": \"di", 14);
    assert_ok(fw_trials_add(t, &trial));
    fw_trials_close(t);
    assert_ok(fw_trials_open(&t, path, true));
    assert_int_equal(fw_trials_count(t), 1);
    assert_int_equal(fw_trials_get(t, 0)->seed, 7);
    fw_trials_close(t);
    free(path);
}

/* A line that somebody added meanwhile stays, though its end is not that of a line. */
static void test_whole_between(void **state)
{
    (void)state;
    fw_trials *t = NULL;
    const fw_trial trial = {.id = "x", .seed = 7, .run = {.epochs = 1, .accuracy = 0.5}};
    char *const path = strdup(t_path("whole.jsonl"));
    assert_non_null(path);
    assert_ok(fw_trials_open(&t, path, false));
    t_write(path, good, strlen(good));
    assert_ok(fw_trials_add(t, &trial));
    assert_ok(fw_trials_add(t, &trial));
    fw_trials_close(t);
    assert_ok(fw_trials_open(&t, path, true));
    assert_int_equal(fw_trials_count(t), 3);
    assert_int_equal(fw_trials_get(t, 1)->seed, 7);
    fw_trials_close(t);
    free(path);
}

static void test_lines(void **state)
{
    (void)state;
    char text[512], want[512];
    fw_trials *t = NULL;
    opens("", 0, "");
    snprintf(text, sizeof text, "%s\n\n%s\n", good, good);
    opens(text, 2, text);
    snprintf(want, sizeof want, "%s\n", good);
    snprintf(text, sizeof text, "%s\n{\"arm\": \"a\", \"se", good); /* cut short: taken off */
    opens(text, 1, want);
    snprintf(text, sizeof text, "%s", good); /* whole but for its end */
    opens(text, 1, want);
    static const struct {
        const char *text, *why;
    } bad[] = {{"{\"seed\": 1, \"epochs\": 4}\n", "bad.jsonl: line 1: no seed, epochs or accuracy"},
               {"\nnothing\n", "line 2: no JSON object"},
               {"{\"seed\": -1, \"epochs\": 4, \"accuracy\": 1}\n", "line 1: no seed"},
               {"[1]\n", "line 1: no JSON object"}};
    for (size_t i = 0; i < T_COUNT(bad); i++) {
        t_write(t_path("bad.jsonl"), bad[i].text, strlen(bad[i].text));
        assert_fails(fw_trials_open(&t, t_path("bad.jsonl"), false), FW_EFORMAT, bad[i].why);
    }
    assert_fails(fw_trials_open(&t, t_path("none.jsonl"), true), FW_ENOTFOUND, "none.jsonl");
    assert_fails(fw_trials_open(&t, t_path("no/folder.jsonl"), false), FW_EIO, "folder.jsonl");
    assert_ok(fw_trials_open(&t, NULL, false)); /* in memory */
    assert_ok(fw_trials_add(t, &(fw_trial){.seed = 3, .run = {.epochs = 1, .accuracy = 0.5}}));
    assert_int_equal(fw_trials_get(t, 0)->seed, 3);
    assert_string_equal(fw_trials_get(t, 0)->variant, "");
    fw_trials_close(t);
    fw_trials_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),           cmocka_unit_test(test_once),
        cmocka_unit_test(test_read_only),       cmocka_unit_test(test_precision),
        cmocka_unit_test(test_precision_words), cmocka_unit_test(test_diverged),
        cmocka_unit_test(test_lines),           cmocka_unit_test(test_commits),
        cmocka_unit_test(test_figures),         cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_not_written),     cmocka_unit_test(test_turns),
        cmocka_unit_test(test_cut_between),     cmocka_unit_test(test_whole_between),
    };
    return cmocka_run_group_tests_name("trials", tests, t_setup, t_teardown);
}
