/* test_large.c: kernels of src/cuda at the sizes that real trainings have, under emulation: more rows than a
 * chunk of a statistic holds, more parts than a sum adds in one go, filters of more than a million
 * values, runs of a filter's gradient that are cut short. The op tests, of small shapes, never get there.
 * Against the reference, and our own engines for bf16 against whole numbers. ctest: once */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends.h"
#include "cuda_side.h"
#include "rng.h"
#include "t_cuda.h"

#include <fenwicks/status.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OUT = 3 };
extern const fwi_cuda_side fwi_emulated_side_kernels;

static void *room(size_t n_bytes)
{
    void *p = aligned_alloc(64, (n_bytes / 64 + 1) * 64);
    assert_non_null(p);
    memset(p, 0xff, n_bytes); /* NaN until something is written */
    return p;
}

/* n numbers around `middle`, at most `spread` away. */
static float *numbers(int64_t n, float spread, float middle)
{
    static uint32_t draws;
    float *p = room((size_t)n * sizeof *p);
    draws++;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t u = fwi_rng_u64(12, FWI_RNG_TEST, draws, (uint64_t)i);
        p[i] = ((float)(u >> 40) / (float)(1 << 23) - 1) * spread + middle;
    }
    return p;
}

static fwi_arg arg(void *data, fwi_shape shape)
{
    return (fwi_arg){.data = data, .dtype = FW_F32, .shape = shape};
}

static void run(const fwi_op_table *t, fwi_call *c)
{
    const fwi_kernel *k = fwi_table_find(t, c, NULL);
    assert_non_null(k);
    c->scratch = k->scratch != NULL ? room(k->scratch(c)) : NULL;
    assert_int_equal(k->run(c), FW_OK);
    free(c->scratch);
}

/* The largest difference as a share of the largest value; infinite where one is no number. */
static double difference(const float *a, const float *b, int64_t n)
{
    double off = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        off = isfinite(d) ? fmax(off, d) : (double)INFINITY;
        most = fmax(most, fabs((double)b[i]));
    }
    return off / most;
}

/* The call's outputs from both tables. Each is a sum of up to 2.3 million terms, in f32 by parts of at most a
 * few thousand that are added in double. The op tests' bound, which grows with the terms of one result, would
 * be wide enough for a chunk that is left out (a five-hundredth of the sum); measured are 4e-7 of the largest
 * value, and ten times that is allowed. */
static void compare(fwi_call *c)
{
    const int n_out = fwi_op_info_get(c->kind)->n_out;
    float *out[2][MOST_OUT];
    for (int way = 0; way < 2; way++) {
        for (int i = 0; i < n_out; i++) {
            out[way][i] = room((size_t)fwi_shape_elems(&c->out[i].shape) * sizeof(float));
            c->out[i].data = out[way][i];
        }
        run(way == 0 ? fwi_cuda_emulated_table() : fwi_cpu_table(FWI_ISA_REF), c);
    }
    for (int i = 0; i < n_out; i++) {
        assert_true(difference(out[0][i], out[1][i], fwi_shape_elems(&c->out[i].shape)) < 4e-6);
        free(out[0][i]);
        free(out[1][i]);
    }
}

static void test_statistics(void **state)
{
    (void)state;
    /* chunks cut by their number; one column alone; groups, whose columns are few */
    static const int64_t sizes[][5] = {
        {40, 25, 40, 128, 1}, {1, 1500, 1500, 1, 1}, {90, 25, 40, 20, 2}};
    for (int i = 0; i < 3; i++) {
        const int64_t *s = sizes[i], c = s[3], groups = s[4];
        const fwi_shape x = fwi_shape4(s[0], s[1], s[2], c), row = fwi_shape1(c),
                        all = fwi_shape2(groups, c);
        const int64_t n = fwi_shape_elems(&x);
        float *const in[] = {
            numbers(n, 2, 5), numbers(n, 1, 0.1f),          numbers(c, 1, 2),
            numbers(c, 1, 0), numbers(groups * c, 0.1f, 5), numbers(groups * c, 0.1f, 1.3f)};
        const fwi_attr a = {.bn = {.eps = 1e-5, .groups = groups}};
        fwi_call train = {.kind = FWI_OP_bn_train,
                          .attr = &a,
                          .in = {arg(in[0], x), arg(in[2], row), arg(in[3], row)},
                          .out = {arg(NULL, x), arg(NULL, all), arg(NULL, all)}};
        compare(&train);
        fwi_call grad = {
            .kind = FWI_OP_bn_train_grad,
            .attr = &a,
            .in = {arg(in[1], x), arg(in[0], x), arg(in[2], row), arg(in[4], all), arg(in[5], all)},
            .out = {arg(NULL, x), arg(NULL, row), arg(NULL, row)}};
        compare(&grad);
        fwi_call sum = {.kind = FWI_OP_sum_rows, .in = {arg(in[1], x)}, .out = {arg(NULL, row)}};
        compare(&sum);
        for (int k = 0; k < 6; k++)
            free(in[k]);
    }
}

/* More than 512 tiles of lines in each part of the sum; for few channels and for many. */
static void test_filter_gradients(void **state)
{
    (void)state;
    static const int64_t channels[][2] = {{5, 6}, {3, 16}};
    for (int i = 0; i < 2; i++) {
        const int64_t c = channels[i][0], oc = channels[i][1];
        const fwi_shape x = fwi_shape4(300, 32, 33, c), y = fwi_shape4(300, 32, 33, oc);
        const fwi_attr a = {.conv = {.kh = 3,
                                     .kw = 3,
                                     .stride = 1,
                                     .pad_t = 1,
                                     .pad_l = 1,
                                     .pad_b = 1,
                                     .pad_r = 1,
                                     .ih = 32,
                                     .iw = 33}};
        float *const in[] = {numbers(fwi_shape_elems(&x), 1, 0),
                             numbers(fwi_shape_elems(&y), 1, 0)};
        fwi_call dw = {.kind = FWI_OP_conv2d_dw,
                       .attr = &a,
                       .in = {arg(in[0], x), arg(in[1], y)},
                       .out = {arg(NULL, fwi_shape4(oc, 3, 3, c))}};
        compare(&dw);
        free(in[0]);
        free(in[1]);
    }
}

static void test_sum_of_squares(void **state)
{
    (void)state;
    enum { N = 3000001 };
    float *const x = numbers(N, 1, 0), so_far = 0.5f;
    fwi_call c = {.kind = FWI_OP_sum_squares,
                  .in = {arg(x, fwi_shape1(N)), arg((void *)(uintptr_t)&so_far, fwi_shape1(1))},
                  .out = {arg(NULL, fwi_shape1(1))}};
    compare(&c);
    free(x);
}

/* Muon's norms over a filter of more than a million values, either way round; no iteration, whose products
 * test_muon has. By its own kernels, and by those around cuBLASLt's products. */
static void test_norms_of_muon(void **state)
{
    (void)state;
    for (int64_t rows = 1000; rows <= 1100; rows += 100) {
        const int64_t rest = 2100 - rows, n = rows * rest;
        double hyper[5] = {0.24, 0.05, 1, 1, 1e-7};
        const fwi_attr a = {.muon = {.momentum = 0.6,
                                     .renorm_eps = 0.1,
                                     .wd_col = 1,
                                     .rn_col = 2,
                                     .xn_col = 3,
                                     .steps = 0}};
        float *const start[] = {numbers(n, 1, 0), numbers(n, 1, 0)}, *const g = numbers(n, 1, 0);
        float *w[3], *v[3];
        for (int way = 0; way < 3; way++) {
            w[way] = room((size_t)n * sizeof(float));
            v[way] = room((size_t)n * sizeof(float));
            memcpy(w[way], start[0], (size_t)n * sizeof(float));
            memcpy(v[way], start[1], (size_t)n * sizeof(float));
            const fwi_shape shape = fwi_shape2(rows, rest);
            fwi_call c = {
                .kind = FWI_OP_muon,
                .attr = &a,
                .in = {arg(w[way], shape), arg(v[way], shape), arg(g, shape),
                       (fwi_arg){.data = hyper, .dtype = FW_F64, .shape = fwi_shape1(5)}}};
            if (way < 2) {
                run(way == 0 ? fwi_cpu_table(FWI_ISA_REF) : fwi_cuda_emulated_table(), &c);
                continue;
            }
            double sums[FWI_MUON_SUMS];
            float *const x = room((size_t)n * sizeof *x);
            fwi_muon_work m = {.rows = rows,
                               .rest = rest,
                               .m = rows < rest ? rows : rest,
                               .n = rows < rest ? rest : rows,
                               .dtype = FW_F32,
                               .x = x,
                               .sums = sums};
            assert_int_equal(fwi_emulated_side_kernels.muon_begin(&c, &m, 1), FW_OK);
            assert_int_equal(fwi_emulated_side_kernels.muon_end(&c, &m, 1), FW_OK);
            free(x);
        }
        for (int way = 1; way < 3; way++) { /* f32 beside double: a few roundings of each value */
            assert_true(difference(w[way], w[0], n) < 2e-6);
            assert_true(difference(v[way], v[0], n) < 2e-6);
        }
        for (int way = 0; way < 3; way++) {
            free(w[way]);
            free(v[way]);
        }
        free(start[0]);
        free(start[1]);
        free(g);
    }
}

static uint16_t bf16_of(float whole) /* exact */
{
    uint32_t u;
    memcpy(&u, &whole, sizeof u);
    return (uint16_t)(u >> 16);
}

/* Our own engines for Hopper, whose parts of the sum are cut where there are many: whole numbers, so that
 * every sum is exact in f32. */
static void test_own_filter_gradients(void **state)
{
    (void)state;
    static const int64_t sizes[][6] = {{70, 32, 32, 8, 8, 1}, {24, 32, 32, 24, 16, 3}};
    for (int q = 0; q < 2; q++) {
        const int64_t n = sizes[q][0], h = sizes[q][1], w = sizes[q][2], c = sizes[q][3],
                      oc = sizes[q][4], k = sizes[q][5], pad = (k - 1) / 2;
        const fwi_shape xs = fwi_shape4(n, h, w, c), ys = fwi_shape4(n, h, w, oc),
                        ws = fwi_shape4(oc, k, k, c);
        const fwi_attr a = {.conv = {.kh = k,
                                     .kw = k,
                                     .stride = 1,
                                     .pad_t = pad,
                                     .pad_l = pad,
                                     .pad_b = pad,
                                     .pad_r = pad,
                                     .ih = h,
                                     .iw = w}};
        float *const in[] = {numbers(fwi_shape_elems(&xs), 2.4f, 0),
                             numbers(fwi_shape_elems(&ys), 2.4f, 0)};
        uint16_t *half[2];
        for (int i = 0; i < 2; i++) {
            const int64_t size = fwi_shape_elems(i == 0 ? &xs : &ys);
            half[i] = room((size_t)size * sizeof **half);
            for (int64_t j = 0; j < size; j++) {
                in[i][j] = rintf(in[i][j]);
                half[i][j] = bf16_of(in[i][j]);
            }
        }
        fwi_call ref = {.kind = FWI_OP_conv2d_dw,
                        .attr = &a,
                        .in = {arg(in[0], xs), arg(in[1], ys)},
                        .out = {arg(room((size_t)fwi_shape_elems(&ws) * sizeof(float)), ws)}};
        run(fwi_cpu_table(FWI_ISA_REF), &ref);
        fwi_call own = ref;
        for (int i = 0; i < 2; i++) {
            own.in[i].data = half[i];
            own.in[i].dtype = FW_BF16;
            own.in[i].nb = 1;
        }
        fwi_own_conv engines[FWI_OWN_CONVS];
        const int m = fwi_emulated_own_conv_candidates(&own, engines);
        assert_true(m > 0);
        for (int e = 0; e < m; e++) {
            own.out[0].data = room((size_t)fwi_shape_elems(&ws) * sizeof(float));
            own.scratch = room(engines[e].kernel->scratch(&own));
            assert_int_equal(engines[e].kernel->run(&own), FW_OK);
            assert_memory_equal(own.out[0].data, ref.out[0].data,
                                (size_t)fwi_shape_elems(&ws) * sizeof(float));
            free(own.out[0].data);
            free(own.scratch);
        }
        for (int i = 0; i < 2; i++) {
            free(in[i]);
            free(half[i]);
        }
        free(ref.out[0].data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics),           cmocka_unit_test(test_filter_gradients),
        cmocka_unit_test(test_sum_of_squares),       cmocka_unit_test(test_norms_of_muon),
        cmocka_unit_test(test_own_filter_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
