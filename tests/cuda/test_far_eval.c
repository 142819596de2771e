/* test_far_eval.c: evaluation and prediction ahead of the host (eval_ahead.h) against the same batch by
 * batch and fed by the host, on a device with memory of its own: the same bits, whatever the views, the
 * precision and the weights; and how little the host has to do for them. */
#include "estimator.h"
#include "t_fed.h"

/* How batches come: by windows, one by one, or from the host. */
typedef enum way { AHEAD, SINGLE, FED } way;

typedef struct how {
    fw_tta tta;
    fw_dtype precision;
    bool average;
    double smoothing;
} how;

/* A head that sees places: then what it says hangs on the view. */
static fw_layer *net_of_places(void)
{
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(4, FW_PYTORCH));
    fw_add(net, fw_flatten());
    fw_add(net, fw_classifier(CLASSES, 0.125f, FW_PYTORCH));
    return net;
}

static void open_new(t_fed *r, const how *h, way w)
{
    t_fed_open(r, w == FED, h->tta, h->precision, NULL);
    fw_estimator_free(r->e);
    const fw_estimator_opt opt = {
        .device = "far",
        .precision = h->precision,
        .seed = 5,
        .threads = 1,
        .tta = h->tta,
        .label_smoothing = h->smoothing,
        .host_batches = w == FED,
        .average = h->average ? (fw_average){.kind = FW_AVERAGE_EMA, .decay = 0.5, .start = 1}
                              : (fw_average){0}};
    t_far_one_by_one = w == SINGLE;
    const fw_status st = fw_estimator_new(&r->e, net_of_places(), t_sgd(0.05), &opt);
    t_far_one_by_one = false;
    assert_ok(st);
}

/* Two steps, so that weights, averages and statistics are those of no beginning. */
static void open_trained(t_fed *r, const how *h, way w)
{
    open_new(r, h, w);
    assert_ok(fw_estimator_train(r->e, r->train, 2));
}

static void assert_same_metrics(const fw_metrics *a, const fw_metrics *b)
{
    assert_true(a->loss == b->loss && a->accuracy == b->accuracy &&
                a->accuracy_plain == b->accuracy_plain);
    assert_true(a->records == b->records && a->forwards == b->forwards);
}

static void compare(how h)
{
    static float rows[3][N * CLASSES];
    fw_metrics got[3][2];
    for (int w = 0; w < 3; w++) {
        t_fed r;
        open_trained(&r, &h, (way)w);
        assert_ok(fw_estimator_evaluate(r.e, r.test, &got[w][0]));
        assert_ok(fw_estimator_predict(r.e, r.test, rows[w], N, NULL));
        assert_ok(fw_estimator_evaluate(r.e, r.test, &got[w][1])); /* of recordings alone */
        if (w != FED)
            t_fed_explained(r.e, "batches for evaluation: made on the device, of 45 images");
        t_fed_close(&r);
        assert_same_metrics(&got[w][1], &got[w][0]);
        assert_same_metrics(&got[w][0], &got[0][0]);
        assert_memory_equal(rows[w], rows[0], sizeof rows[0]);
    }
    assert_int_equal(got[0][0].records, N);
    /* the other views change what some images are taken for */
    if (h.tta == FW_TTA_MIRROR || h.tta == FW_TTA_AIRBENCH6)
        assert_true(got[0][0].accuracy != got[0][0].accuracy_plain);
}

static void test_same_bits(void **state)
{
    (void)state;
    static const fw_tta ttas[] = {FW_TTA_NONE, FW_TTA_MIRROR, FW_TTA_AIRBENCH6, FW_TTA_SELECTIVE};
    for (size_t i = 0; i < T_COUNT(ttas) && !T_SANITIZED; i++) /* minutes */
        compare((how){.tta = ttas[i], .smoothing = i % 2 == 0 ? 0.1 : 0});
    compare((how){.tta = FW_TTA_MIRROR, .precision = FW_BF16});
    compare((how){.tta = FW_TTA_NONE, .precision = FW_F16});
    compare((how){.tta = FW_TTA_SELECTIVE, .precision = FW_F16, .average = true});
    compare((how){.tta = FW_TTA_NONE, .average = true});
}

/* A data set that draws at random where it is evaluated, of a fold: the images are those
 * of its seed, whoever makes them. */
static void test_random_views(void **state)
{
    (void)state;
    const fw_transform list[] = {fw_standardize(C, t_fed_images.mean, t_fed_images.std),
                                 fw_random_pad_crop(2), fw_random_flip(), FW_TRANSFORM_END};
    fw_metrics got[3][2];
    for (int w = 0; w < 3; w++) {
        t_fed r;
        open_trained(&r, &(how){.tta = FW_TTA_MIRROR}, (way)w);
        for (int seed = 0; seed < 2; seed++) {
            fw_dataset *ds = NULL;
            assert_ok(fw_array_dataset(
                &ds, &t_fed_images, list,
                &(fw_dataset_opt){.batch = BATCH, .seed = 40 + (uint64_t)seed, .folds = 3}));
            assert_ok(fw_estimator_evaluate(r.e, ds, &got[w][seed]));
            assert_same_metrics(&got[w][seed], &got[0][seed]);
            fw_dataset_free(ds);
        }
        t_fed_close(&r);
    }
    assert_true(got[0][0].loss != got[0][1].loss);
    assert_int_equal(got[0][0].records, N / 3);
}

/* What an evaluation costs that is not its first: a recording for each view of each batch, and for each
 * pass the rows and the turn up, and one table down. */
static void test_little_to_do(void **state)
{
    (void)state;
    static const struct {
        fw_tta tta;
        int64_t looks, passes;
    } want[] = {{FW_TTA_NONE, 3, 1},
                {FW_TTA_AIRBENCH6, 3 * 6, 1},
                {FW_TTA_SELECTIVE, 3 + 6, 2}}; /* 11 of 45 are chosen: one batch */
    for (size_t i = 0; i < T_COUNT(want); i++) {
        t_fed r;
        fw_metrics m;
        open_trained(&r, &(how){.tta = want[i].tta}, AHEAD);
        assert_ok(fw_estimator_evaluate(r.e, r.test, &m));
        const int64_t replays = t_far_replays(), copies = t_far_copies(), made = t_far_batches();
        assert_ok(fw_estimator_evaluate(r.e, r.test, &m));
        assert_int_equal(t_far_replays() - replays, want[i].looks);
        assert_int_equal(t_far_batches() - made, want[i].looks);
        assert_int_equal(t_far_copies() - copies, 3 * want[i].passes);
        t_fed_close(&r);
    }
}

/* What was built before a run holds its evaluations too, of the weights and of their averages: the first
 * one records nothing, and allocates nothing on the device. */
static void test_built(void **state)
{
    (void)state;
    static const struct {
        fw_tta tta;
        int64_t looks;
    } want[] = {{FW_TTA_NONE, 3}, {FW_TTA_MIRROR, 3 * 2}, {FW_TTA_SELECTIVE, 3 + 6}};
    for (size_t i = 0; i < T_COUNT(want); i++) {
        const how h = {.tta = want[i].tta, .average = true};
        t_fed r;
        fw_metrics alone, built;
        open_trained(&r, &h, SINGLE);
        assert_ok(fw_estimator_evaluate(r.e, r.test, &alone));
        t_fed_close(&r);
        open_new(&r, &h, AHEAD);
        assert_ok(fwi_estimator_build(r.e, r.train, r.test, 2));
        assert_ok(fwi_estimator_restart(r.e, 5, NULL));
        assert_ok(fw_estimator_train(r.e, r.train, 2));
        const int64_t replays = t_far_replays(), blocks = r.e->device->allocations;
        assert_ok(fw_estimator_evaluate(r.e, r.test, &built));
        assert_int_equal(t_far_replays() - replays, want[i].looks);
        assert_int_equal(r.e->device->allocations, blocks);
        assert_same_metrics(&built, &alone);
        fw_dataset_free(r.train);
        fw_dataset_free(r.test);
        fw_estimator_free(r.e);
    }
}

static void open_tiny(fw_estimator **e, int64_t n_classes, bool fed)
{
    fw_layer *net = fw_sequential();
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(n_classes, 0.125f, FW_PYTORCH));
    assert_ok(fw_estimator_new(
        e, net, t_sgd(0.05),
        &(fw_estimator_opt){.device = "far", .threads = 1, .seed = 3, .host_batches = fed}));
}

/* More batches than a table has lines. */
static void test_windows(void **state)
{
    (void)state;
    enum { MANY = 70, WINDOWS = 2 };
    fw_images images = t_images(MANY, SIDE, SIDE, C, CLASSES, FW_U8);
    const fw_transform plain[] = {fw_standardize(C, images.mean, images.std), FW_TRANSFORM_END};
    fw_metrics got[2];
    for (int fed = 0; fed < 2; fed++) {
        fw_dataset *ds = NULL;
        fw_estimator *e = NULL;
        open_tiny(&e, CLASSES, fed == 1);
        assert_ok(fw_array_dataset(&ds, &images, plain, &(fw_dataset_opt){.batch = 1}));
        assert_ok(fw_estimator_evaluate(e, ds, &got[fed]));
        const int64_t copies = t_far_copies();
        assert_ok(fw_estimator_evaluate(e, ds, &got[fed]));
        if (fed == 0)
            assert_int_equal(t_far_copies() - copies, 3 * WINDOWS);
        fw_estimator_free(e);
        fw_dataset_free(ds);
    }
    assert_int_equal(got[0].records, MANY);
    assert_same_metrics(&got[0], &got[1]);
    t_images_free(&images);
}

/* Classes of which the table holds fewer batches' probabilities than there are. */
static void test_many_classes(void **state)
{
    (void)state;
    enum { WIDE = 1 << 15, WINDOWS = 2 };
    static float rows[2][N * WIDE];
    const fw_transform plain[] = {fw_standardize(C, t_fed_images.mean, t_fed_images.std),
                                  FW_TRANSFORM_END};
    for (int fed = 0; fed < 2; fed++) {
        fw_dataset *ds = NULL;
        fw_estimator *e = NULL;
        fw_metrics m;
        open_tiny(&e, WIDE, fed == 1);
        assert_ok(fw_array_dataset(&ds, &t_fed_images, plain, &(fw_dataset_opt){.batch = BATCH}));
        assert_ok(fw_estimator_evaluate(e, ds, &m)); /* images and weights are there now */
        const int64_t copies = t_far_copies();
        assert_ok(fw_estimator_predict(e, ds, rows[fed], N, NULL));
        if (fed == 0)
            assert_int_equal(t_far_copies() - copies, 3 * WINDOWS);
        fw_estimator_free(e);
        fw_dataset_free(ds);
    }
    assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
}

/* A device that keeps no recording says the same; one that has no memory for images lets the host feed it. */
static void test_without(void **state)
{
    (void)state;
    const how h = {.tta = FW_TTA_MIRROR};
    t_fed r;
    fw_metrics want, got;
    open_trained(&r, &h, FED);
    assert_ok(fw_estimator_evaluate(r.e, r.test, &want));
    t_fed_close(&r);
    t_far_refuses = true;
    open_trained(&r, &h, AHEAD);
    const int64_t replays = t_far_replays();
    const fw_status st = fw_estimator_evaluate(r.e, r.test, &got);
    t_far_refuses = false;
    assert_ok(st);
    assert_int_equal(t_far_replays(), replays);
    assert_same_metrics(&got, &want);
    t_fed_close(&r);
    open_trained(&r, &h, AHEAD);
    t_far_refuses_block = 1; /* the images' */
    assert_ok(fw_estimator_evaluate(r.e, r.test, &got));
    t_far_refuses_block = 0;
    t_fed_explained(r.e, "batches for evaluation: made on the host: memory for images");
    assert_same_metrics(&got, &want);
    t_fed_close(&r);
}

/* A prediction takes whatever labels there are; an evaluation behind it still looks at them. */
static void test_labels(void **state)
{
    (void)state;
    t_fed r;
    fw_metrics m;
    static float rows[N * CLASSES];
    int32_t *const labels = (int32_t *)(uintptr_t)t_fed_images.labels;
    const int32_t was = labels[9];
    int64_t n = 0;
    open_trained(&r, &(how){.tta = FW_TTA_NONE}, AHEAD);
    labels[9] = CLASSES;
    assert_ok(fw_estimator_predict(r.e, r.test, rows, N, &n));
    assert_int_equal(n, N);
    assert_fails(fw_estimator_evaluate(r.e, r.test, &m), FW_EFORMAT, "record 9");
    labels[9] = was;
    assert_ok(fw_estimator_evaluate(r.e, r.test, &m));
    t_fed_close(&r);
}

/* A model's file: evaluations with each kind of views and predictions, in batches that are the data set's
 * and that are not, against a device that goes batch by batch. */
static void test_model(void **state)
{
    (void)state;
    static const fw_tta ttas[] = {FW_TTA_NONE, FW_TTA_MIRROR, FW_TTA_SELECTIVE};
    static const int64_t batches[] = {BATCH, 7};
    static float rows[2][2][N * CLASSES];
    t_fed r;
    open_trained(&r, &(how){.tta = FW_TTA_NONE}, AHEAD);
    assert_ok(fw_estimator_save(r.e, t_path("m.safetensors")));
    for (size_t t = 0; t < T_COUNT(ttas); t++)
        for (size_t i = 0; i < T_COUNT(batches); i++) {
            fw_metrics got[2];
            int64_t confusion[2][CLASSES * CLASSES];
            for (int single = 0; single < 2; single++) {
                fw_model *m = NULL;
                void *ws = NULL;
                t_far_one_by_one = single == 1;
                const fw_status st = fw_model_open(
                    &m, t_path("m.safetensors"),
                    &(fw_model_opt){.device = "far", .batch = batches[i], .tta = ttas[t]});
                t_far_one_by_one = false;
                assert_ok(st);
                int64_t made = t_far_batches();
                assert_ok(fw_model_evaluate(m, r.test, &got[single], confusion[single]));
                assert_true((t_far_batches() > made) == !single);
                assert_int_equal(posix_memalign(&ws, 64, fw_model_workspace(m)), 0);
                made = t_far_batches();
                const int64_t copies = t_far_copies();
                assert_ok(fw_model_predict(m, t_fed_images.pixels, FW_U8, N, ws, rows[single][i]));
                assert_int_equal(t_far_batches() - made,
                                 single ? 0 : (N + batches[i] - 1) / batches[i]);
                if (!single) /* images, rows and the turn up, one table down */
                    assert_int_equal(t_far_copies() - copies, 4);
                free(ws);
                fw_model_close(m);
            }
            assert_same_metrics(&got[0], &got[1]);
            assert_int_equal(got[0].records, N);
            assert_memory_equal(confusion[0], confusion[1], sizeof confusion[0]);
            assert_memory_equal(rows[0][i], rows[1][i], sizeof rows[0][i]);
        }
    t_fed_close(&r);
}

/* Whichever block the device has not, a model cannot be opened, or its images come from the host. */
static void test_model_memory(void **state)
{
    (void)state;
    static float want[N * CLASSES], got[N * CLASSES];
    t_fed r;
    int opened = 0;
    bool all_given = false;
    open_trained(&r, &(how){.tta = FW_TTA_NONE}, AHEAD);
    assert_ok(fw_estimator_save(r.e, t_path("m.safetensors")));
    assert_ok(fw_estimator_predict(r.e, r.test, want, N, NULL));
    for (int n = 1; !all_given; n++) {
        fw_model *m = NULL;
        void *ws = NULL;
        t_far_refuses_block = n;
        const fw_status st = fw_model_open(&m, t_path("m.safetensors"),
                                           &(fw_model_opt){.device = "far", .batch = BATCH});
        all_given = t_far_refuses_block > 0;
        t_far_refuses_block = 0;
        if (st != FW_OK) {
            assert_int_equal(st, FW_ENOMEM);
            continue;
        }
        opened++;
        const int64_t made = t_far_batches();
        assert_int_equal(posix_memalign(&ws, 64, fw_model_workspace(m)), 0);
        assert_ok(fw_model_predict(m, t_fed_images.pixels, FW_U8, N, ws, got));
        assert_true((t_far_batches() > made) == all_given);
        assert_memory_equal(got, want, sizeof got);
        free(ws);
        fw_model_close(m);
    }
    assert_int_equal(opened, 2);
    t_fed_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),    cmocka_unit_test(test_random_views),
        cmocka_unit_test(test_little_to_do), cmocka_unit_test(test_built),
        cmocka_unit_test(test_windows),      cmocka_unit_test(test_many_classes),
        cmocka_unit_test(test_without),      cmocka_unit_test(test_labels),
        cmocka_unit_test(test_model),        cmocka_unit_test(test_model_memory),
    };
    return cmocka_run_group_tests(tests, t_fed_setup, t_fed_teardown);
}
