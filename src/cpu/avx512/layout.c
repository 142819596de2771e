/* layout.c: to and from batch-blocked images, for AVX-512; fast_layout.h of cpu/portable has the
 * code. */
#define BODY "fast_layout.h"
#include "bf16_avx512.h"
#define LANES_F64 0
#include "lanes_avx512.h"

#include BODY
#include "lanes_end.h"
