/* layer_kinds.c: every layer kind with its parameters, once.
 *
 * The calls of layers.h, the text of recipes, the checks of both and the builders all work from
 * this table, so that a layer cannot have an option in C that it lacks in text, or another default.
 * A new kind is a row here, a call in layer_calls.c, a builder in build_*.c, and its words in
 * docs/formats/recipe.md, which a test compares with this table. */
#include "layer_inner.h"
#include "number.h"

#include <math.h>
#include <stdio.h>

static const char *const init_words[] = {"glorot",      "pytorch",  "dirac", "unit_std",
                                         "dirac_added", "identity", NULL};
static const char *const act_words[] = {"relu", "identity", "celu",     "gelu", "silu",
                                        "tanh", "sigmoid",  "softplus", NULL};
static const char *const padding_words[] = {"same", "valid", "half", NULL};
static const char *const whiten_padding_words[] = {"same", "valid", NULL};
static const char *const pooling_words[] = {"max", "average", "none", NULL};

enum {
    MAX_WIDTH = 1 << 20,
    MAX_KERNEL = 127,
    MAX_CONVS = 100,
    MAX_WINDOW = 4096,
    MAX_GROUPS = 4096
};

/* clang-format off */
static const fwi_param
    units = {"units", FWI_P_INT, .positional = true, .min = 1, .max = MAX_WIDTH},
    channels = {"channels", FWI_P_INT, .positional = true, .min = 1, .max = MAX_WIDTH},
    classes = {"classes", FWI_P_INT, .positional = true, .min = 1, .max = MAX_WIDTH},
    bias = {"bias", FWI_P_BOOL, .max = 1, .def = 1},
    init = {"init", FWI_P_ENUM, .max = 5, .words = init_words, .opt = FWI_OPT_INIT},
    bn_update = {"bn_update", FWI_P_REAL, .above_min = true, .max = 1, .def = 0.01, .opt = FWI_OPT_BN_UPDATE},
    bn_eps = {"bn_eps", FWI_P_REAL, .min = 1e-30, .max = 1, .def = 1e-3, .opt = FWI_OPT_BN_EPS}, /* its root in f32 */
    bn_fixed_scale = {"bn_fixed_scale", FWI_P_BOOL, .max = 1, .opt = FWI_OPT_BN_FIXED_SCALE},
    bn_fixed_shift = {"bn_fixed_shift", FWI_P_BOOL, .max = 1, .opt = FWI_OPT_BN_FIXED_SHIFT},
    bn_uniform_scale = {"bn_uniform_scale", FWI_P_BOOL, .max = 1, .opt = FWI_OPT_BN_UNIFORM_SCALE},
    bn_groups = {"bn_groups", FWI_P_INT, .min = 1, .max = MAX_GROUPS, .def = 1, .opt = FWI_OPT_BN_GROUPS},
    kernel = {"kernel", FWI_P_INT, .min = 1, .max = MAX_KERNEL, .def = 3, .opt = FWI_OPT_KERNEL},
    stride = {"stride", FWI_P_INT, .min = 1, .max = MAX_KERNEL, .def = 1, .opt = FWI_OPT_STRIDE},
    padding = {"padding", FWI_P_ENUM, .max = 2, .words = padding_words, .opt = FWI_OPT_PADDING},
    act = {"act", FWI_P_ENUM, .max = 7, .words = act_words, .opt = FWI_OPT_ACT},
    act_alpha = {"act_alpha", FWI_P_REAL, .above_min = true, .max = 1e6, .def = 1, .opt = FWI_OPT_ACT_ALPHA},
    pooling = {"pooling", FWI_P_ENUM, .max = 2, .words = pooling_words, .opt = FWI_OPT_POOLING},
    convs = {"convs", FWI_P_INT, .min = 1, .max = MAX_CONVS, .def = 1, .opt = FWI_OPT_CONVS},
    pool_first = {"pool_first", FWI_P_BOOL, .max = 1, .opt = FWI_OPT_POOL_FIRST},
    pool_before_act = {"pool_before_act", FWI_P_BOOL, .max = 1, .opt = FWI_OPT_POOL_BEFORE_ACT},
    skip = {"skip", FWI_P_BOOL, .max = 1, .opt = FWI_OPT_SKIP},
    head_bias = {"bias", FWI_P_BOOL, .max = 1, .opt = FWI_OPT_BIAS},
    res_convs = {"res_convs", FWI_P_INT, .min = 1, .max = MAX_CONVS, .def = 2},
    which_act = {"act", FWI_P_ENUM, .positional = true, .max = 7, .words = act_words},
    alpha = {"act_alpha", FWI_P_REAL, .above_min = true, .max = 1e6, .def = 1},
    max_size = {"size", FWI_P_INT, .positional = true, .min = 1, .max = 16},
    average_size = {"size", FWI_P_INT, .positional = true, .min = 1, .max = MAX_WINDOW},
    pool_stride = {"stride", FWI_P_INT, .max = MAX_WINDOW}, /* 0: the size */
    whiten_kernel = {"kernel", FWI_P_INT, .min = 1, .max = 11, .def = 2},
    eps = {"eps", FWI_P_REAL, .above_min = true, .max = 1e6, .def = 5e-4},
    images = {"images", FWI_P_INT, .min = 1, .max = 1e9, .def = 5000},
    centred = {"centred", FWI_P_BOOL, .max = 1},
    negatives = {"negatives", FWI_P_BOOL, .max = 1, .def = 1},
    whiten_padding = {"padding", FWI_P_ENUM, .max = 1, .words = whiten_padding_words, .def = FW_VALID},
    rate = {"rate", FWI_P_REAL, .positional = true, .max = 1, .below_max = true},
    dropout = {"dropout", FWI_P_REAL, .max = 1, .below_max = true},
    factor = {"factor", FWI_P_REAL, .positional = true, .min = -1e6, .max = 1e6},
    weight = {"weight", FWI_P_REAL, .min = -1e6, .max = 1e6, .def = 1},
    bn_before_act = {"bn_before_act", FWI_P_BOOL, .max = 1, .def = 1};

#define NORM &bn_update, &bn_eps, &bn_fixed_scale, &bn_fixed_shift, &bn_uniform_scale, &bn_groups
static const fwi_layer_info kinds[] = {
    [FWI_L_SEQUENTIAL]          = {"sequential", true, {NULL}, fwi_build_sequential},
    [FWI_L_PARALLEL]            = {"parallel", true, {NULL}, fwi_build_parallel},
    [FWI_L_DENSE]               = {"dense", false, {&units, &bias, &init}, fwi_build_dense},
    [FWI_L_CONV2D]              = {"conv2d", false, {&channels, &bias, &kernel, &stride, &padding, &init},
                                   fwi_build_conv2d},
    [FWI_L_BATCH_NORM]          = {"batch_norm", false, {NORM}, fwi_build_batch_norm},
    [FWI_L_ACTIVATION]          = {"activation", false, {&which_act, &alpha}, fwi_build_activation},
    [FWI_L_MAX_POOL]            = {"max_pool", false, {&max_size, &pool_stride}, fwi_build_max_pool},
    [FWI_L_AVERAGE_POOL]        = {"average_pool", false, {&average_size, &pool_stride}, fwi_build_average_pool},
    [FWI_L_GLOBAL_MAX_POOL]     = {"global_max_pool", false, {NULL}, fwi_build_global_max_pool},
    [FWI_L_GLOBAL_AVERAGE_POOL] = {"global_average_pool", false, {NULL}, fwi_build_global_average_pool},
    [FWI_L_GLOBAL_POOLS]        = {"global_pools", false, {NULL}, fwi_build_global_pools},
    [FWI_L_DROPOUT]             = {"dropout", false, {&rate}, fwi_build_dropout},
    [FWI_L_FLATTEN]             = {"flatten", false, {NULL}, fwi_build_flatten},
    [FWI_L_SCALING]             = {"scaling", false, {&factor}, fwi_build_scaling},
    [FWI_L_WHITEN]              = {"whiten", false, {&whiten_kernel, &eps, &images, &centred, &negatives, &bias,
                                   &whiten_padding, &init}, fwi_build_whiten},
    [FWI_L_CONV_BN]             = {"conv_bn", false, {&channels, &kernel, &stride, &act, &act_alpha,
                                   &init, NORM}, fwi_build_conv_bn},
    [FWI_L_CONV_BLK]            = {"conv_blk", false, {&channels, &convs, &skip, &pooling, &pool_first, &pool_before_act, &kernel,
                                   &act, &act_alpha, &init, NORM}, fwi_build_conv_blk},
    [FWI_L_CONV_RES_BLK]        = {"conv_res_blk", false, {&channels, &res_convs, &convs, &skip, &pooling, &pool_first, &pool_before_act,
                                   &kernel, &act, &act_alpha, &init, NORM}, fwi_build_conv_res_blk},
    [FWI_L_PREACT_BLK]          = {"preact_blk", false, {&channels, &stride, &act, &act_alpha, &init, NORM},
                                   fwi_build_preact_blk},
    [FWI_L_DENSE_BN]            = {"dense_bn", false, {&units, &dropout, &bn_before_act, &act, &act_alpha,
                                   &init, NORM}, fwi_build_dense_bn},
    [FWI_L_CLASSIFIER]          = {"classifier", false, {&classes, &weight, &head_bias, &init}, fwi_build_classifier},
    [FWI_L_FASTAI_HEAD]         = {"fastai_head", false, {&classes, &init, NORM}, fwi_build_fastai_head},
};
#undef NORM
/* clang-format on */
_Static_assert(sizeof kinds / sizeof *kinds == FWI_L_COUNT, "a row for every kind");

const fw_layer_opt fw_pytorch_opt = {.init = FW_INIT_PYTORCH, .bn_update = 0.1f, .bn_eps = 1e-5f};

const fwi_layer_info *fwi_layer_info_get(fwi_layer_kind kind)
{
    return &kinds[kind];
}

const char *fwi_param_text(const fwi_param *p, double v, char text[32])
{
    const char *fixed = NULL;
    if (p->type == FWI_P_ENUM && v >= 0 && v <= p->max)
        fixed = p->words[(int)v];
    else if (p->type == FWI_P_BOOL && (v == 0 || v == 1))
        fixed = v != 0 ? "true" : "false";
    else if (p->type == FWI_P_REAL || fabs(v) > 9e15)
        fwi_format_double(text, v);
    else
        snprintf(text, 32, "%.0f", v);
    if (fixed != NULL)
        snprintf(text, 32, "%s", fixed);
    return text;
}

fw_status fwi_param_check(const fwi_param *p, double v)
{
    const bool low = p->above_min ? v > p->min : v >= p->min; /* both are false for NaN */
    const bool high = p->below_max ? v < p->max : v <= p->max;
    if (low && high && (p->type == FWI_P_REAL || v == floor(v)))
        return FW_OK;
    char is[32], min[32], max[32];
    if (p->type == FWI_P_ENUM)
        return fwi_fail(FW_EARG, "%s is the number %g, which none of its %g values has", p->name, v,
                        p->max + 1);
    return fwi_fail(FW_EARG, "%s is %s, expected %s%s to %s%s", p->name, fwi_param_text(p, v, is),
                    p->above_min ? "more than " : "", fwi_param_text(p, p->min, min),
                    p->below_max ? "less than " : "", fwi_param_text(p, p->max, max));
}
