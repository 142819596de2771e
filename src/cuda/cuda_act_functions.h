/* cuda_act_functions.h: the activations and their derivatives in f32; cpu/ref/act_functions.h
 * defines them. expm1, erfc and log1p keep what 1 - 1 would lose near 0 and in the tails. */
#ifndef FWI_CUDA_ACT_FUNCTIONS_H
#define FWI_CUDA_ACT_FUNCTIONS_H

#include "cuda_kernel.h"

namespace fwi_cuda
{

struct act_fn {
    int fn; /* fwi_act_fn or FWI_FUSED_* */
    float alpha;
};

static __device__ inline float sigmoid(float x)
{
    const float e = expf(-fabsf(x));
    return x < 0 ? e / (1.0f + e) : 1.0f / (1.0f + e);
}

static __device__ inline float normal_cdf(float x)
{
    return 0.5f * erfcf(-x * 0.70710678118654752f);
}

static __device__ inline float act_value(const act_fn &a, float x)
{
    switch (a.fn) {
    case FWI_CELU:
        return x < 0 ? a.alpha * expm1f(x / a.alpha) : x;
    case FWI_GELU:
        return x * normal_cdf(x);
    case FWI_SILU:
        return x * sigmoid(x);
    case FWI_TANH:
        return tanhf(x);
    case FWI_SIGMOID:
        return sigmoid(x);
    case FWI_SOFTPLUS:
        return (x > 0 ? x : 0.0f) + log1pf(expf(-fabsf(x)));
    case FWI_FUSED_RELU:
        return x < 0 ? 0.0f : x; /* a NaN stays a NaN */
    default:
        return x; /* FWI_FUSED_IDENTITY */
    }
}

/* What arrives at the input x when dy arrives at the output. */
static __device__ inline float act_back(const act_fn &a, float x, float dy)
{
    switch (a.fn) {
    case FWI_CELU:
        return dy * (x < 0 ? expf(x / a.alpha) : x >= 0 ? 1.0f : x);
    case FWI_GELU:
        return dy * (normal_cdf(x) + x * 0.39894228040143268f * expf(-0.5f * x * x));
    case FWI_SILU:
        return dy * (sigmoid(x) * (1.0f + x * sigmoid(-x)));
    case FWI_TANH: {
        const float s = 1.0f / coshf(x);
        return dy * (s * s);
    }
    case FWI_SIGMOID:
        return dy * (sigmoid(x) * sigmoid(-x));
    case FWI_SOFTPLUS:
        return dy * sigmoid(x);
    case FWI_FUSED_RELU:
        return x <= 0 ? 0.0f : dy;
    default:
        return dy;
    }
}

} // namespace fwi_cuda

#endif
