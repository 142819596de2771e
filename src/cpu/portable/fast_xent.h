/* fast_xent.h: softmax, cross-entropy and its gradient, a task for some rows. Included once per
 * element type and instruction set. Definitions, masked and impossible labels: cpu/ref/xent_body.h.
 * Exponentials are taken of several short rows together, or of a long one, so that they are vector
 * code in float (fast_math.h: 2 ulp) whatever the number of classes. They are added up in float by
 * XENT_RUN of them in XENT_LANES lanes; all else is double: the sum of these, its logarithm, a row's
 * loss, the sum over rows. */
#include "fast_math.h"

#ifndef XENT_RUN
enum {
    XENT_LANES = 16,
    XENT_RUN = 512,
    XENT_TASK = 8192 /* exponentials of a task, about 10 us */
};
#define XENT_RUN XENT_RUN

typedef struct xent_back {
    const fwi_call *c;
    double g; /* gradient of the loss, times the weight of a row */
} xent_back;

static inline int64_t xent_rows_each(const fwi_call *c)
{
    const int64_t k = c->in[0].shape.d[1];
    return k >= XENT_TASK ? 1 : XENT_TASK / k;
}

/* Rows whose exponentials are taken together. */
static inline int64_t xent_run_rows(int64_t k, int64_t left)
{
    return min_i64(max_i64(1, XENT_RUN / k), left);
}

static fw_status xent_run(const fwi_call *c, fwi_loop_fn fn, void *arg)
{
    fwi_pool_for(c->pool, parts_of(c->in[0].shape.d[0], xent_rows_each(c)), fn, arg);
    return FW_OK;
}

/* What a sum over rows is multiplied with: 1, or for the mean 1 / (rows not masked); 0 if none. */
static double xent_weight(const fwi_call *c)
{
    const int32_t *const labels = c->in[1].data;
    const int64_t n = c->in[1].shape.d[0];
    int64_t counted = 0;
    for (int64_t r = 0; r < n; r++)
        counted += labels[r] != -1;
    return counted == 0 ? 0.0 : c->attr->xent.mean ? 1.0 / (double)counted : 1.0;
}
#endif

static REAL NAME(row_max)(const REAL *x, int64_t k)
{
    REAL max = x[0];
    for (int64_t i = 1; i < k; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

/* e = x - max; may be the same memory. A NaN among x stays one. */
static void NAME(row_shift)(const REAL *x, int64_t k, REAL max, REAL *e)
{
    INDEPENDENT
    for (int64_t i = 0; i < k; i++)
        e[i] = x[i] - max;
}

/* e = exp(e), of values that are not above 0. */
static void NAME(exp_run)(int64_t n, REAL *e)
{
    for (int64_t i = 0; i < n; i++)
#if LANES_F64
        e[i] = exp(e[i]);
#else
        e[i] = exp_neg(e[i]);
#endif
}

static double NAME(exp_sum)(int64_t n, const REAL *e)
{
    double sum = 0;
    int64_t i = 0;
    while (i + XENT_LANES <= n) {
        REAL lane[XENT_LANES] = {0};
        const int64_t end = min_i64(i + XENT_RUN, n);
        for (; i + XENT_LANES <= end; i += XENT_LANES)
            for (int j = 0; j < XENT_LANES; j++)
                lane[j] += e[i + j];
        for (int j = 0; j < XENT_LANES; j++)
            sum += (double)lane[j];
    }
    for (; i < n; i++)
        sum += (double)e[i];
    return sum;
}

/* ---- loss ---- */

static double NAME(row_loss)(const REAL *x, int64_t k, int32_t label, double lse, double smoothing)
{
    double loss = (1.0 - smoothing) * (lse - (double)x[label]);
    if (smoothing > 0) { /* else -inf among the logits would give 0 * inf */
        double others = 0;
        for (int64_t i = 0; i < k; i++)
            others += lse - (double)x[i];
        loss += smoothing * others / (double)k;
    }
    return loss;
}

/* sum[r]: of the exponentials of row r, less its maximum, which goes to max[r]. */
static void NAME(exp_sums)(const REAL *x, int64_t rows, int64_t k, REAL *max, double *sum)
{
    _Alignas(64) REAL e[XENT_RUN];
    for (int64_t r = 0; r < rows; r++) {
        max[r] = NAME(row_max)(x + r * k, k);
        sum[r] = 0;
        if (k <= XENT_RUN)
            NAME(row_shift)(x + r * k, k, max[r], e + r * k);
        for (int64_t i = 0, n; k > XENT_RUN && i < k; i += n) { /* and this is the only row */
            n = min_i64(XENT_RUN, k - i);
            NAME(row_shift)(x + i, n, max[r], e);
            NAME(exp_run)(n, e);
            sum[r] += NAME(exp_sum)(n, e);
        }
    }
    if (k > XENT_RUN)
        return;
    NAME(exp_run)(rows * k, e);
    for (int64_t r = 0; r < rows; r++)
        sum[r] = NAME(exp_sum)(k, e + r * k);
}

static void NAME(xent_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const int64_t n = c->in[0].shape.d[0], k = c->in[0].shape.d[1], each = xent_rows_each(c);
    const int64_t end = min_i64((part + 1) * each, n);
    const REAL *const x = c->in[0].data;
    const int32_t *const labels = c->in[1].data;
    REAL *const rows = c->out[1].data, max[XENT_RUN];
    double *const exact = c->scratch, sum[XENT_RUN];
    for (int64_t r = part * each, m; r < end; r += m) {
        m = xent_run_rows(k, end - r);
        NAME(exp_sums)(x + r * k, m, k, max, sum);
        for (int64_t i = r; i < r + m; i++) {
            const bool bad = labels[i] < -1 || labels[i] >= k;
            const double lse = (double)max[i - r] + log(sum[i - r]);
            exact[i] = bad ? (double)NAN
                       : labels[i] < 0
                           ? 0.0
                           : NAME(row_loss)(x + i * k, k, labels[i], lse, c->attr->xent.smoothing);
            rows[i] = (REAL)exact[i];
        }
    }
}

size_t FN(softmax_xent_scratch)(const fwi_call *c)
{
    return (size_t)c->in[0].shape.d[0] * sizeof(double);
}

fw_status FN(softmax_xent)(const fwi_call *c)
{
    const fw_status st = xent_run(c, NAME(xent_part), (void *)c);
    const double *const exact = c->scratch;
    double total = 0;
    for (int64_t r = 0; r < c->in[0].shape.d[0]; r++)
        total += exact[r];
    *(REAL *)c->out[0].data = (REAL)(total * xent_weight(c));
    return st;
}

/* ---- gradient and probabilities: exponentials lie where the output will ---- */

static void NAME(exp_rows)(const REAL *x, int64_t rows, int64_t k, REAL *e)
{
    for (int64_t r = 0; r < rows; r++)
        NAME(row_shift)(x + r * k, k, NAME(row_max)(x + r * k, k), e + r * k);
    NAME(exp_run)(rows * k, e);
}

/* dx: the row's exponentials, then its gradient. */
static void NAME(row_grad)(REAL *dx, int64_t k, int32_t label, double smoothing, double g)
{
    if (label < 0 || label >= k) {
        const REAL fill = label == -1 ? 0 : (REAL)NAN;
        for (int64_t i = 0; i < k; i++)
            dx[i] = fill;
        return;
    }
    const double exact = g / NAME(exp_sum)(k, dx);
    const REAL share = (REAL)exact, even = (REAL)(g * smoothing / (double)k);
    const REAL label_e = dx[label];
    for (int64_t i = 0; i < k; i++)
        dx[i] = dx[i] * share - even;
    /* both targets in one, as their sum may be all but p */
    const double target = 1.0 - smoothing + smoothing / (double)k;
    dx[label] = (REAL)((double)label_e * exact - g * target);
}

static void NAME(xent_grad_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const xent_back *const b = arg;
    const fwi_call *const c = b->c;
    const int64_t n = c->in[0].shape.d[0], k = c->in[0].shape.d[1], each = xent_rows_each(c);
    const int64_t end = min_i64((part + 1) * each, n);
    const REAL *const x = c->in[0].data;
    REAL *const dx = c->out[0].data;
    const int32_t *const labels = c->in[1].data;
    for (int64_t r = part * each, m; r < end; r += m) {
        m = xent_run_rows(k, end - r);
        NAME(exp_rows)(x + r * k, m, k, dx + r * k);
        for (int64_t i = r; i < r + m; i++)
            NAME(row_grad)(dx + i * k, k, labels[i], c->attr->xent.smoothing, b->g);
    }
}

fw_status FN(softmax_xent_grad)(const fwi_call *c)
{
    xent_back b = {.c = c, .g = (double)*(const REAL *)c->in[2].data * xent_weight(c)};
    return xent_run(c, NAME(xent_grad_part), &b);
}

static void NAME(softmax_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const int64_t n = c->in[0].shape.d[0], k = c->in[0].shape.d[1], each = xent_rows_each(c);
    const int64_t end = min_i64((part + 1) * each, n);
    const REAL *const x = c->in[0].data;
    REAL *const y = c->out[0].data;
    for (int64_t r = part * each, m; r < end; r += m) {
        m = xent_run_rows(k, end - r);
        NAME(exp_rows)(x + r * k, m, k, y + r * k);
        for (int64_t i = r; i < r + m; i++) {
            const REAL share = (REAL)(1.0 / NAME(exp_sum)(k, y + i * k));
            for (int64_t j = 0; j < k; j++)
                y[i * k + j] *= share;
        }
    }
}

fw_status FN(softmax)(const fwi_call *c)
{
    return xent_run(c, NAME(softmax_part), (void *)c);
}
