/* bench_conv_check.c: whether a timed convolution was right: its result against the definition, in
 * double, on sampled outputs. tests/ops holds each kernel to more; here the shapes are the real
 * ones, which no test is patient enough for. */
#include "bench_conv.h"

#include <math.h>
#include <string.h>

#include "rng.h"

/* A sample of a filter's gradient sums over all images, so there are few. */
enum { SAMPLES = 512, SAMPLES_DW = 48 };

typedef struct sampled {
    double want, got;
} sampled;

typedef struct checking {
    const fw_conv_shape *s;
    const fwi_call *c;
    sampled at[SAMPLES];
} checking;

static double f16_value(uint16_t h)
{
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const double v = exponent == 31  ? (fraction != 0 ? (double)NAN : (double)INFINITY)
                     : exponent == 0 ? ldexp(fraction, -24)
                                     : ldexp(1024 + fraction, exponent - 25);
    return (h & 0x8000) != 0 ? -v : v;
}

static double get(const fwi_arg *a, int64_t i)
{
    if (a->dtype == FW_F64)
        return ((const double *)a->data)[i];
    if (a->dtype == FW_F32)
        return (double)((const float *)a->data)[i];
    if (a->dtype == FW_F16)
        return f16_value(((const uint16_t *)a->data)[i]);
    const uint32_t bits = (uint32_t)((const uint16_t *)a->data)[i] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* Where element i j k l lies: in blocks of nb images [i / nb][j][k][i % nb][l]. */
static int64_t place(const fwi_arg *a, int64_t i, int64_t j, int64_t k, int64_t l)
{
    const int64_t *const d = a->shape.d;
    if (a->nb == 0)
        return ((i * d[1] + j) * d[2] + k) * d[3] + l;
    return (((i / a->nb * d[1] + j) * d[2] + k) * a->nb + i % a->nb) * d[3] + l;
}

static double fwd_at(const fw_conv_shape *s, const fwi_call *c, const int64_t at[4])
{
    double sum = 0;
    for (int64_t ky = 0; ky < s->k; ky++)
        for (int64_t kx = 0; kx < s->k; kx++) {
            const int64_t y = at[1] * s->stride + ky - s->pad, x = at[2] * s->stride + kx - s->pad;
            if (y < 0 || y >= s->h || x < 0 || x >= s->w)
                continue;
            const int64_t px = place(&c->in[0], at[0], y, x, 0);
            const int64_t pw = place(&c->in[1], at[3], ky, kx, 0);
            for (int64_t k = 0; k < s->c; k++)
                sum += get(&c->in[0], px + k) * get(&c->in[1], pw + k);
        }
    return sum;
}

static double dx_at(const fw_conv_shape *s, const fwi_call *c, const int64_t at[4])
{
    double sum = 0;
    for (int64_t ky = 0; ky < s->k; ky++)
        for (int64_t kx = 0; kx < s->k; kx++) {
            const int64_t y = at[1] + s->pad - ky, x = at[2] + s->pad - kx;
            if (y < 0 || x < 0 || y % s->stride != 0 || x % s->stride != 0 ||
                y / s->stride >= s->oh || x / s->stride >= s->ow)
                continue;
            const int64_t py = place(&c->in[0], at[0], y / s->stride, x / s->stride, 0);
            for (int64_t k = 0; k < s->oc; k++)
                sum += get(&c->in[0], py + k) * get(&c->in[1], place(&c->in[1], k, ky, kx, at[3]));
        }
    return sum;
}

static double dw_at(const fw_conv_shape *s, const fwi_call *c, const int64_t at[4])
{
    double sum = 0;
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t y = 0; y < s->oh; y++) {
            const int64_t sy = y * s->stride + at[1] - s->pad;
            for (int64_t x = 0; x < s->ow && sy >= 0 && sy < s->h; x++) {
                const int64_t sx = x * s->stride + at[2] - s->pad;
                if (sx >= 0 && sx < s->w)
                    sum += get(&c->in[0], place(&c->in[0], i, sy, sx, at[3])) *
                           get(&c->in[1], place(&c->in[1], i, y, x, at[0]));
            }
        }
    return sum;
}

static void check_one(void *arg, int64_t i, int slot)
{
    (void)slot;
    checking *const q = arg;
    const fwi_arg *const out = &q->c->out[0];
    int64_t at[4];
    uint32_t words[4];
    fwi_rng_block(0, FWI_RNG_TEST, 1, (uint64_t)i, 0, words);
    for (int d = 0; d < 4; d++)
        at[d] = fwi_below(words[d], (uint32_t)out->shape.d[d]);
    q->at[i].got = get(out, place(out, at[0], at[1], at[2], at[3]));
    q->at[i].want = q->c->kind == FWI_OP_conv2d      ? fwd_at(q->s, q->c, at)
                    : q->c->kind == FWI_OP_conv2d_dx ? dx_at(q->s, q->c, at)
                                                     : dw_at(q->s, q->c, at);
}

double fwi_conv_error(const fw_conv_shape *s, const fwi_call *c, fwi_pool *pool)
{
    checking q = {.s = s, .c = c};
    const int n = c->kind == FWI_OP_conv2d_dw ? SAMPLES_DW : SAMPLES;
    double wrong = 0, all = 0;
    fwi_pool_for(pool, n, check_one, &q);
    for (int i = 0; i < n; i++) {
        const double d = q.at[i].got - q.at[i].want;
        wrong += d * d;
        all += q.at[i].want * q.at[i].want;
    }
    return all > 0 ? sqrt(wrong / all) : sqrt(wrong);
}

/* Several times what the algorithms were seen to do: bf16 has 8 bits, so 1.7e-3 for rounding a
 * result and as much for a filter; where products are of bf16 Winograd's transforms raise that about
 * twofold (F2), threefold (F3) and sixfold (F4). Larger ones have products of f32. A wrong index gives
 * about 1. */
double fwi_conv_error_bound(const fwi_call *c, fwi_conv_algo algo)
{
    const fw_dtype t = c->in[0].dtype;
    if (t == FW_F64)
        return 1e-11;
    if (t == FW_F32)
        return 1e-4;
    if (t == FW_F16) /* 3 bits more than bf16 */
        return 2e-3;
    return algo == FWI_CONV_WINO4                             ? 5e-2
           : algo == FWI_CONV_WINO2 || algo == FWI_CONV_WINO3 ? 2e-2
                                                              : 1e-2;
}

double fwi_conv_executed(const fw_conv_shape *s)
{
    int64_t rows = 0, columns = 0;
    for (int64_t k = 0; k < s->k; k++) {
        for (int64_t y = 0; y < s->oh; y++)
            rows += y * s->stride + k >= s->pad && y * s->stride + k < s->h + s->pad;
        for (int64_t x = 0; x < s->ow; x++)
            columns += x * s->stride + k >= s->pad && x * s->stride + k < s->w + s->pad;
    }
    return (double)rows * (double)columns / (double)(s->oh * s->ow * s->k * s->k);
}
