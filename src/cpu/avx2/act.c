/* act.c: activations, for AVX2 and FMA; fast_act.h of cpu/portable has the code. */
#define BODY "fast_act.h"
#include "bf16_avx2.h"
#include "both_avx2.h"
