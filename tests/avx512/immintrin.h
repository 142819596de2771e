/* immintrin.h: stands for the compiler's header where the kernels of cpu/avx512 and cpu/avx512_bf16
 * are compiled for a machine that has AVX2 alone, so that the tests run them everywhere. Behind it
 * each AVX-512 intrinsic that src/cpu uses is a function of this folder with a `t` in front of its
 * name, of the meaning that Intel's Intrinsics Guide gives it: masked accesses touch no memory that
 * is masked out, a stream store to an odd address ends the program. Whatever else is used does not
 * link or compile, which says that it is missing here. What AVX2 has is the compiler's own.
 *
 * This file has what compilers can put in place, emulate.c the rest; test_intrinsics.c holds both to
 * the specification. Not shown: which NaN a sum of several has, the exception flags, and speed. */
#ifndef T_IMMINTRIN_H
#define T_IMMINTRIN_H

/* As compilers mark their own: some of the names below are macros there. */
#pragma GCC system_header

/* The build says that we have these (cmake/avx512.cmake). The real header must not believe it. */
#pragma push_macro("__AVX512F__")
#pragma push_macro("__AVX512BW__")
#pragma push_macro("__AVX512BF16__")
#undef __AVX512F__
#undef __AVX512BW__
#undef __AVX512BF16__
#include_next <immintrin.h>
#pragma pop_macro("__AVX512F__")
#pragma pop_macro("__AVX512BW__")
#pragma pop_macro("__AVX512BF16__")

#include <stdint.h>

#define _mm512_setzero_ps           t_mm512_setzero_ps
#define _mm512_setzero_pd           t_mm512_setzero_pd
#define _mm512_setzero_si512        t_mm512_setzero_si512
#define _mm512_set1_ps              t_mm512_set1_ps
#define _mm512_set1_pd              t_mm512_set1_pd
#define _mm512_set1_epi16           t_mm512_set1_epi16
#define _mm512_set1_epi32           t_mm512_set1_epi32
#define _mm512_castps_si512         t_mm512_castps_si512
#define _mm512_castsi512_ps         t_mm512_castsi512_ps
#define _mm512_castsi512_si256      t_mm512_castsi512_si256
#define _mm512_cvtss_f32            t_mm512_cvtss_f32
#define _mm512_extracti64x4_epi64   t_mm512_extracti64x4_epi64
#define _mm512_broadcast_f32x8      t_mm512_broadcast_f32x8
#define _mm512_broadcast_i64x4      t_mm512_broadcast_i64x4
#define _mm512_loadu_ps             t_mm512_loadu_ps
#define _mm512_loadu_pd             t_mm512_loadu_pd
#define _mm512_loadu_si512          t_mm512_loadu_si512
#define _mm512_storeu_ps            t_mm512_storeu_ps
#define _mm512_storeu_pd            t_mm512_storeu_pd
#define _mm512_storeu_si512         t_mm512_storeu_si512
#define _mm512_stream_si512         t_mm512_stream_si512
#define _mm512_add_ps               t_mm512_add_ps
#define _mm512_add_pd               t_mm512_add_pd
#define _mm512_sub_ps               t_mm512_sub_ps
#define _mm512_mul_ps               t_mm512_mul_ps
#define _mm512_fmadd_ps             t_mm512_fmadd_ps
#define _mm512_fmadd_pd             t_mm512_fmadd_pd
#define _mm512_fnmadd_ps            t_mm512_fnmadd_ps
#define _mm512_min_ps               t_mm512_min_ps
#define _mm512_max_ps               t_mm512_max_ps
#define _mm512_add_epi32            t_mm512_add_epi32
#define _mm512_and_si512            t_mm512_and_si512
#define _mm512_or_si512             t_mm512_or_si512
#define _mm512_slli_epi32           t_mm512_slli_epi32
#define _mm512_srli_epi32           t_mm512_srli_epi32
#define _mm512_min_epu32            t_mm512_min_epu32
#define _mm512_cmp_ps_mask          t_mm512_cmp_ps_mask
#define _mm512_mask_cmp_ps_mask     t_mm512_mask_cmp_ps_mask
#define _mm256_mask_cmpeq_epi8_mask t_mm256_mask_cmpeq_epi8_mask
#define _mm512_mask_blend_ps        t_mm512_mask_blend_ps
#define _mm512_mask_blend_epi32     t_mm512_mask_blend_epi32
#define _mm512_mask_mov_ps          t_mm512_mask_mov_ps
#define _mm512_maskz_mov_ps         t_mm512_maskz_mov_ps
#define _mm512_maskz_mov_epi16      t_mm512_maskz_mov_epi16
#define _mm256_mask_mov_epi16       t_mm256_mask_mov_epi16
#define _mm256_mask_mov_epi8        t_mm256_mask_mov_epi8
#define _mm_mask_mov_epi8           t_mm_mask_mov_epi8
#define _mm512_mask_sub_ps          t_mm512_mask_sub_ps
#define _mm512_mask_or_epi32        t_mm512_mask_or_epi32
#define _mm512_maskz_loadu_ps       t_mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_pd       t_mm512_maskz_loadu_pd
#define _mm512_maskz_loadu_epi16    t_mm512_maskz_loadu_epi16
#define _mm512_mask_loadu_epi16     t_mm512_mask_loadu_epi16
#define _mm256_maskz_loadu_epi16    t_mm256_maskz_loadu_epi16
#define _mm256_maskz_loadu_epi8     t_mm256_maskz_loadu_epi8
#define _mm512_mask_storeu_ps       t_mm512_mask_storeu_ps
#define _mm512_mask_storeu_pd       t_mm512_mask_storeu_pd
#define _mm512_mask_storeu_epi32    t_mm512_mask_storeu_epi32
#define _mm512_mask_storeu_epi16    t_mm512_mask_storeu_epi16
#define _mm256_mask_storeu_epi16    t_mm256_mask_storeu_epi16
#define _mm256_mask_storeu_epi8     t_mm256_mask_storeu_epi8
#define _mm_mask_storeu_epi8        t_mm_mask_storeu_epi8
#define _mm512_shuffle_f32x4        t_mm512_shuffle_f32x4
#define _mm512_shuffle_i32x4        t_mm512_shuffle_i32x4
#define _mm512_unpacklo_epi32       t_mm512_unpacklo_epi32
#define _mm512_unpackhi_epi32       t_mm512_unpackhi_epi32
#define _mm512_unpacklo_epi64       t_mm512_unpacklo_epi64
#define _mm512_unpackhi_epi64       t_mm512_unpackhi_epi64
#define _mm512_permutexvar_epi16    t_mm512_permutexvar_epi16
#define _mm512_permutex2var_epi16   t_mm512_permutex2var_epi16
#define _mm512_cvtepu16_epi32       t_mm512_cvtepu16_epi32
#define _mm512_cvtepi32_epi16       t_mm512_cvtepi32_epi16
#define _mm512_cvtneps_pbh          t_mm512_cvtneps_pbh
#define _mm512_cvtne2ps_pbh         t_mm512_cvtne2ps_pbh
#define _mm512_dpbf16_ps            t_mm512_dpbf16_ps

/* A register, as whatever its lanes are taken for. */
typedef union t_512 {
    __m512 ps;
    __m512d pd;
    __m512i si;
    __m256 half_ps[2];
    __m256d half_pd[2];
    __m256i half_si[2];
    float f32[16];
    uint8_t u8[64];
    uint16_t u16[32];
    uint32_t u32[16];
    uint64_t u64[8];
} t_512;
typedef uint32_t t_u32x16 __attribute__((vector_size(64), may_alias));

/* ---- constants, and the same bits by another name ---- */
static inline __m512 _mm512_setzero_ps(void)
{
    return (__m512){0};
}
static inline __m512d _mm512_setzero_pd(void)
{
    return (__m512d){0};
}
static inline __m512i _mm512_setzero_si512(void)
{
    return (__m512i){0};
}
static inline __m512 _mm512_set1_ps(float x)
{
    return (__m512){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}
static inline __m512d _mm512_set1_pd(double x)
{
    return (__m512d){x, x, x, x, x, x, x, x};
}
static inline __m512i _mm512_set1_epi32(int32_t x)
{
    const uint32_t u = (uint32_t)x;
    return (__m512i)(t_u32x16){u, u, u, u, u, u, u, u, u, u, u, u, u, u, u, u};
}
static inline __m512i _mm512_set1_epi16(int16_t x)
{
    return _mm512_set1_epi32((int32_t)((uint32_t)(uint16_t)x << 16 | (uint16_t)x));
}
static inline __m512i _mm512_castps_si512(__m512 a)
{
    return (__m512i)a;
}
static inline __m512 _mm512_castsi512_ps(__m512i a)
{
    return (__m512)a;
}
static inline __m256i _mm512_castsi512_si256(__m512i a)
{
    return (t_512){.si = a}.half_si[0];
}
static inline float _mm512_cvtss_f32(__m512 a)
{
    return a[0];
}
static inline __m256i _mm512_extracti64x4_epi64(__m512i a, int half)
{
    return (t_512){.si = a}.half_si[half & 1];
}
static inline __m512 _mm512_broadcast_f32x8(__m256 a)
{
    return (t_512){.half_ps = {a, a}}.ps;
}
static inline __m512i _mm512_broadcast_i64x4(__m256i a)
{
    return (t_512){.half_si = {a, a}}.si;
}

/* ---- whole registers from and to memory ---- */
static inline __m512 _mm512_loadu_ps(const void *p)
{
    __m512 v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
static inline __m512d _mm512_loadu_pd(const void *p)
{
    return (__m512d)_mm512_loadu_ps(p);
}
static inline __m512i _mm512_loadu_si512(const void *p)
{
    return (__m512i)_mm512_loadu_ps(p);
}
static inline void _mm512_storeu_ps(void *p, __m512 v)
{
    __builtin_memcpy(p, &v, sizeof v);
}
static inline void _mm512_storeu_pd(void *p, __m512d v)
{
    __builtin_memcpy(p, &v, sizeof v);
}
static inline void _mm512_storeu_si512(void *p, __m512i v)
{
    __builtin_memcpy(p, &v, sizeof v);
}
static inline void _mm512_stream_si512(void *p, __m512i v)
{
    if ((uintptr_t)p % 64 != 0)
        __builtin_trap();
    __builtin_memcpy(p, &v, sizeof v);
}

/* ---- arithmetic ---- */
static inline __m512 _mm512_add_ps(__m512 a, __m512 b)
{
    return a + b;
}
static inline __m512d _mm512_add_pd(__m512d a, __m512d b)
{
    return a + b;
}
static inline __m512 _mm512_sub_ps(__m512 a, __m512 b)
{
    return a - b;
}
static inline __m512 _mm512_mul_ps(__m512 a, __m512 b)
{
    return a * b;
}
static inline __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c)
{
    const t_512 x = {.ps = a}, y = {.ps = b}, z = {.ps = c};
    return (t_512){.half_ps = {_mm256_fmadd_ps(x.half_ps[0], y.half_ps[0], z.half_ps[0]),
                               _mm256_fmadd_ps(x.half_ps[1], y.half_ps[1], z.half_ps[1])}}
        .ps;
}
static inline __m512 _mm512_fnmadd_ps(__m512 a, __m512 b, __m512 c)
{
    const t_512 x = {.ps = a}, y = {.ps = b}, z = {.ps = c};
    return (t_512){.half_ps = {_mm256_fnmadd_ps(x.half_ps[0], y.half_ps[0], z.half_ps[0]),
                               _mm256_fnmadd_ps(x.half_ps[1], y.half_ps[1], z.half_ps[1])}}
        .ps;
}
static inline __m512d _mm512_fmadd_pd(__m512d a, __m512d b, __m512d c)
{
    const t_512 x = {.pd = a}, y = {.pd = b}, z = {.pd = c};
    return (t_512){.half_pd = {_mm256_fmadd_pd(x.half_pd[0], y.half_pd[0], z.half_pd[0]),
                               _mm256_fmadd_pd(x.half_pd[1], y.half_pd[1], z.half_pd[1])}}
        .pd;
}
/* The second operand where one is a NaN or both are zeros, as with AVX. */
static inline __m512 _mm512_min_ps(__m512 a, __m512 b)
{
    const t_512 x = {.ps = a}, y = {.ps = b};
    return (t_512){.half_ps = {_mm256_min_ps(x.half_ps[0], y.half_ps[0]),
                               _mm256_min_ps(x.half_ps[1], y.half_ps[1])}}
        .ps;
}
static inline __m512 _mm512_max_ps(__m512 a, __m512 b)
{
    const t_512 x = {.ps = a}, y = {.ps = b};
    return (t_512){.half_ps = {_mm256_max_ps(x.half_ps[0], y.half_ps[0]),
                               _mm256_max_ps(x.half_ps[1], y.half_ps[1])}}
        .ps;
}
static inline __m512i _mm512_add_epi32(__m512i a, __m512i b)
{
    return (__m512i)((t_u32x16)a + (t_u32x16)b);
}
static inline __m512i _mm512_and_si512(__m512i a, __m512i b)
{
    return a & b;
}
static inline __m512i _mm512_or_si512(__m512i a, __m512i b)
{
    return a | b;
}
static inline __m512i _mm512_slli_epi32(__m512i a, unsigned n)
{
    return n > 31 ? _mm512_setzero_si512() : (__m512i)((t_u32x16)a << n);
}
static inline __m512i _mm512_srli_epi32(__m512i a, unsigned n)
{
    return n > 31 ? _mm512_setzero_si512() : (__m512i)((t_u32x16)a >> n);
}
static inline __m512i _mm512_min_epu32(__m512i a, __m512i b)
{
    const t_512 x = {.si = a}, y = {.si = b};
    return (t_512){.half_si = {_mm256_min_epu32(x.half_si[0], y.half_si[0]),
                               _mm256_min_epu32(x.half_si[1], y.half_si[1])}}
        .si;
}
static inline __m512i _mm512_cvtepu16_epi32(__m256i a)
{
    return (t_512){.half_si = {_mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
                               _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1))}}
        .si;
}

/* ---- in emulate.c ---- */
__m512i t_mm512_in_order(const int16_t lanes[32]); /* the last one in lane 0 */
#define _mm512_set_epi16(...) t_mm512_in_order((const int16_t[32]){__VA_ARGS__})
__m256i _mm512_cvtepi32_epi16(__m512i a);

__mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int predicate);
__mmask16 _mm512_mask_cmp_ps_mask(__mmask16 k, __m512 a, __m512 b, int predicate);
__mmask32 _mm256_mask_cmpeq_epi8_mask(__mmask32 k, __m256i a, __m256i b);

__m512 _mm512_mask_blend_ps(__mmask16 k, __m512 a, __m512 b);
__m512i _mm512_mask_blend_epi32(__mmask16 k, __m512i a, __m512i b);
__m512 _mm512_mask_mov_ps(__m512 src, __mmask16 k, __m512 a);
__m512 _mm512_maskz_mov_ps(__mmask16 k, __m512 a);
__m512i _mm512_maskz_mov_epi16(__mmask32 k, __m512i a);
__m256i _mm256_mask_mov_epi16(__m256i src, __mmask16 k, __m256i a);
__m256i _mm256_mask_mov_epi8(__m256i src, __mmask32 k, __m256i a);
__m128i _mm_mask_mov_epi8(__m128i src, __mmask16 k, __m128i a);
__m512 _mm512_mask_sub_ps(__m512 src, __mmask16 k, __m512 a, __m512 b);
__m512i _mm512_mask_or_epi32(__m512i src, __mmask16 k, __m512i a, __m512i b);

__m512 _mm512_maskz_loadu_ps(__mmask16 k, const void *p);
__m512d _mm512_maskz_loadu_pd(__mmask8 k, const void *p);
__m512i _mm512_maskz_loadu_epi16(__mmask32 k, const void *p);
__m512i _mm512_mask_loadu_epi16(__m512i src, __mmask32 k, const void *p);
__m256i _mm256_maskz_loadu_epi16(__mmask16 k, const void *p);
__m256i _mm256_maskz_loadu_epi8(__mmask32 k, const void *p);
void _mm512_mask_storeu_ps(void *p, __mmask16 k, __m512 a);
void _mm512_mask_storeu_pd(void *p, __mmask8 k, __m512d a);
void _mm512_mask_storeu_epi32(void *p, __mmask16 k, __m512i a);
void _mm512_mask_storeu_epi16(void *p, __mmask32 k, __m512i a);
void _mm256_mask_storeu_epi16(void *p, __mmask16 k, __m256i a);
void _mm256_mask_storeu_epi8(void *p, __mmask32 k, __m256i a);
void _mm_mask_storeu_epi8(void *p, __mmask16 k, __m128i a);

__m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int which);
__m512i _mm512_shuffle_i32x4(__m512i a, __m512i b, int which);
__m512i _mm512_unpacklo_epi32(__m512i a, __m512i b);
__m512i _mm512_unpackhi_epi32(__m512i a, __m512i b);
__m512i _mm512_unpacklo_epi64(__m512i a, __m512i b);
__m512i _mm512_unpackhi_epi64(__m512i a, __m512i b);
__m512i _mm512_permutexvar_epi16(__m512i idx, __m512i a);
__m512i _mm512_permutex2var_epi16(__m512i a, __m512i idx, __m512i b);

__m256bh _mm512_cvtneps_pbh(__m512 a);
__m512bh _mm512_cvtne2ps_pbh(__m512 a, __m512 b);
__m512 _mm512_dpbf16_ps(__m512 src, __m512bh a, __m512bh b);

#endif
