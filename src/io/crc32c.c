/* crc32c.c: CRC-32C by table (eight bytes per step) and by instruction (three lanes at once).
 *
 * The crc32 instruction takes three cycles and a new one can start in each, so one chain of them
 * leaves two thirds of the unit idle. A block is therefore cut in three lanes of equal length,
 * whose registers advance side by side and are joined afterwards. Joining is linear algebra: a
 * register followed by L zero bytes is a linear function of the register, kept as four tables of
 * 256 words per L. So for lanes A B C that began with a, 0 and 0:   join = shift_L(shift_L(a) ^ b)
 * ^ c. Used by tfrecord.c for every record. */
#include "crc32c.h"

#include "cpu.h"
#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HW_TARGET      __attribute__((target("sse4.2")))
#define HW_U64(crc, v) ((uint32_t)_mm_crc32_u64((crc), (v)))
#define HW_U8(crc, v)  _mm_crc32_u8((crc), (v))
#elif defined(__aarch64__)
#include <arm_acle.h>
#define HW_TARGET      __attribute__((target("+crc")))
#define HW_U64(crc, v) __crc32cd((crc), (v))
#define HW_U8(crc, v)  __crc32cb((crc), (v))
#endif

enum {
    POLYNOMIAL_BITS = 32,
    LONG_LANE = 1024, /* 3 x 1024 is a 32 x 32 x 3 record of bytes in one go */
    SHORT_LANE = 128
};
static const uint32_t polynomial = 0x82F63B78u;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t table[8][256];       /* [k][b]: byte b followed by k zero bytes */
static uint32_t shift_long[4][256];  /* [k][b]: b in byte k of the register, then LONG_LANE zeros */
static uint32_t shift_short[4][256]; /* the same for SHORT_LANE */
static bool has_hw;

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static void make_shift(uint32_t out[4][256], int n_zeros)
{
    uint32_t basis[POLYNOMIAL_BITS];
    for (int bit = 0; bit < POLYNOMIAL_BITS; bit++) {
        uint32_t r = (uint32_t)1 << bit;
        for (int i = 0; i < n_zeros; i++)
            r = (r >> 8) ^ table[0][r & 0xff];
        basis[bit] = r;
    }
    for (int k = 0; k < 4; k++)
        for (int b = 0; b < 256; b++) {
            uint32_t r = 0;
            for (int bit = 0; bit < 8; bit++)
                if ((b >> bit & 1) != 0)
                    r ^= basis[k * 8 + bit];
            out[k][b] = r;
        }
}

static void make_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t r = b;
        for (int bit = 0; bit < 8; bit++)
            r = (r & 1) != 0 ? (r >> 1) ^ polynomial : r >> 1;
        table[0][b] = r;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
    make_shift(shift_long, LONG_LANE);
    make_shift(shift_short, SHORT_LANE);
#if defined(__x86_64__)
    has_hw = fwi_cpu_has_sse42();
#elif defined(__aarch64__)
    has_hw = fwi_cpu_has_arm_crc();
#endif
}

uint32_t fwi_crc32c_update_table(uint32_t crc, const void *p, size_t n_bytes)
{
    pthread_once(&once, make_tables);
    const uint8_t *at = p;
    uint32_t r = ~crc;
    for (; n_bytes >= 8; n_bytes -= 8, at += 8) {
        const uint64_t v = load64(at) ^ r;
        r = table[7][v & 0xff] ^ table[6][v >> 8 & 0xff] ^ table[5][v >> 16 & 0xff] ^
            table[4][v >> 24 & 0xff] ^ table[3][v >> 32 & 0xff] ^ table[2][v >> 40 & 0xff] ^
            table[1][v >> 48 & 0xff] ^ table[0][v >> 56];
    }
    for (; n_bytes > 0; n_bytes--)
        r = (r >> 8) ^ table[0][(r ^ *at++) & 0xff];
    return ~r;
}

bool fwi_crc32c_has_hw(void)
{
    pthread_once(&once, make_tables);
    return has_hw;
}

#ifdef HW_TARGET
static inline uint32_t shift(const uint32_t by[4][256], uint32_t r)
{
    return by[0][r & 0xff] ^ by[1][r >> 8 & 0xff] ^ by[2][r >> 16 & 0xff] ^ by[3][r >> 24];
}

HW_TARGET static uint32_t three_lanes(uint32_t r, const uint8_t *p, size_t lane,
                                      const uint32_t by[4][256])
{
    uint32_t b = 0, c = 0;
    for (size_t i = 0; i < lane; i += 8) {
        r = HW_U64(r, load64(p + i));
        b = HW_U64(b, load64(p + lane + i));
        c = HW_U64(c, load64(p + 2 * lane + i));
    }
    return shift(by, shift(by, r) ^ b) ^ c;
}

HW_TARGET uint32_t fwi_crc32c_update_hw(uint32_t crc, const void *p, size_t n_bytes)
{
    pthread_once(&once, make_tables);
    const uint8_t *at = p;
    uint32_t r = ~crc;
    for (; n_bytes >= 3 * LONG_LANE; n_bytes -= 3 * LONG_LANE, at += 3 * LONG_LANE)
        r = three_lanes(r, at, LONG_LANE, shift_long);
    for (; n_bytes >= 3 * SHORT_LANE; n_bytes -= 3 * SHORT_LANE, at += 3 * SHORT_LANE)
        r = three_lanes(r, at, SHORT_LANE, shift_short);
    for (; n_bytes >= 8; n_bytes -= 8, at += 8)
        r = HW_U64(r, load64(at));
    for (; n_bytes > 0; n_bytes--)
        r = HW_U8(r, *at++);
    return ~r;
}
#else
uint32_t fwi_crc32c_update_hw(uint32_t crc, const void *p, size_t n_bytes)
{
    return fwi_crc32c_update_table(crc, p, n_bytes);
}
#endif

uint32_t fwi_crc32c_update(uint32_t crc, const void *p, size_t n_bytes)
{
    return fwi_crc32c_has_hw() ? fwi_crc32c_update_hw(crc, p, n_bytes)
                               : fwi_crc32c_update_table(crc, p, n_bytes);
}

uint32_t fwi_crc32c(const void *p, size_t n_bytes)
{
    return fwi_crc32c_update(0, p, n_bytes);
}
