/* record.h: TFRecord files of tf.train.Example.
 *
 * Formats: docs/formats/tfrecord.md and example.md. Files are plain, or GZIP or ZLIB compressed as
 * TensorFlow has them (told apart by their first bytes when reading). A pattern names one file,
 * shards NAME@5 for NAME-00000-of-00005 to NAME-00004-of-00005, or a glob ("train-*.tfrec"), whose
 * files, less their sidecars, are taken in the order of their names. In messages records are counted within their file,
 * from 0, and a byte offset is where the record's frame begins (after decompression). Of a file that is
 * none of records the message says what it looks like. */
#ifndef FENWICKS_RECORD_H
#define FENWICKS_RECORD_H

#include <fenwicks/image.h>
#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fw_compression { FW_PLAIN = 0, FW_GZIP = 1, FW_ZLIB = 2 } fw_compression;

/* Simple: images to records and back. */
typedef struct fw_write_opt {
    bool as_float;  /* image as FloatList, as the walk-through writes it; else bytes + shape (u8
                       only) */
    bool overwrite; /* else existing files are kept, see below */
    int64_t shards; /* 0 or 1: one file; n: NAME-00000-of-0000n, cut at floor(i * n_records / n) */
    fw_compression compression;
    int level;      /* 1 to 9; 0: zlib's default */
    bool no_labels; /* leave the label out */
    /* Looked at before each record: another value than 0 ends it with FW_ESTOPPED, and nothing of
     * it remains; NULL: never. */
    const volatile sig_atomic_t *stop;
} fw_write_opt;

/* Writes path and the sidecar path + ".json" (docs/formats/sidecar.md: count, shape, type, classes,
 * mean, std, source, files); opt NULL: defaults. Everything is written beside and synced before the
 * first file gets its name. Where files exist and overwrite is not set: if the sidecar says that
 * they hold the same images from the same source in the same form, nothing is done (FW_OK), else
 * FW_EEXISTS, also where its sidecar names a former set in another number of files; with overwrite
 * such files are removed in the end, and those of the same names, but for the first, before the new ones come. Float images need as_float. Errors: FW_EARG, FW_ESHAPE, FW_EEXISTS, FW_EFORMAT (a
 * value is not finite), FW_EIO, FW_ENOMEM, FW_ESTOPPED; nothing half-written remains, but files
 * that were to be overwritten may be gone where the new ones could not get their names. */
FW_API fw_status fw_write_tfrecord(const char *path, const fw_images *im, const fw_write_opt *opt);
/* The two parts of a data set, each as above. Both are written and synced before the first gets its name, and where both
 * are new, former files of the test part go before that: no failure leaves a part of one set beside a part of
 * another. */
FW_API fw_status fw_write_tfrecord_pair(const char *train_path, const fw_images *train,
                                        const char *test_path, const fw_images *test,
                                        const fw_write_opt *opt);

/* Every record of a pattern, in memory. Errors: as fw_record_info_read. */
FW_API fw_status fw_read_tfrecord(const char *pattern, fw_images *out);

/* What record files hold. source: "" or NULL if unknown. */
typedef struct fw_record_info {
    int64_t n, h, w, c;
    fw_dtype dtype; /* FW_U8 or FW_F32 */
    int64_t n_classes;
    bool labelled;
    float mean[FW_MAX_CHANNELS], std[FW_MAX_CHANNELS];
    char **class_names; /* [n_classes] or NULL */
    char *source;
} fw_record_info;

/* From the sidecar, if it is about exactly these files; else by a scan of all records, for which a
 * sidecar of other shards still says shape and classes. Errors: FW_ENOTFOUND; FW_EFORMAT (a damaged
 * sidecar, one whose file sizes differ, a damaged record, a label out of range, a value that is not finite);
 * FW_EIO (also of what is no regular file); FW_ESHAPE (records
 * of different sizes, or floats whose shape nothing says); FW_EUNAVAILABLE (JPEG or PNG images). */
FW_API fw_status fw_record_info_read(const char *pattern, fw_record_info *out);

/* By a scan, whatever sidecars say. h, w, c: the shape of records that do not say it (floats as the
 * walk-through writes them); all 0: as the records say. */
FW_API fw_status fw_record_info_scan(const char *pattern, int64_t h, int64_t w, int64_t c,
                                     fw_record_info *out);
FW_API void fw_record_info_clear(fw_record_info *info);

/* The record files that a name stands for, as patterns (shards as NAME@5); NULL where not there. data:
 * X or X.tfrec, which gives X-train.tfrec and X-test.tfrec, or X.tfrec itself (whole), or a folder with
 * the records of one data set in parts, which gives these. Errors: FW_EARG (a folder with several data
 * sets; X.tfrec beside X-train.tfrec or X-test.tfrec; shards of one file in two numbers, as -of-00003 beside
 * -of-00005, or beside the file itself),
 * FW_EIO (a folder that is there and cannot be read), FW_EUNAVAILABLE (gs:// and the like), FW_ENOMEM. */
typedef struct fw_record_parts {
    char *whole, *train, *test;
} fw_record_parts;
FW_API fw_status fw_record_parts_find(const char *data, fw_record_parts *out);
FW_API void fw_record_parts_clear(fw_record_parts *p);

/* With a context: one record after the other, of one file. */
typedef struct fw_tfrecord fw_tfrecord;
/* FW_ENOTFOUND, FW_EIO, FW_EUNAVAILABLE (gs:// and the like), FW_ENOMEM. */
FW_API fw_status fw_tfrecord_open(fw_tfrecord **out, const char *path);
/* The next record: *data is borrowed until the next call. FW_END after the last. Both CRCs are
 * checked. FW_EFORMAT: "<path>: record 118 at byte 9437184: data crc is 1f3a90c2, file says
 * 77b1e004" and the like; after an error reading cannot go on, and further calls fail too. */
FW_API fw_status fw_tfrecord_next(fw_tfrecord *r, const uint8_t **data, size_t *n_bytes);
FW_API void fw_tfrecord_close(fw_tfrecord *r);

/* level: 0 to 9 as above, of no effect on FW_PLAIN. The file has another name until it is committed. */
typedef struct fw_tfrecord_writer fw_tfrecord_writer;
FW_API fw_status fw_tfrecord_create(fw_tfrecord_writer **out, const char *path, fw_compression z,
                                    int level);
FW_API fw_status fw_tfrecord_put(fw_tfrecord_writer *w, const void *data, size_t n_bytes);
FW_API fw_status
fw_tfrecord_commit(fw_tfrecord_writer *w);              /* syncs, renames; frees w, also on error */
FW_API void fw_tfrecord_discard(fw_tfrecord_writer *w); /* frees w and removes what was written */

/* Summary of a pattern for `fenwicks inspect`. verify: reads all data and checks every CRC; else
 * plain files are hopped through by their lengths (whose CRCs are checked) and only the first
 * record is read. features: "image bytes, label int64, shape int64[3]" of the first record, sorted
 * by name; "no tf.train.Example" where it is something else; "" where there is none. A sidecar that is damaged, or
 * whose files have other sizes, is an error with verify, else a warning in the log. */
typedef struct fw_record_summary {
    int64_t n_files, n_records, n_bytes;
    fw_compression compression; /* of the first file */
    char *features;
    fw_record_info
        *info; /* what their sidecar says; NULL: there is none that is about exactly these files */
} fw_record_summary;
FW_API fw_status fw_record_inspect(const char *pattern, bool verify, fw_record_summary *out);
FW_API void fw_record_summary_clear(fw_record_summary *s);

#ifdef __cplusplus
}
#endif
#endif
