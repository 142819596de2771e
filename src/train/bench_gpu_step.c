/* bench_gpu_step.c: a training step on a GPU: as training runs it, ahead of the host (fit_ahead.c); then
 * kernel by kernel between marks; then the recorded plan alone, so that it can be held against the sum of
 * its kernels. Read before: bench_step.h, bench_gpu.h, ahead.h. */
#include "ahead.h"
#include "bench_gpu.h"
#include "bench_step.h"

#include "clock.h"
#include "mem.h"
#include "timed.h"

enum { WARM_UP = 2, BURST = 8 }; /* steps of one reading, a window of training's */

typedef struct counts {
    int64_t device, host, free_bytes;
} counts;

static fw_status count(const fwi_device *d, counts *out)
{
    size_t free_bytes = 0, all_bytes = 0;
    fw_status st = FW_OK;
    if (d->backend->memory != NULL)
        st = d->backend->memory((fwi_device *)(uintptr_t)d, &free_bytes, &all_bytes);
    *out = (counts){d->allocations, fwi_mem_count(), (int64_t)free_bytes};
    return st;
}

static fw_status next(fwi_step_bench *b, fwi_binding *bind)
{
    fw_batch batch;
    const fw_status st = fwi_device_data_next(&b->e->train_data, b->data.train, &batch);
    return st == FW_OK ? fwi_step_bind(b, &batch, bind) : st;
}

/* n steps of numbers that are on the host, and the end of the last. */
static fw_status run_ready(fwi_step_bench *b, int32_t n)
{
    fwi_outcome out[FWI_LINES];
    fw_batch batch;
    fw_status st = fwi_ahead_send(b->e, n);
    for (int32_t i = 0; i < n && st == FW_OK; i++, b->step++) {
        if (!b->e->train_data.loaded)
            st = fw_dataset_next(b->data.train, &batch);
        if (st == FW_OK)
            st = fwi_ahead_step(b->e, b->plan, b->e->train_data.loaded ? NULL : &batch);
    }
    return st == FW_OK ? fwi_network_outcomes(&b->e->network, n, out) : st;
}

static fw_status make_ready(fwi_step_bench *b, int32_t n)
{
    fw_status st = FW_OK;
    for (int32_t i = 0; i < n && st == FW_OK; i++)
        st = fwi_ahead_line(b->e, b->data.train, i, b->step + i);
    return st;
}

/* n steps as training has them. */
static fw_status run_steps(fwi_step_bench *b, int32_t n)
{
    const fw_status st = make_ready(b, n);
    return st == FW_OK ? run_ready(b, n) : st;
}

static fw_status whole_steps(fwi_step_bench *b, int64_t runs, fw_bench_step_result *out)
{
    const fwi_device *const d = b->e->device;
    counts before, after;
    fw_status st = make_ready(b, 1);
    out->start_seconds = fwi_seconds_since_start(); /* all that is left is to run the first step */
    if (st == FW_OK) /* makes what later steps find made, the recording among it */
        st = run_ready(b, 1);
    if (st == FW_OK)
        st = count(d, &before);
    if (st == FW_OK)
        st = run_steps(b, WARM_UP);
    for (int64_t i = 0; i < runs && st == FW_OK; i++) {
        const double start = fwi_now();
        st = run_steps(b, BURST);
        b->seconds[i] = (fwi_now() - start) / BURST;
    }
    if (st == FW_OK)
        st = count(d, &after);
    if (st != FW_OK)
        return st;
    out->allocations = after.device - before.device;
    out->host_allocations = after.host - before.host;
    out->memory_taken_bytes = before.free_bytes - after.free_bytes;
    return FW_OK;
}

static fw_status kernel_by_kernel(fwi_step_bench *b, const fwi_gpu *g, int64_t runs)
{
    const int n = fwi_plan_steps(b->plan->plan);
    fwi_binding bind;
    fw_status st = FW_OK;
    for (int64_t i = 0; i < runs && st == FW_OK; i++) {
        double *const seconds = b->op_seconds + i * n;
        st = next(b, &bind);
        if (st == FW_OK)
            st = fwi_network_update_timed(&b->e->network, b->plan, &bind, seconds);
        for (int k = 0; k < n && st == FW_OK; k++)
            seconds[k] = fwi_gpu_net(g, seconds[k]);
    }
    return st;
}

static fw_status recorded_step(fwi_step_bench *b, const fwi_gpu *g, int64_t runs,
                               fw_bench_step_result *out)
{
    fwi_binding bind;
    fw_status st = next(b, &bind);
    if (st == FW_OK) /* makes the recording: the plan's kernels alone */
        st = fwi_network_update(&b->e->network, b->plan, &bind);
    if (st != FW_OK || b->plan->recorded == NULL)
        return st; /* the log has said why */
    double *const seconds = fwi_alloc_array((size_t)runs, sizeof *seconds);
    if (seconds == NULL)
        return FW_ENOMEM;
    for (int64_t i = 0; i < runs && st == FW_OK; i++) {
        st = next(b, &bind);
        if (st == FW_OK)
            st = fwi_recording_time(b->plan->recorded, &bind, &seconds[i]);
        seconds[i] = fwi_gpu_net(g, seconds[i]);
    }
    if (st == FW_OK)
        out->graph_seconds = fwi_median(seconds, runs);
    fwi_free(seconds);
    return st;
}

fw_status fwi_gpu_step(fwi_step_bench *b, int64_t runs, fw_bench_step_result *out)
{
    fwi_gpu g;
    fw_status st = whole_steps(b, runs, out);
    if (st == FW_OK)
        st = fwi_gpu_of(&g, b->e->device);
    if (st == FW_OK)
        st = kernel_by_kernel(b, &g, runs);
    return st == FW_OK ? recorded_step(b, &g, runs, out) : st;
}
