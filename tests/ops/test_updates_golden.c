/* test_updates_golden.c: ten steps of updates that PyTorch has no optimiser for, against their published
 * formulas in NumPy: LARS, hiverge's Muon, and the averages of David Page, airbench94 and E1, through
 * fwi_optim_append, a store and a plan. Golden values and formulas: tests/golden/updates.json, by
 * scripts/golden/updates_golden.py. PyTorch's own: test_optim_golden.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends.h"
#include "optim_inner.h"
#include "rng.h"
#include "worse.h"

enum { STEPS = 10, N = 72 };

static void require(fw_status st)
{
    if (st != FW_OK)
        fail_msg("%s: %s", fw_status_name(st), fw_last_error());
}

static double number(const json_t *object, const char *key)
{
    const json_t *const v = json_object_get(object, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

/* The golden file's formula: scale f32(2 sqrt(3) (unit - 0.5)) of seed 9. */
static void draw(uint32_t pass, double scale, fw_dtype real, void *out)
{
    for (int i = 0; i < N; i++) {
        uint32_t w[4];
        fwi_rng_block(9, FWI_RNG_TEST, pass, (uint64_t)i / 4, 0, w);
        const double v = scale * (double)(float)(2 * sqrt(3) * (fwi_unit(w[i % 4]) - 0.5));
        if (real == FW_F64)
            ((double *)out)[i] = v;
        else
            ((float *)out)[i] = (float)v;
    }
}

static fw_average make_average(const char *name)
{
    if (strcmp(name, "page_ema") == 0)
        return (fw_average){
            .kind = FW_AVERAGE_EMA, .decay = pow(0.99, 5), .every = 5, .epoch_steps = 7};
    if (strcmp(name, "airbench94") == 0)
        return (fw_average){.kind = FW_AVERAGE_LOOKAHEAD,
                            .decay = pow(0.95, 5),
                            .power = 3,
                            .every = 3,
                            .steps = STEPS};
    if (strcmp(name, "e1") == 0)
        return (fw_average){
            .kind = FW_AVERAGE_LOOKAHEAD, .decay = 0.7, .every = 2, .start = 4, .steps = STEPS};
    return (fw_average){0};
}

static fwi_optim make(const json_t *c)
{
    double knots[STEPS], rates[STEPS];
    for (size_t s = 0; s < STEPS; s++) {
        knots[s] = (double)s;
        rates[s] = json_number_value(json_array_get(json_object_get(c, "rate"), s));
    }
    const fw_schedule lr = fw_piecewise_lr(STEPS, knots, rates);
    const double momentum = number(c, "momentum"), decay = number(c, "weight_decay");
    const char *const kind = json_string_value(json_object_get(c, "optimizer"));
    fwi_optim o = {.average = make_average(json_string_value(json_object_get(c, "name")))};
    if (strcmp(kind, "lars") == 0)
        o.rest = fw_lars(lr, momentum, &(fw_lars_opt){.weight_decay = decay});
    else if (strcmp(kind, "sgd") == 0)
        o.rest = fw_sgd(lr, momentum, &(fw_sgd_opt){.weight_decay = decay});
    else
        o.rest = fw_muon(lr, momentum,
                         &(fw_muon_opt){.a = 3.4576,
                                        .b = -4.7391,
                                        .c = 2.0843,
                                        .weight_decay = decay,
                                        .renorm = FW_RENORM_SPACED,
                                        .target = {0.5012, 0.0786},
                                        .total_steps = number(c, "total_steps")});
    return o;
}

/* Distance of a variable from the golden list after step k, if there is one; its norm too. */
static double distance(const fwi_store *s, const char *name, const json_t *lists, int k,
                       int *compared, double *norm)
{
    double raw[N], off = 0, sum = 0;
    char key[8];
    const fwi_var *const v = fwi_store_find(s, name);
    assert_non_null(v);
    require(fwi_store_read(s, v, raw));
    snprintf(key, sizeof key, "%d", k);
    const json_t *const want = json_object_get(lists, key);
    for (int i = 0; i < N; i++) {
        const double is = v->dtype == FW_F64 ? raw[i] : (double)((float *)raw)[i];
        sum += is * is;
        if (want != NULL)
            off += pow(is - json_number_value(json_array_get(want, (size_t)i)), 2);
    }
    *compared += want != NULL;
    *norm = sqrt(sum);
    return sqrt(off);
}

static void check(const json_t *c, fw_dtype real, double bound)
{
    fwi_device *d = NULL;
    fwi_graph *g = NULL;
    fwi_store *store = NULL;
    fwi_plan *plan = NULL;
    void *scratch = NULL;
    double raw[N], row[FWI_OPTIM_MAX_COLUMNS], worst = 0, norm = 0;
    int compared = 0;
    const fwi_shape s = fwi_shape4(4, 3, 3, 2);
    const fwi_optim o = make(c);
    const json_t *const averages = json_object_get(c, "average");
    require(fwi_device_open(&d, "cpu", &(fwi_device_opt){.threads = 1}));
    require(fwi_graph_new(&g, real));
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_CONV, true, s, (fwi_init){0});
    const fwi_val grad = fwi_graph_input(g, "grad", real, s);
    require(fwi_optim_append(&o, g, &w, &grad, 1));
    require(fwi_store_new(&store, d, (const fwi_graph *const *)&g, 1));
    require(fwi_store_init(store, 1));
    require(fwi_plan_new(&plan, d, store, g));
    require(d->backend->alloc(d, fwi_plan_scratch_bytes(plan), &scratch));
    draw(399, 1, real, raw);
    require(fwi_store_write(store, fwi_store_find(store, "w"), raw));
    require(fwi_store_init_copies(store));
    for (int step = 0; step < STEPS; step++) {
        const double want =
            json_number_value(json_array_get(json_object_get(c, "norm"), (size_t)step));
        draw((uint32_t)(400 + step), number(c, "scale"), real, raw);
        fwi_optim_row(&o, step, row);
        fwi_binding bind = {.scratch = scratch};
        bind.inputs[fwi_plan_input(plan, "grad")] = raw;
        bind.inputs[fwi_plan_input(plan, "hyper")] = row;
        require(fwi_plan_run(plan, &bind));
        worst = t_worse(
            worst,
            distance(store, "w", json_object_get(c, "after"), step + 1, &compared, &norm) / want);
        worst = t_worse(worst, fabs(norm - want) / want);
        if (averages != NULL)
            worst = t_worse(
                worst, distance(store, "w/average", averages, step + 1, &compared, &norm) / want);
    }
    assert_int_equal(compared, averages == NULL ? 3 : 6);
    printf("%-20s %s error %.2e, bound %.0e\n", json_string_value(json_object_get(c, "name")),
           fw_dtype_name(real), worst, bound);
    assert_true(worst <= bound);
    d->backend->release(d, scratch, fwi_plan_scratch_bytes(plan));
    fwi_plan_free(plan);
    fwi_store_free(store);
    fwi_graph_free(g);
    fwi_device_close(d);
}

/* Double: a few roundings per step of the vector's norm. Float: Muon's matrices as in test_muon.c, the
 * others 1e-6 as in test_optim_golden.c. */
static void every_update_is_as_published(void **state)
{
    (void)state;
    json_error_t e;
    json_t *const golden = json_load_file(FW_SOURCE_DIR "/tests/golden/updates.json", 0, &e);
    if (golden == NULL)
        fail_msg("updates.json: %s", e.text);
    const json_t *const cases = json_object_get(golden, "cases");
    assert_int_equal(json_array_size(cases), 7);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *const c = json_array_get(cases, i);
        const bool muon = strcmp(json_string_value(json_object_get(c, "optimizer")), "muon") == 0;
        check(c, FW_F64, 1e-12);
        check(c, FW_F32, muon ? 1e-5 : 1e-6);
    }
    json_decref(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_update_is_as_published)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
