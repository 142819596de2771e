/* emulate.h: CUDA's language on the CPU, as far as src/cuda uses it, so that its .cu files compile
 * as C++17 and every kernel can be held to the reference on any machine, under sanitizers too.
 *
 * A kernel is a function; its blocks run one after the other. The threads of a block are coroutines:
 * each runs until it comes to a barrier or a shuffle and then gives way to the next, so barriers
 * mean what they mean on a GPU, and a barrier that some thread never reaches is found. Threads of a
 * launch that says that they work alone are plain calls. Shared arrays are static ones, full of
 * noise before each block. What this cannot show: races between threads of a warp, memory that is
 * not the host's (t_far.c does that), and speed. */
#ifndef T_EMULATE_H
#define T_EMULATE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__
#define FWI_UNROLL

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

namespace emulated
{
struct indices {
    dim3 thread, block;
};
extern indices now;          /* of the thread that runs */
extern dim3 grid, block_dim; /* of the launch that runs */

/* Barrier of the block; of the warp, which also passes a word from lane to lane. */
void block_barrier();
uint32_t warp_exchange(uint32_t mine, int from_lane);

/* For emulate_hopper.cpp: which thread of its block runs; waiting until reached(arg); and what a wrong
 * program is told: the launch then fails with that sentence. */
int thread_number();
void wait_until(bool (*reached)(const void *arg), const void *arg);
void wrong(const char *what);

/* Of blocks with a room: what they begin with, what may be done when no thread can go on (false: nothing),
 * and what they end with. */
struct machinery {
    void (*begin)();
    bool (*move)();
    void (*end)();
};
extern const machinery *beside;

/* shared_room: full of noise at the beginning of a block. */
enum {
    ROOM_BYTES = 227 * 1024,
    ROOM_AT = 1040
}; /* its address in the shared window: no round one */
unsigned char *room();
extern int room_bytes; /* of the launch that runs */

typedef void (*thread_fn)(const void *arg);
/* Runs every thread of every block. together: they may meet at barriers. false: a barrier was not
 * reached by all, the sentence is set. */
bool run(const char *name, dim3 grid, dim3 block, bool together, thread_fn fn, const void *arg);
} // namespace emulated

#define threadIdx (emulated::now.thread)
#define blockIdx  (emulated::now.block)
#define blockDim  (emulated::block_dim)
#define gridDim   (emulated::grid)

static inline void __syncthreads()
{
    emulated::block_barrier();
}
static inline void __syncwarp(unsigned mask = 0xFFFFFFFFu)
{
    (void)mask;
    (void)emulated::warp_exchange(0, 0);
}

static inline int emulated_lane()
{
    const dim3 &t = threadIdx, &d = blockDim;
    return (int)((t.x + d.x * (t.y + d.y * t.z)) % 32u);
}
static inline float __shfl_xor_sync(unsigned mask, float v, int lane_mask)
{
    (void)mask;
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    u = emulated::warp_exchange(u, emulated_lane() ^ lane_mask);
    memcpy(&v, &u, sizeof v);
    return v;
}
static inline int __shfl_xor_sync(unsigned mask, int v, int lane_mask)
{
    (void)mask;
    return (int)emulated::warp_exchange((uint32_t)v, emulated_lane() ^ lane_mask);
}

namespace fwi_cuda
{

template <class F> static void call_bound(const void *arg)
{
    (*(const F *)arg)();
}

static inline unsigned char *shared_room()
{
    return emulated::room();
}

/* There is one GPU, and all threads are there. */
static inline fw_status use(const fwi_call *)
{
    return FW_OK;
}

template <bool TOGETHER, class... P, class... A>
static inline fw_status launch_emulated(const fwi_call *c, void (*kernel)(P...), dim3 grid,
                                        dim3 block, A... args)
{
    const char *name = fwi_op_info_get(c->kind)->name;
    auto bound = [=]() { kernel(args...); };
    return emulated::run(name, grid, block, TOGETHER, call_bound<decltype(bound)>, &bound)
               ? FW_OK
               : FW_EINTERNAL;
}

template <class... P, class... A>
static inline fw_status launch(const fwi_call *c, void (*kernel)(P...), dim3 grid, dim3 block,
                               A... args)
{
    return launch_emulated<true>(c, kernel, grid, block, args...);
}

template <class... P, class... A>
static inline fw_status launch_alone(const fwi_call *c, void (*kernel)(P...), dim3 grid, dim3 block,
                                     A... args)
{
    return launch_emulated<false>(c, kernel, grid, block, args...);
}

template <class... P, class... A>
static inline fw_status launch_roomy(const fwi_call *c, void (*kernel)(P...), dim3 grid, dim3 block,
                                     int n_bytes, const A &...args)
{
    emulated::room_bytes = n_bytes;
    const fw_status st = launch_emulated<true>(c, kernel, grid, block, args...);
    emulated::room_bytes = 0;
    return st;
}

} // namespace fwi_cuda

#endif
