/* ref_kernels.h: the reference kernels: the definition of every op of ops.def, in float and double.
 *
 * One file per family of ops; its body (<family>_body.h) is included twice by <family>.c, with
 * FWI_REAL the element type and FWI_NAME(op) the function's name, so that both types run the same
 * lines and a debugger steps through them. Rules of this room:
 *   - plain loops over the definition, one thread, no scratch memory (muon.c has some);
 *   - arithmetic in double in both types, rounded once when a result is stored: a float reference
 *     is then as good as a float can be. Exceptions: single additions and products, which round the
 *     same either way, and the parameter updates (optim_body.h), whose steps round in the tensor's
 *     own type, as they are defined;
 *   - types, shapes and attributes were checked by the rules in ir and are not checked again.
 * Read next: conv2d_body.h, and tests/ops for what is asked of every other kernel. */
#ifndef FWI_REF_KERNELS_H
#define FWI_REF_KERNELS_H

#include "exec.h"

#define FW_OP(name, attr, n_in, n_out, flags, shape, grad, test)                                   \
    fw_status fwi_##name##_f32_ref(const fwi_call *call);                                          \
    fw_status fwi_##name##_f64_ref(const fwi_call *call);
#include "ops.def"
#undef FW_OP

size_t fwi_muon_scratch_ref(const fwi_call *call); /* muon.c */

/* Movement and conversion for element types that are not real: elementwise.c. */
fw_status fwi_reshape_any_ref(const fwi_call *call);
fw_status fwi_fill_int_ref(const fwi_call *call);
fw_status fwi_cast_u8_ref(const fwi_call *call);
fw_status fwi_cast_i32_ref(const fwi_call *call);
fw_status fwi_cast_i64_ref(const fwi_call *call);

/* Layouts: layout.c. */
fw_status fwi_from_blocked_bf16_ref(const fwi_call *call);

/* The last axis, and the product of all others. */
static inline int64_t fwi_ref_cols(const fwi_shape *s)
{
    return s->d[s->rank - 1];
}
static inline int64_t fwi_ref_rows(const fwi_shape *s)
{
    return fwi_shape_elems(s) / fwi_ref_cols(s);
}

#endif
