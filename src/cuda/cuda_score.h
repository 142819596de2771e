/* cuda_score.h: score.h on a GPU. No type of CUDA stands here. Read before: score.h. */
#ifndef FWI_CUDA_SCORE_H
#define FWI_CUDA_SCORE_H

#include "score.h"
#include <fenwicks/status.h>

/* A build under emulation (tests/cuda) has it beside that of the library. */
#ifdef FWI_CUDA_EMULATED
#define fwi_cuda_score fwi_cuda_score_emulated
#endif

/* Enqueues. stream: the device's. */
fw_status fwi_cuda_score(void *stream, const fwi_score_job *job);

#endif
