/* augment.c: see augment.h. A list of transforms becomes a table of fixed size, which a kernel takes
 * as it is. */
#include "augment.h"

#include <assert.h>
#include <string.h>

#include "fail.h"

fw_status fwi_augment_make(fwi_augment *out, const fw_transform *list, int64_t h, int64_t w,
                           int64_t c)
{
    *out = (fwi_augment){.h = (int32_t)h, .w = (int32_t)w, .c = (int32_t)c};
    for (; list != NULL && list->kind != FW_TRANSFORM_NONE; list++) {
        if (list->kind == FW_TRANSFORM_USER || list->kind == FW_TRANSFORM_CUTMIX)
            return fwi_fail(FW_EUNAVAILABLE, "transform %d is %s, which runs on the host alone",
                            (int)out->n,
                            list->kind == FW_TRANSFORM_USER ? "the caller's own" : "cutmix");
        if (out->n == FWI_AUGMENT_MAX)
            return fwi_fail(FW_EUNAVAILABLE, "more than %d transforms run on the host alone",
                            (int)FWI_AUGMENT_MAX);
        fwi_augment_item *t = &out->item[out->n++];
        t->kind = (int32_t)list->kind;
        t->h = (int32_t)list->h;
        t->w = (int32_t)list->w;
        t->dihedral = list->dihedral;
        t->alternating = list->alternating;
        t->brightness = list->brightness;
        t->contrast = list->contrast;
        for (int i = 0; i < (int)list->c && i < (int)FW_MAX_CHANNELS; i++) {
            t->mean[i] = list->mean[i];
            t->std[i] = list->std[i] > 0 ? list->std[i] : 1;
        }
    }
    return FW_OK;
}

void fwi_augment_view(fwi_augment *a, int32_t shift, bool mirrored)
{
    assert(a->n <= FWI_AUGMENT_MAX && shift >= -1 && shift <= 1);
    if (shift != 0 || mirrored)
        a->item[a->n++] =
            (fwi_augment_item){.kind = FWI_AUGMENT_VIEW, .h = shift, .w = mirrored ? 1 : 0};
}

static bool same_item(const fwi_augment_item *a, const fwi_augment_item *b)
{
    bool same = a->kind == b->kind && a->h == b->h && a->w == b->w && a->dihedral == b->dihedral &&
                a->alternating == b->alternating && a->brightness == b->brightness &&
                a->contrast == b->contrast;
    for (int i = 0; i < (int)FW_MAX_CHANNELS; i++)
        same = same && a->mean[i] == b->mean[i] && a->std[i] == b->std[i];
    return same;
}

bool fwi_augment_same(const fwi_augment *a, const fwi_augment *b)
{
    bool same = a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c;
    for (int32_t i = 0; i < a->n && same; i++)
        same = same_item(&a->item[i], &b->item[i]);
    return same;
}
