/* import.c: tells which importer a path is for (cifar.c, idx.c, npy_images.c, csv.c), and runs
 * it. */
#include "fail.h"
#include "file.h"
#include "image_set.h"

#include <string.h>

enum { MOST_NAME_BYTES = 64 << 20 };

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

typedef enum kind { CIFAR10, CIFAR100, MNIST, IDX, ARRAYS, CSV } kind;

static fw_status kind_of_folder(const char *src, kind *out)
{
    if (fwi_dir_has(src, "data_batch_1.bin") || fwi_dir_has(src, "cifar-10-batches-bin") ||
        fwi_dir_has(src, "cifar-10-binary.tar.gz"))
        *out = CIFAR10;
    else if (fwi_dir_has(src, "train.bin") || fwi_dir_has(src, "cifar-100-binary") ||
             fwi_dir_has(src, "cifar-100-binary.tar.gz"))
        *out = CIFAR100;
    else if (fwi_dir_has(src, "train-images-idx3-ubyte") ||
             fwi_dir_has(src, "train-images-idx3-ubyte.gz"))
        *out = MNIST;
    else
        return fwi_fail(FW_ENOTFOUND,
                        "%s: a folder with neither CIFAR (data_batch_1.bin, train.bin) nor MNIST "
                        "(train-images-idx3-ubyte) in it; folders of image files are not read yet",
                        src);
    return FW_OK;
}

static fw_status kind_of_file(const char *src, kind *out)
{
    if (ends_with(src, ".tar.gz") || ends_with(src, ".tgz") || ends_with(src, ".tar")) {
        int64_t classes = 0;
        const fw_status st = fwi_cifar_archive_classes(src, &classes);
        *out = classes == 10 ? CIFAR10 : CIFAR100;
        return st != FW_OK || classes > 0
                   ? st
                   : fwi_fail(
                         FW_ENOTFOUND,
                         "%s: an archive with neither CIFAR-10 nor CIFAR-100 in its binary form",
                         src);
    }
    if (ends_with(src, ".npy") || ends_with(src, ".npz"))
        *out = ARRAYS;
    else if (ends_with(src, ".csv"))
        *out = CSV;
    else if (strstr(fwi_path_base(src), "-ubyte") != NULL)
        *out = IDX;
    else if (strstr(fwi_path_base(src), ".tfrec") != NULL)
        return fwi_fail(FW_ENOTFOUND, "%s: holds records: there is nothing to import", src);
    else
        return fwi_fail(
            FW_ENOTFOUND,
            "%s: cannot tell what it is from its name; .npy, .npz, .csv, *-idx3-ubyte[.gz] and "
            "CIFAR's .tar.gz are read",
            src);
    return FW_OK;
}

/* FW_EARG for an option that this kind has no use for. */
static fw_status check_use(const char *src, kind k, const fw_import_opt *opt)
{
    const fw_npy_opt *const n = &opt->npy;
    const char *foreign = NULL;
    if (opt->labels != NULL && k != ARRAYS && k != IDX)
        foreign = "labels in a file of their own";
    else if (opt->coarse && k != CIFAR100)
        foreign = "coarse labels";
    else if (k != ARRAYS && (n->x_key != NULL || n->y_key != NULL))
        foreign = "the name of an .npz's member";
    else if (opt->label_column != 0 && k != CSV)
        foreign = "a column of labels";
    else if (k != ARRAYS && n->n_classes != 0)
        foreign = "a number of classes";
    else if (k != ARRAYS && (n->h != 0 || n->w != 0 || n->c != 0))
        foreign = "a shape for arrays";
    return foreign == NULL
               ? FW_OK
               : fwi_fail(FW_EARG, "%s: has no use for %s, which the import was asked for with",
                          src, foreign);
}

/* X-images-idx3-ubyte: the labels are X-labels-idx1-ubyte beside it, if they are there. */
static fw_status import_idx(const char *src, const fw_import_opt *opt, fw_images *out)
{
    static const char from[] = "images-idx3-ubyte", to[] = "labels-idx1-ubyte";
    if (opt->labels != NULL)
        return fw_idx_load(src, opt->labels, out);
    char *const labels = fwi_strdup(src);
    if (labels == NULL)
        return FW_ENOMEM;
    fw_status st = FW_OK;
    fwi_path_kind there = FWI_NOTHING;
    char *const at = strstr(labels + (fwi_path_base(src) - src), from);
    if (at != NULL) {
        memcpy(at, to, sizeof to - 1); /* of the same length */
        st = fwi_path_look(labels, &there);
    }
    if (st == FW_OK)
        st = fw_idx_load(src, there == FWI_FILE ? labels : NULL, out);
    fwi_free(labels);
    return st;
}

/* An .npz as Keras has them: x_train, y_train, x_test, y_test. *parts: whether it is one. */
static fw_status import_parts(const char *src, const fw_npy_opt *npy, fw_images *train,
                              fw_images *test, bool *parts)
{
    static const char *const x_key[2] = {"x_train", "x_test"}, *const y_key[2] = {"y_train",
                                                                                  "y_test"};
    fw_images *const part[2] = {train, test};
    fw_status st = fwi_npz_has(src, x_key[0], parts);
    for (int i = 0; i < 2 && st == FW_OK && *parts; i++) {
        fw_npy_opt of = *npy;
        bool images = i == 0, labels = false; /* x_train is there */
        if (!images)
            st = fwi_npz_has(src, x_key[i], &images);
        if (st == FW_OK && images)
            st = fwi_npz_has(src, y_key[i], &labels);
        if (st != FW_OK || !images)
            break;
        of.x_key = x_key[i];
        of.y_key = labels ? y_key[i] : NULL;
        st = fw_npy_load(src, NULL, &of, part[i]);
    }
    if (st == FW_OK && test->n > 0 &&
        (train->h != test->h || train->w != test->w || train->c != test->c))
        st = fwi_fail(
            FW_ESHAPE,
            "%s: the images of x_train are %lld x %lld x %lld, those of x_test %lld x %lld x %lld",
            src, (long long)train->h, (long long)train->w, (long long)train->c, (long long)test->h,
            (long long)test->w, (long long)test->c);
    return st;
}

/* Names for the classes, one in each line of a file; there may be more of them than labels. */
static fw_status name_classes(const char *src, const char *file, fw_images *a, fw_images *b)
{
    fwi_buf text = {0};
    int64_t names = 0;
    fw_images *const part[2] = {a, b};
    const int64_t n = a->n_classes > b->n_classes ? a->n_classes : b->n_classes;
    if (n == 0 || a->class_names != NULL)
        return fwi_fail(FW_EARG, "%s: %s", src,
                        n == 0 ? "has no labels, and so no classes to name"
                               : "has names for its classes");
    fw_status st = fwi_read_file(file, MOST_NAME_BYTES, &text);
    if (st == FW_OK)
        names = fwi_class_names_count(text.data, text.size);
    if (st == FW_OK && (names < n || names > FWI_MAX_CLASSES))
        st = fwi_fail(FW_EFORMAT, "%s: %lld names, and the labels of %s are of %lld classes", file,
                      (long long)names, src, (long long)n);
    for (int i = 0; i < 2 && st == FW_OK; i++) {
        if (part[i]->labels == NULL)
            continue;
        st = fwi_class_names_parse(file, text.data, text.size, names, &part[i]->class_names);
        if (st == FW_OK)
            part[i]->n_classes = names;
    }
    fwi_buf_clear(&text);
    return st;
}

static fw_status run_import(const char *src, kind k, const fw_import_opt *opt, fw_images *train,
                            fw_images *test)
{
    fw_npy_opt npy = opt->npy;
    if (npy.h == 0 && npy.w == 0 && npy.c == 0) {
        npy.h = opt->h;
        npy.w = opt->w;
        npy.c = opt->c;
    }
    switch (k) {
    case CIFAR10:
        return fw_cifar10_load(src, train, test);
    case CIFAR100:
        return fw_cifar100_load(src, !opt->coarse, train, test);
    case MNIST:
        return fw_mnist_load(src, train, test);
    case IDX:
        return import_idx(src, opt, train);
    case ARRAYS: {
        bool parts = false;
        fw_status st = FW_OK;
        if (npy.x_key == NULL && npy.y_key == NULL && opt->labels == NULL && ends_with(src, ".npz"))
            st = import_parts(src, &npy, train, test, &parts);
        return st != FW_OK || parts ? st : fw_npy_load(src, opt->labels, &npy, train);
    }
    case CSV:
        return fw_csv_load(
            src,
            &(fw_csv_opt){.h = opt->h, .w = opt->w, .c = opt->c, .label_column = opt->label_column},
            train);
    }
    return fwi_fail(FW_EINTERNAL, "%s: kind %d", src, (int)k);
}

/* Of kinds that say their size themselves it may be asked for too. */
static fw_status check_shape(const char *src, const fw_import_opt *opt, const fw_images *im)
{
    if ((opt->h == 0 || opt->h == im->h) && (opt->w == 0 || opt->w == im->w) &&
        (opt->c == 0 || opt->c == im->c))
        return FW_OK;
    return fwi_fail(FW_ESHAPE,
                    "%s: images are %lld x %lld x %lld, %lld x %lld x %lld were asked for (0: any)",
                    src, (long long)im->h, (long long)im->w, (long long)im->c, (long long)opt->h,
                    (long long)opt->w, (long long)opt->c);
}

static fw_status import(const char *src, const fw_import_opt *opt, bool of_that_size,
                        fw_images *train, fw_images *test)
{
    if (src == NULL || train == NULL || test == NULL)
        return fwi_fail(FW_EARG, "fw_import: NULL argument");
    fw_status st = fwi_path_check_local(src);
    if (st != FW_OK)
        return st;
    fw_images a = {0}, b = {0};
    kind k = CSV;
    fwi_path_kind there = FWI_NOTHING;
    st = fwi_path_look(src, &there);
    if (st == FW_OK)
        st = there == FWI_FOLDER ? kind_of_folder(src, &k)
             : there == FWI_FILE ? kind_of_file(src, &k)
                                 : fwi_fail(FW_ENOTFOUND, "%s: no such file or folder", src);
    if (st == FW_OK)
        st = check_use(src, k, opt);
    if (st == FW_OK)
        st = run_import(src, k, opt, &a, &b);
    if (st == FW_OK && of_that_size)
        st = check_shape(src, opt, &a);
    if (st == FW_OK && opt->class_names != NULL)
        st = name_classes(src, opt->class_names, &a, &b);
    if (st == FW_OK && opt->split_every != 0) {
        fw_images whole = a;
        if (b.n > 0)
            st = fwi_fail(FW_EARG, "%s: has a test part of its own, so it is not split", src);
        else if ((st = fw_images_split_every(&whole, opt->split_every, &a, &b)) != FW_OK)
            a = whole;
    }
    if (st == FW_OK && opt->take != 0)
        st = fw_images_take(&a, opt->take);
    if (st != FW_OK) {
        fw_images_clear(&a);
        fw_images_clear(&b);
        return st;
    }
    *train = a;
    *test = b;
    return FW_OK;
}

fw_status fw_import(const char *src, const fw_import_opt *opt, fw_images *train, fw_images *test)
{
    const fw_import_opt none = {0};
    return import(src, opt != NULL ? opt : &none, true, train, test);
}

fw_status fwi_import_any_size(const char *src, const fw_import_opt *opt, fw_images *train,
                              fw_images *test)
{
    return import(src, opt, false, train, test);
}
