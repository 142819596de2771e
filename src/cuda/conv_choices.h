/* conv_choices.h: engines of cuDNN that measurements chose. Two lists, the first match counts: a
 * file, and the table in the source (conv_choices_table.c), each for one kind of GPU and one version
 * of cuDNN: for others it is not read, since an engine's number and knobs mean something else there.
 * The file: docs/formats/conv-choices.md. */
#ifndef FWI_CONV_CHOICES_H
#define FWI_CONV_CHOICES_H

#include "conv_key.h"

typedef struct fwi_dnn_choices {
    fwi_dnn_choice *items;
    int n, cap;
    int sm;        /* compute capability times ten: 90 */
    int64_t cudnn; /* 91900 for 9.19.0 */
} fwi_dnn_choices; /* {0} is an empty one */
void fwi_dnn_choices_clear(fwi_dnn_choices *c);

/* NULL: none. */
const fwi_dnn_choice *fwi_dnn_choices_find(const fwi_dnn_choices *c, const fwi_dnn_key *key);
/* Adds, or takes the place of the one with the same key. */
fw_status fwi_dnn_choices_put(fwi_dnn_choices *c, const fwi_dnn_choice *choice);

/* The file's bytes, and back. name is for messages. A file for another GPU or cuDNN parses as well:
 * sm and cudnn say so. FW_EFORMAT for anything that the format does not allow; *out is then empty. */
fw_status fwi_dnn_choices_print(const fwi_dnn_choices *c, fwi_buf *out);
fw_status fwi_dnn_choices_parse(fwi_dnn_choices *out, const char *name, const void *bytes,
                                size_t n_bytes);

/* Where the file is: $FENWICKS_CONV_CHOICES, else fenwicks/conv-choices-sm<SM>.json under
 * $XDG_CACHE_HOME, else under $HOME/.cache. NULL: none of the three is set, or no memory. Caller
 * frees. */
char *fwi_dnn_choices_path(int sm);

/* What a device starts with: the table in the source, then the file over it, where they are for
 * this GPU and this cuDNN. No file is no failure, and one for another GPU or cuDNN is left alone
 * with a line of the log; one that cannot be read is a failure, but where it was not asked for and this
 * process may not: that is a line of the log. */
fw_status fwi_dnn_choices_load(fwi_dnn_choices *out, int sm, int64_t cudnn);
/* The file alone, to add to it; empty where there is none. One for another cuDNN counts as none, with a
 * line of the log; for another GPU is a failure, since adding would lose what it holds. */
fw_status fwi_dnn_choices_load_file(fwi_dnn_choices *out, int sm, int64_t cudnn);
/* Writes the file (beside and renamed), with its folder. */
fw_status fwi_dnn_choices_save(const fwi_dnn_choices *c);
/* Puts a choice into the file as it is now (NULL: makes sure that it can be written), under a lock on PATH.lock: several
 * processes may measure at once. Failures as of fwi_dnn_choices_load_file and _save. */
fw_status fwi_dnn_choices_add(int sm, int64_t cudnn, const fwi_dnn_choice *choice);

/* The table in the source. */
typedef struct fwi_dnn_choices_row {
    int sm;
    int64_t cudnn;
    fwi_dnn_choice choice;
} fwi_dnn_choices_row;
extern const fwi_dnn_choices_row fwi_dnn_choices_table[]; /* ends with sm 0 */

#endif
