/* cublaslt_muon.c: Muon's update with its products by cuBLASLt. Three products a step and nothing
 * else: what the formula adds and scales, a product does with its own result.
 *
 *     A = X X^T          B = c A A + b A          X' = B X + a X
 *
 * X and X' take turns in two places, so that no product writes what it reads. Neighbours of one
 * size are one batch, whose products are three calls a step as well, where cuBLASLt has such products.
 * The rest of the update is in side.cu, one kernel for all variables. A A is symmetric, as A is: a
 * product that computes half of it would save a sixth of the work where m is near n, and cuBLASLt has
 * none, so it is computed whole. Read before: cublaslt_muon.h, cpu/ref/muon_body.h, which has the
 * definition. */
#include "cublaslt_muon.h"
#include "cuda_inner.h"

#include <assert.h>

enum { XX, SQUARE, TIMES, PRODUCTS };

static fwi_matmul_key key_of(const fwi_cuda_libs *l, const fwi_newton_schulz *s, int which)
{
    return (fwi_matmul_key){
        .m = s->m,
        .n = which == TIMES ? s->n : s->m,
        .k = which == XX ? s->n : s->m,
        .batch = s->batch,
        .ta = 0,
        .tb = which == XX,
        .dtype = (int32_t)s->dtype,
        .tf32 = l->tf32 && s->dtype == FW_F32,
        .align = FWI_LIBS_ALIGN,
        .adds = which != XX,
    };
}

static void find_plans(const fwi_cuda_libs *l, const fwi_newton_schulz *s,
                       const fwi_cublaslt_plan *plans[PRODUCTS])
{
    for (int i = 0; i < PRODUCTS; i++) {
        const fwi_matmul_key key = key_of(l, s, i);
        plans[i] = fwi_cublaslt_plan_find(l, &key);
        assert(plans[i] != NULL && plans[i]->usable);
    }
}

/* Matrices of a batch lie one behind the other, so only one batch as a whole is on a boundary: a
 * batch of more needs matrices that are whole numbers of boundaries. */
static bool may_be_batch(const fwi_cuda_libs *l, const fwi_newton_schulz *s)
{
    const size_t size = fw_dtype_size(s->dtype);
    return s->batch == 1 ||
           (!atomic_load(&l->blas_single) && (size_t)(s->m * s->n) * size % FWI_LIBS_ALIGN == 0 &&
            (size_t)(s->m * s->m) * size % FWI_LIBS_ALIGN == 0);
}

bool fwi_newton_schulz_prepare(fwi_cuda_libs *l, const fwi_newton_schulz *s)
{
    bool all = may_be_batch(l, s);
    for (int i = 0; i < PRODUCTS && all; i++) {
        const fwi_matmul_key key = key_of(l, s, i);
        const fwi_cublaslt_plan *p = fwi_cublaslt_plan_get(l, &key);
        if (p == NULL && s->batch > 1)
            atomic_store(&l->blas_single, true);
        if (p == NULL)
            fwi_log(0, "%s: %s", fw_last_error(),
                    s->batch > 1 ? "no batches are used" : "our own kernel is used");
        all = p != NULL && p->usable;
    }
    return all;
}

bool fwi_newton_schulz_ready(const fwi_cuda_libs *l, const fwi_newton_schulz *s)
{
    bool all = may_be_batch(l, s);
    for (int i = 0; i < PRODUCTS && all; i++) {
        const fwi_matmul_key key = key_of(l, s, i);
        const fwi_cublaslt_plan *p = fwi_cublaslt_plan_find(l, &key);
        all = p != NULL && p->usable;
    }
    return all;
}

static size_t matrix_bytes(const fwi_newton_schulz *s, int64_t rows, int64_t cols)
{
    return fwi_libs_round((size_t)(s->batch * rows * cols) * fw_dtype_size(s->dtype));
}

size_t fwi_newton_schulz_bytes(const fwi_newton_schulz *s)
{
    return matrix_bytes(s, s->m, s->n);
}

size_t fwi_newton_schulz_scratch(const fwi_cuda_libs *l, const fwi_newton_schulz *s)
{
    const fwi_cublaslt_plan *plans[PRODUCTS];
    find_plans(l, s, plans);
    size_t workspace = 0; /* one product at a time */
    for (int i = 0; i < PRODUCTS; i++)
        workspace = plans[i]->workspace > workspace ? plans[i]->workspace : workspace;
    return 2 * matrix_bytes(s, s->m, s->m) + fwi_libs_round(workspace);
}

fw_status fwi_newton_schulz_run(const fwi_cuda_libs *l, const fwi_newton_schulz *s, void *x,
                                void *other, void *scratch, void **result)
{
    const fwi_cublaslt_plan *plans[PRODUCTS];
    find_plans(l, s, plans);
    char *const xx = scratch;
    char *const both = xx + matrix_bytes(s, s->m, s->m);
    char *const workspace = both + matrix_bytes(s, s->m, s->m);
    void *from = x, *to = other;
    fw_status st = FW_OK;
    for (int64_t i = 0; i < s->steps && st == FW_OK; i++) {
        st = fwi_cublaslt_run(l, plans[XX], 1, from, from, 0, NULL, xx, workspace);
        if (st == FW_OK)
            st = fwi_cublaslt_run(l, plans[SQUARE], (float)s->c, xx, xx, (float)s->b, xx, both,
                                  workspace);
        if (st == FW_OK)
            st = fwi_cublaslt_run(l, plans[TIMES], 1, both, from, (float)s->a, from, to, workspace);
        void *const was = from;
        from = to;
        to = was;
    }
    *result = from;
    return st;
}

/* ---- the row ---- */

/* The variables of one or more calls: how they form batches, and where all is in scratch: the sums of
 * each, X of all, X' of all, and what the products of one batch need, which the next one uses again. */
typedef struct muon_job {
    int n, n_batches;
    fwi_muon_work work[FWI_MAX_JOINED];
    fwi_newton_schulz batch[FWI_MAX_JOINED];
    size_t x_at[FWI_MAX_JOINED]; /* of each batch: bytes from the first X */
    size_t sums, x, products;    /* bytes of each part */
} muon_job;

static fwi_newton_schulz products_of(const fwi_call *c)
{
    const fwi_muon_attr *a = &c->attr->muon;
    const fwi_shape *w = &c->in[0].shape;
    const int64_t rows = w->d[0], rest = fwi_shape_elems(w) / rows;
    return (fwi_newton_schulz){.m = rows < rest ? rows : rest,
                               .n = rows < rest ? rest : rows,
                               .batch = 1,
                               .steps = a->steps,
                               .a = a->a,
                               .b = a->b,
                               .c = a->c,
                               .dtype = a->narrow != 0 ? FW_BF16 : FW_F32};
}

static fwi_muon_work work_of(const fwi_call *c)
{
    const fwi_newton_schulz s = products_of(c);
    const fwi_shape *w = &c->in[0].shape;
    const int64_t rows = w->d[0];
    return (fwi_muon_work){
        .rows = rows, .rest = fwi_shape_elems(w) / rows, .m = s.m, .n = s.n, .dtype = s.dtype};
}

static bool same_products(const fwi_newton_schulz *a, const fwi_newton_schulz *b)
{
    return a->m == b->m && a->n == b->n && a->steps == b->steps && a->a == b->a && a->b == b->b &&
           a->c == b->c && a->dtype == b->dtype;
}

/* MAKE_PLANS of batches, USE_PLANS that are there, or ONE_BY_ONE. */
typedef enum batching { MAKE_PLANS, USE_PLANS, ONE_BY_ONE } batching;

static bool one_batch(fwi_cuda_libs *l, const fwi_newton_schulz *s, batching how)
{
    return how == MAKE_PLANS  ? fwi_newton_schulz_prepare(l, s)
           : how == USE_PLANS ? fwi_newton_schulz_ready(l, s)
                              : false;
}

/* Neighbours of one size are a batch where cuBLASLt has products for that, else each one is. */
static void make_batches(muon_job *j, fwi_cuda_libs *l, const fwi_call *calls, int n, batching how)
{
    j->n = n;
    j->n_batches = 0;
    j->sums = (size_t)n * fwi_libs_round(FWI_MUON_SUMS * sizeof(double));
    j->x = j->products = 0;
    for (int at = 0; at < n;) {
        fwi_newton_schulz s = products_of(&calls[at]);
        int same = 1;
        while (at + same < n) {
            const fwi_newton_schulz other = products_of(&calls[at + same]);
            if (!same_products(&s, &other))
                break;
            same++;
        }
        s.batch = same;
        if (same > 1 && !one_batch(l, &s, how))
            s.batch = 1;
        for (int end = at + same; at < end; at += (int)s.batch) {
            const size_t bytes = fwi_newton_schulz_scratch(l, &s);
            j->x_at[j->n_batches] = j->x;
            j->batch[j->n_batches++] = s;
            j->x += fwi_newton_schulz_bytes(&s);
            j->products = bytes > j->products ? bytes : j->products;
        }
    }
}

static bool accepts(const fwi_call *c)
{
    fwi_cuda_libs *l = fwi_cuda_libs_of(c);
    if (l == NULL || l->blas_handle == NULL || fwi_shape_elems(&c->in[0].shape) >= FWI_MOST_ELEMS)
        return false;
    const fwi_newton_schulz s = products_of(c);
    if (l->side->use(c) == FW_OK)
        return fwi_newton_schulz_prepare(l, &s);
    fwi_log(0, "%s: our own kernel is used", fw_last_error());
    return false;
}

static size_t joint_scratch(const fwi_call *calls, int n)
{
    muon_job j, single;
    make_batches(&j, fwi_cuda_libs_of(calls), calls, n, MAKE_PLANS);
    /* another plan may set blas_single later: then each is by itself */
    make_batches(&single, fwi_cuda_libs_of(calls), calls, n, ONE_BY_ONE);
    return j.sums + 2 * j.x + FWI_LIBS_ALIGN +
           (j.products > single.products ? j.products : single.products);
}

static fw_status joint_run(const fwi_call *calls, int n)
{
    fwi_cuda_libs *l = fwi_cuda_libs_of(calls);
    muon_job j;
    make_batches(&j, l, calls, n, USE_PLANS);
    char *const sums = fwi_libs_aligned(calls[0].scratch);
    char *const x = sums + j.sums, *const other = x + j.x, *const products = other + j.x;
    for (int i = 0, b = 0, in_batch = 0; i < n; i++) {
        const size_t size = (size_t)(j.batch[b].m * j.batch[b].n) * fw_dtype_size(j.batch[b].dtype);
        j.work[i] = work_of(&calls[i]);
        j.work[i].sums =
            (double *)(void *)(sums + (size_t)i * fwi_libs_round(FWI_MUON_SUMS * sizeof(double)));
        j.work[i].x = x + j.x_at[b] + (size_t)in_batch * size;
        if (++in_batch == j.batch[b].batch) {
            in_batch = 0;
            b++;
        }
    }
    fw_status st = l->side->muon_begin(calls, j.work, n);
    for (int b = 0, at = 0; b < j.n_batches && st == FW_OK; at += (int)j.batch[b++].batch) {
        void *result = NULL;
        st = fwi_newton_schulz_run(l, &j.batch[b], x + j.x_at[b], other + j.x_at[b], products,
                                   &result);
        for (int i = 0; i < j.batch[b].batch && result == other + j.x_at[b]; i++)
            j.work[at + i].x = (char *)j.work[at + i].x + j.x;
    }
    return st == FW_OK ? l->side->muon_end(calls, j.work, n) : st;
}

static size_t scratch(const fwi_call *c)
{
    return joint_scratch(c, 1);
}

static fw_status run(const fwi_call *c)
{
    return joint_run(c, 1);
}

static const fwi_joint joint = {joint_scratch, joint_run, 0};
const fwi_kernel fwi_rows_cublaslt_muon[] = {
    {FWI_OP_muon, FW_F32, run, scratch, accepts, "muon_f32_cublaslt", false, &joint},
    {.run = NULL}};
