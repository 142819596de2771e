/* test_model.c: a trained model from its file does what the estimator did: the same probabilities
 * bit for bit, from bytes or floats, on several threads at once; every record counts once, whatever
 * the batch. (ctest: tsan) */
#include "t_runs.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 83, H = 8, W = 7, C = 3, CLASSES = 5, BATCH = 16, THREADS = 4 };

static fw_images bytes, floats;
static float want[N * CLASSES]; /* what the estimator predicts, in batches of BATCH */
static fw_metrics judged;       /* its evaluation */
static char model[600];

static fw_dataset *test_data(const fw_images *im, const fw_transform *chain, int64_t batch)
{
    fw_dataset *ds = NULL;
    assert_ok(fw_array_dataset(&ds, im, chain, &(fw_dataset_opt){.batch = batch}));
    return ds;
}

static int train_one(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    bytes = t_images(N, H, W, C, CLASSES, FW_U8);
    floats = t_images(N, H, W, C, CLASSES, FW_F32);
    snprintf(model, sizeof model, "%s", t_path("m.safetensors"));
    const fw_transform plain[] = {fw_standardize(C, bytes.mean, bytes.std), FW_TRANSFORM_END};
    const fw_transform augmented[] = {plain[0], fw_random_pad_crop(1), fw_random_flip(),
                                      FW_TRANSFORM_END};
    static const char *const names[CLASSES] = {"plane", "car \"2\"", "Vögel", "cat", "deer"};
    fw_dataset *train = NULL, *test = test_data(&bytes, plain, BATCH);
    assert_ok(fw_array_dataset(&train, &bytes, augmented,
                               &(fw_dataset_opt){.batch = BATCH, .training = true}));
    fw_estimator *e = NULL;
    assert_ok(fw_estimator_new(
        &e, t_net(6, 0.2F, CLASSES), t_sgd(0.3),
        &(fw_estimator_opt){.threads = 2, .class_names = names, .n_class_names = CLASSES}));
    assert_ok(fw_estimator_train(e, train, 30));
    int64_t rows = 0;
    assert_ok(fw_estimator_evaluate(e, test, &judged));
    assert_ok(fw_estimator_predict(e, test, want, N, &rows));
    assert_int_equal(rows, N);
    assert_ok(fw_estimator_save(e, model));
    /* Whatever the batch is, every record counts once. */
    static const int64_t sizes[] = {1, 2, 5, N, N + 20};
    for (size_t i = 0; i < T_COUNT(sizes); i++) {
        fw_dataset *ds = test_data(&bytes, plain, sizes[i]);
        fw_metrics m;
        assert_ok(fw_estimator_evaluate(e, ds, &m));
        assert_int_equal(m.records, N);
        assert_true(m.accuracy == judged.accuracy);
        assert_true(fabs(m.loss - judged.loss) <= 1e-5 * judged.loss);
        fw_dataset_free(ds);
    }
    fw_dataset *whole = NULL;
    assert_ok(fw_array_dataset(&whole, &bytes, plain,
                               &(fw_dataset_opt){.batch = BATCH, .drop_remainder = true}));
    fw_metrics m;
    assert_ok(fw_estimator_evaluate(e, whole, &m));
    assert_int_equal(m.records, N / BATCH * BATCH);
    fw_dataset_free(whole);
    fw_dataset_free(train);
    fw_dataset_free(test);
    fw_estimator_free(e);
    return 0;
}

static int drop_all(void **state)
{
    t_images_free(&bytes);
    t_images_free(&floats);
    return t_teardown(state);
}

static void *workspace_of(const fw_model *m)
{
    void *p = aligned_alloc(64, (fw_model_workspace(m) + 63) / 64 * 64);
    assert_non_null(p);
    return p;
}

static void test_rows_are_probabilities(void **state)
{
    (void)state;
    int64_t hits = 0;
    for (int i = 0; i < N; i++) {
        double sum = 0;
        int best = 0;
        for (int k = 0; k < CLASSES; k++) {
            const float p = want[i * CLASSES + k];
            assert_true(p >= 0 && p <= 1);
            sum += (double)p;
            if (p > want[i * CLASSES + best])
                best = k;
        }
        assert_true(fabs(sum - 1) < 1e-5);
        hits += best == bytes.labels[i];
    }
    assert_int_equal(judged.records, N);
    assert_true(fabs(judged.accuracy - (double)hits / N) < 1e-12);
    assert_true(judged.accuracy > 0.5); /* it has learnt something: chance is 0.2 */
}

static void test_same_bits(void **state)
{
    (void)state;
    const fw_images *sets[] = {&bytes, &floats};
    for (int threads = 0; threads <= 3; threads++)
        for (int64_t batch = BATCH; batch <= 33; batch += 17) {
            fw_model *m = NULL;
            assert_ok(
                fw_model_open(&m, model, &(fw_model_opt){.batch = batch, .threads = threads}));
            void *workspace = workspace_of(m);
            for (size_t s = 0; s < T_COUNT(sets); s++) {
                static float got[N * CLASSES + 1];
                got[N * CLASSES] = -7;
                assert_ok(fw_model_predict(m, sets[s]->pixels, sets[s]->dtype, N, workspace, got));
                assert_true(got[N * CLASSES] == -7.0F); /* not a value too much */
                for (int i = 0; i < N * CLASSES; i++)
                    if (batch == BATCH ? memcmp(&got[i], &want[i], sizeof *got) != 0
                                       : !(fabsf(got[i] - want[i]) <= 1e-5F))
                        fail_msg("batch %d, %s: value %d is %.9g, expected %.9g", (int)batch,
                                 fw_dtype_name(sets[s]->dtype), i, (double)got[i], (double)want[i]);
            }
            free(workspace);
            fw_model_close(m);
        }
}

/* ---- several threads on one model ---- */

typedef struct caller {
    const fw_model *m;
    void *workspace;
    float *out;
    int first, wrong;
    fw_status st;
} caller;

static void *call_again(void *arg)
{
    caller *c = arg;
    for (int round = 0; round < 12 && c->st == FW_OK; round++)
        for (int turn = 0; turn < 2 && c->st == FW_OK; turn++) {
            const fw_images *im = turn == 0 ? &bytes : &floats;
            /* Each begins elsewhere, at a batch's start: in other company a row may round
             * differently. */
            const int at = (c->first + round) % 5 * BATCH;
            const char *p =
                (const char *)im->pixels + (size_t)(at * H * W * C) * fw_dtype_size(im->dtype);
            memset(c->out, 0, N * CLASSES * sizeof *c->out);
            c->st = fw_model_predict(c->m, p, im->dtype, N - at, c->workspace, c->out);
            c->wrong += memcmp(c->out, want + at * CLASSES,
                               (size_t)((N - at) * CLASSES) * sizeof *c->out) != 0;
        }
    return NULL;
}

static void test_several_threads(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 2; threads += 2) {
        fw_model *m = NULL;
        assert_ok(fw_model_open(&m, model, &(fw_model_opt){.batch = BATCH, .threads = threads}));
        caller callers[THREADS] = {0};
        pthread_t ids[THREADS];
        for (int i = 0; i < THREADS; i++) {
            callers[i] = (caller){.m = m, .workspace = workspace_of(m), .first = i};
            callers[i].out = calloc(N * CLASSES, sizeof(float));
            assert_non_null(callers[i].out);
        }
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&ids[i], NULL, call_again, &callers[i]), 0);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(ids[i], NULL), 0);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(callers[i].st, FW_OK);
            assert_int_equal(callers[i].wrong, 0);
            free(callers[i].out);
            free(callers[i].workspace);
        }
        fw_model_close(m);
    }
}

static void test_info(void **state)
{
    (void)state;
    fw_model *m = NULL;
    assert_ok(fw_model_open(&m, model, NULL));
    fw_model_info info;
    fw_model_info_get(m, &info);
    assert_int_equal(info.h, H);
    assert_int_equal(info.w, W);
    assert_int_equal(info.c, C);
    assert_int_equal(info.n_classes, CLASSES);
    assert_string_equal(info.class_names[1], "car \"2\"");
    assert_string_equal(info.class_names[2], "Vögel");
    assert_string_equal(info.version, fw_version());
    assert_non_null(strstr(info.layers, "dropout"));
    fw_model_cost cost;
    fw_layer *net = t_net(6, 0.2F, CLASSES);
    assert_ok(fw_layer_cost(net, H, W, C, &cost));
    assert_int_equal(info.params, cost.params + cost.statistics);
    fw_layer_free(net);
    const fw_transform *t = fw_model_transforms(m);
    assert_int_equal(t[0].kind, FW_TRANSFORM_STANDARDIZE);
    for (int i = 0; i < C; i++) {
        assert_true(t[0].mean[i] == bytes.mean[i]);
        assert_true(t[0].std[i] == bytes.std[i]);
    }
    assert_int_equal(t[1].kind, FW_TRANSFORM_NONE);
    fw_model_close(m);
}

/* An empty list of classes says as much as none: nobody reads names that are not there. */
static void test_no_names(void **state)
{
    (void)state;
    static const char key[] = "\"classes\":\"";
    t_bytes b = t_read(model);
    unsigned char *at = b.data;
    while (at + sizeof key < b.data + b.n && memcmp(at, key, sizeof key - 1) != 0)
        at++;
    assert_true(at + sizeof key < b.data + b.n);
    at += sizeof key - 1;
    for (int i = 0; *at != '"'; i++) { /* the text's end; its own quotes are quoted */
        at += *at == '\\' ? (*at = ' ', 1) : 0;
        *at++ = (unsigned char)(i == 0 ? '[' : i == 1 ? ']' : ' ');
    }
    t_write(t_path("nameless"), b.data, b.n);
    free(b.data);
    fw_model *m = NULL;
    fw_model_info info;
    static float out[N * CLASSES];
    assert_ok(fw_model_open(&m, t_path("nameless"), NULL));
    fw_model_info_get(m, &info);
    assert_int_equal(info.n_classes, CLASSES);
    assert_null(info.class_names);
    char *const workspace = workspace_of(m);
    assert_ok(fw_model_predict(m, bytes.pixels, FW_U8, N, workspace, out));
    free(workspace);
    fw_model_close(m);
}

static void test_evaluate(void **state)
{
    (void)state;
    for (int64_t batch = 1; batch <= 64; batch = batch * 3 + 1) {
        fw_model *m = NULL;
        assert_ok(fw_model_open(&m, model, &(fw_model_opt){.batch = batch, .threads = 2}));
        fw_dataset *ds = test_data(&bytes, fw_model_transforms(m), 20);
        fw_metrics got;
        int64_t confusion[CLASSES * CLASSES], trace = 0, sum = 0;
        assert_ok(fw_model_evaluate(m, ds, &got, confusion));
        assert_int_equal(got.records, N);
        assert_true(got.accuracy == judged.accuracy);
        assert_true(fabs(got.loss - judged.loss) <= 1e-5 * judged.loss);
        for (int i = 0; i < CLASSES; i++) {
            int64_t row = 0, of_class = 0;
            for (int k = 0; k < CLASSES; k++)
                row += confusion[i * CLASSES + k];
            for (int k = 0; k < N; k++)
                of_class += bytes.labels[k] == i;
            assert_int_equal(row, of_class);
            trace += confusion[i * CLASSES + i];
            sum += row;
        }
        assert_int_equal(sum, N);
        assert_int_equal(trace, (int64_t)lround(judged.accuracy * N));
        fw_metrics again;
        assert_ok(fw_model_evaluate(m, ds, &again, NULL)); /* a data set may be used again */
        assert_true(again.loss == got.loss && again.accuracy == got.accuracy);
        fw_dataset_free(ds);
        fw_model_close(m);
    }
}

static void test_refused(void **state)
{
    (void)state;
    fw_model *m = NULL;
    assert_fails(fw_model_open(&m, t_path("none.safetensors"), NULL), FW_ENOTFOUND, "none.safe");
    assert_fails(fw_model_open(&m, model, &(fw_model_opt){.batch = -1}), FW_EARG, "batch -1");
    assert_ok(fw_model_open(&m, model, NULL));
    char *workspace = workspace_of(m);
    static float out[N * CLASSES];
    assert_fails(fw_model_predict(m, bytes.pixels, FW_F64, 1, workspace, out), FW_EARG, "f64");
    assert_fails(fw_model_predict(m, bytes.pixels, FW_U8, 1, workspace + 4, out), FW_EARG,
                 "64-byte");
    assert_fails(fw_model_predict(m, bytes.pixels, FW_U8, -1, workspace, out), FW_EARG, "negative");
    assert_fails(fw_model_predict(m, NULL, FW_U8, 1, workspace, out), FW_EARG, "NULL");
    assert_ok(fw_model_predict(m, bytes.pixels, FW_U8, 0, workspace, out)); /* none is fine */
    fw_metrics got;
    fw_dataset *ds = NULL;
    fw_images im = t_images(10, H, W + 1, C, CLASSES, FW_U8);
    ds = test_data(&im, NULL, 4);
    assert_fails(fw_model_evaluate(m, ds, &got, NULL), FW_ESHAPE, "8 x 8 x 3");
    fw_dataset_free(ds);
    t_images_free(&im);
    im = t_images(10, H, W, C, CLASSES, FW_U8);
    im.labels[6] = CLASSES; /* a class too many */
    im.n_classes = CLASSES + 1;
    ds = test_data(&im, fw_model_transforms(m), 4);
    assert_fails(fw_model_evaluate(m, ds, &got, NULL), FW_EFORMAT,
                 "memory: record 6: label 5 is outside the 5 classes");
    im.labels[6] = -1;
    assert_fails(fw_model_evaluate(m, ds, &got, NULL), FW_EFORMAT,
                 "memory: record 6: there is no label");
    fw_dataset_free(ds);
    t_images_free(&im);
    assert_ok(fw_array_dataset(&ds, &bytes, NULL, &(fw_dataset_opt){.batch = 4, .training = true}));
    assert_fails(fw_model_evaluate(m, ds, &got, NULL), FW_EARG, "without .training");
    fw_dataset_free(ds);
    free(workspace);
    fw_model_close(m);
    fw_model_close(NULL);
}

/* A model of doubles is one too. */
static void test_double(void **state)
{
    (void)state;
    const fw_transform plain[] = {fw_standardize(C, bytes.mean, bytes.std), FW_TRANSFORM_END};
    fw_dataset *train = NULL, *test = test_data(&bytes, plain, BATCH);
    assert_ok(fw_array_dataset(&train, &bytes, plain,
                               &(fw_dataset_opt){.batch = BATCH, .training = true}));
    fw_estimator *e = NULL;
    static float p[N * CLASSES], q[N * CLASSES];
    assert_ok(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.3),
                               &(fw_estimator_opt){.precision = FW_F64}));
    assert_ok(fw_estimator_train(e, train, 3));
    assert_ok(fw_estimator_predict(e, test, p, N, NULL));
    assert_ok(fw_estimator_save(e, t_path("d.safetensors")));
    fw_model *m = NULL;
    assert_ok(fw_model_open(&m, t_path("d.safetensors"), &(fw_model_opt){.batch = BATCH}));
    void *workspace = workspace_of(m);
    assert_ok(fw_model_predict(m, bytes.pixels, FW_U8, N, workspace, q));
    assert_memory_equal(p, q, sizeof p);
    free(workspace);
    fw_model_close(m);
    fw_estimator_free(e);
    fw_dataset_free(train);
    fw_dataset_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_probabilities),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_several_threads),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_no_names),
        cmocka_unit_test(test_evaluate),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_double),
    };
    return cmocka_run_group_tests_name("model", tests, train_one, drop_all);
}
