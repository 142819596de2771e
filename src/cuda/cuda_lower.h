/* cuda_lower.h: what a GPU makes of a canonical graph. No type of CUDA stands here, so that tests
 * lower with it where there is none. Read before: cpu_lower.h. Next: cuda_device.c. */
#ifndef FWI_CUDA_LOWER_H
#define FWI_CUDA_LOWER_H

#include "exec.h"

/* fwi_backend.lower with the rows of `table`: joined ops, images of 16 bits where the graph stores them so,
 * updates last. FW_EUNAVAILABLE for a graph in f64. */
fw_status fwi_cuda_lower(const fwi_op_table *table, fwi_graph *g);

#endif
