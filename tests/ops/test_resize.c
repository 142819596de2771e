/* test_resize.c: images of another size: every kernel against the double reference, by hand, against
 * windows of padded images and against differences.
 * ctest: tsan */
#include "t_grad.h"

#include <fenwicks/data.h>
#include <stdlib.h>

typedef struct size {
    int64_t n, ih, iw, c, h, w;
} size;

static const size sizes[] = {
    {1, 1, 1, 1, 1, 1}, {2, 1, 1, 3, 4, 5},     {3, 4, 4, 16, 2, 2},    {2, 7, 5, 3, 3, 5},
    {1, 5, 9, 1, 9, 4}, {2, 32, 32, 3, 24, 24}, {2, 32, 32, 3, 28, 28}, {1, 9, 8, 33, 1, 1},
    {3, 8, 8, 2, 8, 8}, {1, 3, 2, 7, 8, 11},
};

/* Of case i; behind the fixed ones a new one with each call. */
static const size *size_at(int i)
{
    static size drawn;
    if (i < T_COUNT(sizes))
        return &sizes[i];
    drawn.n = 1 + t_below(3); /* one after the other: a seed draws the same with any compiler */
    drawn.ih = 1 + t_below(14);
    drawn.iw = 1 + t_below(14);
    drawn.c = 1 + t_below(40);
    drawn.h = 1 + t_below(14);
    drawn.w = 1 + t_below(14);
    return &drawn;
}

static fwi_shape large(const size *s)
{
    return fwi_shape4(s->n, s->ih, s->iw, s->c);
}

static fwi_shape small(const size *s)
{
    return fwi_shape4(s->n, s->h, s->w, s->c);
}

static fwi_attr attr_of(const size *s)
{
    return (fwi_attr){.image = {s->h, s->w, s->ih, s->iw}};
}

static void test_resize(void **state)
{
    (void)state;
    for (int i = 0; i < T_COUNT(sizes) + T_RANDOM(24); i++) {
        const size *s = size_at(i);
        const fwi_attr a = attr_of(s);
        t_case c;
        t_begin(&c, FWI_OP_resize, &a);
        t_real(&c, large(s), T_NORMAL);
        t_expect(&c);
        t_tol_linear(&c, 4);
        t_check(&c);

        t_begin(&c, FWI_OP_resize_grad, &a);
        t_real(&c, small(s), T_NORMAL);
        t_expect(&c);
        /* an axis gives a place to at most 2 h / ih + 2 others, or to all of them */
        const int64_t down = 2 * s->h / s->ih + 2, along = 2 * s->w / s->iw + 2;
        t_tol_linear(&c, (down < s->h ? down : s->h) * (along < s->w ? along : s->w) + 3);
        t_check(&c);
    }
}

/* Nothing is computed: bit for bit. Images to crop from are larger both ways. */
static void test_crop(void **state)
{
    (void)state;
    static const size crops[] = {{1, 1, 1, 1, 1, 1},     {2, 4, 5, 3, 1, 2},  {3, 9, 8, 16, 4, 5},
                                 {1, 32, 32, 3, 24, 24}, {2, 7, 7, 33, 6, 7}, {2, 6, 9, 2, 6, 4}};
    for (int i = 0; i < T_COUNT(crops); i++) {
        const size *s = &crops[i];
        const fwi_attr a = attr_of(s);
        t_case c;
        t_begin(&c, FWI_OP_crop, &a);
        t_real(&c, large(s), T_SHIFTED);
        t_expect(&c);
        t_check(&c);
        if (4 * s->h * s->w < s->ih * s->iw)
            continue; /* a test whose results are mostly zero proves little */
        t_begin(&c, FWI_OP_crop_grad, &a);
        t_real(&c, small(s), T_SHIFTED);
        t_expect(&c);
        t_check(&c);
    }
}

/* Whole numbers whose shares are halves and quarters: exact in every kernel. */
static void test_exact(void **state)
{
    (void)state;
    const size s = {3, 8, 12, 5, 4, 6};
    const fwi_attr a = attr_of(&s);
    t_case c;
    t_begin(&c, FWI_OP_resize, &a);
    t_real(&c, large(&s), T_INTS);
    t_expect(&c);
    t_check(&c);
    t_begin(&c, FWI_OP_resize_grad, &a);
    t_real(&c, small(&s), T_INTS);
    t_expect(&c);
    t_check(&c);
}

/* One row: to twice the size ends are repeated and quarters taken; 3 from 4 looks at the places 1/6,
 * 3/2 and 17/6; 2 from 5 at 3/4 and 13/4, so the pixel between them is not seen. */
static void test_by_hand(void **state)
{
    (void)state;
    static const struct {
        int64_t iw, w;
        double x[5], y[6];
    } cases[] = {
        {3, 6, {4, 8, 0}, {4, 5, 7, 6, 2, 0}},
        {4, 3, {6, 12, 18, 0}, {7, 15, 3}},
        {5, 2, {4, 8, 1000, 16, 20}, {7, 17}},
        {2, 1, {3, 5}, {4}},
    };
    for (int i = 0; i < T_COUNT(cases); i++)
        for (int turned = 0; turned < 2; turned++) { /* the same from top to bottom */
            const int64_t n = cases[i].iw, m = cases[i].w;
            const fwi_attr a = {.image = {turned ? m : 1, turned ? 1 : m, 0, 0}};
            double y[6], *out[] = {y};
            t_case c;
            t_begin(&c, FWI_OP_resize, &a);
            t_values(&c, FW_F32, turned ? fwi_shape4(1, n, 1, 1) : fwi_shape4(1, 1, n, 1),
                     cases[i].x);
            t_reference(&c, out);
            t_drop(&c);
            for (int64_t k = 0; k < m; k++)
                assert_true(y[k] > cases[i].y[k] - 1e-12 && y[k] < cases[i].y[k] + 1e-12);
        }
    /* 3 x 3 of 6 x 5: from row 1 and column 1 on */
    double x[30], y[9], *out[] = {y};
    for (int i = 0; i < 30; i++)
        x[i] = i;
    t_case c;
    t_begin(&c, FWI_OP_crop, &(fwi_attr){.image = {.h = 3, .w = 3}});
    t_values(&c, FW_F32, fwi_shape4(1, 6, 5, 1), x);
    t_reference(&c, out);
    t_drop(&c);
    for (int i = 0; i < 9; i++)
        assert_true(y[i] == (1 + i / 3) * 5 + 1 + i % 3);
}

/* ---- windows of padded images ---- */

enum { SIDE = 9, PAD = 2, PADDED = SIDE + 2 * PAD };

static int64_t reflected(int64_t i)
{
    return i < 0 ? -i : i < SIDE ? i : 2 * (SIDE - 1) - i;
}

/* The middle of a translated image is a random window of the padded one. The translation takes rows
 * from oy on of the padded image, oy = 0 .. 2 PAD; of these the crop takes those from
 * (SIDE - r) / 2 on. The other way round, the middle (r + 2 PAD)^2 of the padded image begins at
 * (PADDED - r - 2 PAD) / 2 = (SIDE - r) / 2, and its window at oy from there. The two are one place,
 * for even and odd r, so a batch can stay of full size until it is in the graph. */
static void test_crop_is_a_window(void **state)
{
    (void)state;
    double image[SIDE * SIDE], padded[PADDED][PADDED];
    float in[SIDE * SIDE], moved[SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE; i++) {
        in[i] = (float)i;
        image[i] = i;
    }
    for (int64_t y = 0; y < PADDED; y++)
        for (int64_t x = 0; x < PADDED; x++)
            padded[y][x] = image[reflected(y - PAD) * SIDE + reflected(x - PAD)];
    const fw_transform list[] = {fw_random_pad_crop(PAD), FW_TRANSFORM_END};
    int seen[2 * PAD + 1][2 * PAD + 1] = {{0}}, places = 0;
    for (int64_t record = 0; record < 300; record++) {
        uint32_t words[4];
        fwi_rng_block(3, FWI_RNG_CROP, 1, (uint64_t)record, 0, words);
        const int64_t oy = fwi_below(words[0], 2 * PAD + 1), ox = fwi_below(words[1], 2 * PAD + 1);
        places += seen[oy][ox]++ == 0;
        assert_int_equal(
            fw_transform_apply(list, 3, 1, record, FW_F32, SIDE, SIDE, 1, in, 0, moved), FW_OK);
        for (int i = 0; i < SIDE * SIDE; i++)
            image[i] = (double)moved[i];
        for (int64_t r = 1; r <= SIDE; r++) {
            double y[SIDE * SIDE], *out[] = {y};
            t_case c;
            t_begin(&c, FWI_OP_crop, &(fwi_attr){.image = {.h = r, .w = r}});
            t_values(&c, FW_F32, fwi_shape4(1, SIDE, SIDE, 1), image);
            t_reference(&c, out);
            t_drop(&c);
            const int64_t begin = (PADDED - (r + 2 * PAD)) / 2; /* of the padded image's middle */
            for (int64_t i = 0; i < r * r; i++)
                assert_true(y[i] == padded[begin + oy + i / r][begin + ox + i % r]);
        }
    }
    assert_int_equal(places, (2 * PAD + 1) * (2 * PAD + 1));
}

/* ---- gradients ---- */

typedef struct resize_net {
    fwi_opkind op;
    size s;
} resize_net;

static fwi_val build(t_net *net, const void *arg)
{
    const resize_net *s = arg;
    const fwi_attr a = {.image = {s->s.h, s->s.w, 0, 0}};
    const fwi_val x = t_net_param(net, "x", large(&s->s), T_NORMAL);
    return t_net_dot(net, fwi_op1(t_net_graph(net), s->op, &a, x));
}

static void test_gradient(void **state)
{
    (void)state;
    for (int i = 0; i < T_COUNT(sizes); i++) {
        const resize_net s = {FWI_OP_resize, sizes[i]};
        t_net_check("resize", build, &s, 1e-7);
    }
    static const size crops[] = {{2, 5, 6, 3, 3, 3}, {1, 4, 4, 2, 4, 1}, {2, 3, 3, 1, 3, 3}};
    for (int i = 0; i < T_COUNT(crops); i++) {
        const resize_net s = {FWI_OP_crop, crops[i]};
        t_net_check("crop", build, &s, 1e-7);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_crop),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_crop_is_a_window),
        cmocka_unit_test(test_gradient),
    };
    return t_main(argc, argv, "test_resize", tests, sizeof tests / sizeof *tests);
}
