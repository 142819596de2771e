/* augment.cu: see augment.h; defined by docs/augmentation.md and data/chain_run.c, held to them bit
 * by bit by tests/cuda/test_augment.c. One thread per pixel of the batch: it walks the list backwards
 * to find which pixel of the image it shows, and then forwards with that pixel's values. So nothing
 * lies between two transforms, and an image is read once. */
#include "cuda_rng.h"
extern "C" {
#include "cuda_augment.h"
}

using namespace fwi_cuda;

/* What an item draws for one image. */
struct drawn {
    int a, b;   /* crop: shifts of y and x; flip: mirrored, quarter turns; cutout: y0, x0 */
    float x, y; /* jitter: added, multiplied */
};

static __device__ drawn draw(const fwi_augment &a, int i, uint64_t seed, int64_t record,
                             int64_t pass)
{
    const fwi_augment_item &t = a.item[i];
    drawn d = {0, 0, 0, 0};
    if (t.kind == FW_TRANSFORM_STANDARDIZE || t.kind == FWI_AUGMENT_VIEW)
        return d;
    const bool alternates = t.kind == FW_TRANSFORM_FLIP && t.alternating != 0;
    const uint32_t purpose = t.kind == FW_TRANSFORM_PAD_CROP ? FWI_RNG_CROP
                             : t.kind == FW_TRANSFORM_FLIP   ? FWI_RNG_FLIP
                             : t.kind == FW_TRANSFORM_CUTOUT ? FWI_RNG_CUTOUT
                                                             : FWI_RNG_JITTER;
    const words4 r =
        rng_block(seed, purpose, alternates ? 0u : (uint32_t)pass, (uint64_t)record, (uint32_t)i);
    switch (t.kind) {
    case FW_TRANSFORM_PAD_CROP:
        d.a = (int)below(r.w[0], (uint32_t)(2 * t.h + 1)) - t.h;
        d.b = (int)below(r.w[1], (uint32_t)(2 * t.h + 1)) - t.h;
        break;
    case FW_TRANSFORM_FLIP:
        d.a = below(r.w[0], 2) == 1;
        if (alternates)
            d.a = (d.a != 0) != (pass % 2 == 1);
        d.b = t.dihedral ? (int)below(r.w[1], 4) : 0;
        break;
    case FW_TRANSFORM_CUTOUT:
        d.a = (int)below(r.w[0], (uint32_t)(a.h - t.h + 1));
        d.b = (int)below(r.w[1], (uint32_t)(a.w - t.w + 1));
        break;
    default:
        d.x = (float)(t.brightness * (2 * unit(r.w[0]) - 1));
        d.y = (float)(1 + t.contrast * (2 * unit(r.w[1]) - 1));
    }
    return d;
}

static __device__ int reflected(int i, int n)
{
    return i < 0 ? -i : i < n ? i : 2 * (n - 1) - i;
}

struct augment_at {
    fwi_augment a;
    const uint8_t *images;
    const int32_t *labels;
    const int64_t *lines; /* [..,3n + 1] */
    const int32_t *turn;
    int n;
    float *out;
    int32_t *out_labels;
    __device__ void operator()(int pixel) const
    {
        const int size = a.h * a.w, image = pixel / size;
        int y = pixel % size / a.w, x = pixel % a.w;
        float *to = out + (int64_t)pixel * a.c;
        const int64_t *rows = turn == nullptr ? lines : lines + *turn * (3 * (int64_t)n + 1);
        const int64_t place = rows[image], record = rows[n + image], pass = rows[2 * n + image];
        const uint64_t seed = (uint64_t)rows[3 * n];
        if (pixel % size == 0)
            out_labels[image] = place < 0 ? -1 : labels[place];
        if (place < 0) {
            for (int k = 0; k < a.c; k++)
                to[k] = 0;
            return;
        }
        drawn d[FWI_AUGMENT_MAX + 1];
        bool hole[FWI_AUGMENT_MAX + 1];
        for (int i = a.n - 1; i >= 0; i--) {
            const fwi_augment_item &t = a.item[i];
            d[i] = draw(a, i, seed, record, pass);
            hole[i] = t.kind == FW_TRANSFORM_CUTOUT && y >= d[i].a && y < d[i].a + t.h &&
                      x >= d[i].b && x < d[i].b + t.w;
            if (t.kind == FW_TRANSFORM_PAD_CROP) {
                y = reflected(y + d[i].a, a.h);
                x = reflected(x + d[i].b, a.w);
            } else if (t.kind == FW_TRANSFORM_FLIP) {
                for (int k = 0; k < d[i].b; k++) { /* out(y, x) = in(x, w - 1 - y) */
                    const int was = y;
                    y = x;
                    x = a.w - 1 - was;
                }
                if (d[i].a)
                    x = a.w - 1 - x;
            } else if (t.kind == FWI_AUGMENT_VIEW) { /* tta.h: shifted first, then mirrored */
                y = reflected(y + t.h, a.h);
                x = reflected((t.w ? a.w - 1 - x : x) + t.h, a.w);
            }
        }
        const uint8_t *from = images + ((place * a.h + y) * a.w + x) * a.c;
        for (int k = 0; k < a.c; k++) {
            float v = (float)from[k];
            for (int i = 0; i < a.n; i++) {
                const fwi_augment_item &t = a.item[i];
                if (t.kind == FW_TRANSFORM_STANDARDIZE)
                    v = (v - t.mean[k]) / t.std[k];
                else if (t.kind == FW_TRANSFORM_COLOR_JITTER)
                    v = (v + d[i].x) * d[i].y;
                else if (hole[i])
                    v = 0;
            }
            to[k] = v;
        }
    }
};

/* A launch takes its stream from a call. No op stands behind this one. */
extern "C" fw_status fwi_cuda_augment(void *stream, const fwi_batch_job *job)
{
    const fwi_augment *a = job->how;
    const int64_t n = job->n;
    if (n > INT32_MAX / a->h / a->w)
        return fwi_fail(FW_ESHAPE, "a batch of %lld images of %d x %d is too large to be augmented",
                        (long long)n, (int)a->h, (int)a->w);
    const fwi_call call = call_on(stream);
    const fw_status st = each(&call, (int)(n * a->h * a->w),
                              augment_at{*a, job->images, job->labels, job->rows, job->turn, (int)n,
                                         job->out, job->out_labels});
    return st == FW_OK ? st : fwi_fail_in(st, "augmentation");
}
