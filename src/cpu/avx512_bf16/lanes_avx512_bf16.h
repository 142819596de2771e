/* lanes_avx512_bf16.h: the names that the convolutions of cpu/portable are written in, for images
 * stored as bf16 and multiplied in pairs. Then tile_bf16.h, then a body. */
#include "exec.h"
#include "fast_loop.h"

#include <immintrin.h>

#define LANES_BF16
#define MR      14
#define VL      16
#define NR      32
#define REAL    float
#define PER     2
#define OPERAND uint32_t
#define NAME(x) x##_bf16
#define FN(x)   fwi_##x##_bf16_avx512_bf16
#include "fast_store.h"

/* Two vectors of floats as 16 pairs of bf16: (low, high) of each. */
static inline __m512i pairs_woven(__m512 low, __m512 high)
{
    const __m512i weave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(weave, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* What the bodies compute in between is in float. */
typedef __m512 vec_bf16;
static inline vec_bf16 v_zero_bf16(void)
{
    return _mm512_setzero_ps();
}
static inline vec_bf16 v_set_bf16(float x)
{
    return _mm512_set1_ps(x);
}
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
static inline vec_bf16 v_fma_bf16(vec_bf16 a, vec_bf16 b, vec_bf16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}
