/* act_functions.h: the activations as functions of a double and their derivatives: the definition
 * that every kernel is held to. Used by act.c and, with the two that fused ops know besides, by
 * fused.c. */
#ifndef FWI_ACT_FUNCTIONS_H
#define FWI_ACT_FUNCTIONS_H

#include "ir.h"

#include <math.h>

/* 1 / (1 + e^-x); e of a large number is never taken. */
static inline double sigmoid(double x)
{
    const double e = exp(-fabs(x));
    return x < 0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}

static const double sqrt_half = 0.70710678118654752440;    /* 1 / sqrt(2) */
static const double inv_sqrt_tau = 0.39894228040143267794; /* 1 / sqrt(2 pi) */

/* The standard normal's distribution; by erfc, because 1 + erf loses the lower tail. */
static inline double normal_cdf(double x)
{
    return 0.5 * erfc(-x * sqrt_half);
}

static inline double act_value(fwi_act_fn fn, double alpha, double x)
{
    switch (fn) {
    case FWI_CELU: /* max(0,x) + min(0, alpha (e^(x/alpha) - 1)) */
        return x < 0 ? alpha * expm1(x / alpha) : x;
    case FWI_GELU: /* the exact form, not the tanh approximation */
        return x * normal_cdf(x);
    case FWI_SILU:
        return x * sigmoid(x);
    case FWI_TANH:
        return tanh(x);
    case FWI_SIGMOID:
        return sigmoid(x);
    case FWI_SOFTPLUS: /* ln(1 + e^x) */
        return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
    case FWI_ACT_COUNT:
        break;
    }
    return NAN; /* not reached: the shape rule checks fn */
}

/* The derivative at x. */
static inline double act_slope(fwi_act_fn fn, double alpha, double x)
{
    switch (fn) {
    case FWI_CELU:
        return x < 0 ? exp(x / alpha) : x >= 0 ? 1.0 : x;
    case FWI_GELU:
        return normal_cdf(x) + x * inv_sqrt_tau * exp(-0.5 * x * x);
    case FWI_SILU: {
        const double s = sigmoid(x);
        return s * (1.0 + x * sigmoid(-x));
    }
    case FWI_TANH: {
        const double s = 1.0 / cosh(x);
        return s * s;
    }
    case FWI_SIGMOID:
        return sigmoid(x) * sigmoid(-x);
    case FWI_SOFTPLUS:
        return sigmoid(x);
    case FWI_ACT_COUNT:
        break;
    }
    return NAN;
}

#endif
