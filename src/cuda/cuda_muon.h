/* cuda_muon.h: what the two ways of Muon's update on a GPU share, the one with our own products (muon.cu)
 * and the one with cuBLASLt's (side.cu): where an element of w is in X, and the step. Defined in
 * cpu/ref/muon_body.h. Read before: cuda_kernel.h. */
#ifndef FWI_CUDA_MUON_H
#define FWI_CUDA_MUON_H

#include "cuda_kernel.h"

namespace fwi_cuda
{

/* w is [rows][rest]; X the same or, where w is tall, turned. */
struct muon_turn {
    int rows, rest;
    __device__ int operator()(int i) const
    {
        return rows > rest ? i % rest * rows + i / rest : i;
    }
};

/* sums: of u^2 and of w^2, as they were before the step. */
template <class T> struct muon_step {
    float *w;
    const T *x;
    const double *sums, *hyper;
    double renorm_eps;
    int lr_col, wd_col, rn_col;
    muon_turn at;
    __device__ void operator()(int i) const
    {
        const double lr = hyper[lr_col], wd = hyper[wd_col], ww = sums[1];
        if (lr == 0)
            return;
        const double renorm =
            hyper[rn_col] != 0 && ww > 0 ? sqrt((double)at.rows) / (sqrt(ww) + renorm_eps) : 1.0;
        const double moved = renorm * (double)w[i] - lr * (double)get(x, at(i));
        w[i] = (float)(moved * (1 - lr * wd));
    }
};

template <class T>
static inline muon_step<T> muon_step_of(const fwi_call *c, const T *x, const double *sums,
                                        const muon_turn &at)
{
    const fwi_muon_attr *a = &c->attr->muon;
    return muon_step<T>{changed<float>(c, 0),
                        x,
                        sums,
                        in<double>(c, 3),
                        a->renorm_eps,
                        (int)a->lr_col,
                        (int)a->wd_col,
                        (int)a->rn_col,
                        at};
}

} // namespace fwi_cuda

#endif
