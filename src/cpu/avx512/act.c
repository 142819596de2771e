/* act.c: activations, for AVX-512; fast_act.h of cpu/portable has the code. */
#define BODY "fast_act.h"
#include "bf16_avx512.h"
#include "both_avx512.h"
