/* lines.h: tables on a device that steps go through by themselves: line after line of what each of them
 * needs (rates, random numbers) and of what came of it (loss, hits). A number on the device says whose
 * turn it is; a step begins by copying its line to where its kernels read, and ends by writing one and
 * passing the turn on. So steps that are all alike follow each other without the host. Read before:
 * exec.h. */
#ifndef FWI_LINES_H
#define FWI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FWI_LINES = 64,    /* of a table: steps that can be on their way at once */
    FWI_LINE_PARTS = 4 /* of one job */
};

/* A copy from or to the line whose turn it is. Whole words of 4 bytes, on such a boundary. */
typedef struct fwi_line_part {
    const void *from;
    void *to;
    size_t n_bytes;
    size_t from_stride,
        to_stride; /* bytes from line to line; 0: no table, the same place for each */
} fwi_line_part;

/* All memory is the device's. */
typedef struct fwi_line_job {
    int32_t *turn; /* [1] the line, from 0 */
    bool last;     /* behind these copies it is the next one's turn */
    int32_t n;
    fwi_line_part part[FWI_LINE_PARTS];
} fwi_line_job;

#endif
