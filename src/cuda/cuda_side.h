/* cuda_side.h: the small kernels that the rows over cuDNN and cuBLASLt need beside the libraries.
 * They are a table so that a test without a GPU can give others. No type of CUDA or of the libraries
 * stands here: side.cu includes it. Read before: exec.h. */
#ifndef FWI_CUDA_SIDE_H
#define FWI_CUDA_SIDE_H

#include "exec.h"

/* An update of Muon on its way: see cublaslt_muon.c. w is [rows][rest]; X is [m][n] with m <= n, the
 * same or, where w is tall, turned. */
typedef struct fwi_muon_work {
    int64_t rows, rest, m, n;
    fw_dtype dtype; /* of X: f32 or bf16; the same in all works of a call */
    void *x;        /* X */
    double *sums;   /* FWI_MUON_SUMS: [0] of u^2, [1] of w^2, behind them room for parts of them */
} fwi_muon_work;
enum { FWI_MUON_PARTS = 256, FWI_MUON_SUMS = 2 * (1 + FWI_MUON_PARTS) };

/* Filters, oc x (kh x kw) x c; or images, whose places are n, with one tap. */
typedef struct fwi_side_tensor {
    void *data;
    fw_dtype dtype;
    int64_t n, taps, c;
} fwi_side_tensor;

typedef struct fwi_cuda_side {
    /* makes the call's GPU current in this thread, before a library is called */
    fw_status (*use)(const fwi_call *c);
    /* to = from, widened or rounded to the nearest, ties to even. `to` may have more of n and c: zeros; or
     * fewer: the rest is left out. The taps are as many. f32 to any type, any type to f32 or itself. */
    fw_status (*fit)(const fwi_call *c, const fwi_side_tensor *to, const fwi_side_tensor *from);
    /* n calls of muon, each with its work: v = mom v + g; sums; X = (g + mom v) / (p sqrt(sums[0]) + q) */
    fw_status (*muon_begin)(const fwi_call *c, const fwi_muon_work *m, int n);
    /* w = (renorm w - lr X) (1 - lr wd), as cpu/ref/muon_body.h has it; lr 0: nothing */
    fw_status (*muon_end)(const fwi_call *c, const fwi_muon_work *m, int n);
} fwi_cuda_side;
extern const fwi_cuda_side fwi_cuda_side_kernels; /* side.cu */

#endif
