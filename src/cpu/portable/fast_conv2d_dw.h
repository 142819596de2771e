/* fast_conv2d_dw.h: the gradient of a convolution's filter, on the register tile of fast_gemm.h.
 * Included once per element type and instruction set.
 *
 * A matrix product for each tap: x (input channels, the tile's rows) against dy (output channels,
 * its columns), summed over images and pixels. A task walks over its images in groups and strips of
 * lines, packs both operands so that the sum runs along memory, [channels/tile][line][w][images]
 * [tile], and adds each strip's product to its own partial result. The images are cut into a number
 * of chunks that depends on shapes alone; the chunks' partial results are added in order at the
 * end, and that is also what keeps the rounding error of half a million terms small.
 *
 * Batch-blocked images differ in where a pixel lies alone (dw_pixel). Images stored as bf16: a step
 * of the sum is a pair of images at one pixel, an odd one's partner is zero (PER 2, OPERAND a pair);
 * a room with such a tile defines these and NAME(tile) before it includes this file. */
#ifndef PER
#define PER     1
#define OPERAND REAL
#include "fast_gemm.h"
#include "fast_store.h"
#endif

typedef struct NAME(dw_job) {
    conv_axis y, x; /* of the forward pass: source x, destination dy */
    int64_t n, c, oc, taps;
    int64_t block; /* images that lie together; 1: n h w c */
    const STORE *xp, *dyp;
    REAL *dw;
    int64_t chunks, groups;    /* tasks = chunks * groups of panels */
    int64_t panels, per_group; /* panels of NR output channels */
    int64_t c_tiles;           /* tiles of at most MR input channels */
    int64_t nb, strip, ring;   /* images per group, lines of dy per strip, lines of x held */
    REAL *part;                /* [chunks][panels][taps][c][NR] */
    int64_t part_elems;
    int64_t *ys;      /* [oh * kh]: source lines */
    int64_t *x_range; /* [kw][2]: the pixels of a line whose tap lies inside the image */
    int64_t steps;    /* of a group at one pixel: nb / PER, rounded up */
    OPERAND *x_rings; /* per slot: [c tiles][ring][w][steps][tile] */
    int64_t x_elems;
    OPERAND *dy_strips; /* per slot: [per_group][strip][ow][steps][NR] */
    int64_t dy_elems, dy_panel;
    NAME(seg) * segs; /* per slot: [strip * ow] */
} NAME(dw_job);

static void NAME(dw_plan)(NAME(dw_job) * g, const fwi_call *c, scratch_cut *s)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    const fwi_shape *const x = &c->in[0].shape, *const dy = &c->in[1].shape;
    const fwi_shape *const w = &c->out[0].shape;
    const int64_t k_want = 256; /* steps per tile: its B panel of 32 KiB stays in L1 */
    *g = (NAME(dw_job)){.y = conv_axis_fwd(x->d[1], dy->d[1], w->d[1], a->stride, a->pad_t),
                        .x = conv_axis_fwd(x->d[2], dy->d[2], w->d[2], a->stride, a->pad_l),
                        .n = x->d[0],
                        .c = x->d[3],
                        .oc = dy->d[3],
                        .taps = w->d[1] * w->d[2],
                        .block = block_of(&c->in[0]),
                        .xp = c->in[0].data,
                        .dyp = c->in[1].data,
                        .dw = c->out[0].data};
    const int64_t slots = call_slots(c);
    g->panels = parts_of(g->oc, NR);
    g->part_elems = g->panels * g->taps * g->c * NR;
    const int64_t part_bytes = g->part_elems * (int64_t)sizeof(REAL);
    g->chunks = part_bytes <= 2 << 20 ? 16 : part_bytes <= 16 << 20 ? 4 : 2;
    g->chunks = min_i64(g->chunks, parts_of(g->n, g->block));
    g->groups = min_i64(parts_of(16, g->chunks), g->panels);
    g->per_group = parts_of(g->panels, g->groups);
    g->groups = parts_of(g->panels, g->per_group);
    g->c_tiles = parts_of(g->c, MR);
    if (g->block == 1) {
        g->nb = max_i64(1, min_i64(16, k_want / g->x.n_dst));
        g->nb = min_i64(g->nb, parts_of(g->n, g->chunks));
    } else /* whole blocks, so many that an image's few pixels make a sum worth packing for */
        g->nb = g->block * min_i64(4, parts_of(k_want * PER, dy->d[1] * dy->d[2] * g->block));
    g->steps = parts_of(g->nb, PER);
    g->strip = max_i64(1, min_i64(g->y.n_dst, k_want / (g->steps * g->x.n_dst)));
    g->ring = conv_axis_span(&g->y, g->strip);
    g->part = scratch_take(s, g->chunks * g->part_elems, sizeof(REAL));
    g->ys = scratch_take(s, g->y.n_dst * g->y.taps, sizeof(int64_t));
    g->x_range = scratch_take(s, 2 * g->x.taps, sizeof(int64_t));
    g->x_elems = g->ring * g->x.n_src * g->steps * g->c;
    g->x_rings = scratch_take(s, slots * g->x_elems, sizeof(OPERAND));
    g->dy_panel = g->strip * g->x.n_dst * g->steps * NR;
    g->dy_elems = g->per_group * g->dy_panel;
    g->dy_strips = scratch_take(s, slots * g->dy_elems, sizeof(OPERAND));
    g->segs = scratch_take(s, slots * g->strip * g->x.n_dst, sizeof(NAME(seg)));
}

/* The number of a pixel in memory; `place` of `places` in its image. */
static inline int64_t NAME(dw_pixel)(const NAME(dw_job) * g, int64_t image, int64_t place,
                                     int64_t places)
{
    return (image / g->block * places + place) * g->block + image % g->block;
}

/* n channels of step `at` of a group: of one image, or of two side by side. last: of the group. */
static inline void NAME(dw_step)(OPERAND *dst, const STORE *src, const STORE *second, int64_t n)
{
#if PER == 1
    (void)second;
    NAME(copy)(dst, src, n);
#else
    NAME(copy_pairs)(dst, src, second, n);
#endif
}

/* Line sy of images i0 .. i0+nb, cut into tiles of channels. */
static void NAME(dw_pack_x)(const NAME(dw_job) * g, OPERAND *ring, int64_t i0, int64_t nb,
                            int64_t sy)
{
    const int64_t w = g->x.n_src, c = g->c, slot = sy % g->ring, steps = parts_of(nb, PER);
    const int64_t places = g->y.n_src * w, next = g->block * c;
    for (int64_t i = 0; i < nb; i += PER) {
        const STORE *const src = g->xp + NAME(dw_pixel)(g, i0 + i, sy * w, places) * c;
        const STORE *const second =
            i + 1 < nb ? g->xp + NAME(dw_pixel)(g, i0 + i + 1, sy * w, places) * c : NULL;
        for (int64_t t = 0; t < g->c_tiles; t++) {
            const int64_t c0 = part_begin(c, g->c_tiles, t);
            const int64_t m = part_begin(c, g->c_tiles, t + 1) - c0;
            OPERAND *const dst =
                ring + c0 * g->ring * w * g->steps + (slot * w * steps + i / PER) * m;
            for (int64_t x = 0; x < w; x++)
                NAME(dw_step)
            (dst + x * steps * m, src + x * next + c0,
             second == NULL ? NULL : second + x * next + c0, m);
        }
    }
}

/* Line y of dy, for the panels j0 .. j1, as line r of the strip. */
static void NAME(dw_pack_dy)(const NAME(dw_job) * g, OPERAND *strip, int64_t i0, int64_t nb,
                             int64_t y, int64_t r, int64_t j0, int64_t j1)
{
    const int64_t ow = g->x.n_dst, oc = g->oc, steps = parts_of(nb, PER);
    const int64_t places = g->y.n_dst * ow, next = g->block * oc;
    for (int64_t i = 0; i < nb; i += PER) {
        const STORE *const src = g->dyp + NAME(dw_pixel)(g, i0 + i, y * ow, places) * oc;
        const STORE *const second =
            i + 1 < nb ? g->dyp + NAME(dw_pixel)(g, i0 + i + 1, y * ow, places) * oc : NULL;
        for (int64_t j = j0; j < j1; j++) {
            const int64_t n = min_i64(NR, oc - j * NR);
            OPERAND *const dst = strip + (j - j0) * g->dy_panel + (r * ow * steps + i / PER) * NR;
            for (int64_t x = 0; x < ow; x++) {
                OPERAND *const d = dst + x * steps * NR;
                NAME(dw_step)
                (d, src + x * next + j * NR, second == NULL ? NULL : second + x * next + j * NR, n);
                for (int64_t k = n; k < NR; k++)
                    d[k] = 0;
            }
        }
    }
}

/* Runs of pixels of the strip's lines y0 .. y1 for which tap (ky, kx) lies inside the image. a and
 * b point at the operands' first line. */
static int64_t NAME(dw_segs)(const NAME(dw_job) * g, const OPERAND *a, const OPERAND *b, int64_t m,
                             int64_t steps, int64_t y0, int64_t y1, int64_t ky, int64_t kx,
                             NAME(seg) * seg)
{
    const int64_t ow = g->x.n_dst, w = g->x.n_src;
    const int64_t x0 = g->x_range[2 * kx], x1 = g->x_range[2 * kx + 1];
    const int64_t run = g->x.mul == 1 ? x1 - x0 : 1; /* pixels over which x moves in step with dy */
    int64_t count = 0;
    for (int64_t y = y0; y < y1; y++) {
        const int64_t sy = g->ys[y * g->y.taps + ky];
        if (sy < 0)
            continue;
        const OPERAND *const al = a + sy % g->ring * w * steps * m;
        const OPERAND *const bl = b + (y - y0) * ow * steps * NR;
        for (int64_t x = x0; x < x1; x += run) {
            const int64_t sx = x * g->x.mul + g->x.off + kx;
            seg[count++] = (NAME(seg)){al + sx * steps * m, bl + x * steps * NR, run * steps};
        }
    }
    return count;
}

/* ---- the way of a task: groups of images, and within each strips of lines ---- */
typedef struct NAME(dw_strip) {
    int64_t i0, nb; /* images */
    int64_t y0, y1; /* lines of dy */
    int64_t s0, s1; /* lines of x that the ring does not hold yet */
} NAME(dw_strip);

/* The strip of lines from y0 of the images from i0; done: lines of x before this one are packed. */
static NAME(dw_strip)
    NAME(dw_strip_at)(const NAME(dw_job) * g, int64_t i0, int64_t n1, int64_t y0, int64_t done)
{
    NAME(dw_strip)
    t = {.i0 = i0, .nb = min_i64(g->nb, n1 - i0), .y0 = y0, .s0 = g->y.n_src};
    t.y1 = min_i64(y0 + g->strip, g->y.n_dst);
    for (int64_t k = t.y0 * g->y.taps; k < t.y1 * g->y.taps; k++)
        if (g->ys[k] >= 0) {
            t.s0 = min_i64(t.s0, g->ys[k]);
            t.s1 = max_i64(t.s1, g->ys[k] + 1);
        }
    if (t.s1 <= done) /* a strip may lie in the padding as a whole */
        t.s0 = t.s1 = done;
    t.s0 = max_i64(t.s0, done);
    return t;
}

/* Brings the next strip's part of x and dy into L2 while this one is computed: else packing waits
 * for memory, a tenth of the time. `pieces` are runs of memory, first of x, then of dy. */
typedef struct NAME(dw_ahead) {
    NAME(dw_strip) t;
    int64_t piece, pieces;
    const char *at, *end;
    int64_t per_tile; /* cache lines to ask for before each tile */
} NAME(dw_ahead);

static void NAME(dw_ahead_next)(const NAME(dw_job) * g, NAME(dw_ahead) * a, int64_t j0, int64_t j1)
{
    const NAME(dw_strip) *const t = &a->t;
    const int64_t x_lines = t->s1 - t->s0, i = a->piece++;
    if (i < t->nb * x_lines) {                     /* a line of x */
        const int64_t image = t->i0 + i / x_lines; /* in a block: as much of its images' line */
        const int64_t line = image / g->block * g->y.n_src + t->s0 + i % x_lines;
        a->at = (const char *)(g->xp + (line * g->block + image % g->block) * g->x.n_src * g->c);
        a->end = a->at + (size_t)(g->x.n_src * g->c) * sizeof(STORE);
    } else { /* this task's channels of a pixel of dy */
        const int64_t per_image = (t->y1 - t->y0) * g->x.n_dst, k = i - t->nb * x_lines;
        const int64_t place = t->y0 * g->x.n_dst + k % per_image;
        const int64_t pixel =
            NAME(dw_pixel)(g, t->i0 + k / per_image, place, g->y.n_dst * g->x.n_dst);
        const int64_t n = min_i64(j1 * NR, g->oc) - j0 * NR;
        a->at = (const char *)(g->dyp + pixel * g->oc + j0 * NR);
        a->end = a->at + (size_t)n * sizeof(STORE);
    }
}

static NAME(dw_ahead)
    NAME(dw_ahead_of)(const NAME(dw_job) * g, const NAME(dw_strip) * t, int64_t panels)
{
    NAME(dw_ahead) a = {.t = *t};
    const int64_t x_pieces = t->nb * (t->s1 - t->s0);
    const int64_t pixels = t->nb * (t->y1 - t->y0) * g->x.n_dst;
    const int64_t elems = x_pieces * g->x.n_src * g->c + pixels * panels * NR;
    a.pieces = x_pieces + pixels;
    a.per_tile = parts_of(elems * (int64_t)sizeof(STORE), 64 * panels * g->taps * g->c_tiles);
    return a;
}

static inline void NAME(dw_look_ahead)(const NAME(dw_job) * g, NAME(dw_ahead) * a, int64_t j0,
                                       int64_t j1)
{
    for (int64_t n = a->per_tile; n > 0; n--, a->at += 64) {
        if (a->at >= a->end) {
            if (a->piece >= a->pieces)
                return;
            NAME(dw_ahead_next)(g, a, j0, j1);
        }
        __builtin_prefetch(a->at, 0, 2);
    }
}

static void NAME(dw_task)(void *arg, int64_t task, int slot)
{
    const NAME(dw_job) *const g = arg;
    const int64_t chunk = task / g->groups, group = task % g->groups;
    const int64_t blocks = parts_of(g->n, g->block);
    const int64_t n0 = part_begin(blocks, g->chunks, chunk) * g->block;
    const int64_t n1 = min_i64(part_begin(blocks, g->chunks, chunk + 1) * g->block, g->n);
    const int64_t j0 = group * g->per_group, j1 = min_i64(j0 + g->per_group, g->panels);
    OPERAND *const ring = g->x_rings + slot * g->x_elems;
    OPERAND *const strip = g->dy_strips + slot * g->dy_elems;
    NAME(seg) *const seg = g->segs + slot * g->strip * g->x.n_dst;
    REAL *const part = g->part + chunk * g->part_elems;
    NAME(dw_strip) t = NAME(dw_strip_at)(g, n0, n1, 0, 0);
    for (bool first = true; t.i0 < n1; first = false) {
        for (int64_t sy = t.s0; sy < t.s1; sy++)
            NAME(dw_pack_x)(g, ring, t.i0, t.nb, sy);
        for (int64_t y = t.y0; y < t.y1; y++)
            NAME(dw_pack_dy)(g, strip, t.i0, t.nb, y, y - t.y0, j0, j1);
        const bool down = t.y1 < g->y.n_dst; /* else to the next images */
        const NAME(dw_strip) next =
            NAME(dw_strip_at)(g, down ? t.i0 : t.i0 + t.nb, n1, down ? t.y1 : 0, down ? t.s1 : 0);
        NAME(dw_ahead) ahead = {.pieces = 0};
        if (next.i0 < n1)
            ahead = NAME(dw_ahead_of)(g, &next, j1 - j0);
        for (int64_t j = j0; j < j1; j++)
            for (int64_t tap = 0; tap < g->taps; tap++)
                for (int64_t k = 0; k < g->c_tiles; k++) {
                    const int64_t c0 = part_begin(g->c, g->c_tiles, k);
                    const int64_t m = part_begin(g->c, g->c_tiles, k + 1) - c0;
                    const int64_t n_seg =
                        NAME(dw_segs)(g, ring + c0 * g->ring * g->x.n_src * g->steps,
                                      strip + (j - j0) * g->dy_panel, m, parts_of(t.nb, PER), t.y0,
                                      t.y1, tap / g->x.taps, tap % g->x.taps, seg);
                    const NAME(tile_out) out = {.c = part + ((j * g->taps + tap) * g->c + c0) * NR,
                                                .ldc = NR,
                                                .n = NR,
                                                .add = !first};
                    NAME(dw_look_ahead)(g, &ahead, j0, j1);
                    NAME(tile)(m, seg, n_seg, 1, m, &out);
                }
        t = next;
    }
}

/* Adds the chunks' results for one panel and tap, in order, and turns [c][NR] into [oc][tap][c]. */
static void NAME(dw_sum_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(dw_job) *const g = arg;
    const int64_t j = task / g->taps, tap = task % g->taps, n = min_i64(NR, g->oc - j * NR);
    const REAL *const part = g->part + task * g->c * NR;
    REAL *const dw = g->dw + (j * NR * g->taps + tap) * g->c;
    REAL sum[VL][NR];
    for (int64_t c0 = 0; c0 < g->c; c0 += VL) {
        const int64_t m = min_i64(VL, g->c - c0);
        for (int64_t i = 0; i < m; i++) {
            const REAL *p = part + (c0 + i) * NR;
            NAME(vec) s0 = NAME(v_load)(p), s1 = NAME(v_load)(p + VL);
            for (int64_t k = 1; k < g->chunks; k++) {
                p += g->part_elems;
                s0 = NAME(v_add)(s0, NAME(v_load)(p));
                s1 = NAME(v_add)(s1, NAME(v_load)(p + VL));
            }
            NAME(v_store)(sum[i], s0);
            NAME(v_store)(sum[i] + VL, s1);
        }
        for (int64_t k = 0; k < n; k++)
            for (int64_t i = 0; i < m; i++)
                dw[k * g->taps * g->c + c0 + i] = sum[i][k];
    }
}

size_t FN(conv2d_dw_scratch)(const fwi_call *c)
{
    NAME(dw_job) g;
    scratch_cut s = {0};
    NAME(dw_plan)(&g, c, &s);
    return s.used;
}

fw_status FN(conv2d_dw)(const fwi_call *c)
{
    NAME(dw_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(dw_plan)(&g, c, &s);
    conv_axis_fill(&g.y, g.ys);
    for (int64_t k = 0; k < g.x.taps; k++)
        conv_axis_range(&g.x, k, &g.x_range[2 * k]);
    fwi_pool_for(c->pool, g.chunks * g.groups, NAME(dw_task), &g);
    fwi_pool_for(c->pool, g.panels * g.taps, NAME(dw_sum_task), &g);
    return FW_OK;
}
