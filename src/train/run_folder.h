/* run_folder.h: whether a folder may become a run's, or go on being it, before anything is read; and
 * what is left of it where nothing came of the run. */
#ifndef FWI_RUN_FOLDER_H
#define FWI_RUN_FOLDER_H

#include <fenwicks/status.h>
#include <stdbool.h>
#include <stddef.h>

enum { FWI_CONFIG_BYTES = 16 << 20 }; /* of a config.json, at most */

/* FW_EEXISTS: it holds a run, and resume is not set; FW_ENOTFOUND: it holds none to resume. out NULL:
 * there is none. */
fw_status fwi_run_folder_check(const char *out, bool resume);
/* Bytes of the part of path that is there; 0: nothing of it. */
size_t fwi_run_folder_there(const char *path);
/* Takes the folders of a run that came to nothing away again, up to the part that was there before
 * it. One that holds anything, or that another run has locked, stays. */
void fwi_run_folder_remove_empty(const char *path, size_t there);

#endif
