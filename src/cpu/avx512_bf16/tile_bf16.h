/* tile_bf16.h: the register tile of fast_gemm.h for products of bf16 pairs (AVX-512 BF16), summed in
 * float. An operand is a pair of bf16, the first one in its lower half; a step multiplies both and
 * adds them to the sum. Rounding: the instruction adds the two products one after the other, each
 * sum rounded to nearest, and takes denormal numbers for zeros.
 *
 * Included after the names PER, OPERAND, STORE, NAME, FN, NR and VL are set (lanes_avx512_bf16.h),
 * once for outputs in bf16 (TILE_C uint16_t) and once in float (TILE_C float). */
#include "channel_sums.h"
#include "tile_ahead.h"
#include "tile_rows.h"

typedef struct NAME(seg) {
    const OPERAND *a; /* row i, step k: a[i*rs + k*cs] */
    const OPERAND *b; /* step k, column j: b[k*NR + j] */
    int64_t len;
} NAME(seg);

/* What a tile does with its sums. */
typedef struct NAME(tile_out) {
    TILE_C *c; /* row i, column j: c[i*ldc + j] */
    int64_t ldc;
    int64_t n;                 /* columns to store, 1..NR */
    bool add;                  /* c += sums; float only */
    NAME(channel_sums) * sums; /* also adds up what it stores, before that is rounded; NULL: no */
    tile_ahead ahead[2];       /* what is asked for meanwhile */
} NAME(tile_out);

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)

static inline void NAME(keep_row)(TILE_C *c, __m512 s0, __m512 s1, int64_t n, bool add)
{
    const int64_t n0 = n < VL ? n : VL, n1 = n - n0;
    const __mmask16 k0 = (__mmask16)((1U << n0) - 1U), k1 = (__mmask16)((1U << n1) - 1U);
#if TILE_BF16
    (void)add;
    if (n == NR) {
        const __m512bh both = _mm512_cvtne2ps_pbh(s1, s0);
        _mm512_storeu_si512(c, (__m512i)both);
    } else {
        _mm256_mask_storeu_epi16(c, k0, (__m256i)_mm512_cvtneps_pbh(s0));
        _mm256_mask_storeu_epi16(c + n0, k1, (__m256i)_mm512_cvtneps_pbh(s1));
    }
#else
    if (add) {
        s0 = _mm512_add_ps(_mm512_maskz_loadu_ps(k0, c), s0);
        s1 = _mm512_add_ps(_mm512_maskz_loadu_ps(k1, c + n0), s1);
    }
    _mm512_mask_storeu_ps(c, k0, s0);
    _mm512_mask_storeu_ps(c + n0, k1, s1);
#endif
}

/* The lower half of a, the upper half of b. */
static inline __m512bh NAME(halves)(__m512bh a, __m512bh b)
{
    return (__m512bh)_mm512_mask_blend_epi32(0xFF00, (__m512i)a, (__m512i)b);
}
static inline __m512bh NAME(pair_of)(const OPERAND *a)
{
    int32_t pair;
    memcpy(&pair, a, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* width: columns that are computed, 32, 24 or 16. Of 24, the last 8 of two rows share a vector, its
 * upper half for the odd row: two rows cost three products and not four. */
static inline __attribute__((always_inline)) void
NAME(tile_m)(const int m, const int width, const NAME(seg) *restrict seg, const int64_t n_seg,
             const int64_t rs, const int64_t cs, const NAME(tile_out) out)
{
    __m512 s0[14], s1[14]; /* the sums: left and right part of each row */
#define ROW(i) s0[i] = s1[i] = _mm512_setzero_ps();
    EACH_ROW(ROW)
#undef ROW
    if (out.add) { /* by the end of the sums they are in L1 */
#define ROW(i)                                                                                     \
    if ((i) < m) {                                                                                 \
        __builtin_prefetch(out.c + (i)*out.ldc, 1);                                                \
        __builtin_prefetch(out.c + (i)*out.ldc + VL, 1);                                           \
    }
        EACH_ROW(ROW)
#undef ROW
    }
    const char *next0 = tile_ahead_at(&out.ahead[0], out.c);
    const char *next1 = tile_ahead_at(&out.ahead[1], out.c);
    tile_rows rows = tile_rows_of(rs * (int64_t)sizeof(OPERAND));
    for (int64_t s = 0; s < n_seg; s++) {
        const OPERAND *restrict a = seg[s].a;
        const OPERAND *restrict b = seg[s].b;
        for (const OPERAND *const end = b + seg[s].len * NR; b != end; b += NR, a += cs) {
            __builtin_prefetch(next0);
            __builtin_prefetch(next1);
            next0 += out.ahead[0].move;
            next1 += out.ahead[1].move;
            const void *const a5 = tile_row5(a, m, &rows);
            const __m512bh b0 = (__m512bh)_mm512_loadu_si512(b);
            if (width == 24) {
                const __m512bh b1 = (__m512bh)_mm512_broadcast_i64x4(
                    _mm256_loadu_si256((const __m256i *)(const void *)(b + VL)));
#define ROW(i)                                                                                     \
    if ((i) < m && (i) % 2 == 0) {                                                                 \
        const __m512bh x = NAME(pair_of)(tile_row(a, a5, rows, i));                                \
        s0[i] = _mm512_dpbf16_ps(s0[i], x, b0);                                                    \
        if ((i) + 1 < m) {                                                                         \
            const __m512bh x1 = NAME(pair_of)(tile_row(a, a5, rows, (i) + 1));                     \
            s0[(i) + 1] = _mm512_dpbf16_ps(s0[(i) + 1], x1, b0);                                   \
            s1[i] = _mm512_dpbf16_ps(s1[i], NAME(halves)(x, x1), b1);                              \
        } else                                                                                     \
            s1[i] = _mm512_dpbf16_ps(s1[i], x, b1);                                                \
    }
                EACH_ROW(ROW)
#undef ROW
                continue;
            }
            const __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + VL);
#define ROW(i)                                                                                     \
    if ((i) < m) {                                                                                 \
        const __m512bh x = NAME(pair_of)(tile_row(a, a5, rows, i));                                \
        s0[i] = _mm512_dpbf16_ps(s0[i], x, b0);                                                    \
        if (width == 32)                                                                           \
            s1[i] = _mm512_dpbf16_ps(s1[i], x, b1);                                                \
    }
            EACH_ROW(ROW)
#undef ROW
        }
    }
#define ROW(i)                                                                                     \
    if (width == 24 && (i) + 1 < m && (i) % 2 == 0)                                                \
        s1[(i) + 1] = _mm512_shuffle_f32x4(s1[i], s1[i], 0x4E);
    EACH_ROW(ROW)
#undef ROW
    if (out.sums != NULL) { /* row by row, as long as the sums are in registers */
        NAME(channel_sums) *const t = out.sums;
        if (t->fresh) {
            _mm512_storeu_ps(t->shift, s0[0]);
            _mm512_storeu_ps(t->shift + VL, s1[0]);
            t->fresh = false;
        }
        __m512 a0, a1, q0, q1;
#define ROW(i)                                                                                     \
    if ((i) < m) {                                                                                 \
        NAME(keep_row)(out.c + (i)*out.ldc, s0[i], s1[i], out.n, out.add);                         \
        const __m512 d0 = _mm512_sub_ps(s0[i], _mm512_loadu_ps(t->shift));                         \
        a0 = (i) == 0 ? d0 : _mm512_add_ps(a0, d0);                                                \
        q0 = (i) == 0 ? _mm512_mul_ps(d0, d0) : _mm512_fmadd_ps(d0, d0, q0);                       \
        if (width > 16) {                                                                          \
            const __m512 d1 = _mm512_sub_ps(s1[i], _mm512_loadu_ps(t->shift + VL));                \
            a1 = (i) == 0 ? d1 : _mm512_add_ps(a1, d1);                                            \
            q1 = (i) == 0 ? _mm512_mul_ps(d1, d1) : _mm512_fmadd_ps(d1, d1, q1);                   \
        }                                                                                          \
    }
        EACH_ROW(ROW)
#undef ROW
        _mm512_storeu_ps(t->sum, _mm512_add_ps(_mm512_loadu_ps(t->sum), a0));
        _mm512_storeu_ps(t->squares, _mm512_add_ps(_mm512_loadu_ps(t->squares), q0));
        if (width > 16) {
            _mm512_storeu_ps(t->sum + VL, _mm512_add_ps(_mm512_loadu_ps(t->sum + VL), a1));
            _mm512_storeu_ps(t->squares + VL, _mm512_add_ps(_mm512_loadu_ps(t->squares + VL), q1));
        }
        return;
    }
#define ROW(i)                                                                                     \
    if ((i) < m)                                                                                   \
        NAME(keep_row)(out.c + (i)*out.ldc, s0[i], s1[i], out.n, out.add);
    EACH_ROW(ROW)
#undef ROW
}

/* One function per height and width, so that every sum has its register. */
#define TILE_M_W(m, w)                                                                             \
    static __attribute__((noinline)) void NAME(tile##m##x##w)(                                     \
        const NAME(seg) * seg, int64_t n_seg, int64_t rs, int64_t cs, const NAME(tile_out) * out)  \
    {                                                                                              \
        NAME(tile_m)(m, w, seg, n_seg, rs, cs, *out);                                              \
    }
#define TILE_M(m) TILE_M_W(m, 32) TILE_M_W(m, 24) TILE_M_W(m, 16)
TILE_M(1)
TILE_M(2)
TILE_M(3)
TILE_M(4)
TILE_M(5)
TILE_M(6)
TILE_M(7)
TILE_M(8)
TILE_M(9)
TILE_M(10)
TILE_M(11)
TILE_M(12)
TILE_M(13)
TILE_M(14)
#undef TILE_M
#undef TILE_M_W

/* m rows, 1 <= m <= MR; no more columns are computed than out->n asks for in the next of three
 * widths. */
static inline void NAME(tile)(int64_t m, const NAME(seg) * seg, int64_t n_seg, int64_t rs,
                              int64_t cs, const NAME(tile_out) * out)
{
    static void (*const by_height[][3])(const NAME(seg) *, int64_t, int64_t, int64_t,
                                        const NAME(tile_out) *) = {
#define ROW(m) {NAME(tile##m##x16), NAME(tile##m##x24), NAME(tile##m##x32)},
        ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7) ROW(8) ROW(9) ROW(10) ROW(11) ROW(12)
            ROW(13) ROW(14)
#undef ROW
    };
    by_height[m - 1][out->n <= 16 ? 0 : out->n <= 24 ? 1 : 2](seg, n_seg, rs, cs, out);
}
