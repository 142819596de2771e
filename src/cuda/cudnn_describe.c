/* cudnn_describe.c: see cudnn_describe.h. */
#include "cudnn_describe.h"

static cudnnDataType_t data_type(fw_dtype t)
{
    switch (t) {
    case FW_BF16:
        return CUDNN_DATA_BFLOAT16;
    case FW_F16:
        return CUDNN_DATA_HALF;
    default:
        return CUDNN_DATA_FLOAT;
    }
}

void fwi_dnn_note(fwi_dnn_maker *m, cudnnStatus_t status, const char *doing)
{
    if (m->status == CUDNN_STATUS_SUCCESS && status != CUDNN_STATUS_SUCCESS) {
        m->status = status;
        m->doing = doing;
    }
}

cudnnBackendDescriptor_t fwi_dnn_make(fwi_dnn_maker *m, cudnnBackendDescriptorType_t type,
                                      const char *doing)
{
    if (m->status != CUDNN_STATUS_SUCCESS)
        return NULL;
    cudnnBackendDescriptor_t d = NULL;
    if (m->plan->n_made == FWI_CUDNN_DESCRIPTORS) {
        fwi_dnn_note(m, CUDNN_STATUS_INTERNAL_ERROR, doing);
        return NULL;
    }
    fwi_dnn_note(m, m->api->cudnnBackendCreateDescriptor(type, &d), doing);
    if (m->status == CUDNN_STATUS_SUCCESS)
        m->plan->made[m->plan->n_made++] = d;
    return m->status == CUDNN_STATUS_SUCCESS ? d : NULL;
}

void fwi_dnn_set(fwi_dnn_maker *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                 cudnnBackendAttributeType_t type, int64_t n, const void *values, const char *doing)
{
    if (m->status == CUDNN_STATUS_SUCCESS)
        fwi_dnn_note(m, m->api->cudnnBackendSetAttribute(d, name, type, n, values), doing);
}

void fwi_dnn_finish(fwi_dnn_maker *m, cudnnBackendDescriptor_t d, const char *doing)
{
    if (m->status == CUDNN_STATUS_SUCCESS)
        fwi_dnn_note(m, m->api->cudnnBackendFinalize(d), doing);
}

/* Gives back what was made from number `keep` on, last first. */
void fwi_dnn_drop(const fwi_cudnn_api *api, fwi_cudnn_plan *p, int keep)
{
    while (p->n_made > keep)
        api->cudnnBackendDestroyDescriptor(p->made[--p->n_made]);
}

/* A tensor of n x h x w x c in memory; cuDNN wants the sizes as n c h w, and strides that say how
 * they lie. */
static cudnnBackendDescriptor_t tensor(fwi_dnn_maker *m, int64_t id, fw_dtype dtype, int64_t n,
                                       int64_t h, int64_t w, int64_t c)
{
    static const char doing[] = "describing a tensor";
    const cudnnDataType_t type = data_type(dtype);
    const int64_t sizes[4] = {n, c, h, w}, strides[4] = {h * w * c, 1, w * c, c};
    const int64_t align = FWI_CUDNN_ALIGN;
    cudnnBackendDescriptor_t d = fwi_dnn_make(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, sizes, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align, doing);
    fwi_dnn_finish(m, d, doing);
    return d;
}

static cudnnBackendDescriptor_t convolution(fwi_dnn_maker *m, const fwi_dnn_key *k)
{
    static const char doing[] = "describing a convolution";
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t n = 2, dilation[2] = {1, 1}, stride[2] = {k->stride, k->stride};
    const int64_t before[2] = {k->pad_t, k->pad_l}, after[2] = {k->pad_b, k->pad_r};
    cudnnBackendDescriptor_t d = fwi_dnn_make(m, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode,
                doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &n, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after, doing);
    fwi_dnn_finish(m, d, doing);
    return d;
}

/* The names of the same things in cuDNN's three operations. */
typedef struct operation_names {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t alpha, beta, conv, x, w, y;
} operation_names;
static const operation_names names[FWI_DNN_PASSES] = {
    [FWI_DNN_Y] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
    [FWI_DNN_DX] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
    [FWI_DNN_DW] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
};

/* The whole graph: one operation. dw: the type of a filter's gradient. */
cudnnBackendDescriptor_t fwi_dnn_graph(fwi_dnn_maker *m, cudnnHandle_t handle, const fwi_dnn_key *k,
                                       fw_dtype dw)
{
    static const char doing[] = "describing an operation";
    const operation_names *const a = &names[k->pass];
    const fw_dtype dtype = (fw_dtype)k->dtype;
    const float alpha = 1, beta = 0;
    cudnnBackendDescriptor_t x = tensor(m, FWI_DNN_ID_X, dtype, k->n, k->h, k->w, k->c);
    cudnnBackendDescriptor_t w =
        tensor(m, FWI_DNN_ID_W, k->pass == FWI_DNN_DW ? dw : dtype, k->oc, k->kh, k->kw, k->c);
    cudnnBackendDescriptor_t y = tensor(m, FWI_DNN_ID_Y, dtype, k->n, k->oh, k->ow, k->oc);
    cudnnBackendDescriptor_t conv = convolution(m, k);
    cudnnBackendDescriptor_t op = fwi_dnn_make(m, a->type, doing);
    fwi_dnn_set(m, op, a->conv, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &conv, doing);
    fwi_dnn_set(m, op, a->x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x, doing);
    fwi_dnn_set(m, op, a->w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w, doing);
    fwi_dnn_set(m, op, a->y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y, doing);
    fwi_dnn_set(m, op, a->alpha, CUDNN_TYPE_FLOAT, 1, &alpha, doing);
    fwi_dnn_set(m, op, a->beta, CUDNN_TYPE_FLOAT, 1, &beta, doing);
    fwi_dnn_finish(m, op, doing);
    cudnnBackendDescriptor_t g = fwi_dnn_make(m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, doing);
    fwi_dnn_set(m, g, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &op, doing);
    fwi_dnn_set(m, g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle, doing);
    fwi_dnn_finish(m, g, doing);
    return g;
}
