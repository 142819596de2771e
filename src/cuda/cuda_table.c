/* cuda_table.c: our own kernels as one table: the lists of the .cu files, chained. The chain ends
 * without a base: what it lacks, a GPU cannot do. Read before: cuda_inner.h. */
#include "cuda_inner.h"

/* FAMILY(name, the one before): a file with rows, and where the search goes on after them. */
#define FAMILY(family, before)                                                                     \
    extern const fwi_kernel FWI_CUDA_ROWS(family)[];                                               \
    static const fwi_op_table family = {                                                           \
        .name = "cuda", .base = (before), .rows = FWI_CUDA_ROWS(family), .nb = 1};

FAMILY(muon, NULL)
FAMILY(optim, &muon)
FAMILY(xent, &optim)
FAMILY(dropout, &xent)
FAMILY(layout, &dropout)
FAMILY(matmul, &layout)
FAMILY(pool, &matmul)
FAMILY(bias, &pool)
FAMILY(elementwise, &bias)
FAMILY(act, &elementwise)
FAMILY(bn, &act)
FAMILY(conv2d, &bn)
FAMILY(narrow, &conv2d)
FAMILY(resize, &narrow)
FAMILY(fused, &resize)

const fwi_op_table *FWI_CUDA_OWN_TABLE(void)
{
    return &fused;
}
