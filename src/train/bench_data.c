/* bench_data.c: how fast a recipe's training images come out of their files: the input pipeline
 * alone, with nothing that eats them. */
#include "bench_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "fail.h"
#include "file.h"
#include "recipe_inner.h"

enum { DEFAULT_RUNS = 7, MAX_RUNS = 1000, SYNTHETIC = 10000, WARM_UP_BATCHES = 2 };

/* Records of synthetic images in a folder of their own. */
typedef struct temporary {
    char *dir, *data, *file, *sidecar;
} temporary;

static void temporary_clear(temporary *t)
{
    if (t->file != NULL)
        (void)unlink(t->file);
    if (t->sidecar != NULL)
        (void)unlink(t->sidecar);
    if (t->dir != NULL)
        (void)rmdir(t->dir);
    fwi_free(t->dir);
    fwi_free(t->data);
    fwi_free(t->file);
    fwi_free(t->sidecar);
    *t = (temporary){0};
}

static fw_status temporary_make(const fw_recipe *r, const volatile sig_atomic_t *stop, temporary *t)
{
    const char *tmp = getenv("TMPDIR");
    int64_t hwc[3] = {0};
    fw_model_cost cost;
    fw_images im = {0};
    fw_status st = fw_recipe_check(r, &cost);
    if (st != FW_OK)
        return st;
    (void)fwi_recipe_size(r, hwc);
    char *dir = fwi_sprintf("%s/fenwicks-bench-XXXXXX", tmp != NULL && *tmp != 0 ? tmp : "/tmp");
    if (dir == NULL)
        return FW_ENOMEM;
    if (mkdtemp(dir) == NULL) {
        st = fwi_fail(FW_EIO, "%s: cannot make a temporary folder", dir);
        fwi_free(dir);
        return st;
    }
    t->dir = dir;
    t->data = fwi_path_join(dir, "synthetic.tfrec");
    t->file = fwi_path_join(dir, "synthetic-train.tfrec");
    t->sidecar = fwi_path_join(dir, "synthetic-train.tfrec.json");
    if (t->data == NULL || t->file == NULL || t->sidecar == NULL)
        return FW_ENOMEM;
    st = fwi_synthetic_images(SYNTHETIC, hwc, cost.n_classes, &im);
    if (st == FW_OK)
        st = fw_write_tfrecord(t->file, &im, &(fw_write_opt){.stop = stop});
    fw_images_clear(&im);
    return st;
}

/* Bytes of the training records, of the images where they are in memory. */
static fw_status count_bytes(const char *data, const fw_recipe_data *d, double *out)
{
    const fw_images *im = &d->train_images;
    fw_record_parts place = {0};
    fwi_paths files = {0};
    if (im->n > 0) {
        *out = (double)(im->n * im->h * im->w * im->c) * (double)fw_dtype_size(im->dtype);
        return FW_OK;
    }
    fw_status st = fwi_recipe_records_find(data, false, &place);
    if (st == FW_OK)
        st = fwi_glob(place.train, &files);
    *out = 0;
    for (int64_t i = 0; i < files.n; i++)
        *out += (double)fwi_file_size(files.items[i]);
    fwi_paths_clear(&files);
    fw_record_parts_clear(&place);
    return st;
}

static fw_status next_batches(fw_dataset *ds, int64_t n, const volatile sig_atomic_t *stop)
{
    fw_batch batch;
    fw_status st = FW_OK;
    for (int64_t i = 0; i < n && st == FW_OK; i++)
        if ((st = fwi_stop_check(stop, "measuring")) == FW_OK)
            st = fw_dataset_next(ds, &batch);
    return st;
}

fw_status fw_bench_data(const fw_recipe *r, const fw_run_opt *opt, int64_t runs,
                        fw_bench_data_result *out)
{
    static const fw_run_opt none = {0};
    if (opt == NULL)
        opt = &none;
    if (r == NULL || out == NULL || runs < 0 || runs > MAX_RUNS || opt->threads < 0)
        return fwi_fail(FW_EARG,
                        "fw_bench_data: NULL argument, negative threads, or not 0 to %d "
                        "runs",
                        (int)MAX_RUNS);
    if (runs == 0)
        runs = DEFAULT_RUNS;
    const int threads = opt->threads == 0 ? 1 : opt->threads;
    const char *data = opt->data;
    temporary t = {0};
    fw_recipe_data d = {0};
    double *rate = fwi_alloc_array((size_t)runs, sizeof *rate);
    double bytes = 0;
    fw_status st = rate == NULL ? FW_ENOMEM : FW_OK;
    if (st == FW_OK && data == NULL)
        st = temporary_make(r, opt->stop, &t);
    if (t.data != NULL)
        data = t.data;
    if (st == FW_OK)
        st = fwi_recipe_data_open(r, data, 0, &(fwi_data_opt){.threads = threads, .no_test = true},
                                  &d);
    if (st == FW_OK)
        st = count_bytes(data, &d, &bytes);
    if (st != FW_OK)
        goto done;
    const int64_t batches = fw_dataset_batches(d.train);
    const int64_t images = batches * fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH);
    if (batches < 1) {
        st = fwi_fail(FW_EARG, "%s: fewer records than one batch", data);
        goto done;
    }
    st = next_batches(d.train, batches < WARM_UP_BATCHES ? batches : WARM_UP_BATCHES, opt->stop);
    for (int64_t i = 0; i < runs && st == FW_OK; i++) {
        const double start = fwi_now();
        st = next_batches(d.train, batches, opt->stop);
        rate[i] = (double)images / (fwi_now() - start);
    }
    if (st != FW_OK)
        goto done;
    fw_bench_data_result res = {.threads = threads, .images = images, .runs = runs};
    res.images_per_second_median = fwi_median(rate, runs); /* sorts */
    res.images_per_second_min = rate[0];
    res.images_per_second_max = rate[runs - 1];
    res.gbytes_per_second =
        res.images_per_second_median * bytes / (double)fw_dataset_count(d.train) / 1e9;
    *out = res;
done:
    fw_recipe_data_clear(&d);
    temporary_clear(&t);
    fwi_free(rate);
    return st;
}
