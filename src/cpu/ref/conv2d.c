/* conv2d.c: 2-D convolution and its two gradients, in float and in double; conv2d_body.h has the
 * code. */
#include "ref_kernels.h"

#define FWI_REAL     float
#define FWI_NAME(op) fwi_##op##_f32_ref
#include "conv2d_body.h"
#undef FWI_REAL
#undef FWI_NAME

#define FWI_REAL     double
#define FWI_NAME(op) fwi_##op##_f64_ref
#include "conv2d_body.h"
#undef FWI_REAL
#undef FWI_NAME
