/* image_set.c: images in memory: making room, statistics, splitting (image_set.h,
 * fenwicks/image.h). The importers cifar.c, idx.c, npy.c and csv.c fill what is made here. */
#include "image_set.h"

#include "bytes.h"
#include "crc32c.h"
#include "fail.h"
#include "utf8.h"

#include <math.h>
#include <string.h>

void fwi_stats_init(fwi_stats *s, int64_t c)
{
    memset(s, 0, sizeof *s);
    s->c = c;
}

void fwi_stats_add_u8(fwi_stats *s, const uint8_t *pixels, int64_t n_pixels)
{
    const int64_t c = s->c;
    if (c == 3) { /* the common case, without an inner loop */
        for (int64_t i = 0; i < n_pixels; i++, pixels += 3) {
            s->count[0][pixels[0]]++;
            s->count[1][pixels[1]]++;
            s->count[2][pixels[2]]++;
        }
        return;
    }
    for (int64_t i = 0; i < n_pixels; i++)
        for (int64_t k = 0; k < c; k++)
            s->count[k][*pixels++]++;
}

void fwi_stats_add_f32(fwi_stats *s, const float *pixels, int64_t n_pixels)
{
    if (n_pixels == 0)
        return;
    double sum[FW_MAX_CHANNELS] = {0}, m2[FW_MAX_CHANNELS] = {0};
    const int64_t c = s->c;
    for (int64_t i = 0; i < n_pixels; i++)
        for (int64_t k = 0; k < c; k++)
            sum[k] += (double)pixels[i * c + k];
    for (int64_t k = 0; k < c; k++)
        sum[k] /= (double)n_pixels; /* now the piece's mean */
    for (int64_t i = 0; i < n_pixels; i++)
        for (int64_t k = 0; k < c; k++) {
            const double d = (double)pixels[i * c + k] - sum[k];
            m2[k] += d * d;
        }
    const double a = (double)s->n, b = (double)n_pixels;
    for (int64_t k = 0; k < c; k++) {
        const double d = sum[k] - s->mean[k];
        s->mean[k] += d * b / (a + b);
        s->m2[k] += m2[k] + d * d * a * b / (a + b);
    }
    s->n += n_pixels;
}

void fwi_stats_get(const fwi_stats *s, float *mean, float *std)
{
    for (int64_t k = 0; k < s->c; k++) {
        /* whole numbers below 2^53 until 1.3e11 pixels: no rounding before the division */
        double n = (double)s->n, sum = s->mean[k] * n, m2 = s->m2[k];
        if (s->n == 0) {
            n = sum = m2 = 0;
            for (int v = 0; v < 256; v++) {
                n += (double)s->count[k][v];
                sum += (double)s->count[k][v] * v;
            }
            for (int v = 0; v < 256; v++) {
                const double d = v - sum / n;
                m2 += (double)s->count[k][v] * d * d;
            }
        }
        mean[k] = n > 0 ? (float)(sum / n) : 0.0f;
        std[k] = n > 0 ? (float)sqrt(m2 / n) : 0.0f;
    }
}

fw_status fw_images_stats(fw_images *im)
{
    if (im == NULL || im->pixels == NULL || im->n < 1)
        return fwi_fail(FW_EARG, "fw_images_stats: there are no images");
    if (im->c < 1 || im->c > FW_MAX_CHANNELS || im->h < 1 || im->w < 1)
        return fwi_fail(FW_EARG,
                        "fw_images_stats: %lld x %lld x %lld images, channels must be 1 to %d",
                        (long long)im->h, (long long)im->w, (long long)im->c, FW_MAX_CHANNELS);
    if (im->dtype != FW_U8 && im->dtype != FW_F32)
        return fwi_fail(FW_EARG, "fw_images_stats: images are %s, expected u8 or f32",
                        fw_dtype_name(im->dtype));
    fwi_stats s;
    fwi_stats_init(&s, im->c);
    const int64_t pixels = im->h * im->w, values = pixels * im->c;
    for (int64_t i = 0; i < im->n; i++) { /* image by image: as a scan of records does it */
        if (im->dtype == FW_U8)
            fwi_stats_add_u8(&s, (const uint8_t *)im->pixels + i * values, pixels);
        else
            fwi_stats_add_f32(&s, (const float *)im->pixels + i * values, pixels);
    }
    memset(im->mean, 0, sizeof im->mean);
    memset(im->std, 0, sizeof im->std);
    fwi_stats_get(&s, im->mean, im->std);
    return FW_OK;
}

void fwi_class_names_free(char **names, int64_t n)
{
    for (int64_t i = 0; names != NULL && i < n; i++)
        fwi_free(names[i]);
    fwi_free(names);
}

void fw_images_clear(fw_images *im)
{
    if (im == NULL)
        return;
    fwi_free(im->pixels);
    fwi_free(im->labels);
    fwi_class_names_free(im->class_names, im->n_classes);
    fwi_free(im->source);
    fwi_free(im->digest);
    *im = (fw_images){0};
}

fw_status fwi_images_check_size(const char *name, int64_t n, int64_t h, int64_t w, int64_t c,
                                size_t *n_values)
{
    if (n < 1)
        return fwi_fail(FW_ESHAPE, "%s: holds no images", name);
    if (h < 1 || w < 1 || c < 1)
        return fwi_fail(FW_ESHAPE, "%s: images of %lld x %lld x %lld, expected at least 1 each",
                        name, (long long)h, (long long)w, (long long)c);
    if (c > FW_MAX_CHANNELS)
        return fwi_fail(FW_ESHAPE,
                        "%s: images of %lld x %lld x %lld (height, width, channels): at most %d "
                        "channels are possible",
                        name, (long long)h, (long long)w, (long long)c, FW_MAX_CHANNELS);
    size_t v = 0;
    if (!fwi_mul_size((size_t)h, (size_t)w, &v) || !fwi_mul_size(v, (size_t)c, &v) ||
        v > INT32_MAX || !fwi_mul_size(v, (size_t)n, &v) || v > INT64_MAX / sizeof(double))
        return fwi_fail(FW_ESHAPE, "%s: %lld images of %lld x %lld x %lld are too large", name,
                        (long long)n, (long long)h, (long long)w, (long long)c);
    *n_values = v;
    return FW_OK;
}

fw_status fwi_images_new(fw_images *im, const char *name, int64_t n, int64_t h, int64_t w,
                         int64_t c, fw_dtype dtype, bool labelled)
{
    size_t n_values = 0;
    const fw_status st = fwi_images_check_size(name, n, h, w, c, &n_values);
    if (st != FW_OK)
        return st;
    *im = (fw_images){.n = n, .h = h, .w = w, .c = c, .dtype = dtype};
    im->pixels = fwi_alloc(n_values * fw_dtype_size(dtype));
    im->labels = labelled ? fwi_alloc_array((size_t)n, sizeof *im->labels) : NULL;
    if (im->pixels == NULL || (labelled && im->labels == NULL)) {
        fw_images_clear(im);
        return FW_ENOMEM;
    }
    return FW_OK;
}

char *fwi_images_digest(const fw_images *im)
{
    const size_t values = (size_t)(im->n * im->h * im->w * im->c);
    uint32_t crc = fwi_crc32c(im->pixels, values * fw_dtype_size(im->dtype));
    for (int64_t i = 0; im->labels != NULL && i < im->n; i++) {
        uint8_t le[4];
        fwi_put_le32(le, (uint32_t)im->labels[i]);
        crc = fwi_crc32c_update(crc, le, sizeof le);
    }
    return fwi_sprintf("%08x", crc);
}

fw_status fwi_images_check_finite(const fw_images *im, const char *name)
{
    if (im->dtype != FW_F32)
        return FW_OK;
    const int64_t values = im->h * im->w * im->c;
    const float *p = im->pixels;
    for (int64_t i = 0; i < im->n; i++)
        for (int64_t k = 0; k < values; k++)
            if (!isfinite(p[i * values + k]))
                return fwi_fail(FW_EFORMAT,
                                "%s: record %lld: value %lld is %g, expected finite numbers", name,
                                (long long)i, (long long)k, (double)p[i * values + k]);
    return FW_OK;
}

fw_status fwi_images_finish(fw_images *im, const char *name, const char *source)
{
    fw_status st = fwi_images_check_finite(im, name);
    if (st == FW_OK)
        st = fw_images_stats(im);
    if (st != FW_OK)
        return st;
    im->source = fwi_strdup(source);
    im->digest = fwi_images_digest(im);
    return im->source == NULL || im->digest == NULL ? FW_ENOMEM : FW_OK;
}

fw_status fwi_class_names_copy(char *const *names, int64_t n, char ***out)
{
    *out = NULL;
    if (names == NULL || n == 0)
        return FW_OK;
    char **copy = fwi_alloc_array((size_t)n, sizeof *copy);
    if (copy == NULL)
        return FW_ENOMEM;
    for (int64_t i = 0; i < n; i++)
        if ((copy[i] = fwi_strdup(names[i])) == NULL) {
            fwi_class_names_free(copy, n);
            return FW_ENOMEM;
        }
    *out = copy;
    return FW_OK;
}

/* Names stand in lines of their own, without the blanks around them; empty lines are none. */
typedef struct name_line {
    size_t at, n, next; /* of this name; where the line after it begins */
    int64_t line;       /* from 1 on */
} name_line;

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool next_name(const uint8_t *text, size_t n_bytes, name_line *l)
{
    static const uint8_t mark[3] = {0xef, 0xbb, 0xbf}; /* that the file is UTF-8 */
    if (l->next == 0 && n_bytes >= sizeof mark && memcmp(text, mark, sizeof mark) == 0)
        l->next = sizeof mark;
    while (l->next < n_bytes) {
        size_t at = l->next, end = at;
        while (end < n_bytes && text[end] != '\n')
            end++;
        l->next = end + 1;
        l->line++;
        while (end > at && blank(text[end - 1]))
            end--;
        while (at < end && blank(text[at]))
            at++;
        l->at = at;
        l->n = end - at;
        if (end > at)
            return true;
    }
    return false;
}

int64_t fwi_class_names_count(const uint8_t *text, size_t n_bytes)
{
    int64_t n = 0;
    for (name_line l = {0}; next_name(text, n_bytes, &l);)
        n++;
    return n;
}

fw_status fwi_class_names_parse(const char *name, const uint8_t *text, size_t n_bytes, int64_t n,
                                char ***out)
{
    char **names = fwi_alloc_array((size_t)n, sizeof *names);
    if (names == NULL)
        return FW_ENOMEM;
    fw_status st = FW_OK;
    int64_t found = 0;
    for (name_line l = {0}; st == FW_OK && next_name(text, n_bytes, &l); found++) {
        if (found >= n)
            continue;
        if (memchr(text + l.at, 0, l.n) != NULL)
            st = fwi_fail(FW_EFORMAT, "%s: line %lld: a zero byte in a class name", name,
                          (long long)l.line);
        else if (!fwi_utf8_valid(text + l.at, l.n))
            st = fwi_fail(FW_EFORMAT, "%s: line %lld: the class name is not UTF-8 text", name,
                          (long long)l.line);
        else if ((names[found] = fwi_sprintf("%.*s", (int)l.n, text + l.at)) == NULL)
            st = FW_ENOMEM;
    }
    if (st == FW_OK && found != n)
        st = fwi_fail(FW_EFORMAT, "%s: %lld class names, expected %lld", name, (long long)found,
                      (long long)n);
    if (st != FW_OK) {
        fwi_class_names_free(names, n);
        return st;
    }
    *out = names;
    return FW_OK;
}

/* The images i with i % k == k - 1 (last), or all the others. */
static fw_status take_part(const fw_images *im, int64_t k, bool last, fw_images *out)
{
    const int64_t n_last = im->n / k;
    const char *name = im->source != NULL ? im->source : "images";
    fw_status st = fwi_images_new(out, name, last ? n_last : im->n - n_last, im->h, im->w, im->c,
                                  im->dtype, im->labels != NULL);
    if (st != FW_OK)
        return st;
    const size_t bytes = (size_t)(im->h * im->w * im->c) * fw_dtype_size(im->dtype);
    int64_t to = 0;
    for (int64_t i = 0; i < im->n; i++) {
        if ((i % k == k - 1) != last)
            continue;
        memcpy((uint8_t *)out->pixels + (size_t)to * bytes,
               (const uint8_t *)im->pixels + (size_t)i * bytes, bytes);
        if (im->labels != NULL)
            out->labels[to] = im->labels[i];
        to++;
    }
    st = fwi_class_names_copy(im->class_names, im->n_classes, &out->class_names);
    out->n_classes = im->n_classes;
    char *source = NULL;
    if (st == FW_OK) {
        source = last ? fwi_sprintf("%s, every record %lld", name, (long long)k)
                      : fwi_sprintf("%s, without every record %lld", name, (long long)k);
        st = source == NULL ? FW_ENOMEM : fwi_images_finish(out, name, source);
    }
    fwi_free(source);
    if (st != FW_OK)
        fw_images_clear(out);
    return st;
}

static const char *name_of(const fw_images *im)
{
    return im->source != NULL ? im->source : "images";
}

fw_status fw_images_split_every(fw_images *im, int64_t k, fw_images *train, fw_images *test)
{
    if (im == NULL || train == NULL || test == NULL || im->pixels == NULL)
        return fwi_fail(FW_EARG, "fw_images_split_every: NULL argument or no images");
    if (k < 2 || k > im->n)
        return fwi_fail(
            FW_EARG, "%s: holds %lld records: every record %lld (split_every) leaves %s part empty",
            name_of(im), (long long)im->n, (long long)k, k < 2 ? "the other" : "that");
    fw_images a = {0}, b = {0};
    fw_status st = take_part(im, k, false, &a);
    if (st == FW_OK)
        st = take_part(im, k, true, &b);
    if (st != FW_OK) {
        fw_images_clear(&a);
        return st;
    }
    fw_images_clear(im);
    *train = a;
    *test = b;
    return FW_OK;
}

fw_status fw_images_take(fw_images *im, int64_t n)
{
    if (im == NULL || im->pixels == NULL)
        return fwi_fail(FW_EARG, "fw_images_take: NULL argument or no images");
    if (n < 1 || n > im->n)
        return fwi_fail(FW_EARG,
                        "%s: holds %lld records to train on, the first %lld were asked for (take)",
                        name_of(im), (long long)im->n, (long long)n);
    const char *const name = name_of(im);
    char *const source = fwi_sprintf("%s, the first %lld records", name, (long long)n);
    if (source == NULL)
        return FW_ENOMEM;
    fw_images part = *im; /* of the same memory */
    part.n = n;
    part.source = part.digest = NULL;
    const fw_status st = fwi_images_finish(&part, name, source);
    fwi_free(source);
    if (st != FW_OK) {
        fwi_free(part.source);
        fwi_free(part.digest);
        return st;
    }
    fwi_free(im->source);
    fwi_free(im->digest);
    *im = part;
    return FW_OK;
}
