/* data_arg.c: what a path on the command line may mean: records, or anything that can be imported.
 */
#include "cli.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool ends_with(const char *path, const char *end)
{
    const size_t n = strlen(path), k = strlen(end);
    return n >= k && strcmp(path + n - k, end) == 0;
}

bool is_records(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strstr(slash == NULL ? path : slash, ".tfrec") !=
           NULL; /* a folder may be called anything */
}

bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

fw_status records_find(const char *data, bool test, char **out)
{
    fw_record_parts p;
    *out = NULL;
    const fw_status st = fw_record_parts_find(data, &p);
    if (st != FW_OK)
        return st;
    *out = strdup(test && p.test != NULL ? p.test : p.whole != NULL ? p.whole : data);
    fw_record_parts_clear(&p);
    return *out != NULL ? FW_OK : FW_ENOMEM;
}

void model_data_clear(model_data *d)
{
    fw_dataset_free(d->ds);
    fw_images_clear(&d->images);
    *d = (model_data){0};
}

/* Rows of numbers are cut as the model takes them; what is of another size comes as it is (images_fit tells). */
static fw_status import_for(const fw_model_info *info, const char *data, fw_images *train,
                            fw_images *test)
{
    const fw_status st =
        fw_import(data, &(fw_import_opt){.h = info->h, .w = info->w, .c = info->c}, train, test);
    return st == FW_ESHAPE ? fw_import(data, NULL, train, test) : st;
}

static fw_status import_test(const fw_model_info *info, const char *data, fw_images *out)
{
    fw_images train = {0}, test = {0};
    const fw_status st = import_for(info, data, &train, &test);
    if (st != FW_OK)
        return st;
    const bool has_test = test.n > 0;
    *out = has_test ? test : train;
    fw_images_clear(has_test ? &train : &test);
    return FW_OK;
}

bool images_fit(const fw_images *im, const fw_model_info *info, const char *file, char why[WHY_CAP])
{
    if (im->h == info->h && im->w == info->w && im->c == info->c)
        return true;
    snprintf(why, WHY_CAP,
             "%.600s: images of %" PRId64 " x %" PRId64 " x %" PRId64 ", the model takes %" PRId64
             " x %" PRId64 " x %" PRId64,
             file, im->h, im->w, im->c, info->h, info->w, info->c);
    return false;
}

fw_status model_data_open(model_data *d, const fw_model *m, const char *data, int64_t batch,
                          int threads)
{
    *d = (model_data){0};
    fw_model_info info;
    fw_model_info_get(m, &info);
    const fw_dataset_opt opt = {.batch = batch, .threads = threads};
    char *path = NULL;
    fw_status st = records_find(data, true, &path);
    if (st != FW_OK)
        return st;
    if (is_records(path)) {
        st = fw_tfrecord_dataset(&d->ds, path, fw_parse_image_array(info.h, info.w, info.c),
                                 fw_model_transforms(m), &opt);
    } else {
        st = import_test(&info, path, &d->images);
        if (st == FW_OK && !images_fit(&d->images, &info, path, d->why))
            st = FW_ESHAPE;
        if (st == FW_OK)
            st = fw_array_dataset(&d->ds, &d->images, fw_model_transforms(m), &opt);
    }
    free(path);
    return st;
}

/* The lowest seed of the runs seed-0, seed-1, ... in a folder; false: there are none. */
static bool first_seed(const char *dir, uint64_t *seed)
{
    DIR *const d = opendir(dir);
    bool any = false;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        static const char start[] = "seed-";
        const char *const digits = e->d_name + sizeof start - 1;
        char *end = NULL;
        if (strncmp(e->d_name, start, sizeof start - 1) != 0 || *digits < '0' || *digits > '9')
            continue;
        const uint64_t k = strtoull(digits, &end, 10);
        if (*end == 0 && (!any || k < *seed)) {
            any = true;
            *seed = k;
        }
    }
    if (d != NULL)
        closedir(d);
    return any;
}

static bool has_file(const char *dir, const char *name)
{
    char path[MODEL_PATH_CAP];
    return snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path && is_file(path);
}

bool is_of_seeds(const char *dir, char why[WHY_CAP])
{
    uint64_t seed = 0;
    if (has_file(dir, "config.json") || !first_seed(dir, &seed))
        return false;
    snprintf(why, WHY_CAP,
             "%.300s: holds runs of several seeds: name one, as in %.300s/seed-%" PRIu64, dir, dir,
             seed);
    return true;
}

const char *model_path(const char *model, char buf[MODEL_PATH_CAP], char why[WHY_CAP])
{
    if (!is_folder(model))
        return model;
    size_t n = strlen(model);
    while (n > 1 && model[n - 1] == '/')
        n--;
    if (snprintf(buf, MODEL_PATH_CAP, "%.*s/model.safetensors", (int)n, model) >= MODEL_PATH_CAP) {
        snprintf(why, WHY_CAP, "%.300s...: a name too long", model);
        return NULL;
    }
    if (is_file(buf))
        return buf;
    if (is_of_seeds(model, why))
        return NULL;
    if (has_file(model, "config.json"))
        snprintf(why, WHY_CAP,
                 "%.300s: the run has left no model yet: inspect says how far it came, train --out "
                 "%.300s --resume goes on with it",
                 model, model);
    else
        snprintf(why, WHY_CAP, "%.300s: a folder without a model (model.safetensors)", model);
    return NULL;
}

/* The parts of a data set that are named otherwise than by a file, or what an importer reads. */
static fw_status parts_open(fw_images part[2], const fw_model_info *info, const char *name)
{
    fw_record_parts p;
    fw_status st = fw_record_parts_find(name, &p);
    if (st != FW_OK)
        return st;
    const char *const records[2] = {p.whole != NULL ? p.whole : p.test, p.train};
    if (records[0] == NULL && records[1] == NULL) /* a pattern, or a folder */
        st = is_records(name) ? fw_read_tfrecord(name, &part[0])
                              : import_for(info, name, &part[1], &part[0]);
    for (int i = 0; i < 2 && st == FW_OK; i++)
        if (records[i] != NULL)
            st = fw_read_tfrecord(records[i], &part[i]);
    fw_record_parts_clear(&p);
    return st;
}

fw_status images_open(fw_images part[2], const fw_model_info *info, const char *file)
{
    part[0] = part[1] = (fw_images){0};
    if (!is_file(file))
        return parts_open(part, info, file);
    return is_records(file) ? fw_read_tfrecord(file, &part[0])
                            : import_for(info, file, &part[1], &part[0]);
}
