/* shapes_window.c: the shape rules of what multiplies and of what slides a window: convolutions,
 * matrix products and their biases, pools. Read before: shapes.h. */
#include "shapes.h"

#include <inttypes.h>

/* ---- linear ---- */

/* Checks the attributes among themselves; gives the output's height and width. */
static fw_status conv_out(const fwi_conv_attr *a, int64_t *oh, int64_t *ow)
{
    TRY(fwi_want_int("kh", a->kh, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("kw", a->kw, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("stride", a->stride, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("pad_t", a->pad_t, 0, FWI_MAX_ATTR));
    TRY(fwi_want_int("pad_l", a->pad_l, 0, FWI_MAX_ATTR));
    TRY(fwi_want_int("pad_b", a->pad_b, 0, FWI_MAX_ATTR));
    TRY(fwi_want_int("pad_r", a->pad_r, 0, FWI_MAX_ATTR));
    TRY(fwi_want_int("algo", a->algo, 0, FWI_CONV_ALGOS - 1));
    TRY(fwi_want_int("ih", a->ih, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("iw", a->iw, 1, FWI_MAX_ATTR));
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

static fw_status conv_x(const fwi_rule *r, int i)
{
    const fwi_conv_attr *a = &r->attr->conv;
    TRY(fwi_want_real(r, i, "x", 4, 4));
    const int64_t *d = r->in[i].shape.d;
    if (d[1] != a->ih || d[2] != a->iw)
        return fwi_fail(FW_ESHAPE,
                        "x is %" PRId64 "x%" PRId64 ", the attributes say ih=%" PRId64
                        " iw=%" PRId64,
                        d[1], d[2], a->ih, a->iw);
    return FW_OK;
}

static fw_status conv_w(const fwi_rule *r, int i)
{
    const fwi_conv_attr *a = &r->attr->conv;
    TRY(fwi_want_real(r, i, "w", 4, 4));
    const int64_t *d = r->in[i].shape.d;
    if (d[1] != a->kh || d[2] != a->kw)
        return fwi_fail(FW_ESHAPE,
                        "w is %" PRId64 "x%" PRId64 ", the attributes say kh=%" PRId64
                        " kw=%" PRId64,
                        d[1], d[2], a->kh, a->kw);
    return FW_OK;
}

static fw_status conv_dy(const fwi_rule *r, int i, int64_t oh, int64_t ow)
{
    TRY(fwi_want_real(r, i, "dy", 4, 4));
    const int64_t *d = r->in[i].shape.d;
    if (d[1] != oh || d[2] != ow)
        return fwi_fail(FW_ESHAPE,
                        "dy is %" PRId64 "x%" PRId64 ", the attributes give %" PRId64 "x%" PRId64,
                        d[1], d[2], oh, ow);
    return FW_OK;
}

fw_status fwi_rule_conv2d(fwi_rule *r)
{
    int64_t oh = 0, ow = 0;
    TRY(conv_x(r, 0));
    TRY(conv_w(r, 1));
    TRY(conv_out(&r->attr->conv, &oh, &ow));
    const fwi_shape *x = &r->in[0].shape, *w = &r->in[1].shape;
    if (x->d[3] != w->d[3])
        return fwi_fail(FW_ESHAPE, "x has %" PRId64 " channels, w is for %" PRId64, x->d[3],
                        w->d[3]);
    fwi_give(r, 0, r->real, fwi_shape4(x->d[0], oh, ow, w->d[0]));
    return FW_OK;
}

fw_status fwi_rule_conv2d_dx(fwi_rule *r)
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
    fwi_give(r, 0, r->real, fwi_shape4(dy->d[0], a->ih, a->iw, w->d[3]));
    return FW_OK;
}

fw_status fwi_rule_conv2d_dw(fwi_rule *r)
{
    int64_t oh = 0, ow = 0;
    TRY(conv_x(r, 0));
    TRY(conv_out(&r->attr->conv, &oh, &ow));
    TRY(conv_dy(r, 1, oh, ow));
    const fwi_conv_attr *a = &r->attr->conv;
    const fwi_shape *x = &r->in[0].shape, *dy = &r->in[1].shape;
    if (x->d[0] != dy->d[0])
        return fwi_fail(FW_ESHAPE, "x has %" PRId64 " images, dy %" PRId64, x->d[0], dy->d[0]);
    fwi_give(r, 0, r->real, fwi_shape4(dy->d[3], a->kh, a->kw, x->d[3]));
    return FW_OK;
}

fw_status fwi_rule_matmul(fwi_rule *r)
{
    const fwi_matmul_attr *t = &r->attr->matmul;
    TRY(fwi_want_int("ta", t->ta, 0, 1));
    TRY(fwi_want_int("tb", t->tb, 0, 1));
    TRY(fwi_want_real(r, 0, "a", 2, 2));
    TRY(fwi_want_real(r, 1, "b", 2, 2));
    const int64_t *a = r->in[0].shape.d, *b = r->in[1].shape.d;
    const int64_t m = a[t->ta], k = a[1 - t->ta], kb = b[t->tb], n = b[1 - t->tb];
    if (k != kb)
        return fwi_fail(FW_ESHAPE,
                        "%s has %" PRId64 " columns, %s has %" PRId64 " rows (they must agree)",
                        t->ta ? "transposed a" : "a", k, t->tb ? "transposed b" : "b", kb);
    fwi_give(r, 0, r->real, fwi_shape2(m, n));
    return FW_OK;
}

fw_status fwi_rule_bias_add(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "x", 1, FW_MAX_RANK));
    TRY(fwi_want_shape(r, 1, "b", r->real, fwi_shape1(fwi_last_dim(&r->in[0].shape))));
    fwi_give(r, 0, r->real, r->in[0].shape);
    return FW_OK;
}

fw_status fwi_rule_sum_rows(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "x", 1, FW_MAX_RANK));
    fwi_give(r, 0, r->real, fwi_shape1(fwi_last_dim(&r->in[0].shape)));
    return FW_OK;
}

/* ---- pools ---- */

/* k, stride, ih, iw among themselves; gives the output's height and width. */
fw_status fwi_want_pool(const fwi_pool_attr *a, int64_t ih, int64_t iw, int64_t *oh, int64_t *ow)
{
    TRY(fwi_want_int("k", a->k, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("stride", a->stride, 1, FWI_MAX_ATTR));
    if (a->k > ih || a->k > iw)
        return fwi_fail(FW_ESHAPE,
                        "the window of %" PRId64 "x%" PRId64 " is larger than the input of %" PRId64
                        "x%" PRId64,
                        a->k, a->k, ih, iw);
    *oh = (ih - a->k) / a->stride + 1;
    *ow = (iw - a->k) / a->stride + 1;
    return FW_OK;
}

static fw_status pool_forward(fwi_rule *r)
{
    const fwi_pool_attr *a = &r->attr->pool;
    int64_t oh = 0, ow = 0;
    TRY(fwi_want_real(r, 0, "x", 4, 4));
    const int64_t *x = r->in[0].shape.d;
    if ((a->ih != 0 && a->ih != x[1]) || (a->iw != 0 && a->iw != x[2]))
        return fwi_fail(FW_ESHAPE,
                        "x is %" PRId64 "x%" PRId64 ", the attributes say ih=%" PRId64
                        " iw=%" PRId64,
                        x[1], x[2], a->ih, a->iw);
    TRY(fwi_want_pool(a, x[1], x[2], &oh, &ow));
    fwi_give(r, 0, r->real, fwi_shape4(x[0], oh, ow, x[3]));
    return FW_OK;
}

static fw_status pool_backward(fwi_rule *r)
{
    const fwi_pool_attr *a = &r->attr->pool;
    int64_t oh = 0, ow = 0;
    TRY(fwi_want_real(r, 0, "dy", 4, 4));
    TRY(fwi_want_int("ih", a->ih, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("iw", a->iw, 1, FWI_MAX_ATTR));
    TRY(fwi_want_pool(a, a->ih, a->iw, &oh, &ow));
    const int64_t *dy = r->in[0].shape.d;
    if (dy[1] != oh || dy[2] != ow)
        return fwi_fail(FW_ESHAPE,
                        "dy is %" PRId64 "x%" PRId64 ", the attributes give %" PRId64 "x%" PRId64,
                        dy[1], dy[2], oh, ow);
    fwi_give(r, 0, r->real, fwi_shape4(dy[0], a->ih, a->iw, dy[3]));
    return FW_OK;
}

fw_status fwi_want_max_window(const fwi_pool_attr *a)
{
    if (a->k > 16) /* places in a window are u8 */
        return fwi_fail(FW_EARG, "k is %" PRId64 ", a maximum's window is at most 16x16", a->k);
    return FW_OK;
}

fw_status fwi_rule_max_pool(fwi_rule *r)
{
    TRY(pool_forward(r));
    TRY(fwi_want_max_window(&r->attr->pool));
    fwi_give(r, 1, FW_U8, r->out[0].shape);
    return FW_OK;
}

fw_status fwi_rule_max_pool_grad(fwi_rule *r)
{
    TRY(pool_backward(r));
    TRY(fwi_want_max_window(&r->attr->pool));
    return fwi_want_shape(r, 1, "idx", FW_U8, r->in[0].shape);
}

fw_status fwi_rule_avg_pool(fwi_rule *r)
{
    return pool_forward(r);
}

fw_status fwi_rule_avg_pool_grad(fwi_rule *r)
{
    return pool_backward(r);
}

fw_status fwi_rule_global_avg_pool(fwi_rule *r)
{
    TRY(fwi_want_real(r, 0, "x", 4, 4));
    fwi_give(r, 0, r->real, fwi_shape2(r->in[0].shape.d[0], r->in[0].shape.d[3]));
    return FW_OK;
}

static fw_status want_places(int64_t h, int64_t w)
{
    return h <= INT32_MAX / w ? FW_OK /* places are i32 */
                              : fwi_fail(FW_ESHAPE, "x has more than 2^31-1 places");
}

fw_status fwi_rule_global_max_pool(fwi_rule *r)
{
    TRY(fwi_rule_global_avg_pool(r));
    const int64_t *x = r->in[0].shape.d;
    TRY(want_places(x[1], x[2]));
    fwi_give(r, 1, FW_I32, r->out[0].shape);
    return FW_OK;
}

fw_status fwi_rule_global_avg_pool_grad(fwi_rule *r)
{
    const fwi_pool_attr *a = &r->attr->pool;
    TRY(fwi_want_real(r, 0, "dy", 2, 2));
    TRY(fwi_want_int("ih", a->ih, 1, FWI_MAX_ATTR));
    TRY(fwi_want_int("iw", a->iw, 1, FWI_MAX_ATTR));
    const int64_t *dy = r->in[0].shape.d;
    fwi_give(r, 0, r->real, fwi_shape4(dy[0], a->ih, a->iw, dy[1]));
    return FW_OK;
}

fw_status fwi_rule_global_max_pool_grad(fwi_rule *r)
{
    TRY(fwi_rule_global_avg_pool_grad(r));
    TRY(want_places(r->attr->pool.ih, r->attr->pool.iw));
    return fwi_want_shape(r, 1, "idx", FW_I32, r->in[0].shape);
}
