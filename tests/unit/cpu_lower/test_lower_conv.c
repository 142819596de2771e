/* test_lower_conv.c: which algorithm a convolution gets: the table of choices against what was
 * measured, the user's bound, and that an algorithm is chosen only where a row computes it. Tables
 * are made up here; kernels are held to the reference in tests/ops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_lower.h"

static fw_status never(const fwi_call *c)
{
    (void)c;
    return fwi_fail(FW_EINTERNAL, "a plan's business");
}

static bool takes_2(const fwi_call *c)
{
    return c->attr->conv.algo == FWI_CONV_WINO2;
}

static bool takes_4(const fwi_call *c)
{
    return c->attr->conv.algo == FWI_CONV_WINO4;
}

static bool takes_3(const fwi_call *c)
{
    return c->attr->conv.algo == FWI_CONV_WINO3;
}

static bool takes_5_6(const fwi_call *c)
{
    return c->attr->conv.algo == FWI_CONV_WINO5 || c->attr->conv.algo == FWI_CONV_WINO6;
}

static bool takes_7(const fwi_call *c)
{
    return c->attr->conv.algo == FWI_CONV_WINO7;
}

#define ROW(kind, takes)                                                                           \
    {                                                                                              \
        .op = FWI_OP_##kind, .dtype = FW_F32, .run = never, .accepts = takes, .name = #kind        \
    }
#define ROWS(takes) ROW(conv2d, takes), ROW(conv2d_dx, takes), ROW(conv2d_dw, takes)
static const fwi_kernel direct_rows[] = {ROWS(NULL), {.run = NULL}};
static const fwi_kernel rows_2[] = {ROWS(takes_2), {.run = NULL}};
static const fwi_kernel rows_4[] = {ROWS(takes_2), ROWS(takes_4), {.run = NULL}};
static const fwi_kernel rows_2_to_4[] = {
    ROWS(takes_2), ROWS(takes_3), ROWS(takes_4), {.run = NULL}};
static const fwi_kernel rows_6[] = {
    ROWS(takes_2), ROWS(takes_3), ROWS(takes_4), ROWS(takes_5_6), {.run = NULL}};
static const fwi_kernel rows_7[] = {ROW(conv2d, takes_7), ROW(conv2d_dx, takes_7), {.run = NULL}};
static const fwi_op_table direct = {.name = "direct", .rows = direct_rows};
static const fwi_op_table up_to_2 = {.name = "avx512", .base = &direct, .rows = rows_2};
static const fwi_op_table up_to_4 = {.name = "avx512", .base = &direct, .rows = rows_4};
static const fwi_op_table up_to_6 = {.name = "avx512", .base = &direct, .rows = rows_6};
static const fwi_op_table up_to_7 = {.name = "avx512", .base = &up_to_6, .rows = rows_7};
static const fwi_op_table bf16_up_to_4 = {.name = "avx512_bf16", .base = &direct, .rows = rows_4};
static const fwi_op_table bf16_over_6 = {
    .name = "avx512_bf16", .base = &up_to_6, .rows = rows_2_to_4};
static const fwi_op_table bf16_over_7 = {
    .name = "avx512_bf16", .base = &up_to_7, .rows = rows_2_to_4};

/* A convolution of images side x side and its gradients; no conversions: n h w c. */
static fwi_graph *net(int64_t side, int64_t c, int64_t oc, int64_t k, int64_t stride)
{
    fwi_graph *g = NULL;
    fwi_val params[2], grads[2];
    assert_int_equal(fwi_graph_new(&g, FW_F32), FW_OK);
    const fwi_val x = fwi_graph_input(g, "x", FW_F32, fwi_shape4(4, side, side, 3));
    fwi_val v = fwi_conv2d_same(
        g, x, fwi_graph_var(g, "first", FWI_VAR_CONV, true, fwi_shape4(c, 1, 1, 3), (fwi_init){0}),
        1);
    v = fwi_conv2d_same(
        g, v, fwi_graph_var(g, "w", FWI_VAR_CONV, true, fwi_shape4(oc, k, k, c), (fwi_init){0}),
        stride);
    v = fwi_op1(g, FWI_OP_global_avg_pool, NULL, v);
    v = fwi_op2(g, FWI_OP_softmax_xent, &(fwi_attr){.xent = {.mean = 1}}, v,
                fwi_graph_input(g, "labels", FW_I32, fwi_shape1(4)));
    fwi_graph_output(g, "loss", v);
    const int n = fwi_graph_params(g, params, 2);
    if (fwi_graph_gradient(g, v, params, n, grads) != FW_OK)
        fail_msg("%s", fw_last_error());
    return g;
}

/* The algorithm of the second convolution's pass. */
static fwi_conv_algo algo_of(const fwi_graph *g, fwi_opkind kind, int64_t k)
{
    for (int32_t i = 0; i < g->n_ops; i++)
        if (g->ops[i].kind == kind && g->ops[i].attr.conv.kh == k)
            return (fwi_conv_algo)g->ops[i].attr.conv.algo;
    fail_msg("no such op");
    return FWI_CONV_ANY;
}

static void check(const fwi_op_table *table, fwi_conv_algo wanted, int64_t side, int64_t c,
                  int64_t oc, int64_t k, int64_t stride, const fwi_conv_algo expected[3])
{
    static const fwi_opkind kinds[] = {FWI_OP_conv2d, FWI_OP_conv2d_dx, FWI_OP_conv2d_dw};
    fwi_graph *g = net(side, c, oc, k, stride);
    g->conv = wanted;
    assert_int_equal(fwi_lower_conv(g, table), FW_OK);
    assert_int_equal(fwi_graph_verify(g), FW_OK);
    for (int i = 0; i < 3; i++) {
        const fwi_conv_algo got = algo_of(g, kinds[i], k);
        if (got != expected[i])
            fail_msg("%d x %d, %d -> %d, wanted %s, pass %d: %s, expected %s", (int)side, (int)side,
                     (int)c, (int)oc, fwi_conv_algo_name(wanted), i, fwi_conv_algo_name(got),
                     fwi_conv_algo_name(expected[i]));
    }
    for (int32_t i = 0; i < g->n_ops; i++) /* the 1 x 1 convolution in front */
        if (fwi_op_is_conv(g->ops[i].kind) && g->ops[i].attr.conv.kh == 1 && k != 1)
            assert_int_equal(g->ops[i].attr.conv.algo, FWI_CONV_DIRECT);
    fwi_graph_free(g);
}

#define D  FWI_CONV_DIRECT
#define W2 FWI_CONV_WINO2
#define W3 FWI_CONV_WINO3
#define W4 FWI_CONV_WINO4
#define W5 FWI_CONV_WINO5
#define W6 FWI_CONV_WINO6
#define W7 FWI_CONV_WINO7

static void test_bounds(void **state)
{
    (void)state;
    static const struct {
        const fwi_op_table *table;
        fwi_conv_algo wanted, expected;
    } cases[] = {
        {&up_to_4, FWI_CONV_ANY, W4}, {&up_to_4, W4, W4}, {&up_to_4, W2, W2}, {&up_to_4, D, D},
        {&up_to_2, FWI_CONV_ANY, W2}, {&up_to_2, W4, W2}, {&up_to_2, W2, W2}, {&up_to_2, D, D},
        {&direct, FWI_CONV_ANY, D},   {&direct, W4, D},   {&direct, W2, D},   {&direct, D, D},
        {&up_to_4, W6, W4},           {&up_to_6, W6, W4}, {&direct, W6, D},   {&up_to_6, W4, W4},
        {&up_to_6, W7, W4},           {&up_to_7, W7, W4}, {&up_to_7, W2, W2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fwi_conv_algo e = cases[i].expected;
        check(cases[i].table, cases[i].wanted, 16, 128, 128, 3, 1,
              (const fwi_conv_algo[3]){e, e, e});
    }
}

static void test_shapes(void **state)
{
    (void)state;
    static const fwi_conv_algo none[3] = {D, D, D};
    check(&up_to_4, FWI_CONV_ANY, 16, 64, 64, 1, 1, none); /* other filters, other strides */
    check(&up_to_4, FWI_CONV_ANY, 16, 64, 64, 5, 1, none);
    check(&up_to_4, FWI_CONV_ANY, 16, 64, 64, 3, 2, none);
    check(&up_to_4, FWI_CONV_ANY, 16, 16, 64, 3, 1, none); /* few channels */
    check(&up_to_4, FWI_CONV_ANY, 16, 24, 64, 3, 1, (const fwi_conv_algo[3]){W4, W4, W4});
    check(&up_to_4, FWI_CONV_ANY, 2, 64, 64, 3, 1, none);
    check(&up_to_4, FWI_CONV_ANY, 3, 256, 256, 3, 1, none);
    check(&up_to_2, FWI_CONV_ANY, 3, 256, 256, 3, 1, none);
}

/* Another one where its squares cover an image with a tenth less to multiply; F(6x6,3x3) for a filter's
 * gradient with a quarter less. */
static void test_best_fit(void **state)
{
    (void)state;
    static const struct {
        int64_t side;
        fwi_conv_algo up_to[5], all_dw; /* WINO2 to WINO6 */
    } cases[] = {{3, {D, W3, W3, W3, W3}, W3},   {4, {W2, W2, W4, W4, W4}, W4},
                 {5, {W2, W3, W3, W5, W5}, W5},  {6, {W2, W3, W3, W3, W6}, W6},
                 {7, {W2, W3, W4, W4, W4}, W4},  {8, {W2, W3, W4, W4, W4}, W4},
                 {9, {W2, W3, W3, W5, W5}, W5},  {11, {W2, W3, W4, W4, W6}, W4},
                 {12, {W2, W3, W4, W4, W6}, W4}, {13, {W2, W3, W4, W5, W5}, W5},
                 {15, {W2, W3, W4, W5, W5}, W5}, {16, {W2, W3, W4, W4, W4}, W4},
                 {23, {W2, W3, W4, W4, W6}, W4}, {29, {W2, W3, W4, W5, W6}, W6},
                 {32, {W2, W3, W4, W4, W4}, W4}, {33, {W2, W2, W4, W4, W4}, W4},
                 {224, {W2, W2, W4, W4, W4}, W4}};
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        const int64_t side = cases[i].side;
        const fwi_conv_algo all = cases[i].up_to[4];
        for (int k = 0; k < 5; k++) {
            const fwi_conv_algo e = cases[i].up_to[k];
            check(&up_to_6, (fwi_conv_algo)(W2 + k), side, 64, 64, 3, 1,
                  (const fwi_conv_algo[3]){e, e, k < 4 ? e : cases[i].all_dw});
        }
        check(&up_to_6, FWI_CONV_ANY, side, 64, 64, 3, 1,
              (const fwi_conv_algo[3]){all, all, cases[i].all_dw});
        if (side > 3) /* no rows of the others */
            check(&up_to_4, FWI_CONV_ANY, side, 64, 64, 3, 1, (const fwi_conv_algo[3]){W4, W4, W4});
    }
}

/* F(7x7,3x3), where it has rows and a quarter less to multiply than the table's: not for filters. */
static void test_best_fit_7(void **state)
{
    (void)state;
    static const struct {
        int64_t side;
        fwi_conv_algo fwd_dx, dw;
    } cases[] = {{5, W5, W5},  {6, W6, W6},  {7, W7, W4},  {8, W4, W4},  {13, W7, W5},
                 {14, W7, W5}, {15, W5, W5}, {20, W5, W5}, {21, W7, W4}, {27, W7, W4},
                 {28, W7, W4}, {31, W4, W4}, {32, W4, W4}, {35, W4, W4}};
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        const fwi_conv_algo e = cases[i].fwd_dx, dw = cases[i].dw;
        check(&up_to_7, FWI_CONV_ANY, cases[i].side, 64, 64, 3, 1,
              (const fwi_conv_algo[3]){e, e, dw});
        check(&up_to_7, W7, cases[i].side, 64, 64, 3, 1, (const fwi_conv_algo[3]){e, e, dw});
    }
    check(&up_to_7, W6, 7, 64, 64, 3, 1, (const fwi_conv_algo[3]){W4, W4, W4});
}

static unsigned up_to(fwi_conv_algo most)
{
    unsigned allowed = 0;
    for (fwi_conv_algo algo = W2; algo <= most; algo++)
        allowed |= 1U << algo;
    return allowed;
}

/* bf16, as it was measured; F(4x4,3x3) only where asked for. */
static void test_table_bf16(void **state)
{
    (void)state;
    static const struct {
        int64_t side, c, oc;
        fwi_conv_algo up_to_2[3], up_to_3[3], up_to_4[3];
    } cases[] = {
        {31, 24, 64, {D, W2, D}, {D, W2, D}, {D, W2, W4}},
        {15, 64, 64, {W2, W2, W2}, {W3, W3, W3}, {W4, W4, W4}},
        {15, 64, 256, {W2, W2, W2}, {W3, W3, W3}, {W4, W4, W4}},
        {7, 256, 256, {W2, W2, W2}, {W3, W3, W3}, {W4, W4, W4}},
        {6, 256, 256, {W2, W2, W2}, {W3, W3, W3}, {W3, W3, W3}},
        {3, 256, 256, {D, D, D}, {D, D, D}, {D, D, D}},
        {32, 64, 128, {W2, W2, W2}, {W3, W3, W3}, {W4, W4, W4}},
        {4, 512, 512, {W2, W2, W2}, {W2, W2, W2}, {W4, W4, W4}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int pass = 0; pass < 3; pass++) {
            const fwi_conv_pass p = (fwi_conv_pass)pass;
            const int64_t side = cases[i].side, c = cases[i].c, oc = cases[i].oc;
            assert_int_equal(fwi_conv_choice("avx512_bf16", FW_BF16, p, side, c, oc, up_to(W2)),
                             cases[i].up_to_2[pass]);
            assert_int_equal(fwi_conv_choice("avx512_bf16", FW_BF16, p, side, c, oc, up_to(W3)),
                             cases[i].up_to_3[pass]);
            assert_int_equal(fwi_conv_choice("avx512_bf16", FW_BF16, p, side, c, oc, up_to(W4)),
                             cases[i].up_to_4[pass]);
            assert_int_equal(fwi_conv_choice("avx512_bf16", FW_BF16, p, side, c, oc, up_to(D)), D);
            assert_int_equal(fwi_conv_choice("avx512", FW_BF16, p, side, c, oc, up_to(W4)),
                             fwi_conv_choice("avx512", FW_F32, p, side, c, oc, up_to(W4)));
        }
}

/* Products of bf16 bound what nobody asked for, those of f32 do not, however images are stored. */
static void test_bf16_products(void **state)
{
    (void)state;
    static const struct {
        const fwi_op_table *table;
        int64_t side;
        fwi_conv_algo wanted, expected;
    } cases[] = {{&bf16_over_6, 16, FWI_CONV_ANY, W2}, /* those of f32 products lie below */
                 {&bf16_over_6, 16, W6, W4},
                 {&bf16_over_6, 16, W3, W3},
                 {&up_to_6, 6, FWI_CONV_ANY, W6}, /* what fits these sides best */
                 {&bf16_over_6, 6, W6, W3},
                 {&bf16_over_6, 6, FWI_CONV_ANY, W2},
                 {&up_to_7, 7, FWI_CONV_ANY, W7},
                 {&bf16_over_7, 7, W7, W4},
                 {&bf16_over_7, 7, FWI_CONV_ANY, W2},
                 {&bf16_up_to_4, 16, FWI_CONV_ANY, W2},
                 {&bf16_up_to_4, 16, W4, W4},
                 {&up_to_4, 16, FWI_CONV_ANY, W4},
                 {&up_to_4, 16, W2, W2},
                 {&up_to_2, 16, FWI_CONV_ANY, W2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fwi_graph *g = net(cases[i].side, 64, 64, 3, 1);
        g->storage = FW_BF16; /* its tensors stay f32: rows of f32 are what is found */
        g->conv = cases[i].wanted;
        assert_int_equal(fwi_lower_conv(g, cases[i].table), FW_OK);
        assert_int_equal(algo_of(g, FWI_OP_conv2d, 3), cases[i].expected);
        fwi_graph_free(g);
    }
}

/* The user's bound goes with a graph and its text. */
static void test_storage_and_text(void **state)
{
    (void)state;
    for (int wanted = FWI_CONV_ANY; wanted < FWI_CONV_ALGOS; wanted++) {
        fwi_graph *g = net(16, 64, 64, 3, 1), *copy = NULL, *again = NULL;
        fwi_buf text = {0}, text2 = {0};
        g->storage = FW_BF16;
        g->conv = (fwi_conv_algo)wanted;
        assert_int_equal(fwi_graph_copy(&copy, g), FW_OK);
        assert_int_equal(copy->conv, wanted);
        assert_int_equal(fwi_lower_conv(copy, &up_to_4), FW_OK);
        const fwi_conv_algo e = wanted == FWI_CONV_ANY || wanted > W4 ? W4 /* rows for W2, W4 */
                                : wanted == W3                        ? W2
                                                                      : (fwi_conv_algo)wanted;
        assert_int_equal(algo_of(copy, FWI_OP_conv2d, 3), e);
        assert_int_equal(fwi_graph_print(copy, &text), FW_OK);
        assert_true((strstr((const char *)text.data, "conv=winograd4\n") != NULL) ==
                    (wanted == W4));
        assert_int_equal(fwi_graph_parse(&again, (const char *)text.data), FW_OK);
        assert_int_equal(again->conv, wanted);
        assert_int_equal(fwi_graph_print(again, &text2), FW_OK);
        assert_string_equal((const char *)text.data, (const char *)text2.data);
        fwi_buf_clear(&text);
        fwi_buf_clear(&text2);
        fwi_graph_free(g);
        fwi_graph_free(copy);
        fwi_graph_free(again);
    }
    fwi_graph *g = net(16, 64, 64, 3, 1), *bad = NULL;
    g->conv = FWI_CONV_ALGOS;
    assert_int_equal(fwi_graph_verify(g), FW_EARG);
    fwi_graph_free(g);
    assert_int_not_equal(fwi_graph_parse(&bad, "graph f32 conv=fast\n"), FW_OK);
    assert_non_null(strstr(fw_last_error(), "auto, direct or winograd2 to winograd7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),           cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_best_fit),         cmocka_unit_test(test_best_fit_7),
        cmocka_unit_test(test_table_bf16),       cmocka_unit_test(test_bf16_products),
        cmocka_unit_test(test_storage_and_text),
    };
    return cmocka_run_group_tests_name("lower_conv", tests, NULL, NULL);
}
