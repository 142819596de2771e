/* act.cu: activations; defined in cpu/ref/act_body.h, held to it by tests/ops/test_act.c. Each
 * output may be the memory of input 0. */
#include "cuda_act_functions.h"
#include "cuda_packs.h"

using namespace fwi_cuda;

struct relu_of {
    __device__ float operator()(float x) const
    {
        return x < 0 ? 0.0f : x;
    }
};

struct relu_back {
    __device__ float operator()(float dy, float y) const
    {
        return y <= 0 ? 0.0f : dy;
    }
};

struct act_of {
    act_fn fn;
    __device__ float operator()(float x) const
    {
        return act_value(fn, x);
    }
};

struct act_back_of {
    act_fn fn;
    __device__ float operator()(float dy, float x) const
    {
        return act_back(fn, x, dy);
    }
};

static act_fn fn_of(const fwi_call *c)
{
    return act_fn{(int)c->attr->act.fn, (float)c->attr->act.alpha};
}

template <class T> static fw_status relu(const fwi_call *c)
{
    return map<T, T>(c, relu_of{});
}

template <class T> static fw_status relu_grad(const fwi_call *c)
{
    return map2<T>(c, relu_back{});
}

template <class T> static fw_status act(const fwi_call *c)
{
    return map<T, T>(c, act_of{fn_of(c)});
}

template <class T> static fw_status act_grad(const fwi_call *c)
{
    return map2<T>(c, act_back_of{fn_of(c)});
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(act)[] = {
    ROWS_IMAGES(relu, relu),
    ROWS_IMAGES(relu_grad, relu_grad),
    ROWS_IMAGES(act, act),
    ROWS_IMAGES(act_grad, act_grad),
    ROW_END,
};
