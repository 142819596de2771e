/* wgmma_dw.cu: the gradient of a convolution by its filters on the tensor cores of Hopper GPUs: an implicit
 * product [filters] x [places] times [places] x [taps, channels], sums in f32. Defined in
 * cpu/ref/conv2d_body.h, held to it by tests/ops/test_wgmma.c under emulation and on a GPU.
 *
 * The inner axis is places of dy, and both operands lie in memory with their other axis innermost:
 * channels. So both are MN-major: a stage is 64 places, which one copy brings as 64 rows of channels, of
 * dy in tiled mode and, for each tap, of the images in im2col mode, whose windows are dy's places in
 * the same order. Places behind the last image are zeros in both.
 *
 * Places are cut into runs by the shape and the tile alone; a block adds up one run, and a second kernel
 * adds the runs' sums in their order, in double: the same bits every time. Read before: wgmma.cu. */
#include "cuda_conv_tiles.h"

namespace fwi_cuda
{
namespace
{

struct dw_steps {
    int oh, ow;              /* places of dy */
    int k, pad;              /* k x k taps, the first window begins at -pad */
    int c, chunks, blocks;   /* blocks: of a tap's channels, in all */
    int filters, steps, run; /* steps of 64 places: in all, and of one run */
};

#if FWI_HOPPER

enum { DY_SLAB = KSTEP * 128 }; /* bytes of 64 filters at 64 places */

template <class TILE> struct load_stage {
    const fwi_tensor_map *dy, *images;
    dw_steps s;
    int first, filter,
        block; /* the run's first step; the tile's first filter and block of channels */
    __device__ void operator()(uint32_t stage, uint32_t barrier, int step) const
    {
        const int place = (first + step) * KSTEP;
        const int w = place % s.ow - s.pad, h = place / s.ow % s.oh - s.pad,
                  n = place / s.ow / s.oh;
        FWI_UNROLL
        for (int i = 0; i < TILE::M / 64; i++)
            copy_part_2d(stage + i * DY_SLAB, dy, barrier, filter + 64 * i, place);
        FWI_UNROLL
        for (int i = 0; i < TILE::N / TILE::CHUNK; i++) {
            const int at = block + i, in_range = at < s.blocks; /* behind the last: zeros */
            const int tap = in_range ? at / s.chunks : 0;
            const int c = (in_range ? at % s.chunks : s.chunks) * TILE::CHUNK;
            copy_pixels(stage + TILE::A_BYTES + i * KSTEP * TILE::ROW, images, barrier, c, w, h, n,
                        tap % s.k, tap / s.k);
        }
    }
};

/* 16 places are 16 rows of both operands; 64 filters are one slab, and CHUNK channels are. */
template <class T, class TILE> struct multiply_stage {
    __device__ void operator()(float (&sums)[TILE::M_BLOCKS][TILE::N / 2], uint32_t stage,
                               int group, int keep_sums) const
    {
        FWI_UNROLL
        for (int i = 0; i < KSTEP / 16 * TILE::M_BLOCKS; i++) {
            const uint32_t k = i / TILE::M_BLOCKS * 16, m = i % TILE::M_BLOCKS;
            wgmma<T, TILE::N, true>::add(
                sums[m],
                operand<128>(stage + (group * TILE::M_BLOCKS + m) * DY_SLAB + k * 128, DY_SLAB),
                operand<TILE::ROW>(stage + TILE::A_BYTES + k * TILE::ROW, KSTEP * TILE::ROW),
                k > 0 ? 1 : keep_sums);
        }
    }
};

struct __attribute__((__may_alias__, __aligned__(8))) float_pair {
    float low, high;
};

#endif

template <class T, class TILE>
static __global__ void __launch_bounds__(TILE::THREADS, TILE::RESIDENT)
    dw_kernel(const __grid_constant__ fwi_tensor_map dy,
              const __grid_constant__ fwi_tensor_map images, const dw_steps s, float *part)
{
#if FWI_HOPPER
    constexpr int TILE_BLOCKS = TILE::N / TILE::CHUNK;
    const int first = (int)blockIdx.z * s.run, left = s.steps - first;
    const int filter = (int)blockIdx.x * TILE::M, block = (int)blockIdx.y * TILE_BLOCKS;
    const load_stage<TILE> load = {&dy, &images, s, first, filter, block};
    float sums[TILE::M_BLOCKS][TILE::N / 2];
    if (!run_ring<TILE>(left < s.run ? left : s.run, load, multiply_stage<T, TILE>{}, sums))
        return;
    const int column = (int)threadIdx.x % 4 * 2, taps = s.k * s.k;
    part += (int64_t)blockIdx.z * s.filters * taps * s.c;
    FWI_UNROLL
    for (int j = 0; j < TILE::N / 8; j++) {
        const int at = block + 8 * j / TILE::CHUNK;
        const int c = at % s.chunks * TILE::CHUNK + 8 * j % TILE::CHUNK + column;
        const int tap = at / s.chunks;
        FWI_UNROLL
        for (int half = 0; half < 2 * TILE::M_BLOCKS; half++) {
            const int m = half / 2, i = half % 2, row = filter + row_of<TILE>(m, i);
            if (row < s.filters && tap < taps && c < s.c)
                *(float_pair *)(part + ((int64_t)row * taps + tap) * s.c + c) =
                    float_pair{sums[m][4 * j + 2 * i], sums[m][4 * j + 2 * i + 1]};
        }
    }
#else
    (void)dy, (void)images, (void)s, (void)part;
    __trap(); /* no row takes a call here */
#endif
}

/* ---- calls ---- */

/* About as many blocks as a large GPU holds at once, and runs of 4 steps at least. */
template <class TILE> static dw_steps steps_of(const conv_walk &v)
{
    enum { LEAST = 4, MULTIPROCESSORS = 132 };
    const int chunks = (int)(padded(v.c, TILE::CHUNK) / TILE::CHUNK), blocks = chunks * v.k * v.k;
    const int steps = (int)((v.n * v.oh * v.ow + KSTEP - 1) / KSTEP);
    const int tiles =
        (int)(blocks_of(v.oc, TILE::M) * blocks_of((int64_t)blocks * TILE::CHUNK, TILE::N));
    const int room = TILE::RESIDENT * MULTIPROCESSORS / tiles, runs = room < 1 ? 1 : room;
    const int share = (steps + runs - 1) / runs;
    return dw_steps{(int)v.oh, (int)v.ow, v.k,       v.before, (int)v.c,
                    chunks,    blocks,    (int)v.oc, steps,    share < LEAST ? LEAST : share};
}

template <class TILE> static size_t parts_room(const fwi_call *c)
{
    conv_walk v;
    if (!walk_of(c, &v))
        return 0;
    const dw_steps s = steps_of<TILE>(v);
    return (size_t)blocks_of(s.steps, s.run) * (size_t)elems(&c->out[0]) * sizeof(float);
}

template <class T, class TILE> static fw_status conv_dw(const fwi_call *c)
{
    conv_walk v;
    if (!walk_of(c, &v))
        return fwi_fail(FW_EINTERNAL, "%s: a shape that it does not fit", TILE::engine());
    const dw_steps s = steps_of<TILE>(v);
    const int runs = (int)blocks_of(s.steps, s.run), size = elems(&c->out[0]);
    float *const part = (float *)c->scratch;
    fwi_map_spec images = {}, dy = {};
    dy.data = c->in[1].data;
    dy.dtype = images.dtype = storage<T>::dtype;
    dy.rank = 2;
    dy.size[0] = v.oc, dy.size[1] = v.n * v.oh * v.ow;
    dy.swizzle = 128;
    dy.box[0] = 64, dy.box[1] = KSTEP;
    images.data = c->in[0].data;
    images.rank = 4;
    images.size[0] = v.c, images.size[1] = v.w, images.size[2] = v.h, images.size[3] = v.n;
    images.swizzle = TILE::ROW;
    images.im2col = true;
    images.box[0] = TILE::CHUNK, images.box[1] = KSTEP;
    for (int i = 0; i < 2; i++) {
        images.lower[i] = -v.before;
        images.upper[i] = v.after - (v.k - 1);
    }
    fwi_tensor_map dy_map, image_map;
    fw_status st = make_map(c, &dy_map, &dy);
    if (st == FW_OK)
        st = make_map(c, &image_map, &images);
    if (st == FW_OK)
        st = launch_roomy(c, dw_kernel<T, TILE>,
                          dim3(blocks_of(v.oc, TILE::M),
                               blocks_of((int64_t)s.blocks * TILE::CHUNK, TILE::N), (unsigned)runs),
                          dim3(TILE::THREADS), TILE::SHARED, dy_map, image_map, s, part);
    if (st != FW_OK)
        return st;
    return each(c, size, sum_of_parts{part, out<float>(c, 0), runs, size});
}

template <class TILE> static bool fits_tile(const fwi_call *c)
{
    conv_walk v;
    return c->kind == FWI_OP_conv2d_dw && walk_of(c, &v) && chunk_fits(v.c, TILE::CHUNK) &&
           (TILE::M == 64 || v.oc > TILE::M / 2);
}

/* M filters by N columns, CHUNK: as in wgmma.cu. Of nine taps by 64 or 32 channels, tiles of three
 * blocks of channels waste nothing. */
#define TILES(TILE)                                                                                \
    TILE(64, 192, 64, 1, 1, 3, 2)                                                                  \
    TILE(128, 128, 64, 1, 2, 3, 2)                                                                 \
    TILE(128, 192, 64, 1, 2, 5, 1)                                                                 \
    TILE(256, 128, 64, 2, 2, 4, 1)                                                                 \
    TILE(128, 256, 64, 1, 2, 4, 1)                                                                 \
    TILE(64, 96, 32, 1, 1, 5, 2)                                                                   \
    TILE(128, 96, 32, 1, 2, 3, 2)                                                                  \
    TILE(64, 64, 16, 1, 1, 6, 2)
TILES(FWI_CONV_TILE)

} // namespace

#define TYPE_ROW(op, type, text, t, m, n, chunk)                                                   \
    {                                                                                              \
        FWI_OP_##op, type, conv_dw<t, FWI_CONV_TILE_NAME(m, n, chunk)>,                            \
            parts_room<FWI_CONV_TILE_NAME(m, n, chunk)>, accepts<FWI_CONV_TILE_NAME(m, n, chunk)>, \
            #op "_" text "_wgmma_" #m "x" #n "x" #chunk, true, nullptr                             \
    }
#define TILE_ROWS(m, n, chunk, ...)                                                                \
    TYPE_ROW(conv2d_dw, FW_BF16, "bf16", bf16, m, n, chunk),                                       \
        TYPE_ROW(conv2d_dw, FW_F16, "f16", f16, m, n, chunk),
#define TILE_ENGINES(m, n, chunk, ...) FWI_CONV_ENGINE(m, n, chunk), FWI_CONV_ENGINE(m, n, chunk),
extern "C" const fwi_kernel FWI_CUDA_ROWS(wgmma_dw)[] = {TILES(TILE_ROWS) ROW_END};
extern const engine FWI_OWN_ENGINES(wgmma_dw)[] = {TILES(TILE_ENGINES){nullptr, nullptr}};

} // namespace fwi_cuda
