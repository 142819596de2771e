/* shapes_head.c: the shape rules of what a training step ends with: the loss and its metric, the
 * gradients' norm, and the updates of variables. Read before: shapes.h. */
#include "shapes.h"

#include <math.h>

/* ---- head ---- */

static fw_status logits_labels(const fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "logits", 2, 2));
    if (r->in[0].shape.d[1] > INT32_MAX)
        return fwi_fail(FW_ESHAPE, "logits have more than 2^31-1 classes");
    return fwi_want_shape(r, 1, "labels", FW_I32, fwi_shape1(r->in[0].shape.d[0]));
}

static fw_status xent_attr(const fwi_xent_attr *a)
{
    TRY(fwi_want_share("smoothing", a->smoothing, 0.0, 1.0));
    return fwi_want_int("mean", a->mean, 0, 1);
}

fw_status fwi_rule_softmax_xent(fwi_rule *r)
{
    TRY(logits_labels(r));
    TRY(xent_attr(&r->attr->xent));
    fwi_give(r, 0, r->real, fwi_shape1(1));
    fwi_give(r, 1, r->real, r->in[1].shape);
    return FW_OK;
}

fw_status fwi_rule_softmax_xent_grad(fwi_rule *r)
{
    TRY(logits_labels(r));
    TRY(xent_attr(&r->attr->xent));
    TRY(fwi_want_shape(r, 2, "dloss", r->real, fwi_shape1(1)));
    fwi_give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

fw_status fwi_rule_softmax(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "logits", 2, 2));
    fwi_give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

fw_status fwi_rule_count_correct(fwi_rule *r)
{
    TRY(logits_labels(r));
    fwi_give(r, 0, r->real, fwi_shape1(1));
    return FW_OK;
}

/* ---- gradients' norm, updates ---- */

fw_status fwi_rule_sum_squares(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "x", 0, FW_MAX_RANK));
    TRY(fwi_want_shape(r, 1, "so_far", r->real, fwi_shape1(1)));
    fwi_give(r, 0, r->real, fwi_shape1(1));
    return FW_OK;
}

fw_status fwi_rule_clip_factor(fwi_rule *r)
{
    TRY(fwi_want_positive("value", r->attr->scalar.value));
    TRY(fwi_want_shape(r, 0, "ss", r->real, fwi_shape1(1)));
    fwi_give(r, 0, r->real, fwi_shape1(1));
    return FW_OK;
}

/* w, slots, g alike; then hyper. */
static fw_status update_inputs(const fwi_rule *r, int n_like_w, int64_t lr_col, int64_t wd_col)
{
    static const char *const sgd_names[] = {"w", "v", "g"}, *const adam_names[] = {"w", "m", "v",
                                                                                   "g"};
    const char *const *names = n_like_w == 3 ? sgd_names : adam_names;
    TRY(fwi_want_real(r, 0, "w", 0, FW_MAX_RANK));
    for (int i = 1; i < n_like_w; i++)
        TRY(fwi_want_shape(r, i, names[i], r->real, r->in[0].shape));
    TRY(fwi_want(r, n_like_w, "hyper", FW_F64, 1, 1));
    const int64_t n_cols = r->in[n_like_w].shape.d[0];
    TRY(fwi_want_int("lr_col", lr_col, 0, n_cols - 1));
    return fwi_want_int("wd_col", wd_col, 0, n_cols - 1);
}

fw_status fwi_rule_sgd(fwi_rule *r)
{
    const fwi_optim_attr *a = &r->attr->optim;
    TRY(update_inputs(r, 3, a->lr_col, a->wd_col));
    TRY(fwi_want_share("momentum", a->momentum, 0.0, 1.0));
    return fwi_want_int("form", a->form, 0, FWI_NESTEROV_PAGE);
}

fw_status fwi_rule_adam(fwi_rule *r)
{
    const fwi_optim_attr *a = &r->attr->optim;
    TRY(update_inputs(r, 4, a->lr_col, a->wd_col));
    TRY(fwi_want_share("beta1", a->beta1, 0.0, 1.0));
    TRY(fwi_want_share("beta2", a->beta2, 0.0, 1.0));
    TRY(fwi_want_share("eps", a->eps, 0.0, INFINITY));
    return fwi_want_int("bc_col", a->bc_col, 0,
                        r->in[4].shape.d[0] - 2); /* two columns from here on */
}

fw_status fwi_rule_lars(fwi_rule *r)
{
    const fwi_optim_attr *a = &r->attr->optim;
    TRY(update_inputs(r, 3, a->lr_col, a->wd_col));
    if (r->in[0].shape.rank != 4)
        return fwi_fail(FW_ESHAPE, "w has %d dimensions, expected 4 (filters)",
                        r->in[0].shape.rank);
    TRY(fwi_want_share("momentum", a->momentum, 0.0, 1.0));
    return fwi_want_positive("eps", a->eps);
}

fw_status fwi_rule_average(fwi_rule *r)
{
    const fwi_average_attr *a = &r->attr->average;
    TRY(fwi_want_real(r, 0, "avg", 0, FW_MAX_RANK));
    TRY(fwi_want_shape(r, 1, "w", r->real, r->in[0].shape));
    TRY(fwi_want(r, 2, "hyper", FW_F64, 1, 1));
    const int64_t n_cols = r->in[2].shape.d[0];
    TRY(fwi_want_int("on_col", a->on_col, 0, n_cols - 1));
    TRY(fwi_want_int("decay_col", a->decay_col, 0, n_cols - 1));
    return fwi_want_int("copy_back", a->copy_back, 0, 1);
}

fw_status fwi_rule_muon(fwi_rule *r)
{
    const fwi_muon_attr *a = &r->attr->muon;
    TRY(update_inputs(r, 3, a->lr_col, a->wd_col));
    TRY(fwi_want_int("rn_col", a->rn_col, 0, r->in[3].shape.d[0] - 1));
    TRY(fwi_want_int("xn_col", a->xn_col, 0,
                     r->in[3].shape.d[0] - 2)); /* two columns from here on */
    if (r->in[0].shape.rank != 2 && r->in[0].shape.rank != 4)
        return fwi_fail(FW_ESHAPE, "w has %d dimensions, expected 2 (a matrix) or 4 (filters)",
                        r->in[0].shape.rank);
    TRY(fwi_want_share("momentum", a->momentum, 0.0, 1.0));
    TRY(fwi_want_finite("a", a->a));
    TRY(fwi_want_finite("b", a->b));
    TRY(fwi_want_finite("c", a->c));
    TRY(fwi_want_share("renorm_eps", a->renorm_eps, 0.0, INFINITY));
    TRY(fwi_want_int("narrow", a->narrow, 0, 1));
    return fwi_want_int("steps", a->steps, 1, FWI_MUON_STEPS);
}
