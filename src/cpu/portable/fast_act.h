/* fast_act.h: activations and their gradients. Included once per element type and instruction set.
 * Definitions: cpu/ref/act.c. Output 0 may be input 0's memory. */
#include "fast_runs.h"

static void NAME(relu_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const STORE *const x = c->in[0].data;
    STORE *const y = c->out[0].data;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, stored_of(&c->in[0]));
    INDEPENDENT
    for (int64_t i = part * LOOP_BLOCK; i < end; i++)
        y[i] = KEEP(LOAD(x[i]) < 0 ? 0 : LOAD(x[i]));
}

fw_status FN(relu)(const fwi_call *c)
{
    return loop_elems(c, stored_of(&c->in[0]), NAME(relu_part));
}

static void NAME(relu_grad_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const STORE *const dy = c->in[0].data, *const y = c->in[1].data;
    STORE *const dx = c->out[0].data;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, stored_of(&c->in[0]));
    INDEPENDENT
    for (int64_t i = part * LOOP_BLOCK; i < end; i++) {
        const STORE d = dy[i];
        dx[i] = LOAD(y[i]) <= 0 ? 0 : d;
    }
}

fw_status FN(relu_grad)(const fwi_call *c)
{
    return loop_elems(c, stored_of(&c->in[0]), NAME(relu_grad_part));
}

/* Runs of a block, through a buffer: y may be x. */
static void NAME(act_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const fwi_act_attr *const a = &c->attr->act;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, stored_of(&c->in[0]));
    for (int64_t i = part * LOOP_BLOCK, n; i < end; i += n) {
        _Alignas(64) REAL b[RUN_MAX];
        n = min_i64(RUN_MAX, end - i);
        NAME(load_run)(n, (const STORE *)c->in[0].data + i, b);
        NAME(act_run)(a->fn, n, (REAL)a->alpha, b);
        NAME(keep_run)(n, b, (STORE *)c->out[0].data + i);
    }
}

fw_status FN(act)(const fwi_call *c)
{
    return loop_elems(c, stored_of(&c->in[0]), NAME(act_part));
}

static void NAME(times_run)(int64_t n, const STORE *restrict dy, REAL *restrict b)
{
    for (int64_t i = 0; i < n; i++)
        b[i] *= LOAD(dy[i]);
}

static void NAME(act_grad_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const fwi_act_attr *const a = &c->attr->act;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, stored_of(&c->in[0]));
    for (int64_t i = part * LOOP_BLOCK, n; i < end; i += n) {
        _Alignas(64) REAL b[RUN_MAX];
        n = min_i64(RUN_MAX, end - i);
        NAME(load_run)(n, (const STORE *)c->in[1].data + i, b);
        NAME(slope_run)(a->fn, n, (REAL)a->alpha, b);
        NAME(times_run)(n, (const STORE *)c->in[0].data + i, b);
        NAME(keep_run)(n, b, (STORE *)c->out[0].data + i);
    }
}

fw_status FN(act_grad)(const fwi_call *c)
{
    return loop_elems(c, stored_of(&c->in[0]), NAME(act_grad_part));
}
