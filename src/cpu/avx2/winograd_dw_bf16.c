/* winograd_dw_bf16.c: the gradient of a 3x3 filter by Winograd's algorithms from batch-blocked images
 * stored as bf16, in float arithmetic, for AVX2; fast_winograd_dw.h of cpu/portable has the code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#define LANES_BF16
#include "lanes_avx2.h"

#define PER     1
#define OPERAND REAL
#include "fast_gemm.h"
#include "fast_store.h"

#include "fast_winograd_dw.h"

#include "lanes_end.h"
