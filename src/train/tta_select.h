/* tta_select.h: selective views (FW_TTA_SELECTIVE): a plain pass over the data, the choice of the
 * records about which the network is least certain, and a second pass that gives these, and only
 * these, all views. Shared by eval.c (estimator) and model.c. Read before: tta.h. */
#ifndef FWI_TTA_SELECT_H
#define FWI_TTA_SELECT_H

#include "eval_ahead.h"

/* A record of the data set: rows are counted in its order. */
typedef struct fwi_candidate {
    double confidence; /* the largest softmax probability of its plain logits */
    int64_t record, row;
} fwi_candidate;

/* What is kept of a whole data set. Zeroed is empty. */
typedef struct fwi_selective {
    int64_t cap, batch, h, w, c, n_classes;
    int64_t n;                 /* records seen */
    double *plain, *sum;       /* [cap,n_classes] logits: of the images; those that count */
    fwi_candidate *candidates; /* [cap] */
    int32_t *labels;           /* [cap] */
    int64_t *records;          /* [cap] */
    uint8_t *chosen;           /* [cap] */
    fwi_verdict *verdicts;     /* [cap] of rows that a device looked at: those that count */
    float *images;             /* [batch,h,w,c] rows on their way to the network */
    int32_t *masked;           /* [batch] -1: the network's own counts are not used */
    int64_t *rows;             /* [batch] which these are */
    int64_t *shown;            /* [3 batch + 1] of images that a device keeps */
} fwi_selective;

int64_t fwi_selective_bytes(int64_t records, int64_t batch, int64_t h, int64_t w, int64_t c,
                            int64_t n_classes);
/* Makes room, unless there is for just this. After an error s is empty. */
fw_status fwi_selective_prepare(fwi_selective *s, int64_t records, int64_t batch, int64_t h,
                                int64_t w, int64_t c, int64_t n_classes);
void fwi_selective_clear(fwi_selective *s);

/* So many of n records get all views. */
static inline int64_t fwi_selective_share(int64_t n)
{
    return n / 4;
}
/* Marks fwi_selective_share(n) of the n records seen, those whose confidence is lowest (NaN below all),
 * the smaller record first among equals; gives their number. Sorts candidates. */
int64_t fwi_selective_choose(fwi_selective *s);

/* Both passes over ds, from its beginning, and the count. t: prepared for FW_TTA_SELECTIVE and the
 * plan's batch, which may be another than the data set's. kept: what a device
 * keeps of ds; NULL: nothing. The rest as fwi_tta_run and fwi_tta_count have it. Allocates nothing. */
fw_status fwi_selective_run(fwi_selective *s, fwi_tta *t, const fwi_network_plan *p, fwi_pool *pool,
                            void *scratch, fw_dataset *ds, fwi_device_data *kept, double smoothing,
                            const volatile sig_atomic_t *stop, int64_t *confusion,
                            fwi_tally *tally);
/* The same where the device looks at windows of batches; pass says all but views and chosen. The host makes
 * the choice between the two passes. */
fw_status fwi_selective_ahead(fwi_selective *s, fwi_eval_ahead *a, const fwi_eval_pass *pass,
                              int64_t *confusion, fwi_tally *tally);

#endif
