/* idx.h: the two halves of an IDX pair from any source of bytes; for idx.c's own calls and the
 * fuzzer. */
#ifndef FWI_IDX_H
#define FWI_IDX_H

#include "source.h"

fw_status fwi_idx_read_images(fwi_source *s, fw_images *out); /* pixels and sizes alone */
fw_status fwi_idx_read_labels(fwi_source *s, uint8_t **out, int64_t *n); /* fwi_free(*out) */

#endif
