/* bench_sweeps.h: the sweeps between convolutions as calls of kernels: which ops, with which operands
 * and attributes on images of a shape. Read next: bench_ops.c (CPUs), bench_gpu_ops.c. */
#ifndef FWI_BENCH_SWEEPS_H
#define FWI_BENCH_SWEEPS_H

#include "bench_inner.h"

/* An op and its operands, a letter each: X images, P images behind a 2x2 pool, I a pool's places, G
 * what a global pool leaves of them, J its places, c a number per channel, s a statistic of the
 * batch, v a variance; R images as a net is given them, 3 and 7 those at 3/4 and 7/8 of their size; F a
 * filter, H an update's rates. */
typedef struct fwi_sweep {
    fwi_opkind op;
    const char *in, *out;
} fwi_sweep;
enum { FWI_SWEEPS = 31 };
extern const fwi_sweep fwi_sweeps[FWI_SWEEPS];

bool fwi_sweep_pools(const fwi_sweep *w); /* has operands behind a 2x2 pool */
/* The activation is that which is asked for, else that of the net that the shape is from. nb: as below. */
fwi_attr fwi_sweep_attr(const fw_bench_ops_opt *o, const fw_conv_shape *s, const fwi_sweep *w,
                        int32_t nb);
/* Sets what a row says of the sweep alone: shape, which is *kept, act, sizes. */
void fwi_sweep_describe(const fw_bench_ops_opt *o, const fw_conv_shape *s, const fwi_sweep *w,
                        fw_conv_shape *kept, fw_bench_ops_row *row);
/* The call without data. nb over 0: images blocked by it, in the type of `precision`; else plain ones. */
fwi_call fwi_sweep_call(const fw_conv_shape *s, const fwi_sweep *w, const fwi_attr *attr,
                        fw_dtype precision, int32_t nb);
/* Of inputs and outputs, each once; twice of an input that is changed. */
size_t fwi_sweep_bytes(const fwi_sweep *w, const fwi_call *c);
/* Input k holds numbers from lo to hi. */
void fwi_sweep_range(const fwi_sweep *w, int k, const fw_conv_shape *s, double *lo, double *hi);
bool fwi_sweep_over_itself(const fwi_sweep *w); /* may write over its first input */

/* FW_ENOTFOUND, with all there are, for an op or an activation that there is not; NULL is fine. */
fw_status fwi_sweep_check(const fw_bench_ops_opt *o);
/* each(user, s, w) for the sweeps and shapes that are asked for; of shapes, without a word, those of the nets that
 * the recipes train. What needs a pool of images that have none is passed over. */
fw_status fwi_sweep_each(const fw_bench_ops_opt *o,
                         fw_status (*each)(void *user, const fw_conv_shape *s, const fwi_sweep *w),
                         void *user);

/* fw_bench_ops on a device with a queue. bench_gpu_ops.c */
fw_status fwi_bench_gpu_ops(const fw_bench_ops_opt *opt, fw_bench_ops_fn fn, void *arg);

#endif
