/* xent.cu: softmax, cross-entropy and hits; defined in cpu/ref/xent_body.h, held to it by
 * tests/ops/test_xent.c. One thread per row and in double, as the definition: a head has a few
 * thousand numbers, and a loss that is off by a rounding would hide errors elsewhere. */
#include "cuda_kernel.h"

using namespace fwi_cuda;

enum { WORKERS = 256 };

static __device__ double log_sum_exp(const float *x, int k)
{
    double max = (double)x[0], sum = 0;
    for (int i = 1; i < k; i++)
        if ((double)x[i] > max)
            max = (double)x[i];
    for (int i = 0; i < k; i++)
        sum += exp((double)x[i] - max);
    return max + log(sum);
}

struct row_loss_at {
    const float *x;
    const int32_t *labels;
    float *rows;
    double *wide; /* the same before it is rounded */
    int k;
    double smoothing;
    __device__ void operator()(int r) const
    {
        const float *row = x + (int64_t)r * k;
        const int label = labels[r];
        double loss = 0;
        if (label < -1 || label >= k)
            loss = (double)NAN;
        else if (label >= 0) {
            const double lse = log_sum_exp(row, k);
            loss = (1.0 - smoothing) * (lse - (double)row[label]);
            if (smoothing > 0) { /* else -inf among the logits would give 0 * inf */
                double others = 0;
                for (int i = 0; i < k; i++)
                    others += lse - (double)row[i];
                loss += smoothing * others / (double)k;
            }
        }
        rows[r] = (float)loss;
        wide[r] = loss;
    }
};

/* One block: the sum of rows times their weight. */
static __global__ void total_kernel(const double *wide, const int32_t *labels, int n, int mean,
                                    float *loss)
{
    __shared__ double room[WORKERS];
    double sum = 0, counted = 0;
    for (int r = (int)threadIdx.x; r < n; r += WORKERS) {
        sum += wide[r];
        counted += labels[r] != -1;
    }
    sum = block_sum<WORKERS>(sum, room);
    counted = block_sum<WORKERS>(counted, room);
    if (threadIdx.x == 0)
        loss[0] = (float)(sum * (counted == 0 ? 0.0 : mean ? 1.0 / counted : 1.0));
}

static size_t wide_room(const fwi_call *c)
{
    return (size_t)c->in[0].shape.d[0] * sizeof(double);
}

static fw_status xent(const fwi_call *c)
{
    const int n = (int)c->in[0].shape.d[0], k = cols(&c->in[0]);
    double *const wide = (double *)c->scratch;
    const fw_status st = each(c, n,
                              row_loss_at{in<float>(c, 0), in<int32_t>(c, 1), out<float>(c, 1),
                                          wide, k, c->attr->xent.smoothing});
    if (st != FW_OK)
        return st;
    return launch(c, total_kernel, dim3(1), dim3(WORKERS), (const double *)wide, in<int32_t>(c, 1),
                  n, (int)c->attr->xent.mean, out<float>(c, 0));
}

/* How many rows are not masked, in scratch. */
static __global__ void count_kernel(const int32_t *labels, int n, double *count)
{
    __shared__ double room[WORKERS];
    double counted = 0;
    for (int r = (int)threadIdx.x; r < n; r += WORKERS)
        counted += labels[r] != -1;
    counted = block_sum<WORKERS>(counted, room);
    if (threadIdx.x == 0)
        count[0] = counted;
}

struct xent_grad_at {
    const float *x;
    const int32_t *labels;
    const float *dloss;
    const double *count;
    float *dx;
    int k, mean;
    double smoothing;
    __device__ void operator()(int r) const
    {
        const int label = labels[r];
        const bool masked = label == -1, bad = label < -1 || label >= k;
        const double weight = count[0] == 0 ? 0.0 : mean ? 1.0 / count[0] : 1.0;
        const double g = (double)dloss[0] * weight;
        const int64_t at = (int64_t)r * k;
        const double lse = masked || bad ? 0 : log_sum_exp(x + at, k);
        for (int i = 0; i < k; i++) {
            const double target = (i == label ? 1.0 - smoothing : 0.0) + smoothing / (double)k;
            const double d = g * (exp((double)x[at + i] - lse) - target);
            dx[at + i] = masked ? 0.0f : bad ? (float)NAN : (float)d;
        }
    }
};

static size_t count_room(const fwi_call *c)
{
    (void)c;
    return sizeof(double);
}

static fw_status xent_grad(const fwi_call *c)
{
    const int n = (int)c->in[0].shape.d[0];
    double *const count = (double *)c->scratch;
    const fw_status st =
        launch(c, count_kernel, dim3(1), dim3(WORKERS), in<int32_t>(c, 1), n, count);
    if (st != FW_OK)
        return st;
    return each(c, n,
                xent_grad_at{in<float>(c, 0), in<int32_t>(c, 1), in<float>(c, 2), count,
                             out<float>(c, 0), cols(&c->in[0]), (int)c->attr->xent.mean,
                             c->attr->xent.smoothing});
}

struct softmax_at {
    const float *x;
    float *y;
    int k;
    __device__ void operator()(int r) const
    {
        const int64_t at = (int64_t)r * k;
        const double lse = log_sum_exp(x + at, k);
        for (int i = 0; i < k; i++)
            y[at + i] = (float)exp((double)x[at + i] - lse);
    }
};

static fw_status softmax(const fwi_call *c)
{
    return each(c, (int)c->in[0].shape.d[0],
                softmax_at{in<float>(c, 0), out<float>(c, 0), cols(&c->in[0])});
}

/* One block; whole numbers, so every order gives the same sum. */
static __global__ void correct_kernel(const float *x, const int32_t *labels, int n, int k, float *y)
{
    __shared__ double room[WORKERS];
    double hits = 0;
    for (int r = (int)threadIdx.x; r < n; r += WORKERS) {
        const float *row = x + (int64_t)r * k;
        int best = 0;
        bool nan = false;
        for (int i = 0; i < k; i++) {
            if (row[i] > row[best])
                best = i;
            nan = nan || row[i] != row[i];
        }
        hits += !nan && best == labels[r];
    }
    hits = block_sum<WORKERS>(hits, room);
    if (threadIdx.x == 0)
        y[0] = (float)hits;
}

static fw_status count_correct(const fwi_call *c)
{
    return launch(c, correct_kernel, dim3(1), dim3(WORKERS), in<float>(c, 0), in<int32_t>(c, 1),
                  (int)c->in[0].shape.d[0], cols(&c->in[0]), out<float>(c, 0));
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(xent)[] = {
    ROW_S(softmax_xent, FW_F32, "f32", xent, wide_room, false),
    ROW_S(softmax_xent_grad, FW_F32, "f32", xent_grad, count_room, false),
    ROW(softmax, FW_F32, "f32", softmax, false),
    ROW(count_correct, FW_F32, "f32", count_correct, false),
    ROW_END,
};
