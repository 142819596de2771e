/* checkpoint.h: a store's state on disk, for exact resume: weights, running statistics, optimiser
 * slots, and the step, from which everything else (rates, data position, random numbers) follows.
 * Files are DIR/checkpoint-<step, in at least 8 digits>.safetensors, and say the step inside too. Files
 * called otherwise, as checkpoint-7.safetensors, are somebody else's: not read and not removed. */
#ifndef FWI_CHECKPOINT_H
#define FWI_CHECKPOINT_H

#include "exec.h"
#include "safetensors.h"

/* What must agree between the run that wrote a checkpoint and the one that goes on with it. */
typedef struct fwi_identity {
    const char *key, *text;
} fwi_identity;

typedef struct fwi_ckpt fwi_ckpt;
/* A writer for this store in this folder, which is its own: keep newest files stay, and what one that was killed
 * left half written goes. ids: [n], copied. Everything is allocated here. */
fw_status fwi_ckpt_new(fwi_ckpt **out, const fwi_store *store, const char *dir, int64_t keep,
                       const fwi_identity *ids, int n);
void fwi_ckpt_free(fwi_ckpt *c);
/* Writes the state as of `step` and removes the oldest beyond `keep`. FW_ENONFINITE, with nothing
 * written, if a value is not finite. path, if not NULL, gets the file's name (borrowed until the
 * next save). */
fw_status fwi_ckpt_save(fwi_ckpt *c, int64_t step, const char **path);

/* The newest checkpoint in dir that is whole: *step < 0 if there is none. path: cap bytes. Damaged
 * ones, and those of another step than their name says, are passed over with a warning in the log;
 * FW_EFORMAT if all are. Any other failure, as FW_EIO for one that may not be opened, is returned: it
 * says nothing about the content, and a run that began before it would remove that file. */
fw_status fwi_ckpt_newest(const char *dir, int64_t *step, char *path, size_t cap);
/* The same, open, with its data in memory as they were checked: what is loaded later is what was
 * checked, and is read once. *out NULL if there is none. Caller closes. */
fw_status fwi_ckpt_open(const char *dir, int64_t *step, fwi_safetensors **out);
/* The newest in dir by its name alone, whole or not: *step < 0 if there is none. */
fw_status fwi_ckpt_newest_named(const char *dir, int64_t *step);
/* FW_EEXISTS, naming key, place and both texts, if the file was written by another kind of run;
 * FW_EFORMAT if it does not say its step and all that must agree. */
fw_status fwi_ckpt_check(const fwi_safetensors *s, const fwi_identity *ids, int n);
/* Every variable of the store from the file: names, types and shapes must agree. */
fw_status fwi_ckpt_load(fwi_store *store, fwi_safetensors *s);
/* Removes every checkpoint in dir. */
fw_status fwi_ckpt_remove_all(const char *dir);

#endif
