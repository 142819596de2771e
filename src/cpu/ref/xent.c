/* xent.c: softmax, cross-entropy and accuracy, in float and in double; xent_body.h has the code. */
#include "ref_kernels.h"

#include <math.h>

#define FWI_REAL     float
#define FWI_NAME(op) fwi_##op##_f32_ref
#include "xent_body.h"
#undef FWI_REAL
#undef FWI_NAME

#define FWI_REAL     double
#define FWI_NAME(op) fwi_##op##_f64_ref
#include "xent_body.h"
#undef FWI_REAL
#undef FWI_NAME
