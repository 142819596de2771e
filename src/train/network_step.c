/* network_step.c: a training step on the device: the plan's run, as a recording where the device keeps
 * such; in f16 with the way back (guard.h); and the memory that this takes beside scratch. Read before:
 * network.h. Next: network_ahead.c. */
#include "network.h"

#include "fail.h"
#include "mem.h"

static bool guards(const fwi_network *n)
{
    return n->spec.real == FW_F16 && n->spec.optim != NULL;
}

static size_t guard_bytes(const fwi_network *n)
{
    return guards(n) ? n->store->state_bytes + FWI_GUARD_WORDS * sizeof(int32_t) : 0;
}

size_t fwi_network_beside_bytes(const fwi_network *n)
{
    return guard_bytes(n) + fwi_tables_bytes(n);
}

size_t fwi_network_beside_to_come(const fwi_network *n)
{
    return (n->guard.kept == NULL ? guard_bytes(n) : 0) +
           (n->tables.block == NULL ? fwi_tables_bytes(n) : 0);
}

/* One block: the copy of the state, and the counts behind it, which begin as zeros. */
static fw_status bind_guard(fwi_network *n)
{
    const fwi_store *s = n->store;
    void *block = NULL;
    if (!guards(n) || n->guard.kept != NULL)
        return FW_OK;
    const fw_status st = n->device->backend->alloc(n->device, guard_bytes(n), &block);
    if (st == FW_OK)
        n->guard = (fwi_guard){.state = s->state,
                               .kept = block,
                               .n_bytes = s->state_bytes,
                               .grads = s->grads,
                               .n_grads = s->grad_bytes / sizeof(float),
                               .counts = (int32_t *)(void *)((uint8_t *)block + s->state_bytes)};
    return st;
}

fw_status fwi_network_bind_beside(fwi_network *n)
{
    const fw_status st = bind_guard(n);
    return st == FW_OK ? fwi_tables_bind(n) : st;
}

void fwi_network_clear_beside(fwi_network *n)
{
    if (n->guard.kept != NULL)
        n->device->backend->release(n->device, n->guard.kept, guard_bytes(n));
    fwi_tables_clear(n);
}

/* ---- steps ---- */

fw_status fwi_network_run(fwi_network_plan *p, const fwi_binding *b)
{
    if (p->recorded != NULL && fwi_recording_fits(p->recorded, b))
        return fwi_recording_run(p->recorded, b);
    fwi_recording_free(p->recorded); /* scratch has moved, or images come from elsewhere */
    p->recorded = NULL;
    const fw_status st = fwi_plan_run(p->plan, b);
    if (st == FW_OK)
        fwi_network_record(p, b, NULL, &p->recorded);
    return st;
}

void fwi_network_record(fwi_network_plan *p, const fwi_binding *b, const fwi_around *around,
                        fwi_recording **out)
{
    if (!p->unrecorded && fwi_plan_record(out, p->plan, b, around) != FW_OK) {
        fwi_log(1, "steps are not recorded, and run kernel by kernel: %s", fw_last_error());
        *out = NULL;
        p->unrecorded = true;
    }
}

static bool may_undo(const fwi_network *n, const fwi_network_plan *p)
{
    return n->guard.kept != NULL && !p->use.rows;
}

fw_status fwi_network_keep(fwi_network *n, const fwi_network_plan *p)
{
    return may_undo(n, p) ? n->device->backend->guard_keep(n->device, &n->guard) : FW_OK;
}

fw_status fwi_network_judge(fwi_network *n, const fwi_network_plan *p)
{
    return may_undo(n, p) ? n->device->backend->guard_judge(n->device, &n->guard) : FW_OK;
}

fw_status fwi_network_update(fwi_network *n, fwi_network_plan *p, const fwi_binding *b)
{
    fw_status st = fwi_network_keep(n, p);
    if (st == FW_OK)
        st = fwi_network_run(p, b);
    return st == FW_OK ? fwi_network_judge(n, p) : st;
}

fw_status fwi_network_update_timed(fwi_network *n, const fwi_network_plan *p, const fwi_binding *b,
                                   double *op_seconds)
{
    fw_status st = fwi_network_keep(n, p);
    if (st == FW_OK)
        st = op_seconds == NULL ? fwi_plan_run(p->plan, b)
                                : fwi_plan_run_timed(p->plan, b, op_seconds);
    return st == FW_OK ? fwi_network_judge(n, p) : st;
}

fw_status fwi_network_undone(const fwi_network *n, int64_t *row, int64_t *all)
{
    int32_t counts[FWI_GUARD_PARTS] = {0};
    const fw_status st =
        n->guard.kept == NULL
            ? FW_OK
            : n->device->backend->download(n->device, counts, n->guard.counts, sizeof counts);
    *row = counts[FWI_GUARD_ROW];
    *all = counts[FWI_GUARD_ALL];
    return st;
}
