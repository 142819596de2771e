/* test_whitened.c: a net of the airbench kind: whitening from the data, pools before norms, frozen
 * scales, an alternating flip, evaluation over views. One seed, one result on any number of threads;
 * a stopped run ends with the same model; views are averaged as if done by hand. (ctest: tsan) */
#include "t_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 37 records in batches of 8, the rest of a pass dropped: the flip turns at every fourth step. */
enum { N = 37, H = 8, W = 8, C = 3, CLASSES = 3, BATCH = 8, STEPS = 11, TEST_BATCH = 10 };

static fw_images images;

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    images = t_images(N, H, W, C, CLASSES, FW_U8);
    assert_ok(fw_write_tfrecord(t_path("d.tfrec"), &images, NULL));
    return 0;
}

static int drop_data(void **state)
{
    t_images_free(&images);
    return t_teardown(state);
}

static fw_layer *net(void)
{
    const fw_layer_opt group = {.init = FW_INIT_DIRAC,
                                .bn_update = 0.4F,
                                .bn_eps = 1e-12F,
                                .bn_fixed_scale = true,
                                .act = FW_GELU,
                                .convs = 2,
                                .pool_first = true};
    fw_layer *l = fw_sequential();
    fw_add(l, fw_whiten(&(fw_whiten_opt){.images = 20, .init = FW_INIT_PYTORCH}));
    fw_add(l, fw_activation(FW_GELU, 0));
    fw_add(l, fw_conv_blk(28, &group));
    fw_add(l, fw_global_max_pool());
    fw_add(l, fw_classifier(CLASSES, 0.0625F, &(fw_layer_opt){.init = FW_INIT_UNIT_STD}));
    return l;
}

/* How a run is made; what is 0 is the usual. */
typedef struct way {
    const char *pattern; /* NULL: from memory */
    int threads;
    fw_tta tta;
    int64_t eval_every;
    fw_dtype precision;
    uint64_t data_seed;
    bool plain_flip;
    const fw_param_group *group; /* NULL: none */
} way;

static fw_dataset *train_data(const way *v)
{
    const fw_transform chain[] = {fw_standardize(C, images.mean, images.std),
                                  v->plain_flip ? fw_random_flip() : fw_alternating_flip(),
                                  fw_random_pad_crop(2), FW_TRANSFORM_END};
    const fw_dataset_opt opt = {
        .batch = BATCH, .training = true, .seed = v->data_seed, .drop_pass_end = true};
    fw_dataset *ds = NULL;
    if (v->pattern == NULL)
        assert_ok(fw_array_dataset(&ds, &images, chain, &opt));
    else
        assert_ok(fw_tfrecord_dataset(&ds, t_path("%s", v->pattern), fw_parse_image_array(H, W, C),
                                      chain, &opt));
    return ds;
}

static fw_dataset *test_data(const fw_images *im)
{
    const fw_transform plain[] = {fw_standardize(C, images.mean, images.std), FW_TRANSFORM_END};
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, im, plain, &(fw_dataset_opt){.batch = TEST_BATCH}));
    return ds;
}

/* One start of the program; folder NULL: none. stop_at 0: to the end. Leaves the model in the
 * folder, or in "model". */
static void run(const way *v, const char *folder, int64_t stop_at, t_trace *trace, fw_metrics *eval)
{
    *trace = (t_trace){.stop_at = stop_at};
    fw_dataset *train = train_data(v), *test = test_data(&images);
    fw_estimator *e = NULL;
    const fw_optimizer sgd =
        fw_sgd(fw_linear_decay_lr(0.3, STEPS), 0.85, &(fw_sgd_opt){.weight_decay = 0.01});
    const fw_estimator_opt opt = {.work_dir = folder,
                                  .threads = v->threads,
                                  .precision = v->precision,
                                  .seed = 5,
                                  .label_smoothing = 0.2,
                                  .groups = v->group,
                                  .n_groups = v->group != NULL,
                                  .eval_data = v->eval_every > 0 ? test : NULL,
                                  .eval_every = v->eval_every,
                                  .tta = v->tta,
                                  .progress = t_record,
                                  .progress_user = trace};
    assert_ok(fw_estimator_new(&e, net(), sgd, &opt));
    const fw_status st = fw_estimator_train(e, train, STEPS);
    if (st != (stop_at == 0 ? FW_OK : FW_ESTOPPED))
        fail_msg("%s", fw_last_error());
    if (eval != NULL)
        assert_ok(fw_estimator_evaluate(e, test, eval));
    if (folder == NULL)
        assert_ok(fw_estimator_save(e, t_path("model")));
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
}

static t_bytes model_of(const way *v)
{
    t_trace trace;
    run(v, NULL, 0, &trace, NULL);
    return t_read(t_path("model"));
}

static bool same(const t_bytes *a, const t_bytes *b)
{
    return a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

static void threads_and_sources_do_not_matter(void **state)
{
    (void)state;
    static const way ways[] = {
        {.threads = 1}, {.threads = 2}, {.threads = 5}, {.pattern = "d.tfrec", .threads = 2}};
    const t_bytes first = model_of(&ways[0]);
    for (size_t i = 1; i < T_COUNT(ways); i++) {
        const t_bytes other = model_of(&ways[i]);
        assert_true(same(&first, &other));
        free(other.data);
    }
    static const way others[] = {{.plain_flip = true}, {.data_seed = 1}};
    for (size_t i = 0; i < T_COUNT(others); i++) {
        const t_bytes other = model_of(&others[i]);
        assert_false(same(&first, &other));
        free(other.data);
    }
    free(first.data);
}

/* A bias whose training is over after 4 steps, and one whose rate is 0 from then on: the same losses and
 * weights, though the former's graph has no way back through the first convolution any more. */
static void what_is_over_is_left_out(void **state)
{
    (void)state;
    static const double knots[] = {0, 3, 4, STEPS}, rates[] = {0.3, 0.3, 0, 0};
    fw_param_group g[2] = {{.optimizer = fw_sgd(fw_constant_lr(0.3), 0.9, NULL), .train_steps = 4},
                           {.optimizer = fw_sgd(fw_piecewise_lr(4, knots, rates), 0.9, NULL)}};
    static const fw_dtype precisions[] = {FW_F32, FW_F64};
    static const char *const names[] = {"0.whiten.bias", "2.0.conv.weight", "2.1.conv.weight",
                                        "4.dense.weight"};
    for (size_t p = 0; p < T_COUNT(precisions); p++) {
        t_trace trace[T_COUNT(g)];
        t_bytes model[T_COUNT(g)];
        for (size_t i = 0; i < T_COUNT(g); i++) {
            g[i].classes = FW_PARAM_WHITEN_BIAS;
            const way v = {.threads = 2, .precision = precisions[p], .group = &g[i]};
            run(&v, NULL, 0, &trace[i], NULL);
            model[i] = t_read(t_path("model"));
        }
        for (int64_t s = 0; s < STEPS; s++)
            assert_true(trace[0].loss[s] == trace[1].loss[s]);
        for (size_t i = 0; i < T_COUNT(names); i++) {
            size_t n = 0, m = 0;
            const uint8_t *a = t_tensor(&model[0], names[i], &n),
                          *b = t_tensor(&model[1], names[i], &m);
            assert_true(n == m && n > 0 && memcmp(a, b, n) == 0);
        }
        for (size_t i = 0; i < T_COUNT(g); i++)
            free(model[i].data);
    }
}

/* Stopped after every step in turn, the run ends with the same files: the filter comes from the
 * checkpoint, and the flip goes on in the pass it was in. Evaluations between change nothing. */
static void a_stopped_run_ends_the_same(void **state)
{
    (void)state;
    const way v = {.threads = 2};
    const way watched = {.threads = 3, .eval_every = 1, .tta = FW_TTA_AIRBENCH6};
    const way chosen = {.threads = 2, .eval_every = 1, .tta = FW_TTA_SELECTIVE};
    t_trace whole, part;
    run(&v, t_path("whole"), 0, &whole, NULL);
    assert_int_equal(whole.n, STEPS);
    for (int64_t stop = 1; stop < STEPS; stop++) {
        const char *dir = t_path("part-%d", (int)stop);
        run(&v, dir, stop, &part, NULL);
        run(stop % 3 == 0 ? &v : stop % 3 == 1 ? &watched : &chosen, dir, 0, &part, NULL);
        assert_int_equal(part.n, STEPS - stop);
        assert_memory_equal(part.loss, whole.loss + stop, (size_t)part.n * sizeof *part.loss);
        t_assert_same_file(t_path("whole/model.safetensors"),
                           t_path("part-%d/model.safetensors", (int)stop));
        t_assert_same_file(t_path("whole/checkpoint-%08d.safetensors", STEPS),
                           t_path("part-%d/checkpoint-%08d.safetensors", (int)stop, STEPS));
    }
}

/* ---- views ---- */

/* crop 0, 1, 2: the place of the crop in the image padded by one pixel. */
static fw_images view_of(const fw_images *im, int crop, bool mirrored)
{
    fw_images out = t_images(N, H, W, C, CLASSES, FW_U8);
    for (int64_t i = 0; i < N; i++)
        for (int64_t y = 0; y < H; y++)
            for (int64_t x = 0; x < W; x++) {
                int64_t sy = y + crop - 1, sx = (mirrored ? W - 1 - x : x) + crop - 1;
                sy = sy < 0 ? 1 : sy == H ? H - 2 : sy;
                sx = sx < 0 ? 1 : sx == W ? W - 2 : sx;
                memcpy((uint8_t *)out.pixels + ((i * H + y) * W + x) * C,
                       (const uint8_t *)im->pixels + ((i * H + sy) * W + sx) * C, C);
            }
    return out;
}

/* What the mean of the logits gives: up to a constant per row they are the logarithms of the
 * probabilities. */
static double largest(const float *p)
{
    float best = p[0];
    for (int k = 1; k < CLASSES; k++)
        best = p[k] > best ? p[k] : best;
    return (double)best;
}

/* Of the records but the quarter with the smallest largest probabilities only the image counts. */
static void keep_the_certain(const float *p, double *sum)
{
    for (int i = 0; i < N; i++) {
        int before = 0; /* records that are less certain; the earlier one of equals */
        for (int j = 0; j < N; j++) {
            const double a = largest(p + j * CLASSES), b = largest(p + i * CLASSES);
            before += a < b || (a == b && j < i);
        }
        for (int k = 0; before >= N / 4 && k < CLASSES; k++)
            sum[i * CLASSES + k] = log((double)p[i * CLASSES + k]);
    }
}

static fw_metrics by_hand(const char *model, fw_tta tta, double smoothing)
{
    static const double weights[4][3] = {
        {0, 1, 0}, {0, 0.5, 0}, {0.125, 0.25, 0.125}, {1.0 / 6, 1.0 / 6, 1.0 / 6}};
    static float p[N * CLASSES];
    double sum[N * CLASSES] = {0};
    fw_metrics m = {.records = N};
    fw_model *net = NULL;
    assert_ok(fw_model_open(&net, model, NULL));
    void *ws = NULL;
    assert_int_equal(posix_memalign(&ws, 64, fw_model_workspace(net)), 0);
    for (int crop = 0; crop < 3; crop++)
        for (int mirrored = 0; mirrored < (tta == FW_TTA_NONE ? 1 : 2); mirrored++) {
            if (weights[tta][crop] == 0)
                continue;
            fw_images view = view_of(&images, crop, mirrored == 1);
            assert_ok(fw_model_predict(net, view.pixels, FW_U8, N, ws, p));
            for (int i = 0; i < N * CLASSES; i++)
                sum[i] += weights[tta][crop] * log((double)p[i]);
            t_images_free(&view);
        }
    if (tta == FW_TTA_SELECTIVE) {
        assert_ok(fw_model_predict(net, images.pixels, FW_U8, N, ws, p));
        keep_the_certain(p, sum);
    }
    for (int i = 0; i < N; i++) {
        const double *s = sum + (size_t)i * CLASSES;
        double total = 0, others = 0;
        int best = 0;
        for (int k = 0; k < CLASSES; k++) {
            total += exp(s[k]);
            best = s[k] > s[best] ? k : best;
        }
        for (int k = 0; k < CLASSES; k++)
            others += (log(total) - s[k]) / CLASSES;
        m.loss += (1 - smoothing) * (log(total) - s[images.labels[i]]) + smoothing * others;
        m.accuracy += best == images.labels[i];
    }
    m.loss /= N;
    m.accuracy /= N;
    free(ws);
    fw_model_close(net);
    return m;
}

static void views_are_averaged(void **state)
{
    (void)state;
    t_trace trace;
    fw_metrics m, plain = {0};
    static const int64_t forwards[] = {N, 2 * N, 6 * N, N + 6 * (N / 4)};
    for (int tta = FW_TTA_NONE; tta <= FW_TTA_SELECTIVE; tta++) {
        const way v = {.threads = 2, .tta = (fw_tta)tta};
        run(&v, NULL, 0, &trace, &m);
        const fw_metrics want = by_hand(t_path("model"), (fw_tta)tta, 0.2);
        assert_int_equal(m.records, N);
        assert_int_equal(m.forwards, forwards[tta]);
        assert_true(fabs(m.loss - want.loss) < 1e-5);
        assert_true(m.accuracy == want.accuracy);
        if (tta == FW_TTA_NONE)
            plain = m;
        assert_true(m.accuracy_plain == plain.accuracy);
        assert_true(m.accuracy > 0.5); /* it has learnt something */
        /* the model's file, in batches of another size */
        fw_model *model = NULL;
        assert_ok(fw_model_open(&model, t_path("model"),
                                &(fw_model_opt){.batch = 7, .tta = (fw_tta)tta}));
        fw_dataset *ds = NULL;
        assert_ok(fw_array_dataset(&ds, &images, fw_model_transforms(model),
                                   &(fw_dataset_opt){.batch = TEST_BATCH}));
        int64_t confusion[CLASSES * CLASSES], right = 0, all = 0;
        fw_metrics judged;
        assert_ok(fw_model_evaluate(model, ds, &judged, confusion));
        assert_int_equal(judged.forwards, forwards[tta]);
        assert_true(judged.accuracy == m.accuracy && judged.accuracy_plain == plain.accuracy);
        assert_true(fabs(judged.loss - by_hand(t_path("model"), (fw_tta)tta, 0).loss) < 1e-5);
        for (int i = 0; i < CLASSES * CLASSES; i++) {
            all += confusion[i];
            right += i % (CLASSES + 1) == 0 ? confusion[i] : 0;
        }
        assert_true(all == N && (double)right / N == m.accuracy);
        fw_dataset_free(ds);
        fw_model_close(model);
    }
}

static void double_precision_takes_views_too(void **state)
{
    (void)state;
    const way v = {.precision = FW_F64, .tta = FW_TTA_MIRROR};
    t_trace trace;
    fw_metrics m;
    run(&v, NULL, 0, &trace, &m);
    const fw_metrics want = by_hand(t_path("model"), FW_TTA_MIRROR, 0.2);
    assert_true(fabs(m.loss - want.loss) < 1e-6 && m.accuracy == want.accuracy);
}

static void what_cannot_be_evaluated_is_refused(void **state)
{
    (void)state;
    fw_estimator *e = NULL;
    assert_fails(fw_estimator_new(&e, net(), t_sgd(0.1), &(fw_estimator_opt){.tta = (fw_tta)7}),
                 FW_EARG, "tta is the number 7");
    fw_model *model = NULL;
    assert_fails(fw_model_open(&model, t_path("model"), &(fw_model_opt){.tta = (fw_tta)-1}),
                 FW_EARG, "tta -1");
    assert_ok(fw_estimator_new(&e, net(), t_sgd(0.1), &(fw_estimator_opt){.tta = FW_TTA_MIRROR}));
    fw_images unlabelled = images;
    unlabelled.labels = NULL;
    fw_dataset *ds = test_data(&unlabelled);
    fw_metrics m;
    assert_fails(fw_estimator_evaluate(e, ds, &m), FW_EARG, "no labels to evaluate against, with");
    assert_int_equal(fw_estimator_classes(e), 0); /* nothing was compiled for it */
    fw_estimator_free(e);
    /* known before the first step, not found out after the first epoch */
    assert_ok(fw_estimator_new(
        &e, net(), t_sgd(0.1),
        &(fw_estimator_opt){.tta = FW_TTA_SELECTIVE, .eval_data = ds, .eval_every = 1}));
    fw_dataset *train = train_data(&(way){.threads = 1});
    assert_fails(fw_estimator_train(e, train, STEPS), FW_EARG, "no labels to evaluate against");
    assert_int_equal(fw_estimator_step(e), 0);
    fw_dataset_free(train);
    fw_dataset_free(ds);
    fw_estimator_free(e);
}

/* A filter that no training image has made yet is no filter of zeros. */
static void nothing_without_training_images(void **state)
{
    (void)state;
    fw_dataset *train = train_data(&(way){.threads = 1}), *test = test_data(&images);
    fw_estimator *e = NULL;
    fw_metrics m;
    assert_ok(fw_estimator_new(&e, net(), fw_sgd(fw_constant_lr(0.1), 0.9, NULL), NULL));
    assert_fails(fw_estimator_evaluate(e, test, &m), FW_ESTATE,
                 "is made from the training images, and there have been none yet");
    assert_fails(fw_estimator_save(e, t_path("zeros")), FW_ESTATE, "zeros: ");
    assert_false(t_exists(t_path("zeros")));
    assert_ok(fw_estimator_prepare(e, train, test, NULL));
    assert_ok(fw_estimator_evaluate(e, test, &m));
    assert_ok(fw_estimator_save(e, t_path("zeros")));
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_sources_do_not_matter),
        cmocka_unit_test(what_is_over_is_left_out),
        cmocka_unit_test(a_stopped_run_ends_the_same),
        cmocka_unit_test(views_are_averaged),
        cmocka_unit_test(double_precision_takes_views_too),
        cmocka_unit_test(what_cannot_be_evaluated_is_refused),
        cmocka_unit_test(nothing_without_training_images),
    };
    return cmocka_run_group_tests(tests, make_data, drop_data);
}
