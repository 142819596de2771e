/* cudnn_describe.h: a convolution in cuDNN's words: tensors, convolution, operation, operation graph, in the
 * library's order. A sticky builder makes them: after the first call that fails the rest does nothing, and
 * what was made belongs to a plan, which gives it back. Read before: cudnn_conv.h. Read next:
 * cudnn_engines.c. */
#ifndef FWI_CUDNN_DESCRIBE_H
#define FWI_CUDNN_DESCRIBE_H

#include "cudnn_conv.h"

/* cuDNN's names for the three tensors. */
enum { FWI_DNN_ID_X = 1, FWI_DNN_ID_W = 2, FWI_DNN_ID_Y = 3 };

typedef struct fwi_dnn_maker {
    const fwi_cudnn_api *api;
    fwi_cudnn_plan *plan; /* gets what is made */
    cudnnStatus_t status; /* the first that is no success */
    const char *doing;    /* what failed */
} fwi_dnn_maker;

/* Notes what a call said; `doing` is for the message. */
void fwi_dnn_note(fwi_dnn_maker *m, cudnnStatus_t status, const char *doing);
/* NULL after a failure. */
cudnnBackendDescriptor_t fwi_dnn_make(fwi_dnn_maker *m, cudnnBackendDescriptorType_t type,
                                      const char *doing);
void fwi_dnn_set(fwi_dnn_maker *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                 cudnnBackendAttributeType_t type, int64_t n, const void *values,
                 const char *doing);
void fwi_dnn_finish(fwi_dnn_maker *m, cudnnBackendDescriptor_t d, const char *doing);
/* Gives back what was made from number `keep` on, last first. */
void fwi_dnn_drop(const fwi_cudnn_api *api, fwi_cudnn_plan *p, int keep);

/* The whole graph: one operation. dw: the type of a filter's gradient. */
cudnnBackendDescriptor_t fwi_dnn_graph(fwi_dnn_maker *m, cudnnHandle_t handle, const fwi_dnn_key *k,
                                       fw_dtype dw);

#endif
