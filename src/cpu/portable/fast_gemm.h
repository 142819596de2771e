/* fast_gemm.h: the one register tile that every convolution and matrix product of the fast CPU path
 * ends in. Included after a lanes header, once per element type and instruction set.
 *
 * A tile is MR x NR outputs, NR = 2 vectors. It sums over segments: a run of k along which the left
 * operand moves by cs and the right one by NR. Convolutions use a segment per filter tap (or per
 * image row for the filter's gradient), matrix products use one. The order of the sum is the order
 * of the segments and of k within them, whatever the tile's height: that is why results do not
 * depend on how outputs are cut into tiles. Read next: fast_conv2d.h, fast_matmul.h. */
#define NR (2 * VL)
#include "channel_sums.h"
#include "tile_ahead.h"
#include "tile_rows.h"

typedef struct NAME(seg) {
    const REAL *a; /* row i, step k: a[i*rs + k*cs] */
    const REAL *b; /* step k, column j: b[k*NR + j] */
    int64_t len;
} NAME(seg);

/* What a tile does with its sums. */
typedef struct NAME(tile_out) {
    REAL *c; /* row i, column j: c[i*ldc + j] */
    int64_t ldc;
    int64_t n; /* columns to store, 1..NR; the others are computed from padding and dropped */
    bool add;  /* c += sums instead of c = sums */
    NAME(channel_sums) * sums; /* also adds up what it stores; NULL: does not */
    tile_ahead ahead[2];       /* what is asked for meanwhile */
} NAME(tile_out);

/* X(i) for each row that a tile can have. Written out rather than looped over, so that no compiler
 * has to be talked into keeping the sums in registers: with loops clang 14 runs at a third. */
#ifndef EACH_ROW
#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#endif

static inline NAME(vec) NAME(sum_n)(const REAL *c, NAME(vec) sum, int64_t n, bool add)
{
    return add ? NAME(v_add)(NAME(v_load_n)(c, n), sum) : sum;
}

/* width: columns that are computed: NR, VL or, where vectors have halves to share (V_HALVES, see
 * lanes_avx512.h), 3/4 NR: there the last quarter of two rows is one vector, its upper half for the
 * odd row, so that two rows cost three products and not four. */
static inline __attribute__((always_inline)) void
NAME(tile_m)(const int m, const int width, const NAME(seg) *restrict seg, const int64_t n_seg,
             const int64_t rs, const int64_t cs, const NAME(tile_out) out)
{
    NAME(vec) s0[14], s1[14]; /* the sums: left and right half of each row */
#define ROW(i) s0[i] = s1[i] = NAME(v_zero)();
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
    tile_rows rows = tile_rows_of(rs * (int64_t)sizeof(REAL));
    for (int64_t s = 0; s < n_seg; s++) {
        const REAL *restrict a = seg[s].a;
        const REAL *restrict b = seg[s].b;
        for (const REAL *const end = b + seg[s].len * NR; b != end; b += NR, a += cs) {
            __builtin_prefetch(next0);
            __builtin_prefetch(next1);
            next0 += out.ahead[0].move;
            next1 += out.ahead[1].move;
            const void *const a5 = tile_row5(a, m, &rows);
            const NAME(vec) b0 = NAME(v_load)(b);
#ifdef V_HALVES
            if (width < NR && width > VL) {
                const NAME(vec) b1 = NAME(v_half_twice)(b + VL);
#define ROW(i)                                                                                     \
    if ((i) < m && (i) % 2 == 0) {                                                                 \
        const NAME(vec) x = NAME(v_set)(*(const REAL *)tile_row(a, a5, rows, i));                  \
        s0[i] = NAME(v_fma)(x, b0, s0[i]);                                                         \
        if ((i) + 1 < m) {                                                                         \
            const NAME(vec) x1 = NAME(v_set)(*(const REAL *)tile_row(a, a5, rows, (i) + 1));       \
            s0[(i) + 1] = NAME(v_fma)(x1, b0, s0[(i) + 1]);                                        \
            s1[i] = NAME(v_fma)(NAME(v_halves)(x, x1), b1, s1[i]);                                 \
        } else                                                                                     \
            s1[i] = NAME(v_fma)(x, b1, s1[i]);                                                     \
    }
                EACH_ROW(ROW)
#undef ROW
                continue;
            }
#endif
            const NAME(vec) b1 = NAME(v_load)(b + VL);
#define ROW(i)                                                                                     \
    if ((i) < m) {                                                                                 \
        const NAME(vec) x = NAME(v_set)(*(const REAL *)tile_row(a, a5, rows, i));                  \
        s0[i] = NAME(v_fma)(x, b0, s0[i]);                                                         \
        if (width == NR)                                                                           \
            s1[i] = NAME(v_fma)(x, b1, s1[i]);                                                     \
    }
            EACH_ROW(ROW)
#undef ROW
        }
    }
#ifdef V_HALVES
#define ROW(i)                                                                                     \
    if (width < NR && width > VL && (i) + 1 < m && (i) % 2 == 0)                                   \
        s1[(i) + 1] = NAME(v_swap_halves)(s1[i]);
    EACH_ROW(ROW)
#undef ROW
#endif
    REAL *const c = out.c;
    const int64_t ldc = out.ldc;
    if (out.sums != NULL) { /* row by row, as long as the sums are in registers */
        NAME(channel_sums) *const t = out.sums;
        if (t->fresh) {
            NAME(v_store)(t->shift, s0[0]);
            NAME(v_store)(t->shift + VL, s1[0]);
            t->fresh = false;
        }
        const int64_t n0 = out.n < VL ? out.n : VL, n1 = out.n - n0;
        const NAME(vec) minus = NAME(v_set)(-1);
        NAME(vec) a0 = NAME(v_zero)(), a1 = a0, q0 = a0, q1 = a0;
#define ROW(i)                                                                                     \
    if ((i) < m) {                                                                                 \
        NAME(v_store_n)(c + (i)*ldc, s0[i], n0);                                                   \
        NAME(v_store_n)(c + (i)*ldc + n0, s1[i], n1);                                              \
        s0[i] = NAME(v_fma)(minus, NAME(v_load)(t->shift), s0[i]);                                 \
        s1[i] = NAME(v_fma)(minus, NAME(v_load)(t->shift + VL), s1[i]);                            \
        a0 = NAME(v_add)(a0, s0[i]);                                                               \
        a1 = NAME(v_add)(a1, s1[i]);                                                               \
        q0 = NAME(v_fma)(s0[i], s0[i], q0);                                                        \
        q1 = NAME(v_fma)(s1[i], s1[i], q1);                                                        \
    }
        EACH_ROW(ROW)
#undef ROW
        NAME(v_store)(t->sum, NAME(v_add)(NAME(v_load)(t->sum), a0));
        NAME(v_store)(t->sum + VL, NAME(v_add)(NAME(v_load)(t->sum + VL), a1));
        NAME(v_store)(t->squares, NAME(v_add)(NAME(v_load)(t->squares), q0));
        NAME(v_store)(t->squares + VL, NAME(v_add)(NAME(v_load)(t->squares + VL), q1));
        return;
    }
    if (out.n == NR && !out.add) {
#define ROW(i)                                                                                     \
    if ((i) < m) {                                                                                 \
        NAME(v_store)(c + (i)*ldc, s0[i]);                                                         \
        NAME(v_store)(c + (i)*ldc + VL, s1[i]);                                                    \
    }
        EACH_ROW(ROW)
#undef ROW
    } else if (out.n == NR) {
#define ROW(i)                                                                                     \
    if ((i) < m) {                                                                                 \
        REAL *const d = c + (i)*ldc;                                                               \
        NAME(v_store)(d, NAME(v_add)(NAME(v_load)(d), s0[i]));                                     \
        NAME(v_store)(d + VL, NAME(v_add)(NAME(v_load)(d + VL), s1[i]));                           \
    }
        EACH_ROW(ROW)
#undef ROW
    } else {
        const int64_t n0 = out.n < VL ? out.n : VL, n1 = out.n - n0;
#define ROW(i)                                                                                     \
    if ((i) < m) {                                                                                 \
        REAL *const d = c + (i)*ldc;                                                               \
        NAME(v_store_n)(d, NAME(sum_n)(d, s0[i], n0, out.add), n0);                                \
        NAME(v_store_n)(d + n0, NAME(sum_n)(d + n0, s1[i], n1, out.add), n1);                      \
    }
        EACH_ROW(ROW)
#undef ROW
    }
}

/* One function per height and width, so that every accumulator has its register. */
#define TILE_M_W(m, name, width)                                                                   \
    static __attribute__((noinline)) void NAME(name)(                                              \
        const NAME(seg) * seg, int64_t n_seg, int64_t rs, int64_t cs, const NAME(tile_out) * out)  \
    {                                                                                              \
        NAME(tile_m)(m, width, seg, n_seg, rs, cs, *out);                                          \
    }
#ifdef V_HALVES
#define TILE_M(m)                                                                                  \
    TILE_M_W(m, tile##m, NR)                                                                       \
    TILE_M_W(m, tile##m##_three_quarters, NR / 4 * 3) TILE_M_W(m, tile##m##_half, VL)
#define TILES_OF(m)                                                                                \
    {                                                                                              \
        NAME(tile##m##_half), NAME(tile##m##_three_quarters), NAME(tile##m)                        \
    }
#else
#define TILE_M(m) TILE_M_W(m, tile##m, NR) TILE_M_W(m, tile##m##_half, VL)
#define TILES_OF(m)                                                                                \
    {                                                                                              \
        NAME(tile##m##_half), NAME(tile##m), NAME(tile##m)                                         \
    }
#endif
TILE_M(1)
TILE_M(2)
TILE_M(3)
TILE_M(4)
#if MR > 4
TILE_M(5)
TILE_M(6)
#endif
#if MR > 6
TILE_M(7)
TILE_M(8)
TILE_M(9)
TILE_M(10)
TILE_M(11)
TILE_M(12)
TILE_M(13)
TILE_M(14)
#endif
#undef TILE_M
#undef TILE_M_W

/* m rows, 1 <= m <= MR; no more columns are computed than out->n asks for in the next of the
 * widths. */
static inline void NAME(tile)(int64_t m, const NAME(seg) * seg, int64_t n_seg, int64_t rs,
                              int64_t cs, const NAME(tile_out) * out)
{
    static void (*const by_height[][3])(const NAME(seg) *, int64_t, int64_t, int64_t,
                                        const NAME(tile_out) *) = {
        TILES_OF(1),
        TILES_OF(2),
        TILES_OF(3),
        TILES_OF(4),
#if MR > 4
        TILES_OF(5),
        TILES_OF(6),
#endif
#if MR > 6
        TILES_OF(7),
        TILES_OF(8),
        TILES_OF(9),
        TILES_OF(10),
        TILES_OF(11),
        TILES_OF(12),
        TILES_OF(13),
        TILES_OF(14),
#endif
    };
    const int64_t n = out->n;
    by_height[m - 1][n <= VL ? 0 : n <= NR / 4 * 3 ? 1 : 2](seg, n_seg, rs, cs, out);
}
#undef TILES_OF

/* n elements, for packing: short runs, where a call of memcpy would cost more than the copy. */
static inline void NAME(copy)(REAL *restrict dst, const REAL *restrict src, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        NAME(v_store)(dst + i, NAME(v_load)(src + i));
    if (i < n)
        NAME(v_store_n)(dst + i, NAME(v_load_n)(src + i, n - i), n - i);
}
