/* cuda_load.h: work that reaches a GPU's ceilings by our own kernels: multiply-adds on registers, memory
 * read and copied (probe.h). No type of CUDA stands here. Read before: probe.h. Next: load.cu. */
#ifndef FWI_CUDA_LOAD_H
#define FWI_CUDA_LOAD_H

#include "probe.h"

/* A build under emulation (tests/cuda) has them beside those of the library. */
#ifdef FWI_CUDA_EMULATED
#define fwi_cuda_load_plan  fwi_cuda_load_plan_emulated
#define fwi_cuda_load_noise fwi_cuda_load_noise_emulated
#define fwi_cuda_load_run   fwi_cuda_load_run_emulated
#define fwi_cuda_load_hold  fwi_cuda_load_hold_emulated
#endif

/* As load_plan and load_run of a probe, for FWI_LOAD_F32, READ and COPY. stream: the device's. */
fw_status fwi_cuda_load_plan(void *stream, fwi_load *load);
fw_status fwi_cuda_load_run(void *stream, const fwi_load *load);
/* Enqueues numbers in [-1, 1) that follow no rule, n of dtype (f32, bf16, f16): products of zeros take
 * less power, and the clock rises. */
fw_status fwi_cuda_load_noise(void *stream, void *to, fw_dtype dtype, int64_t n);
/* Enqueues one thread's chain of `rounds` multiply-adds, 4 cycles each on the GPUs that there are. room:
 * a float of device memory. */
fw_status fwi_cuda_load_hold(void *stream, int64_t rounds, float *room);

#endif
