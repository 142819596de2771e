/* cudnn_rows.c: conv2d and its gradients as rows of a table, by cuDNN. They come before our own
 * kernels and take a call when cuDNN has an engine for it that we allow; the plan is made when a
 * row is asked whether it takes a call, which is while a plan of ours is made.
 *
 * Filters and their gradients are f32 in every graph. For images in bf16 or f16 the filter is
 * rounded into scratch first; a filter's gradient, which lies packed among others, goes by way of
 * scratch unless cuDNN may write it where it is. Where the plan has padded channels, so do images, with
 * zeros behind each place's channels; of a result the real channels are taken out. In f16 a gradient that
 * cuDNN rounds may become infinite; it stays so when it is widened, and the step is undone (guard.h).
 * Read before: cudnn_conv.h. */
#include "cuda_inner.h"
#include "cudnn_conv.h"

#include <assert.h>

/* The plan of a call that a row took. */
static const fwi_cudnn_plan *plan_of(const fwi_call *c)
{
    const fwi_cuda_libs *l = fwi_cuda_libs_of(c);
    fwi_dnn_key key;
    const bool known = l != NULL && fwi_dnn_key_of(c, l->tf32, &key);
    return known ? fwi_cudnn_plan_find(l, &key) : NULL;
}

/* The plan, made now if it is not there yet; NULL: cuDNN cannot. */
static const fwi_cudnn_plan *usable_plan(const fwi_call *c)
{
    fwi_cuda_libs *l = fwi_cuda_libs_of(c);
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

/* ---- operands ---- */

enum { X, W, Y, OPERANDS };

/* The three of a convolution; w: the type of filters or of their gradient. */
static void operands_of(const fwi_dnn_key *k, fw_dtype w, fwi_side_tensor out[OPERANDS])
{
    const fw_dtype images = (fw_dtype)k->dtype;
    out[X] = (fwi_side_tensor){NULL, images, (int64_t)k->n * k->h * k->w, 1, k->c};
    out[W] = (fwi_side_tensor){NULL, w, k->oc, (int64_t)k->kh * k->kw, k->c};
    out[Y] = (fwi_side_tensor){NULL, images, (int64_t)k->n * k->oh * k->ow, 1, k->oc};
}

/* As the call has them, and as cuDNN is asked for them. */
typedef struct operands {
    fwi_side_tensor mine[OPERANDS], its[OPERANDS];
    int result;
} operands;

static void operands_of_plan(const fwi_cudnn_plan *p, operands *o)
{
    static const int results[FWI_DNN_PASSES] = {
        [FWI_DNN_Y] = Y, [FWI_DNN_DX] = X, [FWI_DNN_DW] = W};
    o->result = results[p->key.pass];
    operands_of(&p->key, FW_F32, o->mine);
    operands_of(&p->asked, o->result == W ? p->dw : (fw_dtype)p->key.dtype, o->its);
}

static bool alike(const operands *o, int i)
{
    const fwi_side_tensor *const a = &o->mine[i], *const b = &o->its[i];
    return a->dtype == b->dtype && a->n == b->n && a->c == b->c;
}

/* Bytes of the operand's copy in scratch; 0: it is the graph's own. A gradient of filters lies anywhere, so
 * that it may need one whatever its type. */
static size_t staged_bytes(const operands *o, int i)
{
    const fwi_side_tensor *const t = &o->its[i];
    if (alike(o, i) && (i != W || o->result != W))
        return 0;
    return (size_t)(t->n * t->taps * t->c) * fw_dtype_size(t->dtype);
}

size_t fwi_cudnn_call_scratch(const fwi_cudnn_plan *p)
{
    operands o;
    size_t n_bytes = p->workspace;
    operands_of_plan(p, &o);
    for (int i = 0; i < OPERANDS; i++)
        n_bytes += fwi_libs_round(staged_bytes(&o, i));
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
    const fwi_arg *const args[FWI_DNN_PASSES][OPERANDS] = {
        [FWI_DNN_Y] = {&c->in[0], &c->in[1], &c->out[0]},
        [FWI_DNN_DX] = {&c->out[0], &c->in[1], &c->in[0]},
        [FWI_DNN_DW] = {&c->in[0], &c->out[0], &c->in[1]}};
    operands o;
    operands_of_plan(p, &o);
    char *at = fwi_libs_aligned(c->scratch);
    fw_status st = FW_OK;
    for (int i = 0; i < OPERANDS && st == FW_OK; i++) {
        fwi_side_tensor *const mine = &o.mine[i], *const its = &o.its[i];
        const size_t staged = staged_bytes(&o, i);
        mine->data = args[p->key.pass][i]->data;
        const bool here = alike(&o, i) && (uintptr_t)mine->data % FWI_CUDNN_ALIGN == 0;
        its->data = staged == 0 || here ? mine->data : at;
        at += fwi_libs_round(staged);
        if (its->data != mine->data && i != o.result)
            st = l->side->fit(c, its, mine);
    }
    if (st == FW_OK)
        st = fwi_cudnn_run(l, p, o.its[X].data, o.its[W].data, o.its[Y].data,
                           p->workspace > 0 ? at : NULL);
    if (st == FW_OK && o.its[o.result].data != o.mine[o.result].data)
        st = l->side->fit(c, &o.mine[o.result], &o.its[o.result]);
    return st;
}

static fw_status run(const fwi_call *c)
{
    const fwi_cudnn_plan *p = plan_of(c);
    assert(p != NULL && p->usable);
    const fw_status st = fwi_cuda_libs_of(c)->side->use(c);
    return st == FW_OK ? fwi_cudnn_call_run(fwi_cuda_libs_of(c), p, c) : st;
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
