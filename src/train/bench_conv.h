/* bench_conv.h: one convolution with operands of its own, as bench_conv.c times it and
 * bench_conv_check.c judges it. */
#ifndef FWI_BENCH_CONV_H
#define FWI_BENCH_CONV_H

#include "bench_inner.h"

/* Multiply-accumulates whose tap lies within the image, over all of them. */
double fwi_conv_executed(const fw_conv_shape *s);

/* Relative L2 error of what c computed, on sampled outputs: sqrt(sum (got - want)^2 / sum want^2),
 * want from the operands as they are, in double. */
double fwi_conv_error(const fw_conv_shape *s, const fwi_call *c, fwi_pool *pool);

/* A larger error is a wrong result, not rounding. */
double fwi_conv_error_bound(const fwi_call *c, fwi_conv_algo algo);

#endif
