/* conv2d_dw.c: the gradient of a convolution's filter from batch-blocked images stored as bf16;
 * fast_conv2d_dw.h of cpu/portable has the code, with pairs of two images at one pixel. */
#include "lanes_avx512_bf16.h"

#define TILE_BF16 0
#define TILE_C    float
#include "tile_bf16.h"

typedef __m512 vec_bf16;
static inline vec_bf16 v_load_bf16(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store_bf16(float *p, vec_bf16 v)
{
    _mm512_storeu_ps(p, v);
}
static inline vec_bf16 v_add_bf16(vec_bf16 a, vec_bf16 b)
{
    return _mm512_add_ps(a, b);
}

/* n channels of two images side by side; no second image: zeros. */
static inline void copy_pairs_bf16(uint32_t *restrict dst, const uint16_t *first,
                                   const uint16_t *second, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        const int64_t left = n - i;
        const __mmask16 k = (__mmask16)(left >= 16 ? 0xFFFFU : (1U << left) - 1U);
        const __m512i a = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(k, first + i));
        __m512i b = _mm512_setzero_si512();
        if (second != NULL)
            b = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(k, second + i)),
                                  16);
        _mm512_mask_storeu_epi32(dst + i, k, _mm512_or_si512(a, b));
    }
}

#include "fast_conv2d_dw.h"
