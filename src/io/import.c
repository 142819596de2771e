/* import.c: guesses which importer a path is for (cifar.c, idx.c, npy_images.c, csv.c), and runs
 * it. */
#include "fail.h"
#include "file.h"
#include "image_set.h"

#include <stdio.h>
#include <string.h>

enum { PATH_CAP = 4096 };

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static bool holds(const char *dir, const char *name)
{
    char path[PATH_CAP]; /* no allocation that could fail and pass for "not there" */
    const int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n < PATH_CAP && (fwi_file_exists(path) || fwi_is_dir(path));
}

static fw_status import_folder(const char *src, const fw_import_opt *opt, fw_images *train,
                               fw_images *test)
{
    if (holds(src, "data_batch_1.bin") || holds(src, "cifar-10-batches-bin") ||
        holds(src, "cifar-10-binary.tar.gz"))
        return fw_cifar10_load(src, train, test);
    if (holds(src, "train.bin") || holds(src, "cifar-100-binary") ||
        holds(src, "cifar-100-binary.tar.gz"))
        return fw_cifar100_load(src, !opt->coarse, train, test);
    if (holds(src, "train-images-idx3-ubyte") || holds(src, "train-images-idx3-ubyte.gz"))
        return fw_mnist_load(src, train, test);
    return fwi_fail(FW_ENOTFOUND,
                    "%s: a folder with neither CIFAR (data_batch_1.bin, train.bin) nor MNIST "
                    "(train-images-idx3-ubyte) in it; folders of image files are not read yet",
                    src);
}

/* X-images-idx3-ubyte: the labels are X-labels-idx1-ubyte beside it, if they are there. */
static fw_status import_idx(const char *src, const fw_import_opt *opt, fw_images *out)
{
    static const char from[] = "images-idx3-ubyte", to[] = "labels-idx1-ubyte";
    char *labels = NULL;
    if (opt->labels == NULL) {
        labels = fwi_strdup(src);
        if (labels == NULL)
            return FW_ENOMEM;
        char *at = strstr(labels + (fwi_path_base(src) - src), from);
        if (at != NULL)
            memcpy(at, to, sizeof to - 1); /* of the same length */
        if (at == NULL || !fwi_file_exists(labels)) {
            fwi_free(labels);
            labels = NULL;
        }
    }
    const fw_status st = fw_idx_load(src, opt->labels != NULL ? opt->labels : labels, out);
    fwi_free(labels);
    return st;
}

static fw_status import_file(const char *src, const fw_import_opt *opt, fw_images *train,
                             fw_images *test)
{
    if (ends_with(src, ".tar.gz") || ends_with(src, ".tgz") || ends_with(src, ".tar")) {
        fw_status st = fw_cifar10_load(src, train, test);
        if (st == FW_ENOTFOUND)
            st = fw_cifar100_load(src, !opt->coarse, train, test);
        if (st == FW_ENOTFOUND)
            st = fwi_fail(
                st, "%s: an archive with neither CIFAR-10 nor CIFAR-100 in its binary form", src);
        return st;
    }
    if (ends_with(src, ".npy") || ends_with(src, ".npz"))
        return fw_npy_load(src, opt->labels, &opt->npy, train);
    if (ends_with(src, ".csv"))
        return fw_csv_load(src, opt->h, opt->w, opt->c, train);
    if (strstr(fwi_path_base(src), "-ubyte") != NULL)
        return import_idx(src, opt, train);
    return fwi_fail(
        FW_ENOTFOUND,
        "%s: cannot tell what it is from its name; .npy, .npz, .csv, *-idx3-ubyte[.gz] and "
        "CIFAR's .tar.gz are read",
        src);
}

fw_status fw_import(const char *src, const fw_import_opt *opt, fw_images *train, fw_images *test)
{
    const fw_import_opt none = {0};
    if (opt == NULL)
        opt = &none;
    if (src == NULL || train == NULL || test == NULL)
        return fwi_fail(FW_EARG, "fw_import: NULL argument");
    fw_status st = fwi_path_check_local(src);
    if (st != FW_OK)
        return st;
    fw_images a = {0}, b = {0};
    if (fwi_is_dir(src))
        st = import_folder(src, opt, &a, &b);
    else if (fwi_file_exists(src))
        st = import_file(src, opt, &a, &b);
    else
        st = fwi_fail(FW_ENOTFOUND, "%s: no such file or folder", src);
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
