/* fast_winograd_dw_lines.h: what fast_winograd_dw.h does to images before it multiplies: the
 * transforms B^T x B of tiles of x and A dy A^T of tiles of dy (winograd_points.h), packed for the
 * register tile. Included by it alone, once per element type and instruction set.
 *
 * They are done for one of the alpha rows of transformed numbers at a time: down each column of the
 * image first, which leaves one line of numbers per image, then along that line, tile by tile. A
 * step of the packed panels is one place of the sum: a tile of one image, or (PER 2) the same tile
 * of two. NR channels are done together. The room that has PER 2 gives NAME(wino_load) and
 * NAME(wino_keep); the order of channels within NR is theirs (NAME(wino_place)). */
#include "winograd_points.h"

#if PER == 1
/* The first n of NR channels as two vectors, zeros for the others. */
#ifdef WIDENS
WINO_INLINE void NAME(wino_load)(const STORE *p, const bool full, int64_t n, NAME(vec) v[2])
{
    STORE all[NR] = {0};
    if (!full)
        for (int64_t i = 0; i < n; i++)
            all[i] = p[i];
    const STORE *const from = full ? p : all;
    v[0] = NAME(v_widen)(from);
    v[1] = NAME(v_widen)(from + VL);
}
#else
WINO_INLINE void NAME(wino_load)(const STORE *p, const bool full, int64_t n, NAME(vec) v[2])
{
    v[0] = full ? NAME(v_load)(p) : NAME(v_load_n)(p, min_i64(n, VL));
    v[1] = full ? NAME(v_load)(p + VL) : NAME(v_load_n)(p + min_i64(n, VL), max_i64(n - VL, 0));
}
#endif

/* VL channels of a step. v[i]: image i of it. */
WINO_INLINE void NAME(wino_keep)(OPERAND *p, const NAME(vec) v[PER])
{
    NAME(v_store)(p, v[0]);
}

/* Where channel k of NR stands. */
static inline int64_t NAME(wino_place)(int64_t k)
{
    return k;
}
#endif

#include "fast_winograd_pairs.h"

/* Number `row` of B^T d. m: 2 to 6, the tiles of F(m x m, 3x3). */
WINO_INLINE NAME(vec) NAME(wino_x)(const int m, const int row, const NAME(vec) d[WINO_SIDE])
{
    if (wino_of_pairs(m))
        return NAME(pairs_x)(m, row, d);
    const REAL a = WINO4_A, b = WINO4_B;
    if (m == 2)
        return row == 0   ? d[2] - d[0]
               : row == 1 ? d[2] + d[1]
               : row == 2 ? d[2] - d[1]
                          : d[3] - d[1];
    if (row == 0 || row == 5) {
        const int o = row == 0 ? 0 : 1;
        const NAME(vec) t = NAME(v_fma)(NAME(v_set)(-(a * a + b * b)), d[2 + o], d[4 + o]);
        return NAME(v_fma)(NAME(v_set)(a * a * b * b), d[o], t);
    }
    const REAL p = row < 3 ? a : b, q2 = row < 3 ? b * b : a * a;
    const NAME(vec) even = NAME(v_fma)(NAME(v_set)(-q2), d[2], d[4]);
    const NAME(vec) odd = NAME(v_fma)(NAME(v_set)(-q2), d[1], d[3]);
    return NAME(v_fma)(NAME(v_set)(row % 2 != 0 ? p : -p), odd, even);
}

WINO_INLINE NAME(vec) NAME(pairs_dy)(const int m, const int row, const NAME(vec) y[WINO_SIDE])
{
    const NAME(vec) p2 = NAME(v_set)(wino_square(m, NAME(pairs_index)(m, row)));
    NAME(vec) even = y[(m - 1) / 2 * 2], odd = y[m / 2 * 2 - 1];
    WINO_UNROLL
    for (int k = (m - 1) / 2 * 2 - 2; k >= 0; k -= 2)
        even = NAME(v_fma)(p2, even, y[k]);
    WINO_UNROLL
    for (int k = m / 2 * 2 - 3; k >= 0; k -= 2)
        odd = NAME(v_fma)(p2, odd, y[k]);
    return NAME(v_fma)(NAME(v_set)(NAME(pairs_point)(m, row)), odd, even);
}

/* Number `row` of A y. */
WINO_INLINE NAME(vec) NAME(wino_dy)(const int m, const int row, const NAME(vec) y[WINO_SIDE])
{
    const REAL p = row < 3 ? WINO4_A : WINO4_B;
    if (row == m + 1)
        return y[m - 1];
    if (row == 0 && m % 2 == 0)
        return y[0];
    if (m == 2)
        return row == 1 ? y[0] + y[1] : y[0] - y[1];
    if (wino_of_pairs(m))
        return NAME(pairs_dy)(m, row, y);
    const NAME(vec) even = NAME(v_fma)(NAME(v_set)(p * p), y[2], y[0]);
    const NAME(vec) odd = NAME(v_fma)(NAME(v_set)(p * p), y[3], y[1]);
    return NAME(v_fma)(NAME(v_set)(row % 2 != 0 ? p : -p), odd, even);
}

/* The m + 2 (x) or m (dy) lines of the step's images that lie under a row of tiles. A line outside
 * of the image, and an image that is none, is a line of zeros: it does not move. */
typedef struct NAME(wino_lines) {
    const STORE *at[PER][WINO_SIDE];
    int64_t next[PER][WINO_SIDE];  /* elements to the next pixel */
    int64_t group[PER][WINO_SIDE]; /* elements to the next NR channels */
} NAME(wino_lines);

/* Row `row` down each of `count` columns: out[column][image of the step][NR]. */
WINO_INLINE void NAME(wino_down)(const int m, const bool is_x, const int row, const bool full,
                                 const NAME(wino_lines) * in, int64_t n, int64_t count, REAL *out)
{
    const int lines = is_x ? m + 2 : m;
    for (int i = 0; i < PER; i++) {
        const STORE *p0 = in->at[i][0], *p1 = in->at[i][1], *p2 = in->at[i][2];
        const STORE *p3 = in->at[i][3], *p4 = in->at[i][4], *p5 = in->at[i][5];
        const STORE *p6 = in->at[i][6], *p7 = in->at[i][7];
        REAL *to = out + i * NR;
        for (int64_t x = 0; x < count; x++, to += PER * NR) {
            NAME(vec) d[WINO_SIDE][2], left[WINO_SIDE], right[WINO_SIDE];
#define LINE(k)                                                                                    \
    if (k < lines) {                                                                               \
        NAME(wino_load)(p##k, full, n, d[k]);                                                      \
        p##k += in->next[i][k];                                                                    \
        left[k] = d[k][0];                                                                         \
        right[k] = d[k][1];                                                                        \
    } else                                                                                         \
        left[k] = right[k] = NAME(v_zero)();
            LINE(0)
            LINE(1)
            LINE(2)
            LINE(3)
            LINE(4)
            LINE(5)
            LINE(6)
            LINE(7)
#undef LINE
            NAME(v_store)(to, is_x ? NAME(wino_x)(m, row, left) : NAME(wino_dy)(m, row, left));
            NAME(v_store)
            (to + VL, is_x ? NAME(wino_x)(m, row, right) : NAME(wino_dy)(m, row, right));
        }
    }
}

/* Along a line of wino_down, tile by tile; the m + 2 numbers of a tile go into as many panels. */
WINO_INLINE void NAME(wino_along)(const int m, const bool is_x, const REAL *in, int64_t tiles,
                                  OPERAND *out, int64_t to_panel, int64_t to_tile)
{
    const int columns = is_x ? m + 2 : m;
    for (int half = 0; half < 2; half++)
        for (int64_t t = 0; t < tiles; t++) {
            const REAL *const p = in + t * m * PER * NR + half * VL;
            OPERAND *to = out + t * to_tile + half * VL;
            NAME(vec) d[PER][WINO_SIDE];
            for (int i = 0; i < PER; i++)
                for (int k = 0; k < m + 2; k++)
                    d[i][k] = k < columns ? NAME(v_load)(p + (k * PER + i) * NR) : NAME(v_zero)();
            WINO_UNROLL
            for (int k = 0; k < m + 2; k++, to += to_panel) {
                NAME(vec) v[PER];
                for (int i = 0; i < PER; i++)
                    v[i] = is_x ? NAME(wino_x)(m, k, d[i]) : NAME(wino_dy)(m, k, d[i]);
                NAME(wino_keep)(to, v);
            }
        }
}

/* One function per row of transformed numbers: the whole of a step. */
typedef struct NAME(wino_step) {
    NAME(wino_lines) lines;
    int64_t n;             /* channels, from a multiple of NR on */
    int64_t before, count; /* columns outside of the image on the left; columns of it */
    int64_t columns, tiles;
    REAL *line;   /* [columns][PER][NR] */
    OPERAND *out; /* of the first tile and the first NR channels in the first panel */
    int64_t to_panel, to_tile, to_group;
} NAME(wino_step);

WINO_INLINE void NAME(wino_do)(const int m, const bool is_x, const int row, NAME(wino_step) * s)
{
    REAL *const from = s->line + s->before * PER * NR, *const to = from + s->count * PER * NR;
    memset(s->line, 0, (size_t)(s->before * PER * NR) * sizeof(REAL));
    memset(to, 0, (size_t)((s->columns - s->before - s->count) * PER * NR) * sizeof(REAL));
    for (int64_t c = 0; c < s->n; c += NR) {
        if (s->n - c >= NR)
            NAME(wino_down)(m, is_x, row, true, &s->lines, NR, s->count, from);
        else
            NAME(wino_down)(m, is_x, row, false, &s->lines, s->n - c, s->count, from);
        NAME(wino_along)(m, is_x, s->line, s->tiles, s->out, s->to_panel, s->to_tile);
        s->out += s->to_group;
        for (int i = 0; i < PER; i++)
            for (int k = 0; k < (is_x ? m + 2 : m); k++)
                s->lines.at[i][k] += s->lines.group[i][k];
    }
}

#define WINO_ROW(m, row)                                                                           \
    static __attribute__((noinline)) void NAME(wino##m##_x##row)(NAME(wino_step) * s)              \
    {                                                                                              \
        NAME(wino_do)(m, true, row, s);                                                            \
    }                                                                                              \
    static __attribute__((noinline)) void NAME(wino##m##_dy##row)(NAME(wino_step) * s)             \
    {                                                                                              \
        NAME(wino_do)(m, false, row, s);                                                           \
    }
#define WINO_ROW_ENTRY(m, row) {NAME(wino##m##_dy##row), NAME(wino##m##_x##row)},
#define WINO_4_ROWS(DO, m)     DO(m, 0) DO(m, 1) DO(m, 2) DO(m, 3)
#define WINO_5_ROWS(DO, m)     WINO_4_ROWS(DO, m) DO(m, 4)
#define WINO_6_ROWS(DO, m)     WINO_5_ROWS(DO, m) DO(m, 5)
#define WINO_7_ROWS(DO, m)     WINO_6_ROWS(DO, m) DO(m, 6)
#define WINO_8_ROWS(DO, m)     WINO_7_ROWS(DO, m) DO(m, 7)

typedef void (*NAME(wino_row_fn))(NAME(wino_step) *);

#define WINO_TABLE(m, rows)                                                                        \
    static const NAME(wino_row_fn) NAME(wino##m##_rows)[][2] = {rows(WINO_ROW_ENTRY, m)};
WINO_4_ROWS(WINO_ROW, 2)
WINO_5_ROWS(WINO_ROW, 3)
WINO_6_ROWS(WINO_ROW, 4)
WINO_7_ROWS(WINO_ROW, 5)
WINO_8_ROWS(WINO_ROW, 6)
WINO_TABLE(2, WINO_4_ROWS)
WINO_TABLE(3, WINO_5_ROWS)
WINO_TABLE(4, WINO_6_ROWS)
WINO_TABLE(5, WINO_7_ROWS)
WINO_TABLE(6, WINO_8_ROWS)
#undef WINO_TABLE
#undef WINO_ROW
#undef WINO_ROW_ENTRY
#undef WINO_4_ROWS
#undef WINO_5_ROWS
#undef WINO_6_ROWS
#undef WINO_7_ROWS
#undef WINO_8_ROWS

static NAME(wino_row_fn) NAME(wino_row_of)(int64_t m, bool is_x, int64_t row)
{
#define WINO_ROW_OF(m) return NAME(wino##m##_rows)[row][is_x]
    WINO_WITH(m, WINO_ROW_OF);
#undef WINO_ROW_OF
}

WINO_INLINE NAME(vec) NAME(pairs_tap)(const int m, const int row, const NAME(vec) u[WINO_SIDE])
{
    NAME(vec) t = NAME(v_zero)();
    if (m == 6 && row == 0)
        t = NAME(v_set)(wino_n0_inverse()) * u[0];
    if (row == 2)
        t = u[m + 1];
    const bool sum = (row == 1) == (m != 6); /* N(-p) is N(p) for F6, else -N(p) */
    WINO_UNROLL
    for (int k = 0; k < wino_pairs(m); k++) {
        const REAL p = wino_point(m, k), f = (row == 0 ? 1 : row == 1 ? p : p * p) / wino_n(m, k);
        const NAME(vec) *const pair = u + wino_first(m) + 2 * k;
        t = NAME(v_fma)(NAME(v_set)(f), sum ? pair[0] + pair[1] : pair[0] - pair[1], t);
    }
    return t;
}

/* Number `row` of G^T u, of the 3 taps: the last transform, of the sums. */
WINO_INLINE NAME(vec) NAME(wino_tap)(const int m, const int row, const NAME(vec) u[WINO_SIDE])
{
    if (wino_of_pairs(m))
        return NAME(pairs_tap)(m, row, u);
    const REAL a = WINO4_A, b = WINO4_B;
    if (m == 2) {
        const NAME(vec) half = NAME(v_set)((REAL)0.5);
        const NAME(vec) t = half * (row == 1 ? u[1] - u[2] : u[1] + u[2]);
        if (row == 1)
            return t;
        return row == 0 ? t - u[0] : t + u[3];
    }
    const REAL ka = 1 / WINO4_NA(a, b), kb = 1 / WINO4_NB(a, b);
    const NAME(vec) ta = row == 1 ? u[1] - u[2] : u[1] + u[2];
    const NAME(vec) tb = row == 1 ? u[3] - u[4] : u[3] + u[4];
    const NAME(vec) fa = NAME(v_set)(row == 0 ? ka : row == 1 ? a * ka : a * a * ka);
    const NAME(vec) fb = NAME(v_set)(row == 0 ? kb : row == 1 ? b * kb : b * b * kb);
    const NAME(vec) t = NAME(v_fma)(fb, tb, fa * ta);
    if (row == 1)
        return t;
    return NAME(v_fma)(NAME(v_set)(row == 0 ? 1 / WINO4_N0(a, b) : 1), u[row == 0 ? 0 : 5], t);
}
