/* average.c: averages of the weights over the steps of a run: which steps average, by which decay,
 * and the ops that do it.
 *
 * All four published kinds are one rule: after every n-th step, avg = d avg + (1-d) w over all that
 * changes while a net trains, running statistics included. Page's EMA is evaluated in place of the
 * weights; Lookahead puts the average back into them. A step that does not average finds a 0 in its
 * column, and its ops return at once. Read before: update.c. */
#include "number.h"
#include "optim_inner.h"

#include <math.h>

enum { COL_ON, COL_DECAY };

static bool is_count(int64_t n)
{
    return n >= 0 && n <= (int64_t)1 << 60;
}

/* After `done` steps, by the rule of every n-th step alone. */
static bool is_due(const fw_average *a, int64_t done)
{
    const int64_t every = a->every > 0 ? a->every : 1;
    if (a->epoch_steps > 0)
        return (done - 1) % a->epoch_steps % every == 0;
    return done % every == 0;
}

/* n, or the next multiple of `every` above it. */
static int64_t round_up(int64_t n, int64_t every)
{
    return n + (every - n % every) % every;
}

int64_t fwi_average_first(const fw_average *a)
{
    const int64_t from = a->start > 1 ? a->start : 1, every = a->every > 0 ? a->every : 1;
    if (a->epoch_steps == 0)
        return round_up(from, every);
    const int64_t place = (from - 1) % a->epoch_steps, due = round_up(place, every);
    return from - place + (due < a->epoch_steps ? due : a->epoch_steps);
}

static const char *find_mistake(const fw_average *a)
{
    if ((unsigned)a->kind > FW_AVERAGE_LOOKAHEAD)
        return "there is no such kind";
    if (a->kind == FW_AVERAGE_NONE)
        return NULL;
    if (!(a->decay >= 0 && a->decay <= 1))
        return "decay is not in 0 to 1";
    if (!(a->power >= 0 && isfinite(a->power)))
        return "power is negative or not finite";
    if (!is_count(a->every) || !is_count(a->start) || !is_count(a->epoch_steps) ||
        !is_count(a->steps))
        return "every, start, epoch_steps or steps is negative or over 2^60";
    if (a->steps == 0 && a->kind == FW_AVERAGE_LOOKAHEAD)
        return "lookahead needs steps, the length of the run: its last step ends on the average";
    if (a->steps == 0 && a->power > 0)
        return "power needs steps, the length of the run";
    if (a->steps > 0 && a->start > a->steps)
        return "it starts after the last step";
    if (a->kind == FW_AVERAGE_LOOKAHEAD && a->start > 0 && fwi_average_first(a) > a->steps)
        return "its first averaging, which copies the weights, is behind the last step";
    return NULL;
}

fw_status fwi_average_check_options(const fw_average *a)
{
    const char *const mistake = find_mistake(a);
    return mistake == NULL ? FW_OK : fwi_fail(FW_EARG, "average of weights: %s", mistake);
}

int fwi_average_columns(const fw_average *a)
{
    return a->kind == FW_AVERAGE_NONE ? 0 : (int)FWI_AVERAGE_COLUMNS;
}

double fw_average_at(const fw_average *a, int64_t done)
{
    if (a == NULL || find_mistake(a) != NULL || a->kind == FW_AVERAGE_NONE || done < 1)
        return -1;
    const bool last = a->kind == FW_AVERAGE_LOOKAHEAD && done == a->steps;
    if (done < a->start || !is_due(a, done))
        return last ? 1 : -1; /* the average as it is becomes the weights */
    if (a->start > 0 && done == fwi_average_first(a))
        return 0;
    const double share = a->power > 0 ? pow((double)done / (double)a->steps, a->power) : 1;
    return a->decay * (share < 1 ? share : 1);
}

void fwi_average_row(const fw_average *a, int64_t step, int64_t follows, double *row)
{
    if (a->kind == FW_AVERAGE_NONE)
        return;
    const int64_t done = step + 1, first = a->start > 0 ? fwi_average_first(a) : 0;
    const bool copies = done < first && done >= first - follows;
    const double decay = copies ? 0 : fw_average_at(a, done);
    row[COL_ON] = decay >= 0;
    row[COL_DECAY] = decay >= 0 ? decay : 0;
}

void fwi_average_append(const fw_average *a, fwi_graph *g, fwi_val hyper, int64_t first_col)
{
    if (a->kind == FW_AVERAGE_NONE || g->status != FW_OK)
        return;
    const fwi_attr attr = {.average = {.on_col = first_col + COL_ON,
                                       .decay_col = first_col + COL_DECAY,
                                       .copy_back = a->kind == FW_AVERAGE_LOOKAHEAD}};
    const int32_t n = g->n_tensors;
    for (fwi_val v = 0; v < n && g->status == FW_OK; v++) {
        if (!fwi_may_average(&g->tensors[v]))
            continue;
        const fwi_val average = fwi_graph_average(g, v);
        fwi_graph_op(g, FWI_OP_average, &attr, (const fwi_val[]){average, v, hyper}, 3, NULL);
    }
}

bool fwi_average_evaluates(const fw_average *a, int64_t steps_done)
{
    if (a->kind != FW_AVERAGE_EMA)
        return false;
    return a->start == 0 || steps_done >= fwi_average_first(a);
}

fw_status fwi_average_describe(const fw_average *a, fwi_buf *b)
{
    char decay[FWI_NUMBER_CAP], power[FWI_NUMBER_CAP];
    if (a->kind == FW_AVERAGE_NONE)
        return FW_OK;
    fwi_format_double(decay, a->decay);
    fwi_format_double(power, a->power);
    return fwi_buf_printf(b,
                          "; average=%s decay=%s power=%s every=%lld start=%lld epoch_steps=%lld "
                          "steps=%lld",
                          a->kind == FW_AVERAGE_EMA ? "ema" : "lookahead", decay, power,
                          (long long)(a->every > 0 ? a->every : 1), (long long)a->start,
                          (long long)a->epoch_steps, (long long)a->steps);
}
