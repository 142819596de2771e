/* recipe_data.c: from what --data names to the two data sets of a recipe: record files, anything
 * that an importer reads, or the digits inside the library. Read before: recipe_build.c. */
#include "recipe_inner.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dataset_inner.h"
#include "fail.h"
#include "file.h"
#include "image_set.h"

static const char records_end[] = ".tfrec", train_end[] = "-train", test_end[] = "-test";

/* ---- where records are ---- */

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

void fwi_data_place_clear(fwi_data_place *p)
{
    fwi_free(p->train);
    fwi_free(p->test);
    *p = (fwi_data_place){0};
}

/* In how many shards the file `base` is whose first shard `name` is; 0: it is something else. */
static int64_t first_of_shards(const char *name, const char *base, size_t base_bytes)
{
    int64_t i = 0, n = 0;
    return fwi_shard_parse(name, &i, &n) == base_bytes && i == 0 &&
                   memcmp(name, base, base_bytes) == 0
               ? n
               : 0;
}

/* The pattern of "dir/stem.tfrec", whole or in shards; *out NULL: not there. */
static fw_status find_part(const char *dir, const char *stem, char **out)
{
    *out = NULL;
    char *whole = fwi_sprintf("%s/%s%s", dir, stem, records_end);
    DIR *d = NULL;
    fw_status st = whole == NULL ? FW_ENOMEM : FW_OK;
    if (st != FW_OK || fwi_file_exists(whole)) {
        *out = whole;
        return st;
    }
    const char *base = fwi_path_base(whole);
    d = opendir(dir); /* a folder that cannot be read has none */
    for (struct dirent *e; st == FW_OK && d != NULL && *out == NULL && (e = readdir(d)) != NULL;) {
        const int64_t n = first_of_shards(e->d_name, base, strlen(base));
        if (n > 0 && (*out = fwi_sprintf("%s@%" PRId64, whole, n)) == NULL)
            st = FW_ENOMEM;
    }
    if (d != NULL)
        closedir(d);
    fwi_free(whole);
    return st;
}

static fw_status find_pair(const char *dir, const char *name, fwi_data_place *out)
{
    char *train = fwi_sprintf("%s%s", name, train_end), *test = fwi_sprintf("%s%s", name, test_end);
    fw_status st = train == NULL || test == NULL ? FW_ENOMEM : FW_OK;
    if (st == FW_OK)
        st = find_part(dir, train, &out->train);
    if (st == FW_OK)
        st = find_part(dir, test, &out->test);
    fwi_free(train);
    fwi_free(test);
    return st;
}

/* The name X of a folder's X-train.tfrec; FW_EARG if there are several. *out NULL: none. */
static fw_status name_in_folder(const char *dir, char **out)
{
    *out = NULL;
    DIR *d = opendir(dir);
    if (d == NULL)
        return fwi_fail(FW_EIO, "%s: cannot open the folder: %s", dir, strerror(errno));
    fw_status st = FW_OK;
    for (struct dirent *e; st == FW_OK && (e = readdir(d)) != NULL;) {
        const char *at = strstr(e->d_name, "-train.tfrec");
        if (at == NULL)
            continue;
        const char *rest = at + strlen("-train.tfrec");
        if (*rest != 0 && first_of_shards(e->d_name, e->d_name, (size_t)(rest - e->d_name)) == 0)
            continue;
        char *name = fwi_sprintf("%.*s", (int)(at - e->d_name), e->d_name);
        if (name == NULL)
            st = FW_ENOMEM;
        else if (*out != NULL && strcmp(*out, name) != 0)
            st = fwi_fail(FW_EARG,
                          "%s: holds records of several data sets (%.100s, %.100s): name one "
                          "of them, as in %s/%.100s",
                          dir, *out, name, dir, name);
        if (*out == NULL)
            *out = name;
        else
            fwi_free(name);
    }
    closedir(d);
    if (st != FW_OK) {
        fwi_free(*out);
        *out = NULL;
    }
    return st;
}

fw_status fwi_data_place_find(const char *data, fwi_data_place *out)
{
    fwi_data_place p = {0};
    char *dir = NULL, *name = NULL;
    fw_status st = fwi_path_check_local(data);
    if (st != FW_OK)
        return st;
    if (fwi_is_dir(data)) {
        dir = fwi_strdup(data);
        st = dir == NULL ? FW_ENOMEM : name_in_folder(data, &name);
    } else {
        const char *base = fwi_path_base(data);
        size_t n = strlen(base);
        if (ends_with(base, records_end))
            n -= sizeof records_end - 1;
        const size_t n_dir = (size_t)(base - data);
        dir = n_dir == 0 ? fwi_strdup(".")
                         : fwi_sprintf("%.*s", (int)(n_dir > 1 ? n_dir - 1 : 1), data);
        name = fwi_sprintf("%.*s", (int)n, base);
        if (dir == NULL || name == NULL)
            st = FW_ENOMEM;
    }
    if (st == FW_OK && name != NULL)
        st = find_pair(dir, name, &p);
    if (st == FW_OK && p.train == NULL && ends_with(data, records_end))
        st = fwi_fail(FW_ENOTFOUND,
                      "%s: there is no %s/%s-train.tfrec (nor shards of it); records of a data set "
                      "are a pair X-train.tfrec and X-test.tfrec, named as X",
                      data, dir, name);
    if (st != FW_OK)
        fwi_data_place_clear(&p);
    else
        *out = p;
    fwi_free(dir);
    fwi_free(name);
    return st;
}

/* ---- what has to agree ---- */

typedef struct part {
    const char *name; /* for messages */
    int64_t h, w, c, n_classes;
    char *const *class_names;
} part;

static fw_status check_part(const fw_recipe *r, const part *p, int64_t n_classes)
{
    int64_t want[3] = {0};
    (void)fwi_recipe_size(r, want);
    if (p->h != want[0] || p->w != want[1] || p->c != want[2])
        return fwi_fail(FW_ESHAPE,
                        "%s: images of %" PRId64 " x %" PRId64 " x %" PRId64
                        ", recipe %s takes %" PRId64 " x %" PRId64 " x %" PRId64 " (network.input)",
                        p->name, p->h, p->w, p->c, fw_recipe_name(r), want[0], want[1], want[2]);
    /* Without names the number of classes was counted, and a small part may lack some. */
    if (p->n_classes > n_classes || (p->class_names != NULL && p->n_classes != n_classes))
        return fwi_fail(FW_ESHAPE, "%s: %" PRId64 " classes, the network of recipe %s has %" PRId64,
                        p->name, p->n_classes, fw_recipe_name(r), n_classes);
    return FW_OK;
}

static fw_status keep_classes(fw_recipe_data *out, char *const *names, int64_t n)
{
    return names == NULL ? FW_OK : fwi_class_names_copy(names, n, &out->class_names);
}

static fw_dataset_opt options(const fw_recipe *r, bool training, uint64_t seed,
                              const fwi_data_opt *opt)
{
    const int64_t prefetch = fwi_recipe_int(r, FWI_KEY_DATA_PREFETCH);
    return (fw_dataset_opt){
        .batch = fwi_recipe_int(r, training ? FWI_KEY_TRAIN_BATCH : FWI_KEY_EVALUATE_BATCH),
        .training = training,
        .seed = seed,
        .drop_pass_end = fwi_recipe_word(r, FWI_KEY_TRAIN_PASS_END) == 1,
        .prefetch = prefetch == 0 ? FW_NONE : prefetch,
        .shuffle_buffer = fwi_recipe_int(r, FWI_KEY_DATA_SHUFFLE),
        .cache = fwi_recipe_bool(r, FWI_KEY_DATA_CACHE),
        .threads = opt->threads};
}

/* ---- images in memory ---- */

fw_status fwi_recipe_data_arrays(const fw_recipe *r, uint64_t seed, const fwi_data_opt *opt,
                                 fw_recipe_data *out)
{
    const fw_images *const part_of[2] = {&out->train_images, &out->test_images};
    fw_dataset **const set[2] = {&out->train, &out->test};
    fw_status st = FW_OK;
    for (int i = 0; i < 2 && st == FW_OK; i++) {
        const fw_images *im = part_of[i];
        if (im->n == 0)
            continue;
        const part p = {im->source != NULL ? im->source : "images",
                        im->h,
                        im->w,
                        im->c,
                        im->n_classes,
                        im->class_names};
        fw_transform chain[FWI_RECIPE_TRANSFORMS + 1];
        const fw_dataset_opt o = options(r, i == 0, seed, opt);
        st = check_part(r, &p, out->n_classes);
        if (st == FW_OK) /* the training images' statistics, for both */
            st = fwi_recipe_transforms(r, out->train_images.mean, out->train_images.std, i == 0,
                                       chain);
        if (st == FW_OK)
            st = fw_array_dataset(set[i], im, chain, &o);
    }
    if (st == FW_OK && out->class_names == NULL)
        st = keep_classes(out, out->train_images.class_names, out->train_images.n_classes);
    return st;
}

static fw_status import_bundled(const fw_recipe *r, fw_recipe_data *out)
{
    const char *name = fwi_recipe_text(r, FWI_KEY_DATA_BUNDLED);
    if (strcmp(name, "none") == 0)
        return fwi_fail(FW_ENOTFOUND,
                        "recipe %s has no bundled data: name a data set (--data), as records or "
                        "in a form that convert reads",
                        fw_recipe_name(r));
    int64_t hwc[3] = {0};
    (void)fwi_recipe_size(r, hwc);
    char *file = fwi_sprintf("%s.csv", name);
    const fwi_embedded *f = fwi_embedded_files;
    while (file != NULL && f->name != NULL && strcmp(f->name, file) != 0)
        f++;
    fw_status st = file == NULL ? FW_ENOMEM : FW_OK;
    if (st == FW_OK && f->name == NULL)
        st = fwi_fail(FW_EINTERNAL, "%s is not inside the library", file);
    if (st == FW_OK)
        st = fwi_csv_parse(file, f->data, f->size, hwc[0], hwc[1], hwc[2], &out->train_images);
    fwi_free(file);
    if (st != FW_OK)
        return st;
    const int64_t k = fwi_recipe_int(r, FWI_KEY_DATA_SPLIT_EVERY);
    fw_images whole = out->train_images;
    if (k == 0)
        return FW_OK;
    out->train_images = (fw_images){0};
    st = fw_images_split_every(&whole, k, &out->train_images, &out->test_images);
    if (st != FW_OK)
        out->train_images = whole;
    return st;
}

static fw_status import(const fw_recipe *r, const char *data, fw_recipe_data *out)
{
    enum { AUTO, CIFAR10, CIFAR100, MNIST };
    const int source = fwi_recipe_word(r, FWI_KEY_DATA_SOURCE);
    const bool coarse = fwi_recipe_bool(r, FWI_KEY_DATA_COARSE);
    int64_t hwc[3] = {0};
    (void)fwi_recipe_size(r, hwc);
    fw_images *train = &out->train_images, *test = &out->test_images;
    const fw_import_opt opt = {.coarse = coarse,
                               .h = hwc[0],
                               .w = hwc[1],
                               .c = hwc[2],
                               .npy = {.h = hwc[0], .w = hwc[1], .c = hwc[2]}};
    fw_status st = source == CIFAR10    ? fw_cifar10_load(data, train, test)
                   : source == CIFAR100 ? fw_cifar100_load(data, !coarse, train, test)
                   : source == MNIST    ? fw_mnist_load(data, train, test)
                                        : fw_import(data, &opt, train, test);
    const int64_t k = fwi_recipe_int(r, FWI_KEY_DATA_SPLIT_EVERY);
    if (st != FW_OK || test->n > 0 || k == 0)
        return st;
    fw_images whole = *train;
    *train = (fw_images){0};
    st = fw_images_split_every(&whole, k, train, test);
    if (st != FW_OK)
        *train = whole;
    return st;
}

/* ---- records ---- */

static fw_status open_records(const fw_recipe *r, const fwi_data_place *place, uint64_t seed,
                              const fwi_data_opt *opt, fw_recipe_data *out)
{
    const char *const pattern[2] = {place->train, opt->no_test ? NULL : place->test};
    fw_dataset **const set[2] = {&out->train, &out->test};
    fw_transform chain[2][FWI_RECIPE_TRANSFORMS + 1];
    fw_status st = FW_OK;
    for (int i = 0; i < 2 && st == FW_OK; i++) {
        if (pattern[i] == NULL)
            continue;
        fw_record_info info;
        if ((st = fw_record_info_read(pattern[i], &info)) != FW_OK)
            return st;
        const part p = {pattern[i], info.h, info.w, info.c, info.n_classes, info.class_names};
        st = check_part(r, &p, out->n_classes);
        if (st == FW_OK && i == 0) { /* the training records' statistics, for both */
            st = fwi_recipe_transforms(r, info.mean, info.std, true, chain[0]);
            if (st == FW_OK)
                st = fwi_recipe_transforms(r, info.mean, info.std, false, chain[1]);
            if (st == FW_OK)
                st = keep_classes(out, info.class_names, info.n_classes);
        }
        fw_record_info_clear(&info);
        const fw_dataset_opt o = options(r, i == 0, seed, opt);
        if (st == FW_OK)
            st = fw_tfrecord_dataset(set[i], pattern[i], fw_parse_image_array(p.h, p.w, p.c),
                                     chain[i], &o);
    }
    return st;
}

/* ---- either ---- */

fw_status fwi_recipe_data_open(const fw_recipe *r, const char *data, uint64_t seed,
                               const fwi_data_opt *opt, fw_recipe_data *out)
{
    fw_recipe_data d = {0};
    fwi_data_place place = {0};
    fw_model_cost cost;
    fw_status st = fw_recipe_check(r, &cost);
    if (st != FW_OK)
        return st;
    d.n_classes = cost.n_classes;
    if (data != NULL)
        st = fwi_data_place_find(data, &place);
    if (st == FW_OK && place.train != NULL) {
        st = open_records(r, &place, seed, opt, &d);
    } else if (st == FW_OK) {
        st = data == NULL ? import_bundled(r, &d) : import(r, data, &d);
        if (st == FW_OK)
            st = fwi_recipe_data_arrays(r, seed, opt, &d);
    }
    if (st == FW_OK && d.test == NULL && !opt->no_test)
        st = fwi_fail(FW_ENOTFOUND,
                      "%s: there are no test records; data.split_every=5 makes every fifth record "
                      "of an import one",
                      place.train != NULL ? place.train
                      : data != NULL      ? data
                                          : "the bundled data");
    fwi_data_place_clear(&place);
    if (st != FW_OK)
        fw_recipe_data_clear(&d);
    else
        *out = d;
    return st;
}

fw_status fw_recipe_data_open(const fw_recipe *r, const char *data, uint64_t seed,
                              fw_recipe_data *out)
{
    if (r == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_data_open: NULL argument");
    return fwi_recipe_data_open(r, data, seed, &(fwi_data_opt){0}, out);
}

void fw_recipe_data_clear(fw_recipe_data *d)
{
    if (d == NULL)
        return;
    fw_dataset_free(d->train);
    fw_dataset_free(d->test);
    fw_images_clear(&d->train_images);
    fw_images_clear(&d->test_images);
    fwi_class_names_free(d->class_names, d->n_classes);
    *d = (fw_recipe_data){0};
}
