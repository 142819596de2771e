/* network.h: what a training run and a trained model have in common: layers compiled to plans over
 * one store and one scratch block. */
#ifndef FWI_NETWORK_H
#define FWI_NETWORK_H

#include "augment.h"
#include "exec.h"
#include "guard.h"
#include "lines.h"
#include "optim_inner.h"
#include "score.h"
#include <fenwicks/layers.h>
#include <fenwicks/train.h>

enum { FWI_MAX_COLUMNS = FWI_OPTIM_MAX_COLUMNS, FWI_MAX_PLANS = 48 };

typedef struct fwi_network_spec {
    const fw_layer *net;    /* borrowed */
    const fwi_optim *optim; /* borrowed; NULL: only to evaluate */
    fw_dtype real;          /* FW_F32, FW_F64, or FW_BF16, FW_F16: computed in f32, images stored
                           in 16 bits, where the device says it can */
    int64_t h, w, c;
    double label_smoothing;
    bool tf32; /* products of f32 may be rounded to tf32: the device was opened so */
    bool loss_sum;
    double loss_scale; /* FW_F16: of the loss whose gradient is taken; 0: fwi_network_loss_scale */
    fw_conv conv;
    /* 0: any; variables that need more are FW_ESHAPE, before memory is taken for them */
    size_t most_var_bytes;
} fwi_network_spec;

/* What a plan is for. */
typedef enum fwi_use {
    FWI_EVALUATE,
    FWI_TRAIN,
    FWI_EVALUATE_AVERAGE /* with the averages in place of the weights */
} fwi_use;
typedef struct fwi_network_use {
    fwi_use kind;
    int64_t batch;
    int64_t size; /* training: images are made size x size first; 0: they stay as they are */
    fw_resolution_by by;
    double share2; /* training: of the second labels in the loss; 0: there are none */
    uint32_t over; /* training: the parameter groups (fwi_optim_over) that stay as they are */
    bool rows;     /* training: no update; what is asked for is the loss of each row */
    bool still;    /* training: running statistics stay, they have seen this batch */
} fwi_network_use;

/* A step ahead of the host, as it was recorded: the plan's run and all that is around it. */
typedef struct fwi_recorded_ahead {
    fwi_recording *recorded; /* NULL: not yet, or it failed */
    fwi_batch_job batch;     /* that it makes; n 0: none */
    fwi_augment how;
} fwi_recorded_ahead;
/* Whether the batch that was recorded is this one (NULL: none), but for its line. */
bool fwi_recorded_same_batch(const fwi_recorded_ahead *r, const fwi_batch_job *job);
void fwi_recorded_keep_batch(fwi_recorded_ahead *r, const fwi_batch_job *job);

/* One plan and where its inputs and outputs are. Training plans update the store. */
typedef struct fwi_network_plan {
    fwi_plan *plan;
    fwi_recording *recorded; /* its run, on a device that keeps such */
    fwi_recorded_ahead ahead;
    bool unrecorded; /* recording it failed, and is not tried again */
    fwi_network_use use;
    int in_x, in_labels, in_labels2, in_hyper, in_rng; /* -1: not used */
    int out_rows;                                      /* of .rows plans; [batch] */
    int out_loss, out_correct, out_logits,
        out_probs; /* -1: none; the last two are of evaluation. loss: training by spec.loss_sum, else a sum */
} fwi_network_plan;

/* What steps ahead of the host find and leave on the device: one block with the turn (lines.h), a line of
 * numbers for each step, and a line of what came of it. */
typedef struct fwi_tables {
    uint8_t *block; /* NULL: none yet */
    uint8_t *host;  /* the first two as they are uploaded, the last as it is downloaded */
    size_t line_bytes, left_at, bytes;
} fwi_tables;

typedef struct fwi_network {
    fwi_network_spec spec;
    fwi_device *device; /* borrowed */
    fwi_store *store;
    int64_t n_classes;
    fwi_network_plan plans[FWI_MAX_PLANS];
    int n_plans;
    void *scratch; /* as large as the largest plan asks for, once fwi_network_bind was called */
    size_t scratch_bytes, scratch_wanted;
    fwi_guard guard; /* of training in f16; counts NULL: none yet */
    fwi_tables tables;
} fwi_network;

/* Makes the store, zeroed: fwi_store_init or a file fills it. batch: any that will do, variables do
 * not depend on it. */
fw_status fwi_network_init(fwi_network *n, fwi_device *d, const fwi_network_spec *spec);
void fwi_network_clear(fwi_network *n);
/* Whether what a spec describes can be compiled for batches of so many images: FW_OK, or the reason.
 * Touches neither data nor a device. */
fw_status fwi_network_check(const fwi_network_spec *spec, int64_t batch);
/* The same of one use: training at a resolution, the losses of rows. */
fw_status fwi_network_check_use(const fwi_network_spec *spec, const fwi_network_use *use);
/* How many parameters are in none of the optimiser's groups. */
fw_status fwi_network_ungrouped(const fwi_network_spec *spec, int64_t batch, int *n);
/* What one run of a use multiplies, counted in the graph that it is (ir_rules.h, fwi_op_macs):
 * convolutions and matrix products, forwards and backwards, and those of updates (Muon's). */
typedef struct fwi_network_macs {
    int64_t passes, updates;
} fwi_network_macs;
fw_status fwi_network_count(const fwi_network_spec *spec, const fwi_network_use *use,
                            fwi_network_macs *out);
/* The plan for this use, made on first demand. Borrowed. FW_ESHAPE: a size that is larger than the
 * images, or at which a layer has nothing left to look at. */
fw_status fwi_network_plan_for(fwi_network *n, const fwi_network_use *use, fwi_network_plan **out);
/* The same at full size, with one label per image. */
fw_status fwi_network_plan_get(fwi_network *n, fwi_use use, int64_t batch, fwi_network_plan **out);
/* Bytes that it will still take of the device, and what steps take of it beside scratch: tables, and in
 * f16 a copy of the state. */
size_t fwi_network_to_come(const fwi_network *n);
size_t fwi_network_beside_bytes(const fwi_network *n);
/* Whether that, and so many bytes of images, fit into what is free of the device's memory: FW_OK, or
 * FW_ENOMEM with all of these numbers. Allocates nothing. */
fw_status fwi_network_fits(const fwi_network *n, size_t images);
/* Allocates scratch for all plans made so far. Called again it only grows. */
fw_status fwi_network_bind(fwi_network *n);
/* Plans got since the last fwi_network_bind are not to be run after all, or that has failed: they are asked for
 * again before they are. */
void fwi_network_want_no_more(fwi_network *n);
int64_t fwi_network_state_bytes(const fwi_network *n); /* state and gradients */
/* Gradients and the count of undone updates as in a new network; the state is the caller's to fill. */
fw_status fwi_network_forget(fwi_network *n);

/* What scratch is not: allocated by fwi_network_bind, released by fwi_network_clear. */
size_t fwi_network_beside_to_come(const fwi_network *n);
fw_status fwi_network_bind_beside(fwi_network *n);
void fwi_network_clear_beside(fwi_network *n);

/* Runs the plan: the first time step by step, then as one recording where the device keeps such; step
 * by step for good, with a line to the log, where it fails to record. */
fw_status fwi_network_run(fwi_network_plan *p, const fwi_binding *b);
/* A run of a training plan: in f16 one that leaves everything as it was where a gradient overflows. */
fw_status fwi_network_update(fwi_network *n, fwi_network_plan *p, const fwi_binding *b);
/* Behind a run with that binding: a recording of it, with what is to be around. It spares later runs time
 * and nothing else, so where it fails there is a line in the log and none. */
void fwi_network_record(fwi_network_plan *p, const fwi_binding *b, const fwi_around *around,
                        fwi_recording **out);
/* What an update does before and behind the plan's run, where it may have to be undone. */
fw_status fwi_network_keep(fwi_network *n, const fwi_network_plan *p);
fw_status fwi_network_judge(fwi_network *n, const fwi_network_plan *p);
/* The same step by step, as fwi_plan_run_timed; op_seconds NULL: not timed. */
fw_status fwi_network_update_timed(fwi_network *n, const fwi_network_plan *p, const fwi_binding *b,
                                   double *op_seconds);
/* How many updates were undone: in a row up to now, and since the network was made. Waits for them. */
fw_status fwi_network_undone(const fwi_network *n, int64_t *row, int64_t *all);

/* ---- steps ahead of the host: network_ahead.c ----
 * On a device with tables up to FWI_LINES steps are enqueued one behind the other, and what came of them
 * is read once. Each of them is one recording: it takes its line, makes its batch, runs the plan (in f16
 * with the way back), leaves its outcome and passes the turn on. */
bool fwi_network_ahead(const fwi_network *n);
/* The numbers of step i from the next fwi_network_send on; row as fwi_optim_row fills it. */
void fwi_network_line(fwi_network *n, int32_t i, const double *row, const int64_t rng[2]);
/* Uploads the first `count` of them; behind what was enqueued it is the first one's turn. */
fw_status fwi_network_send(fwi_network *n, int32_t count);
const int32_t *fwi_network_turn(const fwi_network *n); /* for batches (augment.h) */
/* Rates and random numbers come from the line. */
void fwi_network_bind_line(const fwi_network_plan *p, fwi_binding *b);
/* Enqueues a step: p is of training; batch is what it makes first, its memory the device's, or NULL. */
fw_status fwi_network_step_ahead(fwi_network *n, fwi_network_plan *p, const fwi_binding *b,
                                 const fwi_batch_job *batch);
typedef struct fwi_outcome {
    double loss, correct;
    int64_t undone_row, undone; /* as fwi_network_undone, behind this step */
} fwi_outcome;
/* Of the steps since fwi_network_send. Waits for them. */
fw_status fwi_network_outcomes(fwi_network *n, int32_t count, fwi_outcome *out);
/* The tables' part of fwi_network_beside_bytes, _bind_beside and _clear_beside. */
size_t fwi_tables_bytes(const fwi_network *n);
fw_status fwi_tables_bind(fwi_network *n);
void fwi_tables_clear(fwi_network *n);

/* What the loss of a batch is scaled by: 1 but in f16, where it is the spec's, or else what makes
 * gradients as large as those of a loss that is summed over the batch. */
double fwi_network_loss_scale(const fwi_network_spec *s, int64_t batch);
/* Output i of a run, as doubles: n elements of f32 or f64. */
fw_status fwi_network_read(const fwi_network_plan *p, const fwi_binding *b, int i, double *out,
                           int64_t n);

/* Fills a binding with host memory: images f32 [batch,h,w,c], labels i32 [batch], hyper f64 row, rng i64[2]; those
 * that the plan does not use may be NULL. */
fwi_binding fwi_network_binding(const fwi_network_plan *p, void *scratch, const void *images,
                                const void *labels, const double *hyper, const int64_t *rng);
/* The plan's second labels, i32 [batch], where it has any, go into its binding by themselves. */
static inline void fwi_network_bind_labels2(const fwi_network_plan *p, fwi_binding *b,
                                            const void *labels2)
{
    if (p->in_labels2 >= 0)
        b->inputs[p->in_labels2] = labels2;
}

#endif
