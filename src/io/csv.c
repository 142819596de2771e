/* csv.c: images as lines of numbers, the label last (the UCI digits). Neighbours: npy_images.c,
 * idx.c. */
#include "fail.h"
#include "file.h"
#include "image_set.h"
#include "source.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NUMBER = 64 };
#define MAX_TEXT ((size_t)4 << 30)

typedef struct reader {
    const char *path;
    locale_t c_locale; /* a decimal point is a point wherever the program runs */
    const uint8_t *at, *end;
    int64_t line, column; /* from 1, as editors count */
} reader;

static fw_status bad(const reader *r, const char *what)
{
    return fwi_fail(FW_EFORMAT, "%s: line %lld, value %lld: %s", r->path, (long long)r->line,
                    (long long)r->column, what);
}

/* One number and what follows it: *last is set at a line's end. */
static fw_status read_number(reader *r, double *v, bool *last)
{
    char text[MAX_NUMBER];
    size_t n = 0;
    while (r->at < r->end && *r->at != ',' && *r->at != '\n') {
        if (n + 1 >= sizeof text)
            return bad(r, "more than 63 characters, expected a number");
        text[n++] = (char)*r->at++;
    }
    while (n > 0 && (text[n - 1] == '\r' || text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    text[n] = '\0';
    char *stop = text;
    *v = n == 0 ? 0.0 : strtod_l(text, &stop, r->c_locale);
    /* strtod also reads "nan", "inf" and "0x1p3", which no data file means */
    if (n == 0 || stop != text + n || !isfinite(*v) || strpbrk(text, "xX") != NULL) {
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f)
                text[i] = '?';
        return fwi_fail(FW_EFORMAT, "%s: line %lld, value %lld: found \"%s\", expected a number",
                        r->path, (long long)r->line, (long long)r->column, text);
    }
    *last = r->at == r->end || *r->at == '\n';
    if (r->at < r->end)
        r->at++;
    return FW_OK;
}

static void skip_empty_lines(reader *r)
{
    while (r->at < r->end &&
           (*r->at == '\n' || (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n'))) {
        r->at += *r->at == '\r' ? 2 : 1;
        r->line++;
    }
}

/* Lines, and numbers in the first of them. */
static void count(reader r, int64_t *lines, int64_t *values)
{
    *lines = 0;
    *values = 1;
    skip_empty_lines(&r);
    for (const uint8_t *p = r.at; p < r.end && *p != '\n'; p++)
        *values += *p == ',';
    while (r.at < r.end) {
        const uint8_t *stop = memchr(r.at, '\n', (size_t)(r.end - r.at));
        r.at = stop == NULL ? r.end : stop + 1;
        ++*lines;
        skip_empty_lines(&r);
    }
}

static fw_status parse(reader *r, fw_images *im, bool *bytes)
{
    const int64_t values = im->h * im->w * im->c;
    float *to = im->pixels;
    *bytes = true;
    for (int64_t i = 0; i < im->n; i++) {
        skip_empty_lines(r);
        double v = 0;
        for (r->column = 1; r->column <= values + 1; r->column++) {
            bool last = false;
            const fw_status st = read_number(r, &v, &last);
            if (st != FW_OK)
                return st;
            if (last != (r->column == values + 1))
                return fwi_fail(FW_ESHAPE, "%s: line %lld has %s values, expected %lld and a label",
                                r->path, (long long)r->line, last ? "fewer" : "more",
                                (long long)values);
            if (r->column > values)
                break;
            *to++ = (float)v;
            *bytes = *bytes && v >= 0 && v <= 255 && v == floor(v);
            if (!isfinite((float)v))
                return bad(r, "the number is too large for a float");
        }
        if (v != floor(v) || v < 0 || v >= FWI_MAX_CLASSES)
            return fwi_fail(
                FW_EFORMAT,
                "%s: record %lld (line %lld): label %g, expected a whole number from 0 to %d",
                r->path, (long long)i, (long long)r->line, v, FWI_MAX_CLASSES - 1);
        im->labels[i] = (int32_t)v;
        if (im->labels[i] >= im->n_classes)
            im->n_classes = im->labels[i] + 1;
        r->line++;
    }
    return FW_OK;
}

static fw_status to_bytes(fw_images *im)
{
    const size_t n = (size_t)(im->n * im->h * im->w * im->c);
    const float *from = im->pixels;
    uint8_t *to = fwi_alloc(n);
    if (to == NULL)
        return FW_ENOMEM;
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)from[i];
    fwi_free(im->pixels);
    im->pixels = to;
    im->dtype = FW_U8;
    return FW_OK;
}

static fw_status choose_size(const reader *r, int64_t values, int64_t *h, int64_t *w, int64_t *c)
{
    if (values < 1)
        return fwi_fail(FW_ESHAPE, "%s: the first line has one number, expected values and a label",
                        r->path);
    if (*h == 0 && *w == 0 && *c == 0) {
        int64_t side = (int64_t)sqrt((double)values);
        *h = side * side == values ? side : 1;
        *w = values / *h;
    }
    if (*c == 0)
        *c = 1;
    if (*h == 0 || *w == 0)
        return fwi_fail(FW_EARG, "%s: of the images' size there is only the %s", r->path,
                        *h == 0 && *w == 0 ? "number of channels"
                        : *h == 0          ? "width"
                                           : "height");
    size_t want = 0;
    const fw_status st = fwi_images_check_size(r->path, 1, *h, *w, *c, &want);
    if (st != FW_OK)
        return st;
    if ((int64_t)want != values)
        return fwi_fail(
            FW_ESHAPE,
            "%s: the first line has %lld values and a label, expected %lld x %lld x %lld", r->path,
            (long long)values, (long long)*h, (long long)*w, (long long)*c);
    return FW_OK;
}

fw_status fwi_csv_parse(const char *name, const void *text, size_t n_bytes, int64_t h, int64_t w,
                        int64_t c, fw_images *out)
{
    fw_images im = {0};
    int64_t lines = 0, values = 0;
    bool bytes = false;
    reader r = {.path = name, .line = 1, .at = text};
    r.end = r.at + n_bytes;
    if (n_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.at += 3; /* the mark that some programs put in front of UTF-8 */
    r.c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (r.c_locale == (locale_t)0)
        return fwi_fail(FW_ENOMEM, "%s: no memory for a locale", name);
    count(r, &lines, &values);
    fw_status st = lines == 0 ? fwi_fail(FW_EFORMAT, "%s: holds no records", name) : FW_OK;
    if (st == FW_OK)
        st = choose_size(&r, values - 1, &h, &w, &c);
    if (st == FW_OK)
        st = fwi_images_new(&im, name, lines, h, w, c, FW_F32, true);
    if (st == FW_OK)
        st = parse(&r, &im, &bytes);
    if (st == FW_OK && bytes)
        st = to_bytes(&im);
    if (st == FW_OK)
        st = fwi_images_finish(&im, name, fwi_path_base(name));
    freelocale(r.c_locale);
    if (st != FW_OK) {
        fw_images_clear(&im);
        return st;
    }
    *out = im;
    return FW_OK;
}

fw_status fw_csv_load(const char *path, int64_t h, int64_t w, int64_t c, fw_images *out)
{
    if (path == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_csv_load: NULL argument");
    fwi_buf text = {0};
    fw_status st = fwi_read_file(path, MAX_TEXT, &text);
    if (st == FW_OK)
        st = fwi_csv_parse(path, text.data, text.size, h, w, c, out);
    fwi_buf_clear(&text);
    return st;
}
