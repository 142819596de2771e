/* lower_blocked.c: see cpu_lower.h. One walk over the ops. Every tensor of the graph keeps its
 * number and becomes blocked where the op that makes it runs blocked; its other form, where
 * somebody wants that, is a tensor of its own made by a conversion in front of the first who asks.
 * An op runs blocked where layout.c allows it, its images are activations (no filters), and the
 * table has a row for it. Nothing is weighed: a blocked row is taken to be the faster one. */
#include "cpu_lower.h"

#include <string.h>

typedef struct lowering {
    fwi_graph *g;
    const fwi_op_table *table;
    fwi_op *ops; /* the new list */
    int32_t n_ops, cap_ops;
    fwi_op *old; /* the list as it was given */
    int32_t n_old_ops;
    fwi_val *flat, *blocked; /* [cap] of the old tensors: their form, or FWI_NO_VAL */
    /* [n_old] four dimensions that are no images: filters, and what is made of them */
    bool *filters;
    int32_t n_old;
} lowering;

/* The most even blocks: of 14, 12 and 10 images the one that leaves the least padding, the larger
 * if equal. A register tile is one block's images at one pixel, and with 10 to 14 rows it runs at
 * full speed; even numbers because bf16 filter gradients take images in pairs. */
int32_t fwi_block_of(int64_t n)
{
    static const int32_t sizes[] = {14, 12, 10};
    int32_t best = (int32_t)(n < 14 ? n : 14);
    int64_t least = INT64_MAX;
    for (size_t i = 0; n > 14 && i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t padding = (n + sizes[i] - 1) / sizes[i] * sizes[i] - n;
        if (padding < least) {
            best = sizes[i];
            least = padding;
        }
    }
    return best;
}

int32_t fwi_table_block_of(const fwi_op_table *table, int64_t n)
{
    return table->nb > 0 ? table->nb : fwi_block_of(n);
}

static fw_status append_op(lowering *w, const fwi_op *op)
{
    if (w->n_ops == w->cap_ops) {
        const int32_t cap = w->cap_ops * 2 + 64;
        void *p = fwi_realloc(w->ops, (size_t)cap * sizeof *w->ops);
        if (p == NULL)
            return FW_ENOMEM;
        w->ops = p;
        w->cap_ops = cap;
    }
    for (int k = 0; k < op->n_out; k++)
        w->g->tensors[op->out[k]].producer = w->n_ops;
    w->ops[w->n_ops++] = *op;
    return FW_OK;
}

/* Appends a conversion of v and gives its result. The builder checks it and makes the tensor; the
 * op then moves into the new list. */
static fw_status convert(lowering *w, fwi_val v, bool to_blocked, fwi_val *out)
{
    fwi_graph *g = w->g;
    const fwi_attr a = {.layout = {.nb = fwi_table_block_of(w->table, g->tensors[v].shape.d[0]),
                                   .dtype = (int64_t)g->storage}};
    *out = to_blocked ? fwi_op1(g, FWI_OP_to_blocked, &a, v)
                      : fwi_op1(g, FWI_OP_from_blocked, NULL, v);
    const fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    const fwi_op op = g->ops[--g->n_ops];
    return append_op(w, &op);
}

static fw_status flat_form(lowering *w, fwi_val v, fwi_val *out)
{
    fw_status st = FW_OK;
    if (w->flat[v] == FWI_NO_VAL)
        st = convert(w, v, false, &w->flat[v]);
    *out = w->flat[v];
    return st;
}

static fw_status blocked_form(lowering *w, fwi_val v, fwi_val *out)
{
    fw_status st = FW_OK;
    if (w->blocked[v] == FWI_NO_VAL)
        st = convert(w, v, true, &w->blocked[v]);
    *out = w->blocked[v];
    return st;
}

static fwi_arg arg_for(const fwi_graph *g, const fwi_op_table *table, fwi_val v, bool blocked)
{
    const fwi_tensor *t = &g->tensors[v];
    fwi_arg a = {.dtype = t->dtype, .shape = t->shape};
    if (blocked) {
        a.nb = fwi_table_block_of(table, t->shape.d[0]);
        if (t->dtype == g->real)
            a.dtype = g->storage;
    } else if (t->nb > 0 && (t->dtype == FW_BF16 || t->dtype == FW_F16))
        a.dtype = g->real; /* as its flat form will be */
    return a;
}

bool fwi_blocked_call(const fwi_graph *g, const fwi_op_table *table, const fwi_op *op,
                      fwi_call *out)
{
    const fwi_layout layout = fwi_op_layout(op->kind);
    if ((layout.in | layout.out) == 0)
        return false;
    *out = (fwi_call){.kind = op->kind, .attr = &op->attr};
    for (int k = 0; k < op->n_in + op->n_out; k++) {
        const bool is_in = k < op->n_in;
        const int slot = is_in ? k : k - op->n_in;
        const fwi_val v = is_in ? op->in[slot] : op->out[slot];
        const bool active = (is_in ? layout.in : layout.out) >> slot & 1;
        if (active && g->tensors[v].shape.rank != 4)
            return false;
        *(is_in ? &out->in[slot] : &out->out[slot]) = arg_for(g, table, v, active);
    }
    return fwi_table_find(table, out, NULL) != NULL;
}

/* The gradients of pools, alone or fused, read places as their input 1. */
static bool reads_places(fwi_opkind kind)
{
    return kind == FWI_OP_max_pool_grad || kind == FWI_OP_bn_act_pool_grad ||
           kind == FWI_OP_bn_act_unpool_grad;
}

/* Filters have no batch to be cut in blocks, and their gradients stay in f32 whatever images are stored in. */
static void find_filters(lowering *w)
{
    for (int32_t v = 0; v < w->n_old; v++) {
        const fwi_tensor *t = &w->g->tensors[v];
        w->filters[v] = t->kind == FWI_VAR || t->grad_of != FWI_NO_VAL;
    }
    for (int32_t i = 0; i < w->n_old_ops; i++) {
        const fwi_op *op = &w->old[i];
        const fwi_layout layout = fwi_op_layout(op->kind);
        bool of_filters = op->kind == FWI_OP_conv2d_dw;
        for (int k = 0; k < op->n_in; k++) {
            const bool counts =
                layout.in == 0 ? w->g->tensors[op->in[k]].shape.rank == 4 : layout.in >> k & 1;
            of_filters = of_filters || (counts && w->filters[op->in[k]]);
        }
        for (int k = 0; k < op->n_out; k++)
            w->filters[op->out[k]] = w->filters[op->out[k]] || of_filters;
    }
}

static bool has_filters(const lowering *w, const fwi_op *op)
{
    const fwi_layout layout = fwi_op_layout(op->kind);
    for (int k = 0; k < op->n_in; k++)
        if ((layout.in >> k & 1) && w->filters[op->in[k]])
            return true;
    for (int k = 0; k < op->n_out; k++)
        if ((layout.out >> k & 1) && w->filters[op->out[k]])
            return true;
    return false;
}

static bool has_blocked_row(const lowering *w, const fwi_op *op, fwi_call *c)
{
    return !has_filters(w, op) && fwi_blocked_call(w->g, w->table, op, c);
}

/* A pool's places have no conversion: blocked ones must be read by gradients of pools alone, and by
 * such as run blocked. */
static bool places_stay(const lowering *w, fwi_val v)
{
    for (int32_t i = 0; i < w->g->n_outputs; i++)
        if (w->g->outputs[i].val == v)
            return false;
    for (int32_t i = 0; i < w->n_old_ops; i++)
        for (int k = 0; k < w->old[i].n_in; k++) {
            fwi_call c;
            const fwi_op *op = &w->old[i];
            if (op->in[k] == v && (!reads_places(op->kind) || !has_blocked_row(w, op, &c)))
                return false;
        }
    return true;
}

/* Whether the op can and may run blocked. Places of a pool (u8) have no conversion, so who reads
 * them goes the way of who made them. */
static bool runs_blocked(const lowering *w, const fwi_op *op, fwi_call *c)
{
    const fwi_layout layout = fwi_op_layout(op->kind);
    for (int k = 0; k < op->n_in; k++) {
        const fwi_tensor *t = &w->g->tensors[op->in[k]];
        if ((layout.in >> k & 1) && t->dtype == FW_U8 && t->nb == 0)
            return false;
    }
    for (int k = 0; k < op->n_out; k++)
        if ((layout.out >> k & 1) && w->g->tensors[op->out[k]].dtype == FW_U8 &&
            !places_stay(w, op->out[k]))
            return false;
    return has_blocked_row(w, op, c);
}

static fw_status lower_op(lowering *w, const fwi_op *old)
{
    fwi_op op = *old;
    fwi_call c;
    const bool blocked = runs_blocked(w, old, &c);
    const fwi_layout layout = blocked ? fwi_op_layout(op.kind) : (fwi_layout){0};
    fw_status st = FW_OK;
    for (int k = 0; k < op.n_in && st == FW_OK; k++)
        st = layout.in >> k & 1 ? blocked_form(w, old->in[k], &op.in[k])
                                : flat_form(w, old->in[k], &op.in[k]);
    for (int k = 0; k < op.n_out && st == FW_OK; k++) {
        const fwi_val v = op.out[k];
        w->flat[v] = w->blocked[v] = FWI_NO_VAL;
        if (layout.out >> k & 1) {
            w->g->tensors[v].dtype = c.out[k].dtype;
            w->g->tensors[v].nb = c.out[k].nb;
            w->blocked[v] = v;
        } else
            w->flat[v] = v;
    }
    return st == FW_OK ? append_op(w, &op) : st;
}

static fw_status lower(lowering *w)
{
    fwi_graph *g = w->g;
    if (g->n_ops > 0)
        memcpy(w->old, g->ops, (size_t)g->n_ops * sizeof *w->old);
    find_filters(w);
    fw_status st = FW_OK;
    g->n_ops = 0; /* conversions are built at its front and move on */
    for (int32_t i = 0; i < w->n_old_ops && st == FW_OK; i++)
        st = lower_op(w, &w->old[i]);
    for (int32_t i = 0; i < g->n_outputs && st == FW_OK; i++)
        if (g->outputs[i].val < w->n_old)
            st = flat_form(w, g->outputs[i].val, &g->outputs[i].val);
    if (st != FW_OK)
        return st;
    fwi_free(g->ops);
    g->ops = w->ops;
    g->n_ops = w->n_ops;
    g->cap_ops = w->cap_ops;
    w->ops = NULL;
    return fwi_pass_dead_code(g);
}

fw_status fwi_lower_blocked(fwi_graph *g, const fwi_op_table *table)
{
    fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    const size_t n = (size_t)g->n_tensors;
    lowering w = {.g = g,
                  .table = table,
                  .n_old = g->n_tensors,
                  .n_old_ops = g->n_ops,
                  .old = fwi_alloc_array((size_t)g->n_ops, sizeof *w.old),
                  .flat = fwi_alloc_array(n, sizeof *w.flat),
                  .blocked = fwi_alloc_array(n, sizeof *w.blocked),
                  .filters = fwi_alloc_array(n, sizeof *w.filters)};
    if (w.old == NULL || w.flat == NULL || w.blocked == NULL || w.filters == NULL)
        st = FW_ENOMEM;
    for (size_t v = 0; v < n && st == FW_OK; v++) {
        w.flat[v] = g->tensors[v].kind == FWI_TEMP ? FWI_NO_VAL : (fwi_val)v;
        w.blocked[v] = FWI_NO_VAL;
    }
    if (st == FW_OK)
        st = lower(&w);
    fwi_free(w.old);
    fwi_free(w.flat);
    fwi_free(w.blocked);
    fwi_free(w.filters);
    fwi_free(w.ops);
    return st;
}
