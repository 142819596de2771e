/* fast_resize.h: images of another size, some lines of the output per task. Included once per element
 * type and instruction set. Definitions: cpu/ref/resize_body.h. They stand between the input and the
 * first layer, where images have few channels, so a pixel is the unit: vectors would mostly be empty.
 * 1536 images of 24 x 24 x 3 are 2.7 million values of four products each, and nobody wants their
 * gradient; the network behind them multiplies some 10^11 times. */

/* An output pixel along one axis: shares of the input's pixels `first` and `second`. */
typedef struct NAME(tap) {
    int64_t first, second;
    REAL share[2];
} NAME(tap);

/* The smaller image's pixels (of resize, the output's) along both axes, worked out once per call: in
 * double, with a division each. */
typedef struct NAME(resize_job) {
    const fwi_call *call;
    fwi_loop_fn line; /* what is done with each line, of so many */
    int64_t lines, per_task;
    NAME(tap) * down, *along; /* [h], [w] */
} NAME(resize_job);

static inline NAME(tap) NAME(tap_of)(int64_t o, int64_t h, int64_t ih)
{
    double s = ((double)o + 0.5) * (double)ih / (double)h - 0.5;
    s = s < 0 ? 0 : s > (double)(ih - 1) ? (double)(ih - 1) : s;
    const int64_t first = (int64_t)s;
    const double t = s - (double)first;
    /* the pixel behind the last one has no share, and is not read */
    return (NAME(tap)){first, t > 0 ? first + 1 : first, {(REAL)(1 - t), (REAL)t}};
}

/* to: images as resize gives them, whose sizes are those of the tables. */
static void NAME(resize_plan)(NAME(resize_job) * g, const fwi_call *c, const fwi_arg *to,
                              scratch_cut *s)
{
    g->call = c;
    g->down = scratch_take(s, to->shape.d[1], sizeof(NAME(tap)));
    g->along = scratch_take(s, to->shape.d[2], sizeof(NAME(tap)));
}
static void NAME(resize_taps)(const NAME(resize_job) * g, const fwi_shape *to,
                              const fwi_shape *from)
{
    for (int64_t o = 0; o < to->d[1]; o++)
        g->down[o] = NAME(tap_of)(o, to->d[1], from->d[1]);
    for (int64_t o = 0; o < to->d[2]; o++)
        g->along[o] = NAME(tap_of)(o, to->d[2], from->d[2]);
}

static void NAME(resize_lines)(void *arg, int64_t task, int slot)
{
    const NAME(resize_job) *const g = arg;
    const int64_t end = min_i64(g->lines, (task + 1) * g->per_task);
    for (int64_t line = task * g->per_task; line < end; line++)
        g->line(arg, line, slot);
}
/* Runs line for each line of an output of shape s. */
static fw_status NAME(resize_run)(NAME(resize_job) * g, const fwi_shape *s, fwi_loop_fn line)
{
    g->line = line;
    g->lines = s->d[0] * s->d[1];
    g->per_task = block_rows(s->d[2] * s->d[3]);
    fwi_pool_for(g->call->pool, parts_of(g->lines, g->per_task), NAME(resize_lines), g);
    return FW_OK;
}

static void NAME(resize_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const NAME(resize_job) *const g = arg;
    const fwi_call *const call = g->call;
    const int64_t ih = call->in[0].shape.d[1], iw = call->in[0].shape.d[2];
    const int64_t h = call->out[0].shape.d[1], w = call->out[0].shape.d[2];
    const int64_t c = call->out[0].shape.d[3], image = line / h;
    const NAME(tap) v = g->down[line % h];
    const REAL *const x = (const REAL *)call->in[0].data + image * ih * iw * c;
    const REAL *const top = x + v.first * iw * c, *const bottom = x + v.second * iw * c;
    REAL *restrict y = (REAL *)call->out[0].data + line * w * c;
    for (int64_t o = 0; o < w; o++, y += c) {
        const NAME(tap) u = g->along[o];
        const int64_t a = u.first * c, b = u.second * c;
        for (int64_t i = 0; i < c; i++) {
            REAL sum = v.share[0] * (u.share[0] * top[a + i]);
            if (u.share[1] > 0)
                sum += v.share[0] * (u.share[1] * top[b + i]);
            if (v.share[1] > 0)
                sum += v.share[1] * (u.share[0] * bottom[a + i]);
            if (v.share[1] > 0 && u.share[1] > 0)
                sum += v.share[1] * (u.share[1] * bottom[b + i]);
            y[i] = sum;
        }
    }
}

size_t FN(resize_scratch)(const fwi_call *c)
{
    NAME(resize_job) g;
    scratch_cut s = {0};
    NAME(resize_plan)(&g, c, &c->out[0], &s);
    return s.used;
}
fw_status FN(resize)(const fwi_call *c)
{
    const fwi_shape *const y = &c->out[0].shape;
    NAME(resize_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(resize_plan)(&g, c, &c->out[0], &s);
    NAME(resize_taps)(&g, y, &c->in[0].shape);
    return NAME(resize_run)(&g, y, NAME(resize_line));
}

/* A line of dx gathers from the lines of dy that it gave to, in their order. */
static void NAME(resize_grad_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const NAME(resize_job) *const g = arg;
    const fwi_call *const call = g->call;
    const int64_t h = call->in[0].shape.d[1], w = call->in[0].shape.d[2];
    const int64_t ih = call->out[0].shape.d[1], iw = call->out[0].shape.d[2];
    const int64_t c = call->out[0].shape.d[3], image = line / ih, at = line % ih;
    REAL *const restrict dx = (REAL *)call->out[0].data + line * iw * c;
    memset(dx, 0, (size_t)(iw * c) * sizeof(REAL));
    for (int64_t o = 0; o < h; o++) {
        const NAME(tap) v = g->down[o];
        const REAL share = at == v.first ? v.share[0] : at == v.second ? v.share[1] : 0;
        if (!(share > 0))
            continue;
        const REAL *dy = (const REAL *)call->in[0].data + (image * h + o) * w * c;
        for (int64_t q = 0; q < w; q++, dy += c) {
            const NAME(tap) u = g->along[q];
            for (int64_t i = 0; i < c; i++)
                dx[u.first * c + i] += share * (u.share[0] * dy[i]);
            for (int64_t i = 0; u.share[1] > 0 && i < c; i++)
                dx[u.second * c + i] += share * (u.share[1] * dy[i]);
        }
    }
}

size_t FN(resize_grad_scratch)(const fwi_call *c)
{
    NAME(resize_job) g;
    scratch_cut s = {0};
    NAME(resize_plan)(&g, c, &c->in[0], &s);
    return s.used;
}
fw_status FN(resize_grad)(const fwi_call *c)
{
    const fwi_shape *const dx = &c->out[0].shape;
    NAME(resize_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(resize_plan)(&g, c, &c->in[0], &s);
    NAME(resize_taps)(&g, &c->in[0].shape, dx);
    return NAME(resize_run)(&g, dx, NAME(resize_grad_line));
}

static void NAME(crop_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = ((const NAME(resize_job) *)arg)->call;
    const int64_t ih = call->in[0].shape.d[1], iw = call->in[0].shape.d[2];
    const int64_t h = call->out[0].shape.d[1], w = call->out[0].shape.d[2];
    const int64_t c = call->out[0].shape.d[3];
    const int64_t row = line / h * ih + (ih - h) / 2 + line % h;
    memcpy((REAL *)call->out[0].data + line * w * c,
           (const REAL *)call->in[0].data + (row * iw + (iw - w) / 2) * c,
           (size_t)(w * c) * sizeof(REAL));
}

fw_status FN(crop)(const fwi_call *c)
{
    return NAME(resize_run)(&(NAME(resize_job)){.call = c}, &c->out[0].shape, NAME(crop_line));
}

static void NAME(crop_grad_line)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const fwi_call *const call = ((const NAME(resize_job) *)arg)->call;
    const int64_t h = call->in[0].shape.d[1], w = call->in[0].shape.d[2];
    const int64_t ih = call->out[0].shape.d[1], iw = call->out[0].shape.d[2];
    const int64_t c = call->out[0].shape.d[3], image = line / ih;
    const int64_t at = line % ih - (ih - h) / 2, left = (iw - w) / 2;
    REAL *const dx = (REAL *)call->out[0].data + line * iw * c;
    if (at < 0 || at >= h) {
        memset(dx, 0, (size_t)(iw * c) * sizeof(REAL));
        return;
    }
    memset(dx, 0, (size_t)(left * c) * sizeof(REAL));
    memcpy(dx + left * c, (const REAL *)call->in[0].data + (image * h + at) * w * c,
           (size_t)(w * c) * sizeof(REAL));
    memset(dx + (left + w) * c, 0, (size_t)((iw - left - w) * c) * sizeof(REAL));
}

fw_status FN(crop_grad)(const fwi_call *c)
{
    return NAME(resize_run)(&(NAME(resize_job)){.call = c}, &c->out[0].shape, NAME(crop_grad_line));
}
