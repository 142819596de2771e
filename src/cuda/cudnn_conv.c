/* cudnn_conv.c: plans of convolutions, by key, and running one. Read before: cudnn_conv.h,
 * cudnn_describe.h. */
#include "cudnn_describe.h"
#include "cudnn_engines.h"

#include <stdatomic.h>
#include <stdio.h>

const fwi_cudnn_plan *fwi_cudnn_plan_find(const fwi_cuda_libs *l, const fwi_dnn_key *key)
{
    const fwi_cudnn_plan *p = atomic_load_explicit(&l->dnn_plans, memory_order_acquire);
    while (p != NULL && !fwi_dnn_key_equal(&p->key, key))
        p = p->next;
    return p;
}

static void plan_free(const fwi_cuda_libs *l, fwi_cudnn_plan *p)
{
    fwi_dnn_drop(&l->dnn, p, 0);
    fwi_free(p);
}

/* The lock is held. */
static const fwi_cudnn_plan *make_plan(fwi_cuda_libs *l, const fwi_dnn_key *key)
{
    fwi_cudnn_plan *p = fwi_alloc_zero(sizeof *p);
    if (p == NULL)
        return NULL;
    p->key = *key;
    p->next = atomic_load_explicit(&l->dnn_plans, memory_order_relaxed);
    if (fwi_cudnn_build(l, p, NULL, NULL) != FW_OK) {
        plan_free(l, p);
        return NULL;
    }
    if (!p->usable) {
        char text[FWI_CONV_KEY_TEXT];
        fwi_log(1, "cuDNN: no engine for %s: %s", fwi_dnn_key_text(key, text), p->why);
    }
    atomic_store_explicit(&l->dnn_plans, p, memory_order_release);
    return p;
}

const fwi_cudnn_plan *fwi_cudnn_plan_get(fwi_cuda_libs *l, const fwi_dnn_key *key)
{
    const fwi_cudnn_plan *found = fwi_cudnn_plan_find(l, key);
    if (found != NULL)
        return found;
    pthread_mutex_lock(&l->lock);
    found = fwi_cudnn_plan_find(l, key); /* another thread may have been faster */
    if (found == NULL)
        found = make_plan(l, key);
    pthread_mutex_unlock(&l->lock);
    return found;
}

const fwi_cudnn_plan *fwi_cudnn_plan_renew(fwi_cuda_libs *l, const fwi_dnn_key *key)
{
    pthread_mutex_lock(&l->lock);
    const fwi_cudnn_plan *const p = make_plan(l, key);
    pthread_mutex_unlock(&l->lock);
    return p;
}

void fwi_cudnn_plans_free(fwi_cuda_libs *l)
{
    fwi_cudnn_plan *p = atomic_load_explicit(&l->dnn_plans, memory_order_acquire);
    atomic_store_explicit(&l->dnn_plans, NULL, memory_order_release);
    while (p != NULL) {
        fwi_cudnn_plan *const next = p->next;
        plan_free(l, p);
        p = next;
    }
}

fw_status fwi_cudnn_candidates(fwi_cuda_libs *l, const fwi_dnn_key *key, fwi_cudnn_each each,
                               void *user)
{
    fwi_cudnn_plan *p = fwi_alloc_zero(sizeof *p);
    if (p == NULL)
        return FW_ENOMEM;
    p->key = *key;
    pthread_mutex_lock(&l->lock);
    const fw_status st = fwi_cudnn_build(l, p, each, user);
    pthread_mutex_unlock(&l->lock);
    plan_free(l, p);
    return st;
}

fw_status fwi_cudnn_run(const fwi_cuda_libs *l, const fwi_cudnn_plan *p, void *x, void *w, void *y,
                        void *workspace)
{
    static const char doing[] = "running a convolution";
    const int64_t ids[3] = {FWI_DNN_ID_X, FWI_DNN_ID_W, FWI_DNN_ID_Y};
    void *const data[3] = {x, w, y};
    for (int i = 0; i < 3; i++) {
        if ((uintptr_t)data[i] % FWI_CUDNN_ALIGN != 0) {
            char text[FWI_CONV_KEY_TEXT];
            return fwi_fail(FW_EINTERNAL, "%s: operand %d is at %p, not on a boundary of %d bytes",
                            fwi_dnn_key_text(&p->key, text), i, data[i], (int)FWI_CUDNN_ALIGN);
        }
    }
    fwi_cudnn_plan pack = {.n_made = 0}; /* one descriptor, gone at the end */
    fwi_dnn_maker m = {&l->dnn, &pack, CUDNN_STATUS_SUCCESS, NULL};
    cudnnBackendDescriptor_t d = fwi_dnn_make(&m, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, doing);
    fwi_dnn_set(&m, d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, ids, doing);
    fwi_dnn_set(&m, d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, data, doing);
    fwi_dnn_set(&m, d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace,
                doing);
    fwi_dnn_finish(&m, d, doing);
    if (m.status == CUDNN_STATUS_SUCCESS)
        fwi_dnn_note(&m, l->dnn.cudnnBackendExecute(l->dnn_handle, p->plan, d), doing);
    fwi_dnn_drop(&l->dnn, &pack, 0);
    if (m.status == CUDNN_STATUS_SUCCESS)
        return FW_OK;
    char text[FWI_CONV_KEY_TEXT];
    return fwi_cudnn_fail(l, m.status, fwi_dnn_key_text(&p->key, text));
}
