/* winograd_dw.c: the gradient of a 3x3 filter by Winograd's algorithms on batch-blocked images in
 * float, for any processor; fast_winograd_dw.h has the code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#include "lanes_portable.h"

#define PER     1
#define OPERAND REAL
#include "fast_gemm.h"
#include "fast_store.h"

#include "fast_winograd_dw.h"

#include "lanes_end.h"
