/* cudnn_test.h: what the tests of convolutions over the stand-in for cuDNN share: its state, calls for a list of shapes,
 * operands, and a convolution's definition to hold results to. */
#ifndef CUDNN_TEST_H
#define CUDNN_TEST_H

#include "libs_test.h"

#include <math.h>
#include <stdio.h>

static fake_cudnn_state *dnn;

/* One engine that is allowed, and nothing else set. */
static inline void reset(void)
{
    *dnn = (fake_cudnn_state){0};
    dnn->engines[0] = (fake_engine){.there = true, .index = 7, .workspace = 1000};
}

/* As engines with tensor cores say of themselves. */
static inline void on_tensor_cores(fake_engine *e)
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

static inline fwi_attr attr_of(const conv_case *s)
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

static inline fwi_call call_of(fwi_opkind kind, const conv_case *s, const fwi_attr *attr,
                               fw_dtype dtype, int32_t nb, fwi_cuda_stream *stream)
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

static inline size_t bytes_of(const fwi_arg *a)
{
    return (size_t)fwi_shape_elems(&a->shape) * fw_dtype_size(a->dtype);
}

static inline float value(const fwi_arg *a, int64_t i)
{
    return a->dtype == FW_F32 ? ((const float *)a->data)[i]
                              : bf16_value(((const uint16_t *)a->data)[i]);
}

/* Small whole numbers: every sum is exact, in bf16 too where the result is small. off: bytes. */
static inline void *make_operand(fwi_arg *a, size_t off, int step)
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
static inline double *expected(const fwi_call *c)
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
static inline void run_and_check(fwi_call *c, size_t off)
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

static inline fwi_dnn_key key_of(fwi_opkind kind, const conv_case *s, fw_dtype dtype, bool tf32)
{
    const fwi_attr attr = attr_of(s);
    const fwi_call c = call_of(kind, s, &attr, dtype, 0, NULL);
    fwi_dnn_key key;
    assert_true(fwi_dnn_key_of(&c, tf32, &key));
    return key;
}

/* The table whose row takes a filter's gradient for images of that type. */
static inline const fwi_op_table *table_of_dw(fwi_cuda_libs *l, const conv_case *s, fw_dtype dtype)
{
    fwi_cuda_stream stream = {.libs = l, .sm = 90};
    const fwi_attr attr = attr_of(s);
    const fwi_call c = call_of(FWI_OP_conv2d_dw, s, &attr, dtype, dtype != FW_F32, &stream);
    const fwi_op_table *from = NULL;
    assert_non_null(fwi_table_find(&table, &c, &from));
    return from;
}

#endif
