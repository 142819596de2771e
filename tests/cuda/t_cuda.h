/* t_cuda.h: the kernels of src/cuda, run on the CPU by emulate.h. */
#ifndef T_CUDA_H
#define T_CUDA_H

#include "exec.h"

const fwi_op_table *fwi_cuda_emulated_table(void);

#endif
