/* bn.c: batch normalisation, in float and in double; bn_body.h has the code. */
#include "ref_kernels.h"

#include <math.h>

#define FWI_REAL     float
#define FWI_NAME(op) fwi_##op##_f32_ref
#include "bn_body.h"
#undef FWI_REAL
#undef FWI_NAME

#define FWI_REAL     double
#define FWI_NAME(op) fwi_##op##_f64_ref
#include "bn_body.h"
#undef FWI_REAL
#undef FWI_NAME
