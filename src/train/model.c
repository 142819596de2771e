/* model.c: a trained model from its file (fenwicks/model.h). The plan is immutable and all memory
 * of a prediction is the caller's workspace, so that threads need nothing from each other. */
#include <fenwicks/model.h>

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "chain.h"
#include "clock.h"
#include "dataset_inner.h"
#include "explain.h"
#include "fail.h"
#include "modelfile.h"
#include "network.h"
#include "st_types.h"
#include "tta_select.h"

struct fw_model {
    fwi_model_meta meta;
    fw_layer *net;
    fwi_device *device;
    pthread_mutex_t turn; /* of who uses the network's scratch */
    fwi_network network;
    fwi_network_plan *plan;
    fwi_chain *chain; /* standardisation */
    fw_tta tta;
    int64_t batch, params;
    /* Parts of a workspace: where they begin, and its size. */
    size_t at_images, at_labels, at_probs, at_chain, workspace;
};

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

static void lay_out_workspace(fw_model *m)
{
    const size_t image = (size_t)(m->meta.h * m->meta.w * m->meta.c) * sizeof(float);
    /* On a device with memory of its own scratch is there, one for all callers. */
    size_t at = m->device->host_memory ? round64(fwi_plan_scratch_bytes(m->plan->plan)) : 0;
    m->at_images = at;
    at += round64((size_t)m->batch * image);
    m->at_labels = at;
    at += round64((size_t)m->batch * sizeof(int32_t));
    m->at_probs = at;
    at += round64((size_t)(m->batch * m->network.n_classes) * sizeof(double));
    m->at_chain = at;
    at += round64(fwi_chain_scratch_bytes(m->chain));
    m->workspace = at;
}

static fw_status compile(fw_model *m, fwi_safetensors *file, const fw_model_opt *opt, int threads)
{
    fwi_network_spec spec = {.net = m->net,
                             .real = m->meta.precision,
                             .tf32 = opt->tf32,
                             .h = m->meta.h,
                             .w = m->meta.w,
                             .c = m->meta.c};
    fw_status st = fwi_device_open(&m->device, opt->device,
                                   &(fwi_device_opt){.threads = threads, .tf32 = opt->tf32});
    /* Its weights are f32: where bf16 is missing they are used as they are (docs/formats/model.md).
     */
    if (st == FW_OK && spec.real == FW_BF16 && !m->device->has_bf16)
        spec.real = FW_F32;
    if (st == FW_OK)
        st = fwi_network_init(&m->network, m->device, &spec);
    if (st == FW_OK)
        st = fwi_model_load(m->network.store, file);
    if (st == FW_OK && m->meta.n_class_names > 0 && m->meta.n_class_names != m->network.n_classes)
        st = fwi_fail(FW_EFORMAT, "%s: names %" PRId64 " classes, its network has %" PRId64,
                      fwi_st_path(file), m->meta.n_class_names, m->network.n_classes);
    if (st == FW_OK)
        st = fwi_network_plan_get(&m->network, FWI_EVALUATE, m->batch, &m->plan);
    if (st == FW_OK)
        st = fwi_chain_new(&m->chain, m->meta.transforms, m->meta.h, m->meta.w, m->meta.c);
    if (st == FW_OK && !m->device->host_memory)
        st = fwi_network_fits(&m->network, 0);
    if (st == FW_OK && !m->device->host_memory)
        st = fwi_network_bind(&m->network);
    return st;
}

fw_status fw_model_open(fw_model **out, const char *path, const fw_model_opt *opt)
{
    static const fw_model_opt defaults = {0};
    if (out == NULL || path == NULL)
        return fwi_fail(FW_EARG, "fw_model_open: NULL argument");
    if (opt == NULL)
        opt = &defaults;
    if (opt->batch < 0 || opt->threads < FW_NONE)
        return fwi_fail(FW_EARG, "fw_model_open: batch %" PRId64 ", threads %d", opt->batch,
                        opt->threads);
    int views;
    if (fwi_tta_views(opt->tta, &views) == NULL)
        return fwi_fail(FW_EARG, "fw_model_open: tta %d", (int)opt->tta);
    fwi_safetensors *file = NULL;
    fw_model *m = fwi_alloc_zero(sizeof *m);
    if (m == NULL)
        return FW_ENOMEM;
    pthread_mutex_init(&m->turn, NULL);
    m->batch = opt->batch == 0 ? 32 : opt->batch;
    m->tta = opt->tta;
    fw_status st = fwi_st_open(&file, path);
    if (st == FW_OK)
        st = fwi_st_verify(file);
    if (st == FW_OK)
        st = fwi_model_meta_read(file, &m->meta);
    if (st == FW_OK)
        st = fw_layer_parse(&m->net, m->meta.layers, path);
    if (st ==
        FW_OK) /* zero threads: the caller's own; FW_NONE: the pool's default, as many as allowed */
        st = compile(m, file, opt,
                     opt->threads == FW_NONE ? 0
                     : opt->threads == 0     ? 1
                                             : opt->threads);
    if (st == FW_OK) {
        for (int i = 0; i < fwi_st_count(file); i++)
            m->params += fwi_shape_elems(&fwi_st_get(file, i)->shape);
        lay_out_workspace(m);
        *out = m;
        m = NULL;
    }
    fwi_st_close(file);
    fw_model_close(m);
    return st;
}

void fw_model_close(fw_model *m)
{
    if (m == NULL)
        return;
    fwi_chain_free(m->chain);
    if (m->network.device != NULL)
        fwi_network_clear(&m->network);
    fwi_device_close(m->device);
    pthread_mutex_destroy(&m->turn);
    fw_layer_free(m->net);
    fwi_model_meta_clear(&m->meta);
    fwi_free(m);
}

void fw_model_info_get(const fw_model *m, fw_model_info *out)
{
    *out = (fw_model_info){.h = m->meta.h,
                           .w = m->meta.w,
                           .c = m->meta.c,
                           .n_classes = m->network.n_classes,
                           .class_names = (const char *const *)m->meta.class_names,
                           .layers = m->meta.layers,
                           .version = m->meta.version,
                           .params = m->params};
}

const fw_transform *fw_model_transforms(const fw_model *m)
{
    return m->meta.transforms;
}

fw_status fw_model_explain(const fw_model *m, char **text)
{
    if (m == NULL || text == NULL)
        return fwi_fail(FW_EARG, "fw_model_explain: NULL argument");
    fwi_buf out = {0};
    fw_status st = fwi_network_explain(&m->network, &out);
    if (st == FW_OK && (*text = fwi_strdup((const char *)out.data)) == NULL)
        st = FW_ENOMEM;
    fwi_buf_clear(&out);
    return st;
}

size_t fw_model_workspace(const fw_model *m)
{
    return m->workspace;
}

/* Where the plan computes. A device of its own memory computes for one caller at a time. */
static void *scratch_take(const fw_model *m, char *ws)
{
    if (m->device->host_memory)
        return ws;
    pthread_mutex_lock(&((fw_model *)(uintptr_t)m)->turn);
    return m->network.scratch;
}

static void scratch_give(const fw_model *m)
{
    if (!m->device->host_memory)
        pthread_mutex_unlock(&((fw_model *)(uintptr_t)m)->turn);
}

/* Up to a batch of standardised images in the workspace -> rows of probabilities. */
static fw_status run(const fw_model *m, char *ws, const float *images, int64_t rows, float *out)
{
    const int32_t *labels = (const int32_t *)(const void *)(ws + m->at_labels);
    fw_dtype dtype = FW_F32;
    const fwi_shape *shape = fwi_plan_output_shape(m->plan->plan, m->plan->out_probs, &dtype);
    const void *probs = ws + m->at_probs;
    const fwi_binding b =
        fwi_network_binding(m->plan, scratch_take(m, ws), images, labels, NULL, NULL);
    fw_status st = fwi_plan_run(m->plan->plan, &b);
    if (st == FW_OK)
        st = fwi_plan_read(m->plan->plan, &b, m->plan->out_probs, ws + m->at_probs,
                           (size_t)fwi_shape_elems(shape) * fw_dtype_size(dtype));
    scratch_give(m);
    for (int64_t i = 0; i < rows * m->network.n_classes && st == FW_OK; i++)
        out[i] = dtype == FW_F64 ? (float)((const double *)probs)[i] : ((const float *)probs)[i];
    return st;
}

fw_status fw_model_predict(const fw_model *m, const void *images, fw_dtype dtype, int64_t n,
                           void *workspace, float *probabilities)
{
    if (m == NULL || images == NULL || workspace == NULL || probabilities == NULL || n < 0)
        return fwi_fail(FW_EARG, "fw_model_predict: NULL argument, or a negative count");
    if (dtype != FW_U8 && dtype != FW_F32)
        return fwi_fail(FW_EARG, "fw_model_predict: images of type %s, expected u8 or f32",
                        fw_dtype_name(dtype));
    if ((uintptr_t)workspace % 64 != 0)
        return fwi_fail(FW_EARG, "fw_model_predict: the workspace is not 64-byte aligned");
    char *ws = workspace;
    float *x = (float *)(void *)(ws + m->at_images);
    int32_t *labels = (int32_t *)(void *)(ws + m->at_labels);
    const int64_t values = m->meta.h * m->meta.w * m->meta.c;
    const size_t image_bytes = (size_t)values * fw_dtype_size(dtype);
    const fwi_draw draw = {0}; /* evaluation draws nothing */
    for (int64_t i = 0; i < m->batch; i++)
        labels[i] = -1;
    fw_status st = FW_OK;
    for (int64_t done = 0; done < n && st == FW_OK; done += m->batch) {
        const int64_t rows = n - done < m->batch ? n - done : m->batch;
        for (int64_t i = 0; i < rows && st == FW_OK; i++)
            st = fwi_chain_run(m->chain, ws + m->at_chain, &draw, dtype,
                               (const char *)images + (size_t)(done + i) * image_bytes, -1,
                               x + i * values);
        memset(x + rows * values, 0, (size_t)((m->batch - rows) * values) * sizeof *x);
        if (st == FW_OK)
            st = run(m, ws, x, rows, probabilities + done * m->network.n_classes);
    }
    return st;
}

/* ---- evaluation ---- */

static fw_status count_rows(const fw_model *m, const fw_batch *b, const float *probs, int64_t first,
                            int64_t rows, int64_t *confusion, fwi_tally *t)
{
    const int64_t k = m->network.n_classes;
    for (int64_t i = 0; i < rows; i++) {
        const float *p = probs + i * k;
        const int32_t label = b->labels[first + i];
        int64_t best = 0;
        for (int64_t j = 1; j < k; j++)
            if (p[j] > p[best])
                best = j;
        if (label < 0 || label >= k)
            return fwi_fail(FW_EARG,
                            "record %" PRId64 ": label %d, the model has %" PRId64 " classes",
                            b->records[first + i], label, k);
        /* The smallest float above 0 keeps a probability that rounded to 0 from being infinite. */
        t->loss -= log(fmax((double)p[label], 1e-45));
        t->correct += best == label;
        t->correct_plain += best == label;
        t->records++;
        t->forwards++;
        if (confusion != NULL)
            confusion[label * k + best]++;
    }
    return FW_OK;
}

/* What an evaluation allocates. */
typedef struct evaluation {
    char *ws;     /* a workspace */
    float *probs; /* [batch,classes] */
    fwi_tta tta;
    fwi_selective selective;
    int64_t *confusion; /* the caller's */
    fwi_tally tally;
} evaluation;

/* Rows [first, first + rows) of a batch, at most as many as the model takes at a time. */
static fw_status evaluate_rows(const fw_model *m, evaluation *e, const fw_batch *b, int64_t first,
                               int64_t rows)
{
    const int64_t values = b->h * b->w * b->c;
    /* Rows behind the last one read stale images: their results are not looked at. */
    float *x = (float *)(void *)(e->ws + m->at_images);
    memcpy(x, b->images + first * values, (size_t)(rows * values) * sizeof *x);
    if (m->tta == FW_TTA_NONE) {
        const fw_status st = run(m, e->ws, x, rows, e->probs);
        return st == FW_OK ? count_rows(m, b, e->probs, first, rows, e->confusion, &e->tally) : st;
    }
    const int32_t *labels = (const int32_t *)(const void *)(e->ws + m->at_labels);
    const fwi_shown shown = {.images = x, .labels = labels};
    const fw_status st =
        fwi_tta_run(&e->tta, m->plan, m->device->pool, scratch_take(m, e->ws), &shown);
    scratch_give(m);
    return st == FW_OK ? fwi_tta_count(&e->tta, b->labels + first, b->records + first, rows, 0,
                                       e->confusion, &e->tally)
                       : st;
}

fw_status fw_model_evaluate(const fw_model *m, fw_dataset *ds, fw_metrics *out, int64_t *confusion)
{
    if (m == NULL || ds == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_model_evaluate: NULL argument");
    int64_t h, w, c;
    fw_dataset_shape(ds, &h, &w, &c);
    if (h != m->meta.h || w != m->meta.w || c != m->meta.c)
        return fwi_fail(FW_ESHAPE,
                        "images of %" PRId64 " x %" PRId64 " x %" PRId64
                        ", the model takes %" PRId64 " x %" PRId64 " x %" PRId64,
                        h, w, c, m->meta.h, m->meta.w, m->meta.c);
    if (fwi_dataset_training(ds))
        return fwi_fail(FW_EARG, "evaluation needs a data set without .training");
    if (!fwi_dataset_labelled(ds))
        return fwi_fail(FW_EARG, "%s: has no labels to evaluate against%s", fwi_dataset_name(ds),
                        m->tta == FW_TTA_NONE ? "" : ", with one view or with several (tta)");
    const int64_t k = m->network.n_classes;
    const double start = fwi_now();
    evaluation e = {.ws = fwi_big_alloc(m->workspace), .confusion = confusion};
    e.probs = fwi_alloc_array((size_t)m->batch, (size_t)k * sizeof *e.probs);
    fw_status st = e.ws == NULL || e.probs == NULL ? FW_ENOMEM : fw_dataset_seek(ds, 0);
    if (st == FW_OK && m->tta != FW_TTA_NONE)
        st = fwi_tta_prepare(&e.tta, m->tta, m->batch, h, w, c, k);
    if (st == FW_OK && m->tta == FW_TTA_SELECTIVE)
        st = fwi_selective_prepare(&e.selective, fw_dataset_count(ds), m->batch, h, w, c, k);
    fw_batch batch;
    if (confusion != NULL)
        memset(confusion, 0, (size_t)(k * k) * sizeof *confusion);
    if (st == FW_OK && m->tta == FW_TTA_SELECTIVE) {
        st = fwi_selective_run(&e.selective, &e.tta, m->plan, m->device->pool,
                               scratch_take(m, e.ws), ds, NULL, 0, confusion, &e.tally);
        scratch_give(m);
        if (st == FW_OK)
            st = FW_END;
    }
    while (st == FW_OK && (st = fw_dataset_next(ds, &batch)) == FW_OK)
        for (int64_t i = 0; i < batch.valid && st == FW_OK; i += m->batch)
            st = evaluate_rows(m, &e, &batch, i,
                               batch.valid - i < m->batch ? batch.valid - i : m->batch);
    const double n = (double)e.tally.records;
    if (st == FW_END)
        st = n > 0 ? FW_OK : fwi_fail(FW_EARG, "the data set has no records to evaluate");
    if (st == FW_OK)
        *out = (fw_metrics){.loss = e.tally.loss / n,
                            .accuracy = (double)e.tally.correct / n,
                            .accuracy_plain = (double)e.tally.correct_plain / n,
                            .records = e.tally.records,
                            .forwards = e.tally.forwards,
                            .seconds = fwi_now() - start};
    fwi_tta_clear(&e.tta);
    fwi_selective_clear(&e.selective);
    fwi_free(e.probs);
    if (e.ws != NULL)
        fwi_big_free(e.ws, m->workspace);
    return st;
}

/* ---- inspection ---- */

static json_t *tensor_json(const fwi_st_tensor *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->shape.rank; i++)
        (void)json_array_append_new(shape, json_integer(t->shape.d[i]));
    return json_pack("{s:s, s:s, s:o}", "name", t->name, "type", fw_dtype_name(t->dtype), "shape",
                     shape);
}

static fw_status values_finite(fwi_safetensors *s, const fwi_st_tensor *t)
{
    if (t->dtype != FW_F32 && t->dtype != FW_F64)
        return FW_OK;
    void *data = fwi_alloc((size_t)t->bytes);
    if (data == NULL)
        return FW_ENOMEM;
    fw_status st = fwi_st_read(s, t, data);
    const int64_t bad =
        st == FW_OK ? fwi_st_first_not_finite(data, t->dtype, fwi_shape_elems(&t->shape)) : -1;
    if (bad >= 0)
        st = fwi_fail(FW_EFORMAT, "%s: tensor %s: element %" PRId64 " is not finite",
                      fwi_st_path(s), t->name, bad);
    fwi_free(data);
    return st;
}

fw_status fw_safetensors_inspect(const char *path, bool verify, char **json)
{
    if (path == NULL || json == NULL)
        return fwi_fail(FW_EARG, "fw_safetensors_inspect: NULL argument");
    fwi_safetensors *s = NULL;
    json_t *root = json_object(), *tensors = json_array(), *meta = json_object();
    fw_status st = fwi_st_open(&s, path);
    if (st == FW_OK && verify)
        st = fwi_st_verify(s);
    int64_t elements = 0;
    for (int i = 0; st == FW_OK && i < fwi_st_count(s); i++) {
        const fwi_st_tensor *t = fwi_st_get(s, i);
        elements += fwi_shape_elems(&t->shape);
        if (verify)
            st = values_finite(s, t);
        (void)json_array_append_new(tensors, tensor_json(t));
    }
    const char *key, *text;
    for (int i = 0; st == FW_OK && (text = fwi_st_meta_at(s, i, &key)) != NULL; i++)
        (void)json_object_set_new(meta, key, json_string(text));
    if (st == FW_OK) {
        (void)json_object_set_new(root, "format", json_string("safetensors"));
        (void)json_object_set_new(root, "elements", json_integer(elements));
        (void)json_object_set(root, "metadata", meta);
        (void)json_object_set(root, "tensors", tensors);
        char *text_out = json_dumps(root, JSON_COMPACT);
        *json = text_out == NULL ? NULL : fwi_strdup(text_out);
        free(text_out); /* jansson's */
        if (*json == NULL)
            st = fwi_fail(FW_ENOMEM, "%s: out of memory", path);
    }
    json_decref(meta);
    json_decref(tensors);
    json_decref(root);
    fwi_st_close(s);
    return st;
}
