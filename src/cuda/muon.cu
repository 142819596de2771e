/* muon.cu: the update of Muon; defined in cpu/ref/muon_body.h, held to it by tests/ops/test_muon.c.
 * The iteration runs in f32 on matrices in scratch; the norms are sums of double. A rate of 0 leaves
 * w as it is: the GPU finds that out, since the rates are there. */
#include "cuda_gemm.h"
#include "cuda_muon.h"

using namespace fwi_cuda;

enum { WORKERS = 256, RUN = 4096 };

/* w is [rows][rest]; X is [m][n], the same or turned so that m <= n. */
struct muon_size {
    int rows, rest, m, n;
};

static muon_size size_of(const fwi_call *c)
{
    const int all = elems(&c->in[0]), rows = (int)c->in[0].shape.d[0], rest = all / rows;
    return rows > rest ? muon_size{rows, rest, rest, rows} : muon_size{rows, rest, rows, rest};
}

struct muon_scratch {
    double *part, *norms;  /* [blocks][2]; ||u||^2, ||w||^2 */
    float *x, *y, *xx, *b; /* [m][n], [m][m] */
};

static int parts_of(const muon_size &s)
{
    return (int)blocks_of((int64_t)s.rows * s.rest, RUN);
}

static muon_scratch scratch_at(void *at, const muon_size &s)
{
    muon_scratch t;
    t.part = (double *)at;
    t.norms = t.part + 2 * parts_of(s);
    t.x = (float *)(t.norms + 2);
    t.y = t.x + (int64_t)s.m * s.n;
    t.xx = t.y + (int64_t)s.m * s.n;
    t.b = t.xx + (int64_t)s.m * s.m;
    return t;
}

static size_t muon_room(const fwi_call *c)
{
    const muon_size s = size_of(c);
    return (size_t)(2 * parts_of(s) + 2) * sizeof(double) +
           2 * (size_t)s.m * (size_t)(s.n + s.m) * sizeof(float);
}

/* Momentum, u into X, and the partial sums of both norms. */
static __global__ void begin_kernel(const float *w, float *v, const float *g, float mom,
                                    muon_size s, float *x, double *part)
{
    __shared__ double room[WORKERS];
    const int64_t n = (int64_t)s.rows * s.rest, first = (int64_t)blockIdx.x * RUN;
    const int64_t last = first + RUN < n ? first + RUN : n;
    const muon_turn at{s.rows, s.rest};
    double uu = 0, ww = 0;
    for (int64_t i = first + threadIdx.x; i < last; i += WORKERS) {
        v[i] = mom * v[i] + g[i];
        const float u = g[i] + mom * v[i];
        x[at((int)i)] = u;
        uu += (double)u * (double)u;
        ww += (double)w[i] * (double)w[i];
    }
    uu = block_sum<WORKERS>(uu, room);
    ww = block_sum<WORKERS>(ww, room);
    if (threadIdx.x == 0) {
        part[2 * blockIdx.x] = uu;
        part[2 * blockIdx.x + 1] = ww;
    }
}

static __global__ void norms_kernel(const double *part, int n, double *norms)
{
    __shared__ double room[WORKERS];
    double uu = 0, ww = 0;
    for (int i = (int)threadIdx.x; i < n; i += WORKERS) {
        uu += part[2 * i];
        ww += part[2 * i + 1];
    }
    uu = block_sum<WORKERS>(uu, room);
    ww = block_sum<WORKERS>(ww, room);
    if (threadIdx.x == 0) {
        norms[0] = uu;
        norms[1] = ww;
    }
}

struct divide_at {
    float *x;
    const double *hyper, *norms;
    int xn_col;
    __device__ void operator()(int i) const
    {
        const double size = hyper[xn_col] * sqrt(norms[0]) + hyper[xn_col + 1];
        x[i] = (float)((double)x[i] / size);
    }
};

struct row_major {
    const float *x;
    int n;
    __device__ float operator()(int i, int j) const
    {
        return x[(int64_t)i * n + j];
    }
};

/* (k, i) of the transpose */
struct turned {
    const float *x;
    int n;
    __device__ float operator()(int k, int i) const
    {
        return x[(int64_t)i * n + k];
    }
};

/* scale * sum + other_scale * other */
struct store_mixed {
    float *y;
    const float *other;
    int n;
    float scale, other_scale;
    __device__ void operator()(int split, int i, int j, float sum) const
    {
        (void)split;
        const int64_t at = (int64_t)i * n + j;
        y[at] = scale * sum + other_scale * other[at];
    }
};

/* X = a X + (b A + c A^2) X with A = X X^T; the result is in y. */
static fw_status iterate(const fwi_call *c, const muon_size &s, const muon_scratch &t,
                         const float *x, float *y)
{
    const fwi_muon_attr *a = &c->attr->muon;
    fw_status st = gemm<ALONG_K, ALONG_K>(c, unsplit(s.m, s.m, s.n), row_major{x, s.n},
                                          turned{x, s.n}, store_matrix{t.xx, s.m});
    if (st == FW_OK)
        st = gemm<ALONG_K, ALONG_EDGE>(c, unsplit(s.m, s.m, s.m), row_major{t.xx, s.m},
                                       row_major{t.xx, s.m},
                                       store_mixed{t.b, t.xx, s.m, (float)a->c, (float)a->b});
    if (st == FW_OK)
        st =
            gemm<ALONG_K, ALONG_EDGE>(c, unsplit(s.m, s.n, s.m), row_major{t.b, s.m},
                                      row_major{x, s.n}, store_mixed{y, x, s.n, 1.0f, (float)a->a});
    return st;
}

static fw_status muon(const fwi_call *c)
{
    const fwi_muon_attr *a = &c->attr->muon;
    const muon_size s = size_of(c);
    const muon_scratch t = scratch_at(c->scratch, s);
    const int parts = parts_of(s), all = s.rows * s.rest;
    fw_status st =
        launch(c, begin_kernel, dim3((unsigned)parts), dim3(WORKERS), in<float>(c, 0),
               changed<float>(c, 1), in<float>(c, 2), (float)a->momentum, s, t.x, t.part);
    if (st == FW_OK)
        st =
            launch(c, norms_kernel, dim3(1), dim3(WORKERS), (const double *)t.part, parts, t.norms);
    if (st == FW_OK)
        st = each(c, all, divide_at{t.x, in<double>(c, 3), t.norms, (int)a->xn_col});
    float *x = t.x, *y = t.y;
    for (int64_t k = 0; k < a->steps && st == FW_OK; k++) {
        st = iterate(c, s, t, x, y);
        float *const swap = x;
        x = y;
        y = swap;
    }
    if (st != FW_OK)
        return st;
    return each(c, all, muon_step_of<float>(c, x, t.norms, muon_turn{s.rows, s.rest}));
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(muon)[] = {
    ROW_S(muon, FW_F32, "f32", muon, muon_room, false),
    ROW_END,
};
