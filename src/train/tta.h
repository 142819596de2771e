/* tta.h: evaluation over several views of each image (fw_tta): the views, their weights, and the
 * sums behind an accuracy. Shared by eval.c (estimator) and model.c. */
#ifndef FWI_TTA_H
#define FWI_TTA_H

#include "device_data.h"
#include "network.h"
#include <fenwicks/train.h>

enum { FWI_TTA_MAX_VIEWS = 6 };

/* out(y, x) = in(r(y + shift), r(x' + shift)), where r reflects at the border without repeating it
 * and x' = x, or w - 1 - x in a mirrored view: shifted first, then mirrored. */
typedef struct fwi_view {
    double weight;
    int shift; /* -1, 0 or 1, of both axes */
    bool mirrored;
} fwi_view;
/* The first one is the image itself. NULL, *n 0: no such kind. */
const fwi_view *fwi_tta_views(fw_tta tta, int *n);

/* in, out: [n,h,w,c], not overlapping. */
void fwi_view_make(const fwi_view *v, fwi_pool *pool, int64_t n, int64_t h, int64_t w, int64_t c,
                   const float *in, float *out);

/* Buffers for batches of one size. Zeroed is empty. */
typedef struct fwi_tta {
    fw_tta kind;
    int64_t batch, h, w, c, n_classes;
    float *view;    /* [batch,h,w,c] */
    double *plain;  /* [batch,n_classes] logits of the images themselves */
    double *sum;    /* [batch,n_classes] the weighted mean over all views */
    double *staged; /* [batch,n_classes] as the network gives them, in either type */
} fwi_tta;
int64_t fwi_tta_bytes(fw_tta kind, int64_t batch, int64_t h, int64_t w, int64_t c,
                      int64_t n_classes);
/* FW_EARG: no such kind; FW_ESHAPE: images too small to be shifted. */
fw_status fwi_tta_check(fw_tta kind, int64_t h, int64_t w);
/* Makes room, unless there is for just this; what fwi_tta_check refuses is refused. After an error
 * t is empty. */
fw_status fwi_tta_prepare(fwi_tta *t, fw_tta kind, int64_t batch, int64_t h, int64_t w, int64_t c,
                          int64_t n_classes);
void fwi_tta_clear(fwi_tta *t);

/* Fills plain and sum with the logits of one batch. p: an evaluation plan of t's batch. Of
 * FW_TTA_SELECTIVE all views: tta_select.h says whose. */
fw_status fwi_tta_run(fwi_tta *t, const fwi_network_plan *p, fwi_pool *pool, void *scratch,
                      const fwi_shown *x);

/* The same with the images themselves alone. */
fw_status fwi_tta_run_plain(fwi_tta *t, const fwi_network_plan *p, fwi_pool *pool, void *scratch,
                            const fwi_shown *x);

/* What was counted so far. */
typedef struct fwi_tally {
    double loss; /* summed */
    int64_t correct, correct_plain, records;
    int64_t forwards; /* as fw_metrics has it */
} fwi_tally;
/* Adds the first n rows of the latest run. loss: cross-entropy of sum with label smoothing, as the
 * op softmax_xent has it. confusion [n_classes,n_classes] may be NULL. FW_EARG: a label that is no
 * class, by its record. */
fw_status fwi_tta_count(const fwi_tta *t, const int32_t *labels, const int64_t *records, int64_t n,
                        double smoothing, int64_t *confusion, fwi_tally *tally);
/* Adds a row of which a device said this (eval_ahead.h), but no forward passes. k: classes. */
fw_status fwi_tally_add(fwi_tally *tally, const fwi_verdict *v, int32_t label, int64_t record,
                        int64_t k, int64_t *confusion);

#endif
