/* optimizer.c: optimisers and parameter groups as plain values: made, checked, described. What they
 * do to a graph is in update.c. */
#include "mem.h"
#include "number.h"
#include "optim_inner.h"

#include <math.h>

static bool is_share(double v) /* in [0, 1) */
{
    return v >= 0 && v < 1;
}

static bool is_size(double v) /* finite, not negative */
{
    return v >= 0 && isfinite(v);
}

static const char *find_muon_mistake(const fw_muon_opt *m)
{
    const bool target = m->target[0] != 0 || m->target[1] != 0;
    if ((unsigned)m->renorm > FW_RENORM_SPACED)
        return "muon: there is no such renorm";
    if (!is_size(m->total_steps))
        return "muon: total_steps is negative or not finite";
    if ((target || m->renorm == FW_RENORM_SPACED) && m->total_steps == 0)
        return "muon: renorm spaced and target need total_steps";
    if (!(m->renorm_gap >= 1 && isfinite(m->renorm_gap)) || !is_size(m->renorm_growth))
        return "muon: renorm_gap is under 1, or renorm_growth negative, or one is not finite";
    if (target &&
        !(m->target[0] > 0 && isfinite(m->target[0]) && m->target[1] > 0 && isfinite(m->target[1])))
        return "muon: a target is not a positive number";
    return NULL;
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
    case FW_MUON:
        if (!is_share(o->momentum))
            return "muon: momentum is not in 0 to less than 1";
        if (o->muon.steps < 1 || o->muon.steps > FWI_MUON_STEPS)
            return "muon: steps is not in 1 to 100";
        if (!(isfinite(o->muon.a) && isfinite(o->muon.b) && isfinite(o->muon.c)))
            return "muon: a coefficient is not finite";
        if (!is_size(o->muon.weight_decay))
            return "muon: weight_decay is negative or not finite";
        if (!is_size(o->muon.clip_norm))
            return "muon: clip_norm is negative or not finite";
        return find_muon_mistake(&o->muon);
    case FW_LARS:
        if (!is_share(o->momentum))
            return "lars: momentum is not in 0 to less than 1";
        if (!(o->lars.eps > 0 && isfinite(o->lars.eps)))
            return "lars: eps is not a positive number";
        if (!is_size(o->lars.weight_decay))
            return "lars: weight_decay is negative or not finite";
        return is_size(o->lars.clip_norm) ? NULL : "lars: clip_norm is negative or not finite";
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

fw_optimizer fw_muon(fw_schedule lr, double momentum, const fw_muon_opt *opt)
{
    fw_optimizer o = {.kind = FW_MUON, .lr = lr, .momentum = momentum};
    if (opt != NULL)
        o.muon = *opt;
    if (o.muon.steps == 0)
        o.muon.steps = 3;
    if (o.muon.a == 0 && o.muon.b == 0 && o.muon.c == 0) {
        o.muon.a = 3.4445;
        o.muon.b = -4.7750;
        o.muon.c = 2.0315;
    }
    if (o.muon.renorm_gap == 0 && o.muon.renorm_growth == 0) {
        o.muon.renorm_gap = 2;
        o.muon.renorm_growth = 15;
    }
    o.error = find_mistake(&o);
    return o;
}

fw_optimizer fw_lars(fw_schedule lr, double momentum, const fw_lars_opt *opt)
{
    fw_optimizer o = {.kind = FW_LARS, .lr = lr, .momentum = momentum};
    if (opt != NULL)
        o.lars = *opt;
    if (o.lars.eps == 0)
        o.lars.eps = 1e-2;
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

/* ---- groups ---- */

const char *const fwi_param_class_names[] = {"conv", "dense",       "head", "bn_scale",
                                             "bias", "whiten_bias", NULL};
enum { ALL_CLASSES = 2 * FW_PARAM_WHITEN_BIAS - 1 };

static const char *find_group_mistake(const fw_param_group *p)
{
    if (p->classes == 0)
        return "it has no classes";
    if ((p->classes & ~(uint32_t)ALL_CLASSES) != 0)
        return "it has classes that do not exist";
    if (p->train_steps < 0)
        return "train_steps is negative";
    return NULL;
}

fw_status fwi_optim_check(const fwi_optim *o)
{
    fw_status st = fw_optimizer_check(&o->rest);
    if (st == FW_OK && (o->n_groups < 0 || o->n_groups > FW_MAX_GROUPS))
        st = fwi_fail(FW_EARG, "%d parameter groups, at most %d are allowed", (int)o->n_groups,
                      (int)FW_MAX_GROUPS);
    for (int32_t i = 0; i < o->n_groups && st == FW_OK; i++) {
        const char *const mistake = find_group_mistake(&o->group[i]);
        st = mistake != NULL ? fwi_fail(FW_EARG, "%s", mistake)
                             : fw_optimizer_check(&o->group[i].optimizer);
        if (st != FW_OK)
            st = fwi_fail_in(st, "parameter group %d", (int)i + 1);
    }
    if (st == FW_OK)
        st = fwi_average_check_options(&o->average);
    return st;
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
        if (s->floor > 0)
            TRY(put(b, "floor", s->floor));
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

static fw_status describe_sgd(fwi_buf *b, const fw_optimizer *o)
{
    static const char *const forms[] = {"pytorch", "page", "plain"};
    TRY(fwi_buf_printf(b, "sgd"));
    TRY(put(b, "momentum", o->momentum));
    TRY(fwi_buf_printf(b, " nesterov=%s", forms[o->sgd.nesterov]));
    TRY(put(b, "weight_decay", o->sgd.weight_decay));
    return put(b, "clip_norm", o->sgd.clip_norm);
}

static fw_status describe_adam(fwi_buf *b, const fw_optimizer *o)
{
    TRY(fwi_buf_printf(b, "adam"));
    TRY(put(b, "beta1", o->adam.beta1));
    TRY(put(b, "beta2", o->adam.beta2));
    TRY(put(b, "eps", o->adam.eps));
    TRY(put(b, "weight_decay", o->adam.weight_decay));
    TRY(fwi_buf_printf(b, " decay_norm_and_bias=%s",
                       o->adam.decay_norm_and_bias ? "true" : "false"));
    return put(b, "clip_norm", o->adam.clip_norm);
}

static fw_status describe_muon(fwi_buf *b, const fw_optimizer *o)
{
    static const char *const renorms[] = {"every_step", "none", "spaced"};
    TRY(fwi_buf_printf(b, "muon"));
    TRY(put(b, "momentum", o->momentum));
    TRY(put(b, "steps", o->muon.steps));
    TRY(put(b, "a", o->muon.a));
    TRY(put(b, "b", o->muon.b));
    TRY(put(b, "c", o->muon.c));
    TRY(put(b, "weight_decay", o->muon.weight_decay));
    TRY(fwi_buf_printf(b, " renorm=%s", renorms[o->muon.renorm]));
    if (o->muon.renorm == FW_RENORM_SPACED) {
        TRY(put(b, "gap", o->muon.renorm_gap));
        TRY(put(b, "growth", o->muon.renorm_growth));
    }
    if (o->muon.target[0] > 0) {
        TRY(put(b, "target", o->muon.target[0]));
        TRY(put(b, "to", o->muon.target[1]));
    }
    if (o->muon.renorm == FW_RENORM_SPACED || o->muon.target[0] > 0)
        TRY(put(b, "total_steps", o->muon.total_steps));
    return put(b, "clip_norm", o->muon.clip_norm);
}

static fw_status describe_lars(fwi_buf *b, const fw_optimizer *o)
{
    TRY(fwi_buf_printf(b, "lars"));
    TRY(put(b, "momentum", o->momentum));
    TRY(put(b, "eps", o->lars.eps));
    TRY(put(b, "weight_decay", o->lars.weight_decay));
    return put(b, "clip_norm", o->lars.clip_norm);
}

static fw_status describe_optimizer(fwi_buf *b, const fw_optimizer *o)
{
    TRY(o->kind == FW_SGD    ? describe_sgd(b, o)
        : o->kind == FW_ADAM ? describe_adam(b, o)
        : o->kind == FW_MUON ? describe_muon(b, o)
                             : describe_lars(b, o));
    return describe_schedule(b, &o->lr);
}

static fw_status describe_group(fwi_buf *b, const fw_param_group *p)
{
    TRY(fwi_buf_printf(b, "; group"));
    for (int i = 0; fwi_param_class_names[i] != NULL; i++)
        if ((p->classes & 1U << i) != 0)
            TRY(fwi_buf_printf(b, " %s", fwi_param_class_names[i]));
    TRY(put(b, "train_steps", (double)p->train_steps));
    TRY(fwi_buf_printf(b, ": "));
    return describe_optimizer(b, &p->optimizer);
}

static fw_status describe(fwi_buf *b, const fwi_optim *o)
{
    TRY(fwi_optim_check(o));
    TRY(describe_optimizer(b, &o->rest));
    for (int32_t i = 0; i < o->n_groups; i++)
        TRY(describe_group(b, &o->group[i]));
    return fwi_average_describe(&o->average, b);
}

fw_status fwi_optim_describe(const fwi_optim *o, char **text)
{
    fwi_buf b = {0};
    fw_status st = describe(&b, o);
    if (st == FW_OK && (*text = fwi_strdup((const char *)b.data)) == NULL)
        st = FW_ENOMEM;
    fwi_buf_clear(&b);
    return st;
}
