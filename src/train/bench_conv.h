/* bench_conv.h: one convolution with operands of its own, as bench_conv.c times it and
 * bench_conv_check.c judges it. */
#ifndef FWI_BENCH_CONV_H
#define FWI_BENCH_CONV_H

#include "bench_inner.h"

/* Multiply-accumulates whose tap lies within the image, over all of them. */
double fwi_conv_executed(const fw_conv_shape *s);

/* Relative L2 error of what c computed, on sampled outputs: sqrt(sum (got - want)^2 / sum want^2),
 * want from the operands as they are, in double. */
double fwi_conv_error(const fw_conv_shape *s, const fwi_call *c, fwi_pool *pool);

extern const char *const fwi_conv_passes[3]; /* "fwd", "dx", "dw" */
extern const fwi_opkind fwi_conv_pass_ops[3];
/* Which of the three fw_bench_conv_opt asks for: no gradient of what a network was given, unless it is
 * asked for by name. */
bool fwi_conv_wants_pass(const fw_bench_conv_opt *o, const fw_conv_shape *s, int pass);
fwi_attr fwi_conv_attr_of(const fw_conv_shape *s, fwi_conv_algo algo);
fw_status fwi_bench_word(const char *what, const char *word, const char *const *names, int n,
                         const char *list);
/* fw_bench_conv on a device with a queue. bench_gpu_conv.c */
fw_status fwi_bench_gpu_conv(const fw_bench_conv_opt *opt, fw_bench_conv_fn fn, void *arg);

/* A larger error is a wrong result, not rounding. */
double fwi_conv_error_bound(const fwi_call *c, fwi_conv_algo algo);

#endif
