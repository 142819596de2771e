/* fast_act.h: activations and their gradients. Included once per element type and instruction set.
 * Definitions: cpu/ref/act.c. Output 0 may be input 0's memory. */
#include "fast_math.h"

static void NAME(relu_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const REAL *const x = c->in[0].data;
    REAL *const y = c->out[0].data;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, elems_of(&c->in[0].shape));
    INDEPENDENT
    for (int64_t i = part * LOOP_BLOCK; i < end; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
}

fw_status FN(relu)(const fwi_call *c)
{
    return loop_elems(c, elems_of(&c->in[0].shape), NAME(relu_part));
}

static void NAME(relu_grad_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    const fwi_call *const c = arg;
    const REAL *const dy = c->in[0].data, *const y = c->in[1].data;
    REAL *const dx = c->out[0].data;
    const int64_t end = min_i64((part + 1) * LOOP_BLOCK, elems_of(&c->in[0].shape));
    INDEPENDENT
    for (int64_t i = part * LOOP_BLOCK; i < end; i++) {
        const REAL d = dy[i];
        dx[i] = y[i] <= 0 ? 0 : d;
    }
}

fw_status FN(relu_grad)(const fwi_call *c)
{
    return loop_elems(c, elems_of(&c->in[0].shape), NAME(relu_grad_part));
}

/* f of x, and f's slope at x times dy, over one block; one pair of loops per function, so that each
 * is a vector loop of its own. */
#define ACT_LOOPS(fn)                                                                              \
    static void NAME(fn##_loop)(int64_t n, REAL alpha, const REAL *x, REAL *y)                     \
    {                                                                                              \
        (void)alpha;                                                                               \
        INDEPENDENT                                                                                \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = NAME(fn)(x[i], alpha);                                                          \
    }                                                                                              \
    static void NAME(fn##_grad_loop)(int64_t n, REAL alpha, const REAL *dy, const REAL *x,         \
                                     REAL *dx)                                                     \
    {                                                                                              \
        (void)alpha;                                                                               \
        INDEPENDENT                                                                                \
        for (int64_t i = 0; i < n; i++)                                                            \
            dx[i] = dy[i] * NAME(fn##_slope)(x[i], alpha);                                         \
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
    static void (*const loops[FWI_ACT_COUNT])(int64_t, REAL, const REAL *, REAL *) = {
        [FWI_CELU] = NAME(celu_loop),       [FWI_GELU] = NAME(gelu_loop),
        [FWI_SILU] = NAME(silu_loop),       [FWI_TANH] = NAME(tanh_loop),
        [FWI_SIGMOID] = NAME(sigmoid_loop), [FWI_SOFTPLUS] = NAME(softplus_loop)};
    const fwi_call *const c = arg;
    const int64_t begin = part * LOOP_BLOCK;
    const int64_t n = min_i64(LOOP_BLOCK, elems_of(&c->in[0].shape) - begin);
    loops[c->attr->act.fn](n, (REAL)c->attr->act.alpha, (const REAL *)c->in[0].data + begin,
                           (REAL *)c->out[0].data + begin);
}

fw_status FN(act)(const fwi_call *c)
{
    return loop_elems(c, elems_of(&c->in[0].shape), NAME(act_part));
}

static void NAME(act_grad_part)(void *arg, int64_t part, int slot)
{
    (void)slot;
    static void (*const loops[FWI_ACT_COUNT])(int64_t, REAL, const REAL *, const REAL *, REAL *) = {
        [FWI_CELU] = NAME(celu_grad_loop),       [FWI_GELU] = NAME(gelu_grad_loop),
        [FWI_SILU] = NAME(silu_grad_loop),       [FWI_TANH] = NAME(tanh_grad_loop),
        [FWI_SIGMOID] = NAME(sigmoid_grad_loop), [FWI_SOFTPLUS] = NAME(softplus_grad_loop)};
    const fwi_call *const c = arg;
    const int64_t begin = part * LOOP_BLOCK;
    const int64_t n = min_i64(LOOP_BLOCK, elems_of(&c->in[0].shape) - begin);
    loops[c->attr->act.fn](n, (REAL)c->attr->act.alpha, (const REAL *)c->in[0].data + begin,
                           (const REAL *)c->in[1].data + begin, (REAL *)c->out[0].data + begin);
}

fw_status FN(act_grad)(const fwi_call *c)
{
    return loop_elems(c, elems_of(&c->in[0].shape), NAME(act_grad_part));
}
