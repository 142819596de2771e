/* passes.c: the neutral passes, which every backend wants. Each goes once through the ops and
 * leaves a graph that verifies and computes the same outputs, gradients and changes of variables.
 * Tensors keep their numbers; an op that goes leaves its temps behind, with producer -1. Read
 * before: ir.h, verify.c. */
#include "ir_rules.h"

#include <stdlib.h>

/* Closes the gaps that dropped ops leave. */
static void drop_ops(fwi_graph *g, const bool *drop)
{
    int32_t n = 0;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const fwi_op op = g->ops[i];
        for (int k = 0; k < op.n_out; k++)
            g->tensors[op.out[k]].producer = drop[i] ? -1 : n;
        if (!drop[i])
            g->ops[n++] = op;
    }
    g->n_ops = n;
}

/* ---- dead code ---- */

fw_status fwi_pass_dead_code(fwi_graph *g)
{
    fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    bool *needed = fwi_alloc_array((size_t)g->n_tensors, sizeof *needed);
    bool *drop = fwi_alloc_array((size_t)g->n_ops, sizeof *drop);
    if (needed == NULL || drop == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    for (int32_t i = 0; i < g->n_outputs; i++)
        needed[g->outputs[i].val] = true;
    for (fwi_val v = 0; v < g->n_tensors; v++)
        if (g->tensors[v].grad_of != FWI_NO_VAL)
            needed[v] = true;
    for (int32_t i = g->n_ops - 1; i >= 0; i--) {
        const fwi_op *op = &g->ops[i];
        bool live = fwi_op_mutates(op->kind) > 0;
        for (int k = 0; k < op->n_out; k++)
            live = live || needed[op->out[k]];
        for (int k = 0; live && k < op->n_in; k++)
            needed[op->in[k]] = true;
        drop[i] = !live;
    }
    drop_ops(g, drop);
done:
    fwi_free(needed);
    fwi_free(drop);
    return st;
}

/* ---- constants ---- */

typedef struct rewrite {
    fwi_graph *g;
    fwi_val *to; /* [n_tensors] what to read in place of the tensor; itself where nothing else */
    bool *is_output; /* [n_tensors] */
    bool *changes;   /* [n_tensors] variables that some op changes */
    bool *drop;      /* [n_ops] */
} rewrite;

static const fwi_op *made_by(const fwi_graph *g, fwi_val v, fwi_opkind kind)
{
    const int32_t i = g->tensors[v].producer;
    return i >= 0 && g->ops[i].kind == kind ? &g->ops[i] : NULL;
}

static bool is_zeros(const fwi_graph *g, fwi_val v)
{
    const fwi_op *op = made_by(g, v, FWI_OP_fill);
    return op != NULL && op->attr.fill.value == 0.0;
}

/* The input that output 0 of the op equals, or FWI_NO_VAL. */
static fwi_val equal_input(const fwi_graph *g, const fwi_op *op)
{
    if (op->n_out == 0 || op->n_in == 0)
        return FWI_NO_VAL;
    const fwi_tensor *x = &g->tensors[op->in[0]], *y = &g->tensors[op->out[0]];
    switch (op->kind) {
    case FWI_OP_add:
        return is_zeros(g, op->in[1]) ? op->in[0] : is_zeros(g, op->in[0]) ? op->in[1] : FWI_NO_VAL;
    case FWI_OP_scale:
        return op->attr.scalar.value == 1.0 ? op->in[0] : FWI_NO_VAL;
    case FWI_OP_reshape:
        return fwi_shape_equal(&y->shape, &x->shape) ? op->in[0] : FWI_NO_VAL;
    case FWI_OP_cast:
        return y->dtype == x->dtype ? op->in[0] : FWI_NO_VAL;
    default:
        return FWI_NO_VAL;
    }
}

/* May readers of `out` read `in` instead? Not where out is a gradient, which has a place of its
 * own; not where it keeps a variable's value from before a change; and an output of the graph stays
 * a temp. */
static bool may_stand_in(const rewrite *w, fwi_val out, fwi_val in)
{
    const fwi_graph *g = w->g;
    const fwi_val root = fwi_graph_root(g, in);
    if (g->tensors[out].grad_of != FWI_NO_VAL || w->changes[root])
        return false;
    return !w->is_output[out] || g->tensors[root].kind == FWI_TEMP;
}

/* An earlier fill with the same attributes, or FWI_NO_VAL. */
static fwi_val equal_fill(const rewrite *w, int32_t i)
{
    const fwi_graph *g = w->g;
    for (int32_t j = 0; j < i; j++)
        if (g->ops[j].kind == FWI_OP_fill && !w->drop[j] &&
            fwi_attr_equal(FWI_OP_fill, &g->ops[j].attr, &g->ops[i].attr))
            return g->ops[j].out[0];
    return FWI_NO_VAL;
}

static void rewrite_ops(rewrite *w)
{
    fwi_graph *g = w->g;
    for (int32_t i = 0; i < g->n_ops; i++) {
        fwi_op *op = &g->ops[i];
        for (int k = 0; k < op->n_in; k++)
            op->in[k] = w->to[op->in[k]];
        const fwi_val in = op->kind == FWI_OP_fill ? equal_fill(w, i) : equal_input(g, op);
        if (in == FWI_NO_VAL || !may_stand_in(w, op->out[0], in))
            continue;
        w->to[op->out[0]] = in;
        w->drop[i] = true;
    }
    for (int32_t i = 0; i < g->n_outputs; i++)
        g->outputs[i].val = w->to[g->outputs[i].val];
    drop_ops(g, w->drop);
}

fw_status fwi_pass_constants(fwi_graph *g)
{
    fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    const size_t n = (size_t)g->n_tensors;
    rewrite w = {.g = g,
                 .to = fwi_alloc_array(n, sizeof *w.to),
                 .is_output = fwi_alloc_array(n, sizeof *w.is_output),
                 .changes = fwi_alloc_array(n, sizeof *w.changes),
                 .drop = fwi_alloc_array((size_t)g->n_ops, sizeof *w.drop)};
    if (w.to == NULL || w.is_output == NULL || w.changes == NULL || w.drop == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    for (fwi_val v = 0; v < g->n_tensors; v++)
        w.to[v] = v;
    for (int32_t i = 0; i < g->n_outputs; i++)
        w.is_output[g->outputs[i].val] = true;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const int n_mut = fwi_op_mutates(g->ops[i].kind);
        for (int k = 0; k < n_mut; k++)
            w.changes[g->ops[i].in[k]] = true;
    }
    rewrite_ops(&w);
done:
    fwi_free(w.to);
    fwi_free(w.is_output);
    fwi_free(w.changes);
    fwi_free(w.drop);
    return st;
}

/* ---- updates ---- */

/* An op and what it is sorted by. */
typedef struct place {
    int32_t group; /* 0 changes nothing, 1 an update, 2 comes behind the updates (FWI_AFTER) */
    int32_t kind;
    int64_t rows, elems; /* of the first variable that it changes */
    int32_t number;      /* in the graph as it was: keeps the order of equals */
    fwi_op op;
} place;

static place place_of(const fwi_graph *g, int32_t i)
{
    const fwi_op *op = &g->ops[i];
    place p = {.number = i, .op = *op};
    if (fwi_op_mutates(op->kind) == 0)
        return p;
    const fwi_shape *s = &g->tensors[op->in[0]].shape;
    p.group = (fwi_op_info_get(op->kind)->flags & FWI_AFTER) != 0 ? 2 : 1;
    p.kind = (int32_t)op->kind;
    p.rows = s->rank > 0 ? s->d[0] : 1;
    p.elems = fwi_shape_elems(s);
    return p;
}

static int in_order(const void *a, const void *b)
{
    const place *p = a, *q = b;
    const int64_t by[][2] = {{p->group, q->group},
                             {p->kind, q->kind},
                             {p->rows, q->rows},
                             {p->elems, q->elems},
                             {p->number, q->number}};
    for (size_t i = 0; i < sizeof by / sizeof *by; i++)
        if (by[i][0] != by[i][1])
            return by[i][0] < by[i][1] ? -1 : 1;
    return 0;
}

/* Nobody but the ops of FWI_AFTER reads a variable behind its update, and each of those has variables
 * of its own; updates read gradients, statistics of the batch and rates besides. So each kind may trade
 * places among itself. */
fw_status fwi_pass_updates_last(fwi_graph *g)
{
    const fw_status st = fwi_graph_status(g);
    if (st != FW_OK || g->n_ops == 0)
        return st;
    place *places = fwi_alloc_array((size_t)g->n_ops, sizeof *places);
    if (places == NULL)
        return FW_ENOMEM;
    for (int32_t i = 0; i < g->n_ops; i++)
        places[i] = place_of(g, i);
    qsort(places, (size_t)g->n_ops, sizeof *places, in_order);
    for (int32_t i = 0; i < g->n_ops; i++) {
        g->ops[i] = places[i].op;
        for (int k = 0; k < g->ops[i].n_out; k++)
            g->tensors[g->ops[i].out[k]].producer = i;
    }
    fwi_free(places);
    return FW_OK;
}

/* ---- averages ---- */

fw_status fwi_pass_averages(fwi_graph *g)
{
    const int32_t n = g->n_tensors;
    fwi_val *to = fwi_alloc_array((size_t)n, sizeof *to);
    if (to == NULL)
        return FW_ENOMEM;
    for (fwi_val v = 0; v < n; v++)
        to[v] = fwi_may_average(&g->tensors[v]) ? fwi_graph_average(g, v) : v;
    const fw_status st = fwi_graph_status(g);
    for (int32_t i = 0; i < g->n_ops && st == FW_OK; i++)
        for (int k = 0; k < g->ops[i].n_in; k++)
            g->ops[i].in[k] = to[g->ops[i].in[k]];
    fwi_free(to);
    return st;
}
