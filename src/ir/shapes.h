/* shapes.h: what the files of shape rules share: the rule, what it asks of inputs and attributes, and
 * the parts of rules that others lean on. A rule per name in ops.def's column "shape":
 *   shapes_window.c    convolutions, matrix products, biases, pools
 *   shapes_image.c     sizes of images
 *   shapes_layer.c     batch norms, activations, elementwise ops, dropout, movement
 *   shapes_head.c      loss and metric, the gradients' norm, updates
 *   shapes_backend.c   layouts, fused ops
 * and shapes.c has the table. A name without a rule is a build error. */
#ifndef FWI_SHAPES_H
#define FWI_SHAPES_H

#include "ir_rules.h"

enum { FWI_MAX_ATTR = 1 << 30 }; /* of sizes in attributes: sums of a few stay far from overflow */

typedef struct fwi_rule {
    fw_dtype real;
    int32_t nb; /* of the blocked inputs, which the rule sees as real n h w c; 0: none is */
    const fwi_attr *attr;
    fwi_type in[FWI_MAX_IN], out[FWI_MAX_OUT];
} fwi_rule;

/* Every rule: checks r->in and r->attr, gives r->out. */
#define FW_OP(name, attr, n_in, n_out, flags, shape, grad, test)                                   \
    fw_status fwi_rule_##shape(fwi_rule *r);
#include "ops.def"
#undef FW_OP

/* ---- pieces of rules; name is how the message calls the input or attribute ---- */

int64_t fwi_last_dim(const fwi_shape *s); /* rank >= 1: checked before */

fw_status fwi_want(const fwi_rule *r, int i, const char *name, fw_dtype dtype, int rank_lo,
                   int rank_hi);
fw_status fwi_want_real(const fwi_rule *r, int i, const char *name, int rank_lo, int rank_hi);
fw_status fwi_want_shape(const fwi_rule *r, int i, const char *name, fw_dtype dtype, fwi_shape s);
fw_status fwi_want_int(const char *name, int64_t v, int64_t lo, int64_t hi);
fw_status fwi_want_finite(const char *name, double v);
fw_status fwi_want_share(const char *name, double v, double lo, double hi); /* [lo, hi) */
fw_status fwi_want_positive(const char *name, double v);

/* shapes_layer.c: groups of a batch of n, which are contiguous runs of it. */
fw_status fwi_want_groups(int64_t groups, int64_t n);

void fwi_give(fwi_rule *r, int i, fw_dtype dtype, fwi_shape shape);

/* shapes_window.c: k and stride of a pool over ih x iw; gives the output's height and width. */
fw_status fwi_want_pool(const fwi_pool_attr *a, int64_t ih, int64_t iw, int64_t *oh, int64_t *ow);
fw_status fwi_want_max_window(const fwi_pool_attr *a);

#endif
