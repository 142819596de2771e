/* fast_squares.h: a sum of squares in double, in an order that its length fixes. Included once per
 * element type and instruction set, by fast_optim.h and fast_muon.h. */
static inline double NAME(squares)(int64_t n, const REAL *restrict x)
{
    double s[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            s[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < n; i++)
        s[0] += (double)x[i] * (double)x[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}
