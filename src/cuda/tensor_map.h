/* tensor_map.h: tensors as the bulk copies of Hopper GPUs want them described: 128 bytes that the
 * driver packs from sizes, strides, the part that one copy brings, and how that part is swizzled in
 * shared memory. Packing is arithmetic alone: it allocates nothing and waits for nothing, so it is done
 * when a kernel is enqueued, and a recorded step keeps the map as the kernel's argument.
 *
 * No type of CUDA stands here: kernels under emulation have an encoder of their own. Read next:
 * tensor_map.c, cuda_tma.h (the copies). */
#ifndef FWI_TENSOR_MAP_H
#define FWI_TENSOR_MAP_H

#include "ir.h"

typedef struct fwi_tensor_map {
    uint64_t words[16];
} __attribute__((aligned(64))) fwi_tensor_map;

/* Elements lie packed, axis 0 innermost. Places outside of the tensor read as zeros. */
typedef struct fwi_map_spec {
    void *data;       /* on a boundary of 16 bytes */
    fw_dtype dtype;   /* bf16 or f16 */
    int32_t rank;     /* 2 to 4 */
    int64_t size[4];  /* every axis but the last: a multiple of 16 bytes up to it */
    int32_t swizzle;  /* 32, 64 or 128: bytes of a row of the part, which is box[0] elements */
    bool im2col;      /* false: the part is box[0] x box[1] x ... */
    int32_t box[4];   /* im2col: box[0] channels of box[1] pixels; size is c w h n */
    int32_t lower[2]; /* im2col: where windows begin, w and h: from `lower` to size - 1 + `upper` */
    int32_t upper[2];
} fwi_map_spec;

/* The driver's functions; NULL: it has none. */
typedef struct fwi_map_encoders {
    void *tiled, *im2col;
} fwi_map_encoders;
void fwi_map_encoders_open(fwi_map_encoders *e);
fw_status fwi_map_encode(const fwi_map_encoders *e, fwi_tensor_map *out, const fwi_map_spec *s);

#endif
