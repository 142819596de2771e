/* layout.c: to and from batch-blocked images, for AVX2 and FMA; fast_layout.h of cpu/portable has the
 * code. */
#define BODY "fast_layout.h"
#include "bf16_avx2.h"
#define LANES_F64 0
#include "lanes_avx2.h"

#include BODY
#include "lanes_end.h"
