/* device_data.c: see device_data.h. What the device keeps is one block: images, labels, the numbers of the
 * rows of a batch, and what the caller wants beside. The batch itself is made where the plan would have
 * copied the host's to, so that it costs no memory, and a recorded step finds it where it was. */
#include "device_data.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "dataset_inner.h"
#include "fail.h"
#include "mem.h"

enum { ALIGN = 64, STAGED_BYTES = 8 << 20 }; /* of images, on their way to the device */

static int64_t image_bytes(const fwi_device_data *k)
{
    return (int64_t)k->how.h * k->how.w * k->how.c;
}

/* Of a line of the table of rows: a batch's numbers. */
static size_t line_numbers(const fwi_device_data *k)
{
    return (size_t)fwi_batch_row_numbers(k->batch);
}

fw_status fwi_device_memory(fwi_device *d, size_t *free_bytes, size_t *its_own)
{
    enum { ITS_OWN = 32 }; /* one part in so many */
    size_t all_bytes = 0;
    *free_bytes = SIZE_MAX / 2;
    const fw_status st =
        d->backend->memory != NULL ? d->backend->memory(d, free_bytes, &all_bytes) : FW_OK;
    *its_own = all_bytes / ITS_OWN;
    return st;
}

static size_t line_bytes(const fwi_device_data *k)
{
    return line_numbers(k) * sizeof(int64_t);
}

/* Places in the block; false: the size does not fit. */
static bool lay_out(fwi_device_data *k)
{
    size_t images = 0, labels = 0, rows = 0, beside = 0;
    if (!fwi_mul_size((size_t)k->n, (size_t)image_bytes(k), &images) ||
        !fwi_add_size(images, ALIGN - 1, &k->labels_at))
        return false;
    k->labels_at &= ~(size_t)(ALIGN - 1);
    if (!fwi_mul_size((size_t)k->n, sizeof(int32_t), &labels) ||
        !fwi_add_size(k->labels_at, labels, &rows) || !fwi_add_size(rows, ALIGN - 1, &k->rows_at))
        return false;
    k->rows_at &= ~(size_t)(ALIGN - 1);
    if (!fwi_add_size(k->rows_at, (size_t)k->lines * line_bytes(k), &beside) ||
        !fwi_add_size(beside, ALIGN - 1, &k->beside_at))
        return false;
    k->beside_at &= ~(size_t)(ALIGN - 1);
    return fwi_add_size(k->beside_at, k->beside, &k->bytes);
}

/* FW_OK, or why not. ds NULL: images of the caller's own. */
static fw_status check(fwi_device_data *k, const fw_dataset *ds, const fwi_device_data_shape *x,
                       const fw_transform *list, const char *why_not, size_t spare)
{
    if (k->device->backend->make_batch == NULL)
        return fwi_fail(FW_EUNAVAILABLE, "device %s makes none", k->device->label);
    if (why_not != NULL)
        return fwi_fail(FW_EUNAVAILABLE, "%s", why_not);
    fw_status st = ds != NULL ? fwi_dataset_keepable(ds) : FW_OK;
    if (st == FW_OK)
        st = fwi_augment_make(&k->how, list, x->h, x->w, x->c);
    if (st != FW_OK)
        return st;
    if (!lay_out(k) || k->bytes > spare)
        return fwi_fail(FW_EUNAVAILABLE,
                        "the device has %.1f MiB beside what the plan needs, the images are %.1f",
                        (double)spare / 1048576, (double)k->bytes / 1048576);
    return FW_OK;
}

fw_status fwi_device_data_choose(fwi_device_data *k, fwi_device *d, const fw_dataset *ds,
                                 const fwi_device_data_want *want, size_t spare)
{
    const int64_t batch = want->batch > 0 ? want->batch : fwi_dataset_batch(ds);
    if (k->loaded && k->serial == fwi_dataset_serial(ds) && k->batch == batch &&
        k->lines == want->lines && k->beside == want->beside && want->why_not == NULL &&
        k->bytes <= spare) {
        k->seed = fwi_dataset_seed(ds); /* of a run; the images are those of all of them */
        return FW_OK;
    }
    fwi_device_data_clear(k);
    *k = (fwi_device_data){.serial = fwi_dataset_serial(ds),
                           .device = d,
                           .seed = fwi_dataset_seed(ds),
                           .n = fw_dataset_count(ds),
                           .batch = batch,
                           .lines = want->lines,
                           .beside = want->beside};
    int n;
    fwi_device_data_shape x = {.n = k->n};
    fw_dataset_shape(ds, &x.h, &x.w, &x.c);
    const fw_status st = check(k, ds, &x, fwi_dataset_transforms(ds, &n), want->why_not, spare);
    k->keeps = st == FW_OK;
    if (st != FW_OK)
        snprintf(k->why, sizeof k->why, "%s", fw_last_error());
    return st == FW_EUNAVAILABLE ? FW_OK : st;
}

size_t fwi_device_data_held(const fwi_device_data *k)
{
    return k->loaded ? k->bytes : 0;
}

size_t fwi_device_data_wanted(const fwi_device_data *k)
{
    return k->keeps && !k->loaded ? k->bytes : 0;
}

void fwi_device_data_clear(fwi_device_data *k)
{
    if (k->block != NULL)
        k->device->backend->release(k->device, k->block, k->bytes);
    fwi_free(k->host_labels);
    fwi_free(k->batch_labels);
    fwi_free(k->rows);
    *k = (fwi_device_data){0};
}

/* Some records at a time, by way of memory that is given back. */
static fw_status upload(const fwi_device_data *k, fw_dataset *ds)
{
    const size_t each = (size_t)image_bytes(k);
    const int64_t fit = (int64_t)(STAGED_BYTES / each), some = fit < 1 ? 1 : fit;
    const fwi_backend *b = k->device->backend;
    uint8_t *staged = fwi_alloc_array((size_t)some, each);
    fw_status st = staged == NULL ? FW_ENOMEM : FW_OK;
    for (int64_t i = 0; i < k->n && st == FW_OK; i += some) {
        const int64_t n = k->n - i < some ? k->n - i : some;
        st = fwi_dataset_read(ds, i, n, staged, k->host_labels + i);
        if (st == FW_OK)
            st = b->upload(k->device, (uint8_t *)k->block + (size_t)i * each, staged,
                           (size_t)n * each);
    }
    fwi_free(staged);
    if (st == FW_OK)
        st = b->upload(k->device, (uint8_t *)k->block + k->labels_at, k->host_labels,
                       (size_t)k->n * sizeof *k->host_labels);
    return st == FW_OK ? b->sync(k->device) : st;
}

/* FW_EUNAVAILABLE: the device has no memory for it after all. */
static fw_status allocate(fwi_device_data *k)
{
    k->host_labels = fwi_alloc_array((size_t)k->n, sizeof *k->host_labels);
    k->batch_labels = fwi_alloc_array((size_t)k->batch, sizeof *k->batch_labels);
    k->rows = fwi_alloc_array((size_t)k->lines, line_bytes(k));
    if (k->host_labels == NULL || k->batch_labels == NULL || k->rows == NULL)
        return FW_ENOMEM;
    return k->device->backend->alloc(k->device, k->bytes, &k->block) == FW_OK
               ? FW_OK
               : fwi_fail_in(FW_EUNAVAILABLE, "memory for images");
}

fw_status fwi_device_data_room(fwi_device_data *k, fwi_device *d,
                               const fwi_device_data_shape *images, const fw_transform *list,
                               const fwi_device_data_want *want, size_t spare)
{
    *k = (fwi_device_data){.device = d,
                           .n = images->n,
                           .batch = want->batch,
                           .lines = want->lines,
                           .beside = want->beside};
    fw_status st = check(k, NULL, images, list, want->why_not, spare);
    if (st == FW_OK)
        st = allocate(k);
    k->keeps = k->loaded = st == FW_OK;
    if (st != FW_OK)
        fwi_device_data_clear(k);
    return st;
}

fw_status fwi_device_data_put(const fwi_device_data *k, const uint8_t *pixels, int64_t n)
{
    return k->device->backend->upload(k->device, k->block, pixels, (size_t)(n * image_bytes(k)));
}

fw_status fwi_device_data_load(fwi_device_data *k, fw_dataset *ds, int64_t n_classes)
{
    if (!k->keeps || (k->loaded && (n_classes == 0 || k->n_classes == n_classes)))
        return FW_OK;
    fw_status st = k->loaded ? FW_OK : allocate(k);
    const double began = fwi_now();
    if (st == FW_OK)
        st = upload(k, ds);
    if (st == FW_OK) {
        k->seconds = fwi_now() - began;
        k->n_classes = n_classes;
        k->loaded = true;
        return FW_OK;
    }
    char why[sizeof k->why]; /* no memory after all; a record that is no uint8 */
    const uint64_t serial = k->serial;
    fwi_device *const device = k->device;
    snprintf(why, sizeof why, "%s", fw_last_error());
    fwi_device_data_clear(k);
    if (st != FW_EUNAVAILABLE)
        return st;
    k->serial = serial;
    k->device = device;
    memcpy(k->why, why, sizeof why);
    return FW_OK;
}

/* ---- batches ---- */

fw_status fwi_device_data_next(fwi_device_data *k, fw_dataset *ds, fw_batch *out)
{
    if (!k->loaded)
        return fw_dataset_next(ds, out);
    const int64_t n = k->batch;
    int64_t valid = 0;
    const fw_status st = fwi_dataset_next_rows(ds, k->rows, &valid);
    if (st != FW_OK)
        return st;
    k->rows[3 * n] = (int64_t)k->seed;
    for (int64_t i = 0; i < n; i++)
        k->batch_labels[i] = k->rows[i] < 0 ? -1 : k->host_labels[k->rows[i]];
    *out = (fw_batch){.n = n,
                      .valid = valid,
                      .h = k->how.h,
                      .w = k->how.w,
                      .c = k->how.c,
                      .labels = k->batch_labels,
                      .labels2 = k->batch_labels,
                      .records = k->rows + n,
                      .position = fw_dataset_position(ds) - valid};
    return FW_OK;
}

fwi_shown fwi_device_data_shown(fwi_device_data *k, const fw_batch *b)
{
    if (b->images != NULL)
        return (fwi_shown){.images = b->images, .labels = b->labels};
    return (fwi_shown){.labels = b->labels, .kept = k, .rows = k->rows};
}

/* The job behind both ways; how: the transforms, and the view behind them. */
static fw_status bind_batch(const fwi_device_data *k, const fwi_network_plan *p,
                            const fwi_augment *how, const int32_t *turn, fwi_binding *b,
                            fwi_batch_job *job)
{
    if (k->batch != p->use.batch || p->in_x < 0 || p->in_labels < 0)
        return fwi_fail(FW_EINTERNAL, "a plan for batches of %" PRId64 " and data of %" PRId64,
                        p->use.batch, k->batch);
    const uint8_t *const block = k->block;
    *job = (fwi_batch_job){.how = how,
                           .images = block,
                           .labels = (const int32_t *)(const void *)(block + k->labels_at),
                           .rows = (const int64_t *)(const void *)(block + k->rows_at),
                           .turn = turn,
                           .n = k->batch,
                           .out = fwi_plan_staged(p->plan, b, p->in_x),
                           .out_labels = fwi_plan_staged(p->plan, b, p->in_labels)};
    b->inputs[p->in_x] = job->out;
    b->inputs[p->in_labels] = job->out_labels;
    b->resident |= (uint32_t)1 << p->in_x | (uint32_t)1 << p->in_labels;
    return FW_OK;
}

static fw_status send_rows(const fwi_device_data *k, const int64_t *rows, int32_t n_lines)
{
    return k->device->backend->upload(k->device, (uint8_t *)k->block + k->rows_at, rows,
                                      (size_t)n_lines * line_bytes(k));
}

fw_status fwi_device_data_bind(const fwi_shown *x, const fwi_network_plan *p, int shift,
                               bool mirrored, fwi_binding *b)
{
    if (x->images != NULL)
        return FW_OK;
    const fwi_device_data *k = x->kept;
    fwi_augment how = k->how;
    fwi_augment_view(&how, shift, mirrored);
    fwi_batch_job job;
    fw_status st = bind_batch(k, p, &how, NULL, b, &job);
    if (st == FW_OK)
        st = send_rows(k, x->rows, 1);
    return st == FW_OK ? k->device->backend->make_batch(k->device, &job) : st;
}

/* ---- batches of steps ahead ---- */

fw_status fwi_device_data_line(fwi_device_data *k, fw_dataset *ds, int32_t i)
{
    int64_t valid = 0;
    int64_t *const line = fwi_device_data_rows(k, i);
    line[3 * k->batch] = (int64_t)k->seed;
    return fwi_dataset_next_rows(ds, line, &valid);
}

fw_status fwi_device_data_send(fwi_device_data *k, int32_t n)
{
    return send_rows(k, k->rows, n);
}

fw_status fwi_device_data_job(const fwi_device_data *k, const fwi_network_plan *p,
                              const fwi_augment *how, const int32_t *turn, fwi_binding *b,
                              fwi_batch_job *job)
{
    return bind_batch(k, p, how != NULL ? how : &k->how, turn, b, job);
}
