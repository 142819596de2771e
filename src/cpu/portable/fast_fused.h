/* fast_fused.h: the sweeps behind batch statistics on batch-blocked images: norm, activation, and a
 * pool or a sum, in one reading; backwards: fast_fused_grad.h, which this file ends with. Included once
 * per storage type and instruction set, in float arithmetic. Definition: cpu/ref/fused_body.h.
 * Statistics themselves: fast_bn_stats.h.
 *
 * A place is one pixel of a block of images: nb rows of c channels, of which the block's images
 * fill all or, in the last block, the first few. A task is a run of places. Inside, elements pass
 * through buffers, RUN_MAX at a time (fast_runs.h). The parameters of a channel lie `width` in a
 * row, repeated until they fill such a run, so that no loop knows about channels.
 *
 * Sums run in REAL over 64 values at most, then in double; tasks are joined in order, so the result
 * depends on shapes alone. Padding images are in no sum. */
#include "fast_runs.h"

#ifndef FUSED_BLOCK
enum { FUSED_BLOCK = 65536, FUSED_VALUES = 64, FUSED_LLC = 1 << 25 };
#define FUSED_BLOCK FUSED_BLOCK
/* What a task does: values forwards; the sums of the first reading backwards; dx. */
enum { FUSED_VALUES_OUT, FUSED_SUMS_IN, FUSED_DX_OUT };
#endif

typedef struct NAME(fused_job) {
    const fwi_call *call;
    const fwi_arg *dy, *x;
    const uint8_t *idx;   /* of the pool; NULL: none */
    int64_t fn, k;        /* k: the pool's window; 0: none */
    int64_t c, nb, run;   /* run: elements of a place */
    int64_t ph, pw;       /* places of an image: of the smaller one where there is a pool */
    int64_t h, w;         /* of the larger one */
    int64_t places, step; /* of all blocks; of a task */
    int64_t tasks, width;
    bool pooled_x;          /* the pool lies behind x: x and dx are the larger ones */
    bool stream, store_sum; /* dx past the caches; dx is written with the sums */
    REAL alpha;
    REAL *mean, *scale, *beta, *p, *q; /* [width] */
    double *sums;                      /* [tasks][2][c] */
    REAL *s;                           /* per slot: [2][width] */
} NAME(fused_job);

/* small: the tensor whose pixels are the places. */
static void NAME(fused_plan)(NAME(fused_job) * g, const fwi_call *c, const fwi_arg *small,
                             scratch_cut *s)
{
    *g = (NAME(fused_job)){.call = c, .c = small->shape.d[3], .nb = block_of(small)};
    g->run = g->nb * g->c;
    g->ph = g->h = small->shape.d[1];
    g->pw = g->w = small->shape.d[2];
    g->places = wide_images(small) * g->ph * g->pw;
    g->step = max_i64(1, FUSED_BLOCK / g->run);
    g->tasks = parts_of(g->places, g->step);
    g->width = max_i64(1, RUN_MAX / g->c) * g->c;
    g->mean = scratch_take(s, g->width, sizeof(REAL));
    g->scale = scratch_take(s, g->width, sizeof(REAL));
    g->beta = scratch_take(s, g->width, sizeof(REAL));
    g->p = scratch_take(s, g->width, sizeof(REAL));
    g->q = scratch_take(s, g->width, sizeof(REAL));
    g->sums = scratch_take(s, g->tasks * 2 * g->c, sizeof(double));
    g->s = scratch_take(s, call_slots(c) * 2 * g->width, sizeof(REAL));
}

/* p: the arguments gamma, beta, mean, var. */
static void NAME(fused_norm_of)(NAME(fused_job) * g, const fwi_bn_act_attr *a, const fwi_arg *p)
{
    const REAL *const gamma = p[0].data, *const beta = p[1].data;
    const REAL *const mean = p[2].data, *const var = p[3].data;
    g->fn = a->fn;
    g->alpha = (REAL)a->alpha;
    g->k = a->k;
    for (int64_t i = 0; i < g->width; i++) {
        const int64_t ch = i % g->c;
        g->mean[i] = mean[ch];
        g->scale[i] = (REAL)((double)gamma[ch] / sqrt((double)var[ch] + a->eps));
        g->beta[i] = beta[ch];
    }
}

/* Elements from `at` on of a run of n that are handled together; *from: where their parameters are. */
static inline int64_t NAME(fused_len)(const NAME(fused_job) * g, int64_t at, int64_t n,
                                      int64_t *from)
{
    *from = at % g->width;
    return min_i64(min_i64(RUN_MAX, g->width - *from), n - at);
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

/* Adds the sums of a slot, every channel's repetitions, to the task's and clears them. */
static void NAME(fused_flush)(const NAME(fused_job) * g, REAL *restrict s, double *restrict sum)
{
    for (int64_t half = 0; half < 2; half++, s += g->width, sum += g->c)
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
    const int64_t begin = task * g->step * g->run;
    const int64_t n = min_i64(g->places * g->run, begin + g->step * g->run) - begin;
    const STORE *const x = (const STORE *)g->x->data + begin;
    const STORE *const r =
        g->call->kind == FWI_OP_bn_act_add ? (const STORE *)g->call->in[5].data + begin : NULL;
    STORE *const y = (STORE *)g->call->out[0].data + begin;
    _Alignas(64) REAL d[RUN_MAX], z[RUN_MAX];
    for (int64_t at = 0, len, from; at < n; at += len) {
        len = NAME(fused_len)(g, at, n, &from);
        NAME(fused_value)(g, len, from, x + at, z);
        if (r != NULL) {
            NAME(load_run)(len, r + at, d);
            for (int64_t i = 0; i < len; i++)
                z[i] += d[i];
        }
        NAME(keep_run)(len, z, y + at);
    }
}

static void NAME(fused_pool_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(fused_job) *const g = arg;
    const STORE *const x = g->x->data;
    const int64_t end = min_i64(g->places, (task + 1) * g->step);
    _Alignas(64) REAL z[RUN_MAX], best[RUN_MAX];
    _Alignas(64) int32_t place[RUN_MAX];
    for (int64_t i = task * g->step; i < end; i++) {
        STORE *const y = (STORE *)g->call->out[0].data + i * g->run;
        uint8_t *const restrict idx = (uint8_t *)g->call->out[1].data + i * g->run;
        for (int64_t at = 0, len, from; at < g->run; at += len) {
            len = NAME(fused_len)(g, at, g->run, &from);
            memset(place, 0, sizeof place);
            NAME(fused_value)(g, len, from, x + NAME(fused_window)(g, i, 0) + at, best);
            for (int32_t p = 1; p < g->k * g->k; p++) {
                NAME(fused_value)(g, len, from, x + NAME(fused_window)(g, i, p) + at, z);
                NAME(fused_larger)(len, z, p, best, place);
            }
            NAME(keep_run)(len, best, y + at);
            for (int64_t j = 0; j < len; j++)
                idx[at + j] = (uint8_t)place[j];
        }
    }
}

static void NAME(fused_forward)(NAME(fused_job) * g, const fwi_call *c, scratch_cut *s)
{
    NAME(fused_plan)(g, c, &c->out[0], s);
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
    NAME(fused_norm_of)(&g, &c->attr->bn_act, &c->in[1]);
    const fwi_loop_fn task = g.k > 0 ? NAME(fused_pool_task) : NAME(fused_act_task);
    fwi_pool_for(c->pool, g.tasks, NAME(fused_task)(&g, FUSED_VALUES_OUT, task), &g);
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
    fwi_pool_for(c->pool, g.tasks, NAME(fused_task)(&g, FUSED_VALUES_OUT, NAME(fused_act_task)),
                 &g);
    return FW_OK;
}

#include "fast_fused_grad.h"
