/* fast_winograd_pairs.h: Winograd's transforms for F3, F5 and F6, whose points are pairs +-p, besides
 * 0 (F6) and infinity (winograd_points.h): a line of vectors of channels to one of its points. Included by
 * fast_winograd_lines.h and fast_winograd_dw_lines.h alone, once per storage type and instruction set. */

WINO_INLINE NAME(vec) NAME(wino_fma)(REAL a, NAME(vec) b, NAME(vec) c)
{
    return NAME(v_fma)(NAME(v_set)(a), b, c);
}

/* The pair that a row is of, and its point with its sign. */
WINO_INLINE int NAME(pairs_index)(const int m, const int row)
{
    return (row - wino_first(m)) / 2;
}
WINO_INLINE REAL NAME(pairs_point)(const int m, const int row)
{
    const REAL p = wino_point(m, NAME(pairs_index)(m, row));
    return (row - wino_first(m)) % 2 == 0 ? p : -p;
}

/* Of every other number, d the last: what a pair takes, what 0 and infinity take. */
WINO_INLINE NAME(vec) NAME(pairs_half)(const int m, const int k, const NAME(vec) * d)
{
    const NAME(vec) sum = NAME(wino_fma)(-wino_t(m, k), d[-2], d[0]);
    return m == 3 ? sum : NAME(wino_fma)(wino_u(m, k), d[-4], sum);
}
WINO_INLINE NAME(vec) NAME(pairs_end)(const int m, const NAME(vec) * d)
{
    const NAME(vec) sum =
        NAME(wino_fma)(wino_s2(m), d[-4], NAME(wino_fma)(-wino_s1(m), d[-2], d[0]));
    return m == 3 ? sum : NAME(wino_fma)(-wino_s3(m), d[-6], sum);
}

/* Number `row` of B^T d. */
WINO_INLINE NAME(vec) NAME(pairs_x)(const int m, const int row, const NAME(vec) d[WINO_SIDE])
{
    if (row < wino_first(m))
        return NAME(pairs_end)(m, d + m);
    if (row == m + 1)
        return NAME(pairs_end)(m, d + m + 1);
    const int k = NAME(pairs_index)(m, row);
    const NAME(vec) hi = NAME(pairs_half)(m, k, d + m), lo = NAME(pairs_half)(m, k, d + m - 1);
    return NAME(wino_fma)(NAME(pairs_point)(m, row), lo, hi);
}
