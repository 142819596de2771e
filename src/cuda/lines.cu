/* lines.cu: see lines.h. Lines of a step are short, some hundred bytes, so one block copies all parts, and
 * nobody passes the turn on before everybody has read whose it is. Long ones are copied by as many blocks as
 * they are worth, where it is not the turn's end. Held to its definition by tests/cuda/test_lines.c. */
#include "cuda_kernel.h"
extern "C" {
#include "cuda_lines.h"
}

using namespace fwi_cuda;

enum { WORKERS = 128, BLOCK_WORDS = 16 * WORKERS, MOST_BLOCKS = 1024 };

static __global__ void move_kernel(fwi_line_job job)
{
    const size_t line = (size_t)*job.turn;
    for (int k = 0; k < job.n; k++) {
        const fwi_line_part &p = job.part[k];
        const uint32_t *from = (const uint32_t *)((const char *)p.from + line * p.from_stride);
        uint32_t *to = (uint32_t *)((char *)p.to + line * p.to_stride);
        const size_t all = (size_t)gridDim.x * WORKERS;
        for (size_t i = (size_t)blockIdx.x * WORKERS + threadIdx.x; i < p.n_bytes / sizeof *to;
             i += all)
            to[i] = from[i];
    }
    __syncthreads();
    if (job.last && threadIdx.x == 0)
        *job.turn = (int32_t)line + 1;
}

static unsigned blocks_for(const fwi_line_job *job)
{
    size_t words = 0;
    for (int k = 0; k < job->n; k++)
        if (job->part[k].n_bytes / sizeof(uint32_t) > words)
            words = job->part[k].n_bytes / sizeof(uint32_t);
    const size_t wanted = (words + BLOCK_WORDS - 1) / BLOCK_WORDS;
    return job->last || wanted < 1 ? 1
           : wanted > MOST_BLOCKS  ? (unsigned)MOST_BLOCKS
                                   : (unsigned)wanted;
}

extern "C" fw_status fwi_cuda_lines_move(void *stream, const fwi_line_job *job)
{
    const fwi_call call = call_on(stream);
    const fw_status st = launch(&call, move_kernel, dim3(blocks_for(job)), dim3(WORKERS), *job);
    return st == FW_OK ? st : fwi_fail_in(st, "a step's line");
}
