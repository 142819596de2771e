/* no_cuda.c: stands for this room where the library is built without CUDA: a backend that cannot be
 * opened, and why. */
#include "cuda_backend.h"
#include "own_conv.h"

#include <stdio.h>

const fwi_backend fwi_backend_cuda = {.name = "cuda"};

bool fwi_cuda_describe(char *text, size_t cap)
{
    snprintf(text, cap, "this build has no CUDA backend");
    return false;
}

int fwi_own_conv_candidates(const fwi_call *c, fwi_own_conv out[FWI_OWN_CONVS])
{
    (void)c, (void)out;
    return 0;
}

int fwi_cuda_gpus(void)
{
    (void)fwi_fail(FW_EUNAVAILABLE, "this build has no CUDA backend");
    return 0;
}

fw_status fwi_cuda_gpu_info(int i, fwi_gpu_info *out)
{
    *out = (fwi_gpu_info){.name = ""};
    return fwi_fail(FW_ENOTFOUND, "GPU %d: this build has no CUDA backend", i);
}
