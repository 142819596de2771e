/* t_grad.h: gradients against differences. A net is a small graph of doubles on the reference
 * kernels; its gradient, as fwi_graph_gradient builds it, is held to the central difference
 * (f(w + h v) - f(w - h v)) / 2h with h = 1e-5 along a random direction v, one parameter at a time
 * (docs/numerics.md, "Gradients"). At that h, rounding and the third derivative each leave about 1e-9 of the
 * value; a term missing from a gradient shows in the first digits. */
#ifndef T_GRAD_H
#define T_GRAD_H

#include "t_ops.h"

typedef struct t_net t_net;

/* A trainable parameter, an input that stays as it is (both by t_ops.h's fills), whole numbers
 * (labels, masks, seeds), and given numbers. Names are letters a-z, A-Z. */
fwi_val t_net_param(t_net *net, const char *name, fwi_shape shape, t_fill fill);
fwi_val t_net_real(t_net *net, const char *name, fwi_shape shape, t_fill fill);
fwi_val t_net_ints(t_net *net, const char *name, fw_dtype dtype, fwi_shape shape, int64_t lo,
                   int64_t hi);
fwi_val t_net_values(t_net *net, const char *name, fw_dtype dtype, fwi_shape shape,
                     const double *v);
fwi_graph *t_net_graph(t_net *net);
/* The inner product of y with random numbers, as a loss: every element of y counts differently. */
fwi_val t_net_dot(t_net *net, fwi_val y);
/* Kinks: no element of v may be nearer to 0 than 1e-3 at the point where the gradient is taken, or
 * another point is tried. For what goes into a relu deep in a net. */
void t_net_away(t_net *net, fwi_val v);
/* The same for a maximum over k x k windows of v: the two largest must differ by 1e-3, unless no
 * element is over 0 (after a relu all ties are at 0, where nothing flows back). */
void t_net_apart(t_net *net, fwi_val v, int64_t k, int64_t stride);

/* build appends the net and returns its loss. rel: relative to the larger of the inner product
 * grad . v and what it would typically be, |grad| |v| / sqrt(elements). */
typedef fwi_val (*t_build)(t_net *net, const void *arg);
void t_net_check(const char *what, t_build build, const void *arg, double rel);

#endif
