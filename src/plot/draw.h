/* draw.h: what every plot shares: a script for gnuplot becomes a file. */
#ifndef FWI_DRAW_H
#define FWI_DRAW_H

#include "mem.h"

/* FW_EARG unless path ends in .svg or .png; FW_EUNAVAILABLE for gs:// and the like. */
fw_status fwi_draw_path(const char *path, bool *png);
/* Runs the script, which sets the terminal and draws one picture, and writes path whole or not at
 * all. */
fw_status fwi_draw(const fwi_buf *script, const char *path, bool png);

#endif
