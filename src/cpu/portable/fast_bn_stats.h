/* fast_bn_stats.h: blocks of rows and the statistics of their channels, in one reading: what batch norm
 * (fast_bn.h), and whoever needs sums over rows (fast_sum_rows.h), goes through its input by; and the
 * statistics alone. Included once per element type and instruction set. Definitions: cpu/ref/bn_body.h,
 * fused_body.h.
 *
 * A block is a run of rows. Statistics: each block sums d = x - shift and d^2, where shift is the
 * mean of a few of its rows, so that a mean that is large against the deviation costs no digits.
 * Sums run in REAL over 64 rows at most, then in double; blocks are joined in order by Chan's
 * formula (Chan, Golub, LeVeque 1983). So memory is read once, and the result depends on shapes alone.
 *
 * Batch-blocked images: rows are [block][place][image], and in the last block the rows of padding
 * are left out of every sum, whatever they hold; blocks of rows begin at a place's first image. With
 * several groups a block of rows is what a group has of a run of places: at every place the same few
 * rows side by side, a piece (bn_piece, fast_groups.h). */
#include "fast_groups.h"
#include "fast_store.h"
#ifndef BN_BLOCK
enum {
    BN_BLOCK = 65536, /* elements of a block */
    BN_RUN = 64,      /* rows summed in REAL */
    BN_SAMPLE = 16    /* rows that give the shift */
};
#define BN_BLOCK BN_BLOCK
#endif

void FN(max_pool_places)(const fwi_call *c, int64_t begin, int64_t end); /* fast_pool.h */

typedef struct NAME(bn_job) {
    const STORE *x, *dy; /* [groups * rows][c] */
    STORE *y;            /* y or dx */
    const REAL *gamma, *beta;
    REAL *mean, *var; /* [groups][c] */
    double eps;
    int64_t c, groups, rows; /* rows: of one group, in memory */
    int64_t count;           /* of them, those that are images */
    int64_t nb, full, tail; /* rows before `full` are all images, then the first `tail` of nb are */
    int64_t blocks, block;  /* of one group; rows of a block */
    int64_t tasks;          /* one per block, or of pieces those of a run of places */
    bool pieces;            /* blocks are those of `cut` */
    group_cut cut;
    double *sums;           /* [groups][blocks][2][c], or [tasks][most][2][c] as the cut has them */
    REAL *run;              /* per slot: [3][c] */
    REAL *coef;             /* [groups][4][c], what the second reading needs */
    const fwi_call *pooled; /* a max_pool whose output x is: each block is made before it is read */
} NAME(bn_job);

static void NAME(bn_plan)(NAME(bn_job) * g, const fwi_call *c, const fwi_arg *x, int64_t groups,
                          scratch_cut *s)
{
    *g = (NAME(bn_job)){.x = x->data, .c = cols_of(&x->shape), .groups = groups};
    g->count = rows_of(&x->shape) / groups;
    g->rows = stored_of(x) / g->c / groups;
    g->nb = block_of(x);
    g->tail = x->shape.d[0] % g->nb;
    const int64_t step = parts_of(max_i64(BN_RUN, BN_BLOCK / g->c), g->nb); /* in places */
    int64_t sums;
    g->pieces = groups > 1 && x->nb != 0;
    if (g->pieces) {
        g->cut = group_cut_of(x, groups, x->shape.d[1] * x->shape.d[2], step);
        g->tasks = g->cut.tasks;
        sums = g->tasks * g->cut.most;
    } else {
        g->full = g->tail == 0 ? g->rows : g->rows - g->rows / wide_images(x);
        g->block = min_i64(g->rows, step * g->nb);
        g->blocks = parts_of(g->rows, g->block);
        g->tasks = sums = groups * g->blocks;
    }
    g->sums = scratch_take(s, sums * 2 * g->c, sizeof(double));
    g->run = scratch_take(s, call_slots(c) * 3 * g->c, sizeof(REAL));
    g->coef = scratch_take(s, groups * 4 * g->c, sizeof(REAL));
}

/* How many rows from r on, at most up to `end`, are images in a run; r is one. */
static inline int64_t NAME(bn_span)(const NAME(bn_job) * g, int64_t r, int64_t end)
{
    return min_i64(BN_RUN, r < g->full ? min_i64(end, g->full) - r : g->tail);
}
/* The row to go on with after a run of n rows. */
static inline int64_t NAME(bn_next)(const NAME(bn_job) * g, int64_t r, int64_t n)
{
    return r < g->full ? r + n : r + g->nb;
}
/* Images among rows r0 .. r1, both at a place's first image. */
static inline int64_t NAME(bn_images)(const NAME(bn_job) * g, int64_t r0, int64_t r1)
{
    const int64_t whole = max_i64(0, min_i64(r1, g->full) - r0);
    return whole + (r1 - r0 - whole) / g->nb * g->tail;
}

/* What a group has of a task's places: `run` rows from row `first` on, and the same at each place, nb
 * rows further. */
typedef struct NAME(bn_piece) {
    int64_t group, first, run, places;
    double *sum; /* [2][c] */
} NAME(bn_piece);

static inline int64_t NAME(bn_pieces)(const NAME(bn_job) * g, int64_t task)
{
    return group_count(&g->cut, task / g->cut.chunks);
}
/* Number i of the task's. */
static inline NAME(bn_piece) NAME(bn_piece_of)(const NAME(bn_job) * g, int64_t task, int64_t i)
{
    const int64_t block = task / g->cut.chunks, group = group_first(&g->cut, block) + i;
    const int64_t place = group_begin(&g->cut, task);
    int64_t begin, end;
    group_rows(&g->cut, block, group, &begin, &end);
    return (NAME(bn_piece)){.group = group,
                            .first = place * g->nb + begin,
                            .run = end - begin,
                            .places = group_end(&g->cut, task) - place,
                            .sum = g->sums + (task * g->cut.most + i) * 2 * g->c};
}

/* How many blocks a group has, and the sums of one; *images: images times places in it. */
static inline int64_t NAME(bn_blocks)(const NAME(bn_job) * g, int64_t group)
{
    return g->pieces ? group_sums(&g->cut, group) : g->blocks;
}
static double *NAME(bn_sum)(const NAME(bn_job) * g, int64_t group, int64_t b, int64_t *images)
{
    if (g->pieces) {
        int64_t task;
        const int64_t at = group_sum(&g->cut, group, b, &task);
        const NAME(bn_piece) piece = NAME(bn_piece_of)(g, task, at - task * g->cut.most);
        *images = piece.run * piece.places;
        return piece.sum;
    }
    *images = NAME(bn_images)(g, b * g->block, min_i64((b + 1) * g->block, g->rows));
    return g->sums + (group * g->blocks + b) * 2 * g->c;
}

/* s0 += x - shift, s1 += (x - shift)^2 over rows of c elements. */
static void NAME(bn_add_rows)(int64_t rows, int64_t c, const STORE *restrict x,
                              const REAL *restrict shift, REAL *restrict s0, REAL *restrict s1)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4, x += 4 * c)
        for (int64_t i = 0; i < c; i++) {
            const REAL a = LOAD(x[i]) - shift[i], b = LOAD(x[c + i]) - shift[i];
            const REAL d = LOAD(x[2 * c + i]) - shift[i], e = LOAD(x[3 * c + i]) - shift[i];
            s0[i] += (a + b) + (d + e);
            s1[i] += (a * a + b * b) + (d * d + e * e);
        }
    for (; r < rows; r++, x += c)
        for (int64_t i = 0; i < c; i++) {
            const REAL a = LOAD(x[i]) - shift[i];
            s0[i] += a;
            s1[i] += a * a;
        }
}

/* Adds a run's sums to the block's and clears them. */
static void NAME(bn_flush)(int64_t c, REAL *restrict s, double *restrict sum)
{
    for (int64_t i = 0; i < 2 * c; i++) {
        sum[i] += (double)s[i];
        s[i] = 0;
    }
}

/* From sums of x - shift and of its square over so many images: mean and sum of squared deviations. */
static void NAME(bn_settle)(int64_t c, int64_t images, const REAL *restrict shift,
                            double *restrict sum)
{
    const double inv_n = 1.0 / (double)images;
    for (int64_t i = 0; i < c; i++) {
        const double d = sum[i] * inv_n;
        sum[c + i] -= sum[i] * d;
        sum[i] = (double)shift[i] + d;
    }
}

/* Mean and sum of squared deviations of a piece. */
static void NAME(bn_piece_stats)(const NAME(bn_job) * g, const NAME(bn_piece) * piece, int slot)
{
    const int64_t c = g->c, rows = piece->run * piece->places, sample = min_i64(rows, BN_SAMPLE);
    const STORE *x = g->x + piece->first * c;
    REAL *const restrict shift = g->run + slot * 3 * c;
    REAL *const s = shift + c;
    double *const restrict sum = piece->sum;
    memset(shift, 0, (size_t)(3 * c) * sizeof(REAL));
    memset(sum, 0, (size_t)(2 * c) * sizeof(double));
    for (int64_t k = 0; k < sample; k++) {
        const int64_t at = part_begin(rows, sample, k);
        const STORE *const row = x + (at / piece->run * g->nb + at % piece->run) * c;
        for (int64_t i = 0; i < c; i++)
            shift[i] += LOAD(row[i]);
    }
    for (int64_t i = 0; i < c; i++)
        shift[i] /= (REAL)sample;
    for (int64_t p = 0, held = piece->run; p < piece->places;
         p++, x += g->nb * c, held += piece->run) {
        NAME(bn_add_rows)(piece->run, c, x, shift, s, s + c);
        if (held + piece->run > BN_RUN || p + 1 == piece->places) {
            NAME(bn_flush)(c, s, sum);
            held = 0;
        }
    }
    NAME(bn_settle)(c, rows, shift, sum);
}

/* All pieces of a task. */
static void NAME(bn_pieces_stats)(const NAME(bn_job) * g, int64_t task, int slot)
{
    if (g->pooled != NULL)
        FN(max_pool_places)(g->pooled, group_begin(&g->cut, task), group_end(&g->cut, task));
    for (int64_t i = 0; i < NAME(bn_pieces)(g, task); i++) {
        const NAME(bn_piece) piece = NAME(bn_piece_of)(g, task, i);
        NAME(bn_piece_stats)(g, &piece, slot);
    }
}

/* One block's mean and sum of squared deviations, [2][c]. */
static void NAME(bn_stats_task)(void *arg, int64_t task, int slot)
{
    const NAME(bn_job) *const g = arg;
    if (g->pieces) {
        NAME(bn_pieces_stats)(g, task, slot);
        return;
    }
    const int64_t c = g->c, group = task / g->blocks, block = task % g->blocks;
    const int64_t r0 = block * g->block, r1 = min_i64(r0 + g->block, g->rows);
    const int64_t n = r1 - r0, images = NAME(bn_images)(g, r0, r1);
    const STORE *const x = g->x + group * g->rows * c;
    REAL *const restrict shift = g->run + slot * 3 * c;
    REAL *const s = shift + c;
    double *const restrict sum = g->sums + task * 2 * c;
    const int64_t sample = min_i64(n, BN_SAMPLE);
    if (g->pooled != NULL)
        FN(max_pool_places)(g->pooled, r0 / g->nb, r1 / g->nb);
    memset(shift, 0, (size_t)(3 * c) * sizeof(REAL));
    memset(sum, 0, (size_t)(2 * c) * sizeof(double));
    for (int64_t k = 0; k < sample; k++) {
        const int64_t at = r0 + part_begin(n, sample, k);
        const STORE *const row = x + (at < g->full ? at : at - at % g->nb) * c;
        for (int64_t i = 0; i < c; i++)
            shift[i] += LOAD(row[i]);
    }
    for (int64_t i = 0; i < c; i++)
        shift[i] /= (REAL)sample;
    for (int64_t r = r0, run; r < r1; r = NAME(bn_next)(g, r, run)) {
        run = NAME(bn_span)(g, r, r1);
        NAME(bn_add_rows)(run, c, x + r * c, shift, s, s + c);
        NAME(bn_flush)(c, s, sum);
    }
    NAME(bn_settle)(c, images, shift, sum);
}

/* Joins a group's blocks, in order, and makes what the second reading needs: mean, gamma/std, beta
 */
static void NAME(bn_join_task)(void *arg, int64_t group, int slot)
{
    (void)slot;
    const NAME(bn_job) *const g = arg;
    const int64_t c = g->c;
    int64_t images;
    double *const restrict mean = NAME(bn_sum)(g, group, 0, &images); /* block 0's, in place */
    double *const restrict m2 = mean + c;
    double n = (double)images;
    for (int64_t b = 1; b < NAME(bn_blocks)(g, group); b++) {
        const double *const restrict bm = NAME(bn_sum)(g, group, b, &images);
        const double *const restrict b2 = bm + c;
        const double bn = (double)images;
        const double share = bn / (n + bn), cross = n * share;
        n += bn;
        for (int64_t i = 0; i < c; i++) {
            const double d = bm[i] - mean[i];
            mean[i] += d * share;
            m2[i] += b2[i] + d * d * cross;
        }
    }
    REAL *const coef = g->coef + group * 4 * c;
    for (int64_t i = 0; i < c; i++) {
        const double var = m2[i] < 0 ? 0 : m2[i] / n; /* a NaN stays one */
        g->mean[group * c + i] = coef[i] = (REAL)mean[i];
        g->var[group * c + i] = (REAL)var;
        if (g->gamma == NULL)
            continue;
        coef[c + i] = (REAL)((double)g->gamma[i] / sqrt(var + g->eps));
        coef[2 * c + i] = g->beta[i];
    }
}

/* ---- statistics alone ---- */
size_t FN(bn_stats_scratch)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {0};
    NAME(bn_plan)(&g, c, &c->in[0], c->attr->stats.groups, &s);
    return s.used;
}

/* Of x, into outputs `mean` and the next. */
static void NAME(bn_stats_of)(NAME(bn_job) * g, const fwi_call *c, int mean)
{
    g->mean = c->out[mean].data;
    g->var = c->out[mean + 1].data;
    fwi_pool_for(c->pool, g->tasks, NAME(bn_stats_task), g);
    fwi_pool_for(c->pool, g->groups, NAME(bn_join_task), g);
}

fw_status FN(bn_stats)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(bn_plan)(&g, c, &c->in[0], c->attr->stats.groups, &s);
    NAME(bn_stats_of)(&g, c, 0);
    return FW_OK;
}

/* Of the result of a pool, on batch-blocked images alone. */
size_t FN(max_pool_stats_scratch)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {0};
    NAME(bn_plan)(&g, c, &c->out[0], c->attr->pool_stats.groups, &s);
    return s.used;
}

fw_status FN(max_pool_stats)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(bn_plan)(&g, c, &c->out[0], c->attr->pool_stats.groups, &s);
    g.pooled = c;
    NAME(bn_stats_of)(&g, c, 2);
    return FW_OK;
}
