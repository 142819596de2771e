/* image.h: labelled images in memory, and the importers that fill them. */
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
    fw_dtype dtype;     /* FW_U8 (0..255) or FW_F32 */
    void *pixels;       /* [n,h,w,c] */
    int32_t *labels;    /* [n], in [0, n_classes); NULL: unlabelled */
    int64_t n_classes;  /* 0: unlabelled */
    char **class_names; /* [n_classes]; NULL: unknown */
    float mean[FW_MAX_CHANNELS],
        std[FW_MAX_CHANNELS]; /* per channel, of the values as stored; population std */
    char *source;             /* what was read, for messages and sidecars; may be NULL */
    char *digest; /* identifies the content (CRC-32C of pixels and labels, hexadecimal); may be NULL
                   */
} fw_images;

FW_API void fw_images_clear(fw_images *im);

/* Mean and population standard deviation per channel in one pass (Welford/Chan, in double). Fills
 * im->mean and im->std. The importers have called it already. FW_EARG if empty or c >
 * FW_MAX_CHANNELS. */
FW_API fw_status fw_images_stats(fw_images *im);

/* The standard binary data sets. path: the folder that holds the .bin files (or holds
 * cifar-10-batches-bin/ or cifar-100-binary/), or a .tar.gz / .tar of it. train or test may be NULL
 * when not wanted. For CIFAR-100 fine: the 100 fine labels, else the 20 coarse ones. Errors:
 * FW_ENOTFOUND (nothing of the kind there), FW_EFORMAT (a file's size is no multiple of the record,
 * a label is out of range): the message names file and record. Outputs stay untouched on error.
 * Source: https://www.cs.toronto.edu/~kriz/cifar.html (binary version). */
FW_API fw_status fw_cifar10_load(const char *path, fw_images *train, fw_images *test);
FW_API fw_status fw_cifar100_load(const char *path, bool fine, fw_images *train, fw_images *test);

/* MNIST and its kin: a folder with {train,t10k}-{images-idx3,labels-idx1}-ubyte, each plain or .gz.
 */
FW_API fw_status fw_mnist_load(const char *path, fw_images *train, fw_images *test);

/* One IDX file pair; labels_path may be NULL. */
FW_API fw_status fw_idx_load(const char *images_path, const char *labels_path, fw_images *out);

/* NumPy arrays. x: [n,h,w,c], [n,h,w] (c = 1) or [n,d] (h = 1, w = d, c = 1 unless h, w, c are
 * given), of u8, i32, i64, f32 or f64, C or Fortran order; u8 stays u8, the others become f32. y:
 * [n] or [n,1] integers, or f32/f64 of integral values. x_path may be an .npz holding both (x_key,
 * y_key: NULL takes "x"/"X"/"images", "y"/"labels"). Source: NEP 1, npy format versions 1.0 to 3.0.
 */
typedef struct fw_npy_opt {
    const char *x_key, *y_key; /* .npz members */
    int64_t h, w, c;           /* how to cut a [n,d] array; 0: as the array says */
    int64_t n_classes;         /* 0: largest label + 1 */
} fw_npy_opt;
FW_API fw_status fw_npy_load(const char *x_path, const char *y_path, const fw_npy_opt *opt,
                             fw_images *out);

/* Text: one record per line, numbers separated by commas, the label last (the UCI digits' form). h
 * * w * c values before it. */
FW_API fw_status fw_csv_load(const char *path, int64_t h, int64_t w, int64_t c, fw_images *out);

/* Splits by position: every k-th record (k, 2k, ... counted from 0: indices i with i % k == k - 1)
 * goes to test, the rest to train. im is consumed: cleared on success, untouched on error. */
FW_API fw_status fw_images_split_every(fw_images *im, int64_t k, fw_images *train, fw_images *test);

/* Guesses which importer fits SRC (CIFAR-10, CIFAR-100, MNIST, .npy, .npz, .csv) and runs it. test
 * stays empty (n == 0) where SRC has only one part. opt may be NULL. */
typedef struct fw_import_opt {
    const char *labels; /* second file of an .npy import */
    fw_npy_opt npy;
    bool coarse;         /* CIFAR-100 */
    int64_t h, w, c;     /* .csv */
    int64_t split_every; /* 0: no split; k: every k-th record is test */
} fw_import_opt;
FW_API fw_status fw_import(const char *src, const fw_import_opt *opt, fw_images *train,
                           fw_images *test);

#ifdef __cplusplus
}
#endif
#endif
