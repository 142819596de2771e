/* cuda_conv_tiles.h: what our convolutions on Hopper's tensor cores share: tiles, the ring of stages
 * between the warp that has operands copied and the warpgroups that multiply them, and the rows of the
 * table. Read before: cuda_wgmma.h, cuda_own_conv.h. Read next: wgmma.cu, wgmma_dw.cu.
 *
 * A block makes M x N sums. GROUPS warpgroups of 128 threads multiply, each 64 * M_BLOCKS rows of the tile
 * by all of its columns; one warp more has the operands copied, 64 places of k a stage, as far ahead as
 * there are stages. In shared memory an operand's stage is a row of slabs: parts as one copy brings
 * them, rows of CHUNK channels swizzled over 2 CHUNK bytes, so CHUNK is 64, 32 or 16, as the channels ask
 * for. One tile per block: those that are resident side by side fill each other's beginnings and ends,
 * which is why tiles that are not the largest leave room for two in a multiprocessor. */
#ifndef FWI_CUDA_CONV_TILES_H
#define FWI_CUDA_CONV_TILES_H

#include "cuda_own_conv.h"
#include "cuda_wgmma.h"

namespace fwi_cuda
{

enum { KSTEP = 64 }; /* places of k a stage */

template <int M_BLOCKS_, int GROUPS_, int N_, int CHUNK_, int STAGES_, int RESIDENT_>
struct conv_tile {
    static constexpr int M_BLOCKS = M_BLOCKS_, GROUPS = GROUPS_, N = N_, CHUNK = CHUNK_;
    static constexpr int STAGES = STAGES_, RESIDENT = RESIDENT_; /* RESIDENT: blocks on an SM */
    static constexpr int M = 64 * M_BLOCKS * GROUPS, THREADS = 128 * GROUPS + 32;
    static constexpr int ROW = 2 * CHUNK, SLABS = KSTEP / CHUNK;
    static constexpr int A_BYTES = M * KSTEP * 2, B_BYTES = N * KSTEP * 2;
    static constexpr int STAGE_BYTES = A_BYTES + B_BYTES;
    /* the largest pattern of a swizzle is 1024 bytes; two barriers of 8 bytes a stage */
    static constexpr int SHARED = 1024 + STAGES * (STAGE_BYTES + 16);
    static_assert(RESIDENT * (SHARED + 1024) <= 228 * 1024, "shared memory of a multiprocessor");
    static_assert(RESIDENT > 1 || SHARED <= 227 * 1024, "shared memory of a block");
};

/* Padded to whole chunks; a tile is for the largest chunk that pads least. */
static inline int64_t padded(int64_t channels, int chunk)
{
    return (channels + chunk - 1) / chunk * chunk;
}
static inline bool chunk_fits(int64_t channels, int chunk)
{
    int best = 64;
    for (int smaller = 32; smaller >= 16; smaller /= 2)
        if (padded(channels, smaller) < padded(channels, best))
            best = smaller;
    return chunk == best;
}

#if FWI_HOPPER

/* Steps of a block's ring: which stage, and how often the ring has been gone round. */
struct ring_place {
    int slot, round;
};
template <class TILE> static __device__ inline void go_on(ring_place &p)
{
    if (++p.slot == TILE::STAGES) {
        p.slot = 0;
        p.round ^= 1;
    }
}

/* All of a block's steps. LOAD: `void operator()(uint32_t stage, uint32_t barrier, int step) const` has
 * STAGE_BYTES copied; MULTIPLY: `void operator()(float (&sums)[M_BLOCKS][N / 2], uint32_t stage, int group, int
 * keep_sums) const` adds a stage's products, to nothing in the first step. false: this thread has no sums. */
template <class TILE, class LOAD, class MULTIPLY>
static __device__ inline bool run_ring(int steps, const LOAD &load, const MULTIPLY &multiply,
                                       float (&sums)[TILE::M_BLOCKS][TILE::N / 2])
{
    const uint32_t stages = (shared_address(shared_room()) + 1023u) & ~1023u;
    const uint32_t full = stages + TILE::STAGES * TILE::STAGE_BYTES,
                   empty = full + 8 * TILE::STAGES;
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    if (threadIdx.x == 0) {
        for (int i = 0; i < TILE::STAGES; i++) {
            barrier_init(full + 8 * i, 1);
            barrier_init(empty + 8 * i, 4 * TILE::GROUPS);
        }
        barriers_made();
    }
    __syncthreads();
    ring_place at = {0, 0};
    if (warp == 4 * TILE::GROUPS) {
        if (lane != 0)
            return false;
        for (int step = 0; step < steps; step++, go_on<TILE>(at)) {
            barrier_wait(empty + 8 * at.slot, at.round ^ 1);
            barrier_expect(full + 8 * at.slot, TILE::STAGE_BYTES);
            load(stages + at.slot * TILE::STAGE_BYTES, full + 8 * at.slot, step);
        }
        return false;
    }
    /* One group of products is under way while the next is issued: a stage is free again when the one
     * behind it is. Every warp says so for itself: a wait is for a warp's own products alone. */
    int before = 0;
    for (int step = 0; step < steps; step++, go_on<TILE>(at)) {
        barrier_wait(full + 8 * at.slot, at.round);
        wgmma_fence();
        multiply(sums, stages + at.slot * TILE::STAGE_BYTES, warp / 4, step > 0);
        wgmma_commit();
        wgmma_wait<1>();
        if (step > 0 && lane == 0)
            barrier_arrive(empty + 8 * before);
        before = at.slot;
    }
    wgmma_wait<0>();
    FWI_UNROLL
    for (int m = 0; m < TILE::M_BLOCKS; m++)
        wgmma_settle(sums[m]);
    return true;
}

#endif

/* Which row of the tile a thread's sums 4 j + 2 i + e of block m are in. */
template <class TILE> static __device__ inline int row_of(int m, int i)
{
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    return (warp / 4 * TILE::M_BLOCKS + m) * 64 + warp % 4 * 16 + lane / 4 + 8 * i;
}

/* ---- rows ---- */

static inline fw_status make_map(const fwi_call *c, fwi_tensor_map *out, const fwi_map_spec *s)
{
#if defined(FWI_CUDA_EMULATED)
    (void)c;
    return emulated::encode_map(out, s);
#else
    return fwi_own_conv_map(c, out, s);
#endif
}

/* A convolution of ours: stride 1, as much padding left and right as above and below, and channels that
 * are whole packs of 16 bytes, since a bulk copy wants such strides. The driver's manual and its users
 * disagree on the order of a box's corners, so width and height may not differ in them. */
struct conv_walk {
    int64_t n, h, w, c, oh, ow, oc; /* images and results of the forward pass */
    int k, before, after;
};
static inline bool walk_of(const fwi_call *c, conv_walk *out)
{
    const fwi_conv_attr *a = &c->attr->conv;
    const bool dx = c->kind == FWI_OP_conv2d_dx;
    const fwi_shape *x = dx ? &c->out[0].shape : &c->in[0].shape;
    const fwi_shape *y = dx                            ? &c->in[0].shape
                         : c->kind == FWI_OP_conv2d_dw ? &c->in[1].shape
                                                       : &c->out[0].shape;
    if (a->stride != 1 || a->kh != a->kw || a->pad_t != a->pad_l || a->pad_b != a->pad_r ||
        a->kh > 16 || a->pad_t >= a->kh || a->pad_b >= a->kh || x->d[3] % 8 != 0 ||
        y->d[3] % 8 != 0)
        return false;
    *out = conv_walk{x->d[0], x->d[1], x->d[2],    x->d[3],       y->d[1],
                     y->d[2], y->d[3], (int)a->kh, (int)a->pad_t, (int)a->pad_b};
    return plain(c) && out->n * out->oh * out->ow <= INT32_MAX &&
           out->n * out->h * out->w <= INT32_MAX && out->n * out->oh * out->ow * out->c > 0 &&
           out->oc > 0;
}

/* Scratch is aligned to 64 bytes; operands of copies are put on this boundary. */
enum { OPERAND_ALIGN = 256 };
static inline size_t operand_bytes(int64_t n_elems)
{
    return ((size_t)n_elems * 2 + OPERAND_ALIGN - 1) / OPERAND_ALIGN * OPERAND_ALIGN;
}

/* Of a row: it was chosen, by its engine's name, and can do the call. */
template <class TILE> static bool accepts(const fwi_call *c)
{
    return chosen(c, TILE::engine()) && TILE::fits(c) && possible(c);
}

/* A tile from a list of them: M, N, CHUNK, then blocks of 64 rows a warpgroup, warpgroups, stages, blocks on a
 * multiprocessor. The file has fits_tile<TILE>(call). */
#define FWI_CONV_TILE_NAME(m, n, chunk) tile_##m##x##n##x##chunk
#define FWI_CONV_TILE(m, n, chunk, m_blocks, groups, stages, resident)                             \
    struct FWI_CONV_TILE_NAME(m, n, chunk)                                                         \
        : conv_tile<m_blocks, groups, n, chunk, stages, resident> {                                \
        static const char *engine()                                                                \
        {                                                                                          \
            return "own:" #m "x" #n "x" #chunk;                                                    \
        }                                                                                          \
        static bool fits(const fwi_call *c)                                                        \
        {                                                                                          \
            return fits_tile<FWI_CONV_TILE_NAME(m, n, chunk)>(c);                                  \
        }                                                                                          \
    };                                                                                             \
    static_assert(FWI_CONV_TILE_NAME(m, n, chunk)::M == m, "its name");
#define FWI_CONV_ENGINE(m, n, chunk)                                                               \
    {                                                                                              \
        FWI_CONV_TILE_NAME(m, n, chunk)::engine(), FWI_CONV_TILE_NAME(m, n, chunk)::fits           \
    }

} // namespace fwi_cuda

#endif
