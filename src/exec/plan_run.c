/* plan_run.c: what can be asked of a plan, and running it: addresses are blocks and offsets added up,
 * nothing is decided. On a device that keeps recordings a run is kept as one and started again. Read
 * before: plan_inner.h, plan.c. */
#include "plan_inner.h"

#include <assert.h>
#include <string.h>

#include "clock.h"
#include "timed.h"

/* ---- asking it ---- */

int fwi_plan_slot(const fwi_plan *p, const char *name)
{
    for (int i = 0; i < p->n_inputs; i++) {
        if (strcmp(p->input_names[i], name) == 0)
            return i;
    }
    return -1;
}

size_t fwi_plan_scratch_bytes(const fwi_plan *p)
{
    return p->scratch_bytes;
}

size_t fwi_plan_live_bytes(const fwi_plan *p)
{
    return (size_t)p->live_peak;
}

int fwi_plan_input(const fwi_plan *p, const char *name)
{
    const int slot = fwi_plan_slot(p, name);
    return slot >= 0 && p->input_used[slot] ? slot : -1;
}

int fwi_plan_output(const fwi_plan *p, const char *name)
{
    for (int i = 0; i < p->n_outputs; i++) {
        if (strcmp(p->outputs[i].name, name) == 0)
            return i;
    }
    return -1;
}

const fwi_shape *fwi_plan_output_shape(const fwi_plan *p, int i, fw_dtype *dtype)
{
    assert(i >= 0 && i < p->n_outputs);
    if (dtype != NULL)
        *dtype = p->outputs[i].dtype;
    return &p->outputs[i].shape;
}

int fwi_plan_steps(const fwi_plan *p)
{
    return p->n_steps;
}

void fwi_plan_step(const fwi_plan *p, int i, fwi_step_info *out)
{
    assert(i >= 0 && i < p->n_steps);
    const fwi_step *s = &p->calls[p->first[i]];
    *out = (fwi_step_info){.op = s->call.kind,
                           .kernel = s->kernel->name,
                           .table = s->table,
                           .n_calls = p->first[i + 1] - p->first[i],
                           .call = &s->call};
    for (int k = 0; k < out->n_calls; k++) {
        out->macs = fwi_macs_add(out->macs, s[k].macs);
        out->bytes += s[k].bytes;
    }
    if (s->n_in > 0)
        out->in0 = s->call.in[0].shape;
    if (s->n_out > 0)
        out->out0 = s->call.out[0].shape;
}

/* ---- running it ---- */

/* Whether input i is used and goes to the device with each run. */
static bool staged(const fwi_plan *p, const fwi_binding *b, int i)
{
    return p->input_used[i] && !p->device->host_memory && !(b->resident >> i & 1);
}

/* The addresses of the blocks; FW_EARG where the caller left one out. */
static fw_status bind(const fwi_plan *p, const fwi_binding *b, uint8_t *base[SPACE_COUNT])
{
    memset(base, 0, SPACE_COUNT * sizeof *base);
    if (p->scratch_bytes > 0 && (b->scratch == NULL || (uintptr_t)b->scratch % FWI_PLAN_ALIGN != 0))
        return fwi_fail(FW_EARG, "plan: scratch of %zu bytes, %d-byte aligned, is needed; got %p",
                        p->scratch_bytes, (int)FWI_PLAN_ALIGN, b->scratch);
    base[SPACE_SCRATCH] = b->scratch;
    base[SPACE_STATE] = p->store->state;
    base[SPACE_GRADS] = p->store->grads;
    for (int i = 0; i < p->n_inputs; i++) {
        if (p->input_used[i] && b->inputs[i] == NULL)
            return fwi_fail(FW_EARG, "plan: input %s (slot %d) is not bound", p->input_names[i], i);
        /* const is dropped because a call's arguments have one type; no kernel writes an input that
         * is no variable, and the verifier allows only variables to be changed */
        base[SPACE_INPUT + i] = staged(p, b, i) ? (uint8_t *)b->scratch + p->staged_at[i]
                                                : (uint8_t *)(uintptr_t)b->inputs[i];
    }
    return FW_OK;
}

void *fwi_plan_staged(const fwi_plan *p, const fwi_binding *b, int i)
{
    assert(i >= 0 && i < p->n_inputs && p->input_used[i] && !p->device->host_memory);
    return (uint8_t *)b->scratch + p->staged_at[i];
}

static fw_status upload_inputs(const fwi_plan *p, const fwi_binding *b)
{
    fw_status st = FW_OK;
    for (int i = 0; i < p->n_inputs && st == FW_OK; i++)
        if (staged(p, b, i))
            st = p->device->backend->upload(p->device, (uint8_t *)b->scratch + p->staged_at[i],
                                            b->inputs[i], p->input_bytes[i]);
    return st;
}

static void address(const fwi_step *s, uint8_t *const base[SPACE_COUNT], fwi_call *c)
{
    *c = s->call;
    for (int j = 0; j < s->n_in; j++)
        c->in[j].data = base[s->in[j].space] + s->in[j].offset;
    for (int j = 0; j < s->n_out; j++)
        c->out[j].data = base[s->out[j].space] + s->out[j].offset;
    if (s->scratch.space != SPACE_NONE)
        c->scratch = base[s->scratch.space] + s->scratch.offset;
}

static fw_status run_joint(const fwi_step *s, int n, uint8_t *const base[SPACE_COUNT])
{
    fwi_call calls[FWI_MAX_JOINED];
    for (int k = 0; k < n; k++)
        address(&s[k], base, &calls[k]);
    return s->kernel->joint->run(calls, n);
}

static fw_status run_step(const fwi_plan *p, int i, uint8_t *const base[SPACE_COUNT])
{
    const fwi_step *s = &p->calls[p->first[i]];
    const int n = p->first[i + 1] - p->first[i];
    if (n > 1)
        return run_joint(s, n, base);
    fwi_call c;
    address(s, base, &c);
    return s->kernel->run(&c);
}

static fw_status run_steps(const fwi_plan *p, uint8_t *const base[SPACE_COUNT])
{
    fw_status st = FW_OK;
    for (int i = 0; i < p->n_steps && st == FW_OK; i++)
        st = run_step(p, i, base);
    return st;
}

fw_status fwi_plan_run(const fwi_plan *p, const fwi_binding *b)
{
    uint8_t *base[SPACE_COUNT];
    fw_status st = bind(p, b, base);
    if (st == FW_OK)
        st = upload_inputs(p, b);
    return st == FW_OK ? run_steps(p, base) : st;
}

/* ---- recordings ---- */

struct fwi_recording {
    const fwi_plan *plan;
    fwi_binding at; /* where everything lay */
    void *kept;     /* the backend's */
};

static fw_status run_around(const fwi_around *a, const fwi_plan *p,
                            uint8_t *const base[SPACE_COUNT])
{
    fw_status st = a == NULL ? FW_OK : a->before(a->user);
    if (st == FW_OK)
        st = run_steps(p, base);
    return st == FW_OK && a != NULL ? a->behind(a->user) : st;
}

fw_status fwi_plan_record(fwi_recording **out, const fwi_plan *p, const fwi_binding *b,
                          const fwi_around *around)
{
    fwi_device *d = p->device;
    uint8_t *base[SPACE_COUNT];
    *out = NULL;
    if (d->backend->record_begin == NULL)
        return FW_OK;
    fw_status st = bind(p, b, base);
    if (st != FW_OK)
        return st;
    fwi_recording *r = fwi_alloc_zero(sizeof *r);
    if (r == NULL)
        return FW_ENOMEM;
    *r = (fwi_recording){.plan = p, .at = *b};
    st = d->backend->record_begin(d);
    if (st == FW_OK) {
        const fw_status ran = run_around(around, p, base);
        fwi_error message;
        fwi_error_save(&message, ran);
        st = d->backend->record_end(d, &r->kept);
        if (ran != FW_OK) /* that is the reason */
            st = fwi_error_raise(&message);
    }
    if (st == FW_OK)
        *out = r;
    else
        fwi_recording_free(r);
    return st;
}

bool fwi_recording_fits(const fwi_recording *r, const fwi_binding *b)
{
    const fwi_plan *p = r->plan;
    if (b->scratch != r->at.scratch || b->resident != r->at.resident)
        return false;
    for (int i = 0; i < p->n_inputs; i++)
        if (p->input_used[i] && !staged(p, b, i) && b->inputs[i] != r->at.inputs[i])
            return false;
    return true;
}

fw_status fwi_recording_run(const fwi_recording *r, const fwi_binding *b)
{
    const fwi_plan *p = r->plan;
    if (!fwi_recording_fits(r, b))
        return fwi_fail(FW_EARG, "a recorded step runs where it was recorded, scratch and inputs");
    uint8_t *base[SPACE_COUNT];
    fw_status st = bind(p, b, base);
    if (st == FW_OK)
        st = upload_inputs(p, b);
    return st == FW_OK ? p->device->backend->replay(p->device, r->kept) : st;
}

void fwi_recording_free(fwi_recording *r)
{
    if (r == NULL)
        return;
    if (r->kept != NULL)
        r->plan->device->backend->forget(r->plan->device, r->kept);
    fwi_free(r);
}

/* ---- step by step, and what came out ---- */

/* What enqueueing one step may take: for so long the queue is held, so that the steps behind it follow
 * each other as in a recording. */
#define ENQUEUE_SECONDS 4e-5

/* By marks between the steps, as many at once as there are marks. */
static fw_status run_marked(const fwi_plan *p, uint8_t *const base[SPACE_COUNT], double *seconds)
{
    fwi_device *d = p->device;
    const fwi_probe *probe = d->backend->probe;
    fw_status st = FW_OK;
    for (int first = 0; first < p->n_steps && st == FW_OK; first += FWI_PROBE_MARKS - 1) {
        const int left = p->n_steps - first;
        const int n = left < FWI_PROBE_MARKS - 1 ? left : FWI_PROBE_MARKS - 1;
        if (probe->hold != NULL)
            st = probe->hold(d, ENQUEUE_SECONDS * n);
        if (st == FW_OK)
            st = probe->mark(d, 0);
        for (int i = 0; i < n && st == FW_OK; i++) {
            st = run_step(p, first + i, base);
            if (st == FW_OK)
                st = probe->mark(d, i + 1);
        }
        for (int i = 0; i < n && st == FW_OK; i++) {
            double t = 0;
            st = probe->between(d, i, i + 1, &t);
            seconds[first + i] += t;
        }
    }
    return st;
}

fw_status fwi_recording_time(const fwi_recording *r, const fwi_binding *b, double *seconds)
{
    const fwi_plan *p = r->plan;
    fwi_device *d = p->device;
    const fwi_probe *probe = d->backend->probe;
    if (!fwi_recording_fits(r, b))
        return fwi_fail(FW_EARG, "a recorded step runs where it was recorded, scratch and inputs");
    uint8_t *base[SPACE_COUNT];
    fw_status st = bind(p, b, base);
    if (st == FW_OK)
        st = upload_inputs(p, b);
    if (st == FW_OK && probe->hold != NULL)
        st = probe->hold(d, ENQUEUE_SECONDS * p->n_steps);
    if (st == FW_OK)
        st = probe->mark(d, 0);
    if (st == FW_OK)
        st = d->backend->replay(d, r->kept);
    if (st == FW_OK)
        st = probe->mark(d, 1);
    return st == FW_OK ? probe->between(d, 0, 1, seconds) : st;
}

fw_status fwi_plan_run_timed(const fwi_plan *p, const fwi_binding *b, double *seconds)
{
    uint8_t *base[SPACE_COUNT];
    fwi_device *d = p->device;
    fw_status st = bind(p, b, base);
    if (st == FW_OK)
        st = upload_inputs(p, b);
    if (st == FW_OK)
        st = d->backend->sync(d);
    if (st == FW_OK && d->backend->probe != NULL)
        return run_marked(p, base, seconds);
    double t0 = fwi_now();
    for (int i = 0; i < p->n_steps && st == FW_OK; i++) {
        st = run_step(p, i, base);
        if (st == FW_OK)
            st = d->backend->sync(d); /* a device with a queue: each step on its own */
        const double t1 = fwi_now();
        seconds[i] += t1 - t0;
        t0 = t1;
    }
    return st;
}

fw_status fwi_plan_read(const fwi_plan *p, const fwi_binding *b, int i, void *host, size_t n_bytes)
{
    if (i < 0 || i >= p->n_outputs)
        return fwi_fail(FW_EARG, "plan: output %d asked for, there are %d", i, p->n_outputs);
    const plan_output *o = &p->outputs[i];
    if (n_bytes != o->bytes)
        return fwi_fail(FW_ESHAPE, "plan: output %s has %zu bytes, %zu were asked for", o->name,
                        o->bytes, n_bytes);
    uint8_t *base[SPACE_COUNT];
    const fw_status st = bind(p, b, base);
    if (st != FW_OK)
        return st;
    return p->device->backend->download(p->device, host, base[o->at.space] + o->at.offset, n_bytes);
}

const void *fwi_plan_output_at(const fwi_plan *p, const fwi_binding *b, int i)
{
    assert(i >= 0 && i < p->n_outputs);
    uint8_t *base[SPACE_COUNT];
    const plan_output *o = &p->outputs[i];
    return bind(p, b, base) == FW_OK ? base[o->at.space] + o->at.offset : NULL;
}
