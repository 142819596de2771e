/* conv2d.c: convolution and its two gradients on the register tiles of this room: the bodies of
 * cpu/portable, compiled for any processor. Definition: cpu/ref/conv2d.c. */
#include "conv_geom.h"
#include "exec.h"
#include <string.h>

#define LANES_F64 0
#include "lanes_portable.h"

#include "gemm_body.h"

#include "conv2d_body.h"

#include "conv2d_dw_body.h"

#include "lanes_end.h"

#define LANES_F64 1
#include "lanes_portable.h"

#include "gemm_body.h"

#include "conv2d_body.h"

#include "conv2d_dw_body.h"

#include "lanes_end.h"
