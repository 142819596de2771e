/* data_arg.c: what a path on the command line may mean: records, or anything that can be imported.
 */
#include "cli.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *text3(const char *a, size_t n_a, const char *b, const char *c)
{
    const size_t n = n_a + strlen(b) + strlen(c) + 1;
    char *s = malloc(n);
    if (s != NULL)
        snprintf(s, n, "%.*s%s%s", (int)n_a, a, b, c);
    return s;
}

/* ".tfrec" in the file's own name; a folder may be called anything. NULL: not in it. */
static const char *records_end(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strstr(slash == NULL ? path : slash, ".tfrec");
}

bool is_records(const char *path)
{
    return records_end(path) != NULL;
}

/* The one file that matches, NULL if none does or several do; caller frees. */
static char *only_match(const char *pattern)
{
    glob_t found = {0};
    char *path = NULL;
    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0 && found.gl_pathc == 1)
        path = text3(found.gl_pathv[0], strlen(found.gl_pathv[0]), "", "");
    globfree(&found);
    return path;
}

/* PREFIX.tfrec, or the first of its shards as the pattern of all: PREFIX.tfrec-*-of-00003. prefix
 * may itself have a '*' in it. NULL: there is none. */
static char *whole_or_shards(const char *prefix)
{
    const size_t n = strlen(prefix);
    char *pattern = text3(prefix, n, ".tfrec", "");
    if (pattern == NULL || access(pattern, F_OK) == 0)
        return pattern;
    char *path = only_match(pattern);
    free(pattern);
    if (path != NULL)
        return path;
    pattern = text3(prefix, n, ".tfrec", "-00000-of-[0-9][0-9][0-9][0-9][0-9]");
    char *first = pattern == NULL ? NULL : only_match(pattern);
    free(pattern);
    if (first == NULL)
        return NULL;
    const size_t stem = strlen(first) - strlen("-00000-of-00003");
    path = text3(first, stem, "-*", first + stem + strlen("-00000"));
    free(first);
    return path;
}

char *records_part(const char *data, const char *part)
{
    struct stat info;
    const bool folder = stat(data, &info) == 0 && S_ISDIR(info.st_mode);
    const char *end = folder ? NULL : records_end(data);
    const size_t stem = end == NULL ? strlen(data) : (size_t)(end - data);
    char *path = NULL;
    const bool plain = end == NULL || strcmp(end, ".tfrec") == 0; /* no pattern, no single shard */
    if (plain) {
        char *prefix = text3(data, stem, folder ? "/*" : "", part);
        path = prefix == NULL ? NULL : whole_or_shards(prefix);
        free(prefix);
    }
    if (path == NULL && plain && !folder) { /* X-test.tfrec itself, in shards */
        char *prefix = text3(data, stem, "", "");
        path = prefix == NULL ? NULL : whole_or_shards(prefix);
        free(prefix);
    }
    return path != NULL ? path : text3(data, strlen(data), "", "");
}

void model_data_clear(model_data *d)
{
    fw_dataset_free(d->ds);
    fw_images_clear(&d->images);
    *d = (model_data){0};
}

static fw_status import_test(fw_images *out, const char *data)
{
    fw_images train = {0}, test = {0};
    const fw_status st = fw_import(data, NULL, &train, &test);
    if (st != FW_OK)
        return st;
    const bool has_test = test.n > 0;
    *out = has_test ? test : train;
    fw_images_clear(has_test ? &train : &test);
    return FW_OK;
}

fw_status model_data_open(model_data *d, const fw_model *m, const char *data, int64_t batch,
                          int threads)
{
    *d = (model_data){0};
    fw_model_info info;
    fw_model_info_get(m, &info);
    const fw_dataset_opt opt = {.batch = batch, .threads = threads};
    char *path = records_part(data, "-test");
    fw_status st;
    if (path == NULL)
        return FW_ENOMEM;
    if (is_records(path)) {
        st = fw_tfrecord_dataset(&d->ds, path, fw_parse_image_array(info.h, info.w, info.c),
                                 fw_model_transforms(m), &opt);
    } else {
        st = import_test(&d->images, path);
        if (st == FW_OK)
            st = fw_array_dataset(&d->ds, &d->images, fw_model_transforms(m), &opt);
    }
    free(path);
    if (st != FW_OK)
        model_data_clear(d);
    return st;
}

fw_status images_open(fw_images *out, const char *file)
{
    if (!is_records(file))
        return import_test(out, file);
    char *path = records_part(file, "");
    const fw_status st = path == NULL ? FW_ENOMEM : fw_read_tfrecord(path, out);
    free(path);
    return st;
}
