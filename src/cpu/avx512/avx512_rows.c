/* avx512_rows.c: the kernels that this room adds to the table chain (backends/backends.c). Rows are
 * tried from top to bottom, so a special kernel stands above the general one it beats. */
#define ISA      avx512
#define TILE_F32 "14x32"
#define TILE_F64 "14x16"
#include "blocked_rows.h"
#include "fast_rows.h"
#include "winograd_rows.h"

size_t fwi_blocked_conv2d_scratch_f32_avx512(const fwi_call *c);
size_t fwi_blocked_conv2d_dx_scratch_f32_avx512(const fwi_call *c);
fw_status fwi_blocked_conv2d_f32_avx512(const fwi_call *c);
fw_status fwi_blocked_conv2d_stats_f32_avx512(const fwi_call *c);
size_t fwi_blocked_conv2d_stats_scratch_f32_avx512(const fwi_call *c);
fw_status fwi_blocked_conv2d_dx_f32_avx512(const fwi_call *c);

/* The tallest register tile: blocks of more images have no blocked convolution here. */
static bool fits_tile(const fwi_call *c)
{
    return c->in[0].nb <= 14;
}

WINOGRAD_DECLARE(f32, avx512)

extern const fwi_kernel fwi_rows_avx512[];
const fwi_kernel fwi_rows_avx512[] = {WINOGRAD_ROWS(f32, FW_F32, avx512, "14x32"),
                                      {.op = FWI_OP_conv2d,
                                       .dtype = FW_F32,
                                       .run = fwi_blocked_conv2d_f32_avx512,
                                       .scratch = fwi_blocked_conv2d_scratch_f32_avx512,
                                       .accepts = fits_tile,
                                       .name = "conv2d_f32_blocked_avx512_14x32",
                                       .blocked = true},
                                      {.op = FWI_OP_conv2d_stats,
                                       .dtype = FW_F32,
                                       .run = fwi_blocked_conv2d_stats_f32_avx512,
                                       .scratch = fwi_blocked_conv2d_stats_scratch_f32_avx512,
                                       .accepts = fits_tile,
                                       .name = "conv2d_stats_f32_blocked_avx512_14x32",
                                       .blocked = true},
                                      {.op = FWI_OP_conv2d_dx,
                                       .dtype = FW_F32,
                                       .run = fwi_blocked_conv2d_dx_f32_avx512,
                                       .scratch = fwi_blocked_conv2d_dx_scratch_f32_avx512,
                                       .accepts = fits_tile,
                                       .name = "conv2d_dx_f32_blocked_avx512_14x32",
                                       .blocked = true},
                                      {.op = FWI_OP_conv2d_dw,
                                       .dtype = FW_F32,
                                       .run = fwi_conv2d_dw_f32_avx512,
                                       .scratch = fwi_conv2d_dw_scratch_f32_avx512,
                                       .name = "conv2d_dw_f32_blocked_avx512_14x32",
                                       .blocked = true},
                                      FAST_ROWS BLOCKED_ROWS{.run = NULL}};
