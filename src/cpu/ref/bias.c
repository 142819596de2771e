/* bias.c: bias and its gradient, in float and in double; bias_body.h has the code. */
#include "ref_kernels.h"

#define FWI_REAL     float
#define FWI_NAME(op) fwi_##op##_f32_ref
#include "bias_body.h"
#undef FWI_REAL
#undef FWI_NAME

#define FWI_REAL     double
#define FWI_NAME(op) fwi_##op##_f64_ref
#include "bias_body.h"
#undef FWI_REAL
#undef FWI_NAME
