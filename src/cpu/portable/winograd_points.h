/* winograd_points.h: where the polynomials of Winograd's short convolutions are evaluated: one place
 * for the three passes of a convolution. F(2x2,3x3) has the points 0, +-1 and infinity, F(4x4,3x3)
 * 0, +-a, +-b and infinity, F(6x6,3x3) +-c besides; F3, F5 and F7 have two, three and four such pairs
 * and infinity, without 0. From these follow, for a line of an image d, of an output y and of a
 * filter g (Winograd 1980; Lavin and Gray 2016; the forms here have divisions in G alone):
 *
 *   B^T (F4)   [a^2 b^2   0       -(a^2+b^2)   0           1   0]    0
 *              [0         -+a b^2 -b^2         +-a         1   0]    +-a
 *              [0         -+a^2 b -a^2         +-b         1   0]    +-b
 *              [0         a^2 b^2 0            -(a^2+b^2)  0   1]    infinity
 *   A^T column of point p: 1, p, .. p^(m-1); of infinity: 0, .. 0, 1
 *   G   row of point p:    (1, p, p^2) / N(p), N(p) the product of p's distances from the other
 *                          points; of infinity: 0 0 1
 *
 * and the same with a = 1, without b, for F2: N(0) = -1, N(+-1) = 2. The others by pairs: with M(z) the
 * product of (z - q) over all finite points q, the row of a point p has the coefficients of M(z) / (z - p),
 * that of infinity those of M. For +-p this is (z +- p) times the (z^2 - q^2) of the other pairs and, for
 * F6, z: every other coefficient is 0, and they are the elementary symmetric sums of the squares, with
 * alternating signs. Written out for three pairs, s1 to s3 the sums of all squares, t and u those of the
 * other two than +-a (+-b and +-c likewise):
 *
 *   B^T (F6)   [-s3  0     s2   0    -s1  0    1   0]    0
 *              [0    +-au  u    -+at -t   +-a  1   0]    +-a
 *              [0    -s3   0    s2   0    -s1  0   1]    infinity
 *   B^T (F5)        [+-au  u    -+at -t   +-a  1   0]    +-a
 *                   [-s3   0    s2   0    -s1  0   1]    infinity
 *
 * What counts for rounding, to bf16 and to float alike, is how far apart in size the transformed
 * numbers are. F4 with a = 1, b = 2 is off by 2.5e-6 of the output in float (forward, 128 channels,
 * by norm), with 5/8 and 3/2 by 1.1e-6, in bf16 by 1.1e-2 for 2.5e-2. Of the sets of some multiples of
 * 1/8 up to 4 about the best were for F3 3/8 and 3/2 (bf16 5.6e-3; F2 has 3.7e-3), for F5 1/4, 7/8 and
 * 3/2 (float 2.2e-6), for F6 1/2, 1 and 2 (4.1e-6), for F7 1/4, 5/8, 9/8 and 17/8 (1.0e-5); the last
 * three are for products of f32 alone. The points are exact in any type; in float so is all of B^T, and
 * of A^T all but (17/8)^6. F(8x8,3x3) (2.6e-5) gained nothing over these on sides of 15, 23 and 31. */
#ifndef FWI_WINOGRAD_POINTS_H
#define FWI_WINOGRAD_POINTS_H

#include "exec.h"

#ifdef __clang__
#define WINO_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WINO_UNROLL _Pragma("GCC unroll 16")
#endif
#define WINO_INLINE static inline __attribute__((always_inline))

enum {
    WINO_PAIRS = 4,
    WINO_SIDE = 9, /* the largest square of source pixels */
    WINO_OUT = 7   /* of outputs */
};

/* What a row of a Winograd kernel accepts: calls that ask for an algorithm up to `most`, of the shape
 * that it is made for. */
static inline bool winograd_takes_to(const fwi_call *c, int64_t most)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    return a->algo >= FWI_CONV_WINO2 && a->algo <= most && a->kh == 3 && a->kw == 3 &&
           a->stride == 1;
}
/* Images stored as f32, for which F7 rounds too coarsely. */
static inline bool winograd_takes_f32(const fwi_call *c)
{
    return winograd_takes_to(c, FWI_CONV_WINO6);
}
/* Images stored as bf16 and multiplied as f32. For a filter's gradient, which fast_winograd_dw.h has up
 * to F6, the transforms of F7 cost what they save. */
static inline bool winograd_takes_widened(const fwi_call *c)
{
    return winograd_takes_to(c, c->kind == FWI_OP_conv2d_dw ? FWI_CONV_WINO6 : FWI_CONV_WINO7);
}
/* Products of bf16, for which the numbers of F5 and larger ones lie too far apart. */
static inline bool winograd_takes_bf16_products(const fwi_call *c)
{
    return winograd_takes_to(c, FWI_CONV_WINO4);
}

/* The side of its squares of outputs. */
_Static_assert(FWI_CONV_WINO7 - FWI_CONV_WINO2 == 5, "one algorithm for each side from 2 to 7");
static inline int64_t winograd_side(const fwi_call *c)
{
    return c->attr->conv.algo - FWI_CONV_WINO2 + 2;
}

#define WINO4_A 0.625F
#define WINO4_B 1.5F

/* N(p) of F4: of 0, of +-a, of +-b. */
#define WINO4_N0(a, b) ((a) * (a) * (b) * (b))
#define WINO4_NA(a, b) (2 * (a) * (a) * ((a) * (a) - (b) * (b)))
#define WINO4_NB(a, b) (2 * (b) * (b) * ((b) * (b) - (a) * (a)))

/* CALL(m), a macro, with m, up to 6, as a constant. Where products are of bf16 there is no code for 5
 * and 6. */
#define WINO_WITH(m, CALL)                                                                         \
    do {                                                                                           \
        if ((m) == 2)                                                                              \
            CALL(2);                                                                               \
        else if ((m) == 3)                                                                         \
            CALL(3);                                                                               \
        else if (PER == 2 || (m) == 4)                                                             \
            CALL(4);                                                                               \
        else if ((m) == 5)                                                                         \
            CALL(5);                                                                               \
        else                                                                                       \
            CALL(6);                                                                               \
    } while (false)

/* F3 and F5 to F7, whose points are pairs, besides 0 and infinity. */
WINO_INLINE bool wino_of_pairs(int m)
{
    return m == 3 || m > 4;
}
WINO_INLINE int wino_pairs(int m)
{
    return (m + 1) / 2;
}
/* Where the first pair stands among the points: behind 0, if there is one. */
WINO_INLINE int wino_first(int m)
{
    return m == 6;
}

/* Point k of them, 0 to 3: a, b, c or d; 0 for one that is none. */
WINO_INLINE float wino_point(int m, int k)
{
    static const float three[] = {0.375F, 1.5F, 0, 0}, five[] = {0.25F, 0.875F, 1.5F, 0},
                       six[] = {0.5F, 1, 2, 0}, seven[] = {0.25F, 0.625F, 1.125F, 2.125F};
    return m == 3 ? three[k] : m == 5 ? five[k] : m == 6 ? six[k] : seven[k];
}
WINO_INLINE float wino_square(int m, int k)
{
    return wino_point(m, k) * wino_point(m, k);
}
/* The sum of the products of j of the points' squares, 1 to 4, point `without` (-1: none) left out. */
WINO_INLINE float wino_symmetric(int m, int j, int without)
{
    const float a = without == 0 ? 0 : wino_square(m, 0), b = without == 1 ? 0 : wino_square(m, 1);
    const float c = without == 2 ? 0 : wino_square(m, 2), d = without == 3 ? 0 : wino_square(m, 3);
    return j == 1   ? a + b + c + d
           : j == 2 ? a * b + (a + b) * (c + d) + c * d
           : j == 3 ? a * b * (c + d) + (a + b) * c * d
                    : a * b * c * d;
}
/* Pair j's factor in N(p) of point k: the product of p's distances from +q and -q. */
WINO_INLINE float wino_apart(int m, int k, int j)
{
    return k == j || j >= wino_pairs(m) ? 1 : wino_square(m, k) - wino_square(m, j);
}
/* N(p) of point k. N(-p) is -N(p), but for F6, which has the distance from 0 as well, N(p). */
WINO_INLINE float wino_n(int m, int k)
{
    const float p = wino_point(m, k);
    return 2 * p * wino_apart(m, k, 0) * wino_apart(m, k, 1) * wino_apart(m, k, 2) *
           wino_apart(m, k, 3) * (m == 6 ? p : 1);
}
/* 1 / N(0) of F6. */
WINO_INLINE float wino_n0_inverse(void)
{
    return -1 / wino_symmetric(6, 3, -1);
}

#endif
