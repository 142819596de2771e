/* ref_rows.c: the reference's rows, made from the op list: an op without a kernel here fails to
 * link. The last table of every chain (backends/backends.c). Read before: ref_kernels.h. */
#include "ref_kernels.h"

/* Conversions to integers are not defined; everything else that types allow is. */
static bool gives_real(const fwi_call *c)
{
    return c->kind != FWI_OP_cast || c->out[0].dtype == FW_F32 || c->out[0].dtype == FW_F64;
}

/* Only an update that iterates on matrices needs some. */
static size_t scratch(const fwi_call *c)
{
    return c->kind == FWI_OP_muon ? fwi_muon_scratch_ref(c) : 0;
}

extern const fwi_kernel fwi_rows_ref[];
const fwi_kernel fwi_rows_ref[] = {
#define FW_OP(op, attr, n_in, n_out, flags, shape, grad, test)                                     \
    {FWI_OP_##op, FW_F32, fwi_##op##_f32_ref, scratch, gives_real, #op "_f32_ref"},                \
        {FWI_OP_##op, FW_F64, fwi_##op##_f64_ref, scratch, gives_real, #op "_f64_ref"},
#include "ops.def"
#undef FW_OP
    {FWI_OP_reshape, FW_U8, fwi_reshape_any_ref, NULL, NULL, "reshape_u8_ref"},
    {FWI_OP_reshape, FW_I32, fwi_reshape_any_ref, NULL, NULL, "reshape_i32_ref"},
    {FWI_OP_reshape, FW_I64, fwi_reshape_any_ref, NULL, NULL, "reshape_i64_ref"},
    {FWI_OP_fill, FW_U8, fwi_fill_int_ref, NULL, NULL, "fill_u8_ref"},
    {FWI_OP_fill, FW_I32, fwi_fill_int_ref, NULL, NULL, "fill_i32_ref"},
    {FWI_OP_fill, FW_I64, fwi_fill_int_ref, NULL, NULL, "fill_i64_ref"},
    {FWI_OP_cast, FW_U8, fwi_cast_u8_ref, NULL, gives_real, "cast_u8_ref"},
    {FWI_OP_cast, FW_I32, fwi_cast_i32_ref, NULL, gives_real, "cast_i32_ref"},
    {FWI_OP_cast, FW_I64, fwi_cast_i64_ref, NULL, gives_real, "cast_i64_ref"},
    {.run = NULL},
};
