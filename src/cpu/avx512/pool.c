/* pool.c: pools, for AVX-512; fast_pool.h of cpu/portable has the code. */
#define BODY "fast_pool.h"
#include "bf16_avx512.h"
#include "both_avx512.h"
