/* conv2d.cu: convolutions and their gradients as products of matrices that are never made: the
 * operands are read from images and filters where they lie. Defined in cpu/ref/conv2d_body.h, held
 * to it by tests/ops/test_conv2d.c. Filters stay f32 and are rounded as images are, as every other
 * kernel of this library does; sums are in f32. */
#include "cuda_gemm.h"

using namespace fwi_cuda;

struct conv_shape {
    int kh, kw, stride, pad_t, pad_l, ih, iw, c, oh, ow, oc;
};

static conv_shape shape_of(const fwi_call *call, const fwi_arg *x, const fwi_arg *y)
{
    const fwi_conv_attr *a = &call->attr->conv;
    return conv_shape{(int)a->kh,         (int)a->kw,         (int)a->stride,    (int)a->pad_t,
                      (int)a->pad_l,      (int)a->ih,         (int)a->iw,        (int)x->shape.d[3],
                      (int)y->shape.d[1], (int)y->shape.d[2], (int)y->shape.d[3]};
}

/* x at output place `place` (of n oh ow) and tap `tap` (of kh kw c); 0 in the padding. */
template <class T> struct patch {
    const T *x;
    conv_shape s;
    __device__ float at(int place, int tap) const
    {
        const int ow = place % s.ow, oh = place / s.ow % s.oh, n = place / s.ow / s.oh;
        const int i = tap % s.c, kw = tap / s.c % s.kw, kh = tap / s.c / s.kw;
        const int h = oh * s.stride + kh - s.pad_t, w = ow * s.stride + kw - s.pad_l;
        if (h < 0 || h >= s.ih || w < 0 || w >= s.iw)
            return 0;
        return get(x, ((int64_t)(n * s.ih + h) * s.iw + w) * s.c + i);
    }
};

/* ---- forward: [n oh ow] x [kh kw c] times [kh kw c] x [oc] ---- */

template <class T> struct patch_rows {
    patch<T> p;
    __device__ float operator()(int m, int k) const
    {
        return p.at(m, k);
    }
};

template <class T> struct filter_columns {
    const float *w;
    int taps;
    __device__ float operator()(int k, int o) const
    {
        return as_stored((const T *)nullptr, w[(int64_t)o * taps + k]);
    }
};

template <class T> struct store_image {
    T *y;
    int c;
    __device__ void operator()(int split, int place, int i, float sum) const
    {
        (void)split;
        put(y, (int64_t)place * c + i, sum);
    }
};

template <class T> static fw_status conv2d(const fwi_call *c)
{
    const conv_shape s = shape_of(c, &c->in[0], &c->out[0]);
    const int taps = s.kh * s.kw * s.c;
    return gemm<ALONG_K, ALONG_K>(
        c, unsplit(rows(&c->out[0]), s.oc, taps), patch_rows<T>{{in<T>(c, 0), s}},
        filter_columns<T>{in<float>(c, 1), taps}, store_image<T>{out<T>(c, 0), s.oc});
}

/* ---- dx: [n ih iw] x [kh kw oc] times [kh kw oc] x [c] ---- */

template <class T> struct back_rows {
    const T *dy;
    conv_shape s;
    __device__ float operator()(int m, int k) const
    {
        const int iw = m % s.iw, ih = m / s.iw % s.ih, n = m / s.iw / s.ih;
        const int o = k % s.oc, kw = k / s.oc % s.kw, kh = k / s.oc / s.kw;
        const int h = ih + s.pad_t - kh, w = iw + s.pad_l - kw; /* oh, ow times stride */
        if (h < 0 || w < 0 || h % s.stride != 0 || w % s.stride != 0)
            return 0;
        const int oh = h / s.stride, ow = w / s.stride;
        if (oh >= s.oh || ow >= s.ow)
            return 0;
        return get(dy, ((int64_t)(n * s.oh + oh) * s.ow + ow) * s.oc + o);
    }
};

template <class T> struct back_filters {
    const float *w;
    conv_shape s;
    __device__ float operator()(int k, int i) const
    {
        const int o = k % s.oc, tap = k / s.oc;
        return as_stored((const T *)nullptr, w[((int64_t)o * s.kh * s.kw + tap) * s.c + i]);
    }
};

template <class T> static fw_status conv2d_dx(const fwi_call *c)
{
    const conv_shape s = shape_of(c, &c->out[0], &c->in[0]);
    return gemm<ALONG_K, ALONG_EDGE>(
        c, unsplit(rows(&c->out[0]), s.c, s.kh * s.kw * s.oc), back_rows<T>{in<T>(c, 0), s},
        back_filters<T>{in<float>(c, 1), s}, store_image<T>{out<T>(c, 0), s.c});
}

/* ---- dw: [oc] x [n oh ow] times [n oh ow] x [kh kw c], in runs whose sums are added in order ---- */

template <class T> struct dy_rows {
    const T *dy;
    int oc;
    __device__ float operator()(int o, int k) const
    {
        return get(dy, (int64_t)k * oc + o);
    }
};

template <class T> struct patch_columns {
    patch<T> p;
    __device__ float operator()(int k, int tap) const
    {
        return p.at(k, tap);
    }
};

struct store_part {
    float *part;
    int n;
    int64_t size;
    __device__ void operator()(int split, int m, int at, float sum) const
    {
        part[split * size + (int64_t)m * n + at] = sum;
    }
};

/* Enough blocks for a large GPU, and runs of 512 places at least: by the shape alone. */
static gemm_size dw_size(const fwi_call *c)
{
    enum { BLOCKS = 512, LEAST = 512 };
    const int oc = (int)c->out[0].shape.d[0], taps = elems(&c->out[0]) / oc, k = rows(&c->in[1]);
    const int tiles = (int)(blocks_of(oc, TILE) * blocks_of(taps, TILE));
    int run = (int)((int64_t)k * tiles / BLOCKS);
    run = run < LEAST ? LEAST : (run + STEP - 1) / STEP * STEP;
    return gemm_size{oc, taps, k, run};
}

template <class T> static size_t dw_room(const fwi_call *c)
{
    const gemm_size s = dw_size(c);
    return (size_t)blocks_of(s.k, s.run) * (size_t)elems(&c->out[0]) * sizeof(float);
}

template <class T> static fw_status conv2d_dw(const fwi_call *c)
{
    const conv_shape s = shape_of(c, &c->in[0], &c->in[1]);
    const gemm_size z = dw_size(c);
    const int size = elems(&c->out[0]);
    float *const part = (float *)c->scratch;
    const fw_status st = gemm<ALONG_EDGE, ALONG_EDGE>(c, z, dy_rows<T>{in<T>(c, 1), s.oc},
                                                      patch_columns<T>{{in<T>(c, 0), s}},
                                                      store_part{part, z.n, size});
    if (st != FW_OK)
        return st;
    return each(c, size, sum_of_parts{part, out<float>(c, 0), (int)blocks_of(z.k, z.run), size});
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(conv2d)[] = {
    ROWS_IMAGES(conv2d, conv2d),
    ROWS_IMAGES(conv2d_dx, conv2d_dx),
    ROWS_IMAGES_S(conv2d_dw, conv2d_dw, dw_room),
    ROW_END,
};
