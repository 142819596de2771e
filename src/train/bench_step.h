/* bench_step.h: a training step that is measured, as bench_step.c makes it ready and bench_gpu_step.c
 * times it on a GPU. */
#ifndef FWI_BENCH_STEP_H
#define FWI_BENCH_STEP_H

#include "bench_inner.h"
#include "estimator.h"

typedef struct fwi_step_bench {
    const fw_recipe *r;
    const fw_run_opt *opt;
    fw_recipe_data data;
    bool synthetic, whole; /* whole: no step of the run, but one of full size */
    fw_estimator *e;
    fwi_network_plan *plan;
    fw_dtype precision;
    bool tf32;
    int64_t batch, steps_per_epoch;
    double row[FWI_MAX_COLUMNS];
    int64_t step, rng[2]; /* the next; rng is bound by address */
    double *op_seconds;   /* [runs][steps of the plan] */
    double *seconds;      /* [runs] */
} fwi_step_bench;

/* Hands the batch over, as training would, for the step that is next. */
fw_status fwi_step_bind(fwi_step_bench *b, const fw_batch *batch, fwi_binding *bind);

/* On a device with a probe: the first step; whole steps into b->seconds and what they allocate; step by
 * step into b->op_seconds; the recorded step alone. */
fw_status fwi_gpu_step(fwi_step_bench *b, int64_t runs, fw_bench_step_result *out);

#endif
