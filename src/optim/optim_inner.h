/* optim_inner.h: an optimiser as graph ops, and the row of numbers that changes per step. */
#ifndef FWI_OPTIM_INNER_H
#define FWI_OPTIM_INNER_H

#include "ir.h"
#include <fenwicks/optim.h>

/* Columns of the input "hyper" (f64): 0 learning rate, 1 weight decay; Adam's: 2 and 3 1 - beta^t,
 * 4 always 0 (the decay of what does not decay); more with parameter groups. */
int fwi_optim_columns(const fw_optimizer *o);
void fwi_optim_row(const fw_optimizer *o, int64_t step, double *row);

/* Appends the updates of n parameters by their gradients, and declares the slots
 * ("<param>/momentum", "/m", "/v", class FWI_VAR_SLOT, zero). Makes the input "hyper". */
fw_status fwi_optim_append(const fw_optimizer *o, fwi_graph *g, const fwi_val *params,
                           const fwi_val *grads, int n);

/* One line that names kind and numbers, for config.json and the check on resume. */
fw_status fwi_optim_describe(const fw_optimizer *o, char *buf, size_t cap);

#endif
