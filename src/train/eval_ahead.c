/* eval_ahead.c: see eval_ahead.h. What evaluation needs of the device is part of the block in which the
 * images lie: the turn, the sums over views of the batch that is on its way, and the table. */
#include "eval_ahead.h"

#include <inttypes.h>
#include <string.h>

#include "dataset_inner.h"
#include "fail.h"
#include "mem.h"

enum {
    TURN_BYTES = 64,
    SUMS_BYTES = 16, /* of a line of sums: loss, and hits 8 bytes further on */
    CORRECT_AT = 8,
    PROBABILITY_BYTES = 4 << 20 /* for all lines, where several fit */
};

/* ---- the block's part ---- */

/* Where it lies behind the beginning of that part. */
typedef struct layout {
    size_t sum_at, left_at, left_bytes, bytes;
} layout;

static size_t row_bytes(fwi_left left, int64_t n_classes)
{
    return left == FWI_LEFT_VERDICTS ? sizeof(fwi_verdict) : (size_t)n_classes * sizeof(float);
}

static size_t line_bytes(fwi_left left, int64_t batch, int64_t n_classes)
{
    return left == FWI_LEFT_SUMS ? SUMS_BYTES : (size_t)batch * row_bytes(left, n_classes);
}

static layout lay_out(int64_t batch, int64_t n_classes, int32_t lines)
{
    const size_t verdicts = (size_t)lines * line_bytes(FWI_LEFT_VERDICTS, batch, n_classes);
    const size_t one = line_bytes(FWI_LEFT_PROBABILITIES, batch, n_classes);
    size_t probabilities = (size_t)lines * one;
    if (probabilities > PROBABILITY_BYTES)
        probabilities = one > PROBABILITY_BYTES ? one : PROBABILITY_BYTES;
    layout l = {.sum_at = TURN_BYTES};
    l.left_at = l.sum_at + ((size_t)(batch * n_classes) * sizeof(double) + 63) / 64 * 64;
    l.left_bytes = verdicts > probabilities ? verdicts : probabilities;
    l.bytes = l.left_at + l.left_bytes;
    return l;
}
_Static_assert(sizeof(fwi_verdict) >= SUMS_BYTES && sizeof(fwi_verdict) % sizeof(double) == 0,
               "a table of verdicts has room for sums");

static bool device_can(const fwi_device *d)
{
    const fwi_backend *b = d->backend;
    return b->make_batch != NULL && b->move_lines != NULL && b->score != NULL;
}

void fwi_eval_want(const fwi_device *d, int64_t records, int64_t batch, int64_t n_classes,
                   fwi_device_data_want *out)
{
    const int64_t batches = (records + batch - 1) / batch;
    out->batch = batch;
    out->lines = 1;
    if (!device_can(d))
        return;
    if (batches > 1)
        out->lines = batches < FWI_LINES ? (int32_t)batches : FWI_LINES;
    out->beside = lay_out(batch, n_classes, out->lines).bytes;
}

bool fwi_eval_can(const fwi_device_data *kept)
{
    return kept->loaded && kept->beside > 0;
}

/* What a pass needs to know of it. */
typedef struct places {
    int32_t *turn;
    double *sum;
    uint8_t *left;
    int32_t lines; /* of what is left, that fit */
} places;

static places places_of(const fwi_eval_pass *pass)
{
    const fwi_device_data *k = pass->kept;
    const layout l = lay_out(k->batch, pass->network->n_classes, k->lines);
    const size_t fit = l.left_bytes / line_bytes(pass->left, k->batch, pass->network->n_classes);
    uint8_t *const at = fwi_device_data_beside(k);
    return (places){.turn = (int32_t *)(void *)at,
                    .sum = (double *)(void *)(at + l.sum_at),
                    .left = at + l.left_at,
                    .lines = fit < (size_t)k->lines ? (int32_t)fit : k->lines};
}

/* ---- a view of a batch ---- */

typedef struct looking {
    const fwi_eval_pass *pass;
    const fwi_binding *b;
    const fwi_batch_job *batch;
    const fwi_look *want; /* but for what was recorded */
} looking;

static fw_status before(const void *user)
{
    const looking *x = user;
    fwi_device *const d = x->pass->network->device;
    return d->backend->make_batch(d, x->batch);
}

/* A copy of output i to the line whose turn it is. */
static fw_status copy_out(const looking *x, int i, size_t n_bytes, size_t at, size_t stride,
                          fwi_line_job *job)
{
    const void *const from = fwi_plan_output_at(x->pass->plan->plan, x->b, i);
    if (from == NULL)
        return FW_EARG;
    job->part[job->n++] = (fwi_line_part){.from = from,
                                          .to = (uint8_t *)x->want->score.left + at,
                                          .n_bytes = n_bytes,
                                          .to_stride = stride};
    return FW_OK;
}

static int32_t *turn_of(const looking *x)
{
    return (int32_t *)(uintptr_t)x->want->score.turn;
}

static fw_status leave_sums(const looking *x)
{
    fwi_device *const d = x->pass->network->device;
    const fwi_network_plan *p = x->pass->plan;
    fwi_line_job job = {.turn = turn_of(x), .last = true};
    fw_status st = copy_out(x, p->out_loss, sizeof(float), 0, SUMS_BYTES, &job);
    if (st == FW_OK)
        st = copy_out(x, p->out_correct, sizeof(float), CORRECT_AT, SUMS_BYTES, &job);
    return st == FW_OK ? d->backend->move_lines(d, &job) : st;
}

static fw_status leave_rows(const looking *x)
{
    fwi_device *const d = x->pass->network->device;
    const fwi_network_plan *p = x->pass->plan;
    fwi_score_job score = x->want->score;
    fwi_line_job copy = {.turn = turn_of(x)};
    fw_status st = FW_OK;
    if (x->want->left == FWI_LEFT_VERDICTS) {
        score.logits = fwi_plan_output_at(p->plan, x->b, p->out_logits);
        score.labels = x->batch->out_labels;
        return score.logits == NULL ? FW_EARG : d->backend->score(d, &score);
    }
    const size_t line = line_bytes(FWI_LEFT_PROBABILITIES, score.n, score.k);
    st = copy_out(x, p->out_probs, line, 0, line, &copy);
    return st == FW_OK ? d->backend->move_lines(d, &copy) : st;
}

static fw_status behind(const void *user)
{
    const looking *x = user;
    fwi_device *const d = x->pass->network->device;
    if (x->want->left == FWI_LEFT_SUMS)
        return leave_sums(x);
    const fw_status st = leave_rows(x);
    return st == FW_OK && x->want->score.last
               ? d->backend->move_lines(d, &(fwi_line_job){.turn = turn_of(x), .last = true})
               : st;
}

static bool same_score(const fwi_score_job *a, const fwi_score_job *b)
{
    return a->weight == b->weight && a->smoothing == b->smoothing && a->first == b->first &&
           a->last == b->last && a->n == b->n && a->k == b->k && a->sum == b->sum &&
           a->left == b->left && a->turn == b->turn;
}

static fwi_look *find(fwi_eval_ahead *a, const fwi_look *want, const fwi_batch_job *batch,
                      const fwi_binding *b)
{
    for (int i = 0; i < FWI_MAX_LOOKS; i++) {
        fwi_look *const l = &a->look[i];
        if (l->recorded.recorded != NULL && l->plan == want->plan && l->left == want->left &&
            same_score(&l->score, &want->score) && fwi_recorded_same_batch(&l->recorded, batch) &&
            fwi_recording_fits(l->recorded.recorded, b))
            return l;
    }
    return NULL;
}

static void look_clear(fwi_look *l)
{
    fwi_recording_free(l->recorded.recorded);
    *l = (fwi_look){0};
}

/* Enqueues one: as it was recorded, or kernel by kernel, and then records it. */
static fw_status look(fwi_eval_ahead *a, const fwi_eval_pass *pass, const places *at,
                      const fwi_view *v, bool first, bool last)
{
    const fwi_network_plan *const p = pass->plan;
    fwi_augment how = pass->kept->how;
    fwi_batch_job batch;
    fwi_binding b = fwi_network_binding(p, pass->network->scratch, NULL, NULL, NULL, NULL);
    fwi_augment_view(&how, v->shift, v->mirrored);
    fw_status st = fwi_device_data_job(pass->kept, p, &how, at->turn, &b, &batch);
    if (st != FW_OK)
        return st;
    const fwi_look want = {.plan = p,
                           .left = pass->left,
                           .score = {.weight = v->weight,
                                     .smoothing = pass->smoothing,
                                     .first = first,
                                     .last = last,
                                     .n = pass->kept->batch,
                                     .k = pass->network->n_classes,
                                     .sum = at->sum,
                                     .left = (fwi_verdict *)(void *)at->left,
                                     .turn = at->turn}};
    fwi_look *l = find(a, &want, &batch, &b);
    if (l != NULL)
        return fwi_recording_run(l->recorded.recorded, &b);
    const looking x = {.pass = pass, .b = &b, .batch = &batch, .want = &want};
    if ((st = before(&x)) == FW_OK)
        st = fwi_plan_run(p->plan, &b);
    if (st == FW_OK)
        st = behind(&x);
    if (st != FW_OK)
        return st;
    l = &a->look[a->oldest];
    a->oldest = (a->oldest + 1) % FWI_MAX_LOOKS;
    look_clear(l);
    *l = want;
    fwi_network_record(pass->plan, &b, &(fwi_around){before, behind, &x}, &l->recorded.recorded);
    fwi_recorded_keep_batch(&l->recorded, &batch);
    return FW_OK;
}

/* ---- a window ---- */

/* The rows of lines 0 to n - 1: everything that is to be done with them is on its way when it returns. */
static fw_status enqueue(fwi_eval_ahead *a, const fwi_eval_pass *pass, int32_t n)
{
    static const uint8_t none[TURN_BYTES];
    static const fwi_view itself = {1, 0, false};
    fwi_device *const d = pass->network->device;
    const places at = places_of(pass);
    const bool many = pass->left == FWI_LEFT_VERDICTS;
    const fwi_view *const views = many ? pass->views : &itself;
    const int n_views = many ? pass->n_views : 1;
    fw_status st = fwi_device_data_send(pass->kept, n);
    if (st == FW_OK)
        st = d->backend->upload(d, at.turn, none, sizeof none);
    for (int32_t i = 0; i < n; i++)
        for (int v = 0; v < n_views && st == FW_OK; v++)
            st = look(a, pass, &at, &views[v], v == 0, v == n_views - 1);
    return st;
}

/* The next row of ds as three numbers (augment.h). FW_END: there is none. */
static fw_status next_row(fwi_eval_ahead *a, int64_t out[3])
{
    const int64_t n = fwi_dataset_batch(a->pass.ds);
    for (;;) {
        if (a->at == a->in_numbers) {
            a->at = 0;
            const fw_status st = fwi_dataset_next_rows(a->pass.ds, a->numbers, &a->in_numbers);
            if (st != FW_OK) {
                a->in_numbers = 0;
                return st;
            }
        }
        const int64_t at = a->at++, row = a->row++;
        if (a->pass.chosen != NULL && a->pass.chosen[row] == 0)
            continue;
        for (int i = 0; i < 3; i++)
            out[i] = a->numbers[i * n + at];
        return FW_OK;
    }
}

static void put_row(const fwi_device_data *k, int64_t *line, int64_t at, const int64_t row[3])
{
    for (int i = 0; i < 3; i++)
        line[i * k->batch + at] = row[i];
    line[3 * k->batch] = (int64_t)k->seed;
}

static const int64_t no_row[3] = {-1, -1, 0};

/* The lines of a->n_rows rows, the last one filled up; one line at least. */
static fw_status run_rows(fwi_eval_ahead *a)
{
    const fwi_device_data *k = a->pass.kept;
    a->n_lines = a->n_rows == 0 ? 1 : (int32_t)((a->n_rows + k->batch - 1) / k->batch);
    for (int64_t i = a->n_rows; i < a->n_lines * k->batch; i++)
        put_row(k, fwi_device_data_rows(k, a->n_lines - 1), i % k->batch, no_row);
    return enqueue(a, &a->pass, a->n_lines);
}

/* Memory of our own, which grows once; probabilities go to the caller's. */
static fw_status prepare(fwi_eval_ahead *a, const fwi_eval_pass *pass)
{
    const size_t numbers = pass->ds == NULL ? 0 : 3 * (size_t)fwi_dataset_batch(pass->ds);
    const size_t left =
        pass->left == FWI_LEFT_PROBABILITIES
            ? 0
            : (size_t)places_of(pass).lines *
                  line_bytes(pass->left, pass->kept->batch, pass->network->n_classes);
    if (a->numbers_for < numbers) {
        fwi_free(a->numbers);
        a->numbers_for = 0;
        if ((a->numbers = fwi_alloc_array(numbers, sizeof *a->numbers)) == NULL)
            return FW_ENOMEM;
        a->numbers_for = numbers;
    }
    if (a->host_bytes < left) {
        fwi_free(a->host);
        a->host_bytes = 0;
        if ((a->host = fwi_alloc(left)) == NULL)
            return FW_ENOMEM;
        a->host_bytes = left;
    }
    a->pass = *pass;
    return FW_OK;
}

fw_status fwi_eval_begin(fwi_eval_ahead *a, const fwi_eval_pass *pass)
{
    const fw_status st = prepare(a, pass);
    a->in_numbers = a->at = a->row = 0;
    return st == FW_OK ? fw_dataset_seek(pass->ds, 0) : st;
}

fw_status fwi_eval_window(fwi_eval_ahead *a)
{
    const fwi_device_data *k = a->pass.kept;
    const int64_t most = fwi_eval_most(&a->pass);
    int64_t row[3];
    fw_status st = fwi_stop_check(
        a->pass.stop, a->pass.left == FWI_LEFT_PROBABILITIES ? "predicting" : "evaluating");
    if (st != FW_OK)
        return st;
    for (a->n_rows = 0; a->n_rows < most && (st = next_row(a, row)) == FW_OK; a->n_rows++)
        put_row(k, fwi_device_data_rows(k, a->n_rows / k->batch), a->n_rows % k->batch, row);
    if (st != FW_OK && (st != FW_END || a->n_rows == 0))
        return st;
    return run_rows(a);
}

int64_t fwi_eval_most(const fwi_eval_pass *pass)
{
    return (int64_t)places_of(pass).lines * pass->kept->batch;
}

fw_status fwi_eval_kept(fwi_eval_ahead *a, const fwi_eval_pass *pass, int64_t n)
{
    const fwi_device_data *k = pass->kept;
    const fw_status st = prepare(a, pass);
    if (st != FW_OK)
        return st;
    a->n_rows = n;
    for (int64_t i = 0; i < n; i++)
        put_row(k, fwi_device_data_rows(k, i / k->batch), i % k->batch, (const int64_t[]){i, i, 0});
    return run_rows(a);
}

/* ---- what it left ---- */

static fw_status download(fwi_eval_ahead *a, void *out, size_t n_bytes)
{
    fwi_device *const d = a->pass.network->device;
    return d->backend->download(d, out, places_of(&a->pass).left, n_bytes);
}

fw_status fwi_eval_read_sums(fwi_eval_ahead *a, double *loss, double *correct)
{
    const fw_status st = download(a, a->host, (size_t)a->n_lines * SUMS_BYTES);
    for (int32_t i = 0; i < a->n_lines && st == FW_OK; i++) {
        float both[2];
        memcpy(&both[0], a->host + i * SUMS_BYTES, sizeof both[0]);
        memcpy(&both[1], a->host + i * SUMS_BYTES + CORRECT_AT, sizeof both[1]);
        *loss += (double)both[0];
        *correct += (double)both[1];
    }
    return st;
}

fw_status fwi_eval_read_verdicts(fwi_eval_ahead *a, const fwi_verdict **out)
{
    const fw_status st = download(a, a->host, (size_t)a->n_rows * sizeof(fwi_verdict));
    *out = (const fwi_verdict *)(const void *)a->host;
    return st;
}

fw_status fwi_eval_read_probabilities(fwi_eval_ahead *a, float *out)
{
    return download(
        a, out, (size_t)a->n_rows * row_bytes(FWI_LEFT_PROBABILITIES, a->pass.network->n_classes));
}

fw_status fwi_eval_views(fwi_eval_ahead *a, const fwi_eval_pass *pass, int64_t *confusion,
                         fwi_tally *tally)
{
    const fwi_verdict *v = NULL;
    fw_status st = fwi_eval_begin(a, pass);
    while (st == FW_OK && (st = fwi_eval_window(a)) == FW_OK) {
        st = fwi_eval_read_verdicts(a, &v);
        for (int64_t i = 0; i < a->n_rows && st == FW_OK; i++)
            st = fwi_tally_add(tally, &v[i], fwi_eval_label(a, i), fwi_eval_record(a, i),
                               pass->network->n_classes, confusion);
        tally->forwards += a->n_rows * pass->n_views;
    }
    return st == FW_END ? FW_OK : st;
}

void fwi_eval_ahead_clear(fwi_eval_ahead *a)
{
    for (int i = 0; i < FWI_MAX_LOOKS; i++)
        look_clear(&a->look[i]);
    fwi_free(a->host);
    fwi_free(a->numbers);
    *a = (fwi_eval_ahead){0};
}
