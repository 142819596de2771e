/* chain.c: makes a list of transforms ready for images of one size.
 *
 * A list is cut into steps. A user's own function is a step; what lies between is cut into
 * segments: first standardisations and moves (crop, flip, turn) in any order, then cutouts and
 * jitters, which change the float image in place. Standardising first or moving first gives the same
 * bits, because a standardisation looks at a value and its channel only.
 *
 * Neighbours: transform.c makes the list's items, chain_run.c runs the steps, dataset.c runs chains
 * in jobs. */
#include "chain_inner.h"

#include "fail.h"
#include "mem.h"

#include <math.h>
#include <string.h>

enum { MAX_TRANSFORMS = 64 };

fw_status fwi_image_shape_check(int64_t h, int64_t w, int64_t c)
{
    const int64_t most = (int64_t)1 << 28;
    if (h < 1 || w < 1 || c < 1 || c > FW_MAX_CHANNELS || h > most || w > most / h ||
        c > most / h / w)
        return fwi_fail(FW_ESHAPE,
                        "images of %lldx%lldx%lld: sizes are positive, channels at most %d, values "
                        "at most %lld",
                        (long long)h, (long long)w, (long long)c, FW_MAX_CHANNELS, (long long)most);
    return FW_OK;
}

static fw_status check_standardize(const fw_transform *t, int i, int64_t c)
{
    if (t->c == -1)
        return fwi_fail(FW_EARG, "transform %d, standardize: mean or std is NULL", i);
    if (t->c != c)
        return fwi_fail(FW_ESHAPE,
                        "transform %d, standardize: made for %lld channels, images have %lld", i,
                        (long long)t->c, (long long)c);
    for (int64_t k = 0; k < c; k++)
        if (!isfinite(t->mean[k]) || !isfinite(t->std[k]) || t->std[k] < 0.0f)
            return fwi_fail(FW_EARG,
                            "transform %d, standardize: channel %lld has mean %g and std %g", i,
                            (long long)k, (double)t->mean[k], (double)t->std[k]);
    return FW_OK;
}

static fw_status check_cutmix(const fw_transform *t, int i, int64_t h, int64_t w)
{
    if (t->h < 1 || t->w < 1 || t->from < 0)
        return fwi_fail(FW_EARG, "transform %d, cutmix: a patch of %lldx%lld from position %lld", i,
                        (long long)t->h, (long long)t->w, (long long)t->from);
    if (t->h > h || t->w > w)
        return fwi_fail(FW_ESHAPE,
                        "transform %d, cutmix: a patch of %lldx%lld is larger than the image of "
                        "%lldx%lld",
                        i, (long long)t->h, (long long)t->w, (long long)h, (long long)w);
    if (t[1].kind != FW_TRANSFORM_NONE)
        return fwi_fail(FW_EARG,
                        "transform %d, cutmix: it mixes finished images, so no transform may come "
                        "after it",
                        i);
    return FW_OK;
}

static fw_status check_transform(const fw_transform *t, int i, int64_t h, int64_t w, int64_t c)
{
    switch (t->kind) {
    case FW_TRANSFORM_STANDARDIZE:
        return check_standardize(t, i, c);
    case FW_TRANSFORM_PAD_CROP:
        if (t->h < 0)
            return fwi_fail(FW_EARG, "transform %d, random_pad_crop: padding %lld is negative", i,
                            (long long)t->h);
        if (t->h >= h || t->h >= w)
            return fwi_fail(FW_ESHAPE,
                            "transform %d, random_pad_crop: images of %lldx%lld are too small to "
                            "reflect %lld pixels",
                            i, (long long)h, (long long)w, (long long)t->h);
        return FW_OK;
    case FW_TRANSFORM_FLIP:
        if (t->dihedral && t->alternating)
            return fwi_fail(FW_EARG, "transform %d: a flip is dihedral or alternating", i);
        if (t->dihedral && h != w)
            return fwi_fail(FW_ESHAPE,
                            "transform %d, random_dihedral: needs square images, not %lldx%lld", i,
                            (long long)h, (long long)w);
        return FW_OK;
    case FW_TRANSFORM_CUTOUT:
        if (t->h < 1 || t->w < 1)
            return fwi_fail(FW_EARG, "transform %d, cutout: a hole of %lldx%lld", i,
                            (long long)t->h, (long long)t->w);
        if (t->h > h || t->w > w)
            return fwi_fail(FW_ESHAPE,
                            "transform %d, cutout: a hole of %lldx%lld is larger than the image "
                            "of %lldx%lld",
                            i, (long long)t->h, (long long)t->w, (long long)h, (long long)w);
        return FW_OK;
    case FW_TRANSFORM_COLOR_JITTER:
        if (!(t->brightness >= 0 && t->brightness <= 1e6 && t->contrast >= 0 && t->contrast <= 1))
            return fwi_fail(FW_EARG,
                            "transform %d, color_jitter: brightness %g and contrast %g, expected 0 "
                            "to 1e6 and 0 to 1",
                            i, t->brightness, t->contrast);
        return FW_OK;
    case FW_TRANSFORM_CUTMIX:
        return check_cutmix(t, i, h, w);
    case FW_TRANSFORM_USER:
        if (t->fn == NULL)
            return fwi_fail(FW_EARG, "transform %d, user_transform: the function is NULL", i);
        return FW_OK;
    case FW_TRANSFORM_NONE:
        break;
    }
    return fwi_fail(FW_EARG, "transform %d: kind %d is unknown", i, (int)t->kind);
}

/* Cuts the list into steps. The first is always a segment, if only to convert. */
static void cut_steps(fwi_chain *chain)
{
    int i = 0;
    do {
        step *s = &chain->steps[chain->n_steps];
        *s = (step){.first = i};
        if (chain->n_steps > 0 && chain->list[i].kind == FW_TRANSFORM_USER) {
            s->user = true;
            i++;
        } else {
            for (; i < chain->n && (chain->list[i].kind == FW_TRANSFORM_STANDARDIZE ||
                                    chain->list[i].kind == FW_TRANSFORM_PAD_CROP ||
                                    chain->list[i].kind == FW_TRANSFORM_FLIP);
                 i++)
                if (chain->list[i].kind != FW_TRANSFORM_STANDARDIZE)
                    s->moves = true;
            s->moved = i;
            while (i < chain->n && (chain->list[i].kind == FW_TRANSFORM_CUTOUT ||
                                    chain->list[i].kind == FW_TRANSFORM_COLOR_JITTER))
                i++;
            if (s->moves && chain->n_steps > 0)
                chain->needs_copy = true;
        }
        s->end = i;
        chain->n_steps++;
    } while (i < chain->n);
}

static void spread_affine(fwi_chain *chain)
{
    const int64_t row = chain->w * chain->c;
    float *next = chain->rows;
    for (int i = 0; i < chain->n; i++) {
        const fw_transform *t = &chain->list[i];
        if (t->kind != FW_TRANSFORM_STANDARDIZE)
            continue;
        row_affine *a = &chain->affine[i];
        a->mean = next;
        a->std = next + row;
        next += 2 * row;
        for (int64_t k = 0; k < row; k++) {
            a->mean[k] = t->mean[k % chain->c];
            const float std = t->std[k % chain->c];
            a->std[k] = std > 0.0f ? std : 1.0f;
        }
    }
}

fw_status fwi_chain_new(fwi_chain **out, const fw_transform *list, int64_t h, int64_t w, int64_t c)
{
    int n = 0;
    size_t n_affine = 0;
    while (list != NULL && list[n].kind != FW_TRANSFORM_NONE) {
        if (n == MAX_TRANSFORMS)
            return fwi_fail(FW_EARG,
                            "more than %d transforms, or the list does not end with "
                            "FW_TRANSFORM_END",
                            MAX_TRANSFORMS);
        const fw_status st = check_transform(&list[n], n, h, w, c);
        if (st != FW_OK)
            return st;
        n_affine += list[n].kind == FW_TRANSFORM_STANDARDIZE;
        n++;
    }
    fw_status st = FW_ENOMEM;
    const size_t n_rows = 2 * n_affine * (size_t)(w * c);
    fwi_chain *chain = fwi_alloc_zero(sizeof *chain);
    if (chain == NULL)
        return FW_ENOMEM;
    chain->h = h;
    chain->w = w;
    chain->c = c;
    chain->cutmix = n > 0 && list[n - 1].kind == FW_TRANSFORM_CUTMIX;
    chain->n = chain->cutmix ? n - 1 : n;
    chain->list = fwi_alloc_array((size_t)n + 1, sizeof *chain->list);
    chain->affine = fwi_alloc_array((size_t)n + 1, sizeof *chain->affine);
    chain->steps = fwi_alloc_array((size_t)n + 1, sizeof *chain->steps);
    chain->rows = fwi_alloc_array(n_rows, sizeof *chain->rows);
    if (chain->list == NULL || chain->affine == NULL || chain->steps == NULL || chain->rows == NULL)
        goto done;
    chain->bytes =
        sizeof *chain +
        ((size_t)n + 1) * (sizeof *chain->list + sizeof *chain->affine + sizeof *chain->steps) +
        n_rows * sizeof *chain->rows;
    if (n > 0)
        memcpy(chain->list, list, (size_t)n * sizeof *list);
    spread_affine(chain);
    cut_steps(chain);
    st = FW_OK;
done:
    if (st == FW_OK)
        *out = chain;
    else
        fwi_chain_free(chain);
    return st;
}

void fwi_chain_free(fwi_chain *chain)
{
    if (chain == NULL)
        return;
    fwi_free(chain->list);
    fwi_free(chain->affine);
    fwi_free(chain->steps);
    fwi_free(chain->rows);
    fwi_free(chain);
}

size_t fwi_chain_bytes(const fwi_chain *chain)
{
    return chain->bytes;
}

const fw_transform *fwi_chain_list(const fwi_chain *chain, int *n)
{
    *n = chain->n + (chain->cutmix ? 1 : 0);
    return chain->list;
}

const fw_transform *fwi_chain_cutmix(const fwi_chain *chain, int *place)
{
    *place = chain->n;
    return chain->cutmix ? &chain->list[chain->n] : NULL;
}
