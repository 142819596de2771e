/* elementwise.c: sums, scales and movement of elements, for AVX-512; fast_elementwise.h of
 * cpu/portable has the code. */
#define BODY "fast_elementwise.h"
#include "bf16_avx512.h"
#include "both_avx512.h"
