/* ahead.h: an estimator's steps ahead of the host (network.h), with the data that they are made of: lines
 * on the host, their upload, the steps. fit_ahead.c trains with it, bench_gpu_step.c measures. Read
 * before: estimator.h. */
#ifndef FWI_AHEAD_H
#define FWI_AHEAD_H

#include "estimator.h"

/* Line i of the next window is that of this global step; where the device makes the batches it has the
 * rows that ds says are next. */
fw_status fwi_ahead_line(fw_estimator *e, fw_dataset *ds, int32_t i, int64_t step);
/* Uploads lines 0 to n - 1; behind what was enqueued it is the first one's turn. */
fw_status fwi_ahead_send(fw_estimator *e, int32_t n);
/* Enqueues the step whose turn it will be. batch: of the host; NULL: the device makes it. */
fw_status fwi_ahead_step(fw_estimator *e, fwi_network_plan *p, const fw_batch *batch);

#endif
