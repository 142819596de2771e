/* cuda_norm.h: what batch norm and its fused forms share: a channel's norm, the two sums that its
 * gradient needs, and the sweep that uses them. Read before: cuda_channels.h. */
#ifndef FWI_CUDA_NORM_H
#define FWI_CUDA_NORM_H

#include "cuda_act_functions.h"
#include "cuda_channels.h"

namespace fwi_cuda
{

struct norm_args {
    const float *gamma, *beta, *mean, *var; /* [c]; mean and var [g,c] */
    float eps;
    int c, group_rows; /* rows of a group */
};

/* p: the arguments gamma, beta, mean, var */
static inline norm_args norm_of(const fwi_arg *p, double eps, const fwi_arg *x, int groups)
{
    return norm_args{(const float *)p[0].data,
                     (const float *)p[1].data,
                     (const float *)p[2].data,
                     (const float *)p[3].data,
                     (float)eps,
                     cols(x),
                     rows(x) / groups};
}

static __device__ inline int group_at(const norm_args &n, int row, int i)
{
    return row / n.group_rows * n.c + i;
}

static __device__ inline float inv_std_at(const norm_args &n, int at)
{
    return 1.0f / sqrtf(n.var[at] + n.eps);
}

/* (x - mean) / std */
static __device__ inline float standard_at(const norm_args &n, int at, float x)
{
    return (x - n.mean[at]) * inv_std_at(n, at);
}

static __device__ inline float norm_at(const norm_args &n, int row, int i, float x)
{
    return standard_at(n, group_at(n, row, i), x) * n.gamma[i] + n.beta[i];
}

/* ---- statistics ---- */

enum { PIVOT_ROWS = 16 };

/* A number near the mean of each group's channel, from its first rows: sums are taken around it, so
 * that a mean that is large against the deviation costs no digits. */
template <class T> struct pivot_at {
    const T *x;
    float *pivot;
    int c, group_rows;
    __device__ void operator()(int k) const
    {
        const int n = group_rows < PIVOT_ROWS ? group_rows : PIVOT_ROWS;
        const int64_t first = (int64_t)(k / c) * group_rows * c + k % c;
        float sum = 0;
        for (int r = 0; r < n; r++)
            sum += get(x, first + (int64_t)r * c);
        pivot[k] = sum / (float)n;
    }
};

/* Sums of x - pivot and of its square. */
template <class T> struct moments {
    const T *x;
    const float *pivot;
    int c, group_rows;
    __device__ void operator()(int r, int i, float *sums) const
    {
        const float d = get(x, (int64_t)r * c + i) - pivot[r / group_rows * c + i];
        sums[0] += d;
        sums[1] = fmaf(d, d, sums[1]);
    }
};

/* mean holds the pivots before. */
struct store_moments {
    float *mean, *var;
    int c, group_rows;
    __device__ void operator()(int group, int i, const double *sums) const
    {
        const double n = (double)group_rows, shift = sums[0] / n;
        const double v = sums[1] / n - shift * shift;
        mean[group * c + i] = (float)((double)mean[group * c + i] + shift);
        var[group * c + i] = (float)(v > 0 || v != v ? v : 0.0);
    }
};

template <class T>
static inline fw_status stats(const fwi_call *call, const fwi_arg *x, int groups, float *mean,
                              float *var)
{
    const int c = cols(x), n = rows(x) / groups;
    const fw_status st = each(call, groups * c, pivot_at<T>{(const T *)x->data, mean, c, n});
    if (st != FW_OK)
        return st;
    return channel_sums<2>(call, cut_of(groups, n, c), moments<T>{(const T *)x->data, mean, c, n},
                           store_moments{mean, var, c, n}, (float *)call->scratch);
}

static inline size_t stats_room(const fwi_arg *x, int groups)
{
    return channel_room(cut_of(groups, rows(x) / groups, cols(x)), 2) * sizeof(float);
}

/* ---- gradients ---- */

/* Sums of g and g z, where g is what arrives at the norm's output: S has
 * `__device__ float operator()(int row, int channel, float x) const`. */
template <class T, class S> struct grad_sums {
    const T *x;
    norm_args n;
    S arrives;
    __device__ void operator()(int r, int i, float *sums) const
    {
        const float v = get(x, (int64_t)r * n.c + i), g = arrives(r, i, v);
        sums[0] += g;
        sums[1] = fmaf(g, standard_at(n, group_at(n, r, i), v), sums[1]);
    }
};

/* of_group[group][2][c]: for the sweep */
struct store_grad_sums {
    float *of_group;
    int c;
    __device__ void operator()(int group, int i, const double *sums) const
    {
        of_group[(group * 2 + 0) * c + i] = (float)sums[0];
        of_group[(group * 2 + 1) * c + i] = (float)sums[1];
    }
};

struct total_grads {
    const float *of_group;
    float *dgamma, *dbeta;
    int groups, c;
    __device__ void operator()(int i) const
    {
        double s = 0, sz = 0;
        for (int g = 0; g < groups; g++) {
            s += (double)of_group[(g * 2 + 0) * c + i];
            sz += (double)of_group[(g * 2 + 1) * c + i];
        }
        dgamma[i] = (float)sz;
        dbeta[i] = (float)s;
    }
};

/* gamma / std (g - (s + z sz) / rows) */
static __device__ inline float norm_back(const norm_args &n, const float *of_group, int row, int i,
                                         float x, float g)
{
    const int group = row / n.group_rows, at = group * n.c + i;
    const float s = of_group[group * 2 * n.c + i], sz = of_group[(group * 2 + 1) * n.c + i];
    const float inv_std = inv_std_at(n, at), z = (x - n.mean[at]) * inv_std;
    return n.gamma[i] * inv_std * (g - (s + z * sz) / (float)n.group_rows);
}

/* dx as x */
template <class T, class S> struct grad_sweep {
    const T *x;
    T *dx;
    norm_args n;
    const float *of_group;
    S arrives;
    __device__ void operator()(int k) const
    {
        const int r = k / n.c, i = k % n.c;
        const float v = get(x, k);
        put(dx, k, norm_back(n, of_group, r, i, v, arrives(r, i, v)));
    }
};

/* Scratch: the table of partial sums, then the groups' sums. */
static inline size_t grads_room(const fwi_arg *x, int groups)
{
    return stats_room(x, groups) + (size_t)groups * 2 * (size_t)cols(x) * sizeof(float);
}

static inline float *group_sums(const fwi_call *call, const fwi_arg *x, int groups)
{
    return (float *)((char *)call->scratch + stats_room(x, groups));
}

/* dgamma, dbeta and the groups' sums; the sweep is the caller's. */
template <class T, class S>
static inline fw_status grads(const fwi_call *call, const fwi_arg *x, int groups,
                              const norm_args &n, const S &arrives, float *dgamma, float *dbeta)
{
    float *const of_group = group_sums(call, x, groups);
    const fw_status st = channel_sums<2>(call, cut_of(groups, n.group_rows, n.c),
                                         grad_sums<T, S>{(const T *)x->data, n, arrives},
                                         store_grad_sums{of_group, n.c}, (float *)call->scratch);
    if (st != FW_OK)
        return st;
    return each(call, n.c, total_grads{of_group, dgamma, dbeta, groups, n.c});
}

template <class T, class S>
static inline fw_status grads_and_sweep(const fwi_call *call, const fwi_arg *x, int groups,
                                        const norm_args &n, const S &arrives)
{
    const fw_status st =
        grads<T, S>(call, x, groups, n, arrives, out<float>(call, 1), out<float>(call, 2));
    if (st != FW_OK)
        return st;
    return each(call, elems(x),
                grad_sweep<T, S>{(const T *)x->data, out<T>(call, 0), n,
                                 group_sums(call, x, groups), arrives});
}

} // namespace fwi_cuda

#endif
