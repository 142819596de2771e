/* pool.c: pools, for AVX2 and FMA; fast_pool.h of cpu/portable has the code. */
#define BODY "fast_pool.h"
#include "bf16_avx2.h"
#include "both_avx2.h"
