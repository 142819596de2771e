/* test_fused_nets.c: small nets, forward and every gradient, fused against not fused: residual blocks
 * with their pool behind the activation, groups of convolutions with the pool in front of the norm, bias
 * and gelu, sizes that pools do not divide, ghost batch norm in groups that end within blocks, and
 * evaluation.
 *
 * In double the fused ops' reference kernels run on the graph that cpu/lower/lower_fuse.c makes when
 * asked to fuse all it can; with sums in double in both, 1e-12 leaves three digits to spare. In float
 * and bf16 the device's own lowering and kernels run on batch-blocked images, for each instruction
 * set and on a GPU (t_device.h), held to the same double. By norm over each tensor: float 1e-5 as
 * test_davidnet.c; bf16 5e-2 without kinks, and where relu and max-pool jump at ties, of which bf16 has
 * many, only what keeps a wrong formula out: 0.4 for gradients. f16 and tf32 round eight times finer than
 * bf16: a quarter of its bounds, where there are no kinks.
 * ctest: tsan */
#include "t_device.h"

#include <fenwicks/layers.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_lower.h"
#include "nn.h"
#include "worse.h"

enum { N = 25, C = 3, CLASSES = 5, MAX_RESULTS = 64 };

typedef struct result {
    char name[64];
    int64_t n;
    double *v;
} result;

typedef struct results {
    result r[MAX_RESULTS];
    int n;
    int plain_norms; /* in the plan that gave them */
} results;

static result *add_result(results *out, const char *name, int64_t n)
{
    assert_true(out->n < MAX_RESULTS);
    result *r = &out->r[out->n++];
    snprintf(r->name, sizeof r->name, "%s", name);
    r->n = n;
    r->v = calloc((size_t)n, sizeof *r->v);
    assert_non_null(r->v);
    return r;
}

static void free_results(results *r)
{
    for (int i = 0; i < r->n; i++)
        free(r->r[i].v);
    r->n = 0;
}

/* ---- nets ---- */

typedef struct net_case {
    const char *name;
    int64_t h, w;
    bool kinks;
    fw_layer *(*make)(void);
    int alone; /* norms that have nothing to fuse with in training */
} net_case;

static fw_layer *make_residual(void)
{
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(8, FW_PYTORCH));
    fw_add(net, fw_conv_res_blk(12, 2, FW_PYTORCH));
    fw_add(net, fw_conv_blk(17, FW_PYTORCH));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(CLASSES, 0.125F, FW_PYTORCH));
    return net;
}

static fw_layer *make_pool_first(void)
{
    fw_layer_opt o = fw_pytorch_opt;
    o.act = FW_GELU;
    o.pool_first = true;
    o.convs = 2;
    o.bn_fixed_scale = true;
    fw_layer *net = fw_sequential();
    fw_add(net, fw_whiten(NULL));
    fw_add(net, fw_activation(FW_GELU, 0));
    fw_add(net, fw_conv_blk(16, &o));
    fw_add(net, fw_conv_blk(20, &o));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(CLASSES, 0.125F, FW_PYTORCH));
    return net;
}

/* Bias and relu, norms with nothing behind them, a norm behind a sum, celu, strides. */
static fw_layer *make_mixed(void)
{
    fw_layer_opt o = fw_pytorch_opt;
    o.act = FW_CELU;
    o.act_alpha = 0.5F;
    fw_layer_opt two = fw_pytorch_opt;
    two.stride = 2;
    fw_layer_opt average = o;
    average.pooling = FW_POOL_AVERAGE;
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv2d(7, true, FW_PYTORCH));
    fw_add(net, fw_activation(FW_RELU, 0));
    fw_add(net, fw_conv2d(9, false, &two));
    fw_add(net, fw_batch_norm(FW_PYTORCH));
    fw_add(net, fw_conv_res_blk(8, 1, &average));
    fw_add(net, fw_batch_norm(FW_PYTORCH));
    fw_add(net, fw_activation(FW_SILU, 0));
    fw_add(net, fw_max_pool(2, 1));
    fw_add(net, fw_global_average_pool());
    fw_add(net, fw_classifier(CLASSES, 1.0F, FW_PYTORCH));
    return net;
}

static fw_layer *smooth(const fw_layer_opt *o)
{
    fw_layer_opt average = *o;
    average.pooling = FW_POOL_AVERAGE;
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(8, o));
    fw_add(net, fw_conv_res_blk(16, 1, &average));
    fw_add(net, fw_global_average_pool());
    fw_add(net, fw_classifier(CLASSES, 1.0F, FW_PYTORCH));
    return net;
}

static fw_layer *make_smooth(void)
{
    fw_layer_opt o = fw_pytorch_opt;
    o.act = FW_GELU;
    return smooth(&o);
}

static fw_layer *make_smooth_ghost(void)
{
    fw_layer_opt o = fw_pytorch_opt;
    o.act = FW_SILU;
    o.bn_groups = 5;
    return smooth(&o);
}

/* Pools on both sides of ghost norms, a sum, and a norm that stays alone. */
static fw_layer *make_ghost(void)
{
    fw_layer_opt o = fw_pytorch_opt;
    o.act = FW_CELU;
    o.act_alpha = 0.3F;
    o.bn_groups = N / 5;
    fw_layer_opt first = o;
    first.pool_first = true;
    first.bn_fixed_scale = true;
    fw_layer_opt relu = fw_pytorch_opt;
    relu.bn_groups = o.bn_groups;
    fw_layer *net = fw_sequential();
    fw_add(net, fw_conv_bn(8, &o));
    fw_add(net, fw_conv_res_blk(12, 1, &first));
    fw_add(net, fw_conv2d(9, false, FW_PYTORCH));
    fw_add(net, fw_batch_norm(&relu));
    fw_add(net, fw_conv_blk(17, &relu));
    fw_add(net, fw_global_max_pool());
    fw_add(net, fw_classifier(CLASSES, 0.125F, FW_PYTORCH));
    return net;
}

static const net_case nets[] = {{"residual", 9, 8, true, make_residual, 0},
                                {"pool first", 14, 11, true, make_pool_first, 0},
                                {"mixed", 13, 10, true, make_mixed, 0},
                                {"smooth", 8, 6, false, make_smooth, 0},
                                {"ghost", 12, 9, true, make_ghost, 1},
                                {"smooth ghost", 8, 6, false, make_smooth_ghost, 0}};

/* ---- running one ---- */

static double draw(uint32_t pass, int64_t i)
{
    uint32_t w[4];
    double v[4];
    fwi_rng_block(7, FWI_RNG_TEST, pass, (uint64_t)i / 4, 0, w);
    fwi_normal4(w, v);
    return (double)(float)v[i % 4];
}

/* Values of a size that keeps activations near 1; the same in float and in double. */
static void fill_store(fwi_store *s)
{
    for (int k = 0; k < s->n_vars; k++) {
        fwi_var *v = &s->vars[k];
        const int64_t n = fwi_shape_elems(&v->shape);
        const double spread =
            v->shape.rank == 4 ? 1 / sqrt((double)(v->shape.d[1] * v->shape.d[2] * v->shape.d[3]))
                               : 0.3;
        void *raw = calloc((size_t)n, 8);
        assert_non_null(raw);
        for (int64_t i = 0; i < n; i++) {
            double x = spread * draw((uint32_t)(100 + k), i);
            if (v->cls == FWI_VAR_BN_SCALE || strstr(v->name, ".var") != NULL)
                x = 1 + fabs(x);
            x = (double)(float)x;
            if (v->dtype == FW_F64)
                ((double *)raw)[i] = x;
            else
                ((float *)raw)[i] = (float)x;
        }
        t_require(fwi_store_write(s, v, raw));
        free(raw);
    }
}

static fwi_graph *build(const fw_layer *net, const net_case *nc, fw_dtype type, bool training)
{
    fwi_graph *g = NULL;
    fwi_val params[MAX_RESULTS], grads[MAX_RESULTS];
    const fw_dtype real = type == FW_F64 ? FW_F64 : FW_F32;
    t_require(fwi_graph_new(&g, real));
    g->storage = type;
    const fwi_val x = fwi_graph_input(g, "x", real, fwi_shape4(N, nc->h, nc->w, C));
    const fwi_val labels = fwi_graph_input(g, "labels", FW_I32, fwi_shape1(N));
    const fwi_val logits = fwi_layer_build(net, g, x, training);
    fwi_graph_output(g, "logits", logits);
    if (!training) {
        t_require(fwi_graph_status(g));
        return g;
    }
    const fwi_attr xent = {.xent = {.smoothing = 0, .mean = 0}};
    const fwi_val loss = fwi_op2(g, FWI_OP_softmax_xent, &xent, logits, labels);
    const int n = fwi_graph_params(g, params, MAX_RESULTS);
    t_require(fwi_graph_gradient(g, loss, params, n, grads));
    for (int i = 0; i < n; i++) {
        char name[80];
        snprintf(name, sizeof name, "d_%s", g->tensors[params[i]].name);
        fwi_graph_output(g, name, grads[i]);
    }
    t_require(fwi_graph_status(g));
    return g;
}

static void widen(const void *raw, fw_dtype type, result *r)
{
    for (int64_t i = 0; i < r->n; i++)
        r->v[i] = type == FW_F64 ? ((const double *)raw)[i] : (double)((const float *)raw)[i];
}

/* How many norms the plan has that are not fused. */
static int plain_norms(const fwi_plan *plan)
{
    int n = 0;
    for (int i = 0; i < fwi_plan_steps(plan); i++) {
        fwi_step_info s;
        fwi_plan_step(plan, i, &s);
        n += s.op == FWI_OP_bn_train;
    }
    return n;
}

/* Every output of the graph, and what training made of the running statistics. */
static void run(fwi_device *d, const net_case *nc, fw_dtype type, bool training, results *out)
{
    fw_layer *net = nc->make();
    fwi_store *s = NULL;
    fwi_plan *plan = NULL;
    fwi_graph *g = build(net, nc, type, training);
    t_require(fwi_store_new(&s, d, (const fwi_graph *const *)&g, 1));
    fill_store(s);
    t_require(fwi_plan_new(&plan, d, s, g));
    out->plain_norms = plain_norms(plan);
    const int64_t n_x = N * nc->h * nc->w * C;
    double *x64 = malloc((size_t)n_x * sizeof *x64);
    float *x32 = malloc((size_t)n_x * sizeof *x32);
    assert_true(x64 != NULL && x32 != NULL);
    for (int64_t i = 0; i < n_x; i++) {
        x64[i] = draw(1, i);
        x32[i] = (float)x64[i];
    }
    int32_t y[N];
    for (int i = 0; i < N; i++)
        y[i] = i % CLASSES;
    void *const scratch = t_device_noise(d, fwi_plan_scratch_bytes(plan));
    fwi_binding b = {.scratch = scratch};
    b.inputs[fwi_plan_input(plan, "x")] = type == FW_F64 ? (const void *)x64 : x32;
    if (training)
        b.inputs[fwi_plan_input(plan, "labels")] = y;
    t_require(fwi_plan_run(plan, &b));
    for (int32_t i = 0; i < g->n_outputs; i++) {
        const int at = fwi_plan_output(plan, g->outputs[i].name);
        fw_dtype t;
        const fwi_shape *shape = fwi_plan_output_shape(plan, at, &t);
        result *r = add_result(out, g->outputs[i].name, fwi_shape_elems(shape));
        void *raw = malloc((size_t)r->n * 8);
        assert_non_null(raw);
        t_require(fwi_plan_read(plan, &b, at, raw, (size_t)r->n * fw_dtype_size(t)));
        widen(raw, t, r);
        free(raw);
    }
    for (int k = 0; k < s->n_vars; k++)
        if (s->vars[k].cls == FWI_VAR_STAT) {
            result *r = add_result(out, s->vars[k].name, fwi_shape_elems(&s->vars[k].shape));
            void *raw = malloc(s->vars[k].bytes);
            assert_non_null(raw);
            t_require(fwi_store_read(s, &s->vars[k], raw));
            widen(raw, s->vars[k].dtype, r);
            free(raw);
        }
    d->backend->release(d, scratch, fwi_plan_scratch_bytes(plan));
    fwi_plan_free(plan);
    fwi_store_free(s);
    fwi_graph_free(g);
    fw_layer_free(net);
    free(x64);
    free(x32);
}

/* |got - want| / |want|, the largest over all tensors whose name begins so (NULL: all). */
static double error_of(const results *got, const results *want, const char *prefix)
{
    double worst = 0;
    assert_int_equal(got->n, want->n);
    assert_true(want->n > 0);
    for (int i = 0; i < want->n; i++) {
        const result *g = &got->r[i], *w = &want->r[i];
        assert_string_equal(g->name, w->name);
        assert_int_equal(g->n, w->n);
        if (prefix != NULL && strncmp(g->name, prefix, strlen(prefix)) != 0)
            continue;
        double diff = 0, norm = 0;
        for (int64_t j = 0; j < w->n; j++) {
            diff += (g->v[j] - w->v[j]) * (g->v[j] - w->v[j]);
            norm += w->v[j] * w->v[j];
        }
        assert_true(norm > 0);
        worst = t_worse(worst, sqrt(diff / norm));
    }
    return worst;
}

/* ---- in double, by the reference ---- */

static fw_status never(const fwi_call *c)
{
    (void)c;
    return fwi_fail(FW_EINTERNAL, "asked for, not run");
}

#define ROW(kind)                                                                                  \
    {                                                                                              \
        .op = FWI_OP_##kind, .dtype = FW_F64, .run = never, .name = #kind, .blocked = true         \
    }
static const fwi_kernel all_rows[] = {
    ROW(conv2d_stats), ROW(max_pool_stats),     ROW(bn_stats),      ROW(bn_act),
    ROW(bn_act_add),   ROW(bn_act_pool),        ROW(bn_act_grad),   ROW(bn_act_pool_grad),
    ROW(bias_act),     ROW(bn_act_unpool_grad), ROW(bias_act_grad), {.run = NULL}};
static const fwi_op_table all_fused = {.name = "all", .rows = all_rows};

static int counts[FWI_OP_COUNT]; /* of the graph lowered last */

static fw_status lower_all(fwi_device *d, fwi_graph *g)
{
    (void)d;
    const fw_status st = fwi_lower_fuse(g, &all_fused);
    memset(counts, 0, sizeof counts);
    for (int32_t i = 0; i < g->n_ops; i++)
        counts[g->ops[i].kind]++;
    return st;
}

static fw_status lower_nothing(fwi_device *d, fwi_graph *g)
{
    (void)d;
    (void)g;
    return FW_OK;
}

static fwi_backend with_lower(const fwi_device *d, fw_status (*lower)(fwi_device *d, fwi_graph *g))
{
    fwi_backend b = *d->backend;
    b.lower = lower;
    return b;
}

/* The double reference without any lowering. */
static void run_plain(const net_case *nc, bool training, results *out)
{
    fwi_device *d = NULL;
    t_require(fwi_device_open(&d, "cpu", &(fwi_device_opt){.threads = 1}));
    const fwi_backend plain = with_lower(d, lower_nothing), *const own = d->backend;
    d->backend = &plain;
    d->table = fwi_cpu_table(FWI_ISA_REF);
    run(d, nc, FW_F64, training, out);
    d->backend = own;
    fwi_device_close(d);
}

static void double_is_the_same(void **state)
{
    (void)state;
    fwi_device *d = NULL;
    t_require(fwi_device_open(&d, "cpu", &(fwi_device_opt){.threads = 1}));
    const fwi_backend fused = with_lower(d, lower_all), *const own = d->backend;
    d->backend = &fused;
    d->table = fwi_cpu_table(FWI_ISA_REF);
    int total[FWI_OP_COUNT] = {0};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        for (int training = 0; training < 2; training++) {
            results got = {0}, want = {0};
            run_plain(&nets[i], training, &want);
            run(d, &nets[i], FW_F64, training, &got);
            const double e = error_of(&got, &want, NULL);
            printf("%-10s %s double: %.1e\n", nets[i].name, training ? "train" : "eval ", e);
            assert_true(e <= 1e-12);
            assert_int_equal(counts[FWI_OP_bn_train], training ? nets[i].alone : 0);
            for (int k = 0; k < FWI_OP_COUNT; k++)
                total[k] += counts[k];
            free_results(&got);
            free_results(&want);
        }
    for (int k = 0; k < FWI_OP_COUNT; k++) /* each fused op was among them */
        if (strcmp(fwi_op_info_get((fwi_opkind)k)->test, "test_fused") == 0 && total[k] == 0)
            fail_msg("no net here has a %s", fwi_op_info_get((fwi_opkind)k)->name);
    d->backend = own;
    fwi_device_close(d);
}

/* ---- on the device ---- */

/* name: of the device; NULL: the CPU, with the instruction set of the environment. */
static void check_device(const char *name, const char *isa, fw_dtype type, bool tf32)
{
    fwi_device *d = t_device_open(name, &(fwi_device_opt){.threads = 2, .tf32 = tf32});
    const bool exact = type == FW_F32 && !tf32;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        for (int training = 0; training < 2; training++) {
            results got = {0}, want = {0};
            run_plain(&nets[i], training, &want);
            run(d, &nets[i], type, training, &got);
            const double logits = error_of(&got, &want, "logits");
            const double all = error_of(&got, &want, NULL);
            const double narrow = type == FW_BF16 ? 1 : 0.25;
            const double bound = exact ? 1e-5 : nets[i].kinks ? 0.4 : narrow * 5e-2;
            printf("%-10s %s %s %s: logits %.1e, worst %.1e\n", nets[i].name,
                   training ? "train" : "eval ", isa, t_device_precision(type, tf32), logits, all);
            assert_true(logits <= (exact ? 1e-5 : narrow * 2e-2));
            assert_true(all <= bound);
            if (name == NULL && strcmp(isa, "ref") != 0) /* all blocked kernels know groups */
                assert_int_equal(got.plain_norms, training ? nets[i].alone : 0);
            free_results(&got);
            free_results(&want);
        }
    fwi_device_close(d);
}

static void device_keeps_to_it(void **state)
{
    (void)state;
    assert_int_equal(setenv("FENWICKS_LAYOUT", "blocked", 1), 0);
    for (int isa = 0; isa < FWI_ISA_COUNT; isa++) {
        if (fwi_cpu_table((fwi_isa)isa) == NULL || !fwi_isa_supported((fwi_isa)isa))
            continue;
        assert_int_equal(setenv("FENWICKS_ISA", fwi_cpu_table((fwi_isa)isa)->name, 1), 0);
        check_device(NULL, fwi_cpu_table((fwi_isa)isa)->name, FW_F32, false);
        if (isa >= FWI_ISA_AVX2)
            check_device(NULL, fwi_cpu_table((fwi_isa)isa)->name, FW_BF16, false);
    }
    assert_int_equal(unsetenv("FENWICKS_ISA"), 0);
    assert_int_equal(unsetenv("FENWICKS_LAYOUT"), 0);
}

static void asked_device_keeps_to_it(void **state)
{
    (void)state;
    const char *const name = t_device_asked();
    if (name == NULL) {
        skip();
        return;
    }
    check_device(name, name, FW_F32, false);
    check_device(name, name, FW_BF16, false);
    check_device(name, name, FW_F16, false);
    if (strncmp(name, "cuda", 4) == 0)
        check_device(name, name, FW_F32, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(asked_device_keeps_to_it),
                                       cmocka_unit_test(double_is_the_same),
                                       cmocka_unit_test(device_keeps_to_it)};
    return cmocka_run_group_tests_name("fused_nets", tests, NULL, NULL);
}
