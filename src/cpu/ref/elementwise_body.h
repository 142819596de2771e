/* elementwise_body.h: sums and scales, element by element, and the ops that only move or convert
 * elements. add, scale and scale_by may write over input 0. */

/* a b -> a + b */
fw_status FWI_NAME(add)(const fwi_call *call)
{
    const FWI_REAL *a = call->in[0].data, *b = call->in[1].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
    return FW_OK;
}

/* x -> value * x; the value is rounded to the element type first */
fw_status FWI_NAME(scale)(const fwi_call *call)
{
    const FWI_REAL s = (FWI_REAL)call->attr->scalar.value;
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        y[i] = s * x[i];
    return FW_OK;
}

/* x s[1] -> s * x */
fw_status FWI_NAME(scale_by)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    const FWI_REAL s = *(const FWI_REAL *)call->in[1].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        y[i] = s * x[i];
    return FW_OK;
}

/* a[...,ca] b[...,cb] -> y[...,ca+cb] */
fw_status FWI_NAME(concat)(const fwi_call *call)
{
    const FWI_REAL *a = call->in[0].data, *b = call->in[1].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t ca = fwi_ref_cols(&call->in[0].shape), cb = fwi_ref_cols(&call->in[1].shape);
    const int64_t rows = fwi_ref_rows(&call->in[0].shape);
    for (int64_t r = 0; r < rows; r++) {
        memcpy(y + r * (ca + cb), a + r * ca, (size_t)ca * sizeof *y);
        memcpy(y + r * (ca + cb) + ca, b + r * cb, (size_t)cb * sizeof *y);
    }
    return FW_OK;
}

/* x[...,c] -> x[..., begin : begin + len] */
fw_status FWI_NAME(slice)(const fwi_call *call)
{
    const fwi_slice_attr *a = &call->attr->slice;
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t rows = fwi_ref_rows(&call->in[0].shape), c = fwi_ref_cols(&call->in[0].shape);
    for (int64_t r = 0; r < rows; r++)
        memcpy(y + r * a->len, x + r * c + a->begin, (size_t)a->len * sizeof *y);
    return FW_OK;
}

/* The same elements in the same order; a plan only runs it where it could not share the memory. */
fw_status FWI_NAME(reshape)(const fwi_call *call)
{
    return fwi_reshape_any_ref(call);
}

fw_status FWI_NAME(fill)(const fwi_call *call)
{
    FWI_REAL *y = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->out[0].shape);
    for (int64_t i = 0; i < n; i++)
        y[i] = (FWI_REAL)call->attr->fill.value;
    return FW_OK;
}

fw_status FWI_NAME(cast)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        store_real(&call->out[0], i, (double)x[i]);
    return FW_OK;
}
