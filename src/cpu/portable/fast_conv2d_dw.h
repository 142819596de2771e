/* fast_conv2d_dw.h: the gradient of a convolution's filter, on the register tile of fast_gemm.h.
 * Included once per element type and instruction set.
 *
 * A matrix product for each tap: x (input channels, the tile's rows) against dy (output channels,
 * its columns), summed over images and pixels. The batch is a row of strips, each some lines of a
 * group of images. A task walks over its strips, packs both operands so that the sum runs along
 * memory, [channels/tile][line][w][images][tile], and adds each strip's product to its own partial
 * result. The strips are cut into at most eight chunks, a number that depends on shapes alone; the
 * chunks' partial results are added in order at the end, and that is also what keeps the rounding
 * error of half a million terms small. Within a strip all taps take one tile's rows before the next
 * tile's turn: these then come from L1.
 *
 * Batch-blocked images differ in where a pixel lies alone (dw_pixel). Images stored as bf16: a step
 * of the sum is a pair of images at one pixel, an odd one's partner is zero (PER 2, OPERAND a pair);
 * a room with such a tile defines these and NAME(tile) before it includes this file. Without one
 * they are widened when they are packed. */
#ifndef PER
#define PER     1
#define OPERAND REAL
#include "fast_gemm.h"
#include "fast_store.h"
#endif

/* Steps of a strip that lie one behind the other in both operands. */
typedef struct NAME(dw_run) {
    int64_t x, dy, len; /* first step in x's tile and in dy's panel, number of steps */
} NAME(dw_run);

typedef struct NAME(dw_job) {
    conv_axis y, x; /* of the forward pass: source x, destination dy */
    int64_t n, c, oc, taps;
    int64_t block; /* images that lie together; 1: n h w c */
    const STORE *xp, *dyp;
    REAL *dw;
    int64_t image_groups;      /* of whole blocks, their number as even as can be */
    int64_t strips;            /* of a group */
    int64_t chunks, groups;    /* tasks = chunks of the strips * groups of panels */
    int64_t panels, per_group; /* panels of NR output channels */
    int64_t c_tiles;           /* tiles of at most MR input channels */
    int64_t nb, strip, ring;   /* at most: images per group, lines of dy per strip, of x held */
    REAL *part;                /* [chunks][panels][taps][c][NR] */
    int64_t part_elems;
    int64_t *c_starts, *oc_starts; /* [c_tiles + 1], [panels + 1]: first channels */
    int64_t *ys;                   /* [oh * kh]: source lines */
    int64_t *x_range; /* [kw][2]: the pixels of a line whose tap lies inside the image */
    int64_t steps;    /* of a group at one pixel: nb / PER, rounded up */
    OPERAND *x_rings; /* per slot: [c tiles][ring][w][steps][tile] */
    int64_t x_elems;
    OPERAND *dy_strips; /* per slot: [per_group][strip][ow][steps][NR] */
    int64_t dy_elems, dy_panel;
    int64_t runs_cap;    /* of a tap */
    NAME(dw_run) * runs; /* per slot: [taps][runs_cap] */
    NAME(seg) * segs;    /* per slot: [runs_cap] */
} NAME(dw_job);

static void NAME(dw_plan)(NAME(dw_job) * g, const fwi_call *c, scratch_cut *s)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    const fwi_shape *const x = &c->in[0].shape, *const dy = &c->in[1].shape;
    const fwi_shape *const w = &c->out[0].shape;
    const int64_t k_want = 320; /* steps per tile: enough to pay for reading and writing its sums */
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
    const int64_t blocks = parts_of(g->n, g->block), places = g->y.n_dst * g->x.n_dst;
    g->chunks = part_bytes <= 2 << 20 ? 8 : part_bytes <= 16 << 20 ? 4 : 2;
    g->chunks = min_i64(g->chunks, blocks);
    g->groups = min_i64(parts_of(max_i64(8, 2 * slots), g->chunks), g->panels);
    g->per_group = parts_of(g->panels, g->groups);
    g->groups = parts_of(g->panels, g->per_group);
    g->c_tiles = parts_of(g->c, MR);
    const int64_t block_steps = parts_of(g->block, PER);
    int64_t per = (k_want + places * block_steps / 2) / (places * block_steps); /* blocks a group */
    if (g->block == 1) /* one image's line is too short a run */
        per = max_i64(per, min_i64(16, k_want / g->x.n_dst));
    if (per > 1) /* chunks of whole groups */
        g->image_groups = g->chunks * parts_of(parts_of(blocks, g->chunks), per);
    g->image_groups = per > 1 ? min_i64(g->image_groups, blocks) : blocks;
    g->nb = min_i64(parts_of(blocks, g->image_groups) * g->block, g->n);
    g->steps = parts_of(g->nb, PER);
    const int64_t line_steps = g->steps * g->x.n_dst;
    g->strips = parts_of(g->y.n_dst, max_i64(1, (k_want + line_steps / 2) / line_steps));
    g->strip = parts_of(g->y.n_dst, g->strips);
    g->ring = conv_axis_span(&g->y, g->strip);
    g->part = scratch_take(s, g->chunks * g->part_elems, sizeof(REAL));
    g->c_starts = scratch_take(s, g->c_tiles + 1, sizeof(int64_t));
    g->oc_starts = scratch_take(s, g->panels + 1, sizeof(int64_t));
    g->ys = scratch_take(s, g->y.n_dst * g->y.taps, sizeof(int64_t));
    g->x_range = scratch_take(s, 2 * g->x.taps, sizeof(int64_t));
    g->x_elems = g->ring * g->x.n_src * g->steps * g->c;
    g->x_rings = scratch_take(s, slots * g->x_elems, sizeof(OPERAND));
    g->dy_panel = g->strip * g->x.n_dst * g->steps * NR;
    g->dy_elems = g->per_group * g->dy_panel;
    g->dy_strips = scratch_take(s, slots * g->dy_elems, sizeof(OPERAND));
    g->runs_cap = g->strip * (g->x.mul == 1 ? 1 : g->x.n_dst);
    g->runs = scratch_take(s, slots * g->taps * g->runs_cap, sizeof(NAME(dw_run)));
    g->segs = scratch_take(s, slots * g->runs_cap, sizeof(NAME(seg)));
}

/* The number of a pixel in memory; `place` of `places` in its image. */
static inline int64_t NAME(dw_pixel)(const NAME(dw_job) * g, int64_t image, int64_t place,
                                     int64_t places)
{
    return (image / g->block * places + place) * g->block + image % g->block;
}

/* n <= NR channels of a pixel, or of two side by side. Not NAME(copy): a compiler makes a call of
 * memmove of its loop. */
static inline void NAME(dw_step)(OPERAND *dst, const STORE *src, const STORE *second, int64_t n)
{
#ifdef WIDENS
    (void)second;
    if (n == NR) {
        NAME(v_store)(dst, NAME(v_widen)(src));
        NAME(v_store)(dst + VL, NAME(v_widen)(src + VL));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        dst[i] = LOAD(src[i]);
#elif PER == 1
    (void)second;
    const int64_t n0 = n < VL ? n : VL;
    if (n0 == VL)
        NAME(v_store)(dst, NAME(v_load)(src));
    else
        NAME(v_store_n)(dst, NAME(v_load_n)(src, n0), n0);
    if (n == NR)
        NAME(v_store)(dst + VL, NAME(v_load)(src + VL));
    else if (n > VL)
        NAME(v_store_n)(dst + VL, NAME(v_load_n)(src + VL, n - VL), n - VL);
#else
    NAME(copy_pairs)(dst, src, second, n);
#endif
}

/* Tiles of a tensor's channels, as packing wants them: tile t has the channels starts[t] up to
 * starts[t + 1], and its steps of `width` operands begin at to + starts[t] * stride; width 0: as
 * many as it has channels. */
typedef struct NAME(dw_tiles) {
    const int64_t *starts;
    int64_t count;
    OPERAND *to;
    int64_t stride, width;
} NAME(dw_tiles);

/* One step: a pixel of an image, or of two. */
static inline void NAME(dw_pack_step)(const NAME(dw_tiles) * t, int64_t step, const STORE *first,
                                      const STORE *second)
{
    const int64_t begin = t->starts[0];
    for (int64_t k = 0; k < t->count; k++) {
        const int64_t c = t->starts[k], n = t->starts[k + 1] - c;
        OPERAND *const to = t->to + (c - begin) * t->stride + step * (t->width > 0 ? t->width : n);
        NAME(dw_step)(to, first + c, second == NULL ? NULL : second + c, n);
    }
}

/* Line y of a tensor of images, h w c each, of the images i0 .. i0+nb: step x * steps + i, from
 * step `at` on. In the order of memory: images within a pixel where they lie together, else pixels
 * within an image. */
static inline void NAME(dw_pack_line)(const NAME(dw_job) * g, const NAME(dw_tiles) * t, int64_t at,
                                      const STORE *src, int64_t h, int64_t w, int64_t c, int64_t y,
                                      int64_t i0, int64_t nb)
{
    const int64_t steps = parts_of(nb, PER), places = h * w, next = g->block * c;
    if (g->block % PER != 0 || g->block == 1) {
        for (int64_t i = 0; i < nb; i += PER) {
            const STORE *first = src + NAME(dw_pixel)(g, i0 + i, y * w, places) * c;
            const STORE *second = PER == 1 || i + 1 == nb
                                      ? NULL
                                      : src + NAME(dw_pixel)(g, i0 + i + 1, y * w, places) * c;
            for (int64_t x = 0; x < w; x++, first += next) {
                NAME(dw_pack_step)(t, at + x * steps + i / PER, first, second);
                second = second == NULL ? NULL : second + next;
            }
        }
        return;
    }
    for (int64_t b = 0; b < nb; b += g->block) { /* whole blocks, but perhaps the last */
        const STORE *line = src + NAME(dw_pixel)(g, i0 + b, y * w, places) * c;
        const int64_t images = min_i64(g->block, nb - b);
        for (int64_t x = 0; x < w; x++, line += next)
            for (int64_t i = 0; i < images; i += PER) {
                const STORE *const first = line + i * c;
                NAME(dw_pack_step)
                (t, at + x * steps + (b + i) / PER, first,
                 PER == 1 || i + 1 == images ? NULL : first + c);
            }
    }
}

/* Line sy of x into the ring. */
static void NAME(dw_pack_x)(const NAME(dw_job) * g, OPERAND *ring, int64_t i0, int64_t nb,
                            int64_t sy)
{
    const int64_t w = g->x.n_src;
    const NAME(dw_tiles) t = {g->c_starts, g->c_tiles, ring, g->ring * w * g->steps, 0};
    NAME(dw_pack_line)
    (g, &t, sy % g->ring * w * parts_of(nb, PER), g->xp, g->y.n_src, w, g->c, sy, i0, nb);
}

/* Line y of dy, for the panels j0 .. j1, as line r of the strip. What a panel has more than dy has
 * channels stays as it is: those columns are never stored. */
static void NAME(dw_pack_dy)(const NAME(dw_job) * g, OPERAND *strip, int64_t i0, int64_t nb,
                             int64_t y, int64_t r, int64_t j0, int64_t j1)
{
    const int64_t ow = g->x.n_dst;
    const NAME(dw_tiles) t = {g->oc_starts + j0, j1 - j0, strip, g->dy_panel / NR, NR};
    NAME(dw_pack_line)
    (g, &t, r * ow * parts_of(nb, PER), g->dyp, g->y.n_dst, ow, g->oc, y, i0, nb);
}

/* ---- the way of a task: groups of images, and within each strips of lines ---- */
typedef struct NAME(dw_strip) {
    int64_t i0, nb; /* images */
    int64_t y0, y1; /* lines of dy */
    int64_t s0, s1; /* lines of x that the ring does not hold yet */
} NAME(dw_strip);

/* Strip number `at` of the batch; last: the one before it, or NULL. */
static NAME(dw_strip)
    NAME(dw_strip_at)(const NAME(dw_job) * g, int64_t at, const NAME(dw_strip) * last)
{
    const int64_t group = at / g->strips, strip = at % g->strips, blocks = parts_of(g->n, g->block);
    const int64_t i1 = part_begin(blocks, g->image_groups, group + 1) * g->block;
    NAME(dw_strip)
    t = {.i0 = part_begin(blocks, g->image_groups, group) * g->block,
         .y0 = part_begin(g->y.n_dst, g->strips, strip),
         .y1 = part_begin(g->y.n_dst, g->strips, strip + 1),
         .s0 = g->y.n_src};
    t.nb = min_i64(i1, g->n) - t.i0;
    const int64_t done = last != NULL && strip > 0 ? last->s1 : 0;
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

/* Runs of pixels of the strip for which the tap (ky, kx) lies inside the image. */
static void NAME(dw_tap_runs)(const NAME(dw_job) * g, const NAME(dw_strip) * t, int64_t ky,
                              int64_t kx, NAME(dw_run) * runs)
{
    const int64_t ow = g->x.n_dst, w = g->x.n_src, steps = parts_of(t->nb, PER);
    const int64_t x0 = g->x_range[2 * kx], x1 = g->x_range[2 * kx + 1];
    const int64_t run = g->x.mul == 1 ? x1 - x0 : 1; /* pixels over which x moves in step with dy */
    int64_t count = 0;
    for (int64_t y = t->y0; y < t->y1; y++) {
        const int64_t sy = g->ys[y * g->y.taps + ky];
        if (sy < 0)
            continue;
        for (int64_t x = x0; x < x1; x += run) {
            const int64_t sx = x * g->x.mul + g->x.off + kx;
            runs[count++] = (NAME(dw_run)){(sy % g->ring * w + sx) * steps,
                                           ((y - t->y0) * ow + x) * steps, run * steps};
        }
    }
    for (int64_t i = count; i < g->runs_cap; i++)
        runs[i].len = 0;
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

/* One strip, packed, for the panels j0 .. j1. */
static void NAME(dw_product)(const NAME(dw_job) * g, const NAME(dw_strip) * t, REAL *part,
                             int64_t j0, int64_t j1, bool add, NAME(dw_ahead) * ahead, int slot)
{
    const OPERAND *const ring = g->x_rings + slot * g->x_elems;
    const OPERAND *const strip = g->dy_strips + slot * g->dy_elems;
    NAME(dw_run) *const runs = g->runs + slot * g->taps * g->runs_cap;
    NAME(seg) *const seg = g->segs + slot * g->runs_cap;
    for (int64_t tap = 0; tap < g->taps; tap++)
        NAME(dw_tap_runs)(g, t, tap / g->x.taps, tap % g->x.taps, runs + tap * g->runs_cap);
    for (int64_t j = j0; j < j1; j++)
        for (int64_t k = 0; k < g->c_tiles; k++) {
            const int64_t c0 = g->c_starts[k], m = g->c_starts[k + 1] - c0;
            const OPERAND *const a = ring + c0 * g->ring * g->x.n_src * g->steps;
            const OPERAND *const b = strip + (j - j0) * g->dy_panel;
            for (int64_t tap = 0; tap < g->taps; tap++) {
                const NAME(dw_run) *const run = runs + tap * g->runs_cap;
                int64_t n = 0;
                for (; n < g->runs_cap && run[n].len > 0; n++)
                    seg[n] = (NAME(seg)){a + run[n].x * m, b + run[n].dy * NR, run[n].len};
                const NAME(tile_out) out = {.c = part + ((j * g->taps + tap) * g->c + c0) * NR,
                                            .ldc = NR,
                                            .n = min_i64(NR, g->oc - j * NR),
                                            .add = add};
                NAME(dw_look_ahead)(g, ahead, j0, j1);
                NAME(tile)(m, seg, n, 1, m, &out);
            }
        }
}

static void NAME(dw_task)(void *arg, int64_t task, int slot)
{
    const NAME(dw_job) *const g = arg;
    const int64_t chunk = task / g->groups, group = task % g->groups;
    const int64_t all = g->image_groups * g->strips;
    const int64_t begin = part_begin(all, g->chunks, chunk);
    const int64_t end = part_begin(all, g->chunks, chunk + 1);
    const int64_t j0 = group * g->per_group, j1 = min_i64(j0 + g->per_group, g->panels);
    OPERAND *const ring = g->x_rings + slot * g->x_elems;
    OPERAND *const strip = g->dy_strips + slot * g->dy_elems;
    NAME(dw_strip) t = NAME(dw_strip_at)(g, begin, NULL);
    for (int64_t at = begin; at < end; at++) {
        for (int64_t sy = t.s0; sy < t.s1; sy++)
            NAME(dw_pack_x)(g, ring, t.i0, t.nb, sy);
        for (int64_t y = t.y0; y < t.y1; y++)
            NAME(dw_pack_dy)(g, strip, t.i0, t.nb, y, y - t.y0, j0, j1);
        const NAME(dw_strip) next = at + 1 < end ? NAME(dw_strip_at)(g, at + 1, &t) : t;
        NAME(dw_ahead) ahead = {.pieces = 0};
        if (at + 1 < end)
            ahead = NAME(dw_ahead_of)(g, &next, j1 - j0);
        NAME(dw_product)
        (g, &t, g->part + chunk * g->part_elems, j0, j1, at > begin, &ahead, slot);
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
    for (int64_t t = 0; t <= g.c_tiles; t++)
        g.c_starts[t] = part_begin(g.c, g.c_tiles, t);
    for (int64_t j = 0; j <= g.panels; j++)
        g.oc_starts[j] = min_i64(j * NR, g.oc);
    for (int64_t k = 0; k < g.x.taps; k++)
        conv_axis_range(&g.x, k, &g.x_range[2 * k]);
    fwi_pool_for(c->pool, g.chunks * g.groups, NAME(dw_task), &g);
    fwi_pool_for(c->pool, g.panels * g.taps, NAME(dw_sum_task), &g);
    return FW_OK;
}
