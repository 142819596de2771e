/* cutmix.c: see cutmix.h. All patches are copied out before the first is pasted, so that every image
 * gives what it was. A patch is small, so this is done by the thread that takes the batch; the rows'
 * jobs stay independent of each other. */
#include "cutmix.h"

#include "fail.h"
#include "mem.h"
#include "rng.h"
#include "sort.h"

#include <assert.h>
#include <string.h>

/* A row of the batch, with the number that decides its place in the permutation. */
typedef struct drawn {
    uint64_t key;
    int64_t row;
} drawn;

struct fwi_cutmix {
    const fw_transform *t;
    int place;
    uint64_t seed;
    int64_t n, h, w, c;
    drawn *order;   /* [n] */
    float *patches; /* [n, t->h, t->w, c] */
};

static size_t patch_values(const fw_transform *t, int64_t c)
{
    return (size_t)(t->h * t->w * c);
}

size_t fwi_cutmix_bytes(const fw_transform *t, int64_t n, int64_t c)
{
    return sizeof(fwi_cutmix) + (size_t)n * (sizeof(drawn) + patch_values(t, c) * sizeof(float));
}

fw_status fwi_cutmix_new(fwi_cutmix **out, const fw_transform *t, int place, uint64_t seed,
                         int64_t n, int64_t h, int64_t w, int64_t c)
{
    fwi_cutmix *m = fwi_alloc_zero(sizeof *m);
    if (m == NULL)
        return FW_ENOMEM;
    *m = (fwi_cutmix){.t = t, .place = place, .seed = seed, .n = n, .h = h, .w = w, .c = c};
    m->order = fwi_alloc_array((size_t)n, sizeof *m->order);
    m->patches = fwi_alloc_array((size_t)n, patch_values(t, c) * sizeof *m->patches);
    if (m->order == NULL || m->patches == NULL) {
        fwi_cutmix_free(m);
        return FW_ENOMEM;
    }
    *out = m;
    return FW_OK;
}

fw_status fwi_cutmix_check_crop(const fw_transform *t, int64_t until, int64_t batch)
{
    if (t == NULL || t->from / batch >= until)
        return FW_OK;
    return fwi_fail(FW_EARG,
                    "cutmix: the other label counts with the patch's share of the whole image, "
                    "of which a resolution by crop shows a part: it may begin behind the last "
                    "of those, and resize goes with it");
}

void fwi_cutmix_free(fwi_cutmix *m)
{
    if (m == NULL)
        return;
    fwi_free(m->order);
    fwi_free(m->patches);
    fwi_free(m);
}

void fwi_cutmix_reseed(fwi_cutmix *m, uint64_t seed)
{
    m->seed = seed;
}

static int by_key(const void *a, const void *b)
{
    const drawn *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void draw(const fwi_cutmix *m, int64_t at, uint32_t words[4])
{
    fwi_rng_block(m->seed, FWI_RNG_CUTMIX, 0, (uint64_t)at, (uint32_t)m->place, words);
}

/* The first value of the patch of the row at this position of the stream, in an image. */
static int64_t patch_begin(const fwi_cutmix *m, int64_t at)
{
    uint32_t words[4];
    draw(m, at, words);
    const int64_t y = fwi_below(words[2], (uint32_t)(m->h - m->t->h + 1));
    const int64_t x = fwi_below(words[3], (uint32_t)(m->w - m->t->w + 1));
    return (y * m->w + x) * m->c;
}

void fwi_cutmix_run(fwi_cutmix *m, int64_t position, int64_t n, float *images,
                    const int32_t *labels, int32_t *labels2)
{
    assert(n <= m->n);
    if (position < m->t->from) {
        memcpy(labels2, labels, (size_t)n * sizeof *labels2);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        uint32_t words[4];
        draw(m, position + i, words);
        m->order[i] = (drawn){.key = (uint64_t)words[1] << 32 | words[0], .row = i};
    }
    fwi_sort(m->order, (size_t)n, sizeof *m->order, by_key);
    const int64_t line = m->t->w * m->c, stride = m->w * m->c, image = m->h * stride;
    for (int64_t i = 0; i < n; i++) {
        const int64_t giver = m->order[i].row;
        const float *from = images + giver * image + patch_begin(m, position + i);
        float *to = m->patches + i * m->t->h * line;
        for (int64_t y = 0; y < m->t->h; y++)
            memcpy(to + y * line, from + y * stride, (size_t)line * sizeof *to);
        labels2[i] = labels[giver];
    }
    for (int64_t i = 0; i < n; i++) {
        float *to = images + i * image + patch_begin(m, position + i);
        const float *from = m->patches + i * m->t->h * line;
        for (int64_t y = 0; y < m->t->h; y++)
            memcpy(to + y * stride, from + y * line, (size_t)line * sizeof *to);
    }
}
