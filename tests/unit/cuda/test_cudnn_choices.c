/* test_cudnn_choices.c: which engine of cuDNN a convolution goes by where choices were measured, what there is to
 * measure, and channels that are padded because no engine takes them as they are. Over the stand-in. */
#include "cudnn_test.h"

/* ---- measured choices ---- */

static void test_measured(void **state)
{
    (void)state;
    reset();
    dnn->engines[1] = (fake_engine){.there = true, .index = 11, .workspace = 64, .n_knobs = 2};
    dnn->engines[2] = (fake_engine){
        .there = true, .index = 12, .n_notes = 1, .notes = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}};
    dnn->engines[3] = (fake_engine){.there = true, .index = 13, .unsupported = true};
    fwi_cuda_libs *l = open_libs(false);
    const struct {
        int64_t engine;
        bool taken;
    } cases[] = {{11, true}, {12, false}, {13, false}, {99, false}};
    for (int i = 0; i < COUNT(cases); i++) {
        fwi_dnn_choice c = {.key = key_of(FWI_OP_conv2d, &shapes[i], FW_F32, false),
                            .engine = cases[i].engine,
                            .n_knobs = 2,
                            .knobs = {{1, 5}, {2, 6}}};
        assert_int_equal(fwi_dnn_choices_put(&l->choices, &c), FW_OK);
        const fwi_cudnn_plan *p = fwi_cudnn_plan_get(l, &c.key);
        assert_true(p->usable);
        assert_int_equal(p->measured, cases[i].taken);
        assert_int_equal(p->engine.engine, cases[i].taken ? cases[i].engine : 7);
        const fwi_attr attr = attr_of(&shapes[i]);
        fwi_cuda_stream stream = {.libs = l};
        fwi_call call = call_of(FWI_OP_conv2d, &shapes[i], &attr, FW_F32, 0, &stream);
        dnn->engine = 0;
        if (!cases[i].taken)
            run_and_check(&call, 0);
    }
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

typedef struct seen {
    int n;
    int64_t engine[16];
    fw_dtype dw[16];
    int32_t pad[16];
    fw_status answer;
} seen;

static fw_status look(void *user, const fwi_cudnn_plan *p)
{
    seen *s = user;
    assert_non_null(p->plan);
    s->dw[s->n] = p->dw;
    s->pad[s->n] = p->pad;
    s->engine[s->n++] = p->engine.engine;
    return s->answer;
}

static void test_candidates(void **state)
{
    (void)state;
    reset();
    dnn->engines[1] = (fake_engine){.there = true,
                                    .index = 8,
                                    .n_behavior = 1,
                                    .behavior = {CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION}};
    dnn->engines[2] = (fake_engine){.there = true, .index = 9, .no_f32_dw = true};
    dnn->engines[3] = (fake_engine){.there = true, .index = 10, .fallback = true};
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key y = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    seen s = {0};
    assert_int_equal(fwi_cudnn_candidates(l, &y, look, &s), FW_OK);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.engine[0], 7);
    assert_int_equal(s.engine[1], 9);
    assert_int_equal(s.engine[2], 10);
    const fwi_dnn_key dw = key_of(FWI_OP_conv2d_dw, &shapes[3], FW_BF16, false);
    s = (seen){0};
    on_tensor_cores(&dnn->engines[0]);
    on_tensor_cores(&dnn->engines[3]);
    assert_int_equal(fwi_cudnn_candidates(l, &dw, look, &s), FW_OK);
    assert_int_equal(s.n, 5); /* 7, 10 in f32, then 7, 9, 10 in bf16 */
    assert_int_equal(s.dw[1], FW_F32);
    assert_int_equal(s.dw[2], FW_BF16);
    assert_int_equal(s.engine[3], 9);
    s = (seen){.answer = FW_ESTOPPED};
    dnn->engines[0].n_notes = 0;
    assert_int_equal(fwi_cudnn_candidates(l, &y, look, &s), FW_ESTOPPED);
    assert_int_equal(s.n, 1);
    assert_null(fwi_cudnn_plan_find(l, &y)); /* measuring leaves no plan */
    assert_int_equal(dnn->live, 0);
    fwi_cuda_libs_close(l);
}

/* ---- padded channels ---- */

/* Engines that take channels by the four or eight alone: convolutions of other channels go by way of copies, and
 * give what they should, whatever is in scratch. */
static void test_padded_results(void **state)
{
    (void)state;
    static const fwi_opkind kinds[] = {FWI_OP_conv2d, FWI_OP_conv2d_dx, FWI_OP_conv2d_dw};
    for (int by = 4; by <= 8; by += 4)
        for (int rounds = 0; rounds < 2; rounds++) { /* dw in f32, and in bf16 */
            reset();
            dnn->engines[0].channels = by;
            dnn->engines[0].no_f32_dw = rounds == 1;
            on_tensor_cores(&dnn->engines[0]);
            fwi_cuda_libs *l = open_libs(true);
            fwi_cuda_stream stream = {.libs = l, .sm = 90};
            for (int i = 0; i < COUNT(shapes) * COUNT(kinds); i++) {
                const conv_case *s = &shapes[i / 3];
                const fwi_attr attr = attr_of(s);
                fwi_call c = call_of(kinds[i % 3], s, &attr, FW_BF16, 1, &stream);
                run_and_check(&c, 0);
                fwi_dnn_key key;
                assert_true(fwi_dnn_key_of(&c, true, &key));
                const fwi_cudnn_plan *p = fwi_cudnn_plan_find(l, &key);
                const bool whole = s->c % by == 0 && s->oc % by == 0;
                assert_int_equal(p->pad, whole ? 0 : by);
                assert_int_equal(p->engine.pad, p->pad);
                assert_int_equal(p->asked.c, (s->c + by - 1) / by * by);
                assert_int_equal(p->asked.oc, (s->oc + by - 1) / by * by);
                c = call_of(kinds[i % 3], s, &attr, FW_F32, 1, &stream);
                if (rounds == 0) /* tf32 */
                    run_and_check(&c, kinds[i % 3] == FWI_OP_conv2d_dw ? 4 : 0);
            }
            fwi_cuda_libs_close(l);
            assert_int_equal(dnn->live, 0);
        }
}

/* As it stands comes first; f32 that is not rounded is not padded; a measured choice may name either. */
static void test_padded_choice(void **state)
{
    (void)state;
    reset();
    dnn->engines[1] = (fake_engine){.there = true, .index = 8, .channels = 8};
    dnn->engines[2] = (fake_engine){.there = true, .index = 9, .channels = 4};
    fwi_cuda_libs *l = open_libs(false);
    const fwi_dnn_key y =
        key_of(FWI_OP_conv2d, &shapes[0], FW_BF16, false); /* 3 channels, 4 filters */
    const fwi_dnn_key f32 = key_of(FWI_OP_conv2d, &shapes[0], FW_F32, false);
    static const int64_t engines[] = {7, 7, 9, 7, 8, 9};
    static const int32_t pads[] = {0, 4, 4, 8, 8, 8};
    seen s = {0};
    assert_int_equal(fwi_cudnn_candidates(l, &y, look, &s), FW_OK);
    assert_int_equal(s.n, COUNT(engines));
    for (int i = 0; i < s.n; i++) {
        assert_int_equal(s.engine[i], engines[i]);
        assert_int_equal(s.pad[i], pads[i]);
    }
    s = (seen){0};
    assert_int_equal(fwi_cudnn_candidates(l, &f32, look, &s), FW_OK);
    assert_int_equal(s.n, 1);
    assert_int_equal(fwi_cudnn_plan_get(l, &y)->pad, 0);
    const struct {
        int64_t engine;
        int32_t pad;
        bool taken;
    } cases[] = {{8, 8, true},  {9, 4, true}, {8, 4, false},
                 {8, 0, false}, {7, 8, true}, {7, 0, true}};
    for (int i = 0; i < COUNT(cases); i++) {
        const fwi_dnn_choice c = {.key = y, .engine = cases[i].engine, .pad = cases[i].pad};
        assert_int_equal(fwi_dnn_choices_put(&l->choices, &c), FW_OK);
        const fwi_cudnn_plan *p = fwi_cudnn_plan_renew(l, &y);
        assert_true(p->usable);
        assert_int_equal(p->measured, cases[i].taken);
        assert_int_equal(p->engine.engine, cases[i].taken ? cases[i].engine : 7);
        assert_int_equal(p->pad, cases[i].taken ? cases[i].pad : 0);
    }
    fwi_dnn_choice whole = {
        .key = key_of(FWI_OP_conv2d, &shapes[3], FW_BF16, false), .engine = 8, .pad = 8};
    assert_int_equal(fwi_dnn_choices_put(&l->choices, &whole), FW_OK);
    assert_false(fwi_cudnn_plan_get(l, &whole.key)->measured); /* of 8 channels: nothing to pad */
    fwi_cuda_libs_close(l);
    assert_int_equal(dnn->live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measured),
        cmocka_unit_test(test_candidates),
        cmocka_unit_test(test_padded_results),
        cmocka_unit_test(test_padded_choice),
    };
    point_at_fakes();
    dnn = dnn_state();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
