/* record.h: TFRecord files of tf.train.Example.
 *
 * Format: docs/formats/tfrecord.md. Files are plain, or GZIP or ZLIB compressed as TensorFlow has
 * them (told apart by their first bytes when reading). A pattern names one file, a glob
 * ("train-*.tfrec"), or shards NAME@5 for NAME-00000-of-00005 to NAME-00004-of-00005. */
#ifndef FENWICKS_RECORD_H
#define FENWICKS_RECORD_H

#include <fenwicks/image.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fw_compression { FW_PLAIN = 0, FW_GZIP = 1, FW_ZLIB = 2 } fw_compression;

/* Simple: images to records and back. */
typedef struct fw_write_opt {
    bool as_float;  /* image as FloatList, as the walk-through writes it; else bytes + shape (uint8
                       only) */
    bool overwrite; /* else an existing file is kept if its sidecar names the same source and form,
                       or the call fails */
    int64_t
        shards; /* 0 or 1: one file; n: NAME-00000-of-0000n, split at floor(i * n_records / n) */
    fw_compression compression;
    int level;      /* 0: zlib's default */
    bool no_labels; /* leave the label out */
} fw_write_opt;

/* Writes path (written beside, synced, renamed) and the sidecar path + ".json"
 * (docs/formats/sidecar.md: count, shape, type, classes, mean, std, source, files). opt NULL:
 * defaults. Float images (im->dtype FW_F32) need as_float, and are written so. Errors: FW_EARG,
 * FW_EEXISTS, FW_EIO; nothing half-written remains. */
FW_API fw_status fw_write_tfrecord(const char *path, const fw_images *im, const fw_write_opt *opt);

/* Reads every record of a pattern into memory. */
FW_API fw_status fw_read_tfrecord(const char *pattern, fw_images *out);

/* What the sidecar says of a record file. n_records < 0: no sidecar. */
typedef struct fw_record_info {
    int64_t n, h, w, c;
    fw_dtype dtype;
    int64_t n_classes;
    bool labelled;
    float mean[FW_MAX_CHANNELS], std[FW_MAX_CHANNELS];
    char **class_names; /* [n_classes] or NULL */
    char *source;
} fw_record_info;
FW_API fw_status fw_record_info_read(
    const char *pattern, fw_record_info *out); /* sidecar, else one scan of all records */
FW_API void fw_record_info_clear(fw_record_info *info);

/* With a context: one record after the other. */
typedef struct fw_tfrecord fw_tfrecord;
FW_API fw_status fw_tfrecord_open(fw_tfrecord **out, const char *path);
/* The next record: *data is borrowed until the next call. FW_END after the last. Both CRCs are
 * checked. FW_EFORMAT: "<path>: record 118 at byte 9437184: data crc is 1f3a90c2, file says
 * 77b1e004" and the like. */
FW_API fw_status fw_tfrecord_next(fw_tfrecord *r, const uint8_t **data, size_t *n_bytes);
FW_API void fw_tfrecord_close(fw_tfrecord *r);

typedef struct fw_tfrecord_writer fw_tfrecord_writer;
FW_API fw_status fw_tfrecord_create(fw_tfrecord_writer **out, const char *path, fw_compression z,
                                    int level);
FW_API fw_status fw_tfrecord_put(fw_tfrecord_writer *w, const void *data, size_t n_bytes);
FW_API fw_status
fw_tfrecord_commit(fw_tfrecord_writer *w); /* flush, sync, rename; then frees w, also on error */
FW_API void fw_tfrecord_discard(
    fw_tfrecord_writer *w); /* frees w and removes what was written; NULL: nothing */

/* Summary of a pattern for `fenwicks inspect`. verify: reads all data and checks every CRC, else
 * only lengths and the first record. features: "image bytes, label int64, shape int64[3]" of the
 * first record. */
typedef struct fw_record_summary {
    int64_t n_files, n_records, n_bytes;
    fw_compression compression; /* of the first file */
    char *features;
} fw_record_summary;
FW_API fw_status fw_record_inspect(const char *pattern, bool verify, fw_record_summary *out);
FW_API void fw_record_summary_clear(fw_record_summary *s);

#ifdef __cplusplus
}
#endif
#endif
