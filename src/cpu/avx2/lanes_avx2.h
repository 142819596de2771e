/* lanes_avx2.h: the vector type that the kernel bodies of cpu/portable are written in, for AVX2
 * with FMA. Included once per element type, before the bodies, with LANES_F64 0 or 1 (and LANES_BF16
 * defined for activations stored as bf16, in float arithmetic); lanes_end.h forgets the names again.
 * lanes_portable.h lists what a lanes header must define. */
#include <immintrin.h>
#include <stdint.h>

#define MR 6 /* 12 accumulators, 2 filter vectors, 1 broadcast: 15 of 16 registers */
#if LANES_F64
#define REAL       double
#define REAL_DTYPE FW_F64
#define NAME(x)    x##_f64
#define FN(x)      fwi_##x##_f64_avx2
#define VL         4
typedef __m256d vec_f64;
#elif defined LANES_BF16
#define REAL       float
#define REAL_DTYPE FW_F32
#define NAME(x)    x##_bf16
#define FN(x)      fwi_##x##_bf16_avx2
#define VL         8
typedef __m256 vec_bf16;
#else
#define REAL       float
#define REAL_DTYPE FW_F32
#define NAME(x)    x##_f32
#define FN(x)      fwi_##x##_f32_avx2
#define VL         8
typedef __m256 vec_f32;
#endif

#if LANES_F64
#define OP(x) _mm256_##x##_pd
#else
#define OP(x) _mm256_##x##_ps
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
/* -1 in the first n lanes, 0 in the others. */
static inline __m256i NAME(v_first)(int64_t n)
{
#if LANES_F64
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
#else
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#endif
}
/* The first n lanes, 0 <= n <= VL; the others read as zero and are not touched in memory. */
static inline NAME(vec) NAME(v_load_n)(const REAL *p, int64_t n)
{
    return OP(maskload)(p, NAME(v_first)(n));
}
static inline void NAME(v_store_n)(REAL *p, NAME(vec) v, int64_t n)
{
    OP(maskstore)(p, NAME(v_first)(n), v);
}
#ifdef LANES_BF16
/* VL values stored as bf16. */
static inline NAME(vec) NAME(v_widen)(const uint16_t *p)
{
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16));
}
/* To nearest, ties to even; a NaN stays one (bf16_keep). */
static inline __m128i NAME(v_rounded)(NAME(vec) v)
{
    const __m256i u = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7FFF)), odd);
    const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i r = _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08));
}
static inline void NAME(v_round)(uint16_t *p, NAME(vec) v)
{
    _mm_storeu_si128((__m128i *)(void *)p, NAME(v_rounded)(v));
}
#endif
#undef OP
