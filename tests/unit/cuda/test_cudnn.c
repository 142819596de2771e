/* test_cudnn.c: convolutions as cuDNN is asked for them, against a stand-in that computes what it
 * was asked for: shapes, strides and paddings by their results, the choice of engines, scratch and
 * alignment, every failing call, and that everything is given back. */
#include "cudnn_test.h"

static void test_results(void **state)
{
    (void)state;
    static const fwi_opkind kinds[] = {FWI_OP_conv2d, FWI_OP_conv2d_dx, FWI_OP_conv2d_dw};
    reset();
    fwi_cuda_libs *l = open_libs(false);
    fwi_cuda_stream stream = {.libs = l, .sm = 90};
    for (int i = 0; i < COUNT(shapes); i++)
        for (int j = 0; j < COUNT(kinds); j++)
            for (int form = 0; form < 3; form++) { /* f32, f32 in a lowered graph, bf16 */
                const fwi_attr attr = attr_of(&shapes[i]);
                const fw_dtype dtype = form == 2 ? FW_BF16 : FW_F32;
                for (size_t off = 0; off <= 4; off += 4) {
                    if (off > 0 && kinds[j] != FWI_OP_conv2d_dw)
                        continue; /* only gradients of filters lie anywhere */
                    fwi_call c = call_of(kinds[j], &shapes[i], &attr, dtype, form > 0, &stream);
                    run_and_check(&c, off);
                }
            }
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

/* ---- plans ---- */

/* A plan is made once for each key, and looking it up makes nothing. */
static void test_once(void **state)
{
    (void)state;
    reset();
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key a = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    const fwi_dnn_key b = key_of(FWI_OP_conv2d_dx, &shapes[0], FW_F32, false);
    assert_null(fwi_cudnn_plan_find(l, &a));
    const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &a);
    assert_non_null(p);
    assert_true(p->usable);
    assert_int_equal(p->workspace, 1000);
    assert_false(p->measured);
    assert_int_equal(dnn->plans, 1);
    assert_ptr_equal(fwi_cudnn_plan_get(l, &a), p);
    assert_int_equal(dnn->plans, 1);
    const fwi_cudnn_plan *q = fwi_cudnn_plan_get(l, &b);
    assert_true(q != p && q->usable);
    assert_int_equal(dnn->plans, 2);
    const int creates = dnn->calls[FAKE_CREATE];
    assert_ptr_equal(fwi_cudnn_plan_find(l, &a), p);
    assert_ptr_equal(fwi_cudnn_plan_find(l, &b), q);
    assert_int_equal(dnn->calls[FAKE_CREATE], creates);
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

/* The first engine that is allowed and that a plan can be made of, from the first heuristic that
 * has one. */
static void test_choice_of_engine(void **state)
{
    (void)state;
    reset();
    dnn->engines[0] = (fake_engine){
        .there = true,
        .index = 1,
        .n_notes = 2,
        .notes = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}};
    dnn->engines[1] = (fake_engine){.there = true,
                                    .index = 2,
                                    .n_behavior = 1,
                                    .behavior = {CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION}};
    dnn->engines[2] = (fake_engine){.there = true, .index = 3, .unsupported = true};
    dnn->engines[3] = (fake_engine){.there = true,
                                    .index = 4,
                                    .n_notes = 1,
                                    .notes = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE},
                                    .n_knobs = 3,
                                    .workspace = 5};
    dnn->engines[4] = (fake_engine){.there = true, .index = 5};
    dnn->engines[5] = (fake_engine){.there = true, .index = 6, .fallback = true};
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key bf16 = key_of(FWI_OP_conv2d, &shapes[0], FW_BF16, false);
    const fwi_dnn_key f32 = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    const fwi_dnn_key tf32 = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, true);
    const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &bf16);
    assert_int_equal(p->engine.engine, 4);
    assert_int_equal(p->workspace, 5);
    assert_int_equal(p->engine.n_knobs, 3);
    assert_int_equal(p->engine.knobs[2].type, 3);
    assert_int_equal(p->engine.knobs[2].value, 4002);
    assert_int_equal(fwi_cudnn_plan_get(l, &f32)->engine.engine, 5); /* tensor cores round f32 */
    assert_int_equal(fwi_cudnn_plan_get(l, &tf32)->engine.engine, 4);
    dnn->engines[3].there = dnn->engines[4].there = false;
    const fwi_dnn_key other = key_of(FWI_OP_conv2d, &shapes[1], FW_F32, false);
    assert_int_equal(fwi_cudnn_plan_get(l, &other)->engine.engine, 6); /* the fallback's */
    dnn->engines[5].there = false;
    const fwi_dnn_key none = key_of(FWI_OP_conv2d, &shapes[2], FW_F32, false);
    p = fwi_cudnn_plan_get(l, &none);
    assert_non_null(p);
    assert_false(p->usable);
    assert_true(p->why[0] != 0);
    assert_ptr_equal(fwi_cudnn_plan_get(l, &none), p); /* it is not looked for twice */
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

static void test_notes(void **state)
{
    (void)state;
    const fwi_dnn_key f32 = {.dtype = FW_F32}, tf32 = {.dtype = FW_F32, .tf32 = 1},
                      f16 = {.dtype = FW_F16};
    const struct {
        int numerical, behavior; /* -1: none */
        bool f32, tf32, f16;     /* allowed */
    } cases[] = {
        {-1, -1, true, true, true},
        {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, -1, false, true, true},
        {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, -1, false, true, true},
        {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP, -1, true, true, true},
        {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_FFT, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13, -1, false, false, false},
        {CUDNN_NUMERICAL_NOTE_TYPE_COUNT, -1, false, false, false}, /* of a newer library */
        {-1, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, true, true, true},
        {-1, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION, false, false, false},
        {-1, CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER, false, false, false},
        {-1, CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER, false, false, false},
        {-1, CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API, true, true, true},
        {-1, CUDNN_BEHAVIOR_NOTE_CUBLASLT_DEPENDENCY, true, true, true},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        const cudnnBackendNumericalNote_t note = (cudnnBackendNumericalNote_t)cases[i].numerical;
        const cudnnBackendBehaviorNote_t behavior = (cudnnBackendBehaviorNote_t)cases[i].behavior;
        const int64_t n = cases[i].numerical >= 0, m = cases[i].behavior >= 0;
        assert_int_equal(fwi_cudnn_refuses(&f32, &note, n, &behavior, m) == NULL, cases[i].f32);
        assert_int_equal(fwi_cudnn_refuses(&tf32, &note, n, &behavior, m) == NULL, cases[i].tf32);
        assert_int_equal(fwi_cudnn_refuses(&f16, &note, n, &behavior, m) == NULL, cases[i].f16);
    }
}

/* Filter gradients come in f32 where there is an engine for that, else in the images' type, by rows
 * that say so. */
static void test_type_of_dw(void **state)
{
    (void)state;
    reset();
    on_tensor_cores(&dnn->engines[0]);
    fwi_cuda_libs *l = open_libs(false);
    assert_ptr_equal(table_of_dw(l, &shapes[0], FW_BF16), &table);
    assert_ptr_equal(table_of_dw(l, &shapes[0], FW_F16), &table);
    const fwi_dnn_key a = key_of(FWI_OP_conv2d_dw, &shapes[0], FW_BF16, false);
    assert_int_equal(fwi_cudnn_plan_get(l, &a)->dw, FW_F32);
    dnn->engines[0].n_notes = 0; /* f32 by another engine is not worth it */
    const fwi_dnn_key slow = key_of(FWI_OP_conv2d_dw, &shapes[2], FW_BF16, false);
    assert_int_equal(fwi_cudnn_plan_get(l, &slow)->dw, FW_BF16);
    dnn->engines[0].no_f32_dw = true;
    const fwi_dnn_key b = key_of(FWI_OP_conv2d_dw, &shapes[1], FW_BF16, false);
    const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &b);
    assert_true(p->usable);
    assert_int_equal(p->dw, FW_BF16);
    assert_int_equal(p->engine.dw, FW_BF16);
    assert_ptr_equal(table_of_dw(l, &shapes[1], FW_BF16), &rounded);
    assert_ptr_equal(table_of_dw(l, &shapes[1], FW_F16), &rounded);
    const fwi_dnn_key c = key_of(FWI_OP_conv2d_dw, &shapes[1], FW_F32, false);
    assert_false(fwi_cudnn_plan_get(l, &c)->usable); /* there is no third way */
    fwi_cuda_stream stream = {.libs = l};
    const fwi_attr attr = attr_of(&shapes[1]);
    for (size_t off = 0; off <= 4; off += 4) {
        fwi_call call = call_of(FWI_OP_conv2d_dw, &shapes[1], &attr, FW_BF16, 1, &stream);
        const int before = fit_calls;
        run_and_check(&call, off);
        assert_int_equal(fit_calls, before + 1);
    }
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

/* ---- failures ---- */

/* Each call of each kind fails once: no crash, nothing lost, and a plan that is usable, is not, or
 * is no plan with a message. */
static void test_every_failure(void **state)
{
    (void)state;
    static const cudnnStatus_t statuses[] = {CUDNN_STATUS_NOT_SUPPORTED, CUDNN_STATUS_BAD_PARAM,
                                             CUDNN_STATUS_INTERNAL_ERROR,
                                             CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED};
    static const fake_cudnn_call calls[] = {FAKE_CREATE, FAKE_SET, FAKE_GET, FAKE_FINALIZE};
    int refused = 0, failed = 0, passed = 0;
    for (int i = 0; i < COUNT(statuses) * 2; i++)
        for (int j = 0; j < COUNT(calls); j++)
            for (int at = 1;; at++) {
                reset();
                dnn->engines[0].n_knobs = 2;
                fwi_cuda_libs *l = open_libs(false);
                dnn->fail_call = calls[j];
                dnn->fail_at = at;
                dnn->fail_status = statuses[i / 2];
                const fwi_dnn_key key = i % 2 == 0
                                            ? key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false)
                                            : key_of(FWI_OP_conv2d_dw, &shapes[0], FW_BF16, false);
                const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &key);
                const bool reached = dnn->calls[calls[j]] >= at;
                if (p == NULL) {
                    failed++;
                    assert_message("cuDNN: ");
                } else if (!p->usable) {
                    refused++;
                    assert_true(p->why[0] != 0);
                } else {
                    passed++;
                }
                fwi_cuda_libs_close(l);
                assert_int_equal(dnn->live, 0);
                if (!reached)
                    break;
            }
    assert_true(refused > 0 && failed > 0 && passed > 0);
}

static void test_failing_run(void **state)
{
    (void)state;
    static const fake_cudnn_call calls[] = {FAKE_CREATE, FAKE_SET, FAKE_FINALIZE, FAKE_EXECUTE};
    reset();
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key key = key_of(FWI_OP_conv2d, &shapes[5], FW_F32, false);
    const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &key);
    _Alignas(256) float x[4] = {3}, w[4] = {5}, y[4] = {0}, room[250];
    const int live = dnn->live;
    for (int i = 0; i < COUNT(calls); i++) {
        dnn->fail_call = calls[i];
        dnn->fail_at = dnn->calls[calls[i]] + 1;
        dnn->fail_status = CUDNN_STATUS_EXECUTION_FAILED;
        assert_int_equal(fwi_cudnn_run(l, p, x, w, y, room), FW_EINTERNAL);
        assert_message("conv2d f32 n1 h1 w1 c1 oc1 k1x1 s1 pad0,0,0,0");
        assert_message("(5000)");
        assert_int_equal(dnn->live, live);
    }
    dnn->fail_at = 0;
    assert_int_equal(fwi_cudnn_run(l, p, x, w, y, room), FW_OK);
    assert_true(y[0] == 15);
    assert_int_equal(fwi_cudnn_run(l, p, x + 1, w, y, room), FW_EINTERNAL);
    assert_message("not on a boundary of 16 bytes");
    fwi_cuda_libs_close(l);
}

static fw_status none_comes(void *user, const fwi_cudnn_plan *p)
{
    (void)user, (void)p;
    fail_msg("an engine without memory for its plan");
    return FW_OK;
}

static void test_no_memory(void **state)
{
    (void)state;
    reset();
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key key = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    fwi_mem_fail_at(1);
    assert_null(fwi_cudnn_plan_get(l, &key));
    fwi_mem_fail_at(1);
    assert_int_equal(fwi_cudnn_candidates(l, &key, none_comes, NULL), FW_ENOMEM);
    fwi_mem_fail_at(0);
    assert_true(fwi_cudnn_plan_get(l, &key)->usable);
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

/* ---- what a row takes ---- */

static void test_accepts(void **state)
{
    (void)state;
    reset();
    fwi_cuda_libs *l = open_libs(false);
    fwi_cuda_stream stream = {.libs = l}, without = {.libs = NULL};
    const fwi_attr attr = attr_of(&shapes[0]);
    fwi_call c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F32, 0, &stream);
    assert_non_null(fwi_table_find(&table, &c, NULL));
    c.stream = NULL;
    assert_null(fwi_table_find(&table, &c, NULL));
    c.stream = &without;
    assert_null(fwi_table_find(&table, &c, NULL));
    c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F32, 2, &stream); /* blocks of two images */
    assert_null(fwi_table_find(&table, &c, NULL));
    c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F64, 0, &stream);
    assert_null(fwi_table_find(&table, &c, NULL));
    c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F32, 0, &stream);
    c.in[0].shape.d[0] = c.out[0].shape.d[0] = (int64_t)1 << 31;
    assert_null(fwi_table_find(&table, &c, NULL));
    fwi_cuda_libs_close(l);
    setenv("FENWICKS_CUDNN", "/nowhere/dnn.so", 1);
    l = open_libs(false);
    stream.libs = l;
    c = call_of(FWI_OP_conv2d, &shapes[0], &attr, FW_F32, 0, &stream);
    assert_null(fwi_table_find(&table, &c, NULL));
    fwi_cuda_libs_close(l);
    point_at_fakes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),          cmocka_unit_test(test_once),
        cmocka_unit_test(test_choice_of_engine), cmocka_unit_test(test_notes),
        cmocka_unit_test(test_type_of_dw),       cmocka_unit_test(test_every_failure),
        cmocka_unit_test(test_failing_run),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_accepts),
    };
    point_at_fakes();
    dnn = dnn_state();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
