/* test_budget.c: the memory that is named before the first step is what the run takes: peak
 * resident memory minus that at program start, within 10 % + 16 MiB of the budget's sum. Each case
 * is a process of its own, so that its peak is its own. */
#include "t_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 2000, H = 32, W = 32, C = 3, CLASSES = 10, BATCH = 192 };
static const int64_t slack = 16 << 20;

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    fw_images im = t_images(T_SANITIZED ? 400 : N, H, W, C, CLASSES, FW_U8);
    assert_ok(fw_write_tfrecord(t_path("a.tfrec"), &im, NULL));
    assert_ok(fw_write_tfrecord(t_path("z.tfrec"), &im,
                                &(fw_write_opt){.compression = FW_GZIP, .level = 1}));
    t_images_free(&im);
    return 0;
}

/* A line of /proc/self/status in bytes; -1 if there is none. */
static int64_t status_bytes(const char *key)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    int64_t kib = -1;
    while (f != NULL && kib < 0 && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtoll(line + strlen(key), NULL, 10);
    if (f != NULL)
        fclose(f);
    return kib < 0 ? -1 : kib * 1024;
}

static void assert_adds_up(const fw_budget *b)
{
    assert_true(b->state > 0 && b->scratch > 0 && b->shuffle > 0 && b->prefetch > 0);
    assert_true(b->cache >= 0);
    assert_int_equal(b->total,
                     b->state + b->scratch + b->shuffle + b->prefetch + b->cache + b->device);
    assert_int_equal(b->device, 0); /* the CPU's memory is the host's */
}

typedef struct result {
    fw_status status;
    fw_budget budget;
    int64_t grown; /* peak resident memory - that at the start */
    int64_t steps;
    char message[512];
} result;

static bool keep_budget(void *user, const fw_event *ev)
{
    result *r = user;
    if (ev->kind == FW_EVENT_BEGIN)
        r->budget = *ev->budget;
    r->steps += ev->kind == FW_EVENT_STEP;
    return true;
}

typedef struct run {
    const char *name, *file;
    bool cache, eval;
    int64_t shuffle_buffer, prefetch, width, batch, limit;
    int threads;
    const char *folder;
} run;

static fw_status train(const run *v, const char *path, const char *folder, result *r)
{
    const float mean[3] = {120, 120, 120}, std[3] = {60, 60, 60};
    const fw_transform chain[] = {fw_standardize(C, mean, std), fw_random_pad_crop(4),
                                  fw_random_flip(), fw_cutout(8, 8), FW_TRANSFORM_END};
    fw_dataset *ds = NULL, *test = NULL;
    fw_estimator *e = NULL;
    const fw_parser parser = fw_parse_image_array(H, W, C);
    fw_status st = fw_tfrecord_dataset(&ds, path, parser, chain,
                                       &(fw_dataset_opt){.batch = v->batch,
                                                         .training = true,
                                                         .cache = v->cache,
                                                         .prefetch = v->prefetch,
                                                         .shuffle_buffer = v->shuffle_buffer});
    if (st == FW_OK)
        st = fw_tfrecord_dataset(&test, path, parser, chain, &(fw_dataset_opt){.batch = 100});
    const fw_estimator_opt opt = {.threads = v->threads,
                                  .work_dir = folder,
                                  .eval_data = v->eval ? test : NULL,
                                  .eval_every = v->eval ? 1 : 0,
                                  .steps_per_epoch = 3,
                                  .checkpoint_every = 2,
                                  .memory_limit = v->limit,
                                  .progress = keep_budget,
                                  .progress_user = r};
    if (st == FW_OK)
        st = fw_estimator_new(&e, t_net(v->width, 0.25F, CLASSES), t_sgd(0.1), &opt);
    if (st == FW_OK)
        st = fw_estimator_train(e, ds, 3);
    fw_estimator_free(e);
    fw_dataset_free(ds);
    fw_dataset_free(test);
    return st;
}

/* In a child; what it saw comes back through a pipe. */
static result run_apart(const run *v)
{
    int ends[2];
    char path[1024], folder[1024];
    snprintf(path, sizeof path, "%s", t_path("%s", v->file));
    snprintf(folder, sizeof folder, "%s", t_path("run-%s", v->folder == NULL ? "" : v->folder));
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static result r;
        const int64_t start = status_bytes("VmRSS:");
        r.status = train(v, path, v->folder == NULL ? NULL : folder, &r);
        const int64_t peak = status_bytes("VmHWM:");
        r.grown = start < 0 || peak < 0 ? -1 : peak - start;
        snprintf(r.message, sizeof r.message, "%s", fw_last_error());
        _exit(write(ends[1], &r, sizeof r) == (ssize_t)sizeof r ? 0 : 1);
    }
    result r;
    int status = 0;
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(read(ends[0], &r, sizeof r), sizeof r);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return r;
}

static void test_budget_is_what_is_taken(void **state)
{
    (void)state;
    static const run runs[] = {
        {"streamed", "a.tfrec", .width = 16, .batch = BATCH, .threads = 2},
        {"cached", "a.tfrec", .cache = true, .width = 8, .batch = 64, .threads = 1},
        {"evaluated, with a folder", "a.tfrec", .eval = true, .width = 16, .batch = BATCH,
         .threads = 2, .folder = "a"},
        {"shuffle buffer", "z.tfrec", .shuffle_buffer = 1500, .width = 8, .batch = 64,
         .threads = 2},
        {"many made ahead", "a.tfrec", .prefetch = 12, .width = 8, .batch = BATCH, .threads = 3},
    };
    for (size_t i = 0; i < T_COUNT(runs); i++) {
        if (T_SANITIZED && i > 0)
            break; /* one will do: shadow memory drowns the rest */
        const result r = run_apart(&runs[i]);
        if (r.status != FW_OK)
            fail_msg("%s: %s", runs[i].name, r.message);
        assert_int_equal(r.steps, 3);
        assert_adds_up(&r.budget);
        print_message("%-24s budget %6.1f MiB (state %.1f, scratch %.1f, shuffle %.1f, prefetch "
                      "%.1f, cache %.1f), taken %6.1f MiB\n",
                      runs[i].name, (double)r.budget.total / 1048576,
                      (double)r.budget.state / 1048576, (double)r.budget.scratch / 1048576,
                      (double)r.budget.shuffle / 1048576, (double)r.budget.prefetch / 1048576,
                      (double)r.budget.cache / 1048576, (double)r.grown / 1048576);
        assert_true(r.budget.total > 8 << 20);
        if (T_SANITIZED || r.grown < 0) {
            print_message("%s: resident memory is not compared here\n", runs[i].name);
            continue;
        }
        const int64_t off = r.grown - r.budget.total;
        if (llabs(off) > r.budget.total / 10 + slack)
            fail_msg("%s: %.1f MiB more than the budget says", runs[i].name, (double)off / 1048576);
    }
}

/* What a part of the budget is for shows in that part. */
static void test_parts(void **state)
{
    (void)state;
    if (T_SANITIZED) {
        print_message("left out under a sanitizer\n");
        return;
    }
    const run plain = {"plain", "a.tfrec", .width = 4, .batch = 32, .threads = 1};
    run other = plain;
    const fw_budget a = run_apart(&plain).budget;
    other.batch = 64;
    const fw_budget batch = run_apart(&other).budget;
    assert_int_equal(batch.state, a.state);
    assert_true(batch.scratch > a.scratch && batch.prefetch > a.prefetch);
    other = plain;
    other.width = 8;
    assert_true(run_apart(&other).budget.state > a.state);
    other = plain;
    other.cache = true;
    const fw_budget cached = run_apart(&other).budget;
    assert_int_equal(a.cache, 0);
    assert_true(cached.cache >= (int64_t)N * H * W * C);
    other = plain;
    other.threads = 2; /* one thread makes nothing ahead */
    const fw_budget two = run_apart(&other).budget;
    other.prefetch = 8;
    assert_true(two.prefetch > a.prefetch);
    assert_true(run_apart(&other).budget.prefetch >= two.prefetch + 6 * 32 * H * W * C * 4);
    other = plain;
    other.file = "z.tfrec";
    other.shuffle_buffer = 1000;
    assert_true(run_apart(&other).budget.shuffle >= a.shuffle + 1000 * H * W * C);
}

/* A budget over the limit is refused before a step, with its parts, and nothing is written. */
static void test_limit(void **state)
{
    (void)state;
    run v = {"limit",      "a.tfrec",        .width = 8,       .batch = 64,
             .threads = 1, .limit = 4 << 20, .folder = "limit"};
    const result r = run_apart(&v);
    assert_int_equal(r.status, FW_ENOMEM);
    assert_int_equal(r.steps, 0);
    assert_non_null(strstr(r.message, "limit is 4 MiB"));
    assert_non_null(strstr(r.message, "scratch"));
    char *listing = t_listing(t_path("run-limit"));
    assert_string_equal(listing, "");
    free(listing);
    v.limit = (int64_t)1 << 40;
    const result fits = run_apart(&v);
    assert_int_equal(fits.status, FW_OK);
    v.limit = fits.budget.total;
    v.folder = NULL;
    assert_int_equal(run_apart(&v).status, FW_OK);
    v.limit--;
    assert_int_equal(run_apart(&v).status, FW_ENOMEM);
}

/* fw_estimator_prepare says the same before training, and its data sets stay usable. */
static void test_prepare(void **state)
{
    (void)state;
    fw_images im = t_images(90, 8, 8, 1, 3, FW_U8);
    fw_dataset *ds = NULL, *test = NULL;
    assert_ok(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 16, .training = true}));
    assert_ok(fw_array_dataset(&test, &im, NULL, &(fw_dataset_opt){.batch = 40}));
    fw_estimator *e = NULL;
    result r = {0};
    assert_ok(fw_estimator_new(
        &e, t_net(4, 0, 3), t_sgd(0.1),
        &(fw_estimator_opt){
            .eval_data = test, .threads = 2, .progress = keep_budget, .progress_user = &r}));
    assert_int_equal(fw_estimator_classes(e), 0);
    fw_budget b;
    assert_ok(fw_estimator_prepare(e, ds, test, &b));
    assert_adds_up(&b);
    assert_int_equal(fw_estimator_classes(e), 3);
    assert_int_equal(fw_estimator_step(e), 0);
    assert_ok(fw_estimator_train(e, ds, 2));
    assert_int_equal(r.budget.state, b.state);
    assert_int_equal(r.budget.scratch, b.scratch);
    assert_int_equal(r.budget.prefetch, b.prefetch);
    assert_int_equal(r.budget.total, b.total);
    fw_estimator_free(e);
    fw_batch batch;
    assert_ok(fw_dataset_next(ds, &batch));
    assert_ok(fw_dataset_next(test, &batch));
    fw_dataset_free(ds);
    fw_dataset_free(test);
    t_images_free(&im);
}

typedef struct asker {
    fw_estimator *e;
    fw_dataset *large;
    int64_t steps, refused;
} asker;

static bool ask_for_more(void *user, const fw_event *ev)
{
    asker *const a = user;
    fw_metrics m;
    a->steps += ev->kind == FW_EVENT_STEP;
    if (ev->kind == FW_EVENT_EPOCH)
        a->refused += fw_estimator_evaluate(a->e, a->large, &m) == FW_ENOMEM;
    return true;
}

/* An evaluation, a prediction and a preparation that are refused leave the estimator as it was, in the middle of a
 * training too. */
static void test_refused_and_on(void **state)
{
    (void)state;
    enum { LARGE = 900 };
    fw_images im = t_images(90, 8, 8, 1, 3, FW_U8);
    fw_dataset *ds = NULL, *small = NULL, *large = NULL;
    assert_ok(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 16, .training = true}));
    assert_ok(fw_array_dataset(&small, &im, NULL, &(fw_dataset_opt){.batch = 16}));
    assert_ok(fw_array_dataset(&large, &im, NULL, &(fw_dataset_opt){.batch = LARGE}));
    fw_budget b, over, again;
    fw_estimator *e = NULL;
    assert_ok(fw_estimator_new(&e, t_net(4, 0, 3), t_sgd(0.1), &(fw_estimator_opt){.threads = 2}));
    assert_ok(fw_estimator_prepare(e, ds, small, &b));
    fw_estimator_free(e);
    asker a = {.large = large};
    float probabilities[90 * 3];
    fw_metrics m;
    assert_ok(fw_estimator_new(
        &e, t_net(4, 0, 3), t_sgd(0.1),
        &(fw_estimator_opt){
            .threads = 2, .memory_limit = b.total, .progress = ask_for_more, .progress_user = &a}));
    a.e = e;
    assert_fails(fw_estimator_prepare(e, NULL, large, &over), FW_ENOMEM, "a smaller batch");
    assert_true(over.scratch > b.scratch);
    assert_ok(fw_estimator_prepare(e, ds, small, &again));
    assert_int_equal(again.total, b.total);
    assert_fails(fw_estimator_evaluate(e, large, &m), FW_ENOMEM, "a smaller batch");
    assert_fails(fw_estimator_predict(e, large, probabilities, 90, NULL), FW_ENOMEM, "the limit");
    assert_ok(fw_estimator_evaluate(e, small, &m));
    assert_ok(fw_estimator_train(e, ds, 7));
    assert_int_equal(a.steps, 7);
    assert_int_equal(a.refused, 2);
    assert_ok(fw_estimator_predict(e, small, probabilities, 90, NULL));
    fw_estimator_free(e);
    fw_batch batch; /* the sets are their owner's */
    assert_ok(fw_dataset_next(large, &batch));
    assert_ok(fw_dataset_seek(small, 0));
    assert_ok(fw_dataset_next(small, &batch));
    fw_dataset_free(ds);
    fw_dataset_free(small);
    fw_dataset_free(large);
    t_images_free(&im);
}

/* The same where it is the system that has no more. */
static int run_short_of_memory(void)
{
    fw_images im = t_images(90, 8, 8, 1, 3, FW_U8);
    fw_dataset *ds = NULL, *small = NULL, *large = NULL;
    assert_ok(fw_array_dataset(&ds, &im, NULL, &(fw_dataset_opt){.batch = 16, .training = true}));
    assert_ok(fw_array_dataset(&small, &im, NULL, &(fw_dataset_opt){.batch = 16}));
    assert_ok(fw_array_dataset(&large, &im, NULL, &(fw_dataset_opt){.batch = 400000}));
    asker a = {.large = large};
    fw_metrics m;
    assert_ok(fw_estimator_new(
        &a.e, t_net(4, 0, 3), t_sgd(0.1),
        &(fw_estimator_opt){.threads = 1, .progress = ask_for_more, .progress_user = &a}));
    assert_ok(fw_estimator_prepare(a.e, ds, small, NULL));
    const int64_t has = status_bytes("VmSize:");
    const struct rlimit most = {(rlim_t)has + (256 << 20), (rlim_t)has + (256 << 20)};
    if (has < 0 || setrlimit(RLIMIT_AS, &most) != 0)
        return 77;
    assert_int_equal(fw_estimator_evaluate(a.e, large, &m), FW_ENOMEM);
    assert_ok(fw_estimator_evaluate(a.e, small, &m));
    assert_ok(fw_estimator_train(a.e, ds, 7));
    assert_int_equal(a.steps, 7);
    assert_int_equal(a.refused, 2);
    assert_ok(fw_estimator_evaluate(a.e, small, &m));
    fw_estimator_free(a.e);
    fw_dataset_free(ds);
    fw_dataset_free(small);
    fw_dataset_free(large);
    t_images_free(&im);
    return 0;
}

static void test_no_memory_and_on(void **state)
{
    (void)state;
    if (T_SANITIZED) {
        print_message("left out under a sanitizer, whose shadow needs addresses\n");
        return;
    }
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run_short_of_memory());
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        print_message("this system does not say how much a process has: left out\n");
    else
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_is_what_is_taken),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_refused_and_on),
        cmocka_unit_test(test_no_memory_and_on),
    };
    return cmocka_run_group_tests_name("budget", tests, make_data, t_teardown);
}
