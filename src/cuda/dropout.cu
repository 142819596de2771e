/* dropout.cu: which elements stay is a function of (seed, step, ordinal, element), the same on every
 * device; defined in cpu/ref/dropout_body.h, held to it by tests/ops/test_dropout.c. y may be x's
 * memory. A thread has the four elements that one block of random words decides. */
#include "cuda_rng.h"

using namespace fwi_cuda;

struct dropout_at {
    const float *x;
    const int64_t *rng;
    float *y;
    double p;
    uint32_t ordinal;
    int n;
    __device__ void operator()(int block) const
    {
        const words4 r = rng_block((uint64_t)rng[0], FWI_RNG_DROPOUT, ordinal,
                                   (uint64_t)rng[1] << 32 | (uint64_t)block, 0);
        for (int j = 0; j < 4 && block * 4 + j < n; j++) {
            const int i = block * 4 + j;
            y[i] = unit(r.w[j]) >= p ? (float)((double)x[i] / (1.0 - p)) : 0.0f;
        }
    }
};

static fw_status dropout(const fwi_call *c)
{
    const int n = elems(&c->in[0]);
    return each(c, (n + 3) / 4,
                dropout_at{in<float>(c, 0), in<int64_t>(c, 1), out<float>(c, 0), c->attr->dropout.p,
                           (uint32_t)c->attr->dropout.ordinal, n});
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(dropout)[] = {
    ROW(dropout, FW_F32, "f32", dropout, false),
    ROW_END,
};
