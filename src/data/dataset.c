/* dataset.c: making a data set, and the questions that need no batch.
 *
 * Here options are checked, the source is opened and the records are selected; nothing runs yet.
 * Threads and the memory of batches come with the first fw_dataset_next (batches.c), because a
 * training loop may give the data set a pool of its own first.
 *
 * Neighbours: describe.c puts a data set into one line of text. */
#include "cpu.h"
#include "dataset_room.h"
#include "mem.h"

#include <string.h>

enum { DEFAULT_SHUFFLE = 50000, DEFAULT_CYCLE = 2, MOST_PREFETCH = 1024, MOST_THREADS = 4096 };

/* ---- checks ---- */

static fw_status check_range(const char *what, int64_t value, int64_t least, int64_t most)
{
    if (value >= least && value <= most)
        return FW_OK;
    return fwi_fail(FW_EARG, "data set: %s is %lld, expected %lld to %lld", what, (long long)value,
                    (long long)least, (long long)most);
}

static fw_status check_opt(const fw_dataset_opt *opt, int64_t n_values)
{
    fw_status st = check_range("batch", opt->batch, 1, INT32_MAX);
    if (st == FW_OK)
        st = check_range("passes", opt->passes, 0, INT32_MAX);
    if (st == FW_OK)
        st = check_range("prefetch", opt->prefetch, FW_NONE, MOST_PREFETCH);
    if (st == FW_OK)
        st = check_range("shuffle_buffer", opt->shuffle_buffer, 0, UINT32_MAX);
    if (st == FW_OK)
        st = check_range("cycle_length", opt->cycle_length, 0, INT32_MAX);
    if (st == FW_OK)
        st = check_range("threads", opt->threads, 0, MOST_THREADS);
    if (st == FW_OK)
        st = fwi_threads_check(opt->threads);
    if (st == FW_OK && opt->batch > ((int64_t)1 << 40) / n_values)
        st = fwi_fail(FW_EARG, "data set: a batch of %lld images of %lld values",
                      (long long)opt->batch, (long long)n_values);
    return st;
}

/* How much of a pass is used, and where the data ends. After the selection is known. */
static fw_status set_length(fw_dataset *ds)
{
    const int64_t n = ds->selection.n, batch = ds->opt.batch;
    ds->per_pass = n;
    ds->end = n;
    if (!ds->opt.training)
        return FW_OK;
    if (ds->opt.drop_pass_end) {
        ds->per_pass = n / batch * batch;
        if (ds->per_pass == 0)
            return fwi_fail(FW_EARG,
                            "data set: drop_pass_end leaves nothing: %lld records, batch %lld",
                            (long long)n, (long long)batch);
    }
    ds->end = INT64_MAX;
    if (ds->opt.passes > 0 && ds->per_pass <= INT64_MAX / ds->opt.passes)
        ds->end = ds->opt.passes * ds->per_pass;
    return FW_OK;
}

/* ---- making ---- */

static atomic_uint_fast64_t serials; /* given out */

/* What every data set has, whatever its source. */
static fw_status new_dataset(fw_dataset **out, const char *name, int64_t h, int64_t w, int64_t c,
                             const fw_transform *transforms, const fw_dataset_opt *opt)
{
    if (opt == NULL)
        return fwi_fail(FW_EARG, "data set: options are missing (a batch size is required)");
    fw_status st = fwi_image_shape_check(h, w, c);
    if (st == FW_OK)
        st = check_opt(opt, h * w * c);
    if (st != FW_OK)
        return st;
    fw_dataset *ds = fwi_alloc_zero(sizeof *ds);
    if (ds == NULL)
        return FW_ENOMEM;
    ds->serial = atomic_fetch_add(&serials, 1) + 1;
    ds->opt = *opt;
    ds->h = h;
    ds->w = w;
    ds->c = c;
    ds->n_values = h * w * c;
    fwi_batches_init(ds);
    ds->name = fwi_strdup(name);
    st = ds->name != NULL ? FW_OK : FW_ENOMEM;
    if (st == FW_OK)
        st = fwi_chain_new(&ds->chain, transforms, h, w, c);
    if (st == FW_OK && !opt->training && fwi_dataset_share2(ds) > 0)
        st = fwi_fail(FW_EARG, "data set: cutmix mixes batches for training, not for evaluation");
    if (st == FW_OK)
        *out = ds;
    else
        fw_dataset_free(ds);
    return st;
}

static bool shuffled(const fw_dataset *ds)
{
    return ds->opt.training && !ds->opt.no_shuffle;
}

static fw_status make_order(fw_dataset *ds)
{
    if (!shuffled(ds))
        return FW_OK;
    return fwi_order_new(&ds->order, &ds->selection, ds->opt.seed);
}

/* All records of compressed files, decoded: what `cache` means for files that cannot be sought in.
 * From then on they are as good as an array. */
static fw_status load_stream(fw_dataset *ds)
{
    fwi_resident *r = &ds->resident;
    const size_t n = (size_t)ds->selection.n;
    r->dtype = fwi_shuffle_dtype(ds->shuffle);
    r->by_rank = true;
    const size_t image_bytes = (size_t)ds->n_values * fw_dtype_size(r->dtype);
    size_t bytes = 0;
    if (!fwi_mul_size(n, image_bytes, &bytes))
        return fwi_fail(FW_ENOMEM, "a cache of %zu images of %zu bytes", n, image_bytes);
    r->own_pixels = fwi_big_alloc(bytes);
    if (r->own_pixels == NULL)
        return FW_ENOMEM;
    r->own_pixel_bytes = bytes;
    r->own_labels = fwi_alloc_array(n, sizeof *r->own_labels);
    if (r->own_labels == NULL)
        return FW_ENOMEM;
    r->own_label_bytes = n * sizeof *r->own_labels;
    r->pixels = r->own_pixels;
    r->labels = r->own_labels;
    fw_status st = FW_OK;
    for (size_t i = 0; st == FW_OK && i < n; i++) {
        int64_t record = 0;
        st = fwi_shuffle_draw(ds->shuffle, 0, (int64_t)i, r->own_pixels + i * image_bytes,
                              &r->own_labels[i], &record, &ds->stop);
    }
    if (st != FW_OK)
        return st;
    fwi_shuffle_close(ds->shuffle);
    ds->shuffle = NULL;
    ds->origin = FWI_ORIGIN_ARRAY;
    return make_order(ds);
}

static fw_status open_stream(fw_dataset *ds)
{
    fw_record_info info = {0};
    fw_status st = fwi_record_info_read_as(ds->name, ds->h, ds->w, ds->c, &info);
    if (st != FW_OK)
        return st;
    const int64_t n = info.n;
    fw_record_info_clear(&info);
    if (n < 1)
        return fwi_fail(FW_EFORMAT, "%s: there are no records", ds->name);
    st = fwi_selection_init(&ds->selection, n, &ds->opt);
    if (st != FW_OK)
        return fwi_fail_in(st, "%s", ds->name);
    if (ds->opt.cache || ds->opt.folds > 1) /* both count records as they stand in the files */
        ds->opt.cycle_length = 1;
    if (ds->opt.cycle_length == 0)
        ds->opt.cycle_length = ds->opt.training ? DEFAULT_CYCLE : 1; /* else: in order */
    if (ds->opt.shuffle_buffer == 0)
        ds->opt.shuffle_buffer = DEFAULT_SHUFFLE;
    const fwi_shuffle_opt opt = {.h = ds->h,
                                 .w = ds->w,
                                 .c = ds->c,
                                 .seed = ds->opt.seed,
                                 .cycle_length = ds->opt.cycle_length,
                                 .passes = ds->opt.passes,
                                 .capacity =
                                     shuffled(ds) && !ds->opt.cache ? ds->opt.shuffle_buffer : 0};
    ds->origin = FWI_ORIGIN_STREAM;
    st = fwi_shuffle_open(&ds->shuffle, ds->name, &ds->selection, &opt);
    if (st != FW_OK)
        return st;
    ds->labelled = fwi_shuffle_labelled(ds->shuffle);
    return ds->opt.cache ? load_stream(ds) : FW_OK;
}

static fw_status open_indexed(fw_dataset *ds, fwi_record_set *set)
{
    ds->origin = FWI_ORIGIN_RECORDS;
    const int64_t n = fwi_record_set_count(set);
    fw_status st = n > 0 ? fwi_selection_init(&ds->selection, n, &ds->opt)
                         : fwi_fail(FW_EFORMAT, "there are no records");
    if (st != FW_OK) {
        fwi_record_set_close(set);
        return fwi_fail_in(st, "%s", ds->name);
    }
    st = fwi_fetch_new(&ds->fetch, set, &ds->selection, ds->h, ds->w, ds->c, ds->opt.cache);
    if (st != FW_OK)
        return st;
    ds->labelled = fwi_fetch_labelled(ds->fetch);
    return make_order(ds);
}

fw_status fw_tfrecord_dataset(fw_dataset **out, const char *pattern, fw_parser parser,
                              const fw_transform *transforms, const fw_dataset_opt *opt)
{
    if (out == NULL || pattern == NULL)
        return fwi_fail(FW_EARG, "fw_tfrecord_dataset: NULL argument");
    if (parser.kind != FWI_PARSER_IMAGE_ARRAY)
        return fwi_fail(FW_EARG, "fw_tfrecord_dataset: parser kind %d is unknown",
                        (int)parser.kind);
    fw_dataset *ds = NULL;
    fwi_record_set *set = NULL;
    fw_status st = new_dataset(&ds, pattern, parser.h, parser.w, parser.c, transforms, opt);
    if (st == FW_OK)
        st = fwi_record_set_open(&set, pattern);
    if (st != FW_OK)
        goto done;
    ds->file_bytes = fwi_record_set_bytes(set);
    st = fwi_record_digest(pattern, ds->digest);
    if (st == FW_OK && ds->digest[0] == 0 && fwi_record_set_seekable(set) &&
        fwi_record_set_sample(set, &ds->sample) == FW_ENOMEM)
        st = FW_ENOMEM; /* damage is told when the record is needed */
    if (st != FW_OK) {
        fwi_record_set_close(set);
    } else if (fwi_record_set_seekable(set)) {
        st = open_indexed(ds, set); /* takes it */
    } else {
        fwi_record_set_close(set);
        st = open_stream(ds);
    }
    if (st == FW_OK)
        st = set_length(ds);
done:
    if (st == FW_OK)
        *out = ds;
    else
        fw_dataset_free(ds);
    return st;
}

fw_status fw_array_dataset(fw_dataset **out, const fw_images *images,
                           const fw_transform *transforms, const fw_dataset_opt *opt)
{
    if (out == NULL || images == NULL || (images->n > 0 && images->pixels == NULL))
        return fwi_fail(FW_EARG, "fw_array_dataset: NULL argument");
    if (images->n < 1)
        return fwi_fail(FW_EARG, "fw_array_dataset: there are no images");
    if (images->dtype != FW_U8 && images->dtype != FW_F32)
        return fwi_fail(FW_EARG, "fw_array_dataset: images are u8 or f32, not %s",
                        fw_dtype_name(images->dtype));
    fw_dataset *ds = NULL;
    const char *name = images->source != NULL ? images->source : "memory";
    fw_status st = new_dataset(&ds, name, images->h, images->w, images->c, transforms, opt);
    if (st != FW_OK)
        goto done;
    ds->origin = FWI_ORIGIN_ARRAY;
    ds->resident =
        (fwi_resident){.dtype = images->dtype, .pixels = images->pixels, .labels = images->labels};
    ds->labelled = images->labels != NULL;
    if ((st = fwi_selection_init(&ds->selection, images->n, opt)) == FW_OK &&
        (st = set_length(ds)) == FW_OK)
        st = make_order(ds);
done:
    if (st == FW_OK)
        *out = ds;
    else
        fw_dataset_free(ds);
    return st;
}

void fw_dataset_free(fw_dataset *ds)
{
    if (ds == NULL)
        return;
    fwi_batches_free(ds);
    pthread_mutex_destroy(&ds->lock);
    fwi_order_free(ds->order);
    fwi_fetch_free(ds->fetch);
    fwi_shuffle_close(ds->shuffle);
    fwi_big_free(ds->resident.own_pixels, ds->resident.own_pixel_bytes);
    fwi_free(ds->resident.own_labels);
    fwi_chain_free(ds->chain);
    fwi_free(ds->name);
    fwi_free(ds);
}

/* ---- place ---- */

fw_status fw_dataset_seek(fw_dataset *ds, int64_t position)
{
    if (ds == NULL)
        return fwi_fail(FW_EARG, "fw_dataset_seek: NULL argument");
    if (position < 0 || position > ds->end)
        return fwi_fail(FW_EARG, "fw_dataset_seek: position %lld of %lld", (long long)position,
                        (long long)ds->end);
    fwi_batches_restart(ds, position);
    return FW_OK;
}

void fwi_dataset_reseed(fw_dataset *ds, uint64_t seed)
{
    fwi_batches_restart(ds, 0);
    if (seed == ds->opt.seed)
        return;
    ds->opt.seed = seed;
    if (ds->order != NULL) {
        fwi_order_settle(ds->order, ds->pool);
        fwi_order_reseed(ds->order, seed);
    }
    if (ds->shuffle != NULL)
        fwi_shuffle_reseed(ds->shuffle, seed);
    if (ds->cutmix != NULL)
        fwi_cutmix_reseed(ds->cutmix, seed);
}

int64_t fw_dataset_position(const fw_dataset *ds)
{
    if (ds == NULL)
        return 0;
    int64_t p = ds->position;
    fwi_batches_begin_at(ds, &p);
    return p;
}

/* ---- questions ---- */

int64_t fw_dataset_count(const fw_dataset *ds)
{
    return ds == NULL ? 0 : ds->selection.n;
}

int64_t fw_dataset_batches(const fw_dataset *ds)
{
    if (ds == NULL)
        return 0;
    const int64_t n = ds->selection.n, batch = ds->opt.batch;
    const bool whole_only = ds->opt.training || ds->opt.drop_remainder;
    return whole_only ? n / batch : (n - 1) / batch + 1;
}

void fw_dataset_shape(const fw_dataset *ds, int64_t *h, int64_t *w, int64_t *c)
{
    if (h != NULL)
        *h = ds == NULL ? 0 : ds->h;
    if (w != NULL)
        *w = ds == NULL ? 0 : ds->w;
    if (c != NULL)
        *c = ds == NULL ? 0 : ds->c;
}

void fw_dataset_memory_get(const fw_dataset *ds, fw_dataset_memory *out)
{
    if (out == NULL)
        return;
    *out = (fw_dataset_memory){0};
    if (ds == NULL)
        return;
    size_t index = sizeof *ds + strlen(ds->name) + 1 + fwi_chain_bytes(ds->chain);
    size_t cache = ds->resident.own_pixel_bytes + ds->resident.own_label_bytes;
    if (ds->order != NULL)
        index += fwi_order_bytes(ds->selection.n);
    if (ds->fetch != NULL) {
        index += fwi_fetch_index_bytes(ds->fetch);
        cache += fwi_fetch_cache_bytes(ds->fetch);
    }
    *out = (fw_dataset_memory){
        .index = (int64_t)index,
        .cache = (int64_t)cache,
        .shuffle = ds->shuffle != NULL ? (int64_t)fwi_shuffle_bytes(ds->shuffle) : 0,
        .prefetch = (int64_t)fwi_batches_bytes(ds)};
}

const fw_transform *fwi_dataset_cutmix(const fw_dataset *ds)
{
    int place;
    return fwi_chain_cutmix(ds->chain, &place);
}

double fwi_dataset_share2(const fw_dataset *ds)
{
    const fw_transform *const t = fwi_dataset_cutmix(ds);
    return t == NULL ? 0 : (double)(t->h * t->w) / (double)(ds->h * ds->w);
}

int64_t fwi_dataset_batch(const fw_dataset *ds)
{
    return ds->opt.batch;
}

const char *fwi_dataset_name(const fw_dataset *ds)
{
    return ds->name;
}

bool fwi_dataset_labelled(const fw_dataset *ds)
{
    return ds->labelled;
}

bool fwi_dataset_training(const fw_dataset *ds)
{
    return ds->opt.training;
}

const fw_transform *fwi_dataset_transforms(const fw_dataset *ds, int *n)
{
    return fwi_chain_list(ds->chain, n);
}
