/* code.cu: whether there is code for the current GPU in this build at all, which is asked before a device is
 * opened: every file of this room is compiled for the same targets. Read before: cuda_inner.h. */
#ifndef FWI_CUDA_EMULATED
#include <cuda_runtime.h>
extern "C" {
#include "cuda_inner.h"
}

static __global__ void nothing_kernel()
{
}

cudaError_t fwi_cuda_code(void)
{
    struct cudaFuncAttributes a;
    return cudaFuncGetAttributes(&a, (const void *)nothing_kernel);
}
#endif
