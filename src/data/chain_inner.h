/* chain_inner.h: a chain's insides, shared by chain.c, which makes it of a list of transforms, and chain_run.c, which
 * sends images through it. */
#ifndef FWI_CHAIN_INNER_H
#define FWI_CHAIN_INNER_H

#include "chain.h"

/* A standardisation, spread over a row so that its loop has no channel in it. */
typedef struct row_affine {
    float *mean, *std; /* [w * c] */
} row_affine;

/* ops [first, moved) are standardisations and moves, [moved, end) cutouts and jitters; or one user's
 * own. */
typedef struct step {
    bool user;
    bool moves; /* at least one move */
    int first, moved, end;
} step;

struct fwi_chain {
    int64_t h, w, c;
    int n, n_steps; /* n: of one image, a cutmix behind them not counted */
    bool cutmix;
    bool needs_copy; /* a later segment moves what an earlier one made */
    fw_transform *list;
    row_affine *affine; /* [n]; used where list[i] standardises */
    step *steps;
    float *rows; /* memory behind affine */
    size_t bytes;
};

#endif
