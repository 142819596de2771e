/* fit_inner.h: a call of the training loop as fit.c, fit_ahead.c and fit_folder.c share it. Read before: estimator.h,
 * staged.h. */
#ifndef FWI_FIT_INNER_H
#define FWI_FIT_INNER_H

#include "fail.h"
#include "staged.h"

typedef struct fit {
    fw_estimator *e;
    fw_dataset *ds;
    fwi_training_plans plans;
    fwi_staged staged;
    int64_t counted; /* rows of a step behind loss and correct */
    int64_t until, batch, steps_per_epoch;
    double row[FWI_MAX_COLUMNS];
    int64_t rng[2];
    double loss, correct;        /* of the latest step, per record and a count */
    int64_t undone, undone_told; /* updates, up to now and up to the latest word of it (f16) */
    int64_t steps_here;          /* steps of this call */
    double started, eval_seconds;
    double loop_started; /* all that is made before the first step is there */
    double once_seconds; /* opening the run's folder, and an evaluation before the first step */
    double ended;        /* when the last step of this call was done; 0: it is not */
    fw_budget budget;
    bool stop_asked;
    bool past; /* all its steps were done, by a run that has gone on to other data since */
    /* steps ahead of the host: fit_ahead.c */
    bool ahead;        /* that is how this call goes about it */
    bool device_made;  /* the lines that are ready say which rows */
    int32_t ready;     /* lines: steps that can be enqueued */
    int32_t most;      /* steps that may be on their way at once; 0: the first is to come */
    int64_t asked;     /* the step that the data set's next batch is for */
    int64_t untold;    /* steps that were done, and are told behind the one that is being told */
    fwi_error trouble; /* what ends the steps behind those that are ready; FW_OK: nothing */
} fit;

/* Seconds that a step of this call took, evaluations not counted; 0: there was none. */
double fwi_fit_seconds_each(const fit *f);
/* Why there is no batch for that step: st, or words for FW_END. */
fw_status fwi_fit_no_batch(const fit *f, fw_status st, int64_t step);
/* f->loss, correct, undone and row are of step f->e->step, which is over: counts it, tells it, and finds
 * what must not be. undone_row: as fwi_network_undone. */
fw_status fwi_fit_step_done(fit *f, int64_t undone_row);
bool fwi_fit_stop_wanted(const fit *f);
/* One step or more, told as one after the other would have been; no further than to where the loop has
 * something else to do. */
fw_status fwi_fit_steps_ahead(fit *f);

/* ---- fit_folder.c: nothing of it where the run has no folder ---- */
/* config.json, checkpoints, the log: made, or those of the run that is gone on with held against it. */
fw_status fwi_fit_open_folder(fit *f);
fw_status fwi_fit_log_epoch(const fit *f, const fw_event *ev);
fw_status fwi_fit_log_checkpoint(const fit *f, double seconds); /* of training, by all starts */

#endif
