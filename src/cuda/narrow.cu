/* narrow.cu: convolutions of images with 1 to 4 channels, forward and by the filters: with one of these every
 * net begins. Tensor cores want channels by the eight and find little to do here, 12 to 36 products a sum;
 * so the ordinary units do it in f32, and what counts is that an image is read once and a result written
 * once, 16 bytes a thread beside its neighbour's. Defined in cpu/ref/conv2d_body.h, held to it by
 * tests/ops/test_conv2d.c.
 *
  * A block has a tile of one image's places of y, whole lines where a line is not too long, and the lines
  * of x that these see, in f32 in shared memory with zeros around them; there the kw x c taps of a filter's
  * line are neighbours. *Forward*, a thread has 8 filters at up to 8 places: 64 sums in registers, for
  * which a tap costs 10 reads of shared memory, 2 of them of 16 bytes, so that the multiplying units and
  * not shared memory are busy; neighbouring threads have the filters of one place, so that a warp stores
  * 512 bytes in a row. *By the filters*, a thread has 8 filters by one line of taps, 24 to 96 sums, at
  * every n-th place of the block's tiles, of which dy too is in shared memory: its 16 bytes are on their
  * way for all of a tile at once. A tile of 32 x 32 images takes 5 to 20 KB forward, and up to 36 KB by the
  * filters; registers, at most 128 a thread, let two blocks of 256 threads on a multiprocessor, and there
  * one loads while the other multiplies.
 *
 * The same bits every time: a sum forward goes by one thread, tap after tap. By the filters, the threads of a
 * block are added in their order, blocks have runs of tiles that are cut by the shape alone, and a second
 * kernel adds the runs in double in a fixed order. Read before: cuda_packs.h, cuda_own_conv.h. */
#include "cuda_own_conv.h"
#include "cuda_packs.h"

namespace fwi_cuda
{
namespace
{

enum {
    THREADS = 256,
    WARPS = THREADS / 32,
    MOST_PLACES = 8, /* of a thread, forward */
    FILTERS = 8,     /* of a thread */
    MOST_GROUPS = 8, /* of so many filters in a block */
    MOST_WIDE = 64,  /* places of a tile's line */
    MOST_HIGH = 16,  /* lines of a tile */
    DW_PLACES = 128, /* of a tile, by the filters */
    MOST_LINE = 12,  /* taps of a filter's line: kw x c */
    MOST_RUNS = 264  /* two blocks for each multiprocessor of a large GPU */
};

/* How threads share out a tile's places: each has every one of `lanes`, which is so many lines and places
 * on. */
struct shares {
    int lanes, h, w;
};

struct narrow_conv {
    int ih, iw, c, oh, ow, oc;
    int kh, line, stride, pad_t, pad_l; /* line: taps of a filter's line */
    int high, wide;                     /* of a tile, in places of y */
    int down, across, tiles;            /* tiles of an image, and in all */
    int x_lines, x_line;                /* of a tile: lines of x, and floats of each */
    int groups;                         /* of filters, in a block */
    shares of_y, of_taps;               /* for a group of filters; for that and a line of taps */
    int run;                            /* by the filters: tiles of a block */
};

/* A tile's image and first place. */
struct tile_place {
    int n, h, w;
};
static __device__ inline tile_place tile_at(const narrow_conv &s, int tile)
{
    const int a = tile % s.across, d = tile / s.across;
    return tile_place{d / s.down, d % s.down * s.high, a * s.wide};
}

/* From a place of a tile to the thread's next. */
static __device__ inline void next_place(const narrow_conv &s, const shares &by, int &h, int &w)
{
    h += by.h;
    w += by.w;
    if (w >= s.wide) {
        w -= s.wide;
        h++;
    }
}

static __device__ inline int least_of(int a, int b)
{
    return a < b ? a : b;
}

/* The lines of x that a tile sees, widened. */
template <class T>
static __device__ inline void load_lines(const narrow_conv &s, const T *x, const tile_place &at,
                                         float *room)
{
    const int line = s.iw * s.c, i0 = (at.w * s.stride - s.pad_l) * s.c;
    for (int r = (int)threadIdx.x / 32; r < s.x_lines; r += WARPS) {
        const int h = at.h * s.stride - s.pad_t + r;
        const bool there = h >= 0 && h < s.ih;
        const T *from = x + ((int64_t)at.n * s.ih + (there ? h : 0)) * line;
        for (int i = (int)threadIdx.x % 32; i < s.x_line; i += 32)
            room[r * s.x_line + i] =
                there && i0 + i >= 0 && i0 + i < line ? get(from, i0 + i) : 0.0f;
    }
}

/* ---- forward ---- */

/* Floats from a tap's filters to the next tap's: 4 more than they are, so that filters are turned without
 * the same bank for all. A tap's are two parts, the first four of each group and the other four: each part is
 * then read as neighbours. */
static __host__ __device__ inline int filter_row(const narrow_conv &s)
{
    return s.groups * FILTERS + 4;
}

template <class T>
static __device__ inline void load_filters(const narrow_conv &s, const float *w, int first,
                                           float *room)
{
    const int taps = s.kh * s.line;
    for (int o = (int)threadIdx.x / 32; o < s.groups * FILTERS; o += WARPS) {
        const int part = o % FILTERS / 4 * s.groups * 4, at = o / FILTERS * 4 + o % 4;
        for (int tap = (int)threadIdx.x % 32; tap < taps; tap += 32)
            room[tap * filter_row(s) + part + at] =
                first + o < s.oc
                    ? as_stored((const T *)nullptr, w[(int64_t)(first + o) * taps + tap])
                    : 0.0f;
    }
}

static __device__ inline void store_filters(float *y, int64_t i, bool wide, const float *v)
{
    put_pack<FILTERS>(y, i, wide, v);
}
template <class T>
static __device__ inline void store_filters(T *y, int64_t i, bool wide, const float *v)
{
    quad q;
    FWI_UNROLL
    for (int j = 0; j < 4; j++)
        q.w[j] = pair_of(y, v[2 * j], v[2 * j + 1]);
    if (wide) {
        *(quad *)(uintptr_t)on_boundary(y + i) = q;
        return;
    }
    FWI_UNROLL
    for (int j = 0; j < FILTERS; j++)
        y[i + j].bits = (uint16_t)(q.w[j / 2] >> j % 2 * 16);
}

/* PLACES: of a thread, as many as the tile asks for. */
template <class T, int PLACES>
static __global__ void __launch_bounds__(THREADS, 2)
    narrow_kernel(const narrow_conv s, const T *x, const float *w, T *y, bool wide)
{
    float *const filters = (float *)shared_room();
    float *const lines = filters + s.kh * s.line * filter_row(s);
    const int group = (int)threadIdx.x % s.groups, lane = (int)threadIdx.x / s.groups;
    const int first = (int)blockIdx.y * s.groups * FILTERS, o = first + group * FILTERS;
    const tile_place at = tile_at(s, (int)blockIdx.x);
    load_filters<T>(s, w, first, filters);
    load_lines(s, x, at, lines);
    __syncthreads();
    if (lane >= s.of_y.lanes || o >= s.oc)
        return;
    int from[PLACES]; /* where a place's first tap is; of those behind the tile: anywhere in it */
    float sums[PLACES][FILTERS] = {};
    const int first_h = lane / s.wide, first_w = lane % s.wide;
    int h = first_h, v = first_w;
    FWI_UNROLL
    for (int j = 0; j < PLACES; j++, next_place(s, s.of_y, h, v))
        from[j] = h < s.high ? (h * s.x_line + v * s.c) * s.stride : 0;
    const float *f = filters + 4 * group;
    for (int kh = 0; kh < s.kh; kh++)
        for (int i = 0; i < s.line; i++, f += filter_row(s)) {
            const float *const tap = lines + kh * s.x_line + i;
            float at_tap[FILTERS];
            get_quad(f, at_tap);
            get_quad(f + 4 * s.groups, at_tap + 4);
            FWI_UNROLL
            for (int j = 0; j < PLACES; j++) {
                const float at_place = tap[from[j]];
                FWI_UNROLL
                for (int e = 0; e < FILTERS; e++)
                    sums[j][e] = fmaf(at_place, at_tap[e], sums[j][e]);
            }
        }
    h = first_h, v = first_w;
    T *const image = y + (int64_t)at.n * s.oh * s.ow * s.oc + o;
    FWI_UNROLL
    for (int j = 0; j < PLACES; j++, next_place(s, s.of_y, h, v))
        if (h < s.high && at.h + h < s.oh && at.w + v < s.ow)
            store_filters(image, (int64_t)((at.h + h) * s.ow + at.w + v) * s.oc, wide, sums[j]);
}

/* ---- by the filters ---- */

/* dy of a tile, widened: [places][filters of the block], zeros behind the last filter; of places behind the
 * last line or column, nothing. */
template <class T>
static __device__ inline void load_dy(const narrow_conv &s, const T *dy, const tile_place &at,
                                      int first, bool wide, float *room)
{
    const int group = (int)threadIdx.x % s.groups, lane = (int)threadIdx.x / s.groups;
    const int o = first + group * FILTERS, lines = least_of(s.high, s.oh - at.h);
    const T *const image = dy + (int64_t)at.n * s.oh * s.ow * s.oc + o;
    if (lane >= s.of_y.lanes)
        return;
    int h = lane / s.wide, w = lane % s.wide;
    for (int p = lane; h < lines; p += 2 * s.of_y.lanes) { /* two are on their way */
        float v[2][FILTERS] = {};
        FWI_UNROLL
        for (int j = 0; j < 2; j++, next_place(s, s.of_y, h, w))
            if (o < s.oc && h < lines && at.w + w < s.ow)
                get_pack<FILTERS>(image, (int64_t)((at.h + h) * s.ow + at.w + w) * s.oc, wide,
                                  v[j]);
        FWI_UNROLL
        for (int j = 0; j < 2; j++) {
            const int q = p + j * s.of_y.lanes;
            float *const to = room + (q * s.groups + group) * FILTERS;
            if (q < lines * s.wide) {
                put_quad(to, v[j]);
                put_quad(to + 4, v[j] + 4);
            }
        }
    }
}

/* LINE: room for the taps of a filter's line. */
template <class T, int LINE>
static __global__ void __launch_bounds__(THREADS, 2)
    narrow_dw_kernel(const narrow_conv s, const T *x, const T *dy, float *part, bool wide)
{
    float *const grads = (float *)shared_room();
    float *const lines = grads + s.high * s.wide * s.groups * FILTERS;
    const int t = (int)threadIdx.x, jobs = s.kh * s.groups, job = t % jobs, lane = t / jobs;
    const int kh = job % s.kh, group = job / s.kh;
    const int first_h = lane / s.wide, first_w = lane % s.wide;
    const int first = (int)blockIdx.y * s.groups * FILTERS;
    const int begin = (int)blockIdx.x * s.run, end = least_of(begin + s.run, s.tiles);
    float sums[LINE][FILTERS] = {};
    for (int tile = begin; tile < end; tile++) {
        const tile_place at = tile_at(s, tile);
        __syncthreads(); /* the tile before is done with */
        load_lines(s, x, at, lines);
        load_dy(s, dy, at, first, wide, grads);
        __syncthreads();
        const int high = lane < s.of_taps.lanes ? least_of(s.high, s.oh - at.h) : 0;
        int h = first_h, w = first_w;
        for (int p = lane; h < high; p += s.of_taps.lanes, next_place(s, s.of_taps, h, w)) {
            if (at.w + w < s.ow) {
                const float *const taps =
                    lines + (h * s.stride + kh) * s.x_line + w * s.stride * s.c;
                float g[FILTERS];
                get_quad(grads + (p * s.groups + group) * FILTERS, g);
                get_quad(grads + (p * s.groups + group) * FILTERS + 4, g + 4);
                FWI_UNROLL
                for (int i = 0; i < LINE; i++) { /* those behind the line's last one are not kept */
                    const float v = taps[i];
                    FWI_UNROLL
                    for (int e = 0; e < FILTERS; e++)
                        sums[i][e] = fmaf(v, g[e], sums[i][e]);
                }
            }
        }
    }
    /* the lanes in their order, a tap of the line at a time */
    const int taps = s.kh * s.line;
    part += (int64_t)blockIdx.x * s.oc * taps;
    FWI_UNROLL
    for (int i = 0; i < LINE; i++) {
        __syncthreads();
        if (lane < s.of_taps.lanes) {
            put_quad(grads + t * FILTERS, sums[i]);
            put_quad(grads + t * FILTERS + 4, sums[i] + 4);
        }
        __syncthreads();
        for (int k = t; k < jobs * FILTERS; k += THREADS) {
            const int o = first + k / FILTERS / s.kh * FILTERS + k % FILTERS;
            float sum = 0;
            for (int l = 0; l < s.of_taps.lanes; l++)
                sum += grads[l * jobs * FILTERS + k];
            if (i < s.line && o < s.oc)
                part[(int64_t)o * taps + k / FILTERS % s.kh * s.line + i] = sum;
        }
    }
}

/* dw: the runs' sums in double, every eighth by one thread, and the eight in their order. */
enum { SUM_LANES = 8 };
static __global__ void sum_runs_kernel(int runs, int size, const float *part, float *dw)
{
    __shared__ double room[SUM_LANES][32];
    const int x = (int)threadIdx.x, lane = (int)threadIdx.y, i = (int)blockIdx.x * 32 + x;
    double sum = 0;
    for (int r = lane; r < runs && i < size; r += SUM_LANES)
        sum += (double)part[(int64_t)r * size + i];
    room[lane][x] = sum;
    __syncthreads();
    if (lane != 0 || i >= size)
        return;
    for (int l = 1; l < SUM_LANES; l++)
        sum += room[l][x];
    dw[i] = (float)sum;
}

/* ---- calls ---- */

static const fwi_arg *result_of(const fwi_call *c) /* y or dy */
{
    return c->kind == FWI_OP_conv2d_dw ? &c->in[1] : &c->out[0];
}

static bool fits(const fwi_call *c)
{
    const fwi_conv_attr *a = &c->attr->conv;
    const int64_t channels = c->in[0].shape.d[3], *y = result_of(c)->shape.d;
    return plain(c) && channels >= 1 && channels <= 4 && a->kh <= 4 && a->kw <= 4 &&
           a->kw * channels <= MOST_LINE && a->stride <= 2 && y[3] % FILTERS == 0 &&
           y[0] * y[1] * y[2] * y[3] > 0;
}

static int share_of(int n, int parts) /* n / parts, rounded up */
{
    return (n + parts - 1) / parts;
}

static shares shares_of(int lanes, int wide)
{
    return shares{lanes, lanes / wide, lanes % wide};
}

/* By the shape alone. */
static narrow_conv conv_of(const fwi_call *c)
{
    const fwi_conv_attr *a = &c->attr->conv;
    const int64_t *x = c->in[0].shape.d, *y = result_of(c)->shape.d;
    const bool dw = c->kind == FWI_OP_conv2d_dw;
    narrow_conv s = {};
    s.ih = (int)x[1], s.iw = (int)x[2], s.c = (int)x[3];
    s.oh = (int)y[1], s.ow = (int)y[2], s.oc = (int)y[3];
    s.kh = (int)a->kh, s.line = (int)a->kw * s.c, s.stride = (int)a->stride;
    s.pad_t = (int)a->pad_t, s.pad_l = (int)a->pad_l;
    const int groups = s.oc / FILTERS;
    s.groups = groups < MOST_GROUPS ? groups : (int)MOST_GROUPS;
    s.across = share_of(s.ow, MOST_WIDE);
    s.wide = share_of(s.ow, s.across);
    const int room = (dw ? (int)DW_PLACES : THREADS / s.groups * MOST_PLACES) / s.wide;
    s.down = share_of(s.oh, room < 1 ? 1 : room > MOST_HIGH ? (int)MOST_HIGH : room);
    s.high = share_of(s.oh, s.down);
    s.tiles = (int)y[0] * s.down * s.across;
    s.x_lines = (s.high - 1) * s.stride + s.kh;
    s.x_line = ((s.wide - 1) * s.stride + (int)a->kw) * s.c;
    s.of_y = shares_of(THREADS / s.groups, s.wide);
    s.of_taps = shares_of(THREADS / (s.groups * s.kh), s.wide);
    s.run = share_of(s.tiles, MOST_RUNS);
    return s;
}

static unsigned blocks_across(const narrow_conv &s) /* of filters */
{
    return blocks_of(s.oc, s.groups * FILTERS);
}

template <class T, int PLACES> static fw_status forward(const fwi_call *c, const narrow_conv &s)
{
    const int floats = s.kh * s.line * filter_row(s) + s.x_lines * s.x_line;
    T *y = out<T>(c, 0);
    return launch_roomy(c, narrow_kernel<T, PLACES>, dim3((unsigned)s.tiles, blocks_across(s)),
                        dim3(THREADS), floats * (int)sizeof(float), s, in<T>(c, 0), in<float>(c, 1),
                        y, on_quads(y));
}

template <class T> static fw_status narrow(const fwi_call *c)
{
    const narrow_conv s = conv_of(c);
    const int places = share_of(s.high * s.wide, s.of_y.lanes);
    return places <= 4   ? forward<T, 4>(c, s)
           : places <= 6 ? forward<T, 6>(c, s)
                         : forward<T, MOST_PLACES>(c, s);
}

template <class T, int LINE> static fw_status parts(const fwi_call *c, const narrow_conv &s)
{
    const int tile = s.high * s.wide * s.groups * FILTERS + s.x_lines * s.x_line + MOST_LINE;
    const int ends = THREADS * FILTERS, floats = tile > ends ? tile : ends;
    const T *dy = in<T>(c, 1);
    return launch_roomy(c, narrow_dw_kernel<T, LINE>,
                        dim3(blocks_of(s.tiles, s.run), blocks_across(s)), dim3(THREADS),
                        floats * (int)sizeof(float), s, in<T>(c, 0), dy, (float *)c->scratch,
                        on_quads(dy));
}

template <class T> static size_t parts_room(const fwi_call *c)
{
    const narrow_conv s = conv_of(c);
    return (size_t)blocks_of(s.tiles, s.run) * (size_t)elems(&c->out[0]) * sizeof(float);
}

template <class T> static fw_status narrow_dw(const fwi_call *c)
{
    const narrow_conv s = conv_of(c);
    const int size = elems(&c->out[0]);
    const fw_status st = s.line <= 3   ? parts<T, 3>(c, s)
                         : s.line <= 6 ? parts<T, 6>(c, s)
                         : s.line <= 9 ? parts<T, 9>(c, s)
                                       : parts<T, MOST_LINE>(c, s);
    if (st != FW_OK)
        return st;
    return launch(c, sum_runs_kernel, dim3(blocks_of(size, 32)), dim3(32, SUM_LANES),
                  (int)blocks_of(s.tiles, s.run), size, (const float *)c->scratch,
                  out<float>(c, 0));
}

static bool accepts(const fwi_call *c)
{
    return fits(c) && chosen(c, "own:narrow");
}

} // namespace

/* Twice: for calls that an engine was chosen for, before any library, and before our kernels for any shape. */
#define TYPE_ROW(op, type, text, fn, room, accept, is_blocked)                                     \
    {                                                                                              \
        FWI_OP_##op, type, fn, room, accept, #op "_" text "_narrow", is_blocked, nullptr           \
    }
#define OP_ROWS(op, fn, room, accept)                                                              \
    TYPE_ROW(op, FW_F32, "f32", fn<float>, room(float), accept, false),                            \
        TYPE_ROW(op, FW_F32, "f32_nhwc", fn<float>, room(float), accept, true),                    \
        TYPE_ROW(op, FW_BF16, "bf16_nhwc", fn<bf16>, room(bf16), accept, true),                    \
        TYPE_ROW(op, FW_F16, "f16_nhwc", fn<f16>, room(f16), accept, true)
#define NO_ROOM(T)    nullptr
#define PARTS_ROOM(T) parts_room<T>
#define ALL_ROWS(accept)                                                                           \
    {                                                                                              \
        OP_ROWS(conv2d, narrow, NO_ROOM, accept),                                                  \
            OP_ROWS(conv2d_dw, narrow_dw, PARTS_ROOM, accept), ROW_END                             \
    }
extern "C" const fwi_kernel FWI_CUDA_ROWS(narrow)[] = ALL_ROWS(fits);
extern "C" const fwi_kernel FWI_CUDA_ROWS(narrow_chosen)[] = ALL_ROWS(accepts);

#define NARROW                                                                                     \
    {                                                                                              \
        "own:narrow", fits                                                                         \
    }
extern const engine FWI_OWN_ENGINES(narrow_chosen)[] = {
    NARROW, NARROW, NARROW, NARROW, NARROW, NARROW, NARROW, NARROW, {nullptr, nullptr}};

} // namespace fwi_cuda
