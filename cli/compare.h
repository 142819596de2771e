/* compare.h: groups of runs beside a base: what `ablate` prints, from runs just done or from files; and
 * where runs that are put into one figure come from, which `train` asks too. */
#ifndef FENWICKS_COMPARE_H
#define FENWICKS_COMPARE_H

#include "cli.h"

/* Runs of one variant at one length. */
typedef struct cell {
    char *name, *changes; /* changes may be NULL */
    int64_t n, cap;
    uint64_t *seed;
    double *accuracy, *seconds; /* [n] */
    double epochs, step; /* step: in epochs, of the latest line that tells it; 0: none does */
    uint64_t *lost;      /* [diverged]: seeds of runs that have no figures */
    int64_t diverged;
    /* Of runs from files, which own the texts: the first recipe's id, device and precision that a line tells; and
     * whether another line tells another. */
    const char *id, *device, *precision;
    bool mixed;
} cell;

typedef struct comparison {
    const char *title; /* of the plot: the recipe */
    cell *cells;       /* the base first */
    int n;
    const cell *other; /* of the base at another length, for the slope; NULL: none */
    double confidence;
    fw_estimate slope; /* of accuracy per epoch; filled by compare_print where there is other */
    bool has_slope;    /* it is above 0 for sure */
} comparison;

/* Whether runs are of one machine and of one build. {0}: none seen. */
typedef struct origins {
    fw_trial first; /* texts are borrowed from the results file */
    bool machines, commits, seen;
} origins;
/* held: a line that was there. Of one whose commit is unknown or changed nobody knows the sources. */
void origins_add(origins *o, const fw_trial *t, bool held);
/* On standard error, where there are several. */
void origins_warn(const origins *o, const command *self);
void origins_of_files(const origins *o, const command *self); /* the same of lines that are there */

bool cell_init(cell *c, const char *name, const char *changes); /* false: no memory */
/* false: no memory. A seed that is there already is left out, *twice counts. */
bool cell_add(cell *c, const fw_trial *t, int64_t *twice);
void cell_clear(cell *c);

/* The table on standard output. A cell whose runs have all diverged has a row of dashes. */
fw_status compare_print(comparison *c);
/* Array of one object per cell; NULL: no memory. Also fills slope and has_slope. */
json_t *compare_json(comparison *c);
json_t *slope_json(const comparison *c); /* null where there is none */
/* Differences as dots with their intervals. *drawn false: there is none, and nothing was made. */
fw_status compare_plot(const comparison *c, const char *path, bool *drawn);

#endif
