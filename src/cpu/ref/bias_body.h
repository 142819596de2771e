/* bias_body.h: a value per channel added to every row, and its gradient, the sum over all rows. */

/* x[...,c] b[c] -> y; y may be x's memory */
fw_status FWI_NAME(bias_add)(const fwi_call *call)
{
    const FWI_REAL *x = call->in[0].data, *b = call->in[1].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t rows = fwi_ref_rows(&call->in[0].shape), c = fwi_ref_cols(&call->in[0].shape);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++)
            y[r * c + i] = x[r * c + i] + b[i];
    return FW_OK;
}

/* x[...,c] -> y[c] */
fw_status FWI_NAME(sum_rows)(const fwi_call *call)
{
    enum { BLOCK = 64 }; /* channels summed at once */
    const FWI_REAL *x = call->in[0].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t rows = fwi_ref_rows(&call->in[0].shape), c = fwi_ref_cols(&call->in[0].shape);
    for (int64_t c0 = 0; c0 < c; c0 += BLOCK) {
        const int64_t cn = c - c0 < BLOCK ? c - c0 : BLOCK;
        double acc[BLOCK] = {0};
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < cn; i++)
                acc[i] += (double)x[r * c + c0 + i];
        for (int64_t i = 0; i < cn; i++)
            y[c0 + i] = (FWI_REAL)acc[i];
    }
    return FW_OK;
}
