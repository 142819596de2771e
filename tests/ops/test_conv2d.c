/* test_conv2d.c: every convolution kernel against the double reference; the reference against sums
 * done by hand; gradients against differences.
 * ctest: tsan */
#include "t_grad.h"

typedef struct conv_shape {
    int64_t n, h, w, c, oc, kh, kw, stride, pt, pl, pb, pr;
} conv_shape;

static fwi_attr conv_attr(const conv_shape *s)
{
    return (fwi_attr){.conv = {.kh = s->kh,
                               .kw = s->kw,
                               .stride = s->stride,
                               .pad_t = s->pt,
                               .pad_l = s->pl,
                               .pad_b = s->pb,
                               .pad_r = s->pr,
                               .ih = s->h,
                               .iw = s->w}};
}

/* The three ops on one shape. exact: whole numbers, so that every kernel must give the very sum. */
static void check_shape(const conv_shape *s, bool exact)
{
    const fwi_attr a = conv_attr(s);
    const int64_t oh = (s->h + s->pt + s->pb - s->kh) / s->stride + 1;
    const int64_t ow = (s->w + s->pl + s->pr - s->kw) / s->stride + 1;
    const fwi_shape x = fwi_shape4(s->n, s->h, s->w, s->c), y = fwi_shape4(s->n, oh, ow, s->oc);
    const fwi_shape w = fwi_shape4(s->oc, s->kh, s->kw, s->c);
    const t_fill fill = exact ? T_INTS : t_below(2) == 0 ? T_NORMAL : T_SHIFTED;
    const struct {
        fwi_opkind op;
        fwi_shape in0, in1;
        int64_t k;
    } ops[] = {{FWI_OP_conv2d, x, w, s->kh * s->kw * s->c},
               {FWI_OP_conv2d_dx, y, w, s->kh * s->kw * s->oc},
               {FWI_OP_conv2d_dw, x, y, s->n * oh * ow}};
    for (int i = 0; i < T_COUNT(ops); i++) {
        t_case c;
        t_begin(&c, ops[i].op, &a);
        t_real(&c, ops[i].in0, fill);
        t_real(&c, ops[i].in1, exact ? T_INTS : T_NORMAL);
        t_expect(&c);
        if (!exact)
            t_tol_linear(&c, ops[i].k);
        t_check(&c);
    }
}

/* All of them, and the one of number `exact` in whole numbers too; -1: none. */
static void check_shapes(const conv_shape *shapes, int n, int exact)
{
    for (int i = 0; i < n; i++)
        check_shape(&shapes[i], false);
    if (exact >= 0)
        check_shape(&shapes[exact], true);
}

static void test_odd_shapes(void **state)
{
    (void)state;
    static const conv_shape shapes[] = {
        {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0},   {2, 5, 7, 3, 16, 3, 3, 1, 1, 1, 1, 1},
        {3, 9, 8, 7, 33, 3, 3, 2, 1, 1, 1, 1},  {1, 4, 4, 64, 64, 3, 3, 1, 1, 1, 1, 1},
        {2, 8, 8, 16, 24, 5, 5, 1, 2, 2, 2, 2}, {2, 6, 9, 33, 7, 2, 2, 1, 0, 0, 0, 0},
        {1, 9, 9, 24, 3, 1, 1, 2, 0, 0, 0, 0},  {2, 7, 5, 3, 27, 3, 3, 1, 0, 0, 0, 0},
        {1, 8, 8, 3, 16, 3, 3, 2, 0, 0, 1, 1}, /* SAME at stride 2: padding below and right only */
        {2, 3, 4, 16, 16, 3, 2, 1, 1, 0, 1, 1}, {1, 2, 2, 7, 33, 5, 3, 1, 2, 1, 2, 1},
        {3, 4, 3, 1, 64, 3, 3, 1, 1, 1, 1, 1},  {1, 1, 9, 16, 16, 1, 5, 2, 0, 2, 0, 2},
        {1, 6, 6, 8, 8, 3, 3, 3, 0, 0, 0, 0},
    };
    check_shapes(shapes, T_COUNT(shapes), -1);
}

/* The walk-through's layers at batch 1 to 3: the shapes that fast kernels are written for. */
static void test_net_shapes(void **state)
{
    (void)state;
    static const conv_shape shapes[] = {
        {2, 32, 32, 3, 64, 3, 3, 1, 1, 1, 1, 1},
        {1, 16, 16, 64, 128, 3, 3, 1, 1, 1, 1, 1},
        {3, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1, 1},
        {3, 4, 4, 128, 128, 3, 3, 1, 1, 1, 1, 1},
    };
    check_shapes(shapes, T_COUNT(shapes), -1);
}

/* More images than a block has: whole blocks, and a last one with padding. */
static void test_many_images(void **state)
{
    (void)state;
    static const conv_shape shapes[] = {
        {15, 3, 4, 24, 33, 3, 3, 1, 1, 1, 1, 1}, {23, 4, 3, 3, 24, 2, 2, 1, 0, 0, 0, 0},
        {29, 2, 2, 64, 40, 3, 3, 1, 1, 1, 1, 1}, {31, 5, 4, 27, 7, 3, 3, 2, 1, 1, 1, 1},
        {28, 1, 1, 16, 64, 1, 1, 1, 0, 0, 0, 0},
    };
    check_shapes(shapes, T_COUNT(shapes), 2);
}

/* Images of several strips, whose source lines overlap, and chunks of a filter's gradient that end
 * within an image; channels for each width that a register tile has (16, 24, 32) in the last panel
 * of outputs and of gradients; odd channels, which kernels of pairs copy with a zero behind. */
static void test_strips(void **state)
{
    (void)state;
    static const conv_shape shapes[] = {
        {15, 12, 34, 3, 24, 3, 3, 1, 1, 1, 1, 1},
        {29, 9, 10, 24, 20, 3, 3, 1, 1, 1, 1, 1},
        {16, 17, 5, 5, 49, 3, 3, 1, 1, 1, 1, 1},
        {13, 16, 16, 40, 56, 3, 3, 2, 1, 1, 1, 1},
        {27, 8, 9, 27, 24, 2, 2, 1, 0, 0, 0, 0},
        {3, 21, 19, 10, 12, 5, 5, 1, 2, 2, 2, 2},
        /* lines so long that a strip is one, between two strides without a source line */
        {84, 9, 9, 1, 1200, 1, 1, 2, 0, 0, 0, 0},
    };
    check_shapes(shapes, T_COUNT(shapes), 1);
}

/* Images of 1 to 4 channels, which have a kernel of their own on GPUs: lines that are cut into tiles, with and
 * without a rest; tiles behind the last line; more filters than a block has; filters' lines of each length;
 * more tiles than blocks that share them out, and fewer for the last; padding wider than the filter. */
static void test_few_channels(void **state)
{
    (void)state;
    static const conv_shape shapes[] = {
        {2, 31, 31, 3, 24, 2, 2, 1, 0, 0, 0, 0}, {1, 5, 130, 3, 16, 3, 3, 1, 1, 1, 1, 1},
        {2, 9, 67, 4, 8, 3, 3, 2, 1, 0, 1, 2},   {1, 18, 7, 2, 72, 3, 3, 1, 1, 1, 1, 1},
        {2, 6, 5, 1, 136, 4, 4, 1, 3, 3, 3, 3},  {1, 7, 9, 4, 64, 3, 3, 1, 1, 1, 1, 1},
        {3, 8, 8, 1, 32, 3, 3, 1, 1, 1, 1, 1},   {1, 4, 9, 3, 16, 1, 4, 2, 0, 5, 0, 2},
        {793, 2, 3, 3, 8, 2, 2, 1, 0, 1, 0, 0},  {2, 40, 3, 2, 8, 4, 1, 1, 0, 0, 2, 0},
    };
    check_shapes(shapes, T_COUNT(shapes), 2);
}

/* One in four has more images than a block, small ones. */
static conv_shape random_shape(void)
{
    static const int64_t channels[] = {1, 3, 7, 16, 24, 33, 64};
    static const int64_t kernels[] = {1, 2, 3, 5, 7};
    for (;;) {
        conv_shape s; /* drawn one after the other: a seed draws the same with any compiler */
        const bool many = t_below(4) == 0;
        s.n = 1 + t_below(many ? 31 : 3);
        s.h = 1 + t_below(many ? 4 : 9);
        s.w = 1 + t_below(many ? 4 : 9);
        s.c = channels[t_below(T_COUNT(channels))];
        s.oc = channels[t_below(T_COUNT(channels))];
        s.kh = kernels[t_below(T_COUNT(kernels))];
        s.kw = kernels[t_below(T_COUNT(kernels))];
        s.stride = 1 + t_below(3);
        s.pt = t_below(3);
        s.pl = t_below(3);
        s.pb = t_below(3);
        s.pr = t_below(3);
        if (s.kh <= s.h + s.pt + s.pb && s.kw <= s.w + s.pl + s.pr)
            return s;
    }
}

static void test_random_shapes(void **state)
{
    (void)state;
    for (int i = 0; i < T_RANDOM(60); i++) {
        const conv_shape s = random_shape();
        check_shape(&s, false);
    }
}

static void test_exact_integers(void **state)
{
    (void)state;
    for (int i = 0; i < T_RANDOM(12); i++) {
        const conv_shape s = random_shape();
        check_shape(&s, true);
    }
    check_shape(&(conv_shape){2, 9, 9, 64, 64, 3, 3, 1, 1, 1, 1, 1}, true);
}

/* 1 2 3 / 4 5 6 / 7 8 9 with the filter 1 2 / 3 4: small enough to do on paper. */
static void test_by_hand(void **state)
{
    (void)state;
    static const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[] = {1, 2, 3, 4};
    static const double y[] = {37, 47, 67, 77};
    double got[9], *out[] = {got};
    t_case c;
    t_begin(&c, FWI_OP_conv2d,
            &(fwi_attr){.conv = {.kh = 2, .kw = 2, .stride = 1, .ih = 3, .iw = 3}});
    t_values(&c, FW_F32, fwi_shape4(1, 3, 3, 1), x);
    t_values(&c, FW_F32, fwi_shape4(1, 2, 2, 1), w);
    t_reference(&c, out);
    for (int i = 0; i < 4; i++)
        assert_true(got[i] == y[i]);
    t_drop(&c);

    /* stride 2, padding above and left: windows at rows -1, 1 and columns -1, 1 */
    const fwi_attr a = {
        .conv = {.kh = 2, .kw = 2, .stride = 2, .pad_t = 1, .pad_l = 1, .ih = 3, .iw = 3}};
    t_begin(&c, FWI_OP_conv2d, &a);
    t_values(&c, FW_F32, fwi_shape4(1, 3, 3, 1), x);
    t_values(&c, FW_F32, fwi_shape4(1, 2, 2, 1), w);
    t_reference(&c, out);
    assert_true(got[0] == 4 * 1);
    assert_true(got[1] == 3 * 2 + 4 * 3);
    assert_true(got[2] == 2 * 4 + 4 * 7);
    assert_true(got[3] == 1 * 5 + 2 * 6 + 3 * 8 + 4 * 9);
    t_drop(&c);
}

static fwi_val build_conv(t_net *net, const void *arg)
{
    const conv_shape *s = arg;
    const fwi_attr a = conv_attr(s);
    const fwi_val x = t_net_param(net, "x", fwi_shape4(s->n, s->h, s->w, s->c), T_NORMAL);
    const fwi_val w = t_net_param(net, "w", fwi_shape4(s->oc, s->kh, s->kw, s->c), T_NORMAL);
    return t_net_dot(net, fwi_op2(t_net_graph(net), FWI_OP_conv2d, &a, x, w));
}

static void test_gradient(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++) {
        conv_shape s;
        do
            s = random_shape();
        while (s.pt >= s.kh || s.pl >= s.kw); /* the first window sees a pixel: x has a gradient */
        s.c = 1 + s.c % 9;
        s.oc = 1 + s.oc % 9;
        t_net_check("conv2d", build_conv, &s, 1e-7);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),       cmocka_unit_test(test_odd_shapes),
        cmocka_unit_test(test_net_shapes),    cmocka_unit_test(test_many_images),
        cmocka_unit_test(test_strips),        cmocka_unit_test(test_few_channels),
        cmocka_unit_test(test_random_shapes), cmocka_unit_test(test_exact_integers),
        cmocka_unit_test(test_gradient),
    };
    return t_main(argc, argv, "test_conv2d", tests, sizeof tests / sizeof *tests);
}
