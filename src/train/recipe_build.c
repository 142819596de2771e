/* recipe_build.c: from a recipe's text to what it describes: layers, a chain of transforms, an
 * optimiser with its schedule; and the check of the whole without data. Read before:
 * recipe_values.c. */
#include "recipe_inner.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cutmix.h"
#include "fail.h"
#include "nearest.h"
#include "network.h"
#include "nn.h"
#include "number.h"
#include "tta.h"

enum { ANY_STEPS = 1000000 }; /* will do where only shares of them are checked */

/* ---- network ---- */

static fw_status net_of(const fw_recipe *r, fwi_key key, fw_layer **out)
{
    const fwi_lines *l = fwi_recipe_lines(r, key);
    fwi_buf text = {0};
    fw_status st = FW_OK;
    for (int64_t i = 0; i < l->n && st == FW_OK; i++)
        st = fwi_buf_printf(&text, "%s\n", l->text[i]);
    if (st == FW_OK)
        st = fwi_layer_parse_numbered(out, (const char *)text.data, fwi_recipe_lines_source(r, key),
                                      l->line);
    fwi_buf_clear(&text);
    return st;
}

fw_status fwi_recipe_net(const fw_recipe *r, fw_layer **out)
{
    if (fwi_recipe_lines(r, FWI_KEY_NETWORK_LAYER)->n == 0)
        return fwi_fail(FW_EARG, "%s: network.layer is missing: a recipe needs layers", r->source);
    return net_of(r, FWI_KEY_NETWORK_LAYER, out);
}

fw_status fwi_recipe_proxy(const fw_recipe *r, fw_layer **out)
{
    *out = NULL;
    return fwi_recipe_lines(r, FWI_KEY_PROXY_LAYER)->n == 0 ? FW_OK
                                                            : net_of(r, FWI_KEY_PROXY_LAYER, out);
}

/* ---- transforms ---- */

static const char *const transform_names[] = {"standardize", "pad_crop",         "translate",
                                              "flip",        "alternating_flip", "dihedral",
                                              "cutout",      "color_jitter",     "cutmix"};
enum {
    T_STANDARDIZE,
    T_PAD_CROP,
    T_TRANSLATE, /* the same as pad_crop */
    T_FLIP,
    T_ALTERNATING_FLIP,
    T_DIHEDRAL,
    T_CUTOUT,
    T_COLOR_JITTER,
    T_CUTMIX,
    T_COUNT
};

typedef struct numbers {
    double v[2 * FW_MAX_CHANNELS];
    int n;
} numbers;

static fw_status read_numbers(const char *at, const char *name, numbers *out)
{
    char word[64];
    out->n = 0;
    while (fwi_next_word(&at, word, sizeof word)) {
        if (out->n == 2 * FW_MAX_CHANNELS)
            return fwi_fail(FW_EFORMAT, "%s: more than %d numbers", name, 2 * FW_MAX_CHANNELS);
        if (!fwi_parse_double(word, &out->v[out->n++]))
            return fwi_fail(FW_EFORMAT, "%s: \"%s\", expected a number", name, word);
    }
    return FW_OK;
}

static fw_status want_count(const numbers *x, const char *name, int n)
{
    if (x->n != n)
        return fwi_fail(FW_EFORMAT, "%s: %d numbers, expected %d", name, x->n, n);
    return FW_OK;
}

static fw_status want_sizes(const numbers *x, const char *name, int n)
{
    const fw_status st = want_count(x, name, n);
    if (st != FW_OK)
        return st;
    for (int i = 0; i < n; i++)
        if (!(x->v[i] >= 1 && x->v[i] <= 65536) || x->v[i] != floor(x->v[i]))
            return fwi_fail(FW_EFORMAT, "%s: %g, expected a whole number from 1 to 65536", name,
                            x->v[i]);
    return FW_OK;
}

static fw_status make_standardize(const fw_recipe *r, const numbers *x, const float *mean,
                                  const float *std, fw_transform *out)
{
    int64_t hwc[3] = {0, 0, 0};
    float m[FW_MAX_CHANNELS], s[FW_MAX_CHANNELS];
    const bool sized = fwi_recipe_size(r, hwc);
    const int64_t c = sized ? hwc[2] : x->n > 0 ? x->n / 2 : 1;
    if (c > FW_MAX_CHANNELS)
        return fwi_fail(FW_EFORMAT, "standardize: %" PRId64 " channels, at most %d are allowed", c,
                        FW_MAX_CHANNELS);
    if (x->n != 0 && x->n != 2 * c)
        return fwi_fail(FW_EFORMAT,
                        "standardize: %d numbers, expected none (the data's own) or %" PRId64
                        " (means, then standard deviations)",
                        x->n, 2 * c);
    for (int64_t i = 0; i < c; i++) {
        m[i] = x->n > 0 ? (float)x->v[i] : mean != NULL ? mean[i] : 0.0f;
        s[i] = x->n > 0 ? (float)x->v[c + i] : std != NULL ? std[i] : 1.0f;
        if (s[i] < 0)
            return fwi_fail(FW_EFORMAT, "standardize: a standard deviation of %g", (double)s[i]);
    }
    *out = fw_standardize(c, m, s);
    return FW_OK;
}

/* H W, then from=SHARE */
static fw_status make_cutmix(const fw_recipe *r, const char *at, int64_t records, fw_transform *out)
{
    enum { CAP = 64 };
    char word[CAP], sizes[2 * CAP] = "";
    size_t n_sizes = 0; /* bytes of them */
    double from = 0;
    int64_t steps = ANY_STEPS;
    const int64_t batch = fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH);
    fw_status st = records > 0 ? fwi_recipe_steps(r, records / batch, &steps) : FW_OK;
    while (st == FW_OK && fwi_next_word(&at, word, sizeof word)) {
        if (strncmp(word, "from=", 5) == 0)
            st = fwi_recipe_read_number(word + 5, 0, 1, (double)steps, &from);
        else if (n_sizes + strlen(word) + 2 > sizeof sizes)
            st = fwi_fail(FW_EFORMAT, "%s is too long", word);
        else
            n_sizes += (size_t)snprintf(sizes + n_sizes, sizeof sizes - n_sizes, " %s", word);
        if (st != FW_OK)
            return fwi_fail_in(st, "cutmix");
    }
    numbers x = {.n = 0};
    if (st == FW_OK)
        st = read_numbers(sizes, "cutmix", &x);
    if (st == FW_OK)
        st = want_sizes(&x, "cutmix", 2);
    if (st == FW_OK)
        *out = fw_cutmix((int64_t)x.v[0], (int64_t)x.v[1],
                         records > 0 ? (int64_t)round(from) * batch : 0);
    return st;
}

static fw_status make_transform(const fw_recipe *r, const char *line, const float *mean,
                                const float *std, int64_t records, fw_transform *out)
{
    char name[64];
    const char *at = line;
    (void)fwi_next_word(&at, name, sizeof name);
    int kind = 0;
    while (kind < T_COUNT && strcmp(transform_names[kind], name) != 0)
        kind++;
    if (kind == T_COUNT)
        return fwi_fail(FW_EFORMAT, "unknown transform \"%s\", the nearest valid one is %s", name,
                        fwi_nearest(name, transform_names, T_COUNT));
    if (kind == T_CUTMIX)
        return make_cutmix(r, at, records, out);
    numbers x = {.n = 0};
    fw_status st = read_numbers(at, name, &x);
    if (st != FW_OK)
        return st;
    static const int sizes[T_COUNT] = {[T_PAD_CROP] = 1, [T_TRANSLATE] = 1, [T_CUTOUT] = 2};
    if (kind == T_STANDARDIZE)
        return make_standardize(r, &x, mean, std, out);
    if (kind == T_COLOR_JITTER) {
        *out = fw_color_jitter(x.v[0], x.v[1]); /* zeros where the count is wrong */
        return want_count(&x, name, 2);
    }
    if ((st = want_sizes(&x, name, sizes[kind])) != FW_OK)
        return st;
    *out = kind == T_PAD_CROP || kind == T_TRANSLATE ? fw_random_pad_crop((int64_t)x.v[0])
           : kind == T_FLIP                          ? fw_random_flip()
           : kind == T_ALTERNATING_FLIP              ? fw_alternating_flip()
           : kind == T_DIHEDRAL                      ? fw_random_dihedral()
                                                     : fw_cutout((int64_t)x.v[0], (int64_t)x.v[1]);
    return FW_OK;
}

fw_status fwi_recipe_transforms(const fw_recipe *r, const float *mean, const float *std,
                                int64_t records, bool training,
                                fw_transform out[FWI_RECIPE_TRANSFORMS + 1])
{
    const fwi_lines *l = fwi_recipe_lines(r, FWI_KEY_AUGMENT_TRANSFORM);
    int n = 0;
    for (int64_t i = 0; i < l->n; i++) {
        fw_status st = FW_OK;
        if (i == FWI_RECIPE_TRANSFORMS)
            st = fwi_fail(FW_EFORMAT, "more than %d transforms", (int)FWI_RECIPE_TRANSFORMS);
        else
            st = make_transform(r, l->text[i], mean, std, records, &out[n]);
        if (st != FW_OK)
            return fwi_fail_in(st, "%s: line %" PRId64,
                               fwi_recipe_lines_source(r, FWI_KEY_AUGMENT_TRANSFORM), l->line[i]);
        if (training || out[n].kind == FW_TRANSFORM_STANDARDIZE)
            n++;
    }
    out[n] = fw_transform_end();
    return FW_OK;
}

/* Images that are mixed are not cut to windows; by a run of so many steps that shares of it are themselves. */
static fw_status check_cutmix(const fw_recipe *r)
{
    enum { PER_EPOCH = 1000000 };
    const int64_t batch = fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH);
    fw_transform chain[FWI_RECIPE_TRANSFORMS + 1];
    fw_resolution size[FW_MAX_RESOLUTIONS];
    int32_t n = 0;
    int64_t steps = 0;
    if (fwi_recipe_word(r, FWI_KEY_TRAIN_RESOLUTION_BY) != FW_BY_CROP)
        return FW_OK;
    fw_status st = fwi_recipe_steps(r, PER_EPOCH, &steps);
    if (st == FW_OK)
        st = fwi_recipe_resolutions(r, steps, size, &n);
    if (st == FW_OK)
        st = fwi_recipe_transforms(r, NULL, NULL, PER_EPOCH * batch, true, chain);
    for (const fw_transform *t = chain; st == FW_OK && t->kind != FW_TRANSFORM_NONE; t++)
        if (t->kind == FW_TRANSFORM_CUTMIX && n > 0 &&
            (st = fwi_cutmix_check_crop(t, size[n - 1].until, batch)) != FW_OK)
            st = fwi_fail_in(st, "%s", r->source);
    return st;
}

/* The data room's own check of a chain against an image size. */
static fw_status check_transforms(const fw_recipe *r, const int64_t hwc[3])
{
    fw_transform chain[FWI_RECIPE_TRANSFORMS + 1];
    fw_status st = fwi_recipe_transforms(r, NULL, NULL, 0, true, chain);
    if (st != FW_OK)
        return st;
    size_t n = 0;
    if (hwc[2] > FW_MAX_CHANNELS || hwc[0] * hwc[1] > (int64_t)1 << 26)
        return fwi_fail(FW_ESHAPE,
                        "%s: network.input is %" PRId64 " x %" PRId64 " x %" PRId64
                        ": at most %d channels and 2^26 pixels are allowed",
                        r->source, hwc[0], hwc[1], hwc[2], FW_MAX_CHANNELS);
    n = (size_t)(hwc[0] * hwc[1] * hwc[2]);
    float *image = fwi_alloc_array(2 * n, sizeof *image);
    if (image == NULL)
        return FW_ENOMEM;
    st = fw_transform_apply(chain, 0, 0, 0, FW_F32, hwc[0], hwc[1], hwc[2], image, 0, image + n);
    fwi_free(image);
    if (st != FW_OK)
        return fwi_fail_in(st, "%s: augment.transform", r->source);
    return check_cutmix(r);
}

/* ---- schedule and optimiser ---- */

static fw_status make_schedule(const fw_recipe *r, double steps, fw_schedule *out)
{
    const fwi_schedule_word kind = (fwi_schedule_word)fwi_recipe_word(r, FWI_KEY_TRAIN_SCHEDULE);
    const double lr = fwi_recipe_number(r, FWI_KEY_TRAIN_LR);
    const double warmup = fwi_recipe_share(r, FWI_KEY_TRAIN_WARMUP, steps);
    const double length = fwi_recipe_share(r, FWI_KEY_TRAIN_LR_STEPS, steps);
    if (kind != FWI_WORD_PIECEWISE && *fwi_recipe_text(r, FWI_KEY_TRAIN_LR) == 0)
        return fwi_fail(FW_EARG, "%s: train.lr is missing: schedule %s needs it", r->source,
                        fwi_recipe_text(r, FWI_KEY_TRAIN_SCHEDULE));
    switch (kind) {
    case FWI_WORD_CONSTANT:
        *out = fw_constant_lr(lr);
        break;
    case FWI_WORD_ONE_CYCLE:
        *out =
            fw_one_cycle_lr(lr, length, warmup, (fw_decay)fwi_recipe_word(r, FWI_KEY_TRAIN_DECAY));
        break;
    case FWI_WORD_TRIANGULAR:
        *out = fw_triangular_lr(lr, length, warmup);
        break;
    case FWI_WORD_LINEAR:
        *out = fw_linear_decay_lr(lr, length);
        break;
    case FWI_WORD_EXPONENTIAL:
        *out = fw_exp_decay_lr(lr, length, fwi_recipe_number(r, FWI_KEY_TRAIN_LR_BASE),
                               fwi_recipe_number(r, FWI_KEY_TRAIN_LR_RATE));
        break;
    case FWI_WORD_PIECEWISE: {
        double knots[FW_MAX_KNOTS], values[FW_MAX_KNOTS];
        const int n = fwi_recipe_numbers(r, FWI_KEY_TRAIN_LR_KNOTS, steps, knots, FW_MAX_KNOTS);
        const int m = fwi_recipe_numbers(r, FWI_KEY_TRAIN_LR_VALUES, 1, values, FW_MAX_KNOTS);
        if (n != m || n == 0)
            return fwi_fail(FW_EARG,
                            "%s: %d train.lr_knots and %d train.lr_values: piecewise needs as many "
                            "of one as of the other",
                            r->source, n, m);
        for (int i = 1; i < n; i++)
            if (!(knots[i] > knots[i - 1]))
                return fwi_fail(FW_EARG, "%s: train.lr_knots do not increase: knot %d in \"%s\"",
                                r->source, i + 1, fwi_recipe_text(r, FWI_KEY_TRAIN_LR_KNOTS));
        *out = fw_piecewise_lr(n, knots, values);
        break;
    }
    }
    if (out->kind == FW_SCHEDULE_ONE_CYCLE)
        out->floor = fwi_recipe_number(r, FWI_KEY_TRAIN_LR_FLOOR);
    out->start = (int32_t)fwi_recipe_int(r, FWI_KEY_TRAIN_START);
    const fw_status st = fw_schedule_check(out);
    return st == FW_OK ? st : fwi_fail_in(st, "%s: train.schedule", r->source);
}

fw_status fwi_recipe_optimizer(const fw_recipe *r, int64_t steps, fw_optimizer *out)
{
    fw_schedule lr;
    fw_status st = make_schedule(r, (double)steps, &lr);
    if (st != FW_OK)
        return st;
    const double decay = fwi_recipe_number(r, FWI_KEY_TRAIN_WEIGHT_DECAY);
    const double clip = fwi_recipe_number(r, FWI_KEY_TRAIN_CLIP_NORM);
    const fw_optimizer_kind kind = /* in the order of the key's words */
        (fw_optimizer_kind)fwi_recipe_word(r, FWI_KEY_TRAIN_OPTIMIZER);
    if (kind == FW_MUON) {
        double target[FW_MAX_KNOTS] = {0};
        const int n = fwi_recipe_numbers(r, FWI_KEY_TRAIN_NS_TARGET, 1, target, FW_MAX_KNOTS);
        if (n != 0 && n != 2)
            return fwi_fail(FW_EARG, "%s: train.ns_target has %d numbers, expected 2", r->source,
                            n);
        const fw_muon_opt opt = {.steps = (int32_t)fwi_recipe_int(r, FWI_KEY_TRAIN_NS_STEPS),
                                 .a = fwi_recipe_number(r, FWI_KEY_TRAIN_NS_A),
                                 .b = fwi_recipe_number(r, FWI_KEY_TRAIN_NS_B),
                                 .c = fwi_recipe_number(r, FWI_KEY_TRAIN_NS_C),
                                 .weight_decay = decay,
                                 .renorm = (fw_renorm)fwi_recipe_word(r, FWI_KEY_TRAIN_RENORM),
                                 .total_steps =
                                     fwi_recipe_share(r, FWI_KEY_TRAIN_LR_STEPS, (double)steps),
                                 .renorm_gap = fwi_recipe_number(r, FWI_KEY_TRAIN_RENORM_GAP),
                                 .renorm_growth = fwi_recipe_number(r, FWI_KEY_TRAIN_RENORM_GROWTH),
                                 .target = {target[0], target[1]},
                                 .clip_norm = clip};
        *out = fw_muon(lr, fwi_recipe_number(r, FWI_KEY_TRAIN_MOMENTUM), &opt);
    } else if (kind == FW_ADAM) {
        const fw_adam_opt opt = {.beta1 = fwi_recipe_number(r, FWI_KEY_TRAIN_BETA1),
                                 .beta2 = fwi_recipe_number(r, FWI_KEY_TRAIN_BETA2),
                                 .eps = fwi_recipe_number(r, FWI_KEY_TRAIN_EPS),
                                 .weight_decay = decay,
                                 .decay_norm_and_bias = fwi_recipe_bool(r, FWI_KEY_TRAIN_DECAY_ALL),
                                 .clip_norm = clip};
        *out = fw_adam(lr, &opt);
    } else if (kind == FW_LARS) {
        const fw_lars_opt opt = {.weight_decay = decay,
                                 .eps = fwi_recipe_number(r, FWI_KEY_TRAIN_LARS_EPS),
                                 .clip_norm = clip};
        *out = fw_lars(lr, fwi_recipe_number(r, FWI_KEY_TRAIN_MOMENTUM), &opt);
    } else {
        const fw_sgd_opt opt = {.weight_decay = decay,
                                .nesterov = (fw_nesterov)fwi_recipe_word(r, FWI_KEY_TRAIN_NESTEROV),
                                .clip_norm = clip};
        *out = fw_sgd(lr, fwi_recipe_number(r, FWI_KEY_TRAIN_MOMENTUM), &opt);
    }
    st = fw_optimizer_check(out);
    return st == FW_OK ? st : fwi_fail_in(st, "%s: train.optimizer", r->source);
}

fw_status fwi_recipe_average(const fw_recipe *r, int64_t steps, int64_t steps_per_epoch,
                             fw_average *out)
{
    *out = (fw_average){.kind = (fw_average_kind)fwi_recipe_word(r, FWI_KEY_TRAIN_AVERAGE)};
    if (out->kind == FW_AVERAGE_NONE)
        return FW_OK;
    if (*fwi_recipe_text(r, FWI_KEY_TRAIN_AVERAGE_DECAY) == 0)
        return fwi_fail(FW_EARG, "%s: train.average_decay is missing: average %s needs it",
                        r->source, fwi_recipe_text(r, FWI_KEY_TRAIN_AVERAGE));
    out->decay = fwi_recipe_number(r, FWI_KEY_TRAIN_AVERAGE_DECAY);
    out->power = fwi_recipe_number(r, FWI_KEY_TRAIN_AVERAGE_POWER);
    /* What no step would change is no average, but the network as it began. */
    if (out->decay >= 1 && !(out->power > 0))
        return fwi_fail(FW_EARG,
                        "%s: train.average_decay is %s: the average would stay what it is at first",
                        r->source, fwi_recipe_text(r, FWI_KEY_TRAIN_AVERAGE_DECAY));
    /* So the average remembers the same share of a run, however long: else a short one ends with a
     * good part of what it began with, weights that nothing was learnt by. */
    const int64_t meant_for = fwi_recipe_int(r, FWI_KEY_TRAIN_AVERAGE_DECAY_STEPS);
    if (meant_for > 0)
        out->decay = pow(out->decay, (double)meant_for / (double)steps);
    out->every = fwi_recipe_int(r, FWI_KEY_TRAIN_AVERAGE_EVERY);
    /* 0 alone is the initial weights: a share above it, however short the run, copies those of a step. */
    const double start = fwi_recipe_share(r, FWI_KEY_TRAIN_AVERAGE_START, (double)steps);
    out->start = start > 0 && start < 1 ? 1 : (int64_t)round(start);
    out->epoch_steps = fwi_recipe_word(r, FWI_KEY_TRAIN_AVERAGE_COUNT) == 1 ? steps_per_epoch : 0;
    out->steps = steps;
    if (fwi_average_first(out) > steps)
        return fwi_fail(
            FW_EARG,
            "%s: train.average_every is %" PRId64 " and train.average_start %s: the run of %" PRId64
            " steps would end before the first averaging",
            r->source, out->every, fwi_recipe_text(r, FWI_KEY_TRAIN_AVERAGE_START), steps);
    return FW_OK;
}

fw_status fwi_recipe_steps(const fw_recipe *r, int64_t steps_per_epoch, int64_t *out)
{
    if (steps_per_epoch < 1)
        return fwi_fail(FW_EARG,
                        "%s: train.batch is %s, the training data has fewer records than that",
                        r->source, fwi_recipe_text(r, FWI_KEY_TRAIN_BATCH));
    const double steps = round(fwi_recipe_share(r, FWI_KEY_TRAIN_EPOCHS, (double)steps_per_epoch));
    if (!(steps < 9e15))
        return fwi_fail(FW_EARG, "%s: train.epochs is %s: too many steps", r->source,
                        fwi_recipe_text(r, FWI_KEY_TRAIN_EPOCHS));
    *out = steps < 1 ? 1 : (int64_t)steps;
    return FW_OK;
}

fw_status fw_recipe_schedule(const fw_recipe *r, int64_t records, fw_schedule *out, int64_t *steps)
{
    if (r == NULL || out == NULL || steps == NULL || records < 1)
        return fwi_fail(FW_EARG, "fw_recipe_schedule: NULL argument, or no records");
    const fw_status st =
        fwi_recipe_steps(r, records / fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH), steps);
    return st == FW_OK ? make_schedule(r, (double)*steps, out) : st;
}

/* ---- the whole ---- */

/* full: the cost of the network itself. */
static fw_status check_proxy(const fw_recipe *r, const int64_t hwc[3], const fw_model_cost *full)
{
    const int64_t keep = fwi_recipe_int(r, FWI_KEY_PROXY_KEEP);
    const int64_t batch = fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH);
    fw_layer *net = NULL;
    fw_model_cost c = {0};
    fw_status st = fwi_recipe_proxy(r, &net);
    if (st != FW_OK)
        return st;
    if (net == NULL)
        return keep == 0 ? FW_OK
                         : fwi_fail(FW_EARG,
                                    "%s: network proxy.keep is %" PRId64
                                    ", but [network proxy] has no layer",
                                    r->source, keep);
    if (keep < 1 || keep > batch)
        st = fwi_fail(FW_EARG,
                      "%s: network proxy.keep is %" PRId64 ", expected 1 to train.batch, %" PRId64,
                      r->source, keep, batch);
    if (st == FW_OK && (st = fw_layer_cost(net, hwc[0], hwc[1], hwc[2], &c)) != FW_OK)
        st = fwi_fail_in(st, "%s: [network proxy]", r->source);
    if (st == FW_OK && c.n_classes != full->n_classes)
        st =
            fwi_fail(FW_ESHAPE, "%s: [network proxy] has %" PRId64 " outputs, the network %" PRId64,
                     r->source, c.n_classes, full->n_classes);
    if (st == FW_OK && c.params == 0)
        st = fwi_fail(FW_EARG, "%s: [network proxy] has nothing to train", r->source);
    if (st == FW_OK && (st = fwi_layer_check_batch(net, batch)) != FW_OK)
        st = fwi_fail_in(st, "%s: train.batch of [network proxy]", r->source);
    if (st == FW_OK && (st = fwi_recipe_resolutions_check(r, net, hwc, &c)) != FW_OK)
        st = fwi_fail_in(st, "[network proxy]");
    fw_layer_free(net);
    return st;
}

/* Whether all that training runs can be built, in batches of so many rows: at full size and at each
 * resolution, with the updates of its optimisers; for a proxy the losses of rows too. *ungrouped grows by the
 * parameters that are in no group. */
static fw_status check_graphs(const fw_recipe *r, const fw_layer *net, const int64_t hwc[3],
                              const fwi_optim *optim, int64_t rows, bool proxy, int *ungrouped)
{
    const fwi_network_spec spec = {.net = net,
                                   .optim = optim,
                                   .real = FW_F32,
                                   .h = hwc[0],
                                   .w = hwc[1],
                                   .c = hwc[2],
                                   .label_smoothing =
                                       fwi_recipe_number(r, FWI_KEY_TRAIN_SMOOTHING)};
    fw_resolution size[FW_MAX_RESOLUTIONS];
    int32_t n = 0;
    int left = 0;
    fw_status st = fwi_network_check(&spec, rows);
    if (st == FW_OK)
        st = fwi_network_ungrouped(&spec, rows, &left);
    *ungrouped += left;
    if (st == FW_OK)
        st = fwi_recipe_resolutions(r, ANY_STEPS, size, &n);
    for (int32_t i = 0; i <= n && st == FW_OK; i++) {
        fwi_network_use use = {
            .kind = FWI_TRAIN,
            .batch = rows,
            .size = i < n ? size[i].size : 0,
            .by = (fw_resolution_by)fwi_recipe_word(r, FWI_KEY_TRAIN_RESOLUTION_BY)};
        st = fwi_network_check_use(&spec, &use);
        use.rows = true;
        if (st == FW_OK && proxy)
            st = fwi_network_check_use(&spec, &use);
    }
    return st == FW_OK ? st : fwi_fail_in(st, proxy ? "%s: [network proxy]" : "%s", r->source);
}

/* The graphs of both networks. The average is that of the second alone. */
static fw_status check_training(const fw_recipe *r, const fw_layer *net, const int64_t hwc[3],
                                int64_t rows, int *ungrouped)
{
    /* so many that no average_every is beyond them, and every share of them may be an averaging's */
    const int64_t every = fwi_recipe_int(r, FWI_KEY_TRAIN_AVERAGE_EVERY);
    const int64_t many = ((int64_t)1 << 50) / every * every;
    fwi_optim optim;
    fw_layer *proxy = NULL;
    fw_average average = {0};
    fw_status st = fwi_recipe_optim(r, ANY_STEPS, ANY_STEPS, &optim);
    if (st == FW_OK)
        st = fwi_recipe_average(r, many, many, &average);
    if (st == FW_OK)
        st = fwi_recipe_proxy(r, &proxy);
    if (st == FW_OK && proxy != NULL)
        st = check_graphs(r, proxy, hwc, &optim, fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH), true,
                          ungrouped);
    fw_layer_free(proxy);
    optim.average = average;
    if (st == FW_OK && (st = fwi_optim_check(&optim)) != FW_OK)
        st = fwi_fail_in(st, "%s", r->source);
    return st == FW_OK ? check_graphs(r, net, hwc, &optim, rows, false, ungrouped) : st;
}

fw_status fw_recipe_check(const fw_recipe *r, fw_model_cost *cost)
{
    if (r == NULL)
        return fwi_fail(FW_EARG, "fw_recipe_check: NULL argument");
    int64_t hwc[3];
    fw_layer *net = NULL;
    fw_model_cost c = {0};
    int ungrouped = 0;
    if (!fwi_recipe_size(r, hwc))
        return fwi_fail(FW_EARG, "%s: network.input is missing, as in \"32 32 3\"", r->source);
    fw_status st = fwi_recipe_net(r, &net);
    if (st != FW_OK)
        return st;
    st = fwi_recipe_tricks_check(r);
    if (st == FW_OK)
        st = check_transforms(r, hwc);
    const fw_tta tta = (fw_tta)fwi_recipe_word(r, FWI_KEY_EVALUATE_TTA);
    if (st == FW_OK && (st = fwi_tta_check(tta, hwc[0], hwc[1])) != FW_OK)
        st = fwi_fail_in(st, "%s: evaluate.tta", r->source);
    if (st == FW_OK && (st = fw_layer_cost(net, hwc[0], hwc[1], hwc[2], &c)) != FW_OK)
        st = fwi_fail_in(st, "%s: network of %" PRId64 " x %" PRId64 " x %" PRId64 " images",
                         r->source, hwc[0], hwc[1], hwc[2]);
    const int64_t keep = fwi_recipe_int(r, FWI_KEY_PROXY_KEEP);
    const int64_t rows = keep > 0 ? keep : fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH); /* of a step */
    if (st == FW_OK && (st = fwi_layer_check_batch(net, rows)) != FW_OK)
        st = fwi_fail_in(st, "%s: %s", r->source, keep > 0 ? "network proxy.keep" : "train.batch");
    const int64_t classes = fwi_recipe_int(r, FWI_KEY_NETWORK_CLASSES);
    if (st == FW_OK && classes != 0 && classes != c.n_classes)
        st = fwi_fail(FW_ESHAPE,
                      "%s: network.classes is %" PRId64 ", the last layer has %" PRId64 " outputs",
                      r->source, classes, c.n_classes);
    if (st == FW_OK && c.params == 0)
        st = fwi_fail(FW_EARG, "%s: the network has nothing to train", r->source);
    if (st == FW_OK)
        st = fwi_recipe_resolutions_check(r, net, hwc, &c);
    if (st == FW_OK)
        st = check_proxy(r, hwc, &c);
    if (st == FW_OK)
        st = check_training(r, net, hwc, rows, &ungrouped);
    if (st == FW_OK)
        st = fwi_recipe_check_effects(r, ungrouped == 0);
    fw_layer_free(net);
    if (st == FW_OK && cost != NULL)
        *cost = c;
    return st;
}
