/* tfrecord.h: the framing of TFRecord, for the files in this room that need more than the public
 * reader.
 *
 * A record is u64 length, u32 masked crc of the length, data, u32 masked crc of the data, all
 * little-endian (docs/formats/tfrecord.md). */
#ifndef FWI_TFRECORD_H
#define FWI_TFRECORD_H

#include "source.h"
#include <fenwicks/record.h>

enum {
    FWI_RECORD_HEAD = 12, /* length and its crc */
    FWI_RECORD_FOOT = 4   /* crc of the data */
};
#define FWI_RECORD_MAX_BYTES ((uint64_t)INT32_MAX) /* more than a protobuf message may have */

/* Plain, GZIP or ZLIB, from the first bytes of a file (12 are enough). */
fw_compression fwi_tfrecord_detect(const uint8_t *p, size_t n_bytes);

/* Whether head's crc fits its length and the length fits what is left behind the head (left < 0:
 * not known). Messages lack the file and record: "length crc is ..., file says ...". */
fw_status fwi_tfrecord_check_head(const uint8_t head[FWI_RECORD_HEAD], int64_t left,
                                  uint64_t *length);
fw_status fwi_tfrecord_check_data(const uint8_t *data,
                                  size_t n_bytes); /* its foot follows the data */

/* Puts file, record and offset in front of what is wrong there, and of a file's first head, where that
 * is no record's, that it is no TFRecord file and what it looks like. start: NULL if the head was
 * right. Returns st. */
typedef struct fwi_record_start {
    const uint8_t *head; /* as far as it was there */
    size_t n_bytes;
    int64_t left; /* bytes behind it; under 0: not known */
    fw_compression compression;
} fwi_record_start;
fw_status fwi_tfrecord_fail_at(fw_status st, const char *name, int64_t record, int64_t offset,
                               const fwi_record_start *start);

/* The reader in two steps, so that one reader can go through many files without allocating: path is
 * borrowed while it is read. */
fw_status fwi_tfrecord_new(fw_tfrecord **out);
fw_status fwi_tfrecord_reopen(fw_tfrecord *r, const char *path);
void fwi_tfrecord_reopen_memory(fw_tfrecord *r, const char *name, const void *p, size_t n_bytes);

/* The record that _next gave last: its number in the file and where its frame begins. */
int64_t fwi_tfrecord_record(const fw_tfrecord *r);
int64_t fwi_tfrecord_offset(const fw_tfrecord *r);
fw_compression fwi_tfrecord_compression(const fw_tfrecord *r);
size_t fwi_tfrecord_memory(const fw_tfrecord *r);

/* The file may not take the place of one that is there when it is committed: FW_EEXISTS. */
void fwi_tfrecord_replace_nothing(fw_tfrecord_writer *w);
/* The writer's two halves of commit, for groups of files: seal all, then commit each. */
fw_status fwi_tfrecord_seal(fw_tfrecord_writer *w);
int64_t fwi_tfrecord_file_bytes(const fw_tfrecord_writer *w); /* of the file, after seal */

#endif
