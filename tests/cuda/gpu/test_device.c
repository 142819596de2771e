/* test_device.c: the CUDA backend's device and its checks (cuda_device.c, cuda_check.c), compiled here over
 * a runtime that is made up: what each kind of machine is told, and that whatever is asked of a device
 * happens on its GPU, in whatever thread, once the queue is waited for and not before; and that nothing
 * is left behind whichever call fails. The made-up GPUs' memory is the host's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- the runtime ---- */

struct CUstream_st {
    int device;
};

static struct machine {
    int driver, runtime; /* 13000 */
    int gpus;
    cudaError_t count_says;
    int major, minor;
    cudaError_t code_says; /* asked for kernels of this build */
    size_t free_bytes;
} machine;
static _Thread_local int current; /* as in the real one, 0 where a thread has said nothing */
static int elsewhere;             /* calls on a stream or on memory while another GPU was current */
static int sets;                  /* of the current GPU */
static int live;                  /* streams, events, blocks that were not given back */

static int calls, fail_at; /* that many calls that can fail; the one that does, 0: none */

static bool fails_now(void)
{
    return ++calls == fail_at;
}

static void must_be_at(int device)
{
    elsewhere += current != device;
}

static cudaError_t made(void **out, size_t n_bytes)
{
    *out = NULL;
    if (fails_now())
        return cudaErrorMemoryAllocation;
    *out = calloc(1, n_bytes);
    live++;
    return *out != NULL ? cudaSuccess : cudaErrorMemoryAllocation;
}

static cudaError_t given_back(void *p)
{
    live -= p != NULL;
    free(p);
    return cudaSuccess;
}

/* ---- the queue ---- */

/* Copies and fills that wait in it: done in their order, when an event behind them or the stream is waited
 * for. One queue for all streams, of which there is one at a time. */
typedef struct work {
    char *to;
    const char *from; /* NULL: to be filled with zeros */
    size_t n_bytes;
} work;
enum { MOST_WORK = 64 };
static work queue[MOST_WORK];
static int queued, done;

struct CUevent_st {
    int behind; /* so much work */
};

static void do_work(int until)
{
    for (; done < until; done++) {
        const work *const w = &queue[done % MOST_WORK];
        if (w->from == NULL)
            memset(w->to, 0, w->n_bytes);
        else
            memcpy(w->to, w->from, w->n_bytes);
    }
}

static cudaError_t put_work(void *to, const void *from, size_t n_bytes)
{
    if (fails_now() || queued - done == MOST_WORK)
        return cudaErrorLaunchFailure;
    queue[queued++ % MOST_WORK] = (work){to, from, n_bytes};
    return cudaSuccess;
}

/* ---- calls ---- */

static cudaError_t fake_get_device(int *device)
{
    *device = current;
    return cudaSuccess;
}

static cudaError_t fake_set_device(int device)
{
    current = device;
    sets++;
    return cudaSuccess;
}

static cudaError_t fake_driver_version(int *v)
{
    *v = machine.driver;
    return cudaSuccess;
}

static cudaError_t fake_runtime_version(int *v)
{
    *v = machine.runtime;
    return cudaSuccess;
}

static cudaError_t fake_count(int *n)
{
    *n = machine.count_says == cudaSuccess ? machine.gpus : 0;
    return machine.count_says;
}

static cudaError_t fake_properties(struct cudaDeviceProp *p, int device)
{
    (void)device;
    memset(p, 0, sizeof *p);
    strcpy(p->name, "NVIDIA of no kind");
    p->major = machine.major;
    p->minor = machine.minor;
    p->multiProcessorCount = 1;
    p->totalGlobalMem = (size_t)1 << 30;
    return cudaSuccess;
}

static cudaError_t fake_stream_create(cudaStream_t *out, unsigned flags)
{
    void *p = NULL;
    (void)flags;
    const cudaError_t e = made(&p, sizeof(struct CUstream_st));
    *out = p;
    if (p != NULL)
        (*out)->device = current;
    return e;
}

static cudaError_t fake_stream_destroy(cudaStream_t s)
{
    must_be_at(s->device);
    return given_back(s);
}

static cudaError_t fake_stream_synchronize(cudaStream_t s)
{
    must_be_at(s->device);
    do_work(queued); /* also where it then has bad news */
    return fails_now() ? cudaErrorLaunchFailure : cudaSuccess;
}

static cudaError_t fake_malloc_host(void **out, size_t n_bytes)
{
    return made(out, n_bytes);
}

static cudaError_t fake_event_create(cudaEvent_t *out, unsigned flags)
{
    void *p = NULL;
    (void)flags;
    const cudaError_t e = made(&p, sizeof(struct CUevent_st));
    *out = p;
    return e;
}

static cudaError_t fake_event_destroy(cudaEvent_t e)
{
    return given_back(e);
}

static cudaError_t fake_event_synchronize(cudaEvent_t e)
{
    do_work(e->behind);
    return fails_now() ? cudaErrorLaunchFailure : cudaSuccess;
}

static cudaError_t fake_event_record(cudaEvent_t e, cudaStream_t s)
{
    must_be_at(s->device);
    e->behind = queued;
    return fails_now() ? cudaErrorLaunchFailure : cudaSuccess;
}

static cudaError_t fake_mem_get_info(size_t *free_bytes, size_t *all_bytes)
{
    *free_bytes = machine.free_bytes;
    *all_bytes = (size_t)1 << 30;
    return fails_now() ? cudaErrorLaunchFailure : cudaSuccess;
}

/* A block begins with the GPU that it lies on. */
enum { HEAD = 64 };

static cudaError_t fake_malloc(void **out, size_t n_bytes)
{
    char *block = NULL;
    const cudaError_t e = made((void **)&block, HEAD + n_bytes);
    *out = NULL;
    if (block == NULL)
        return e;
    memset(block, 0x5a, HEAD + n_bytes); /* as it comes */
    memcpy(block, &current, sizeof current);
    *out = block + HEAD;
    return e;
}

static cudaError_t fake_free(void *p)
{
    int device = 0;
    if (p == NULL)
        return cudaSuccess;
    memcpy(&device, (char *)p - HEAD, sizeof device);
    must_be_at(device);
    do_work(queued); /* it waits */
    return given_back((char *)p - HEAD);
}

static cudaError_t fake_memset(void *p, int v, size_t n_bytes, cudaStream_t s)
{
    must_be_at(s->device);
    assert_int_equal(v, 0);
    return put_work(p, NULL, n_bytes);
}

static cudaError_t fake_memcpy(void *to, const void *from, size_t n_bytes, enum cudaMemcpyKind kind,
                               cudaStream_t s)
{
    (void)kind;
    must_be_at(s->device);
    return put_work(to, from, n_bytes);
}

static cudaError_t fake_code(void)
{
    return machine.code_says;
}

static cudaError_t fake_capture_begin(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
    (void)mode;
    must_be_at(s->device);
    return fails_now() ? cudaErrorLaunchFailure : cudaSuccess;
}

static cudaError_t fake_capture_end(cudaStream_t s, cudaGraph_t *out)
{
    void *p = NULL;
    must_be_at(s->device);
    const cudaError_t e = made(&p, 1);
    *out = p;
    return e;
}

static cudaError_t fake_instantiate(cudaGraphExec_t *out, cudaGraph_t graph,
                                    unsigned long long flags)
{
    void *p = NULL;
    (void)graph;
    (void)flags;
    const cudaError_t e = made(&p, 1);
    *out = p;
    return e;
}

static cudaError_t fake_graph_destroy(cudaGraph_t g)
{
    return given_back(g);
}

static cudaError_t fake_exec_destroy(cudaGraphExec_t g)
{
    return given_back(g);
}

static cudaError_t fake_graph_launch(cudaGraphExec_t g, cudaStream_t s)
{
    (void)g;
    must_be_at(s->device);
    return fails_now() ? cudaErrorLaunchFailure : cudaSuccess;
}

#undef cudaGetDeviceProperties
#define cudaGetDevice             fake_get_device
#define cudaSetDevice             fake_set_device
#define cudaDriverGetVersion      fake_driver_version
#define cudaRuntimeGetVersion     fake_runtime_version
#define cudaGetDeviceCount        fake_count
#define cudaGetDeviceProperties   fake_properties
#define cudaStreamCreateWithFlags fake_stream_create
#define cudaStreamDestroy         fake_stream_destroy
#define cudaStreamSynchronize     fake_stream_synchronize
#define cudaMallocHost            fake_malloc_host
#define cudaFreeHost              given_back
#define cudaEventCreateWithFlags  fake_event_create
#define cudaEventDestroy          fake_event_destroy
#define cudaEventSynchronize      fake_event_synchronize
#define cudaEventRecord           fake_event_record
#define cudaMemGetInfo            fake_mem_get_info
#define cudaMalloc                fake_malloc
#define cudaFree                  fake_free
#define cudaMemsetAsync           fake_memset
#define cudaMemcpyAsync           fake_memcpy
#define cudaStreamBeginCapture    fake_capture_begin
#define cudaStreamEndCapture      fake_capture_end
#define cudaGraphInstantiate      fake_instantiate
#define cudaGraphDestroy          fake_graph_destroy
#define cudaGraphExecDestroy      fake_exec_destroy
#define cudaGraphLaunch           fake_graph_launch
#define cudaGraphUpload           fake_graph_launch /* on a stream too */
#define fwi_cuda_code             fake_code
#undef FWI_CUDA_TARGETS
#define FWI_CUDA_TARGETS "80 90a"

#include "../../../src/cuda/cuda_check.c"
#include "../../../src/cuda/cuda_device.c"

#include "backends.h"

/* ---- what a machine is told ---- */

static const struct machine good = {
    .driver = 13010, .runtime = 13000, .gpus = 2, .major = 9, .free_bytes = (size_t)1 << 20};

static void refused(const char *name, fw_status want, const char *sentence)
{
    fwi_device *d = NULL;
    char text[512];
    assert_int_equal(fwi_device_open(&d, name, &(fwi_device_opt){0}), want);
    assert_null(d);
    snprintf(text, sizeof text, "device %s: %s", name, sentence);
    assert_string_equal(fw_last_error(), text);
    assert_int_equal(live, 0);
}

static void test_sentences(void **state)
{
    (void)state;
    char text[512];
    machine = good;
    machine.driver = 0;
    refused("cuda", FW_EUNAVAILABLE,
            "no NVIDIA driver was found (libcuda.so.1); use the device cpu");
    machine = good;
    machine.driver = 12040;
    machine.count_says = cudaErrorInsufficientDriver;
    refused(
        "cuda", FW_EUNAVAILABLE,
        "the NVIDIA driver is too old: it serves CUDA 12.4, this build needs 13.0 or later; use "
        "the device cpu");
    assert_false(fwi_cuda_describe(text, sizeof text)); /* as doctor says it */
    assert_non_null(strstr(text, "the NVIDIA driver is too old: it serves CUDA 12.4"));
    static const char *const no_gpu = "this machine has an NVIDIA driver, but no GPU that this "
                                      "process may use; use the device cpu";
    machine = good;
    machine.count_says = cudaErrorNoDevice;
    refused("cuda", FW_EUNAVAILABLE, no_gpu);
    machine = good;
    machine.gpus = 0;
    refused("cuda:0", FW_EUNAVAILABLE, no_gpu);
    machine = good;
    machine.count_says = cudaErrorSystemDriverMismatch;
    assert_int_not_equal(fwi_device_open(&(fwi_device *){NULL}, "cuda", &(fwi_device_opt){0}),
                         FW_OK);
    assert_non_null(
        strstr(fw_last_error(), "the NVIDIA driver does not work: cudaErrorSystemDriverMismatch"));
    machine = good;
    refused("cuda:2", FW_ENOTFOUND, "there are 2 GPUs, numbered from 0; number 2 was asked for");
    machine.gpus = 1;
    refused("cuda:1", FW_ENOTFOUND, "there is 1 GPU, numbered from 0; number 1 was asked for");
    machine = good;
    machine.major = 7;
    machine.minor = 5;
    refused("cuda:1", FW_EUNAVAILABLE,
            "NVIDIA of no kind has compute capability 7.5, this build's kernels need 8.0 or later");
    machine.major = 12;
    machine.minor = 0;
    machine.code_says = cudaErrorNoKernelImageForDevice;
    refused("cuda:1", FW_EUNAVAILABLE,
            "NVIDIA of no kind has compute capability 12.0, this build has kernels for 80 90a "
            "(FW_CUDA_TARGETS): cudaErrorNoKernelImageForDevice");
    machine.code_says = cudaErrorInvalidDeviceFunction;
    refused("cuda:1", FW_EUNAVAILABLE,
            "NVIDIA of no kind has compute capability 12.0, this build has kernels for 80 90a "
            "(FW_CUDA_TARGETS): cudaErrorInvalidDeviceFunction");
    machine.code_says = cudaErrorECCUncorrectable; /* what is no matter of targets keeps its name */
    assert_int_equal(fwi_device_open(&(fwi_device *){NULL}, "cuda", &(fwi_device_opt){0}),
                     FW_EINTERNAL);
    assert_non_null(strstr(fw_last_error(), "cudaErrorECCUncorrectable"));
    machine = good;
    assert_true(fwi_cuda_describe(text, sizeof text));
    assert_string_equal(text,
                        "NVIDIA of no kind (sm_90, 1.0 GiB), NVIDIA of no kind (sm_90, 1.0 GiB)");
}

static void test_memory(void **state)
{
    (void)state;
    fwi_device *d = NULL;
    void *p = &p;
    machine = good;
    assert_int_equal(fwi_device_open(&d, "cuda", &(fwi_device_opt){0}), FW_OK);
    assert_int_equal(d->backend->alloc(d, (size_t)3 << 20, &p), FW_ENOMEM);
    assert_null(p);
    assert_string_equal(
        fw_last_error(),
        "cuda:0 (NVIDIA of no kind, sm_90): 3.0 MiB are needed, 1.0 of its 1024.0 MiB "
        "are free: a smaller batch needs less");
    fwi_device_close(d);
    assert_int_equal(live, 0);
}

/* ---- on which GPU it happens ---- */

typedef struct job {
    fwi_device *d;
    fw_status st;
    bool same;
} job;

/* All that is asked of a device, before each the thread has turned to the other GPU. */
static void *use_it(void *arg)
{
    enum { N = 9 << 20 }; /* more than the pinned blocks hold */
    job *const j = arg;
    fwi_device *const d = j->d;
    const fwi_backend *const b = d->backend;
    char *const host = malloc(N), *const back = malloc(N);
    void *there = NULL, *kept = NULL;
    size_t free_bytes = 0, all_bytes = 0;
    memset(host, 7, N);
    memset(back, 0, N);
    machine.free_bytes = (size_t)1 << 28;
    fw_status st[10] = {FW_OK};
    current = 0;
    st[0] = b->alloc(d, N, &there);
    current = 0;
    st[1] = b->upload(d, there, host, N);
    current = 0;
    st[2] = b->sync(d);
    current = 0;
    st[3] = b->download(d, back, there, N);
    current = 0;
    st[4] = b->record_begin(d);
    current = 0;
    st[5] = b->record_end(d, &kept);
    current = 0;
    st[6] = b->replay(d, kept);
    current = 0;
    b->forget(d, kept);
    current = 0;
    st[7] = b->memory(d, &free_bytes, &all_bytes);
    current = 0;
    b->release(d, there, N);
    j->same = memcmp(host, back, N) == 0;
    for (int i = 0; i < 8 && j->st == FW_OK; i++)
        j->st = st[i];
    free(host);
    free(back);
    return NULL;
}

static void test_which_gpu(void **state)
{
    (void)state;
    job j = {.st = FW_OK};
    pthread_t thread;
    machine = good;
    elsewhere = 0;
    assert_int_equal(fwi_device_open(&j.d, "cuda:1", &(fwi_device_opt){0}), FW_OK);
    assert_int_equal(pthread_create(&thread, NULL, use_it, &j), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(j.st, FW_OK);
    assert_true(j.same);
    current = 0;
    fwi_device_close(j.d);
    assert_int_equal(elsewhere, 0);
    assert_int_equal(live, 0);
    /* kernels and the libraries' rows begin with this */
    current = 0;
    sets = 0;
    assert_int_equal(fwi_cuda_use(1), FW_OK);
    assert_int_equal(current, 1);
    assert_int_equal(fwi_cuda_use(1), FW_OK);
    assert_int_equal(sets, 1); /* not where it is current already */
}

/* From opening to closing; the first failure. More bytes than the pinned blocks hold. */
enum { N = (17 << 20) + 5 };
static unsigned char bytes[N];

static fw_status whole_life(void)
{
    fwi_device *d = NULL;
    void *there = NULL, *recording = NULL;
    unsigned char *const host = malloc(N), *const back = malloc(N);
    machine = good;
    machine.free_bytes = (size_t)1 << 28;
    fw_status st = fwi_device_open(&d, "cuda", &(fwi_device_opt){.threads = 1});
    if (st != FW_OK)
        goto done;
    const fwi_backend *const b = d->backend;
    memcpy(host, bytes, N);
    if ((st = b->alloc(d, N, &there)) != FW_OK || (st = b->download(d, back, there, N)) != FW_OK)
        goto done;
    assert_true(back[0] == 0 && memcmp(back, back + 1, N - 1) == 0); /* memory comes cleared */
    if ((st = b->upload(d, there, host, N)) != FW_OK)
        goto done;
    memset(host, 0xee, N); /* the caller's again, though copies wait */
    if ((st = b->download(d, back, there, N)) != FW_OK)
        goto done;
    assert_true(memcmp(back, bytes, N) == 0);
    if ((st = b->record_begin(d)) == FW_OK)
        st = b->record_end(d, &recording);
    if (st == FW_OK)
        st = b->replay(d, recording);
    if (st == FW_OK)
        st = b->sync(d);
done:
    if (recording != NULL)
        d->backend->forget(d, recording);
    if (there != NULL)
        d->backend->release(d, there, N);
    fwi_device_close(d);
    free(host);
    free(back);
    return st;
}

static void test_every_failure(void **state)
{
    (void)state;
    fw_status st = FW_EINTERNAL;
    int n = 0;
    for (size_t i = 0; i < N; i++) /* others in each block */
        bytes[i] = (unsigned char)((i >> 22) * 31 + i % 251);
    while (st != FW_OK && n < 1000) {
        fail_at = ++n;
        calls = 0;
        st = whole_life();
        assert_int_equal(live, 0);
        assert_true(st == FW_OK ? calls < n + 5 : st == FW_ENOMEM || st == FW_EINTERNAL);
    }
    fail_at = 0;
    assert_int_equal(st, FW_OK);
    assert_true(n > 30); /* a stream, four blocks and events, copies, a recording */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_which_gpu),
        cmocka_unit_test(test_every_failure),
    };
    setenv("FENWICKS_CUDNN", FW_FAKE_CUDNN, 1);
    setenv("FENWICKS_CUBLASLT", FW_FAKE_CUBLASLT, 1);
    return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
