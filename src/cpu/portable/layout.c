/* layout.c: to and from batch-blocked images, for any processor; fast_layout.h has the
 * code. */
#include "exec.h"
#include "fast_loop.h"

#define LANES_F64 0
#include "lanes_portable.h"

#include "fast_layout.h"

#include "lanes_end.h"
