/* cutmix.h: patches from one image of a batch to another (fw_cutmix). What is drawn is in
 * docs/augmentation.md. Used by batches.c, when a batch is handed out. */
#ifndef FWI_CUTMIX_H
#define FWI_CUTMIX_H

#include <fenwicks/data.h>

/* A mixer for batches of up to n images of h x w x c. t, place: as fwi_chain_cutmix gave them; t is
 * borrowed. */
typedef struct fwi_cutmix fwi_cutmix;
fw_status fwi_cutmix_new(fwi_cutmix **out, const fw_transform *t, int place, uint64_t seed,
                         int64_t n, int64_t h, int64_t w, int64_t c);
void fwi_cutmix_free(fwi_cutmix *m);
/* FW_EARG where batches of steps before `until` are mixed by t (NULL: none are), which are cut to windows then. */
fw_status fwi_cutmix_check_crop(const fw_transform *t, int64_t until, int64_t batch);
void fwi_cutmix_reseed(fwi_cutmix *m, uint64_t seed); /* as one made with that seed */
size_t fwi_cutmix_bytes(const fw_transform *t, int64_t n, int64_t c); /* that one holds */

/* Mixes the first n images of the batch at `position`, [n,h,w,c], in place; labels2 [n] gets the
 * labels of the images that gave, or labels themselves before the transform's `from`. Allocates
 * nothing. */
void fwi_cutmix_run(fwi_cutmix *m, int64_t position, int64_t n, float *images,
                    const int32_t *labels, int32_t *labels2);

#endif
