/* test_intrinsics.c: the AVX-512 intrinsics that src/cpu uses, held to Intel's Intrinsics Guide: exact
 * cases of every family. Built against immintrin.h of this folder, or, on a processor with AVX-512
 * BF16, against the compiler's: then it is the processor that has to agree with the cases. */
#include <immintrin.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* What the compiler may not work out by itself. */
static const void *hidden(const void *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}
static __m512 floats(const float v[16])
{
    return _mm512_loadu_ps(hidden(v));
}
static __m512i bits(const void *v)
{
    return _mm512_loadu_si512(hidden(v));
}
/* 100, 101, ... in each 32 bits; a second one from 200. */
static __m512i counted(uint32_t from)
{
    uint32_t v[16];
    for (uint32_t i = 0; i < 16; i++)
        v[i] = from + i;
    return bits(v);
}
static void expect_u32(__m512i got, const uint32_t want[16])
{
    uint32_t v[16];
    _mm512_storeu_si512(v, got);
    for (int i = 0; i < 16; i++)
        if (v[i] != want[i])
            fail_msg("lane %d is %08x, expected %08x", i, v[i], want[i]);
}
#define EXPECT(got, ...) expect_u32(got, (const uint32_t[16]){__VA_ARGS__})

/* ---- rounding ---- */

static void test_to_bf16(void **state)
{
    (void)state;
    static const struct {
        uint32_t from;
        uint16_t to;
    } cases[] = {
        {0x3F807FFF, 0x3F80},                       /* just under a half */
        {0x3F808000, 0x3F80},                       /* ties: to the even one below */
        {0x3F818000, 0x3F82},                       /* and above */
        {0xBF818000, 0xBF82}, {0x3F808001, 0x3F81}, /* just over a half */
        {0x3FFFFFFF, 0x4000},                       /* into the next exponent */
        {0x7F7FFFFF, 0x7F80},                       /* to infinity */
        {0xFF7F7FFF, 0xFF7F}, {0x7F800000, 0x7F80}, {0xFF800000, 0xFF80}, /* infinity stays */
        {0x7F800001, 0x7FC0}, {0xFFA00000, 0xFFE0}, /* a NaN becomes a quiet one */
        {0x7FFFFFFF, 0x7FFF},                       /* and is not rounded */
        {0x007FFFFF, 0x0000}, {0x80400000, 0x8000}, /* subnormal: a zero of its sign */
        {0x00808000, 0x0080}, {0x80000000, 0x8000}, {0x00000000, 0x0000},
        {0x00000001, 0x0000}, {0x00818000, 0x0082}, {0x42F60000, 0x42F6},
    };
    uint32_t from[32];
    uint16_t to[32], got[32];
    for (int i = 0; i < 32; i++) {
        from[i] = cases[i % COUNT(cases)].from;
        to[i] = cases[i % COUNT(cases)].to;
    }
    const __m512 low = _mm512_castsi512_ps(bits(from)), high = _mm512_castsi512_ps(bits(from + 16));
    const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
    memcpy(got, &both, sizeof both);
    for (int i = 0; i < 32; i++)
        if (got[i] != to[i])
            fail_msg("%08x becomes %04x, expected %04x", from[i], got[i], to[i]);
    const __m256bh half = _mm512_cvtneps_pbh(high);
    memcpy(got, &half, sizeof half);
    assert_memory_equal(got, to + 16, sizeof half);
}

static void test_bf16_products(void **state)
{
    (void)state;
    enum { ANY_NAN = 0x7FC00000, BIG = 0x4B80 /* 2^24 */, ONE = 0x3F80, MINUS = 0x8000 };
    static const struct {
        uint32_t sum;
        uint16_t a[2], b[2]; /* the even element, the odd one */
        uint32_t result;
    } cases[] = {
        {0x40000000, {0x4040, 0x40A0}, {0x4080, 0x40E0}, 0x42440000}, /* 2 + 3 4 + 5 7 = 49 */
        /* the odd product is added first, and each sum is rounded */
        {0x4B800000, {ONE, BIG | MINUS}, {ONE, ONE}, 0x3F800000},
        {0x4B800000, {BIG | MINUS, ONE}, {ONE, ONE}, 0x00000000},
        {0x4B800000, {ONE, ONE}, {ONE, ONE}, 0x4B800000},
        /* ties to even: 2^-24 behind 1 and behind 1 + 2^-23 */
        {0x3F800000, {0x3980, 0}, {0x3980, 0}, 0x3F800000},
        {0x3F800001, {0x3980, 0}, {0x3980, 0}, 0x3F800002},
        /* subnormal factors and sums count as zeros */
        {0x3F800000, {0x0040, 0x807F}, {0x7F00, 0x7F00}, 0x3F800000},
        {0x00400000, {0, 0}, {0, 0}, 0x00000000},
        {0x007FFFFF, {0, 0x0080}, {0, ONE}, 0x00800000},
        /* and so do subnormal results: 2^-126 - 2^-140, with the sign that they had */
        {0x00800000, {0x1C80, 0}, {0x9C80, 0}, 0x00000000},
        {0x80800000, {0x1C80, 0}, {0x1C80, 0}, 0x80000000},
        /* a product too small for a float by itself is still rounded as part of the sum */
        {0x01000001, {0x1A80, 0}, {0x1A00, 0}, 0x01000002},
        {0x7F7FFFFF, {0x7F00, 0}, {0x4000, 0}, 0x7F800000},
        {0x3F800000, {0x7F80, 0}, {0, 0}, ANY_NAN},
        {0x7F800000, {0xFF80, 0}, {ONE, 0}, ANY_NAN},
        {0x7FC00000, {ONE, ONE}, {ONE, ONE}, ANY_NAN},
    };
    assert_int_equal(COUNT(cases), 16);
    uint32_t sum[16], got[16];
    uint16_t a[32], b[32];
    for (int i = 0; i < 16; i++) {
        sum[i] = cases[i].sum;
        memcpy(a + 2 * i, cases[i].a, sizeof cases[i].a);
        memcpy(b + 2 * i, cases[i].b, sizeof cases[i].b);
    }
    _mm512_storeu_ps(got, _mm512_dpbf16_ps(_mm512_castsi512_ps(bits(sum)), (__m512bh)bits(a),
                                           (__m512bh)bits(b)));
    for (int i = 0; i < 16; i++) {
        const int nan = (got[i] & 0x7FFFFFFF) > 0x7F800000;
        if (cases[i].result == ANY_NAN ? !nan : got[i] != cases[i].result)
            fail_msg("case %d is %08x, expected %08x", i, got[i], cases[i].result);
    }
}

static void test_arithmetic(void **state)
{
    (void)state;
    /* (1 + e)^2 - 1 - 2e is e^2 if the product is not rounded; e = 2^-23 */
    const float x[16] = {0x1.000002p0F}, y[16] = {-0x1.000004p0F};
    const __m512 a = floats(x), c = floats(y);
    assert_true(_mm512_cvtss_f32(_mm512_fmadd_ps(a, a, c)) == 0x1p-46F);
    assert_true(_mm512_cvtss_f32(_mm512_fnmadd_ps(a, a, _mm512_sub_ps(_mm512_setzero_ps(), c))) ==
                -0x1p-46F);
    assert_true(_mm512_cvtss_f32(_mm512_add_ps(_mm512_mul_ps(a, a), c)) == 0);
    const double d[8] = {0x1.0000000000001p0, 2, 3, 4, 5, 6, 7, 8};
    double e[8];
    const __m512d f = _mm512_loadu_pd(hidden(d));
    _mm512_storeu_pd(e, _mm512_fmadd_pd(f, f, _mm512_set1_pd(-0x1.0000000000002p0)));
    assert_true(e[0] == 0x1p-104 && e[1] == 3 - 0x1p-51 && e[7] == 63);
    _mm512_storeu_pd(e, _mm512_add_pd(f, _mm512_setzero_pd()));
    assert_memory_equal(e, d, sizeof d);
    /* smallest and largest: the second of a NaN and a number, the second of two zeros */
    const float p[16] = {1, 2, NAN, 3, -0.0F, 0, -INFINITY};
    const float q[16] = {2, 1, 4, NAN, 0, -0.0F, 1};
    float r[16];
    _mm512_storeu_ps(r, _mm512_max_ps(floats(p), floats(q)));
    assert_true(r[0] == 2 && r[1] == 2 && r[2] == 4 && isnan(r[3]) && r[6] == 1);
    assert_true(!signbit(r[4]) && signbit(r[5]));
    _mm512_storeu_ps(r, _mm512_min_ps(floats(p), floats(q)));
    assert_true(r[0] == 1 && r[1] == 1 && r[2] == 4 && isnan(r[3]) && r[6] == -INFINITY);
    assert_true(!signbit(r[4]) && signbit(r[5]));
}

static void test_integers(void **state)
{
    (void)state;
    const uint32_t v[16] = {0x80000001, 0xFFFFFFFF, 7, 0x12345678}, w[16] = {1, 1, 9, 0x0000FFFF};
    const __m512i a = bits(v), b = bits(w);
    EXPECT(_mm512_add_epi32(a, b), 0x80000002, 0, 16, 0x12355677);
    EXPECT(_mm512_and_si512(a, b), 1, 1, 1, 0x5678);
    EXPECT(_mm512_or_si512(a, b), 0x80000001, 0xFFFFFFFF, 15, 0x1234FFFF);
    EXPECT(_mm512_min_epu32(a, b), 1, 1, 7, 0x0000FFFF); /* without sign */
    EXPECT(_mm512_slli_epi32(a, 16), 0x00010000, 0xFFFF0000, 0x00070000, 0x56780000);
    EXPECT(_mm512_srli_epi32(a, 31), 1, 1, 0, 0);
    EXPECT(_mm512_slli_epi32(a, 32), 0);
    EXPECT(_mm512_srli_epi32(a, 32), 0);
}

/* ---- comparisons ---- */

/* Each predicate against the same one of AVX, with and without a mask. */
#define FOUR(X, p) X(p) X(p + 1) X(p + 2) X(p + 3)
#define PREDICATES(X)                                                                              \
    FOUR(X, 0)                                                                                     \
    FOUR(X, 4)                                                                                     \
    FOUR(X, 8)                                                                                     \
    FOUR(X, 12)                                                                                    \
    FOUR(X, 16)                                                                                    \
    FOUR(X, 20)                                                                                    \
    FOUR(X, 24)                                                                                    \
    FOUR(X, 28)
static void test_comparisons(void **state)
{
    (void)state;
    const float a[16] = {1, 2, 2, NAN, 1, NAN, 0, -INFINITY, -1, 5, 5, 1, NAN, -0.0F, 9, 8};
    const float b[16] = {2, 1, 2, 1, NAN, NAN, -0.0F, INFINITY, 1, 5, 4, NAN, 7, 0, 8, 9};
    const __m512 x = floats(a), y = floats(b);
#define CHECK(p)                                                                                   \
    {                                                                                              \
        const int low =                                                                            \
            _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), p));          \
        const int high =                                                                           \
            _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(a + 8), _mm256_loadu_ps(b + 8), p));  \
        assert_int_equal(_mm512_cmp_ps_mask(x, y, p), high << 8 | low);                            \
        assert_int_equal(_mm512_mask_cmp_ps_mask(0x5A3C, x, y, p), (high << 8 | low) & 0x5A3C);    \
    }
    PREDICATES(CHECK)
#undef CHECK
    const __m256i bytes = _mm256_set1_epi8(3);
    const __m256i some = _mm256_maskz_loadu_epi8(0xFFFF, hidden(memset((char[32]){0}, 3, 32)));
    assert_int_equal(_mm256_mask_cmpeq_epi8_mask(0xFF00FF00U, bytes, some), 0xFF00);
}

/* ---- lanes to other places ---- */

static void test_moves(void **state)
{
    (void)state;
    const __m512i a = counted(100), b = counted(200);
    EXPECT(_mm512_shuffle_i32x4(a, b, 0x88), 100, 101, 102, 103, 108, 109, 110, 111, 200, 201, 202,
           203, 208, 209, 210, 211);
    EXPECT(_mm512_shuffle_i32x4(a, b, 0xDD), 104, 105, 106, 107, 112, 113, 114, 115, 204, 205, 206,
           207, 212, 213, 214, 215);
    EXPECT(_mm512_castps_si512(
               _mm512_shuffle_f32x4(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), 0x4E)),
           108, 109, 110, 111, 112, 113, 114, 115, 200, 201, 202, 203, 204, 205, 206, 207);
    EXPECT(_mm512_unpacklo_epi32(a, b), 100, 200, 101, 201, 104, 204, 105, 205, 108, 208, 109, 209,
           112, 212, 113, 213);
    EXPECT(_mm512_unpackhi_epi32(a, b), 102, 202, 103, 203, 106, 206, 107, 207, 110, 210, 111, 211,
           114, 214, 115, 215);
    EXPECT(_mm512_unpacklo_epi64(a, b), 100, 101, 200, 201, 104, 105, 204, 205, 108, 109, 208, 209,
           112, 113, 212, 213);
    EXPECT(_mm512_unpackhi_epi64(a, b), 102, 103, 202, 203, 106, 107, 206, 207, 110, 111, 210, 211,
           114, 115, 214, 215);
    const __m256i upper = _mm512_extracti64x4_epi64(a, 1);
    EXPECT(_mm512_broadcast_i64x4(upper), 108, 109, 110, 111, 112, 113, 114, 115, 108, 109, 110,
           111, 112, 113, 114, 115);
    EXPECT(
        _mm512_castps_si512(_mm512_broadcast_f32x8(_mm256_castsi256_ps(_mm512_castsi512_si256(b)))),
        200, 201, 202, 203, 204, 205, 206, 207, 200, 201, 202, 203, 204, 205, 206, 207);
    EXPECT(_mm512_cvtepu16_epi32(
               _mm512_cvtepi32_epi16(_mm512_add_epi32(a, _mm512_set1_epi32(65536 + 65500)))),
           64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79);
    EXPECT(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(_mm512_set1_epi16(-1))), 65535, 65535,
           65535, 65535, 65535, 65535, 65535, 65535, 65535, 65535, 65535, 65535, 65535, 65535,
           65535, 65535);
    /* word i of the result is word idx[i], of which the lower five bits count */
    const __m512i idx =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 32);
    uint16_t from[32], got[32];
    for (int i = 0; i < 32; i++)
        from[i] = (uint16_t)(500 + i);
    _mm512_storeu_si512(got, _mm512_permutexvar_epi16(idx, bits(from)));
    for (int i = 0; i < 32; i++)
        assert_int_equal(got[i], 500 + i / 2 + i % 2 * 16);
    uint16_t more[32]; /* bit 5 takes the second; what is above it is not looked at */
    for (int i = 0; i < 32; i++)
        more[i] = (uint16_t)(600 + i);
    const __m512i of_both =
        _mm512_set_epi16(31, 63, 0, 32, 64, 96, 1, 33, 5, 6, 7, 8, 9, 10, 11, 12, 40, 41, 42, 43,
                         44, 45, 46, 47, 2, 34, 3, 35, 4, 36, 30, 62);
    static const uint16_t picked[32] = {630, 530, 604, 504, 603, 503, 602, 502, 615, 614, 613,
                                        612, 611, 610, 609, 608, 512, 511, 510, 509, 508, 507,
                                        506, 505, 601, 501, 600, 500, 600, 500, 631, 531};
    _mm512_storeu_si512(got, _mm512_permutex2var_epi16(bits(from), of_both, bits(more)));
    assert_memory_equal(got, picked, sizeof got);
}

static void test_choices(void **state)
{
    (void)state;
    const __m512i a = counted(100), b = counted(200);
    const __m512 x = _mm512_castsi512_ps(a), y = _mm512_castsi512_ps(b);
#define PICKED 100, 201, 102, 103, 104, 105, 106, 107, 208, 109, 110, 111, 112, 113, 114, 215
    const __mmask16 k = 0x8102; /* a set bit takes the second */
    EXPECT(_mm512_mask_blend_epi32(k, a, b), PICKED);
    EXPECT(_mm512_castps_si512(_mm512_mask_blend_ps(k, x, y)), PICKED);
    EXPECT(_mm512_castps_si512(_mm512_mask_mov_ps(x, k, y)), PICKED);
    EXPECT(_mm512_castps_si512(_mm512_maskz_mov_ps(k, y)), 0, 201, 0, 0, 0, 0, 0, 0, 208, 0, 0, 0,
           0, 0, 0, 215);
    EXPECT(_mm512_mask_or_epi32(a, k, b, _mm512_set1_epi32(256)), 100, 457, 102, 103, 104, 105, 106,
           107, 464, 109, 110, 111, 112, 113, 114, 471);
    EXPECT(_mm512_castps_si512(_mm512_mask_sub_ps(x, k, y, y)), 100, 0, 102, 103, 104, 105, 106,
           107, 0, 109, 110, 111, 112, 113, 114, 0);
    EXPECT(_mm512_maskz_mov_epi16(0x80000001U, _mm512_set1_epi16(-2)), 0xFFFE, 0, 0, 0, 0, 0, 0, 0,
           0, 0, 0, 0, 0, 0, 0, 0xFFFE0000);
    uint8_t bytes[32];
    _mm256_storeu_si256((__m256i *)(void *)bytes,
                        _mm256_mask_mov_epi16(_mm256_set1_epi8(1), 2, _mm256_set1_epi8(7)));
    assert_true(bytes[1] == 1 && bytes[2] == 7 && bytes[3] == 7 && bytes[4] == 1);
    _mm256_storeu_si256((__m256i *)(void *)bytes,
                        _mm256_mask_mov_epi8(_mm256_set1_epi8(1), 2, _mm256_set1_epi8(7)));
    assert_true(bytes[0] == 1 && bytes[1] == 7 && bytes[2] == 1);
    _mm_storeu_si128((__m128i *)(void *)bytes,
                     _mm_mask_mov_epi8(_mm_set1_epi8(1), 0x8000, _mm_set1_epi8(7)));
    assert_true(bytes[14] == 1 && bytes[15] == 7);
}

/* ---- memory ---- */

/* A page between two that nobody may touch. */
static unsigned char *page;
static size_t page_bytes;

/* For n = 0 .. lanes: the first n lanes at the page's end, the last n at its beginning. LOAD and STORE
 * see a mask k and an address p. Lanes that are masked out read as `other` and are not written. */
#define CHECK_ACCESS(lanes, size, other, LOAD, STORE)                                              \
    for (int n = 0; n <= (lanes); n++)                                                             \
        for (int back = 0; back < 2; back++) {                                                     \
            const size_t all = (size_t)(lanes) * (size), some = (size_t)n * (size);                \
            const uint64_t first = (UINT64_C(1) << n) - 1;                                         \
            const uint64_t k = back ? first << ((lanes)-n) : first;                                \
            unsigned char *const from = back ? page : page + page_bytes - some;                    \
            unsigned char *const p = back ? page - (all - some) : from;                            \
            unsigned char got[64], want[64];                                                       \
            for (size_t i = 0; i < page_bytes; i++)                                                \
                page[i] = (unsigned char)(i * 7 + i / 251);                                        \
            memset(want, other, sizeof want);                                                      \
            memcpy(want + (back ? all - some : 0), from, some);                                    \
            LOAD;                                                                                  \
            assert_memory_equal(got, want, all);                                                   \
            memset(page, 0xA5, page_bytes);                                                        \
            memset(got, 0x3C, sizeof got);                                                         \
            STORE;                                                                                 \
            for (size_t i = 0; i < page_bytes; i++)                                                \
                if (page[i] != (page + i >= from && page + i < from + some ? 0x3C : 0xA5))         \
                    fail_msg("%s, %d lanes: byte %zu is %02x", #STORE, n, i, page[i]);             \
        }
#define GOT(type, v)                                                                               \
    {                                                                                              \
        const type loaded = v;                                                                     \
        memcpy(got, &loaded, sizeof loaded);                                                       \
    }

static void test_masked_access(void **state)
{
    (void)state;
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    page = mmap(NULL, 3 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    page += page_bytes;
    assert_int_equal(mprotect(page, page_bytes, PROT_READ | PROT_WRITE), 0);
    CHECK_ACCESS(16, 4, 0, GOT(__m512, _mm512_maskz_loadu_ps((__mmask16)k, p)),
                 _mm512_mask_storeu_ps(p, (__mmask16)k, _mm512_loadu_ps(got)))
    CHECK_ACCESS(8, 8, 0, GOT(__m512d, _mm512_maskz_loadu_pd((__mmask8)k, p)),
                 _mm512_mask_storeu_pd(p, (__mmask8)k, _mm512_loadu_pd(got)))
    CHECK_ACCESS(32, 2, 0, GOT(__m512i, _mm512_maskz_loadu_epi16((__mmask32)k, p)),
                 _mm512_mask_storeu_epi16(p, (__mmask32)k, _mm512_loadu_si512(got)))
    CHECK_ACCESS(32, 2, 0x77,
                 GOT(__m512i, _mm512_mask_loadu_epi16(_mm512_set1_epi16(0x7777), (__mmask32)k, p)),
                 _mm512_mask_storeu_epi16(p, (__mmask32)k, _mm512_loadu_si512(got)))
    CHECK_ACCESS(16, 2, 0, GOT(__m256i, _mm256_maskz_loadu_epi16((__mmask16)k, p)),
                 _mm256_mask_storeu_epi16(p, (__mmask16)k, _mm256_set1_epi8(0x3C)))
    CHECK_ACCESS(32, 1, 0, GOT(__m256i, _mm256_maskz_loadu_epi8((__mmask32)k, p)),
                 _mm256_mask_storeu_epi8(p, (__mmask32)k, _mm256_set1_epi8(0x3C)))
    CHECK_ACCESS(16, 4, 0, GOT(__m512, _mm512_maskz_loadu_ps((__mmask16)k, p)),
                 _mm512_mask_storeu_epi32(p, (__mmask16)k, _mm512_set1_epi32(0x3C3C3C3C)))
    CHECK_ACCESS(16, 1, 0, GOT(__m256i, _mm256_maskz_loadu_epi8((__mmask32)k, p)),
                 _mm_mask_storeu_epi8(p, (__mmask16)k, _mm_set1_epi8(0x3C)))
    assert_int_equal(munmap(page - page_bytes, 3 * page_bytes), 0);
}

static void test_stream(void **state)
{
    (void)state;
    _Alignas(64) uint32_t at[32];
    memset(at, 0, sizeof at);
    _mm512_stream_si512((void *)at, counted(1));
    _mm_sfence();
    EXPECT(bits(at), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    const pid_t child = fork(); /* an address that is no multiple of 64 ends the program */
    if (child == 0) {
        (void)signal(SIGILL, SIG_DFL); /* cmocka's handlers would go on with the tests */
        (void)signal(SIGSEGV, SIG_DFL);
        _mm512_stream_si512((void *)(uintptr_t)hidden(at + 1), counted(1));
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_bf16),     cmocka_unit_test(test_bf16_products),
        cmocka_unit_test(test_arithmetic),  cmocka_unit_test(test_integers),
        cmocka_unit_test(test_comparisons), cmocka_unit_test(test_moves),
        cmocka_unit_test(test_choices),     cmocka_unit_test(test_masked_access),
        cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests_name("intrinsics", tests, NULL, NULL);
}
