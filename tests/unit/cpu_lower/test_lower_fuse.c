/* test_lower_fuse.c: what the fusion of cpu/lower makes of a graph, as printed text, on tables made up
 * here; and the graphs that it must leave alone. That a fused graph computes the same is shown by
 * tests/ops/test_fused_nets.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_lower.h"
#include "mem.h"

static fw_status never(const fwi_call *c)
{
    (void)c;
    return fwi_fail(FW_EINTERNAL, "a plan's business");
}

#define ROW(kind)                                                                                  \
    {                                                                                              \
        .op = FWI_OP_##kind, .dtype = FW_F32, .run = never, .name = #kind, .blocked = true         \
    }
static const fwi_kernel all_rows[] = {
    ROW(conv2d_stats),  ROW(max_pool_stats),   ROW(bn_stats),           ROW(bn_act),
    ROW(bn_act_add),    ROW(bn_act_pool),      ROW(bias_act),           ROW(bn_act_grad),
    ROW(bias_act_grad), ROW(bn_act_pool_grad), ROW(bn_act_unpool_grad), {.run = NULL}};
static const fwi_kernel forward_rows[] = {
    ROW(conv2d_stats), ROW(bn_act), ROW(bn_act_pool), ROW(bn_act_add), {.run = NULL}};
static const fwi_kernel no_conv_rows[] = {
    ROW(bn_stats), ROW(bn_act), ROW(bn_act_grad), {.run = NULL}};
static const fwi_op_table all = {.name = "all", .rows = all_rows},
                          forward = {.name = "forward", .rows = forward_rows},
                          no_conv = {.name = "no conv", .rows = no_conv_rows},
                          none = {.name = "none",
                                  .rows = &all_rows[sizeof all_rows / sizeof *all_rows - 1]};

static const char residual[] =
    "graph f32\n"
    "input %0 \"x\" f32[4,4,4,3]\n"
    "var %1 \"w\" f32[8,3,3,3] conv trainable const 0 0\n"
    "var %2 \"g\" f32[8] conv trainable const 0 0\n"
    "var %3 \"b\" f32[8] conv trainable const 0 0\n"
    "var %4 \"m\" f32[8] stat fixed const 0 0\n"
    "var %5 \"v\" f32[8] stat fixed const 0 0\n"
    "var %6 \"w1\" f32[8,3,3,8] conv trainable const 0 0\n"
    "var %7 \"1g\" f32[8] conv trainable const 0 0\n"
    "var %8 \"1b\" f32[8] conv trainable const 0 0\n"
    "input %9 \"labels\" i32[4]\n"
    "%10 f32[4,4,4,8] = conv2d %0 %1 kh=3 kw=3 stride=1 pad_t=1 pad_l=1 pad_b=1 pad_r=1 "
    "ih=4 iw=4 algo=0\n"
    "%11 f32[4,4,4,8], %12 f32[1,8], %13 f32[1,8] = bn_train %10 %2 %3 eps=0.001 groups=1 "
    "update=0 count=0\n"
    "bn_update %4 %5 %12 %13 eps=0 groups=1 update=0.5 count=64\n"
    "%14 f32[4,4,4,8] = relu %11\n"
    "%15 f32[4,2,2,8], %16 u8[4,2,2,8] = max_pool %14 k=2 stride=2 ih=0 iw=0\n"
    "%17 f32[4,2,2,8] = conv2d %15 %6 kh=3 kw=3 stride=1 pad_t=1 pad_l=1 pad_b=1 pad_r=1 "
    "ih=2 iw=2 algo=0\n"
    "%18 f32[4,2,2,8], %19 f32[1,8], %20 f32[1,8] = bn_train %17 %7 %8 eps=0.001 groups=1 "
    "update=0 count=0\n"
    "%21 f32[4,2,2,8] = relu %18\n"
    "%22 f32[4,2,2,8] = add %15 %21\n"
    "%23 f32[4,8] = global_avg_pool %22\n"
    "%24 f32[1], %25 f32[4] = softmax_xent %23 %9 smoothing=0 mean=1\n"
    "%26 f32[1] = fill rank=1 d0=1 d1=0 d2=0 d3=0 dtype=0 value=1\n"
    "%27 f32[4,8] = softmax_xent_grad %23 %9 %26 smoothing=0 mean=1\n"
    "%28 f32[4,2,2,8] = global_avg_pool_grad %27 k=0 stride=0 ih=2 iw=2\n"
    "%29 f32[4,2,2,8] = relu_grad %28 %21\n"
    "%30 f32[4,2,2,8], %31 f32[8] grad %7, %32 f32[8] grad %8 = bn_train_grad %29 %17 %7 "
    "%19 %20 eps=0.001 groups=1 update=0 count=0\n"
    "%33 f32[4,2,2,8] = conv2d_dx %30 %6 kh=3 kw=3 stride=1 pad_t=1 pad_l=1 pad_b=1 "
    "pad_r=1 ih=2 iw=2 algo=0\n"
    "%34 f32[4,2,2,8] = add %28 %33\n"
    "%35 f32[8,3,3,8] grad %6 = conv2d_dw %15 %30 kh=3 kw=3 stride=1 pad_t=1 pad_l=1 "
    "pad_b=1 pad_r=1 ih=2 iw=2 algo=0\n"
    "%36 f32[4,4,4,8] = max_pool_grad %34 %16 k=2 stride=2 ih=4 iw=4\n"
    "%37 f32[4,4,4,8] = relu_grad %36 %14\n"
    "%38 f32[4,4,4,8], %39 f32[8] grad %2, %40 f32[8] grad %3 = bn_train_grad %37 %10 %2 "
    "%12 %13 eps=0.001 groups=1 update=0 count=0\n"
    "%41 f32[8,3,3,3] grad %1 = conv2d_dw %0 %38 kh=3 kw=3 stride=1 pad_t=1 pad_l=1 "
    "pad_b=1 pad_r=1 ih=4 iw=4 algo=0\n"
    "output \"loss\" %24\n";

static const char residual_fused[] =
    "graph f32\n"
    "input %0 \"x\" f32[4,4,4,3]\n"
    "var %1 \"w\" f32[8,3,3,3] conv trainable const 0 0\n"
    "var %2 \"g\" f32[8] conv trainable const 0 0\n"
    "var %3 \"b\" f32[8] conv trainable const 0 0\n"
    "var %4 \"m\" f32[8] stat fixed const 0 0\n"
    "var %5 \"v\" f32[8] stat fixed const 0 0\n"
    "var %6 \"w1\" f32[8,3,3,8] conv trainable const 0 0\n"
    "var %7 \"1g\" f32[8] conv trainable const 0 0\n"
    "var %8 \"1b\" f32[8] conv trainable const 0 0\n"
    "input %9 \"labels\" i32[4]\n"
    "%10 f32[4,4,4,8], %11 f32[1,8], %12 f32[1,8] = conv2d_stats %0 %1 kh=3 kw=3 stride=1 "
    "pad_t=1 pad_l=1 pad_b=1 pad_r=1 ih=4 iw=4 algo=0\n"
    "bn_update %4 %5 %11 %12 eps=0 groups=1 update=0.5 count=64\n"
    "%13 f32[4,2,2,8], %14 u8[4,2,2,8] = bn_act_pool %10 %2 %3 %11 %12 eps=0.001 fn=6 "
    "alpha=0 k=2 ih=4 iw=4\n"
    "%15 f32[4,2,2,8], %16 f32[1,8], %17 f32[1,8] = conv2d_stats %13 %6 kh=3 kw=3 "
    "stride=1 pad_t=1 pad_l=1 pad_b=1 pad_r=1 ih=2 iw=2 algo=0\n"
    "%18 f32[4,2,2,8] = bn_act_add %15 %7 %8 %16 %17 %13 eps=0.001 fn=6 alpha=0 k=0 ih=0 "
    "iw=0\n"
    "%19 f32[4,8] = global_avg_pool %18\n"
    "%20 f32[1], %21 f32[4] = softmax_xent %19 %9 smoothing=0 mean=1\n"
    "%22 f32[1] = fill rank=1 d0=1 d1=0 d2=0 d3=0 dtype=0 value=1\n"
    "%23 f32[4,8] = softmax_xent_grad %19 %9 %22 smoothing=0 mean=1\n"
    "%24 f32[4,2,2,8] = global_avg_pool_grad %23 k=0 stride=0 ih=2 iw=2\n"
    "%25 f32[4,2,2,8], %26 f32[8] grad %7, %27 f32[8] grad %8 = bn_act_grad %24 %15 %7 %8 "
    "%16 %17 eps=0.001 fn=6 alpha=0 k=0 ih=0 iw=0\n"
    "%28 f32[4,2,2,8] = conv2d_dx %25 %6 kh=3 kw=3 stride=1 pad_t=1 pad_l=1 pad_b=1 "
    "pad_r=1 ih=2 iw=2 algo=0\n"
    "%29 f32[4,2,2,8] = add %24 %28\n"
    "%30 f32[8,3,3,8] grad %6 = conv2d_dw %13 %25 kh=3 kw=3 stride=1 pad_t=1 pad_l=1 "
    "pad_b=1 pad_r=1 ih=2 iw=2 algo=0\n"
    "%31 f32[4,4,4,8], %32 f32[8] grad %2, %33 f32[8] grad %3 = bn_act_pool_grad %29 %14 "
    "%10 %2 %3 %11 %12 eps=0.001 fn=6 alpha=0 k=2 ih=4 iw=4\n"
    "%34 f32[8,3,3,3] grad %1 = conv2d_dw %0 %31 kh=3 kw=3 stride=1 pad_t=1 pad_l=1 "
    "pad_b=1 pad_r=1 ih=4 iw=4 algo=0\n"
    "output \"loss\" %20\n";

static const char pool_first[] =
    "graph f32\n"
    "input %0 \"x\" f32[4,4,4,3]\n"
    "var %1 \"b0\" f32[3] conv trainable const 0 0\n"
    "var %2 \"g\" f32[3] conv trainable const 0 0\n"
    "var %3 \"b\" f32[3] conv trainable const 0 0\n"
    "input %4 \"labels\" i32[4]\n"
    "%5 f32[4,4,4,3] = bias_add %0 %1\n"
    "%6 f32[4,4,4,3] = act %5 fn=1 alpha=0\n"
    "%7 f32[4,2,2,3], %8 u8[4,2,2,3] = max_pool %6 k=2 stride=2 ih=0 iw=0\n"
    "%9 f32[4,2,2,3], %10 f32[1,3], %11 f32[1,3] = bn_train %7 %2 %3 eps=0.001 groups=1 "
    "update=0 count=0\n"
    "%12 f32[4,2,2,3] = act %9 fn=0 alpha=0.5\n"
    "%13 f32[4,3] = global_avg_pool %12\n"
    "%14 f32[1], %15 f32[4] = softmax_xent %13 %4 smoothing=0 mean=1\n"
    "%16 f32[1] = fill rank=1 d0=1 d1=0 d2=0 d3=0 dtype=0 value=1\n"
    "%17 f32[4,3] = softmax_xent_grad %13 %4 %16 smoothing=0 mean=1\n"
    "%18 f32[4,2,2,3] = global_avg_pool_grad %17 k=0 stride=0 ih=2 iw=2\n"
    "%19 f32[4,2,2,3] = act_grad %18 %9 fn=0 alpha=0.5\n"
    "%20 f32[4,2,2,3], %21 f32[3] grad %2, %22 f32[3] grad %3 = bn_train_grad %19 %7 %2 "
    "%10 %11 eps=0.001 groups=1 update=0 count=0\n"
    "%23 f32[4,4,4,3] = max_pool_grad %20 %8 k=2 stride=2 ih=4 iw=4\n"
    "%24 f32[4,4,4,3] = act_grad %23 %5 fn=1 alpha=0\n"
    "%25 f32[3] grad %1 = sum_rows %24\n"
    "output \"loss\" %14\n";

static const char pool_first_fused[] =
    "graph f32\n"
    "input %0 \"x\" f32[4,4,4,3]\n"
    "var %1 \"b0\" f32[3] conv trainable const 0 0\n"
    "var %2 \"g\" f32[3] conv trainable const 0 0\n"
    "var %3 \"b\" f32[3] conv trainable const 0 0\n"
    "input %4 \"labels\" i32[4]\n"
    "%5 f32[4,4,4,3] = bias_act %0 %1 fn=1 alpha=0\n"
    "%6 f32[4,2,2,3], %7 u8[4,2,2,3], %8 f32[1,3], %9 f32[1,3] = max_pool_stats %5 k=2 "
    "stride=2 ih=0 iw=0 groups=1\n"
    "%10 f32[4,2,2,3] = bn_act %6 %2 %3 %8 %9 eps=0.001 fn=0 alpha=0.5 k=0 ih=0 iw=0\n"
    "%11 f32[4,3] = global_avg_pool %10\n"
    "%12 f32[1], %13 f32[4] = softmax_xent %11 %4 smoothing=0 mean=1\n"
    "%14 f32[1] = fill rank=1 d0=1 d1=0 d2=0 d3=0 dtype=0 value=1\n"
    "%15 f32[4,3] = softmax_xent_grad %11 %4 %14 smoothing=0 mean=1\n"
    "%16 f32[4,2,2,3] = global_avg_pool_grad %15 k=0 stride=0 ih=2 iw=2\n"
    "%17 f32[4,4,4,3], %18 f32[3] grad %2, %19 f32[3] grad %3 = bn_act_unpool_grad %16 %7 "
    "%6 %2 %3 %8 %9 eps=0.001 fn=0 alpha=0.5 k=2 ih=4 iw=4\n"
    "%20 f32[4,4,4,3], %21 f32[3] grad %1 = bias_act_grad %17 %0 %1 fn=1 alpha=0\n"
    "output \"loss\" %12\n";

static void print(const fwi_graph *g, fwi_buf *out)
{
    *out = (fwi_buf){0};
    assert_int_equal(fwi_graph_print(g, out), FW_OK);
}

static fwi_graph *fuse(const char *text, const fwi_op_table *table)
{
    fwi_graph *g = NULL;
    if (fwi_graph_parse(&g, text) != FW_OK)
        fail_msg("%s", fw_last_error());
    assert_int_equal(fwi_lower_fuse(g, table), FW_OK);
    if (fwi_graph_verify(g) != FW_OK)
        fail_msg("%s", fw_last_error());
    return g;
}

static void expect_text(const char *text, const fwi_op_table *table, const char *want)
{
    fwi_graph *g = fuse(text, table);
    fwi_buf got;
    print(g, &got);
    assert_string_equal(got.data, want);
    fwi_buf_clear(&got);
    fwi_graph_free(g);
}

static int count(const fwi_graph *g, fwi_opkind kind)
{
    int n = 0;
    for (int32_t i = 0; i < g->n_ops; i++)
        n += g->ops[i].kind == kind;
    return n;
}

/* The text with one part replaced, where it stands first, or, where `from` is empty, with `to` behind its
 * end. */
static char *changed(const char *text, const char *from, const char *to)
{
    const char *const at = *from != 0 ? strstr(text, from) : text + strlen(text);
    assert_non_null(at);
    const size_t head = (size_t)(at - text), cap = strlen(text) + strlen(to) + 1;
    char *out = malloc(cap);
    assert_non_null(out);
    snprintf(out, cap, "%.*s%s%s", (int)head, text, to, at + strlen(from));
    return out;
}

/* The same wherever it stands. */
static char *changed_all(const char *text, const char *from, const char *to)
{
    char *out = changed(text, from, to);
    while (strstr(out, from) != NULL) {
        char *const next = changed(out, from, to);
        free(out);
        out = next;
    }
    return out;
}

/* The text with two groups of statistics in every norm. */
static char *in_two_groups(const char *text)
{
    char *const groups = changed_all(text, "groups=1", "groups=2");
    char *const three = changed_all(groups, "f32[1,3]", "f32[2,3]");
    free(groups);
    return three;
}

/* ---- what fuses ---- */

static void chains_become_fused_ops(void **state)
{
    (void)state;
    expect_text(residual, &all, residual_fused);
    expect_text(pool_first, &all, pool_first_fused);
    expect_text(residual_fused, &all, residual_fused); /* nothing is left to do */
}

static void a_table_without_rows_leaves_the_graph(void **state)
{
    (void)state;
    expect_text(residual, &none, residual);
    expect_text(pool_first, &none, pool_first);
}

/* No rows for the gradients: these stay, and what they read is kept: the first relu's output, so the
 * pool behind it stays an op too; the second relu's, so the sum does. */
static void gradients_keep_what_they_read(void **state)
{
    (void)state;
    fwi_graph *g = fuse(residual, &forward);
    assert_int_equal(count(g, FWI_OP_conv2d_stats), 2);
    assert_int_equal(count(g, FWI_OP_bn_act), 2);
    assert_int_equal(count(g, FWI_OP_relu), 0);
    assert_int_equal(count(g, FWI_OP_max_pool), 1);
    assert_int_equal(count(g, FWI_OP_add), 2);
    assert_int_equal(count(g, FWI_OP_relu_grad), 2);
    assert_int_equal(count(g, FWI_OP_bn_train_grad), 2);
    fwi_graph_free(g);
}

/* A convolution that cannot gather statistics: they are an op of their own. No row for the gradient
 * with a pool: the pool and its gradient stay. */
static void what_the_table_lacks_stays(void **state)
{
    (void)state;
    fwi_graph *g = fuse(residual, &no_conv);
    assert_int_equal(count(g, FWI_OP_conv2d), 2);
    assert_int_equal(count(g, FWI_OP_bn_stats), 2);
    assert_int_equal(count(g, FWI_OP_bn_act), 2);
    assert_int_equal(count(g, FWI_OP_bn_act_grad), 2);
    assert_int_equal(count(g, FWI_OP_max_pool), 1);
    assert_int_equal(count(g, FWI_OP_max_pool_grad), 1);
    assert_int_equal(count(g, FWI_OP_relu_grad), 0);
    fwi_graph_free(g);
}

/* Gradients that are not those of the ops they seem to belong to stay as they are. */
static void others_gradients_stay(void **state)
{
    (void)state;
    static const struct {
        const char *text, *was, *is;
        fwi_opkind stays;
    } cases[] = {
        {residual, "%12 %13 eps=0.001 groups=1", "%12 %13 eps=0.5 groups=1", FWI_OP_bn_train_grad},
        {residual, "bn_train_grad %29 %17 %7 ", "bn_train_grad %29 %17 %2 ", FWI_OP_bn_train_grad},
        {residual, "%29 %17 %7 %19 %20", "%29 %17 %7 %19 %13", FWI_OP_bn_train_grad},
        {residual, "%16 k=2 stride=2 ih=4 iw=4", "%16 k=1 stride=2 ih=4 iw=4",
         FWI_OP_max_pool_grad},
        {pool_first, "act_grad %18 %9 fn=0 alpha=0.5", "act_grad %18 %9 fn=0 alpha=0.25",
         FWI_OP_act_grad},
        {pool_first, "act_grad %18 %9 fn=0", "act_grad %18 %9 fn=2", FWI_OP_act_grad},
        {pool_first, "act_grad %23 %5 fn=1 alpha=0", "act_grad %23 %5 fn=0 alpha=0.5",
         FWI_OP_act_grad}, /* behind a bias */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fwi_graph *as_it_is = fuse(cases[i].text, &all);
        assert_int_equal(count(as_it_is, cases[i].stays), 0);
        fwi_graph_free(as_it_is);
        char *text = changed(cases[i].text, cases[i].was, cases[i].is);
        fwi_graph *g = fuse(text, &all);
        assert_int_equal(count(g, cases[i].stays), 1);
        fwi_graph_free(g);
        free(text);
    }
}

/* With groups all is as with one, only that a convolution does not gather their statistics; and a norm
 * that has nothing else to fuse with is left whole. */
static void groups_fuse_too(void **state)
{
    (void)state;
    char *text = in_two_groups(pool_first), *want = in_two_groups(pool_first_fused);
    expect_text(text, &all, want);
    free(text);
    free(want);

    char *const groups = changed_all(residual, "groups=1", "groups=2");
    text = changed_all(groups, "f32[1,8]", "f32[2,8]");
    fwi_graph *g = fuse(text, &all);
    assert_int_equal(count(g, FWI_OP_conv2d), 2);
    assert_int_equal(count(g, FWI_OP_conv2d_stats), 0);
    assert_int_equal(count(g, FWI_OP_bn_stats), 2);
    assert_int_equal(count(g, FWI_OP_bn_act_pool), 1);
    assert_int_equal(count(g, FWI_OP_bn_act_add), 1);
    assert_int_equal(count(g, FWI_OP_bn_act_grad), 1);
    assert_int_equal(count(g, FWI_OP_bn_act_pool_grad), 1);
    assert_int_equal(count(g, FWI_OP_bn_train), 0);
    assert_int_equal(count(g, FWI_OP_bn_train_grad), 0);
    fwi_graph_free(g);
    free(groups);
    free(text);

    static const char alone[] =
        "graph f32\n"
        "input %0 \"x\" f32[4,4,4,3]\n"
        "var %1 \"w\" f32[3,1,1,3] conv fixed const 0 0\n"
        "var %2 \"p\" f32[3] conv fixed const 0 0\n"
        "%3 f32[4,4,4,3] = conv2d %0 %1 kh=1 kw=1 stride=1 pad_t=0 pad_l=0 pad_b=0 pad_r=0 "
        "ih=4 iw=4 algo=0\n"
        "%4 f32[4,4,4,3], %5 f32[1,3], %6 f32[1,3] = bn_train %3 %2 %2 eps=0.001 groups=1 "
        "update=0 count=0\n"
        "output \"y\" %4\n";
    g = fuse(alone, &all);
    assert_int_equal(count(g, FWI_OP_conv2d_stats), 1);
    fwi_graph_free(g);
    text = in_two_groups(alone);
    expect_text(text, &all, text);
    free(text);
}

static void evaluation_fuses_too(void **state)
{
    (void)state;
    expect_text("graph f32\n"
                "input %0 \"x\" f32[4,4,4,3]\n"
                "var %1 \"p\" f32[3] conv fixed const 0 0\n"
                "%2 f32[4,4,4,3] = bn_eval %0 %1 %1 %1 %1 eps=0.001 groups=1 update=0 count=0\n"
                "%3 f32[4,4,4,3] = relu %2\n"
                "output \"y\" %3\n",
                &all,
                "graph f32\n"
                "input %0 \"x\" f32[4,4,4,3]\n"
                "var %1 \"p\" f32[3] conv fixed const 0 0\n"
                "%2 f32[4,4,4,3] = bn_act %0 %1 %1 %1 %1 eps=0.001 fn=6 alpha=0 k=0 ih=0 iw=0\n"
                "output \"y\" %2\n");
}

/* ---- what must not ---- */

/* Somebody else wants a value: it is made, and only what does not need it to vanish fuses. */
static void other_readers_are_served(void **state)
{
    (void)state;
    static const struct {
        const char *val; /* of `residual` */
        int stats, acts, pools, relus, relu_grads;
    } cases[] = {
        {"%11", 2, 1, 0, 1, 1}, /* the norm's output: its relu, and that one's gradient, stay */
        {"%14", 2, 1, 0, 0, 0}, /* the relu's output: all but the pool fuses */
        {"%37", 2, 1, 0, 0, 1}, /* the relu's gradient: its output is read, so the pool stays */
        {"%10", 2, 0, 1, 0, 0}, /* the convolution's output is there anyway */
        {"%12", 2, 0, 1, 0, 0}, /* and so is the mean */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[64];
        snprintf(line, sizeof line, "output \"extra\" %s\n", cases[i].val);
        char *text = changed(residual, "", line);
        fwi_graph *g = fuse(text, &all);
        if (count(g, FWI_OP_conv2d_stats) != cases[i].stats ||
            count(g, FWI_OP_bn_act) != cases[i].acts ||
            count(g, FWI_OP_bn_act_pool) != cases[i].pools ||
            count(g, FWI_OP_relu) != cases[i].relus ||
            count(g, FWI_OP_relu_grad) != cases[i].relu_grads) {
            fwi_buf got;
            print(g, &got);
            fail_msg("with %s an output:\n%s", cases[i].val, got.data);
        }
        fwi_graph_free(g);
        free(text);
    }
}

/* A pool's places as an output have no blocked form to be made from. */
static void places_stay_apart(void **state)
{
    (void)state;
    char *places = changed(pool_first, "", "output \"places\" %8\n");
    fwi_graph *g = fuse(places, &all);
    assert_int_equal(count(g, FWI_OP_max_pool_stats), 0);
    assert_int_equal(count(g, FWI_OP_bn_act_unpool_grad), 0);
    assert_int_equal(count(g, FWI_OP_bn_stats), 1);
    assert_int_equal(count(g, FWI_OP_bn_act_grad), 1);
    fwi_graph_free(g);
    free(places);
}

/* A pool that gathers statistics runs on blocks alone; one whose gradient does not is left as it is, where it
 * has a fast row. */
static void a_pool_that_stays_gathers_nothing(void **state)
{
    (void)state;
    static const fwi_kernel without[] = {
        ROW(max_pool_stats), ROW(bn_stats), ROW(bn_act), ROW(bn_act_grad), {.run = NULL}};
    static const fwi_kernel with[] = {ROW(max_pool_stats), ROW(bn_stats),      ROW(bn_act),
                                      ROW(bn_act_grad),    ROW(max_pool_grad), {.run = NULL}};
    static const fwi_op_table tables[] = {{.name = "without", .rows = without},
                                          {.name = "with", .rows = with}};
    for (int i = 0; i < 2; i++) {
        fwi_graph *g = fuse(pool_first, &tables[i]);
        assert_int_equal(count(g, FWI_OP_max_pool_grad), 1);
        assert_int_equal(count(g, FWI_OP_max_pool_stats), i);
        assert_int_equal(count(g, FWI_OP_bn_stats), 1 - i);
        fwi_graph_free(g);
    }
}

static void running_out_of_memory_is_reported(void **state)
{
    (void)state;
    fw_status st = FW_ENOMEM;
    for (int64_t n = 1; st != FW_OK; n++) {
        fwi_graph *g = NULL;
        assert_int_equal(fwi_graph_parse(&g, residual), FW_OK);
        fwi_mem_fail_at(n);
        st = fwi_lower_fuse(g, &all);
        fwi_mem_fail_at(0);
        assert_true(st == FW_OK || st == FW_ENOMEM);
        fwi_graph_free(g);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_become_fused_ops),
        cmocka_unit_test(a_table_without_rows_leaves_the_graph),
        cmocka_unit_test(gradients_keep_what_they_read),
        cmocka_unit_test(what_the_table_lacks_stays),
        cmocka_unit_test(evaluation_fuses_too),
        cmocka_unit_test(other_readers_are_served),
        cmocka_unit_test(others_gradients_stay),
        cmocka_unit_test(groups_fuse_too),
        cmocka_unit_test(places_stay_apart),
        cmocka_unit_test(a_pool_that_stays_gathers_nothing),
        cmocka_unit_test(running_out_of_memory_is_reported),
    };
    return cmocka_run_group_tests_name("lower_fuse", tests, NULL, NULL);
}
