/* optimizer.c: optimisers as plain values: made, checked, described. What they do to a graph is in
 * update.c. */
#include "mem.h"
#include "number.h"
#include "optim_inner.h"

#include <math.h>
#include <string.h>

static bool is_share(double v) /* in [0, 1) */
{
    return v >= 0 && v < 1;
}

static bool is_size(double v) /* finite, not negative */
{
    return v >= 0 && isfinite(v);
}

static const char *find_mistake(const fw_optimizer *o)
{
    if (o->error != NULL)
        return o->error;
    switch (o->kind) {
    case FW_SGD:
        if (!is_share(o->momentum))
            return "sgd: momentum is not in 0 to less than 1";
        if (!is_size(o->sgd.weight_decay))
            return "sgd: weight_decay is negative or not finite";
        if (!is_size(o->sgd.clip_norm))
            return "sgd: clip_norm is negative or not finite";
        return (unsigned)o->sgd.nesterov <= FW_MOMENTUM_PLAIN ? NULL
                                                              : "sgd: there is no such nesterov";
    case FW_ADAM:
        if (!is_share(o->adam.beta1) || !is_share(o->adam.beta2))
            return "adam: beta1 or beta2 is not in 0 to less than 1";
        if (!(o->adam.eps > 0 && isfinite(o->adam.eps)))
            return "adam: eps is not a positive number";
        if (!is_size(o->adam.weight_decay))
            return "adam: weight_decay is negative or not finite";
        return is_size(o->adam.clip_norm) ? NULL : "adam: clip_norm is negative or not finite";
    }
    return "optimiser: there is no such kind";
}

fw_optimizer fw_sgd(fw_schedule lr, double momentum, const fw_sgd_opt *opt)
{
    fw_optimizer o = {.kind = FW_SGD, .lr = lr, .momentum = momentum};
    if (opt != NULL)
        o.sgd = *opt;
    o.error = find_mistake(&o);
    return o;
}

fw_optimizer fw_adam(fw_schedule lr, const fw_adam_opt *opt)
{
    fw_optimizer o = {.kind = FW_ADAM, .lr = lr};
    if (opt != NULL)
        o.adam = *opt;
    if (o.adam.beta1 == 0)
        o.adam.beta1 = 0.9;
    if (o.adam.beta2 == 0)
        o.adam.beta2 = 0.999;
    if (o.adam.eps == 0)
        o.adam.eps = 1e-8;
    o.error = find_mistake(&o);
    return o;
}

fw_status fw_optimizer_check(const fw_optimizer *o)
{
    if (o == NULL)
        return fwi_fail(FW_EARG, "optimiser: NULL");
    const char *const mistake = find_mistake(o);
    return mistake != NULL ? fwi_fail(FW_EARG, "%s", mistake) : fw_schedule_check(&o->lr);
}

/* ---- in one line ---- */

static fw_status put(fwi_buf *b, const char *name, double v)
{
    char text[FWI_NUMBER_CAP];
    fwi_format_double(text, v);
    return fwi_buf_printf(b, " %s=%s", name, text);
}

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const fw_status try_st = (call);                                                           \
        if (try_st != FW_OK)                                                                       \
            return try_st;                                                                         \
    } while (0)

static fw_status describe_schedule(fwi_buf *b, const fw_schedule *s)
{
    static const char *const kinds[] = {"constant", "piecewise", "exponential", "one_cycle"};
    static const char *const decays[] = {"linear", "cosine", "exponential"};
    TRY(fwi_buf_printf(b, " lr=%s", kinds[s->kind]));
    switch (s->kind) {
    case FW_SCHEDULE_CONSTANT:
        TRY(put(b, "base", s->base));
        break;
    case FW_SCHEDULE_EXPONENTIAL:
        TRY(put(b, "peak", s->scale));
        TRY(put(b, "steps", s->total));
        TRY(put(b, "base", s->base));
        TRY(put(b, "rate", s->rate));
        break;
    case FW_SCHEDULE_ONE_CYCLE:
        TRY(put(b, "peak", s->scale));
        TRY(put(b, "steps", s->total));
        TRY(put(b, "warmup", s->warmup));
        TRY(fwi_buf_printf(b, " decay=%s", decays[s->decay]));
        break;
    case FW_SCHEDULE_PIECEWISE:
        for (int32_t i = 0; i < s->n_knots; i++) {
            TRY(put(b, "knot", s->knot[i]));
            TRY(put(b, "value", s->value[i]));
        }
        break;
    }
    return fwi_buf_printf(b, " schedule_start=%d", (int)s->start);
}

static fw_status describe(fwi_buf *b, const fw_optimizer *o)
{
    static const char *const forms[] = {"pytorch", "page", "plain"};
    TRY(fw_optimizer_check(o));
    if (o->kind == FW_SGD) {
        TRY(fwi_buf_printf(b, "sgd"));
        TRY(put(b, "momentum", o->momentum));
        TRY(fwi_buf_printf(b, " nesterov=%s", forms[o->sgd.nesterov]));
        TRY(put(b, "weight_decay", o->sgd.weight_decay));
        TRY(put(b, "clip_norm", o->sgd.clip_norm));
    } else {
        TRY(fwi_buf_printf(b, "adam"));
        TRY(put(b, "beta1", o->adam.beta1));
        TRY(put(b, "beta2", o->adam.beta2));
        TRY(put(b, "eps", o->adam.eps));
        TRY(put(b, "weight_decay", o->adam.weight_decay));
        TRY(fwi_buf_printf(b, " decay_norm_and_bias=%s",
                           o->adam.decay_norm_and_bias ? "true" : "false"));
        TRY(put(b, "clip_norm", o->adam.clip_norm));
    }
    return describe_schedule(b, &o->lr);
}

fw_status fwi_optim_describe(const fw_optimizer *o, char *buf, size_t cap)
{
    fwi_buf text = {0};
    fw_status st = describe(&text, o);
    if (st == FW_OK && text.size + 1 > cap)
        st = fwi_fail(FW_EARG, "the optimiser's description needs %zu bytes, there are %zu",
                      text.size + 1, cap);
    if (st == FW_OK)
        memcpy(buf, text.data, text.size + 1);
    fwi_buf_clear(&text);
    return st;
}
