/* augment.h: batches made on a device, from uint8 images that stay there: what a backend's make_batch
 * is asked for. The same random numbers and the same bits as data/chain_run.c on the host
 * (docs/augmentation.md). Read before: exec.h, fenwicks/data.h. */
#ifndef FWI_AUGMENT_H
#define FWI_AUGMENT_H

#include <fenwicks/data.h>

enum {
    FWI_AUGMENT_MAX = 16,  /* transforms of one list */
    FWI_AUGMENT_VIEW = 100 /* kind of the item that fwi_augment_view adds */
};

/* A list of transforms as a kernel takes it. */
typedef struct fwi_augment_item {
    int32_t kind;                        /* fw_transform_kind, or FWI_AUGMENT_VIEW */
    int32_t h, w, dihedral, alternating; /* view: h is the shift, w whether it is mirrored */
    double brightness, contrast;
    float mean[FW_MAX_CHANNELS], std[FW_MAX_CHANNELS]; /* std 0 is 1 already */
} fwi_augment_item;
typedef struct fwi_augment {
    int32_t n, h, w, c;
    fwi_augment_item item[FWI_AUGMENT_MAX + 1]; /* one more: the view */
} fwi_augment;

/* list: as a data set takes it, checked against images of h x w x c. FW_EUNAVAILABLE, with the reason:
 * a transform of the caller's own or cutmix, which run on the host alone, and more than
 * FWI_AUGMENT_MAX. */
fw_status fwi_augment_make(fwi_augment *out, const fw_transform *list, int64_t h, int64_t w,
                           int64_t c);
/* Behind all transforms, images are shown shifted by so many pixels (-1 to 1) of both axes, with
 * reflection, and mirrored: the views of tta.h. Once per list. */
void fwi_augment_view(fwi_augment *a, int32_t shift, bool mirrored);
/* Whether both ask for the same. */
bool fwi_augment_same(const fwi_augment *a, const fwi_augment *b);

/* What tells one batch from the next: [3n + 1] numbers. Image i is the one at place rows[i] of the
 * device's (-1: none, it becomes zeros with label -1); what it draws hangs on its record rows[n + i], its
 * pass rows[2n + i] and the seed of all of them, rows[3n]. */
static inline int64_t fwi_batch_row_numbers(int64_t n)
{
    return 3 * n + 1;
}

/* A batch to be made. */
typedef struct fwi_batch_job {
    const fwi_augment *how; /* the host's; free again when make_batch returns */
    const uint8_t *images;  /* [..,h,w,c]; this and the following: memory of the device */
    const int32_t *labels;  /* [..] */
    const int64_t *rows;    /* [3n + 1], or a table of such lines */
    const int32_t *turn;    /* [1] the line (lines.h); NULL: there is one */
    int64_t n;
    float *out;          /* [n,h,w,c] */
    int32_t *out_labels; /* [n] */
} fwi_batch_job;

#endif
