/* act.cu: activations; defined in cpu/ref/act_body.h, held to it by tests/ops/test_act.c. Each
 * output may be the memory of input 0. */
#include "cuda_act_functions.h"

using namespace fwi_cuda;

template <class T> struct relu_at {
    const T *x;
    T *y;
    __device__ void operator()(int i) const
    {
        const float v = get(x, i);
        put(y, i, v < 0 ? 0.0f : v);
    }
};

template <class T> struct relu_grad_at {
    const T *dy, *y;
    T *dx;
    __device__ void operator()(int i) const
    {
        put(dx, i, get(y, i) <= 0 ? 0.0f : get(dy, i));
    }
};

template <class T> struct act_at {
    const T *x;
    T *y;
    act_fn fn;
    __device__ void operator()(int i) const
    {
        put(y, i, act_value(fn, get(x, i)));
    }
};

template <class T> struct act_grad_at {
    const T *dy, *x;
    T *dx;
    act_fn fn;
    __device__ void operator()(int i) const
    {
        put(dx, i, act_back(fn, get(x, i), get(dy, i)));
    }
};

static act_fn fn_of(const fwi_call *c)
{
    return act_fn{(int)c->attr->act.fn, (float)c->attr->act.alpha};
}

template <class T> static fw_status relu(const fwi_call *c)
{
    return each(c, elems(&c->in[0]), relu_at<T>{in<T>(c, 0), out<T>(c, 0)});
}

template <class T> static fw_status relu_grad(const fwi_call *c)
{
    return each(c, elems(&c->in[0]), relu_grad_at<T>{in<T>(c, 0), in<T>(c, 1), out<T>(c, 0)});
}

template <class T> static fw_status act(const fwi_call *c)
{
    return each(c, elems(&c->in[0]), act_at<T>{in<T>(c, 0), out<T>(c, 0), fn_of(c)});
}

template <class T> static fw_status act_grad(const fwi_call *c)
{
    return each(c, elems(&c->in[0]),
                act_grad_at<T>{in<T>(c, 0), in<T>(c, 1), out<T>(c, 0), fn_of(c)});
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(act)[] = {
    ROWS_IMAGES(relu, relu),
    ROWS_IMAGES(relu_grad, relu_grad),
    ROWS_IMAGES(act, act),
    ROWS_IMAGES(act_grad, act_grad),
    ROW_END,
};
