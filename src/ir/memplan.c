/* memplan.c: where each temp lives while a graph runs. A piece is memory that is one thing from its
 * first op to its last: a temp with its views, or several temps where ops work in place, or a
 * kernel's scratch. Pieces are laid into one block, the biggest first, each into the smallest gap
 * between those already there whose lives overlap with its own (greedy by size: XNNPACK and
 * TensorFlow Lite plan like this). Read before: ir.h, verify.c. The block's size is known before
 * the first step. */
#include "ir_rules.h"

#include <stdlib.h>

enum { ALIGN = 64 }; /* a cache line, and the widest vector */

typedef struct piece {
    int64_t bytes, offset;
    int32_t from, to; /* first and last op; n_ops: to the end of the run */
    int32_t number;   /* breaks ties, so that the plan does not depend on the sort */
} piece;

typedef struct planner {
    const fwi_graph *g;
    const size_t *kernel_scratch;
    piece *pieces;
    int32_t n_pieces;
    int64_t sum;        /* of all pieces' bytes: no sum of theirs overflows */
    fwi_val *root;      /* [n_tensors] */
    int32_t *last;      /* [n_tensors] of a root: last op that reads it or a view of it; -1: none */
    int32_t *of_tensor; /* [n_tensors] of a root: its piece; -1: none */
    int32_t *of_op;     /* [n_ops] piece of the kernel's scratch; -1: none */
    const piece **placed; /* [n_pieces] by offset */
    piece **order;        /* [n_pieces] by size */
} planner;

static fw_status new_piece(planner *p, int64_t bytes, int32_t from, int32_t to, int32_t *out)
{
    if (bytes > INT64_MAX / 2 - ALIGN - p->sum)
        return fwi_fail(FW_ESHAPE,
                        "op %d, %s: more than 2^62 bytes of scratch are needed up to here", from,
                        fwi_op_info_get(p->g->ops[from].kind)->name);
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    p->sum += bytes;
    *out = p->n_pieces;
    p->pieces[p->n_pieces] = (piece){.bytes = bytes, .from = from, .to = to, .number = p->n_pieces};
    p->n_pieces++;
    return FW_OK;
}

/* ---- lives ---- */

static void find_last_uses(planner *p)
{
    const fwi_graph *g = p->g;
    for (fwi_val v = 0; v < g->n_tensors; v++) {
        p->root[v] = v;
        p->last[v] = p->of_tensor[v] = -1;
    }
    for (int32_t i = 0; i < g->n_ops; i++) {
        const fwi_op *op = &g->ops[i];
        for (int k = 0; k < op->n_in; k++)
            p->last[p->root[op->in[k]]] = i;
        if (fwi_op_info_get(op->kind)->flags & FWI_VIEW)
            p->root[op->out[0]] = p->root[op->in[0]];
    }
    for (int32_t i = 0; i < g->n_outputs; i++)
        p->last[p->root[g->outputs[i].val]] = g->n_ops;
}

/* The piece of input 0 if output 0 may take it over: it dies at this op, has the same size, and no
 * other input lives in it (kernels may then assume that only input 0 and output 0 are the same
 * memory). -1: none. */
static int32_t piece_to_take_over(const planner *p, int32_t i, int64_t bytes)
{
    const fwi_op *op = &p->g->ops[i];
    if (!(fwi_op_info_get(op->kind)->flags & FWI_ALIAS))
        return -1;
    const fwi_val root = p->root[op->in[0]];
    const int32_t at = p->of_tensor[root];
    if (at < 0 || p->pieces[at].to != i || (int64_t)fwi_tensor_bytes(&p->g->tensors[root]) != bytes)
        return -1;
    for (int k = 1; k < op->n_in; k++)
        if (p->of_tensor[p->root[op->in[k]]] == at)
            return -1;
    return at;
}

static fw_status make_pieces(planner *p)
{
    const fwi_graph *g = p->g;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const fwi_op *op = &g->ops[i];
        p->of_op[i] = -1;
        for (int k = 0; k < op->n_out; k++) {
            const fwi_val v = op->out[k];
            const fwi_tensor *t = &g->tensors[v];
            if (p->root[v] != v || t->grad_of != FWI_NO_VAL)
                continue;
            const int32_t to = p->last[v] > i ? p->last[v] : i; /* written even if nobody reads */
            const int64_t bytes = (int64_t)fwi_tensor_bytes(t);
            const int32_t taken = k == 0 ? piece_to_take_over(p, i, bytes) : -1;
            fw_status st = FW_OK;
            if (taken >= 0) {
                p->of_tensor[v] = taken;
                p->pieces[taken].to = to;
            } else
                st = new_piece(p, bytes, i, to, &p->of_tensor[v]);
            if (st != FW_OK)
                return st;
        }
        const size_t scratch = p->kernel_scratch != NULL ? p->kernel_scratch[i] : 0;
        if (scratch > INT64_MAX / 2)
            return fwi_fail(FW_ESHAPE, "op %d, %s: its kernel wants %zu bytes of scratch", i,
                            fwi_op_info_get(op->kind)->name, scratch);
        if (scratch > 0) {
            const fw_status st = new_piece(p, (int64_t)scratch, i, i, &p->of_op[i]);
            if (st != FW_OK)
                return st;
        }
    }
    return FW_OK;
}

/* ---- places ---- */

static int bigger_first(const void *a, const void *b)
{
    const piece *p = *(piece *const *)a, *q = *(piece *const *)b;
    if (p->bytes != q->bytes)
        return p->bytes > q->bytes ? -1 : 1;
    return p->number < q->number ? -1 : p->number > q->number;
}

static int64_t best_offset(const planner *p, int32_t n_placed, const piece *it)
{
    int64_t end = 0, best = -1, best_gap = INT64_MAX;
    for (int32_t i = 0; i < n_placed; i++) {
        const piece *q = p->placed[i];
        if (q->from > it->to || it->from > q->to)
            continue;
        const int64_t gap = q->offset - end;
        if (gap >= it->bytes && gap < best_gap) {
            best = end;
            best_gap = gap;
        }
        if (q->offset + q->bytes > end)
            end = q->offset + q->bytes;
    }
    return best >= 0 ? best : end;
}

/* Returns the size of the block. */
static int64_t place_pieces(planner *p)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < p->n_pieces; i++)
        p->order[i] = &p->pieces[i];
    if (p->n_pieces > 0)
        qsort(p->order, (size_t)p->n_pieces, sizeof *p->order, bigger_first);
    for (int32_t i = 0; i < p->n_pieces; i++) {
        piece *it = p->order[i];
        it->offset = best_offset(p, i, it);
        int32_t at = i;
        for (; at > 0 && p->placed[at - 1]->offset > it->offset; at--)
            p->placed[at] = p->placed[at - 1];
        p->placed[at] = it;
        if (it->offset + it->bytes > bytes)
            bytes = it->offset + it->bytes;
    }
    return bytes;
}

/* The largest sum of pieces alive at one op. */
static fw_status find_live_peak(const planner *p, int64_t *peak)
{
    const size_t n = (size_t)p->g->n_ops + 2;
    int64_t *change = fwi_alloc_array(n, sizeof *change);
    if (change == NULL)
        return FW_ENOMEM;
    for (int32_t i = 0; i < p->n_pieces; i++) {
        change[p->pieces[i].from] += p->pieces[i].bytes;
        change[p->pieces[i].to + 1] -= p->pieces[i].bytes;
    }
    int64_t alive = 0;
    *peak = 0;
    for (size_t i = 0; i < n; i++) {
        alive += change[i];
        if (alive > *peak)
            *peak = alive;
    }
    fwi_free(change);
    return FW_OK;
}

/* ---- the call ---- */

static fw_status plan(planner *p, fwi_memplan *m)
{
    const fwi_graph *g = p->g;
    find_last_uses(p);
    fw_status st = make_pieces(p);
    if (st != FW_OK)
        return st;
    m->bytes = place_pieces(p);
    for (fwi_val v = 0; v < g->n_tensors; v++) {
        const int32_t at = p->of_tensor[p->root[v]];
        m->offset[v] = at >= 0 ? p->pieces[at].offset : -1;
    }
    for (int32_t i = 0; i < g->n_ops; i++)
        m->kernel_offset[i] = p->of_op[i] >= 0 ? p->pieces[p->of_op[i]].offset : -1;
    return find_live_peak(p, &m->live_peak);
}

fw_status fwi_memplan_make(const fwi_graph *g, const size_t *kernel_scratch, fwi_memplan *out)
{
    fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    const size_t n_tensors = (size_t)g->n_tensors, n_ops = (size_t)g->n_ops;
    const size_t most = n_tensors + n_ops;
    fwi_memplan m = {.offset = fwi_alloc_array(n_tensors, sizeof *m.offset),
                     .kernel_offset = fwi_alloc_array(n_ops, sizeof *m.kernel_offset)};
    planner p = {.g = g,
                 .kernel_scratch = kernel_scratch,
                 .pieces = fwi_alloc_array(most, sizeof *p.pieces),
                 .root = fwi_alloc_array(n_tensors, sizeof *p.root),
                 .last = fwi_alloc_array(n_tensors, sizeof *p.last),
                 .of_tensor = fwi_alloc_array(n_tensors, sizeof *p.of_tensor),
                 .of_op = fwi_alloc_array(n_ops, sizeof *p.of_op),
                 .placed = fwi_alloc_array(most, sizeof *p.placed),
                 .order = fwi_alloc_array(most, sizeof *p.order)};
    if (m.offset == NULL || m.kernel_offset == NULL || p.pieces == NULL || p.root == NULL ||
        p.last == NULL || p.of_tensor == NULL || p.of_op == NULL || p.placed == NULL ||
        p.order == NULL)
        st = FW_ENOMEM;
    else
        st = plan(&p, &m);
    fwi_free(p.pieces);
    fwi_free(p.root);
    fwi_free(p.last);
    fwi_free(p.of_tensor);
    fwi_free(p.of_op);
    fwi_free(p.placed);
    fwi_free(p.order);
    if (st == FW_OK)
        *out = m;
    else
        fwi_memplan_clear(&m);
    return st;
}

void fwi_memplan_clear(fwi_memplan *m)
{
    fwi_free(m->offset);
    fwi_free(m->kernel_offset);
    *m = (fwi_memplan){0};
}
