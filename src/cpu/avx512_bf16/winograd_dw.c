/* winograd_dw.c: the gradient of a 3x3 filter by Winograd's algorithms from batch-blocked images
 * stored as bf16; fast_winograd_dw.h of cpu/portable has the code, with pairs of two images at one
 * tile. Transforms are computed in float, their results rounded to bf16 for the products.
 *
 * A load of 32 channels is taken apart into its even and its odd ones, each the upper half of a
 * float: one instruction for 16 floats. So of each 32 channels the panels and sums hold the even
 * ones first. */
#include "lanes_avx512_bf16.h"

#define TILE_BF16 0
#define TILE_C    float
#include "tile_bf16.h"

static inline __attribute__((always_inline)) void wino_load_bf16(const uint16_t *p, const bool full,
                                                                 int64_t n, vec_bf16 v[2])
{
    const __mmask32 k = (__mmask32)((UINT64_C(1) << n) - 1U);
    const __m512i both = full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16(k, p);
    v[0] = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
    v[1] = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int32_t)0xFFFF0000U)));
}

/* The two images' numbers side by side. */
static inline __attribute__((always_inline)) void wino_keep_bf16(uint32_t *p, const vec_bf16 v[2])
{
    _mm512_storeu_si512(p, pairs_woven(v[0], v[1]));
}

static inline int64_t wino_place_bf16(int64_t k)
{
    return k % 2 * VL + k / 2;
}

#include "fast_winograd_dw.h"
