/* optim_inner.h: a run's optimisers as graph ops, and the row of numbers that changes per step. */
#ifndef FWI_OPTIM_INNER_H
#define FWI_OPTIM_INNER_H

#include "ir.h"
#include <fenwicks/optim.h>

/* The parameter groups, and the optimiser of all parameters that are in none. */
typedef struct fwi_optim {
    fw_average average;
    fw_optimizer rest;
    int32_t n_groups;
    fw_param_group group[FW_MAX_GROUPS];
    int64_t every; /* updates are made in steps 0, every, 2 every, ...; 0: in each */
    /* Steps in a row that may be undone without a word (f16): as many copies of the weights to the average, so that
     * one of them is not undone. A step that is undone leaves the weights as the one before it had them. */
    int64_t follows;
} fwi_optim;

/* Every optimiser, every group, the average; groups by number, from 1. */
fw_status fwi_optim_check(const fwi_optim *o);

/* Columns of the input "hyper" (f64): those of `rest`, then of each group in turn. Of an optimiser:
 * 0 learning rate, 1 weight decay; Adam's: 2 and 3 1 - beta^t, 4 always 0 (the decay of what does
 * not decay); Muon's: 2 whether weights are brought to their norm, 3 and 4 the
 * p and q of its op. Last, if there is an average:
 * whether this step averages, and the decay. */
enum { FWI_AVERAGE_COLUMNS = 2, FWI_OPTIM_MAX_COLUMNS = 5 * (FW_MAX_GROUPS + 1) + 2 };
int fwi_optim_columns(const fwi_optim *o);
void fwi_optim_row(const fwi_optim *o, int64_t step, double *row);

/* Appends the updates of n parameters by their gradients, and declares the slots
 * ("<param>/momentum", "/m", "/v", class FWI_VAR_SLOT, zero). A parameter without a gradient
 * (FWI_NO_VAL) stays as it is, its slots too. Makes the input "hyper". Then the averages of all that
 * changes while it trains, the running statistics of the graph included. */
fw_status fwi_optim_append(const fwi_optim *o, fwi_graph *g, const fwi_val *params,
                           const fwi_val *grads, int n);

/* The groups whose parameters do not change any more in this step: bit i for group i. A set of them
 * has a graph of its own, without their gradients. */
uint32_t fwi_optim_over(const fwi_optim *o, int64_t step);
/* Whether a parameter of this class belongs to one of these groups. */
bool fwi_optim_among(const fwi_optim *o, uint32_t groups, fwi_var_class cls);

/* One line that names kinds and numbers, for config.json and the check on resume. fwi_free(*text).
 */
fw_status fwi_optim_describe(const fwi_optim *o, char **text);

/* ---- average.c ---- */
fw_status fwi_average_check_options(const fw_average *a);
int fwi_average_columns(const fw_average *a); /* 0 or FWI_AVERAGE_COLUMNS */
/* follows: in so many steps before the first averaging, which copies the weights, they are copied too. */
void fwi_average_row(const fw_average *a, int64_t step, int64_t follows, double *row);
void fwi_average_append(const fw_average *a, fwi_graph *g, fwi_val hyper, int64_t first_col);
fw_status fwi_average_describe(const fw_average *a, fwi_buf *b); /* nothing for no average */
/* The first step, as steps done, that averages; of options without a mistake. */
int64_t fwi_average_first(const fw_average *a);
/* Whether evaluation after so many steps uses the averages. */
bool fwi_average_evaluates(const fw_average *a, int64_t steps_done);

/* "conv", ... by bit number of fw_param_class; NULL ends the list. */
extern const char *const fwi_param_class_names[];

#endif
