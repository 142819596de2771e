/* shapes_backend.c: the shape rules of ops that only a lowered graph has: changes of layout and fused
 * ops. The latter lean on the rules of the ops that they stand for and add what fusing asks: pools
 * whose windows lie side by side. Read before: shapes.h, the last part of ops.def, cpu/lower. */
#include "shapes.h"

#include <inttypes.h>
#include <math.h>

/* ---- layouts ---- */

fw_status fwi_rule_to_blocked(fwi_rule *r)
{
    const fwi_layout_attr *a = &r->attr->layout;
    TRY(fwi_want_real(r, 0, "x", 4, 4));
    TRY(fwi_want_int("nb", a->nb, 1, FWI_MAX_NB));
    if (a->dtype != (int64_t)r->real && !fwi_may_store(r->real, a->dtype))
        return fwi_fail(FW_EARG, "activations of a graph in %s cannot be blocked as type %" PRId64,
                        fw_dtype_name(r->real), a->dtype);
    fwi_give(r, 0, (fw_dtype)a->dtype, r->in[0].shape);
    r->out[0].nb = (int32_t)a->nb;
    return FW_OK;
}

fw_status fwi_rule_from_blocked(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "x", 4, 4));
    if (r->nb == 0)
        return fwi_fail(FW_ESHAPE, "x is not blocked");
    fwi_give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

/* ---- fused ops ---- */

static fw_status fused_fn(int64_t fn, double alpha)
{
    TRY(fwi_want_int("fn", fn, 0, FWI_FUSED_COUNT - 1));
    return fn == FWI_CELU ? fwi_want_positive("alpha", alpha) : fwi_want_finite("alpha", alpha);
}

/* Inputs from i on: gamma, beta, mean, var, for c channels of a batch of n. */
static fw_status fused_norm(const fwi_rule *r, int i, int64_t n, int64_t c)
{
    static const char *const names[] = {"gamma", "beta", "mean", "var"};
    const fwi_bn_act_attr *a = &r->attr->bn_act;
    TRY(fwi_want_share("eps", a->eps, 0.0, INFINITY));
    TRY(fused_fn(a->fn, a->alpha));
    const int64_t groups = fwi_stat_groups(&r->in[i + 2].shape);
    for (int k = 0; k < 4; k++) {
        const bool running = groups == 1 && r->in[i + k].shape.rank == 1; /* or of the batch */
        TRY(fwi_want_shape(r, i + k, names[k], r->real,
                           k < 2 || running ? fwi_shape1(c) : fwi_shape2(groups, c)));
    }
    return fwi_want_groups(groups, n);
}

static fw_status fused_no_pool(const fwi_bn_act_attr *a)
{
    TRY(fwi_want_int("k", a->k, 0, 0));
    TRY(fwi_want_int("ih", a->ih, 0, 0));
    return fwi_want_int("iw", a->iw, 0, 0);
}

/* The size behind the pool. */
static fw_status fused_pool(const fwi_bn_act_attr *a, int64_t *oh, int64_t *ow)
{
    TRY(fwi_want_int("ih", a->ih, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("iw", a->iw, 1, FWI_MAX_ATTR));
    const fwi_pool_attr pool = {.k = a->k, .stride = a->k};
    TRY(fwi_want_pool(&pool, a->ih, a->iw, oh, ow));
    return fwi_want_max_window(&pool);
}

/* Of images like s. */
static fw_status give_stats(fwi_rule *r, int i, int64_t groups, const fwi_shape *s)
{
    TRY(fwi_want_groups(groups, s->d[0]));
    fwi_give(r, i, r->real, fwi_shape2(groups, s->d[3]));
    fwi_give(r, i + 1, r->real, fwi_shape2(groups, s->d[3]));
    return FW_OK;
}

fw_status fwi_rule_conv2d_stats(fwi_rule *r)
{
    TRY(fwi_rule_conv2d(r));
    return give_stats(r, 1, 1, &r->out[0].shape);
}

fw_status fwi_rule_max_pool_stats(fwi_rule *r)
{
    TRY(fwi_rule_max_pool(r));
    return give_stats(r, 2, r->attr->pool_stats.groups, &r->out[0].shape);
}

fw_status fwi_rule_bn_stats(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "x", 4, 4));
    return give_stats(r, 0, r->attr->stats.groups, &r->in[0].shape);
}

fw_status fwi_rule_bn_act(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "x", 4, 4));
    TRY(fused_norm(r, 1, r->in[0].shape.d[0], r->in[0].shape.d[3]));
    TRY(fused_no_pool(&r->attr->bn_act));
    fwi_give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

fw_status fwi_rule_bn_act_add(fwi_rule *r)
{
    TRY(fwi_rule_bn_act(r));
    return fwi_want_shape(r, 5, "r", r->real, r->in[0].shape);
}

fw_status fwi_rule_bn_act_pool(fwi_rule *r)
{
    const fwi_bn_act_attr *a = &r->attr->bn_act;
    int64_t oh = 0, ow = 0;
    TRY(fwi_want_real(r, 0, "x", 4, 4));
    const int64_t *x = r->in[0].shape.d;
    TRY(fused_norm(r, 1, x[0], x[3]));
    TRY(fused_pool(a, &oh, &ow));
    TRY(fwi_want_shape(r, 0, "x", r->real, fwi_shape4(x[0], a->ih, a->iw, x[3])));
    fwi_give(r, 0, r->real, fwi_shape4(x[0], oh, ow, x[3]));
    fwi_give(r, 1, FW_U8, r->out[0].shape);
    return FW_OK;
}

static void give_grads(fwi_rule *r, fwi_shape dx)
{
    fwi_give(r, 0, r->real, dx);
    fwi_give(r, 1, r->real, fwi_shape1(dx.d[3]));
    fwi_give(r, 2, r->real, fwi_shape1(dx.d[3]));
}

fw_status fwi_rule_bn_act_grad(fwi_rule *r)
{
    TRY(fwi_want_real(r, 1, "x", 4, 4));
    TRY(fwi_want_shape(r, 0, "dy", r->real, r->in[1].shape));
    TRY(fused_norm(r, 2, r->in[1].shape.d[0], r->in[1].shape.d[3]));
    TRY(fused_no_pool(&r->attr->bn_act));
    give_grads(r, r->in[1].shape);
    return FW_OK;
}

/* x at full size or, pool before norm, at the pooled one */
static fw_status fused_pool_grad(fwi_rule *r, bool x_pooled)
{
    const fwi_bn_act_attr *a = &r->attr->bn_act;
    int64_t oh = 0, ow = 0;
    TRY(fwi_want_real(r, 0, "dy", 4, 4));
    TRY(fused_pool(a, &oh, &ow));
    const int64_t n = r->in[0].shape.d[0], c = r->in[0].shape.d[3];
    const fwi_shape small = fwi_shape4(n, oh, ow, c), full = fwi_shape4(n, a->ih, a->iw, c);
    TRY(fwi_want_shape(r, 0, "dy", r->real, small));
    TRY(fwi_want_shape(r, 1, "idx", FW_U8, small));
    TRY(fwi_want_shape(r, 2, "x", r->real, x_pooled ? small : full));
    TRY(fused_norm(r, 3, n, c));
    give_grads(r, full);
    return FW_OK;
}

fw_status fwi_rule_bn_act_pool_grad(fwi_rule *r)
{
    return fused_pool_grad(r, false);
}

fw_status fwi_rule_bn_act_unpool_grad(fwi_rule *r)
{
    return fused_pool_grad(r, true);
}

fw_status fwi_rule_bias_act(fwi_rule *r)
{
    TRY(fused_fn(r->attr->act.fn, r->attr->act.alpha));
    return fwi_rule_bias_add(r);
}

fw_status fwi_rule_bias_act_grad(fwi_rule *r)
{
    TRY(fused_fn(r->attr->act.fn, r->attr->act.alpha));
    TRY(fwi_want_real(r, 0, "dy", 1, FW_MAX_RANK));
    TRY(fwi_want_shape(r, 1, "x", r->real, r->in[0].shape));
    const fwi_shape channels = fwi_shape1(fwi_last_dim(&r->in[0].shape));
    TRY(fwi_want_shape(r, 2, "b", r->real, channels));
    fwi_give(r, 0, r->real, r->in[0].shape);
    fwi_give(r, 1, r->real, channels);
    return FW_OK;
}
