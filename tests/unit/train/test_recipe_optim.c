/* The numbers by which each published recipe updates its parameters, step by step, as the program
 * computes them from the recipe file: rates, decays and averages, held to the values that the sources
 * pass to their optimisers. Those are printed with six digits (docs/recipes.md has where they are from). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <optim_inner.h>
#include <recipe_inner.h>

enum { MOST = 2 };

/* Of one optimiser: its kind, momentum, and rate and decay at two steps. */
typedef struct numbers {
    fw_optimizer_kind kind;
    double momentum;
    struct {
        int64_t step;
        double rate, decay;
    } at[MOST];
    int64_t train_steps;
} numbers;

typedef struct fact {
    const char *name;
    numbers head; /* of all that is in no group */
    struct {
        uint32_t classes;
        numbers n;
    } group[3];
    int n_groups;
    struct {
        int64_t every, start; /* 0: there is none */
        double power, decay;  /* decay: where it is constant */
    } average;
} fact;

#define SGD  FW_SGD
#define MUON FW_MUON

/* Of summed losses (test_recipe_facts.c): the sources' rate and decay, not those of a mean. */
static const fact facts[] = {
    {"airbench94-muon",
     {SGD, 0.85, {{0, 0.67, 0.00597015}, {100, 0.335, 0.00597015}}, 0},
     {{FW_PARAM_CONV, {MUON, 0.6, {{0, 0.24, 0}, {150, 0.06, 0}}, 0}},
      {FW_PARAM_BIAS, {SGD, 0.85, {{0, 0.053, 0.0754717}, {100, 0.0265, 0.0754717}}, 0}},
      {FW_PARAM_WHITEN_BIAS, {SGD, 0.85, {{0, 0.053, 0.0754717}, {30, 0.0318, 0.0754717}}, 75}}},
     3,
     {0, 0, 0, 0}},
    {"airbench94",
     {SGD, 0.85, {{109, 1.46484e-3, 1.36237}, {0, 0.2 * 1.46484e-3, 1.36237}}, 0},
     {{FW_PARAM_BIAS, {SGD, 0.85, {{109, 0.09375, 0.021287}, {476, 0.07 * 0.09375, 0.021287}}, 0}},
      {FW_PARAM_WHITEN_BIAS,
       {SGD, 0.85, {{109, 1.46484e-3, 1.36237}, {0, 0.2 * 1.46484e-3, 1.36237}}, 144}}},
     2,
     {5, 0, 3, 0}},
    {"airbench95",
     {SGD, 0.85, {{165, 1.273777e-3, 1.56672}, {0, 0.2 * 1.273777e-3, 1.56672}}, 0},
     {{FW_PARAM_BIAS, {SGD, 0.85, {{165, 0.0815217, 0.02448}, {720, 0.0057065, 0.02448}}, 0}},
      {FW_PARAM_WHITEN_BIAS,
       {SGD, 0.85, {{165, 1.273777e-3, 1.56672}, {0, 0.2 * 1.273777e-3, 1.56672}}, 144}}},
     2,
     {5, 0, 3, 0}},
    {"airbench96-legacy",
     {SGD, 0.85, {{177, 1.146399e-3, 1.365333}, {1776, 0, 1.365333}}, 0},
     {{FW_PARAM_BIAS, {SGD, 0.85, {{177, 0.0733696, 0.0213333}, {1776, 0, 0.0213333}}, 0}},
      {FW_PARAM_WHITEN_BIAS,
       {SGD, 0.85, {{177, 1.146399e-3, 1.365333}, {1776, 0, 1.365333}}, 144}}},
     2,
     {5, 0, 3, 0}},
    {"airbench96",
     {SGD, 0.85, {{216, 1.146399e-3, 1.365333}, {0, 0.2 * 1.146399e-3, 1.365333}}, 0},
     {{FW_PARAM_BIAS, {SGD, 0.85, {{216, 0.0733696, 0.0213333}, {2160, 0, 0.0213333}}, 0}}},
     1,
     {5, 0, 3, 0}},
    {"hiverge",
     {SGD, 0.825, {{0, 0.5415, 0.00295514}, {81, 0.361, 0.00295514}}, 0},
     {{FW_PARAM_CONV, {MUON, 0.655, {{0, 0.205, 0.00160020}, {81, 0.13666667, 0.00160020}}, 0}},
      {FW_PARAM_BIAS, {SGD, 0.825, {{0, 0.0573, 0.0279268}, {81, 0.0382, 0.0279268}}, 0}},
      {FW_PARAM_WHITEN_BIAS,
       {SGD, 0.825, {{0, 0.0573, 0.0279268}, {6, 0.0573 / 7, 0.0279268}}, 7}}},
     3,
     {0, 0, 0, 0}},
    {"e1",
     {SGD, 0.825, {{136, 0.27075, 0.00295514}, {271, 0.027075, 0.00295514}}, 0},
     {{FW_PARAM_CONV, {MUON, 0.655, {{136, 0.11275, 0.00160020}, {283, 0.011275, 0.00160020}}, 0}},
      {FW_PARAM_BIAS, {SGD, 0.825, {{136, 0.02865, 0.0279268}, {283, 0.002865, 0.0279268}}, 0}},
      {FW_PARAM_WHITEN_BIAS,
       {SGD, 0.825, {{0, 0.0573, 0.0279268}, {6, 0.0573 / 7, 0.0279268}}, 7}}},
     3,
     {4, 264, 0, 0.7}},
    /* The source halves its summed loss: half of its 2.978516e-3 and 0.190625, and twice its decays. */
    {"hlb",
     {SGD, 0.85, {{581, 0.07 * 1.525 / 1024, 1.369498}, {0, 0, 1.369498}}, 0},
     {{FW_PARAM_BIAS, {SGD, 0.85, {{581, 0.00667188, 0.0213984}, {0, 0, 0.0213984}}, 0}}},
     1,
     {5, 96, 3, 0}},
    /* steps count from 1 */
    {"page-8.6",
     {SGD, 0.9, {{1648, 0, 0.256}, {0, 0.6 / 512 / 329.8, 0.256}}, 0},
     {{FW_PARAM_BIAS, {SGD, 0.9, {{1648, 0, 0.004}, {0, 0.6 / 8 / 329.8, 0.004}}, 0}}},
     1,
     {0, 0, 0, 0}},
};

static bool agrees(double got, double want)
{
    return fabs(got - want) <= 5e-6 * fabs(want) + 1e-15;
}

/* Of one optimiser whose columns of the row begin at `first`. */
static void holds(const char *name, const char *what, const fwi_optim *o, const fw_optimizer *got,
                  const numbers *want, int first)
{
    double row[FWI_OPTIM_MAX_COLUMNS];
    if (got->kind != want->kind || got->momentum != want->momentum)
        fail_msg("%s, %s: kind %d, momentum %.15g", name, what, (int)got->kind, got->momentum);
    for (int i = 0; i < MOST; i++) {
        fwi_optim_row(o, want->at[i].step, row);
        if (!agrees(row[first], want->at[i].rate) || !agrees(row[first + 1], want->at[i].decay))
            fail_msg("%s, %s, step %lld: rate %.9g, decay %.9g; expected %.9g and %.9g", name, what,
                     (long long)want->at[i].step, row[first], row[first + 1], want->at[i].rate,
                     want->at[i].decay);
    }
}

static int columns_of(const fw_optimizer *opt)
{
    return fwi_optim_columns(&(fwi_optim){.rest = *opt});
}

static void read_all(const char *name, fwi_optim *o)
{
    fw_recipe *r = NULL;
    fw_schedule lr;
    int64_t steps = 0;
    if (fw_recipe_open(&r, name) != FW_OK || fw_recipe_schedule(r, 50000, &lr, &steps) != FW_OK)
        fail_msg("%s: %s", name, fw_last_error());
    const int64_t per_epoch = 50000 / fwi_recipe_int(r, FWI_KEY_TRAIN_BATCH);
    assert_int_equal(fwi_recipe_optim(r, steps, per_epoch, o), FW_OK);
    assert_int_equal(fwi_recipe_average(r, steps, per_epoch, &o->average), FW_OK);
    fw_recipe_free(r);
}

static void every_group_has_its_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const fact *const f = &facts[i];
        fwi_optim o;
        read_all(f->name, &o);
        holds(f->name, "what is in no group", &o, &o.rest, &f->head, 0);
        int first = columns_of(&o.rest);
        if (o.n_groups != f->n_groups)
            fail_msg("%s: %d groups", f->name, (int)o.n_groups);
        for (int k = 0; k < f->n_groups; k++) {
            char what[32];
            snprintf(what, sizeof what, "group %d", k + 1);
            if (o.group[k].classes != f->group[k].classes ||
                o.group[k].train_steps != f->group[k].n.train_steps)
                fail_msg("%s, %s: classes %u, trained %lld steps", f->name, what,
                         o.group[k].classes, (long long)o.group[k].train_steps);
            holds(f->name, what, &o, &o.group[k].optimizer, &f->group[k].n, first);
            first += columns_of(&o.group[k].optimizer);
        }
    }
}

/* Which steps average, and with which decay: 0.95^5 (s/T)^3, or E1's 0.7. */
static void every_average_has_its_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const fact *const f = &facts[i];
        fwi_optim o;
        read_all(f->name, &o);
        assert_int_equal(o.average.kind,
                         f->average.every == 0 ? FW_AVERAGE_NONE : FW_AVERAGE_LOOKAHEAD);
        if (f->average.every == 0)
            continue;
        assert_int_equal(o.average.every, f->average.every);
        assert_int_equal(o.average.start, f->average.start);
        assert_true(o.average.power == f->average.power);
        const int64_t steps = o.average.steps, s = steps / 2 / 5 * 5;
        if (f->average.power == 0) {
            assert_true(agrees(o.average.decay, f->average.decay));
            continue;
        }
        const double share = (double)s / (double)steps;
        const double want = pow(0.95, 5) * share * share * share;
        if (!agrees(fw_average_at(&o.average, s), want))
            fail_msg("%s: decay %.9g after %lld of %lld steps, expected %.9g", f->name,
                     fw_average_at(&o.average, s), (long long)s, (long long)steps, want);
    }
}

/* Newton and Schulz as hiverge has them, in the recipes that use it. */
static void muon_as_hiverge_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double total;
    } uses[] = {{"hiverge", 243}, {"e1", 272}};
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        fwi_optim o;
        read_all(uses[i].name, &o);
        const fw_muon_opt *const m = &o.group[0].optimizer.muon;
        assert_true(m->a == 3.4576 && m->b == -4.7391 && m->c == 2.0843);
        assert_true(m->steps == 0 || m->steps == 3);
        assert_int_equal(m->renorm, FW_RENORM_SPACED);
        assert_true(m->target[0] == 0.5012 && m->target[1] == 0.0786);
        assert_true(m->total_steps == uses[i].total);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_group_has_its_numbers),
                                       cmocka_unit_test(every_average_has_its_numbers),
                                       cmocka_unit_test(muon_as_hiverge_has_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
