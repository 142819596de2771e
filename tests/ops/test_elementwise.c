/* test_elementwise.c: sums, scales and movement against the double reference, by hand, and against
 * differences. Moving elements rounds nothing, so those have a tolerance of 0.
 * ctest: tsan */
#include "t_grad.h"

#include <string.h>

/* The last two are several blocks of a loop (fast_loop.h). */
static const fwi_shape shapes[] = {
    {1, {1}},           {2, {3, 7}}, {2, {1, 33}}, {4, {2, 9, 9, 24}},
    {4, {3, 5, 7, 16}}, {1, {1027}}, {1, {70001}}, {3, {40, 30, 64}},
};

static void test_add_scale(void **state)
{
    (void)state;
    for (int i = 0; i < T_COUNT(shapes); i++)
        for (int exact = 0; exact < 2; exact++) {
            const t_fill fill = exact ? T_INTS : T_AWAY;
            t_case c;
            t_begin(&c, FWI_OP_add, NULL);
            t_real(&c, shapes[i], fill)[0] = 2;
            t_real(&c, shapes[i], fill)[0] = 3;
            t_expect(&c);
            if (!exact)
                t_tol_linear(&c, 1);
            t_check(&c);

            t_begin(&c, FWI_OP_scale, &(fwi_attr){.scalar = {exact ? -4 : 0.125 / 3}});
            t_real(&c, shapes[i], fill)[0] = 2;
            t_expect(&c);
            if (!exact)
                t_tol_linear(&c, 1);
            t_check(&c);

            t_begin(&c, FWI_OP_scale_by, NULL);
            t_real(&c, shapes[i], fill)[0] = 2;
            t_real(&c, fwi_shape1(1), T_AWAY)[0] = exact ? 3 : 0.7f;
            t_expect(&c);
            if (!exact)
                t_tol_linear(&c, 1);
            t_check(&c);
        }
}

static void test_concat_slice(void **state)
{
    (void)state;
    static const int64_t widths[][2] = {{1, 1}, {3, 16}, {64, 7}, {24, 33}, {512, 512}};
    for (int i = 0; i < T_COUNT(widths); i++)
        for (int rank = 1; rank <= 4; rank++) {
            fwi_shape a = {.rank = rank, .d = {2, 3, 4, 1}};
            a.d[rank - 1] = widths[i][0];
            fwi_shape b = a;
            b.d[rank - 1] = widths[i][1];
            t_case c;
            t_begin(&c, FWI_OP_concat, NULL);
            t_real(&c, a, T_AWAY);
            t_real(&c, b, T_AWAY);
            t_expect(&c);
            t_check(&c);

            const int64_t len = 1 + t_below(widths[i][0]);
            const int64_t begin = t_below(widths[i][0] - len + 1);
            t_begin(&c, FWI_OP_slice, &(fwi_attr){.slice = {begin, len}});
            t_real(&c, a, T_AWAY);
            t_expect(&c);
            t_check(&c);
        }
    /* of several blocks */
    t_case c;
    t_begin(&c, FWI_OP_concat, NULL);
    t_real(&c, fwi_shape2(100, 512), T_AWAY);
    t_real(&c, fwi_shape2(100, 500), T_AWAY);
    t_expect(&c);
    t_check(&c);
    t_begin(&c, FWI_OP_slice, &(fwi_attr){.slice = {300, 700}});
    t_real(&c, fwi_shape2(100, 1012), T_AWAY);
    t_expect(&c);
    t_check(&c);
}

/* reshape and fill of every type that they take */
static void test_reshape_fill(void **state)
{
    (void)state;
    static const fw_dtype types[] = {FW_F32, FW_U8, FW_I32, FW_I64};
    for (int i = 0; i < T_COUNT(types); i++) {
        t_case c;
        t_begin(&c, FWI_OP_reshape, &(fwi_attr){.shape = {.rank = 2, .d0 = 3, .d1 = 70}});
        if (types[i] == FW_F32)
            t_real(&c, fwi_shape4(3, 2, 5, 7), T_AWAY);
        else
            t_ints(&c, types[i], fwi_shape4(3, 2, 5, 7), 1, 100);
        t_expect(&c);
        t_check(&c);

        const fwi_attr a = {
            .fill = {.rank = 3, .d0 = 3, .d1 = 5, .d2 = 7, .dtype = types[i], .value = 42}};
        t_begin(&c, FWI_OP_fill, &a);
        t_expect(&c);
        assert_true(c.result[0].n == 105 && c.result[0].want[104] == 42);
        t_check(&c);
    }
    t_case c;
    t_begin(&c, FWI_OP_fill, &(fwi_attr){.fill = {.dtype = FW_F32, .value = 0.1}}); /* rank 0 */
    t_expect(&c);
    t_check(&c);
    t_begin(&c, FWI_OP_fill, /* of several blocks */
            &(fwi_attr){.fill = {.rank = 1, .d0 = 70001, .dtype = FW_F32, .value = -3}});
    t_expect(&c);
    t_check(&c);
}

static void test_cast(void **state)
{
    (void)state;
    static const fw_dtype from[] = {FW_U8, FW_I32, FW_I64, FW_F64};
    for (int i = 0; i < T_COUNT(from); i++) {
        t_case c;
        t_begin(&c, FWI_OP_cast, &(fwi_attr){.cast = {FW_F32}});
        if (from[i] == FW_F64) {
            double v[35];
            for (int j = 0; j < 35; j++)
                v[j] = t_normal(); /* tolerance 0: the nearest float */
            t_values(&c, FW_F64, fwi_shape2(5, 7), v);
        } else {
            t_ints(&c, from[i], fwi_shape2(5, 7), from[i] == FW_U8 ? 0 : -70000,
                   from[i] == FW_U8 ? 255 : 70000);
        }
        t_expect(&c);
        t_check(&c);
    }
    t_case c; /* float to double: exact */
    t_begin(&c, FWI_OP_cast, &(fwi_attr){.cast = {FW_F64}});
    t_real(&c, fwi_shape2(5, 7), T_NORMAL);
    t_expect(&c);
    t_check(&c);
}

static void test_by_hand(void **state)
{
    (void)state;
    static const double a[] = {1, 2, 3, 4}, b[] = {10, 20};
    static const double joined[] = {1, 2, 10, 3, 4, 20};
    double y[6], *out[] = {y};
    t_case c;
    t_begin(&c, FWI_OP_concat, NULL);
    t_values(&c, FW_F32, fwi_shape2(2, 2), a);
    t_values(&c, FW_F32, fwi_shape2(2, 1), b);
    t_reference(&c, out);
    t_drop(&c);
    assert_memory_equal(y, joined, sizeof joined);

    t_begin(&c, FWI_OP_slice, &(fwi_attr){.slice = {1, 1}});
    t_values(&c, FW_F32, fwi_shape2(2, 3), joined);
    t_reference(&c, out);
    t_drop(&c);
    assert_true(y[0] == 2 && y[1] == 4);

    t_begin(&c, FWI_OP_scale, &(fwi_attr){.scalar = {-0.5}});
    t_values(&c, FW_F32, fwi_shape1(4), a);
    t_reference(&c, out);
    t_drop(&c);
    assert_true(y[0] == -0.5 && y[3] == -2);
}

static fwi_val build(t_net *net, const void *arg)
{
    (void)arg;
    fwi_graph *g = t_net_graph(net);
    const fwi_val a = t_net_param(net, "a", fwi_shape4(2, 2, 3, 4), T_NORMAL);
    const fwi_val b = t_net_param(net, "b", fwi_shape4(2, 2, 3, 4), T_NORMAL);
    const fwi_val d = t_net_param(net, "d", fwi_shape4(2, 2, 3, 5), T_NORMAL);
    const fwi_attr scale = {.scalar = {-1.7}}, flat = {.shape = {.rank = 2, .d0 = 12, .d1 = 9}};
    const fwi_val sum = fwi_op2(g, FWI_OP_add, NULL, a, fwi_op1(g, FWI_OP_scale, &scale, b));
    const fwi_val twice = fwi_op2(g, FWI_OP_add, NULL, sum, a); /* a is used twice */
    const fwi_val both = fwi_op2(g, FWI_OP_concat, NULL, twice, d);
    const fwi_val tanh = fwi_op1(g, FWI_OP_act, &(fwi_attr){.act = {FWI_TANH, 0}}, both);
    return t_net_dot(net, fwi_op1(g, FWI_OP_reshape, &flat, tanh));
}

static void test_gradient(void **state)
{
    (void)state;
    t_net_check("add, scale, concat, reshape", build, NULL, 1e-7);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),      cmocka_unit_test(test_add_scale),
        cmocka_unit_test(test_concat_slice), cmocka_unit_test(test_reshape_fill),
        cmocka_unit_test(test_cast),         cmocka_unit_test(test_gradient),
    };
    return t_main(argc, argv, "test_elementwise", tests, sizeof tests / sizeof *tests);
}
