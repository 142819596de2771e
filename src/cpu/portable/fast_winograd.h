/* fast_winograd.h: convolution forward and the gradient of its input by Winograd's method, 3x3 at
 * stride 1, on batch-blocked images. Included once per storage type and instruction set, after a
 * register tile; winograd_points.h has the mathematics. Neighbours: fast_conv2d_blocked.h, the
 * direct way; fast_winograd_dw.h, the gradient of the filter.
 *
 * An image is cut into squares of m x m outputs, m 2 to 7. Each needs a square of m + 2 source
 * pixels, which is transformed along both axes; output and filter have transforms of their own, in
 * which the convolution is one product per transformed point: (m + 2)^2 products where the definition
 * has 9 m^2, 2.25 (m 2) to 5.4 (m 7) times fewer. Each product is summed over channels: a matrix
 * product with the images of some squares as rows, on the same register tile as everything else.
 *
 * A unit is a square of all the images of a block; a group of units is as many as keep a panel of
 * the filter busy while their transforms stay in the caches: its transformed source V is made once,
 * then each panel of NR output channels is multiplied, transformed back and stored. Nothing but the
 * source, the filter and the outputs leaves the caches. Squares may hang over the edge: source
 * pixels outside read as zeros (from a row of zeros), outputs outside are not stored. Padding
 * images are never read: a unit has as many rows as its block has images.
 *
 * Images stored as bf16 are transformed in float. Rooms with products of bf16 then round V and the
 * transformed filter to bf16 and multiply them in pairs of channels (PER 2); others (WIDENS) round
 * the filter before its transform, as if it were stored, and nothing else. Which channels make a pair is the room's
 * (wino_channel), the same for both factors.
 *
 * Gradient of the input: the same with dy as the source, the filter turned by 180 degrees and its
 * channels exchanged. Each output is one sum over the channels, whatever the cut. */
#include "fast_winograd_lines.h"

/* ---- the job ---- */
typedef struct NAME(wino) {
    int64_t m, points; /* outputs along a square's side; (m + 2)^2 */
    int64_t n, nb, sc, dc, src_h, src_w, dst_h, dst_w, pad_y, pad_x;
    const STORE *src;
    STORE *dst;
    int64_t tiles_x, tiles, units;          /* squares along a line, of an image; times blocks */
    int64_t per_group, groups, runs, parts; /* tasks: runs of groups, times parts of the panels */
    int64_t panels, steps;
    int64_t row, v_plane,
        s_plane;               /* of V: operands of a row, of a point; of the sums: of a point */
    OPERAND *filter;           /* [panels][points][steps][NR] */
    OPERAND *v;                /* per slot: [points][rows][row] */
    REAL *s;                   /* per slot: [points][rows][NR] */
    STORE *zeros;              /* [nb * sc] */
    uintptr_t *rows;           /* per slot: where a row's first output is */
    NAME(channel_sums) * lane; /* conv2d_stats (NULL in others): per slot */
    double *sums;              /* [runs][2][dc] */
    int64_t *counts;           /* [runs] */
} NAME(wino);

enum {
    /* Runs: so many that no thread waits long for the last one, and no more, as groups beside one another read
     * the same lines of the source. Each of more than 8 threads has 16, where runs gather no statistics. */
    WINO_RUNS = 128,
    WINO_RUNS_EACH = 16,
    WINO_GROUP_BYTES = 400000, /* of V and sums of a group, beside a panel of the filter in L2 */
    WINO_ROWS_MIN = 24,        /* where they are larger: so many rows share a read of the filter, */
    WINO_FILTER_BYTES = 4000000, /* twice as many where that is larger */
    WINO_ROWS_MAX = 112
};

/* A plane of so many operands begins at another set of the caches than the one before. */
static inline int64_t NAME(wino_plane)(int64_t elems)
{
    const int64_t line = 64 / (int64_t)sizeof(REAL);
    return (parts_of(elems, line) | 1) * line;
}

/* Into how many parts the panels of a group are cut so that a call takes least time; bits do not depend
 * on it. With few groups threads would wait for the last ones, but each part makes V again, which takes
 * as long as half a panel. */
static int64_t NAME(wino_parts)(const NAME(wino) * g, int64_t slots)
{
    int64_t best = 1, least = INT64_MAX;
    for (int64_t parts = 1; parts <= min_i64(8, g->panels); parts *= 2) {
        const int64_t turns = parts_of(g->runs * parts, slots);
        const int64_t half_panels = turns * (2 * parts_of(g->panels, parts) + 1);
        if (half_panels < least) {
            least = half_panels;
            best = parts;
        }
    }
    return best;
}

/* pad: how far the source of the first output lies before the first source pixel. */
static void NAME(wino_plan)(NAME(wino) * g, const fwi_call *c, int64_t pad_y, int64_t pad_x,
                            bool stats, scratch_cut *s)
{
    const int64_t *const from = c->in[0].shape.d, *const to = c->out[0].shape.d;
    const int64_t m = winograd_side(c), slots = call_slots(c);
    *g = (NAME(wino)){.m = m,
                      .points = (m + 2) * (m + 2),
                      .n = from[0],
                      .nb = c->in[0].nb,
                      .sc = from[3],
                      .dc = to[3],
                      .src_h = from[1],
                      .src_w = from[2],
                      .dst_h = to[1],
                      .dst_w = to[2],
                      .pad_y = pad_y,
                      .pad_x = pad_x,
                      .src = c->in[0].data,
                      .dst = c->out[0].data};
    g->tiles_x = parts_of(g->dst_w, m);
    g->tiles = parts_of(g->dst_h, m) * g->tiles_x;
    g->units = parts_of(g->n, g->nb) * g->tiles;
    g->panels = parts_of(g->dc, NR);
    g->steps = parts_of(g->sc, PER);
    g->row = parts_of(g->steps, 16) * 16;
    const int64_t unit_bytes = g->nb * g->points * (g->row + NR) * (int64_t)sizeof(OPERAND);
    const int64_t filter_elems = g->panels * g->points * g->steps * NR;
    const bool far = filter_elems * (int64_t)sizeof(OPERAND) > WINO_FILTER_BYTES;
    g->per_group = max_i64(WINO_GROUP_BYTES / unit_bytes,
                           parts_of(far ? 2 * WINO_ROWS_MIN : WINO_ROWS_MIN, g->nb));
    g->per_group = min_i64(g->per_group, parts_of(WINO_ROWS_MAX, g->nb));
    g->per_group = min_i64(g->per_group, parts_of(g->units, 16));
    g->groups = parts_of(g->units, g->per_group);
    g->runs = min_i64(g->groups, stats ? WINO_RUNS : max_i64(WINO_RUNS, WINO_RUNS_EACH * slots));
    g->parts = NAME(wino_parts)(g, slots);
    g->v_plane = NAME(wino_plane)(g->per_group * g->nb * g->row);
    g->s_plane = NAME(wino_plane)(g->per_group * g->nb * NR);
    g->filter = scratch_take(s, filter_elems, sizeof(OPERAND));
    g->v = scratch_take(s, slots * g->points * g->v_plane, sizeof(OPERAND));
    g->s = scratch_take(s, slots * g->points * g->s_plane, sizeof(REAL));
    g->zeros = scratch_take(s, g->nb * g->sc, sizeof(STORE));
    g->rows = scratch_take(s, slots * g->per_group * g->nb, sizeof *g->rows);
    if (stats) {
        g->lane = scratch_take(s, slots, sizeof(NAME(channel_sums)));
        g->sums = scratch_take(s, g->runs * 2 * g->dc, sizeof(double));
        g->counts = scratch_take(s, g->runs, sizeof(int64_t));
    }
}

/* Where a unit lies. */
typedef struct NAME(wino_unit) {
    int64_t block, images, y, x; /* y, x: its first output pixel */
} NAME(wino_unit);

static inline NAME(wino_unit) NAME(wino_unit_at)(const NAME(wino) * g, int64_t unit)
{
    const int64_t block = unit / g->tiles, tile = unit % g->tiles;
    return (NAME(wino_unit)){.block = block,
                             .images = min_i64(g->nb, g->n - block * g->nb),
                             .y = tile / g->tiles_x * g->m,
                             .x = tile % g->tiles_x * g->m};
}

/* ---- the source, into V ---- */

/* `wide` vectors of channels of one image: at[] are its pixels. */
WINO_INLINE void NAME(wino_square_in)(const int m, const STORE *const *at, int64_t off, OPERAND *v,
                                      int64_t plane)
{
    NAME(vec) t[WIDE][WINO_SIDE][WINO_SIDE];
    WINO_UNROLL
    for (int x = 0; x < m + 2; x++) {
        NAME(vec) d[WINO_SIDE][WIDE];
        WINO_UNROLL
        for (int y = 0; y < m + 2; y++)
            NAME(wino_load)(at[y * (m + 2) + x] + off, d[y]);
        WINO_UNROLL
        for (int h = 0; h < WIDE; h++) {
            NAME(vec) in[WINO_SIDE], r[WINO_SIDE];
            WINO_UNROLL
            for (int y = 0; y < m + 2; y++)
                in[y] = d[y][h];
            NAME(wino_line_in)(m, in, r);
            WINO_UNROLL
            for (int y = 0; y < m + 2; y++)
                t[h][y][x] = r[y];
        }
    }
    WINO_UNROLL
    for (int y = 0; y < m + 2; y++) {
        NAME(vec) r[WIDE][WINO_SIDE];
        WINO_UNROLL
        for (int h = 0; h < WIDE; h++)
            NAME(wino_line_in)(m, t[h][y], r[h]);
        WINO_UNROLL
        for (int x = 0; x < m + 2; x++) {
            NAME(vec) d[WIDE];
            WINO_UNROLL
            for (int h = 0; h < WIDE; h++)
                d[h] = r[h][x];
            NAME(wino_keep)(v + (y * (m + 2) + x) * plane, d);
        }
    }
}

/* The last n channels, VL at most. */
WINO_INLINE void NAME(wino_square_tail)(const int m, const STORE *const *at, int64_t off, int64_t n,
                                        OPERAND *v, int64_t plane)
{
    NAME(vec) t[WINO_SIDE][WINO_SIDE], in[WINO_SIDE], r[WINO_SIDE];
    for (int x = 0; x < m + 2; x++) {
        for (int y = 0; y < m + 2; y++)
            in[y] = NAME(wino_load_n)(at[y * (m + 2) + x] + off, n);
        NAME(wino_line_in)(m, in, r);
        for (int y = 0; y < m + 2; y++)
            t[y][x] = r[y];
    }
    for (int y = 0; y < m + 2; y++) {
        NAME(wino_line_in)(m, t[y], r);
        for (int x = 0; x < m + 2; x++)
            NAME(wino_keep_tail)(v + (y * (m + 2) + x) * plane, r[x]);
    }
}

WINO_INLINE void NAME(wino_in)(const int m, const NAME(wino) * g, const NAME(wino_unit) * u,
                               OPERAND *v)
{
    const STORE *at[WINO_SIDE * WINO_SIDE];
    for (int64_t y = 0; y < m + 2; y++)
        for (int64_t x = 0; x < m + 2; x++) {
            const int64_t sy = u->y - g->pad_y + y, sx = u->x - g->pad_x + x;
            const bool inside = sy >= 0 && sy < g->src_h && sx >= 0 && sx < g->src_w;
            const int64_t pixel = (u->block * g->src_h + sy) * g->src_w + sx;
            at[y * (m + 2) + x] = inside ? g->src + pixel * g->nb * g->sc : g->zeros;
        }
    for (int64_t i = 0; i < u->images; i++) {
        int64_t k = 0;
        for (; k + WIDE * VL <= g->sc; k += WIDE * VL)
            NAME(wino_square_in)(m, at, i * g->sc + k, v + i * g->row + k / PER, g->v_plane);
        for (; k < g->sc; k += VL)
            NAME(wino_square_tail)
        (m, at, i * g->sc + k, min_i64(VL, g->sc - k), v + i * g->row + k / PER, g->v_plane);
    }
}

/* ---- the sums, into outputs ---- */

/* What is stored, with its statistics if they are asked for. */
typedef struct NAME(wino_stats) {
    NAME(vec) shift[2], sum[2], squares[2];
} NAME(wino_stats);

WINO_INLINE void NAME(wino_count)(NAME(wino_stats) * t, NAME(vec) s0, NAME(vec) s1)
{
    const NAME(vec) d0 = NAME(wino_sub)(s0, t->shift[0]), d1 = NAME(wino_sub)(s1, t->shift[1]);
    t->sum[0] = NAME(v_add)(t->sum[0], d0);
    t->sum[1] = NAME(v_add)(t->sum[1], d1);
    t->squares[0] = NAME(v_fma)(d0, d0, t->squares[0]);
    t->squares[1] = NAME(v_fma)(d1, d1, t->squares[1]);
}

/* One image of a unit: s, its sums of one panel; to, its first pixel's channels of that panel. */
WINO_INLINE void NAME(wino_square_out)(const int m, const NAME(wino) * g, const REAL *s, STORE *to,
                                       int64_t ny, int64_t nx, int64_t n, NAME(channel_sums) * sums)
{
    NAME(vec) r[2][WINO_OUT][WINO_OUT];
    WINO_UNROLL
    for (int h = 0; h < 2; h++) {
        NAME(vec) t[WINO_OUT][WINO_SIDE];
        WINO_UNROLL
        for (int x = 0; x < m + 2; x++) {
            NAME(vec) in[WINO_SIDE], y[WINO_OUT];
            WINO_UNROLL
            for (int k = 0; k < m + 2; k++)
                in[k] = NAME(v_load)(s + (k * (m + 2) + x) * g->s_plane + h * VL);
            NAME(wino_line_out)(m, in, y);
            WINO_UNROLL
            for (int k = 0; k < m; k++)
                t[k][x] = y[k];
        }
        WINO_UNROLL
        for (int k = 0; k < m; k++)
            NAME(wino_line_out)(m, t[k], r[h][k]);
    }
    for (int64_t y = 0; y < ny; y++)
        for (int64_t x = 0; x < nx; x++)
            NAME(wino_store)
    (to + (y * g->dst_w + x) * g->nb * g->dc, r[0][y][x], r[1][y][x], n);
    if (sums == NULL)
        return;
    if (sums->fresh) {
        NAME(v_store)(sums->shift, r[0][0][0]);
        NAME(v_store)(sums->shift + VL, r[1][0][0]);
        sums->fresh = false;
    }
    NAME(wino_stats) w;
    for (int h = 0; h < 2; h++) {
        w.shift[h] = NAME(v_load)(sums->shift + h * VL);
        w.sum[h] = w.squares[h] = NAME(v_zero)();
    }
    for (int64_t y = 0; y < ny; y++)
        for (int64_t x = 0; x < nx; x++)
            NAME(wino_count)(&w, r[0][y][x], r[1][y][x]);
    for (int h = 0; h < 2; h++) { /* a square's at a time: fewer roundings at the sums' size */
        REAL *const sum = sums->sum + h * VL, *const squares = sums->squares + h * VL;
        NAME(v_store)(sum, NAME(v_add)(NAME(v_load)(sum), w.sum[h]));
        NAME(v_store)(squares, NAME(v_add)(NAME(v_load)(squares), w.squares[h]));
    }
}

/* Returns how many values of a channel it stored. */
WINO_INLINE int64_t NAME(wino_out)(const int m, const NAME(wino) * g, const NAME(wino_unit) * u,
                                   const REAL *s, int64_t j, NAME(channel_sums) * sums)
{
    const int64_t ny = min_i64(m, g->dst_h - u->y), nx = min_i64(m, g->dst_w - u->x);
    const int64_t n = min_i64(NR, g->dc - j * NR);
    const int64_t pixel = (u->block * g->dst_h + u->y) * g->dst_w + u->x;
    STORE *const to = g->dst + pixel * g->nb * g->dc + j * NR;
    for (int64_t i = 0; i < u->images; i++)
        NAME(wino_square_out)(m, g, s + i * NR, to + i * g->dc, ny, nx, n, sums);
    return u->images * ny * nx;
}

/* ---- a group of units ---- */

/* Asks for the outputs of point p's pixel of panel j, rows r0 .. r1, which are stored when all
 * products are there: else the last transform waits for memory. rows: addresses of the rows' first
 * outputs. */
static inline void NAME(wino_ask)(const NAME(wino) * g, const uintptr_t *rows, int64_t j, int64_t p,
                                  int64_t r0, int64_t r1)
{
    const int64_t pixel = p / g->m * g->dst_w + p % g->m;
    const uintptr_t at = (uintptr_t)(pixel * g->nb * g->dc + j * NR) * sizeof(STORE);
    for (int64_t r = r0; r < r1; r++)
        for (uintptr_t line = 0; line < NR * sizeof(STORE); line += 64)
            __builtin_prefetch((const void *)(rows[r] + at + line), 1);
}

/* One panel: all products. Each tile asks for the rows of the next and, with the others of its point, for the next
 * point's slice of the filter: neither V nor the filter stays in L2 beside the other. */
static void NAME(wino_products)(const NAME(wino) * g, const uintptr_t *out_rows, int64_t j,
                                int64_t rows, const OPERAND *v, REAL *s)
{
    const int64_t heights = parts_of(rows, MR), n = min_i64(NR, g->dc - j * NR);
    const int64_t slice = g->steps * NR, size = (int64_t)sizeof(OPERAND);
    const OPERAND *filter = g->filter + j * g->points * g->steps * NR;
    for (int64_t p = 0; p < g->points; p++, filter += slice) {
        const bool last = p + 1 == g->points;
        const OPERAND *const next_point = last ? v : v + (p + 1) * g->v_plane;
        const OPERAND *const next_slice = last && j + 1 == g->panels ? g->filter : filter + slice;
        for (int64_t k = 0; k < heights; k++) {
            const int64_t r0 = part_begin(rows, heights, k), r1 = part_begin(rows, heights, k + 1);
            const OPERAND *const here = v + p * g->v_plane;
            const OPERAND *const next_rows = k + 1 < heights ? here + r1 * g->row : next_point;
            const NAME(seg) seg = {here + r0 * g->row, filter, g->steps};
            const NAME(tile_out)
                out = {.c = s + p * g->s_plane + r0 * NR,
                       .ldc = NR,
                       .n = n,
                       .ahead = {tile_share(next_rows, (r1 - r0) * g->row * size, 0, 1, g->steps),
                                 tile_share(next_slice, slice * size, k, heights, g->steps)}};
            if (p < g->m * g->m)
                NAME(wino_ask)(g, out_rows, j, p, r0, r1);
            NAME(tile)(r1 - r0, &seg, 1, g->row, 1, &out);
        }
    }
}

/* Panels j0 .. j1 of a group. before: values of a channel that the run has had; returns how many it
 * now has. */
WINO_INLINE int64_t NAME(wino_group)(const int m, const NAME(wino) * g, int64_t group, int64_t run,
                                     int64_t j0, int64_t j1, int64_t before, int slot)
{
    const int64_t u0 = part_begin(g->units, g->groups, group);
    const int64_t u1 = part_begin(g->units, g->groups, group + 1);
    OPERAND *const v = g->v + slot * g->points * g->v_plane;
    REAL *const s = g->s + slot * g->points * g->s_plane;
    NAME(channel_sums) *const sums = g->sums != NULL ? g->lane + slot : NULL;
    uintptr_t *const out_rows = g->rows + slot * g->per_group * g->nb;
    int64_t rows = 0;
    for (int64_t i = u0; i < u1; i++) {
        const NAME(wino_unit) u = NAME(wino_unit_at)(g, i);
        const int64_t pixel = (u.block * g->dst_h + u.y) * g->dst_w + u.x;
        NAME(wino_in)(m, g, &u, v + rows * g->row);
        for (int64_t k = 0; k < u.images; k++)
            out_rows[rows++] = (uintptr_t)(g->dst + (pixel * g->nb + k) * g->dc);
    }
    int64_t count = 0;
    for (int64_t j = j0; j < j1; j++) {
        const int64_t n = min_i64(NR, g->dc - j * NR);
        double *const mean = sums != NULL ? g->sums + run * 2 * g->dc + j * NR : NULL;
        if (sums != NULL)
            NAME(channel_sums_begin)(sums, before, n, mean, mean + g->dc);
        NAME(wino_products)(g, out_rows, j, rows, v, s);
        const REAL *at = s;
        count = 0;
        for (int64_t i = u0; i < u1; i++) {
            const NAME(wino_unit) u = NAME(wino_unit_at)(g, i);
            count += NAME(wino_out)(m, g, &u, at, j, sums);
            at += u.images * NR;
        }
        if (sums != NULL)
            NAME(channel_sums_flush)(sums, before, count, n, mean, mean + g->dc);
    }
    return before + count;
}

WINO_INLINE void NAME(wino_groups)(const int m, const NAME(wino) * g, int64_t task, int slot)
{
    const int64_t run = task / g->parts, part = task % g->parts;
    const int64_t end = part_begin(g->groups, g->runs, run + 1);
    const int64_t j0 = part_begin(g->panels, g->parts, part);
    const int64_t j1 = part_begin(g->panels, g->parts, part + 1);
    int64_t count = 0;
    for (int64_t i = part_begin(g->groups, g->runs, run); i < end; i++)
        count = NAME(wino_group)(m, g, i, run, j0, j1, count, slot);
    if (g->sums != NULL && part == 0)
        g->counts[run] = count;
}
#define WINO_TASK(m)                                                                               \
    static void NAME(wino##m##_task)(void *arg, int64_t task, int slot)                            \
    {                                                                                              \
        NAME(wino_groups)(m, arg, task, slot);                                                     \
    }
WINO_TASK(2)
WINO_TASK(3)
WINO_TASK(4)
WINO_TASK(5)
WINO_TASK(6)
#ifdef WIDENS
WINO_TASK(7)
#endif
#undef WINO_TASK

#include "fast_winograd_filter.h"

#define WINO_RUN(m) fwi_pool_for(c->pool, g->runs * g->parts, NAME(wino##m##_task), g)
static fw_status NAME(wino_run)(NAME(wino) * g, const fwi_call *c, bool turned)
{
    NAME(wino_filter)
    f = {.g = g,
         .w = c->in[1].data,
         .ic = c->in[1].shape.d[3],
         .turned = turned,
         .chunks = parts_of(g->sc, WINO_CHUNK)};
    memset(g->zeros, 0, (size_t)(g->nb * g->sc) * sizeof(STORE));
    fwi_pool_for(c->pool, g->panels * f.chunks, NAME(wino_filter_task), &f);
    WINO_WITH_ALL(g->m, WINO_RUN);
    return FW_OK;
}

/* ---- the kernels ---- */
static void NAME(wino_fwd_plan)(NAME(wino) * g, const fwi_call *c, bool stats, scratch_cut *s)
{
    NAME(wino_plan)(g, c, c->attr->conv.pad_t, c->attr->conv.pad_l, stats, s);
}
static void NAME(wino_dx_plan)(NAME(wino) * g, const fwi_call *c, scratch_cut *s)
{
    NAME(wino_plan)(g, c, 2 - c->attr->conv.pad_t, 2 - c->attr->conv.pad_l, false, s);
}

size_t FN(winograd_conv2d_scratch)(const fwi_call *c)
{
    NAME(wino) g;
    scratch_cut s = {0};
    NAME(wino_fwd_plan)(&g, c, false, &s);
    return s.used;
}

fw_status FN(winograd_conv2d)(const fwi_call *c)
{
    NAME(wino) g;
    scratch_cut s = {.base = c->scratch};
    NAME(wino_fwd_plan)(&g, c, false, &s);
    return NAME(wino_run)(&g, c, false);
}

size_t FN(winograd_conv2d_stats_scratch)(const fwi_call *c)
{
    NAME(wino) g;
    scratch_cut s = {0};
    NAME(wino_fwd_plan)(&g, c, true, &s);
    return s.used;
}

fw_status FN(winograd_conv2d_stats)(const fwi_call *c)
{
    NAME(wino) g;
    scratch_cut s = {.base = c->scratch};
    NAME(wino_fwd_plan)(&g, c, true, &s);
    const fw_status st = NAME(wino_run)(&g, c, false);
    NAME(channel_sums_join)(g.counts, g.runs, g.dc, g.sums, c->out[1].data, c->out[2].data);
    return st;
}

size_t FN(winograd_conv2d_dx_scratch)(const fwi_call *c)
{
    NAME(wino) g;
    scratch_cut s = {0};
    NAME(wino_dx_plan)(&g, c, &s);
    return s.used;
}

fw_status FN(winograd_conv2d_dx)(const fwi_call *c)
{
    NAME(wino) g;
    scratch_cut s = {.base = c->scratch};
    NAME(wino_dx_plan)(&g, c, &s);
    return NAME(wino_run)(&g, c, true);
}
#undef WINO_RUN
#undef WINO_WITH_ALL
#undef WIDE
