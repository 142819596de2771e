/* fast_conv2d_blocked.h: convolution forward and the gradient of its input on batch-blocked images
 * (ir.h, fwi_layout). Included once per storage type and instruction set, after a register tile.
 *
 * One tile is one block's images at one pixel times NR channels: its rows lie one behind the other
 * in memory, all of them have the same valid taps, and a tap outside the image is left off the list
 * instead of multiplied by zero. So nothing is packed but the filter. A task is a block of images
 * (or some of its lines, where there are few blocks): channels outside, so that one panel of the
 * filter stays in cache while it passes over the pixels.
 *
 * Images stored as bf16 are multiplied in pairs of channels (PER 2, OPERAND a pair): the filter's
 * steps are pairs of (tap, channel) in this order. With an odd number of channels a pair would
 * straddle pixels, so there a tile's taps are first copied side by side, those outside as zeros.
 * Padding images are computed from nothing and never read: tiles have as many rows as images.
 *
 * Each output is the sum over ky, kx, c in this order, whatever the cut. */
#ifndef PER
#define PER     1
#define OPERAND REAL
#include "fast_gemm.h"
#include "fast_store.h"
#endif

typedef struct NAME(blocked) {
    conv_axis y, x;
    int64_t n, nb, sc, dc;
    const STORE *src;
    STORE *dst;
    int64_t blocks, parts; /* tasks = blocks * parts of the lines */
    int64_t panels, steps; /* of NR channels; of a panel, each NR operands */
    int64_t tap_steps;     /* of one tap; 0: taps are copied side by side */
    OPERAND *filter;       /* [panels][steps][NR] */
    int64_t *ys, *xs;      /* [n_dst * taps]: source positions */
    NAME(seg) * segs;      /* per slot: [taps] */
    STORE *rows;           /* per slot: [nb][steps * PER] */
} NAME(blocked);

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
    g->parts = min_i64(parts_of(16, g->blocks), g->y.n_dst);
    g->panels = parts_of(g->dc, NR);
    g->steps = parts_of(taps * g->sc, PER);
    g->tap_steps = g->sc % PER == 0 ? g->sc / PER : 0;
    g->filter = scratch_take(s, g->panels * g->steps * NR, sizeof(OPERAND));
    g->ys = scratch_take(s, g->y.n_dst * g->y.taps, sizeof(int64_t));
    g->xs = scratch_take(s, g->x.n_dst * g->x.taps, sizeof(int64_t));
    g->segs = scratch_take(s, call_slots(c) * taps, sizeof(NAME(seg)));
    if (g->tap_steps == 0)
        g->rows = scratch_take(s, call_slots(c) * g->nb * g->steps * PER, sizeof(STORE));
}

/* Segments of output pixel (dy, dx) of a block; rows: where taps are copied to. */
static int64_t NAME(blocked_segs)(const NAME(blocked) * g, int64_t block, int64_t m, int64_t dy,
                                  int64_t dx, const OPERAND *panel, STORE *rows, NAME(seg) * seg)
{
    const STORE *const src = g->src + block * g->y.n_src * g->x.n_src * g->nb * g->sc;
    int64_t count = 0, tap = 0;
    for (int64_t ky = 0; ky < g->y.taps; ky++) {
        const int64_t sy = g->ys[dy * g->y.taps + ky];
        for (int64_t kx = 0; kx < g->x.taps; kx++, tap++) {
            const int64_t sx = g->xs[dx * g->x.taps + kx];
            const bool inside = sy >= 0 && sx >= 0;
            const STORE *const at = src + (inside ? (sy * g->x.n_src + sx) * g->nb * g->sc : 0);
            if (g->tap_steps > 0) {
                if (inside)
                    seg[count++] = (NAME(seg)){(const OPERAND *)(const void *)at,
                                               panel + tap * g->tap_steps * NR, g->tap_steps};
                continue;
            }
            for (int64_t i = 0; i < m; i++) {
                STORE *const to = rows + i * g->steps * PER + tap * g->sc;
                if (inside)
                    memcpy(to, at + i * g->sc, (size_t)g->sc * sizeof(STORE));
                else
                    memset(to, 0, (size_t)g->sc * sizeof(STORE));
            }
        }
    }
    if (g->tap_steps > 0)
        return count;
    for (int64_t i = 0; i < m; i++) /* an odd step's second half */
        for (int64_t k = tap * g->sc; k < g->steps * PER; k++)
            rows[i * g->steps * PER + k] = 0;
    seg[0] = (NAME(seg)){(const OPERAND *)(const void *)rows, panel, g->steps};
    return 1;
}

static void NAME(blocked_task)(void *arg, int64_t task, int slot)
{
    const NAME(blocked) *const g = arg;
    const int64_t block = task / g->parts, part = task % g->parts;
    const int64_t m = min_i64(g->nb, g->n - block * g->nb);
    const int64_t y0 = part_begin(g->y.n_dst, g->parts, part);
    const int64_t y1 = part_begin(g->y.n_dst, g->parts, part + 1);
    const int64_t rs = g->tap_steps > 0 ? g->tap_steps : g->steps;
    NAME(seg) *const seg = g->segs + slot * g->y.taps * g->x.taps;
    STORE *const rows = g->tap_steps > 0 ? NULL : g->rows + slot * g->nb * g->steps * PER;
    for (int64_t j = 0; j < g->panels; j++) {
        const OPERAND *const panel = g->filter + j * g->steps * NR;
        for (int64_t y = y0; y < y1; y++)
            for (int64_t x = 0; x < g->x.n_dst; x++) {
                const int64_t pixel = (block * g->y.n_dst + y) * g->x.n_dst + x;
                const NAME(tile_out) out = {.c = g->dst + pixel * g->nb * g->dc + j * NR,
                                            .ldc = g->dc,
                                            .n = min_i64(NR, g->dc - j * NR)};
                const int64_t n_seg = NAME(blocked_segs)(g, block, m, y, x, panel, rows, seg);
                NAME(tile)(m, seg, n_seg, rs, 1, &out);
            }
    }
}

/* ---- the filter: [panels][steps][NR] from w[oc][taps][ic] ---- */
typedef struct NAME(blocked_filter) {
    const float *w;
    OPERAND *out;
    int64_t oc, ic, taps, steps;
} NAME(blocked_filter);

#if PER == 1
/* Forward: the sum runs over (tap, ic), columns are oc. */
static void NAME(blocked_fwd_task)(void *arg, int64_t panel, int slot)
{
    (void)slot;
    const NAME(blocked_filter) *const f = arg;
    const int64_t k_len = f->taps * f->ic, j0 = panel * NR, n = min_i64(NR, f->oc - j0);
    OPERAND *restrict out = f->out + panel * f->steps * NR;
    const float *const w = f->w + j0 * k_len;
    for (int64_t k = 0; k < k_len; k++, out += NR) {
        for (int64_t j = 0; j < n; j++)
            out[j] = w[j * k_len + k];
        for (int64_t j = n; j < NR; j++)
            out[j] = 0;
    }
}

/* Gradient of the input: over (tap, oc), columns are ic. */
static void NAME(blocked_dx_task)(void *arg, int64_t panel, int slot)
{
    (void)slot;
    const NAME(blocked_filter) *const f = arg;
    const int64_t j0 = panel * NR, n = min_i64(NR, f->ic - j0);
    OPERAND *restrict out = f->out + panel * f->steps * NR;
    for (int64_t t = 0; t < f->taps; t++)
        for (int64_t k = 0; k < f->oc; k++, out += NR) {
            NAME(copy)(out, f->w + (k * f->taps + t) * f->ic + j0, n);
            for (int64_t j = n; j < NR; j++)
                out[j] = 0;
        }
}
#else /* of pairs: the room's own */
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
    *g = (NAME(blocked)){.y = conv_axis_dx(dx[1], dy[1], a->kh, a->stride, a->pad_t),
                         .x = conv_axis_dx(dx[2], dy[2], a->kw, a->stride, a->pad_l)};
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
         .steps = g->steps};
    conv_axis_fill(&g->y, g->ys);
    conv_axis_fill(&g->x, g->xs);
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
