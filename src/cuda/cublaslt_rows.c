/* cublaslt_rows.c: matmul as rows of a table, by cuBLASLt. Operands may lie anywhere where their
 * elements may (a head's gradient is packed among others), so algorithms are asked for that need no
 * more. Read before: cublaslt_matmul.h. */
#include "cublaslt_matmul.h"
#include "cuda_inner.h"

#include <assert.h>

static fwi_matmul_key key_of(const fwi_call *c)
{
    const fwi_matmul_attr *a = &c->attr->matmul;
    return (fwi_matmul_key){
        .m = c->out[0].shape.d[0],
        .n = c->out[0].shape.d[1],
        .k = c->in[0].shape.d[a->ta ? 0 : 1],
        .batch = 1,
        .ta = a->ta != 0,
        .tb = a->tb != 0,
        .dtype = FW_F32,
        .tf32 = fwi_cuda_libs_of(c)->tf32,
        .align = sizeof(float),
        .adds = 0,
    };
}

static bool accepts(const fwi_call *c)
{
    fwi_cuda_libs *l = fwi_cuda_libs_of(c);
    if (l == NULL || l->blas_handle == NULL)
        return false;
    const fwi_matmul_key key = key_of(c);
    const fwi_cublaslt_plan *p = l->side->use(c) == FW_OK ? fwi_cublaslt_plan_get(l, &key) : NULL;
    if (p == NULL)
        fwi_log(0, "%s: our own kernel is used", fw_last_error());
    return p != NULL && p->usable;
}

static size_t scratch(const fwi_call *c)
{
    const fwi_matmul_key key = key_of(c);
    const fwi_cublaslt_plan *p = fwi_cublaslt_plan_find(fwi_cuda_libs_of(c), &key);
    assert(p != NULL && p->usable);
    return p->workspace > 0 ? p->workspace + FWI_LIBS_ALIGN : 0;
}

static fw_status run(const fwi_call *c)
{
    const fwi_matmul_key key = key_of(c);
    const fwi_cublaslt_plan *p = fwi_cublaslt_plan_find(fwi_cuda_libs_of(c), &key);
    assert(p != NULL && p->usable);
    const fw_status st = fwi_cuda_libs_of(c)->side->use(c);
    if (st != FW_OK)
        return st;
    return fwi_cublaslt_run(fwi_cuda_libs_of(c), p, 1, c->in[0].data, c->in[1].data, 0, NULL,
                            c->out[0].data, p->workspace > 0 ? fwi_libs_aligned(c->scratch) : NULL);
}

const fwi_kernel fwi_rows_cublaslt[] = {
    {FWI_OP_matmul, FW_F32, run, scratch, accepts, "matmul_f32_cublaslt", false, NULL},
    {.run = NULL}};
