/* fast_winograd_filter.h: the filter of fast_winograd.h, transformed and packed for the register tile: a
 * panel of NR output channels, WINO_CHUNK channels at a time. Included by it alone. */

typedef struct NAME(wino_filter) {
    const NAME(wino) * g;
    const float *w; /* [oc][9][ic] */
    int64_t ic;
    bool turned; /* gradient of the input: columns are ic, steps oc */
    int64_t chunks;
} NAME(wino_filter);

/* The taps of n channels from c0 and one panel: taps[tap][channel][column], zeros where there is no
 * column. */
static void NAME(wino_taps)(const NAME(wino_filter) * f, int64_t panel, int64_t c0, int64_t n,
                            REAL taps[9][WINO_CHUNK][NR])
{
    const int64_t j0 = panel * NR, columns = min_i64(NR, f->g->dc - j0), ic = f->ic;
    for (int64_t tap = 0; tap < 9; tap++) {
        if (columns < NR)
            memset(taps[tap], 0, sizeof taps[tap]);
        if (f->turned)
            for (int64_t k = 0; k < n; k++)
                memcpy(taps[tap][k], f->w + ((c0 + k) * 9 + 8 - tap) * ic + j0,
                       (size_t)columns * sizeof(REAL));
        else
            for (int64_t j = 0; j < columns; j++) {
                const float *const w = f->w + ((j0 + j) * 9 + tap) * ic + c0;
                for (int64_t k = 0; k < n; k++)
                    taps[tap][k][j] = w[k];
            }
#ifdef WIDENS
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < NR; j++)
                taps[tap][k][j] = NAME(as_stored)(taps[tap][k][j]);
#endif
    }
}

/* One step's operands of VL columns from `column`. */
WINO_INLINE void NAME(wino_step)(const int m, REAL taps[9][WINO_CHUNK][NR], const int64_t at[PER],
                                 int64_t column, OPERAND *to, int64_t plane)
{
    NAME(vec) u[PER][WINO_SIDE][WINO_SIDE];
    for (int p = 0; p < PER; p++) {
        NAME(vec) t[3][WINO_SIDE], g[3];
        for (int k = 0; k < 3; k++) {
            for (int x = 0; x < 3; x++)
                g[x] = at[p] < 0 ? NAME(v_zero)() : NAME(v_load)(taps[k * 3 + x][at[p]] + column);
            NAME(wino_line_filter)(m, g, t[k]);
        }
        for (int x = 0; x < m + 2; x++) {
            NAME(vec) r[WINO_SIDE];
            for (int k = 0; k < 3; k++)
                g[k] = t[k][x];
            NAME(wino_line_filter)(m, g, r);
            for (int y = 0; y < m + 2; y++)
                u[p][y][x] = r[y];
        }
    }
    for (int y = 0; y < m + 2; y++)
        for (int x = 0; x < m + 2; x++) {
            NAME(vec) d[PER];
            for (int p = 0; p < PER; p++)
                d[p] = u[p][y][x];
            NAME(wino_keep_step)(to + (y * (m + 2) + x) * plane, d);
        }
}

#define WINO_STEP(m) NAME(wino_step)(m, taps, at, column, to + column, plane)
static void NAME(wino_filter_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(wino_filter) *const f = arg;
    const NAME(wino) *const g = f->g;
    const int64_t panel = task / f->chunks, c0 = task % f->chunks * WINO_CHUNK;
    const int64_t n = min_i64(WINO_CHUNK, g->sc - c0), plane = g->steps * NR;
    REAL taps[9][WINO_CHUNK][NR];
    NAME(wino_taps)(f, panel, c0, n, taps);
    OPERAND *to = g->filter + panel * g->points * plane + c0 / PER * NR;
    for (int64_t step = c0 / PER; step < (c0 + n + PER - 1) / PER; step++, to += NR) {
        int64_t at[PER];
        for (int64_t p = 0; p < PER; p++) {
            const int64_t k = NAME(wino_channel)(step, p, g->sc);
            at[p] = k < g->sc ? k - c0 : -1;
        }
        for (int64_t column = 0; column < NR; column += VL)
            WINO_WITH_ALL(g->m, WINO_STEP);
    }
}
#undef WINO_STEP
