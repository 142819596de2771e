/* bias.cu: a value per channel added to every row, and its gradient; defined in cpu/ref/bias_body.h,
 * held to it by tests/ops/test_bias.c. With an activation: bias_act, defined in
 * cpu/ref/fused_body.h, tests/ops/test_fused.c. */
#include "cuda_act_functions.h"
#include "cuda_channels.h"

using namespace fwi_cuda;

/* act(x + b); y may be x's memory */
template <class T> struct bias_at {
    const T *x;
    const float *b;
    T *y;
    int c;
    act_fn fn;
    __device__ void operator()(int i) const
    {
        put(y, i, act_value(fn, get(x, i) + b[i % c]));
    }
};

template <class T> struct bias_act_grad_at {
    const T *dy, *x;
    const float *b;
    T *dx;
    int c;
    act_fn fn;
    __device__ void operator()(int i) const
    {
        put(dx, i, act_back(fn, get(x, i) + b[i % c], get(dy, i)));
    }
};

template <class T> struct row_sum {
    const T *x;
    int c;
    __device__ void operator()(int r, int i, float *sums) const
    {
        sums[0] += get(x, (int64_t)r * c + i);
    }
};

template <class T> struct bias_act_sum {
    const T *dy, *x;
    const float *b;
    int c;
    act_fn fn;
    __device__ void operator()(int r, int i, float *sums) const
    {
        const int64_t at = (int64_t)r * c + i;
        sums[0] += act_back(fn, get(x, at) + b[i], get(dy, at));
    }
};

struct store_sum {
    float *y;
    __device__ void operator()(int group, int i, const double *sums) const
    {
        (void)group;
        y[i] = (float)sums[0];
    }
};

static act_fn fn_of(const fwi_call *c)
{
    return c->kind == FWI_OP_bias_add ? act_fn{FWI_FUSED_IDENTITY, 0}
                                      : act_fn{(int)c->attr->act.fn, (float)c->attr->act.alpha};
}

template <class T> static fw_status bias(const fwi_call *c)
{
    return each(c, elems(&c->in[0]),
                bias_at<T>{in<T>(c, 0), in<float>(c, 1), out<T>(c, 0), cols(&c->in[0]), fn_of(c)});
}

static channel_cut cut(const fwi_arg *x)
{
    return cut_of(1, rows(x), cols(x));
}

template <class T> static size_t sum_rows_room(const fwi_call *c)
{
    return channel_room(cut(&c->in[0]), 1) * sizeof(float);
}

template <class T> static fw_status sum_rows(const fwi_call *c)
{
    return channel_sums<1>(c, cut(&c->in[0]), row_sum<T>{in<T>(c, 0), cols(&c->in[0])},
                           store_sum{out<float>(c, 0)}, (float *)c->scratch);
}

/* The sum first: dx may be dy's memory. */
template <class T> static fw_status bias_act_grad(const fwi_call *c)
{
    const int n_c = cols(&c->in[1]);
    const fw_status st =
        channel_sums<1>(c, cut(&c->in[1]),
                        bias_act_sum<T>{in<T>(c, 0), in<T>(c, 1), in<float>(c, 2), n_c, fn_of(c)},
                        store_sum{out<float>(c, 1)}, (float *)c->scratch);
    if (st != FW_OK)
        return st;
    return each(c, elems(&c->in[0]),
                bias_act_grad_at<T>{in<T>(c, 0), in<T>(c, 1), in<float>(c, 2), out<T>(c, 0), n_c,
                                    fn_of(c)});
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(bias)[] = {
    ROWS_IMAGES(bias_add, bias),
    ROWS_IMAGES_S(sum_rows, sum_rows, sum_rows_room),
    ROWS_IMAGES(bias_act, bias),
    ROWS_IMAGES_S(bias_act_grad, bias_act_grad, sum_rows_room),
    ROW_END,
};
