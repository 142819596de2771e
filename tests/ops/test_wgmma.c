/* test_wgmma.c: our own convolutions for Hopper GPUs (own_conv.h), every tile size that fits a shape: under
 * emulation of the instructions that they are made of, and on a GPU that has these. What is tested of
 * the reference and of other kernels is in test_conv2d.c. */
#include "t_ops.h"

#include <stdio.h>

typedef struct conv_shape {
    int64_t n, h, w, c, oc, k, before, after;
} conv_shape;

/* Engines that ran: of the forward pass, of its gradient by the images, and by the filters. */
static int ran[3];

static void check_shape(const conv_shape *s, bool exact)
{
    const fwi_attr a = {.conv = {.kh = s->k,
                                 .kw = s->k,
                                 .stride = 1,
                                 .pad_t = s->before,
                                 .pad_l = s->before,
                                 .pad_b = s->after,
                                 .pad_r = s->after,
                                 .ih = s->h,
                                 .iw = s->w}};
    const int64_t oh = s->h + s->before + s->after - s->k + 1;
    const int64_t ow = s->w + s->before + s->after - s->k + 1;
    const fwi_shape x = fwi_shape4(s->n, s->h, s->w, s->c), y = fwi_shape4(s->n, oh, ow, s->oc);
    const fwi_shape w = fwi_shape4(s->oc, s->k, s->k, s->c);
    const t_fill fill = exact ? T_INTS : t_below(2) == 0 ? T_NORMAL : T_SHIFTED;
    const struct {
        fwi_opkind op;
        fwi_shape in0, in1;
        int64_t k;
    } ops[] = {{FWI_OP_conv2d, x, w, s->k * s->k * s->c},
               {FWI_OP_conv2d_dx, y, w, s->k * s->k * s->oc},
               {FWI_OP_conv2d_dw, x, y, s->n * oh * ow}};
    for (int i = 0; i < T_COUNT(ops); i++) {
        t_case c;
        t_begin(&c, ops[i].op, &a);
        t_real(&c, ops[i].in0, fill);
        t_real(&c, ops[i].in1, exact ? T_INTS : T_NORMAL);
        t_expect(&c);
        if (!exact)
            t_tol_linear(&c, ops[i].k);
        ran[i] += t_check_own_convs(&c);
    }
}

/* Channels for chunks of 64, 32 and 16, whole and in part; filters for one to two tiles of each width;
 * places that are less than a tile, one, and several, over the ends of lines and images. */
static void test_tiles(void **state)
{
    (void)state;
    static const conv_shape shapes[] = {
        {2, 5, 7, 64, 64, 3, 1, 1},   {1, 15, 15, 24, 64, 3, 1, 1}, {3, 7, 7, 64, 136, 3, 1, 1},
        {15, 3, 3, 128, 72, 3, 1, 1}, {2, 8, 8, 16, 32, 3, 1, 1},   {1, 1, 1, 8, 8, 1, 0, 0},
        {1, 2, 2, 64, 192, 3, 1, 1},  {2, 4, 5, 24, 96, 2, 0, 0},   {1, 6, 5, 192, 64, 3, 1, 0},
        {3, 9, 2, 40, 24, 3, 0, 1},   {1, 31, 9, 24, 128, 3, 1, 1}, {2, 4, 4, 48, 16, 5, 2, 2},
    };
    for (int i = 0; i < T_COUNT(shapes); i++)
        check_shape(&shapes[i], false);
}

static conv_shape random_shape(void)
{
    for (;;) {
        const int64_t k = 1 + t_below(4);
        const conv_shape s = {.n = 1 + t_below(4),
                              .h = 1 + t_below(9),
                              .w = 1 + t_below(9),
                              .c = 8 * (1 + t_below(10)),
                              .oc = 8 * (1 + t_below(10)),
                              .k = k,
                              .before = t_below(k),
                              .after = t_below(k)};
        if (s.k <= s.h + s.before + s.after && s.k <= s.w + s.before + s.after)
            return s;
    }
}

static void test_random_shapes(void **state)
{
    (void)state;
    for (int i = 0; i < T_RANDOM(8); i++) {
        const conv_shape s = random_shape();
        check_shape(&s, false);
    }
}

static void test_exact_integers(void **state)
{
    (void)state;
    for (int i = 0; i < T_RANDOM(3); i++) {
        const conv_shape s = random_shape();
        check_shape(&s, true);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_exact_integers),
    };
    const int failed = t_main(argc, argv, "test_wgmma", tests, sizeof tests / sizeof *tests);
    printf("own engines on a GPU: %d times\n", t_own_convs_on_gpu());
    return failed != 0 || (!T_THREADS_BUILD && (ran[0] == 0 || ran[1] == 0 || ran[2] == 0)) ? 1 : 0;
}
