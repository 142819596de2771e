/* eigen.c: see eigen.h. Jacobi's method: rotations that bring one pair of elements to 0 each, over
 * all pairs in turn, until nothing is left beside the diagonal. Slower than others and the most
 * accurate of them, which counts here: matrices are small and made once per run. */
#include "eigen.h"

#include "fail.h"

#include <math.h>
#include <stdbool.h>

enum { MAX_SWEEPS = 64 }; /* it converges quadratically: about ten for n = 128 */

/* Largest magnitude beside the diagonal. */
static double largest_beside(int n, const double *a)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            most = fmax(most, fabs(a[i * n + j]));
    return most;
}

/* [x; y] becomes [x - s (y + tau x); y + s (x - tau y)] with tau = s / (1 + c): rotated by the
 * angle of c and s. */
static void rotate(double *x, double *y, double s, double tau)
{
    const double was_x = *x, was_y = *y;
    *x = was_x - s * (was_y + tau * was_x);
    *y = was_y + s * (was_x - tau * was_y);
}

/* Brings a[p][q], p < q, to 0. Only the upper triangle is kept up. */
static void eliminate(int n, double *a, double *vectors, int p, int q)
{
    const double apq = a[p * n + q];
    if (apq == 0)
        return;
    const double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    /* the smaller root of t^2 + 2 theta t = 1; where theta^2 is infinite, t is 0 */
    const double t = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1));
    const double c = 1 / sqrt(t * t + 1), s = t * c, tau = s / (1 + c);
    a[p * n + p] -= t * apq;
    a[q * n + q] += t * apq;
    a[p * n + q] = 0;
    for (int i = 0; i < p; i++)
        rotate(&a[i * n + p], &a[i * n + q], s, tau);
    for (int i = p + 1; i < q; i++)
        rotate(&a[p * n + i], &a[i * n + q], s, tau);
    for (int i = q + 1; i < n; i++)
        rotate(&a[p * n + i], &a[q * n + i], s, tau);
    for (int i = 0; i < n; i++) /* rows are the vectors */
        rotate(&vectors[p * n + i], &vectors[q * n + i], s, tau);
}

static void swap_rows(int n, double *values, double *vectors, int i, int j)
{
    const double value = values[i];
    values[i] = values[j];
    values[j] = value;
    for (int k = 0; k < n; k++) {
        const double x = vectors[i * n + k];
        vectors[i * n + k] = vectors[j * n + k];
        vectors[j * n + k] = x;
    }
}

/* Insertion: equal values keep their order. */
static void sort(int n, double *values, double *vectors)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && values[j] > values[j - 1]; j--)
            swap_rows(n, values, vectors, j, j - 1);
}

static void fix_sign(int n, double *v)
{
    int largest = 0;
    for (int i = 1; i < n; i++)
        if (fabs(v[i]) > fabs(v[largest]))
            largest = i;
    if (v[largest] < 0)
        for (int i = 0; i < n; i++)
            v[i] = -v[i];
}

fw_status fwi_eigen_symmetric(int n, double *a, double *values, double *vectors)
{
    if (n < 1 || n > FWI_EIGEN_MAX)
        return fwi_fail(FW_EARG, "eigenvectors of a matrix of %d rows, at most %d are allowed", n,
                        FWI_EIGEN_MAX);
    for (int i = 0; i < n; i++)
        for (int j = i; j < n; j++)
            if (!isfinite(a[i * n + j]))
                return fwi_fail(FW_ENONFINITE, "eigenvectors: element %d,%d is %g", i, j,
                                a[i * n + j]);
    for (int i = 0; i < n * n; i++)
        vectors[i] = i % (n + 1) == 0;
    /* Where a whole sweep leaves less than the last bit of the largest element, it is done; elements
     * that small do not change the diagonal any more. */
    double scale = largest_beside(n, a);
    for (int i = 0; i < n; i++)
        scale = fmax(scale, fabs(a[i * n + i]));
    bool done = false;
    for (int sweep = 0; sweep < MAX_SWEEPS && !done; sweep++) {
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++)
                eliminate(n, a, vectors, p, q);
        done = largest_beside(n, a) <= 1e-18 * scale;
    }
    if (!done)
        return fwi_fail(FW_ENONFINITE, "eigenvectors: no end after %d sweeps", MAX_SWEEPS);
    for (int i = 0; i < n; i++)
        values[i] = a[i * n + i];
    sort(n, values, vectors);
    for (int i = 0; i < n; i++)
        fix_sign(n, vectors + i * n);
    return FW_OK;
}
