/* cudnn_conv.h: convolutions by cuDNN's graph interface, from C. A plan is everything that cuDNN
 * wants to know of one convolution, made once per device and key while a plan of ours is made, and
 * only looked up when it runs.
 *
 * Which engine: the measured choice where there is one for this key, else the first that cuDNN's
 * heuristic names among those that we allow (fwi_cudnn_refuses), for the convolution as it stands or
 * else for one whose channels are padded. Read before: cuda_libs.h, conv_key.h. Read next:
 * cudnn_describe.h, cudnn_rows.c. */
#ifndef FWI_CUDNN_CONV_H
#define FWI_CUDNN_CONV_H

#include "cuda_libs.h"

enum { FWI_CUDNN_DESCRIPTORS = 64 };

struct fwi_cudnn_plan {
    fwi_cudnn_plan *next;
    fwi_dnn_key key;
    fwi_dnn_key asked; /* as cuDNN is asked for it: the key, or with its channels padded by zeros */
    int32_t pad;       /* to multiples of this; 0: as they are */
    bool usable;       /* false: cuDNN has no engine for it that we allow; `why` says so */
    fw_dtype dw;       /* pass dw: the type in which cuDNN gives the filter's gradient */
    size_t workspace;  /* bytes */
    fwi_dnn_choice engine; /* what is in use */
    bool measured;         /* by a stored choice, not by the heuristic */
    char why[256];
    cudnnBackendDescriptor_t plan;
    /* Everything that the plan is made of: cuDNN may look at it as long as the plan lives. */
    cudnnBackendDescriptor_t made[FWI_CUDNN_DESCRIPTORS];
    int n_made;
};

/* The plan for a key, made now if it is not there yet. NULL with a message only for failures that
 * are none of cuDNN's refusals: no memory, a broken library. A key that cuDNN has no allowed engine
 * for gives a plan that is not usable. */
const fwi_cudnn_plan *fwi_cudnn_plan_get(fwi_cuda_libs *l, const fwi_dnn_key *key);
/* The plan if it is there; NULL otherwise. Makes nothing. */
const fwi_cudnn_plan *fwi_cudnn_plan_find(const fwi_cuda_libs *l, const fwi_dnn_key *key);
void fwi_cudnn_plans_free(fwi_cuda_libs *l);

/* Makes the plan of a key anew, with the choices as they are now; later calls find this one. For
 * measuring: what was made before stays until the device is closed. NULL as above. */
const fwi_cudnn_plan *fwi_cudnn_plan_renew(fwi_cuda_libs *l, const fwi_dnn_key *key);

/* Enqueues it. x, w, y, of the sizes that are asked for: device memory on 16-byte boundaries; the one that
 * the pass computes is written. workspace: plan->workspace bytes on a boundary of FWI_LIBS_ALIGN, NULL
 * where that is 0. */
fw_status fwi_cudnn_run(const fwi_cuda_libs *l, const fwi_cudnn_plan *p, void *x, void *w, void *y,
                        void *workspace);

/* Every engine that we allow for a key and that cuDNN can make a plan of, best first as cuDNN
 * thinks, each given to `each` with a plan that can be run until it returns. For measuring; ends
 * with the first status that is not FW_OK. */
typedef fw_status (*fwi_cudnn_each)(void *user, const fwi_cudnn_plan *p);
fw_status fwi_cudnn_candidates(fwi_cuda_libs *l, const fwi_dnn_key *key, fwi_cudnn_each each,
                               void *user);

/* A row's call by this plan, with the rounding and widening that it needs, and the scratch for that
 * (cudnn_rows.c). */
size_t fwi_cudnn_call_scratch(const fwi_cudnn_plan *p);
fw_status fwi_cudnn_call_run(const fwi_cuda_libs *l, const fwi_cudnn_plan *p, const fwi_call *c);

/* Why an engine with these notes is not used for a key; NULL: it is allowed. Refused are engines
 * whose result may differ from run to run, that are compiled when the program runs, that add in
 * less than f32, that go by way of a transform (Winograd, FFT: the bounds of direct kernels do not
 * hold for them), and for plain f32 those that round operands. */
const char *fwi_cudnn_refuses(const fwi_dnn_key *key, const cudnnBackendNumericalNote_t *notes,
                              int64_t n_notes, const cudnnBackendBehaviorNote_t *behavior,
                              int64_t n_behavior);

enum { FWI_CUDNN_ALIGN = 16 }; /* of images and filters */

#endif
