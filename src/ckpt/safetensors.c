/* safetensors.c: reading files of tensors (safetensors.h). Nothing in the header is believed before
 * it was checked: the length against the file, the JSON against its grammar (jansson), every offset
 * against the data. The writing half is st_write.c. */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "crc32c.h"
#include "fail.h"
#include "json_read.h"
#include "st_types.h"

enum { MAX_HEADER = 100 * 1000 * 1000 }; /* the format's own limit */

typedef struct meta_item {
    const char *key, *text;
} meta_item;

struct fwi_safetensors {
    char *path;
    int fd;
    uint64_t data_at, data_bytes;
    uint8_t *held;  /* [data_bytes] or NULL: to be read from the file */
    json_t *header; /* owns the names and texts that the items point to */
    fwi_st_tensor *tensors;
    int n_tensors;
    meta_item *meta;
    int n_meta;
};

void fwi_st_close(fwi_safetensors *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0)
        close(s->fd);
    json_decref(s->header);
    fwi_free(s->held);
    fwi_free(s->tensors);
    fwi_free(s->meta);
    fwi_free(s->path);
    fwi_free(s);
}

/* Exactly n bytes at a place. */
static fw_status read_at(const fwi_safetensors *s, uint64_t at, void *dst, size_t n)
{
    size_t got = 0;
    const fw_status st = fwi_file_read_at(s->fd, dst, n, (int64_t)at, &got);
    if (st != FW_OK)
        return fwi_fail_in(st, "%s", s->path);
    if (got < n)
        return fwi_fail(FW_EFORMAT, "%s: ends at byte %" PRIu64 ", %zu bytes too early", s->path,
                        at + got, n - got);
    return FW_OK;
}

static fw_status parse_shape(const fwi_safetensors *s, const char *name, const json_t *shape,
                             fwi_shape *out)
{
    const size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > FW_MAX_RANK)
        return fwi_fail(FW_EFORMAT, "%s: tensor %.100s: shape is no list of at most %d numbers",
                        s->path, name, FW_MAX_RANK);
    *out = (fwi_shape){.rank = (int32_t)rank};
    for (size_t i = 0; i < rank; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0 ||
            json_integer_value(d) > INT64_C(1) << 40)
            return fwi_fail(FW_EFORMAT, "%s: tensor %.100s: dimension %zu of its shape is no size",
                            s->path, name, i);
        out->d[i] = json_integer_value(d);
    }
    return FW_OK;
}

/* One entry of the header: type known, offsets inside the data, as long as the shape says. */
static fw_status parse_tensor(const fwi_safetensors *s, const char *name, const json_t *item,
                              fwi_st_tensor *out)
{
    const char *type = json_string_value(json_object_get(item, "dtype"));
    const json_t *offsets = json_object_get(item, "data_offsets");
    *out = (fwi_st_tensor){.name = name};
    if (type == NULL || !fwi_st_dtype_parse(type, &out->dtype))
        return fwi_fail(FW_EFORMAT, "%s: tensor %.100s: type %.20s is not one we have", s->path,
                        name, type == NULL ? "(none)" : type);
    const fw_status st = parse_shape(s, name, json_object_get(item, "shape"), &out->shape);
    if (st != FW_OK)
        return st;
    const json_t *b = json_array_get(offsets, 0), *e = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(b) || !json_is_integer(e) ||
        json_integer_value(b) < 0 || json_integer_value(e) < json_integer_value(b) ||
        (uint64_t)json_integer_value(e) > s->data_bytes)
        return fwi_fail(FW_EFORMAT,
                        "%s: tensor %.100s: data_offsets are not inside the %" PRIu64
                        " bytes of data",
                        s->path, name, s->data_bytes);
    out->begin = (uint64_t)json_integer_value(b);
    out->bytes = (uint64_t)json_integer_value(e) - out->begin;
    size_t want = fw_dtype_size(out->dtype);
    for (int i = 0; i < out->shape.rank; i++)
        if (!fwi_mul_size(want, (size_t)out->shape.d[i], &want))
            want = SIZE_MAX;
    if (want != out->bytes)
        return fwi_fail(
            FW_EFORMAT,
            "%s: tensor %.100s: its shape asks for %zu bytes, its offsets give %" PRIu64, s->path,
            name, want, out->bytes);
    return FW_OK;
}

static int by_begin(const void *a, const void *b)
{
    const fwi_st_tensor *const *x = a, *const *y = b;
    if ((*x)->begin != (*y)->begin)
        return (*x)->begin < (*y)->begin ? -1 : 1;
    return (*x)->bytes < (*y)->bytes ? -1 : (*x)->bytes > (*y)->bytes;
}

/* The format forbids holes and overlaps. */
static fw_status check_cover(const fwi_safetensors *s)
{
    const fwi_st_tensor **order =
        fwi_alloc_array((size_t)s->n_tensors + 1, sizeof *order); /* + 1: never 0 elements */
    if (order == NULL)
        return FW_ENOMEM;
    for (int i = 0; i < s->n_tensors; i++)
        order[i] = &s->tensors[i];
    qsort(order, (size_t)s->n_tensors, sizeof *order, by_begin);
    uint64_t at = 0;
    fw_status st = FW_OK;
    for (int i = 0; i < s->n_tensors && st == FW_OK; i++) {
        if (order[i]->begin != at)
            st = fwi_fail(FW_EFORMAT,
                          "%s: tensor %.100s begins at byte %" PRIu64
                          " of the data, expected %" PRIu64,
                          s->path, order[i]->name, order[i]->begin, at);
        at = order[i]->begin + order[i]->bytes;
    }
    if (st == FW_OK && at != s->data_bytes)
        st =
            fwi_fail(FW_EFORMAT, "%s: tensors end at byte %" PRIu64 " of %" PRIu64 " bytes of data",
                     s->path, at, s->data_bytes);
    fwi_free(order);
    return st;
}

static fw_status parse_meta(fwi_safetensors *s, json_t *meta)
{
    if (meta == NULL)
        return FW_OK;
    if (!json_is_object(meta))
        return fwi_fail(FW_EFORMAT, "%s: __metadata__ is no object", s->path);
    s->meta = fwi_alloc_array(json_object_size(meta) + 1, sizeof *s->meta);
    if (s->meta == NULL)
        return FW_ENOMEM;
    const char *key;
    json_t *value;
    json_object_foreach(meta, key, value)
    {
        if (!json_is_string(value))
            return fwi_fail(FW_EFORMAT, "%s: __metadata__: %.100s is no text", s->path, key);
        s->meta[s->n_meta++] = (meta_item){key, json_string_value(value)};
    }
    return FW_OK;
}

static fw_status parse_header(fwi_safetensors *s, const char *text, size_t n)
{
    json_error_t err;
    s->header = fwi_json_read(text, n, &err);
    if (s->header == NULL)
        return fwi_fail(fwi_json_status(&err), "%s: header at byte %d: %s", s->path,
                        8 + err.position, err.text);
    if (!json_is_object(s->header))
        return fwi_fail(FW_EFORMAT, "%s: header is no JSON object", s->path);
    s->tensors = fwi_alloc_array(json_object_size(s->header) + 1, sizeof *s->tensors);
    if (s->tensors == NULL)
        return FW_ENOMEM;
    const char *name;
    json_t *item;
    json_object_foreach(s->header, name, item)
    {
        fw_status st;
        if (strcmp(name, "__metadata__") == 0)
            st = parse_meta(s, item);
        else
            st = parse_tensor(s, name, item, &s->tensors[s->n_tensors++]);
        if (st != FW_OK)
            return st;
    }
    return check_cover(s);
}

fw_status fwi_st_open(fwi_safetensors **out, const char *path)
{
    if (out == NULL || path == NULL)
        return fwi_fail(FW_EARG, "fwi_st_open: NULL argument");
    char *text = NULL;
    fw_status st = fwi_path_check_local(path);
    if (st != FW_OK)
        return st;
    fwi_safetensors *s = fwi_alloc_zero(sizeof *s);
    if (s == NULL)
        return FW_ENOMEM;
    st = FW_ENOMEM;
    s->fd = -1;
    s->path = fwi_strdup(path);
    if (s->path == NULL)
        goto fail;
    s->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe without a writer is no wait */
    if (s->fd < 0) {
        st = fwi_fail(errno == ENOENT ? FW_ENOTFOUND : FW_EIO, "%s: cannot open: %s", path,
                      strerror(errno));
        goto fail;
    }
    struct stat info;
    if (fstat(s->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        st = fwi_fail(FW_EIO, "%s: is not a regular file", path);
        goto fail;
    }
    const uint64_t size = (uint64_t)info.st_size;
    if (size < 8) {
        st = fwi_fail(FW_EFORMAT, "%s: %" PRIu64 " bytes: too short for a safetensors file", path,
                      size);
        goto fail;
    }
    uint8_t len[8];
    st = read_at(s, 0, len, sizeof len);
    if (st != FW_OK)
        goto fail;
    const uint64_t n = fwi_get_le64(len);
    if (n > MAX_HEADER || n > size - 8) {
        st = fwi_fail(FW_EFORMAT,
                      "%s: header length %" PRIu64 " at byte 0 does not fit a file of %" PRIu64
                      " bytes: no safetensors file, or a damaged one",
                      path, n, size);
        goto fail;
    }
    s->data_at = 8 + n;
    s->data_bytes = size - s->data_at;
    text = fwi_alloc((size_t)n + 1);
    if (text == NULL) {
        st = FW_ENOMEM;
        goto fail;
    }
    st = read_at(s, 8, text, (size_t)n);
    if (st == FW_OK)
        st = parse_header(s, text, (size_t)n);
    if (st != FW_OK)
        goto fail;
    fwi_free(text);
    *out = s;
    return FW_OK;
fail:
    fwi_free(text);
    fwi_st_close(s);
    return st;
}

int fwi_st_count(const fwi_safetensors *s)
{
    return s->n_tensors;
}

const fwi_st_tensor *fwi_st_get(const fwi_safetensors *s, int i)
{
    return i < 0 || i >= s->n_tensors ? NULL : &s->tensors[i];
}

const fwi_st_tensor *fwi_st_find(const fwi_safetensors *s, const char *name)
{
    for (int i = 0; i < s->n_tensors; i++)
        if (strcmp(s->tensors[i].name, name) == 0)
            return &s->tensors[i];
    return NULL;
}

const char *fwi_st_meta(const fwi_safetensors *s, const char *key)
{
    for (int i = 0; i < s->n_meta; i++)
        if (strcmp(s->meta[i].key, key) == 0)
            return s->meta[i].text;
    return NULL;
}

const char *fwi_st_meta_at(const fwi_safetensors *s, int i, const char **key)
{
    if (i < 0 || i >= s->n_meta)
        return NULL;
    *key = s->meta[i].key;
    return s->meta[i].text;
}

const char *fwi_st_path(const fwi_safetensors *s)
{
    return s->path;
}

fw_status fwi_st_read(fwi_safetensors *s, const fwi_st_tensor *t, void *dst)
{
    if (s->held == NULL)
        return read_at(s, s->data_at + t->begin, dst, (size_t)t->bytes);
    if (t->bytes > 0)
        memcpy(dst, s->held + t->begin, (size_t)t->bytes);
    return FW_OK;
}

static fw_status check_crc(const fwi_safetensors *s, uint32_t crc)
{
    const char *said = fwi_st_meta(s, "crc32c");
    char found[16];
    snprintf(found, sizeof found, "%08" PRIx32, crc);
    if (said != NULL && strcmp(found, said) != 0)
        return fwi_fail(FW_EFORMAT, "%s: crc of the data is %s, the header says %.16s: damaged",
                        s->path, found, said);
    return FW_OK;
}

fw_status fwi_st_verify(fwi_safetensors *s)
{
    enum { CHUNK = 1 << 20 };
    if (fwi_st_meta(s, "crc32c") == NULL)
        return FW_OK;
    uint8_t *chunk = fwi_alloc(CHUNK);
    if (chunk == NULL)
        return FW_ENOMEM;
    fw_status st = FW_OK;
    uint32_t crc = 0;
    for (uint64_t at = 0; at < s->data_bytes && st == FW_OK; at += CHUNK) {
        const uint64_t left = s->data_bytes - at;
        const size_t n = left < CHUNK ? (size_t)left : CHUNK;
        st = read_at(s, s->data_at + at, chunk, n);
        if (st == FW_OK)
            crc = fwi_crc32c_update(crc, chunk, n);
    }
    if (st == FW_OK)
        st = check_crc(s, crc);
    fwi_free(chunk);
    return st;
}

fw_status fwi_st_hold(fwi_safetensors *s)
{
    const size_t n = (size_t)s->data_bytes; /* of a file that was found to be as long */
    uint8_t *data = fwi_alloc(n + 1);       /* + 1: never 0 bytes */
    if (data == NULL)
        return FW_ENOMEM;
    fw_status st = read_at(s, s->data_at, data, n);
    if (st == FW_OK)
        st = check_crc(s, fwi_crc32c_update(0, data, n));
    if (st != FW_OK) {
        fwi_free(data);
        return st;
    }
    fwi_st_drop(s);
    s->held = data;
    return FW_OK;
}

void fwi_st_drop(fwi_safetensors *s)
{
    fwi_free(s->held);
    s->held = NULL;
}
