/* load.cu: see cuda_load.h. What is summed goes to memory at the end, so that no compiler leaves it out;
 * that it is what the rounds give is held by tests/cuda/test_load.c. */
#include "cuda_packs.h"
extern "C" {
#include "cuda_load.h"
}

using namespace fwi_cuda;

/* Chains of a thread that wait for nothing but themselves: enough to hide an adder's latency. Blocks of
 * a multiprocessor: as many threads as it holds. */
enum { CHAINS = 8, PER_SM = 8, AT_ONCE = 4 };

static unsigned blocks_on(void *stream)
{
    const int n_sm = stream == nullptr ? 1 : ((const fwi_cuda_stream *)stream)->n_sm;
    return (unsigned)((n_sm > 0 ? n_sm : 1) * PER_SM);
}

/* Every chain goes to 1 from wherever it begins. */
static __global__ void fma_kernel(int64_t rounds, float *out)
{
    const unsigned at = blockIdx.x * (unsigned)EACH + threadIdx.x;
    float x[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        x[i] = (float)(threadIdx.x % 32u) * 0.125f + (float)i;
    for (int64_t k = 0; k < rounds; k++)
        for (int i = 0; i < CHAINS; i++)
            x[i] = fmaf(x[i], 0.5f, 0.5f);
    for (int i = 1; i < CHAINS; i++)
        x[0] += x[i];
    out[at] = x[0];
}

static __global__ void hold_kernel(int64_t rounds, float *out)
{
    float x = 0;
    for (int64_t k = 0; k < rounds; k++)
        x = fmaf(x, 0.5f, 0.5f);
    out[0] = x;
}

/* Neighbours read neighbours; each thread has several reads on the way. */
static __global__ void read_kernel(const quad *from, int64_t n, uint32_t *out)
{
    const int64_t all = (int64_t)gridDim.x * EACH;
    const int64_t first = (int64_t)blockIdx.x * EACH + threadIdx.x;
    uint32_t sum = 0;
    int64_t i = first;
    for (; i + (AT_ONCE - 1) * all < n; i += AT_ONCE * all) {
        quad q[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++)
            q[k] = from[i + k * all];
        for (int k = 0; k < AT_ONCE; k++)
            sum += q[k].w[0] + q[k].w[1] + q[k].w[2] + q[k].w[3];
    }
    for (; i < n; i += all)
        sum += from[i].w[0] + from[i].w[1] + from[i].w[2] + from[i].w[3];
    out[first] = sum;
}

static __global__ void copy_kernel(const quad *from, quad *to, int64_t n)
{
    const int64_t all = (int64_t)gridDim.x * EACH;
    int64_t i = (int64_t)blockIdx.x * EACH + threadIdx.x;
    for (; i + (AT_ONCE - 1) * all < n; i += AT_ONCE * all) {
        quad q[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++)
            q[k] = from[i + k * all];
        for (int k = 0; k < AT_ONCE; k++)
            to[i + k * all] = q[k];
    }
    for (; i < n; i += all)
        to[i] = from[i];
}

template <class T> static __global__ void noise_kernel(T *to, int64_t n)
{
    const int64_t all = (int64_t)gridDim.x * EACH;
    for (int64_t i = (int64_t)blockIdx.x * EACH + threadIdx.x; i < n; i += all) {
        uint32_t h = (uint32_t)i * 2654435761u;
        h = (h ^ h >> 16) * 2246822507u;
        h = (h ^ h >> 13) * 3266489909u;
        h ^= h >> 16;
        put(to, i, (float)(h >> 8) * (1.0f / 8388608.0f) - 1.0f);
    }
}

/* Memory of a load that reads or copies: `size` bytes, for a copy as many again, and behind them a word
 * of each thread. */
extern "C" fw_status fwi_cuda_load_plan(void *stream, fwi_load *load)
{
    const int64_t threads = (int64_t)blocks_on(stream) * EACH;
    const size_t words = (size_t)threads * sizeof(float);
    switch (load->kind) {
    case FWI_LOAD_F32:
        load->bytes = words;
        load->work = 2.0 * CHAINS * (double)threads * (double)load->size;
        return FW_OK;
    case FWI_LOAD_READ:
        load->bytes = (size_t)load->size + words;
        load->work = (double)load->size;
        return FW_OK;
    case FWI_LOAD_COPY:
        load->bytes = 2 * (size_t)load->size;
        load->work = 2.0 * (double)load->size;
        return FW_OK;
    default:
        return fwi_fail(FW_EUNAVAILABLE, "no kernel of our own multiplies on tensor cores alone");
    }
}

extern "C" fw_status fwi_cuda_load_noise(void *stream, void *to, fw_dtype dtype, int64_t n)
{
    const fwi_call c = call_on(stream);
    const dim3 grid(blocks_on(stream)), block((unsigned)EACH);
    if (dtype == FW_BF16)
        return launch_alone(&c, noise_kernel<bf16>, grid, block, (bf16 *)to, n);
    if (dtype == FW_F16)
        return launch_alone(&c, noise_kernel<f16>, grid, block, (f16 *)to, n);
    return launch_alone(&c, noise_kernel<float>, grid, block, (float *)to, n);
}

extern "C" fw_status fwi_cuda_load_run(void *stream, const fwi_load *load)
{
    const fwi_call c = call_on(stream);
    const dim3 grid(blocks_on(stream)), block((unsigned)EACH);
    char *const memory = (char *)load->memory;
    const int64_t n = load->size / (int64_t)sizeof(quad);
    if (load->kind == FWI_LOAD_F32)
        return launch_alone(&c, fma_kernel, grid, block, load->size, (float *)load->memory);
    if (load->kind == FWI_LOAD_READ)
        return launch_alone(&c, read_kernel, grid, block, (const quad *)load->memory, n,
                            (uint32_t *)(memory + load->size));
    return launch_alone(&c, copy_kernel, grid, block, (const quad *)load->memory,
                        (quad *)(memory + load->size), n);
}

extern "C" fw_status fwi_cuda_load_hold(void *stream, int64_t rounds, float *room)
{
    const fwi_call c = call_on(stream);
    return launch_alone(&c, hold_kernel, dim3(1), dim3(1), rounds, room);
}
