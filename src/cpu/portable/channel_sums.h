/* channel_sums.h: mean and variance of a convolution's output channels, gathered while the outputs
 * are still in registers (conv2d_stats). Included once per storage type and instruction set, where
 * NAME, REAL and NR are set: by the register tiles (fast_gemm.h, tile_bf16.h), for every body that
 * stores through them.
 *
 * A task of a convolution (a block of images, or some of its lines) passes over its pixels with one
 * panel of NR channels at a time. Of each value v it sums d = v - shift and d^2 in REAL, where shift
 * is near the channel's mean, so that a mean that is large against the deviation costs no digits.
 * After a line of pixels (in Winograd's convolutions a group of squares of them, some thousand values) these sums
 * are joined in double, by Chan's formula (Chan, Golub,
 * LeVeque 1983), with what the task has of the panel, whose mean is then the next shift; the very
 * first shift is the first value. At the end the tasks are joined in order. Which values a task has
 * depends on shapes alone, so the result has the same bits for any number of threads. Images that
 * are padding are never among the values.
 *
 * Use, for each task and panel, and again where a task comes back to a panel:
 *     channel_sums_begin(s, values of a channel that the task has, ...);
 *     for each line or group: { tiles, with tile_out.sums = s;
 *                               channel_sums_flush(s, values before it, and in it, ...); }
 * and after all tasks channel_sums_join. */
typedef struct NAME(channel_sums) {
    _Alignas(64) REAL shift[NR]; /* no two threads write one line of the cache */
    REAL sum[NR], squares[NR];
    bool fresh; /* no shift yet: the first row that comes becomes it */
} NAME(channel_sums);

/* mean, m2: what flush adds to, of n channels, n <= NR; of `before` values already, 0 at first. */
static inline void NAME(channel_sums_begin)(NAME(channel_sums) * s, int64_t before, int64_t n,
                                            double *mean, double *m2)
{
    memset(s, 0, sizeof *s);
    s->fresh = before == 0;
    for (int64_t i = 0; i < n; i++) {
        if (before == 0)
            mean[i] = m2[i] = 0;
        s->shift[i] = (REAL)mean[i];
    }
}

/* Joins the sums, `count` values of each channel, with the `before` ones that mean and m2 (the sum
 * of squared deviations) have of n channels. */
static inline void NAME(channel_sums_flush)(NAME(channel_sums) *restrict s, int64_t before,
                                            int64_t count, int64_t n, double *restrict mean,
                                            double *restrict m2)
{
    const double inv = 1.0 / (double)count, share = (double)count / (double)(before + count);
    const double cross = (double)before * share;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)s->sum[i] * inv;
        const double delta = (double)s->shift[i] + d - mean[i];
        m2[i] += (double)s->squares[i] - (double)s->sum[i] * d + delta * delta * cross;
        mean[i] += delta * share;
        s->shift[i] = (REAL)mean[i];
        s->sum[i] = s->squares[i] = 0;
    }
}

/* The tasks' [tasks][2][c] (means, then m2) of counts[task] values per channel become the mean and
 * the variance of all of them; sums is used up. */
static inline void NAME(channel_sums_join)(const int64_t *counts, int64_t tasks, int64_t c,
                                           double *sums, REAL *mean, REAL *var)
{
    double *const restrict m = sums, *const restrict m2 = sums + c;
    double n = (double)counts[0];
    for (int64_t t = 1; t < tasks; t++) {
        const double *const restrict tm = sums + t * 2 * c, *const restrict t2 = tm + c;
        const double share = (double)counts[t] / (n + (double)counts[t]), cross = n * share;
        n += (double)counts[t];
        for (int64_t i = 0; i < c; i++) {
            const double d = tm[i] - m[i];
            m[i] += d * share;
            m2[i] += t2[i] + d * d * cross;
        }
    }
    for (int64_t i = 0; i < c; i++) {
        double v = m2[i] < 0 ? 0 : m2[i] / n; /* a NaN stays one */
#ifdef LANES_BF16
        /* What is normalised are stored values, whose common rounding is not in the sums: of a channel that is
         * constant it would be divided by the root of eps. Rounding to 8 bits moves it by 2^-8 at most, so
         * that it comes to 1. */
        const double least = m[i] * m[i] / (1 << 16);
        if (v < least)
            v = least;
#endif
        mean[i] = (REAL)m[i];
        var[i] = (REAL)v;
    }
}
