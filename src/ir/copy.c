/* copy.c: a graph of its own for whoever wants to rewrite it. A plan lowers a copy, so one graph
 * can be compiled for several devices. Tensors and ops keep their numbers. Read before: ir.h. */
#include "ir.h"

#include <assert.h>
#include <string.h>

/* A copy of count elements; NULL only when memory is short. */
static void *copy_array(const void *src, int32_t count, size_t elem_bytes)
{
    void *p = fwi_alloc_array((size_t)count, elem_bytes);
    if (p != NULL && count > 0)
        memcpy(p, src, (size_t)count * elem_bytes);
    return p;
}

static fw_status copy_name(fwi_arena *a, const char **name)
{
    if (*name == NULL)
        return FW_OK;
    *name = fwi_arena_strdup(a, *name);
    return *name != NULL ? FW_OK : FW_ENOMEM;
}

fw_status fwi_graph_copy(fwi_graph **out, const fwi_graph *g)
{
    assert(out != NULL && g != NULL);
    *out = NULL;
    fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    fwi_graph *c = NULL;
    fwi_tensor *tensors = copy_array(g->tensors, g->n_tensors, sizeof *tensors);
    fwi_op *ops = copy_array(g->ops, g->n_ops, sizeof *ops);
    fwi_output *outputs = copy_array(g->outputs, g->n_outputs, sizeof *outputs);
    if (tensors == NULL || ops == NULL || outputs == NULL)
        st = FW_ENOMEM;
    if (st == FW_OK)
        st = fwi_graph_new(&c, g->real);
    for (int32_t i = 0; st == FW_OK && i < g->n_tensors; i++)
        st = copy_name(c->arena, &tensors[i].name);
    for (int32_t i = 0; st == FW_OK && i < g->n_outputs; i++)
        st = copy_name(c->arena, &outputs[i].name);
    if (st != FW_OK)
        goto done;
    fwi_free(c->tensors);
    fwi_free(c->ops);
    fwi_free(c->outputs);
    c->tensors = tensors;
    c->n_tensors = c->cap_tensors = g->n_tensors;
    c->ops = ops;
    c->n_ops = c->cap_ops = g->n_ops;
    c->outputs = outputs;
    c->n_outputs = c->cap_outputs = g->n_outputs;
    tensors = NULL;
    ops = NULL;
    outputs = NULL;
    *out = c;
    c = NULL;
done:
    fwi_graph_free(c);
    fwi_free(tensors);
    fwi_free(ops);
    fwi_free(outputs);
    return st;
}
