/* recipe_data.c: from what --data names to the two data sets of a recipe: record files, anything
 * that an importer reads, or the digits inside the library. Read before: recipe_build.c. */
#include "recipe_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dataset_inner.h"
#include "fail.h"
#include "file.h"
#include "image_set.h"
#include "record_set.h"

/* ---- where records are ---- */

fw_status fwi_recipe_records_find(const char *data, bool test_alone, fw_record_parts *out)
{
    static const char end[] = ".tfrec";
    fw_record_parts p = {0};
    const fw_status st = fw_record_parts_find(data, &p);
    const size_t n = strlen(data), k = sizeof end - 1;
    const bool there = p.train != NULL || (test_alone && p.test != NULL);
    const bool named = n >= k && strcmp(data + n - k, end) == 0;
    /* a file or folder of that very name may be what an importer reads */
    const bool whole = p.whole != NULL && (named || !fwi_file_exists(data));
    if (st != FW_OK || there || (!named && !whole)) {
        *out = p;
        return st;
    }
    fw_record_parts_clear(&p);
    return whole ? fwi_fail(FW_ENOTFOUND,
                            "%s: are records in one part, and a data set here is a pair, "
                            "X-train.tfrec and X-test.tfrec, named as X (convert makes one; of a "
                            "source without a test part by --split-every 5)",
                            data)
                 : fwi_fail(FW_ENOTFOUND,
                            "%s: there is no %.*s-train.tfrec (nor shards of it); records of a "
                            "data set are a pair X-train.tfrec and X-test.tfrec, named as X",
                            data, (int)(n - k), data);
}

/* ---- what has to agree ---- */

typedef struct part {
    const char *name; /* for messages */
    int64_t h, w, c, n_classes;
    char *const *class_names;
    bool labelled, training;
} part;

static fw_status check_labels(const fw_recipe *r, const part *p)
{
    if (p->labelled)
        return FW_OK;
    if (p->training)
        return fwi_fail(FW_EARG, "%s: has no labels to train with", p->name);
    return fwi_fail(
        FW_EARG, "%s: has no labels: the accuracy of a run cannot be told without them%s", p->name,
        fwi_recipe_word(r, FWI_KEY_EVALUATE_TTA) == FW_TTA_NONE
            ? ""
            : ", with one view or with several (evaluate.tta)");
}

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
    const int64_t batch =
        fwi_recipe_int(r, training ? FWI_KEY_TRAIN_BATCH : FWI_KEY_EVALUATE_BATCH);
    return (fw_dataset_opt){.batch = !training && opt->test_batch > 0 ? opt->test_batch : batch,
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
        if (im->n == 0 || (i == 0 && opt->test_chain != NULL))
            continue;
        const part p = {.name = im->source != NULL ? im->source : "images",
                        .h = im->h,
                        .w = im->w,
                        .c = im->c,
                        .n_classes = im->n_classes,
                        .class_names = im->class_names,
                        .labelled = im->labels != NULL,
                        .training = i == 0};
        fw_transform chain[FWI_RECIPE_TRANSFORMS + 1];
        const fw_dataset_opt o = options(r, i == 0, seed, opt);
        st = check_part(r, &p, out->n_classes);
        if (st == FW_OK && opt->labels)
            st = check_labels(r, &p);
        if (st == FW_OK) /* the training images' statistics, for both */
            st = fwi_recipe_transforms(r, out->train_images.mean, out->train_images.std,
                                       out->train_images.n, i == 0, chain);
        if (st == FW_OK)
            st =
                fw_array_dataset(set[i], im, opt->test_chain != NULL ? opt->test_chain : chain, &o);
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
    const fw_csv_opt opt = {.h = hwc[0], .w = hwc[1], .c = hwc[2]};
    char *file = fwi_sprintf("%s.csv", name);
    const fwi_embedded *f = fwi_embedded_files;
    while (file != NULL && f->name != NULL && strcmp(f->name, file) != 0)
        f++;
    fw_status st = file == NULL ? FW_ENOMEM : FW_OK;
    if (st == FW_OK && f->name == NULL)
        st = fwi_fail(FW_EINTERNAL, "%s is not inside the library", file);
    if (st == FW_OK)
        st = fwi_csv_parse(file, f->data, f->size, &opt, &out->train_images);
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
    enum { AUTO, CIFAR10, CIFAR100, MNIST, NPY, CSV };
    const int source = fwi_recipe_word(r, FWI_KEY_DATA_SOURCE);
    const bool coarse = fwi_recipe_bool(r, FWI_KEY_DATA_COARSE);
    int64_t hwc[3] = {0};
    (void)fwi_recipe_size(r, hwc);
    fw_images *train = &out->train_images, *test = &out->test_images;
    const fw_npy_opt array = {.h = hwc[0], .w = hwc[1], .c = hwc[2]};
    const fw_csv_opt lines = {.h = hwc[0], .w = hwc[1], .c = hwc[2]};
    const fw_import_opt opt = {.coarse = coarse, .h = hwc[0], .w = hwc[1], .c = hwc[2]};
    fw_status st = source == CIFAR10    ? fw_cifar10_load(data, train, test)
                   : source == CIFAR100 ? fw_cifar100_load(data, !coarse, train, test)
                   : source == MNIST    ? fw_mnist_load(data, train, test)
                   : source == NPY      ? fw_npy_load(data, NULL, &array, train)
                   : source == CSV      ? fw_csv_load(data, &lines, train)
                                        : fwi_import_any_size(data, &opt, train, test);
    if ((st == FW_EFORMAT || st == FW_ENOTFOUND) && source != AUTO)
        st = fwi_fail(st,
                      "%s; recipe %s imports %s alone (data.source): records go too, see convert",
                      fw_last_error(), fw_recipe_name(r), fwi_recipe_text(r, FWI_KEY_DATA_SOURCE));
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

/* Floats without a sidecar say no shape: the recipe knows it. */
static fw_status read_info(const fw_recipe *r, const char *pattern, fw_record_info *out)
{
    int64_t hwc[3];
    const fw_status st = fw_record_info_read(pattern, out);
    return st == FW_ESHAPE && fwi_recipe_size(r, hwc)
               ? fwi_record_info_read_as(pattern, hwc[0], hwc[1], hwc[2], out)
               : st;
}

/* What was set for imports would do nothing. */
static fw_status check_of_imports(const fw_recipe *r, const char *records)
{
    static const fwi_key keys[] = {FWI_KEY_DATA_SPLIT_EVERY, FWI_KEY_DATA_COARSE,
                                   FWI_KEY_DATA_SOURCE};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (r->asked[keys[i]] > 0 && r->value[keys[i]] != NULL)
            return fwi_fail(FW_EARG,
                            "data.%s is given, but %s are records: it is of what is imported",
                            fwi_keys[keys[i]].key, records);
    return FW_OK;
}

static fw_status open_records(const fw_recipe *r, const fw_record_parts *place, uint64_t seed,
                              const fwi_data_opt *opt, fw_recipe_data *out)
{
    const char *const pattern[2] = {opt->test_chain != NULL ? NULL : place->train,
                                    opt->no_test ? NULL : place->test};
    fw_dataset **const set[2] = {&out->train, &out->test};
    fw_transform chain[2][FWI_RECIPE_TRANSFORMS + 1];
    fw_status st = check_of_imports(r, place->train != NULL ? place->train : place->test);
    for (int i = 0; i < 2 && st == FW_OK; i++) {
        if (pattern[i] == NULL)
            continue;
        fw_record_info info;
        if ((st = read_info(r, pattern[i], &info)) != FW_OK)
            return st;
        const part p = {.name = pattern[i],
                        .h = info.h,
                        .w = info.w,
                        .c = info.c,
                        .n_classes = info.n_classes,
                        .class_names = info.class_names,
                        .labelled = info.labelled,
                        .training = i == 0};
        st = check_part(r, &p, out->n_classes);
        if (st == FW_OK && opt->labels)
            st = check_labels(r, &p);
        if (st == FW_OK && i == 0) { /* the training records' statistics, for both */
            st = fwi_recipe_transforms(r, info.mean, info.std, info.n, true, chain[0]);
            if (st == FW_OK)
                st = fwi_recipe_transforms(r, info.mean, info.std, info.n, false, chain[1]);
            if (st == FW_OK)
                st = keep_classes(out, info.class_names, info.n_classes);
        }
        fw_record_info_clear(&info);
        const fw_dataset_opt o = options(r, i == 0, seed, opt);
        if (st == FW_OK)
            st = fw_tfrecord_dataset(set[i], pattern[i], fw_parse_image_array(p.h, p.w, p.c),
                                     opt->test_chain != NULL ? opt->test_chain : chain[i], &o);
    }
    return st;
}

/* ---- either ---- */

fw_status fwi_recipe_data_open(const fw_recipe *r, const char *data, uint64_t seed,
                               const fwi_data_opt *opt, fw_recipe_data *out)
{
    fw_recipe_data d = {0};
    fw_record_parts place = {0};
    fw_model_cost cost;
    fw_status st = fw_recipe_check(r, &cost);
    if (st != FW_OK)
        return st;
    d.n_classes = cost.n_classes;
    const bool test_alone = opt->test_chain != NULL;
    if (data != NULL)
        st = fwi_recipe_records_find(data, test_alone, &place);
    if (st == FW_OK && (place.train != NULL || (test_alone && place.test != NULL))) {
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
    fw_record_parts_clear(&place);
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

fw_status fw_recipe_test_open(const fw_recipe *r, const char *data, const fw_transform *transforms,
                              int64_t batch, fw_recipe_data *out)
{
    if (r == NULL || transforms == NULL || out == NULL || batch < 0)
        return fwi_fail(FW_EARG, "fw_recipe_test_open: NULL argument, or a negative batch");
    return fwi_recipe_data_open(
        r, data, 0, &(fwi_data_opt){.test_chain = transforms, .test_batch = batch}, out);
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
