/* libs_probe.h: what a probe (probe.h) has of cuDNN and cuBLASLt: products that reach the ceilings of
 * tensor cores, and the engines of a convolution, measured and kept in the file of choices. The same for
 * a GPU (cuda_probe.c) and for a device of tests. Read before: probe.h, cudnn_conv.h. */
#ifndef FWI_LIBS_PROBE_H
#define FWI_LIBS_PROBE_H

#include "cuda_libs.h"
#include "probe.h"

/* load_plan and load_run, for FWI_LOAD_TF32, BF16 and F16; the matrices lie one behind the other, so
 * that load_fill is numbers of fwi_libs_load_dtype in all of memory. */
fw_status fwi_libs_load_plan(fwi_cuda_libs *l, fwi_load *load);
fw_status fwi_libs_load_run(fwi_cuda_libs *l, const fwi_load *load);
fw_dtype fwi_libs_load_dtype(const fwi_load *load);

void fwi_libs_row_text(const fwi_cuda_libs *l, const fwi_call *c, const fwi_kernel *k, char *text,
                       size_t cap);
fw_status fwi_libs_engines(fwi_cuda_libs *l, const fwi_call *c, fwi_engine_fn each, void *user);
fw_status fwi_libs_engine_run(const fwi_cuda_libs *l, const fwi_engine *e, const fwi_call *c);
fw_status fwi_libs_engine_take(fwi_cuda_libs *l, const fwi_engine *e, double seconds);
fw_status fwi_libs_engines_keep(fwi_cuda_libs *l, char *path, size_t cap);
void fwi_libs_engines_forget(fwi_cuda_libs *l);

#endif
