/* dataset_inner.h: what the training loop may ask of a data set beyond fenwicks/data.h. */
#ifndef FWI_DATASET_INNER_H
#define FWI_DATASET_INNER_H

#include "pool.h"
#include <fenwicks/data.h>

/* Makes batches on `pool` (borrowed; NULL: on the calling thread) instead of a pool of its own.
 * Before the first batch, or after a seek; FW_ESTATE otherwise. */
fw_status fwi_dataset_use_pool(fw_dataset *ds, fwi_pool *pool);

/* Back to the threads that its options ask for; under the same conditions. */
fw_status fwi_dataset_use_own_pool(fw_dataset *ds);

/* As if the data set had been made with this seed, at position 0; what it holds in memory stays. */
void fwi_dataset_reseed(fw_dataset *ds, uint64_t seed);

/* Allocates what the first batch would otherwise. */
fw_status fwi_dataset_ready(fw_dataset *ds);

/* Reads all records, on the data set's threads, where they are to be held in memory (.cache) and are
 * not yet: no batch reads a file then. */
fw_status fwi_dataset_fill_cache(fw_dataset *ds);

/* From now on a label outside [0, n_classes) is an error that names file and record. */
fw_status fwi_dataset_expect_classes(fw_dataset *ds, int64_t n_classes);
void fwi_dataset_expect_any_class(fw_dataset *ds); /* no longer; nothing has been made ahead */

/* Adds key facts (pattern or "memory", seed, batch, transforms) as one line of text: for
 * config.json and for the check on resume that the data is the same. */
fw_status fwi_dataset_describe(const fw_dataset *ds, char *buf, size_t cap);

/* The records of ds in their order, as evaluation sees them (standardised, nothing random), over
 * and over: for what looks at the data before training. Images in memory are shared: ds has to
 * live longer. */
fw_status fwi_dataset_in_order(fw_dataset **out, const fw_dataset *ds, int64_t batch);

/* ---- for devices that keep the images: rows.c ---- */

/* Never 0, and of no other data set of this process, whatever was freed. */
uint64_t fwi_dataset_serial(const fw_dataset *ds);
uint64_t fwi_dataset_seed(const fw_dataset *ds);
/* FW_OK where all selected records lie in memory as uint8, or will (its option cache); else
 * FW_EUNAVAILABLE with the reason. */
fw_status fwi_dataset_keepable(const fw_dataset *ds);
/* Records of ranks [first, first + n): pixels [n,h,w,c], labels [n], held against the classes that are
 * expected. Reads on the data set's threads. FW_EUNAVAILABLE: a record that is not uint8. Allocates. */
fw_status fwi_dataset_read(fw_dataset *ds, int64_t first, int64_t n, uint8_t *pixels,
                           int32_t *labels);
/* fw_dataset_next without the images: which records its batch would have. rows [3,batch]: ranks, -1
 * from *valid on; records; passes. Not between fw_dataset_next and a seek. Allocates nothing. */
fw_status fwi_dataset_next_rows(fw_dataset *ds, int64_t *rows, int64_t *valid);
/* Whether rows will be all that is asked for: then the memory named holds no batches. */
void fwi_dataset_rows_only(fw_dataset *ds, bool yes);

const fw_transform *fwi_dataset_cutmix(const fw_dataset *ds); /* NULL: nothing is mixed */
double fwi_dataset_share2(const fw_dataset *ds);              /* fw_batch.share2 of its batches */
int64_t fwi_dataset_batch(const fw_dataset *ds);              /* records per batch */
const char *fwi_dataset_name(const fw_dataset *ds); /* its file or pattern, for messages */
bool fwi_dataset_labelled(const fw_dataset *ds);
bool fwi_dataset_training(const fw_dataset *ds);
const fw_transform *fwi_dataset_transforms(const fw_dataset *ds,
                                           int *n); /* as given, without the end mark */

#endif
