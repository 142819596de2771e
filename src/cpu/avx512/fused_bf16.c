/* fused_bf16.c: norm, activation and pool in one sweep, on batch-blocked images stored as bf16, for
 * AVX-512; fast_fused.h of cpu/portable has the frame, sweeps_bf16.h the tasks of the common
 * activations. */
#define FUSED_OWN "sweeps_bf16.h"
#define BODY      "fast_fused.h"
#include "bf16_avx512.h"
