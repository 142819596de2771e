/* winograd_points.h: where the polynomials of Winograd's short convolutions are evaluated: one place
 * for the three passes of a convolution. F(2x2,3x3) has the points 0, +-1 and infinity, F(4x4,3x3)
 * 0, +-a, +-b and infinity. From these follow, for a line of an image d, of an output y and of a
 * filter g (Winograd 1980; Lavin and Gray 2016; the forms here are scaled to have no fractions in
 * B and A):
 *
 *   B^T (F4)   [a^2 b^2   0       -(a^2+b^2)   0           1   0]    0
 *              [0         -+a b^2 -b^2         +-a         1   0]    +-a
 *              [0         -+a^2 b -a^2         +-b         1   0]    +-b
 *              [0         a^2 b^2 0            -(a^2+b^2)  0   1]    infinity
 *   A^T column of point p: 1, p, p^2, p^3; of infinity: 0 0 0 1
 *   G   row of point p:    (1, p, p^2) / N(p), N(p) the product of p's distances from the other
 *                          points; of infinity: 0 0 1
 *
 * and the same with a = 1, without b, for F2: N(0) = -1, N(+-1) = 2.
 *
 * What counts for rounding, to bf16 and to float alike, is how far apart in size the transformed
 * numbers are. With a = 1, b = 2 float's error is 2.5e-6 of the output (forward, 128 channels, by
 * norm), with 5/8 and 3/2 it is 1.1e-6, bf16's 1.1e-2 for 2.5e-2. All four are exact in any type,
 * and so are the products of them that stand in B. */
#ifndef FWI_WINOGRAD_POINTS_H
#define FWI_WINOGRAD_POINTS_H

#include "exec.h"

/* What a row of a Winograd kernel accepts: calls that ask for it, of a shape that it is made for. */
static inline bool winograd_takes(const fwi_call *c)
{
    const fwi_conv_attr *const a = &c->attr->conv;
    return (a->algo == FWI_CONV_WINO2 || a->algo == FWI_CONV_WINO4) && a->kh == 3 && a->kw == 3 &&
           a->stride == 1;
}

#define WINO4_A_F32  0.625F
#define WINO4_B_F32  1.5F
#define WINO4_A_BF16 0.625F
#define WINO4_B_BF16 1.5F

/* N(p) of F4: of 0, of +-a, of +-b. */
#define WINO4_N0(a, b) ((a) * (a) * (b) * (b))
#define WINO4_NA(a, b) (2 * (a) * (a) * ((a) * (a) - (b) * (b)))
#define WINO4_NB(a, b) (2 * (b) * (b) * ((b) * (b) - (a) * (a)))

#endif
