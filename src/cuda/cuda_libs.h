/* cuda_libs.h: cuDNN and cuBLASLt as one device has them: the functions, a handle of each on the
 * device's stream, and what was prepared for the calls of its plans. Made when a device is opened,
 * before any plan. Either library may be missing: its rows then take no call, and why is kept for
 * `doctor`.
 * CUDA types appear here: this header is for src/cuda alone. Read before: dyn.h. Read next:
 * cudnn_conv.h, cublaslt_matmul.h. */
#ifndef FWI_CUDA_LIBS_H
#define FWI_CUDA_LIBS_H

#include "conv_choices.h"
#include "cuda_side.h"
#include "dyn.h"
#include "exec.h"
#include "tensor_map.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct fwi_cudnn_plan fwi_cudnn_plan;       /* cudnn_conv.h */
typedef struct fwi_cublaslt_plan fwi_cublaslt_plan; /* cublaslt_matmul.h */

typedef struct fwi_cuda_libs {
    fwi_cudnn_api dnn;
    fwi_cublaslt_api blas;
    void *dnn_library, *blas_library; /* NULL: not there */
    cudnnHandle_t dnn_handle;
    cublasLtHandle_t blas_handle;
    size_t dnn_version; /* 91900 for 9.19.0 */
    size_t blas_version;
    cudaStream_t stream;
    const fwi_cuda_side *side;
    char *no_dnn, *no_blas;  /* why it is not there; NULL where it is */
    bool tf32;               /* f32 products may round their operands to tf32 */
    fwi_dnn_choices choices; /* measured engines, read from a file */
    fwi_dnn_choice noted;    /* the best so far of one convolution, if has_note */
    bool has_note;
    int sm;                /* 90 */
    fwi_map_encoders maps; /* for our own convolutions, own_conv.h; NULL where sm is not 90 */
    char
        conv_engine[FWI_CONV_ENGINE_NAME]; /* "own", "own:NAME": before any choice; "cudnn": none */
    /* Entries are only ever put in front, so that a thread may look while another adds; who adds
     * holds the lock. */
    fwi_cudnn_plan *_Atomic dnn_plans;
    fwi_cublaslt_plan *_Atomic blas_plans;
    atomic_bool
        blas_single; /* a plan for a batch failed: scratch was sized without, so none is used */
    pthread_mutex_t lock;
} fwi_cuda_libs;

typedef struct fwi_cuda_libs_opt {
    cudaStream_t stream;
    int sm; /* of the device: 90 for compute capability 9.0 */
    bool tf32;
    const fwi_cuda_side *side; /* NULL: fwi_cuda_side_kernels */
} fwi_cuda_libs_opt;

/* Opens what is there and makes handles for the device that is current in this thread. A library
 * that is missing, or says that it cannot work with this GPU or driver, is no failure; one that
 * breaks is (no memory for a handle, say). */
fw_status fwi_cuda_libs_open(fwi_cuda_libs **out, const fwi_cuda_libs_opt *opt);
void fwi_cuda_libs_close(fwi_cuda_libs *l); /* NULL: nothing */

/* "cuDNN 9.19.0, cuBLASLt 13.1.0"; "no cuDNN, cuBLASLt 13.1.0". At most n bytes with the final 0. */
void fwi_cuda_libs_describe(const fwi_cuda_libs *l, char *text, size_t n);

/* The libraries' rows in front of a device's own table, and in front of them our own engines for
 * convolutions; a row takes a call only where its library is there and can do it, or it was chosen.
 * The result is in t, which must stay where it is. */
typedef struct fwi_cuda_tables {
    fwi_op_table own_narrow, own_conv, own_dw, cudnn, rounded, matmul, muon;
} fwi_cuda_tables;
const fwi_op_table *fwi_cuda_libs_tables(fwi_cuda_tables *t, const fwi_op_table *own);

/* A failing call of a library as this thread's message, with what was being done; gives the status
 * that fits: FW_ENOMEM for memory, FW_EUNAVAILABLE for what the library has not got, else
 * FW_EINTERNAL. */
fw_status fwi_cudnn_fail(const fwi_cuda_libs *l, cudnnStatus_t status, const char *doing);
fw_status fwi_cublaslt_fail(const fwi_cuda_libs *l, cublasStatus_t status, const char *doing);

/* Workspace and staged operands lie on this boundary in a kernel's scratch, which is aligned to 64
 * bytes: ask for this much more. */
enum { FWI_LIBS_ALIGN = 256 };
size_t fwi_libs_round(size_t n_bytes); /* up to the boundary */
void *fwi_libs_aligned(void *p);

#endif
