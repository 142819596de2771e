/* emulate.c: see immintrin.h. Loops over lanes, as the Intrinsics Guide writes them. */
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* ---- lanes by mask ---- */

/* Lane i of n, `size` bytes each, goes from one place to the other where its bit is set. No byte of
 * another lane is touched on either side. */
static void move(void *to, uint64_t k, const void *from, int n, size_t size)
{
    for (int i = 0; i < n; i++)
        if (k >> i & 1)
            memcpy((char *)to + (size_t)i * size, (const char *)from + (size_t)i * size, size);
}

#define LOAD(type, name, mask, n, size)                                                            \
    type name(mask k, const void *p)                                                               \
    {                                                                                              \
        type v = {0};                                                                              \
        move(&v, k, p, n, size);                                                                   \
        return v;                                                                                  \
    }
LOAD(__m512, _mm512_maskz_loadu_ps, __mmask16, 16, 4)
LOAD(__m512d, _mm512_maskz_loadu_pd, __mmask8, 8, 8)
LOAD(__m512i, _mm512_maskz_loadu_epi16, __mmask32, 32, 2)
LOAD(__m256i, _mm256_maskz_loadu_epi16, __mmask16, 16, 2)
LOAD(__m256i, _mm256_maskz_loadu_epi8, __mmask32, 32, 1)
__m512i _mm512_mask_loadu_epi16(__m512i src, __mmask32 k, const void *p)
{
    move(&src, k, p, 32, 2);
    return src;
}

#define KEEP(type, name, mask, n, size)                                                            \
    void name(void *p, mask k, type a)                                                             \
    {                                                                                              \
        move(p, k, &a, n, size);                                                                   \
    }
KEEP(__m512, _mm512_mask_storeu_ps, __mmask16, 16, 4)
KEEP(__m512d, _mm512_mask_storeu_pd, __mmask8, 8, 8)
KEEP(__m512i, _mm512_mask_storeu_epi32, __mmask16, 16, 4)
KEEP(__m512i, _mm512_mask_storeu_epi16, __mmask32, 32, 2)
KEEP(__m256i, _mm256_mask_storeu_epi16, __mmask16, 16, 2)
KEEP(__m256i, _mm256_mask_storeu_epi8, __mmask32, 32, 1)
KEEP(__m128i, _mm_mask_storeu_epi8, __mmask16, 16, 1)

#define MOVE(type, name, mask, n, size)                                                            \
    type name(type src, mask k, type a)                                                            \
    {                                                                                              \
        move(&src, k, &a, n, size);                                                                \
        return src;                                                                                \
    }
MOVE(__m512, _mm512_mask_mov_ps, __mmask16, 16, 4)
MOVE(__m256i, _mm256_mask_mov_epi16, __mmask16, 16, 2)
MOVE(__m256i, _mm256_mask_mov_epi8, __mmask32, 32, 1)
MOVE(__m128i, _mm_mask_mov_epi8, __mmask16, 16, 1)
__m512 _mm512_maskz_mov_ps(__mmask16 k, __m512 a)
{
    return _mm512_mask_mov_ps(_mm512_setzero_ps(), k, a);
}
__m512i _mm512_maskz_mov_epi16(__mmask32 k, __m512i a)
{
    __m512i v = {0};
    move(&v, k, &a, 32, 2);
    return v;
}
__m512 _mm512_mask_blend_ps(__mmask16 k, __m512 a, __m512 b)
{
    return _mm512_mask_mov_ps(a, k, b);
}
__m512i _mm512_mask_blend_epi32(__mmask16 k, __m512i a, __m512i b)
{
    move(&a, k, &b, 16, 4);
    return a;
}
__m512 _mm512_mask_sub_ps(__m512 src, __mmask16 k, __m512 a, __m512 b)
{
    return _mm512_mask_mov_ps(src, k, _mm512_sub_ps(a, b));
}
__m512i _mm512_mask_or_epi32(__m512i src, __mmask16 k, __m512i a, __m512i b)
{
    return _mm512_mask_blend_epi32(k, src, _mm512_or_si512(a, b));
}

/* ---- comparisons ---- */

enum { LESS = 1, EQUAL = 2, GREATER = 4, NEITHER = 8 };

/* For which of these a predicate holds. Numbers 16 to 31 mean the same and differ in whether a quiet
 * NaN is an exception. */
static const uint8_t holds[16] = {
    [_CMP_EQ_OQ] = EQUAL,
    [_CMP_LT_OS] = LESS,
    [_CMP_LE_OS] = LESS | EQUAL,
    [_CMP_UNORD_Q] = NEITHER,
    [_CMP_NEQ_UQ] = LESS | GREATER | NEITHER,
    [_CMP_NLT_US] = EQUAL | GREATER | NEITHER,
    [_CMP_NLE_US] = GREATER | NEITHER,
    [_CMP_ORD_Q] = LESS | EQUAL | GREATER,
    [_CMP_EQ_UQ] = EQUAL | NEITHER,
    [_CMP_NGE_US] = LESS | NEITHER,
    [_CMP_NGT_US] = LESS | EQUAL | NEITHER,
    [_CMP_FALSE_OQ] = 0,
    [_CMP_NEQ_OQ] = LESS | GREATER,
    [_CMP_GE_OS] = EQUAL | GREATER,
    [_CMP_GT_OS] = GREATER,
    [_CMP_TRUE_UQ] = LESS | EQUAL | GREATER | NEITHER,
};

__mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int predicate)
{
    const t_512 x = {.ps = a}, y = {.ps = b};
    unsigned k = 0;
    for (int i = 0; i < 16; i++) {
        const float u = x.f32[i], v = y.f32[i];
        const int is = u < v ? LESS : u > v ? GREATER : u == v ? EQUAL : NEITHER;
        k |= ((holds[predicate & 15] & is) != 0 ? 1U : 0U) << i;
    }
    return (__mmask16)k;
}
__mmask16 _mm512_mask_cmp_ps_mask(__mmask16 k, __m512 a, __m512 b, int predicate)
{
    return (__mmask16)(k & _mm512_cmp_ps_mask(a, b, predicate));
}
__mmask32 _mm256_mask_cmpeq_epi8_mask(__mmask32 k, __m256i a, __m256i b)
{
    return k & (__mmask32)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b));
}

/* ---- lanes to other places ---- */

__m512i t_mm512_in_order(const int16_t lanes[32])
{
    t_512 v;
    for (int i = 0; i < 32; i++)
        v.u16[i] = (uint16_t)lanes[31 - i];
    return v.si;
}
__m256i _mm512_cvtepi32_epi16(__m512i a)
{
    const t_512 x = {.si = a};
    t_512 v = {.si = _mm512_setzero_si512()};
    for (int i = 0; i < 16; i++)
        v.u16[i] = (uint16_t)x.u32[i];
    return v.half_si[0];
}
/* Two quarters of a, then two of b, each chosen by two bits of `which`. */
__m512i _mm512_shuffle_i32x4(__m512i a, __m512i b, int which)
{
    const t_512 x = {.si = a}, y = {.si = b};
    t_512 v;
    for (int i = 0; i < 8; i++)
        v.u64[i] = (i < 4 ? &x : &y)->u64[(which >> i / 2 * 2 & 3) * 2 + i % 2];
    return v.si;
}
__m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int which)
{
    return (__m512)_mm512_shuffle_i32x4((__m512i)a, (__m512i)b, which);
}
#define UNPACK(name, op)                                                                           \
    __m512i name(__m512i a, __m512i b)                                                             \
    {                                                                                              \
        const t_512 x = {.si = a}, y = {.si = b};                                                  \
        return (t_512){                                                                            \
            .half_si = {op(x.half_si[0], y.half_si[0]), op(x.half_si[1], y.half_si[1])}}           \
            .si;                                                                                   \
    }
UNPACK(_mm512_unpacklo_epi32, _mm256_unpacklo_epi32) /* they work on each quarter by itself */
UNPACK(_mm512_unpackhi_epi32, _mm256_unpackhi_epi32)
UNPACK(_mm512_unpacklo_epi64, _mm256_unpacklo_epi64)
UNPACK(_mm512_unpackhi_epi64, _mm256_unpackhi_epi64)
__m512i _mm512_permutexvar_epi16(__m512i idx, __m512i a)
{
    const t_512 to = {.si = idx}, x = {.si = a};
    t_512 v;
    for (int i = 0; i < 32; i++)
        v.u16[i] = x.u16[to.u16[i] & 31];
    return v.si;
}

__m512i _mm512_permutex2var_epi16(__m512i a, __m512i idx, __m512i b)
{
    const t_512 to = {.si = idx}, x = {.si = a}, y = {.si = b};
    t_512 v;
    for (int i = 0; i < 32; i++)
        v.u16[i] = (to.u16[i] & 32) == 0 ? x.u16[to.u16[i] & 31] : y.u16[to.u16[i] & 31];
    return v.si;
}

/* ---- bf16 ---- */

/* To nearest, ties to even; a subnormal number becomes a zero of its sign, a NaN a quiet one. */
static uint16_t bf16_of(uint32_t u)
{
    const uint32_t size = u & 0x7FFFFFFFU;
    if (size < 0x00800000U)
        return (uint16_t)(u >> 16 & 0x8000U);
    if (size > 0x7F800000U)
        return (uint16_t)(u >> 16 | 0x40U);
    return (uint16_t)((u + 0x7FFFU + (u >> 16 & 1U)) >> 16);
}
/* Elements of b in the lower half. */
__m512bh _mm512_cvtne2ps_pbh(__m512 a, __m512 b)
{
    const t_512 x = {.ps = a}, y = {.ps = b};
    t_512 v;
    for (int i = 0; i < 16; i++) {
        v.u16[i] = bf16_of(y.u32[i]);
        v.u16[16 + i] = bf16_of(x.u32[i]);
    }
    return (__m512bh)v.si;
}
__m256bh _mm512_cvtneps_pbh(__m512 a)
{
    const t_512 v = {.si = (__m512i)_mm512_cvtne2ps_pbh(_mm512_setzero_ps(), a)};
    return (__m256bh)v.half_si[0];
}

/* Subnormal numbers as zeros of their sign. */
static __m256 flushed(__m256 x)
{
    const __m256i u = _mm256_castps_si256(x);
    const __m256i subnormal = _mm256_cmpeq_epi32(_mm256_and_si256(u, _mm256_set1_epi32(0x7F800000)),
                                                 _mm256_setzero_si256());
    return _mm256_castsi256_ps(
        _mm256_andnot_si256(_mm256_and_si256(subnormal, _mm256_set1_epi32(0x7FFFFFFF)), u));
}
/* c + a b, rounded once; a result that is too small for a normal number becomes 0. Too small means:
 * after rounding to 24 bits whatever the exponent, so the last half of a unit below 2^-126 still
 * counts as that. Such sums are exact in double or far from the limit. */
static __m256 sum_of(__m256 c, __m256 a, __m256 b)
{
    const float least = 0x1p-126F;
    __m256 r = _mm256_fmadd_ps(a, b, c);
    const __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0F), r);
    const __m256 small = _mm256_and_ps(_mm256_cmp_ps(size, _mm256_set1_ps(least), _CMP_LE_OQ),
                                       _mm256_cmp_ps(r, _mm256_setzero_ps(), _CMP_NEQ_OQ));
    if (_mm256_testz_ps(small, small))
        return r;
    for (int i = 0; i < 8; i++)
        if (fabsf(r[i]) <= least &&
            fabs((double)a[i] * (double)b[i] + (double)c[i]) < 0x1.ffffffp-127)
            r[i] = copysignf(0, r[i]);
    return r;
}
/* The odd elements' products first: so the guide has it. */
__m512 _mm512_dpbf16_ps(__m512 src, __m512bh a, __m512bh b)
{
    t_512 sum = {.ps = src};
    const t_512 x = {.si = (__m512i)a}, y = {.si = (__m512i)b};
    const __m256i upper = _mm256_set1_epi32((int)0xFFFF0000U);
    for (int i = 0; i < 2; i++) {
        const __m256i p = x.half_si[i], q = y.half_si[i];
        const __m256 p1 = flushed(_mm256_castsi256_ps(_mm256_and_si256(p, upper)));
        const __m256 q1 = flushed(_mm256_castsi256_ps(_mm256_and_si256(q, upper)));
        const __m256 p0 = flushed(_mm256_castsi256_ps(_mm256_slli_epi32(p, 16)));
        const __m256 q0 = flushed(_mm256_castsi256_ps(_mm256_slli_epi32(q, 16)));
        sum.half_ps[i] = sum_of(sum_of(flushed(sum.half_ps[i]), p1, q1), p0, q0);
    }
    return sum.ps;
}
