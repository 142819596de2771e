/* conv_key.c: from a call to a key, and a key in words. Read before: conv_key.h. */
#include "conv_key.h"

#include <stdio.h>
#include <string.h>

enum { KEY_NUMBERS = sizeof(fwi_dnn_key) / sizeof(int32_t) };
static_assert(KEY_NUMBERS == 17, "a key is 17 numbers without padding");

static bool fits(int64_t v, int64_t least)
{
    return v >= least && v <= INT32_MAX;
}

bool fwi_dnn_key_of(const fwi_call *c, bool tf32, fwi_dnn_key *out)
{
    if (c->kind != FWI_OP_conv2d && c->kind != FWI_OP_conv2d_dx && c->kind != FWI_OP_conv2d_dw)
        return false;
    const fw_dtype dtype = c->in[0].dtype;
    if (dtype != FW_F32 && dtype != FW_BF16 && dtype != FW_F16)
        return false;
    if (c->in[0].nb > 1 || c->in[1].nb > 1 || c->out[0].nb > 1)
        return false;
    const fwi_conv_attr *a = &c->attr->conv;
    const int64_t *x = NULL, *w = NULL, *y = NULL;
    fwi_dnn_pass pass = FWI_DNN_Y;
    if (c->kind == FWI_OP_conv2d) {
        x = c->in[0].shape.d, w = c->in[1].shape.d, y = c->out[0].shape.d;
    } else if (c->kind == FWI_OP_conv2d_dx) {
        pass = FWI_DNN_DX;
        x = c->out[0].shape.d, w = c->in[1].shape.d, y = c->in[0].shape.d;
    } else {
        pass = FWI_DNN_DW;
        x = c->in[0].shape.d, w = c->out[0].shape.d, y = c->in[1].shape.d;
    }
    const int64_t numbers[] = {x[0], x[1], x[2],      x[3],     w[0],     w[1],     w[2],
                               y[1], y[2], a->stride, a->pad_t, a->pad_l, a->pad_b, a->pad_r};
    int32_t small[sizeof numbers / sizeof *numbers];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!fits(numbers[i], 0))
            return false;
        small[i] = (int32_t)numbers[i];
    }
    out->pass = (int32_t)pass;
    out->dtype = (int32_t)dtype;
    out->tf32 = tf32 && dtype == FW_F32;
    memcpy(&out->n, small, sizeof small);
    return true;
}

bool fwi_dnn_key_equal(const fwi_dnn_key *a, const fwi_dnn_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* What a convolution of `in` places gives; -1: none. */
static int64_t out_size(int64_t in, int64_t before, int64_t after, int64_t k, int64_t stride)
{
    const int64_t room = in + before + after - k;
    return room < 0 ? -1 : room / stride + 1;
}

const char *fwi_dnn_key_wrong(const fwi_dnn_key *k)
{
    if (k->pass < 0 || k->pass >= FWI_DNN_PASSES)
        return "its pass is none of conv2d, conv2d_dx, conv2d_dw";
    if (k->dtype != FW_F32 && k->dtype != FW_BF16 && k->dtype != FW_F16)
        return "its type is none of f32, bf16, f16";
    if (k->tf32 != 0 && (k->tf32 != 1 || k->dtype != FW_F32))
        return "tf32 is for f32 alone";
    const int32_t sizes[] = {k->n, k->h, k->w, k->c, k->oc, k->kh, k->kw, k->stride};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (sizes[i] < 1)
            return "a size is under 1";
    }
    if (k->pad_t < 0 || k->pad_l < 0 || k->pad_b < 0 || k->pad_r < 0)
        return "a padding is under 0";
    if (k->oh != out_size(k->h, k->pad_t, k->pad_b, k->kh, k->stride) ||
        k->ow != out_size(k->w, k->pad_l, k->pad_r, k->kw, k->stride))
        return "its output is not what its input gives";
    return NULL;
}

static int64_t padded(int64_t channels, int64_t pad)
{
    return (channels + pad - 1) / pad * pad;
}

/* Whether a x b x c x d is under 2^31; none is negative. */
static bool countable(int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t sizes[] = {b, c, d};
    for (int i = 0; i < 3 && a <= INT32_MAX; i++)
        a *= sizes[i]; /* each is under 2^31 + 8 */
    return a <= INT32_MAX;
}

bool fwi_dnn_key_padded(const fwi_dnn_key *k, int32_t pad, fwi_dnn_key *out)
{
    const int64_t c = padded(k->c, pad), oc = padded(k->oc, pad);
    if ((c == k->c && oc == k->oc) || c > INT32_MAX || oc > INT32_MAX ||
        !countable(k->n, k->h, k->w, c) || !countable(oc, k->kh, k->kw, c) ||
        !countable(k->n, k->oh, k->ow, oc))
        return false;
    *out = *k;
    out->c = (int32_t)c;
    out->oc = (int32_t)oc;
    return true;
}

const char *fwi_dnn_pass_name(int32_t pass)
{
    static const char *const names[FWI_DNN_PASSES] = {"conv2d", "conv2d_dx", "conv2d_dw"};
    return pass >= 0 && pass < FWI_DNN_PASSES ? names[pass] : "?";
}

const char *fwi_dnn_key_text(const fwi_dnn_key *k, char text[FWI_CONV_KEY_TEXT])
{
    snprintf(text, FWI_CONV_KEY_TEXT, "%s %s n%d h%d w%d c%d oc%d k%dx%d s%d pad%d,%d,%d,%d",
             fwi_dnn_pass_name(k->pass), k->tf32 ? "tf32" : fw_dtype_name((fw_dtype)k->dtype), k->n,
             k->h, k->w, k->c, k->oc, k->kh, k->kw, k->stride, k->pad_t, k->pad_l, k->pad_b,
             k->pad_r);
    return text;
}
