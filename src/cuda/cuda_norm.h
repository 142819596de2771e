/* cuda_norm.h: what batch norm and its fused forms share: a channel's norm, the two sums that its
 * gradient needs, and the sweep that uses them. What a channel's norm is made of stays in a thread's
 * registers while it goes through the rows. Read before: cuda_channels.h. */
#ifndef FWI_CUDA_NORM_H
#define FWI_CUDA_NORM_H

#include "cuda_act_functions.h"
#include "cuda_channels.h"

namespace fwi_cuda
{

struct norm_args {
    const float *gamma, *beta, *mean, *var; /* [c]; mean and var [g,c]; beta may be NULL */
    float eps;
    int c, group_rows; /* rows of a group */
    const float *sums; /* [g][2][c]: what a sweep of gradients needs; else NULL */
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
                     rows(x) / groups,
                     nullptr};
}

/* Of V channels: their norm, and the group's sums. */
template <int V> struct channels {
    float mean[V], inv_std[V], gamma[V], beta[V], s[V], sz[V];
};

template <int V>
static __device__ inline void read_channels(const norm_args &n, int group, int i, channels<V> &o)
{
    const int64_t at = (int64_t)group * n.c + i;
    for (int j = 0; j < V; j++) {
        o.mean[j] = n.mean[at + j];
        o.inv_std[j] = 1.0f / sqrtf(n.var[at + j] + n.eps);
        o.gamma[j] = n.gamma[i + j];
        o.beta[j] = n.beta != nullptr ? n.beta[i + j] : 0.0f;
        o.s[j] = n.sums != nullptr ? n.sums[at + (int64_t)group * n.c + j] : 0.0f;
        o.sz[j] = n.sums != nullptr ? n.sums[at + (int64_t)(group + 1) * n.c + j] : 0.0f;
    }
}

/* (x - mean) / std */
template <int V> static __device__ inline float standard(const channels<V> &o, int j, float x)
{
    return (x - o.mean[j]) * o.inv_std[j];
}

template <int V> static __device__ inline float normed(const channels<V> &o, int j, float x)
{
    return standard(o, j, x) * o.gamma[j] + o.beta[j];
}

/* What sums and sweeps over norms have in common. */
struct over_norm {
    norm_args n;
    template <int V> using own = channels<V>;
    template <int V> __device__ void start(channels<V> &o, int group, int i) const
    {
        read_channels<V>(n, group, i, o);
    }
};

static inline channel_cut norm_cut(const fwi_arg *x, int groups)
{
    return cut_of(groups, rows(x) / groups, cols(x), x->dtype);
}

/* ---- statistics ---- */

enum { PIVOT_ROWS = 4 };

/* Numbers near the means of a group's channels, from its first rows: sums are taken around them, so
 * that a mean that is large against the deviation costs no digits. */
template <int V, class T>
static __device__ inline void pivot(const T *x, bool wide, int group, int i, int c, int group_rows,
                                    float (&p)[V])
{
    const int n = group_rows < PIVOT_ROWS ? group_rows : PIVOT_ROWS;
    for (int j = 0; j < V; j++)
        p[j] = 0;
    for (int r = 0; r < n; r++) {
        float v[V];
        get_pack<V>(x, ((int64_t)group * group_rows + r) * c + i, wide, v);
        for (int j = 0; j < V; j++)
            p[j] += v[j];
    }
    for (int j = 0; j < V; j++)
        p[j] /= (float)n;
}

/* Sums of x - pivot and of its square. */
template <class T> struct moments {
    const T *x;
    int c, group_rows;
    bool wide;
    template <int V> struct own {
        float pivot[V];
    };
    template <int V> __device__ void start(own<V> &o, int group, int i) const
    {
        pivot<V>(x, wide, group, i, c, group_rows, o.pivot);
    }
    template <int V> __device__ void add(const own<V> &o, int row, int i, float (&sums)[2][V]) const
    {
        float v[V];
        get_pack<V>(x, (int64_t)row * c + i, wide, v);
        for (int j = 0; j < V; j++) {
            const float d = v[j] - o.pivot[j];
            sums[0][j] += d;
            sums[1][j] = fmaf(d, d, sums[1][j]);
        }
    }
};

template <class T> struct store_moments {
    const T *x;
    float *mean, *var;
    int c, group_rows;
    __device__ void operator()(int group, int i, const double *sums) const
    {
        float p[1];
        pivot<1>(x, false, group, i, c, group_rows, p);
        const double n = (double)group_rows, shift = sums[0] / n;
        const double v = sums[1] / n - shift * shift;
        mean[group * c + i] = (float)((double)p[0] + shift);
        var[group * c + i] = (float)(v > 0 || v != v ? v : 0.0);
    }
};

template <class T>
static inline fw_status stats(const fwi_call *call, const fwi_arg *x, int groups, float *mean,
                              float *var)
{
    const int c = cols(x), n = rows(x) / groups;
    const T *at = (const T *)x->data;
    return channel_sums<T, 2>(call, norm_cut(x, groups), moments<T>{at, c, n, on_quads(at)},
                              store_moments<T>{at, mean, var, c, n}, (float *)call->scratch);
}

static inline size_t stats_room(const fwi_arg *x, int groups)
{
    return channel_room(norm_cut(x, groups), 2) * sizeof(float);
}

/* ---- gradients ---- */

/* S says what arrives at the norm's output: `template <int V> __device__ void operator()(const
 * channels<V> &o, int row, int i, const float (&x)[V], float (&g)[V]) const`. */

/* Sums of g and g z. */
template <class T, class S> struct grad_sums : over_norm {
    const T *x;
    bool wide;
    S arrives;
    template <int V>
    __device__ void add(const channels<V> &o, int row, int i, float (&sums)[2][V]) const
    {
        float v[V], g[V];
        get_pack<V>(x, (int64_t)row * n.c + i, wide, v);
        arrives(o, row, i, v, g);
        for (int j = 0; j < V; j++) {
            sums[0][j] += g[j];
            sums[1][j] = fmaf(g[j], standard(o, j, v[j]), sums[1][j]);
        }
    }
    grad_sums(const norm_args &n_, const T *x_, bool wide_, const S &arrives_)
        : over_norm{n_}, x(x_), wide(wide_), arrives(arrives_)
    {
    }
};

/* of_group[group][2][c]: for the sweep. dgamma, dbeta: where there is one group; else NULL. */
struct store_grad_sums {
    float *of_group, *dgamma, *dbeta;
    int c;
    __device__ void operator()(int group, int i, const double *sums) const
    {
        of_group[(group * 2 + 0) * c + i] = (float)sums[0];
        of_group[(group * 2 + 1) * c + i] = (float)sums[1];
        if (dgamma != nullptr) {
            dgamma[i] = (float)sums[1];
            dbeta[i] = (float)sums[0];
        }
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
template <int V>
static __device__ inline float norm_back(const channels<V> &o, int j, int group_rows, float x,
                                         float g)
{
    const float z = standard(o, j, x);
    return o.gamma[j] * o.inv_std[j] * (g - (o.s[j] + z * o.sz[j]) / (float)group_rows);
}

/* dx as x */
template <class T, class S> struct grad_sweep : over_norm {
    const T *x;
    T *dx;
    bool wide;
    S arrives;
    template <int V> __device__ void at(const channels<V> &o, int row, int i) const
    {
        const int64_t k = (int64_t)row * n.c + i;
        float v[V], g[V];
        get_pack<V>(x, k, wide, v);
        arrives(o, row, i, v, g);
        for (int j = 0; j < V; j++)
            v[j] = norm_back(o, j, n.group_rows, v[j], g[j]);
        put_pack<V>(dx, k, wide, v);
    }
    grad_sweep(const norm_args &n_, const T *x_, T *dx_, const S &arrives_)
        : over_norm{n_}, x(x_), dx(dx_), wide(on_quads(x_, dx_)), arrives(arrives_)
    {
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
    const T *at = (const T *)x->data;
    const bool one = groups == 1;
    const fw_status st = channel_sums<T, 2>(
        call, norm_cut(x, groups), grad_sums<T, S>(n, at, on_quads(at), arrives),
        store_grad_sums{of_group, one ? dgamma : nullptr, one ? dbeta : nullptr, n.c},
        (float *)call->scratch);
    if (st != FW_OK || one)
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
    norm_args with_sums = n;
    with_sums.sums = group_sums(call, x, groups);
    return sweep<T>(call, norm_cut(x, groups),
                    grad_sweep<T, S>(with_sums, (const T *)x->data, out<T>(call, 0), arrives));
}

} // namespace fwi_cuda

#endif
