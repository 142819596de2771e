/* test_layers.c: every layer kind as numbers. In double, on whatever kernels a plan of doubles
 * takes:
 *   - the gradient of a small net around each layer against central differences along random
 *     directions (docs/numerics.md, "Gradients"), in training and in evaluation mode;
 *   - each block against the single layers that it stands for: the same bits;
 *   - the walk-through's order in the residual block, the halves of global_pools, dropout's mean.
 * Ops alone are tested beside this file, whole nets against PyTorch in test_davidnet.c. */

#include "t_ops.h"

#include <fenwicks/layers.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer_inner.h"
#include "nn.h"

enum { BATCH = 3, SIDE = 6, DEPTH = 2, CLASSES = 4, VALUES = BATCH * SIDE * SIDE * DEPTH };

/* Uniform in +-1. */
static double draw(uint32_t pass, int64_t i)
{
    uint32_t w[4];
    fwi_rng_block(11, FWI_RNG_TEST, pass, (uint64_t)i / 4, 0, w);
    return 2 * fwi_unit(w[i % 4]) - 1;
}

/* ---- a net that can be run ---- */

typedef struct net {
    fwi_device *device;
    fwi_store *store;
    fwi_plan *plan;
    void *scratch;
    double x[VALUES];
    int32_t labels[BATCH];
    int64_t rng[2];
    int64_t width; /* of the output */
} net;

/* Takes l. The output is flattened; with_loss: [n,CLASSES] with a loss and gradients behind it. */
static void open_net(net *t, fw_layer *l, bool training, bool with_loss)
{
    fwi_graph *g = NULL;
    fwi_val params[64], grads[64];
    memset(t, 0, sizeof *t);
    for (int i = 0; i < VALUES; i++)
        t->x[i] = 2 * draw(1, i);
    for (int i = 0; i < BATCH; i++)
        t->labels[i] = (i * 3 + 1) % CLASSES;
    t->rng[0] = 5;
    t->rng[1] = 17;
    t_require(fwi_device_open(&t->device, "cpu", &(fwi_device_opt){.threads = 1}));
    t_require(fwi_graph_new(&g, FW_F64));
    const fwi_val x = fwi_graph_input(g, "x", FW_F64, fwi_shape4(BATCH, SIDE, SIDE, DEPTH));
    fwi_val y = fwi_layer_build(l, g, x, training);
    t_require(fwi_graph_status(g));
    t->width = fwi_shape_elems(&g->tensors[y].shape) / BATCH;
    if (g->tensors[y].kind != FWI_TEMP) /* an identity: a plan's outputs are made by ops */
        y = fwi_op1(g, FWI_OP_scale, &(fwi_attr){.scalar = {.value = 1}}, y);
    fwi_graph_output(g, "y", y);
    if (with_loss) {
        const fwi_val labels = fwi_graph_input(g, "labels", FW_I32, fwi_shape1(BATCH));
        const fwi_val loss =
            fwi_op2(g, FWI_OP_softmax_xent, &(fwi_attr){.xent = {.smoothing = 0.1}}, y, labels);
        fwi_graph_output(g, "loss", loss);
        t_require(fwi_graph_status(g));
        const int n = fwi_graph_params(g, params, 64);
        assert_in_range(n, 1, 64);
        t_require(fwi_graph_gradient(g, loss, params, n, grads));
    }
    t_require(fwi_graph_verify(g));
    t_require(fwi_store_new(&t->store, t->device, (const fwi_graph *const *)&g, 1));
    t_require(fwi_store_init(t->store, 3));
    /* Values of no special kind: batch norm's scale, shift and statistics included. The same order
     * gives the same values, whatever the names are. */
    int ordinal = 0;
    for (int i = 0; i < t->store->n_vars; i++) {
        const fwi_var *const v = &t->store->vars[i];
        double *const data = v->data;
        const int64_t n = fwi_shape_elems(&v->shape);
        const size_t len = strlen(v->name);
        const bool positive = v->cls == FWI_VAR_BN_SCALE || strcmp(v->name + len - 3, "var") == 0;
        for (int64_t j = 0; j < n; j++)
            data[j] = positive ? 1 + 0.5 * draw((uint32_t)(10 + ordinal), j)
                               : 0.7 * draw((uint32_t)(10 + ordinal), j);
        ordinal++;
    }
    t_require(fwi_plan_new(&t->plan, t->device, t->store, g));
    t_require(t->device->backend->alloc(t->device, fwi_plan_scratch_bytes(t->plan), &t->scratch));
    fwi_graph_free(g);
    fw_layer_free(l);
}

static void close_net(net *t)
{
    t->device->backend->release(t->device, t->scratch, fwi_plan_scratch_bytes(t->plan));
    fwi_plan_free(t->plan);
    fwi_store_free(t->store);
    fwi_device_close(t->device);
}

/* Runs; output by name into out[n]. */
static void run(const net *t, const char *name, double *out, int64_t n)
{
    static const char *const names[] = {"x", "labels", "rng"};
    const void *const data[] = {t->x, t->labels, t->rng};
    fwi_binding b = {.scratch = t->scratch};
    for (int i = 0; i < 3; i++)
        if (fwi_plan_input(t->plan, names[i]) >= 0)
            b.inputs[fwi_plan_input(t->plan, names[i])] = data[i];
    t_require(fwi_plan_run(t->plan, &b));
    t_require(
        fwi_plan_read(t->plan, &b, fwi_plan_output(t->plan, name), out, (size_t)n * sizeof *out));
}

/* ---- gradients ---- */

/* Moves every trained value by h along direction `pass`. */
static void move(net *t, uint32_t pass, double h)
{
    for (int i = 0; i < t->store->n_vars; i++) {
        const fwi_var *const v = &t->store->vars[i];
        double *const data = v->data;
        if (v->trainable)
            for (int64_t j = 0; j < fwi_shape_elems(&v->shape); j++)
                data[j] += h * draw(pass + (uint32_t)i, j);
    }
}

static void check_gradient(const char *what, fw_layer *l, bool training)
{
    enum { DIRECTIONS = 3 };
    const double h = 1e-6; /* small: a step over a kink of relu or max-pool is unlikely */
    net t;
    open_net(&t, l, training, true);
    assert_int_equal(t.width, CLASSES);
    for (uint32_t k = 0; k < DIRECTIONS; k++) {
        const uint32_t pass = 1000 * (k + 1);
        double loss = 0, up = 0, down = 0, dot = 0, squares = 0;
        int64_t n = 0;
        run(&t, "loss", &loss, 1);
        assert_true(isfinite(loss) && loss > 0);
        for (int i = 0; i < t.store->n_vars; i++) {
            const fwi_var *const v = &t.store->vars[i];
            if (!v->trainable)
                continue;
            double *const g = malloc(v->bytes);
            double own = 0;
            assert_non_null(g);
            t_require(fwi_store_read_grad(t.store, v, g));
            for (int64_t j = 0; j < fwi_shape_elems(&v->shape); j++, n++) {
                dot += g[j] * draw(pass + (uint32_t)i, j);
                own += g[j] * g[j];
            }
            /* A bias in front of batch norm has none; everything else must have some. */
            if (own == 0)
                fail_msg("%s: the gradient of %s is 0", what, v->name);
            squares += own;
            free(g);
        }
        move(&t, pass, h);
        run(&t, "loss", &up, 1);
        move(&t, pass, -2 * h);
        run(&t, "loss", &down, 1);
        move(&t, pass, h);
        const double difference = (up - down) / (2 * h);
        const double typical = sqrt(squares / 3); /* of dot: draws have variance 1/3 */
        const double error = fabs(difference - dot) / fmax(fabs(dot), typical);
        assert_true(n > 0);
        /* 2e-16 * loss / h is 1e-9 of rounding; the third derivative adds less */
        if (!(error < 1e-7))
            fail_msg("%s, %s: gradient along v is %.12g, the difference quotient %.12g (off by "
                     "%.1e)",
                     what, training ? "training" : "evaluation", dot, difference, error);
    }
    close_net(&t);
}

/* A convolution before the layer and a classifier behind it, so that the gradient has to pass
 * through. */
/* Behind a convolution, so that there is something to train and the layer has an input gradient; but
 * whitening is a first layer. */
static void check_layer_gradient(const char *what, const char *lines)
{
    const char *const before = strncmp(lines, "whiten", 6) == 0 ? "" : "conv2d 5 kernel=1\n";
    for (int training = 0; training < 2; training++) {
        char text[1024];
        fw_layer *l = NULL;
        snprintf(text, sizeof text, "%s%s\nflatten\ndense %d\n", before, lines, CLASSES);
        t_require(fw_layer_parse(&l, text, what));
        check_gradient(what, l, training == 1);
    }
}

static void gradients_of_every_kind_are_the_differences(void **state)
{
    (void)state;
    static const char *const lines[] = {
        [FWI_L_SEQUENTIAL] = "sequential\nconv2d 3\nactivation tanh\nend",
        [FWI_L_PARALLEL] =
            "parallel\nbranch\nconv2d 2\nactivation silu\nbranch\nbranch\nconv2d 3\nend",
        [FWI_L_DENSE] = "flatten\ndense 6\nactivation gelu",
        [FWI_L_CONV2D] = "conv2d 4 kernel=5 stride=2",
        [FWI_L_BATCH_NORM] = "batch_norm bn_eps=1e-05",
        [FWI_L_ACTIVATION] = "activation celu act_alpha=0.3",
        [FWI_L_MAX_POOL] = "max_pool 3 stride=2",
        [FWI_L_AVERAGE_POOL] = "average_pool 3 stride=2",
        [FWI_L_GLOBAL_MAX_POOL] = "global_max_pool",
        [FWI_L_GLOBAL_AVERAGE_POOL] = "global_average_pool",
        [FWI_L_GLOBAL_POOLS] = "global_pools",
        [FWI_L_DROPOUT] = "dropout 0.4",
        [FWI_L_FLATTEN] = "flatten",
        [FWI_L_SCALING] = "scaling -0.375",
        [FWI_L_WHITEN] = "whiten\nactivation gelu",
        [FWI_L_CONV_BN] = "conv_bn 4 kernel=2 stride=2 act=softplus",
        [FWI_L_CONV_BLK] = "conv_blk 4 convs=2 pooling=average",
        [FWI_L_CONV_RES_BLK] = "conv_res_blk 4 res_convs=2",
        [FWI_L_PREACT_BLK] = "preact_blk 4 stride=2 act=softplus",
        [FWI_L_DENSE_BN] = "flatten\ndense_bn 6 dropout=0.3 bn_before_act=false act=sigmoid",
        [FWI_L_CLASSIFIER] = "flatten\nclassifier 5 weight=0.125",
        [FWI_L_FASTAI_HEAD] = "fastai_head 5",
    };
    assert_int_equal(sizeof lines / sizeof *lines, FWI_L_COUNT);
    for (int k = 0; k < FWI_L_COUNT; k++) {
        assert_non_null(lines[k]);
        check_layer_gradient(fwi_layer_info_get((fwi_layer_kind)k)->word, lines[k]);
    }
    static const char *const options[] = {
        "conv2d 4 kernel=2 padding=valid",
        "conv2d 4 kernel=3 stride=2 padding=valid bias=false",
        "whiten kernel=3 padding=same negatives=false bias=false",
        "batch_norm bn_fixed_scale=true",
        "conv_blk 4 convs=2 pool_first=true act=gelu bn_fixed_scale=true bn_eps=1e-12",
        "conv_res_blk 4 pool_first=true pooling=average",
        "conv2d 4 kernel=3 stride=2 padding=half",
        "whiten centred=true",
        "batch_norm bn_groups=3",
        "batch_norm bn_fixed_shift=true bn_uniform_scale=true",
        "conv_bn 4 bn_fixed_scale=true bn_fixed_shift=true bn_groups=3 act=silu",
        "conv_blk 4 convs=3 skip=true pool_first=true act=gelu bn_groups=3",
        "conv_blk 4 convs=2 skip=true pool_before_act=true act=celu act_alpha=0.3",
        "preact_blk 5 act=gelu bn_uniform_scale=true",
        "preact_blk 5 stride=2 bn_groups=3 act=tanh",
        "flatten\nclassifier 5 weight=0.25 bias=true"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        check_layer_gradient(options[i], options[i]);
    static const char *const acts[] = {"relu", "identity", "celu",    "gelu",
                                       "silu", "tanh",     "sigmoid", "softplus"};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        char line[64];
        snprintf(line, sizeof line, "activation %s", acts[i]);
        check_layer_gradient(acts[i], line);
    }
}

/* ---- blocks are what they stand for ---- */

static void run_lines(const char *lines, bool training, double **out, int64_t *n)
{
    net t;
    fw_layer *l = NULL;
    t_require(fw_layer_parse(&l, lines, "lines"));
    open_net(&t, l, training, false);
    *n = BATCH * t.width;
    *out = malloc((size_t)*n * sizeof **out);
    assert_non_null(*out);
    run(&t, "y", *out, *n);
    close_net(&t);
}

static void check_same(const char *block, const char *parts)
{
    for (int training = 0; training < 2; training++) {
        double *a = NULL, *b = NULL, sum = 0;
        int64_t n = 0, m = 0;
        run_lines(block, training == 1, &a, &n);
        run_lines(parts, training == 1, &b, &m);
        assert_int_equal(n, m);
        for (int64_t i = 0; i < n; i++) {
            sum += fabs(a[i]);
            if (a[i] != b[i])
                fail_msg("%s: element %d is %.17g, its parts give %.17g", block, (int)i, a[i],
                         b[i]);
        }
        assert_true(sum > 0);
        free(a);
        free(b);
    }
}

static void blocks_are_their_parts(void **state)
{
    (void)state;
    check_same("conv_bn 4 kernel=5 stride=2 act=gelu bn_eps=1e-05",
               "conv2d 4 bias=false kernel=5 stride=2\nbatch_norm bn_eps=1e-05\nactivation gelu");
    check_same("conv_blk 4 convs=2", "conv_bn 4\nconv_bn 4\nmax_pool 2");
    check_same("conv_blk 4 pooling=average act=tanh", "conv_bn 4 act=tanh\naverage_pool 2");
    check_same("conv_blk 4 convs=3 pool_first=true act=gelu",
               "conv2d 4 bias=false\nmax_pool 2\nbatch_norm\nactivation gelu\n"
               "conv_bn 4 act=gelu\nconv_bn 4 act=gelu");
    check_same("conv_blk 4 pool_first=true pooling=average",
               "conv2d 4 bias=false\naverage_pool 2\nbatch_norm\nactivation relu");
    check_same("whiten", "conv2d 16 kernel=2 padding=valid");
    check_same("whiten kernel=3 negatives=false padding=same bias=false",
               "conv2d 18 kernel=3 bias=false");
    check_same("conv_blk 4 pooling=none kernel=1", "conv_bn 4 kernel=1");
    check_same("conv_blk 4 pool_before_act=true act=gelu",
               "conv2d 4 bias=false\nbatch_norm\nmax_pool 2\nactivation gelu");
    check_same("conv_blk 4 convs=2 pool_before_act=true act=silu",
               "conv_bn 4 act=silu\nconv2d 4 bias=false\nbatch_norm\nmax_pool 2\nactivation silu");
    check_same("conv_bn 4 bn_fixed_shift=true bn_uniform_scale=true", "conv_bn 4");
    check_same("flatten\nclassifier 5 weight=-0.125 bias=true", "flatten\ndense 5\nscaling -0.125");
    /* odd sizes, stride 1: the same grid */
    check_same("conv2d 4 kernel=5 padding=half", "conv2d 4 kernel=5");
    check_same("flatten\ndense_bn 5 act=celu act_alpha=0.5",
               "flatten\ndense 5 bias=false\nbatch_norm\nactivation celu act_alpha=0.5");
    check_same("flatten\ndense_bn 5 bn_before_act=false dropout=0.25",
               "flatten\ndense 5 bias=false\nactivation relu\nbatch_norm\ndropout 0.25");
    check_same("flatten\nclassifier 5 weight=-0.125",
               "flatten\ndense 5 bias=false\nscaling -0.125");
    check_same("global_pools",
               "parallel\nbranch\nglobal_max_pool\nbranch\nglobal_average_pool\nend");
    check_same("fastai_head 5 bn_eps=0.01",
               "global_pools\nbatch_norm bn_update=0.1 bn_eps=1e-05\ndropout 0.25\n"
               "dense_bn 512 bn_before_act=false bn_eps=0.01 dropout=0.5\nclassifier 5");
    check_same("sequential\nsequential\nflatten\nend\nend", "flatten");
    check_same("dropout 0", "scaling 1");
}

/* y = h + f(h) with h behind the pool: with h known from the block alone, f from its own lines. */
static void the_residual_comes_after_the_pool(void **state)
{
    (void)state;
    enum { C = 3, OUT = BATCH * (SIDE / 2) * (SIDE / 2) * C };
    double *y = NULL, *h = NULL, *r = NULL;
    int64_t n = 0;
    /* The first five variables are the same in all three, and so are the next ten. */
    run_lines("conv_res_blk 3", false, &y, &n);
    assert_int_equal(n, OUT);
    run_lines("conv_blk 3", false, &h, &n);
    assert_int_equal(n, OUT);
    run_lines("conv_blk 3\nconv_bn 3\nconv_bn 3", false, &r, &n);
    assert_int_equal(n, OUT);
    bool below = false;
    for (int i = 0; i < OUT; i++) {
        assert_true(y[i] == h[i] + r[i]);
        below = below || h[i] != 0;
    }
    assert_true(below);
    free(y);
    free(h);
    free(r);
}

static void assert_close(double *a, double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        assert_true(fabs(a[i] - b[i]) <= 1e-13 * fmax(1, fabs(b[i])));
        sum += fabs(b[i]);
    }
    assert_true(sum > 0);
    free(a);
    free(b);
}

/* preact_blk: norm, act, then conv, norm, act, conv beside the shortcut, as single layers of the
 * same variables: those before the shortcut's filter are made first in both. */
static void a_preactivation_block_adds_what_it_activated(void **state)
{
    (void)state;
    double *y = NULL, *r = NULL, *f = NULL;
    int64_t n = 0, m = 0;
    for (int training = 0; training < 2; training++) {
        /* the shape stays: shortcut is r */
        run_lines("conv2d 3\npreact_blk 3", training, &y, &n);
        run_lines("conv2d 3\nbatch_norm\nactivation relu", training, &r, &m);
        assert_int_equal(n, m);
        run_lines("conv2d 3\nbatch_norm\nactivation relu\nconv2d 3 bias=false\nbatch_norm\n"
                  "activation relu\nconv2d 3 bias=false",
                  training, &f, &m);
        assert_int_equal(n, m);
        for (int64_t i = 0; i < n; i++)
            r[i] += f[i];
        free(f);
        assert_close(y, r, n);
    }
    net t; /* it changes: 6 -> 3 pixels, and the shortcut has a filter of its own */
    fw_layer *l = NULL;
    t_require(fw_layer_parse(&l, "preact_blk 5 stride=2", "lines"));
    open_net(&t, l, true, false);
    assert_int_equal(t.width, 3 * 3 * 5);
    const fwi_var *const v = fwi_store_find(t.store, "0.shortcut.conv.weight");
    assert_non_null(v);
    assert_int_equal(fwi_shape_elems(&v->shape), 5 * DEPTH);
    close_net(&t);
}

/* conv_blk with skip: x0 = ConvBN(x); act(norm(conv(ConvBN(x0))) + x0). */
static void a_skip_comes_in_front_of_the_last_activation(void **state)
{
    (void)state;
    double *y = NULL, *x0 = NULL, *f = NULL;
    int64_t n = 0, m = 0;
    for (int training = 0; training < 2; training++) {
        run_lines("conv_blk 3 convs=3 skip=true pool_first=true act=tanh", training, &y, &n);
        run_lines("conv_blk 3 pool_first=true act=tanh", training, &x0, &m);
        assert_int_equal(n, m);
        run_lines("conv_blk 3 convs=2 pool_first=true act=tanh\nconv_bn 3 act=identity", training,
                  &f, &m);
        assert_int_equal(n, m);
        for (int64_t i = 0; i < n; i++)
            x0[i] = tanh(x0[i] + f[i]);
        free(f);
        assert_close(y, x0, n);
    }
}

/* Ghost batch norm of BATCH groups is BATCH batch norms of one image; its running statistics are
 * those of the mean over the groups. */
static void ghost_batch_norm_is_many_small_ones(void **state)
{
    (void)state;
    net t;
    fw_layer *l = NULL;
    double y[VALUES], before[2][DEPTH], mean[BATCH][DEPTH], var[BATCH][DEPTH];
    const int n = SIDE * SIDE;
    t_require(fw_layer_parse(&l, "batch_norm bn_groups=3 bn_update=0.3 bn_eps=0.01", "lines"));
    open_net(&t, l, true, false);
    const fwi_var *const stats[] = {fwi_store_find(t.store, "0.bn.mean"),
                                    fwi_store_find(t.store, "0.bn.var")};
    double gamma[DEPTH], beta[DEPTH];
    t_require(fwi_store_read(t.store, fwi_store_find(t.store, "0.bn.gamma"), gamma));
    t_require(fwi_store_read(t.store, fwi_store_find(t.store, "0.bn.beta"), beta));
    for (int i = 0; i < 2; i++)
        t_require(fwi_store_read(t.store, stats[i], before[i]));
    run(&t, "y", y, VALUES);
    for (int g = 0; g < BATCH; g++)
        for (int c = 0; c < DEPTH; c++) {
            const double *const x = t.x + g * n * DEPTH + c;
            mean[g][c] = var[g][c] = 0;
            for (int i = 0; i < n; i++)
                mean[g][c] += x[i * DEPTH] / n;
            for (int i = 0; i < n; i++)
                var[g][c] += pow(x[i * DEPTH] - mean[g][c], 2) / n;
            for (int i = 0; i < n; i++) {
                const double z = (x[i * DEPTH] - mean[g][c]) / sqrt(var[g][c] + 0.01);
                assert_true(fabs(y[(g * n + i) * DEPTH + c] - (gamma[c] * z + beta[c])) < 1e-13);
            }
        }
    for (int c = 0; c < DEPTH; c++) {
        double m = 0, v = 0, after[2][DEPTH];
        for (int g = 0; g < BATCH; g++) {
            m += mean[g][c] / BATCH;
            v += var[g][c] / BATCH * n / (n - 1);
        }
        for (int i = 0; i < 2; i++)
            t_require(fwi_store_read(t.store, stats[i], after[i]));
        assert_true(fabs(after[0][c] - (0.7 * before[0][c] + 0.3 * m)) < 1e-14);
        assert_true(fabs(after[1][c] - (0.7 * before[1][c] + 0.3 * v)) < 1e-14);
    }
    close_net(&t);
    /* evaluation knows no groups */
    double *a = NULL, *b = NULL;
    int64_t na = 0, nb = 0;
    run_lines("conv_bn 4 bn_groups=3", false, &a, &na);
    run_lines("conv_bn 4", false, &b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, (size_t)na * sizeof *a);
    free(a);
    free(b);
}

/* Running statistics after one step: (1 - u) * old + u * batch, the variance unbiased. */
static void running_statistics_follow_the_batch(void **state)
{
    (void)state;
    net t;
    fw_layer *l = NULL;
    double before[2][DEPTH], y[VALUES];
    t_require(fw_layer_parse(&l, "batch_norm bn_update=0.3", "lines"));
    open_net(&t, l, true, false);
    const fwi_var *const stats[] = {fwi_store_find(t.store, "0.bn.mean"),
                                    fwi_store_find(t.store, "0.bn.var")};
    for (int i = 0; i < 2; i++)
        t_require(fwi_store_read(t.store, stats[i], before[i]));
    run(&t, "y", y, VALUES);
    for (int c = 0; c < DEPTH; c++) {
        const int n = VALUES / DEPTH;
        double mean = 0, var = 0, after[2][DEPTH];
        for (int i = 0; i < n; i++)
            mean += t.x[i * DEPTH + c] / n;
        for (int i = 0; i < n; i++)
            var += pow(t.x[i * DEPTH + c] - mean, 2) / (n - 1);
        for (int i = 0; i < 2; i++)
            t_require(fwi_store_read(t.store, stats[i], after[i]));
        assert_true(fabs(after[0][c] - (0.7 * before[0][c] + 0.3 * mean)) < 1e-14);
        assert_true(fabs(after[1][c] - (0.7 * before[1][c] + 0.3 * var)) < 1e-14);
    }
    close_net(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_every_kind_are_the_differences),
        cmocka_unit_test(blocks_are_their_parts),
        cmocka_unit_test(the_residual_comes_after_the_pool),
        cmocka_unit_test(a_preactivation_block_adds_what_it_activated),
        cmocka_unit_test(a_skip_comes_in_front_of_the_last_activation),
        cmocka_unit_test(ghost_batch_norm_is_many_small_ones),
        cmocka_unit_test(running_statistics_follow_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
