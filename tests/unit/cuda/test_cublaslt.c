/* test_cublaslt.c: products as cuBLASLt is asked for them, against a stand-in that computes what it
 * was asked for: transposes, batches and sums by their results, one plan per key, and every failing
 * call. */
#include "libs_test.h"

#include <math.h>

static fake_cublaslt_state *blas;
static const fwi_op_table table = {.name = "cublaslt", .rows = fwi_rows_cublaslt};

static float small(int64_t i)
{
    return (float)(i * 7 % 11 - 5);
}

/* Whole numbers: exact. */
static double product(const fwi_matmul_key *k, const float *a, const float *b, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t l = 0; l < k->k; l++)
        sum += (double)a[k->ta ? l * k->m + i : i * k->k + l] *
               (double)b[k->tb ? j * k->k + l : l * k->n + j];
    return sum;
}

static void test_results(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1}, {3, 5, 7}, {8, 2, 4}, {6, 6, 1}};
    *blas = (fake_cublaslt_state){0};
    fwi_cuda_libs *l = open_libs(false);
    for (int i = 0; i < COUNT(sizes); i++)
        for (int form = 0; form < 16; form++) {
            const fwi_matmul_key k = {.m = sizes[i][0],
                                      .n = sizes[i][1],
                                      .k = sizes[i][2],
                                      .batch = form & 8 ? 3 : 1,
                                      .ta = form & 1,
                                      .tb = form >> 1 & 1,
                                      .align = 4,
                                      .adds = form >> 2 & 1};
            blas->workspace = form & 1 ? 512 : 0;
            const fwi_cublaslt_plan *p = fwi_cublaslt_plan_get(l, &k);
            assert_non_null(p);
            assert_true(p->usable);
            assert_int_equal(p->workspace, blas->workspace);
            float a[200], b[200], y[200], old[200];
            for (int j = 0; j < 200; j++) {
                a[j] = small(j), b[j] = small(3 * j + 1), old[j] = small(j + 2);
                y[j] = NAN;
            }
            char *room = aligned_alloc(256, 512);
            const float beta = k.adds ? 2 : 0;
            assert_int_equal(fwi_cublaslt_run(l, p, 3, a, b, beta, k.adds ? old : NULL, y,
                                              p->workspace > 0 ? room : NULL),
                             FW_OK);
            assert_ptr_equal(blas->stream, &a_stream);
            for (int64_t bt = 0; bt < k.batch; bt++)
                for (int64_t r = 0; r < k.m; r++)
                    for (int64_t c = 0; c < k.n; c++) {
                        const int64_t at = (bt * k.m + r) * k.n + c;
                        const double want =
                            3 * product(&k, a + bt * k.m * k.k, b + bt * k.k * k.n, r, c) +
                            (k.adds ? 2 * (double)old[at] : 0);
                        assert_true((double)y[at] == want);
                    }
            free(room);
        }
    fwi_cuda_libs_close(l);
    assert_int_equal(blas->live, 0);
}

/* A row's calls: operands on any float's address, scratch as asked for. */
static void test_rows(void **state)
{
    (void)state;
    *blas = (fake_cublaslt_state){.workspace = 700};
    fwi_cuda_libs *l = open_libs(false);
    fwi_cuda_stream stream = {.libs = l};
    enum { M = 3, N = 4, K = 5 };
    for (int form = 0; form < 4; form++) {
        const fwi_attr attr = {.matmul = {.ta = form & 1, .tb = form >> 1}};
        float room[1 + M * K + K * N + M * N];
        for (int i = 0; i < COUNT(room); i++)
            room[i] = small(i);
        fwi_call c = {.kind = FWI_OP_matmul, .attr = &attr, .stream = &stream};
        c.in[0] = (fwi_arg){.data = room + 1,
                            .dtype = FW_F32,
                            .shape = form & 1 ? fwi_shape2(K, M) : fwi_shape2(M, K)};
        c.in[1] = (fwi_arg){.data = room + 1 + M * K,
                            .dtype = FW_F32,
                            .shape = form & 2 ? fwi_shape2(N, K) : fwi_shape2(K, N)};
        c.out[0] =
            (fwi_arg){.data = room + 1 + M * K + K * N, .dtype = FW_F32, .shape = fwi_shape2(M, N)};
        const fwi_kernel *k = fwi_table_find(&table, &c, NULL);
        assert_non_null(k);
        const size_t n = k->scratch(&c);
        assert_int_equal(n, 700 + FWI_LIBS_ALIGN);
        c.scratch = aligned_alloc(64, (n + 63) / 64 * 64);
        const int used = use_calls;
        assert_int_equal(k->run(&c), FW_OK);
        assert_int_equal(use_calls, used + 1);
        assert_int_equal((uintptr_t)blas->last_workspace % FWI_LIBS_ALIGN, 0);
        assert_true((char *)blas->last_workspace + 700 <= (char *)c.scratch + n);
        const fwi_matmul_key key = {.m = M, .n = N, .k = K, .ta = form & 1, .tb = form >> 1};
        for (int64_t i = 0; i < M; i++)
            for (int64_t j = 0; j < N; j++)
                assert_true((double)((float *)c.out[0].data)[i * N + j] ==
                            product(&key, c.in[0].data, c.in[1].data, i, j));
        free(c.scratch);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(blas->align[i], 4);
    assert_int_equal(blas->schemes, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
    assert_int_equal(blas->max_workspace, 32 << 20);
    assert_int_equal(blas->compute, CUBLAS_COMPUTE_32F);
    fwi_cuda_libs_close(l);
    l = open_libs(true);
    const fwi_matmul_key key = {.m = 2, .n = 2, .k = 2, .batch = 1, .tf32 = 1, .align = 16};
    assert_non_null(fwi_cublaslt_plan_get(l, &key));
    assert_int_equal(blas->compute, CUBLAS_COMPUTE_32F_FAST_TF32);
    assert_int_equal(blas->align[3], 16);
    fwi_cuda_libs_close(l);
    assert_int_equal(blas->live, 0);
}

static void test_once(void **state)
{
    (void)state;
    *blas = (fake_cublaslt_state){0};
    fwi_cuda_libs *l = open_libs(false);
    const fwi_matmul_key a = {.m = 2, .n = 3, .k = 4, .batch = 1, .align = 4};
    const fwi_matmul_key b = {.m = 2, .n = 3, .k = 4, .batch = 2, .align = 4};
    assert_null(fwi_cublaslt_plan_find(l, &a));
    const fwi_cublaslt_plan *p = fwi_cublaslt_plan_get(l, &a);
    assert_ptr_equal(fwi_cublaslt_plan_get(l, &a), p);
    assert_ptr_equal(fwi_cublaslt_plan_find(l, &a), p);
    assert_int_equal(blas->calls[FAKE_LT_HEURISTIC], 1);
    assert_true(fwi_cublaslt_plan_get(l, &b) != p);
    assert_int_equal(blas->calls[FAKE_LT_HEURISTIC], 2);
    fwi_cuda_libs_close(l);
    assert_int_equal(blas->live, 0);
}

static void test_failures(void **state)
{
    (void)state;
    static const struct {
        cublasStatus_t status;
        bool refused; /* else no plan, and a message */
        fw_status st;
    } statuses[] = {{CUBLAS_STATUS_NOT_SUPPORTED, true, FW_OK},
                    {CUBLAS_STATUS_INVALID_VALUE, true, FW_OK},
                    {CUBLAS_STATUS_ALLOC_FAILED, false, FW_ENOMEM},
                    {CUBLAS_STATUS_INTERNAL_ERROR, false, FW_EINTERNAL}};
    static const fake_cublaslt_call calls[] = {FAKE_LT_DESC, FAKE_LT_LAYOUT, FAKE_LT_PREFERENCE,
                                               FAKE_LT_SET, FAKE_LT_HEURISTIC};
    const fwi_matmul_key key = {.m = 2, .n = 3, .k = 4, .batch = 2, .align = 4};
    int failures = 0;
    for (int i = 0; i < COUNT(statuses); i++)
        for (int j = 0; j < COUNT(calls); j++)
            for (int at = 1;; at++) {
                *blas = (fake_cublaslt_state){
                    .fail_call = calls[j], .fail_at = at, .fail_status = statuses[i].status};
                fwi_cuda_libs *l = open_libs(false);
                const fwi_cublaslt_plan *p = fwi_cublaslt_plan_get(l, &key);
                const bool reached = blas->calls[calls[j]] >= at;
                failures += reached;
                if (!reached) {
                    assert_true(p != NULL && p->usable);
                } else if (statuses[i].refused) {
                    assert_non_null(p);
                    assert_false(p->usable);
                    assert_true(p->why[0] != 0);
                } else {
                    assert_null(p);
                    assert_message("matmul f32 m2 n3 k4 batch 2");
                }
                fwi_cuda_libs_close(l);
                assert_int_equal(blas->live, 0);
                if (!reached)
                    break;
            }
    assert_true(failures > 4 * 15);
    *blas = (fake_cublaslt_state){.no_algorithm = true};
    fwi_cuda_libs *l = open_libs(false);
    assert_false(fwi_cublaslt_plan_get(l, &key)->usable);
    fwi_cuda_libs_close(l);
    *blas = (fake_cublaslt_state){.algo_state = CUBLAS_STATUS_NOT_SUPPORTED};
    l = open_libs(false);
    assert_false(fwi_cublaslt_plan_get(l, &key)->usable);
    fwi_cuda_libs_close(l);
    *blas = (fake_cublaslt_state){0};
    l = open_libs(false);
    const fwi_cublaslt_plan *p = fwi_cublaslt_plan_get(l, &key);
    blas->fail_call = FAKE_LT_MATMUL;
    blas->fail_at = 1;
    blas->fail_status = CUBLAS_STATUS_EXECUTION_FAILED;
    float x[24] = {0}, y[12];
    assert_int_equal(fwi_cublaslt_run(l, p, 1, x, x, 0, NULL, y, NULL), FW_EINTERNAL);
    assert_message("cuBLASLt: matmul f32 m2 n3 k4 batch 2: broken (13)");
    fwi_mem_fail_at(1);
    const fwi_matmul_key other = {.m = 9, .n = 9, .k = 9, .batch = 1, .align = 4};
    assert_null(fwi_cublaslt_plan_get(l, &other));
    fwi_mem_fail_at(0);
    fwi_cuda_libs_close(l);
    assert_int_equal(blas->live, 0);
}

/* ---- Muon ---- */

/* a x + b x^3 + c x^5, three times: what each singular value becomes; recipes.md and test_muon of
 * tests/ops have the same figures. */
static void test_scalar_map(void **state)
{
    (void)state;
    static const double x[] = {0.001, 0.01, 0.05, 0.1, 0.5, 1};
    static const double f[] = {0.04086, 0.40006, 1.20164, 0.70708, 0.82437, 0.72071};
    enum { M = 6, N = 8, BATCH = 8 }; /* 8 * 8 * 6 floats: whole boundaries */
    *blas = (fake_cublaslt_state){.workspace = 100};
    fwi_cuda_libs *l = open_libs(false);
    for (int64_t steps = 3, batch = 1; batch <= BATCH; batch += BATCH - 1) {
        const int64_t m = batch == 1 ? M : 8; /* two rows of zeros */
        const fwi_newton_schulz s = {m, N, batch, steps, 3.4445, -4.7750, 2.0315, FW_F32};
        assert_true(fwi_newton_schulz_prepare(l, &s));
        const size_t n_scratch = fwi_newton_schulz_scratch(l, &s);
        char *scratch = aligned_alloc(256, fwi_libs_round(n_scratch) + 256);
        float *values = aligned_alloc(256, 256 * 8);
        memset(values, 0, 256 * 8);
        memset(scratch + n_scratch, 0x5c, 64);
        for (int64_t b = 0; b < batch; b++)
            for (int64_t i = 0; i < M; i++)
                values[(b * m + i) * N + i] = (float)x[(i + b) % M];
        void *result = NULL, *const other = aligned_alloc(256, 256 * 8);
        assert_int_equal(fwi_newton_schulz_bytes(&s), 256 * (batch == 1 ? 1 : 8));
        assert_int_equal(fwi_newton_schulz_run(l, &s, values, other, scratch, &result), FW_OK);
        assert_ptr_equal(result, other); /* three steps */
        for (int64_t b = 0; b < batch; b++)
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < N; j++) {
                    const double want = i == j && i < M ? f[(i + b) % M] : 0;
                    assert_true(fabs((double)((float *)result)[(b * m + i) * N + j] - want) < 2e-5);
                }
        for (int i = 0; i < 64; i++)
            assert_int_equal(scratch[n_scratch + (size_t)i], 0x5c);
        free(scratch);
        free(other);
        free(values);
    }
    fwi_cuda_libs_close(l);
    assert_int_equal(blas->live, 0);
}

static double number(int64_t i)
{
    return (double)(i * 37 % 101 - 50) / 50;
}

/* The whole update against the formula, in double, for square, wide and tall matrices. */
static void test_muon(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{5, 9}, {9, 5}, {4, 4}, {1, 6}};
    static const double rows[][5] = {/* lr wd rn p q */
                                     {0.24, 0.05, 1, 1, 1e-7},
                                     {0.1, 0, 0, 1.5, 0.25},
                                     {0, 0.5, 1, 1, 1e-7}};
    const fwi_op_table muon_table = {.name = "muon", .rows = fwi_rows_cublaslt_muon};
    *blas = (fake_cublaslt_state){.workspace = 100};
    fwi_cuda_libs *l = open_libs(false);
    fwi_cuda_stream stream = {.libs = l};
    for (int i = 0; i < COUNT(sizes) * COUNT(rows); i++) {
        enum { MOST = 45 };
        const int64_t r = sizes[i / 3][0], k = sizes[i / 3][1], n = r * k;
        const double *hyper = rows[i % 3];
        const fwi_attr attr = {
            .muon = {0.6, 3.4445, -4.7750, 2.0315, 0.5, 1 + i % 3, 0, 1, 2, 3, 0}};
        float w[MOST], v[MOST], g[MOST];
        double x[MOST], y[MOST], uu = 0, ww = 0, want_w[MOST];
        for (int64_t j = 0; j < n; j++) {
            w[j] = (float)number(j), v[j] = (float)number(j + 7), g[j] = (float)number(3 * j + 2);
            const double vj = 0.6 * (double)v[j] + (double)g[j];
            x[j] = (double)g[j] + 0.6 * vj;
            uu += x[j] * x[j];
            ww += (double)w[j] * (double)w[j];
        }
        for (int64_t j = 0; j < n; j++)
            x[j] /= hyper[3] * sqrt(uu) + hyper[4];
        for (int64_t s = 0; s < attr.muon.steps; s++) { /* X = a X + b A X + c A A X, A = X X^T */
            double a[81] = {0}, ax[MOST] = {0}, aax[MOST] = {0};
            for (int64_t p = 0; p < r; p++)
                for (int64_t q = 0; q < r; q++)
                    for (int64_t j = 0; j < k; j++)
                        a[p * r + q] += x[p * k + j] * x[q * k + j];
            for (int64_t p = 0; p < r; p++)
                for (int64_t q = 0; q < r; q++)
                    for (int64_t j = 0; j < k; j++)
                        ax[p * k + j] += a[p * r + q] * x[q * k + j];
            for (int64_t p = 0; p < r; p++)
                for (int64_t q = 0; q < r; q++)
                    for (int64_t j = 0; j < k; j++)
                        aax[p * k + j] += a[p * r + q] * ax[q * k + j];
            for (int64_t j = 0; j < n; j++)
                y[j] = attr.muon.a * x[j] + attr.muon.b * ax[j] + attr.muon.c * aax[j];
            memcpy(x, y, sizeof x);
        }
        const double renorm = hyper[2] != 0 ? sqrt((double)r) / (sqrt(ww) + 0.5) : 1;
        for (int64_t j = 0; j < n; j++)
            want_w[j] = hyper[0] == 0
                            ? (double)w[j]
                            : (renorm * (double)w[j] - hyper[0] * x[j]) * (1 - hyper[0] * hyper[1]);
        fwi_call c = {.kind = FWI_OP_muon, .attr = &attr, .stream = &stream};
        for (int j = 0; j < 3; j++)
            c.in[j] = (fwi_arg){.dtype = FW_F32, .shape = fwi_shape2(r, k)};
        c.in[3] = (fwi_arg){.dtype = FW_F64, .shape = fwi_shape1(5)};
        const fwi_kernel *row = fwi_table_find(&muon_table, &c, NULL);
        assert_non_null(row);
        const size_t n_scratch = row->scratch(&c);
        char *scratch = aligned_alloc(64, n_scratch + 128 - n_scratch % 64);
        memset(scratch, 0xff, n_scratch);
        memset(scratch + n_scratch, 0x5c, 64);
        c.in[0].data = w, c.in[1].data = v, c.in[2].data = g;
        c.in[3].data = (void *)(uintptr_t)hyper;
        c.scratch = scratch;
        assert_int_equal(row->run(&c), FW_OK);
        for (int64_t j = 0; j < n; j++)
            assert_true(fabs((double)w[j] - want_w[j]) < 2e-5);
        for (int j = 0; j < 64; j++)
            assert_int_equal(scratch[n_scratch + (size_t)j], 0x5c);
        free(scratch);
    }
    fwi_cuda_libs_close(l);
    assert_int_equal(blas->live, 0);
}

/* Variables of all sorts in one joint call: the bits of one by one. Those of one size and one rule that are
 * whole boundaries are one batch, so that their products are three calls a step, however many they are. */
static void test_muon_joint(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{4, 6},  {8, 16}, {8, 16}, {16, 8},
                                       {8, 32}, {8, 32}, {8, 32}};
    enum { N = COUNT(sizes), MOST = 256 };
    static const double rates[][5] = {{0.24, 0.05, 1, 1, 1e-7}, {0.1, 0, 0, 1.5, 0.25}};
    static float at[2][N][3][MOST];
    const fwi_op_table muon_table = {.name = "muon", .rows = fwi_rows_cublaslt_muon};
    for (int narrow = 0; narrow < 2; narrow++)
        for (int steps = 1; steps <= 4; steps++) {
            *blas = (fake_cublaslt_state){.workspace = 100};
            fwi_cuda_libs *l = open_libs(false);
            fwi_cuda_stream stream = {.libs = l};
            fwi_attr attr[N];
            fwi_call c[N];
            const fwi_kernel *row = NULL;
            int64_t one_by_one = 0;
            for (int way = 0; way < 2; way++) {
                for (int i = 0; i < N; i++) {
                    attr[i] = (fwi_attr){
                        .muon = {0.6, 3.4445, -4.7750, 2.0315, 0.5, steps, 0, 1, 2, 3, narrow}};
                    for (int j = 0; j < 3 * MOST; j++)
                        at[way][i][j / MOST][j % MOST] = (float)number(i * 100 + j);
                    c[i] = (fwi_call){.kind = FWI_OP_muon, .attr = &attr[i], .stream = &stream};
                    for (int j = 0; j < 3; j++)
                        c[i].in[j] = (fwi_arg){.dtype = FW_F32,
                                               .shape = fwi_shape2(sizes[i][0], sizes[i][1])};
                    c[i].in[3] = (fwi_arg){.dtype = FW_F64, .shape = fwi_shape1(5)};
                    row = fwi_table_find(&muon_table, &c[i], NULL);
                    assert_non_null(row);
                }
                const size_t bytes = row->joint->scratch(c, N);
                char *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
                memset(scratch, 0xff, bytes);
                memset(scratch + bytes, 0x5c, 64);
                for (int i = 0; i < N; i++) {
                    for (int j = 0; j < 3; j++)
                        c[i].in[j].data = at[way][i][j];
                    c[i].in[3].data = (void *)(uintptr_t)rates[i % 2];
                    c[i].scratch = scratch;
                    assert_true(row->scratch(&c[i]) <= bytes);
                    if (way == 0)
                        assert_int_equal(row->run(&c[i]), FW_OK);
                }
                blas->calls[FAKE_LT_MATMUL] = 0;
                if (way == 0)
                    one_by_one = blas->products;
                else
                    assert_int_equal(row->joint->run(c, N), FW_OK);
                for (int i = 0; i < 64; i++)
                    assert_int_equal(scratch[bytes + (size_t)i], 0x5c);
                free(scratch);
            }
            assert_memory_equal(at[0], at[1], sizeof at[0]);
            assert_int_equal(one_by_one, 3 * steps * N);
            assert_int_equal(blas->products, 2 * one_by_one);
            /* f32: 4x6 | 8x16 twice | 16x8 | 8x32 thrice; 8x8 in bf16 is half a boundary */
            assert_int_equal(blas->calls[FAKE_LT_MATMUL], 3 * steps * (narrow ? N : 3));
            fwi_cuda_libs_close(l);
            assert_int_equal(blas->live, 0);
        }
}

/* Scratch that was sized when a plan for a batch could not be made, or memory was short, is enough for ever:
 * another plan of the same variables must not make the first one take batches. */
static void test_muon_batch_fails_once(void **state)
{
    (void)state;
    enum { M = 8, N = 32, SIZE = M * N };
    const fwi_op_table muon_table = {.name = "muon", .rows = fwi_rows_cublaslt_muon};
    static float at[3][2][3][SIZE];
    double hyper[5] = {0.24, 0.05, 1, 1, 1e-7};
    for (int way = 0; way < 3; way++) { /* nothing fails; the heuristic; memory */
        *blas = (fake_cublaslt_state){.workspace = 100};
        fwi_cuda_libs *l = open_libs(false);
        fwi_cuda_stream stream = {.libs = l};
        const fwi_attr attr = {.muon = {0.6, 3.4445, -4.7750, 2.0315, 0.5, 3, 0, 1, 2, 3, 0}};
        const fwi_kernel *row = NULL;
        fwi_call c[2];
        for (int i = 0; i < 2; i++) {
            for (int j = 0; j < 3 * SIZE; j++)
                at[way][i][j / SIZE][j % SIZE] = (float)number(i * 100 + j);
            c[i] = (fwi_call){.kind = FWI_OP_muon, .attr = &attr, .stream = &stream};
            for (int j = 0; j < 3; j++)
                c[i].in[j] =
                    (fwi_arg){.dtype = FW_F32, .shape = fwi_shape2(M, N), .data = at[way][i][j]};
            c[i].in[3] = (fwi_arg){.dtype = FW_F64, .shape = fwi_shape1(5), .data = hyper};
            row = fwi_table_find(&muon_table, &c[i], NULL);
            assert_non_null(row);
        }
        blas->fail_call = FAKE_LT_HEURISTIC;
        blas->fail_at = way == 1 ? blas->calls[FAKE_LT_HEURISTIC] + 1 : 0;
        blas->fail_status = CUBLAS_STATUS_ALLOC_FAILED;
        fwi_mem_fail_at(way == 2 ? 1 : 0);
        const size_t bytes = row->joint->scratch(c, 2);
        fwi_mem_fail_at(0);
        blas->fail_at = 0;
        const size_t again = row->joint->scratch(c, 2);
        char *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
        memset(scratch + bytes, 0x5c, 64);
        c[0].scratch = c[1].scratch = scratch;
        blas->calls[FAKE_LT_MATMUL] = 0;
        assert_int_equal(row->joint->run(c, 2), FW_OK);
        assert_int_equal(blas->calls[FAKE_LT_MATMUL], way == 0 ? 9 : 18);
        assert_true(again <= bytes);
        for (int i = 0; i < 64; i++)
            assert_int_equal(scratch[bytes + (size_t)i], 0x5c);
        free(scratch);
        fwi_cuda_libs_close(l);
        assert_int_equal(blas->live, 0);
    }
    assert_memory_equal(at[1], at[0], sizeof at[0]);
    assert_memory_equal(at[2], at[0], sizeof at[0]);
}

/* In bf16 X, A and B are rounded at each step: by the same rounding in plain arithmetic the eight singular
 * values, which the map leaves at 0.75 to 1.12, are off by at most 0.035. */
static void test_muon_narrow(void **state)
{
    (void)state;
    enum { M = 8, N = 16 };
    const fwi_op_table muon_table = {.name = "muon", .rows = fwi_rows_cublaslt_muon};
    *blas = (fake_cublaslt_state){.workspace = 100};
    fwi_cuda_libs *l = open_libs(true); /* tf32 is for products of f32 */
    fwi_cuda_stream stream = {.libs = l};
    static const double hyper[5] = {1, 0, 0, 1, 0};
    float w[2][M * N] = {{0}}, v[M * N] = {0}, g[M * N] = {0};
    for (int i = 0; i < M; i++)
        g[i * N + i] = (float)(i + 1);
    for (int narrow = 0; narrow < 2; narrow++) {
        const fwi_attr attr = {.muon = {0, 3.4445, -4.7750, 2.0315, 0, 3, 0, 1, 2, 3, narrow}};
        fwi_call c = {.kind = FWI_OP_muon, .attr = &attr, .stream = &stream};
        for (int j = 0; j < 3; j++)
            c.in[j] = (fwi_arg){.dtype = FW_F32, .shape = fwi_shape2(M, N)};
        c.in[3] = (fwi_arg){.dtype = FW_F64, .shape = fwi_shape1(5)};
        const fwi_kernel *row = fwi_table_find(&muon_table, &c, NULL);
        assert_non_null(row);
        c.scratch = aligned_alloc(64, (row->scratch(&c) + 63) / 64 * 64);
        c.in[0].data = w[narrow], c.in[1].data = v, c.in[2].data = g;
        c.in[3].data = (void *)(uintptr_t)hyper;
        assert_int_equal(row->run(&c), FW_OK);
        assert_int_equal(blas->compute, narrow ? CUBLAS_COMPUTE_32F : CUBLAS_COMPUTE_32F_FAST_TF32);
        free(c.scratch);
    }
    bool differ = false;
    for (int i = 0; i < M * N; i++) {
        const int r = i / N, k = i % N;
        if (r != k)
            assert_true(w[1][i] == 0);
        else
            assert_true(w[0][i] < -0.7f && fabsf(w[1][i] - w[0][i]) < 0.04f);
        differ = differ || w[0][i] != w[1][i];
    }
    assert_true(differ);
    fwi_cuda_libs_close(l);
    assert_int_equal(blas->live, 0);
}

/* Each failing product ends the update. */
static void test_muon_failures(void **state)
{
    (void)state;
    const fwi_op_table muon_table = {.name = "muon", .rows = fwi_rows_cublaslt_muon};
    *blas = (fake_cublaslt_state){.workspace = 100};
    fwi_cuda_libs *l = open_libs(false);
    fwi_cuda_stream stream = {.libs = l};
    const fwi_attr attr = {.muon = {0.6, 3.4445, -4.7750, 2.0315, 0, 2, 0, 1, 2, 3, 0}};
    fwi_call c = {.kind = FWI_OP_muon, .attr = &attr, .stream = &stream};
    for (int j = 0; j < 3; j++)
        c.in[j] = (fwi_arg){.dtype = FW_F32, .shape = fwi_shape2(4, 6)};
    c.in[3] = (fwi_arg){.dtype = FW_F64, .shape = fwi_shape1(5)};
    const fwi_kernel *row = fwi_table_find(&muon_table, &c, NULL);
    assert_non_null(row);
    const fwi_matmul_key key = {4, 4, 6, 1, 0, 1, FW_F32, 0, FWI_LIBS_ALIGN, 0};
    assert_non_null(fwi_cublaslt_plan_find(l, &key));
    float w[24] = {1}, v[24] = {0}, g[24] = {1};
    double hyper[5] = {0.1, 0, 0, 1, 1e-7};
    c.scratch = aligned_alloc(64, (row->scratch(&c) + 63) / 64 * 64);
    c.in[0].data = w, c.in[1].data = v, c.in[2].data = g, c.in[3].data = hyper;
    for (int at = 1; at <= 7; at++) { /* two steps of three products */
        blas->fail_call = FAKE_LT_MATMUL;
        blas->fail_at = blas->calls[FAKE_LT_MATMUL] + at;
        blas->fail_status = CUBLAS_STATUS_EXECUTION_FAILED;
        assert_int_equal(row->run(&c), at <= 6 ? FW_EINTERNAL : FW_OK);
    }
    free(c.scratch);
    fwi_cuda_libs_close(l);
    const fwi_newton_schulz odd = {3, 5, 2, 1,
                                   1, 1, 1, FW_F32}; /* the second matrix lies anywhere */
    l = open_libs(false);
    assert_false(fwi_newton_schulz_prepare(l, &odd));
    fwi_cuda_libs_close(l);
    assert_int_equal(blas->live, 0);
}

static void test_without(void **state)
{
    (void)state;
    setenv("FENWICKS_CUBLASLT", "/nowhere/lt.so", 1);
    fwi_cuda_libs *l = open_libs(false);
    fwi_cuda_stream stream = {.libs = l};
    const fwi_attr attr = {.matmul = {.ta = 0, .tb = 0}};
    fwi_call c = {.kind = FWI_OP_matmul, .attr = &attr, .stream = &stream};
    c.in[0] = c.in[1] = c.out[0] = (fwi_arg){.dtype = FW_F32, .shape = fwi_shape2(2, 2)};
    assert_null(fwi_table_find(&table, &c, NULL));
    c.stream = NULL;
    assert_null(fwi_table_find(&table, &c, NULL));
    const fwi_op_table muon_table = {.name = "muon", .rows = fwi_rows_cublaslt_muon};
    const fwi_attr muon = {.muon = {.steps = 3}};
    c = (fwi_call){.kind = FWI_OP_muon, .attr = &muon, .stream = &stream};
    c.in[0] = c.in[1] = c.in[2] = (fwi_arg){.dtype = FW_F32, .shape = fwi_shape2(2, 2)};
    assert_null(fwi_table_find(&muon_table, &c, NULL));
    fwi_cuda_libs_close(l);
    point_at_fakes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_scalar_map),
        cmocka_unit_test(test_muon),
        cmocka_unit_test(test_muon_joint),
        cmocka_unit_test(test_muon_narrow),
        cmocka_unit_test(test_muon_batch_fails_once),
        cmocka_unit_test(test_muon_failures),
        cmocka_unit_test(test_without),
    };
    point_at_fakes();
    blas = blas_state();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
