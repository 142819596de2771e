/* muon.c: the update of Muon, in float and in double; muon_body.h has the formulas. The iteration
 * in its middle is in double for both, on scratch memory: the one definition that needs some. */
#include "ref_kernels.h"

#include <math.h>

/* w is [rows][rest]; X is [m][n], the same or turned so that m <= n. */
typedef struct muon_size {
    int64_t rows, rest, m, n;
} muon_size;

typedef struct muon_scratch {
    double *x, *y;  /* [m][n] */
    double *xx, *b; /* [m][m] */
} muon_scratch;

static muon_size muon_size_of(const fwi_call *call)
{
    const fwi_shape *w = &call->in[0].shape;
    const int64_t rows = w->d[0], rest = fwi_shape_elems(w) / rows;
    return rows > rest ? (muon_size){rows, rest, rest, rows} : (muon_size){rows, rest, rows, rest};
}

static muon_scratch muon_scratch_of(double *at, const muon_size *s)
{
    return (muon_scratch){at, at + s->m * s->n, at + 2 * s->m * s->n,
                          at + 2 * s->m * s->n + s->m * s->m};
}

size_t fwi_muon_scratch_ref(const fwi_call *call)
{
    const muon_size s = muon_size_of(call);
    return (size_t)(2 * s.m * (s.n + s.m)) * sizeof(double);
}

/* Where in X the element k of w's row r is. */
static int64_t muon_at(const muon_size *s, int64_t r, int64_t k)
{
    return s->rows > s->rest ? k * s->n + r : r * s->n + k;
}

/* X = a X + (b A + c A^2) X with A = X X^T */
static void newton_schulz(const fwi_muon_attr *a, const muon_size *s, const muon_scratch *t)
{
    const int64_t m = s->m, n = s->n;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t k = 0; k < n; k++)
                sum += t->x[i * n + k] * t->x[j * n + k];
            t->xx[i * m + j] = sum;
        }
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t k = 0; k < m; k++)
                sum += t->xx[i * m + k] * t->xx[k * m + j];
            t->b[i * m + j] = a->b * t->xx[i * m + j] + a->c * sum;
        }
    for (int64_t i = 0; i < m; i++) {
        double *const y = t->y + i * n;
        for (int64_t j = 0; j < n; j++)
            y[j] = a->a * t->x[i * n + j];
        for (int64_t k = 0; k < m; k++) /* row by row: as definition and not as slow as columns */
            for (int64_t j = 0; j < n; j++)
                y[j] += t->b[i * m + k] * t->x[k * n + j];
    }
    for (int64_t i = 0; i < m * n; i++)
        t->x[i] = t->y[i];
}

#define FWI_REAL     float
#define FWI_NAME(op) fwi_##op##_f32_ref
#include "muon_body.h"
#undef FWI_REAL
#undef FWI_NAME

#define FWI_REAL     double
#define FWI_NAME(op) fwi_##op##_f64_ref
#include "muon_body.h"
#undef FWI_REAL
#undef FWI_NAME
