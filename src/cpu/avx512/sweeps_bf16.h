/* sweeps_bf16.h: the tasks of fast_fused.h in registers, for images stored as bf16: identity, relu,
 * gelu, silu and celu, with pools of 2 x 2 or none. 32 elements at a time go from memory through norm,
 * activation, pool and sums back to memory; parameters and sums of a run lie in the first-level
 * cache. So a sweep takes the time that memory takes. Anything else is left to the tasks of
 * fast_fused.h, which includes this file behind its plan; arithmetic is that of fast_math_short.h but
 * for what is noted, and sums are joined as there. For this room and for avx512_bf16, which has an
 * instruction that rounds.
 *
 * Tensors that the caches cannot hold are written past them, where whole lines of 64 bytes are. */
#include <immintrin.h>

#define SWEEP static inline __attribute__((always_inline))

typedef struct sweep_pair {
    __m512 lo, hi; /* elements 0 .. 15 and 16 .. 31 */
} sweep_pair;

static const __mmask32 SWEEP_ALL = 0xFFFFFFFFU;

/* The elements of a run from j on, as a mask. */
SWEEP __mmask32 sweep_some(int64_t n, int64_t j)
{
    return n - j >= 32 ? SWEEP_ALL : (__mmask32)((1U << (n - j)) - 1U);
}

/* ---- memory ---- */
SWEEP __m512 sweep_widen(__m256i v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}
SWEEP sweep_pair sweep_wide(__m512i v)
{
    return (sweep_pair){sweep_widen(_mm512_castsi512_si256(v)),
                        sweep_widen(_mm512_extracti64x4_epi64(v, 1))};
}
SWEEP sweep_pair sweep_load(__mmask32 some, const uint16_t *p)
{
    if (some == SWEEP_ALL)
        return (sweep_pair){sweep_widen(_mm256_loadu_si256((const __m256i *)p)),
                            sweep_widen(_mm256_loadu_si256((const __m256i *)(p + 16)))};
    return sweep_wide(_mm512_maskz_loadu_epi16(some, p));
}
SWEEP sweep_pair sweep_floats(__mmask32 some, const float *p)
{
    return (sweep_pair){_mm512_maskz_loadu_ps((__mmask16)some, p),
                        _mm512_maskz_loadu_ps((__mmask16)(some >> 16), p + 16)};
}
SWEEP __m512i sweep_round(sweep_pair v)
{
#ifdef __AVX512BF16__ /* denormals become 0 */
    return (__m512i)_mm512_cvtne2ps_pbh(v.hi, v.lo);
#else
    const __m512i upper =
        _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                         25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_permutex2var_epi16(v_nearest_bf16(v.lo), upper, v_nearest_bf16(v.hi));
#endif
}
SWEEP void sweep_store(__mmask32 some, bool stream, __m512i v, uint16_t *p)
{
    if (stream)
        _mm512_stream_si512((void *)p, v);
    else
        _mm512_mask_storeu_epi16(p, some, v);
}
/* Whether a tensor made of the job's runs is written past the caches. */
static bool sweep_streams(const fused_job_bf16 *g, const fwi_arg *y)
{
    if (g->cut.groups > 1 && g->c % 32 != 0) /* runs end where a group does */
        return false;
    return ((uintptr_t)y->data | (uintptr_t)g->run * 2 | (uintptr_t)g->width * 2) % 64 == 0 &&
           stored_of(y) * 2 > fwi_stream_from;
}

/* ---- arithmetic ---- */
/* A job's activation. `which` is a constant of the task that it is handed to. */
typedef struct sweep_fn {
    int64_t which;
    float alpha, by; /* of celu: alpha, and log2 e / alpha */
} sweep_fn;

SWEEP sweep_fn sweep_fn_of(const fused_job_bf16 *g, int64_t which)
{
    if (which != FWI_CELU)
        return (sweep_fn){.which = which};
    return (sweep_fn){which, g->alpha, 1.44269504088896341f / g->alpha};
}
/* The smaller of |x| and `most`, compared as whole numbers; of a NaN `most`. */
SWEEP __m512 sweep_near(__m512 x, float most)
{
    const __m512i size = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7FFFFFFF));
    return _mm512_castsi512_ps(_mm512_min_epu32(size, _mm512_castps_si512(_mm512_set1_ps(most))));
}
/* 2^t = 2^n + 2^n q, as exp2_short. */
SWEEP __m512 sweep_exp2(__m512 t, __m512 *q)
{
    const __m512 round = _mm512_set1_ps(12582912.0f);
    const __m512 m = _mm512_add_ps(t, round), f = _mm512_sub_ps(t, _mm512_sub_ps(m, round));
    __m512 p = _mm512_fmadd_ps(f, _mm512_set1_ps(9.618088603019714e-03f),
                               _mm512_set1_ps(5.583732783794403e-02f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.402325272560120e-01f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.931368708610535e-01f));
    *q = _mm512_mul_ps(p, f);
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_add_epi32(_mm512_castps_si512(m), _mm512_set1_epi32(127)), 23));
}
SWEEP __m512 sweep_bell(__m512 x)
{
    const __m512 a = sweep_near(x, 6.0f);
    __m512 q;
    const __m512 two_n =
        sweep_exp2(_mm512_mul_ps(a, _mm512_mul_ps(a, _mm512_set1_ps(-0.72134752044448170f))), &q);
    return _mm512_fmadd_ps(two_n, q, two_n);
}
SWEEP __m512 sweep_cdf(__m512 x, __m512 bell)
{
    const __m512 a = sweep_near(x, 6.0f);
    __m512 p = _mm512_fmadd_ps(a, _mm512_set1_ps(3.8989907e-05f), _mm512_set1_ps(-5.5485580e-04f));
    p = _mm512_fmadd_ps(p, a, _mm512_set1_ps(3.4868471e-03f));
    p = _mm512_fmadd_ps(p, a, _mm512_set1_ps(-1.2545737e-02f));
    p = _mm512_fmadd_ps(p, a, _mm512_set1_ps(3.0697256e-02f));
    p = _mm512_fmadd_ps(p, a, _mm512_set1_ps(-5.2124195e-02f));
    p = _mm512_fmadd_ps(p, a, _mm512_set1_ps(8.3315000e-02f));
    const __m512 tail =
        _mm512_mul_ps(_mm512_mul_ps(bell, _mm512_sub_ps(_mm512_set1_ps(6.0f), a)), p);
    return _mm512_mask_sub_ps(tail, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NLT_UQ),
                              _mm512_set1_ps(1.0f), tail);
}
/* e^-|x|, and 1 / (1 + e^-|x|) without a division, which would take as long as all the rest: the
 * cubic whose relative error on [0, 1] is smallest, 1 / 577 (a Chebyshev polynomial: 577 = T4(3)),
 * squared by a step of Newton's, which leaves 2^-18. The processor's own estimate has other bits on
 * another maker's. */
SWEEP __m512 sweep_sigmoid(__m512 x, __m512 *e)
{
    const __m512 one = _mm512_set1_ps(1.0f),
                 t = _mm512_mul_ps(sweep_near(x, 87.3365448f),
                                   _mm512_set1_ps(-1.44269504088896341f)); /* down to 2^-126 */
    __m512 q;
    const __m512 two_n = sweep_exp2(t, &q);
    *e = _mm512_fmadd_ps(two_n, q, two_n);
    __m512 r = _mm512_fmadd_ps(*e, _mm512_set1_ps(-128.0f / 577), _mm512_set1_ps(384.0f / 577));
    r = _mm512_fmadd_ps(r, *e, _mm512_set1_ps(-544.0f / 577));
    r = _mm512_fmadd_ps(r, *e, _mm512_set1_ps(576.0f / 577));
    return _mm512_fmadd_ps(r, _mm512_fnmadd_ps(_mm512_add_ps(one, *e), r, one), r);
}
SWEEP __mmask16 sweep_below_0(__m512 x)
{
    return _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
}
/* x, but no lower than e^-|x| is true for. */
SWEEP __m512 sweep_not_under(__m512 x)
{
    return _mm512_max_ps(_mm512_set1_ps(-126.0f), x); /* of a NaN: the second */
}
SWEEP __m512 sweep_silu(__m512 x)
{
    __m512 e;
    const __m512 r = sweep_sigmoid(x, &e);
    const __m512 up = _mm512_mask_mov_ps(_mm512_set1_ps(1.0f), sweep_below_0(x), e);
    return _mm512_mul_ps(sweep_not_under(x), _mm512_mul_ps(up, r));
}
/* s + x s (1 - s) */
SWEEP __m512 sweep_silu_slope(__m512 x)
{
    __m512 e;
    const __m512 r = sweep_sigmoid(x, &e), small = _mm512_mul_ps(e, r);
    const __m512 near = _mm512_min_ps(_mm512_set1_ps(126.0f), sweep_not_under(x));
    return _mm512_fmadd_ps(near, _mm512_mul_ps(r, small),
                           _mm512_mask_mov_ps(r, sweep_below_0(x), small));
}
/* x / alpha in powers of two where x is below 0, and 0 elsewhere. */
SWEEP __m512 sweep_celu_power(sweep_fn fn, __m512 x)
{
    return _mm512_max_ps(
        _mm512_mul_ps(_mm512_min_ps(x, _mm512_setzero_ps()), _mm512_set1_ps(fn.by)),
        _mm512_set1_ps(-126.0f));
}
SWEEP __m512 sweep_celu(sweep_fn fn, __m512 x)
{
    __m512 q;
    const __m512 two_n = sweep_exp2(sweep_celu_power(fn, x), &q);
    const __m512 e = _mm512_fmadd_ps(two_n, q, _mm512_sub_ps(two_n, _mm512_set1_ps(1.0f)));
    return _mm512_mask_mov_ps(x, sweep_below_0(x), _mm512_mul_ps(_mm512_set1_ps(fn.alpha), e));
}
SWEEP __m512 sweep_celu_slope(sweep_fn fn, __m512 x)
{
    __m512 q;
    const __m512 two_n = sweep_exp2(sweep_celu_power(fn, x), &q);
    const __mmask16 not_below = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ);
    return _mm512_mask_mov_ps(_mm512_mask_mov_ps(x, not_below, _mm512_set1_ps(1.0f)),
                              sweep_below_0(x), _mm512_fmadd_ps(two_n, q, two_n));
}
SWEEP __m512 sweep_act(sweep_fn fn, __m512 z)
{
    switch (fn.which) {
    case FWI_FUSED_RELU:
        return _mm512_max_ps(_mm512_setzero_ps(), z); /* of a NaN: the second */
    case FWI_GELU:
        return _mm512_mul_ps(z, sweep_cdf(z, sweep_bell(z)));
    case FWI_SILU:
        return sweep_silu(z);
    case FWI_CELU:
        return sweep_celu(fn, z);
    default: /* the identity */
        return z;
    }
}
SWEEP __m512 sweep_gelu_slope(__m512 z)
{
    const __m512 bell = sweep_bell(z);
    const __m512 near =
        _mm512_min_ps(_mm512_set1_ps(6.0f), _mm512_max_ps(_mm512_set1_ps(-6.0f), z));
    const __m512 density = _mm512_mul_ps(_mm512_set1_ps(0.39894228040143267794f), bell);
    return _mm512_fmadd_ps(near, density, sweep_cdf(z, bell));
}
/* What arrives at the activation's input z when dy arrives at its output. */
SWEEP __m512 sweep_back(sweep_fn fn, __m512 z, __m512 dy)
{
    switch (fn.which) {
    case FWI_FUSED_RELU:
        return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_NLE_UQ), dy);
    case FWI_GELU:
        return _mm512_mul_ps(sweep_gelu_slope(z), dy);
    case FWI_SILU:
        return _mm512_mul_ps(sweep_silu_slope(z), dy);
    case FWI_CELU:
        return _mm512_mul_ps(sweep_celu_slope(fn, z), dy);
    default:
        return dy;
    }
}

/* 32 channels' parameters. */
typedef struct sweep_norm {
    sweep_pair mean, scale, beta;
} sweep_norm;

SWEEP sweep_norm sweep_norm_at(const fused_job_bf16 *g, __mmask32 some, int64_t at)
{
    return (sweep_norm){sweep_floats(some, g->mean + at), sweep_floats(some, g->scale + at),
                        sweep_floats(some, g->beta + at)};
}
SWEEP sweep_pair sweep_less(sweep_pair a, sweep_pair b)
{
    return (sweep_pair){_mm512_sub_ps(a.lo, b.lo), _mm512_sub_ps(a.hi, b.hi)};
}
SWEEP sweep_pair sweep_madd(sweep_pair a, sweep_pair b, sweep_pair c)
{
    return (sweep_pair){_mm512_fmadd_ps(a.lo, b.lo, c.lo), _mm512_fmadd_ps(a.hi, b.hi, c.hi)};
}
SWEEP sweep_pair sweep_value(sweep_fn fn, const sweep_norm *n, sweep_pair x)
{
    const sweep_pair z = sweep_madd(sweep_less(x, n->mean), n->scale, n->beta);
    return (sweep_pair){sweep_act(fn, z.lo), sweep_act(fn, z.hi)};
}
/* scale (v - p - d q) */
SWEEP sweep_pair sweep_dx(sweep_pair scale, sweep_pair p, sweep_pair q, sweep_pair v, sweep_pair d)
{
    return (sweep_pair){
        _mm512_mul_ps(scale.lo, _mm512_fnmadd_ps(d.lo, q.lo, _mm512_sub_ps(v.lo, p.lo))),
        _mm512_mul_ps(scale.hi, _mm512_fnmadd_ps(d.hi, q.hi, _mm512_sub_ps(v.hi, p.hi)))};
}

/* ---- forwards ---- */
SWEEP void sweep_act_32(const fused_job_bf16 *g, sweep_fn fn, __mmask32 some, bool stream,
                        int64_t from, const uint16_t *x, const uint16_t *r, uint16_t *y)
{
    const sweep_norm n = sweep_norm_at(g, some, from);
    sweep_pair z = sweep_value(fn, &n, sweep_load(some, x));
    if (r != NULL) {
        const sweep_pair add = sweep_load(some, r);
        z = (sweep_pair){_mm512_add_ps(z.lo, add.lo), _mm512_add_ps(z.hi, add.hi)};
    }
    sweep_store(some, stream, sweep_round(z), y);
}
SWEEP void sweep_act_task(const fused_job_bf16 *g, int64_t task, sweep_fn fn)
{
    const fused_groups_bf16 b = fused_groups_of_bf16(g, task / g->cut.chunks);
    const int64_t end = group_end(&g->cut, task) * g->run;
    const int64_t begin = group_begin(&g->cut, task) * g->run;
    const int64_t n = b.count == 1 ? end - begin : g->run;
    const bool stream = sweep_streams(g, &g->call->out[0]);
    for (int64_t i = begin; i < end; i += n) {
        const uint16_t *const x = (const uint16_t *)g->x->data + i;
        const uint16_t *const more =
            g->call->kind == FWI_OP_bn_act_add ? (const uint16_t *)g->call->in[5].data + i : NULL;
        uint16_t *const y = (uint16_t *)g->call->out[0].data + i;
        for (fused_part_bf16 r = fused_first_bf16(g, &b, n); r.at < r.end;
             fused_next_bf16(g, &b, &r)) {
            int64_t j = 0;
            for (; j + 32 <= r.len; j += 32)
                sweep_act_32(g, fn, SWEEP_ALL, stream, r.from + j, x + r.at + j,
                             more == NULL ? NULL : more + r.at + j, y + r.at + j);
            if (j < r.len)
                sweep_act_32(g, fn, sweep_some(r.len, j), stream, r.from + j, x + r.at + j,
                             more == NULL ? NULL : more + r.at + j, y + r.at + j);
        }
    }
    if (stream)
        stream_end();
}

/* Asks for the next window: it begins where hardware does not look. */
SWEEP void sweep_ahead(const fused_job_bf16 *g, const uint16_t *const x[4], int64_t at)
{
    for (int p = 0; p < 4; p++)
        __builtin_prefetch(x[p] + at + 2 * g->run);
}
/* 32 elements of a window: the values at its four places, the largest of which stays. */
SWEEP void sweep_pool_32(const fused_job_bf16 *g, sweep_fn fn, __mmask32 some, int64_t from,
                         const uint16_t *const x[4], int64_t at, uint16_t *y, uint8_t *idx)
{
    sweep_ahead(g, x, at);
    const sweep_norm n = sweep_norm_at(g, some, from);
    sweep_pair best = sweep_value(fn, &n, sweep_load(some, x[0] + at));
    __m256i place = _mm256_setzero_si256();
    for (int p = 1; p < 4; p++) {
        const sweep_pair v = sweep_value(fn, &n, sweep_load(some, x[p] + at));
        /* not less or equal, and no NaN yet */
        const __mmask16 lo = _mm512_mask_cmp_ps_mask(
            _mm512_cmp_ps_mask(best.lo, best.lo, _CMP_ORD_Q), v.lo, best.lo, _CMP_NLE_UQ);
        const __mmask16 hi = _mm512_mask_cmp_ps_mask(
            _mm512_cmp_ps_mask(best.hi, best.hi, _CMP_ORD_Q), v.hi, best.hi, _CMP_NLE_UQ);
        best = (sweep_pair){_mm512_mask_mov_ps(best.lo, lo, v.lo),
                            _mm512_mask_mov_ps(best.hi, hi, v.hi)};
        place = _mm256_mask_mov_epi8(place, (__mmask32)hi << 16 | lo, _mm256_set1_epi8((char)p));
    }
    sweep_store(some, false, sweep_round(best), y + at);
    _mm256_mask_storeu_epi8(idx + at, some, place);
}
SWEEP void sweep_pool_task(const fused_job_bf16 *g, int64_t task, sweep_fn fn)
{
    const fused_groups_bf16 b = fused_groups_of_bf16(g, task / g->cut.chunks);
    const uint16_t *const x = g->x->data;
    const int64_t end = group_end(&g->cut, task);
    for (int64_t i = group_begin(&g->cut, task); i < end; i++) {
        uint16_t *const y = (uint16_t *)g->call->out[0].data + i * g->run;
        uint8_t *const idx = (uint8_t *)g->call->out[1].data + i * g->run;
        const uint16_t *window[4];
        for (int p = 0; p < 4; p++)
            window[p] = x + fused_window_bf16(g, i, p);
        for (fused_part_bf16 r = fused_first_bf16(g, &b, g->run); r.at < r.end;
             fused_next_bf16(g, &b, &r)) {
            int64_t j = 0;
            for (; j + 32 <= r.len; j += 32)
                sweep_pool_32(g, fn, SWEEP_ALL, r.from + j, window, r.at + j, y, idx);
            if (j < r.len)
                sweep_pool_32(g, fn, sweep_some(r.len, j), r.from + j, window, r.at + j, y, idx);
        }
    }
}

/* ---- backwards ---- */
enum { SWEEP_PLAIN, SWEEP_UNPOOL, SWEEP_POOLED }; /* no pool; it lies in front of x; behind x */

/* Pointers of one place. */
typedef struct sweep_place {
    const uint16_t *x[4], *dy; /* x[0] alone where x is no larger */
    const uint8_t *idx;
    uint16_t *dx[4];
} sweep_place;

SWEEP sweep_place sweep_place_at(const fused_job_bf16 *g, int64_t i, int form)
{
    const uint16_t *const x = g->x->data;
    uint16_t *const dx = g->call->out[0].data;
    sweep_place w = {.dy = (const uint16_t *)g->dy->data + i * g->run};
    w.idx = form == SWEEP_PLAIN ? NULL : g->idx + i * g->run;
    w.x[0] = x + i * g->run;
    w.dx[0] = dx + i * g->run;
    for (int p = 0; form != SWEEP_PLAIN && p < 4; p++) {
        const int64_t at = fused_window_bf16(g, i, p);
        w.dx[p] = dx + at;
        if (form == SWEEP_POOLED)
            w.x[p] = x + at;
    }
    return w;
}

/* What arrives at the norm's output of 32 elements, and d = x - mean there. */
SWEEP sweep_pair sweep_arrives(const fused_job_bf16 *g, sweep_fn fn, int form, __mmask32 some,
                               int64_t from, const sweep_place *w, int64_t at,
                               const __mmask32 *where, sweep_pair *d)
{
    sweep_pair x;
    if (form == SWEEP_POOLED) {
        sweep_ahead(g, w->x, at);
        __m512i chosen = _mm512_maskz_loadu_epi16(some, w->x[0] + at);
        for (int p = 1; p < 4; p++)
            chosen = _mm512_mask_loadu_epi16(chosen, where[p], w->x[p] + at);
        x = sweep_wide(chosen);
    } else {
        x = sweep_load(some, w->x[0] + at);
    }
    const sweep_norm n = sweep_norm_at(g, some, from);
    const sweep_pair dy = sweep_load(some, w->dy + at);
    *d = sweep_less(x, n.mean);
    const sweep_pair z = sweep_madd(*d, n.scale, n.beta);
    return (sweep_pair){sweep_back(fn, z.lo, dy.lo), sweep_back(fn, z.hi, dy.hi)};
}
/* Where the maximum was place p. */
SWEEP void sweep_where(__mmask32 some, const uint8_t *idx, __mmask32 *where)
{
    const __m256i place = _mm256_maskz_loadu_epi8(some, idx);
    for (int p = 0; p < 4; p++)
        where[p] = _mm256_mask_cmpeq_epi8_mask(some, place, _mm256_set1_epi8((char)p));
}

SWEEP void sweep_sums_32(const fused_job_bf16 *g, sweep_fn fn, int form, __mmask32 some,
                         int64_t from, const sweep_place *w, int64_t at, float *s)
{
    __mmask32 where[4] = {0};
    if (form == SWEEP_POOLED)
        sweep_where(some, w->idx + at, where);
    sweep_pair d, s0 = sweep_floats(some, s), s1 = sweep_floats(some, s + g->width);
    const sweep_pair v = sweep_arrives(g, fn, form, some, from, w, at, where, &d);
    s0 = (sweep_pair){_mm512_add_ps(s0.lo, v.lo), _mm512_add_ps(s0.hi, v.hi)};
    s1 = sweep_madd(v, d, s1);
    _mm512_mask_storeu_ps(s, (__mmask16)some, s0.lo);
    _mm512_mask_storeu_ps(s + 16, (__mmask16)(some >> 16), s0.hi);
    _mm512_mask_storeu_ps(s + g->width, (__mmask16)some, s1.lo);
    _mm512_mask_storeu_ps(s + g->width + 16, (__mmask16)(some >> 16), s1.hi);
    if (form == SWEEP_PLAIN && g->store_sum)
        sweep_store(some, false, sweep_round(v), w->dx[0] + at);
}
SWEEP void sweep_sums_task(const fused_job_bf16 *g, int64_t task, int slot, sweep_fn fn, int form)
{
    const fused_groups_bf16 b = fused_groups_of_bf16(g, task / g->cut.chunks);
    const int64_t end = group_end(&g->cut, task);
    float *const s = g->s + slot * g->cut.most * 2 * g->width;
    double *const sum = g->sums + task * g->cut.most * 2 * g->c;
    const int64_t most = FUSED_VALUES / parts_of(g->run, g->width); /* places between flushes */
    int64_t since = 0;
    memset(s, 0, (size_t)(b.count * 2 * g->width) * sizeof(float));
    memset(sum, 0, (size_t)(b.count * 2 * g->c) * sizeof(double));
    for (int64_t i = group_begin(&g->cut, task); i < end; i++) {
        const sweep_place w = sweep_place_at(g, i, form);
        for (fused_part_bf16 r = fused_first_bf16(g, &b, fused_valid_bf16(g, i)); r.at < r.end;
             fused_next_bf16(g, &b, &r)) {
            float *const to = s + r.sum;
            int64_t j = 0;
            for (; j + 32 <= r.len; j += 32)
                sweep_sums_32(g, fn, form, SWEEP_ALL, r.from + j, &w, r.at + j, to + j);
            if (j < r.len)
                sweep_sums_32(g, fn, form, sweep_some(r.len, j), r.from + j, &w, r.at + j, to + j);
        }
        if (++since >= most) {
            fused_flush_bf16(g, b.count, s, sum);
            since = 0;
        }
    }
    fused_flush_bf16(g, b.count, s, sum);
}

SWEEP void sweep_dx_32(const fused_job_bf16 *g, sweep_fn fn, int form, __mmask32 some, bool stream,
                       int64_t from, const sweep_place *w, int64_t at)
{
    const sweep_pair scale = sweep_floats(some, g->scale + from);
    const sweep_pair part = sweep_floats(some, g->p + from), q = sweep_floats(some, g->q + from);
    __mmask32 where[4] = {0};
    sweep_pair d;
    if (form != SWEEP_PLAIN)
        sweep_where(some, w->idx + at, where);
    const sweep_pair v = sweep_arrives(g, fn, form, some, from, w, at, where, &d);
    if (form == SWEEP_POOLED) {
        const sweep_pair mean = sweep_floats(some, g->mean + from);
        for (int p = 0; p < 4; p++) {
            const sweep_pair here = {_mm512_maskz_mov_ps((__mmask16)where[p], v.lo),
                                     _mm512_maskz_mov_ps((__mmask16)(where[p] >> 16), v.hi)};
            d = sweep_less(sweep_load(some, w->x[p] + at), mean);
            sweep_store(some, stream, sweep_round(sweep_dx(scale, part, q, here, d)),
                        w->dx[p] + at);
        }
        return;
    }
    const __m512i dx = sweep_round(sweep_dx(scale, part, q, v, d));
    if (form == SWEEP_PLAIN)
        sweep_store(some, stream, dx, w->dx[0] + at);
    else
        for (int p = 0; p < 4; p++)
            sweep_store(some, stream, _mm512_maskz_mov_epi16(where[p], dx), w->dx[p] + at);
}
SWEEP void sweep_dx_task(const fused_job_bf16 *g, int64_t task, sweep_fn fn, int form)
{
    const fused_groups_bf16 b = fused_groups_of_bf16(g, task / g->cut.chunks);
    const int64_t end = group_end(&g->cut, task);
    const bool stream = sweep_streams(g, &g->call->out[0]);
    for (int64_t i = group_begin(&g->cut, task); i < end; i++) {
        const sweep_place w = sweep_place_at(g, i, form);
        for (fused_part_bf16 r = fused_first_bf16(g, &b, g->run); r.at < r.end;
             fused_next_bf16(g, &b, &r)) {
            int64_t j = 0;
            for (; j + 32 <= r.len; j += 32)
                sweep_dx_32(g, fn, form, SWEEP_ALL, stream, r.from + j, &w, r.at + j);
            if (j < r.len)
                sweep_dx_32(g, fn, form, sweep_some(r.len, j), stream, r.from + j, &w, r.at + j);
        }
    }
    if (stream)
        stream_end();
}

/* ---- the tasks, by activation ---- */
#define SWEEP_TASKS(name, which)                                                                   \
    static void sweep_act_##name(void *g, int64_t task, int slot)                                  \
    {                                                                                              \
        (void)slot;                                                                                \
        sweep_act_task(g, task, sweep_fn_of(g, which));                                            \
    }                                                                                              \
    static void sweep_pool_##name(void *g, int64_t task, int slot)                                 \
    {                                                                                              \
        (void)slot;                                                                                \
        sweep_pool_task(g, task, sweep_fn_of(g, which));                                           \
    }                                                                                              \
    static void sweep_sums_##name(void *g, int64_t task, int slot)                                 \
    {                                                                                              \
        sweep_sums_task(g, task, slot, sweep_fn_of(g, which), SWEEP_PLAIN);                        \
    }                                                                                              \
    static void sweep_pooled_sums_##name(void *g, int64_t task, int slot)                          \
    {                                                                                              \
        sweep_sums_task(g, task, slot, sweep_fn_of(g, which), SWEEP_POOLED);                       \
    }                                                                                              \
    static void sweep_dx_##name(void *g, int64_t task, int slot)                                   \
    {                                                                                              \
        (void)slot;                                                                                \
        sweep_dx_task(g, task, sweep_fn_of(g, which), SWEEP_PLAIN);                                \
    }                                                                                              \
    static void sweep_unpool_dx_##name(void *g, int64_t task, int slot)                            \
    {                                                                                              \
        (void)slot;                                                                                \
        sweep_dx_task(g, task, sweep_fn_of(g, which), SWEEP_UNPOOL);                               \
    }                                                                                              \
    static void sweep_pooled_dx_##name(void *g, int64_t task, int slot)                            \
    {                                                                                              \
        (void)slot;                                                                                \
        sweep_dx_task(g, task, sweep_fn_of(g, which), SWEEP_POOLED);                               \
    }
SWEEP_TASKS(identity, FWI_FUSED_IDENTITY)
SWEEP_TASKS(relu, FWI_FUSED_RELU)
SWEEP_TASKS(gelu, FWI_GELU)
SWEEP_TASKS(silu, FWI_SILU)
SWEEP_TASKS(celu, FWI_CELU)
#undef SWEEP_TASKS

/* The task for this job, or NULL. */
static fwi_loop_fn fused_own_bf16(const fused_job_bf16 *g, int step)
{
#define SWEEP_FNS(name)                                                                            \
    {                                                                                              \
        {sweep_act_##name, sweep_pool_##name, sweep_pool_##name},                                  \
            {sweep_sums_##name, sweep_sums_##name, sweep_pooled_sums_##name},                      \
        {                                                                                          \
            sweep_dx_##name, sweep_unpool_dx_##name, sweep_pooled_dx_##name                        \
        }                                                                                          \
    }
    static const struct {
        int64_t which;
        fwi_loop_fn tasks[3][3];
    } fns[] = {
        {FWI_FUSED_IDENTITY, SWEEP_FNS(identity)},
        {FWI_FUSED_RELU, SWEEP_FNS(relu)},
        {FWI_GELU, SWEEP_FNS(gelu)},
        {FWI_SILU, SWEEP_FNS(silu)},
        {FWI_CELU, SWEEP_FNS(celu)},
    };
#undef SWEEP_FNS
    const int form = g->k == 0 ? SWEEP_PLAIN : g->pooled_x ? SWEEP_POOLED : SWEEP_UNPOOL;
    if (g->k != 0 && g->k != 2)
        return NULL;
    for (size_t i = 0; i < sizeof fns / sizeof *fns; i++)
        if (fns[i].which == g->fn)
            return fns[i].tasks[step][form];
    return NULL;
}
#undef SWEEP
