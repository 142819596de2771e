/* filter.h: which rows of each batch are trained on (fw_filter): one bit per row and step. Made by
 * the training loop of one network (fit.c), used by that of the next. */
#ifndef FWI_FILTER_H
#define FWI_FILTER_H

#include <fenwicks/train.h>

int64_t fwi_filter_batch(const fw_filter *f);
int64_t fwi_filter_keep(const fw_filter *f);
int64_t fwi_filter_steps(const fw_filter *f); /* that there is room for */
int64_t fwi_filter_bytes(const fw_filter *f);

void fwi_filter_restart(fw_filter *f); /* nothing is recorded any more */

/* Chooses the rows of a step, at most one behind those recorded, by loss [batch]; a NaN counts as
 * more than any number. */
void fwi_filter_choose(fw_filter *f, int64_t step, const double *loss);
bool fwi_filter_has(const fw_filter *f, int64_t step, int64_t row);
uint32_t fwi_filter_crc(const fw_filter *f); /* of all that was recorded */

/* The steps before `step` as dir/rows.safetensors, and back. Reading: FW_ENOTFOUND, or FW_EFORMAT
 * where the file is of another size or has fewer steps. */
fw_status fwi_filter_save(fw_filter *f, const char *dir, int64_t step);
fw_status fwi_filter_load(fw_filter *f, const char *dir, int64_t step);

#endif
