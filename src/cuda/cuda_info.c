/* cuda_info.c: what the GPUs of this machine are, without opening a device: for `fenwicks doctor`. Read
 * before: cuda_inner.h, cuda_check.c. */
#include "cuda_inner.h"
#include "dyn.h"

#include <stdio.h>
#include <string.h>

int fwi_cuda_gpus(void)
{
    int n = 0;
    return fwi_cuda_count(&n) == FW_OK ? n : 0;
}

/* The driver's own version: behind the words "Kernel Module" of a file that it keeps; "" where that is
 * not to be had. */
static void driver_version(char *text, size_t cap)
{
    char line[256] = "";
    FILE *f = fopen("/proc/driver/nvidia/version", "r");
    text[0] = 0;
    if (f == NULL)
        return;
    const char *at = fgets(line, sizeof line, f) != NULL ? strstr(line, "Kernel Module") : NULL;
    fclose(f);
    for (at = at != NULL ? at + strlen("Kernel Module") : ""; *at != 0; at++) {
        const size_t n = strspn(at, "0123456789.");
        if (n > 2 && n < cap && memchr(at, '.', n) != NULL) { /* "for x86_64" may come before it */
            memcpy(text, at, n);
            text[n] = 0;
            return;
        }
        at += n > 0 ? n - 1 : 0;
    }
}

/* One library's version, or why it cannot be opened. Both count major * 10000 + minor * 100 + patch. */
static size_t library_version(char *text, size_t cap, const fwi_dyn_library *lib, void *api,
                              size_t (*const *version)(void))
{
    void *library = NULL;
    if (fwi_dyn_open(&library, lib, api) != FW_OK)
        return (size_t)snprintf(text, cap, "no %s", fw_last_error());
    const size_t v = (*version)();
    fwi_dyn_close(library);
    return (size_t)snprintf(text, cap, "%s %zu.%zu.%zu", lib->title, v / 10000, v / 100 % 100,
                            v % 100);
}

static void library_versions(char *text, size_t cap)
{
    fwi_cudnn_api dnn;
    fwi_cublaslt_api blas;
    size_t n = library_version(text, cap, &fwi_dyn_cudnn, &dnn, &dnn.cudnnGetVersion);
    if (n < cap)
        n += (size_t)snprintf(text + n, cap - n, "; ");
    if (n < cap)
        (void)library_version(text + n, cap - n, &fwi_dyn_cublaslt, &blas,
                              &blas.cublasLtGetVersion);
}

fw_status fwi_cuda_gpu_info(int i, fwi_gpu_info *out)
{
    struct cudaDeviceProp p;
    size_t free_bytes = 0, all_bytes = 0;
    *out = (fwi_gpu_info){.name = ""};
    (void)cudaDriverGetVersion(&out->driver_cuda);
    (void)cudaRuntimeGetVersion(&out->runtime_cuda);
    driver_version(out->driver, sizeof out->driver);
    fw_status st = fwi_cuda_check(cudaGetDeviceProperties(&p, i), "cudaGetDeviceProperties");
    if (st != FW_OK)
        return st;
    snprintf(out->name, sizeof out->name, "%s", p.name);
    out->major = p.major;
    out->minor = p.minor;
    out->multiprocessors = p.multiProcessorCount;
    out->memory_bytes = (int64_t)p.totalGlobalMem;
    out->l2_bytes = p.l2CacheSize;
    st = fwi_cuda_use(i);
    if (st == FW_OK)
        st = fwi_cuda_check(cudaMemGetInfo(&free_bytes, &all_bytes), "cudaMemGetInfo");
    if (st == FW_OK)
        out->memory_free = (int64_t)free_bytes;
    if (st == FW_OK)
        st = fwi_cuda_check_code(i, &p);
    if (st != FW_OK) /* another process may hold it for itself alone, say */
        snprintf(out->why, sizeof out->why, "%s", fw_last_error());
    library_versions(out->libraries, sizeof out->libraries);
    return FW_OK;
}
