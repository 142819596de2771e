/* fused.c: norm, activation and pool in one sweep, on batch-blocked images, for AVX2 and FMA;
 * fast_fused.h of cpu/portable has the code. */
#define BODY "fast_fused.h"
#include "bf16_avx2.h"
#define LANES_F64 0
#include "lanes_avx2.h"

#include BODY
#include "lanes_end.h"
