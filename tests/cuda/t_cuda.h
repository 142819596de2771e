/* t_cuda.h: the kernels of src/cuda, run on the CPU by emulate.h. */
#ifndef T_CUDA_H
#define T_CUDA_H

#include "own_conv.h"

const fwi_op_table *fwi_cuda_emulated_table(void);
int fwi_emulated_own_conv_candidates(const fwi_call *c, fwi_own_conv out[FWI_OWN_CONVS]);

#endif
