/* side.cu: the small kernels that the rows over cuDNN and cuBLASLt need beside the libraries, and
 * what of Muon's update is no product: its momentum, its norms and its step. The sums of a norm are
 * in double, cut into a fixed number of parts that are added in order: the same bits every time.
 * Read before: cuda_side.h, cuda_kernel.h, cpu/ref/muon_body.h. */
#include "cuda_kernel.h"

extern "C" {
#include "cuda_side.h"
}

namespace
{

using fwi_cuda::bf16;
using fwi_cuda::f16;
using fwi_cuda::get;
using fwi_cuda::put;

template <class To, class From> struct convert {
    To *to;
    const From *from;
    __device__ void operator()(int i) const
    {
        put(to, i, get(from, i));
    }
};

fw_status too_many(int64_t n)
{
    return fwi_fail(FW_ESHAPE, "cuda: %lld elements, a kernel takes fewer than 2^31", (long long)n);
}

fw_status narrow(const fwi_call *c, void *to, fw_dtype dtype, const float *from, int64_t n)
{
    if (n > INT32_MAX)
        return too_many(n);
    if (dtype == FW_BF16)
        return fwi_cuda::each(c, (int)n, convert<bf16, float>{(bf16 *)to, from});
    return fwi_cuda::each(c, (int)n, convert<f16, float>{(f16 *)to, from});
}

fw_status widen(const fwi_call *c, float *to, const void *from, fw_dtype dtype, int64_t n)
{
    if (n > INT32_MAX)
        return too_many(n);
    if (dtype == FW_BF16)
        return fwi_cuda::each(c, (int)n, convert<float, bf16>{to, (const bf16 *)from});
    if (dtype == FW_F16)
        return fwi_cuda::each(c, (int)n, convert<float, f16>{to, (const f16 *)from});
    return fwi_cuda::each(c, (int)n, convert<float, float>{to, (const float *)from});
}

/* ---- muon ---- */

constexpr int THREADS = 256;

/* Momentum, and the sums of u^2 and w^2 of one part of the elements. */
__global__ void momentum_kernel(int n, float mom, const float *w, float *v, const float *g,
                                double *sums)
{
    __shared__ double room[THREADS];
    double uu = 0, ww = 0;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + (int)threadIdx.x; i < n;
         i += (int64_t)FWI_MUON_PARTS * THREADS) {
        v[i] = mom * v[i] + g[i];
        const float u = g[i] + mom * v[i];
        uu += (double)u * (double)u;
        ww += (double)w[i] * (double)w[i];
    }
    uu = fwi_cuda::block_sum<THREADS>(uu, room);
    ww = fwi_cuda::block_sum<THREADS>(ww, room);
    if (threadIdx.x == 0) {
        sums[2 + blockIdx.x] = uu;
        sums[2 + FWI_MUON_PARTS + blockIdx.x] = ww;
    }
}

__global__ void norms_kernel(double *sums)
{
    __shared__ double room[FWI_MUON_PARTS];
    const int t = (int)threadIdx.x;
    const double uu = fwi_cuda::block_sum<FWI_MUON_PARTS>(sums[2 + t], room);
    const double ww = fwi_cuda::block_sum<FWI_MUON_PARTS>(sums[2 + FWI_MUON_PARTS + t], room);
    if (t == 0) {
        sums[0] = uu;
        sums[1] = ww;
    }
}

/* Where in X the element i of w is. */
struct turned {
    int rows, rest;
    __device__ int operator()(int i) const
    {
        return rows > rest ? i % rest * rows + i / rest : i;
    }
};

/* X = u / (p ||u|| + q) */
template <class T> struct direction {
    T *x;
    const float *v, *g;
    const double *sums, *pq;
    float mom;
    turned at;
    __device__ void operator()(int i) const
    {
        const float u = g[i] + mom * v[i];
        put(x, at(i), (float)((double)u / (pq[0] * sqrt(sums[0]) + pq[1])));
    }
};

template <class T> struct step {
    float *w;
    const T *x;
    const double *sums, *hyper;
    double renorm_eps;
    int lr_col, wd_col, rn_col;
    turned at;
    __device__ void operator()(int i) const
    {
        const double lr = hyper[lr_col], wd = hyper[wd_col], ww = sums[1];
        if (lr == 0)
            return;
        const double renorm =
            hyper[rn_col] != 0 && ww > 0 ? sqrt((double)at.rows) / (sqrt(ww) + renorm_eps) : 1;
        const double moved = renorm * (double)w[i] - lr * (double)get(x, at(i));
        w[i] = (float)(moved * (1 - lr * wd));
    }
};

turned turned_of(const fwi_muon_work *m)
{
    return turned{(int)m->rows, (int)m->rest};
}

template <class T> fw_status directions(const fwi_call *c, const fwi_muon_work *m)
{
    return fwi_cuda::each(c, (int)(m->rows * m->rest),
                          direction<T>{(T *)m->x, (const float *)c->in[1].data,
                                       (const float *)c->in[2].data, m->sums,
                                       (const double *)c->in[3].data + c->attr->muon.xn_col,
                                       (float)c->attr->muon.momentum, turned_of(m)});
}

template <class T> fw_status steps(const fwi_call *c, const fwi_muon_work *m)
{
    const fwi_muon_attr *a = &c->attr->muon;
    return fwi_cuda::each(c, (int)(m->rows * m->rest),
                          step<T>{(float *)c->in[0].data, (const T *)m->x, m->sums,
                                  (const double *)c->in[3].data, a->renorm_eps, (int)a->lr_col,
                                  (int)a->wd_col, (int)a->rn_col, turned_of(m)});
}

fw_status muon_begin(const fwi_call *c, const fwi_muon_work *m)
{
    fw_status st = fwi_cuda::launch(c, momentum_kernel, dim3(FWI_MUON_PARTS), dim3(THREADS),
                                    (int)(m->rows * m->rest), (float)c->attr->muon.momentum,
                                    (const float *)c->in[0].data, (float *)c->in[1].data,
                                    (const float *)c->in[2].data, m->sums);
    if (st == FW_OK)
        st = fwi_cuda::launch(c, norms_kernel, dim3(1), dim3(FWI_MUON_PARTS), m->sums);
    if (st != FW_OK)
        return st;
    return m->dtype == FW_BF16 ? directions<bf16>(c, m) : directions<float>(c, m);
}

fw_status muon_end(const fwi_call *c, const fwi_muon_work *m)
{
    return m->dtype == FW_BF16 ? steps<bf16>(c, m) : steps<float>(c, m);
}

} // namespace

#ifdef FWI_CUDA_EMULATED /* beside the real ones in a test */
#define fwi_cuda_side_kernels fwi_emulated_side_kernels
extern "C" const fwi_cuda_side fwi_cuda_side_kernels;
#endif
extern "C" const fwi_cuda_side fwi_cuda_side_kernels = {narrow, widen, muon_begin, muon_end};
