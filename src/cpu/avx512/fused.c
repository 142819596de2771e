/* fused.c: norm, activation and pool in one sweep, on batch-blocked images, for AVX-512;
 * fast_fused.h of cpu/portable has the code. */
#define BODY "fast_fused.h"
#include "bf16_avx512.h"
#define LANES_F64 0
#include "lanes_avx512.h"

#include BODY
#include "lanes_end.h"
