/* csv.c: images as lines of numbers with a label (docs/formats/csv.md). Neighbours: npy_images.c,
 * idx.c. */
#include "fail.h"
#include "file.h"
#include "image_set.h"
#include "source.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_NUMBER = 63 }; /* characters */
#define MAX_TEXT ((size_t)4 << 30)

typedef struct reader {
    const char *path;
    locale_t c_locale; /* a decimal point is a point wherever the program runs */
    const uint8_t *at, *end;
    int64_t line, column; /* from 1, as editors count */
    char separator;
    int64_t columns, label; /* of the first line; which of them holds labels, from 1 */
} reader;

typedef struct field {
    const uint8_t *text; /* without blanks around it */
    size_t n;
    bool last; /* of its line */
} field;

static fw_status bad(const reader *r, const char *what)
{
    return fwi_fail(FW_EFORMAT, "%s: line %lld, value %lld: %s", r->path, (long long)r->line,
                    (long long)r->column, what);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next one, and past what ends it. */
static field next_field(reader *r)
{
    field f = {.text = r->at};
    while (r->at < r->end && *r->at != (uint8_t)r->separator && *r->at != '\n')
        r->at++;
    f.n = (size_t)(r->at - f.text);
    f.last = r->at == r->end || *r->at == '\n';
    if (r->at < r->end)
        r->at++;
    while (f.n > 0 && is_blank(f.text[f.n - 1]))
        f.n--;
    while (f.n > 0 && is_blank(*f.text)) {
        f.text++;
        f.n--;
    }
    return f;
}

static bool to_number(const reader *r, field f, double *v)
{
    char text[MAX_NUMBER + 1];
    if (f.n == 0 || f.n > MAX_NUMBER)
        return false;
    memcpy(text, f.text, f.n);
    text[f.n] = '\0';
    char *stop = text;
    *v = strtod_l(text, &stop, r->c_locale);
    /* strtod also reads "nan", "inf" and "0x1p3", which no data file means */
    return stop == text + f.n && isfinite(*v) && strpbrk(text, "xX") == NULL;
}

static fw_status read_number(reader *r, double *v, bool *last)
{
    const field f = next_field(r);
    *last = f.last;
    if (to_number(r, f, v))
        return FW_OK;
    if (f.n > MAX_NUMBER)
        return bad(r, "more than 63 characters, expected a number");
    char text[MAX_NUMBER + 1] = {0};
    for (size_t i = 0; i < f.n; i++)
        text[i] = f.text[i] >= 0x20 && f.text[i] < 0x7f ? (char)f.text[i] : '?';
    return fwi_fail(FW_EFORMAT, "%s: line %lld, value %lld: found \"%s\", expected a number",
                    r->path, (long long)r->line, (long long)r->column, text);
}

static void skip_empty_lines(reader *r)
{
    while (r->at < r->end &&
           (*r->at == '\n' || (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n'))) {
        r->at += *r->at == '\r' ? 2 : 1;
        r->line++;
    }
}

/* One of its own, or in quotes. */
static bool begins_like_number(const reader *r, field f)
{
    double v = 0;
    if (f.n > 1 && *f.text == '"') {
        f.text++;
        f.n--;
    }
    if (f.n == 0)
        return false;
    const uint8_t c = *f.text;
    return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || to_number(r, f, &v);
}

static char separator_of(const uint8_t *line, size_t n)
{
    static const char separators[] = {',', ';', '\t'};
    for (size_t i = 0; i < sizeof separators; i++)
        if (memchr(line, separators[i], n) != NULL)
            return separators[i];
    return ',';
}

/* A name that means labels, in any case, perhaps quoted. */
static bool names_labels(field f)
{
    static const char *const names[] = {"label", "labels", "class", "target", "y"};
    if (f.n >= 2 && f.text[0] == '"' && f.text[f.n - 1] == '"') {
        f.text++;
        f.n -= 2;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (f.n == strlen(names[i]) && strncasecmp((const char *)f.text, names[i], f.n) == 0)
            return true;
    return false;
}

/* What the first line says of all: the separator, the columns, and whether it is a header, which
 * is passed over: one where a column is named as labels are, or none begins like a number. Of a header that
 * names none, nobody can tell which column holds the labels unless `label` says. */
static fw_status read_first_line(reader *r, int64_t label)
{
    skip_empty_lines(r);
    const void *const stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    const size_t n = (size_t)((stop == NULL ? r->end : (const uint8_t *)stop) - r->at);
    r->separator = separator_of(r->at, n);
    reader line = *r;
    int64_t numbers = 0, named = 0;
    bool last = n == 0;
    while (!last) {
        const field f = next_field(&line);
        numbers += begins_like_number(r, f);
        line.columns++;
        last = f.last;
        if (!names_labels(f))
            continue;
        if (named != 0 && label == 0)
            return fwi_fail(
                FW_EFORMAT,
                "%s: line %lld: columns %lld and %lld are both named as labels are; "
                "which one is meant has to be said (label_column, convert --label-column)",
                r->path, (long long)r->line, (long long)named, (long long)line.columns);
        named = line.columns;
    }
    const bool header = n > 0 && (named != 0 || numbers == 0);
    r->columns = line.columns;
    r->label = label != 0 ? label : named != 0 ? named : r->columns;
    if (r->columns > 0 && label > r->columns)
        return fwi_fail(FW_ESHAPE,
                        "%s: labels are asked for in column %lld, line %lld has %lld columns",
                        r->path, (long long)label, (long long)r->line, (long long)r->columns);
    if (header && label == 0 && named == 0)
        return fwi_fail(
            FW_EFORMAT,
            "%s: line %lld is a header without a column named label, labels, class, target or y: "
            "which one holds labels has to be said (label_column, convert --label-column)",
            r->path, (long long)r->line);
    if (header) {
        r->at = line.at;
        r->line++;
    }
    return FW_OK;
}

static int64_t count_lines(reader r)
{
    int64_t lines = 0;
    skip_empty_lines(&r);
    while (r.at < r.end) {
        const uint8_t *stop = memchr(r.at, '\n', (size_t)(r.end - r.at));
        r.at = stop == NULL ? r.end : stop + 1;
        lines++;
        skip_empty_lines(&r);
    }
    return lines;
}

static fw_status take_label(const reader *r, int64_t i, double v, fw_images *im)
{
    if (v != floor(v) || v < 0 || v >= FWI_MAX_CLASSES)
        return fwi_fail(
            FW_EFORMAT,
            "%s: record %lld (line %lld): label %g, expected a whole number from 0 to %d", r->path,
            (long long)i, (long long)r->line, v, FWI_MAX_CLASSES - 1);
    im->labels[i] = (int32_t)v;
    if (im->labels[i] >= im->n_classes)
        im->n_classes = im->labels[i] + 1;
    return FW_OK;
}

static fw_status parse(reader *r, fw_images *im, bool *bytes)
{
    float *to = im->pixels;
    *bytes = true;
    for (int64_t i = 0; i < im->n; i++) {
        skip_empty_lines(r);
        for (r->column = 1; r->column <= r->columns; r->column++) {
            double v = 0;
            bool last = false;
            fw_status st = read_number(r, &v, &last);
            if (st == FW_OK && last != (r->column == r->columns))
                st = fwi_fail(FW_ESHAPE, "%s: line %lld has %s values, expected %lld and a label",
                              r->path, (long long)r->line, last ? "fewer" : "more",
                              (long long)r->columns - 1);
            if (st == FW_OK && r->column == r->label) {
                st = take_label(r, i, v, im);
            } else if (st == FW_OK) {
                *to++ = (float)v;
                *bytes = *bytes && v >= 0 && v <= 255 && v == floor(v);
                if (!isfinite((float)v))
                    st = bad(r, "the number is too large for a float");
            }
            if (st != FW_OK)
                return st;
        }
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
        return fwi_fail(FW_ESHAPE, "%s: the first line has one column, expected values and a label",
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

fw_status fwi_csv_parse(const char *name, const void *text, size_t n_bytes, const fw_csv_opt *opt,
                        fw_images *out)
{
    const fw_csv_opt none = {0};
    if (opt == NULL)
        opt = &none;
    if (opt->label_column < 0)
        return fwi_fail(FW_EARG, "%s: the label column is %lld, expected 1 or more, or 0", name,
                        (long long)opt->label_column);
    fw_images im = {0};
    int64_t h = opt->h, w = opt->w, c = opt->c, lines = 0;
    bool bytes = false;
    reader r = {.path = name, .line = 1, .at = text};
    r.end = r.at + n_bytes;
    if (n_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.at += 3; /* the mark that some programs put in front of UTF-8 */
    r.c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (r.c_locale == (locale_t)0)
        return fwi_fail(FW_ENOMEM, "%s: no memory for a locale", name);
    fw_status st = read_first_line(&r, opt->label_column);
    if (st == FW_OK && (lines = count_lines(r)) == 0)
        st = fwi_fail(FW_EFORMAT, "%s: holds no records", name);
    if (st == FW_OK)
        st = choose_size(&r, r.columns - 1, &h, &w, &c);
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

fw_status fw_csv_load(const char *path, const fw_csv_opt *opt, fw_images *out)
{
    if (path == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_csv_load: NULL argument");
    fwi_buf text = {0};
    fw_status st = fwi_read_file(path, MAX_TEXT, &text);
    if (st == FW_OK)
        st = fwi_csv_parse(path, text.data, text.size, opt, out);
    fwi_buf_clear(&text);
    return st;
}
