/* build.c: from a model to ops: the walk over its layers, containers, names, and the place that a
 * message gives.
 *
 * Each kind's own ops are in build_layers.c, made of the parts in build_parts.c. Nothing here
 * computes or keeps memory: all goes into the graph, whose builder calls do nothing after its first
 * error, so that only the end has to be checked. */
#include "layer_inner.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

size_t fwi_scope_enter(fwi_builder *b, const char *fmt, ...)
{
    const size_t before = b->name_len;
    const size_t room = sizeof b->name - before;
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(b->name + before, room, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n + 1 >= room) { /* far beyond what the graph takes as a name */
        b->name[before] = 0;
        fwi_build_fail(b, FW_EARG, "its variables' names are too long");
        return before;
    }
    b->name_len = before + (size_t)n;
    b->name[b->name_len++] = '.';
    b->name[b->name_len] = 0;
    return before;
}

void fwi_scope_leave(fwi_builder *b, size_t before)
{
    b->name_len = before;
    b->name[before] = 0;
}

fwi_val fwi_build_fail(fwi_builder *b, fw_status st, const char *fmt, ...)
{
    if (b->g->status != FW_OK) /* the first one counts */
        return FWI_NO_VAL;
    char what[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    fwi_fail(st, "%s", what);
    if (b->g->where != NULL)
        fwi_fail_in(st, "%s", b->g->where);
    fwi_graph_stick(b->g, st);
    return FWI_NO_VAL;
}

const fwi_shape *fwi_build_shape(const fwi_builder *b, fwi_val x)
{
    return b->g->status == FW_OK && x >= 0 && x < b->g->n_tensors ? &b->g->tensors[x].shape : NULL;
}

fwi_val fwi_build_layer(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    char path[FWI_LAYER_PLACE_CAP], place[FWI_LAYER_PLACE_CAP];
    if (b->g->status != FW_OK)
        return FWI_NO_VAL;
    memcpy(path, b->name, b->name_len + 1);
    if (b->name_len > 0)
        path[b->name_len - 1] = 0; /* without the last '.' */
    const char *const before = b->g->where;
    b->g->where = fwi_layer_place(place, path, l);
    fwi_val y = fwi_layer_info_get(l->kind)->build(b, l, x);
    if (b->g->n_ops - b->first_op > FWI_LAYER_OPS)
        y = fwi_build_fail(b, FW_EARG, "the model has more than %d ops", FWI_LAYER_OPS);
    b->g->where = before;
    return y;
}

fwi_val fwi_build_sequential(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    for (int64_t i = 0; i < l->n_children; i++) {
        const size_t before = fwi_scope_enter(b, "%" PRId64, i);
        x = fwi_build_layer(b, l->children[i], x);
        fwi_scope_leave(b, before);
    }
    return x;
}

fwi_val fwi_build_parallel(fwi_builder *b, const fw_layer *l, fwi_val x)
{
    fwi_val joined = FWI_NO_VAL;
    for (int64_t i = 0; i < l->n_children; i++) {
        const size_t before = fwi_scope_enter(b, "%" PRId64, i);
        const fwi_val y = fwi_build_layer(b, l->children[i], x);
        fwi_scope_leave(b, before);
        joined = i == 0 ? y : fwi_op2(b->g, FWI_OP_concat, NULL, joined, y);
    }
    return joined;
}

fwi_val fwi_layer_build(const fw_layer *l, fwi_graph *g, fwi_val x, bool training)
{
    fwi_builder b = {.g = g, .training = training, .first_op = g->n_ops};
    if (g->status != FW_OK)
        return FWI_NO_VAL;
    const fw_status st = fwi_layer_check(l);
    if (st != FW_OK) {
        fwi_graph_stick(g, st);
        return FWI_NO_VAL;
    }
    if (l->kind == FWI_L_SEQUENTIAL)
        return fwi_build_layer(&b, l, x);
    /* A lone layer is a model of one, as it is when it is printed and read back. */
    const size_t before = fwi_scope_enter(&b, "0");
    const fwi_val y = fwi_build_layer(&b, l, x);
    fwi_scope_leave(&b, before);
    return y;
}
