/* layer.c: layers as values: their memory, the calls that make them, containers, mistakes.
 *
 * Nothing here knows what a layer computes (build_*.c) or how it is written (layer_text.c); what
 * parameters a kind has is in layer_kinds.c. A container owns its children; limits on depth and
 * count are kept when a child is added, so that every later walk may recurse. */
#include "layer_inner.h"
#include "number.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- memory ---- */

fw_layer *fwi_layer_new(fwi_layer_kind kind)
{
    fw_layer *const l = fwi_alloc_zero(sizeof *l);
    if (l == NULL)
        return NULL;
    l->kind = kind;
    l->height = 1;
    l->count = 1;
    const fwi_layer_info *const info = fwi_layer_info_get(kind);
    for (int i = 0; info->params[i] != NULL; i++)
        l->value[i] = info->params[i]->def;
    return l;
}

static void free_tree(fw_layer *l)
{
    for (int64_t i = 0; i < l->n_children; i++)
        free_tree(l->children[i]);
    fwi_free(l->children);
    fwi_free(l->error);
    fwi_free(l);
}

void fw_layer_free(fw_layer *l)
{
    if (l != NULL && l->parent == NULL) /* else its container frees it */
        free_tree(l);
}

fw_layer *fwi_layer_copy(const fw_layer *l)
{
    fw_layer *const copy = fwi_layer_new(l->kind);
    if (copy == NULL)
        return NULL;
    memcpy(copy->value, l->value, sizeof copy->value);
    copy->height = l->height;
    copy->count = l->count;
    copy->status = l->status;
    if (l->error != NULL && (copy->error = fwi_strdup(l->error)) == NULL)
        goto fail;
    if (l->n_children > 0) {
        copy->children = fwi_alloc_array((size_t)l->n_children, sizeof(fw_layer *));
        if (copy->children == NULL)
            goto fail;
        copy->cap_children = l->n_children;
        for (int64_t i = 0; i < l->n_children; i++) {
            fw_layer *const child = fwi_layer_copy(l->children[i]);
            if (child == NULL)
                goto fail;
            child->parent = copy;
            copy->children[copy->n_children++] = child;
        }
    }
    return copy;
fail:
    free_tree(copy);
    return NULL;
}

/* ---- mistakes ---- */

void fwi_layer_stick(fw_layer *l, fw_status st)
{
    if (st == FW_OK || l->status != FW_OK)
        return;
    l->status = st;
    l->error = fwi_strdup(fw_last_error());
}

double fwi_layer_value(const fw_layer *l, const char *param)
{
    const fwi_layer_info *const info = fwi_layer_info_get(l->kind);
    int i = 0;
    while (info->params[i] != NULL && strcmp(info->params[i]->name, param) != 0)
        i++;
    assert(info->params[i] != NULL); /* a builder asks for what its row has */
    return l->value[i];
}

static bool has_param(const fw_layer *l, const char *param)
{
    const fwi_layer_info *const info = fwi_layer_info_get(l->kind);
    for (int i = 0; info->params[i] != NULL; i++)
        if (strcmp(info->params[i]->name, param) == 0)
            return true;
    return false;
}

fw_status fwi_layer_settle(fw_layer *l)
{
    if ((l->kind == FWI_L_MAX_POOL || l->kind == FWI_L_AVERAGE_POOL) && l->value[1] == l->value[0])
        l->value[1] = 0; /* a stride of the size is the default, however it was written */
    if (has_param(l, "act_alpha") && fwi_layer_int(l, "act") != FW_CELU &&
        fwi_layer_value(l, "act_alpha") != 1)
        return fwi_fail(FW_EARG, "act_alpha is for act celu alone");
    if (has_param(l, "pool_first") && fwi_layer_value(l, "pool_first") != 0 &&
        fwi_layer_int(l, "pooling") == FW_POOL_NONE)
        return fwi_fail(FW_EARG, "pool_first is for blocks with a pool, pooling is none");
    return FW_OK;
}

const char *fwi_layer_place(char text[FWI_LAYER_PLACE_CAP], const char *path, const fw_layer *l)
{
    if (*path == 0 && fwi_layer_info_get(l->kind)->container) {
        snprintf(text, FWI_LAYER_PLACE_CAP, "the model");
        return text;
    }
    const fwi_layer_info *const info = fwi_layer_info_get(l->kind);
    char first[40] = "", number[32];
    if (info->params[0] != NULL && info->params[0]->positional)
        snprintf(first, sizeof first, " %s", fwi_param_text(info->params[0], l->value[0], number));
    snprintf(text, FWI_LAYER_PLACE_CAP, "layer %.400s (%s%s)", *path == 0 ? "0" : path, info->word,
             first);
    return text;
}

static fw_status check(const fw_layer *l, char path[FWI_LAYER_PLACE_CAP], size_t path_len)
{
    char place[FWI_LAYER_PLACE_CAP];
    if (l->status != FW_OK) {
        fwi_layer_place(place, path, l);
        return fwi_fail(l->status, "%s: %s", place,
                        l->error != NULL ? l->error : "a mistake; no memory for its text");
    }
    if (l->kind == FWI_L_PARALLEL && l->n_children == 0)
        return fwi_fail(FW_EARG, "%s: has no branches", fwi_layer_place(place, path, l));
    for (int64_t i = 0; i < l->n_children; i++) {
        const int n = snprintf(path + path_len, FWI_LAYER_PLACE_CAP - path_len, "%s%" PRId64,
                               path_len > 0 ? "." : "", i);
        const size_t len = path_len + (size_t)n;
        const fw_status st =
            check(l->children[i], path, len < FWI_LAYER_PLACE_CAP ? len : FWI_LAYER_PLACE_CAP - 1);
        if (st != FW_OK)
            return st;
        path[path_len] = 0;
    }
    return FW_OK;
}

fw_status fwi_layer_check(const fw_layer *l)
{
    char path[FWI_LAYER_PLACE_CAP] = "";
    if (l == NULL)
        return fwi_fail(FW_EARG, "the model is NULL (builders give that when memory is out)");
    if (l->kind == FWI_L_SEQUENTIAL && l->n_children == 0 && l->status == FW_OK)
        return fwi_fail(FW_EARG, "the model has no layers");
    return check(l, path, 0);
}

/* ---- containers ---- */

static fw_status grow(fw_layer *l)
{
    if (l->n_children < l->cap_children)
        return FW_OK;
    const int64_t cap = l->cap_children == 0 ? 8 : 2 * l->cap_children;
    fw_layer **const children = fwi_realloc(l->children, (size_t)cap * sizeof *children);
    if (children == NULL)
        return FW_ENOMEM;
    l->children = children;
    l->cap_children = cap;
    return FW_OK;
}

/* May child, owned by nobody, go below parent? */
static fw_status check_fit(const fw_layer *parent, const fw_layer *child)
{
    int64_t depth = 1;
    const fw_layer *root = parent;
    while (root->parent != NULL) {
        root = root->parent;
        depth++;
    }
    if (depth + child->height > FWI_LAYER_DEPTH)
        return fwi_fail(FW_EARG, "containers are nested more than %d deep", FWI_LAYER_DEPTH);
    if (root->count + child->count > FWI_LAYER_COUNT)
        return fwi_fail(FW_EARG, "a model has at most %d layers", FWI_LAYER_COUNT);
    return FW_OK;
}

static bool is_above(const fw_layer *l, const fw_layer *below)
{
    for (; below != NULL; below = below->parent)
        if (below == l)
            return true;
    return false;
}

void fw_add(fw_layer *parent, fw_layer *child)
{
    if (parent == NULL) {
        fw_layer_free(child);
        return;
    }
    fw_status st = FW_OK;
    if (child == NULL) {
        st = fwi_fail(FW_EARG, "child %" PRId64 " is NULL (builders give that when memory is out)",
                      parent->n_children);
    } else if (child->parent != NULL || is_above(child, parent)) {
        st = fwi_fail(FW_EARG, "child %" PRId64 " is in a model already", parent->n_children);
        child = NULL; /* it has an owner: that model, or, if it is above parent, the caller */
    } else if (!fwi_layer_info_get(parent->kind)->container) {
        st = fwi_fail(FW_EARG, "takes no children");
    } else if (parent->kind == FWI_L_PARALLEL && child->kind != FWI_L_SEQUENTIAL) {
        /* A branch is a sequential, in C as in text, so that variables have one name. */
        fw_layer *const branch = fw_sequential();
        if (branch == NULL) {
            st = FW_ENOMEM;
        } else {
            fw_add(branch, child);
            child = branch;
        }
    }
    if (st == FW_OK)
        st = check_fit(parent, child);
    if (st == FW_OK)
        st = grow(parent);
    if (st != FW_OK) {
        fwi_layer_stick(parent, st);
        fw_layer_free(child);
        return;
    }
    child->parent = parent;
    parent->children[parent->n_children++] = child;
    int64_t height = child->height;
    for (fw_layer *up = parent; up != NULL; up = up->parent) {
        up->count += child->count;
        height++;
        if (height > up->height)
            up->height = height;
    }
}

fw_layer *fw_sequential(void)
{
    return fwi_layer_new(FWI_L_SEQUENTIAL);
}

fw_layer *fw_parallel(void)
{
    return fwi_layer_new(FWI_L_PARALLEL);
}

/* ---- calls ---- */

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
    static const char *const names[FWI_OPT_COUNT] = {
        [FWI_OPT_KERNEL] = "kernel",       [FWI_OPT_STRIDE] = "stride",
        [FWI_OPT_PADDING] = "padding",     [FWI_OPT_ACT] = "act",
        [FWI_OPT_ACT_ALPHA] = "act_alpha", [FWI_OPT_POOLING] = "pooling",
        [FWI_OPT_CONVS] = "convs",         [FWI_OPT_POOL_FIRST] = "pool_first"};
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
    double v[6];
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
                             o->images == 0 ? 5000 : (double)o->images, !o->no_negatives,
                             !o->no_bias, o->same_padding ? FW_SAME : FW_VALID}};
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
