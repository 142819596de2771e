/* act_body.h: activations. Each output may be the memory of input 0. A NaN stays a NaN. */

/* x -> max(x, 0) */
fw_status FWI_NAME(relu)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
    return FW_OK;
}

/* dy y -> dx: passes where the output is over 0 (at 0 the derivative is 0), and where it is a NaN
 */
fw_status FWI_NAME(relu_grad)(const fwi_call *call)
{
    const FWI_REAL *dy = call->in[0].data, *y = call->in[1].data;
    FWI_REAL *dx = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        dx[i] = y[i] <= 0 ? 0 : dy[i];
    return FW_OK;
}

/* x -> y, attr fn alpha; act_value: act_functions.h */
fw_status FWI_NAME(act)(const fwi_call *call)
{
    const fwi_act_attr *a = &call->attr->act;
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        y[i] = (FWI_REAL)act_value((fwi_act_fn)a->fn, a->alpha, (double)x[i]);
    return FW_OK;
}

/* dy x -> dx */
fw_status FWI_NAME(act_grad)(const fwi_call *call)
{
    const fwi_act_attr *a = &call->attr->act;
    const FWI_REAL *dy = call->in[0].data, *x = call->in[1].data;
    FWI_REAL *dx = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++)
        dx[i] = (FWI_REAL)((double)dy[i] * act_slope((fwi_act_fn)a->fn, a->alpha, (double)x[i]));
    return FW_OK;
}
