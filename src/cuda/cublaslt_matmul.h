/* cublaslt_matmul.h: products of matrices by cuBLASLt, one or a batch of the same size. A plan is a
 * description and an algorithm, made once per device and key, and only looked up when it runs: the
 * algorithm is the first that cuBLASLt's heuristic names, which depends on the key, the GPU and the
 * version alone. Read before: cuda_libs.h. Read next: cublaslt_rows.c, cublaslt_muon.h. */
#ifndef FWI_CUBLASLT_MATMUL_H
#define FWI_CUBLASLT_MATMUL_H

#include "cuda_libs.h"
#include <assert.h>

/* y = alpha op(a) op(b) + beta y0, rows in order in memory:
 *   op(a) [m,k]: a is [m,k], with ta [k,m];  op(b) [k,n]: b is [k,n], with tb [n,k];  y, y0 [m,n]
 * batch of them, each operand's matrices one behind the other. Sums are in f32. All numbers, no
 * padding: two keys are compared by their bytes. */
typedef struct fwi_matmul_key {
    int64_t m, n, k, batch;
    int32_t ta, tb;
    int32_t dtype; /* of a, b, y: f32, bf16 or f16 */
    int32_t tf32;  /* 1: f32 operands may be rounded to tf32 */
    int32_t align; /* bytes, of every operand: 4 to 256 */
    int32_t adds;  /* 1: y0 is used (beta is not 0) */
} fwi_matmul_key;

struct fwi_cublaslt_plan {
    fwi_cublaslt_plan *next;
    fwi_matmul_key key;
    bool usable; /* false: cuBLASLt has no algorithm for it; `why` says so */
    char why[256];
    size_t workspace; /* bytes */
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t left, right, result; /* as cuBLASLt sees it: columns in order */
    cublasLtMatmulAlgo_t algo;
};

/* As fwi_cudnn_plan_get, _find. */
const fwi_cublaslt_plan *fwi_cublaslt_plan_get(fwi_cuda_libs *l, const fwi_matmul_key *key);
const fwi_cublaslt_plan *fwi_cublaslt_plan_find(const fwi_cuda_libs *l, const fwi_matmul_key *key);
void fwi_cublaslt_plans_free(fwi_cuda_libs *l);

/* Enqueues it. y0 may be y, and is not read where beta is 0; workspace: plan->workspace bytes on a
 * boundary of FWI_LIBS_ALIGN, NULL where that is 0. */
fw_status fwi_cublaslt_run(const fwi_cuda_libs *l, const fwi_cublaslt_plan *p, float alpha,
                           const void *a, const void *b, float beta, const void *y0, void *y,
                           void *workspace);

#endif
