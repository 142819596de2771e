/* test_plan.c: plans on a fake device: addresses, bindings, outputs of every kind, messages, and
 * that running allocates nothing. */
#include "fake.h"

#include <stdio.h>

typedef struct fixture {
    fwi_graph *g;
    fwi_store *store;
    fwi_plan *plan;
    void *scratch;
    size_t scratch_bytes;
    fwi_binding bind;
} fixture;

static void compile(fixture *f)
{
    assert_int_equal(fwi_store_new(&f->store, fake_device(), (const fwi_graph *[]){f->g}, 1),
                     FW_OK);
    const fw_status st = fwi_plan_new(&f->plan, fake_device(), f->store, f->g);
    if (st != FW_OK)
        fail_msg("%s", fw_last_error());
    fwi_graph_free(f->g); /* the plan needs it no more */
    f->g = NULL;
    f->scratch_bytes = fwi_plan_scratch_bytes(f->plan);
    assert_true(fwi_plan_live_bytes(f->plan) <= f->scratch_bytes);
    assert_int_equal(fake_alloc(fake_device(), f->scratch_bytes, &f->scratch), FW_OK);
    memset(f->scratch, 0xFF, f->scratch_bytes); /* NaN */
    f->bind.scratch = f->scratch;
}

static void clear(fixture *f)
{
    fake_release(fake_device(), f->scratch, f->scratch_bytes);
    fwi_plan_free(f->plan);
    fwi_store_free(f->store);
    fwi_graph_free(f->g);
    assert_int_equal(fake_live, 0);
}

static void read_output(const fixture *f, const char *name, float *host, size_t n)
{
    const int i = fwi_plan_output(f->plan, name);
    assert_true(i >= 0);
    assert_int_equal(fwi_plan_read(f->plan, &f->bind, i, host, n * sizeof *host), FW_OK);
}

static fwi_val scaled(fwi_graph *g, double s, fwi_val x)
{
    return fwi_op1(g, FWI_OP_scale, &(fwi_attr){.scalar = {s}}, x);
}

static const fwi_init none = {FWI_INIT_CONST, 0, 0};

/* y = 2 a + 3 b + w, and on from there; unused input c. */
static void test_run(void **state)
{
    (void)state;
    fixture f = {.g = new_graph()};
    fwi_graph *g = f.g;
    const fwi_val c = fwi_graph_input(g, "c", FW_F32, fwi_shape1(5));
    const fwi_val a = fwi_graph_input(g, "a", FW_F32, fwi_shape1(3));
    const fwi_val b = fwi_graph_input(g, "b", FW_F32, fwi_shape1(3));
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_BIAS, true, fwi_shape1(3), none);
    const fwi_val sum = fwi_op2(g, FWI_OP_add, NULL, scaled(g, 2, a), scaled(g, 3, b));
    const fwi_val y = fwi_op2(g, FWI_OP_add, NULL, sum, w);
    scaled(g, 5, c); /* reaches no output: dropped, and c with it */
    fwi_graph_output(g, "y", y);
    fwi_graph_output(g, "again", scaled(g, -1, y));
    fake_lowered = 0;
    compile(&f);
    assert_int_equal(fake_lowered, 1);
    assert_int_equal(fwi_plan_steps(f.plan), 5);
    assert_int_equal(fwi_plan_input(f.plan, "a"), 1);
    assert_int_equal(fwi_plan_input(f.plan, "b"), 2);
    assert_int_equal(fwi_plan_input(f.plan, "c"), -1); /* known, but not used */
    assert_int_equal(fwi_plan_input(f.plan, "d"), -1);
    assert_int_equal(fwi_plan_output(f.plan, "x"), -1);
    fw_dtype dtype;
    const fwi_shape *s = fwi_plan_output_shape(f.plan, fwi_plan_output(f.plan, "y"), &dtype);
    assert_true(s->rank == 1 && s->d[0] == 3 && dtype == FW_F32);

    static const float wv[] = {100, 200, 300}, av[] = {1, 2, 3}, bv[] = {10, 20, 30};
    assert_int_equal(fwi_store_write(f.store, fwi_store_find(f.store, "w"), wv), FW_OK);
    f.bind.inputs[1] = av;
    f.bind.inputs[2] = bv;
    fwi_mem_fail_at(1); /* running may not allocate */
    for (int i = 0; i < 3; i++)
        assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_OK);
    assert_int_equal(fwi_mem_count(), 0);
    fwi_mem_fail_at(0);
    float got[3];
    read_output(&f, "y", got, 3);
    for (int i = 0; i < 3; i++)
        assert_true(got[i] == 2 * av[i] + 3 * bv[i] + wv[i]);
    read_output(&f, "again", got, 3);
    assert_true(got[2] == -(2 * av[2] + 3 * bv[2] + wv[2]));
    clear(&f);
}

static void test_bad_binding(void **state)
{
    (void)state;
    fixture f = {.g = new_graph()};
    const fwi_val a = fwi_graph_input(f.g, "images", FW_F32, fwi_shape1(3));
    fwi_graph_output(f.g, "y", scaled(f.g, 2, a));
    compile(&f);
    const float x[3] = {1, 2, 3};
    float got[3];
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_EARG);
    assert_message("images");
    f.bind.inputs[0] = x;
    f.bind.scratch = NULL;
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_EARG);
    assert_message("scratch");
    f.bind.scratch = (char *)f.scratch + 4;
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_EARG);
    assert_message("64");
    f.bind.scratch = f.scratch;
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_OK);
    assert_int_equal(fwi_plan_read(f.plan, &f.bind, 1, got, sizeof got), FW_EARG);
    assert_int_equal(fwi_plan_read(f.plan, &f.bind, -1, got, sizeof got), FW_EARG);
    assert_int_equal(fwi_plan_read(f.plan, &f.bind, 0, got, 4), FW_ESHAPE);
    assert_message("12 bytes");
    clear(&f);
}

/* Views: of an input, of a variable, of a temp, of a view; outputs that are inputs or variables. */
static void test_views(void **state)
{
    (void)state;
    fixture f = {.g = new_graph()};
    fwi_graph *g = f.g;
    const fwi_attr flat = {.shape = {.rank = 1, .d0 = 6}},
                   square = {.shape = {.rank = 2, .d0 = 3, .d1 = 2}};
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, fwi_shape2(2, 3));
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_DENSE, true, fwi_shape2(2, 3), none);
    const fwi_val fx = fwi_op1(g, FWI_OP_reshape, &flat, x);
    const fwi_val fw = fwi_op1(g, FWI_OP_reshape, &flat, w);
    const fwi_val sum = fwi_op2(g, FWI_OP_add, NULL, fx, fw);
    const fwi_val view = fwi_op1(g, FWI_OP_reshape, &square, sum);
    const fwi_val view2 = fwi_op1(g, FWI_OP_reshape, &flat, view);
    fwi_graph_output(g, "sum", view2);
    fwi_graph_output(g, "twice", scaled(g, 2, view));
    fwi_graph_output(g, "fx", fx);
    fwi_graph_output(g, "x", x);
    fwi_graph_output(g, "w", w);
    compile(&f);
    assert_int_equal(fwi_plan_steps(f.plan), 2); /* add and scale: views cost nothing */
    static const float xv[] = {1, 2, 3, 4, 5, 6}, wv[] = {10, 20, 30, 40, 50, 60};
    assert_int_equal(fwi_store_write(f.store, fwi_store_find(f.store, "w"), wv), FW_OK);
    f.bind.inputs[0] = xv;
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_OK);
    float got[6];
    read_output(&f, "sum", got, 6);
    for (int i = 0; i < 6; i++)
        assert_true(got[i] == 11.0f * (float)(i + 1));
    read_output(&f, "twice", got, 6);
    for (int i = 0; i < 6; i++)
        assert_true(got[i] == 22.0f * (float)(i + 1));
    read_output(&f, "fx", got, 6);
    assert_memory_equal(got, xv, sizeof xv);
    read_output(&f, "x", got, 6);
    assert_memory_equal(got, xv, sizeof xv);
    read_output(&f, "w", got, 6);
    assert_memory_equal(got, wv, sizeof wv);
    clear(&f);
}

/* loss = -3 (2 w): the gradient lands in the store; the update changes the variable there. */
static void test_gradient_and_update(void **state)
{
    (void)state;
    fixture f = {.g = new_graph()};
    fwi_graph *g = f.g;
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_DENSE, true, fwi_shape1(1), none);
    const fwi_val unused = fwi_graph_var(g, "u", FWI_VAR_DENSE, true, fwi_shape1(4), none);
    const fwi_val v = fwi_graph_var(g, "v", FWI_VAR_SLOT, false, fwi_shape1(1), none);
    const fwi_val hyper = fwi_graph_input(g, "hyper", FW_F64, fwi_shape1(2));
    const fwi_val loss = scaled(g, -3, scaled(g, 2, w));
    const fwi_val params[] = {w, unused};
    fwi_val grads[2];
    assert_int_equal(fwi_graph_gradient(g, loss, params, 2, grads), FW_OK);
    const fwi_val in[] = {w, v, grads[0], hyper};
    fwi_graph_op(g, FWI_OP_sgd, &(fwi_attr){.optim = {.lr_col = 1}}, in, 4, NULL);
    fwi_graph_output(g, "loss", loss);
    compile(&f);
    static const float start = 5;
    static const double rates[] = {0, 0.5};
    assert_int_equal(fwi_store_write(f.store, fwi_store_find(f.store, "w"), &start), FW_OK);
    f.bind.inputs[0] = rates;
    memset(f.store->grads, 0xFF, f.store->grad_bytes);
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_OK);
    float got[4];
    read_output(&f, "loss", got, 1);
    assert_true(got[0] == -30); /* computed before the update */
    assert_int_equal(fwi_store_read_grad(f.store, fwi_store_find(f.store, "w"), got), FW_OK);
    assert_true(got[0] == -6);
    assert_int_equal(fwi_store_read_grad(f.store, fwi_store_find(f.store, "u"), got), FW_OK);
    for (int i = 0; i < 4; i++)
        assert_true(got[i] == 0); /* the loss does not depend on it */
    assert_int_equal(fwi_store_read(f.store, fwi_store_find(f.store, "w"), got), FW_OK);
    assert_true(got[0] == 5 + 0.5f * 6);
    clear(&f);
}

static void test_kernel_failure(void **state)
{
    (void)state;
    fixture f = {.g = new_graph()};
    const fwi_val a = fwi_graph_input(f.g, "a", FW_F32, fwi_shape1(3));
    const fwi_val b = fwi_op2(f.g, FWI_OP_add, NULL, a, scaled(f.g, 2, a));
    fwi_graph_output(f.g, "y", fwi_op2(f.g, FWI_OP_add, NULL, a, b));
    compile(&f);
    const float x[3] = {1, 2, 3};
    f.bind.inputs[0] = x;
    fake_kernel_fails = true;
    fake_add_calls = 0;
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_EINTERNAL);
    fake_kernel_fails = false;
    assert_message("the fake kernel failed");
    assert_int_equal(fake_add_calls, 1); /* the run ends there */
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_OK);
    clear(&f);
}

static void test_refusals(void **state)
{
    (void)state;
    fwi_graph *g = new_graph(), *empty = new_graph(), *bad = new_graph();
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, fwi_shape2(2, 3));
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_BIAS, true, fwi_shape2(2, 3), none);
    fwi_graph_output(g, "y", fwi_op2(g, FWI_OP_add, NULL, x, w));
    fwi_store *s = NULL, *without = NULL;
    fwi_plan *p = (fwi_plan *)1;
    assert_int_equal(fwi_store_new(&s, fake_device(), (const fwi_graph *[]){g}, 1), FW_OK);
    assert_int_equal(fwi_store_new(&without, fake_device(), (const fwi_graph *[]){empty}, 1),
                     FW_OK);
    assert_int_equal(fwi_plan_new(&p, fake_device(), without, g), FW_ENOTFOUND);
    assert_null(p);
    assert_message("variable w");

    fwi_graph_output(g, "relu", fwi_op1(g, FWI_OP_relu, NULL, x));
    assert_int_equal(fwi_plan_new(&p, fake_device(), s, g), FW_EUNAVAILABLE);
    assert_null(p);
    assert_message("relu(f32[2,3])");

    /* a store made for another shape */
    fwi_graph_var(bad, "w", FWI_VAR_BIAS, true, fwi_shape1(6), none);
    fwi_graph_output(bad, "w", fwi_graph_find(bad, "w"));
    assert_int_equal(fwi_plan_new(&p, fake_device(), s, bad), FW_ESHAPE);
    assert_message("variable w");

    /* an error of the builder's */
    fwi_op2(bad, FWI_OP_add, NULL, fwi_graph_find(bad, "w"), FWI_NO_VAL);
    assert_true(fwi_plan_new(&p, fake_device(), s, bad) != FW_OK);
    assert_null(p);

    fwi_graph *wide = new_graph();
    for (int i = 0; i <= FWI_MAX_BOUND; i++) {
        char name[2] = {(char)('a' + i), 0};
        fwi_graph_input(wide, name, FW_F32, fwi_shape1(1));
    }
    assert_int_equal(fwi_plan_new(&p, fake_device(), without, wide), FW_EARG);
    assert_message("inputs");
    fwi_graph_free(wide);
    fwi_store_free(s);
    fwi_store_free(without);
    fwi_graph_free(g);
    fwi_graph_free(empty);
    fwi_graph_free(bad);
    fwi_plan_free(NULL);
    assert_int_equal(fake_live, 0);
}

static void test_steps(void **state)
{
    (void)state;
    fixture f = {.g = new_graph()};
    const fwi_val a = fwi_graph_input(f.g, "a", FW_F32, fwi_shape2(4, 3));
    fwi_graph_output(f.g, "y", fwi_op2(f.g, FWI_OP_add, NULL, a, scaled(f.g, 2, a)));
    compile(&f);
    float x[12] = {0};
    f.bind.inputs[0] = x;
    double seconds[2] = {0};
    assert_int_equal(fwi_plan_run_timed(f.plan, &f.bind, seconds), FW_OK);
    assert_true(seconds[0] >= 0 && seconds[1] >= 0 && seconds[0] + seconds[1] < 10);
    seconds[0] = seconds[1] = 100;
    assert_int_equal(fwi_plan_run_timed(f.plan, &f.bind, seconds), FW_OK); /* adds up */
    assert_true(seconds[0] >= 100 && seconds[1] >= 100);
    fwi_step_info info;
    fwi_plan_step(f.plan, 0, &info);
    assert_int_equal(info.op, FWI_OP_scale);
    assert_string_equal(info.kernel, "scale_fake");
    assert_string_equal(info.table, "fake");
    assert_int_equal(info.bytes, 2 * 48);
    fwi_plan_step(f.plan, 1, &info);
    assert_int_equal(info.op, FWI_OP_add);
    assert_int_equal(info.bytes, 3 * 48);
    assert_int_equal(info.in0.d[0], 4);
    assert_int_equal(info.out0.d[1], 3);
    clear(&f);
}

/* Updates that stand side by side run as one, as many as may; each with its own rate and variables. */
static void test_joint(void **state)
{
    (void)state;
    enum { N = FWI_MAX_JOINED + 3 };
    fixture f = {.g = new_graph()};
    const fwi_val hyper = fwi_graph_input(f.g, "hyper", FW_F64, fwi_shape1(3));
    const fwi_val a = fwi_graph_input(f.g, "a", FW_F32, fwi_shape1(5));
    fwi_val w[N], v[N];
    for (int i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        w[i] = fwi_graph_var(f.g, name, FWI_VAR_BIAS, true, fwi_shape1(5),
                             (fwi_init){FWI_INIT_CONST, i, 0});
        snprintf(name, sizeof name, "w%d/v", i);
        v[i] = fwi_graph_var(f.g, name, FWI_VAR_SLOT, false, fwi_shape1(5), none);
    }
    const fwi_val g = scaled(f.g, 2, a);
    for (int i = 0; i < N; i++) {
        if (i == N - 1) /* stands between the last two */
            fwi_graph_output(f.g, "y", scaled(f.g, 3, a));
        fwi_graph_op(f.g, FWI_OP_sgd, &(fwi_attr){.optim = {.lr_col = i % 2, .wd_col = 2}},
                     (const fwi_val[]){w[i], v[i], g, hyper}, 4, NULL);
    }
    compile(&f);
    assert_int_equal(fwi_plan_steps(f.plan), 5); /* scale; 64; 2; scale; 1 */
    static const int calls[] = {1, FWI_MAX_JOINED, 2, 1, 1};
    for (int i = 0; i < 5; i++) {
        fwi_step_info info;
        fwi_plan_step(f.plan, i, &info);
        assert_int_equal(info.n_calls, calls[i]);
        if (info.op == FWI_OP_sgd)
            assert_int_equal(info.bytes, calls[i] * (5 * 20 + 3 * 8)); /* w and v are changed */
    }
    assert_true(f.scratch_bytes >= FWI_MAX_JOINED * 20);
    const float x[5] = {1, 2, 3, 4, 5};
    const double row[3] = {0.5, 0.25, 0};
    assert_int_equal(fwi_store_init(f.store, 1), FW_OK);
    f.bind.inputs[0] = row;
    f.bind.inputs[1] = x;
    fake_joint_calls = fake_joint_members = 0;
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_OK);
    assert_int_equal(fake_joint_calls, 2);
    assert_int_equal(fake_joint_members, FWI_MAX_JOINED + 2);
    for (int i = 0; i < N; i++) {
        char name[16];
        float host[5];
        snprintf(name, sizeof name, "w%d", i);
        assert_int_equal(fwi_store_read(f.store, fwi_store_find(f.store, name), host), FW_OK);
        for (int k = 0; k < 5; k++)
            assert_true(host[k] == (float)i - (float)row[i % 2] * 2 * x[k]);
    }
    double seconds[5] = {0};
    assert_int_equal(fwi_plan_run_timed(f.plan, &f.bind, seconds), FW_OK);
    assert_int_equal(fake_joint_calls, 4);
    clear(&f);
}

/* Calls each of which goes on where the one before ended run as one too; one that begins elsewhere begins
 * another. What they give may lie where others are read. */
static void test_joint_chain(void **state)
{
    (void)state;
    enum { N = FWI_MAX_JOINED + 3 };
    fixture f = {.g = new_graph()};
    const fwi_val a = fwi_graph_input(f.g, "a", FW_F32, fwi_shape1(5));
    const fwi_val none_yet = fwi_graph_input(f.g, "none", FW_F32, fwi_shape1(1));
    fwi_val x[N], sum = none_yet, other = none_yet;
    for (int i = 0; i < N; i++)
        x[i] = scaled(f.g, i + 2, a); /* temps, and over after their call */
    for (int i = 0; i < N; i++)
        sum = fwi_op2(f.g, FWI_OP_sum_squares, NULL, x[i], sum);
    for (int i = 0; i < 2; i++)
        other = fwi_op2(f.g, FWI_OP_sum_squares, NULL, a, other);
    fwi_graph_output(f.g, "sum", sum);
    fwi_graph_output(f.g, "other", other);
    compile(&f);
    static const int calls[] = {FWI_MAX_JOINED, 3, 2};
    assert_int_equal(fwi_plan_steps(f.plan), N + 3);
    for (int i = 0; i < 3; i++) {
        fwi_step_info info;
        fwi_plan_step(f.plan, N + i, &info);
        assert_int_equal(info.n_calls, calls[i]);
    }
    const float host[5] = {1, 0, 1, 0, 1}, zero = 0; /* 3 per unit */
    float got = 0, want = 0;
    f.bind.inputs[0] = host;
    f.bind.inputs[1] = &zero;
    fake_joint_calls = fake_joint_members = 0;
    assert_int_equal(fwi_plan_run(f.plan, &f.bind), FW_OK);
    assert_int_equal(fake_joint_calls, 3);
    assert_int_equal(fake_joint_members, N + 2);
    for (int i = 0; i < N; i++)
        want += 3 * (float)((i + 2) * (i + 2));
    read_output(&f, "sum", &got, 1);
    assert_true(got == want);
    read_output(&f, "other", &got, 1);
    assert_true(got == 6);
    clear(&f);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    fwi_graph *g = new_graph();
    const fwi_val a = fwi_graph_input(g, "a", FW_F32, fwi_shape1(3));
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_BIAS, true, fwi_shape1(3), none);
    const fwi_attr flat = {.shape = {.rank = 2, .d0 = 1, .d1 = 3}};
    const fwi_val sum = fwi_op2(g, FWI_OP_add, NULL, a, w);
    fwi_graph_output(g, "y", fwi_op1(g, FWI_OP_reshape, &flat, scaled(g, 2, sum)));
    fwi_store *s = NULL;
    assert_int_equal(fwi_store_new(&s, fake_device(), (const fwi_graph *[]){g}, 1), FW_OK);
    int64_t n = 1;
    for (;; n++) {
        fwi_plan *p = NULL;
        fwi_mem_fail_at(n);
        const fw_status st = fwi_plan_new(&p, fake_device(), s, g);
        fwi_mem_fail_at(0);
        fwi_plan_free(p);
        if (st == FW_OK)
            break;
        assert_null(p);
        assert_int_equal(st, FW_ENOMEM);
    }
    assert_true(n > 10);
    fwi_store_free(s);
    fwi_graph_free(g);
    assert_int_equal(fake_live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_bad_binding),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_gradient_and_update),
        cmocka_unit_test(test_kernel_failure),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_joint),
        cmocka_unit_test(test_joint_chain),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
