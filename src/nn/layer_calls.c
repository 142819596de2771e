/* layer_calls.c: the calls of layers.h that make one layer each: arguments and options into the
 * values of the kind's row (layer_kinds.c), checked one by one and together. Read before: layer.c. */
#include "layer_inner.h"
#include "number.h"

static double opt_value(const fw_layer_opt *o, fwi_opt_field f)
{
    switch (f) {
    case FWI_OPT_INIT:
        return (double)o->init;
    case FWI_OPT_BN_UPDATE:
        return fwi_widen(o->bn_update);
    case FWI_OPT_BN_EPS:
        return fwi_widen(o->bn_eps);
    case FWI_OPT_BN_FIXED_SCALE:
        return (double)o->bn_fixed_scale;
    case FWI_OPT_BN_FIXED_SHIFT:
        return (double)o->bn_fixed_shift;
    case FWI_OPT_BN_UNIFORM_SCALE:
        return (double)o->bn_uniform_scale;
    case FWI_OPT_BN_GROUPS:
        return (double)o->bn_groups;
    case FWI_OPT_KERNEL:
        return (double)o->kernel;
    case FWI_OPT_STRIDE:
        return (double)o->stride;
    case FWI_OPT_PADDING:
        return (double)o->padding;
    case FWI_OPT_ACT:
        return (double)o->act;
    case FWI_OPT_ACT_ALPHA:
        return fwi_widen(o->act_alpha);
    case FWI_OPT_POOLING:
        return (double)o->pooling;
    case FWI_OPT_CONVS:
        return (double)o->convs;
    case FWI_OPT_POOL_FIRST:
        return (double)o->pool_first;
    case FWI_OPT_POOL_BEFORE_ACT:
        return (double)o->pool_before_act;
    case FWI_OPT_SKIP:
        return (double)o->skip;
    case FWI_OPT_BIAS:
        return (double)o->bias;
    case FWI_OPT_NONE:
    case FWI_OPT_COUNT:
        break;
    }
    return 0;
}

/* init and what batch norms have are a style (FW_PYTORCH) that a whole net shares: layers without them
 * pass over them. The others mean this layer, and must be its own. */
static fw_status check_foreign(const fwi_layer_info *info, const fw_layer_opt *opt)
{
    static const char *const names[FWI_OPT_COUNT] = {[FWI_OPT_KERNEL] = "kernel",
                                                     [FWI_OPT_STRIDE] = "stride",
                                                     [FWI_OPT_PADDING] = "padding",
                                                     [FWI_OPT_ACT] = "act",
                                                     [FWI_OPT_ACT_ALPHA] = "act_alpha",
                                                     [FWI_OPT_POOLING] = "pooling",
                                                     [FWI_OPT_CONVS] = "convs",
                                                     [FWI_OPT_POOL_FIRST] = "pool_first",
                                                     [FWI_OPT_POOL_BEFORE_ACT] = "pool_before_act",
                                                     [FWI_OPT_SKIP] = "skip",
                                                     [FWI_OPT_BIAS] = "bias"};
    for (int f = FWI_OPT_KERNEL; f < FWI_OPT_COUNT; f++) {
        bool own = false;
        for (int i = 0; info->params[i] != NULL; i++)
            own = own || (int)info->params[i]->opt == f;
        if (!own && opt_value(opt, (fwi_opt_field)f) != 0)
            return fwi_fail(FW_EARG, "%s has no option %s", info->word, names[f]);
    }
    return FW_OK;
}

/* The values of the parameters that are no options, in the table's order. */
typedef struct arguments {
    double v[7];
} arguments;

static fw_layer *make(fwi_layer_kind kind, arguments args, const fw_layer_opt *opt)
{
    const fw_layer_opt none = {0};
    if (opt == NULL)
        opt = &none;
    fw_layer *const l = fwi_layer_new(kind);
    if (l == NULL)
        return NULL;
    const fwi_layer_info *const info = fwi_layer_info_get(kind);
    int n_args = 0;
    for (int i = 0; info->params[i] != NULL; i++) {
        const fwi_param *const p = info->params[i];
        if (p->opt == FWI_OPT_NONE)
            l->value[i] = args.v[n_args++];
        else if (opt_value(opt, p->opt) != 0)
            l->value[i] = opt_value(opt, p->opt);
        fwi_layer_stick(l, fwi_param_check(p, l->value[i]));
    }
    fwi_layer_stick(l, check_foreign(info, opt));
    if (l->status == FW_OK)
        fwi_layer_stick(l, fwi_layer_settle(l));
    return l;
}

fw_layer *fw_dense(int64_t units, bool bias, const fw_layer_opt *opt)
{
    return make(FWI_L_DENSE, (arguments){{(double)units, bias}}, opt);
}

fw_layer *fw_conv2d(int64_t channels, bool bias, const fw_layer_opt *opt)
{
    return make(FWI_L_CONV2D, (arguments){{(double)channels, bias}}, opt);
}

fw_layer *fw_batch_norm(const fw_layer_opt *opt)
{
    return make(FWI_L_BATCH_NORM, (arguments){{0}}, opt);
}

fw_layer *fw_activation(fw_act act, float alpha)
{
    return make(FWI_L_ACTIVATION, (arguments){{act, alpha == 0 ? 1 : fwi_widen(alpha)}}, NULL);
}

fw_layer *fw_max_pool(int64_t size, int64_t stride)
{
    return make(FWI_L_MAX_POOL, (arguments){{(double)size, (double)stride}}, NULL);
}

fw_layer *fw_average_pool(int64_t size, int64_t stride)
{
    return make(FWI_L_AVERAGE_POOL, (arguments){{(double)size, (double)stride}}, NULL);
}

fw_layer *fw_global_max_pool(void)
{
    return make(FWI_L_GLOBAL_MAX_POOL, (arguments){{0}}, NULL);
}

fw_layer *fw_global_average_pool(void)
{
    return make(FWI_L_GLOBAL_AVERAGE_POOL, (arguments){{0}}, NULL);
}

fw_layer *fw_global_pools(void)
{
    return make(FWI_L_GLOBAL_POOLS, (arguments){{0}}, NULL);
}

fw_layer *fw_dropout(float rate)
{
    return make(FWI_L_DROPOUT, (arguments){{fwi_widen(rate)}}, NULL);
}

fw_layer *fw_flatten(void)
{
    return make(FWI_L_FLATTEN, (arguments){{0}}, NULL);
}

fw_layer *fw_scaling(float factor)
{
    return make(FWI_L_SCALING, (arguments){{fwi_widen(factor)}}, NULL);
}

fw_layer *fw_whiten(const fw_whiten_opt *opt)
{
    static const fw_whiten_opt none = {0};
    const fw_whiten_opt *const o = opt != NULL ? opt : &none;
    const arguments args = {{o->kernel == 0 ? 2 : (double)o->kernel,
                             o->eps == 0 ? 5e-4 : fwi_widen(o->eps),
                             o->images == 0 ? 5000 : (double)o->images, o->centred,
                             !o->no_negatives, !o->no_bias, o->same_padding ? FW_SAME : FW_VALID}};
    return make(FWI_L_WHITEN, args, &(fw_layer_opt){.init = o->init});
}

fw_layer *fw_conv_bn(int64_t channels, const fw_layer_opt *opt)
{
    return make(FWI_L_CONV_BN, (arguments){{(double)channels}}, opt);
}

fw_layer *fw_conv_blk(int64_t channels, const fw_layer_opt *opt)
{
    return make(FWI_L_CONV_BLK, (arguments){{(double)channels}}, opt);
}

fw_layer *fw_conv_res_blk(int64_t channels, int64_t res_convs, const fw_layer_opt *opt)
{
    return make(FWI_L_CONV_RES_BLK, (arguments){{(double)channels, (double)res_convs}}, opt);
}

fw_layer *fw_preact_blk(int64_t channels, const fw_layer_opt *opt)
{
    return make(FWI_L_PREACT_BLK, (arguments){{(double)channels}}, opt);
}

fw_layer *fw_dense_bn(int64_t units, float dropout, bool bn_before_act, const fw_layer_opt *opt)
{
    return make(FWI_L_DENSE_BN, (arguments){{(double)units, fwi_widen(dropout), bn_before_act}},
                opt);
}

fw_layer *fw_classifier(int64_t n_classes, float weight, const fw_layer_opt *opt)
{
    return make(FWI_L_CLASSIFIER, (arguments){{(double)n_classes, fwi_widen(weight)}}, opt);
}

fw_layer *fw_fastai_head(int64_t n_classes, const fw_layer_opt *opt)
{
    return make(FWI_L_FASTAI_HEAD, (arguments){{(double)n_classes}}, opt);
}
