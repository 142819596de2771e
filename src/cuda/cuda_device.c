/* cuda_device.c: one NVIDIA GPU as a device: its memory is its own, its queue is one stream, and
 * everything that is asked of it is done in order. Uploads go by way of a few pinned blocks, so that
 * the caller's memory is free again when they return, while the copies still wait in the queue.
 * Read before: exec.h, cuda_inner.h, cuda_check.c. */
#include "cuda_augment.h"
#include "cuda_guard.h"
#include "cuda_inner.h"
#include "cuda_libs.h"
#include "cuda_lines.h"
#include "cuda_lower.h"
#include "cuda_score.h"

#include <string.h>

enum { N_PINNED = 4 };
#define PINNED_BYTES ((size_t)4 << 20)

typedef struct pinned {
    void *host;
    cudaEvent_t copied;
} pinned;

typedef struct cuda_device {
    fwi_device base;
    fwi_cuda_stream queue;
    fwi_pool *own_pool; /* for the host's work: views, whitening */
    pinned ring[N_PINNED];
    int next;
    fwi_cuda_tables tables; /* the libraries' rows before our own */
    char *label;
} cuda_device;

static void cuda_close(fwi_device *d)
{
    cuda_device *c = (cuda_device *)d;
    if (c->queue.stream != NULL) {
        (void)fwi_cuda_use(c->queue.device);
        (void)cudaStreamSynchronize(c->queue.stream);
        fwi_cuda_libs_close(c->queue.libs);
        fwi_cuda_probe_clear(&c->queue);
        (void)cudaStreamDestroy(c->queue.stream);
    }
    for (int i = 0; i < N_PINNED; i++) {
        if (c->ring[i].copied != NULL)
            (void)cudaEventDestroy(c->ring[i].copied);
        (void)cudaFreeHost(c->ring[i].host);
    }
    fwi_pool_free(c->own_pool);
    fwi_free(c->label);
    fwi_free(c);
}

static fw_status make_queue(cuda_device *c)
{
    fw_status st = fwi_cuda_use(c->queue.device);
    if (st == FW_OK)
        st = fwi_cuda_check(cudaStreamCreateWithFlags(&c->queue.stream, cudaStreamNonBlocking),
                            "cudaStreamCreate");
    for (int i = 0; i < N_PINNED && st == FW_OK; i++) {
        st = fwi_cuda_check(cudaMallocHost(&c->ring[i].host, PINNED_BYTES), "cudaMallocHost");
        if (st == FW_OK)
            st =
                fwi_cuda_check(cudaEventCreateWithFlags(&c->ring[i].copied, cudaEventDisableTiming),
                               "cudaEventCreate");
    }
    return st;
}

static fw_status describe(cuda_device *c)
{
    struct cudaDeviceProp p;
    const fw_status st =
        fwi_cuda_check(cudaGetDeviceProperties(&p, c->queue.device), "cudaGetDeviceProperties");
    if (st != FW_OK)
        return st;
    c->queue.sm = p.major * 10 + p.minor;
    c->queue.n_sm = p.multiProcessorCount;
    c->queue.most_shared = (int)p.sharedMemPerBlockOptin;
    const fw_status code = fwi_cuda_check_code(c->queue.device, &p);
    if (code != FW_OK)
        return code;
    c->label = fwi_sprintf("cuda:%d (%s, sm_%d)", c->queue.device, p.name, c->queue.sm);
    c->base.label = c->label;
    return c->label == NULL ? FW_ENOMEM : FW_OK;
}

/* cuDNN and cuBLASLt as far as they are there; our own kernels do what they do not. */
static fw_status open_libs(cuda_device *c, bool tf32)
{
    char text[128];
    const fwi_cuda_libs_opt opt = {.stream = c->queue.stream, .sm = c->queue.sm, .tf32 = tf32};
    const fw_status st = fwi_cuda_libs_open(&c->queue.libs, &opt);
    if (st != FW_OK)
        return fwi_fail_in(st, "%s", c->label);
    fwi_cuda_libs_describe(c->queue.libs, text, sizeof text);
    fwi_log(2, "%s: %s", c->label, text);
    return FW_OK;
}

static fw_status cuda_open(fwi_device **out, const fwi_device_opt *opt)
{
    int n = 0;
    fw_status st = fwi_cuda_count(&n);
    if (st != FW_OK)
        return st;
    if (opt->index < 0 || opt->index >= n)
        return fwi_fail(FW_ENOTFOUND, "there %s %d GPU%s, numbered from 0; number %d was asked for",
                        n == 1 ? "is" : "are", n, n == 1 ? "" : "s", opt->index);
    cuda_device *c = fwi_alloc_zero(sizeof *c);
    if (c == NULL)
        return FW_ENOMEM;
    c->base.backend = &fwi_backend_cuda;
    c->base.table = fwi_cuda_libs_tables(&c->tables, fwi_cuda_own_table());
    c->base.stream = &c->queue;
    c->base.has_bf16 = c->base.has_f16 = true;
    c->queue.device = opt->index;
    st = describe(c);
    if (st == FW_OK)
        st = make_queue(c);
    if (st == FW_OK)
        st = open_libs(c, opt->tf32);
    if (st == FW_OK && opt->pool == NULL)
        st = fwi_pool_new(&c->own_pool, opt->threads);
    c->base.pool = opt->pool != NULL ? opt->pool : c->own_pool;
    if (st == FW_OK && c->own_pool != NULL && opt->pin)
        st = fwi_pool_pin(c->own_pool);
    if (st != FW_OK) {
        cuda_close(&c->base);
        return st;
    }
    *out = &c->base;
    return FW_OK;
}

static fw_status cuda_memory(fwi_device *d, size_t *free_bytes, size_t *all_bytes)
{
    const cuda_device *c = (const cuda_device *)d;
    const fw_status st = fwi_cuda_use(c->queue.device);
    return st == FW_OK ? fwi_cuda_check(cudaMemGetInfo(free_bytes, all_bytes), "cudaMemGetInfo")
                       : st;
}

static fw_status cuda_alloc(fwi_device *d, size_t n_bytes, void **out)
{
    const cuda_device *c = (const cuda_device *)d;
    size_t free = 0, total = 0;
    *out = NULL;
    fw_status st = cuda_memory(d, &free, &total);
    if (st == FW_OK && n_bytes > free)
        st = fwi_fail(FW_ENOMEM,
                      "%s: %.1f MiB are needed, %.1f of its %.1f MiB are free: a smaller batch "
                      "needs less",
                      d->label, (double)n_bytes / 1048576, (double)free / 1048576,
                      (double)total / 1048576);
    if (st == FW_OK)
        st = fwi_cuda_check(cudaMalloc(out, n_bytes > 0 ? n_bytes : 1), "cudaMalloc");
    if (st == FW_OK)
        st = fwi_cuda_check(cudaMemsetAsync(*out, 0, n_bytes, c->queue.stream), "cudaMemset");
    if (st != FW_OK && *out != NULL) {
        (void)cudaFree(*out);
        *out = NULL;
    }
    d->allocations += st == FW_OK;
    return st;
}

static void cuda_release(fwi_device *d, void *p, size_t n_bytes)
{
    (void)n_bytes;
    const cuda_device *const c = (const cuda_device *)d;
    (void)fwi_cuda_use(c->queue.device);
    /* What uses it may be on its way: cudaFree need not wait. */
    (void)cudaStreamSynchronize(c->queue.stream);
    (void)cudaFree(p);
}

static fw_status cuda_upload(fwi_device *d, void *dst, const void *src, size_t n_bytes)
{
    cuda_device *c = (cuda_device *)d;
    fw_status st = fwi_cuda_use(c->queue.device);
    for (size_t at = 0; at < n_bytes && st == FW_OK; at += PINNED_BYTES) {
        const size_t n = n_bytes - at < PINNED_BYTES ? n_bytes - at : PINNED_BYTES;
        pinned *p = &c->ring[c->next];
        c->next = (c->next + 1) % N_PINNED;
        st = fwi_cuda_check(cudaEventSynchronize(p->copied), "cudaEventSynchronize");
        if (st != FW_OK)
            break;
        memcpy(p->host, (const char *)src + at, n);
        st = fwi_cuda_check(
            cudaMemcpyAsync((char *)dst + at, p->host, n, cudaMemcpyHostToDevice, c->queue.stream),
            "upload");
        if (st == FW_OK)
            st = fwi_cuda_check(cudaEventRecord(p->copied, c->queue.stream), "cudaEventRecord");
    }
    return st;
}

static fw_status cuda_sync(fwi_device *d)
{
    const cuda_device *c = (const cuda_device *)d;
    const fw_status st = fwi_cuda_use(c->queue.device);
    return st == FW_OK
               ? fwi_cuda_check(cudaStreamSynchronize(c->queue.stream), "waiting for the GPU")
               : st;
}

static fw_status cuda_download(fwi_device *d, void *dst, const void *src, size_t n_bytes)
{
    const cuda_device *c = (const cuda_device *)d;
    fw_status st = fwi_cuda_use(c->queue.device);
    if (st == FW_OK && n_bytes > 0)
        st = fwi_cuda_check(
            cudaMemcpyAsync(dst, src, n_bytes, cudaMemcpyDeviceToHost, c->queue.stream),
            "download");
    return st == FW_OK ? cuda_sync(d) : st;
}

/* ---- a step as one graph ---- */

static fw_status cuda_record_begin(fwi_device *d)
{
    const cuda_device *c = (const cuda_device *)d;
    fw_status st = fwi_cuda_use(c->queue.device);
    if (st == FW_OK)
        st = fwi_cuda_check(
            cudaStreamBeginCapture(c->queue.stream, cudaStreamCaptureModeThreadLocal),
            "beginning to record a step");
    return st;
}

static fw_status cuda_record_end(fwi_device *d, void **out)
{
    const cuda_device *c = (const cuda_device *)d;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    *out = NULL;
    fw_status st = fwi_cuda_use(c->queue.device);
    if (st == FW_OK)
        st = fwi_cuda_check(cudaStreamEndCapture(c->queue.stream, &graph), "recording a step");
    if (st == FW_OK)
        st = fwi_cuda_check(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
    if (st == FW_OK) /* the first launch would otherwise */
        st = fwi_cuda_check(cudaGraphUpload(exec, c->queue.stream), "cudaGraphUpload");
    if (st != FW_OK && exec != NULL) {
        (void)cudaGraphExecDestroy(exec);
        exec = NULL;
    }
    if (graph != NULL)
        (void)cudaGraphDestroy(graph);
    *out = exec;
    return st;
}

static fw_status cuda_replay(fwi_device *d, void *recording)
{
    const cuda_device *c = (const cuda_device *)d;
    const fw_status st = fwi_cuda_use(c->queue.device);
    return st == FW_OK
               ? fwi_cuda_check(cudaGraphLaunch((cudaGraphExec_t)recording, c->queue.stream),
                                "running a recorded step")
               : st;
}

static void cuda_forget(fwi_device *d, void *recording)
{
    (void)cuda_sync(d);
    (void)cudaGraphExecDestroy((cudaGraphExec_t)recording);
}

static fw_status cuda_make_batch(fwi_device *d, const fwi_batch_job *job)
{
    const cuda_device *c = (const cuda_device *)d;
    const fw_status st = fwi_cuda_use(c->queue.device);
    return st == FW_OK ? fwi_cuda_augment(d->stream, job) : st;
}

static fw_status cuda_guard_keep(fwi_device *d, const fwi_guard *g)
{
    const cuda_device *c = (const cuda_device *)d;
    const fw_status st = fwi_cuda_use(c->queue.device);
    return st == FW_OK ? fwi_cuda_guard_keep(d->stream, g) : st;
}

static fw_status cuda_guard_judge(fwi_device *d, const fwi_guard *g)
{
    const cuda_device *c = (const cuda_device *)d;
    const fw_status st = fwi_cuda_use(c->queue.device);
    return st == FW_OK ? fwi_cuda_guard_judge(d->stream, g) : st;
}

static fw_status cuda_move_lines(fwi_device *d, const fwi_line_job *job)
{
    const cuda_device *c = (const cuda_device *)d;
    const fw_status st = fwi_cuda_use(c->queue.device);
    return st == FW_OK ? fwi_cuda_lines_move(d->stream, job) : st;
}

static fw_status cuda_score(fwi_device *d, const fwi_score_job *job)
{
    const cuda_device *c = (const cuda_device *)d;
    const fw_status st = fwi_cuda_use(c->queue.device);
    return st == FW_OK ? fwi_cuda_score(d->stream, job) : st;
}

static fw_status cuda_lower(fwi_device *d, fwi_graph *g)
{
    return fwi_cuda_lower(d->table, g);
}

const fwi_backend fwi_backend_cuda = {
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .upload = cuda_upload,
    .download = cuda_download,
    .lower = cuda_lower,
    .sync = cuda_sync,
    .memory = cuda_memory,
    .record_begin = cuda_record_begin,
    .record_end = cuda_record_end,
    .replay = cuda_replay,
    .forget = cuda_forget,
    .make_batch = cuda_make_batch,
    .guard_keep = cuda_guard_keep,
    .guard_judge = cuda_guard_judge,
    .move_lines = cuda_move_lines,
    .score = cuda_score,
    .probe = &fwi_cuda_probe,
};
