/* winograd.c: Winograd's convolution and its input's gradient on batch-blocked images in float, for
 * any processor; fast_winograd.h has the code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#include "lanes_portable.h"

#include "fast_winograd.h"

#include "lanes_end.h"
