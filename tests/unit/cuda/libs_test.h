/* libs_test.h: what the tests of the libraries' rows share: a device's libraries opened over the two
 * stand-ins, small kernels on the host, and calls. */
#ifndef LIBS_TEST_H
#define LIBS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cublaslt_muon.h"
#include "cuda_inner.h"
#include "cudnn_conv.h"
#include "fake_cublaslt.h"
#include "fake_cudnn.h"
#include "fake_half.h"

#include <assert.h>
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array)         ((int)(sizeof(array) / sizeof *(array)))
#define assert_message(text) assert_non_null(strstr(fw_last_error(), text))

extern const fwi_kernel fwi_rows_cudnn[], fwi_rows_cudnn_rounded[];
extern const fwi_kernel fwi_rows_cublaslt[], fwi_rows_cublaslt_muon[];

static inline void point_at_fakes(void)
{
    setenv("FENWICKS_CUDNN", FW_FAKE_CUDNN, 1);
    setenv("FENWICKS_CUBLASLT", FW_FAKE_CUBLASLT, 1);
    setenv("FENWICKS_CONV_CHOICES", "conv-choices.json", 1); /* in the test's own folder */
}

/* The state in the stand-in; it stays loaded. */
static inline void *fake_state(const char *path, const char *name)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(lib);
    void *state = dlsym(lib, name);
    assert_non_null(state);
    return state;
}

static inline fake_cudnn_state *dnn_state(void)
{
    return fake_state(FW_FAKE_CUDNN, "fake_cudnn");
}

static inline fake_cublaslt_state *blas_state(void)
{
    return fake_state(FW_FAKE_CUBLASLT, "fake_cublaslt");
}

static int fit_calls, use_calls;

static inline fw_status host_use(const fwi_call *c)
{
    assert_non_null(c->stream);
    use_calls++;
    return FW_OK;
}

/* f32 and bf16. */
static inline fw_status host_fit(const fwi_call *c, const fwi_side_tensor *to,
                                 const fwi_side_tensor *from)
{
    (void)c;
    assert_int_equal(to->taps, from->taps);
    fit_calls++;
    for (int64_t i = 0; i < to->n * to->taps * to->c; i++) {
        const int64_t k = i % to->c, tap = i / to->c;
        const bool there = k < from->c && tap / to->taps < from->n;
        const int64_t at = tap * from->c + k;
        const float v = !there                   ? 0.0f
                        : from->dtype == FW_BF16 ? bf16_value(((const uint16_t *)from->data)[at])
                                                 : ((const float *)from->data)[at];
        if (to->dtype == FW_BF16)
            ((uint16_t *)to->data)[i] = bf16_bits(v);
        else
            memcpy((float *)to->data + i, &v, sizeof v);
    }
    return FW_OK;
}

/* As side.cu has them, in plain loops. */
static inline int64_t host_turned(const fwi_muon_work *m, int64_t i)
{
    return m->rows > m->rest ? i % m->rest * m->rows + i / m->rest : i;
}

static inline float host_x(const fwi_muon_work *m, int64_t i)
{
    const int64_t at = host_turned(m, i);
    return m->dtype == FW_BF16 ? bf16_value(((const uint16_t *)m->x)[at])
                               : ((const float *)m->x)[at];
}

static inline void host_begin_one(const fwi_call *c, const fwi_muon_work *m)
{
    const float mom = (float)c->attr->muon.momentum;
    const float *w = c->in[0].data, *g = c->in[2].data;
    float *v = c->in[1].data;
    const double *pq = (const double *)c->in[3].data + c->attr->muon.xn_col;
    m->sums[0] = m->sums[1] = 0;
    m->sums[FWI_MUON_SUMS - 1] = NAN; /* room to the last of them */
    for (int64_t i = 0; i < m->rows * m->rest; i++) {
        v[i] = mom * v[i] + g[i];
        const float u = g[i] + mom * v[i];
        m->sums[0] += (double)u * (double)u;
        m->sums[1] += (double)w[i] * (double)w[i];
    }
    for (int64_t i = 0; i < m->rows * m->rest; i++) {
        const double u = (double)(g[i] + mom * v[i]);
        const float x = (float)(u / (pq[0] * sqrt(m->sums[0]) + pq[1]));
        if (m->dtype == FW_BF16)
            ((uint16_t *)m->x)[host_turned(m, i)] = bf16_bits(x);
        else
            ((float *)m->x)[host_turned(m, i)] = x;
    }
}

static inline fw_status host_muon_begin(const fwi_call *c, const fwi_muon_work *m, int n)
{
    for (int i = 0; i < n; i++)
        host_begin_one(&c[i], &m[i]);
    return FW_OK;
}

static inline void host_end_one(const fwi_call *c, const fwi_muon_work *m)
{
    const fwi_muon_attr *a = &c->attr->muon;
    const double *hyper = c->in[3].data, lr = hyper[a->lr_col], ww = m->sums[1];
    const double renorm =
        hyper[a->rn_col] != 0 && ww > 0 ? sqrt((double)m->rows) / (sqrt(ww) + a->renorm_eps) : 1;
    float *w = c->in[0].data;
    for (int64_t i = 0; i < m->rows * m->rest && lr != 0; i++) {
        const double x = (double)host_x(m, i);
        w[i] = (float)((renorm * (double)w[i] - lr * x) * (1 - lr * hyper[a->wd_col]));
    }
}

static inline fw_status host_muon_end(const fwi_call *c, const fwi_muon_work *m, int n)
{
    for (int i = 0; i < n; i++)
        host_end_one(&c[i], &m[i]);
    return FW_OK;
}

static const fwi_cuda_side host_side = {
    .use = host_use, .fit = host_fit, .muon_begin = host_muon_begin, .muon_end = host_muon_end};
static int a_stream; /* its address is the stream */

static inline fwi_cuda_libs *open_libs(bool tf32)
{
    fwi_cuda_libs *l = NULL;
    const fwi_cuda_libs_opt opt = {
        .stream = (cudaStream_t)(void *)&a_stream, .sm = 90, .tf32 = tf32, .side = &host_side};
    assert_int_equal(fwi_cuda_libs_open(&l, &opt), FW_OK);
    return l;
}

#endif
