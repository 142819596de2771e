/* st_types.h: the names that safetensors has for element types. */
#ifndef FWI_ST_TYPES_H
#define FWI_ST_TYPES_H

#include <fenwicks/tensor.h>
#include <stdbool.h>

const char *fwi_st_dtype_name(fw_dtype t);                /* "F32" */
bool fwi_st_dtype_parse(const char *name, fw_dtype *out); /* false: not one we have */

#endif
