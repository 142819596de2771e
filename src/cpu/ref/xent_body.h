/* xent_body.h: softmax, its cross-entropy with label smoothing, and accuracy. With p = softmax(x)
 * over K classes and e the smoothing, a row's loss is
 *     (1 - e) (-log p_label) + e (-(1/K) sum over k of log p_k).
 * log p_k = x_k - max - log sum exp(x - max): no overflow, whatever the logits. A row with label -1
 * is masked: it adds nothing to loss or gradient. Any other label outside [0, K) cannot be reported
 * from here: the row's loss and gradient become NaN, which stops a run (the data room checks labels
 * long before). */

/* max + log sum exp(x - max) of one row */
static double FWI_NAME(log_sum_exp)(const FWI_REAL *x, int64_t k)
{
    double max = (double)x[0], sum = 0;
    for (int64_t i = 1; i < k; i++) {
        if ((double)x[i] > max)
            max = (double)x[i];
    }
    for (int64_t i = 0; i < k; i++)
        sum += exp((double)x[i] - max); /* a NaN among x makes the sum one */
    return max + log(sum);
}

/* What the sum over rows is multiplied with: 1, or for the mean 1 / (rows not masked); 0 if none.
 */
static double FWI_NAME(row_weight)(const fwi_call *call)
{
    const int32_t *labels = call->in[1].data;
    const int64_t n = call->in[1].shape.d[0];
    int64_t counted = 0;
    for (int64_t r = 0; r < n; r++)
        counted += labels[r] != -1;
    if (counted == 0)
        return 0.0;
    return call->attr->xent.mean ? 1.0 / (double)counted : 1.0;
}

/* logits[n,k] labels[n] -> loss[1] rows[n]; rows are not divided by the count */
fw_status FWI_NAME(softmax_xent)(const fwi_call *call)
{
    const double e = call->attr->xent.smoothing;
    const FWI_REAL *x = call->in[0].data;
    const int32_t *labels = call->in[1].data;
    FWI_REAL *loss = call->out[0].data, *rows = call->out[1].data;
    const int64_t n = call->in[0].shape.d[0], k = call->in[0].shape.d[1];
    double total = 0;
    for (int64_t r = 0; r < n; r++) {
        const FWI_REAL *row = x + r * k;
        double row_loss = 0;
        if (labels[r] < -1 || labels[r] >= k) {
            row_loss = NAN;
        } else if (labels[r] >= 0) {
            const double lse = FWI_NAME(log_sum_exp)(row, k);
            row_loss = (1.0 - e) * (lse - (double)row[labels[r]]);
            if (e > 0) { /* else -inf among the logits would give 0 * inf */
                double others = 0;
                for (int64_t i = 0; i < k; i++)
                    others += lse - (double)row[i];
                row_loss += e * others / (double)k;
            }
        }
        rows[r] = (FWI_REAL)row_loss;
        total += row_loss;
    }
    *loss = (FWI_REAL)(total * FWI_NAME(row_weight)(call));
    return FW_OK;
}

/* logits labels dloss[1] -> dlogits = dloss * weight * (p - (1 - e) [k = label] - e / K) */
fw_status FWI_NAME(softmax_xent_grad)(const fwi_call *call)
{
    const double e = call->attr->xent.smoothing;
    const FWI_REAL *x = call->in[0].data;
    const int32_t *labels = call->in[1].data;
    FWI_REAL *dx = call->out[0].data;
    const int64_t n = call->in[0].shape.d[0], k = call->in[0].shape.d[1];
    const double g = (double)*(const FWI_REAL *)call->in[2].data * FWI_NAME(row_weight)(call);
    for (int64_t r = 0; r < n; r++) {
        const bool masked = labels[r] == -1, bad = labels[r] < -1 || labels[r] >= k;
        const double lse = masked || bad ? 0 : FWI_NAME(log_sum_exp)(x + r * k, k);
        for (int64_t i = 0; i < k; i++) {
            const double target = (i == labels[r] ? 1.0 - e : 0.0) + e / (double)k;
            const double d = g * (exp((double)x[r * k + i] - lse) - target);
            dx[r * k + i] = masked ? 0 : bad ? (FWI_REAL)NAN : (FWI_REAL)d;
        }
    }
    return FW_OK;
}

/* logits[n,k] -> probabilities */
fw_status FWI_NAME(softmax)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t n = call->in[0].shape.d[0], k = call->in[0].shape.d[1];
    for (int64_t r = 0; r < n; r++) {
        const double lse = FWI_NAME(log_sum_exp)(x + r * k, k);
        for (int64_t i = 0; i < k; i++)
            y[r * k + i] = (FWI_REAL)exp((double)x[r * k + i] - lse);
    }
    return FW_OK;
}

/* logits labels -> [1]: rows whose first maximum is at the label. Masked rows do not count, nor do
 * rows that hold a NaN: they have no maximum. */
fw_status FWI_NAME(count_correct)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data;
    const int32_t *labels = call->in[1].data;
    const int64_t n = call->in[0].shape.d[0], k = call->in[0].shape.d[1];
    int64_t count = 0;
    for (int64_t r = 0; r < n; r++) {
        const FWI_REAL *row = x + r * k;
        int64_t best = 0;
        bool nan = false;
        for (int64_t i = 0; i < k; i++) {
            if (row[i] > row[best])
                best = i;
            nan = nan || row[i] != row[i];
        }
        count += !nan && best == labels[r];
    }
    *(FWI_REAL *)call->out[0].data = (FWI_REAL)count;
    return FW_OK;
}
