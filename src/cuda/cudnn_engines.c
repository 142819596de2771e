/* cudnn_engines.c: choosing an engine of cuDNN for a convolution that is described: what is allowed, the
 * measured choice, and the heuristic's list, each made into an execution plan. Read before:
 * cudnn_describe.h. */
#include "cudnn_engines.h"

#include "cudnn_describe.h"

#include <stdio.h>
#include <string.h>

enum { MAX_ENGINES = 64 }; /* asked of one heuristic */

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
    for (int64_t i = 0; i < n_notes; i++) /* of a newer library: it may be about rounding */
        if ((int)notes[i] >= (int)CUDNN_NUMERICAL_NOTE_TYPE_COUNT)
            return "it has a note on its numbers that this build does not know";
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
static const char *engine_refused(fwi_dnn_maker *m, cudnnBackendDescriptor_t engine)
{
    const fwi_dnn_key *const k = &m->plan->key;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendBehaviorNote_t behavior[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t n_notes = 0, n_behavior = 0;
    if (m->status == CUDNN_STATUS_SUCCESS)
        fwi_dnn_note(m,
                     m->api->cudnnBackendGetAttribute(
                         engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                         CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n_notes, notes),
                     "asking for an engine's notes");
    if (m->status == CUDNN_STATUS_SUCCESS)
        fwi_dnn_note(m,
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
static void execution_plan(fwi_dnn_maker *m, cudnnHandle_t handle, cudnnBackendDescriptor_t config)
{
    static const char doing[] = "making an execution plan";
    int64_t bytes = 0, n = 0;
    cudnnBackendDescriptor_t d = fwi_dnn_make(m, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle, doing);
    fwi_dnn_set(m, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                &config, doing);
    fwi_dnn_finish(m, d, doing);
    if (m->status == CUDNN_STATUS_SUCCESS)
        fwi_dnn_note(m,
                     m->api->cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                      CUDNN_TYPE_INT64, 1, &n, &bytes),
                     "asking for a workspace's size");
    if (m->status == CUDNN_STATUS_SUCCESS && (n != 1 || bytes < 0))
        fwi_dnn_note(m, CUDNN_STATUS_INTERNAL_ERROR_UNEXPECTED_VALUE,
                     "asking for a workspace's size");
    m->plan->plan = d;
    m->plan->workspace = m->status == CUDNN_STATUS_SUCCESS ? (size_t)bytes : 0;
}

/* The engine and the knobs of a configuration, so that it can be stored and made again. A knob that
 * cannot be read makes the choice one without knobs: n_knobs -1, not to be stored. */
static void read_choice(fwi_dnn_maker *m, cudnnBackendDescriptor_t config,
                        cudnnBackendDescriptor_t engine)
{
    fwi_dnn_choice *const c = &m->plan->engine;
    *c = (fwi_dnn_choice){.key = m->plan->key,
                          .dw = (int32_t)m->plan->dw,
                          .pad = m->plan->pad,
                          .engine = -1,
                          .n_knobs = -1};
    int64_t n = 0;
    if (m->api->cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64,
                                         1, &n, &c->engine) != CUDNN_STATUS_SUCCESS)
        return;
    cudnnBackendDescriptor_t knobs[FWI_CONV_KNOBS];
    const int kept = m->plan->n_made;
    fwi_dnn_maker mine = {m->api, m->plan, CUDNN_STATUS_SUCCESS, NULL};
    for (int i = 0; i < FWI_CONV_KNOBS && mine.status == CUDNN_STATUS_SUCCESS; i++)
        knobs[i] = fwi_dnn_make(&mine, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "reading knobs");
    int64_t n_knobs = 0;
    if (mine.status == CUDNN_STATUS_SUCCESS)
        fwi_dnn_note(&mine,
                     m->api->cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, FWI_CONV_KNOBS,
                                                      &n_knobs, knobs),
                     "reading knobs");
    if (n_knobs > FWI_CONV_KNOBS)
        fwi_dnn_note(&mine, CUDNN_STATUS_INTERNAL_ERROR, "reading knobs");
    for (int i = 0; i < n_knobs && mine.status == CUDNN_STATUS_SUCCESS; i++) {
        cudnnBackendKnobType_t type = CUDNN_KNOB_TYPE_COUNTS;
        fwi_dnn_note(&mine,
                     m->api->cudnnBackendGetAttribute(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE,
                                                      CUDNN_TYPE_KNOB_TYPE, 1, &n, &type),
                     "reading knobs");
        fwi_dnn_note(&mine,
                     m->api->cudnnBackendGetAttribute(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE,
                                                      CUDNN_TYPE_INT64, 1, &n, &c->knobs[i].value),
                     "reading knobs");
        c->knobs[i].type = (int32_t)type;
    }
    if (mine.status == CUDNN_STATUS_SUCCESS)
        c->n_knobs = (int32_t)n_knobs;
    fwi_dnn_drop(m->api, m->plan, kept);
}

/* What one configuration of the heuristic came to. */
typedef enum verdict { TAKEN, PASSED_OVER } verdict;

/* Tries a configuration: on TAKEN the plan can be run. Why one was passed over stays in plan->why. */
static verdict try_config(fwi_cuda_libs *l, fwi_cudnn_plan *p, cudnnBackendDescriptor_t config)
{
    fwi_dnn_maker m = {&l->dnn, p, CUDNN_STATUS_SUCCESS, NULL};
    cudnnBackendDescriptor_t engine =
        fwi_dnn_make(&m, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "asking for an engine");
    int64_t n = 0;
    if (m.status == CUDNN_STATUS_SUCCESS)
        fwi_dnn_note(&m,
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
    fwi_dnn_maker m = {&l->dnn, p, CUDNN_STATUS_SUCCESS, NULL};
    cudnnBackendDescriptor_t h = fwi_dnn_make(&m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, doing);
    fwi_dnn_set(&m, h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                &graph, doing);
    fwi_dnn_set(&m, h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode, doing);
    fwi_dnn_finish(&m, h, doing);
    int64_t n = 0;
    if (m.status == CUDNN_STATUS_SUCCESS)
        fwi_dnn_note(&m,
                     l->dnn.cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, NULL),
                     doing);
    if (n > MAX_ENGINES)
        n = MAX_ENGINES;
    int made = 0;
    for (; made < n && m.status == CUDNN_STATUS_SUCCESS; made++)
        fwi_dnn_note(
            &m,
            l->dnn.cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[made]),
            doing);
    if (m.status != CUDNN_STATUS_SUCCESS && made > 0)
        made--; /* the last was not made */
    int64_t given = 0;
    if (m.status == CUDNN_STATUS_SUCCESS && made > 0)
        fwi_dnn_note(&m,
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
                fwi_dnn_drop(&l->dnn, p, made);
        }
        for (; j < n; j++)
            l->dnn.cudnnBackendDestroyDescriptor(configs[j]);
        if (!p->usable)
            fwi_dnn_drop(&l->dnn, p, before);
    }
    return st;
}

/* The engine of a stored choice, if this library still has it and it is allowed. */
static void try_choice(fwi_cuda_libs *l, fwi_cudnn_plan *p, cudnnBackendDescriptor_t graph,
                       const fwi_dnn_choice *c)
{
    static const char doing[] = "making a measured engine";
    const int before = p->n_made;
    fwi_dnn_maker m = {&l->dnn, p, CUDNN_STATUS_SUCCESS, NULL};
    cudnnBackendDescriptor_t engine = fwi_dnn_make(&m, CUDNN_BACKEND_ENGINE_DESCRIPTOR, doing);
    fwi_dnn_set(&m, engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                &graph, doing);
    fwi_dnn_set(&m, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &c->engine, doing);
    fwi_dnn_finish(&m, engine, doing);
    const char *why = engine_refused(&m, engine);
    cudnnBackendDescriptor_t knobs[FWI_CONV_KNOBS];
    for (int i = 0; i < c->n_knobs; i++) {
        const cudnnBackendKnobType_t type = (cudnnBackendKnobType_t)c->knobs[i].type;
        knobs[i] = fwi_dnn_make(&m, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, doing);
        fwi_dnn_set(&m, knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type,
                    doing);
        fwi_dnn_set(&m, knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1,
                    &c->knobs[i].value, doing);
        fwi_dnn_finish(&m, knobs[i], doing);
    }
    cudnnBackendDescriptor_t config = fwi_dnn_make(&m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, doing);
    fwi_dnn_set(&m, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine,
                doing);
    if (c->n_knobs > 0)
        fwi_dnn_set(&m, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                    c->n_knobs, knobs, doing);
    fwi_dnn_finish(&m, config, doing);
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
    fwi_dnn_drop(&l->dnn, p, before);
}

/* How cuDNN is asked for the convolution from here on; false: with these channels there is nothing to pad. */
static bool ask(fwi_cudnn_plan *p, int32_t pad)
{
    fwi_dnn_key asked = p->key;
    if (pad > 0 && !fwi_dnn_key_padded(&p->key, pad, &asked))
        return false;
    p->pad = pad;
    p->asked = asked;
    return true;
}

/* The graph for a type of dw; the operation that cuDNN has not got is no failure. */
static fw_status describe(fwi_cuda_libs *l, fwi_cudnn_plan *p, fw_dtype dw,
                          cudnnBackendDescriptor_t *graph)
{
    fwi_dnn_maker m = {&l->dnn, p, CUDNN_STATUS_SUCCESS, NULL};
    fwi_dnn_drop(&l->dnn, p, 0);
    p->dw = dw;
    *graph = fwi_dnn_graph(&m, l->dnn_handle, &p->asked, dw);
    if (m.status == CUDNN_STATUS_SUCCESS)
        return FW_OK;
    *graph = NULL;
    const int category = CUDNN_STATUS_CATEGORY((int)m.status);
    if (category != CUDNN_STATUS_NOT_SUPPORTED && category != CUDNN_STATUS_BAD_PARAM)
        return fwi_cudnn_fail(l, m.status, m.doing);
    snprintf(p->why, sizeof p->why, "%s: %s", m.doing, l->dnn.cudnnGetErrorString(m.status));
    return FW_OK;
}

/* The stored choice, where it can be used. */
static fw_status build_choice(fwi_cuda_libs *l, fwi_cudnn_plan *p, const fwi_dnn_choice *c)
{
    char text[FWI_CONV_KEY_TEXT];
    cudnnBackendDescriptor_t graph = NULL;
    if (c->own[0] != 0) { /* its row comes before cuDNN's, and would have taken the call */
        fwi_log(1, "%s is not used for %s: %s", c->own, fwi_dnn_key_text(&p->key, text),
                l->conv_engine[0] != 0 ? "FENWICKS_CONV_ENGINE says otherwise"
                                       : "it cannot compute it here");
        return FW_OK;
    }
    if (!ask(p, c->pad)) {
        fwi_log(1, "cuDNN: the measured engine %lld of %s is not used: there is nothing to pad",
                (long long)c->engine, fwi_dnn_key_text(&p->key, text));
        return FW_OK;
    }
    const fw_status st = describe(l, p, (fw_dtype)c->dw, &graph);
    if (graph != NULL)
        try_choice(l, p, graph, c);
    return st;
}

/* The stored choice first. Then the convolution as it stands, and where cuDNN has no engine for that, since
 * tensor cores want channels by the four or eight, padded with channels of zeros. A gradient of filters is
 * asked for in f32, in which the rest of a plan wants it; where there is no engine for that, in the type of
 * the images, and widened afterwards. */
fw_status fwi_cudnn_build(fwi_cuda_libs *l, fwi_cudnn_plan *p, fwi_cudnn_each each, void *user)
{
    const fw_dtype types[] = {FW_F32, (fw_dtype)p->key.dtype};
    const int n = p->key.pass == FWI_DNN_DW && types[1] != FW_F32 ? 2 : 1;
    const int32_t pads[] = {0, 4, 8};
    const bool exact = p->key.dtype == FW_F32 && p->key.tf32 == 0; /* not on tensor cores */
    fw_status st = FW_OK;
    const fwi_dnn_choice *c = each == NULL ? fwi_dnn_choices_find(&l->choices, &p->key) : NULL;
    if (c != NULL)
        st = build_choice(l, p, c);
    for (int i = 0; i < (exact ? 1 : 3) && !p->usable && st == FW_OK; i++) {
        const fwi_dnn_key before = p->asked;
        if (!ask(p, pads[i]) || (i > 0 && fwi_dnn_key_equal(&before, &p->asked)))
            continue;
        for (int j = 0; j < n && !p->usable && st == FW_OK; j++) {
            cudnnBackendDescriptor_t graph = NULL;
            st = describe(l, p, types[j], &graph);
            if (graph != NULL)
                st = go_through(l, p, graph, each, user);
        }
    }
    if (!p->usable)
        fwi_dnn_drop(&l->dnn, p, 0);
    return st;
}
