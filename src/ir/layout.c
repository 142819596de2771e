/* layout.c: batch-blocked activations (ir.h, fwi_layout): which operands of which op may be blocked,
 * how large they are in memory, and how an op's shape rule, which knows n h w c alone, serves them
 * too. Read before: ir.h, shapes.c. Who makes graphs with such tensors: cpu/lower. */
#include "ir_rules.h"

/* Ops that are not here exist in n h w c alone. */
static const fwi_layout layouts[FWI_OP_COUNT] = {
    [FWI_OP_conv2d] = {1, 1},
    [FWI_OP_conv2d_dx] = {1, 1},
    [FWI_OP_conv2d_dw] = {3, 0},
    [FWI_OP_bias_add] = {1, 1},
    [FWI_OP_sum_rows] = {1, 0},
    [FWI_OP_bn_train] = {1, 1},
    [FWI_OP_bn_train_grad] = {3, 1},
    [FWI_OP_bn_eval] = {1, 1},
    [FWI_OP_bn_eval_grad] = {3, 1},
    [FWI_OP_relu] = {1, 1},
    [FWI_OP_relu_grad] = {3, 1},
    [FWI_OP_act] = {1, 1},
    [FWI_OP_act_grad] = {3, 1},
    [FWI_OP_max_pool] = {1, 3},
    [FWI_OP_max_pool_grad] = {3, 1},
    [FWI_OP_avg_pool] = {1, 1},
    [FWI_OP_avg_pool_grad] = {1, 1},
    [FWI_OP_global_max_pool] = {1, 0},
    [FWI_OP_global_max_pool_grad] = {0, 1},
    [FWI_OP_global_avg_pool] = {1, 0},
    [FWI_OP_global_avg_pool_grad] = {0, 1},
    [FWI_OP_add] = {3, 1},
    [FWI_OP_scale] = {1, 1},
    [FWI_OP_from_blocked] = {1, 0},
    [FWI_OP_conv2d_stats] = {1, 1},
    [FWI_OP_max_pool_stats] = {1, 3},
    [FWI_OP_bn_stats] = {1, 0},
    [FWI_OP_bn_act] = {1, 1},
    [FWI_OP_bn_act_add] = {33, 1},
    [FWI_OP_bn_act_pool] = {1, 3},
    [FWI_OP_bn_act_grad] = {3, 1},
    [FWI_OP_bn_act_pool_grad] = {7, 1},
    [FWI_OP_bn_act_unpool_grad] = {7, 1},
    [FWI_OP_bias_act] = {1, 1},
    [FWI_OP_bias_act_grad] = {3, 1},
};

fwi_layout fwi_op_layout(fwi_opkind kind)
{
    return layouts[kind];
}

bool fwi_layout_is_free(fwi_opkind kind, fw_dtype real, fw_dtype dtype)
{
    return layouts[kind].in == 0 && layouts[kind].out != 0 &&
           (dtype == real || fwi_may_store(real, (int64_t)dtype));
}

int64_t fwi_stored_elems(const fwi_shape *s, int32_t nb)
{
    const int64_t n = fwi_shape_elems(s);
    if (nb == 0)
        return n;
    return n / s->d[0] * ((s->d[0] + nb - 1) / nb * nb);
}

size_t fwi_tensor_bytes(const fwi_tensor *t)
{
    return (size_t)fwi_stored_elems(&t->shape, t->nb) * fw_dtype_size(t->dtype);
}

bool fwi_may_store(fw_dtype real, int64_t dtype)
{
    return real == FW_F32 && (dtype == FW_BF16 || dtype == FW_F16);
}

fw_status fwi_layout_check(fw_dtype real, const fwi_type *t)
{
    if (t->nb == 0)
        return FW_OK;
    if (t->nb < 0 || t->nb > FWI_MAX_NB)
        return fwi_fail(FW_ESHAPE, "blocked by %d images, expected 1 to %d", t->nb,
                        (int)FWI_MAX_NB);
    if (t->shape.rank != 4)
        return fwi_fail(FW_ESHAPE, "blocked and of %d dimensions, expected 4", t->shape.rank);
    if (t->dtype != real && t->dtype != FW_U8 && !fwi_may_store(real, (int64_t)t->dtype))
        return fwi_fail(FW_ESHAPE, "blocked %s in a graph of %s", fw_dtype_name(t->dtype),
                        fw_dtype_name(real));
    return FW_OK;
}

fw_status fwi_layout_enter(fwi_opkind kind, fw_dtype real, fwi_type *in, fwi_type *common)
{
    const int n_in = fwi_op_info_get(kind)->n_in;
    int first_flat = -1;
    *common = (fwi_type){.dtype = real};
    bool typed = false;
    for (int i = 0; i < n_in; i++) {
        const bool may = layouts[kind].in >> i & 1;
        if (in[i].nb == 0) {
            if (may && first_flat < 0)
                first_flat = i;
            continue;
        }
        if (!may)
            return fwi_fail(FW_ESHAPE, "input %d is blocked, the op takes it in n h w c alone", i);
        const fw_status st = fwi_layout_check(real, &in[i]);
        if (st != FW_OK)
            return fwi_fail_in(st, "input %d", i);
        if (common->nb != 0 && common->nb != in[i].nb)
            return fwi_fail(FW_ESHAPE, "input %d is blocked by %d, another by %d", i, in[i].nb,
                            common->nb);
        common->nb = in[i].nb;
        in[i].nb = 0;
        if (in[i].dtype == FW_U8) /* a pool's places */
            continue;
        if (typed && common->dtype != in[i].dtype)
            return fwi_fail(FW_ESHAPE, "input %d is blocked %s, another %s", i,
                            fw_dtype_name(in[i].dtype), fw_dtype_name(common->dtype));
        common->dtype = in[i].dtype;
        typed = true;
        in[i].dtype = real;
    }
    if (common->nb != 0 && first_flat >= 0)
        return fwi_fail(FW_ESHAPE, "input %d is not blocked, another is", first_flat);
    return FW_OK;
}

void fwi_layout_leave(fwi_opkind kind, fw_dtype real, const fwi_type *common, fwi_type *out)
{
    if (common->nb == 0)
        return;
    const int n_out = fwi_op_info_get(kind)->n_out;
    for (int i = 0; i < n_out; i++) {
        if (!(layouts[kind].out >> i & 1))
            continue;
        out[i].nb = common->nb;
        if (out[i].dtype == real)
            out[i].dtype = common->dtype;
    }
}
