/* build_layers.c: each layer kind as parts (build_parts.c), in the order of the table in
 * layer_kinds.c. What the blocks are is in layers.h; recipes give them their numbers. */
#include "layer_inner.h"

static fw_init get_init(const fw_layer *l)
{
    return (fw_init)fwi_layer_int(l, "init");
}

static fwi_norm_part get_norm(const fw_layer *l)
{
    return (fwi_norm_part){.update = fwi_layer_value(l, "bn_update"),
                           .eps = fwi_layer_value(l, "bn_eps"),
                           .fixed_scale = fwi_layer_value(l, "bn_fixed_scale") != 0,
                           .fixed_shift = fwi_layer_value(l, "bn_fixed_shift") != 0,
                           .uniform_scale = fwi_layer_value(l, "bn_uniform_scale") != 0,
                           .groups = fwi_layer_int(l, "bn_groups")};
}

static fwi_val activate(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    return fwi_part_act(b, x, (fw_act)fwi_layer_int(l, "act"), fwi_layer_value(l, "act_alpha"));
}

/* ---- single layers ---- */

fwi_val fwi_build_dense(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    return fwi_part_dense(b, x, fwi_layer_int(l, "units"), fwi_layer_value(l, "bias") != 0,
                          get_init(l), FWI_VAR_DENSE);
}

fwi_val fwi_build_conv2d(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    const fwi_conv_part p = {.channels = fwi_layer_int(l, "channels"),
                             .kernel = fwi_layer_int(l, "kernel"),
                             .stride = fwi_layer_int(l, "stride"),
                             .init = get_init(l),
                             .padding = (fw_padding)fwi_layer_int(l, "padding"),
                             .bias = fwi_layer_value(l, "bias") != 0};
    return fwi_part_conv(b, x, &p);
}

fwi_val fwi_build_batch_norm(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    const fwi_norm_part p = get_norm(l);
    return fwi_part_norm(b, x, &p);
}

fwi_val fwi_build_activation(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    return activate(b, l, x);
}

static fwi_val pool(fwi_builder *b, const fw_layer *l, fwi_val x, fw_pooling pooling)
{
    const int64_t size = fwi_layer_int(l, "size"), stride = fwi_layer_int(l, "stride");
    return fwi_part_pool(b, x, pooling, size, stride != 0 ? stride : size);
}

fwi_val fwi_build_max_pool(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    return pool(b, l, x, FW_POOL_MAX);
}

fwi_val fwi_build_average_pool(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    return pool(b, l, x, FW_POOL_AVERAGE);
}

fwi_val fwi_build_global_max_pool(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    (void)l;
    return fwi_part_global_pool(b, x, FWI_OP_global_max_pool);
}

fwi_val fwi_build_global_average_pool(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    (void)l;
    return fwi_part_global_pool(b, x, FWI_OP_global_avg_pool);
}

fwi_val fwi_build_global_pools(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    (void)l;
    const fwi_val largest = fwi_part_global_pool(b, x, FWI_OP_global_max_pool);
    const fwi_val mean = fwi_part_global_pool(b, x, FWI_OP_global_avg_pool);
    return fwi_op2(b->g, FWI_OP_concat, NULL, largest, mean);
}

fwi_val fwi_build_dropout(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    return fwi_part_dropout(b, x, fwi_layer_value(l, "rate"));
}

fwi_val fwi_build_flatten(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    (void)l;
    return fwi_part_flatten(b, x);
}

fwi_val fwi_build_scaling(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    return fwi_part_scale(b, x, fwi_layer_value(l, "factor"));
}

fwi_val fwi_build_whiten(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    const fwi_whiten_part p = {.kernel = fwi_layer_int(l, "kernel"),
                               .images = fwi_layer_int(l, "images"),
                               .eps = fwi_layer_value(l, "eps"),
                               .init = get_init(l),
                               .padding = (fw_padding)fwi_layer_int(l, "padding"),
                               .bias = fwi_layer_value(l, "bias") != 0,
                               .centred = fwi_layer_value(l, "centred") != 0,
                               .negatives = fwi_layer_value(l, "negatives") != 0};
    return fwi_part_whiten(b, x, &p);
}

/* ---- blocks ---- */

static fwi_conv_bn_part get_conv_bn(const fw_layer *l, int64_t stride)
{
    return (fwi_conv_bn_part){.conv = {.channels = fwi_layer_int(l, "channels"),
                                       .kernel = fwi_layer_int(l, "kernel"),
                                       .stride = stride,
                                       .init = get_init(l)},
                              .norm = get_norm(l),
                              .act = (fw_act)fwi_layer_int(l, "act"),
                              .alpha = fwi_layer_value(l, "act_alpha")};
}

/* n ConvBN, numbered from 0 under the present prefix. */
static fwi_val conv_bns(fwi_builder *b, fwi_val x, const fwi_conv_bn_part *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const size_t before = fwi_scope_enter(b, "%d", (int)i);
        x = fwi_part_conv_bn(b, x, p);
        fwi_scope_leave(b, before);
    }
    return x;
}

fwi_val fwi_build_conv_bn(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    const fwi_conv_bn_part p = get_conv_bn(l, fwi_layer_int(l, "stride"));
    return fwi_part_conv_bn(b, x, &p);
}

/* What is special of the first convolution (its pool) and of the last (the skip that it adds, the
 * pool before its activation) is set for that one alone. */
fwi_val fwi_build_conv_blk(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    const int64_t convs = fwi_layer_int(l, "convs");
    const fw_pooling pooling = (fw_pooling)fwi_layer_int(l, "pooling");
    const bool skip = fwi_layer_value(l, "skip") != 0;
    const bool first = fwi_layer_value(l, "pool_first") != 0;
    const bool before_act = fwi_layer_value(l, "pool_before_act") != 0;
    fwi_val x0 = FWI_NO_VAL;
    for (int64_t i = 0; i < convs; i++) {
        fwi_conv_bn_part p = get_conv_bn(l, 1);
        p.pooling = pooling;
        p.pool_before_norm = first && i == 0;
        p.pool_before_act = before_act && i == convs - 1;
        p.adds = skip && i == convs - 1;
        p.skip = x0;
        const size_t before = fwi_scope_enter(b, "%d", (int)i);
        x = fwi_part_conv_bn(b, x, &p);
        fwi_scope_leave(b, before);
        if (i == 0)
            x0 = x;
    }
    return first || before_act ? x : fwi_part_pool(b, x, pooling, 2, 2);
}

fwi_val fwi_build_conv_res_blk(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    const fwi_conv_bn_part p = get_conv_bn(l, 1);
    const fwi_val h = fwi_build_conv_blk(b, l, x); /* the two rows share these parameters */
    const size_t before = fwi_scope_enter(b, "res");
    const fwi_val r = conv_bns(b, h, &p, fwi_layer_int(l, "res_convs"));
    fwi_scope_leave(b, before);
    return fwi_op2(b->g, FWI_OP_add, NULL, h, r);
}

fwi_val fwi_build_preact_blk(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    const fwi_norm_part norm = get_norm(l);
    fwi_conv_part conv = {.channels = fwi_layer_int(l, "channels"),
                          .kernel = 3,
                          .stride = fwi_layer_int(l, "stride"),
                          .init = get_init(l),
                          .padding = FW_HALF};
    const fwi_shape *const s = fwi_build_shape(b, x);
    const bool same = s != NULL && s->d[s->rank - 1] == conv.channels && conv.stride == 1;
    size_t before = fwi_scope_enter(b, "0");
    const fwi_val r = activate(b, l, fwi_part_norm(b, x, &norm));
    fwi_val y = fwi_part_conv(b, r, &conv);
    fwi_scope_leave(b, before);
    fwi_val shortcut = r;
    if (!same) {
        fwi_conv_part one = conv;
        one.kernel = 1;
        before = fwi_scope_enter(b, "shortcut");
        shortcut = fwi_part_conv(b, r, &one);
        fwi_scope_leave(b, before);
    }
    before = fwi_scope_enter(b, "1");
    conv.stride = 1;
    y = fwi_part_conv(b, activate(b, l, fwi_part_norm(b, y, &norm)), &conv);
    fwi_scope_leave(b, before);
    return fwi_op2(b->g, FWI_OP_add, NULL, y, shortcut);
}

fwi_val fwi_build_dense_bn(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    const fwi_norm_part norm = get_norm(l);
    x = fwi_part_dense(b, x, fwi_layer_int(l, "units"), false, get_init(l), FWI_VAR_DENSE);
    if (fwi_layer_value(l, "bn_before_act") != 0)
        x = activate(b, l, fwi_part_norm(b, x, &norm));
    else
        x = fwi_part_norm(b, activate(b, l, x), &norm);
    return fwi_part_dropout(b, x, fwi_layer_value(l, "dropout"));
}

fwi_val fwi_build_classifier(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    x = fwi_part_dense(b, x, fwi_layer_int(l, "classes"), fwi_layer_value(l, "bias") != 0,
                       get_init(l), FWI_VAR_HEAD);
    return fwi_part_scale(b, x, fwi_layer_value(l, "weight"));
}

fwi_val fwi_build_fastai_head(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    enum { HIDDEN = 512 };
    const fwi_norm_part norm = get_norm(l);
    fwi_norm_part first = norm;
    first.update = 0.1;
    first.eps = 1e-5;
    x = fwi_part_norm(b, fwi_build_global_pools(b, l, x), &first);
    x = fwi_part_dropout(b, x, 0.25);
    size_t before = fwi_scope_enter(b, "hidden");
    x = fwi_part_dense(b, x, HIDDEN, false, get_init(l), FWI_VAR_DENSE);
    x = fwi_part_norm(b, fwi_part_act(b, x, FW_RELU, 1), &norm);
    fwi_scope_leave(b, before);
    x = fwi_part_dropout(b, x, 0.5);
    before = fwi_scope_enter(b, "classifier");
    x = fwi_part_dense(b, x, fwi_layer_int(l, "classes"), false, get_init(l), FWI_VAR_HEAD);
    fwi_scope_leave(b, before);
    return x;
}
