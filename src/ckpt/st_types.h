/* st_types.h: element types in safetensors: their names, and whether values are finite. */
#ifndef FWI_ST_TYPES_H
#define FWI_ST_TYPES_H

#include <fenwicks/tensor.h>
#include <stdbool.h>
#include <stdint.h>

const char *fwi_st_dtype_name(fw_dtype t);                /* "F32" */
bool fwi_st_dtype_parse(const char *name, fw_dtype *out); /* false: not one we have */

/* The first of n elements that is infinite or not a number; -1: none. Whole numbers have none. */
int64_t fwi_st_first_not_finite(const void *data, fw_dtype t, int64_t n);

#endif
