/* cuda_tma.h: what a block does to have tensors copied into its shared memory while it computes: bulk
 * tensor copies, and the barriers in shared memory that say when one has landed and when its place is
 * free again. Each function is one instruction of PTX; the sections named are those of the PTX ISA
 * (9.0). Only compute capability 9.0 has all of them: callers stand under FWI_HOPPER.
 *
 * Shared memory is named by its 32-bit address in the shared window. Under emulation these functions
 * are C++ that was written from the same sections (tests/cuda/emulate_hopper.h). */
#ifndef FWI_CUDA_TMA_H
#define FWI_CUDA_TMA_H

#include "cuda_kernel.h"

extern "C" {
#include "tensor_map.h"
}

/* Whether device code is being compiled for Hopper's own instructions (sm_90a). */
#if defined(FWI_CUDA_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define FWI_HOPPER 1
#else
#define FWI_HOPPER 0
#endif

#ifdef FWI_CUDA_EMULATED
#include "emulate_hopper.h"
#else

namespace fwi_cuda
{

static __device__ inline uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* ---- mbarrier (9.7.13.15) ---- a phase ends when `count` arrivals and all bytes that were announced
 * have come; phases have parity 0, 1, 0, ... */

static __device__ inline void barrier_init(uint32_t barrier, int count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}

/* Barriers that were made are seen by other threads, behind __syncthreads, and by copies: fence
 * (9.7.13.4). */
static __device__ inline void barriers_made()
{
    asm volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::
                     : "memory");
}

/* Arrives, and announces bytes of copies. */
static __device__ inline void barrier_expect(uint32_t barrier, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
}

static __device__ inline void barrier_arrive(uint32_t barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

static __device__ inline bool barrier_try(uint32_t barrier, uint32_t parity)
{
    uint32_t done = 0;
    asm volatile("{\n\t.reg .pred p;\n\t"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
                 "selp.u32 %0, 1, 0, p;\n\t}"
                 : "=r"(done)
                 : "r"(barrier), "r"(parity)
                 : "memory");
    return done != 0;
}

/* A count of nanoseconds, whose lower half is enough for differences of under four seconds. */
static __device__ inline uint32_t nanoseconds()
{
    uint32_t now;
    asm volatile("mov.u32 %0, %%globaltimer_lo;" : "=r"(now));
    return now;
}

/* Until the phase of this parity has ended. A barrier just made counts as one whose phase of parity 1
 * has. A stage takes microseconds; one that has not come within a second never will (a wrong descriptor, a
 * count that does not add up), and a kernel that spins for it would keep the GPU, and whoever waits for
 * it, for ever: it ends in an error instead. */
static __device__ inline void barrier_wait(uint32_t barrier, uint32_t parity)
{
    enum : uint32_t { A_SECOND = 1000000000 };
    if (barrier_try(barrier, parity))
        return;
    const uint32_t from = nanoseconds();
    while (!barrier_try(barrier, parity)) {
        const bool late = nanoseconds() - from > A_SECOND;
        if (late &&
            !barrier_try(barrier, parity)) /* it may have come while this warp was held up */
            __trap();
    }
}

/* ---- cp.async.bulk.tensor (9.7.9.25.5.2) ---- to: shared address; places innermost axis first */

static __device__ inline void copy_part_2d(uint32_t to, const fwi_tensor_map *map, uint32_t barrier,
                                           int c0, int c1)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(to),
                 "l"(map), "r"(barrier), "r"(c0), "r"(c1)
                 : "memory");
}

static __device__ inline void copy_part_3d(uint32_t to, const fwi_tensor_map *map, uint32_t barrier,
                                           int c0, int c1, int c2)
{
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to),
                 "l"(map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2)
                 : "memory");
}

/* im2col mode (5.5.4): pixels from the window that begins at (w, h) of image n on, each read at its
 * window's place (dw, dh), channels from c on. */
static __device__ inline void copy_pixels(uint32_t to, const fwi_tensor_map *map, uint32_t barrier,
                                          int c, int w, int h, int n, int dw, int dh)
{
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(to),
        "l"(map), "r"(barrier), "r"(c), "r"(w), "r"(h), "r"(n), "h"((uint16_t)dw), "h"((uint16_t)dh)
        : "memory");
}

} // namespace fwi_cuda

#endif
#endif
