/* t_memory.c: numbers in memory as each type stores them. See t_inner.h. */
#include "t_inner.h"

#include <math.h>
#include <string.h>

/* Round to nearest, ties to even, as cpu/ref/layout.c defines it. */
static uint16_t bf16_bits(double v)
{
    const float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)(isnan(v) ? u >> 16 | 0x40 : (u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

static double bf16_value(uint16_t bits)
{
    const uint32_t u = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return (double)f;
}

/* IEEE's binary16, subnormal numbers included: the nearest of its values, ties to even. */
static uint16_t f16_bits(double v)
{
    const uint16_t sign = signbit(v) ? 0x8000 : 0;
    const double a = fabs(v);
    if (isnan(v))
        return sign | 0x7E00;
    if (a >= 65520)
        return sign | 0x7C00;
    int e = 0;
    (void)frexp(a, &e); /* a = [0.5, 1) 2^e */
    const int unit = e - 11 > -24 ? e - 11 : -24;
    const double steps = nearbyint(ldexp(a, -unit)); /* up to 2048 */
    if (steps == 0)
        return sign;
    if (unit == -24)
        return (uint16_t)(sign | (uint16_t)steps); /* 1024 is the first normal number's pattern */
    return (uint16_t)(sign | (uint16_t)(((unit + 24) << 10) + (int)steps));
}

static double f16_value(uint16_t bits)
{
    const int e = bits >> 10 & 31, m = bits & 1023;
    const double a = e == 31  ? (m != 0 ? (double)NAN : (double)INFINITY)
                     : e == 0 ? ldexp(m, -24)
                              : ldexp(1024 + m, e - 25);
    return bits & 0x8000 ? -a : a;
}

double t_as_stored(fw_dtype dtype, double v)
{
    return dtype == FW_F32    ? (double)(float)v
           : dtype == FW_BF16 ? bf16_value(bf16_bits(v))
           : dtype == FW_F16  ? f16_value(f16_bits(v))
                              : v;
}

double t_u_out(fw_dtype dtype)
{
    return dtype == FW_BF16 ? 1.0 / 256.0 : dtype == FW_F16 ? 1.0 / 2048.0 : 0.0;
}

/* A case of the two switches: n elements of a type, in a loop of their own. */
#define STORE_AS(type, dtype, of)                                                                  \
    case dtype:                                                                                    \
        for (int64_t i = 0; i < n; i++)                                                            \
            ((type *)data)[at + i] = (type)of(v[i]);                                               \
        break;
#define LOAD_AS(type, dtype, of)                                                                   \
    case dtype:                                                                                    \
        for (int64_t i = 0; i < n; i++)                                                            \
            v[i] = (double)of(((const type *)data)[at + i]);                                       \
        break;
#define EACH_TYPE(DO)                                                                              \
    DO(float, FW_F32, )                                                                            \
    DO(double, FW_F64, )                                                                           \
    DO(uint8_t, FW_U8, )                                                                           \
    DO(int32_t, FW_I32, )                                                                          \
    DO(int64_t, FW_I64, )

void t_store(void *data, fw_dtype dtype, int64_t at, int64_t n, const double *v)
{
    switch (dtype) {
        EACH_TYPE(STORE_AS)
        STORE_AS(uint16_t, FW_BF16, bf16_bits)
        STORE_AS(uint16_t, FW_F16, f16_bits)
    }
}

void t_load(const void *data, fw_dtype dtype, int64_t at, int64_t n, double *v)
{
    switch (dtype) {
        EACH_TYPE(LOAD_AS)
        LOAD_AS(uint16_t, FW_BF16, bf16_value)
        LOAD_AS(uint16_t, FW_F16, f16_value)
    }
}
