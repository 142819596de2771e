/* conv2d.c: convolution and its input's gradient, for AVX-512; fast_conv2d.h of cpu/portable has
 * the code. */
#define BODY "fast_conv2d.h"
#include "both_avx512.h"
