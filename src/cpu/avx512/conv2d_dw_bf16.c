/* conv2d_dw_bf16.c: the gradient of a convolution's filter from batch-blocked images stored as bf16,
 * in float arithmetic, for AVX-512; fast_conv2d_dw.h of cpu/portable has the code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#define LANES_BF16
#include "lanes_avx512.h"

#include "fast_conv2d_dw.h"

#include "lanes_end.h"
