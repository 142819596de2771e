/* shapes_layer.c: the shape rules of the other ops that layers are made of: batch norms, activations,
 * elementwise ops, dropout, and what only moves or retypes elements. Read before: shapes.h. */
#include "shapes.h"

#include <inttypes.h>
#include <math.h>

/* ---- normalisation ---- */

static fw_status want_eps(const fwi_bn_attr *a)
{
    return fwi_want_share("eps", a->eps, 0.0, INFINITY);
}

fw_status fwi_want_groups(int64_t groups, int64_t n)
{
    TRY(fwi_want_int("groups", groups, 1, n));
    if (n % groups != 0)
        return fwi_fail(FW_ESHAPE, "a batch of %" PRId64 " does not split into %" PRId64 " groups",
                        n, groups);
    return FW_OK;
}

/* count, where it is given, must be what x has. */
static fw_status bn_groups(const fwi_rule *r, int i)
{
    const fwi_bn_attr *a = &r->attr->bn;
    const fwi_shape *x = &r->in[i].shape;
    TRY(want_eps(a));
    TRY(fwi_want_groups(a->groups, x->d[0]));
    const int64_t count = fwi_shape_elems(x) / fwi_last_dim(x) / a->groups;
    if (a->count != 0 && a->count != count)
        return fwi_fail(FW_ESHAPE,
                        "count is %" PRId64 ", each channel and group has %" PRId64 " elements",
                        a->count, count);
    return FW_OK;
}

fw_status fwi_rule_bn_train(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "x", 2, FW_MAX_RANK));
    TRY(bn_groups(r, 0));
    const int64_t c = fwi_last_dim(&r->in[0].shape);
    const fwi_shape stats = fwi_shape2(r->attr->bn.groups, c);
    TRY(fwi_want_shape(r, 1, "gamma", r->real, fwi_shape1(c)));
    TRY(fwi_want_shape(r, 2, "beta", r->real, fwi_shape1(c)));
    fwi_give(r, 0, r->real, r->in[0].shape);
    fwi_give(r, 1, r->real, stats);
    fwi_give(r, 2, r->real, stats);
    return FW_OK;
}

static fw_status bn_grad(fwi_rule *r, fwi_shape stats)
{
    const fwi_shape c = fwi_shape1(fwi_last_dim(&r->in[1].shape));
    TRY(fwi_want_shape(r, 0, "dy", r->real, r->in[1].shape));
    TRY(fwi_want_shape(r, 2, "gamma", r->real, c));
    TRY(fwi_want_shape(r, 3, "mean", r->real, stats));
    TRY(fwi_want_shape(r, 4, "var", r->real, stats));
    fwi_give(r, 0, r->real, r->in[1].shape);
    fwi_give(r, 1, r->real, c);
    fwi_give(r, 2, r->real, c);
    return FW_OK;
}

fw_status fwi_rule_bn_train_grad(fwi_rule *r)
{
    TRY(fwi_want_real(r, 1, "x", 2, FW_MAX_RANK));
    TRY(bn_groups(r, 1));
    return bn_grad(r, fwi_shape2(r->attr->bn.groups, fwi_last_dim(&r->in[1].shape)));
}

fw_status fwi_rule_bn_eval(fwi_rule *r)
{
    static const char *const names[] = {"x", "gamma", "beta", "rmean", "rvar"};
    TRY(fwi_want_real(r, 0, "x", 2, FW_MAX_RANK));
    TRY(want_eps(&r->attr->bn));
    for (int i = 1; i < 5; i++)
        TRY(fwi_want_shape(r, i, names[i], r->real, fwi_shape1(fwi_last_dim(&r->in[0].shape))));
    fwi_give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

fw_status fwi_rule_bn_eval_grad(fwi_rule *r)
{
    TRY(fwi_want_real(r, 1, "x", 2, FW_MAX_RANK));
    TRY(want_eps(&r->attr->bn));
    return bn_grad(r, fwi_shape1(fwi_last_dim(&r->in[1].shape)));
}

fw_status fwi_rule_bn_update(fwi_rule *r)
{
    const fwi_bn_attr *a = &r->attr->bn;
    TRY(fwi_want_real(r, 0, "rmean", 1, 1));
    TRY(fwi_want_shape(r, 1, "rvar", r->real, r->in[0].shape));
    TRY(fwi_want_int("groups", a->groups, 1, FWI_MAX_ATTR));
    const fwi_shape stats = fwi_shape2(a->groups, r->in[0].shape.d[0]);
    TRY(fwi_want_shape(r, 2, "mean", r->real, stats));
    TRY(fwi_want_shape(r, 3, "var", r->real, stats));
    if (!(a->update >= 0 && a->update <= 1))
        return fwi_fail(FW_EARG, "update is %g, expected 0 to 1", a->update);
    if (a->count < 2 || a->count > FWI_MAX_ELEMS) /* the unbiased variance divides by count - 1 */
        return fwi_fail(FW_EARG,
                        "count is %" PRId64
                        ": a variance needs at least 2 elements per channel and group",
                        a->count);
    return FW_OK;
}

/* ---- activations, elementwise ---- */

static fw_status act_attr(const fwi_act_attr *a)
{
    TRY(fwi_want_int("fn", a->fn, 0, FWI_ACT_COUNT - 1));
    return a->fn == FWI_CELU ? fwi_want_positive("alpha", a->alpha)
                             : fwi_want_finite("alpha", a->alpha);
}

fw_status fwi_rule_same(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "x", 0, FW_MAX_RANK));
    fwi_give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

fw_status fwi_rule_same2(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "input 0", 0, FW_MAX_RANK));
    TRY(fwi_want_shape(r, 1, "input 1", r->real, r->in[0].shape));
    fwi_give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

fw_status fwi_rule_act(fwi_rule *r)
{
    TRY(act_attr(&r->attr->act));
    return fwi_rule_same(r);
}

fw_status fwi_rule_act_grad(fwi_rule *r)
{
    TRY(act_attr(&r->attr->act));
    return fwi_rule_same2(r);
}

fw_status fwi_rule_scale(fwi_rule *r)
{
    TRY(fwi_want_finite("value", r->attr->scalar.value));
    return fwi_rule_same(r);
}

fw_status fwi_rule_scale_by(fwi_rule *r)
{
    TRY(fwi_want_shape(r, 1, "s", r->real, fwi_shape1(1)));
    return fwi_rule_same(r);
}

/* ---- movement ---- */

fw_status fwi_rule_concat(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "a", 1, FW_MAX_RANK));
    TRY(fwi_want_real(r, 1, "b", 1, FW_MAX_RANK));
    const fwi_shape *a = &r->in[0].shape, *b = &r->in[1].shape;
    bool fits = a->rank == b->rank;
    for (int i = 0; fits && i < a->rank - 1; i++)
        fits = a->d[i] == b->d[i];
    if (!fits)
        return fwi_fail(FW_ESHAPE, "all dimensions but the last must agree");
    fwi_shape y = *a;
    y.d[y.rank - 1] += fwi_last_dim(b);
    fwi_give(r, 0, r->real, y);
    return FW_OK;
}

fw_status fwi_rule_slice(fwi_rule *r)
{
    const fwi_slice_attr *a = &r->attr->slice;
    TRY(fwi_want_real(r, 0, "x", 1, FW_MAX_RANK));
    fwi_shape y = r->in[0].shape;
    const int64_t c = fwi_last_dim(&y);
    TRY(fwi_want_int("begin", a->begin, 0, c - 1));
    TRY(fwi_want_int("len", a->len, 1, c - a->begin));
    y.d[y.rank - 1] = a->len;
    fwi_give(r, 0, r->real, y);
    return FW_OK;
}

static fw_status shape_from(int64_t rank, const int64_t d[FW_MAX_RANK], fwi_shape *out)
{
    static const char *const names[FW_MAX_RANK] = {"d0", "d1", "d2", "d3"};
    TRY(fwi_want_int("rank", rank, 0, FW_MAX_RANK));
    out->rank = (int32_t)rank;
    for (int i = 0; i < FW_MAX_RANK; i++) {
        const bool used = i < rank;
        TRY(fwi_want_int(names[i], d[i], used ? 1 : 0, used ? FWI_MAX_ELEMS : 0));
        out->d[i] = d[i];
    }
    if (fwi_shape_elems(out) < 0)
        return fwi_fail(FW_ESHAPE, "the shape of the attributes has more than 2^40 elements");
    return FW_OK;
}

fw_status fwi_rule_reshape(fwi_rule *r)
{
    const fwi_shape_attr *a = &r->attr->shape;
    fwi_shape y = {0};
    TRY(shape_from(a->rank, (const int64_t[]){a->d0, a->d1, a->d2, a->d3}, &y));
    const int64_t n = fwi_shape_elems(&r->in[0].shape);
    if (fwi_shape_elems(&y) != n)
        return fwi_fail(FW_ESHAPE, "x has %" PRId64 " elements, the new shape %" PRId64, n,
                        fwi_shape_elems(&y));
    fwi_give(r, 0, r->in[0].dtype, y);
    return FW_OK;
}

static fw_status want_dtype(int64_t t)
{
    if (t >= 0 && t <= FW_I64)
        return FW_OK;
    return fwi_fail(FW_EARG, "dtype is %" PRId64 ", which is no element type", t);
}

fw_status fwi_rule_fill(fwi_rule *r)
{
    const fwi_fill_attr *a = &r->attr->fill;
    fwi_shape y = {0};
    TRY(shape_from(a->rank, (const int64_t[]){a->d0, a->d1, a->d2, a->d3}, &y));
    TRY(want_dtype(a->dtype));
    TRY(fwi_want_finite("value", a->value));
    const fw_dtype t = (fw_dtype)a->dtype;
    if (t == FW_U8 || t == FW_I32 || t == FW_I64) { /* 2^53: beyond it a double skips integers */
        const double lo = t == FW_U8 ? 0 : t == FW_I32 ? INT32_MIN : -9007199254740992.0;
        const double hi = t == FW_U8 ? 255 : t == FW_I32 ? INT32_MAX : 9007199254740992.0;
        if (a->value != floor(a->value) || a->value < lo || a->value > hi)
            return fwi_fail(FW_EARG, "%g is not a value of type %s", a->value, fw_dtype_name(t));
    }
    fwi_give(r, 0, t, y);
    return FW_OK;
}

fw_status fwi_rule_cast(fwi_rule *r)
{
    TRY(want_dtype(r->attr->cast.dtype));
    fwi_give(r, 0, (fw_dtype)r->attr->cast.dtype, r->in[0].shape);
    return FW_OK;
}

fw_status fwi_rule_dropout(fwi_rule *r)
{
    const fwi_dropout_attr *a = &r->attr->dropout;
    TRY(fwi_want_share("p", a->p, 0.0, 1.0));
    TRY(fwi_want_int("ordinal", a->ordinal, 0, UINT32_MAX)); /* Philox: the counter's word "pass" */
    TRY(fwi_want_shape(r, 1, "rng", FW_I64, fwi_shape1(2)));
    TRY(fwi_rule_same(r));
    if (fwi_shape_elems(&r->in[0].shape) > (int64_t)1 << 34) /* element / 4 has 32 bits there */
        return fwi_fail(FW_ESHAPE, "x has more than 2^34 elements");
    return FW_OK;
}
