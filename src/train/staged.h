/* staged.h: a batch on its way to the network where not all of its rows are trained on: gathered, or
 * with the labels of the others masked (fw_estimator_opt.filter, .record). Part of the training loop,
 * fit.c. */
#ifndef FWI_STAGED_H
#define FWI_STAGED_H

#include "estimator.h"

typedef struct fwi_staged {
    float *images;             /* [keep,h,w,c]; filter only */
    int32_t *labels, *labels2; /* [keep], or [batch] */
    double *loss;              /* [batch]; record only */
    size_t image_bytes;
} fwi_staged;

int64_t fwi_staged_bytes(const fw_estimator *e,
                         const fw_dataset *ds); /* and the filter's; 0: none */
/* Whether estimator, data and filter go together for steps up to `until`. */
fw_status fwi_staged_check(const fw_estimator *e, const fw_dataset *ds, int64_t until);
fw_status fwi_staged_prepare(fwi_staged *s, const fw_estimator *e, const fw_dataset *ds);
void fwi_staged_clear(fwi_staged *s);

/* The rows of b that the filter keeps in this step. *out views s. */
void fwi_staged_gather(fwi_staged *s, const fw_filter *f, int64_t step, const fw_batch *b,
                       fw_batch *out);
/* b with the labels of the rows that were not chosen masked. */
void fwi_staged_mask(fwi_staged *s, const fw_filter *f, int64_t step, const fw_batch *b,
                     fw_batch *out);
/* The loss of each row, out of a .rows plan that was run, and the choice. */
fw_status fwi_staged_choose(fwi_staged *s, fw_filter *f, int64_t step, const fwi_network_plan *p,
                            const fwi_binding *b);

#endif
