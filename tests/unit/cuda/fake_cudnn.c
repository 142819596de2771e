/* fake_cudnn.c: a small stand-in for libcudnn.so.9, for machines without a GPU. It holds its callers
 * to the rules of the graph interface (what is referred to is finished, what is finished does not
 * change, types and counts are those of the attribute), and "runs" a plan by computing the
 * convolution on the host from sizes, strides and paddings as described. A test decides which
 * engines there are and which call fails. Built as a shared library of its own. */
#include "fake_cudnn.h"
#include "fake_half.h"

#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))

enum { MAX_ATTRS = 12, MAX_BYTES = 40 * 8 };

typedef struct attr {
    int name, type;
    int64_t n;
    unsigned char bytes[MAX_BYTES];
} attr;

typedef struct descriptor {
    int type;
    bool finished;
    int64_t engine; /* engines and configurations from a heuristic */
    int n_attrs;
    attr attrs[MAX_ATTRS];
} descriptor;

API fake_cudnn_state fake_cudnn;

static cudnnStatus_t step(fake_cudnn_call call)
{
    const int i = ++fake_cudnn.calls[call];
    if (fake_cudnn.fail_call == call && fake_cudnn.fail_at == i)
        return fake_cudnn.fail_status;
    return CUDNN_STATUS_SUCCESS;
}

static attr *find(descriptor *d, int name)
{
    for (int i = 0; i < d->n_attrs; i++) {
        if (d->attrs[i].name == name)
            return &d->attrs[i];
    }
    return NULL;
}

/* An attribute's value; zeros where it was not set. */
static void read_attr(descriptor *d, int name, void *out, size_t n_bytes)
{
    const attr *a = find(d, name);
    memset(out, 0, n_bytes);
    if (a != NULL)
        memcpy(out, a->bytes, n_bytes);
}

static size_t size_of(int type)
{
    switch (type) {
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

/* Which type and how many values an attribute has; n -1: any number. */
static bool fits(int name, int type, int64_t n)
{
    static const struct {
        int name, type;
        int64_t n;
    } rules[] = {
        {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1},
        {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4},
        {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4},
        {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1},
        {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1},
        {CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1},
        {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1},
        {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1},
        {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2},
        {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2},
        {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2},
        {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_TYPE_FLOAT, 1},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_TYPE_FLOAT, 1},
        {CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1},
        {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
        {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1},
        {CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1},
        {CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1},
        {CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1},
        {CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, -1},
        {CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1},
        {CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3},
        {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3},
        {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].name == name)
            return rules[i].type == type && (rules[i].n < 0 || rules[i].n == n);
    }
    return type == CUDNN_TYPE_BACKEND_DESCRIPTOR && n == 1; /* all the others refer to something */
}

API size_t cudnnGetVersion(void)
{
    return fake_cudnn.version != 0 ? fake_cudnn.version : 91900;
}

API const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS               ? "success"
           : CUDNN_STATUS_CATEGORY((int)status) == 3000 ? "not supported"
           : CUDNN_STATUS_CATEGORY((int)status) == 2000 ? "bad parameter"
                                                        : "internal error";
}

API void cudnnGetLastErrorString(char *message, size_t max_size)
{
    if (max_size > 0)
        strncpy(message, fake_cudnn.last_error, max_size - 1);
}

API cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    const cudnnStatus_t st = step(FAKE_HANDLE);
    if (st == CUDNN_STATUS_SUCCESS) {
        *handle = malloc(1);
        fake_cudnn.handles++;
    }
    return st;
}

API cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    free(handle);
    fake_cudnn.handles--;
    return CUDNN_STATUS_SUCCESS;
}

API cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    fake_cudnn.stream = stream;
    return handle != NULL ? step(FAKE_STREAM) : CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
}

API cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                               cudnnBackendDescriptor_t *out)
{
    const cudnnStatus_t st = step(FAKE_CREATE);
    if (st != CUDNN_STATUS_SUCCESS)
        return st;
    descriptor *d = calloc(1, sizeof *d);
    d->type = (int)type;
    d->engine = -1;
    fake_cudnn.live++;
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}

API cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    if (d == NULL)
        return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    fake_cudnn.live--;
    free(d);
    return CUDNN_STATUS_SUCCESS;
}

API cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor_,
                                           cudnnBackendAttributeName_t name,
                                           cudnnBackendAttributeType_t type, int64_t n,
                                           const void *values)
{
    const cudnnStatus_t st = step(FAKE_SET);
    if (st != CUDNN_STATUS_SUCCESS)
        return st;
    descriptor *d = descriptor_;
    if (d == NULL || values == NULL)
        return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (d->finished)
        return CUDNN_STATUS_BAD_PARAM;
    const size_t n_bytes = (size_t)n * size_of((int)type);
    if (!fits((int)name, (int)type, n) || n_bytes > MAX_BYTES || d->n_attrs == MAX_ATTRS)
        return CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE;
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        for (int64_t i = 0; i < n; i++) {
            const descriptor *other = ((descriptor *const *)values)[i];
            if (other == NULL || !other->finished)
                return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
        }
    }
    attr *a = find(d, (int)name);
    if (a == NULL)
        a = &d->attrs[d->n_attrs++];
    a->name = (int)name;
    a->type = (int)type;
    a->n = n;
    memcpy(a->bytes, values, n_bytes);
    return CUDNN_STATUS_SUCCESS;
}

static descriptor *refers(descriptor *d, int name)
{
    attr *a = d != NULL ? find(d, name) : NULL;
    descriptor *other = NULL;
    if (a != NULL)
        memcpy(&other, a->bytes, sizeof other);
    return other;
}

static const fake_engine *engine_of(int64_t index)
{
    for (int i = 0; i < FAKE_ENGINES; i++) {
        if (fake_cudnn.engines[i].there && fake_cudnn.engines[i].index == index)
            return &fake_cudnn.engines[i];
    }
    return NULL;
}

/* The operation that a plan, an engine or a heuristic is about. */
static descriptor *operation_of(descriptor *graph)
{
    return refers(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
}

/* Does a graph give a filter's gradient in f32? */
static bool gives_f32_dw(descriptor *graph)
{
    descriptor *dw = refers(operation_of(graph), CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW);
    int type = -1;
    if (dw != NULL)
        read_attr(dw, CUDNN_ATTR_TENSOR_DATA_TYPE, &type, sizeof type);
    return type == CUDNN_DATA_FLOAT;
}

static const int operands[3][4] = {/* of the operations in their order: the convolution, x, w, y */
                                   {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
                                   {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
                                   {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY}};

/* Which operation it is. */
static int kind_of(const descriptor *op)
{
    return op->type - CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
}

/* The graph of a configuration, from the heuristic or of the caller's making. */
static descriptor *graph_of(descriptor *config)
{
    descriptor *graph = refers(config, CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
    return graph != NULL ? graph
                         : refers(refers(config, CUDNN_ATTR_ENGINECFG_ENGINE),
                                  CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
}

static bool takes_channels(const fake_engine *e, descriptor *graph)
{
    descriptor *op = operation_of(graph);
    for (int i = 1; i < 4; i += 2) {
        int64_t sizes[4];
        read_attr(refers(op, operands[kind_of(op)][i]), CUDNN_ATTR_TENSOR_DIMENSIONS, sizes,
                  sizeof sizes);
        if (e->channels != 0 && sizes[1] % e->channels != 0)
            return false;
    }
    return true;
}

API cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor_)
{
    const cudnnStatus_t st = step(FAKE_FINALIZE);
    descriptor *d = descriptor_;
    if (st != CUDNN_STATUS_SUCCESS)
        return st;
    if (d == NULL || d->finished)
        return CUDNN_STATUS_BAD_PARAM;
    if (d->type == fake_cudnn.refused_type)
        return CUDNN_STATUS_NOT_SUPPORTED;
    if (d->type == CUDNN_BACKEND_ENGINE_DESCRIPTOR) {
        read_attr(d, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, &d->engine, sizeof d->engine);
        if (engine_of(d->engine) == NULL)
            return CUDNN_STATUS_NOT_SUPPORTED;
    }
    if (d->type == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
        d->engine = refers(d, CUDNN_ATTR_ENGINECFG_ENGINE)->engine;
    if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        descriptor *config = refers(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
        if (config == NULL || engine_of(config->engine) == NULL ||
            engine_of(config->engine)->unsupported ||
            !takes_channels(engine_of(config->engine), graph_of(config)))
            return CUDNN_STATUS_NOT_SUPPORTED_SHAPE;
        d->engine = config->engine;
        fake_cudnn.plans++;
    }
    d->finished = true;
    return CUDNN_STATUS_SUCCESS;
}

/* Makes room for what the library hands out: a finished descriptor of an engine. */
static void hand_out(descriptor *d, int64_t engine, descriptor *graph)
{
    d->engine = engine;
    d->finished = true;
    if (graph != NULL && find(d, CUDNN_ATTR_ENGINE_OPERATION_GRAPH) == NULL) {
        attr *a = &d->attrs[d->n_attrs++];
        *a = (attr){.name = CUDNN_ATTR_ENGINE_OPERATION_GRAPH, .n = 1};
        memcpy(a->bytes, &graph, sizeof graph);
    }
}

static cudnnStatus_t heuristic_results(descriptor *d, int64_t n, int64_t *count, void **out)
{
    descriptor *graph = refers(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    int mode = 0;
    read_attr(d, CUDNN_ATTR_ENGINEHEUR_MODE, &mode, sizeof mode);
    int64_t found = 0;
    for (int i = 0; i < FAKE_ENGINES; i++) {
        const fake_engine *e = &fake_cudnn.engines[i];
        if (!e->there || e->fallback != (mode == CUDNN_HEUR_MODE_FALLBACK))
            continue;
        if ((e->no_f32_dw && gives_f32_dw(graph)) || !takes_channels(e, graph))
            continue;
        if (out != NULL && found < n)
            hand_out(out[found], e->index, graph);
        found++;
    }
    *count = found;
    return CUDNN_STATUS_SUCCESS;
}

API cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor_,
                                           cudnnBackendAttributeName_t name,
                                           cudnnBackendAttributeType_t type, int64_t n,
                                           int64_t *count, void *out)
{
    const cudnnStatus_t st = step(FAKE_GET);
    if (st != CUDNN_STATUS_SUCCESS)
        return st;
    (void)type;
    descriptor *d = descriptor_;
    const fake_engine *e = engine_of(d->engine);
    switch ((int)name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        return heuristic_results(d, n, count, out);
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        hand_out(*(descriptor **)out, d->engine, refers(d, CUDNN_ATTR_ENGINE_OPERATION_GRAPH));
        *count = 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
        memcpy(out, &d->engine, sizeof d->engine);
        *count = 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        *count = e->n_notes;
        memcpy(out, e->notes, (size_t)(e->n_notes < n ? e->n_notes : n) * sizeof *e->notes);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
        *count = e->n_behavior;
        memcpy(out, e->behavior, (size_t)e->n_behavior * sizeof *e->behavior);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES: /* each engine has its number of knobs */
        *count = e->n_knobs;
        for (int64_t i = 0; i < e->n_knobs && i < n; i++) {
            descriptor *knob = ((descriptor **)out)[i];
            knob->engine = 1000 * e->index + i;
            knob->finished = true;
        }
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE:
        *(int *)out = (int)(d->engine % 1000) + 1;
        *count = 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE:
        *(int64_t *)out = d->engine;
        *count = 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        *(int64_t *)out = e->workspace;
        *count = 1;
        return CUDNN_STATUS_SUCCESS;
    default:
        return CUDNN_STATUS_BAD_PARAM;
    }
}

/* ---- computing it ---- */

typedef struct tensor {
    int type;
    int64_t size[4], stride[4]; /* n c h w */
    int64_t align;              /* bytes, as promised */
    char *data;
} tensor;

static float load(const tensor *t, int64_t i)
{
    if (t->type == CUDNN_DATA_FLOAT)
        return ((const float *)t->data)[i];
    if (t->type == CUDNN_DATA_HALF)
        return half_value(((const uint16_t *)t->data)[i]);
    return bf16_value(((const uint16_t *)t->data)[i]);
}

static void store(const tensor *t, int64_t i, double v)
{
    const float f = (float)v;
    if (t->type == CUDNN_DATA_FLOAT) {
        ((float *)t->data)[i] = f;
        return;
    }
    if (t->type == CUDNN_DATA_HALF) {
        ((uint16_t *)t->data)[i] = half_bits(f);
        return;
    }
    ((uint16_t *)t->data)[i] = bf16_bits(f);
}

static int64_t place(const tensor *t, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return a * t->stride[0] + b * t->stride[1] + c * t->stride[2] + d * t->stride[3];
}

/* Adds every product of the convolution to a sum of the tensor that is computed. */
static void compute(const tensor *x, const tensor *w, const tensor *y, const tensor *result,
                    const int64_t *stride, const int64_t *pad, double by)
{
    const int64_t *s = result->size;
    double *sum = calloc((size_t)(s[0] * s[1] * s[2] * s[3]), sizeof *sum);
    for (int64_t n = 0; n < y->size[0]; n++)
        for (int64_t o = 0; o < y->size[1]; o++)
            for (int64_t oh = 0; oh < y->size[2]; oh++)
                for (int64_t ow = 0; ow < y->size[3]; ow++)
                    for (int64_t c = 0; c < x->size[1]; c++)
                        for (int64_t kh = 0; kh < w->size[2]; kh++)
                            for (int64_t kw = 0; kw < w->size[3]; kw++) {
                                const int64_t ih = oh * stride[0] + kh - pad[0];
                                const int64_t iw = ow * stride[1] + kw - pad[1];
                                if (ih < 0 || ih >= x->size[2] || iw < 0 || iw >= x->size[3])
                                    continue;
                                const int64_t xi = place(x, n, c, ih, iw);
                                const int64_t wi = place(w, o, c, kh, kw);
                                const int64_t yi = place(y, n, o, oh, ow);
                                if (result == y)
                                    sum[yi] += (double)load(x, xi) * (double)load(w, wi);
                                else if (result == x)
                                    sum[xi] += (double)load(y, yi) * (double)load(w, wi);
                                else
                                    sum[wi] += (double)load(x, xi) * (double)load(y, yi);
                            }
    for (int64_t i = 0; i < s[0] * s[1] * s[2] * s[3]; i++)
        store(result, i, by * sum[i]);
    free(sum);
}

static tensor read_tensor(descriptor *d, descriptor *pack)
{
    tensor t = {0};
    int64_t id = 0, ids[3];
    void *data[3];
    read_attr(d, CUDNN_ATTR_TENSOR_DATA_TYPE, &t.type, sizeof t.type);
    read_attr(d, CUDNN_ATTR_TENSOR_DIMENSIONS, t.size, sizeof t.size);
    read_attr(d, CUDNN_ATTR_TENSOR_STRIDES, t.stride, sizeof t.stride);
    read_attr(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, &t.align, sizeof t.align);
    read_attr(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, &id, sizeof id);
    read_attr(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids, sizeof ids);
    read_attr(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, data, sizeof data);
    for (int i = 0; i < 3; i++) {
        if (ids[i] == id)
            t.data = data[i];
    }
    return t;
}

API cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_,
                                      cudnnBackendDescriptor_t pack_)
{
    const cudnnStatus_t st = step(FAKE_EXECUTE);
    descriptor *plan = plan_, *pack = pack_;
    if (st != CUDNN_STATUS_SUCCESS)
        return st;
    if (handle == NULL || !plan->finished || !pack->finished)
        return CUDNN_STATUS_BAD_PARAM;
    descriptor *config = refers(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    descriptor *op = operation_of(graph_of(config));
    const int kind = kind_of(op);
    descriptor *conv = refers(op, operands[kind][0]);
    const tensor x = read_tensor(refers(op, operands[kind][1]), pack);
    const tensor w = read_tensor(refers(op, operands[kind][2]), pack);
    const tensor y = read_tensor(refers(op, operands[kind][3]), pack);
    const tensor *const all[] = {&x, &w, &y};
    for (int i = 0; i < 3; i++) {
        if (all[i]->align <= 0 || (uintptr_t)all[i]->data % (uintptr_t)all[i]->align != 0)
            return CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER;
    }
    int64_t stride[2], pad[2];
    read_attr(conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, stride, sizeof stride);
    read_attr(conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, pad, sizeof pad);
    const fake_engine *e = engine_of(plan->engine);
    compute(&x, &w, &y, kind == 0 ? &y : kind == 1 ? &w : &x, stride, pad, e->wrong ? 2 : 1);
    fake_cudnn.seconds += e->seconds;
    fake_cudnn.engine = plan->engine;
    read_attr(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &fake_cudnn.workspace,
              sizeof fake_cudnn.workspace);
    if (fake_cudnn.workspace != NULL) /* it may be written to its last byte */
        memset(fake_cudnn.workspace, 0xa5, (size_t)e->workspace);
    return CUDNN_STATUS_SUCCESS;
}
