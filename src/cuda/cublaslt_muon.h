/* cublaslt_muon.h: the iteration in the middle of Muon's update, by cuBLASLt. Read before:
 * cublaslt_matmul.h. Next: cublaslt_muon.c. */
#ifndef FWI_CUBLASLT_MUON_H
#define FWI_CUBLASLT_MUON_H

#include "cublaslt_matmul.h"

/* batch matrices X [m][n] one behind the other, m <= n, in f32 or bf16 (sums are in f32):
 * steps times A = X X^T; X = a X + (b A + c A^2) X. */
typedef struct fwi_newton_schulz {
    int64_t m, n, batch, steps;
    double a, b, c;
    fw_dtype dtype;
} fwi_newton_schulz;

/* Makes the plans of its three products. false: cuBLASLt has not got them, or (with a message) they
 * could not be made; after that of a batch no batch is ready any more, so that no scratch that was sized
 * without one is ever too small for it. */
bool fwi_newton_schulz_prepare(fwi_cuda_libs *l, const fwi_newton_schulz *s);
/* Whether prepare said so before; makes nothing. */
bool fwi_newton_schulz_ready(const fwi_cuda_libs *l, const fwi_newton_schulz *s);
/* Bytes of X, and of scratch once it is prepared. */
size_t fwi_newton_schulz_bytes(const fwi_newton_schulz *s);
size_t fwi_newton_schulz_scratch(const fwi_cuda_libs *l, const fwi_newton_schulz *s);
/* Enqueues it. x and other have room for X; both and scratch are on a boundary of FWI_LIBS_ALIGN. *result
 * is where the result will be, x or other. */
fw_status fwi_newton_schulz_run(const fwi_cuda_libs *l, const fwi_newton_schulz *s, void *x,
                                void *other, void *scratch, void **result);

#endif
