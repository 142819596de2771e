/* cuda_lines.h: lines.h on a GPU. No type of CUDA stands here. Read before: lines.h. */
#ifndef FWI_CUDA_LINES_H
#define FWI_CUDA_LINES_H

#include "lines.h"
#include <fenwicks/status.h>

/* A build under emulation (tests/cuda) has it beside that of the library. */
#ifdef FWI_CUDA_EMULATED
#define fwi_cuda_lines_move fwi_cuda_lines_move_emulated
#endif

/* Enqueues. stream: the device's. */
fw_status fwi_cuda_lines_move(void *stream, const fwi_line_job *job);

#endif
