/* example.c: tf.train.Example messages to images and back (example.h).
 *
 * protobuf-c builds the whole message in an arena that is reset for each record, so a loop over
 * records stops allocating once it has seen the largest one. The features are then looked up by
 * name; whatever has another name is skipped. */
#include "example.h"

#include "example.pb-c.h"
#include "fail.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef Fwi__Pb__Example pb_example;
typedef Fwi__Pb__Feature pb_feature;
typedef Fwi__Pb__FeatureEntry pb_entry;
typedef Fwi__Pb__Features pb_features;

typedef struct arena_calls {
    fwi_arena *arena;
    size_t left; /* bytes that the message may still take */
    /* to tell these from "no Example": protobuf-c returns NULL for all */
    bool out_of_memory, too_large;
} arena_calls;

static void *arena_take(void *ctx, size_t n)
{
    arena_calls *a = ctx;
    if (n > a->left) {
        a->too_large = true;
        return NULL;
    }
    a->left -= n;
    void *p = fwi_arena_alloc(a->arena, n);
    if (p == NULL)
        a->out_of_memory = true;
    return p;
}

static void arena_drop(void *ctx, void *p)
{
    (void)ctx;
    (void)p; /* goes with the arena */
}

/* What a message of n bytes may take. An image takes its own bytes once more; a list of small numbers,
 * each in a field of its own, about 40 times as many. Nothing is given back on the way, so without a bound
 * a few hundred kilobytes of fields that repeat each other would take gigabytes. */
static size_t most_memory(size_t n)
{
    const size_t small = (size_t)16 << 20; /* of which lists of numbers may be made */
    return ((size_t)64 << 10) + 4 * n + 60 * (n < small ? n : small);
}

static fw_status unpack(fwi_arena *scratch, const uint8_t *data, size_t n_bytes, pb_example **out)
{
    fwi_arena_reset(scratch);
    arena_calls calls = {.arena = scratch, .left = most_memory(n_bytes)};
    ProtobufCAllocator allocator = {
        .alloc = arena_take, .free = arena_drop, .allocator_data = &calls};
    pb_example *e = fwi__pb__example__unpack(&allocator, n_bytes, data);
    if (e == NULL && calls.out_of_memory)
        return FW_ENOMEM;
    if (e == NULL && calls.too_large)
        return fwi_fail(FW_EFORMAT, "a tf.train.Example message of %zu bytes that takes over %zu",
                        n_bytes, most_memory(n_bytes));
    if (e == NULL)
        return fwi_fail(FW_EFORMAT, "%zu bytes that are no tf.train.Example message", n_bytes);
    *out = e;
    return FW_OK;
}

static bool is_key(const pb_entry *entry, const char *name)
{
    const size_t n = strlen(name);
    return entry->key.len == n && memcmp(entry->key.data, name, n) == 0;
}

static const char *kind_name(const pb_feature *f)
{
    if (f == NULL)
        return "nothing";
    switch (f->kind_case) {
    case FWI__PB__FEATURE__KIND_BYTES_LIST:
        return "bytes";
    case FWI__PB__FEATURE__KIND_FLOAT_LIST:
        return "float";
    case FWI__PB__FEATURE__KIND_INT64_LIST:
        return "int64";
    default:
        return "nothing";
    }
}

static fw_status take_image(const pb_feature *f, fwi_example_image *out)
{
    if (f->kind_case == FWI__PB__FEATURE__KIND_BYTES_LIST) {
        const Fwi__Pb__BytesList *l = f->bytes_list;
        if (l->n_value != 1)
            return fwi_fail(FW_ESHAPE, "feature \"image\" holds %zu byte strings, expected 1",
                            l->n_value);
        static const uint8_t none[1] = {0}; /* an empty string has no data */
        out->u8 = l->value[0].len == 0 ? none : l->value[0].data;
        out->n_values = (int64_t)l->value[0].len;
        return FW_OK;
    }
    if (f->kind_case == FWI__PB__FEATURE__KIND_FLOAT_LIST) {
        if (f->float_list->n_value == 0)
            return fwi_fail(FW_ESHAPE, "feature \"image\" holds 0 floats");
        out->f32 = f->float_list->value;
        out->n_values = (int64_t)f->float_list->n_value;
        return FW_OK;
    }
    return fwi_fail(FW_EFORMAT, "feature \"image\" is %s, expected bytes or float", kind_name(f));
}

static fw_status take_ints(const pb_feature *f, const char *name, size_t n_want,
                           const int64_t **out)
{
    if (f->kind_case != FWI__PB__FEATURE__KIND_INT64_LIST)
        return fwi_fail(FW_EFORMAT, "feature \"%s\" is %s, expected int64", name, kind_name(f));
    if (f->int64_list->n_value != n_want)
        return fwi_fail(FW_ESHAPE, "feature \"%s\" holds %zu values, expected %zu", name,
                        f->int64_list->n_value, n_want);
    *out = f->int64_list->value;
    return FW_OK;
}

/* A product that fits: at most 2^31 values is more than a record can hold. */
static bool shape_values(int64_t h, int64_t w, int64_t c, int64_t *out)
{
    const int64_t most = INT32_MAX;
    if (h < 1 || w < 1 || c < 1 || h > most || w > most / h || c > most / (h * w))
        return false;
    *out = h * w * c;
    return true;
}

fw_status fwi_example_image_decode(fwi_arena *scratch, const uint8_t *data, size_t n_bytes,
                                   fwi_example_image *out)
{
    *out = (fwi_example_image){0};
    pb_example *e = NULL;
    fw_status st = unpack(scratch, data, n_bytes, &e);
    if (st != FW_OK)
        return st;
    const pb_feature *image = NULL, *label = NULL, *shape = NULL;
    const pb_features *all = e->features;
    for (size_t i = 0; all != NULL && i < all->n_feature; i++) {
        const pb_entry *entry = all->feature[i];
        if (is_key(entry, "image"))
            image = entry->value;
        else if (is_key(entry, "label"))
            label = entry->value;
        else if (is_key(entry, "shape"))
            shape = entry->value;
    }
    if (image == NULL)
        return fwi_fail(FW_EFORMAT, "there is no feature \"image\"");
    st = take_image(image, out);
    if (st != FW_OK)
        return st;
    if (label != NULL && label->kind_case != FWI__PB__FEATURE__KIND__NOT_SET) {
        const int64_t *v = NULL;
        st = take_ints(label, "label", 1, &v);
        if (st != FW_OK)
            return st;
        out->has_label = true;
        out->label = v[0];
    }
    if (shape != NULL) {
        const int64_t *v = NULL;
        int64_t n = 0;
        st = take_ints(shape, "shape", 3, &v);
        if (st != FW_OK)
            return st;
        if (!shape_values(v[0], v[1], v[2], &n) || n != out->n_values)
            return fwi_fail(FW_ESHAPE,
                            "feature \"image\" holds %" PRId64 " values, its shape is %" PRId64
                            " x %" PRId64 " x %" PRId64,
                            out->n_values, v[0], v[1], v[2]);
        out->has_shape = true;
        out->h = v[0];
        out->w = v[1];
        out->c = v[2];
    }
    return FW_OK;
}

static const char *encoded_as(const uint8_t *p, int64_t n)
{
    static const uint8_t jpeg[] = {0xff, 0xd8, 0xff};
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (n >= (int64_t)sizeof jpeg && memcmp(p, jpeg, sizeof jpeg) == 0)
        return "JPEG";
    if (n >= (int64_t)sizeof png && memcmp(p, png, sizeof png) == 0)
        return "PNG";
    return NULL;
}

fw_status fwi_example_image_check(const fwi_example_image *e, int64_t h, int64_t w, int64_t c)
{
    for (int64_t i = 0; e->f32 != NULL && i < e->n_values; i++)
        if (!isfinite(e->f32[i]))
            return fwi_fail(FW_EFORMAT,
                            "value %" PRId64 " of the image is %g, expected finite numbers", i,
                            (double)e->f32[i]);
    if (e->has_shape) {
        if (e->h == h && e->w == w && e->c == c)
            return FW_OK;
        return fwi_fail(FW_ESHAPE,
                        "the image is %" PRId64 " x %" PRId64 " x %" PRId64 ", expected %" PRId64
                        " x %" PRId64 " x %" PRId64,
                        e->h, e->w, e->c, h, w, c);
    }
    const char *format = e->u8 != NULL ? encoded_as(e->u8, e->n_values) : NULL;
    if (format != NULL)
        return fwi_fail(
            FW_EUNAVAILABLE,
            "the image is %s encoded, which is not read yet: write raw pixels and a shape", format);
    int64_t n = 0;
    if (shape_values(h, w, c, &n) && n == e->n_values)
        return FW_OK;
    return fwi_fail(FW_ESHAPE,
                    "the image holds %" PRId64 " %s, expected %" PRId64 " x %" PRId64 " x %" PRId64
                    " values",
                    e->n_values, e->u8 != NULL ? "bytes and no shape" : "floats", h, w, c);
}

fw_status fwi_example_image_encode(const fwi_example_image *e, fwi_buf *buf)
{
    ProtobufCBinaryData bytes = {.len = (size_t)e->n_values, .data = (uint8_t *)(uintptr_t)e->u8};
    int64_t label_value = e->label;
    int64_t shape_value[3] = {e->h, e->w, e->c};
    Fwi__Pb__BytesList bytes_list = FWI__PB__BYTES_LIST__INIT;
    Fwi__Pb__FloatList float_list = FWI__PB__FLOAT_LIST__INIT;
    Fwi__Pb__Int64List label_list = FWI__PB__INT64_LIST__INIT;
    Fwi__Pb__Int64List shape_list = FWI__PB__INT64_LIST__INIT;
    pb_feature feature[3] = {FWI__PB__FEATURE__INIT, FWI__PB__FEATURE__INIT,
                             FWI__PB__FEATURE__INIT};
    if (e->u8 != NULL) {
        bytes_list.n_value = 1;
        bytes_list.value = &bytes;
        feature[0].kind_case = FWI__PB__FEATURE__KIND_BYTES_LIST;
        feature[0].bytes_list = &bytes_list;
    } else {
        float_list.n_value = (size_t)e->n_values;
        float_list.value = (float *)(uintptr_t)e->f32; /* protobuf-c's types lack const */
        feature[0].kind_case = FWI__PB__FEATURE__KIND_FLOAT_LIST;
        feature[0].float_list = &float_list;
    }
    label_list.n_value = 1;
    label_list.value = &label_value;
    shape_list.n_value = 3;
    shape_list.value = shape_value;
    feature[1].kind_case = feature[2].kind_case = FWI__PB__FEATURE__KIND_INT64_LIST;
    feature[1].int64_list = &label_list;
    feature[2].int64_list = &shape_list;

    static const char *const names[3] = {"image", "label", "shape"};
    const bool present[3] = {true, e->has_label, e->has_shape};
    pb_entry entry[3];
    pb_entry *entries[3];
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        if (!present[i])
            continue;
        entry[n] = (pb_entry)FWI__PB__FEATURE_ENTRY__INIT;
        entry[n].has_key = 1;
        entry[n].key.data = (uint8_t *)(uintptr_t)names[i];
        entry[n].key.len = strlen(names[i]);
        entry[n].value = &feature[i];
        entries[n] = &entry[n];
        n++;
    }
    pb_features features = FWI__PB__FEATURES__INIT;
    features.n_feature = n;
    features.feature = entries;
    pb_example example = FWI__PB__EXAMPLE__INIT;
    example.features = &features;

    const size_t size = fwi__pb__example__get_packed_size(&example);
    size_t total = 0;
    if (!fwi_add_size(buf->size, size, &total))
        return fwi_fail(FW_ENOMEM, "out of memory: a message of %zu bytes", size);
    const fw_status st = fwi_buf_reserve(buf, total);
    if (st != FW_OK)
        return st;
    buf->size += fwi__pb__example__pack(&example, buf->data + buf->size);
    return FW_OK;
}

static int by_key(const void *a, const void *b)
{
    const pb_entry *x = *(pb_entry *const *)a, *y = *(pb_entry *const *)b;
    const size_t n = x->key.len < y->key.len ? x->key.len : y->key.len;
    const int order = n == 0 ? 0 : memcmp(x->key.data, y->key.data, n);
    if (order != 0)
        return order;
    return (x->key.len > y->key.len) - (x->key.len < y->key.len);
}

/* Names come from the file: control characters would reach a terminal. */
static fw_status append_key(const pb_entry *entry, fwi_buf *buf)
{
    fw_status st = FW_OK;
    for (size_t i = 0; st == FW_OK && i < entry->key.len; i++) {
        const uint8_t ch = entry->key.data[i];
        const uint8_t next = i + 1 < entry->key.len ? entry->key.data[i + 1] : 0;
        const bool c1 = ch == 0xc2 && next >= 0x80 && next < 0xa0; /* U+0080 to U+009F */
        if (c1)
            st = fwi_buf_printf(buf, "\\u%04x", entry->key.data[++i]);
        else
            st = ch < 0x20 || ch == 0x7f ? fwi_buf_printf(buf, "\\x%02x", ch)
                                         : fwi_buf_printf(buf, "%c", ch);
    }
    return st;
}

fw_status fwi_example_describe(fwi_arena *scratch, const uint8_t *data, size_t n_bytes,
                               fwi_buf *buf)
{
    pb_example *e = NULL;
    fw_status st = unpack(scratch, data, n_bytes, &e);
    if (st != FW_OK)
        return st;
    const pb_features *all = e->features;
    if (all == NULL && n_bytes > 0) /* any bytes may happen to read as unknown fields */
        return fwi_fail(FW_EFORMAT, "%zu bytes that are no tf.train.Example message: no features",
                        n_bytes);
    const size_t n = all == NULL ? 0 : all->n_feature;
    if (n > 1)
        qsort(all->feature, n, sizeof *all->feature, by_key);
    for (size_t i = 0; st == FW_OK && i < n; i++) {
        const pb_feature *f = all->feature[i]->value;
        size_t count = 0;
        if (f != NULL && f->kind_case == FWI__PB__FEATURE__KIND_BYTES_LIST)
            count = f->bytes_list->n_value;
        else if (f != NULL && f->kind_case == FWI__PB__FEATURE__KIND_FLOAT_LIST)
            count = f->float_list->n_value;
        else if (f != NULL && f->kind_case == FWI__PB__FEATURE__KIND_INT64_LIST)
            count = f->int64_list->n_value;
        if (i > 0)
            st = fwi_buf_append(buf, ", ", 2);
        if (st == FW_OK)
            st = append_key(all->feature[i], buf);
        if (st == FW_OK)
            st = fwi_buf_printf(buf, " %s", kind_name(f));
        if (st == FW_OK && count != 1)
            st = fwi_buf_printf(buf, "[%zu]", count);
    }
    return st;
}
