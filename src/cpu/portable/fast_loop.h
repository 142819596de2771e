/* fast_loop.h: how the pointwise kernels are cut and written. Plain loops, which the compiler turns
 * into vectors of the room's instruction set; the cuts depend on shapes alone. */
#ifndef FWI_FAST_LOOP_H
#define FWI_FAST_LOOP_H

#include "conv_geom.h"
#include <math.h>
#include <string.h>

/* Elements of one task: 128 KiB of floats, a few microseconds of memory traffic. */
enum { LOOP_BLOCK = 32768 };

/* The loop's iterations are independent although pointers may be equal: ops whose output may take
 * an input's memory touch each element once. Without this a compiler tests for overlap and, for
 * equal pointers, takes its slow path. */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* bf16, the upper half of a float; fast_store.h says who uses these. */
static inline float bf16_load(uint16_t v)
{
    const uint32_t u = (uint32_t)v << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline uint16_t bf16_keep(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    const uint32_t rounded = (u + 0x7FFFU + (u >> 16 & 1U)) >> 16, quiet = u >> 16 | 0x40U;
    return (uint16_t)(v == v ? rounded : quiet);
}

/* A blocked tensor of images is one of n h w c with fewer images and nb times the channels: what
 * looks at each channel by itself need not know more. n h w c: nb counts as 1. */
static inline int64_t block_of(const fwi_arg *a)
{
    return a->nb > 0 ? a->nb : 1;
}
static inline int64_t wide_images(const fwi_arg *a)
{
    return parts_of(a->shape.d[0], block_of(a));
}
static inline int64_t wide_channels(const fwi_arg *a)
{
    return a->shape.d[3] * block_of(a);
}

/* The last axis of a tensor, and all others. */
static inline int64_t cols_of(const fwi_shape *s)
{
    return s->d[s->rank - 1];
}
static inline int64_t elems_of(const fwi_shape *s)
{
    int64_t n = 1;
    for (int32_t i = 0; i < s->rank; i++)
        n *= s->d[i];
    return n;
}
static inline int64_t rows_of(const fwi_shape *s)
{
    return elems_of(s) / cols_of(s);
}

/* In memory, padding images included. */
static inline int64_t stored_of(const fwi_arg *a)
{
    return a->nb > 0 ? elems_of(&a->shape) / a->shape.d[0] * wide_images(a) * a->nb
                     : elems_of(&a->shape);
}

/* Runs fn(c, part, slot) for each block of LOOP_BLOCK elements of n. */
static inline fw_status loop_elems(const fwi_call *c, int64_t n, fwi_loop_fn fn)
{
    fwi_pool_for(c->pool, parts_of(n, LOOP_BLOCK), fn, (void *)c);
    return FW_OK;
}

/* Rows of c elements that make a block. */
static inline int64_t block_rows(int64_t cols)
{
    return max_i64(1, LOOP_BLOCK / cols);
}

/* The windows of k places, `stride` apart, that place p of an axis lies in: [*begin, *end). */
static inline void pool_windows(int64_t p, int64_t k, int64_t stride, int64_t n_windows,
                                int64_t *begin, int64_t *end)
{
    *begin = p < k ? 0 : (p - k) / stride + 1;
    *end = min_i64(n_windows, p / stride + 1);
}

#endif
