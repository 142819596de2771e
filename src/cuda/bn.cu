/* bn.cu: batch normalisation, with ghost groups and with frozen statistics; defined in
 * cpu/ref/bn_body.h, held to it by tests/ops/test_bn.c. Fused forms: fused.cu. */
#include "cuda_joint.h"
#include "cuda_norm.h"

using namespace fwi_cuda;

template <class T> struct normalise : over_norm {
    const T *x;
    T *y;
    bool wide;
    template <int V> __device__ void at(const channels<V> &o, int row, int i) const
    {
        const int64_t k = (int64_t)row * n.c + i;
        float v[V];
        get_pack<V>(x, k, wide, v);
        for (int j = 0; j < V; j++)
            v[j] = normed(o, j, v[j]);
        put_pack<V>(y, k, wide, v);
    }
    normalise(const norm_args &n_, const T *x_, T *y_)
        : over_norm{n_}, x(x_), y(y_), wide(on_quads(x_, y_))
    {
    }
};

template <class T> struct plain_arrives {
    const T *dy;
    int c;
    bool wide;
    template <int V>
    __device__ void operator()(const channels<V> &o, int row, int i, const float (&x)[V],
                               float (&g)[V]) const
    {
        (void)o, (void)x;
        get_pack<V>(dy, (int64_t)row * c + i, wide, g);
    }
};

template <class T> static plain_arrives<T> arrives_of(const fwi_call *c)
{
    return plain_arrives<T>{in<T>(c, 0), cols(&c->in[1]), on_quads(in<T>(c, 0))};
}

static int groups_of(const fwi_call *c)
{
    return (int)c->attr->bn.groups;
}

template <class T> static size_t train_room(const fwi_call *c)
{
    return stats_room(&c->in[0], groups_of(c));
}

template <class T> static fw_status train(const fwi_call *c)
{
    const int groups = groups_of(c);
    float *const mean = out<float>(c, 1), *const var = out<float>(c, 2);
    const fw_status st = stats<T>(c, &c->in[0], groups, mean, var);
    if (st != FW_OK)
        return st;
    const norm_args n = {
        in<float>(c, 1), in<float>(c, 2),          mean,   var, (float)c->attr->bn.eps,
        cols(&c->in[0]), rows(&c->in[0]) / groups, nullptr};
    return sweep<T>(c, norm_cut(&c->in[0], groups), normalise<T>(n, in<T>(c, 0), out<T>(c, 0)));
}

template <class T> static size_t train_grad_room(const fwi_call *c)
{
    return grads_room(&c->in[1], groups_of(c));
}

template <class T> static fw_status train_grad(const fwi_call *c)
{
    const int groups = groups_of(c), n_c = cols(&c->in[1]);
    const norm_args n = {in<float>(c, 2),        nullptr, in<float>(c, 3),          in<float>(c, 4),
                         (float)c->attr->bn.eps, n_c,     rows(&c->in[1]) / groups, nullptr};
    return grads_and_sweep<T>(c, &c->in[1], groups, n, arrives_of<T>(c));
}

template <class T> static fw_status eval(const fwi_call *c)
{
    const norm_args n = norm_of(&c->in[1], c->attr->bn.eps, &c->in[0], 1);
    return sweep<T>(c, norm_cut(&c->in[0], 1), normalise<T>(n, in<T>(c, 0), out<T>(c, 0)));
}

template <class T> struct eval_back : over_norm {
    const T *dy;
    T *dx;
    bool wide;
    template <int V> __device__ void at(const channels<V> &o, int row, int i) const
    {
        const int64_t k = (int64_t)row * n.c + i;
        float g[V];
        get_pack<V>(dy, k, wide, g);
        for (int j = 0; j < V; j++)
            g[j] = g[j] * o.gamma[j] * o.inv_std[j];
        put_pack<V>(dx, k, wide, g);
    }
    eval_back(const norm_args &n_, const T *dy_, T *dx_)
        : over_norm{n_}, dy(dy_), dx(dx_), wide(on_quads(dy_, dx_))
    {
    }
};

template <class T> static size_t eval_grad_room(const fwi_call *c)
{
    return grads_room(&c->in[1], 1);
}

template <class T> static fw_status eval_grad(const fwi_call *c)
{
    const int n_c = cols(&c->in[1]);
    const norm_args n = {in<float>(c, 2),        nullptr, in<float>(c, 3), in<float>(c, 4),
                         (float)c->attr->bn.eps, n_c,     rows(&c->in[1]), nullptr};
    const fw_status st =
        grads<T>(c, &c->in[1], 1, n, arrives_of<T>(c), out<float>(c, 1), out<float>(c, 2));
    if (st != FW_OK)
        return st;
    return sweep<T>(c, norm_cut(&c->in[1], 1), eval_back<T>(n, in<T>(c, 0), out<T>(c, 0)));
}

struct update_at {
    float *rmean, *rvar;
    const float *mean, *var;
    int groups, c;
    double share, unbias;
    __device__ void operator()(int i) const
    {
        double m = 0, v = 0;
        for (int g = 0; g < groups; g++) {
            m += (double)mean[g * c + i];
            v += (double)var[g * c + i];
        }
        m /= (double)groups;
        v = v / (double)groups * unbias;
        rmean[i] = (float)((1.0 - share) * (double)rmean[i] + share * m);
        rvar[i] = (float)((1.0 - share) * (double)rvar[i] + share * v);
    }
};

static update_at update_of(const fwi_call *c)
{
    const fwi_bn_attr *a = &c->attr->bn;
    return update_at{changed<float>(c, 0),
                     changed<float>(c, 1),
                     in<float>(c, 2),
                     in<float>(c, 3),
                     (int)a->groups,
                     elems_of(c),
                     a->update,
                     (double)a->count / (double)(a->count - 1)};
}

static const fwi_joint update_joint = {nullptr, each_joint<update_at, update_of>, 0};

extern "C" const fwi_kernel FWI_CUDA_ROWS(bn)[] = {
    ROWS_IMAGES_S(bn_train, train, train_room),
    ROWS_IMAGES_S(bn_train_grad, train_grad, train_grad_room),
    ROWS_IMAGES(bn_eval, eval),
    ROWS_IMAGES_S(bn_eval_grad, eval_grad, eval_grad_room),
    ROW_J(bn_update, FW_F32, "f32", (each_alone<update_at, update_of>), &update_joint),
    ROW_END,
};
