/* Averages of the weights: at which steps and with which decay the published recipes average, what is
 * appended to a graph, and what is refused. The op is held to its definition in tests/ops/test_optim.c,
 * whole runs in tests/runs/test_average.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <optim_inner.h>
#include <string.h>

/* The steps, as steps done, that average, up to `steps`. Returns how many. */
static int averaging(const fw_average *a, int64_t steps, int64_t at[512])
{
    int n = 0;
    for (int64_t s = 1; s <= steps; s++)
        if (fw_average_at(a, s) >= 0) {
            assert_true(n < 512);
            at[n++] = s;
        }
    return n;
}

/* David Page, 8.8: after batches 0, 5, ..., 95 of each epoch of 97, by 0.99^5. */
static void page(void **state)
{
    (void)state;
    const fw_average a = {
        .kind = FW_AVERAGE_EMA, .decay = pow(0.99, 5), .every = 5, .epoch_steps = 97};
    int64_t at[512];
    assert_true(fabs(a.decay - 0.95099) < 5e-6);
    assert_int_equal(averaging(&a, 10 * 97, at), 10 * 20);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(at[i], i / 20 * 97 + i % 20 * 5 + 1);
        assert_true(fw_average_at(&a, at[i]) == a.decay);
    }
    assert_true(fwi_average_evaluates(&a, 0) && fwi_average_evaluates(&a, 970));
}

/* airbench94: after steps 5, 10, ..., 475 of 476 by 0.95^5 (s/476)^3; the last step takes the average. */
static void airbench94(void **state)
{
    (void)state;
    const fw_average a = {
        .kind = FW_AVERAGE_LOOKAHEAD, .decay = pow(0.95, 5), .power = 3, .every = 5, .steps = 476};
    int64_t at[512];
    assert_int_equal(averaging(&a, 480, at), 97); /* 95, the last, and 480: behind the run */
    for (int i = 0; i < 95; i++) {
        const double s = (double)at[i] / 476;
        assert_int_equal(at[i], 5 * (i + 1));
        assert_true(fabs(fw_average_at(&a, at[i]) - 0.7737809375 * s * s * s) < 1e-15);
    }
    assert_true(fabs(fw_average_at(&a, 5) - 8.968e-7) < 1e-10);
    assert_true(fabs(fw_average_at(&a, 240) - 0.09918) < 1e-5);
    assert_true(fabs(fw_average_at(&a, 475) - 0.76891) < 1e-5);
    assert_int_equal(at[95], 476);
    assert_true(fw_average_at(&a, 476) == 1);
    assert_true(fw_average_at(&a, 480) == a.decay); /* does not grow any more */
    assert_false(fwi_average_evaluates(&a, 475));   /* the weights themselves */
    fw_average whole = a;                           /* airbench96: 2160 is a multiple of 5 */
    whole.steps = 2160;
    assert_true(fw_average_at(&whole, 2160) == a.decay);
}

/* E1 and E5: a copy 8 steps before the end of the decay, then every 4 steps by 0.7; hlb from epoch 2
 * of 12.1 on, every 5 steps of 581. */
static void starts(void **state)
{
    (void)state;
    static const struct {
        fw_average a;
        int n;
        int64_t at[6];
    } cases[] = {
        {{FW_AVERAGE_LOOKAHEAD, 0.7, 0, 4, 264, 0, 284}, 6, {264, 268, 272, 276, 280, 284}},
        {{FW_AVERAGE_LOOKAHEAD, 0.7, 0, 4, 252, 0, 264}, 4, {252, 256, 260, 264}},
        {{FW_AVERAGE_LOOKAHEAD, 0.7, 3, 5, 96, 0, 581}, 98, {100, 105, 110, 115, 120, 125}},
        {{FW_AVERAGE_EMA, 0.7, 0, 5, 95, 97, 194}, 21, {96, 98, 103, 108, 113, 118}},
        {{FW_AVERAGE_EMA, 0.7, 0, 5, 97, 97, 120}, 5, {98, 103, 108, 113, 118}},
        {{FW_AVERAGE_EMA, 0.7, 0, 0, 3, 0, 0}, 398, {3, 4, 5, 6, 7, 8}},
        {{FW_AVERAGE_EMA, 0.7, 0, (int64_t)1 << 60, (int64_t)1 << 60, 0, 0}, 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fw_average *const a = &cases[i].a;
        const int64_t steps = a->steps > 0 ? a->steps : 400;
        int64_t at[512];
        assert_int_equal(fwi_average_check_options(a), FW_OK);
        assert_int_equal(averaging(a, steps, at), cases[i].n);
        for (int k = 0; k < 6 && k < cases[i].n; k++) {
            assert_int_equal(at[k], cases[i].at[k]);
            const double s = a->power > 0 ? pow((double)at[k] / 581, 3) : 1;
            assert_true(fabs(fw_average_at(a, at[k]) - (k == 0 ? 0 : 0.7 * s)) < 1e-15);
        }
        if (a->kind == FW_AVERAGE_EMA &&
            cases[i].n > 0) { /* until the copy there is nothing to see */
            assert_false(fwi_average_evaluates(a, at[0] - 1));
            assert_true(fwi_average_evaluates(a, at[0]));
        }
    }
}

/* Of a step that averages 1 and the decay, of the others 0. */
static void the_row_of_a_step(void **state)
{
    (void)state;
    fwi_optim o = {.rest = fw_sgd(fw_constant_lr(0.5), 0, NULL)};
    assert_int_equal(fwi_optim_columns(&o), 2);
    o.average = (fw_average){.kind = FW_AVERAGE_EMA, .decay = 0.75, .every = 2};
    assert_int_equal(fwi_optim_columns(&o), 4);
    for (int64_t step = 0; step < 6; step++) {
        double row[5] = {9, 9, 9, 9, 9};
        fwi_optim_row(&o, step, row);
        assert_true(row[0] == 0.5 && row[1] == 0);
        assert_true(row[2] == (step % 2 == 1) && row[3] == (step % 2 == 1 ? 0.75 : 0));
        assert_true(row[4] == 9);
    }
}

/* Where steps may be undone, the copy is made in those before it too. */
static void copies_that_may_be_undone(void **state)
{
    (void)state;
    fwi_optim o = {.rest = fw_sgd(fw_constant_lr(0.5), 0, NULL), .follows = 3};
    o.average = (fw_average){
        .kind = FW_AVERAGE_LOOKAHEAD, .decay = 0.75, .every = 4, .start = 6, .steps = 40};
    for (int64_t step = 0; step < 14; step++) { /* the first averaging: after step 8 of 1, 2, ... */
        double row[4] = {9, 9, 9, 9};
        fwi_optim_row(&o, step, row);
        const bool copies = step >= 4 && step <= 7;
        assert_true(row[2] == (copies || step == 11));
        assert_true(row[3] == (step == 11 ? 0.75 : 0));
    }
    o.average.start = 0; /* nothing is copied, then: the average begins as the weights began */
    for (int64_t step = 0; step < 14; step++) {
        double row[4] = {9, 9, 9, 9};
        fwi_optim_row(&o, step, row);
        assert_true(row[2] == ((step + 1) % 4 == 0));
    }
}

static fwi_graph *graph(const fwi_optim *o, fwi_val params[2])
{
    fwi_graph *g = NULL;
    const fwi_shape s = fwi_shape1(3);
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    fwi_val grads[2];
    params[0] = fwi_graph_var(g, "w", FWI_VAR_CONV, true, s, (fwi_init){0});
    fwi_graph_var(g, "filter", FWI_VAR_WHITEN, false, s, (fwi_init){0});
    fwi_graph_var(g, "mean", FWI_VAR_STAT, false, s, (fwi_init){0});
    params[1] = fwi_graph_var(g, "beta", FWI_VAR_BIAS, true, s, (fwi_init){0});
    grads[0] = fwi_graph_input(g, "dw", FW_F32, s);
    grads[1] = fwi_graph_input(g, "dbeta", FW_F32, s);
    if (fwi_optim_append(o, g, params, grads, 2) != FW_OK)
        fail_msg("%s", fw_last_error());
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    return g;
}

/* What is trained, and statistics, behind the updates; not slots, and not what never changes. */
static void what_is_averaged(void **state)
{
    (void)state;
    static const char *const names[] = {"w", "mean", "beta"};
    for (int kind = FW_AVERAGE_EMA; kind <= FW_AVERAGE_LOOKAHEAD; kind++) {
        const fwi_optim o = {.rest = fw_sgd(fw_constant_lr(1), 0.9, NULL),
                             .average = {.kind = (fw_average_kind)kind, .decay = 0.5, .steps = 9}};
        fwi_val params[2];
        fwi_graph *const g = graph(&o, params);
        assert_int_equal(g->n_ops, 2 + 3);
        for (int i = 0; i < 3; i++) {
            const fwi_op *const op = &g->ops[2 + i];
            char name[32];
            assert_int_equal(op->kind, FWI_OP_average);
            assert_int_equal(op->attr.average.on_col, 2);
            assert_int_equal(op->attr.average.decay_col, 3);
            assert_int_equal(op->attr.average.copy_back, kind == FW_AVERAGE_LOOKAHEAD);
            assert_int_equal(op->in[1], fwi_graph_find(g, names[i]));
            const fwi_tensor *const t = &g->tensors[op->in[0]];
            strcat(strcpy(name, names[i]), "/average");
            assert_string_equal(t->name, name);
            assert_int_equal(t->var_class, FWI_VAR_AVERAGE);
            assert_int_equal(t->init.kind, FWI_INIT_COPY);
            assert_false(t->trainable);
        }
        fwi_graph_free(g);
    }
    const fwi_optim none = {.rest = fw_sgd(fw_constant_lr(1), 0.9, NULL)};
    fwi_val params[2];
    fwi_graph *const g = graph(&none, params);
    assert_int_equal(g->n_ops, 2);
    fwi_graph_free(g);
}

/* The pass that makes a graph evaluate averages: the same ops on other variables. */
static void a_graph_reads_averages(void **state)
{
    (void)state;
    fwi_graph *g = NULL;
    const fwi_shape s = fwi_shape1(3);
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, s);
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_CONV, true, s, (fwi_init){0});
    const fwi_val fixed = fwi_graph_var(g, "fixed", FWI_VAR_BN_SCALE, false, s, (fwi_init){0});
    const fwi_val sum = fwi_op2(g, FWI_OP_add, NULL, fwi_op2(g, FWI_OP_add, NULL, x, w), fixed);
    fwi_graph_output(g, "sum", sum);
    assert_int_equal(fwi_pass_averages(g), FW_OK);
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    assert_int_equal(g->ops[0].in[0], x);
    assert_int_equal(g->ops[0].in[1], fwi_graph_find(g, "w/average"));
    assert_int_equal(g->ops[1].in[1], fixed);
    assert_int_equal(fwi_graph_find(g, "fixed/average"), FWI_NO_VAL);
    fwi_graph_free(g);
}

static void names(void **state)
{
    (void)state;
    static const fwi_init copy = {.kind = FWI_INIT_COPY};
    assert_int_equal(fwi_average_of("a.b/average"), 3);
    assert_int_equal(fwi_average_of("/average"), 0);
    assert_int_equal(fwi_average_of("average"), 0);
    assert_int_equal(fwi_average_of("w/averages"), 0);
    const struct {
        const char *name;
        fwi_var_class cls;
        fwi_init init;
    } bad[] = {{"w/average", FWI_VAR_AVERAGE, {.kind = FWI_INIT_CONST}},
               {"w/average", FWI_VAR_SLOT, copy},
               {"w", FWI_VAR_AVERAGE, copy}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fwi_graph *g = NULL;
        assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
        fwi_graph_var(g, bad[i].name, bad[i].cls, false, fwi_shape1(3), bad[i].init);
        assert_int_equal(fwi_graph_status(g), FW_EARG);
        assert_non_null(strstr(fw_last_error(), "an average is called NAME/average and starts as"));
        fwi_graph_free(g);
    }
}

static void mistakes_are_refused(void **state)
{
    (void)state;
    const struct {
        fw_average a;
        const char *message;
    } cases[] = {
        {{.kind = (fw_average_kind)3}, "average of weights: there is no such kind"},
        {{.kind = FW_AVERAGE_EMA, .decay = 1.5}, "decay is not in 0 to 1"},
        {{.kind = FW_AVERAGE_EMA, .decay = (double)NAN}, "decay is not in 0 to 1"},
        {{.kind = FW_AVERAGE_EMA, .power = -1}, "power is negative"},
        {{.kind = FW_AVERAGE_EMA, .every = -1}, "is negative or over 2^60"},
        {{.kind = FW_AVERAGE_EMA, .start = -1}, "is negative or over 2^60"},
        {{.kind = FW_AVERAGE_EMA, .epoch_steps = INT64_MAX}, "is negative or over 2^60"},
        {{.kind = FW_AVERAGE_EMA, .power = 1}, "power needs steps"},
        {{.kind = FW_AVERAGE_LOOKAHEAD}, "lookahead needs steps"},
        {{.kind = FW_AVERAGE_EMA, .start = 10, .steps = 9}, "it starts after the last step"},
        {{.kind = FW_AVERAGE_LOOKAHEAD, .every = 5, .start = 8, .steps = 9},
         "its first averaging, which copies the weights, is behind the last step"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fwi_optim o = {.rest = fw_sgd(fw_constant_lr(1), 0, NULL), .average = cases[i].a};
        assert_int_equal(fwi_optim_check(&o), FW_EARG);
        if (strstr(fw_last_error(), cases[i].message) == NULL)
            fail_msg("said: %s\nexpected: %s", fw_last_error(), cases[i].message);
        assert_true(fw_average_at(&cases[i].a, 1) < 0);
    }
    assert_true(fw_average_at(NULL, 1) < 0);
    assert_true(fw_average_at(&(fw_average){.kind = FW_AVERAGE_EMA}, 0) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page),
        cmocka_unit_test(airbench94),
        cmocka_unit_test(starts),
        cmocka_unit_test(the_row_of_a_step),
        cmocka_unit_test(copies_that_may_be_undone),
        cmocka_unit_test(what_is_averaged),
        cmocka_unit_test(a_graph_reads_averages),
        cmocka_unit_test(names),
        cmocka_unit_test(mistakes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
