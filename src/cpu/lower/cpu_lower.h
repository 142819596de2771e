/* cpu_lower.h: the CPU backend's own passes over a canonical graph: today the batch-blocked layout.
 * Which kernels a table has decides what becomes blocked, so that a table without blocked rows
 * leaves a graph as it is. Read before: ir.h (fwi_layout), exec.h. */
#ifndef FWI_CPU_LOWER_H
#define FWI_CPU_LOWER_H

#include "exec.h"

/* Images per block for a batch of n. */
int32_t fwi_block_of(int64_t n);

/* Makes the activations of each op that has a blocked row in `table` batch-blocked, stored as
 * g->storage, and puts conversions where the other ops read or make them. g is verified before and
 * verifies after; inputs, variables, gradients and outputs keep type and layout. */
fw_status fwi_lower_blocked(fwi_graph *g, const fwi_op_table *table);

#endif
