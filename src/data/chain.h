/* chain.h: a list of transforms made ready for images of one size.
 *
 * The data set's jobs and fw_transform_apply both run images through here, so that they give the
 * same bits. What is drawn, and in which order, is in docs/augmentation.md. */
#ifndef FWI_CHAIN_H
#define FWI_CHAIN_H

#include <fenwicks/data.h>

typedef struct fwi_chain fwi_chain;

/* Image sizes that this room takes: positive, at most FW_MAX_CHANNELS channels, at most 2^28
 * values. FW_ESHAPE else. */
fw_status fwi_image_shape_check(int64_t h, int64_t w, int64_t c);

/* Checks the list (it ends with FW_TRANSFORM_END; NULL: empty) against images of h x w x c, copies
 * it and works out everything that does not depend on the record. FW_EARG: a transform that is
 * malformed; FW_ESHAPE: one that does not fit the image. The message counts transforms from 0. */
fw_status fwi_chain_new(fwi_chain **out, const fw_transform *list, int64_t h, int64_t w, int64_t c);
void fwi_chain_free(fwi_chain *chain);

size_t fwi_chain_bytes(const fwi_chain *chain);         /* held by the chain */
size_t fwi_chain_scratch_bytes(const fwi_chain *chain); /* that each concurrent run needs */
/* The list's cutmix, which is the batch's business (cutmix.h), and its place; NULL: there is none. */
const fw_transform *fwi_chain_cutmix(const fwi_chain *chain, int *place);
const fw_transform *fwi_chain_list(const fwi_chain *chain, int *n); /* view, without end mark */

/* What the random choices of one record hang on. */
typedef struct fwi_draw {
    uint64_t seed;
    int64_t pass, record;
} fwi_draw;

/* in: [h,w,c] of u8 or f32 -> out: f32 [h,w,c], not overlapping. scratch: 16-byte aligned, any
 * content. Thread-safe with a scratch per thread; allocates nothing. Fails only where a user's own
 * transform does. */
fw_status fwi_chain_run(const fwi_chain *chain, void *scratch, const fwi_draw *draw, fw_dtype dtype,
                        const void *restrict in, int32_t label, float *restrict out);

#endif
