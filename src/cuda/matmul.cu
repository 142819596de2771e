/* matmul.cu: products of matrices, each transposed or not; defined in cpu/ref/matmul_body.h, held to
 * it by tests/ops/test_matmul.c. */
#include "cuda_gemm.h"

using namespace fwi_cuda;

/* Element (i, j) of a matrix, or of its transpose. */
struct matrix_at {
    const float *x;
    int row, col; /* steps in memory */
    __device__ float operator()(int i, int j) const
    {
        return x[(int64_t)i * row + (int64_t)j * col];
    }
};

static fw_status matmul(const fwi_call *c)
{
    const bool ta = c->attr->matmul.ta != 0, tb = c->attr->matmul.tb != 0;
    const int m = (int)c->out[0].shape.d[0], n = (int)c->out[0].shape.d[1];
    const int k = (int)c->in[0].shape.d[ta ? 0 : 1];
    const matrix_at a = {in<float>(c, 0), ta ? 1 : k, ta ? m : 1};
    const matrix_at b = {in<float>(c, 1), tb ? 1 : n, tb ? k : 1};
    const store_matrix y = {out<float>(c, 0), n};
    const gemm_size s = unsplit(m, n, k);
    if (ta)
        return tb ? gemm<ALONG_EDGE, ALONG_K>(c, s, a, b, y)
                  : gemm<ALONG_EDGE, ALONG_EDGE>(c, s, a, b, y);
    return tb ? gemm<ALONG_K, ALONG_K>(c, s, a, b, y) : gemm<ALONG_K, ALONG_EDGE>(c, s, a, b, y);
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(matmul)[] = {
    ROW(matmul, FW_F32, "f32", matmul, false),
    ROW_END,
};
