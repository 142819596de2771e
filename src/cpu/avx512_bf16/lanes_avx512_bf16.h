/* lanes_avx512_bf16.h: the names that the convolutions of cpu/portable are written in, for images
 * stored as bf16 and multiplied in pairs. Then tile_bf16.h, then a body. */
#include "exec.h"
#include "fast_loop.h"

#include <immintrin.h>

#define LANES_BF16
#define MR      14
#define VL      16
#define NR      32
#define REAL    float
#define PER     2
#define OPERAND uint32_t
#define NAME(x) x##_bf16
#define FN(x)   fwi_##x##_bf16_avx512_bf16
#include "fast_store.h"
