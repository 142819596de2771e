/* cuda_rng.h: the library's random numbers on a GPU: named and made as core/rng.h has it,
 * by the same code. */
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
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), pass,
                                 purpose << 24 | block};
    words4 out;
    fwi_philox4x32(key, counter, out.w);
    return out;
}

static __device__ inline double unit(uint32_t word)
{
    return fwi_unit(word);
}

static __device__ inline uint32_t below(uint32_t word, uint32_t n)
{
    return fwi_below(word, n);
}

} // namespace fwi_cuda

#endif
