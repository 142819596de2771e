/* example.h: labelled images as tf.train.Example messages (docs/formats/example.md).
 *
 * The wire format is protobuf-c's business (example.proto); here features become an image and a
 * label. Framing around it: tfrecord.c. */
#ifndef FWI_EXAMPLE_H
#define FWI_EXAMPLE_H

#include "mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one record says. Exactly one of u8 and f32 is set. */
typedef struct fwi_example_image {
    const uint8_t *u8; /* image as bytes: raw pixels, or an encoded file (see _check) */
    const float *f32;  /* image as a FloatList */
    int64_t n_values;  /* elements of u8 or f32 */
    int64_t h, w, c;   /* of the feature "shape" */
    bool has_shape;
    bool has_label;
    int64_t label;
} fwi_example_image;

/* Reads the features image, label and shape; others are skipped; of a name that comes twice the
 * last one counts. out's pointers are into scratch, which is reset first, so they live until the
 * next call with it; once scratch has grown to the largest record, nothing is allocated. A feature
 * of a wrong kind or length is FW_EFORMAT or FW_ESHAPE; a shape that does not fit the number of
 * values too. Messages do not know the file: callers put it in front with fwi_fail_in. */
fw_status fwi_example_image_decode(fwi_arena *scratch, const uint8_t *data, size_t n_bytes,
                                   fwi_example_image *out);

/* Whether the image is h x w x c raw values: a shape must say so; without one, bytes that begin as
 * JPEG or PNG are encoded (FW_EUNAVAILABLE: not yet), and any others must be exactly h * w * c of
 * them. Floats must be finite (FW_EFORMAT). */
fw_status fwi_example_image_check(const fwi_example_image *e, int64_t h, int64_t w, int64_t c);

/* Appends one encoded Example to buf: image, label if has_label, shape if has_shape, in that order.
 */
fw_status fwi_example_image_encode(const fwi_example_image *e, fwi_buf *buf);

/* Appends "image bytes, label int64, shape int64[3]", sorted by name, to buf. FW_EFORMAT: not an
 * Example. */
fw_status fwi_example_describe(fwi_arena *scratch, const uint8_t *data, size_t n_bytes,
                               fwi_buf *buf);

#endif
