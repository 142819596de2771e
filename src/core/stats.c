/* stats.c: Student's t and what is made of it (fenwicks/stats.h).
 *
 * The distribution is the regularised incomplete beta function, by Lentz's continued fraction (its
 * first few dozen terms give double precision); quantiles by bisection on it, which is slow and
 * cannot fail: they are asked for once per table. */
#include "fail.h"
#include <fenwicks/stats.h>

#include <math.h>
#include <stddef.h>

/* ---- Student's t ---- */

enum { FRACTION_TERMS = 10000 };

static double apart_from_zero(double v)
{
    return fabs(v) < 1e-300 ? 1e-300 : v;
}

/* The continued fraction of the incomplete beta function (DLMF 8.17.22), for x < (a+1)/(a+b+2). */
static double beta_fraction(double x, double a, double b)
{
    double c = 1, d = 1 / apart_from_zero(1 - (a + b) * x / (a + 1)), f = d;
    for (int m = 1; m < FRACTION_TERMS; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                     odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / apart_from_zero(1 + even * d);
        c = apart_from_zero(1 + even / c);
        f *= c * d;
        d = 1 / apart_from_zero(1 + odd * d);
        c = apart_from_zero(1 + odd / c);
        f *= c * d;
        if (fabs(c * d - 1) < 1e-16)
            break;
    }
    return f;
}

/* log(gamma(a + 1/2) / gamma(a)). From 200 on by its series: there the difference of two logarithms
 * would lose digits, 2e-8 of the result at 1e9. */
static double log_gamma_step(double a)
{
    int sign; /* lgamma would write a global */
    return a < 200 ? lgamma_r(a + 0.5, &sign) - lgamma_r(a, &sign)
                   : 0.5 * log(a) - 1 / (8 * a) + 1 / (192 * a * a * a);
}

/* The share of the beta distribution (a, b) below x, where a or b is 1/2; y is 1 - x, given apart
 * because it may be too small for a difference. */
static double beta_share(double x, double y, double a, double b)
{
    static const double log_gamma_half = 0.57236494292470009;
    if (x <= 0 || y <= 0)
        return x <= 0 ? 0 : 1;
    const double front =
        exp(log_gamma_step(b == 0.5 ? a : b) - log_gamma_half + a * (x < 0.5 ? log(x) : log1p(-y)) +
            b * (y < 0.5 ? log(y) : log1p(-x)));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(x, a, b) / a
                                     : 1 - front * beta_fraction(y, b, a) / b;
}

/* P(T > t) for t >= 0: small values keep their digits. */
static double upper_tail(double t, double df)
{
    const double square = t * t, all = df + square;
    return isinf(all) ? 0 : 0.5 * beta_share(df / all, square / all, df / 2, 0.5);
}

double fw_t_cdf(double t, double df)
{
    if (isnan(t) || !(df > 0) || isinf(df))
        return NAN;
    return t < 0 ? upper_tail(-t, df) : 1 - upper_tail(t, df);
}

double fw_t_quantile(double p, double df)
{
    if (!(p > 0 && p < 1) || !(df > 0) || isinf(df))
        return NAN;
    const double tail = p < 0.5 ? p : 1 - p;
    double low = 0, high = 1;
    if (tail == 0.5)
        return 0;
    while (upper_tail(high, df) > tail && high < 1e150)
        high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-15 * high; i++) {
        const double mid = 0.5 * (low + high);
        if (upper_tail(mid, df) > tail)
            low = mid;
        else
            high = mid;
    }
    return p < 0.5 ? -high : high;
}

/* ---- one sample ---- */

fw_status fw_summary_of(const double *x, int64_t n, fw_summary *out)
{
    if (x == NULL || out == NULL || n < 1)
        return fwi_fail(FW_EARG, "fw_summary_of: NULL argument or no value");
    fw_summary s = {.n = n, .min = x[0], .max = x[0], .std = NAN, .se = NAN};
    double m2 = 0; /* Welford 1962: no difference of large sums */
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return fwi_fail(FW_EARG, "fw_summary_of: value %lld is %g", (long long)i, x[i]);
        const double d = x[i] - s.mean;
        s.mean += d / (double)(i + 1);
        m2 += d * (x[i] - s.mean);
        s.min = fmin(s.min, x[i]);
        s.max = fmax(s.max, x[i]);
    }
    if (n > 1) {
        s.std = sqrt(m2 / (double)(n - 1));
        s.se = s.std / sqrt((double)n);
    }
    *out = s;
    return FW_OK;
}

double fw_share_at_least(const double *x, int64_t n, double bound)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n && x != NULL; i++)
        count += x[i] >= bound;
    return n < 1 || x == NULL ? NAN : (double)count / (double)n;
}

double fw_t_test_above(const fw_summary *s, double bound)
{
    if (s == NULL || s->n < 2)
        return NAN;
    if (s->se == 0)
        return s->mean > bound ? 0 : 1;
    const double t = (s->mean - bound) / s->se, df = (double)(s->n - 1);
    return t > 0 ? upper_tail(t, df) : 1 - upper_tail(-t, df);
}

/* ---- differences ---- */

/* Interval and p of value, se and df; se NaN: neither. */
static void bounds(fw_estimate *e, double confidence)
{
    e->low = e->high = e->p = NAN;
    if (isnan(e->se))
        return;
    if (e->se == 0) { /* no spread: as sure as these runs can be */
        e->low = e->high = e->value;
        e->p = e->value == 0 ? 1 : 0;
        return;
    }
    const double reach = fw_t_quantile(0.5 + 0.5 * confidence, e->df) * e->se;
    e->low = e->value - reach;
    e->high = e->value + reach;
    e->p = 2 * upper_tail(fabs(e->value / e->se), e->df);
}

static bool is_confidence(double c)
{
    return c > 0 && c < 1;
}

/* Welford's mean and spread over values made one by one. */
typedef struct running {
    int64_t n;
    double mean, m2;
} running;

static void running_add(running *r, double x)
{
    r->n++;
    const double d = x - r->mean;
    r->mean += d / (double)r->n;
    r->m2 += d * (x - r->mean);
}

static double running_se(const running *r)
{
    return r->n < 2 ? NAN : sqrt(r->m2 / (double)(r->n - 1) / (double)r->n);
}

fw_status fw_paired(const double *a, const double *b, int64_t n, double confidence,
                    fw_estimate *out)
{
    if (a == NULL || b == NULL || out == NULL || n < 1 || !is_confidence(confidence))
        return fwi_fail(FW_EARG, "fw_paired: NULL argument, no pair, or a confidence out of 0..1");
    running r = {0};
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i]))
            return fwi_fail(FW_EARG, "fw_paired: pair %lld is %g and %g", (long long)i, a[i], b[i]);
        running_add(&r, a[i] - b[i]);
    }
    *out = (fw_estimate){.n = n, .value = r.mean, .se = running_se(&r), .df = (double)(n - 1)};
    bounds(out, confidence);
    return FW_OK;
}

fw_status fw_welch(const fw_summary *a, const fw_summary *b, double confidence, fw_estimate *out)
{
    if (a == NULL || b == NULL || out == NULL || a->n < 1 || b->n < 1 || !is_confidence(confidence))
        return fwi_fail(FW_EARG, "fw_welch: NULL argument, no run, or a confidence out of 0..1");
    const double va = a->se * a->se, vb = b->se * b->se, v = va + vb; /* NaN with one run */
    *out =
        (fw_estimate){.n = a->n < b->n ? a->n : b->n,
                      .value = a->mean - b->mean,
                      .se = sqrt(v),
                      .df = v * v / (va * va / (double)(a->n - 1) + vb * vb / (double)(b->n - 1))};
    bounds(out, confidence);
    return FW_OK;
}

/* ---- seconds at matched accuracy ---- */

fw_status fw_matched_seconds(const fw_matched_opt *o, fw_estimate *slope, fw_estimate *out)
{
    if (o == NULL || out == NULL || o->base == NULL || o->other == NULL || o->variant == NULL ||
        o->seconds == NULL || o->n < 2 || !is_confidence(o->confidence))
        return fwi_fail(FW_EARG, "fw_matched_seconds: NULL argument, under two seeds, or a "
                                 "confidence out of 0..1");
    const double apart = o->base_epochs - o->other_epochs;
    if (!isfinite(apart) || apart == 0 || !(o->variant_epochs > 0))
        return fwi_fail(FW_EARG, "fw_matched_seconds: lengths of %g and %g epochs give no slope",
                        o->base_epochs, o->other_epochs);
    fw_estimate s;
    fw_status st = fw_paired(o->base, o->other, o->n, o->confidence, &s);
    if (st != FW_OK)
        return st;
    s.value /= apart;
    s.se /= fabs(apart);
    bounds(&s, o->confidence);
    if (slope != NULL)
        *slope = s;
    if (!(s.low > 0))
        return fwi_fail(FW_ESTATE,
                        "accuracy rises by %g per epoch, %g to %g: this may be nothing, and "
                        "seconds cannot be matched by it",
                        s.value, s.low, s.high);
    running d = {0}, t = {0}, r = {0};
    for (int64_t i = 0; i < o->n; i++) {
        running_add(&d, o->variant[i] - o->base[i]);
        running_add(&t, o->seconds[i]);
    }
    if (!isfinite(d.mean) || !isfinite(t.mean))
        return fwi_fail(FW_EARG, "fw_matched_seconds: a value is not finite");
    const double epochs = d.mean / s.value, per_epoch = t.mean / o->variant_epochs;
    /* T of each seed to first order around the means: its spread has all shared parts in it */
    for (int64_t i = 0; i < o->n; i++) {
        const double di = o->variant[i] - o->base[i], si = (o->base[i] - o->other[i]) / apart;
        running_add(&r, o->seconds[i] * (1 - epochs / o->variant_epochs) -
                            per_epoch * (di - epochs * si) / s.value);
    }
    *out = (fw_estimate){.n = o->n,
                         .value = t.mean - per_epoch * epochs,
                         .se = running_se(&r),
                         .df = (double)(o->n - 1)};
    bounds(out, o->confidence);
    return FW_OK;
}
