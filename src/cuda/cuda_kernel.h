/* cuda_kernel.h: what every file with kernels begins with: storage types, loops over elements, sums
 * within a block, and rows of tables.
 *
 * Arithmetic is in f32, whatever images are stored as: get() widens, put() rounds to nearest even.
 * Sums that decide a result's bits go by trees of fixed form. Element numbers are int: rows take no
 * tensor of 2^31 elements or more. Read before: cuda_launch.h. */
#ifndef FWI_CUDA_KERNEL_H
#define FWI_CUDA_KERNEL_H

extern "C" {
#include "cuda_inner.h"
}
#include "cuda_launch.h"

#include <math.h>
#include <string.h>

namespace fwi_cuda
{

/* ---- storage ---- */

struct bf16 {
    uint16_t bits;
};
struct f16 {
    uint16_t bits;
};

static __host__ __device__ inline float float_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static __host__ __device__ inline uint32_t bits_of_float(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* Round to nearest, ties to even; a NaN stays one: as cpu/ref/layout.c */
static __host__ __device__ inline uint16_t bf16_bits(float f)
{
    const uint32_t u = bits_of_float(f);
    if ((u & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7FFFu + (u >> 16 & 1u)) >> 16);
}

/* The same for IEEE's binary16, with its subnormal numbers; over 65504 by half a step: infinity. */
static __host__ __device__ inline uint16_t f16_bits(float f)
{
    const uint32_t u = bits_of_float(f), sign = u >> 16 & 0x8000u, a = u & 0x7FFFFFFFu;
    if (a > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u);
    if (a >= 0x477FF000u)
        return (uint16_t)(sign | 0x7C00u);
    if (a < 0x38800000u) /* below 2^-14: the float adder rounds to multiples of 2^-24 */
        return (uint16_t)(sign | (bits_of_float(float_of_bits(a) + 0.5f) - 0x3F000000u));
    return (uint16_t)(sign | ((a - 0x38000000u + 0xFFFu + (a >> 13 & 1u)) >> 13));
}

static __host__ __device__ inline float f16_value(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, a = h & 0x7FFFu;
    if (a >= 0x7C00u)
        return float_of_bits(sign | 0x7F800000u | a << 13);
    if (a < 0x400u) /* subnormal: a * 2^-24, exact */
        return float_of_bits(sign | bits_of_float((float)a * 5.9604644775390625e-8f));
    return float_of_bits(sign | ((a << 13) + 0x38000000u));
}

static __device__ inline float get(const float *p, int64_t i)
{
    return p[i];
}
static __device__ inline float get(const bf16 *p, int64_t i)
{
    return float_of_bits((uint32_t)p[i].bits << 16);
}
static __device__ inline float get(const f16 *p, int64_t i)
{
    return f16_value(p[i].bits);
}
static __device__ inline void put(float *p, int64_t i, float v)
{
    p[i] = v;
}
static __device__ inline void put(bf16 *p, int64_t i, float v)
{
    p[i].bits = bf16_bits(v);
}
static __device__ inline void put(f16 *p, int64_t i, float v)
{
    p[i].bits = f16_bits(v);
}

/* Rounded to what images are stored as: filters are. */
static __device__ inline float as_stored(const float *, float v)
{
    return v;
}
static __device__ inline float as_stored(const bf16 *, float v)
{
    return float_of_bits((uint32_t)bf16_bits(v) << 16);
}
static __device__ inline float as_stored(const f16 *, float v)
{
    return f16_value(f16_bits(v));
}

template <class T> struct storage;
template <> struct storage<float> {
    static constexpr fw_dtype dtype = FW_F32;
};
template <> struct storage<bf16> {
    static constexpr fw_dtype dtype = FW_BF16;
};
template <> struct storage<f16> {
    static constexpr fw_dtype dtype = FW_F16;
};

template <class T> static inline const T *in(const fwi_call *c, int i)
{
    return (const T *)c->in[i].data;
}
template <class T> static inline T *changed(const fwi_call *c, int i) /* an input that changes */
{
    return (T *)c->in[i].data;
}
template <class T> static inline T *out(const fwi_call *c, int i)
{
    return (T *)c->out[i].data;
}

static inline int elems(const fwi_arg *a)
{
    return (int)fwi_shape_elems(&a->shape);
}
/* The last axis, and the product of all others. */
static inline int cols(const fwi_arg *a)
{
    return (int)a->shape.d[a->shape.rank - 1];
}
static inline int rows(const fwi_arg *a)
{
    return elems(a) / cols(a);
}

/* ---- one thread per element ---- */

enum { EACH = 256 };

template <class F> static __global__ void each_kernel(int n, F f)
{
    const int i = (int)(blockIdx.x * (unsigned)EACH + threadIdx.x);
    if (i < n)
        f(i);
}

static inline unsigned blocks_of(int64_t n, int64_t each)
{
    return (unsigned)((n + each - 1) / each);
}

/* f(i) for i in [0, n); F has `__device__ void operator()(int) const`. */
template <class F> static inline fw_status each(const fwi_call *c, int n, const F &f)
{
    if (n == 0)
        return FW_OK; /* a grid of no blocks is an error */
    return launch_alone(c, each_kernel<F>, dim3(blocks_of(n, EACH)), dim3(EACH), n, f);
}

/* ---- sums within a block ---- */

/* The sum of v over the N threads of a block (a power of 2, of one dimension), by a tree: to all of
 * them. room: N elements of shared memory. */
template <int N, class T> static __device__ inline T block_sum(T v, T *room)
{
    const int t = (int)threadIdx.x;
    room[t] = v;
    __syncthreads();
    for (int half = N / 2; half > 0; half /= 2) {
        if (t < half)
            room[t] += room[t + half];
        __syncthreads();
    }
    const T sum = room[0];
    __syncthreads();
    return sum;
}

/* ---- rows ---- */

/* No tensor is too large, and a blocked one holds one image per block: n h w c in memory. */
static inline bool plain(const fwi_call *c)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    for (int i = 0; i < info->n_in; i++)
        if (c->in[i].nb > 1 || fwi_shape_elems(&c->in[i].shape) >= FWI_MOST_ELEMS)
            return false;
    for (int i = 0; i < info->n_out; i++)
        if (c->out[i].nb > 1 || fwi_shape_elems(&c->out[i].shape) >= FWI_MOST_ELEMS)
            return false;
    return true;
}

/* A row that needs scratch, one without, and one whose calls can be done as one. */
#define ROW_SJ(op, type, text, fn, room, is_blocked, joint)                                        \
    {                                                                                              \
        FWI_OP_##op, type, fn, room, fwi_cuda::plain, #op "_" text "_cuda", is_blocked, joint      \
    }
#define ROW_S(op, type, text, fn, room, is_blocked)                                                \
    ROW_SJ(op, type, text, fn, room, is_blocked, nullptr)
#define ROW_J(op, type, text, fn, joint)    ROW_SJ(op, type, text, fn, nullptr, false, joint)
#define ROW(op, type, text, fn, is_blocked) ROW_S(op, type, text, fn, nullptr, is_blocked)
#define ROW_END                                                                                    \
    {                                                                                              \
        FWI_OP_COUNT, FW_F32, nullptr, nullptr, nullptr, nullptr, false, nullptr                   \
    }
/* Images: n h w c in f32, and as a lowered graph has them, in each type. fn: a template. */
#define ROWS_IMAGES_S(op, fn, room)                                                                \
    ROW_S(op, FW_F32, "f32", fn<float>, room<float>, false),                                       \
        ROW_S(op, FW_F32, "f32_nhwc", fn<float>, room<float>, true),                               \
        ROW_S(op, FW_BF16, "bf16_nhwc", fn<fwi_cuda::bf16>, room<fwi_cuda::bf16>, true),           \
        ROW_S(op, FW_F16, "f16_nhwc", fn<fwi_cuda::f16>, room<fwi_cuda::f16>, true)
#define ROWS_IMAGES(op, fn)                                                                        \
    ROW(op, FW_F32, "f32", fn<float>, false), ROW(op, FW_F32, "f32_nhwc", fn<float>, true),        \
        ROW(op, FW_BF16, "bf16_nhwc", fn<fwi_cuda::bf16>, true),                                   \
        ROW(op, FW_F16, "f16_nhwc", fn<fwi_cuda::f16>, true)

/* ---- what several files do ---- */

/* For launches with no op behind them, which take their stream from a call. */
static inline fwi_call call_on(void *stream)
{
    fwi_call call = {};
    call.kind = FWI_OP_cast;
    call.stream = stream;
    return call;
}

/* A filter's gradient of its parts, added in their order, in double. */
struct sum_of_parts {
    const float *part;
    float *dw;
    int parts, size;
    __device__ void operator()(int i) const
    {
        double sum = 0;
        for (int p = 0; p < parts; p++)
            sum += (double)part[(int64_t)p * size + i];
        dw[i] = (float)sum;
    }
};

} // namespace fwi_cuda

#endif
