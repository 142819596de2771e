/* record_set.h: all records of a pattern as one list (files that can seek) or one stream (any
 * files).
 *
 * The data room reads through these two. Framing is tfrecord.h's; what is inside a record is
 * example.h's. Record i counts over the files in the order of their names; in messages a record is
 * counted within its file, from 0, and the byte is where its frame begins (of a compressed file: in
 * the decompressed bytes). */
#ifndef FWI_RECORD_SET_H
#define FWI_RECORD_SET_H

#include <fenwicks/record.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- a list: every record's place is known ---- */
typedef struct fwi_record_set fwi_record_set;

/* Expands the pattern, opens every file, tells plain from compressed. If all are plain, their
 * records are indexed by a scan of the lengths (each length's crc is checked, data is not read).
 * At most 256 files stay open. One of the others is opened for each record that is read from it: gone
 * by then it is FW_ENOTFOUND, another file or a changed one FW_EFORMAT. */
fw_status fwi_record_set_open(fwi_record_set **out, const char *pattern);
void fwi_record_set_close(fwi_record_set *s); /* NULL: nothing */

bool fwi_record_set_seekable(const fwi_record_set *s); /* all files are plain */
int64_t fwi_record_set_count(const fwi_record_set *s); /* -1: not seekable, so not known */
int64_t fwi_record_set_files(const fwi_record_set *s);
fw_compression fwi_record_set_compression(const fwi_record_set *s, int64_t i); /* of file i */
int64_t fwi_record_set_bytes(const fwi_record_set *s); /* sum of the file sizes */
size_t
fwi_record_set_max_bytes(const fwi_record_set *s);     /* buffer that _read needs for any record */
size_t fwi_record_set_memory(const fwi_record_set *s); /* bytes the index takes */

/* Record i into buf (cap >= fwi_record_set_max_bytes(s)); *data points into buf. As long as the index
 * says: the length in the file was checked when the set was opened and is not read again; the data's
 * crc is checked each time. Seekable sets only. Thread-safe; allocates nothing. */
fw_status fwi_record_set_read(const fwi_record_set *s, int64_t i, void *buf, size_t cap,
                              const uint8_t **data, size_t *n_bytes);

/* "<file>: record 118 at byte 9437184" for record i, cut to cap bytes. Returns buf. */
const char *fwi_record_set_place(const fwi_record_set *s, int64_t i, char *buf, size_t cap);

/* A checksum of some records, spread over all of them, for sets that nothing else tells apart. Seekable sets
 * only; the error of a record that cannot be read. */
fw_status fwi_record_set_sample(const fwi_record_set *s, uint32_t *crc);

/* ---- a stream: one record after the other, compressed files too ---- */
typedef struct fwi_record_stream fwi_record_stream;

/* cycle_length files are read in turn, one record from each; a file that ends is replaced by the
 * next one not yet begun, at the same place in the turn. The order depends on the files and
 * cycle_length alone. 0: one. */
fw_status fwi_record_stream_open(fwi_record_stream **out, const char *pattern,
                                 int64_t cycle_length);
void fwi_record_stream_close(fwi_record_stream *s);

/* The next record, borrowed until the next call; FW_END after the last. Both crcs are checked. */
fw_status fwi_record_stream_next(fwi_record_stream *s, const uint8_t **data, size_t *n_bytes);

/* From the start again. After one whole pass further passes allocate nothing. */
fw_status fwi_record_stream_rewind(fwi_record_stream *s);

size_t
fwi_record_stream_memory(const fwi_record_stream *s); /* bytes held now, decompressors included */

/* The place of the record that _next gave last. */
const char *fwi_record_stream_place(const fwi_record_stream *s, char *buf, size_t cap);

/* ---- what they hold ---- */
/* fw_record_info_read for a caller who knows the shape: without a sidecar h, w, c stand in for what
 * records do not say (0, 0, 0: nothing is known). */
fw_status fwi_record_info_read_as(const char *pattern, int64_t h, int64_t w, int64_t c,
                                  fw_record_info *out);

/* What the sidecar of these files calls the images that they hold (fw_images.digest); "" where there is none
 * that can be read, or it is not about exactly these files. FW_ENOMEM or FW_OK. */
enum { FWI_DIGEST_CAP = 16 };
fw_status fwi_record_digest(const char *pattern, char digest[FWI_DIGEST_CAP]);

#endif
