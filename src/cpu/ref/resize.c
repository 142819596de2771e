/* resize.c: sizes of images and their gradients, in float and in double; resize_body.h has the code. */
#include "ref_kernels.h"

#define FWI_REAL     float
#define FWI_NAME(op) fwi_##op##_f32_ref
#include "resize_body.h"
#undef FWI_REAL
#undef FWI_NAME

#define FWI_REAL     double
#define FWI_NAME(op) fwi_##op##_f64_ref
#include "resize_body.h"
#undef FWI_REAL
#undef FWI_NAME
