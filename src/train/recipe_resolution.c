/* recipe_resolution.c: train.resolution and its shares of the run: what they mean in steps, and
 * whether the network can do with such images, before any data is read. Read before:
 * recipe_build.c. */
#include "recipe_inner.h"

#include <inttypes.h>
#include <math.h>

#include "fail.h"

typedef struct sizes {
    double size[FW_MAX_KNOTS], end[FW_MAX_KNOTS]; /* end: in steps, of all but the last */
    int n;
} sizes;

static fw_status read_sizes(const fw_recipe *r, double steps, sizes *out)
{
    double share[FW_MAX_KNOTS];
    out->n = fwi_recipe_numbers(r, FWI_KEY_TRAIN_RESOLUTION, 1, out->size, FW_MAX_KNOTS);
    if (out->n == 0)
        return FW_OK; /* ends of nothing may stand in a file */
    const int ends = fwi_recipe_numbers(r, FWI_KEY_TRAIN_RESOLUTION_ENDS, 1, share, FW_MAX_KNOTS);
    (void)fwi_recipe_numbers(r, FWI_KEY_TRAIN_RESOLUTION_ENDS, steps, out->end, FW_MAX_KNOTS);
    if (out->n > FW_MAX_RESOLUTIONS)
        return fwi_fail(FW_EARG, "%s: %d sizes in train.resolution, at most %d are allowed",
                        r->source, out->n, (int)FW_MAX_RESOLUTIONS);
    if (ends != out->n - 1)
        return fwi_fail(
            FW_EARG,
            "%s: train.resolution has %d sizes and train.resolution_ends %d shares: all "
            "sizes but the last one end",
            r->source, out->n, ends);
    for (int i = 0; i < out->n; i++)
        if (out->size[i] != floor(out->size[i]))
            return fwi_fail(FW_EARG, "%s: train.resolution: %g, expected a whole number", r->source,
                            out->size[i]);
    for (int i = 0; i < ends; i++)
        if (!(share[i] > (i == 0 ? 0 : share[i - 1]) && share[i] < 1))
            return fwi_fail(
                FW_EARG,
                "%s: train.resolution_ends do not increase between 0 and 1: share %d in "
                "\"%s\"",
                r->source, i + 1, fwi_recipe_text(r, FWI_KEY_TRAIN_RESOLUTION_ENDS));
    return FW_OK;
}

fw_status fwi_recipe_resolutions(const fw_recipe *r, int64_t steps,
                                 fw_resolution out[FW_MAX_RESOLUTIONS], int32_t *n)
{
    sizes s;
    int64_t hwc[3] = {0}, from = 0;
    *n = 0;
    const fw_status st = read_sizes(r, (double)steps, &s);
    if (st != FW_OK)
        return st;
    (void)fwi_recipe_size(r, hwc);
    for (int i = 0; i < s.n; i++) {
        const bool last = i == s.n - 1;
        const int64_t size = (int64_t)s.size[i];
        const int64_t until = last ? INT64_MAX : (int64_t)round(s.end[i]);
        if (last && size == hwc[0] && size == hwc[1])
            break; /* what comes after all of them anyway */
        if (until <= from)
            continue; /* a run so short that this part of it has no step */
        out[(*n)++] = (fw_resolution){.size = size, .until = until};
        from = until;
    }
    return FW_OK;
}

fw_status fwi_recipe_resolutions_check(const fw_recipe *r, const fw_layer *net,
                                       const int64_t hwc[3], const fw_model_cost *full)
{
    sizes s;
    fw_status st = read_sizes(r, 1, &s);
    for (int i = 0; i < s.n && st == FW_OK; i++) {
        const int64_t size = (int64_t)s.size[i];
        fw_model_cost cost;
        if (hwc[0] != hwc[1])
            return fwi_fail(FW_ESHAPE,
                            "%s: train.resolution needs square images, network.input is %" PRId64
                            " x %" PRId64,
                            r->source, hwc[0], hwc[1]);
        if (size > hwc[0])
            return fwi_fail(FW_ESHAPE,
                            "%s: train.resolution: %" PRId64
                            " is larger than the images of %" PRId64 " x %" PRId64
                            " (network.input)",
                            r->source, size, hwc[0], hwc[1]);
        st = fw_layer_cost(net, size, size, hwc[2], &cost);
        if (st != FW_OK)
            return fwi_fail_in(st,
                               "%s: train.resolution: network of %" PRId64 " x %" PRId64 " images",
                               r->source, size, size);
        if (cost.params != full->params || cost.frozen != full->frozen)
            return fwi_fail(FW_ESHAPE,
                            "%s: train.resolution: the network has %" PRId64
                            " parameters for %" PRId64 " x %" PRId64 " images and %" PRId64
                            " for those of network.input: a global pool in place of flatten makes "
                            "them the same",
                            r->source, cost.params + cost.frozen, size, size,
                            full->params + full->frozen);
    }
    return st;
}
