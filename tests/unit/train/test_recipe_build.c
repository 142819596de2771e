/* test_recipe_build.c: what recipes describe: schedules, optimisers, averages, groups, resolutions, proxies,
 * and combinations that are refused: recipe_build.c, recipe_groups.c, recipe_resolution.c. */
#include "t_recipe.h"

#include <math.h>
#include <stdio.h>

/* The facts of the walk-through. */
static void walk_through_schedule(void **state)
{
    (void)state;
    fw_recipe *r = NULL;
    fw_schedule lr;
    fw_optimizer o;
    int64_t steps = 0;
    assert_int_equal(fw_recipe_open(&r, "fenwicks"), FW_OK);
    assert_int_equal(fw_recipe_schedule(r, 50000, &lr, &steps), FW_OK);
    assert_int_equal(steps, 24 * 97);
    assert_true(lr.warmup == 485);
    assert_true(fw_schedule_at(&lr, 0) == 0);
    assert_true(fabs(fw_schedule_at(&lr, 485) - 7.8125e-4) < 1e-18);
    assert_true(fabs(fw_schedule_at(&lr, 2327) - 4.2390e-7) < 1e-11);
    assert_int_equal(fwi_recipe_optimizer(r, steps, &o), FW_OK);
    assert_true(fabs(o.sgd.weight_decay - 5e-4 * 512) < 1e-15);
    assert_true(o.momentum == 0.9);
    assert_int_equal(o.sgd.nesterov, FW_NESTEROV_PYTORCH);
    fw_model_cost cost;
    assert_int_equal(fw_recipe_check(r, &cost), FW_OK);
    assert_int_equal(cost.params, 6573120);
    assert_int_equal(cost.statistics, 4480);
    assert_int_equal(cost.macs, 379261952);
    /* --epochs stretches it, and may be a fraction */
    assert_int_equal(fw_recipe_set(r, "epochs", "4"), FW_OK);
    assert_int_equal(fw_recipe_schedule(r, 50000, &lr, &steps), FW_OK);
    assert_int_equal(steps, 388);
    assert_true(fabs(lr.warmup - 5.0 / 24 * 388) < 1e-9);
    assert_int_equal(fw_recipe_set(r, "epochs", "0.02"), FW_OK);
    assert_int_equal(fw_recipe_schedule(r, 50000, &lr, &steps), FW_OK);
    assert_int_equal(steps, 2);
    refused_by(fw_recipe_schedule(r, 511, &lr, &steps), FW_EARG, "train.batch is 512");
    fw_recipe_free(r);
}

static void schedules(void **state)
{
    (void)state;
    fw_recipe *r = parsed(SMALL "batch = 100\n");
    fw_schedule a, b;
    int64_t steps = 0;
    /* Knots give the triangle too. */
    assert_int_equal(fw_recipe_set(r, "lr_knots", "0 5/24 1"), FW_OK);
    refused_by(fw_recipe_schedule(r, 10000, &a, &steps), FW_EARG,
               "3 train.lr_knots and 0 train.lr_values");
    assert_int_equal(fw_recipe_set(r, "lr_values", "0 0.4/batch 0"), FW_OK);
    assert_string_equal(fw_recipe_get(r, "schedule"), "piecewise");
    assert_int_equal(fw_recipe_schedule(r, 10000, &a, &steps), FW_OK);
    assert_int_equal(steps, 1000);
    assert_int_equal(fw_recipe_set(r, "schedule", "triangular"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "lr", "0.4/batch"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "warmup", "5/24"), FW_OK);
    assert_int_equal(fw_recipe_schedule(r, 10000, &b, &steps), FW_OK);
    for (int64_t s = 0; s < 1000; s += 37)
        assert_true(fabs(fw_schedule_at(&a, (double)s) - fw_schedule_at(&b, (double)s)) < 1e-12);
    assert_int_equal(fw_recipe_set(r, "schedule_start", "1"), FW_OK);
    assert_int_equal(fw_recipe_schedule(r, 10000, &b, &steps), FW_OK);
    assert_true(fw_schedule_at(&b, 0) > 0);
    /* Knots that do not increase. */
    assert_int_equal(fw_recipe_set(r, "schedule", ""), FW_OK);
    assert_int_equal(fw_recipe_set(r, "lr_knots", "0 1/2 0.5"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "train.lr_knots do not increase: knot 3");
    static const char *const words[] = {"constant", "one_cycle", "exponential", "linear"};
    static const double middle[] = {0.004, 0.004 * (1 - 500.0 / 1000), 0, 0.002};
    assert_int_equal(fw_recipe_set(r, "warmup", "0"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "schedule_start", "0"), FW_OK);
    for (int i = 0; i < 4; i++) {
        const double want = i == 2 ? 0.004 * exp(-0.5) : middle[i];
        assert_int_equal(fw_recipe_set(r, "schedule", words[i]), FW_OK);
        assert_int_equal(fw_recipe_schedule(r, 10000, &a, &steps), FW_OK);
        assert_true(fabs(fw_schedule_at(&a, 500) - want) < 1e-12);
    }
    assert_int_equal(fw_recipe_set(r, "lr", ""), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "train.lr is missing");
    fw_recipe_free(r);
}

static void optimisers(void **state)
{
    (void)state;
    fw_optimizer o;
    fw_recipe *r = parsed(SMALL "optimizer = adam\nbeta1 = 0.8\nweight_decay = 0.01\n"
                                "decay_norm_and_bias = true\nclip_norm = 2*batch\nbatch = 16\n");
    assert_int_equal(fwi_recipe_optimizer(r, 100, &o), FW_OK);
    assert_int_equal(o.kind, FW_ADAM);
    assert_true(o.adam.beta1 == 0.8 && o.adam.beta2 == 0.999 && o.adam.eps == 1e-8);
    assert_true(o.adam.weight_decay == 0.01 && o.adam.clip_norm == 32);
    assert_true(o.adam.decay_norm_and_bias);
    assert_int_equal(fw_recipe_set(r, "optimizer", "sgd"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "nesterov", "page"), FW_OK);
    assert_int_equal(fwi_recipe_optimizer(r, 100, &o), FW_OK);
    assert_int_equal(o.sgd.nesterov, FW_NESTEROV_PAGE);
    assert_int_equal(fw_recipe_set(r, "optimizer", "lars"), FW_OK);
    assert_int_equal(fwi_recipe_optimizer(r, 100, &o), FW_OK);
    assert_int_equal(o.kind, FW_LARS);
    assert_true(o.momentum == 0.9 && o.lars.eps == 0.01 && o.lars.weight_decay == 0.01);
    assert_true(o.lars.clip_norm == 32);
    assert_int_equal(fw_recipe_set(r, "lars_eps", "1e-3"), FW_OK);
    assert_int_equal(fwi_recipe_optimizer(r, 100, &o), FW_OK);
    assert_true(o.lars.eps == 1e-3);
    /* hiverge's Muon */
    assert_int_equal(fw_recipe_set(r, "optimizer", "muon"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "renorm", "spaced"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "ns_target", "0.5012 0.0786"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "lr_steps", "272/284"), FW_OK);
    assert_int_equal(fwi_recipe_optimizer(r, 284, &o), FW_OK);
    assert_int_equal(o.muon.renorm, FW_RENORM_SPACED);
    assert_true(o.muon.renorm_gap == 2 && o.muon.renorm_growth == 15 && o.muon.total_steps == 272);
    assert_true(o.muon.target[0] == 0.5012 && o.muon.target[1] == 0.0786);
    assert_int_equal(fw_recipe_set(r, "ns_target", "0.5 0.3 0.1"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "train.ns_target has 3 numbers, expected 2");
    fw_recipe_free(r);
}

/* Rates as the published recipes give them. */
static void published_schedules(void **state)
{
    (void)state;
    fw_schedule s;
    int64_t steps;
    /* E1: base max(1 - s/272, .05) over 284 steps; 32 of an epoch */
    fw_recipe *r = parsed(SMALL "schedule = linear\nepochs = 8.875\nbatch = 10\nlr_floor = 0.05\n"
                                "lr_steps = 8.5/8.875\n");
    assert_int_equal(fw_recipe_schedule(r, 320, &s, &steps), FW_OK);
    assert_int_equal(steps, 284);
    for (int64_t i = 0; i < steps; i++)
        assert_true(fabs(fw_schedule_at(&s, (double)i) - 0.1 * fmax(1 - (double)i / 272, 0.05)) <
                    1e-15);
    fw_recipe_free(r);
    /* airbench94: from .2 to 1 over 109 of 476 steps, then to .07 */
    r = parsed(SMALL "epochs = 476/48\nbatch = 10\nlr_knots = 0 109/476 1\n"
                     "lr_values = 0.02 0.1 0.007\n");
    assert_int_equal(fw_recipe_schedule(r, 480, &s, &steps), FW_OK);
    assert_int_equal(steps, 476);
    for (int64_t i = 0; i <= steps; i++) {
        const double x = (double)i;
        const double want = i < 109 ? 0.2 + 0.8 * x / 109 : 1 - 0.93 * (x - 109) / (476 - 109);
        assert_true(fabs(fw_schedule_at(&s, x) - 0.1 * want) < 1e-14);
    }
    fw_recipe_free(r);
    /* Page's step 8.9: [0, 2, 8] epochs of 97 steps to [0, 1, .1], of 10, counted from 1; and what
     * his biases have: 64 times the rate, a 64th of the decay */
    r = parsed(SMALL "epochs = 10\nbatch = 512\nlr_knots = 0 0.2 0.8\n"
                     "lr_values = 0 1/batch 0.1/batch\nschedule_start = 1\nnesterov = page\n"
                     "weight_decay = 5e-4*batch\n"
                     "group = bias lr_scale=64 weight_decay=5e-4/64*batch\n");
    fw_param_group g[FW_MAX_GROUPS];
    int32_t n = 0;
    assert_int_equal(fw_recipe_schedule(r, 50000, &s, &steps), FW_OK);
    assert_int_equal(steps, 970);
    assert_int_equal(fwi_recipe_groups(r, steps, 97, g, &n), FW_OK);
    assert_int_equal(n, 1);
    assert_true(fabs(g[0].optimizer.sgd.weight_decay - 5e-4 * 512 / 64) < 1e-18);
    assert_int_equal(g[0].optimizer.sgd.nesterov, FW_NESTEROV_PAGE);
    for (int64_t i = 0; i < steps; i++) {
        const double e = ((double)i + 1) / 97;
        const double want = e < 2 ? e / 2 : e < 8 ? 1 - 0.9 * (e - 2) / 6 : 0.1;
        assert_true(fabs(fw_schedule_at(&s, (double)i) - want / 512) < 1e-15);
        assert_true(fabs(fw_schedule_at(&g[0].optimizer.lr, (double)i) - want / 8) < 1e-14);
    }
    /* knots and values of a group's own */
    assert_int_equal(
        fw_recipe_set(r, "group", "bias lr_knots=0:1/2:1 lr_values=1:64/batch:0 schedule_start=0"),
        FW_OK);
    assert_int_equal(fwi_recipe_groups(r, steps, 97, g, &n), FW_OK);
    assert_int_equal(g[0].optimizer.lr.n_knots, 3);
    assert_true(fabs(fw_schedule_at(&g[0].optimizer.lr, 485) - 0.125) < 1e-15);
    assert_true(fw_schedule_at(&g[0].optimizer.lr, 0) == 1);
    prints_itself(r);
    assert_int_equal(fw_recipe_set(r, "group", "bias lr_knots=0:0.5:0.5 lr_values=1:2:3"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "train.lr_knots do not increase");
    assert_int_equal(fw_recipe_set(r, "group", "bias schedule=linear lr=1 lr_knots=0:1"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "lr_knots is given, but the schedule is linear");
    fw_recipe_free(r);
}

/* Averages as the published recipes give them: their steps are in tests/unit/optim/test_average.c. */
static void averages(void **state)
{
    (void)state;
    fw_average a;
    fw_recipe *r = parsed(SMALL);
    assert_int_equal(fwi_recipe_average(r, 100, 10, &a), FW_OK);
    assert_int_equal(a.kind, FW_AVERAGE_NONE);
    assert_int_equal(fw_recipe_set(r, "average", "ema"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG,
               "x.recipe: train.average_decay is missing: average ema needs it");
    /* Page */
    assert_int_equal(fw_recipe_set(r, "average_decay", "0.99^5"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "average_every", "5"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "average_count", "epoch"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fwi_recipe_average(r, 970, 97, &a), FW_OK);
    assert_true(a.kind == FW_AVERAGE_EMA && a.decay == pow(0.99, 5) && a.power == 0);
    assert_true(a.every == 5 && a.epoch_steps == 97 && a.start == 0 && a.steps == 970);
    assert_int_equal(fw_recipe_set(r, "average_decay_steps", "1"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK); /* of a run without an end it would be 1 */
    assert_int_equal(fw_recipe_set(r, "average_decay_steps", "970"), FW_OK);
    assert_int_equal(fwi_recipe_average(r, 970, 97, &a), FW_OK);
    assert_true(a.decay == pow(0.99, 5));
    assert_int_equal(fwi_recipe_average(r, 194, 97, &a), FW_OK);
    assert_true(fabs(a.decay - pow(0.99, 25)) < 1e-15);
    prints_itself(r);
    fw_recipe_free(r);
    /* airbench94, and E1 */
    r = parsed(SMALL "average = lookahead\naverage_decay = 0.95^5\naverage_power = 3\n"
                     "average_every = 5\n");
    assert_int_equal(fwi_recipe_average(r, 476, 48, &a), FW_OK);
    assert_true(a.kind == FW_AVERAGE_LOOKAHEAD && a.power == 3 && a.epoch_steps == 0);
    assert_true(fw_average_at(&a, 475) == pow(0.95, 5) * pow(475.0 / 476, 3));
    fw_recipe_free(r);
    r = parsed(SMALL "average = lookahead\naverage_decay = 0.7\naverage_every = 4\n"
                     "average_start = 264/284\n");
    assert_int_equal(fwi_recipe_average(r, 284, 32, &a), FW_OK);
    assert_int_equal(a.start, 264);
    fw_recipe_free(r);
    refused("[train]\naverage_decay = 0.99^\n",
            "train.average_decay: \"0.99^\", expected a number");
    refused("[train]\naverage_decay = 2^2\n", "train.average_decay: 2^2 is not in 0 to 1");
    refused("[train]\naverage_decay = 0^-1\n", "train.average_decay");
    refused("[train]\naverage_every = 0\n", "train.average_every: \"0\", expected a whole number");
}

static void groups(void **state)
{
    (void)state;
    fw_param_group g[FW_MAX_GROUPS];
    int32_t n = 9;
    fw_recipe *r = parsed(SMALL);
    assert_int_equal(fwi_recipe_groups(r, 200, 25, g, &n), FW_OK);
    assert_int_equal(n, 0);
    fw_recipe_free(r);
    r = parsed(SMALL "schedule = linear\nmomentum = 0.85\nweight_decay = 0.125\nbatch = 10\n"
                     "clip_norm = 7\n"
                     "group = conv   dense optimizer=muon lr=0.24 momentum=0.6\n"
                     "group = whiten_bias lr=0.5/batch lr_epochs=3 train_epochs=5/2, bias "
                     "lr_scale=64 schedule=constant\n");
    assert_int_equal(fwi_recipe_groups(r, 200, 25, g, &n), FW_OK);
    assert_int_equal(n, 3);
    assert_int_equal(g[0].classes, FW_PARAM_CONV | FW_PARAM_DENSE);
    assert_int_equal(g[0].optimizer.kind, FW_MUON);
    assert_true(g[0].optimizer.momentum == 0.6 && g[0].train_steps == 0);
    /* another optimizer: no decay and no clipping of [train]'s */
    const fw_muon_opt *const m = &g[0].optimizer.muon;
    assert_true(m->weight_decay == 0 && m->clip_norm == 0 && m->steps == 3);
    assert_true(m->a == 3.4445 && m->b == -4.775 && m->c == 2.0315);
    assert_int_equal(m->renorm, FW_RENORM_EVERY_STEP);
    assert_true(fabs(fw_schedule_at(&g[0].optimizer.lr, 50) - 0.18) < 1e-15);
    assert_int_equal(g[1].classes, FW_PARAM_WHITEN_BIAS);
    assert_int_equal(g[1].optimizer.kind, FW_SGD);
    assert_true(g[1].optimizer.momentum == 0.85 && g[1].optimizer.sgd.weight_decay == 0.125);
    assert_true(g[1].optimizer.sgd.clip_norm == 7);
    assert_int_equal(g[1].train_steps, 63); /* 62.5 */
    assert_true(fabs(fw_schedule_at(&g[1].optimizer.lr, 15) - 0.04) < 1e-15);
    assert_true(fw_schedule_at(&g[1].optimizer.lr, 75) == 0);
    assert_int_equal(g[2].classes, FW_PARAM_BIAS);
    assert_true(fabs(fw_schedule_at(&g[2].optimizer.lr, 150) - 6.4) < 1e-12);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "x.recipe: parameter group 2 has no parameter");
    assert_int_equal(fw_recipe_set(r, "layer", "whiten, conv_bn 4, global_max_pool, classifier 3"),
                     FW_OK);
    if (fw_recipe_check(r, NULL) != FW_OK)
        fail_msg("%s", fw_last_error());
    /* shares scale with the batch when it is set later; values of [train] hold where they are new */
    assert_int_equal(fw_recipe_set(r, "train.batch", "5"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "momentum", "0.5"), FW_OK);
    assert_int_equal(fwi_recipe_groups(r, 200, 25, g, &n), FW_OK);
    assert_true(fabs(fw_schedule_at(&g[1].optimizer.lr, 0) - 0.1) < 1e-15);
    assert_true(g[1].optimizer.momentum == 0.5 && g[0].optimizer.momentum == 0.6);
    /* piecewise rates are scaled */
    assert_int_equal(fw_recipe_set(r, "schedule", "piecewise"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "lr_knots", "0 0.5 1"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "lr_values", "0 2 0"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "x.recipe: line 13: lr is given, but");
    assert_int_equal(fw_recipe_set(r, "group", "bias lr_scale=64, conv lr_scale=1/4"), FW_OK);
    assert_string_equal(fw_recipe_get(r, "group"), "bias lr_scale=64\nconv lr_scale=1/4");
    assert_int_equal(fwi_recipe_groups(r, 200, 25, g, &n), FW_OK);
    assert_int_equal(n, 2);
    assert_true(fabs(fw_schedule_at(&g[0].optimizer.lr, 50) - 64) < 1e-12);
    assert_true(fabs(fw_schedule_at(&g[1].optimizer.lr, 100) - 0.5) < 1e-12);
    fw_recipe_free(r);
}

static void groups_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"lr=0.1", "no class of parameters: conv, dense, head"},
        {"cnv lr=0.1", "unknown class \"cnv\", the nearest valid one is conv"},
        {"conv rl=0.1", "unknown option \"rl\", the nearest valid one is lr"},
        {"conv lr=0.1 lr=0.2", "lr is given twice"},
        {"conv lr=", "lr has no value"},
        {"conv =3", "unknown option \"\""},
        {"conv optimizer=muno", "optimizer: \"muno\", expected one of: sgd adam muon lars"},
        {"conv momentum=2", "momentum: 2 is not in 0 to"},
        {"conv train_epochs=0", "train_epochs: 0 is not in"},
        {"conv lr_epochs=x", "lr_epochs: \"x\", expected a number"},
        {"conv lr_scale=1/batch", "lr_scale: \"1/batch\", but this number does not scale"},
        {"conv epochs=3", "unknown option \"epochs\""},
    };
    char text[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, SMALL "group = head lr=1\ngroup = %s\n", cases[i].line);
        refused(text, cases[i].message);
        refused(text, "x.recipe: line 9: ");
    }
    fw_recipe *r = parsed(SMALL "group = bias, bias, bias, bias, bias, bias, bias, bias\n");
    assert_int_equal(fwi_recipe_groups_check(r), FW_OK);
    assert_int_equal(
        fw_recipe_set(r, "group", "bias, bias, bias, bias, bias, bias, bias, bias, bias"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EFORMAT, "train.group: line 9: more than 8 groups");
    assert_int_equal(fw_recipe_set(r, "group", "conv schedule=constant lr=1 lr_epochs=3"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG,
               "train.group: line 1: lr_epochs is given, but the schedule is constant");
    assert_int_equal(fw_recipe_set(r, "group", "conv optimizer=muon"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG,
               "train.group: line 1: group: train.lr is missing: schedule one_cycle needs it");
    /* what Adam does not decay */
    static const struct {
        const char *line, *message; /* NULL: it has an effect */
    } decays[] = {
        {"bias bn_scale optimizer=adam lr=0.1 weight_decay=0.5", "weight_decay is given, but bias"},
        {"bias optimizer=adam lr=0.1 weight_decay=0.5 decay_norm_and_bias=true", NULL},
        {"bias head optimizer=adam lr=0.1 weight_decay=0.5", NULL},
        {"bias optimizer=adam lr=0.1 weight_decay=0", NULL},
        {"bias lr=0.1 weight_decay=0.5", NULL}, /* SGD's */
        {"conv optimizer=adam lr=0.1 decay_norm_and_bias=true",
         "decay_norm_and_bias is given, but"},
        {"conv bias optimizer=adam lr=0.1 decay_norm_and_bias=true", NULL},
    };
    for (size_t i = 0; i < sizeof decays / sizeof *decays; i++) {
        assert_int_equal(fw_recipe_set(r, "group", decays[i].line), FW_OK);
        if (decays[i].message == NULL)
            assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
        else
            refused_by(fw_recipe_check(r, NULL), FW_EARG, decays[i].message);
    }
    fw_recipe_free(r);
}

static void resolutions(void **state)
{
    (void)state;
    fw_resolution at[FW_MAX_RESOLUTIONS];
    int32_t n = 9;
    fw_recipe *r = parsed(SMALL); /* 8 x 8 */
    assert_int_equal(fwi_recipe_resolutions(r, 284, at, &n), FW_OK);
    assert_int_equal(n, 0);
    /* the last size is the input's: nothing to do from there on */
    assert_int_equal(fw_recipe_set(r, "resolution", "4 6 8"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "resolution_ends", "3/8.875 6/8.875"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fwi_recipe_resolutions(r, 284, at, &n), FW_OK);
    assert_int_equal(n, 2);
    assert_true(at[0].size == 4 && at[0].until == 96 && at[1].size == 6 && at[1].until == 192);
    /* one step: rounded, both parts but the last one are empty */
    assert_int_equal(fwi_recipe_resolutions(r, 1, at, &n), FW_OK);
    assert_int_equal(n, 1);
    assert_true(at[0].size == 6 && at[0].until == 1);
    assert_int_equal(fw_recipe_set(r, "resolution", "8 6 4"), FW_OK); /* smaller to the end */
    assert_int_equal(fwi_recipe_resolutions(r, 284, at, &n), FW_OK);
    assert_int_equal(n, 3);
    assert_true(at[0].size == 8 && at[2].size == 4 && at[2].until == INT64_MAX);
    static const struct {
        const char *sizes, *ends, *layers, *text;
        fw_status st;
    } bad[] = {
        {"4 8", "", NULL, "has 2 sizes and train.resolution_ends 0 shares", FW_EARG},
        {"", "0.5", NULL, "resolution_ends is given, but there is no train.resolution", FW_EARG},
        {"4 8", "1", NULL, "do not increase between 0 and 1: share 1", FW_EARG},
        {"4 6 8", "0.5 1/2", NULL, "do not increase between 0 and 1: share 2", FW_EARG},
        {"4.5 8", "0.5", NULL, "4.5, expected a whole number", FW_EARG},
        {"1 2 3 4 5 6 7 8 8", ".1 .2 .3 .4 .5 .6 .7 .8", NULL, "9 sizes", FW_EARG},
        {"4 9", "0.5", NULL, "9 is larger than the images of 8 x 8", FW_ESHAPE},
        {"2 8", "0.5", "conv_bn 4, max_pool 3, global_max_pool, classifier 3",
         "network of 2 x 2 images: layer 1", FW_ESHAPE},
        {"1 8", "0.5", "whiten, conv_bn 4, global_max_pool, classifier 3",
         "images of 1x1 have no 2x2 patch", FW_ESHAPE},
        {"4 8", "0.5", "whiten kernel=3, max_pool 3, conv_bn 4, global_max_pool, classifier 3",
         "network of 4 x 4 images: layer 1", FW_ESHAPE},
        {"4 8", "0.5", "conv_bn 4, flatten, classifier 3", "a global pool in place of flatten",
         FW_ESHAPE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_recipe_free(r);
        r = parsed(SMALL);
        if (bad[i].layers != NULL)
            assert_int_equal(fw_recipe_set(r, "layer", bad[i].layers), FW_OK);
        assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
        assert_int_equal(fw_recipe_set(r, "resolution", bad[i].sizes), FW_OK);
        assert_int_equal(fw_recipe_set(r, "resolution_ends", bad[i].ends), FW_OK);
        refused_by(fw_recipe_check(r, NULL), bad[i].st, bad[i].text);
    }
    for (int crop = 0; crop < 2; crop++) { /* whitened nets that grow are fine, either way */
        fw_recipe_free(r);
        r = parsed(SMALL);
        assert_int_equal(
            fw_recipe_set(r, "layer", "whiten, conv_bn 4, global_max_pool, classifier 3"), FW_OK);
        assert_int_equal(fw_recipe_set(r, "resolution", "2 8"), FW_OK);
        assert_int_equal(fw_recipe_set(r, "resolution_ends", "0.5"), FW_OK);
        assert_int_equal(fw_recipe_set(r, "resolution_by", crop == 1 ? "crop" : "resize"), FW_OK);
        assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    }
    fw_recipe_free(r);
    r = parsed("[network]\ninput = 8 9 1\nlayer = global_max_pool\nlayer = classifier 3\n"
               "[train]\nlr = 0.1\nresolution = 4\n");
    refused_by(fw_recipe_check(r, NULL), FW_ESHAPE, "needs square images");
    fw_recipe_free(r);
}

static void proxies(void **state)
{
    (void)state;
#define PROXY SMALL "[network proxy]\nlayer = conv_bn 2\nlayer = global_max_pool\n"
    fw_recipe *r = parsed(PROXY "layer = classifier 3\nkeep = 40\n");
    fw_layer *net = NULL;
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fwi_recipe_proxy(r, &net), FW_OK);
    assert_non_null(net);
    fw_layer_free(net);
    assert_string_equal(fw_recipe_get(r, "network proxy.layer"),
                        "conv_bn 2\nglobal_max_pool\nclassifier 3");
    assert_string_equal(fw_recipe_get(r, "train_every"), "4");
    /* a bare "layer" is the network's */
    assert_string_equal(fw_recipe_get(r, "layer"), "conv_bn 4\nglobal_max_pool\nclassifier 3");
    char *text = NULL;
    assert_int_equal(fw_recipe_print(r, &text), FW_OK);
    fw_recipe *again = parsed(text);
    assert_string_equal(fw_recipe_get(again, "network proxy.layer"),
                        fw_recipe_get(r, "network proxy.layer"));
    fw_recipe_free(again);
    fw_text_free(text);
    static const char *const bad[][3] = {
        {"keep", "0", "network proxy.keep is 0, expected 1 to train.batch, 128"},
        {"keep", "129", "network proxy.keep is 129"},
        {"network proxy.layer", "global_max_pool, classifier 4", "has 4 outputs, the network 3"},
        {"network proxy.layer", "flatten, conv_bn 4", "[network proxy]"},
        {"network proxy.layer", "", "keep is 40, but [network proxy] has no layer"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_recipe_free(r);
        r = parsed(PROXY "layer = classifier 3\nkeep = 40\n");
        assert_int_equal(fw_recipe_set(r, bad[i][0], bad[i][1]), FW_OK);
        const fw_status st = fw_recipe_check(r, NULL);
        assert_int_not_equal(st, FW_OK);
        refused_by(st, st, bad[i][2]);
    }
    fw_recipe_free(r);
    refused(PROXY "layer = clasifier 3\n", "x.recipe: line 11");
    /* what only its own graph tells: a group that it has no parameters for, sizes in the middle */
    r = parsed(PROXY "layer = classifier 3\nkeep = 40\n");
    assert_int_equal(fw_recipe_set(r, "group", "conv lr=0.1"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fw_recipe_set(r, "network proxy.layer", "flatten, classifier 3"), FW_OK);
    fw_recipe_data none = {0};
    refused_by(fw_recipe_data_open(r, "no-such-file", 0, &none), FW_EARG,
               "x.recipe: [network proxy]: parameter group 1 has no parameter");
    fw_recipe_free(r);
#undef PROXY
}

/* A share of the run becomes a position in the stream of records. */
static void cutmix_begins_in_the_run(void **state)
{
    (void)state;
    fw_transform chain[FWI_RECIPE_TRANSFORMS + 1];
    fw_recipe *r = parsed(SMALL "batch = 128\nepochs = 10\n[augment]\ntransform = flip\n"
                                "transform = cutmix 3 2 from=0.5\n");
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fwi_recipe_transforms(r, NULL, NULL, 1300, true, chain), FW_OK);
    assert_int_equal(chain[1].kind, FW_TRANSFORM_CUTMIX);
    assert_true(chain[1].h == 3 && chain[1].w == 2 && chain[1].from == 50 * 128);
    assert_int_equal(fwi_recipe_transforms(r, NULL, NULL, 1300, false, chain), FW_OK);
    assert_int_equal(chain[0].kind, FW_TRANSFORM_NONE);
    assert_int_equal(fw_recipe_set(r, "transform", "cutmix 3 2"), FW_OK);
    assert_int_equal(fwi_recipe_transforms(r, NULL, NULL, 1300, true, chain), FW_OK);
    assert_int_equal(chain[0].from, 0);
    refused_by(fwi_recipe_transforms(r, NULL, NULL, 100, true, chain), FW_EARG, "fewer records");
    static const char *const bad[][2] = {{"cutmix 3", "cutmix: 1 numbers, expected 2"},
                                         {"cutmix 3 3 from=2", "2 is not in 0 to 1"},
                                         {"cutmix 3 3 til=1", "til=1"},
                                         {"cutmix 9 3", "larger than the image"},
                                         {"cutmix 3 3, flip", "no transform may come after it"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fw_status st = fw_recipe_set(r, "transform", bad[i][0]);
        if (st == FW_OK)
            st = fw_recipe_check(r, NULL);
        assert_int_not_equal(st, FW_OK);
        refused_by(st, st, bad[i][1]);
    }
    /* of a window the patch would have another share */
    assert_int_equal(fw_recipe_change(r, "transform=cutmix 3 3,resolution=4 8,resolution_ends=0.5"),
                     FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fw_recipe_set(r, "resolution_by", "crop"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "x.recipe: cutmix: the other label counts");
    assert_int_equal(fw_recipe_set(r, "transform", "cutmix 3 3 from=0.5"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK); /* behind the windows */
    assert_int_equal(fw_recipe_set(r, "transform", "cutmix 3 3 from=0.49"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "x.recipe: cutmix: the other label counts");
    fw_recipe_free(r);
}

static void impossible_combinations(void **state)
{
    (void)state;
    fw_recipe *r = parsed(SMALL);
    assert_int_equal(fw_recipe_set(r, "classes", "4"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_ESHAPE, "network.classes is 4, the last layer has 3");
    assert_int_equal(fw_recipe_set(r, "classes", "3"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "transform", "pad_crop 8"), FW_OK);
    assert_int_not_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_non_null(strstr(fw_last_error(), "augment.transform"));
    assert_int_equal(fw_recipe_set(r, "transform", "cutout 9 9"), FW_OK);
    assert_int_not_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fw_recipe_set(r, "transform", "dihedral"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fw_recipe_set(r, "input", "8 4 1"), FW_OK);
    assert_int_not_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fw_recipe_set(r, "transform", ""), FW_OK);
    assert_int_equal(fw_recipe_set(r, "layer", "max_pool 8, flatten, classifier 3"), FW_OK);
    assert_int_not_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_non_null(strstr(fw_last_error(), "network of 8 x 4 x 1 images"));
    assert_int_equal(fw_recipe_set(r, "layer", "conv_bn 8"), FW_OK);
    assert_int_not_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fw_recipe_set(r, "layer", ""), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "network.layer is missing");
    /* optimisers that are not for these parameters, before any data */
    assert_int_equal(fw_recipe_set(r, "layer", "conv_bn 8, global_max_pool, classifier 3"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fw_recipe_set(r, "optimizer", "muon"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "muon: 0.bn.gamma has 1 dimension");
    fw_recipe_data none = {0};
    refused_by(fw_recipe_data_open(r, "no-such-file", 0, &none), FW_EARG, "x.recipe: muon: 0.bn");
    assert_int_equal(fw_recipe_set(r, "optimizer", "lars"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "lars: 0.bn.gamma has 1 dimension");
    assert_int_equal(fw_recipe_set(r, "group", "head bn_scale bias optimizer=sgd lr=1"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    assert_int_equal(fw_recipe_set(r, "group", "whiten_bias bn_scale bias head lr=1"), FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "lars: 0.bn.gamma has 1 dimension");
    assert_int_equal(fw_recipe_set(r, "group",
                                   "whiten_bias lr=1, bn_scale bias head "
                                   "optimizer=sgd lr=1"),
                     FW_OK);
    refused_by(fw_recipe_check(r, NULL), FW_EARG, "parameter group 1 has no parameter");
    /* averages that no step would change; how many steps there are only the data tells */
    fw_recipe_free(r);
    r = parsed(SMALL "average = ema\naverage_decay = 1\n");
    refused_by(fw_recipe_check(r, NULL), FW_EARG,
               "x.recipe: train.average_decay is 1: the average would stay");
    assert_int_equal(fw_recipe_set(r, "average_power", "3"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "average_start", "1"), FW_OK); /* of some run a multiple */
    for (int every = 1; every < 12; every++) {
        char text[16];
        snprintf(text, sizeof text, "%d", every);
        assert_int_equal(fw_recipe_set(r, "average_every", text), FW_OK);
        assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    }
    assert_int_equal(fw_recipe_set(r, "average_start", "0"), FW_OK);
    assert_int_equal(fw_recipe_set(r, "average_every", "1000000000"), FW_OK);
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    fw_average average;
    assert_int_equal(fw_recipe_set(r, "average_every", "10"), FW_OK);
    refused_by(fwi_recipe_average(r, 9, 3, &average), FW_EARG,
               "train.average_every is 10 and train.average_start 0: the run of 9 steps would end "
               "before the "
               "first averaging");
    assert_int_equal(fwi_recipe_average(r, 10, 3, &average), FW_OK);
    assert_int_equal(average.start, 0);
    assert_int_equal(fw_recipe_set(r, "average_start", "0.01"),
                     FW_OK); /* not the initial weights */
    assert_int_equal(fwi_recipe_average(r, 10, 3, &average), FW_OK);
    assert_int_equal(average.start, 1);
    assert_int_equal(fw_recipe_set(r, "average_start", "0.5"), FW_OK);
    assert_int_equal(fwi_recipe_average(r, 19, 3, &average), FW_OK);
    assert_int_equal(fw_recipe_set(r, "average_start", "0.7"), FW_OK);
    refused_by(fwi_recipe_average(r, 19, 3, &average), FW_EARG, "the run of 19 steps would end");
    assert_int_equal(fw_recipe_set(r, "average_count", "epoch"),
                     FW_OK); /* with each epoch's first */
    assert_int_equal(fwi_recipe_average(r, 19, 3, &average), FW_OK);
    fw_recipe_free(r);
}

/* The words in brackets behind what a key is for are those that look at it. */
static void words_in_brackets_look_at_their_keys(void **state)
{
    (void)state;
    static const fwi_key deciders[] = {FWI_KEY_TRAIN_SCHEDULE, FWI_KEY_TRAIN_OPTIMIZER};
    int checked = 0;
    for (int k = 0; k < FWI_KEY_COUNT; k++) {
        const char *const open = strrchr(fwi_keys[k].doc, '(');
        if (open == NULL || strchr(fwi_keys[k].doc, '(') != open || /* two: all look at it */
            strcmp(fwi_keys[k].section, "train") != 0)
            continue;
        for (size_t d = 0; d < sizeof deciders / sizeof *deciders; d++) {
            char word[FWI_RECIPE_VALUE + 1], list[FWI_RECIPE_VALUE + 1], name[FWI_RECIPE_VALUE + 4];
            const char *at = open + 1;
            snprintf(list, sizeof list, ",%.*s,", (int)strcspn(open + 1, ")"), open + 1);
            snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ",)"), at);
            snprintf(name, sizeof name, " %s ", word);
            char words[200];
            snprintf(words, sizeof words, " %s ", fwi_keys[deciders[d]].words);
            if (strstr(words, name) == NULL)
                continue; /* of the other, or no list of words */
            for (at = fwi_keys[deciders[d]].words; fwi_next_word(&at, word, sizeof word);) {
                fw_recipe *const r = parsed(SMALL "renorm = spaced\n"); /* other needs are met */
                snprintf(name, sizeof name, "%s.%s", fwi_keys[deciders[d]].section,
                         fwi_keys[deciders[d]].key);
                assert_int_equal(fw_recipe_set(r, name, word), FW_OK);
                bool listed = false;
                for (const char *p = list; (p = strstr(p, word)) != NULL; p++)
                    listed = listed || (strchr(", ", p[-1]) != NULL && p[strlen(word)] == ',');
                const bool looks = fwi_recipe_check_effect(r, (fwi_key)k) == FW_OK;
                if (looks != listed)
                    fail_msg("%s, %s %s: %s", fwi_keys[k].key, name, word, fwi_keys[k].doc);
                fw_recipe_free(r);
            }
            checked++;
        }
    }
    assert_true(checked >= 17);
}

/* What is set on purpose and changes nothing is refused; in a file it waits for another schedule, optimiser,
 * average. */
static void keys_without_effect(void **state)
{
    (void)state;
    static const struct {
        const char *file, *change, *message; /* NULL: it has an effect */
    } cases[] = {
        {"lr_knots = 0 1\nlr_values = 1 0\n", "lr=0.7",
         "x.recipe: train.lr is given, but the schedule is piecewise: its rates are lr_values"},
        {"lr_knots = 0 1\nlr_values = 1 0\n", "schedule=linear,lr=0.7", NULL},
        {"lr_knots = 0 1\nlr_values = 1 0\n", "lr_floor=0.1", "lr_floor is given, but the sch"},
        {"schedule = constant\n", "lr_steps=0.5",
         "lr_steps is given, but the schedule is constant"},
        {"schedule = constant\nrenorm = spaced\ngroup = conv optimizer=muon lr=1\n", "lr_steps=0.5",
         NULL},
        {"schedule = constant\nns_target = 0.5 0.08\ngroup = conv optimizer=muon lr=1\n",
         "lr_steps=0.5", NULL},
        {"schedule = linear\n", "lr_steps=0.5", NULL},
        {"", "average=ema,average_decay=0.9,average=", NULL}, /* without it, on purpose */
        {"", "schedule=linear,warmup=0.1", "warmup is given, but the schedule is linear"},
        {"schedule = linear\n", "lr_knots=0 1,lr_values=1 0", "lr_knots is given, but the sched"},
        {"", "warmup=0.1", NULL},
        {"schedule = linear\n", "warmup=0.1", "warmup is given, but the schedule is linear"},
        {"schedule = linear\n", "lr_rate=0.1", "lr_rate is given, but the schedule is linear"},
        {"schedule = triangular\n", "decay=cosine", "decay is given, but the schedule is tri"},
        {"", "beta1=0.8", "train.beta1 is given, but the optimizer is sgd"},
        {"", "optimizer=adam,beta1=0.8", NULL},
        {"", "optimizer=adam,momentum=0.8", "momentum is given, but the optimizer is adam: it"},
        {"optimizer = adam\n", "nesterov=page", "nesterov is given, but the optimizer is adam"},
        {"group = conv optimizer=muon lr=1\n", "group:conv.renorm_gap=3",
         "renorm_gap is given, but the renorm is every_step"},
        {"group = conv optimizer=muon lr=1\n", "renorm_gap=3", "renorm_gap is given, but"},
        {"group = conv optimizer=muon lr=1\n", "renorm=spaced,renorm_gap=3", NULL},
        {"renorm = spaced\n", "renorm_gap=3", "renorm_gap is given, but the optimizer is sgd"},
        {"", "ns_steps=5", "ns_steps is given, but the optimizer is sgd"},
        {"group = conv optimizer=muon lr=1\n", "ns_steps=5", NULL}, /* the group looks at it */
        {"group = conv optimizer=muon lr=1 ns_steps=4\n", "ns_steps=5", "ns_steps is given, but"},
        {"optimizer = adam\ngroup = conv optimizer=sgd lr=1\n", "momentum=0.5", "momentum is g"},
        {"optimizer = adam\ngroup = conv optimizer=sgd lr=1\n", "nesterov=page", NULL},
        {"group = conv optimizer=muon lr=1\n", "group:conv.nesterov=page",
         "nesterov is given, but the optimizer is muon"},
        {"", "lars_eps=0.1", "lars_eps is given, but the optimizer is sgd"},
        {"", "average_every=7", "average_every is given, but the average is none"},
        {"average = ema\naverage_decay = 0.5\n", "average_every=7", NULL},
        {"average = ema\naverage_decay = 0.5\n", "average=,average_every=", NULL},
        {"", "resolution_by=crop", "resolution_by is given, but there is no train.resolution"},
        {"", "train_every=2", "train_every is given, but there is no network proxy.layer"},
        {"schedule = constant\n", "schedule_start=1", "schedule_start is given, but the schedule"},
        {"schedule = linear\n", "schedule_start=1", NULL},
        {"average = ema\naverage_decay = 0.5\n", "average_count=epoch",
         "average_count is given, but the average_every is 1: every step averages"},
        {"average = ema\naverage_decay = 0.5\n", "average_every=2,average_count=epoch", NULL},
        {"resolution = 4 8\nresolution_ends = 0.5\n", "resolution=", NULL},
        {"resolution_ends = 0.5\n", "epochs=3", NULL},
        {"group = conv head bn_scale bias lr=0.2\n", "lr=0.7",
         "x.recipe: train.lr is given, but groups have all parameters"},
        {"group = conv head bn_scale bias lr=0.2\n", "weight_decay=0.1", NULL}, /* the group's */
        {"group = conv head bn_scale bias lr=0.2 weight_decay=0\n", "weight_decay=0.1",
         "weight_decay is given, but groups have all"},
        {"group = conv head bn_scale lr=0.2\n", "lr=0.7", NULL},   /* the biases' */
        {"", "lr=0.7,group=conv head bn_scale bias lr=0.2", NULL}, /* chosen later */
    };
    char text[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, SMALL "%s", cases[i].file);
        fw_recipe *r = parsed(text);
        assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
        assert_int_equal(fw_recipe_change(r, cases[i].change), FW_OK);
        if (cases[i].message == NULL)
            assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
        else
            refused_by(fw_recipe_check(r, NULL), FW_EARG, cases[i].message);
        fw_recipe_free(r);
    }
    /* in a file all of it may stand */
    fw_recipe *r = parsed(SMALL "warmup = 0.3\nlr_knots = 0 1\nlr_values = 1 0\nbeta1 = 0.5\n"
                                "ns_steps = 4\naverage_every = 3\nresolution_by = crop\n");
    assert_int_equal(fw_recipe_check(r, NULL), FW_OK);
    fw_recipe_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_through_schedule),
        cmocka_unit_test(schedules),
        cmocka_unit_test(optimisers),
        cmocka_unit_test(published_schedules),
        cmocka_unit_test(averages),
        cmocka_unit_test(words_in_brackets_look_at_their_keys),
        cmocka_unit_test(keys_without_effect),
        cmocka_unit_test(groups),
        cmocka_unit_test(groups_are_checked),
        cmocka_unit_test(resolutions),
        cmocka_unit_test(proxies),
        cmocka_unit_test(cutmix_begins_in_the_run),
        cmocka_unit_test(impossible_combinations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
