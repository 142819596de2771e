/* cuda_libs.c: opening the libraries of a device, and their failures in words. Read before: cuda_libs.h. */
#include "cuda_libs.h"

#include "cublaslt_matmul.h"
#include "cudnn_conv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does without a library that is not there, or cannot work with this GPU and driver: keeps the
 * reason, for who asks later. Other failures stay failures. */
static fw_status do_without(void **library, char **reason, fw_status st)
{
    if (st != FW_EUNAVAILABLE)
        return st;
    *reason = fwi_strdup(fw_last_error());
    fwi_log(1, "%s: our own kernels are used", fw_last_error());
    fwi_dyn_close(*library);
    *library = NULL;
    return *reason != NULL ? FW_OK : FW_ENOMEM;
}

static fw_status open_cudnn(fwi_cuda_libs *l)
{
    fw_status st = fwi_dyn_open(&l->dnn_library, &fwi_dyn_cudnn, &l->dnn);
    if (st != FW_OK)
        return do_without(&l->dnn_library, &l->no_dnn, st);
    l->dnn_version = l->dnn.cudnnGetVersion();
    cudnnStatus_t status = l->dnn.cudnnCreate(&l->dnn_handle);
    if (status != CUDNN_STATUS_SUCCESS) {
        l->dnn_handle = NULL;
        st = fwi_cudnn_fail(l, status, "making a handle");
        return do_without(&l->dnn_library, &l->no_dnn, st);
    }
    status = l->dnn.cudnnSetStream(l->dnn_handle, l->stream);
    return status == CUDNN_STATUS_SUCCESS ? FW_OK : fwi_cudnn_fail(l, status, "setting the stream");
}

static fw_status open_cublaslt(fwi_cuda_libs *l)
{
    fw_status st = fwi_dyn_open(&l->blas_library, &fwi_dyn_cublaslt, &l->blas);
    if (st != FW_OK)
        return do_without(&l->blas_library, &l->no_blas, st);
    l->blas_version = l->blas.cublasLtGetVersion();
    const cublasStatus_t status = l->blas.cublasLtCreate(&l->blas_handle);
    if (status != CUBLAS_STATUS_SUCCESS) {
        l->blas_handle = NULL;
        st = fwi_cublaslt_fail(l, status, "making a handle");
        return do_without(&l->blas_library, &l->no_blas, st);
    }
    return FW_OK;
}

/* FENWICKS_CONV_ENGINE: own engines for tests and measurements, whatever was chosen, or none at all. */
static fw_status read_conv_engine(fwi_cuda_libs *l)
{
    const char *asked = getenv("FENWICKS_CONV_ENGINE");
    if (asked == NULL || *asked == 0)
        return FW_OK;
    if (strlen(asked) >= sizeof l->conv_engine ||
        (strcmp(asked, "own") != 0 && strncmp(asked, "own:", 4) != 0 &&
         strcmp(asked, "cudnn") != 0))
        return fwi_fail(FW_EARG, "FENWICKS_CONV_ENGINE=%s: expected own, own:NAME or cudnn", asked);
    memcpy(l->conv_engine, asked, strlen(asked) + 1);
    return FW_OK;
}

fw_status fwi_cuda_libs_open(fwi_cuda_libs **out, const fwi_cuda_libs_opt *opt)
{
    *out = NULL;
    fwi_cuda_libs *l = fwi_alloc_zero(sizeof *l);
    if (l == NULL)
        return FW_ENOMEM;
    pthread_mutex_init(&l->lock, NULL);
    l->stream = opt->stream;
    l->sm = opt->sm;
    l->tf32 = opt->tf32;
    l->side = opt->side != NULL ? opt->side : &fwi_cuda_side_kernels;
    if (l->sm == 90)
        fwi_map_encoders_open(&l->maps);
    fw_status st = read_conv_engine(l);
    if (st == FW_OK)
        st = open_cudnn(l);
    if (st == FW_OK)
        st = open_cublaslt(l);
    if (st == FW_OK && l->dnn_library != NULL)
        st = fwi_dnn_choices_load(&l->choices, l->sm, (int64_t)l->dnn_version);
    if (st != FW_OK) {
        fwi_cuda_libs_close(l);
        return st;
    }
    *out = l;
    return FW_OK;
}

void fwi_cuda_libs_close(fwi_cuda_libs *l)
{
    if (l == NULL)
        return;
    fwi_cudnn_plans_free(l);
    fwi_cublaslt_plans_free(l);
    if (l->dnn_handle != NULL)
        l->dnn.cudnnDestroy(l->dnn_handle);
    if (l->blas_handle != NULL)
        l->blas.cublasLtDestroy(l->blas_handle);
    fwi_dyn_close(l->dnn_library);
    fwi_dyn_close(l->blas_library);
    fwi_dnn_choices_clear(&l->choices);
    fwi_free(l->no_dnn);
    fwi_free(l->no_blas);
    pthread_mutex_destroy(&l->lock);
    fwi_free(l);
}

extern const fwi_kernel fwi_rows_cudnn[], fwi_rows_cudnn_rounded[];
extern const fwi_kernel fwi_rows_cublaslt[], fwi_rows_cublaslt_muon[];
extern const fwi_kernel fwi_rows_cuda_wgmma[], fwi_rows_cuda_wgmma_dw[];
extern const fwi_kernel fwi_rows_cuda_narrow_chosen[];

static void put_before(fwi_op_table *t, const char *name, const fwi_kernel *rows,
                       const fwi_op_table *base, int32_t align)
{
    *t = (fwi_op_table){.name = name, .base = base, .rows = rows, .nb = base->nb, .align = align};
}

const fwi_op_table *fwi_cuda_libs_tables(fwi_cuda_tables *t, const fwi_op_table *own)
{
    put_before(&t->muon, "cublaslt", fwi_rows_cublaslt_muon, own, 0);
    put_before(&t->matmul, "cublaslt", fwi_rows_cublaslt, &t->muon, 0);
    put_before(&t->rounded, "cudnn", fwi_rows_cudnn_rounded, &t->matmul, FWI_CUDNN_ALIGN);
    t->rounded.rounds = true;
    put_before(&t->cudnn, "cudnn", fwi_rows_cudnn, &t->rounded, FWI_CUDNN_ALIGN);
    /* the accelerator that copies images for our own engines wants the same boundary */
    put_before(&t->own_dw, "cuda", fwi_rows_cuda_wgmma_dw, &t->cudnn, FWI_CUDNN_ALIGN);
    put_before(&t->own_conv, "cuda", fwi_rows_cuda_wgmma, &t->own_dw, FWI_CUDNN_ALIGN);
    put_before(&t->own_narrow, "cuda", fwi_rows_cuda_narrow_chosen, &t->own_conv, 0);
    return &t->own_narrow;
}

/* cuDNN 9 counts major * 10000 + minor * 100 + patch, cuBLASLt the same way. */
static int version_text(char *text, size_t n, const char *title, size_t v)
{
    return snprintf(text, n, "%s %zu.%zu.%zu", title, v / 10000, v / 100 % 100, v % 100);
}

void fwi_cuda_libs_describe(const fwi_cuda_libs *l, char *text, size_t n)
{
    char dnn[64] = "no cuDNN", blas[64] = "no cuBLASLt";
    if (l->dnn_library != NULL)
        version_text(dnn, sizeof dnn, "cuDNN", l->dnn_version);
    if (l->blas_library != NULL)
        version_text(blas, sizeof blas, "cuBLASLt", l->blas_version);
    snprintf(text, n, "%s, %s", dnn, blas);
}

fw_status fwi_cudnn_fail(const fwi_cuda_libs *l, cudnnStatus_t status, const char *doing)
{
    char more[256] = "";
    l->dnn.cudnnGetLastErrorString(more, sizeof more);
    more[sizeof more - 1] = 0;
    const int category = CUDNN_STATUS_CATEGORY((int)status);
    fw_status st = FW_EINTERNAL;
    if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
        status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
        st = FW_ENOMEM;
    else if (category == CUDNN_STATUS_NOT_SUPPORTED ||
             category == CUDNN_STATUS_CATEGORY((int)CUDNN_STATUS_NOT_INITIALIZED))
        st = FW_EUNAVAILABLE;
    return fwi_fail(st, "cuDNN: %s: %s (%d)%s%s", doing, l->dnn.cudnnGetErrorString(status),
                    (int)status, more[0] != 0 ? ": " : "", more);
}

fw_status fwi_cublaslt_fail(const fwi_cuda_libs *l, cublasStatus_t status, const char *doing)
{
    fw_status st = FW_EINTERNAL;
    if (status == CUBLAS_STATUS_ALLOC_FAILED)
        st = FW_ENOMEM;
    else if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH ||
             status == CUBLAS_STATUS_NOT_INITIALIZED)
        st = FW_EUNAVAILABLE;
    return fwi_fail(st, "cuBLASLt: %s: %s (%d)", doing, l->blas.cublasLtGetStatusString(status),
                    (int)status);
}

size_t fwi_libs_round(size_t n_bytes)
{
    return (n_bytes + FWI_LIBS_ALIGN - 1) / FWI_LIBS_ALIGN * FWI_LIBS_ALIGN;
}

void *fwi_libs_aligned(void *p)
{
    return (void *)(((uintptr_t)p + FWI_LIBS_ALIGN - 1) / FWI_LIBS_ALIGN * FWI_LIBS_ALIGN);
}
