/* image_set.h: what the importers share: memory for images, statistics, class names, finishing
 * touches. Public side: fenwicks/image.h. */
#ifndef FWI_IMAGE_SET_H
#define FWI_IMAGE_SET_H

#include "mem.h"
#include <fenwicks/image.h>

enum { FWI_MAX_CLASSES = 1 << 20 }; /* a label from there on is damage, not a class */

/* Mean and deviation per channel over any number of pieces. Bytes are counted by value, so their
 * result is exact whatever the order; floats merge mean and squared deviations by piece (Chan,
 * Golub, LeVeque 1979), in double, so their result depends on how the pieces are cut. */
typedef struct fwi_stats {
    int64_t c;
    int64_t n; /* floats: pixels so far */
    double mean[FW_MAX_CHANNELS], m2[FW_MAX_CHANNELS];
    int64_t count[FW_MAX_CHANNELS][256];
} fwi_stats;
void fwi_stats_init(fwi_stats *s, int64_t c); /* c in 1..FW_MAX_CHANNELS */
void fwi_stats_add_u8(fwi_stats *s, const uint8_t *pixels, int64_t n_pixels);
void fwi_stats_add_f32(fwi_stats *s, const float *pixels, int64_t n_pixels);
void fwi_stats_get(const fwi_stats *s, float *mean,
                   float *std); /* [c] each; population deviation */

/* Memory for n images, and labels if asked for; im must be empty. Pixels are not set. name: what is
 * being read, for messages. FW_ESHAPE: a size below 1, too many channels, or more bytes than fit.
 */
fw_status fwi_images_new(fw_images *im, const char *name, int64_t n, int64_t h, int64_t w,
                         int64_t c, fw_dtype dtype, bool labelled);
/* The same checks alone; *n_values gets n * h * w * c. */
fw_status fwi_images_check_size(const char *name, int64_t n, int64_t h, int64_t w, int64_t c,
                                size_t *n_values);

/* FW_EFORMAT with record and value if a float is NaN or infinite. */
fw_status fwi_images_check_finite(const fw_images *im, const char *name);

/* Fills mean, std, source and digest. Values that are not finite are FW_EFORMAT with the record's
 * number. */
fw_status fwi_images_finish(fw_images *im, const char *name, const char *source);

/* CRC-32C of pixels, then labels, as 8 hexadecimal digits; caller frees; NULL: no memory. */
char *fwi_images_digest(const fw_images *im);

/* Names in UTF-8, one per line, without the blanks around them; empty lines and a byte order mark are skipped.
 * How many there are; and the names, which must be n of them: FW_EFORMAT otherwise, with the
 * line where one of them is at fault. */
int64_t fwi_class_names_count(const uint8_t *text, size_t n_bytes);
fw_status fwi_class_names_parse(const char *name, const uint8_t *text, size_t n_bytes, int64_t n,
                                char ***out);
fw_status fwi_class_names_copy(char *const *names, int64_t n, char ***out);
void fwi_class_names_free(char **names, int64_t n);

/* fw_import for callers who look at the size themselves: h, w, c cut rows and are not asked of other images. */
fw_status fwi_import_any_size(const char *src, const fw_import_opt *opt, fw_images *train,
                              fw_images *test);

/* Of which set's parts an archive holds one: 10 or 100 classes; 0: of neither. */
fw_status fwi_cifar_archive_classes(const char *path, int64_t *classes);

/* Whether an .npz has an array of that name. */
fw_status fwi_npz_has(const char *path, const char *key, bool *has);

/* fw_csv_load of text in memory; name: for messages and as the source. */
fw_status fwi_csv_parse(const char *name, const void *text, size_t n_bytes, const fw_csv_opt *opt,
                        fw_images *out);

#endif
