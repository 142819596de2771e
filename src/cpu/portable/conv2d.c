/* conv2d.c: convolution and its input's gradient, for any processor; fast_conv2d.h of cpu/portable
 * has the code. */
#define BODY "fast_conv2d.h"
#include "both_portable.h"
