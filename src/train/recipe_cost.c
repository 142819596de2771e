/* recipe_cost.c: what a whole run multiplies: the graphs of all its stages, counted, times their
 * steps. Nothing is run and no data is read. Read before: stages.h, recipe_inner.h. */
#include "recipe_inner.h"

#include <inttypes.h>
#include <string.h>

#include "fail.h"
#include "stages.h"
#include "tta.h"
#include "tta_select.h"

static const double FLOPS = 2; /* of a multiply-accumulate */

/* One network's training: a use for each step, and what is asked for in front of it. */
typedef struct walk {
    fwi_network_spec spec;
    fwi_stages stages;
    int64_t steps, rows; /* of a step: rows */
    int64_t every;       /* a proxy's: the loss of each row in every step, an update in these; 0 */
} walk;

/* How many of [from, to) are multiples of every. */
static int64_t multiples(int64_t from, int64_t to, int64_t every)
{
    return (to + every - 1) / every - (from + every - 1) / every;
}

static fw_status add_steps(const walk *w, double *passes, double *updates)
{
    fw_status st = FW_OK;
    for (int64_t step = 0, until; step < w->steps && st == FW_OK; step = until) {
        fwi_network_use use = {.kind = FWI_TRAIN, .batch = w->rows};
        fwi_network_macs macs;
        until = fwi_stage_of(&w->stages, step, &use);
        if (until > w->steps)
            until = w->steps;
        const int64_t times = w->every > 0 ? multiples(step, until, w->every) : until - step;
        st = fwi_network_count(&w->spec, &use, &macs);
        *passes += FLOPS * (double)macs.passes * (double)times;
        *updates += FLOPS * (double)macs.updates * (double)times;
        if (st != FW_OK || w->every == 0)
            continue;
        use.rows = true;
        use.over = 0;
        st = fwi_network_count(&w->spec, &use, &macs);
        *passes += FLOPS * (double)macs.passes * (double)(until - step);
    }
    return st;
}

/* Forward passes of n records: each view of a record is one. */
static double forwards(const fw_recipe *r, int64_t n)
{
    const fw_tta tta = (fw_tta)fwi_recipe_word(r, FWI_KEY_EVALUATE_TTA);
    int views = 1;
    (void)fwi_tta_views(tta, &views);
    return tta == FW_TTA_SELECTIVE ? (double)n + (double)views * (double)fwi_selective_share(n)
                                   : (double)views * (double)n;
}

/* What both networks of a recipe share. */
static fw_status prepare(const fw_recipe *r, int64_t steps, int64_t steps_per_epoch,
                         fwi_optim *optim, fw_resolution resolution[FW_MAX_RESOLUTIONS], walk *w)
{
    int64_t hwc[3] = {0};
    int32_t n = 0;
    fw_status st = fwi_recipe_optim(r, steps, steps_per_epoch, optim);
    if (st == FW_OK)
        st = fwi_recipe_resolutions(r, steps, resolution, &n);
    (void)fwi_recipe_size(r, hwc);
    *w = (walk){.spec = {.optim = optim, .real = FW_F32, .h = hwc[0], .w = hwc[1], .c = hwc[2]},
                .stages = {.optim = optim,
                           .resolution = resolution,
                           .n_resolutions = n,
                           .by = (fw_resolution_by)fwi_recipe_word(r, FWI_KEY_TRAIN_RESOLUTION_BY)},
                .steps = steps,
                .rows = fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH)};
    return st;
}

static int64_t min_steps(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

fw_status fwi_recipe_cost_until(const fw_recipe *r, int64_t train_records, int64_t test_records,
                                int64_t until, int64_t proxy_until, fw_run_cost *out)
{
    *out = (fw_run_cost){0};
    fw_layer *net = NULL, *proxy = NULL;
    fwi_optim optim;
    fw_resolution resolution[FW_MAX_RESOLUTIONS];
    fw_model_cost model;
    walk w;
    const int64_t steps_per_epoch = train_records / fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH);
    double unused = 0;
    fw_status st = fw_recipe_check(r, &model);
    if (st == FW_OK)
        st = fwi_recipe_steps(r, steps_per_epoch, &out->steps);
    if (st == FW_OK)
        st = prepare(r, out->steps, steps_per_epoch, &optim, resolution, &w);
    if (st == FW_OK)
        st = fwi_recipe_proxy(r, &proxy);
    if (st == FW_OK && proxy != NULL) {
        w.spec.net = proxy;
        w.every = fwi_recipe_int(r, FWI_KEY_PROXY_EVERY);
        w.steps = min_steps(proxy_until, out->steps);
        out->images_seen = w.steps * w.rows;
        st = add_steps(&w, &out->proxy_flops, &unused);
        w.every = 0;
        w.rows = fwi_recipe_int(r, FWI_KEY_PROXY_KEEP);
    }
    out->steps = w.steps = min_steps(until, out->steps);
    if (st == FW_OK)
        st = fwi_recipe_net(r, &net);
    w.spec.net = net;
    if (st == FW_OK)
        st = add_steps(&w, &out->train_flops, &out->update_flops);
    if (st == FW_OK) {
        out->images = out->steps * w.rows;
        out->eval_flops = FLOPS * (double)model.macs * forwards(r, test_records);
        if (proxy == NULL)
            out->images_seen = out->images;
    }
    fw_layer_free(net);
    fw_layer_free(proxy);
    return st;
}

fw_status fw_recipe_run_cost(const fw_recipe *r, int64_t train_records, int64_t test_records,
                             fw_run_cost *out)
{
    const int64_t most = (int64_t)1 << 40; /* times 1e6 epochs is still a number of images */
    if (r == NULL || out == NULL || train_records < 1 || test_records < 0)
        return fwi_fail(FW_EARG, "fw_recipe_run_cost: NULL argument, or no records");
    if (train_records > most || test_records > most)
        return fwi_fail(FW_EARG, "fw_recipe_run_cost: more than %" PRId64 " records", most);
    return fwi_recipe_cost_until(r, train_records, test_records, INT64_MAX, INT64_MAX, out);
}

fw_status fw_recipe_records(const fw_recipe *r, int64_t *train, int64_t *test)
{
    static const struct {
        const char *source;
        int64_t train, test;
    } published[] = {
        {"cifar10", 50000, 10000}, {"cifar100", 50000, 10000}, {"mnist", 60000, 10000}};
    enum { DIGITS = 1797 };
    if (r == NULL || train == NULL || test == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_records: NULL argument");
    const char *const source = fwi_recipe_text(r, FWI_KEY_DATA_SOURCE);
    const int64_t every = fwi_recipe_int(r, FWI_KEY_DATA_SPLIT_EVERY);
    if (strcmp(fwi_recipe_text(r, FWI_KEY_DATA_BUNDLED), "digits") == 0 && every > 0) {
        *test = DIGITS / every;
        *train = DIGITS - *test;
        return FW_OK;
    }
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        if (strcmp(source, published[i].source) == 0) {
            *train = published[i].train;
            *test = published[i].test;
            return FW_OK;
        }
    return fwi_fail(FW_ENOTFOUND, "%s: data.source is %s: how many records that has is not known",
                    r->source, source);
}
