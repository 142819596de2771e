/* bf16_avx2.h: compiles the file named by BODY for activations stored as bf16, in float
 * arithmetic, with the vectors of lanes_avx2.h. After both_avx2.h, or alone. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#define LANES_BF16
#include "lanes_avx2.h"

#include BODY
#include "lanes_end.h"
