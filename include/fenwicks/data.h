/* data.h: the input pipeline: parse, augment, shuffle, batch, prefetch.
 *
 *     const fw_transform augment[] = {fw_standardize(3, mean, std), fw_random_pad_crop(4),
 *                                     fw_random_flip(), fw_cutout(8, 8), FW_TRANSFORM_END};
 *     fw_tfrecord_dataset(&ds, "train.tfrec", fw_parse_image_array(32, 32, 3), augment,
 *                         &(fw_dataset_opt){.batch = 512, .training = true});
 *     while ((st = fw_dataset_next(ds, &batch)) == FW_OK) ...
 *
 * Order. Pass e over n records visits them sorted by (philox64(seed, SHUFFLE, e, i), i); position p
 * of the endless stream is pass p / n, place p % n, so batches straddle the ends of passes. Every
 * random choice is drawn by (seed, purpose, pass, record), so that a batch depends on its position
 * alone: not on threads, prefetching, or whether the data is read from disk or memory. Files that
 * cannot be sought in (GZIP, ZLIB) are shuffled through a buffer instead. */
#ifndef FENWICKS_DATA_H
#define FENWICKS_DATA_H

#include <fenwicks/image.h>
#include <fenwicks/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- transforms: data, so that they can run on the host or as ops on a device ---- */

/* One image on its way through a user's own transform. */
typedef struct fw_sample {
    float *image; /* [h,w,c], to be changed in place */
    int64_t h, w, c;
    int32_t label;     /* to be read: changing it has no effect */
    int64_t record;    /* its index in the data set */
    int64_t pass;      /* pass over the data */
    uint32_t words[8]; /* random, drawn for this record, pass and place in the chain */
} fw_sample;
/* Called from several threads at once. Another status than FW_OK ends the call that wanted the batch, whose
 * message names the record and the status; what else is to be said, the caller keeps in `user`. */
typedef fw_status (*fw_sample_fn)(void *user, fw_sample *s);

typedef enum fw_transform_kind {
    FW_TRANSFORM_NONE = 0, /* ends a list */
    FW_TRANSFORM_STANDARDIZE = 1,
    FW_TRANSFORM_PAD_CROP = 2,
    FW_TRANSFORM_FLIP = 3,
    FW_TRANSFORM_CUTOUT = 4,
    FW_TRANSFORM_USER = 5,
    FW_TRANSFORM_COLOR_JITTER = 6,
    FW_TRANSFORM_CUTMIX = 7
} fw_transform_kind;

/* Made by the functions below; the fields are for them. */
typedef struct fw_transform {
    fw_transform_kind kind;
    int64_t h, w;                /* size of hole or patch; pad-crop: h = padding */
    int64_t from;                /* cutmix */
    bool dihedral, alternating;  /* flip */
    double brightness, contrast; /* color-jitter: half widths */
    int64_t c;                   /* standardize */
    float mean[FW_MAX_CHANNELS], std[FW_MAX_CHANNELS];
    fw_sample_fn fn;
    void *user;
} fw_transform;
#define FW_TRANSFORM_END fw_transform_end()

FW_API fw_transform fw_transform_end(void);

/* (x - mean) / std per channel; mean and std: [c]. A std of 0 divides by 1. */
FW_API fw_transform fw_standardize(int64_t c, const float *mean, const float *std);

/* Reflect-pads by `pad` on every side (the border pixel is not repeated) and crops the old size at
 * one of (2 pad + 1)^2 places. The image must be larger than pad. */
FW_API fw_transform fw_random_pad_crop(int64_t pad);

/* Mirrors left-right with probability 1/2. */
FW_API fw_transform fw_random_flip(void);

/* Mirrors left-right in every second pass: one bit per record decides whether in the even or in the
 * odd ones, so that each two passes in a row show a record once each way (Jordan 2024, "94% on
 * CIFAR-10 in 3.29 seconds on a single GPU"). */
FW_API fw_transform fw_alternating_flip(void);

/* Mirrors, then turns by 0, 90, 180 or 270 degrees: the 8 symmetries of the square, for square
 * images only. */
FW_API fw_transform fw_random_dihedral(void);

/* Sets an h x w hole, wholly inside the image, to 0 (DeVries and Taylor 2017): put it after
 * fw_standardize. */
FW_API fw_transform fw_cutout(int64_t h, int64_t w);

/* x <- (x + b) m for all values of an image, b uniform in [-brightness, brightness), m uniform in
 * [1 - contrast, 1 + contrast), both anew in each pass: put it after fw_standardize, so that x is in
 * standard deviations. brightness >= 0; contrast in [0, 1]. Source: hiverge 2025, "CIFAR-10
 * speedrun" (0.1399 and 0.1308 there). */
FW_API fw_transform fw_color_jitter(double brightness, double contrast);

/* Pastes an h x w patch into every image of a training batch, at a place of its own: the same place
 * of another image of the batch, as it was before anything was pasted (Yun et al. 2019; the fixed
 * size is that of hlb-CIFAR10). Which image gives to which is a permutation. The last transform of a
 * list; batches carry the giving image's label too (fw_batch.labels2), and an estimator's loss is
 * (1 - s) loss(labels) + s loss(labels2) with s = h w / (H W). from: batches that begin before this
 * position of the stream stay as they are; 0: all are mixed. A single image (fw_transform_apply)
 * gives to itself. Not for evaluation. */
FW_API fw_transform fw_cutmix(int64_t h, int64_t w, int64_t from);

/* A function of the caller's own. */
FW_API fw_transform fw_user_transform(fw_sample_fn fn, void *user);

/* A chain on one image, as the data set would run it: in, u8 or f32 [h,w,c] -> out, f32 [h,w,c], which
 * do not overlap. For tests and for looking at what augmentation does. transforms ends with FW_TRANSFORM_END; NULL:
 * only the conversion. Errors: FW_EARG (another type, a constant out of range, an overlap), FW_ESHAPE (a transform that
 * does not fit the image), FW_ENOMEM. */
FW_API fw_status fw_transform_apply(const fw_transform *transforms, uint64_t seed, int64_t pass,
                                    int64_t record, fw_dtype dtype, int64_t h, int64_t w, int64_t c,
                                    const void *in, int32_t label, float *out);

/* ---- parsers ---- */
typedef struct fw_parser {
    int32_t kind; /* 1: image array */
    int64_t h, w, c;
} fw_parser;

/* Records with a float or uint8 image of h x w x c values, as fw_write_tfrecord writes them;
 * another size is an error naming the record. */
FW_API fw_parser fw_parse_image_array(int64_t h, int64_t w, int64_t c);

/* ---- data sets ---- */
typedef struct fw_dataset fw_dataset;

typedef struct fw_dataset_opt {
    int64_t batch; /* records per batch; required */
    bool training; /* shuffled and endless; else in order, one pass, the last batch padded */
    uint64_t seed;
    bool drop_pass_end;  /* training: a pass ends at its last full batch instead of straddling;
                            positions then count the records given: p is pass p / m, place p % m,
                            with m the largest multiple of batch up to n */
    bool no_shuffle;     /* training: keep the order of the records */
    bool drop_remainder; /* not training: leave the last, partial batch out */
    int64_t passes;   /* training: 0 endless, n: ends after n passes (partial last batch dropped) */
    int64_t prefetch; /* batches made ahead; 0: 2; FW_NONE: none */
    int64_t shuffle_buffer; /* files that cannot be sought in: records held; 0: 50000 */
    int64_t
        cycle_length; /* such files read in turn; 0: 2, of data that is not for training 1; always 1
                               with a cache or folds, which count records in the order of the files */
    bool cache;       /* hold all records in memory, decoded, in the type they are stored in */
    int64_t shards,
        shard; /* only records i with i % shards == shard; shards 0: all. For several processes */
    int64_t folds, fold; /* cross-validation: fold k is records i % folds == k; training takes the
                    others. folds 0 or 1: all. With shards too: shards of the fold, by rank in it */
    int threads; /* of a data set used alone; 0: as many as allowed. With an estimator its pool is
                    used */
} fw_dataset_opt;

/* pattern: see record.h. transforms: ends with FW_TRANSFORM_END, copied; NULL: none. Reads the
 * lengths of all records and the data of the first at once; of files that cannot be sought in the
 * sidecar or else all records, to count them, and all of them where opt asks for a cache. Errors:
 * FW_ENOTFOUND, FW_EIO, FW_EFORMAT, FW_EARG (an option or a constant of a transform out of range, no
 * record left for this shard or fold), FW_ESHAPE (a first record of another size than the parser's, a
 * transform that does not fit the image), FW_EUNAVAILABLE (encoded images, as PNG; gs:// and the like),
 * FW_ENOMEM. */
FW_API fw_status fw_tfrecord_dataset(fw_dataset **out, const char *pattern, fw_parser parser,
                                     const fw_transform *transforms, const fw_dataset_opt *opt);

/* Over images in memory, which are borrowed until fw_dataset_free. Errors: FW_EARG (no images, or neither u8
 * nor f32; the rest as above), FW_ESHAPE (a transform that does not fit the image), FW_ENOMEM. */
FW_API fw_status fw_array_dataset(fw_dataset **out, const fw_images *images,
                                  const fw_transform *transforms, const fw_dataset_opt *opt);
FW_API void fw_dataset_free(fw_dataset *ds);

/* A batch. Borrowed: valid until the next fw_dataset_next, _seek or _free of its data set. */
typedef struct fw_batch {
    int64_t n;     /* rows: always opt.batch */
    int64_t valid; /* rows that are records; those after it are zero, with label and record -1 */
    int64_t h, w, c;
    const float *images;    /* [n,h,w,c], 64-byte aligned */
    const int32_t *labels;  /* [n]; -1: masked or unlabelled */
    const int32_t *labels2; /* [n] of the images that patches are from (fw_cutmix); elsewhere equal
                               to labels */
    double share2;          /* of labels2 in the loss; 0 where the data set mixes nothing */
    const int64_t *records; /* [n] index in the data set */
    int64_t position;       /* stream position of row 0 */
} fw_batch;

/* FW_END after the last batch. A failure on a worker thread is reported here, by the batch it
 * concerns. After a failure the data set stays where it was: the call may be repeated. */
FW_API fw_status fw_dataset_next(fw_dataset *ds, fw_batch *out);

/* The next batch begins at stream position p (a multiple of the batch size for whole batches):
 * exact resume. Files that cannot be sought in are replayed. FW_EARG beyond the end. */
FW_API fw_status fw_dataset_seek(fw_dataset *ds, int64_t position);
FW_API int64_t fw_dataset_position(const fw_dataset *ds); /* where the next batch begins */

/* Of NULL these are 0. */
FW_API int64_t
fw_dataset_count(const fw_dataset *ds); /* records in one pass, shard and fold applied */
FW_API int64_t
fw_dataset_batches(const fw_dataset *ds); /* batches in one pass: training count / batch, else
                                             rounded up (down with drop_remainder) */
FW_API void fw_dataset_shape(const fw_dataset *ds, int64_t *h, int64_t *w, int64_t *c);

/* Bytes the data set holds (or will hold once running): for budgets. */
typedef struct fw_dataset_memory {
    int64_t index;    /* record offsets and the order of a pass */
    int64_t cache;    /* records held */
    int64_t shuffle;  /* the shuffle buffer */
    int64_t prefetch; /* batches, and workers' scratch */
} fw_dataset_memory;
FW_API void fw_dataset_memory_get(const fw_dataset *ds, fw_dataset_memory *out);

#ifdef __cplusplus
}
#endif
#endif
