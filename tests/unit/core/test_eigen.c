/* Eigenvectors of symmetric matrices: known ones, random ones of every size up to the largest, and
 * what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "eigen.h"
#include "fail.h"
#include "rng.h"

enum { N = FWI_EIGEN_MAX };
static double a[N * N], kept[N * N], values[N], vectors[N * N];

static double draw(uint64_t i)
{
    uint32_t words[4];
    fwi_rng_block(5, FWI_RNG_TEST, 0, i, 0, words);
    return 2 * fwi_unit(words[0]) - 1;
}

static void known_matrices(void **state)
{
    (void)state;
    const double two[4] = {2, -1, NAN, 2}; /* the lower triangle is not looked at */
    memcpy(a, two, sizeof two);
    assert_int_equal(fwi_eigen_symmetric(2, a, values, vectors), FW_OK);
    assert_true(fabs(values[0] - 3) < 1e-15 && fabs(values[1] - 1) < 1e-15);
    assert_true(fabs(vectors[0] + vectors[1]) < 1e-15 && fabs(vectors[2] - sqrt(0.5)) < 1e-15);
    assert_true(fabs(vectors[3] - sqrt(0.5)) < 1e-15);
    const double diagonal[9] = {-5, 0, 0, 0, 7, 0, 0, 0, 7};
    memcpy(a, diagonal, sizeof diagonal);
    assert_int_equal(fwi_eigen_symmetric(3, a, values, vectors), FW_OK);
    const double sorted[3] = {7, 7, -5}, rows[9] = {0, 1, 0, 0, 0, 1, 1, 0, 0};
    assert_memory_equal(values, sorted, sizeof sorted);
    for (int i = 0; i < 9; i++)
        assert_true(vectors[i] == rows[i]);
    a[0] = -3;
    assert_int_equal(fwi_eigen_symmetric(1, a, values, vectors), FW_OK);
    assert_true(values[0] == -3 && vectors[0] == 1);
    memset(a, 0, sizeof a);
    assert_int_equal(fwi_eigen_symmetric(5, a, values, vectors), FW_OK);
    for (int i = 0; i < 25; i++)
        assert_true(vectors[i] == (i % 6 == 0));
    /* of very different sizes: small ones keep their digits */
    const double graded[4] = {1e40, 1, 0, 1e-10};
    memcpy(a, graded, sizeof graded);
    assert_int_equal(fwi_eigen_symmetric(2, a, values, vectors), FW_OK);
    assert_true(values[0] == 1e40 && fabs(values[1] - 1e-10) < 1e-20);
}

/* V A V^T is the diagonal of values, and V V^T is 1. */
static void random_matrices(void **state)
{
    (void)state;
    for (int n = 1; n <= N; n = n < 20 ? n + 1 : 2 * n > N && n < N ? N : 2 * n) {
        double norm = 0;
        for (int i = 0; i < n; i++)
            for (int j = i; j < n; j++) {
                const double x = draw((uint64_t)((n * N + i) * N + j));
                kept[i * n + j] = kept[j * n + i] = x;
                norm += x * x;
            }
        memcpy(a, kept, sizeof a);
        assert_int_equal(fwi_eigen_symmetric(n, a, values, vectors), FW_OK);
        const double bound = 1e-14 * (1 + sqrt(norm)) * n;
        for (int i = 0; i < n; i++) {
            const double *v = vectors + i * n;
            int largest = 0;
            for (int k = 0; k < n; k++) {
                double av = 0;
                for (int j = 0; j < n; j++)
                    av += kept[k * n + j] * v[j];
                assert_true(fabs(av - values[i] * v[k]) < bound);
                if (fabs(v[k]) > fabs(v[largest]))
                    largest = k;
            }
            assert_true(v[largest] > 0);
            assert_true(i == 0 || values[i] <= values[i - 1]);
            for (int j = 0; j <= i; j++) {
                double dot = 0;
                for (int k = 0; k < n; k++)
                    dot += v[k] * vectors[j * n + k];
                assert_true(fabs(dot - (i == j)) < 1e-14 * n);
            }
        }
    }
}

static void refusals(void **state)
{
    (void)state;
    assert_int_equal(fwi_eigen_symmetric(0, a, values, vectors), FW_EARG);
    assert_int_equal(fwi_eigen_symmetric(N + 1, a, values, vectors), FW_EARG);
    assert_non_null(strstr(fw_last_error(), "129 rows"));
    const double bad[4] = {1, INFINITY, 0, 1};
    memcpy(a, bad, sizeof bad);
    assert_int_equal(fwi_eigen_symmetric(2, a, values, vectors), FW_ENONFINITE);
    assert_non_null(strstr(fw_last_error(), "element 0,1 is inf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_matrices),
        cmocka_unit_test(random_matrices),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
