/* test_npy.c: NumPy arrays of every type, order and version; .npz; and headers that lie. */
#include "io_test.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <math.h>

typedef struct bytes {
    uint8_t b[20000];
    size_t n;
} bytes;

static void add(bytes *m, const void *p, size_t n)
{
    memcpy(m->b + m->n, p, n);
    m->n += n;
}

static void head(bytes *m, int version, const char *dict)
{
    const size_t n = strlen(dict);
    m->n = 0;
    add(m, "\x93NUMPY", 6);
    add(m, (uint8_t[]){(uint8_t)version, 0}, 2);
    add(m, (uint8_t[]){(uint8_t)n, (uint8_t)(n >> 8), 0, 0}, version == 1 ? 2 : 4);
    add(m, dict, n);
}

static const char *const codes[] = {"u1", "b1", "u2", "u4", "u8", "i1",
                                    "i2", "i4", "i8", "f2", "f4", "f8"};
enum { TYPES = sizeof codes / sizeof *codes };

/* Value i (in C order) of the arrays made here. */
static int value_of(const char *code, int64_t i)
{
    const int v = (int)((i * 37 + 5) % 251);
    if (code[0] == 'b')
        return v & 1;
    return strcmp(code, "i1") == 0 && v > 127 ? v - 256 : v;
}

static void add_value(bytes *m, const char *code, bool big, int v)
{
    uint8_t b[8] = {0};
    const size_t n = (size_t)(code[1] - '0');
    if (strcmp(code, "f8") == 0) {
        memcpy(b, &(double){(double)v}, n);
    } else if (strcmp(code, "f4") == 0) {
        memcpy(b, &(float){(float)v}, n);
    } else if (strcmp(code, "f2") == 0) {
        int exponent = 0, left = v; /* whole numbers below 2048 are exact */
        for (; v != 0 && left < 1024; left *= 2)
            exponent--;
        memcpy(b, &(uint16_t){v == 0 ? 0 : (uint16_t)((exponent + 25) << 10 | (left & 1023))}, n);
    } else {
        memcpy(b, &(int64_t){v}, n); /* little-endian machines */
    }
    for (size_t i = 0; i < n; i++)
        add(m, &b[big ? n - 1 - i : i], 1);
}

static void array(bytes *m, const char *code, bool big, bool fortran, int version, int rank,
                  const int64_t *dim)
{
    char dict[300], shape[100] = "";
    int64_t n = 1;
    for (int i = 0; i < rank; i++) {
        snprintf(shape + strlen(shape), 30,
                 rank == 1 ? "%lld,"
                 : i > 0   ? ", %lld"
                           : "%lld",
                 (long long)dim[i]);
        n *= dim[i];
    }
    snprintf(dict, sizeof dict, "{'descr': '%s%s', 'fortran_order': %s, 'shape': (%s), }        \n",
             code[1] == '1' ? "|"
             : big          ? ">"
                            : "<",
             code, fortran ? "True" : "False", shape);
    head(m, version, dict);
    int64_t index[4] = {0};
    for (int64_t k = 0; k < n; k++) {
        int64_t at = 0;
        for (int i = 0; i < rank; i++)
            at = at * dim[i] + index[i];
        add_value(m, code, big, value_of(code, at));
        for (int i = fortran ? 0 : rank - 1; i >= 0 && i < rank; i += fortran ? 1 : -1) {
            if (++index[i] < dim[i])
                break;
            index[i] = 0;
        }
    }
}

static void every_type_and_order(void **state)
{
    (void)state;
    const int64_t dims[3][4] = {{5, 3, 4, 2}, {5, 3, 4, 0}, {5, 12, 0, 0}};
    static bytes m;
    int cases = 0;
    for (int t = 0; t < TYPES; t++)
        for (int form = 0; form < 12; form++)
            for (int rank = 2; rank <= 4; rank++) {
                const int64_t *dim = dims[4 - rank];
                array(&m, codes[t], form & 1, form & 2, 1 + form / 4, rank, dim);
                write_bytes(in_dir("x.npy"), m.b, m.n);
                fw_images im = {0};
                assert_ok(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im));
                assert_int_equal(im.n, 5);
                assert_int_equal(im.h, rank == 2 ? 1 : 3);
                assert_int_equal(im.w, rank == 2 ? 12 : 4);
                assert_int_equal(im.c, rank == 4 ? 2 : 1);
                assert_int_equal(im.dtype, t < 2 ? FW_U8 : FW_F32);
                for (int64_t i = 0; i < im.n * im.h * im.w * im.c; i++)
                    assert_int_equal(t < 2 ? ((uint8_t *)im.pixels)[i]
                                           : (int)((float *)im.pixels)[i],
                                     value_of(codes[t], i));
                assert_null(im.labels);
                assert_int_equal(im.n_classes, 0);
                assert_true(im.std[0] > 0.4f && im.digest != NULL);
                assert_string_equal(im.source, "x.npy");
                fw_images_clear(&im);
                cases++;
            }
    assert_int_equal(cases, 36 * TYPES);
}

static void labels(void **state)
{
    (void)state;
    static bytes m;
    fw_images im = {0};
    array(&m, "u1", false, false, 1, 3, (int64_t[]){4, 2, 3});
    write_bytes(in_dir("x.npy"), m.b, m.n);
    for (int t = 0; t < TYPES; t++)
        for (int rank = 1; rank <= 2; rank++) {
            if (codes[t][0] == 'b')
                continue;                                                       /* below */
            array(&m, codes[t], t % 2 == 0, false, 1, rank, (int64_t[]){4, 1}); /* 5 42 79 116 */
            write_bytes(in_dir("y.npy"), m.b, m.n);
            assert_ok(fw_npy_load(in_dir("x.npy"), in_dir("y.npy"), NULL, &im));
            assert_int_equal(im.n_classes, 117);
            assert_int_equal(im.labels[2], 79);
            fw_images_clear(&im);
            assert_ok(fw_npy_load(in_dir("x.npy"), in_dir("y.npy"), &(fw_npy_opt){.n_classes = 200},
                                  &im));
            assert_int_equal(im.n_classes, 200);
            fw_images_clear(&im);
            assert_fails(
                fw_npy_load(in_dir("x.npy"), in_dir("y.npy"), &(fw_npy_opt){.n_classes = 79}, &im),
                FW_EFORMAT, "y.npy: record 2: label 79", "expected 0 to 78");
        }
    array(&m, "b1", false, false, 1, 1, (int64_t[]){4}); /* two classes */
    write_bytes(in_dir("y.npy"), m.b, m.n);
    assert_ok(fw_npy_load(in_dir("x.npy"), in_dir("y.npy"), NULL, &im));
    assert_int_equal(im.n_classes, 2);
    assert_int_equal(im.labels[0] * 1000 + im.labels[1] * 100 + im.labels[2] * 10 + im.labels[3],
                     1010);
    fw_images_clear(&im);
    const double bad[3] = {-1.0, 0.5, (double)NAN};
    const char *const words[3] = {"label -1", "label 0.5 is no whole number", "is no whole number"};
    for (int i = 0; i < 3; i++) {
        head(&m, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (4,)}");
        add(&m, (double[]){0, 1}, 16);
        add(&m, &bad[i], 8);
        add(&m, (double[]){3}, 8);
        write_bytes(in_dir("y.npy"), m.b, m.n);
        assert_fails(fw_npy_load(in_dir("x.npy"), in_dir("y.npy"), NULL, &im), FW_EFORMAT,
                     "y.npy: record 2", words[i]);
    }
    array(&m, "u1", false, false, 1, 1, (int64_t[]){3});
    write_bytes(in_dir("y.npy"), m.b, m.n);
    assert_fails(fw_npy_load(in_dir("x.npy"), in_dir("y.npy"), NULL, &im), FW_ESHAPE,
                 "3 labels for 4 images");
    array(&m, "u1", false, false, 1, 2, (int64_t[]){4, 2});
    write_bytes(in_dir("y.npy"), m.b, m.n);
    assert_fails(fw_npy_load(in_dir("x.npy"), in_dir("y.npy"), NULL, &im), FW_ESHAPE,
                 "the array is [4,2], expected [n] or [n,1]");
    assert_null(im.pixels);
}

/* The ends of each type's range, and what halves have beside whole numbers. */
static void ends_of_types(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        uint64_t bits;
        float value;
    } ends[] = {
        {"u2", 65535, 65535.0f},
        {"i2", 0x8000, -32768.0f},
        {"u4", 4294967295, 4294967296.0f}, /* to nearest */
        {"i4", 0x80000000, -2147483648.0f},
        {"u8", UINT64_MAX, 18446744073709551616.0f},
        {"i8", (uint64_t)1 << 63, -9223372036854775808.0f},
        {"i1", 0x80, -128.0f},
        {"f2", 0x0001, 0x1p-24f}, /* the least subnormal, and the largest */
        {"f2", 0x03ff, 0x3ffp-24f},
        {"f2", 0x0400, 0x1p-14f},
        {"f2", 0x7bff, 65504.0f},
        {"f2", 0xbc00, -1.0f},
        {"f2", 0x3555, 0.333251953125f},
    };
    static bytes m;
    fw_images im = {0};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char dict[100];
        snprintf(dict, sizeof dict, "{'descr': '%s%s', 'fortran_order': False, 'shape': (1, 1)}",
                 ends[i].code[1] == '1' ? "|" : "<", ends[i].code);
        head(&m, 1, dict);
        add(&m, &ends[i].bits, (size_t)(ends[i].code[1] - '0')); /* little-endian machines */
        write_bytes(in_dir("x.npy"), m.b, m.n);
        assert_ok(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im));
        assert_true(*(float *)im.pixels == ends[i].value);
        fw_images_clear(&im);
    }
    static const uint16_t not_finite[] = {0x7c00, 0xfc00, 0x7e00};
    for (int i = 0; i < 3; i++) {
        head(&m, 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 1)}");
        add(&m, &not_finite[i], 2);
        write_bytes(in_dir("x.npy"), m.b, m.n);
        assert_fails(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im), FW_EFORMAT, "x.npy", "finite");
    }
    head(&m, 1, "{'descr': '|b1', 'fortran_order': False, 'shape': (1, 3)}");
    add(&m, (uint8_t[]){0, 1, 2}, 3);
    write_bytes(in_dir("x.npy"), m.b, m.n);
    assert_fails(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im), FW_EFORMAT, "x.npy: value 2 is 2",
                 "expected 0 or 1");
}

static void cut_to_size(void **state)
{
    (void)state;
    static bytes m;
    fw_images im = {0};
    array(&m, "u1", false, false, 1, 2, (int64_t[]){3, 24});
    write_bytes(in_dir("x.npy"), m.b, m.n);
    assert_ok(fw_npy_load(in_dir("x.npy"), NULL, &(fw_npy_opt){.h = 2, .w = 4, .c = 3}, &im));
    assert_int_equal(im.h * 100 + im.w * 10 + im.c, 243);
    fw_images_clear(&im);
    assert_ok(fw_npy_load(in_dir("x.npy"), NULL, &(fw_npy_opt){.h = 6, .w = 4}, &im));
    assert_int_equal(im.c, 1);
    fw_images_clear(&im);
    assert_fails(fw_npy_load(in_dir("x.npy"), NULL, &(fw_npy_opt){.h = 2, .w = 4, .c = 4}, &im),
                 FW_ESHAPE, "the array is [3,24], expected 2 x 4 x 4 values");
    array(&m, "u1", false, false, 1, 1, (int64_t[]){3});
    write_bytes(in_dir("x.npy"), m.b, m.n);
    assert_fails(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im), FW_ESHAPE, "the array is [3]");
    array(&m, "u1", false, false, 1, 3, (int64_t[]){3, 2, 2});
    write_bytes(in_dir("x.npy"), m.b, m.n);
    assert_fails(fw_npy_load(in_dir("x.npy"), NULL, &(fw_npy_opt){.h = 4, .w = 1}, &im), FW_ESHAPE,
                 "[3,2,2]");
}

static void wrong_headers(void **state)
{
    (void)state;
    static const struct {
        const char *dict, *word;
    } bad[] = {
        {"", "the header ends"},
        {"{}", "no descr"},
        {"{'descr': '<f4', 'fortran_order': False}", "no shape"},
        {"{'descr': '<f4', 'shape': (2, 2)}", "no fortran_order"},
        {"{'descr': '<f3', 'fortran_order': False, 'shape': (2, 2)}", "type is \"<f3\""},
        {"{'descr': '<f16', 'fortran_order': False, 'shape': (2, 2)}", "type is \"<f16\""},
        {"{'descr': '<b2', 'fortran_order': False, 'shape': (2, 2)}", "type is \"<b2\""},
        {"{'descr': '', 'fortran_order': False, 'shape': (2, 2)}", "type is \"\""},
        {"{'descr': '|f4', 'fortran_order': False, 'shape': (2, 2)}", "type is \"|f4\""},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}", "type is \"|O\""},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 2)}", "found '['"},
        {"{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 2)}", "True or False"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, -2)}", "found '-'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2}", "expected ',' or ')'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 4}", "expected a shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 99999999999999999999)}",
         "below 2^63"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
         "can be counted"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2)}",
         "can be counted"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", "more than 8"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0)}", "the array is empty"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), 'x': 1}", "entry \"x\""},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)} x", "end of the header"},
        {"{'descr': '<f4\\'', 'fortran_order': False, 'shape': (2, 2)}", "found '\\'"},
        {"{'descr: '<f4', 'fortran_order': False, 'shape': (2, 2)}", "expected"},
        {"{'descr': '<f4", "expected the end of a string"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1000000000)}", "ends at byte"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", "ends at byte"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1)}", "goes on behind byte"},
    };
    static bytes m;
    fw_images im = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int version = 1; version <= 3; version++) {
            head(&m, version, bad[i].dict);
            add(&m, (float[]){1, 2, 3, 4}, 16);
            write_bytes(in_dir("x.npy"), m.b, m.n);
            assert_fails(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im), FW_EFORMAT,
                         "x.npy: ", bad[i].word);
        }
    head(&m, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}");
    add(&m, (float[]){1, 2, 3, 4}, 16);
    for (size_t n = 0; n < m.n; n++) {
        write_bytes(in_dir("x.npy"), m.b, n);
        assert_fails(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im), FW_EFORMAT,
                     "x.npy: ends at byte", "inside");
    }
    m.b[0] = 'x';
    write_bytes(in_dir("x.npy"), m.b, m.n);
    assert_fails(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im), FW_EFORMAT, "no .npy array");
    m.b[0] = 0x93;
    m.b[6] = 4;
    write_bytes(in_dir("x.npy"), m.b, m.n);
    assert_fails(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im), FW_EFORMAT, "version 4.0");
    head(&m, 2, "");
    m.b[11] = 0x7f; /* a header of 2 GB */
    write_bytes(in_dir("x.npy"), m.b, m.n);
    assert_fails(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im), FW_EFORMAT,
                 "a header of 2130706432 bytes");
    assert_fails(fw_npy_load(in_dir("none.npy"), NULL, NULL, &im), FW_ENOTFOUND, "none.npy");
    /* of arrays that have their size each part may be asked for */
    bytes four;
    array(&four, "f4", false, false, 1, 4, (const int64_t[]){2, 2, 3, 1});
    write_bytes(in_dir("x.npy"), four.b, four.n);
    const fw_npy_opt parts[] = {{.h = 2}, {.w = 3}, {.c = 1}, {.h = 2, .w = 3}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_ok(fw_npy_load(in_dir("x.npy"), NULL, &parts[i], &im));
        fw_images_clear(&im);
    }
    assert_fails(fw_npy_load(in_dir("x.npy"), NULL, &(fw_npy_opt){.w = 2}, &im), FW_ESHAPE,
                 "expected 2 x 2 x 1 values per image");
    write_bytes(in_dir("plain.npy"), "none", 4);
    assert_fails(fw_npy_load(in_dir("plain.npy"), NULL, &(fw_npy_opt){.x_key = "x"}, &im), FW_EARG,
                 "plain.npy", "no member \"x\"");
    assert_fails(fw_npy_load(in_dir("plain.npy"), NULL, &(fw_npy_opt){.y_key = "y"}, &im), FW_EARG,
                 "plain.npy", "no member \"y\"");
    head(&m, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}");
    add(&m, (float[]){1, 2, 3, INFINITY}, 16);
    write_bytes(in_dir("x.npy"), m.b, m.n);
    assert_fails(fw_npy_load(in_dir("x.npy"), NULL, NULL, &im), FW_EFORMAT,
                 "x.npy: record 1: value 1 is inf");
    assert_null(im.pixels);
}

static void write_npz(const char *path, const char *const *names, bytes *const *data, int n)
{
    struct archive *a = archive_write_new();
    archive_write_set_format_zip(a);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (int i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, names[i]);
        archive_entry_set_size(e, (la_int64_t)data[i]->n);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        assert_int_equal(archive_write_data(a, data[i]->b, data[i]->n), data[i]->n);
        archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
}

static void npz(void **state)
{
    (void)state;
    static bytes x, y, other;
    bytes *const data[] = {&other, &y, &x};
    fw_images im = {0};
    array(&x, "f4", false, true, 1, 4, (int64_t[]){6, 2, 3, 2});
    array(&y, "i8", false, false, 1, 1, (int64_t[]){6});
    array(&other, "i4", false, false, 1, 1, (int64_t[]){2});
    write_npz(in_dir("d.npz"), (const char *const[]){"other.npy", "labels.npy", "X.npy"}, data, 3);
    assert_ok(fw_npy_load(in_dir("d.npz"), NULL, NULL, &im));
    assert_int_equal(im.n, 6);
    assert_int_equal(im.c, 2);
    assert_int_equal((int)((float *)im.pixels)[41], value_of("f4", 41));
    assert_int_equal(im.labels[1], 42);
    fw_images_clear(&im);
    assert_fails(fw_npy_load(in_dir("d.npz"), NULL, &(fw_npy_opt){.x_key = "pixels"}, &im),
                 FW_ENOTFOUND, "d.npz: there is no array \"pixels\"");
    assert_fails(fw_npy_load(in_dir("d.npz"), NULL, &(fw_npy_opt){.y_key = "other"}, &im),
                 FW_ESHAPE, "d.npz: other.npy: 2 labels for 6 images");
    /* two parts, as Keras has them; with nothing that fits, what there is */
    fw_images test = {0};
    write_npz(in_dir("k.npz"), (const char *const[]){"x_train.npy", "x_test.npy", "y_train.npy"},
              (bytes *const[]){&x, &x, &y}, 3);
    assert_ok(fw_import(in_dir("k.npz"), NULL, &im, &test));
    assert_true(im.n == 6 && test.n == 6 && im.labels != NULL && test.labels == NULL);
    fw_images_clear(&im);
    fw_images_clear(&test);
    assert_fails(
        fw_npy_load(in_dir("k.npz"), NULL, NULL, &im), FW_ENOTFOUND,
        "no array \"x\", \"X\" or \"images\" in it, but x_train, x_test, y_train: name one (x_key");
    /* a name that is not ASCII, whatever the locale: this program has set none */
    const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8 != (locale_t)0) {
        const locale_t mine = uselocale(utf8);
        write_npz(in_dir("d.npz"), (const char *const[]){"gr\xc3\xb6\xc3\x9f\x65.npy"}, &data[2],
                  1);
        (void)uselocale(mine);
        freelocale(utf8);
        assert_ok(fw_npy_load(in_dir("d.npz"), NULL,
                              &(fw_npy_opt){.x_key = "gr\xc3\xb6\xc3\x9f\x65"}, &im));
        assert_int_equal(im.n, 6);
        fw_images_clear(&im);
    }
    write_npz(in_dir("d.npz"), (const char *const[]){"other.npy"}, data, 1);
    assert_fails(fw_npy_load(in_dir("d.npz"), NULL, NULL, &im), FW_ENOTFOUND,
                 "\"x\", \"X\" or \"images\"");
    assert_ok(fw_npy_load(in_dir("d.npz"), NULL, &(fw_npy_opt){.x_key = "other"}, &im) == FW_ESHAPE
                  ? FW_OK
                  : FW_EIO);
    /* labels in a file of their own, or none at all */
    write_npz(in_dir("d.npz"), (const char *const[]){"images.npy"}, &data[2], 1);
    assert_ok(fw_npy_load(in_dir("d.npz"), NULL, NULL, &im));
    assert_null(im.labels);
    fw_images_clear(&im);
    write_bytes(in_dir("y.npy"), y.b, y.n);
    assert_ok(fw_npy_load(in_dir("d.npz"), in_dir("y.npy"), NULL, &im));
    assert_int_equal(im.labels[5], value_of("u1", 5));
    fw_images_clear(&im);
    assert_fails(fw_npy_load(in_dir("d.npz"), in_dir("d.npz"), NULL, &im), FW_ENOTFOUND,
                 "\"y\" or \"labels\"");
    /* truncated at every so many bytes: an error, never a crash */
    size_t n = 0;
    uint8_t *p = read_bytes(in_dir("d.npz"), &n);
    for (size_t keep = 4; keep < n; keep += 7) {
        write_bytes(in_dir("cut.npz"), p, keep);
        const fw_status st = fw_npy_load(in_dir("cut.npz"), NULL, NULL, &im);
        if (st ==
            FW_OK) /* only the directory at the end is missing, which a stream does not need */
            fw_images_clear(&im);
        else
            assert_non_null(strstr(fw_last_error(), "cut.npz"));
    }
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_and_order, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(labels, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(ends_of_types, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(cut_to_size, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(wrong_headers, dir_setup, dir_teardown),
        cmocka_unit_test_setup_teardown(npz, dir_setup, dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
