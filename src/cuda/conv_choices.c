/* conv_choices.c: the list of measured engines, as a file and in memory. Read before:
 * conv_choices.h. */
#include "conv_choices.h"

#include "file.h"
#include "json_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_BYTES = 4 << 20, MAX_CHOICES = 4096 };
#define FORMAT "fenwicks-conv-choices"

void fwi_dnn_choices_clear(fwi_dnn_choices *c)
{
    fwi_free(c->items);
    *c = (fwi_dnn_choices){0};
}

const fwi_dnn_choice *fwi_dnn_choices_find(const fwi_dnn_choices *c, const fwi_dnn_key *key)
{
    for (int i = 0; i < c->n; i++) {
        if (fwi_dnn_key_equal(&c->items[i].key, key))
            return &c->items[i];
    }
    return NULL;
}

fw_status fwi_dnn_choices_put(fwi_dnn_choices *c, const fwi_dnn_choice *choice)
{
    for (int i = 0; i < c->n; i++) {
        if (fwi_dnn_key_equal(&c->items[i].key, &choice->key)) {
            c->items[i] = *choice;
            return FW_OK;
        }
    }
    if (c->n == MAX_CHOICES)
        return fwi_fail(FW_EARG, "more than %d choices of engines", (int)MAX_CHOICES);
    if (c->n == c->cap) {
        const int cap = c->cap > 0 ? 2 * c->cap : 16;
        fwi_dnn_choice *items = fwi_realloc(c->items, (size_t)cap * sizeof *items);
        if (items == NULL)
            return FW_ENOMEM;
        c->items = items;
        c->cap = cap;
    }
    c->items[c->n++] = *choice;
    return FW_OK;
}

/* ---- the file ---- */

/* The numbers of a key by name, in the order in which they are written. */
static const struct {
    const char *name;
    size_t at;
} numbers[] = {
    {"n", offsetof(fwi_dnn_key, n)},         {"h", offsetof(fwi_dnn_key, h)},
    {"w", offsetof(fwi_dnn_key, w)},         {"c", offsetof(fwi_dnn_key, c)},
    {"oc", offsetof(fwi_dnn_key, oc)},       {"kh", offsetof(fwi_dnn_key, kh)},
    {"kw", offsetof(fwi_dnn_key, kw)},       {"oh", offsetof(fwi_dnn_key, oh)},
    {"ow", offsetof(fwi_dnn_key, ow)},       {"stride", offsetof(fwi_dnn_key, stride)},
    {"pad_t", offsetof(fwi_dnn_key, pad_t)}, {"pad_l", offsetof(fwi_dnn_key, pad_l)},
    {"pad_b", offsetof(fwi_dnn_key, pad_b)}, {"pad_r", offsetof(fwi_dnn_key, pad_r)},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static const char *type_name(const fwi_dnn_key *k)
{
    return k->tf32 ? "tf32" : fw_dtype_name((fw_dtype)k->dtype);
}

static json_t *print_choice(const fwi_dnn_choice *c)
{
    json_t *j = json_object(), *knobs = json_array();
    int bad = json_object_set_new(j, "op", json_string(fwi_dnn_pass_name(c->key.pass)));
    bad |= json_object_set_new(j, "type", json_string(type_name(&c->key)));
    for (int i = 0; i < NUMBERS; i++) {
        int32_t v = 0;
        memcpy(&v, (const char *)&c->key + numbers[i].at, sizeof v);
        bad |= json_object_set_new(j, numbers[i].name, json_integer(v));
    }
    if (c->key.pass == FWI_DNN_DW)
        bad |= json_object_set_new(j, "dw", json_string(fw_dtype_name((fw_dtype)c->dw)));
    if (c->pad > 0)
        bad |= json_object_set_new(j, "pad", json_integer(c->pad));
    bad |= json_object_set_new(j, "engine",
                               c->own[0] != 0 ? json_string(c->own) : json_integer(c->engine));
    for (int i = 0; i < c->n_knobs; i++) {
        json_t *knob = json_array();
        bad |= json_array_append_new(knob, json_integer(c->knobs[i].type));
        bad |= json_array_append_new(knob, json_integer(c->knobs[i].value));
        bad |= json_array_append_new(knobs, knob);
    }
    bad |= json_object_set_new(j, "knobs", knobs);
    bad |= json_object_set_new(j, "seconds", json_real(c->seconds));
    if (bad == 0)
        return j;
    json_decref(j);
    return NULL;
}

fw_status fwi_dnn_choices_print(const fwi_dnn_choices *c, fwi_buf *out)
{
    fw_status st = FW_ENOMEM;
    char *text = NULL;
    json_t *j = json_object(), *list = json_array();
    int bad = json_object_set_new(j, "format", json_string(FORMAT));
    bad |= json_object_set_new(j, "version", json_integer(1));
    bad |= json_object_set_new(j, "sm", json_integer(c->sm));
    bad |= json_object_set_new(j, "cudnn", json_integer(c->cudnn));
    for (int i = 0; i < c->n; i++)
        bad |= json_array_append_new(list, print_choice(&c->items[i]));
    bad |= json_object_set_new(j, "choices", list);
    if (bad == 0 && (text = json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(6))) != NULL)
        st = fwi_buf_printf(out, "%s\n", text);
    else
        st = fwi_fail(FW_ENOMEM, "choices of engines: no memory for their text");
    free(text);
    json_decref(j);
    return st;
}

static fw_status wrong(const char *name, int i, const char *what)
{
    return fwi_fail(FW_EFORMAT, "%s: choice %d: %s", name, i, what);
}

/* A whole number within [lo, hi]; false: another value, or none of that name. */
static bool whole(const json_t *j, const char *name, int64_t lo, int64_t hi, int64_t *out)
{
    const json_t *v = json_object_get(j, name);
    if (!json_is_integer(v) || json_integer_value(v) < lo || json_integer_value(v) > hi)
        return false;
    *out = json_integer_value(v);
    return true;
}

static const char *parse_type(const json_t *j, fwi_dnn_key *k)
{
    static const struct {
        const char *name;
        fw_dtype dtype;
        int32_t tf32;
    } types[] = {{"f32", FW_F32, 0}, {"tf32", FW_F32, 1}, {"bf16", FW_BF16, 0}, {"f16", FW_F16, 0}};
    const char *op = json_string_value(json_object_get(j, "op"));
    const char *type = json_string_value(json_object_get(j, "type"));
    k->pass = -1;
    for (int32_t i = 0; op != NULL && i < FWI_DNN_PASSES; i++) {
        if (strcmp(op, fwi_dnn_pass_name(i)) == 0)
            k->pass = i;
    }
    if (k->pass < 0)
        return "op is none of conv2d, conv2d_dx, conv2d_dw";
    for (size_t i = 0; type != NULL && i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i].name) != 0)
            continue;
        k->dtype = (int32_t)types[i].dtype;
        k->tf32 = types[i].tf32;
        return NULL;
    }
    return "type is none of f32, tf32, bf16, f16";
}

static const char *parse_dw(const json_t *j, fwi_dnn_choice *c)
{
    c->dw = FW_F32;
    const json_t *v = json_object_get(j, "dw");
    if (c->key.pass != FWI_DNN_DW)
        return v == NULL ? NULL : "dw is for conv2d_dw alone";
    const char *dw = json_string_value(v);
    if (dw != NULL && strcmp(dw, "f32") == 0)
        return NULL;
    if (dw == NULL || strcmp(dw, fw_dtype_name((fw_dtype)c->key.dtype)) != 0)
        return "dw is neither f32 nor the type of the images";
    c->dw = c->key.dtype;
    return NULL;
}

/* A number: cuDNN's engine. Text: one of ours; which there are is asked when it is to be used, so that a
 * file may name one of another version of this library. */
static const char *parse_engine(const json_t *j, fwi_dnn_choice *c)
{
    const char *own = json_string_value(json_object_get(j, "engine"));
    if (own == NULL)
        return whole(j, "engine", 0, 1000000, &c->engine) ? NULL
                                                          : "engine is no number of an engine";
    if (strncmp(own, "own:", 4) != 0 || own[4] == 0 || strlen(own) >= sizeof c->own)
        return "engine is neither a number nor own:NAME";
    for (const char *p = own + 4; *p != 0; p++) {
        if ((*p < '0' || *p > '9') && (*p < 'a' || *p > 'z'))
            return "engine is neither a number nor own:NAME";
    }
    memcpy(c->own, own, strlen(own));
    return NULL;
}

/* Absent: none. */
static const char *parse_pad(const json_t *j, fwi_dnn_choice *c)
{
    int64_t pad = 0;
    fwi_dnn_key padded;
    if (json_object_get(j, "pad") == NULL)
        return NULL;
    if (!whole(j, "pad", 4, 8, &pad) || pad % 4 != 0)
        return "pad is neither 4 nor 8";
    c->pad = (int32_t)pad;
    return fwi_dnn_key_padded(&c->key, c->pad, &padded) ? NULL : "pad has nothing to pad";
}

static const char *parse_knobs(const json_t *j, fwi_dnn_choice *c)
{
    const json_t *knobs = json_object_get(j, "knobs");
    if (!json_is_array(knobs))
        return "knobs is no list";
    if (json_array_size(knobs) > FWI_CONV_KNOBS)
        return "it has more knobs than there can be";
    for (size_t i = 0; i < json_array_size(knobs); i++) {
        const json_t *knob = json_array_get(knobs, i);
        const json_t *type = json_array_get(knob, 0), *value = json_array_get(knob, 1);
        if (json_array_size(knob) != 2 || !json_is_integer(type) || !json_is_integer(value))
            return "a knob is no pair of whole numbers";
        if (json_integer_value(type) < 0 || json_integer_value(type) > 10000)
            return "a knob's type is out of range";
        for (int32_t k = 0; k < c->n_knobs; k++) {
            if (c->knobs[k].type == json_integer_value(type))
                return "a knob is named twice";
        }
        c->knobs[c->n_knobs].type = (int32_t)json_integer_value(type);
        c->knobs[c->n_knobs++].value = json_integer_value(value);
    }
    return NULL;
}

/* NULL, or what is wrong. */
static const char *parse_choice(const json_t *j, fwi_dnn_choice *c)
{
    *c = (fwi_dnn_choice){0};
    if (!json_is_object(j))
        return "it is no object";
    const char *bad = parse_type(j, &c->key);
    for (int i = 0; i < NUMBERS && bad == NULL; i++) {
        int64_t v = 0;
        if (!whole(j, numbers[i].name, 0, INT32_MAX, &v))
            bad = "one of n h w c oc kh kw oh ow stride pad_t pad_l pad_b pad_r is missing or "
                  "no whole number in range";
        const int32_t small = (int32_t)v;
        memcpy((char *)&c->key + numbers[i].at, &small, sizeof small);
    }
    if (bad == NULL)
        bad = fwi_dnn_key_wrong(&c->key);
    if (bad == NULL)
        bad = parse_dw(j, c);
    if (bad == NULL)
        bad = parse_engine(j, c);
    if (bad == NULL)
        bad = parse_pad(j, c);
    if (bad == NULL)
        bad = parse_knobs(j, c);
    if (bad == NULL && c->own[0] != 0 && (c->n_knobs > 0 || c->dw != FW_F32 || c->pad > 0))
        bad = "an engine of our own has no knobs and no pad, and gives dw in f32";
    const json_t *seconds = json_object_get(j, "seconds");
    c->seconds = json_number_value(seconds);
    if (bad == NULL && (!json_is_number(seconds) || !(c->seconds >= 0)))
        bad = "seconds is no number of seconds";
    return bad;
}

static fw_status parse_json(fwi_dnn_choices *out, const char *name, const json_t *j)
{
    const char *format = json_string_value(json_object_get(j, "format"));
    int64_t version = 0, sm = 0;
    if (format == NULL || strcmp(format, FORMAT) != 0)
        return fwi_fail(FW_EFORMAT, "%s: not a file of choices of engines (format is not %s)", name,
                        FORMAT);
    if (!whole(j, "version", 1, 1, &version))
        return fwi_fail(FW_EFORMAT, "%s: its version is not 1", name);
    if (!whole(j, "sm", 1, 9999, &sm))
        return fwi_fail(FW_EFORMAT, "%s: sm is no compute capability times ten", name);
    if (!whole(j, "cudnn", 1, INT32_MAX, &out->cudnn))
        return fwi_fail(FW_EFORMAT, "%s: cudnn is no version", name);
    out->sm = (int)sm;
    const json_t *list = json_object_get(j, "choices");
    if (!json_is_array(list) || json_array_size(list) > MAX_CHOICES)
        return fwi_fail(FW_EFORMAT, "%s: choices is no list of at most %d", name, (int)MAX_CHOICES);
    for (size_t i = 0; i < json_array_size(list); i++) {
        fwi_dnn_choice c;
        const char *bad = parse_choice(json_array_get(list, i), &c);
        if (bad != NULL)
            return wrong(name, (int)i, bad);
        if (fwi_dnn_choices_find(out, &c.key) != NULL)
            return wrong(name, (int)i, "its convolution was named before");
        const fw_status st = fwi_dnn_choices_put(out, &c);
        if (st != FW_OK)
            return st;
    }
    return FW_OK;
}

fw_status fwi_dnn_choices_parse(fwi_dnn_choices *out, const char *name, const void *bytes,
                                size_t n_bytes)
{
    *out = (fwi_dnn_choices){0};
    if (n_bytes > MAX_BYTES)
        return fwi_fail(FW_EFORMAT, "%s: %zu bytes, a file of choices has at most %d", name,
                        n_bytes, (int)MAX_BYTES);
    json_error_t error;
    json_t *j = fwi_json_read(bytes, n_bytes, &error);
    if (j == NULL)
        return fwi_fail(fwi_json_status(&error), "%s: line %d: %s", name, error.line, error.text);
    const fw_status st = parse_json(out, name, j);
    json_decref(j);
    if (st != FW_OK)
        fwi_dnn_choices_clear(out);
    return st;
}

/* ---- where it is ---- */

static const char *set_variable(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && *v != 0 ? v : NULL;
}

char *fwi_dnn_choices_path(int sm)
{
    const char *asked = set_variable("FENWICKS_CONV_CHOICES");
    if (asked != NULL)
        return fwi_strdup(asked);
    const char *cache = set_variable("XDG_CACHE_HOME"), *home = set_variable("HOME");
    if (cache != NULL)
        return fwi_sprintf("%s/fenwicks/conv-choices-sm%d.json", cache, sm);
    return home != NULL ? fwi_sprintf("%s/.cache/fenwicks/conv-choices-sm%d.json", home, sm) : NULL;
}

static fw_status no_place(void)
{
    return fwi_fail(FW_ENOTFOUND, "choices of engines: no place for their file: set "
                                  "FENWICKS_CONV_CHOICES=PATH, XDG_CACHE_HOME or HOME");
}

/* Caches may be where this process has no business, as in another user's home. */
static bool is_out_of_reach(const char *path)
{
    if (access(path, R_OK) == 0 || (errno != EACCES && errno != ENOTDIR))
        return false;
    fwi_log(1, "%s: %s: measured engines that may be there are not used", path, strerror(errno));
    return true;
}

/* asked: the user named it. */
static fw_status load_file(fwi_dnn_choices *out, const char *path, bool asked)
{
    fwi_buf bytes = {0};
    fwi_dnn_choices file = {0};
    if (!asked && is_out_of_reach(path))
        return FW_OK;
    fw_status st = fwi_read_file(path, MAX_BYTES, &bytes);
    if (st == FW_ENOTFOUND) {
        st = FW_OK;
        goto done;
    }
    if (st == FW_OK)
        st = fwi_dnn_choices_parse(&file, path, bytes.data, bytes.size);
    if (st == FW_OK && (file.sm != out->sm || file.cudnn != out->cudnn)) {
        fwi_log(1, "%s: for sm_%d and cuDNN %lld, here are sm_%d and cuDNN %lld: not used", path,
                file.sm, (long long)file.cudnn, out->sm, (long long)out->cudnn);
        goto done;
    }
    for (int i = 0; i < file.n && st == FW_OK; i++)
        st = fwi_dnn_choices_put(out, &file.items[i]);
done:
    fwi_buf_clear(&bytes);
    fwi_dnn_choices_clear(&file);
    return st;
}

fw_status fwi_dnn_choices_load(fwi_dnn_choices *out, int sm, int64_t cudnn)
{
    *out = (fwi_dnn_choices){.sm = sm, .cudnn = cudnn};
    fw_status st = FW_OK;
    for (const fwi_dnn_choices_row *r = fwi_dnn_choices_table; r->sm != 0 && st == FW_OK; r++) {
        if (r->sm == sm && r->cudnn == cudnn)
            st = fwi_dnn_choices_put(out, &r->choice);
    }
    char *path = st == FW_OK ? fwi_dnn_choices_path(sm) : NULL;
    if (path != NULL)
        st = load_file(out, path, set_variable("FENWICKS_CONV_CHOICES") != NULL);
    fwi_free(path);
    if (st != FW_OK)
        fwi_dnn_choices_clear(out);
    return st;
}

fw_status fwi_dnn_choices_load_file(fwi_dnn_choices *out, int sm, int64_t cudnn)
{
    fwi_buf bytes = {0};
    char *path = fwi_dnn_choices_path(sm);
    *out = (fwi_dnn_choices){0};
    fw_status st = path == NULL ? no_place() : fwi_read_file(path, MAX_BYTES, &bytes);
    if (st == FW_OK)
        st = fwi_dnn_choices_parse(out, path, bytes.data, bytes.size);
    else if (path != NULL && st == FW_ENOTFOUND)
        st = FW_OK;
    if (st == FW_OK && out->sm != 0 && out->sm != sm)
        st = fwi_fail(FW_EARG, "%s: holds choices for sm_%d, here is sm_%d: move it away first",
                      path, out->sm, sm);
    if (st == FW_OK && out->sm != 0 && out->cudnn != cudnn) {
        fwi_log(1, "%s: its choices are for cuDNN %lld, here is %lld: they will be replaced", path,
                (long long)out->cudnn, (long long)cudnn);
        fwi_dnn_choices_clear(out);
    }
    if (st == FW_OK) {
        out->sm = sm;
        out->cudnn = cudnn;
    } else {
        fwi_dnn_choices_clear(out);
    }
    fwi_buf_clear(&bytes);
    fwi_free(path);
    return st;
}

/* The folder of a file, with its parents. */
static fw_status make_folder(const char *path)
{
    const size_t n = (size_t)(fwi_path_base(path) - path);
    char *const dir = n > 1 ? fwi_sprintf("%.*s", (int)(n - 1), path) : NULL;
    const fw_status st = n <= 1 ? FW_OK : dir == NULL ? FW_ENOMEM : fwi_mkdirs(dir);
    fwi_free(dir);
    return st;
}

fw_status fwi_dnn_choices_save(const fwi_dnn_choices *c)
{
    char *path = fwi_dnn_choices_path(c->sm);
    if (path == NULL)
        return no_place();
    fwi_buf text = {0};
    fw_status st = fwi_dnn_choices_print(c, &text);
    if (st == FW_OK)
        st = make_folder(path);
    if (st == FW_OK)
        st = fwi_write_file(path, text.data, text.size);
    fwi_buf_clear(&text);
    fwi_free(path);
    return st;
}

fw_status fwi_dnn_choices_add(int sm, int64_t cudnn, const fwi_dnn_choice *choice)
{
    char *const path = fwi_dnn_choices_path(sm);
    if (path == NULL)
        return no_place();
    fwi_dnn_choices file = {0};
    fwi_file_lock lock = {0};
    char *const beside = fwi_sprintf("%s.lock", path); /* the file itself is replaced */
    fw_status st = beside == NULL ? FW_ENOMEM : make_folder(path);
    if (st == FW_OK)
        st = fwi_file_lock_take(&lock, beside);
    if (st == FW_OK)
        st = fwi_dnn_choices_load_file(&file, sm, cudnn);
    if (st == FW_OK && choice != NULL)
        st = fwi_dnn_choices_put(&file, choice);
    if (st == FW_OK)
        st = fwi_dnn_choices_save(&file);
    fwi_file_lock_leave(&lock);
    fwi_dnn_choices_clear(&file);
    fwi_free(beside);
    fwi_free(path);
    return st;
}
