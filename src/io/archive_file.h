/* archive_file.h: members of .tar, .tar.gz and .zip (npz) files, one after the other, by
 * libarchive. Nothing is ever unpacked to disk, so names inside an archive can do no harm. */
#ifndef FWI_ARCHIVE_FILE_H
#define FWI_ARCHIVE_FILE_H

#include "mem.h"
#include "source.h"

typedef struct fwi_archive fwi_archive;

typedef enum fwi_archive_kind { FWI_TAR, FWI_ZIP } fwi_archive_kind;

fw_status fwi_archive_open(fwi_archive **out, const char *path, fwi_archive_kind kind);
void fwi_archive_close(fwi_archive *a); /* NULL: nothing */

/* The next member that is a regular file; *name is borrowed until the next call. FW_END after the
 * last. */
fw_status fwi_archive_next(fwi_archive *a, const char **name);

/* The member's bytes: all into buf (FW_EFORMAT beyond max_bytes), or as a source for one reading.
 */
fw_status fwi_archive_read(fwi_archive *a, size_t max_bytes, fwi_buf *buf);
fw_status fwi_archive_source(void *archive, uint8_t *p, size_t cap,
                             size_t *got); /* a fwi_source_fn */

#endif
