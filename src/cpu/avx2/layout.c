/* layout.c: to and from batch-blocked images, for AVX2 and FMA; fast_layout.h of cpu/portable has the
 * code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#include "lanes_avx2.h"

#include "fast_layout.h"

#include "lanes_end.h"
