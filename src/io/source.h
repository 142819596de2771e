/* source.h: bytes to be read once from front to back: a file, a piece of memory, or a member of an
 * archive, inflated on the way where that is asked for.
 *
 * Every reader of a format sits on this, so that gzip, growth in steps and "ends too early"
 * messages exist once. A source is made once and opened many times; only _new, the first _inflate
 * and a larger result allocate. Records by position do not come this way: record_set.c. */
#ifndef FWI_SOURCE_H
#define FWI_SOURCE_H

#include "mem.h"
#include <fenwicks/record.h>

typedef struct fwi_source fwi_source;

fw_status fwi_source_new(fwi_source **out);
void fwi_source_free(fwi_source *s); /* closes too; NULL: nothing */

/* Each closes what was open. name and path are borrowed while open. */
fw_status fwi_source_open_file(fwi_source *s, const char *path);
void fwi_source_open_memory(fwi_source *s, const char *name, const void *p, size_t n_bytes);
/* fn gives up to cap bytes; *got 0 means the end. On failure it sets the message. */
typedef fw_status (*fwi_source_fn)(void *ctx, uint8_t *p, size_t cap, size_t *got);
void fwi_source_open_fn(fwi_source *s, const char *name, fwi_source_fn fn, void *ctx);
void fwi_source_close(fwi_source *s);

/* The next bytes without taking them: up to 64; *got is less only at the end. Before _inflate these
 * are the bytes of the file. */
fw_status fwi_source_peek(fwi_source *s, size_t want, const uint8_t **p, size_t *got);

/* From here on (at the start only) the bytes are GZIP or ZLIB data and are inflated. Several
 * compressed streams one after the other count as one, as TensorFlow and gzip have it. */
fw_status fwi_source_inflate(fwi_source *s, fw_compression kind);
fw_status fwi_source_inflate_if_gzip(fwi_source *s); /* begins with 1f 8b */

/* Up to n_bytes; *got is less only at the end. */
fw_status fwi_source_read(fwi_source *s, void *p, size_t n_bytes, size_t *got);

/* Exactly n_bytes, or FW_EFORMAT: "<name>: ends at byte 70, inside <what> (8 bytes from byte 66)".
 */
fw_status fwi_source_read_exact(fwi_source *s, void *p, size_t n_bytes, const char *what);

/* The same into new memory (released by fwi_free). A length that the source cannot hold is refused
 * before anything is allocated where the size is known; else memory grows with what really arrives.
 */
fw_status fwi_source_read_alloc(fwi_source *s, size_t n_bytes, const char *what, void **out);

/* FW_EFORMAT if anything is left: "<name>: goes on behind byte 70, where <what> ends". */
fw_status fwi_source_expect_end(fwi_source *s, const char *what);

int64_t fwi_source_at(const fwi_source *s);   /* bytes given out so far */
int64_t fwi_source_left(const fwi_source *s); /* -1: not known (compressed, or no plain file) */
const char *fwi_source_name(const fwi_source *s);
fw_compression fwi_source_compression(const fwi_source *s);
size_t fwi_source_memory(const fwi_source *s);

#endif
