/* resize.cu: images of another size; defined in cpu/ref/resize_body.h, held to it by
 * tests/ops/test_resize.c. Shares are worked out in double, as in the definition; gradients are
 * written from dx's side, so no element is added to twice. */
#include "cuda_kernel.h"

using namespace fwi_cuda;

/* A large image and a small one, or the other way round: from -> to. */
struct two_sizes {
    int fh, fw, th, tw, c;
};

static two_sizes sizes_of(const fwi_call *c)
{
    const int64_t *f = c->in[0].shape.d, *t = c->out[0].shape.d;
    return two_sizes{(int)f[1], (int)f[2], (int)t[1], (int)t[2], (int)f[3]};
}

struct place {
    int n, h, w, i;
};

static __device__ place place_of(int at, int h, int w, int c)
{
    return place{at / c / w / h, at / c / w % h, at / c % w, at % c};
}

/* Where output o of h looks in an input of ih: pixel `first`, and the share t of the one behind. */
struct look {
    int first;
    double t;
};

static __device__ look look_of(int o, int h, int ih)
{
    double s = ((double)o + 0.5) * (double)ih / (double)h - 0.5;
    s = s < 0 ? 0 : s > (double)(ih - 1) ? (double)(ih - 1) : s;
    const int first = (int)s;
    return look{first, s - (double)first};
}

/* How much of the input's pixel i is in the output's pixel o. */
static __device__ double share(int o, int h, int i, int ih)
{
    const look l = look_of(o, h, ih);
    return i == l.first ? 1 - l.t : i == l.first + 1 ? l.t : 0;
}

struct resize_at {
    const float *x;
    float *y;
    two_sizes s;
    __device__ void operator()(int at) const
    {
        const place p = place_of(at, s.th, s.tw, s.c);
        const look lh = look_of(p.h, s.th, s.fh), lw = look_of(p.w, s.tw, s.fw);
        double sum = 0;
        for (int a = 0; a < 2; a++)
            for (int b = 0; b < 2; b++) {
                const double part = (a == 0 ? 1 - lh.t : lh.t) * (b == 0 ? 1 - lw.t : lw.t);
                if (part > 0) /* else the pixel may not be there, or be a NaN */
                    sum +=
                        part *
                        (double)
                            x[((int64_t)(p.n * s.fh + lh.first + a) * s.fw + lw.first + b) * s.c +
                              p.i];
            }
        y[at] = (float)sum;
    }
};

static fw_status resize(const fwi_call *c)
{
    return each(c, elems(&c->out[0]), resize_at{in<float>(c, 0), out<float>(c, 0), sizes_of(c)});
}

/* The first output that may look at pixel i, and one behind the last: a pixel more on each side than
 * the formula's inverse gives, since share() decides. */
static __device__ int first_of(int i, int h, int ih)
{
    const double o = ((double)i - 0.5) * (double)h / (double)ih - 0.5;
    const int first = (int)floor(o) - 1;
    return i <= 0 || first < 0 ? 0 : first;
}

static __device__ int end_of(int i, int h, int ih)
{
    const double o = ((double)i + 1.5) * (double)h / (double)ih - 0.5;
    const int end = (int)ceil(o) + 2;
    return i >= ih - 1 || end > h ? h : end;
}

struct resize_grad_at {
    const float *dy;
    float *dx;
    two_sizes s;
    __device__ void operator()(int at) const
    {
        const place p = place_of(at, s.th, s.tw, s.c);
        const int h0 = first_of(p.h, s.fh, s.th), h1 = end_of(p.h, s.fh, s.th);
        const int w0 = first_of(p.w, s.fw, s.tw), w1 = end_of(p.w, s.fw, s.tw);
        double sum = 0;
        for (int h = h0; h < h1; h++) {
            const double sh = share(h, s.fh, p.h, s.th);
            for (int w = w0; sh > 0 && w < w1; w++) {
                const double sw = share(w, s.fw, p.w, s.tw);
                if (sw > 0)
                    sum += sh * sw * (double)dy[((int64_t)(p.n * s.fh + h) * s.fw + w) * s.c + p.i];
            }
        }
        dx[at] = (float)sum;
    }
};

static fw_status resize_grad(const fwi_call *c)
{
    return each(c, elems(&c->out[0]),
                resize_grad_at{in<float>(c, 0), out<float>(c, 0), sizes_of(c)});
}

/* The middle of a larger image, or zeros around a smaller one. */
struct crop_at {
    const float *from;
    float *to;
    two_sizes s;
    int top, left; /* of to's corner in from; negative where from is the smaller one */
    __device__ void operator()(int at) const
    {
        const place p = place_of(at, s.th, s.tw, s.c);
        const int h = p.h + top, w = p.w + left;
        const bool inside = h >= 0 && h < s.fh && w >= 0 && w < s.fw;
        to[at] = inside ? from[((int64_t)(p.n * s.fh + h) * s.fw + w) * s.c + p.i] : 0.0f;
    }
};

static fw_status crop(const fwi_call *c)
{
    const two_sizes s = sizes_of(c);
    return each(
        c, elems(&c->out[0]),
        crop_at{in<float>(c, 0), out<float>(c, 0), s, (s.fh - s.th) / 2, (s.fw - s.tw) / 2});
}

static fw_status crop_grad(const fwi_call *c)
{
    const two_sizes s = sizes_of(c);
    return each(
        c, elems(&c->out[0]),
        crop_at{in<float>(c, 0), out<float>(c, 0), s, -((s.th - s.fh) / 2), -((s.tw - s.fw) / 2)});
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(resize)[] = {
    ROW(resize, FW_F32, "f32", resize, false),
    ROW(resize_grad, FW_F32, "f32", resize_grad, false),
    ROW(crop, FW_F32, "f32", crop, false),
    ROW(crop_grad, FW_F32, "f32", crop_grad, false),
    ROW_END,
};
