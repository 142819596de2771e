/* cuda_table.c: our own kernels as one table: the lists of the .cu files, chained. The chain ends
 * without a base: what it lacks, a GPU cannot do. Read before: cuda_inner.h. */
#include "cuda_inner.h"

extern const fwi_kernel FWI_CUDA_ROWS(act)[];

static const fwi_op_table act = {.name = "cuda", .rows = FWI_CUDA_ROWS(act), .nb = 1};

const fwi_op_table *FWI_CUDA_OWN_TABLE(void)
{
    return &act;
}
