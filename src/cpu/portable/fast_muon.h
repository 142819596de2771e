/* fast_muon.h: the update of Muon, its products on the room's own matmul kernel (matmul.c). Included
 * once per element type and instruction set. Definition: cpu/ref/muon_body.h.
 *
 * Every X of the iteration is a polynomial Q of A = X X^T times the first X, so only m x m matrices
 * are iterated on: with B = a I + b A + c A^2, which is symmetric and commutes with A, X' = B X has
 * A' = B A B and Q' = B Q. For 256 x 2304 that halves the work. Where A is singular, its zeros are
 * roundings, which a^2 multiplies in each step; as a negative number one would grow without end, which
 * X X^T cannot have. So after MUON_SPAN steps X and A are worked out anew. Everything is in the element type but
 * the sums of squares, which are in double, by blocks of a size that shapes fix, joined in order. */

#include "fast_squares.h"

#ifndef MUON_SPAN
/* with a = 3.4576 a rounding grows 2.5e5 times in so many steps: in f32 to 0.01 of what there is */
enum { MUON_SPAN = 5 };
#define MUON_SPAN MUON_SPAN
#endif

/* matmul.c of this room */
fw_status FN(matmul)(const fwi_call *c);
size_t FN(matmul_scratch)(const fwi_call *c);

typedef struct NAME(muon_job) {
    const fwi_call *call;
    REAL *w, *v;
    const REAL *g;
    int64_t rows, rest;   /* w */
    int64_t m, n;         /* X: the same, or turned so that m <= n */
    int64_t blocks;       /* of LOOP_BLOCK elements of w */
    int64_t bands;        /* of rows of w, for the sweeps that may turn it */
    REAL *x, *y;          /* [m][n] */
    REAL *xx, *b, *q, *t; /* [m][m] */
    double *sums;         /* [blocks][2]: of u^2, of w^2 */
    void *product;
    REAL mom, scale, renorm, lr, keep;
} NAME(muon_job);

/* out = a op(b), as a call of the matmul kernel; a has m rows and a_cols columns, op(b) b_cols. */
static fwi_call NAME(muon_product)(const NAME(muon_job) * j, bool tb, REAL *a, int64_t a_cols,
                                   REAL *b, int64_t b_cols, REAL *out)
{
    static const fwi_attr attr[2] = {{.matmul = {0, 0}}, {.matmul = {0, 1}}};
    const fwi_shape sb = {.rank = 2, .d = {tb ? b_cols : a_cols, tb ? a_cols : b_cols}};
    return (fwi_call){
        .kind = FWI_OP_matmul,
        .attr = &attr[tb],
        .in = {{.data = a, .dtype = REAL_DTYPE, .shape = {.rank = 2, .d = {j->m, a_cols}}},
               {.data = b, .dtype = REAL_DTYPE, .shape = sb}},
        .out = {{.data = out, .dtype = REAL_DTYPE, .shape = {.rank = 2, .d = {j->m, b_cols}}}},
        .scratch = j->product,
        .pool = j->call->pool};
}

static fwi_call NAME(muon_gram)(const NAME(muon_job) * j) /* xx = x x^T */
{
    return NAME(muon_product)(j, true, j->x, j->n, j->x, j->m, j->xx);
}
static fwi_call NAME(muon_apply)(const NAME(muon_job) * j) /* y = q x */
{
    return NAME(muon_product)(j, false, j->q, j->m, j->x, j->n, j->y);
}
static fwi_call NAME(muon_square)(const NAME(muon_job) * j, REAL *a, REAL *b, REAL *out) /* m x m */
{
    return NAME(muon_product)(j, false, a, j->m, b, j->m, out);
}

static void NAME(muon_plan)(NAME(muon_job) * j, const fwi_call *c, scratch_cut *s)
{
    *j = (NAME(muon_job)){.call = c,
                          .w = c->in[0].data,
                          .v = c->in[1].data,
                          .g = c->in[2].data,
                          .rows = c->in[0].shape.d[0]};
    j->rest = elems_of(&c->in[0].shape) / j->rows;
    j->m = min_i64(j->rows, j->rest);
    j->n = max_i64(j->rows, j->rest);
    j->blocks = parts_of(j->rows * j->rest, LOOP_BLOCK);
    j->bands = parts_of(j->rows, block_rows(j->rest));
    j->x = scratch_take(s, j->m * j->n, sizeof(REAL));
    j->y = scratch_take(s, j->m * j->n, sizeof(REAL));
    j->xx = scratch_take(s, j->m * j->m, sizeof(REAL));
    j->b = scratch_take(s, j->m * j->m, sizeof(REAL));
    j->q = scratch_take(s, j->m * j->m, sizeof(REAL));
    j->t = scratch_take(s, j->m * j->m, sizeof(REAL));
    j->sums = scratch_take(s, 2 * j->blocks, sizeof(double));
    const fwi_call products[] = {NAME(muon_gram)(j), NAME(muon_apply)(j),
                                 NAME(muon_square)(j, j->b, j->xx, j->t)};
    size_t bytes = 0;
    for (int i = 0; i < 3; i++) {
        const size_t more = FN(matmul_scratch)(&products[i]);
        bytes = more > bytes ? more : bytes;
    }
    j->product = scratch_take(s, (int64_t)bytes, 1);
}

/* v and u, u into y, and the sums of squares of a block. */
static void NAME(muon_momentum)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const NAME(muon_job) *const j = arg;
    const REAL mom = j->mom;
    const REAL *const restrict g = j->g, *const restrict w = j->w;
    REAL *const restrict v = j->v, *const restrict u = j->y;
    const int64_t begin = part * LOOP_BLOCK;
    const int64_t end = min_i64(begin + LOOP_BLOCK, j->rows * j->rest);
    for (int64_t i = begin; i < end; i++) {
        v[i] = mom * v[i] + g[i];
        u[i] = g[i] + mom * v[i];
    }
    j->sums[2 * part] = NAME(squares)(end - begin, u + begin);
    j->sums[2 * part + 1] = NAME(squares)(end - begin, w + begin);
}

/* u of a band of w's rows, in y, scaled into x. */
static void NAME(muon_scale)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const NAME(muon_job) *const j = arg;
    const REAL scale = j->scale;
    const int64_t end = part_begin(j->rows, j->bands, part + 1);
    for (int64_t r = part_begin(j->rows, j->bands, part); r < end; r++) {
        const REAL *const restrict u = j->y + r * j->rest;
        if (j->rows > j->rest) {
            for (int64_t k = 0; k < j->rest; k++)
                j->x[k * j->n + r] = u[k] * scale;
        } else {
            REAL *const restrict x = j->x + r * j->n;
            for (int64_t k = 0; k < j->rest; k++)
                x[k] = u[k] * scale;
        }
    }
}

/* A row of B = a I + b A + c A^2; A^2 is where B goes. */
static void NAME(muon_polynomial)(void *arg, int64_t row, int slot)
{
    (void)slot;
    const NAME(muon_job) *const j = arg;
    const fwi_muon_attr *const a = &j->call->attr->muon;
    const REAL cb = (REAL)a->b, cc = (REAL)a->c;
    const REAL *const restrict xx = j->xx + row * j->m;
    REAL *const restrict b = j->b + row * j->m;
    for (int64_t k = 0; k < j->m; k++)
        b[k] = cb * xx[k] + cc * b[k];
    b[row] += (REAL)a->a;
}

/* A band of w's rows moves along the last X, in y. */
static void NAME(muon_move)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const NAME(muon_job) *const j = arg;
    const REAL renorm = j->renorm, lr = j->lr, keep = j->keep;
    const int64_t end = part_begin(j->rows, j->bands, part + 1);
    for (int64_t r = part_begin(j->rows, j->bands, part); r < end; r++) {
        REAL *const restrict w = j->w + r * j->rest;
        if (j->rows > j->rest) {
            for (int64_t k = 0; k < j->rest; k++)
                w[k] = (renorm * w[k] - lr * j->y[k * j->n + r]) * keep;
        } else {
            const REAL *const restrict x = j->y + r * j->n;
            for (int64_t k = 0; k < j->rest; k++)
                w[k] = (renorm * w[k] - lr * x[k]) * keep;
        }
    }
}

static fw_status NAME(muon_square_run)(const NAME(muon_job) * j, REAL *a, REAL *b, REAL *out)
{
    const fwi_call c = NAME(muon_square)(j, a, b, out);
    return FN(matmul)(&c);
}

static void NAME(muon_swap)(REAL **a, REAL **b)
{
    REAL *const t = *a;
    *a = *b;
    *b = t;
}

/* Q of so many steps, then y = Q x. */
static fw_status NAME(muon_span)(NAME(muon_job) * j, int64_t steps)
{
    const fwi_call gram = NAME(muon_gram)(j);
    fw_status st = FN(matmul)(&gram);
    for (int64_t k = 0; k < steps && st == FW_OK; k++) {
        st = NAME(muon_square_run)(j, j->xx, j->xx, j->b);
        fwi_pool_for(j->call->pool, j->m, NAME(muon_polynomial), j);
        if (st == FW_OK && k + 1 < steps) { /* A' = B A B */
            st = NAME(muon_square_run)(j, j->b, j->xx, j->t);
            if (st == FW_OK)
                st = NAME(muon_square_run)(j, j->t, j->b, j->xx);
        }
        if (k == 0) {
            NAME(muon_swap)(&j->q, &j->b);
        } else if (st == FW_OK) {
            st = NAME(muon_square_run)(j, j->b, j->q, j->t);
            NAME(muon_swap)(&j->q, &j->t);
        }
    }
    const fwi_call apply = NAME(muon_apply)(j);
    return st == FW_OK ? FN(matmul)(&apply) : st;
}

static fw_status NAME(muon_iterate)(NAME(muon_job) * j)
{
    int64_t left = j->call->attr->muon.steps;
    fw_status st = FW_OK;
    while (st == FW_OK && left > 0) {
        st = NAME(muon_span)(j, min_i64(left, MUON_SPAN));
        left -= MUON_SPAN;
        if (left > 0)
            NAME(muon_swap)(&j->x, &j->y);
    }
    return st;
}

size_t FN(muon_scratch)(const fwi_call *c)
{
    NAME(muon_job) j;
    scratch_cut s = {0};
    NAME(muon_plan)(&j, c, &s);
    return s.used;
}

fw_status FN(muon)(const fwi_call *c)
{
    const fwi_muon_attr *const a = &c->attr->muon;
    const double *const hyper = c->in[3].data;
    const double lr = hyper[a->lr_col];
    NAME(muon_job) j;
    scratch_cut s = {.base = c->scratch};
    NAME(muon_plan)(&j, c, &s);
    j.mom = (REAL)a->momentum;
    fwi_pool_for(c->pool, j.blocks, NAME(muon_momentum), &j);
    if (lr == 0) /* w stays, its norm too */
        return FW_OK;
    double uu = 0, ww = 0;
    for (int64_t i = 0; i < j.blocks; i++) {
        uu += j.sums[2 * i];
        ww += j.sums[2 * i + 1];
    }
    j.scale = (REAL)(1 / (hyper[a->xn_col] * sqrt(uu) + hyper[a->xn_col + 1]));
    fwi_pool_for(c->pool, j.bands, NAME(muon_scale), &j);
    const fw_status st = NAME(muon_iterate)(&j);
    if (st != FW_OK)
        return st;
    j.renorm = hyper[a->rn_col] != 0 && ww > 0
                   ? (REAL)(sqrt((double)j.rows) / (sqrt(ww) + a->renorm_eps))
                   : 1;
    j.lr = (REAL)lr;
    j.keep = (REAL)(1 - lr * hyper[a->wd_col]);
    fwi_pool_for(c->pool, j.bands, NAME(muon_move), &j);
    return FW_OK;
}
