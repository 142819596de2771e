/* libs_probe.c: see libs_probe.h. Tuning: engines are shown one after the other with plans that can be
 * run; the best is noted; keeping it makes the convolution's plan anew and writes the file. What the file
 * held before stays in it. */
#include "libs_probe.h"

#include "cublaslt_matmul.h"
#include "cudnn_conv.h"
#include "own_conv.h"

#include <stdio.h>
#include <string.h>

/* ---- products ---- */

fw_dtype fwi_libs_load_dtype(const fwi_load *load)
{
    return load->kind == FWI_LOAD_BF16 ? FW_BF16 : load->kind == FWI_LOAD_F16 ? FW_F16 : FW_F32;
}

/* n x n, all of them; operands on whatever boundary a library can wish for. */
static fwi_matmul_key key_of(const fwi_load *load)
{
    return (fwi_matmul_key){.m = load->size,
                            .n = load->size,
                            .k = load->size,
                            .batch = 1,
                            .dtype = (int32_t)fwi_libs_load_dtype(load),
                            .tf32 = load->kind == FWI_LOAD_TF32,
                            .align = FWI_LIBS_ALIGN};
}

static size_t matrix_bytes(const fwi_load *load)
{
    return fwi_libs_round((size_t)load->size * (size_t)load->size *
                          fw_dtype_size(fwi_libs_load_dtype(load)));
}

fw_status fwi_libs_load_plan(fwi_cuda_libs *l, fwi_load *load)
{
    if (l == NULL || l->blas_handle == NULL)
        return fwi_fail(FW_EUNAVAILABLE, "products on tensor cores are cuBLASLt's: %s",
                        l != NULL && l->no_blas != NULL ? l->no_blas : "it is not there");
    const fwi_matmul_key key = key_of(load);
    const fwi_cublaslt_plan *const p = fwi_cublaslt_plan_get(l, &key);
    if (p == NULL)
        return FW_EINTERNAL; /* the message is set */
    if (!p->usable)
        return fwi_fail(FW_EUNAVAILABLE, "cuBLASLt has no product of this size: %s", p->why);
    load->bytes = 3 * matrix_bytes(load) + p->workspace;
    load->work = 2.0 * (double)load->size * (double)load->size * (double)load->size;
    return FW_OK;
}

fw_status fwi_libs_load_run(fwi_cuda_libs *l, const fwi_load *load)
{
    const fwi_matmul_key key = key_of(load);
    const fwi_cublaslt_plan *const p = fwi_cublaslt_plan_find(l, &key);
    if (p == NULL || !p->usable)
        return fwi_fail(FW_EINTERNAL, "a load is run that was not planned");
    const size_t n = matrix_bytes(load);
    char *const at = load->memory;
    return fwi_cublaslt_run(l, p, 1, at, at + n, 0, NULL, at + 2 * n,
                            p->workspace > 0 ? at + 3 * n : NULL);
}

/* ---- engines ---- */

static void text_of(const fwi_dnn_choice *c, const char *how, char *text, size_t cap)
{
    size_t n = (size_t)snprintf(text, cap, "engine %lld", (long long)c->engine);
    for (int i = 0; i < c->n_knobs && n < cap; i++)
        n += (size_t)snprintf(text + n, cap - n, "%s%d=%lld", i == 0 ? ", knobs " : " ",
                              (int)c->knobs[i].type, (long long)c->knobs[i].value);
    if (c->key.pass == FWI_DNN_DW && n < cap)
        n += (size_t)snprintf(text + n, cap - n, ", in %s", fw_dtype_name((fw_dtype)c->dw));
    if (c->pad > 0 && n < cap)
        n += (size_t)snprintf(text + n, cap - n, ", channels padded to %d", (int)c->pad);
    if (how != NULL && n < cap)
        snprintf(text + n, cap - n, ", %s", how);
}

/* Of one of our own engines. */
static bool own_text(const fwi_call *c, const fwi_kernel *k, char *text, size_t cap)
{
    const char *const engine = fwi_own_conv_engine_of(k);
    if (engine == NULL)
        return false;
    snprintf(text, cap, "%s%s", engine, fwi_own_conv_chosen(c, engine) ? ", chosen" : "");
    return true;
}

void fwi_libs_row_text(const fwi_cuda_libs *l, const fwi_call *c, const fwi_kernel *k, char *text,
                       size_t cap)
{
    fwi_dnn_key key;
    text[0] = 0;
    if (l != NULL && fwi_op_is_conv(c->kind) && own_text(c, k, text, cap))
        return;
    if (l == NULL || l->dnn_handle == NULL || strstr(k->name, "_cudnn") == NULL ||
        !fwi_dnn_key_of(c, l->tf32, &key))
        return;
    const fwi_cudnn_plan *const p = fwi_cudnn_plan_find(l, &key);
    if (p != NULL && p->usable)
        text_of(&p->engine, p->measured ? "measured" : "the heuristic's", text, cap);
}

typedef struct showing {
    fwi_engine_fn each;
    void *user;
} showing;

/* What is shown: a plan of cuDNN's, or one of ours for a key. */
typedef struct shown {
    const fwi_cudnn_plan *plan;
    const fwi_own_conv *own;
    fwi_dnn_key key;
} shown;

static fw_status show(void *user, const fwi_cudnn_plan *p)
{
    const showing *const s = user;
    char text[512];
    text_of(&p->engine, NULL, text, sizeof text);
    const fwi_engine e = {.text = text,
                          .scratch = fwi_cudnn_call_scratch(p),
                          .keepable = p->engine.engine >= 0 && p->engine.n_knobs >= 0,
                          .handle = &(shown){.plan = p, .key = p->key}};
    return s->each(s->user, &e);
}

/* Ours, after cuDNN's (own_conv.h). */
static fw_status show_own(const fwi_call *c, const fwi_dnn_key *key, const showing *s)
{
    fwi_own_conv own[FWI_OWN_CONVS];
    const int n = fwi_own_conv_candidates(c, own);
    fwi_call shapes = *c; /* as scratch is asked for: without data */
    shapes.in[0].data = shapes.in[1].data = shapes.out[0].data = NULL;
    fw_status st = FW_OK;
    for (int i = 0; i < n && st == FW_OK; i++) {
        const fwi_kernel *const k = own[i].kernel;
        const fwi_engine e = {.text = own[i].name,
                              .scratch = k->scratch != NULL ? k->scratch(&shapes) : 0,
                              .keepable = true,
                              .handle = &(shown){.own = &own[i], .key = *key}};
        st = s->each(s->user, &e);
    }
    return st;
}

fw_status fwi_libs_engines(fwi_cuda_libs *l, const fwi_call *c, fwi_engine_fn each, void *user)
{
    fwi_dnn_key key;
    showing s = {each, user};
    if (l == NULL || l->dnn_handle == NULL)
        return fwi_fail(FW_EUNAVAILABLE, "engines are cuDNN's: %s",
                        l != NULL && l->no_dnn != NULL ? l->no_dnn : "it is not there");
    if (!fwi_dnn_key_of(c, l->tf32, &key))
        return fwi_fail(FW_EUNAVAILABLE, "cuDNN is not used for %s of %s",
                        fwi_op_info_get(c->kind)->name, fw_dtype_name(c->in[0].dtype));
    const fw_status st = fwi_cudnn_candidates(l, &key, show, &s);
    return st == FW_OK ? show_own(c, &key, &s) : st;
}

fw_status fwi_libs_engine_run(const fwi_cuda_libs *l, const fwi_engine *e, const fwi_call *c)
{
    const shown *const x = e->handle;
    return x->own != NULL ? x->own->kernel->run(c) : fwi_cudnn_call_run(l, x->plan, c);
}

fw_status fwi_libs_engine_take(fwi_cuda_libs *l, const fwi_engine *e, double seconds)
{
    const shown *const x = e->handle;
    if (!e->keepable)
        return fwi_fail(FW_EUNAVAILABLE, "cuDNN does not say how this engine was made");
    l->noted = x->own != NULL ? (fwi_dnn_choice){.key = x->key, .dw = FW_F32} : x->plan->engine;
    if (x->own != NULL)
        snprintf(l->noted.own, sizeof l->noted.own, "%s", x->own->name);
    l->noted.seconds = seconds;
    l->has_note = true;
    return FW_OK;
}

void fwi_libs_engines_forget(fwi_cuda_libs *l)
{
    l->has_note = false;
}

fw_status fwi_libs_engines_keep(fwi_cuda_libs *l, char *path, size_t cap)
{
    if (l == NULL || l->dnn_handle == NULL)
        return fwi_fail(FW_EUNAVAILABLE, "engines are cuDNN's, which is not there");
    fw_status st =
        fwi_dnn_choices_add(l->sm, (int64_t)l->dnn_version, l->has_note ? &l->noted : NULL);
    if (st == FW_OK && l->has_note) {
        st = fwi_dnn_choices_put(&l->choices, &l->noted);
        if (st == FW_OK && l->noted.own[0] == 0 && fwi_cudnn_plan_renew(l, &l->noted.key) == NULL)
            st = FW_EINTERNAL; /* the message is set */
        l->has_note = false;
    }
    char *const at = st == FW_OK ? fwi_dnn_choices_path(l->sm) : NULL;
    snprintf(path, cap, "%s", at != NULL ? at : "");
    fwi_free(at);
    return st;
}
