/* st_write.c: writing files of tensors (safetensors.h). The header is text built anew for each file
 * in a buffer that stays, so that a training loop can write checkpoints without allocating. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "crc32c.h"
#include "fail.h"
#include "safetensors.h"
#include "st_types.h"

typedef struct layout_tensor {
    char *name; /* of the arena */
    fw_dtype dtype;
    fwi_shape shape;
    size_t bytes;
} layout_tensor;

enum { META_CAP = 32 };

struct fwi_st_layout {
    fwi_arena *arena;
    layout_tensor *tensors;
    int n_tensors, cap_tensors;
    struct {
        char *key;
        fwi_buf text;
    } meta[META_CAP];
    int n_meta;
    fwi_buf header;
};

fw_status fwi_st_layout_new(fwi_st_layout **out)
{
    fwi_st_layout *l = fwi_alloc_zero(sizeof *l);
    if (l == NULL)
        return FW_ENOMEM;
    const fw_status st = fwi_arena_new(&l->arena, 0);
    if (st != FW_OK) {
        fwi_free(l);
        return st;
    }
    *out = l;
    return FW_OK;
}

void fwi_st_layout_free(fwi_st_layout *l)
{
    if (l == NULL)
        return;
    for (int i = 0; i < l->n_meta; i++)
        fwi_buf_clear(&l->meta[i].text);
    fwi_buf_clear(&l->header);
    fwi_free(l->tensors);
    fwi_arena_free(l->arena);
    fwi_free(l);
}

fw_status fwi_st_layout_add(fwi_st_layout *l, const char *name, fw_dtype dtype,
                            const fwi_shape *shape)
{
    if (l->n_tensors == l->cap_tensors) {
        const int cap = l->cap_tensors == 0 ? 64 : 2 * l->cap_tensors;
        layout_tensor *grown = fwi_realloc(l->tensors, (size_t)cap * sizeof *grown);
        if (grown == NULL)
            return FW_ENOMEM;
        l->tensors = grown;
        l->cap_tensors = cap;
    }
    layout_tensor *t = &l->tensors[l->n_tensors];
    *t = (layout_tensor){.dtype = dtype, .shape = *shape};
    t->bytes = (size_t)fwi_shape_elems(shape) * fw_dtype_size(dtype);
    t->name = fwi_arena_strdup(l->arena, name);
    if (t->name == NULL)
        return FW_ENOMEM;
    l->n_tensors++;
    return FW_OK;
}

fw_status fwi_st_layout_meta(fwi_st_layout *l, const char *key, const char *text)
{
    int i = 0;
    while (i < l->n_meta && strcmp(l->meta[i].key, key) != 0)
        i++;
    if (i == l->n_meta) {
        if (i == META_CAP)
            return fwi_fail(FW_EINTERNAL, "more than %d metadata keys", META_CAP);
        l->meta[i].key = fwi_arena_strdup(l->arena, key);
        if (l->meta[i].key == NULL)
            return FW_ENOMEM;
        l->meta[i].text = (fwi_buf){0};
        l->n_meta++;
    }
    l->meta[i].text.size = 0;
    return fwi_buf_append(&l->meta[i].text, text, strlen(text) + 1);
}

/* A JSON string. Text is UTF-8 already: only quotes, backslashes and control characters need care.
 */
static fw_status put_string(fwi_buf *b, const char *s)
{
    fw_status st = fwi_buf_append(b, "\"", 1);
    for (; *s != 0 && st == FW_OK; s++) {
        const unsigned char ch = (unsigned char)*s;
        if (ch == '"' || ch == '\\')
            st = fwi_buf_printf(b, "\\%c", ch);
        else if (ch < 0x20)
            st = fwi_buf_printf(b, "\\u%04x", ch);
        else
            st = fwi_buf_append(b, s, 1);
    }
    return st == FW_OK ? fwi_buf_append(b, "\"", 1) : st;
}

static fw_status put_pair(fwi_buf *b, const char *key, const char *text, const char *before)
{
    fw_status st = fwi_buf_append(b, before, strlen(before));
    if (st == FW_OK)
        st = put_string(b, key);
    if (st == FW_OK)
        st = fwi_buf_append(b, ":", 1);
    return st == FW_OK ? put_string(b, text) : st;
}

static fw_status put_tensor(fwi_buf *b, const layout_tensor *t, uint64_t at)
{
    fw_status st = fwi_buf_append(b, ",", 1);
    if (st == FW_OK)
        st = put_string(b, t->name);
    if (st == FW_OK)
        st = fwi_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", fwi_st_dtype_name(t->dtype));
    for (int i = 0; i < t->shape.rank && st == FW_OK; i++)
        st = fwi_buf_printf(b, "%s%" PRId64, i == 0 ? "" : ",", t->shape.d[i]);
    return st == FW_OK ? fwi_buf_printf(b, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at,
                                        at + t->bytes)
                       : st;
}

static fw_status build_header(fwi_st_layout *l, const void *const *data)
{
    uint32_t crc = 0;
    for (int i = 0; i < l->n_tensors; i++)
        crc = fwi_crc32c_update(crc, data[i], l->tensors[i].bytes);
    char crc_text[16];
    snprintf(crc_text, sizeof crc_text, "%08" PRIx32, crc);

    fwi_buf *b = &l->header;
    b->size = 0;
    const uint8_t length[8] = {0}; /* filled in below */
    fw_status st = fwi_buf_append(b, length, sizeof length);
    if (st == FW_OK)
        st = put_pair(b, "crc32c", crc_text, "{\"__metadata__\":{");
    for (int i = 0; i < l->n_meta && st == FW_OK; i++)
        st = put_pair(b, l->meta[i].key, (const char *)l->meta[i].text.data, ",");
    if (st == FW_OK)
        st = fwi_buf_append(b, "}", 1);
    uint64_t at = 0;
    for (int i = 0; i < l->n_tensors && st == FW_OK; i++) {
        st = put_tensor(b, &l->tensors[i], at);
        at += l->tensors[i].bytes;
    }
    if (st == FW_OK)
        st = fwi_buf_append(b, "}", 1);
    while (st == FW_OK && b->size % 8 != 0) /* so that the data is aligned, as the format advises */
        st = fwi_buf_append(b, " ", 1);
    if (st != FW_OK)
        return st;
    fwi_put_le64(b->data, b->size - 8);
    return FW_OK;
}

fw_status fwi_st_layout_write(fwi_st_layout *l, fwi_file_writer *w, const char *path,
                              const void *const *data)
{
    fw_status st = build_header(l, data);
    if (st != FW_OK)
        return st;
    st = fwi_file_writer_begin(w, path);
    if (st != FW_OK)
        return st;
    st = fwi_file_writer_put(w, l->header.data, l->header.size);
    for (int i = 0; i < l->n_tensors && st == FW_OK; i++)
        st = fwi_file_writer_put(w, data[i], l->tensors[i].bytes);
    if (st != FW_OK) {
        fwi_file_writer_abort(w);
        return st;
    }
    return fwi_file_writer_end(w);
}
