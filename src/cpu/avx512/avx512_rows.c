/* avx512_rows.c: the kernels that this room adds to the table chain (backends/backends.c). Rows are
 * tried from top to bottom, so a special kernel stands above the general one it beats. */
#define ISA      avx512
#define TILE_F32 "14x32"
#define TILE_F64 "14x16"
#include "blocked_rows.h"
#include "winograd_rows.h"

WINOGRAD_DECLARE(f32, avx512)
BLOCKED_CONV_DECLARE(f32, avx512)
WINOGRAD_DECLARE(bf16, avx512)
BLOCKED_CONV_DECLARE(bf16, avx512)
BLOCKED_F32_DECLARE
BLOCKED_BF16_DECLARE

extern const fwi_kernel fwi_rows_avx512[];
const fwi_kernel fwi_rows_avx512[] = {
    WINOGRAD_ROWS(f32, FW_F32, avx512, TILE_F32, winograd_takes_f32),
    BLOCKED_CONV_ROWS(f32, FW_F32, avx512, TILE_F32),
    WINOGRAD_ROWS(bf16, FW_BF16, avx512, TILE_F32, winograd_takes_widened),
    BLOCKED_CONV_ROWS(bf16, FW_BF16, avx512, TILE_F32),
    FAST_ROWS BLOCKED_F32_ROWS BLOCKED_BF16_ROWS{.run = NULL}};
