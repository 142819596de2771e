/* bn_body.h: batch normalisation over all axes but the last (Ioffe and Szegedy 2015, algorithm 1).
 * The variance is biased (it divides by the count) and is taken in a second pass around the mean:
 * E[x^2] - E[x]^2 loses its digits when the mean is large against the deviation. With groups
 * ("ghost" batch norm), each contiguous run of the batch has statistics of its own. Below, `rows`
 * is the number of elements that a channel has in one group. The channel is the outer loop: one
 * channel at a time is the definition, and this is not the fast path. */

/* x gamma[c] beta[c] -> y mean[g,c] var[g,c] */
fw_status FWI_NAME(bn_train)(const fwi_call *call)
{
    const fwi_bn_attr *a = &call->attr->bn;
    const FWI_REAL *x = call->in[0].data, *gamma = call->in[1].data, *beta = call->in[2].data;
    FWI_REAL *y = call->out[0].data, *mean = call->out[1].data, *var = call->out[2].data;
    const int64_t c = fwi_ref_cols(&call->in[0].shape);
    const int64_t rows = fwi_ref_rows(&call->in[0].shape) / a->groups;
    for (int64_t g = 0; g < a->groups; g++)
        for (int64_t i = 0; i < c; i++) {
            const FWI_REAL *xi = x + g * rows * c + i;
            FWI_REAL *yi = y + g * rows * c + i;
            double sum = 0, squares = 0;
            for (int64_t r = 0; r < rows; r++)
                sum += (double)xi[r * c];
            const double m = sum / (double)rows;
            for (int64_t r = 0; r < rows; r++)
                squares += ((double)xi[r * c] - m) * ((double)xi[r * c] - m);
            const double v = squares / (double)rows;
            const double inv_std = 1.0 / sqrt(v + a->eps);
            for (int64_t r = 0; r < rows; r++)
                yi[r * c] = (FWI_REAL)(((double)xi[r * c] - m) * inv_std * (double)gamma[i] +
                                       (double)beta[i]);
            mean[g * c + i] = (FWI_REAL)m;
            var[g * c + i] = (FWI_REAL)v;
        }
    return FW_OK;
}

/* dy x gamma mean[g,c] var[g,c] -> dx dgamma[c] dbeta[c]. With z = (x - mean) / std, per group:
 * dbeta = sum dy, dgamma = sum dy z, dx = gamma / std * (dy - dbeta / rows - z dgamma / rows);
 * the groups' dgamma and dbeta add up. mean and var are those that the forward pass stored. */
fw_status FWI_NAME(bn_train_grad)(const fwi_call *call)
{
    const fwi_bn_attr *a = &call->attr->bn;
    const FWI_REAL *dy = call->in[0].data, *x = call->in[1].data, *gamma = call->in[2].data;
    const FWI_REAL *mean = call->in[3].data, *var = call->in[4].data;
    FWI_REAL *dx = call->out[0].data, *dgamma = call->out[1].data, *dbeta = call->out[2].data;
    const int64_t c = fwi_ref_cols(&call->in[1].shape);
    const int64_t rows = fwi_ref_rows(&call->in[1].shape) / a->groups;
    for (int64_t i = 0; i < c; i++) {
        double dgamma_sum = 0, dbeta_sum = 0;
        for (int64_t g = 0; g < a->groups; g++) {
            const int64_t at = g * rows * c + i;
            const double m = (double)mean[g * c + i];
            const double inv_std = 1.0 / sqrt((double)var[g * c + i] + a->eps);
            double s = 0, sz = 0;
            for (int64_t r = 0; r < rows; r++) {
                const double z = ((double)x[at + r * c] - m) * inv_std;
                s += (double)dy[at + r * c];
                sz += (double)dy[at + r * c] * z;
            }
            for (int64_t r = 0; r < rows; r++) {
                const double z = ((double)x[at + r * c] - m) * inv_std;
                dx[at + r * c] = (FWI_REAL)((double)gamma[i] * inv_std *
                                            ((double)dy[at + r * c] - (s + z * sz) / (double)rows));
            }
            dbeta_sum += s;
            dgamma_sum += sz;
        }
        dgamma[i] = (FWI_REAL)dgamma_sum;
        dbeta[i] = (FWI_REAL)dbeta_sum;
    }
    return FW_OK;
}

/* x gamma beta rmean[c] rvar[c] -> y */
fw_status FWI_NAME(bn_eval)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data, *gamma = call->in[1].data, *beta = call->in[2].data;
    const FWI_REAL *rmean = call->in[3].data, *rvar = call->in[4].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t rows = fwi_ref_rows(&call->in[0].shape), c = fwi_ref_cols(&call->in[0].shape);
    for (int64_t i = 0; i < c; i++) {
        const double inv_std = 1.0 / sqrt((double)rvar[i] + call->attr->bn.eps);
        for (int64_t r = 0; r < rows; r++)
            y[r * c + i] =
                (FWI_REAL)(((double)x[r * c + i] - (double)rmean[i]) * inv_std * (double)gamma[i] +
                           (double)beta[i]);
    }
    return FW_OK;
}

/* dy x gamma rmean rvar -> dx dgamma dbeta; the statistics are constants here */
fw_status FWI_NAME(bn_eval_grad)(const fwi_call *call)
{
    const FWI_REAL *dy = call->in[0].data, *x = call->in[1].data, *gamma = call->in[2].data;
    const FWI_REAL *rmean = call->in[3].data, *rvar = call->in[4].data;
    FWI_REAL *dx = call->out[0].data, *dgamma = call->out[1].data, *dbeta = call->out[2].data;
    const int64_t rows = fwi_ref_rows(&call->in[1].shape), c = fwi_ref_cols(&call->in[1].shape);
    for (int64_t i = 0; i < c; i++) {
        const double inv_std = 1.0 / sqrt((double)rvar[i] + call->attr->bn.eps);
        double s = 0, sz = 0;
        for (int64_t r = 0; r < rows; r++) {
            const double g = (double)dy[r * c + i];
            s += g;
            sz += g * ((double)x[r * c + i] - (double)rmean[i]) * inv_std;
            dx[r * c + i] = (FWI_REAL)(g * (double)gamma[i] * inv_std);
        }
        dgamma[i] = (FWI_REAL)sz;
        dbeta[i] = (FWI_REAL)s;
    }
    return FW_OK;
}

/* rmean! rvar! mean[g,c] var[g,c]: r = (1 - update) r + update * batch, where the batch's variance
 * is the unbiased one (count / (count - 1)); several groups are averaged first. */
fw_status FWI_NAME(bn_update)(const fwi_call *call)
{
    const fwi_bn_attr *a = &call->attr->bn;
    FWI_REAL *rmean = call->in[0].data, *rvar = call->in[1].data;
    const FWI_REAL *mean = call->in[2].data, *var = call->in[3].data;
    const int64_t c = call->in[0].shape.d[0];
    const double unbias = (double)a->count / (double)(a->count - 1);
    for (int64_t i = 0; i < c; i++) {
        double m = 0, v = 0;
        for (int64_t g = 0; g < a->groups; g++) {
            m += (double)mean[g * c + i];
            v += (double)var[g * c + i];
        }
        m /= (double)a->groups;
        v = v / (double)a->groups * unbias;
        rmean[i] = (FWI_REAL)((1.0 - a->update) * (double)rmean[i] + a->update * m);
        rvar[i] = (FWI_REAL)((1.0 - a->update) * (double)rvar[i] + a->update * v);
    }
    return FW_OK;
}
