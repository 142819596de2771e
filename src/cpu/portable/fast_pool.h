/* fast_pool.h: pools, a line of the output per task, vectors along the channels. Included once per
 * element type and instruction set. Definitions: cpu/ref/pool_body.h. */

/* One window element against the best so far: larger, or the first NaN. */
static inline bool NAME(larger)(REAL v, REAL best)
{
    return (!(v <= best)) & (best == best);
}

/* best, place = the first maximum of four places of a 2 x 2 window. */
static void NAME(max4)(int64_t c, const REAL *restrict a, const REAL *restrict b, REAL *restrict y,
                       uint8_t *restrict idx)
{
    for (int64_t i = 0; i < c; i++) {
        REAL best = a[i];
        uint8_t place = 0;
        const bool t1 = NAME(larger)(a[c + i], best);
        best = t1 ? a[c + i] : best;
        place = t1 ? 1 : place;
        const bool t2 = NAME(larger)(b[i], best);
        best = t2 ? b[i] : best;
        place = t2 ? 2 : place;
        const bool t3 = NAME(larger)(b[c + i], best);
        best = t3 ? b[c + i] : best;
        place = t3 ? 3 : place;
        y[i] = best;
        idx[i] = place;
    }
}

static void NAME(max_pool_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t k = call->attr->pool.k, stride = call->attr->pool.stride;
    const int64_t h = call->in[0].shape.d[1], w = call->in[0].shape.d[2];
    const int64_t oh = call->out[0].shape.d[1], ow = call->out[0].shape.d[2];
    const int64_t c = call->in[0].shape.d[3], image = line / oh, y = line % oh;
    const REAL *restrict x = (const REAL *)call->in[0].data + (image * h + y * stride) * w * c;
    REAL *restrict out = (REAL *)call->out[0].data + line * ow * c;
    uint8_t *restrict idx = (uint8_t *)call->out[1].data + line * ow * c;
    for (int64_t o = 0; o < ow; o++, x += stride * c, out += c, idx += c) {
        if (k == 2) {
            NAME(max4)(c, x, x + w * c, out, idx);
            continue;
        }
        memcpy(out, x, (size_t)c * sizeof(REAL));
        memset(idx, 0, (size_t)c);
        for (int64_t p = 1; p < k * k; p++) {
            const REAL *const restrict v = x + (p / k * w + p % k) * c;
            for (int64_t i = 0; i < c; i++) {
                const bool take = NAME(larger)(v[i], out[i]);
                out[i] = take ? v[i] : out[i];
                idx[i] = take ? (uint8_t)p : idx[i];
            }
        }
    }
}

fw_status FN(max_pool)(const fwi_call *c)
{
    const fwi_shape *const y = &c->out[0].shape;
    fwi_pool_for(c->pool, y->d[0] * y->d[1], NAME(max_pool_line), (void *)c);
    return FW_OK;
}

/* A line of dx, from the windows that cover it: no place is written by two tasks. */
static void NAME(max_pool_grad_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t k = call->attr->pool.k, stride = call->attr->pool.stride;
    const int64_t oh = call->in[0].shape.d[1], ow = call->in[0].shape.d[2];
    const int64_t h = call->out[0].shape.d[1], w = call->out[0].shape.d[2];
    const int64_t c = call->out[0].shape.d[3], image = line / h, y = line % h;
    REAL *const restrict dx = (REAL *)call->out[0].data + line * w * c;
    int64_t begin, end;
    pool_windows(y, k, stride, oh, &begin, &end);
    const bool once = stride >= k && begin < end; /* windows do not overlap: written, not added */
    const int64_t covered = once ? (stride == k ? ow * k : 0) : 0;
    memset(dx + covered * c, 0, (size_t)((w - covered) * c) * sizeof(REAL));
    for (int64_t o = begin; o < end; o++)
        for (int64_t ox = 0; ox < ow; ox++) {
            const int64_t at = ((image * oh + o) * ow + ox) * c;
            const REAL *const restrict dy = (const REAL *)call->in[0].data + at;
            const uint8_t *const restrict idx = (const uint8_t *)call->in[1].data + at;
            for (int64_t kx = 0; kx < k; kx++) {
                const uint8_t place = (uint8_t)((y - o * stride) * k + kx);
                REAL *const restrict d = dx + (ox * stride + kx) * c;
                if (once) {
                    for (int64_t i = 0; i < c; i++)
                        d[i] = idx[i] == place ? dy[i] : 0;
                } else {
                    for (int64_t i = 0; i < c; i++)
                        d[i] += idx[i] == place ? dy[i] : 0;
                }
            }
        }
}

fw_status FN(max_pool_grad)(const fwi_call *c)
{
    const fwi_shape *const dx = &c->out[0].shape;
    fwi_pool_for(c->pool, dx->d[0] * dx->d[1], NAME(max_pool_grad_line), (void *)c);
    return FW_OK;
}

static void NAME(avg_pool_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t k = call->attr->pool.k, stride = call->attr->pool.stride;
    const int64_t h = call->in[0].shape.d[1], w = call->in[0].shape.d[2];
    const int64_t oh = call->out[0].shape.d[1], ow = call->out[0].shape.d[2];
    const int64_t c = call->in[0].shape.d[3], image = line / oh, y = line % oh;
    const REAL share = (REAL)(1.0 / (double)(k * k));
    const REAL *restrict x = (const REAL *)call->in[0].data + (image * h + y * stride) * w * c;
    REAL *restrict out = (REAL *)call->out[0].data + line * ow * c;
    for (int64_t o = 0; o < ow; o++, x += stride * c, out += c) {
        memcpy(out, x, (size_t)c * sizeof(REAL));
        for (int64_t p = 1; p < k * k; p++) {
            const REAL *const restrict v = x + (p / k * w + p % k) * c;
            for (int64_t i = 0; i < c; i++)
                out[i] += v[i];
        }
        for (int64_t i = 0; i < c; i++)
            out[i] *= share;
    }
}

fw_status FN(avg_pool)(const fwi_call *c)
{
    const fwi_shape *const y = &c->out[0].shape;
    fwi_pool_for(c->pool, y->d[0] * y->d[1], NAME(avg_pool_line), (void *)c);
    return FW_OK;
}

static void NAME(avg_pool_grad_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t k = call->attr->pool.k, stride = call->attr->pool.stride;
    const int64_t oh = call->in[0].shape.d[1], ow = call->in[0].shape.d[2];
    const int64_t h = call->out[0].shape.d[1], w = call->out[0].shape.d[2];
    const int64_t c = call->out[0].shape.d[3], image = line / h, y = line % h;
    const REAL share = (REAL)(1.0 / (double)(k * k));
    REAL *const restrict dx = (REAL *)call->out[0].data + line * w * c;
    int64_t begin, end;
    pool_windows(y, k, stride, oh, &begin, &end);
    memset(dx, 0, (size_t)(w * c) * sizeof(REAL));
    for (int64_t o = begin; o < end; o++)
        for (int64_t ox = 0; ox < ow; ox++) {
            const REAL *const restrict dy =
                (const REAL *)call->in[0].data + ((image * oh + o) * ow + ox) * c;
            for (int64_t kx = 0; kx < k; kx++) {
                REAL *const restrict d = dx + (ox * stride + kx) * c;
                for (int64_t i = 0; i < c; i++)
                    d[i] += share * dy[i];
            }
        }
}

fw_status FN(avg_pool_grad)(const fwi_call *c)
{
    const fwi_shape *const dx = &c->out[0].shape;
    fwi_pool_for(c->pool, dx->d[0] * dx->d[1], NAME(avg_pool_grad_line), (void *)c);
    return FW_OK;
}

/* ---- global pools: an image per task ---- */
static void NAME(global_max_image)(void *arg, int64_t image, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t places = call->in[0].shape.d[1] * call->in[0].shape.d[2];
    const int64_t c = call->in[0].shape.d[3];
    const REAL *restrict x = (const REAL *)call->in[0].data + image * places * c;
    REAL *const restrict y = (REAL *)call->out[0].data + image * c;
    int32_t *const restrict idx = (int32_t *)call->out[1].data + image * c;
    memcpy(y, x, (size_t)c * sizeof(REAL));
    memset(idx, 0, (size_t)c * sizeof(int32_t));
    for (int32_t p = 1; p < places; p++) {
        x += c;
        for (int64_t i = 0; i < c; i++) {
            const bool take = NAME(larger)(x[i], y[i]);
            y[i] = take ? x[i] : y[i];
            idx[i] = take ? p : idx[i];
        }
    }
}

fw_status FN(global_max_pool)(const fwi_call *c)
{
    fwi_pool_for(c->pool, c->in[0].shape.d[0], NAME(global_max_image), (void *)c);
    return FW_OK;
}

static void NAME(global_max_grad_image)(void *arg, int64_t image, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t places = call->out[0].shape.d[1] * call->out[0].shape.d[2];
    const int64_t c = call->out[0].shape.d[3];
    const REAL *const restrict dy = (const REAL *)call->in[0].data + image * c;
    const int32_t *const restrict idx = (const int32_t *)call->in[1].data + image * c;
    REAL *restrict dx = (REAL *)call->out[0].data + image * places * c;
    for (int32_t p = 0; p < places; p++, dx += c)
        for (int64_t i = 0; i < c; i++)
            dx[i] = idx[i] == p ? dy[i] : 0;
}

fw_status FN(global_max_pool_grad)(const fwi_call *c)
{
    fwi_pool_for(c->pool, c->out[0].shape.d[0], NAME(global_max_grad_image), (void *)c);
    return FW_OK;
}

static void NAME(global_avg_image)(void *arg, int64_t image, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t places = call->in[0].shape.d[1] * call->in[0].shape.d[2];
    const int64_t c = call->in[0].shape.d[3];
    const REAL *restrict x = (const REAL *)call->in[0].data + image * places * c;
    REAL *const restrict y = (REAL *)call->out[0].data + image * c;
    const REAL share = (REAL)(1.0 / (double)places);
    memcpy(y, x, (size_t)c * sizeof(REAL));
    for (int64_t p = 1; p < places; p++) {
        x += c;
        for (int64_t i = 0; i < c; i++)
            y[i] += x[i];
    }
    for (int64_t i = 0; i < c; i++)
        y[i] *= share;
}

fw_status FN(global_avg_pool)(const fwi_call *c)
{
    fwi_pool_for(c->pool, c->in[0].shape.d[0], NAME(global_avg_image), (void *)c);
    return FW_OK;
}

static void NAME(global_avg_grad_image)(void *arg, int64_t image, int slot)
{
    (void)slot;
    const fwi_call *const call = arg;
    const int64_t places = call->out[0].shape.d[1] * call->out[0].shape.d[2];
    const int64_t c = call->out[0].shape.d[3];
    const REAL *const restrict dy = (const REAL *)call->in[0].data + image * c;
    REAL *restrict dx = (REAL *)call->out[0].data + image * places * c;
    const REAL share = (REAL)(1.0 / (double)places);
    for (int64_t p = 0; p < places; p++, dx += c)
        for (int64_t i = 0; i < c; i++)
            dx[i] = share * dy[i];
}

fw_status FN(global_avg_pool_grad)(const fwi_call *c)
{
    fwi_pool_for(c->pool, c->out[0].shape.d[0], NAME(global_avg_grad_image), (void *)c);
    return FW_OK;
}
