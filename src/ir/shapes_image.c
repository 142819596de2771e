/* shapes_image.c: the shape rules of what changes the size of images. Read before: shapes.h. */
#include "shapes.h"

#include <inttypes.h>

static fw_status image_forward(fwi_rule *r)
{
    const fwi_image_attr *a = &r->attr->image;
    TRY(fwi_want_real(r, 0, "x", 4, 4));
    TRY(fwi_want_int("h", a->h, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("w", a->w, 1, FWI_MAX_ATTR));
    const int64_t *x = r->in[0].shape.d;
    if ((a->ih != 0 && a->ih != x[1]) || (a->iw != 0 && a->iw != x[2]))
        return fwi_fail(FW_ESHAPE,
                        "x is %" PRId64 "x%" PRId64 ", the attributes say ih=%" PRId64
                        " iw=%" PRId64,
                        x[1], x[2], a->ih, a->iw);
    fwi_give(r, 0, r->real, fwi_shape4(x[0], a->h, a->w, x[3]));
    return FW_OK;
}

static fw_status image_backward(fwi_rule *r)
{
    const fwi_image_attr *a = &r->attr->image;
    TRY(fwi_want_real(r, 0, "dy", 4, 4));
    TRY(fwi_want_int("h", a->h, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("w", a->w, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("ih", a->ih, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("iw", a->iw, 1, FWI_MAX_ATTR));
    const int64_t *dy = r->in[0].shape.d;
    if (dy[1] != a->h || dy[2] != a->w)
        return fwi_fail(
            FW_ESHAPE, "dy is %" PRId64 "x%" PRId64 ", the attributes say h=%" PRId64 " w=%" PRId64,
            dy[1], dy[2], a->h, a->w);
    fwi_give(r, 0, r->real, fwi_shape4(dy[0], a->ih, a->iw, dy[3]));
    return FW_OK;
}

static fw_status crop_fits(const fwi_image_attr *a, int64_t ih, int64_t iw)
{
    if (a->h <= ih && a->w <= iw)
        return FW_OK;
    return fwi_fail(FW_ESHAPE,
                    "the crop of %" PRId64 "x%" PRId64 " is larger than the image of %" PRId64
                    "x%" PRId64,
                    a->h, a->w, ih, iw);
}

fw_status fwi_rule_resize(fwi_rule *r)
{
    return image_forward(r);
}

fw_status fwi_rule_resize_grad(fwi_rule *r)
{
    return image_backward(r);
}

fw_status fwi_rule_crop(fwi_rule *r)
{
    TRY(image_forward(r));
    return crop_fits(&r->attr->image, r->in[0].shape.d[1], r->in[0].shape.d[2]);
}

fw_status fwi_rule_crop_grad(fwi_rule *r)
{
    TRY(image_backward(r));
    return crop_fits(&r->attr->image, r->attr->image.ih, r->attr->image.iw);
}
