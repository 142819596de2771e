/* conv2d_blocked_bf16.c: convolution and its input's gradient on batch-blocked images stored as bf16,
 * in float arithmetic, for AVX2; fast_conv2d_blocked.h of cpu/portable has the code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#define LANES_BF16
#include "lanes_avx2.h"

#include "fast_conv2d_blocked.h"

#include "lanes_end.h"
