/* dyn.h: the libraries of CUDA that are opened when the program runs. One binary serves machines
 * with and without them, so nothing links against cuDNN or cuBLASLt: each is a table of functions,
 * filled by name. A library that lacks one of them is refused as a whole. Read next: cuda_libs.h, which
 * opens both for a device.
 * CUDA types appear here: this header is for src/cuda alone. */
#ifndef FWI_DYN_H
#define FWI_DYN_H

#include "fail.h"
#include <cublasLt.h>
#include <cudnn_graph.h>

#define FWI_CUDNN_SYMBOLS(SYMBOL)                                                                  \
    SYMBOL(cudnnGetVersion)                                                                        \
    SYMBOL(cudnnGetErrorString)                                                                    \
    SYMBOL(cudnnGetLastErrorString)                                                                \
    SYMBOL(cudnnCreate)                                                                            \
    SYMBOL(cudnnDestroy)                                                                           \
    SYMBOL(cudnnSetStream)                                                                         \
    SYMBOL(cudnnBackendCreateDescriptor)                                                           \
    SYMBOL(cudnnBackendDestroyDescriptor)                                                          \
    SYMBOL(cudnnBackendSetAttribute)                                                               \
    SYMBOL(cudnnBackendGetAttribute)                                                               \
    SYMBOL(cudnnBackendFinalize)                                                                   \
    SYMBOL(cudnnBackendExecute)

#define FWI_CUBLASLT_SYMBOLS(SYMBOL)                                                               \
    SYMBOL(cublasLtGetVersion)                                                                     \
    SYMBOL(cublasLtGetStatusString)                                                                \
    SYMBOL(cublasLtCreate)                                                                         \
    SYMBOL(cublasLtDestroy)                                                                        \
    SYMBOL(cublasLtMatmulDescCreate)                                                               \
    SYMBOL(cublasLtMatmulDescDestroy)                                                              \
    SYMBOL(cublasLtMatmulDescSetAttribute)                                                         \
    SYMBOL(cublasLtMatrixLayoutCreate)                                                             \
    SYMBOL(cublasLtMatrixLayoutDestroy)                                                            \
    SYMBOL(cublasLtMatrixLayoutSetAttribute)                                                       \
    SYMBOL(cublasLtMatmulPreferenceCreate)                                                         \
    SYMBOL(cublasLtMatmulPreferenceDestroy)                                                        \
    SYMBOL(cublasLtMatmulPreferenceSetAttribute)                                                   \
    SYMBOL(cublasLtMatmulAlgoGetHeuristic)                                                         \
    SYMBOL(cublasLtMatmul)

#define FWI_DYN_MEMBER(name) __typeof__(&name) name;
typedef struct fwi_cudnn_api {
    FWI_CUDNN_SYMBOLS(FWI_DYN_MEMBER)
} fwi_cudnn_api;
typedef struct fwi_cublaslt_api {
    FWI_CUBLASLT_SYMBOLS(FWI_DYN_MEMBER)
} fwi_cublaslt_api;
#undef FWI_DYN_MEMBER

typedef struct fwi_dyn_symbol {
    const char *name;
    size_t at; /* of its pointer in the api */
} fwi_dyn_symbol;

/* A library as it is looked for. */
typedef struct fwi_dyn_library {
    const char *title;             /* "cuDNN" */
    const char *file;              /* "libcudnn.so.9" */
    const char *variable;          /* environment: a path that is taken instead of `file` */
    const char *help;              /* what to install */
    const fwi_dyn_symbol *symbols; /* ends with a row without a name */
} fwi_dyn_library;
extern const fwi_dyn_library fwi_dyn_cudnn, fwi_dyn_cublaslt;

/* Opens the library and fills api, a struct of the pointers that its symbols name. The file comes
 * from the environment's variable (that path or nothing), else by its name from where the system
 * looks, else from the folder of the toolkit that this program was built with. FW_EUNAVAILABLE with
 * a sentence that says what was looked for, what is missing and what would help; *out is then NULL
 * and api untouched. *out is given back by fwi_dyn_close (NULL: nothing), which leaves the library and
 * its variables where they are until the process ends: the CUDA runtime points into them. */
fw_status fwi_dyn_open(void **out, const fwi_dyn_library *lib, void *api);
void fwi_dyn_close(void *library);

#endif
