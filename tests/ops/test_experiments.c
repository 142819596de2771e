/* test_experiments.c: the cheap experiments of docs/experiments.md, as facts about our own ops:
 *
 * P6-1  a filter before batch norm may be scaled: the logits stay, its gradient is divided;
 * P6-2  with a constant rate and weight decay the norm of such a filter settles where
 *       |g| / |w| = sqrt(2 lambda (1 - rho) / eta);
 * P7-2  through 50 layers of ReLU the output forgets the input, unless mean and variance of each
 *       activation are put right; without ReLU it does not. (ctest: once) */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends.h"
#include "network.h"
#include "nn.h"
#include "rng.h"

static void require(fw_status st)
{
    if (st != FW_OK)
        fail_msg("%s: %s", fw_status_name(st), fw_last_error());
}

static uint32_t word_at(uint32_t pass, int64_t i)
{
    uint32_t w[4];
    fwi_rng_block(3, FWI_RNG_TEST, pass, (uint64_t)i / 4, 0, w);
    return w[i % 4];
}

/* About N(0,1): the sum of twelve uniform numbers. */
static void draw(uint32_t pass, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = -6;
        for (int64_t k = 0; k < 12; k++)
            sum += fwi_unit(word_at(pass, 12 * i + k));
        x[i] = (float)sum;
    }
}

static void draw_labels(uint32_t pass, int32_t *y, int64_t n, uint32_t classes)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (int32_t)fwi_below(word_at(pass, i), classes);
}

/* ---- P6-1 ---- */

enum { N = 16, SIDE = 8, C = 3, CLASSES = 10, LAYERS = 3, MOST_PARAMS = 16, MOST_ELEMS = 4096 };

/* eps so small that the invariance is exact; with 1e-5 it holds as far as eps is nothing beside the
 * variance. */
static const char small_net[] =
    "conv_bn 8 bn_eps=1e-12\nconv_blk 16 bn_eps=1e-12\n"
    "conv_bn 16 bn_eps=1e-12\nglobal_max_pool\nclassifier 10 weight=0.5\n";

typedef struct net {
    fw_layer *layers;
    fwi_device *device;
    fwi_graph *graph;
    fwi_store *store;
    fwi_plan *plan;
    void *scratch;
    int n_params;
} net;

static void net_open(net *t)
{
    fwi_val params[MOST_PARAMS], grads[MOST_PARAMS];
    *t = (net){0};
    require(fw_layer_parse(&t->layers, small_net, "small net"));
    require(fwi_device_open(&t->device, "cpu", &(fwi_device_opt){.threads = 1}));
    require(fwi_graph_new(&t->graph, FW_F64));
    const fwi_val x = fwi_op1(t->graph, FWI_OP_cast, &(fwi_attr){.cast = {.dtype = FW_F64}},
                              fwi_graph_input(t->graph, "x", FW_F32, fwi_shape4(N, SIDE, SIDE, C)));
    const fwi_val logits = fwi_layer_build(t->layers, t->graph, x, true);
    const fwi_val y = fwi_graph_input(t->graph, "labels", FW_I32, fwi_shape1(N));
    const fwi_val loss =
        fwi_op2(t->graph, FWI_OP_softmax_xent, &(fwi_attr){.xent = {0}}, logits, y);
    require(fwi_graph_status(t->graph));
    fwi_graph_output(t->graph, "logits", logits);
    fwi_graph_output(t->graph, "loss", loss);
    t->n_params = fwi_graph_params(t->graph, params, MOST_PARAMS);
    require(fwi_graph_gradient(t->graph, loss, params, t->n_params, grads));
    const fwi_graph *const graphs[] = {t->graph};
    require(fwi_store_new(&t->store, t->device, graphs, 1));
    require(fwi_store_init(t->store, 5));
    require(fwi_plan_new(&t->plan, t->device, t->store, t->graph));
    require(t->device->backend->alloc(t->device, fwi_plan_scratch_bytes(t->plan), &t->scratch));
}

static void net_close(net *t)
{
    t->device->backend->release(t->device, t->scratch, fwi_plan_scratch_bytes(t->plan));
    fwi_plan_free(t->plan);
    fwi_store_free(t->store);
    fwi_graph_free(t->graph);
    fwi_device_close(t->device);
    fw_layer_free(t->layers);
}

static void net_run(net *t, const float *x, const int32_t *y, double *logits)
{
    fwi_binding b = {.scratch = t->scratch};
    b.inputs[fwi_plan_input(t->plan, "x")] = x;
    b.inputs[fwi_plan_input(t->plan, "labels")] = y;
    require(fwi_plan_run(t->plan, &b));
    const fwi_network_plan p = {.plan = t->plan};
    require(fwi_network_read(&p, &b, fwi_plan_output(t->plan, "logits"), logits, N * CLASSES));
}

/* The trainable variable number i: its value and gradient; returns its elements. */
static int64_t param(const net *t, int i, const fwi_var **var, double *w, double *g)
{
    int seen = 0;
    for (int k = 0; k < t->store->n_vars; k++) {
        const fwi_var *v = &t->store->vars[k];
        if (!v->trainable || seen++ != i)
            continue;
        *var = v;
        assert_true(fwi_shape_elems(&v->shape) <= MOST_ELEMS);
        require(fwi_store_read(t->store, v, w));
        require(fwi_store_read_grad(t->store, v, g));
        return fwi_shape_elems(&v->shape);
    }
    fail_msg("no parameter %d", i);
    return 0;
}

static double largest_difference(const double *a, const double *b, double b_scale, int64_t n)
{
    double worst = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs(a[i] - b_scale * b[i]));
        size = fmax(size, fabs(a[i]));
    }
    assert_true(size > 0); /* of nothing it would show nothing */
    return worst / size;
}

static void p6_1_a_filter_before_batch_norm_has_no_scale(void **state)
{
    (void)state;
    static float x[N * SIDE * SIDE * C];
    static double before[MOST_PARAMS][MOST_ELEMS], w[MOST_ELEMS], g[MOST_ELEMS];
    int32_t y[N];
    double logits[N * CLASSES], again[N * CLASSES];
    const double scales[] = {0.25, 4};
    const fwi_var *v = NULL;
    int filters = 0;
    net t;
    net_open(&t);
    draw(1, x, N * SIDE * SIDE * C);
    draw_labels(2, y, N, CLASSES);
    net_run(&t, x, y, logits);
    for (int i = 0; i < t.n_params; i++)
        (void)param(&t, i, &v, w, before[i]);
    for (int i = 0; i < t.n_params; i++) {
        const int64_t n = param(&t, i, &v, w, g);
        double dot = 0, ww = 0, gg = 0;
        if (strstr(v->name, "conv.weight") == NULL)
            continue;
        filters++;
        for (int64_t k = 0; k < n; k++) {
            dot += w[k] * g[k];
            ww += w[k] * w[k];
            gg += g[k] * g[k];
        }
        assert_true(fabs(dot) <= 1e-10 * sqrt(ww * gg)); /* orthogonal */
        for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
            static double scaled[MOST_ELEMS], other[MOST_ELEMS];
            const double a = scales[s];
            for (int64_t k = 0; k < n; k++)
                scaled[k] = a * w[k];
            require(fwi_store_write(t.store, v, scaled));
            net_run(&t, x, y, again);
            assert_true(largest_difference(again, logits, 1, N * CLASSES) < 1e-9);
            for (int j = 0; j < t.n_params; j++) { /* its own gradient is divided, no other's */
                const fwi_var *u = NULL;
                const int64_t m = param(&t, j, &u, other, g);
                const double error = largest_difference(g, before[j], j == i ? 1 / a : 1, m);
                if (!(error < 1e-8))
                    fail_msg("%s times %g: gradient of %s off by %g", v->name, a, u->name, error);
            }
            require(fwi_store_write(t.store, v, w));
        }
    }
    assert_int_equal(filters, LAYERS);
    net_close(&t);
}

/* ---- P6-2 ---- */

/* Labels and images are noise anew at each step, so that the gradients of steps have nothing to do
 * with each other, as the formula asks. Returns |g| / |w| of the filter, root mean square over the
 * last `count` of `steps` steps; *first: over the first few. */
static double settled_ratio(double eta, double lambda, double rho, int64_t steps, int64_t count,
                            double *first)
{
    enum { B = 16, S = 6, OC = 8, FIRST = 5 };
    static float x[B * S * S * C];
    static float w[MOST_ELEMS], g[MOST_ELEMS];
    int32_t y[B];
    double row[FWI_MAX_COLUMNS], sum[2] = {0};
    fw_layer *layers = NULL;
    fwi_device *device = NULL;
    fwi_network network = {0};
    fwi_network_plan *p = NULL;
    require(fw_layer_parse(&layers,
                           "conv_bn 8 bn_eps=1e-12\nglobal_average_pool\nclassifier 4 "
                           "weight=1\n",
                           "noise net"));
    const fwi_optim optim = {
        .rest = fw_sgd(fw_constant_lr(eta), rho, &(fw_sgd_opt){.weight_decay = lambda}),
        .n_groups = 1,
        .group = {{.classes = FW_PARAM_HEAD | FW_PARAM_BN_SCALE | FW_PARAM_BIAS,
                   .optimizer = fw_sgd(fw_constant_lr(0), rho, NULL)}}}; /* these stay */
    require(fwi_device_open(&device, "cpu", &(fwi_device_opt){.threads = 1}));
    const fwi_network_spec spec = {
        .net = layers, .optim = &optim, .real = FW_F32, .h = S, .w = S, .c = C};
    require(fwi_network_init(&network, device, &spec));
    require(fwi_store_init(network.store, 7));
    require(fwi_network_plan_get(&network, FWI_TRAIN, B, &p));
    require(fwi_network_bind(&network));
    const fwi_var *const v = fwi_store_find(network.store, "0.conv.weight");
    assert_non_null(v);
    const int64_t n = fwi_shape_elems(&v->shape);
    assert_int_equal(n, OC * 9 * C);
    require(fwi_store_read(network.store, v, w)); /* far from where it will settle */
    for (int64_t k = 0; k < n; k++)
        w[k] *= 3;
    require(fwi_store_write(network.store, v, w));
    for (int64_t s = 0; s < steps; s++) {
        draw((uint32_t)(100 + 2 * s), x, B * S * S * C);
        draw_labels((uint32_t)(101 + 2 * s), y, B, 4);
        fwi_optim_row(&optim, s, row);
        const int64_t rng[2] = {7, s};
        const fwi_binding b = fwi_network_binding(p, network.scratch, x, y, row, rng);
        double ww = 0, gg = 0;
        require(fwi_store_read(network.store, v, w)); /* before the step: g is taken there */
        require(fwi_plan_run(p->plan, &b));
        require(fwi_store_read_grad(network.store, v, g));
        for (int64_t k = 0; k < n; k++) {
            ww += (double)w[k] * (double)w[k];
            gg += (double)g[k] * (double)g[k];
        }
        sum[0] += s < FIRST ? gg / ww : 0;
        sum[1] += s >= steps - count ? gg / ww : 0;
    }
    fwi_network_clear(&network);
    fwi_device_close(device);
    fw_layer_free(layers);
    *first = sqrt(sum[0] / FIRST);
    return sqrt(sum[1] / (double)count);
}

static void p6_2_the_norm_settles_where_decay_and_gradient_balance(void **state)
{
    (void)state;
    static const struct {
        double eta, lambda, rho;
    } cases[] = {{0.1, 5e-3, 0.9}, {0.4, 5e-3, 0}, {0.05, 2e-2, 0.8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double eta = cases[i].eta, lambda = cases[i].lambda, rho = cases[i].rho;
        const double want = sqrt(2 * lambda * (1 - rho) / eta);
        double first = 0;
        const double got = settled_ratio(eta, lambda, rho, 2500, 1000, &first);
        printf("eta %-5g lambda %-6g rho %-4g |g|/|w| %.4f at first, %.4f settled, expected %.4f\n",
               eta, lambda, rho, first, got, want);
        assert_true(fabs(first / want - 1) > 0.5); /* it had a way to go */
        assert_true(fabs(got / want - 1) < 0.05);
    }
}

/* ---- P7-2 ---- */

typedef enum way { LINEAR, RELU, RELU_PUT_RIGHT, WAYS } way;

enum { INPUTS = 64, WIDTH = 256, DEPTH = 50 };

/* Over the channels: the standard deviation over inputs, as a share of the root mean square. 1: a
 * channel has mean 0; 0: it is the same for every input. */
static double share_that_varies(const float *h)
{
    double variance = 0, square = 0;
    for (int c = 0; c < WIDTH; c++) {
        double mean = 0, sq = 0;
        for (int i = 0; i < INPUTS; i++) {
            const double v = (double)h[i * WIDTH + c];
            mean += v / INPUTS;
            sq += v * v / INPUTS;
        }
        variance += sq - mean * mean;
        square += sq;
    }
    return sqrt(variance / square);
}

static double after_layers(way how, int depth)
{
    static float x[INPUTS * WIDTH];
    static float h[INPUTS * WIDTH];
    const double pi = 3.14159265358979323846;
    fwi_graph *g = NULL;
    fwi_store *store = NULL;
    fwi_plan *plan = NULL;
    fwi_device *device = NULL;
    void *scratch = NULL;
    char name[32];
    require(fwi_device_open(&device, "cpu", &(fwi_device_opt){.threads = 1}));
    require(fwi_graph_new(&g, FW_F32));
    const fwi_val in = fwi_graph_input(g, "x", FW_F32, fwi_shape2(INPUTS, WIDTH));
    const fwi_val shift = fwi_graph_var(g, "shift", FWI_VAR_BIAS, false, fwi_shape1(WIDTH),
                                        (fwi_init){.kind = FWI_INIT_CONST, .a = -sqrt(1 / pi)});
    fwi_val v = in;
    for (int i = 0; i < depth; i++) {
        snprintf(name, sizeof name, "%d.weight", i);
        const fwi_val w = fwi_graph_var(
            g, name, FWI_VAR_DENSE, false, fwi_shape2(WIDTH, WIDTH),
            (fwi_init){.kind = FWI_INIT_NORMAL, .b = sqrt((how == LINEAR ? 1.0 : 2.0) / WIDTH)});
        v = fwi_op2(g, FWI_OP_matmul, &(fwi_attr){.matmul = {.tb = 1}}, v, w);
        if (how != LINEAR)
            v = fwi_op1(g, FWI_OP_relu, NULL, v);
        if (how == RELU_PUT_RIGHT) {
            v = fwi_op2(g, FWI_OP_bias_add, NULL, v, shift);
            v = fwi_op1(g, FWI_OP_scale, &(fwi_attr){.scalar = {.value = 1 / sqrt(1 - 1 / pi)}}, v);
        }
    }
    require(fwi_graph_status(g));
    fwi_graph_output(g, "h", v);
    const fwi_graph *const graphs[] = {g};
    require(fwi_store_new(&store, device, graphs, 1));
    require(fwi_store_init(store, 11));
    require(fwi_plan_new(&plan, device, store, g));
    require(device->backend->alloc(device, fwi_plan_scratch_bytes(plan), &scratch));
    draw(3, x, INPUTS * WIDTH);
    fwi_binding b = {.scratch = scratch};
    b.inputs[fwi_plan_input(plan, "x")] = x;
    require(fwi_plan_run(plan, &b));
    require(fwi_plan_read(plan, &b, fwi_plan_output(plan, "h"), h, sizeof h));
    device->backend->release(device, scratch, fwi_plan_scratch_bytes(plan));
    fwi_plan_free(plan);
    fwi_store_free(store);
    fwi_graph_free(g);
    fwi_device_close(device);
    return share_that_varies(h);
}

static void p7_2_relu_forgets_its_input_with_depth(void **state)
{
    (void)state;
    static const char *const names[WAYS] = {"linear", "relu", "relu put right"};
    double share[WAYS][3];
    for (int how = 0; how < WAYS; how++) {
        const int depths[3] = {1, 10, DEPTH};
        for (int k = 0; k < 3; k++)
            share[how][k] = after_layers((way)how, depths[k]);
        printf("%-15s share of the output that varies with the input: %.3f after 1 layer, %.3f "
               "after 10, %.3f after %d\n",
               names[how], share[how][0], share[how][1], share[how][2], DEPTH);
    }
    /* of relu of N(0, s^2): variance (1 - 1/pi) s^2 / 2 of a square s^2 / 2: 0.826 */
    assert_true(fabs(share[RELU][0] - sqrt(1 - 1 / 3.14159265358979323846)) < 0.03);
    assert_true(share[RELU][1] < share[RELU][0] && share[RELU][2] < share[RELU][1]);
    assert_true(share[RELU][2] < 0.25);
    assert_true(share[RELU_PUT_RIGHT][2] > 0.9);
    assert_true(share[LINEAR][2] > 0.9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p6_1_a_filter_before_batch_norm_has_no_scale),
        cmocka_unit_test(p6_2_the_norm_settles_where_decay_and_gradient_balance),
        cmocka_unit_test(p7_2_relu_forgets_its_input_with_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
