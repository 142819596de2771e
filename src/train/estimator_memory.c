/* estimator_memory.c: what a run needs of the host's memory and of the device's, counted and held
 * against limits before it is taken; which images stay on the device; and what is told of all that.
 * Read before: estimator.h, device_data.h. */
#include "estimator.h"

#include <inttypes.h>
#include <stdio.h>

#include "dataset_inner.h"
#include "explain.h"
#include "fail.h"
#include "staged.h"

static double mib(int64_t n_bytes)
{
    return (double)n_bytes / 1048576;
}

enum { KEPT_CAP = 64 };

/* What stays on a device, where there is such a thing. */
static const char *kept_text(const fw_budget *b, char text[KEPT_CAP])
{
    text[0] = 0;
    if (b->device > 0)
        snprintf(text, KEPT_CAP, ", images on the device %.1f", mib(b->device));
    return text;
}

/* What there is to take, whether it may be or not. */
static fw_budget count(const fw_estimator *e, fw_dataset *train, fw_dataset *eval)
{
    fw_dataset *const sets[2] = {train, eval};
    fw_budget b = {
        .state = fwi_network_state_bytes(&e->network),
        .scratch = (int64_t)(e->network.scratch_wanted + fwi_network_beside_bytes(&e->network))};
    const fwi_network_spec *s = &e->network.spec;
    if (e->beside != NULL) {
        const fwi_network *const n = &e->beside->network;
        b.state += fwi_network_state_bytes(n);
        b.scratch += (int64_t)(n->scratch_wanted + fwi_network_beside_bytes(n));
    }
    if (eval != NULL)
        b.scratch += fwi_tta_bytes(e->opt.tta, fwi_dataset_batch(eval), s->h, s->w, s->c,
                                   e->network.n_classes);
    if (eval != NULL && e->opt.tta == FW_TTA_SELECTIVE)
        b.scratch += fwi_selective_bytes(fw_dataset_count(eval), fwi_dataset_batch(eval), s->h,
                                         s->w, s->c, e->network.n_classes);
    if (train != NULL)
        b.scratch += fwi_staged_bytes(e, train);
    for (int i = 0; i < 2; i++) {
        if (sets[i] == NULL)
            continue;
        fw_dataset_memory m;
        fw_dataset_memory_get(sets[i], &m);
        b.shuffle += m.shuffle + m.index;
        b.prefetch += m.prefetch;
        b.cache += m.cache;
    }
    if (train != NULL && e->train_data.keeps)
        b.device += (int64_t)e->train_data.bytes;
    if (eval != NULL && e->eval_data.keeps)
        b.device += (int64_t)e->eval_data.bytes;
    b.total = b.state + b.scratch + b.shuffle + b.prefetch + b.cache + b.device;
    return b;
}

/* Bytes of the device that images may have: what is free or theirs, beside what the plans will still
 * take and a share for what the device keeps for itself (recorded steps, the libraries' code); and no
 * more than memory_limit leaves. */
static fw_status spare_for_images(const fw_estimator *e, fw_dataset *train, fw_dataset *eval,
                                  size_t *out)
{
    size_t free_bytes, its_own;
    *out = 0;
    const fw_status st = fwi_device_memory(e->device, &free_bytes, &its_own);
    if (st != FW_OK)
        return st;
    const size_t have = free_bytes + fwi_device_data_held(&e->train_data) +
                        fwi_device_data_held(&e->eval_data),
                 taken = fwi_network_to_come(&e->network) + its_own;
    *out = have > taken ? have - taken : 0;
    if (e->opt.memory_limit > 0) {
        const fw_budget all = count(e, train, eval);
        const int64_t left = e->opt.memory_limit - (all.total - all.device);
        if (left < 0 || (size_t)left < *out)
            *out = left < 0 ? 0 : (size_t)left;
    }
    return FW_OK;
}

fw_status fwi_estimator_choose_data(fw_estimator *e, fw_dataset *train, fw_dataset *eval)
{
    const char *const asked = e->opt.host_batches ? "that was asked for (host_batches)" : NULL;
    const bool chooses = e->opt.filter != NULL || e->opt.record != NULL;
    struct {
        fwi_device_data *k;
        fw_dataset *ds;
        fwi_device_data_want want;
    } sets[2] = {{&e->train_data,
                  train,
                  {.lines = fwi_network_ahead(&e->network) ? FWI_LINES : 1,
                   .why_not = asked != NULL ? asked
                              : chooses     ? "which rows are trained on is chosen there"
                                            : NULL}},
                 {&e->eval_data, eval, {.why_not = asked}}};
    if (eval != NULL)
        fwi_eval_want(e->device, fw_dataset_count(eval), fwi_dataset_batch(eval),
                      e->network.n_classes, &sets[1].want);
    size_t spare = 0;
    fw_status st = spare_for_images(e, train, eval, &spare);
    for (int i = 0; i < 2 && st == FW_OK; i++) {
        fwi_device_data *const k = sets[i].k;
        if (sets[i].ds != NULL) {
            st = fwi_device_data_choose(k, e->device, sets[i].ds, &sets[i].want, spare);
            fwi_dataset_rows_only(sets[i].ds, k->keeps);
        } else if (fwi_device_data_held(k) > spare) {
            fwi_device_data_clear(
                k); /* plans come first; it is chosen again when it is used again */
        }
        if (k->keeps && (sets[i].ds != NULL || k->loaded))
            spare -= k->bytes;
    }
    return st;
}

fw_status fwi_estimator_settle_data(fw_estimator *e, fw_dataset *train, fw_dataset *eval,
                                    bool load_eval, fw_budget *out)
{
    fw_status st = fwi_estimator_choose_data(e, train, eval);
    if (st == FW_OK)
        st = fwi_estimator_budget(e, train, eval, out);
    if (st == FW_OK)
        st = fwi_network_bind(&e->network);
    const bool kept[2] = {e->train_data.keeps, e->eval_data.keeps};
    if (st == FW_OK && train != NULL)
        st = fwi_device_data_load(&e->train_data, train, e->network.n_classes);
    if (st == FW_OK && eval != NULL && load_eval)
        st = fwi_device_data_load(&e->eval_data, eval, e->network.n_classes);
    if (st != FW_OK || (kept[0] == e->train_data.keeps && kept[1] == e->eval_data.keeps))
        return st;
    if (train != NULL)
        fwi_dataset_rows_only(train, e->train_data.keeps);
    if (eval != NULL)
        fwi_dataset_rows_only(eval, e->eval_data.keeps);
    return fwi_estimator_budget(e, train, eval, out); /* the host makes them after all */
}

static fw_status check_limit(const fw_estimator *e, const fw_budget *b)
{
    char kept[KEPT_CAP];
    if (e->opt.memory_limit == 0 || b->total <= e->opt.memory_limit)
        return FW_OK;
    return fwi_fail(FW_ENOMEM,
                    "needs %.1f MiB (state %.1f, scratch %.1f, shuffle %.1f, prefetch %.1f, "
                    "cache %.1f%s), the limit is %.6g MiB: a smaller batch needs less",
                    mib(b->total), mib(b->state), mib(b->scratch), mib(b->shuffle),
                    mib(b->prefetch), mib(b->cache), kept_text(b, kept), mib(e->opt.memory_limit));
}

fw_status fwi_estimator_budget(fw_estimator *e, fw_dataset *train, fw_dataset *eval, fw_budget *out)
{
    *out = e->budget = count(e, train, eval);
    fw_status st = check_limit(e, out);
    if (st == FW_OK)
        st = fwi_network_fits(&e->network, fwi_device_data_wanted(&e->train_data) +
                                               fwi_device_data_wanted(&e->eval_data));
    if (st != FW_OK)
        fwi_network_want_no_more(&e->network);
    return st;
}

fw_status fwi_estimator_may_evaluate(fw_estimator *e, fw_dataset *ds)
{
    if (e->opt.memory_limit == 0)
        return FW_OK;
    fw_status st = fwi_estimator_lend_threads(e, ds, 0); /* batches made ahead depend on them */
    if (st == FW_OK) {
        const fw_budget b = count(e, NULL, ds);
        st = check_limit(e, &b);
    }
    if (st != FW_OK)
        fwi_network_want_no_more(&e->network);
    return st;
}

fw_status fwi_estimator_plan(fw_estimator *e, fw_dataset *train, fw_dataset *eval, int64_t until,
                             fw_budget *out)
{
    fw_dataset *const sets[2] = {train, eval};
    fwi_network_plan *p;
    fwi_training_plans plans;
    fw_status st = FW_OK;
    for (int i = 0; i < 2 && st == FW_OK; i++) {
        if (sets[i] == NULL)
            continue;
        st = fwi_estimator_compile(e, sets[i]);
        if (st == FW_OK && i == 0)
            st = fwi_estimator_training_plans(e, train, &plans);
        if (st == FW_OK && i == 1)
            st = fwi_estimator_eval_plan(e, fwi_dataset_batch(eval), e->step, &p);
        if (st == FW_OK && i == 1)
            st = fwi_estimator_eval_plan(e, fwi_dataset_batch(eval), until, &p);
    }
    if (st != FW_OK) {
        fwi_network_want_no_more(&e->network);
        return st;
    }
    for (int i = 0; i < 2 && st == FW_OK; i++) /* batches made ahead depend on the threads */
        if (sets[i] != NULL)
            st = fwi_estimator_lend_threads(e, sets[i], fw_dataset_position(sets[i]));
    if (st == FW_OK)
        st = fwi_estimator_choose_data(e, train, eval);
    if (st == FW_OK)
        st = fwi_estimator_budget(e, train, eval, out);
    for (int i = 0; i < 2 && !e->keeps_data; i++)
        if (sets[i] != NULL)
            fwi_estimator_leave_data(sets[i]);
    return st;
}

fw_status fw_estimator_prepare(fw_estimator *e, fw_dataset *train, fw_dataset *eval, fw_budget *out)
{
    if (e == NULL || (train == NULL && eval == NULL))
        return fwi_fail(FW_EARG, "fw_estimator_prepare: NULL argument");
    if ((train != NULL && !fwi_dataset_training(train)) ||
        (eval != NULL && fwi_dataset_training(eval)))
        return fwi_fail(
            FW_EARG, "fw_estimator_prepare: the set to train on has .training, the other one not");
    fw_budget budget, *const told = out == NULL ? &budget : out;
    fw_status st = fwi_estimator_plan(e, train, eval, e->step, told);
    if (st == FW_OK)
        st = fwi_network_bind(&e->network);
    if (st == FW_OK)
        st = fwi_estimator_fill(e);
    const bool kept = e->train_data.keeps;
    if (st == FW_OK && train != NULL) {
        st = fwi_estimator_take_data(e, train, fw_dataset_position(train));
        if (st == FW_OK)
            st = fwi_device_data_load(&e->train_data, train, e->network.n_classes);
        fwi_estimator_leave_data(train);
        if (st == FW_OK && kept != e->train_data.keeps) /* the host makes them after all */
            st = fwi_estimator_plan(e, train, eval, e->step, told);
    }
    return st == FW_OK && train != NULL ? fwi_estimator_whiten(e, train) : st;
}

/* Who makes the batches; on a device with the host's memory it goes without saying. */
static fw_status explain_data(const fwi_device_data *k, const char *use, fwi_buf *out)
{
    if (k->serial == 0 || k->device->host_memory)
        return FW_OK;
    return k->keeps ? fwi_buf_printf(out,
                                     "batches for %s: made on the device, of %" PRId64
                                     " images that stay there\n",
                                     use, k->n)
                    : fwi_buf_printf(out, "batches for %s: made on the host: %s\n", use, k->why);
}

fw_status fw_estimator_explain(const fw_estimator *e, char **text)
{
    if (e == NULL || text == NULL)
        return fwi_fail(FW_EARG, "fw_estimator_explain: NULL argument");
    if (!e->compiled)
        return fwi_fail(FW_ESTATE, "fw_estimator_explain: nothing was prepared yet");
    const fw_budget *const b = &e->budget;
    char kept[KEPT_CAP];
    fwi_buf out = {0};
    fw_status st = fwi_network_explain(&e->network, &out);
    if (st == FW_OK && b->total > 0)
        st = fwi_buf_printf(&out,
                            "memory: %.1f MiB: state %.1f, scratch %.1f, shuffle %.1f, prefetch "
                            "%.1f, cache %.1f%s\n",
                            mib(b->total), mib(b->state), mib(b->scratch), mib(b->shuffle),
                            mib(b->prefetch), mib(b->cache), kept_text(b, kept));
    if (st == FW_OK)
        st = explain_data(&e->train_data, "training", &out);
    if (st == FW_OK)
        st = explain_data(&e->eval_data, "evaluation", &out);
    if (st == FW_OK && (*text = fwi_strdup((const char *)out.data)) == NULL)
        st = FW_ENOMEM;
    fwi_buf_clear(&out);
    return st;
}
