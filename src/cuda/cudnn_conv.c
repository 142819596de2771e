/* cudnn_conv.c: describing a convolution to cuDNN, choosing an engine, running it. The order of
 * calls is the library's: tensors, convolution, operation, operation graph, then engines, one of
 * them configured, then an execution plan. Read before: cudnn_conv.h. */
#include "cudnn_conv.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { ID_X = 1, ID_W = 2, ID_Y = 3 }; /* cuDNN's names for the three tensors */
enum { MAX_ENGINES = 64 };             /* asked of one heuristic */

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

/* ---- describing ---- a sticky builder: after the first failure the rest does nothing */

typedef struct maker {
    const fwi_cudnn_api *api;
    fwi_cudnn_plan *plan; /* gets what is made */
    cudnnStatus_t status; /* the first that is no success */
    const char *doing;    /* what failed */
} maker;

static void note_status(maker *m, cudnnStatus_t status, const char *doing)
{
    if (m->status == CUDNN_STATUS_SUCCESS && status != CUDNN_STATUS_SUCCESS) {
        m->status = status;
        m->doing = doing;
    }
}

static cudnnBackendDescriptor_t make(maker *m, cudnnBackendDescriptorType_t type, const char *doing)
{
    if (m->status != CUDNN_STATUS_SUCCESS)
        return NULL;
    cudnnBackendDescriptor_t d = NULL;
    if (m->plan->n_made == FWI_CUDNN_DESCRIPTORS) {
        note_status(m, CUDNN_STATUS_INTERNAL_ERROR, doing);
        return NULL;
    }
    note_status(m, m->api->cudnnBackendCreateDescriptor(type, &d), doing);
    if (m->status == CUDNN_STATUS_SUCCESS)
        m->plan->made[m->plan->n_made++] = d;
    return m->status == CUDNN_STATUS_SUCCESS ? d : NULL;
}

static void set(maker *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *values, const char *doing)
{
    if (m->status == CUDNN_STATUS_SUCCESS)
        note_status(m, m->api->cudnnBackendSetAttribute(d, name, type, n, values), doing);
}

static void finish(maker *m, cudnnBackendDescriptor_t d, const char *doing)
{
    if (m->status == CUDNN_STATUS_SUCCESS)
        note_status(m, m->api->cudnnBackendFinalize(d), doing);
}

/* Gives back what was made from number `keep` on, last first. */
static void drop(const fwi_cudnn_api *api, fwi_cudnn_plan *p, int keep)
{
    while (p->n_made > keep)
        api->cudnnBackendDestroyDescriptor(p->made[--p->n_made]);
}

/* A tensor of n x h x w x c in memory; cuDNN wants the sizes as n c h w, and strides that say how
 * they lie. */
static cudnnBackendDescriptor_t tensor(maker *m, int64_t id, fw_dtype dtype, int64_t n, int64_t h,
                                       int64_t w, int64_t c)
{
    static const char doing[] = "describing a tensor";
    const cudnnDataType_t type = data_type(dtype);
    const int64_t sizes[4] = {n, c, h, w}, strides[4] = {h * w * c, 1, w * c, c};
    const int64_t align = FWI_CUDNN_ALIGN;
    cudnnBackendDescriptor_t d = make(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR, doing);
    set(m, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, doing);
    set(m, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, sizes, doing);
    set(m, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides, doing);
    set(m, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id, doing);
    set(m, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align, doing);
    finish(m, d, doing);
    return d;
}

static cudnnBackendDescriptor_t convolution(maker *m, const fwi_dnn_key *k)
{
    static const char doing[] = "describing a convolution";
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t n = 2, dilation[2] = {1, 1}, stride[2] = {k->stride, k->stride};
    const int64_t before[2] = {k->pad_t, k->pad_l}, after[2] = {k->pad_b, k->pad_r};
    cudnnBackendDescriptor_t d = make(m, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, doing);
    set(m, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums, doing);
    set(m, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode, doing);
    set(m, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &n, doing);
    set(m, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation, doing);
    set(m, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride, doing);
    set(m, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before, doing);
    set(m, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after, doing);
    finish(m, d, doing);
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
static cudnnBackendDescriptor_t operation_graph(maker *m, cudnnHandle_t handle,
                                                const fwi_dnn_key *k, fw_dtype dw)
{
    static const char doing[] = "describing an operation";
    const operation_names *const a = &names[k->pass];
    const fw_dtype dtype = (fw_dtype)k->dtype;
    const float alpha = 1, beta = 0;
    cudnnBackendDescriptor_t x = tensor(m, ID_X, dtype, k->n, k->h, k->w, k->c);
    cudnnBackendDescriptor_t w =
        tensor(m, ID_W, k->pass == FWI_DNN_DW ? dw : dtype, k->oc, k->kh, k->kw, k->c);
    cudnnBackendDescriptor_t y = tensor(m, ID_Y, dtype, k->n, k->oh, k->ow, k->oc);
    cudnnBackendDescriptor_t conv = convolution(m, k);
    cudnnBackendDescriptor_t op = make(m, a->type, doing);
    set(m, op, a->conv, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &conv, doing);
    set(m, op, a->x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x, doing);
    set(m, op, a->w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w, doing);
    set(m, op, a->y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y, doing);
    set(m, op, a->alpha, CUDNN_TYPE_FLOAT, 1, &alpha, doing);
    set(m, op, a->beta, CUDNN_TYPE_FLOAT, 1, &beta, doing);
    finish(m, op, doing);
    cudnnBackendDescriptor_t g = make(m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, doing);
    set(m, g, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &op, doing);
    set(m, g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle, doing);
    finish(m, g, doing);
    return g;
}

/* ---- engines ---- */

static bool has_note(const cudnnBackendNumericalNote_t *notes, int64_t n,
                     cudnnBackendNumericalNote_t note)
{
    for (int64_t i = 0; i < n; i++) {
        if (notes[i] == note)
            return true;
    }
    return false;
}

const char *fwi_cudnn_refuses(const fwi_dnn_key *key, const cudnnBackendNumericalNote_t *notes,
                              int64_t n_notes, const cudnnBackendBehaviorNote_t *behavior,
                              int64_t n_behavior)
{
    static const struct {
        cudnnBackendNumericalNote_t note;
        bool exact; /* refused for f32 that may not be rounded alone */
        const char *why;
    } refused[] = {
        {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, false, "its result differs from run to run"},
        {CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, false, "it adds in less than f32"},
        {CUDNN_NUMERICAL_NOTE_FFT, false, "it goes by way of an FFT"},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD, false, "it goes by way of Winograd's transform"},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4, false, "it goes by way of Winograd's transform"},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6, false, "it goes by way of Winograd's transform"},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13, false, "it goes by way of Winograd's transform"},
        {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, true, "it rounds f32 to tf32"},
        {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, true, "it rounds its operands"},
    };
    const bool exact = key->dtype == FW_F32 && !key->tf32;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if ((exact || !refused[i].exact) && has_note(notes, n_notes, refused[i].note))
            return refused[i].why;
    }
    for (int64_t i = 0; i < n_behavior; i++) {
        if (behavior[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION)
            return "it is compiled when the program runs";
        if (behavior[i] == CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER ||
            behavior[i] == CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER)
            return "it wants its operands in another order";
    }
    return NULL;
}

/* The engine's notes against the rules; NULL: allowed, or a call failed. A filter's gradient in f32
 * from images of 16 bits is worth asking for only where tensor cores compute it: cuDNN has general
 * engines too, many times slower than the ones that give it in 16 bits. */
static const char *engine_refused(maker *m, cudnnBackendDescriptor_t engine)
{
    const fwi_dnn_key *const k = &m->plan->key;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendBehaviorNote_t behavior[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t n_notes = 0, n_behavior = 0;
    if (m->status == CUDNN_STATUS_SUCCESS)
        note_status(m,
                    m->api->cudnnBackendGetAttribute(
                        engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                        CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n_notes, notes),
                    "asking for an engine's notes");
    if (m->status == CUDNN_STATUS_SUCCESS)
        note_status(m,
                    m->api->cudnnBackendGetAttribute(
                        engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                        CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, &n_behavior, behavior),
                    "asking for an engine's notes");
    if (m->status != CUDNN_STATUS_SUCCESS)
        return NULL;
    /* a newer library may know more notes than fit: it then says so by the count */
    if (n_notes > CUDNN_NUMERICAL_NOTE_TYPE_COUNT || n_behavior > CUDNN_BEHAVIOR_NOTE_TYPE_COUNT)
        return "it has more notes than this build knows of";
    if (k->pass == FWI_DNN_DW && k->dtype != FW_F32 && m->plan->dw == FW_F32 &&
        !has_note(notes, n_notes, CUDNN_NUMERICAL_NOTE_TENSOR_CORE))
        return "it gives f32 without tensor cores";
    return fwi_cudnn_refuses(k, notes, n_notes, behavior, n_behavior);
}

/* An execution plan of a configured engine, and its workspace. */
static void execution_plan(maker *m, cudnnHandle_t handle, cudnnBackendDescriptor_t config)
{
    static const char doing[] = "making an execution plan";
    int64_t bytes = 0, n = 0;
    cudnnBackendDescriptor_t d = make(m, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, doing);
    set(m, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle, doing);
    set(m, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config,
        doing);
    finish(m, d, doing);
    if (m->status == CUDNN_STATUS_SUCCESS)
        note_status(m,
                    m->api->cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                     CUDNN_TYPE_INT64, 1, &n, &bytes),
                    "asking for a workspace's size");
    if (m->status == CUDNN_STATUS_SUCCESS && (n != 1 || bytes < 0))
        note_status(m, CUDNN_STATUS_INTERNAL_ERROR_UNEXPECTED_VALUE,
                    "asking for a workspace's size");
    m->plan->plan = d;
    m->plan->workspace = m->status == CUDNN_STATUS_SUCCESS ? (size_t)bytes : 0;
}

/* The engine and the knobs of a configuration, so that it can be stored and made again. A knob that
 * cannot be read makes the choice one without knobs: n_knobs -1, not to be stored. */
static void read_choice(maker *m, cudnnBackendDescriptor_t config, cudnnBackendDescriptor_t engine)
{
    fwi_dnn_choice *const c = &m->plan->engine;
    *c = (fwi_dnn_choice){
        .key = m->plan->key, .dw = (int32_t)m->plan->dw, .engine = -1, .n_knobs = -1};
    int64_t n = 0;
    if (m->api->cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64,
                                         1, &n, &c->engine) != CUDNN_STATUS_SUCCESS)
        return;
    cudnnBackendDescriptor_t knobs[FWI_CONV_KNOBS];
    const int kept = m->plan->n_made;
    maker mine = {m->api, m->plan, CUDNN_STATUS_SUCCESS, NULL};
    for (int i = 0; i < FWI_CONV_KNOBS && mine.status == CUDNN_STATUS_SUCCESS; i++)
        knobs[i] = make(&mine, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "reading knobs");
    int64_t n_knobs = 0;
    if (mine.status == CUDNN_STATUS_SUCCESS)
        note_status(&mine,
                    m->api->cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, FWI_CONV_KNOBS,
                                                     &n_knobs, knobs),
                    "reading knobs");
    if (n_knobs > FWI_CONV_KNOBS)
        note_status(&mine, CUDNN_STATUS_INTERNAL_ERROR, "reading knobs");
    for (int i = 0; i < n_knobs && mine.status == CUDNN_STATUS_SUCCESS; i++) {
        cudnnBackendKnobType_t type = CUDNN_KNOB_TYPE_COUNTS;
        note_status(&mine,
                    m->api->cudnnBackendGetAttribute(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE,
                                                     CUDNN_TYPE_KNOB_TYPE, 1, &n, &type),
                    "reading knobs");
        note_status(&mine,
                    m->api->cudnnBackendGetAttribute(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE,
                                                     CUDNN_TYPE_INT64, 1, &n, &c->knobs[i].value),
                    "reading knobs");
        c->knobs[i].type = (int32_t)type;
    }
    if (mine.status == CUDNN_STATUS_SUCCESS)
        c->n_knobs = (int32_t)n_knobs;
    drop(m->api, m->plan, kept);
}

/* What one configuration of the heuristic came to. */
typedef enum verdict { TAKEN, PASSED_OVER } verdict;

/* Tries a configuration: on TAKEN the plan can be run. Why one was passed over stays in plan->why. */
static verdict try_config(fwi_cuda_libs *l, fwi_cudnn_plan *p, cudnnBackendDescriptor_t config)
{
    maker m = {&l->dnn, p, CUDNN_STATUS_SUCCESS, NULL};
    cudnnBackendDescriptor_t engine =
        make(&m, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "asking for an engine");
    int64_t n = 0;
    if (m.status == CUDNN_STATUS_SUCCESS)
        note_status(&m,
                    l->dnn.cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine),
                    "asking for an engine");
    const char *why = engine_refused(&m, engine);
    if (why == NULL)
        execution_plan(&m, l->dnn_handle, config);
    if (why == NULL && m.status == CUDNN_STATUS_SUCCESS) {
        read_choice(&m, config, engine);
        return TAKEN;
    }
    if (why != NULL)
        snprintf(p->why, sizeof p->why, "the last engine looked at is not used: %s", why);
    else
        snprintf(p->why, sizeof p->why, "%s: %s", m.doing, l->dnn.cudnnGetErrorString(m.status));
    return PASSED_OVER;
}

/* The configurations that a heuristic names, best first, in p->made from where it stands; how many. */
static int heuristic(fwi_cuda_libs *l, fwi_cudnn_plan *p, cudnnBackendDescriptor_t graph,
                     cudnnBackendHeurMode_t mode, cudnnBackendDescriptor_t *configs)
{
    static const char doing[] = "asking the heuristic for engines";
    maker m = {&l->dnn, p, CUDNN_STATUS_SUCCESS, NULL};
    cudnnBackendDescriptor_t h = make(&m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, doing);
    set(&m, h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph,
        doing);
    set(&m, h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode, doing);
    finish(&m, h, doing);
    int64_t n = 0;
    if (m.status == CUDNN_STATUS_SUCCESS)
        note_status(&m,
                    l->dnn.cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, NULL),
                    doing);
    if (n > MAX_ENGINES)
        n = MAX_ENGINES;
    int made = 0;
    for (; made < n && m.status == CUDNN_STATUS_SUCCESS; made++)
        note_status(
            &m,
            l->dnn.cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[made]),
            doing);
    if (m.status != CUDNN_STATUS_SUCCESS && made > 0)
        made--; /* the last was not made */
    int64_t given = 0;
    if (m.status == CUDNN_STATUS_SUCCESS && made > 0)
        note_status(&m,
                    l->dnn.cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &given,
                                                    configs),
                    doing);
    const int keep = m.status != CUDNN_STATUS_SUCCESS ? 0 : given < made ? (int)given : made;
    while (made > keep)
        l->dnn.cudnnBackendDestroyDescriptor(configs[--made]);
    if (m.status != CUDNN_STATUS_SUCCESS)
        snprintf(p->why, sizeof p->why, "%s: %s", doing, l->dnn.cudnnGetErrorString(m.status));
    else if (keep == 0)
        snprintf(p->why, sizeof p->why, "cuDNN names no engine");
    return keep;
}

/* Goes through what the heuristics name. each NULL: takes the first that can be had. */
static fw_status go_through(fwi_cuda_libs *l, fwi_cudnn_plan *p, cudnnBackendDescriptor_t graph,
                            fwi_cudnn_each each, void *user)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    fw_status st = FW_OK;
    for (int i = 0; i < 2 && !p->usable && st == FW_OK; i++) {
        cudnnBackendDescriptor_t configs[MAX_ENGINES];
        const int before = p->n_made;
        const int n = heuristic(l, p, graph, modes[i], configs);
        int j = 0;
        for (; j < n && !p->usable && st == FW_OK; j++) {
            const int made = p->n_made;
            p->made[p->n_made++] = configs[j]; /* before its plan, which goes first */
            const verdict v = try_config(l, p, configs[j]);
            if (v == TAKEN && each != NULL)
                st = each(user, p);
            p->usable = v == TAKEN && each == NULL;
            if (!p->usable)
                drop(&l->dnn, p, made);
        }
        for (; j < n; j++)
            l->dnn.cudnnBackendDestroyDescriptor(configs[j]);
        if (!p->usable)
            drop(&l->dnn, p, before);
    }
    return st;
}

/* The engine of a stored choice, if this library still has it and it is allowed. */
static void try_choice(fwi_cuda_libs *l, fwi_cudnn_plan *p, cudnnBackendDescriptor_t graph,
                       const fwi_dnn_choice *c)
{
    static const char doing[] = "making a measured engine";
    const int before = p->n_made;
    maker m = {&l->dnn, p, CUDNN_STATUS_SUCCESS, NULL};
    cudnnBackendDescriptor_t engine = make(&m, CUDNN_BACKEND_ENGINE_DESCRIPTOR, doing);
    set(&m, engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph,
        doing);
    set(&m, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &c->engine, doing);
    finish(&m, engine, doing);
    const char *why = engine_refused(&m, engine);
    cudnnBackendDescriptor_t knobs[FWI_CONV_KNOBS];
    for (int i = 0; i < c->n_knobs; i++) {
        const cudnnBackendKnobType_t type = (cudnnBackendKnobType_t)c->knobs[i].type;
        knobs[i] = make(&m, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, doing);
        set(&m, knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type, doing);
        set(&m, knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1,
            &c->knobs[i].value, doing);
        finish(&m, knobs[i], doing);
    }
    cudnnBackendDescriptor_t config = make(&m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, doing);
    set(&m, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine, doing);
    if (c->n_knobs > 0)
        set(&m, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            c->n_knobs, knobs, doing);
    finish(&m, config, doing);
    if (why == NULL)
        execution_plan(&m, l->dnn_handle, config);
    if (why == NULL && m.status == CUDNN_STATUS_SUCCESS) {
        p->usable = p->measured = true;
        p->engine = *c;
        return;
    }
    char text[FWI_CONV_KEY_TEXT];
    fwi_log(1, "cuDNN: the measured engine %lld of %s is not used: %s", (long long)c->engine,
            fwi_dnn_key_text(&p->key, text),
            why != NULL ? why : l->dnn.cudnnGetErrorString(m.status));
    drop(&l->dnn, p, before);
}

/* The graph for a type of dw; the operation that cuDNN has not got is no failure. */
static fw_status describe(fwi_cuda_libs *l, fwi_cudnn_plan *p, fw_dtype dw,
                          cudnnBackendDescriptor_t *graph)
{
    maker m = {&l->dnn, p, CUDNN_STATUS_SUCCESS, NULL};
    drop(&l->dnn, p, 0);
    p->dw = dw;
    *graph = operation_graph(&m, l->dnn_handle, &p->key, dw);
    if (m.status == CUDNN_STATUS_SUCCESS)
        return FW_OK;
    *graph = NULL;
    const int category = CUDNN_STATUS_CATEGORY((int)m.status);
    if (category != CUDNN_STATUS_NOT_SUPPORTED && category != CUDNN_STATUS_BAD_PARAM)
        return fwi_cudnn_fail(l, m.status, m.doing);
    snprintf(p->why, sizeof p->why, "%s: %s", m.doing, l->dnn.cudnnGetErrorString(m.status));
    return FW_OK;
}

/* The stored choice first. A gradient of filters is asked for in f32, in which the rest of a plan
 * wants it; where cuDNN has no engine for that, in the type of the images, and widened afterwards. */
static fw_status build(fwi_cuda_libs *l, fwi_cudnn_plan *p, fwi_cudnn_each each, void *user)
{
    const fw_dtype types[] = {FW_F32, (fw_dtype)p->key.dtype};
    const int n = p->key.pass == FWI_DNN_DW && types[1] != FW_F32 ? 2 : 1;
    cudnnBackendDescriptor_t graph = NULL;
    fw_status st = FW_OK;
    const fwi_dnn_choice *c = each == NULL ? fwi_dnn_choices_find(&l->choices, &p->key) : NULL;
    if (c != NULL &&
        c->own[0] != 0) { /* its row comes before cuDNN's, and would have taken the call */
        char text[FWI_CONV_KEY_TEXT];
        fwi_log(1, "%s is not used for %s: it cannot compute it here", c->own,
                fwi_dnn_key_text(&p->key, text));
    } else if (c != NULL) {
        st = describe(l, p, (fw_dtype)c->dw, &graph);
        if (graph != NULL)
            try_choice(l, p, graph, c);
    }
    for (int i = 0; i < n && !p->usable && st == FW_OK; i++) {
        st = describe(l, p, types[i], &graph);
        if (graph != NULL)
            st = go_through(l, p, graph, each, user);
    }
    if (!p->usable)
        drop(&l->dnn, p, 0);
    return st;
}

/* ---- plans ---- */

const fwi_cudnn_plan *fwi_cudnn_plan_find(const fwi_cuda_libs *l, const fwi_dnn_key *key)
{
    const fwi_cudnn_plan *p = atomic_load_explicit(&l->dnn_plans, memory_order_acquire);
    while (p != NULL && !fwi_dnn_key_equal(&p->key, key))
        p = p->next;
    return p;
}

static void plan_free(const fwi_cuda_libs *l, fwi_cudnn_plan *p)
{
    drop(&l->dnn, p, 0);
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
    if (build(l, p, NULL, NULL) != FW_OK) {
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
    const fw_status st = build(l, p, each, user);
    pthread_mutex_unlock(&l->lock);
    plan_free(l, p);
    return st;
}

fw_status fwi_cudnn_run(const fwi_cuda_libs *l, const fwi_cudnn_plan *p, void *x, void *w, void *y,
                        void *workspace)
{
    static const char doing[] = "running a convolution";
    const int64_t ids[3] = {ID_X, ID_W, ID_Y};
    void *const data[3] = {x, w, y};
    for (int i = 0; i < 3; i++) {
        if ((uintptr_t)data[i] % FWI_CUDNN_ALIGN != 0) {
            char text[FWI_CONV_KEY_TEXT];
            return fwi_fail(FW_EINTERNAL, "%s: operand %d is at %p, not on a boundary of %d bytes",
                            fwi_dnn_key_text(&p->key, text), i, data[i], (int)FWI_CUDNN_ALIGN);
        }
    }
    fwi_cudnn_plan pack = {.n_made = 0}; /* one descriptor, gone at the end */
    maker m = {&l->dnn, &pack, CUDNN_STATUS_SUCCESS, NULL};
    cudnnBackendDescriptor_t d = make(&m, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, doing);
    set(&m, d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, ids, doing);
    set(&m, d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, data, doing);
    set(&m, d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace, doing);
    finish(&m, d, doing);
    if (m.status == CUDNN_STATUS_SUCCESS)
        note_status(&m, l->dnn.cudnnBackendExecute(l->dnn_handle, p->plan, d), doing);
    drop(&l->dnn, &pack, 0);
    if (m.status == CUDNN_STATUS_SUCCESS)
        return FW_OK;
    char text[FWI_CONV_KEY_TEXT];
    return fwi_cudnn_fail(l, m.status, fwi_dnn_key_text(&p->key, text));
}
