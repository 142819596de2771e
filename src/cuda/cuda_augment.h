/* cuda_augment.h: transforms on a GPU: from uint8 images that stay there to a batch in f32, with the
 * same random numbers and the same bits as data/chain.c on the host (docs/augmentation.md). No type
 * of CUDA stands here. Read before: fenwicks/data.h. */
#ifndef FWI_CUDA_AUGMENT_H
#define FWI_CUDA_AUGMENT_H

#include <fenwicks/data.h>

enum { FWI_AUGMENT_MAX = 16 }; /* transforms of one list */

/* A list of transforms as a kernel takes it. */
typedef struct fwi_augment_item {
    int32_t kind; /* fw_transform_kind */
    int32_t h, w, dihedral, alternating;
    double brightness, contrast;
    float mean[FW_MAX_CHANNELS], std[FW_MAX_CHANNELS]; /* std 0 is 1 already */
} fwi_augment_item;
typedef struct fwi_augment {
    int32_t n, h, w, c;
    fwi_augment_item item[FWI_AUGMENT_MAX];
} fwi_augment;

/* A build under emulation (tests/cuda) has both beside those of the library. */
#ifdef FWI_CUDA_EMULATED
#define fwi_augment_make fwi_augment_make_emulated
#define fwi_cuda_augment fwi_cuda_augment_emulated
#endif

/* list: as a data set takes it, checked against images of h x w x c. FW_EUNAVAILABLE for a transform
 * of the caller's own, which runs on the host alone, and for more than FWI_AUGMENT_MAX. */
fw_status fwi_augment_make(fwi_augment *out, const fw_transform *list, int64_t h, int64_t w,
                           int64_t c);

/* Enqueues: out[i], f32 [h,w,c], is image records[i] of `images` (u8, [..,h,w,c]) as the list leaves
 * it in pass passes[i]; a record of -1 gives zeros. Memory of the device; stream: the device's. */
fw_status fwi_cuda_augment(void *stream, const fwi_augment *a, uint64_t seed, const uint8_t *images,
                           const int64_t *records, const int64_t *passes, int64_t n, float *out);

#endif
