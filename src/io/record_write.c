/* record_write.c: images to TFRecord files, one or sharded, with their sidecar.
 *
 * All files are written and sealed under temporary names before the first is renamed, so that a
 * full disk leaves nothing behind; the sidecar comes last, so that it never speaks of files that
 * are not there. */
#include <fenwicks/record.h>

#include "example.h"
#include "fail.h"
#include "image_set.h"
#include "sidecar.h"
#include "tfrecord.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SHARDS = 99999 }; /* five digits */

typedef struct job {
    const char *path;
    const fw_images *im;
    const fw_write_opt *opt;
    char *side_path;
    char **names; /* [shards] paths */
    fw_tfrecord_writer **writers;
    int64_t shards;
    fw_dtype dtype; /* of the image feature */
    fwi_sidecar side;
    fwi_paths
        former; /* files that the sidecar of former records names and that are not written now */
} job;

static void job_clear(job *j)
{
    for (int64_t i = 0; i < j->shards; i++) {
        if (j->writers != NULL)
            fw_tfrecord_discard(j->writers[i]);
        if (j->names != NULL)
            fwi_free(j->names[i]);
    }
    fwi_free(j->names);
    fwi_free(j->writers);
    fwi_free(j->side_path);
    fwi_sidecar_clear(&j->side);
    fwi_paths_clear(&j->former);
}

/* First record of shard i: floor(i * n / shards), without the product's overflow. */
static int64_t shard_begin(const job *j, int64_t i)
{
    return j->im->n / j->shards * i + j->im->n % j->shards * i / j->shards;
}

static fw_status job_init(job *j)
{
    const fw_images *im = j->im;
    j->side_path = fwi_sprintf("%s.json", j->path);
    j->names = fwi_alloc_array((size_t)j->shards, sizeof *j->names);
    j->writers = fwi_alloc_array((size_t)j->shards, sizeof *j->writers);
    j->side.files = fwi_alloc_array((size_t)j->shards, sizeof *j->side.files);
    if (j->side_path == NULL || j->names == NULL || j->writers == NULL || j->side.files == NULL)
        return FW_ENOMEM;
    j->side.n_files = j->shards;
    for (int64_t i = 0; i < j->shards; i++) {
        j->names[i] = j->opt->shards > 1 ? fwi_shard_path(j->path, strlen(j->path), i, j->shards)
                                         : fwi_strdup(j->path);
        if (j->names[i] == NULL)
            return FW_ENOMEM;
        j->side.files[i].name = fwi_strdup(fwi_path_base(j->names[i]));
        if (j->side.files[i].name == NULL)
            return FW_ENOMEM;
        j->side.files[i].n_records = shard_begin(j, i + 1) - shard_begin(j, i);
    }
    fw_record_info *in = &j->side.info;
    *in = (fw_record_info){.n = im->n,
                           .h = im->h,
                           .w = im->w,
                           .c = im->c,
                           .dtype = j->dtype,
                           .labelled = im->labels != NULL && !j->opt->no_labels,
                           .n_classes = im->n_classes};
    j->side.compression = j->opt->compression;
    in->source = fwi_strdup(im->source != NULL ? im->source : "");
    j->side.digest = fwi_images_digest(im);
    if (in->source == NULL || j->side.digest == NULL)
        return FW_ENOMEM;
    return fwi_class_names_copy(im->class_names, im->n_classes, &in->class_names);
}

static fw_status check(const job *j)
{
    const fw_images *im = j->im;
    const fw_write_opt *o = j->opt;
    size_t n_values = 0;
    if (im->pixels == NULL)
        return fwi_fail(FW_EARG, "%s: there are no images to write", j->path);
    if (im->dtype != FW_U8 && im->dtype != FW_F32)
        return fwi_fail(FW_EARG, "%s: images are %s, expected u8 or f32", j->path,
                        fw_dtype_name(im->dtype));
    if (im->n_classes < 0 || im->n_classes > FWI_MAX_CLASSES)
        return fwi_fail(FW_EARG, "%s: %lld classes, expected 0 to %d", j->path,
                        (long long)im->n_classes, FWI_MAX_CLASSES);
    for (int64_t i = 0; im->class_names != NULL && i < im->n_classes; i++)
        if (im->class_names[i] == NULL)
            return fwi_fail(FW_EARG, "%s: class name %lld is NULL", j->path, (long long)i);
    if (im->dtype == FW_F32 && !o->as_float)
        return fwi_fail(FW_EARG, "%s: float images can only be written as_float", j->path);
    if (o->shards < 0 || o->shards > MAX_SHARDS || (o->shards > 1 && o->shards > im->n))
        return fwi_fail(FW_EARG,
                        "%s: %lld shards of %lld records; 1 to %d, and not more than records",
                        j->path, (long long)o->shards, (long long)im->n, MAX_SHARDS);
    const fw_status st = fwi_images_check_size(j->path, im->n, im->h, im->w, im->c, &n_values);
    if (st != FW_OK || im->labels == NULL || o->no_labels)
        return st;
    for (int64_t i = 0; i < im->n; i++)
        if (im->labels[i] < 0 || im->labels[i] >= im->n_classes)
            return fwi_fail(FW_EARG, "%s: record %lld: label %d, there are %lld classes", j->path,
                            (long long)i, im->labels[i], (long long)im->n_classes);
    return FW_OK;
}

static bool same_names(const fw_record_info *a, const fw_record_info *b) /* a: of a sidecar */
{
    if ((a->class_names == NULL) != (b->class_names == NULL))
        return false;
    for (int64_t i = 0; a->class_names != NULL && i < a->n_classes; i++)
        if (!fwi_sidecar_same_text(a->class_names[i], b->class_names[i]))
            return false;
    return true;
}

/* Why what is there is not the same records; NULL: it is. */
static const char *difference(const fwi_sidecar *is, const fwi_sidecar *want)
{
    const fw_record_info *a = &is->info, *b = &want->info;
    if (strcmp(is->digest, want->digest) != 0 || a->n != b->n)
        return "other images";
    if (!fwi_sidecar_same_text(a->source, b->source))
        return "another source";
    if (a->h != b->h || a->w != b->w || a->c != b->c || a->dtype != b->dtype ||
        a->labelled != b->labelled || a->n_classes != b->n_classes ||
        is->compression != want->compression)
        return "another form";
    if (!same_names(a, b))
        return "other names of classes";
    return NULL;
}

static bool is_written(const job *j, const char *path)
{
    for (int64_t i = 0; i < j->shards; i++)
        if (strcmp(j->names[i], path) == 0)
            return true;
    return false;
}

/* Whether a name is NAME, or NAME-0000i-of-0000n, with a file behind it: a sidecar may say anything, and
 * name what is the user's. */
static bool is_former(const job *j, const char *path)
{
    return (strcmp(path, j->path) == 0 || (fwi_shard_parse(path, NULL, NULL) == strlen(j->path) &&
                                           strncmp(path, j->path, strlen(j->path)) == 0)) &&
           !is_written(j, path) && fwi_file_exists(path);
}

/* A former set in another number of files: beside it a pattern such as X-* would mix the two. Only
 * files that the sidecar names as ours, in its own folder, are looked for. */
static fw_status find_former(job *j)
{
    fwi_sidecar is = {0};
    fw_status st = fwi_sidecar_read(j->side_path, &is);
    if (st != FW_OK) {
        fwi_sidecar_clear(&is);
        if (st == FW_ENOMEM)
            return st;
        if (!fwi_file_exists(j->side_path) || j->opt->overwrite)
            return FW_OK;
        return fwi_fail_in(FW_EEXISTS, "%s: its sidecar cannot be read and is not overwritten",
                           j->path);
    }
    const int n_dir = (int)(fwi_path_base(j->path) - j->path);
    j->former.items = fwi_alloc_array((size_t)is.n_files, sizeof *j->former.items);
    st = j->former.items == NULL ? FW_ENOMEM : FW_OK;
    for (int64_t i = 0; st == FW_OK && i < is.n_files; i++) {
        const char *base = fwi_path_base(is.files[i].name);
        char *path = fwi_sprintf("%.*s%s", n_dir, j->path, base);
        if (path == NULL)
            st = FW_ENOMEM;
        else if (!is_former(j, path))
            fwi_free(path);
        else
            j->former.items[j->former.n++] = path;
    }
    if (st == FW_OK && j->former.n > 0 && !j->opt->overwrite)
        st =
            fwi_fail(FW_EEXISTS,
                     "%s: speaks of %lld files that exist, %lld are to be written; not overwritten",
                     j->side_path, (long long)is.n_files, (long long)j->shards);
    fwi_sidecar_clear(&is);
    return st;
}

/* The first of the files to be written that is there; NULL: none is, or they may be replaced. */
static fw_status look_for_names(const job *j, const char **there)
{
    *there = NULL;
    for (int64_t i = 0; i < j->shards && *there == NULL && !j->opt->overwrite; i++) {
        struct stat info;
        fwi_path_kind kind;
        const fw_status st = fwi_path_look(j->names[i], &kind);
        if (st != FW_OK)
            return st;
        if (kind == FWI_FILE || (lstat(j->names[i], &info) == 0 && S_ISLNK(info.st_mode)))
            *there = j->names[i]; /* a link that leads nowhere is a name too */
    }
    return FW_OK;
}

/* FW_OK with *keep if the same records are there already; FW_EEXISTS if others are. */
static fw_status check_existing(const job *j, bool *keep)
{
    *keep = false;
    const char *there;
    const fw_status look = look_for_names(j, &there);
    if (look != FW_OK || there == NULL)
        return look;
    fwi_sidecar is = {0};
    const fwi_paths files = {.items = j->names, .n = j->shards};
    bool covers = false;
    const fw_status read = fwi_sidecar_read(j->side_path, &is);
    fw_status st = read;
    if (st == FW_OK)
        st = fwi_sidecar_covers(&is, j->side_path, &files, &covers);
    if (st == FW_ENOMEM) {
        fwi_sidecar_clear(&is);
        return st;
    }
    if (read == FW_ENOTFOUND)
        st = fwi_fail(FW_EEXISTS, "%s: exists, and no sidecar says what it holds; not overwritten",
                      there);
    else if (st != FW_OK)
        st = fwi_fail_in(FW_EEXISTS, "%s: exists and is not overwritten", there);
    else if (!covers)
        st = fwi_fail(FW_EEXISTS,
                      "%s: exists as one of %lld files, %lld are to be written; not overwritten",
                      there, (long long)is.n_files, (long long)j->shards);
    else {
        const char *what = difference(&is, &j->side);
        if (what != NULL)
            st = fwi_fail(FW_EEXISTS, "%s: exists and holds %s (%s); not overwritten", there, what,
                          is.info.source);
        *keep = what == NULL;
    }
    fwi_sidecar_clear(&is);
    return st;
}

static bool stopped(const job *j)
{
    return fwi_stop_asked(j->opt->stop);
}

static fw_status write_shard(job *j, int64_t shard, fwi_buf *message, float *wide)
{
    const fw_images *im = j->im;
    const int64_t values = im->h * im->w * im->c;
    const bool labelled = j->side.info.labelled;
    fw_status st =
        fw_tfrecord_create(&j->writers[shard], j->names[shard], j->opt->compression, j->opt->level);
    if (st == FW_OK && !j->opt->overwrite) /* nor what others have written by then */
        fwi_tfrecord_replace_nothing(j->writers[shard]);
    for (int64_t i = shard_begin(j, shard); st == FW_OK && i < shard_begin(j, shard + 1); i++) {
        fwi_example_image e = {.n_values = values, .has_label = labelled};
        if (labelled)
            e.label = im->labels[i];
        if (im->dtype == FW_F32) {
            e.f32 = (const float *)im->pixels + i * values;
        } else if (wide != NULL) { /* bytes as floats: room was made for one image */
            const uint8_t *p = (const uint8_t *)im->pixels + i * values;
            for (int64_t k = 0; k < values; k++)
                wide[k] = p[k];
            e.f32 = wide;
        } else {
            e.u8 = (const uint8_t *)im->pixels + i * values;
            e.has_shape = true; /* floats have none: as the walk-through writes them */
            e.h = im->h;
            e.w = im->w;
            e.c = im->c;
        }
        message->size = 0;
        st = stopped(j) ? fwi_fail(FW_ESTOPPED, "%s: stopped on request; nothing of it was written",
                                   j->path)
                        : fwi_example_image_encode(&e, message);
        if (st == FW_OK)
            st = fw_tfrecord_put(j->writers[shard], message->data, message->size);
    }
    if (st == FW_OK)
        st = fwi_tfrecord_seal(j->writers[shard]);
    if (st == FW_OK)
        j->side.files[shard].n_bytes = fwi_tfrecord_file_bytes(j->writers[shard]);
    return st;
}

/* What the images say of themselves may be older than their pixels. */
static fw_status set_stats(job *j)
{
    fw_images view = *j->im;
    fw_status st = fwi_images_check_finite(&view, j->path);
    if (st == FW_OK)
        st = fw_images_stats(&view);
    memcpy(j->side.info.mean, view.mean, sizeof view.mean);
    memcpy(j->side.info.std, view.std, sizeof view.std);
    return st;
}

static fw_status remove_former(const char *path)
{
    return unlink(path) == 0 || errno == ENOENT
               ? FW_OK
               : fwi_fail(FW_EIO, "%s: cannot remove, it is of former records: %s", path,
                          strerror(errno));
}

/* Former files under the names that are to be written, from the first-th on, go before new ones come: a set of which
 * some files are new and some old would read as one, where a file that is missing is an error. */
static fw_status withdraw(const job *j, int64_t first)
{
    fw_status st = FW_OK;
    for (int64_t i = first; i < j->shards && j->opt->overwrite && st == FW_OK; i++)
        st = remove_former(j->names[i]);
    return st;
}

/* The same of all that is there under a name. */
static fw_status withdraw_all(job *j)
{
    fw_status st = j->opt->overwrite ? remove_former(j->side_path) : FW_OK;
    if (st == FW_OK)
        st = withdraw(j, 0);
    for (int64_t i = 0; st == FW_OK && i < j->former.n; i++)
        st = remove_former(j->former.items[i]);
    return st;
}

static fw_status publish(job *j)
{
    const char *there; /* another may have written the same names meanwhile, and its sidecar */
    const fw_status look = look_for_names(j, &there);
    if (look != FW_OK || there != NULL)
        return look != FW_OK ? look
                             : fwi_fail(FW_EEXISTS, "%s: exists by now; not overwritten", there);
    /* a sidecar of former records must not be found beside the new ones, not even after a crash */
    if (unlink(j->side_path) != 0 && errno != ENOENT)
        return fwi_fail(FW_EIO, "%s: cannot remove the former sidecar: %s", j->side_path,
                        strerror(errno));
    fw_status st = withdraw(j, 1);
    int64_t done = 0;
    while (st == FW_OK && done < j->shards) {
        st = fw_tfrecord_commit(j->writers[done]);
        j->writers[done] = NULL;
        /* One that failed may have its name already. The first may still be the former file, and stays;
         * behind others, which have replaced theirs, it would make a mix of two sets. One that was there
         * is of somebody else. */
        done += st == FW_OK || (st != FW_EEXISTS && (!j->opt->overwrite || done > 0));
    }
    if (st == FW_OK)
        st = fwi_sidecar_write(j->side_path, &j->side);
    if (st != FW_OK)
        for (int64_t i = 0; i < done; i++)
            unlink(j->names[i]);
    /* last: the new ones are whole even where an old one cannot be removed */
    for (int64_t i = 0; st == FW_OK && i < j->former.n; i++)
        st = remove_former(j->former.items[i]);
    return st;
}

/* Writes and syncs all files under temporary names. *keep: the same records are there already, nothing was. */
static fw_status stage(job *j, bool *keep)
{
    const fw_images *const im = j->im;
    fwi_buf message = {0};
    float *wide = NULL;
    *keep = false;
    fw_status st = fwi_path_check_local(j->path);
    if (st == FW_OK)
        st = check(j);
    if (st != FW_OK)
        return st;
    j->shards = j->opt->shards > 1 ? j->opt->shards : 1;
    j->dtype = j->opt->as_float ? FW_F32 : FW_U8;
    st = job_init(j);
    if (st == FW_OK)
        st = check_existing(j, keep);
    if (st == FW_OK && !*keep)
        st = find_former(j);
    if (st == FW_OK && !*keep)
        st = set_stats(j);
    if (st != FW_OK || *keep)
        return st;
    if (j->dtype == FW_F32 && im->dtype == FW_U8 &&
        (wide = fwi_alloc_array((size_t)(im->h * im->w * im->c), sizeof *wide)) == NULL)
        return FW_ENOMEM;
    for (int64_t i = 0; st == FW_OK && i < j->shards; i++)
        st = write_shard(j, i, &message, wide);
    fwi_free(wide);
    fwi_buf_clear(&message);
    return st;
}

fw_status fw_write_tfrecord(const char *path, const fw_images *im, const fw_write_opt *opt)
{
    const fw_write_opt none = {0};
    if (path == NULL || path[0] == '\0' || im == NULL)
        return fwi_fail(FW_EARG, "fw_write_tfrecord: the path is NULL or empty, or images is NULL");
    job j = {.path = path, .im = im, .opt = opt == NULL ? &none : opt};
    bool keep;
    fw_status st = stage(&j, &keep);
    if (st == FW_OK && !keep)
        st = publish(&j);
    job_clear(&j);
    return st;
}

fw_status fw_write_tfrecord_pair(const char *train_path, const fw_images *train,
                                 const char *test_path, const fw_images *test,
                                 const fw_write_opt *opt)
{
    const fw_write_opt none = {0};
    if (train_path == NULL || train_path[0] == '\0' || train == NULL || test_path == NULL ||
        test_path[0] == '\0' || test == NULL || strcmp(train_path, test_path) == 0)
        return fwi_fail(FW_EARG,
                        "fw_write_tfrecord_pair: a path is NULL or empty, images are NULL, "
                        "or the paths are the same");
    job a = {.path = train_path, .im = train, .opt = opt == NULL ? &none : opt};
    job b = {.path = test_path, .im = test, .opt = a.opt};
    bool keep_a, keep_b = false;
    fw_status st = stage(&a, &keep_a);
    if (st == FW_OK)
        st = stage(&b, &keep_b);
    if (st == FW_OK && !keep_a && !keep_b)
        st = withdraw_all(&b);
    if (st == FW_OK && !keep_a)
        st = publish(&a);
    if (st == FW_OK && !keep_b)
        st = publish(&b);
    job_clear(&a);
    job_clear(&b);
    return st;
}
