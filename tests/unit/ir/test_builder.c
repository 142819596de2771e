/* test_builder.c: the builder's error that sticks, calls and names that it refuses, convolutions with
 * their attributes filled in, copies of graphs. */
#include "t_graph.h"

#include <math.h>

/* ---- the builder ---- */

static void builder_keeps_first_error(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_val x = t_x(g, T_SHAPE(2, 3));
    fwi_val outs[3] = {9, 9, 9};
    assert_int_equal(fwi_graph_op(g, FWI_OP_max_pool, NULL, &x, 1, outs), FWI_NO_VAL);
    assert_int_equal(outs[0], FWI_NO_VAL);
    assert_int_equal(outs[1], FWI_NO_VAL);
    assert_int_equal(outs[2], 9); /* max_pool has two */
    const int32_t n = g->n_tensors;
    assert_int_equal(fwi_op1(g, FWI_OP_relu, NULL, FWI_NO_VAL), FWI_NO_VAL);
    assert_int_equal(fwi_op1(g, FWI_OP_relu, NULL, x), FWI_NO_VAL); /* right, but too late */
    assert_int_equal(t_x(g, T_SHAPE(1)), FWI_NO_VAL);
    assert_int_equal(t_var(g, T_SHAPE(1)), FWI_NO_VAL);
    assert_int_equal(fwi_conv2d_same(g, x, x, 1), FWI_NO_VAL);
    fwi_graph_output(g, "y", x);
    assert_int_equal(g->n_tensors, n);
    assert_int_equal(g->n_outputs, 0);
    fwi_fail(FW_EIO, "something else happened on this thread");
    assert_int_equal(fwi_graph_verify(g), FW_EARG);
    t_message_has("max_pool: attributes are missing");
    fwi_buf text = {0};
    assert_int_equal(fwi_graph_print(g, &text), FW_EARG);
    fwi_graph *copy = NULL;
    assert_int_equal(fwi_graph_copy(&copy, g), FW_EARG);
    fwi_memplan m;
    assert_int_equal(fwi_memplan_make(g, NULL, &m), FW_EARG);
    assert_int_equal(fwi_pass_dead_code(g), FW_EARG);
    assert_int_equal(fwi_pass_constants(g), FW_EARG);
    t_refused(g, FW_EARG, "max_pool: attributes are missing", NULL);
}

static void wrong_calls(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    fwi_op1(g, FWI_OP_relu, NULL, 5);
    t_refused(g, FW_EARG, "relu: input 0 is 5, which is no tensor of this graph", NULL);
    g = t_graph();
    fwi_op2(g, FWI_OP_relu, NULL, t_x(g, T_SHAPE(1)), 0);
    t_refused(g, FW_EARG, "relu: 2 inputs given, expected 1", NULL);
    g = t_graph();
    fwi_op1(g, FWI_OP_COUNT, NULL, t_x(g, T_SHAPE(1)));
    t_refused(g, FW_EARG, "is no op", NULL);
    g = t_graph();
    fwi_op1(g, FWI_OP_relu, NULL, t_in(g, FW_I32, T_SHAPE(2)));
    t_refused(g, FW_ESHAPE, "relu(i32[2]): x is i32, expected f32", NULL);
    g = t_graph();
    fwi_op1(g, FWI_OP_relu, NULL, t_in(g, FW_F64, T_SHAPE(2)));
    t_refused(g, FW_ESHAPE, "relu(f64[2]): x is f64, expected f32", NULL);
    fwi_graph *none = NULL;
    assert_int_equal(fwi_graph_new(&none, FW_U8), FW_EARG);
    assert_null(none);
    fwi_graph_free(NULL);
    assert_null(fwi_op_info_get(FWI_OP_COUNT));
}

static void names(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    const fwi_init uniform = {FWI_INIT_UNIFORM, -0.5, 0.5};
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, T_SHAPE(2, 3));
    const fwi_val w = fwi_graph_var(g, "w", FWI_VAR_CONV, true, T_SHAPE(4), uniform);
    assert_int_equal(fwi_graph_input(g, "x", FW_F32, T_SHAPE(2, 3)), x);
    assert_int_equal(fwi_graph_var(g, "w", FWI_VAR_CONV, true, T_SHAPE(4), uniform), w);
    const fwi_val y = fwi_op1(g, FWI_OP_relu, NULL, x);
    fwi_graph_output(g, "y", y);
    fwi_graph_output(g, "y", y);
    fwi_graph_output(g, "x", x);
    t_ok(g);
    assert_int_equal(g->n_outputs, 2);
    assert_int_equal(fwi_graph_find(g, "x"), x);
    assert_int_equal(fwi_graph_find(g, "w"), w);
    assert_int_equal(fwi_graph_find(g, "y"), y);
    assert_int_equal(fwi_graph_find(g, "z"), FWI_NO_VAL);
    fwi_graph *copies[6];
    for (int i = 0; i < 6; i++)
        assert_int_equal(fwi_graph_copy(&copies[i], g), FW_OK);
    fwi_graph_free(g);
    assert_int_equal(fwi_graph_verify(copies[0]), FW_OK); /* owns its names */
    assert_int_equal(fwi_graph_find(copies[0], "y"), y);
    fwi_graph_input(copies[0], "w", FW_F32, T_SHAPE(4));
    t_refused(copies[0], FW_EARG, "\"w\" is the name of a variable already", NULL);
    fwi_graph_var(copies[1], "w", FWI_VAR_CONV, true, T_SHAPE(5), uniform);
    t_refused(copies[1], FW_ESHAPE, "\"w\" was declared as f32[4], now as f32[5]", NULL);
    fwi_graph_var(copies[2], "w", FWI_VAR_STAT, false, T_SHAPE(4), uniform);
    t_refused(copies[2], FW_EARG, "a trainable conv, now as a fixed stat", NULL);
    fwi_graph_output(copies[3], "y", w);
    t_refused(copies[3], FW_EARG, "output \"y\" is another tensor already", NULL);
    /* outputs have names of their own; fwi_graph_find gives the input or variable */
    const fwi_val late = fwi_graph_input(copies[4], "y", FW_F32, T_SHAPE(4));
    fwi_graph_output(copies[4], "w", y);
    t_ok(copies[4]);
    assert_int_equal(fwi_graph_find(copies[4], "y"), late);
    assert_int_equal(fwi_graph_find(copies[4], "w"), w);
    assert_int_equal(fwi_graph_verify(copies[4]), FW_OK);
    fwi_graph_free(copies[4]);
    fwi_graph_output(copies[5], "z", 40);
    t_refused(copies[5], FW_EARG, "output \"z\" is 40", NULL);

    char long_name[300];
    memset(long_name, 'n', sizeof long_name);
    long_name[256] = 0;
    g = t_graph();
    fwi_graph_input(g, long_name, FW_F32, T_SHAPE(1));
    t_refused(g, FW_EARG, "has 256 bytes, expected 1 to 255", NULL);
    g = t_graph();
    fwi_graph_input(g, "", FW_F32, T_SHAPE(1));
    t_refused(g, FW_EARG, "has 0 bytes", NULL);
    g = t_graph();
    fwi_graph_input(g, "x", FW_F32, T_SHAPE(INT64_MAX, 2));
    t_refused(g, FW_ESHAPE, "at most 2^40 elements", NULL);
    g = t_graph();
    fwi_graph_input(g, "x", FW_F32, (fwi_shape){.rank = 5});
    t_refused(g, FW_ESHAPE, "5 dimensions", NULL);
    g = t_graph();
    fwi_graph_input(g, "x", (fw_dtype)42, T_SHAPE(1));
    t_refused(g, FW_EARG, "42 is no element type", NULL);
    g = t_graph();
    fwi_graph_var(g, "w", FWI_VAR_STAT, true, T_SHAPE(1), uniform);
    t_refused(g, FW_EARG, "of class stat, which cannot be trained", NULL);
    g = t_graph();
    fwi_graph_var(g, "w", FWI_VAR_CONV, true, T_SHAPE(1), (fwi_init){FWI_INIT_CONST, NAN, 0});
    t_refused(g, FW_EARG, "initialiser", NULL);
}

/* ---- convolutions with their attributes filled in ---- */

static void conv_helpers(void **state)
{
    (void)state;
    /* input, filter, stride -> top, bottom as TensorFlow's SAME has them */
    const int64_t cases[][5] = {{32, 3, 1, 1, 1}, {32, 3, 2, 0, 1}, {5, 3, 2, 1, 1},
                                {7, 1, 2, 0, 0},  {6, 2, 1, 0, 1},  {9, 5, 3, 1, 1},
                                {2, 5, 1, 2, 2},  {8, 2, 4, 0, 0}};
    for (int i = 0; i < T_COUNT(cases); i++) {
        const int64_t ih = cases[i][0], k = cases[i][1], s = cases[i][2];
        fwi_graph *g = t_graph();
        const fwi_val y =
            fwi_conv2d_same(g, t_x(g, T_SHAPE(1, ih, 11, 2)), t_x(g, T_SHAPE(3, k, 1, 2)), s);
        t_is_shape(g, y, FW_F32, T_SHAPE(1, (ih + s - 1) / s, (11 + s - 1) / s, 3));
        const fwi_conv_attr *a = &g->ops[0].attr.conv;
        assert_int_equal(a->pad_t, cases[i][3]);
        assert_int_equal(a->pad_b, cases[i][4]);
        assert_int_equal(a->pad_l, 0);
        assert_int_equal(a->kh, k);
        assert_int_equal(a->kw, 1);
        assert_int_equal(a->iw, 11);
        fwi_graph_free(g);
    }
    fwi_graph *g = t_graph();
    t_is_shape(g, fwi_conv2d_pad(g, t_x(g, T_SHAPE(1, 8, 9, 2)), t_x(g, T_SHAPE(3, 5, 3, 2)), 2, 1),
               FW_F32, T_SHAPE(1, 3, 5, 3));
    assert_int_equal(g->ops[0].attr.conv.pad_b, 1);
    fwi_graph_free(g);
    g = t_graph();
    fwi_conv2d_same(g, t_x(g, T_SHAPE(1, 8, 9)), t_x(g, T_SHAPE(3, 5, 3, 2)), 1);
    t_refused(g, FW_ESHAPE, "x has 3 dimensions", NULL);
    g = t_graph();
    fwi_conv2d_same(g, t_x(g, T_SHAPE(1, 8, 9, 2)), t_x(g, T_SHAPE(3, 5, 3, 2)), 0);
    t_refused(g, FW_EARG, "stride is 0", NULL);
    g = t_graph();
    fwi_conv2d_pad(g, t_x(g, T_SHAPE(1, 8, 9, 2)), t_x(g, T_SHAPE(3, 5, 3, 2)), 1, -2);
    t_refused(g, FW_EARG, "pad_t is -2", NULL);
    g = t_graph();
    fwi_conv2d_same(g, FWI_NO_VAL, 99, 1);
    t_refused(g, FW_EARG, "no tensor of this graph", NULL);
}

/* ---- copies ---- */

static void copy_allocation_failures(void **state)
{
    (void)state;
    fwi_graph *g = t_graph();
    fwi_val h = t_x(g, T_SHAPE(2, 3));
    for (int i = 0; i < 100; i++)
        h = fwi_op2(g, FWI_OP_add, NULL, h, t_var(g, T_SHAPE(2, 3)));
    fwi_graph_output(g, "y", h);
    t_ok(g);
    bool done = false;
    for (int64_t at = 1; !done; at++) {
        fwi_graph *copy = NULL;
        fwi_mem_fail_at(at);
        const fw_status st = fwi_graph_copy(&copy, g);
        fwi_mem_fail_at(0);
        done = st == FW_OK;
        assert_true(done ? at > 5 : st == FW_ENOMEM && copy == NULL);
        if (done)
            assert_int_equal(fwi_graph_verify(copy), FW_OK);
        fwi_graph_free(copy);
    }
    fwi_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builder_keeps_first_error),
        cmocka_unit_test(wrong_calls),
        cmocka_unit_test(names),
        cmocka_unit_test(conv_helpers),
        cmocka_unit_test(copy_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
