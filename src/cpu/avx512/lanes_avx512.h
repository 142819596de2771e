/* lanes_avx512.h: the vector type that the kernel bodies of cpu/portable are written in, for
 * AVX-512. Included once per element type, before the bodies, with LANES_F64 0 or 1 (and LANES_BF16 defined for activations
 * stored as bf16, in float arithmetic); lanes_end.h
 * forgets the names again. lanes_portable.h lists what a lanes header must define. */
#include <immintrin.h>
#include <stdint.h>

#define MR 14 /* 28 accumulators, 2 filter vectors, 1 broadcast: 31 of 32 registers */
#if LANES_F64
#define REAL       double
#define REAL_DTYPE FW_F64
#define NAME(x)    x##_f64
#define FN(x)      fwi_##x##_f64_avx512
#define VL         8
typedef __m512d vec_f64;
#elif defined LANES_BF16
#define REAL       float
#define REAL_DTYPE FW_F32
#define NAME(x)    x##_bf16
#define FN(x)      fwi_##x##_bf16_avx512
#define VL         16
typedef __m512 vec_bf16;
#else
#define REAL       float
#define REAL_DTYPE FW_F32
#define NAME(x)    x##_f32
#define FN(x)      fwi_##x##_f32_avx512
#define VL         16
typedef __m512 vec_f32;
#endif

#if LANES_F64
#define OP(x) _mm512_##x##_pd
#else
#define OP(x) _mm512_##x##_ps
#endif

static inline NAME(vec) NAME(v_zero)(void)
{
    return OP(setzero)();
}
static inline NAME(vec) NAME(v_set)(REAL x)
{
    return OP(set1)(x);
}
static inline NAME(vec) NAME(v_load)(const REAL *p)
{
    return OP(loadu)(p);
}
static inline void NAME(v_store)(REAL *p, NAME(vec) v)
{
    OP(storeu)(p, v);
}
static inline NAME(vec) NAME(v_add)(NAME(vec) a, NAME(vec) b)
{
    return OP(add)(a, b);
}
static inline NAME(vec) NAME(v_fma)(NAME(vec) a, NAME(vec) b, NAME(vec) c)
{
    return OP(fmadd)(a, b, c);
}
/* The first n lanes, 0 <= n <= VL; the others read as zero and are not touched in memory. */
static inline NAME(vec) NAME(v_load_n)(const REAL *p, int64_t n)
{
#if LANES_F64
    return _mm512_maskz_loadu_pd((__mmask8)((1U << n) - 1U), p);
#else
    return _mm512_maskz_loadu_ps((__mmask16)((1U << n) - 1U), p);
#endif
}
static inline void NAME(v_store_n)(REAL *p, NAME(vec) v, int64_t n)
{
#if LANES_F64
    _mm512_mask_storeu_pd(p, (__mmask8)((1U << n) - 1U), v);
#else
    _mm512_mask_storeu_ps(p, (__mmask16)((1U << n) - 1U), v);
#endif
}
#if !LANES_F64
/* Two half vectors in one, for register tiles of three halves (fast_gemm.h). */
#define V_HALVES
static inline NAME(vec) NAME(v_half_twice)(const REAL *p)
{
    return _mm512_broadcast_f32x8(_mm256_loadu_ps(p));
}
/* The lower half of a, the upper half of b. */
static inline NAME(vec) NAME(v_halves)(NAME(vec) a, NAME(vec) b)
{
    return _mm512_mask_blend_ps(0xFF00, a, b);
}
static inline NAME(vec) NAME(v_swap_halves)(NAME(vec) a)
{
    return _mm512_shuffle_f32x4(a, a, 0x4E);
}
#endif
#ifdef LANES_BF16
/* VL values stored as bf16. */
static inline NAME(vec) NAME(v_widen)(const uint16_t *p)
{
    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}
/* To nearest, ties to even, in the upper halves; a NaN stays one (bf16_keep). */
static inline __m512i NAME(v_nearest)(NAME(vec) v)
{
    const __m512i u = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7FFF)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(up, nan, u, _mm512_set1_epi32(0x400000));
}
static inline void NAME(v_round)(uint16_t *p, NAME(vec) v)
{
    const __m512i r = NAME(v_nearest)(v);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16)));
}
#endif
#undef OP
