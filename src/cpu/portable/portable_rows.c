/* portable_rows.c: the kernels that this room adds to the table chain (backends/backends.c). Rows
 * are tried from top to bottom, so a special kernel stands above the general one it beats. */
#define ISA      portable
#define TILE_F32 "4x8"
#define TILE_F64 "4x4"
#include "blocked_rows.h"
#include "winograd_rows.h"

WINOGRAD_DECLARE(f32, portable)
BLOCKED_CONV_DECLARE(f32, portable)
BLOCKED_F32_DECLARE

extern const fwi_kernel fwi_rows_portable[];
const fwi_kernel fwi_rows_portable[] = {
    WINOGRAD_ROWS(f32, FW_F32, portable, TILE_F32, winograd_takes_f32),
    BLOCKED_CONV_ROWS(f32, FW_F32, portable, TILE_F32), FAST_ROWS BLOCKED_F32_ROWS{.run = NULL}};
