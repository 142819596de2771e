/* cuda_check.c: what CUDA says, as a status and a sentence; and whether there is a GPU at all. The
 * runtime is linked in and finds the driver by itself, so one program serves machines with and
 * without. Read before: cuda_inner.h. */
#include "cuda_inner.h"

#include <stdio.h>

fw_status fwi_cuda_check(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return FW_OK;
    return fwi_fail(e == cudaErrorMemoryAllocation ? FW_ENOMEM : FW_EINTERNAL, "cuda: %s: %s (%s)",
                    what, cudaGetErrorName(e), cudaGetErrorString(e));
}

fw_status fwi_cuda_use(int device)
{
    int now = -1;
    /* asked of CUDA and not remembered here: the program around us may have chosen another since */
    if (cudaGetDevice(&now) == cudaSuccess && now == device)
        return FW_OK;
    return fwi_cuda_check(cudaSetDevice(device), "cudaSetDevice");
}

fw_status fwi_cuda_check_code(int device, const struct cudaDeviceProp *p)
{
    if (p->major < 8)
        return fwi_fail(FW_EUNAVAILABLE,
                        "%s has compute capability %d.%d, this build's kernels need 8.0 or later",
                        p->name, p->major, p->minor);
    const fw_status st = fwi_cuda_use(device);
    if (st != FW_OK)
        return st;
    const cudaError_t e = fwi_cuda_code();
    /* documented is the first alone; the others say what a driver that cannot use an image says elsewhere */
    static const cudaError_t unusable[] = {
        cudaErrorInvalidDeviceFunction, cudaErrorNoKernelImageForDevice,
        cudaErrorUnsupportedPtxVersion, cudaErrorInvalidPtx,
        cudaErrorJitCompilerNotFound,   cudaErrorJitCompilationDisabled};
    bool usable = true;
    for (size_t i = 0; i < sizeof unusable / sizeof *unusable; i++)
        usable = usable && e != unusable[i];
    if (!usable) {
        (void)cudaGetLastError(); /* it is no failure of what comes next */
        return fwi_fail(
            FW_EUNAVAILABLE,
            "%s has compute capability %d.%d, this build has kernels for " FWI_CUDA_TARGETS
            " (FW_CUDA_TARGETS): %s",
            p->name, p->major, p->minor, cudaGetErrorName(e));
    }
    return fwi_cuda_check(e, "cudaFuncGetAttributes");
}

/* 12080 is 12.8 */
static int major(int version)
{
    return version / 1000;
}

static int minor(int version)
{
    return version % 1000 / 10;
}

fw_status fwi_cuda_count(int *n)
{
    int driver = 0, built = 0;
    *n = 0;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&built);
    if (driver == 0)
        return fwi_fail(FW_EUNAVAILABLE,
                        "no NVIDIA driver was found (libcuda.so.1); use the device cpu");
    const cudaError_t e = cudaGetDeviceCount(n);
    if (e == cudaErrorInsufficientDriver)
        return fwi_fail(FW_EUNAVAILABLE,
                        "the NVIDIA driver is too old: it serves CUDA %d.%d, this build needs "
                        "%d.%d or later; use the device cpu",
                        major(driver), minor(driver), major(built), 0);
    if (e == cudaErrorNoDevice || (e == cudaSuccess && *n == 0))
        return fwi_fail(FW_EUNAVAILABLE, "this machine has an NVIDIA driver, but no GPU that "
                                         "this process may use; use the device cpu");
    if (e != cudaSuccess)
        return fwi_fail(FW_EUNAVAILABLE, "the NVIDIA driver does not work: %s (%s)",
                        cudaGetErrorName(e), cudaGetErrorString(e));
    return FW_OK;
}

bool fwi_cuda_describe(char *text, size_t cap)
{
    int n = 0;
    size_t at = 0;
    if (fwi_cuda_count(&n) != FW_OK) {
        snprintf(text, cap, "%s", fw_last_error());
        return false;
    }
    text[0] = 0;
    for (int i = 0; i < n && at < cap; i++) {
        struct cudaDeviceProp p;
        if (cudaGetDeviceProperties(&p, i) != cudaSuccess)
            continue;
        at += (size_t)snprintf(text + at, cap - at, "%s%s (sm_%d%d, %.1f GiB)", at > 0 ? ", " : "",
                               p.name, p.major, p.minor, (double)p.totalGlobalMem / 1073741824);
    }
    return true;
}
