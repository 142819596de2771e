/* fast_act.h: activations and their gradients. Included once per element type and instruction set.
 * Definitions: cpu/ref/act.c. Output 0 may be input 0's memory. */
#include "fast_math.h"
#include "fast_store.h"

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

/* f of x, and f's slope at x times dy, over one block; one pair of loops per function, so that each
 * is a vector loop of its own. */
#define ACT_LOOPS(fn)                                                                              \
    static void NAME(fn##_loop)(int64_t n, REAL alpha, const STORE *x, STORE *y)                   \
    {                                                                                              \
        (void)alpha;                                                                               \
        INDEPENDENT                                                                                \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = KEEP(MATH(fn)(LOAD(x[i]), alpha));                                              \
    }                                                                                              \
    static void NAME(fn##_grad_loop)(int64_t n, REAL alpha, const STORE *dy, const STORE *x,       \
                                     STORE *dx)                                                    \
    {                                                                                              \
        (void)alpha;                                                                               \
        INDEPENDENT                                                                                \
        for (int64_t i = 0; i < n; i++)                                                            \
            dx[i] = KEEP(LOAD(dy[i]) * MATH(fn##_slope)(LOAD(x[i]), alpha));                       \
    }
ACT_LOOPS(celu)
ACT_LOOPS(gelu)
ACT_LOOPS(silu)
ACT_LOOPS(tanh)
ACT_LOOPS(sigmoid)
ACT_LOOPS(softplus)
#undef ACT_LOOPS

static void NAME(act_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    static void (*const loops[FWI_ACT_COUNT])(int64_t, REAL, const STORE *, STORE *) = {
        [FWI_CELU] = NAME(celu_loop),       [FWI_GELU] = NAME(gelu_loop),
        [FWI_SILU] = NAME(silu_loop),       [FWI_TANH] = NAME(tanh_loop),
        [FWI_SIGMOID] = NAME(sigmoid_loop), [FWI_SOFTPLUS] = NAME(softplus_loop)};
    const fwi_call *const c = arg;
    const int64_t begin = part * LOOP_BLOCK;
    const int64_t n = min_i64(LOOP_BLOCK, stored_of(&c->in[0]) - begin);
    loops[c->attr->act.fn](n, (REAL)c->attr->act.alpha, (const STORE *)c->in[0].data + begin,
                           (STORE *)c->out[0].data + begin);
}

fw_status FN(act)(const fwi_call *c)
{
    return loop_elems(c, stored_of(&c->in[0]), NAME(act_part));
}

static void NAME(act_grad_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    static void (*const loops[FWI_ACT_COUNT])(int64_t, REAL, const STORE *, const STORE *,
                                              STORE *) = {
        [FWI_CELU] = NAME(celu_grad_loop),       [FWI_GELU] = NAME(gelu_grad_loop),
        [FWI_SILU] = NAME(silu_grad_loop),       [FWI_TANH] = NAME(tanh_grad_loop),
        [FWI_SIGMOID] = NAME(sigmoid_grad_loop), [FWI_SOFTPLUS] = NAME(softplus_grad_loop)};
    const fwi_call *const c = arg;
    const int64_t begin = part * LOOP_BLOCK;
    const int64_t n = min_i64(LOOP_BLOCK, stored_of(&c->in[0]) - begin);
    loops[c->attr->act.fn](n, (REAL)c->attr->act.alpha, (const STORE *)c->in[0].data + begin,
                           (const STORE *)c->in[1].data + begin, (STORE *)c->out[0].data + begin);
}

fw_status FN(act_grad)(const fwi_call *c)
{
    return loop_elems(c, stored_of(&c->in[0]), NAME(act_grad_part));
}
