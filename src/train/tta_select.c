/* tta_select.c: see tta_select.h. Rows are gathered into batches of the plan's size, in both passes,
 * so that few chosen records make few batches. */
#include "tta_select.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "fail.h"
#include "mem.h"
#include "sort.h"

int64_t fwi_selective_bytes(int64_t records, int64_t batch, int64_t h, int64_t w, int64_t c,
                            int64_t n_classes)
{
    const int64_t each = 2 * n_classes * (int64_t)sizeof(double) + (int64_t)sizeof(fwi_candidate) +
                         (int64_t)(sizeof(int32_t) + sizeof(int64_t) + sizeof(uint8_t)) +
                         (int64_t)sizeof(fwi_verdict);
    return records * each +
           batch *
               (h * w * c * (int64_t)sizeof(float) + (int64_t)(sizeof(int32_t) + sizeof(int64_t))) +
           fwi_batch_row_numbers(batch) * (int64_t)sizeof(int64_t);
}

void fwi_selective_clear(fwi_selective *s)
{
    fwi_free(s->plain);
    fwi_free(s->sum);
    fwi_free(s->candidates);
    fwi_free(s->labels);
    fwi_free(s->records);
    fwi_free(s->chosen);
    fwi_free(s->verdicts);
    fwi_free(s->images);
    fwi_free(s->masked);
    fwi_free(s->rows);
    fwi_free(s->shown);
    *s = (fwi_selective){0};
}

fw_status fwi_selective_prepare(fwi_selective *s, int64_t records, int64_t batch, int64_t h,
                                int64_t w, int64_t c, int64_t n_classes)
{
    if (s->images != NULL && s->cap == records && s->batch == batch && s->h == h && s->w == w &&
        s->c == c && s->n_classes == n_classes)
        return FW_OK;
    fwi_selective_clear(s);
    const size_t n = (size_t)records, b = (size_t)batch, k = (size_t)n_classes;
    *s = (fwi_selective){
        .cap = records, .batch = batch, .h = h, .w = w, .c = c, .n_classes = n_classes};
    s->plain = fwi_alloc_array(n, k * sizeof *s->plain);
    s->sum = fwi_alloc_array(n, k * sizeof *s->sum);
    s->candidates = fwi_alloc_array(n, sizeof *s->candidates);
    s->labels = fwi_alloc_array(n, sizeof *s->labels);
    s->records = fwi_alloc_array(n, sizeof *s->records);
    s->chosen = fwi_alloc_array(n, sizeof *s->chosen);
    s->verdicts = fwi_alloc_array(n, sizeof *s->verdicts);
    s->images = fwi_alloc_array(b, (size_t)(h * w * c) * sizeof *s->images);
    s->masked = fwi_alloc_array(b, sizeof *s->masked);
    s->rows = fwi_alloc_array(b, sizeof *s->rows);
    s->shown = fwi_alloc_array((size_t)fwi_batch_row_numbers(batch), sizeof *s->shown);
    if (s->plain == NULL || s->sum == NULL || s->candidates == NULL || s->labels == NULL ||
        s->records == NULL || s->chosen == NULL || s->verdicts == NULL || s->images == NULL ||
        s->masked == NULL || s->rows == NULL || s->shown == NULL) {
        fwi_selective_clear(s);
        return FW_ENOMEM;
    }
    for (int64_t i = 0; i < batch; i++) {
        s->masked[i] = -1;
        s->shown[i] = -1;
    }
    memset(s->images, 0, b * (size_t)(h * w * c) * sizeof *s->images); /* rows nobody fills */
    return FW_OK;
}

/* ---- the choice ---- */

/* 1 / sum of exp(x - max) is the largest probability. */
static double confidence_of(const double *x, int64_t k)
{
    double max = x[0], sum = 0;
    for (int64_t i = 1; i < k; i++)
        max = x[i] > max ? x[i] : max;
    for (int64_t i = 0; i < k; i++)
        sum += exp(x[i] - max);
    return isnan(sum) ? -1 : 1 / sum;
}

static int least_certain_first(const void *a, const void *b)
{
    const fwi_candidate *x = a, *y = b;
    if (x->confidence != y->confidence)
        return x->confidence < y->confidence ? -1 : 1;
    return x->record < y->record ? -1 : x->record > y->record;
}

int64_t fwi_selective_choose(fwi_selective *s)
{
    const int64_t n = fwi_selective_share(s->n);
    for (int64_t i = 0; i < s->n; i++)
        if (isnan(s->candidates[i].confidence))
            s->candidates[i].confidence = -1;
    fwi_sort(s->candidates, (size_t)s->n, sizeof *s->candidates, least_certain_first);
    memset(s->chosen, 0, (size_t)s->n);
    for (int64_t i = 0; i < n; i++)
        s->chosen[s->candidates[i].row] = 1;
    return n;
}

/* ---- the passes ---- */

typedef struct passing {
    fwi_selective *s;
    fwi_tta *t;
    const fwi_network_plan *p;
    fwi_pool *pool;
    void *scratch;
    fwi_device_data *kept;             /* NULL: nothing */
    bool second;                       /* all views of the chosen rows, not one of all */
    int64_t held;                      /* rows gathered */
    const volatile sig_atomic_t *stop; /* the caller's flag; NULL: none */
} passing;

static bool keeps(const passing *g)
{
    return g->kept != NULL && g->kept->loaded;
}

/* The gathered rows through the network. */
static fw_status flush(passing *g)
{
    fwi_selective *s = g->s;
    const int64_t k = s->n_classes;
    if (g->held == 0)
        return FW_OK;
    const fwi_shown x = {.images = keeps(g) ? NULL : s->images,
                         .labels = s->masked,
                         .kept = g->kept,
                         .rows = s->shown};
    const fw_status st =
        (g->second ? fwi_tta_run : fwi_tta_run_plain)(g->t, g->p, g->pool, g->scratch, &x);
    for (int64_t i = 0; i < g->held && st == FW_OK; i++) {
        const int64_t row = s->rows[i];
        memcpy(s->sum + row * k, g->t->sum + i * k, (size_t)k * sizeof *s->sum);
        if (g->second)
            continue;
        memcpy(s->plain + row * k, g->t->sum + i * k, (size_t)k * sizeof *s->plain);
        s->candidates[row] = (fwi_candidate){.confidence = confidence_of(s->plain + row * k, k),
                                             .record = s->records[row],
                                             .row = row};
    }
    g->held = 0;
    return st;
}

/* Row i of a batch, which is `row` of the data set. */
static fw_status gather(passing *g, int64_t row, const fw_batch *b, int64_t i)
{
    fwi_selective *s = g->s;
    const int64_t values = s->h * s->w * s->c;
    if (keeps(g)) {
        for (int k = 0; k < 3; k++)
            s->shown[k * s->batch + g->held] = g->kept->rows[k * b->n + i];
        s->shown[3 * s->batch] = g->kept->rows[3 * b->n];
    } else {
        memcpy(s->images + g->held * values, b->images + i * values,
               (size_t)values * sizeof *b->images);
    }
    s->rows[g->held++] = row;
    return g->held == s->batch ? flush(g) : FW_OK;
}

static fw_status next(passing *g, fw_dataset *ds, fw_batch *b)
{
    const fw_status st = fwi_stop_check(g->stop, "evaluating");
    if (st != FW_OK)
        return st;
    return keeps(g) ? fwi_device_data_next(g->kept, ds, b) : fw_dataset_next(ds, b);
}

static fw_status one_pass(passing *g, fw_dataset *ds)
{
    fwi_selective *s = g->s;
    int64_t row = 0;
    fw_batch b;
    fw_status st = fw_dataset_seek(ds, 0);
    while (st == FW_OK && (st = next(g, ds, &b)) == FW_OK)
        for (int64_t i = 0; i < b.valid && st == FW_OK; i++, row++) {
            if (row == s->cap)
                return fwi_fail(FW_EINTERNAL, "the data set has more records than it said");
            if (!g->second) {
                s->labels[row] = b.labels[i];
                s->records[row] = b.records[i];
            }
            if (!g->second || s->chosen[row] != 0)
                st = gather(g, row, &b, i);
        }
    if (!g->second)
        s->n = row;
    return st == FW_END ? flush(g) : st;
}

fw_status fwi_selective_run(fwi_selective *s, fwi_tta *t, const fwi_network_plan *p, fwi_pool *pool,
                            void *scratch, fw_dataset *ds, fwi_device_data *kept, double smoothing,
                            const volatile sig_atomic_t *stop, int64_t *confusion, fwi_tally *tally)
{
    passing g = {
        .s = s, .t = t, .p = p, .pool = pool, .scratch = scratch, .kept = kept, .stop = stop};
    int views = 0;
    (void)fwi_tta_views(t->kind, &views);
    fw_status st = one_pass(&g, ds);
    if (st != FW_OK)
        return st;
    const int64_t n_chosen = fwi_selective_choose(s);
    g.second = true;
    if (n_chosen > 0 && (st = one_pass(&g, ds)) != FW_OK)
        return st;
    const fwi_tta all = {
        .kind = FW_TTA_NONE, .n_classes = s->n_classes, .plain = s->plain, .sum = s->sum};
    st = fwi_tta_count(&all, s->labels, s->records, s->n, smoothing, confusion, tally);
    tally->forwards += n_chosen * views;
    return st;
}

/* ---- on a device ---- */

/* All rows by themselves, and what is known of them. */
static fw_status first_pass(fwi_selective *s, fwi_eval_ahead *a, const fwi_eval_pass *pass)
{
    const fwi_verdict *v = NULL;
    s->n = 0;
    fw_status st = fwi_eval_begin(a, pass);
    while (st == FW_OK && (st = fwi_eval_window(a)) == FW_OK) {
        if (s->n + a->n_rows > s->cap)
            return fwi_fail(FW_EINTERNAL, "the data set has more records than it said");
        st = fwi_eval_read_verdicts(a, &v);
        for (int64_t i = 0; i < a->n_rows && st == FW_OK; i++, s->n++) {
            s->labels[s->n] = fwi_eval_label(a, i);
            s->records[s->n] = fwi_eval_record(a, i);
            s->verdicts[s->n] = v[i];
            s->candidates[s->n] = (fwi_candidate){
                .confidence = v[i].confidence, .record = s->records[s->n], .row = s->n};
        }
    }
    return st == FW_END ? FW_OK : st;
}

/* The chosen ones over all views; by themselves they are what they were. */
static fw_status second_pass(fwi_selective *s, fwi_eval_ahead *a, const fwi_eval_pass *pass)
{
    const fwi_verdict *v = NULL;
    int64_t row = -1;
    fw_status st = fwi_eval_begin(a, pass);
    while (st == FW_OK && (st = fwi_eval_window(a)) == FW_OK) {
        st = fwi_eval_read_verdicts(a, &v);
        for (int64_t i = 0; i < a->n_rows && st == FW_OK; i++) {
            do
                row++;
            while (s->chosen[row] == 0);
            s->verdicts[row].loss = v[i].loss;
            s->verdicts[row].best = v[i].best;
        }
    }
    return st == FW_END ? FW_OK : st;
}

fw_status fwi_selective_ahead(fwi_selective *s, fwi_eval_ahead *a, const fwi_eval_pass *pass,
                              int64_t *confusion, fwi_tally *tally)
{
    fwi_eval_pass plain = *pass, all = *pass;
    plain.views = fwi_tta_views(FW_TTA_NONE, &plain.n_views);
    all.views = fwi_tta_views(FW_TTA_SELECTIVE, &all.n_views);
    all.chosen = s->chosen;
    fw_status st = first_pass(s, a, &plain);
    if (st != FW_OK)
        return st;
    const int64_t n_chosen = fwi_selective_choose(s);
    if (n_chosen > 0)
        st = second_pass(s, a, &all);
    for (int64_t i = 0; i < s->n && st == FW_OK; i++)
        st = fwi_tally_add(tally, &s->verdicts[i], s->labels[i], s->records[i], s->n_classes,
                           confusion);
    tally->forwards += s->n + n_chosen * all.n_views;
    return st;
}
