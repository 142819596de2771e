/* cuda_channels.h: what goes over all rows of a tensor channel by channel: sums, of batch norm's
 * statistics and gradients and of biases, and sweeps, which need numbers of the channel for each row. A
 * thread has the same channels, a pack of them where they are whole packs, in every row that it looks at,
 * so that what it needs of a channel is worked out once.
 *
 * Sums have two passes of fixed form, so that the bits are always the same: blocks sum chunks of rows, cut
 * by shape and type alone, into a table of partial sums; then a thread group per channel adds those in
 * double and finishes. Within a chunk thread `lane` adds every LANES-th row, and the lanes are added by a
 * tree. Read before: cuda_packs.h. */
#ifndef FWI_CUDA_CHANNELS_H
#define FWI_CUDA_CHANNELS_H

#include "cuda_packs.h"

namespace fwi_cuda
{

enum { MOST_ACROSS = 32, MOST_CHUNKS = 512, LANE_ROWS = 8 };
enum { FINISH_CHANNELS = 8, FINISH_LANES = EACH / FINISH_CHANNELS };

/* Rows [groups][rows] of c channels in packs of v. A block is `across` packs by `lanes` rows. */
struct channel_cut {
    int groups, rows, c, v;
    int across, lanes;
    int chunk, chunks; /* of sums: rows, and how many per group */
};

static inline channel_cut cut_of(int groups, int rows, int c, fw_dtype type)
{
    const int pack = 16 / (int)fw_dtype_size(type);
    channel_cut k = {groups, rows, c, c % pack == 0 ? pack : 1, 1, 1, 1, 1};
    while (k.across < MOST_ACROSS && k.across < c / k.v)
        k.across *= 2;
    k.lanes = EACH / k.across;
    const int least = (rows + MOST_CHUNKS - 1) / MOST_CHUNKS, few = k.lanes * LANE_ROWS;
    k.chunk = least > few ? least : few;
    k.chunks = (rows + k.chunk - 1) / k.chunk;
    return k;
}

/* partial[group][chunk][N][c]: as many floats */
static inline size_t channel_room(const channel_cut &k, int n)
{
    return (size_t)k.groups * (size_t)k.chunks * (size_t)n * (size_t)k.c;
}

/* F has for each V
 *   own<V>                                     what it needs of V channels
 *   void start(own<V> &o, int group, int i)    for those from i on
 *   void add(const own<V> &o, int row, int i, float (&sums)[N][V])
 *                                              adds one row's part; rows count through all groups */
template <int V, int N, class F>
static __global__ void channel_sums_kernel(channel_cut k, F f, float *partial)
{
    __shared__ float room[N * V][EACH];
    const int i = ((int)blockIdx.x * k.across + (int)threadIdx.x) * V, lane = (int)threadIdx.y;
    const int t = lane * k.across + (int)threadIdx.x;
    const int group = (int)blockIdx.z, first = (int)blockIdx.y * k.chunk;
    const int last = first + k.chunk < k.rows ? first + k.chunk : k.rows;
    float sums[N][V] = {};
    if (i < k.c) {
        typename F::template own<V> o;
        f.start(o, group, i);
        for (int r = first + lane; r < last; r += k.lanes)
            f.add(o, group * k.rows + r, i, sums);
    }
    for (int s = 0; s < N; s++)
        for (int j = 0; j < V; j++)
            room[s * V + j][t] = sums[s][j];
    __syncthreads();
    for (int half = k.lanes / 2; half > 0; half /= 2) {
        if (lane < half)
            for (int s = 0; s < N * V; s++)
                room[s][t] += room[s][t + half * k.across];
        __syncthreads();
    }
    if (lane == 0 && i < k.c)
        for (int s = 0; s < N; s++)
            for (int j = 0; j < V; j++)
                partial[(((int64_t)group * k.chunks + blockIdx.y) * N + s) * k.c + i + j] =
                    room[s * V + j][t];
}

/* G: `__device__ void operator()(int group, int channel, const double *sums) const` */
template <int N, class G>
static __global__ void channel_finish_kernel(channel_cut k, G g, const float *partial)
{
    __shared__ double room[N][FINISH_LANES][FINISH_CHANNELS];
    const int x = (int)threadIdx.x, lane = (int)threadIdx.y, group = (int)blockIdx.z;
    const int channel = (int)blockIdx.x * FINISH_CHANNELS + x;
    for (int s = 0; s < N; s++) {
        double sum = 0;
        if (channel < k.c)
            for (int i = lane; i < k.chunks; i += FINISH_LANES)
                sum += (double)partial[(((int64_t)group * k.chunks + i) * N + s) * k.c + channel];
        room[s][lane][x] = sum;
    }
    __syncthreads();
    for (int half = FINISH_LANES / 2; half > 0; half /= 2) {
        if (lane < half)
            for (int s = 0; s < N; s++)
                room[s][lane][x] += room[s][lane + half][x];
        __syncthreads();
    }
    if (lane == 0 && channel < k.c) {
        double sums[N];
        for (int s = 0; s < N; s++)
            sums[s] = room[s][0][x];
        g(group, channel, sums);
    }
}

template <int V, int N, class F>
static inline fw_status chunk_sums(const fwi_call *call, const channel_cut &k, const F &f,
                                   float *partial)
{
    return launch(call, channel_sums_kernel<V, N, F>,
                  dim3(blocks_of(k.c, k.across * V), (unsigned)k.chunks, (unsigned)k.groups),
                  dim3((unsigned)k.across, (unsigned)k.lanes), k, f, partial);
}

/* T: the type of what is summed, as k was cut for. */
template <class T, int N, class F, class G>
static inline fw_status channel_sums(const fwi_call *call, const channel_cut &k, const F &f,
                                     const G &g, float *partial)
{
    const fw_status st = k.v == 1 ? chunk_sums<1, N>(call, k, f, partial)
                                  : chunk_sums<pack_of<T>::N, N>(call, k, f, partial);
    if (st != FW_OK)
        return st;
    return launch(call, channel_finish_kernel<N, G>,
                  dim3(blocks_of(k.c, FINISH_CHANNELS), 1, (unsigned)k.groups),
                  dim3(FINISH_CHANNELS, FINISH_LANES), k, g, (const float *)partial);
}

/* ---- sweeps ---- */

/* f.at(o, row, i) in place of add, once for each pack of every row. */
template <int V, class F> static __global__ void sweep_kernel(channel_cut k, int blocks_across, F f)
{
    const int a = (int)blockIdx.x % blocks_across, b = (int)blockIdx.x / blocks_across;
    const int i = (a * k.across + (int)threadIdx.x) * V, group = (int)blockIdx.y;
    const int64_t first = (int64_t)b * k.lanes * LANE_ROWS + threadIdx.y;
    if (i >= k.c || first >= k.rows)
        return;
    const int64_t end = first + (int64_t)k.lanes * LANE_ROWS;
    const int64_t last = end < k.rows ? end : k.rows;
    typename F::template own<V> o;
    f.start(o, group, i);
    for (int64_t r = first; r < last; r += k.lanes)
        f.at(o, group * k.rows + (int)r, i);
}

template <int V, class F>
static inline fw_status sweep_packs(const fwi_call *call, const channel_cut &k, const F &f)
{
    const unsigned across = blocks_of(k.c, k.across * V);
    return launch_alone(call, sweep_kernel<V, F>,
                        dim3(across * blocks_of(k.rows, k.lanes * LANE_ROWS), (unsigned)k.groups),
                        dim3((unsigned)k.across, (unsigned)k.lanes), k, (int)across, f);
}

template <class T, class F>
static inline fw_status sweep(const fwi_call *call, const channel_cut &k, const F &f)
{
    if (k.rows == 0)
        return FW_OK;
    return k.v == 1 ? sweep_packs<1>(call, k, f) : sweep_packs<pack_of<T>::N>(call, k, f);
}

} // namespace fwi_cuda

#endif
