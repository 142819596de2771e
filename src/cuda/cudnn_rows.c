/* cudnn_rows.c: conv2d and its gradients as rows of a table, by cuDNN. They come before our own
 * kernels and take a call when cuDNN has an engine for it that we allow; the plan is made when a
 * row is asked whether it takes a call, which is while a plan of ours is made.
 *
 * Filters and their gradients are f32 in every graph. For images in bf16 or f16 the filter is
 * rounded into scratch first; a filter's gradient, which lies packed among others, goes by way of
 * scratch unless cuDNN may write it where it is. In f16 a gradient that cuDNN rounds may become
 * infinite; it stays so when it is widened, and the step is undone (guard.h). Read before:
 * cudnn_conv.h. */
#include "cuda_inner.h"
#include "cudnn_conv.h"

#include <assert.h>

static fwi_cuda_libs *libs_of(const fwi_call *c)
{
    return c->stream == NULL ? NULL : ((const fwi_cuda_stream *)c->stream)->libs;
}

/* The plan of a call that a row took. */
static const fwi_cudnn_plan *plan_of(const fwi_call *c)
{
    const fwi_cuda_libs *l = libs_of(c);
    fwi_dnn_key key;
    const bool known = l != NULL && fwi_dnn_key_of(c, l->tf32, &key);
    return known ? fwi_cudnn_plan_find(l, &key) : NULL;
}

/* The plan, made now if it is not there yet; NULL: cuDNN cannot. */
static const fwi_cudnn_plan *usable_plan(const fwi_call *c)
{
    fwi_cuda_libs *l = libs_of(c);
    fwi_dnn_key key;
    if (l == NULL || l->dnn_handle == NULL || !fwi_dnn_key_of(c, l->tf32, &key))
        return NULL;
    const fwi_cudnn_plan *p = l->side->use(c) == FW_OK ? fwi_cudnn_plan_get(l, &key) : NULL;
    if (p == NULL)
        fwi_log(0, "%s: our own kernel is used", fw_last_error());
    return p != NULL && p->usable ? p : NULL;
}

static bool rounds(const fwi_cudnn_plan *p)
{
    return p->key.pass == FWI_DNN_DW && p->dw != FW_F32;
}

static bool accepts(const fwi_call *c)
{
    const fwi_cudnn_plan *p = usable_plan(c);
    return p != NULL && !rounds(p);
}

static bool accepts_rounded(const fwi_call *c)
{
    const fwi_cudnn_plan *p = usable_plan(c);
    return p != NULL && rounds(p);
}

static int64_t filter_elems(const fwi_dnn_key *k)
{
    return (int64_t)k->oc * k->kh * k->kw * k->c;
}

/* Bytes of the filter, or of its gradient, as cuDNN sees it; 0: it is the graph's own. */
static size_t staged_bytes(const fwi_cudnn_plan *p)
{
    const size_t n = (size_t)filter_elems(&p->key);
    if (p->key.pass == FWI_DNN_DW)
        return n * fw_dtype_size(p->dw);
    return p->key.dtype == FW_F32 ? 0 : n * fw_dtype_size((fw_dtype)p->key.dtype);
}

size_t fwi_cudnn_call_scratch(const fwi_cudnn_plan *p)
{
    const size_t n_bytes = fwi_libs_round(staged_bytes(p)) + p->workspace;
    return n_bytes > 0 ? n_bytes + FWI_LIBS_ALIGN : 0;
}

static size_t scratch(const fwi_call *c)
{
    const fwi_cudnn_plan *p = plan_of(c);
    assert(p != NULL && p->usable);
    return fwi_cudnn_call_scratch(p);
}

fw_status fwi_cudnn_call_run(const fwi_cuda_libs *l, const fwi_cudnn_plan *p, const fwi_call *c)
{
    const fwi_dnn_key *k = &p->key;
    const size_t staged = staged_bytes(p);
    char *const at = fwi_libs_aligned(c->scratch);
    void *const workspace = p->workspace > 0 ? at + fwi_libs_round(staged) : NULL;
    if (k->pass == FWI_DNN_DW) {
        float *const dw = c->out[0].data;
        const bool here = p->dw == FW_F32 && (uintptr_t)dw % FWI_CUDNN_ALIGN == 0;
        void *const to = here ? (void *)dw : at;
        const fw_status st = fwi_cudnn_run(l, p, c->in[0].data, to, c->in[1].data, workspace);
        return st != FW_OK || here ? st : l->side->widen(c, dw, to, p->dw, filter_elems(k));
    }
    void *w = c->in[1].data;
    if (staged > 0) {
        const fw_status st =
            l->side->narrow(c, at, (fw_dtype)k->dtype, c->in[1].data, filter_elems(k));
        if (st != FW_OK)
            return st;
        w = at;
    }
    if (k->pass == FWI_DNN_DX)
        return fwi_cudnn_run(l, p, c->out[0].data, w, c->in[0].data, workspace);
    return fwi_cudnn_run(l, p, c->in[0].data, w, c->out[0].data, workspace);
}

static fw_status run(const fwi_call *c)
{
    const fwi_cudnn_plan *p = plan_of(c);
    assert(p != NULL && p->usable);
    const fw_status st = libs_of(c)->side->use(c);
    return st == FW_OK ? fwi_cudnn_call_run(libs_of(c), p, c) : st;
}

#define ROW(op, type, text, accept, is_blocked)                                                    \
    {                                                                                              \
        FWI_OP_##op, type, run, scratch, accept, #op "_" text "_cudnn", is_blocked, NULL           \
    }
#define ROWS(op)                                                                                   \
    ROW(op, FW_F32, "f32", accepts, false), ROW(op, FW_F32, "f32_nhwc", accepts, true),            \
        ROW(op, FW_BF16, "bf16_nhwc", accepts, true), ROW(op, FW_F16, "f16_nhwc", accepts, true)

const fwi_kernel fwi_rows_cudnn[] = {ROWS(conv2d), ROWS(conv2d_dx), ROWS(conv2d_dw), {.run = NULL}};

/* Where cuDNN gives a filter's gradient in the images' type alone: a table of its own, which says so. */
const fwi_kernel fwi_rows_cudnn_rounded[] = {
    ROW(conv2d_dw, FW_BF16, "bf16_rounded", accepts_rounded, true),
    ROW(conv2d_dw, FW_F16, "f16_rounded", accepts_rounded, true),
    {.run = NULL}};
