/* fused.cu: batch norm in its two halves with what stands around it; defined in
 * cpu/ref/fused_body.h, held to it by tests/ops/test_fused.c. Nothing is rounded to storage on the
 * way, and the gradients work the norm out again. bias_act: bias.cu. */
#include "cuda_norm.h"

using namespace fwi_cuda;

static act_fn fn_of(const fwi_call *c)
{
    return act_fn{(int)c->attr->bn_act.fn, (float)c->attr->bn_act.alpha};
}

/* gamma beta mean var are the inputs from `at` on; x is `x` */
static norm_args norm_from(const fwi_call *c, int at, const fwi_arg *x)
{
    return norm_of(&c->in[at], c->attr->bn_act.eps, x, 1);
}

/* ---- forward ---- */

template <class T> static size_t stats_scratch(const fwi_call *c)
{
    return stats_room(&c->in[0], 1);
}

template <class T> static fw_status bn_stats(const fwi_call *c)
{
    return stats<T>(c, &c->in[0], 1, out<float>(c, 0), out<float>(c, 1));
}

template <class T> struct norm_act_at {
    const T *x, *r; /* r: added behind, or NULL */
    T *y;
    norm_args n;
    act_fn fn;
    __device__ void operator()(int k) const
    {
        const float v = act_value(fn, norm_at(n, 0, k % n.c, get(x, k)));
        put(y, k, r != nullptr ? v + get(r, k) : v);
    }
};

template <class T> static fw_status bn_act(const fwi_call *c)
{
    const T *r = c->kind == FWI_OP_bn_act_add ? in<T>(c, 5) : nullptr;
    return each(c, elems(&c->in[0]),
                norm_act_at<T>{in<T>(c, 0), r, out<T>(c, 0), norm_from(c, 1, &c->in[0]), fn_of(c)});
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

template <class T> struct norm_act_pool_at {
    const T *x;
    T *y;
    uint8_t *idx;
    norm_args n;
    act_fn fn;
    pool_shape s;
    __device__ void operator()(int at) const
    {
        const int i = at % s.c, ow = at / s.c % s.ow, oh = at / s.c / s.ow % s.oh;
        const int image = at / s.c / s.ow / s.oh;
        float best = 0;
        int place = 0;
        for (int p = 0; p < s.k * s.k; p++) {
            const int row = (image * s.ih + oh * s.k + p / s.k) * s.iw + ow * s.k + p % s.k;
            const float v = act_value(fn, norm_at(n, 0, i, get(x, (int64_t)row * s.c + i)));
            if (p == 0 || v > best || (v != v && best == best)) {
                best = v;
                place = p;
            }
        }
        put(y, at, best);
        idx[at] = (uint8_t)place;
    }
};

template <class T> static fw_status bn_act_pool(const fwi_call *c)
{
    return each(c, elems(&c->out[0]),
                norm_act_pool_at<T>{in<T>(c, 0), out<T>(c, 0), out<uint8_t>(c, 1),
                                    norm_from(c, 1, &c->in[0]), fn_of(c), shape_of(c, &c->out[0])});
}

/* ---- backward ---- */

template <class T> struct act_arrives {
    const T *dy;
    norm_args n;
    act_fn fn;
    __device__ float operator()(int r, int i, float x) const
    {
        return act_back(fn, norm_at(n, 0, i, x), get(dy, (int64_t)r * n.c + i));
    }
};

template <class T> struct pool_arrives {
    const T *dy;
    const uint8_t *idx;
    norm_args n;
    act_fn fn;
    pool_shape s;
    __device__ float operator()(int r, int i, float x) const
    {
        const int w = r % s.iw, h = r / s.iw % s.ih, image = r / s.iw / s.ih;
        const int oh = h / s.k, ow = w / s.k;
        if (oh >= s.oh || ow >= s.ow) /* fills no window */
            return 0;
        const int at = ((image * s.oh + oh) * s.ow + ow) * s.c + i;
        if (idx[at] != h % s.k * s.k + w % s.k)
            return 0;
        return act_back(fn, norm_at(n, 0, i, x), get(dy, at));
    }
};

template <class T> static size_t grad_room(const fwi_call *c)
{
    return grads_room(&c->in[1], 1);
}

/* The sums come first: dx may be dy's memory. */
template <class T> static fw_status bn_act_grad(const fwi_call *c)
{
    const norm_args n = norm_from(c, 2, &c->in[1]);
    return grads_and_sweep<T>(c, &c->in[1], 1, n, act_arrives<T>{in<T>(c, 0), n, fn_of(c)});
}

template <class T> static size_t pool_grad_room(const fwi_call *c)
{
    return grads_room(&c->in[2], 1);
}

template <class T> static fw_status bn_act_pool_grad(const fwi_call *c)
{
    const norm_args n = norm_from(c, 3, &c->in[2]);
    return grads_and_sweep<T>(
        c, &c->in[2], 1, n,
        pool_arrives<T>{in<T>(c, 0), in<uint8_t>(c, 1), n, fn_of(c), shape_of(c, &c->in[0])});
}

/* From dx's side: a place gets its window's value if it was the maximum, else 0. */
template <class T> struct unpool_sweep {
    const T *x;
    const uint8_t *idx;
    T *dx;
    norm_args n;
    const float *of_group;
    act_arrives<T> arrives;
    pool_shape s;
    __device__ void operator()(int k) const
    {
        const int i = k % s.c, w = k / s.c % s.iw, h = k / s.c / s.iw % s.ih;
        const int image = k / s.c / s.iw / s.ih, oh = h / s.k, ow = w / s.k;
        float v = 0;
        if (oh < s.oh && ow < s.ow) {
            const int r = (image * s.oh + oh) * s.ow + ow;
            const int64_t at = (int64_t)r * s.c + i;
            if (idx[at] == h % s.k * s.k + w % s.k) {
                const float from = get(x, at);
                v = norm_back(n, of_group, r, i, from, arrives(r, i, from));
            }
        }
        put(dx, k, v);
    }
};

template <class T> static fw_status bn_act_unpool_grad(const fwi_call *c)
{
    const fwi_arg *x = &c->in[2];
    const norm_args n = norm_from(c, 3, x);
    const act_arrives<T> arrives = {in<T>(c, 0), n, fn_of(c)};
    const fw_status st = grads<T>(c, x, 1, n, arrives, out<float>(c, 1), out<float>(c, 2));
    if (st != FW_OK)
        return st;
    return each(c, elems(&c->out[0]),
                unpool_sweep<T>{in<T>(c, 2), in<uint8_t>(c, 1), out<T>(c, 0), n,
                                group_sums(c, x, 1), arrives, shape_of(c, x)});
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
