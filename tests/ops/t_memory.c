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

/* n elements of one type, in a loop of their own. */
#define OF_TYPE(name, type, stored, value)                                                         \
    static void store_##name(type *to, int64_t n, const double *v)                                 \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            to[i] = stored(v[i]);                                                                  \
    }                                                                                              \
    static void load_##name(const type *from, int64_t n, double *v)                                \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            v[i] = value(from[i]);                                                                 \
    }
OF_TYPE(f32, float, (float), (double))
OF_TYPE(f64, double, , )
OF_TYPE(u8, uint8_t, (uint8_t), (double))
OF_TYPE(i32, int32_t, (int32_t), (double))
OF_TYPE(i64, int64_t, (int64_t), (double))
OF_TYPE(bf16, uint16_t, bf16_bits, bf16_value)
OF_TYPE(f16, uint16_t, f16_bits, f16_value)
#undef OF_TYPE

void t_store(void *data, fw_dtype dtype, int64_t at, int64_t n, const double *v)
{
    switch (dtype) {
    case FW_F32:
        store_f32((float *)data + at, n, v);
        break;
    case FW_F64:
        store_f64((double *)data + at, n, v);
        break;
    case FW_U8:
        store_u8((uint8_t *)data + at, n, v);
        break;
    case FW_I32:
        store_i32((int32_t *)data + at, n, v);
        break;
    case FW_I64:
        store_i64((int64_t *)data + at, n, v);
        break;
    case FW_BF16:
        store_bf16((uint16_t *)data + at, n, v);
        break;
    case FW_F16:
        store_f16((uint16_t *)data + at, n, v);
        break;
    }
}

void t_load(const void *data, fw_dtype dtype, int64_t at, int64_t n, double *v)
{
    switch (dtype) {
    case FW_F32:
        load_f32((const float *)data + at, n, v);
        break;
    case FW_F64:
        load_f64((const double *)data + at, n, v);
        break;
    case FW_U8:
        load_u8((const uint8_t *)data + at, n, v);
        break;
    case FW_I32:
        load_i32((const int32_t *)data + at, n, v);
        break;
    case FW_I64:
        load_i64((const int64_t *)data + at, n, v);
        break;
    case FW_BF16:
        load_bf16((const uint16_t *)data + at, n, v);
        break;
    case FW_F16:
        load_f16((const uint16_t *)data + at, n, v);
        break;
    }
}
