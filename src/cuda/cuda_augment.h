/* cuda_augment.h: augment.h's batches on a GPU. No type of CUDA stands here. Read before: augment.h. */
#ifndef FWI_CUDA_AUGMENT_H
#define FWI_CUDA_AUGMENT_H

#include "augment.h"

/* A build under emulation (tests/cuda) has it beside that of the library. */
#ifdef FWI_CUDA_EMULATED
#define fwi_cuda_augment fwi_cuda_augment_emulated
#endif

/* Enqueues. stream: the device's. */
fw_status fwi_cuda_augment(void *stream, const fwi_batch_job *job);

#endif
