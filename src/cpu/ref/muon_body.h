/* muon_body.h: the update of Muon (Jordan et al. 2024) as airbench94_muon.py has it:
 *     v = mom v + g;  u = g + mom v                      Nesterov's momentum
 *     X = u / (p ||u|| + q), as a matrix of w's first axis by the rest, turned where that is tall;
 *         there p = 1 and q = 1e-7, for others see fw_muon_opt.target
 *     steps times: A = X X^T;  X = a X + (b A + c A^2) X
 *     w = (sqrt(rows) / (||w|| + renorm_eps) w - lr X) (1 - lr wd)
 * with the norm of all elements (Frobenius). Each step puts the singular values x of u / ||u||
 * through a x + b x^3 + c x^5 and leaves the singular vectors alone: after three of them all but
 * the smallest are near 1.
 * What the source leaves open: w of zeros is not divided by its norm, no gradient (u = 0) is no
 * step, and a rate of 0 leaves w as it is, norm included, so that a parameter whose training is
 * over stays. v and u round in the tensor's own type; all else is double. */

fw_status FWI_NAME(muon)(const fwi_call *call)
{
    const fwi_muon_attr *a = &call->attr->muon;
    FWI_REAL *w = call->in[0].data, *v = call->in[1].data;
    const FWI_REAL *g = call->in[2].data;
    const double *hyper = call->in[3].data;
    const double lr = hyper[a->lr_col], wd = hyper[a->wd_col];
    const FWI_REAL mom = (FWI_REAL)a->momentum;
    const muon_size s = muon_size_of(call);
    const muon_scratch t = muon_scratch_of(call->scratch, &s);
    double uu = 0, ww = 0;
    for (int64_t r = 0; r < s.rows; r++)
        for (int64_t k = 0; k < s.rest; k++) {
            const int64_t i = r * s.rest + k;
            v[i] = mom * v[i] + g[i];
            const FWI_REAL u = g[i] + mom * v[i];
            t.x[muon_at(&s, r, k)] = (double)u;
            uu += (double)u * (double)u;
            ww += (double)w[i] * (double)w[i];
        }
    if (lr == 0)
        return FW_OK;
    const double size = hyper[a->xn_col] * sqrt(uu) + hyper[a->xn_col + 1];
    for (int64_t i = 0; i < s.m * s.n; i++)
        t.x[i] /= size;
    for (int64_t k = 0; k < a->steps; k++)
        newton_schulz(a, &s, &t);
    const double renorm =
        hyper[a->rn_col] != 0 && ww > 0 ? sqrt((double)s.rows) / (sqrt(ww) + a->renorm_eps) : 1;
    for (int64_t r = 0; r < s.rows; r++)
        for (int64_t k = 0; k < s.rest; k++) {
            const int64_t i = r * s.rest + k;
            const double moved = renorm * (double)w[i] - lr * t.x[muon_at(&s, r, k)];
            w[i] = (FWI_REAL)(moved * (1 - lr * wd));
        }
    return FW_OK;
}
