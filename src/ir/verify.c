/* verify.c: every rule of a graph, checked again from nothing: run after each pass, and on what was
 * parsed. A graph that verifies can be planned: each op's inputs exist and are made before it, each
 * temp has one producer, types and shapes are what shapes.c infers, a variable that an op changes
 * is changed once and not read after that, and gradients have a place. Messages name ops by their
 * number, which is also their order in a printed graph. Read before: ir.h, shapes.c. */
#include "ir_rules.h"

#include <math.h>
#include <string.h>

typedef struct checker {
    const fwi_graph *g;
    bool *changed;  /* [n_tensors] the variable was changed by an op before this one */
    bool *has_grad; /* [n_tensors] a temp holds the variable's gradient */
} checker;

/* ---- tensors ---- */

static fw_status check_names(const fwi_graph *g, fwi_val v)
{
    const fwi_tensor *t = &g->tensors[v];
    if (t->name == NULL || t->name[0] == 0)
        return fwi_fail(FW_EARG, "tensor %d, an input or a variable, has no name", v);
    for (fwi_val u = 0; u < v; u++)
        if (g->tensors[u].name != NULL && strcmp(g->tensors[u].name, t->name) == 0)
            return fwi_fail(FW_EARG, "tensors %d and %d are both named \"%s\"", u, v, t->name);
    if (t->producer != -1 || t->grad_of != FWI_NO_VAL)
        return fwi_fail(FW_EARG, "\"%s\", an input or a variable, is marked as made by op %d",
                        t->name, t->producer);
    return FW_OK;
}

static fw_status check_var(const fwi_graph *g, const fwi_tensor *t)
{
    if (t->dtype != g->real)
        return fwi_fail(FW_ESHAPE, "variable \"%s\" is %s, expected %s", t->name,
                        fw_dtype_name(t->dtype), fw_dtype_name(g->real));
    if ((unsigned)t->var_class > FWI_VAR_AVERAGE ||
        (t->trainable && !fwi_class_trains(t->var_class)))
        return fwi_fail(FW_EARG, "variable \"%s\" is %s and of class %d", t->name,
                        t->trainable ? "trainable" : "fixed", (int)t->var_class);
    fw_status st = fwi_average_check(t->name, t->var_class, &t->init);
    if (st != FW_OK)
        return st;
    st = fwi_init_check(&t->init, &t->shape);
    return st == FW_OK ? st : fwi_fail_in(st, "variable \"%s\"", t->name);
}

static fw_status check_grad_of(checker *c, fwi_val v)
{
    const fwi_graph *g = c->g;
    const fwi_tensor *t = &g->tensors[v];
    if (t->grad_of == FWI_NO_VAL)
        return FW_OK;
    if (!fwi_graph_has(g, t->grad_of) || g->tensors[t->grad_of].kind != FWI_VAR ||
        !g->tensors[t->grad_of].trainable)
        return fwi_fail(FW_EARG, "tensor %d is the gradient of %d, which is no trainable variable",
                        v, t->grad_of);
    const fwi_tensor *w = &g->tensors[t->grad_of];
    if (w->dtype != t->dtype || !fwi_shape_equal(&w->shape, &t->shape))
        return fwi_fail(FW_ESHAPE, "the gradient of \"%s\" has another type or shape", w->name);
    if (t->nb != 0)
        return fwi_fail(FW_ESHAPE, "the gradient of \"%s\" is blocked", w->name);
    if (c->has_grad[t->grad_of])
        return fwi_fail(FW_EARG, "\"%s\" has two gradients", w->name);
    c->has_grad[t->grad_of] = true;
    if (t->producer < 0)
        return fwi_fail(FW_EARG, "no op makes the gradient of \"%s\"", w->name);
    return FW_OK;
}

static fw_status check_tensor(checker *c, fwi_val v)
{
    const fwi_graph *g = c->g;
    const fwi_tensor *t = &g->tensors[v];
    char text[FWI_SHAPE_TEXT];
    if (fw_dtype_size(t->dtype) == 0 || fwi_shape_elems(&t->shape) < 0)
        return fwi_fail(FW_ESHAPE, "tensor %d is %s of rank %d", v,
                        fwi_type_text(text, t->dtype, &t->shape), t->shape.rank);
    if (t->kind != FWI_TEMP && t->nb != 0)
        return fwi_fail(FW_ESHAPE, "tensor %d, no temp, is blocked", v);
    const fw_status st =
        fwi_layout_check(g->real, &(fwi_type){.dtype = t->dtype, .shape = t->shape, .nb = t->nb});
    if (st != FW_OK)
        return fwi_fail_in(st, "tensor %d", v);
    switch (t->kind) {
    case FWI_INPUT:
        return check_names(g, v);
    case FWI_VAR:
        TRY(check_names(g, v));
        return check_var(g, t);
    case FWI_TEMP:
        break;
    default:
        return fwi_fail(FW_EARG, "tensor %d is of kind %d", v, (int)t->kind);
    }
    if (t->name != NULL)
        return fwi_fail(FW_EARG, "tensor %d, a temp, is named \"%s\"", v, t->name);
    if (t->producer < -1 || t->producer >= g->n_ops)
        return fwi_fail(FW_EARG, "tensor %d is made by op %d of %d", v, t->producer, g->n_ops);
    bool made = t->producer < 0;
    for (int k = 0; !made && k < FWI_MAX_OUT; k++)
        made = g->ops[t->producer].out[k] == v && k < g->ops[t->producer].n_out;
    if (!made)
        return fwi_fail(FW_EARG, "tensor %d says it is made by op %d, which does not make it", v,
                        t->producer);
    return check_grad_of(c, v);
}

/* ---- ops ---- */

/* Numbers of inputs and outputs, and that what the op reads is there when it runs. */
static fw_status check_wiring(const checker *c, int32_t i)
{
    const fwi_graph *g = c->g;
    const fwi_op *op = &g->ops[i];
    const fwi_op_info *info = fwi_op_info_get(op->kind);
    if (info == NULL)
        return fwi_fail(FW_EARG, "%d is no op", (int)op->kind);
    if (op->n_in != info->n_in || op->n_out != info->n_out)
        return fwi_fail(FW_EARG, "%d inputs and %d outputs, expected %d and %d", op->n_in,
                        op->n_out, info->n_in, info->n_out);
    for (int k = 0; k < op->n_out; k++) {
        if (!fwi_graph_has(g, op->out[k]) || g->tensors[op->out[k]].kind != FWI_TEMP)
            return fwi_fail(FW_EARG, "output %d is %d, which is no temp of this graph", k,
                            op->out[k]);
        if (g->tensors[op->out[k]].producer != i)
            return fwi_fail(FW_EARG, "output %d is tensor %d, which op %d makes", k, op->out[k],
                            g->tensors[op->out[k]].producer);
        for (int j = 0; j < k; j++)
            if (op->out[j] == op->out[k])
                return fwi_fail(FW_EARG, "outputs %d and %d are the same tensor", j, k);
    }
    for (int k = 0; k < op->n_in; k++) {
        if (!fwi_graph_has(g, op->in[k]))
            return fwi_fail(FW_EARG, "input %d is %d, which is no tensor of this graph", k,
                            op->in[k]);
        const fwi_tensor *t = &g->tensors[op->in[k]];
        if (t->kind == FWI_TEMP && (t->producer < 0 || t->producer >= i))
            return fwi_fail(FW_EARG, "input %d is tensor %d, which is not made before it", k,
                            op->in[k]);
    }
    return FW_OK;
}

/* Reading a variable, or a view of one, is over once an op has changed it, but for what comes after
 * the updates. */
static fw_status check_changes(checker *c, const fwi_op *op)
{
    const fwi_graph *g = c->g;
    for (int k = 0; k < op->n_in; k++) {
        const fwi_val root = fwi_graph_root(g, op->in[k]);
        if (c->changed[root] && (fwi_op_info_get(op->kind)->flags & FWI_AFTER) == 0)
            return fwi_fail(FW_EARG, "input %d reads \"%s\" after an op has changed it", k,
                            g->tensors[root].name);
    }
    const int n_mut = fwi_op_mutates(op->kind);
    for (int k = 0; k < n_mut; k++)
        c->changed[op->in[k]] = true;
    return FW_OK;
}

static fw_status check_op(checker *c, int32_t i)
{
    const fwi_graph *g = c->g;
    const fwi_op *op = &g->ops[i];
    fwi_type types[FWI_MAX_OUT];
    TRY(check_wiring(c, i));
    TRY(fwi_infer(g, op->kind, &op->attr, op->in, types));
    for (int k = 0; k < op->n_out; k++) {
        const fwi_tensor *t = &g->tensors[op->out[k]];
        char is[FWI_SHAPE_TEXT], must[FWI_SHAPE_TEXT];
        if (t->nb > 0 && fwi_layout_is_free(op->kind, g->real, t->dtype) &&
            (fwi_op_layout(op->kind).out >> k & 1))
            types[k].dtype = t->dtype, types[k].nb = t->nb;
        if (t->nb != types[k].nb)
            return fwi_fail(FW_ESHAPE, "output %d is blocked by %d, the op gives %d", k, t->nb,
                            types[k].nb);
        if (t->dtype != types[k].dtype || !fwi_shape_equal(&t->shape, &types[k].shape))
            return fwi_fail(FW_ESHAPE, "output %d is %s, the op gives %s", k,
                            fwi_type_text(is, t->dtype, &t->shape),
                            fwi_type_text(must, types[k].dtype, &types[k].shape));
        if (t->grad_of != FWI_NO_VAL && fwi_graph_root(g, op->out[k]) != op->out[k])
            return fwi_fail(FW_EARG, "output %d is a view, and marked as the gradient of \"%s\"", k,
                            g->tensors[t->grad_of].name);
    }
    return check_changes(c, op);
}

static fw_status check_outputs(const fwi_graph *g)
{
    for (int32_t i = 0; i < g->n_outputs; i++) {
        const fwi_output *o = &g->outputs[i];
        if (o->name == NULL || o->name[0] == 0)
            return fwi_fail(FW_EARG, "output %d has no name", i);
        for (int32_t j = 0; j < i; j++)
            if (strcmp(g->outputs[j].name, o->name) == 0)
                return fwi_fail(FW_EARG, "two outputs are named \"%s\"", o->name);
        if (!fwi_graph_has(g, o->val) ||
            (g->tensors[o->val].kind == FWI_TEMP && g->tensors[o->val].producer < 0))
            return fwi_fail(FW_EARG, "output \"%s\" is tensor %d, which nothing makes", o->name,
                            o->val);
    }
    return FW_OK;
}

static fw_status check(checker *c)
{
    const fwi_graph *g = c->g;
    if (g->real != FW_F32 && g->real != FW_F64)
        return fwi_fail(FW_EARG, "the graph computes in %s", fw_dtype_name(g->real));
    if (g->storage != g->real && !fwi_may_store(g->real, (int64_t)g->storage))
        return fwi_fail(FW_EARG, "a graph that computes in %s cannot store activations as %s",
                        fw_dtype_name(g->real), fw_dtype_name(g->storage));
    if ((unsigned)g->conv >= FWI_CONV_ALGOS)
        return fwi_fail(FW_EARG, "the graph asks for convolutions of kind %d", (int)g->conv);
    for (fwi_val v = 0; v < g->n_tensors; v++)
        TRY(check_tensor(c, v));
    for (int32_t i = 0; i < g->n_ops; i++) {
        const fw_status st = check_op(c, i);
        const fwi_op_info *info = fwi_op_info_get(g->ops[i].kind);
        if (st != FW_OK)
            return fwi_fail_in(st, "op %d, %s", i, info != NULL ? info->name : "?");
    }
    return check_outputs(g);
}

fw_status fwi_graph_verify(const fwi_graph *g)
{
    fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    checker c = {.g = g};
    c.changed = fwi_alloc_array((size_t)g->n_tensors, sizeof *c.changed);
    c.has_grad = fwi_alloc_array((size_t)g->n_tensors, sizeof *c.has_grad);
    st = c.changed != NULL && c.has_grad != NULL ? check(&c) : FW_ENOMEM;
    fwi_free(c.changed);
    fwi_free(c.has_grad);
    return st == FW_OK || st == FW_ENOMEM ? st : fwi_fail_in(st, "graph");
}
