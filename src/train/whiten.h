/* whiten.h: filters that are made from the training images (fw_whiten, FWI_INIT_DATA). */
#ifndef FWI_WHITEN_H
#define FWI_WHITEN_H

#include "exec.h"
#include <fenwicks/data.h>

/* Fills every whitening filter of the store that is still 0, as layers.h describes it; one that came
 * with a checkpoint or a warm start is left alone. ds: the training data; its position stays. The
 * same bits for any pool. */
fw_status fwi_whiten(fwi_store *store, fwi_pool *pool, const fw_dataset *ds);

/* FW_ESTATE, naming it, if such a filter is still 0: there has been no training data to make it from. */
fw_status fwi_whiten_check(const fwi_store *store);

/* The parts of it, for tests. images [n,h,w,c]: adds X^T X of their k x k patches to sum [d+1,d], its
 * upper triangle, and the sum of all patches to its last row, d = k k c, image by image in order.
 * partial: [n,d+1,d], any content. */
void fwi_whiten_moments(fwi_pool *pool, const float *images, int64_t n, int64_t h, int64_t w,
                        int64_t c, int64_t k, double *partial, double *sum);
/* sum of fwi_whiten_moments over so many rows, becomes X^T X / rows or, centred, the covariance of the
 * patches with rows - 1; rows is 2 or more then. */
void fwi_whiten_covariance(int64_t d, int64_t rows, bool centred, double *sum);
/* cov [d,d], X^T X / rows, is destroyed -> filter [channels,d], channels d or 2 d. */
fw_status fwi_whiten_filter(int64_t d, int64_t channels, double eps, double *cov, float *filter);

#endif
