/* guard.h: steps that are undone by the device itself, without the host's knowing yet: where gradients
 * are stored in 16 bits they may overflow (precision f16), and then the step is to leave everything as
 * it was. A backend keeps a copy of the state before the step and puts it back after it. Read before:
 * exec.h. */
#ifndef FWI_GUARD_H
#define FWI_GUARD_H

#include <stddef.h>
#include <stdint.h>

enum {
    FWI_GUARD_ROW,   /* counts[..]: steps undone in a row, up to now */
    FWI_GUARD_ALL,   /* steps undone since the counts were zero */
    FWI_GUARD_BAD,   /* whether the latest was */
    FWI_GUARD_PARTS, /* the kernels' own from here on */
    FWI_GUARD_WORDS = FWI_GUARD_PARTS + 256,
    FWI_GUARD_MOST = 20 /* steps undone in a row that are still training; a number, no place */
};

/* All memory is the device's. */
typedef struct fwi_guard {
    void *state, *kept; /* [n_bytes], whole floats; kept is written by guard_keep */
    size_t n_bytes;
    float
        *grads; /* [n_grads]; zeros after a step that was undone: one that is not computed any more
                     would condemn every step else */
    size_t n_grads;
    int32_t *counts; /* [FWI_GUARD_WORDS] */
} fwi_guard;

#endif
