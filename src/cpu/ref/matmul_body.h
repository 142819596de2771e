/* matmul_body.h: y[m,n] = sum over k of op(a)[m,k] op(b)[k,n], where op transposes if ta, tb say
 * so: a is stored [m,k] or, with ta, [k,m]; b is stored [k,n] or, with tb, [n,k]. */
fw_status FWI_NAME(matmul)(const fwi_call *call)
{
    enum { BLOCK = 64 }; /* columns of y summed at once */
    const bool ta = call->attr->matmul.ta != 0, tb = call->attr->matmul.tb != 0;
    const FWI_REAL *a = call->in[0].data, *b = call->in[1].data;
    FWI_REAL *y = call->out[0].data;
    const int64_t m = call->out[0].shape.d[0], n = call->out[0].shape.d[1];
    const int64_t k = call->in[0].shape.d[ta ? 0 : 1];
    const int64_t a_row = ta ? 1 : k, a_col = ta ? m : 1; /* steps in memory of op(a)'s axes */
    const int64_t b_row = tb ? 1 : n, b_col = tb ? k : 1;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j0 = 0; j0 < n; j0 += BLOCK) {
            const int64_t jn = n - j0 < BLOCK ? n - j0 : BLOCK;
            double acc[BLOCK] = {0};
            for (int64_t l = 0; l < k; l++) {
                const double v = (double)a[i * a_row + l * a_col];
                const FWI_REAL *restrict row = b + l * b_row + j0 * b_col;
                for (int64_t j = 0; j < jn; j++)
                    acc[j] += v * (double)row[j * b_col];
            }
            for (int64_t j = 0; j < jn; j++)
                y[i * n + j0 + j] = (FWI_REAL)acc[j];
        }
    return FW_OK;
}
