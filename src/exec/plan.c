/* plan.c: from a graph to a flat list of kernel calls, every address resolved to a block and an
 * offset. All decisions are made here, once, in fwi_plan_new; running that list is plan_run.c. Calls
 * that stand side by side and that their kernel does as one (fwi_joint) are one step. Read before:
 * exec.h, table.c, store.c; ir/memplan.c decides where temps live. */
#include "plan_inner.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* What fwi_plan_new needs on its way; all of it is gone when it returns. */
typedef struct builder {
    fwi_plan *plan;
    fwi_graph *graph;          /* the lowered copy */
    const fwi_kernel **kernel; /* [n_ops] */
    const char **table;        /* [n_ops] */
    int32_t *joined;        /* [n_ops] calls that run as one from this op on; 0: with one before */
    size_t *kernel_scratch; /* [n_ops] */
    place *places;          /* [n_tensors] */
    fwi_memplan mem;
} builder;

/* "f32[128,32,32,3]/12 f32[64,3,3,3]": as a graph is printed, the block behind the shape. */
static void describe_inputs(const fwi_call *c, char *text, size_t cap)
{
    size_t at = 0;
    text[0] = 0;
    for (int i = 0; i < fwi_op_info_get(c->kind)->n_in && at < cap; i++) {
        const fwi_arg *a = &c->in[i];
        char type[FWI_SHAPE_TEXT], block[16] = "";
        if (a->nb > 0)
            snprintf(block, sizeof block, "/%d", a->nb);
        at += (size_t)snprintf(text + at, cap - at, "%s%s%s", i > 0 ? " " : "",
                               fwi_type_text(type, a->dtype, &a->shape), block);
    }
}

static int64_t most_elements(const fwi_call *c)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    int64_t most = 0;
    for (int i = 0; i < info->n_in + info->n_out; i++) {
        const fwi_arg *a = i < info->n_in ? &c->in[i] : &c->out[i - info->n_in];
        const int64_t n = fwi_shape_elems(&a->shape);
        most = n > most ? n : most;
    }
    return most;
}

static fw_status no_kernel(const fwi_device *d, const fwi_call *c)
{
    char text[256];
    describe_inputs(c, text, sizeof text);
    return fwi_fail(
        FW_EUNAVAILABLE, "%s: no kernel for %s(%s)%s", d->label, fwi_op_info_get(c->kind)->name,
        text,
        most_elements(c) >= FWI_MOST_ELEMS
            ? ": one of its tensors has nearly 2^31 elements, or more; a smaller batch has fewer"
            : "");
}

/* ---- making a plan ---- */

static fw_status note_inputs(fwi_plan *p, const fwi_graph *g)
{
    for (int32_t t = 0; t < g->n_tensors; t++) {
        if (g->tensors[t].kind != FWI_INPUT)
            continue;
        if (p->n_inputs == MAX_INPUTS)
            return fwi_fail(FW_EARG, "the graph has more than %d inputs", (int)MAX_INPUTS);
        const char *name = fwi_arena_strdup(p->arena, g->tensors[t].name);
        if (name == NULL)
            return FW_ENOMEM;
        p->input_bytes[p->n_inputs] = fwi_tensor_bytes(&g->tensors[t]);
        p->input_names[p->n_inputs++] = name;
    }
    return FW_OK;
}

/* A copy of the caller's graph, rewritten by the neutral passes and the backend's. */
static fw_status lower(builder *b, const fwi_graph *g)
{
    fwi_device *d = b->plan->device;
    fw_status st = fwi_graph_copy(&b->graph, g);
    if (st == FW_OK)
        st = fwi_pass_dead_code(b->graph);
    if (st == FW_OK)
        st = fwi_pass_constants(b->graph);
    if (st == FW_OK)
        st = fwi_pass_dead_code(b->graph); /* what the merged constants left over */
    if (st == FW_OK && d->backend->lower != NULL) {
        st = fwi_graph_verify(b->graph);
        if (st == FW_OK)
            st = d->backend->lower(d, b->graph);
    }
    if (st == FW_OK)
        st = fwi_graph_verify(b->graph);
    return st;
}

static fw_status choose_kernels(builder *b)
{
    const fwi_graph *g = b->graph;
    b->kernel = fwi_alloc_array((size_t)g->n_ops, sizeof *b->kernel);
    b->table = fwi_alloc_array((size_t)g->n_ops, sizeof *b->table);
    b->kernel_scratch = fwi_alloc_array((size_t)g->n_ops, sizeof *b->kernel_scratch);
    if (b->kernel == NULL || b->table == NULL || b->kernel_scratch == NULL)
        return FW_ENOMEM;
    const fwi_device *d = b->plan->device;
    for (int32_t i = 0; i < g->n_ops; i++) {
        fwi_call c = fwi_call_of(g, &g->ops[i]);
        c.pool = d->pool;
        c.stream = d->stream;
        const fwi_op_table *from = NULL;
        b->kernel[i] = fwi_table_find(d->table, &c, &from);
        if (b->kernel[i] == NULL)
            return no_kernel(d, &c);
        b->table[i] = from->name;
        if (b->kernel[i]->scratch != NULL)
            b->kernel_scratch[i] = b->kernel[i]->scratch(&c);
    }
    return FW_OK;
}

/* ---- calls that run as one ---- */

/* Whether one of two ops changes what the other reads or changes. */
static bool meet(const fwi_graph *g, const fwi_op *a, const fwi_op *b)
{
    const int a_changes = fwi_op_mutates(a->kind), b_changes = fwi_op_mutates(b->kind);
    for (int i = 0; i < a->n_in; i++)
        for (int j = 0; j < b->n_in; j++)
            if ((i < a_changes || j < b_changes) &&
                fwi_graph_root(g, a->in[i]) == fwi_graph_root(g, b->in[j]))
                return true;
    return false;
}

/* Whether op i reads, but by its input `link`, what an op from `first` on makes. */
static bool reads_made(const fwi_graph *g, int32_t first, int32_t i, int link)
{
    const fwi_op *const op = &g->ops[i];
    for (int k = 0; k < op->n_in; k++)
        for (int32_t j = first; k != link && j < i; j++)
            for (int o = 0; o < g->ops[j].n_out; o++)
                if (fwi_graph_root(g, op->in[k]) == fwi_graph_root(g, g->ops[j].out[o]))
                    return true;
    return false;
}

/* Whether op i may run as one with the ops from `first` on, all of which do. */
static bool may_join(const builder *b, int32_t first, int32_t i)
{
    const fwi_graph *g = b->graph;
    if (b->kernel[i] != b->kernel[first] || b->kernel[i]->joint == NULL ||
        i - first == FWI_MAX_JOINED)
        return false;
    const int follows = b->kernel[i]->joint->follows;
    if (follows > 0)
        return g->ops[i].in[follows] == g->ops[i - 1].out[0] && !reads_made(g, first, i, follows);
    assert(g->ops[i].n_out == 0);
    for (int32_t j = first; j < i; j++)
        if (meet(g, &g->ops[j], &g->ops[i]))
            return false;
    return true;
}

/* After choose_kernels: which ops run as one, and the scratch that these need together. */
static fw_status join_calls(builder *b)
{
    const fwi_graph *g = b->graph;
    b->joined = fwi_alloc_array((size_t)g->n_ops, sizeof *b->joined);
    fwi_call *calls = fwi_alloc_array(FWI_MAX_JOINED, sizeof *calls);
    if (b->joined == NULL || calls == NULL) {
        fwi_free(calls);
        return FW_ENOMEM;
    }
    for (int32_t i = 0, n; i < g->n_ops; i += n) {
        for (n = 1; i + n < g->n_ops && may_join(b, i, i + n); n++)
            b->kernel_scratch[i + n] = 0;
        b->joined[i] = n;
        const fwi_joint *joint = b->kernel[i]->joint;
        if (n == 1)
            continue;
        for (int32_t k = 0; k < n; k++) {
            calls[k] = fwi_call_of(g, &g->ops[i + k]);
            calls[k].pool = b->plan->device->pool;
            calls[k].stream = b->plan->device->stream;
        }
        b->kernel_scratch[i] = joint->scratch != NULL ? joint->scratch(calls, n) : 0;
    }
    fwi_free(calls);
    return FW_OK;
}

/* Where tensor t lives. Inputs, variables and their gradients have homes; temps are in scratch. */
static fw_status place_tensor(const builder *b, fwi_val t, place *out)
{
    const fwi_plan *p = b->plan;
    const fwi_tensor *tensor = &b->graph->tensors[t];
    *out = (place){SPACE_NONE, 0};
    if (tensor->kind == FWI_INPUT) {
        const int slot = fwi_plan_slot(p, tensor->name);
        if (slot < 0)
            return fwi_fail(FW_EINTERNAL, "input %s appeared while lowering", tensor->name);
        *out = (place){SPACE_INPUT + slot, 0};
        return FW_OK;
    }
    const bool is_grad = tensor->kind == FWI_TEMP && tensor->grad_of != FWI_NO_VAL;
    if (tensor->kind == FWI_TEMP && !is_grad) {
        const fwi_val root = fwi_graph_root(b->graph, t);
        if (b->mem.offset[t] >= 0)
            *out = (place){SPACE_SCRATCH, (size_t)b->mem.offset[t]};
        else if (root != t) /* a view of an input, of a variable or of a gradient */
            return place_tensor(b, root, out);
        return FW_OK;
    }
    const fwi_tensor *var = is_grad ? &b->graph->tensors[tensor->grad_of] : tensor;
    const fwi_var *v = fwi_store_find(p->store, var->name);
    if (v == NULL)
        return fwi_fail(FW_ENOTFOUND, "variable %s is not in the store", var->name);
    if (v->dtype != tensor->dtype || !fwi_shape_equal(&v->shape, &tensor->shape))
        return fwi_fail(FW_ESHAPE, "variable %s has another type or shape in the store%s",
                        var->name, is_grad ? " than its gradient" : "");
    if (is_grad && !v->trainable)
        return fwi_fail(FW_ESHAPE, "variable %s is not trained, but has a gradient", var->name);
    *out = is_grad ? (place){SPACE_GRADS, v->grad_offset} : (place){SPACE_STATE, v->offset};
    return FW_OK;
}

static bool same_place(place a, place b)
{
    return a.space == b.space && a.offset == b.offset;
}

static fw_status place_tensors(builder *b)
{
    const fwi_graph *g = b->graph;
    b->places = fwi_alloc_array((size_t)g->n_tensors, sizeof *b->places);
    if (b->places == NULL)
        return FW_ENOMEM;
    for (int32_t t = 0; t < g->n_tensors; t++) {
        const fw_status st = place_tensor(b, t, &b->places[t]);
        if (st != FW_OK)
            return st;
    }
    return FW_OK;
}

static fw_status make_steps(builder *b)
{
    fwi_plan *p = b->plan;
    const fwi_graph *g = b->graph;
    p->calls = fwi_alloc_array((size_t)g->n_ops, sizeof *p->calls);
    p->first = fwi_alloc_array((size_t)g->n_ops + 1, sizeof *p->first);
    if (p->calls == NULL || p->first == NULL)
        return FW_ENOMEM;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const fwi_op *op = &g->ops[i];
        if ((fwi_op_info_get(op->kind)->flags & FWI_VIEW) &&
            same_place(b->places[op->in[0]], b->places[op->out[0]]))
            continue;
        if (b->joined[i] > 0)
            p->first[p->n_steps++] = p->n_calls;
        p->first[p->n_steps] = p->n_calls + 1;
        fwi_step *s = &p->calls[p->n_calls++];
        s->kernel = b->kernel[i];
        s->table = b->table[i];
        s->attr = op->attr;
        s->call = fwi_call_of(g, op);
        s->call.attr = &s->attr;
        s->call.pool = p->device->pool;
        s->call.stream = p->device->stream;
        s->n_in = op->n_in;
        s->n_out = op->n_out;
        for (int j = 0; j < op->n_in; j++) {
            s->in[j] = b->places[op->in[j]];
            s->bytes += (int64_t)fwi_tensor_bytes(&g->tensors[op->in[j]]) *
                        (j < fwi_op_mutates(op->kind) ? 2 : 1); /* changed: read and written */
            if (s->in[j].space >= SPACE_INPUT)
                p->input_used[s->in[j].space - SPACE_INPUT] = true;
        }
        for (int j = 0; j < op->n_out; j++) {
            s->out[j] = b->places[op->out[j]];
            s->bytes += (int64_t)fwi_tensor_bytes(&g->tensors[op->out[j]]);
            if (s->out[j].space == SPACE_NONE)
                return fwi_fail(FW_EINTERNAL, "%s: output %d has no place in the memory plan",
                                fwi_op_info_get(op->kind)->name, j);
        }
        if (b->kernel_scratch[i] > 0) {
            if (b->mem.kernel_offset[i] < 0)
                return fwi_fail(FW_EINTERNAL, "%s: no kernel scratch in the memory plan",
                                fwi_op_info_get(op->kind)->name);
            s->scratch = (place){SPACE_SCRATCH, (size_t)b->mem.kernel_offset[i]};
        }
        s->macs = fwi_op_macs(g, op);
    }
    return FW_OK;
}

static fw_status make_outputs(builder *b)
{
    fwi_plan *p = b->plan;
    const fwi_graph *g = b->graph;
    p->outputs = fwi_alloc_array((size_t)g->n_outputs, sizeof *p->outputs);
    if (p->outputs == NULL)
        return FW_ENOMEM;
    for (int32_t i = 0; i < g->n_outputs; i++) {
        const fwi_tensor *t = &g->tensors[g->outputs[i].val];
        plan_output *o = &p->outputs[i];
        o->name = fwi_arena_strdup(p->arena, g->outputs[i].name);
        if (o->name == NULL)
            return FW_ENOMEM;
        o->at = b->places[g->outputs[i].val];
        o->dtype = t->dtype;
        o->shape = t->shape;
        o->bytes = fwi_tensor_bytes(t);
        if (o->at.space == SPACE_NONE)
            return fwi_fail(FW_EINTERNAL, "output %s has no place in the memory plan", o->name);
        if (o->at.space >= SPACE_INPUT)
            p->input_used[o->at.space - SPACE_INPUT] = true;
        p->n_outputs++;
    }
    return FW_OK;
}

/* Room behind the temps for copies of the inputs, where the device cannot read the host's memory. */
static fw_status place_copies(fwi_plan *p)
{
    for (int i = 0; i < p->n_inputs && !p->device->host_memory; i++) {
        if (!p->input_used[i])
            continue;
        size_t end;
        if (!fwi_add_size(p->scratch_bytes, FWI_PLAN_ALIGN - 1, &end))
            return fwi_fail(FW_ENOMEM, "input %s: its size does not fit", p->input_names[i]);
        p->staged_at[i] = end & ~(size_t)(FWI_PLAN_ALIGN - 1);
        if (!fwi_add_size(p->staged_at[i], p->input_bytes[i], &p->scratch_bytes))
            return fwi_fail(FW_ENOMEM, "input %s: its size does not fit", p->input_names[i]);
    }
    return FW_OK;
}

fw_status fwi_plan_new(fwi_plan **out, fwi_device *d, fwi_store *s, const fwi_graph *g)
{
    assert(out != NULL && d != NULL && s != NULL && g != NULL);
    *out = NULL;
    fwi_plan *p = fwi_alloc_zero(sizeof *p);
    if (p == NULL)
        return FW_ENOMEM;
    p->device = d;
    p->store = s;
    builder b = {.plan = p};
    fw_status st = fwi_arena_new(&p->arena, 1024);
    if (st == FW_OK)
        st = fwi_graph_status(g);
    if (st == FW_OK)
        st = note_inputs(p, g);
    if (st == FW_OK)
        st = lower(&b, g);
    if (st == FW_OK)
        st = choose_kernels(&b);
    if (st == FW_OK)
        st = join_calls(&b);
    if (st == FW_OK)
        st = fwi_memplan_make(b.graph, b.kernel_scratch, &b.mem);
    if (st != FW_OK)
        goto done;
    p->scratch_bytes = (size_t)b.mem.bytes;
    p->live_peak = b.mem.live_peak;
    if ((st = place_tensors(&b)) != FW_OK || (st = make_steps(&b)) != FW_OK ||
        (st = make_outputs(&b)) != FW_OK || (st = place_copies(p)) != FW_OK)
        goto done;
    *out = p;
    p = NULL;
done:
    fwi_memplan_clear(&b.mem);
    fwi_graph_free(b.graph);
    fwi_free(b.kernel);
    fwi_free(b.table);
    fwi_free(b.joined);
    fwi_free(b.kernel_scratch);
    fwi_free(b.places);
    fwi_plan_free(p);
    return st;
}

void fwi_plan_free(fwi_plan *p)
{
    if (p == NULL)
        return;
    fwi_free(p->calls);
    fwi_free(p->first);
    fwi_free(p->outputs);
    fwi_arena_free(p->arena);
    fwi_free(p);
}
