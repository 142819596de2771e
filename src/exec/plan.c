/* plan.c: from a graph to a flat list of kernel calls, every address resolved to a block and an
 * offset; and running that list. All decisions are made once, in fwi_plan_new; fwi_plan_run only
 * adds offsets to addresses and calls. Calls that stand side by side and that their kernel does as one
 * (fwi_joint) are one step. Read before: exec.h, table.c, store.c; ir/memplan.c decides
 * where temps live. */
#include "clock.h"
#include "exec.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { MAX_INPUTS = FWI_MAX_BOUND, ALIGN = 64 };

/* The blocks of memory that a run works on; inputs follow from SPACE_INPUT on. */
enum { SPACE_NONE, SPACE_SCRATCH, SPACE_STATE, SPACE_GRADS, SPACE_INPUT };
enum { SPACE_COUNT = SPACE_INPUT + MAX_INPUTS };

typedef struct place {
    int32_t space;
    size_t offset;
} place;

struct fwi_step { /* one call; the first of a joint step stands for all of it */
    const fwi_kernel *kernel;
    const char *table;
    fwi_attr attr;
    fwi_call call; /* types and shapes; the addresses are filled in per run */
    place in[FWI_MAX_IN], out[FWI_MAX_OUT], scratch;
    int32_t n_in, n_out;
    int64_t macs, bytes;
};

typedef struct plan_output {
    const char *name;
    place at;
    fw_dtype dtype;
    fwi_shape shape;
    size_t bytes;
} plan_output;

struct fwi_plan {
    fwi_device *device;
    fwi_store *store;
    fwi_arena *arena; /* names */
    fwi_step *calls;
    int n_calls;
    int32_t *first; /* [n_steps + 1] its first call; the last entry is n_calls */
    int n_steps;
    size_t scratch_bytes;
    int64_t live_peak;
    const char *input_names[MAX_INPUTS]; /* of the graph that was given, in its order */
    bool input_used[MAX_INPUTS];
    size_t input_bytes[MAX_INPUTS], staged_at[MAX_INPUTS]; /* its copy's place in scratch */
    int n_inputs;
    plan_output *outputs;
    int n_outputs;
};

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

/* "f32[128,32,32,3] f32[64,3,3,3]" */
static void describe_inputs(const fwi_call *c, char *text, size_t cap)
{
    size_t at = 0;
    text[0] = 0;
    for (int i = 0; i < fwi_op_info_get(c->kind)->n_in && at < cap; i++) {
        const fwi_arg *a = &c->in[i];
        at += (size_t)snprintf(text + at, cap - at, "%s%s[", i > 0 ? " " : "",
                               fw_dtype_name(a->dtype));
        for (int j = 0; j < a->shape.rank && at < cap; j++)
            at += (size_t)snprintf(text + at, cap - at, "%s%lld", j > 0 ? "," : "",
                                   (long long)a->shape.d[j]);
        if (at < cap)
            at += (size_t)snprintf(text + at, cap - at, "]");
    }
}

static fwi_arg arg_of(const fwi_tensor *t)
{
    return (fwi_arg){.dtype = t->dtype, .nb = t->nb, .shape = t->shape};
}

/* Types, shapes and attributes of an op; no addresses. */
static fwi_call call_of(const fwi_graph *g, const fwi_op *op)
{
    fwi_call c = {.kind = op->kind, .attr = &op->attr};
    for (int i = 0; i < op->n_in; i++)
        c.in[i] = arg_of(&g->tensors[op->in[i]]);
    for (int i = 0; i < op->n_out; i++)
        c.out[i] = arg_of(&g->tensors[op->out[i]]);
    return c;
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

static int input_slot(const fwi_plan *p, const char *name)
{
    for (int i = 0; i < p->n_inputs; i++) {
        if (strcmp(p->input_names[i], name) == 0)
            return i;
    }
    return -1;
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
        fwi_call c = call_of(g, &g->ops[i]);
        c.pool = d->pool;
        c.stream = d->stream;
        const fwi_op_table *from = NULL;
        b->kernel[i] = fwi_table_find(d->table, &c, &from);
        if (b->kernel[i] == NULL) {
            char text[256];
            describe_inputs(&c, text, sizeof text);
            return fwi_fail(FW_EUNAVAILABLE, "%s: no kernel for %s(%s)", d->label,
                            fwi_op_info_get(c.kind)->name, text);
        }
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

/* Whether op i may run as one with the ops from `first` on, all of which do. */
static bool may_join(const builder *b, int32_t first, int32_t i)
{
    const fwi_graph *g = b->graph;
    if (b->kernel[i] != b->kernel[first] || b->kernel[i]->joint == NULL ||
        i - first == FWI_MAX_JOINED)
        return false;
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
            calls[k] = call_of(g, &g->ops[i + k]);
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
        const int slot = input_slot(p, tensor->name);
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
        s->call = call_of(g, op);
        s->call.attr = &s->attr;
        s->call.pool = p->device->pool;
        s->call.stream = p->device->stream;
        s->n_in = op->n_in;
        s->n_out = op->n_out;
        for (int j = 0; j < op->n_in; j++) {
            s->in[j] = b->places[op->in[j]];
            s->bytes += (int64_t)fwi_tensor_bytes(&g->tensors[op->in[j]]);
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
        if (!fwi_add_size(p->scratch_bytes, ALIGN - 1, &end))
            return fwi_fail(FW_ENOMEM, "input %s: its size does not fit", p->input_names[i]);
        p->staged_at[i] = end & ~(size_t)(ALIGN - 1);
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

/* ---- asking it ---- */

size_t fwi_plan_scratch_bytes(const fwi_plan *p)
{
    return p->scratch_bytes;
}

size_t fwi_plan_live_bytes(const fwi_plan *p)
{
    return (size_t)p->live_peak;
}

int fwi_plan_input(const fwi_plan *p, const char *name)
{
    const int slot = input_slot(p, name);
    return slot >= 0 && p->input_used[slot] ? slot : -1;
}

int fwi_plan_output(const fwi_plan *p, const char *name)
{
    for (int i = 0; i < p->n_outputs; i++) {
        if (strcmp(p->outputs[i].name, name) == 0)
            return i;
    }
    return -1;
}

const fwi_shape *fwi_plan_output_shape(const fwi_plan *p, int i, fw_dtype *dtype)
{
    assert(i >= 0 && i < p->n_outputs);
    if (dtype != NULL)
        *dtype = p->outputs[i].dtype;
    return &p->outputs[i].shape;
}

int fwi_plan_steps(const fwi_plan *p)
{
    return p->n_steps;
}

void fwi_plan_step(const fwi_plan *p, int i, fwi_step_info *out)
{
    assert(i >= 0 && i < p->n_steps);
    const fwi_step *s = &p->calls[p->first[i]];
    *out = (fwi_step_info){.op = s->call.kind,
                           .kernel = s->kernel->name,
                           .table = s->table,
                           .n_calls = p->first[i + 1] - p->first[i],
                           .call = &s->call};
    for (int k = 0; k < out->n_calls; k++) {
        out->macs += s[k].macs;
        out->bytes += s[k].bytes;
    }
    if (s->n_in > 0)
        out->in0 = s->call.in[0].shape;
    if (s->n_out > 0)
        out->out0 = s->call.out[0].shape;
}

/* ---- running it ---- */

/* Whether input i is used and goes to the device with each run. */
static bool staged(const fwi_plan *p, const fwi_binding *b, int i)
{
    return p->input_used[i] && !p->device->host_memory && !(b->resident >> i & 1);
}

/* The addresses of the blocks; FW_EARG where the caller left one out. */
static fw_status bind(const fwi_plan *p, const fwi_binding *b, uint8_t *base[SPACE_COUNT])
{
    memset(base, 0, SPACE_COUNT * sizeof *base);
    if (p->scratch_bytes > 0 && (b->scratch == NULL || (uintptr_t)b->scratch % ALIGN != 0))
        return fwi_fail(FW_EARG, "plan: scratch of %zu bytes, %d-byte aligned, is needed; got %p",
                        p->scratch_bytes, (int)ALIGN, b->scratch);
    base[SPACE_SCRATCH] = b->scratch;
    base[SPACE_STATE] = p->store->state;
    base[SPACE_GRADS] = p->store->grads;
    for (int i = 0; i < p->n_inputs; i++) {
        if (p->input_used[i] && b->inputs[i] == NULL)
            return fwi_fail(FW_EARG, "plan: input %s (slot %d) is not bound", p->input_names[i], i);
        /* const is dropped because a call's arguments have one type; no kernel writes an input that
         * is no variable, and the verifier allows only variables to be changed */
        base[SPACE_INPUT + i] = staged(p, b, i) ? (uint8_t *)b->scratch + p->staged_at[i]
                                                : (uint8_t *)(uintptr_t)b->inputs[i];
    }
    return FW_OK;
}

void *fwi_plan_staged(const fwi_plan *p, const fwi_binding *b, int i)
{
    assert(i >= 0 && i < p->n_inputs && p->input_used[i] && !p->device->host_memory);
    return (uint8_t *)b->scratch + p->staged_at[i];
}

static fw_status upload_inputs(const fwi_plan *p, const fwi_binding *b)
{
    fw_status st = FW_OK;
    for (int i = 0; i < p->n_inputs && st == FW_OK; i++)
        if (staged(p, b, i))
            st = p->device->backend->upload(p->device, (uint8_t *)b->scratch + p->staged_at[i],
                                            b->inputs[i], p->input_bytes[i]);
    return st;
}

static void address(const fwi_step *s, uint8_t *const base[SPACE_COUNT], fwi_call *c)
{
    *c = s->call;
    for (int j = 0; j < s->n_in; j++)
        c->in[j].data = base[s->in[j].space] + s->in[j].offset;
    for (int j = 0; j < s->n_out; j++)
        c->out[j].data = base[s->out[j].space] + s->out[j].offset;
    if (s->scratch.space != SPACE_NONE)
        c->scratch = base[s->scratch.space] + s->scratch.offset;
}

static fw_status run_joint(const fwi_step *s, int n, uint8_t *const base[SPACE_COUNT])
{
    fwi_call calls[FWI_MAX_JOINED];
    for (int k = 0; k < n; k++)
        address(&s[k], base, &calls[k]);
    return s->kernel->joint->run(calls, n);
}

static fw_status run_step(const fwi_plan *p, int i, uint8_t *const base[SPACE_COUNT])
{
    const fwi_step *s = &p->calls[p->first[i]];
    const int n = p->first[i + 1] - p->first[i];
    if (n > 1)
        return run_joint(s, n, base);
    fwi_call c;
    address(s, base, &c);
    return s->kernel->run(&c);
}

static fw_status run_steps(const fwi_plan *p, uint8_t *const base[SPACE_COUNT])
{
    fw_status st = FW_OK;
    for (int i = 0; i < p->n_steps && st == FW_OK; i++)
        st = run_step(p, i, base);
    return st;
}

fw_status fwi_plan_run(const fwi_plan *p, const fwi_binding *b)
{
    uint8_t *base[SPACE_COUNT];
    fw_status st = bind(p, b, base);
    if (st == FW_OK)
        st = upload_inputs(p, b);
    return st == FW_OK ? run_steps(p, base) : st;
}

/* ---- recordings ---- */

struct fwi_recording {
    const fwi_plan *plan;
    fwi_binding at; /* where everything lay */
    void *kept;     /* the backend's */
};

fw_status fwi_plan_record(fwi_recording **out, const fwi_plan *p, const fwi_binding *b)
{
    fwi_device *d = p->device;
    uint8_t *base[SPACE_COUNT];
    *out = NULL;
    if (d->backend->record_begin == NULL)
        return FW_OK;
    fw_status st = bind(p, b, base);
    if (st != FW_OK)
        return st;
    fwi_recording *r = fwi_alloc_zero(sizeof *r);
    if (r == NULL)
        return FW_ENOMEM;
    *r = (fwi_recording){.plan = p, .at = *b};
    st = d->backend->record_begin(d);
    if (st == FW_OK) {
        const fw_status ran = run_steps(p, base);
        fwi_error message;
        fwi_error_save(&message, ran);
        st = d->backend->record_end(d, &r->kept);
        if (ran != FW_OK) /* that is the reason */
            st = fwi_error_raise(&message);
    }
    if (st == FW_OK)
        *out = r;
    else
        fwi_recording_free(r);
    return st;
}

bool fwi_recording_fits(const fwi_recording *r, const fwi_binding *b)
{
    const fwi_plan *p = r->plan;
    if (b->scratch != r->at.scratch || b->resident != r->at.resident)
        return false;
    for (int i = 0; i < p->n_inputs; i++)
        if (p->input_used[i] && !staged(p, b, i) && b->inputs[i] != r->at.inputs[i])
            return false;
    return true;
}

fw_status fwi_recording_run(const fwi_recording *r, const fwi_binding *b)
{
    const fwi_plan *p = r->plan;
    if (!fwi_recording_fits(r, b))
        return fwi_fail(FW_EARG, "a recorded step runs where it was recorded, scratch and inputs");
    uint8_t *base[SPACE_COUNT];
    fw_status st = bind(p, b, base);
    if (st == FW_OK)
        st = upload_inputs(p, b);
    return st == FW_OK ? p->device->backend->replay(p->device, r->kept) : st;
}

void fwi_recording_free(fwi_recording *r)
{
    if (r == NULL)
        return;
    if (r->kept != NULL)
        r->plan->device->backend->forget(r->plan->device, r->kept);
    fwi_free(r);
}

/* ---- step by step, and what came out ---- */

fw_status fwi_plan_run_timed(const fwi_plan *p, const fwi_binding *b, double *seconds)
{
    uint8_t *base[SPACE_COUNT];
    fwi_device *d = p->device;
    fw_status st = bind(p, b, base);
    if (st == FW_OK)
        st = upload_inputs(p, b);
    if (st == FW_OK)
        st = d->backend->sync(d);
    double t0 = fwi_now();
    for (int i = 0; i < p->n_steps && st == FW_OK; i++) {
        st = run_step(p, i, base);
        if (st == FW_OK)
            st = d->backend->sync(d); /* a device with a queue: each step on its own */
        const double t1 = fwi_now();
        seconds[i] += t1 - t0;
        t0 = t1;
    }
    return st;
}

fw_status fwi_plan_read(const fwi_plan *p, const fwi_binding *b, int i, void *host, size_t n_bytes)
{
    if (i < 0 || i >= p->n_outputs)
        return fwi_fail(FW_EARG, "plan: output %d asked for, there are %d", i, p->n_outputs);
    const plan_output *o = &p->outputs[i];
    if (n_bytes != o->bytes)
        return fwi_fail(FW_ESHAPE, "plan: output %s has %zu bytes, %zu were asked for", o->name,
                        o->bytes, n_bytes);
    uint8_t *base[SPACE_COUNT];
    const fw_status st = bind(p, b, base);
    if (st != FW_OK)
        return st;
    return p->device->backend->download(p->device, host, base[o->at.space] + o->at.offset, n_bytes);
}
