/* score.cu: see score.h; defined by train/tta.c, held to it bit by bit by tests/cuda/test_score.c. One
 * thread per row and in double, as xent.cu and for the same reason: a head has a few thousand numbers. */
#include "cuda_kernel.h"
extern "C" {
#include "cuda_score.h"
}

using namespace fwi_cuda;

template <class T> static __device__ int first_maximum(const T *x, int k)
{
    int best = 0;
    for (int i = 1; i < k; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

struct score_at {
    fwi_score_job job;
    __device__ void operator()(int r) const
    {
        const int k = (int)job.k, label = job.labels[r];
        const float *x = job.logits + (int64_t)r * k;
        double *s = job.sum + (int64_t)r * k;
        fwi_verdict *v = job.left + *job.turn * job.n + r;
        for (int i = 0; i < k; i++)
            s[i] = (job.first ? 0 : s[i]) + job.weight * (double)x[i];
        if (job.first)
            v->plain = first_maximum(x, k);
        if (!job.last)
            return;
        const int best = first_maximum(s, k);
        const double max = s[best];
        double sum = 0, others = 0, loss = 0;
        for (int i = 0; i < k; i++)
            sum += exp(s[i] - max);
        if (label >= 0 && label < k) {
            const double log_sum = max + log(sum);
            if (job.smoothing > 0)
                for (int i = 0; i < k; i++)
                    others += log_sum - s[i];
            loss = (1 - job.smoothing) * (log_sum - s[label]) + job.smoothing * others / (double)k;
        }
        v->loss = loss;
        v->confidence = sum != sum ? -1 : 1 / sum;
        v->best = best;
    }
};

/* A launch takes its stream from a call. No op stands behind this one. */
extern "C" fw_status fwi_cuda_score(void *stream, const fwi_score_job *job)
{
    if (job->n > INT32_MAX || job->k > INT32_MAX)
        return fwi_fail(FW_ESHAPE, "%lld rows of %lld logits are too many", (long long)job->n,
                        (long long)job->k);
    const fwi_call call = call_on(stream);
    const fw_status st = each(&call, (int)job->n, score_at{*job});
    return st == FW_OK ? st : fwi_fail_in(st, "views");
}
