/* cuda_channels.h: sums over all rows of a tensor for each channel: of batch norm's statistics and
 * gradients, and of biases. Two passes of fixed form, so that the bits are always the same: blocks
 * sum chunks of rows, cut by the shape alone, into a table of partial sums; then one thread group
 * per channel adds those in double and finishes. Read before: cuda_kernel.h. */
#ifndef FWI_CUDA_CHANNELS_H
#define FWI_CUDA_CHANNELS_H

#include "cuda_kernel.h"

namespace fwi_cuda
{

enum { CHANNELS = 32, LANES = 8, MOST_CHUNKS = 256, LEAST_ROWS = 256 };

/* Rows [groups][rows] of c channels; chunks per group. */
struct channel_cut {
    int groups, rows, c, chunk, chunks;
};

static inline channel_cut cut_of(int groups, int rows, int c)
{
    const int least = (rows + MOST_CHUNKS - 1) / MOST_CHUNKS;
    const int chunk = least > LEAST_ROWS ? least : LEAST_ROWS;
    return channel_cut{groups, rows, c, chunk, (rows + chunk - 1) / chunk};
}

/* partial[group][chunk][N][c]: as many floats */
static inline size_t channel_room(const channel_cut &k, int n)
{
    return (size_t)k.groups * (size_t)k.chunks * (size_t)n * (size_t)k.c;
}

/* F: `__device__ void operator()(int row, int channel, float *sums) const` adds one row's part to
 * N sums; rows count through all groups. */
template <int N, class F>
static __global__ void channel_sums_kernel(channel_cut k, F f, float *partial)
{
    __shared__ float room[LANES][CHANNELS];
    const int channel = (int)(blockIdx.x * CHANNELS + threadIdx.x), lane = (int)threadIdx.y;
    const int group = (int)blockIdx.z, first = (int)blockIdx.y * k.chunk;
    const int last = first + k.chunk < k.rows ? first + k.chunk : k.rows;
    float sums[N] = {0};
    if (channel < k.c)
        for (int r = first + lane; r < last; r += LANES)
            f(group * k.rows + r, channel, sums);
    for (int s = 0; s < N; s++) {
        room[lane][threadIdx.x] = sums[s];
        __syncthreads();
        for (int half = LANES / 2; half > 0; half /= 2) {
            if (lane < half)
                room[lane][threadIdx.x] += room[lane + half][threadIdx.x];
            __syncthreads();
        }
        if (lane == 0 && channel < k.c)
            partial[(((int64_t)group * k.chunks + blockIdx.y) * N + s) * k.c + channel] =
                room[0][threadIdx.x];
        __syncthreads();
    }
}

/* G: `__device__ void operator()(int group, int channel, const double *sums) const` */
template <int N, class G>
static __global__ void channel_finish_kernel(channel_cut k, G g, const float *partial)
{
    __shared__ double room[LANES][CHANNELS];
    const int channel = (int)(blockIdx.x * CHANNELS + threadIdx.x), lane = (int)threadIdx.y;
    const int group = (int)blockIdx.z;
    double sums[N];
    for (int s = 0; s < N; s++) {
        double sum = 0;
        if (channel < k.c)
            for (int i = lane; i < k.chunks; i += LANES)
                sum += (double)partial[(((int64_t)group * k.chunks + i) * N + s) * k.c + channel];
        room[lane][threadIdx.x] = sum;
        __syncthreads();
        for (int half = LANES / 2; half > 0; half /= 2) {
            if (lane < half)
                room[lane][threadIdx.x] += room[lane + half][threadIdx.x];
            __syncthreads();
        }
        sums[s] = room[0][threadIdx.x];
        __syncthreads();
    }
    if (lane == 0 && channel < k.c)
        g(group, channel, sums);
}

template <int N, class F, class G>
static inline fw_status channel_sums(const fwi_call *call, const channel_cut &k, const F &f,
                                     const G &g, float *partial)
{
    const unsigned across = blocks_of(k.c, CHANNELS);
    const fw_status st = launch(call, channel_sums_kernel<N, F>,
                                dim3(across, (unsigned)k.chunks, (unsigned)k.groups),
                                dim3(CHANNELS, LANES), k, f, partial);
    if (st != FW_OK)
        return st;
    return launch(call, channel_finish_kernel<N, G>, dim3(across, 1, (unsigned)k.groups),
                  dim3(CHANNELS, LANES), k, g, (const float *)partial);
}

} // namespace fwi_cuda

#endif
