/* fast_conv2d_blocked.h: convolution forward and the gradient of its input on batch-blocked images
 * (ir.h, fwi_layout). Included once per storage type and instruction set, after a register tile.
 *
 * One tile is one block's images at one pixel times NR channels: its rows lie one behind the other
 * in memory, all of them have the same valid taps, and a tap outside the image is left off the list
 * instead of multiplied by zero. So nothing is packed but the filter. Where an instruction set has
 * registers for fewer rows than a block has images (MR), a pixel is two to four tiles of nearly
 * equal height. A task is a part of the lines
 * of one block. It goes strip by strip, so short that the strip's source stays in L2 while one
 * panel of the filter after the other passes over it; along a line the list of taps moves on with
 * the pixels instead of being made anew.
 *
 * Images stored as bf16 are multiplied in pairs of channels (PER 2, OPERAND a pair). With an odd
 * number of channels a pair would straddle images, so there a strip's source is first copied with a
 * zero behind the channels of each image. Where there are no products of bf16 (WIDENS), a strip's
 * source is copied into floats, which all panels of the filter then read, and a pixel's sums are
 * rounded from a buffer. Padding images are computed from nothing and never read:
 * tiles have as many rows as images.
 *
 * Each output is the sum over its taps in the order of their source pixels and over the channels
 * of each, whatever the cut. */
#ifndef PER
#define PER     1
#define OPERAND REAL
#include "fast_gemm.h"
#include "fast_store.h"
#endif

#ifdef WIDENS
#define LINE      REAL /* of the copy of a strip's source */
#define FILTER(v) NAME(as_stored)(v)
#else
#define LINE      STORE
#define FILTER(v) (v)
#endif

typedef struct NAME(blocked) {
    conv_axis y, x;
    int64_t n, nb, sc, dc;
    const STORE *src;
    STORE *dst;
    int64_t blocks, parts; /* tasks = blocks * parts of the lines */
    int64_t strip;         /* lines */
    int64_t panels, steps; /* of NR channels; of a panel, each NR operands */
    int64_t tap_steps;     /* of one tap */
    OPERAND *filter;       /* [panels][steps][NR] */
    int64_t *ys, *xs;      /* [n_dst * taps]: source positions */
    int64_t *moves;   /* [x.n_dst]: how far the taps lie from the last pixel's; 0: other taps */
    NAME(seg) * segs; /* per slot: [seg_room], the first for taps */
    int64_t seg_room; /* whole lines of the cache, which each thread writes at every pixel */
    LINE *lines;      /* per slot: [strip_lines][w][nb][tap_steps * PER]; NULL: src as it is */
    REAL *pixels;     /* WIDENS: per slot: [nb][NR], a pixel's sums */
    int64_t line_elems, strip_lines;
    NAME(channel_sums) * lane; /* conv2d_stats (NULL in others): per slot */
    double *sums;              /* [tasks][2][dc] */
    int64_t *counts;           /* [tasks] */
} NAME(blocked);

/* A strip's source: the line of the image that `first` points at, and on. */
typedef struct NAME(blocked_src) {
    const LINE *first;
    int64_t line;
} NAME(blocked_src);

enum {
    BLOCKED_TASKS = 96,            /* so many that no thread waits long for the last one */
    BLOCKED_FILTER_BYTES = 640000, /* of a filter that stays in L2 beside a strip of few lines */
    BLOCKED_SOURCE_BYTES = 400000, /* of a strip's source, where the filter does not */
    BLOCKED_STRIP_PIXELS = 32
};

static void NAME(blocked_plan)(NAME(blocked) * g, const fwi_call *c, scratch_cut *s)
{
    const int64_t taps = g->y.taps * g->x.taps;
    g->n = c->in[0].shape.d[0];
    g->nb = c->in[0].nb;
    g->sc = c->in[0].shape.d[3];
    g->dc = c->out[0].shape.d[3];
    g->src = c->in[0].data;
    g->dst = c->out[0].data;
    g->blocks = parts_of(g->n, g->nb);
    g->parts = min_i64(parts_of(BLOCKED_TASKS, g->blocks), g->y.n_dst);
    g->panels = parts_of(g->dc, NR);
    g->tap_steps = parts_of(g->sc, PER);
    g->steps = taps * g->tap_steps;
    g->line_elems = g->x.n_src * g->nb * g->tap_steps * PER;
    g->strip = parts_of(g->y.n_dst, g->parts);
    const int64_t filter_elems = g->panels * g->steps * NR;
#ifdef WIDENS
    const bool copied = true;
    g->pixels = scratch_take(s, call_slots(c) * g->nb * NR, sizeof(REAL));
#else
    const bool copied = g->sc % PER != 0; /* then lines in common to two strips cost twice */
#endif
    if (!copied && filter_elems * (int64_t)sizeof(OPERAND) <= BLOCKED_FILTER_BYTES)
        g->strip = min_i64(g->strip, parts_of(BLOCKED_STRIP_PIXELS, g->x.n_dst));
    else
        while (g->strip > 1 &&
               conv_axis_span(&g->y, g->strip) * g->line_elems * (int64_t)sizeof(LINE) >
                   BLOCKED_SOURCE_BYTES)
            g->strip--;
    g->strip_lines = conv_axis_span(&g->y, g->strip);
    g->filter = scratch_take(s, filter_elems, sizeof(OPERAND));
    g->ys = scratch_take(s, g->y.n_dst * g->y.taps, sizeof(int64_t));
    g->xs = scratch_take(s, g->x.n_dst * g->x.taps, sizeof(int64_t));
    g->moves = scratch_take(s, g->x.n_dst, sizeof(int64_t));
    g->seg_room = parts_of(taps, 8) * 8;
    g->segs = scratch_take(s, call_slots(c) * g->seg_room, sizeof(NAME(seg)));
    if (copied)
        g->lines = scratch_take(s, call_slots(c) * g->strip_lines * g->line_elems, sizeof(LINE));
}

/* What conv2d_stats needs besides. */
static void NAME(blocked_stats_plan)(NAME(blocked) * g, const fwi_call *c, scratch_cut *s)
{
    const int64_t tasks = g->blocks * g->parts;
    g->lane = scratch_take(s, call_slots(c), sizeof(NAME(channel_sums)));
    g->sums = scratch_take(s, tasks * 2 * g->dc, sizeof(double));
    g->counts = scratch_take(s, tasks, sizeof(int64_t));
}

#ifdef WIDENS
static void NAME(blocked_pad_line)(const NAME(blocked) * g, int64_t m, const STORE *src, LINE *dst)
{
    (void)m; /* padding images are copied: nobody reads them */
    NAME(widen)(dst, src, g->line_elems);
}
#else
/* A line of the image with zeros behind each image's channels. */
static void NAME(blocked_pad_line)(const NAME(blocked) * g, int64_t m, const STORE *src, STORE *dst)
{
    const int64_t sc = g->sc, to = g->tap_steps * PER;
    for (int64_t x = 0; x < g->x.n_src; x++)
        for (int64_t i = 0; i < m; i++) {
            const STORE *const from = src + (x * g->nb + i) * sc;
            STORE *const out = dst + (x * g->nb + i) * to;
            if (sc == 3) { /* the first layer: a call of memcpy would cost more than the copy */
                memcpy(out, from, 3 * sizeof(STORE));
                out[3] = 0;
                continue;
            }
            memcpy(out, from, (size_t)sc * sizeof(STORE));
            for (int64_t k = sc; k < to; k++)
                out[k] = 0;
        }
}
#endif

/* The source of the destination's lines y0 .. y1 of a block. */
static NAME(blocked_src) NAME(blocked_strip)(const NAME(blocked) * g, int64_t block, int64_t m,
                                             int64_t y0, int64_t y1, int slot)
{
    const STORE *const src = g->src + block * g->y.n_src * g->x.n_src * g->nb * g->sc;
    if (g->lines == NULL)
        return (NAME(blocked_src)){(const LINE *)(const void *)src, 0};
    int64_t s0 = g->y.n_src, s1 = 0;
    for (int64_t k = y0 * g->y.taps; k < y1 * g->y.taps; k++)
        if (g->ys[k] >= 0) {
            s0 = min_i64(s0, g->ys[k]);
            s1 = max_i64(s1, g->ys[k] + 1);
        }
    LINE *const lines = g->lines + slot * g->strip_lines * g->line_elems;
    for (int64_t sy = s0; sy < s1; sy++)
        NAME(blocked_pad_line)
    (g, m, src + sy * g->x.n_src * g->nb * g->sc, lines + (sy - s0) * g->line_elems);
    return (NAME(blocked_src)){lines, s0};
}

/* Segments of output pixel (y, x). */
static int64_t NAME(blocked_segs)(const NAME(blocked) * g, const NAME(blocked_src) * src, int64_t y,
                                  int64_t x, const OPERAND *panel, NAME(seg) * seg)
{
    const int64_t pixel = g->nb * g->tap_steps * PER;
    int64_t count = 0;
    for (int64_t ky = 0; ky < g->y.taps; ky++) {
        const int64_t sy = g->ys[y * g->y.taps + ky];
        if (sy < 0)
            continue;
        const LINE *const line = src->first + (sy - src->line) * g->line_elems;
        for (int64_t kx = 0; kx < g->x.taps; kx++) {
            const int64_t sx = g->xs[x * g->x.taps + kx], tap = ky * g->x.taps + kx;
            if (sx >= 0)
                seg[count++] = (NAME(seg)){(const OPERAND *)(const void *)(line + sx * pixel),
                                           panel + tap * g->tap_steps * NR, g->tap_steps};
        }
    }
    return count;
}

/* All m images of a pixel, in tiles of at most MR rows. */
static inline void NAME(blocked_tiles)(const NAME(blocked) * g, int64_t m, NAME(seg) * seg,
                                       int64_t n_seg, const NAME(tile_out) * first)
{
    const int64_t heights = parts_of(m, MR);
    if (heights == 1) {
        NAME(tile)(m, seg, n_seg, g->tap_steps, 1, first);
        return;
    }
    NAME(tile_out) out = *first;
    for (int64_t k = 0; k < heights; k++) {
        const int64_t rows = part_begin(m, heights, k + 1) - part_begin(m, heights, k);
        NAME(tile)(rows, seg, n_seg, g->tap_steps, 1, &out);
        out.c += rows * out.ldc;
        for (int64_t s = 0; s < n_seg; s++)
            seg[s].a += rows * g->tap_steps;
    }
    for (int64_t s = 0; s < n_seg; s++)
        seg[s].a -= m * g->tap_steps;
}

/* One panel of the filter over one line. ahead: asks for the source of the pixel to come. */
static void NAME(blocked_line)(const NAME(blocked) * g, const NAME(blocked_src) * src,
                               int64_t block, int64_t m, int64_t y, int64_t j, NAME(seg) * seg,
                               bool ahead, NAME(channel_sums) * sums, int slot)
{
    const OPERAND *const panel = g->filter + j * g->steps * NR;
    const int64_t pixel = g->nb * g->tap_steps * PER;
    const int64_t pixel_bytes = pixel * (int64_t)sizeof(STORE);
    STORE *to = g->dst + (block * g->y.n_dst + y) * g->x.n_dst * g->nb * g->dc + j * NR;
    NAME(tile_out) out = {.ldc = g->dc, .n = min_i64(NR, g->dc - j * NR), .sums = sums};
    int64_t n_seg = 0;
    for (int64_t x = 0; x < g->x.n_dst; x++, to += g->nb * g->dc) {
        const int64_t move = g->moves[x] * (pixel / PER);
        if (move == 0)
            n_seg = NAME(blocked_segs)(g, src, y, x, panel, seg);
        else
            for (int64_t s = 0; s < n_seg; s++)
                seg[s].a += move;
        if (ahead && n_seg > 0) {
            const char *const last = (const char *)seg[n_seg - 1].a;
            for (int64_t at = pixel_bytes; at < 2 * pixel_bytes; at += 64)
                __builtin_prefetch(last + at);
        }
        for (int64_t i = 0; i < m && x + 1 < g->x.n_dst; i++) /* what the next pixel writes to */
            for (int64_t k = 0; k < out.n; k += 64 / (int64_t)sizeof(STORE))
                __builtin_prefetch(to + (g->nb + i) * g->dc + k, 1);
#ifdef WIDENS
        out.c = g->pixels + slot * g->nb * NR;
        out.ldc = NR;
        NAME(blocked_tiles)(g, m, seg, n_seg, &out);
        for (int64_t i = 0; i < m; i++)
            NAME(round)(to + i * g->dc, out.c + i * NR, out.n);
#else
        (void)slot;
        out.c = to;
        NAME(blocked_tiles)(g, m, seg, n_seg, &out);
#endif
    }
}

static void NAME(blocked_task)(void *arg, int64_t task, int slot)
{
    const NAME(blocked) *const g = arg;
    const int64_t block = task / g->parts, part = task % g->parts;
    const int64_t m = min_i64(g->nb, g->n - block * g->nb);
    const int64_t begin = part_begin(g->y.n_dst, g->parts, part);
    const int64_t end = part_begin(g->y.n_dst, g->parts, part + 1);
    const int64_t line_values = g->x.n_dst * m; /* of a channel */
    NAME(channel_sums) *const sums = g->sums != NULL ? g->lane + slot : NULL;
    double *const means = sums != NULL ? g->sums + task * 2 * g->dc : NULL;
    NAME(seg) *const seg = g->segs + slot * g->seg_room;
    for (int64_t y0 = begin; y0 < end; y0 += g->strip) {
        const int64_t y1 = min_i64(y0 + g->strip, end);
        const NAME(blocked_src) src = NAME(blocked_strip)(g, block, m, y0, y1, slot);
        for (int64_t j = 0; j < g->panels; j++) {
            const int64_t n = min_i64(NR, g->dc - j * NR);
            double *const mean = sums != NULL ? means + j * NR : NULL;
            if (sums != NULL)
                NAME(channel_sums_begin)
            (sums, (y0 - begin) * line_values, n, mean, mean + g->dc);
            for (int64_t y = y0; y < y1; y++) {
                NAME(blocked_line)
                (g, &src, block, m, y, j, seg, j == 0 && g->lines == NULL, sums, slot);
                if (sums != NULL)
                    NAME(channel_sums_flush)
                (sums, (y - begin) * line_values, line_values, n, mean, mean + g->dc);
            }
        }
    }
    if (sums != NULL)
        g->counts[task] = (end - begin) * line_values;
}

/* moves[x]: by how many pixels all taps of x lie behind those of x - 1. */
static void NAME(blocked_moves)(const NAME(blocked) * g)
{
    for (int64_t x = 0; x < g->x.n_dst; x++) {
        const int64_t *const now = g->xs + x * g->x.taps;
        g->moves[x] = 0;
        for (int64_t k = 0; k < g->x.taps && x > 0; k++) {
            const int64_t last = now[k - g->x.taps], move = now[k] - last;
            g->moves[x] = now[k] >= 0 && last >= 0 && (k == 0 || move == g->moves[x]) ? move : 0;
            if (g->moves[x] == 0)
                break;
        }
    }
}

/* ---- the filter: [panels][steps][NR] from w[oc][taps][ic] ---- */
typedef struct NAME(blocked_filter) {
    const float *w;
    OPERAND *out;
    int64_t oc, ic, taps, tap_steps;
} NAME(blocked_filter);

#if PER == 1
/* Forward: the sum runs over (tap, ic), columns are oc. */
static void NAME(blocked_fwd_task)(void *arg, int64_t panel, int slot)
{
    (void)slot;
    const NAME(blocked_filter) *const f = arg;
    const int64_t k_len = f->taps * f->ic, j0 = panel * NR, n = min_i64(NR, f->oc - j0);
    OPERAND *restrict out = f->out + panel * k_len * NR;
    const float *const w = f->w + j0 * k_len;
    for (int64_t k = 0; k < k_len; k++, out += NR) {
        for (int64_t j = 0; j < n; j++)
            out[j] = FILTER(w[j * k_len + k]);
        for (int64_t j = n; j < NR; j++)
            out[j] = 0;
    }
}

/* Gradient of the input: over (tap, oc), columns are ic. The last tap takes the first pixel. */
static void NAME(blocked_dx_task)(void *arg, int64_t panel, int slot)
{
    (void)slot;
    const NAME(blocked_filter) *const f = arg;
    const int64_t j0 = panel * NR, n = min_i64(NR, f->ic - j0);
    OPERAND *restrict out = f->out + panel * f->taps * f->oc * NR;
    for (int64_t t = f->taps - 1; t >= 0; t--)
        for (int64_t k = 0; k < f->oc; k++, out += NR) {
            NAME(copy)(out, f->w + (k * f->taps + t) * f->ic + j0, n);
            for (int64_t j = 0; j < n; j++)
                out[j] = FILTER(out[j]);
            for (int64_t j = n; j < NR; j++)
                out[j] = 0;
        }
}
#else /* of pairs: the room's own; tap_steps to a tap, an odd one's second half 0 */
static void NAME(blocked_fwd_task)(void *arg, int64_t panel, int slot);
static void NAME(blocked_dx_task)(void *arg, int64_t panel, int slot);
#endif

static void NAME(blocked_conv2d_plan)(NAME(blocked) * g, const fwi_call *c, scratch_cut *s)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    const int64_t *const x = c->in[0].shape.d, *const y = c->out[0].shape.d;
    *g = (NAME(blocked)){.y = conv_axis_fwd(x[1], y[1], a->kh, a->stride, a->pad_t),
                         .x = conv_axis_fwd(x[2], y[2], a->kw, a->stride, a->pad_l)};
    NAME(blocked_plan)(g, c, s);
}

static void NAME(blocked_conv2d_dx_plan)(NAME(blocked) * g, const fwi_call *c, scratch_cut *s)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    const int64_t *const dy = c->in[0].shape.d, *const dx = c->out[0].shape.d;
    *g = (NAME(blocked)){
        .y = conv_axis_ascending(conv_axis_dx(dx[1], dy[1], a->kh, a->stride, a->pad_t)),
        .x = conv_axis_ascending(conv_axis_dx(dx[2], dy[2], a->kw, a->stride, a->pad_l))};
    NAME(blocked_plan)(g, c, s);
}

static fw_status NAME(blocked_run)(NAME(blocked) * g, const fwi_call *c, fwi_loop_fn pack)
{
    const fwi_shape *const w = &c->in[1].shape;
    NAME(blocked_filter)
    f = {.w = c->in[1].data,
         .out = g->filter,
         .oc = w->d[0],
         .ic = w->d[3],
         .taps = w->d[1] * w->d[2],
         .tap_steps = g->tap_steps};
    conv_axis_fill(&g->y, g->ys);
    conv_axis_fill(&g->x, g->xs);
    NAME(blocked_moves)(g);
    fwi_pool_for(c->pool, g->panels, pack, &f);
    fwi_pool_for(c->pool, g->blocks * g->parts, NAME(blocked_task), g);
    return FW_OK;
}

size_t FN(blocked_conv2d_scratch)(const fwi_call *c)
{
    NAME(blocked) g;
    scratch_cut s = {0};
    NAME(blocked_conv2d_plan)(&g, c, &s);
    return s.used;
}

fw_status FN(blocked_conv2d)(const fwi_call *c)
{
    NAME(blocked) g;
    scratch_cut s = {.base = c->scratch};
    NAME(blocked_conv2d_plan)(&g, c, &s);
    return NAME(blocked_run)(&g, c, NAME(blocked_fwd_task));
}

size_t FN(blocked_conv2d_stats_scratch)(const fwi_call *c)
{
    NAME(blocked) g;
    scratch_cut s = {0};
    NAME(blocked_conv2d_plan)(&g, c, &s);
    NAME(blocked_stats_plan)(&g, c, &s);
    return s.used;
}

fw_status FN(blocked_conv2d_stats)(const fwi_call *c)
{
    NAME(blocked) g;
    scratch_cut s = {.base = c->scratch};
    NAME(blocked_conv2d_plan)(&g, c, &s);
    NAME(blocked_stats_plan)(&g, c, &s);
    const fw_status st = NAME(blocked_run)(&g, c, NAME(blocked_fwd_task));
    NAME(channel_sums_join)
    (g.counts, g.blocks * g.parts, g.dc, g.sums, c->out[1].data, c->out[2].data);
    return st;
}

size_t FN(blocked_conv2d_dx_scratch)(const fwi_call *c)
{
    NAME(blocked) g;
    scratch_cut s = {0};
    NAME(blocked_conv2d_dx_plan)(&g, c, &s);
    return s.used;
}

fw_status FN(blocked_conv2d_dx)(const fwi_call *c)
{
    NAME(blocked) g;
    scratch_cut s = {.base = c->scratch};
    NAME(blocked_conv2d_dx_plan)(&g, c, &s);
    return NAME(blocked_run)(&g, c, NAME(blocked_dx_task));
}
#undef LINE
#undef FILTER
