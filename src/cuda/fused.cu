/* fused.cu: batch norm in its two halves with what stands around it; defined in
 * cpu/ref/fused_body.h, held to it by tests/ops/test_fused.c. Nothing is rounded to storage on the
 * way, and the gradients work the norm out again. Groups of statistics: as bn.cu. bias_act: bias.cu. */
#include "cuda_norm.h"

using namespace fwi_cuda;

static act_fn fn_of(const fwi_call *c)
{
    return act_fn{(int)c->attr->bn_act.fn, (float)c->attr->bn_act.alpha};
}

/* gamma beta mean var are the inputs from `at` on */
static int groups_from(const fwi_call *c, int at)
{
    return (int)fwi_stat_groups(&c->in[at + 2].shape);
}

/* The same; x is `x` */
static norm_args norm_from(const fwi_call *c, int at, const fwi_arg *x)
{
    return norm_of(&c->in[at], c->attr->bn_act.eps, x, groups_from(c, at));
}

/* ---- forward ---- */

template <class T> static size_t stats_scratch(const fwi_call *c)
{
    return stats_room(&c->in[0], (int)c->attr->stats.groups);
}

template <class T> static fw_status bn_stats(const fwi_call *c)
{
    return stats<T>(c, &c->in[0], (int)c->attr->stats.groups, out<float>(c, 0), out<float>(c, 1));
}

template <class T> struct norm_act : over_norm {
    const T *x, *r; /* r: added behind, or NULL */
    T *y;
    act_fn fn;
    bool wide;
    template <int V> __device__ void at(const channels<V> &o, int row, int i) const
    {
        const int64_t k = (int64_t)row * n.c + i;
        float v[V], more[V];
        get_pack<V>(x, k, wide, v);
        for (int j = 0; j < V; j++)
            v[j] = act_value(fn, normed(o, j, v[j]));
        if (r != nullptr) {
            get_pack<V>(r, k, wide, more);
            for (int j = 0; j < V; j++)
                v[j] = v[j] + more[j];
        }
        put_pack<V>(y, k, wide, v);
    }
    norm_act(const norm_args &n_, const T *x_, const T *r_, T *y_, const act_fn &fn_)
        : over_norm{n_}, x(x_), r(r_), y(y_), fn(fn_), wide(on_quads(x_, r_, y_))
    {
    }
};

template <class T> static fw_status bn_act(const fwi_call *c)
{
    const T *r = c->kind == FWI_OP_bn_act_add ? in<T>(c, 5) : nullptr;
    return sweep<T>(
        c, norm_cut(&c->in[0], groups_from(c, 1)),
        norm_act<T>(norm_from(c, 1, &c->in[0]), in<T>(c, 0), r, out<T>(c, 0), fn_of(c)));
}

struct pool_shape {
    int k, ih, iw, oh, ow, c;
};

static pool_shape shape_of(const fwi_call *c, const fwi_arg *pooled)
{
    const fwi_bn_act_attr *a = &c->attr->bn_act;
    return pool_shape{(int)a->k,
                      (int)a->ih,
                      (int)a->iw,
                      (int)pooled->shape.d[1],
                      (int)pooled->shape.d[2],
                      (int)pooled->shape.d[3]};
}

/* Rows are those of the pooled images. */
template <class T> struct norm_act_pool : over_norm {
    const T *x;
    T *y;
    uint8_t *idx;
    act_fn fn;
    pool_shape s;
    bool wide;
    template <int V> __device__ void at(const channels<V> &o, int row, int i) const
    {
        const int ow = row % s.ow, oh = row / s.ow % s.oh, image = row / s.ow / s.oh;
        float best[V] = {};
        int place[V] = {};
        for (int p = 0; p < s.k * s.k; p++) {
            const int from = (image * s.ih + oh * s.k + p / s.k) * s.iw + ow * s.k + p % s.k;
            float v[V];
            get_pack<V>(x, (int64_t)from * s.c + i, wide, v);
            for (int j = 0; j < V; j++) {
                v[j] = act_value(fn, normed(o, j, v[j]));
                if (p == 0 || v[j] > best[j] || (v[j] != v[j] && best[j] == best[j])) {
                    best[j] = v[j];
                    place[j] = p;
                }
            }
        }
        const int64_t to = (int64_t)row * s.c + i;
        put_pack<V>(y, to, wide, best);
        for (int j = 0; j < V; j++)
            idx[to + j] = (uint8_t)place[j];
    }
    norm_act_pool(const norm_args &n_, const T *x_, T *y_, uint8_t *idx_, const act_fn &fn_,
                  const pool_shape &s_)
        : over_norm{n_}, x(x_), y(y_), idx(idx_), fn(fn_), s(s_), wide(on_quads(x_, y_))
    {
    }
};

template <class T> static fw_status bn_act_pool(const fwi_call *c)
{
    return sweep<T>(c, norm_cut(&c->out[0], groups_from(c, 1)),
                    norm_act_pool<T>(norm_from(c, 1, &c->in[0]), in<T>(c, 0), out<T>(c, 0),
                                     out<uint8_t>(c, 1), fn_of(c), shape_of(c, &c->out[0])));
}

/* ---- backward ---- */

template <class T> struct act_arrives {
    const T *dy;
    act_fn fn;
    int c;
    bool wide;
    template <int V>
    __device__ void operator()(const channels<V> &o, int row, int i, const float (&x)[V],
                               float (&g)[V]) const
    {
        get_pack<V>(dy, (int64_t)row * c + i, wide, g);
        for (int j = 0; j < V; j++)
            g[j] = act_back(fn, normed(o, j, x[j]), g[j]);
    }
};

template <class T> static act_arrives<T> arrives_of(const fwi_call *c, int channels)
{
    return act_arrives<T>{in<T>(c, 0), fn_of(c), channels, on_quads(in<T>(c, 0))};
}

/* Where a place of the large image lies in its window, -1: it fills none; *row: the window's. */
static __device__ inline int place_in_window(const pool_shape &s, int large, int *row)
{
    const int w = large % s.iw, h = large / s.iw % s.ih, image = large / s.iw / s.ih;
    const int oh = h / s.k, ow = w / s.k;
    *row = (image * s.oh + oh) * s.ow + ow;
    return oh >= s.oh || ow >= s.ow ? -1 : h % s.k * s.k + w % s.k;
}

template <class T> struct pool_arrives {
    const T *dy;
    const uint8_t *idx;
    act_fn fn;
    pool_shape s;
    bool wide;
    template <int V>
    __device__ void operator()(const channels<V> &o, int row, int i, const float (&x)[V],
                               float (&g)[V]) const
    {
        int pooled;
        const int place = place_in_window(s, row, &pooled);
        const int64_t at = (int64_t)pooled * s.c + i;
        if (place >= 0)
            get_pack<V>(dy, at, wide, g);
        for (int j = 0; j < V; j++)
            g[j] = place >= 0 && idx[at + j] == place ? act_back(fn, normed(o, j, x[j]), g[j]) : 0;
    }
};

template <class T> static size_t grad_room(const fwi_call *c)
{
    return grads_room(&c->in[1], groups_from(c, 2));
}

/* The sums come first: dx may be dy's memory. */
template <class T> static fw_status bn_act_grad(const fwi_call *c)
{
    const norm_args n = norm_from(c, 2, &c->in[1]);
    return grads_and_sweep<T>(c, &c->in[1], groups_from(c, 2), n, arrives_of<T>(c, n.c));
}

template <class T> static size_t pool_grad_room(const fwi_call *c)
{
    return grads_room(&c->in[2], groups_from(c, 3));
}

template <class T> static fw_status bn_act_pool_grad(const fwi_call *c)
{
    const norm_args n = norm_from(c, 3, &c->in[2]);
    return grads_and_sweep<T>(c, &c->in[2], groups_from(c, 3), n,
                              pool_arrives<T>{in<T>(c, 0), in<uint8_t>(c, 1), fn_of(c),
                                              shape_of(c, &c->in[0]), on_quads(in<T>(c, 0))});
}

/* From dx's side: a place gets its window's value if it was the maximum, else 0. Rows are those of dx. */
template <class T> struct unpool_sweep : over_norm {
    const T *x;
    const uint8_t *idx;
    T *dx;
    act_arrives<T> arrives;
    pool_shape s;
    bool wide;
    template <int V> __device__ void at(const channels<V> &o, int row, int i) const
    {
        int pooled;
        const int place = place_in_window(s, row, &pooled);
        const int64_t from = (int64_t)pooled * s.c + i;
        float v[V], g[V];
        if (place >= 0) {
            get_pack<V>(x, from, wide, v);
            arrives(o, pooled, i, v, g);
        }
        for (int j = 0; j < V; j++)
            v[j] = place >= 0 && idx[from + j] == place ? norm_back(o, j, n.group_rows, v[j], g[j])
                                                        : 0;
        put_pack<V>(dx, (int64_t)row * s.c + i, wide, v);
    }
    unpool_sweep(const norm_args &n_, const T *x_, const uint8_t *idx_, T *dx_,
                 const act_arrives<T> &arrives_, const pool_shape &s_)
        : over_norm{n_}, x(x_), idx(idx_), dx(dx_), arrives(arrives_), s(s_),
          wide(on_quads(x_, dx_))
    {
    }
};

template <class T> static fw_status bn_act_unpool_grad(const fwi_call *c)
{
    const fwi_arg *x = &c->in[2];
    const int groups = groups_from(c, 3);
    norm_args n = norm_from(c, 3, x);
    const act_arrives<T> arrives = arrives_of<T>(c, n.c);
    const fw_status st = grads<T>(c, x, groups, n, arrives, out<float>(c, 1), out<float>(c, 2));
    if (st != FW_OK)
        return st;
    n.sums = group_sums(c, x, groups);
    return sweep<T>(
        c, norm_cut(&c->out[0], groups),
        unpool_sweep<T>(n, in<T>(c, 2), in<uint8_t>(c, 1), out<T>(c, 0), arrives, shape_of(c, x)));
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(fused)[] = {
    ROWS_IMAGES_S(bn_stats, bn_stats, stats_scratch),
    ROWS_IMAGES(bn_act, bn_act),
    ROWS_IMAGES(bn_act_add, bn_act),
    ROWS_IMAGES(bn_act_pool, bn_act_pool),
    ROWS_IMAGES_S(bn_act_grad, bn_act_grad, grad_room),
    ROWS_IMAGES_S(bn_act_pool_grad, bn_act_pool_grad, pool_grad_room),
    ROWS_IMAGES_S(bn_act_unpool_grad, bn_act_unpool_grad, pool_grad_room),
    ROW_END,
};
