/* update.c: an optimiser as graph ops, and the row of numbers that changes per step.
 *
 * Every rate reaches the ops as a column of the input "hyper", so that one compiled plan serves the
 * whole run. Weight decay is a column too: parameters that do not decay read a column that is
 * always 0. */
#include "optim_inner.h"

#include <math.h>
#include <stdio.h>

enum { COL_LR, COL_WD, SGD_COLUMNS, COL_BC = SGD_COLUMNS, COL_NO_WD = COL_BC + 2, ADAM_COLUMNS };

int fwi_optim_columns(const fw_optimizer *o)
{
    return o->kind == FW_ADAM ? ADAM_COLUMNS : SGD_COLUMNS;
}

void fwi_optim_row(const fw_optimizer *o, int64_t step, double *row)
{
    row[COL_LR] = fw_schedule_at(&o->lr, (double)step);
    if (o->kind == FW_SGD) {
        row[COL_WD] = o->sgd.weight_decay;
        return;
    }
    const double t = (double)step + 1; /* 1 at the first update */
    row[COL_WD] = o->adam.weight_decay;
    row[COL_BC] = 1 - pow(o->adam.beta1, t);
    row[COL_BC + 1] = 1 - pow(o->adam.beta2, t);
    row[COL_NO_WD] = 0;
}

static fwi_val slot(fwi_graph *g, fwi_val param, const char *name)
{
    if (g->status != FW_OK)
        return FWI_NO_VAL;
    char full[320]; /* names have at most 255 bytes */
    const fwi_tensor *const p = &g->tensors[param];
    snprintf(full, sizeof full, "%s/%s", p->name, name);
    return fwi_graph_var(g, full, FWI_VAR_SLOT, false, p->shape,
                         (fwi_init){.kind = FWI_INIT_CONST, .a = 0});
}

/* The factor that brings the gradients down to the norm: min(1, norm / sqrt(sum of all squares)),
 * Pascanu et al. 2013. */
static fwi_val clip_factor(fwi_graph *g, const fwi_val *grads, int n, double norm)
{
    fwi_val sum = fwi_op1(g, FWI_OP_sum_squares, NULL, grads[0]);
    for (int i = 1; i < n; i++)
        sum = fwi_op2(g, FWI_OP_add, NULL, sum, fwi_op1(g, FWI_OP_sum_squares, NULL, grads[i]));
    return fwi_op1(g, FWI_OP_clip_factor, &(fwi_attr){.scalar = {.value = norm}}, sum);
}

static void append_sgd(const fw_optimizer *o, fwi_graph *g, fwi_val w, fwi_val grad, fwi_val hyper)
{
    static const fwi_sgd_form forms[] = {[FW_NESTEROV_PYTORCH] = FWI_NESTEROV_PYTORCH,
                                         [FW_NESTEROV_PAGE] = FWI_NESTEROV_PAGE,
                                         [FW_MOMENTUM_PLAIN] = FWI_SGD_PLAIN};
    const fwi_attr attr = {.optim = {.momentum = o->momentum,
                                     .form = forms[o->sgd.nesterov],
                                     .lr_col = COL_LR,
                                     .wd_col = COL_WD}};
    const fwi_val v = slot(g, w, "momentum");
    fwi_graph_op(g, FWI_OP_sgd, &attr, (const fwi_val[]){w, v, grad, hyper}, 4, NULL);
}

static void append_adam(const fw_optimizer *o, fwi_graph *g, fwi_val w, fwi_val grad, fwi_val hyper)
{
    const fwi_val m = slot(g, w, "m"), v = slot(g, w, "v");
    if (g->status != FW_OK)
        return;
    const fwi_var_class cls = g->tensors[w].var_class;
    const bool decays =
        o->adam.decay_norm_and_bias || (cls != FWI_VAR_BN_SCALE && cls != FWI_VAR_BIAS);
    const fwi_attr attr = {.optim = {.beta1 = o->adam.beta1,
                                     .beta2 = o->adam.beta2,
                                     .eps = o->adam.eps,
                                     .lr_col = COL_LR,
                                     .wd_col = decays ? COL_WD : COL_NO_WD,
                                     .bc_col = COL_BC}};
    fwi_graph_op(g, FWI_OP_adam, &attr, (const fwi_val[]){w, m, v, grad, hyper}, 5, NULL);
}

fw_status fwi_optim_append(const fw_optimizer *o, fwi_graph *g, const fwi_val *params,
                           const fwi_val *grads, int n)
{
    fw_status st = fw_optimizer_check(o);
    if (st != FW_OK)
        return st;
    if (n < 1)
        return fwi_fail(FW_EARG, "the model has nothing to train: no layer of it has weights");
    const fwi_val hyper = fwi_graph_input(g, "hyper", FW_F64, fwi_shape1(fwi_optim_columns(o)));
    const double norm = o->kind == FW_ADAM ? o->adam.clip_norm : o->sgd.clip_norm;
    const fwi_val factor = norm > 0 ? clip_factor(g, grads, n, norm) : FWI_NO_VAL;
    for (int i = 0; i < n; i++) {
        const fwi_val grad =
            norm > 0 ? fwi_op2(g, FWI_OP_scale_by, NULL, grads[i], factor) : grads[i];
        if (o->kind == FW_ADAM)
            append_adam(o, g, params[i], grad, hyper);
        else
            append_sgd(o, g, params[i], grad, hyper);
    }
    return fwi_graph_status(g);
}
