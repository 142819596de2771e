/* cost.c: what a model costs before it is trained: counted on the graph that training would run, so
 * that the numbers cannot drift from what is computed.
 *
 * Two images instead of one, in each group of a batch norm: one value of a flat layer has no unbiased
 * variance, and every count is linear in the batch. */
#include "layer_inner.h"

#include <inttypes.h>

enum { MAX_SIDE = 65536, MAX_DEPTH = 1 << 20 };

static int64_t sum_macs(const fwi_graph *g)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < g->n_ops; i++)
        sum = fwi_macs_add(sum, fwi_op_macs(g, &g->ops[i]));
    return sum;
}

/* Gradients of every trained value: the ops that a training step runs, without its update. */
static fw_status append_gradients(fwi_graph *g, fwi_val logits, int64_t images)
{
    fwi_val *params = NULL, *grads = NULL;
    const fwi_val labels = fwi_graph_input(g, "labels", FW_I32, fwi_shape1(images));
    const fwi_val loss =
        fwi_op2(g, FWI_OP_softmax_xent, &(fwi_attr){.xent = {.mean = 1}}, logits, labels);
    fw_status st = fwi_graph_status(g);
    if (st != FW_OK)
        return st;
    const int n = fwi_graph_params(g, NULL, 0);
    if (n == 0)
        return FW_OK;
    params = fwi_alloc_array((size_t)n, sizeof *params);
    grads = fwi_alloc_array((size_t)n, sizeof *grads);
    if (params == NULL || grads == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    fwi_graph_params(g, params, n);
    st = fwi_graph_gradient(g, loss, params, n, grads);
done:
    fwi_free(params);
    fwi_free(grads);
    return st;
}

fw_status fw_layer_cost(const fw_layer *l, int64_t h, int64_t w, int64_t c, fw_model_cost *out)
{
    if (out == NULL)
        return fwi_fail(FW_EARG, "fw_layer_cost: NULL argument");
    if (h < 1 || w < 1 || c < 1 || h > MAX_SIDE || w > MAX_SIDE || c > MAX_DEPTH)
        return fwi_fail(FW_EARG,
                        "images of %" PRId64 "x%" PRId64 "x%" PRId64 ", expected 1x1x1 to %dx%dx%d",
                        h, w, c, MAX_SIDE, MAX_SIDE, MAX_DEPTH);
    fwi_graph *g = NULL;
    fw_model_cost cost = {0};
    int64_t images = 0;
    fw_status st = fwi_layer_least_batch(l, &images);
    if (st != FW_OK || (st = fwi_graph_new(&g, FW_F32)) != FW_OK)
        goto done;
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, fwi_shape4(images, h, w, c));
    const fwi_val y = fwi_layer_build(l, g, x, true);
    if ((st = fwi_graph_status(g)) != FW_OK)
        goto done;
    const fwi_shape *const shape = &g->tensors[y].shape;
    if (shape->rank != 2) {
        st = fwi_fail(FW_ESHAPE,
                      "the model ends with images, a classifier ends with [n,classes] (a global "
                      "pool or flatten, then a classifier or dense)");
        goto done;
    }
    cost.n_classes = shape->d[1];
    for (int32_t i = 0; i < g->n_tensors; i++) {
        const fwi_tensor *const t = &g->tensors[i];
        if (t->kind != FWI_VAR)
            continue;
        int64_t *const sum = t->trainable                   ? &cost.params
                             : t->var_class == FWI_VAR_STAT ? &cost.statistics
                                                            : &cost.frozen;
        *sum += fwi_shape_elems(&t->shape);
    }
    cost.macs = sum_macs(g) / images;
    if ((st = append_gradients(g, y, images)) != FW_OK)
        goto done;
    cost.train_flops = 2 * (sum_macs(g) / images);
    *out = cost;
done:
    fwi_graph_free(g);
    return st;
}
