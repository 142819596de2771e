/* tile_ahead.h: what a register tile (fast_gemm.h, tile_bf16.h) asks memory for while it sums: the
 * operands of the tiles that come after it. Where a caller walks over more than the second-level
 * cache holds, in runs too short for a processor to follow by itself, a tile that has to wait for
 * its operands loses up to half of its speed. Asked for a line in each step of the sum they are
 * there in time; all lines at once would fill the queues that the tile's own loads wait in. */
#ifndef FWI_TILE_AHEAD_H
#define FWI_TILE_AHEAD_H

#include "fast_loop.h"

/* In step k of the sum the line at `at` + k * move. at NULL: nothing. */
typedef struct tile_ahead {
    const char *at;
    int64_t move; /* bytes, 64 at most: no line is left out */
} tile_ahead;

/* Where it begins; an address that is valid in any case where there is nothing to ask for. */
static inline const char *tile_ahead_at(const tile_ahead *a, const void *valid)
{
    return a->at != NULL ? a->at : valid;
}

/* The first tiles ask for all of a run, each for a share; more would ask for each line more often. */
enum { TILE_SHARES = 8 };

/* What tile k of n asks for of a run of bytes that the next ones read, in so many steps; of a run
 * that has more lines than these steps, the front of each share. */
static inline tile_ahead tile_share(const void *run, int64_t bytes, int64_t k, int64_t n,
                                    int64_t steps)
{
    const int64_t shares = min_i64(n, TILE_SHARES), share = parts_of(bytes, shares);
    if (k >= shares)
        return (tile_ahead){.at = NULL};
    return (tile_ahead){(const char *)run + k * share, min_i64(64, parts_of(share, steps))};
}

#endif
