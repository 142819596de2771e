/* fast_bn.h: batch normalisation in two readings of its input, one for the statistics or for the sums
 * that the gradient needs (fast_bn_stats.h, to be read before), one to normalise. Included once per
 * element type and instruction set. Definitions: cpu/ref/bn_body.h. */
#include "fast_bn_stats.h"

/* y = (x - mean) * scale + beta for n rows from row `at` on, with the group's coefficients */
static void NAME(bn_apply_rows)(const NAME(bn_job) * g, int64_t group, int64_t at, int64_t n)
{
    const int64_t c = g->c;
    const STORE *restrict x = g->x + at * c;
    STORE *restrict y = g->y + at * c;
    const REAL *const restrict mean = g->coef + group * 4 * c;
    const REAL *const restrict scale = mean + c, *const restrict beta = mean + 2 * c;
    for (int64_t r = 0; r < n; r++, x += c, y += c)
        for (int64_t i = 0; i < c; i++)
            y[i] = KEEP((LOAD(x[i]) - mean[i]) * scale[i] + beta[i]);
}

static void NAME(bn_apply_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(bn_job) *const g = arg;
    if (!g->pieces) {
        const int64_t group = task / g->blocks, r0 = task % g->blocks * g->block;
        NAME(bn_apply_rows)(g, group, group * g->rows + r0, min_i64(g->block, g->rows - r0));
        return;
    }
    for (int64_t i = 0; i < NAME(bn_pieces)(g, task); i++) {
        const NAME(bn_piece) piece = NAME(bn_piece_of)(g, task, i);
        for (int64_t p = 0; p < piece.places; p++)
            NAME(bn_apply_rows)(g, piece.group, piece.first + p * g->nb, piece.run);
    }
}

size_t FN(bn_train_scratch)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {0};
    NAME(bn_plan)(&g, c, &c->in[0], c->attr->bn.groups, &s);
    return s.used;
}

fw_status FN(bn_train)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(bn_plan)(&g, c, &c->in[0], c->attr->bn.groups, &s);
    g.gamma = c->in[1].data;
    g.beta = c->in[2].data;
    g.y = c->out[0].data;
    g.mean = c->out[1].data;
    g.var = c->out[2].data;
    g.eps = c->attr->bn.eps;
    fwi_pool_for(c->pool, g.tasks, NAME(bn_stats_task), &g);
    fwi_pool_for(c->pool, g.groups, NAME(bn_join_task), &g);
    fwi_pool_for(c->pool, g.tasks, NAME(bn_apply_task), &g);
    return FW_OK;
}

/* ---- evaluation ---- */
size_t FN(bn_eval_scratch)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {0};
    NAME(bn_plan)(&g, c, &c->in[0], 1, &s);
    return s.used;
}

fw_status FN(bn_eval)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(bn_plan)(&g, c, &c->in[0], 1, &s);
    const REAL *const gamma = c->in[1].data, *const beta = c->in[2].data;
    const REAL *const mean = c->in[3].data, *const var = c->in[4].data;
    g.y = c->out[0].data;
    for (int64_t i = 0; i < g.c; i++) {
        g.coef[i] = mean[i];
        g.coef[g.c + i] = (REAL)((double)gamma[i] / sqrt((double)var[i] + c->attr->bn.eps));
        g.coef[2 * g.c + i] = beta[i];
    }
    fwi_pool_for(c->pool, g.tasks, NAME(bn_apply_task), &g);
    return FW_OK;
}

/* ---- gradient ---- */
/* s0 += dy, s1 += dy (x - mean). */
static void NAME(bn_add_grad_rows)(int64_t rows, int64_t c, const STORE *restrict dy,
                                   const STORE *restrict x, const REAL *restrict mean,
                                   REAL *restrict s0, REAL *restrict s1)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4, x += 4 * c, dy += 4 * c)
        for (int64_t i = 0; i < c; i++) {
            const REAL a = LOAD(x[i]) - mean[i], b = LOAD(x[c + i]) - mean[i];
            const REAL d = LOAD(x[2 * c + i]) - mean[i], e = LOAD(x[3 * c + i]) - mean[i];
            const REAL p = LOAD(dy[i]), q = LOAD(dy[c + i]);
            const REAL r2 = LOAD(dy[2 * c + i]), r3 = LOAD(dy[3 * c + i]);
            s0[i] += (p + q) + (r2 + r3);
            s1[i] += (p * a + q * b) + (r2 * d + r3 * e);
        }
    for (; r < rows; r++, x += c, dy += c)
        for (int64_t i = 0; i < c; i++) {
            s0[i] += LOAD(dy[i]);
            s1[i] += LOAD(dy[i]) * (LOAD(x[i]) - mean[i]);
        }
}

/* A piece's sums of dy and dy (x - mean). */
static void NAME(bn_piece_grad_sums)(const NAME(bn_job) * g, const NAME(bn_piece) * piece, int slot)
{
    const int64_t c = g->c;
    const REAL *const mean = g->mean + piece->group * c;
    REAL *const s = g->run + slot * 3 * c;
    memset(s, 0, (size_t)(2 * c) * sizeof(REAL));
    memset(piece->sum, 0, (size_t)(2 * c) * sizeof(double));
    for (int64_t p = 0, held = piece->run; p < piece->places; p++, held += piece->run) {
        const int64_t at = (piece->first + p * g->nb) * c;
        NAME(bn_add_grad_rows)(piece->run, c, g->dy + at, g->x + at, mean, s, s + c);
        if (held + piece->run > BN_RUN || p + 1 == piece->places) {
            NAME(bn_flush)(c, s, piece->sum);
            held = 0;
        }
    }
}

/* One block's sums of dy and dy (x - mean), [2][c]. */
static void NAME(bn_grad_sums_task)(void *arg, int64_t task, int slot)
{
    const NAME(bn_job) *const g = arg;
    if (g->pieces) {
        for (int64_t i = 0; i < NAME(bn_pieces)(g, task); i++) {
            const NAME(bn_piece) piece = NAME(bn_piece_of)(g, task, i);
            NAME(bn_piece_grad_sums)(g, &piece, slot);
        }
        return;
    }
    const int64_t c = g->c, group = task / g->blocks, block = task % g->blocks;
    const int64_t r0 = block * g->block, r1 = min_i64(r0 + g->block, g->rows);
    const int64_t at = group * g->rows * c;
    REAL *const s = g->run + slot * 3 * c;
    double *const sum = g->sums + task * 2 * c;
    memset(s, 0, (size_t)(2 * c) * sizeof(REAL));
    memset(sum, 0, (size_t)(2 * c) * sizeof(double));
    for (int64_t r = r0, run; r < r1; r = NAME(bn_next)(g, r, run)) {
        run = NAME(bn_span)(g, r, r1);
        NAME(bn_add_grad_rows)
        (run, c, g->dy + at + r * c, g->x + at + r * c, g->mean + group * c, s, s + c);
        NAME(bn_flush)(c, s, sum);
    }
}

/* dx = k (dy - (sum dy) / n - (x - mean) q), k = gamma / std, q = (sum dy (x - mean)) / (n std^2)
 */
static void NAME(bn_grad_join_task)(void *arg, int64_t group, int slot)
{
    (void)slot;
    const NAME(bn_job) *const g = arg;
    const int64_t c = g->c;
    int64_t images;
    double *const restrict sum = NAME(bn_sum)(g, group, 0, &images); /* block 0's, in place */
    for (int64_t b = 1; b < NAME(bn_blocks)(g, group); b++) {
        const double *const restrict add = NAME(bn_sum)(g, group, b, &images);
        for (int64_t i = 0; i < 2 * c; i++)
            sum[i] += add[i];
    }
    REAL *const coef = g->coef + group * 4 * c;
    for (int64_t i = 0; i < c; i++) {
        const double inv_var = 1.0 / ((double)g->var[group * c + i] + g->eps);
        coef[i] = g->mean[group * c + i];
        coef[c + i] = (REAL)((double)g->gamma[i] * sqrt(inv_var));
        coef[2 * c + i] = (REAL)(sum[i] / (double)g->count);
        coef[3 * c + i] = (REAL)(sum[c + i] * inv_var / (double)g->count);
        sum[c + i] *= sqrt(inv_var); /* now this group's dgamma */
    }
}

static void NAME(bn_grad_apply_rows)(const NAME(bn_job) * g, int64_t group, int64_t at, int64_t n)
{
    const int64_t c = g->c;
    const STORE *restrict x = g->x + at * c, *restrict dy = g->dy + at * c;
    STORE *restrict dx = g->y + at * c;
    const REAL *const restrict mean = g->coef + group * 4 * c, *const restrict k = mean + c;
    const REAL *const restrict p = mean + 2 * c, *const restrict q = mean + 3 * c;
    for (int64_t r = 0; r < n; r++, x += c, dy += c, dx += c)
        for (int64_t i = 0; i < c; i++)
            dx[i] = KEEP(k[i] * (LOAD(dy[i]) - p[i] - (LOAD(x[i]) - mean[i]) * q[i]));
}

static void NAME(bn_grad_apply_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(bn_job) *const g = arg;
    if (!g->pieces) {
        const int64_t group = task / g->blocks, r0 = task % g->blocks * g->block;
        NAME(bn_grad_apply_rows)(g, group, group * g->rows + r0, min_i64(g->block, g->rows - r0));
        return;
    }
    for (int64_t i = 0; i < NAME(bn_pieces)(g, task); i++) {
        const NAME(bn_piece) piece = NAME(bn_piece_of)(g, task, i);
        for (int64_t p = 0; p < piece.places; p++)
            NAME(bn_grad_apply_rows)(g, piece.group, piece.first + p * g->nb, piece.run);
    }
}

size_t FN(bn_train_grad_scratch)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {0};
    NAME(bn_plan)(&g, c, &c->in[1], c->attr->bn.groups, &s);
    return s.used;
}

fw_status FN(bn_train_grad)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(bn_plan)(&g, c, &c->in[1], c->attr->bn.groups, &s);
    g.dy = c->in[0].data;
    g.gamma = c->in[2].data;
    g.mean = c->in[3].data;
    g.var = c->in[4].data;
    g.eps = c->attr->bn.eps;
    g.y = c->out[0].data;
    REAL *const dgamma = c->out[1].data, *const dbeta = c->out[2].data;
    fwi_pool_for(c->pool, g.tasks, NAME(bn_grad_sums_task), &g);
    fwi_pool_for(c->pool, g.groups, NAME(bn_grad_join_task), &g);
    fwi_pool_for(c->pool, g.tasks, NAME(bn_grad_apply_task), &g);
    int64_t images;
    double *const sum = NAME(bn_sum)(&g, 0, 0, &images);
    for (int64_t k = 1; k < g.groups; k++) {
        const double *const add = NAME(bn_sum)(&g, k, 0, &images);
        for (int64_t i = 0; i < 2 * g.c; i++)
            sum[i] += add[i];
    }
    for (int64_t i = 0; i < g.c; i++) {
        dbeta[i] = (REAL)sum[i];
        dgamma[i] = (REAL)sum[g.c + i];
    }
    return FW_OK;
}

#include "fast_sum_rows.h"
