/* crc32c.h: CRC-32C (Castagnoli), and the masked form that TFRecord and event files store.
 *
 * Reflected polynomial 0x82F63B78, initial value and final xor 0xFFFFFFFF. The instructions of
 * SSE4.2 or ARMv8 are used where the processor has them. Source: RFC 3720 appendix B.4. */
#ifndef FWI_CRC32C_H
#define FWI_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint32_t fwi_crc32c(const void *p, size_t n_bytes);

/* Goes on from the crc of what came before: update(crc(a), b) is crc(a then b); crc of nothing is
 * 0. */
uint32_t fwi_crc32c_update(uint32_t crc, const void *p, size_t n_bytes);

/* TFRecord stores this, so that a crc over bytes that hold crcs stays meaningful. */
static inline uint32_t fwi_crc32c_mask(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}
static inline uint32_t fwi_crc32c_masked(const void *p, size_t n_bytes)
{
    return fwi_crc32c_mask(fwi_crc32c(p, n_bytes));
}

/* The ways it may be computed, for the test that holds them together. _hw: only where has_hw says
 * so. */
uint32_t fwi_crc32c_update_table(uint32_t crc, const void *p, size_t n_bytes);
uint32_t fwi_crc32c_update_hw(uint32_t crc, const void *p, size_t n_bytes);
bool fwi_crc32c_has_hw(void);

#endif
