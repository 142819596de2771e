/* fused.c: norm, activation and pool in one sweep, on batch-blocked images, for any processor;
 * fast_fused.h has the code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#include "lanes_portable.h"

#include "fast_fused.h"

#include "lanes_end.h"
