/* fused.c: norm, activation and pool in one sweep, on batch-blocked images stored as bf16;
 * fast_fused.h of cpu/portable has the frame, sweeps_bf16.h of cpu/avx512 the tasks of
 * the common activations. */
#include "lanes_avx512_bf16.h"

#define FUSED_OWN "sweeps_bf16.h"
#include "fast_fused.h"
