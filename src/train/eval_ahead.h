/* eval_ahead.h: evaluation ahead of the host, of images that a device keeps (device_data.h): all batches
 * of a window are enqueued one behind the other, each view of a batch as one recording that makes its
 * images, runs the plan and leaves what came of it in the line of a table (lines.h, score.h); then the
 * host waits once and reads the table. Where a device cannot do that, or the host makes the batches,
 * evaluation goes batch by batch (eval.c, tta.h), with the same bits. Read before: network.h,
 * device_data.h, tta.h. */
#ifndef FWI_EVAL_AHEAD_H
#define FWI_EVAL_AHEAD_H

#include "device_data.h"
#include "tta.h"

enum { FWI_MAX_LOOKS = 24 };

/* What is left of each batch. */
typedef enum fwi_left {
    FWI_LEFT_SUMS,     /* loss and hits, as the plan adds them up */
    FWI_LEFT_VERDICTS, /* of each row, over views (score.h) */
    FWI_LEFT_PROBABILITIES
} fwi_left;

/* What is asked about a data set. All borrowed. */
typedef struct fwi_eval_pass {
    fwi_network *network;
    fwi_network_plan *plan; /* an evaluation plan of kept->batch images */
    fwi_device_data *kept;  /* loaded, and chosen with fwi_eval_want */
    fw_dataset *ds;
    fwi_left left;
    const fwi_view *views; /* of FWI_LEFT_VERDICTS */
    int n_views;
    double smoothing;                  /* likewise */
    const uint8_t *chosen;             /* [rows of ds] 0: is passed over; NULL: none is */
    const volatile sig_atomic_t *stop; /* the caller's flag; NULL: none */
} fwi_eval_pass;

/* A view of a batch as it was recorded; empty where recorded.recorded is NULL. */
typedef struct fwi_look {
    const fwi_network_plan *plan;
    fwi_recorded_ahead recorded;
    fwi_left left;
    fwi_score_job score; /* of FWI_LEFT_VERDICTS; else zero but for the table */
} fwi_look;

/* Zeroed is empty. */
typedef struct fwi_eval_ahead {
    fwi_look look[FWI_MAX_LOOKS];
    int oldest;    /* the look that makes room for another */
    uint8_t *host; /* [host_bytes] what was left, read back */
    size_t host_bytes;
    int64_t *numbers; /* [numbers_for] of a batch of the data set */
    size_t numbers_for;
    /* the pass that is under way */
    fwi_eval_pass pass;
    int64_t in_numbers, at, row; /* rows of that batch, the next one; its number in ds */
    int64_t n_rows; /* of this window: in lines 0, 1, ... of kept->rows, none left out */
    int32_t n_lines;
} fwi_eval_ahead;

/* What fwi_device_data_choose is to be asked for, where the device looks at windows of batches: its
 * batch, lines and beside. */
void fwi_eval_want(const fwi_device *d, int64_t records, int64_t batch, int64_t n_classes,
                   fwi_device_data_want *out);
/* Whether the images are there, and the device can. */
bool fwi_eval_can(const fwi_device_data *kept);

/* From the beginning of pass->ds, which is lent to the threads that it is to have. */
fw_status fwi_eval_begin(fwi_eval_ahead *a, const fwi_eval_pass *pass);
/* Enqueues the next window; FW_END: no rows are left. The following read what it left, and wait. */
fw_status fwi_eval_window(fwi_eval_ahead *a);
/* Adds the window's batches, one after the other. */
fw_status fwi_eval_read_sums(fwi_eval_ahead *a, double *loss, double *correct);
/* out: [n_rows], valid until the next window. */
fw_status fwi_eval_read_verdicts(fwi_eval_ahead *a, const fwi_verdict **out);
/* out: [n_rows,n_classes] */
fw_status fwi_eval_read_probabilities(fwi_eval_ahead *a, float *out);

/* Row i of the window: which record it is, and its label. */
static inline int64_t fwi_eval_record(const fwi_eval_ahead *a, int64_t i)
{
    const int64_t n = a->pass.kept->batch;
    return fwi_device_data_rows(a->pass.kept, i / n)[n + i % n];
}
static inline int32_t fwi_eval_label(const fwi_eval_ahead *a, int64_t i)
{
    const int64_t n = a->pass.kept->batch;
    return a->pass.kept->host_labels[fwi_device_data_rows(a->pass.kept, i / n)[i % n]];
}

/* A window of images 0 to n - 1 of those that are kept, in that order and without a data set (pass->ds
 * NULL, or one that memory is made ready for): as many as fwi_eval_most says, at most. Of none it is a
 * batch without a record: that makes the recordings of a pass, or runs them. */
int64_t fwi_eval_most(const fwi_eval_pass *pass);
fw_status fwi_eval_kept(fwi_eval_ahead *a, const fwi_eval_pass *pass, int64_t n);

/* All of ds over the pass' views. */
fw_status fwi_eval_views(fwi_eval_ahead *a, const fwi_eval_pass *pass, int64_t *confusion,
                         fwi_tally *tally);

/* Before its network. */
void fwi_eval_ahead_clear(fwi_eval_ahead *a);

#endif
