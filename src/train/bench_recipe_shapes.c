/* bench_recipe_shapes.c: the convolutions that a recipe trains, at each of its resolutions, as shapes for
 * `bench conv`: an engine is chosen for one shape, batch included, so what is tuned has to be what is
 * trained. Read before: bench_inner.h, nn.h. */
#include "bench_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "nn.h"
#include "recipe_inner.h"

enum { MANY_STEPS = 1000000 }; /* so many that every resolution has some */

typedef struct shapes {
    fw_conv_shape *out;
    int cap, n;
    const char *net;
} shapes;

static bool same(const fw_conv_shape *a, const fw_conv_shape *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c && a->oc == b->oc &&
           a->k == b->k && a->stride == b->stride && a->pad == b->pad;
}

/* A convolution as a shape has it: square, with the same padding on all sides; others are left out. */
static void add(shapes *to, const fwi_graph *g, const fwi_op *op)
{
    const int64_t *const x = g->tensors[op->in[0]].shape.d;
    const int64_t *const w = g->tensors[op->in[1]].shape.d;
    const int64_t *const y = g->tensors[op->out[0]].shape.d;
    const fwi_conv_attr *const a = &op->attr.conv;
    fw_conv_shape s = {.n = x[0],
                       .h = x[1],
                       .w = x[2],
                       .c = x[3],
                       .oc = w[0],
                       .k = w[1],
                       .stride = a->stride,
                       .pad = a->pad_t,
                       .oh = y[1],
                       .ow = y[2]};
    if (w[1] != w[2] || a->pad_l != s.pad || a->pad_b != s.pad || a->pad_r != s.pad)
        return;
    snprintf(s.net, sizeof s.net, "%.*s", (int)sizeof s.net - 1, to->net);
    snprintf(s.name, sizeof s.name, "conv%d", to->n + 1);
    for (int i = 0; i < to->n && i < to->cap; i++)
        if (same(&to->out[i], &s))
            return;
    if (to->n < to->cap)
        to->out[to->n] = s;
    to->n++;
}

static fw_status add_size(shapes *to, const fw_layer *net, int64_t batch, int64_t h, int64_t w,
                          int64_t c)
{
    fwi_graph *g = NULL;
    fw_status st = fwi_graph_new(&g, FW_F32);
    if (st != FW_OK)
        return st;
    (void)fwi_layer_build(net, g, fwi_graph_input(g, "images", FW_F32, fwi_shape4(batch, h, w, c)),
                          true);
    st = fwi_graph_status(g);
    for (int32_t i = 0; i < g->n_ops && st == FW_OK; i++)
        if (g->ops[i].kind == FWI_OP_conv2d)
            add(to, g, &g->ops[i]);
    fwi_graph_free(g);
    return st;
}

fw_status fw_recipe_conv_shapes(const fw_recipe *r, fw_conv_shape *out, int cap, int *n)
{
    if (r == NULL || n == NULL || cap < 0 || (out == NULL && cap > 0))
        return fwi_fail(FW_EARG, "fw_recipe_conv_shapes: NULL argument");
    shapes to = {.out = out, .cap = cap, .net = fw_recipe_name(r)};
    fw_resolution size[FW_MAX_RESOLUTIONS];
    int64_t hwc[3] = {0};
    int32_t sizes = 0;
    fw_layer *net = NULL, *proxy = NULL;
    fw_status st = fw_recipe_check(r, NULL);
    if (st == FW_OK)
        st = fwi_recipe_net(r, &net);
    if (st == FW_OK)
        st = fwi_recipe_resolutions(r, MANY_STEPS, size, &sizes);
    (void)fwi_recipe_size(r, hwc);
    const int64_t batch = fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH);
    const bool chosen =
        fwi_recipe_lines(r, FWI_KEY_PROXY_LAYER)->n > 0; /* rows of the batch, by a proxy */
    const int64_t rows = chosen ? fwi_recipe_int(r, FWI_KEY_PROXY_KEEP) : batch;
    if (st == FW_OK && chosen)
        st = fwi_recipe_proxy(r, &proxy);
    for (int32_t i = 0; i <= sizes && st == FW_OK; i++) {
        const int64_t h = i < sizes ? size[i].size : hwc[0], w = i < sizes ? size[i].size : hwc[1];
        st = add_size(&to, net, rows, h, w, hwc[2]);
        if (st == FW_OK && chosen)
            st = add_size(&to, proxy, batch, h, w, hwc[2]);
    }
    fw_layer_free(net);
    fw_layer_free(proxy);
    if (st == FW_OK)
        *n = to.n;
    return st;
}
