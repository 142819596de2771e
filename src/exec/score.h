/* score.h: what an evaluation makes of logits where they are, on the device: the weighted sum over the
 * views of each image, and behind the last view a verdict for each row, left in the line of a table
 * (lines.h) whose turn it is. So the host need not see logits between two batches. In double, step by step
 * as train/tta.c has it. Read before: lines.h. */
#ifndef FWI_SCORE_H
#define FWI_SCORE_H

#include <stdbool.h>
#include <stdint.h>

/* Of one row. A row whose label is no class, such as one behind the last record, has a loss of 0. */
typedef struct fwi_verdict {
    double loss;       /* cross-entropy of the sum, with label smoothing */
    double confidence; /* the largest softmax probability of the sum; -1: not a number */
    int32_t best;      /* the first class whose sum is largest */
    int32_t plain;     /* the same by the first view alone */
} fwi_verdict;

/* One view of a batch. All memory is the device's. */
typedef struct fwi_score_job {
    const float *logits;   /* [n,k] */
    const int32_t *labels; /* [n] */
    double weight;         /* of the view */
    double smoothing;
    bool first, last; /* of the views */
    int64_t n, k;
    double *sum;       /* [n,k] begun by the first view */
    fwi_verdict *left; /* [..,n] table; a view writes what it knows */
    const int32_t *turn;
} fwi_score_job;

#endif
