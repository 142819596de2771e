/* build_parts.c: the parts that layers are made of, as ops and variables: convolution, dense, batch
 * norm, activation, pools, dropout. build_layers.c puts them together.
 *
 * Each part makes its variables under the builder's prefix ("1.res.0." + "conv.weight"); those
 * names are in model files, so they never change. */
#include "layer_inner.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static fwi_val make_var(fwi_builder *b, const char *name, fwi_var_class cls, bool trained,
                        fwi_shape shape, fwi_init init)
{
    char full[FWI_LAYER_PLACE_CAP + 32];
    snprintf(full, sizeof full, "%s%s", b->name, name);
    return fwi_graph_var(b->g, full, cls, trained, shape, init);
}

static fwi_val var(fwi_builder *b, const char *name, fwi_var_class cls, fwi_shape shape,
                   fwi_init init)
{
    return make_var(b, name, cls, cls != FWI_VAR_STAT, shape, init);
}

static fwi_init constant(double a)
{
    return (fwi_init){.kind = FWI_INIT_CONST, .a = a};
}

static fwi_init uniform(fwi_init_kind kind, double bound)
{
    return (fwi_init){.kind = kind, .a = -bound, .b = bound};
}

/* Of a filter, or of a matrix, which has no centre for a Dirac. */
static fwi_init weight_init(fw_init init, bool filter, int64_t fan_in, int64_t fan_out)
{
    const double pytorch = 1 / sqrt((double)fan_in);
    switch (init) {
    case FW_INIT_GLOROT:
        return uniform(FWI_INIT_UNIFORM, sqrt(6 / ((double)fan_in + (double)fan_out)));
    case FW_INIT_DIRAC:
        return uniform(filter ? FWI_INIT_DIRAC : FWI_INIT_UNIFORM, pytorch);
    case FW_INIT_UNIT_STD:
        return uniform(FWI_INIT_UNIT_STD, pytorch);
    case FW_INIT_DIRAC_ADDED:
        return uniform(filter ? FWI_INIT_DIRAC_ADDED : FWI_INIT_UNIFORM, pytorch);
    case FW_INIT_IDENTITY:
        return filter ? (fwi_init){.kind = FWI_INIT_IDENTITY} : uniform(FWI_INIT_UNIFORM, pytorch);
    case FW_INIT_PYTORCH:
        break;
    }
    return uniform(FWI_INIT_UNIFORM, pytorch);
}

/* PyTorch draws biases as wide as the weights; Keras, whose way Glorot's is here, starts at 0. */
static fwi_init bias_init(fw_init init, int64_t fan_in)
{
    return init == FW_INIT_GLOROT ? constant(0)
                                  : uniform(FWI_INIT_UNIFORM, 1 / sqrt((double)fan_in));
}

/* x's shape if it has that rank. */
static const fwi_shape *want_rank(fwi_builder *b, fwi_val x, int rank)
{
    const fwi_shape *const s = fwi_build_shape(b, x);
    if (s == NULL || s->rank == rank)
        return s;
    char is[96] = "";
    int at = 0;
    for (int i = 0; i < s->rank && at >= 0 && (size_t)at < sizeof is; i++)
        at += snprintf(is + at, sizeof is - (size_t)at, i == 0 ? "%" PRId64 : ",%" PRId64, s->d[i]);
    fwi_build_fail(b, FW_ESHAPE, "its input is [%s], %s", is,
                   rank == 4
                       ? "it takes images [n,h,w,c]"
                       : "it takes a matrix [n,d] (flatten or a global pool comes before it)");
    return NULL;
}

static fwi_val convolve(fwi_builder *b, fwi_val x, fwi_val w, int64_t kernel, int64_t stride,
                        fw_padding padding)
{
    return padding == FW_SAME
               ? fwi_conv2d_same(b->g, x, w, stride)
               : fwi_conv2d_pad(b->g, x, w, stride, padding == FW_HALF ? kernel / 2 : 0);
}

fwi_val fwi_part_conv(fwi_builder *b, fwi_val x, const fwi_conv_part *p)
{
    const fwi_shape *const s = want_rank(b, x, 4);
    if (s == NULL)
        return FWI_NO_VAL;
    const int64_t area = p->kernel * p->kernel, fan_in = area * s->d[3];
    const fwi_val w =
        var(b, "conv.weight", FWI_VAR_CONV, fwi_shape4(p->channels, p->kernel, p->kernel, s->d[3]),
            weight_init(p->init, true, fan_in, area * p->channels));
    const fwi_val y = convolve(b, x, w, p->kernel, p->stride, p->padding);
    if (!p->bias)
        return y;
    return fwi_op2(
        b->g, FWI_OP_bias_add, NULL, y,
        var(b, "conv.bias", FWI_VAR_BIAS, fwi_shape1(p->channels), bias_init(p->init, fan_in)));
}

/* The images themselves, or these in the graph's own type or at another size. */
static bool is_input(const fwi_graph *g, fwi_val x)
{
    while (g->tensors[x].producer >= 0) {
        const fwi_op *const op = &g->ops[g->tensors[x].producer];
        if (op->kind != FWI_OP_cast && op->kind != FWI_OP_resize && op->kind != FWI_OP_crop)
            return false;
        x = op->in[0];
    }
    return g->tensors[x].kind == FWI_INPUT;
}

fwi_val fwi_part_whiten(fwi_builder *b, fwi_val x, const fwi_whiten_part *p)
{
    const fwi_shape *const s = want_rank(b, x, 4);
    if (s == NULL)
        return FWI_NO_VAL;
    if (!is_input(b->g, x))
        return fwi_build_fail(b, FW_EARG,
                              "its filter is made from the images: it can only be the first layer");
    const int64_t c = s->d[3], patch = p->kernel * p->kernel * c;
    if (patch > FWI_WHITEN_PATCH)
        return fwi_build_fail(b, FW_ESHAPE,
                              "patches of %" PRId64 "x%" PRId64 "x%" PRId64 " have %" PRId64
                              " values, at most %d are allowed",
                              p->kernel, p->kernel, c, patch, FWI_WHITEN_PATCH);
    if (p->kernel > s->d[1] || p->kernel > s->d[2])
        return fwi_build_fail(
            b, FW_ESHAPE, "images of %" PRId64 "x%" PRId64 " have no %" PRId64 "x%" PRId64 " patch",
            s->d[1], s->d[2], p->kernel, p->kernel);
    const int64_t channels = p->negatives ? 2 * patch : patch;
    const fwi_init from_data = {.kind = p->centred ? FWI_INIT_DATA_CENTRED : FWI_INIT_DATA,
                                .a = p->eps,
                                .b = (double)p->images};
    const fwi_val w = make_var(b, "whiten.weight", FWI_VAR_WHITEN, false,
                               fwi_shape4(channels, p->kernel, p->kernel, c), from_data);
    const fwi_val y = convolve(b, x, w, p->kernel, 1, p->padding);
    if (!p->bias)
        return y;
    return fwi_op2(b->g, FWI_OP_bias_add, NULL, y,
                   var(b, "whiten.bias", FWI_VAR_WHITEN_BIAS, fwi_shape1(channels),
                       bias_init(p->init, patch)));
}

fwi_val fwi_part_dense(fwi_builder *b, fwi_val x, int64_t units, bool bias, fw_init init,
                       fwi_var_class cls)
{
    const fwi_shape *const s = want_rank(b, x, 2);
    if (s == NULL)
        return FWI_NO_VAL;
    const int64_t d = s->d[1];
    const fwi_val w =
        var(b, "dense.weight", cls, fwi_shape2(units, d), weight_init(init, false, d, units));
    const fwi_val y = fwi_op2(b->g, FWI_OP_matmul, &(fwi_attr){.matmul = {.ta = 0, .tb = 1}}, x, w);
    if (!bias)
        return y;
    return fwi_op2(b->g, FWI_OP_bias_add, NULL, y,
                   var(b, "dense.bias", FWI_VAR_BIAS, fwi_shape1(units), bias_init(init, d)));
}

fwi_val fwi_part_norm(fwi_builder *b, fwi_val x, const fwi_norm_part *p)
{
    const fwi_shape *const s = fwi_build_shape(b, x);
    if (s == NULL)
        return FWI_NO_VAL;
    if (s->rank < 2)
        return fwi_build_fail(b, FW_ESHAPE, "batch norm takes [n,h,w,c] or [n,d]");
    if (b->training && s->d[0] % p->groups != 0)
        return fwi_build_fail(b, FW_ESHAPE,
                              "bn_groups is %" PRId64 ", which does not divide a batch of %" PRId64,
                              p->groups, s->d[0]);
    const int64_t c = s->d[s->rank - 1], count = fwi_shape_elems(s) / c / p->groups;
    const fwi_shape per_c = fwi_shape1(c);
    const fwi_val gamma = make_var(
        b, "bn.gamma", FWI_VAR_BN_SCALE, !p->fixed_scale, per_c,
        p->uniform_scale ? (fwi_init){.kind = FWI_INIT_UNIFORM, .a = 0, .b = 1} : constant(1));
    const fwi_val beta = make_var(b, "bn.beta", FWI_VAR_BIAS, !p->fixed_shift, per_c, constant(0));
    const fwi_val mean = var(b, "bn.mean", FWI_VAR_STAT, per_c, constant(0));
    const fwi_val variance = var(b, "bn.var", FWI_VAR_STAT, per_c, constant(1));
    const fwi_attr attr = {.bn = {.eps = p->eps,
                                  .groups = b->training ? p->groups : 1,
                                  .update = p->update,
                                  .count = b->training ? count : 0}};
    if (!b->training)
        return fwi_graph_op(b->g, FWI_OP_bn_eval, &attr,
                            (const fwi_val[]){x, gamma, beta, mean, variance}, 5, NULL);
    fwi_val out[FWI_MAX_OUT];
    const fwi_val y =
        fwi_graph_op(b->g, FWI_OP_bn_train, &attr, (const fwi_val[]){x, gamma, beta}, 3, out);
    if (y == FWI_NO_VAL)
        return FWI_NO_VAL;
    fwi_graph_op(b->g, FWI_OP_bn_update, &attr, (const fwi_val[]){mean, variance, out[1], out[2]},
                 4, NULL);
    return y;
}

fwi_val fwi_part_act(fwi_builder *b, fwi_val x, fw_act act, double alpha)
{
    static const fwi_act_fn fns[] = {
        [FW_CELU] = FWI_CELU, [FW_GELU] = FWI_GELU,       [FW_SILU] = FWI_SILU,
        [FW_TANH] = FWI_TANH, [FW_SIGMOID] = FWI_SIGMOID, [FW_SOFTPLUS] = FWI_SOFTPLUS};
    if (act == FW_IDENTITY)
        return x;
    if (act == FW_RELU)
        return fwi_op1(b->g, FWI_OP_relu, NULL, x);
    return fwi_op1(b->g, FWI_OP_act, &(fwi_attr){.act = {.fn = fns[act], .alpha = alpha}}, x);
}

fwi_val fwi_part_conv_bn(fwi_builder *b, fwi_val x, const fwi_conv_bn_part *p)
{
    fwi_val y = fwi_part_conv(b, x, &p->conv);
    if (p->pool_before_norm)
        y = fwi_part_pool(b, y, p->pooling, 2, 2);
    y = fwi_part_norm(b, y, &p->norm);
    if (p->adds)
        y = fwi_op2(b->g, FWI_OP_add, NULL, y, p->skip);
    if (p->pool_before_act)
        y = fwi_part_pool(b, y, p->pooling, 2, 2);
    return fwi_part_act(b, y, p->act, p->alpha);
}

fwi_val fwi_part_pool(fwi_builder *b, fwi_val x, fw_pooling pooling, int64_t size, int64_t stride)
{
    if (pooling == FW_POOL_NONE)
        return x;
    const fwi_shape *const s = want_rank(b, x, 4);
    if (s == NULL)
        return FWI_NO_VAL;
    const fwi_attr attr = {.pool = {.k = size, .stride = stride, .ih = s->d[1], .iw = s->d[2]}};
    return fwi_op1(b->g, pooling == FW_POOL_MAX ? FWI_OP_max_pool : FWI_OP_avg_pool, &attr, x);
}

fwi_val fwi_part_global_pool(fwi_builder *b, fwi_val x, fwi_opkind kind)
{
    return want_rank(b, x, 4) == NULL ? FWI_NO_VAL : fwi_op1(b->g, kind, NULL, x);
}

fwi_val fwi_part_dropout(fwi_builder *b, fwi_val x, double rate)
{
    if (!b->training || rate == 0 || b->g->status != FW_OK)
        return x;
    /* The n-th dropout of a graph draws numbers of its own. */
    int64_t ordinal = 0;
    for (int32_t i = 0; i < b->g->n_ops; i++)
        ordinal += b->g->ops[i].kind == FWI_OP_dropout;
    const fwi_val rng = fwi_graph_input(b->g, "rng", FW_I64, fwi_shape1(2));
    return fwi_op2(b->g, FWI_OP_dropout, &(fwi_attr){.dropout = {.p = rate, .ordinal = ordinal}}, x,
                   rng);
}

fwi_val fwi_part_scale(fwi_builder *b, fwi_val x, double factor)
{
    if (factor == 1)
        return x;
    return fwi_op1(b->g, FWI_OP_scale, &(fwi_attr){.scalar = {.value = factor}}, x);
}

fwi_val fwi_part_flatten(fwi_builder *b, fwi_val x)
{
    const fwi_shape *const s = fwi_build_shape(b, x);
    if (s == NULL || s->rank == 2)
        return x;
    const fwi_attr attr = {.shape = {.rank = 2, .d0 = s->d[0], .d1 = fwi_shape_elems(s) / s->d[0]}};
    return fwi_op1(b->g, FWI_OP_reshape, &attr, x);
}
