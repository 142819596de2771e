/* fused.c: norm, activation and pool in one sweep, on batch-blocked images, for AVX-512;
 * fast_fused.h of cpu/portable has the code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#include "lanes_avx512.h"

#include "fast_fused.h"
#include "lanes_end.h"
