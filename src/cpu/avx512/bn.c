/* bn.c: batch normalisation and sums over rows, for AVX-512; fast_bn.h of cpu/portable has the
 * code. */
#define BODY "fast_bn.h"
#include "bf16_avx512.h"
#include "both_avx512.h"
