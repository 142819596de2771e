/* test_device.c: names of devices, the chain of the CPU's tables, and a small training run on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static void assert_message(const char *part)
{
    if (strstr(fw_last_error(), part) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", fw_last_error(), part);
}

static void test_names(void **state)
{
    (void)state;
    fwi_device *d = NULL;
    assert_int_equal(fwi_device_open(&d, NULL, NULL), FW_OK);
    assert_string_equal(d->backend->name, "cpu");
    assert_true(d->host_memory);
    assert_non_null(strstr(d->label, "cpu ("));
    fwi_device_close(d);
    assert_int_equal(fwi_device_open(&d, "cpu", &(fwi_device_opt){.threads = 2}), FW_OK);
    assert_int_equal(fwi_pool_threads(d->pool), 2);
    assert_non_null(strstr(d->label, "2 threads"));
    fwi_device_close(d);
    fwi_device_close(NULL);

    static const char *const cuda[] = {"cuda", "cuda:0", "cuda:17"};
    for (int i = 0; i < COUNT(cuda); i++) {
        d = (fwi_device *)1;
        const fw_status st = fwi_device_open(&d, cuda[i], NULL);
        if (st == FW_OK) { /* a machine with GPUs */
            assert_string_equal(d->backend->name, "cuda");
            assert_false(d->host_memory);
            fwi_device_close(d);
            continue;
        }
        assert_null(d);
        assert_message(cuda[i]);
        if (st == FW_ENOTFOUND) /* one with fewer */
            assert_message("numbered from 0");
        else {
            assert_int_equal(st, FW_EUNAVAILABLE);
            assert_message("use the device cpu");
        }
    }
    static const char *const unknown[] = {"", "gpu", "cuda:", "cuda:x", "cuda1", "CPU", "cpu:0"};
    for (int i = 0; i < COUNT(unknown); i++) {
        assert_int_equal(fwi_device_open(&d, unknown[i], NULL), FW_ENOTFOUND);
        assert_null(d);
        assert_message("cpu, cuda");
    }
    assert_int_equal(fwi_device_open(&d, "cpu", &(fwi_device_opt){.threads = -1}), FW_EARG);
    assert_int_equal(fwi_device_open(&d, "cpu", &(fwi_device_opt){.index = 1}), FW_ENOTFOUND);
}

static void test_borrowed_pool(void **state)
{
    (void)state;
    fwi_pool *pool = NULL;
    fwi_device *d = NULL;
    assert_int_equal(fwi_pool_new(&pool, 3), FW_OK);
    assert_int_equal(fwi_device_open(&d, "cpu", &(fwi_device_opt){.pool = pool}), FW_OK);
    assert_ptr_equal(d->pool, pool);
    fwi_device_close(d);
    assert_int_equal(fwi_pool_threads(pool), 3); /* still there */
    fwi_pool_free(pool);
}

/* Each chain leads to the reference, which has a row for every op in both types. */
static void test_tables(void **state)
{
    (void)state;
    const fwi_op_table *ref = fwi_cpu_table(FWI_ISA_REF);
    assert_null(ref->base);
    for (int isa = 0; isa < FWI_ISA_COUNT; isa++) {
        const fwi_op_table *t = fwi_cpu_table((fwi_isa)isa);
        if (t == NULL) {
            assert_true(
                isa >
                FWI_ISA_PORTABLE); /* another kind of processor's, or left out with sanitizers */
            continue;
        }
        assert_string_equal(t->name, fwi_isa_name((fwi_isa)isa));
        int length = 0;
        for (const fwi_op_table *b = t; b != NULL; b = b->base)
            length++;
        assert_int_equal(length, isa + 1);
        for (const fwi_kernel *k = t->rows; k->run != NULL; k++) {
            assert_true((int)k->op < FWI_OP_COUNT);
            assert_non_null(k->name);
            assert_non_null(strstr(k->name, fwi_op_info_get(k->op)->name));
            assert_non_null(strstr(k->name, t->name));
        }
    }
    for (int op = 0; op < FWI_OP_COUNT; op++)
        for (int dtype = FW_F32; dtype <= FW_F64; dtype++) {
            int rows = 0;
            for (const fwi_kernel *k = ref->rows; k->run != NULL; k++)
                rows += (int)k->op == op && (int)k->dtype == dtype;
            assert_int_equal(rows, 1);
        }
    assert_null(fwi_cpu_table(FWI_ISA_COUNT));
}

static void test_chosen_isa(void **state)
{
    (void)state;
    fwi_device *d = NULL;
    for (int isa = 0; isa < FWI_ISA_COUNT; isa++) {
        const char *name = fwi_isa_name((fwi_isa)isa);
        assert_int_equal(setenv("FENWICKS_ISA", name, 1), 0);
        const fw_status st = fwi_device_open(&d, "cpu", NULL);
        const fwi_op_table *t = fwi_cpu_table((fwi_isa)isa);
        if (!fwi_isa_supported((fwi_isa)isa) || t == NULL) {
            assert_int_equal(st, FW_EUNAVAILABLE);
            continue;
        }
        assert_int_equal(st, FW_OK);
        assert_ptr_equal(d->table, t);
        fwi_device_close(d);
    }
    assert_int_equal(setenv("FENWICKS_ISA", "sse9", 1), 0);
    assert_int_equal(fwi_device_open(&d, "cpu", NULL), FW_EARG);
    assert_message("sse9");
    assert_int_equal(unsetenv("FENWICKS_ISA"), 0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (int64_t n = 1;; n++) {
        fwi_device *d = NULL;
        fwi_mem_fail_at(n);
        const fw_status st = fwi_device_open(&d, "cpu", &(fwi_device_opt){.threads = 2});
        fwi_mem_fail_at(0);
        fwi_device_close(d);
        if (st == FW_OK) {
            assert_true(n > 2);
            break;
        }
        assert_null(d);
        assert_int_equal(st, FW_ENOMEM);
    }
}

/* A softmax classifier of two classes that a line separates: the loss must fall below 0.1. */
static float train(int threads, int steps)
{
    enum { N = 64, C = 3 };
    static float x[N * C];
    static int32_t y[N];
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < C; j++)
            x[i * C + j] = (float)((i * 7 + j * 5) % 13) / 6.5f - 1;
        y[i] = x[i * C] + x[i * C + 1] - 0.5f * x[i * C + 2] > 0.1f;
    }
    static const double hyper[] = {2.0, 0.0};
    fwi_graph *g = NULL;
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    const fwi_val in = fwi_graph_input(g, "x", FW_F32, fwi_shape2(N, C));
    const fwi_val labels = fwi_graph_input(g, "labels", FW_I32, fwi_shape1(N));
    const fwi_val row = fwi_graph_input(g, "hyper", FW_F64, fwi_shape1(2));
    fwi_val p[2], v[2], grad[2];
    p[0] = fwi_graph_var(g, "w", FWI_VAR_HEAD, true, fwi_shape2(2, C),
                         (fwi_init){FWI_INIT_UNIFORM, -0.1, 0.1});
    p[1] = fwi_graph_var(g, "b", FWI_VAR_BIAS, true, fwi_shape1(2), (fwi_init){0});
    v[0] = fwi_graph_var(g, "w/v", FWI_VAR_SLOT, false, fwi_shape2(2, C), (fwi_init){0});
    v[1] = fwi_graph_var(g, "b/v", FWI_VAR_SLOT, false, fwi_shape1(2), (fwi_init){0});
    const fwi_val dense = fwi_op2(g, FWI_OP_matmul, &(fwi_attr){.matmul = {0, 1}}, in, p[0]);
    const fwi_val logits = fwi_op2(g, FWI_OP_bias_add, NULL, dense, p[1]);
    const fwi_attr mean = {.xent = {.smoothing = 0, .mean = 1}};
    const fwi_val loss = fwi_op2(g, FWI_OP_softmax_xent, &mean, logits, labels);
    assert_int_equal(fwi_graph_gradient(g, loss, p, 2, grad), FW_OK);
    const fwi_attr sgd = {
        .optim = {.momentum = 0.9, .form = FWI_NESTEROV_PYTORCH, .lr_col = 0, .wd_col = 1}};
    for (int i = 0; i < 2; i++) {
        const fwi_val args[] = {p[i], v[i], grad[i], row};
        fwi_graph_op(g, FWI_OP_sgd, &sgd, args, 4, NULL);
    }
    fwi_graph_output(g, "loss", loss);

    fwi_device *d = NULL;
    fwi_store *s = NULL;
    fwi_plan *plan = NULL;
    assert_int_equal(fwi_device_open(&d, NULL, &(fwi_device_opt){.threads = threads}), FW_OK);
    assert_int_equal(fwi_store_new(&s, d, (const fwi_graph *[]){g}, 1), FW_OK);
    assert_int_equal(fwi_store_init(s, 1), FW_OK);
    assert_int_equal(fwi_plan_new(&plan, d, s, g), FW_OK);
    void *scratch = NULL;
    assert_int_equal(d->backend->alloc(d, fwi_plan_scratch_bytes(plan), &scratch), FW_OK);
    fwi_binding b = {.scratch = scratch};
    b.inputs[fwi_plan_input(plan, "x")] = x;
    b.inputs[fwi_plan_input(plan, "labels")] = y;
    b.inputs[fwi_plan_input(plan, "hyper")] = hyper;
    float first = 0, last = 0;
    for (int i = 0; i < steps; i++) {
        assert_int_equal(fwi_plan_run(plan, &b), FW_OK);
        assert_int_equal(fwi_plan_read(plan, &b, 0, &last, sizeof last), FW_OK);
        if (i == 0)
            first = last;
    }
    assert_true(fabsf(first - 0.693f) < 0.1f); /* ln 2: nothing known yet */
    d->backend->release(d, scratch, fwi_plan_scratch_bytes(plan));
    fwi_plan_free(plan);
    fwi_store_free(s);
    fwi_device_close(d);
    fwi_graph_free(g);
    return last;
}

static void test_training(void **state)
{
    (void)state;
    const float loss = train(1, 200);
    assert_true(loss < 0.1f);
    assert_true(train(2, 200) == loss);
    assert_true(train(3, 200) == loss);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),         cmocka_unit_test(test_borrowed_pool),
        cmocka_unit_test(test_tables),        cmocka_unit_test(test_chosen_isa),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
