/* cublaslt_matmul.c: describing a product to cuBLASLt and running it. The library has columns in
 * order, we have rows: it is asked for the transpose, y^T = op(b)^T op(a)^T, for which our memory is
 * as it wants it, so b is its left operand and a its right one. Read before: cublaslt_matmul.h. */
#include "cublaslt_matmul.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MAX_WORKSPACE ((uint64_t)32 << 20)

static_assert(sizeof(fwi_matmul_key) == 4 * sizeof(int64_t) + 6 * sizeof(int32_t),
              "a key has no padding");

typedef struct maker {
    const fwi_cublaslt_api *api;
    cublasStatus_t status; /* the first that is no success */
} maker;

static void note_status(maker *m, cublasStatus_t status)
{
    if (m->status == CUBLAS_STATUS_SUCCESS)
        m->status = status;
}

static cudaDataType_t data_type(int32_t t)
{
    return t == FW_BF16 ? CUDA_R_16BF : t == FW_F16 ? CUDA_R_16F : CUDA_R_32F;
}

/* A batch of matrices of rows x cols in memory (ours), which are cols x rows to cuBLASLt. */
static void layout(maker *m, cublasLtMatrixLayout_t *out, const fwi_matmul_key *k, int64_t rows,
                   int64_t cols)
{
    if (m->status != CUBLAS_STATUS_SUCCESS)
        return;
    const cublasStatus_t status = m->api->cublasLtMatrixLayoutCreate(
        out, data_type(k->dtype), (uint64_t)cols, (uint64_t)rows, cols);
    note_status(m, status);
    if (status != CUBLAS_STATUS_SUCCESS) {
        *out = NULL;
        return;
    }
    if (k->batch == 1)
        return;
    const int32_t count = (int32_t)k->batch;
    const int64_t step = rows * cols;
    note_status(m, m->api->cublasLtMatrixLayoutSetAttribute(
                       *out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
    note_status(m, m->api->cublasLtMatrixLayoutSetAttribute(
                       *out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step));
}

static void describe(maker *m, fwi_cublaslt_plan *p)
{
    const fwi_matmul_key *const k = &p->key;
    const cublasComputeType_t compute = k->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const cublasOperation_t left = k->tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t right = k->ta ? CUBLAS_OP_T : CUBLAS_OP_N;
    note_status(m, m->api->cublasLtMatmulDescCreate(&p->desc, compute, CUDA_R_32F));
    if (m->status != CUBLAS_STATUS_SUCCESS) {
        p->desc = NULL;
        return;
    }
    note_status(m, m->api->cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSA,
                                                          &left, sizeof left));
    note_status(m, m->api->cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSB,
                                                          &right, sizeof right));
    layout(m, &p->left, k, k->tb ? k->n : k->k, k->tb ? k->k : k->n);
    layout(m, &p->right, k, k->ta ? k->k : k->m, k->ta ? k->m : k->k);
    layout(m, &p->result, k, k->m, k->n);
}

/* Sums that are cut into parts are added in the type of the sum, in a step of their own: parts that were
 * rounded to 16 bits first, in the result's place or beside it, would be neither exact nor the
 * definition's. */
static void choose(maker *m, const fwi_cuda_libs *l, fwi_cublaslt_plan *p)
{
    const uint64_t most = MAX_WORKSPACE;
    const uint32_t align = (uint32_t)p->key.align;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE; /* or no parts at all */
    static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    cublasLtMatmulPreference_t pref = NULL;
    note_status(m, m->api->cublasLtMatmulPreferenceCreate(&pref));
    if (m->status != CUBLAS_STATUS_SUCCESS)
        return;
    note_status(m, m->api->cublasLtMatmulPreferenceSetAttribute(
                       pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most));
    note_status(m, m->api->cublasLtMatmulPreferenceSetAttribute(
                       pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes));
    for (int i = 0; i < 4; i++)
        note_status(m, m->api->cublasLtMatmulPreferenceSetAttribute(pref, aligned[i], &align,
                                                                    sizeof align));
    cublasLtMatmulHeuristicResult_t result;
    memset(&result, 0, sizeof result);
    int n = 0;
    if (m->status == CUBLAS_STATUS_SUCCESS)
        note_status(m, m->api->cublasLtMatmulAlgoGetHeuristic(l->blas_handle, p->desc, p->left,
                                                              p->right, p->result, p->result, pref,
                                                              1, &result, &n));
    if (m->status == CUBLAS_STATUS_SUCCESS && n == 1)
        note_status(m, result.state);
    m->api->cublasLtMatmulPreferenceDestroy(pref);
    if (m->status != CUBLAS_STATUS_SUCCESS || n != 1) {
        note_status(m, CUBLAS_STATUS_NOT_SUPPORTED);
        return;
    }
    p->algo = result.algo;
    p->workspace = result.workspaceSize;
    p->usable = true;
}

static void plan_free(const fwi_cuda_libs *l, fwi_cublaslt_plan *p)
{
    if (p->result != NULL)
        l->blas.cublasLtMatrixLayoutDestroy(p->result);
    if (p->right != NULL)
        l->blas.cublasLtMatrixLayoutDestroy(p->right);
    if (p->left != NULL)
        l->blas.cublasLtMatrixLayoutDestroy(p->left);
    if (p->desc != NULL)
        l->blas.cublasLtMatmulDescDestroy(p->desc);
    fwi_free(p);
}

static const char *key_text(const fwi_matmul_key *k, char text[128])
{
    snprintf(text, 128, "matmul %s m%lld n%lld k%lld%s%s batch %lld",
             k->tf32 ? "tf32" : fw_dtype_name((fw_dtype)k->dtype), (long long)k->m, (long long)k->n,
             (long long)k->k, k->ta ? " ta" : "", k->tb ? " tb" : "", (long long)k->batch);
    return text;
}

/* Makes the plan; one that cuBLASLt has no algorithm for is not usable, which is no failure. */
static fw_status build(const fwi_cuda_libs *l, fwi_cublaslt_plan *p)
{
    maker m = {&l->blas, CUBLAS_STATUS_SUCCESS};
    describe(&m, p);
    const bool described = m.status == CUBLAS_STATUS_SUCCESS;
    if (described)
        choose(&m, l, p);
    if (m.status == CUBLAS_STATUS_SUCCESS)
        return FW_OK;
    char text[128];
    if (m.status != CUBLAS_STATUS_NOT_SUPPORTED && m.status != CUBLAS_STATUS_INVALID_VALUE)
        return fwi_cublaslt_fail(l, m.status, key_text(&p->key, text));
    snprintf(p->why, sizeof p->why, "%s: %s",
             described ? "the heuristic names no algorithm" : "it cannot be described",
             l->blas.cublasLtGetStatusString(m.status));
    fwi_log(1, "cuBLASLt: %s: %s", key_text(&p->key, text), p->why);
    return FW_OK;
}

const fwi_cublaslt_plan *fwi_cublaslt_plan_find(const fwi_cuda_libs *l, const fwi_matmul_key *key)
{
    const fwi_cublaslt_plan *p = atomic_load_explicit(&l->blas_plans, memory_order_acquire);
    while (p != NULL && memcmp(&p->key, key, sizeof *key) != 0)
        p = p->next;
    return p;
}

const fwi_cublaslt_plan *fwi_cublaslt_plan_get(fwi_cuda_libs *l, const fwi_matmul_key *key)
{
    const fwi_cublaslt_plan *found = fwi_cublaslt_plan_find(l, key);
    if (found != NULL)
        return found;
    pthread_mutex_lock(&l->lock);
    found = fwi_cublaslt_plan_find(l, key); /* another thread may have been faster */
    if (found == NULL) {
        fwi_cublaslt_plan *p = fwi_alloc_zero(sizeof *p);
        if (p != NULL) {
            p->key = *key;
            p->next = atomic_load_explicit(&l->blas_plans, memory_order_relaxed);
            if (build(l, p) == FW_OK) {
                atomic_store_explicit(&l->blas_plans, p, memory_order_release);
                found = p;
            } else {
                plan_free(l, p);
            }
        }
    }
    pthread_mutex_unlock(&l->lock);
    return found;
}

void fwi_cublaslt_plans_free(fwi_cuda_libs *l)
{
    fwi_cublaslt_plan *p = atomic_load_explicit(&l->blas_plans, memory_order_acquire);
    atomic_store_explicit(&l->blas_plans, NULL, memory_order_release);
    while (p != NULL) {
        fwi_cublaslt_plan *const next = p->next;
        plan_free(l, p);
        p = next;
    }
}

fw_status fwi_cublaslt_run(const fwi_cuda_libs *l, const fwi_cublaslt_plan *p, float alpha,
                           const void *a, const void *b, float beta, const void *y0, void *y,
                           void *workspace)
{
    const cublasStatus_t status = l->blas.cublasLtMatmul(
        l->blas_handle, p->desc, &alpha, b, p->left, a, p->right, &beta, y0 != NULL ? y0 : y,
        p->result, y, p->result, &p->algo, workspace, p->workspace, l->stream);
    char text[128];
    return status == CUBLAS_STATUS_SUCCESS ? FW_OK
                                           : fwi_cublaslt_fail(l, status, key_text(&p->key, text));
}
