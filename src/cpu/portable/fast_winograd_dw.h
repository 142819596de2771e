/* fast_winograd_dw.h: the gradient of a 3x3 filter by Winograd's F(2x2,3x3) to F(6x6,3x3),
 * for batch-blocked images. Included once per element type and instruction set, for calls whose
 * attribute asks for the algorithm.
 *
 *   dw = G^T [ sum over tiles and images of (B^T x B) . (A dy A^T) ] G          (. : elementwise)
 *
 * Of tiles of m x m pixels of dy, m 2 to 6, come alpha x alpha numbers, alpha = m + 2, and for each
 * of these the sum is a matrix product, input channels x output channels, over tiles and images:
 * alpha^2 products instead of the 9 m^2 of a direct sum. It costs transforms of both operands
 * (fast_winograd_dw_lines.h), so panels of transformed numbers must not leave the L2 cache: a task
 * takes some rows of tiles at a time ("stretch", about a hundred steps of the sum) and of these one
 * row of the alpha x alpha numbers after the other, so that only alpha panels exist at once; reading
 * its images alpha times instead of once is the cheaper way.
 *
 * A task is a chunk of the rows of tiles, at most 8 chunks fixed by the shape, and a part of the
 * input and of the output channels. It adds each stretch to its own sums, in order; the chunks' sums
 * are added in order at the end, before the last transform. So bits do not depend on threads, and no
 * sum is longer than about a hundred, then the stretches of a chunk, then 8 terms. */
#include "fast_winograd_dw_lines.h"

/* An operand: x, or dy. */
typedef struct NAME(wino_side) {
    const STORE *p;
    int64_t h, w, c;
    int64_t up, left;      /* of tile 0's first pixel: padding above and left */
    int64_t groups, parts; /* of NR channels; shares of tasks in them */
    int64_t most;          /* groups of a share, at most */
    bool is_x;
} NAME(wino_side);

typedef struct NAME(wino_job) {
    NAME(wino_side) x, dy;
    REAL *dw;
    int64_t m, alpha, n, block, blocks;
    int64_t steps;          /* of a block's images at one tile */
    int64_t rows, columns;  /* of tiles in an image */
    int64_t cuts, cut;      /* a row of tiles is cut into pieces of `cut` tiles at most */
    int64_t units, stretch; /* pieces in all; of a stretch */
    int64_t chunks;
    int64_t row_parts; /* 1, or alpha: rows of transformed numbers are tasks of their own */
    int64_t room;      /* steps of a panel */
    REAL *sums;        /* [chunks][alpha^2][dy groups][x groups][NR][NR] */
    int64_t sums_of;   /* elements of a chunk */
    OPERAND *panels;   /* per slot: [x, then dy: alpha][groups of a share][room][NR] */
    int64_t panel_elems;
    REAL *lines; /* per slot: wino_step.line */
    int64_t line_elems;
    REAL *taps; /* per slot: [9][NR][NR] */
} NAME(wino_job);

/* How the sum and the channels are cut. What the order of the sum depends on, chunks and stretches,
 * follows from the shape alone; the shares of tasks may follow from the threads.
 *
 * With few channels a task does all rows of the transformed numbers, and what it reads and writes
 * stays in L2. With many, products are so much of the work that panels may go through L3; there
 * each row is a task of its own, which has all channels, so that none is transformed twice. */
static void NAME(wino_cut)(NAME(wino_job) * g, int64_t threads)
{
    const bool deep = g->x.c + g->dy.c >= 384;
    const int64_t x_most = deep ? 512 : 128, most = deep ? 1024 : 320; /* channels of a task */
    /* an L2 of 512 KiB is common without AVX-512, of 1 MiB with it; what goes through L3 waits */
    const int64_t deep_kib = VL * (int64_t)sizeof(REAL) < 64 ? 700 : 1400;
    const int64_t panel_bytes = (deep ? deep_kib : 512) * 1024;
    const int64_t sums_bytes = 20 << 20; /* of all chunks */
    g->x.parts = parts_of(g->x.groups, max_i64(1, x_most / NR));
    g->x.most = parts_of(g->x.groups, g->x.parts);
    g->dy.parts = parts_of(g->dy.groups, max_i64(1, most / NR - g->x.most));
    g->dy.most = parts_of(g->dy.groups, g->dy.parts);

    const int64_t step_bytes = g->alpha * (g->x.most + g->dy.most) * NR * (int64_t)sizeof(OPERAND);
    const int64_t want = min_i64(128, max_i64(64, panel_bytes / step_bytes)); /* of a stretch */
    g->cuts = parts_of(g->columns * g->steps, want + want / 2);
    g->cut = parts_of(g->columns, g->cuts);
    g->cuts = parts_of(g->columns, g->cut);
    g->units = g->blocks * g->rows * g->cuts;
    g->sums_of = g->alpha * g->alpha * g->dy.groups * g->x.groups * NR * NR;
    g->chunks = 8;
    while (g->chunks > 1 && g->chunks * g->sums_of * (int64_t)sizeof(REAL) > sums_bytes)
        g->chunks /= 2;
    g->chunks = min_i64(g->chunks, g->units);
    const int64_t unit_steps = g->cut * g->steps, per_chunk = parts_of(g->units, g->chunks);
    const int64_t near = max_i64(1, (want + unit_steps / 2) / unit_steps);
    g->stretch = parts_of(per_chunk, max_i64(1, (per_chunk + near / 2) / near));
    g->room = g->stretch * unit_steps;

    g->row_parts = deep ? g->alpha : 1;
    while (g->chunks * g->row_parts * g->x.parts * g->dy.parts < 2 * threads &&
           g->dy.parts < g->dy.groups) {
        g->dy.parts = min_i64(2 * g->dy.parts, g->dy.groups);
        g->dy.most = parts_of(g->dy.groups, g->dy.parts);
    }
}

static void NAME(wino_plan)(NAME(wino_job) * g, const fwi_call *c, scratch_cut *s)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    const fwi_shape *const x = &c->in[0].shape, *const dy = &c->in[1].shape;
    const int64_t m = winograd_side(c), alpha = m + 2, slots = call_slots(c);
    *g = (NAME(wino_job)){
        .m = m,
        .alpha = alpha,
        .n = x->d[0],
        .block = block_of(&c->in[0]),
        .x = {.p = c->in[0].data,
              .h = x->d[1],
              .w = x->d[2],
              .c = x->d[3],
              .up = a->pad_t,
              .left = a->pad_l,
              .is_x = true},
        .dy = {.p = c->in[1].data, .h = dy->d[1], .w = dy->d[2], .c = dy->d[3]},
        .dw = c->out[0].data,
    };
    g->blocks = parts_of(g->n, g->block);
    g->steps = parts_of(g->block, PER);
    g->rows = parts_of(g->dy.h, m);
    g->columns = parts_of(g->dy.w, m);
    g->x.groups = parts_of(g->x.c, NR);
    g->dy.groups = parts_of(g->dy.c, NR);
    NAME(wino_cut)(g, fwi_pool_threads(c->pool));

    g->sums = scratch_take(s, g->chunks * g->sums_of, sizeof(REAL));
    g->panel_elems = alpha * (g->x.most + g->dy.most) * g->room * NR;
    g->panels = scratch_take(s, slots * g->panel_elems, sizeof(OPERAND));
    g->line_elems = (g->cut * m + 2) * PER * NR;
    g->lines = scratch_take(s, slots * g->line_elems, sizeof(REAL));
    g->taps = scratch_take(s, slots * 9 * NR * NR, sizeof(REAL));
}

/* ---- transforms ---- */
typedef struct NAME(wino_unit) {
    int64_t block, row; /* of images, of tiles */
    int64_t t0, tiles;  /* of the row */
} NAME(wino_unit);

static NAME(wino_unit) NAME(wino_unit_at)(const NAME(wino_job) * g, int64_t unit)
{
    const int64_t line = unit / g->cuts, t0 = unit % g->cuts * g->cut;
    return (NAME(wino_unit)){.block = line / g->rows,
                             .row = line % g->rows,
                             .t0 = t0,
                             .tiles = min_i64(g->cut, g->columns - t0)};
}

/* The lines of images i and (PER 2) i + 1 of the block under the unit, from column x0 and channel c0
 * on. */
static void NAME(wino_set_lines)(const NAME(wino_job) * g, const NAME(wino_side) * s,
                                 const NAME(wino_unit) * u, int64_t image, int64_t x0, int64_t c0,
                                 NAME(wino_lines) * out)
{
    static const STORE zeros[NR] = {0};
    const int64_t lines = s->is_x ? g->alpha : g->m;
    const int64_t images = min_i64(g->block, g->n - u->block * g->block);
    for (int64_t i = 0; i < PER; i++)
        for (int64_t k = 0; k < lines; k++) {
            const int64_t y = u->row * g->m - s->up + k;
            const bool there = y >= 0 && y < s->h && image + i < images;
            const int64_t pixel = (u->block * s->h + y) * s->w + x0;
            out->at[i][k] = there ? s->p + (pixel * g->block + image + i) * s->c + c0 : zeros;
            out->next[i][k] = there ? g->block * s->c : 0;
            out->group[i][k] = there ? NR : 0;
        }
}

/* Transformed numbers of `row` of the unit, into the panels from step `at` on. */
static void NAME(wino_transform)(const NAME(wino_job) * g, const NAME(wino_side) * s,
                                 const NAME(wino_unit) * u, int64_t row, int64_t j0, int64_t j1,
                                 OPERAND *panels, int64_t at, REAL *line)
{
    const NAME(wino_row_fn) fn = NAME(wino_row_of)(g->m, s->is_x, row);
    const int64_t first = u->t0 * g->m - s->left, x0 = max_i64(first, 0);
    NAME(wino_step)
    step = {.n = min_i64(j1 * NR, s->c) - j0 * NR,
            .columns = u->tiles * g->m + (s->is_x ? 2 : 0),
            .tiles = u->tiles,
            .line = line,
            .to_panel = s->most * g->room * NR,
            .to_tile = g->steps * NR,
            .to_group = g->room * NR};
    step.before = min_i64(x0 - first, step.columns);
    step.count = max_i64(0, min_i64(s->w - x0, step.columns - step.before));
    for (int64_t k = 0; k < g->steps; k++) {
        NAME(wino_set_lines)(g, s, u, k * PER, x0, j0 * NR, &step.lines);
        step.out = panels + (at + k) * NR;
        fn(&step);
    }
}

/* ---- the images' way into the cache ---- while a stretch is multiplied, what is transformed next
 * is asked for: its lines, as runs of a task's channels. */
typedef struct NAME(wino_ahead) {
    const char *at, *end;     /* of the run at hand */
    const char *line, *pixel; /* the line it is of; the run after it */
    size_t run, to_pixel, to_line;
    int64_t runs, left, lines; /* of a line, left of this one; lines left after it */
} NAME(wino_ahead);

static NAME(wino_ahead) NAME(wino_ahead_of)(const NAME(wino_job) * g, const NAME(wino_side) * s,
                                            int64_t u0, int64_t u1, int64_t j0, int64_t j1)
{
    const NAME(wino_unit) a = NAME(wino_unit_at)(g, u0), b = NAME(wino_unit_at)(g, u1 - 1);
    const int64_t y0 = max_i64(a.row * g->m - s->up, 0);
    const int64_t y1 = min_i64(b.row * g->m - s->up + (s->is_x ? g->alpha : g->m), s->h);
    const int64_t first = a.block * s->h + min_i64(y0, s->h - 1);
    const int64_t x0 = min_i64(max_i64(a.t0 * g->m - s->left, 0), s->w - 1);
    const int64_t x1 = g->cuts == 1 ? s->w : min_i64(s->w, x0 + g->cut * g->m + 2);
    const int64_t c0 = j0 * NR, n = min_i64(j1 * NR, s->c) - c0;
    const bool all = n == s->c;
    NAME(wino_ahead)
    t = {.line = (const char *)(s->p + (first * s->w + x0) * g->block * s->c + c0),
         .run = (size_t)(all ? (x1 - x0) * g->block * n : n) * sizeof(STORE),
         .to_pixel = (size_t)s->c * sizeof(STORE),
         .to_line = (size_t)(s->w * g->block * s->c) * sizeof(STORE),
         .runs = all ? 1 : (x1 - x0) * g->block,
         .lines = max_i64(0, b.block * s->h + y1 - first)};
    return t;
}

static inline void NAME(wino_look_ahead)(NAME(wino_ahead) * a, int64_t count)
{
    for (; count > 0; count--, a->at += 64) {
        if (a->at >= a->end) {
            if (a->left == 0) {
                if (a->lines == 0)
                    return;
                a->lines--;
                a->left = a->runs;
                a->pixel = a->line;
                a->line += a->to_line;
            }
            a->left--;
            a->at = a->pixel;
            a->end = a->at + a->run;
            a->pixel += a->to_pixel;
        }
        __builtin_prefetch(a->at, 0, 2);
    }
}

static inline int64_t NAME(wino_ahead_lines)(const NAME(wino_ahead) * a)
{
    return a->lines * a->runs * (int64_t)(a->run / 64 + 1);
}

/* ---- products ---- */
typedef struct NAME(wino_part) { /* of the channels: a task's groups */
    int64_t i0, i1;              /* of x */
    int64_t j0, j1;              /* of dy */
} NAME(wino_part);

/* Adds the products of a row's panels to the sums. k_len: steps that they hold. */
static void NAME(wino_multiply)(const NAME(wino_job) * g, const NAME(wino_part) * p,
                                const OPERAND *xs, const OPERAND *dys, int64_t k_len, REAL *sums,
                                bool add, NAME(wino_ahead) ahead[2])
{
    const int64_t calls = g->alpha * (p->j1 - p->j0) * (p->i1 - p->i0) * parts_of(NR, MR);
    int64_t want[2];
    for (int k = 0; k < 2; k++)
        want[k] = parts_of(NAME(wino_ahead_lines)(&ahead[k]), calls);
    for (int64_t xi = 0; xi < g->alpha; xi++)
        for (int64_t j = p->j0; j < p->j1; j++)
            for (int64_t i = p->i0; i < p->i1; i++) {
                const OPERAND *const a = xs + (xi * g->x.most + i - p->i0) * g->room * NR;
                const OPERAND *const b = dys + (xi * g->dy.most + j - p->j0) * g->room * NR;
                REAL *const c =
                    sums + ((xi * g->dy.groups + j) * g->x.groups + i) * (int64_t)(NR * NR);
                const int64_t rows = PER == 1 ? min_i64(NR, g->x.c - i * NR) : NR;
                const int64_t tiles = parts_of(rows, MR);
                for (int64_t t = 0; t < tiles; t++) {
                    const int64_t r0 = part_begin(rows, tiles, t);
                    const NAME(seg) seg = {a + r0, b, k_len};
                    const NAME(tile_out) out = {.c = c + r0 * NR, .ldc = NR, .n = NR, .add = add};
                    NAME(wino_look_ahead)(&ahead[0], want[0]);
                    NAME(wino_look_ahead)(&ahead[1], want[1]);
                    NAME(tile)(part_begin(rows, tiles, t + 1) - r0, &seg, 1, 1, NR, &out);
                }
            }
}

static void NAME(wino_task)(void *arg, int64_t task, int slot)
{
    const NAME(wino_job) *const g = arg;
    const int64_t xp = task % g->x.parts, rest = task / g->x.parts;
    const int64_t dyp = rest % g->dy.parts, row_part = rest / g->dy.parts % g->row_parts;
    const int64_t chunk = rest / g->dy.parts / g->row_parts;
    const int64_t row0 = part_begin(g->alpha, g->row_parts, row_part);
    const int64_t row1 = part_begin(g->alpha, g->row_parts, row_part + 1);
    const int64_t end = part_begin(g->units, g->chunks, chunk + 1);
    const NAME(wino_part) p = {.i0 = part_begin(g->x.groups, g->x.parts, xp),
                               .i1 = part_begin(g->x.groups, g->x.parts, xp + 1),
                               .j0 = part_begin(g->dy.groups, g->dy.parts, dyp),
                               .j1 = part_begin(g->dy.groups, g->dy.parts, dyp + 1)};
    OPERAND *const xs = g->panels + slot * g->panel_elems;
    OPERAND *const dys = xs + g->alpha * g->x.most * g->room * NR;
    REAL *const line = g->lines + slot * g->line_elems;
    bool add = false;
    for (int64_t u0 = part_begin(g->units, g->chunks, chunk), u1; u0 < end; u0 = u1, add = true) {
        u1 = min_i64(u0 + g->stretch, end);
        for (int64_t row = row0; row < row1; row++) {
            int64_t k_len = 0;
            for (int64_t u = u0; u < u1; u++) {
                const NAME(wino_unit) unit = NAME(wino_unit_at)(g, u);
                NAME(wino_transform)(g, &g->x, &unit, row, p.i0, p.i1, xs, k_len, line);
                NAME(wino_transform)(g, &g->dy, &unit, row, p.j0, p.j1, dys, k_len, line);
                k_len += unit.tiles * g->steps;
            }
            NAME(wino_ahead) ahead[2] = {{.lines = 0}, {.lines = 0}};
            if (row + 1 == row1 && u1 < end) { /* else it is in L2 already */
                const int64_t n1 = min_i64(u1 + g->stretch, end);
                ahead[0] = NAME(wino_ahead_of)(g, &g->x, u1, n1, p.i0, p.i1);
                ahead[1] = NAME(wino_ahead_of)(g, &g->dy, u1, n1, p.j0, p.j1);
            }
            REAL *const sums = g->sums + chunk * g->sums_of +
                               row * g->alpha * g->dy.groups * g->x.groups * NR * NR;
            NAME(wino_multiply)(g, &p, xs, dys, k_len, sums, add, ahead);
        }
    }
}

/* ---- the last transform ---- */

/* VL output channels of one input channel: the sums at `from` of all chunks, in order, become 9
 * taps. */
WINO_INLINE void NAME(wino_taps)(const NAME(wino_job) * g, const int m, const REAL *from, REAL *to)
{
    const int64_t to_xi = g->dy.groups * g->x.groups * NR * NR;
    NAME(vec) t[3][WINO_SIDE];
    WINO_UNROLL
    for (int x = 0; x < m + 2; x++) {
        NAME(vec) u[WINO_SIDE];
        WINO_UNROLL
        for (int y = 0; y < m + 2; y++) {
            const REAL *const p = from + (y * (m + 2) + x) * to_xi;
            u[y] = NAME(v_load)(p);
            __builtin_prefetch(p + 8 * VL); /* more streams than a processor follows by itself */
            for (int64_t k = 1; k < g->chunks; k++)
                u[y] = u[y] + NAME(v_load)(p + k * g->sums_of);
        }
        for (int y = 0; y < 3; y++)
            t[y][x] = NAME(wino_tap)(m, y, u);
    }
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 3; x++, to += NR * NR)
            NAME(v_store)(to, NAME(wino_tap)(m, x, t[y]));
}

#define WINO_TAPS(m) NAME(wino_taps)(g, m, from + k, taps + k)
/* A group of output and one of input channels. */
static void NAME(wino_taps_task)(void *arg, int64_t task, int slot)
{
    const NAME(wino_job) *const g = arg;
    const int64_t j = task / g->x.groups, i = task % g->x.groups;
    const int64_t c0 = i * NR, cs = min_i64(NR, g->x.c - c0);
    const int64_t o0 = j * NR, os = min_i64(NR, g->dy.c - o0);
    const REAL *const from = g->sums + task * NR * NR;
    REAL *const taps = g->taps + (int64_t)slot * 9 * NR * NR;
    const int64_t rows = PER == 1 ? cs : NR;
    for (int64_t k = 0; k < rows * NR; k += VL)
        WINO_WITH(g->m, WINO_TAPS);
    for (int64_t o = 0; o < os; o++)
        for (int64_t tap = 0; tap < 9; tap++) {
            const REAL *const t = taps + tap * NR * NR + NAME(wino_place)(o);
            REAL *const dw = g->dw + ((o0 + o) * 9 + tap) * g->x.c + c0;
            for (int64_t k = 0; k < cs; k++)
                dw[k] = t[NAME(wino_place)(k) * NR];
        }
}

#undef WINO_TAPS

size_t FN(winograd_conv2d_dw_scratch)(const fwi_call *c)
{
    NAME(wino_job) g;
    scratch_cut s = {0};
    NAME(wino_plan)(&g, c, &s);
    return s.used;
}

fw_status FN(winograd_conv2d_dw)(const fwi_call *c)
{
    NAME(wino_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(wino_plan)(&g, c, &s);
    fwi_pool_for(c->pool, g.chunks * g.row_parts * g.x.parts * g.dy.parts, NAME(wino_task), &g);
    fwi_pool_for(c->pool, g.dy.groups * g.x.groups, NAME(wino_taps_task), &g);
    return FW_OK;
}
