/* conv_geom.h: a convolution's index arithmetic, without any element type. Both the forward pass
 * and the gradient of its input are gathers: an output position takes, for each filter tap, one
 * source position or none. Read next: fast_conv2d.h. */
#ifndef FWI_CONV_GEOM_H
#define FWI_CONV_GEOM_H

#include "exec.h"

/* One axis: output position d takes tap k from source position (d*mul + off + k*step) / div, where
 * that is a whole number in [0, n_src). */
typedef struct conv_axis {
    int64_t n_src, n_dst, taps;
    int64_t mul, off, step, div;
} conv_axis;

static inline conv_axis conv_axis_fwd(int64_t in, int64_t out, int64_t taps, int64_t stride,
                                      int64_t pad)
{
    return (conv_axis){
        .n_src = in, .n_dst = out, .taps = taps, .mul = stride, .off = -pad, .step = 1, .div = 1};
}

static inline conv_axis conv_axis_dx(int64_t in, int64_t out, int64_t taps, int64_t stride,
                                     int64_t pad)
{
    return (conv_axis){
        .n_src = out, .n_dst = in, .taps = taps, .mul = 1, .off = pad, .step = -1, .div = stride};
}

/* The same axis with its taps counted from the other end: a gradient's sources then ascend with the
 * taps, in the order of memory. */
static inline conv_axis conv_axis_ascending(conv_axis a)
{
    if (a.step < 0) {
        a.off -= a.taps - 1;
        a.step = 1;
    }
    return a;
}

/* -1: the tap falls outside the source or between its positions. */
static inline int64_t conv_axis_src(const conv_axis *a, int64_t d, int64_t k)
{
    const int64_t s = d * a->mul + a->off + k * a->step;
    return s < 0 || s % a->div != 0 || s / a->div >= a->n_src ? -1 : s / a->div;
}

/* table[d*taps + k] = conv_axis_src(d, k), so that inner loops do not divide. */
static inline void conv_axis_fill(const conv_axis *a, int64_t *restrict table)
{
    for (int64_t d = 0; d < a->n_dst; d++)
        for (int64_t k = 0; k < a->taps; k++)
            table[d * a->taps + k] = conv_axis_src(a, d, k);
}

/* Outputs for which tap k lies inside the source, of a forward axis: [range[0], range[1]). */
static inline void conv_axis_range(const conv_axis *a, int64_t k, int64_t range[2])
{
    range[0] = 0;
    while (range[0] < a->n_dst && conv_axis_src(a, range[0], k) < 0)
        range[0]++;
    range[1] = range[0];
    while (range[1] < a->n_dst && conv_axis_src(a, range[1], k) >= 0)
        range[1]++;
}

/* How many consecutive source positions cover all taps of `dst` consecutive outputs, at most. */
static inline int64_t conv_axis_span(const conv_axis *a, int64_t dst)
{
    const int64_t span = ((dst - 1) * a->mul + a->taps - 1) / a->div + 1;
    return span < a->n_src ? span : a->n_src;
}

/* ---- cutting n things into parts of nearly equal size ---- */
static inline int64_t parts_of(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}
static inline int64_t part_begin(int64_t n, int64_t parts, int64_t i)
{
    return n * i / parts;
}
static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- scratch ---- a kernel lays out its scratch by taking pieces, once from NULL to count the
 * bytes and once from the real block. */
typedef struct scratch_cut {
    uint8_t *base;
    size_t used;
} scratch_cut;

static inline void *scratch_take(scratch_cut *s, int64_t count, size_t elem_bytes)
{
    const size_t at = s->used;
    s->used += ((size_t)count * elem_bytes + 63U) & ~(size_t)63U;
    return s->base == NULL ? NULL : s->base + at;
}

/* Scratch for each thread: asked for with the pool that the call will run on. */
static inline int64_t call_slots(const fwi_call *c)
{
    return c->pool == NULL ? 1 : fwi_pool_threads(c->pool);
}

#endif
