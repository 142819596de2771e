/* fast_fused_grad.h: the sweeps of fast_fused.h backwards, in two readings, the first for the sums that
 * the norm's gradient needs, the second for dx; what lies between x and the result is worked out
 * again rather than stored. Definition: cpu/ref/fused_body.h. */
#ifdef LANES_BF16 /* a place in a window, as wide as what is stored */
#define PLACE uint16_t
#else
#define PLACE int32_t
#endif

/* ---- passes ---- */
/* z = norm(x), d = x - mean */
static void NAME(fused_norm)(const NAME(fused_job) * g, int64_t n, int64_t from,
                             const STORE *restrict x, REAL *restrict d, REAL *restrict z)
{
    const REAL *restrict mean = g->mean + from, *restrict scale = g->scale + from;
    const REAL *restrict beta = g->beta + from;
    for (int64_t i = 0; i < n; i++) {
        d[i] = LOAD(x[i]) - mean[i];
        z[i] = MADD(d[i], scale[i], beta[i]);
    }
}
/* z becomes what arrives at the activation's input when dy arrives at its output. */
static void NAME(fused_back)(const NAME(fused_job) * g, int64_t n, const STORE *restrict dy,
                             REAL *restrict z)
{
    if (g->fn == FWI_FUSED_RELU) {
        for (int64_t i = 0; i < n; i++) {
            const REAL v = LOAD(dy[i]);
            z[i] = z[i] <= 0 ? 0 : v;
        }
    } else if (g->fn == FWI_FUSED_IDENTITY) {
        NAME(load_run)(n, dy, z);
    } else {
        NAME(slope_run)(g->fn, n, g->alpha, z);
        for (int64_t i = 0; i < n; i++)
            z[i] *= LOAD(dy[i]);
    }
}
static void NAME(fused_sum)(int64_t n, const REAL *restrict v, const REAL *restrict d,
                            REAL *restrict s0, REAL *restrict s1)
{
    for (int64_t i = 0; i < n; i++) {
        s0[i] += v[i];
        s1[i] = MADD(v[i], d[i], s1[i]);
    }
}
/* v = scale (v - p - d q) */
static void NAME(fused_dx)(const NAME(fused_job) * g, int64_t n, int64_t from, REAL *restrict v,
                           const REAL *restrict d)
{
    const REAL *restrict scale = g->scale + from, *restrict p = g->p + from;
    const REAL *restrict q = g->q + from;
    for (int64_t i = 0; i < n; i++)
        v[i] = scale[i] * (v[i] - p[i] - d[i] * q[i]);
}
static void NAME(fused_places)(int64_t n, const uint8_t *restrict idx, PLACE *restrict place)
{
    for (int64_t i = 0; i < n; i++)
        place[i] = idx[i];
}
/* x of the place that was the maximum: for each p, where it is that. A function of its own: inlined, gcc 12 makes no
 * vectors of it. */
static __attribute__((noinline)) void NAME(fused_choose)(int64_t n, const STORE *restrict from,
                                                         const PLACE *restrict place, PLACE p,
                                                         STORE *restrict x)
{
    for (int64_t i = 0; i < n; i++) {
        const STORE v = from[i];
        x[i] = place[i] == p ? v : x[i];
    }
}
/* y = v where the maximum was p, else 0 */
static void NAME(fused_only)(int64_t n, const STORE *restrict v, const PLACE *restrict place,
                             PLACE p, STORE *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = place[i] == p ? v[i] : 0;
}
/* dx at place p of a window whose maximum, at `place`, gets v; x: there. */
static void NAME(fused_dx_at)(const NAME(fused_job) * g, int64_t n, int64_t from,
                              const STORE *restrict x, const REAL *restrict v,
                              const uint8_t *restrict place, int32_t p, REAL *restrict dx)
{
    const REAL *restrict mean = g->mean + from, *restrict scale = g->scale + from;
    const REAL *restrict part = g->p + from, *restrict q = g->q + from;
    for (int64_t i = 0; i < n; i++) {
        const int32_t at = place[i];
        const REAL here = at == p ? v[i] : 0;
        dx[i] = scale[i] * (here - part[i] - (LOAD(x[i]) - mean[i]) * q[i]);
    }
}

/* ---- tasks ---- */
/* Elements at .. at+len of a place: d = x - mean and v, what arrives at the norm's output there; of
 * a pool in front of which x lies, x is that of the maximum, and place says which one it was. */
static void NAME(fused_arrives)(const NAME(fused_job) * g, int64_t i, int64_t at, int64_t len,
                                int64_t from, PLACE *place, REAL *d, REAL *v)
{
    const STORE *const x = g->x->data, *x_at = x + i * g->run + at;
    _Alignas(64) STORE chosen[RUN_MAX];
    if (g->idx != NULL)
        NAME(fused_places)(len, g->idx + i * g->run + at, place);
    if (g->pooled_x) {
        memcpy(chosen, x + NAME(fused_window)(g, i, 0) + at, (size_t)len * sizeof(STORE));
        for (int64_t p = 1; p < g->k * g->k; p++)
            NAME(fused_choose)
        (len, x + NAME(fused_window)(g, i, p) + at, place, (PLACE)p, chosen);
        x_at = chosen;
    }
    NAME(fused_norm)(g, len, from, x_at, d, v);
    NAME(fused_back)(g, len, (const STORE *)g->dy->data + i * g->run + at, v);
}

/* A task's sums of v and of v d. */
static void NAME(fused_sums_task)(void *arg, int64_t task, int slot)
{
    const NAME(fused_job) *const g = arg;
    const NAME(fused_groups) b = NAME(fused_groups_of)(g, task / g->cut.chunks);
    const int64_t end = group_end(&g->cut, task);
    REAL *const s = g->s + slot * g->cut.most * 2 * g->width;
    double *const sum = g->sums + task * g->cut.most * 2 * g->c;
    const int64_t most = FUSED_VALUES / parts_of(g->run, g->width); /* places between flushes */
    int64_t since = 0;
    _Alignas(64) REAL d[RUN_MAX], v[RUN_MAX];
    _Alignas(64) PLACE place[RUN_MAX];
    memset(s, 0, (size_t)(b.count * 2 * g->width) * sizeof(REAL));
    memset(sum, 0, (size_t)(b.count * 2 * g->c) * sizeof(double));
    for (int64_t i = group_begin(&g->cut, task); i < end; i++) {
        for (NAME(fused_part) r = NAME(fused_first)(g, &b, NAME(fused_valid)(g, i)); r.at < r.end;
             NAME(fused_next)(g, &b, &r)) {
            NAME(fused_arrives)(g, i, r.at, r.len, r.from, place, d, v);
            NAME(fused_sum)(r.len, v, d, s + r.sum, s + g->width + r.sum);
            if (g->store_sum)
                NAME(keep_run)(r.len, v, (STORE *)g->call->out[0].data + i * g->run + r.at);
        }
        if (++since >= most) {
            NAME(fused_flush)(g, b.count, s, sum);
            since = 0;
        }
    }
    NAME(fused_flush)(g, b.count, s, sum);
}

static inline void NAME(fused_write)(const NAME(fused_job) * g, int64_t n, const STORE *v, STORE *y)
{
    if (g->stream)
        stream_out(v, y, (size_t)n * sizeof(STORE));
    else
        memcpy(y, v, (size_t)n * sizeof(STORE));
}

/* dx = scale (v - (sum v) / n - (x - mean) q), q = (sum v (x - mean)) / (n std^2), as fast_bn.h. */
static void NAME(fused_dx_task)(void *arg, int64_t task, int slot)
{
    (void)slot;
    const NAME(fused_job) *const g = arg;
    const NAME(fused_groups) b = NAME(fused_groups_of)(g, task / g->cut.chunks);
    const int64_t end = group_end(&g->cut, task);
    STORE *const dx = g->call->out[0].data;
    _Alignas(64) REAL d[RUN_MAX], v[RUN_MAX];
    _Alignas(64) STORE kept[RUN_MAX], only[RUN_MAX];
    _Alignas(64) PLACE place[RUN_MAX];
    for (int64_t i = group_begin(&g->cut, task); i < end; i++)
        for (NAME(fused_part) r = NAME(fused_first)(g, &b, g->run); r.at < r.end;
             NAME(fused_next)(g, &b, &r)) {
            const int64_t at = r.at, len = r.len, from = r.from;
            NAME(fused_arrives)(g, i, at, len, from, place, d, v);
            if (g->k == 0) {
                NAME(fused_dx)(g, len, from, v, d);
                NAME(keep_run)(len, v, dx + i * g->run + at);
                continue;
            }
            if (!g->pooled_x) {
                NAME(fused_dx)(g, len, from, v, d);
                NAME(keep_run)(len, v, kept);
            }
            for (int32_t p = 0; p < g->k * g->k; p++) {
                const int64_t to = NAME(fused_window)(g, i, p) + at;
                if (g->pooled_x) {
                    NAME(fused_dx_at)
                    (g, len, from, (const STORE *)g->x->data + to, v, g->idx + i * g->run + at, p,
                     d);
                    NAME(keep_run)(len, d, only);
                } else {
                    NAME(fused_only)(len, kept, place, (PLACE)p, only);
                }
                NAME(fused_write)(g, len, only, dx + to);
            }
        }
    if (g->stream)
        stream_end();
}

/* Pixels of the larger image that fill no window: nothing arrives there. A line of it per task. */
static void NAME(fused_rest_task)(void *arg, int64_t line, int slot)
{
    (void)slot;
    const NAME(fused_job) *const g = arg;
    const int64_t first = line % g->h < g->ph * g->k ? g->pw * g->k : 0;
    const NAME(fused_groups) b = NAME(fused_groups_of)(g, line / g->h);
    _Alignas(64) REAL d[RUN_MAX], v[RUN_MAX];
    for (int64_t pixel = first; pixel < g->w; pixel++)
        for (NAME(fused_part) r = NAME(fused_first)(g, &b, g->run); r.at < r.end;
             NAME(fused_next)(g, &b, &r)) {
            const int64_t to = (line * g->w + pixel) * g->run + r.at;
            if (g->pooled_x)
                NAME(fused_norm)(g, r.len, r.from, (const STORE *)g->x->data + to, d, v);
            memset(v, 0, sizeof v);
            if (g->pooled_x)
                NAME(fused_dx)(g, r.len, r.from, v, d);
            NAME(keep_run)(r.len, v, (STORE *)g->call->out[0].data + to);
        }
}

/* dy [idx] x gamma beta mean var */
static void NAME(fused_backward)(NAME(fused_job) * g, const fwi_call *c, scratch_cut *s)
{
    const bool pool = c->kind == FWI_OP_bn_act_pool_grad || c->kind == FWI_OP_bn_act_unpool_grad;
    const fwi_shape *const mean = &c->in[pool ? 5 : 4].shape;
    const int64_t groups = c->kind == FWI_OP_bias_act_grad ? 1 : fwi_stat_groups(mean);
    NAME(fused_plan)(g, c, &c->in[0], groups, s);
    g->dy = &c->in[0];
    g->idx = pool ? c->in[1].data : NULL;
    g->x = &c->in[pool ? 2 : 1];
    g->pooled_x = c->kind == FWI_OP_bn_act_pool_grad;
    g->h = c->out[0].shape.d[1];
    g->w = c->out[0].shape.d[2];
    g->stream = pool && stored_of(&c->out[0]) * (int64_t)sizeof(STORE) > fwi_stream_from;
}

/* A group's sums of v and of v d, [2][c], of a task that has some of it: number i of these. */
static double *NAME(fused_sums)(const NAME(fused_job) * g, int64_t group, int64_t i)
{
    int64_t task;
    return g->sums + group_sum(&g->cut, group, i, &task) * 2 * g->c;
}
/* Joins them, in order, in the place of the first. */
static double *NAME(fused_join)(const NAME(fused_job) * g, int64_t group)
{
    double *const restrict sum = NAME(fused_sums)(g, group, 0);
    for (int64_t t = 1; t < group_sums(&g->cut, group); t++) {
        const double *const restrict add = NAME(fused_sums)(g, group, t);
        for (int64_t i = 0; i < 2 * g->c; i++)
            sum[i] += add[i];
    }
    return sum;
}
/* What the second reading needs of a group; of its sums, the first become its dbeta and dgamma. */
static void NAME(fused_join_task)(void *arg, int64_t group, int slot)
{
    (void)slot;
    const NAME(fused_job) *const g = arg;
    double *const sum = NAME(fused_join)(g, group);
    const REAL *const var = (const REAL *)g->norm[3].data + group * g->c;
    const int64_t *const x = g->x->shape.d;
    const double count = (double)(g->cut.len * x[1] * x[2]);
    REAL *const p = g->p + group * g->width, *const q = g->q + group * g->width;
    for (int64_t i = 0; i < g->c; i++) {
        const double inv_var = 1.0 / ((double)var[i] + g->call->attr->bn_act.eps);
        p[i] = (REAL)(sum[i] / count);
        q[i] = (REAL)(sum[g->c + i] * inv_var / count);
        sum[g->c + i] *= sqrt(inv_var);
    }
    for (int64_t i = g->c; i < g->width; i++) {
        p[i] = p[i - g->c];
        q[i] = q[i - g->c];
    }
}

size_t FN(bn_act_grad_scratch)(const fwi_call *c)
{
    NAME(fused_job) g;
    scratch_cut s = {0};
    NAME(fused_backward)(&g, c, &s);
    return s.used;
}
fw_status FN(bn_act_grad)(const fwi_call *c)
{
    NAME(fused_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(fused_backward)(&g, c, &s);
    NAME(fused_norm_of)(&g, g.x + 1);
    REAL *const dgamma = c->out[1].data, *const dbeta = c->out[2].data;
    fwi_pool_for(c->pool, g.cut.tasks, NAME(fused_task)(&g, FUSED_SUMS_IN, NAME(fused_sums_task)),
                 &g);
    fwi_pool_for(c->pool, g.cut.groups, NAME(fused_join_task), &g);
    double *const sum = NAME(fused_sums)(&g, 0, 0);
    for (int64_t group = 1; group < g.cut.groups; group++)
        for (int64_t i = 0; i < 2 * g.c; i++)
            sum[i] += NAME(fused_sums)(&g, group, 0)[i];
    for (int64_t i = 0; i < g.c; i++) {
        dbeta[i] = (REAL)sum[i];
        dgamma[i] = (REAL)sum[g.c + i];
    }
    fwi_pool_for(c->pool, g.cut.tasks, NAME(fused_task)(&g, FUSED_DX_OUT, NAME(fused_dx_task)), &g);
    if (g.k > 0 && (g.ph * g.k < g.h || g.pw * g.k < g.w))
        fwi_pool_for(c->pool, wide_images(&c->out[0]) * g.h, NAME(fused_rest_task), &g);
    return FW_OK;
}
size_t FN(bn_act_pool_grad_scratch)(const fwi_call *c)
{
    return FN(bn_act_grad_scratch)(c);
}
fw_status FN(bn_act_pool_grad)(const fwi_call *c)
{
    return FN(bn_act_grad)(c);
}
size_t FN(bn_act_unpool_grad_scratch)(const fwi_call *c)
{
    return FN(bn_act_grad_scratch)(c);
}
fw_status FN(bn_act_unpool_grad)(const fwi_call *c)
{
    return FN(bn_act_grad)(c);
}

size_t FN(bias_act_grad_scratch)(const fwi_call *c)
{
    return FN(bn_act_grad_scratch)(c);
}
fw_status FN(bias_act_grad)(const fwi_call *c)
{
    NAME(fused_job) g;
    scratch_cut s = {.base = c->scratch};
    NAME(fused_backward)(&g, c, &s);
    NAME(fused_bias_of)(&g, &c->in[2]);
    g.store_sum = true;
    REAL *const db = c->out[1].data;
    fwi_pool_for(c->pool, g.cut.tasks, NAME(fused_task)(&g, FUSED_SUMS_IN, NAME(fused_sums_task)),
                 &g);
    const double *const sum = NAME(fused_join)(&g, 0);
    for (int64_t i = 0; i < g.c; i++)
        db[i] = (REAL)sum[i];
    return FW_OK;
}
#undef PLACE
