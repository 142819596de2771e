/* cuda_rng.h: the library's random numbers on a GPU: the same words as core/rng.c. Read before:
 * rng.h, which says how a draw is named. */
#ifndef FWI_CUDA_RNG_H
#define FWI_CUDA_RNG_H

#include "cuda_kernel.h"
extern "C" {
#include "rng.h"
}

namespace fwi_cuda
{

struct words4 {
    uint32_t w[4];
};

static __device__ inline words4 rng_block(uint64_t seed, uint32_t purpose, uint32_t pass,
                                          uint64_t index, uint32_t block)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), c2 = pass;
    uint32_t c3 = purpose << 24 | block;
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)b;
        c2 = n2;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return words4{{c0, c1, c2, c3}};
}

/* fwi_unit and fwi_below of rng.h */
static __device__ inline double unit(uint32_t word)
{
    return (double)(word >> 8) * (1.0 / 16777216.0);
}

static __device__ inline uint32_t below(uint32_t word, uint32_t n)
{
    return (uint32_t)(((uint64_t)word * n) >> 32);
}

} // namespace fwi_cuda

#endif
