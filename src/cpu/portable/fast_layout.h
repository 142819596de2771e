/* fast_layout.h: between n h w c in REAL and batch-blocked images in STORE (ir.h, fwi_layout).
 * Included once per storage type and instruction set. Definition: cpu/ref/layout.c. */
#include "fast_store.h"

/* A line of a block of images. */
static void NAME(to_blocked_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const fwi_arg *const y = &call->out[0];
    const int64_t h = y->shape.d[1], w = y->shape.d[2], c = y->shape.d[3], nb = y->nb;
    const int64_t i0 = line / h * nb, m = min_i64(nb, y->shape.d[0] - i0);
    STORE *const out = (STORE *)y->data + line * w * nb * c;
    for (int64_t i = 0; i < m; i++) {
        const REAL *const x = (const REAL *)call->in[0].data + ((i0 + i) * h + line % h) * w * c;
        for (int64_t p = 0; p < w; p++) {
            STORE *const restrict to = out + (p * nb + i) * c;
            const REAL *const restrict from = x + p * c;
            for (int64_t k = 0; k < c; k++)
                to[k] = KEEP(from[k]);
        }
    }
}

fw_status FN(to_blocked)(const fwi_call *c)
{
    const fwi_arg *const y = &c->out[0];
    fwi_pool_for(c->pool, wide_images(y) * y->shape.d[1], NAME(to_blocked_line), (void *)c);
    return FW_OK;
}

static void NAME(from_blocked_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const fwi_arg *const x = &call->in[0];
    const int64_t h = x->shape.d[1], w = x->shape.d[2], c = x->shape.d[3], nb = x->nb;
    const int64_t i0 = line / h * nb, m = min_i64(nb, x->shape.d[0] - i0);
    const STORE *const in = (const STORE *)x->data + line * w * nb * c;
    for (int64_t i = 0; i < m; i++) {
        REAL *const y = (REAL *)call->out[0].data + ((i0 + i) * h + line % h) * w * c;
        for (int64_t p = 0; p < w; p++) {
            const STORE *const restrict from = in + (p * nb + i) * c;
            REAL *const restrict to = y + p * c;
            for (int64_t k = 0; k < c; k++)
                to[k] = LOAD(from[k]);
        }
    }
}

fw_status FN(from_blocked)(const fwi_call *c)
{
    const fwi_arg *const x = &c->in[0];
    fwi_pool_for(c->pool, wide_images(x) * x->shape.d[1], NAME(from_blocked_line), (void *)c);
    return FW_OK;
}
