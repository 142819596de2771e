/* data_arg.c: what a path on the command line may mean: records, or anything that can be imported.
 */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *text3(const char *a, size_t n_a, const char *b, const char *c)
{
    const size_t n = n_a + strlen(b) + strlen(c) + 1;
    char *s = malloc(n);
    if (s != NULL)
        snprintf(s, n, "%.*s%s%s", (int)n_a, a, b, c);
    return s;
}

bool is_records(const char *path)
{
    return strstr(path, ".tfrec") != NULL;
}

char *records_part(const char *data, const char *part)
{
    const char *dot = strstr(data, ".tfrec");
    const size_t stem = dot == NULL ? strlen(data) : (size_t)(dot - data);
    char *path = text3(data, stem, part, dot == NULL ? ".tfrec" : dot);
    if (path != NULL && access(path, R_OK) == 0)
        return path;
    free(path);
    return text3(data, strlen(data), "", "");
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
    return is_records(file) ? fw_read_tfrecord(file, out) : import_test(out, file);
}
