/* tensor.h: element types, shared by data, models and devices. */
#ifndef FENWICKS_TENSOR_H
#define FENWICKS_TENSOR_H

#include <fenwicks/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fw_dtype {
    FW_F32 = 0,
    FW_F64 = 1,
    FW_BF16 = 2,
    FW_F16 = 3,
    FW_U8 = 4,
    FW_I32 = 5,
    FW_I64 = 6
} fw_dtype;

enum {
    FW_MAX_RANK = 4,     /* tensors: n h w c */
    FW_MAX_CHANNELS = 8, /* images */
    FW_NONE = -1         /* "none" where 0 means a default that differs from none */
};

FW_API size_t fw_dtype_size(fw_dtype t); /* bytes of one element; 0 for a number that is no type */
FW_API const char *
fw_dtype_name(fw_dtype t); /* "f32", "u8", ...; "?" for a number that is no type */

#ifdef __cplusplus
}
#endif
#endif
