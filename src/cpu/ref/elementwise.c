/* elementwise.c: sums, scales and movement of elements, in float and in double; elementwise_body.h
 * has the code. */
#include "ref_kernels.h"

#include <string.h>

/* Element i of a real tensor. */
static void store_real(const fwi_arg *y, int64_t i, double v)
{
    if (y->dtype == FW_F32)
        ((float *)y->data)[i] = (float)v;
    else
        ((double *)y->data)[i] = v;
}

fw_status fwi_reshape_any_ref(const fwi_call *call)
{
    const size_t n = (size_t)fwi_shape_elems(&call->in[0].shape);
    memmove(call->out[0].data, call->in[0].data, n * fw_dtype_size(call->in[0].dtype));
    return FW_OK;
}

fw_status fwi_fill_int_ref(const fwi_call *call)
{
    const fwi_arg *y = &call->out[0];
    const double v = call->attr->fill.value; /* a whole number in the type's range */
    const int64_t n = fwi_shape_elems(&y->shape);
    for (int64_t i = 0; i < n; i++) {
        if (y->dtype == FW_U8)
            ((uint8_t *)y->data)[i] = (uint8_t)v;
        else if (y->dtype == FW_I32)
            ((int32_t *)y->data)[i] = (int32_t)v;
        else
            ((int64_t *)y->data)[i] = (int64_t)v;
    }
    return FW_OK;
}

fw_status fwi_cast_u8_ref(const fwi_call *call)
{
    const uint8_t *x = call->in[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        store_real(&call->out[0], i, x[i]);
    return FW_OK;
}

fw_status fwi_cast_i32_ref(const fwi_call *call)
{
    const int32_t *x = call->in[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        store_real(&call->out[0], i, x[i]);
    return FW_OK;
}

/* Beyond 2^53 by way of double: to the nearest double, then to the nearest float. */
fw_status fwi_cast_i64_ref(const fwi_call *call)
{
    const int64_t *x = call->in[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        store_real(&call->out[0], i, (double)x[i]);
    return FW_OK;
}

#define FWI_REAL     float
#define FWI_NAME(op) fwi_##op##_f32_ref
#include "elementwise_body.h"
#undef FWI_REAL
#undef FWI_NAME

#define FWI_REAL     double
#define FWI_NAME(op) fwi_##op##_f64_ref
#include "elementwise_body.h"
#undef FWI_REAL
#undef FWI_NAME
