/* schedule.c: learning rates as functions of the global step.
 *
 * A schedule is a plain value: the functions that make one remember a mistake in it as a static
 * text, and fw_schedule_check finds it, and what was changed by hand since. The optimiser's row of
 * numbers per step (update.c) and plots read it. */
#include "fail.h"
#include <fenwicks/optim.h>
#include <fenwicks/plot.h> /* fw_simulate_lr */

#include <math.h>
#include <string.h>

static const char *find_mistake(const fw_schedule *s)
{
    if (s->error != NULL)
        return s->error;
    if (s->start != 0 && s->start != 1)
        return "start is neither 0 nor 1";
    if (s->floor != 0 && s->kind != FW_SCHEDULE_ONE_CYCLE)
        return "floor is for one-cycle and linear schedules";
    switch (s->kind) {
    case FW_SCHEDULE_CONSTANT:
        return isfinite(s->base) && s->base >= 0 ? NULL : "the rate is negative or not finite";
    case FW_SCHEDULE_EXPONENTIAL:
        if (!(isfinite(s->base) && s->base >= 0 && isfinite(s->scale) && s->scale >= 0))
            return "the rate or its base is negative or not finite";
        if (!(s->rate > 0 && isfinite(s->rate)))
            return "the decay's rate is not a positive number";
        return s->total > 0 && isfinite(s->total) ? NULL : "its steps are not a positive number";
    case FW_SCHEDULE_ONE_CYCLE:
        if (!(isfinite(s->scale) && s->scale >= 0))
            return "the rate is negative or not finite";
        if (!(s->total > 0 && isfinite(s->total)))
            return "its steps are not a positive number";
        if (!(s->warmup >= 0 && s->warmup < s->total))
            return "the warm-up does not end before the last step: its knots do not increase";
        if (!(s->floor >= 0 && s->floor <= 1))
            return "floor is not in 0 to 1";
        return (unsigned)s->decay <= FW_DECAY_EXPONENTIAL ? NULL : "there is no such decay";
    case FW_SCHEDULE_PIECEWISE:
        if (s->n_knots < 1 || s->n_knots > FW_MAX_KNOTS)
            return "it has no knots, or more than 32";
        _Static_assert(FW_MAX_KNOTS == 32, "the message names it");
        for (int32_t i = 0; i < s->n_knots; i++) {
            if (!isfinite(s->knot[i]) || !isfinite(s->value[i]) || s->value[i] < 0)
                return "a knot or a value is not finite, or a value is negative";
            if (i > 0 && !(s->knot[i] > s->knot[i - 1]))
                return "its knots do not increase";
        }
        return NULL;
    }
    return "there is no such kind";
}

static fw_schedule settle(fw_schedule s)
{
    s.error = find_mistake(&s);
    return s;
}

fw_schedule fw_constant_lr(double lr)
{
    return settle((fw_schedule){.kind = FW_SCHEDULE_CONSTANT, .base = lr});
}

fw_schedule fw_exp_decay_lr(double lr, double steps, double base, double rate)
{
    return settle((fw_schedule){.kind = FW_SCHEDULE_EXPONENTIAL,
                                .base = base,
                                .scale = lr,
                                .rate = rate == 0 ? exp(-1) : rate,
                                .total = steps});
}

fw_schedule fw_linear_decay_lr(double lr, double total_steps)
{
    return fw_one_cycle_lr(lr, total_steps, 0, FW_DECAY_LINEAR);
}

fw_schedule fw_one_cycle_lr(double lr, double total_steps, double warmup_steps, fw_decay decay)
{
    return settle((fw_schedule){.kind = FW_SCHEDULE_ONE_CYCLE,
                                .decay = decay,
                                .scale = lr,
                                .total = total_steps,
                                .warmup = warmup_steps});
}

fw_schedule fw_triangular_lr(double lr, double total_steps, double warmup_steps)
{
    return fw_one_cycle_lr(lr, total_steps, warmup_steps, FW_DECAY_LINEAR);
}

fw_schedule fw_piecewise_lr(int32_t n, const double *knots, const double *values)
{
    fw_schedule s = {.kind = FW_SCHEDULE_PIECEWISE, .n_knots = n};
    if (n >= 1 && n <= FW_MAX_KNOTS) {
        if (knots == NULL || values == NULL) {
            s.error = "its knots or values are NULL";
            return s;
        }
        memcpy(s.knot, knots, (size_t)n * sizeof *knots);
        memcpy(s.value, values, (size_t)n * sizeof *values);
    }
    return settle(s);
}

static double decay_at(const fw_schedule *c, double s)
{
    const double t = s - c->warmup, steps = c->total - c->warmup;
    switch (c->decay) {
    case FW_DECAY_LINEAR: /* as lr (T-s) / (T-w): exactly 0 at the end, exactly lr at the top */
        return c->scale * (t < steps ? steps - t : 0) / steps;
    case FW_DECAY_COSINE:
        return c->scale * 0.5 * (1 + cos(acos(-1) * (t < steps ? t / steps : 1)));
    case FW_DECAY_EXPONENTIAL: /* to lr/e at the end, as the walk-through's library has it */
        return c->scale * exp(-t / steps);
    }
    return (double)NAN;
}

static double one_cycle_at(const fw_schedule *c, double s)
{
    if (s < c->warmup)
        return c->scale * s / c->warmup;
    const double rate = decay_at(c, s), least = c->floor * c->scale;
    return rate < least ? least : rate;
}

static double piecewise_at(const fw_schedule *p, double s)
{
    if (s <= p->knot[0])
        return p->value[0];
    for (int32_t i = 1; i < p->n_knots; i++)
        if (s <= p->knot[i]) {
            const double share = (s - p->knot[i - 1]) / (p->knot[i] - p->knot[i - 1]);
            return p->value[i - 1] * (1 - share) + p->value[i] * share;
        }
    return p->value[p->n_knots - 1];
}

double fw_schedule_at(const fw_schedule *sched, double s)
{
    if (sched == NULL || find_mistake(sched) != NULL)
        return (double)NAN;
    s += sched->start;
    switch (sched->kind) {
    case FW_SCHEDULE_CONSTANT:
        return sched->base;
    case FW_SCHEDULE_EXPONENTIAL:
        return sched->base + sched->scale * pow(sched->rate, s / sched->total);
    case FW_SCHEDULE_ONE_CYCLE:
        return one_cycle_at(sched, s);
    case FW_SCHEDULE_PIECEWISE:
        return piecewise_at(sched, s);
    }
    return (double)NAN;
}

fw_status fw_schedule_check(const fw_schedule *sched)
{
    if (sched == NULL)
        return fwi_fail(FW_EARG, "learning-rate schedule: NULL");
    const char *const mistake = find_mistake(sched);
    return mistake == NULL ? FW_OK : fwi_fail(FW_EARG, "learning-rate schedule: %s", mistake);
}

fw_status fw_simulate_lr(const fw_schedule *sched, int64_t total_steps, double *out)
{
    const fw_status st = fw_schedule_check(sched);
    if (st != FW_OK)
        return st;
    if (total_steps < 1 || out == NULL)
        return fwi_fail(FW_EARG, "fw_simulate_lr: total_steps is under 1, or out is NULL");
    for (int64_t s = 0; s < total_steps; s++)
        out[s] = fw_schedule_at(sched, (double)s);
    return FW_OK;
}
