/* recipe_groups.c: the lines train.group of a recipe: which classes of parameters have an optimiser
 * of their own, and how it differs from that of [train].
 *
 * A line is a list of classes and of options, "conv optimizer=muon lr=0.24". Most options are keys
 * of [train]: the group's optimiser is made, by the same code, from a recipe in which the line's
 * values stand in for those of [train]. Read before: recipe_build.c. */
#include "recipe_inner.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "fail.h"
#include "nearest.h"
#include "optim_inner.h"

/* Keys of [train] that a group may have of its own. */
static const fwi_key group_keys[] = {
    FWI_KEY_TRAIN_OPTIMIZER,     FWI_KEY_TRAIN_SCHEDULE,  FWI_KEY_TRAIN_LR,
    FWI_KEY_TRAIN_WARMUP,        FWI_KEY_TRAIN_DECAY,     FWI_KEY_TRAIN_LR_BASE,
    FWI_KEY_TRAIN_LR_RATE,       FWI_KEY_TRAIN_LR_STEPS,  FWI_KEY_TRAIN_START,
    FWI_KEY_TRAIN_MOMENTUM,      FWI_KEY_TRAIN_NESTEROV,  FWI_KEY_TRAIN_WEIGHT_DECAY,
    FWI_KEY_TRAIN_CLIP_NORM,     FWI_KEY_TRAIN_BETA1,     FWI_KEY_TRAIN_BETA2,
    FWI_KEY_TRAIN_EPS,           FWI_KEY_TRAIN_DECAY_ALL, FWI_KEY_TRAIN_NS_STEPS,
    FWI_KEY_TRAIN_NS_A,          FWI_KEY_TRAIN_NS_B,      FWI_KEY_TRAIN_NS_C,
    FWI_KEY_TRAIN_RENORM,        FWI_KEY_TRAIN_NS_TARGET, FWI_KEY_TRAIN_RENORM_GAP,
    FWI_KEY_TRAIN_RENORM_GROWTH, FWI_KEY_TRAIN_LARS_EPS,  FWI_KEY_TRAIN_LR_FLOOR,
    FWI_KEY_TRAIN_LR_KNOTS,      FWI_KEY_TRAIN_LR_VALUES};
/* Those that mean something else to another optimiser: a group with one of its own starts from the
 * keys' defaults. */
static const fwi_key optimizer_keys[] = {FWI_KEY_TRAIN_LR, FWI_KEY_TRAIN_MOMENTUM,
                                         FWI_KEY_TRAIN_WEIGHT_DECAY, FWI_KEY_TRAIN_CLIP_NORM,
                                         FWI_KEY_TRAIN_LR_BASE};

/* Options that only groups have. */
static const char *const own_options[] = {"lr_scale", "lr_epochs", "train_epochs"};
enum { LR_SCALE, LR_EPOCHS, TRAIN_EPOCHS, N_OWN };

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))
enum { N_KEYS = COUNT(group_keys), N_OPTIONS = N_KEYS + N_OWN };

/* A line, read: its words, and where in them each option's value is. */
typedef struct group_line {
    char words[FWI_RECIPE_VALUE + 1];
    uint32_t classes;
    char *value[N_OPTIONS]; /* NULL: not given */
} group_line;

static const char *option_name(int i)
{
    return i < N_KEYS ? fwi_keys[group_keys[i]].key : own_options[i - N_KEYS];
}

static fw_status read_class(group_line *l, const char *word)
{
    int i = 0;
    while (fwi_param_class_names[i] != NULL && strcmp(fwi_param_class_names[i], word) != 0)
        i++;
    if (fwi_param_class_names[i] == NULL)
        return fwi_fail(FW_EFORMAT, "unknown class \"%.64s\", the nearest valid one is %s", word,
                        fwi_nearest(word, fwi_param_class_names, (size_t)i));
    l->classes |= 1U << i;
    return FW_OK;
}

static fw_status read_option(group_line *l, const char *name, char *value)
{
    const char *names[N_OPTIONS];
    double x;
    int i = 0;
    for (int k = 0; k < N_OPTIONS; k++)
        names[k] = option_name(k);
    while (i < N_OPTIONS && strcmp(names[i], name) != 0)
        i++;
    if (i == N_OPTIONS)
        return fwi_fail(FW_EFORMAT, "unknown option \"%.64s\", the nearest valid one is %s", name,
                        fwi_nearest(name, names, N_OPTIONS));
    if (l->value[i] != NULL)
        return fwi_fail(FW_EFORMAT, "%s is given twice", name);
    if (*value == 0)
        return fwi_fail(FW_EFORMAT, "%s has no value", name);
    if (i < N_KEYS && (fwi_keys[group_keys[i]].type == FWI_KEY_NUMBERS ||
                       fwi_keys[group_keys[i]].type == FWI_KEY_RATES))
        for (char *at = value; (at = strchr(at, ':')) != NULL;)
            *at = ' '; /* blanks part the options */
    const fw_status st =
        i < N_KEYS ? fwi_key_check(group_keys[i], value)
                   : fwi_recipe_read_number(value, i - N_KEYS == LR_SCALE ? 0 : 1e-6, 1e6, 1, &x);
    l->value[i] = value;
    return st == FW_EARG ? fwi_fail_in(FW_EFORMAT, "%s", name) : st;
}

static fw_status read_line(group_line *l, const char *text)
{
    fw_status st = FW_OK;
    *l = (group_line){0};
    memcpy(l->words, text, strlen(text) + 1); /* a value has at most FWI_RECIPE_VALUE bytes */
    char *at = l->words;
    while (st == FW_OK && *at != 0) {
        char *const word = at + strspn(at, " \t");
        at = word + strcspn(word, " \t");
        if (*at != 0)
            *at++ = 0;
        char *const value = strchr(word, '=');
        if (value != NULL)
            *value = 0;
        if (value != NULL)
            st = read_option(l, word, value + 1);
        else if (*word != 0)
            st = read_class(l, word);
    }
    if (st == FW_OK && l->classes == 0)
        st = fwi_fail(FW_EFORMAT, "no class of parameters: conv, dense, head, bn_scale, bias or "
                                  "whiten_bias");
    return st;
}

/* ---- what a line makes ---- */

static void scale_schedule(fw_schedule *s, double by)
{
    s->base *= by;
    s->scale *= by;
    for (int32_t i = 0; i < s->n_knots; i++)
        s->value[i] *= by;
}

/* An option of groups alone, times whole; none if it is not given. */
static double own_number(const group_line *l, int i, double whole, double none)
{
    double x = none;
    if (l->value[N_KEYS + i] != NULL)
        (void)fwi_recipe_read_number(l->value[N_KEYS + i], 0, 1e6, whole, &x);
    return x;
}

/* r with the line's values in the place of its own. Borrows from both; not to be freed. */
static fw_recipe seen_by(const fw_recipe *r, const group_line *l)
{
    static char source[] = "group";
    fw_recipe view = *r;
    view.source = source; /* in messages: the file and line are put in front */
    for (int i = 0; i < N_KEYS; i++)
        if (l->value[i] != NULL && group_keys[i] == FWI_KEY_TRAIN_OPTIMIZER &&
            strcmp(l->value[i], fwi_recipe_text(r, FWI_KEY_TRAIN_OPTIMIZER)) != 0)
            for (int k = 0; k < COUNT(optimizer_keys); k++)
                view.value[optimizer_keys[k]] = NULL;
    for (int i = 0; i < N_KEYS; i++)
        if (l->value[i] != NULL)
            view.value[group_keys[i]] = l->value[i];
    return view;
}

static bool is_given(const group_line *l, fwi_key key)
{
    int i = 0;
    while (group_keys[i] != key)
        i++;
    return l->value[i] != NULL;
}

/* Adam's decay is not of all classes, unless that is asked for. */
static fw_status check_decay(const group_line *l, const fw_optimizer *o)
{
    const uint32_t bare = FW_PARAM_BN_SCALE | FW_PARAM_BIAS | FW_PARAM_WHITEN_BIAS;
    if (o->kind != FW_ADAM)
        return FW_OK;
    if (is_given(l, FWI_KEY_TRAIN_WEIGHT_DECAY) && o->adam.weight_decay > 0 &&
        !o->adam.decay_norm_and_bias && (l->classes & ~bare) == 0)
        return fwi_fail(FW_EARG,
                        "weight_decay is given, but biases and scales of norms do not decay "
                        "without decay_norm_and_bias=true");
    if (is_given(l, FWI_KEY_TRAIN_DECAY_ALL) && (l->classes & bare) == 0)
        return fwi_fail(FW_EARG, "decay_norm_and_bias is given, but the group has neither biases "
                                 "nor scales of norms");
    return FW_OK;
}

static fw_status make_group(const fw_recipe *r, const group_line *l, int64_t steps,
                            int64_t steps_per_epoch, fw_param_group *out)
{
    const fw_recipe view = seen_by(r, l);
    const double epoch = (double)steps_per_epoch;
    const double length = own_number(l, LR_EPOCHS, epoch, (double)steps);
    const double trained = own_number(l, TRAIN_EPOCHS, epoch, 0);
    *out = (fw_param_group){.classes = l->classes};
    fw_status st = FW_OK;
    for (int i = 0; i < N_KEYS && st == FW_OK; i++)
        if (l->value[i] != NULL)
            st = fwi_recipe_check_effect(&view, group_keys[i]);
    if (st == FW_OK && l->value[N_KEYS + LR_EPOCHS] != NULL)
        st = fwi_recipe_check_length(&view, "lr_epochs");
    const int64_t span = length < 1 ? 1 : (int64_t)round(length);
    if (st == FW_OK)
        st = fwi_recipe_optimizer(&view, span, &out->optimizer);
    if (st == FW_OK)
        st = check_decay(l, &out->optimizer);
    if (st != FW_OK)
        return st;
    scale_schedule(&out->optimizer.lr, own_number(l, LR_SCALE, 1, 1));
    if (l->value[N_KEYS + TRAIN_EPOCHS] != NULL)
        out->train_steps = trained < 1 ? 1 : (int64_t)round(trained);
    return FW_OK;
}

bool fwi_recipe_is_of_groups(fwi_key key)
{
    int i = 0;
    while (i < N_KEYS && group_keys[i] != key)
        i++;
    return i < N_KEYS;
}

bool fwi_recipe_groups_look_at(const fw_recipe *r, fwi_key key)
{
    const fwi_lines *const lines = fwi_recipe_lines(r, FWI_KEY_TRAIN_GROUP);
    for (int64_t i = 0; i < lines->n; i++) {
        group_line l;
        if (read_line(&l, lines->text[i]) != FW_OK)
            continue; /* fwi_recipe_groups says so */
        const fw_recipe view = seen_by(r, &l);
        if (view.value[key] == r->value[key] && fwi_recipe_check_effect(&view, key) == FW_OK)
            return true;
    }
    return false;
}

/* out NULL: only read. */
static fw_status each_line(const fw_recipe *r, int64_t steps, int64_t steps_per_epoch,
                           fw_param_group *out, int32_t *n)
{
    const fwi_lines *const lines = fwi_recipe_lines(r, FWI_KEY_TRAIN_GROUP);
    *n = 0;
    for (int64_t i = 0; i < lines->n; i++) {
        group_line l;
        fw_status st = FW_OK;
        if (*n == FW_MAX_GROUPS)
            st = fwi_fail(FW_EFORMAT, "more than %d groups", (int)FW_MAX_GROUPS);
        if (st == FW_OK)
            st = read_line(&l, lines->text[i]);
        if (st == FW_OK && out != NULL)
            st = make_group(r, &l, steps, steps_per_epoch, &out[*n]);
        if (st != FW_OK)
            return fwi_fail_in(st, "%s: line %" PRId64,
                               fwi_recipe_lines_source(r, FWI_KEY_TRAIN_GROUP), lines->line[i]);
        ++*n;
    }
    return FW_OK;
}

fw_status fwi_recipe_groups_check(const fw_recipe *r)
{
    int32_t n;
    return each_line(r, 0, 0, NULL, &n);
}

fw_status fwi_recipe_groups(const fw_recipe *r, int64_t steps, int64_t steps_per_epoch,
                            fw_param_group out[FW_MAX_GROUPS], int32_t *n)
{
    return each_line(r, steps, steps_per_epoch, out, n);
}

fw_status fwi_recipe_optim(const fw_recipe *r, int64_t steps, int64_t steps_per_epoch,
                           fwi_optim *out)
{
    *out = (fwi_optim){.n_groups = 0};
    const fw_status st = fwi_recipe_optimizer(r, steps, &out->rest);
    return st == FW_OK ? fwi_recipe_groups(r, steps, steps_per_epoch, out->group, &out->n_groups)
                       : st;
}
