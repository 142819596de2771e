/* conv2d_dw.c: the gradient of a convolution's filter, for AVX2 and FMA; fast_conv2d_dw.h of
 * cpu/portable has the code. */
#define BODY "fast_conv2d_dw.h"
#include "both_avx2.h"
