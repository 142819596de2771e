/* test_matmul.c: every matrix product against the double reference, in its four orientations.
 * ctest: tsan */
#include "t_grad.h"

typedef struct mm {
    int64_t m, n, k;
    bool ta, tb;
} mm;

static fwi_shape shape_a(const mm *s)
{
    return s->ta ? fwi_shape2(s->k, s->m) : fwi_shape2(s->m, s->k);
}

static fwi_shape shape_b(const mm *s)
{
    return s->tb ? fwi_shape2(s->n, s->k) : fwi_shape2(s->k, s->n);
}

static void check(const mm *s, bool exact)
{
    t_case c;
    t_begin(&c, FWI_OP_matmul, &(fwi_attr){.matmul = {s->ta, s->tb}});
    t_real(&c, shape_a(s), exact ? T_INTS : T_SHIFTED);
    t_real(&c, shape_b(s), exact ? T_INTS : T_NORMAL);
    t_expect(&c);
    if (!exact)
        t_tol_linear(&c, s->k);
    t_check(&c);
}

static void test_shapes(void **state)
{
    (void)state;
    /* the last three: sums of several pieces (fast_matmul.h), as of a head's weights */
    static const int64_t sizes[][3] = {
        {1, 1, 1},     {1, 10, 7},    {3, 10, 512}, {2, 33, 24},    {64, 10, 65},
        {10, 512, 6},  {17, 31, 29},  {48, 48, 48}, {5, 64, 100},   {33, 7, 1},
        {10, 513, 14}, {70, 130, 33}, {3, 10, 513}, {10, 33, 1100}, {5, 16, 2000},
    };
    for (int i = 0; i < T_COUNT(sizes); i++)
        for (int t = 0; t < 4; t++) {
            const mm s = {sizes[i][0], sizes[i][1], sizes[i][2], (t & 1) != 0, (t & 2) != 0};
            check(&s, false);
            check(&s, true);
        }
    for (int i = 0; i < T_RANDOM(40); i++) {
        const mm s = {1 + t_below(40), 1 + t_below(70), 1 + t_below(90), t_below(2) == 1,
                      t_below(2) == 1};
        check(&s, false);
    }
}

/* (1 2 / 3 4) (5 6 / 7 8), each side stored both ways. */
static void test_by_hand(void **state)
{
    (void)state;
    static const double a[2][4] = {{1, 2, 3, 4}, {1, 3, 2, 4}};
    static const double b[2][4] = {{5, 6, 7, 8}, {5, 7, 6, 8}};
    static const double y[] = {19, 22, 43, 50};
    for (int t = 0; t < 4; t++) {
        double got[4], *out[] = {got};
        t_case c;
        t_begin(&c, FWI_OP_matmul, &(fwi_attr){.matmul = {t & 1, t >> 1}});
        t_values(&c, FW_F32, fwi_shape2(2, 2), a[t & 1]);
        t_values(&c, FW_F32, fwi_shape2(2, 2), b[t >> 1]);
        t_reference(&c, out);
        for (int i = 0; i < 4; i++)
            assert_true(got[i] == y[i]);
        t_drop(&c);
    }
}

static fwi_val build(t_net *net, const void *arg)
{
    const mm *s = arg;
    const fwi_attr a = {.matmul = {s->ta, s->tb}};
    const fwi_val x = t_net_param(net, "a", shape_a(s), T_NORMAL);
    const fwi_val w = t_net_param(net, "b", shape_b(s), T_NORMAL);
    return t_net_dot(net, fwi_op2(t_net_graph(net), FWI_OP_matmul, &a, x, w));
}

static void test_gradient(void **state)
{
    (void)state;
    for (int t = 0; t < 4; t++) {
        const mm s = {3, 5, 7, (t & 1) != 0, (t & 2) != 0};
        t_net_check("matmul", build, &s, 1e-7);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_gradient),
    };
    return t_main(argc, argv, "test_matmul", tests, sizeof tests / sizeof *tests);
}
