/* sidecar.c: sidecar.h in JSON, by jansson. Numbers are written with 9 significant digits, which
 * give every float back exactly. */
#include "sidecar.h"

#include "fail.h"
#include "image_set.h"
#include "json_read.h"
#include "tfrecord.h"
#include "utf8.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

enum { VERSION = 1, FLOAT_DIGITS = 9 };
#define MAX_TEXT ((size_t)64 << 20)

const char *fwi_compression_name(fw_compression z)
{
    static const char *const names[] = {"none", "gzip", "zlib"};
    return (unsigned)z < 3 ? names[z] : "?";
}

void fw_record_info_clear(fw_record_info *info)
{
    if (info == NULL)
        return;
    fwi_class_names_free(info->class_names, info->n_classes);
    fwi_free(info->source);
    *info = (fw_record_info){0};
}

void fwi_sidecar_clear(fwi_sidecar *s)
{
    fw_record_info_clear(&s->info);
    fwi_free(s->digest);
    for (int64_t i = 0; i < s->n_files; i++)
        fwi_free(s->files[i].name);
    fwi_free(s->files);
    *s = (fwi_sidecar){0};
}

/* JSON is UTF-8; names of files and classes need not be: of those that are not, this stands for c. */
static char stand_in(char c)
{
    return (unsigned char)c >= 0x80 ? '?' : c;
}

static json_t *text_json(const char *s)
{
    json_t *j = json_string(s);
    if (j != NULL)
        return j;
    char *copy = fwi_strdup(s);
    if (copy == NULL)
        return NULL;
    for (char *p = copy; *p != '\0'; p++)
        *p = stand_in(*p);
    j = json_string(copy);
    fwi_free(copy);
    return j;
}

bool fwi_sidecar_same_text(const char *said, const char *text)
{
    const size_t n = strlen(text);
    if (strcmp(said, text) == 0)
        return true;
    if (strlen(said) != n || fwi_utf8_valid(text, n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (said[i] != stand_in(text[i]))
            return false;
    return true;
}

/* Takes item; a list that could not grow is NULL, which json_pack refuses in turn. */
static json_t *append(json_t *list, json_t *item)
{
    if (json_array_append_new(list, item) == 0)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *floats_json(const float *v, int64_t n)
{
    json_t *a = json_array();
    for (int64_t i = 0; i < n; i++)
        a = append(a, json_real((double)v[i]));
    return a;
}

static json_t *to_json(const fwi_sidecar *s)
{
    const fw_record_info *in = &s->info;
    json_t *classes = in->class_names == NULL ? json_integer(in->n_classes) : json_array();
    for (int64_t i = 0; in->class_names != NULL && i < in->n_classes; i++)
        classes = append(classes, text_json(in->class_names[i]));
    json_t *files = json_array();
    for (int64_t i = 0; i < s->n_files; i++)
        files = append(files, json_pack("{s:o, s:I, s:I}", "name", text_json(s->files[i].name),
                                        "records", (json_int_t)s->files[i].n_records, "bytes",
                                        (json_int_t)s->files[i].n_bytes));
    return json_pack(
        "{s:i, s:I, s:[I,I,I], s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "version", VERSION,
        "count", (json_int_t)in->n, "shape", (json_int_t)in->h, (json_int_t)in->w,
        (json_int_t)in->c, "type", in->dtype == FW_U8 ? "uint8" : "float32", "labelled",
        in->labelled ? 1 : 0, "classes", classes, "mean", floats_json(in->mean, in->c), "std",
        floats_json(in->std, in->c), "source", text_json(in->source != NULL ? in->source : ""),
        "digest", text_json(s->digest != NULL ? s->digest : ""), "compression",
        fwi_compression_name(s->compression), "files", files);
}

/* jansson 2.14 looks away when a key cannot be written, so the failure is remembered here too. */
typedef struct json_text {
    fwi_buf buf;
    fw_status st;
} json_text;

static int append_text(const char *p, size_t n, void *ctx)
{
    json_text *t = ctx;
    if (t->st == FW_OK)
        t->st = fwi_buf_append(&t->buf, p, n);
    return t->st == FW_OK ? 0 : -1;
}

fw_status fwi_sidecar_write(const char *path, const fwi_sidecar *s)
{
    json_text t = {.st = FW_OK};
    json_t *root = to_json(s);
    if (root == NULL || json_dump_callback(root, append_text, &t,
                                           JSON_INDENT(1) | JSON_REAL_PRECISION(FLOAT_DIGITS)) != 0)
        t.st = fwi_fail(FW_ENOMEM, "%s: out of memory for its text", path);
    json_decref(root);
    append_text("\n", 1, &t);
    if (t.st == FW_OK && t.buf.size > MAX_TEXT)
        t.st = fwi_fail(FW_EARG,
                        "%s: %zu bytes, the most that is read is %zu: shorter names of classes?",
                        path, t.buf.size, MAX_TEXT);
    if (t.st == FW_OK)
        t.st = fwi_write_file(path, t.buf.data, t.buf.size);
    fwi_buf_clear(&t.buf);
    return t.st;
}

/* ---- reading: every entry is held against what it must be ---- */

static fw_status bad(const char *name, const char *key, const char *expected)
{
    return fwi_fail(FW_EFORMAT, "%s: \"%s\" is missing or damaged, expected %s", name, key,
                    expected);
}

static fw_status get_int(const json_t *o, const char *name, const char *key, int64_t min,
                         int64_t max, int64_t *out)
{
    const json_t *j = json_object_get(o, key);
    if (!json_is_integer(j))
        return bad(name, key, "a whole number");
    const int64_t v = json_integer_value(j);
    if (v < min || v > max)
        return fwi_fail(FW_EFORMAT, "%s: \"%s\" is %lld, expected %lld to %lld", name, key,
                        (long long)v, (long long)min, (long long)max);
    *out = v;
    return FW_OK;
}

static fw_status get_text(const json_t *o, const char *name, const char *key, char **out)
{
    const json_t *j = json_object_get(o, key);
    if (!json_is_string(j))
        return bad(name, key, "a string");
    *out = fwi_strdup(json_string_value(j));
    return *out == NULL ? FW_ENOMEM : FW_OK;
}

static fw_status get_floats(const json_t *o, const char *name, const char *key, int64_t n,
                            float *out)
{
    const json_t *j = json_object_get(o, key);
    if (!json_is_array(j) || json_array_size(j) != (size_t)n)
        return bad(name, key, "one number per channel");
    for (int64_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(j, (size_t)i);
        out[i] = (float)json_number_value(v);
        if (!json_is_number(v) || !isfinite(out[i]))
            return bad(name, key, "one finite number per channel");
    }
    return FW_OK;
}

static fw_status get_classes(const json_t *o, const char *name, fw_record_info *in)
{
    const json_t *j = json_object_get(o, "classes");
    if (json_is_integer(j))
        return get_int(o, name, "classes", 0, FWI_MAX_CLASSES, &in->n_classes);
    if (!json_is_array(j) || json_array_size(j) > FWI_MAX_CLASSES)
        return bad(name, "classes", "a number or a list of names");
    const size_t n = json_array_size(j);
    if (n == 0) /* no names: a scan that finds classes numbers them */
        return FW_OK;
    in->class_names = fwi_alloc_array(n, sizeof *in->class_names);
    if (in->class_names == NULL)
        return FW_ENOMEM;
    in->n_classes = (int64_t)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(j, i);
        if (!json_is_string(v))
            return bad(name, "classes", "a number or a list of names");
        if ((in->class_names[i] = fwi_strdup(json_string_value(v))) == NULL)
            return FW_ENOMEM;
    }
    return FW_OK;
}

static fw_status get_shape(const json_t *o, const char *name, fw_record_info *in)
{
    const json_t *j = json_object_get(o, "shape");
    int64_t *const to[3] = {&in->h, &in->w, &in->c};
    if (!json_is_array(j) || json_array_size(j) != 3)
        return bad(name, "shape", "[height, width, channels]");
    for (size_t i = 0; i < 3; i++) {
        const json_t *v = json_array_get(j, i);
        if (!json_is_integer(v))
            return bad(name, "shape", "[height, width, channels]");
        *to[i] = json_integer_value(v);
    }
    size_t n_values = 0;
    return fwi_images_check_size(name, in->n > 0 ? in->n : 1, in->h, in->w, in->c, &n_values);
}

/* How many of these images a file of so many bytes can hold: room is made for them before they are read. */
static int64_t most_records(const fwi_sidecar *s, int64_t n_bytes)
{
    enum { DEFLATE = 1032 }; /* to one, at best: zlib's technical notes */
    const fw_record_info *const in = &s->info;
    const int64_t values = in->h * in->w * in->c; /* get_shape has seen that it can be held */
    const int64_t one =
        FWI_RECORD_HEAD + FWI_RECORD_FOOT + (in->dtype == FW_F32 ? 4 * values : values);
    if (s->compression == FW_PLAIN)
        return n_bytes / one;
    return n_bytes < INT64_MAX / DEFLATE ? n_bytes * DEFLATE / one : INT64_MAX;
}

static fw_status get_files(const json_t *o, const char *name, fwi_sidecar *s)
{
    const json_t *j = json_object_get(o, "files");
    if (!json_is_array(j))
        return bad(name, "files", "a list of {name, records, bytes}");
    const size_t n = json_array_size(j);
    s->files = fwi_alloc_array(n, sizeof *s->files);
    if (s->files == NULL)
        return FW_ENOMEM;
    s->n_files = (int64_t)n;
    int64_t records = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *f = json_array_get(j, i);
        fw_status st = get_text(f, name, "name", &s->files[i].name);
        if (st == FW_OK)
            st = get_int(f, name, "records", 0, INT64_MAX / 2, &s->files[i].n_records);
        if (st == FW_OK)
            st = get_int(f, name, "bytes", 0, INT64_MAX / 2, &s->files[i].n_bytes);
        if (st != FW_OK)
            return st;
        if (s->files[i].n_records > most_records(s, s->files[i].n_bytes))
            return fwi_fail(FW_EFORMAT, "%s: %.500s cannot hold %lld records in %lld bytes", name,
                            s->files[i].name, (long long)s->files[i].n_records,
                            (long long)s->files[i].n_bytes);
        if (s->files[i].n_records > s->info.n - records)
            return fwi_fail(FW_EFORMAT, "%s: the files have more records than \"count\" says",
                            name);
        records += s->files[i].n_records;
    }
    return records == s->info.n
               ? FW_OK
               : fwi_fail(FW_EFORMAT, "%s: \"count\" is %lld, the files have %lld records", name,
                          (long long)s->info.n, (long long)records);
}

static fw_status from_json(const json_t *o, const char *name, fwi_sidecar *s)
{
    fw_record_info *in = &s->info;
    int64_t version = 0;
    if (!json_is_object(o))
        return fwi_fail(FW_EFORMAT, "%s: expected one JSON object", name);
    fw_status st = get_int(o, name, "version", VERSION, VERSION, &version);
    if (st == FW_OK)
        st = get_int(o, name, "count", 0, INT64_MAX / 2, &in->n);
    if (st == FW_OK)
        st = get_shape(o, name, in);
    if (st != FW_OK)
        return st;
    const char *type = json_string_value(json_object_get(o, "type"));
    if (type == NULL || (strcmp(type, "uint8") != 0 && strcmp(type, "float32") != 0))
        return bad(name, "type", "\"uint8\" or \"float32\"");
    in->dtype = type[0] == 'u' ? FW_U8 : FW_F32;
    const json_t *labelled = json_object_get(o, "labelled");
    if (!json_is_boolean(labelled))
        return bad(name, "labelled", "true or false");
    in->labelled = json_is_true(labelled);
    const char *z = json_string_value(json_object_get(o, "compression"));
    int kind = 0;
    while (kind < 3 && (z == NULL || strcmp(z, fwi_compression_name((fw_compression)kind)) != 0))
        kind++;
    if (kind == 3)
        return bad(name, "compression", "\"none\", \"gzip\" or \"zlib\"");
    s->compression = (fw_compression)kind;
    st = get_classes(o, name, in);
    if (st == FW_OK && in->labelled && in->n_classes < 1)
        st = bad(name, "classes", "at least one class, as the records are labelled");
    if (st == FW_OK)
        st = get_floats(o, name, "mean", in->c, in->mean);
    if (st == FW_OK)
        st = get_floats(o, name, "std", in->c, in->std);
    if (st == FW_OK)
        st = get_text(o, name, "source", &in->source);
    if (st == FW_OK)
        st = get_text(o, name, "digest", &s->digest);
    if (st == FW_OK)
        st = get_files(o, name, s);
    return st;
}

fw_status fwi_sidecar_parse(const char *name, const void *text, size_t n_bytes, fwi_sidecar *out)
{
    json_error_t why;
    json_t *root = fwi_json_read(text, n_bytes, &why);
    if (root == NULL)
        return fwi_fail(fwi_json_status(&why), "%s: line %d, column %d: %s", name, why.line,
                        why.column, why.text);
    fwi_sidecar s = {0};
    const fw_status st = from_json(root, name, &s);
    json_decref(root);
    if (st != FW_OK) {
        fwi_sidecar_clear(&s);
        return st;
    }
    *out = s;
    return FW_OK;
}

fw_status fwi_sidecar_read(const char *path, fwi_sidecar *out)
{
    fwi_buf text = {0};
    fw_status st = fwi_read_own_file(path, MAX_TEXT, &text);
    if (st == FW_OK)
        st = fwi_sidecar_parse(path, text.data, text.size, out);
    fwi_buf_clear(&text);
    return st;
}

/* ---- which sidecar belongs to which files ---- */

/* path, which it takes, as *out if there is a file. NULL: no memory for it. */
static fw_status found(char *path, char **out)
{
    fwi_path_kind there = FWI_NOTHING;
    const fw_status st = path == NULL ? FW_ENOMEM : fwi_path_look(path, &there);
    if (there == FWI_FILE)
        *out = path;
    else
        fwi_free(path);
    return st;
}

fw_status fwi_sidecar_find(const fwi_paths *files, char **out)
{
    *out = NULL;
    const char *first = files->items[0];
    if (files->n == 1) {
        const fw_status st = found(fwi_sprintf("%s.json", first), out);
        if (st != FW_OK || *out != NULL)
            return st;
    }
    const size_t n = fwi_shard_parse(first, NULL, NULL);
    if (n == 0)
        return FW_OK;
    for (int64_t i = 1; i < files->n; i++)
        if (fwi_shard_parse(files->items[i], NULL, NULL) != n ||
            memcmp(files->items[i], first, n) != 0)
            return FW_OK;
    return found(fwi_sprintf("%.*s.json", (int)n, first), out);
}

fw_status fwi_sidecar_covers(const fwi_sidecar *s, const char *path, const fwi_paths *files,
                             bool *covers)
{
    *covers = false;
    if (s->n_files != files->n)
        return FW_OK;
    for (int64_t i = 0; i < files->n; i++)
        if (!fwi_sidecar_same_text(s->files[i].name, fwi_path_base(files->items[i])))
            return FW_OK;
    for (int64_t i = 0; i < files->n; i++) {
        const int64_t n = fwi_file_size(files->items[i]);
        if (n < 0 && errno == ENOENT)
            return fwi_fail(FW_ENOTFOUND, "%s: no such file, though %s lists it", files->items[i],
                            path);
        if (n < 0)
            return fwi_fail(FW_EIO, "%s, which %s lists: %s", files->items[i], path,
                            strerror(errno));
        if (n != s->files[i].n_bytes)
            return fwi_fail(
                FW_EFORMAT,
                "%s: says that %s has %lld bytes, but it has %lld: write the records again, or "
                "remove this file if they are right",
                path, files->items[i], (long long)s->files[i].n_bytes, (long long)n);
    }
    *covers = true;
    return FW_OK;
}
