/* npy_images.c: images and labels from NumPy arrays, in .npy files or as members of an .npz (a zip
 * of them). The arrays themselves are npy.c's. */
#include "archive_file.h"
#include "fail.h"
#include "file.h"
#include "image_set.h"
#include "npy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct array {
    fwi_npy head;
    void *values;
    char *name; /* "x.npy" or "data.npz: x.npy", for messages */
    bool labels;
    const fw_npy_opt *opt; /* of images: how they are to be cut */
    int64_t dim[4]; /* of images, once the head was read; labels are wanted for dim[0] of them */
} array;

static void array_clear(array *a)
{
    fwi_free(a->values);
    fwi_free(a->name);
    *a = (array){0};
}

static fw_status shape_text(const fwi_npy *h, fwi_buf *b)
{
    fw_status st = fwi_buf_printf(b, "[");
    for (int i = 0; st == FW_OK && i < h->rank; i++)
        st = fwi_buf_printf(b, i == 0 ? "%lld" : ",%lld", (long long)h->dim[i]);
    return st == FW_OK ? fwi_buf_printf(b, "]") : st;
}

static fw_status wrong_shape(const array *a, const char *expected)
{
    fwi_buf b = {0};
    fw_status st = shape_text(&a->head, &b);
    if (st == FW_OK)
        st = fwi_fail(FW_ESHAPE, "%s: the array is %s, expected %s", a->name, (const char *)b.data,
                      expected);
    fwi_buf_clear(&b);
    return st;
}

static fw_status image_size(array *a)
{
    const fw_npy_opt *opt = a->opt;
    const fwi_npy *h = &a->head;
    int64_t *const dim = a->dim;
    size_t n_values = 0;
    const bool asked = opt->h != 0 || opt->w != 0 || opt->c != 0;
    if (h->rank < 2 || h->rank > 4)
        return wrong_shape(a, "[n,h,w,c], [n,h,w] or [n,d]");
    dim[0] = h->dim[0];
    dim[1] = h->rank == 2 ? 1 : h->dim[1];
    dim[2] = h->rank == 2 ? h->dim[1] : h->dim[2];
    dim[3] = h->rank == 4 ? h->dim[3] : 1;
    if (!asked)
        return fwi_images_check_size(a->name, dim[0], dim[1], dim[2], dim[3], &n_values);
    const bool rows = h->rank == 2; /* to be cut; of other arrays what is asked for must be so */
    const int64_t want[3] = {!rows && opt->h == 0 ? dim[1] : opt->h,
                             !rows && opt->w == 0 ? dim[2] : opt->w,
                             opt->c != 0 ? opt->c
                             : rows      ? 1
                                         : dim[3]};
    fw_status st = fwi_images_check_size(a->name, dim[0], want[0], want[1], want[2], &n_values);
    if (st != FW_OK)
        return st;
    const bool fits = rows ? n_values == h->n_values
                           : dim[1] == want[0] && dim[2] == want[1] && dim[3] == want[2];
    if (!fits) {
        fwi_buf b = {0};
        st = fwi_buf_printf(&b, "%lld x %lld x %lld values per image", (long long)want[0],
                            (long long)want[1], (long long)want[2]);
        if (st == FW_OK)
            st = wrong_shape(a, (const char *)b.data);
        fwi_buf_clear(&b);
        return st;
    }
    memcpy(dim + 1, want, sizeof want);
    return FW_OK;
}

static fw_status label_count(const array *a)
{
    const fwi_npy *h = &a->head;
    if (!(h->rank == 1 || (h->rank == 2 && h->dim[1] == 1)))
        return wrong_shape(a, "[n] or [n,1] labels");
    if (h->dim[0] != a->dim[0])
        return fwi_fail(FW_ESHAPE, "%s: %lld labels for %lld images", a->name, (long long)h->dim[0],
                        (long long)a->dim[0]);
    return FW_OK;
}

/* No value is read, and no memory taken, before the shape is one of those that are wanted. */
static fw_status read_array(fwi_source *s, array *a)
{
    fw_status st = fwi_npy_read_head(s, &a->head);
    if (st == FW_OK)
        st = a->labels ? label_count(a) : image_size(a);
    if (st == FW_OK)
        st = fwi_npy_read_values(s, &a->head, &a->values);
    return st;
}

static fw_status load_npy(const char *path, array *a)
{
    fwi_source *s = NULL;
    a->name = fwi_strdup(path);
    fw_status st = a->name == NULL ? FW_ENOMEM : fwi_source_new(&s);
    if (st == FW_OK)
        st = fwi_source_open_file(s, a->name);
    if (st == FW_OK)
        st = read_array(s, a);
    fwi_source_free(s);
    return st;
}

/* Opens an archive at KEY.npy. FW_END: it is not in there. *zip is to be closed in any case. */
static fw_status find_member(const char *path, const char *key, fwi_archive **zip,
                             const char **member)
{
    const size_t n = strlen(key);
    *zip = NULL;
    fw_status st = fwi_archive_open(zip, path, FWI_ZIP);
    while (st == FW_OK && (st = fwi_archive_next(*zip, member)) == FW_OK)
        if (strncmp(*member, key, n) == 0 && strcmp(*member + n, ".npy") == 0)
            break;
    return st;
}

/* KEY.npy of an archive. FW_END: it is not in there. */
static fw_status load_member(const char *path, const char *key, array *a)
{
    fwi_source *s = NULL;
    fwi_archive *zip = NULL;
    const char *member = NULL;
    fw_status st = find_member(path, key, &zip, &member);
    if (st != FW_OK)
        goto done;
    a->name = fwi_sprintf("%s: %s", path, member);
    st = a->name == NULL ? FW_ENOMEM : fwi_source_new(&s);
    if (st != FW_OK)
        goto done;
    fwi_source_open_fn(s, a->name, fwi_archive_source, zip);
    st = read_array(s, a);
done:
    fwi_source_free(s);
    fwi_archive_close(zip);
    return st;
}

fw_status fwi_npz_has(const char *path, const char *key, bool *has)
{
    fwi_archive *zip = NULL;
    const char *member = NULL;
    const fw_status st = find_member(path, key, &zip, &member);
    *has = st == FW_OK;
    fwi_archive_close(zip);
    return st == FW_END ? FW_OK : st;
}

/* FW_ENOTFOUND, with what there is instead and how one of it is named. */
static fw_status no_such_array(const char *path, const char *wanted, const char *how)
{
    enum { MOST = 8 };
    fwi_archive *zip = NULL;
    const char *member = NULL;
    fwi_buf names = {0};
    int n = 0;
    fw_status st = fwi_archive_open(&zip, path, FWI_ZIP);
    while (st == FW_OK && n <= MOST && (st = fwi_archive_next(zip, &member)) == FW_OK) {
        const size_t bytes = strlen(member);
        if (bytes <= 4 || strcmp(member + bytes - 4, ".npy") != 0)
            continue;
        if (n++ < MOST)
            st = fwi_buf_printf(&names, "%s%.*s", n > 1 ? ", " : "", (int)bytes - 4, member);
    }
    if (st == FW_OK || st == FW_END)
        st = n == 0 ? fwi_fail(FW_ENOTFOUND, "%s: there is no array in it", path)
                    : fwi_fail(FW_ENOTFOUND,
                               "%s: there is no array %s in it, but %.500s%s: name one (%s)", path,
                               wanted, (const char *)names.data, n > MOST ? ", ..." : "", how);
    fwi_buf_clear(&names);
    fwi_archive_close(zip);
    return st;
}

/* The member that the caller names, else the first of the usual names. */
static fw_status load_npz(const char *path, const char *key, const char *const usual[3], array *a)
{
    if (key != NULL) {
        char wanted[200];
        const fw_status st = load_member(path, key, a);
        snprintf(wanted, sizeof wanted, "\"%.150s\"", key);
        return st != FW_END
                   ? st
                   : no_such_array(path, wanted,
                                   a->labels ? "y_key, convert --y-key" : "x_key, convert --x-key");
    }
    fw_status st = FW_END;
    for (int i = 0; st == FW_END && i < 3 && usual[i] != NULL; i++)
        st = load_member(path, usual[i], a);
    return st;
}

static fw_status is_zip(const char *path, bool *zip)
{
    fwi_source *s = NULL;
    const uint8_t *p = NULL;
    size_t got = 0;
    fw_status st = fwi_source_new(&s);
    if (st == FW_OK)
        st = fwi_source_open_file(s, path);
    if (st == FW_OK)
        st = fwi_source_peek(s, 4, &p, &got);
    *zip = st == FW_OK && got == 4 && memcmp(p, "PK\3\4", 4) == 0;
    fwi_source_free(s);
    return st;
}

/* a's values become the pixels: bytes and truths stay, anything else becomes float. */
static fw_status take_pixels(array *a, fw_images *im)
{
    const size_t n_values = a->head.n_values;
    im->n = a->dim[0];
    im->h = a->dim[1];
    im->w = a->dim[2];
    im->c = a->dim[3];
    const bool bytes = a->head.size == 1 && a->head.kind != 'i';
    im->dtype = bytes ? FW_U8 : FW_F32;
    if (bytes || (a->head.kind == 'f' && a->head.size == 4)) {
        im->pixels = a->values;
        a->values = NULL;
        return FW_OK;
    }
    float *to = fwi_alloc(n_values * sizeof *to);
    if (to == NULL)
        return FW_ENOMEM;
    for (size_t i = 0; i < n_values; i++)
        to[i] = (float)fwi_npy_value(&a->head, a->values, i);
    im->pixels = to;
    return FW_OK;
}

static fw_status take_labels(const array *a, int64_t n_classes, fw_images *im)
{
    const fwi_npy *h = &a->head;
    const int64_t limit = n_classes > 0 ? n_classes : FWI_MAX_CLASSES;
    im->labels = fwi_alloc_array((size_t)im->n, sizeof *im->labels);
    if (im->labels == NULL)
        return FW_ENOMEM;
    int64_t largest = -1;
    for (int64_t i = 0; i < im->n; i++) {
        const double v = fwi_npy_value(h, a->values, (size_t)i);
        if (!isfinite(v) || v != floor(v))
            return fwi_fail(FW_EFORMAT, "%s: record %lld: label %g is no whole number", a->name,
                            (long long)i, v);
        if (v < 0 || v >= (double)limit)
            return fwi_fail(FW_EFORMAT, "%s: record %lld: label %.0f, expected 0 to %lld", a->name,
                            (long long)i, v, (long long)limit - 1);
        im->labels[i] = (int32_t)v;
        largest = im->labels[i] > largest ? im->labels[i] : largest;
    }
    im->n_classes = n_classes > 0 ? n_classes : largest + 1;
    return FW_OK;
}

static fw_status check_key(const char *path, const char *key, bool zip)
{
    return key == NULL || zip
               ? FW_OK
               : fwi_fail(FW_EARG, "%s: has no member \"%s\": it is one array, no .npz", path, key);
}

fw_status fw_npy_load(const char *x_path, const char *y_path, const fw_npy_opt *opt, fw_images *out)
{
    static const char *const x_names[3] = {"x", "X", "images"}, *const y_names[3] = {"y", "labels",
                                                                                     NULL};
    const fw_npy_opt none = {0};
    if (opt == NULL)
        opt = &none;
    if (x_path == NULL || out == NULL || opt->n_classes < 0 || opt->n_classes > FWI_MAX_CLASSES)
        return fwi_fail(FW_EARG,
                        "fw_npy_load: NULL argument, or the number of classes is not in 0..%d",
                        FWI_MAX_CLASSES);
    array x = {.opt = opt}, y = {.labels = true};
    fw_images im = {0};
    bool labelled = true;
    bool x_zip = false, y_zip = false;
    fw_status st = is_zip(x_path, &x_zip);
    if (st == FW_OK && y_path != NULL)
        st = is_zip(y_path, &y_zip);
    if (st == FW_OK)
        st = check_key(x_path, opt->x_key, x_zip);
    if (st == FW_OK)
        st =
            check_key(y_path != NULL ? y_path : x_path, opt->y_key, y_path != NULL ? y_zip : x_zip);
    if (st != FW_OK)
        return st;
    st = x_zip ? load_npz(x_path, opt->x_key, x_names, &x) : load_npy(x_path, &x);
    if (st == FW_END)
        st = no_such_array(x_path, "\"x\", \"X\" or \"images\"", "x_key, convert --x-key");
    if (st != FW_OK)
        goto done;
    y.dim[0] = x.dim[0];
    if (y_path != NULL && !y_zip) {
        st = load_npy(y_path, &y);
    } else if (y_path != NULL || x_zip) {
        st = load_npz(y_path != NULL ? y_path : x_path, opt->y_key, y_names, &y);
        if (st == FW_END && y_path != NULL)
            st = no_such_array(y_path, "\"y\" or \"labels\"", "y_key, convert --y-key");
        if (st == FW_END) { /* an .npz without labels */
            labelled = false;
            st = FW_OK;
        }
    } else {
        labelled = false;
    }
    if (st == FW_OK)
        st = take_pixels(&x, &im);
    if (st == FW_OK && labelled)
        st = take_labels(&y, opt->n_classes, &im);
    if (st == FW_OK)
        st = fwi_images_finish(&im, x.name, fwi_path_base(x_path));
done:
    array_clear(&x);
    array_clear(&y);
    if (st != FW_OK) {
        fw_images_clear(&im);
        return st;
    }
    *out = im;
    return FW_OK;
}
