/* npy.c: NumPy's .npy format, versions 1.0 to 3.0 (docs/formats/npy.md). The header is a Python
 * literal; the part of that language which NumPy writes is read here, and anything else is refused
 * by byte offset. */
#include "npy.h"

#include "bytes.h"
#include "fail.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAGIC_BYTES = 6, MAX_HEAD = 64 << 10 };

typedef struct cursor {
    const char *name;
    const char *text;
    size_t at, n;
    size_t file_at; /* where text begins in the file */
} cursor;

static fw_status bad(const cursor *c, const char *expected)
{
    if (c->at >= c->n)
        return fwi_fail(FW_EFORMAT, "%s: the header ends at byte %zu, expected %s", c->name,
                        c->file_at + c->n, expected);
    const unsigned char ch = (unsigned char)c->text[c->at];
    return fwi_fail(FW_EFORMAT,
                    ch >= 0x20 && ch < 0x7f ? "%s: header, byte %zu: found '%c', expected %s"
                                            : "%s: header, byte %zu: found byte %d, expected %s",
                    c->name, c->file_at + c->at, ch, expected);
}

static void skip_blanks(cursor *c)
{
    while (c->at < c->n &&
           (c->text[c->at] == ' ' || c->text[c->at] == '\n' || c->text[c->at] == '\t'))
        c->at++;
}

static bool accept(cursor *c, char ch)
{
    skip_blanks(c);
    if (c->at >= c->n || c->text[c->at] != ch)
        return false;
    c->at++;
    return true;
}

/* 'text' or "text" with nothing escaped, into out. */
static fw_status read_string(cursor *c, char *out, size_t cap, const char *expected)
{
    skip_blanks(c);
    if (c->at >= c->n || (c->text[c->at] != '\'' && c->text[c->at] != '"'))
        return bad(c, expected);
    const char quote = c->text[c->at++];
    size_t n = 0;
    while (c->at < c->n && c->text[c->at] != quote) {
        if (n + 1 >= cap || c->text[c->at] == '\\')
            return bad(c, expected);
        out[n++] = c->text[c->at++];
    }
    out[n] = '\0';
    if (c->at >= c->n)
        return bad(c, "the end of a string");
    c->at++;
    return FW_OK;
}

static bool accept_word(cursor *c, const char *word)
{
    skip_blanks(c);
    const size_t n = strlen(word);
    if (c->n - c->at < n || memcmp(c->text + c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

static fw_status read_shape(cursor *c, fwi_npy *h)
{
    if (!accept(c, '('))
        return bad(c, "a shape: '('");
    h->rank = 0;
    while (!accept(c, ')')) {
        if (c->at >= c->n || c->text[c->at] < '0' || c->text[c->at] > '9')
            return bad(c, "a size or ')'");
        int64_t v = 0;
        for (; c->at < c->n && c->text[c->at] >= '0' && c->text[c->at] <= '9'; c->at++) {
            const int digit = c->text[c->at] - '0';
            if (v > (INT64_MAX - digit) / 10)
                return bad(c, "a size below 2^63");
            v = v * 10 + digit;
        }
        (void)accept(c, 'L'); /* Python 2 wrote long integers so */
        if (h->rank == FWI_NPY_MAX_RANK)
            return fwi_fail(FW_EFORMAT, "%s: the array has more than %d dimensions", c->name,
                            FWI_NPY_MAX_RANK);
        h->dim[h->rank++] = v;
        if (!accept(c, ',') && (c->at >= c->n || c->text[c->at] != ')'))
            return bad(c, "',' or ')'");
    }
    return FW_OK;
}

static bool host_is_big(void)
{
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    return first == 0;
}

/* A letter and a digit: the kind, and the bytes of a value. NULL: not read. */
static const char *known_type(const char *code)
{
    static const char *const codes[] = {"b1", "u1", "u2", "u4", "u8", "i1",
                                        "i2", "i4", "i8", "f2", "f4", "f8"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(code, codes[i]) == 0)
            return codes[i];
    return NULL;
}

static fw_status set_type(const cursor *c, const char *descr, fwi_npy *h)
{
    const char order = descr[0];
    const bool known_order = order == '<' || order == '>' || order == '|' || order == '=';
    const char *code = known_type(known_order ? descr + 1 : descr);
    const size_t size = code != NULL ? (size_t)(code[1] - '0') : 0;
    if (code == NULL || (size > 1 && order == '|')) /* no byte order given where one is needed */
        return fwi_fail(
            FW_EFORMAT,
            "%s: the array's type is \"%s\"; b1, u1 to u8, i1 to i8 and f2 to f8 are read", c->name,
            descr);
    h->kind = code[0];
    h->size = size;
    h->swap = size > 1 && ((order == '>') != host_is_big()) && (order == '>' || order == '<');
    return FW_OK;
}

static fw_status parse_head(cursor *c, fwi_npy *h)
{
    bool have_descr = false, have_order = false, have_shape = false;
    if (!accept(c, '{'))
        return bad(c, "'{'");
    while (!accept(c, '}')) {
        char key[32], descr[32];
        fw_status st = read_string(c, key, sizeof key, "the name of a header entry");
        if (st != FW_OK)
            return st;
        if (!accept(c, ':'))
            return bad(c, "':'");
        if (strcmp(key, "descr") == 0) {
            st = read_string(c, descr, sizeof descr, "a plain type like '<f4'");
            if (st == FW_OK)
                st = set_type(c, descr, h);
            have_descr = true;
        } else if (strcmp(key, "fortran_order") == 0) {
            h->fortran = accept_word(c, "True");
            if (!h->fortran && !accept_word(c, "False"))
                st = bad(c, "True or False");
            have_order = true;
        } else if (strcmp(key, "shape") == 0) {
            st = read_shape(c, h);
            have_shape = true;
        } else {
            st = fwi_fail(FW_EFORMAT,
                          "%s: header entry \"%s\", expected descr, fortran_order and shape",
                          c->name, key);
        }
        if (st != FW_OK)
            return st;
        if (!accept(c, ',') && (c->at >= c->n || c->text[c->at] != '}'))
            return bad(c, "',' or '}'");
    }
    if (!have_descr || !have_order || !have_shape)
        return fwi_fail(FW_EFORMAT, "%s: the header has no %s", c->name,
                        !have_descr   ? "descr"
                        : !have_order ? "fortran_order"
                                      : "shape");
    skip_blanks(c);
    return c->at == c->n ? FW_OK : bad(c, "the end of the header");
}

fw_status fwi_npy_read_head(fwi_source *s, fwi_npy *h)
{
    static const uint8_t magic[MAGIC_BYTES] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    const char *name = fwi_source_name(s);
    uint8_t b[MAGIC_BYTES + 2], len[4] = {0};
    fw_status st = fwi_source_read_exact(s, b, sizeof b, "the magic string and version");
    if (st != FW_OK)
        return st;
    if (memcmp(b, magic, sizeof magic) != 0)
        return fwi_fail(FW_EFORMAT,
                        "%s: does not begin with \"\\x93NUMPY\", so it is no .npy array", name);
    if (b[6] < 1 || b[6] > 3 || b[7] != 0)
        return fwi_fail(FW_EFORMAT, "%s: .npy version %d.%d, expected 1.0, 2.0 or 3.0", name, b[6],
                        b[7]);
    st = fwi_source_read_exact(s, len, b[6] == 1 ? 2 : 4, "the header's length");
    if (st != FW_OK)
        return st;
    const uint32_t n = fwi_get_le32(len);
    if (n > MAX_HEAD)
        return fwi_fail(FW_EFORMAT, "%s: a header of %u bytes, at most %d are read", name, n,
                        MAX_HEAD);
    const int64_t from = fwi_source_at(s);
    void *text = NULL;
    st = fwi_source_read_alloc(s, n, "the header", &text);
    if (st != FW_OK)
        return st;
    *h = (fwi_npy){0};
    cursor c = {.name = name, .text = text, .n = n, .file_at = (size_t)from};
    st = parse_head(&c, h);
    fwi_free(text);
    if (st != FW_OK)
        return st;
    size_t bytes = h->size;
    for (int i = 0; i < h->rank; i++)
        if (h->dim[i] == 0)
            return fwi_fail(FW_EFORMAT, "%s: the array is empty: size %d is 0", name, i);
        else if (!fwi_mul_size(bytes, (size_t)h->dim[i], &bytes) || bytes > INT64_MAX)
            return fwi_fail(FW_EFORMAT, "%s: the array has more bytes than can be counted", name);
    h->n_values = bytes / h->size;
    return FW_OK;
}

static void swap_bytes(uint8_t *p, size_t n, size_t size)
{
    for (; n > 0; n--, p += size)
        for (size_t i = 0; i < size / 2; i++) {
            const uint8_t t = p[i];
            p[i] = p[size - 1 - i];
            p[size - 1 - i] = t;
        }
}

/* The stored order has the first index fastest; the result has the last one fastest. */
static fw_status to_c_order(const fwi_npy *h, void **values)
{
    const size_t size = h->size;
    size_t step[FWI_NPY_MAX_RANK]; /* distance in the result when an index grows by one */
    size_t index[FWI_NPY_MAX_RANK] = {0};
    size_t d = size;
    for (int i = h->rank - 1; i >= 0; i--) {
        step[i] = d;
        d *= (size_t)h->dim[i];
    }
    uint8_t *to = fwi_alloc(h->n_values * size);
    if (to == NULL)
        return FW_ENOMEM;
    const uint8_t *from = *values;
    size_t at = 0;
    for (size_t n = 0; n < h->n_values; n++, from += size) {
        memcpy(to + at, from, size);
        for (int i = 0; i < h->rank; i++) {
            at += step[i];
            if (++index[i] < (size_t)h->dim[i])
                break;
            at -= step[i] * (size_t)h->dim[i];
            index[i] = 0;
        }
    }
    fwi_free(*values);
    *values = to;
    return FW_OK;
}

/* NumPy writes truth as 0 and 1. */
static fw_status check_truth(const char *name, const uint8_t *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (values[i] > 1)
            return fwi_fail(FW_EFORMAT,
                            "%s: value %zu is %d, and of type b1 (truth): expected 0 or 1", name, i,
                            values[i]);
    return FW_OK;
}

fw_status fwi_npy_read_values(fwi_source *s, const fwi_npy *h, void **out)
{
    void *values = NULL;
    fw_status st = fwi_source_read_alloc(s, h->n_values * h->size,
                                         "the values that its header promises", &values);
    if (st == FW_OK)
        st = fwi_source_expect_end(s, "the array that its header promises");
    if (st == FW_OK && h->kind == 'b')
        st = check_truth(fwi_source_name(s), values, h->n_values);
    if (st == FW_OK && h->swap)
        swap_bytes(values, h->n_values, h->size);
    if (st == FW_OK && h->fortran && h->rank > 1)
        st = to_c_order(h, &values);
    if (st != FW_OK) {
        fwi_free(values);
        return st;
    }
    *out = values;
    return FW_OK;
}

/* IEEE 754 binary16: a sign, 5 bits of exponent (bias 15), 10 of fraction. */
static double half_value(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double v = ldexp(fraction, -24); /* subnormal */
    if (exponent == 31)
        v = fraction == 0 ? HUGE_VAL : (double)NAN;
    else if (exponent > 0)
        v = ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 != 0 ? -v : v;
}

static double unsigned_value(const void *values, size_t size, size_t i)
{
    switch (size) {
    case 1:
        return ((const uint8_t *)values)[i];
    case 2:
        return ((const uint16_t *)values)[i];
    case 4:
        return ((const uint32_t *)values)[i];
    default:
        return (double)((const uint64_t *)values)[i];
    }
}

static double signed_value(const void *values, size_t size, size_t i)
{
    switch (size) {
    case 1:
        return ((const int8_t *)values)[i];
    case 2:
        return ((const int16_t *)values)[i];
    case 4:
        return ((const int32_t *)values)[i];
    default:
        return (double)((const int64_t *)values)[i];
    }
}

static double float_value(const void *values, size_t size, size_t i)
{
    switch (size) {
    case 2:
        return half_value(((const uint16_t *)values)[i]);
    case 4:
        return (double)((const float *)values)[i];
    default:
        return ((const double *)values)[i];
    }
}

double fwi_npy_value(const fwi_npy *h, const void *values, size_t i)
{
    switch (h->kind) {
    case 'i':
        return signed_value(values, h->size, i);
    case 'f':
        return float_value(values, h->size, i);
    default:
        return unsigned_value(values, h->size, i);
    }
}
