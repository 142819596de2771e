/* pool_body.h: windows of k x k places, `stride` apart, without padding; rows and columns that fill
 * no window are left out, and their gradient is 0. A maximum is the first one in row-major order; a
 * NaN counts as larger than any number, and the first NaN is taken. */

/* True if v takes the place of the maximum so far. */
static bool FWI_NAME(larger)(FWI_REAL v, FWI_REAL best)
{
    return v > best || (v != v && best == best);
}

/* x -> y idx: the maximum and its place in its window, kh * k + kw */
fw_status FWI_NAME(max_pool)(const fwi_call *call)
{
    const fwi_pool_attr *a = &call->attr->pool;
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    uint8_t *idx = call->out[1].data;
    const int64_t h = call->in[0].shape.d[1], w = call->in[0].shape.d[2];
    const int64_t *d = call->out[0].shape.d;
    const int64_t c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t oh = 0; oh < d[1]; oh++)
            for (int64_t ow = 0; ow < d[2]; ow++)
                for (int64_t i = 0; i < c; i++) {
                    const FWI_REAL *win =
                        x + ((n * h + oh * a->stride) * w + ow * a->stride) * c + i;
                    FWI_REAL best = win[0];
                    int64_t place = 0;
                    for (int64_t kh = 0; kh < a->k; kh++)
                        for (int64_t kw = 0; kw < a->k; kw++) {
                            const FWI_REAL v = win[(kh * w + kw) * c];
                            if (FWI_NAME(larger)(v, best)) {
                                best = v;
                                place = kh * a->k + kw;
                            }
                        }
                    const int64_t at = ((n * d[1] + oh) * d[2] + ow) * c + i;
                    y[at] = best;
                    idx[at] = (uint8_t)place;
                }
    return FW_OK;
}

/* dy idx -> dx. Written from dx's side, so that no element is added to twice: a place gets dy of
 * each window whose maximum it was. */
fw_status FWI_NAME(max_pool_grad)(const fwi_call *call)
{
    const fwi_pool_attr *a = &call->attr->pool;
    const FWI_REAL *dy = call->in[0].data;
    const uint8_t *idx = call->in[1].data;
    FWI_REAL *dx = call->out[0].data;
    const int64_t *yd = call->in[0].shape.d, *d = call->out[0].shape.d;
    const int64_t c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t ih = 0; ih < d[1]; ih++)
            for (int64_t iw = 0; iw < d[2]; iw++)
                for (int64_t i = 0; i < c; i++) {
                    double sum = 0;
                    for (int64_t kh = 0; kh < a->k; kh++) {
                        const int64_t h = ih - kh; /* oh * stride */
                        if (h < 0 || h % a->stride != 0 || h / a->stride >= yd[1])
                            continue;
                        for (int64_t kw = 0; kw < a->k; kw++) {
                            const int64_t w = iw - kw; /* ow * stride */
                            if (w < 0 || w % a->stride != 0 || w / a->stride >= yd[2])
                                continue;
                            const int64_t at =
                                ((n * yd[1] + h / a->stride) * yd[2] + w / a->stride) * c + i;
                            if (idx[at] == kh * a->k + kw)
                                sum += (double)dy[at];
                        }
                    }
                    dx[((n * d[1] + ih) * d[2] + iw) * c + i] = (FWI_REAL)sum;
                }
    return FW_OK;
}

/* x -> y: the window's mean */
fw_status FWI_NAME(avg_pool)(const fwi_call *call)
{
    const fwi_pool_attr *a = &call->attr->pool;
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t h = call->in[0].shape.d[1], w = call->in[0].shape.d[2];
    const int64_t *d = call->out[0].shape.d;
    const int64_t c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t oh = 0; oh < d[1]; oh++)
            for (int64_t ow = 0; ow < d[2]; ow++)
                for (int64_t i = 0; i < c; i++) {
                    const FWI_REAL *win =
                        x + ((n * h + oh * a->stride) * w + ow * a->stride) * c + i;
                    double sum = 0;
                    for (int64_t kh = 0; kh < a->k; kh++)
                        for (int64_t kw = 0; kw < a->k; kw++)
                            sum += (double)win[(kh * w + kw) * c];
                    y[((n * d[1] + oh) * d[2] + ow) * c + i] =
                        (FWI_REAL)(sum / (double)(a->k * a->k));
                }
    return FW_OK;
}

/* dy -> dx: a place gets dy / k^2 of each window that it is in */
fw_status FWI_NAME(avg_pool_grad)(const fwi_call *call)
{
    const fwi_pool_attr *a = &call->attr->pool;
    const FWI_REAL *dy = call->in[0].data;
    FWI_REAL *dx = call->out[0].data;
    const int64_t *yd = call->in[0].shape.d, *d = call->out[0].shape.d;
    const int64_t c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t ih = 0; ih < d[1]; ih++)
            for (int64_t iw = 0; iw < d[2]; iw++)
                for (int64_t i = 0; i < c; i++) {
                    double sum = 0;
                    for (int64_t kh = 0; kh < a->k; kh++) {
                        const int64_t h = ih - kh;
                        if (h < 0 || h % a->stride != 0 || h / a->stride >= yd[1])
                            continue;
                        for (int64_t kw = 0; kw < a->k; kw++) {
                            const int64_t w = iw - kw;
                            if (w < 0 || w % a->stride != 0 || w / a->stride >= yd[2])
                                continue;
                            sum += (double)
                                dy[((n * yd[1] + h / a->stride) * yd[2] + w / a->stride) * c + i];
                        }
                    }
                    dx[((n * d[1] + ih) * d[2] + iw) * c + i] =
                        (FWI_REAL)(sum / (double)(a->k * a->k));
                }
    return FW_OK;
}

/* x[n,h,w,c] -> y[n,c] idx[n,c]: the image's maximum and its place, h * width + w */
fw_status FWI_NAME(global_max_pool)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    int32_t *idx = call->out[1].data;
    const int64_t *d = call->in[0].shape.d;
    const int64_t places = d[1] * d[2], c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t i = 0; i < c; i++) {
            const FWI_REAL *xi = x + n * places * c + i;
            int64_t place = 0;
            for (int64_t p = 1; p < places; p++) {
                if (FWI_NAME(larger)(xi[p * c], xi[place * c]))
                    place = p;
            }
            y[n * c + i] = xi[place * c];
            idx[n * c + i] = (int32_t)place;
        }
    return FW_OK;
}

/* dy[n,c] idx[n,c] -> dx[n,h,w,c] */
fw_status FWI_NAME(global_max_pool_grad)(const fwi_call *call)
{
    const FWI_REAL *dy = call->in[0].data;
    const int32_t *idx = call->in[1].data;
    FWI_REAL *dx = call->out[0].data;
    const int64_t *d = call->out[0].shape.d;
    const int64_t places = d[1] * d[2], c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t p = 0; p < places; p++)
            for (int64_t i = 0; i < c; i++)
                dx[(n * places + p) * c + i] = idx[n * c + i] == p ? dy[n * c + i] : 0;
    return FW_OK;
}

/* x[n,h,w,c] -> y[n,c] */
fw_status FWI_NAME(global_avg_pool)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t *d = call->in[0].shape.d;
    const int64_t places = d[1] * d[2], c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t i = 0; i < c; i++) {
            double sum = 0;
            for (int64_t p = 0; p < places; p++)
                sum += (double)x[(n * places + p) * c + i];
            y[n * c + i] = (FWI_REAL)(sum / (double)places);
        }
    return FW_OK;
}

/* dy[n,c] -> dx[n,h,w,c] */
fw_status FWI_NAME(global_avg_pool_grad)(const fwi_call *call)
{
    const FWI_REAL *dy = call->in[0].data;
    FWI_REAL *dx = call->out[0].data;
    const int64_t *d = call->out[0].shape.d;
    const int64_t places = d[1] * d[2], c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t p = 0; p < places; p++)
            for (int64_t i = 0; i < c; i++)
                dx[(n * places + p) * c + i] = (FWI_REAL)((double)dy[n * c + i] / (double)places);
    return FW_OK;
}
