/* bench_gpu_tune.c: which of a library's engines is the fastest for a convolution, among those that give
 * the right result. Every engine that is allowed is timed; one that is faster than the best so far is held
 * to the definition before it takes its place. The choice and its time go to the file of choices
 * (docs/formats/conv-choices.md). Read before: bench_gpu_conv.h. */
#include "bench_gpu_conv.h"

#include <string.h>

#include "fail.h"

typedef struct tuning {
    fwi_gpu_conv *b;
    fw_bench_conv_row *row;
    double best; /* seconds; 0: none yet */
} tuning;

static fw_status can_tune(const fwi_gpu *g)
{
    const fwi_probe *const p = g->probe;
    return p->engines != NULL && p->engine_run != NULL && p->engine_take != NULL &&
                   p->engines_keep != NULL && p->engines_forget != NULL
               ? FW_OK
               : fwi_fail(FW_EUNAVAILABLE, "%s has no engines to choose from", g->d->label);
}

fw_status fwi_gpu_tune_begin(fwi_gpu_conv *b)
{
    char path[1024];
    const fw_status st = can_tune(&b->g);
    return st == FW_OK ? b->g.probe->engines_keep(b->g.d, path, sizeof path) : st;
}

/* One that needs more memory than there is, or fails when it is run, is passed over with a line of the
 * log; that a device breaks shows at the next call. */
static fw_status try_engine(void *user, const fwi_engine *e)
{
    tuning *const t = user;
    fwi_gpu_conv *const b = t->b;
    fwi_gpu_way w = {.b = b, .engine = e};
    double error = 0;
    t->row->engines++;
    fw_status st = fwi_gpu_way_open(&w);
    if (st == FW_OK)
        st = fwi_gpu_way_time(&w);
    const double seconds = st == FW_OK ? fwi_median(b->seconds, b->runs) : 0;
    if (st == FW_OK && t->row->seconds_before <= 0)
        t->row->seconds_before = seconds; /* they come in the heuristic's order */
    if (st == FW_OK && e->keepable && (t->best <= 0 || seconds < t->best)) {
        st = fwi_gpu_way_error(&w, &error);
        const bool right = error <= b->bound;
        t->row->engines_wrong += st == FW_OK && !right;
        if (st == FW_OK && right)
            st = b->g.probe->engine_take(b->g.d, e, seconds);
        if (st == FW_OK && right)
            t->best = seconds;
    }
    fwi_gpu_way_close(&w);
    if (st == FW_OK)
        return FW_OK;
    fwi_log(1, "%s/%s %s: %s is passed over: %s", b->s.net, b->s.name, fwi_conv_passes[b->pass],
            e->text, fw_last_error());
    return b->g.d->backend->sync(b->g.d);
}

fw_status fwi_gpu_tune(fwi_gpu_conv *b, fw_bench_conv_row *row)
{
    tuning t = {.b = b, .row = row};
    const fwi_call c = fwi_gpu_conv_call(b, 0);
    b->g.probe->engines_forget(b->g.d);
    return b->g.probe->engines(b->g.d, &c, try_engine, &t);
}
