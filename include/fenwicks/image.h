/* image.h: labelled images in memory, and the importers that fill them.
 *
 * Importers read hostile files: every error names the file, the record (from 0) or line, what was
 * found and what was expected, and leaves the outputs untouched. Besides what is said below, all of
 * them may return FW_EARG, FW_EIO, FW_ENOMEM and, for gs:// and s3:// paths, FW_EUNAVAILABLE. */
#ifndef FENWICKS_IMAGE_H
#define FENWICKS_IMAGE_H

#include <fenwicks/tensor.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* n images of one size. {0} is an empty one. Filled by an importer it owns everything in it and is
 * released by fw_images_clear; a caller may as well fill the fields with memory of his own (then he
 * does not call fw_images_clear). */
typedef struct fw_images {
    int64_t n, h, w, c;
    fw_dtype dtype;              /* FW_U8 (0..255) or FW_F32 */
    void *pixels;                /* [n,h,w,c] */
    int32_t *labels;             /* [n], in [0, n_classes); NULL: unlabelled */
    int64_t n_classes;           /* 0: unlabelled */
    char **class_names;          /* [n_classes]; NULL: unknown */
    float mean[FW_MAX_CHANNELS]; /* per channel, of the values as stored */
    float std[FW_MAX_CHANNELS];  /* population standard deviation */
    char *source;                /* what was read, for messages and sidecars; may be NULL */
    char *digest; /* CRC-32C of pixels, then labels, 8 hexadecimal digits; may be NULL */
} fw_images;

FW_API void fw_images_clear(fw_images *im);

/* Mean and population standard deviation per channel in one pass, in double (bytes: exact counts;
 * floats: Welford/Chan). Fills im->mean and im->std. The importers have called it already. FW_EARG
 * if there are no images, or more than FW_MAX_CHANNELS channels. */
FW_API fw_status fw_images_stats(fw_images *im);

/* The standard binary data sets. path: the folder that holds the .bin files (or holds
 * cifar-10-batches-bin/ or cifar-100-binary/, or the archive below), or a .tar.gz or .tar of it.
 * train or test may be NULL when not wanted. For CIFAR-100 fine: the 100 fine labels, else the 20
 * coarse ones. Class names come from the .txt file beside the records, if it is there. Errors:
 * FW_ENOTFOUND (nothing of the kind there, or a part is missing), FW_EFORMAT (a file's size is no
 * multiple of the record, a label is out of range). Format: docs/formats/cifar.md.
 * Source: https://www.cs.toronto.edu/~kriz/cifar.html (binary version). */
FW_API fw_status fw_cifar10_load(const char *path, fw_images *train, fw_images *test);
FW_API fw_status fw_cifar100_load(const char *path, bool fine, fw_images *train, fw_images *test);

/* MNIST and its kin: a folder with {train,t10k}-{images-idx3,labels-idx1}-ubyte, each plain or .gz.
 * n_classes is the largest label of the parts asked for + 1, and at least 10. */
FW_API fw_status fw_mnist_load(const char *path, fw_images *train, fw_images *test);

/* One IDX file pair, plain or gzipped; labels_path may be NULL. n_classes is the largest label + 1.
 * Errors: FW_EFORMAT, FW_ESHAPE (the counts differ). Format: docs/formats/idx.md. */
FW_API fw_status fw_idx_load(const char *images_path, const char *labels_path, fw_images *out);

/* NumPy arrays. x: [n,h,w,c], [n,h,w] (c = 1) or [n,d] (h = 1, w = d, c = 1 unless h, w, c are
 * given), of truths, integers of 1 to 8 bytes or floats of 2 to 8, either byte order, C or Fortran
 * order; u8 stays u8, truths become u8 of 0 and 1, the others f32 and must be finite. y: [n] or
 * [n,1] integers, or floats of integral values; y_path NULL: unlabelled. Either path may be an .npz
 * (told by its first bytes); without y_path labels come from x_path's .npz if it has them. Errors:
 * FW_EFORMAT, FW_ESHAPE, FW_ENOTFOUND (no such member), FW_EARG (a member's name, and no .npz).
 * Format: docs/formats/npy.md. Source: NEP 1, npy format versions 1.0 to 3.0. */
typedef struct fw_npy_opt {
    const char *x_key; /* members of an .npz; NULL: the first of "x", "X", "images" */
    const char *y_key; /* NULL: the first of "y", "labels", if there is one */
    /* How to cut a [n,d] array: h and w, c 0: 1. What other arrays must have; 0: any. */
    int64_t h, w, c;
    int64_t n_classes; /* 0: largest label + 1; else a label from there on is FW_EFORMAT */
} fw_npy_opt;
FW_API fw_status fw_npy_load(const char *x_path, const char *y_path, const fw_npy_opt *opt,
                             fw_images *out);

/* Text: one record per line, numbers between commas, semicolons or tabs, one of them the label. A
 * first line where none begins like a number, or with a column named label, labels, class, target
 * or y, is a header. u8 if all values are whole and in 0..255, else f32. n_classes is the largest
 * label + 1. opt may be NULL. Errors: FW_EFORMAT (no number, a label that is none, a header with no
 * column named so or with two), FW_ESHAPE (count of values), with the line; FW_EARG (a height without
 * a width, a negative column). Format: docs/formats/csv.md. */
typedef struct fw_csv_opt {
    /* How to cut the h * w * c values of a line; c 0: 1. All 0: a square number of values is a
     * square image, any other one row. */
    int64_t h, w, c;
    int64_t
        label_column; /* from 1; 0: the one that the header names so; without a header the last */
} fw_csv_opt;
FW_API fw_status fw_csv_load(const char *path, const fw_csv_opt *opt, fw_images *out);

/* Splits by position: the records i with i % k == k - 1 (i from 0) go to test, the others to train.
 * im, which owns its memory (an importer filled it), is consumed: cleared on success, untouched on
 * error. FW_EARG unless 2 <= k <= n. */
FW_API fw_status fw_images_split_every(fw_images *im, int64_t k, fw_images *train, fw_images *test);

/* Keeps the first n images; statistics, source and digest are those of what is left, n_classes and
 * class names stay. im owns its memory (an importer filled it). FW_EARG unless 1 <= n <= im->n; on
 * error im is untouched. */
FW_API fw_status fw_images_take(fw_images *im, int64_t n);

/* Guesses which importer fits src (folder or archive of CIFAR-10 or CIFAR-100, folder of MNIST, IDX
 * file with its labels beside it, .npy, .npz, of which one with x_train has two parts, .csv) and runs
 * it. test stays empty (n == 0) where src has one part only. opt may be NULL. FW_ENOTFOUND if nothing fits, FW_EARG for an option
 * that src has no use for, FW_ESHAPE if its images are not of the size asked for. */
typedef struct fw_import_opt {
    const char *labels; /* second file of an .npy, .npz or IDX import */
    fw_npy_opt npy;     /* .npy, .npz; h, w, c all 0: those below */
    bool coarse;        /* CIFAR-100: the 20 coarse labels */
    /* .csv, and arrays of rows: how to cut them, h and w, c 0: 1. What other images must have; 0: any. */
    int64_t h, w, c;
    int64_t label_column; /* .csv: fw_csv_opt */
    /* A file with a class's name in each line, from class 0 on, for images that have none; NULL: numbers. */
    const char *class_names;
    int64_t split_every; /* 0: no split; k: fw_images_split_every; FW_EARG if src has two parts */
    int64_t take;        /* of the part to train on, behind a split: fw_images_take; 0: all */
} fw_import_opt;
FW_API fw_status fw_import(const char *src, const fw_import_opt *opt, fw_images *train,
                           fw_images *test);

#ifdef __cplusplus
}
#endif
#endif
