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

static inline __attribute__((always_inline)) void
NAME(tile_m)(const int m, const NAME(seg) *restrict seg, const int64_t n_seg, const int64_t rs,
             const int64_t cs, const NAME(tile_out) out)
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
    for (int64_t s = 0; s < n_seg; s++) {
        const REAL *restrict a = seg[s].a;
        const REAL *restrict b = seg[s].b;
        for (const REAL *const end = b + seg[s].len * NR; b != end; b += NR, a += cs) {
            const NAME(vec) b0 = NAME(v_load)(b), b1 = NAME(v_load)(b + VL);
#define ROW(i)                                                                                     \
    if ((i) < m) {                                                                                 \
        const NAME(vec) x = NAME(v_set)(a[(i)*rs]);                                                \
        s0[i] = NAME(v_fma)(x, b0, s0[i]);                                                         \
        s1[i] = NAME(v_fma)(x, b1, s1[i]);                                                         \
    }
            EACH_ROW(ROW)
#undef ROW
        }
    }
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

/* One function per height, so that every accumulator has its register. */
#define TILE_M(m)                                                                                  \
    static __attribute__((noinline)) void NAME(tile##m)(                                           \
        const NAME(seg) * seg, int64_t n_seg, int64_t rs, int64_t cs, const NAME(tile_out) * out)  \
    {                                                                                              \
        NAME(tile_m)(m, seg, n_seg, rs, cs, *out);                                                 \
    }
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

/* m rows, 1 <= m <= MR. */
static inline void NAME(tile)(int64_t m, const NAME(seg) * seg, int64_t n_seg, int64_t rs,
                              int64_t cs, const NAME(tile_out) * out)
{
    static void (*const by_height[])(const NAME(seg) *, int64_t, int64_t, int64_t,
                                     const NAME(tile_out) *) = {
        NAME(tile1),
        NAME(tile2),
        NAME(tile3),
        NAME(tile4),
#if MR > 4
        NAME(tile5),
        NAME(tile6),
#endif
#if MR > 6
        NAME(tile7),
        NAME(tile8),
        NAME(tile9),
        NAME(tile10),
        NAME(tile11),
        NAME(tile12),
        NAME(tile13),
        NAME(tile14),
#endif
    };
    by_height[m - 1](seg, n_seg, rs, cs, out);
}

/* n elements, for packing: short runs, where a call of memcpy would cost more than the copy. */
static inline void NAME(copy)(REAL *restrict dst, const REAL *restrict src, int64_t n)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        NAME(v_store)(dst + i, NAME(v_load)(src + i));
    if (i < n)
        NAME(v_store_n)(dst + i, NAME(v_load_n)(src + i, n - i), n - i);
}
