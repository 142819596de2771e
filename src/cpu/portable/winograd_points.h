/* winograd_points.h: where the polynomials of Winograd's short convolutions are evaluated: one place
 * for the three passes of a convolution. F(2x2,3x3) has the points 0, +-1 and infinity, F(4x4,3x3)
 * 0, +-a, +-b and infinity, F(6x6,3x3) +-c besides. From these follow, for a line of an image d, of an
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
 * and the same with a = 1, without b, for F2: N(0) = -1, N(+-1) = 2. For F6, with the sums of the
 * products of one, two and three of a^2, b^2, c^2: s1, s2, s3; of +-a t and u, of +-b and +-c likewise,
 * sum and product of the other two's squares:
 *
 *   B^T (F6)   [-s3  0     s2   0    -s1  0    1   0]    0
 *              [0    +-au  u    -+at -t   +-a  1   0]    +-a
 *              [0    -s3   0    s2   0    -s1  0   1]    infinity
 *
 * What counts for rounding, to bf16 and to float alike, is how far apart in size the transformed
 * numbers are. With a = 1, b = 2 float's error is 2.5e-6 of the output (forward, 128 channels, by
 * norm), with 5/8 and 3/2 it is 1.1e-6, bf16's 1.1e-2 for 2.5e-2. For F6 1/2, 1 and 2 were the best of
 * 560 triples of 1/4 to 4: 4e-6; it is for products of f32 alone. All are exact in any type, and so are
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
    return 2 * (c->attr->conv.algo - FWI_CONV_DIRECT);
}
/* The same where products are of bf16, for which F6's numbers lie too far apart. */
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

/* Of m, 4 or 6: whether it is 4, which it always is where products are of bf16, so that no code for 6 is
 * made there. */
#define WINO_ONLY4(m) (PER == 2 || (m) == 4)

#define WINO6_A 0.5F
#define WINO6_B 1.0F
#define WINO6_C 2.0F
/* N(p) of F6: of 0; of +-p, q and r being the other two. */
#define WINO6_N0(a, b, c) (-(a) * (a) * (b) * (b) * (c) * (c))
#define WINO6_NP(p, q, r) (2 * (p) * (p) * ((p) * (p) - (q) * (q)) * ((p) * (p) - (r) * (r)))

#endif
