/* Optimisers and parameter groups: what is refused, the row of numbers per step, the description,
 * and what is appended to a graph. Their arithmetic is held to PyTorch in tests/ops/test_optim_golden.c
 * and test_muon.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <optim_inner.h>
#include <string.h>

static void assert_refused(fw_optimizer o, const char *message)
{
    assert_int_equal(fw_optimizer_check(&o), FW_EARG);
    if (strstr(fw_last_error(), message) == NULL)
        fail_msg("said: %s\nexpected: %s", fw_last_error(), message);
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    const fwi_val none[1] = {0};
    assert_int_equal(fwi_optim_append(&(fwi_optim){.rest = o}, g, none, none, 1), FW_EARG);
    assert_int_equal(g->n_ops, 0);
    fwi_graph_free(g);
}

static fw_optimizer plain_sgd(double lr)
{
    return fw_sgd(fw_constant_lr(lr), 0, NULL);
}

static void mistakes_are_refused(void **state)
{
    (void)state;
    const fw_schedule lr = fw_constant_lr(0.1);
    const double nan = (double)NAN;
    assert_refused(fw_sgd(lr, 1, NULL), "sgd: momentum is not in 0 to less than 1");
    assert_refused(fw_sgd(lr, -0.1, NULL), "momentum");
    assert_refused(fw_sgd(lr, nan, NULL), "momentum");
    assert_refused(fw_sgd(lr, 0.9, &(fw_sgd_opt){.weight_decay = -1}), "sgd: weight_decay");
    assert_refused(fw_sgd(lr, 0.9, &(fw_sgd_opt){.clip_norm = nan}), "sgd: clip_norm");
    assert_refused(fw_sgd(lr, 0.9, &(fw_sgd_opt){.nesterov = (fw_nesterov)3}), "no such nesterov");
    assert_refused(fw_sgd(fw_constant_lr(-1), 0.9, NULL), "learning-rate schedule: ");
    assert_refused(fw_adam(lr, &(fw_adam_opt){.beta1 = 1}), "adam: beta1 or beta2");
    assert_refused(fw_adam(lr, &(fw_adam_opt){.beta2 = -0.5}), "adam: beta1 or beta2");
    assert_refused(fw_adam(lr, &(fw_adam_opt){.eps = -1}), "adam: eps");
    assert_refused(fw_adam(lr, &(fw_adam_opt){.weight_decay = nan}), "adam: weight_decay");
    assert_refused(fw_adam(lr, &(fw_adam_opt){.clip_norm = -1}), "adam: clip_norm");
    assert_refused(fw_muon(lr, 1, NULL), "muon: momentum is not in 0 to less than 1");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.steps = -1}), "muon: steps is not in 1 to 100");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.steps = 101}), "muon: steps");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.b = nan}), "muon: a coefficient");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.weight_decay = -1}), "muon: weight_decay");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.clip_norm = nan}), "muon: clip_norm");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.renorm = (fw_renorm)3}), "no such renorm");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.renorm = FW_RENORM_SPACED}),
                   "muon: renorm spaced and target need total_steps");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.target = {0.5, 0.1}}), "need total_steps");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.target = {0.5, 0}, .total_steps = 9}),
                   "muon: a target is not a positive number");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.total_steps = -1}), "muon: total_steps");
    assert_refused(fw_muon(lr, 0.6, &(fw_muon_opt){.renorm_growth = 3}), "muon: renorm_gap");
    assert_refused(fw_lars(lr, 1, NULL), "lars: momentum is not in 0 to less than 1");
    assert_refused(fw_lars(lr, 0.9, &(fw_lars_opt){.eps = -1}), "lars: eps");
    assert_refused(fw_lars(lr, 0.9, &(fw_lars_opt){.weight_decay = nan}), "lars: weight_decay");
    assert_refused(fw_lars(lr, 0.9, &(fw_lars_opt){.clip_norm = -1}), "lars: clip_norm");
    fw_optimizer o = fw_adam(lr, NULL);
    o.kind = (fw_optimizer_kind)5;
    assert_refused(o, "no such kind");
    assert_int_equal(fw_optimizer_check(NULL), FW_EARG);
}

static void groups_are_checked(void **state)
{
    (void)state;
    const struct {
        fw_param_group group;
        const char *message;
    } cases[] = {
        {{.optimizer = plain_sgd(1)}, "parameter group 2: it has no classes"},
        {{.classes = 64, .optimizer = plain_sgd(1)},
         "parameter group 2: it has classes that do not"},
        {{.classes = FW_PARAM_BIAS, .optimizer = plain_sgd(-1)},
         "parameter group 2: learning-rate"},
        {{.classes = FW_PARAM_BIAS, .optimizer = fw_muon(fw_constant_lr(1), 2, NULL)},
         "parameter group 2: muon: momentum"},
        {{.classes = FW_PARAM_BIAS, .optimizer = plain_sgd(1), .train_steps = -1},
         "parameter group 2: train_steps is negative"},
    };
    fwi_optim o = {.rest = plain_sgd(1), .n_groups = 2};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        o.group[0] = (fw_param_group){.classes = FW_PARAM_CONV, .optimizer = plain_sgd(1)};
        o.group[1] = o.group[0];
        assert_int_equal(fwi_optim_check(&o), FW_OK);
        o.group[1] = cases[i].group;
        assert_int_equal(fwi_optim_check(&o), FW_EARG);
        if (strstr(fw_last_error(), cases[i].message) == NULL)
            fail_msg("said: %s\nexpected: %s", fw_last_error(), cases[i].message);
    }
    o.n_groups = FW_MAX_GROUPS + 1;
    assert_int_equal(fwi_optim_check(&o), FW_EARG);
    assert_non_null(strstr(fw_last_error(), "9 parameter groups, at most 8"));
}

static void the_row_of_a_step(void **state)
{
    (void)state;
    double row[8];
    const fwi_optim sgd = {
        .rest = fw_sgd(fw_triangular_lr(0.4, 100, 10), 0.9, &(fw_sgd_opt){.weight_decay = 0.25})};
    assert_int_equal(fwi_optim_columns(&sgd), 2);
    fwi_optim_row(&sgd, 5, row);
    assert_true(fabs(row[0] - 0.2) < 1e-15 && row[1] == 0.25);
    const fwi_optim adam = {.rest =
                                fw_adam(fw_constant_lr(0.1), &(fw_adam_opt){.weight_decay = 0.5})};
    assert_int_equal(fwi_optim_columns(&adam), 5);
    fwi_optim_row(&adam, 0, row);
    assert_true(row[0] == 0.1 && row[1] == 0.5 && row[4] == 0);
    assert_true(fabs(row[2] - 0.1) < 1e-15 && fabs(row[3] - 0.001) < 1e-15);
    fwi_optim_row(&adam, 2, row);
    assert_true(fabs(row[2] - (1 - 0.9 * 0.9 * 0.9)) < 1e-15);
    fwi_optim muon = {.rest =
                          fw_muon(fw_constant_lr(0.1), 0.6, &(fw_muon_opt){.weight_decay = 0.5})};
    assert_int_equal(fwi_optim_columns(&muon), 5);
    fwi_optim_row(&muon, 0, row);
    assert_true(row[0] == 0.1 && row[1] == 0.5 && row[2] == 1);
    assert_true(row[3] == 1 && row[4] == 1e-7);
    muon.rest.muon.renorm = FW_RENORM_NONE;
    fwi_optim_row(&muon, 0, row);
    assert_true(row[2] == 0);
    const fwi_optim lars = {
        .rest = fw_lars(fw_linear_decay_lr(2, 4), 0.9, &(fw_lars_opt){.weight_decay = 0.5})};
    assert_int_equal(fwi_optim_columns(&lars), 2);
    fwi_optim_row(&lars, 1, row);
    assert_true(row[0] == 1.5 && row[1] == 0.5);
}

/* hiverge's rule over its 243 steps, and E1's over 284, whose T is 272. */
static void muon_brings_weights_to_their_norm_less_and_less_often(void **state)
{
    (void)state;
    static const int t243[] = {2,   4,   6,   8,   10,  12,  14,  16,  19,  22,  25, 28, 31,
                               35,  39,  43,  47,  52,  57,  62,  68,  74,  80,  87, 94, 102,
                               110, 119, 128, 138, 149, 160, 172, 185, 199, 214, 230};
    static const int t272[] = {2,   4,   6,   8,   10,  12,  14,  16,  18,  21,  24,
                               27,  30,  33,  36,  40,  44,  48,  52,  57,  62,  67,
                               72,  78,  84,  90,  97,  104, 112, 120, 129, 138, 148,
                               158, 169, 180, 192, 205, 219, 233, 248, 264, 281};
    const struct {
        const int *at;
        int n, total, steps;
    } cases[] = {{t243, 37, 243, 243}, {t272, 43, 272, 284}, {NULL, 40, 260, 264}};
    assert_int_equal(sizeof t243 / sizeof *t243, 37);
    assert_int_equal(sizeof t272 / sizeof *t272, 43);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const fw_muon_opt opt = {.renorm = FW_RENORM_SPACED, .total_steps = cases[c].total};
        const fwi_optim o = {.rest = fw_muon(fw_constant_lr(1), 0.6, &opt)};
        double row[8];
        int n = 0;
        for (int step = 0; step < cases[c].steps; step++) {
            fwi_optim_row(&o, step, row);
            if (row[2] != 0 && cases[c].at != NULL)
                assert_int_equal(step + 1, cases[c].at[n]);
            n += row[2] != 0;
        }
        assert_int_equal(n, cases[c].n);
    }
}

/* Where updates are made in every fourth step alone, what counts updates counts those; rates follow steps. */
static void updates_are_counted(void **state)
{
    (void)state;
    const fw_schedule lr = fw_linear_decay_lr(1, 100);
    fwi_optim adam = {.rest = fw_adam(lr, NULL), .every = 4}, each = {.rest = fw_adam(lr, NULL)};
    const fw_muon_opt spaced = {
        .renorm = FW_RENORM_SPACED, .renorm_gap = 2, .renorm_growth = 15, .total_steps = 4 * 243};
    fw_muon_opt plain = spaced;
    plain.total_steps = 243;
    const fwi_optim muon = {.rest = fw_muon(lr, 0.6, &spaced), .every = 4},
                    muon_each = {.rest = fw_muon(lr, 0.6, &plain)};
    for (int update = 0; update < 25; update++) {
        double a[8], b[8];
        fwi_optim_row(&adam, 4 * update, a);
        fwi_optim_row(&each, update, b);
        assert_true(a[2] == b[2] && a[3] == b[3]);
        assert_true(a[0] == fw_schedule_at(&lr, 4 * update));
        fwi_optim_row(&muon, 4 * update, a);
        fwi_optim_row(&muon_each, update, b);
        assert_true(a[2] == b[2]);
    }
}

/* The same as counting from step to step, whatever gap, growth and length. */
static void spaced_steps_are_counted(void **state)
{
    (void)state;
    static const struct {
        double gap, growth, total;
        int steps;
    } cases[] = {{2, 15, 243, 300},   {1, 0, 100, 150},   {1.5, 3.3, 97, 400},
                 {3, 250, 200, 500},  {7, 0.01, 50, 900}, {1, 1e-12, 1e9, 300},
                 {2, 4, 20000, 4000}, {1000, 1, 10, 3000}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const fw_muon_opt opt = {.renorm = FW_RENORM_SPACED,
                                 .renorm_gap = cases[c].gap,
                                 .renorm_growth = cases[c].growth,
                                 .total_steps = cases[c].total};
        const fwi_optim o = {.rest = fw_muon(fw_constant_lr(1), 0.6, &opt)};
        int last = 0;
        double row[8];
        for (int at = 1; at <= cases[c].steps; at++) {
            const bool due =
                at - last >= cases[c].gap + floor(cases[c].growth * at / cases[c].total);
            last = due ? at : last;
            fwi_optim_row(&o, at - 1, row);
            if ((row[2] != 0) != due)
                fail_msg("case %zu, step %d: %g", c, at, row[2]);
        }
    }
}

/* u / (p norm(u) + q) is u brought to the norm t, then to 1, each divisor with its 1e-5. */
static void muon_targets_are_two_divisions(void **state)
{
    (void)state;
    const fw_muon_opt opt = {.target = {0.5012, 0.0786}, .total_steps = 272};
    const fwi_optim o = {.rest = fw_muon(fw_constant_lr(1), 0.6, &opt)};
    static const struct {
        int step;
        double t;
    } cases[] = {{0, 0.5012 + (0.0786 - 0.5012) / 272},
                 {135, (0.5012 + 0.0786) / 2},
                 {271, 0.0786},
                 {283, 0.0786}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (double u = 1e-7; u < 1e4; u *= 10) {
            double row[8];
            fwi_optim_row(&o, cases[i].step, row);
            const double once = u * cases[i].t / (u + 1e-5), twice = once / (once + 1e-5);
            assert_true(fabs(u / (row[3] * u + row[4]) - twice) <= 1e-14 * twice);
        }
}

/* Each optimiser has columns of its own. */
static void groups_have_columns_of_their_own(void **state)
{
    (void)state;
    const fw_sgd_opt decay = {.weight_decay = 0.25};
    const fwi_optim o = {
        .rest = fw_sgd(fw_linear_decay_lr(1, 10), 0.9, NULL),
        .n_groups = 3,
        .group = {{.classes = FW_PARAM_CONV, .optimizer = fw_muon(fw_constant_lr(0.5), 0.6, NULL)},
                  {.classes = FW_PARAM_BIAS,
                   .optimizer = fw_sgd(fw_linear_decay_lr(4, 4), 0.9, &decay),
                   .train_steps = 3},
                  {.classes = FW_PARAM_HEAD,
                   .optimizer = fw_adam(fw_constant_lr(0.125), NULL),
                   .train_steps = 1}}};
    double row[FWI_OPTIM_MAX_COLUMNS + 1];
    assert_int_equal(fwi_optim_columns(&o), 2 + 5 + 2 + 5);
    for (int64_t s = 0; s < 6; s++) {
        row[14] = 77; /* is not written */
        fwi_optim_row(&o, s, row);
        assert_true(fabs(row[0] - (1 - (double)s / 10)) < 1e-15 && row[1] == 0);
        assert_true(row[2] == 0.5 && row[3] == 0 && row[4] == 1);
        assert_true(row[7] == fmax(0, 4 - (double)s) && row[8] == 0.25);
        assert_true(row[9] == 0.125 && row[10] == 0);
        assert_true(row[14] == 77);
    }
    fwi_optim full = {.rest = fw_adam(fw_constant_lr(1), NULL), .n_groups = FW_MAX_GROUPS};
    for (int i = 0; i < FW_MAX_GROUPS; i++)
        full.group[i].optimizer = full.rest;
    full.average = (fw_average){.kind = FW_AVERAGE_EMA, .decay = 0.5};
    assert_int_equal(fwi_optim_columns(&full), FWI_OPTIM_MAX_COLUMNS);
}

static void assert_described(const fwi_optim *o, const char *want)
{
    char *text = NULL;
    assert_int_equal(fwi_optim_describe(o, &text), FW_OK);
    assert_string_equal(text, want);
    fwi_free(text);
}

static void the_description_tells_everything(void **state)
{
    (void)state;
    fwi_optim o = {.rest =
                       fw_sgd(fw_triangular_lr(0.4 / 512, 2328, 485), 0.9,
                              &(fw_sgd_opt){.weight_decay = 0.256, .nesterov = FW_NESTEROV_PAGE})};
    assert_described(&o,
                     "sgd momentum=0.9 nesterov=page weight_decay=0.256 clip_norm=0 lr=one_cycle "
                     "peak=0.00078125 steps=2328 warmup=485 decay=linear schedule_start=0");
    const double knots[] = {0, 2.5}, values[] = {0.1, 0};
    o.rest = fw_adam(fw_piecewise_lr(2, knots, values), NULL);
    assert_described(&o, "adam beta1=0.9 beta2=0.999 eps=1e-08 weight_decay=0 "
                         "decay_norm_and_bias=false clip_norm=0 lr=piecewise knot=0 value=0.1 "
                         "knot=2.5 value=0 schedule_start=0");
    o.rest = plain_sgd(0.5);
    o.n_groups = 2;
    o.group[0] = (fw_param_group){.classes = FW_PARAM_CONV | FW_PARAM_DENSE,
                                  .optimizer = fw_muon(fw_constant_lr(0.25), 0.6, NULL)};
    o.group[1] = (fw_param_group){
        .classes = FW_PARAM_WHITEN_BIAS, .optimizer = plain_sgd(2), .train_steps = 75};
    assert_described(&o, "sgd momentum=0 nesterov=pytorch weight_decay=0 clip_norm=0 lr=constant "
                         "base=0.5 schedule_start=0; group conv dense train_steps=0: muon "
                         "momentum=0.6 steps=3 a=3.4445 b=-4.775 c=2.0315 weight_decay=0 "
                         "renorm=every_step clip_norm=0 lr=constant base=0.25 schedule_start=0; "
                         "group whiten_bias train_steps=75: sgd momentum=0 nesterov=pytorch "
                         "weight_decay=0 clip_norm=0 lr=constant base=2 schedule_start=0");
    o.n_groups = 0;
    o.rest = fw_muon(fw_linear_decay_lr(0.25, 16), 0.5,
                     &(fw_muon_opt){.renorm = FW_RENORM_SPACED, .total_steps = 16});
    o.rest.lr.floor = 0.0625;
    o.rest.muon.target[0] = 0.5;
    o.rest.muon.target[1] = 0.0625;
    assert_described(&o, "muon momentum=0.5 steps=3 a=3.4445 b=-4.775 c=2.0315 weight_decay=0 "
                         "renorm=spaced gap=2 growth=15 target=0.5 to=0.0625 total_steps=16 "
                         "clip_norm=0 lr=one_cycle "
                         "peak=0.25 steps=16 warmup=0 decay=linear floor=0.0625 schedule_start=0");
    o.rest = fw_lars(fw_constant_lr(1), 0.5, NULL);
    o.average = (fw_average){
        .kind = FW_AVERAGE_LOOKAHEAD, .decay = 0.75, .power = 3, .every = 5, .steps = 476};
    assert_described(&o, "lars momentum=0.5 eps=0.01 weight_decay=0 clip_norm=0 lr=constant base=1 "
                         "schedule_start=0; average=lookahead decay=0.75 power=3 every=5 start=0 "
                         "epoch_steps=0 steps=476");
    char *text = NULL;
    o.n_groups = 2;
    o.group[1].classes = 0;
    assert_int_equal(fwi_optim_describe(&o, &text), FW_EARG);
    assert_null(text);
}

/* Three parameters of different classes, gradients given as inputs. */
static fwi_graph *begin(fwi_val params[3], fwi_val grads[3])
{
    static const char *const names[] = {"w", "gamma", "beta"};
    static const fwi_var_class classes[] = {FWI_VAR_CONV, FWI_VAR_BN_SCALE, FWI_VAR_BIAS};
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    for (int i = 0; i < 3; i++) {
        const fwi_shape s = fwi_shape2(3, i + 1);
        char grad[16] = "d_";
        params[i] = fwi_graph_var(g, names[i], classes[i], true, s, (fwi_init){0});
        grads[i] = fwi_graph_input(g, strcat(grad, names[i]), FW_F32, s);
    }
    return g;
}

static fwi_graph *append_all(const fwi_optim *o, fwi_val params[3], fwi_val grads[3])
{
    fwi_graph *const g = begin(params, grads);
    if (fwi_optim_append(o, g, params, grads, 3) != FW_OK)
        fail_msg("%s", fw_last_error());
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    return g;
}

static fwi_graph *append(fw_optimizer o, fwi_val params[3])
{
    fwi_val grads[3];
    return append_all(&(fwi_optim){.rest = o}, params, grads);
}

static int count_ops(const fwi_graph *g, fwi_opkind kind)
{
    int n = 0;
    for (int32_t i = 0; i < g->n_ops; i++)
        n += g->ops[i].kind == kind;
    return n;
}

static void slots_and_ops_are_appended(void **state)
{
    (void)state;
    fwi_val params[3];
    fwi_graph *g = append(
        fw_sgd(fw_constant_lr(1), 0.5, &(fw_sgd_opt){.nesterov = FW_MOMENTUM_PLAIN}), params);
    assert_int_equal(g->n_ops, 3);
    for (int i = 0; i < 3; i++) {
        const fwi_op *const op = &g->ops[i];
        assert_int_equal(op->kind, FWI_OP_sgd);
        assert_int_equal(op->attr.optim.form, FWI_SGD_PLAIN);
        assert_true(op->attr.optim.momentum == 0.5);
        assert_int_equal(op->in[0], params[i]);
        assert_int_equal(op->in[3], fwi_graph_find(g, "hyper"));
        const fwi_tensor *const slot = &g->tensors[op->in[1]];
        assert_int_equal(slot->var_class, FWI_VAR_SLOT);
        assert_false(slot->trainable);
        assert_true(slot->init.kind == FWI_INIT_CONST && slot->init.a == 0);
        assert_true(fwi_shape_equal(&slot->shape, &g->tensors[params[i]].shape));
    }
    assert_int_equal(g->ops[1].in[1], fwi_graph_find(g, "gamma/momentum"));
    fwi_graph_free(g);

    for (int all = 0; all < 2; all++) {
        g = append(fw_adam(fw_constant_lr(1),
                           &(fw_adam_opt){.weight_decay = 0.1, .decay_norm_and_bias = all == 1}),
                   params);
        double row[8];
        const fwi_optim adam = {
            .rest = fw_adam(fw_constant_lr(1), &(fw_adam_opt){.weight_decay = 0.1})};
        fwi_optim_row(&adam, 3, row);
        for (int i = 0; i < 3; i++) {
            const bool decays = i == 0 || all == 1;
            assert_true(row[g->ops[i].attr.optim.wd_col] == (decays ? 0.1 : 0));
        }
        assert_true(fwi_graph_find(g, "w/m") != FWI_NO_VAL);
        assert_true(fwi_graph_find(g, "beta/v") != FWI_NO_VAL);
        fwi_graph_free(g);
    }
}

static const fwi_op *producer(const fwi_graph *g, fwi_val v)
{
    assert_true(v != FWI_NO_VAL && g->tensors[v].producer >= 0);
    return &g->ops[g->tensors[v].producer];
}

static void clipping_is_by_one_norm_for_all(void **state)
{
    (void)state;
    fwi_val params[3], grads[3];
    const fwi_optim o = {.rest = fw_sgd(fw_constant_lr(1), 0.5, &(fw_sgd_opt){.clip_norm = 2.5})};
    fwi_graph *const g = append_all(&o, params, grads);
    assert_int_equal(count_ops(g, FWI_OP_sum_squares), 3);
    assert_int_equal(count_ops(g, FWI_OP_add), 0);
    assert_int_equal(count_ops(g, FWI_OP_clip_factor), 1);
    assert_int_equal(count_ops(g, FWI_OP_scale_by), 3);
    assert_int_equal(count_ops(g, FWI_OP_sgd), 3);
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (g->ops[i].kind != FWI_OP_sgd)
            continue;
        int k = 0; /* the parameter */
        while (params[k] != g->ops[i].in[0])
            assert_in_range(++k, 0, 2);
        const fwi_op *const clipped = producer(g, g->ops[i].in[2]);
        assert_int_equal(clipped->kind, FWI_OP_scale_by);
        assert_int_equal(clipped->in[0], grads[k]);
        const fwi_op *const factor = producer(g, clipped->in[1]);
        assert_int_equal(factor->kind, FWI_OP_clip_factor);
        assert_true(factor->attr.scalar.value == 2.5);
        /* the squares of every gradient, one sum after the other, from 0 */
        bool seen[3] = {false};
        const fwi_op *sum = producer(g, factor->in[0]);
        for (; sum->kind == FWI_OP_sum_squares; sum = producer(g, sum->in[1]))
            for (int j = 0; j < 3; j++)
                seen[j] = seen[j] || sum->in[0] == grads[j];
        assert_true(seen[0] && seen[1] && seen[2]);
        assert_int_equal(sum->kind, FWI_OP_fill);
        assert_true(sum->attr.fill.value == 0);
    }
    fwi_graph_free(g);
}

/* Every parameter reads the columns of its group: the first that has its class. */
static void groups_take_their_parameters(void **state)
{
    (void)state;
    fwi_optim o = {.rest = fw_sgd(fw_constant_lr(1), 0.9, &(fw_sgd_opt){.clip_norm = 3}),
                   .n_groups = 2,
                   .group = {{.classes = FW_PARAM_CONV | FW_PARAM_DENSE,
                              .optimizer = fw_muon(fw_constant_lr(2), 0.6, NULL)},
                             {.classes = FW_PARAM_CONV | FW_PARAM_BIAS,
                              .optimizer = fw_adam(fw_constant_lr(3), NULL)}}};
    fwi_val params[3], grads[3];
    double row[FWI_OPTIM_MAX_COLUMNS];
    fwi_graph *g = append_all(&o, params, grads);
    fwi_optim_row(&o, 0, row);
    /* only gamma is left to the clipped one: its own norm, not that of all */
    assert_int_equal(count_ops(g, FWI_OP_sum_squares), 1);
    assert_int_equal(count_ops(g, FWI_OP_scale_by), 1);
    int seen = 0;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const fwi_op *const op = &g->ops[i];
        if (op->kind == FWI_OP_muon) {
            assert_int_equal(op->in[0], params[0]);
            assert_true(row[op->attr.muon.lr_col] == 2 && row[op->attr.muon.rn_col] == 1);
            assert_true(op->attr.muon.momentum == 0.6 && op->attr.muon.steps == 3);
            assert_string_equal(g->tensors[op->in[1]].name, "w/momentum");
        } else if (op->kind == FWI_OP_sgd) {
            assert_int_equal(op->in[0], params[1]);
            assert_true(row[op->attr.optim.lr_col] == 1);
        } else if (op->kind == FWI_OP_adam) {
            assert_int_equal(op->in[0], params[2]);
            assert_true(row[op->attr.optim.lr_col] == 3);
            assert_true(fabs(row[op->attr.optim.bc_col] - 0.1) < 1e-15);
        } else {
            continue;
        }
        seen++;
    }
    assert_int_equal(seen, 3);
    fwi_graph_free(g);

    o.group[1].classes = FW_PARAM_CONV; /* all taken by the first */
    g = begin(params, grads);
    assert_int_equal(fwi_optim_append(&o, g, params, grads, 3), FW_EARG);
    assert_non_null(strstr(fw_last_error(), "parameter group 2 has no parameter"));
    assert_int_equal(g->n_ops, 0);
    fwi_graph_free(g);
}

/* A group whose training is over gets no gradients: no ops, no slots, no part in a norm. */
static void a_group_can_be_over(void **state)
{
    (void)state;
    const fw_sgd_opt clip = {.clip_norm = 1};
    const fwi_optim o = {.rest = fw_sgd(fw_constant_lr(1), 0.9, &clip),
                         .n_groups = 2,
                         .group = {{.classes = FW_PARAM_CONV | FW_PARAM_BN_SCALE,
                                    .optimizer = fw_sgd(fw_constant_lr(1), 0.9, &clip),
                                    .train_steps = 3},
                                   {.classes = FW_PARAM_BIAS, .optimizer = plain_sgd(1)}}};
    assert_int_equal(fwi_optim_over(&o, 2), 0);
    assert_int_equal(fwi_optim_over(&o, 3), 1);
    assert_int_equal(fwi_optim_over(&o, INT64_MAX), 1);
    assert_true(fwi_optim_among(&o, 1, FWI_VAR_CONV) && fwi_optim_among(&o, 1, FWI_VAR_BN_SCALE));
    assert_true(fwi_optim_among(&o, 2, FWI_VAR_BIAS));
    assert_false(fwi_optim_among(&o, 1, FWI_VAR_BIAS) || fwi_optim_among(&o, 3, FWI_VAR_HEAD));

    fwi_val params[3], grads[3];
    fwi_graph *g = begin(params, grads);
    grads[0] = FWI_NO_VAL;
    assert_int_equal(fwi_optim_append(&o, g, params, grads, 3), FW_OK);
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    assert_int_equal(count_ops(g, FWI_OP_sgd), 2);
    assert_int_equal(count_ops(g, FWI_OP_sum_squares), 1);
    assert_true(fwi_graph_find(g, "w/momentum") == FWI_NO_VAL);
    assert_true(fwi_graph_find(g, "gamma/momentum") != FWI_NO_VAL);
    fwi_graph_free(g);

    g = begin(params, grads);
    grads[0] = grads[1] = grads[2] = FWI_NO_VAL; /* all: the step only moves running statistics */
    assert_int_equal(fwi_optim_append(&o, g, params, grads, 3), FW_OK);
    assert_int_equal(g->n_ops, 0);
    fwi_graph_free(g);
}

static void muon_is_for_matrices(void **state)
{
    (void)state;
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    const fwi_shape s = fwi_shape1(5);
    const fwi_val w = fwi_graph_var(g, "3.bn.beta", FWI_VAR_BIAS, true, s, (fwi_init){0});
    const fwi_val grad = fwi_graph_input(g, "grad", FW_F32, s);
    const fwi_optim o = {.rest = fw_muon(fw_constant_lr(1), 0.6, NULL)};
    assert_int_equal(fwi_optim_append(&o, g, &w, &grad, 1), FW_EARG);
    assert_non_null(strstr(fw_last_error(), "muon: 3.bn.beta has 1 dimension: Muon is for"));
    fwi_graph_free(g);
}

static void lars_is_for_filters(void **state)
{
    (void)state;
    const struct {
        fwi_shape shape;
        const char *message; /* NULL: fine */
    } cases[] = {{fwi_shape4(4, 3, 3, 2), NULL},
                 {fwi_shape2(10, 64), "lars: w has 2 dimensions: LARS is for convolution filters"},
                 {fwi_shape1(7), "lars: w has 1 dimension: LARS is for convolution filters"}};
    const fwi_optim o = {.rest = fw_lars(fw_constant_lr(1), 0.9, NULL)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fwi_graph *g = NULL;
        assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
        const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_CONV, true, cases[i].shape, (fwi_init){0});
        const fwi_val grad = fwi_graph_input(g, "grad", FW_F32, cases[i].shape);
        const fw_status st = fwi_optim_append(&o, g, &w, &grad, 1);
        assert_int_equal(st, cases[i].message == NULL ? FW_OK : FW_EARG);
        if (st == FW_OK) {
            assert_int_equal(count_ops(g, FWI_OP_lars), 1);
            assert_true(g->ops[0].attr.optim.eps == 0.01 && g->ops[0].attr.optim.momentum == 0.9);
            assert_true(fwi_graph_find(g, "w/momentum") != FWI_NO_VAL);
        } else {
            assert_non_null(strstr(fw_last_error(), cases[i].message));
            assert_non_null(strstr(fw_last_error(), "give the others a group of their own"));
        }
        fwi_graph_free(g);
    }
}

static void nothing_to_train_is_refused(void **state)
{
    (void)state;
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    const fwi_optim o = {.rest = plain_sgd(1)};
    assert_int_equal(fwi_optim_append(&o, g, NULL, NULL, 0), FW_EARG);
    assert_non_null(strstr(fw_last_error(), "nothing to train"));
    fwi_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(groups_are_checked),
        cmocka_unit_test(the_row_of_a_step),
        cmocka_unit_test(muon_brings_weights_to_their_norm_less_and_less_often),
        cmocka_unit_test(updates_are_counted),
        cmocka_unit_test(spaced_steps_are_counted),
        cmocka_unit_test(muon_targets_are_two_divisions),
        cmocka_unit_test(groups_have_columns_of_their_own),
        cmocka_unit_test(the_description_tells_everything),
        cmocka_unit_test(slots_and_ops_are_appended),
        cmocka_unit_test(clipping_is_by_one_norm_for_all),
        cmocka_unit_test(groups_take_their_parameters),
        cmocka_unit_test(a_group_can_be_over),
        cmocka_unit_test(muon_is_for_matrices),
        cmocka_unit_test(lars_is_for_filters),
        cmocka_unit_test(nothing_to_train_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
