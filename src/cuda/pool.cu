/* pool.cu: pools and global pools and their gradients; defined in cpu/ref/pool_body.h, held to it by
 * tests/ops/test_pool.c. Gradients are written from dx's side: no element is added to twice. */
#include "cuda_kernel.h"

using namespace fwi_cuda;

struct pool_shape {
    int k, stride, h, w, oh, ow, c;
};

/* of the op's large and small images */
static pool_shape shape_of(const fwi_call *c, const fwi_arg *large, const fwi_arg *small)
{
    return pool_shape{(int)c->attr->pool.k,   (int)c->attr->pool.stride, (int)large->shape.d[1],
                      (int)large->shape.d[2], (int)small->shape.d[1],    (int)small->shape.d[2],
                      (int)large->shape.d[3]};
}

static __device__ bool larger(float v, float best)
{
    return v > best || (v != v && best == best);
}

template <class T> struct max_at {
    const T *x;
    T *y;
    uint8_t *idx;
    pool_shape s;
    __device__ void operator()(int at) const
    {
        const int i = at % s.c, ow = at / s.c % s.ow, oh = at / s.c / s.ow % s.oh;
        const int n = at / s.c / s.ow / s.oh;
        const int64_t first = ((int64_t)(n * s.h + oh * s.stride) * s.w + ow * s.stride) * s.c + i;
        float best = get(x, first);
        int place = 0;
        for (int kh = 0; kh < s.k; kh++)
            for (int kw = 0; kw < s.k; kw++) {
                const float v = get(x, first + (int64_t)(kh * s.w + kw) * s.c);
                if (larger(v, best)) {
                    best = v;
                    place = kh * s.k + kw;
                }
            }
        put(y, at, best);
        idx[at] = (uint8_t)place;
    }
};

template <class T> static fw_status max_pool(const fwi_call *c)
{
    return each(c, elems(&c->out[0]),
                max_at<T>{in<T>(c, 0), out<T>(c, 0), out<uint8_t>(c, 1),
                          shape_of(c, &c->in[0], &c->out[0])});
}

/* idx NULL: of a mean */
template <class T> struct pool_grad_at {
    const T *dy;
    const uint8_t *idx;
    T *dx;
    pool_shape s;
    __device__ void operator()(int at) const
    {
        const int i = at % s.c, iw = at / s.c % s.w, ih = at / s.c / s.w % s.h;
        const int n = at / s.c / s.w / s.h;
        float sum = 0;
        for (int kh = 0; kh < s.k; kh++) {
            const int h = ih - kh;
            if (h < 0 || h % s.stride != 0 || h / s.stride >= s.oh)
                continue;
            for (int kw = 0; kw < s.k; kw++) {
                const int w = iw - kw;
                if (w < 0 || w % s.stride != 0 || w / s.stride >= s.ow)
                    continue;
                const int64_t from =
                    ((int64_t)(n * s.oh + h / s.stride) * s.ow + w / s.stride) * s.c + i;
                if (idx == nullptr || idx[from] == kh * s.k + kw)
                    sum += get(dy, from);
            }
        }
        put(dx, at, idx == nullptr ? sum / (float)(s.k * s.k) : sum);
    }
};

template <class T> static fw_status max_pool_grad(const fwi_call *c)
{
    return each(c, elems(&c->out[0]),
                pool_grad_at<T>{in<T>(c, 0), in<uint8_t>(c, 1), out<T>(c, 0),
                                shape_of(c, &c->out[0], &c->in[0])});
}

template <class T> struct mean_at {
    const T *x;
    T *y;
    pool_shape s;
    __device__ void operator()(int at) const
    {
        const int i = at % s.c, ow = at / s.c % s.ow, oh = at / s.c / s.ow % s.oh;
        const int n = at / s.c / s.ow / s.oh;
        const int64_t first = ((int64_t)(n * s.h + oh * s.stride) * s.w + ow * s.stride) * s.c + i;
        float sum = 0;
        for (int kh = 0; kh < s.k; kh++)
            for (int kw = 0; kw < s.k; kw++)
                sum += get(x, first + (int64_t)(kh * s.w + kw) * s.c);
        put(y, at, sum / (float)(s.k * s.k));
    }
};

template <class T> static fw_status avg_pool(const fwi_call *c)
{
    return each(c, elems(&c->out[0]),
                mean_at<T>{in<T>(c, 0), out<T>(c, 0), shape_of(c, &c->in[0], &c->out[0])});
}

template <class T> static fw_status avg_pool_grad(const fwi_call *c)
{
    return each(
        c, elems(&c->out[0]),
        pool_grad_at<T>{in<T>(c, 0), nullptr, out<T>(c, 0), shape_of(c, &c->out[0], &c->in[0])});
}

/* ---- whole images: y [n,c] in f32 ---- */

template <class T> struct global_max_at {
    const T *x;
    float *y;
    int32_t *idx;
    int places, c;
    __device__ void operator()(int at) const
    {
        const int n = at / c, i = at % c;
        const int64_t first = (int64_t)n * places * c + i;
        float best = get(x, first);
        int place = 0;
        for (int p = 1; p < places; p++) {
            const float v = get(x, first + (int64_t)p * c);
            if (larger(v, best)) {
                best = v;
                place = p;
            }
        }
        y[at] = best;
        idx[at] = place;
    }
};

static int places_of(const fwi_arg *a)
{
    return (int)(a->shape.d[1] * a->shape.d[2]);
}

template <class T> static fw_status global_max_pool(const fwi_call *c)
{
    return each(c, elems(&c->out[0]),
                global_max_at<T>{in<T>(c, 0), out<float>(c, 0), out<int32_t>(c, 1),
                                 places_of(&c->in[0]), cols(&c->in[0])});
}

/* idx NULL: of a mean */
template <class T> struct global_grad_at {
    const float *dy;
    const int32_t *idx;
    T *dx;
    int places, c;
    __device__ void operator()(int at) const
    {
        const int i = at % c, p = at / c % places, n = at / c / places;
        const float g = dy[n * c + i];
        put(dx, at, idx == nullptr ? g / (float)places : idx[n * c + i] == p ? g : 0.0f);
    }
};

template <class T> static fw_status global_grad_as(const fwi_call *c, const int32_t *idx)
{
    return each(c, elems(&c->out[0]),
                global_grad_at<T>{in<float>(c, 0), idx, out<T>(c, 0), places_of(&c->out[0]),
                                  cols(&c->out[0])});
}

static fw_status global_grad(const fwi_call *c)
{
    const int32_t *idx = c->kind == FWI_OP_global_max_pool_grad ? in<int32_t>(c, 1) : nullptr;
    switch (c->out[0].dtype) {
    case FW_BF16:
        return global_grad_as<bf16>(c, idx);
    case FW_F16:
        return global_grad_as<f16>(c, idx);
    default:
        return global_grad_as<float>(c, idx);
    }
}

template <class T> struct global_mean_at {
    const T *x;
    float *y;
    int places, c;
    __device__ void operator()(int at) const
    {
        const int n = at / c, i = at % c;
        const int64_t first = (int64_t)n * places * c + i;
        float sum = 0;
        for (int p = 0; p < places; p++)
            sum += get(x, first + (int64_t)p * c);
        y[at] = sum / (float)places;
    }
};

template <class T> static fw_status global_avg_pool(const fwi_call *c)
{
    return each(
        c, elems(&c->out[0]),
        global_mean_at<T>{in<T>(c, 0), out<float>(c, 0), places_of(&c->in[0]), cols(&c->in[0])});
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(pool)[] = {
    ROWS_IMAGES(max_pool, max_pool),
    ROWS_IMAGES(max_pool_grad, max_pool_grad),
    ROWS_IMAGES(avg_pool, avg_pool),
    ROWS_IMAGES(avg_pool_grad, avg_pool_grad),
    ROWS_IMAGES(global_max_pool, global_max_pool),
    ROWS_IMAGES(global_avg_pool, global_avg_pool),
    ROW(global_max_pool_grad, FW_F32, "f32", global_grad, false),
    ROW(global_max_pool_grad, FW_F32, "f32_nhwc", global_grad, true),
    ROW(global_avg_pool_grad, FW_F32, "f32", global_grad, false),
    ROW(global_avg_pool_grad, FW_F32, "f32_nhwc", global_grad, true),
    ROW_END,
};
