/* shapes.c: what each op asks of its inputs and attributes, and the types of its outputs. One rule
 * per name in ops.def's column "shape"; a name without a rule here is a build error. A rule's
 * message says what is wrong; fwi_infer puts the op and its inputs in front, and the builder the
 * layer. Everything is checked here, so that kernels need not: sizes come from recipes, model files
 * and printed graphs, all of which may be hostile. Read before: ir.h, ops.def. Next: graph.c,
 * verify.c. */
#include "ir_rules.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const fw_status st_ = (call);                                                              \
        if (st_ != FW_OK)                                                                          \
            return st_;                                                                            \
    } while (0)

enum { MAX_ATTR = 1 << 30 }; /* of sizes in attributes: sums of a few stay far from overflow */

typedef struct rule {
    fw_dtype real;
    int32_t nb; /* of the blocked inputs, which the rule sees as real n h w c; 0: none is */
    const fwi_attr *attr;
    fwi_type in[FWI_MAX_IN], out[FWI_MAX_OUT];
} rule;

/* ---- pieces of rules ---- */

static int64_t last_dim(const fwi_shape *s)
{
    return s->d[s->rank - 1]; /* rank >= 1: checked before */
}

static fw_status want(const rule *r, int i, const char *name, fw_dtype dtype, int rank_lo,
                      int rank_hi)
{
    const fwi_type *t = &r->in[i];
    if (t->dtype != dtype)
        return fwi_fail(FW_ESHAPE, "%s is %s, expected %s", name, fw_dtype_name(t->dtype),
                        fw_dtype_name(dtype));
    if (t->shape.rank < rank_lo || t->shape.rank > rank_hi) {
        if (rank_lo == rank_hi)
            return fwi_fail(FW_ESHAPE, "%s has %d dimensions, expected %d", name, t->shape.rank,
                            rank_lo);
        return fwi_fail(FW_ESHAPE, "%s has %d dimensions, expected %d to %d", name, t->shape.rank,
                        rank_lo, rank_hi);
    }
    return FW_OK;
}

static fw_status want_real(const rule *r, int i, const char *name, int rank_lo, int rank_hi)
{
    return want(r, i, name, r->real, rank_lo, rank_hi);
}

static fw_status want_shape(const rule *r, int i, const char *name, fw_dtype dtype, fwi_shape s)
{
    char text[FWI_SHAPE_TEXT], found[FWI_SHAPE_TEXT];
    if (r->in[i].dtype == dtype && fwi_shape_equal(&r->in[i].shape, &s))
        return FW_OK;
    return fwi_fail(FW_ESHAPE, "%s is %s, expected %s", name,
                    fwi_type_text(found, r->in[i].dtype, &r->in[i].shape),
                    fwi_type_text(text, dtype, &s));
}

static fw_status want_int(const char *name, int64_t v, int64_t lo, int64_t hi)
{
    if (v >= lo && v <= hi)
        return FW_OK;
    return fwi_fail(FW_EARG, "%s is %" PRId64 ", expected %" PRId64 " to %" PRId64, name, v, lo,
                    hi);
}

static fw_status want_finite(const char *name, double v)
{
    return isfinite(v) ? FW_OK : fwi_fail(FW_EARG, "%s is %g, expected a finite number", name, v);
}

/* [lo, hi) */
static fw_status want_share(const char *name, double v, double lo, double hi)
{
    if (v >= lo && v < hi)
        return FW_OK;
    return fwi_fail(FW_EARG, "%s is %g, expected at least %g and under %g", name, v, lo, hi);
}

static fw_status want_positive(const char *name, double v)
{
    if (v > 0 && isfinite(v))
        return FW_OK;
    return fwi_fail(FW_EARG, "%s is %g, expected a finite number over 0", name, v);
}

static void give(rule *r, int i, fw_dtype dtype, fwi_shape shape)
{
    r->out[i] = (fwi_type){.dtype = dtype, .shape = shape};
}

/* ---- linear ---- */

/* Checks the attributes among themselves; gives the output's height and width. */
static fw_status conv_out(const fwi_conv_attr *a, int64_t *oh, int64_t *ow)
{
    TRY(want_int("kh", a->kh, 1, MAX_ATTR));
    TRY(want_int("kw", a->kw, 1, MAX_ATTR));
    TRY(want_int("stride", a->stride, 1, MAX_ATTR));
    TRY(want_int("pad_t", a->pad_t, 0, MAX_ATTR));
    TRY(want_int("pad_l", a->pad_l, 0, MAX_ATTR));
    TRY(want_int("pad_b", a->pad_b, 0, MAX_ATTR));
    TRY(want_int("pad_r", a->pad_r, 0, MAX_ATTR));
    TRY(want_int("algo", a->algo, 0, FWI_CONV_ALGOS - 1));
    TRY(want_int("ih", a->ih, 1, MAX_ATTR));
    TRY(want_int("iw", a->iw, 1, MAX_ATTR));
    const int64_t h = a->ih + a->pad_t + a->pad_b, w = a->iw + a->pad_l + a->pad_r;
    if (a->kh > h || a->kw > w)
        return fwi_fail(FW_ESHAPE,
                        "the filter of %" PRId64 "x%" PRId64
                        " is larger than the padded input of %" PRId64 "x%" PRId64,
                        a->kh, a->kw, h, w);
    *oh = (h - a->kh) / a->stride + 1;
    *ow = (w - a->kw) / a->stride + 1;
    return FW_OK;
}

static fw_status conv_x(const rule *r, int i)
{
    const fwi_conv_attr *a = &r->attr->conv;
    TRY(want_real(r, i, "x", 4, 4));
    const int64_t *d = r->in[i].shape.d;
    if (d[1] != a->ih || d[2] != a->iw)
        return fwi_fail(FW_ESHAPE,
                        "x is %" PRId64 "x%" PRId64 ", the attributes say ih=%" PRId64
                        " iw=%" PRId64,
                        d[1], d[2], a->ih, a->iw);
    return FW_OK;
}

static fw_status conv_w(const rule *r, int i)
{
    const fwi_conv_attr *a = &r->attr->conv;
    TRY(want_real(r, i, "w", 4, 4));
    const int64_t *d = r->in[i].shape.d;
    if (d[1] != a->kh || d[2] != a->kw)
        return fwi_fail(FW_ESHAPE,
                        "w is %" PRId64 "x%" PRId64 ", the attributes say kh=%" PRId64
                        " kw=%" PRId64,
                        d[1], d[2], a->kh, a->kw);
    return FW_OK;
}

static fw_status conv_dy(const rule *r, int i, int64_t oh, int64_t ow)
{
    TRY(want_real(r, i, "dy", 4, 4));
    const int64_t *d = r->in[i].shape.d;
    if (d[1] != oh || d[2] != ow)
        return fwi_fail(FW_ESHAPE,
                        "dy is %" PRId64 "x%" PRId64 ", the attributes give %" PRId64 "x%" PRId64,
                        d[1], d[2], oh, ow);
    return FW_OK;
}

static fw_status shape_conv2d(rule *r)
{
    int64_t oh = 0, ow = 0;
    TRY(conv_x(r, 0));
    TRY(conv_w(r, 1));
    TRY(conv_out(&r->attr->conv, &oh, &ow));
    const fwi_shape *x = &r->in[0].shape, *w = &r->in[1].shape;
    if (x->d[3] != w->d[3])
        return fwi_fail(FW_ESHAPE, "x has %" PRId64 " channels, w is for %" PRId64, x->d[3],
                        w->d[3]);
    give(r, 0, r->real, fwi_shape4(x->d[0], oh, ow, w->d[0]));
    return FW_OK;
}

static fw_status shape_conv2d_dx(rule *r)
{
    int64_t oh = 0, ow = 0;
    TRY(conv_w(r, 1));
    TRY(conv_out(&r->attr->conv, &oh, &ow));
    TRY(conv_dy(r, 0, oh, ow));
    const fwi_conv_attr *a = &r->attr->conv;
    const fwi_shape *dy = &r->in[0].shape, *w = &r->in[1].shape;
    if (dy->d[3] != w->d[0])
        return fwi_fail(FW_ESHAPE, "dy has %" PRId64 " channels, w gives %" PRId64, dy->d[3],
                        w->d[0]);
    give(r, 0, r->real, fwi_shape4(dy->d[0], a->ih, a->iw, w->d[3]));
    return FW_OK;
}

static fw_status shape_conv2d_dw(rule *r)
{
    int64_t oh = 0, ow = 0;
    TRY(conv_x(r, 0));
    TRY(conv_out(&r->attr->conv, &oh, &ow));
    TRY(conv_dy(r, 1, oh, ow));
    const fwi_conv_attr *a = &r->attr->conv;
    const fwi_shape *x = &r->in[0].shape, *dy = &r->in[1].shape;
    if (x->d[0] != dy->d[0])
        return fwi_fail(FW_ESHAPE, "x has %" PRId64 " images, dy %" PRId64, x->d[0], dy->d[0]);
    give(r, 0, r->real, fwi_shape4(dy->d[3], a->kh, a->kw, x->d[3]));
    return FW_OK;
}

static fw_status shape_matmul(rule *r)
{
    const fwi_matmul_attr *t = &r->attr->matmul;
    TRY(want_int("ta", t->ta, 0, 1));
    TRY(want_int("tb", t->tb, 0, 1));
    TRY(want_real(r, 0, "a", 2, 2));
    TRY(want_real(r, 1, "b", 2, 2));
    const int64_t *a = r->in[0].shape.d, *b = r->in[1].shape.d;
    const int64_t m = a[t->ta], k = a[1 - t->ta], kb = b[t->tb], n = b[1 - t->tb];
    if (k != kb)
        return fwi_fail(FW_ESHAPE,
                        "%s has %" PRId64 " columns, %s has %" PRId64 " rows (they must agree)",
                        t->ta ? "transposed a" : "a", k, t->tb ? "transposed b" : "b", kb);
    give(r, 0, r->real, fwi_shape2(m, n));
    return FW_OK;
}

static fw_status shape_bias_add(rule *r)
{
    TRY(want_real(r, 0, "x", 1, FW_MAX_RANK));
    TRY(want_shape(r, 1, "b", r->real, fwi_shape1(last_dim(&r->in[0].shape))));
    give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

static fw_status shape_sum_rows(rule *r)
{
    TRY(want_real(r, 0, "x", 1, FW_MAX_RANK));
    give(r, 0, r->real, fwi_shape1(last_dim(&r->in[0].shape)));
    return FW_OK;
}

/* ---- normalisation ---- */

static fw_status want_eps(const fwi_bn_attr *a)
{
    return want_share("eps", a->eps, 0.0, INFINITY);
}

/* Groups are contiguous runs of the batch; count, where it is given, must be what x has. */
static fw_status bn_groups(const rule *r, int i)
{
    const fwi_bn_attr *a = &r->attr->bn;
    const fwi_shape *x = &r->in[i].shape;
    TRY(want_eps(a));
    TRY(want_int("groups", a->groups, 1, x->d[0]));
    if (x->d[0] % a->groups != 0)
        return fwi_fail(FW_ESHAPE, "a batch of %" PRId64 " does not split into %" PRId64 " groups",
                        x->d[0], a->groups);
    const int64_t count = fwi_shape_elems(x) / last_dim(x) / a->groups;
    if (a->count != 0 && a->count != count)
        return fwi_fail(FW_ESHAPE,
                        "count is %" PRId64 ", each channel and group has %" PRId64 " elements",
                        a->count, count);
    return FW_OK;
}

static fw_status shape_bn_train(rule *r)
{
    TRY(want_real(r, 0, "x", 2, FW_MAX_RANK));
    TRY(bn_groups(r, 0));
    const int64_t c = last_dim(&r->in[0].shape);
    const fwi_shape stats = fwi_shape2(r->attr->bn.groups, c);
    TRY(want_shape(r, 1, "gamma", r->real, fwi_shape1(c)));
    TRY(want_shape(r, 2, "beta", r->real, fwi_shape1(c)));
    give(r, 0, r->real, r->in[0].shape);
    give(r, 1, r->real, stats);
    give(r, 2, r->real, stats);
    return FW_OK;
}

static fw_status bn_grad(rule *r, fwi_shape stats)
{
    const fwi_shape c = fwi_shape1(last_dim(&r->in[1].shape));
    TRY(want_shape(r, 0, "dy", r->real, r->in[1].shape));
    TRY(want_shape(r, 2, "gamma", r->real, c));
    TRY(want_shape(r, 3, "mean", r->real, stats));
    TRY(want_shape(r, 4, "var", r->real, stats));
    give(r, 0, r->real, r->in[1].shape);
    give(r, 1, r->real, c);
    give(r, 2, r->real, c);
    return FW_OK;
}

static fw_status shape_bn_train_grad(rule *r)
{
    TRY(want_real(r, 1, "x", 2, FW_MAX_RANK));
    TRY(bn_groups(r, 1));
    return bn_grad(r, fwi_shape2(r->attr->bn.groups, last_dim(&r->in[1].shape)));
}

static fw_status shape_bn_eval(rule *r)
{
    static const char *const names[] = {"x", "gamma", "beta", "rmean", "rvar"};
    TRY(want_real(r, 0, "x", 2, FW_MAX_RANK));
    TRY(want_eps(&r->attr->bn));
    for (int i = 1; i < 5; i++)
        TRY(want_shape(r, i, names[i], r->real, fwi_shape1(last_dim(&r->in[0].shape))));
    give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

static fw_status shape_bn_eval_grad(rule *r)
{
    TRY(want_real(r, 1, "x", 2, FW_MAX_RANK));
    TRY(want_eps(&r->attr->bn));
    return bn_grad(r, fwi_shape1(last_dim(&r->in[1].shape)));
}

static fw_status shape_bn_update(rule *r)
{
    const fwi_bn_attr *a = &r->attr->bn;
    TRY(want_real(r, 0, "rmean", 1, 1));
    TRY(want_shape(r, 1, "rvar", r->real, r->in[0].shape));
    TRY(want_int("groups", a->groups, 1, MAX_ATTR));
    const fwi_shape stats = fwi_shape2(a->groups, r->in[0].shape.d[0]);
    TRY(want_shape(r, 2, "mean", r->real, stats));
    TRY(want_shape(r, 3, "var", r->real, stats));
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
    TRY(want_int("fn", a->fn, 0, FWI_ACT_COUNT - 1));
    return a->fn == FWI_CELU ? want_positive("alpha", a->alpha) : want_finite("alpha", a->alpha);
}

static fw_status shape_same(rule *r)
{
    TRY(want_real(r, 0, "x", 0, FW_MAX_RANK));
    give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

static fw_status shape_same2(rule *r)
{
    TRY(want_real(r, 0, "input 0", 0, FW_MAX_RANK));
    TRY(want_shape(r, 1, "input 1", r->real, r->in[0].shape));
    give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

static fw_status shape_act(rule *r)
{
    TRY(act_attr(&r->attr->act));
    return shape_same(r);
}

static fw_status shape_act_grad(rule *r)
{
    TRY(act_attr(&r->attr->act));
    return shape_same2(r);
}

static fw_status shape_scale(rule *r)
{
    TRY(want_finite("value", r->attr->scalar.value));
    return shape_same(r);
}

static fw_status shape_scale_by(rule *r)
{
    TRY(want_shape(r, 1, "s", r->real, fwi_shape1(1)));
    return shape_same(r);
}

/* ---- pools ---- */

/* k, stride, ih, iw among themselves; gives the output's height and width. */
static fw_status pool_out(const fwi_pool_attr *a, int64_t ih, int64_t iw, int64_t *oh, int64_t *ow)
{
    TRY(want_int("k", a->k, 1, MAX_ATTR));
    TRY(want_int("stride", a->stride, 1, MAX_ATTR));
    if (a->k > ih || a->k > iw)
        return fwi_fail(FW_ESHAPE,
                        "the window of %" PRId64 "x%" PRId64 " is larger than the input of %" PRId64
                        "x%" PRId64,
                        a->k, a->k, ih, iw);
    *oh = (ih - a->k) / a->stride + 1;
    *ow = (iw - a->k) / a->stride + 1;
    return FW_OK;
}

static fw_status pool_forward(rule *r)
{
    const fwi_pool_attr *a = &r->attr->pool;
    int64_t oh = 0, ow = 0;
    TRY(want_real(r, 0, "x", 4, 4));
    const int64_t *x = r->in[0].shape.d;
    if ((a->ih != 0 && a->ih != x[1]) || (a->iw != 0 && a->iw != x[2]))
        return fwi_fail(FW_ESHAPE,
                        "x is %" PRId64 "x%" PRId64 ", the attributes say ih=%" PRId64
                        " iw=%" PRId64,
                        x[1], x[2], a->ih, a->iw);
    TRY(pool_out(a, x[1], x[2], &oh, &ow));
    give(r, 0, r->real, fwi_shape4(x[0], oh, ow, x[3]));
    return FW_OK;
}

static fw_status pool_backward(rule *r)
{
    const fwi_pool_attr *a = &r->attr->pool;
    int64_t oh = 0, ow = 0;
    TRY(want_real(r, 0, "dy", 4, 4));
    TRY(want_int("ih", a->ih, 1, MAX_ATTR));
    TRY(want_int("iw", a->iw, 1, MAX_ATTR));
    TRY(pool_out(a, a->ih, a->iw, &oh, &ow));
    const int64_t *dy = r->in[0].shape.d;
    if (dy[1] != oh || dy[2] != ow)
        return fwi_fail(FW_ESHAPE,
                        "dy is %" PRId64 "x%" PRId64 ", the attributes give %" PRId64 "x%" PRId64,
                        dy[1], dy[2], oh, ow);
    give(r, 0, r->real, fwi_shape4(dy[0], a->ih, a->iw, dy[3]));
    return FW_OK;
}

static fw_status max_window(const fwi_pool_attr *a)
{
    if (a->k > 16) /* places in a window are u8 */
        return fwi_fail(FW_EARG, "k is %" PRId64 ", a maximum's window is at most 16x16", a->k);
    return FW_OK;
}

static fw_status shape_max_pool(rule *r)
{
    TRY(pool_forward(r));
    TRY(max_window(&r->attr->pool));
    give(r, 1, FW_U8, r->out[0].shape);
    return FW_OK;
}

static fw_status shape_max_pool_grad(rule *r)
{
    TRY(pool_backward(r));
    TRY(max_window(&r->attr->pool));
    return want_shape(r, 1, "idx", FW_U8, r->in[0].shape);
}

static fw_status shape_avg_pool(rule *r)
{
    return pool_forward(r);
}

static fw_status shape_avg_pool_grad(rule *r)
{
    return pool_backward(r);
}

static fw_status shape_global_avg_pool(rule *r)
{
    TRY(want_real(r, 0, "x", 4, 4));
    give(r, 0, r->real, fwi_shape2(r->in[0].shape.d[0], r->in[0].shape.d[3]));
    return FW_OK;
}

static fw_status shape_global_max_pool(rule *r)
{
    TRY(shape_global_avg_pool(r));
    const int64_t *x = r->in[0].shape.d;
    if (x[1] * x[2] > INT32_MAX) /* places are i32 */
        return fwi_fail(FW_ESHAPE, "x has more than 2^31-1 places");
    give(r, 1, FW_I32, r->out[0].shape);
    return FW_OK;
}

static fw_status shape_global_avg_pool_grad(rule *r)
{
    const fwi_pool_attr *a = &r->attr->pool;
    TRY(want_real(r, 0, "dy", 2, 2));
    TRY(want_int("ih", a->ih, 1, MAX_ATTR));
    TRY(want_int("iw", a->iw, 1, MAX_ATTR));
    const int64_t *dy = r->in[0].shape.d;
    give(r, 0, r->real, fwi_shape4(dy[0], a->ih, a->iw, dy[1]));
    return FW_OK;
}

static fw_status shape_global_max_pool_grad(rule *r)
{
    TRY(shape_global_avg_pool_grad(r));
    return want_shape(r, 1, "idx", FW_I32, r->in[0].shape);
}

/* ---- movement ---- */

static fw_status shape_concat(rule *r)
{
    TRY(want_real(r, 0, "a", 1, FW_MAX_RANK));
    TRY(want_real(r, 1, "b", 1, FW_MAX_RANK));
    const fwi_shape *a = &r->in[0].shape, *b = &r->in[1].shape;
    bool fits = a->rank == b->rank;
    for (int i = 0; fits && i < a->rank - 1; i++)
        fits = a->d[i] == b->d[i];
    if (!fits)
        return fwi_fail(FW_ESHAPE, "all dimensions but the last must agree");
    fwi_shape y = *a;
    y.d[y.rank - 1] += last_dim(b);
    give(r, 0, r->real, y);
    return FW_OK;
}

static fw_status shape_slice(rule *r)
{
    const fwi_slice_attr *a = &r->attr->slice;
    TRY(want_real(r, 0, "x", 1, FW_MAX_RANK));
    fwi_shape y = r->in[0].shape;
    const int64_t c = last_dim(&y);
    TRY(want_int("begin", a->begin, 0, c - 1));
    TRY(want_int("len", a->len, 1, c - a->begin));
    y.d[y.rank - 1] = a->len;
    give(r, 0, r->real, y);
    return FW_OK;
}

static fw_status shape_from(int64_t rank, const int64_t d[FW_MAX_RANK], fwi_shape *out)
{
    static const char *const names[FW_MAX_RANK] = {"d0", "d1", "d2", "d3"};
    TRY(want_int("rank", rank, 0, FW_MAX_RANK));
    out->rank = (int32_t)rank;
    for (int i = 0; i < FW_MAX_RANK; i++) {
        const bool used = i < rank;
        TRY(want_int(names[i], d[i], used ? 1 : 0, used ? FWI_MAX_ELEMS : 0));
        out->d[i] = d[i];
    }
    if (fwi_shape_elems(out) < 0)
        return fwi_fail(FW_ESHAPE, "the shape of the attributes has more than 2^40 elements");
    return FW_OK;
}

static fw_status shape_reshape(rule *r)
{
    const fwi_shape_attr *a = &r->attr->shape;
    fwi_shape y = {0};
    TRY(shape_from(a->rank, (const int64_t[]){a->d0, a->d1, a->d2, a->d3}, &y));
    const int64_t n = fwi_shape_elems(&r->in[0].shape);
    if (fwi_shape_elems(&y) != n)
        return fwi_fail(FW_ESHAPE, "x has %" PRId64 " elements, the new shape %" PRId64, n,
                        fwi_shape_elems(&y));
    give(r, 0, r->in[0].dtype, y);
    return FW_OK;
}

static fw_status want_dtype(int64_t t)
{
    if (t >= 0 && t <= FW_I64)
        return FW_OK;
    return fwi_fail(FW_EARG, "dtype is %" PRId64 ", which is no element type", t);
}

static fw_status shape_fill(rule *r)
{
    const fwi_fill_attr *a = &r->attr->fill;
    fwi_shape y = {0};
    TRY(shape_from(a->rank, (const int64_t[]){a->d0, a->d1, a->d2, a->d3}, &y));
    TRY(want_dtype(a->dtype));
    TRY(want_finite("value", a->value));
    const fw_dtype t = (fw_dtype)a->dtype;
    if (t == FW_U8 || t == FW_I32 || t == FW_I64) { /* 2^53: beyond it a double skips integers */
        const double lo = t == FW_U8 ? 0 : t == FW_I32 ? INT32_MIN : -9007199254740992.0;
        const double hi = t == FW_U8 ? 255 : t == FW_I32 ? INT32_MAX : 9007199254740992.0;
        if (a->value != floor(a->value) || a->value < lo || a->value > hi)
            return fwi_fail(FW_EARG, "%g is not a value of type %s", a->value, fw_dtype_name(t));
    }
    give(r, 0, t, y);
    return FW_OK;
}

static fw_status shape_cast(rule *r)
{
    TRY(want_dtype(r->attr->cast.dtype));
    give(r, 0, (fw_dtype)r->attr->cast.dtype, r->in[0].shape);
    return FW_OK;
}

static fw_status shape_dropout(rule *r)
{
    const fwi_dropout_attr *a = &r->attr->dropout;
    TRY(want_share("p", a->p, 0.0, 1.0));
    TRY(want_int("ordinal", a->ordinal, 0, UINT32_MAX)); /* Philox: the counter's word "pass" */
    TRY(want_shape(r, 1, "rng", FW_I64, fwi_shape1(2)));
    TRY(shape_same(r));
    if (fwi_shape_elems(&r->in[0].shape) > (int64_t)1 << 34) /* element / 4 has 32 bits there */
        return fwi_fail(FW_ESHAPE, "x has more than 2^34 elements");
    return FW_OK;
}

/* ---- head ---- */

static fw_status logits_labels(const rule *r)
{
    TRY(want_real(r, 0, "logits", 2, 2));
    if (r->in[0].shape.d[1] > INT32_MAX)
        return fwi_fail(FW_ESHAPE, "logits have more than 2^31-1 classes");
    return want_shape(r, 1, "labels", FW_I32, fwi_shape1(r->in[0].shape.d[0]));
}

static fw_status xent_attr(const fwi_xent_attr *a)
{
    TRY(want_share("smoothing", a->smoothing, 0.0, 1.0));
    return want_int("mean", a->mean, 0, 1);
}

static fw_status shape_softmax_xent(rule *r)
{
    TRY(logits_labels(r));
    TRY(xent_attr(&r->attr->xent));
    give(r, 0, r->real, fwi_shape1(1));
    give(r, 1, r->real, r->in[1].shape);
    return FW_OK;
}

static fw_status shape_softmax_xent_grad(rule *r)
{
    TRY(logits_labels(r));
    TRY(xent_attr(&r->attr->xent));
    TRY(want_shape(r, 2, "dloss", r->real, fwi_shape1(1)));
    give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

static fw_status shape_softmax(rule *r)
{
    TRY(want_real(r, 0, "logits", 2, 2));
    give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

static fw_status shape_count_correct(rule *r)
{
    TRY(logits_labels(r));
    give(r, 0, r->real, fwi_shape1(1));
    return FW_OK;
}

/* ---- gradients' norm, updates ---- */

static fw_status shape_sum_squares(rule *r)
{
    TRY(want_real(r, 0, "x", 0, FW_MAX_RANK));
    give(r, 0, r->real, fwi_shape1(1));
    return FW_OK;
}

static fw_status shape_clip_factor(rule *r)
{
    TRY(want_positive("value", r->attr->scalar.value));
    TRY(want_shape(r, 0, "ss", r->real, fwi_shape1(1)));
    give(r, 0, r->real, fwi_shape1(1));
    return FW_OK;
}

/* w, slots, g alike; then hyper. */
static fw_status update_inputs(const rule *r, int n_like_w, int64_t lr_col, int64_t wd_col)
{
    static const char *const sgd_names[] = {"w", "v", "g"}, *const adam_names[] = {"w", "m", "v",
                                                                                   "g"};
    const char *const *names = n_like_w == 3 ? sgd_names : adam_names;
    TRY(want_real(r, 0, "w", 0, FW_MAX_RANK));
    for (int i = 1; i < n_like_w; i++)
        TRY(want_shape(r, i, names[i], r->real, r->in[0].shape));
    TRY(want(r, n_like_w, "hyper", FW_F64, 1, 1));
    const int64_t n_cols = r->in[n_like_w].shape.d[0];
    TRY(want_int("lr_col", lr_col, 0, n_cols - 1));
    return want_int("wd_col", wd_col, 0, n_cols - 1);
}

static fw_status shape_sgd(rule *r)
{
    const fwi_optim_attr *a = &r->attr->optim;
    TRY(update_inputs(r, 3, a->lr_col, a->wd_col));
    TRY(want_share("momentum", a->momentum, 0.0, 1.0));
    return want_int("form", a->form, 0, FWI_NESTEROV_PAGE);
}

static fw_status shape_adam(rule *r)
{
    const fwi_optim_attr *a = &r->attr->optim;
    TRY(update_inputs(r, 4, a->lr_col, a->wd_col));
    TRY(want_share("beta1", a->beta1, 0.0, 1.0));
    TRY(want_share("beta2", a->beta2, 0.0, 1.0));
    TRY(want_share("eps", a->eps, 0.0, INFINITY));
    return want_int("bc_col", a->bc_col, 0, r->in[4].shape.d[0] - 2); /* two columns from here on */
}

static fw_status shape_muon(rule *r)
{
    const fwi_muon_attr *a = &r->attr->muon;
    TRY(update_inputs(r, 3, a->lr_col, a->wd_col));
    TRY(want_int("rn_col", a->rn_col, 0, r->in[3].shape.d[0] - 1));
    if (r->in[0].shape.rank != 2 && r->in[0].shape.rank != 4)
        return fwi_fail(FW_ESHAPE, "w has %d dimensions, expected 2 (a matrix) or 4 (filters)",
                        r->in[0].shape.rank);
    TRY(want_share("momentum", a->momentum, 0.0, 1.0));
    TRY(want_finite("a", a->a));
    TRY(want_finite("b", a->b));
    TRY(want_finite("c", a->c));
    return want_int("steps", a->steps, 1, FWI_MUON_STEPS);
}

/* ---- layouts ---- */

static fw_status shape_to_blocked(rule *r)
{
    const fwi_layout_attr *a = &r->attr->layout;
    TRY(want_real(r, 0, "x", 4, 4));
    TRY(want_int("nb", a->nb, 1, FWI_MAX_NB));
    if (a->dtype != (int64_t)r->real && !(a->dtype == FW_BF16 && r->real == FW_F32))
        return fwi_fail(FW_EARG, "activations of a graph in %s cannot be blocked as type %" PRId64,
                        fw_dtype_name(r->real), a->dtype);
    give(r, 0, (fw_dtype)a->dtype, r->in[0].shape);
    r->out[0].nb = (int32_t)a->nb;
    return FW_OK;
}

static fw_status shape_from_blocked(rule *r)
{
    TRY(want_real(r, 0, "x", 4, 4));
    if (r->nb == 0)
        return fwi_fail(FW_ESHAPE, "x is not blocked");
    give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

#include "shapes_fused.h"

/* ---- the table ---- */

static fw_status (*const rules[FWI_OP_COUNT])(rule *r) = {
#define FW_OP(name, attr, n_in, n_out, flags, shape, grad, test) [FWI_OP_##name] = shape_##shape,
#include "ops.def"
#undef FW_OP
};

/* What holds for every op, whatever its rule says. */
static fw_status infer(const fwi_graph *g, fwi_opkind kind, const fwi_val *in, rule *r)
{
    const fwi_op_info *info = fwi_op_info_get(kind);
    const int n_mut = fwi_op_mutates(kind);
    for (int i = 0; i < n_mut; i++) {
        if (g->tensors[in[i]].kind != FWI_VAR)
            return fwi_fail(FW_EARG, "input %d is not a variable, and the op changes it", i);
        for (int j = 0; j < info->n_in; j++)
            if (j != i && fwi_graph_root(g, in[j]) == in[i])
                return fwi_fail(FW_EARG, "inputs %d and %d are the same variable \"%s\"", i, j,
                                g->tensors[in[i]].name);
    }
    fwi_type blocked = {0};
    TRY(fwi_layout_enter(kind, r->real, r->in, &blocked));
    r->nb = blocked.nb;
    TRY(rules[kind](r));
    fwi_layout_leave(kind, r->real, &blocked, r->out);
    for (int i = 0; i < info->n_out; i++)
        if (fwi_shape_elems(&r->out[i].shape) < 0) {
            char text[FWI_SHAPE_TEXT];
            return fwi_fail(FW_ESHAPE, "output %d would be %s: more than 2^40 elements", i,
                            fwi_type_text(text, r->out[i].dtype, &r->out[i].shape));
        }
    return FW_OK;
}

fw_status fwi_infer(const fwi_graph *g, fwi_opkind kind, const fwi_attr *attr, const fwi_val *in,
                    fwi_type out[FWI_MAX_OUT])
{
    const fwi_op_info *info = fwi_op_info_get(kind);
    int n_fields = 0;
    fwi_attr_fields(kind, &n_fields);
    if (n_fields > 0 && attr == NULL)
        return fwi_fail(FW_EARG, "%s: attributes are missing", info->name);
    rule r = {.real = g->real, .attr = attr};
    for (int i = 0; i < info->n_in; i++) {
        if (!fwi_graph_has(g, in[i]))
            return fwi_fail(FW_EARG, "%s: input %d is %d, which is no tensor of this graph",
                            info->name, i, in[i]);
        const fwi_tensor *t = &g->tensors[in[i]];
        r.in[i] = (fwi_type){.dtype = t->dtype, .shape = t->shape, .nb = t->nb};
    }
    const fw_status st = infer(g, kind, in, &r);
    if (st != FW_OK) {
        char text[FWI_MAX_IN * (FWI_SHAPE_TEXT + 2)] = "", one[FWI_SHAPE_TEXT];
        int at = 0;
        for (int i = 0; i < info->n_in; i++)
            at += snprintf(text + at, sizeof text - (size_t)at, "%s%s", i > 0 ? ", " : "",
                           fwi_type_text(one, r.in[i].dtype, &r.in[i].shape));
        return fwi_fail_in(st, "%s(%s)", info->name, text);
    }
    for (int i = 0; i < info->n_out; i++)
        out[i] = r.out[i];
    return FW_OK;
}
