/* tile_rows.h: where the rows of a register tile's left operand lie (fast_gemm.h, tile_bf16.h).
 *
 * Left alone, compilers keep the distance of each of 14 rows in a register of its own, of which
 * there are 15; what is left over they fetch from memory or from vector registers in each step of
 * the sum, and on Intel's processors the latter takes a turn from the multiply-adds (4 % of a direct
 * convolution in f32). An x86 address may hold a base, and a register times 1, 2, 4 or 8: so three
 * distances and two bases are enough. */
#ifndef FWI_TILE_ROWS_H
#define FWI_TILE_ROWS_H

#include <stdint.h>

typedef struct tile_rows {
    int64_t to1, to3, to5; /* bytes from row 0 to these */
} tile_rows;

static inline tile_rows tile_rows_of(int64_t bytes)
{
    return (tile_rows){bytes, 3 * bytes, 5 * bytes};
}

/* What a step of a sum over m rows, a constant, needs of them: row 5, from row 0. Where rows are many,
 * compilers are told that it and the distances are news in each step, or they would take sums and
 * multiples out of the loop, into registers again; six rows find room there, and save an instruction. */
static inline __attribute__((always_inline)) const void *tile_row5(const void *row0, int m,
                                                                   tile_rows *rows)
{
    if (m < 6)
        return row0; /* there is none */
    const char *row5 = (const char *)row0 + rows->to5;
    if (m > 6)
        __asm__("" : "+r"(row5), "+r"(rows->to1), "+r"(rows->to3), "+r"(rows->to5));
    return row5;
}

/* Row i, a constant from 0 to 13, from rows 0 and 5. */
static inline __attribute__((always_inline)) const void *
tile_row(const void *row0, const void *row5, tile_rows rows, int i)
{
    const char *const p = row0, *const p5 = row5;
    switch (i) {
    case 0:
        return p;
    case 1:
        return p + rows.to1;
    case 2:
        return p + 2 * rows.to1;
    case 3:
        return p + rows.to3;
    case 4:
        return p + 4 * rows.to1;
    case 5:
        return p5;
    case 6:
        return p5 + rows.to1;
    case 7:
        return p5 + 2 * rows.to1;
    case 8:
        return p5 + rows.to3;
    case 9:
        return p5 + 4 * rows.to1;
    case 10:
        return p5 + rows.to5;
    case 11:
        return p5 + 2 * rows.to3;
    case 12:
        return p + 4 * rows.to3;
    default:
        return p5 + 8 * rows.to1;
    }
}

#endif
