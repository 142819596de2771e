/* peak.c: what the units that multiply bf16 pairs can do at most, in the manner of fast_peak.h:
 * sums that never leave their registers. This room's f32 ceiling is cpu/avx512's. */
#include <immintrin.h>
#include <stdint.h>

/* Enough independent sums for two units with a latency of up to eight; with the two factors 18 of
 * the 32 registers. */
enum { SUMS = 16, LANES = 16 };

double fwi_peak_bf16_avx512_bf16(int64_t n_rounds, float *sink);
double fwi_peak_bf16_avx512_bf16(int64_t n_rounds, float *sink)
{
    /* 0x3A80 is 2^-10 in bf16: a sum grows until it is 2^4 and then stays, so it never overflows
     * and each step needs the last one's result. */
    const __m512bh a = (__m512bh)_mm512_set1_epi16(0x3A80), b = a;
    __m512 sum[SUMS];
    for (int i = 0; i < SUMS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < SUMS; i++)
            sum[i] = _mm512_dpbf16_ps(sum[i], a, b);
    for (int i = 1; i < SUMS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    *sink = _mm512_cvtss_f32(sum[0]);
    return 4.0 * LANES * SUMS * (double)n_rounds; /* two products and two sums per lane */
}
