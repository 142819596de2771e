/* idx.c: MNIST's IDX files (docs/formats/idx.md), plain or gzipped. Neighbours: cifar.c, npy.c. */
#include "image_set.h"

#include "bytes.h"
#include "fail.h"
#include "file.h"
#include "idx.h"

#include <string.h>

enum { TYPE_U8 = 0x08, MAX_DIMS = 4, MNIST_CLASSES = 10 };

typedef struct idx_head {
    int n_dims;
    int64_t dim[MAX_DIMS];
} idx_head;

static fw_status read_head(fwi_source *s, int want_min, int want_max, idx_head *h)
{
    uint8_t b[4];
    const char *name = fwi_source_name(s);
    fw_status st = fwi_source_read_exact(s, b, 4, "the magic number");
    if (st != FW_OK)
        return st;
    if (b[0] != 0 || b[1] != 0)
        return fwi_fail(FW_EFORMAT, "%s: begins with %02x %02x, an IDX file with 00 00", name, b[0],
                        b[1]);
    if (b[2] != TYPE_U8)
        return fwi_fail(FW_EFORMAT, "%s: the type at byte 2 is %02x, expected 08 (unsigned bytes)",
                        name, b[2]);
    if (b[3] < want_min || b[3] > want_max)
        return fwi_fail(FW_EFORMAT, "%s: has %d dimensions (byte 3), expected %d to %d", name, b[3],
                        want_min, want_max);
    h->n_dims = b[3];
    for (int i = 0; i < h->n_dims; i++) {
        st = fwi_source_read_exact(s, b, 4, "the dimensions");
        if (st != FW_OK)
            return st;
        h->dim[i] = fwi_get_be32(b);
    }
    return FW_OK;
}

fw_status fwi_idx_read_images(fwi_source *s, fw_images *out)
{
    idx_head h = {.dim = {1, 1, 1, 1}};
    fw_images im = {0};
    size_t n_values = 0;
    fw_status st = fwi_source_inflate_if_gzip(s);
    if (st == FW_OK)
        st = read_head(s, 3, 4, &h);
    if (st == FW_OK)
        st = fwi_images_check_size(fwi_source_name(s), h.dim[0], h.dim[1], h.dim[2], h.dim[3],
                                   &n_values);
    if (st == FW_OK)
        st = fwi_source_read_alloc(s, n_values, "the images", &im.pixels);
    if (st == FW_OK)
        st = fwi_source_expect_end(s, "the last image");
    if (st != FW_OK) {
        fw_images_clear(&im);
        return st;
    }
    im.n = h.dim[0];
    im.h = h.dim[1];
    im.w = h.dim[2];
    im.c = h.dim[3];
    im.dtype = FW_U8;
    *out = im;
    return FW_OK;
}

fw_status fwi_idx_read_labels(fwi_source *s, uint8_t **out, int64_t *n)
{
    idx_head h = {0};
    void *labels = NULL;
    fw_status st = fwi_source_inflate_if_gzip(s);
    if (st == FW_OK)
        st = read_head(s, 1, 1, &h);
    if (st == FW_OK)
        st = fwi_source_read_alloc(s, (size_t)h.dim[0], "the labels", &labels);
    if (st == FW_OK)
        st = fwi_source_expect_end(s, "the last label");
    if (st != FW_OK) {
        fwi_free(labels);
        return st;
    }
    *out = labels;
    *n = h.dim[0];
    return FW_OK;
}

static fw_status load_pair(const char *images_path, const char *labels_path, const char *source,
                           fw_images *out)
{
    fwi_source *s = NULL;
    fw_images im = {0};
    uint8_t *labels = NULL;
    int64_t n_labels = 0;
    fw_status st = fwi_source_new(&s);
    if (st == FW_OK)
        st = fwi_source_open_file(s, images_path);
    if (st == FW_OK)
        st = fwi_idx_read_images(s, &im);
    if (st != FW_OK || labels_path == NULL)
        goto done;
    st = fwi_source_open_file(s, labels_path);
    if (st == FW_OK)
        st = fwi_idx_read_labels(s, &labels, &n_labels);
    if (st != FW_OK)
        goto done;
    if (n_labels != im.n) {
        st = fwi_fail(FW_ESHAPE, "%s: %lld labels for the %lld images of %s", labels_path,
                      (long long)n_labels, (long long)im.n, images_path);
        goto done;
    }
    im.labels = fwi_alloc_array((size_t)im.n, sizeof *im.labels);
    if (im.labels == NULL) {
        st = FW_ENOMEM;
        goto done;
    }
    for (int64_t i = 0; i < im.n; i++) {
        im.labels[i] = labels[i];
        if (labels[i] >= im.n_classes)
            im.n_classes = labels[i] + 1;
    }
done:
    if (st == FW_OK)
        st = fwi_images_finish(&im, images_path, source);
    fwi_source_free(s);
    fwi_free(labels);
    if (st != FW_OK) {
        fw_images_clear(&im);
        return st;
    }
    *out = im;
    return FW_OK;
}

fw_status fw_idx_load(const char *images_path, const char *labels_path, fw_images *out)
{
    if (images_path == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_idx_load: NULL argument");
    return load_pair(images_path, labels_path, fwi_path_base(images_path), out);
}

/* dir/PART-KIND, plain or .gz, whichever is there; NULL: no memory or not there (*st says which).
 */
static char *find_part(const char *dir, const char *part, const char *kind, fw_status *st)
{
    for (int gz = 0; gz < 2; gz++) {
        char *path = fwi_sprintf("%s/%s-%s%s", dir, part, kind, gz != 0 ? ".gz" : "");
        if (path == NULL) {
            *st = FW_ENOMEM;
            return NULL;
        }
        fwi_path_kind there;
        *st = fwi_path_look(path, &there);
        if (*st == FW_OK && there == FWI_FILE)
            return path;
        fwi_free(path);
        if (*st != FW_OK)
            return NULL;
    }
    *st = fwi_fail(FW_ENOTFOUND, "%s: there is no %s-%s, plain or .gz", dir, part, kind);
    return NULL;
}

static fw_status load_part(const char *dir, const char *part, fw_images *out)
{
    fw_status st = FW_OK;
    char *source = NULL, *labels = NULL;
    char *images = find_part(dir, part, "images-idx3-ubyte", &st);
    if (images != NULL)
        labels = find_part(dir, part, "labels-idx1-ubyte", &st);
    if (labels != NULL && (source = fwi_sprintf("MNIST %s", part)) == NULL)
        st = FW_ENOMEM;
    if (st == FW_OK)
        st = load_pair(images, labels, source, out);
    fwi_free(images);
    fwi_free(labels);
    fwi_free(source);
    return st;
}

fw_status fw_mnist_load(const char *path, fw_images *train, fw_images *test)
{
    if (path == NULL || (train == NULL && test == NULL))
        return fwi_fail(FW_EARG, "fw_mnist_load: NULL argument");
    fw_status st = fwi_path_check_local(path);
    fw_images a = {0}, b = {0};
    if (st == FW_OK && train != NULL)
        st = load_part(path, "train", &a);
    if (st == FW_OK && test != NULL)
        st = load_part(path, "t10k", &b);
    if (st != FW_OK) {
        fw_images_clear(&a);
        fw_images_clear(&b);
        return st;
    }
    /* a slice need not hold every class, and both parts are of one data set */
    int64_t classes = a.n_classes > b.n_classes ? a.n_classes : b.n_classes;
    if (classes < MNIST_CLASSES)
        classes = MNIST_CLASSES;
    if (train != NULL) {
        a.n_classes = classes;
        *train = a;
    }
    if (test != NULL) {
        b.n_classes = classes;
        *test = b;
    }
    return FW_OK;
}
