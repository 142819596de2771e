/* fast_math_short.h: the activations for values that are stored as bf16: fast_math.h with shorter
 * polynomials. A rounding to bf16 is off by up to 2^-8 of the value; these are off by at most
 *   - values: 2^-11 of the value, and for gelu 2^-24 |x| more in the lower tail;
 *   - slopes: 2^-12, whatever the slope (it may pass through 0)
 * (tests/unit/cpu_portable/test_fast_math.c over the whole range; 2^-11 and 2^-12 are what it asks,
 * most are far better). A NaN stays a NaN. Float only: bf16 storage has no other arithmetic. */
#ifndef FWI_FAST_MATH_SHORT_H
#define FWI_FAST_MATH_SHORT_H

#include "fast_math.h"

/* 2^t = 2^n + 2^n q, gives 2^n, for t in [-126, 127]; q to 2^-16 of itself. Polynomial: minimax of
 * (2^f - 1) / f, |f| <= 1/2, relative. */
static inline float exp2_short(float t, float *q)
{
    const float round = 12582912.0f; /* 1.5 2^23: adding it rounds to a whole number */
    const float m = t + round, f = t - (m - round);
    float p = MADD(f, 9.618088603019714e-03f, 5.583732783794403e-02f);
    p = MADD(p, f, 2.402325272560120e-01f);
    p = MADD(p, f, 6.931368708610535e-01f);
    *q = p * f;
    uint32_t bits;
    memcpy(&bits, &m, sizeof bits);
    bits = (bits + 127) << 23; /* m's low bits hold n in two's complement */
    float two_n;
    memcpy(&two_n, &bits, sizeof two_n);
    return two_n;
}

/* e^x and e^x - 1 for x <= 0; far down they end at 2^-126 and at -1. */
static inline float exp_neg_short(float x)
{
    const float t = x * 1.44269504088896341f;
    float q;
    const float two_n = exp2_short(t < -126.0f ? -126.0f : t, &q);
    return MADD(two_n, q, two_n);
}
static inline float expm1_neg_short(float x)
{
    const float t = x * 1.44269504088896341f;
    float q;
    const float two_n = exp2_short(t < -126.0f ? -126.0f : t, &q);
    return MADD(two_n, q, two_n - 1.0f);
}

/* The smaller of |x| and 6, compared as whole numbers; of a NaN 6. */
static inline float near_six(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= 0x7FFFFFFFU;
    bits = bits < 0x40C00000U ? bits : 0x40C00000U;
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
/* e^(-a^2/2), a = near_six(x) */
static inline float bell_short(float x)
{
    const float a = near_six(x);
    float q;
    const float two_n = exp2_short(a * (a * -0.72134752044448170f), &q);
    return MADD(two_n, q, two_n);
}
/* The normal distribution at x, given its bell. The tail is the bell times (6 - a) times a
 * polynomial, fitted to Mills' ratio to 2^-12 of it while the tail is over 2^-24, to 2^-24 of the
 * distribution further out; from 6 on, where it is 1e-9, it is 0. Of a NaN it is 1: who calls
 * multiplies by x. */
static inline float normal_cdf_short(float x, float bell)
{
    const float a = near_six(x);
    float p = MADD(a, 3.8989907e-05f, -5.5485580e-04f);
    p = MADD(p, a, 3.4868471e-03f);
    p = MADD(p, a, -1.2545737e-02f);
    p = MADD(p, a, 3.0697256e-02f);
    p = MADD(p, a, -5.2124195e-02f);
    p = MADD(p, a, 8.3315000e-02f);
    const float tail = (bell * (6.0f - a)) * p;
    return x < 0.0f ? tail : 1.0f - tail;
}

/* Each activation in two steps: e, which holds the exponential, from x; the value or the slope from
 * x and e. Loops over one step at a time have chains of operations short enough for a processor to
 * overlap many elements; one loop over both is up to twice as slow. */
#define SHORT_STEP(name) static inline float name(float x, float alpha)
#define SHORT_FROM(name) static inline float name(float x, float e, float alpha)

SHORT_STEP(celu_e)
{
    return expm1_neg_short((x < 0.0f ? x : 0.0f) * (1.0f / alpha)); /* 1 / alpha: once per loop */
}
SHORT_FROM(celu_from)
{
    return x < 0.0f ? alpha * e : x;
}
SHORT_FROM(celu_slope_from)
{
    (void)alpha;
    const float one = x >= 0.0f ? 1.0f : x;
    return x < 0.0f ? 1.0f + e : one;
}
SHORT_STEP(gelu_e)
{
    (void)alpha;
    return bell_short(x);
}
SHORT_FROM(gelu_from)
{
    (void)alpha;
    return x * normal_cdf_short(x, e);
}
SHORT_FROM(gelu_slope_from)
{
    (void)alpha;
    const float low = x < -6.0f ? -6.0f : x, near = low > 6.0f ? 6.0f : low; /* as the bell is */
    return MADD(near, 0.39894228040143267794f * e, normal_cdf_short(x, e));
}
SHORT_STEP(sigmoid_e)
{
    (void)alpha;
    return exp_neg_short(-fabsf(x));
}
SHORT_FROM(sigmoid_from)
{
    (void)alpha;
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}
SHORT_FROM(sigmoid_slope_from)
{
    (void)x;
    (void)alpha;
    return e / ((1.0f + e) * (1.0f + e));
}
SHORT_STEP(silu_e)
{
    return sigmoid_e(x, alpha);
}
SHORT_FROM(silu_from) /* x no lower than e is true for */
{
    return (x < -126.0f ? -126.0f : x) * sigmoid_from(x, e, alpha);
}
SHORT_FROM(silu_slope_from) /* s + x s (1 - s) */
{
    (void)alpha;
    const float r = 1.0f / (1.0f + e), small = e * r;
    const float s = x < 0.0f ? small : r;
    const float low = x < -126.0f ? -126.0f : x, near = low > 126.0f ? 126.0f : low;
    return MADD(near, r * small, s);
}
SHORT_STEP(tanh_e)
{
    (void)alpha;
    return expm1_neg_short(-2.0f * fabsf(x));
}
SHORT_FROM(tanh_from)
{
    (void)alpha;
    return copysignf(e / (2.0f + e), x);
}
SHORT_FROM(tanh_slope_from)
{
    (void)x;
    (void)alpha;
    return 4.0f * (1.0f + e) / ((2.0f + e) * (2.0f + e));
}
SHORT_STEP(softplus_e)
{
    return sigmoid_e(x, alpha);
}
SHORT_FROM(
    softplus_from) /* ln(1 + e) = 2 atanh(e / (2 + e)), the series cut behind the 7th power */
{
    (void)alpha;
    const float most = x > 0.0f ? x : x != x ? x : 0.0f;
    const float s = e / (2.0f + e), z = s * s;
    float p = MADD(z, 2.0f / 7.0f, 2.0f / 5.0f);
    p = MADD(p, z, 2.0f / 3.0f);
    p = MADD(p, z, 2.0f);
    return MADD(s, p, most);
}
SHORT_FROM(softplus_slope_from)
{
    return sigmoid_from(x, e, alpha);
}
#undef SHORT_STEP
#undef SHORT_FROM

#endif
