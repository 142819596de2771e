/* nn.h: from layers to graphs. */
#ifndef FWI_NN_H
#define FWI_NN_H

#include "ir.h"
#include <fenwicks/layers.h>

/* Appends the forward pass of l on x. training: batch statistics and dropout (and the updates of
 * running statistics); else running statistics. rng: the input "rng" for dropout, made on demand.
 * Variables are named by their place: a child of a sequential or parallel is its number; conv_bn
 * has conv.weight bn.gamma bn.beta bn.mean bn.var; conv_blk numbers its convs (2.0.conv.weight),
 * conv_res_blk adds res.0, res.1; preact_blk
 * has 0.bn, 0.conv, 1.bn, 1.conv and shortcut.conv; dense and classifier have dense.weight (dense.bias); conv2d
 * conv.weight (conv.bias); whiten whiten.weight, whiten.bias; batch_norm bn.*. So the walk-through's first residual filter
 * is 1.res.0.conv.weight, its head 5.dense.weight. FWI_NO_VAL on error, which g remembers with the
 * layer's place ("layer 3 (conv_res_blk): ..."). */
fwi_val fwi_layer_build(const fw_layer *l, fwi_graph *g, fwi_val x, bool training);

/* The first mistake in l or below; FW_OK. */
fw_status fwi_layer_check(const fw_layer *l);
/* Whether every batch norm's groups divide a batch of so many; FW_ESHAPE names the layer. */
fw_status fwi_layer_check_batch(const fw_layer *l, int64_t batch);
/* The least batch that a graph to train can be built for (2, without bn_groups). */
fw_status fwi_layer_least_batch(const fw_layer *l, int64_t *out);
fw_layer *fwi_layer_copy(const fw_layer *l); /* deep; NULL when memory is out */

/* fw_layer_parse for lines that come from elsewhere in a file: line_no[i] is the number that
 * messages give to line i of text, one per line. NULL: i + 1. */
fw_status fwi_layer_parse_numbered(fw_layer **out, const char *text, const char *source,
                                   const int64_t *line_no);

#endif
