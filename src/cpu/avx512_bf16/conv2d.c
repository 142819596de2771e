/* conv2d.c: convolution and its input's gradient on batch-blocked images stored as bf16;
 * fast_conv2d_blocked.h of cpu/portable has the way through the images, this file the packing of
 * the float filter, rounded to bf16, into pairs of steps: [panel][step][column][2]. */
#include "lanes_avx512_bf16.h"

#define TILE_BF16 1
#define TILE_C    uint16_t
#include "tile_bf16.h"

#include "fast_conv2d_blocked.h"

/* 16 x 16 pairs: row i of `to` (NR apart) becomes column i of r. */
static inline void transpose_pairs(__m512i r[16], uint32_t *to)
{
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    /* r[4q + k] holds, in 128-bit lane l, column 4l + k of rows 4q .. 4q+3 */
    for (int k = 0; k < 4; k++) {
        const __m512i a = _mm512_shuffle_i32x4(r[k], r[4 + k], 0x88); /* lanes 0 2 | 0 2 */
        const __m512i b = _mm512_shuffle_i32x4(r[k], r[4 + k], 0xDD); /* lanes 1 3 | 1 3 */
        const __m512i c = _mm512_shuffle_i32x4(r[8 + k], r[12 + k], 0x88);
        const __m512i d = _mm512_shuffle_i32x4(r[8 + k], r[12 + k], 0xDD);
        _mm512_storeu_si512(to + k * NR, _mm512_shuffle_i32x4(a, c, 0x88));
        _mm512_storeu_si512(to + (4 + k) * NR, _mm512_shuffle_i32x4(b, d, 0x88));
        _mm512_storeu_si512(to + (8 + k) * NR, _mm512_shuffle_i32x4(a, c, 0xDD));
        _mm512_storeu_si512(to + (12 + k) * NR, _mm512_shuffle_i32x4(b, d, 0xDD));
    }
}

/* n floats of a row, 0 to 32, as 16 pairs; zeros behind them. */
static inline __m512i pairs_of(const float *p, int64_t n)
{
    const int64_t n0 = n < 16 ? n : 16, n1 = n - n0;
    const __m512 lo = _mm512_maskz_loadu_ps((__mmask16)((1U << n0) - 1U), p);
    const __m512 hi = _mm512_maskz_loadu_ps((__mmask16)((1U << n1) - 1U), p + n0);
    return (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
}

/* Forward: steps run over (tap, pair of ic), columns are oc. */
static void blocked_fwd_task_bf16(void *arg, int64_t panel, int slot)
{
    (void)slot;
    const blocked_filter_bf16 *const f = arg;
    const int64_t j0 = panel * NR;
    uint32_t *out = f->out + panel * f->taps * f->tap_steps * NR;
    for (int64_t t = 0; t < f->taps; t++, out += f->tap_steps * NR)
        for (int64_t k = 0; k < f->tap_steps; k += 16)
            for (int64_t half = 0; half < NR; half += 16) {
                __m512i r[16];
                uint32_t block[16 * NR];
                for (int64_t j = 0; j < 16; j++) {
                    const int64_t column = j0 + half + j;
                    r[j] = column < f->oc ? pairs_of(f->w + (column * f->taps + t) * f->ic + 2 * k,
                                                     min_i64(32, f->ic - 2 * k))
                                          : _mm512_setzero_si512();
                }
                if (k + 16 <= f->tap_steps) {
                    transpose_pairs(r, out + k * NR + half);
                    continue;
                }
                transpose_pairs(r, block);
                for (int64_t i = 0; i < f->tap_steps - k; i++)
                    memcpy(out + (k + i) * NR + half, block + i * NR, 16 * sizeof *out);
            }
}

/* Gradient of the input: steps run over (tap, pair of oc), columns are ic. The last tap takes the
 * first pixel. */
static void blocked_dx_task_bf16(void *arg, int64_t panel, int slot)
{
    (void)slot;
    const blocked_filter_bf16 *const f = arg;
    const int64_t j0 = panel * NR, n = min_i64(NR, f->ic - j0);
    const int64_t n0 = min_i64(16, n), n1 = n - n0;
    const __mmask16 m0 = (__mmask16)((1U << n0) - 1U), m1 = (__mmask16)((1U << n1) - 1U);
    uint32_t *out = f->out + panel * f->taps * f->tap_steps * NR;
    for (int64_t t = f->taps - 1; t >= 0; t--)
        for (int64_t o = 0; o < f->oc; o += 2, out += NR) {
            __m512 v[2][2] = {{_mm512_setzero_ps(), _mm512_setzero_ps()},
                              {_mm512_setzero_ps(), _mm512_setzero_ps()}};
            for (int64_t i = 0; i < 2 && o + i < f->oc; i++) {
                const float *const w = f->w + ((o + i) * f->taps + t) * f->ic + j0;
                v[i][0] = _mm512_maskz_loadu_ps(m0, w);
                v[i][1] = _mm512_maskz_loadu_ps(m1, w + n0);
            }
            for (int half = 0; half < 2; half++)
                _mm512_storeu_si512(out + half * 16, pairs_woven(v[0][half], v[1][half]));
        }
}
