/* cpu.h: what the processor can do. */
#ifndef FWI_CPU_H
#define FWI_CPU_H

#include <fenwicks/status.h>
#include <stdbool.h>

/* Instruction sets that a kernel may be written for, in ascending order. */
typedef enum fwi_isa {
    FWI_ISA_REF = 0, /* the plain definition of every op */
    FWI_ISA_PORTABLE = 1,
    FWI_ISA_AVX2 = 2,   /* AVX2 and FMA */
    FWI_ISA_AVX512 = 3, /* F, BW, DQ, VL */
    FWI_ISA_AVX512_BF16 = 4,
    FWI_ISA_COUNT
} fwi_isa;

const char *fwi_isa_name(fwi_isa isa); /* "ref", "portable", "avx2", "avx512", "avx512_bf16" */
bool fwi_isa_supported(fwi_isa isa);   /* by this CPU and operating system */
/* The fastest of a set (bit i: instruction set i; never empty): the highest, but avx512 before
 * avx512_bf16 on Intel's processors. There VDPBF16PS does half the multiply-adds per second of FMA,
 * on AMD's twice as many (`FENWICKS_ISA=avx512_bf16 fenwicks bench peak` shows it). */
fwi_isa fwi_isa_fastest(unsigned set, bool intel);
fw_status fwi_isa_choose(
    fwi_isa *out); /* FENWICKS_ISA if set (error if unknown or unsupported), else the fastest */
/* The same by what is asked for (NULL or "": nothing) on a machine that has this set. */
fw_status fwi_isa_choose_from(fwi_isa *out, const char *asked, unsigned set, bool intel);
bool fwi_cpu_has_sse42(void); /* for CRC-32C */
bool fwi_cpu_has_arm_crc(void);
/* Threads that the calling thread may use: its affinity, pins of its own apart, and the cgroup's quota; at
 * least 1. */
int fwi_cpu_count(void);
/* FW_EARG with both numbers where n is more than that. FENWICKS_OVERSUBSCRIBE=1 allows any n: for
 * tests, which run with many threads on whatever machine. */
fw_status fwi_threads_check(int n);
/* CPUs that the cgroups grant (1.5 is possible), 0 for no limit. The arguments are
 * /proc/self/cgroup and /sys/fs/cgroup, or a test's own files. */
double fwi_cpu_quota(const char *proc_cgroup, const char *fs_root);
const char *fwi_cpu_name(void); /* "AMD EPYC ..."; "unknown" */
/* The processor's family and model, as CPUID has them (AMD and Intel count alike: extended fields
 * added): names are shared by processors of several generations. Both 0 elsewhere. */
void fwi_cpu_family(int *family, int *model);

#endif
