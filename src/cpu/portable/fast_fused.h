/* fast_fused.h: the sweeps behind batch statistics on batch-blocked images: norm, activation, and a
 * pool or a sum, in one reading; backwards: fast_fused_grad.h, which this file ends with. Included once
 * per storage type and instruction set, in float arithmetic. Definition: cpu/ref/fused_body.h.
 * Statistics themselves: fast_bn_stats.h.
 *
 * A place is one pixel of a block of images: nb rows of c channels, of which the block's images
 * fill all or, in the last block, the first few. A task is a run of places (fast_groups.h). Inside,
 * elements pass through buffers, RUN_MAX at a time (fast_runs.h). The parameters of a channel lie
 * `width` in a row, repeated until they fill such a run, so that no loop knows about channels; of each
 * group there is such a row, and a place is walked through in parts that lie in one group.
 *
 * Sums run in REAL over 64 values at most, then in double; tasks are joined in order, so the result
 * depends on shapes alone. Padding images are in no sum. */
#include "fast_groups.h"
#include "fast_runs.h"

#ifndef FUSED_BLOCK
enum { FUSED_BLOCK = 65536, FUSED_VALUES = 64 };
#define FUSED_BLOCK FUSED_BLOCK
/* What a task does: values forwards; the sums of the first reading backwards; dx. */
enum { FUSED_VALUES_OUT, FUSED_SUMS_IN, FUSED_DX_OUT };
#endif

typedef struct NAME(fused_job) {
    const fwi_call *call;
    const fwi_arg *dy, *x;
    const fwi_arg *norm; /* gamma, beta, mean, var */
    const uint8_t *idx;  /* of the pool; NULL: none */
    int64_t fn, k;       /* k: the pool's window; 0: none */
    int64_t c, nb, run;  /* run: elements of a place */
    int64_t ph, pw;      /* places of an image: of the smaller one where there is a pool */
    int64_t h, w;        /* of the larger one */
    int64_t width;
    group_cut cut;
    bool pooled_x;          /* the pool lies behind x: x and dx are the larger ones */
    bool stream, store_sum; /* dx past the caches; dx is written with the sums */
    REAL alpha;
    REAL *mean, *scale, *beta, *p, *q; /* [groups][width] */
    double *sums;                      /* [tasks][most][2][c], as the cut has them */
    REAL *s;                           /* per slot: [most][2][width] */
} NAME(fused_job);

/* small: the tensor whose pixels are the places. */
static void NAME(fused_plan)(NAME(fused_job) * g, const fwi_call *c, const fwi_arg *small,
                             int64_t groups, scratch_cut *s)
{
    *g = (NAME(fused_job)){.call = c, .c = small->shape.d[3], .nb = block_of(small)};
    g->run = g->nb * g->c;
    g->ph = g->h = small->shape.d[1];
    g->pw = g->w = small->shape.d[2];
    g->cut = group_cut_of(small, groups, g->ph * g->pw, max_i64(1, FUSED_BLOCK / g->run));
    g->width = max_i64(1, RUN_MAX / g->c) * g->c;
    g->mean = scratch_take(s, groups * g->width, sizeof(REAL));
    g->scale = scratch_take(s, groups * g->width, sizeof(REAL));
    g->beta = scratch_take(s, groups * g->width, sizeof(REAL));
    g->p = scratch_take(s, groups * g->width, sizeof(REAL));
    g->q = scratch_take(s, groups * g->width, sizeof(REAL));
    g->sums = scratch_take(s, g->cut.tasks * g->cut.most * 2 * g->c, sizeof(double));
    g->s = scratch_take(s, call_slots(c) * g->cut.most * 2 * g->width, sizeof(REAL));
}

/* One group's parameters. */
static void NAME(fused_norm_task)(void *arg, int64_t group, int slot)
{
    (void)slot;
    const NAME(fused_job) *const g = arg;
    const REAL *const gamma = g->norm[0].data, *const beta = g->norm[1].data;
    const REAL *const mean = (const REAL *)g->norm[2].data + group * g->c;
    const REAL *const var = (const REAL *)g->norm[3].data + group * g->c;
    const double eps = g->call->attr->bn_act.eps;
    for (int64_t i = 0, to = group * g->width; i < g->width; i++, to++) {
        const bool again = i >= g->c;
        g->mean[to] = again ? g->mean[to - g->c] : mean[i];
        g->scale[to] =
            again ? g->scale[to - g->c] : (REAL)((double)gamma[i] / sqrt((double)var[i] + eps));
        g->beta[to] = again ? g->beta[to - g->c] : beta[i];
    }
}

/* norm: the arguments gamma, beta, mean, var. */
static void NAME(fused_norm_of)(NAME(fused_job) * g, const fwi_arg *norm)
{
    const fwi_bn_act_attr *const a = &g->call->attr->bn_act;
    g->norm = norm;
    g->fn = a->fn;
    g->alpha = (REAL)a->alpha;
    g->k = a->k;
    fwi_pool_for(g->call->pool, g->cut.groups, NAME(fused_norm_task), g);
}

/* The groups of a block of images: `count` of them from `first` on. One group: blocks are one, 0. */
typedef struct NAME(fused_groups) {
    int64_t block, first, count;
} NAME(fused_groups);

static inline NAME(fused_groups) NAME(fused_groups_of)(const NAME(fused_job) * g, int64_t block)
{
    return (NAME(fused_groups)){block, group_first(&g->cut, block), group_count(&g->cut, block)};
}

/* Elements of a place, `len` from `at` on, that are handled together: they have one group. */
typedef struct NAME(fused_part) {
    int64_t at, len;
    int64_t from, sum;  /* where their parameters are; their sums in the slot's */
    int64_t end, piece; /* where the group's end; its number in the block */
} NAME(fused_part);

static inline void NAME(fused_cut)(const NAME(fused_job) * g, const NAME(fused_groups) * b,
                                   NAME(fused_part) * r)
{
    const int64_t from = r->at % g->width;
    r->len = min_i64(min_i64(RUN_MAX, g->width - from), r->end - r->at);
    r->from = (b->first + r->piece) * g->width + from;
    r->sum = r->piece * 2 * g->width + from;
}
/* Of a block with several groups: where those of number `piece` end. */
static inline int64_t NAME(fused_end)(const NAME(fused_job) * g, const NAME(fused_groups) * b,
                                      int64_t piece)
{
    int64_t begin, end;
    group_rows(&g->cut, b->block, b->first + piece, &begin, &end);
    return end * g->c;
}
/* The first part of n elements; of several groups, which end before padding, all that are images. To
 * go on while at < end. */
static inline NAME(fused_part)
    NAME(fused_first)(const NAME(fused_job) * g, const NAME(fused_groups) * b, int64_t n)
{
    NAME(fused_part) r = {.end = b->count == 1 ? n : NAME(fused_end)(g, b, 0)};
    NAME(fused_cut)(g, b, &r);
    return r;
}
static inline void NAME(fused_next)(const NAME(fused_job) * g, const NAME(fused_groups) * b,
                                    NAME(fused_part) * r)
{
    r->at += r->len;
    if (r->at == r->end && r->piece + 1 < b->count)
        r->end = NAME(fused_end)(g, b, ++r->piece);
    NAME(fused_cut)(g, b, r);
}
/* Elements of a place that belong to images. */
static inline int64_t NAME(fused_valid)(const NAME(fused_job) * g, int64_t place)
{
    const int64_t i0 = place / (g->ph * g->pw) * g->nb;
    return min_i64(g->nb, g->x->shape.d[0] - i0) * g->c;
}
/* Where window element p of a place begins in the larger tensor. */
static inline int64_t NAME(fused_window)(const NAME(fused_job) * g, int64_t place, int64_t p)
{
    const int64_t ow = place % g->pw, oh = place / g->pw % g->ph, block = place / g->pw / g->ph;
    return ((block * g->h + oh * g->k + p / g->k) * g->w + ow * g->k + p % g->k) * g->run;
}

/* Adds the sums of a slot, every channel's repetitions, to the task's and clears them; of so many
 * groups. */
static void NAME(fused_flush)(const NAME(fused_job) * g, int64_t groups, REAL *restrict s,
                              double *restrict sum)
{
    for (int64_t half = 0; half < 2 * groups; half++, s += g->width, sum += g->c)
        for (int64_t i = 0; i < g->width; i += g->c)
            for (int64_t ch = 0; ch < g->c; ch++) {
                sum[ch] += (double)s[i + ch];
                s[i + ch] = 0;
            }
}

#ifdef FUSED_OWN /* a room's own tasks for some jobs: fused_own(job, step) gives one or NULL */
#include FUSED_OWN
#endif
static fwi_loop_fn NAME(fused_task)(const NAME(fused_job) * g, int step, fwi_loop_fn task)
{
#ifdef FUSED_OWN
    const fwi_loop_fn own = NAME(fused_own)(g, step);
    return own != NULL ? own : task;
#else
    (void)g;
    (void)step;
    return task;
#endif
}

/* ---- passes ---- */
/* z = act(norm(x)) */
static void NAME(fused_value)(const NAME(fused_job) * g, int64_t n, int64_t from,
                              const STORE *restrict x, REAL *restrict z)
{
    const REAL *restrict mean = g->mean + from, *restrict scale = g->scale + from;
    const REAL *restrict beta = g->beta + from;
    if (g->fn == FWI_FUSED_RELU) {
        for (int64_t i = 0; i < n; i++) {
            const REAL v = MADD(LOAD(x[i]) - mean[i], scale[i], beta[i]);
            z[i] = v < 0 ? 0 : v;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++)
        z[i] = MADD(LOAD(x[i]) - mean[i], scale[i], beta[i]);
    if (g->fn != FWI_FUSED_IDENTITY)
        NAME(act_run)(g->fn, n, g->alpha, z);
}
/* The larger, or the first NaN, and its place. */
static void NAME(fused_larger)(int64_t n, const REAL *restrict v, int32_t p, REAL *restrict best,
                               int32_t *restrict place)
{
    for (int64_t i = 0; i < n; i++) {
        const REAL x = v[i];
        const bool take = (!(x <= best[i])) & (best[i] == best[i]);
        best[i] = take ? x : best[i];
        place[i] = take ? p : place[i];
    }
}

/* ---- forwards ---- */
static void NAME(fused_act_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(fused_job) *const g = arg;
    const NAME(fused_groups) b = NAME(fused_groups_of)(g, task / g->cut.chunks);
    const int64_t end = group_end(&g->cut, task) * g->run;
    const int64_t begin = group_begin(&g->cut, task) * g->run;
    const int64_t n = b.count == 1 ? end - begin : g->run; /* what is walked through in one go */
    _Alignas(64) REAL d[RUN_MAX], z[RUN_MAX];
    for (int64_t i = begin; i < end; i += n) {
        const STORE *const x = (const STORE *)g->x->data + i;
        const STORE *const more =
            g->call->kind == FWI_OP_bn_act_add ? (const STORE *)g->call->in[5].data + i : NULL;
        STORE *const y = (STORE *)g->call->out[0].data + i;
        for (NAME(fused_part) r = NAME(fused_first)(g, &b, n); r.at < r.end;
             NAME(fused_next)(g, &b, &r)) {
            NAME(fused_value)(g, r.len, r.from, x + r.at, z);
            if (more != NULL) {
                NAME(load_run)(r.len, more + r.at, d);
                for (int64_t j = 0; j < r.len; j++)
                    z[j] += d[j];
            }
            NAME(keep_run)(r.len, z, y + r.at);
        }
    }
}

static void NAME(fused_pool_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(fused_job) *const g = arg;
    const NAME(fused_groups) b = NAME(fused_groups_of)(g, task / g->cut.chunks);
    const STORE *const x = g->x->data;
    const int64_t end = group_end(&g->cut, task);
    _Alignas(64) REAL z[RUN_MAX], best[RUN_MAX];
    _Alignas(64) int32_t place[RUN_MAX];
    for (int64_t i = group_begin(&g->cut, task); i < end; i++) {
        STORE *const y = (STORE *)g->call->out[0].data + i * g->run;
        uint8_t *const restrict idx = (uint8_t *)g->call->out[1].data + i * g->run;
        for (NAME(fused_part) r = NAME(fused_first)(g, &b, g->run); r.at < r.end;
             NAME(fused_next)(g, &b, &r)) {
            memset(place, 0, sizeof place);
            NAME(fused_value)(g, r.len, r.from, x + NAME(fused_window)(g, i, 0) + r.at, best);
            for (int32_t p = 1; p < g->k * g->k; p++) {
                NAME(fused_value)(g, r.len, r.from, x + NAME(fused_window)(g, i, p) + r.at, z);
                NAME(fused_larger)(r.len, z, p, best, place);
            }
            NAME(keep_run)(r.len, best, y + r.at);
            for (int64_t j = 0; j < r.len; j++)
                idx[r.at + j] = (uint8_t)place[j];
        }
    }
}

static void NAME(fused_forward)(NAME(fused_job) * g, const fwi_call *c, scratch_cut *s)
{
    const int64_t groups = c->kind == FWI_OP_bias_act ? 1 : fwi_stat_groups(&c->in[3].shape);
    NAME(fused_plan)(g, c, &c->out[0], groups, s);
    g->x = &c->in[0];
    g->h = g->x->shape.d[1];
    g->w = g->x->shape.d[2];
}

size_t FN(bn_act_scratch)(const fwi_call *c)
{
    NAME(fused_job) g;
    scratch_cut s = {0};
    NAME(fused_forward)(&g, c, &s);
    return s.used;
}
fw_status FN(bn_act)(const fwi_call *c)
{
    NAME(fused_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(fused_forward)(&g, c, &s);
    NAME(fused_norm_of)(&g, &c->in[1]);
    const fwi_loop_fn task = g.k > 0 ? NAME(fused_pool_task) : NAME(fused_act_task);
    fwi_pool_for(c->pool, g.cut.tasks, NAME(fused_task)(&g, FUSED_VALUES_OUT, task), &g);
    return FW_OK;
}
size_t FN(bn_act_add_scratch)(const fwi_call *c)
{
    return FN(bn_act_scratch)(c);
}
fw_status FN(bn_act_add)(const fwi_call *c)
{
    return FN(bn_act)(c);
}
size_t FN(bn_act_pool_scratch)(const fwi_call *c)
{
    return FN(bn_act_scratch)(c);
}
fw_status FN(bn_act_pool)(const fwi_call *c)
{
    return FN(bn_act)(c);
}

/* ---- a bias: the norm with mean -b ---- */
static void NAME(fused_bias_of)(NAME(fused_job) * g, const fwi_arg *b)
{
    g->fn = g->call->attr->act.fn;
    g->alpha = (REAL)g->call->attr->act.alpha;
    for (int64_t i = 0; i < g->width; i++) {
        g->mean[i] = -((const REAL *)b->data)[i % g->c];
        g->scale[i] = 1;
        g->beta[i] = 0;
    }
}

size_t FN(bias_act_scratch)(const fwi_call *c)
{
    return FN(bn_act_scratch)(c);
}
fw_status FN(bias_act)(const fwi_call *c)
{
    NAME(fused_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(fused_forward)(&g, c, &s);
    NAME(fused_bias_of)(&g, &c->in[1]);
    fwi_pool_for(c->pool, g.cut.tasks, NAME(fused_task)(&g, FUSED_VALUES_OUT, NAME(fused_act_task)),
                 &g);
    return FW_OK;
}

#include "fast_fused_grad.h"
