/* record_info.c: what a pattern of record files holds: from its sidecar, else from one pass over
 * all records; and the records themselves as images in memory. Neighbours: sidecar.c, record_set.h.
 */
#include <fenwicks/record.h>

#include "example.h"
#include "fail.h"
#include "image_set.h"
#include "record_set.h"
#include "sidecar.h"

#include <string.h>

enum { PLACE_CAP = 600 };

/* ---- one pass ---- */

typedef struct scan {
    fwi_record_stream *stream;
    fwi_arena *arena;
    fw_record_info *info; /* n_classes: 0, or what labels must stay under */
    int64_t class_limit;
    fwi_stats *stats;
} scan;

static fw_status first_record(const fwi_example_image *e, fw_record_info *in, const char *pattern)
{
    in->dtype = e->u8 != NULL ? FW_U8 : FW_F32;
    in->labelled = e->has_label;
    if (in->h == 0 && e->has_shape) {
        in->h = e->h;
        in->w = e->w;
        in->c = e->c;
    }
    if (in->h == 0) {
        const fw_status st = fwi_example_image_check(e, 1, e->n_values, 1);
        if (st == FW_EUNAVAILABLE) /* encoded */
            return st;
        return fwi_fail(
            FW_ESHAPE,
            "%lld values and no shape; there is no sidecar for %s either: say height, width "
            "and channels",
            (long long)e->n_values, pattern);
    }
    size_t n_values = 0;
    return fwi_images_check_size("the image", 1, in->h, in->w, in->c, &n_values);
}

static fw_status check_label(const fwi_example_image *e, const fw_record_info *in, int64_t limit)
{
    if (e->has_label != in->labelled)
        return fwi_fail(FW_EFORMAT, "has %s label, the records before have %s",
                        e->has_label ? "a" : "no", in->labelled ? "one" : "none");
    if (e->has_label && (e->label < 0 || e->label >= limit))
        return limit == FWI_MAX_CLASSES ? fwi_fail(FW_EFORMAT, "label %lld, expected 0 to %lld",
                                                   (long long)e->label, (long long)limit - 1)
                                        : fwi_fail(FW_EFORMAT, "label %lld, there are %lld classes",
                                                   (long long)e->label, (long long)limit);
    return FW_OK;
}

static fw_status scan_record(scan *s, const uint8_t *data, size_t n, const char *pattern)
{
    fw_record_info *in = s->info;
    fwi_example_image e;
    fw_status st = fwi_example_image_decode(s->arena, data, n, &e);
    if (st == FW_OK && in->n == 0) {
        st = first_record(&e, in, pattern);
        if (st == FW_OK)
            fwi_stats_init(s->stats, in->c);
    }
    if (st == FW_OK)
        st = fwi_example_image_check(&e, in->h, in->w, in->c);
    if (st == FW_OK && (e.u8 != NULL) != (in->dtype == FW_U8))
        st = fwi_fail(FW_EFORMAT, "the image is %s, the records before are %s",
                      e.u8 != NULL ? "bytes" : "float", in->dtype == FW_U8 ? "bytes" : "float");
    if (st == FW_OK)
        st = check_label(&e, in, s->class_limit);
    if (st != FW_OK)
        return st;
    if (e.has_label && e.label >= in->n_classes)
        in->n_classes = e.label + 1;
    if (e.u8 != NULL)
        fwi_stats_add_u8(s->stats, e.u8, in->h * in->w);
    else
        fwi_stats_add_f32(s->stats, e.f32, in->h * in->w);
    in->n++;
    return FW_OK;
}

/* in: h, w, c are 0 or known; n_classes is 0 or known. */
static fw_status scan_all(const char *pattern, fw_record_info *in)
{
    scan s = {.info = in, .class_limit = in->n_classes > 0 ? in->n_classes : FWI_MAX_CLASSES};
    const uint8_t *data = NULL;
    size_t n = 0;
    s.stats = fwi_alloc(sizeof *s.stats);
    fw_status st = s.stats == NULL ? FW_ENOMEM : fwi_arena_new(&s.arena, 0);
    if (st == FW_OK)
        st = fwi_record_stream_open(&s.stream, pattern, 1);
    in->n = 0;
    while (st == FW_OK && (st = fwi_record_stream_next(s.stream, &data, &n)) == FW_OK) {
        st = scan_record(&s, data, n, pattern);
        if (st != FW_OK) {
            char place[PLACE_CAP];
            st = fwi_fail_in(st, "%s", fwi_record_stream_place(s.stream, place, sizeof place));
        }
    }
    if (st == FW_END)
        st = in->n > 0 ? FW_OK : fwi_fail(FW_EFORMAT, "%s: holds no records", pattern);
    if (st == FW_OK)
        fwi_stats_get(s.stats, in->mean, in->std);
    fwi_record_stream_close(s.stream);
    fwi_arena_free(s.arena);
    fwi_free(s.stats);
    return st;
}

fw_status fw_record_info_scan(const char *pattern, int64_t h, int64_t w, int64_t c,
                              fw_record_info *out)
{
    if (pattern == NULL || out == NULL || h < 0 || w < 0 || c < 0)
        return fwi_fail(FW_EARG, "fw_record_info_scan: NULL argument or a size below 0");
    fw_record_info in = {0};
    if (h > 0 || w > 0 || c > 0) {
        in.h = h > 0 ? h : 1;
        in.w = w > 0 ? w : 1;
        in.c = c > 0 ? c : 1;
    }
    const fw_status st = scan_all(pattern, &in);
    if (st != FW_OK) {
        fw_record_info_clear(&in);
        return st;
    }
    *out = in;
    return FW_OK;
}

fw_status fw_record_info_read(const char *pattern, fw_record_info *out)
{
    if (pattern == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_record_info_read: NULL argument");
    return fwi_record_info_read_as(pattern, 0, 0, 0, out);
}

/* What the sidecar beside the files says, and whether it is about all of them; {0} and no: there is none. */
static fw_status read_sidecar(const char *pattern, fwi_sidecar *s, bool *covers)
{
    fwi_paths files = {0};
    char *path = NULL;
    *covers = false;
    fw_status st = fwi_glob(pattern, &files);
    if (st == FW_OK)
        st = fwi_sidecar_find(&files, &path);
    if (st == FW_OK && path != NULL)
        st = fwi_sidecar_read(path, s);
    if (st == FW_OK && path != NULL)
        st = fwi_sidecar_covers(s, path, &files, covers);
    fwi_paths_clear(&files);
    fwi_free(path);
    return st;
}

fw_status fwi_record_digest(const char *pattern, char digest[FWI_DIGEST_CAP])
{
    fwi_sidecar s = {0};
    bool covers = false;
    digest[0] = 0;
    const fw_status st = read_sidecar(pattern, &s, &covers);
    if (st == FW_OK && covers && s.digest != NULL && strlen(s.digest) < FWI_DIGEST_CAP)
        memcpy(digest, s.digest, strlen(s.digest) + 1);
    fwi_sidecar_clear(&s);
    return st == FW_ENOMEM ? st : FW_OK;
}

fw_status fwi_record_info_read_as(const char *pattern, int64_t h, int64_t w, int64_t c,
                                  fw_record_info *out)
{
    fwi_sidecar s = {0};
    bool covers = false;
    fw_status st = read_sidecar(pattern, &s, &covers);
    /* a sidecar of more or other files still knows the shape and the classes */
    if (st == FW_OK && !covers) {
        if (s.info.h == 0) {
            s.info.h = h;
            s.info.w = w;
            s.info.c = c;
        }
        st = scan_all(pattern, &s.info);
    }
    if (st == FW_OK) {
        *out = s.info;
        s.info = (fw_record_info){0};
    }
    fwi_sidecar_clear(&s);
    return st;
}

/* ---- all of it in memory ---- */

static fw_status copy_record(const fwi_example_image *e, const fw_record_info *in, int64_t i,
                             fw_images *im)
{
    fw_status st = fwi_example_image_check(e, in->h, in->w, in->c);
    if (st == FW_OK && (e->u8 != NULL) != (in->dtype == FW_U8))
        st = fwi_fail(FW_EFORMAT, "the image is %s, expected %s", e->u8 != NULL ? "bytes" : "float",
                      in->dtype == FW_U8 ? "bytes" : "float");
    if (st == FW_OK)
        st = check_label(e, in, in->n_classes);
    if (st == FW_OK && i >= in->n)
        st =
            fwi_fail(FW_EFORMAT, "there are more records than the %lld expected", (long long)in->n);
    if (st != FW_OK)
        return st;
    const size_t bytes = (size_t)e->n_values * fw_dtype_size(in->dtype);
    const void *from = e->u8 != NULL ? (const void *)e->u8 : (const void *)e->f32;
    memcpy((uint8_t *)im->pixels + (size_t)i * bytes, from, bytes);
    if (in->labelled)
        im->labels[i] = (int32_t)e->label;
    return FW_OK;
}

fw_status fw_read_tfrecord(const char *pattern, fw_images *out)
{
    if (pattern == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_read_tfrecord: NULL argument");
    fw_record_info in = {0};
    fw_images im = {0};
    fwi_record_stream *stream = NULL;
    fwi_arena *arena = NULL;
    const uint8_t *data = NULL;
    size_t n = 0;
    int64_t i = 0;
    fw_status st = fw_record_info_read(pattern, &in);
    if (st == FW_OK)
        st = fwi_arena_new(&arena, 0);
    if (st == FW_OK)
        st = fwi_record_stream_open(&stream, pattern, 1);
    if (st == FW_OK)
        st = fwi_images_new(&im, pattern, in.n, in.h, in.w, in.c, in.dtype, in.labelled);
    while (st == FW_OK && (st = fwi_record_stream_next(stream, &data, &n)) == FW_OK) {
        fwi_example_image e;
        st = fwi_example_image_decode(arena, data, n, &e);
        if (st == FW_OK)
            st = copy_record(&e, &in, i++, &im);
        if (st != FW_OK) {
            char place[PLACE_CAP];
            st = fwi_fail_in(st, "%s", fwi_record_stream_place(stream, place, sizeof place));
        }
    }
    if (st == FW_END)
        st = i == in.n ? FW_OK
                       : fwi_fail(FW_EFORMAT, "%s: ends after %lld records, expected %lld", pattern,
                                  (long long)i, (long long)in.n);
    if (st == FW_OK) {
        im.n_classes = in.labelled ? in.n_classes : 0;
        if (in.labelled) {
            im.class_names = in.class_names;
            in.class_names = NULL;
        }
        st =
            fwi_images_finish(&im, pattern, in.source != NULL ? in.source : fwi_path_base(pattern));
    }
    fwi_record_stream_close(stream);
    fwi_arena_free(arena);
    fw_record_info_clear(&in);
    if (st != FW_OK) {
        fw_images_clear(&im);
        return st;
    }
    *out = im;
    return FW_OK;
}

/* ---- a look at the files ---- */

void fw_record_summary_clear(fw_record_summary *s)
{
    if (s == NULL)
        return;
    fwi_free(s->features);
    if (s->info != NULL)
        fw_record_info_clear(s->info);
    fwi_free(s->info);
    *s = (fw_record_summary){0};
}

static fw_status take_info(const char *pattern, bool verify, fw_record_info **out)
{
    fwi_sidecar s = {0};
    bool covers = false;
    fw_status st = read_sidecar(pattern, &s, &covers);
    if (st == FW_EFORMAT && !verify) {
        fwi_log(1, "%s", fw_last_error());
        st = FW_OK;
    }
    if (st == FW_OK && covers) {
        *out = fwi_alloc(sizeof **out);
        st = *out == NULL ? FW_ENOMEM : FW_OK;
    }
    if (st == FW_OK && covers) {
        **out = s.info;
        s.info = (fw_record_info){0};
    }
    fwi_sidecar_clear(&s);
    return st;
}

static fw_status describe_first(fwi_record_stream *stream, fwi_arena *arena, fwi_buf *text,
                                bool *any)
{
    const uint8_t *data = NULL;
    size_t n = 0;
    fw_status st = fwi_record_stream_next(stream, &data, &n);
    *any = st == FW_OK;
    if (st != FW_OK)
        return st == FW_END ? FW_OK : st;
    st = fwi_example_describe(arena, data, n, text);
    if (st == FW_EFORMAT) { /* records of something else are no error here */
        text->size = 0;
        st = fwi_buf_printf(text, "no tf.train.Example");
    }
    return st;
}

fw_status fw_record_inspect(const char *pattern, bool verify, fw_record_summary *out)
{
    if (pattern == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_record_inspect: NULL argument");
    fw_record_summary sum = {0};
    fwi_record_set *set = NULL;
    fwi_record_stream *stream = NULL;
    fwi_arena *arena = NULL;
    fwi_buf text = {0};
    bool any = false;
    fw_status st = fwi_record_set_open(&set, pattern);
    if (st == FW_OK)
        st = fwi_record_stream_open(&stream, pattern, 1);
    if (st == FW_OK)
        st = fwi_arena_new(&arena, 0);
    if (st == FW_OK)
        st = describe_first(stream, arena, &text, &any);
    if (st != FW_OK)
        goto done;
    sum.n_files = fwi_record_set_files(set);
    sum.n_bytes = fwi_record_set_bytes(set);
    sum.compression = fwi_record_set_compression(set, 0);
    sum.n_records = fwi_record_set_count(set);
    if (verify || sum.n_records < 0) { /* a compressed file shows its records only by being read */
        const uint8_t *data = NULL;
        size_t n = 0;
        sum.n_records = any ? 1 : 0;
        while ((st = fwi_record_stream_next(stream, &data, &n)) == FW_OK)
            sum.n_records++;
        if (st != FW_END)
            goto done;
    }
    sum.features = fwi_strdup(text.data != NULL ? (const char *)text.data : "");
    st = sum.features == NULL ? FW_ENOMEM : take_info(pattern, verify, &sum.info);
done:
    fwi_record_stream_close(stream);
    fwi_record_set_close(set);
    fwi_arena_free(arena);
    fwi_buf_clear(&text);
    if (st == FW_OK)
        *out = sum;
    else
        fw_record_summary_clear(&sum);
    return st;
}
