/* network_ahead.c: training steps ahead of the host (network.h): the tables that they go through on the
 * device (lines.h), and a step with all that belongs to it as one recording. Read before:
 * network_step.c. */
#include "network.h"

#include <string.h>

#include "fail.h"
#include "mem.h"

enum {
    LINES_AT = 64,                   /* behind the turn */
    RNG_BYTES = 2 * sizeof(int64_t), /* behind the row of a line */
    LOSS_AT = 0,
    CORRECT_AT = 8,
    COUNTS_AT = 16, /* of what a step leaves */
    COUNTS = FWI_GUARD_ALL + 1,
    LEFT_BYTES = 16 + COUNTS * sizeof(int32_t)
};
_Static_assert(FWI_GUARD_ROW == 0 && LEFT_BYTES % 8 == 0, "counts are copied from their first on");

/* ---- memory ---- */

bool fwi_network_ahead(const fwi_network *n)
{
    return n->device->backend->move_lines != NULL && n->spec.optim != NULL;
}

static size_t row_bytes(const fwi_network *n)
{
    return (size_t)fwi_optim_columns(n->spec.optim) * sizeof(double);
}

size_t fwi_tables_bytes(const fwi_network *n)
{
    return fwi_network_ahead(n)
               ? LINES_AT + FWI_LINES * (row_bytes(n) + RNG_BYTES + (size_t)LEFT_BYTES)
               : 0;
}

fw_status fwi_tables_bind(fwi_network *n)
{
    fwi_tables *const t = &n->tables;
    void *block = NULL;
    if (!fwi_network_ahead(n) || t->block != NULL)
        return FW_OK;
    const size_t line = row_bytes(n) + RNG_BYTES;
    if (t->host == NULL)
        t->host = fwi_alloc_zero(fwi_tables_bytes(n));
    if (t->host == NULL)
        return FW_ENOMEM;
    const fw_status st = n->device->backend->alloc(n->device, fwi_tables_bytes(n), &block);
    if (st == FW_OK)
        *t = (fwi_tables){.block = block,
                          .host = t->host,
                          .line_bytes = line,
                          .left_at = LINES_AT + FWI_LINES * line,
                          .bytes = fwi_tables_bytes(n)};
    return st;
}

void fwi_tables_clear(fwi_network *n)
{
    fwi_tables *const t = &n->tables;
    if (t->block != NULL)
        n->device->backend->release(n->device, t->block, t->bytes);
    fwi_free(t->host);
    *t = (fwi_tables){0};
}

/* ---- what steps find ---- */

void fwi_network_line(fwi_network *n, int32_t i, const double *row, const int64_t rng[2])
{
    uint8_t *const line = n->tables.host + LINES_AT + (size_t)i * n->tables.line_bytes;
    memcpy(line, row, row_bytes(n));
    memcpy(line + row_bytes(n), rng, RNG_BYTES);
}

fw_status fwi_network_send(fwi_network *n, int32_t count)
{
    const fwi_tables *t = &n->tables;
    memset(t->host, 0, LINES_AT);
    return n->device->backend->upload(n->device, t->block, t->host,
                                      LINES_AT + (size_t)count * t->line_bytes);
}

const int32_t *fwi_network_turn(const fwi_network *n)
{
    return (const int32_t *)(const void *)n->tables.block;
}

static void bind_staged(const fwi_network_plan *p, fwi_binding *b, int i)
{
    if (i < 0)
        return;
    b->inputs[i] = fwi_plan_staged(p->plan, b, i);
    b->resident |= (uint32_t)1 << i;
}

void fwi_network_bind_line(const fwi_network_plan *p, fwi_binding *b)
{
    bind_staged(p, b, p->in_hyper);
    bind_staged(p, b, p->in_rng);
}

/* ---- a step ---- */

typedef struct ahead_step {
    fwi_network *n;
    const fwi_network_plan *p;
    const fwi_binding *b;
    const fwi_batch_job *batch;
} ahead_step;

/* The line's numbers to where the plan reads them, the batch, and the copy to go back to. */
static fw_status before(const void *user)
{
    const ahead_step *s = user;
    fwi_device *const d = s->n->device;
    const fwi_tables *t = &s->n->tables;
    const uint8_t *const lines = t->block + LINES_AT;
    fwi_line_job take = {.turn = (int32_t *)(void *)t->block};
    if (s->p->in_hyper >= 0)
        take.part[take.n++] =
            (fwi_line_part){.from = lines,
                            .to = fwi_plan_staged(s->p->plan, s->b, s->p->in_hyper),
                            .n_bytes = row_bytes(s->n),
                            .from_stride = t->line_bytes};
    if (s->p->in_rng >= 0)
        take.part[take.n++] = (fwi_line_part){.from = lines + row_bytes(s->n),
                                              .to = fwi_plan_staged(s->p->plan, s->b, s->p->in_rng),
                                              .n_bytes = RNG_BYTES,
                                              .from_stride = t->line_bytes};
    fw_status st = take.n > 0 ? d->backend->move_lines(d, &take) : FW_OK;
    if (st == FW_OK && s->batch != NULL)
        st = d->backend->make_batch(d, s->batch);
    return st == FW_OK ? fwi_network_keep(s->n, s->p) : st;
}

static fw_status leave(const ahead_step *s, int output, int at, fwi_line_job *give)
{
    fw_dtype dtype = FW_F32;
    const void *const from = fwi_plan_output_at(s->p->plan, s->b, output);
    if (from == NULL)
        return FW_EARG;
    (void)fwi_plan_output_shape(s->p->plan, output, &dtype);
    give->part[give->n++] = (fwi_line_part){.from = from,
                                            .to = s->n->tables.block + s->n->tables.left_at + at,
                                            .n_bytes = fw_dtype_size(dtype),
                                            .to_stride = LEFT_BYTES};
    return FW_OK;
}

static fw_status behind(const void *user)
{
    const ahead_step *s = user;
    fwi_device *const d = s->n->device;
    const fwi_tables *t = &s->n->tables;
    fwi_line_job give = {.turn = (int32_t *)(void *)t->block, .last = true};
    fw_status st = fwi_network_judge(s->n, s->p);
    if (st == FW_OK)
        st = leave(s, s->p->out_loss, LOSS_AT, &give);
    if (st == FW_OK)
        st = leave(s, s->p->out_correct, CORRECT_AT, &give);
    if (st == FW_OK && s->n->guard.counts != NULL)
        give.part[give.n++] = (fwi_line_part){.from = s->n->guard.counts,
                                              .to = t->block + t->left_at + COUNTS_AT,
                                              .n_bytes = COUNTS * sizeof(int32_t),
                                              .to_stride = LEFT_BYTES};
    return st == FW_OK ? d->backend->move_lines(d, &give) : st;
}

bool fwi_recorded_same_batch(const fwi_recorded_ahead *r, const fwi_batch_job *job)
{
    if (job == NULL || r->batch.n == 0)
        return job == NULL && r->batch.n == 0;
    return r->batch.images == job->images && r->batch.labels == job->labels &&
           r->batch.rows == job->rows && r->batch.turn == job->turn && r->batch.n == job->n &&
           r->batch.out == job->out && r->batch.out_labels == job->out_labels &&
           fwi_augment_same(&r->how, job->how);
}

void fwi_recorded_keep_batch(fwi_recorded_ahead *r, const fwi_batch_job *job)
{
    if (job == NULL)
        return;
    r->batch = *job;
    r->how = *job->how;
}

fw_status fwi_network_step_ahead(fwi_network *n, fwi_network_plan *p, const fwi_binding *b,
                                 const fwi_batch_job *batch)
{
    fwi_recorded_ahead *const r = &p->ahead;
    if (r->recorded != NULL && fwi_recorded_same_batch(r, batch) &&
        fwi_recording_fits(r->recorded, b))
        return fwi_recording_run(r->recorded, b);
    fwi_recording_free(r->recorded);
    *r = (fwi_recorded_ahead){0};
    const ahead_step s = {.n = n, .p = p, .b = b, .batch = batch};
    fw_status st = before(&s);
    if (st == FW_OK)
        st = fwi_plan_run(p->plan, b);
    if (st == FW_OK)
        st = behind(&s);
    if (st != FW_OK)
        return st;
    fwi_network_record(p, b, &(fwi_around){before, behind, &s}, &r->recorded);
    fwi_recorded_keep_batch(r, batch);
    return FW_OK;
}

/* ---- what they left ---- */

static double number(const uint8_t *at, fw_dtype dtype)
{
    double x = 0;
    float narrow = 0;
    if (dtype == FW_F64) {
        memcpy(&x, at, sizeof x);
        return x;
    }
    memcpy(&narrow, at, sizeof narrow);
    return (double)narrow;
}

fw_status fwi_network_outcomes(fwi_network *n, int32_t count, fwi_outcome *out)
{
    const fwi_tables *t = &n->tables;
    const fw_dtype dtype = n->spec.real == FW_F64 ? FW_F64 : FW_F32; /* of losses and counts */
    const fw_status st = n->device->backend->download(
        n->device, t->host + t->left_at, t->block + t->left_at, (size_t)count * LEFT_BYTES);
    for (int32_t i = 0; i < count && st == FW_OK; i++) {
        const uint8_t *const left = t->host + t->left_at + (size_t)i * LEFT_BYTES;
        int32_t counts[COUNTS];
        memcpy(counts, left + COUNTS_AT, sizeof counts);
        out[i] = (fwi_outcome){.loss = number(left + LOSS_AT, dtype),
                               .correct = number(left + CORRECT_AT, dtype),
                               .undone_row = counts[FWI_GUARD_ROW],
                               .undone = counts[FWI_GUARD_ALL]};
    }
    return st;
}
