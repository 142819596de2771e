/* fast_runs.h: passes over a run of elements that lies in the first-level cache: into REAL and back
 * into storage, activations and their slopes. The pointwise kernels are made of such passes over
 * buffers (fast_act.h, fast_fused.h): each is a loop that compilers turn into vectors, whatever is
 * before and behind it, and with few operations in a chain. Included once per element type and
 * instruction set. */
#include "fast_math_short.h"
#include "fast_store.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#ifndef RUN_MAX
enum { RUN_MAX = 512 }; /* elements: a few buffers of them fill a part of 32 KiB */
#define RUN_MAX RUN_MAX

/* Writes past the caches what nobody reads before they have been filled with other things, where
 * the room can; stream_end before anybody reads it. */
static inline void stream_out(const void *from, void *to, size_t n_bytes)
{
#ifdef __AVX512F__
    if (((uintptr_t)to | n_bytes) % 64 == 0) {
        for (size_t i = 0; i < n_bytes; i += 64)
            _mm512_stream_si512((void *)((uint8_t *)to + i),
                                _mm512_loadu_si512((const uint8_t *)from + i));
        return;
    }
#endif
    memcpy(to, from, n_bytes);
}
static inline void stream_end(void)
{
#ifdef __AVX512F__
    _mm_sfence();
#endif
}
#endif

/* b = x */
static void NAME(load_run)(int64_t n, const STORE *restrict x, REAL *restrict b)
{
    for (int64_t i = 0; i < n; i++)
        b[i] = LOAD(x[i]);
}

/* y = b, rounded. */
static void NAME(keep_run)(int64_t n, const REAL *restrict b, STORE *restrict y)
{
    int64_t i = 0;
#if defined LANES_BF16 && defined __AVX512BF16__ /* one instruction; subnormal floats become 0 */
    for (; i + 32 <= n; i += 32) {
        const __m512bh v = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(b + i + 16), _mm512_loadu_ps(b + i));
        memcpy(y + i, &v, sizeof v);
    }
#endif
    for (; i < n; i++)
        y[i] = KEEP(b[i]);
}

/* ---- activations, in place; alpha: CELU's ---- */
#ifdef LANES_BF16
#define ACT_RUN(fn)                                                                                \
    static void NAME(fn##_run)(int64_t n, REAL alpha, REAL *restrict x)                            \
    {                                                                                              \
        _Alignas(64) REAL e[RUN_MAX];                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            e[i] = fn##_e(x[i], alpha);                                                            \
        for (int64_t i = 0; i < n; i++)                                                            \
            x[i] = fn##_from(x[i], e[i], alpha);                                                   \
    }                                                                                              \
    static void NAME(fn##_slope_run)(int64_t n, REAL alpha, REAL *restrict x)                      \
    {                                                                                              \
        _Alignas(64) REAL e[RUN_MAX];                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            e[i] = fn##_e(x[i], alpha);                                                            \
        for (int64_t i = 0; i < n; i++)                                                            \
            x[i] = fn##_slope_from(x[i], e[i], alpha);                                             \
    }
#else
#define ACT_RUN(fn)                                                                                \
    static void NAME(fn##_run)(int64_t n, REAL alpha, REAL *restrict x)                            \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            x[i] = MATH(fn)(x[i], alpha);                                                          \
    }                                                                                              \
    static void NAME(fn##_slope_run)(int64_t n, REAL alpha, REAL *restrict x)                      \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            x[i] = MATH(fn##_slope)(x[i], alpha);                                                  \
    }
#endif
ACT_RUN(celu)
ACT_RUN(gelu)
ACT_RUN(silu)
ACT_RUN(tanh)
ACT_RUN(sigmoid)
ACT_RUN(softplus)
#undef ACT_RUN

typedef void (*NAME(run_fn))(int64_t n, REAL alpha, REAL *restrict x);

/* n <= RUN_MAX */
static void NAME(act_run)(int64_t fn, int64_t n, REAL alpha, REAL *x)
{
    static const NAME(run_fn) runs[FWI_ACT_COUNT] = {
        [FWI_CELU] = NAME(celu_run),       [FWI_GELU] = NAME(gelu_run),
        [FWI_SILU] = NAME(silu_run),       [FWI_TANH] = NAME(tanh_run),
        [FWI_SIGMOID] = NAME(sigmoid_run), [FWI_SOFTPLUS] = NAME(softplus_run)};
    runs[fn](n, alpha, x);
}
static void NAME(slope_run)(int64_t fn, int64_t n, REAL alpha, REAL *x)
{
    static const NAME(run_fn) runs[FWI_ACT_COUNT] = {
        [FWI_CELU] = NAME(celu_slope_run),       [FWI_GELU] = NAME(gelu_slope_run),
        [FWI_SILU] = NAME(silu_slope_run),       [FWI_TANH] = NAME(tanh_slope_run),
        [FWI_SIGMOID] = NAME(sigmoid_slope_run), [FWI_SOFTPLUS] = NAME(softplus_slope_run)};
    runs[fn](n, alpha, x);
}
