/* portable_rows.c: the kernels that this room adds to the table chain (backends/backends.c). Rows
 * are tried from top to bottom, so a special kernel stands above the general one it beats. */
#define ISA      portable
#define TILE_F32 "4x8"
#define TILE_F64 "4x4"
#include "fast_rows.h"

extern const fwi_kernel fwi_rows_portable[];
const fwi_kernel fwi_rows_portable[] = {FAST_ROWS{.run = NULL}};
