/* layer_inner.h: what the files of this room share: the table of layer kinds, the layer itself, and
 * the builder's parts. Read before: layers.h, nn.h. */
#ifndef FWI_LAYER_INNER_H
#define FWI_LAYER_INNER_H

#include "nn.h"
#include <stddef.h>

enum {
    FWI_LAYER_PARAMS = 18,     /* most parameters of a kind */
    FWI_LAYER_DEPTH = 64,      /* layers in layers, the network the first: bounds every recursion */
    FWI_LAYER_COUNT = 10000,   /* layers of a model, containers included */
    FWI_LAYER_OPS = 20000,     /* ops of a forward pass; a residual net of 1,000 layers has 5,000 */
    FWI_LAYER_BATCH = 1 << 20, /* least batch of a model with bn_groups, halved */
    FWI_WHITEN_PATCH = 128,    /* values of a patch: the eigenvectors are found in no time */
    FWI_LAYER_PLACE_CAP = 480  /* bytes of "layer 3.1 (conv_bn 64)" */
};

/* ---- the table (layer_kinds.c) ---- */
typedef enum fwi_layer_kind {
    FWI_L_SEQUENTIAL,
    FWI_L_PARALLEL,
    FWI_L_DENSE,
    FWI_L_CONV2D,
    FWI_L_BATCH_NORM,
    FWI_L_ACTIVATION,
    FWI_L_MAX_POOL,
    FWI_L_AVERAGE_POOL,
    FWI_L_GLOBAL_MAX_POOL,
    FWI_L_GLOBAL_AVERAGE_POOL,
    FWI_L_GLOBAL_POOLS,
    FWI_L_DROPOUT,
    FWI_L_FLATTEN,
    FWI_L_SCALING,
    FWI_L_WHITEN,
    FWI_L_CONV_BN,
    FWI_L_CONV_BLK,
    FWI_L_CONV_RES_BLK,
    FWI_L_PREACT_BLK,
    FWI_L_DENSE_BN,
    FWI_L_CLASSIFIER,
    FWI_L_FASTAI_HEAD,
    FWI_L_COUNT
} fwi_layer_kind;

typedef enum fwi_param_type { FWI_P_INT, FWI_P_REAL, FWI_P_ENUM, FWI_P_BOOL } fwi_param_type;

/* The field of fw_layer_opt that a parameter comes from in C. */
typedef enum fwi_opt_field {
    FWI_OPT_NONE, /* an argument of the call */
    FWI_OPT_INIT,
    FWI_OPT_BN_UPDATE,
    FWI_OPT_BN_EPS,
    FWI_OPT_BN_FIXED_SCALE,
    FWI_OPT_BN_FIXED_SHIFT,
    FWI_OPT_BN_UNIFORM_SCALE,
    FWI_OPT_BN_GROUPS,
    FWI_OPT_KERNEL,
    FWI_OPT_STRIDE,
    FWI_OPT_PADDING,
    FWI_OPT_ACT,
    FWI_OPT_ACT_ALPHA,
    FWI_OPT_POOLING,
    FWI_OPT_CONVS,
    FWI_OPT_POOL_FIRST,
    FWI_OPT_POOL_BEFORE_ACT,
    FWI_OPT_SKIP,
    FWI_OPT_BIAS,
    FWI_OPT_COUNT
} fwi_opt_field;

typedef struct fwi_param {
    const char *name;
    fwi_param_type type;
    bool positional; /* in text without its name, and never left out; others are name=value */
    bool above_min;  /* min itself is outside */
    bool below_max;  /* max itself is outside */
    double min, max, def;
    const char *const *words; /* enums: by number; ends with NULL */
    fwi_opt_field opt;
} fwi_param;

typedef struct fwi_builder fwi_builder;
typedef struct fwi_layer_info {
    const char *word;
    bool container;
    const fwi_param *params[FWI_LAYER_PARAMS + 1]; /* positional ones first; ends with NULL */
    fwi_val (*build)(fwi_builder *b, const fw_layer *l, fwi_val x);
} fwi_layer_info;

const fwi_layer_info *fwi_layer_info_get(fwi_layer_kind kind);
/* Fails with "kernel is -3, expected 1 to 127". */
fw_status fwi_param_check(const fwi_param *p, double v);
/* value as the text has it: "64", "0.1", "relu", "true"; returns text. */
const char *fwi_param_text(const fwi_param *p, double v, char text[32]);

/* ---- the layer (layer.c, its calls in layer_calls.c) ---- */
struct fw_layer {
    fwi_layer_kind kind;
    double value[FWI_LAYER_PARAMS]; /* in the order of the kind's params; integers, enums and bools
                                       too: all are small enough to be exact */
    fw_layer *parent;               /* owns this one; NULL: the caller does */
    fw_layer **children;
    int64_t n_children, cap_children;
    int64_t height; /* of the tree below and with this layer: 1 without children */
    int64_t count;  /* layers in it */
    fw_status status;
    char *error; /* the first mistake; NULL with status set: there was no memory for its text */
};

fw_layer *fwi_layer_new(fwi_layer_kind kind); /* defaults everywhere; NULL: no memory */
/* Brings values into their one written form and checks what concerns several of them. */
fw_status fwi_layer_settle(fw_layer *l);
/* Remembers this thread's message as l's mistake, unless it has one. */
void fwi_layer_stick(fw_layer *l, fw_status st);
double fwi_layer_value(const fw_layer *l, const char *param);
static inline int64_t fwi_layer_int(const fw_layer *l, const char *param)
{
    return (int64_t)fwi_layer_value(l, param);
}
/* "layer 3.1 (conv_bn 64)"; path "": "the model"; returns text. */
const char *fwi_layer_place(char text[FWI_LAYER_PLACE_CAP], const char *path, const fw_layer *l);

/* ---- the builder (build.c, parts in build_parts.c) ---- */
struct fwi_builder {
    fwi_graph *g;
    bool training;
    char name[FWI_LAYER_PLACE_CAP]; /* prefix of variables: "1.res.0." */
    size_t name_len;
    int32_t first_op; /* of this model: for the limit */
};

/* Appends "<text>." to the prefix; give the result to fwi_scope_leave. */
size_t fwi_scope_enter(fwi_builder *b, const char *fmt, ...) FWI_PRINTF(2, 3);
void fwi_scope_leave(fwi_builder *b, size_t before);
fwi_val fwi_build_layer(fwi_builder *b, const fw_layer *l, fwi_val x);
/* Remembers a failure in the graph, with the layer's place; returns FWI_NO_VAL. */
fwi_val fwi_build_fail(fwi_builder *b, fw_status st, const char *fmt, ...) FWI_PRINTF(3, 4);
/* NULL after an error. */
const fwi_shape *fwi_build_shape(const fwi_builder *b, fwi_val x);

typedef struct fwi_norm_part {
    double update, eps;
    bool fixed_scale, fixed_shift, uniform_scale;
    int64_t groups;
} fwi_norm_part;
typedef struct fwi_conv_part {
    int64_t channels, kernel, stride;
    fw_init init;
    fw_padding padding;
    bool bias;
} fwi_conv_part;
typedef struct fwi_whiten_part {
    int64_t kernel, images;
    double eps;
    fw_init init; /* of the bias */
    fw_padding padding;
    bool bias, centred, negatives;
} fwi_whiten_part;
typedef struct fwi_conv_bn_part {
    fwi_conv_part conv;
    fwi_norm_part norm;
    fw_act act;
    double alpha;
    bool pool_before_norm, pool_before_act; /* 2 x 2 */
    fw_pooling pooling;
    bool adds; /* skip comes to the norm's output */
    fwi_val skip;
} fwi_conv_bn_part;

/* x[n,h,w,c]; variables conv.weight [oc,k,k,c], conv.bias [oc] */
fwi_val fwi_part_conv(fwi_builder *b, fwi_val x, const fwi_conv_part *p);
/* x, the images; variables whiten.weight, whiten.bias */
fwi_val fwi_part_whiten(fwi_builder *b, fwi_val x, const fwi_whiten_part *p);
/* x[n,d]; variables dense.weight [units,d], dense.bias [units] */
fwi_val fwi_part_dense(fwi_builder *b, fwi_val x, int64_t units, bool bias, fw_init init,
                       fwi_var_class cls);
/* over all but the last axis; variables bn.gamma, bn.beta, bn.mean, bn.var */
fwi_val fwi_part_norm(fwi_builder *b, fwi_val x, const fwi_norm_part *p);
fwi_val fwi_part_act(fwi_builder *b, fwi_val x, fw_act act, double alpha);
fwi_val fwi_part_conv_bn(fwi_builder *b, fwi_val x, const fwi_conv_bn_part *p);
fwi_val fwi_part_pool(fwi_builder *b, fwi_val x, fw_pooling pooling, int64_t size, int64_t stride);
fwi_val fwi_part_global_pool(fwi_builder *b, fwi_val x, fwi_opkind kind);
fwi_val fwi_part_dropout(fwi_builder *b, fwi_val x, double rate);
fwi_val fwi_part_scale(fwi_builder *b, fwi_val x, double factor);
fwi_val fwi_part_flatten(fwi_builder *b, fwi_val x);

/* ---- builders by kind, for the table ---- */
fwi_val fwi_build_sequential(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_parallel(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_dense(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_conv2d(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_batch_norm(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_activation(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_max_pool(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_average_pool(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_global_max_pool(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_global_average_pool(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_global_pools(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_dropout(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_flatten(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_scaling(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_whiten(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_conv_bn(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_conv_blk(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_conv_res_blk(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_preact_blk(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_dense_bn(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_classifier(fwi_builder *b, const fw_layer *l, fwi_val x);
fwi_val fwi_build_fastai_head(fwi_builder *b, const fw_layer *l, fwi_val x);

#endif
