/* winograd.c: Winograd's convolution and its input's gradient on batch-blocked images stored as
 * bf16; fast_winograd.h of cpu/portable has the code, this file how channels become pairs.
 *
 * Of 32 channels that lie together the even ones are the lower halves of 16 words and the odd ones
 * the upper halves: a shift and a mask make two vectors of floats of them. Their transforms are
 * rounded and put one after the other, even ones first, so that the pairs of channels 0..31 are
 * (0 2) (4 6) .. (28 30) (1 3) .. (29 31). What is left of 32 stays in its order. */
#include "lanes_avx512_bf16.h"

#define TILE_BF16 0
#define TILE_C    float
#include "tile_bf16.h"

#define WIDE 2
/* 32 channels: the even ones, the odd ones. */
static inline void wino_load_bf16(const uint16_t *p, vec_bf16 d[WIDE])
{
    const __m512i both = _mm512_loadu_si512(p);
    d[0] = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
    d[1] = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int)0xFFFF0000)));
}
static inline vec_bf16 wino_load_n_bf16(const uint16_t *p, int64_t n)
{
    const __m256i v = _mm256_maskz_loadu_epi16((__mmask16)((1U << n) - 1U), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}
static inline void wino_keep_bf16(uint32_t *to, const vec_bf16 d[WIDE])
{
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(d[1], d[0]));
}
static inline void wino_keep_tail_bf16(uint32_t *to, vec_bf16 d)
{
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(d));
}
static inline void wino_keep_step_bf16(uint32_t *to, const vec_bf16 u[PER])
{
    _mm512_storeu_si512(to, pairs_woven(u[0], u[1]));
}
static inline int64_t wino_channel_bf16(int64_t step, int64_t p, int64_t n)
{
    if (step >= n / 32 * 16)
        return 2 * step + p;
    const int64_t k = step % 16;
    return step / 16 * 32 + k % 8 * 4 + p * 2 + k / 8;
}
static inline void wino_store_bf16(uint16_t *to, vec_bf16 s0, vec_bf16 s1, int64_t n)
{
    if (n == NR) {
        _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(s1, s0));
        return;
    }
    const int64_t n0 = min_i64(n, VL), n1 = n - n0;
    const __mmask16 k0 = (__mmask16)((1U << n0) - 1U), k1 = (__mmask16)((1U << n1) - 1U);
    _mm256_mask_storeu_epi16(to, k0, (__m256i)_mm512_cvtneps_pbh(s0));
    _mm256_mask_storeu_epi16(to + n0, k1, (__m256i)_mm512_cvtneps_pbh(s1));
}

#include "fast_winograd.h"
