/* test_optim_golden.c: ten steps of every optimiser against PyTorch, through fwi_optim_append, the
 * reference kernels and a plan: so columns, slots, forms and bias correction are held together.
 * Golden values and how they were made: tests/golden/optim.json. Double: 1e-12 of the vector's
 * norm (a few roundings per step); float: 1e-6 per step. Clipping is held to the norm it promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "optim_inner.h"
#include "rng.h"
#include "worse.h"

enum { N = 37, STEPS = 10 };

static json_t *golden;

static int load(void **state)
{
    (void)state;
    json_error_t e;
    golden = json_load_file(FW_SOURCE_DIR "/tests/golden/optim.json", 0, &e);
    if (golden == NULL)
        fprintf(stderr, "optim.json: %s\n", e.text);
    return golden == NULL;
}

static int unload(void **state)
{
    (void)state;
    json_decref(golden);
    return 0;
}

static void require(fw_status st)
{
    if (st != FW_OK)
        fail_msg("%s: %s", fw_status_name(st), fw_last_error());
}

/* The golden file's formula: f32(2 sqrt(3) (unit - 0.5)) of seed 3. */
static void draw(uint32_t pass, double out[N])
{
    for (int i = 0; i < N; i++) {
        uint32_t w[4];
        fwi_rng_block(3, FWI_RNG_TEST, pass, (uint64_t)i / 4, 0, w);
        out[i] = (double)(float)(2 * sqrt(3) * (fwi_unit(w[i % 4]) - 0.5));
    }
}

static double number(const json_t *object, const char *key)
{
    const json_t *const v = json_object_get(object, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

/* One parameter "w" whose gradient is an input. */
typedef struct bench {
    fwi_device *device;
    fwi_store *store;
    fwi_plan *plan;
    void *scratch;
    const fwi_var *w;
    fw_dtype real;
} bench;

static void put(const bench *b, const double *v, void *raw)
{
    for (int i = 0; i < N; i++)
        if (b->real == FW_F64)
            ((double *)raw)[i] = v[i];
        else
            ((float *)raw)[i] = (float)v[i];
}

static void open_bench(bench *b, fw_dtype real, const fwi_optim *o)
{
    fwi_graph *g = NULL;
    *b = (bench){.real = real};
    require(fwi_device_open(&b->device, "cpu", &(fwi_device_opt){.threads = 1}));
    require(fwi_graph_new(&g, real));
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_CONV, true, fwi_shape1(N),
                                    (fwi_init){.kind = FWI_INIT_CONST});
    const fwi_val grad = fwi_graph_input(g, "grad", real, fwi_shape1(N));
    require(fwi_optim_append(o, g, &w, &grad, 1));
    require(fwi_store_new(&b->store, b->device, (const fwi_graph *const *)&g, 1));
    require(fwi_store_init(b->store, 1));
    require(fwi_plan_new(&b->plan, b->device, b->store, g));
    require(b->device->backend->alloc(b->device, fwi_plan_scratch_bytes(b->plan), &b->scratch));
    b->w = fwi_store_find(b->store, "w");
    assert_non_null(b->w);
    double start[N], raw[N];
    draw(199, start);
    put(b, start, raw);
    require(fwi_store_write(b->store, b->w, raw));
    fwi_graph_free(g);
}

static void close_bench(bench *b)
{
    b->device->backend->release(b->device, b->scratch, fwi_plan_scratch_bytes(b->plan));
    fwi_plan_free(b->plan);
    fwi_store_free(b->store);
    fwi_device_close(b->device);
}

static void read_w(const bench *b, double out[N])
{
    double raw[N];
    require(fwi_store_read(b->store, b->w, raw));
    for (int i = 0; i < N; i++)
        out[i] = b->real == FW_F64 ? raw[i] : (double)((float *)raw)[i];
}

static void step(const bench *b, const double *row, const double grad[N])
{
    double raw[N];
    put(b, grad, raw);
    fwi_binding bind = {.scratch = b->scratch};
    bind.inputs[fwi_plan_input(b->plan, "grad")] = raw;
    bind.inputs[fwi_plan_input(b->plan, "hyper")] = row;
    require(fwi_plan_run(b->plan, &bind));
}

static double norm(const double v[N])
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

static fw_optimizer make(const json_t *c)
{
    /* The rates of the case as a schedule: knots 0..9, or the constant that they all are. */
    double knots[STEPS], rates[STEPS];
    const json_t *const list = json_object_get(c, "rate");
    assert_int_equal(json_array_size(list), STEPS);
    for (size_t s = 0; s < STEPS; s++) {
        knots[s] = (double)s;
        rates[s] = json_number_value(json_array_get(list, s));
    }
    const fw_schedule lr = fw_piecewise_lr(STEPS, knots, rates);
    if (strcmp(json_string_value(json_object_get(c, "optimizer")), "adam") == 0)
        return fw_adam(lr, &(fw_adam_opt){.beta1 = number(c, "beta1"),
                                          .beta2 = number(c, "beta2"),
                                          .eps = number(c, "epsilon"),
                                          .weight_decay = number(c, "weight_decay")});
    const char *const form = json_string_value(json_object_get(c, "form"));
    return fw_sgd(lr, number(c, "momentum"),
                  &(fw_sgd_opt){.weight_decay = number(c, "weight_decay"),
                                .nesterov = strcmp(form, "page") == 0    ? FW_NESTEROV_PAGE
                                            : strcmp(form, "plain") == 0 ? FW_MOMENTUM_PLAIN
                                                                         : FW_NESTEROV_PYTORCH});
}

static void check_case(const json_t *c, fw_dtype real)
{
    const fwi_optim o = {.rest = make(c)};
    const char *const name = json_string_value(json_object_get(c, "name"));
    const double bound = real == FW_F64 ? 1e-12 : 1e-6;
    double worst = 0;
    int compared = 0;
    bench b;
    open_bench(&b, real, &o);
    for (int s = 0; s < STEPS; s++) {
        double row[8], grad[N], w[N], diff[N];
        char key[8];
        fwi_optim_row(&o, s, row);
        draw((uint32_t)(200 + s), grad);
        step(&b, row, grad);
        read_w(&b, w);
        const double want_norm =
            json_number_value(json_array_get(json_object_get(c, "norm"), (size_t)s));
        worst = t_worse(worst, fabs(norm(w) - want_norm) / want_norm);
        snprintf(key, sizeof key, "%d", s + 1);
        const json_t *const after = json_object_get(json_object_get(c, "after"), key);
        if (after == NULL)
            continue;
        assert_int_equal(json_array_size(after), N);
        for (size_t i = 0; i < N; i++)
            diff[i] = w[i] - json_number_value(json_array_get(after, i));
        worst = t_worse(worst, norm(diff) / want_norm);
        compared++;
    }
    assert_int_equal(compared, 3);
    printf("%-28s %s error %.2e, bound %.0e\n", name, fw_dtype_name(real), worst, bound);
    if (!(worst <= bound))
        fail_msg("%s is off by %g", name, worst);
    close_bench(&b);
}

static void every_optimiser_is_pytorchs(void **state)
{
    (void)state;
    double start[N];
    draw(199, start);
    for (size_t i = 0; i < 4; i++) /* the draws agree, or nothing below means anything */
        assert_true(start[i] ==
                    json_number_value(json_array_get(json_object_get(golden, "start_first"), i)));
    const json_t *const cases = json_object_get(golden, "cases");
    assert_true(json_array_size(cases) >= 6);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        check_case(json_array_get(cases, i), FW_F64);
        check_case(json_array_get(cases, i), FW_F32);
    }
}

/* Plain steps of rate 1 without momentum move w by the gradient itself. */
static void clipping_keeps_its_norm(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        double grad[N], before[N], after[N], row[8], moved[N];
        draw(200, grad);
        const double size = norm(grad), limit = i == 0 ? size / 4 : size * 4;
        const fwi_optim o = {.rest =
                                 fw_sgd(fw_constant_lr(1), 0, &(fw_sgd_opt){.clip_norm = limit})};
        bench b;
        open_bench(&b, FW_F64, &o);
        read_w(&b, before);
        fwi_optim_row(&o, 0, row);
        step(&b, row, grad);
        read_w(&b, after);
        for (int j = 0; j < N; j++) {
            moved[j] = before[j] - after[j];
            assert_true(fabs(moved[j] - grad[j] * (i == 0 ? 0.25 : 1)) < 1e-14);
        }
        assert_true(fabs(norm(moved) - (i == 0 ? limit : size)) < 1e-13);
        close_bench(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_optimiser_is_pytorchs),
        cmocka_unit_test(clipping_keeps_its_norm),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
