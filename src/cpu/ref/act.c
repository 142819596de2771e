/* act.c: activations and their gradients, in float and in double; act_body.h has the code,
 * act_functions.h the functions. */
#include "act_functions.h"
#include "ref_kernels.h"

#define FWI_REAL     float
#define FWI_NAME(op) fwi_##op##_f32_ref
#include "act_body.h"
#undef FWI_REAL
#undef FWI_NAME

#define FWI_REAL     double
#define FWI_NAME(op) fwi_##op##_f64_ref
#include "act_body.h"
#undef FWI_REAL
#undef FWI_NAME
