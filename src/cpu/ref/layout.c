/* layout.c: from n h w c to batch-blocked activations and back (ir.h, fwi_layout), with the type
 * changed on the way where asked: the definition of both layouts and of rounding to bf16. */
#include "ref_kernels.h"

#include <math.h>
#include <string.h>

/* Round to nearest, ties to even; a NaN stays one. */
static uint16_t bf16_of(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    if (isnan(v))
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

static float of_bf16(uint16_t v)
{
    const uint32_t u = (uint32_t)v << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static double load(const fwi_arg *a, int64_t i)
{
    if (a->dtype == FW_BF16)
        return (double)of_bf16(((const uint16_t *)a->data)[i]);
    return a->dtype == FW_F32 ? (double)((const float *)a->data)[i] : ((const double *)a->data)[i];
}

static void store(const fwi_arg *a, int64_t i, double v)
{
    if (a->dtype == FW_BF16)
        ((uint16_t *)a->data)[i] = bf16_of((float)v);
    else if (a->dtype == FW_F32)
        ((float *)a->data)[i] = (float)v;
    else
        ((double *)a->data)[i] = v;
}

/* Where element (image, place in h*w, channel) lies. */
static int64_t at(const fwi_arg *a, int64_t image, int64_t place, int64_t c)
{
    const int64_t places = a->shape.d[1] * a->shape.d[2], n_c = a->shape.d[3];
    if (a->nb == 0)
        return (image * places + place) * n_c + c;
    return (((image / a->nb) * places + place) * a->nb + image % a->nb) * n_c + c;
}

static fw_status copy(const fwi_call *call)
{
    const fwi_arg *x = &call->in[0], *y = &call->out[0];
    const int64_t n = x->shape.d[0], places = x->shape.d[1] * x->shape.d[2], c = x->shape.d[3];
    for (int64_t i = 0; i < n; i++)
        for (int64_t p = 0; p < places; p++)
            for (int64_t k = 0; k < c; k++)
                store(y, at(y, i, p, k), load(x, at(x, i, p, k)));
    return FW_OK;
}

fw_status fwi_to_blocked_f32_ref(const fwi_call *call)
{
    return copy(call);
}

fw_status fwi_to_blocked_f64_ref(const fwi_call *call)
{
    return copy(call);
}

fw_status fwi_from_blocked_f32_ref(const fwi_call *call)
{
    return copy(call);
}

fw_status fwi_from_blocked_f64_ref(const fwi_call *call)
{
    return copy(call);
}

fw_status fwi_from_blocked_bf16_ref(const fwi_call *call)
{
    return copy(call);
}
