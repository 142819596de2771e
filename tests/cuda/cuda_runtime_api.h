/* cuda_runtime_api.h: stands for CUDA's own header where kernels run under emulation: the few types
 * that cuda_inner.h names. */
#ifndef T_CUDA_RUNTIME_API_H
#define T_CUDA_RUNTIME_API_H

typedef struct t_emulated_stream *cudaStream_t;
typedef int cudaError_t;

#endif
