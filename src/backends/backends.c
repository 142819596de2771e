/* backends.c: which device a name means, and which kernel rows a CPU gets. The CPU's tables form a
 * chain: each instruction set overrides what it does better and leaves the rest to the one before,
 * down to the reference, which has every op. Read before: exec.h. Next: cpu_device.c. */
#include "backends.h"

#include "backends_inner.h"
#include "fail.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const fwi_op_table ref = {.name = "ref", .rows = fwi_rows_ref};
static const fwi_op_table portable = {.name = "portable", .base = &ref, .rows = fwi_rows_portable};
static const fwi_op_table avx2 = {.name = "avx2", .base = &portable, .rows = fwi_rows_avx2};
static const fwi_op_table avx512 = {.name = "avx512", .base = &avx2, .rows = fwi_rows_avx512};
static const fwi_op_table avx512_bf16 = {
    .name = "avx512_bf16", .base = &avx512, .rows = fwi_rows_avx512_bf16};

const fwi_op_table *fwi_cpu_table(fwi_isa isa)
{
    static const fwi_op_table *const tables[FWI_ISA_COUNT] = {[FWI_ISA_REF] = &ref,
                                                              [FWI_ISA_PORTABLE] = &portable,
                                                              [FWI_ISA_AVX2] = &avx2,
                                                              [FWI_ISA_AVX512] = &avx512,
                                                              [FWI_ISA_AVX512_BF16] = &avx512_bf16};
    const unsigned at = (unsigned)isa;
    return at < FWI_ISA_COUNT && tables[at]->rows->run != NULL ? tables[at] : NULL;
}

fw_status fwi_cpu_table_choose(const fwi_op_table **out, fwi_isa *isa)
{
    const char *const asked = getenv("FENWICKS_ISA");
    const fw_status st = fwi_isa_choose(isa);
    *out = NULL;
    if (st != FW_OK)
        return st;
    if (asked != NULL && *asked != 0 && fwi_cpu_table(*isa) == NULL)
        return fwi_fail(FW_EUNAVAILABLE, "FENWICKS_ISA=%s: this build has no kernels for it",
                        asked);
    while ((*out = fwi_cpu_table(*isa)) == NULL)
        --*isa;
    return FW_OK;
}

double fwi_peak_f32_portable(int64_t n_rounds, float *sink);
#if defined(__x86_64__)
double fwi_peak_f32_avx2(int64_t n_rounds, float *sink);
double fwi_peak_f32_avx512(int64_t n_rounds, float *sink);
double fwi_peak_bf16_avx512_bf16(int64_t n_rounds, float *sink);
#endif

fwi_peak_fn fwi_cpu_peak(fwi_isa isa)
{
    switch (isa) {
    case FWI_ISA_PORTABLE:
        return fwi_peak_f32_portable;
#if defined(__x86_64__)
    case FWI_ISA_AVX2:
        return fwi_peak_f32_avx2;
    case FWI_ISA_AVX512:
    case FWI_ISA_AVX512_BF16: /* its f32 is AVX-512's */
        return fwi_peak_f32_avx512;
#endif
    default:
        return NULL;
    }
}

fwi_peak_fn fwi_cpu_peak_bf16(fwi_isa isa)
{
#if defined(__x86_64__)
    if (isa == FWI_ISA_AVX512_BF16)
        return fwi_peak_bf16_avx512_bf16;
#endif
    (void)isa;
    return NULL;
}

/* "cuda", "cuda:0", "cuda:12" */
static bool names_cuda(const char *name)
{
    if (strncmp(name, "cuda", 4) != 0)
        return false;
    if (name[4] == 0)
        return true;
    return name[4] == ':' && name[5] != 0 && strspn(name + 5, "0123456789") == strlen(name + 5);
}

bool fwi_device_prefers_bf16(const char *name)
{
    fwi_isa isa = FWI_ISA_REF;
    if (name == NULL || strcmp(name, "cpu") == 0)
        return fwi_isa_choose(&isa) == FW_OK && isa >= FWI_ISA_AVX512;
    return names_cuda(name);
}

static fw_status open_cuda(fwi_device **out, const char *name, const fwi_device_opt *opt)
{
    if (fwi_backend_cuda.open == NULL)
        return fwi_fail(FW_EUNAVAILABLE,
                        "device %s: this build has no CUDA backend; use the device cpu", name);
    fwi_device_opt o = *opt;
    if (name[4] == ':') {
        errno = 0;
        const long index = strtol(name + 5, NULL, 10);
        o.index = errno != 0 || index > INT_MAX ? INT_MAX : (int)index;
    }
    const fw_status st = fwi_backend_cuda.open(out, &o);
    return st == FW_OK ? st : fwi_fail_in(st, "device %s", name);
}

static const fwi_backend *offered; /* by a test */

void fwi_device_offer(const fwi_backend *b)
{
    offered = b;
}

fw_status fwi_device_open(fwi_device **out, const char *name, const fwi_device_opt *opt)
{
    *out = NULL;
    const fwi_device_opt defaults = {0};
    if (opt == NULL)
        opt = &defaults;
    if (name == NULL || strcmp(name, "cpu") == 0)
        return fwi_backend_cpu.open(out, opt);
    if (offered != NULL && strcmp(name, offered->name) == 0)
        return offered->open(out, opt);
    if (names_cuda(name))
        return open_cuda(out, name, opt);
    return fwi_fail(FW_ENOTFOUND, "device %s: unknown; known are cpu, cuda and cuda:NUMBER", name);
}

fw_status fwi_device_check_precision(const fwi_device *d, fw_dtype precision)
{
    if (precision == FW_F16 && !d->has_f16)
        return fwi_fail(FW_EUNAVAILABLE,
                        "precision f16 is for GPUs: device %s does not have it; f32, bf16 and f64 "
                        "run here",
                        d->label);
    if (precision == FW_F64 && !d->has_f64)
        return fwi_fail(FW_EUNAVAILABLE,
                        "precision f64: device %s computes in f32, tf32, bf16 and f16; the device "
                        "cpu has f64",
                        d->label);
    if (precision == FW_BF16 && !d->has_bf16)
        return fwi_fail(FW_EUNAVAILABLE,
                        "precision bf16 needs a processor with AVX2, which device %s does not have "
                        "or does not use; f32 runs here",
                        d->label);
    return FW_OK;
}

void fwi_device_close(fwi_device *d)
{
    if (d != NULL)
        d->backend->close(d);
}
