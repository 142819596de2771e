/* pixels.c: from a record's bytes to pixels and a label that the data room may rely on.
 *
 * Both ways of reading, by index (fetch.c) and as a stream (shuffle.c), decode here. */
#include "pixels.h"

#include "example.h"
#include "fail.h"

#include <string.h>

fw_status fwi_pixels_decode(fwi_arena *arena, const uint8_t *bytes, size_t n_bytes, int64_t h,
                            int64_t w, int64_t c, fwi_pixels *out)
{
    fwi_example_image e;
    fw_status st = fwi_example_image_decode(arena, bytes, n_bytes, &e);
    if (st == FW_OK)
        st = fwi_example_image_check(&e, h, w, c);
    if (st != FW_OK)
        return st;
    if (e.has_label && (e.label < 0 || e.label > INT32_MAX))
        return fwi_fail(FW_EFORMAT, "label %lld is not between 0 and %d", (long long)e.label,
                        INT32_MAX);
    out->dtype = e.u8 != NULL ? FW_U8 : FW_F32;
    out->data = e.u8 != NULL ? (const void *)e.u8 : e.f32;
    out->label = e.has_label ? (int32_t)e.label : -1;
    return FW_OK;
}

fw_status fwi_label_check(int32_t label, int64_t n_classes)
{
    if (n_classes <= 0 || (label >= 0 && label < n_classes))
        return FW_OK;
    if (label == -1)
        return fwi_fail(FW_EFORMAT, "there is no label, expected one of %lld classes",
                        (long long)n_classes);
    return fwi_fail(FW_EFORMAT, "label %d is outside the %lld classes 0 to %lld", (int)label,
                    (long long)n_classes, (long long)n_classes - 1);
}

void fwi_pixels_copy(const fwi_pixels *from, int64_t n_values, fw_dtype to_dtype, void *to)
{
    if (from->dtype == to_dtype) {
        memcpy(to, from->data, (size_t)n_values * fw_dtype_size(to_dtype));
        return;
    }
    const uint8_t *in = from->data;
    float *out = to;
    for (int64_t i = 0; i < n_values; i++)
        out[i] = (float)in[i];
}
