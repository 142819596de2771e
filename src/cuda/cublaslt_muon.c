/* cublaslt_muon.c: Muon's update with its products by cuBLASLt. Three products a step and nothing
 * else: what the formula adds and scales, a product does with its own result.
 *
 *     A = X X^T          B = c A A + b A          X' = B X + a X
 *
 * X and X' take turns in two places, so that no product writes what it reads. The rest of the update
 * is in side.cu. Read before: cublaslt_muon.h, cpu/ref/muon_body.h, which has the definition. */
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
static bool batch_aligned(const fwi_newton_schulz *s)
{
    const size_t size = fw_dtype_size(s->dtype);
    return s->batch == 1 || ((size_t)(s->m * s->n) * size % FWI_LIBS_ALIGN == 0 &&
                             (size_t)(s->m * s->m) * size % FWI_LIBS_ALIGN == 0);
}

bool fwi_newton_schulz_prepare(fwi_cuda_libs *l, const fwi_newton_schulz *s)
{
    bool all = batch_aligned(s);
    for (int i = 0; i < PRODUCTS && all; i++) {
        const fwi_matmul_key key = key_of(l, s, i);
        const fwi_cublaslt_plan *p = fwi_cublaslt_plan_get(l, &key);
        if (p == NULL)
            fwi_log(0, "%s: our own kernel is used", fw_last_error());
        all = p != NULL && p->usable;
    }
    return all;
}

static size_t matrix_bytes(const fwi_newton_schulz *s, int64_t rows, int64_t cols)
{
    return fwi_libs_round((size_t)(s->batch * rows * cols) * fw_dtype_size(s->dtype));
}

size_t fwi_newton_schulz_scratch(const fwi_cuda_libs *l, const fwi_newton_schulz *s)
{
    const fwi_cublaslt_plan *plans[PRODUCTS];
    find_plans(l, s, plans);
    size_t workspace = 0; /* one product at a time */
    for (int i = 0; i < PRODUCTS; i++)
        workspace = plans[i]->workspace > workspace ? plans[i]->workspace : workspace;
    return matrix_bytes(s, s->m, s->n) + 2 * matrix_bytes(s, s->m, s->m) + workspace;
}

fw_status fwi_newton_schulz_run(const fwi_cuda_libs *l, const fwi_newton_schulz *s, void *x,
                                void *scratch, void **result)
{
    const fwi_cublaslt_plan *plans[PRODUCTS];
    find_plans(l, s, plans);
    char *const other = scratch;
    char *const xx = other + matrix_bytes(s, s->m, s->n);
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

/* How a muon's scratch is divided; all parts on boundaries. */
typedef struct muon_room {
    fwi_muon_work work;
    fwi_newton_schulz products;
    void *scratch; /* of the products */
    size_t n_bytes;
} muon_room;

static fwi_cuda_libs *libs_of(const fwi_call *c)
{
    return c->stream == NULL ? NULL : ((const fwi_cuda_stream *)c->stream)->libs;
}

/* Without the products' own scratch: that is known once their plans are made. */
static muon_room room_of(const fwi_call *c)
{
    const fwi_muon_attr *a = &c->attr->muon;
    const fwi_shape *w = &c->in[0].shape;
    const int64_t rows = w->d[0], rest = fwi_shape_elems(w) / rows;
    const fw_dtype dtype = FW_F32;
    const int64_t m = rows < rest ? rows : rest, n = rows < rest ? rest : rows;
    muon_room r = {
        .work = {.rows = rows, .rest = rest, .m = m, .n = n, .dtype = dtype},
        .products = {.m = m,
                     .n = n,
                     .batch = 1,
                     .steps = a->steps,
                     .a = a->a,
                     .b = a->b,
                     .c = a->c,
                     .dtype = dtype},
    };
    char *at = c->scratch != NULL ? fwi_libs_aligned(c->scratch) : NULL;
    const size_t sums = fwi_libs_round(FWI_MUON_SUMS * sizeof(double));
    const size_t x = fwi_libs_round((size_t)(m * n) * fw_dtype_size(dtype));
    if (at != NULL) {
        r.work.sums = (double *)(void *)at;
        r.work.x = at + sums;
        r.scratch = at + sums + x;
    }
    r.n_bytes = sums + x;
    return r;
}

static bool accepts(const fwi_call *c)
{
    fwi_cuda_libs *l = libs_of(c);
    if (l == NULL || l->blas_handle == NULL || fwi_shape_elems(&c->in[0].shape) > INT32_MAX)
        return false;
    const muon_room r = room_of(c);
    return fwi_newton_schulz_prepare(l, &r.products);
}

static size_t scratch(const fwi_call *c)
{
    const muon_room r = room_of(c);
    return r.n_bytes + fwi_newton_schulz_scratch(libs_of(c), &r.products) + FWI_LIBS_ALIGN;
}

static fw_status run(const fwi_call *c)
{
    const fwi_cuda_libs *l = libs_of(c);
    muon_room r = room_of(c);
    fw_status st = l->side->muon_begin(c, &r.work);
    if (st == FW_OK)
        st = fwi_newton_schulz_run(l, &r.products, r.work.x, r.scratch, &r.work.x);
    return st == FW_OK ? l->side->muon_end(c, &r.work) : st;
}

const fwi_kernel fwi_rows_cublaslt_muon[] = {
    {FWI_OP_muon, FW_F32, run, scratch, accepts, "muon_f32_cublaslt", false, NULL}, {.run = NULL}};
