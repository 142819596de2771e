/* bn.c: batch normalisation and sums over rows, for AVX2 and FMA; fast_bn.h of cpu/portable has the
 * code. */
#define BODY "fast_bn.h"
#include "bf16_avx2.h"
#include "both_avx2.h"
