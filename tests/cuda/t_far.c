/* t_far.c: see t_far.h. Every block lies in pages of its own, which are opened while a kernel or a
 * copy runs. A kernel's row stands for the emulated one of the same call. */
#include "t_far.h"

#include "clock.h"
#include "cuda_augment.h"
#include "cuda_guard.h"
#include "cuda_lines.h"
#include "cuda_load.h"
#include "cuda_lower.h"
#include "cuda_score.h"
#include "t_cuda.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_BLOCKS = 64, MAX_ROWS = 512, MAX_TABLES = 32 };

size_t t_far_memory = (size_t)1 << 30;
int t_far_refuses_block;

static struct {
    void *at;
    size_t bytes;
} blocks[MAX_BLOCKS];
static int n_blocks;
static size_t taken; /* bytes that were asked for */
static int64_t replays, joint_calls, batches, uploaded, copies;

/* What can be recorded: calls of a row, and what is done around a plan. */
typedef enum item_kind { CALLS, BATCH, KEEP, JUDGE, LINES, SCORE } item_kind;
typedef struct item {
    item_kind kind;
    fwi_call *calls; /* that run as one */
    int n;
    const fwi_op_table *rows; /* where their row is looked for */
    fwi_batch_job batch;
    fwi_augment how;
    fwi_guard guard;
    fwi_line_job lines;
    fwi_score_job score;
} item;
typedef struct recording {
    item *items;
    int n, cap;
} recording;
static recording *recorded; /* the one being made */

int64_t t_far_replays(void)
{
    return replays;
}

int64_t t_far_joint_calls(void)
{
    return joint_calls;
}

int64_t t_far_batches(void)
{
    return batches;
}

int64_t t_far_uploaded(void)
{
    return uploaded;
}

int64_t t_far_copies(void)
{
    return copies;
}

static void access_all(int how)
{
    for (int i = 0; i < n_blocks; i++)
        if (mprotect(blocks[i].at, blocks[i].bytes, how) != 0)
            abort();
}

void t_far_open_memory(void)
{
    access_all(PROT_READ | PROT_WRITE);
}

void t_far_close_memory(void)
{
    access_all(PROT_NONE);
}

static size_t whole_pages(size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (n / page + 1) * page;
}

static fw_status far_alloc(fwi_device *d, size_t n_bytes, void **out)
{
    if (t_far_refuses_block > 0 && --t_far_refuses_block == 0)
        return fwi_fail(FW_ENOMEM, "far: this block is refused");
    const size_t bytes = whole_pages(n_bytes);
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || n_blocks == MAX_BLOCKS)
        return fwi_fail(FW_ENOMEM, "far: no memory");
    blocks[n_blocks].at = p;
    blocks[n_blocks++].bytes = bytes;
    taken += n_bytes;
    d->allocations++;
    *out = p;
    return FW_OK;
}

static void far_release(fwi_device *d, void *p, size_t n_bytes)
{
    (void)d;
    for (int i = 0; i < n_blocks; i++)
        if (blocks[i].at == p) {
            munmap(p, whole_pages(n_bytes));
            taken -= n_bytes;
            blocks[i] = blocks[--n_blocks];
            return;
        }
    abort(); /* was never given out */
}

static fw_status far_copy(fwi_device *d, void *dst, const void *src, size_t n_bytes)
{
    (void)d;
    if (recorded != NULL)
        return fwi_fail(FW_EINTERNAL, "far: a copy while a step is recorded");
    copies++;
    access_all(PROT_READ | PROT_WRITE);
    if (n_bytes > 0)
        memcpy(dst, src, n_bytes);
    access_all(PROT_NONE);
    return FW_OK;
}

static fw_status far_upload(fwi_device *d, void *dst, const void *src, size_t n_bytes)
{
    uploaded += (int64_t)n_bytes;
    return far_copy(d, dst, src, n_bytes);
}

/* ---- kernels ---- */

const fwi_op_table *t_far_rows;
void *t_far_stream;

static const fwi_op_table *true_rows(void)
{
    return t_far_rows != NULL ? t_far_rows : fwi_cuda_emulated_table();
}

static fw_status run_now(const fwi_op_table *from, const fwi_call *c, int n)
{
    const fwi_kernel *k = fwi_table_find(from, c, NULL);
    access_all(PROT_READ | PROT_WRITE);
    const fw_status st = k == NULL ? fwi_fail(FW_EINTERNAL, "far: no kernel")
                         : n > 1   ? k->joint->run(c, n)
                                   : k->run(c);
    access_all(PROT_NONE);
    joint_calls += n > 1;
    return st;
}

/* One more of the recording that is being made. */
static item *next_item(item_kind kind)
{
    if (recorded->n == recorded->cap) {
        recorded->cap = 2 * recorded->cap + 16;
        recorded->items = realloc(recorded->items, (size_t)recorded->cap * sizeof *recorded->items);
        if (recorded->items == NULL)
            abort();
    }
    item *const it = &recorded->items[recorded->n++];
    memset(it, 0, sizeof *it);
    it->kind = kind;
    return it;
}

static fw_status run_from(const fwi_op_table *from, const fwi_call *c, int n)
{
    if (recorded == NULL)
        return run_now(from, c, n);
    item *const it = next_item(CALLS);
    it->calls = malloc((size_t)n * sizeof *c);
    if (it->calls == NULL)
        abort();
    memcpy(it->calls, c, (size_t)n * sizeof *c);
    it->rows = from;
    it->n = n;
    return FW_OK;
}

/* The emulated tables from this one on have rows that others before them take calls from (narrow.cu). */
extern const fwi_kernel fwi_rows_emulated_conv2d[];
static const fwi_op_table *for_any_shape;

/* Of rows before the emulated ones, of those, and of those for any shape: each runs what stands behind it. */
static fw_status far_run_joint(const fwi_call *c, int n)
{
    return run_from(true_rows(), c, n);
}

static fw_status far_run(const fwi_call *c)
{
    return run_from(true_rows(), c, 1);
}

static fw_status emulated_run_joint(const fwi_call *c, int n)
{
    return run_from(fwi_cuda_emulated_table(), c, n);
}

static fw_status emulated_run(const fwi_call *c)
{
    return run_from(fwi_cuda_emulated_table(), c, 1);
}

static fw_status any_shape_run(const fwi_call *c)
{
    return run_from(for_any_shape, c, 1);
}

static fwi_kernel rows[MAX_ROWS];
static fwi_joint joints[MAX_ROWS];
static fwi_op_table tables[MAX_TABLES];

/* Each table with rows of its own in place of the true ones; gives the first. */
static const fwi_op_table *copy_tables(void)
{
    int n = 0, n_tables = 0;
    bool emulated = false; /* from that table on */
    for_any_shape = NULL;
    for (const fwi_op_table *t = true_rows(); t != NULL; t = t->base) {
        emulated = emulated || t == fwi_cuda_emulated_table();
        if (t->rows == fwi_rows_emulated_conv2d)
            for_any_shape = t;
        if (n_tables == MAX_TABLES)
            abort();
        tables[n_tables] = *t;
        tables[n_tables].rows = &rows[n];
        tables[n_tables].base = t->base != NULL ? &tables[n_tables + 1] : NULL;
        n_tables++;
        const fwi_kernel *k = t->rows;
        for (; n < MAX_ROWS && k->run != NULL; k++, n++) {
            rows[n] = *k;
            rows[n].run = for_any_shape != NULL ? any_shape_run : emulated ? emulated_run : far_run;
            if (k->joint != NULL) {
                joints[n] = *k->joint;
                joints[n].run = emulated ? emulated_run_joint : far_run_joint;
                rows[n].joint = &joints[n];
            }
        }
        if (n == MAX_ROWS)
            abort();
        rows[n++].run = NULL;
    }
    return tables;
}

/* ---- what is done around a plan ---- */

static fw_status batch_now(const fwi_batch_job *job)
{
    batches++;
    t_far_open_memory();
    const fw_status st = fwi_cuda_augment(NULL, job);
    t_far_close_memory();
    return st;
}

static fw_status guard_now(item_kind kind, const fwi_guard *g)
{
    t_far_open_memory();
    const fw_status st =
        kind == KEEP ? fwi_cuda_guard_keep(NULL, g) : fwi_cuda_guard_judge(NULL, g);
    t_far_close_memory();
    return st;
}

static fw_status lines_now(const fwi_line_job *job)
{
    t_far_open_memory();
    const fw_status st = fwi_cuda_lines_move(NULL, job);
    t_far_close_memory();
    return st;
}

static fw_status score_now(const fwi_score_job *job)
{
    t_far_open_memory();
    const fw_status st = fwi_cuda_score(NULL, job);
    t_far_close_memory();
    return st;
}

static fw_status far_make_batch(fwi_device *d, const fwi_batch_job *job)
{
    (void)d;
    if (recorded == NULL)
        return batch_now(job);
    item *const it = next_item(BATCH);
    it->batch = *job;
    it->how = *job->how; /* the host's, and free again */
    return FW_OK;
}

static fw_status guard(item_kind kind, const fwi_guard *g)
{
    if (recorded == NULL)
        return guard_now(kind, g);
    next_item(kind)->guard = *g;
    return FW_OK;
}

static fw_status far_guard_keep(fwi_device *d, const fwi_guard *g)
{
    (void)d;
    return guard(KEEP, g);
}

static fw_status far_guard_judge(fwi_device *d, const fwi_guard *g)
{
    (void)d;
    return guard(JUDGE, g);
}

static fw_status far_move_lines(fwi_device *d, const fwi_line_job *job)
{
    (void)d;
    if (recorded == NULL)
        return lines_now(job);
    next_item(LINES)->lines = *job;
    return FW_OK;
}

static fw_status far_score(fwi_device *d, const fwi_score_job *job)
{
    (void)d;
    if (recorded == NULL)
        return score_now(job);
    next_item(SCORE)->score = *job;
    return FW_OK;
}

/* ---- recordings ---- */

bool t_far_refuses;

static fw_status far_record_begin(fwi_device *d)
{
    (void)d;
    if (t_far_refuses)
        return fwi_fail(FW_EUNAVAILABLE, "far: keeps no recording");
    recorded = calloc(1, sizeof *recorded);
    return recorded == NULL ? FW_ENOMEM : FW_OK;
}

static fw_status far_record_end(fwi_device *d, void **out)
{
    (void)d;
    *out = recorded;
    recorded = NULL;
    return FW_OK;
}

static fw_status item_now(item *it)
{
    switch (it->kind) {
    case CALLS:
        return run_now(it->rows, it->calls, it->n);
    case BATCH:
        it->batch.how = &it->how;
        return batch_now(&it->batch);
    case KEEP:
    case JUDGE:
        return guard_now(it->kind, &it->guard);
    case LINES:
        return lines_now(&it->lines);
    case SCORE:
        return score_now(&it->score);
    }
    return FW_EINTERNAL;
}

static fw_status far_replay(fwi_device *d, void *kept)
{
    (void)d;
    const recording *r = kept;
    fw_status st = FW_OK;
    for (int i = 0; i < r->n && st == FW_OK; i++)
        st = item_now(&r->items[i]);
    replays++;
    return st;
}

static void far_forget(fwi_device *d, void *kept)
{
    (void)d;
    recording *const r = kept;
    for (int i = 0; i < r->n; i++)
        free(r->items[i].calls);
    free(r->items);
    free(r);
}

/* ---- measuring ---- the clock is the host's: what is enqueued is done at once */

double t_far_extra_seconds;
static double marks[FWI_PROBE_MARKS];

static fw_status far_mark(fwi_device *d, int i)
{
    (void)d;
    marks[i] = fwi_now() + t_far_extra_seconds;
    return FW_OK;
}

static fw_status far_between(fwi_device *d, int from, int to, double *seconds)
{
    (void)d;
    *seconds = marks[to] - marks[from];
    return FW_OK;
}

static fw_status far_info(fwi_device *d, fwi_gpu_info *out)
{
    (void)d;
    *out = (fwi_gpu_info){.name = "far", .major = 9, .l2_bytes = 1 << 16};
    return FW_OK;
}

static fw_status far_load_plan(fwi_device *d, fwi_load *load)
{
    (void)d;
    return fwi_cuda_load_plan(NULL, load);
}

static fw_status far_load_fill(fwi_device *d, const fwi_load *load)
{
    (void)d;
    t_far_open_memory();
    const fw_status st =
        fwi_cuda_load_noise(NULL, load->memory, FW_F32, (int64_t)(load->bytes / sizeof(float)));
    t_far_close_memory();
    return st;
}

static fw_status far_load_run(fwi_device *d, const fwi_load *load)
{
    (void)d;
    t_far_open_memory();
    const fw_status st = fwi_cuda_load_run(NULL, load);
    t_far_close_memory();
    return st;
}

static const fwi_probe far_probe = {.mark = far_mark,
                                    .between = far_between,
                                    .info = far_info,
                                    .load_plan = far_load_plan,
                                    .load_fill = far_load_fill,
                                    .load_run = far_load_run};

/* ---- the device ---- */

bool t_far_one_by_one;
static fwi_backend without_tables;

static fw_status far_open(fwi_device **out, const fwi_device_opt *opt)
{
    fwi_device *d = fwi_alloc_zero(sizeof *d);
    (void)opt;
    if (d == NULL)
        return FW_ENOMEM;
    without_tables = t_far_backend;
    without_tables.move_lines = NULL;
    *d = (fwi_device){.backend = t_far_one_by_one ? &without_tables : &t_far_backend,
                      .table = copy_tables(),
                      .has_bf16 = true,
                      .has_f16 = true,
                      .stream = t_far_stream,
                      .label = "far"};
    *out = d;
    return FW_OK;
}

static void far_close(fwi_device *d)
{
    fwi_free(d);
}

static fw_status far_lower(fwi_device *d, fwi_graph *g)
{
    return fwi_cuda_lower(d->table, g);
}

static fw_status far_sync(fwi_device *d)
{
    (void)d;
    return FW_OK;
}

static fw_status far_memory(fwi_device *d, size_t *free_bytes, size_t *all_bytes)
{
    (void)d;
    *all_bytes = t_far_memory;
    *free_bytes = t_far_memory > taken ? t_far_memory - taken : 0;
    return FW_OK;
}

const fwi_backend t_far_backend = {
    .name = "far",
    .open = far_open,
    .close = far_close,
    .alloc = far_alloc,
    .release = far_release,
    .upload = far_upload,
    .download = far_copy,
    .lower = far_lower,
    .sync = far_sync,
    .memory = far_memory,
    .record_begin = far_record_begin,
    .record_end = far_record_end,
    .replay = far_replay,
    .forget = far_forget,
    .make_batch = far_make_batch,
    .guard_keep = far_guard_keep,
    .guard_judge = far_guard_judge,
    .move_lines = far_move_lines,
    .score = far_score,
    .probe = &far_probe,
};
