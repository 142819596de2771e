/* elementwise.cu: sums, scales and movement of elements; defined in cpu/ref/elementwise_body.h, held
 * to it by tests/ops/test_elementwise.c. add, scale and scale_by may write over input 0. */
#include "cuda_packs.h"

using namespace fwi_cuda;

struct sum_of {
    __device__ float operator()(float a, float b) const
    {
        return a + b;
    }
};

struct scaled {
    float s;
    __device__ float operator()(float x) const
    {
        return s * x;
    }
};

struct scaled_by {
    const float *s;
    __device__ float operator()(float x) const
    {
        return s[0] * x;
    }
};

/* y[r][0 : len] of rows as wide as cy from columns `begin` on of rows as wide as cx */
struct columns_at {
    const float *x;
    float *y;
    int cx, begin, len, cy, to;
    __device__ void operator()(int i) const
    {
        const int r = i / len, k = i % len;
        y[(int64_t)r * cy + to + k] = x[(int64_t)r * cx + begin + k];
    }
};

template <class T> struct copy_at {
    const T *x;
    T *y;
    __device__ void operator()(int i) const
    {
        y[i] = x[i];
    }
};

template <class T> struct fill_at {
    T *y;
    T v;
    __device__ void operator()(int i) const
    {
        y[i] = v;
    }
};

template <class T> static __device__ inline float converted(T v)
{
    return (float)v;
}
static __device__ inline float converted(int64_t v)
{
    return (float)(double)v; /* by way of double, as the definition */
}

template <class T> struct cast_at {
    const T *x;
    float *y;
    __device__ void operator()(int i) const
    {
        y[i] = converted(x[i]);
    }
};

template <class T> static fw_status add(const fwi_call *c)
{
    return map2<T>(c, sum_of{});
}

template <class T> static fw_status scale(const fwi_call *c)
{
    return map<T, T>(c, scaled{(float)c->attr->scalar.value});
}

static fw_status scale_by(const fwi_call *c)
{
    return map<float, float>(c, scaled_by{in<float>(c, 1)});
}

static fw_status concat(const fwi_call *c)
{
    const int ca = cols(&c->in[0]), cb = cols(&c->in[1]);
    const fw_status st = each(c, elems(&c->in[0]),
                              columns_at{in<float>(c, 0), out<float>(c, 0), ca, 0, ca, ca + cb, 0});
    if (st != FW_OK)
        return st;
    return each(c, elems(&c->in[1]),
                columns_at{in<float>(c, 1), out<float>(c, 0), cb, 0, cb, ca + cb, ca});
}

static fw_status slice(const fwi_call *c)
{
    const fwi_slice_attr *a = &c->attr->slice;
    return each(c, elems(&c->out[0]),
                columns_at{in<float>(c, 0), out<float>(c, 0), cols(&c->in[0]), (int)a->begin,
                           (int)a->len, (int)a->len, 0});
}

template <class T> static fw_status reshape(const fwi_call *c)
{
    return each(c, elems(&c->in[0]), copy_at<T>{in<T>(c, 0), out<T>(c, 0)});
}

template <class T> static fw_status fill(const fwi_call *c)
{
    return each(c, elems(&c->out[0]), fill_at<T>{out<T>(c, 0), (T)c->attr->fill.value});
}

template <class T> static fw_status cast(const fwi_call *c)
{
    return each(c, elems(&c->in[0]), cast_at<T>{in<T>(c, 0), out<float>(c, 0)});
}

static bool to_float(const fwi_call *c)
{
    return plain(c) && c->out[0].dtype == FW_F32;
}

#define CAST(type, text, T)                                                                        \
    {                                                                                              \
        FWI_OP_cast, type, cast<T>, nullptr, to_float, "cast_" text "_cuda", false, nullptr        \
    }

extern "C" const fwi_kernel FWI_CUDA_ROWS(elementwise)[] = {
    ROWS_IMAGES(add, add),
    ROWS_IMAGES(scale, scale),
    ROW(scale_by, FW_F32, "f32", scale_by, false),
    ROW(concat, FW_F32, "f32", concat, false),
    ROW(slice, FW_F32, "f32", slice, false),
    ROW(reshape, FW_F32, "f32", reshape<float>, false),
    ROW(reshape, FW_U8, "u8", reshape<uint8_t>, false),
    ROW(reshape, FW_I32, "i32", reshape<int32_t>, false),
    ROW(reshape, FW_I64, "i64", reshape<int64_t>, false),
    ROW(fill, FW_F32, "f32", fill<float>, false),
    ROW(fill, FW_U8, "u8", fill<uint8_t>, false),
    ROW(fill, FW_I32, "i32", fill<int32_t>, false),
    ROW(fill, FW_I64, "i64", fill<int64_t>, false),
    CAST(FW_F32, "f32", float),
    CAST(FW_F64, "f64", double),
    CAST(FW_U8, "u8", uint8_t),
    CAST(FW_I32, "i32", int32_t),
    CAST(FW_I64, "i64", int64_t),
    ROW_END,
};
