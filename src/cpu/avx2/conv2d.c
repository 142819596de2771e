/* conv2d.c: convolution and its input's gradient, for AVX2 and FMA; fast_conv2d.h of cpu/portable
 * has the code. */
#define BODY "fast_conv2d.h"
#include "both_avx2.h"
