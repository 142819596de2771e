/* resize_body.h: images of another size. resize is bilinear with half-pixel centres: output o of h
 * looks at place s = (o + 1/2) ih / h - 1/2 of the input's ih, moved to the nearest place inside, and
 * takes 1 - t of pixel floor(s) and t of the next, t = s - floor(s). That is what PyTorch calls
 * align_corners=False, without antialiasing: where an image shrinks, pixels between two places are
 * not looked at. crop takes the middle. */

/* How much of the input's pixel i is in the output's pixel o, along one axis. */
static double FWI_NAME(share)(int64_t o, int64_t h, int64_t i, int64_t ih)
{
    double s = ((double)o + 0.5) * (double)ih / (double)h - 0.5;
    s = s < 0 ? 0 : s > (double)(ih - 1) ? (double)(ih - 1) : s;
    const int64_t first = (int64_t)s; /* its floor: s >= 0 */
    const double t = s - (double)first;
    return i == first ? 1 - t : i == first + 1 ? t : 0;
}

/* x[n,ih,iw,c] -> y[n,h,w,c] */
fw_status FWI_NAME(resize)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t *xd = call->in[0].shape.d, *d = call->out[0].shape.d;
    const int64_t c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t h = 0; h < d[1]; h++)
            for (int64_t w = 0; w < d[2]; w++)
                for (int64_t i = 0; i < c; i++) {
                    double sum = 0;
                    for (int64_t ih = 0; ih < xd[1]; ih++) {
                        const double sh = FWI_NAME(share)(h, d[1], ih, xd[1]);
                        for (int64_t iw = 0; sh > 0 && iw < xd[2]; iw++) {
                            const double sw = FWI_NAME(share)(w, d[2], iw, xd[2]);
                            if (sw > 0) /* a NaN elsewhere is not looked at */
                                sum += sh * sw * (double)x[((n * xd[1] + ih) * xd[2] + iw) * c + i];
                        }
                    }
                    y[((n * d[1] + h) * d[2] + w) * c + i] = (FWI_REAL)sum;
                }
    return FW_OK;
}

/* dy[n,h,w,c] -> dx[n,ih,iw,c]: a place gets of each output what it gave to it */
fw_status FWI_NAME(resize_grad)(const fwi_call *call)
{
    const FWI_REAL *dy = call->in[0].data;
    FWI_REAL *dx = call->out[0].data;
    const int64_t *yd = call->in[0].shape.d, *d = call->out[0].shape.d;
    const int64_t c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t ih = 0; ih < d[1]; ih++)
            for (int64_t iw = 0; iw < d[2]; iw++)
                for (int64_t i = 0; i < c; i++) {
                    double sum = 0;
                    for (int64_t h = 0; h < yd[1]; h++) {
                        const double sh = FWI_NAME(share)(h, yd[1], ih, d[1]);
                        for (int64_t w = 0; sh > 0 && w < yd[2]; w++) {
                            const double sw = FWI_NAME(share)(w, yd[2], iw, d[2]);
                            if (sw > 0)
                                sum += sh * sw * (double)dy[((n * yd[1] + h) * yd[2] + w) * c + i];
                        }
                    }
                    dx[((n * d[1] + ih) * d[2] + iw) * c + i] = (FWI_REAL)sum;
                }
    return FW_OK;
}

/* x[n,ih,iw,c] -> y[n,h,w,c], from row (ih - h) / 2 and column (iw - w) / 2 on, rounded down */
fw_status FWI_NAME(crop)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t *xd = call->in[0].shape.d, *d = call->out[0].shape.d;
    const int64_t top = (xd[1] - d[1]) / 2, left = (xd[2] - d[2]) / 2, c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t h = 0; h < d[1]; h++)
            for (int64_t w = 0; w < d[2]; w++)
                for (int64_t i = 0; i < c; i++)
                    y[((n * d[1] + h) * d[2] + w) * c + i] =
                        x[((n * xd[1] + top + h) * xd[2] + left + w) * c + i];
    return FW_OK;
}

/* dy -> dx */
fw_status FWI_NAME(crop_grad)(const fwi_call *call)
{
    const FWI_REAL *dy = call->in[0].data;
    FWI_REAL *dx = call->out[0].data;
    const int64_t *yd = call->in[0].shape.d, *d = call->out[0].shape.d;
    const int64_t top = (d[1] - yd[1]) / 2, left = (d[2] - yd[2]) / 2, c = d[3];
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t ih = 0; ih < d[1]; ih++)
            for (int64_t iw = 0; iw < d[2]; iw++)
                for (int64_t i = 0; i < c; i++) {
                    const int64_t h = ih - top, w = iw - left;
                    const bool inside = h >= 0 && h < yd[1] && w >= 0 && w < yd[2];
                    dx[((n * d[1] + ih) * d[2] + iw) * c + i] =
                        inside ? dy[((n * yd[1] + h) * yd[2] + w) * c + i] : 0;
                }
    return FW_OK;
}
