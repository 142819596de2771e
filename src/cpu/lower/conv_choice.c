/* conv_choice.c: which algorithm computes a 3 x 3 convolution fastest: a table of what was measured,
 * and for images of up to 32 pixels which squares fit them best. The table is data: `fenwicks bench conv`
 * times every algorithm on a shape, and where it shows another order than a line here, the line is what
 * has to change. Asked by lower_conv.c, which knows whether there is a kernel for the answer.
 *
 * What stands behind the lines. Winograd's F(2x2,3x3) multiplies 2.25 times less than the
 * definition, F(4x4,3x3) 4 times less, F(5x5,3x3) to F(7x7,3x3) about 5 times; against it go
 * transforms, whose cost per product falls with the channels; squares that reach beyond the image (for
 * F(4x4,3x3) a side of 3 costs as much as one of 4, one of 5 as much as one of 8); and that the direct
 * kernels leave out the taps that fall into the padding, which are many where images are small. Filter
 * gradients transform both of their operands and win least. */
#include "cpu_lower.h"

#include <string.h>

enum { FWD = 1 << FWI_CONV_FORWARD, DX = 1 << FWI_CONV_INPUT_GRAD, DW = 1 << FWI_CONV_FILTER_GRAD };
#define DIRECT FWI_CONV_DIRECT
#define F2     FWI_CONV_WINO2
#define F3     FWI_CONV_WINO3
#define F4     FWI_CONV_WINO4

typedef struct choice {
    fw_dtype dtype;                          /* of the products: bf16 by avx512_bf16 alone */
    unsigned passes;                         /* a set of them */
    int32_t least_side;                      /* of the image, in pixels */
    int32_t least_c;                         /* channels, of images and filters alike: at least */
    fwi_conv_algo up_to_2, up_to_3, up_to_4; /* the fastest where no more is allowed */
} choice;

/* The first line that fits counts; none: direct. Beside a line: GFLOP/s counting every tap, direct
 * / F2 / F4, of the layers of bench/shapes.txt that decided it, on two cores of Zen 5 where no other
 * is named; those of Zen 3 were shared: medians of 5 or 7 runs or the best of 10 to 15. */
static const choice choices[] = {
    /* bf16 products: airbench94/block1. A side of 3 stays direct: 1290 / 890 / 950 (block3). */
    {FW_BF16, FWD, 4, 32, F2, F2, F4}, /* 1020 / 1310 / 1440 */
    {FW_BF16, DX, 4, 32, F2, F2, F4},  /* 1040 / 1310 / 1450 */
    {FW_BF16, DW, 4, 32, F2, F2, F4},  /* 840 / 1240 / 1340 */
    /* 24 channels (airbench94/block1_in); forward 930 / 930 / 830 */
    {FW_BF16, DX, 4, 24, F2, F2, F2},         /* 870 / 990 / 850 */
    {FW_BF16, DW, 4, 24, DIRECT, DIRECT, F4}, /* 810 / 820 / 980 */
    /* f32 products, half as many at a time, so that transforms weigh half as much. One line from a
     * side of 4 on: at 24 channels F4 loses 5 % of a layer on Zen 5.
     *                       Zen 5             Emerald Rapids    Zen 3 (AVX2)
     * block1, forward       490 / 650 / 800   311 / 436 / 635   149 / 217 / 318
     *   input gradient      480 / 650 / 790   297 / 430 / 630   156 / 197 / 312
     *   filter gradient     410 / 530 / 700   302 / 388 / 518   160 / 186 / 207
     * block1_in, forward    400 / 560 / 530   266 / 312 / 449   125 / 165 / 256
     *   input gradient      350 / 430 / 470   222 / 292 / 421   117 / 140 / 175
     *   filter gradient     400 / 470 / 650   243 / 313 / 418   120 / 153 / 200 */
    {FW_F32, FWD | DX | DW, 4, 24, F2, F2, F4},
    /* a side of 3 (block3, 256 channels), direct / F3 / F4, Emerald Rapids, which neighbours used too:
     * forward 330 / 720 / 490, input gradient 390 / 670 / 480, filter gradient 330 / 560 / 400. On an idle
     * day direct and F4 had 471 and 520 forward, on Zen 3 220 and 210. */
    {FW_F32, FWD | DX | DW, 3, 64, DIRECT, F3, F3},
};

static bool has(unsigned allowed, fwi_conv_algo algo)
{
    return algo == DIRECT || (allowed >> algo & 1U) != 0;
}

/* Products of a channel in the squares of m x m outputs that cover an image of this side. */
static int64_t products(int64_t side, fwi_conv_algo algo)
{
    const int64_t m = (int64_t)algo - F2 + 2, squares = (side + m - 1) / m;
    return squares * squares * (m + 2) * (m + 2);
}

enum { MOST_FITTED = 32 }; /* pixels */

/* base, F2 or F4 by a line above, or another one where its squares fit an image so much better that a
 * tenth of the products goes. A quarter has to go with F7 and, for a filter's gradient, with F6: their
 * transforms cost more. Larger images were not measured. Products of f32, Emerald Rapids, which
 * neighbours used too, so that a tenth more or less says
 * nothing; F4 / F5 / F6 of airbench94 on images of 24 (sides 23, 11, 5), 28 (6) and 32 pixels (15):
 *   side            5                  6                 11                15
 *   forward         300 / 1050 / 680   530 / 380 / 950   600 / 450 / 680   550 / 700 / 550
 *   input gradient  430 / 1020 / 640   430 / 380 / 770   770 / 560 / 750   660 / 780 / 520
 *   filter gradient 370 / 710 / 580    400 / 270 / 640   550 / 420 / 450   380 / 460 / 390
 *   side 23, 24 channels: 370 / 330 / 360, 380 / 360 / 420, 350 / 300 / 400
 * The same machine, images stored as bf16, the best of three medians of 5: F4 / another / F7, the other
 * one F6 for a side of 27 and else F5. What F7 loses for input gradients is within the noise.
 *   side            7 (256)           13 (64)           13 (64 > 256)     27 (24 > 64)
 *   forward         720 / - / 1090    530 / 660 / 810   640 / 780 / 850   480 / 490 / 530
 *   input gradient  860 / - / 1110    540 / 700 / 720   670 / 790 / 750   510 / 510 / 490
 *   filter gradient 610 / - / 600     390 / 470 / 510   520 / 460 / 450   320 / 210 / 190  (not kept)
 * Of bf16, where F3 may be asked for: docs/benchmarks.md. */
static fwi_conv_algo best_fit(fwi_conv_pass pass, int64_t side, fwi_conv_algo base,
                              unsigned allowed)
{
    fwi_conv_algo best = base;
    if (base == DIRECT)
        return DIRECT;
    for (fwi_conv_algo algo = F3; algo < FWI_CONV_ALGOS; algo++) {
        if (algo == F4 || !has(allowed, algo))
            continue; /* F4 was measured, as base was */
        const bool costly =
            algo == FWI_CONV_WINO7 || (algo == FWI_CONV_WINO6 && pass == FWI_CONV_FILTER_GRAD);
        const int64_t share = costly ? 75 : 90;
        if (100 * products(side, algo) < share * products(side, base) &&
            products(side, algo) < products(side, best))
            best = algo;
    }
    return best;
}

fwi_conv_algo fwi_conv_choice(const char *table, fw_dtype dtype, fwi_conv_pass pass, int64_t side,
                              int64_t c, int64_t oc, unsigned allowed)
{
    const int64_t fewer = c < oc ? c : oc;
    /* elsewhere images stored as bf16 are multiplied as floats: what is fastest is the same */
    if (dtype == FW_BF16 && !fwi_multiplies_bf16(table))
        dtype = FW_F32;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const choice *k = &choices[i];
        if (k->dtype != dtype || (k->passes >> pass & 1) == 0 || side < k->least_side ||
            fewer < k->least_c)
            continue;
        const fwi_conv_algo base = has(allowed, F4) && has(allowed, k->up_to_4)   ? k->up_to_4
                                   : has(allowed, F3) && has(allowed, k->up_to_3) ? k->up_to_3
                                   : has(allowed, k->up_to_2)                     ? k->up_to_2
                                                                                  : DIRECT;
        /* where F4 loses by this line, its transforms weigh too much, and so would the others' */
        return k->up_to_4 == F4 && side <= MOST_FITTED ? best_fit(pass, side, base, allowed) : base;
    }
    return DIRECT;
}

bool fwi_multiplies_bf16(const char *table)
{
    return strcmp(table, "avx512_bf16") == 0;
}
