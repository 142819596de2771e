/* fake_cublaslt.c: a small stand-in for libcublasLt.so.13, for machines without a GPU: it computes
 * products of matrices on the host from layouts as described, columns in order, in batches. A
 * test decides which call fails. Built as a shared library of its own. */
#include "fake_cublaslt.h"
#include "fake_half.h"

#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))

API fake_cublaslt_state fake_cublaslt;

/* What this library keeps in the opaque structs. */
typedef struct layout {
    uint64_t rows, cols;
    int64_t ld, step;
    int32_t type, batch;
} layout;
typedef struct desc {
    int32_t compute, scale, trans_a, trans_b;
} desc;

static cublasStatus_t step(fake_cublaslt_call call)
{
    const int i = ++fake_cublaslt.calls[call];
    if (fake_cublaslt.fail_call == call && fake_cublaslt.fail_at == i)
        return fake_cublaslt.fail_status;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t give(void **out, size_t n_bytes, fake_cublaslt_call call)
{
    const cublasStatus_t st = step(call);
    if (st == CUBLAS_STATUS_SUCCESS) {
        *out = calloc(1, n_bytes);
        fake_cublaslt.live++;
    }
    return st;
}

static cublasStatus_t take(void *p)
{
    free(p);
    fake_cublaslt.live--;
    return CUBLAS_STATUS_SUCCESS;
}

API size_t cublasLtGetVersion(void)
{
    return 130100;
}

API const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_SUPPORTED ? "not supported" : "broken";
}

API cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    const cublasStatus_t st = step(FAKE_LT_HANDLE);
    if (st == CUBLAS_STATUS_SUCCESS) {
        *handle = malloc(1);
        fake_cublaslt.handles++;
    }
    return st;
}

API cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    free(handle);
    fake_cublaslt.handles--;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                            cudaDataType_t scale)
{
    const cublasStatus_t st = give((void **)out, sizeof(cublasLtMatmulDescOpaque_t), FAKE_LT_DESC);
    if (st == CUBLAS_STATUS_SUCCESS) {
        desc *d = (desc *)*out;
        d->compute = (int32_t)compute;
        d->scale = (int32_t)scale;
        fake_cublaslt.compute = compute;
    }
    return st;
}

API cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    return take(d);
}

API cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                                  cublasLtMatmulDescAttributes_t name,
                                                  const void *value, size_t n_bytes)
{
    const cublasStatus_t st = step(FAKE_LT_SET);
    if (st != CUBLAS_STATUS_SUCCESS)
        return st;
    if (n_bytes != sizeof(int32_t))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (name == CUBLASLT_MATMUL_DESC_TRANSA)
        memcpy(&((desc *)d)->trans_a, value, n_bytes);
    else if (name == CUBLASLT_MATMUL_DESC_TRANSB)
        memcpy(&((desc *)d)->trans_b, value, n_bytes);
    else
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                              uint64_t rows, uint64_t cols, int64_t ld)
{
    if (ld < (int64_t)rows)
        return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t st =
        give((void **)out, sizeof(cublasLtMatrixLayoutOpaque_t), FAKE_LT_LAYOUT);
    if (st == CUBLAS_STATUS_SUCCESS) {
        layout *l = (layout *)*out;
        *l = (layout){rows, cols, ld, 0, (int32_t)type, 1};
    }
    return st;
}

API cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    return take(l);
}

API cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l,
                                                    cublasLtMatrixLayoutAttribute_t name,
                                                    const void *value, size_t n_bytes)
{
    const cublasStatus_t st = step(FAKE_LT_SET);
    if (st != CUBLAS_STATUS_SUCCESS)
        return st;
    if (name == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT && n_bytes == sizeof(int32_t))
        memcpy(&((layout *)l)->batch, value, n_bytes);
    else if (name == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET && n_bytes == sizeof(int64_t))
        memcpy(&((layout *)l)->step, value, n_bytes);
    else
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    return give((void **)out, sizeof(cublasLtMatmulPreferenceOpaque_t), FAKE_LT_PREFERENCE);
}

API cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    return take(p);
}

API cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                        cublasLtMatmulPreferenceAttributes_t name,
                                                        const void *value, size_t n_bytes)
{
    (void)p;
    const cublasStatus_t st = step(FAKE_LT_SET);
    if (st != CUBLAS_STATUS_SUCCESS)
        return st;
    if (name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && n_bytes == sizeof(uint64_t))
        memcpy(&fake_cublaslt.max_workspace, value, n_bytes);
    else if (name == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK && n_bytes == sizeof(uint32_t))
        memcpy(&fake_cublaslt.schemes, value, n_bytes);
    else if (name >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
             name <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES && n_bytes == sizeof(uint32_t))
        memcpy(&fake_cublaslt.align[name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
               n_bytes);
    else
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
    cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t result,
    cublasLtMatmulPreference_t pref, int asked, cublasLtMatmulHeuristicResult_t out[], int *given)
{
    (void)handle, (void)d, (void)a, (void)b, (void)c, (void)result, (void)pref;
    const cublasStatus_t st = step(FAKE_LT_HEURISTIC);
    *given = st == CUBLAS_STATUS_SUCCESS && !fake_cublaslt.no_algorithm && asked > 0 ? 1 : 0;
    if (*given == 1) {
        out[0].workspaceSize = fake_cublaslt.workspace;
        out[0].state = fake_cublaslt.algo_state;
        out[0].algo.data[0] = 42;
    }
    return st;
}

/* Element `at` of matrix i. */
static double number(const void *p, const layout *l, int64_t i, uint64_t at)
{
    const uint64_t k = (uint64_t)(i * l->step) + at;
    if (l->type == CUDA_R_32F)
        return (double)((const float *)p)[k];
    if (l->type == CUDA_R_16F)
        return (double)half_value(((const uint16_t *)p)[k]);
    return (double)bf16_value(((const uint16_t *)p)[k]);
}

static void store(void *p, const layout *l, int64_t i, uint64_t at, float f)
{
    const uint64_t k = (uint64_t)(i * l->step) + at;
    if (l->type == CUDA_R_32F)
        ((float *)p)[k] = f;
    else if (l->type == CUDA_R_16F)
        ((uint16_t *)p)[k] = half_bits(f);
    else
        ((uint16_t *)p)[k] = bf16_bits(f);
}

API cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t d_,
                                  const void *alpha, const void *a_, cublasLtMatrixLayout_t al_,
                                  const void *b_, cublasLtMatrixLayout_t bl_, const void *beta,
                                  const void *c_, cublasLtMatrixLayout_t cl_, void *result_,
                                  cublasLtMatrixLayout_t rl_, const cublasLtMatmulAlgo_t *algo,
                                  void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    const cublasStatus_t st = step(FAKE_LT_MATMUL);
    if (st != CUBLAS_STATUS_SUCCESS)
        return st;
    const desc *d = (const desc *)d_;
    const layout *al = (const layout *)al_, *bl = (const layout *)bl_, *rl = (const layout *)rl_;
    const bool ta = d->trans_a == CUBLAS_OP_T, tb = d->trans_b == CUBLAS_OP_T;
    const uint64_t m = ta ? al->cols : al->rows, k = ta ? al->rows : al->cols;
    const uint64_t n = tb ? bl->rows : bl->cols;
    if (handle == NULL || cl_ != rl_ || algo->data[0] != 42 || rl->rows != m || rl->cols != n ||
        (tb ? bl->cols : bl->rows) != k || workspace_bytes != fake_cublaslt.workspace ||
        (al->type != CUDA_R_32F && al->type != CUDA_R_16BF && al->type != CUDA_R_16F) ||
        bl->type != al->type || rl->type != al->type || al->batch != rl->batch ||
        bl->batch != rl->batch)
        return CUBLAS_STATUS_INVALID_VALUE;
    const float by = *(const float *)alpha, be = *(const float *)beta;
    for (int64_t i = 0; i < rl->batch; i++)
        for (uint64_t col = 0; col < n; col++)
            for (uint64_t row = 0; row < m; row++) {
                double sum = 0;
                for (uint64_t j = 0; j < k; j++) {
                    const uint64_t x = ta ? j + row * (uint64_t)al->ld : row + j * (uint64_t)al->ld;
                    const uint64_t y = tb ? col + j * (uint64_t)bl->ld : j + col * (uint64_t)bl->ld;
                    sum += number(a_, al, i, x) * number(b_, bl, i, y);
                }
                const uint64_t at = row + col * (uint64_t)rl->ld;
                sum *= (double)by;
                if (be != 0)
                    sum += (double)be * number(c_, rl, i, at);
                store(result_, rl, i, at, (float)sum);
            }
    fake_cublaslt.products += rl->batch;
    fake_cublaslt.stream = stream;
    fake_cublaslt.last_workspace = workspace;
    if (workspace != NULL)
        memset(workspace, 0xa5, workspace_bytes);
    return CUBLAS_STATUS_SUCCESS;
}
