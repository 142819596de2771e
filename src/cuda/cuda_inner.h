/* cuda_inner.h: what the files of this room share on the host: the stream that every kernel gets,
 * how a failing call of CUDA becomes a sentence, and the lists of rows. Read before:
 * cuda_backend.h, exec.h. Next: cuda_kernel.h, for files with kernels. */
#ifndef FWI_CUDA_INNER_H
#define FWI_CUDA_INNER_H

#include <cuda_runtime_api.h>

#include "cuda_backend.h"
#include "probe.h"

/* What call->stream is in this room. One per device; work is enqueued in order. */
typedef struct fwi_cuda_stream {
    cudaStream_t stream;
    struct fwi_cuda_libs *libs; /* cuDNN and cuBLASLt as far as they could be opened; NULL: none */
    int device;                 /* CUDA's number of the GPU */
    int sm;                     /* compute capability: 90 */
    int n_sm;                   /* multiprocessors */
    int most_shared;            /* bytes of shared memory that a block may ask for */
    void **marks;               /* cudaEvent_t each, made when first used (cuda_probe.c) */
    float *hold_room;           /* likewise, of the GPU */
} fwi_cuda_stream;

static inline cudaStream_t fwi_cuda_stream_of(const fwi_call *c)
{
    return c->stream == NULL ? NULL : ((const fwi_cuda_stream *)c->stream)->stream;
}

static inline struct fwi_cuda_libs *fwi_cuda_libs_of(const fwi_call *c)
{
    return c->stream == NULL ? NULL : ((const fwi_cuda_stream *)c->stream)->libs;
}

extern const fwi_probe fwi_cuda_probe;         /* cuda_probe.c */
void fwi_cuda_probe_clear(fwi_cuda_stream *q); /* what it made */
/* Makes the GPU current in this thread: what CUDA does next, it does there. A device may be used by any
 * thread, and by one that used another GPU before, so whatever is called from outside this room begins
 * with it, each start of a kernel too. Costs next to nothing where the GPU is current already. */
fw_status fwi_cuda_use(int device);
/* FW_OK for cudaSuccess; else FW_ENOMEM or FW_EINTERNAL with "WHAT: cudaErrorName: its sentence". */
fw_status fwi_cuda_check(cudaError_t e, const char *what);
#ifndef FWI_CUDA_EMULATED
/* code.cu: cudaSuccess if the current GPU can run this build's kernels */
cudaError_t fwi_cuda_code(void);
/* The same as a status: FW_EUNAVAILABLE with what the GPU is and what the build is for. */
fw_status fwi_cuda_check_code(int device, const struct cudaDeviceProp *p);
#endif
/* FW_EUNAVAILABLE where there is no driver, it is too old, or there is no GPU; *n: how many. */
fw_status fwi_cuda_count(int *n);

/* Rows of our own kernels, one list per file. A build under emulation (tests/cuda) has lists of its
 * own beside these. */
#ifdef FWI_CUDA_EMULATED
#define FWI_CUDA_ROWS(family) fwi_rows_emulated_##family
#define FWI_CUDA_OWN_TABLE    fwi_cuda_emulated_table
#else
#define FWI_CUDA_ROWS(family) fwi_rows_cuda_##family
#define FWI_CUDA_OWN_TABLE    fwi_cuda_own_table
#endif
/* The table of all of them: images n h w c, which in a lowered graph are blocked by 1. */
const fwi_op_table *FWI_CUDA_OWN_TABLE(void);

#endif
