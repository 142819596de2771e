/* fast_winograd_pairs.h: Winograd's transforms for F3 and F5 to F7, whose points are pairs +-p, besides
 * infinity and 0 (F6; winograd_points.h): a line of vectors of channels to one of its points. Included
 * by fast_winograd_lines.h and fast_winograd_dw_lines.h alone, once per storage type and instruction
 * set. */

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

/* Of every other number, d the last: what a pair takes (k), what 0 and infinity take (-1). */
WINO_INLINE NAME(vec) NAME(pairs_sum)(const int m, const int k, const NAME(vec) * d)
{
    NAME(vec) sum = d[0];
    WINO_UNROLL
    for (int j = 1; j <= wino_pairs(m) - (k < 0 ? 0 : 1); j++)
        sum = NAME(wino_fma)((j % 2 == 0 ? 1 : -1) * wino_symmetric(m, j, k), d[-2 * j], sum);
    return sum;
}

/* Number `row` of B^T d. */
WINO_INLINE NAME(vec) NAME(pairs_x)(const int m, const int row, const NAME(vec) d[WINO_SIDE])
{
    if (row < wino_first(m))
        return NAME(pairs_sum)(m, -1, d + m);
    if (row == m + 1)
        return NAME(pairs_sum)(m, -1, d + m + 1);
    const int k = NAME(pairs_index)(m, row);
    const NAME(vec) hi = NAME(pairs_sum)(m, k, d + m), lo = NAME(pairs_sum)(m, k, d + m - 1);
    return NAME(wino_fma)(NAME(pairs_point)(m, row), lo, hi);
}
