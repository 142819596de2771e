/* dyn.c: opening a library and finding its functions. Read before: dyn.h. */
#include "dyn.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* A library's major version is part of its name; the headers say which one this build is for. */
#define TEXT_OF(number) #number
#define NUMBER(number)  TEXT_OF(number)

#ifndef FWI_CUDA_LIBRARY_DIR /* the build says where the toolkit's libraries were */
#define FWI_CUDA_LIBRARY_DIR "/usr/local/cuda/lib64"
#endif

#define CUDNN_ROW(name)    {#name, offsetof(fwi_cudnn_api, name)},
#define CUBLASLT_ROW(name) {#name, offsetof(fwi_cublaslt_api, name)},
static const fwi_dyn_symbol cudnn_symbols[] = {FWI_CUDNN_SYMBOLS(CUDNN_ROW){NULL, 0}};
static const fwi_dyn_symbol cublaslt_symbols[] = {FWI_CUBLASLT_SYMBOLS(CUBLASLT_ROW){NULL, 0}};

const fwi_dyn_library fwi_dyn_cudnn = {
    .title = "cuDNN",
    .file = "libcudnn.so." NUMBER(CUDNN_MAJOR),
    .variable = "FENWICKS_CUDNN",
    .help = "cuDNN " NUMBER(CUDNN_MAJOR) " for the CUDA version of this build",
    .symbols = cudnn_symbols,
};
const fwi_dyn_library fwi_dyn_cublaslt = {
    .title = "cuBLASLt",
    .file = "libcublasLt.so." NUMBER(CUBLAS_VER_MAJOR),
    .variable = "FENWICKS_CUBLASLT",
    .help = "the cuBLAS of CUDA " NUMBER(CUBLAS_VER_MAJOR),
    .symbols = cublaslt_symbols,
};

static fw_status cannot_open(const fwi_dyn_library *lib, const char *why)
{
    return fwi_fail(FW_EUNAVAILABLE,
                    "%s: cannot open it: %s; install %s, or say where it is with %s=PATH",
                    lib->title, why != NULL ? why : "no reason given", lib->help, lib->variable);
}

static fw_status open_file(void **out, const fwi_dyn_library *lib)
{
    /* They keep state of CUDA's in static variables, which the runtime holds on to: once mapped they
     * stay, and who opens one again finds it as it was. */
    const int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    const char *asked = getenv(lib->variable);
    if (asked != NULL && *asked != 0) {
        *out = dlopen(asked, flags);
        return *out != NULL ? FW_OK : cannot_open(lib, dlerror());
    }
    *out = dlopen(lib->file, flags);
    if (*out != NULL)
        return FW_OK;
    /* the sentence names the file that the system was asked for, not the second try */
    const fw_status st = cannot_open(lib, dlerror());
    char path[1024] = FWI_CUDA_LIBRARY_DIR "/";
    strncat(path, lib->file, sizeof path - strlen(path) - 1);
    *out = dlopen(path, flags);
    return *out != NULL ? FW_OK : st;
}

fw_status fwi_dyn_open(void **out, const fwi_dyn_library *lib, void *api)
{
    *out = NULL;
    void *library = NULL;
    fw_status st = open_file(&library, lib);
    if (st != FW_OK)
        return st;
    for (const fwi_dyn_symbol *s = lib->symbols; s->name != NULL && st == FW_OK; s++) {
        if (dlsym(library, s->name) == NULL)
            st = fwi_fail(FW_EUNAVAILABLE,
                          "%s: the library has no function %s: it is another version; install %s",
                          lib->title, s->name, lib->help);
    }
    if (st != FW_OK) {
        dlclose(library);
        return st;
    }
    for (const fwi_dyn_symbol *s = lib->symbols; s->name != NULL; s++) {
        void *const function = dlsym(library, s->name);
        memcpy((char *)api + s->at, &function, sizeof function);
    }
    *out = library;
    return FW_OK;
}

void fwi_dyn_close(void *library)
{
    if (library != NULL)
        dlclose(library);
}
