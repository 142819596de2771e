/* winograd_bf16.c: Winograd's convolution and its input's gradient on batch-blocked images stored as
 * bf16, in float arithmetic, for AVX-512; fast_winograd.h of cpu/portable has the code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#define LANES_BF16
#include "lanes_avx512.h"

#include "fast_winograd.h"

#include "lanes_end.h"
