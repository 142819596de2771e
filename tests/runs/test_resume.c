/* test_resume.c: a run that was stopped, or killed, and started again ends with the same model,
 * byte for byte; and a folder of another run is not gone on with. (ctest: tsan) */
#include "t_locale.h"
#include "t_runs.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* 37 records in batches of 8: passes end inside a batch. */
enum { N = 37, H = 6, W = 6, C = 1, CLASSES = 3, BATCH = 8, STEPS = 11 };

static fw_images images;

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    images = t_images(N, H, W, C, CLASSES, FW_U8);
    assert_ok(fw_write_tfrecord(t_path("a.tfrec"), &images, NULL));
    images.labels[3] ^=
        1; /* the same images with another label are other data; elsewhere they are not */
    assert_ok(fw_write_tfrecord(t_path("b.tfrec"), &images, NULL));
    images.labels[3] ^= 1;
    assert_ok(fw_write_tfrecord(t_path("moved.tfrec"), &images, NULL));
    assert_ok(fw_write_tfrecord(t_path("z.tfrec"), &images,
                                &(fw_write_opt){.compression = FW_GZIP, .shards = 2}));
    return 0;
}

static int drop_data(void **state)
{
    t_images_free(&images);
    return t_teardown(state);
}

/* A run and how it is made; zeros are the usual. */
typedef struct plan {
    const char *name, *pattern; /* pattern NULL: from memory */
    bool adam, page, groups, drop_pass_end, loss_sum, fresh, cutmix;
    float dropout;
    int64_t every, keep, cache;
    int threads;
    uint64_t seed, data_seed;
    double lr, smoothing;
    int64_t width, batch;
    fw_dtype precision;
    fw_conv conv;
    fw_average average;
    int32_t resolutions; /* of those below */
    fw_resolution_by by;
    const char *warm; /* a file in the test's folder to begin from */
} plan;

/* The size changes after step 3 and after step 7. */
static const fw_resolution sizes[] = {{4, 3}, {5, 7}};

static fw_dataset *open_data(const plan *p)
{
    const fw_transform chain[] = {
        fw_standardize(C, images.mean, images.std), fw_random_pad_crop(1), fw_random_flip(),
        p->cutmix ? fw_cutmix(2, 3, 5 * BATCH) : fw_transform_end(), FW_TRANSFORM_END};
    const fw_dataset_opt opt = {.batch = p->batch == 0 ? BATCH : p->batch,
                                .training = true,
                                .seed = p->data_seed,
                                .drop_pass_end = p->drop_pass_end,
                                .cache = p->cache != 0,
                                .shuffle_buffer = 10};
    fw_dataset *ds = NULL;
    if (p->pattern == NULL)
        assert_ok(fw_array_dataset(&ds, &images, chain, &opt));
    else
        assert_ok(fw_tfrecord_dataset(&ds, t_path("%s", p->pattern), fw_parse_image_array(H, W, C),
                                      chain, &opt));
    return ds;
}

static fw_status new_estimator(fw_estimator **e, const plan *p, const char *dir, t_trace *trace)
{
    const fw_schedule lr = fw_one_cycle_lr(p->lr > 0 ? p->lr : 0.05, STEPS, 3, FW_DECAY_LINEAR);
    const fw_optimizer o =
        p->adam
            ? fw_adam(lr, &(fw_adam_opt){.weight_decay = 0.01})
            : fw_sgd(lr, 0.9,
                     &(fw_sgd_opt){.weight_decay = 1e-3,
                                   .nesterov = p->page ? FW_NESTEROV_PAGE : FW_NESTEROV_PYTORCH});
    const fw_estimator_opt opt = {.work_dir = dir,
                                  .seed = p->seed,
                                  .threads = p->threads,
                                  .precision = p->precision,
                                  .conv = p->conv,
                                  .resolutions = sizes,
                                  .n_resolutions = p->resolutions,
                                  .resolution_by = p->by,
                                  .loss_sum = p->loss_sum,
                                  .label_smoothing = p->smoothing,
                                  .checkpoint_every = p->every,
                                  .keep = p->keep,
                                  .fresh = p->fresh,
                                  .warm_start = p->warm == NULL ? NULL : t_path("%s", p->warm),
                                  .groups = p->groups ? t_groups(0.05) : NULL,
                                  .n_groups = p->groups ? T_GROUPS : 0,
                                  .average = p->average,
                                  .stop = trace->flag,
                                  .progress = t_record,
                                  .progress_user = trace};
    return fw_estimator_new(e, t_net(p->width > 0 ? p->width : 4, p->dropout, CLASSES), o, &opt);
}

/* One start of the program: from where the folder is until stop_at (0: the end). */
static void start(const plan *p, const char *dir, int64_t stop_at, bool by_flag, t_trace *trace)
{
    volatile sig_atomic_t flag = 0;
    *trace = (t_trace){.stop_at = stop_at, .flag = by_flag ? &flag : NULL};
    fw_estimator *e = NULL;
    assert_ok(new_estimator(&e, p, dir, trace));
    fw_dataset *ds = open_data(p);
    const fw_status st = fw_estimator_train(e, ds, STEPS);
    if (stop_at == 0 || stop_at == STEPS) {
        if (st != FW_OK)
            fail_msg("%s: %s", p->name, fw_last_error());
        assert_int_equal(fw_estimator_step(e), STEPS);
    } else {
        assert_int_equal(st, FW_ESTOPPED);
        char words[64];
        snprintf(words, sizeof words, "after step %lld of %d", (long long)stop_at, STEPS);
        assert_non_null(strstr(fw_last_error(), words));
        assert_int_equal(fw_estimator_step(e), stop_at);
    }
    fw_dataset_free(ds);
    fw_estimator_free(e);
}

static int count_checkpoints(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        n += strncmp(e->d_name, "checkpoint-", 11) == 0;
        assert_null(strstr(e->d_name, "tmp")); /* nothing half-written */
    }
    closedir(d);
    return n;
}

static const char *in(const char *dir, const char *name)
{
    static char buf[4][1200];
    static unsigned turn;
    turn = (turn + 1) % 4;
    snprintf(buf[turn], sizeof buf[turn], "%s/%s", dir, name);
    return buf[turn];
}

static const char *checkpoint(const char *dir, int step)
{
    char name[64];
    snprintf(name, sizeof name, "checkpoint-%08d.safetensors", step);
    return in(dir, name);
}

/* The same images are the same data wherever they are: in other files, in memory. */
static void test_moved(void **state)
{
    (void)state;
    static t_trace whole, part;
    const plan p = {"moved", "a.tfrec", .dropout = 0.3F, .seed = 3};
    char dir[1024], other[1024];
    snprintf(dir, sizeof dir, "%s", t_path("whole-moved"));
    start(&p, dir, 0, false, &whole);
    for (int i = 0; i < 2; i++) {
        plan there = p;
        there.pattern = i == 0 ? "moved.tfrec" : NULL;
        snprintf(other, sizeof other, "%s", t_path("moved-%d", i));
        start(&p, other, 5, false, &part);
        start(&there, other, 0, false, &part);
        assert_int_equal(part.n, STEPS - 5);
        assert_memory_equal(part.loss, whole.loss + 5, (size_t)part.n * sizeof *part.loss);
        t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
    }
}

/* What a run began from counts where it begins: going on, it has weights of its own. */
static void test_warm(void **state)
{
    (void)state;
    static t_trace whole, part, cold;
    const plan donor = {"donor", "a.tfrec", .seed = 8},
               p = {"warm", "a.tfrec", .warm = "warm.safetensors"};
    plan no_warm = p;
    no_warm.warm = NULL;
    char dir[1024], other[1024];
    snprintf(dir, sizeof dir, "%s", t_path("whole-warm"));
    snprintf(other, sizeof other, "%s", t_path("donor"));
    start(&donor, other, 0, false, &part);
    t_copy(in(other, "model.safetensors"), t_path("warm.safetensors"));
    start(&p, dir, 0, false, &whole);
    snprintf(other, sizeof other, "%s", t_path("cold"));
    start(&no_warm, other, 0, false, &cold);
    assert_true(whole.loss[0] != cold.loss[0]);
    snprintf(other, sizeof other, "%s", t_path("parts-warm"));
    start(&p, other, 4, false, &part);
    start(&p, other, 7, false, &part);
    assert_int_equal(unlink(t_path("warm.safetensors")), 0);
    start(&p, other, 0, false, &part);
    assert_int_equal(part.n, STEPS - 7);
    assert_memory_equal(part.loss, whole.loss + 7, (size_t)part.n * sizeof *part.loss);
    t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
}

/* The same program in another language is the same run: what its folder says of it has no decimal commas. */
static void test_other_language(void **state)
{
    (void)state;
    static t_trace whole, part;
    const plan p = {"language", "a.tfrec", .dropout = 0.3F,
                    .average = {.kind = FW_AVERAGE_EMA, .decay = 0.875, .every = 2}};
    char dir[1024], other[1024];
    snprintf(dir, sizeof dir, "%s", t_path("whole-l"));
    snprintf(other, sizeof other, "%s", t_path("language"));
    start(&p, dir, 0, false, &whole);
    if (!t_comma_locale())
        skip();
    start(&p, other, 5, false, &part);
    setlocale(LC_ALL, "C");
    start(&p, other, 8, false, &part);
    assert_true(t_comma_locale());
    start(&p, other, 0, false, &part);
    setlocale(LC_ALL, "C");
    t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
    t_assert_same_file(in(dir, "config.json"), in(other, "config.json"));
}

/* Stopped at every step in turn, once each; and once stopped after every single step. */
static void check_plan(const plan *p)
{
    static t_trace whole, part;
    char dir[1024], other[1024];
    snprintf(dir, sizeof dir, "%s", t_path("whole"));
    snprintf(other, sizeof other, "%s", t_path("parts"));
    start(p, dir, 0, false, &whole);
    assert_int_equal(whole.n, STEPS);
    assert_int_equal(count_checkpoints(dir), p->every == 0 ? 1 : p->keep == 0 ? 2 : p->keep);
    for (int k = 1; k < STEPS; k++) {
        start(p, other, k, k % 2 == 0, &part);
        assert_false(t_exists(in(other, "model.safetensors")));
        assert_true(t_exists(checkpoint(other, k)));
        start(p, other, 0, false, &part);
        assert_int_equal(part.n, STEPS - k);
        assert_memory_equal(part.loss, whole.loss + k, (size_t)part.n * sizeof *part.loss);
        /* the steps before it count in the means of the epoch that it was stopped in */
        const size_t told = (size_t)part.epochs, from = (size_t)whole.epochs - told;
        assert_in_range(told, 1, (size_t)whole.epochs);
        assert_memory_equal(part.epoch_loss, whole.epoch_loss + from, told * sizeof(double));
        assert_memory_equal(part.epoch_accuracy, whole.epoch_accuracy + from,
                            told * sizeof(double));
        t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
        t_assert_same_file(checkpoint(dir, STEPS), checkpoint(other, STEPS));
        t_remove_tree(other);
    }
    for (int k = 1; k <= STEPS; k++) {
        plan turn = *p;
        turn.threads = 1 + k % 3; /* it may go on with another number of threads */
        start(&turn, other, k, false, &part);
        assert_int_equal(part.n, 1);
    }
    t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
    assert_int_equal(count_checkpoints(other), p->keep == 0 ? 2 : p->keep);
    t_remove_tree(dir);
    t_remove_tree(other);
}

static void test_every_step(void **state)
{
    (void)state;
    static const plan plans[] = {
        {"sgd, records", "a.tfrec", .dropout = 0.3F},
        {"sgd as Page, memory", NULL, .page = true, .dropout = 0.3F, .every = 1, .keep = 1},
        {"adam, shards of gzip", "z.tfrec@2", .adam = true, .dropout = 0.5F, .every = 1, .keep = 3},
        {"adam, whole passes", "a.tfrec", .adam = true, .drop_pass_end = true, .every = 4},
        {"groups", "a.tfrec", .groups = true, .dropout = 0.3F, .every = 2, .keep = 2},
        {"ema", "a.tfrec", .every = 2,
         .average =
             {.kind = FW_AVERAGE_EMA, .decay = 0.8, .every = 2, .epoch_steps = 5, .start = 3}},
        {"lookahead", "a.tfrec", .every = 3,
         .average =
             {.kind = FW_AVERAGE_LOOKAHEAD, .decay = 0.9, .power = 2, .every = 3, .steps = STEPS}},
        {"sizes", "a.tfrec", .dropout = 0.3F, .resolutions = 2, .every = 3},
        {"crops, then mixed", "z.tfrec@2", .resolutions = 1, .by = FW_BY_CROP, .cutmix = true},
        {"double, summed", "a.tfrec", .precision = FW_F64, .loss_sum = true, .dropout = 0.1F,
         .lr = 0.005, .cache = 1, .every = 3, .keep = 1},
    };
    for (size_t i = 0; i < T_COUNT(plans); i++)
        check_plan(&plans[i]);
    static const plan bf16 = {"bf16, records", "a.tfrec", .precision = FW_BF16, .dropout = 0.3F,
                              .every = 2};
    const char *isas[8];
    bool has_bf16 = false;
    for (int i = t_isas(isas) - 1; i >= 0; i--)
        has_bf16 = has_bf16 || strcmp(isas[i], "avx2") == 0;
    if (has_bf16)
        check_plan(&bf16);
    else
        print_message("bf16: left out, this processor has none\n");
}

static bool leave_at_once(void *user, const fw_event *ev)
{
    const int64_t *at = user;
    if (ev->kind == FW_EVENT_STEP && ev->step == *at)
        _exit(7); /* as if the power had gone: nobody cleans up */
    return true;
}

/* A program that dies in the middle loses only the steps since its latest checkpoint. */
static void test_killed(void **state)
{
    (void)state;
    const plan p = {"killed", "a.tfrec", .dropout = 0.3F, .every = 3, .threads = 2};
    static t_trace whole, rest;
    char dir[1024], other[1024];
    snprintf(dir, sizeof dir, "%s", t_path("whole"));
    snprintf(other, sizeof other, "%s", t_path("killed"));
    start(&p, dir, 0, false, &whole);
    for (int64_t at = 2; at < STEPS; at += 3) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            fw_estimator *e = NULL;
            const fw_estimator_opt opt = {.work_dir = other,
                                          .threads = 2,
                                          .checkpoint_every = p.every,
                                          .progress = leave_at_once,
                                          .progress_user = &at};
            const fw_schedule lr = fw_one_cycle_lr(0.05, STEPS, 3, FW_DECAY_LINEAR);
            const fw_sgd_opt sgd = {.weight_decay = 1e-3};
            if (fw_estimator_new(&e, t_net(4, 0.3F, CLASSES), fw_sgd(lr, 0.9, &sgd), &opt) == FW_OK)
                (void)fw_estimator_train(e, open_data(&p), STEPS);
            _exit(1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 7);
        start(&p, other, 0, false, &rest);
        assert_int_equal(rest.n, STEPS - (at - 1) / 3 * 3);
        t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
        t_remove_tree(other);
    }
    t_remove_tree(dir);
}

static void damage(const char *path, int how)
{
    const t_bytes b = t_read(path);
    if (how == 0)
        b.data[b.n - 5] ^= 4; /* a bit of the last tensor */
    else if (how == 1)
        b.data[20] ^= 1; /* the header */
    t_write(path, b.data, how == 2 ? b.n / 2 : how == 3 ? 0 : b.n);
    free(b.data);
}

static void count_passed_over(void *user, int level, const char *line)
{
    (void)level;
    *(int *)user += strstr(line, "checkpoint passed over: ") != NULL;
}

/* A damaged newest checkpoint is passed over, which is told once, and the end is the same; damaged ones alone
 * are an error. */
static void test_damaged_checkpoint(void **state)
{
    (void)state;
    static t_trace whole, rest;
    for (int64_t keep = 2; keep <= 3; keep++) {
        const plan p = {"damaged", "a.tfrec", .dropout = 0.3F, .every = 1, .keep = keep};
        char dir[1024], other[1024];
        snprintf(dir, sizeof dir, "%s", t_path("whole"));
        snprintf(other, sizeof other, "%s", t_path("damaged"));
        start(&p, dir, 0, false, &whole);
        for (int how = 0; how < 4; how++) {
            start(&p, other, 7, false, &rest);
            damage(checkpoint(other, 7), how);
            start(&p, other, 9, false, &rest);
            assert_int_equal(rest.n, 3); /* 7, 8 and 9: from 6 on */
            assert_int_equal(count_checkpoints(other), keep);
            assert_true(t_exists(checkpoint(other, 9)) && t_exists(checkpoint(other, 8)));
            damage(checkpoint(other, 9), how);
            int told = 0;
            fw_log_set(count_passed_over, &told);
            start(&p, other, 0, false, &rest);
            fw_log_set(NULL, NULL);
            assert_int_equal(told, 1);
            assert_int_equal(rest.n, 3);
            t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
            assert_int_equal(count_checkpoints(other), keep);
            t_remove_tree(other);
        }
        /* With no whole one left it does not begin again unasked. */
        start(&p, other, 4, false, &rest);
        for (int64_t i = 0; i < keep; i++)
            damage(checkpoint(other, 4 - (int)i), (int)i);
        fw_estimator *e = NULL;
        rest = (t_trace){0};
        assert_int_equal(new_estimator(&e, &p, other, &rest), FW_EFORMAT);
        assert_non_null(strstr(fw_last_error(), "checkpoints is whole"));
        plan anew = p;
        anew.fresh = true;
        start(&anew, other, 0, false, &rest);
        assert_int_equal(rest.n, STEPS);
        t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
        t_remove_tree(other);
        t_remove_tree(dir);
    }
}

/* Images cut to the same size are others than resized ones. */
static void refuses_the_other_way_to_a_size(void)
{
    static t_trace trace;
    const plan resized = {"resized", "a.tfrec", .resolutions = 1};
    plan cut = resized;
    cut.by = FW_BY_CROP;
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", t_path("resized"));
    start(&resized, dir, 5, false, &trace);
    fw_estimator *e = NULL;
    assert_fails(new_estimator(&e, &cut, dir, &trace), FW_EEXISTS, "another resolution");
}

/* A run with one thing changed is refused, naming it, and the folder is left as it was. */
static void test_other_run_is_refused(void **state)
{
    (void)state;
    static t_trace trace;
    const plan p = {"first", "a.tfrec", .dropout = 0.3F, .seed = 3};
    static const struct {
        plan p;
        const char *key;
    } others[] = {
        {{"seed", "a.tfrec", .dropout = 0.3F, .seed = 4}, "another seed"},
        {{"optimizer", "a.tfrec", .dropout = 0.3F, .seed = 3, .adam = true}, "another optimizer"},
        {{"rate", "a.tfrec", .dropout = 0.3F, .seed = 3, .lr = 0.04}, "another optimizer"},
        {{"groups", "a.tfrec", .dropout = 0.3F, .seed = 3, .groups = true}, "another optimizer"},
        {{"average", "a.tfrec", .dropout = 0.3F, .seed = 3,
          .average = {.kind = FW_AVERAGE_EMA, .decay = 0.5}},
         "another optimizer"},
        {{"dropout", "a.tfrec", .dropout = 0.4F, .seed = 3}, "another layers"},
        {{"width", "a.tfrec", .dropout = 0.3F, .seed = 3, .width = 5}, "another layers"},
        {{"precision", "a.tfrec", .dropout = 0.3F, .seed = 3, .precision = FW_F64},
         "another precision"},
        {{"conv", "a.tfrec", .dropout = 0.3F, .seed = 3, .conv = FW_CONV_DIRECT}, "another conv"},
        {{"smoothing", "a.tfrec", .dropout = 0.3F, .seed = 3, .smoothing = 0.2}, "another loss"},
        {{"sizes", "a.tfrec", .dropout = 0.3F, .seed = 3, .resolutions = 1}, "another resolution"},
        {{"mixed", "a.tfrec", .dropout = 0.3F, .seed = 3, .cutmix = true}, "other data"},
        {{"sum", "a.tfrec", .dropout = 0.3F, .seed = 3, .loss_sum = true}, "another loss"},
        {{"file", "b.tfrec", .dropout = 0.3F, .seed = 3}, "other data"},
        {{"batch", "a.tfrec", .dropout = 0.3F, .seed = 3, .batch = 9}, "other data"},
        {{"data's seed", "a.tfrec", .dropout = 0.3F, .seed = 3, .data_seed = 1}, "other data"},
        {{"pass ends", "a.tfrec", .dropout = 0.3F, .seed = 3, .drop_pass_end = true}, "other data"},
    };
    char dir[1024];
    refuses_the_other_way_to_a_size();
    snprintf(dir, sizeof dir, "%s", t_path("first"));
    start(&p, dir, 5, false, &trace);
    char *before = t_listing(dir);
    for (size_t i = 0; i < T_COUNT(others); i++) {
        trace = (t_trace){0};
        fw_estimator *e = NULL;
        fw_dataset *ds = open_data(&others[i].p);
        fw_status st = new_estimator(&e, &others[i].p, dir, &trace);
        if (st == FW_OK)
            st = fw_estimator_train(e, ds, STEPS);
        if (st != FW_EEXISTS || strstr(fw_last_error(), others[i].key) == NULL ||
            strstr(fw_last_error(), dir) == NULL)
            fail_msg("%s: %s: %s", others[i].p.name, fw_status_name(st), fw_last_error());
        assert_int_equal(trace.n, 0);
        fw_estimator_free(e);
        fw_batch batch; /* the data set is its owner's again, though its estimator is gone */
        assert_ok(fw_dataset_next(ds, &batch));
        fw_dataset_free(ds);
        char *after = t_listing(dir);
        assert_string_equal(before, after);
        free(after);
    }
    free(before);
    /* .fresh begins again, whatever is there, and leaves nothing of it to go on from. */
    plan again = others[0].p;
    again.fresh = true;
    start(&again, dir, 2, false, &trace);
    assert_int_equal(trace.n, 2);
    assert_int_equal(count_checkpoints(dir), 1);
    assert_true(t_exists(checkpoint(dir, 2)));
    again.fresh = false;
    start(&again, dir, 0, false, &trace);
    assert_int_equal(trace.n, STEPS - 2);
}

/* Training to a step, then further, with one estimator or two, is training at once. */
static void test_in_two_calls(void **state)
{
    (void)state;
    static t_trace whole, part;
    const plan p = {"calls", "a.tfrec", .dropout = 0.3F, .threads = 2};
    char dir[1024], other[1024];
    snprintf(dir, sizeof dir, "%s", t_path("whole"));
    snprintf(other, sizeof other, "%s", t_path("calls"));
    start(&p, dir, 0, false, &whole);
    part = (t_trace){0};
    fw_estimator *e = NULL;
    assert_ok(new_estimator(&e, &p, other, &part));
    fw_dataset *ds = open_data(&p);
    fw_metrics m;
    fw_dataset *test = NULL;
    assert_ok(fw_array_dataset(&test, &images, NULL, &(fw_dataset_opt){.batch = 5}));
    assert_ok(fw_estimator_train(e, ds, 4));
    assert_ok(fw_estimator_evaluate(e, test, &m)); /* looking does not change it */
    assert_ok(fw_estimator_train(e, ds, 4));       /* nothing to do */
    assert_ok(fw_estimator_train(e, ds, 2));       /* nor backwards */
    assert_int_equal(fw_estimator_step(e), 4);
    assert_ok(fw_estimator_train(e, ds, 9));
    fw_estimator_free(e);
    assert_ok(new_estimator(&e, &p, other, &part));
    assert_int_equal(fw_estimator_step(e), 9);
    assert_ok(fw_estimator_train(e, ds, STEPS));
    fw_estimator_free(e);
    fw_dataset_free(ds);
    fw_dataset_free(test);
    assert_int_equal(part.n, STEPS);
    assert_memory_equal(part.loss, whole.loss, STEPS * sizeof *part.loss);
    t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
    /* An epoch's means are of all its steps, whichever calls and estimators made them; those that end within
     * one tell it so far. */
    assert_int_equal(whole.epochs, 3); /* after steps 4, 8 and 11 */
    assert_int_equal(part.epochs, 4);  /* after step 9 too */
    static const int at[] = {0, 1, 3};
    for (int i = 0; i < 3; i++) {
        assert_true(part.epoch_loss[at[i]] == whole.epoch_loss[i]);
        assert_true(part.epoch_accuracy[at[i]] == whole.epoch_accuracy[i]);
    }
    assert_true(part.epoch_loss[2] != whole.epoch_loss[2]);
}

/* A program that trains on one set to a step within an epoch, and then on another. FW_OK, or what it was stopped by. */
enum { FIRST = 6 };
static fw_status two_sets(const plan *first, const plan *second, const char *dir, int64_t stop_at,
                          t_trace *trace)
{
    *trace = (t_trace){.stop_at = stop_at};
    fw_estimator *e = NULL;
    assert_ok(new_estimator(&e, first, dir, trace));
    fw_dataset *a = open_data(first), *b = open_data(second);
    fw_status st = fw_estimator_train(e, a, FIRST);
    if (st == FW_OK && !(stop_at == FIRST && fw_estimator_step(e) == FIRST))
        st = fw_estimator_train(e, b, STEPS);
    fw_estimator_free(e);
    fw_dataset_free(a);
    fw_dataset_free(b);
    return st;
}

/* Stopped anywhere, it goes on where it was, with the data that it was at: the same bytes in the end. */
static void test_one_set_after_another(void **state)
{
    (void)state;
    static t_trace whole, trace;
    const plan a = {"one", "a.tfrec", .dropout = 0.3F},
               b = {"another", "b.tfrec", .dropout = 0.3F, .data_seed = 5, .batch = 7},
               c = {"a third", "a.tfrec", .dropout = 0.3F, .data_seed = 9};
    char dir[1024], other[1024];
    snprintf(dir, sizeof dir, "%s", t_path("sets"));
    assert_ok(two_sets(&a, &b, dir, 0, &whole));
    assert_int_equal(whole.n, STEPS);
    for (int stop = 1; stop <= STEPS; stop++) {
        snprintf(other, sizeof other, "%s", t_path("sets-%d", stop));
        const fw_status st = two_sets(&a, &b, other, stop, &trace);
        assert_int_equal(st, stop == FIRST || stop == STEPS ? FW_OK : FW_ESTOPPED);
        assert_int_equal(trace.n, stop);
        /* which of the two it was at, is in the checkpoint */
        const plan *const at = stop <= FIRST ? &a : &b;
        fw_estimator *e = NULL;
        fw_dataset *wrong = open_data(&c);
        assert_ok(new_estimator(&e, at, other, &trace));
        assert_fails(fw_estimator_train(e, wrong, STEPS + 1), FW_EEXISTS, "other data");
        assert_fails(fw_estimator_train(e, wrong, stop), FW_EEXISTS, "other data"); /* all done */
        fw_estimator_free(e);
        fw_dataset_free(wrong);
        assert_ok(two_sets(&a, &b, other, 0, &trace));
        assert_int_equal(trace.n, STEPS - stop);
        assert_memory_equal(trace.loss, whole.loss + stop, (size_t)trace.n * sizeof *trace.loss);
        t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
        t_assert_same_file(checkpoint(dir, STEPS), checkpoint(other, STEPS));
        /* means are of one set: of the second's steps behind the first, 7 to 10, and of 11 */
        for (int k = 1; k <= (stop < 10 ? 2 : stop < STEPS ? 1 : 0); k++)
            assert_true(trace.epoch_loss[trace.epochs - k] == whole.epoch_loss[whole.epochs - k]);
    }
    assert_true(fabs(whole.epoch_loss[whole.epochs - 2] -
                     (whole.loss[6] + whole.loss[7] + whole.loss[8] + whole.loss[9]) / 4) < 1e-12);
    /* Stopped in front of the second's first step, it is as it was behind the first's last. */
    snprintf(other, sizeof other, "%s", t_path("sets-between"));
    assert_ok(two_sets(&a, &b, other, FIRST, &trace));
    volatile sig_atomic_t flag = 1;
    fw_estimator *e = NULL;
    trace = (t_trace){.flag = &flag};
    assert_ok(new_estimator(&e, &a, other, &trace));
    fw_dataset *first = open_data(&a), *second = open_data(&b);
    assert_ok(fw_estimator_train(e, first, FIRST));
    assert_int_equal(fw_estimator_train(e, second, STEPS), FW_ESTOPPED);
    fw_estimator_free(e);
    fw_dataset_free(first);
    fw_dataset_free(second);
    assert_ok(two_sets(&a, &b, other, 0, &trace));
    t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
    /* All is done: its calls train nothing, and what is told of the run stays. */
    const t_bytes before = t_read(in(dir, "config.json"));
    assert_ok(two_sets(&a, &b, dir, 0, &trace));
    assert_int_equal(trace.n, 0);
    const t_bytes after = t_read(in(dir, "config.json"));
    assert_int_equal(after.n, before.n);
    assert_memory_equal(after.data, before.data, before.n);
    free(before.data);
    free(after.data);
}

static bool refuse_to_begin(void *user, const fw_event *ev)
{
    int64_t *steps = user;
    *steps += ev->kind == FW_EVENT_STEP;
    return ev->kind != FW_EVENT_BEGIN;
}

/* A stop that was asked for before the first step: no step, and a folder to go on from. */
static void test_stopped_before_it_began(void **state)
{
    (void)state;
    static t_trace whole, rest;
    const plan p = {"begin", NULL, .dropout = 0.3F};
    char dir[1024], other[1024];
    snprintf(dir, sizeof dir, "%s", t_path("whole0"));
    snprintf(other, sizeof other, "%s", t_path("begin"));
    start(&p, dir, 0, false, &whole);
    for (int by_flag = 0; by_flag < 2; by_flag++) {
        int64_t steps = 0;
        volatile sig_atomic_t flag = 1;
        const fw_estimator_opt opt = {.work_dir = other,
                                      .progress = by_flag ? NULL : refuse_to_begin,
                                      .progress_user = &steps,
                                      .stop = by_flag ? &flag : NULL};
        const fw_schedule lr = fw_one_cycle_lr(0.05, STEPS, 3, FW_DECAY_LINEAR);
        const fw_sgd_opt sgd = {.weight_decay = 1e-3};
        fw_estimator *e = NULL;
        assert_ok(fw_estimator_new(&e, t_net(4, 0.3F, CLASSES), fw_sgd(lr, 0.9, &sgd), &opt));
        fw_dataset *ds = open_data(&p);
        assert_fails(fw_estimator_train(e, ds, STEPS), FW_ESTOPPED, "stopped after step 0");
        assert_int_equal(steps, 0);
        assert_int_equal(fw_estimator_step(e), 0);
        fw_estimator_free(e);
        fw_dataset_free(ds);
        start(&p, other, 0, false, &rest);
        t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
        t_remove_tree(other);
    }
}

/* A record that cannot be read ends a run, but not what it had learnt: once the file is right again, the run goes
 * on from the step before. */
static void test_data_that_fails(void **state)
{
    (void)state;
    static t_trace whole, part;
    const plan p = {.name = "damaged", .pattern = "d.tfrec", .seed = 4};
    char dir[1024], other[1024], data[1024];
    snprintf(dir, sizeof dir, "%s", t_path("of-good"));
    snprintf(other, sizeof other, "%s", t_path("of-damaged"));
    snprintf(data, sizeof data, "%s", t_path("d.tfrec"));
    assert_ok(fw_write_tfrecord(data, &images, NULL));
    start(&p, dir, 0, false, &whole);
    const t_bytes b = t_read(data);
    int64_t step = 0;
    for (size_t r = 1; r < N && step == 0;
         r++) { /* not the one that is read first; one behind the first batch */
        fw_estimator *e = NULL;
        t_remove_tree(other);
        part = (t_trace){0};
        b.data[r * (b.n / N) + 30] ^= 1;
        t_write(data, b.data, b.n);
        b.data[r * (b.n / N) + 30] ^= 1;
        assert_ok(new_estimator(&e, &p, other, &part));
        fw_dataset *ds = open_data(&p);
        assert_bad(fw_estimator_train(e, ds, STEPS), FW_EFORMAT, data, "record", "crc");
        step = fw_estimator_step(e);
        fw_dataset_free(ds);
        fw_estimator_free(e);
        assert_int_equal(count_checkpoints(other), step > 0);
    }
    assert_true(step > 0 && t_exists(checkpoint(other, (int)step)));
    t_write(data, b.data, b.n);
    start(&p, other, 0, false, &part);
    assert_int_equal(part.n, STEPS - step);
    t_assert_same_file(in(dir, "model.safetensors"), in(other, "model.safetensors"));
    free(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_that_fails),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_warm),
        cmocka_unit_test(test_other_language),
        cmocka_unit_test(test_every_step),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_damaged_checkpoint),
        cmocka_unit_test(test_other_run_is_refused),
        cmocka_unit_test(test_in_two_calls),
        cmocka_unit_test(test_one_set_after_another),
        cmocka_unit_test(test_stopped_before_it_began),
    };
    return cmocka_run_group_tests_name("resume", tests, make_data, drop_data);
}
