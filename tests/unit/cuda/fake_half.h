/* fake_half.h: numbers of 16 bits as the stand-ins for cuDNN and cuBLASLt read and write them. */
#ifndef FAKE_HALF_H
#define FAKE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_value(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, a = h & 0x7fffu;
    float f;
    uint32_t bits = sign | ((a << 13) + 0x38000000u);
    if (a >= 0x7c00u)
        bits = sign | 0x7f800000u | a << 13;
    memcpy(&f, &bits, sizeof f);
    return a >= 0x400u ? f : (sign != 0 ? -1.0f : 1.0f) * (float)a / 16777216.0f;
}

/* Of numbers that are not over its range; what is under it is rounded too. */
static inline uint16_t half_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000u, a = bits & 0x7fffffffu;
    if (a >= 0x38800000u)
        return (uint16_t)(sign | (a - 0x38000000u + 0xfffu + (a >> 13 & 1)) >> 13);
    return (uint16_t)(sign | (uint32_t)((sign != 0 ? -f : f) * 16777216.0f + 0.5f));
}

static inline float bf16_value(uint16_t h)
{
    const uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint16_t bf16_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
