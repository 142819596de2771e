/* fast_math.h: exp, erfc and the activations made of them, in float without branches or calls, so
 * that loops over them become vectors; in double the C library's. Errors against double over the
 * whole range (tests/unit/cpu_portable/test_fast_math.c): exp, expm1 and log1p 2 ulp, normal cdf 6
 * ulp in the lower tail too. A NaN stays a NaN. */
#ifndef FWI_FAST_MATH_H
#define FWI_FAST_MATH_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* a b + c, rounded once where the room has an instruction for that, else twice. */
#ifdef __FMA__
#define MADD(a, b, c) __builtin_fmaf(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif

static inline float root_f32(float x)
{
    return sqrtf(x);
}
static inline double root_f64(double x)
{
    return sqrt(x);
}

/* What exp and expm1 share: e^(a+b) - 1 = 2^n - 1 + 2^n q for a in [-87, 88] and small b.
 * Cody and Waite's two-part ln 2; Cephes' polynomial for e^r on [-ln2/2, ln2/2]. */
static inline float exp_split(float a, float b, float *q)
{
    const float round = 12582912.0f; /* 1.5 2^23: adding it rounds to a whole number */
    const float m = MADD(a, 1.44269504088896341f, round), n = m - round;
    const float r = MADD(n, 2.12194440e-4f, MADD(n, -0.693359375f, a)) + b;
    float p = 1.9875691500e-4f;
    p = MADD(p, r, 1.3981999507e-3f);
    p = MADD(p, r, 8.3334519073e-3f);
    p = MADD(p, r, 4.1665795894e-2f);
    p = MADD(p, r, 1.6666665459e-1f);
    p = MADD(p, r, 5.0000001201e-1f);
    *q = MADD(p, r * r, r);
    uint32_t bits;
    memcpy(&bits, &m, sizeof bits);
    bits = (bits + 127) << 23; /* m's low bits hold n in two's complement */
    float two_n;
    memcpy(&two_n, &bits, sizeof two_n);
    return two_n;
}

/* e^x for x <= 0; under -87, where floats end, 0. */
static inline float exp_neg(float x)
{
    float q;
    const float two_n = exp_split(x < -87.0f ? -87.0f : x, 0.0f, &q);
    const float e = MADD(two_n, q, two_n);
    return x < -87.0f ? 0.0f : e;
}

/* e^x - 1 for x <= 0. */
static inline float expm1_neg(float x)
{
    float q;
    const float two_n = exp_split(x < -87.0f ? -87.0f : x, 0.0f, &q);
    return MADD(two_n, q, two_n - 1.0f);
}

/* ln(1 + u) for u in [0, 1], as 2 atanh(u / (2 + u)). */
static inline float log1p_unit(float u)
{
    const float s = u / (2.0f + u), z = s * s;
    float p = 1.0f / 15.0f;
    p = MADD(p, z, 1.0f / 13.0f);
    p = MADD(p, z, 1.0f / 11.0f);
    p = MADD(p, z, 1.0f / 9.0f);
    p = MADD(p, z, 1.0f / 7.0f);
    p = MADD(p, z, 1.0f / 5.0f);
    p = MADD(p, z, 1.0f / 3.0f);
    return 2.0f * s + 2.0f * s * (z * p);
}

/* The normal distribution at x; *bell gets e^(-x^2/2). The square is split in two so
 * that its rounding does not grow into the result; the lower tail is e^(-z^2) times a polynomial in
 * (2 - z) / (2 + z), z = |x| / sqrt(2), fitted to erfcx on [0, inf) to 1.1e-7. */
static inline float normal_cdf_f32(float x, float *bell)
{
    float a = fabsf(x);
    a = a > 13.0f ? 13.0f : a;
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    bits &= 0xfffff000U;
    float hi;
    memcpy(&hi, &bits, sizeof hi);
    float q;
    const float two_n = exp_split(-0.5f * (hi * hi), -0.5f * ((a - hi) * (a + hi)), &q);
    const float e = MADD(two_n, q, two_n);
    const float z = a * 0.70710678118654752f, t = 1.0f / (2.0f + z), s = (2.0f - z) * t;
    float p = 4.4288415665505454e-05f;
    p = MADD(p, s, -3.67643624485936e-05f);
    p = MADD(p, s, -3.0471908394247293e-04f);
    p = MADD(p, s, 4.310400108806789e-04f);
    p = MADD(p, s, 1.5338470693677664e-03f);
    p = MADD(p, s, -3.243732964619994e-03f);
    p = MADD(p, s, -1.0753311216831207e-02f);
    p = MADD(p, s, 1.8221748992800713e-02f);
    p = MADD(p, s, 1.3973595201969147e-01f);
    p = MADD(p, s, 3.4358030557632446e-01f);
    p = MADD(p, s, 5.107913613319397e-01f);
    const bool far = fabsf(x) > 13.0f;
    const float tail = far ? 0.0f : e * (p * t); /* erfc(z) / 2 */
    *bell = far ? 0.0f : e;
    return x < 0.0f ? tail : 1.0f - tail;
}

static inline float celu_f32(float x, float alpha)
{
    const float m = alpha * expm1_neg((x < 0.0f ? x : 0.0f) / alpha);
    return x < 0.0f ? m : x;
}
static inline float celu_slope_f32(float x, float alpha)
{
    const float e = exp_neg((x < 0.0f ? x : 0.0f) / alpha);
    const float one = x >= 0.0f ? 1.0f : x;
    return x < 0.0f ? e : one;
}
static inline float gelu_f32(float x, float alpha)
{
    (void)alpha;
    float bell;
    return x * normal_cdf_f32(x, &bell);
}
static inline float gelu_slope_f32(float x, float alpha)
{
    (void)alpha;
    float bell;
    const float cdf = normal_cdf_f32(x, &bell);
    return cdf + x * (0.39894228040143267794f * bell);
}
static inline float sigmoid_f32(float x, float alpha)
{
    (void)alpha;
    const float e = exp_neg(-fabsf(x));
    const float top = x < 0.0f ? e : 1.0f;
    return top / (1.0f + e);
}
static inline float sigmoid_slope_f32(float x, float alpha)
{
    (void)alpha;
    const float e = exp_neg(-fabsf(x)), d = 1.0f + e;
    return e / (d * d);
}
static inline float silu_f32(float x, float alpha)
{
    return x * sigmoid_f32(x, alpha);
}
static inline float silu_slope_f32(float x, float alpha)
{
    const float s = sigmoid_f32(x, alpha), other = sigmoid_f32(-x, alpha);
    return s + s * (x * other);
}
static inline float tanh_f32(float x, float alpha)
{
    (void)alpha;
    const float m = expm1_neg(-2.0f * fabsf(x));
    return copysignf(-m / (2.0f + m), x);
}
static inline float tanh_slope_f32(float x, float alpha)
{
    (void)alpha;
    const float e = exp_neg(-2.0f * fabsf(x)), d = 1.0f + e;
    return 4.0f * e / (d * d);
}
static inline float softplus_f32(float x, float alpha)
{
    (void)alpha;
    const float most = x > 0.0f ? x : x != x ? x : 0.0f;
    return most + log1p_unit(exp_neg(-fabsf(x)));
}
static inline float softplus_slope_f32(float x, float alpha)
{
    return sigmoid_f32(x, alpha);
}

/* ---- double ---- */
static inline double sigmoid_f64(double x, double alpha)
{
    (void)alpha;
    const double e = exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}
static inline double sigmoid_slope_f64(double x, double alpha)
{
    (void)alpha;
    const double e = exp(-fabs(x)), d = 1.0 + e;
    return e / (d * d);
}
static inline double normal_cdf_f64(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}
static inline double celu_f64(double x, double alpha)
{
    return x < 0 ? alpha * expm1(x / alpha) : x;
}
static inline double celu_slope_f64(double x, double alpha)
{
    return x < 0 ? exp(x / alpha) : x >= 0 ? 1.0 : x;
}
static inline double gelu_f64(double x, double alpha)
{
    (void)alpha;
    return x * normal_cdf_f64(x);
}
static inline double gelu_slope_f64(double x, double alpha)
{
    (void)alpha;
    return normal_cdf_f64(x) + x * (0.39894228040143267794 * exp(-0.5 * x * x));
}
static inline double silu_f64(double x, double alpha)
{
    return x * sigmoid_f64(x, alpha);
}
static inline double silu_slope_f64(double x, double alpha)
{
    const double s = sigmoid_f64(x, alpha);
    return s + s * (x * sigmoid_f64(-x, alpha));
}
static inline double tanh_f64(double x, double alpha)
{
    (void)alpha;
    return tanh(x);
}
static inline double tanh_slope_f64(double x, double alpha)
{
    (void)alpha;
    const double e = exp(-2 * fabs(x)), d = 1.0 + e;
    return 4 * e / (d * d);
}
static inline double softplus_f64(double x, double alpha)
{
    (void)alpha;
    return (x > 0 ? x : x != x ? x : 0) + log1p(exp(-fabs(x)));
}
static inline double softplus_slope_f64(double x, double alpha)
{
    return sigmoid_f64(x, alpha);
}

#endif
