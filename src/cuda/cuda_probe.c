/* cuda_probe.c: a GPU as it is measured (probe.h): events in its stream, our own loads and those of the
 * libraries, and what it says of itself. Read before: cuda_inner.h, libs_probe.h. */
#include "cuda_inner.h"
#include "cuda_load.h"
#include "cudnn_conv.h"
#include "libs_probe.h"

#include <stdio.h>
#include <string.h>

static fwi_cuda_stream *queue_of(fwi_device *d)
{
    return d->stream;
}

static fw_status use(const fwi_cuda_stream *q)
{
    return fwi_cuda_use(q->device);
}

/* ---- time ---- */

void fwi_cuda_probe_clear(fwi_cuda_stream *q)
{
    for (int i = 0; q->marks != NULL && i < FWI_PROBE_MARKS; i++)
        if (q->marks[i] != NULL)
            (void)cudaEventDestroy((cudaEvent_t)q->marks[i]);
    fwi_free(q->marks);
    q->marks = NULL;
    (void)cudaFree(q->hold_room);
    q->hold_room = NULL;
}

static fw_status mark(fwi_device *d, int i)
{
    fwi_cuda_stream *const q = queue_of(d);
    fw_status st = use(q);
    if (st == FW_OK && q->marks == NULL) {
        q->marks = fwi_alloc_array(FWI_PROBE_MARKS, sizeof *q->marks);
        st = q->marks == NULL ? FW_ENOMEM : FW_OK;
    }
    if (st == FW_OK && q->marks[i] == NULL) {
        cudaEvent_t e = NULL;
        st = fwi_cuda_check(cudaEventCreate(&e), "cudaEventCreate");
        q->marks[i] = e;
    }
    if (st == FW_OK)
        st =
            fwi_cuda_check(cudaEventRecord((cudaEvent_t)q->marks[i], q->stream), "cudaEventRecord");
    return st;
}

static fw_status between(fwi_device *d, int from, int to, double *seconds)
{
    const fwi_cuda_stream *const q = queue_of(d);
    float ms = 0;
    fw_status st = use(q);
    if (st == FW_OK)
        st = fwi_cuda_check(cudaEventSynchronize((cudaEvent_t)q->marks[to]), "waiting for a mark");
    if (st == FW_OK)
        st = fwi_cuda_check(
            cudaEventElapsedTime(&ms, (cudaEvent_t)q->marks[from], (cudaEvent_t)q->marks[to]),
            "cudaEventElapsedTime");
    *seconds = (double)ms / 1e3;
    return st;
}

static fw_status hold(fwi_device *d, double seconds)
{
    fwi_cuda_stream *const q = queue_of(d);
    fw_status st = use(q);
    if (st == FW_OK && q->hold_room == NULL) {
        void *room = NULL;
        st = fwi_cuda_check(cudaMalloc(&room, sizeof *q->hold_room), "cudaMalloc");
        q->hold_room = room;
    }
    /* a multiply-add waits 4 cycles for the one before; clocks are somewhat under 2 GHz */
    return st == FW_OK ? fwi_cuda_load_hold(q, (int64_t)(seconds * 0.45e9), q->hold_room) : st;
}

/* ---- loads ---- */

static bool on_tensor_cores(const fwi_load *load)
{
    return load->kind == FWI_LOAD_TF32 || load->kind == FWI_LOAD_BF16 || load->kind == FWI_LOAD_F16;
}

static fw_status load_plan(fwi_device *d, fwi_load *load)
{
    const fw_status st = use(queue_of(d));
    if (st != FW_OK)
        return st;
    return on_tensor_cores(load) ? fwi_libs_load_plan(queue_of(d)->libs, load)
                                 : fwi_cuda_load_plan(d->stream, load);
}

static fw_status load_fill(fwi_device *d, const fwi_load *load)
{
    const fw_dtype dtype = on_tensor_cores(load) ? fwi_libs_load_dtype(load) : FW_F32;
    const fw_status st = use(queue_of(d));
    return st == FW_OK ? fwi_cuda_load_noise(d->stream, load->memory, dtype,
                                             (int64_t)(load->bytes / fw_dtype_size(dtype)))
                       : st;
}

static fw_status load_run(fwi_device *d, const fwi_load *load)
{
    const fw_status st = use(queue_of(d));
    if (st != FW_OK)
        return st;
    return on_tensor_cores(load) ? fwi_libs_load_run(queue_of(d)->libs, load)
                                 : fwi_cuda_load_run(d->stream, load);
}

/* ---- engines ---- */

static void row_text(fwi_device *d, const fwi_call *c, const fwi_kernel *k, char *text, size_t cap)
{
    fwi_libs_row_text(queue_of(d)->libs, c, k, text, cap);
}

static fw_status engines(fwi_device *d, const fwi_call *c, fwi_engine_fn each, void *user)
{
    const fw_status st = use(queue_of(d));
    return st == FW_OK ? fwi_libs_engines(queue_of(d)->libs, c, each, user) : st;
}

static fw_status engine_run(fwi_device *d, const fwi_engine *e, const fwi_call *c)
{
    const fw_status st = use(queue_of(d));
    return st == FW_OK ? fwi_libs_engine_run(queue_of(d)->libs, e, c) : st;
}

static fw_status engine_take(fwi_device *d, const fwi_engine *e, double seconds)
{
    return fwi_libs_engine_take(queue_of(d)->libs, e, seconds);
}

static fw_status engines_keep(fwi_device *d, char *path, size_t cap)
{
    const fw_status st = use(queue_of(d)); /* a plan may be made anew */
    return st == FW_OK ? fwi_libs_engines_keep(queue_of(d)->libs, path, cap) : st;
}

static void engines_forget(fwi_device *d)
{
    fwi_libs_engines_forget(queue_of(d)->libs);
}

/* ---- what it is ---- */

static fw_status info(fwi_device *d, fwi_gpu_info *out)
{
    const fwi_cuda_stream *const q = queue_of(d);
    const fw_status st = fwi_cuda_gpu_info(q->device, out);
    if (st == FW_OK)
        fwi_cuda_libs_describe(q->libs, out->libraries, sizeof out->libraries);
    return st;
}

static void libraries(fwi_device *d, char *text, size_t cap)
{
    fwi_cuda_libs_describe(queue_of(d)->libs, text, cap);
}

const fwi_probe fwi_cuda_probe = {
    .mark = mark,
    .between = between,
    .hold = hold,
    .info = info,
    .libraries = libraries,
    .load_plan = load_plan,
    .load_fill = load_fill,
    .load_run = load_run,
    .row_text = row_text,
    .engines = engines,
    .engine_run = engine_run,
    .engine_take = engine_take,
    .engines_keep = engines_keep,
    .engines_forget = engines_forget,
};
