/* batches.c: the ring of batches that are made ahead, and the jobs that make them.
 *
 * A batch is cut into runs of rows, each a job on the pool, so that a worker is never away from a
 * kernel's loops for long. The cut depends on the image size alone, each row on its record and pass
 * alone, so that batches have the same bits for any number of threads and any depth. The consumer
 * decides which records a batch has when it asks for it (the order of a pass is never looked at by
 * a job), then helps with the rows of the oldest batch that nobody has begun, from the last one on, and
 * waits for all of them in order; so the failure reported is the first one of the batch. With one thread there is nobody
 * to make anything ahead: one slot, filled when asked for.
 *
 * Streams have a second kind of job, which draws the rows' records from the shuffle buffer. There
 * is one stream, so each feed job hands on to the feed job of the next rows, across batches.
 *
 * Neighbours: dataset.c (making, questions), fetch.c, shuffle.c (records), chain.c (transforms). */
#include "cpu.h"
#include "dataset_room.h"
#include "mem.h"

#include <assert.h>
#include <string.h>

enum {
    MOST_ROWS = 64,          /* of a job */
    JOB_VALUES = 512 * 1024, /* that a job converts at most, about a millisecond's work */
    DEFAULT_PREFETCH = 2
};

/* ---- sizes ---- */

int fwi_batches_threads(const fw_dataset *ds)
{
    if (ds->pool_given)
        return fwi_pool_threads(ds->pool);
    return ds->opt.threads > 0 ? ds->opt.threads : fwi_cpu_count();
}

static int64_t slot_count(const fw_dataset *ds, int n_threads)
{
    if (n_threads == 1 || ds->opt.prefetch == FW_NONE)
        return 1;
    return 1 + (ds->opt.prefetch > 0 ? ds->opt.prefetch : DEFAULT_PREFETCH);
}

static size_t image_bytes(const fw_dataset *ds)
{
    return (size_t)ds->opt.batch * (size_t)ds->n_values * sizeof(float);
}

static size_t cell_bytes(const fw_dataset *ds)
{
    if (ds->origin != FWI_ORIGIN_STREAM)
        return 0;
    return (size_t)ds->n_values * fw_dtype_size(fwi_shuffle_dtype(ds->shuffle));
}

static size_t slot_bytes(const fw_dataset *ds)
{
    int place;
    const size_t labels = fwi_chain_cutmix(ds->chain, &place) != NULL ? 2 : 1;
    const size_t per_row =
        labels * sizeof(int32_t) + sizeof(int64_t) + sizeof(uint32_t) + cell_bytes(ds);
    return sizeof(fwi_slot) + image_bytes(ds) + (size_t)ds->opt.batch * per_row +
           (size_t)ds->n_rows * sizeof(fwi_rows);
}

static size_t scratch_bytes(const fw_dataset *ds)
{
    return sizeof(fwi_worker_scratch) + fwi_chain_scratch_bytes(ds->chain) +
           (ds->fetch != NULL ? fwi_fetch_scratch_bytes(ds->fetch) : 0);
}

size_t fwi_batches_bytes(const fw_dataset *ds)
{
    if (ds->rows_only && !ds->ready)
        return 0;
    const int n_threads = ds->ready ? ds->n_threads : fwi_batches_threads(ds);
    int place;
    const fw_transform *mix = fwi_chain_cutmix(ds->chain, &place);
    return (size_t)slot_count(ds, n_threads) * slot_bytes(ds) +
           (mix != NULL ? fwi_cutmix_bytes(mix, ds->opt.batch, ds->c) : 0) +
           (size_t)n_threads * scratch_bytes(ds);
}

void fwi_batches_init(fw_dataset *ds)
{
    const int64_t fit = JOB_VALUES / ds->n_values;
    ds->rows_each = fit < 1 ? 1 : fit > MOST_ROWS ? MOST_ROWS : fit;
    ds->n_rows = (ds->opt.batch + ds->rows_each - 1) / ds->rows_each;
    pthread_mutex_init(&ds->lock, NULL);
}

/* ---- rows: what jobs do ---- */

static fwi_worker_scratch *take_scratch(fw_dataset *ds)
{
    pthread_mutex_lock(&ds->lock);
    fwi_worker_scratch *s = ds->free_scratch;
    if (s != NULL)
        ds->free_scratch = s->next;
    pthread_mutex_unlock(&ds->lock);
    return s;
}

static void give_scratch(fw_dataset *ds, fwi_worker_scratch *s)
{
    pthread_mutex_lock(&ds->lock);
    s->next = ds->free_scratch;
    ds->free_scratch = s;
    pthread_mutex_unlock(&ds->lock);
}

fw_status fwi_dataset_fail_at(const fw_dataset *ds, fw_status st, int64_t rank, int64_t record)
{
    char place[512];
    if (ds->origin == FWI_ORIGIN_RECORDS)
        return fwi_fail_in(st, "%s", fwi_fetch_place(ds->fetch, rank, place, sizeof place));
    return fwi_fail_in(st, "%s: record %lld", ds->name, (long long)record);
}

static fw_status get_pixels(fw_dataset *ds, const fwi_slot *slot, int64_t row,
                            fwi_worker_scratch *scratch, fwi_pixels *out)
{
    if (ds->origin == FWI_ORIGIN_RECORDS)
        return fwi_fetch_get(ds->fetch, &scratch->fetch, slot->ranks[row], out);
    if (ds->origin == FWI_ORIGIN_STREAM) {
        out->dtype = fwi_shuffle_dtype(ds->shuffle);
        out->data = slot->cells + (size_t)row * cell_bytes(ds);
        out->label = slot->labels[row];
        return FW_OK;
    }
    const fwi_resident *r = &ds->resident;
    const int64_t at = r->by_rank ? (int64_t)slot->ranks[row] : slot->records[row];
    const size_t bytes = (size_t)ds->n_values * fw_dtype_size(r->dtype);
    out->dtype = r->dtype;
    out->data = r->pixels + (size_t)at * bytes;
    out->label = r->labels != NULL ? r->labels[at] : -1;
    return FW_OK;
}

static fw_status make_row(fw_dataset *ds, fwi_slot *slot, int64_t row, fwi_worker_scratch *scratch)
{
    float *image = slot->images + row * ds->n_values;
    if (row >= slot->valid) {
        memset(image, 0, (size_t)ds->n_values * sizeof *image);
        slot->labels[row] = -1;
        slot->records[row] = -1;
        return FW_OK;
    }
    fwi_pixels pixels = {0};
    fw_status st = get_pixels(ds, slot, row, scratch, &pixels);
    if (st != FW_OK)
        return st; /* the message has the place */
    const fwi_draw draw = {.seed = ds->opt.seed,
                           .pass = (slot->position + row) / ds->per_pass,
                           .record = slot->records[row]};
    st = fwi_label_check(pixels.label, ds->n_classes);
    if (st == FW_OK)
        st = fwi_chain_run(ds->chain, scratch->chain, &draw, pixels.dtype, pixels.data,
                           pixels.label, image);
    if (st != FW_OK)
        return fwi_dataset_fail_at(ds, st, slot->ranks[row], draw.record);
    slot->labels[row] = pixels.label;
    return FW_OK;
}

static void make_rows(void *arg)
{
    fwi_rows *rows = arg;
    fw_dataset *ds = rows->ds;
    fwi_worker_scratch *scratch = take_scratch(ds);
    assert(scratch != NULL); /* as many as threads that can be in here */
    fw_status st = FW_OK;
    for (int64_t i = rows->first; st == FW_OK && i < rows->first + rows->n; i++) {
        if (atomic_load_explicit(&ds->stop, memory_order_relaxed))
            break;
        st = make_row(ds, rows->slot, i, scratch);
    }
    if (st != FW_OK)
        fwi_error_save(&rows->error, st);
    give_scratch(ds, scratch);
}

/* ---- feeding from a stream ---- */

static fw_status feed_rows(fwi_rows *rows)
{
    fw_dataset *ds = rows->ds;
    fwi_slot *slot = rows->slot;
    const size_t bytes = cell_bytes(ds);
    for (int64_t i = rows->first; i < rows->first + rows->n && i < slot->valid; i++) {
        const int64_t at = slot->position + i;
        if (atomic_load_explicit(&ds->stop, memory_order_relaxed))
            return FW_ESTOPPED; /* nobody wants the rest, nor a word of it */
        const fw_status st = fwi_shuffle_draw(ds->shuffle, at / ds->per_pass, at % ds->per_pass,
                                              slot->cells + (size_t)i * bytes, &slot->labels[i],
                                              &slot->records[i], &ds->stop);
        if (st != FW_OK) {
            fwi_error_save(&rows->error, st);
            return st;
        }
    }
    return FW_OK;
}

/* The rows to be fed after these, if they were asked for already (lock held). */
static fwi_rows *rows_after(fw_dataset *ds, const fwi_rows *rows)
{
    fwi_slot *slot = rows->slot;
    const int64_t at = rows - slot->rows;
    if (at + 1 < ds->n_rows)
        return &slot->rows[at + 1];
    slot->asked_for = false;
    fwi_slot *next = &ds->slots[(slot - ds->slots + 1) % ds->n_slots];
    return next->asked_for ? &next->rows[0] : NULL;
}

static void feed(void *arg)
{
    fwi_rows *rows = arg;
    fw_dataset *ds = rows->ds;
    const fw_status st = feed_rows(rows);
    fwi_rows *next = NULL;
    pthread_mutex_lock(&ds->lock);
    if (st == FW_OK)
        next = rows_after(ds, rows);
    else
        ds->feed_stopped = true;
    ds->feeding = next != NULL;
    pthread_mutex_unlock(&ds->lock);
    if (st == FW_OK)
        fwi_pool_submit(ds->pool, &rows->make);
    if (next != NULL)
        fwi_pool_submit(ds->pool, &next->feed);
}

/* ---- memory and threads ---- */

static void free_slots(fw_dataset *ds)
{
    const size_t n = (size_t)ds->opt.batch;
    for (int64_t i = 0; ds->slots != NULL && i < ds->n_slots; i++) {
        fwi_slot *s = &ds->slots[i];
        fwi_big_free(s->images, image_bytes(ds));
        fwi_big_free(s->cells, n * cell_bytes(ds));
        fwi_free(s->labels);
        fwi_free(s->labels2);
        fwi_free(s->records);
        fwi_free(s->ranks);
        fwi_free(s->rows);
    }
    fwi_free(ds->slots);
    ds->slots = NULL;
    for (int i = 0; ds->scratch != NULL && i < ds->n_threads; i++) {
        fwi_fetch_scratch_clear(&ds->scratch[i].fetch);
        fwi_big_free(ds->scratch[i].chain, fwi_chain_scratch_bytes(ds->chain));
    }
    fwi_free(ds->scratch);
    ds->scratch = NULL;
    ds->free_scratch = NULL;
    fwi_cutmix_free(ds->cutmix);
    ds->cutmix = NULL;
    ds->ready = false;
}

static fw_status make_slot(fw_dataset *ds, fwi_slot *s)
{
    const size_t n = (size_t)ds->opt.batch, cells = n * cell_bytes(ds);
    s->images = fwi_big_alloc(image_bytes(ds));
    s->labels = fwi_alloc_array(n, sizeof *s->labels);
    s->records = fwi_alloc_array(n, sizeof *s->records);
    s->ranks = fwi_alloc_array(n, sizeof *s->ranks);
    s->rows = fwi_alloc_array((size_t)ds->n_rows, sizeof *s->rows);
    if (s->images == NULL || s->labels == NULL || s->records == NULL || s->ranks == NULL ||
        s->rows == NULL)
        return FW_ENOMEM;
    if (ds->cutmix != NULL && (s->labels2 = fwi_alloc_array(n, sizeof *s->labels2)) == NULL)
        return FW_ENOMEM;
    if (cells > 0 && (s->cells = fwi_big_alloc(cells)) == NULL)
        return FW_ENOMEM;
    for (int64_t i = 0; i < ds->n_rows; i++) {
        fwi_rows *r = &s->rows[i];
        const int64_t first = i * ds->rows_each, left = ds->opt.batch - first;
        *r = (fwi_rows){
            .ds = ds, .slot = s, .first = first, .n = left < ds->rows_each ? left : ds->rows_each};
        r->make.fn = make_rows;
        r->feed.fn = feed;
        r->make.arg = r->feed.arg = r;
    }
    return FW_OK;
}

static fw_status make_scratch(fw_dataset *ds, fwi_worker_scratch *s)
{
    s->chain = fwi_big_alloc(fwi_chain_scratch_bytes(ds->chain));
    if (s->chain == NULL)
        return FW_ENOMEM;
    if (ds->fetch != NULL) {
        const fw_status st = fwi_fetch_scratch_init(ds->fetch, &s->fetch);
        if (st != FW_OK)
            return st;
    }
    give_scratch(ds, s);
    return FW_OK;
}

/* Pool, slots and scratch; once. */
static fw_status get_ready(fw_dataset *ds)
{
    if (ds->ready)
        return FW_OK;
    fw_status st = FW_OK;
    ds->n_threads = fwi_batches_threads(ds);
    if (!ds->pool_given && ds->n_threads > 1 && ds->own_pool == NULL &&
        (st = fwi_pool_new(&ds->own_pool, ds->n_threads)) != FW_OK)
        return st;
    if (!ds->pool_given)
        ds->pool = ds->own_pool;
    ds->n_slots = slot_count(ds, ds->n_threads);
    ds->slots = fwi_alloc_array((size_t)ds->n_slots, sizeof *ds->slots);
    ds->scratch = fwi_alloc_array((size_t)ds->n_threads, sizeof *ds->scratch);
    if (ds->slots == NULL || ds->scratch == NULL)
        st = FW_ENOMEM;
    int place;
    const fw_transform *mix = fwi_chain_cutmix(ds->chain, &place);
    if (st == FW_OK && mix != NULL)
        st = fwi_cutmix_new(&ds->cutmix, mix, place, ds->opt.seed, ds->opt.batch, ds->h, ds->w,
                            ds->c);
    for (int64_t i = 0; st == FW_OK && i < ds->n_slots; i++)
        st = make_slot(ds, &ds->slots[i]);
    for (int i = 0; st == FW_OK && i < ds->n_threads; i++)
        st = make_scratch(ds, &ds->scratch[i]);
    ds->head = ds->n_asked = 0;
    if (st == FW_OK)
        ds->ready = true;
    else
        free_slots(ds);
    return st;
}

/* ---- the ring ---- */

bool fwi_batches_begin_at(const fw_dataset *ds, int64_t *p)
{
    const int64_t batch = ds->opt.batch;
    if (!ds->opt.training)
        return ds->opt.drop_remainder ? *p <= ds->end - batch : *p < ds->end;
    const int64_t last = ds->end - batch;
    const int64_t left = ds->per_pass - *p % ds->per_pass; /* of its pass */
    if (ds->opt.drop_pass_end && left < batch) {
        if (*p > last - left)
            return false;
        *p += left;
    }
    return *p <= last;
}

void fwi_batches_choose(fw_dataset *ds, fwi_pool *pool, int64_t position, int64_t n,
                        uint32_t *ranks, int64_t *records)
{
    int64_t pass = -1;
    const uint32_t *order = NULL;
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = position + i, place = at % ds->per_pass;
        if (ds->order != NULL && at / ds->per_pass != pass) {
            pass = at / ds->per_pass;
            const bool last = ds->opt.passes > 0 && pass + 1 >= ds->opt.passes;
            order = fwi_order_pass(ds->order, pool, pass, !last);
        }
        ranks[i] = order != NULL ? order[place] : (uint32_t)place;
        records[i] = fwi_selection_record(&ds->selection, ranks[i]);
    }
}

/* Which records the batch at ds->ask_at has. */
static void choose_records(fw_dataset *ds, fwi_slot *slot)
{
    const int64_t batch = ds->opt.batch, left = ds->end - ds->ask_at;
    slot->position = ds->ask_at;
    slot->valid = left < batch ? left : batch;
    slot->next_position = ds->ask_at + slot->valid;
    for (int64_t i = 0; i < ds->n_rows; i++)
        slot->rows[i].error.status = FW_OK;
    if (ds->origin == FWI_ORIGIN_STREAM)
        return; /* what its feed jobs draw */
    fwi_batches_choose(ds, ds->n_threads > 1 ? ds->pool : NULL, slot->position, slot->valid,
                       slot->ranks, slot->records);
}

static void submit(fw_dataset *ds, fwi_slot *slot)
{
    if (ds->origin != FWI_ORIGIN_STREAM) {
        for (int64_t i = 0; i < ds->n_rows; i++)
            fwi_pool_submit(ds->pool, &slot->rows[i].make);
        return;
    }
    pthread_mutex_lock(&ds->lock);
    slot->asked_for = true;
    const bool start = !ds->feeding && !ds->feed_stopped;
    if (start)
        ds->feeding = true;
    pthread_mutex_unlock(&ds->lock);
    if (start)
        fwi_pool_submit(ds->pool, &slot->rows[0].feed);
}

/* One thread: the batch is made here and now, in the order that jobs would have. */
static void make_now(fw_dataset *ds, fwi_slot *slot)
{
    for (int64_t i = 0; i < ds->n_rows; i++) {
        fwi_rows *rows = &slot->rows[i];
        if (ds->origin == FWI_ORIGIN_STREAM && feed_rows(rows) != FW_OK)
            return;
        make_rows(rows);
        if (rows->error.status != FW_OK)
            return;
    }
}

static void ask_ahead(fw_dataset *ds)
{
    while (ds->n_asked < ds->n_slots && fwi_batches_begin_at(ds, &ds->ask_at)) {
        fwi_slot *slot = &ds->slots[(ds->head + ds->n_asked) % ds->n_slots];
        choose_records(ds, slot);
        ds->ask_at = slot->next_position;
        ds->n_asked++;
        ds->begun = true;
        if (ds->n_threads == 1)
            make_now(ds, slot);
        else
            submit(ds, slot);
    }
}

/* Makes what nobody has begun, and waits for all rows, whether they fail or not; NULL, or the first
 * failure in the order of rows. */
static const fwi_error *wait_for(fw_dataset *ds, fwi_slot *slot)
{
    const fwi_error *error = NULL;
    for (int64_t i = ds->n_rows - 1; i >= 0 && ds->n_threads > 1; i--)
        (void)fwi_job_help(ds->pool, &slot->rows[i].make);
    for (int64_t i = 0; i < ds->n_rows; i++) {
        fwi_rows *rows = &slot->rows[i];
        if (ds->n_threads > 1) {
            fwi_job_wait(ds->pool, &rows->feed);
            fwi_job_wait(ds->pool, &rows->make);
        }
        if (error == NULL && rows->error.status != FW_OK)
            error = &rows->error;
    }
    return error;
}

void fwi_batches_restart(fw_dataset *ds, int64_t position)
{
    fwi_error
        said; /* jobs are helped with here, and what one of them fails at is no longer of interest */
    fwi_error_save(&said, FW_OK);
    atomic_store(&ds->stop, true);
    for (; ds->n_asked > 0; ds->n_asked--) {
        fwi_slot *slot = &ds->slots[ds->head];
        wait_for(ds, slot);
        pthread_mutex_lock(&ds->lock); /* the rows of the slot before it may still be fed */
        slot->asked_for = false;
        pthread_mutex_unlock(&ds->lock);
        ds->head = (ds->head + 1) % ds->n_slots;
    }
    atomic_store(&ds->stop, false);
    (void)fwi_error_raise(&said);
    ds->feeding = ds->feed_stopped = false;
    ds->position = ds->ask_at = position;
    ds->begun = false;
}

void fwi_batches_free(fw_dataset *ds)
{
    fwi_batches_restart(ds, ds->position);
    fwi_order_settle(ds->order, ds->pool);
    free_slots(ds);
    fwi_pool_free(ds->own_pool);
    ds->own_pool = NULL;
    ds->pool = NULL;
}

fw_status fw_dataset_next(fw_dataset *ds, fw_batch *out)
{
    if (ds == NULL || out == NULL)
        return fwi_fail(FW_EARG, "fw_dataset_next: NULL argument");
    const fw_status st = get_ready(ds);
    if (st != FW_OK)
        return st;
    ask_ahead(ds);
    if (ds->n_asked == 0)
        return FW_END;
    fwi_slot *slot = &ds->slots[ds->head];
    const fwi_error *error = wait_for(ds, slot);
    if (error != NULL) {
        fwi_batches_restart(ds, ds->position);
        return fwi_error_raise(error);
    }
    ds->head = (ds->head + 1) % ds->n_slots;
    ds->n_asked--;
    ds->position = slot->next_position;
    if (ds->cutmix != NULL)
        fwi_cutmix_run(ds->cutmix, slot->position, slot->valid, slot->images, slot->labels,
                       slot->labels2);
    *out = (fw_batch){.n = ds->opt.batch,
                      .valid = slot->valid,
                      .h = ds->h,
                      .w = ds->w,
                      .c = ds->c,
                      .images = slot->images,
                      .labels = slot->labels,
                      .labels2 = ds->cutmix != NULL ? slot->labels2 : slot->labels,
                      .share2 = fwi_dataset_share2(ds),
                      .records = slot->records,
                      .position = slot->position};
    return FW_OK;
}

/* ---- the training loop's side: dataset_inner.h ---- */

static fw_status may_change_pool(const fw_dataset *ds)
{
    if (ds->begun)
        return fwi_fail(FW_ESTATE, "a data set changes its pool before its first batch, or after "
                                   "fw_dataset_seek");
    return FW_OK;
}

fw_status fwi_dataset_use_pool(fw_dataset *ds, fwi_pool *pool)
{
    const fw_status st = may_change_pool(ds);
    if (st != FW_OK || (ds->pool_given && ds->pool == pool))
        return st;
    fwi_batches_free(ds); /* the old pool may go away now */
    ds->pool = pool;
    ds->pool_given = true;
    return FW_OK;
}

fw_status fwi_dataset_use_own_pool(fw_dataset *ds)
{
    const fw_status st = may_change_pool(ds);
    if (st != FW_OK || !ds->pool_given)
        return st;
    fwi_batches_free(ds);
    ds->pool_given = false;
    return FW_OK;
}

fw_status fwi_dataset_ready(fw_dataset *ds)
{
    return get_ready(ds);
}

void fwi_dataset_expect_any_class(fw_dataset *ds)
{
    ds->n_classes = 0;
    if (ds->shuffle != NULL)
        fwi_shuffle_expect_classes(ds->shuffle, 0);
}

fw_status fwi_dataset_expect_classes(fw_dataset *ds, int64_t n_classes)
{
    if (n_classes < 1 || n_classes > INT32_MAX)
        return fwi_fail(FW_EARG, "%lld classes", (long long)n_classes);
    if (n_classes == ds->n_classes)
        return FW_OK;
    const bool begun = ds->begun;
    fwi_batches_restart(ds, ds->position);
    ds->begun = begun; /* the caller's batch is still his */
    ds->n_classes = n_classes;
    if (ds->shuffle != NULL)
        fwi_shuffle_expect_classes(ds->shuffle, n_classes);
    return FW_OK;
}
