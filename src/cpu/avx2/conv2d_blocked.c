/* conv2d_blocked.c: convolution and its input's gradient on batch-blocked images in float, for
 * AVX2 and FMA; fast_conv2d_blocked.h of cpu/portable has the code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#include "lanes_avx2.h"

#include "fast_conv2d_blocked.h"

#include "lanes_end.h"
