/* optim.cu: gradients' norm, and the updates of SGD, Adam and LARS, and averages of weights; defined in
 * cpu/ref/optim_body.h, held to it by tests/ops/test_optim.c. Updates of many tensors are one kernel, their
 * norm is two (cuda_joint.h; tests/cuda/test_joint.c). Rates are read where they are, on the GPU: a step
 * that is enqueued again finds new ones there. Each step of an update rounds, as in the definition: nvcc
 * fuses nothing here (-fmad=false). */
#include "cuda_joint.h"

using namespace fwi_cuda;

enum { WORKERS = 256, MOST_PARTS = 256, LEAST_RUN = 4096 };

/* ---- sum of squares ---- */

static int run_of(int n)
{
    const int run = (n + MOST_PARTS - 1) / MOST_PARTS;
    return run > LEAST_RUN ? run : LEAST_RUN;
}

/* Of a tensor, cut by its size alone. */
struct squares_of {
    const float *x;
    float *y; /* [1] what the call gives */
    int run;  /* elements of a block */
};
typedef members<squares_of> squares; /* n: elements, first: in blocks, and parts */
static_assert((int)squares::MOST >= (int)FWI_MAX_JOINED, "one table holds the calls of a step");

static __global__ void squares_kernel(const __grid_constant__ squares m, double *part)
{
    __shared__ double room[WORKERS];
    const int k = member_of(m, (int)blockIdx.x), n = m.n[k], run = m.f[k].run;
    const float *x = m.f[k].x;
    const int64_t first = (int64_t)((int)blockIdx.x - m.first[k]) * run;
    const int64_t last = first + run < n ? first + run : n;
    double sum = 0;
    for (int64_t i = first + threadIdx.x; i < last; i += WORKERS)
        sum += (double)x[i] * (double)x[i];
    sum = block_sum<WORKERS>(sum, room);
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum;
}

/* One block: each tensor's parts, and only then what is left of them, tensor after tensor. */
static __global__ void add_kernel(const __grid_constant__ squares m, const double *part,
                                  const float *so_far)
{
    __shared__ double room[WORKERS];
    __shared__ float own[FWI_MAX_JOINED];
    for (int k = 0; k < m.count; k++) {
        const int first = m.first[k], last = m.first[k + 1];
        double sum = 0;
        for (int i = first + (int)threadIdx.x; i < last; i += WORKERS)
            sum += part[i];
        if (last - first > 1) /* the same for all threads */
            sum = block_sum<WORKERS>(sum, room);
        if (threadIdx.x == 0)
            own[k] = (float)sum;
    }
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    float sum = so_far[0];
    for (int k = 0; k < m.count; k++) {
        sum = sum + own[k];
        m.f[k].y[0] = sum;
    }
}

static int parts_of(const fwi_call *c)
{
    const int n = elems(&c->in[0]);
    return (int)blocks_of(n, run_of(n));
}

static size_t joint_parts_room(const fwi_call *calls, int n)
{
    size_t parts = 0;
    for (int k = 0; k < n; k++)
        parts += (size_t)parts_of(&calls[k]);
    return parts * sizeof(double);
}

static size_t parts_room(const fwi_call *c)
{
    return joint_parts_room(c, 1);
}

static fw_status joint_sum_squares(const fwi_call *calls, int n)
{
    squares m;
    m.count = n;
    m.first[0] = 0;
    for (int k = 0; k < n; k++) {
        const fwi_call *c = &calls[k];
        m.n[k] = elems(&c->in[0]);
        m.f[k] = squares_of{in<float>(c, 0), out<float>(c, 0), run_of(m.n[k])};
        m.first[k + 1] = m.first[k] + parts_of(c);
    }
    double *const part = (double *)calls->scratch;
    const fw_status st =
        launch(calls, squares_kernel, dim3((unsigned)m.first[n]), dim3(WORKERS), m, part);
    if (st != FW_OK)
        return st;
    return launch(calls, add_kernel, dim3(1), dim3(WORKERS), m, (const double *)part,
                  in<float>(calls, 1));
}

static fw_status sum_squares(const fwi_call *c)
{
    return joint_sum_squares(c, 1);
}

struct clip_at {
    const float *ss;
    float *y;
    double most;
    __device__ void operator()(int i) const
    {
        const double f = isinf(ss[i]) ? (double)NAN : most / sqrt((double)ss[i]);
        y[i] = (float)(f > 1.0 ? 1.0 : f);
    }
};

static fw_status clip_factor(const fwi_call *c)
{
    return each(c, 1, clip_at{in<float>(c, 0), out<float>(c, 0), c->attr->scalar.value});
}

/* ---- updates ---- */

struct sgd_at {
    float *w, *v;
    const float *g;
    const double *hyper;
    int lr_col, wd_col, form;
    float mom;
    __device__ void operator()(int i) const
    {
        const float lr = (float)hyper[lr_col], wd = (float)hyper[wd_col];
        const float d = g[i] + wd * w[i];
        if (form == FWI_NESTEROV_PAGE) {
            const float step = -lr * d;
            v[i] = mom * v[i] + step;
            w[i] = w[i] + (step + mom * v[i]);
        } else if (form == FWI_NESTEROV_PYTORCH) {
            v[i] = mom * v[i] + d;
            w[i] = w[i] - lr * (d + mom * v[i]);
        } else {
            v[i] = mom * v[i] + d;
            w[i] = w[i] - lr * v[i];
        }
    }
};

static sgd_at sgd_of(const fwi_call *c)
{
    const fwi_optim_attr *a = &c->attr->optim;
    return sgd_at{changed<float>(c, 0), changed<float>(c, 1), in<float>(c, 2), in<double>(c, 3),
                  (int)a->lr_col,       (int)a->wd_col,       (int)a->form,    (float)a->momentum};
}

/* One block per filter, whose rate depends on the norms of its weights and its gradient. */
struct lars_filter {
    float *w, *v;
    const float *g;
    const double *hyper;
    int cols, lr_col, wd_col;
    float mom;
    double eps;
    __device__ void operator()(int filter) const
    {
        __shared__ double room[EACH];
        const int64_t first = (int64_t)filter * cols;
        double ww = 0, gg = 0;
        for (int i = (int)threadIdx.x; i < cols; i += EACH) {
            ww += (double)w[first + i] * (double)w[first + i];
            gg += (double)g[first + i] * (double)g[first + i];
        }
        ww = block_sum<EACH>(ww, room);
        gg = block_sum<EACH>(gg, room);
        const float rate = (float)(hyper[lr_col] * (sqrt(ww) / (sqrt(gg) + eps)));
        const float wd = (float)hyper[wd_col];
        for (int64_t i = first + threadIdx.x; i < first + cols; i += EACH) {
            const float step = -rate * (g[i] + wd * w[i]);
            v[i] = mom * v[i] + step;
            w[i] = w[i] + (step + mom * v[i]);
        }
    }
};

static int filters_of(const fwi_call *c)
{
    return (int)c->in[0].shape.d[0];
}

static lars_filter lars_of(const fwi_call *c)
{
    const fwi_optim_attr *a = &c->attr->optim;
    return lars_filter{changed<float>(c, 0), changed<float>(c, 1),        in<float>(c, 2),
                       in<double>(c, 3),     elems_of(c) / filters_of(c), (int)a->lr_col,
                       (int)a->wd_col,       (float)a->momentum,          a->eps};
}

struct average_at {
    float *avg, *w;
    const double *hyper;
    int on_col, decay_col, copy_back;
    __device__ void operator()(int i) const
    {
        const double decay = hyper[decay_col];
        if (hyper[on_col] == 0)
            return;
        const float d = (float)decay, take = (float)(1.0 - decay);
        if (decay == 0)
            avg[i] = w[i];
        else if (decay < 0.5)
            avg[i] = w[i] + d * (avg[i] - w[i]);
        else if (decay != 1)
            avg[i] = avg[i] + take * (w[i] - avg[i]);
        if (copy_back)
            w[i] = avg[i];
    }
};

static average_at average_of(const fwi_call *c)
{
    const fwi_average_attr *a = &c->attr->average;
    return average_at{changed<float>(c, 0), changed<float>(c, 1), in<double>(c, 2),
                      (int)a->on_col,       (int)a->decay_col,    (int)a->copy_back};
}

struct adam_at {
    float *w, *m, *v;
    const float *g;
    const double *hyper;
    int lr_col, wd_col, bc_col;
    float b1, c1, b2, c2, eps;
    __device__ void operator()(int i) const
    {
        const double lr = hyper[lr_col], wd = hyper[wd_col];
        const float keep = (float)(1.0 - lr * wd), rate = (float)(lr / hyper[bc_col]);
        const float root = (float)sqrt(hyper[bc_col + 1]);
        m[i] = b1 * m[i] + c1 * g[i];
        v[i] = b2 * v[i] + c2 * (g[i] * g[i]);
        const float down = (float)sqrt((double)v[i]) / root + eps;
        w[i] = w[i] * keep - rate * (m[i] / down);
    }
};

static adam_at adam_of(const fwi_call *c)
{
    const fwi_optim_attr *a = &c->attr->optim;
    return adam_at{changed<float>(c, 0), changed<float>(c, 1),
                   changed<float>(c, 2), in<float>(c, 3),
                   in<double>(c, 4),     (int)a->lr_col,
                   (int)a->wd_col,       (int)a->bc_col,
                   (float)a->beta1,      (float)(1.0 - a->beta1),
                   (float)a->beta2,      (float)(1.0 - a->beta2),
                   (float)a->eps};
}

static const fwi_joint squares_joint = {joint_parts_room, joint_sum_squares, 1};
static const fwi_joint sgd_joint = {nullptr, each_joint<sgd_at, sgd_of>, 0};
static const fwi_joint adam_joint = {nullptr, each_joint<adam_at, adam_of>, 0};
static const fwi_joint lars_joint = {nullptr, blocks_joint<lars_filter, lars_of, filters_of>, 0};
static const fwi_joint average_joint = {nullptr, each_joint<average_at, average_of>, 0};

extern "C" const fwi_kernel FWI_CUDA_ROWS(optim)[] = {
    ROW_SJ(sum_squares, FW_F32, "f32", sum_squares, parts_room, false, &squares_joint),
    ROW(clip_factor, FW_F32, "f32", clip_factor, false),
    ROW_J(sgd, FW_F32, "f32", (each_alone<sgd_at, sgd_of>), &sgd_joint),
    ROW_J(adam, FW_F32, "f32", (each_alone<adam_at, adam_of>), &adam_joint),
    ROW_J(lars, FW_F32, "f32", (blocks_alone<lars_filter, lars_of, filters_of>), &lars_joint),
    ROW_J(average, FW_F32, "f32", (each_alone<average_at, average_of>), &average_joint),
    ROW_END,
};
