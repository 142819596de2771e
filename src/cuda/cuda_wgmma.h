/* cuda_wgmma.h: products of a warpgroup's tensor cores (compute capability 9.0 alone): 64 x N sums in
 * the registers of 128 threads, of operands that lie in shared memory and are named by descriptors.
 * Each function is one instruction of PTX; sections are those of the PTX ISA (9.0), 9.7.15: asynchronous
 * warpgroup level matrix instructions. Emulated by tests/cuda/emulate_hopper.h.
 *
 * A thread's sums: d[4 j + 2 i + e] is row 16 (warp % 4) + lane / 4 + 8 i, column 8 j + 2 (lane % 4) + e
 * (9.7.15.5.1.1). Read before: cuda_tma.h. */
#ifndef FWI_CUDA_WGMMA_H
#define FWI_CUDA_WGMMA_H

#include "cuda_tma.h"

namespace fwi_cuda
{

/* Matrix descriptor (9.7.15.5.1.2.2): address, offsets and swizzle of an operand in rows of ROW bytes
 * (32, 64 or 128, swizzled over as many), as bulk copies leave it where the part begins on a boundary of
 * 8 ROW bytes. Of a K-major operand a row is one m (or n) with ROW / 2 places of k, and `stride` is from 8
 * rows to the next 8. Of an MN-major one a row is one k with ROW / 2 places of m, `stride` is from 8 rows to
 * the next 8, and `leading` from ROW / 2 places of m to the next as many (9.7.15.5.1.2.1, canonical
 * layouts). */
template <int ROW> static __device__ inline uint64_t operand(uint32_t address, uint32_t leading)
{
    static_assert(ROW == 32 || ROW == 64 || ROW == 128, "a swizzle's width");
    const uint64_t mode = ROW == 128 ? 1 : ROW == 64 ? 2 : 3, stride = 8 * ROW;
    return (uint64_t)((address & 0x3FFFFu) >> 4) | (uint64_t)((leading & 0x3FFFFu) >> 4) << 16 |
           stride >> 4 << 32 | mode << 62;
}

} // namespace fwi_cuda

#ifndef FWI_CUDA_EMULATED

namespace fwi_cuda
{

/* wgmma.fence (9.7.15.7.1): registers that were written are seen by the products that follow. */
static __device__ inline void wgmma_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

/* wgmma.commit_group, wgmma.wait_group (9.7.15.7.2, 3): the products since the last commit are one
 * group; waits until no more than LEFT groups are under way. */
static __device__ inline void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int LEFT> static __device__ inline void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

/* The compiler keeps reads of the sums behind a wait. */
template <int N> static __device__ inline void wgmma_settle(float (&d)[N])
{
    FWI_UNROLL
    for (int i = 0; i < N; i++)
        asm volatile("" : "+f"(d[i])::"memory");
}

/* wgmma.mma_async (9.7.15.5.2): d += a b, in f32, of 16 places of k; keep_sums 0: d = a b, whatever d was.
 * MN_MAJOR: both operands are. */
#define FWI_D4(i)  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define FWI_D16(i) FWI_D4(i), FWI_D4(i + 4), FWI_D4(i + 8), FWI_D4(i + 12)

#define FWI_R0  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define FWI_R16 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define FWI_R32 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define FWI_R48 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define FWI_R64 "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"
#define FWI_R80 "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define FWI_R96                                                                                    \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111"
#define FWI_R112                                                                                   \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, "   \
    "%127"
#define FWI_WGMMA(n, type, registers, a, b, keep, trans, ...)                                      \
    asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %" #keep ", 0;\n\t"                         \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type " {" registers    \
                 "}, %" #a ", %" #b ", p, 1, 1, %" #trans ", %" #trans ";\n\t}"                    \
                 : __VA_ARGS__                                                                     \
                 : "l"(at), "l"(bt), "r"(keep_sums), "n"(MN_MAJOR ? 1 : 0))

template <class T, int N, bool MN_MAJOR> struct wgmma;

/* a, b, keep, trans: numbers of the operands behind the n / 2 sums. */
#define FWI_WGMMA_TYPE(T, type, n, registers, a, b, keep, trans, ...)                              \
    template <bool MN_MAJOR> struct wgmma<T, n, MN_MAJOR> {                                        \
        static __device__ inline void add(float (&d)[n / 2], uint64_t at, uint64_t bt,             \
                                          int keep_sums)                                           \
        {                                                                                          \
            FWI_WGMMA(n, type, registers, a, b, keep, trans, __VA_ARGS__);                         \
        }                                                                                          \
    };
#define FWI_WGMMA_WIDTH(n, registers, a, b, keep, trans, ...)                                      \
    FWI_WGMMA_TYPE(f16, "f16", n, registers, a, b, keep, trans, __VA_ARGS__)                       \
    FWI_WGMMA_TYPE(bf16, "bf16", n, registers, a, b, keep, trans, __VA_ARGS__)

FWI_WGMMA_WIDTH(64, FWI_R0 ", " FWI_R16, 32, 33, 34, 35, FWI_D16(0), FWI_D16(16))
FWI_WGMMA_WIDTH(96, FWI_R0 ", " FWI_R16 ", " FWI_R32, 48, 49, 50, 51, FWI_D16(0), FWI_D16(16),
                FWI_D16(32))
FWI_WGMMA_WIDTH(128, FWI_R0 ", " FWI_R16 ", " FWI_R32 ", " FWI_R48, 64, 65, 66, 67, FWI_D16(0),
                FWI_D16(16), FWI_D16(32), FWI_D16(48))
FWI_WGMMA_WIDTH(192, FWI_R0 ", " FWI_R16 ", " FWI_R32 ", " FWI_R48 ", " FWI_R64 ", " FWI_R80, 96,
                97, 98, 99, FWI_D16(0), FWI_D16(16), FWI_D16(32), FWI_D16(48), FWI_D16(64),
                FWI_D16(80))
FWI_WGMMA_WIDTH(256,
                FWI_R0 ", " FWI_R16 ", " FWI_R32 ", " FWI_R48 ", " FWI_R64 ", " FWI_R80 ", " FWI_R96
                       ", " FWI_R112,
                128, 129, 130, 131, FWI_D16(0), FWI_D16(16), FWI_D16(32), FWI_D16(48), FWI_D16(64),
                FWI_D16(80), FWI_D16(96), FWI_D16(112))

} // namespace fwi_cuda

#endif
#endif
