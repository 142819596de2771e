/* sidecar.h: NAME.json beside records: what they hold, so that no one must read them all to know
 * (docs/formats/sidecar.md). Written by record_write.c, used by record_info.c. */
#ifndef FWI_SIDECAR_H
#define FWI_SIDECAR_H

#include "file.h"
#include <fenwicks/record.h>

typedef struct fwi_sidecar_file {
    char *name; /* without folder: the records may be moved together with their sidecar */
    int64_t n_records, n_bytes;
} fwi_sidecar_file;

typedef struct fwi_sidecar {
    fw_record_info info;
    char *digest; /* of the images they were made from */
    fw_compression compression;
    fwi_sidecar_file *files;
    int64_t n_files;
} fwi_sidecar;

void fwi_sidecar_clear(fwi_sidecar *s);
fw_status fwi_sidecar_write(const char *path, const fwi_sidecar *s);
/* FW_ENOTFOUND: not there. FW_EFORMAT: damaged, with line and column or the name of the entry. */
fw_status fwi_sidecar_read(const char *path, fwi_sidecar *out);
fw_status fwi_sidecar_parse(const char *name, const void *text, size_t n_bytes, fwi_sidecar *out);

/* Where the sidecar of these files would be: of one file X, X.json; of shards X-00000-of-00002 ...,
 * or of one of them, X.json. *out is NULL if there is none there; fwi_free(*out). */
fw_status fwi_sidecar_find(const fwi_paths *files, char **out);

/* Whether it is about exactly these files. If it is and a size differs: FW_EFORMAT; if one of them is
 * not there: FW_ENOTFOUND. */
fw_status fwi_sidecar_covers(const fwi_sidecar *s, const char *path, const fwi_paths *files,
                             bool *covers);

/* Whether what a sidecar says is this text as it is written there: bytes from 80 on are "?" where the text
 * is no UTF-8. */
bool fwi_sidecar_same_text(const char *said, const char *text);

const char *fwi_compression_name(fw_compression z); /* "none", "gzip", "zlib" */

#endif
