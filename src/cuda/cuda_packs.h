/* cuda_packs.h: several neighbouring elements per thread. A GPU fetches 16 bytes per thread as fast as
 * two, so what only moves through memory is done in packs of 8 elements of 16 bits or 4 of f32, where
 * the channels of a pixel are whole packs. How elements are grouped follows from shape and type alone,
 * so that sums have the same order at any address; memory that is not on a boundary of 16 bytes is read
 * element by element, with the same result. Read before: cuda_kernel.h. */
#ifndef FWI_CUDA_PACKS_H
#define FWI_CUDA_PACKS_H

#include "cuda_kernel.h"

#include <stdlib.h>

namespace fwi_cuda
{

#ifdef FWI_CUDA_EMULATED /* a boundary is checked, not assumed */
#define FWI_QUAD_ALIGN 4
static inline const void *on_boundary(const void *p)
{
    if (((uintptr_t)p & 15u) != 0)
        abort();
    return p;
}
#else
#define FWI_QUAD_ALIGN 16
static __device__ inline const void *on_boundary(const void *p)
{
    return p;
}
#endif
struct __attribute__((__may_alias__, __aligned__(FWI_QUAD_ALIGN))) quad {
    uint32_t w[4];
};

/* Elements of a full pack. */
template <class T> struct pack_of {
    static constexpr int N = 16 / (int)sizeof(T);
};

static __device__ inline float half_word(const bf16 *, uint32_t w, int high)
{
    return float_of_bits(high ? w & 0xFFFF0000u : w << 16);
}
static __device__ inline float half_word(const f16 *, uint32_t w, int high)
{
    return f16_value((uint16_t)(high ? w >> 16 : w));
}
static __device__ inline uint32_t half_bits(const bf16 *, float v)
{
    return bf16_bits(v);
}
static __device__ inline uint32_t half_bits(const f16 *, float v)
{
    return f16_bits(v);
}

/* Two numbers as neighbours in memory, rounded to the nearest, ties to even: one instruction (PTX ISA 9.0,
 * 9.7.9.21), which differs from put() in a NaN's bits alone. */
#ifndef FWI_CUDA_EMULATED
static __device__ inline uint32_t pair_of(const f16 *, float low, float high)
{
    uint32_t u;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(high), "f"(low));
    return u;
}
static __device__ inline uint32_t pair_of(const bf16 *, float low, float high)
{
    uint32_t u;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(high), "f"(low));
    return u;
}
#else
template <class T> static __device__ inline uint32_t pair_of(const T *p, float low, float high)
{
    return half_bits(p, low) | half_bits(p, high) << 16;
}
#endif

/* 16 bytes at p. */
static __device__ inline void get_quad(const float *p, float *v)
{
    const quad q = *(const quad *)on_boundary(p);
    for (int j = 0; j < 4; j++)
        v[j] = float_of_bits(q.w[j]);
}
template <class T> static __device__ inline void get_quad(const T *p, float *v)
{
    const quad q = *(const quad *)on_boundary(p);
    for (int j = 0; j < 8; j++)
        v[j] = half_word(p, q.w[j / 2], j % 2);
}
static __device__ inline void put_quad(float *p, const float *v)
{
    quad q;
    for (int j = 0; j < 4; j++)
        q.w[j] = bits_of_float(v[j]);
    *(quad *)(uintptr_t)on_boundary(p) = q;
}
template <class T> static __device__ inline void put_quad(T *p, const float *v)
{
    quad q;
    for (int j = 0; j < 4; j++)
        q.w[j] = half_bits(p, v[2 * j]) | half_bits(p, v[2 * j + 1]) << 16;
    *(quad *)(uintptr_t)on_boundary(p) = q;
}

/* V elements from number i on, as f32. wide: p is on a boundary of 16 bytes, and i a multiple of V. */
template <int V, class T>
static __device__ inline void get_pack(const T *p, int64_t i, bool wide, float *v)
{
    constexpr int N = pack_of<T>::N;
    if (V % N == 0 && wide) {
        for (int j = 0; j < V / N; j++)
            get_quad(p + i + j * N, v + j * N);
        return;
    }
    for (int j = 0; j < V; j++)
        v[j] = get(p, i + j);
}
template <int V, class T>
static __device__ inline void put_pack(T *p, int64_t i, bool wide, const float *v)
{
    constexpr int N = pack_of<T>::N;
    if (V % N == 0 && wide) {
        for (int j = 0; j < V / N; j++)
            put_quad(p + i + j * N, v + j * N);
        return;
    }
    for (int j = 0; j < V; j++)
        put(p, i + j, v[j]);
}

/* Whether all of a call's tensors that are given lie on boundaries of 16 bytes. */
static inline bool on_quads(const void *a, const void *b = nullptr, const void *c = nullptr)
{
    return (((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) & 15u) == 0;
}

/* ---- every element, whatever its channel ---- */

/* F has `template <int V> __device__ void at(int i) const`: V elements from i on. */
template <int V, class F> static __global__ void packs_kernel(int n, F f)
{
    const int i = (int)(blockIdx.x * (unsigned)EACH + threadIdx.x) * V;
    if (i + V <= n)
        f.template at<V>(i);
    else
        for (int k = i; k < n; k++) /* of the last thread that has any */
            f.template at<1>(k);
}

/* n elements in packs of V; none of 2^31 - 2^11 or more, where i + V would not fit. */
template <int V, class F> static inline fw_status packs(const fwi_call *c, int n, const F &f)
{
    if (n == 0)
        return FW_OK;
    if (V == 1 || n > INT32_MAX - EACH * V)
        return launch_alone(c, packs_kernel<1, F>, dim3(blocks_of(n, EACH)), dim3(EACH), n, f);
    return launch_alone(c, packs_kernel<V, F>, dim3(blocks_of(n, EACH * V)), dim3(EACH), n, f);
}

/* y = f(x), and y = f(a, b), element by element; y may be input 0's memory. */
template <class X, class Y, class F> struct map_at {
    const X *x;
    Y *y;
    bool wide;
    F f;
    template <int V> __device__ void at(int i) const
    {
        float v[V];
        get_pack<V>(x, i, wide, v);
        for (int j = 0; j < V; j++)
            v[j] = f(v[j]);
        put_pack<V>(y, i, wide, v);
    }
};
template <class T, class F> struct map2_at {
    const T *a, *b;
    T *y;
    bool wide;
    F f;
    template <int V> __device__ void at(int i) const
    {
        float v[V], w[V];
        get_pack<V>(a, i, wide, v);
        get_pack<V>(b, i, wide, w);
        for (int j = 0; j < V; j++)
            v[j] = f(v[j], w[j]);
        put_pack<V>(y, i, wide, v);
    }
};

template <class X, class Y, class F> static inline fw_status map(const fwi_call *c, const F &f)
{
    constexpr int V = pack_of<X>::N > pack_of<Y>::N ? pack_of<X>::N : pack_of<Y>::N;
    const X *x = in<X>(c, 0);
    Y *y = out<Y>(c, 0);
    return packs<V>(c, elems(&c->in[0]), map_at<X, Y, F>{x, y, on_quads(x, y), f});
}
template <class T, class F> static inline fw_status map2(const fwi_call *c, const F &f)
{
    const T *a = in<T>(c, 0), *b = in<T>(c, 1);
    T *y = out<T>(c, 0);
    return packs<pack_of<T>::N>(c, elems(&c->in[0]), map2_at<T, F>{a, b, y, on_quads(a, b, y), f});
}

/* The same where a pack must not reach into the next pixel: in packs where c channels are whole ones. */
template <int V, class F>
static inline fw_status channel_packs(const fwi_call *call, int n, int c, const F &f)
{
    return c % V == 0 ? packs<V>(call, n, f) : packs<1>(call, n, f);
}

} // namespace fwi_cuda

#endif
