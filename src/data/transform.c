/* transform.c: the public side of transforms: items of a list, and a list applied to one image.
 *
 * The calls that make an item cannot fail; what is wrong with one is found where it meets an image
 * size, in chain.c. */
#include "chain.h"
#include "fail.h"
#include "mem.h"

#include <string.h>

fw_transform fw_transform_end(void)
{
    return (fw_transform){.kind = FW_TRANSFORM_NONE};
}

fw_transform fw_standardize(int64_t c, const float *mean, const float *std)
{
    fw_transform t = {.kind = FW_TRANSFORM_STANDARDIZE, .c = c};
    if (mean == NULL || std == NULL)
        t.c = -1; /* chain.c says so */
    for (int64_t i = 0; i < t.c && i < FW_MAX_CHANNELS; i++) {
        t.mean[i] = mean[i];
        t.std[i] = std[i];
    }
    return t;
}

fw_transform fw_random_pad_crop(int64_t pad)
{
    return (fw_transform){.kind = FW_TRANSFORM_PAD_CROP, .h = pad};
}

fw_transform fw_random_flip(void)
{
    return (fw_transform){.kind = FW_TRANSFORM_FLIP};
}

fw_transform fw_alternating_flip(void)
{
    return (fw_transform){.kind = FW_TRANSFORM_FLIP, .alternating = true};
}

fw_transform fw_random_dihedral(void)
{
    return (fw_transform){.kind = FW_TRANSFORM_FLIP, .dihedral = true};
}

fw_transform fw_cutout(int64_t h, int64_t w)
{
    return (fw_transform){.kind = FW_TRANSFORM_CUTOUT, .h = h, .w = w};
}

fw_transform fw_color_jitter(double brightness, double contrast)
{
    return (fw_transform){
        .kind = FW_TRANSFORM_COLOR_JITTER, .brightness = brightness, .contrast = contrast};
}

fw_transform fw_cutmix(int64_t h, int64_t w, int64_t from)
{
    return (fw_transform){.kind = FW_TRANSFORM_CUTMIX, .h = h, .w = w, .from = from};
}

fw_transform fw_user_transform(fw_sample_fn fn, void *user)
{
    return (fw_transform){.kind = FW_TRANSFORM_USER, .fn = fn, .user = user};
}

fw_status fw_transform_apply(const fw_transform *transforms, uint64_t seed, int64_t pass,
                             int64_t record, fw_dtype dtype, int64_t h, int64_t w, int64_t c,
                             const void *in, int32_t label, float *out)
{
    if (in == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_transform_apply: NULL argument");
    if (dtype != FW_U8 && dtype != FW_F32)
        return fwi_fail(FW_EARG, "fw_transform_apply: images are u8 or f32, not %s",
                        fw_dtype_name(dtype));
    if (pass < 0 || record < 0)
        return fwi_fail(FW_EARG, "fw_transform_apply: pass %lld, record %lld", (long long)pass,
                        (long long)record);
    fw_status st = fwi_image_shape_check(h, w, c);
    if (st != FW_OK)
        return st;
    const size_t n = (size_t)(h * w * c);
    const uintptr_t from = (uintptr_t)in, to = (uintptr_t)out;
    if (from < to + n * sizeof *out && to < from + n * fw_dtype_size(dtype))
        return fwi_fail(FW_EARG, "fw_transform_apply: in and out overlap");
    fwi_chain *chain = NULL;
    void *scratch = NULL;
    size_t scratch_bytes = 0;
    if ((st = fwi_chain_new(&chain, transforms, h, w, c)) != FW_OK)
        goto done;
    scratch_bytes = fwi_chain_scratch_bytes(chain);
    scratch = fwi_big_alloc(scratch_bytes);
    if (scratch == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    const fwi_draw draw = {.seed = seed, .pass = pass, .record = record};
    st = fwi_chain_run(chain, scratch, &draw, dtype, in, label, out);
done:
    fwi_big_free(scratch, scratch_bytes);
    fwi_chain_free(chain);
    return st;
}
