/* pixels.h: one decoded record, and the rules that a record's image and label must obey. */
#ifndef FWI_PIXELS_H
#define FWI_PIXELS_H

#include "mem.h"

#include <fenwicks/data.h>

typedef struct fwi_pixels {
    fw_dtype dtype;   /* FW_U8 or FW_F32 */
    const void *data; /* [h,w,c], borrowed */
    int32_t label;    /* -1: none */
} fwi_pixels;

/* Reads one tf.train.Example. out's data is in arena, which is reset first. FW_EFORMAT, FW_ESHAPE,
 * FW_EUNAVAILABLE: the message says what, not where. */
fw_status fwi_pixels_decode(fwi_arena *arena, const uint8_t *bytes, size_t n_bytes, int64_t h,
                            int64_t w, int64_t c, fwi_pixels *out);

/* Whether label is one of n_classes; anything goes where n_classes is 0. */
fw_status fwi_label_check(int32_t label, int64_t n_classes);

/* from in its type -> to in a type that can hold it exactly (FW_U8 -> FW_U8 or FW_F32, FW_F32 ->
 * FW_F32). */
void fwi_pixels_copy(const fwi_pixels *from, int64_t n_values, fw_dtype to_dtype, void *to);

#endif
