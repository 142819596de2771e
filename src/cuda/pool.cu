/* pool.cu: pools and global pools and their gradients; defined in cpu/ref/pool_body.h, held to it by
 * tests/ops/test_pool.c. Gradients are written from dx's side: no element is added to twice. Threads have
 * packs of channels (cuda_packs.h). */
#include "cuda_packs.h"

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

/* What becomes of the values that a window has, place by place. */
template <int V> struct maximum {
    float best[V];
    int place[V];
    __device__ void take(int p, const float (&v)[V])
    {
        for (int j = 0; j < V; j++)
            if (p == 0 || v[j] > best[j] || (v[j] != v[j] && best[j] == best[j])) {
                best[j] = v[j];
                place[j] = p;
            }
    }
};

/* Of 64 places in f32, of those sums in double: a plane of one colour would lose a digit in each of its places. */
template <int V> struct total {
    float sum[V];
    double before[V];
    __device__ void take(int p, const float (&v)[V])
    {
        for (int j = 0; j < V; j++) {
            if (p % 64 == 0) {
                before[j] += sum[j];
                sum[j] = 0;
            }
            sum[j] += v[j];
        }
    }
    __device__ void mean(int places)
    {
        for (int j = 0; j < V; j++)
            sum[j] = (float)((before[j] + sum[j]) / places);
    }
};

/* V channels of an image: `high` lines of `wide` pixels, from x[first] on; `line` elements from line to
 * line. */
template <int V, class T, class TAKE>
static __device__ inline void over_window(const T *x, int64_t first, int high, int wide,
                                          int64_t line, int c, bool quads, TAKE &take)
{
    for (int h = 0; h < high; h++)
        for (int w = 0; w < wide; w++) {
            float v[V];
            get_pack<V>(x, first + h * line + (int64_t)w * c, quads, v);
            take.take(h * wide + w, v);
        }
}

/* Where the window of element `at` of the small images begins. */
static __device__ inline int64_t window_of(const pool_shape &s, int at)
{
    const int i = at % s.c, ow = at / s.c % s.ow, oh = at / s.c / s.ow % s.oh;
    const int n = at / s.c / s.ow / s.oh;
    return ((int64_t)(n * s.h + oh * s.stride) * s.w + ow * s.stride) * s.c + i;
}

template <class T> struct max_at {
    const T *x;
    T *y;
    uint8_t *idx;
    pool_shape s;
    bool quads;
    template <int V> __device__ void at(int at) const
    {
        maximum<V> m = {};
        over_window<V>(x, window_of(s, at), s.k, s.k, (int64_t)s.w * s.c, s.c, quads, m);
        put_pack<V>(y, at, quads, m.best);
        for (int j = 0; j < V; j++)
            idx[at + j] = (uint8_t)m.place[j];
    }
};

template <class T> static fw_status max_pool(const fwi_call *c)
{
    const T *x = in<T>(c, 0);
    T *y = out<T>(c, 0);
    return channel_packs<pack_of<T>::N>(
        c, elems(&c->out[0]), cols(&c->out[0]),
        max_at<T>{x, y, out<uint8_t>(c, 1), shape_of(c, &c->in[0], &c->out[0]), on_quads(x, y)});
}

/* idx NULL: of a mean */
template <class T> struct pool_grad_at {
    const T *dy;
    const uint8_t *idx;
    T *dx;
    pool_shape s;
    bool quads;
    template <int V> __device__ void at(int at) const
    {
        const int i = at % s.c, iw = at / s.c % s.w, ih = at / s.c / s.w % s.h;
        const int n = at / s.c / s.w / s.h;
        float sum[V] = {};
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
                float g[V];
                get_pack<V>(dy, from, quads, g);
                for (int j = 0; j < V; j++)
                    if (idx == nullptr || idx[from + j] == kh * s.k + kw)
                        sum[j] += g[j];
            }
        }
        for (int j = 0; j < V && idx == nullptr; j++)
            sum[j] /= (float)(s.k * s.k);
        put_pack<V>(dx, at, quads, sum);
    }
};

template <class T> static fw_status pool_grad(const fwi_call *c, const uint8_t *idx)
{
    const T *dy = in<T>(c, 0);
    T *dx = out<T>(c, 0);
    return channel_packs<pack_of<T>::N>(
        c, elems(&c->out[0]), cols(&c->out[0]),
        pool_grad_at<T>{dy, idx, dx, shape_of(c, &c->out[0], &c->in[0]), on_quads(dy, dx)});
}

template <class T> static fw_status max_pool_grad(const fwi_call *c)
{
    return pool_grad<T>(c, in<uint8_t>(c, 1));
}

template <class T> static fw_status avg_pool_grad(const fwi_call *c)
{
    return pool_grad<T>(c, nullptr);
}

template <class T> struct mean_at {
    const T *x;
    T *y;
    pool_shape s;
    bool quads;
    template <int V> __device__ void at(int at) const
    {
        total<V> t = {};
        over_window<V>(x, window_of(s, at), s.k, s.k, (int64_t)s.w * s.c, s.c, quads, t);
        t.mean(s.k * s.k);
        put_pack<V>(y, at, quads, t.sum);
    }
};

template <class T> static fw_status avg_pool(const fwi_call *c)
{
    const T *x = in<T>(c, 0);
    T *y = out<T>(c, 0);
    return channel_packs<pack_of<T>::N>(
        c, elems(&c->out[0]), cols(&c->out[0]),
        mean_at<T>{x, y, shape_of(c, &c->in[0], &c->out[0]), on_quads(x, y)});
}

/* ---- whole images: y [n,c] in f32 ---- */

template <class T> struct global_max_at {
    const T *x;
    float *y;
    int32_t *idx;
    int places, c;
    bool quads;
    template <int V> __device__ void at(int at) const
    {
        maximum<V> m = {};
        over_window<V>(x, (int64_t)(at / c) * places * c + at % c, 1, places, 0, c, quads, m);
        put_pack<V>(y, at, quads, m.best);
        for (int j = 0; j < V; j++)
            idx[at + j] = m.place[j];
    }
};

static int places_of(const fwi_arg *a)
{
    return (int)(a->shape.d[1] * a->shape.d[2]);
}

template <class T> static fw_status global_max_pool(const fwi_call *c)
{
    const T *x = in<T>(c, 0);
    float *y = out<float>(c, 0);
    return channel_packs<pack_of<T>::N>(c, elems(&c->out[0]), cols(&c->out[0]),
                                        global_max_at<T>{x, y, out<int32_t>(c, 1),
                                                         places_of(&c->in[0]), cols(&c->in[0]),
                                                         on_quads(x, y)});
}

/* idx NULL: of a mean */
template <class T> struct global_grad_at {
    const float *dy;
    const int32_t *idx;
    T *dx;
    int places, c;
    bool quads;
    template <int V> __device__ void at(int at) const
    {
        const int p = at / c % places, from = at / c / places * c + at % c;
        float g[V];
        get_pack<V>(dy, from, quads, g);
        for (int j = 0; j < V; j++)
            g[j] = idx == nullptr ? g[j] / (float)places : idx[from + j] == p ? g[j] : 0.0f;
        put_pack<V>(dx, at, quads, g);
    }
};

template <class T> static fw_status global_grad_as(const fwi_call *c, const int32_t *idx)
{
    const float *dy = in<float>(c, 0);
    T *dx = out<T>(c, 0);
    return channel_packs<pack_of<T>::N>(
        c, elems(&c->out[0]), cols(&c->out[0]),
        global_grad_at<T>{dy, idx, dx, places_of(&c->out[0]), cols(&c->out[0]), on_quads(dy, dx)});
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
    bool quads;
    template <int V> __device__ void at(int at) const
    {
        total<V> t = {};
        over_window<V>(x, (int64_t)(at / c) * places * c + at % c, 1, places, 0, c, quads, t);
        t.mean(places);
        put_pack<V>(y, at, quads, t.sum);
    }
};

template <class T> static fw_status global_avg_pool(const fwi_call *c)
{
    const T *x = in<T>(c, 0);
    float *y = out<float>(c, 0);
    return channel_packs<pack_of<T>::N>(
        c, elems(&c->out[0]), cols(&c->out[0]),
        global_mean_at<T>{x, y, places_of(&c->in[0]), cols(&c->in[0]), on_quads(x, y)});
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
