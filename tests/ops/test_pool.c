/* test_pool.c: pools and their gradients against the double reference, by hand, at ties and NaNs,
 * and against differences.
 * ctest: tsan */
#include "t_grad.h"

#include <math.h>
#include <stdlib.h>

typedef struct pool_shape {
    int64_t n, h, w, c, k, stride;
} pool_shape;

static const pool_shape shapes[] = {
    {1, 1, 1, 1, 1, 1},  {2, 4, 4, 16, 2, 2},   {3, 9, 9, 7, 2, 2},    {1, 7, 5, 33, 3, 1},
    {2, 9, 8, 24, 3, 2}, {2, 6, 6, 64, 2, 1},   {1, 5, 9, 3, 5, 1},    {3, 4, 4, 33, 4, 4},
    {2, 8, 7, 16, 2, 3}, {2, 16, 16, 64, 2, 2}, {1, 16, 16, 3, 16, 1},
};

#define SHAPES (T_COUNT(shapes) + T_RANDOM(20))

/* Of case i; behind the fixed ones a new one with each call. */
static const pool_shape *shape_at(int i)
{
    static pool_shape drawn;
    if (i < T_COUNT(shapes))
        return &shapes[i];
    drawn.n = 1 + t_below(4); /* one after the other: a seed draws the same with any compiler */
    drawn.h = 1 + t_below(10);
    drawn.w = 1 + t_below(10);
    drawn.c = 1 + t_below(70);
    drawn.k = 1 + t_below(drawn.h < drawn.w ? drawn.h : drawn.w);
    drawn.stride = 1 + t_below(4);
    return &drawn;
}

static fwi_shape in_shape(const pool_shape *p)
{
    return fwi_shape4(p->n, p->h, p->w, p->c);
}

static fwi_shape out_shape(const pool_shape *p)
{
    return fwi_shape4(p->n, (p->h - p->k) / p->stride + 1, (p->w - p->k) / p->stride + 1, p->c);
}

static fwi_attr pool_attr(const pool_shape *p)
{
    return (fwi_attr){.pool = {p->k, p->stride, p->h, p->w}};
}

static void test_windows(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const pool_shape *p = shape_at(i);
        const fwi_attr a = pool_attr(p);
        /* whole numbers tie all the time: the place must be that of the first maximum */
        for (int fill = 0; fill < 2; fill++) {
            t_case c;
            t_begin(&c, FWI_OP_max_pool, &a);
            t_real(&c, in_shape(p), fill == 0 ? T_INTS : T_NORMAL);
            t_expect(&c);
            t_check(&c);

            t_begin(&c, FWI_OP_max_pool_grad, &a);
            t_real(&c, out_shape(p), fill == 0 ? T_INTS : T_NORMAL);
            t_ints(&c, FW_U8, out_shape(p), 0, p->k * p->k - 1);
            t_expect(&c);
            if (fill == 1)
                t_tol_linear(&c, p->k * p->k);
            t_check(&c);

            t_begin(&c, FWI_OP_avg_pool, &a);
            t_real(&c, in_shape(p), fill == 0 ? T_SHIFTED : T_NORMAL);
            t_expect(&c);
            t_tol_linear(&c, p->k * p->k);
            t_check(&c);

            t_begin(&c, FWI_OP_avg_pool_grad, &a);
            t_real(&c, out_shape(p), fill == 0 ? T_SHIFTED : T_NORMAL);
            t_expect(&c);
            t_tol_linear(&c, p->k * p->k);
            t_check(&c);
        }
    }
}

/* Planes of one colour, as of a background: each place rounds the same way, and a single sum would lose digits. */
static void test_one_colour(void **state)
{
    (void)state;
    enum { SIDE = 128, CHANNELS = 5, WINDOW = 32 };
    const fwi_shape s = fwi_shape4(1, SIDE, SIDE, CHANNELS);
    const int64_t n = fwi_shape_elems(&s);
    double *const x = calloc((size_t)n, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = 0.931 + 0.017 * (double)(i % CHANNELS);
    for (int global = 0; global < 2; global++) {
        t_case c;
        t_begin(&c, global == 1 ? FWI_OP_global_avg_pool : FWI_OP_avg_pool,
                global == 1 ? NULL : &(fwi_attr){.pool = {.k = WINDOW, .stride = WINDOW}});
        t_values(&c, FW_F32, s, x);
        t_expect(&c);
        t_tol_linear(&c, global == 1 ? SIDE * SIDE : WINDOW * WINDOW);
        t_check(&c);
    }
    free(x);
}

/* A window of 4 and sums of whole numbers: exact in every kernel. */
static void test_exact_average(void **state)
{
    (void)state;
    const pool_shape p = {3, 9, 8, 24, 2, 2};
    const fwi_attr a = pool_attr(&p);
    for (int op = 0; op < 2; op++) {
        t_case c;
        t_begin(&c, op == 0 ? FWI_OP_avg_pool : FWI_OP_avg_pool_grad, &a);
        t_real(&c, op == 0 ? in_shape(&p) : out_shape(&p), T_INTS);
        t_expect(&c);
        t_check(&c);
    }
}

static void test_global(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const pool_shape *p = shape_at(i);
        const fwi_attr a = {.pool = {.ih = p->h, .iw = p->w}};
        const fwi_shape nc = fwi_shape2(p->n, p->c);
        for (int fill = 0; fill < 2; fill++) {
            t_case c;
            t_begin(&c, FWI_OP_global_max_pool, NULL);
            t_real(&c, in_shape(p), fill == 0 ? T_INTS : T_SHIFTED);
            t_expect(&c);
            t_check(&c);

            t_begin(&c, FWI_OP_global_max_pool_grad, &a);
            t_real(&c, nc, T_SHIFTED);
            t_ints(&c, FW_I32, nc, 0, p->h * p->w < 3 ? 0 : 2); /* few places: most of dx is 0 */
            t_expect(&c);
            t_check(&c);

            t_begin(&c, FWI_OP_global_avg_pool, NULL);
            t_real(&c, in_shape(p), fill == 0 ? T_SHIFTED : T_NORMAL);
            t_expect(&c);
            t_tol_linear(&c, p->h * p->w);
            t_check(&c);

            t_begin(&c, FWI_OP_global_avg_pool_grad, &a);
            t_real(&c, nc, T_NORMAL);
            t_expect(&c);
            t_tol_linear(&c, 1);
            t_check(&c);
        }
    }
    /* one place in two: the count of results that are not 0 must not depend on large images */
    t_case c;
    t_begin(&c, FWI_OP_global_max_pool_grad, &(fwi_attr){.pool = {.ih = 1, .iw = 2}});
    t_real(&c, fwi_shape2(100, 100), T_AWAY);
    t_ints(&c, FW_I32, fwi_shape2(100, 100), 0, 1);
    t_expect(&c);
    t_check(&c);
}

/* Ties give the first place, a NaN wins over everything, the first NaN over later ones. Held by
 * every kernel: the tolerance is 0. */
static void test_ties_and_nans(void **state)
{
    (void)state;
    enum { C = 37 };
    static const double windows[][4] = {
        {1, 1, 1, 1},          {0, 2, 2, 1},          {NAN, 5, 1, NAN},
        {3, NAN, 9, 9},        {1, 2, INFINITY, NAN}, {-INFINITY, -INFINITY, -INFINITY, -INFINITY},
        {-0.0, 0.0, 0.0, -0.0}};
    static const int places[] = {0, 1, 0, 1, 3, 0, 0};
    double x[4 * C];
    for (int i = 0; i < 4 * C; i++)
        x[i] = windows[i % C % 7][i / C];
    for (int global = 0; global < 2; global++) {
        t_case c;
        t_begin(&c, global ? FWI_OP_global_max_pool : FWI_OP_max_pool,
                global ? NULL : &(fwi_attr){.pool = {2, 2, 2, 2}});
        t_values(&c, FW_F32, fwi_shape4(1, 2, 2, C), x);
        t_expect(&c);
        for (int i = 0; i < C; i++) {
            const double want = windows[i % 7][places[i % 7]], got = c.result[0].want[i];
            assert_true(got == want || (isnan(got) && isnan(want)));
            assert_true(c.result[1].want[i] == places[i % 7]);
        }
        t_check(&c);
    }
}

/* 3 x 3, windows of 2, stride 1: overlapping windows, so that gradients add up. */
static void test_by_hand(void **state)
{
    (void)state;
    static const double x[] = {1, 9, 2, 3, 4, 5, 8, 7, 6}, dy[] = {1, 10, 100, 1000};
    static const double max[] = {9, 9, 8, 7}, idx[] = {1, 0, 2, 2};
    static const double max_dx[] = {0, 11, 0, 0, 0, 0, 100, 1000, 0};
    static const double avg_dx[] = {0.25, 2.75, 2.5, 25.25, 277.75, 252.5, 25, 275, 250};
    const fwi_attr a = {.pool = {2, 1, 3, 3}};
    double y[9], at[9], *out[] = {y, at};
    t_case c;
    t_begin(&c, FWI_OP_max_pool, &a);
    t_values(&c, FW_F32, fwi_shape4(1, 3, 3, 1), x);
    t_reference(&c, out);
    t_drop(&c);
    for (int i = 0; i < 4; i++)
        assert_true(y[i] == max[i] && at[i] == idx[i]);

    t_begin(&c, FWI_OP_max_pool_grad, &a);
    t_values(&c, FW_F32, fwi_shape4(1, 2, 2, 1), dy);
    t_values(&c, FW_U8, fwi_shape4(1, 2, 2, 1), idx);
    t_reference(&c, out);
    t_drop(&c);
    for (int i = 0; i < 9; i++)
        assert_true(y[i] == max_dx[i]);

    t_begin(&c, FWI_OP_avg_pool, &a);
    t_values(&c, FW_F32, fwi_shape4(1, 3, 3, 1), x);
    t_reference(&c, out);
    t_drop(&c);
    assert_true(y[0] == 17 / 4.0 && y[1] == 5 && y[2] == 22 / 4.0 && y[3] == 22 / 4.0);

    t_begin(&c, FWI_OP_avg_pool_grad, &a);
    t_values(&c, FW_F32, fwi_shape4(1, 2, 2, 1), dy);
    t_reference(&c, out);
    t_drop(&c);
    for (int i = 0; i < 9; i++)
        assert_true(y[i] == avg_dx[i]);
}

typedef struct pool_net {
    fwi_opkind op;
    pool_shape p;
} pool_net;

static fwi_val build(t_net *net, const void *arg)
{
    const pool_net *s = arg;
    const fwi_attr a = pool_attr(&s->p);
    const bool global = s->op == FWI_OP_global_avg_pool || s->op == FWI_OP_global_max_pool;
    const fwi_val x = t_net_param(net, "x", in_shape(&s->p), T_SPREAD);
    return t_net_dot(net, fwi_op1(t_net_graph(net), s->op, global ? NULL : &a, x));
}

static void test_gradient(void **state)
{
    (void)state;
    static const fwi_opkind ops[] = {FWI_OP_max_pool, FWI_OP_avg_pool, FWI_OP_global_max_pool,
                                     FWI_OP_global_avg_pool};
    static const pool_shape sizes[] = {{2, 6, 7, 3, 2, 2}, {2, 5, 5, 4, 3, 1}, {1, 7, 4, 2, 3, 2}};
    for (int i = 0; i < T_COUNT(ops); i++)
        for (int j = 0; j < T_COUNT(sizes); j++) {
            const pool_net s = {ops[i], sizes[j]};
            t_net_check(fwi_op_info_get(ops[i])->name, build, &s, 1e-7);
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),       cmocka_unit_test(test_windows),
        cmocka_unit_test(test_exact_average), cmocka_unit_test(test_one_colour),
        cmocka_unit_test(test_global),        cmocka_unit_test(test_ties_and_nans),
        cmocka_unit_test(test_gradient),
    };
    return t_main(argc, argv, "test_pool", tests, sizeof tests / sizeof *tests);
}
