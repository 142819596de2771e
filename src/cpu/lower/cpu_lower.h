/* cpu_lower.h: a backend's own passes over a canonical graph, in this order: fusion, the
 * batch-blocked layout, and by which algorithm each convolution is computed. Which kernels a table
 * has decides what is fused and what becomes blocked, so that a table without blocked rows leaves a
 * graph as it is. Read before: ir.h (fwi_layout), exec.h. */
#ifndef FWI_CPU_LOWER_H
#define FWI_CPU_LOWER_H

#include "exec.h"

/* Images per block for a batch of n: of the CPU's kernels, and of a table's. */
int32_t fwi_block_of(int64_t n);
int32_t fwi_table_block_of(const fwi_op_table *table, int64_t n);

/* Joins batch norms (of images, rank 4) and bias additions with what stands around them,
 * and their gradients, into the fused ops of ops.def, as far as `table` has rows of these for
 * blocked images. A graph that is to be blocked afterwards; g is verified before and verifies
 * after. */
fw_status fwi_lower_fuse(fwi_graph *g, const fwi_op_table *table);

/* The op's call with its activations blocked and stored as g->storage, the rest as it is in n h w c;
 * whether layout.c and the table let it run so. */
bool fwi_blocked_call(const fwi_graph *g, const fwi_op_table *table, const fwi_op *op,
                      fwi_call *out);

/* Makes the activations of each op that has a blocked row in `table` batch-blocked, stored as
 * g->storage, and puts conversions where the other ops read or make them. g is verified before and
 * verifies after; inputs, variables, gradients and outputs keep type and layout. */
fw_status fwi_lower_blocked(fwi_graph *g, const fwi_op_table *table);

/* Sets the algorithm of each convolution of a graph that has its layout, as g->conv wants it: a
 * Winograd algorithm where conv_choice.c holds it for faster and the table has a row of it for the
 * call, else DIRECT. The last of the passes: others may make convolutions. */
fw_status fwi_lower_conv(fwi_graph *g, const fwi_op_table *table);

/* ---- conv_choice.c: what was measured to be fastest ---- */
typedef enum fwi_conv_pass {
    FWI_CONV_FORWARD,
    FWI_CONV_INPUT_GRAD,
    FWI_CONV_FILTER_GRAD
} fwi_conv_pass;
fwi_conv_pass fwi_conv_pass_of(fwi_opkind kind); /* of an op with the attributes of a convolution */
/* The fastest of DIRECT and the `allowed` ones, a set of 1 << algo, for a 3 x 3 convolution with stride
 * 1. table: of the kernels that would compute it ("avx512"); side: the shorter one of the images
 * that it gives (FILTER_GRAD: of the gradient that it takes), which are cut into squares; c, oc: channels. */
fwi_conv_algo fwi_conv_choice(const char *table, fw_dtype dtype, fwi_conv_pass pass, int64_t side,
                              int64_t c, int64_t oc, unsigned allowed);
/* Whether this table's kernels multiply images stored as bf16 as they are; others widen to f32 first. */
bool fwi_multiplies_bf16(const char *table);

#endif
