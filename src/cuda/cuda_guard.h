/* cuda_guard.h: guard.h on a GPU. No type of CUDA stands here. Read before: guard.h. */
#ifndef FWI_CUDA_GUARD_H
#define FWI_CUDA_GUARD_H

#include "guard.h"
#include <fenwicks/status.h>

/* A build under emulation (tests/cuda) has both beside those of the library. */
#ifdef FWI_CUDA_EMULATED
#define fwi_cuda_guard_keep  fwi_cuda_guard_keep_emulated
#define fwi_cuda_guard_judge fwi_cuda_guard_judge_emulated
#endif

/* Both enqueue. stream: the device's. */
fw_status fwi_cuda_guard_keep(void *stream, const fwi_guard *g);
fw_status fwi_cuda_guard_judge(void *stream, const fwi_guard *g);

#endif
