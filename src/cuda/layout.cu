/* layout.cu: from n h w c in f32 to what a lowered graph stores, and back. Blocks of one image are
 * n h w c themselves, so only the type changes. Defined in cpu/ref/layout.c. */
#include "cuda_packs.h"

using namespace fwi_cuda;

struct same {
    __device__ float operator()(float x) const
    {
        return x;
    }
};

template <class X, class Y> static fw_status convert(const fwi_call *c)
{
    return map<X, Y>(c, same{});
}

static fw_status to_blocked(const fwi_call *c)
{
    switch (c->out[0].dtype) {
    case FW_BF16:
        return convert<float, bf16>(c);
    case FW_F16:
        return convert<float, f16>(c);
    default:
        return convert<float, float>(c);
    }
}

template <class T> static fw_status from_blocked(const fwi_call *c)
{
    return convert<T, float>(c);
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(layout)[] = {
    ROW(to_blocked, FW_F32, "f32", to_blocked, true),
    ROW(from_blocked, FW_F32, "f32", from_blocked<float>, true),
    ROW(from_blocked, FW_BF16, "bf16", from_blocked<bf16>, true),
    ROW(from_blocked, FW_F16, "f16", from_blocked<f16>, true),
    ROW_END,
};
