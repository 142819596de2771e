/* layer.c: layers as values: their memory, containers, mistakes. The calls that make them are in
 * layer_calls.c.
 *
 * Nothing here knows what a layer computes (build_*.c) or how it is written (layer_text.c); what
 * parameters a kind has is in layer_kinds.c. A container owns its children; limits on depth and
 * count are kept when a child is added, so that every later walk may recurse. */
#include "layer_inner.h"

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
    if (has_param(l, "pool_before_act") && fwi_layer_value(l, "pool_before_act") != 0) {
        if (fwi_layer_int(l, "pooling") == FW_POOL_NONE)
            return fwi_fail(FW_EARG, "pool_before_act is for blocks with a pool, pooling is none");
        if (fwi_layer_value(l, "pool_first") != 0)
            return fwi_fail(FW_EARG, "pool_first and pool_before_act are two places of one pool");
    }
    if (has_param(l, "skip") && fwi_layer_value(l, "skip") != 0 && fwi_layer_int(l, "convs") < 2)
        return fwi_fail(FW_EARG, "skip is for blocks of 2 convolutions or more, convs is 1");
    if (has_param(l, "bn_uniform_scale") && fwi_layer_value(l, "bn_uniform_scale") != 0 &&
        fwi_layer_value(l, "bn_fixed_scale") != 0)
        return fwi_fail(FW_EARG, "bn_fixed_scale is a scale of 1, bn_uniform_scale a random one");
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

/* Of a batch norm, its bn_groups; 1 for what has none. */
static int64_t groups_of(const fw_layer *l)
{
    return has_param(l, "bn_groups") ? fwi_layer_int(l, "bn_groups") : 1;
}

/* batch: 0 where it is not known. */
static fw_status check(const fw_layer *l, char path[FWI_LAYER_PLACE_CAP], size_t path_len,
                       int64_t batch)
{
    char place[FWI_LAYER_PLACE_CAP];
    if (l->status != FW_OK) {
        fwi_layer_place(place, path, l);
        return fwi_fail(l->status, "%s: %s", place,
                        l->error != NULL ? l->error : "a mistake; no memory for its text");
    }
    if (l->kind == FWI_L_PARALLEL && l->n_children == 0)
        return fwi_fail(FW_EARG, "%s: has no branches", fwi_layer_place(place, path, l));
    if (batch % groups_of(l) != 0)
        return fwi_fail(FW_ESHAPE,
                        "%s: bn_groups is %" PRId64 ", which does not divide a batch of %" PRId64,
                        fwi_layer_place(place, path, l), groups_of(l), batch);
    for (int64_t i = 0; i < l->n_children; i++) {
        const int n = snprintf(path + path_len, FWI_LAYER_PLACE_CAP - path_len, "%s%" PRId64,
                               path_len > 0 ? "." : "", i);
        const size_t len = path_len + (size_t)n;
        const fw_status st = check(
            l->children[i], path, len < FWI_LAYER_PLACE_CAP ? len : FWI_LAYER_PLACE_CAP - 1, batch);
        if (st != FW_OK)
            return st;
        path[path_len] = 0;
    }
    return FW_OK;
}

fw_status fwi_layer_check_batch(const fw_layer *l, int64_t batch)
{
    char path[FWI_LAYER_PLACE_CAP] = "";
    if (l == NULL)
        return fwi_fail(FW_EARG, "the model is NULL (builders give that when memory is out)");
    if (l->kind == FWI_L_SEQUENTIAL && l->n_children == 0 && l->status == FW_OK)
        return fwi_fail(FW_EARG, "the model has no layers");
    return check(l, path, 0, batch);
}

fw_status fwi_layer_check(const fw_layer *l)
{
    return fwi_layer_check_batch(l, 0);
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The least common multiple of all bn_groups in l and of `all`; more than the bound: beyond it. */
static int64_t common_groups(const fw_layer *l, int64_t all)
{
    const int64_t own = l->status == FW_OK ? groups_of(l) : 1;
    all = all / common_divisor(all, own) * own;
    for (int64_t i = 0; i < l->n_children && all <= FWI_LAYER_BATCH; i++)
        all = common_groups(l->children[i], all);
    return all;
}

fw_status fwi_layer_least_batch(const fw_layer *l, int64_t *out)
{
    const int64_t groups = l == NULL ? 1 : common_groups(l, 1);
    if (groups > FWI_LAYER_BATCH)
        return fwi_fail(FW_EARG, "no batch of up to %d is a multiple of every layer's bn_groups",
                        FWI_LAYER_BATCH);
    *out = 2 * groups;
    return FW_OK;
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
        return fwi_fail(FW_EARG, "layers lie more than %d deep, the network itself counted",
                        FWI_LAYER_DEPTH);
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
