/* cuda_gemm.h: one tiled matrix product, whose operands are whatever a function of (row, k) and (k,
 * column) says: matrices, transposed or not, and the patches of images that make a convolution a
 * product. Right on every shape, and the same bits each time; libraries that are faster come before
 * it in the device's table. Read before: cuda_kernel.h. */
#ifndef FWI_CUDA_GEMM_H
#define FWI_CUDA_GEMM_H

#include "cuda_kernel.h"

namespace fwi_cuda
{

/* A block of 256 threads makes 64 x 64 results, each thread 4 x 4 of them, 64/4 apart, in steps of
 * 16 along k. */
enum { TILE = 64, STEP = 16, SIDE = 16, PER = TILE / SIDE, GEMM_THREADS = SIDE * SIDE };

/* Which axis is contiguous in memory: neighbouring threads then read neighbours. */
enum contiguous { ALONG_K, ALONG_EDGE };

/* k is cut into `splits` runs of `run`: block z sums its own. */
struct gemm_size {
    int m, n, k, run;
};

/* A: `__device__ float operator()(int m, int k) const`; B: (int k, int n); STORE: `__device__ void
 * operator()(int split, int m, int n, float sum) const`. None is asked outside of the sizes. */
template <contiguous A_IS, contiguous B_IS, class A, class B, class STORE>
static __global__ void gemm_kernel(gemm_size s, A a, B b, STORE store)
{
    __shared__ float as[STEP][TILE + 1], bs[STEP][TILE + 1];
    const int t = (int)threadIdx.x, tx = t % SIDE, ty = t / SIDE;
    const int m0 = (int)blockIdx.x * TILE, n0 = (int)blockIdx.y * TILE;
    const int first = (int)blockIdx.z * s.run;
    const int last = first + s.run < s.k ? first + s.run : s.k;
    float acc[PER][PER] = {};
    for (int k0 = first; k0 < last; k0 += STEP) {
        for (int j = t; j < TILE * STEP; j += GEMM_THREADS) {
            const int ka = A_IS == ALONG_K ? j % STEP : j / TILE;
            const int ma = A_IS == ALONG_K ? j / STEP : j % TILE;
            as[ka][ma] = m0 + ma < s.m && k0 + ka < last ? a(m0 + ma, k0 + ka) : 0.0f;
            const int kb = B_IS == ALONG_K ? j % STEP : j / TILE;
            const int nb = B_IS == ALONG_K ? j / STEP : j % TILE;
            bs[kb][nb] = n0 + nb < s.n && k0 + kb < last ? b(k0 + kb, n0 + nb) : 0.0f;
        }
        __syncthreads();
        for (int k = 0; k < STEP; k++) {
            float av[PER], bv[PER];
            for (int i = 0; i < PER; i++) {
                av[i] = as[k][ty + SIDE * i];
                bv[i] = bs[k][tx + SIDE * i];
            }
            for (int i = 0; i < PER; i++)
                for (int j = 0; j < PER; j++)
                    acc[i][j] = fmaf(av[i], bv[j], acc[i][j]);
        }
        __syncthreads();
    }
    for (int i = 0; i < PER; i++)
        for (int j = 0; j < PER; j++) {
            const int m = m0 + ty + SIDE * i, n = n0 + tx + SIDE * j;
            if (m < s.m && n < s.n)
                store((int)blockIdx.z, m, n, acc[i][j]);
        }
}

template <contiguous A_IS, contiguous B_IS, class A, class B, class STORE>
static inline fw_status gemm(const fwi_call *c, const gemm_size &s, const A &a, const B &b,
                             const STORE &store)
{
    return launch(c, gemm_kernel<A_IS, B_IS, A, B, STORE>,
                  dim3(blocks_of(s.m, TILE), blocks_of(s.n, TILE), blocks_of(s.k, s.run)),
                  dim3(GEMM_THREADS), s, a, b, store);
}

static inline gemm_size unsplit(int m, int n, int k)
{
    return gemm_size{m, n, k, k};
}

/* Results one after the other. */
struct store_matrix {
    float *y;
    int n;
    __device__ void operator()(int split, int m, int at, float sum) const
    {
        (void)split;
        y[(int64_t)m * n + at] = sum;
    }
};

} // namespace fwi_cuda

#endif
