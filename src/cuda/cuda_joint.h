/* cuda_joint.h: one kernel for the elements of many tensors. A step updates some dozens of them, most of
 * which are smaller than what a GPU does while a kernel starts, so one by one the starts are what it
 * takes. What each call needs travels as the kernel's argument, a table of at most 4000 bytes: every
 * block reads its row where arguments lie, nothing has to be uploaded, and a recorded step keeps it.
 * Each element is computed as it would be alone, by the same code: the same bits. Read before:
 * cuda_kernel.h, fwi_joint in exec.h. */
#ifndef FWI_CUDA_JOINT_H
#define FWI_CUDA_JOINT_H

#include "cuda_kernel.h"

namespace fwi_cuda
{

enum { ARGUMENT_BYTES = 4000, MEMBER_RUN = 4 * EACH }; /* elements of a block */

/* F does what is to be done in one call: by itself it has all that it needs. */
template <class F> struct members {
    static constexpr int MOST =
        (ARGUMENT_BYTES - 2 * (int)sizeof(int)) / (int)(sizeof(F) + 2 * sizeof(int));
    F f[MOST];
    int n[MOST];         /* elements */
    int first[MOST + 1]; /* block of the grid with which it begins */
    int count;
};

template <class F> static __device__ inline int member_of(const members<F> &m, int block)
{
    int low = 0, high = m.count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (m.first[middle] <= block)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

template <class F> static __global__ void each_of_kernel(const __grid_constant__ members<F> m)
{
    const int k = member_of(m, (int)blockIdx.x);
    const F f = m.f[k];
    const int first = ((int)blockIdx.x - m.first[k]) * MEMBER_RUN;
    const int last = m.n[k] - first < MEMBER_RUN ? m.n[k] : first + MEMBER_RUN;
    for (int i = first + (int)threadIdx.x; i < last; i += EACH)
        f(i);
}

/* f(block) for the blocks of one call, whose threads work together. */
template <class F> static __global__ void blocks_of_kernel(const __grid_constant__ members<F> m)
{
    const int k = member_of(m, (int)blockIdx.x);
    const F f = m.f[k];
    f((int)blockIdx.x - m.first[k]);
}

/* As many kernels as it takes tables. make(k) gives the F of call k, size(k) the number of its elements
 * or blocks; RUN: how many of these a block of the grid does. */
template <class F, int RUN, bool TOGETHER, class MAKE, class SIZE>
static inline fw_status launch_members(const fwi_call *calls, int n,
                                       void (*kernel)(const members<F>), const MAKE &make,
                                       const SIZE &size)
{
    fw_status st = FW_OK;
    for (int at = 0; at < n && st == FW_OK;) {
        members<F> m;
        m.count = m.first[0] = 0;
        for (; at < n && m.count < members<F>::MOST; at++, m.count++) {
            m.f[m.count] = make(at);
            m.n[m.count] = size(at);
            m.first[m.count + 1] = m.first[m.count] + (int)blocks_of(m.n[m.count], RUN);
        }
        const dim3 grid((unsigned)m.first[m.count]), block(EACH);
        st = TOGETHER ? launch(calls, kernel, grid, block, m)
                      : launch_alone(calls, kernel, grid, block, m);
    }
    return st;
}

/* f(i) for the elements of each call; f(block) for its blocks of EACH threads. */
template <class F, class MAKE, class SIZE>
static inline fw_status each_of(const fwi_call *calls, int n, const MAKE &make, const SIZE &size)
{
    return launch_members<F, MEMBER_RUN, false>(calls, n, each_of_kernel<F>, make, size);
}
template <class F, class MAKE, class SIZE>
static inline fw_status blocks_of_each(const fwi_call *calls, int n, const MAKE &make,
                                       const SIZE &size)
{
    return launch_members<F, 1, true>(calls, n, blocks_of_kernel<F>, make, size);
}

static inline int elems_of(const fwi_call *c)
{
    return elems(&c->in[0]);
}

/* The two ways of a row whose calls do something with each element of input 0: its run, and its joint's.
 * MAKE gives a call's F. */
template <class F, F (*MAKE)(const fwi_call *)> static fw_status each_alone(const fwi_call *c)
{
    return each(c, elems_of(c), MAKE(c));
}
template <class F, F (*MAKE)(const fwi_call *)>
static fw_status each_joint(const fwi_call *calls, int n)
{
    return each_of<F>(
        calls, n, [calls](int k) { return MAKE(&calls[k]); },
        [calls](int k) { return elems_of(&calls[k]); });
}

/* The same for SIZE blocks in each call. */
template <class F, F (*MAKE)(const fwi_call *), int (*SIZE)(const fwi_call *)>
static fw_status blocks_joint(const fwi_call *calls, int n)
{
    return blocks_of_each<F>(
        calls, n, [calls](int k) { return MAKE(&calls[k]); },
        [calls](int k) { return SIZE(&calls[k]); });
}
template <class F, F (*MAKE)(const fwi_call *), int (*SIZE)(const fwi_call *)>
static fw_status blocks_alone(const fwi_call *c)
{
    return blocks_joint<F, MAKE, SIZE>(c, 1);
}

} // namespace fwi_cuda

#endif
