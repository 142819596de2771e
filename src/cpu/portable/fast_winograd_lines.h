/* fast_winograd_lines.h: what fast_winograd.h does to vectors of channels: they are loaded from a source
 * as it is stored, a line of a square goes through B^T, G or A^T, and what comes out is kept as an operand
 * of the products or stored as an output. Included by it alone, once per storage type and instruction
 * set. */
#include "winograd_points.h"

#ifndef PER /* in float; the room of bf16 brings its own */
#define PER     1
#define OPERAND REAL
#include "fast_gemm.h"
#include "fast_store.h"

/* Channels that are loaded at once: WIDE vectors. */
#define WIDE 1
#ifdef WIDENS
static inline void NAME(wino_load)(const STORE *p, NAME(vec) d[WIDE])
{
    d[0] = NAME(v_widen)(p);
}
static inline NAME(vec) NAME(wino_load_n)(const STORE *p, int64_t n)
{
    STORE all[VL] = {0};
    for (int64_t i = 0; i < n; i++)
        all[i] = p[i];
    return NAME(v_widen)(all);
}
static inline void NAME(wino_store)(STORE *to, NAME(vec) s0, NAME(vec) s1, int64_t n)
{
    if (n == NR) {
        NAME(v_round)(to, s0);
        NAME(v_round)(to + VL, s1);
        return;
    }
    STORE all[NR];
    NAME(v_round)(all, s0);
    NAME(v_round)(all + VL, s1);
    for (int64_t i = 0; i < n; i++)
        to[i] = all[i];
}
#else
static inline void NAME(wino_load)(const STORE *p, NAME(vec) d[WIDE])
{
    d[0] = NAME(v_load)(p);
}
static inline NAME(vec) NAME(wino_load_n)(const STORE *p, int64_t n)
{
    return NAME(v_load_n)(p, n);
}
static inline void NAME(wino_store)(STORE *to, NAME(vec) s0, NAME(vec) s1, int64_t n)
{
    if (n == NR) {
        NAME(v_store)(to, s0);
        NAME(v_store)(to + VL, s1);
        return;
    }
    const int64_t n0 = min_i64(n, VL);
    NAME(v_store_n)(to, s0, n0);
    if (n > n0)
        NAME(v_store_n)(to + n0, s1, n - n0);
}
#endif
static inline void NAME(wino_keep)(OPERAND *to, const NAME(vec) d[WIDE])
{
    NAME(v_store)(to, d[0]);
}
/* VL channels in their order. */
static inline void NAME(wino_keep_tail)(OPERAND *to, NAME(vec) d)
{
    NAME(v_store)(to, d);
}
/* An operand of the filter: the values of one vector of columns for the PER channels of a step. */
static inline void NAME(wino_keep_step)(OPERAND *to, const NAME(vec) u[PER])
{
    NAME(v_store)(to, u[0]);
}
/* Channel p of a step, of n; n or more: none, zeros stand there. */
static inline int64_t NAME(wino_channel)(int64_t step, int64_t p, int64_t n)
{
    (void)n;
    return step + p;
}
#endif

enum {
    WINO_CHUNK = 32 /* channels of the filter that are transformed at a time; a multiple of 2 VL */
};

/* ---- transforms of a line ---- */
WINO_INLINE NAME(vec) NAME(wino_sub)(NAME(vec) a, NAME(vec) b)
{
    return NAME(v_fma)(NAME(v_set)(-1), b, a); /* exact product: the difference, rounded once */
}
WINO_INLINE NAME(vec) NAME(wino_mul)(REAL a, NAME(vec) b)
{
    return NAME(v_fma)(NAME(v_set)(a), b, NAME(v_zero)());
}
#include "fast_winograd_pairs.h"

#ifdef WIDENS /* as WINO_WITH, and 7 */
#define WINO_WITH_ALL(m, CALL)                                                                     \
    do {                                                                                           \
        if ((m) == 7)                                                                              \
            CALL(7);                                                                               \
        else                                                                                       \
            WINO_WITH(m, CALL);                                                                    \
    } while (false)
#else
#define WINO_WITH_ALL WINO_WITH
#endif

/* B^T: m + 2 source pixels, to as many points. */
WINO_INLINE void NAME(wino_line_in)(const int m, const NAME(vec) d[WINO_SIDE],
                                    NAME(vec) r[WINO_SIDE])
{
    if (m == 2) {
        r[0] = NAME(wino_sub)(d[0], d[2]);
        r[1] = NAME(v_add)(d[1], d[2]);
        r[2] = NAME(wino_sub)(d[2], d[1]);
        r[3] = NAME(wino_sub)(d[3], d[1]);
        return;
    }
    if (wino_of_pairs(m)) {
        WINO_UNROLL
        for (int row = 0; row < m + 2; row++)
            r[row] = NAME(pairs_x)(m, row, d);
        return;
    }
    const REAL a = WINO4_A, b = WINO4_B, a2 = a * a, b2 = b * b;
    const NAME(vec) even_a = NAME(wino_fma)(-b2, d[2], d[4]);
    const NAME(vec) odd_a = NAME(wino_fma)(-b2, d[1], d[3]);
    const NAME(vec) even_b = NAME(wino_fma)(-a2, d[2], d[4]);
    const NAME(vec) odd_b = NAME(wino_fma)(-a2, d[1], d[3]);
    r[0] = NAME(wino_fma)(a2 * b2, d[0], NAME(wino_fma)(-(a2 + b2), d[2], d[4]));
    r[1] = NAME(wino_fma)(a, odd_a, even_a);
    r[2] = NAME(wino_fma)(-a, odd_a, even_a);
    r[3] = NAME(wino_fma)(b, odd_b, even_b);
    r[4] = NAME(wino_fma)(-b, odd_b, even_b);
    r[5] = NAME(wino_fma)(a2 * b2, d[1], NAME(wino_fma)(-(a2 + b2), d[3], d[5]));
}

/* Output `row`: the pairs' sums (even rows) or differences, times the points' powers. */
WINO_INLINE NAME(vec) NAME(pairs_out)(const int m, const int row, const NAME(vec) pair[WINO_PAIRS])
{
    NAME(vec) y = NAME(v_zero)();
    WINO_UNROLL
    for (int k = wino_pairs(m) - 1; k >= 0; k--) {
        REAL power = 1;
        WINO_UNROLL
        for (int i = 0; i < row; i++)
            power *= wino_point(m, k);
        y = NAME(wino_fma)(power, pair[k], y);
    }
    return y;
}
WINO_INLINE void NAME(pairs_line_out)(const int m, const NAME(vec) s[WINO_SIDE],
                                      NAME(vec) y[WINO_OUT])
{
    NAME(vec) sum[WINO_PAIRS], diff[WINO_PAIRS];
    WINO_UNROLL
    for (int k = 0; k < wino_pairs(m); k++) {
        const NAME(vec) *const at = s + wino_first(m) + 2 * k;
        sum[k] = NAME(v_add)(at[0], at[1]);
        diff[k] = NAME(wino_sub)(at[0], at[1]);
    }
    WINO_UNROLL
    for (int row = 0; row < m; row++)
        y[row] = NAME(pairs_out)(m, row, row % 2 == 0 ? sum : diff);
    if (m == 6)
        y[0] = NAME(v_add)(y[0], s[0]);
    y[m - 1] = NAME(v_add)(y[m - 1], s[m + 1]);
}

/* A^T: m + 2 points, to m outputs. */
WINO_INLINE void NAME(wino_line_out)(const int m, const NAME(vec) s[WINO_SIDE],
                                     NAME(vec) y[WINO_OUT])
{
    if (wino_of_pairs(m)) {
        NAME(pairs_line_out)(m, s, y);
        return;
    }
    const NAME(vec) sum_a = NAME(v_add)(s[1], s[2]), diff_a = NAME(wino_sub)(s[1], s[2]);
    if (m == 2) {
        y[0] = NAME(v_add)(s[0], sum_a);
        y[1] = NAME(v_add)(diff_a, s[3]);
        return;
    }
    const REAL a = WINO4_A, b = WINO4_B;
    const NAME(vec) sum_b = NAME(v_add)(s[3], s[4]), diff_b = NAME(wino_sub)(s[3], s[4]);
    y[0] = NAME(v_add)(s[0], NAME(v_add)(sum_a, sum_b));
    y[1] = NAME(wino_fma)(a, diff_a, NAME(wino_mul)(b, diff_b));
    y[2] = NAME(wino_fma)(a * a, sum_a, NAME(wino_mul)(b * b, sum_b));
    y[3] = NAME(wino_fma)(a * a * a, diff_a, NAME(wino_fma)(b * b * b, diff_b, s[5]));
}

WINO_INLINE void NAME(pairs_line_filter)(const int m, const NAME(vec) g[3], NAME(vec) u[WINO_SIDE])
{
    if (m == 6)
        u[0] = NAME(wino_mul)(wino_n0_inverse(), g[0]);
    WINO_UNROLL
    for (int k = 0; k < wino_pairs(m); k++) {
        const REAL n = 1 / wino_n(m, k), np = n * wino_point(m, k);
        const NAME(vec) even = NAME(wino_mul)(n, NAME(wino_fma)(wino_square(m, k), g[2], g[0]));
        NAME(vec) *const to = u + wino_first(m) + 2 * k;
        to[0] = NAME(wino_fma)(np, g[1], even);
        to[1] = m == 6 ? NAME(wino_fma)(-np, g[1], even)
                       : NAME(wino_sub)(NAME(wino_mul)(np, g[1]), even);
    }
    u[m + 1] = g[2];
}

/* G: 3 taps, to m + 2 points. */
WINO_INLINE void NAME(wino_line_filter)(const int m, const NAME(vec) g[3], NAME(vec) u[WINO_SIDE])
{
    if (m == 2) {
        const NAME(vec) half = NAME(wino_mul)((REAL)0.5, NAME(v_add)(g[0], g[2]));
        u[0] = g[0];
        u[1] = NAME(wino_fma)((REAL)0.5, g[1], half);
        u[2] = NAME(wino_fma)((REAL)-0.5, g[1], half);
        u[3] = g[2];
        return;
    }
    if (wino_of_pairs(m)) {
        NAME(pairs_line_filter)(m, g, u);
        return;
    }
    const REAL a = WINO4_A, b = WINO4_B;
    const REAL na = 1 / WINO4_NA(a, b), nb = 1 / WINO4_NB(a, b);
    const NAME(vec) even_a = NAME(wino_mul)(na, NAME(wino_fma)(a * a, g[2], g[0]));
    const NAME(vec) even_b = NAME(wino_mul)(nb, NAME(wino_fma)(b * b, g[2], g[0]));
    u[0] = NAME(wino_mul)(1 / WINO4_N0(a, b), g[0]);
    u[1] = NAME(wino_fma)(na * a, g[1], even_a);
    u[2] = NAME(wino_fma)(-na * a, g[1], even_a);
    u[3] = NAME(wino_fma)(nb * b, g[1], even_b);
    u[4] = NAME(wino_fma)(-nb * b, g[1], even_b);
    u[5] = g[2];
}
