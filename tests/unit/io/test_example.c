/* test_example.c: Examples as bytes. Known messages, every way protobuf may write them, and damage.
 */
#include "io_test.h"

#include "crc32c.h"
#include "example.h"

/* Example{image = [1.0, -0.5], label = 3}, as TensorFlow writes it. */
static const uint8_t known[41] = {0x0a, 0x27, 0x0a, 0x15, 0x0a, 0x05, 'i',  'm',  'a',  'g',  'e',
                                  0x12, 0x0c, 0x12, 0x0a, 0x0a, 0x08, 0x00, 0x00, 0x80, 0x3f, 0x00,
                                  0x00, 0x00, 0xbf, 0x0a, 0x0e, 0x0a, 0x05, 'l',  'a',  'b',  'e',
                                  'l',  0x12, 0x05, 0x1a, 0x03, 0x0a, 0x01, 0x03};

static fwi_arena *arena;

static int arena_setup(void **state)
{
    (void)state;
    return fwi_arena_new(&arena, 0) == FW_OK ? 0 : -1;
}

static int arena_teardown(void **state)
{
    (void)state;
    fwi_arena_free(arena);
    return 0;
}

static void known_message(void **state)
{
    (void)state;
    const float values[2] = {1.0f, -0.5f};
    const fwi_example_image e = {.f32 = values, .n_values = 2, .has_label = true, .label = 3};
    fwi_buf b = {0};
    assert_ok(fwi_example_image_encode(&e, &b));
    assert_int_equal(b.size, sizeof known);
    assert_memory_equal(b.data, known, sizeof known);
    const uint8_t len[8] = {sizeof known};
    assert_int_equal(fwi_crc32c_masked(len, 8), 0x005fff37u); /* on disk: 37 ff 5f 00 */
    assert_int_equal(fwi_crc32c_masked(b.data, b.size), 0xb3b38e93u);
    fwi_example_image got;
    assert_ok(fwi_example_image_decode(arena, b.data, b.size, &got));
    assert_null(got.u8);
    assert_int_equal(got.n_values, 2);
    assert_memory_equal(got.f32, values, sizeof values);
    assert_true(got.has_label && !got.has_shape);
    assert_int_equal(got.label, 3);
    assert_ok(fwi_example_image_check(&got, 1, 2, 1));
    assert_fails(fwi_example_image_check(&got, 1, 3, 1), FW_ESHAPE, "holds 2 floats", "1 x 3 x 1");
    /* appended behind what is there */
    assert_ok(fwi_example_image_encode(&e, &b));
    assert_int_equal(b.size, 2 * sizeof known);
    assert_memory_equal(b.data + sizeof known, known, sizeof known);
    fwi_buf_clear(&b);
}

/* The recipes' size: a 32 x 32 x 3 float image with a label below 128 is 12,326 bytes. */
static void walkthrough_size(void **state)
{
    (void)state;
    float *values = calloc(3072, sizeof *values);
    const fwi_example_image e = {.f32 = values, .n_values = 3072, .has_label = true, .label = 9};
    fwi_buf b = {0};
    assert_ok(fwi_example_image_encode(&e, &b));
    assert_int_equal(b.size, 12326);
    fwi_buf_clear(&b);
    free(values);
}

/* ---- a tiny writer of protobuf, so that forms which protobuf-c never writes can be read ---- */
typedef struct msg {
    uint8_t b[4096];
    size_t n;
} msg;

static void put_varint(msg *m, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        m->b[m->n++] = (uint8_t)(v | 0x80);
    m->b[m->n++] = (uint8_t)v;
}
static void put_bytes(msg *m, unsigned field, const void *p, size_t n)
{
    put_varint(m, field << 3 | 2);
    put_varint(m, n);
    memcpy(m->b + m->n, p, n);
    m->n += n;
}
static void put_msg(msg *m, unsigned field, const msg *inner)
{
    put_bytes(m, field, inner->b, inner->n);
}
static msg feature(unsigned kind, const msg *list)
{
    msg f = {0};
    put_msg(&f, kind, list);
    return f;
}
static void put_feature(msg *features, const char *key, const msg *f, bool value_first)
{
    msg entry = {0};
    if (value_first)
        put_msg(&entry, 2, f);
    put_bytes(&entry, 1, key, strlen(key));
    if (!value_first)
        put_msg(&entry, 2, f);
    put_msg(features, 1, &entry);
}
static msg example(const msg *features)
{
    msg e = {0};
    put_msg(&e, 1, features);
    return e;
}
static msg bytes_feature(const void *p, size_t n)
{
    msg list = {0};
    put_bytes(&list, 1, p, n);
    return feature(1, &list);
}
static msg int_feature(const int64_t *v, size_t n, bool packed)
{
    msg list = {0}, values = {0};
    for (size_t i = 0; i < n; i++) {
        if (!packed)
            put_varint(&list, 1 << 3 | 0);
        put_varint(packed ? &values : &list, (uint64_t)v[i]);
    }
    if (packed)
        put_msg(&list, 1, &values);
    return feature(3, &list);
}
static msg float_feature(const float *v, size_t n, bool packed)
{
    msg list = {0};
    if (packed)
        put_bytes(&list, 1, v, n * sizeof *v);
    for (size_t i = 0; !packed && i < n; i++) {
        put_varint(&list, 1 << 3 | 5);
        memcpy(list.b + list.n, &v[i], 4);
        list.n += 4;
    }
    return feature(2, &list);
}

static void every_form(void **state)
{
    (void)state;
    const float values[6] = {0.0f, 1.5f, -2.0f, 3e30f, 5.0f, -0.0f};
    const int64_t label[1] = {-7}, shape[3] = {1, 2, 3};
    int cases = 0;
    for (int form = 0; form < 64; form++) {
        const bool packed = form & 1, value_first = form & 2, label_first = form & 4,
                   unknown = form & 8, twice = form & 16, shaped = form & 32;
        msg fs = {0};
        const msg image = float_feature(values, 6, packed), lab = int_feature(label, 1, packed),
                  sh = int_feature(shape, 3, packed);
        const int64_t wrong[1] = {1};
        const msg old = int_feature(wrong, 1, true);
        if (twice)
            put_feature(&fs, "label", &old, value_first); /* of two the last one counts */
        if (label_first)
            put_feature(&fs, "label", &lab, value_first);
        if (shaped)
            put_feature(&fs, "shape", &sh, value_first);
        if (unknown) {
            const msg other = bytes_feature("whatever", 8);
            put_feature(&fs, "name", &other, value_first);
            put_bytes(&fs, 99, "unknown field", 13);
            put_feature(&fs, "image\0x", &other, value_first);
        }
        put_feature(&fs, "image", &image, value_first);
        if (!label_first)
            put_feature(&fs, "label", &lab, value_first);
        msg e = example(&fs);
        if (unknown) {
            put_varint(&e, 7 << 3 | 0);
            put_varint(&e, UINT64_MAX);
            put_varint(&e, 8 << 3 | 1);
            e.n += 8;
        }
        fwi_example_image got;
        assert_ok(fwi_example_image_decode(arena, e.b, e.n, &got));
        assert_int_equal(got.n_values, 6);
        assert_memory_equal(got.f32, values, sizeof values);
        assert_true(got.has_label);
        assert_int_equal(got.label, -7);
        assert_int_equal(got.has_shape, shaped);
        assert_ok(fwi_example_image_check(&got, 1, 2, 3));
        if (shaped)
            assert_fails(fwi_example_image_check(&got, 2, 1, 3), FW_ESHAPE, "1 x 2 x 3",
                         "2 x 1 x 3");
        else
            assert_ok(fwi_example_image_check(&got, 2, 1, 3));
        cases++;
    }
    assert_int_equal(cases, 64);
}

static void round_trips(void **state)
{
    (void)state;
    fwi_buf b = {0}, again = {0};
    uint8_t px[105];
    float fx[105];
    for (int i = 0; i < 105; i++) {
        px[i] = (uint8_t)(i * 5);
        fx[i] = (float)i / 3.0f;
    }
    for (int64_t h = 1; h <= 7; h += 2)
        for (int64_t w = 1; w <= 5; w++)
            for (int64_t c = 1; c <= 3; c++)
                for (int form = 0; form < 8; form++) {
                    fwi_example_image e = {.n_values = h * w * c,
                                           .h = h,
                                           .w = w,
                                           .c = c,
                                           .has_shape = form & 1,
                                           .has_label = form & 2,
                                           .label = h * 1000000007 - 5};
                    if (form & 4)
                        e.u8 = px;
                    else
                        e.f32 = fx;
                    fwi_example_image got;
                    b.size = again.size = 0;
                    assert_ok(fwi_example_image_encode(&e, &b));
                    assert_ok(fwi_example_image_decode(arena, b.data, b.size, &got));
                    assert_ok(fwi_example_image_check(&got, h, w, c));
                    assert_int_equal(got.has_label, e.has_label);
                    if (e.has_label)
                        assert_int_equal(got.label, e.label);
                    assert_ok(fwi_example_image_encode(&got, &again));
                    assert_int_equal(again.size, b.size);
                    assert_memory_equal(again.data, b.data, b.size);
                }
    fwi_buf_clear(&b);
    fwi_buf_clear(&again);
}

static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    uint8_t px[3072] = {0};
    const fwi_example_image e = {
        .u8 = px, .n_values = 3072, .h = 32, .w = 32, .c = 3, .has_shape = true, .has_label = true};
    fwi_buf b = {0};
    assert_ok(fwi_example_image_encode(&e, &b));
    fwi_example_image got;
    assert_ok(fwi_example_image_decode(arena, b.data, b.size, &got));
    const int64_t before = fwi_mem_count();
    for (int i = 0; i < 100; i++) {
        assert_ok(fwi_example_image_decode(arena, b.data, b.size, &got));
        b.size = 0;
        assert_ok(fwi_example_image_encode(&e, &b));
    }
    assert_int_equal(fwi_mem_count(), before);
    fwi_buf_clear(&b);
}

static fw_status decode(const msg *features, fwi_example_image *out)
{
    const msg e = example(features);
    return fwi_example_image_decode(arena, e.b, e.n, out);
}

static void wrong_features(void **state)
{
    (void)state;
    fwi_example_image got;
    const int64_t label[2] = {1, 2}, shape[3] = {2, 2, 3}, huge[3] = {INT64_MAX, INT64_MAX, 4},
                  minus[3] = {-1, -2, 6};
    const msg image = bytes_feature("0123456789ab", 12), one = int_feature(label, 1, true),
              two = int_feature(label, 2, true), three = int_feature(shape, 3, true),
              huge3 = int_feature(huge, 3, true), minus3 = int_feature(minus, 3, true), none = {0};
    msg list = {0};
    put_bytes(&list, 1, "a", 1);
    put_bytes(&list, 1, "b", 1);
    const msg strings = feature(1, &list), empty = feature(2, &none);
    msg fs = {0};
    assert_fails(decode(&fs, &got), FW_EFORMAT, "no feature \"image\"");
    assert_fails(fwi_example_image_decode(arena, NULL, 0, &got), FW_EFORMAT,
                 "no feature \"image\"");
    put_feature(&fs, "image", &one, false);
    assert_fails(decode(&fs, &got), FW_EFORMAT, "\"image\" is int64");
    fs.n = 0;
    put_feature(&fs, "image", &none, false);
    assert_fails(decode(&fs, &got), FW_EFORMAT, "\"image\" is nothing");
    fs.n = 0;
    put_feature(&fs, "image", &empty, false);
    assert_fails(decode(&fs, &got), FW_ESHAPE, "holds 0 floats");
    fs.n = 0;
    put_feature(&fs, "image", &strings, false);
    assert_fails(decode(&fs, &got), FW_ESHAPE, "2 byte strings");
    fs.n = 0;
    put_feature(&fs, "image", &image, false);
    put_feature(&fs, "label", &two, false);
    assert_fails(decode(&fs, &got), FW_ESHAPE, "\"label\" holds 2 values");
    fs.n = 0;
    put_feature(&fs, "image", &image, false);
    put_feature(&fs, "label", &image, false);
    assert_fails(decode(&fs, &got), FW_EFORMAT, "\"label\" is bytes");
    const msg *const shapes[] = {&huge3, &minus3, &two};
    const char *const words[] = {"9223372036854775807", "-1 x -2 x 6", "\"shape\" holds 2 values"};
    for (int i = 0; i < 3; i++) {
        fs.n = 0;
        put_feature(&fs, "image", &image, false);
        put_feature(&fs, "shape", shapes[i], false);
        assert_fails(decode(&fs, &got), FW_ESHAPE, words[i]);
    }
    fs.n = 0;
    put_feature(&fs, "image", &image, false);
    put_feature(&fs, "shape", &three, false);
    assert_ok(decode(&fs, &got));
    assert_int_equal(got.n_values, 12);
    assert_false(got.has_label);
}

static void encoded_or_raw(void **state)
{
    (void)state;
    fwi_example_image got;
    const uint8_t jpeg[12] = {0xff, 0xd8, 0xff, 0xe0},
                  png[12] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, raw[12] = {1, 2, 3};
    const uint8_t *const data[] = {jpeg, png, raw};
    const char *const names[] = {"JPEG", "PNG"};
    for (int i = 0; i < 3; i++) {
        msg fs = {0};
        const msg image = bytes_feature(data[i], 12);
        put_feature(&fs, "image", &image, false);
        assert_ok(decode(&fs, &got));
        if (i < 2) {
            assert_fails(fwi_example_image_check(&got, 2, 2, 3), FW_EUNAVAILABLE, names[i],
                         "not read yet");
        } else {
            assert_ok(fwi_example_image_check(&got, 2, 2, 3));
            assert_fails(fwi_example_image_check(&got, 2, 3, 3), FW_ESHAPE, "12 bytes and no shape",
                         "2 x 3 x 3");
        }
    }
    /* with a shape they are pixels, whatever they begin with */
    msg fs = {0};
    const int64_t shape[3] = {2, 2, 3};
    const msg image = bytes_feature(jpeg, 12), sh = int_feature(shape, 3, true);
    put_feature(&fs, "image", &image, false);
    put_feature(&fs, "shape", &sh, false);
    assert_ok(decode(&fs, &got));
    assert_ok(fwi_example_image_check(&got, 2, 2, 3));
}

static void damaged_messages(void **state)
{
    (void)state;
    fwi_example_image got;
    int refused = 0, read = 0;
    for (size_t n = 1; n < sizeof known; n++) {
        const fw_status st = fwi_example_image_decode(arena, known, n, &got);
        assert_true(st == FW_EFORMAT);
        refused++;
    }
    for (size_t bit = 0; bit < 8 * sizeof known; bit++) {
        uint8_t b[sizeof known];
        memcpy(b, known, sizeof b);
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const fw_status st = fwi_example_image_decode(arena, b, sizeof b, &got);
        assert_true(st == FW_OK || st == FW_EFORMAT || st == FW_ESHAPE);
        read += st == FW_OK;
    }
    assert_true(refused == 40 && read > 0); /* a changed pixel is not for this layer to see */
    /* ten thousand nested lengths: what is unknown is skipped, not descended into */
    msg deep = {0};
    for (int i = 0; i < 1000; i++) {
        msg outer = {0};
        put_bytes(&outer, 1, deep.b, deep.n);
        if (outer.n > 4000)
            break;
        deep = outer;
    }
    assert_fails(fwi_example_image_decode(arena, deep.b, deep.n, &got), FW_EFORMAT, "");
    msg group = {0}; /* and groups, which may nest without lengths, are refused */
    for (int i = 0; i < 2000; i++)
        put_varint(&group, 5 << 3 | 3);
    assert_fails(fwi_example_image_decode(arena, group.b, group.n, &got), FW_EFORMAT,
                 "no tf.train.Example");
}

/* Fields that repeat each other are merged one by one: a small message would take gigabytes. */
static void memory_has_a_bound(void **state)
{
    (void)state;
    fwi_buf text = {0};
    static const uint8_t again[] = {0x0a, 0x02, 0x0a, 0x00}; /* features of one empty entry */
    static msg many, numbers;
    while (many.n + sizeof again <= sizeof many.b) {
        memcpy(many.b + many.n, again, sizeof again);
        many.n += sizeof again;
    }
    assert_fails(fwi_example_describe(arena, many.b, many.n, &text), FW_EFORMAT,
                 "a tf.train.Example message of 4096 bytes that takes over");
    /* what is merely wasteful is read: a field for each number */
    while (numbers.n < 4000) {
        put_varint(&numbers, 1 << 3);
        put_varint(&numbers, 1);
    }
    msg fs = {0};
    const msg f = feature(3, &numbers);
    put_feature(&fs, "x", &f, false);
    const msg e = example(&fs);
    assert_ok(fwi_example_describe(arena, e.b, e.n, &text));
    assert_string_equal((const char *)text.data, "x int64[2000]");
    fwi_buf_clear(&text);
}

static void described(void **state)
{
    (void)state;
    fwi_buf text = {0};
    assert_ok(fwi_example_describe(arena, known, sizeof known, &text));
    assert_string_equal((const char *)text.data, "image float[2], label int64");
    const int64_t shape[3] = {2, 2, 3};
    msg fs = {0};
    const msg image = bytes_feature("0123456789ab", 12), sh = int_feature(shape, 3, true),
              none = {0};
    put_feature(&fs, "shape", &sh, false);
    put_feature(&fs, "bell\a", &none, false);
    put_feature(&fs, "image", &image, true);
    const msg e = example(&fs);
    text.size = 0;
    assert_ok(fwi_example_describe(arena, e.b, e.n, &text));
    assert_string_equal((const char *)text.data,
                        "bell\\x07 nothing[0], image bytes, shape int64[3]");
    assert_fails(fwi_example_describe(arena, e.b, e.n - 1, &text), FW_EFORMAT,
                 "no tf.train.Example");
    fwi_buf_clear(&text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, arena_setup, arena_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(known_message),  TEST(walkthrough_size), TEST(every_form),
        TEST(round_trips),    TEST(wrong_features),   TEST(steady_state_allocates_nothing),
        TEST(encoded_or_raw), TEST(damaged_messages), TEST(memory_has_a_bound),
        TEST(described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
