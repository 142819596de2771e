/* fast_peak.h: what the multiply-add units of an instruction set can do at most: sums that never
 * leave their registers. `bench` holds kernels against it. Body of peak.c in each fast room; the
 * room's lanes header comes before. */

/* Enough independent sums for two units with a latency of up to six, within 16 registers. */
enum { SUMS = 12 };

double FN(peak)(int64_t n_rounds, float *sink);
double FN(peak)(int64_t n_rounds, float *sink)
{
    /* x -> x m + a stays near 1 and cannot be computed ahead: each sum needs its last value. */
    const NAME(vec) m = NAME(v_set)(0.5f), a = NAME(v_set)(0.5f);
    NAME(vec) sum[SUMS];
    for (int i = 0; i < SUMS; i++)
        sum[i] = NAME(v_set)((float)i);
    for (int64_t r = 0; r < n_rounds; r++)
        for (int i = 0; i < SUMS; i++)
            sum[i] = NAME(v_fma)(sum[i], m, a);
    for (int i = 1; i < SUMS; i++)
        sum[0] = NAME(v_add)(sum[0], sum[i]);
    NAME(v_store_n)(sink, sum[0], 1);
    return 2.0 * VL * SUMS * (double)n_rounds;
}
