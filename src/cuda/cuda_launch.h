/* cuda_launch.h: the one way in which a kernel of this room is started. No file of ops uses <<< >>>:
 * so the same files compile as plain C++ for tests/cuda, whose emulate.h takes this header's place
 * there. Kernels use what both have: the built-in indices, __shared__ arrays of fixed size or
 * shared_room(), __syncthreads and the warp's shuffles; no atomics, since their order is not fixed. */
#ifndef FWI_CUDA_LAUNCH_H
#define FWI_CUDA_LAUNCH_H

#ifdef FWI_CUDA_EMULATED
#include "emulate.h"
#else

#include <cuda_runtime.h>

#define FWI_UNROLL _Pragma("unroll")

namespace fwi_cuda
{

/* The call's GPU, in whatever thread this is. */
static inline fw_status use(const fwi_call *c)
{
    return c->stream == nullptr ? FW_OK
                                : fwi_cuda_use(((const fwi_cuda_stream *)c->stream)->device);
}

/* Threads of a block work together. */
template <class... P, class... A>
static inline fw_status launch(const fwi_call *c, void (*kernel)(P...), dim3 grid, dim3 block,
                               A... args)
{
    void (*const k)(P...) = kernel;
    auto run = [&](P... p) {
        void *list[] = {(void *)&p...};
        return cudaLaunchKernel((const void *)k, grid, block, list, 0, fwi_cuda_stream_of(c));
    };
    const fw_status st = use(c);
    return st == FW_OK ? fwi_cuda_check(run(args...), fwi_op_info_get(c->kind)->name) : st;
}

/* Threads know nothing of each other: no barrier, no shuffle, no shared memory. */
template <class... P, class... A>
static inline fw_status launch_alone(const fwi_call *c, void (*kernel)(P...), dim3 grid, dim3 block,
                                     A... args)
{
    return launch(c, kernel, grid, block, args...);
}

/* A block's shared memory of a size that the launch says, up to 227 KiB on Hopper GPUs: not aligned
 * to more than 16 bytes. A kernel that asks for it has no other. */
static __device__ inline unsigned char *shared_room()
{
    extern __shared__ unsigned char fwi_shared[];
    return fwi_shared;
}

/* Threads of a block work together, with n_bytes of shared_room. How much a kernel may ask for belongs to the
 * kernel on that GPU, not to the launch: 48 KiB, or all that there is. A limit that went by the launch would be
 * lowered by another thread's, between the two calls below, and under launches that are recorded. */
template <class... P, class... A>
static inline fw_status launch_roomy(const fwi_call *c, void (*kernel)(P...), dim3 grid, dim3 block,
                                     int n_bytes, const A &...args)
{
    const char *name = fwi_op_info_get(c->kind)->name;
    void (*const k)(P...) = kernel;
    fw_status st = use(c);
    if (st == FW_OK && n_bytes > 48 * 1024)
        st = fwi_cuda_check(
            cudaFuncSetAttribute(
                (const void *)k, cudaFuncAttributeMaxDynamicSharedMemorySize,
                c->stream == nullptr ? n_bytes : ((const fwi_cuda_stream *)c->stream)->most_shared),
            name);
    if (st != FW_OK)
        return st;
    auto run = [&](const P &...p) {
        void *list[] = {(void *)&p...};
        return cudaLaunchKernel((const void *)k, grid, block, list, (size_t)n_bytes,
                                fwi_cuda_stream_of(c));
    };
    return fwi_cuda_check(run(args...), name);
}

} // namespace fwi_cuda

#endif
#endif
