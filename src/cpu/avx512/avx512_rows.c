/* avx512_rows.c: the kernels that this room adds to the table chain (backends/backends.c). Rows are
 * tried from top to bottom, so a special kernel stands above the general one it beats. */
#define ISA      avx512
#define TILE_F32 "14x32"
#define TILE_F64 "14x16"
#include "fast_rows.h"

extern const fwi_kernel fwi_rows_avx512[];
const fwi_kernel fwi_rows_avx512[] = {FAST_ROWS{.run = NULL}};
