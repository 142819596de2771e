/* fast_conv2d.h: convolution forward and the gradient of its input, on the register tile of
 * fast_gemm.h. Included once per element type and instruction set. Neighbour:
 * fast_conv2d_dw.h, the filter's gradient.
 *
 * Both passes are one gather (conv_geom.h) followed by a matrix product; only the way the filter is
 * packed differs. The rows of a register tile are the same pixel of up to MR images: then every row
 * has the same valid taps, a tap that falls into the padding is left out instead of multiplied by
 * zero (a third of all work at 4x4), and no row is lost where a line of pixels ends. A task packs
 * the source lines of its images into a ring of lines [w][images][c], each line once, and walks
 * down the image. With few images the rows are neighbouring pixels of one line, which is then
 * packed with its zero padding.
 *
 * Each output is the sum over ky, kx, c in this order in both ways of cutting. */

#include "fast_gemm.h"

typedef struct NAME(gather) {
    conv_axis y, x;
    int64_t n, sc, dc;       /* images; source and destination channels */
    const REAL *src;         /* [n, y.n_src, x.n_src, sc] */
    REAL *dst;               /* [n, y.n_dst, x.n_dst, dc] */
    bool by_image;           /* rows of a tile: images, or pixels of a line */
    int64_t blocks, block_n; /* blocks of images, and the largest's size */
    int64_t parts;           /* each block's lines are cut into parts: tasks = blocks * parts */
    int64_t strip;           /* destination lines computed from one filling of the ring */
    int64_t ring;            /* source lines held */
    int64_t pad_lo, line;    /* pixels of padding before a packed line; pixels in all */
    int64_t panels, panel_elems;
    REAL *filter;     /* [panels][kh*kw][sc][NR] */
    int64_t *ys, *xs; /* [n_dst * taps]: source positions */
    REAL *rings;      /* per slot: [ring][line][block_n][sc] */
    int64_t ring_elems;
    NAME(seg) * segs; /* per slot: [kh*kw] */
} NAME(gather);

static void NAME(gather_plan)(NAME(gather) * g, const fwi_call *c, scratch_cut *s)
{
    const int64_t ring_bytes = 512 << 10; /* half of a large L2; the filter panel has the rest */
    const int64_t taps = g->y.taps * g->x.taps;
    g->by_image = g->n >= MR / 2 || g->x.div > 1;
    g->block_n = 1;
    g->blocks = g->n;
    if (g->by_image) {
        g->blocks = parts_of(g->n, MR);
        if (g->blocks >= 12) /* so that 2 and 4 threads get equal shares */
            g->blocks = min_i64(g->n, (g->blocks + 3) / 4 * 4);
        g->block_n = parts_of(g->n, g->blocks);
    }
    g->parts = min_i64(parts_of(16, g->blocks), parts_of(g->y.n_dst, 2));
    g->pad_lo = 0;
    g->line = g->x.n_src;
    if (!g->by_image) {
        const int64_t last_tap = g->x.step * (g->x.taps - 1);
        const int64_t first = g->x.off + min_i64(0, last_tap);
        const int64_t last = (g->x.n_dst - 1) * g->x.mul + g->x.off + max_i64(0, last_tap);
        g->pad_lo = max_i64(0, -first);
        g->line = g->pad_lo + max_i64(g->x.n_src, last + 1);
    }
    const int64_t line_bytes = g->line * g->block_n * g->sc * (int64_t)sizeof(REAL);
    g->strip = 1;
    while (g->strip < g->y.n_dst && conv_axis_span(&g->y, g->strip + 1) * line_bytes <= ring_bytes)
        g->strip++;
    g->ring = conv_axis_span(&g->y, g->strip);
    g->ring_elems = g->ring * g->line * g->block_n * g->sc;
    g->panels = parts_of(g->dc, NR);
    g->panel_elems = taps * g->sc * NR;
    g->filter = scratch_take(s, g->panels * g->panel_elems, sizeof(REAL));
    g->ys = scratch_take(s, g->y.n_dst * g->y.taps, sizeof(int64_t));
    g->xs = scratch_take(s, g->x.n_dst * g->x.taps, sizeof(int64_t));
    g->rings = scratch_take(s, call_slots(c) * g->ring_elems, sizeof(REAL));
    g->segs = scratch_take(s, call_slots(c) * taps, sizeof(NAME(seg)));
}

/* One source line of images i0 .. i0+m into its place in the ring. */
static void NAME(gather_pack)(const NAME(gather) * g, REAL *ring, int64_t i0, int64_t m, int64_t sy)
{
    const int64_t w = g->x.n_src, sc = g->sc;
    REAL *const line = ring + sy % g->ring * g->line * g->block_n * sc;
    for (int64_t i = 0; i < m; i++) {
        const REAL *const src = g->src + ((i0 + i) * g->y.n_src + sy) * w * sc;
        if (!g->by_image) {
            memset(line, 0, (size_t)(g->pad_lo * sc) * sizeof(REAL));
            memcpy(line + g->pad_lo * sc, src, (size_t)(w * sc) * sizeof(REAL));
            memset(line + (g->pad_lo + w) * sc, 0,
                   (size_t)((g->line - g->pad_lo - w) * sc) * sizeof(REAL));
        } else {
            for (int64_t x = 0; x < w; x++)
                NAME(copy)(line + (x * m + i) * sc, src + x * sc, sc);
        }
    }
}

/* Segments of the tile whose first output is (dy, dx). */
static int64_t NAME(gather_segs)(const NAME(gather) * g, const REAL *ring, int64_t m,
                                 const REAL *panel, int64_t dy, int64_t dx, NAME(seg) * seg)
{
    const int64_t sc = g->sc, pitch = g->by_image ? m * sc : sc;
    int64_t count = 0;
    for (int64_t ky = 0; ky < g->y.taps; ky++) {
        const int64_t sy = g->ys[dy * g->y.taps + ky];
        if (sy < 0)
            continue;
        const REAL *const line = ring + sy % g->ring * g->line * g->block_n * sc;
        for (int64_t kx = 0; kx < g->x.taps; kx++) {
            const int64_t sx = g->by_image ? g->xs[dx * g->x.taps + kx]
                                           : dx * g->x.mul + g->x.off + kx * g->x.step + g->pad_lo;
            if (sx >= 0)
                seg[count++] =
                    (NAME(seg)){line + sx * pitch, panel + (ky * g->x.taps + kx) * sc * NR, sc};
        }
    }
    return count;
}

static void NAME(gather_task)(void *arg, int64_t task, int slot)
{
    const NAME(gather) *const g = arg;
    const int64_t block = task / g->parts, part = task % g->parts;
    const int64_t i0 = part_begin(g->n, g->blocks, block);
    const int64_t m = part_begin(g->n, g->blocks, block + 1) - i0;
    const int64_t y0 = part_begin(g->y.n_dst, g->parts, part);
    const int64_t y1 = part_begin(g->y.n_dst, g->parts, part + 1);
    const int64_t dw = g->x.n_dst, dh = g->y.n_dst;
    REAL *const ring = g->rings + slot * g->ring_elems;
    NAME(seg) *const seg = g->segs + slot * g->y.taps * g->x.taps;
    const int64_t tiles = g->by_image ? dw : parts_of(dw, MR); /* of one line */
    int64_t packed = 0;                                        /* lines before this one are done */
    for (int64_t ys = y0; ys < y1; ys += g->strip) {
        const int64_t ye = min_i64(ys + g->strip, y1);
        int64_t lo = g->y.n_src, hi = -1;
        for (int64_t t = ys * g->y.taps; t < ye * g->y.taps; t++)
            if (g->ys[t] >= 0) {
                lo = min_i64(lo, g->ys[t]);
                hi = max_i64(hi, g->ys[t]);
            }
        if (hi >= lo) /* a strip between strides has no source line */
            for (packed = max_i64(packed, lo); packed <= hi; packed++)
                NAME(gather_pack)(g, ring, i0, m, packed);
        for (int64_t j = 0; j < g->panels; j++) {
            const REAL *const panel = g->filter + j * g->panel_elems;
            for (int64_t y = ys; y < ye; y++)
                for (int64_t t = 0; t < tiles; t++) {
                    const int64_t x = part_begin(dw, tiles, t);
                    const int64_t rows = g->by_image ? m : part_begin(dw, tiles, t + 1) - x;
                    const NAME(tile_out)
                        out = {.c = g->dst + ((i0 * dh + y) * dw + x) * g->dc + j * NR,
                               .ldc = g->by_image ? dh * dw * g->dc : g->dc,
                               .n = min_i64(NR, g->dc - j * NR)};
                    const int64_t n_seg = NAME(gather_segs)(g, ring, m, panel, y, x, seg);
                    NAME(tile)(rows, seg, n_seg, g->by_image ? g->sc : g->x.mul * g->sc, 1, &out);
                }
        }
    }
}

/* ---- the filter, packed: [panels][kh*kw][sc][NR], zero where dc ends ---- */
typedef struct NAME(filter_job) {
    const REAL *w; /* [oc][taps][ic] */
    REAL *out;
    int64_t oc, ic, taps;
} NAME(filter_job);

/* Forward: source channels are ic, destination channels oc. */
static void NAME(filter_fwd_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(filter_job) *const f = arg;
    const int64_t k_len = f->taps * f->ic, j0 = task * NR, n = min_i64(NR, f->oc - j0);
    REAL *restrict out = f->out + task * k_len * NR;
    const REAL *const w = f->w + j0 * k_len;
    for (int64_t k = 0; k < k_len; k++, out += NR) {
        for (int64_t j = 0; j < n; j++)
            out[j] = w[j * k_len + k];
        for (int64_t j = n; j < NR; j++)
            out[j] = 0;
    }
}

/* Gradient of the input: the other way round. */
static void NAME(filter_dx_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(filter_job) *const f = arg;
    const int64_t j0 = task * NR, n = min_i64(NR, f->ic - j0);
    REAL *restrict out = f->out + task * f->taps * f->oc * NR;
    for (int64_t t = 0; t < f->taps; t++)
        for (int64_t k = 0; k < f->oc; k++, out += NR) {
            NAME(copy)(out, f->w + (k * f->taps + t) * f->ic + j0, n);
            for (int64_t j = n; j < NR; j++)
                out[j] = 0;
        }
}

static void NAME(conv2d_plan)(NAME(gather) * g, const fwi_call *c, scratch_cut *s)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    const fwi_arg *const x = &c->in[0], *const w = &c->in[1], *const y = &c->out[0];
    *g = (NAME(gather)){
        .y = conv_axis_fwd(x->shape.d[1], y->shape.d[1], w->shape.d[1], a->stride, a->pad_t),
        .x = conv_axis_fwd(x->shape.d[2], y->shape.d[2], w->shape.d[2], a->stride, a->pad_l),
        .n = x->shape.d[0],
        .sc = x->shape.d[3],
        .dc = y->shape.d[3],
        .src = x->data,
        .dst = y->data};
    NAME(gather_plan)(g, c, s);
}

static void NAME(conv2d_dx_plan)(NAME(gather) * g, const fwi_call *c, scratch_cut *s)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    const fwi_arg *const dy = &c->in[0], *const w = &c->in[1], *const dx = &c->out[0];
    *g = (NAME(gather)){
        .y = conv_axis_dx(dx->shape.d[1], dy->shape.d[1], w->shape.d[1], a->stride, a->pad_t),
        .x = conv_axis_dx(dx->shape.d[2], dy->shape.d[2], w->shape.d[2], a->stride, a->pad_l),
        .n = dy->shape.d[0],
        .sc = dy->shape.d[3],
        .dc = dx->shape.d[3],
        .src = dy->data,
        .dst = dx->data};
    NAME(gather_plan)(g, c, s);
}

static fw_status NAME(gather_run)(NAME(gather) * g, const fwi_call *c, fwi_loop_fn pack)
{
    const fwi_shape *const w = &c->in[1].shape;
    NAME(filter_job)
    f = {.w = c->in[1].data,
         .out = g->filter,
         .oc = w->d[0],
         .ic = w->d[3],
         .taps = w->d[1] * w->d[2]};
    conv_axis_fill(&g->y, g->ys);
    conv_axis_fill(&g->x, g->xs);
    fwi_pool_for(c->pool, g->panels, pack, &f);
    fwi_pool_for(c->pool, g->blocks * g->parts, NAME(gather_task), g);
    return FW_OK;
}

size_t FN(conv2d_scratch)(const fwi_call *c)
{
    NAME(gather) g;
    scratch_cut s = {0};
    NAME(conv2d_plan)(&g, c, &s);
    return s.used;
}

fw_status FN(conv2d)(const fwi_call *c)
{
    NAME(gather) g;
    scratch_cut s = {.base = c->scratch};
    NAME(conv2d_plan)(&g, c, &s);
    return NAME(gather_run)(&g, c, NAME(filter_fwd_task));
}

size_t FN(conv2d_dx_scratch)(const fwi_call *c)
{
    NAME(gather) g;
    scratch_cut s = {0};
    NAME(conv2d_dx_plan)(&g, c, &s);
    return s.used;
}

fw_status FN(conv2d_dx)(const fwi_call *c)
{
    NAME(gather) g;
    scratch_cut s = {.base = c->scratch};
    NAME(conv2d_dx_plan)(&g, c, &s);
    return NAME(gather_run)(&g, c, NAME(filter_dx_task));
}
