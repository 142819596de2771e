/* safetensors.h: named tensors and text in one file, as other tools read them too.
 *
 * Format (github.com/huggingface/safetensors, "Format"): u64 little-endian header length, a JSON
 * object
 * {"__metadata__": {key: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}}, then the
 * data, without holes. We add the metadata key "crc32c": CRC-32C of the data in hexadecimal,
 * checked when present. Model files and checkpoints (checkpoint.h) are both of this form. */
#ifndef FWI_SAFETENSORS_H
#define FWI_SAFETENSORS_H

#include "file.h"
#include "ir.h"

/* ---- writing: a layout is made once; writing it again and again allocates nothing ---- */
typedef struct fwi_st_layout fwi_st_layout;
fw_status fwi_st_layout_new(fwi_st_layout **out);
void fwi_st_layout_free(fwi_st_layout *l);
fw_status fwi_st_layout_add(fwi_st_layout *l, const char *name, fw_dtype dtype,
                            const fwi_shape *shape);
/* Text under a key; setting a key again replaces its text. "crc32c" is ours. */
fw_status fwi_st_layout_meta(fwi_st_layout *l, const char *key, const char *text);
/* data[i]: host memory of tensor i in the order of _add. w: from fwi_file_writer_new. Written
 * beside and renamed. */
fw_status fwi_st_layout_write(fwi_st_layout *l, fwi_file_writer *w, const char *path,
                              const void *const *data);

/* ---- reading ---- */
typedef struct fwi_st_tensor {
    const char *name;
    fw_dtype dtype;
    fwi_shape shape;
    uint64_t begin, bytes; /* begin: from the start of the data */
} fwi_st_tensor;

typedef struct fwi_safetensors fwi_safetensors;
/* Reads and checks the header: FW_EFORMAT names file, tensor and reason. Types that the library has
 * none for are refused. */
fw_status fwi_st_open(fwi_safetensors **out, const char *path);
void fwi_st_close(fwi_safetensors *s);
int fwi_st_count(const fwi_safetensors *s);
const fwi_st_tensor *fwi_st_get(const fwi_safetensors *s, int i);
const fwi_st_tensor *fwi_st_find(const fwi_safetensors *s, const char *name); /* NULL */
const char *fwi_st_meta(const fwi_safetensors *s, const char *key);           /* NULL */
const char *fwi_st_meta_at(const fwi_safetensors *s, int i,
                           const char **key); /* NULL beyond the end */
const char *fwi_st_path(const fwi_safetensors *s);
fw_status fwi_st_read(fwi_safetensors *s, const fwi_st_tensor *t, void *dst); /* t->bytes */
fw_status
fwi_st_verify(fwi_safetensors *s); /* reads all data against the crc, where there is one */
/* The same, keeping the data in memory, from where fwi_st_read takes them from then on; drop lets them
 * go: reading then reads the file again. */
fw_status fwi_st_hold(fwi_safetensors *s);
void fwi_st_drop(fwi_safetensors *s);

#endif
