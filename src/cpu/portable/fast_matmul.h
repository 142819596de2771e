/* fast_matmul.h: matrix product with either operand transposed, on the register tile of
 * fast_gemm.h. Included once per element type and instruction set. Definition:
 * cpu/ref/matmul_body.h.
 *
 * b is packed once, [columns/NR][k][NR]. A task owns a block of rows and of columns and walks over
 * k in pieces whose packed rows stay in L2; pieces add up in order. How outputs are cut into tasks is
 * a matter of shapes and threads; a sum is the same in any of them. */

#include "fast_gemm.h"

typedef struct NAME(matmul_job) {
    const REAL *a, *b;
    REAL *y;
    int64_t m, n, k;
    bool ta, tb;
    int64_t panels, panel_groups; /* of NR columns; groups of panels */
    int64_t row_tiles, row_blocks;
    int64_t kc; /* largest piece of k */
    REAL *b_packed;
    REAL *a_packed; /* per slot: [MATMUL_TILES * MR][kc] */
} NAME(matmul_job);

#ifndef MATMUL_TILES
enum {
    MATMUL_TILES = 8,  /* row tiles of a block */
    MATMUL_PANELS = 8, /* panels of a group */
    MATMUL_TASKS = 12, /* groups have fewer panels where there would be fewer tasks */
    MATMUL_K = 512,    /* steps of a piece */
    MATMUL_LINE = 64   /* bytes of b that are turned at a time */
};
#define MATMUL_TILES MATMUL_TILES
#endif

static void NAME(matmul_plan)(NAME(matmul_job) * g, const fwi_call *c, scratch_cut *s)
{
    *g = (NAME(matmul_job)){.a = c->in[0].data,
                            .b = c->in[1].data,
                            .y = c->out[0].data,
                            .m = c->out[0].shape.d[0],
                            .n = c->out[0].shape.d[1],
                            .ta = c->attr->matmul.ta != 0,
                            .tb = c->attr->matmul.tb != 0};
    g->k = c->in[0].shape.d[g->ta ? 0 : 1];
    g->panels = parts_of(g->n, NR);
    g->row_tiles = parts_of(g->m, MR);
    g->row_blocks = parts_of(g->row_tiles, MATMUL_TILES);
    const int64_t tasks = max_i64(MATMUL_TASKS, 2 * call_slots(c));
    g->panel_groups = min_i64(
        g->panels, max_i64(parts_of(g->panels, MATMUL_PANELS), parts_of(tasks, g->row_blocks)));
    g->kc = min_i64(g->k, MATMUL_K);
    g->b_packed = scratch_take(s, g->panels * g->k * NR, sizeof(REAL));
    g->a_packed = scratch_take(s, call_slots(c) * MATMUL_TILES * MR * g->kc, sizeof(REAL));
}

/* n columns of k that lie k apart, from column j0 on. A line of each at a time: what is written stays in L1
 * until it is full, and every line that is read is read once. */
static void NAME(matmul_turn_b)(const NAME(matmul_job) * g, int64_t j0, int64_t n,
                                REAL *restrict out)
{
    const int64_t line = MATMUL_LINE / (int64_t)sizeof(REAL);
    for (int64_t k0 = 0; k0 < g->k; k0 += line) {
        const int64_t k1 = min_i64(g->k, k0 + line);
        for (int64_t j = 0; j < n; j++) {
            const REAL *restrict b = g->b + (j0 + j) * g->k;
            for (int64_t k = k0; k < k1; k++)
                out[k * NR + j] = b[k];
        }
    }
}

static void NAME(matmul_pack_b)(void *arg, int64_t panel, int slot)
{
    (void)slot;
    const NAME(matmul_job) *const g = arg;
    const int64_t j0 = panel * NR, n = min_i64(NR, g->n - j0);
    REAL *restrict out = g->b_packed + panel * g->k * NR;
    if (g->tb)
        NAME(matmul_turn_b)(g, j0, n, out);
    for (int64_t k = 0; k < g->k; k++, out += NR) {
        if (!g->tb)
            NAME(copy)(out, g->b + k * g->n + j0, n);
        for (int64_t j = n; j < NR; j++)
            out[j] = 0;
    }
}

static void NAME(matmul_task)(void *arg, int64_t task, int slot)
{
    const NAME(matmul_job) *const g = arg;
    const int64_t block = task / g->panel_groups, group = task % g->panel_groups;
    const int64_t t0 = part_begin(g->row_tiles, g->row_blocks, block);
    const int64_t t1 = part_begin(g->row_tiles, g->row_blocks, block + 1);
    const int64_t r0 = part_begin(g->m, g->row_tiles, t0);
    const int64_t r1 = part_begin(g->m, g->row_tiles, t1);
    const int64_t p0 = part_begin(g->panels, g->panel_groups, group);
    const int64_t p1 = part_begin(g->panels, g->panel_groups, group + 1);
    REAL *const packed = g->a_packed + slot * MATMUL_TILES * MR * g->kc;
    for (int64_t k0 = 0; k0 < g->k; k0 += g->kc) {
        const int64_t kn = min_i64(g->kc, g->k - k0);
        /* rows [r][kn]; transposed, where memory runs along rows, [kn][rows]; whole rows lie so already */
        const REAL *a = packed;
        if (g->ta) {
            for (int64_t k = 0; k < kn; k++)
                NAME(copy)(packed + k * (r1 - r0), g->a + (k0 + k) * g->m + r0, r1 - r0);
        } else if (kn == g->k) {
            a = g->a + r0 * kn;
        } else {
            for (int64_t r = r0; r < r1; r++)
                NAME(copy)(packed + (r - r0) * kn, g->a + r * g->k + k0, kn);
        }
        const int64_t rs = g->ta ? 1 : kn, cs = g->ta ? r1 - r0 : 1;
        for (int64_t p = p0; p < p1; p++)
            for (int64_t t = t0; t < t1; t++) {
                const int64_t r = part_begin(g->m, g->row_tiles, t);
                const NAME(seg) seg = {
                    .a = a + (r - r0) * rs, .b = g->b_packed + (p * g->k + k0) * NR, .len = kn};
                const NAME(tile_out) out = {.c = g->y + r * g->n + p * NR,
                                            .ldc = g->n,
                                            .n = min_i64(NR, g->n - p * NR),
                                            .add = k0 > 0};
                NAME(tile)(part_begin(g->m, g->row_tiles, t + 1) - r, &seg, 1, rs, cs, &out);
            }
    }
}

size_t FN(matmul_scratch)(const fwi_call *c)
{
    NAME(matmul_job) g;
    scratch_cut s = {0};
    NAME(matmul_plan)(&g, c, &s);
    return s.used;
}

fw_status FN(matmul)(const fwi_call *c)
{
    NAME(matmul_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(matmul_plan)(&g, c, &s);
    fwi_pool_for(c->pool, g.panels, NAME(matmul_pack_b), &g);
    fwi_pool_for(c->pool, g.row_blocks * g.panel_groups, NAME(matmul_task), &g);
    return FW_OK;
}
