/* avx2_rows.c: the kernels that this room adds to the table chain (backends/backends.c). Rows are
 * tried from top to bottom, so a special kernel stands above the general one it beats. */
#define ISA      avx2
#define TILE_F32 "6x16"
#define TILE_F64 "6x8"
#include "blocked_rows.h"
#include "winograd_rows.h"

WINOGRAD_DECLARE(f32, avx2)
BLOCKED_CONV_DECLARE(f32, avx2)
WINOGRAD_DECLARE(bf16, avx2)
BLOCKED_CONV_DECLARE(bf16, avx2)
BLOCKED_F32_DECLARE
BLOCKED_BF16_DECLARE

extern const fwi_kernel fwi_rows_avx2[];
const fwi_kernel fwi_rows_avx2[] = {
    WINOGRAD_ROWS(f32, FW_F32, avx2, TILE_F32, winograd_takes_f32),
    BLOCKED_CONV_ROWS(f32, FW_F32, avx2, TILE_F32),
    WINOGRAD_ROWS(bf16, FW_BF16, avx2, TILE_F32, winograd_takes_widened),
    BLOCKED_CONV_ROWS(bf16, FW_BF16, avx2, TILE_F32),
    FAST_ROWS BLOCKED_F32_ROWS BLOCKED_BF16_ROWS{.run = NULL}};
