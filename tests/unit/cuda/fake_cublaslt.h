/* fake_cublaslt.h: what a test sets in the stand-in for cuBLASLt and reads back from it; found in
 * the library by the name fake_cublaslt. */
#ifndef FAKE_CUBLASLT_H
#define FAKE_CUBLASLT_H

#include <cublasLt.h>
#include <stdbool.h>

typedef enum fake_cublaslt_call {
    FAKE_LT_HANDLE,
    FAKE_LT_DESC,
    FAKE_LT_LAYOUT,
    FAKE_LT_PREFERENCE,
    FAKE_LT_SET,
    FAKE_LT_HEURISTIC,
    FAKE_LT_MATMUL,
    FAKE_LT_CALLS
} fake_cublaslt_call;

typedef struct fake_cublaslt_state {
    /* set by the test */
    fake_cublaslt_call fail_call; /* the fail_at-th call of it gives fail_status; 0: none */
    int fail_at;
    cublasStatus_t fail_status, algo_state; /* algo_state: of the algorithm that is named */
    bool no_algorithm;
    size_t workspace; /* that the algorithm wants */
    /* read by the test */
    int calls[FAKE_LT_CALLS];
    int live, handles;
    uint64_t max_workspace;
    uint32_t schemes, align[4];
    cublasComputeType_t compute;
    int64_t products;    /* matrices that were computed */
    cudaStream_t stream; /* of the last run */
    void *last_workspace;
} fake_cublaslt_state;

#endif
