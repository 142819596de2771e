/* table.c: which kernel runs an op. A table is a list of rows and a table to fall back to, so the
 * search walks from the fastest rows down to the reference. Read next: plan.c. */
#include "exec.h"

int64_t fwi_stream_from = FWI_STREAM_FROM;

/* A row names the type of the op's first input; ops without inputs are told apart by their output.
 */
static fw_dtype key_dtype(const fwi_call *c)
{
    return fwi_op_info_get(c->kind)->n_in > 0 ? c->in[0].dtype : c->out[0].dtype;
}

bool fwi_call_blocked(const fwi_call *c)
{
    const fwi_op_info *info = fwi_op_info_get(c->kind);
    bool blocked = false;
    for (int i = 0; i < info->n_in; i++)
        blocked = blocked || c->in[i].nb > 0;
    for (int i = 0; i < info->n_out; i++)
        blocked = blocked || c->out[i].nb > 0;
    return blocked;
}

static fwi_arg arg_of(const fwi_tensor *t)
{
    return (fwi_arg){.dtype = t->dtype, .nb = t->nb, .shape = t->shape};
}

fwi_call fwi_call_of(const fwi_graph *g, const fwi_op *op)
{
    fwi_call c = {.kind = op->kind, .attr = &op->attr};
    for (int i = 0; i < op->n_in; i++)
        c.in[i] = arg_of(&g->tensors[op->in[i]]);
    for (int i = 0; i < op->n_out; i++)
        c.out[i] = arg_of(&g->tensors[op->out[i]]);
    return c;
}

const fwi_kernel *fwi_table_find(const fwi_op_table *t, const fwi_call *c,
                                 const fwi_op_table **from)
{
    const fw_dtype dtype = key_dtype(c);
    const bool blocked = fwi_call_blocked(c);
    for (; t != NULL; t = t->base) {
        for (const fwi_kernel *k = t->rows; k->run != NULL; k++) {
            if (k->op != c->kind || k->dtype != dtype || k->blocked != blocked)
                continue;
            if (k->accepts != NULL && !k->accepts(c))
                continue;
            if (from != NULL)
                *from = t;
            return k;
        }
    }
    return NULL;
}
