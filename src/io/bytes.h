/* bytes.h: fixed-width little-endian numbers in byte buffers, whatever the machine's own order. */
#ifndef FWI_BYTES_H
#define FWI_BYTES_H

#include <stdint.h>

static inline uint32_t fwi_get_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t fwi_get_le64(const uint8_t *p)
{
    return (uint64_t)fwi_get_le32(p) | (uint64_t)fwi_get_le32(p + 4) << 32;
}
static inline void fwi_put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline void fwi_put_le64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline uint32_t fwi_get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

#endif
