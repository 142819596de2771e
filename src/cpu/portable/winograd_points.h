/* winograd_points.h: where the polynomials of Winograd's short convolutions are evaluated: one place
 * for the three passes of a convolution. F(2x2,3x3) has the points 0, +-1 and infinity, F(4x4,3x3)
 * 0, +-a, +-b and infinity, F(6x6,3x3) +-c besides; F(3x3,3x3) and F(5x5,3x3) have two and three such
 * pairs and infinity, without 0. From these follow, for a line of an image d, of an output y and of a
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
 * and the same with a = 1, without b, for F2: N(0) = -1, N(+-1) = 2. For F6 and F5, where s1, s2, s3
 * are the sums of the products of one, two and three of a^2, b^2, c^2, and of +-a (of +-b and +-c
 * likewise) t and u are sum and product of the other two's squares, and for F3:
 *
 *   B^T (F6)   [-s3  0     s2   0    -s1  0    1   0]    0
 *              [0    +-au  u    -+at -t   +-a  1   0]    +-a
 *              [0    -s3   0    s2   0    -s1  0   1]    infinity
 *   B^T (F5)        [+-au  u    -+at -t   +-a  1   0]    +-a
 *                   [-s3   0    s2   0    -s1  0   1]    infinity
 *   B^T (F3)                   [-+ab^2 -b^2 +-a  1   0]  +-a
 *                              [a^2 b^2 0 -(a^2+b^2) 0 1] infinity
 *
 * What counts for rounding, to bf16 and to float alike, is how far apart in size the transformed
 * numbers are. F4 with a = 1, b = 2 is off by 2.5e-6 of the output in float (forward, 128 channels,
 * by norm), with 5/8 and 3/2 by 1.1e-6, in bf16 by 1.1e-2 for 2.5e-2. Of the pairs and triples of
 * some multiples of 1/8 up to 4 about the best were for F3 3/8 and 3/2 (bf16 5.6e-3; F2 has 3.7e-3),
 * for F5 1/4, 7/8 and 3/2 (float 2.2e-6), for F6 1/2, 1 and 2 (4.1e-6); the last two are for products
 * of f32 alone. All are exact in any type, and so are in float the products of them in B. */
#ifndef FWI_WINOGRAD_POINTS_H
#define FWI_WINOGRAD_POINTS_H

#include "exec.h"

#ifdef __clang__
#define WINO_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WINO_UNROLL _Pragma("GCC unroll 8")
#endif
#define WINO_INLINE static inline __attribute__((always_inline))

enum {
    WINO_SIDE = 8, /* the largest square of source pixels */
    WINO_OUT = 6   /* of outputs */
};

/* What a row of a Winograd kernel accepts: calls that ask for it, of a shape that it is made for. */
static inline bool winograd_takes(const fwi_call *c)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    return a->algo >= FWI_CONV_WINO2 && a->algo <= FWI_CONV_WINO6 && a->kh == 3 && a->kw == 3 &&
           a->stride == 1;
}
/* The same where products are of bf16, for which the numbers of F5 and F6 lie too far apart. */
static inline bool winograd_takes_bf16(const fwi_call *c)
{
    return winograd_takes(c) && c->attr->conv.algo <= FWI_CONV_WINO4;
}

/* The side of its squares of outputs. */
_Static_assert(FWI_CONV_WINO6 - FWI_CONV_WINO2 == 4, "one algorithm for each side from 2 to 6");
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

/* CALL(m), a macro, with m as a constant. Where products are of bf16 there is no code for 5 and 6. */
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

/* F3, F5 and F6, whose points are pairs, besides 0 and infinity. */
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

/* Point k of them, 0 to 2: a, b or c. */
WINO_INLINE float wino_point(int m, int k)
{
    static const float three[] = {0.375F, 1.5F, 0}, five[] = {0.25F, 0.875F, 1.5F},
                       six[] = {0.5F, 1, 2};
    return m == 3 ? three[k] : m == 5 ? five[k] : six[k];
}
WINO_INLINE float wino_square(int m, int k)
{
    return wino_point(m, k) * wino_point(m, k);
}
/* Sum and product of the other ones' squares: t and u. F3 has one other, and 0 for c. */
WINO_INLINE float wino_t(int m, int k)
{
    return wino_square(m, (k + 1) % 3) + wino_square(m, (k + 2) % 3);
}
WINO_INLINE float wino_u(int m, int k)
{
    return wino_square(m, (k + 1) % 3) * wino_square(m, (k + 2) % 3);
}
WINO_INLINE float wino_s1(int m)
{
    return wino_square(m, 0) + wino_t(m, 0);
}
WINO_INLINE float wino_s2(int m)
{
    return wino_u(m, 0) + wino_u(m, 1) + wino_u(m, 2);
}
WINO_INLINE float wino_s3(int m)
{
    return wino_square(m, 0) * wino_u(m, 0);
}
/* N(p) of point k. N(-p) is -N(p), but for F6, which has the distance from 0 as well, N(p). */
WINO_INLINE float wino_n(int m, int k)
{
    const float p = wino_point(m, k), p2 = p * p;
    const float other = p2 - wino_square(m, (k + 1) % wino_pairs(m));
    const float last = m == 3 ? 1 : p2 - wino_square(m, (k + 2) % 3);
    return 2 * p * other * last * (m == 6 ? p : 1);
}

#endif
