/* test_filter.c: two phases: a network chooses rows of each batch while it is trained, another is
 * trained on these. What is chosen, when it learns, that all rows are no choice at all, and that both
 * phases end with the same bits wherever they were stopped. (ctest: tsan) */
#include "t_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 37, SIDE = 6, C = 1, CLASSES = 3, BATCH = 8, KEEP = 3, STEPS = 9 };

static int make_data(void **state)
{
    return t_setup_data(state, N, SIDE, C, CLASSES, FW_U8);
}

/* One start of a phase. Zeros are the usual. */
typedef struct phase {
    const char *folder;
    fw_filter *record;
    const fw_filter *filter;
    int64_t every, stop_at, checkpoint_every, batch;
    int threads;
    bool in_order, mixed, pooled; /* pooled: a net without batch norm */
    int64_t records;              /* of the images; 0: all */
    const fw_resolution *sizes;
} phase;

static fw_layer *net_of(const phase *p)
{
    if (!p->pooled)
        return t_net(4, 0.25F, CLASSES);
    fw_layer *l = fw_sequential();
    fw_add(l, fw_global_average_pool());
    fw_add(l, fw_classifier(CLASSES, 1, FW_PYTORCH));
    return l;
}

static fw_status new_estimator(fw_estimator **e, const phase *p, t_trace *trace)
{
    return fw_estimator_new(e, net_of(p), t_sgd(0.05),
                            &(fw_estimator_opt){.work_dir = p->folder,
                                                .seed = 4,
                                                .threads = p->threads,
                                                .label_smoothing = 0.1,
                                                .record = p->record,
                                                .record_every = p->every,
                                                .filter = p->filter,
                                                .resolutions = p->sizes,
                                                .n_resolutions = p->sizes != NULL ? 1 : 0,
                                                .checkpoint_every = p->checkpoint_every,
                                                .progress = t_record,
                                                .progress_user = trace});
}

static fw_dataset *data_of(const phase *p)
{
    const fw_transform chain[] = {fw_standardize(C, t_data.mean, t_data.std),
                                  p->mixed ? fw_cutmix(2, 3, 2 * BATCH) : fw_transform_end(),
                                  FW_TRANSFORM_END};
    fw_images some = t_data;
    some.n = p->records > 0 ? p->records : N;
    static fw_images kept; /* borrowed by the data set */
    kept = some;
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, &kept, chain,
                               &(fw_dataset_opt){.batch = p->batch > 0 ? p->batch : BATCH,
                                                 .training = true,
                                                 .seed = 6,
                                                 .no_shuffle = p->in_order}));
    return ds;
}

static void run(const phase *p, int64_t steps, t_trace *trace)
{
    *trace = (t_trace){.stop_at = p->stop_at};
    fw_estimator *e = NULL;
    assert_ok(new_estimator(&e, p, trace));
    fw_dataset *ds = data_of(p);
    const fw_status st = fw_estimator_train(e, ds, steps);
    if (st != (p->stop_at > 0 ? FW_ESTOPPED : FW_OK))
        fail_msg("%s", fw_last_error());
    fw_dataset_free(ds);
    fw_estimator_free(e);
}

static fw_filter *new_filter(int64_t keep, int64_t steps)
{
    fw_filter *f = NULL;
    assert_ok(fw_filter_new(&f, BATCH, keep, steps));
    return f;
}

static void assert_same_rows(const fw_filter *a, const fw_filter *b, int64_t steps)
{
    assert_int_equal(fw_filter_recorded(a), steps);
    assert_int_equal(fw_filter_recorded(b), steps);
    for (int64_t i = 0; i < steps; i++) {
        int32_t x[BATCH], y[BATCH];
        assert_ok(fw_filter_rows(a, i, x));
        assert_ok(fw_filter_rows(b, i, y));
        assert_memory_equal(x, y, KEEP * sizeof *x);
    }
}

/* Without batch norm a row's loss follows from its own probabilities. */
static void the_highest_losses_are_chosen(void **state)
{
    (void)state;
    const phase p = {.pooled = true, .in_order = true};
    t_trace trace = {0};
    float prob[N * CLASSES];
    double loss[BATCH];
    fw_estimator *e = NULL;
    fw_dataset *ds = NULL;
    const fw_transform plain[] = {fw_standardize(C, t_data.mean, t_data.std), FW_TRANSFORM_END};
    assert_ok(new_estimator(&e, &p, &trace));
    assert_ok(fw_array_dataset(&ds, &t_data, plain, &(fw_dataset_opt){.batch = BATCH}));
    assert_ok(fw_estimator_predict(e, ds, prob, N, NULL));
    fw_dataset_free(ds);
    fw_estimator_free(e);
    for (int i = 0; i < BATCH; i++) {
        double all = 0;
        for (int k = 0; k < CLASSES; k++)
            all -= log((double)prob[i * CLASSES + k]) / CLASSES;
        loss[i] = 0.1 * all - 0.9 * log((double)prob[i * CLASSES + t_data.labels[i]]);
    }
    for (int64_t keep = 1; keep <= BATCH; keep++) {
        fw_filter *f = new_filter(keep, 1);
        const phase recording = {.pooled = true, .in_order = true, .record = f};
        int32_t rows[BATCH];
        run(&recording, 1, &trace);
        assert_ok(fw_filter_rows(f, 0, rows));
        for (int64_t k = 0; k < keep; k++) {
            int higher = 0;
            for (int i = 0; i < BATCH; i++)
                higher += loss[i] > loss[rows[k]];
            assert_true(higher < keep);
            assert_true(k == 0 || rows[k] > rows[k - 1]);
        }
        double mean = 0;
        for (int i = 0; i < BATCH; i++)
            mean += loss[i] / BATCH;
        assert_true(fabs(trace.loss[0] - mean) < 1e-5); /* told: that of the whole batch */
        fw_filter_free(f);
    }
}

/* All rows chosen, in every step: an ordinary training, twice. */
static void all_rows_are_no_choice(void **state)
{
    (void)state;
    static t_trace plain, recorded, filtered;
    for (int mixed = 0; mixed < 2; mixed++) {
        fw_filter *f = new_filter(BATCH, STEPS);
        const phase a = {.mixed = mixed == 1}, b = {.record = f, .threads = 2, .mixed = mixed == 1},
                    c = {.filter = f, .threads = 3, .mixed = mixed == 1};
        run(&a, STEPS, &plain);
        run(&b, STEPS, &recorded);
        run(&c, STEPS, &filtered);
        for (int i = 0; i < STEPS; i++) /* a plan of its own, which may fuse more */
            assert_true(fabs(recorded.loss[i] - plain.loss[i]) < 1e-5);
        assert_memory_equal(filtered.loss, plain.loss, STEPS * sizeof *plain.loss);
        fw_filter_free(f);
    }
}

/* What is left of a tensor in the model that a phase wrote. */
static void read_stats(const char *path, const char *name, float out[4])
{
    size_t bytes;
    const t_bytes b = t_read(path);
    const uint8_t *const at = t_tensor(&b, name, &bytes);
    assert_int_equal(bytes, 4 * sizeof *out);
    memcpy(out, at, bytes);
    free(b.data);
}

/* A step that chooses and learns runs the network twice, and is one step to its running statistics. */
static void statistics_move_once(void **state)
{
    (void)state;
    static t_trace trace;
    static const char *const names[] = {"0.bn.mean", "0.bn.var"};
    fw_filter *f = new_filter(BATCH, STEPS);
    char folders[2][1024], model[1100];
    for (int k = 0; k < 2; k++)
        snprintf(folders[k], sizeof folders[k], "%s", t_path("stats-%d", k));
    const phase plain = {.folder = folders[0]}, record = {.folder = folders[1], .record = f};
    run(&plain, 3, &trace);
    run(&record, 3, &trace);
    for (size_t i = 0; i < T_COUNT(names); i++) {
        float value[2][4];
        for (int k = 0; k < 2; k++) {
            snprintf(model, sizeof model, "%s/model.safetensors", folders[k]);
            read_stats(model, names[i], value[k]);
        }
        for (int c = 0; c < 4; c++)
            assert_true(fabsf(value[0][c] - value[1][c]) <= 1e-4F * (fabsf(value[0][c]) + 0.01F));
    }
    fw_filter_free(f);
}

/* One batch over and over: its loss changes where there was an update, and not else. */
static void only_some_steps_update(void **state)
{
    (void)state;
    static t_trace trace;
    fw_filter *f = new_filter(KEEP, STEPS);
    const phase p = {.record = f, .every = 3, .in_order = true, .records = BATCH, .pooled = true};
    run(&p, STEPS, &trace);
    for (int i = 1; i < STEPS; i++)
        assert_int_equal(trace.loss[i] != trace.loss[i - 1], (i - 1) % 3 == 0);
    fw_filter_free(f);
}

/* The rows that were chosen, one step's behind the other's, of batches of BATCH records in their order out of
 * the first n. Caller frees with t_images_free. */
static fw_images chosen_images(const fw_filter *f, int64_t steps, int64_t n)
{
    fw_images out = t_images(steps * KEEP, SIDE, SIDE, C, CLASSES, FW_U8);
    const size_t image = (size_t)SIDE * SIDE * C;
    for (int64_t s = 0; s < steps; s++) {
        int32_t rows[BATCH];
        assert_ok(fw_filter_rows(f, s, rows));
        for (int64_t k = 0; k < KEEP; k++) {
            const int64_t from = (s * BATCH + rows[k]) % n, to = s * KEEP + k;
            memcpy((uint8_t *)out.pixels + (size_t)to * image,
                   (const uint8_t *)t_data.pixels + (size_t)from * image, image);
            out.labels[to] = t_data.labels[from];
        }
    }
    return out;
}

/* In their order, each once; trains `steps` steps and leaves what the network then says of the first BATCH
 * records: their mean loss. */
static double train_on(const fw_images *im, int64_t batch, int64_t steps, t_trace *trace)
{
    const phase p = {.pooled = true};
    const fw_transform chain[] = {fw_standardize(C, t_data.mean, t_data.std), FW_TRANSFORM_END};
    float prob[N * CLASSES];
    double sum = 0;
    fw_estimator *e = NULL;
    fw_dataset *ds = NULL, *all = NULL;
    *trace = (t_trace){0};
    assert_ok(new_estimator(&e, &p, trace));
    assert_ok(fw_array_dataset(
        &ds, im, chain, &(fw_dataset_opt){.batch = batch, .training = true, .no_shuffle = true}));
    assert_ok(fw_estimator_train(e, ds, steps));
    assert_ok(fw_array_dataset(&all, &t_data, chain, &(fw_dataset_opt){.batch = BATCH}));
    assert_ok(fw_estimator_predict(e, all, prob, N, NULL));
    for (int i = 0; i < BATCH; i++) {
        for (int k = 0; k < CLASSES; k++)
            sum -= 0.1 / CLASSES * log((double)prob[i * CLASSES + k]);
        sum -= 0.9 * log((double)prob[i * CLASSES + t_data.labels[i]]);
    }
    fw_dataset_free(ds);
    fw_dataset_free(all);
    fw_estimator_free(e);
    return sum / BATCH;
}

/* Its updates are those of the rows it marks: as if these were all the batch. */
static void the_proxy_learns_from_marked_rows_alone(void **state)
{
    (void)state;
    static t_trace trace, other;
    fw_filter *f = new_filter(KEEP, 2);
    const phase p = {.record = f, .every = 1, .in_order = true, .records = BATCH, .pooled = true};
    run(&p, 2, &trace);
    fw_images marked = chosen_images(f, 1, BATCH), first = t_data;
    first.n = BATCH;
    const double want = train_on(&marked, KEEP, 1, &other);
    assert_true(fabs(trace.loss[1] - want) < 1e-5); /* of the whole batch, after one update */
    /* all rows, or the first ones, would have led elsewhere */
    assert_true(fabs(train_on(&first, BATCH, 1, &other) - want) > 1e-4);
    first.n = KEEP;
    assert_true(fabs(train_on(&first, KEEP, 1, &other) - want) > 1e-4);
    t_images_free(&marked);
    fw_filter_free(f);
}

/* And the network gets these rows, of each batch its own, as if the data had no others. */
static void the_network_is_fed_marked_rows_alone(void **state)
{
    (void)state;
    static t_trace trace, fed, plain;
    fw_filter *f = new_filter(KEEP, STEPS);
    const phase proxy = {.record = f, .in_order = true, .pooled = true},
                net = {.filter = f, .in_order = true, .pooled = true};
    run(&proxy, STEPS, &trace);
    run(&net, STEPS, &fed);
    fw_images marked = chosen_images(f, STEPS, N);
    (void)train_on(&marked, KEEP, STEPS, &plain);
    assert_int_equal(fed.n, STEPS);
    assert_memory_equal(fed.loss, plain.loss, STEPS * sizeof *plain.loss);
    t_images_free(&marked);
    fw_filter_free(f);
}

static void stopped_phases_end_the_same(void **state)
{
    (void)state;
    static t_trace trace, whole;
    static const fw_resolution sizes[] = {{4, 5}};
    char proxy_folder[1024], net_folder[1024], folders[2][1024]; /* t_path's buffers take turns */
    snprintf(proxy_folder, sizeof proxy_folder, "%s", t_path("proxy"));
    snprintf(net_folder, sizeof net_folder, "%s", t_path("net"));
    fw_filter *f = new_filter(KEEP, STEPS);
    const phase proxy = {
        .folder = proxy_folder, .record = f, .every = 4, .mixed = true, .sizes = sizes};
    const phase net = {.folder = net_folder, .filter = f, .mixed = true, .sizes = sizes};
    run(&proxy, STEPS, &trace);
    run(&net, STEPS, &whole);
    assert_true(t_exists(t_path("proxy/rows.safetensors")));
    for (int64_t stop = 1; stop < STEPS; stop++) {
        /* each start of the program has an empty filter */
        fw_filter *first = new_filter(KEEP, STEPS), *second = new_filter(KEEP, STEPS);
        phase p = proxy, q = net;
        snprintf(folders[0], sizeof folders[0], "%s", t_path("proxy-%d", (int)stop));
        snprintf(folders[1], sizeof folders[1], "%s", t_path("net-%d", (int)stop));
        p.folder = folders[0];
        q.folder = folders[1];
        p.record = first;
        p.stop_at = stop;
        p.checkpoint_every = 2;
        run(&p, STEPS, &trace);
        p.record = second;
        p.stop_at = 0;
        p.threads = 2;
        run(&p, STEPS, &trace);
        assert_int_equal(trace.n, STEPS - stop);
        assert_same_rows(second, f, STEPS);
        t_assert_same_file(t_path("proxy/model.safetensors"),
                           t_path("proxy-%d/model.safetensors", (int)stop));
        t_assert_same_file(t_path("proxy/rows.safetensors"),
                           t_path("proxy-%d/rows.safetensors", (int)stop));
        q.filter = second;
        q.stop_at = stop;
        run(&q, STEPS, &trace);
        /* a finished first phase hands its rows over without a step */
        fw_filter *again = new_filter(KEEP, STEPS);
        p.record = again;
        run(&p, STEPS, &trace);
        assert_int_equal(trace.n, 0);
        assert_same_rows(again, f, STEPS);
        q.filter = again;
        q.stop_at = 0;
        run(&q, STEPS, &trace);
        assert_memory_equal(trace.loss, whole.loss + stop, (size_t)trace.n * sizeof *trace.loss);
        t_assert_same_file(t_path("net/model.safetensors"),
                           t_path("net-%d/model.safetensors", (int)stop));
        fw_filter_free(first);
        fw_filter_free(second);
        fw_filter_free(again);
    }
    /* a filter that holds another run's rows, all of them, goes on with this run's */
    fw_filter *used = new_filter(KEEP, STEPS), *begun = new_filter(KEEP, STEPS);
    phase mine = proxy, others = proxy;
    char mine_folder[1024];
    snprintf(mine_folder, sizeof mine_folder, "%s", t_path("mine"));
    others.folder = NULL;
    others.in_order = true;
    others.record = used;
    run(&others, STEPS, &trace);
    assert_int_equal(fw_filter_recorded(used), STEPS);
    mine.folder = mine_folder;
    mine.record = begun;
    mine.stop_at = 3;
    run(&mine, STEPS, &trace);
    mine.record = used;
    mine.stop_at = 0;
    run(&mine, STEPS, &trace);
    assert_int_equal(trace.n, STEPS - 3);
    assert_same_rows(used, f, STEPS);
    fw_filter_free(used);
    fw_filter_free(begun);
    /* another choice is another run */
    fw_filter *other = new_filter(KEEP + 1, STEPS);
    phase p = proxy, q = net;
    p.record = other;
    fw_estimator *e = NULL;
    assert_fails(new_estimator(&e, &p, &trace), FW_EEXISTS, "another rows");
    p.folder = NULL;
    run(&p, STEPS, &trace);
    q.filter = other;
    assert_fails(new_estimator(&e, &q, &trace), FW_EEXISTS, "another rows");
    fw_filter_free(other);
    fw_filter_free(f);
}

/* The file beside the checkpoint is anybody's: rows that are too many would not fit. */
static void marked_rows_are_counted(void **state)
{
    (void)state;
    static t_trace trace;
    char folder[1024], header[256];
    uint8_t file[512] = {0};
    snprintf(folder, sizeof folder, "%s", t_path("counted"));
    fw_filter *f = new_filter(KEEP, STEPS), *again = new_filter(KEEP, STEPS);
    phase p = {.folder = folder, .record = f, .stop_at = 2};
    run(&p, STEPS, &trace);
    const int stride = (BATCH + 7) / 8;
    const int n = snprintf(header, sizeof header,
                           "{\"__metadata__\":{\"keep\":\"%d of %d\"},\"rows\":{\"dtype\":\"U8\","
                           "\"shape\":[2,%d],\"data_offsets\":[0,%d]}}",
                           (int)KEEP, (int)BATCH, stride, 2 * stride);
    file[0] = (uint8_t)n;
    memcpy(file + 8, header, (size_t)n);
    memset(file + 8 + n, 0xff, (size_t)(2 * stride));
    assert_true(n < 256);
    t_write(t_path("counted/rows.safetensors"), file, (size_t)(8 + n + 2 * stride));
    p.record = again;
    p.stop_at = 0;
    fw_estimator *e = NULL;
    assert_ok(new_estimator(&e, &p, &trace));
    fw_dataset *ds = data_of(&p);
    assert_fails(fw_estimator_train(e, ds, STEPS), FW_EFORMAT, "step 0 has not");
    fw_dataset_free(ds);
    fw_estimator_free(e);
    fw_filter_free(f);
    fw_filter_free(again);
}

static void bad_ones_are_refused(void **state)
{
    (void)state;
    fw_filter *f = NULL;
    assert_fails(fw_filter_new(&f, 8, 0, 3), FW_EARG, "keeps 0 of 8 rows");
    assert_fails(fw_filter_new(&f, 8, 9, 3), FW_EARG, "keeps 9 of 8 rows");
    assert_fails(fw_filter_new(&f, 8, 2, 0), FW_EARG, "each of 0 steps");
    f = new_filter(KEEP, 2);
    int32_t rows[KEEP];
    assert_fails(fw_filter_rows(f, 0, rows), FW_EARG, "step 0 of 0");
    t_trace trace = {0};
    fw_estimator *e = NULL;
    phase p = {.record = f, .filter = f};
    assert_fails(new_estimator(&e, &p, &trace), FW_EARG, "records a filter or is trained by one");
    p = (phase){.every = 2};
    assert_fails(new_estimator(&e, &p, &trace), FW_EARG, "nothing is recorded");
    static const struct {
        bool record;
        int64_t batch, until;
        const char *text;
    } cases[] = {{true, 5, 2, "the filter is for batches of 8, the data's are of 5"},
                 {true, BATCH, 3, "has room for 2 steps, training is to go on to step 3"},
                 {false, BATCH, 2, "has the rows of 0 steps"}};
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        p = (phase){.batch = cases[i].batch};
        if (cases[i].record)
            p.record = f;
        else
            p.filter = f;
        assert_ok(new_estimator(&e, &p, &trace));
        fw_dataset *ds = data_of(&p);
        assert_fails(fw_estimator_train(e, ds, cases[i].until), FW_EARG, cases[i].text);
        assert_int_equal(trace.n, 0);
        fw_dataset_free(ds);
        fw_estimator_free(e);
    }
    fw_filter_free(f);
}

/* ---- recipes ---- */

static bool stop_after(void *user, const fw_event *ev)
{
    int *left = user;
    return ev->kind != FW_EVENT_STEP || --*left != 0;
}

/* What each phase needs, told before its first step. */
typedef struct needs {
    int64_t total[2];
    int n, steps;
} needs;

static bool note_budget(void *user, const fw_event *ev)
{
    needs *const x = user;
    if (ev->kind == FW_EVENT_BEGIN && x->n < 2)
        x->total[x->n++] = ev->budget->total;
    x->steps += ev->kind == FW_EVENT_STEP;
    return true;
}

/* A network that does not fit is refused before its proxy is trained. */
static void both_plans_are_checked_first(void **state)
{
    (void)state;
    static const char text[] =
        "[data]\nbundled = digits\nsplit_every = 5\n[augment]\ntransform = standardize\n"
        "[network]\ninput = 8 8 1\nlayer = conv_bn 64\nlayer = global_max_pool\n"
        "layer = classifier 10\n"
        "[network proxy]\nlayer = conv_bn 3\nlayer = global_max_pool\nlayer = classifier 10\n"
        "keep = 40\n[train]\nlr = 0.1\nbatch = 64\nepochs = 2/22\n";
    fw_recipe *r = NULL;
    fw_run_result result;
    needs fits = {.n = 0}, over = {.n = 0};
    char out[1024];
    assert_ok(fw_recipe_parse(&r, text, "large.recipe"));
    assert_ok(fw_recipe_run(
        r, &(fw_run_opt){.threads = 1, .progress = note_budget, .progress_user = &fits}, &result));
    assert_int_equal(fits.n, 2);
    assert_int_equal(fits.steps, 4);
    assert_true(fits.total[0] < fits.total[1]);
    snprintf(out, sizeof out, "%s", t_path("too-large"));
    const fw_run_opt opt = {.threads = 1,
                            .out = out,
                            .memory_limit = fits.total[1] - 1,
                            .progress = note_budget,
                            .progress_user = &over};
    assert_fails(fw_recipe_run(r, &opt, &result), FW_ENOMEM, "the limit is");
    assert_int_equal(over.n + over.steps, 0);
    assert_false(t_exists(t_path("too-large/proxy")));
    fw_recipe_free(r);
}

static fw_status run_recipe(const char *out, bool resume, int stop, fw_run_result *result)
{
    static const char text[] =
        "[data]\nbundled = digits\nsplit_every = 5\n[augment]\ntransform = standardize\n"
        "[network]\ninput = 8 8 1\nlayer = conv_bn 6\nlayer = global_max_pool\n"
        "layer = classifier 10\n"
        "[network proxy]\nlayer = conv_bn 3\nlayer = global_max_pool\nlayer = classifier 10\n"
        "keep = 20\ntrain_every = 2\n[train]\nlr = 0.1\nbatch = 64\nepochs = 6/22\n";
    fw_recipe *r = NULL;
    assert_ok(fw_recipe_parse(&r, text, "two.recipe"));
    assert_ok(fw_recipe_check(r, NULL));
    const fw_status st = fw_recipe_run(r,
                                       &(fw_run_opt){.out = out,
                                                     .resume = resume,
                                                     .threads = 1,
                                                     .progress = stop_after,
                                                     .progress_user = &stop},
                                       result);
    fw_recipe_free(r);
    return st;
}

static void a_recipe_has_both_phases(void **state)
{
    (void)state;
    fw_run_result whole, part;
    assert_ok(run_recipe(t_path("whole-recipe"), false, 0, &whole));
    assert_int_equal(whole.run.steps, 6);
    assert_true(t_exists(t_path("whole-recipe/proxy/rows.safetensors")));
    for (int stop = 2; stop <= 10; stop += 4) { /* in the first phase, at its end, in the second */
        char out[1024];
        snprintf(out, sizeof out, "%s", t_path("part-recipe-%d", stop));
        assert_fails(run_recipe(out, false, stop, &part), FW_ESTOPPED,
                     stop < 6 ? "[network proxy]: stopped after step 2" : "stopped after step");
        assert_fails(run_recipe(out, false, 0, &part), FW_EEXISTS, "holds a run already");
        assert_ok(run_recipe(out, true, 0, &part));
        assert_true(part.test.loss == whole.test.loss);
        t_assert_same_file(t_path("whole-recipe/model.safetensors"),
                           t_path("part-recipe-%d/model.safetensors", stop));
    }
}

/* As if the steps up to the folder's newest checkpoint had taken so long. */
static void slow_down(const char *folder, int64_t step, double seconds)
{
    char path[1200], line[128];
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    const t_bytes b = t_read(path);
    snprintf(line, sizeof line, "\"event\":\"checkpoint\",\"step\":%d,\"seconds\":", (int)step);
    assert_non_null(strstr((const char *)b.data, line)); /* what it took */
    free(b.data);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fprintf(f, "{%s%g}\n{\"event\":\"checkpoint\",\"step\":%d,\"seconds\":7}\n", line, seconds,
            (int)step + 100); /* and of a step that was done again since */
    assert_int_equal(fclose(f), 0);
}

/* The time of a run is that of all its starts, in both phases. */
static void all_starts_take_time(void **state)
{
    (void)state;
    char out[1024], proxy[1100];
    fw_run_result r;
    snprintf(out, sizeof out, "%s", t_path("starts"));
    snprintf(proxy, sizeof proxy, "%s/proxy", out);
    assert_fails(run_recipe(out, false, 2, &r), FW_ESTOPPED, "step 2");
    slow_down(proxy, 2, 1000);
    assert_fails(run_recipe(out, true, 7, &r), FW_ESTOPPED, "step 3");
    assert_true(r.run.t_train > 1000 && r.run.t_train < 1100);
    slow_down(proxy, 6, 2000);
    slow_down(out, 3, 4000);
    assert_ok(run_recipe(out, true, 0, &r));
    assert_true(r.run.t_train > 6000 && r.run.t_train < 6100);
    assert_true(r.run.t_total >= r.run.t_train && r.run.t_dawn >= r.run.t_total);
    assert_ok(run_recipe(out, true, 0, &r)); /* one that is done took what it took */
    assert_true(r.run.t_train > 6000 && r.run.t_train < 6100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_highest_losses_are_chosen),
        cmocka_unit_test(all_rows_are_no_choice),
        cmocka_unit_test(statistics_move_once),
        cmocka_unit_test(the_proxy_learns_from_marked_rows_alone),
        cmocka_unit_test(the_network_is_fed_marked_rows_alone),
        cmocka_unit_test(only_some_steps_update),
        cmocka_unit_test(stopped_phases_end_the_same),
        cmocka_unit_test(marked_rows_are_counted),
        cmocka_unit_test(bad_ones_are_refused),
        cmocka_unit_test(a_recipe_has_both_phases),
        cmocka_unit_test(both_plans_are_checked_first),
        cmocka_unit_test(all_starts_take_time),
    };
    return cmocka_run_group_tests(tests, make_data, t_drop_data);
}
