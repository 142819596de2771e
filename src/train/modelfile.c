/* modelfile.c: see modelfile.h. */
#include "modelfile.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "json_read.h"
#include "number.h"
#include "st_types.h"

enum { TRANSFORM_TEXT = 512, WRITE_BUFFER = 1 << 20 };
static const char format_name[] = "fenwicks model 1";

void fwi_model_meta_clear(fwi_model_meta *m)
{
    fwi_free(m->layers);
    fwi_free(m->version);
    for (int64_t i = 0; i < m->n_class_names && m->class_names != NULL; i++)
        fwi_free(m->class_names[i]);
    fwi_free(m->class_names);
    *m = (fwi_model_meta){0};
}

fw_status fwi_transforms_print(const fw_transform *list, char *buf, size_t cap)
{
    buf[0] = 0;
    for (const fw_transform *t = list; t != NULL && t->kind != FW_TRANSFORM_NONE; t++) {
        if (t->kind != FW_TRANSFORM_STANDARDIZE)
            continue; /* augmentation is not for evaluation */
        int n = snprintf(buf, cap, "standardize %" PRId64, t->c);
        for (int64_t i = 0; i < 2 * t->c && n > 0 && (size_t)n < cap; i++) {
            char number[FWI_NUMBER_CAP];
            fwi_format_double(number, fwi_widen(i < t->c ? t->mean[i] : t->std[i - t->c]));
            n += snprintf(buf + n, cap - (size_t)n, " %s", number);
        }
        return n > 0 && (size_t)n < cap ? FW_OK
                                        : fwi_fail(FW_EINTERNAL, "text of transforms too long");
    }
    return FW_OK;
}

/* The numbers of a text, parted by blanks: how many, or -1 where a word is none or there are more
 * than cap. */
static int numbers(const char *text, double *out, int cap)
{
    int n = 0;
    while (*(text += strspn(text, " ")) != 0) {
        char word[64];
        const size_t len = strcspn(text, " ");
        if (len >= sizeof word || n == cap)
            return -1;
        memcpy(word, text, len);
        word[len] = 0;
        if (!fwi_parse_double(word, &out[n++]))
            return -1;
        text += len;
    }
    return n;
}

fw_status fwi_transforms_parse(const char *text, const char *source, fw_transform out[2])
{
    static const char name[] = "standardize ";
    out[0] = out[1] = fw_transform_end();
    if (text[0] == 0)
        return FW_OK;
    double v[1 + 2 * FW_MAX_CHANNELS];
    float f[2 * FW_MAX_CHANNELS];
    const int n = strncmp(text, name, strlen(name)) == 0
                      ? numbers(text + strlen(name), v, 1 + 2 * FW_MAX_CHANNELS)
                      : -1;
    if (n < 3 || v[0] * 2 + 1 != n)
        return fwi_fail(
            FW_EFORMAT,
            "%s: transforms: \"%.100s\" is not standardize, channels, means, deviations", source,
            text);
    for (int i = 1; i < n; i++)
        f[i - 1] = (float)v[i];
    out[0] = fw_standardize(n / 2, f, f + n / 2);
    return FW_OK;
}

static bool evaluated(const fwi_var *v)
{
    return v->cls != FWI_VAR_SLOT && v->cls != FWI_VAR_AVERAGE;
}

/* The class names as a JSON list; "" where there are none. */
static fw_status classes_text(const fwi_model_meta *m, char **out)
{
    *out = NULL;
    json_t *list = json_array();
    fw_status st = list == NULL ? fwi_fail(FW_ENOMEM, "out of memory") : FW_OK;
    for (int64_t i = 0; i < m->n_class_names && st == FW_OK; i++)
        if (json_array_append_new(list, json_string(m->class_names[i])) != 0)
            st = fwi_fail(FW_EARG, "class name %" PRId64 " is not UTF-8 text", i);
    char *text = st == FW_OK ? json_dumps(list, JSON_COMPACT) : NULL;
    if (text != NULL)
        *out = fwi_strdup(m->n_class_names > 0 ? text : "");
    free(text); /* jansson's */
    json_decref(list);
    return st == FW_OK && *out == NULL ? FW_ENOMEM : st;
}

static fw_status put_meta(fwi_st_layout *l, const fwi_model_meta *m)
{
    char text[TRANSFORM_TEXT], *classes = NULL;
    fw_status st = fwi_st_layout_meta(l, "format", format_name);
    if (st == FW_OK)
        st = fwi_st_layout_meta(l, "version", fw_version());
    if (st == FW_OK)
        st = fwi_st_layout_meta(l, "layers", m->layers);
    if (st == FW_OK) {
        snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %" PRId64, m->h, m->w, m->c);
        st = fwi_st_layout_meta(l, "input", text);
    }
    if (st == FW_OK)
        st = fwi_st_layout_meta(l, "precision", fw_dtype_name(m->precision));
    if (st == FW_OK)
        st = fwi_transforms_print(m->transforms, text, sizeof text);
    if (st == FW_OK)
        st = fwi_st_layout_meta(l, "transforms", text);
    if (st == FW_OK)
        st = classes_text(m, &classes);
    if (st == FW_OK)
        st = fwi_st_layout_meta(l, "classes", classes);
    fwi_free(classes);
    return st;
}

static fw_status check_finite(const fwi_var *v, const void *data)
{
    if (fwi_st_first_not_finite(data, v->dtype, fwi_shape_elems(&v->shape)) < 0)
        return FW_OK;
    return fwi_fail(FW_ENONFINITE, "%s has values that are not finite: no model written", v->name);
}

fw_status fwi_model_save(const char *path, const fwi_store *store, bool averages,
                         const fwi_model_meta *meta)
{
    fwi_st_layout *layout = NULL;
    fwi_file_writer *writer = NULL;
    const bool there = store->device->host_memory; /* written as it lies there */
    const void **data = fwi_alloc_array((size_t)store->n_vars + 1, sizeof *data);
    char *host = there ? NULL : fwi_alloc(store->state_bytes + 1);
    fw_status st =
        data == NULL || (host == NULL && !there) ? FW_ENOMEM : fwi_st_layout_new(&layout);
    if (st == FW_OK)
        st = put_meta(layout, meta);
    int n = 0;
    for (int i = 0; i < store->n_vars && st == FW_OK; i++) {
        const fwi_var *v = &store->vars[i];
        if (!evaluated(v))
            continue;
        const fwi_var *const average = averages ? fwi_store_average(store, v) : NULL;
        const fwi_var *const from = average != NULL ? average : v;
        data[n] = there ? from->data : host + v->offset;
        if (!there)
            st = fwi_store_read(store, from, host + v->offset);
        if (st == FW_OK)
            st = check_finite(v, data[n++]);
        if (st == FW_OK)
            st = fwi_st_layout_add(layout, v->name, v->dtype, &v->shape);
    }
    if (st == FW_OK)
        st = fwi_file_writer_new(&writer, WRITE_BUFFER, strlen(path) + 64);
    if (st == FW_OK)
        st = fwi_st_layout_write(layout, writer, path, data);
    fwi_file_writer_free(writer);
    fwi_st_layout_free(layout);
    fwi_free(host);
    fwi_free(data);
    return st;
}

static fw_status read_classes(const char *text, const char *path, fwi_model_meta *out)
{
    if (text[0] == 0)
        return FW_OK;
    json_error_t err;
    json_t *list = fwi_json_read(text, strlen(text), &err);
    fw_status st = FW_OK;
    if (!json_is_array(list)) {
        st = fwi_fail(FW_EFORMAT, "%s: classes is no list of names", path);
        goto done;
    }
    const size_t n = json_array_size(list);
    if (n == 0) /* as without a list: nobody knows them */
        goto done;
    out->class_names = fwi_alloc_array(n + 1, sizeof *out->class_names);
    if (out->class_names == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    for (size_t i = 0; i < n && st == FW_OK; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name == NULL)
            st = fwi_fail(FW_EFORMAT, "%s: class %zu is no text", path, i);
        else if ((out->class_names[i] = fwi_strdup(name)) == NULL)
            st = FW_ENOMEM;
        else
            out->n_class_names++;
    }
done:
    json_decref(list);
    return st;
}

fw_status fwi_model_meta_read(const fwi_safetensors *s, fwi_model_meta *out)
{
    static const char *const keys[] = {"format",    "layers",     "input",  "version",
                                       "precision", "transforms", "classes"};
    const char *path = fwi_st_path(s);
    if (fwi_st_meta(s, "step") != NULL && fwi_st_meta(s, "format") == NULL)
        return fwi_fail(FW_EFORMAT,
                        "%s: is a checkpoint, for going on with a run: a run that has ended leaves "
                        "its model in model.safetensors",
                        path);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (fwi_st_meta(s, keys[i]) == NULL)
            return fwi_fail(FW_EFORMAT, "%s: metadata has no \"%s\": not a model of fenwicks", path,
                            keys[i]);
    if (strcmp(fwi_st_meta(s, "format"), format_name) != 0)
        return fwi_fail(FW_EFORMAT, "%s: format is \"%.40s\", this library reads \"%s\"", path,
                        fwi_st_meta(s, "format"), format_name);
    fwi_model_meta m = {0};
    double in[3];
    bool fits = numbers(fwi_st_meta(s, "input"), in, 3) == 3;
    for (int i = 0; i < 3 && fits; i++)
        fits = in[i] >= 1 && in[i] <= (i < 2 ? 65536 : FW_MAX_CHANNELS) && in[i] == floor(in[i]);
    if (!fits)
        return fwi_fail(FW_EFORMAT, "%s: input is \"%.40s\", expected height width channels", path,
                        fwi_st_meta(s, "input"));
    const char *precision = fwi_st_meta(s, "precision");
    static const fw_dtype known[] = {FW_F32, FW_F64, FW_BF16};
    size_t type = 0;
    while (type < 3 && strcmp(precision, fw_dtype_name(known[type])) != 0)
        type++;
    if (type == 3)
        return fwi_fail(FW_EFORMAT, "%s: precision is \"%.40s\", expected f32, f64 or bf16", path,
                        precision);
    m = (fwi_model_meta){
        .h = (int64_t)in[0], .w = (int64_t)in[1], .c = (int64_t)in[2], .precision = known[type]};
    fw_status st = fwi_transforms_parse(fwi_st_meta(s, "transforms"), path, m.transforms);
    if (st == FW_OK && m.transforms[0].kind == FW_TRANSFORM_STANDARDIZE && m.transforms[0].c != m.c)
        st = fwi_fail(FW_EFORMAT, "%s: standardises %" PRId64 " channels, images have %" PRId64,
                      path, m.transforms[0].c, m.c);
    if (st == FW_OK)
        st = read_classes(fwi_st_meta(s, "classes"), path, &m);
    if (st == FW_OK && ((m.layers = fwi_strdup(fwi_st_meta(s, "layers"))) == NULL ||
                        (m.version = fwi_strdup(fwi_st_meta(s, "version"))) == NULL))
        st = FW_ENOMEM;
    if (st == FW_OK)
        *out = m;
    else
        fwi_model_meta_clear(&m);
    return st;
}

/* load: into the store; else only whether that can be done. */
static fw_status load_one(fwi_store *store, fwi_safetensors *s, const fwi_var *v,
                          const fwi_st_tensor *t, bool load, fwi_buf *host)
{
    fw_status st = fwi_buf_reserve(host, v->bytes);
    if (st == FW_OK)
        st = fwi_st_read(s, t, host->data);
    const int64_t bad =
        st == FW_OK ? fwi_st_first_not_finite(host->data, v->dtype, fwi_shape_elems(&v->shape))
                    : -1;
    if (bad >= 0)
        return fwi_fail(FW_EFORMAT, "%s: tensor %s: element %" PRId64 " is not finite",
                        fwi_st_path(s), v->name, bad);
    return st == FW_OK && load ? fwi_store_write(store, v, host->data) : st;
}

fw_status fwi_model_load(fwi_store *store, fwi_safetensors *s)
{
    fwi_buf host = {0};
    int n = 0;
    fw_status st = FW_OK;
    for (int i = 0; i < store->n_vars && st == FW_OK; i++) {
        const fwi_var *v = &store->vars[i];
        if (!evaluated(v))
            continue;
        n++;
        const fwi_st_tensor *t = fwi_st_find(s, v->name);
        if (t == NULL)
            st = fwi_fail(FW_EFORMAT, "%s: tensor %s, which the layers ask for, is missing",
                          fwi_st_path(s), v->name);
        else if (t->dtype != v->dtype || !fwi_shape_equal(&t->shape, &v->shape))
            st = fwi_fail(FW_EFORMAT, "%s: tensor %s has another shape or type than its layer",
                          fwi_st_path(s), v->name);
        else
            st = load_one(store, s, v, t, true, &host);
    }
    if (st == FW_OK && n != fwi_st_count(s))
        st = fwi_fail(FW_EFORMAT, "%s: has %d tensors, its layers ask for %d", fwi_st_path(s),
                      fwi_st_count(s), n);
    fwi_buf_clear(&host);
    return st;
}

static fw_status warm_start(fwi_store *store, const char *path, bool load)
{
    fwi_safetensors *s = NULL;
    fwi_buf host = {0};
    int n = 0, all = 0;
    fw_status st = fwi_st_open(&s, path);
    if (st == FW_OK)
        st = fwi_st_verify(s);
    for (int i = 0; i < store->n_vars && st == FW_OK; i++) {
        const fwi_var *v = &store->vars[i];
        const fwi_st_tensor *t = evaluated(v) ? fwi_st_find(s, v->name) : NULL;
        all += evaluated(v);
        if (t == NULL || t->dtype != v->dtype || !fwi_shape_equal(&t->shape, &v->shape))
            continue;
        st = load_one(store, s, v, t, load, &host);
        n++;
    }
    if (st == FW_OK && n == 0)
        st = fwi_fail(FW_ESHAPE, "%s: no tensor agrees with this network in name and shape", path);
    if (st == FW_OK && load)
        fwi_log(n < all ? 1 : 2,
                "warm start: %d of the network's %d tensors are in %s; others begin as without it",
                n, all, path);
    fwi_buf_clear(&host);
    fwi_st_close(s);
    return st;
}

fw_status fwi_model_warm_start(fwi_store *store, const char *path)
{
    return warm_start(store, path, true);
}

fw_status fwi_model_warm_check(fwi_store *store, const char *path)
{
    return warm_start(store, path, false);
}
