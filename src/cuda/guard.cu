/* guard.cu: see guard.h. Every block of a first kernel says whether its share of the gradients holds a
 * number that is not finite; one block of a second counts; the threads of a third put a word of the
 * state back each, if that is to be. Held to its definition by tests/cuda/test_guard.c. */
#include "cuda_kernel.h"
extern "C" {
#include "cuda_guard.h"
}

using namespace fwi_cuda;

enum { WORKERS = 256, MOST_BLOCKS = FWI_GUARD_WORDS - FWI_GUARD_PARTS };

static __device__ inline bool finite_bits(float x)
{
    return (bits_of_float(x) & 0x7F800000u) != 0x7F800000u;
}

static __global__ void look_kernel(const float *grads, int64_t n, int32_t *counts)
{
    __shared__ int room[WORKERS];
    int bad = 0;
    const int64_t all = (int64_t)gridDim.x * WORKERS;
    for (int64_t i = (int64_t)blockIdx.x * WORKERS + threadIdx.x; i < n; i += all)
        bad |= finite_bits(grads[i]) ? 0 : 1;
    bad = block_sum<WORKERS>(bad, room);
    if (threadIdx.x == 0)
        counts[FWI_GUARD_PARTS + blockIdx.x] = bad;
}

static __global__ void count_kernel(int blocks, int32_t *counts)
{
    __shared__ int room[WORKERS];
    int bad = (int)threadIdx.x < blocks && counts[FWI_GUARD_PARTS + threadIdx.x] != 0 ? 1 : 0;
    bad = block_sum<WORKERS>(bad, room);
    if (threadIdx.x != 0)
        return;
    counts[FWI_GUARD_BAD] = bad > 0;
    counts[FWI_GUARD_ROW] = bad > 0 ? counts[FWI_GUARD_ROW] + 1 : 0;
    counts[FWI_GUARD_ALL] += bad > 0;
}

/* to = from, word by word, unless *if_set is 0; NULL: always. */
struct copy_at {
    const uint32_t *from;
    uint32_t *to;
    const int32_t *if_set;
    __device__ void operator()(int i) const
    {
        if (if_set == nullptr || *if_set != 0)
            to[i] = from[i];
    }
};

struct clear_at {
    float *x;
    const int32_t *if_set;
    __device__ void operator()(int i) const
    {
        if (*if_set != 0)
            x[i] = 0;
    }
};

static fw_status copy(void *stream, const fwi_guard *g, const void *from, void *to,
                      const int32_t *if_set)
{
    const fwi_call call = call_on(stream);
    const size_t words = g->n_bytes / sizeof(uint32_t);
    if (words > INT32_MAX)
        return fwi_fail(FW_ESHAPE, "a state of %zu bytes is too large to be kept", g->n_bytes);
    return each(&call, (int)words, copy_at{(const uint32_t *)from, (uint32_t *)to, if_set});
}

extern "C" fw_status fwi_cuda_guard_keep(void *stream, const fwi_guard *g)
{
    return copy(stream, g, g->state, g->kept, nullptr);
}

extern "C" fw_status fwi_cuda_guard_judge(void *stream, const fwi_guard *g)
{
    const fwi_call call = call_on(stream);
    const int64_t n = (int64_t)g->n_grads, wanted = (n + 4 * WORKERS - 1) / (4 * WORKERS);
    const int blocks = (int)(wanted < 1 ? 1 : wanted > MOST_BLOCKS ? (int64_t)MOST_BLOCKS : wanted);
    fw_status st = launch(&call, look_kernel, dim3((unsigned)blocks), dim3(WORKERS),
                          (const float *)g->grads, n, g->counts);
    if (st == FW_OK)
        st = launch(&call, count_kernel, dim3(1), dim3(WORKERS), blocks, g->counts);
    if (st == FW_OK)
        st = copy(stream, g, g->kept, g->state, g->counts + FWI_GUARD_BAD);
    if (st == FW_OK && n > INT32_MAX)
        st = fwi_fail(FW_ESHAPE, "%zu gradients are too many to be looked at", g->n_grads);
    if (st == FW_OK)
        st = each(&call, (int)n, clear_at{g->grads, g->counts + FWI_GUARD_BAD});
    return st == FW_OK ? st : fwi_fail_in(st, "undoing a step");
}
