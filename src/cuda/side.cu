/* side.cu: the small kernels that the rows over cuDNN and cuBLASLt need beside the libraries, and
 * what of Muon's update is no product: its momentum, its norms and its step. The sums of a norm are
 * in double, cut into a fixed number of parts that are added in order: the same bits every time.
 * Read before: cuda_side.h, cuda_kernel.h, cpu/ref/muon_body.h. */
#include "cuda_joint.h"
#include "cuda_muon.h"
#include "cuda_packs.h"

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

fw_status use(const fwi_call *c)
{
    return fwi_cuda::use(c);
}

fw_status too_many(int64_t n)
{
    return fwi_fail(FW_ESHAPE, "cuda: %lld elements, a kernel takes fewer than 2^31", (long long)n);
}

struct __attribute__((__may_alias__, __aligned__(8))) two_words {
    uint32_t w[2];
};

/* V neighbours to memory at once, where V of To are 8 or 16 bytes and `to` lies on a boundary of 16. */
template <int V, class To>
__device__ inline void put_neighbours(To *to, int64_t i, bool wide, const float *v)
{
    if constexpr (V == 4 && sizeof(To) == 2) {
        if (wide) {
            *(two_words *)(to + i) =
                two_words{fwi_cuda::pair_of(to, v[0], v[1]), fwi_cuda::pair_of(to, v[2], v[3])};
            return;
        }
    }
    fwi_cuda::put_pack<V>(to, i, wide, v);
}

/* Between tensors of other sizes, V channels of `to` at once: i counts through those. */
template <int V, class To, class From> struct resize {
    To *to;
    const From *from;
    int taps, packs, n, c; /* packs: of a tap's channels in `to`; n, c: of `from` */
    bool wide;
    __device__ void operator()(int i) const
    {
        const int k = i % packs * V, tap = i / packs;
        const bool there = tap / taps < n;
        float v[V];
        FWI_UNROLL
        for (int j = 0; j < V; j++)
            v[j] = there && k + j < c ? get(from, (int64_t)tap * c + k + j) : 0.0f;
        put_neighbours<V>(to, (int64_t)i * V, wide, v);
    }
};

template <int V, class To, class From>
fw_status resize_packs(const fwi_call *c, const fwi_side_tensor *to, const fwi_side_tensor *from)
{
    const int packs = (int)(to->c / V);
    return fwi_cuda::each(c, (int)(to->n * to->taps) * packs,
                          resize<V, To, From>{(To *)to->data, (const From *)from->data,
                                              (int)to->taps, packs, (int)from->n, (int)from->c,
                                              fwi_cuda::on_quads(to->data)});
}

template <class To, class From>
fw_status fit_types(const fwi_call *c, const fwi_side_tensor *to, const fwi_side_tensor *from)
{
    if (to->n == from->n && to->c == from->c)
        return fwi_cuda::each(c, (int)(to->n * to->taps * to->c),
                              convert<To, From>{(To *)to->data, (const From *)from->data});
    return to->c % 8 == 0   ? resize_packs<8, To, From>(c, to, from)
           : to->c % 4 == 0 ? resize_packs<4, To, From>(c, to, from)
                            : resize_packs<1, To, From>(c, to, from);
}

fw_status fit(const fwi_call *c, const fwi_side_tensor *to, const fwi_side_tensor *from)
{
    const int64_t most = to->n * to->taps * to->c;
    if (most > INT32_MAX || from->n > INT32_MAX || from->c > INT32_MAX)
        return too_many(most);
    const bool widens = to->dtype == FW_F32;
    switch (widens ? from->dtype : to->dtype) {
    case FW_BF16:
        return widens                   ? fit_types<float, bf16>(c, to, from)
               : from->dtype == FW_BF16 ? fit_types<bf16, bf16>(c, to, from)
                                        : fit_types<bf16, float>(c, to, from);
    case FW_F16:
        return widens                  ? fit_types<float, f16>(c, to, from)
               : from->dtype == FW_F16 ? fit_types<f16, f16>(c, to, from)
                                       : fit_types<f16, float>(c, to, from);
    default:
        return fit_types<float, float>(c, to, from);
    }
}

/* ---- muon: each kernel does all variables ---- */

using fwi_cuda::EACH;
using fwi_cuda::muon_turn;

/* Parts of n elements that have any: the blocks that a kernel needs for them. */
static __host__ __device__ inline int muon_parts_of(int n)
{
    const int blocks = n / EACH + (n % EACH != 0);
    return blocks < (int)FWI_MUON_PARTS ? blocks : (int)FWI_MUON_PARTS;
}

/* Momentum, and the sums of u^2 and w^2 of one part of the elements. */
struct momentum_part {
    const float *w, *g;
    float *v;
    double *sums;
    int n;
    float mom;
    __device__ void operator()(int part) const
    {
        __shared__ double room[EACH];
        double uu = 0, ww = 0;
        for (int64_t i = (int64_t)part * EACH + (int)threadIdx.x; i < n;
             i += (int64_t)FWI_MUON_PARTS * EACH) {
            v[i] = mom * v[i] + g[i];
            const float u = g[i] + mom * v[i];
            uu += (double)u * (double)u;
            ww += (double)w[i] * (double)w[i];
        }
        uu = fwi_cuda::block_sum<EACH>(uu, room);
        ww = fwi_cuda::block_sum<EACH>(ww, room);
        if (threadIdx.x == 0) {
            sums[2 + part] = uu;
            sums[2 + FWI_MUON_PARTS + part] = ww;
        }
    }
};

static_assert((int)FWI_MUON_PARTS == (int)EACH, "a thread for each part");
struct norms {
    double *sums;
    int parts;
    __device__ void operator()(int block) const
    {
        __shared__ double room[FWI_MUON_PARTS];
        const int t = (int)threadIdx.x;
        const double *const of_u = sums + 2, *const of_w = of_u + FWI_MUON_PARTS;
        (void)block;
        const double uu = fwi_cuda::block_sum<FWI_MUON_PARTS>(t < parts ? of_u[t] : 0, room);
        const double ww = fwi_cuda::block_sum<FWI_MUON_PARTS>(t < parts ? of_w[t] : 0, room);
        if (t == 0) {
            sums[0] = uu;
            sums[1] = ww;
        }
    }
};

/* X = u / (p ||u|| + q) */
template <class T> struct direction {
    T *x;
    const float *v, *g;
    const double *sums, *pq;
    float mom;
    muon_turn at;
    __device__ void operator()(int i) const
    {
        const float u = g[i] + mom * v[i];
        put(x, at(i), (float)((double)u / (pq[0] * sqrt(sums[0]) + pq[1])));
    }
};

muon_turn turn_of(const fwi_muon_work *m)
{
    return muon_turn{(int)m->rows, (int)m->rest};
}

int size_of(const fwi_muon_work *m)
{
    return (int)(m->rows * m->rest);
}

template <class T> fw_status directions(const fwi_call *c, const fwi_muon_work *m, int n)
{
    return fwi_cuda::each_of<direction<T>>(
        c, n,
        [c, m](int k) {
            return direction<T>{(T *)m[k].x,
                                (const float *)c[k].in[1].data,
                                (const float *)c[k].in[2].data,
                                m[k].sums,
                                (const double *)c[k].in[3].data + c[k].attr->muon.xn_col,
                                (float)c[k].attr->muon.momentum,
                                turn_of(&m[k])};
        },
        [m](int k) { return size_of(&m[k]); });
}

template <class T> fw_status steps(const fwi_call *c, const fwi_muon_work *m, int n)
{
    return fwi_cuda::each_of<fwi_cuda::muon_step<T>>(
        c, n,
        [c, m](int k) {
            return fwi_cuda::muon_step_of<T>(&c[k], (const T *)m[k].x, m[k].sums, turn_of(&m[k]));
        },
        [m](int k) { return size_of(&m[k]); });
}

fw_status muon_begin(const fwi_call *c, const fwi_muon_work *m, int n)
{
    fw_status st = fwi_cuda::blocks_of_each<momentum_part>(
        c, n,
        [c, m](int k) {
            return momentum_part{(const float *)c[k].in[0].data,
                                 (const float *)c[k].in[2].data,
                                 (float *)c[k].in[1].data,
                                 m[k].sums,
                                 size_of(&m[k]),
                                 (float)c[k].attr->muon.momentum};
        },
        [m](int k) { return muon_parts_of(size_of(&m[k])); });
    if (st == FW_OK)
        st = fwi_cuda::blocks_of_each<norms>(
            c, n,
            [m](int k) {
                return norms{m[k].sums, muon_parts_of(size_of(&m[k]))};
            },
            [](int) { return 1; });
    if (st != FW_OK)
        return st;
    return m->dtype == FW_BF16 ? directions<bf16>(c, m, n) : directions<float>(c, m, n);
}

fw_status muon_end(const fwi_call *c, const fwi_muon_work *m, int n)
{
    return m->dtype == FW_BF16 ? steps<bf16>(c, m, n) : steps<float>(c, m, n);
}

} // namespace

#ifdef FWI_CUDA_EMULATED /* beside the real ones in a test */
#define fwi_cuda_side_kernels fwi_emulated_side_kernels
extern "C" const fwi_cuda_side fwi_cuda_side_kernels;
#endif
extern "C" const fwi_cuda_side fwi_cuda_side_kernels = {use, fit, muon_begin, muon_end};
