/* backends.h: the one place that knows every backend. */
#ifndef FWI_BACKENDS_H
#define FWI_BACKENDS_H

#include "cpu.h"
#include "exec.h"
#include "probe.h"

/* name: NULL or "cpu"; "cuda", "cuda:1". FW_EUNAVAILABLE with the reason where it cannot be
 * had. */
fw_status fwi_device_open(fwi_device **out, const char *name, const fwi_device_opt *opt);
void fwi_device_close(fwi_device *d); /* NULL: nothing */
/* FW_EUNAVAILABLE, with what runs there instead, where it cannot train in that precision. */
fw_status fwi_device_check_precision(const fwi_device *d, fw_dtype precision);
/* Tests only: from now on fwi_device_open knows this backend by its name too. NULL: no longer. */
void fwi_device_offer(const fwi_backend *b);

/* Whether networks train faster in bf16 than in f32 on the device of this name, if it can be had: a GPU, and a
 * processor whose instruction set in use is AVX-512, with products of bf16 or without (half the memory traffic);
 * with AVX2 it depends on the network. */
bool fwi_device_prefers_bf16(const char *name);

/* Which NVIDIA GPUs this build and machine offer, or why none: cuda_backend.h. */
bool fwi_cuda_describe(char *text, size_t cap);
int fwi_cuda_gpus(void);
fw_status fwi_cuda_gpu_info(int i, fwi_gpu_info *out);

/* The CPU's table for an instruction set (its chain ends at the reference); NULL where this build
 * has none. */
const fwi_op_table *fwi_cpu_table(fwi_isa isa);
/* The table that a CPU device takes: of FENWICKS_ISA, which is that or nothing, else of the fastest
 * instruction set that processor and build have; the reference is always there. Errors:
 * fwi_isa_choose's, and FW_EUNAVAILABLE where this build has no kernels for what was asked for. */
fw_status fwi_cpu_table_choose(const fwi_op_table **out, fwi_isa *isa);

/* What the CPU's device decides when it lowers a graph, for benchmarks and tables of a net: images in a
 * block of its batch-blocked layout for a batch of n; and by which algorithm `table` is to compute each
 * convolution of a graph that has its layout, which g->ops then say. */
int32_t fwi_cpu_block_of(int64_t n);
fw_status fwi_cpu_choose_conv(fwi_graph *g, const fwi_op_table *table);

/* Fused multiply-adds in f32 that stay in registers, on the calling thread: runs n_rounds of them,
 * writes one float of the result to sink, returns how many operations (2 each) were done. NULL
 * where this build has none for isa. For benchmarks. */
typedef double (*fwi_peak_fn)(int64_t n_rounds, float *sink);
fwi_peak_fn fwi_cpu_peak(fwi_isa isa);
/* The same for products of bf16 pairs summed in f32; NULL where isa has no such instruction. */
fwi_peak_fn fwi_cpu_peak_bf16(fwi_isa isa);

/* The rows of the rooms cpu/<isa>, each ending with a row whose run is NULL. */
extern const fwi_kernel fwi_rows_ref[], fwi_rows_portable[], fwi_rows_avx2[], fwi_rows_avx512[],
    fwi_rows_avx512_bf16[];

#endif
