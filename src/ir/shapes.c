/* shapes.c: what each op asks of its inputs and attributes, and the types of its outputs: the table
 * of rules, what holds for every op, and the pieces that rules are written with. A rule's message
 * says what is wrong; fwi_infer puts the op and its inputs in front, and the builder the layer.
 * Everything is checked here, so that kernels need not: sizes come from recipes, model files and
 * printed graphs, all of which may be hostile. Read before: ir.h, ops.def. Next: shapes.h and the
 * rules, graph.c, verify.c. */
#include "shapes.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* ---- pieces of rules ---- */

int64_t fwi_last_dim(const fwi_shape *s)
{
    return s->d[s->rank - 1];
}

fw_status fwi_want(const fwi_rule *r, int i, const char *name, fw_dtype dtype, int rank_lo,
                   int rank_hi)
{
    const fwi_type *t = &r->in[i];
    if (t->dtype != dtype)
        return fwi_fail(FW_ESHAPE, "%s is %s, expected %s", name, fw_dtype_name(t->dtype),
                        fw_dtype_name(dtype));
    if (t->shape.rank < rank_lo || t->shape.rank > rank_hi) {
        if (rank_lo == rank_hi)
            return fwi_fail(FW_ESHAPE, "%s has %d dimensions, expected %d", name, t->shape.rank,
                            rank_lo);
        return fwi_fail(FW_ESHAPE, "%s has %d dimensions, expected %d to %d", name, t->shape.rank,
                        rank_lo, rank_hi);
    }
    return FW_OK;
}

fw_status fwi_want_real(const fwi_rule *r, int i, const char *name, int rank_lo, int rank_hi)
{
    return fwi_want(r, i, name, r->real, rank_lo, rank_hi);
}

fw_status fwi_want_shape(const fwi_rule *r, int i, const char *name, fw_dtype dtype, fwi_shape s)
{
    char text[FWI_SHAPE_TEXT], found[FWI_SHAPE_TEXT];
    if (r->in[i].dtype == dtype && fwi_shape_equal(&r->in[i].shape, &s))
        return FW_OK;
    return fwi_fail(FW_ESHAPE, "%s is %s, expected %s", name,
                    fwi_type_text(found, r->in[i].dtype, &r->in[i].shape),
                    fwi_type_text(text, dtype, &s));
}

fw_status fwi_want_int(const char *name, int64_t v, int64_t lo, int64_t hi)
{
    if (v >= lo && v <= hi)
        return FW_OK;
    return fwi_fail(FW_EARG, "%s is %" PRId64 ", expected %" PRId64 " to %" PRId64, name, v, lo,
                    hi);
}

fw_status fwi_want_finite(const char *name, double v)
{
    return isfinite(v) ? FW_OK : fwi_fail(FW_EARG, "%s is %g, expected a finite number", name, v);
}

fw_status fwi_want_share(const char *name, double v, double lo, double hi)
{
    if (v >= lo && v < hi)
        return FW_OK;
    return fwi_fail(FW_EARG, "%s is %g, expected at least %g and under %g", name, v, lo, hi);
}

fw_status fwi_want_positive(const char *name, double v)
{
    if (v > 0 && isfinite(v))
        return FW_OK;
    return fwi_fail(FW_EARG, "%s is %g, expected a finite number over 0", name, v);
}

void fwi_give(fwi_rule *r, int i, fw_dtype dtype, fwi_shape shape)
{
    r->out[i] = (fwi_type){.dtype = dtype, .shape = shape};
}

/* ---- the table ---- */

static fw_status (*const rules[FWI_OP_COUNT])(fwi_rule *r) = {
#define FW_OP(name, attr, n_in, n_out, flags, shape, grad, test) [FWI_OP_##name] = fwi_rule_##shape,
#include "ops.def"
#undef FW_OP
};

/* What holds for every op, whatever its rule says. */
static fw_status infer(const fwi_graph *g, fwi_opkind kind, const fwi_val *in, fwi_rule *r)
{
    const fwi_op_info *info = fwi_op_info_get(kind);
    const int n_mut = fwi_op_mutates(kind);
    for (int i = 0; i < n_mut; i++) {
        if (g->tensors[in[i]].kind != FWI_VAR)
            return fwi_fail(FW_EARG, "input %d is not a variable, and the op changes it", i);
        for (int j = 0; j < info->n_in; j++)
            if (j != i && fwi_graph_root(g, in[j]) == in[i])
                return fwi_fail(FW_EARG, "inputs %d and %d are the same variable \"%s\"", i, j,
                                g->tensors[in[i]].name);
    }
    fwi_type blocked = {0};
    TRY(fwi_layout_enter(kind, r->real, r->in, &blocked));
    r->nb = blocked.nb;
    TRY(rules[kind](r));
    fwi_layout_leave(kind, r->real, &blocked, r->out);
    for (int i = 0; i < info->n_out; i++)
        if (fwi_shape_elems(&r->out[i].shape) < 0) {
            char text[FWI_SHAPE_TEXT];
            return fwi_fail(FW_ESHAPE, "output %d would be %s: more than 2^40 elements", i,
                            fwi_type_text(text, r->out[i].dtype, &r->out[i].shape));
        }
    return FW_OK;
}

fw_status fwi_infer(const fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, const fwi_val *in,
                    fwi_type out[FWI_MAX_OUT])
{
    const fwi_op_info *info = fwi_op_info_get(kind);
    int n_fields = 0;
    fwi_attr_fields(kind, &n_fields);
    if (n_fields > 0 && attr == NULL)
        return fwi_fail(FW_EARG, "%s: attributes are missing", info->name);
    fwi_rule r = {.real = g->real, .attr = attr};
    for (int i = 0; i < info->n_in; i++) {
        if (!fwi_graph_has(g, in[i]))
            return fwi_fail(FW_EARG, "%s: input %d is %d, which is no tensor of this graph",
                            info->name, i, in[i]);
        const fwi_tensor *t = &g->tensors[in[i]];
        r.in[i] = (fwi_type){.dtype = t->dtype, .shape = t->shape, .nb = t->nb};
    }
    const fw_status st = infer(g, kind, in, &r);
    if (st != FW_OK) {
        char text[FWI_MAX_IN * (FWI_SHAPE_TEXT + 2)] = "", one[FWI_SHAPE_TEXT];
        int at = 0;
        for (int i = 0; i < info->n_in; i++)
            at += snprintf(text + at, sizeof text - (size_t)at, "%s%s", i > 0 ? ", " : "",
                           fwi_type_text(one, r.in[i].dtype, &r.in[i].shape));
        return fwi_fail_in(st, "%s(%s)", info->name, text);
    }
    for (int i = 0; i < info->n_out; i++)
        out[i] = r.out[i];
    return FW_OK;
}
