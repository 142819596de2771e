/* test_dropout.c: which elements dropout keeps is a function of (seed, step, ordinal, element), the
 * same for every kernel; how many, and what they become; and its gradient. */
#include "t_grad.h"

#include <math.h>
#include <string.h>

static void test_kernels(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 3, 4, 5, 63, 64, 1027, 20000, 70001};
    static const double shares[] = {0, 0.25, 0.5, 0.9};
    for (int i = 0; i < T_COUNT(sizes); i++)
        for (int j = 0; j < T_COUNT(shares); j++) {
            const double rng[] = {(double)(t_below(1000) - 500), (double)t_below(100000)};
            t_case c;
            t_begin(&c, FWI_OP_dropout, &(fwi_attr){.dropout = {shares[j], t_below(5)}});
            t_real(&c, fwi_shape1(sizes[i]), T_AWAY);
            t_values(&c, FW_I64, fwi_shape1(2), rng);
            t_expect(&c);
            t_tol_linear(&c, 1); /* 0 stays 0: |terms| is 0 there */
            t_check(&c);
        }
}

/* One draw of the definition in rng.h, word for word. */
static void test_definition(void **state)
{
    (void)state;
    enum { N = 4096 };
    static const double rng[] = {-7, 1234567};
    static double x[N], y[N], again[N];
    double *out[] = {y};
    for (int i = 0; i < N; i++)
        x[i] = i + 1;
    t_case c;
    t_begin(&c, FWI_OP_dropout, &(fwi_attr){.dropout = {0.25, 3}});
    t_values(&c, FW_F32, fwi_shape2(64, 64), x);
    t_values(&c, FW_I64, fwi_shape1(2), rng);
    t_reference(&c, out);
    int kept = 0;
    for (int i = 0; i < N; i++) {
        uint32_t w[4];
        fwi_rng_block((uint64_t)-7, FWI_RNG_DROPOUT, 3, (uint64_t)1234567 << 32 | (uint64_t)(i / 4),
                      0, w);
        const bool keep = w[i % 4] >= 0x40000000u; /* a quarter of 2^32 */
        assert_true(y[i] == (keep ? x[i] / 0.75 : 0));
        kept += keep;
    }
    assert_in_range(kept, 3072 - 140, 3072 + 140); /* 5 deviations: 5 sqrt(4096 * 3/16) = 139 */

    /* another step, another seed, another ordinal: other elements */
    out[0] = again;
    c.in[1].v[1] += 1;
    t_reference(&c, out);
    assert_memory_not_equal(y, again, sizeof y);
    c.in[1].v[1] -= 1;
    c.in[1].v[0] += 1;
    t_reference(&c, out);
    assert_memory_not_equal(y, again, sizeof y);
    c.in[1].v[0] -= 1;
    c.attr.dropout.ordinal = 4;
    t_reference(&c, out);
    assert_memory_not_equal(y, again, sizeof y);
    c.attr.dropout.ordinal = 3;
    t_reference(&c, out);
    assert_memory_equal(y, again, sizeof y);
    t_drop(&c);
}

static fwi_val build(t_net *net, const void *arg)
{
    (void)arg;
    static const double rng[] = {11, 5};
    const fwi_val x = t_net_param(net, "x", fwi_shape2(9, 7), T_NORMAL);
    const fwi_val r = t_net_values(net, "rng", FW_I64, fwi_shape1(2), rng);
    const fwi_attr a = {.dropout = {0.5, 2}};
    return t_net_dot(net, fwi_op2(t_net_graph(net), FWI_OP_dropout, &a, x, r));
}

static void test_gradient(void **state)
{
    (void)state;
    t_net_check("dropout", build, NULL, 1e-7);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_gradient),
    };
    return t_main(argc, argv, "test_dropout", tests, sizeof tests / sizeof *tests);
}
