/* fast_sum_rows.h: the sum over rows, by the blocks of fast_bn_stats.h. Definition:
 * cpu/ref/bias_body.h. Included by fast_bn.h, once per element type and instruction set. */
static void NAME(sum_rows_task)(void *arg, int64_t task, int slot)
{
    const NAME(bn_job) *const g = arg;
    const int64_t c = g->c, r0 = task * g->block, r1 = min_i64(r0 + g->block, g->rows);
    REAL *const restrict s = g->run + slot * 3 * c;
    double *const restrict sum = g->sums + task * 2 * c;
    memset(s, 0, (size_t)c * sizeof(REAL));
    memset(sum, 0, (size_t)c * sizeof(double));
    for (int64_t r = r0, run; r < r1; r = NAME(bn_next)(g, r, run)) {
        run = NAME(bn_span)(g, r, r1);
        const STORE *restrict x = g->x + r * c;
        for (int64_t k = run; k > 0; k--, x += c)
            for (int64_t i = 0; i < c; i++)
                s[i] += LOAD(x[i]);
        for (int64_t i = 0; i < c; i++) {
            sum[i] += (double)s[i];
            s[i] = 0;
        }
    }
}

size_t FN(sum_rows_scratch)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {0};
    NAME(bn_plan)(&g, c, &c->in[0], 1, &s);
    return s.used;
}

fw_status FN(sum_rows)(const fwi_call *c)
{
    NAME(bn_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(bn_plan)(&g, c, &c->in[0], 1, &s);
    REAL *const y = c->out[0].data;
    fwi_pool_for(c->pool, g.blocks, NAME(sum_rows_task), &g);
    for (int64_t i = 0; i < g.c; i++) {
        double sum = 0;
        for (int64_t b = 0; b < g.blocks; b++)
            sum += g.sums[b * 2 * g.c + i];
        y[i] = (REAL)sum;
    }
    return FW_OK;
}
