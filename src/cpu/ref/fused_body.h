/* fused_body.h: batch norm in its two halves, statistics and sweep, with the convolution or pool in
 * front of the first and the activation, pool or sum behind the second. Each is the composition of
 * the ops it stands for (conv2d_body.h, bn_body.h, act_body.h, pool_body.h), only that what lies
 * between them is never rounded. */

/* Mean and variance of each channel in each group, as bn_train has them; rows: of a group. */
static void FWI_NAME(fused_stats)(const FWI_REAL *x, const fwi_shape *s, int64_t groups,
                                  FWI_REAL *mean, FWI_REAL *var)
{
    const int64_t c = fwi_ref_cols(s), rows = fwi_ref_rows(s) / groups;
    for (int64_t i = 0; i < groups * c; i++) {
        const FWI_REAL *xi = x + i / c * rows * c + i % c;
        double sum = 0, squares = 0;
        for (int64_t r = 0; r < rows; r++)
            sum += (double)xi[r * c];
        const double m = sum / (double)rows;
        for (int64_t r = 0; r < rows; r++)
            squares += ((double)xi[r * c] - m) * ((double)xi[r * c] - m);
        mean[i] = (FWI_REAL)m;
        var[i] = (FWI_REAL)(squares / (double)rows);
    }
}

/* x w -> y mean var */
fw_status FWI_NAME(conv2d_stats)(const fwi_call *call)
{
    const fw_status st = FWI_NAME(conv2d)(call);
    FWI_NAME(fused_stats)
    (call->out[0].data, &call->out[0].shape, 1, call->out[1].data, call->out[2].data);
    return st;
}

/* x -> y idx mean var */
fw_status FWI_NAME(max_pool_stats)(const fwi_call *call)
{
    const fw_status st = FWI_NAME(max_pool)(call);
    FWI_NAME(fused_stats)
    (call->out[0].data, &call->out[0].shape, call->attr->pool_stats.groups, call->out[2].data,
     call->out[3].data);
    return st;
}

/* x -> mean var */
fw_status FWI_NAME(bn_stats)(const fwi_call *call)
{
    FWI_NAME(fused_stats)
    (call->in[0].data, &call->in[0].shape, call->attr->stats.groups, call->out[0].data,
     call->out[1].data);
    return FW_OK;
}

/* One channel's norm in one group. */
typedef struct FWI_NAME(fused_channel) {
    double mean, inv_std, gamma, beta;
} FWI_NAME(fused_channel);

/* p: the arguments gamma, beta, mean, var */
static FWI_NAME(fused_channel)
    FWI_NAME(fused_channel_of)(const fwi_arg *p, const fwi_bn_act_attr *a, int64_t group, int64_t i)
{
    const FWI_REAL *gamma = p[0].data, *beta = p[1].data, *mean = p[2].data, *var = p[3].data;
    const int64_t at = group * fwi_ref_cols(&p[2].shape) + i;
    return (FWI_NAME(fused_channel)){.mean = (double)mean[at],
                                     .inv_std = 1.0 / sqrt((double)var[at] + a->eps),
                                     .gamma = (double)gamma[i],
                                     .beta = (double)beta[i]};
}

static double FWI_NAME(fused_norm)(const FWI_NAME(fused_channel) * n, FWI_REAL x)
{
    return ((double)x - n->mean) * n->inv_std * n->gamma + n->beta;
}

/* x gamma beta mean var -> y */
fw_status FWI_NAME(bn_act)(const fwi_call *call)
{
    const fwi_bn_act_attr *a = &call->attr->bn_act;
    const FWI_REAL *x = call->in[0].data;
    const FWI_REAL *r = call->kind == FWI_OP_bn_act_add ? call->in[5].data : NULL;
    FWI_REAL *y = call->out[0].data;
    const int64_t groups = fwi_stat_groups(&call->in[3].shape);
    const int64_t c = fwi_ref_cols(&call->in[0].shape);
    const int64_t rows = fwi_ref_rows(&call->in[0].shape) / groups;
    for (int64_t i = 0; i < groups * c; i++) {
        const int64_t group = i / c, first = group * rows * c + i % c;
        const FWI_NAME(fused_channel) n = FWI_NAME(fused_channel_of)(&call->in[1], a, group, i % c);
        for (int64_t k = first; k < first + rows * c; k += c) {
            const double v = fused_value(a->fn, a->alpha, FWI_NAME(fused_norm)(&n, x[k]));
            y[k] = (FWI_REAL)(r != NULL ? v + (double)r[k] : v);
        }
    }
    return FW_OK;
}

/* x gamma beta mean var r -> y */
fw_status FWI_NAME(bn_act_add)(const fwi_call *call)
{
    return FWI_NAME(bn_act)(call);
}

/* x gamma beta mean var -> y idx; which maximum counts: pool_body.h */
fw_status FWI_NAME(bn_act_pool)(const fwi_call *call)
{
    const fwi_bn_act_attr *a = &call->attr->bn_act;
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    uint8_t *idx = call->out[1].data;
    const int64_t *d = call->out[0].shape.d;
    const int64_t c = d[3], images = d[0] / fwi_stat_groups(&call->in[3].shape);
    for (int64_t i = 0; i < c; i++)
        for (int64_t n = 0; n < d[0]; n++) {
            const FWI_NAME(fused_channel) norm =
                FWI_NAME(fused_channel_of)(&call->in[1], a, n / images, i);
            for (int64_t oh = 0; oh < d[1]; oh++)
                for (int64_t ow = 0; ow < d[2]; ow++) {
                    double best = 0;
                    int64_t at = 0;
                    for (int64_t k = 0; k < a->k * a->k; k++) {
                        const FWI_REAL from = x[window_row(a, n, oh, ow, k) * c + i];
                        const double v =
                            fused_value(a->fn, a->alpha, FWI_NAME(fused_norm)(&norm, from));
                        if (k == 0 || v > best || (isnan(v) && !isnan(best))) {
                            best = v;
                            at = k;
                        }
                    }
                    y[((n * d[1] + oh) * d[2] + ow) * c + i] = (FWI_REAL)best;
                    idx[((n * d[1] + oh) * d[2] + ow) * c + i] = (uint8_t)at;
                }
        }
    return FW_OK;
}

/* What arrives at the norm's output in channel i at `row` of x, given dy behind the activation, or
 * behind the pool too (idx not NULL). */
static double FWI_NAME(fused_arrives)(const fwi_bn_act_attr *a, const FWI_NAME(fused_channel) * n,
                                      const fwi_arg *dy, const uint8_t *idx, const FWI_REAL *x,
                                      int64_t row, int64_t i)
{
    const int64_t c = dy->shape.d[3];
    const double z = FWI_NAME(fused_norm)(n, x[row * c + i]);
    const FWI_REAL *g = dy->data;
    if (idx == NULL)
        return fused_back(a->fn, a->alpha, z, (double)g[row * c + i]);
    const int64_t w = row % a->iw, h = row / a->iw % a->ih, image = row / a->iw / a->ih;
    const int64_t oh = h / a->k, ow = w / a->k;
    if (oh >= dy->shape.d[1] || ow >= dy->shape.d[2]) /* fills no window */
        return 0;
    const int64_t at = ((image * dy->shape.d[1] + oh) * dy->shape.d[2] + ow) * c + i;
    if (idx[at] != h % a->k * a->k + w % a->k)
        return 0;
    return fused_back(a->fn, a->alpha, z, (double)g[at]);
}

/* The gradients of bn_train (bn_body.h) for what arrives at its output. p: gamma, beta, mean, var;
 * rows: of a group of x. unpool: where the place of a row in dx is, by a window's maximum; NULL: dx is as x. */
static void FWI_NAME(fused_grads)(const fwi_call *call, const fwi_arg *xa, const fwi_arg *p,
                                  const uint8_t *idx, const uint8_t *unpool)
{
    const fwi_bn_act_attr *a = &call->attr->bn_act;
    const FWI_REAL *x = xa->data;
    FWI_REAL *dx = call->out[0].data, *dgamma = call->out[1].data, *dbeta = call->out[2].data;
    const int64_t groups = fwi_stat_groups(&p[2].shape);
    const int64_t c = fwi_ref_cols(&xa->shape), rows = fwi_ref_rows(&xa->shape) / groups;
    const int64_t h = xa->shape.d[1], w = xa->shape.d[2];
    for (int64_t i = 0; i < c; i++) {
        double dgamma_sum = 0, dbeta_sum = 0;
        for (int64_t group = 0; group < groups; group++) {
            const FWI_NAME(fused_channel) n = FWI_NAME(fused_channel_of)(p, a, group, i);
            const int64_t first = group * rows;
            double s = 0, sz = 0;
            for (int64_t r = first; r < first + rows; r++) {
                const double g = FWI_NAME(fused_arrives)(a, &n, &call->in[0], idx, x, r, i);
                s += g;
                sz += g * ((double)x[r * c + i] - n.mean) * n.inv_std;
            }
            for (int64_t r = first; r < first + rows; r++) {
                const double g = FWI_NAME(fused_arrives)(a, &n, &call->in[0], idx, x, r, i);
                const double z = ((double)x[r * c + i] - n.mean) * n.inv_std;
                const int64_t to =
                    unpool == NULL ? r
                                   : window_row(a, r / w / h, r / w % h, r % w, unpool[r * c + i]);
                dx[to * c + i] =
                    (FWI_REAL)(n.gamma * n.inv_std * (g - (s + z * sz) / (double)rows));
            }
            dbeta_sum += s;
            dgamma_sum += sz;
        }
        dgamma[i] = (FWI_REAL)dgamma_sum;
        dbeta[i] = (FWI_REAL)dbeta_sum;
    }
}

/* dy x gamma beta mean var -> dx dgamma dbeta */
fw_status FWI_NAME(bn_act_grad)(const fwi_call *call)
{
    FWI_NAME(fused_grads)(call, &call->in[1], &call->in[2], NULL, NULL);
    return FW_OK;
}

/* dy idx x gamma beta mean var -> dx dgamma dbeta */
fw_status FWI_NAME(bn_act_pool_grad)(const fwi_call *call)
{
    FWI_NAME(fused_grads)(call, &call->in[2], &call->in[3], call->in[1].data, NULL);
    return FW_OK;
}

/* dy idx x gamma beta mean var -> dx dgamma dbeta: places that were no maximum get 0 */
fw_status FWI_NAME(bn_act_unpool_grad)(const fwi_call *call)
{
    const int64_t n = fwi_shape_elems(&call->out[0].shape);
    FWI_REAL *dx = call->out[0].data;
    for (int64_t i = 0; i < n; i++)
        dx[i] = 0;
    FWI_NAME(fused_grads)(call, &call->in[2], &call->in[3], NULL, call->in[1].data);
    return FW_OK;
}

/* x b -> y */
fw_status FWI_NAME(bias_act)(const fwi_call *call)
{
    const fwi_act_attr *a = &call->attr->act;
    const FWI_REAL *x = call->in[0].data, *b = call->in[1].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape), c = fwi_ref_cols(&call->in[0].shape);
    for (int64_t k = 0; k < n; k++)
        y[k] = (FWI_REAL)fused_value(a->fn, a->alpha, (double)x[k] + (double)b[k % c]);
    return FW_OK;
}

/* dy x b -> dx db */
fw_status FWI_NAME(bias_act_grad)(const fwi_call *call)
{
    const fwi_act_attr *a = &call->attr->act;
    const FWI_REAL *dy = call->in[0].data, *x = call->in[1].data, *b = call->in[2].data;
    FWI_REAL *dx = call->out[0].data, *db = call->out[1].data;
    const int64_t n = fwi_shape_elems(&call->in[1].shape), c = fwi_ref_cols(&call->in[1].shape);
    for (int64_t i = 0; i < c; i++) {
        double sum = 0;
        for (int64_t k = i; k < n; k += c) {
            const double g =
                fused_back(a->fn, a->alpha, (double)x[k] + (double)b[i], (double)dy[k]);
            sum += g;
            dx[k] = (FWI_REAL)g;
        }
        db[i] = (FWI_REAL)sum;
    }
    return FW_OK;
}
