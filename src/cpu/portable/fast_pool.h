/* fast_pool.h: pools, a line of the output per task, vectors along the channels. Included once per
 * element type and instruction set. Definitions: cpu/ref/pool_body.h. Channels are pooled each by
 * itself, so batch-blocked images are served as wide ones (fast_loop.h, wide_channels). */
#include "fast_store.h"

#ifndef POOL_CHANNELS
enum { POOL_CHANNELS = 512 }; /* handled at once: they and their places stay in L1 */
#define POOL_CHANNELS POOL_CHANNELS
#endif

/* One window element against the best so far: larger, or the first NaN. */
static inline bool NAME(larger)(REAL v, REAL best)
{
    return (!(v <= best)) & (best == best);
}

/* Takes v where it is larger, and its place with it. Places are kept as wide as floats while they
 * are compared: with bytes gcc 12 makes no vectors of this loop. */
static __attribute__((noinline)) void NAME(take_larger)(int64_t n, const STORE *restrict v,
                                                        int32_t p, REAL *restrict best,
                                                        int32_t *restrict place)
{
    for (int64_t i = 0; i < n; i++) {
        const REAL x = LOAD(v[i]);
        const bool take = NAME(larger)(x, best[i]);
        best[i] = take ? x : best[i];
        place[i] = take ? p : place[i];
    }
}

#if defined __AVX512BW__ && !LANES_F64 /* written out: compilers find no way to keep bytes */
#ifdef LANES_BF16
typedef __m256i NAME(pool_vec);
static inline __m512 NAME(pool_value)(__m256i v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}
static inline __m256i NAME(pool_load)(__mmask16 some, const uint16_t *p)
{
    return _mm256_maskz_loadu_epi16(some, p);
}
static inline void NAME(pool_store)(uint16_t *p, __mmask16 some, __m256i v)
{
    _mm256_mask_storeu_epi16(p, some, v);
}
#define POOL_TAKE(best, take, v) _mm256_mask_mov_epi16(best, take, v)
#else
typedef __m512 NAME(pool_vec);
static inline __m512 NAME(pool_value)(__m512 v)
{
    return v;
}
static inline __m512 NAME(pool_load)(__mmask16 some, const float *p)
{
    return _mm512_maskz_loadu_ps(some, p);
}
static inline void NAME(pool_store)(float *p, __mmask16 some, __m512 v)
{
    _mm512_mask_storeu_ps(p, some, v);
}
#define POOL_TAKE(best, take, v) _mm512_mask_mov_ps(best, take, v)
#endif
/* n elements of 2 x 2 windows whose rows are `down` apart, neighbours `c` apart. */
static void NAME(pool_2x2)(int64_t n, const STORE *x, int64_t c, int64_t down, STORE *y,
                           uint8_t *idx)
{
    const int64_t offset[4] = {0, c, down, down + c};
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 some = (__mmask16)(n - i >= 16 ? 0xFFFFU : (1U << (n - i)) - 1U);
        for (int p = 0; p < 4; p++) /* the next window: it begins where hardware does not look */
            __builtin_prefetch(x + i + offset[p] + 2 * c);
        NAME(pool_vec) best = NAME(pool_load)(some, x + i);
        __m512 value = NAME(pool_value)(best);
        __m128i place = _mm_setzero_si128();
        for (int p = 1; p < 4; p++) {
            const NAME(pool_vec) v = NAME(pool_load)(some, x + i + offset[p]);
            const __m512 f = NAME(pool_value)(v);
            /* not less or equal, and no NaN yet */
            const __mmask16 take = _mm512_mask_cmp_ps_mask(
                _mm512_cmp_ps_mask(value, value, _CMP_ORD_Q), f, value, _CMP_NLE_UQ);
            best = POOL_TAKE(best, take, v);
            value = _mm512_mask_mov_ps(value, take, f);
            place = _mm_mask_mov_epi8(place, take, _mm_set1_epi8((char)p));
        }
        NAME(pool_store)(y + i, some, best);
        _mm_mask_storeu_epi8(idx + i, some, place);
    }
}
#undef POOL_TAKE
#define POOL_2X2
#endif

/* Pixels begin .. end of the output, of all its images or blocks of them. */
static void NAME(max_pool_run)(const fwi_call *call, int64_t begin, int64_t end)
{
    const int64_t k = call->attr->pool.k, stride = call->attr->pool.stride;
    const int64_t h = call->in[0].shape.d[1], w = call->in[0].shape.d[2];
    const int64_t oh = call->out[0].shape.d[1], ow = call->out[0].shape.d[2];
    const int64_t c = wide_channels(&call->in[0]);
    _Alignas(64) int32_t place[POOL_CHANNELS];
    _Alignas(64) REAL best[POOL_CHANNELS];
    for (int64_t o = begin; o < end; o++) {
        const int64_t image = o / ow / oh, y = o / ow % oh;
        const STORE *const x =
            (const STORE *)call->in[0].data + ((image * h + y * stride) * w + o % ow * stride) * c;
        STORE *const out = (STORE *)call->out[0].data + o * c;
        uint8_t *const idx = (uint8_t *)call->out[1].data + o * c;
#ifdef POOL_2X2
        if (k == 2) {
            NAME(pool_2x2)(c, x, c, w * c, out, idx);
            continue;
        }
#endif
        for (int64_t c0 = 0; c0 < c; c0 += POOL_CHANNELS) {
            const int64_t n = min_i64(POOL_CHANNELS, c - c0);
            const STORE *const window = x + c0;
            STORE *const restrict to = out + c0;
            uint8_t *const restrict at = idx + c0;
            memset(place, 0, sizeof place);
            for (int64_t i = 0; i < n; i++)
                best[i] = LOAD(window[i]);
            for (int32_t p = 1; p < k * k; p++)
                NAME(take_larger)(n, window + (p / k * w + p % k) * c, p, best, place);
            for (int64_t i = 0; i < n; i++)
                to[i] = KEEP(best[i]);
            for (int64_t i = 0; i < n; i++)
                at[i] = (uint8_t)place[i];
        }
    }
}

/* For fast_bn_stats.h, which has no pools of its own. */
void FN(max_pool_places)(const fwi_call *c, int64_t begin, int64_t end);
void FN(max_pool_places)(const fwi_call *c, int64_t begin, int64_t end)
{
    NAME(max_pool_run)(c, begin, end);
}

static void NAME(max_pool_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const int64_t ow = ((const fwi_call *)arg)->out[0].shape.d[2];
    NAME(max_pool_run)(arg, line * ow, (line + 1) * ow);
}

fw_status FN(max_pool)(const fwi_call *c)
{
    const fwi_arg *const y = &c->out[0];
    fwi_pool_for(c->pool, wide_images(y) * y->shape.d[1], NAME(max_pool_line), (void *)c);
    return FW_OK;
}

/* dy to the elements whose place p is. */
static __attribute__((noinline)) void NAME(give_back)(int64_t n, const STORE *restrict dy,
                                                      const int32_t *restrict place, int32_t p,
                                                      bool once, STORE *restrict dx)
{
    if (once) {
        for (int64_t i = 0; i < n; i++) {
            const STORE d = dy[i];
            dx[i] = place[i] == p ? d : 0;
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            const REAL d = LOAD(dy[i]);
            dx[i] = KEEP(LOAD(dx[i]) + (place[i] == p ? d : 0));
        }
    }
}

/* A line of dx, from the windows that cover it: no place is written by two tasks. */
static void NAME(max_pool_grad_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t k = call->attr->pool.k, stride = call->attr->pool.stride;
    const int64_t oh = call->in[0].shape.d[1], ow = call->in[0].shape.d[2];
    const int64_t h = call->out[0].shape.d[1], w = call->out[0].shape.d[2];
    const int64_t c = wide_channels(&call->out[0]), image = line / h, y = line % h;
    STORE *const restrict dx = (STORE *)call->out[0].data + line * w * c;
    int64_t begin, end;
    pool_windows(y, k, stride, oh, &begin, &end);
    const bool once = stride >= k && begin < end; /* windows do not overlap: written, not added */
    const int64_t covered = once ? (stride == k ? ow * k : 0) : 0;
    memset(dx + covered * c, 0, (size_t)((w - covered) * c) * sizeof(STORE));
    for (int64_t o = begin; o < end; o++)
        for (int64_t ox = 0; ox < ow; ox++) {
            const int64_t at = ((image * oh + o) * ow + ox) * c;
            const STORE *const restrict dy = (const STORE *)call->in[0].data + at;
            const uint8_t *const restrict idx = (const uint8_t *)call->in[1].data + at;
            for (int64_t c0 = 0; c0 < c; c0 += POOL_CHANNELS) {
                const int64_t n = min_i64(POOL_CHANNELS, c - c0);
                int32_t place[POOL_CHANNELS];
                for (int64_t i = 0; i < n; i++)
                    place[i] = idx[c0 + i];
                for (int64_t kx = 0; kx < k; kx++)
                    NAME(give_back)
                (n, dy + c0, place, (int32_t)((y - o * stride) * k + kx), once,
                 dx + (ox * stride + kx) * c + c0);
            }
        }
}

fw_status FN(max_pool_grad)(const fwi_call *c)
{
    const fwi_arg *const dx = &c->out[0];
    fwi_pool_for(c->pool, wide_images(dx) * dx->shape.d[1], NAME(max_pool_grad_line), (void *)c);
    return FW_OK;
}

/* The mean of kh x kw places, in lines that are w places of c channels apart, of n <= POOL_CHANNELS channels: of
 * 64 places in REAL, of those sums in double, as a plane of one colour would lose a digit in each of its places. */
static void NAME(mean_of_places)(const STORE *x, int64_t kh, int64_t kw, int64_t w, int64_t c,
                                 int64_t n, REAL *restrict mean)
{
    enum { FLUSH = 64 };
    const int64_t places = kh * kw;
    const REAL share = (REAL)(1.0 / (double)places);
    double total[POOL_CHANNELS];
    for (int64_t i = 0; i < n; i++) {
        mean[i] = LOAD(x[i]);
        total[i] = 0;
    }
    for (int64_t p = 1; p < places; p++) {
        const STORE *const restrict v = x + (p / kw * w + p % kw) * c;
        if (p % FLUSH == 0)
            for (int64_t i = 0; i < n; i++) {
                total[i] += (double)mean[i];
                mean[i] = 0;
            }
        for (int64_t i = 0; i < n; i++)
            mean[i] += LOAD(v[i]);
    }
    for (int64_t i = 0; i < n; i++)
        mean[i] = places <= FLUSH ? mean[i] * share
                                  : (REAL)((total[i] + (double)mean[i]) / (double)places);
}

static void NAME(avg_pool_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t k = call->attr->pool.k, stride = call->attr->pool.stride;
    const int64_t h = call->in[0].shape.d[1], w = call->in[0].shape.d[2];
    const int64_t oh = call->out[0].shape.d[1], ow = call->out[0].shape.d[2];
    const int64_t c = wide_channels(&call->in[0]), image = line / oh, y = line % oh;
    const STORE *const x = (const STORE *)call->in[0].data + (image * h + y * stride) * w * c;
    STORE *const out = (STORE *)call->out[0].data + line * ow * c;
    for (int64_t o = 0; o < ow; o++)
        for (int64_t c0 = 0; c0 < c; c0 += POOL_CHANNELS) {
            const int64_t n = min_i64(POOL_CHANNELS, c - c0);
            STORE *const restrict to = out + o * c + c0;
            REAL mean[POOL_CHANNELS];
            NAME(mean_of_places)(x + o * stride * c + c0, k, k, w, c, n, mean);
            for (int64_t i = 0; i < n; i++)
                to[i] = KEEP(mean[i]);
        }
}

fw_status FN(avg_pool)(const fwi_call *c)
{
    const fwi_arg *const y = &c->out[0];
    fwi_pool_for(c->pool, wide_images(y) * y->shape.d[1], NAME(avg_pool_line), (void *)c);
    return FW_OK;
}

static void NAME(avg_pool_grad_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t k = call->attr->pool.k, stride = call->attr->pool.stride;
    const int64_t oh = call->in[0].shape.d[1], ow = call->in[0].shape.d[2];
    const int64_t h = call->out[0].shape.d[1], w = call->out[0].shape.d[2];
    const int64_t c = wide_channels(&call->out[0]), image = line / h, y = line % h;
    const REAL share = (REAL)(1.0 / (double)(k * k));
    STORE *const restrict dx = (STORE *)call->out[0].data + line * w * c;
    int64_t begin, end;
    pool_windows(y, k, stride, oh, &begin, &end);
    memset(dx, 0, (size_t)(w * c) * sizeof(STORE));
    for (int64_t o = begin; o < end; o++)
        for (int64_t ox = 0; ox < ow; ox++) {
            const STORE *const restrict dy =
                (const STORE *)call->in[0].data + ((image * oh + o) * ow + ox) * c;
            for (int64_t kx = 0; kx < k; kx++) {
                STORE *const restrict d = dx + (ox * stride + kx) * c;
                for (int64_t i = 0; i < c; i++)
                    d[i] = KEEP(LOAD(d[i]) + share * LOAD(dy[i]));
            }
        }
}

fw_status FN(avg_pool_grad)(const fwi_call *c)
{
    const fwi_arg *const dx = &c->out[0];
    fwi_pool_for(c->pool, wide_images(dx) * dx->shape.d[1], NAME(avg_pool_grad_line), (void *)c);
    return FW_OK;
}

/* ---- global pools: an image, or a block of images, per task; [n,c] is never blocked ---- */
/* Columns of block `wide` that are images. */
static inline int64_t NAME(image_columns)(const fwi_arg *a, int64_t wide)
{
    const int64_t nb = block_of(a);
    return min_i64(nb, a->shape.d[0] - wide * nb) * a->shape.d[3];
}

static void NAME(global_max_image)(void *arg, int64_t image, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t places = call->in[0].shape.d[1] * call->in[0].shape.d[2];
    const int64_t c = wide_channels(&call->in[0]), n = NAME(image_columns)(&call->in[0], image);
    const STORE *restrict x = (const STORE *)call->in[0].data + image * places * c;
    REAL *const restrict y = (REAL *)call->out[0].data + image * c;
    int32_t *const restrict idx = (int32_t *)call->out[1].data + image * c;
    for (int64_t i = 0; i < n; i++)
        y[i] = LOAD(x[i]);
    memset(idx, 0, (size_t)n * sizeof(int32_t));
    for (int32_t p = 1; p < places; p++) {
        x += c;
        NAME(take_larger)(n, x, p, y, idx);
    }
}

fw_status FN(global_max_pool)(const fwi_call *c)
{
    fwi_pool_for(c->pool, wide_images(&c->in[0]), NAME(global_max_image), (void *)c);
    return FW_OK;
}

static void NAME(global_max_grad_image)(void *arg, int64_t image, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t places = call->out[0].shape.d[1] * call->out[0].shape.d[2];
    const int64_t c = wide_channels(&call->out[0]), n = NAME(image_columns)(&call->out[0], image);
    const REAL *const restrict dy = (const REAL *)call->in[0].data + image * c;
    const int32_t *const restrict idx = (const int32_t *)call->in[1].data + image * c;
    STORE *restrict dx = (STORE *)call->out[0].data + image * places * c;
    for (int32_t p = 0; p < places; p++, dx += c)
        for (int64_t i = 0; i < n; i++)
            dx[i] = KEEP(idx[i] == p ? dy[i] : 0);
}

fw_status FN(global_max_pool_grad)(const fwi_call *c)
{
    fwi_pool_for(c->pool, wide_images(&c->out[0]), NAME(global_max_grad_image), (void *)c);
    return FW_OK;
}

static void NAME(global_avg_image)(void *arg, int64_t image, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t h = call->in[0].shape.d[1], w = call->in[0].shape.d[2];
    const int64_t c = wide_channels(&call->in[0]), n = NAME(image_columns)(&call->in[0], image);
    const STORE *const x = (const STORE *)call->in[0].data + image * h * w * c;
    REAL *const y = (REAL *)call->out[0].data + image * c;
    for (int64_t c0 = 0; c0 < n; c0 += POOL_CHANNELS)
        NAME(mean_of_places)(x + c0, h, w, w, c, min_i64(POOL_CHANNELS, n - c0), y + c0);
}

fw_status FN(global_avg_pool)(const fwi_call *c)
{
    fwi_pool_for(c->pool, wide_images(&c->in[0]), NAME(global_avg_image), (void *)c);
    return FW_OK;
}

static void NAME(global_avg_grad_image)(void *arg, int64_t image, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t places = call->out[0].shape.d[1] * call->out[0].shape.d[2];
    const int64_t c = wide_channels(&call->out[0]), n = NAME(image_columns)(&call->out[0], image);
    const REAL *const restrict dy = (const REAL *)call->in[0].data + image * c;
    STORE *restrict dx = (STORE *)call->out[0].data + image * places * c;
    const REAL share = (REAL)(1.0 / (double)places);
    for (int64_t p = 0; p < places; p++, dx += c)
        for (int64_t i = 0; i < n; i++)
            dx[i] = KEEP(share * dy[i]);
}

fw_status FN(global_avg_pool_grad)(const fwi_call *c)
{
    fwi_pool_for(c->pool, wide_images(&c->out[0]), NAME(global_avg_grad_image), (void *)c);
    return FW_OK;
}
#undef POOL_2X2
