/* zlib_memory.h: zlib's memory from core/mem.h, for reading (source.c) and writing (tfrecord_write.c). */
#ifndef FWI_ZLIB_MEMORY_H
#define FWI_ZLIB_MEMORY_H

#include "mem.h"

static inline void *fwi_z_alloc(void *opaque, unsigned count, unsigned size)
{
    (void)opaque;
    return fwi_alloc_array(count, size);
}

static inline void fwi_z_free(void *opaque, void *p)
{
    (void)opaque;
    fwi_free(p);
}

#endif
