/* wgmma.cu: convolutions forward, and their gradients by the images, on the tensor cores of Hopper GPUs:
 * implicit products of matrices, [places] x [taps, channels] times [taps, channels] x [filters], sums in
 * f32. Defined in cpu/ref/conv2d_body.h, held to it by tests/ops/test_wgmma.c under emulation and on
 * a GPU.
 *
 * A tile's places are M neighbours in the order n, h, w of the result, whatever the image's size: a copy in
 * im2col mode goes on over the ends of lines and images by itself and gives zeros for what is padding, so
 * that images of 31, 15 or 7 waste nothing. (Parts of a fixed width and height, the other mode, would be
 * filled to three quarters at 7 x 7, and to half at 3 x 3.) The places behind the last image read as
 * zeros and are not stored.
 *
 * The gradient by the images is the same kernel: dy takes the place of x, and the filters are turned by
 * 180 degrees with their two channels exchanged, which is done while they are rounded to 16 bits, as they
 * must be anyway. Read before: cuda_conv_tiles.h. */
#include "cuda_conv_tiles.h"
#include "cuda_packs.h"

namespace fwi_cuda
{
namespace
{

struct conv_steps {
    int places, oh, ow; /* of the result */
    int k, pad;         /* k x k taps, the first window begins at -pad */
    int chunks, slabs;  /* of a tap's channels, and in all */
    int filters;        /* channels of the result */
};

#if FWI_HOPPER

/* A stage: the tile's places at SLABS slabs of (tap, channels), and the tile's filters there. Slabs behind
 * the last one are outside of both tensors: zeros. */
template <class TILE> struct load_stage {
    const fwi_tensor_map *images, *filters;
    conv_steps s;
    int w, h, n, filter; /* where the tile's first window begins; its first filter */
    __device__ void operator()(uint32_t stage, uint32_t barrier, int step) const
    {
        FWI_UNROLL
        for (int i = 0; i < TILE::SLABS; i++) {
            const int slab = step * TILE::SLABS + i, in_range = slab < s.slabs;
            const int tap = in_range ? slab / s.chunks : 0;
            const int c = (in_range ? slab % s.chunks : s.chunks) * TILE::CHUNK;
            copy_pixels(stage + i * TILE::M * TILE::ROW, images, barrier, c, w, h, n, tap % s.k,
                        tap / s.k);
            copy_part_3d(stage + TILE::A_BYTES + i * TILE::N * TILE::ROW, filters, barrier, c, tap,
                         filter);
        }
    }
};

/* Both operands are K-major: 16 places of k are 32 bytes of each row. */
template <class T, class TILE> struct multiply_stage {
    __device__ void operator()(float (&sums)[TILE::M_BLOCKS][TILE::N / 2], uint32_t stage,
                               int group, int keep_sums) const
    {
        FWI_UNROLL
        for (int i = 0; i < TILE::SLABS * TILE::CHUNK / 16; i++) {
            const uint32_t slab = i * 16 / TILE::CHUNK, k = i % (TILE::CHUNK / 16) * 32;
            FWI_UNROLL
            for (int m = 0; m < TILE::M_BLOCKS; m++) {
                const uint32_t row = slab * TILE::M + (group * TILE::M_BLOCKS + m) * 64;
                const uint32_t b = stage + TILE::A_BYTES + slab * TILE::N * TILE::ROW;
                wgmma<T, TILE::N, false>::add(sums[m],
                                              operand<TILE::ROW>(stage + row * TILE::ROW + k, 16),
                                              operand<TILE::ROW>(b + k, 16), i > 0 ? 1 : keep_sums);
            }
        }
    }
};

static __device__ inline uint32_t pick(const uint32_t (&v)[4], int i)
{
    const uint32_t low = (i & 1) != 0 ? v[1] : v[0], high = (i & 1) != 0 ? v[3] : v[2];
    return (i & 2) != 0 ? high : low;
}

/* Four lanes have a pair of each of four parts of a row: afterwards each has one part whole, lane l part l. */
static __device__ inline quad exchange(const uint32_t (&mine)[4], int lane)
{
    uint32_t come[4];
    come[0] = pick(mine, lane);
    FWI_UNROLL
    for (int r = 1; r < 4; r++) /* lane `lane ^ r` wants that part of this one */
        come[r] = (uint32_t)__shfl_xor_sync(0xFFFFFFFFu, (int)pick(mine, lane ^ r), r);
    quad whole;
    FWI_UNROLL
    for (int j = 0; j < 4; j++) /* from lane j */
        whole.w[j] = pick(come, lane ^ j);
    return whole;
}

/* Rows of sums, rounded, to the image: 16 bytes a lane, four lanes beside each other. */
template <class T, class TILE>
static __device__ inline void store_sums(const float (&sums)[TILE::M_BLOCKS][TILE::N / 2],
                                         const conv_steps &s, int first_place, int first_filter,
                                         T *y)
{
    const int lane = (int)threadIdx.x % 4;
    FWI_UNROLL
    for (int half = 0; half < 2 * TILE::M_BLOCKS; half++) {
        const int m = half / 2, i = half % 2, place = first_place + row_of<TILE>(m, i);
        FWI_UNROLL
        for (int part = 0; part < TILE::N / 32; part++) {
            uint32_t mine[4];
            FWI_UNROLL
            for (int j = 0; j < 4; j++) {
                const int at = 4 * (4 * part + j) + 2 * i;
                mine[j] = pair_of((const T *)nullptr, sums[m][at], sums[m][at + 1]);
            }
            const quad whole = exchange(mine, lane);
            const int filter = first_filter + 32 * part + 8 * lane;
            if (place < s.places && filter < s.filters)
                *(quad *)(y + (int64_t)place * s.filters + filter) = whole;
        }
    }
}

#endif

template <class T, class TILE>
static __global__ void __launch_bounds__(TILE::THREADS, TILE::RESIDENT)
    conv_kernel(const __grid_constant__ fwi_tensor_map images,
                const __grid_constant__ fwi_tensor_map filters, const conv_steps s, T *y)
{
#if FWI_HOPPER
    const int place = (int)blockIdx.x * TILE::M, filter = (int)blockIdx.y * TILE::N;
    const load_stage<TILE> load = {&images,
                                   &filters,
                                   s,
                                   place % s.ow - s.pad,
                                   place / s.ow % s.oh - s.pad,
                                   place / s.ow / s.oh,
                                   filter};
    float sums[TILE::M_BLOCKS][TILE::N / 2];
    if (run_ring<TILE>((s.slabs + TILE::SLABS - 1) / TILE::SLABS, load, multiply_stage<T, TILE>{},
                       sums))
        store_sums<T, TILE>(sums, s, place, filter, y);
#else
    (void)images, (void)filters, (void)s, (void)y;
    __trap(); /* no row takes a call here */
#endif
}

/* ---- filters as the kernel wants them: [filters][taps][channels], rounded ---- */

template <class T> struct rounded_filters {
    const float *from;
    T *to;
    __device__ void operator()(int i) const
    {
        put(to, i, from[i]);
    }
};

/* to[c][taps - 1 - t][oc] = from[oc][t][c], by squares through shared memory so that both are read and
 * written along memory. */
enum { SQUARE = 32, SQUARE_LINES = 8 };
template <class T>
static __global__ void turned_filters(int taps, int c, int oc, const float *from, T *to)
{
    __shared__ float square[SQUARE][SQUARE + 1];
    const int x = (int)threadIdx.x, tap = (int)blockIdx.z;
    const int c0 = (int)blockIdx.x * SQUARE, oc0 = (int)blockIdx.y * SQUARE;
    for (int y = (int)threadIdx.y; y < SQUARE; y += SQUARE_LINES)
        if (oc0 + y < oc && c0 + x < c)
            square[y][x] = from[((int64_t)(oc0 + y) * taps + tap) * c + c0 + x];
    __syncthreads();
    for (int y = (int)threadIdx.y; y < SQUARE; y += SQUARE_LINES)
        if (c0 + y < c && oc0 + x < oc)
            put(to, ((int64_t)(c0 + y) * taps + taps - 1 - tap) * oc + oc0 + x, square[x][y]);
}

/* ---- calls ---- */

static size_t filter_room(const fwi_call *c)
{
    return operand_bytes(elems(&c->in[1])) + OPERAND_ALIGN;
}

template <class T> static fw_status prepare_filters(const fwi_call *c, const conv_walk &v, T *to)
{
    const float *from = in<float>(c, 1);
    if (c->kind == FWI_OP_conv2d)
        return each(c, elems(&c->in[1]), rounded_filters<T>{from, to});
    return launch(c, turned_filters<T>,
                  dim3(blocks_of(v.c, SQUARE), blocks_of(v.oc, SQUARE), (unsigned)(v.k * v.k)),
                  dim3(SQUARE, SQUARE_LINES), v.k * v.k, (int)v.c, (int)v.oc, from, to);
}

template <class T, class TILE> static fw_status conv(const fwi_call *c)
{
    conv_walk v;
    if (!walk_of(c, &v))
        return fwi_fail(FW_EINTERNAL, "%s: a shape that it does not fit", TILE::engine());
    const bool dx = c->kind == FWI_OP_conv2d_dx;
    const int64_t oh = dx ? v.h : v.oh, ow = dx ? v.w : v.ow, filters = dx ? v.c : v.oc;
    const int64_t channels = dx ? v.oc : v.c;
    const int pad = dx ? v.k - 1 - v.before : v.before, after = dx ? v.k - 1 - v.after : v.after;
    T *const w = (T *)(((uintptr_t)c->scratch + OPERAND_ALIGN - 1) / OPERAND_ALIGN * OPERAND_ALIGN);
    fwi_map_spec images = {}, taps = {};
    images.data = c->in[0].data;
    images.dtype = taps.dtype = storage<T>::dtype;
    images.rank = 4;
    images.size[0] = channels, images.size[1] = dx ? v.ow : v.w;
    images.size[2] = dx ? v.oh : v.h, images.size[3] = v.n;
    images.swizzle = taps.swizzle = TILE::ROW;
    images.im2col = true;
    images.box[0] = TILE::CHUNK, images.box[1] = TILE::M;
    for (int i = 0; i < 2; i++) {
        images.lower[i] = -pad;
        images.upper[i] = after - (v.k - 1);
    }
    taps.data = w;
    taps.rank = 3;
    taps.size[0] = channels, taps.size[1] = v.k * v.k, taps.size[2] = filters;
    taps.box[0] = TILE::CHUNK, taps.box[1] = 1, taps.box[2] = TILE::N;
    const int chunks = (int)(padded(channels, TILE::CHUNK) / TILE::CHUNK);
    const conv_steps s = {(int)(v.n * oh * ow), (int)oh,     (int)ow, v.k, pad, chunks,
                          chunks * v.k * v.k,   (int)filters};
    if ((uintptr_t)c->out[0].data % 16 != 0)
        return fwi_fail(FW_EINTERNAL, "%s: a result at %p, not on a boundary of 16 bytes",
                        TILE::engine(), c->out[0].data);
    fwi_tensor_map image_map, filter_map;
    fw_status st = make_map(c, &image_map, &images);
    if (st == FW_OK)
        st = make_map(c, &filter_map, &taps);
    if (st == FW_OK)
        st = prepare_filters<T>(c, v, w);
    if (st != FW_OK)
        return st;
    return launch_roomy(c, conv_kernel<T, TILE>,
                        dim3(blocks_of(s.places, TILE::M), blocks_of(s.filters, TILE::N)),
                        dim3(TILE::THREADS), TILE::SHARED, image_map, filter_map, s, out<T>(c, 0));
}

template <class TILE> static bool fits_tile(const fwi_call *c)
{
    conv_walk v;
    if ((c->kind != FWI_OP_conv2d && c->kind != FWI_OP_conv2d_dx) || !walk_of(c, &v))
        return false;
    const bool dx = c->kind == FWI_OP_conv2d_dx;
    return chunk_fits(dx ? v.oc : v.c, TILE::CHUNK) &&
           (TILE::N == 64 || (dx ? v.c : v.oc) > TILE::N / 2);
}

/* M, N, CHUNK: blocks of 64 rows a warpgroup, warpgroups, stages, blocks on a multiprocessor */
#define TILES(TILE)                                                                                \
    TILE(128, 64, 64, 1, 2, 4, 2)                                                                  \
    TILE(256, 64, 64, 2, 2, 5, 1)                                                                  \
    TILE(128, 128, 64, 1, 2, 3, 2)                                                                 \
    TILE(256, 128, 64, 2, 2, 4, 1)                                                                 \
    TILE(128, 256, 64, 1, 2, 4, 1)                                                                 \
    TILE(128, 64, 32, 1, 2, 4, 2)                                                                  \
    TILE(256, 64, 32, 2, 2, 5, 1)                                                                  \
    TILE(128, 128, 32, 1, 2, 3, 2)                                                                 \
    TILE(128, 64, 16, 1, 2, 4, 2)
TILES(FWI_CONV_TILE)

} // namespace

#define TYPE_ROW(op, type, text, t, m, n, chunk)                                                   \
    {                                                                                              \
        FWI_OP_##op, type, conv<t, FWI_CONV_TILE_NAME(m, n, chunk)>, filter_room,                  \
            accepts<FWI_CONV_TILE_NAME(m, n, chunk)>, #op "_" text "_wgmma_" #m "x" #n "x" #chunk, \
            true, nullptr                                                                          \
    }
#define TILE_ROWS(m, n, chunk, ...)                                                                \
    TYPE_ROW(conv2d, FW_BF16, "bf16", bf16, m, n, chunk),                                          \
        TYPE_ROW(conv2d, FW_F16, "f16", f16, m, n, chunk),                                         \
        TYPE_ROW(conv2d_dx, FW_BF16, "bf16", bf16, m, n, chunk),                                   \
        TYPE_ROW(conv2d_dx, FW_F16, "f16", f16, m, n, chunk),
#define TILE_ENGINES(m, n, chunk, ...)                                                             \
    FWI_CONV_ENGINE(m, n, chunk), FWI_CONV_ENGINE(m, n, chunk), FWI_CONV_ENGINE(m, n, chunk),      \
        FWI_CONV_ENGINE(m, n, chunk),
extern "C" const fwi_kernel FWI_CUDA_ROWS(wgmma)[] = {TILES(TILE_ROWS) ROW_END};
extern const engine FWI_OWN_ENGINES(wgmma)[] = {TILES(TILE_ENGINES){nullptr, nullptr}};

} // namespace fwi_cuda
