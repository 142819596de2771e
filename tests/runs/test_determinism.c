/* test_determinism.c: one seed, one result, bit for bit: whatever the number of threads, whatever
 * the data comes from, on each instruction set. (ctest: tsan) */
#include "t_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 61, H = 9, W = 7, C = 3, CLASSES = 4, BATCH = 16, STEPS = 9 };

static fw_images bytes, floats;

static int make_data(void **state)
{
    if (t_setup(state) != 0)
        return -1;
    bytes = t_images(N, H, W, C, CLASSES, FW_U8);
    floats = t_images(N, H, W, C, CLASSES, FW_F32);
    assert_ok(fw_write_tfrecord(t_path("one.tfrec"), &bytes, NULL));
    assert_ok(fw_write_tfrecord(t_path("three.tfrec"), &bytes, &(fw_write_opt){.shards = 3}));
    assert_ok(fw_write_tfrecord(t_path("float.tfrec"), &bytes, &(fw_write_opt){.as_float = true}));
    assert_ok(fw_write_tfrecord(t_path("packed.tfrec"), &bytes,
                                &(fw_write_opt){.compression = FW_GZIP, .shards = 2}));
    return 0;
}

static int drop_data(void **state)
{
    t_images_free(&bytes);
    t_images_free(&floats);
    return t_teardown(state);
}

/* How a run is made; what is 0 is the usual. */
typedef struct way {
    const char *name;
    const char *pattern; /* NULL: from memory */
    bool float_memory, cache;
    int64_t prefetch;
    int threads;
    uint64_t seed, data_seed;
    fw_dtype precision;
    bool folder, adam, groups;
    bool ghost; /* norms in groups that end within blocks of images */
} way;

static fw_dataset *open_data(const way *v, bool training)
{
    const fw_transform chain[] = {fw_standardize(C, bytes.mean, bytes.std), fw_random_pad_crop(1),
                                  fw_random_flip(), fw_cutout(3, 3), FW_TRANSFORM_END};
    const fw_transform plain[] = {fw_standardize(C, bytes.mean, bytes.std), FW_TRANSFORM_END};
    const fw_dataset_opt opt = {.batch = BATCH,
                                .training = training,
                                .seed = v->data_seed,
                                .prefetch = v->prefetch,
                                .cache = v->cache,
                                .shuffle_buffer = 20};
    const fw_transform *list = training ? chain : plain;
    fw_dataset *ds = NULL;
    if (v->pattern == NULL)
        assert_ok(fw_array_dataset(&ds, v->float_memory ? &floats : &bytes, list, &opt));
    else
        assert_ok(fw_tfrecord_dataset(&ds, t_path("%s", v->pattern), fw_parse_image_array(H, W, C),
                                      list, &opt));
    return ds;
}

typedef struct result {
    t_trace trace;
    fw_metrics eval;
    float probabilities[N * CLASSES];
    t_bytes model;
} result;

static fw_layer *ghost_net(void)
{
    fw_layer_opt o = *FW_PYTORCH;
    o.bn_groups = BATCH / 4;
    fw_layer_opt first = o;
    first.pool_first = true;
    first.act = FW_CELU;
    first.act_alpha = 0.3F;
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(6, &o));
    fw_add(net, fw_conv_blk(9, &first));
    fw_add(net, fw_conv_blk(12, &o));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(CLASSES, 0.125F, FW_PYTORCH));
    return net;
}

static void run(const way *v, result *r)
{
    *r = (result){0};
    const fw_estimator_opt opt = {.threads = v->threads,
                                  .seed = v->seed,
                                  .precision = v->precision,
                                  .label_smoothing = 0.1,
                                  .work_dir = v->folder ? t_path("run") : NULL,
                                  .checkpoint_every = 2,
                                  .fresh = true,
                                  .groups = v->groups ? t_groups(0.05) : NULL,
                                  .n_groups = v->groups ? T_GROUPS : 0,
                                  .progress = t_record,
                                  .progress_user = &r->trace};
    const fw_optimizer optimizer =
        v->adam ? fw_adam(fw_one_cycle_lr(0.01, STEPS, 3, FW_DECAY_COSINE), NULL) : t_sgd(0.05);
    fw_estimator *e = NULL;
    assert_ok(
        fw_estimator_new(&e, v->ghost ? ghost_net() : t_net(6, 0.25F, CLASSES), optimizer, &opt));
    fw_dataset *train = open_data(v, true), *test = open_data(v, false);
    assert_ok(fw_estimator_train(e, train, STEPS));
    assert_ok(fw_estimator_evaluate(e, test, &r->eval));
    assert_ok(fw_estimator_predict(e, test, r->probabilities, N, NULL));
    assert_ok(fw_estimator_save(e, t_path("model")));
    assert_int_equal(r->trace.n, STEPS);
    r->eval.seconds = 0;
    r->model = t_read(t_path("model"));
    if (v->folder && getenv("FENWICKS_ISA") != NULL) { /* the kernels asked for, not others */
        const t_bytes config = t_read(t_path("run/config.json"));
        char label[64];
        snprintf(label, sizeof label, "\"cpu (%s, ", getenv("FENWICKS_ISA"));
        assert_non_null(strstr((const char *)config.data, label));
        free(config.data);
    }
    fw_dataset_free(train);
    fw_dataset_free(test);
    fw_estimator_free(e);
}

static void assert_same(const char *name, const result *a, const result *b)
{
    for (int i = 0; i < STEPS; i++)
        if (memcmp(&a->trace.loss[i], &b->trace.loss[i], sizeof a->trace.loss[i]) != 0)
            fail_msg("%s: loss of step %d is %.17g, expected %.17g", name, i + 1, b->trace.loss[i],
                     a->trace.loss[i]);
    if (a->model.n != b->model.n || memcmp(a->model.data, b->model.data, a->model.n) != 0)
        fail_msg("%s: the model's file differs", name);
    assert_memory_equal(&a->eval, &b->eval, sizeof a->eval);
    assert_memory_equal(a->probabilities, b->probabilities, sizeof a->probabilities);
}

/* Runs `first` and then the others, which must agree with it; returns its first loss. */
static double all_the_same(const way *ways, size_t n)
{
    static result first, other;
    run(&ways[0], &first);
    for (size_t i = 1; i < n; i++) {
        run(&ways[i], &other);
        assert_same(ways[i].name, &first, &other);
        free(other.model.data);
    }
    free(first.model.data);
    return first.trace.loss[STEPS - 1];
}

static void test_threads_and_sources(void **state)
{
    (void)state;
    static const way ways[] = {
        {"memory, 1 thread", .threads = 1},
        {"memory, 2 threads", .threads = 2},
        {"memory, 5 threads", .threads = 5},
        {"memory, floats", .threads = 2, .float_memory = true},
        {"memory, nothing ahead", .threads = 2, .prefetch = FW_NONE},
        {"records, 1 thread", "one.tfrec", .threads = 1},
        {"records, 2 threads", "one.tfrec", .threads = 2},
        {"records, 5 threads, 4 ahead", "one.tfrec", .threads = 5, .prefetch = 4},
        {"records, nothing ahead", "one.tfrec", .threads = 1, .prefetch = FW_NONE},
        {"records, cached", "one.tfrec", .threads = 2, .cache = true},
        {"shards", "three.tfrec@3", .threads = 2},
        {"shards by a glob, cached", "three.tfrec-*-of-*", .threads = 1, .cache = true},
        {"records of floats", "float.tfrec", .threads = 2},
        {"with a folder", "one.tfrec", .threads = 2, .folder = true},
    };
    const char *isas[8];
    const int n_isas = t_isas(isas);
    for (int i = 0; i < n_isas; i++) {
        t_use_isa(isas[i]);
        const double loss = all_the_same(ways, T_COUNT(ways));
        print_message("%s: loss of step %d is %.9g on %zu ways\n", isas[i], STEPS, loss,
                      T_COUNT(ways));
    }
    t_use_isa(NULL);
}

/* A source that cannot be sought in has an order of its own: the same for every number of threads.
 */
static void test_compressed_source(void **state)
{
    (void)state;
    static const way ways[] = {
        {"packed, 1 thread", "packed.tfrec@2", .threads = 1},
        {"packed, 2 threads", "packed.tfrec@2", .threads = 2},
        {"packed, 5 threads, nothing ahead", "packed.tfrec@2", .threads = 5, .prefetch = FW_NONE},
        {"packed, 3 ahead", "packed.tfrec@2", .threads = 2, .prefetch = 3},
    };
    all_the_same(ways, T_COUNT(ways));
}

static void test_double_and_adam(void **state)
{
    (void)state;
    static const way f64[] = {
        {"f64, 1 thread", .threads = 1, .precision = FW_F64},
        {"f64, 2 threads", "one.tfrec", .threads = 2, .precision = FW_F64},
        {"f64, 5 threads", "one.tfrec", .threads = 5, .precision = FW_F64},
    };
    static const way adam[] = {
        {"adam, 1 thread", .threads = 1, .adam = true, .seed = 5},
        {"adam, 2 threads", "one.tfrec", .threads = 2, .adam = true, .seed = 5},
        {"adam, 5 threads", "three.tfrec@3", .threads = 5, .adam = true, .seed = 5},
    };
    static const way groups[] = {
        {"groups, 1 thread", .threads = 1, .groups = true},
        {"groups, 2 threads", "one.tfrec", .threads = 2, .groups = true},
        {"groups, 5 threads", "three.tfrec@3", .threads = 5, .groups = true},
    };
    all_the_same(groups, T_COUNT(groups));
    all_the_same(f64, T_COUNT(f64));
    all_the_same(adam, T_COUNT(adam));
}

/* Does this machine train in bf16? */
static bool has_bf16(void)
{
    const char *isas[8];
    const int n = t_isas(isas);
    for (int i = 0; i < n; i++)
        if (strcmp(isas[i], "avx2") == 0)
            return true;
    print_message("bf16: left out, this processor has none\n");
    return false;
}

/* A batch that fills no whole number of blocks in bf16, which is always batch-blocked, and f32 that is not. */
static void test_blocked(void **state)
{
    (void)state;
    static const way bf16[] = {
        {"bf16, 1 thread", .threads = 1, .precision = FW_BF16},
        {"bf16, 2 threads", "one.tfrec", .threads = 2, .precision = FW_BF16},
        {"bf16, 5 threads", "one.tfrec", .threads = 5, .precision = FW_BF16},
    };
    static const way f32[] = {
        {"f32 nhwc, 1 thread", .threads = 1},
        {"f32 nhwc, 2 threads", "one.tfrec", .threads = 2},
        {"f32 nhwc, 5 threads", "one.tfrec", .threads = 5},
    };
    if (has_bf16())
        all_the_same(bf16, T_COUNT(bf16));
    assert_int_equal(setenv("FENWICKS_LAYOUT", "nhwc", 1), 0);
    all_the_same(f32, T_COUNT(f32));
    assert_int_equal(setenv("FENWICKS_LAYOUT", "diagonal", 1), 0);
    fw_estimator *e = NULL;
    assert_fails(fw_estimator_new(&e, t_net(4, 0, CLASSES), t_sgd(0.1), NULL), FW_EARG,
                 "nhwc, blocked");
    assert_int_equal(unsetenv("FENWICKS_LAYOUT"), 0);
}

static void test_ghost_norm(void **state)
{
    (void)state;
    static const way f32[] = {
        {"ghost f32, 1 thread", .threads = 1, .ghost = true},
        {"ghost f32, 2 threads", .threads = 2, .ghost = true},
        {"ghost f32, 5 threads", .threads = 5, .ghost = true},
    };
    static const way bf16[] = {
        {"ghost bf16, 1 thread", .threads = 1, .precision = FW_BF16, .ghost = true},
        {"ghost bf16, 2 threads", .threads = 2, .precision = FW_BF16, .ghost = true},
        {"ghost bf16, 5 threads", .threads = 5, .precision = FW_BF16, .ghost = true},
    };
    all_the_same(f32, T_COUNT(f32));
    if (has_bf16())
        all_the_same(bf16, T_COUNT(bf16));
}

/* Both seeds matter, each by itself: or the tests above would prove little. */
static void test_seeds(void **state)
{
    (void)state;
    static const way ways[] = {
        {"seeds 1 1", .threads = 2, .seed = 1, .data_seed = 1},
        {"seeds 2 1", .threads = 2, .seed = 2, .data_seed = 1},
        {"seeds 1 2", .threads = 2, .seed = 1, .data_seed = 2},
    };
    static result r[T_COUNT(ways)];
    for (size_t i = 0; i < T_COUNT(ways); i++)
        run(&ways[i], &r[i]);
    for (size_t i = 1; i < T_COUNT(ways); i++) {
        assert_true(r[0].trace.loss[0] != r[i].trace.loss[0]);
        assert_true(r[0].trace.loss[STEPS - 1] != r[i].trace.loss[STEPS - 1]);
        assert_true(r[0].model.n != r[i].model.n ||
                    memcmp(r[0].model.data, r[i].model.data, r[0].model.n) != 0);
    }
    for (size_t i = 0; i < T_COUNT(ways); i++)
        free(r[i].model.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_and_sources), cmocka_unit_test(test_compressed_source),
        cmocka_unit_test(test_double_and_adam),     cmocka_unit_test(test_blocked),
        cmocka_unit_test(test_ghost_norm),          cmocka_unit_test(test_seeds),
    };
    return cmocka_run_group_tests_name("determinism", tests, make_data, drop_data);
}
