/* conv2d_body.h: y[n,oh,ow,oc] = sum over kh, kw, c of x[n, oh*stride + kh - pad_t,
 * ow*stride + kw - pad_l, c] * w[oc,kh,kw,c]; places outside x count as zero. The gradients are the
 * same sum read the other way. Order of the loops: the channel axis innermost, where memory is
 * contiguous and a compiler can use vectors. */

/* Eight partial sums: in one sum each addition would wait for the one before. */
static double FWI_NAME(dot)(const FWI_REAL *restrict a, const FWI_REAL *restrict b, int64_t n)
{
    double part[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int j = 0; j < 8; j++)
            part[j] += (double)a[i + j] * (double)b[i + j];
    }
    for (int j = 0; i < n; i++, j++)
        part[j] += (double)a[i] * (double)b[i];
    return ((part[0] + part[1]) + (part[2] + part[3])) +
           ((part[4] + part[5]) + (part[6] + part[7]));
}

/* x w -> y */
fw_status FWI_NAME(conv2d)(const fwi_call *call)
{
    const fwi_conv_attr *a = &call->attr->conv;
    const FWI_REAL *x = call->in[0].data, *w = call->in[1].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t *yd = call->out[0].shape.d;
    const int64_t n_count = yd[0], oh_count = yd[1], ow_count = yd[2], oc = yd[3];
    const int64_t c = call->in[0].shape.d[3];

    for (int64_t n = 0; n < n_count; n++)
        for (int64_t o = 0; o < oc; o++)
            for (int64_t oh = 0; oh < oh_count; oh++)
                for (int64_t ow = 0; ow < ow_count; ow++) {
                    double sum = 0;
                    for (int64_t kh = 0; kh < a->kh; kh++) {
                        const int64_t ih = oh * a->stride + kh - a->pad_t;
                        if (ih < 0 || ih >= a->ih)
                            continue;
                        for (int64_t kw = 0; kw < a->kw; kw++) {
                            const int64_t iw = ow * a->stride + kw - a->pad_l;
                            if (iw < 0 || iw >= a->iw)
                                continue;
                            sum += FWI_NAME(dot)(x + ((n * a->ih + ih) * a->iw + iw) * c,
                                                 w + ((o * a->kh + kh) * a->kw + kw) * c, c);
                        }
                    }
                    y[((n * oh_count + oh) * ow_count + ow) * oc + o] = (FWI_REAL)sum;
                }
    return FW_OK;
}

/* One place of dx, channels [c0, c0 + cn): every (kh, kw) that reads it, times dy there. */
static void FWI_NAME(dx_place)(const fwi_call *call, int64_t n, int64_t ih, int64_t iw, int64_t c0,
                               int64_t cn, double *restrict acc)
{
    const fwi_conv_attr *a = &call->attr->conv;
    const FWI_REAL *dy = call->in[0].data, *w = call->in[1].data;
    const int64_t *dyd = call->in[0].shape.d;
    const int64_t oh_count = dyd[1], ow_count = dyd[2], oc = dyd[3];
    const int64_t c = call->out[0].shape.d[3];
    for (int64_t kh = 0; kh < a->kh; kh++) {
        const int64_t h = ih + a->pad_t - kh; /* oh * stride */
        if (h < 0 || h % a->stride != 0 || h / a->stride >= oh_count)
            continue;
        for (int64_t kw = 0; kw < a->kw; kw++) {
            const int64_t v = iw + a->pad_l - kw; /* ow * stride */
            if (v < 0 || v % a->stride != 0 || v / a->stride >= ow_count)
                continue;
            const FWI_REAL *restrict g =
                dy + ((n * oh_count + h / a->stride) * ow_count + v / a->stride) * oc;
            for (int64_t o = 0; o < oc; o++) {
                const FWI_REAL *restrict wo = w + ((o * a->kh + kh) * a->kw + kw) * c + c0;
                for (int64_t i = 0; i < cn; i++)
                    acc[i] += (double)g[o] * (double)wo[i];
            }
        }
    }
}

/* dy w -> dx */
fw_status FWI_NAME(conv2d_dx)(const fwi_call *call)
{
    enum { BLOCK = 32 }; /* channels summed at once */
    FWI_REAL *dx = call->out[0].data;
    const int64_t *d = call->out[0].shape.d;
    const int64_t c = d[3];
    for (int64_t c0 = 0; c0 < c; c0 += BLOCK) {
        const int64_t cn = c - c0 < BLOCK ? c - c0 : BLOCK;
        for (int64_t n = 0; n < d[0]; n++)
            for (int64_t ih = 0; ih < d[1]; ih++)
                for (int64_t iw = 0; iw < d[2]; iw++) {
                    double acc[BLOCK] = {0};
                    FWI_NAME(dx_place)(call, n, ih, iw, c0, cn, acc);
                    for (int64_t i = 0; i < cn; i++)
                        dx[((n * d[1] + ih) * d[2] + iw) * c + c0 + i] = (FWI_REAL)acc[i];
                }
    }
    return FW_OK;
}

enum { FWI_NAME(DW_O) = 8, FWI_NAME(DW_C) = 64 }; /* elements of dw summed in one pass over x, dy */

/* dw[o0 : o0+on, kh, kw, c0 : c0+cn], summed over every place of dy. */
static void FWI_NAME(dw_block)(const fwi_call *call, int64_t o0, int64_t on, int64_t kh, int64_t kw,
                               int64_t c0, int64_t cn, double acc[][FWI_NAME(DW_C)])
{
    const fwi_conv_attr *a = &call->attr->conv;
    const FWI_REAL *x = call->in[0].data, *dy = call->in[1].data;
    const int64_t c = call->in[0].shape.d[3];
    const int64_t *dyd = call->in[1].shape.d;
    const int64_t oh_count = dyd[1], ow_count = dyd[2], oc = dyd[3];
    for (int64_t n = 0; n < dyd[0]; n++)
        for (int64_t oh = 0; oh < oh_count; oh++) {
            const int64_t ih = oh * a->stride + kh - a->pad_t;
            if (ih < 0 || ih >= a->ih)
                continue;
            for (int64_t ow = 0; ow < ow_count; ow++) {
                const int64_t iw = ow * a->stride + kw - a->pad_l;
                if (iw < 0 || iw >= a->iw)
                    continue;
                const FWI_REAL *restrict xp = x + ((n * a->ih + ih) * a->iw + iw) * c + c0;
                const FWI_REAL *restrict g = dy + ((n * oh_count + oh) * ow_count + ow) * oc + o0;
                for (int64_t o = 0; o < on; o++)
                    for (int64_t i = 0; i < cn; i++)
                        acc[o][i] += (double)g[o] * (double)xp[i];
            }
        }
}

/* x dy -> dw */
fw_status FWI_NAME(conv2d_dw)(const fwi_call *call)
{
    const int64_t o_block = FWI_NAME(DW_O), c_block = FWI_NAME(DW_C);
    FWI_REAL *dw = call->out[0].data;
    const int64_t *d = call->out[0].shape.d;
    const int64_t oc = d[0], kh_count = d[1], kw_count = d[2], c = d[3];
    for (int64_t o0 = 0; o0 < oc; o0 += o_block)
        for (int64_t kh = 0; kh < kh_count; kh++)
            for (int64_t kw = 0; kw < kw_count; kw++)
                for (int64_t c0 = 0; c0 < c; c0 += c_block) {
                    const int64_t on = oc - o0 < o_block ? oc - o0 : o_block;
                    const int64_t cn = c - c0 < c_block ? c - c0 : c_block;
                    double acc[FWI_NAME(DW_O)][FWI_NAME(DW_C)] = {{0}};
                    FWI_NAME(dw_block)(call, o0, on, kh, kw, c0, cn, acc);
                    for (int64_t o = 0; o < on; o++)
                        for (int64_t i = 0; i < cn; i++)
                            dw[(((o0 + o) * kh_count + kh) * kw_count + kw) * c + c0 + i] =
                                (FWI_REAL)acc[o][i];
                }
    return FW_OK;
}
