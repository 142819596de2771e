/* conv2d_dw.c: the gradient of a convolution's filter from batch-blocked images stored as bf16;
 * fast_conv2d_dw.h of cpu/portable has the code, with pairs of two images at one pixel. */
#include "lanes_avx512_bf16.h"

#define TILE_BF16 0
#define TILE_C    float
#include "tile_bf16.h"

/* n <= 16 channels of two images side by side; no second image: zeros. */
static inline void copy_16_bf16(uint32_t *restrict dst, const uint16_t *first,
                                const uint16_t *second, __mmask16 k)
{
    const __m512i a = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(k, first));
    __m512i b = _mm512_setzero_si512();
    if (second != NULL)
        b = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(k, second)), 16);
    _mm512_mask_storeu_epi32(dst, k, _mm512_or_si512(a, b));
}

/* n channels, at most 32. */
static inline void copy_pairs_bf16(uint32_t *restrict dst, const uint16_t *first,
                                   const uint16_t *second, int64_t n)
{
    if (n <= 16) {
        copy_16_bf16(dst, first, second, (__mmask16)((1U << n) - 1U));
        return;
    }
    copy_16_bf16(dst, first, second, 0xFFFF);
    copy_16_bf16(dst + 16, first + 16, second == NULL ? NULL : second + 16,
                 (__mmask16)((1U << (n - 16)) - 1U));
}

#include "fast_conv2d_dw.h"
