/* bn.cu: batch normalisation, with ghost groups and with frozen statistics; defined in
 * cpu/ref/bn_body.h, held to it by tests/ops/test_bn.c. Fused forms: fused.cu. */
#include "cuda_joint.h"
#include "cuda_norm.h"

using namespace fwi_cuda;

template <class T> struct normalise {
    const T *x;
    T *y;
    norm_args n;
    __device__ void operator()(int k) const
    {
        put(y, k, norm_at(n, k / n.c, k % n.c, get(x, k)));
    }
};

template <class T> struct plain_arrives {
    const T *dy;
    int c;
    __device__ float operator()(int r, int i, float x) const
    {
        (void)x;
        return get(dy, (int64_t)r * c + i);
    }
};

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
        in<float>(c, 1), in<float>(c, 2),         mean, var, (float)c->attr->bn.eps,
        cols(&c->in[0]), rows(&c->in[0]) / groups};
    return each(c, elems(&c->in[0]), normalise<T>{in<T>(c, 0), out<T>(c, 0), n});
}

template <class T> static size_t train_grad_room(const fwi_call *c)
{
    return grads_room(&c->in[1], groups_of(c));
}

template <class T> static fw_status train_grad(const fwi_call *c)
{
    const int groups = groups_of(c), n_c = cols(&c->in[1]);
    const norm_args n = {in<float>(c, 2),        nullptr, in<float>(c, 3),         in<float>(c, 4),
                         (float)c->attr->bn.eps, n_c,     rows(&c->in[1]) / groups};
    return grads_and_sweep<T>(c, &c->in[1], groups, n, plain_arrives<T>{in<T>(c, 0), n_c});
}

template <class T> static fw_status eval(const fwi_call *c)
{
    const norm_args n = norm_of(&c->in[1], c->attr->bn.eps, &c->in[0], 1);
    return each(c, elems(&c->in[0]), normalise<T>{in<T>(c, 0), out<T>(c, 0), n});
}

template <class T> struct eval_back {
    const T *dy;
    T *dx;
    norm_args n;
    __device__ void operator()(int k) const
    {
        const int i = k % n.c;
        put(dx, k, get(dy, k) * n.gamma[i] * inv_std_at(n, i));
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
                         (float)c->attr->bn.eps, n_c,     rows(&c->in[1])};
    const fw_status st = grads<T>(c, &c->in[1], 1, n, plain_arrives<T>{in<T>(c, 0), n_c},
                                  out<float>(c, 1), out<float>(c, 2));
    if (st != FW_OK)
        return st;
    return each(c, elems(&c->in[1]), eval_back<T>{in<T>(c, 0), out<T>(c, 0), n});
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

static const fwi_joint update_joint = {nullptr, each_joint<update_at, update_of>};

extern "C" const fwi_kernel FWI_CUDA_ROWS(bn)[] = {
    ROWS_IMAGES_S(bn_train, train, train_room),
    ROWS_IMAGES_S(bn_train_grad, train_grad, train_grad_room),
    ROWS_IMAGES(bn_eval, eval),
    ROWS_IMAGES_S(bn_eval_grad, eval_grad, eval_grad_room),
    ROW_J(bn_update, FW_F32, "f32", (each_alone<update_at, update_of>), &update_joint),
    ROW_END,
};
