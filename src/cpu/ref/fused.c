/* fused.c: the ops that a backend's fusion makes, in float and in double: what each is, composed
 * from the definitions of batch norm, activations and pools; fused_body.h has the code. No plan on
 * n h w c has them: they are what the fused kernels of other rooms are held to. */
#include "act_functions.h"
#include "ref_kernels.h"

#include <math.h>
#include <string.h>

static double fused_value(int64_t fn, double alpha, double x)
{
    if (fn == FWI_FUSED_RELU)
        return x < 0 ? 0 : x;
    return fn == FWI_FUSED_IDENTITY ? x : act_value((fwi_act_fn)fn, alpha, x);
}

/* What arrives at the activation's input x when dy arrives at its output. */
static double fused_back(int64_t fn, double alpha, double x, double dy)
{
    if (fn == FWI_FUSED_RELU)
        return x <= 0 ? 0 : dy;
    return fn == FWI_FUSED_IDENTITY ? dy : dy * act_slope((fwi_act_fn)fn, alpha, x);
}

/* Row of x that window (oh, ow) of image n has as place `place`; rows are n h w. */
static int64_t window_row(const fwi_bn_act_attr *a, int64_t n, int64_t oh, int64_t ow,
                          int64_t place)
{
    return (n * a->ih + oh * a->k + place / a->k) * a->iw + ow * a->k + place % a->k;
}

#define FWI_REAL     float
#define FWI_NAME(op) fwi_##op##_f32_ref
#include "fused_body.h"
#undef FWI_REAL
#undef FWI_NAME

#define FWI_REAL     double
#define FWI_NAME(op) fwi_##op##_f64_ref
#include "fused_body.h"
#undef FWI_REAL
#undef FWI_NAME
