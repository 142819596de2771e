/* model.c: a trained model from its file (fenwicks/model.h). The plan is immutable and all memory
 * of a prediction is the caller's workspace, so that threads need nothing from each other. */
#include "model_inner.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "explain.h"
#include "fail.h"
#include "st_types.h"

/* Layers that need more than the file's tensors and this are refused before memory is taken for them; of less
 * the tensor that does not fit is told. */
#define SPARE_VAR_BYTES ((size_t)64 << 20)

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

fw_status fwi_model_spare(const fw_model *m, size_t *spare)
{
    size_t free_bytes, its_own;
    const fw_status st = fwi_device_memory(m->device, &free_bytes, &its_own);
    *spare = free_bytes > its_own ? free_bytes - its_own : 0;
    return st;
}

fwi_eval_pass fwi_model_pass(const fw_model *m, fwi_device_data *kept, fwi_left left)
{
    fw_model *const its = (fw_model *)(uintptr_t)m; /* recordings are no part of what it is */
    fwi_eval_pass pass = {.network = &its->network, .plan = its->plan, .kept = kept, .left = left};
    pass.views = fwi_tta_views(m->tta, &pass.n_views);
    return pass;
}

/* Where predictions are ahead of the host; where they are not it is no failure. Run once, so that later
 * ones allocate nothing. */
static fw_status make_room(fw_model *m)
{
    enum { ROOM_BYTES = 32 << 20 };
    const fwi_model_meta *x = &m->meta;
    const int64_t image = x->h * x->w * x->c, fit = ROOM_BYTES / (image * m->batch);
    const int64_t n = m->batch * (fit < 1 ? 1 : fit < FWI_LINES ? fit : FWI_LINES);
    fwi_device_data_want want = {.why_not = NULL};
    size_t spare = 0;
    fw_status st = fwi_model_spare(m, &spare);
    fwi_eval_want(m->device, n, m->batch, m->network.n_classes, &want);
    if (st != FW_OK || want.beside == 0)
        return st;
    st = fwi_device_data_room(&m->room, m->device,
                              &(fwi_device_data_shape){.n = n, .h = x->h, .w = x->w, .c = x->c},
                              x->transforms, &want, spare);
    if (st != FW_OK)
        return st == FW_EUNAVAILABLE ? FW_OK : st;
    m->ahead = fwi_alloc_zero(sizeof *m->ahead);
    if (m->ahead == NULL)
        return FW_ENOMEM;
    const fwi_eval_pass pass = fwi_model_pass(m, &m->room, FWI_LEFT_PROBABILITIES);
    return fwi_eval_kept(m->ahead, &pass, 0);
}

/* Layers or transforms that cannot be are the file's fault; what the machine lacks is not. */
static fw_status in_file(fw_status st, const fwi_safetensors *file)
{
    if (st == FW_OK)
        return st;
    return fwi_fail_in(st == FW_ESHAPE || st == FW_EARG ? FW_EFORMAT : st, "%s", fwi_st_path(file));
}

static fw_status compile(fw_model *m, fwi_safetensors *file, const fw_model_opt *opt, int threads)
{
    fwi_network_spec spec = {.net = m->net,
                             .real = m->meta.precision,
                             .tf32 = opt->tf32,
                             .h = m->meta.h,
                             .w = m->meta.w,
                             .c = m->meta.c,
                             .most_var_bytes =
                                 (size_t)m->params * sizeof(double) + SPARE_VAR_BYTES};
    fw_status st = fwi_device_open(&m->device, opt->device,
                                   &(fwi_device_opt){.threads = threads, .tf32 = opt->tf32});
    /* Its weights are f32: where bf16 is missing they are used as they are (docs/formats/model.md).
     */
    if (st == FW_OK && spec.real == FW_BF16 && !m->device->has_bf16)
        spec.real = FW_F32;
    if (st == FW_OK)
        st = in_file(fwi_network_init(&m->network, m->device, &spec), file);
    if (st == FW_OK)
        st = fwi_model_load(m->network.store, file);
    if (st == FW_OK && m->meta.n_class_names > 0 && m->meta.n_class_names != m->network.n_classes)
        st = fwi_fail(FW_EFORMAT, "%s: names %" PRId64 " classes, its network has %" PRId64,
                      fwi_st_path(file), m->meta.n_class_names, m->network.n_classes);
    if (st == FW_OK) {
        st = fwi_network_plan_get(&m->network, FWI_EVALUATE, m->batch, &m->plan);
        if (st != FW_OK) /* the batch's fault, or the file's */
            st = fwi_fail_in(st, "%s: %" PRId64 " images at once", fwi_st_path(file), m->batch);
    }
    if (st == FW_OK)
        st = in_file(fwi_chain_new(&m->chain, m->meta.transforms, m->meta.h, m->meta.w, m->meta.c),
                     file);
    if (st == FW_OK && !m->device->host_memory)
        st = fwi_network_fits(&m->network, 0);
    if (st == FW_OK && !m->device->host_memory)
        st = fwi_network_bind(&m->network);
    return st == FW_OK && !m->device->host_memory ? make_room(m) : st;
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
    for (int i = 0; st == FW_OK && i < fwi_st_count(file); i++) {
        const fwi_st_tensor *t = fwi_st_get(file, i);
        m->params += (int64_t)(t->bytes / fw_dtype_size(t->dtype));
    }
    if (st == FW_OK)
        st = fw_layer_parse(&m->net, m->meta.layers, path);
    if (st ==
        FW_OK) /* zero threads: the caller's own; FW_NONE: the pool's default, as many as allowed */
        st = compile(m, file, opt,
                     opt->threads == FW_NONE ? 0
                     : opt->threads == 0     ? 1
                                             : opt->threads);
    if (st == FW_OK) {
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
    if (m->ahead != NULL)
        fwi_eval_ahead_clear(m->ahead);
    fwi_free(m->ahead);
    fwi_device_data_clear(&m->room);
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
    if (out == NULL)
        return;
    if (m == NULL) {
        *out = (fw_model_info){0};
        return;
    }
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
    static const fw_transform none = {.kind = FW_TRANSFORM_NONE};
    return m == NULL ? &none : m->meta.transforms;
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
    return m == NULL ? 0 : m->workspace;
}

void *fwi_model_take(const fw_model *m, char *ws)
{
    if (m->device->host_memory)
        return ws;
    pthread_mutex_lock(&((fw_model *)(uintptr_t)m)->turn);
    return m->network.scratch;
}

void fwi_model_give(const fw_model *m)
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
        fwi_network_binding(m->plan, fwi_model_take(m, ws), images, labels, NULL, NULL);
    fw_status st = fwi_plan_run(m->plan->plan, &b);
    if (st == FW_OK)
        st = fwi_plan_read(m->plan->plan, &b, m->plan->out_probs, ws + m->at_probs,
                           (size_t)fwi_shape_elems(shape) * fw_dtype_size(dtype));
    fwi_model_give(m);
    for (int64_t i = 0; i < rows * m->network.n_classes && st == FW_OK; i++)
        out[i] = dtype == FW_F64 ? (float)((const double *)probs)[i] : ((const float *)probs)[i];
    return st;
}

/* By windows: images of 8 bits become batches on the device. */
static fw_status predict_ahead(const fw_model *m, const uint8_t *images, int64_t n, float *out)
{
    fwi_device_data *const room = (fwi_device_data *)(uintptr_t)&m->room;
    const fwi_eval_pass pass = fwi_model_pass(m, room, FWI_LEFT_PROBABILITIES);
    const int64_t image = m->meta.h * m->meta.w * m->meta.c;
    int64_t most = fwi_eval_most(&pass);
    most = most < room->n ? most : room->n;
    fw_status st = FW_OK;
    for (int64_t done = 0; done < n && st == FW_OK; done += most) {
        const int64_t rows = n - done < most ? n - done : most;
        (void)fwi_model_take(m, NULL);
        st = fwi_device_data_put(room, images + done * image, rows);
        if (st == FW_OK)
            st = fwi_eval_kept(m->ahead, &pass, rows);
        if (st == FW_OK)
            st = fwi_eval_read_probabilities(m->ahead, out + done * m->network.n_classes);
        fwi_model_give(m);
    }
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
    if (m->ahead != NULL && dtype == FW_U8)
        return predict_ahead(m, images, n, probabilities);
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

/* ---- inspection ---- */

static json_t *tensor_json(const fwi_st_tensor *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->shape.rank; i++)
        (void)json_array_append_new(shape, json_integer(t->shape.d[i]));
    return json_pack("{s:s, s:s, s:o}", "name", t->name, "type", fw_dtype_name(t->dtype), "shape",
                     shape);
}

/* A size of 0 is a tensor of no elements here, and no shape to fwi_shape_elems. */
static int64_t n_elements(const fwi_st_tensor *t)
{
    return (int64_t)(t->bytes / fw_dtype_size(t->dtype));
}

static fw_status values_finite(fwi_safetensors *s, const fwi_st_tensor *t)
{
    if (t->dtype == FW_U8 || t->dtype == FW_I32 || t->dtype == FW_I64)
        return FW_OK;
    void *data = fwi_alloc((size_t)t->bytes);
    if (data == NULL)
        return FW_ENOMEM;
    fw_status st = fwi_st_read(s, t, data);
    const int64_t bad = st == FW_OK ? fwi_st_first_not_finite(data, t->dtype, n_elements(t)) : -1;
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
        elements += n_elements(t);
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
