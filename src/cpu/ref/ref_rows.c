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

/* The reference is n h w c; these two alone have a blocked operand. */
#define CONVERTS_LAYOUT(kind)                                                                      \
    (FWI_OP_##kind == FWI_OP_to_blocked || FWI_OP_##kind == FWI_OP_from_blocked)

extern const fwi_kernel fwi_rows_ref[];
const fwi_kernel fwi_rows_ref[] = {
#define FW_OP(kind, attr, n_in, n_out, flags, shape, grad, test)                                   \
    {.op = FWI_OP_##kind,                                                                          \
     .dtype = FW_F32,                                                                              \
     .run = fwi_##kind##_f32_ref,                                                                  \
     .scratch = scratch,                                                                           \
     .accepts = gives_real,                                                                        \
     .name = #kind "_f32_ref",                                                                     \
     .blocked = CONVERTS_LAYOUT(kind)},                                                            \
        {.op = FWI_OP_##kind,                                                                      \
         .dtype = FW_F64,                                                                          \
         .run = fwi_##kind##_f64_ref,                                                              \
         .scratch = scratch,                                                                       \
         .accepts = gives_real,                                                                    \
         .name = #kind "_f64_ref",                                                                 \
         .blocked = CONVERTS_LAYOUT(kind)},
#include "ops.def"
#undef FW_OP
    {.op = FWI_OP_reshape, .dtype = FW_U8, .run = fwi_reshape_any_ref, .name = "reshape_u8_ref"},
    {.op = FWI_OP_reshape, .dtype = FW_I32, .run = fwi_reshape_any_ref, .name = "reshape_i32_ref"},
    {.op = FWI_OP_reshape, .dtype = FW_I64, .run = fwi_reshape_any_ref, .name = "reshape_i64_ref"},
    {.op = FWI_OP_fill, .dtype = FW_U8, .run = fwi_fill_int_ref, .name = "fill_u8_ref"},
    {.op = FWI_OP_fill, .dtype = FW_I32, .run = fwi_fill_int_ref, .name = "fill_i32_ref"},
    {.op = FWI_OP_fill, .dtype = FW_I64, .run = fwi_fill_int_ref, .name = "fill_i64_ref"},
    {.op = FWI_OP_cast,
     .dtype = FW_U8,
     .run = fwi_cast_u8_ref,
     .accepts = gives_real,
     .name = "cast_u8_ref"},
    {.op = FWI_OP_cast,
     .dtype = FW_I32,
     .run = fwi_cast_i32_ref,
     .accepts = gives_real,
     .name = "cast_i32_ref"},
    {.op = FWI_OP_cast,
     .dtype = FW_I64,
     .run = fwi_cast_i64_ref,
     .accepts = gives_real,
     .name = "cast_i64_ref"},
    {.op = FWI_OP_from_blocked,
     .dtype = FW_BF16,
     .run = fwi_from_blocked_bf16_ref,
     .name = "from_blocked_bf16_ref",
     .blocked = true},
    {.run = NULL},
};
