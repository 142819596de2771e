/* update.c: a run's optimisers as graph ops, and the row of numbers that changes per step.
 *
 * Every rate reaches the ops as a column of the input "hyper", so that one compiled plan serves the
 * whole run. Weight decay is a column too: parameters that do not decay read a column that is
 * always 0. Each optimiser, that of every parameter group too, has columns of its own, side by
 * side. */
#include "optim_inner.h"

#include <math.h>
#include <stdio.h>

/* Of one optimiser, from its first column on. */
enum {
    COL_LR,
    COL_WD,
    SGD_COLUMNS,
    COL_BC = SGD_COLUMNS,
    COL_NO_WD = COL_BC + 2,
    ADAM_COLUMNS,
    COL_RN = SGD_COLUMNS,
    COL_XN,
    MUON_COLUMNS = COL_XN + 2
};
_Static_assert((int)ADAM_COLUMNS *(FW_MAX_GROUPS + 1) + (int)FWI_AVERAGE_COLUMNS <=
                       (int)FWI_OPTIM_MAX_COLUMNS &&
                   (int)MUON_COLUMNS == (int)ADAM_COLUMNS,
               "FWI_OPTIM_MAX_COLUMNS");

static int columns_of(const fw_optimizer *o)
{
    return o->kind == FW_ADAM ? ADAM_COLUMNS : o->kind == FW_MUON ? MUON_COLUMNS : SGD_COLUMNS;
}

static int update_columns(const fwi_optim *o)
{
    int n = columns_of(&o->rest);
    for (int32_t i = 0; i < o->n_groups; i++)
        n += columns_of(&o->group[i].optimizer);
    return n;
}

int fwi_optim_columns(const fwi_optim *o)
{
    return update_columns(o) + fwi_average_columns(&o->average);
}

/* Whether Muon brings weights to their norm in its k-th update of `total`, from 1. Counted from the beginning
 * each time, as a row follows from its step alone; where the gap between two of them stays the same, in one go. */
static bool renorms(const fw_muon_opt *m, int64_t k, double total)
{
    if (m->renorm != FW_RENORM_SPACED)
        return m->renorm == FW_RENORM_EVERY_STEP;
    int64_t last = 0, at;
    while (last < k) {
        const double whole = floor(m->renorm_growth * (double)last / total);
        const double needed = m->renorm_gap + whole, later = (whole + 1) / m->renorm_growth * total;
        if (needed > (double)k) /* it never falls */
            return false;
        const int64_t gap = needed > 1 ? (int64_t)ceil(needed) : 1;
        const int64_t same =
            later > (double)k + 2 ? k : (int64_t)later - 2; /* until there, surely */
        if (same - last >= gap) {
            last += (same - last) / gap * gap;
            continue;
        }
        for (at = last + gap; at <= k; at++)
            if ((double)(at - last) >= m->renorm_gap + floor(m->renorm_growth * (double)at / total))
                break;
        last = at;
    }
    return last == k;
}

/* p and q of u / (p norm(u) + q). With a target t, X = u t / (norm(u) + e), then X / (norm(X) + e). */
static void divisor(const fw_muon_opt *m, int64_t k, double pq[2])
{
    pq[0] = 1;
    pq[1] = 1e-7;
    if (m->target[0] == 0)
        return;
    const double share = fmin(1, (double)k / m->total_steps), e = 1e-5;
    const double t = m->target[0] * (1 - share) + m->target[1] * share;
    pq[0] = 1 + e / t;
    pq[1] = e * e / t;
}

/* every: steps from one update to the next. Rates follow steps, and what counts updates counts those. */
static void row_of(const fw_optimizer *o, int64_t step, int64_t every, double *row)
{
    const int64_t update = step / every + 1;
    const double lr = fw_schedule_at(&o->lr, (double)step);
    row[COL_LR] = lr < 0 ? 0 : lr;
    switch (o->kind) {
    case FW_SGD:
        row[COL_WD] = o->sgd.weight_decay;
        break;
    case FW_ADAM: {
        const double t = (double)update; /* 1 at the first */
        row[COL_WD] = o->adam.weight_decay;
        row[COL_BC] = 1 - pow(o->adam.beta1, t);
        row[COL_BC + 1] = 1 - pow(o->adam.beta2, t);
        row[COL_NO_WD] = 0;
        break;
    }
    case FW_MUON:
        row[COL_WD] = o->muon.weight_decay;
        row[COL_RN] = renorms(&o->muon, update, o->muon.total_steps / (double)every);
        divisor(&o->muon, step + 1, &row[COL_XN]);
        break;
    case FW_LARS:
        row[COL_WD] = o->lars.weight_decay;
        break;
    }
}

void fwi_optim_row(const fwi_optim *o, int64_t step, double *row)
{
    const int64_t every = o->every > 1 ? o->every : 1;
    row_of(&o->rest, step, every, row);
    row += columns_of(&o->rest);
    for (int32_t i = 0; i < o->n_groups; i++) {
        row_of(&o->group[i].optimizer, step, every, row);
        row += columns_of(&o->group[i].optimizer);
    }
    fwi_average_row(&o->average, step, o->follows, row);
}

/* ---- groups ---- */

static uint32_t class_bit(fwi_var_class cls)
{
    switch (cls) {
    case FWI_VAR_CONV:
        return FW_PARAM_CONV;
    case FWI_VAR_DENSE:
        return FW_PARAM_DENSE;
    case FWI_VAR_HEAD:
        return FW_PARAM_HEAD;
    case FWI_VAR_BN_SCALE:
        return FW_PARAM_BN_SCALE;
    case FWI_VAR_BIAS:
        return FW_PARAM_BIAS;
    case FWI_VAR_WHITEN_BIAS:
        return FW_PARAM_WHITEN_BIAS;
    case FWI_VAR_WHITEN: /* never trained */
    case FWI_VAR_STAT:
    case FWI_VAR_SLOT:
    case FWI_VAR_AVERAGE:
        break;
    }
    return 0;
}

/* The group of that class: its number from 0, or n_groups for the optimiser of the rest. */
static int32_t group_of(const fwi_optim *o, fwi_var_class cls)
{
    const uint32_t bit = class_bit(cls);
    int32_t i = 0;
    while (i < o->n_groups && (o->group[i].classes & bit) == 0)
        i++;
    return i;
}

uint32_t fwi_optim_over(const fwi_optim *o, int64_t step)
{
    uint32_t over = 0;
    for (int32_t i = 0; i < o->n_groups; i++)
        if (o->group[i].train_steps > 0 && step >= o->group[i].train_steps)
            over |= 1U << i;
    return over;
}

bool fwi_optim_among(const fwi_optim *o, uint32_t groups, fwi_var_class cls)
{
    const int32_t i = group_of(o, cls);
    return i < o->n_groups && (groups & 1U << i) != 0;
}

/* ---- ops ---- */

/* An optimiser at work: its first column, and the factor of its gradients (FWI_NO_VAL: none). */
typedef struct part {
    const fw_optimizer *o;
    int64_t col;
    fwi_val factor;
    int64_t n;         /* parameters */
    int64_t n_updated; /* those with a gradient */
} part;

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

static double clip_norm(const fw_optimizer *o)
{
    return o->kind == FW_ADAM   ? o->adam.clip_norm
           : o->kind == FW_MUON ? o->muon.clip_norm
           : o->kind == FW_LARS ? o->lars.clip_norm
                                : o->sgd.clip_norm;
}

/* The factor that brings a part's gradients down to its norm: min(1, norm / sqrt(sum of all
 * squares)), Pascanu et al. 2013. of: each gradient's part. The sums stand side by side, for devices
 * that do many of them as one. */
static fwi_val clip_factor(fwi_graph *g, const fwi_val *grads, const part *const *of, int n,
                           const part *p)
{
    const fwi_attr none = {.fill = {.rank = 1, .d0 = 1, .dtype = (int64_t)g->real}};
    fwi_val sum = fwi_graph_op(g, FWI_OP_fill, &none, NULL, 0, NULL);
    for (int i = 0; i < n; i++)
        if (of[i] == p && grads[i] != FWI_NO_VAL)
            sum = fwi_op2(g, FWI_OP_sum_squares, NULL, grads[i], sum);
    return fwi_op1(g, FWI_OP_clip_factor, &(fwi_attr){.scalar = {.value = clip_norm(p->o)}}, sum);
}

static void append_sgd(const part *p, fwi_graph *g, fwi_val w, fwi_val grad, fwi_val hyper)
{
    static const fwi_sgd_form forms[] = {[FW_NESTEROV_PYTORCH] = FWI_NESTEROV_PYTORCH,
                                         [FW_NESTEROV_PAGE] = FWI_NESTEROV_PAGE,
                                         [FW_MOMENTUM_PLAIN] = FWI_SGD_PLAIN};
    const fwi_attr attr = {.optim = {.momentum = p->o->momentum,
                                     .form = forms[p->o->sgd.nesterov],
                                     .lr_col = p->col + COL_LR,
                                     .wd_col = p->col + COL_WD}};
    const fwi_val v = slot(g, w, "momentum");
    fwi_graph_op(g, FWI_OP_sgd, &attr, (const fwi_val[]){w, v, grad, hyper}, 4, NULL);
}

static void append_adam(const part *p, fwi_graph *g, fwi_val w, fwi_val grad, fwi_val hyper)
{
    const fwi_val m = slot(g, w, "m"), v = slot(g, w, "v");
    if (g->status != FW_OK)
        return;
    const fw_adam_opt *const o = &p->o->adam;
    const bool norm_or_bias = (class_bit(g->tensors[w].var_class) &
                               (FW_PARAM_BN_SCALE | FW_PARAM_BIAS | FW_PARAM_WHITEN_BIAS)) != 0;
    const bool decays = o->decay_norm_and_bias || !norm_or_bias;
    const fwi_attr attr = {.optim = {.beta1 = o->beta1,
                                     .beta2 = o->beta2,
                                     .eps = o->eps,
                                     .lr_col = p->col + COL_LR,
                                     .wd_col = p->col + (decays ? COL_WD : COL_NO_WD),
                                     .bc_col = p->col + COL_BC}};
    fwi_graph_op(g, FWI_OP_adam, &attr, (const fwi_val[]){w, m, v, grad, hyper}, 5, NULL);
}

static void append_muon(const part *p, fwi_graph *g, fwi_val w, fwi_val grad, fwi_val hyper)
{
    if (g->status != FW_OK)
        return;
    const fwi_tensor *const t = &g->tensors[w];
    if (t->shape.rank != 2 && t->shape.rank != 4) {
        fwi_graph_stick(g, fwi_fail(FW_EARG,
                                    "muon: %s has %d dimension%s: Muon is for matrices and "
                                    "convolution filters; give the others a group of their own",
                                    t->name, t->shape.rank, t->shape.rank == 1 ? "" : "s"));
        return;
    }
    const fw_muon_opt *const o = &p->o->muon;
    const fwi_attr attr = {.muon = {.momentum = p->o->momentum,
                                    .a = o->a,
                                    .b = o->b,
                                    .c = o->c,
                                    .renorm_eps = o->renorm == FW_RENORM_SPACED ? 1e-7 : 0,
                                    .steps = o->steps,
                                    .lr_col = p->col + COL_LR,
                                    .wd_col = p->col + COL_WD,
                                    .rn_col = p->col + COL_RN,
                                    .xn_col = p->col + COL_XN}};
    const fwi_val v = slot(g, w, "momentum");
    fwi_graph_op(g, FWI_OP_muon, &attr, (const fwi_val[]){w, v, grad, hyper}, 4, NULL);
}

static void append_lars(const part *p, fwi_graph *g, fwi_val w, fwi_val grad, fwi_val hyper)
{
    if (g->status != FW_OK)
        return;
    const fwi_tensor *const t = &g->tensors[w];
    if (t->shape.rank != 4) {
        fwi_graph_stick(g, fwi_fail(FW_EARG,
                                    "lars: %s has %d dimension%s: LARS is for convolution filters, "
                                    "one rate for each; give the others a group of their own",
                                    t->name, t->shape.rank, t->shape.rank == 1 ? "" : "s"));
        return;
    }
    const fwi_attr attr = {.optim = {.momentum = p->o->momentum,
                                     .eps = p->o->lars.eps,
                                     .lr_col = p->col + COL_LR,
                                     .wd_col = p->col + COL_WD}};
    const fwi_val v = slot(g, w, "momentum");
    fwi_graph_op(g, FWI_OP_lars, &attr, (const fwi_val[]){w, v, grad, hyper}, 4, NULL);
}

/* The optimisers with their columns, and which one each parameter belongs to. */
static fw_status sort_params(const fwi_optim *o, const fwi_graph *g, const fwi_val *params,
                             const fwi_val *grads, int n, part parts[FW_MAX_GROUPS + 1],
                             const part **of)
{
    int64_t col = columns_of(&o->rest);
    parts[o->n_groups] = (part){.o = &o->rest, .factor = FWI_NO_VAL};
    for (int32_t i = 0; i < o->n_groups; i++) {
        parts[i] = (part){.o = &o->group[i].optimizer, .col = col, .factor = FWI_NO_VAL};
        col += columns_of(parts[i].o);
    }
    for (int i = 0; i < n; i++) {
        part *const p = &parts[group_of(o, g->tensors[params[i]].var_class)];
        p->n++;
        p->n_updated += grads[i] != FWI_NO_VAL;
        of[i] = p;
    }
    for (int32_t i = 0; i < o->n_groups; i++)
        if (parts[i].n == 0)
            return fwi_fail(FW_EARG,
                            "parameter group %d has no parameter: the model trains none of its "
                            "classes, or an earlier group has them",
                            (int)i + 1);
    return FW_OK;
}

static void append_update(const part *p, fwi_graph *g, fwi_val w, fwi_val grad, fwi_val hyper)
{
    if (p->factor != FWI_NO_VAL)
        grad = fwi_op2(g, FWI_OP_scale_by, NULL, grad, p->factor);
    if (p->o->kind == FW_ADAM)
        append_adam(p, g, w, grad, hyper);
    else if (p->o->kind == FW_MUON)
        append_muon(p, g, w, grad, hyper);
    else if (p->o->kind == FW_LARS)
        append_lars(p, g, w, grad, hyper);
    else
        append_sgd(p, g, w, grad, hyper);
}

fw_status fwi_optim_append(const fwi_optim *o, fwi_graph *g, const fwi_val *params,
                           const fwi_val *grads, int n)
{
    part parts[FW_MAX_GROUPS + 1];
    fw_status st = fwi_optim_check(o);
    if (st != FW_OK)
        return st;
    if (n < 1)
        return fwi_fail(FW_EARG, "the model has nothing to train: no layer of it has weights");
    const part **of = fwi_alloc_array((size_t)n, sizeof *of);
    if (of == NULL)
        return FW_ENOMEM;
    if ((st = sort_params(o, g, params, grads, n, parts, of)) != FW_OK)
        goto done;
    const fwi_val hyper = fwi_graph_input(g, "hyper", FW_F64, fwi_shape1(fwi_optim_columns(o)));
    for (int32_t i = 0; i <= o->n_groups; i++)
        if (parts[i].n_updated > 0 && clip_norm(parts[i].o) > 0)
            parts[i].factor = clip_factor(g, grads, of, n, &parts[i]);
    for (int i = 0; i < n; i++)
        if (grads[i] != FWI_NO_VAL)
            append_update(of[i], g, params[i], grads[i], hyper);
    fwi_average_append(&o->average, g, hyper, update_columns(o));
    st = fwi_graph_status(g);
done:
    fwi_free(of);
    return st;
}
