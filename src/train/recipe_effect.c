/* recipe_effect.c: which keys say nothing in a recipe, as the values of others do not look at them: momentum
 * where the optimizer is adam. A file may hold such keys, for the day when that other value changes;
 * what is set for a run, or for a group alone, and would change nothing is refused: an experiment would
 * compare a recipe with itself. Read before: recipe_build.c, recipe_groups.c. */
#include "recipe_inner.h"

#include <stdio.h>
#include <string.h>

#include "fail.h"

#define TRAIN(key) FWI_KEY_TRAIN_##key

/* A key, and the words of another one that look at it; words NULL: all, but it has to be given. */
typedef struct need {
    fwi_key key, of;
    const char *words, *instead; /* instead: what to set; NULL: nothing */
} need;
static const need needs[] = {
    {TRAIN(LR), TRAIN(SCHEDULE), "constant one_cycle triangular exponential linear",
     "its rates are lr_values"},
    {TRAIN(WARMUP), TRAIN(SCHEDULE), "one_cycle triangular", NULL},
    {TRAIN(DECAY), TRAIN(SCHEDULE), "one_cycle", NULL},
    {TRAIN(START), TRAIN(SCHEDULE), "one_cycle triangular piecewise exponential linear", NULL},
    {TRAIN(LR_BASE), TRAIN(SCHEDULE), "exponential", NULL},
    {TRAIN(LR_RATE), TRAIN(SCHEDULE), "exponential", NULL},
    {TRAIN(LR_STEPS), TRAIN(SCHEDULE), "one_cycle triangular exponential linear", NULL},
    {TRAIN(LR_FLOOR), TRAIN(SCHEDULE), "one_cycle triangular linear", NULL},
    {TRAIN(LR_KNOTS), TRAIN(SCHEDULE), "piecewise", NULL},
    {TRAIN(LR_VALUES), TRAIN(SCHEDULE), "piecewise", NULL},
    {TRAIN(MOMENTUM), TRAIN(OPTIMIZER), "sgd muon lars", "it has beta1"},
    {TRAIN(NESTEROV), TRAIN(OPTIMIZER), "sgd", NULL},
    {TRAIN(BETA1), TRAIN(OPTIMIZER), "adam", NULL},
    {TRAIN(BETA2), TRAIN(OPTIMIZER), "adam", NULL},
    {TRAIN(EPS), TRAIN(OPTIMIZER), "adam", NULL},
    {TRAIN(DECAY_ALL), TRAIN(OPTIMIZER), "adam", NULL},
    {TRAIN(NS_STEPS), TRAIN(OPTIMIZER), "muon", NULL},
    {TRAIN(NS_A), TRAIN(OPTIMIZER), "muon", NULL},
    {TRAIN(NS_B), TRAIN(OPTIMIZER), "muon", NULL},
    {TRAIN(NS_C), TRAIN(OPTIMIZER), "muon", NULL},
    {TRAIN(NS_TARGET), TRAIN(OPTIMIZER), "muon", NULL},
    {TRAIN(RENORM), TRAIN(OPTIMIZER), "muon", NULL},
    {TRAIN(RENORM_GAP), TRAIN(OPTIMIZER), "muon", NULL},
    {TRAIN(RENORM_GAP), TRAIN(RENORM), "spaced", NULL},
    {TRAIN(RENORM_GROWTH), TRAIN(OPTIMIZER), "muon", NULL},
    {TRAIN(RENORM_GROWTH), TRAIN(RENORM), "spaced", NULL},
    {TRAIN(LARS_EPS), TRAIN(OPTIMIZER), "lars", NULL},
    {TRAIN(AVERAGE_DECAY), TRAIN(AVERAGE), "ema lookahead", NULL},
    {TRAIN(AVERAGE_DECAY_STEPS), TRAIN(AVERAGE), "ema lookahead", NULL},
    {TRAIN(AVERAGE_POWER), TRAIN(AVERAGE), "ema lookahead", NULL},
    {TRAIN(AVERAGE_EVERY), TRAIN(AVERAGE), "ema lookahead", NULL},
    {TRAIN(AVERAGE_COUNT), TRAIN(AVERAGE), "ema lookahead", NULL},
    {TRAIN(AVERAGE_START), TRAIN(AVERAGE), "ema lookahead", NULL},
    {TRAIN(RESOLUTION_ENDS), TRAIN(RESOLUTION), NULL, NULL},
    {TRAIN(RESOLUTION_BY), TRAIN(RESOLUTION), NULL, NULL},
    {FWI_KEY_PROXY_EVERY, FWI_KEY_PROXY_LAYER, NULL, NULL},
};

static bool among(const char *words, const char *value)
{
    char word[FWI_RECIPE_VALUE + 1];
    while (fwi_next_word(&words, word, sizeof word))
        if (strcmp(word, value) == 0)
            return true;
    return false;
}

static bool is_met(const fw_recipe *r, const need *k)
{
    const fwi_lines *const l = fwi_recipe_lines(r, k->of);
    if (l != NULL)
        return l->n > 0;
    const char *const value = fwi_recipe_text(r, k->of);
    return k->words == NULL ? *value != 0 : among(k->words, value);
}

/* The first need of the key that is not met; NULL: it has an effect, by these values of [train]. */
static const need *unmet(const fw_recipe *r, fwi_key key)
{
    static const need spaced = {TRAIN(LR_STEPS), TRAIN(RENORM), "spaced", NULL};
    static const need target = {TRAIN(LR_STEPS), TRAIN(NS_TARGET), NULL, NULL};
    static const need muon = {TRAIN(LR_STEPS), TRAIN(OPTIMIZER), "muon", NULL};
    static const need several = {TRAIN(AVERAGE_COUNT), TRAIN(AVERAGE_EVERY), NULL,
                                 "every step averages, however they are counted"};
    if (key == TRAIN(LR_STEPS) && is_met(r, &muon) && (is_met(r, &spaced) || is_met(r, &target)))
        return NULL; /* gaps and targets go by the schedule's length, whatever its kind */
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (needs[i].key == key && !is_met(r, &needs[i]))
            return &needs[i];
    return key == TRAIN(AVERAGE_COUNT) && fwi_recipe_int(r, TRAIN(AVERAGE_EVERY)) <= 1 ? &several
                                                                                       : NULL;
}

/* given: what it is called in the message. */
static fw_status refuse(const fw_recipe *r, const need *k, const char *given)
{
    const char *const of = fwi_keys[k->of].key;
    const char *const value = fwi_recipe_lines(r, k->of) != NULL ? "" : fwi_recipe_text(r, k->of);
    if (*value == 0)
        return fwi_fail(FW_EARG, "%s is given, but there is no %s.%s", given,
                        fwi_keys[k->of].section, of);
    return fwi_fail(FW_EARG, "%s is given, but the %s is %s%s%s", given, of, value,
                    k->instead != NULL ? ": " : "", k->instead != NULL ? k->instead : "");
}

fw_status fwi_recipe_check_effect(const fw_recipe *r, fwi_key key)
{
    const need *const k = unmet(r, key);
    return k == NULL ? FW_OK : refuse(r, k, fwi_keys[key].key);
}

fw_status fwi_recipe_check_length(const fw_recipe *r, const char *given)
{
    static const need knots = {TRAIN(LR_STEPS), TRAIN(SCHEDULE), "piecewise", NULL};
    const need *const k = unmet(r, TRAIN(LR_STEPS));
    return k == NULL || is_met(r, &knots) ? FW_OK : refuse(r, k, given);
}

/* Of an optimiser that no parameter is left for. */
static bool is_idle(const fw_recipe *r, fwi_key key)
{
    return fwi_recipe_is_of_groups(key) && !fwi_recipe_groups_look_at(r, key) &&
           r->asked[TRAIN(GROUP)] <= r->asked[key];
}

fw_status fwi_recipe_check_effects(const fw_recipe *r, bool all_in_groups)
{
    char name[96];
    for (int i = 0; i < FWI_KEY_COUNT; i++) {
        const fwi_key key = (fwi_key)i;
        if (r->asked[key] == 0 || r->value[key] == NULL)
            continue;
        const need *const k = unmet(r, key);
        if (k == NULL && all_in_groups && is_idle(r, key))
            return fwi_fail(FW_EARG,
                            "%s: train.%s is given, but groups have all parameters: none is left "
                            "for the optimizer of [train]",
                            r->source, fwi_keys[key].key);
        if (k == NULL || fwi_recipe_groups_look_at(r, key) || r->asked[k->of] > r->asked[key])
            continue; /* what is chosen later may well be without it */
        snprintf(name, sizeof name, "%s.%s", fwi_keys[key].section, fwi_keys[key].key);
        return fwi_fail_in(refuse(r, k, name), "%s", r->source);
    }
    return FW_OK;
}
