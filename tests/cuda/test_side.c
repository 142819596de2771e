/* test_side.c: the small kernels beside cuDNN and cuBLASLt (side.cu), run on
 * the CPU by emulate.h: conversions against exact values, and what of Muon's
 * update is no product against the formula in double. The same bits twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cuda_side.h"
#include "rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

extern const fwi_cuda_side fwi_emulated_side_kernels;
static const fwi_cuda_side *const side = &fwi_emulated_side_kernels;

static fw_status convert(void *to, fw_dtype to_type, void *from, fw_dtype from_type, int64_t n)
{
    const fwi_call c = {.kind = FWI_OP_conv2d};
    const fwi_side_tensor a = {from, from_type, n, 1, 1}, b = {to, to_type, n, 1, 1};
    return side->fit(&c, &b, &a);
}

static void test_conversions(void **state)
{
    (void)state;
    static const struct {
        float from;
        uint16_t bf16, f16;
    } cases[] = {
        {0.0f, 0x0000, 0x0000},
        {-0.0f, 0x8000, 0x8000},
        {1.0f, 0x3f80, 0x3c00},
        {-2.5f, 0xc020, 0xc100},
        {65504.0f, 0x4780, 0x7bff},
        {65520.0f, 0x4780, 0x7c00},       /* over f16: infinity */
        {1.00390625f, 0x3f80, 0x3c04},    /* 1 + 2^-8: between two of bf16, to the even one */
        {1.01171875f, 0x3f82, 0x3c0c},    /* 1 + 3 2^-8 */
        {1.00048828125f, 0x3f80, 0x3c00}, /* 1 + 2^-11: between two of f16 */
        {5.9604644775390625e-8f, 0x3380, 0x0001}, /* the least of f16 */
        {INFINITY, 0x7f80, 0x7c00},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        uint16_t to[2] = {0xaaaa, 0xaaaa};
        float from = cases[i].from;
        assert_int_equal(convert(to, FW_BF16, &from, FW_F32, 1), FW_OK);
        assert_int_equal(to[0], cases[i].bf16);
        assert_int_equal(convert(to, FW_F16, &from, FW_F32, 1), FW_OK);
        assert_int_equal(to[0], cases[i].f16);
        assert_int_equal(to[1], 0xaaaa);
    }
    enum { N = 65536 };
    uint16_t *all = malloc(N * sizeof *all), *back = malloc(N * sizeof *back);
    float *wide = malloc(N * sizeof *wide);
    for (int i = 0; i < N; i++)
        all[i] = (uint16_t)i;
    static const fw_dtype types[] = {FW_BF16, FW_F16};
    for (int t = 0; t < 2; t++) { /* every number of 16 bits there and back */
        assert_int_equal(convert(wide, FW_F32, all, types[t], N), FW_OK);
        assert_int_equal(convert(back, types[t], wide, FW_F32, N), FW_OK);
        for (int i = 0; i < N; i++) {
            if (isnan(wide[i]))
                continue;
            assert_int_equal(back[i], all[i]);
        }
    }
    float three[3] = {1, 2, 3};
    assert_int_equal(convert(wide, FW_F32, three, FW_F32, 3), FW_OK);
    assert_memory_equal(wide, three, sizeof three);
    assert_int_equal(convert(back, FW_BF16, wide, FW_F32, (int64_t)1 << 31), FW_ESHAPE);
    free(all);
    free(back);
    free(wide);
}

/* Larger and smaller, in each pair of types: what both have is copied, the rest is zeros. */
static void test_sizes(void **state)
{
    (void)state;
    /* n of one, n of the other, taps */
    static const int64_t sizes[][3] = {{5, 5, 9}, {3, 8, 4}, {40, 40, 1}, {1, 8, 1}};
    static const int64_t channels[][2] = {{3, 4}, {3, 8}, {8, 8}, {1, 4}, {5, 8}};
    static const fw_dtype types[][2] = {{FW_F32, FW_F32},   {FW_F32, FW_BF16}, {FW_F32, FW_F16},
                                        {FW_BF16, FW_BF16}, {FW_F16, FW_F16},  {FW_BF16, FW_F32},
                                        {FW_F16, FW_F32}};
    enum { MOST_ELEMS = 8 * 9 * 8 + 40 * 8 };
    static float number[MOST_ELEMS], from[MOST_ELEMS], to[MOST_ELEMS], got[MOST_ELEMS];
    const fwi_call c = {.kind = FWI_OP_conv2d};
    for (int i = 0; i < COUNT(sizes) * COUNT(channels) * COUNT(types) * 2; i++) {
        const int64_t *n = sizes[i % COUNT(sizes)],
                      *k = channels[i / COUNT(sizes) % COUNT(channels)];
        const fw_dtype *type = types[i / (COUNT(sizes) * COUNT(channels)) % COUNT(types)];
        const int up = i / (COUNT(sizes) * COUNT(channels) * COUNT(types)); /* to the larger */
        fwi_side_tensor a = {from, type[0], n[1 - up], n[2], k[1 - up]};
        fwi_side_tensor b = {to, type[1], n[up], n[2], k[up]};
        for (int64_t j = 0; j < a.n * a.taps * a.c; j++)
            number[j] = (float)(j % 100 + 1);
        assert_int_equal(convert(from, a.dtype, number, FW_F32, a.n * a.taps * a.c), FW_OK);
        memset(to, 0xff, sizeof to);
        assert_int_equal(side->fit(&c, &b, &a), FW_OK);
        const int64_t size = b.n * b.taps * b.c;
        const unsigned char *const end =
            (const unsigned char *)to + size * (int64_t)fw_dtype_size(b.dtype);
        assert_true(end[0] == 0xff && end[1] == 0xff);
        assert_int_equal(convert(got, FW_F32, to, b.dtype, size), FW_OK);
        for (int64_t j = 0; j < size; j++) {
            const int64_t tap = j / b.c, at = j % b.c;
            const bool there = at < a.c && tap / b.taps < a.n;
            assert_true(got[j] == (there ? (float)((tap * a.c + at) % 100 + 1) : 0));
        }
    }
}

static float normal(uint64_t i)
{
    const uint32_t words[4] = {(uint32_t)fwi_rng_u64(3, FWI_RNG_TEST, 0, i),
                               (uint32_t)fwi_rng_u64(3, FWI_RNG_TEST, 1, i), 0, 0};
    double out[4];
    fwi_normal4(words, out);
    return (float)out[0];
}

static float of_bf16(uint16_t bits)
{
    const uint32_t u = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

enum { MOST = 70 * 300 };
static float w[MOST], v[MOST], g[MOST], w0[MOST], v0[MOST];
static float x[MOST];
static double sums[FWI_MUON_SUMS], sums2[FWI_MUON_SUMS];

static int64_t turned(int64_t rows, int64_t rest, int64_t i)
{
    return rows > rest ? i % rest * rows + i / rest : i;
}

static float x_at(fw_dtype dtype, int64_t i)
{
    return dtype == FW_F32 ? x[i] : of_bf16(((const uint16_t *)(const void *)x)[i]);
}

/* Its columns are lr, wd, rn, p and q, in this order. */
static fwi_attr muon_attr(double momentum, double renorm_eps)
{
    return (fwi_attr){.muon = {.momentum = momentum,
                               .renorm_eps = renorm_eps,
                               .lr_col = 0,
                               .wd_col = 1,
                               .rn_col = 2,
                               .xn_col = 3}};
}

static void test_muon(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1}, {3, 5}, {5, 3}, {64, 216}, {300, 70}, {70, 300}};
    static const double rows[][5] = {
        {0.24, 0.05, 1, 1, 1e-7}, {0.1, 0, 0, 2, 0.25}, {0, 0.5, 1, 1, 1e-7}}; /* lr wd rn p q */
    for (int i = 0; i < COUNT(sizes) * COUNT(rows) * 2; i++) {
        const int64_t r = sizes[i / 6][0], k = sizes[i / 6][1], n = r * k;
        const double *hyper = rows[i % 6 / 2];
        const fw_dtype dtype = i % 2 ? FW_BF16 : FW_F32;
        const double near = dtype == FW_F32 ? 1e-6 : 1.0 / 256;
        const fwi_attr attr = muon_attr(0.6, 0.5);
        fwi_call c = {.kind = FWI_OP_muon, .attr = &attr};
        c.in[0].data = w, c.in[1].data = v, c.in[2].data = g;
        c.in[3].data = (void *)(uintptr_t)hyper;
        double uu = 0, ww = 0;
        for (int64_t j = 0; j < n; j++) {
            w0[j] = w[j] = normal((uint64_t)j), v0[j] = v[j] = normal((uint64_t)(j + MOST));
            g[j] = normal((uint64_t)(j + 2 * MOST));
            const double vj = 0.6 * (double)v[j] + (double)g[j], u = (double)g[j] + 0.6 * vj;
            uu += u * u;
            ww += (double)w[j] * (double)w[j];
        }
        const fwi_muon_work m = {.rows = r,
                                 .rest = k,
                                 .m = r < k ? r : k,
                                 .n = r < k ? k : r,
                                 .dtype = dtype,
                                 .x = x,
                                 .sums = sums};
        assert_int_equal(side->muon_begin(&c, &m, 1), FW_OK);
        assert_true(fabs(sums[0] - uu) <= 1e-6 * uu);
        assert_true(fabs(sums[1] - ww) <= 1e-12 * ww);
        for (int64_t j = 0; j < n; j++) {
            const double vj = 0.6 * (double)v0[j] + (double)g[j], u = (double)g[j] + 0.6 * vj;
            const double want = u / (hyper[3] * sqrt(uu) + hyper[4]);
            assert_true(fabs((double)v[j] - vj) <= 1e-6 * (1 + fabs(vj)));
            assert_true(fabs((double)x_at(dtype, turned(r, k, j)) - want) <=
                        near * (1e-3 + fabs(want)));
        }
        assert_int_equal(side->muon_end(&c, &m, 1), FW_OK);
        const double renorm = hyper[2] != 0 ? sqrt((double)r) / (sqrt(ww) + 0.5) : 1;
        for (int64_t j = 0; j < n; j++) {
            const double moved =
                renorm * (double)w0[j] - hyper[0] * (double)x_at(dtype, turned(r, k, j));
            const double want = hyper[0] == 0 ? (double)w0[j] : moved * (1 - hyper[0] * hyper[1]);
            assert_true(fabs((double)w[j] - want) <= 1e-6 * (1 + fabs(want)));
        }
        memcpy(sums2, sums, sizeof sums);
        memcpy(v, v0, sizeof v);
        memcpy(w, w0, sizeof w);
        assert_int_equal(side->muon_begin(&c, &m, 1), FW_OK);
        assert_memory_equal(sums, sums2, sizeof sums);
    }
}

/* Several variables at once, each with rates of its own: the bits of one by one. */
static void test_muon_joint(void **state)
{
    (void)state;
    enum { N = 40, SIZE = 200 };
    static const double rates[][5] = {{0.24, 0.05, 1, 1, 1e-7}, {0, 0, 0, 2, 0.25}};
    static float at[2][N][4][SIZE];
    static double norms[2][N][FWI_MUON_SUMS];
    for (int type = 0; type < 2; type++) {
        fwi_attr attrs[N];
        fwi_call calls[2][N];
        fwi_muon_work works[2][N];
        for (int way = 0; way < 2; way++) {
            for (int i = 0; i < N; i++) {
                const int64_t r = 1 + i % 7, k = 1 + i * 5 % 28;
                attrs[i] = muon_attr(i % 3 * 0.3, i % 2);
                for (int j = 0; j < 4 * SIZE; j++)
                    at[way][i][j / SIZE][j % SIZE] = normal((uint64_t)(i * SIZE * 4 + j));
                calls[way][i] = (fwi_call){.kind = FWI_OP_muon, .attr = &attrs[i]};
                for (int j = 0; j < 3; j++)
                    calls[way][i].in[j].data = at[way][i][j];
                calls[way][i].in[3].data = (void *)(uintptr_t)rates[i % 2];
                works[way][i] = (fwi_muon_work){.rows = r,
                                                .rest = k,
                                                .dtype = type ? FW_BF16 : FW_F32,
                                                .x = at[way][i][3],
                                                .sums = norms[way][i]};
            }
            if (way == 0) {
                for (int i = 0; i < N; i++)
                    assert_int_equal(side->muon_begin(&calls[0][i], &works[0][i], 1), FW_OK);
                for (int i = 0; i < N; i++)
                    assert_int_equal(side->muon_end(&calls[0][i], &works[0][i], 1), FW_OK);
            } else {
                assert_int_equal(side->muon_begin(calls[1], works[1], N), FW_OK);
                assert_int_equal(side->muon_end(calls[1], works[1], N), FW_OK);
            }
        }
        assert_memory_equal(at[0], at[1], sizeof at[0]);
        assert_memory_equal(norms[0], norms[1], sizeof norms[0]);
    }
}

/* No gradient and no momentum: no direction, and nothing that is not a number.
 */
static void test_zeros(void **state)
{
    (void)state;
    const double hyper[] = {0.1, 0, 1, 1, 1e-7};
    const fwi_attr attr = muon_attr(0.6, 0.5);
    fwi_call c = {.kind = FWI_OP_muon, .attr = &attr};
    memset(w, 0, sizeof w);
    memset(v, 0, sizeof v);
    memset(g, 0, sizeof g);
    c.in[0].data = w, c.in[1].data = v, c.in[2].data = g;
    c.in[3].data = (void *)(uintptr_t)hyper;
    const fwi_muon_work m = {3, 5, 3, 5, FW_F32, x, sums};
    assert_int_equal(side->muon_begin(&c, &m, 1), FW_OK);
    assert_int_equal(side->muon_end(&c, &m, 1), FW_OK);
    for (int i = 0; i < 15; i++)
        assert_true(x[i] == 0 && w[i] == 0 && v[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversions), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_muon),        cmocka_unit_test(test_muon_joint),
        cmocka_unit_test(test_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
