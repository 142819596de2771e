/* winograd_points.h: where the polynomials of Winograd's short convolutions are evaluated: one place
 * for the three passes of a convolution. F(2x2,3x3) has the points 0, +-1 and infinity, F(4x4,3x3)
 * 0, +-a, +-b and infinity, F(6x6,3x3) +-c besides, F(5x5,3x3) the latter's without 0. From these follow, for a line of an image d, of an
 * output y and of a filter g (Winograd 1980; Lavin and Gray 2016; the forms here are scaled to have no
 * fractions in B and A):
 *
 *   B^T (F4)   [a^2 b^2   0       -(a^2+b^2)   0           1   0]    0
 *              [0         -+a b^2 -b^2         +-a         1   0]    +-a
 *              [0         -+a^2 b -a^2         +-b         1   0]    +-b
 *              [0         a^2 b^2 0            -(a^2+b^2)  0   1]    infinity
 *   A^T column of point p: 1, p, p^2, p^3; of infinity: 0 0 0 1
 *   G   row of point p:    (1, p, p^2) / N(p), N(p) the product of p's distances from the other
 *                          points; of infinity: 0 0 1
 *
 * and the same with a = 1, without b, for F2: N(0) = -1, N(+-1) = 2. For F6 and F5, where s1, s2, s3 are
 * the sums of the products of one, two and three of a^2, b^2, c^2, and of +-a (of +-b and +-c likewise) t
 * and u are sum and product of the other two's squares:
 *
 *   B^T (F6)   [-s3  0     s2   0    -s1  0    1   0]    0
 *              [0    +-au  u    -+at -t   +-a  1   0]    +-a
 *              [0    -s3   0    s2   0    -s1  0   1]    infinity
 *   B^T (F5)        [+-au  u    -+at -t   +-a  1   0]    +-a
 *                   [-s3   0    s2   0    -s1  0   1]    infinity
 *
 * What counts for rounding, to bf16 and to float alike, is how far apart in size the transformed
 * numbers are. With a = 1, b = 2 float's error is 2.5e-6 of the output (forward, 128 channels, by
 * norm), with 5/8 and 3/2 it is 1.1e-6, bf16's 1.1e-2 for 2.5e-2. For F6 1/2, 1 and 2 were the best of
 * 560 triples of 1/4 to 4: 4e-6; for F5 1/4, 7/8 and 3/2: 2.1e-6. These are for products of f32 alone. All are exact in any type, and so are
 * the products of them that stand in B. */
#ifndef FWI_WINOGRAD_POINTS_H
#define FWI_WINOGRAD_POINTS_H

#include "exec.h"

/* What a row of a Winograd kernel accepts: calls that ask for it, of a shape that it is made for. */
static inline bool winograd_takes(const fwi_call *c)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    return a->algo >= FWI_CONV_WINO2 && a->kh == 3 && a->kw == 3 && a->stride == 1;
}
/* The side of its squares of outputs. */
static inline int64_t winograd_side(const fwi_call *c)
{
    const int64_t algo = c->attr->conv.algo;
    return algo == FWI_CONV_WINO2 ? 2 : algo - FWI_CONV_WINO4 + 4;
}
/* The same where products are of bf16, for which the numbers of F5 and F6 lie too far apart. */
static inline bool winograd_takes_bf16(const fwi_call *c)
{
    return winograd_takes(c) && c->attr->conv.algo <= FWI_CONV_WINO4;
}

#define WINO4_A_F32  0.625F
#define WINO4_B_F32  1.5F
#define WINO4_A_BF16 0.625F
#define WINO4_B_BF16 1.5F

/* N(p) of F4: of 0, of +-a, of +-b. */
#define WINO4_N0(a, b) ((a) * (a) * (b) * (b))
#define WINO4_NA(a, b) (2 * (a) * (a) * ((a) * (a) - (b) * (b)))
#define WINO4_NB(a, b) (2 * (b) * (b) * ((b) * (b) - (a) * (a)))

/* Of m, 4 or more: whether it is 4, which it always is where products are of bf16, so that no code for 5
 * and 6 is made there. */
#define WINO_IS4(m) (PER == 2 || (m) == 4)

#define WINO_CONST static inline __attribute__((always_inline)) float

/* Point k, 0 to 2, of F5 and F6: a, b or c. */
WINO_CONST wino_point(int m, int k)
{
    static const float five[] = {0.25F, 0.875F, 1.5F}, six[] = {0.5F, 1, 2};
    return m == 5 ? five[k] : six[k];
}
WINO_CONST wino_square(int m, int k)
{
    return wino_point(m, k) * wino_point(m, k);
}
/* Sum and product of the other two's squares: t and u. */
WINO_CONST wino_t(int m, int k)
{
    return wino_square(m, (k + 1) % 3) + wino_square(m, (k + 2) % 3);
}
WINO_CONST wino_u(int m, int k)
{
    return wino_square(m, (k + 1) % 3) * wino_square(m, (k + 2) % 3);
}
WINO_CONST wino_s1(int m)
{
    return wino_square(m, 0) + wino_t(m, 0);
}
WINO_CONST wino_s2(int m)
{
    return wino_u(m, 0) + wino_u(m, 1) + wino_u(m, 2);
}
WINO_CONST wino_s3(int m)
{
    return wino_square(m, 0) * wino_u(m, 0);
}
/* N(p) of point k. N(-p) is -N(p) for F5; for F6, which has the distance from 0 as well, N(p). */
WINO_CONST wino_n(int m, int k)
{
    const float p = wino_point(m, k), p2 = p * p;
    const float n = 2 * p * (p2 - wino_square(m, (k + 1) % 3)) * (p2 - wino_square(m, (k + 2) % 3));
    return m == 6 ? p * n : n;
}

#endif
