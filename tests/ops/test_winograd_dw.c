/* test_winograd_dw.c: the filter's gradient by Winograd's algorithms, every instruction set, against
 * the double reference on random shapes.
 *
 * The measure is |got - want| over |terms|, both 2-norms over the whole filter, where |terms| is the
 * root of the sum of the squares of all products that were added: what the result would be if signs
 * were drawn by lot. An error of rounding is as large as its operands, not as what is left of them
 * after cancelling, and so this ratio does not depend on the number of images.
 *   products of f32, whatever images are stored as: F2 1e-6, F3 and F4 2e-6, F5 4e-6, F6 8e-6: some
 *   units of 2^-24, more of them where all x are positive and the sums of transformed numbers cancel
 *   in the last transform; F4 multiplies by up to 5 on the way in, F6 by up to 32.
 *   products of bf16: F2 1e-2, F3 and F4 1.5e-2: two operands rounded by up to 2^-9 of themselves
 *   after a transform whose numbers are larger than what they come to in the end. 3 to 5e-3 and 1e-2
 *   are usual; F4 was seen at 2.95e-2 on an image smaller than a tile.
 * Twice that for images smaller than a tile: the few products of a tile that is mostly empty are as
 * far off as those of a full one, and there are fewer of them.
 * With small whole numbers F2 has nothing to round: every sum must be exact, in bf16 too.
 * ctest: tsan */
#include "t_wino.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct dw_case {
    t_wino_shape s;
    fw_dtype dtype;
    double *x, *dy; /* n h w c, exact in dtype */
    double *want;
    double terms; /* |terms| of the measure */
} dw_case;

/* want and |terms|, by definition. */
static void expect(dw_case *t)
{
    const t_wino_shape *s = &t->s;
    t->want = t_must(calloc((size_t)(s->oc * 9 * s->c), sizeof(double)));
    t->terms = 0;
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t y = 0; y < s->oh; y++)
            for (int64_t x = 0; x < s->ow; x++)
                for (int64_t tap = 0; tap < 9; tap++) {
                    const int64_t sy = y - s->pt + tap / 3, sx = x - s->pl + tap % 3;
                    if (sy < 0 || sy >= s->h || sx < 0 || sx >= s->w)
                        continue;
                    const double *const from = t->x + ((i * s->h + sy) * s->w + sx) * s->c;
                    const double *const dy = t->dy + ((i * s->oh + y) * s->ow + x) * s->oc;
                    double squares = 0, dy_squares = 0;
                    for (int64_t k = 0; k < s->c; k++)
                        squares += from[k] * from[k];
                    for (int64_t o = 0; o < s->oc; o++) {
                        double *const want = t->want + (o * 9 + tap) * s->c;
                        dy_squares += dy[o] * dy[o];
                        for (int64_t k = 0; k < s->c; k++)
                            want[k] += from[k] * dy[o];
                    }
                    t->terms += squares * dy_squares;
                }
    t->terms = sqrt(t->terms);
}

static dw_case case_of(const t_wino_shape *s, fw_dtype dtype, t_fill fill)
{
    dw_case t = {.s = *s, .dtype = dtype};
    t.x = t_wino_numbers(s->n * s->h * s->w * s->c, dtype, fill);
    t.dy = t_wino_numbers(s->n * s->oh * s->ow * s->oc, dtype, fill == T_INTS ? T_INTS : T_NORMAL);
    expect(&t);
    return t;
}

static void drop(dw_case *t)
{
    free(t->x);
    free(t->dy);
    free(t->want);
}

/* One run; gives the filter's gradient. */
static float *run(const dw_case *t, const fwi_kernel *k, fwi_call call, int way)
{
    const bool odd = way == 2;
    const t_wino_shape *s = &t->s;
    call.pool = t_wino_pool(way);
    call.in[0].data = t_wino_images(t->x, &call.in[0], odd);
    call.in[1].data = t_wino_images(t->dy, &call.in[1], odd);
    const size_t out_bytes = (size_t)(s->oc * 9 * s->c) * sizeof(float);
    const size_t scratch = k->scratch(&call);
    call.out[0].data = t_guarded(out_bytes, sizeof(float), odd);
    call.scratch = t_guarded(scratch, 64, false);
    assert_int_equal(k->run(&call), FW_OK);
    float *const got = t_must(malloc(out_bytes));
    memcpy(got, call.out[0].data, out_bytes);
    t_check_guards(call.scratch, scratch);
    t_check_guards(call.out[0].data, out_bytes);
    for (int i = 0; i < 2; i++)
        t_check_guards(call.in[i].data, t_stored_bytes(&call.in[i]));
    return got;
}

static fwi_call call_of(const dw_case *t, const fwi_attr *attr)
{
    const t_wino_shape *s = &t->s;
    return (fwi_call){
        .kind = FWI_OP_conv2d_dw,
        .attr = attr,
        .in = {{.dtype = t->dtype, .shape = fwi_shape4(s->n, s->h, s->w, s->c), .nb = s->nb},
               {.dtype = t->dtype, .shape = fwi_shape4(s->n, s->oh, s->ow, s->oc), .nb = s->nb}},
        .out = {{.dtype = FW_F32, .shape = fwi_shape4(s->oc, 3, 3, s->c)}}};
}

static double bar(const dw_case *t, int algo, bool bf16_products)
{
    static const double f32[FWI_CONV_ALGOS] = {[FWI_CONV_WINO2] = 1e-6,
                                               [FWI_CONV_WINO3] = 2e-6,
                                               [FWI_CONV_WINO4] = 2e-6,
                                               [FWI_CONV_WINO5] = 4e-6,
                                               [FWI_CONV_WINO6] = 8e-6};
    static const double bf16[FWI_CONV_ALGOS] = {
        [FWI_CONV_WINO2] = 1e-2, [FWI_CONV_WINO3] = 1.5e-2, [FWI_CONV_WINO4] = 1.5e-2};
    const int64_t m = t_wino_side(algo);
    const double part = t->s.oh < m || t->s.ow < m ? 2 : 1;
    return part * (bf16_products ? bf16[algo] : f32[algo]);
}

/* Every instruction set that has a Winograd row of its own for the case. Returns how many. */
static int check(const dw_case *t, int algo, bool exact)
{
    const t_wino_shape *s = &t->s;
    const fwi_attr attr = t_wino_attr(s, algo);
    const fwi_call call = call_of(t, &attr);
    int rows = 0;
    for (int isa = FWI_ISA_PORTABLE; isa < FWI_ISA_COUNT; isa++) {
        const fwi_kernel *const k = t_wino_row((fwi_isa)isa, &call);
        if (k == NULL)
            continue;
        rows++;
        char text[256];
        t_wino_say(s, algo, k->name, text, sizeof text);
        float *const got = run(t, k, call, 0);
        double off = 0;
        for (int64_t i = 0; i < s->oc * 9 * s->c; i++) {
            const double d = (double)got[i] - t->want[i];
            off += d * d;
            if (exact && d != 0)
                fail_msg("%s: [%lld] is %g, expected %g", k->name, (long long)i, (double)got[i],
                         t->want[i]);
        }
        const double ratio = t->terms > 0 ? sqrt(off) / t->terms : sqrt(off);
        if (!(ratio <= bar(t, algo, isa == FWI_ISA_AVX512_BF16)))
            fail_msg("%s: %.3g", text, ratio);
        t_wino_note(k->name, algo, ratio);
        for (int way = 1; way < T_WINO_WAYS; way++) {
            float *const again = run(t, k, call, way);
            if (memcmp(got, again, (size_t)(s->oc * 9 * s->c) * sizeof(float)) != 0)
                fail_msg("%s gives other bits %s", k->name,
                         way == 1 ? "with 2 threads" : "with 9 threads on odd addresses");
            free(again);
        }
        free(got);
    }
    return rows;
}

/* All algorithms, float and bf16, on one shape. */
static void check_shape(const t_wino_shape *s, t_fill fill)
{
    static const fw_dtype types[] = {FW_F32, FW_BF16};
    for (int d = 0; d < 2; d++) {
        dw_case t = case_of(s, types[d], fill);
        (void)check(&t, FWI_CONV_WINO2, fill == T_INTS);
        for (int algo = FWI_CONV_WINO3; fill != T_INTS && algo <= FWI_CONV_WINO6; algo++)
            (void)check(&t, algo, false);
        drop(&t);
    }
}

static void test_shapes(void **state)
{
    (void)state;
    const t_wino_shape shapes[] = {
        t_wino_same(1, 1, 1, 1, 1, 1),     t_wino_same(3, 2, 2, 2, 3, 5),
        t_wino_same(15, 14, 4, 4, 64, 33), t_wino_same(29, 14, 3, 3, 31, 64),
        t_wino_same(20, 10, 15, 7, 24, 7), t_wino_same(5, 14, 8, 8, 32, 32),
        t_wino_same(2, 1, 32, 32, 16, 40), t_wino_same(3, 5, 7, 40, 9, 8),
        t_wino_same(2, 2, 5, 130, 5, 3),
    };
    for (int i = 0; i < T_COUNT(shapes); i++) {
        check_shape(&shapes[i], T_NORMAL);
        if (T_THREADS_BUILD) /* other numbers are no other threads */
            continue;
        check_shape(&shapes[i], T_POSITIVE);
        check_shape(&shapes[i], T_INTS);
    }
}

/* More channels than one task takes, more rows of tiles than a chunk, sums of several stretches. */
static void test_parts(void **state)
{
    (void)state;
    const t_wino_shape shapes[] = {t_wino_same(2, 2, 6, 6, 200, 290),
                                   t_wino_same(2, 2, 6, 6, 160, 40), /* x in parts: few channels */
                                   t_wino_same(2, 2, 6, 6, 530, 30), /* and many */
                                   t_wino_same(28, 14, 16, 16, 48, 64),
                                   t_wino_same(14, 14, 32, 32, 64, 32),
                                   t_wino_same(126, 14, 24, 24, 9, 8), /* with every algorithm */
                                   t_wino_same(20, 20, 5, 70, 9, 8)};  /* rows of tiles cut */
    for (int i = 0; i < T_COUNT(shapes); i++)
        check_shape(&shapes[i], T_POSITIVE);
}

static void test_random_shapes(void **state)
{
    (void)state;
    static const int32_t blocks[] = {1, 2, 3, 5, 10, 12, 14};
    for (int i = 0; i < T_RANDOM(40); i++) {
        t_wino_shape s = {.n = 1 + t_below(40),
                          .h = 1 + t_below(12),
                          .w = 1 + t_below(12),
                          .c = 1 + t_below(70),
                          .oc = 1 + t_below(70),
                          .pt = t_below(3),
                          .pl = t_below(3),
                          .nb = blocks[t_below(T_COUNT(blocks))]};
        s.oh = s.h + s.pt + t_below(2) - 2;
        s.ow = s.w + s.pl + t_below(2) - 2;
        if (s.oh < 1 || s.ow < 1)
            continue;
        check_shape(&s, i % 4 == 0 ? T_INTS : i % 2 == 0 ? T_NORMAL : T_POSITIVE);
    }
}

/* Who asks for another algorithm, or for Winograd's where it cannot be, gets a direct kernel. */
static void test_choice(void **state)
{
    (void)state;
    const t_wino_shape s = t_wino_same(4, 4, 8, 8, 16, 16);
    dw_case t = case_of(&s, FW_F32, T_NORMAL);
    for (int isa = FWI_ISA_PORTABLE; isa < FWI_ISA_COUNT; isa++)
        for (int algo = 0; algo < FWI_CONV_ALGOS; algo++) {
            const fwi_op_table *const table = fwi_cpu_table((fwi_isa)isa);
            if (table == NULL)
                continue;
            fwi_attr attr = t_wino_attr(&s, algo);
            const fwi_call call = call_of(&t, &attr);
            const fwi_kernel *k = fwi_table_find(table, &call, NULL);
            const bool winograd = t_wino_side(algo) > 0 && algo <= FWI_CONV_WINO6;
            assert_non_null(k);
            assert_int_equal(strstr(k->name, "winograd") != NULL, winograd);
            attr.conv.stride = 2;
            k = fwi_table_find(table, &call, NULL);
            assert_true(k == NULL || strstr(k->name, "winograd") == NULL);
        }
    for (int algo = FWI_CONV_WINO2; algo <= FWI_CONV_WINO6; algo++)
        assert_int_equal(check(&t, algo, false), t_wino_rows(FW_F32, algo));
    assert_int_equal(check(&t, FWI_CONV_WINO7, false), 0); /* for the other two passes alone */
    drop(&t);
    t = case_of(&s, FW_BF16, T_NORMAL);
    for (int algo = FWI_CONV_WINO2; algo <= FWI_CONV_WINO6; algo++)
        assert_int_equal(check(&t, algo, false), t_wino_rows(FW_BF16, algo));
    assert_int_equal(check(&t, FWI_CONV_WINO7, false), 0);
    drop(&t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_choice),
    };
    return t_wino_main(argc, argv, "test_winograd_dw", tests, sizeof tests / sizeof *tests);
}
