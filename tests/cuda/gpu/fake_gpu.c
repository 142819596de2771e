/* fake_gpu.c: takes the place of the CUDA backend in the command, so that all of `--device cuda` runs on
 * machines without a GPU: the device that stands for one (t_far.c) with emulated kernels, and in front of
 * them the libraries' rows over the stand-ins for cuDNN and cuBLASLt. There is one GPU, number 0. Its clock
 * is the host's, and what the stand-in's engines say that they take is added, so that a test knows which
 * of them is the fastest. With FW_FAKE_NO_F32_DW in the environment none of them gives a filter's gradient
 * in f32 for images of 16 bits; with FW_FAKE_CHANNELS none takes channels that are no multiple of 8. */
#define FWI_CUDA_EMULATED
#include "cuda_inner.h"
#include "cuda_load.h"
#include "cudnn_conv.h"
#include "libs_probe.h"

#include "../../unit/cuda/fake_cudnn.h"
#include "../t_far.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const fwi_cuda_side fwi_emulated_side_kernels;

static struct {
    fwi_cuda_stream stream;
    fwi_cuda_tables tables;
    fwi_backend backend;
    fake_cudnn_state *dnn;
} gpu;

/* ---- the libraries ---- */

/* Their seconds are so many that no load of the host makes another one the fastest. */
static void set_engines(void)
{
    const cudnnBackendNumericalNote_t tensor = CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
                                      random = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    const fake_engine engines[] = {
        {.index = 7, .workspace = 1000, .n_notes = 1, .notes = {tensor}, .seconds = 30},
        {.index = 9, .n_notes = 1, .notes = {tensor}, .seconds = 10, .wrong = true},
        {.index = 11, .n_notes = 1, .notes = {tensor}, .seconds = 20, .n_knobs = 2},
        {.index = 13, .n_notes = 1, .notes = {random}, .seconds = 5},
        {.index = 5, .workspace = 64, .seconds = 25}, /* for f32 that is not rounded */
    };
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        gpu.dnn->engines[i] = engines[i];
        gpu.dnn->engines[i].there = true;
        gpu.dnn->engines[i].no_f32_dw = getenv("FW_FAKE_NO_F32_DW") != NULL;
        gpu.dnn->engines[i].channels = getenv("FW_FAKE_CHANNELS") != NULL ? 8 : 0;
    }
}

static fw_status open_libs(bool tf32)
{
    (void)setenv("FENWICKS_CUDNN", FW_FAKE_CUDNN, 0);
    (void)setenv("FENWICKS_CUBLASLT", FW_FAKE_CUBLASLT, 0);
    /* our own engines, not emulated, need a GPU */
    (void)setenv("FENWICKS_CONV_ENGINE", "cudnn", 0);
    void *const lib = dlopen(FW_FAKE_CUDNN, RTLD_NOW | RTLD_LOCAL);
    gpu.dnn = lib != NULL ? dlsym(lib, "fake_cudnn") : NULL;
    if (gpu.dnn == NULL)
        return fwi_fail(FW_EINTERNAL, "no stand-in for cuDNN at %s", FW_FAKE_CUDNN);
    set_engines();
    const fwi_cuda_libs_opt opt = {.sm = 90, .tf32 = tf32, .side = &fwi_emulated_side_kernels};
    return fwi_cuda_libs_open(&gpu.stream.libs, &opt);
}

/* ---- measuring ---- */

static fw_status mark(fwi_device *d, int i)
{
    t_far_extra_seconds = gpu.dnn->seconds;
    return t_far_backend.probe->mark(d, i);
}

static fw_status between(fwi_device *d, int from, int to, double *seconds)
{
    return t_far_backend.probe->between(d, from, to, seconds);
}

static bool on_tensor_cores(const fwi_load *l)
{
    return l->kind == FWI_LOAD_TF32 || l->kind == FWI_LOAD_BF16 || l->kind == FWI_LOAD_F16;
}

static fw_status load_plan(fwi_device *d, fwi_load *l)
{
    return on_tensor_cores(l) ? fwi_libs_load_plan(gpu.stream.libs, l)
                              : t_far_backend.probe->load_plan(d, l);
}

static fw_status load_fill(fwi_device *d, const fwi_load *l)
{
    if (!on_tensor_cores(l))
        return t_far_backend.probe->load_fill(d, l);
    const fw_dtype dtype = fwi_libs_load_dtype(l);
    t_far_open_memory();
    const fw_status st =
        fwi_cuda_load_noise(NULL, l->memory, dtype, (int64_t)(l->bytes / fw_dtype_size(dtype)));
    t_far_close_memory();
    return st;
}

static fw_status load_run(fwi_device *d, const fwi_load *l)
{
    if (!on_tensor_cores(l))
        return t_far_backend.probe->load_run(d, l);
    t_far_open_memory();
    const fw_status st = fwi_libs_load_run(gpu.stream.libs, l);
    t_far_close_memory();
    return st;
}

static void row_text(fwi_device *d, const fwi_call *c, const fwi_kernel *k, char *text, size_t cap)
{
    (void)d;
    fwi_libs_row_text(gpu.stream.libs, c, k, text, cap);
}

static fw_status engines(fwi_device *d, const fwi_call *c, fwi_engine_fn each, void *user)
{
    (void)d;
    return fwi_libs_engines(gpu.stream.libs, c, each, user);
}

static fw_status engine_run(fwi_device *d, const fwi_engine *e, const fwi_call *c)
{
    (void)d;
    t_far_open_memory();
    const fw_status st = fwi_libs_engine_run(gpu.stream.libs, e, c);
    t_far_close_memory();
    return st;
}

static fw_status engine_take(fwi_device *d, const fwi_engine *e, double seconds)
{
    (void)d;
    return fwi_libs_engine_take(gpu.stream.libs, e, seconds);
}

static fw_status engines_keep(fwi_device *d, char *path, size_t cap)
{
    (void)d;
    return fwi_libs_engines_keep(gpu.stream.libs, path, cap);
}

static void engines_forget(fwi_device *d)
{
    (void)d;
    fwi_libs_engines_forget(gpu.stream.libs);
}

static fw_status info(fwi_device *d, fwi_gpu_info *out)
{
    (void)d;
    return fwi_cuda_gpu_info(0, out);
}

static void libraries(fwi_device *d, char *text, size_t cap)
{
    fwi_gpu_info of;
    snprintf(text, cap, "%s", info(d, &of) == FW_OK ? of.libraries : "");
}

static const fwi_probe probe = {.mark = mark,
                                .between = between,
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
                                .engines_forget = engines_forget};

/* ---- the backend ---- */

static void close_fake(fwi_device *d)
{
    fwi_cuda_libs_close(gpu.stream.libs);
    gpu.stream.libs = NULL;
    t_far_backend.close(d);
}

static fw_status open_fake(fwi_device **out, const fwi_device_opt *opt)
{
    if (opt->index != 0)
        return fwi_fail(FW_ENOTFOUND, "there is 1 GPU, numbered from 0; number %d was asked for",
                        opt->index);
    fw_status st = open_libs(opt->tf32);
    if (st != FW_OK)
        return st;
    gpu.stream.sm = 90;
    t_far_rows = fwi_cuda_libs_tables(&gpu.tables, fwi_cuda_emulated_table());
    t_far_stream = &gpu.stream;
    if ((st = t_far_backend.open(out, opt)) != FW_OK)
        return st;
    gpu.backend = t_far_backend;
    gpu.backend.close = close_fake;
    gpu.backend.probe = &probe;
    (*out)->backend = &gpu.backend;
    (*out)->label = "cuda:0 (NVIDIA of no kind, sm_90)";
    return FW_OK;
}

const fwi_backend fwi_backend_cuda = {.name = "cuda", .open = open_fake, .close = close_fake};

/* ---- what the rest of the library asks the CUDA backend ---- */

fw_status fwi_cuda_check(cudaError_t e, const char *what)
{
    return e == cudaSuccess ? FW_OK : fwi_fail(FW_EINTERNAL, "%s: %d", what, (int)e);
}

fw_status fwi_cuda_use(int device)
{
    return device == 0 ? FW_OK : fwi_fail(FW_EINTERNAL, "there is no GPU %d", device);
}

fw_status fwi_cuda_count(int *n)
{
    *n = 1;
    return FW_OK;
}

bool fwi_cuda_describe(char *text, size_t cap)
{
    snprintf(text, cap, "NVIDIA of no kind (sm_90, 1.0 GiB)");
    return true;
}

int fwi_cuda_gpus(void)
{
    return 1;
}

fw_status fwi_cuda_gpu_info(int i, fwi_gpu_info *out)
{
    (void)i;
    *out = (fwi_gpu_info){.name = "NVIDIA of no kind",
                          .driver = "580.0",
                          .libraries = "cuDNN 9.19.0; cuBLASLt 13.1.0",
                          .major = 9,
                          .multiprocessors = 1,
                          .driver_cuda = 13000,
                          .runtime_cuda = 13000,
                          .memory_free = (int64_t)1 << 29,
                          .memory_bytes = (int64_t)1 << 30,
                          .l2_bytes = 1 << 16};
    return FW_OK;
}
