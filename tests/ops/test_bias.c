/* test_bias.c: bias_add and its gradient's sum over rows, against the double reference.
 * ctest: tsan */
#include "t_grad.h"

static const struct {
    fwi_shape x;
} shapes[] = {
    {{1, {7}}},
    {{2, {1, 1}}},
    {{2, {512, 10}}},
    {{2, {3, 33}}},
    {{3, {2, 9, 24}}},
    {{4, {3, 9, 9, 64}}},
    {{4, {2, 32, 32, 3}}},
    {{4, {1, 5, 7, 16}}},
    {{4, {2, 16, 16, 7}}},
    {{2, {1000, 130}}},
};

static fwi_shape channels(const fwi_shape *x)
{
    return fwi_shape1(x->d[x->rank - 1]);
}

static void test_bias_add(void **state)
{
    (void)state;
    for (int i = 0; i < T_COUNT(shapes); i++)
        for (int exact = 0; exact < 2; exact++) {
            t_case c;
            t_begin(&c, FWI_OP_bias_add, NULL);
            t_real(&c, shapes[i].x, exact ? T_INTS : T_NORMAL);
            t_real(&c, channels(&shapes[i].x), exact ? T_INTS : T_NORMAL);
            t_expect(&c);
            if (!exact)
                t_tol_linear(&c, 1);
            t_check(&c);
        }
}

static void test_sum_rows(void **state)
{
    (void)state;
    for (int i = 0; i < T_COUNT(shapes); i++)
        for (int fill = 0; fill < 3; fill++) {
            const fwi_shape *x = &shapes[i].x;
            t_case c;
            t_begin(&c, FWI_OP_sum_rows, NULL);
            t_real(&c, *x, fill == 0 ? T_INTS : fill == 1 ? T_NORMAL : T_SHIFTED);
            t_expect(&c);
            if (fill != 0)
                t_tol_linear(&c, fwi_shape_elems(x) / channels(x).d[0]);
            t_check(&c);
        }
}

static void test_by_hand(void **state)
{
    (void)state;
    static const double x[] = {1, 2, 3, 10, 20, 30}, b[] = {100, 200, 300};
    double got[6], *out[] = {got};
    t_case c;
    t_begin(&c, FWI_OP_bias_add, NULL);
    t_values(&c, FW_F32, fwi_shape2(2, 3), x);
    t_values(&c, FW_F32, fwi_shape1(3), b);
    t_reference(&c, out);
    for (int i = 0; i < 6; i++)
        assert_true(got[i] == x[i] + b[i % 3]);
    t_drop(&c);
    t_begin(&c, FWI_OP_sum_rows, NULL);
    t_values(&c, FW_F32, fwi_shape2(2, 3), x);
    t_reference(&c, out);
    for (int i = 0; i < 3; i++)
        assert_true(got[i] == x[i] + x[3 + i]);
    t_drop(&c);
}

static fwi_val build(t_net *net, const void *arg)
{
    const fwi_shape *s = arg;
    const fwi_val x = t_net_param(net, "x", *s, T_NORMAL);
    const fwi_val b = t_net_param(net, "b", channels(s), T_NORMAL);
    return t_net_dot(net, fwi_op2(t_net_graph(net), FWI_OP_bias_add, NULL, x, b));
}

static void test_gradient(void **state)
{
    (void)state;
    const fwi_shape a = fwi_shape2(5, 7), b = fwi_shape4(2, 3, 3, 4);
    t_net_check("bias_add", build, &a, 1e-7);
    t_net_check("bias_add", build, &b, 1e-7);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_bias_add),
        cmocka_unit_test(test_sum_rows),
        cmocka_unit_test(test_gradient),
    };
    return t_main(argc, argv, "test_bias", tests, sizeof tests / sizeof *tests);
}
