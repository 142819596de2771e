/* optim_body.h: what is done with gradients: their norm, and the updates. hyper is this step's row
 * of rates, f64; the columns that an op reads are in its attributes. Each step of an update rounds
 * in the tensor's own type, in the order written here, which is PyTorch's; compilers may not fuse a
 * product and a sum into one rounding (-ffp-contract=off), faster kernels may. */

/* x so_far[1] -> [1]: so_far + the sum of x^2, each a number of the tensor's type */
fw_status FWI_NAME(sum_squares)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    *(FWI_REAL *)call->out[0].data = *(const FWI_REAL *)call->in[1].data + (FWI_REAL)sum;
    return FW_OK;
}

/* ss[1] -> [1]: min(1, value / sqrt(ss)), to be multiplied with the gradient whose sum of squares
 * ss is. No gradient (ss = 0) gives 1; a NaN stays one, and a sum that has overflowed becomes one: scaled to 0 such a
 * gradient would pass for none. */
fw_status FWI_NAME(clip_factor)(const fwi_call *call)
{
    const double ss = (double)*(const FWI_REAL *)call->in[0].data;
    const double f = isinf(ss) ? (double)NAN : call->attr->scalar.value / sqrt(ss);
    *(FWI_REAL *)call->out[0].data = (FWI_REAL)(f > 1.0 ? 1.0 : f);
    return FW_OK;
}

/* w! v! g hyper; the three published forms of SGD with momentum, see fwi_sgd_form. They differ in
 * whether the rate is inside v: only while it changes. */
fw_status FWI_NAME(sgd)(const fwi_call *call)
{
    const fwi_optim_attr *a = &call->attr->optim;
    FWI_REAL *w = call->in[0].data, *v = call->in[1].data;
    const FWI_REAL *g = call->in[2].data;
    const double *hyper = call->in[3].data;
    const FWI_REAL lr = (FWI_REAL)hyper[a->lr_col], wd = (FWI_REAL)hyper[a->wd_col];
    const FWI_REAL mom = (FWI_REAL)a->momentum;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++) {
        const FWI_REAL d = g[i] + wd * w[i];
        if (a->form == FWI_NESTEROV_PAGE) {
            const FWI_REAL step = -lr * d;
            v[i] = mom * v[i] + step;
            w[i] = w[i] + (step + mom * v[i]);
        } else if (a->form == FWI_NESTEROV_PYTORCH) {
            v[i] = mom * v[i] + d;
            w[i] = w[i] - lr * (d + mom * v[i]);
        } else {
            v[i] = mom * v[i] + d;
            w[i] = w[i] - lr * v[i];
        }
    }
    return FW_OK;
}

/* w! v! g hyper: LARS per filter, as David Page's cifar10-fast has it (torch_backend.py): filter f has
 * the rate lr ||w_f|| / (||g_f|| + eps), with g before the decay is added, in Nesterov's momentum with
 * the rate inside. A filter of zeros stays one. Norms are in double. */
fw_status FWI_NAME(lars)(const fwi_call *call)
{
    const fwi_optim_attr *a = &call->attr->optim;
    const double *hyper = call->in[3].data;
    const int64_t rows = call->in[0].shape.d[0], cols = fwi_shape_elems(&call->in[0].shape) / rows;
    const FWI_REAL wd = (FWI_REAL)hyper[a->wd_col], mom = (FWI_REAL)a->momentum;
    for (int64_t r = 0; r < rows; r++) {
        FWI_REAL *w = (FWI_REAL *)call->in[0].data + r * cols;
        FWI_REAL *v = (FWI_REAL *)call->in[1].data + r * cols;
        const FWI_REAL *g = (const FWI_REAL *)call->in[2].data + r * cols;
        double ww = 0, gg = 0;
        for (int64_t i = 0; i < cols; i++) {
            ww += (double)w[i] * (double)w[i];
            gg += (double)g[i] * (double)g[i];
        }
        const FWI_REAL rate = (FWI_REAL)(hyper[a->lr_col] * (sqrt(ww) / (sqrt(gg) + a->eps)));
        for (int64_t i = 0; i < cols; i++) {
            const FWI_REAL step = -rate * (g[i] + wd * w[i]);
            v[i] = mom * v[i] + step;
            w[i] = w[i] + (step + mom * v[i]);
        }
    }
    return FW_OK;
}

/* avg! w! hyper: where column on_col is not 0, avg = d avg + (1-d) w with d from decay_col, and then
 * w = avg if the attribute says so (Lookahead, Zhang et al. 2019, with its slow weights in avg).
 * It goes the way from the one that the result is closer to, as PyTorch's lerp does: d and 1-d, rounded, do not
 * add up to 1, and where 1-d is small that would shift the average. 1-d is computed in double. d = 0 takes w, d = 1
 * leaves avg, whatever the other holds. */
fw_status FWI_NAME(average)(const fwi_call *call)
{
    const fwi_average_attr *a = &call->attr->average;
    FWI_REAL *avg = call->in[0].data, *w = call->in[1].data;
    const double *hyper = call->in[2].data;
    const double decay = hyper[a->decay_col];
    const FWI_REAL d = (FWI_REAL)decay, take = (FWI_REAL)(1.0 - decay);
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    if (hyper[a->on_col] == 0)
        return FW_OK;
    for (int64_t i = 0; i < n; i++) {
        if (decay == 0)
            avg[i] = w[i];
        else if (decay < 0.5)
            avg[i] = w[i] + d * (avg[i] - w[i]);
        else if (decay != 1)
            avg[i] = avg[i] + take * (w[i] - avg[i]);
        if (a->copy_back != 0)
            w[i] = avg[i];
    }
    return FW_OK;
}

/* w! m! v! g hyper: decoupled weight decay (Loshchilov and Hutter 2019), then Adam (Kingma and Ba
 * 2015), eps outside the root as in PyTorch:
 *     w -= lr wd w;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
 *     w -= lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps)
 * Columns bc_col, bc_col + 1 are 1-b1^t and 1-b2^t; t is 1 at the first step. The numbers that are
 * the same for every element are computed in double and rounded once. */
fw_status FWI_NAME(adam)(const fwi_call *call)
{
    const fwi_optim_attr *a = &call->attr->optim;
    FWI_REAL *w = call->in[0].data, *m = call->in[1].data, *v = call->in[2].data;
    const FWI_REAL *g = call->in[3].data;
    const double *hyper = call->in[4].data;
    const double lr = hyper[a->lr_col], wd = hyper[a->wd_col];
    const FWI_REAL keep = (FWI_REAL)(1.0 - lr * wd);
    const FWI_REAL rate = (FWI_REAL)(lr / hyper[a->bc_col]);
    const FWI_REAL root = (FWI_REAL)sqrt(hyper[a->bc_col + 1]);
    const FWI_REAL b1 = (FWI_REAL)a->beta1, c1 = (FWI_REAL)(1.0 - a->beta1);
    const FWI_REAL b2 = (FWI_REAL)a->beta2, c2 = (FWI_REAL)(1.0 - a->beta2);
    const FWI_REAL eps = (FWI_REAL)a->eps;
    const int64_t n = fwi_shape_elems(&call->in[0].shape);
    for (int64_t i = 0; i < n; i++) {
        m[i] = b1 * m[i] + c1 * g[i];
        v[i] = b2 * v[i] + c2 * (g[i] * g[i]);
        const FWI_REAL down = (FWI_REAL)sqrt((double)v[i]) / root + eps;
        w[i] = w[i] * keep - rate * (m[i] / down);
    }
    return FW_OK;
}
