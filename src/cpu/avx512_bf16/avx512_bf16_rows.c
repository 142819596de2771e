/* avx512_bf16_rows.c: the kernels that this room adds to the table chain (backends/backends.c):
 * convolutions of batch-blocked images stored as bf16, and the sweeps of norm, activation and pool
 * (fused.c). What else such images need is in the rows of cpu/avx512. */
#include "exec.h"
#include "winograd_rows.h"

fw_status fwi_blocked_conv2d_bf16_avx512_bf16(const fwi_call *c);
fw_status fwi_blocked_conv2d_stats_bf16_avx512_bf16(const fwi_call *c);
size_t fwi_blocked_conv2d_stats_scratch_bf16_avx512_bf16(const fwi_call *c);
fw_status fwi_blocked_conv2d_dx_bf16_avx512_bf16(const fwi_call *c);
fw_status fwi_conv2d_dw_bf16_avx512_bf16(const fwi_call *c);
size_t fwi_blocked_conv2d_scratch_bf16_avx512_bf16(const fwi_call *c);
size_t fwi_blocked_conv2d_dx_scratch_bf16_avx512_bf16(const fwi_call *c);
size_t fwi_conv2d_dw_scratch_bf16_avx512_bf16(const fwi_call *c);

/* The tallest register tile. */
static bool fits_tile(const fwi_call *c)
{
    return c->in[0].nb <= 14;
}

WINOGRAD_DECLARE(bf16, avx512_bf16)

#define SWEEPS(X)                                                                                  \
    X(bn_act)                                                                                      \
    X(bn_act_add)                                                                                  \
    X(bn_act_pool)                                                                                 \
    X(bn_act_grad)                                                                                 \
    X(bn_act_pool_grad)                                                                            \
    X(bn_act_unpool_grad)                                                                          \
    X(bias_act)                                                                                    \
    X(bias_act_grad)
#define DECLARE_SWEEP(name)                                                                        \
    size_t fwi_##name##_scratch_bf16_avx512_bf16(const fwi_call *c);                               \
    fw_status fwi_##name##_bf16_avx512_bf16(const fwi_call *c);
SWEEPS(DECLARE_SWEEP)
#define ROW_SWEEP(name_)                                                                           \
    {.op = FWI_OP_##name_,                                                                         \
     .dtype = FW_BF16,                                                                             \
     .run = fwi_##name_##_bf16_avx512_bf16,                                                        \
     .scratch = fwi_##name_##_scratch_bf16_avx512_bf16,                                            \
     .name = #name_ "_bf16_blocked_avx512_bf16",                                                   \
     .blocked = true},

extern const fwi_kernel fwi_rows_avx512_bf16[];
const fwi_kernel fwi_rows_avx512_bf16[] = {
    WINOGRAD_ROWS(bf16, FW_BF16, avx512_bf16, "14x32", winograd_takes_bf16_products),
    {.op = FWI_OP_conv2d,
     .dtype = FW_BF16,
     .run = fwi_blocked_conv2d_bf16_avx512_bf16,
     .scratch = fwi_blocked_conv2d_scratch_bf16_avx512_bf16,
     .accepts = fits_tile,
     .name = "conv2d_bf16_blocked_avx512_bf16_14x32",
     .blocked = true},
    {.op = FWI_OP_conv2d_stats,
     .dtype = FW_BF16,
     .run = fwi_blocked_conv2d_stats_bf16_avx512_bf16,
     .scratch = fwi_blocked_conv2d_stats_scratch_bf16_avx512_bf16,
     .accepts = fits_tile,
     .name = "conv2d_stats_bf16_blocked_avx512_bf16_14x32",
     .blocked = true},
    {.op = FWI_OP_conv2d_dx,
     .dtype = FW_BF16,
     .run = fwi_blocked_conv2d_dx_bf16_avx512_bf16,
     .scratch = fwi_blocked_conv2d_dx_scratch_bf16_avx512_bf16,
     .accepts = fits_tile,
     .name = "conv2d_dx_bf16_blocked_avx512_bf16_14x32",
     .blocked = true},
    {.op = FWI_OP_conv2d_dw,
     .dtype = FW_BF16,
     .run = fwi_conv2d_dw_bf16_avx512_bf16,
     .scratch = fwi_conv2d_dw_scratch_bf16_avx512_bf16,
     .name = "conv2d_dw_bf16_blocked_avx512_bf16_14x32",
     .blocked = true},
    SWEEPS(ROW_SWEEP){.run = NULL}};
