/* elementwise.c: sums, scales and movement of elements, for AVX2 and FMA; fast_elementwise.h of
 * cpu/portable has the code. */
#define BODY "fast_elementwise.h"
#include "bf16_avx2.h"
#include "both_avx2.h"
