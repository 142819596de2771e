/* test_cudnn.c: convolutions as cuDNN is asked for them, against a stand-in that computes what it
 * was asked for: shapes, strides and paddings by their results, the choice of engines, scratch and
 * alignment, every failing call, and that everything is given back. */
#include "libs_test.h"

#include <math.h>
#include <stdio.h>

static fake_cudnn_state *dnn;

/* One engine that is allowed, and nothing else set. */
static void reset(void)
{
    *dnn = (fake_cudnn_state){0};
    dnn->engines[0] = (fake_engine){.there = true, .index = 7, .workspace = 1000};
}

/* As engines with tensor cores say of themselves. */
static void on_tensor_cores(fake_engine *e)
{
    e->n_notes = 1;
    e->notes[0] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
}

/* ---- calls ---- */

typedef struct conv_case {
    int64_t n, h, w, c, oc, kh, kw, stride, pad_t, pad_l, pad_b, pad_r;
} conv_case;
static const conv_case shapes[] = {
    {2, 5, 7, 3, 4, 3, 3, 1, 1, 1, 1, 1}, {1, 6, 6, 2, 5, 2, 2, 1, 0, 0, 0, 0},
    {3, 8, 9, 1, 2, 3, 2, 2, 0, 0, 1, 1}, {2, 4, 4, 8, 8, 1, 1, 1, 0, 0, 0, 0},
    {1, 7, 5, 3, 1, 5, 3, 2, 2, 1, 2, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0},
};

static fwi_attr attr_of(const conv_case *s)
{
    return (fwi_attr){.conv = {.kh = s->kh,
                               .kw = s->kw,
                               .stride = s->stride,
                               .pad_t = s->pad_t,
                               .pad_l = s->pad_l,
                               .pad_b = s->pad_b,
                               .pad_r = s->pad_r,
                               .ih = s->h,
                               .iw = s->w}};
}

static fwi_call call_of(fwi_opkind kind, const conv_case *s, const fwi_attr *attr, fw_dtype dtype,
                        int32_t nb, fwi_cuda_stream *stream)
{
    const int64_t oh = (s->h + s->pad_t + s->pad_b - s->kh) / s->stride + 1;
    const int64_t ow = (s->w + s->pad_l + s->pad_r - s->kw) / s->stride + 1;
    const fwi_arg x = {.dtype = dtype, .nb = nb, .shape = fwi_shape4(s->n, s->h, s->w, s->c)};
    const fwi_arg w = {.dtype = FW_F32, .shape = fwi_shape4(s->oc, s->kh, s->kw, s->c)};
    const fwi_arg y = {.dtype = dtype, .nb = nb, .shape = fwi_shape4(s->n, oh, ow, s->oc)};
    fwi_call c = {.kind = kind, .attr = attr, .stream = stream};
    c.in[0] = kind == FWI_OP_conv2d_dx ? y : x;
    c.in[1] = kind == FWI_OP_conv2d_dw ? y : w;
    c.out[0] = kind == FWI_OP_conv2d ? y : kind == FWI_OP_conv2d_dx ? x : w;
    return c;
}

static const fwi_op_table rounded = {.name = "cudnn", .rows = fwi_rows_cudnn_rounded};
static const fwi_op_table table = {.name = "cudnn", .base = &rounded, .rows = fwi_rows_cudnn};

/* ---- operands ---- */

static size_t bytes_of(const fwi_arg *a)
{
    return (size_t)fwi_shape_elems(&a->shape) * fw_dtype_size(a->dtype);
}

static float value(const fwi_arg *a, int64_t i)
{
    return a->dtype == FW_F32 ? ((const float *)a->data)[i]
                              : bf16_value(((const uint16_t *)a->data)[i]);
}

/* Small whole numbers: every sum is exact, in bf16 too where the result is small. off: bytes. */
static void *make_operand(fwi_arg *a, size_t off, int step)
{
    char *block = aligned_alloc(256, (bytes_of(a) + off + 511) / 256 * 256);
    a->data = block + off;
    for (int64_t i = 0; i < fwi_shape_elems(&a->shape); i++) {
        const float v = (float)((i * step + 1) % 5 - 2);
        if (a->dtype == FW_F32)
            memcpy((float *)a->data + i, &v, sizeof v);
        else
            ((uint16_t *)a->data)[i] = bf16_bits(v);
    }
    return block;
}

/* The definition: out of kind from its inputs, as sums in double. */
static double *expected(const fwi_call *c)
{
    const fwi_conv_attr *a = &c->attr->conv;
    const fwi_arg *x = c->kind == FWI_OP_conv2d_dx ? &c->out[0] : &c->in[0];
    const fwi_arg *w = c->kind == FWI_OP_conv2d_dw ? &c->out[0] : &c->in[1];
    const fwi_arg *y = c->kind == FWI_OP_conv2d      ? &c->out[0]
                       : c->kind == FWI_OP_conv2d_dx ? &c->in[0]
                                                     : &c->in[1];
    const int64_t *xd = x->shape.d, *wd = w->shape.d, *yd = y->shape.d;
    double *sum = calloc((size_t)fwi_shape_elems(&c->out[0].shape), sizeof *sum);
    for (int64_t n = 0; n < yd[0]; n++)
        for (int64_t oh = 0; oh < yd[1]; oh++)
            for (int64_t ow = 0; ow < yd[2]; ow++)
                for (int64_t o = 0; o < yd[3]; o++)
                    for (int64_t kh = 0; kh < wd[1]; kh++)
                        for (int64_t kw = 0; kw < wd[2]; kw++)
                            for (int64_t k = 0; k < wd[3]; k++) {
                                const int64_t ih = oh * a->stride + kh - a->pad_t;
                                const int64_t iw = ow * a->stride + kw - a->pad_l;
                                if (ih < 0 || ih >= xd[1] || iw < 0 || iw >= xd[2])
                                    continue;
                                const int64_t xi = ((n * xd[1] + ih) * xd[2] + iw) * xd[3] + k;
                                const int64_t wi = ((o * wd[1] + kh) * wd[2] + kw) * wd[3] + k;
                                const int64_t yi = ((n * yd[1] + oh) * yd[2] + ow) * yd[3] + o;
                                if (y == &c->out[0])
                                    sum[yi] += (double)value(x, xi) * (double)value(w, wi);
                                else if (x == &c->out[0])
                                    sum[xi] += (double)value(y, yi) * (double)value(w, wi);
                                else
                                    sum[wi] += (double)value(x, xi) * (double)value(y, yi);
                            }
    return sum;
}

/* Runs a call through its row, as a plan would; off: bytes by which the output is off a boundary. */
static void run_and_check(fwi_call *c, size_t off)
{
    const fwi_kernel *k = fwi_table_find(&table, c, NULL);
    assert_non_null(k);
    const size_t n_scratch = k->scratch(c);
    char *scratch = aligned_alloc(64, (n_scratch + 64 + 63) / 64 * 64);
    memset(scratch + n_scratch, 0x5c, 64);
    void *blocks[] = {make_operand(&c->in[0], 0, 3), make_operand(&c->in[1], 0, 2),
                      make_operand(&c->out[0], off, 0)};
    c->scratch = n_scratch > 0 ? scratch : NULL;
    double *want = expected(c);
    const int used = use_calls;
    assert_int_equal(k->run(c), FW_OK);
    assert_int_equal(use_calls,
                     used + 1); /* on the call's GPU, whichever this thread used before */
    for (int64_t i = 0; i < fwi_shape_elems(&c->out[0].shape); i++) {
        double w = want[i];
        if (c->out[0].dtype == FW_BF16)
            w = (double)bf16_value(bf16_bits((float)w));
        const double got = (double)value(&c->out[0], i);
        if (c->kind == FWI_OP_conv2d_dw && c->in[0].dtype == FW_BF16) /* may pass through bf16 */
            assert_true(fabs(got - w) <= fabs(w) / 256);
        else
            assert_true(got == w);
    }
    for (int i = 0; i < 64; i++)
        assert_int_equal((unsigned char)scratch[n_scratch + (size_t)i], 0x5c);
    if (dnn->workspace != NULL) {
        assert_int_equal((uintptr_t)dnn->workspace % FWI_LIBS_ALIGN, 0);
        assert_true((char *)dnn->workspace >= scratch);
        assert_true((char *)dnn->workspace + 1000 <= scratch + n_scratch);
    }
    free(want);
    free(scratch);
    for (int i = 0; i < 3; i++)
        free(blocks[i]);
}

static void test_results(void **state)
{
    (void)state;
    static const fwi_opkind kinds[] = {FWI_OP_conv2d, FWI_OP_conv2d_dx, FWI_OP_conv2d_dw};
    reset();
    fwi_cuda_libs *l = open_libs(false);
    fwi_cuda_stream stream = {.libs = l, .sm = 90};
    for (int i = 0; i < COUNT(shapes); i++)
        for (int j = 0; j < COUNT(kinds); j++)
            for (int form = 0; form < 3; form++) { /* f32, f32 in a lowered graph, bf16 */
                const fwi_attr attr = attr_of(&shapes[i]);
                const fw_dtype dtype = form == 2 ? FW_BF16 : FW_F32;
                for (size_t off = 0; off <= 4; off += 4) {
                    if (off > 0 && kinds[j] != FWI_OP_conv2d_dw)
                        continue; /* only gradients of filters lie anywhere */
                    fwi_call c = call_of(kinds[j], &shapes[i], &attr, dtype, form > 0, &stream);
                    run_and_check(&c, off);
                }
            }
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

/* ---- plans ---- */

static fwi_dnn_key key_of(fwi_opkind kind, const conv_case *s, fw_dtype dtype, bool tf32)
{
    const fwi_attr attr = attr_of(s);
    const fwi_call c = call_of(kind, s, &attr, dtype, 0, NULL);
    fwi_dnn_key key;
    assert_true(fwi_dnn_key_of(&c, tf32, &key));
    return key;
}

/* A plan is made once for each key, and looking it up makes nothing. */
static void test_once(void **state)
{
    (void)state;
    reset();
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key a = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    const fwi_dnn_key b = key_of(FWI_OP_conv2d_dx, &shapes[0], FW_F32, false);
    assert_null(fwi_cudnn_plan_find(l, &a));
    const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &a);
    assert_non_null(p);
    assert_true(p->usable);
    assert_int_equal(p->workspace, 1000);
    assert_false(p->measured);
    assert_int_equal(dnn->plans, 1);
    assert_ptr_equal(fwi_cudnn_plan_get(l, &a), p);
    assert_int_equal(dnn->plans, 1);
    const fwi_cudnn_plan *q = fwi_cudnn_plan_get(l, &b);
    assert_true(q != p && q->usable);
    assert_int_equal(dnn->plans, 2);
    const int creates = dnn->calls[FAKE_CREATE];
    assert_ptr_equal(fwi_cudnn_plan_find(l, &a), p);
    assert_ptr_equal(fwi_cudnn_plan_find(l, &b), q);
    assert_int_equal(dnn->calls[FAKE_CREATE], creates);
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

/* The first engine that is allowed and that a plan can be made of, from the first heuristic that
 * has one. */
static void test_choice_of_engine(void **state)
{
    (void)state;
    reset();
    dnn->engines[0] = (fake_engine){
        .there = true,
        .index = 1,
        .n_notes = 2,
        .notes = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}};
    dnn->engines[1] = (fake_engine){.there = true,
                                    .index = 2,
                                    .n_behavior = 1,
                                    .behavior = {CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION}};
    dnn->engines[2] = (fake_engine){.there = true, .index = 3, .unsupported = true};
    dnn->engines[3] = (fake_engine){.there = true,
                                    .index = 4,
                                    .n_notes = 1,
                                    .notes = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE},
                                    .n_knobs = 3,
                                    .workspace = 5};
    dnn->engines[4] = (fake_engine){.there = true, .index = 5};
    dnn->engines[5] = (fake_engine){.there = true, .index = 6, .fallback = true};
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key bf16 = key_of(FWI_OP_conv2d, &shapes[0], FW_BF16, false);
    const fwi_dnn_key f32 = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    const fwi_dnn_key tf32 = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, true);
    const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &bf16);
    assert_int_equal(p->engine.engine, 4);
    assert_int_equal(p->workspace, 5);
    assert_int_equal(p->engine.n_knobs, 3);
    assert_int_equal(p->engine.knobs[2].type, 3);
    assert_int_equal(p->engine.knobs[2].value, 4002);
    assert_int_equal(fwi_cudnn_plan_get(l, &f32)->engine.engine, 5); /* tensor cores round f32 */
    assert_int_equal(fwi_cudnn_plan_get(l, &tf32)->engine.engine, 4);
    dnn->engines[3].there = dnn->engines[4].there = false;
    const fwi_dnn_key other = key_of(FWI_OP_conv2d, &shapes[1], FW_F32, false);
    assert_int_equal(fwi_cudnn_plan_get(l, &other)->engine.engine, 6); /* the fallback's */
    dnn->engines[5].there = false;
    const fwi_dnn_key none = key_of(FWI_OP_conv2d, &shapes[2], FW_F32, false);
    p = fwi_cudnn_plan_get(l, &none);
    assert_non_null(p);
    assert_false(p->usable);
    assert_true(p->why[0] != 0);
    assert_ptr_equal(fwi_cudnn_plan_get(l, &none), p); /* it is not looked for twice */
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

static void test_notes(void **state)
{
    (void)state;
    const fwi_dnn_key f32 = {.dtype = FW_F32}, tf32 = {.dtype = FW_F32, .tf32 = 1},
                      f16 = {.dtype = FW_F16};
    const struct {
        int numerical, behavior; /* -1: none */
        bool f32, tf32, f16;     /* allowed */
    } cases[] = {
        {-1, -1, true, true, true},
        {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, -1, false, true, true},
        {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, -1, false, true, true},
        {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP, -1, true, true, true},
        {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_FFT, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13, -1, false, false, false},
        {-1, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION, false, false, false},
        {-1, CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER, false, false, false},
        {-1, CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER, false, false, false},
        {-1, CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API, true, true, true},
        {-1, CUDNN_BEHAVIOR_NOTE_CUBLASLT_DEPENDENCY, true, true, true},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        const cudnnBackendNumericalNote_t note = (cudnnBackendNumericalNote_t)cases[i].numerical;
        const cudnnBackendBehaviorNote_t behavior = (cudnnBackendBehaviorNote_t)cases[i].behavior;
        const int64_t n = cases[i].numerical >= 0, m = cases[i].behavior >= 0;
        assert_int_equal(fwi_cudnn_refuses(&f32, &note, n, &behavior, m) == NULL, cases[i].f32);
        assert_int_equal(fwi_cudnn_refuses(&tf32, &note, n, &behavior, m) == NULL, cases[i].tf32);
        assert_int_equal(fwi_cudnn_refuses(&f16, &note, n, &behavior, m) == NULL, cases[i].f16);
    }
}

/* The table whose row takes a filter's gradient for images of that type. */
static const fwi_op_table *table_of_dw(fwi_cuda_libs *l, const conv_case *s, fw_dtype dtype)
{
    fwi_cuda_stream stream = {.libs = l, .sm = 90};
    const fwi_attr attr = attr_of(s);
    const fwi_call c = call_of(FWI_OP_conv2d_dw, s, &attr, dtype, dtype != FW_F32, &stream);
    const fwi_op_table *from = NULL;
    assert_non_null(fwi_table_find(&table, &c, &from));
    return from;
}

/* Filter gradients come in f32 where there is an engine for that, else in the images' type, by rows
 * that say so. */
static void test_type_of_dw(void **state)
{
    (void)state;
    reset();
    on_tensor_cores(&dnn->engines[0]);
    fwi_cuda_libs *l = open_libs(false);
    assert_ptr_equal(table_of_dw(l, &shapes[0], FW_BF16), &table);
    assert_ptr_equal(table_of_dw(l, &shapes[0], FW_F16), &table);
    const fwi_dnn_key a = key_of(FWI_OP_conv2d_dw, &shapes[0], FW_BF16, false);
    assert_int_equal(fwi_cudnn_plan_get(l, &a)->dw, FW_F32);
    dnn->engines[0].n_notes = 0; /* f32 by another engine is not worth it */
    const fwi_dnn_key slow = key_of(FWI_OP_conv2d_dw, &shapes[2], FW_BF16, false);
    assert_int_equal(fwi_cudnn_plan_get(l, &slow)->dw, FW_BF16);
    dnn->engines[0].no_f32_dw = true;
    const fwi_dnn_key b = key_of(FWI_OP_conv2d_dw, &shapes[1], FW_BF16, false);
    const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &b);
    assert_true(p->usable);
    assert_int_equal(p->dw, FW_BF16);
    assert_int_equal(p->engine.dw, FW_BF16);
    assert_ptr_equal(table_of_dw(l, &shapes[1], FW_BF16), &rounded);
    assert_ptr_equal(table_of_dw(l, &shapes[1], FW_F16), &rounded);
    const fwi_dnn_key c = key_of(FWI_OP_conv2d_dw, &shapes[1], FW_F32, false);
    assert_false(fwi_cudnn_plan_get(l, &c)->usable); /* there is no third way */
    fwi_cuda_stream stream = {.libs = l};
    const fwi_attr attr = attr_of(&shapes[1]);
    for (size_t off = 0; off <= 4; off += 4) {
        fwi_call call = call_of(FWI_OP_conv2d_dw, &shapes[1], &attr, FW_BF16, 1, &stream);
        const int before = fit_calls;
        run_and_check(&call, off);
        assert_int_equal(fit_calls, before + 1);
    }
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

/* ---- measured choices ---- */

static void test_measured(void **state)
{
    (void)state;
    reset();
    dnn->engines[1] = (fake_engine){.there = true, .index = 11, .workspace = 64, .n_knobs = 2};
    dnn->engines[2] = (fake_engine){
        .there = true, .index = 12, .n_notes = 1, .notes = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}};
    dnn->engines[3] = (fake_engine){.there = true, .index = 13, .unsupported = true};
    fwi_cuda_libs *l = open_libs(false);
    const struct {
        int64_t engine;
        bool taken;
    } cases[] = {{11, true}, {12, false}, {13, false}, {99, false}};
    for (int i = 0; i < COUNT(cases); i++) {
        fwi_dnn_choice c = {.key = key_of(FWI_OP_conv2d, &shapes[i], FW_F32, false),
                            .engine = cases[i].engine,
                            .n_knobs = 2,
                            .knobs = {{1, 5}, {2, 6}}};
        assert_int_equal(fwi_dnn_choices_put(&l->choices, &c), FW_OK);
        const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &c.key);
        assert_true(p->usable);
        assert_int_equal(p->measured, cases[i].taken);
        assert_int_equal(p->engine.engine, cases[i].taken ? cases[i].engine : 7);
        const fwi_attr attr = attr_of(&shapes[i]);
        fwi_cuda_stream stream = {.libs = l};
        fwi_call call = call_of(FWI_OP_conv2d, &shapes[i], &attr, FW_F32, 0, &stream);
        dnn->engine = 0;
        if (!cases[i].taken)
            run_and_check(&call, 0);
    }
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

typedef struct seen {
    int n;
    int64_t engine[16];
    fw_dtype dw[16];
    int32_t pad[16];
    fw_status answer;
} seen;

static fw_status look(void *user, const fwi_cudnn_plan *p)
{
    seen *s = user;
    assert_non_null(p->plan);
    s->dw[s->n] = p->dw;
    s->pad[s->n] = p->pad;
    s->engine[s->n++] = p->engine.engine;
    return s->answer;
}

static void test_candidates(void **state)
{
    (void)state;
    reset();
    dnn->engines[1] = (fake_engine){.there = true,
                                    .index = 8,
                                    .n_behavior = 1,
                                    .behavior = {CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION}};
    dnn->engines[2] = (fake_engine){.there = true, .index = 9, .no_f32_dw = true};
    dnn->engines[3] = (fake_engine){.there = true, .index = 10, .fallback = true};
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key y = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    seen s = {0};
    assert_int_equal(fwi_cudnn_candidates(l, &y, look, &s), FW_OK);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.engine[0], 7);
    assert_int_equal(s.engine[1], 9);
    assert_int_equal(s.engine[2], 10);
    const fwi_dnn_key dw = key_of(FWI_OP_conv2d_dw, &shapes[3], FW_BF16, false);
    s = (seen){0};
    on_tensor_cores(&dnn->engines[0]);
    on_tensor_cores(&dnn->engines[3]);
    assert_int_equal(fwi_cudnn_candidates(l, &dw, look, &s), FW_OK);
    assert_int_equal(s.n, 5); /* 7, 10 in f32, then 7, 9, 10 in bf16 */
    assert_int_equal(s.dw[1], FW_F32);
    assert_int_equal(s.dw[2], FW_BF16);
    assert_int_equal(s.engine[3], 9);
    s = (seen){.answer = FW_ESTOPPED};
    dnn->engines[0].n_notes = 0;
    assert_int_equal(fwi_cudnn_candidates(l, &y, look, &s), FW_ESTOPPED);
    assert_int_equal(s.n, 1);
    assert_null(fwi_cudnn_plan_find(l, &y)); /* measuring leaves no plan */
    assert_int_equal(dnn->live, 0);
    fwi_cuda_libs_close(l);
}

/* ---- padded channels ---- */

/* Engines that take channels by the four or eight alone: convolutions of other channels go by way of copies, and
 * give what they should, whatever is in scratch. */
static void test_padded_results(void **state)
{
    (void)state;
    static const fwi_opkind kinds[] = {FWI_OP_conv2d, FWI_OP_conv2d_dx, FWI_OP_conv2d_dw};
    for (int by = 4; by <= 8; by += 4)
        for (int rounds = 0; rounds < 2; rounds++) { /* dw in f32, and in bf16 */
            reset();
            dnn->engines[0].channels = by;
            dnn->engines[0].no_f32_dw = rounds == 1;
            on_tensor_cores(&dnn->engines[0]);
            fwi_cuda_libs *l = open_libs(true);
            fwi_cuda_stream stream = {.libs = l, .sm = 90};
            for (int i = 0; i < COUNT(shapes) * COUNT(kinds); i++) {
                const conv_case *s = &shapes[i / 3];
                const fwi_attr attr = attr_of(s);
                fwi_call c = call_of(kinds[i % 3], s, &attr, FW_BF16, 1, &stream);
                run_and_check(&c, 0);
                fwi_dnn_key key;
                assert_true(fwi_dnn_key_of(&c, true, &key));
                const fwi_cudnn_plan *p = fwi_cudnn_plan_find(l, &key);
                const bool whole = s->c % by == 0 && s->oc % by == 0;
                assert_int_equal(p->pad, whole ? 0 : by);
                assert_int_equal(p->engine.pad, p->pad);
                assert_int_equal(p->asked.c, (s->c + by - 1) / by * by);
                assert_int_equal(p->asked.oc, (s->oc + by - 1) / by * by);
                c = call_of(kinds[i % 3], s, &attr, FW_F32, 1, &stream);
                if (rounds == 0) /* tf32 */
                    run_and_check(&c, kinds[i % 3] == FWI_OP_conv2d_dw ? 4 : 0);
            }
            fwi_cuda_libs_close(l);
            assert_int_equal(dnn->live, 0);
        }
}

/* As it stands comes first; f32 that is not rounded is not padded; a measured choice may name either. */
static void test_padded_choice(void **state)
{
    (void)state;
    reset();
    dnn->engines[1] = (fake_engine){.there = true, .index = 8, .channels = 8};
    dnn->engines[2] = (fake_engine){.there = true, .index = 9, .channels = 4};
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key y =
        key_of(FWI_OP_conv2d, &shapes[0], FW_BF16, false); /* 3 channels, 4 filters */
    const fwi_dnn_key f32 = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    static const int64_t engines[] = {7, 7, 9, 7, 8, 9};
    static const int32_t pads[] = {0, 4, 4, 8, 8, 8};
    seen s = {0};
    assert_int_equal(fwi_cudnn_candidates(l, &y, look, &s), FW_OK);
    assert_int_equal(s.n, COUNT(engines));
    for (int i = 0; i < s.n; i++) {
        assert_int_equal(s.engine[i], engines[i]);
        assert_int_equal(s.pad[i], pads[i]);
    }
    s = (seen){0};
    assert_int_equal(fwi_cudnn_candidates(l, &f32, look, &s), FW_OK);
    assert_int_equal(s.n, 1);
    assert_int_equal(fwi_cudnn_plan_get(l, &y)->pad, 0);
    const struct {
        int64_t engine;
        int32_t pad;
        bool taken;
    } cases[] = {{8, 8, true},  {9, 4, true}, {8, 4, false},
                 {8, 0, false}, {7, 8, true}, {7, 0, true}};
    for (int i = 0; i < COUNT(cases); i++) {
        const fwi_dnn_choice c = {.key = y, .engine = cases[i].engine, .pad = cases[i].pad};
        assert_int_equal(fwi_dnn_choices_put(&l->choices, &c), FW_OK);
        const fwi_cudnn_plan *p = fwi_cudnn_plan_renew(l, &y);
        assert_true(p->usable);
        assert_int_equal(p->measured, cases[i].taken);
        assert_int_equal(p->engine.engine, cases[i].taken ? cases[i].engine : 7);
        assert_int_equal(p->pad, cases[i].taken ? cases[i].pad : 0);
    }
    fwi_dnn_choice whole = {
        .key = key_of(FWI_OP_conv2d, &shapes[3], FW_BF16, false), .engine = 8, .pad = 8};
    assert_int_equal(fwi_dnn_choices_put(&l->choices, &whole), FW_OK);
    assert_false(fwi_cudnn_plan_get(l, &whole.key)->measured); /* of 8 channels: nothing to pad */
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

/* ---- failures ---- */

/* Each call of each kind fails once: no crash, nothing lost, and a plan that is usable, is not, or
 * is no plan with a message. */
static void test_every_failure(void **state)
{
    (void)state;
    static const cudnnStatus_t statuses[] = {CUDNN_STATUS_NOT_SUPPORTED, CUDNN_STATUS_BAD_PARAM,
                                             CUDNN_STATUS_INTERNAL_ERROR,
                                             CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED};
    static const fake_cudnn_call calls[] = {FAKE_CREATE, FAKE_SET, FAKE_GET, FAKE_FINALIZE};
    int refused = 0, failed = 0, passed = 0;
    for (int i = 0; i < COUNT(statuses) * 2; i++)
        for (int j = 0; j < COUNT(calls); j++)
            for (int at = 1;; at++) {
                reset();
                dnn->engines[0].n_knobs = 2;
                fwi_cuda_libs *l = open_libs(false);
                dnn->fail_call = calls[j];
                dnn->fail_at = at;
                dnn->fail_status = statuses[i / 2];
                const fwi_dnn_key key = i % 2 == 0
                                            ? key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false)
                                            : key_of(FWI_OP_conv2d_dw, &shapes[0], FW_BF16, false);
                const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &key);
                const bool reached = dnn->calls[calls[j]] >= at;
                if (p == NULL) {
                    failed++;
                    assert_message("cuDNN: ");
                } else if (!p->usable) {
                    refused++;
                    assert_true(p->why[0] != 0);
                } else {
                    passed++;
                }
                fwi_cuda_libs_close(l);
                assert_int_equal(dnn->live, 0);
                if (!reached)
                    break;
            }
    assert_true(refused > 0 && failed > 0 && passed > 0);
}

static void test_failing_run(void **state)
{
    (void)state;
    static const fake_cudnn_call calls[] = {FAKE_CREATE, FAKE_SET, FAKE_FINALIZE, FAKE_EXECUTE};
    reset();
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key key = key_of(FWI_OP_conv2d, &shapes[5], FW_F32, false);
    const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &key);
    _Alignas(256) float x[4] = {3}, w[4] = {5}, y[4] = {0}, room[250];
    const int live = dnn->live;
    for (int i = 0; i < COUNT(calls); i++) {
        dnn->fail_call = calls[i];
        dnn->fail_at = dnn->calls[calls[i]] + 1;
        dnn->fail_status = CUDNN_STATUS_EXECUTION_FAILED;
        assert_int_equal(fwi_cudnn_run(l, p, x, w, y, room), FW_EINTERNAL);
        assert_message("conv2d f32 n1 h1 w1 c1 oc1 k1x1 s1 pad0,0,0,0");
        assert_message("(5000)");
        assert_int_equal(dnn->live, live);
    }
    dnn->fail_at = 0;
    assert_int_equal(fwi_cudnn_run(l, p, x, w, y, room), FW_OK);
    assert_true(y[0] == 15);
    assert_int_equal(fwi_cudnn_run(l, p, x + 1, w, y, room), FW_EINTERNAL);
    assert_message("not on a boundary of 16 bytes");
    fwi_cuda_libs_close(l);
}

static void test_no_memory(void **state)
{
    (void)state;
    reset();
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key key = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    fwi_mem_fail_at(1);
    assert_null(fwi_cudnn_plan_get(l, &key));
    fwi_mem_fail_at(1);
    assert_int_equal(fwi_cudnn_candidates(l, &key, look, NULL), FW_ENOMEM);
    fwi_mem_fail_at(0);
    assert_true(fwi_cudnn_plan_get(l, &key)->usable);
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

/* ---- what a row takes ---- */

static void test_accepts(void **state)
{
    (void)state;
    reset();
    fwi_cuda_libs *l = open_libs(false);
    fwi_cuda_stream stream = {.libs = l}, without = {.libs = NULL};
    const fwi_attr attr = attr_of(&shapes[0]);
    fwi_call c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F32, 0, &stream);
    assert_non_null(fwi_table_find(&table, &c, NULL));
    c.stream = NULL;
    assert_null(fwi_table_find(&table, &c, NULL));
    c.stream = &without;
    assert_null(fwi_table_find(&table, &c, NULL));
    c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F32, 2, &stream); /* blocks of two images */
    assert_null(fwi_table_find(&table, &c, NULL));
    c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F64, 0, &stream);
    assert_null(fwi_table_find(&table, &c, NULL));
    c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F32, 0, &stream);
    c.in[0].shape.d[0] = c.out[0].shape.d[0] = (int64_t)1 << 31;
    assert_null(fwi_table_find(&table, &c, NULL));
    fwi_cuda_libs_close(l);
    setenv("FENWICKS_CUDNN", "/nowhere/dnn.so", 1);
    l = open_libs(false);
    stream.libs = l;
    c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F32, 0, &stream);
    assert_null(fwi_table_find(&table, &c, NULL));
    fwi_cuda_libs_close(l);
    point_at_fakes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),          cmocka_unit_test(test_once),
        cmocka_unit_test(test_choice_of_engine), cmocka_unit_test(test_notes),
        cmocka_unit_test(test_type_of_dw),       cmocka_unit_test(test_measured),
        cmocka_unit_test(test_candidates),       cmocka_unit_test(test_every_failure),
        cmocka_unit_test(test_failing_run),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_accepts),          cmocka_unit_test(test_padded_results),
        cmocka_unit_test(test_padded_choice),
    };
    point_at_fakes();
    dnn = dnn_state();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
