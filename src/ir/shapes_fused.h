/* shapes_fused.h: the shape rules of fused ops, a part of shapes.c that is included there once. They
 * lean on the rules of the ops that they stand for and add what fusing asks: one group of
 * statistics, pools whose windows lie side by side. Read before: shapes.c, the last part of
 * ops.def. */

/* ---- fused ops ---- */

static fw_status fused_fn(int64_t fn, double alpha)
{
    TRY(want_int("fn", fn, 0, FWI_FUSED_COUNT - 1));
    return fn == FWI_CELU ? want_positive("alpha", alpha) : want_finite("alpha", alpha);
}

/* Inputs from i on: gamma, beta, mean, var, for c channels. */
static fw_status fused_norm(const rule *r, int i, int64_t c)
{
    static const char *const names[] = {"gamma", "beta", "mean", "var"};
    const fwi_bn_act_attr *a = &r->attr->bn_act;
    TRY(want_share("eps", a->eps, 0.0, INFINITY));
    TRY(fused_fn(a->fn, a->alpha));
    for (int k = 0; k < 4; k++) {
        const bool running = r->in[i + k].shape.rank == 1; /* or of the batch: [1,c] */
        TRY(want_shape(r, i + k, names[k], r->real,
                       k < 2 || running ? fwi_shape1(c) : fwi_shape2(1, c)));
    }
    return FW_OK;
}

static fw_status fused_no_pool(const fwi_bn_act_attr *a)
{
    TRY(want_int("k", a->k, 0, 0));
    TRY(want_int("ih", a->ih, 0, 0));
    return want_int("iw", a->iw, 0, 0);
}

/* The size behind the pool. */
static fw_status fused_pool(const fwi_bn_act_attr *a, int64_t *oh, int64_t *ow)
{
    TRY(want_int("ih", a->ih, 1, MAX_ATTR));
    TRY(want_int("iw", a->iw, 1, MAX_ATTR));
    const fwi_pool_attr pool = {.k = a->k, .stride = a->k};
    TRY(pool_out(&pool, a->ih, a->iw, oh, ow));
    return max_window(&pool);
}

static void give_stats(rule *r, int i, int64_t c)
{
    give(r, i, r->real, fwi_shape2(1, c));
    give(r, i + 1, r->real, fwi_shape2(1, c));
}

static fw_status shape_conv2d_stats(rule *r)
{
    TRY(shape_conv2d(r));
    give_stats(r, 1, r->out[0].shape.d[3]);
    return FW_OK;
}

static fw_status shape_max_pool_stats(rule *r)
{
    TRY(shape_max_pool(r));
    give_stats(r, 2, r->out[0].shape.d[3]);
    return FW_OK;
}

static fw_status shape_bn_stats(rule *r)
{
    TRY(want_real(r, 0, "x", 4, 4));
    give_stats(r, 0, r->in[0].shape.d[3]);
    return FW_OK;
}

static fw_status shape_bn_act(rule *r)
{
    TRY(want_real(r, 0, "x", 4, 4));
    TRY(fused_norm(r, 1, r->in[0].shape.d[3]));
    TRY(fused_no_pool(&r->attr->bn_act));
    give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

static fw_status shape_bn_act_add(rule *r)
{
    TRY(shape_bn_act(r));
    return want_shape(r, 5, "r", r->real, r->in[0].shape);
}

static fw_status shape_bn_act_pool(rule *r)
{
    const fwi_bn_act_attr *a = &r->attr->bn_act;
    int64_t oh = 0, ow = 0;
    TRY(want_real(r, 0, "x", 4, 4));
    const int64_t *x = r->in[0].shape.d;
    TRY(fused_norm(r, 1, x[3]));
    TRY(fused_pool(a, &oh, &ow));
    TRY(want_shape(r, 0, "x", r->real, fwi_shape4(x[0], a->ih, a->iw, x[3])));
    give(r, 0, r->real, fwi_shape4(x[0], oh, ow, x[3]));
    give(r, 1, FW_U8, r->out[0].shape);
    return FW_OK;
}

static void give_grads(rule *r, fwi_shape dx)
{
    give(r, 0, r->real, dx);
    give(r, 1, r->real, fwi_shape1(dx.d[3]));
    give(r, 2, r->real, fwi_shape1(dx.d[3]));
}

static fw_status shape_bn_act_grad(rule *r)
{
    TRY(want_real(r, 1, "x", 4, 4));
    TRY(want_shape(r, 0, "dy", r->real, r->in[1].shape));
    TRY(fused_norm(r, 2, r->in[1].shape.d[3]));
    TRY(fused_no_pool(&r->attr->bn_act));
    give_grads(r, r->in[1].shape);
    return FW_OK;
}

/* x at full size or, pool before norm, at the pooled one */
static fw_status fused_pool_grad(rule *r, bool x_pooled)
{
    const fwi_bn_act_attr *a = &r->attr->bn_act;
    int64_t oh = 0, ow = 0;
    TRY(want_real(r, 0, "dy", 4, 4));
    TRY(fused_pool(a, &oh, &ow));
    const int64_t n = r->in[0].shape.d[0], c = r->in[0].shape.d[3];
    const fwi_shape small = fwi_shape4(n, oh, ow, c), full = fwi_shape4(n, a->ih, a->iw, c);
    TRY(want_shape(r, 0, "dy", r->real, small));
    TRY(want_shape(r, 1, "idx", FW_U8, small));
    TRY(want_shape(r, 2, "x", r->real, x_pooled ? small : full));
    TRY(fused_norm(r, 3, c));
    give_grads(r, full);
    return FW_OK;
}

static fw_status shape_bn_act_pool_grad(rule *r)
{
    return fused_pool_grad(r, false);
}

static fw_status shape_bn_act_unpool_grad(rule *r)
{
    return fused_pool_grad(r, true);
}

static fw_status shape_bias_act(rule *r)
{
    TRY(fused_fn(r->attr->act.fn, r->attr->act.alpha));
    return shape_bias_add(r);
}

static fw_status shape_bias_act_grad(rule *r)
{
    TRY(fused_fn(r->attr->act.fn, r->attr->act.alpha));
    TRY(want_real(r, 0, "dy", 1, FW_MAX_RANK));
    TRY(want_shape(r, 1, "x", r->real, r->in[0].shape));
    const fwi_shape channels = fwi_shape1(last_dim(&r->in[0].shape));
    TRY(want_shape(r, 2, "b", r->real, channels));
    give(r, 0, r->real, r->in[0].shape);
    give(r, 1, r->real, channels);
    return FW_OK;
}
